//! Key presses by signalling: the two bodies of INFO that phones send (RFC 2976 in its time, RFC 6086 §1
//! keeps them). One key each.

/// The key that a body tells: `0`–`9`, `*`, `#`, `A`–`D`.
///
/// `application/dtmf-relay` has lines `Signal=5` and `Duration=160`; `application/dtmf` is the key
/// alone, as the character or as the number of its event (10 is `*`, 11 is `#`; RFC 4733 §3.2).
pub(super) fn key(content_type: &str, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    let word = if content_type.eq_ignore_ascii_case("application/dtmf-relay") {
        let signal = |line: &str| {
            let (name, value) = line.split_once(['=', ':'])?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim().to_owned())
        };
        text.lines().find_map(signal)?
    } else {
        text.trim().to_owned()
    };
    match word.as_str() {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => {
            let mut letters = word.chars();
            let key = letters.next()?.to_ascii_uppercase();
            let known = matches!(key, '0'..='9' | '*' | '#' | 'A'..='D');
            (known && letters.next().is_none()).then_some(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_rfc6086_both_legacy_bodies_are_read() {
        let relay = |body: &str| key("Application/DTMF-Relay", body.as_bytes());
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(relay("Signal= *\r\nDuration= 250"), Some('*'));
        assert_eq!(relay("duration=100\nsignal=d\n"), Some('D'));
        assert_eq!(relay("Signal=11\r\n"), Some('#'));
        assert_eq!(relay("Signal=12\r\n"), None);
        assert_eq!(relay("Duration=100\r\n"), None);
        let plain = |body: &str| key("application/dtmf", body.as_bytes());
        assert_eq!((plain("7\r\n"), plain("10"), plain("#")), (Some('7'), Some('*'), Some('#')));
        assert_eq!((plain("77"), plain(""), plain("x")), (None, None, None));
        assert_eq!(key("application/dtmf", &[0xff]), None);
    }
}
