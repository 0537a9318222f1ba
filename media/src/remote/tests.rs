use std::sync::Mutex;
use std::sync::mpsc::{Receiver as Listener, Sender as Teller, channel};

use facts::media::Codec;
use facts::{CallId, LegId, LegNo};

use super::*;
use crate::loader::Door;
use crate::worker::{Bell, Order};

const FLAC: &[u8] = include_bytes!("../prompt/samples/tone.flac");
const OPUS: &[u8] = include_bytes!("../prompt/samples/tone.opus");
const PATIENCE: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3_600);
const URL: &str = "https://sounds.example/a.flac?token=secret";

/// A visitor whose visits wait for what the test says.
struct Web {
    visits: Mutex<Teller<(String, Validators, Done)>>,
}

impl Visitor for Web {
    fn visit(&self, url: String, known: Validators, done: Done) {
        let _ = self.visits.lock().unwrap().send((url, known, done));
    }

    fn is_near(&self, url: &str) -> bool {
        url.starts_with("near:")
    }
}

struct World {
    remote: Remote,
    visits: Listener<(String, Validators, Done)>,
    orders: Receiver<Order>,
    to: Door,
}

impl World {
    fn new(fresh: Duration, folder: Option<PathBuf>) -> World {
        let (send, visits) = channel();
        let visitor = Arc::new(Web { visits: Mutex::new(send) });
        let config = RemoteConfig {
            visitor,
            folder,
            folder_max: 1_000_000,
            keep: LONG,
            fresh,
            spoken_at_once: 2,
        };
        let (sender, orders) = bounded(4_096);
        let to =
            Door { orders: sender, bell: Arc::new(Bell::new().unwrap()), lost: Arc::default() };
        World { remote: Remote::start(config).unwrap(), visits, orders, to }
    }

    fn want(&self, url: &str) {
        self.wish(Wish::Url(url.to_owned()));
    }

    /// The same for the leg of a call that somebody pays for, before it rings.
    fn want_ahead(&self, url: &str, merchant: i64) {
        self.wish(Wish::Ahead(url.to_owned(), MerchantId(merchant)));
    }

    fn wish(&self, wish: Wish) {
        let leg = LegId { call: CallId(1), no: LegNo(0) };
        let to = self.to.clone();
        assert!(self.remote.ask(Wanted { leg, wish, codec: Codec::Pcma, to }));
    }

    fn visited(&self) -> (Validators, Done) {
        let (url, known, done) = self.visits.recv_timeout(PATIENCE).unwrap();
        assert_eq!(url, URL);
        (known, done)
    }

    fn had(&self) -> Had {
        match self.orders.recv_timeout(PATIENCE).unwrap() {
            Order::Loaded { sound, .. } => sound,
            other => panic!("{other:?}"),
        }
    }

    /// Wants it, tells what the visit came to, and gives what the leg had.
    fn visit(&self, outcome: Result<Fetched, FetchError>) -> (Validators, Had) {
        self.want(URL);
        let (known, done) = self.visited();
        done.tell(outcome);
        (known, self.had())
    }

    fn nobody_visits(&self) {
        assert!(self.visits.recv_timeout(Duration::from_millis(50)).is_err());
    }
}

fn answer(status: u16, body: &[u8], etag: &str) -> Result<Fetched, FetchError> {
    let etag = (!etag.is_empty()).then(|| etag.to_owned());
    let validators = Validators { etag, last_modified: None };
    let body = body.to_vec();
    Ok(Fetched { status, body, content_type: None, validators, retry_after_s: None })
}

#[test]
fn one_visit_serves_all_who_wait_and_they_share_one_sound() {
    let w = World::new(LONG, None);
    for _ in 0..100 {
        w.want(URL);
    }
    let (known, done) = w.visited();
    assert_eq!(known, Validators::default());
    w.nobody_visits();
    done.tell(answer(200, FLAC, "\"1\""));
    let first = w.had().unwrap();
    assert_eq!(first.alaw().len(), 25);
    for _ in 1..100 {
        assert!(Arc::ptr_eq(&w.had().unwrap(), &first));
    }
    // What is fresh is not asked for again.
    w.want(URL);
    assert!(Arc::ptr_eq(&w.had().unwrap(), &first));
    w.nobody_visits();
}

#[test]
fn rfc9110_13_1_what_may_be_old_is_asked_for_with_its_tag_and_kept_when_it_is_the_same() {
    let w = World::new(Duration::ZERO, None);
    let first = w.visit(answer(200, FLAC, "\"1\"")).1.unwrap();
    let (known, same) = w.visit(answer(304, b"", ""));
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    assert!(Arc::ptr_eq(&same.unwrap(), &first));
    let (known, other) = w.visit(answer(200, OPUS, "\"2\""));
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    assert!(!Arc::ptr_eq(&other.unwrap(), &first));
    let (known, _) = w.visit(answer(304, b"", ""));
    assert_eq!(known.etag.as_deref(), Some("\"2\""));
    assert_eq!(w.remote.counts().unchanged.load(Ordering::Relaxed), 2);
}

#[test]
fn what_failed_has_a_reason_and_is_not_asked_for_again_for_a_while() {
    let lost = |error| -> Result<Fetched, FetchError> { Err(error) };
    for (outcome, why) in [
        (lost(FetchError::Refused), Unplayable::Refused),
        (lost(FetchError::BadUrl), Unplayable::Refused),
        (lost(FetchError::TooLarge), Unplayable::TooLarge),
        (lost(FetchError::TimedOut), Unplayable::TimedOut),
        (lost(FetchError::Failed("reset".into())), Unplayable::Unreachable),
        (answer(404, b"", ""), Unplayable::Missing),
        (answer(500, b"", ""), Unplayable::Unreachable),
        (answer(304, b"", ""), Unplayable::Unreachable),
        // Whatever its server calls it.
        (answer(200, b"<html>this is not a sound</html>", ""), Unplayable::NotASound),
        (answer(200, &FLAC[..FLAC.len() / 2], ""), Unplayable::NotASound),
    ] {
        let w = World::new(LONG, None);
        assert_eq!(w.visit(outcome).1.err(), Some(why));
        w.want(URL);
        assert_eq!(w.had().err(), Some(why));
        w.nobody_visits();
    }
}

#[test]
fn a_visit_that_nobody_ends_has_failed() {
    let w = World::new(LONG, None);
    w.want(URL);
    drop(w.visited().1);
    assert_eq!(w.had().err(), Some(Unplayable::Unreachable));
}

#[test]
fn a_server_that_is_away_is_heard_as_it_was_and_one_that_has_it_no_more_is_not() {
    let w = World::new(Duration::ZERO, None);
    let first = w.visit(answer(200, FLAC, "")).1.unwrap();
    let (_, old) = w.visit(Err(FetchError::TimedOut));
    assert!(Arc::ptr_eq(&old.unwrap(), &first));
    // And is left alone for a while.
    w.want(URL);
    assert!(Arc::ptr_eq(&w.had().unwrap(), &first));
    w.nobody_visits();
    let w = World::new(Duration::ZERO, None);
    assert!(w.visit(answer(200, FLAC, "")).1.is_ok());
    assert_eq!(w.visit(answer(410, b"", "")).1.err(), Some(Unplayable::Missing));
    w.want(URL);
    assert_eq!(w.had().err(), Some(Unplayable::Missing));
}

#[test]
fn after_a_restart_the_folder_has_it_still() {
    let folder = tempfile::tempdir().unwrap();
    let open = || World::new(LONG, Some(folder.path().join("sounds")));
    assert!(open().visit(answer(200, FLAC, "\"1\"")).1.is_ok());
    let w = open();
    let (known, same) = w.visit(answer(304, b"", ""));
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    assert_eq!(same.unwrap().alaw().len(), 25);
    let (_, old) = open().visit(Err(FetchError::Failed("connect".into())));
    assert_eq!(old.unwrap().alaw().len(), 25);
    assert_eq!(open().visit(answer(404, b"", "")).1.err(), Some(Unplayable::Missing));
    let (known, _) = open().visit(answer(404, b"", ""));
    assert_eq!(known, Validators::default(), "nothing of it is left");
}

#[test]
fn rfc9110_13_1_a_damaged_file_is_not_called_ours_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = folder.path().join("sounds");
    let open = || World::new(LONG, Some(sounds.clone()));
    let damage = || {
        let file = std::fs::read_dir(&sounds).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        let length = bytes.len();
        bytes[length / 4..].fill(0);
        std::fs::write(file, bytes).unwrap();
    };
    assert!(open().visit(answer(200, FLAC, "\"1\"")).1.is_ok());
    damage();
    let w = open();
    w.want(URL);
    let (known, done) = w.visited();
    assert_eq!(known.etag.as_deref(), Some("\"1\""));
    done.tell(answer(304, b"", ""));
    let (known, done) = w.visited();
    assert_eq!(known, Validators::default(), "all of it");
    // Who asks meanwhile waits for the same visit.
    w.want(URL);
    done.tell(answer(200, FLAC, "\"1\""));
    assert_eq!(w.had().unwrap().alaw().len(), 25);
    assert_eq!(w.had().unwrap().alaw().len(), 25);
    assert_eq!(w.remote.counts().unchanged.load(Ordering::Relaxed), 0);
    drop(w);
    // A server that says so whatever it is asked is asked twice.
    damage();
    let w = open();
    w.want(URL);
    w.visited().1.tell(answer(304, b"", ""));
    w.visited().1.tell(answer(304, b"", ""));
    assert_eq!(w.had().err(), Some(Unplayable::Unreachable));
    w.nobody_visits();
}

#[test]
fn many_visits_wait_for_their_turn_and_long_addresses_are_refused() {
    let w = World::new(LONG, None);
    let visits: Vec<_> = (0..VISITS_MAX)
        .map(|n| {
            w.want(&format!("https://slow.example/{n}"));
            w.visits.recv_timeout(PATIENCE).unwrap().2
        })
        .collect();
    w.want(URL);
    w.nobody_visits();
    for done in visits {
        done.tell(answer(200, OPUS, ""));
    }
    for _ in 0..VISITS_MAX {
        assert!(w.had().is_ok());
    }
    // One more waits for its turn, and has it.
    w.visited().1.tell(answer(200, FLAC, ""));
    assert!(w.had().is_ok());
    w.want(&format!("https://a.example/{}", "x".repeat(URL_MAX)));
    assert_eq!(w.had().err(), Some(Unplayable::Refused));
    assert!(w.remote.counts().held.load(Ordering::Relaxed) > 0);
}

#[test]
fn one_merchant_takes_a_part_of_the_places_and_none_of_those_for_calls_that_are_up() {
    let w = World::new(LONG, None);
    let busy = |waits: usize, refused: usize| {
        let told: Vec<Had> = (0..refused).map(|_| w.had()).collect();
        assert!(told.iter().all(|had| had.as_ref().err() == Some(&Unplayable::Busy)));
        assert!(w.orders.try_recv().is_err(), "{waits} wait");
    };
    (0..600).for_each(|_| w.want_ahead(URL, 1));
    busy(512, 88);
    // Others have their places, all of them together no more than leaves room for who is up.
    (0..200).for_each(|_| w.want_ahead(URL, 2));
    (0..100).for_each(|_| w.want_ahead("https://other.example/", 3));
    busy(768, 44);
    (0..300).for_each(|_| w.want(URL));
    busy(1_024, 44);
    w.visited().1.tell(answer(200, FLAC, ""));
    for _ in 0..512 + 200 + 256 {
        assert!(w.had().is_ok());
    }
    let (_, _, done) = w.visits.recv_timeout(PATIENCE).unwrap();
    done.tell(answer(404, b"", ""));
    for _ in 0..56 {
        assert_eq!(w.had().err(), Some(Unplayable::Missing));
    }
    // All places are free again.
    (0..513).for_each(|_| w.want_ahead("https://third.example/", 1));
    busy(512, 1);
}

#[test]
fn s4_9_what_lies_in_this_house_is_asked_for_again_at_once() {
    let w = World::new(LONG, None);
    let visit = |outcome| {
        w.want("near:1/ab");
        w.visits.recv_timeout(PATIENCE).unwrap().2.tell(outcome);
        w.had()
    };
    assert_eq!(visit(answer(404, b"", "")).err(), Some(Unplayable::Missing));
    assert_eq!(visit(Err(FetchError::Failed("away".into()))).err(), Some(Unplayable::Unreachable));
    assert!(visit(answer(200, FLAC, "\"ab\"")).is_ok());
}

#[test]
fn s5_6_texts_of_one_merchant_take_no_visit_no_others_turn_and_no_place_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let w = World::new(LONG, Some(folder.path().to_owned()));
    let text = |merchant: i64, n: usize| format!("speech:{merchant}:fa:text {n}");
    // One merchant has more texts than may wait, and none of them is spoken yet.
    for n in 0..200 {
        w.want(&text(1, n));
    }
    let (first, _, slow) = w.visits.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first, text(1, 0));
    for _ in spoken::WAITING_OF_ONE..200 {
        assert!(matches!(w.had(), Err(Unplayable::Busy)));
    }
    w.nobody_visits();
    // Another one's text and all addresses go their way.
    w.want(&text(2, 0));
    let (url, _, done) = w.visits.recv_timeout(PATIENCE).unwrap();
    assert_eq!(url, text(2, 0));
    done.tell(answer(200, FLAC, ""));
    assert!(w.had().is_ok());
    assert!(w.visit(answer(200, FLAC, "\"1\"")).1.is_ok());
    for n in 1..VISITS_MAX {
        w.want(&format!("https://sounds.example/{n}"));
    }
    let others: Vec<_> =
        (1..VISITS_MAX).map(|_| w.visits.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(others.iter().all(|(url, ..)| url.starts_with("https:")));
    // What was spoken is heard again without being spoken again, and is in no file.
    w.want(&text(2, 0));
    assert!(w.had().is_ok());
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "that of the address");
    // His next one, when the one before is over; a failure is remembered, for it alone.
    slow.tell(Err(FetchError::TimedOut));
    assert!(matches!(w.had(), Err(Unplayable::TimedOut)));
    let (next, _, _slow) = w.visits.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next, text(1, 1));
    w.want(&text(1, 0));
    assert!(matches!(w.had(), Err(Unplayable::TimedOut)));
    w.nobody_visits();
}
