//! Conferences: numbers, bookings, and the books of a call with many legs (merchant API §3.6, §3.9).

use billing::rows::{Booked, ConferenceState, OutboxState};
use billing::{Store, StoreConfig};
use facts::conference::Conference;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, LegQuote};
use facts::{CallCommand, CallId, Dialect, LegId, LegNo, Purpose, PushKind, Refusal, RequestKey};

use crate::support::*;

fn asked(merchant: facts::MerchantId, number: &str) -> CallCommand {
    CallCommand {
        b: None,
        purpose: Purpose::Conference,
        conference: Some(Box::new(Conference {
            number: number.into(),
            title: String::new(),
            creator: String::new(),
            others: Vec::new(),
            chimes: false,
            booking: None,
        })),
        pushes: vec![push(PushKind::Record, "http://a.example/Call")],
        ..command(merchant, HOME, HOME_B)
    }
}

async fn ask(store: &Store, call: u64, command: &CallCommand) -> Authorized {
    let legs = vec![LegQuote { leg: LegNo::A, number: command.a.number.clone() }];
    let command = command.clone();
    store
        .authorize(Authorize { call: CallId(call), command, legs, caps: vec![], at: T0 })
        .await
        .unwrap()
}

fn is_granted(answer: &Authorized) -> bool {
    matches!(answer, Authorized::Granted { .. })
}

pub(crate) async fn s3_6_a_number_is_somebodys_until_its_call_is_settled(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let first = asked(merchant, "516152");
    assert!(is_granted(&ask(&store, 1, &first).await));
    assert!(is_granted(&ask(&store, 1, &first).await), "its own repeat");
    let taken = Authorized::Refused(Refusal::KeyConflict);
    assert_eq!(ask(&store, 2, &first).await, taken);
    assert!(is_granted(&ask(&store, 3, &asked(merchant, "516153")).await));
    let held = async |number: &str| {
        let entry = store.conference(Dialect::Ytx, "app1", number).await.unwrap().unwrap();
        (entry.state, entry.call.map(|call| call.0), entry.ended)
    };
    assert_eq!(held("516152").await, (ConferenceState::Live, Some(1), None));
    assert!(store.conference(Dialect::Ytx, "app2", "516152").await.unwrap().is_none());
    let mut ended = facts(1, &first, None, None);
    ended.legs = vec![leg(LegNo::A, &first.a, Some(2), 10)];
    ended.ended = at(10);
    store.settle(ended, context()).await.unwrap();
    assert_eq!(held("516152").await, (ConferenceState::Over, Some(1), Some(at(10))));
    assert!(is_granted(&ask(&store, 4, &first).await), "it may be had again");
    assert_eq!(held("516152").await.1, Some(4));
    // What is taken back was never somebody's.
    assert!(store.abandon(CallId(4), merchant).await.unwrap());
    assert_eq!(held("516152").await.1, Some(1));
    assert!(is_granted(&ask(&store, 5, &first).await));
}

pub(crate) async fn s3_6_a_booking_is_begun_once_and_kept_over_a_restart(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "100").await;
    let wanted = asked(merchant, "600001");
    let book = async |command: &CallCommand, start| {
        store.book_conference(command.clone(), None, (start, T0)).await.unwrap()
    };
    let Booked::Now(id) = book(&wanted, at(100)).await else { panic!() };
    assert_eq!(book(&wanted, at(200)).await, Booked::Taken);
    assert_eq!(ask(&store, 1, &wanted).await, Authorized::Refused(Refusal::KeyConflict));
    let other = asked(merchant, "600002");
    let Booked::Now(second) = book(&other, at(50)).await else { panic!() };
    // Another process reads what this one had booked.
    let store = if url.starts_with("sqlite") {
        store.close().await;
        Store::open(&url, StoreConfig::default()).await.unwrap()
    } else {
        store
    };
    assert!(store.bookings_due(at(49)).await.unwrap().is_empty());
    let due = store.bookings_due(at(100)).await.unwrap();
    assert_eq!(due.iter().map(|booking| booking.id).collect::<Vec<_>>(), [second, id]);
    let begun = due[1].command.clone();
    assert_eq!((begun.conference.as_ref().unwrap().booking, due[1].start), (Some(id), at(100)));
    assert!(is_granted(&ask(&store, 2, &begun).await));
    // Two processes may see that it is due; one begins it.
    assert_eq!(ask(&store, 3, &begun).await, Authorized::Refused(Refusal::KeyConflict));
    assert!(!store.end_booking(id, ConferenceState::Missed, at(100)).await.unwrap());
    assert!(store.end_booking(second, ConferenceState::Missed, at(500)).await.unwrap());
    assert!(store.bookings_due(at(500)).await.unwrap().is_empty());
    let entry = store.conference(Dialect::Ytx, "app1", "600002").await.unwrap().unwrap();
    assert_eq!((entry.state, entry.ended), (ConferenceState::Missed, Some(at(500))));
    assert_eq!(entry.command.unwrap().conference.unwrap().number, "600002");
    // One that was cancelled is not begun by whoever had read it before.
    assert_eq!(ask(&store, 4, &due[0].command).await, Authorized::Refused(Refusal::KeyConflict));
    // Taken back, it is booked as before.
    assert!(store.abandon(CallId(2), merchant).await.unwrap());
    assert_eq!(store.bookings_due(at(100)).await.unwrap()[0].id, id);
}

pub(crate) async fn s3_6_a_booking_is_made_once_for_each_key_and_so_many_at_most(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    let key = |fingerprint: &str| RequestKey {
        dialect: Dialect::Ytx,
        key: "app1:order-7".into(),
        fingerprint: fingerprint.into(),
    };
    let book = async |number: &str, key, seconds| {
        let command = asked(merchant, number);
        store.book_conference(command, key, (at(seconds + 1), at(seconds))).await
    };
    let first = book("600001", Some(key("a")), 0).await.unwrap();
    assert!(matches!(first, Booked::Now(_)));
    // A repeat has drawn another number.
    let again = book("600002", Some(key("a")), 5).await.unwrap();
    assert_eq!(again, Booked::Before("600001".into()));
    assert_eq!(book("600003", Some(key("b")), 5).await.unwrap(), Booked::OtherRequest);
    let later = book("600004", Some(key("b")), 31 * 86_400).await.unwrap();
    assert!(matches!(later, Booked::Now(_)), "a key is known for thirty days");
    // Numbers are everybody's: one merchant does not have them all.
    let mut full = 0;
    for number in 0..510 {
        match book(&format!("70{number:04}"), None, 10).await.unwrap() {
            Booked::Now(_) => full += 1,
            Booked::TooMany => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(full, 498);
    let newest = store.conference(Dialect::Ytx, "app1", "700000").await.unwrap().unwrap();
    assert!(store.end_booking(newest.id, ConferenceState::Over, at(20)).await.unwrap());
    let freed = book("700000", None, 30).await.unwrap();
    assert!(matches!(freed, Booked::Now(_)), "one that was cancelled makes room");
}

pub(crate) async fn s3_6_bookings_of_one_merchant_hold_up_nobody_else(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let other = facts::MerchantId(merchant.0 + 1);
    for number in 0..70 {
        let command = asked(merchant, &format!("70{number:04}"));
        store.book_conference(command, None, (at(number), T0)).await.unwrap();
    }
    let command = asked(other, "800000");
    store.book_conference(command, None, (at(90), T0)).await.unwrap();
    let due = store.bookings_due(at(100)).await.unwrap();
    let numbers: Vec<_> =
        due.iter().map(|one| one.command.conference.as_ref().unwrap().number.as_str()).collect();
    assert_eq!(numbers[..3], ["700000", "800000", "700001"]);
    assert_eq!(numbers.len(), 64);
}

pub(crate) async fn s3_9_each_participant_is_charged_and_told_of_by_himself(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1000").await;
    let wanted = asked(merchant, "516152");
    assert!(is_granted(&ask(&store, 1, &wanted).await));
    let legs = 40_u8;
    for no in 1_u8..legs {
        let number = if no.is_multiple_of(2) { HOME } else { BEIJING };
        let number = party(number).number;
        let leg = LegId::new(CallId(1), LegNo(no));
        let ask = AddLeg { leg, number, own: Vec::new(), caps: vec![], at: T0 };
        assert!(matches!(store.add_leg(ask).await.unwrap(), Added::Paid(Some(_))));
    }
    let mut ended = facts(1, &wanted, None, None);
    let of = |no: u8| {
        let number = if no.is_multiple_of(2) { HOME } else { BEIJING };
        // The last one did not come.
        let answered = (no + 1 < legs).then_some(u64::from(no));
        leg(LegNo(no), &party(number), answered, 50)
    };
    ended.legs = (0..legs).map(of).collect();
    ended.ended = at(50);
    let record = store.settle(ended.clone(), context()).await.unwrap();
    let again = store.settle(ended, context()).await.unwrap();
    assert_eq!(again, record);
    // 1.00 a minute; or 0.60 a minute, half a minute at least, then by 6 seconds.
    assert_eq!(record.price(LegNo(0)), micros("1"));
    assert_eq!(record.price(LegNo(38)), micros("1"));
    assert_eq!(record.price(LegNo(1)), micros("0.54"), "49 s are 54");
    assert_eq!(record.price(LegNo(37)), micros("0.3"), "13 s are 30");
    assert_eq!(record.price(LegNo(39)), micros("0"));
    let balance = store.balance(merchant).await.unwrap();
    assert_eq!(balance.held, micros("0"));
    assert_eq!(balance.posted, micros("1000") - record.total(), "nothing is lost or taken twice");
    let cdrs = store.cdrs(Some(merchant), 0, 100).await.unwrap();
    assert_eq!(cdrs.len(), usize::from(legs));
    assert_eq!(cdrs.iter().map(|cdr| cdr.price).sum::<facts::Micros>(), record.total());
    let rows = store.outbox(Some(merchant), Some(OutboxState::Pending), 0, 100).await.unwrap();
    let told: Vec<u32> = rows.iter().map(|row| row.part).collect();
    assert_eq!(told, (0..u32::from(legs)).collect::<Vec<_>>());
    in_order(&store).await;
}
