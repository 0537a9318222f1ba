//! What every store promises the engine, whatever it is made of: SQLite, PostgreSQL, or the one in memory
//! that the simulation runs on. Each case begins with a fresh store in which one merchant has paid in ten
//! minutes of a public leg; a minute is charged when it starts, and whole.

use std::time::Duration;

use facts::ledger::{
    AddLeg, Added, Authorize, Authorized, Cap, Extend, Extended, JournalLeg, LegQuote, OpenCall,
};
use facts::policy::AtMost;
use facts::record::{CallFacts, LegFacts, LegState, Outcome, Side, StateChange};
use facts::{
    CallCommand, CallId, Dialect, LegId, LegNo, MerchantId, Micros, Number, Party, Push, PushKind,
    Refusal, RequestKey, UnixMillis,
};

/// A store under test.
pub(crate) trait Books {
    /// Price of a started minute of a public leg.
    fn minute(&self) -> Micros;
    /// The merchant who has paid in.
    fn merchant(&self) -> MerchantId;
    /// See [`Authorize`].
    fn authorize(&mut self, ask: Authorize) -> Authorized;
    /// Takes back an authorization that nobody heard of.
    fn abandon(&mut self, call: CallId);
    /// See [`AddLeg`]; `None` when there is no such open call.
    fn add_leg(&mut self, ask: AddLeg) -> Option<Added>;
    /// See [`Extend`]; `None` when there is no such open call.
    fn extend(&mut self, ask: Extend) -> Option<Extended>;
    /// Writes a leg down.
    fn journal(&mut self, leg: JournalLeg);
    /// Changes what ends a leg.
    fn papers(&mut self, leg: LegId, dialog: Option<Vec<u8>>);
    /// Proof of life.
    fn alive(&mut self, call: CallId, at: UnixMillis);
    /// Promises a state.
    fn notify(&mut self, change: StateChange);
    /// Closes a call.
    fn settle(&mut self, facts: CallFacts);
    /// What the merchant has, and how much of it is held.
    fn balance(&mut self) -> (Micros, Micros);
    /// Calls that a restart has to end, oldest first.
    fn open_calls(&mut self) -> Vec<OpenCall>;
    /// Legs of settled calls that a restart has to end.
    fn farewells(&mut self) -> Vec<JournalLeg>;
    /// The price on the CDR of each leg of a call, by leg; empty before it is settled.
    fn prices(&mut self, call: CallId) -> Vec<(LegNo, Micros)>;
    /// How many states of a call, and how many records, are promised.
    fn promised(&mut self, call: CallId) -> (usize, usize);
}

/// Calls a macro with the name of every case.
#[macro_export]
macro_rules! every_promise {
    ($with:ident) => {
        $with! {
            a_grant_holds_a_minute_of_each_leg_and_a_repeat_holds_no_more,
            a_repeat_of_a_grant_keeps_what_was_written_down,
            a_refusal_for_want_of_money_writes_nothing,
            one_more_leg_is_held_for_once_and_settled_with_its_call,
            time_is_paid_by_the_minute_and_a_repeated_step_answers_as_before,
            a_call_settled_twice_is_charged_once_and_what_was_left_goes_back,
            legs_that_were_not_answered_or_not_called_cost_nothing,
            a_number_is_rung_as_often_as_its_caps_allow,
            case_69_what_was_never_dialled_was_never_rung,
            s6_each_leg_of_a_call_counts_for_whom_it_rings,
            a_request_key_starts_one_call,
            an_id_belongs_to_one_call,
            what_nobody_heard_of_is_taken_back_unless_it_was_dialled,
            extensions_are_free_on_an_empty_account,
            late_news_of_a_settled_call_leaves_no_trace,
            a_restart_finds_the_legs_and_the_last_proof_of_life,
            what_ends_a_leg_outlives_its_call_until_the_far_end_knows,
            a_state_is_promised_once_and_a_record_with_its_call,
        }
    };
}

/// Where the time of every case begins.
const T0: UnixMillis = UnixMillis(1_763_700_000_000);
const MOBILE: &str = "8613800138000";
const OTHER: &str = "8613900139000";

fn at(seconds: u64) -> UnixMillis {
    T0 + Duration::from_secs(seconds)
}

fn party(digits: &str) -> Party {
    let number = if digits.len() <= 5 {
        Number::Internal(digits.into())
    } else {
        Number::E164(digits.into())
    };
    Party { number, as_sent: digits.into(), shown: None, ring: Duration::from_secs(60) }
}

fn command(books: &dyn Books, a: &str, b: &str) -> CallCommand {
    let push = |kind| Push {
        kind,
        dialect: Dialect::Ytx,
        endpoint: "http://merchant.example/x".into(),
        context: "{}".into(),
    };
    CallCommand {
        dialect: Dialect::Ytx,
        merchant: books.merchant(),
        sub_account: None,
        app: "app".into(),
        a: party(a),
        b: Some(party(b)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: vec![push(PushKind::State), push(PushKind::Record)],
        custom: String::new(),
    }
}

fn keyed(books: &dyn Books, fingerprint: &str) -> CallCommand {
    let key =
        RequestKey { dialect: Dialect::Ytx, key: "k".into(), fingerprint: fingerprint.into() };
    CallCommand { key: Some(key), ..command(books, MOBILE, OTHER) }
}

fn ask(call: u64, command: &CallCommand) -> Authorize {
    let legs = vec![
        LegQuote { leg: LegNo::A, number: command.a.number.clone() },
        LegQuote { leg: LegNo::B, number: command.b.as_ref().expect("it calls B").number.clone() },
    ];
    Authorize { call: CallId(call), command: command.clone(), legs, caps: vec![], at: T0 }
}

/// Authorizes; for how many seconds each leg is paid.
fn granted(books: &mut dyn Books, call: u64, command: &CallCommand) -> Vec<Option<u64>> {
    match books.authorize(ask(call, command)) {
        Authorized::Granted { paid } => {
            paid.iter().map(|paid| paid.until.map(|until| until.as_secs())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn extend(call: u64, leg: LegNo, step: u32) -> Extend {
    Extend { leg: LegId::new(CallId(call), leg), step, at: at(30) }
}

fn paid(seconds: u64) -> Option<Extended> {
    Some(Extended::Paid(Some(Duration::from_secs(seconds))))
}

fn leg(no: LegNo, party: &Party, answered: Option<u64>, ended: Option<u64>) -> LegFacts {
    LegFacts {
        no,
        number: party.number.clone(),
        as_sent: party.as_sent.clone(),
        shown: String::new(),
        trunk: "carrier".into(),
        sip_call_id: format!("{no}@tandem"),
        invited: T0,
        progress: None,
        alerting: None,
        answered: answered.map(at),
        ended: ended.map(at),
        sip_final: answered.map(|_| 200),
        q850: None,
        released_by: Some(Side::Caller),
        failure: None,
        replaced_by: None,
        paid_until: None,
        media: facts::media::MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

fn written(call: u64, facts: LegFacts, dialog: Option<&[u8]>) -> JournalLeg {
    let leg = LegId::new(CallId(call), facts.no);
    JournalLeg { leg, facts, dialog: dialog.map(<[u8]>::to_vec) }
}

fn closed(call: u64, command: &CallCommand, legs: Vec<LegFacts>) -> CallFacts {
    CallFacts {
        call: CallId(call),
        command: command.clone(),
        placed: T0,
        bridged: None,
        ended: legs.iter().filter_map(|leg| leg.ended).max().unwrap_or(T0),
        outcome: Outcome::Completed,
        released_by: Side::Caller,
        legs,
        unrung: Vec::new(),
        recording: None,
        unrecorded: None,
        message: None,
        mailbox: None,
        collected: Vec::new(),
    }
}

/// The facts of a call whose legs were answered and ended at these seconds.
fn talked(call: u64, command: &CallCommand, a: (u64, u64), b: (u64, u64)) -> CallFacts {
    let a = leg(LegNo::A, &command.a, Some(a.0), Some(a.1));
    let b = leg(LegNo::B, command.b.as_ref().expect("it calls B"), Some(b.0), Some(b.1));
    closed(call, command, vec![a, b])
}

fn minutes(books: &dyn Books, count: i64) -> Micros {
    Micros(books.minute().0 * count)
}

pub(crate) fn a_grant_holds_a_minute_of_each_leg_and_a_repeat_holds_no_more(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    assert_eq!(granted(books, 1, &command), [Some(60), Some(60)]);
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 2)));
    assert_eq!(granted(books, 1, &command), [Some(60), Some(60)]);
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 2)));
    let open = books.open_calls();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].call, &open[0].command, open[0].placed), (CallId(1), &command, T0));
    assert_eq!((&open[0].legs[..], open[0].alive), (&[][..], T0));
}

pub(crate) fn a_repeat_of_a_grant_keeps_what_was_written_down(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    assert_eq!(books.extend(extend(1, LegNo::A, 1)), paid(120));
    let a = written(1, leg(LegNo::A, &command.a, Some(2), None), Some(b"up"));
    books.journal(a.clone());
    books.alive(CallId(1), at(9));
    assert_eq!(granted(books, 1, &command), [Some(120), Some(60)]);
    let open = books.open_calls();
    assert_eq!((&open[0].legs, open[0].alive), (&vec![a], at(9)));
    assert_eq!(books.balance().1, minutes(books, 3));
}

pub(crate) fn a_refusal_for_want_of_money_writes_nothing(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    for call in 1..=5 {
        granted(books, call, &command);
    }
    let poor = keyed(books, "f");
    let refused = books.authorize(ask(6, &poor));
    assert_eq!(refused, Authorized::Refused(Refusal::NoBalance));
    assert_eq!(books.open_calls().len(), 5);
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 10)));
    // Its key is free: with money there again the same request starts a call.
    books.abandon(CallId(1));
    assert_eq!(granted(books, 7, &poor), [Some(60), Some(60)]);
}

pub(crate) fn time_is_paid_by_the_minute_and_a_repeated_step_answers_as_before(
    books: &mut dyn Books,
) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    for (step, until) in (1..=8).zip((120..).step_by(60)) {
        assert_eq!(books.extend(extend(1, LegNo::A, step)), paid(until));
    }
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 10)));
    assert_eq!(books.extend(extend(1, LegNo::B, 1)), Some(Extended::Exhausted));
    assert_eq!(books.extend(extend(1, LegNo::A, 8)), paid(540));
    assert_eq!(books.extend(extend(1, LegNo::A, 3)), paid(240), "as the first time");
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 10)));
    assert_eq!(books.extend(extend(2, LegNo::A, 1)), None, "nobody's call");
}

pub(crate) fn a_call_settled_twice_is_charged_once_and_what_was_left_goes_back(
    books: &mut dyn Books,
) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    assert_eq!(books.extend(extend(1, LegNo::A, 1)), paid(120));
    assert_eq!(books.extend(extend(1, LegNo::B, 1)), paid(120));
    books.settle(talked(1, &command, (1, 80), (21, 81)));
    let charged = vec![(LegNo::A, minutes(books, 2)), (LegNo::B, minutes(books, 1))];
    for _ in 0..2 {
        assert_eq!(books.prices(CallId(1)), charged);
        assert_eq!(books.balance(), (minutes(books, 7), Micros::ZERO));
        assert_eq!(books.open_calls(), []);
        assert_eq!(books.promised(CallId(1)).1, 1);
        // Later, and with other facts.
        books.settle(talked(1, &command, (1, 500), (21, 500)));
    }
}

pub(crate) fn legs_that_were_not_answered_or_not_called_cost_nothing(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    let rang = leg(LegNo::A, &command.a, None, Some(40));
    books.settle(closed(1, &command, vec![rang]));
    assert_eq!(books.prices(CallId(1)), [(LegNo::A, Micros::ZERO)]);
    assert_eq!(books.balance(), (minutes(books, 10), Micros::ZERO));
    granted(books, 2, &command);
    books.settle(closed(2, &command, Vec::new()));
    assert_eq!(books.prices(CallId(2)), []);
    assert_eq!(books.promised(CallId(2)).1, 1, "it was accepted, so its merchant is told");
    assert_eq!(books.balance(), (minutes(books, 10), Micros::ZERO));
}

fn capped(key: &str, number: &str, at_most: &[(u32, u32)]) -> Cap {
    let span = |&(calls, within_s): &(u32, u32)| AtMost { calls, within_s };
    let at_most = at_most.iter().map(span).collect();
    Cap { leg: LegNo::B, key: key.into(), number: number.into(), at_most }
}

/// Whether a call begins at a second under these caps. It costs nothing.
fn begins(books: &mut dyn Books, call: u64, second: u64, caps: &[Cap]) -> bool {
    let command = command(books, "80000", "80001");
    let ask = Authorize { caps: caps.to_vec(), at: at(second), ..ask(call, &command) };
    match books.authorize(ask) {
        Authorized::Granted { .. } => true,
        Authorized::Refused(Refusal::TooOften) => false,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn a_number_is_rung_as_often_as_its_caps_allow(books: &mut dyn Books) {
    let caps = [capped("p1", MOBILE, &[(1, 60), (3, 3_600)]), capped("p2", MOBILE, &[(4, 86_400)])];
    for (call, second, may) in [
        (1, 0, true),
        (2, 59, false),
        // What was refused was not counted.
        (3, 60, true),
        (4, 120, true),
        (5, 180, false),
        (6, 3_601, true),
        // The other cap.
        (7, 9_000, false),
        (8, 86_400, true),
    ] {
        assert_eq!(begins(books, call, second, &caps), may, "{call}");
        // A repeat is counted once.
        assert_eq!(begins(books, call, second, &caps), may, "{call} again");
    }
    assert!(begins(books, 9, 86_401, &[capped("p1", OTHER, &[(1, 60)])]), "another number");
    assert!(begins(books, 10, 86_402, &[capped("p3", MOBILE, &[(1, 60)])]), "counted elsewhere");
    // One more leg of a call counts as a call does, its repeats once.
    let add = |no: u8, second| AddLeg {
        leg: LegId::new(CallId(10), LegNo(no)),
        number: party("80001").number,
        own: vec![],
        caps: vec![Cap { leg: LegNo(no), ..capped("p3", MOBILE, &[(2, 3_600)]) }],
        at: at(second),
    };
    assert_eq!(books.add_leg(add(2, 86_403)), Some(Added::Paid(None)));
    assert_eq!(books.add_leg(add(2, 86_404)), Some(Added::Paid(None)));
    assert_eq!(books.add_leg(add(3, 86_405)), Some(Added::Refused(Refusal::TooOften)));
}

/// Somebody is rung by a callback whether he is called by it or joined to somebody.
pub(crate) fn s6_each_leg_of_a_call_counts_for_whom_it_rings(books: &mut dyn Books) {
    let both = |second: &str| {
        let a = Cap { leg: LegNo::A, ..capped("p1", MOBILE, &[(2, 3_600)]) };
        [a, capped("p1", second, &[(2, 3_600)])]
    };
    assert!(begins(books, 1, 0, &both(OTHER)));
    assert!(begins(books, 2, 1, &both("8613700137000")));
    assert!(!begins(books, 3, 2, &both("8613700137001")), "A was rung twice");
    assert!(!begins(books, 4, 3, &[capped("p1", MOBILE, &[(2, 3_600)])]), "as whoever");
    assert!(begins(books, 5, 4, &[capped("p1", "8613700137001", &[(1, 3_600)])]), "not refused B");
    // A call that A did not take rang A, and nobody else.
    let command = command(books, "80000", "80001");
    let rang = leg(LegNo::A, &command.a, None, Some(20));
    books.settle(closed(1, &command, vec![rang]));
    assert!(begins(books, 6, 30, &[capped("p1", OTHER, &[(1, 3_600)])]));
    assert!(!begins(books, 7, 31, &[capped("p1", MOBILE, &[(2, 3_600)])]));
}

pub(crate) fn case_69_what_was_never_dialled_was_never_rung(books: &mut dyn Books) {
    let caps = [capped("p1", MOBILE, &[(1, 3_600)])];
    let command = command(books, "80000", "80001");
    let (a, b) = (&command.a, command.b.as_ref().expect("it calls B"));
    assert!(begins(books, 1, 0, &caps));
    books.settle(closed(1, &command, Vec::new()));
    assert!(begins(books, 2, 10, &caps), "nobody was dialled");
    books.settle(closed(2, &command, vec![leg(LegNo::A, a, None, Some(20))]));
    assert!(begins(books, 3, 20, &caps), "A did not answer");
    books.abandon(CallId(3));
    assert!(begins(books, 4, 30, &caps), "it was taken back");
    let legs = vec![leg(LegNo::A, a, Some(31), Some(40)), leg(LegNo::B, b, None, Some(40))];
    books.settle(closed(4, &command, legs));
    assert!(!begins(books, 5, 50, &caps), "it rang");
}

pub(crate) fn one_more_leg_is_held_for_once_and_settled_with_its_call(books: &mut dyn Books) {
    const C: LegNo = LegNo(2);
    let command = command(books, MOBILE, OTHER);
    let add = |call: u64, digits: &str| AddLeg {
        leg: LegId::new(CallId(call), C),
        number: party(digits).number,
        own: vec![],
        caps: vec![],
        at: at(20),
    };
    assert_eq!(books.add_leg(add(1, MOBILE)), None, "no such call");
    granted(books, 1, &command);
    for _ in 0..2 {
        let minute = Added::Paid(Some(Duration::from_secs(60)));
        assert_eq!(books.add_leg(add(1, MOBILE)), Some(minute));
        assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 3)));
    }
    assert_eq!(books.extend(extend(1, C, 1)), paid(120));
    // An extension costs nothing, and what cannot be paid is not held for.
    granted(books, 2, &command);
    let free = books.add_leg(AddLeg { leg: LegId::new(CallId(2), LegNo(3)), ..add(2, "80001") });
    assert_eq!(free, Some(Added::Paid(None)));
    granted(books, 3, &command);
    granted(books, 4, &command);
    assert_eq!(books.balance().1, minutes(books, 10));
    assert_eq!(books.add_leg(add(2, MOBILE)), Some(Added::Refused(Refusal::NoBalance)));
    assert_eq!(books.balance().1, minutes(books, 10));
    let mut facts = talked(1, &command, (0, 59), (5, 30));
    facts.legs.push(leg(C, &party(MOBILE), Some(25), Some(59)));
    books.settle(facts);
    let minute = minutes(books, 1);
    assert_eq!(books.prices(CallId(1)), [LegNo::A, LegNo::B, C].map(|no| (no, minute)));
    assert_eq!(books.balance(), (minutes(books, 7), minutes(books, 6)));
    assert_eq!(books.add_leg(add(1, MOBILE)), None, "it is over");
}

pub(crate) fn a_request_key_starts_one_call(books: &mut dyn Books) {
    let (command, other) = (keyed(books, "f"), keyed(books, "g"));
    granted(books, 1, &command);
    for _ in 0..2 {
        let existing = Authorized::Existing { call: CallId(1) };
        assert_eq!(books.authorize(ask(2, &command)), existing);
        let conflict = Authorized::Refused(Refusal::KeyConflict);
        assert_eq!(books.authorize(ask(2, &other)), conflict);
        // The same when it is over.
        books.settle(talked(1, &command, (1, 2), (1, 2)));
    }
    assert_eq!(books.open_calls(), []);
    assert_eq!(books.balance(), (minutes(books, 8), Micros::ZERO));
}

pub(crate) fn an_id_belongs_to_one_call(books: &mut dyn Books) {
    let (first, second) = (command(books, MOBILE, OTHER), command(books, OTHER, MOBILE));
    granted(books, 1, &first);
    let refused = Authorized::Refused(Refusal::Internal);
    assert_eq!(books.authorize(ask(1, &second)), refused);
    assert_eq!(books.balance().1, minutes(books, 2));
    books.settle(talked(1, &first, (1, 2), (1, 2)));
    assert_eq!(books.authorize(ask(1, &first)), refused, "nobody talks on its holds");
    assert_eq!(books.open_calls(), []);
    assert_eq!(books.balance(), (minutes(books, 8), Micros::ZERO));
}

pub(crate) fn what_nobody_heard_of_is_taken_back_unless_it_was_dialled(books: &mut dyn Books) {
    let command = keyed(books, "f");
    granted(books, 1, &command);
    for _ in 0..2 {
        books.abandon(CallId(1));
        assert_eq!(books.open_calls(), []);
        assert_eq!(books.balance(), (minutes(books, 10), Micros::ZERO));
    }
    // Its key and its id are as if never used.
    let other = keyed(books, "g");
    granted(books, 1, &other);
    books.abandon(CallId(1));
    granted(books, 2, &command);
    books.journal(written(2, leg(LegNo::A, &command.a, None, None), Some(b"early")));
    books.abandon(CallId(2));
    assert_eq!(books.open_calls().len(), 1, "somebody's phone rings");
    books.settle(talked(2, &command, (1, 2), (1, 2)));
    books.abandon(CallId(2));
    assert_eq!(books.prices(CallId(2)).len(), 2);
    assert_eq!(books.authorize(ask(3, &command)), Authorized::Existing { call: CallId(2) });
}

pub(crate) fn extensions_are_free_on_an_empty_account(books: &mut dyn Books) {
    let command = command(books, "70000", "70001");
    let rich = self::command(books, MOBILE, OTHER);
    for call in 1..=5 {
        granted(books, call, &rich);
    }
    assert_eq!(granted(books, 6, &command), [None, None]);
    assert_eq!(books.extend(extend(6, LegNo::A, 1)), Some(Extended::Paid(None)));
    assert_eq!(books.balance().1, minutes(books, 10));
    books.settle(talked(6, &command, (1, 500), (2, 500)));
    assert_eq!(books.prices(CallId(6)), [(LegNo::A, Micros::ZERO), (LegNo::B, Micros::ZERO)]);
    assert_eq!(books.balance(), (minutes(books, 10), minutes(books, 10)));
}

pub(crate) fn late_news_of_a_settled_call_leaves_no_trace(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    books.settle(talked(1, &command, (1, 2), (1, 2)));
    books.journal(written(1, leg(LegNo::A, &command.a, Some(1), None), Some(b"up")));
    books.papers(LegId::new(CallId(1), LegNo::A), Some(b"up".to_vec()));
    books.alive(CallId(1), at(100));
    assert_eq!(books.extend(extend(1, LegNo::A, 1)), None);
    assert_eq!((books.open_calls(), books.farewells()), (vec![], vec![]));
    assert_eq!(books.balance(), (minutes(books, 8), Micros::ZERO));
}

pub(crate) fn a_restart_finds_the_legs_and_the_last_proof_of_life(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 2, &command);
    granted(books, 1, &command);
    let early = written(1, leg(LegNo::A, &command.a, None, None), Some(b"early"));
    let up = written(1, leg(LegNo::A, &command.a, Some(5), None), Some(b"up"));
    let b = written(1, leg(LegNo::B, command.b.as_ref().expect("it calls B"), None, None), None);
    books.journal(b.clone());
    books.journal(early);
    books.journal(up.clone());
    let open = books.open_calls();
    assert_eq!(open.iter().map(|open| open.call.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(open[0].legs, [up, b], "as last written, in order");
    // Whoever was answered lived then; proofs of life only move on.
    assert_eq!((open[0].alive, open[1].alive), (at(5), T0));
    for (proof, alive) in [(20, 20), (10, 20), (21, 21)] {
        books.alive(CallId(1), at(proof));
        assert_eq!(books.open_calls()[0].alive, at(alive));
    }
}

pub(crate) fn what_ends_a_leg_outlives_its_call_until_the_far_end_knows(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    let (a, b) = (LegId::new(CallId(1), LegNo::A), LegId::new(CallId(1), LegNo::B));
    for (no, party) in [(LegNo::A, &command.a), (LegNo::B, command.b.as_ref().expect("it calls B"))]
    {
        books.journal(written(1, leg(no, party, Some(1), Some(2)), Some(b"up")));
    }
    // A's far end hung up by itself: its row stays for the record, without papers.
    books.papers(a, None);
    let open = books.open_calls();
    let dialogs: Vec<_> = open[0].legs.iter().map(|leg| leg.dialog.as_deref()).collect();
    assert_eq!(dialogs, [None, Some(&b"up"[..])]);
    assert_eq!(books.farewells(), [], "of settled calls alone");
    books.settle(talked(1, &command, (1, 2), (1, 2)));
    let owed = books.farewells();
    assert_eq!(owed, [open[0].legs[1].clone()], "B was not told yet");
    books.papers(b, Some(b"again".to_vec()));
    assert_eq!(books.farewells()[0].dialog.as_deref(), Some(&b"again"[..]));
    for _ in 0..2 {
        books.papers(b, None);
        assert_eq!(books.farewells(), []);
    }
    books.papers(b, Some(b"late".to_vec()));
    assert_eq!(books.farewells(), [], "what is forgotten stays so");
}

pub(crate) fn a_state_is_promised_once_and_a_record_with_its_call(books: &mut dyn Books) {
    let command = command(books, MOBILE, OTHER);
    granted(books, 1, &command);
    let change = |sequence, state| StateChange {
        leg: LegId::new(CallId(1), LegNo::A),
        sequence,
        state,
        number: MOBILE.into(),
        shown: String::new(),
        at: at(u64::from(sequence)),
        extension: None,
    };
    for _ in 0..2 {
        books.notify(change(0, LegState::Callout));
        books.notify(change(1, LegState::Disconnect));
    }
    assert_eq!(books.promised(CallId(1)), (2, 0));
    for _ in 0..2 {
        books.settle(talked(1, &command, (1, 2), (1, 2)));
        assert_eq!(books.promised(CallId(1)), (2, 1));
    }
}
