//! Carriers that we register with and whose health we watch: what the operator asks for, and how it
//! stands.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How we register with a carrier (RFC 3261 §10.2). Its `credentials` answer the challenge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// User part of the address of record.
    pub user: String,
    /// Seconds asked for.
    #[serde(default = "Registration::usual_expires")]
    pub expires: u32,
    /// User part of our Contact, which the carrier's calls are then for. Empty: `user`.
    #[serde(default)]
    pub contact_user: String,
}

impl Registration {
    /// The least and the most that may be asked for, seconds.
    pub const EXPIRES: std::ops::RangeInclusive<u32> = 60..=86_400;

    fn usual_expires() -> u32 {
        3600
    }

    /// User part of our Contact.
    #[must_use]
    pub fn contact_user(&self) -> &str {
        if self.contact_user.is_empty() { &self.user } else { &self.contact_user }
    }
}

/// How we find out whether a carrier is there: by OPTIONS (RFC 3261 §11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// Seconds from one OPTIONS to the next.
    pub every: u32,
    /// Seconds after which one without an answer has failed.
    pub timeout: u32,
    /// So many failures one after the other, and the carrier is down.
    pub down_after: u8,
    /// So many answers one after the other, and it is up again.
    pub up_after: u8,
    /// Statuses that prove that it is up. Empty: every final one but 408 and 503.
    pub accept: Vec<u16>,
    /// User part of From. Empty: none.
    pub from_user: String,
}

impl Probe {
    /// Bounds of `every`, seconds.
    pub const EVERY: std::ops::RangeInclusive<u32> = 5..=3600;

    /// Whether an answer proves that the carrier is up.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        match self.accept.as_slice() {
            [] => !matches!(status, 408 | 503),
            listed => listed.contains(&status),
        }
    }

    /// Time from one OPTIONS to the next.
    #[must_use]
    pub fn every(&self) -> Duration {
        Duration::from_secs(self.every.into())
    }

    /// Time after which one without an answer has failed.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.min(self.every).into())
    }
}

impl Default for Probe {
    fn default() -> Self {
        Probe {
            every: 30,
            timeout: 5,
            down_after: 3,
            up_after: 2,
            accept: Vec::new(),
            from_user: String::new(),
        }
    }
}

/// How a trunk stands at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TrunkStatus {
    /// Its name.
    pub name: String,
    /// Whether it is in use.
    pub enabled: bool,
    /// Where requests to it go; for a name what the DNS said last.
    pub addresses: Vec<SocketAddr>,
    /// Legs on it now.
    pub legs: usize,
    /// Seconds for which it still wants to be left alone (503 with Retry-After).
    pub resting_s: Option<u64>,
    /// Our registration there, where one is wanted.
    pub registration: Option<RegistrationStatus>,
    /// Whether it is there, where that is watched.
    pub health: Option<HealthStatus>,
}

/// How a registration of ours stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RegistrationStatus {
    /// The carrier has a binding for us.
    pub registered: bool,
    /// Seconds until that binding lapses.
    pub expires_s: Option<u64>,
    /// Seconds until the next REGISTER.
    pub next_s: Option<u64>,
    /// Status of the last answer; 408 when none came, 503 when it could not be sent.
    pub last_status: Option<u16>,
    /// Refusals and silences one after the other.
    pub failures: u32,
}

/// Whether a carrier is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct HealthStatus {
    /// Calls are sent to it.
    pub up: bool,
    /// Time from the last OPTIONS to its answer, milliseconds.
    pub latency_ms: Option<u64>,
    /// The same, smoothed: each answer counts for an eighth (as in RFC 6298 §2.3), milliseconds.
    pub average_ms: Option<u64>,
    /// Status of the last answer; `None` when none came.
    pub last_status: Option<u16>,
    /// Failures one after the other while it is up, answers one after the other while it is down.
    pub streak: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_life() {
        let mut probe = Probe::default();
        assert!(probe.accepts(200) && probe.accepts(404) && probe.accepts(483));
        assert!(!probe.accepts(503) && !probe.accepts(408));
        probe.accept = vec![200];
        assert!(probe.accepts(200) && !probe.accepts(404));
    }

    #[test]
    fn an_answer_is_not_waited_for_beyond_the_next_question() {
        let probe = Probe { every: 5, timeout: 30, ..Probe::default() };
        assert_eq!(probe.timeout(), Duration::from_secs(5));
    }
}
