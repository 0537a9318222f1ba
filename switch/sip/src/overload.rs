//! Who may wait when more comes than can be done: what belongs to something that is under way goes first, what
//! would open something new is told to come later (RFC 6357 §3, RFC 7339 §5.10.1's order).
//!
//! The look is a coarse one, for a queue that must not cost more than the work it saves: start line and the
//! tag of To. What it takes for the wrong thing is answered all the same, only earlier or later.

/// What a message is to a switch that is too busy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Claim {
    /// The ACK of a refusal of which nothing was kept (RFC 3261 §8.2.7): nobody waits for it.
    Nothing,
    /// A response, an ACK, a request within a dialog: it ends work, or whoever sent it has been agreed with.
    Within,
    /// CANCEL: it may not overtake the INVITE it is for, and is no work.
    Follows,
    /// A new INVITE.
    Call,
    /// REGISTER: without it nobody can be called in an hour.
    Register,
    /// Anything else: OPTIONS, SUBSCRIBE, MESSAGE, what does not read.
    Other,
}

/// The look at one message.
#[must_use]
pub fn claim(message: &[u8]) -> Claim {
    let head = message.trim_ascii_start();
    if head.starts_with(b"SIP/") {
        return Claim::Within;
    }
    if head.starts_with(b"ACK ") {
        return if to_tag(head).is_some_and(is_stateless) { Claim::Nothing } else { Claim::Within };
    }
    if head.starts_with(b"CANCEL ") {
        return Claim::Follows;
    }
    if to_tag(head).is_some() {
        return Claim::Within;
    }
    match head {
        [b'I', b'N', b'V', b'I', b'T', b'E', b' ', ..] => Claim::Call,
        [b'R', b'E', b'G', b'I', b'S', b'T', b'E', b'R', b' ', ..] => Claim::Register,
        _ => Claim::Other,
    }
}

/// What the tag of the first To begins with; a tag on a folded line is not seen.
fn to_tag(head: &[u8]) -> Option<&[u8]> {
    let lines = head.split(|byte| *byte == b'\n').skip(1).take(LINES_MAX);
    for line in lines {
        if line.trim_ascii().is_empty() {
            return None;
        }
        let Some(colon) = line.iter().take(NAME_MAX).position(|byte| *byte == b':') else {
            continue;
        };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t") {
            // RFC 3261 §20.39: the parameters come after the address, whose own are in its brackets.
            let value = &line[colon + 1..];
            let after =
                value.iter().rposition(|byte| *byte == b'>').map_or(value, |at| &value[at..]);
            let at = after.windows(TAG.len()).position(|part| part.eq_ignore_ascii_case(TAG))?;
            return Some(&after[at + TAG.len()..]);
        }
    }
    None
}

const TAG: &[u8] = b";tag=";
/// Lines that are looked at.
const LINES_MAX: usize = 64;
/// Octets within which the name of a header ends that is looked for.
const NAME_MAX: usize = 8;

/// A tag as answers have it that leave no state: no dialog of ours bears such a one.
fn is_stateless(tag: &[u8]) -> bool {
    let end = tag.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(tag.len());
    matches!(&tag[..end], [b's', digits @ ..] if digits.len() == STATELESS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Digits of such a tag.
const STATELESS: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, to: &str) -> Vec<u8> {
        format!(
            "{method} sip:100@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKx\r\n\
             From: <sip:1@h>;tag=mine\r\n{to}\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n\r\nTo: x;tag=body"
        )
        .into_bytes()
    }

    #[test]
    fn b14_rfc6357_3_what_is_under_way_is_told_from_what_opens_something() {
        for (method, to, expected) in [
            ("INVITE", "To: <sip:2@h>", Claim::Call),
            ("INVITE", "To: <sip:2@h;tag=no>", Claim::Call),
            ("INVITE", "to : \"a\" <sip:2@h> ;TAG=x", Claim::Within),
            ("INVITE", "To: <sip:2@h>;tag=a", Claim::Within),
            ("INVITE", "t: sip:2@h;tag=a", Claim::Within),
            ("INVITE", "TO : <sip:2@h>;x=y;Tag=a", Claim::Within),
            ("BYE", "To: <sip:2@h>;tag=a", Claim::Within),
            ("ACK", "To: <sip:2@h>", Claim::Within),
            ("ACK", "To: <sip:2@h>;tag=s0012", Claim::Within),
            ("ACK", "To: <sip:2@h>;tag=0011223344556677ab", Claim::Within),
            ("ACK", "To: <sip:2@h>;tag=s001122334455667788", Claim::Nothing),
            ("BYE", "To: <sip:2@h>;tag=s001122334455667788", Claim::Within),
            ("CANCEL", "To: <sip:2@h>", Claim::Follows),
            ("REGISTER", "To: <sip:2@h>", Claim::Register),
            ("OPTIONS", "To: <sip:2@h>", Claim::Other),
            ("SUBSCRIBE", "To: <sip:2@h>;tag=a", Claim::Within),
            ("invite", "To: <sip:2@h>", Claim::Other),
            ("INVITE", "X: y", Claim::Call),
        ] {
            assert_eq!(claim(&request(method, to)), expected, "{method} {to}");
        }
        assert_eq!(claim(b"SIP/2.0 200 OK\r\n\r\n"), Claim::Within);
        assert_eq!(claim(b"\r\n\r\nSIP/2.0 200 OK\r\n\r\n"), Claim::Within);
        for noise in [&b""[..], b"\0\0\0", b"INVITE", b":::::\n:\n", b"INVITE \n\n"] {
            assert_ne!(claim(noise), Claim::Within);
        }
    }

    #[test]
    fn the_order_is_that_in_which_they_are_let_go() {
        let mut all = [Claim::Other, Claim::Call, Claim::Within, Claim::Register, Claim::Follows];
        all.sort();
        assert_eq!(
            all,
            [Claim::Within, Claim::Follows, Claim::Call, Claim::Register, Claim::Other]
        );
    }
}
