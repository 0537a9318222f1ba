//! What a bystander sees of each session: when its INVITE, its 200 and its end pass by.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::DOWN_WITHIN;

/// 64·T1: nothing is resent for longer (RFC 3261 §17.1.1.2, §17.1.2.2, §13.3.1.4).
const RESENT: Duration = Duration::from_secs(32);
/// Copies of a CANCEL or a BYE that leave in that time.
const COPIES: u32 = 11;

/// Where a message is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    /// It leaves the switch.
    Left,
    /// It reaches the switch.
    Came,
    /// It leaves a far end.
    Said,
    /// It reaches a far end.
    Told,
    /// The network loses what the switch sent.
    Lost,
}

/// A CANCEL or a BYE of the switch: copies that were lost, and whether one arrived.
#[derive(Clone, Copy, Default, Debug)]
struct End {
    lost: u32,
    told: bool,
}

impl End {
    fn is_unheard(self) -> bool {
        !self.told && self.lost >= COPIES
    }
}

/// The first 200 of a session's INVITE.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When it left whoever answered.
    pub left: Duration,
    /// When it left the switch, or reached it.
    pub reached: Duration,
    /// Which process that was.
    pub life: u32,
    /// The switch itself answered: to somebody who called it.
    pub ours: bool,
}

/// A session.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    left: Option<Duration>,
    reached: Option<(Duration, u32)>,
    ours: bool,
    /// When the first ACK after that left the switch, or reached it.
    pub acked: Option<Duration>,
    /// When the first BYE left the switch, or reached it.
    pub over: Option<Duration>,
    /// When the first INVITE left the switch.
    invited: Option<Duration>,
    /// When the first answer to it reached the switch.
    heard: Option<Duration>,
    cancel: End,
    bye: End,
}

/// All sessions, by Call-ID.
#[derive(Debug, Default)]
pub struct Wire {
    seen: BTreeMap<String, Seen>,
    /// Final answers that left or reached the switch, by status and method: `200 PRACK`.
    pub heard: BTreeMap<String, u32>,
}

impl Wire {
    /// A message is seen, in which process.
    pub(crate) fn pass(&mut self, now: Duration, life: u32, bytes: &[u8], at: At) {
        let here = matches!(at, At::Left | At::Came);
        if matches!(at, At::Left | At::Came | At::Said) {
            self.pass_by(now, life, bytes, here);
        }
        if !matches!(at, At::Said) {
            self.ends(now, bytes, at);
        }
    }

    /// What begins a session of ours, and what ends it.
    fn ends(&mut self, now: Duration, bytes: &[u8], at: At) {
        let text = String::from_utf8_lossy(bytes);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = line("Call-ID:").map(str::trim) else { return };
        let word = text.split(' ').next().unwrap_or_default();
        let invite = line("CSeq:").is_some_and(|cseq| cseq.trim_end().ends_with("INVITE"));
        match (at, word) {
            (At::Left, "INVITE") => {
                self.seen.entry(id.to_owned()).or_default().invited.get_or_insert(now);
            }
            (At::Came, "SIP/2.0") if invite => {
                if let Some(seen) = self.seen.get_mut(id) {
                    seen.heard.get_or_insert(now);
                }
            }
            (At::Told | At::Lost, "CANCEL" | "BYE") => {
                let seen = self.seen.entry(id.to_owned()).or_default();
                let end = if word == "BYE" { &mut seen.bye } else { &mut seen.cancel };
                end.told |= at == At::Told;
                end.lost += u32::from(at == At::Lost);
            }
            _ => {}
        }
    }

    fn pass_by(&mut self, now: Duration, life: u32, bytes: &[u8], here: bool) {
        let text = String::from_utf8_lossy(bytes);
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = line("Call-ID:").map(str::trim) else { return };
        let (bye, ack) = (text.starts_with("BYE ") && here, text.starts_with("ACK ") && here);
        let method = line("CSeq:").and_then(|cseq| cseq.split_whitespace().nth(1));
        let invite = method == Some("INVITE");
        let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        if let (true, Some(status), Some(method)) = (here, status, method)
            && !status.starts_with('1')
        {
            *self.heard.entry(format!("{status} {method}")).or_default() += 1;
        }
        if bye {
            self.seen.entry(id.to_owned()).or_default().over.get_or_insert(now);
        } else if ack {
            // The ACK of a challenge comes before any answer.
            if let Some(seen) = self.seen.get_mut(id).filter(|seen| seen.reached.is_some()) {
                seen.acked.get_or_insert(now);
            }
        } else if invite && text.starts_with("SIP/2.0 200") {
            let seen = self.seen.entry(id.to_owned()).or_default();
            seen.ours |= here && seen.left.is_none();
            seen.left.get_or_insert(now);
            if here {
                seen.reached.get_or_insert((now, life));
            }
        }
    }

    /// By when the far end of a session knows that it is over, which the switch let go at this time.
    #[must_use]
    pub fn told_by(&self, call_id: &str, let_go: Duration) -> Duration {
        let mut from = let_go;
        if let Some(seen) = self.seen.get(call_id) {
            // RFC 3261 §9.1: a CANCEL waits for a first word, for as long as the INVITE is resent.
            if let Some(invited) = seen.invited.filter(|_| seen.heard.is_none_or(|at| at > let_go))
            {
                from = from.max(seen.heard.unwrap_or(invited + RESENT));
            }
            if let Some(left) = seen.left {
                // A 200 that crosses the CANCEL is ended by BYE; ours is not before its ACK (§15).
                let agreed = match seen.ours {
                    true => seen.acked.unwrap_or(left + RESENT).min(left + RESENT),
                    false => seen.reached.map_or(left, |(at, _)| at),
                };
                from = from.max(agreed);
            }
        }
        from + DOWN_WITHIN
    }

    /// Whether the network is to blame for a far end that does not know: it lost every copy of what ends the
    /// session, or every word of a far end that was invited, so that no CANCEL was allowed; or brought the first one
    /// when the INVITE had been given up unheard (timer B, RFC 3261 §17.1.1.2), and there was nothing left to cancel.
    #[must_use]
    pub fn is_deaf(&self, call_id: &str) -> bool {
        self.seen.get(call_id).is_some_and(|seen| {
            let in_time = |invited| seen.heard.is_some_and(|heard| heard < invited + RESENT);
            let unheard = seen.invited.is_some_and(|invited| !in_time(invited));
            unheard || seen.bye.is_unheard() || !seen.bye.told && seen.cancel.is_unheard()
        })
    }

    /// The answer of a session that the switch said or heard, and all that was seen.
    #[must_use]
    pub fn answered(&self, call_id: &str) -> Option<(Answer, Seen)> {
        let seen = *self.seen.get(call_id)?;
        let (reached, life) = seen.reached?;
        Some((Answer { left: seen.left?, reached, life, ours: seen.ours }, seen))
    }
}
