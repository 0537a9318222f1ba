//! Conferences of system 001 through the router, against a real store (merchant API §3.6, §3.9, §3.5 fid 5).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;

use billing::rows::{ConferenceState, OutboxState};
use dialect::clock;
use facts::conference::{Act, ActRefused, ConferenceView, ParticipantView, Standing};
use facts::{CallId, Dialect, LegNo, Number, Purpose, PushKind, Refusal, UnixMillis};
use serde_json::{Value, json};
use world::ask::{Ask, ask};
use world::{APP, World, now};

const MEETING: &str = "call/TeleMeeting.wx";
const QUERY: &str = "call/MeetingQuery.wx";
const CDR: &str = "call/CallCdr.wx";

fn create() -> Value {
    json!({ "action": "createMeeting", "appid": APP, "meetingname": "weekly",
            "creator": "13810603954", "shownumber": "", "srcclid": "", "dstclid": "",
            "parties": [{ "name": "Li", "phone": "18810207016" },
                        { "name": "Wu", "phone": "80000" }],
            "bookmeeting": "0", "confid": "", "booktime": "" })
}

fn with(mut body: Value, name: &str, value: impl Into<Value>) -> Value {
    body[name] = value.into();
    body
}

fn about(action: &str, confid: &str, phone: &str) -> Value {
    json!({ "action": action, "appid": APP, "confid": confid, "phone": phone })
}

/// A conference that was begun: its request id, its number, its call.
async fn begun(world: &World, body: &Value) -> (String, String, CallId) {
    let answer = ask(MEETING, body).send(world).await;
    assert_eq!(answer["statusCode"], "0", "{answer}");
    let id = answer["requestId"].as_str().unwrap().to_owned();
    let call = dialect::ytx::call_of_request_id(&id).unwrap();
    (id, answer["confid"].as_str().unwrap().to_owned(), call)
}

async fn code(world: &World, path: &'static str, body: &Value) -> String {
    ask(path, body).code(world).await
}

#[tokio::test]
async fn s3_6_a_conference_is_placed_with_all_who_are_asked_for() {
    let world = World::new().await;
    let body = with(with(create(), "customParm", "o7"), "tones", "1");
    let (id, confid, call) = begun(&world, &body).await;
    assert_eq!(dialect::ytx::leg_of_request_id(&id), Some((call, LegNo::A)));
    assert!(confid.len() == 6 && confid.bytes().all(|b| b.is_ascii_digit()), "{confid}");
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!(
        (placed.purpose, &placed.b, placed.custom.as_str()),
        (Purpose::Conference, &None, "o7")
    );
    assert_eq!(placed.a.number, Number::E164("8613810603954".into()));
    assert_eq!(placed.a.shown, Some(Number::E164("861053180002".into())));
    assert!(placed.record.is_wanted());
    let kinds: Vec<_> = placed.pushes.iter().map(|push| push.kind).collect();
    assert_eq!(kinds, [PushKind::Record], "a conference has no state pushes");
    let conference = placed.conference.unwrap();
    assert_eq!((conference.number, conference.title), (confid, "weekly".into()));
    assert!(conference.chimes);
    let others: Vec<_> = conference
        .others
        .iter()
        .map(|one| (one.name.as_str(), one.party.number.clone(), one.party.as_sent.as_str()))
        .collect();
    assert_eq!(
        others,
        [
            ("Li", Number::E164("8618810207016".into()), "18810207016"),
            ("Wu", Number::Internal("80000".into()), "80000"),
        ]
    );
}

#[tokio::test]
async fn s3_6_a_wished_confid_is_had_once_and_numbers_shown_come_from_the_pool() {
    let world = World::new().await;
    let body = with(create(), "confid", "516152");
    let body = with(with(body, "srcclid", "01053180003"), "shownumber", "01053180002");
    let (_, confid, call) = begun(&world, &body).await;
    assert_eq!(confid, "516152");
    let placed = world.switch.placed.lock().unwrap().remove(0);
    assert_eq!(placed.a.shown, Some(Number::E164("861053180003".into())));
    let others = placed.conference.unwrap().others;
    assert_eq!(others[0].party.shown, Some(Number::E164("861053180002".into())));
    assert_eq!(code(&world, MEETING, &body).await, "-101", "it is somebody's");
    world.held(call, &[("13810603954", Some((1, 9)))]).await;
    assert_eq!(begun(&world, &body).await.1, "516152", "it may be had again");
}

#[tokio::test]
async fn s3_6_each_code_by_one_minimal_bad_request() {
    let world = World::new().await;
    let bad = async |body: Value, wanted: &str| {
        assert_eq!(code(&world, MEETING, &body).await, wanted, "{body}");
    };
    bad(with(create(), "action", "createmeeting"), "-3").await;
    bad(with(create(), "creator", ""), "-2").await;
    bad(with(create(), "creator", "12ab"), "-102").await;
    bad(with(create(), "creator", "81000"), "-1").await;
    bad(with(create(), "parties", "x"), "-101").await;
    bad(with(create(), "parties", json!([{ "name": "Li", "phone": "12ab" }])), "-102").await;
    bad(with(create(), "parties", json!([{ "name": "Li" }])), "-102").await;
    bad(with(create(), "parties", json!(["18810207016"])), "-101").await;
    let twice = json!([{ "name": "Li", "phone": "13810603954" }]);
    bad(with(create(), "parties", twice), "-101").await;
    let many: Vec<Value> =
        (0..100).map(|n| json!({ "name": "", "phone": format!("138106{n:05}") })).collect();
    bad(with(create(), "parties", many), "-101").await;
    bad(with(create(), "confid", "51615"), "-101").await;
    bad(with(create(), "confid", "51615x"), "-101").await;
    bad(with(create(), "bookmeeting", "2"), "-101").await;
    bad(with(create(), "bookmeeting", "1"), "-101").await;
    let past = clock::seconds(UnixMillis(now().0 - 120_000));
    bad(with(with(create(), "bookmeeting", "1"), "booktime", past), "-101").await;
    bad(with(create(), "meetingname", "x".repeat(65)), "-101").await;
    bad(with(create(), "shownumber", "01099999999"), "-101").await;
    bad(with(create(), "appid", "app-account-only"), "-205").await;
    for action in ["muteMeeting", "unmuteMeeting", "kickMeeting"] {
        bad(about(action, "516152", ""), "-2").await;
        bad(about(action, "516152", "12ab"), "-102").await;
        bad(about(action, "516152", "13810603954"), "-101").await;
    }
    bad(about("closeMeeting", "", ""), "-2").await;
    bad(about("closeMeeting", "516152", ""), "-101").await;
    bad(about("inviteMeeting", "516152", ""), "-101").await;
    let query = about("queryMeeting", "516152", "");
    assert_eq!(code(&world, QUERY, &query).await, "-101");
    assert!(world.switch.live_is_empty(), "nothing was dialled");
    for (refusal, wanted) in
        [(Refusal::NoBalance, "-204"), (Refusal::NoRoute, "-1"), (Refusal::TooManyCalls, "-104")]
    {
        *world.switch.refuse.lock().unwrap() = Some(refusal);
        bad(create(), wanted).await;
    }
}

#[tokio::test]
async fn s3_6_what_is_asked_of_a_live_one_reaches_the_switch() {
    let world = World::new().await;
    let (id, confid, call) = begun(&world, &create()).await;
    let number = || Number::E164("8618810207016".into());
    for (action, act) in [
        ("muteMeeting", Act::Mute { who: number(), muted: true }),
        ("unmuteMeeting", Act::Mute { who: number(), muted: false }),
        ("kickMeeting", Act::Kick { who: number() }),
    ] {
        let answer = ask(MEETING, &about(action, &confid, "18810207016")).send(&world).await;
        assert_eq!((&answer["statusCode"], &answer["requestId"]), (&json!("0"), &json!(id)));
        assert_eq!(world.switch.acts.lock().unwrap().pop(), Some((call, act)));
    }
    let parties = json!([{ "name": "Xu", "phone": "18810207017" }]);
    let invite = with(about("inviteMeeting", &confid, ""), "parties", parties.to_string());
    assert_eq!(code(&world, MEETING, &invite).await, "0", "a list written as a text is read too");
    let Some((_, Act::Invite(all, None))) = world.switch.acts.lock().unwrap().pop() else {
        panic!()
    };
    assert_eq!((all[0].name.as_str(), all[0].party.as_sent.as_str()), ("Xu", "18810207017"));
    // Another app does not reach it.
    let foreign = with(about("closeMeeting", &confid, ""), "appid", "app-two");
    assert!(matches!(&*code(&world, MEETING, &foreign).await, "-101" | "-205"));
    for (why, wanted) in [
        (ActRefused::NotThere, "-101"),
        (ActRefused::Locked, "-101"),
        (ActRefused::Full, "-101"),
        (ActRefused::AlreadyThere, "-101"),
        (ActRefused::Unknown, "-101"),
        (ActRefused::Refused(Refusal::NoRoute), "-1"),
    ] {
        *world.switch.unwilling.lock().unwrap() = Some(why);
        assert_eq!(code(&world, MEETING, &invite).await, wanted, "{why:?}");
    }
    *world.switch.unwilling.lock().unwrap() = None;
    assert_eq!(code(&world, MEETING, &about("closeMeeting", &confid, "")).await, "0");
    assert_eq!(world.switch.acts.lock().unwrap().pop(), Some((call, Act::Close)));
    world.held(call, &[("13810603954", Some((1, 9)))]).await;
    assert_eq!(code(&world, MEETING, &about("closeMeeting", &confid, "")).await, "-101");
}

#[tokio::test]
async fn s3_6_a_query_tells_how_each_stands_and_who_was_there() {
    let world = World::new().await;
    let (_, confid, call) = begun(&world, &create()).await;
    let one = |no, sent: &str, standing| ParticipantView {
        leg: LegNo(no),
        name: "Li".into(),
        as_sent: sent.into(),
        standing,
        muted: false,
        deaf: false,
        talks: false,
        call: None,
        joined: None,
        left: None,
        failure: None,
    };
    let participants =
        vec![one(0, "13810603954", Standing::Joined), one(1, "18810207016", Standing::Alerting)];
    *world.switch.view.lock().unwrap() = Some(ConferenceView { locked: false, participants });
    let query = about("queryMeeting", &confid, "");
    let answer = ask(QUERY, &query).send(&world).await;
    assert_eq!((&answer["statusCode"], &answer["state"]), (&json!("0"), &json!("on")));
    assert_eq!(answer["confid"], confid);
    assert_eq!(answer["parties"][0]["state"], "joined");
    assert_eq!(
        answer["parties"][1],
        json!({ "name": "Li", "phone": "18810207016", "state": "alerting", "stime": "", "etime": "" })
    );
    world.held(call, &[("13810603954", Some((1, 9))), ("18810207016", None)]).await;
    let answer = ask(QUERY, &query).send(&world).await;
    assert_eq!(answer["state"], "off");
    let row = &answer["parties"][1];
    assert_eq!(
        (&row["name"], &row["state"], &row["stime"]),
        (&json!("Li"), &json!("left"), &json!(""))
    );
    assert_eq!(answer["parties"][0]["stime"].as_str().unwrap().len(), 19);
    // Wu was asked for, and nobody came to ring him: he is no record, and stands here all the same.
    let parties = answer["parties"].as_array().unwrap();
    let wu = json!({ "name": "Wu", "phone": "80000", "state": "left", "stime": "", "etime": "" });
    assert_eq!((parties.len(), &parties[2]), (3, &wu));
}

#[tokio::test]
async fn s3_6_an_instant_is_a_booking_and_no_booking_has_one() {
    let world = World::new().await;
    let at = clock::seconds(UnixMillis(now().0 + 600_000));
    let body = with(create(), "booktime", &*at);
    assert_eq!(code(&world, MEETING, &body).await, "-101", "bookmeeting 0 says now");
    let body = with(body, "bookmeeting", "");
    let answer = ask(MEETING, &body).send(&world).await;
    assert_eq!((&answer["statusCode"], &answer["requestId"]), (&json!("0"), &json!("")));
    let confid = answer["confid"].as_str().unwrap();
    let answer = ask(QUERY, &about("queryMeeting", confid, "")).send(&world).await;
    assert_eq!(answer["state"], "booked");
    assert!(world.switch.live_is_empty(), "nobody is rung now");
    let none = with(with(create(), "bookmeeting", "1"), "booktime", "");
    assert_eq!(code(&world, MEETING, &none).await, "-101");
}

#[tokio::test]
async fn s6_an_idempotency_key_books_one_conference() {
    let world = World::new().await;
    let at = clock::seconds(UnixMillis(now().0 + 600_000));
    let body = with(with(create(), "bookmeeting", "1"), "booktime", at);
    let keyed = Ask { key: Some("order-7"), ..ask(MEETING, &body) };
    let first = keyed.send(&world).await;
    assert_eq!(keyed.send(&world).await, first);
    let other = with(body.clone(), "creator", "13810603955");
    let other = Ask { key: Some("order-7"), ..ask(MEETING, &other) };
    assert_eq!(other.code(&world).await, "-101", "something else under the same key");
    let unkeyed = ask(MEETING, &body).send(&world).await;
    assert_ne!(unkeyed["confid"], first["confid"]);
}

#[tokio::test]
async fn s3_9_each_participant_has_a_record_of_his_own_pushed_and_queried() {
    let world = World::new().await;
    let mut ids = Vec::new();
    let mut calls = Vec::new();
    let mut confids = Vec::new();
    for _ in 0..2 {
        let (id, confid, call) = begun(&world, &with(create(), "customParm", "o7")).await;
        let rung: [(&str, Option<(u64, u64)>); 3] =
            [("13810603954", Some((2, 62))), ("18810207016", Some((7, 20))), ("80000", None)];
        world.held(call, &rung).await;
        assert_eq!(id, dialect::ytx::participant_id(call, LegNo::A));
        ids.extend((0..3).map(|no| dialect::ytx::participant_id(call, LegNo(no))));
        calls.push(call);
        confids.push(confid);
    }
    // The pushes: one for each who was rung.
    let rows = world.store.outbox(None, Some(OutboxState::Pending), 0, 100).await.unwrap();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows.iter().map(|row| row.part).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    let record = world.store.call(calls[0]).await.unwrap().unwrap().record.unwrap();
    let context = dialect::ytx::PushContext::default();
    let push = dialect::ytx::participant_push(&record, LegNo(1), &context);
    let push: Value = serde_json::from_str(&push).unwrap();
    let fields: Vec<&String> = push["cdr"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 11);
    let row = &push["cdr"][0];
    assert_eq!(row["requestid"], json!(ids[1]));
    assert_eq!((&row["fid"], &row["tel"]), (&json!("5"), &json!("18810207016")));
    assert_eq!((&row["confid"], &row["duration"]), (&json!(confids[0]), &json!("13")));
    assert_eq!((&row["singleoriamount"], &row["tapesurl"]), (&json!("0.15"), &json!("NoTapes")));
    assert!(row["stime"].as_str().unwrap().ends_with(".000"));
    let absent = dialect::ytx::participant_push(&record, LegNo(2), &context);
    assert!(absent.contains(r#""stime":"""#) && absent.contains(r#""duration":"0""#), "{absent}");
    // The queries: pages go through participants.
    let query = async |last: &str, limit: u32| {
        let body = json!({ "action": "getCdrByResId", "appid": APP, "fid": "5", "lastresid": last,
                           "limit": limit });
        let answer = ask(CDR, &body).send(&world).await;
        let rows = answer["cdr"].as_array().unwrap().clone();
        rows.iter().map(|row| row["requestid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(query("0", 2).await, ids[..2]);
    assert_eq!(query(&ids[1], 2).await, ids[2..4]);
    assert_eq!(query(&ids[3], 10).await, ids[4..]);
    assert_eq!(query(&ids[5], 10).await, Vec::<String>::new());
    assert_eq!(query(&ids[4], 0).await, [ids[4].clone()]);
    let stamp = clock::compact(UnixMillis(now().0 - 200_000));
    let body = json!({ "action": "getCdrByTime", "appid": APP, "fid": 5, "pdate": stamp[..8],
                       "ptime": stamp[8..10] });
    let answer = ask(CDR, &body).send(&world).await;
    assert_eq!(answer["cdr"].as_array().unwrap().len(), 6);
    assert_eq!(answer["cdr"][0]["fid"], json!(5));
    assert_eq!(answer["cdr"][0]["singleoriamount"], json!(0.15));
}

async fn book(world: &World, body: Value, seconds_ahead: i64) -> String {
    let at = clock::seconds(UnixMillis(now().0 + seconds_ahead * 1_000));
    let body = with(with(body, "bookmeeting", "1"), "booktime", at);
    let answer = ask(MEETING, &body).send(world).await;
    assert_eq!((&answer["statusCode"], &answer["requestId"]), (&json!("0"), &json!("")));
    answer["confid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn s3_6_a_booked_conference_begins_when_its_time_has_come() {
    let world = World::new().await;
    let later = book(&world, create(), 600).await;
    let confid = book(&world, with(create(), "confid", "700001"), -30).await;
    let taken = with(create(), "confid", &*confid);
    assert_eq!(code(&world, MEETING, &taken).await, "-101", "the number of a booking is taken");
    let query = about("queryMeeting", &confid, "");
    let answer = ask(QUERY, &query).send(&world).await;
    assert_eq!(answer["state"], "booked");
    let parties = answer["parties"].as_array().unwrap();
    assert!(parties.len() == 3 && parties.iter().all(|one| one["state"] == "waiting"), "{answer}");
    // Nothing begins while the switch takes no calls.
    world.switch.ready.store(false, Ordering::SeqCst);
    api::bookings::turn(&world.state).await;
    assert!(world.switch.live_is_empty());
    world.switch.ready.store(true, Ordering::SeqCst);
    // Not for good, when there is no place for it just now.
    *world.switch.refuse.lock().unwrap() = Some(Refusal::TooManyCalls);
    api::bookings::turn(&world.state).await;
    *world.switch.refuse.lock().unwrap() = None;
    for _ in 0..2 {
        api::bookings::turn(&world.state).await;
    }
    let placed = world.switch.placed.lock().unwrap().clone();
    assert_eq!(placed.len(), 1, "once, and not the one that is later");
    assert_eq!(placed[0].conference.as_ref().unwrap().number, confid);
    let entry = world.store.conference(Dialect::Ytx, APP, &confid).await.unwrap().unwrap();
    assert_eq!(entry.state, ConferenceState::Live);
    // A booking can be cancelled.
    assert_eq!(code(&world, MEETING, &about("closeMeeting", &later, "")).await, "0");
    assert_eq!(code(&world, MEETING, &about("closeMeeting", &later, "")).await, "-101");
    let answer = ask(QUERY, &about("queryMeeting", &later, "")).send(&world).await;
    assert_eq!(answer["state"], "off");
}

#[tokio::test]
async fn s3_6_a_booking_that_was_missed_or_may_not_be_begun_is_closed() {
    let world = World::new().await;
    let confid = book(&world, create(), -30).await;
    *world.switch.refuse.lock().unwrap() = Some(Refusal::NoBalance);
    api::bookings::turn(&world.state).await;
    let answer = ask(QUERY, &about("queryMeeting", &confid, "")).send(&world).await;
    assert_eq!(answer["state"], "refused");
    *world.switch.refuse.lock().unwrap() = None;
    // The process was down when it came due.
    begun(&world, &create()).await;
    let mut command = world.switch.placed.lock().unwrap().pop().unwrap();
    command.conference.as_mut().unwrap().number = "700002".into();
    let late = UnixMillis(now().0 - 301_000);
    world.store.book_conference(command, None, (late, late)).await.unwrap();
    api::bookings::turn(&world.state).await;
    let answer = ask(QUERY, &about("queryMeeting", "700002", "")).send(&world).await;
    assert_eq!(answer["state"], "missed");
    let parties = answer["parties"].as_array().unwrap();
    assert!(parties.iter().all(|one| one["state"] == "left" && one["stime"] == ""), "{answer}");
    assert!(world.switch.placed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_idempotency_key_begins_one_conference() {
    let world = World::new().await;
    let keyed = Ask { key: Some("order-7"), ..ask(MEETING, &create()) };
    let first = keyed.send(&world).await;
    let again = keyed.send(&world).await;
    assert_eq!(again, first);
    assert_eq!(world.switch.placed.lock().unwrap().len(), 1);
}
