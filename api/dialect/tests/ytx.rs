//! System 001: pushes in the seed's field order, `stateDesc` row by row, request bodies.

mod sample;

use std::time::Duration;

use dialect::ytx::{
    CdrPage, Code, FID_CODE, FID_TWO_WAY, Function, PushContext, PushMode, cdr_answer, cdr_push,
    endpoint, parse_body, plain_digits, request_id, state_desc, state_push,
};
use dialect::{Event, Secrets, delivered, format_push, retry_delays};
use facts::record::LegState;
use facts::{
    CallFacts, CallRecord, Dialect, Failure, Kind, LegFacts, LegId, LegNo, Origin, Outcome,
    Purpose, Push, PushKind, StateChange, UnixMillis,
};
use sample::{at, call, charge, command, failed, leg, record, talked};

/// The call of the seed's sample: A talks from 11:19:36 to 11:20:36, B from 11:19:40 to 11:20:40.
fn seed_record() -> CallRecord {
    let legs = vec![talked(LegNo::A, 36, 96), talked(LegNo::B, 40, 100)];
    let command = command(Dialect::Ytx, "13810603954", "18810207016");
    let mut record = record(command, Outcome::Completed, legs);
    record.charges = vec![charge(LegNo::A, 60, 1_470_000), charge(LegNo::B, 60, 1_470_000)];
    record.recording_url = Some("http://rec.example/a/b.mp3".into());
    record
}

#[test]
fn the_record_push_has_the_seeds_fields_in_the_seeds_order() {
    let id = request_id(call(), FID_TWO_WAY);
    assert_eq!(
        cdr_push(&seed_record(), &PushContext::default()),
        format!(
            r#"{{"cdr":[{{"requestid":"{id}","appid":"ff8080813fc70a7b013fc72312324213","fid":"4","caller":"13810603954","called":"18810207016","callerstime":"2016-02-02 11:19:36.000","calleretime":"2016-02-02 11:20:36.000","calledstime":"2016-02-02 11:19:40.000","calledetime":"2016-02-02 11:20:40.000","tapesurl":"http://rec.example/a/b.mp3","duration":"60","oriamount":"2.94","customParm":"123456","stateDesc":"应答|正常"}}]}}"#
        )
    );
}

#[test]
fn cdr_types_number_makes_numbers_of_four_fields_only() {
    let context = PushContext { numbers: true, ..PushContext::default() };
    let body = cdr_push(&seed_record(), &context);
    assert!(body.contains(r#""fid":4,"caller":"13810603954""#), "{body}");
    assert!(body.contains(r#""duration":60,"oriamount":2.94,"customParm":"123456""#), "{body}");
    assert!(body.contains(".000"), "{body}");
}

#[test]
fn query_records_are_typed_and_have_no_milliseconds() {
    let body = cdr_answer(&[seed_record(), seed_record()], &PushContext::default());
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["cdr"].as_array().unwrap().len(), 2);
    assert!(json.get("statusCode").is_none());
    let row = &json["cdr"][0];
    assert_eq!(row["fid"], 4);
    assert_eq!(row["duration"], 60);
    assert_eq!(row["oriamount"], 2.94);
    assert_eq!(row["callerstime"], "2016-02-02 11:19:36");
    assert_eq!(row["caller"], "13810603954");
}

#[test]
fn an_unanswered_called_leg_has_no_start_and_the_callers_end() {
    let b = failed(LegNo::B, Some(404), Some(1), false, Kind::Unallocated);
    let outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::Unallocated));
    let legs = vec![talked(LegNo::A, 36, 50), b];
    let mut record = record(command(Dialect::Ytx, "1", "2"), outcome, legs);
    record.charges = vec![charge(LegNo::A, 14, 150_000)];
    let body = cdr_push(&record, &PushContext::default());
    for part in [
        r#""calleretime":"2016-02-02 11:19:50.000","calledstime":"","calledetime":"2016-02-02 11:19:50.000""#,
        r#""tapesurl":"NoTapes","duration":"14","oriamount":"0.15""#,
        r#""stateDesc":"应答|空号""#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
}

#[test]
fn the_merchants_own_words_are_escaped_in_json() {
    let mut record = seed_record();
    record.facts.command.custom = "a\"b\\订单\n".into();
    let body = cdr_push(&record, &PushContext::default());
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["cdr"][0]["customParm"], "a\"b\\订单\n");
}

fn change(state: LegState, number: &str, shown: &str) -> StateChange {
    StateChange {
        leg: LegId::new(call(), LegNo::A),
        sequence: 0,
        state,
        number: number.into(),
        shown: shown.into(),
        // 2018-06-04 11:13:04, Beijing time.
        at: UnixMillis(1_528_081_984_000),
        extension: None,
    }
}

#[test]
fn state_pushes_byte_for_byte() {
    let id = request_id(call(), FID_TWO_WAY);
    assert_eq!(
        state_push(&change(LegState::Callout, "13600007556", "861053180002")),
        format!(
            r#"{{"requestid":"{id}","src":"01053180002","dsc":"13600007556","timestamp":"2018-06-04 11:13:04","state":"callout","stateDesc":""}}"#
        )
    );
    for (state, word) in [
        (LegState::Alerting, "alerting"),
        (LegState::Answer, "answer"),
        (LegState::Disconnect, "disconnect"),
    ] {
        assert!(state_push(&change(state, "1", "2")).contains(&format!(r#""state":"{word}""#)));
    }
}

#[test]
fn numbers_in_state_pushes_are_digits_as_home_phones_show_them() {
    for (number, digits) in [
        ("13600007556", "13600007556"),
        ("+86 136-0000-7556", "13600007556"),
        ("008613600007556", "13600007556"),
        ("8613600007556", "13600007556"),
        ("861053180002", "01053180002"),
        ("010-53180002", "01053180002"),
        ("80000", "80000"),
        ("8000123", "8000123"),
        ("+442079460000", "00442079460000"),
        ("", ""),
    ] {
        assert_eq!(plain_digits(number), digits, "{number}");
    }
}

#[test]
fn callback_address_modes() {
    for (base, mode, call, state) in [
        (
            "http://m/cb/ytx?",
            PushMode::Suffix,
            "http://m/cb/ytx?Call",
            Some("http://m/cb/ytx?CallState"),
        ),
        ("http://m/app/", PushMode::Suffix, "http://m/app/Call", Some("http://m/app/CallState")),
        ("http://m/x?t=", PushMode::Suffix, "http://m/x?t=Call", Some("http://m/x?t=CallState")),
        ("http://m/cb", PushMode::Suffix, "http://m/cb/Call", Some("http://m/cb/CallState")),
        ("http://m/cb", PushMode::Plain, "http://m/cb", Some("http://m/cb")),
        ("http://m/a", PushMode::Two("http://m/b"), "http://m/a", Some("http://m/b")),
        ("http://m/a", PushMode::RecordsOnly, "http://m/a", None),
    ] {
        assert_eq!(endpoint(base, &mode, PushKind::Record).as_deref(), Some(call));
        assert_eq!(endpoint(base, &mode, PushKind::State).as_deref(), state);
    }
}

// ---- stateDesc ------------------------------------------------------------------------------------

fn facts(outcome: Outcome, legs: Vec<LegFacts>) -> CallFacts {
    record(command(Dialect::Ytx, "1", "2"), outcome, legs).facts
}

fn b_failed(sip: Option<u16>, q850: Option<u8>, rang: bool, kind: Kind) -> String {
    let b = failed(LegNo::B, sip, q850, rang, kind);
    let outcome = Outcome::Failed(Failure::new(Origin::LegB, kind));
    state_desc(&facts(outcome, vec![talked(LegNo::A, 10, 50), b]), false)
}

#[test]
fn recognition_of_the_called_leg_from_status_and_cause() {
    use Kind::*;
    for (sip, q850, rang, kind, word) in [
        (Some(480), Some(20), false, Unreachable, "关机"),
        (Some(404), Some(1), false, Unallocated, "空号"),
        (Some(604), None, false, Unallocated, "空号"),
        (Some(410), None, false, Unallocated, "空号"),
        (Some(410), Some(22), false, Unallocated, "改号"),
        (Some(301), Some(1), false, Unallocated, "改号"),
        (Some(603), Some(21), false, Rejected, "用户拒接"),
        (Some(486), Some(21), true, Rejected, "用户拒接"),
        (Some(486), None, true, Rejected, "用户拒接"),
        (Some(486), Some(17), false, Busy, "用户正忙"),
        (Some(486), Some(17), true, Busy, "用户正忙"),
        (Some(600), None, false, Busy, "用户正忙"),
        (Some(480), None, false, Unreachable, "无法拨通"),
        (Some(480), Some(18), false, Unreachable, "无法拨通"),
        (Some(484), Some(28), false, InvalidNumber, "拨号方式不正确"),
        (Some(403), Some(57), false, Forbidden, "呼入限制"),
        (Some(403), Some(55), false, Forbidden, "呼入限制"),
        (Some(302), None, true, Unreachable, "呼叫转移失败"),
        (Some(503), Some(34), false, Congestion, "网络忙"),
        (Some(500), None, false, Congestion, "网络忙"),
        (Some(504), Some(38), false, Congestion, "网络忙"),
        (Some(480), Some(19), true, NoAnswer, "无人接听"),
        (Some(408), None, true, NoAnswer, "无人接听"),
        (Some(487), Some(19), true, NoAnswer, "无人接听"),
        (None, Some(19), true, NoAnswer, "无人接听"),
        (Some(402), Some(57), false, Forbidden, "欠费"),
        (Some(502), Some(27), false, Unreachable, "线路故障"),
        (None, Some(18), false, Unreachable, "线路故障"),
        (None, None, false, TransportFailed, "线路故障"),
        (None, None, false, NoRoute, "线路故障"),
        (Some(503), Some(1), false, Unallocated, "空号"),
        (Some(487), Some(16), true, Abandoned, "未知"),
        (Some(418), None, false, Unreachable, "未知"),
    ] {
        assert_eq!(
            b_failed(sip, q850, rang, kind),
            format!("应答|{word}"),
            "{sip:?} {q850:?} {rang}"
        );
    }
}

#[test]
fn busy_behind_early_audio_is_a_second_call() {
    let mut b = failed(LegNo::B, Some(486), Some(17), false, Kind::Busy);
    b.progress = Some(at(5));
    let outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::Busy));
    let facts = facts(outcome, vec![talked(LegNo::A, 10, 50), b]);
    assert_eq!(state_desc(&facts, false), "应答|正在通话中");
}

#[test]
fn an_unregistered_extension_is_unreachable_not_a_broken_line() {
    let mut b = failed(LegNo::B, None, Some(18), false, Kind::Unreachable);
    b.trunk.clear();
    let outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::Unreachable));
    let facts = facts(outcome, vec![talked(LegNo::A, 10, 50), b]);
    assert_eq!(state_desc(&facts, false), "应答|无法拨通");
}

#[test]
fn progress_and_recognition_of_the_calling_leg_when_the_other_was_not_dialled() {
    use Kind::*;
    for (sip, q850, rang, kind, desc) in [
        (Some(480), Some(19), true, NoAnswer, "未应答|无人接听"),
        (Some(603), Some(21), true, Rejected, "未应答|用户拒接"),
        (Some(487), Some(16), true, HungUpByUs, "振铃|未知"),
        (Some(404), Some(1), false, Unallocated, "正在处理中|空号"),
        (None, Some(3), false, NoRoute, "正在处理中|线路故障"),
    ] {
        let a = failed(LegNo::A, sip, q850, rang, kind);
        let outcome = Outcome::Failed(Failure::new(Origin::LegA, kind));
        assert_eq!(state_desc(&facts(outcome, vec![a]), false), desc);
    }
    let outcome = Outcome::Failed(Failure::new(Origin::Us, Crash));
    assert_eq!(state_desc(&facts(outcome, vec![]), false), "正在处理中|未知");
    assert_eq!(state_desc(&facts(outcome, vec![leg(LegNo::A)]), false), "正在处理中|未知");
    // A answered and B could not be tried.
    let outcome = Outcome::Failed(Failure::new(Origin::Us, NoRoute));
    let only_a = vec![talked(LegNo::A, 10, 20)];
    assert_eq!(state_desc(&facts(outcome, only_a), false), "应答|线路故障");
}

#[test]
fn unknown_as_normal_is_the_apps_choice() {
    let b = failed(LegNo::B, Some(487), Some(16), true, Kind::Abandoned);
    let outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Abandoned));
    let facts = facts(outcome, vec![talked(LegNo::A, 10, 50), b]);
    assert_eq!(state_desc(&facts, false), "应答|未知");
    assert_eq!(state_desc(&facts, true), "应答|正常");
}

// ---- request bodies -------------------------------------------------------------------------------

const DAIL: &str =
    r#"{"action":"callDailBack","appid":"ab","src":"13810603954","dst":"18810207016"}"#;

fn dail(more: &str) -> Result<dialect::ytx::DailBack, Code> {
    let body = DAIL.replace('}', &format!(",{more}}}"));
    parse_body(Function::DailbackCall, body.as_bytes()).and_then(|action| action.dail_back(false))
}

#[test]
fn json_then_action_then_required_fields() {
    let code = |body: &str| parse_body(Function::DailbackCall, body.as_bytes()).err();
    for bad in ["", "x", "[]", "null", "{", "\"a\"", &"[".repeat(1000)] {
        assert_eq!(code(bad), Some(Code::BadJson), "{bad}");
    }
    for bad in
        ["{}", r#"{"action":"calldailback"}"#, r#"{"action":7}"#, r#"{"action":"getCdrByTime"}"#]
    {
        assert_eq!(code(bad), Some(Code::BadAction), "{bad}");
    }
    for name in ["appid", "src", "dst"] {
        assert_eq!(code(&DAIL.replace(name, "x")), Some(Code::ParamMissing), "{name}");
        let empty = DAIL.replace(&format!("\"{name}\":\""), &format!("\"{name}\":\"\",\"y\":\""));
        assert_eq!(code(&empty), Some(Code::ParamMissing), "{empty}");
    }
    assert_eq!(code(&format!("\u{feff}{DAIL}\r\n")), None);
}

#[test]
fn credit_is_taken_as_text_or_number_and_raised_to_sixty() {
    for (more, seconds) in [
        (r#""credit":"10""#, Some(60)),
        (r#""credit":10"#, Some(60)),
        (r#""credit":360"#, Some(360)),
        (r#""credit":"3600""#, Some(3600)),
        (r#""credit":"""#, None),
        (r#""credit":null"#, None),
    ] {
        let credit = dail(more).unwrap().credit;
        assert_eq!(credit, seconds.map(Duration::from_secs), "{more}");
    }
    for more in [r#""credit":"x""#, r#""credit":-1"#, r#""credit":1.5"#, r#""credit":[]"#] {
        assert_eq!(dail(more), Err(Code::BadValue), "{more}");
    }
    let body = DAIL.replace('}', r#","credit":60}"#);
    let action = parse_body(Function::DailbackCall, body.as_bytes()).unwrap();
    assert_eq!(action.dail_back(true), Err(Code::BadValue));
}

#[test]
fn ring_times_numbers_and_words_within_bounds() {
    let good =
        dail(r#""srctimeout":"30","dsttimeout":120,"customParm":"o1","srcclid":"01053180002""#)
            .unwrap();
    assert_eq!(good.src_ring, Duration::from_secs(30));
    assert_eq!(good.dst_ring, Duration::from_secs(120));
    assert_eq!(good.custom, "o1");
    assert_eq!(good.src_shown.as_deref(), Some("01053180002"));
    assert_eq!(good.dst_shown, None);
    assert_eq!(dail(r#""srctimeout":9"#), Err(Code::BadValue));
    assert_eq!(dail(r#""dsttimeout":"121""#), Err(Code::BadValue));
    assert_eq!(dail(&format!(r#""customParm":"{}""#, "x".repeat(129))), Err(Code::BadValue));
    assert_eq!(dail(r#""dstclid":"abc""#), Err(Code::BadPhone));
    let odd = DAIL.replace("18810207016", "188102O7016");
    let action = parse_body(Function::DailbackCall, odd.as_bytes()).unwrap();
    assert_eq!(action.dail_back(false), Err(Code::BadPhone));
}

fn query(body: &str) -> Result<CdrPage, Code> {
    let action = parse_body(Function::CallCdr, body.as_bytes())?;
    action.query().map(|query| query.page)
}

#[test]
fn record_queries_by_id_and_by_hour() {
    let id = request_id(call(), FID_TWO_WAY);
    let by_id = |last: &str, limit: &str| {
        query(&format!(
            r#"{{"action":"getCdrByResId","appid":"a","fid":"4","lastresid":"{last}","limit":{limit}}}"#
        ))
    };
    assert_eq!(by_id("0", "\"100\""), Ok(CdrPage::After(None, 100)));
    assert_eq!(by_id("0", "99999"), Ok(CdrPage::After(None, 1000)));
    assert_eq!(by_id(&id, "5"), Ok(CdrPage::After(Some((call(), LegNo::A)), 5)));
    assert_eq!(by_id(&id, "0"), Ok(CdrPage::One(Some((call(), LegNo::A)))));
    assert_eq!(by_id("2016010000000206", "0"), Ok(CdrPage::One(None)));
    assert_eq!(by_id("2016010000000206", "9"), Ok(CdrPage::Nothing));
    assert_eq!(by_id(&"9".repeat(65), "9"), Err(Code::BadValue));
    let by_time = |day: &str, hour: &str| {
        query(&format!(
            r#"{{"action":"getCdrByTime","appid":"a","fid":4,"pdate":"{day}","ptime":"{hour}"}}"#
        ))
    };
    let hour = CdrPage::Hour(UnixMillis(1_454_382_000_000), UnixMillis(1_454_385_600_000));
    assert_eq!(by_time("2016-02-02", "11"), Ok(hour));
    assert_eq!(by_time("20160202", "11"), Ok(hour));
    assert_eq!(by_time("2016-02-02", "24"), Err(Code::BadValue));
    assert_eq!(by_time("2016-02-30", "1"), Err(Code::BadValue));
}

#[test]
fn a_hang_up_names_a_call_of_ours() {
    let read = |id: &str| {
        let body = format!(r#"{{"action":"hangupCall","appid":"a","requestId":"{id}"}}"#);
        parse_body(Function::DailbackCall, body.as_bytes()).unwrap().hang_up().map(|h| h.call)
    };
    assert_eq!(read(&request_id(call(), FID_TWO_WAY)), Ok(call()));
    assert_eq!(read("2016010000000206"), Err(Code::BadValue));
}

#[test]
fn paths_are_known_by_the_systems_own_spelling() {
    assert_eq!(Function::read("call", "DailbackCall.wx"), Some(Function::DailbackCall));
    assert_eq!(Function::read("account", "getBlance.wx"), Some(Function::GetBlance));
    assert_eq!(Function::read("call", "DialbackCall.wx"), None);
    assert_eq!(Function::read("sms", "SendSms.wx"), None);
}

#[test]
fn pushes_are_written_for_both_kinds_and_any_2xx_is_good() {
    let push = Push {
        kind: PushKind::Record,
        dialect: Dialect::Ytx,
        endpoint: "http://m/Call".into(),
        context: "{}".into(),
    };
    let record = seed_record();
    let written = format_push(&push, Event::Record(&record), Secrets::default()).unwrap();
    assert_eq!(written.url, "http://m/Call");
    assert_eq!(written.content_type, Some("application/json;charset=UTF-8"));
    assert_eq!(written.body, cdr_push(&record, &PushContext::default()).into_bytes());
    let state = change(LegState::Answer, "1", "2");
    let written = format_push(&push, Event::State(&state), Secrets::default()).unwrap();
    assert_eq!(written.body, state_push(&state).into_bytes());
    for (status, good) in [(200, true), (204, true), (302, false), (400, false), (500, false)] {
        assert_eq!(delivered(Dialect::Ytx, status, b""), good);
    }
    assert_eq!(retry_delays(Dialect::Ytx, PushKind::Record), [0, 60, 300]);
}

proptest::proptest! {
    #[test]
    fn no_body_header_or_sign_panics(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = dialect::ytx::parse_authorization(&raw);
        for function in [Function::DailbackCall, Function::CallCdr, Function::GetBlance] {
            let _ = parse_body(function, &raw);
        }
    }

    #[test]
    fn no_value_panics(src in ".{0,50}", credit in ".{0,12}", id in "[0-9]{0,31}", day in "[0-9-]{0,11}") {
        let body = serde_json::json!({ "action": "callDailBack", "appid": "a", "src": src, "dst": src,
            "credit": credit, "srctimeout": credit, "srcclid": id });
        if let Ok(action) = parse_body(Function::DailbackCall, body.to_string().as_bytes()) {
            let _ = (action.dail_back(true), action.hang_up());
        }
        let body = serde_json::json!({ "action": "getCdrByTime", "appid": "a", "fid": "4", "pdate": day,
            "ptime": credit });
        if let Ok(action) = parse_body(Function::CallCdr, body.to_string().as_bytes()) {
            let _ = action.query();
        }
        let _ = plain_digits(&src);
    }
}

/// A code that was said for 22 s.
fn code_record() -> CallRecord {
    let mut command = command(Dialect::Ytx, "13810603954", "");
    (command.b, command.purpose, command.custom) = (None, Purpose::Code, String::new());
    let mut record = record(command, Outcome::Completed, vec![talked(LegNo::A, 20, 42)]);
    record.charges = vec![charge(LegNo::A, 22, 60_000)];
    record
}

/// Merchant API §3.9, fid 2.
#[test]
fn the_record_of_a_code_has_the_seeds_fields_in_the_seeds_order() {
    let id = request_id(call(), FID_CODE);
    let body = |context: &PushContext| cdr_push(&code_record(), context);
    let told = format!(
        r#"{{"cdr":[{{"requestid":"{id}","appid":"ff8080813fc70a7b013fc72312324213","fid":"2","tel":"13810603954","stime":"2016-02-02 11:19:20.000","etime":"2016-02-02 11:19:42.000","duration":"22","oriamount":"0.06","stateDesc":"正常"}}]}}"#
    );
    assert_eq!(body(&PushContext::default()), told);
    let quiet = PushContext { no_code_state: true, ..PushContext::default() };
    assert_eq!(body(&quiet), told.replace(r#","stateDesc":"正常""#, ""));
    let mut failed = code_record();
    failed.facts.command.custom = "order".into();
    let leg = &mut failed.facts.legs[0];
    (leg.answered, leg.sip_final, leg.q850) = (None, Some(486), Some(17));
    failed.charges.clear();
    let told = cdr_push(&failed, &PushContext::default());
    assert!(
        told.contains(r#""stime":"","etime":"2016-02-02 11:19:42.000","duration":"0""#),
        "{told}"
    );
    assert!(told.ends_with(r#""stateDesc":"用户正忙","customParm":"order"}]}"#), "{told}");
}
