use proptest::prelude::*;

use super::*;
use crate::text::{escape, gb18030};

const KEY: &str = "awrlk45ghfg7";
const SID: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "fedcba9876543210fedcba9876543210";
const HEADER: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZ8MjAyNjAxMTUwOTMwMDA=";
const DAY: Duration = Duration::from_hours(24);
/// 2026-01-15 09:30:00 in Beijing.
const NOW: UnixMillis = UnixMillis(1_768_440_600_000);
/// What vector 2 is made over, before the key.
const VECTOR_2: &str =
    "username=test&callbackid=634567890123456789&callback_num=80000&destination_num=13800138000";

fn md5(text: impl AsRef<[u8]>) -> String {
    hex::encode(Md5::digest(text.as_ref()))
}

fn explain(request: impl AsRef<[u8]>, secret: &str) -> Explanation {
    let question = Question::of(&Sent::read(request.as_ref())).expect("a request that is signed");
    question.explain(Some(&[secret]), NOW, DAY)
}

/// A `biz_callback` with that signature.
fn callback(sign: &str) -> String {
    format!(
        "GET /api/biz_callback?{VECTOR_2}&returnurl=http://m.example/r&sign={sign} HTTP/1.1\r\nHost: x\r\n\r\n"
    )
}

fn ytx(sign: &str, header: &str) -> Explanation {
    let request = format!(
        "POST http://h/201512/sid/{SID}/call/DailbackCall.wx?Sign={sign} HTTP/1.1\nauthorization: {header}\n\n\
         {{\"appid\":\"00112233445566778899aabbccddeeff\"}}"
    );
    explain(request, TOKEN)
}

fn matching(told: &Explanation) -> Vec<&str> {
    told.tries.iter().filter(|attempt| attempt.matches).map(|t| t.reading.as_str()).collect()
}

#[test]
fn vectors_1_to_3_match_in_either_case_and_the_key_is_masked() {
    let regist =
        "/api/biz_regist?username=test&realname=&email=&sign=bd3357466af4e8dc152beb996b8e0385";
    let told = explain(regist, KEY);
    assert!(told.matched && told.advice.is_empty(), "{told:?}");
    assert_eq!(told.given.case, "lower");
    assert_eq!(told.tries[0].base, "username=test&key=***");
    assert_eq!(told.tries[0].bytes, format!("{} ***", dumped(b"username=test&key=")));

    let told = explain(callback("44CB54E642DCB812B3A373B78FC12382"), KEY);
    assert!(told.matched);
    assert_eq!((told.given.case, told.interface.as_str()), ("upper", "biz_callback"));
    assert_eq!(told.tries[0].base, format!("{VECTOR_2}&key=***"));

    let result = "http://m.example/back?shop=7&callbackid=634567890123456789&callback_num=80000&\
        callback_duration=65&callback_fee=0.20&destination_num=13800138000&destination_duration=60&\
        destination_fee=0.30&callback_result=success&sign=3be4932bb5badd513b9ea63efe20bab2";
    let question = Question::of(&Sent::read(result.as_bytes())).unwrap();
    assert_eq!(question.who(), Who::Unsaid);
    assert!(question.explain(Some(&[KEY]), NOW, DAY).matched);
}

#[test]
fn vector_5_tells_the_coding_that_was_signed() {
    let utf8 = "/api/biz_regist?username=%E6%B5%8B%E8%AF%95&realname=&email=&sign=8ec488a5400663ad06eaf70d330ced47";
    assert_eq!(matching(&explain(utf8, KEY)), ["UTF-8"]);
    // Nothing escaped, in GBK, as it went over the wire.
    let gbk = [
        b"GET http://h:8080/api/biz_regist?username=".as_slice(),
        &gb18030("测试"),
        b"&realname=a b&email=&sign=68C604305807D9F062E72A02C5CF96CD HTTP/1.0\r\n\r\n",
    ];
    let told = explain(gbk.concat(), KEY);
    assert_eq!(matching(&told), ["GB18030"]);
    assert_eq!((told.who.as_str(), told.fields[0].value.as_str()), ("测试", "测试"));
    assert_eq!(
        told.tries[1].bytes,
        format!("{} b2 e2 ca d4 {} ***", dumped(b"username="), dumped(b"&key="))
    );
}

#[test]
fn a_plus_is_read_both_ways() {
    let base = "username=test&callbackid=1&callback_num=80000&destination_num=+8613800138000";
    let sign = md5(format!("{base}&key={KEY}"));
    let told = explain(format!("/api/biz_callback?{base}&returnurl=http://m/&sign={sign}"), KEY);
    assert_eq!(matching(&told), ["UTF-8, + as a plus", "GB18030, + as a plus"]);
    assert_eq!(told.tries.len(), 4);
}

/// Each known mistake is told in words, and neither the key nor the right signature is in them.
#[test]
fn known_mistakes_of_system_000_are_named() {
    let base = VECTOR_2;
    let right = md5(format!("{base}&key={KEY}"));
    let wide: Vec<u8> =
        format!("{base}&key={KEY}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let swapped = base.replacen(
        "username=test&callbackid=634567890123456789",
        "callbackid=634567890123456789&username=test",
        1,
    );
    for (sign, words) in [
        (md5(wide), "UTF-16"),
        (md5(format!("{base}&key={KEY}\n")), "line end was hashed behind"),
        (md5(format!("{base}&key={KEY} ")), "blank was hashed behind"),
        (md5(format!("{base}&key= {KEY}")), "trim it"),
        (md5(format!("{base}&key=\u{feff}{KEY}")), "byte order mark"),
        (md5(format!("{base}&key=\"{KEY}\"")), "quotation marks"),
        (md5(format!("{base}&key={}", KEY.to_uppercase())), "key was in capitals"),
        (md5(format!("{base}{KEY}")), "`&key=` is missing"),
        (md5(format!("{base}&{KEY}")), "`key=` is missing"),
        (md5(base), "without the key"),
        (md5(format!("{base}&key=")), "empty key"),
        (md5(format!("key={KEY}&{base}")), "stood in front"),
        (md5(format!("test6345678901234567898000013800138000{KEY}")), "without their names"),
        (md5(format!("{}&key={KEY}", base.replace("callbackid", "callbakcid"))), "`callbakcid`"),
        (
            md5(format!("{swapped}&key={KEY}")),
            "in the order callbackid, username, callback_num, destination_num",
        ),
        (
            md5(format!("{base}&returnurl=http://m.example/r&key={KEY}")),
            "only username, callbackid",
        ),
        (md5(format!("username=test&key={KEY}")), "`biz_regist` is signed with"),
        (right[8..24].to_owned(), "the middle of the right MD5"),
        ("0123456789abcdef".to_owned(), "half of an MD5"),
        ("0".repeat(40), "SHA-1"),
        (String::new(), "There is no signature"),
        ("0".repeat(32), "byte by byte"),
    ] {
        let told = explain(callback(&sign), KEY);
        assert!(!told.matched, "{words}");
        assert!(told.advice.iter().any(|advice| advice.contains(words)), "{words}: {told:?}");
        let said = serde_json::to_string(&told).unwrap();
        assert!(!said.contains(KEY) && !said.contains(&right), "{said}");
    }
}

/// The escaped values in place of the plain ones.
#[test]
fn a_signature_over_escaped_values_is_named() {
    let name = escape("测试");
    let sign = md5(format!("username={name}&key={KEY}"));
    let told = explain(format!("/api/biz_balance?username={name}&sign={sign}"), KEY);
    assert!(told.advice[0].contains("escaped values"), "{told:?}");
}

#[test]
fn a_key_that_was_sent_is_masked_everywhere_and_warned_of() {
    let request = format!("/api/biz_regist?username={KEY}&realname=&email=&key={KEY}&sign={KEY}");
    let told = explain(request, KEY);
    let said = serde_json::to_string(&told).unwrap();
    assert!(!said.contains(KEY) && !said.contains(&dumped(KEY.as_bytes())), "{said}");
    assert!(told.advice.iter().any(|words| words.contains("must never be sent")), "{told:?}");
    // Escaped, and coded.
    let told = explain("/api/biz_balance?username=%61wrlk45ghfg7&sign=0", KEY);
    assert_eq!((told.fields[0].sent.as_str(), told.fields[0].value.as_str()), ("***", "***"));
    use base64::Engine as _;
    let coded =
        base64::engine::general_purpose::STANDARD.encode(format!("{SID}{TOKEN}|20260115093000"));
    let header = ytx("0", &coded).header.unwrap();
    assert_eq!((header.sent, header.sid), ("***".to_owned(), format!("{SID}***")));
}

#[test]
fn what_is_missing_and_who_is_nobody_are_told() {
    let question = Question::of(&Sent::read(b"/api/biz_query?username=nobody")).unwrap();
    assert_eq!(question.who(), Who::Merchant("nobody".into()));
    let told = question.explain(None, NOW, DAY);
    assert_eq!(told.missing, ["callbackid", "sign"]);
    assert!(!told.known && told.advice[0].contains("nobody of this name"), "{told:?}");
    let told = question.explain(Some(&[""]), NOW, DAY);
    assert!(told.known && told.advice[0].contains("No key"), "{told:?}");
    assert!(Question::of(&Sent::read(b"/recordings/x?sign=1")).is_none());
    assert!(Question::of(&Sent::read(b"")).is_none());
}

/// Vector 6, and both neighbours in time.
#[test]
fn vector_6_and_a_second_off() {
    for (sign, reading) in [
        ("5F4338CFF23378C7753F2C822DCCD7F3".to_owned(), "the header's timestamp"),
        (md5(format!("{SID}{TOKEN}20260115092959")), "a second before"),
        (md5(format!("{SID}{TOKEN}20260115093001")), "a second after"),
    ] {
        let told = ytx(&sign, HEADER);
        assert_eq!(matching(&told), [reading]);
        assert!(told.matched && told.advice.is_empty(), "{told:?}");
        assert_eq!(told.tries[0].base, format!("{SID}***20260115093000"));
        let header = told.header.unwrap();
        assert_eq!(
            (header.decoded, header.ahead_s, header.fresh),
            (format!("{SID}|20260115093000"), Some(0), true)
        );
    }
}

/// As the door: a right signature does not make up for another account's header, or for an old one.
#[test]
fn what_the_door_refuses_does_not_pass_although_it_matches() {
    use base64::Engine as _;
    let coded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let other = "fedcba9876543210fedcba9876543210";
    for (sid, stamp, passes) in [
        (SID, "20260115093000", true),
        (SID, "20260113093000", false),
        (SID, "20260117093000", false),
        (other, "20260115093000", false),
    ] {
        let told = ytx(&md5(format!("{sid}{TOKEN}{stamp}")), &coded(&format!("{sid}|{stamp}")));
        assert!(told.matched, "{told:?}");
        assert_eq!(told.passes(), passes, "{sid} {stamp}");
        assert_eq!(told.advice.is_empty(), passes, "{told:?}");
    }
    assert!(!ytx(&"0".repeat(32), HEADER).passes());
    // Any instant can be asked for.
    let request = format!(
        "POST /201612/sid/{SID}/call/DailbackCall.wx?Sign=0 HTTP/1.1\r\nAuthorization: {HEADER}\r\n\r\n"
    );
    let question = Question::of(&Sent::read(request.as_bytes())).unwrap();
    for at in [i64::MIN, i64::MAX] {
        let told = question.explain(Some(&[TOKEN]), UnixMillis(at), DAY);
        assert!(!told.passes() && !told.header.unwrap().fresh);
    }
}

#[test]
fn known_mistakes_of_system_001_are_named() {
    let stamp = "20260115093000";
    for (sign, words) in [
        (md5(format!("{SID}{TOKEN}20260115093007")), "7 s after"),
        (md5(format!("{SID}{TOKEN}20260115012959")), "time in UTC"),
        (md5(format!("{TOKEN}{SID}{stamp}")), "in the order authToken, accountSID"),
        (md5(format!("{SID}|{TOKEN}|{stamp}")), "`|` was hashed"),
        (md5(format!("{SID}{TOKEN}\n{stamp}")), "trim it"),
        (md5(format!("{SID}{stamp}")), "without the token"),
        (md5(format!("00112233445566778899aabbccddeeff{TOKEN}{stamp}")), "over the appid"),
        (md5(format!("{SID}{TOKEN}2026-01-15 09:30:00")), "dashes"),
        ("0".repeat(32), "byte by byte"),
    ] {
        let told = ytx(&sign, HEADER);
        assert!(!told.matched, "{words}");
        assert!(told.advice.iter().any(|advice| advice.contains(words)), "{words}: {told:?}");
        assert!(!serde_json::to_string(&told).unwrap().contains(TOKEN));
    }
}

#[test]
fn the_header_of_system_001_is_taken_apart() {
    use base64::Engine as _;
    let coded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for (header, words) in [
        (format!("{SID}|20260115093000"), "not coded"),
        ("!!".into(), "no base64"),
        (coded(&format!("{SID}:20260115093000")), "has no `|`"),
        (coded(&format!("{TOKEN}0|20260115093000")), "not the one in the path"),
        (coded(&format!("{SID}|2026-01-15")), "no yyyyMMddHHmmss"),
        (coded(&format!("{SID}|20260113093000")), "172800 s behind ours"),
        (coded(&format!("{SID}|20260115013005")), "28795 s behind ours: UTC?"),
    ] {
        let told = ytx("0", &header);
        assert!(told.advice.iter().any(|advice| advice.contains(words)), "{words}: {told:?}");
    }
    let none = explain(format!("/201612/sid/{SID}/account/getBlance.wx"), TOKEN);
    assert_eq!(none.missing, ["Authorization", "Sign"]);
    assert_eq!(none.interface, "getBlance.wx");
}

/// Whether a text of an answer has this in it: the texts themselves, in whose escapes a key may seem to stand.
fn says(told: &serde_json::Value, key: &str) -> bool {
    match told {
        serde_json::Value::String(text) => text.contains(key),
        serde_json::Value::Array(all) => all.iter().any(|told| says(told, key)),
        serde_json::Value::Object(all) => all.values().any(|told| says(told, key)),
        _ => false,
    }
}

proptest! {
    /// Any bytes at all, and any key: nothing of it panics, and no key comes out.
    #[test]
    fn no_bytes_panic_and_no_key_comes_out(
        raw in proptest::collection::vec(any::<u8>(), 0..120), path in 0..3usize, key in "[A-Za-z0-9]{8,20}",
    ) {
        let path = ["/api/biz_callback?", "/201512/sid/a/call/x.wx?Sign=", "/r?callback_result=1&sign="][path];
        let mut request = [path.as_bytes(), &raw].concat();
        request.extend_from_slice(key.as_bytes());
        if let Some(question) = Question::of(&Sent::read(&request)) {
            let told = serde_json::to_value(question.explain(Some(&[&key]), NOW, DAY)).unwrap();
            prop_assert!(!says(&told, &key), "{told}");
        }
    }
}
