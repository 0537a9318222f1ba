//! Key presses by signalling: the two bodies of INFO that phones send (RFC 2976 in its time, RFC 6086 §1
//! keeps them), and the one that is sent. One key each, one INFO at a time, in order.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::world::World;

use super::Leg;

/// Keys that wait for the answer to the one before at most; more are not told.
const WAITING_MAX: usize = 32;
/// How long a key lasts that we tell, milliseconds: when its INFO leaves it may not be over yet.
const LASTS_MS: u32 = 100;

/// Keys that a far end is told by INFO.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// One has no final answer yet.
    asked: bool,
    waiting: VecDeque<char>,
}

impl Leg {
    /// Its far end takes keys by INFO.
    pub(crate) fn takes_info(&self) -> bool {
        self.audio.takes_info()
    }

    /// Tells its far end a key by INFO, after those that wait.
    pub(crate) fn tell_key(&mut self, w: &mut World, digit: char) {
        if self.told.waiting.len() >= WAITING_MAX {
            w.keys_untold += 1;
            return;
        }
        self.told.waiting.push_back(digit);
        self.tell_next(w);
    }

    /// The last one has its final answer, or will have none. One that was refused is not told again: its
    /// moment is over.
    pub(crate) fn key_answered(&mut self, w: &mut World, code: u16) {
        self.told.asked = false;
        let count = if code < 300 { &mut w.keys_told } else { &mut w.keys_untold };
        *count += 1;
        self.tell_next(w);
    }

    fn tell_next(&mut self, w: &mut World) {
        let (true, Some(session)) = (self.is_up(), self.session) else {
            return self.told.waiting.clear();
        };
        if self.told.asked {
            return;
        }
        let Some(digit) = self.told.waiting.pop_front() else { return };
        let body = format!("Signal={digit}\r\nDuration={LASTS_MS}\r\n");
        let body = ("application/dtmf-relay", Bytes::from(body));
        match w.endpoint.info(w.now.mono, session, body) {
            Some(id) => {
                self.told.asked = true;
                w.infos.insert(id, self.id);
            }
            None => self.told.waiting.clear(),
        }
    }
}

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
