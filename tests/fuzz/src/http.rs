//! The targets that read what merchants send: requests of systems 000 and 001, and numbers.

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

/// A number as people write it: at most 15 digits come out, and what comes out reads as itself.
pub fn number(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let plan = NumberPlan::default();
    let Ok(number) = plan.parse(&text) else { return };
    assert!(number.digits().len() <= 15 && number.digits().bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(plan.parse(&number.to_string()), Ok(number.clone()));
    assert_eq!(plan.parse(&plan.national(&number)).ok().as_ref(), Some(&number));
}
