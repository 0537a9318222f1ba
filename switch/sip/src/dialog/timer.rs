//! Session timers (RFC 4028): how long a session lives without a sign of life, who gives one, and when
//! it is given up. Each leg of a call has its own; none is passed on.
//!
//! ```text
//!   request ── Session-Expires, Min-SE ──► below our Min-SE: 422 with ours
//!   2xx ── Session-Expires;refresher ──► at half: a refresh, if that is us
//!                                        at the end less min(32 s, a third): BYE, whoever it was
//! ```

use std::time::{Duration, Instant};

use crate::wire::{HeaderName, Message, Refresher, SessionExpires};

/// Tokens of Supported and Require.
pub(crate) const OPTION: &str = "timer";
/// Min-SE when nobody says otherwise (§5), in seconds.
const MIN_SE: u32 = 90;
/// §10: a session ends this long before it expires, at most.
const MARGIN: Duration = Duration::from_secs(32);
/// Between two tries to refresh at least.
const RETRY_MIN: Duration = Duration::from_secs(5);

/// What is wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimers {
    /// The interval we ask for, in seconds; `None` asks for none, and still grants one that is asked
    /// of us.
    pub expires: Option<u32>,
    /// The shortest that we accept, in seconds. RFC 4028 §4 wants no less than 90.
    pub min_se: u32,
    /// Who refreshes, where the other side leaves that open.
    pub refreshes: Refreshes,
    /// A 2xx to a request of ours only repeats its Session-Expires: nobody there refreshes, so we do.
    pub echoed: bool,
    /// Session timers are spoken at all; or else none is asked for, granted or believed.
    pub spoken: bool,
}

/// Who is to refresh a session (RFC 4028 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refreshes {
    /// The server chooses in our requests; we in theirs, because that shows a dead far end at half of the time.
    #[default]
    Open,
    /// We.
    We,
    /// The other side, where it knows how.
    They,
}

impl Default for SessionTimers {
    fn default() -> SessionTimers {
        SessionTimers {
            expires: Some(1_800),
            min_se: MIN_SE,
            refreshes: Refreshes::Open,
            echoed: false,
            spoken: true,
        }
    }
}

impl SessionTimers {
    /// What stands in a request of ours that is no refresh: without a refresher the server chooses (§7.1). `floor` is the largest Min-SE heard in this session.
    pub(crate) fn asked(&self, floor: u32) -> Option<SessionExpires> {
        let seconds = self.expires.filter(|_| self.spoken)?.max(self.min_se).max(floor);
        let refresher = match self.refreshes {
            Refreshes::Open => None,
            Refreshes::We => Some(Refresher::Uac),
            Refreshes::They => Some(Refresher::Uas),
        };
        Some(SessionExpires { seconds, refresher })
    }

    /// Min-SE of our requests; unspoken when it is what everybody assumes (§5).
    pub(crate) fn min_se(&self, floor: u32) -> Option<u32> {
        Some(self.min_se.max(floor)).filter(|seconds| *seconds != MIN_SE)
    }

    /// §9: what our 2xx to this request says; `Err` is the Min-SE of the 422 that refuses it.
    pub(crate) fn granted(&self, request: &Message) -> Result<Option<Granted>, u32> {
        if !self.spoken {
            return Ok(None);
        }
        let able = request.lists(HeaderName::Supported, OPTION)
            || request.lists(HeaderName::Require, OPTION);
        let least = request.number(HeaderName::MinSe).ok().flatten().unwrap_or(MIN_SE);
        let asked = request.session_expires().ok().flatten();
        let seconds = match (asked, self.expires) {
            (Some(asked), _) if able && asked.seconds < self.min_se => return Err(self.min_se),
            // Never longer than asked for, and never below what the proxies on the way want.
            (Some(asked), Some(ours)) => asked.seconds.min(ours.max(least)),
            (Some(asked), None) => asked.seconds,
            (None, Some(ours)) if able => ours.max(least),
            (None, _) => return Ok(None),
        };
        // §9 table 2. Left to us we refresh ourselves: that shows a dead far end at half of the time.
        let refresher = match asked.and_then(|asked| asked.refresher) {
            Some(Refresher::Uac) if able => Refresher::Uac,
            None if able && self.refreshes == Refreshes::They => Refresher::Uac,
            _ => Refresher::Uas,
        };
        // Whoever put a shorter one in for a phone that knows no timers cannot be answered by 422.
        let seconds = seconds.max(self.min_se);
        let expires = SessionExpires { seconds, refresher: Some(refresher) };
        Ok(Some(Granted { expires, able }))
    }

    /// §7.2: what a 2xx to our request says of the session; without the header it has no end.
    pub(crate) fn agreed(&self, now: Instant, answer: &Message) -> Option<SessionTimer> {
        let said = answer.session_expires().ok().flatten().filter(|_| self.spoken)?;
        let ours = self.echoed || said.refresher != Some(Refresher::Uas);
        Some(SessionTimer::start(now, said.seconds.max(self.min_se), ours))
    }
}

/// §7.3: the interval that the 422 to a request wants, if that is more than it asked for.
pub(crate) fn raised(request: &Message, refusal: &Message) -> Option<u32> {
    let wanted = refusal.number(HeaderName::MinSe).ok().flatten()?;
    let asked = request.session_expires().ok().flatten()?;
    (wanted > asked.seconds).then_some(wanted)
}

/// What our 2xx says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) expires: SessionExpires,
    /// The client knows session timers.
    able: bool,
}

impl Granted {
    /// §9: a client that is to refresh has to know that it is.
    pub(crate) fn is_required(&self) -> bool {
        self.able && self.expires.refresher == Some(Refresher::Uac)
    }

    /// The running timer, from the 2xx on.
    pub(crate) fn start(&self, now: Instant) -> SessionTimer {
        let ours = self.expires.refresher == Some(Refresher::Uas);
        SessionTimer::start(now, self.expires.seconds, ours)
    }
}

/// The timer of a session that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    seconds: u32,
    /// When we refresh; `None` when the far end does.
    refresh_at: Option<Instant>,
    /// When the session is given up (§10).
    end_at: Instant,
}

impl SessionTimer {
    /// From a 2xx on; `ours`: we refresh.
    pub(crate) fn start(now: Instant, seconds: u32, ours: bool) -> SessionTimer {
        let interval = Duration::from_secs(seconds.into());
        SessionTimer {
            seconds,
            refresh_at: ours.then(|| now + interval / 2),
            end_at: now + interval - MARGIN.min(interval / 3),
        }
    }

    /// The same from now on.
    pub(crate) fn again(&self, now: Instant) -> SessionTimer {
        SessionTimer::start(now, self.seconds, self.refresh_at.is_some())
    }

    /// What our refresh asks for: the same interval and the same side (§7.4).
    pub(crate) fn asked(&self, floor: u32) -> SessionExpires {
        let refresher = if self.refresh_at.is_some() { Refresher::Uac } else { Refresher::Uas };
        SessionExpires { seconds: self.seconds.max(floor), refresher: Some(refresher) }
    }

    /// Whether a refresh is due. If it fails another one is tried at half of what is left.
    pub(crate) fn take_refresh(&mut self, now: Instant) -> bool {
        let due = self.refresh_at.is_some_and(|at| at <= now);
        if due {
            let left = self.end_at.saturating_duration_since(now);
            self.refresh_at = Some(now + (left / 2).max(RETRY_MIN));
        }
        due
    }

    /// Whether nobody gave a sign of life.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.end_at <= now
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.refresh_at.map_or(self.end_at, |at| at.min(self.end_at))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transaction::tests_epoch;

    fn request(extra: &str) -> Message {
        let text = format!(
            "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\
             \r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{extra}\r\n"
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn granted(extra: &str) -> Result<Option<(String, bool)>, u32> {
        let granted = SessionTimers::default().granted(&request(extra))?;
        Ok(granted.map(|granted| (granted.expires.to_string(), granted.is_required())))
    }

    #[test]
    fn b3_rfc4028_9_table_2_who_refreshes() {
        let able = "Supported: timer\r\n";
        for (said, wanted, required) in [
            (format!("{able}Session-Expires: 600\r\n"), "600;refresher=uas", false),
            (format!("{able}x: 600;refresher=uac\r\n"), "600;refresher=uac", true),
            (format!("{able}Session-Expires: 600;refresher=uas\r\n"), "600;refresher=uas", false),
            ("Session-Expires: 600;refresher=uac\r\n".into(), "600;refresher=uas", false),
            ("Require: timer\r\nx: 600;refresher=uac\r\n".into(), "600;refresher=uac", true),
            (able.into(), "1800;refresher=uas", false),
        ] {
            assert_eq!(granted(&said), Ok(Some((wanted.to_owned(), required))), "{said}");
        }
        assert_eq!(granted(""), Ok(None), "it knows no timers and nobody asked for one");
    }

    #[test]
    fn b3_rfc4028_9_the_interval_is_never_raised_and_never_below_min_se() {
        let text = |extra: &str| granted(extra).unwrap().unwrap().0;
        assert_eq!(text("Supported: timer\r\nx: 7200\r\n"), "1800;refresher=uas");
        assert_eq!(text("Supported: timer\r\nx: 7200\r\nMin-SE: 3000\r\n"), "3000;refresher=uas");
        assert_eq!(granted("Supported: timer\r\nx: 60\r\n"), Err(90));
        // A proxy asked for it on behalf of a phone that would not understand a 422.
        assert_eq!(text("x: 60\r\n"), "90;refresher=uas");
    }

    #[test]
    fn b3_rfc4028_10_refresh_at_half_and_the_end_before_the_end() {
        let now = tests_epoch();
        let s = Duration::from_secs;
        let mut ours = SessionTimer::start(now, 1_800, true);
        assert_eq!(ours.poll_timeout(), now + s(900));
        assert!(ours.take_refresh(now + s(900)) && !ours.take_refresh(now + s(900)));
        assert_eq!(ours.poll_timeout(), now + s(1_334), "once more at half of what is left");
        assert!(!ours.is_over(now + s(1_767)) && ours.is_over(now + s(1_768)));
        let theirs = SessionTimer::start(now, 90, false);
        assert_eq!(theirs.poll_timeout(), now + s(60), "a third of 90 is less than 32");
    }

    #[test]
    fn rfc4028_7_3_a_422_raises_the_interval_and_the_same_one_again_does_not() {
        let timers = SessionTimers::default();
        let asked = request("Session-Expires: 1800\r\n");
        let refusal = request("Min-SE: 2000\r\n");
        assert_eq!(raised(&asked, &refusal), Some(2_000));
        assert_eq!(timers.asked(2_000).unwrap().seconds, 2_000);
        assert_eq!(timers.min_se(2_000), Some(2_000));
        assert_eq!(timers.min_se(0), None);
        assert_eq!(raised(&request("Session-Expires: 2000\r\n"), &refusal), None);
        assert_eq!(raised(&asked, &request("")), None);
        assert_eq!(raised(&request(""), &refusal), None);
    }
}
