//! Codes, notices and conferences at `/v1`, against a real store.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod world;

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use facts::conference::{Act, ActRefused, ConferenceView, ParticipantView, Standing};
use facts::record::LegState;
use facts::scenario::Step;
use facts::sound::{Clip, Spoken};
use facts::{
    CallId, Failure, Kind, LegId, LegNo, Number, Origin, Purpose, Refusal, StateChange, Unrung,
};
use serde_json::{Value, json};
use world::client::{Client, client, make};
use world::{World, now};

fn code() -> Value {
    json!({ "to": { "number": "13800138000" }, "code": "4aZ9", "times": 2, "reference": "o7" })
}

fn meeting() -> Value {
    json!({
        "to": { "number": "80000" }, "title": "weekly", "tones": true, "reference": "o7",
        "participants": [{ "number": "13810603954", "name": "Li" }, { "number": "18810207016" }],
    })
}

async fn post(client: &Client<'_>, path: &str, body: Value) -> (u16, Value) {
    let answer = client.ask("POST", path, Some(body)).await;
    (answer.status.as_u16(), answer.json())
}

fn placed(world: &World) -> facts::CallCommand {
    world.switch.placed.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn s3_2_a_code_is_said_and_kept_nowhere() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let (status, told) = post(&client, "/codes", code()).await;
    assert_eq!((status, &told["status"]), (201, &json!("accepted")), "{told}");
    let command = placed(&world);
    assert_eq!((command.purpose, command.custom.as_str()), (Purpose::Code, "o7"));
    assert_eq!((command.record.is_wanted(), command.pushes.len()), (false, 2));
    let scenario = command.scenario.unwrap();
    let Some(Step::Say(say)) = scenario.step(0) else { panic!("{scenario:?}") };
    let [Clip::Say(words)] = &say.clips[..] else { panic!("{say:?}") };
    assert_eq!((say.times, &words.parts[1]), (2, &Spoken::Spelled("4aZ9".into())));
    let call = client.get(told["url"].as_str().unwrap().trim_start_matches("/v1")).await;
    assert!(!String::from_utf8(call.body).unwrap().contains("4aZ9"));
    for (field, value, at) in [
        ("code", json!("12-4"), "/code"),
        ("code", json!(""), "/code"),
        ("code", json!("1".repeat(17)), "/code"),
        ("code", json!(1234), "/code"),
        ("times", json!(10), "/times"),
        ("to", json!({ "number": "81000" }), "/to/number"),
        ("to", json!({ "number": "110" }), "/to/number"),
        ("to", json!({ "number": "13800138000", "caller_id": "13900139000" }), "/to/caller_id"),
    ] {
        let mut wrong = code();
        wrong[field] = value;
        let answer = client.ask("POST", "/codes", Some(wrong.clone())).await;
        assert_eq!(answer.pointers(), [at], "{wrong}");
    }
    // No machine rings an emergency: neither a notice nor a scenario. Who dials one himself reaches it.
    let police = json!({ "number": "110" });
    let notice = json!({ "to": police, "template": "1001", "values": ["12.5"] });
    let steps = json!({ "a": { "do": "play", "sounds": [{ "prompt": "welcome" }] } });
    let script = json!({ "to": police, "scenario": { "start": "a", "steps": steps } });
    for (path, body) in [("/notices", notice), ("/calls", script)] {
        let answer = client.ask("POST", path, Some(body)).await;
        assert_eq!(answer.pointers(), ["/to/number"], "{path} {}", answer.json());
    }
    let dialled = json!({ "to": { "number": "80000" }, "connect": police });
    let answer = client.ask("POST", "/calls", Some(dialled)).await;
    assert_eq!(
        answer.problem(),
        "number_unreachable",
        "it may be asked for, and has no price here"
    );
    // Two mistakes of two kinds are told together.
    let wrong = json!({ "to": { "number": "81000" }, "code": "1-2", "times": 0 });
    let answer = client.ask("POST", "/codes", Some(wrong)).await;
    assert_eq!(answer.pointers(), ["/times", "/code", "/to/number"]);
}

#[tokio::test]
async fn s6_each_request_that_costs_money_is_repeated_safely() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let notice =
        json!({ "to": { "number": "13800138000" }, "template": "1001", "values": ["12.5"] });
    let mut call = code();
    call.as_object_mut().unwrap().retain(|name, _| name == "to" || name == "reference");
    call["scenario"] = json!({ "start": "a", "steps": {
        "a": { "do": "play", "sounds": [{ "prompt": "welcome" }] } } });
    for (path, body) in
        [("/calls", call), ("/codes", code()), ("/notices", notice), ("/conferences", meeting())]
    {
        let key = format!("k {path}");
        let ask = async |body: Value, key: &str| {
            client.ask_with("POST", path, Some(body), &[("idempotency-key", key)]).await
        };
        let first = ask(body.clone(), &key).await;
        assert_eq!(first.status, StatusCode::CREATED, "{}", first.json());
        // Who repeats a request that was accepted is not told that a sound is gone by now.
        world.switch.mute.store(true, Ordering::SeqCst);
        let again = ask(body.clone(), &key).await;
        assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true");
        world.switch.mute.store(false, Ordering::SeqCst);
        let mut other = body;
        other["reference"] = json!("o8");
        assert_eq!(ask(other.clone(), &key).await.problem(), "idempotency_key_reused", "{path}");
        assert_eq!(
            ask(other, &format!("another {path}")).await.status,
            StatusCode::CREATED,
            "{path}"
        );
        let mut placed = world.switch.placed.lock().unwrap();
        assert_eq!(placed.len(), 2, "{path}");
        placed.clear();
        drop(placed);
    }
}

#[tokio::test]
async fn s6_a_conference_and_its_invitations_are_repeated_when_somebody_is_gone_by_then() {
    let world = World::new().await;
    let first = client(&world, "test").await;
    let key = [("idempotency-key", "k1")];
    let begun = first.ask_with("POST", "/conferences", Some(meeting()), &key).await;
    let path =
        begun.json()["url"].as_str().unwrap().trim_start_matches("/v1").to_owned() + "/invite";
    let others = json!({ "participants": [{ "number": "13900139000", "name": "Wu" }] });
    let invited = first.ask_with("POST", &path, Some(others.clone()), &key).await;
    assert_eq!(invited.status, StatusCode::ACCEPTED);
    let mut document = world::document();
    document["extensions"][0]["enabled"] = json!(false);
    let desired = serde_json::from_value(document).unwrap();
    assert!(world.store.apply(&desired, now(), false).await.unwrap().mistakes.is_empty());
    let beside = world.beside();
    let later = Client { world: &beside, key: first.key.clone() };
    let other = later.ask("POST", "/conferences", Some(meeting())).await;
    assert_eq!(other.pointers(), ["/to/number"], "it is disabled by now");
    let again = later.ask_with("POST", "/conferences", Some(meeting()), &key).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &begun.body));
    // A repeat that comes while the first one's row is not written yet is known to the conference itself.
    let later = first.ask_with("POST", &path, Some(others.clone()), &[("idempotency-key", "k2")]);
    *world.switch.unwilling.lock().unwrap() = Some(ActRefused::Repeated);
    let later = later.await;
    assert_eq!(later.headers["idempotent-replayed"], "true");
    *world.switch.unwilling.lock().unwrap() = Some(ActRefused::KeyConflict);
    let later = first.ask_with("POST", &path, Some(others), &[("idempotency-key", "k3")]).await;
    assert_eq!(later.problem(), "idempotency_key_reused");
    *world.switch.unwilling.lock().unwrap() = None;
    // Of more than may be there nobody is looked up.
    let many = json!({ "participants": vec![json!({ "number": "81000" }); 100] });
    let answer = first.ask("POST", &path, Some(many.clone())).await;
    assert_eq!(answer.pointers(), ["/participants"]);
    let mut all = meeting();
    all["to"]["number"] = json!("13800138000");
    all["participants"] = many["participants"].clone();
    let answer = first.ask("POST", "/conferences", Some(all)).await;
    assert_eq!(answer.pointers(), ["/participants"]);
}

#[tokio::test]
async fn s3_3_a_notice_is_a_template_of_the_merchants_with_its_values() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let notice = json!({
        "to": { "number": "13800138000" }, "template": "1001", "values": ["12.5"], "keys": true,
    });
    let (status, told) = post(&client, "/notices", notice.clone()).await;
    assert_eq!(status, 201, "{told}");
    let command = placed(&world);
    assert_eq!(command.purpose, Purpose::Notice);
    let scenario = command.scenario.unwrap();
    let Some(Step::Say(say)) = scenario.step(0) else { panic!("{scenario:?}") };
    assert_eq!((say.times, say.collect.is_some()), (1, true));
    for (field, value, at) in [
        ("template", json!("2002"), "/template"),
        ("values", json!([]), "/values"),
        ("values", json!(["twelve"]), "/values"),
        ("values", json!([12]), "/values/0"),
        ("keys", json!("yes"), "/keys"),
    ] {
        let mut wrong = notice.clone();
        wrong[field] = value;
        let answer = client.ask("POST", "/notices", Some(wrong.clone())).await;
        assert_eq!(answer.pointers(), [at], "{wrong}");
    }
}

fn row(leg: u8, name: &str, number: &str, standing: Standing) -> ParticipantView {
    ParticipantView {
        leg: LegNo(leg),
        name: name.into(),
        as_sent: number.into(),
        standing,
        muted: leg == 2,
        deaf: false,
        talks: false,
        call: None,
        joined: Some(now()),
        left: None,
        failure: None,
    }
}

#[tokio::test]
async fn s3_6_a_conference_is_begun_seen_led_and_closed_by_its_number() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let (status, begun) = post(&client, "/conferences", meeting()).await;
    assert_eq!(status, 201, "{begun}");
    let number = begun["conference"].as_str().unwrap().to_owned();
    let call: CallId = begun["id"].as_str().unwrap().parse().unwrap();
    let command = placed(&world);
    let conference = command.conference.unwrap();
    assert_eq!(
        (&conference.number, conference.chimes, conference.others.len()),
        (&number, true, 2)
    );
    assert_eq!((command.purpose, &command.b), (Purpose::Conference, &None));
    let path = format!("/conferences/{number}");
    *world.switch.view.lock().unwrap() = Some(ConferenceView {
        locked: false,
        participants: vec![
            row(0, "", "80000", Standing::Joined),
            row(2, "Li", "13810603954", Standing::Alerting),
        ],
    });
    let seen = client.get(&path).await.json();
    assert_eq!((&seen["status"], &seen["title"]), (&json!("open"), &json!("weekly")));
    let li = &seen["participants"][1];
    assert_eq!(
        (&li["name"], &li["status"], &li["muted"]),
        (&json!("Li"), &json!("ringing"), &json!(true))
    );
    let li = || json!({ "number": "13810603954" });
    for word in ["mute", "unmute", "deafen", "undeafen", "kick"] {
        let (status, told) = post(&client, &format!("{path}/{word}"), li()).await;
        assert_eq!((status, &told["done"]), (200, &json!(word)), "{told}");
    }
    for word in ["lock", "unlock"] {
        assert_eq!(
            client.ask("POST", &format!("{path}/{word}"), None).await.status,
            StatusCode::OK
        );
    }
    let who = || Number::public("8613810603954".into());
    let wanted = [
        Act::Mute { who: who(), muted: true },
        Act::Mute { who: who(), muted: false },
        Act::Deafen { who: who(), deaf: true },
        Act::Deafen { who: who(), deaf: false },
        Act::Kick { who: who() },
        Act::Lock { locked: true },
        Act::Lock { locked: false },
    ];
    let acts: Vec<Act> = world.switch.acts.lock().unwrap().drain(..).map(|(_, act)| act).collect();
    assert_eq!(acts, wanted);
    let invite = async |key: &str, number: &str| {
        let body = json!({ "participants": [{ "number": number }] });
        let path = format!("{path}/invite");
        client.ask_with("POST", &path, Some(body), &[("idempotency-key", key)]).await
    };
    assert_eq!(invite("i1", "13900139000").await.status, StatusCode::ACCEPTED);
    let again = invite("i1", "13900139000").await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(invite("i1", "13900139001").await.problem(), "idempotency_key_reused");
    assert_eq!(world.switch.acts.lock().unwrap().drain(..).count(), 1, "invited once");
    for (why, status, code) in [
        (ActRefused::NotThere, 404, "not_there"),
        (ActRefused::AlreadyThere, 409, "not_invited"),
        (ActRefused::Locked, 409, "not_invited"),
        (ActRefused::Full, 409, "full"),
        (ActRefused::Refused(Refusal::Busy), 503, "busy"),
        (ActRefused::Refused(Refusal::Blocked), 403, "blocked"),
    ] {
        *world.switch.unwilling.lock().unwrap() = Some(why);
        let answer = client.ask("POST", &format!("{path}/kick"), Some(li())).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code));
    }
    *world.switch.unwilling.lock().unwrap() = Some(ActRefused::Refused(Refusal::NoRoute));
    *world.switch.nowhere.lock().unwrap() = vec!["8613900139002".into()];
    let answer = invite("i2", "13900139002").await;
    assert_eq!(answer.problem(), "number_unreachable");
    assert_eq!(answer.pointers(), ["/participants/0/number"]);
    world.switch.nowhere.lock().unwrap().clear();
    *world.switch.unwilling.lock().unwrap() = None;
    // Whom nobody could ring is told as it happens.
    let why = Failure::new(Origin::Us, Kind::Blocked);
    let change = StateChange {
        leg: LegId::new(call, LegNo(2)),
        sequence: StateChange::sequence_of_unrung(0),
        state: LegState::Unrung(why),
        number: "18810207016".into(),
        shown: String::new(),
        at: now(),
        extension: None,
    };
    world.store.notify(change).await.unwrap();
    world.switch.silent.store(true, Ordering::SeqCst);
    assert_eq!(client.get(&path).await.problem(), "busy");
    world.switch.silent.store(false, Ordering::SeqCst);
    assert_eq!(client.ask("DELETE", &path, None).await.status, StatusCode::ACCEPTED);
    assert_eq!(world.switch.acts.lock().unwrap()[0].1, Act::Close);
    let unrung =
        vec![Unrung { leg: LegNo(2), as_sent: "18810207016".into(), at: now(), failure: why }];
    let rung = [("80000", Some((1, 9))), ("13810603954", Some((2, 9)))];
    world.held_without(call, &rung, unrung).await;
    let over = client.get(&path).await.json();
    let reasons: Vec<&Value> =
        over["participants"].as_array().unwrap().iter().map(|one| &one["reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &Value::Null, &json!("blocked")]);
    let ended = client.get(&format!("/calls/{call}")).await.json();
    let unrung = &ended["unrung"];
    assert_eq!(
        (&unrung[0]["number"], &unrung[0]["reason"], &unrung[0]["origin"], &unrung[1]),
        (&json!("18810207016"), &json!("blocked"), &json!("platform"), &Value::Null)
    );
    assert_eq!(
        (&over["status"], over["participants"].as_array().unwrap().len()),
        (&json!("ended"), 3)
    );
    assert_eq!(client.ask("POST", &format!("{path}/lock"), None).await.problem(), "not_live");
    // It is told once that it has ended, whoever was in it.
    let events = client.get("/events?after=0").await.json();
    let failed = |event: &&Value| event["type"] == "dial.failed";
    let failed: Vec<&Value> = events["items"].as_array().unwrap().iter().filter(failed).collect();
    assert_eq!(failed.len(), 1, "{events}");
    let data = json!({ "number": "18810207016", "reason": "blocked", "origin": "platform" });
    assert_eq!((&failed[0]["data"], &failed[0]["call"]), (&data, &json!(call.to_string())));
    let ends = events["items"].as_array().unwrap().iter();
    assert_eq!(ends.filter(|event| event["type"] == "call.ended").count(), 1, "{events}");
}

#[tokio::test]
async fn s3_6_mistakes_of_a_conference_and_numbers_that_are_taken() {
    let world = World::new().await;
    let own = client(&world, "test").await;
    for (field, value, at) in [
        ("participants", json!([]), "/participants"),
        (
            "participants",
            json!([{ "number": "13810603954", "ring_s": 1 }]),
            "/participants/0/ring_s",
        ),
        ("participants", json!([{ "number": "12ab" }]), "/participants/0/number"),
        ("participants", json!([{ "number": "81000" }]), "/participants/0/number"),
        ("participants", json!([["13810603954"]]), "/participants/0"),
        ("participants", json!([{ "number": "80000" }]), "/participants"),
        ("conference", json!("51615"), "/conference"),
        ("title", json!("x".repeat(65)), "/title"),
    ] {
        let mut wrong = meeting();
        wrong[field] = value;
        let answer = own.ask("POST", "/conferences", Some(wrong.clone())).await;
        assert_eq!(answer.pointers(), [at], "{wrong}");
    }
    let mut wished = meeting();
    wished["conference"] = json!("516152");
    assert_eq!(post(&own, "/conferences", wished.clone()).await.0, 201);
    let (status, told) = post(&own, "/conferences", wished).await;
    assert_eq!((status, &told["code"]), (409, &json!("conference_taken")));
    let (key, _) = make(&world, "open", json!({})).await;
    let other = Client { world: &world, key };
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/lock")] {
        let answer = other.ask(method, &format!("/conferences/516152{path}"), None).await;
        assert_eq!(answer.problem(), "not_found", "another's");
    }
    assert_eq!(own.get("/conferences/000000").await.problem(), "not_found");
}

#[tokio::test]
async fn who_is_in_is_led_by_his_number_also_once_his_extension_is_disabled() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let mut wished = meeting();
    wished["conference"] = json!("516152");
    assert_eq!(post(&client, "/conferences", wished).await.0, 201);
    let mut document = world::document();
    document["extensions"][0]["enabled"] = json!(false);
    let (status, applied) = world.admin("POST", "/apply", Some(document)).await;
    assert_eq!(status, StatusCode::OK, "{applied}");
    let who = || json!({ "number": "80000" });
    for word in ["mute", "kick"] {
        let path = format!("/conferences/516152/{word}");
        assert_eq!(post(&client, &path, who()).await.0, 200, "{word}");
    }
    let acts: Vec<Act> = world.switch.acts.lock().unwrap().drain(..).map(|(_, act)| act).collect();
    let who = || Number::Internal("80000".into());
    assert_eq!(acts, [Act::Mute { who: who(), muted: true }, Act::Kick { who: who() }]);
    // He is rung by nobody.
    let body = json!({ "participants": [{ "number": "80000" }] });
    let answer = client.ask("POST", "/conferences/516152/invite", Some(body)).await;
    assert_eq!(answer.pointers(), ["/participants/0/number"]);
}

#[tokio::test]
async fn what_another_process_has_is_asked_for_there() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let wanted = json!({ "to": { "number": "80000" }, "connect": { "number": "13800138000" } });
    let call = client.place(wanted).await;
    let mut wished = meeting();
    wished["conference"] = json!("516152");
    assert_eq!(post(&client, "/conferences", wished).await.0, 201);
    let beside = world.beside();
    let there = Client { world: &beside, key: client.key.clone() };
    let play = json!({ "sound": { "prompt": "welcome" }, "to": "a" });
    let asked = [
        ("POST", format!("/calls/{call}/play"), Some(play)),
        ("POST", format!("/calls/{call}/recording/pause"), None),
        ("DELETE", format!("/calls/{call}"), None),
        ("POST", "/conferences/516152/lock".to_owned(), None),
        ("DELETE", "/conferences/516152".to_owned(), None),
        ("GET", "/conferences/516152".to_owned(), None),
    ];
    for (method, path, body) in &asked {
        let answer = there.ask(method, path, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "busy"), "{path}");
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.starts_with("another process"), "{told}");
        assert!(answer.headers.contains_key("retry-after"));
        assert!(client.ask(method, path, body.clone()).await.status.is_success(), "{path}");
    }
    // What the process itself had is over, or about to be.
    assert_eq!(client.ask("DELETE", &format!("/calls/{call}"), None).await.problem(), "not_live");
    let pause = format!("/calls/{call}/recording/pause");
    assert_eq!(client.ask("POST", &pause, None).await.problem(), "not_recorded");
}

#[tokio::test]
async fn bodies_where_none_are_taken_parameters_twice_and_names_that_are_none_are_told() {
    let world = World::new().await;
    let client = client(&world, "test").await;
    let mut wished = meeting();
    wished["conference"] = json!("516152");
    assert_eq!(post(&client, "/conferences", wished).await.0, 201);
    let lock = "/conferences/516152/lock";
    for good in [None, Some(json!({}))] {
        assert_eq!(client.ask("POST", lock, good).await.status, StatusCode::OK);
    }
    let unlock = "/conferences/516152/unlock";
    assert_eq!(client.ask("POST", unlock, None).await.status, StatusCode::OK);
    let acts = world.switch.acts.lock().unwrap().len();
    for wrong in [json!({ "locked": true }), json!([]), json!(null), json!("{}"), json!(0)] {
        for path in [lock, unlock] {
            assert_eq!(client.ask("POST", path, Some(wrong.clone())).await.pointers(), [""]);
        }
    }
    assert_eq!(world.switch.acts.lock().unwrap().len(), acts, "nothing was done");
    let body = Some(json!({ "status": "open" }));
    for (method, path) in [("GET", "/calls"), ("DELETE", "/conferences/516152")] {
        assert_eq!(client.ask(method, path, body.clone()).await.pointers(), [""], "{path}");
    }
    let twice = client.get("/calls?limit=1&limit=2&status=ended").await;
    assert_eq!(twice.pointers(), [""]);
    let told = twice.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("\"limit\"") && told.contains("twice"), "{told}");
    // The id of its call is no name of a conference.
    let call = client.get("/conferences/516152").await.json()["id"].as_str().unwrap().to_owned();
    let answer = client.get(&format!("/conferences/{call}")).await;
    assert_eq!(answer.problem(), "not_found");
    assert!(answer.json()["detail"].as_str().unwrap().contains("six digits"));
}
