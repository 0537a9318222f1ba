//! The targets that read what merchants send: requests of systems 000 and 001, and numbers.

use dialect::target::Repair;
use dialect::text::{Fields, Plus, decode, escape, unescape};
use dialect::{callni, ytx};
use facts::NumberPlan;

/// A request of system 000: query and body parted by NUL. Every question may be asked of it, and a
/// request that nobody signed is never verified.
pub fn callni(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (query, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or(&[]));
    let read = || callni::Request::parse(query, body);
    let request = read();
    let _ = (request.format(), request.username(), request.require_regist());
    let _ = (request.require_callback(), request.require_balance(), request.require_lookup());
    let key = ["a key that no corpus file was signed with"];
    assert!(read().verify_regist(&key).is_err());
    assert!(read().verify_callback(&key).is_err());
    assert!(read().verify_lookup(&key).is_err());
    assert!(read().verify_callback(&[""]).is_err(), "an empty key signs nothing");
}

/// A body of a POST to system 000, whatever its `Content-Type` says: a form, several parts, JSON, rubbish.
/// What is a form in the body is the same form in the query; fields are bounded; what is read from the
/// body never hides what the query says first.
pub fn http_body(bytes: &[u8]) {
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let (posted, asked) = (callni::Request::parse(b"", bytes), callni::Request::parse(body, b""));
    assert_eq!(posted.username(), asked.username());
    assert_eq!(posted.format(), asked.format());
    assert_eq!(posted.require_callback(), asked.require_callback());
    assert_eq!(posted.require_regist(), asked.require_regist());
    let named = callni::Request::parse(b"username=first", bytes);
    assert_eq!(named.username().as_deref(), Ok("first"));
    assert!(posted.verify_callback(&["a key that no corpus file was signed with"]).is_err());
    let fields = Fields::parse(body);
    for name in ["username", "returnurl", "data", "sign"] {
        for value in [fields.first(name), fields.last(name)].into_iter().flatten() {
            // Unescaping only shortens; what was escaped by us reads as it was.
            let (blank, literal) = (unescape(value, Plus::Blank), unescape(value, Plus::Literal));
            assert!(blank.len() <= value.len() && blank.len() == literal.len());
            let text = decode(&blank);
            let again = decode(&unescape(escape(&text).as_bytes(), Plus::Blank));
            assert_eq!(again, text.strip_prefix('\u{feff}').unwrap_or(&text));
        }
    }
}

/// The bytes of a connection to the merchants' door: however they are cut, the parser sees the same; only
/// request lines change, and what is repaired once is not changed again.
pub fn http_stream(bytes: &[u8]) {
    let repaired = |step: usize| {
        let (mut repair, mut out) = (Repair::new(), Vec::new());
        bytes.chunks(step).for_each(|chunk| repair.feed(chunk, &mut out));
        out
    };
    let whole = repaired(usize::MAX);
    if bytes.len() < 8 * 1024 {
        // Longer lines are let through at a limit that depends on the cut.
        assert_eq!(repaired(1), whole);
        assert_eq!(repaired(7), whole);
        let (mut repair, mut again) = (Repair::new(), Vec::new());
        repair.feed(&whole, &mut again);
        assert_eq!(again, whole, "repaired twice");
    }
    assert!(whole.len() <= bytes.len() * 3);
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines(&whole) <= lines(bytes), "no line is made");
}

/// A body, or an Authorization value, of system 001.
pub fn ytx(bytes: &[u8]) {
    use ytx::Function;
    if let Some(auth) = ytx::parse_authorization(bytes) {
        assert!(!ytx::sign_matches(&auth, "", &["token"]), "no signature is no signature");
    }
    for function in [
        Function::DailbackCall,
        Function::CallCdr,
        Function::GetBlance,
        Function::CodeCallOut,
        Function::NoticeCall,
    ] {
        if let Ok(action) = ytx::parse_body(function, bytes) {
            assert!(!action.appid.is_empty());
            for strict in [true, false] {
                if let Ok(call) = action.dail_back(strict) {
                    assert!(call.credit.is_none_or(|credit| credit >= ytx::CREDIT_MIN));
                }
            }
            let _ = (action.hang_up(), action.query());
        }
    }
}

/// A number as people write it: at most 15 digits come out, of E.164 at least 7 and no 0 first, and what comes
/// out reads as itself.
pub fn number(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let plan = |country: &str, trunk: &str, international: &str, short_max| NumberPlan {
        country: country.into(),
        trunk_prefix: trunk.into(),
        international_prefix: international.into(),
        short_max,
    };
    let plans = [
        NumberPlan::default(),
        plan("1", "1", "011", 5),
        plan("7", "8", "810", 3),
        plan("49", "0", "00", 0),
    ];
    for plan in plans {
        let Ok(number) = plan.parse(&text) else { continue };
        assert!(number.digits().len() <= 15 && number.digits().bytes().all(|b| b.is_ascii_digit()));
        if let facts::Number::E164(digits) = &number {
            assert!(digits.len() >= 7 && !digits.starts_with('0'));
            assert_eq!(facts::Number::public(digits.clone()), number);
            assert_eq!(plan.parse(&number.to_string()), Ok(number.clone()), "{plan:?}");
            assert_eq!(plan.parse(&plan.national(&number)).as_ref(), Ok(&number), "{plan:?}");
        }
        if plan == NumberPlan::default() {
            assert_eq!(plan.parse(&number.to_string()), Ok(number.clone()));
            assert_eq!(plan.parse(&plan.national(&number)).ok().as_ref(), Some(&number));
        }
    }
}
