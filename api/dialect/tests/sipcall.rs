//! System 002: what companies are told, byte for byte, and each cause of a hang-up.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod sample;

use dialect::sipcall::{PushContext, call_uuid, cdr_push, state_push};
use dialect::{Event, FormatError, Secrets, delivered, format_push, retry_delays};
use facts::record::LegState;
use facts::{
    CallRecord, Dialect, Failure, Kind, LegId, LegNo, Number, Origin, Outcome, Purpose, Push,
    PushKind, Side, StateChange,
};
use sample::{at, call, command, failed, record, talked};

fn context() -> PushContext {
    PushContext {
        companycode: "9017".into(),
        customer: "85781218893".into(),
        disnumber: "2190170001".into(),
        customuuid: "110001168".into(),
        method: "2".into(),
        cdr_2025: false,
        extnumber: String::new(),
    }
}

/// Rung at second 0, answered at 13, over at 23.
fn notice() -> CallRecord {
    let mut command = command(Dialect::Sipcall, "85781218893", "");
    command.b = None;
    command.purpose = Purpose::Notice;
    command.custom = r#"{"customuuid":"110001168","chengshudu":"","userid":"1@extGroup-1"}"#.into();
    let mut a = talked(LegNo::A, 13, 23);
    a.invited = at(0);
    let mut record = record(command, Outcome::Completed, vec![a]);
    record.facts.released_by = Side::Platform;
    record
}

#[test]
fn s4_6_the_record_has_the_seeds_fields_types_and_order() {
    let (id, uuid) = (call().as_i64(), call_uuid(call()));
    let wanted = format!(
        r#"{{"answertime":"{}","hangupcause":10001,"duration":13,"id":{id},"extnumber":"","uuid":"{uuid}","downloadip":"","customuuid":"110001168","chengshudu":"0","callmethod":6,"recordfilename":"","companycode":9017,"memberid":"0","hangupdirection":10040,"billsec":10,"endtime":"{}","starttime":"{}","type":"callout","disnumber":"2190170001","crmid":"0","userkey":"","destnumber":"85781218893"}}"#,
        dialect::clock::seconds(at(13)),
        dialect::clock::seconds(at(23)),
        dialect::clock::seconds(at(0)),
    );
    assert_eq!(cdr_push(&notice(), &context()), wanted);
}

#[test]
fn s4_6_a_key_a_seat_and_a_recording_are_told() {
    let mut record = notice();
    let mut seat = talked(LegNo(2), 18, 22);
    seat.number = Number::Internal("20280003".into());
    record.facts.legs.push(seat);
    record.facts.collected = vec!["1".into()];
    record.recording_url = Some("https://rec.example:8443/recordings/2020/1111.mp3".into());
    record.facts.recording = Some(facts::media::RecordedFile {
        file: "2020/1111.mp3".into(),
        duration_ms: 4000,
        bytes: 1,
        sha256: String::new(),
        other: None,
    });
    let body = cdr_push(&record, &context());
    for part in [
        r#""extnumber":"20280003""#,
        r#""userkey":"1""#,
        r#""downloadip":"rec.example""#,
        r#""recordfilename":"1111.mp3""#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    // Who was rung and did not answer has not taken it.
    record.facts.legs[1].answered = None;
    assert!(cdr_push(&record, &context()).contains(r#""extnumber":"""#));
}

#[test]
fn s4_6_the_form_of_2025_has_a_code_of_text_and_more_members() {
    let context = PushContext { cdr_2025: true, ..context() };
    let body = cdr_push(&notice(), &context);
    assert!(body.contains(r#""companycode":"9017""#), "{body}");
    let more = r#""destnumber":"85781218893","direction":"callout","userid":"1@extGroup-1","ext":"0","taskid":"","round":0,"recordurl":""}"#;
    assert!(body.ends_with(more), "{body}");
}

#[test]
fn s4_6_whoever_was_not_reached_waited_and_did_not_talk() {
    let mut a = failed(LegNo::A, Some(480), Some(19), true, Kind::NoAnswer);
    let ended = at(31);
    a.ended = Some(ended);
    let mut record = notice();
    record.facts.legs = vec![a];
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::NoAnswer));
    let waited = ended.seconds() - record.facts.legs[0].invited.seconds();
    let body = cdr_push(&record, &context());
    assert!(body.starts_with(r#"{"answertime":"","hangupcause":10016,"#), "{body}");
    assert!(body.contains(&format!(r#""duration":{waited},"#)), "{body}");
    assert!(body.contains(r#""billsec":0"#), "{body}");
    // Nobody was rung at all: the sound could not be had.
    record.facts.legs.clear();
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::Media, Kind::Internal));
    let body = cdr_push(&record, &context());
    assert!(body.contains(r#""hangupcause":10020"#) && body.contains(r#""billsec":0"#), "{body}");
}

/// `hangupcause` and `hangupdirection` of a call whose only leg came out so.
fn causes(kind: Kind, sip: Option<u16>, q850: Option<u8>, internal: bool) -> (i64, i64) {
    let mut leg = failed(LegNo::A, sip, q850, false, kind);
    leg.number = match internal {
        true => Number::Internal("80001".into()),
        false => Number::E164("8613800138000".into()),
    };
    let mut record = notice();
    record.facts.legs = vec![leg];
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::LegA, kind));
    told(&record)
}

fn told(record: &CallRecord) -> (i64, i64) {
    let body: serde_json::Value = serde_json::from_str(&cdr_push(record, &context())).unwrap();
    (body["hangupcause"].as_i64().unwrap(), body["hangupdirection"].as_i64().unwrap())
}

#[test]
fn s4_2_each_cause_and_its_direction() {
    const CALLER: i64 = 10_040;
    const CALLEE: i64 = 10_041;
    for (kind, sip, q850, internal, wanted) in [
        (Kind::Busy, Some(486), Some(17), false, (10_006, CALLEE)),
        (Kind::Rejected, Some(486), Some(21), false, (10_006, CALLEE)),
        (Kind::Rejected, Some(603), Some(21), false, (10_003, CALLEE)),
        (Kind::NoAnswer, Some(487), Some(19), false, (10_016, CALLER)),
        (Kind::NoAnswer, Some(408), Some(19), false, (10_016, CALLER)),
        (Kind::Unreachable, None, None, true, (10_008, CALLER)),
        (Kind::Unreachable, None, None, false, (10_015, CALLER)),
        (Kind::Unreachable, Some(408), None, false, (10_015, CALLER)),
        (Kind::Unreachable, Some(480), Some(18), false, (10_009, CALLEE)),
        (Kind::Unreachable, Some(500), Some(18), false, (10_005, CALLEE)),
        (Kind::TransportFailed, None, None, false, (10_004, CALLER)),
        (Kind::Congestion, Some(503), Some(34), false, (10_004, CALLEE)),
        (Kind::Unallocated, Some(404), Some(1), false, (10_014, CALLEE)),
        (Kind::Unallocated, Some(404), Some(1), true, (10_013, CALLEE)),
        (Kind::Unallocated, Some(410), Some(22), false, (10_027, CALLEE)),
        (Kind::InvalidNumber, Some(484), Some(28), false, (10_024, CALLEE)),
        (Kind::Forbidden, Some(403), Some(57), false, (10_025, CALLEE)),
        (Kind::HungUpByUs, Some(487), None, false, (10_002, CALLER)),
        (Kind::Blocked, None, None, false, (10_028, CALLER)),
        (Kind::NotAcceptable, Some(488), None, false, (10_020, CALLEE)),
        (Kind::Crash, None, None, false, (10_020, CALLER)),
    ] {
        assert_eq!(causes(kind, sip, q850, internal), wanted, "{kind:?} {sip:?} {q850:?}");
    }
    // After the answer.
    for (kind, cause) in [
        (Kind::MaxDuration, 10_007),
        (Kind::CreditExhausted, 10_007),
        (Kind::HungUpByUs, 10_007),
        (Kind::Shutdown, 10_007),
        (Kind::MediaSilence, 10_011),
        (Kind::LostDialog, 10_011),
        (Kind::Internal, 10_020),
    ] {
        let mut record = notice();
        record.facts.outcome = Outcome::Failed(Failure::new(Origin::Us, kind));
        assert_eq!(told(&record), (cause, CALLER), "{kind:?}");
    }
    let mut record = notice();
    record.facts.released_by = Side::Caller;
    assert_eq!(told(&record), (10_001, CALLEE), "whoever was rung let go");
}

fn change(state: LegState) -> StateChange {
    StateChange {
        leg: LegId::new(call(), LegNo(2)),
        sequence: StateChange::sequence_of(LegNo(2), 0, state),
        state,
        number: "20280003".into(),
        shown: "85781218893".into(),
        at: at(9),
        extension: Some("20280003".into()),
    }
}

#[test]
fn s4_5_the_states_of_an_extension_have_the_seeds_fields_all_strings() {
    let uuid = call_uuid(call());
    let body = state_push(&change(LegState::Alerting), &context()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let buuid = value["buuid"].as_str().unwrap();
    assert_ne!(buuid, uuid);
    let wanted = format!(
        r#"{{"buuid":"{buuid}","callee":"85781218893","caller":"20280003","companycode":"9017","direction":"callout","disnumber":"2190170001","extnumber":"20280003","isbleg":"true","method":"2","starttime":"{}","status":"ring","uuid":"{uuid}","ip":"","customuuid":"110001168","type":"call"}}"#,
        call().made_at().seconds(),
    );
    assert_eq!(body, wanted);
    for (state, status) in [(LegState::Answer, "answer"), (LegState::Disconnect, "hangup")] {
        let body = state_push(&change(state), &context()).unwrap();
        assert!(body.contains(&format!(r#""status":"{status}""#)), "{body}");
        assert!(body.contains(buuid), "one name for its leg");
    }
    assert_eq!(state_push(&change(LegState::Callout), &context()), None);
}

#[test]
fn s4_5_names_of_calls_are_uuids_and_each_has_its_own() {
    let uuid = call_uuid(call());
    let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(&uuid[14..15], "3");
    assert_eq!(uuid, call_uuid(call()));
    assert_ne!(call_uuid(call()), call_uuid(facts::CallId(call().0 + 1)));
}

#[test]
fn s0_3_what_counts_as_taken_and_when_it_is_told_again() {
    for (status, body, taken) in [
        (200, "1", true),
        (200, "", true),
        (204, "", true),
        (200, "success", true),
        (200, "0", false),
        (200, " 0\r\n", false),
        (200, "fail", false),
        (200, "FAIL", false),
        (200, "00", true),
        (500, "1", false),
        (302, "1", false),
    ] {
        assert_eq!(delivered(Dialect::Sipcall, status, body.as_bytes()), taken, "{status} {body}");
    }
    for kind in [PushKind::Record, PushKind::Extension] {
        assert_eq!(retry_delays(Dialect::Sipcall, kind), [0, 60, 120]);
    }
}

#[test]
fn s0_3_a_push_is_json_by_post_and_its_bytes_are_kept() {
    let push = |context: String| Push {
        kind: PushKind::Record,
        dialect: Dialect::Sipcall,
        endpoint: "http://merchant.example/cdr".into(),
        context,
    };
    let record = notice();
    let written = push(serde_json::to_string(&context()).unwrap());
    let request = format_push(&written, Event::Record(&record), Secrets::default()).unwrap();
    assert_eq!(request.content_type, Some("application/json;charset=utf-8"));
    let stored = request.clone().into_stored();
    let again = dialect::PushRequest::from_stored(Dialect::Sipcall, &written.endpoint, stored);
    assert_eq!(again, request);
    let broken = format_push(&push("{}".into()), Event::Record(&record), Secrets::default());
    assert_eq!(broken, Err(FormatError::Context));
}

/// The extension is rung at second 0 and answers at 5; the customer answers at 12; over at 42.
fn made(echo: &str) -> CallRecord {
    let mut command = command(Dialect::Sipcall, "80000", "85781218893");
    command.purpose = Purpose::Callback;
    command.custom = echo.into();
    let mut seat = talked(LegNo::A, 5, 42);
    (seat.invited, seat.number) = (at(0), Number::Internal("80000".into()));
    let mut customer = talked(LegNo::B, 12, 42);
    customer.invited = at(5);
    let mut record = record(command, Outcome::Completed, vec![seat, customer]);
    record.facts.released_by = Side::Caller;
    record
}

const MADE: &str = r#"{"customuuid":"x1","chengshudu":"2","userid":"u","memberid":"m","method":3,"extnumber":"80000","customer":"b"}"#;

fn members(record: &CallRecord, wanted: &[(&str, serde_json::Value)]) {
    let context = PushContext { extnumber: "80000".into(), method: "3".into(), ..context() };
    let body: serde_json::Value = serde_json::from_str(&cdr_push(record, &context)).unwrap();
    for (name, value) in wanted {
        assert_eq!(&body[name], value, "{name} of {body}");
    }
}

#[test]
fn s4_9_the_record_of_a_call_for_an_extension_tells_of_its_customer() {
    members(
        &made(MADE),
        &[
            ("callmethod", 3.into()),
            ("extnumber", "80000".into()),
            ("destnumber", "85781218893".into()),
            ("duration", 12.into()),
            ("billsec", 30.into()),
            ("answertime", dialect::clock::seconds(at(12)).into()),
            ("starttime", dialect::clock::seconds(at(0)).into()),
            ("hangupcause", 10_001.into()),
            ("hangupdirection", 10_040.into()),
            ("memberid", "m".into()),
            ("chengshudu", "2".into()),
            ("customuuid", "x1".into()),
        ],
    );
    let mut record = made(MADE);
    record.facts.released_by = Side::Callee;
    members(&record, &[("hangupdirection", 10_041.into())]);
    // Ended from outside while they talk: by the server.
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::Us, Kind::HungUpByUs));
    record.facts.released_by = Side::Platform;
    members(&record, &[("hangupcause", 10_007.into()), ("hangupdirection", 10_040.into())]);
    // The customer first: he is leg A.
    let reverse = MADE.replace(r#""customer":"b""#, r#""customer":"a""#);
    let mut record = made(&reverse);
    record.facts.command.a.as_sent = "85781218893".into();
    members(&record, &[("destnumber", "85781218893".into()), ("billsec", 37.into())]);
    members(&record, &[("extnumber", "80000".into()), ("hangupdirection", 10_041.into())]);
    let double = MADE.replace(r#""method":3"#, r#""method":4"#);
    members(&made(&double), &[("callmethod", 4.into())]);
}

#[test]
fn s4_9_where_the_extension_does_not_come_that_is_why() {
    let mut record = made(MADE);
    record.facts.ended = at(42);
    record.facts.legs.truncate(1);
    let seat = &mut record.facts.legs[0];
    (seat.answered, seat.sip_final) = (None, Some(486));
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Busy));
    let none = [("hangupcause", 10_006.into()), ("hangupdirection", 10_040.into())];
    members(&record, &none);
    members(&record, &[("answertime", "".into()), ("billsec", 0.into()), ("duration", 42.into())]);
    // The customer refuses: he is the callee.
    let mut record = made(MADE);
    let customer = &mut record.facts.legs[1];
    (customer.answered, customer.sip_final) = (None, Some(603));
    record.facts.outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::Rejected));
    members(&record, &[("hangupcause", 10_003.into()), ("hangupdirection", 10_041.into())]);
}

#[test]
fn s4_5_states_of_a_call_for_an_extension_say_whose_side_it_is() {
    let told = |extension: &str, customer: &str| {
        let context = PushContext {
            extnumber: "80000".into(),
            method: "3".into(),
            customer: customer.into(),
            ..context()
        };
        let change = StateChange {
            leg: LegId::new(call(), LegNo::A),
            sequence: 1,
            state: LegState::Alerting,
            number: extension.into(),
            shown: String::new(),
            at: at(0),
            extension: Some(extension.into()),
        };
        let body: serde_json::Value =
            serde_json::from_str(&state_push(&change, &context).unwrap()).unwrap();
        ["caller", "callee", "extnumber", "isbleg", "method", "direction"]
            .map(|name| body[name].as_str().unwrap().to_owned())
    };
    let seat = told("80000", "85781218893");
    assert_eq!(seat, ["80000", "85781218893", "80000", "false", "3", "callout"]);
    let customer = told("80001", "80001");
    assert_eq!(customer, ["80000", "80001", "80001", "true", "3", "callout"]);
}
