//! The doors that HTTP reaches live calls by: a question becomes a command, its answer comes back by token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use call::{Answer, Command};
use facts::ban::Ban;
use facts::carrier::TrunkStatus;
use facts::command::LiveCall;
use facts::conference::{Act, ActRefused, ConferenceView};
use facts::control::{Control, ControlRefused};
use facts::ports::{Calls, MediaRoom, Promise, Silent, When};
use facts::routing::Explanation;
use facts::sound::{Clip, Play};
use facts::station::Station;
use facts::ussd::{self, Code, Shown};
use facts::{CallCommand, CallId, MerchantId, Number, Placed, Refusal};
use media::Media;
use media::prompt::Store;
use tokio::sync::{Notify, oneshot};

use crate::clock;
use crate::directory::Directory;
use crate::inbox::{Fact, Inbox};
use crate::menus::{Next, Screens};

/// An operator waits no longer than this.
const ASK_MAX: Duration = Duration::from_secs(2);
/// Whoever tries a menu out waits no longer than a page may ever take, and a little.
const SCREEN_MAX: Duration = Code::PAGE.end().saturating_add(Duration::from_secs(5));

/// Questions that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    last: AtomicU64,
}

impl Answers {
    /// A token, and where its answer will be.
    fn ask(self: &Arc<Self>) -> (Question, oneshot::Receiver<Answer>) {
        let token = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        self.lock().insert(token, sender);
        (Question { token, answers: Arc::clone(self) }, receiver)
    }

    /// The answer to a token; nobody may be there any more.
    pub(crate) fn give(&self, token: u64, answer: Answer) {
        if let Some(sender) = self.lock().remove(&token) {
            let _ = sender.send(answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is forgotten when it is dropped, answered or not.
struct Question {
    token: u64,
    answers: Arc<Answers>,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.answers.lock().remove(&self.token);
    }
}

/// The door.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) inbox: Inbox,
    pub(crate) answers: Arc<Answers>,
    pub(crate) directory: Arc<Directory>,
    /// What can be played.
    pub(crate) prompts: Arc<Store>,
    /// What is to be seen where merchants try menus out.
    pub(crate) screens: Arc<Screens>,
    /// Whose ports calls take.
    pub(crate) media: Weak<Media>,
    pub(crate) ready: AtomicBool,
    /// Wakes the settings watcher.
    pub(crate) settings: Arc<Notify>,
    /// Wakes whoever reads bindings of privacy numbers.
    pub(crate) bindings: Arc<Notify>,
    /// A merchant waits no longer than this for a call to be taken.
    pub(crate) place_max: Duration,
}

impl Door {
    async fn ask(
        answers: Arc<Answers>,
        inbox: Inbox,
        limit: Duration,
        command: impl FnOnce(u64) -> Command,
    ) -> Option<Answer> {
        let (question, answer) = answers.ask();
        inbox.fact(Fact::Command(command(question.token)));
        tokio::time::timeout(limit, answer).await.ok()?.ok()
    }

    /// Does something at a door of menus whose screens are pushed.
    pub(crate) async fn act(&self, act: ussd::Act) -> Result<CallId, ussd::ActRefused> {
        if matches!(act, ussd::Act::Open { .. }) && (!self.ready() || self.inbox.crowded()) {
            return Err(ussd::ActRefused::Busy);
        }
        let act = Box::new(act);
        match self.asked(ASK_MAX, move |token| Command::Menu { token, act }).await {
            Some(Answer::Menu(session)) => session,
            _ => Err(ussd::ActRefused::Busy),
        }
    }

    /// A question to the engine; nothing when it does not answer in time.
    pub(crate) fn asked(
        &self,
        limit: Duration,
        command: impl FnOnce(u64) -> Command + Send + 'static,
    ) -> Promise<Option<Answer>> {
        Box::pin(Door::ask(Arc::clone(&self.answers), self.inbox.clone(), limit, command))
    }
}

impl Calls for Door {
    fn place(&self, command: CallCommand) -> Promise<Result<Placed, Refusal>> {
        if !self.ready() || self.inbox.crowded() {
            return Box::pin(std::future::ready(Err(Refusal::Busy)));
        }
        let command = Box::new(command);
        let answer = self.asked(self.place_max, move |token| Command::Place { token, command });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Placed(outcome)) => outcome,
                _ => Err(Refusal::Internal),
            }
        })
    }

    fn hang_up(&self, call: CallId) -> Promise<Result<bool, Silent>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Ok(false)));
        }
        let answer = self.asked(ASK_MAX, move |token| Command::HangUp { token, call });
        Box::pin(async move {
            match answer.await {
                Some(Answer::HungUp(done)) => Ok(done),
                _ => Err(Silent),
            }
        })
    }

    fn pause_recording(&self, call: CallId, paused: bool) -> Promise<Result<bool, Silent>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Ok(false)));
        }
        let answer =
            self.asked(ASK_MAX, move |token| Command::PauseRecording { token, call, paused });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Paused(done)) => Ok(done),
                _ => Err(Silent),
            }
        })
    }

    fn playable(&self, clip: &Clip) -> Result<(), String> {
        self.prompts.playable(clip).map_err(|why| why.to_string())
    }

    fn sound_of(&self, octets: Vec<u8>) -> Promise<Result<Duration, String>> {
        let decode = move || media::prompt::samples(&octets).map(|samples| samples.len());
        let decoding = tokio::task::spawn_blocking(decode);
        Box::pin(async move {
            let samples = match decoding.await {
                Ok(decoded) => decoded.map_err(|error| error.to_string())?,
                Err(error) => return Err(error.to_string()),
            };
            // 8 samples are a millisecond.
            Ok(Duration::from_millis(u64::try_from(samples / 8).unwrap_or(u64::MAX)))
        })
    }

    fn play(&self, call: CallId, play: Play) -> Promise<Result<bool, Silent>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Ok(false)));
        }
        let play = Box::new(play);
        let answer = self.asked(ASK_MAX, move |token| Command::Play { token, call, play });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Played(done)) => Ok(done),
                _ => Err(Silent),
            }
        })
    }

    fn confer(&self, call: CallId, act: Act) -> Promise<Result<(), ActRefused>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Err(ActRefused::Unknown)));
        }
        let act = Box::new(act);
        let answer = self.asked(ASK_MAX, move |token| Command::Confer { token, call, act });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Conferred(done)) => done,
                _ => Err(ActRefused::Refused(Refusal::Busy)),
            }
        })
    }

    fn control(
        &self,
        call: CallId,
        merchant: MerchantId,
        control: Control,
    ) -> Promise<Result<(), ControlRefused>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Err(ControlRefused::NotTalking)));
        }
        let control = Box::new(control);
        let command = move |token| Command::Control { token, call, merchant, control };
        let answer = self.asked(ASK_MAX, command);
        Box::pin(async move {
            match answer.await {
                Some(Answer::Controlled(done)) => done,
                _ => Err(ControlRefused::Refused(Refusal::Internal)),
            }
        })
    }

    fn conference(&self, call: CallId) -> Promise<Result<Option<ConferenceView>, Silent>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Ok(None)));
        }
        let answer = self.asked(ASK_MAX, move |token| Command::Conference { token, call });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Conference(view)) => Ok(view.map(|view| *view)),
                _ => Err(Silent),
            }
        })
    }

    fn menu(
        &self,
        merchant: MerchantId,
        act: ussd::Act,
    ) -> Promise<Result<Shown, ussd::ActRefused>> {
        let screens = Arc::clone(&self.screens);
        // Who types waits for what comes before he does: it may come at once.
        let next = match &act {
            ussd::Act::Open { .. }
                if !self.ready() || self.inbox.crowded() || !screens.has_room(merchant) =>
            {
                Err(ussd::ActRefused::Busy)
            }
            ussd::Act::Leave { session } | ussd::Act::Lose { session }
                if !screens.is_of(*session, merchant) =>
            {
                Err(ussd::ActRefused::NoSession)
            }
            ussd::Act::Type { session, .. } => screens.next(*session, merchant).map(Some),
            ussd::Act::Open { .. } | ussd::Act::Leave { .. } | ussd::Act::Lose { .. } => Ok(None),
        };
        let next = match next {
            Ok(next) => next,
            Err(why) => return Box::pin(std::future::ready(Err(why))),
        };
        let leaves = matches!(act, ussd::Act::Leave { .. } | ussd::Act::Lose { .. });
        let act = Box::new(act);
        let answer = self.asked(ASK_MAX, move |token| Command::Menu { token, act });
        Box::pin(async move {
            let session = match answer.await {
                Some(Answer::Menu(session)) => session?,
                _ => return Err(ussd::ActRefused::Busy),
            };
            let later = match next {
                Some(next) => next,
                None if leaves => return Ok(Shown::nothing(session)),
                None => match screens.first(session, merchant) {
                    Next::Now(shown) => return Ok(shown),
                    Next::Later(later) => later,
                },
            };
            let shown = tokio::time::timeout(SCREEN_MAX, later).await;
            shown.ok().and_then(Result::ok).ok_or(ussd::ActRefused::Busy)
        })
    }

    fn media_room(&self) -> MediaRoom {
        let Some(media) = self.media.upgrade() else { return MediaRoom::default() };
        let counts = media.counts();
        MediaRoom { free: counts.free, all: counts.free + counts.legs + counts.quarantined }
    }

    fn live(&self) -> Promise<Result<Vec<LiveCall>, Silent>> {
        let answer = self.asked(ASK_MAX, |token| Command::Live { token });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Live(calls)) => Ok(calls),
                _ => Err(Silent),
            }
        })
    }

    fn look(&self, call: CallId) -> Promise<Result<Option<LiveCall>, Silent>> {
        if !self.directory.is_live(call) {
            return Box::pin(std::future::ready(Ok(None)));
        }
        let answer = self.asked(ASK_MAX, move |token| Command::Look { token, call });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Looked(live)) => Ok(live.map(|live| *live)),
                _ => Err(Silent),
            }
        })
    }

    fn bindings(&self) -> Promise<Vec<(String, String, u64)>> {
        Box::pin(std::future::ready(self.directory.bindings(clock::wall())))
    }

    fn bindings_of(&self, extensions: Vec<String>) -> Promise<Vec<(String, String, u64)>> {
        Box::pin(std::future::ready(self.directory.bindings_of(&extensions, clock::wall())))
    }

    fn stations(&self, extensions: Vec<String>) -> Promise<Option<Vec<Station>>> {
        let answer = self.asked(ASK_MAX, move |token| Command::Stations { token, extensions });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Stations(stations)) => Some(stations),
                _ => None,
            }
        })
    }

    fn trunks(&self) -> Promise<Option<Vec<TrunkStatus>>> {
        let answer = self.asked(ASK_MAX, |token| Command::Trunks { token });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Trunks(trunks)) => Some(trunks),
                _ => None,
            }
        })
    }

    fn bans(&self) -> Promise<Option<Vec<Ban>>> {
        let answer = self.asked(ASK_MAX, |token| Command::Bans { token });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Bans(bans)) => Some(bans),
                _ => None,
            }
        })
    }

    fn lift(&self, address: IpAddr) -> Promise<Option<bool>> {
        let answer = self.asked(ASK_MAX, move |token| Command::Lift { token, address });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Lifted(lifted)) => Some(lifted),
                _ => None,
            }
        })
    }

    fn explain(&self, number: String) -> Promise<Option<Result<Explanation, String>>> {
        let answer = self.asked(ASK_MAX, move |token| Command::Explain { token, number });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Explained(explained)) => Some(*explained),
                _ => None,
            }
        })
    }

    fn reaches(
        &self,
        payer: MerchantId,
        numbers: Vec<(Number, When)>,
    ) -> Promise<Result<Vec<Option<Number>>, Silent>> {
        let command = move |token| Command::Reaches { token, payer, numbers };
        let answer = self.asked(ASK_MAX, command);
        Box::pin(async move {
            match answer.await {
                Some(Answer::Reaches(rung)) => Ok(rung),
                _ => Err(Silent),
            }
        })
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn mailbox_changed(&self, user: String, new: u32, old: u32) {
        self.inbox.fact(Fact::Command(Command::Mailbox { user, new, old }));
    }

    fn settings_changed(&self) {
        self.settings.notify_one();
        self.bindings.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use facts::media::Prompt;
    use facts::sound::{Say, Spoken};

    use super::*;
    use crate::inbox::inbox;

    fn door() -> (Door, crate::inbox::Outlet) {
        let (inbox, outlet) = inbox(4).unwrap();
        let door = Door {
            inbox,
            answers: Arc::default(),
            directory: Arc::default(),
            prompts: Arc::default(),
            screens: Arc::default(),
            media: Weak::new(),
            ready: AtomicBool::new(true),
            settings: Arc::default(),
            bindings: Arc::default(),
            place_max: Duration::from_secs(2),
        };
        (door, outlet)
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_does_not_answer_is_not_waited_for_and_leaves_nothing_behind() {
        let (door, _outlet) = door();
        let began = tokio::time::Instant::now();
        assert_eq!(door.live().await, Err(Silent));
        assert_eq!(began.elapsed().as_secs(), ASK_MAX.as_secs());
        // What it knows of it says that it is there: its silence does not make it gone.
        let call = CallId(7);
        door.directory.call_began(call, facts::Dialect::Rest);
        let play = Play { to: Default::default(), clip: None, interruptible: false };
        let (hung, paused, played) = tokio::join!(
            door.hang_up(call),
            door.pause_recording(call, true),
            door.play(call, play)
        );
        assert_eq!((hung, paused, played), (Err(Silent), Err(Silent), Err(Silent)));
        let (seen, met) = tokio::join!(door.look(call), door.conference(call));
        assert_eq!((seen, met.err()), (Err(Silent), Some(Silent)));
        assert!(door.answers.lock().is_empty());
    }

    #[test]
    fn what_cannot_be_played_is_told_before_it_is() {
        let (mut door, _outlet) = door();
        door.prompts = Arc::new(Store::open(None).0);
        let say = |language: &str, part: Spoken| {
            door.playable(&Clip::Say(Say { language: language.into(), parts: vec![part] }))
        };
        let name = |name: &str, language: &str| {
            door.playable(&Clip::Prompt(Prompt { name: name.into(), language: language.into() }))
        };
        for language in ["", "zh", "en", "fa"] {
            assert_eq!(name("callee-busy", language), Ok(()));
            assert_eq!(say(language, Spoken::Number(-12)), Ok(()));
            assert_eq!(say(language, Spoken::Prompt("callee-busy".into())), Ok(()));
        }
        assert_eq!(door.playable(&Clip::Url("https://a.example/".into())), Ok(()));
        for (refused, why) in [
            (name("nosuch", "zh"), "there is no sound of the name nosuch"),
            (
                name("callee-busy", "xx"),
                "nothing is said in the language \"xx\"; there are en, fa, zh",
            ),
            (
                say("xx", Spoken::Number(1)),
                "nothing is said in the language \"xx\"; there are zh, en, fa",
            ),
            (say("zh", Spoken::Prompt("nosuch".into())), "there is no sound of the name nosuch"),
            (say("zh", Spoken::Digits("12x".into())), "cannot be said: a sign that is not spoken"),
            (say("fa", Spoken::Digits(String::new())), "cannot be said: not 1 to 64 digits"),
            (
                say("en", Spoken::Date { year: 2026, month: 2, day: 29 }),
                "cannot be said: not a day of the years 1900 to 2100",
            ),
            (say("en", Spoken::Time { hour: 24, minute: 0 }), "cannot be said: not a time of day"),
            (
                say("zh", Spoken::Number(1_000_000_000_000)),
                "cannot be said: a number beyond 999999999999",
            ),
        ] {
            assert_eq!(refused.unwrap_err(), why);
        }
    }

    #[tokio::test]
    async fn s5_2_whoever_tries_a_menu_out_sees_its_screens_and_no_others() {
        let (door, outlet) = door();
        let (own, other, session) = (MerchantId(7), MerchantId(8), CallId(1));
        let shown = move |text: &str, more| Shown { session, text: text.into(), more, note: None };
        let (screens, answers) = (Arc::clone(&door.screens), Arc::clone(&door.answers));
        // The engine: what it is told to do, and what it shows of it, before it answers or after.
        let engine = std::thread::spawn(move || {
            for _ in 0..3 {
                let fact = outlet.facts.recv().unwrap();
                let Fact::Command(Command::Menu { token, act }) = fact else { panic!("{fact:?}") };
                match *act {
                    ussd::Act::Open { .. } => {
                        answers.give(token, Answer::Menu(Ok(session)));
                        std::thread::sleep(Duration::from_millis(20));
                        screens.begin(session, own);
                        std::thread::sleep(Duration::from_millis(20));
                        screens.show(session, "menu".into(), true);
                    }
                    ussd::Act::Type { .. } => {
                        screens.show(session, "more".into(), true);
                        answers.give(token, Answer::Menu(Ok(session)));
                    }
                    ussd::Act::Leave { .. } | ussd::Act::Lose { .. } => {
                        screens.end(session);
                        answers.give(token, Answer::Menu(Ok(session)));
                    }
                }
            }
        });
        let open = || ussd::Act::Open {
            dialled: ussd::Dialled::code("*1#").unwrap(),
            mobile: "989123456789".into(),
            door: ussd::Door::Simulator,
            only: Some(own),
        };
        let enter = || ussd::Act::Type { session, text: "0".into() };
        assert_eq!(door.menu(own, open()).await, Ok(shown("menu", true)));
        let strange =
            (door.menu(other, enter()).await, door.menu(other, ussd::Act::Leave { session }).await);
        let none = ussd::ActRefused::NoSession;
        assert_eq!(strange, (Err(none), Err(none)), "the engine is not asked");
        assert_eq!(door.menu(own, enter()).await, Ok(shown("more", true)));
        assert_eq!(door.menu(own, ussd::Act::Leave { session }).await, Ok(shown("", false)));
        assert_eq!(door.menu(own, enter()).await, Err(none));
        engine.join().unwrap();
        door.ready.store(false, Ordering::Relaxed);
        assert_eq!(door.menu(own, open()).await, Err(ussd::ActRefused::Busy));
    }

    #[tokio::test]
    async fn an_answer_finds_its_question() {
        let (door, outlet) = door();
        let call = CallId(7);
        door.directory.call_began(call, facts::Dialect::Rest);
        let asked = door.hang_up(call);
        let engine = async {
            loop {
                if let Ok(Fact::Command(Command::HangUp { token, call: CallId(7) })) =
                    outlet.facts.try_recv()
                {
                    return door.answers.give(token, Answer::HungUp(true));
                }
                tokio::task::yield_now().await;
            }
        };
        let (answer, ()) = tokio::join!(asked, engine);
        assert_eq!(answer, Ok(true));
        assert_eq!(door.hang_up(CallId(8)).await, Ok(false), "not live: not asked");
    }
}
