//! The target that plays menus: subscribers in a carrier's network whose dialogs say anything, a phone that calls the code,
//! writes and reads messages, a merchant who tries, pages that answer late, twice or never, keys, sounds, and time, in any
//! order.
//!
//! Each session that was opened is over once, with as many steps as its page was asked; a page is asked one step after the
//! other and nothing behind the end; of each dialog one INFO is under way. At the end all tables are empty.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use call::{Answer, Command, Effect, Engine, EngineConfig, Reply};
use facts::media::{MediaCommand, MediaEvent, Source};
use facts::settings::Snapshot;
use facts::sound::Unplayable;
use facts::ussd::{Act, Code, Dialled, Door, Language, Screen};
use facts::{CallId, Micros, Now, UnixMillis};
use sim::media::Media;
use sim::net::Dice;
use sim::settings::{self, CARRIER_A, EXTENSION, PASSWORD, PHONE, REALM, SWITCH};
use sim::store::{Done, Store, Work};
use sip::endpoint::{
    self, Credentials, Endpoint, EndpointConfig, Event, Flow, Invite, Listener, OutOfDialog,
    Transport,
};
use sip::wire::{Draft, Message, Method, NameAddr, Uri};

use crate::script::Script;

/// Operations of one run at most.
const OPS_MAX: usize = 120;
/// What the engine may want done in one step.
const EFFECTS_MAX: usize = 512;
/// Wall clock at the start.
const WALL: UnixMillis = UnixMillis(1_767_225_600_000);
/// Behind the end of the longest session, the last BYE may wait for its answer.
const REST: Duration = Duration::from_secs(400);
/// So long an INFO may go unanswered (RFC 3261 §17.1.2.2, timer F).
const PATIENCE: Duration = Duration::from_secs(32);
const BODY: &str = "application/vnd.3gpp.ussd+xml";

/// See the module's words.
pub fn menu_ops(bytes: &[u8]) {
    menu_story(bytes);
}

/// Plays a script and tells what was seen on the way, in words: what a corpus is worth.
pub fn menu_story(bytes: &[u8]) -> BTreeSet<String> {
    let mut life = Life::new(bytes);
    life.run();
    life.story
}

/// A dialog of somebody in the carrier's network.
#[derive(Default)]
struct Subscriber {
    tag: String,
    cseq: u32,
    /// INFOs of ours that he has not answered.
    asked: VecDeque<Message>,
    /// When the last of ours left, and its CSeq, until it is answered.
    open: Option<(u32, Duration)>,
}

/// What is known of a session.
#[derive(Default)]
struct Session {
    asked: u32,
    over: bool,
}

struct Life<'a> {
    script: Script<'a>,
    epoch: Now,
    elapsed: Duration,
    engine: Engine,
    store: Store,
    media: Media,
    dice: Dice,
    works: VecDeque<Work>,
    news: VecDeque<MediaEvent>,
    subscribers: Vec<Subscriber>,
    /// The phone of the extension, which answers calls to it by itself, and messages when it likes.
    phone: Endpoint,
    calls: Vec<endpoint::SessionId>,
    messages: Vec<endpoint::RequestId>,
    sessions: BTreeMap<CallId, Session>,
    /// Pages that are asked and were not heard of.
    pages: Vec<(CallId, u32)>,
    tokens: u64,
    story: BTreeSet<String>,
}

fn listener(text: &str) -> Listener {
    let at = settings::address(text);
    Listener { transport: Transport::Udp, bind: at, advertised: at }
}

fn country() -> Snapshot {
    let mut snapshot = settings::snapshot(None);
    for (text, language) in [("6655*1", Language::En), ("7", Language::Fa)] {
        let code = Code {
            merchant: settings::MERCHANT,
            code: Dialled::code(text).expect("a code"),
            leading_star: true,
            language,
            page: Duration::from_secs(4),
            input: Duration::from_secs(20),
            session: Duration::from_secs(90),
            price: Micros::ZERO,
        };
        snapshot.ussd.insert(code.code.clone(), Arc::new(code));
    }
    if let Some(own) = snapshot.extensions.get_mut(EXTENSION) {
        own.bound_phone = Some("8613900000009".into());
    }
    snapshot
}

impl<'a> Life<'a> {
    fn new(bytes: &'a [u8]) -> Life<'a> {
        let mut script = Script::new(bytes);
        let mut dice = Dice::new(u64::from(script.byte()));
        let epoch = Now { mono: crate::endpoint::origin(), wall: WALL };
        let config = EngineConfig {
            sip: EndpointConfig {
                listeners: vec![listener(SWITCH)],
                seed: dice.seed(),
                ..EndpointConfig::default()
            },
            secret: dice.seed(),
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, Arc::new(country()), epoch);
        let expires = WALL + Duration::from_secs(3_600);
        engine.handle_reply(epoch, Reply::Bindings(settings::bindings(expires).to_vec()));
        // Half of all phones take no messages.
        let methods = if script.one_in(2) { Vec::new() } else { vec![Method::Message] };
        let phone = Endpoint::new(EndpointConfig {
            listeners: vec![listener(PHONE)],
            engine: 9,
            seed: dice.seed(),
            methods,
            ..EndpointConfig::default()
        });
        Life {
            script,
            epoch,
            elapsed: Duration::ZERO,
            engine,
            store: Store::new(Micros::units(1000)),
            media: Media::default(),
            dice,
            works: VecDeque::new(),
            news: VecDeque::new(),
            subscribers: Vec::new(),
            phone,
            calls: Vec::new(),
            messages: Vec::new(),
            sessions: BTreeMap::new(),
            pages: Vec::new(),
            tokens: 0,
            story: BTreeSet::new(),
        }
    }

    fn now(&self) -> Now {
        self.epoch.after(self.elapsed)
    }

    fn run(&mut self) {
        self.drain();
        for _ in 0..OPS_MAX {
            if self.script.is_over() {
                break;
            }
            self.step();
            self.drain();
        }
        self.end();
    }

    fn step(&mut self) {
        match self.script.below(16) {
            0 => self.dial(),
            1..=3 => self.subscriber(),
            4 => self.call(),
            5 => self.write(),
            6 => self.read(),
            7..=9 => self.page(),
            10 | 11 => self.sound(),
            12 => self.tries(),
            13 => {
                let more = u64::from(self.script.byte() % 40);
                self.pass(Duration::from_millis(more * 700));
            }
            14 if self.script.one_in(4) => {
                let from = self.script.pick(&[CARRIER_A, PHONE]);
                let flow = Flow::udp(settings::address(SWITCH), settings::address(from));
                // Whatever is under way there has its answer by that.
                self.subscribers.iter_mut().for_each(|one| one.open = None);
                self.engine.handle_flow_error(self.now(), flow);
            }
            _ => self.settle_down(),
        }
    }

    /// Somebody in the carrier's network dials: as the standard has it, as old stacks have it, or wrongly.
    fn dial(&mut self) {
        let nth = self.subscribers.len();
        if nth >= 6 {
            return;
        }
        self.subscribers.push(Subscriber { cseq: 1, ..Subscriber::default() });
        let code = self.script.pick(&["*6655*1%23", "*7*3%23", "*9%23"]);
        let (headers, body) = match self.script.below(5) {
            0 => {
                let old = "<ussd-data><ussd-string value=\"*7#\"/></ussd-data>";
                (format!("Content-Type: {BODY}\r\n"), old.to_owned())
            }
            1 => (format!("Accept: {BODY}\r\n"), String::new()),
            _ => ("Recv-Info: g.3gpp.ussd\r\n".to_owned(), String::new()),
        };
        let uri = format!("sip:{code}@{}", settings::address(SWITCH));
        self.send(nth, ("INVITE", &uri), &headers, &body);
    }

    /// He acknowledges, types, answers, refreshes or leaves; or does so again.
    fn subscriber(&mut self) {
        if self.subscribers.is_empty() {
            return self.dial();
        }
        let nth = self.script.below(self.subscribers.len());
        let uri = format!("sip:{}", settings::address(SWITCH));
        match self.script.below(8) {
            0 | 1 => self.send(nth, ("ACK", &uri), "", ""),
            2..=4 => {
                let text = self.script.pick(&[
                    "<ussd-data><ussd-string>1</ussd-string></ussd-data>",
                    "<ussd-data><ussd-string>0</ussd-string></ussd-data>",
                    "<ussd-data><error-code>1</error-code></ussd-data>",
                    "<ussd-data>",
                    "",
                ]);
                let package =
                    if self.script.one_in(4) { "" } else { "Info-Package: g.3gpp.ussd\r\n" };
                self.subscribers[nth].cseq += 1;
                self.send(nth, ("INFO", &uri), &format!("{package}Content-Type: {BODY}\r\n"), text);
            }
            5 | 6 => {
                let status = self.script.pick(&[200, 200, 200, 481, 500, 408]);
                let Some(info) = self.subscribers[nth].asked.pop_front() else { return };
                self.subscribers[nth].open = None;
                self.hear(CARRIER_A, Draft::reply_to(&info, status).to_bytes());
            }
            _ => {
                let method = self.script.pick(&["BYE", "INVITE", "UPDATE", "CANCEL"]);
                self.subscribers[nth].cseq += u32::from(method != "CANCEL");
                self.send(nth, (method, &uri), "", "");
            }
        }
    }

    fn send(&mut self, nth: usize, (method, uri): (&str, &str), headers: &str, body: &str) {
        let Subscriber { tag, cseq, .. } = &self.subscribers[nth];
        let to = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let branch = if method == "CANCEL" { "INVITE" } else { method };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bK{nth}x{cseq}{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+86139000000{nth:02}@c>;tag=s{nth}\r\nTo: <sip:x@c>{to}\r\n\
             Call-ID: menu-{nth}\r\nCSeq: {cseq} {method}\r\nContact: <sip:ue@{CARRIER_A}>\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.hear(CARRIER_A, text.into());
    }

    fn hear(&mut self, from: &str, bytes: Bytes) {
        let flow = Flow::udp(settings::address(SWITCH), settings::address(from));
        self.engine.handle_message(self.now(), flow, bytes);
    }

    /// The phone calls the code, or hangs up.
    fn call(&mut self) {
        let now = self.now().mono;
        if self.script.one_in(3) || self.calls.len() >= 4 {
            if let Some(session) = self.calls.pop() {
                self.phone.bye(now, session, None);
            }
            return;
        }
        let code = self.script.pick(&["*6655*1%23", "*7", "*6655*9%23"]);
        let to = Uri::parse(&format!("sip:{code}@{REALM}")).expect("a URI");
        let from = format!("<sip:{EXTENSION}@{REALM}>");
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\n\
                   m=audio 30000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
        let session = self.phone.invite(
            now,
            Invite {
                uri: to.clone(),
                flow: Flow::udp(settings::address(PHONE), settings::address(SWITCH)),
                from: NameAddr::parse(from.as_bytes()).expect("a name"),
                to: NameAddr::new(to),
                contact_user: "x".into(),
                headers: Vec::new(),
                sdp: Bytes::from_static(sdp.as_bytes()),
                credentials: credentials(),
                route: Vec::new(),
                keep_flow: false,
                reliable: false,
                timers: None,
                edits: Vec::new(),
            },
        );
        self.calls.push(session);
    }

    /// The phone writes to the code.
    fn write(&mut self) {
        let now = self.now().mono;
        let text = self.script.pick(&["1", "#", "*7#", "0", "hello"]);
        let uri = Uri::parse(&format!("sip:*6655*1%23@{REALM}")).expect("a URI");
        let from = format!("<sip:{EXTENSION}@{REALM}>");
        let request = OutOfDialog {
            method: Method::Message,
            uri: uri.clone(),
            flow: Flow::udp(settings::address(PHONE), settings::address(SWITCH)),
            from: NameAddr::parse(from.as_bytes()).expect("a name"),
            to: NameAddr::new(uri),
            headers: Vec::new(),
            body: Some(("text/plain".into(), Bytes::from_static(text.as_bytes()))),
            credentials: credentials(),
            series: None,
        };
        self.phone.request(now, request);
    }

    /// The phone answers a message.
    fn read(&mut self) {
        let code = self.script.pick(&[200, 200, 200, 405, 415, 480]);
        if let Some(request) = self.messages.pop() {
            let now = self.now().mono;
            let answer = endpoint::Answer { code, ..endpoint::Answer::default() };
            self.phone.respond(now, request, answer);
        }
    }

    /// A page answers, perhaps twice, or never.
    fn page(&mut self) {
        let at = self.script.below(self.pages.len());
        let Some(&(session, number)) = self.pages.get(at) else { return };
        let screen = match self.script.below(7) {
            0 => Screen::Last("bye".into()),
            1 => Screen::Unavailable,
            2 => Screen::Menu("long ".repeat(100)),
            3 => Screen::Last("long ".repeat(100)),
            4 => Screen::Unpaid,
            _ => Screen::Menu("1 or 2?".into()),
        };
        if !self.script.one_in(4) {
            self.pages.remove(at);
        }
        self.engine.handle_reply(self.now(), Reply::Screen { session, number, screen });
    }

    /// News of the media plane, and what may come by itself.
    fn sound(&mut self) {
        if let Some(event) = self.news.pop_front() {
            return self.engine.handle_media(self.now(), event);
        }
        let at = self.script.below(self.media.streams.len());
        let Some(leg) = self.media.streams.keys().nth(at).copied() else { return };
        let event = match self.script.below(6) {
            0 => MediaEvent::Digit { leg, digit: '#' },
            1 => MediaEvent::Unplayable { leg, why: Unplayable::Missing },
            2 => MediaEvent::Silent { leg, since: Duration::from_secs(60) },
            3 => MediaEvent::Played { leg },
            _ => MediaEvent::Digit { leg, digit: '1' },
        };
        self.engine.handle_media(self.now(), event);
    }

    /// A merchant tries his code.
    fn tries(&mut self) {
        let any = self.sessions.keys().next_back().copied().unwrap_or(CallId(1));
        let act = match self.script.below(3) {
            0 => Act::Type { session: any, text: "1".into() },
            1 => Act::Leave { session: any },
            _ => Act::Open {
                dialled: Dialled::parse("*7#").expect("a code"),
                mobile: "8613900000001".into(),
                door: self.script.pick(&[Door::Simulator, Door::Smpp]),
                only: None,
            },
        };
        self.tokens += 1;
        let command = Command::Menu { token: self.tokens, act: Box::new(act) };
        self.engine.handle_command(self.now(), command);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.elapsed + time;
        loop {
            let mono = self.epoch.mono;
            let own = self.phone.poll_timeout().map(|(at, _)| at);
            let next = [self.engine.poll_timeout(), own].into_iter().flatten().min();
            let next = next.map(|at| at.saturating_duration_since(mono)).filter(|at| *at <= until);
            let Some(at) = next else { break };
            self.elapsed = self.elapsed.max(at);
            self.engine.handle_timeout(self.now());
            self.phone.handle_timeout(self.now().mono);
            self.drain();
        }
        self.elapsed = until;
    }

    /// Store and media plane do what they were asked.
    fn settle_down(&mut self) {
        for _ in 0..EFFECTS_MAX {
            if let Some(work) = self.works.pop_front() {
                self.perform(work);
            } else if let Some(event) = self.news.pop_front() {
                self.engine.handle_media(self.now(), event);
            } else {
                return;
            }
            self.drain();
        }
        panic!("store and engine do not come to rest");
    }

    fn perform(&mut self, work: Work) {
        let reply = match self.store.perform(work) {
            Done::Authorized(call, answer) => Reply::Authorized { call, answer },
            Done::Abandoned(call) => Reply::AuthorizeFailed { call },
            Done::Added(leg, answer) => Reply::Added { leg, answer },
            Done::NotAdded(leg) => Reply::AddFailed { leg },
            Done::Extended(leg, step, answer) => Reply::Extended { leg, step, answer },
            Done::NotExtended(leg, step) => Reply::ExtendFailed { leg, step },
            Done::Settled(call) => Reply::Settled { call },
            Done::Journaled(leg, seq) => Reply::Journaled { leg, seq },
            Done::Nothing => return,
        };
        self.engine.handle_reply(self.now(), reply);
    }

    /// Everything that somebody has to say goes where it is to go.
    fn drain(&mut self) {
        for _ in 0..EFFECTS_MAX {
            if let Some(effect) = self.engine.poll_effect() {
                self.effect(effect);
                continue;
            }
            while let Some(event) = self.phone.poll_event() {
                if let Event::Request { id, .. } = event {
                    self.story.insert("written to".into());
                    self.messages.push(id);
                }
            }
            let Some(transmit) = self.phone.poll_transmit() else { return };
            if transmit.flow.remote == settings::address(SWITCH) {
                self.hear(PHONE, transmit.bytes);
            }
        }
        panic!("one step had more than {EFFECTS_MAX} effects");
    }

    fn effect(&mut self, effect: Effect) {
        let work = match effect {
            Effect::Transmit(transmit) => {
                let remote = transmit.flow.remote;
                let bytes = transmit.bytes;
                if remote == settings::address(CARRIER_A) {
                    self.told(&Message::parse(bytes).expect("a message"));
                } else if remote == settings::address(PHONE) {
                    let flow = Flow::udp(settings::address(PHONE), settings::address(SWITCH));
                    self.phone.handle_message(self.now().mono, flow, bytes);
                }
                return;
            }
            Effect::Media(order) => {
                if let MediaCommand::Hear { source: Source::Url(_), .. } = &order {
                    self.story.insert("heard".into());
                }
                let later = self.media.order(order, &mut self.dice);
                self.news.extend(later.into_iter().map(|(_, event)| event));
                return;
            }
            Effect::AskPage(step) => {
                self.story.insert(format!("asked by {}", step.door.word()));
                let session = self.sessions.entry(step.session).or_default();
                assert!(!session.over, "a page is asked behind the end");
                session.asked += 1;
                assert_eq!(step.number, session.asked, "one step after the other");
                self.pages.push((step.session, step.number));
                return;
            }
            Effect::MenuOver(over) => {
                self.story.insert(format!("over: {}", over.end.word()));
                let session = self.sessions.entry(over.session).or_default();
                assert!(!std::mem::replace(&mut session.over, true), "over twice");
                assert_eq!(session.asked, over.steps);
                return;
            }
            Effect::Answer { answer, .. } => {
                if let Answer::Menu(Ok(session)) = answer {
                    self.sessions.entry(session).or_default();
                }
                return;
            }
            Effect::Resolve(question) => {
                let told = sim::names::said(&question);
                let reply = Reply::Resolved { question, told };
                return self.engine.handle_reply(self.now(), reply);
            }
            Effect::TurnedAway(_)
            | Effect::CloseFlow(_)
            | Effect::Missed(_)
            | Effect::Show { .. }
            | Effect::Fraud(_)
            | Effect::Stopped(_)
            | Effect::Drained => return,
            other => Work::of(other),
        };
        self.works.extend(work);
    }

    /// A subscriber hears something.
    fn told(&mut self, message: &Message) {
        let nth = message.call_id().and_then(|id| id.strip_prefix("menu-")?.parse().ok());
        let Some(subscriber) = nth.and_then(|nth: usize| self.subscribers.get_mut(nth)) else {
            return;
        };
        let cseq = message.cseq().expect("a CSeq");
        if let Some(status) = message.status() {
            self.story.insert(format!("{status} {}", cseq.method));
            if cseq.method == Method::Invite && status == 200 {
                subscriber.tag = message.to_tag().map(Into::into).unwrap_or_default();
            }
            return;
        }
        self.story.insert(cseq.method.to_string());
        if cseq.method == Method::Info {
            let (number, now) = (cseq.number, self.elapsed);
            let open = subscriber.open.filter(|(_, since)| now < *since + PATIENCE);
            assert!(open.is_none_or(|(own, _)| own == number), "two INFOs at a time");
            if open.is_none() {
                subscriber.open = Some((number, now));
                subscriber.asked.push_back(message.clone());
            }
        }
    }

    fn end(&mut self) {
        self.settle_down();
        for session in std::mem::take(&mut self.calls) {
            self.phone.bye(self.now().mono, session, None);
            self.drain();
        }
        let end = self.elapsed + REST;
        while self.elapsed < end {
            self.settle_down();
            self.pass(Duration::from_secs(5));
        }
        let counts = self.engine.counts();
        let left = call::Counts {
            bindings: counts.bindings,
            refused: counts.refused,
            unwritten: counts.unwritten,
            delivered: counts.delivered,
            undelivered: counts.undelivered,
            keys_told: counts.keys_told,
            keys_untold: counts.keys_untold,
            bans: counts.bans,
            dropped: counts.dropped,
            drops: counts.drops,
            ..call::Counts::default()
        };
        assert_eq!(counts, left, "left over long after everybody has left");
        assert!(self.sessions.values().all(|session| session.over), "a session without an end");
        assert_eq!((self.store.holds(), self.store.open()), (0, 0));
        sim::audit::books(&self.store);
    }
}

fn credentials() -> Option<Credentials> {
    Some(Credentials {
        realm: Some(REALM.into()),
        username: EXTENSION.into(),
        password: PASSWORD.into(),
    })
}
