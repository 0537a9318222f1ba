//! What is to be seen at the door of merchants' own tries: put there by the engine's thread, read by requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use facts::ussd::{ActRefused, Shown};
use facts::{CallId, MerchantId};
use tokio::sync::oneshot;

/// Tries of one merchant at a time at most: they cost nothing, and take places of sessions.
const OF_ONE_MAX: usize = 100;
/// Seats from which on those that nobody came back to are looked for.
const SEATS: usize = 4096;

/// A seat for each session that is open, and for each whose end nobody has read yet.
#[derive(Debug, Default)]
pub(crate) struct Screens(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    all: BTreeMap<CallId, Seat>,
    /// So many there may be before it is looked again.
    room: usize,
}

#[derive(Debug)]
struct Seat {
    merchant: MerchantId,
    /// The engine has begun the session.
    begun: bool,
    /// What nobody has read yet.
    shown: Option<Shown>,
    /// Who waits for what is shown next.
    reader: Option<oneshot::Sender<Shown>>,
    /// What was odd in what comes next.
    note: Option<String>,
    /// Whoever opened the session has not looked yet.
    fresh: bool,
    over: bool,
}

/// What there is to be seen: now, or when it comes.
#[derive(Debug)]
pub(crate) enum Next {
    Now(Shown),
    Later(oneshot::Receiver<Shown>),
}

impl Screens {
    /// A session begins. Whoever opened it may be waiting already.
    pub(crate) fn begin(&self, session: CallId, merchant: MerchantId) {
        let mut seats = self.lock();
        let seat = seats.all.entry(session).or_insert_with(|| Seat::new(merchant));
        seat.begun = true;
        if seats.all.len() > seats.room.max(SEATS) {
            seats.all.retain(|_, seat| seat.begun && !seat.over);
            seats.room = seats.all.len() * 2;
        }
    }

    /// What is shown next has something odd, which whoever tries the menu out is told with it.
    pub(crate) fn note(&self, session: CallId, note: String) {
        if let Some(seat) = self.lock().all.get_mut(&session) {
            seat.note = Some(note);
        }
    }

    /// This is to be seen. Sessions of other doors have no seat.
    pub(crate) fn show(&self, session: CallId, text: String, more: bool) {
        let mut seats = self.lock();
        let Some(seat) = seats.all.get_mut(&session) else { return };
        let shown = Shown { session, text, more, note: seat.note.take() };
        seat.shown = match seat.reader.take() {
            Some(reader) => reader.send(shown).err(),
            None => Some(shown),
        };
    }

    /// The session is over. Whoever waits is told so; whoever opened it finds its last words.
    pub(crate) fn end(&self, session: CallId) {
        let mut seats = self.lock();
        let Some(seat) = seats.all.get_mut(&session) else { return };
        let waits = seat.reader.take();
        let told = waits.is_some_and(|reader| reader.send(Shown::nothing(session)).is_ok());
        if told || !seat.fresh {
            seats.all.remove(&session);
        } else {
            seat.over = true;
        }
    }

    /// What this merchant is to see, who opened the session. Call once: it may not have begun yet.
    pub(crate) fn first(&self, session: CallId, merchant: MerchantId) -> Next {
        let mut seats = self.lock();
        let seat = seats.all.entry(session).or_insert_with(|| Seat::new(merchant));
        seat.fresh = false;
        let (shown, over) = (seat.shown.take(), seat.over);
        if over {
            seats.all.remove(&session);
            return Next::Now(shown.unwrap_or_else(|| Shown::nothing(session)));
        }
        match shown {
            Some(shown) => Next::Now(shown),
            None => {
                let (sender, receiver) = oneshot::channel();
                seat.reader = Some(sender);
                Next::Later(receiver)
            }
        }
    }

    /// What this merchant is to see when he has typed something. Call before he does.
    ///
    /// # Errors
    /// When there is no such session of his, or somebody else waits for its page.
    pub(crate) fn next(
        &self,
        session: CallId,
        merchant: MerchantId,
    ) -> Result<oneshot::Receiver<Shown>, ActRefused> {
        let mut seats = self.lock();
        let seat = seats.all.get_mut(&session).filter(|seat| seat.is_of(merchant));
        let seat = seat.ok_or(ActRefused::NoSession)?;
        if seat.reader.as_ref().is_some_and(|reader| !reader.is_closed()) {
            return Err(ActRefused::NotNow);
        }
        let (sender, receiver) = oneshot::channel();
        // What he did not wait for is not what he typed to.
        (seat.shown, seat.reader) = (None, Some(sender));
        Ok(receiver)
    }

    /// Whether this merchant may open one more.
    pub(crate) fn has_room(&self, merchant: MerchantId) -> bool {
        let seats = self.lock();
        let open = seats.all.values().filter(|seat| seat.is_of(merchant));
        open.count() < OF_ONE_MAX
    }

    /// Whether this merchant has such a session.
    pub(crate) fn is_of(&self, session: CallId, merchant: MerchantId) -> bool {
        self.lock().all.get(&session).is_some_and(|seat| seat.is_of(merchant))
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn new(merchant: MerchantId) -> Seat {
        Seat {
            merchant,
            begun: false,
            shown: None,
            reader: None,
            note: None,
            fresh: true,
            over: false,
        }
    }

    fn is_of(&self, merchant: MerchantId) -> bool {
        self.merchant == merchant && !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: CallId = CallId(1);
    const OWNER: MerchantId = MerchantId(7);

    fn shown(text: &str, more: bool) -> Shown {
        Shown { session: SESSION, text: text.into(), more, note: None }
    }

    fn begun() -> Screens {
        let screens = Screens::default();
        screens.begin(SESSION, OWNER);
        screens
    }

    fn now(next: Next) -> Shown {
        let Next::Now(shown) = next else { panic!("not yet") };
        shown
    }

    fn later(next: Next) -> oneshot::Receiver<Shown> {
        let Next::Later(receiver) = next else { panic!("already") };
        receiver
    }

    #[test]
    fn s5_2_what_was_shown_before_anybody_looked_is_seen_and_what_comes_later_too() {
        let screens = begun();
        screens.show(SESSION, "menu".into(), true);
        assert_eq!(now(screens.first(SESSION, OWNER)), shown("menu", true));
        let mut typed = screens.next(SESSION, OWNER).unwrap();
        assert_eq!(screens.next(SESSION, OWNER).unwrap_err(), ActRefused::NotNow);
        // What was odd is told with what it belongs to, and once.
        screens.note(SESSION, "it answered 500".into());
        screens.show(SESSION, "again".into(), true);
        assert_eq!(typed.try_recv().unwrap().note.as_deref(), Some("it answered 500"));
        let mut typed = screens.next(SESSION, OWNER).unwrap();
        screens.show(SESSION, "bye".into(), false);
        screens.end(SESSION);
        assert_eq!(typed.try_recv().unwrap(), shown("bye", false));
        assert_eq!(screens.next(SESSION, OWNER).unwrap_err(), ActRefused::NoSession);
        assert!(screens.lock().all.is_empty());
        // Whoever looks before there is anything waits, also before it has begun; an end without a word is one.
        let screens = Screens::default();
        let mut first = later(screens.first(SESSION, OWNER));
        screens.begin(SESSION, OWNER);
        assert!(first.try_recv().is_err());
        screens.end(SESSION);
        assert_eq!(first.try_recv().unwrap(), Shown::nothing(SESSION));
        assert!(screens.lock().all.is_empty());
    }

    #[test]
    fn s5_2_last_words_wait_for_whoever_opened_the_session_and_for_nobody_else() {
        let screens = begun();
        screens.show(SESSION, "bye".into(), false);
        screens.end(SESSION);
        assert!(!screens.is_of(SESSION, OWNER), "it is over");
        assert_eq!(now(screens.first(SESSION, OWNER)), shown("bye", false));
        assert!(screens.lock().all.is_empty());
        // Nobody came: they go when there is no more room, and those that are open stay.
        screens.begin(CallId(u64::MAX), OWNER);
        for session in 0..SEATS as u64 {
            screens.begin(CallId(session), OWNER);
            screens.end(CallId(session));
        }
        assert_eq!(screens.lock().all.len(), 2);
        assert!(screens.is_of(CallId(u64::MAX), OWNER));
    }

    #[test]
    fn s5_2_a_session_of_somebody_else_is_none_and_whoever_left_the_page_waits_for_nothing() {
        let screens = begun();
        assert!(screens.is_of(SESSION, OWNER) && !screens.is_of(SESSION, MerchantId(8)));
        drop(later(screens.first(SESSION, OWNER)));
        assert_eq!(screens.next(SESSION, MerchantId(8)).unwrap_err(), ActRefused::NoSession);
        // His request broke off: what it waited for is not shown to the next.
        screens.show(SESSION, "menu".into(), true);
        let mut typed = screens.next(SESSION, OWNER).unwrap();
        assert!(typed.try_recv().is_err());
        screens.show(SESSION, "second".into(), true);
        assert_eq!(typed.try_recv().unwrap(), shown("second", true));
        screens.show(CallId(2), "of a phone".into(), true);
        assert_eq!(screens.lock().all.len(), 1);
        screens.end(SESSION);
        assert!(screens.lock().all.is_empty());
    }

    #[test]
    fn f17_a_merchant_has_so_many_tries_open_at_a_time() {
        let screens = Screens::default();
        for session in 0..OF_ONE_MAX as u64 {
            assert!(screens.has_room(OWNER));
            screens.begin(CallId(session), OWNER);
        }
        assert!(!screens.has_room(OWNER) && screens.has_room(MerchantId(8)));
        screens.end(CallId(5));
        assert!(screens.has_room(OWNER), "its end waits to be read, and takes no place");
    }
}
