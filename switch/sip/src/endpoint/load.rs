//! Overload control between neighbours (RFC 7339), by the loss algorithm (§6): we tell those who ask how much of what
//! they send is too much, and hear what those say whom we ask.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::Reply;
use super::receive::Incoming;
use super::{Endpoint, Event};
use crate::wire::{Message, Via};

/// What we measure by, and how long what we say of it lasts.
const WINDOW: Duration = Duration::from_secs(1);
/// How long what a neighbour says lasts, if it does not say (§4.3).
const VALIDITY: Duration = Duration::from_millis(500);
/// Nothing that a neighbour says lasts longer.
const VALIDITY_MAX: Duration = Duration::from_secs(60);

/// What a neighbour asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relief {
    /// So much of what opens something shall not be sent to it, percent.
    pub percent: u8,
    /// For so long. Zero: it asks for nothing any more.
    pub lasts: Duration,
    /// Rises with each word of it: what comes late is old (§4.4).
    pub seq: (u64, u32),
}

impl Relief {
    /// What the top Via of an answer says; `None` when it says nothing that can be understood.
    fn read(answer: &Message) -> Option<Relief> {
        let via = answer.via().ok()?;
        let percent = via.params.get("oc")?.parse().ok().filter(|percent| *percent <= 100)?;
        if !speaks_loss(&via) {
            return None;
        }
        let seq = via.params.get("oc-seq")?;
        let (whole, part) = seq.split_once('.').unwrap_or((seq, "0"));
        let digits: String = part.chars().take(9).collect();
        let part = format!("{digits:0<9}").parse().ok()?;
        let lasts = match via.params.get("oc-validity") {
            Some(millis) => Duration::from_millis(millis.parse().ok()?),
            None => VALIDITY,
        };
        Some(Relief { percent, lasts: lasts.min(VALIDITY_MAX), seq: (whole.parse().ok()?, part) })
    }
}

/// §4.2: whoever names no algorithm means this one.
fn speaks_loss(via: &Via) -> bool {
    let named = via.params.get("oc-algo");
    named.is_none_or(|named| named.split(',').any(|algo| algo.trim().eq_ignore_ascii_case("loss")))
}

/// How much of what came was too much.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    began: Option<Instant>,
    /// The second that is counted now.
    since: Option<Instant>,
    came: u32,
    turned_away: u32,
    /// Of the second before.
    percent: u8,
}

impl Load {
    fn roll(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < WINDOW {
            return;
        }
        // A second in which nothing came says nothing of the load.
        let recent = passed < 2 * WINDOW && self.came > 0;
        let part = u64::from(self.turned_away) * 100 / u64::from(self.came.max(1));
        self.percent = if recent { u8::try_from(part).unwrap_or(100) } else { 0 };
        (self.since, self.came, self.turned_away) = (Some(now), 0, 0);
    }

    /// Something came that opens something.
    pub(super) fn came(&mut self, now: Instant) {
        self.roll(now);
        self.came = self.came.saturating_add(1);
    }

    /// There was no time for it.
    pub(super) fn turned_away(&mut self) {
        self.turned_away = self.turned_away.saturating_add(1);
    }
}

impl Endpoint {
    /// §4, §5.2: whoever offers it is told in each answer how we are.
    pub(super) fn say_load(&mut self, now: Instant, incoming: &mut Incoming) {
        if !incoming.via.params.has("oc") || !speaks_loss(&incoming.via) {
            return;
        }
        self.load.roll(now);
        let up = self.load.began.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let at = Duration::from_secs(self.config.started_s) + up;
        let seq = format!("{}.{:03}", at.as_secs(), at.subsec_millis());
        let params = &mut incoming.via.params;
        params.set("oc", Some(&self.load.percent.to_string()));
        params.set("oc-algo", Some("\"loss\""));
        params.set("oc-validity", Some(&WINDOW.as_millis().to_string()));
        params.set("oc-seq", Some(&seq));
    }

    /// An answer of a neighbour that we ask.
    pub(super) fn hear_load(&mut self, reply: &Reply<'_>) {
        if !self.style(&reply.sent).relief {
            return;
        }
        if let Some(relief) = Relief::read(reply.message) {
            let remote: SocketAddr = reply.sent.remote;
            self.events.push_back(Event::Relief { remote, relief });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(params: &str) -> Option<Relief> {
        let text = format!(
            "SIP/2.0 100 Trying\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx;{params}\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        Relief::read(&Message::parse(Bytes::from(text)).unwrap())
    }

    #[test]
    fn rfc7339_4_what_an_answer_says_is_read_and_nonsense_is_not() {
        let said = read("oc=20;oc-algo=\"loss\";oc-validity=750;oc-seq=1282321615.782").unwrap();
        assert_eq!((said.percent, said.lasts), (20, Duration::from_millis(750)));
        let later = read("oc=20;oc-seq=1282321615.79").unwrap();
        assert!(later.seq > said.seq, "a part of a second, whatever its length");
        assert_eq!(later.lasts, VALIDITY);
        assert_eq!(read("oc=0;oc-validity=99999999;oc-seq=1.1").unwrap().lasts, VALIDITY_MAX);
        for nonsense in [
            "rport",
            "oc",
            "oc=101;oc-seq=1.1",
            "oc=-1;oc-seq=1.1",
            "oc=20",
            "oc=20;oc-seq=x",
            "oc=20;oc-seq=1.1;oc-validity=soon",
            "oc=20;oc-seq=1.1;oc-algo=\"rate\"",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn rfc7339_6_how_much_was_too_much_is_of_the_last_second() {
        let start = crate::transaction::tests_epoch();
        let at = |millis| start + Duration::from_millis(millis);
        let mut load = Load::default();
        for turned in [false, true, false, true] {
            load.came(at(10));
            if turned {
                load.turned_away();
            }
        }
        assert_eq!(load.percent, 0, "the second is not over");
        load.came(at(1_020));
        assert_eq!(load.percent, 50);
        load.came(at(2_030));
        assert_eq!(load.percent, 0);
        load.turned_away();
        load.came(at(9_000));
        assert_eq!(load.percent, 0, "long ago");
    }
}
