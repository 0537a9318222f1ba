//! What a bystander sees of each session: when its 200 and its first BYE pass by.

use std::collections::BTreeMap;
use std::time::Duration;

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
}

/// All sessions, by Call-ID.
#[derive(Debug, Default)]
pub struct Wire {
    seen: BTreeMap<String, Seen>,
    /// Final answers that left or reached the switch, by status and method: `200 PRACK`.
    pub heard: BTreeMap<String, u32>,
}

impl Wire {
    /// A message leaves its sender, or (`here`) leaves or reaches the switch, in which process.
    pub(crate) fn pass(&mut self, now: Duration, life: u32, bytes: &[u8], here: bool) {
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

    /// The answer of a session that the switch said or heard, and all that was seen.
    #[must_use]
    pub fn answered(&self, call_id: &str) -> Option<(Answer, Seen)> {
        let seen = *self.seen.get(call_id)?;
        let (reached, life) = seen.reached?;
        Some((Answer { left: seen.left?, reached, life, ours: seen.ours }, seen))
    }
}
