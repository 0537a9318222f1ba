//! System 000: the vectors of the merchant API's §8, the seed's client byte for byte, each result word.

mod sample;

use dialect::callni::{
    Code, HexCase, NotifyContext, Request, is_delivered, notification_url, result_word,
};
use dialect::{
    Event, FormatError, Method, PushRequest, Secrets, delivered, format_push, retry_delays,
};
use facts::{CallRecord, Dialect, Failure, Kind, LegNo, Origin, Outcome, Push, PushKind};
use sample::{charge, command, failed, record, talked};

const KEY: &str = "awrlk45ghfg7";
const TICKS: &str = "634567890123456789";

/// The fields of the seed's second sample, unescaped, with the given sign and tail.
fn callback_query(sign: &str) -> String {
    format!(
        "username=test&callbackid={TICKS}&callback_num=80000&destination_num=13800138000\
         &returnurl=http://biz.callni.com/getcallbackdata.aspx&data=test&sign={sign}"
    )
}

#[test]
fn vector_1_biz_regist_in_both_hex_cases() {
    for (sign, case) in [
        ("bd3357466af4e8dc152beb996b8e0385", HexCase::Lower),
        ("BD3357466AF4E8DC152BEB996B8E0385", HexCase::Upper),
    ] {
        let query = format!("username=test&realname=&email=&sign={sign}");
        let request = Request::parse(query.as_bytes(), b"");
        assert_eq!(request.require_regist(), Ok(()));
        let verified = request.verify_regist(&[KEY]).unwrap();
        assert_eq!(verified.case, case);
        assert_eq!(verified.regist().unwrap().realname, "");
    }
}

#[test]
fn vector_2_biz_callback_as_the_seed_sends_it() {
    let query = callback_query("44cb54e642dcb812b3a373b78fc12382");
    let request = Request::parse(query.as_bytes(), b"");
    assert_eq!(request.require_callback(), Ok(()));
    assert_eq!(request.username().as_deref(), Ok("test"));
    let callback = request.verify_callback(&["old-key", KEY]).unwrap().callback().unwrap();
    assert_eq!(callback.callbackid, TICKS);
    assert_eq!(callback.callback_num, "80000");
    assert_eq!(callback.destination_num, "13800138000");
    assert_eq!(callback.returnurl, "http://biz.callni.com/getcallbackdata.aspx");
    assert_eq!(callback.data.as_deref(), Some("test"));
}

#[test]
fn a_changed_number_or_key_is_a_bad_sign() {
    let good = callback_query("44cb54e642dcb812b3a373b78fc12382");
    for query in [
        good.replace("13800138000", "13800138001"),
        good.replace("username=test", "username=Test"),
        good.replace("44cb", "44cc"),
        good.replace("&sign=44cb54e642dcb812b3a373b78fc12382", "&sign=44cb"),
    ] {
        let request = Request::parse(query.as_bytes(), b"");
        assert_eq!(request.verify_callback(&[KEY]).err(), Some(Code::SignError), "{query}");
    }
    let request = Request::parse(good.as_bytes(), b"");
    assert_eq!(request.verify_callback(&["", "x"]).err(), Some(Code::SignError));
    // A merchant without a key cannot be impersonated by signing with an empty one.
    let unsigned = "username=test&realname=&email=&sign=0d77feb3f5ba20aaee5a3ba0b8f48a90";
    let request = Request::parse(unsigned.as_bytes(), b"");
    assert_eq!(request.verify_regist(&[""]).err(), Some(Code::SignError));
}

#[test]
fn vector_5_a_chinese_username_signed_as_utf8_or_as_gbk() {
    let raw_gbk = b"username=\xb2\xe2\xca\xd4&realname=&email=&sign=".as_slice();
    let escaped_utf8 = b"username=%E6%B5%8B%E8%AF%95&realname=&email=&sign=".as_slice();
    for start in [raw_gbk, escaped_utf8, "username=测试&realname=&email=&sign=".as_bytes()] {
        for sign in ["8ec488a5400663ad06eaf70d330ced47", "68c604305807d9f062e72a02c5cf96cd"] {
            let request = Request::parse(&[start, sign.as_bytes()].concat(), b"");
            assert_eq!(request.username().as_deref(), Ok("测试"));
            assert!(request.verify_regist(&[KEY]).is_ok(), "{sign}");
        }
    }
}

#[test]
fn a_realname_in_raw_gbk_is_read_right() {
    let query =
        b"username=test&realname=\xd5\xc5\xc8\xfd&email=a@b&sign=bd3357466af4e8dc152beb996b8e0385";
    let verified = Request::parse(query, b"").verify_regist(&[KEY]).unwrap();
    let regist = verified.regist().unwrap();
    assert_eq!((regist.realname.as_str(), regist.email.as_str()), ("张三", "a@b"));
}

#[test]
fn the_manuals_misspelt_callbakcid_is_taken() {
    let query =
        callback_query("44cb54e642dcb812b3a373b78fc12382").replace("callbackid=", "callbakcid=");
    let request = Request::parse(query.as_bytes(), b"");
    assert_eq!(request.require_callback(), Ok(()));
    assert_eq!(request.verify_callback(&[KEY]).unwrap().callback().unwrap().callbackid, TICKS);
}

#[test]
fn an_unescaped_returnurl_keeps_its_question_mark_and_ends_at_its_ampersand() {
    let query = callback_query("44cb54e642dcb812b3a373b78fc12382")
        .replace("getcallbackdata.aspx", "r.aspx?shop=7&data=evil&sign=evil&callbackid=evil");
    let verified = Request::parse(query.as_bytes(), b"").verify_callback(&[KEY]).unwrap();
    let callback = verified.callback().unwrap();
    assert_eq!(callback.returnurl, "http://biz.callni.com/r.aspx?shop=7");
    assert_eq!(callback.data.as_deref(), Some("test"));
    assert_eq!(callback.callbackid, TICKS);
}

#[test]
fn an_unescaped_plus_is_a_plus_when_the_signature_says_so() {
    // md5("username=test&callbackid=1&callback_num=80000&destination_num=+8613800138000&key=awrlk45ghfg7")
    let base = "username=test&callbackid=1&callback_num=80000&destination_num=+8613800138000&key=awrlk45ghfg7";
    let sign = md5(base);
    for number in ["+8613800138000", "%2B8613800138000"] {
        let query = format!(
            "username=test&callbackid=1&callback_num=80000&destination_num={number}&returnurl=http://a/&sign={sign}"
        );
        let verified = Request::parse(query.as_bytes(), b"").verify_callback(&[KEY]).unwrap();
        assert_eq!(verified.callback().unwrap().destination_num, "+8613800138000", "{number}");
    }
}

#[test]
fn a_post_form_says_the_same_as_a_query() {
    let body = callback_query("44cb54e642dcb812b3a373b78fc12382");
    let body = format!("\u{feff}{body}\r\n");
    let request = Request::parse(b"", body.as_bytes());
    assert!(request.verify_callback(&[KEY]).is_ok());
}

#[test]
fn code_1001_names_the_first_missing_parameter() {
    let query = callback_query("x");
    for name in ["username", "callbackid", "callback_num", "destination_num", "returnurl", "sign"] {
        let renamed = query.replace(&format!("{name}="), &format!("x{name}="));
        let request = Request::parse(renamed.as_bytes(), b"");
        assert_eq!(request.require_callback(), Err(Code::ParamMissing(name)));
    }
    let regist = "username=test&realname=&email=&sign=x";
    for name in ["username", "realname", "email", "sign"] {
        let renamed = regist.replace(&format!("{name}="), &format!("x{name}="));
        let request = Request::parse(renamed.as_bytes(), b"");
        assert_eq!(request.require_regist(), Err(Code::ParamMissing(name)));
    }
}

#[test]
fn values_out_of_bounds_are_named() {
    let read = |name: &str, value: &str| {
        let ids = ("1", "80000", "13800138000");
        let base = format!(
            "username=test&callbackid={}&callback_num={}&destination_num={}&key={KEY}",
            if name == "callbackid" { value } else { ids.0 },
            if name == "callback_num" { value } else { ids.1 },
            if name == "destination_num" { value } else { ids.2 },
        );
        let fields = base.replace(&format!("&key={KEY}"), "");
        let more = match name {
            "returnurl" => format!("&returnurl={value}"),
            "data" => format!("&returnurl=http://a/&data={value}"),
            _ => "&returnurl=http://a/".into(),
        };
        let query = format!("{fields}{more}&sign={}", md5(&base));
        Request::parse(query.as_bytes(), b"").verify_callback(&[KEY]).unwrap().callback().err()
    };
    assert_eq!(read("callbackid", &"1".repeat(64)), None);
    assert_eq!(read("callbackid", &"1".repeat(65)), Some(Code::ParamMissing("callbackid")));
    assert_eq!(read("callbackid", "a/b"), Some(Code::ParamMissing("callbackid")));
    assert_eq!(read("callback_num", &"1".repeat(41)), Some(Code::CallbackNumInvalid));
    assert_eq!(read("destination_num", &"1".repeat(41)), Some(Code::DestinationNumInvalid));
    assert_eq!(read("returnurl", &"u".repeat(1025)), Some(Code::ReturnurlInvalid));
    assert_eq!(read("data", &"d".repeat(1024)), None);
    assert_eq!(read("data", &"d".repeat(1025)), Some(Code::ParamMissing("data")));
}

#[test]
fn values_of_a_new_user_are_bounded() {
    let sign = md5(&format!("username=test&key={KEY}"));
    let read = |realname: &str, email: &str| {
        let query = format!("username=test&realname={realname}&email={email}&sign={sign}");
        Request::parse(query.as_bytes(), b"").verify_regist(&[KEY]).unwrap().regist().err()
    };
    assert_eq!(read("", ""), None);
    assert_eq!(read(&"张".repeat(50), &format!("{}@a.cn", "z".repeat(95))), None);
    for name in ["z".repeat(51), "a%0Ab".to_owned()] {
        assert_eq!(read(&name, ""), Some(Code::ParamMissing("realname")), "{name}");
    }
    for email in ["z3".to_owned(), format!("{}@a.cn", "z".repeat(96)), "a@%0Ab".to_owned()] {
        assert_eq!(read("", &email), Some(Code::ParamMissing("email")), "{email}");
    }
}

fn md5(text: &str) -> String {
    use md5::{Digest, Md5};
    hex::encode(Md5::digest(text.as_bytes()))
}

// ---- notifications --------------------------------------------------------------------------------

fn context(data: Option<&str>, upper: bool) -> NotifyContext {
    NotifyContext { callbackid: TICKS.into(), data: data.map(String::from), upper }
}

fn completed() -> CallRecord {
    let legs = vec![talked(LegNo::A, 10, 75), talked(LegNo::B, 15, 75)];
    let mut record =
        record(command(Dialect::Callni, "80000", "13800138000"), Outcome::Completed, legs);
    record.charges = vec![charge(LegNo::A, 65, 200_000), charge(LegNo::B, 60, 300_000)];
    record
}

#[test]
fn vector_3_the_notification_of_a_good_call_byte_for_byte() {
    assert_eq!(
        notification_url("http://m.cn/r.aspx", &completed(), &context(None, false), KEY),
        "http://m.cn/r.aspx?callbackid=634567890123456789&callback_num=80000&callback_duration=65\
         &callback_fee=0.20&destination_num=13800138000&destination_duration=60&destination_fee=0.30\
         &callback_result=success&sign=3be4932bb5badd513b9ea63efe20bab2"
    );
}

#[test]
fn vector_4_nobody_answered_four_zeros_and_a_word() {
    let a = failed(LegNo::A, Some(480), Some(19), true, Kind::NoAnswer);
    let outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::NoAnswer));
    let record = record(command(Dialect::Callni, "80000", "13800138000"), outcome, vec![a]);
    let url = notification_url("http://m.cn/r", &record, &context(None, false), KEY);
    assert_eq!(
        url,
        "http://m.cn/r?callbackid=634567890123456789&callback_num=80000&callback_duration=0\
         &callback_fee=0.00&destination_num=13800138000&destination_duration=0&destination_fee=0.00\
         &callback_result=caller_noanswer&sign=215ea216188a5a141c3a8800ece3c465"
    );
}

#[test]
fn the_signature_mirrors_the_merchants_hex_case_and_data_is_escaped() {
    let url =
        notification_url("http://m/r?a=1", &completed(), &context(Some("订单 1&x=2"), true), KEY);
    assert!(url.starts_with("http://m/r?a=1&callbackid="), "{url}");
    assert!(
        url.ends_with("&sign=3BE4932BB5BADD513B9EA63EFE20BAB2&data=%E8%AE%A2%E5%8D%95%201%26x%3D2"),
        "{url}"
    );
}

#[test]
fn the_query_is_joined_as_the_url_needs_it() {
    for (base, joint) in [
        ("http://m/r", "http://m/r?callbackid"),
        ("http://m/r?", "http://m/r?callbackid"),
        ("http://m/r?a=1", "http://m/r?a=1&callbackid"),
        ("http://m/r?a=1&", "http://m/r?a=1&callbackid"),
        ("http://m/r#top", "http://m/r?callbackid"),
        ("http://m", "http://m?callbackid"),
    ] {
        let url = notification_url(base, &completed(), &context(None, false), KEY);
        assert!(url.starts_with(joint), "{url}");
    }
}

#[test]
fn a_fee_has_as_many_decimals_as_it_needs() {
    let mut record = completed();
    record.charges[0].price = facts::Micros(127_500);
    let url = notification_url("http://m", &record, &context(None, false), KEY);
    assert!(url.contains("&callback_fee=0.1275&"), "{url}");
}

#[test]
fn every_way_a_call_can_end_has_its_word() {
    use Kind::*;
    use Origin::*;
    let none = || failed(LegNo::A, None, None, false, Internal);
    let a_up = || talked(LegNo::A, 10, 50);
    let b_down = || failed(LegNo::B, None, None, true, Internal);
    let b_up = || talked(LegNo::B, 20, 50);
    for (origin, kind, legs, word) in [
        (LegA, NoAnswer, vec![none()], "caller_noanswer"),
        (LegA, Busy, vec![none()], "caller_busy"),
        (LegA, Rejected, vec![none()], "caller_reject"),
        (LegA, Unreachable, vec![none()], "caller_unreachable"),
        (LegA, Unallocated, vec![none()], "caller_unreachable"),
        (Us, NoRoute, vec![], "caller_unreachable"),
        (LegB, NoAnswer, vec![a_up(), b_down()], "callee_noanswer"),
        (LegB, Busy, vec![a_up(), b_down()], "callee_busy"),
        (LegB, Rejected, vec![a_up(), b_down()], "callee_reject"),
        (LegB, Unallocated, vec![a_up(), b_down()], "callee_invalid"),
        (LegB, Unreachable, vec![a_up(), b_down()], "callee_unreachable"),
        (Us, NoRoute, vec![a_up()], "callee_unreachable"),
        (LegA, Abandoned, vec![a_up(), b_down()], "caller_hangup"),
        (Billing, CreditExhausted, vec![a_up(), b_up()], "balance_not_enough"),
        (Us, MaxDuration, vec![a_up(), b_up()], "timeout"),
        (Us, Blocked, vec![], "blocked"),
        (Us, Crash, vec![a_up(), b_up()], "system_error"),
        (Us, Shutdown, vec![a_up(), b_up()], "system_error"),
        (Media, MediaSilence, vec![a_up(), b_up()], "success"),
        (LegA, LostDialog, vec![a_up(), b_up()], "success"),
    ] {
        let outcome = Outcome::Failed(Failure::new(origin, kind));
        let record = record(command(Dialect::Callni, "80000", "13800138000"), outcome, legs);
        assert_eq!(result_word(&record), word, "{origin:?} {kind:?}");
    }
    assert_eq!(result_word(&completed()), "success");
}

#[test]
fn only_the_word_success_ends_delivery() {
    for body in [&b"success"[..], b" Success\r\n", b"SUCCESS", b"\xef\xbb\xbfsuccess"] {
        assert!(is_delivered(200, body));
    }
    for body in [&b""[..], b"successful", b"ok", b"success!", b"<html>success</html>", b"fail"] {
        assert!(!is_delivered(200, body));
    }
    assert!(!is_delivered(302, b"success"));
    assert!(!is_delivered(500, b"success"));
}

#[test]
fn a_push_is_written_stored_and_read_back_the_same() {
    let push = Push {
        kind: PushKind::Record,
        dialect: Dialect::Callni,
        endpoint: "http://m.cn/r".into(),
        context: serde_json::to_string(&context(Some("test"), false)).unwrap(),
    };
    let record = completed();
    let secrets = Secrets { api_key: Some(KEY) };
    let written = format_push(&push, Event::Record(&record), secrets).unwrap();
    assert_eq!(written.method, Method::Get);
    assert!(written.body.is_empty());
    let stored = written.clone().into_stored();
    assert_eq!(PushRequest::from_stored(Dialect::Callni, "http://m.cn/r", stored), written);
    let without = format_push(&push, Event::Record(&record), Secrets::default());
    assert_eq!(without, Err(FormatError::NoKey));
    let odd = Push { context: "{}".into(), ..push };
    assert_eq!(format_push(&odd, Event::Record(&record), secrets), Err(FormatError::Context));
}

#[test]
fn three_sends_at_zero_one_and_five_minutes() {
    assert_eq!(retry_delays(Dialect::Callni, PushKind::Record), [0, 60, 300]);
    assert!(delivered(Dialect::Callni, 200, b"success"));
}

proptest::proptest! {
    #[test]
    fn no_query_panics(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let request = Request::parse(&raw, &raw);
        let _ = (request.format(), request.username(), request.require_callback());
        let _ = request.verify_callback(&[KEY]);
    }

    #[test]
    fn whatever_is_signed_escaped_is_read_back(number in ".{1,30}", id in "[A-Za-z0-9_.:-]{1,64}") {
        proptest::prop_assume!(!number.starts_with('\u{feff}'));
        let base = format!("username=test&callbackid={id}&callback_num={number}&destination_num={number}");
        let sign = md5(&format!("{base}&key={KEY}"));
        let escaped = dialect::text::escape(&number);
        let query = format!("username=test&callbackid={id}&callback_num={escaped}\
            &destination_num={escaped}&returnurl=http://a/&sign={sign}");
        let verified = Request::parse(query.as_bytes(), b"").verify_callback(&[KEY]).unwrap();
        if let Ok(callback) = verified.callback() {
            proptest::prop_assert_eq!(callback.destination_num, number);
        }
    }
}
