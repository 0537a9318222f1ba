//! Why a number goes where it goes: the operator's answer to "explain this route".

use std::fmt;

use serde::Serialize;

use crate::money::Micros;

/// What becomes of a number that is dialled now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// As it was asked.
    pub asked: String,
    /// As it is read: `+8613800138000`, `10086`, `80001`.
    pub number: String,
    /// What it leads to, in words.
    pub leads_to: String,
    /// The clock on the wall by which hours were read, e.g. `sat 23:00 Asia/Shanghai`.
    pub local_time: String,
    /// Whether limits, rates and rests of trunks as they stand were looked at; they are only known to the
    /// switch that runs.
    pub live: bool,
    /// Every route whose prefix fits, in the order they are tried; then those that are not, longest prefix first.
    pub candidates: Vec<Candidate>,
    /// Where it leads when a carrier delivers it as a number of ours; in words.
    pub delivered: Option<String>,
    /// The phones of the extension that it leads to, or is delivered to, in the order of their turn.
    pub phones: Vec<Phone>,
    /// Merchants whose calls there show one of a pool of numbers.
    pub pools: Vec<PoolOf>,
    /// Policies that are about calls there, in the order in which they are asked.
    pub policies: Vec<PolicyOf>,
}

/// A policy that is about calls to a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PolicyOf {
    /// Its name.
    pub policy: String,
    /// Whose calls, and of which services; in words.
    pub about: String,
    /// What it says of the number at this moment; in words.
    pub says: String,
}

/// A registered phone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Phone {
    /// Its contact.
    pub contact: String,
    /// It rings with the call.
    pub rung: bool,
    /// Why it does, or does not.
    pub why: String,
}

/// A merchant's pool of caller ids.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoolOf {
    /// Its name.
    pub merchant: String,
    /// What its calls show, and when; in words.
    pub shows: String,
}

/// A route whose prefix fits the number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Candidate {
    /// Its prefix; empty fits everything.
    pub prefix: String,
    /// Name of its trunk.
    pub trunk: String,
    /// Lower first.
    pub priority: u16,
    /// Share among its equals.
    pub weight: u16,
    /// What a minute costs us.
    pub cost: Option<Micros>,
    /// The place in which it is tried, from 1; `None` when it is not.
    pub place: Option<usize>,
    /// Why it is tried in this place, or is not.
    pub verdict: Verdict,
    /// The trunk's own pool of caller ids, in words.
    pub pool: Option<String>,
}

/// Why a route is tried, or is not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// It is tried.
    Tried,
    /// It is tried; among equals its turn is drawn by weight.
    Drawn {
        /// Its weight.
        weight: u16,
        /// Weights of all its equals together.
        of: u32,
    },
    /// It is tried after those that answer: nothing came from it lately.
    Silent,
    /// A longer prefix fits and has a trunk in use.
    ShorterPrefix {
        /// The one that wins.
        longest: String,
    },
    /// The trunk is switched off.
    TrunkDisabled,
    /// The route is closed at this time.
    OutsideHours {
        /// When it is open.
        hours: String,
    },
    /// The same trunk is tried by a better route of this prefix.
    Repeated,
    /// The trunk carries as many legs as it may.
    Full {
        /// How many.
        legs: u32,
    },
    /// The trunk was given as many INVITEs in this second as it may be.
    RateReached {
        /// How many.
        per_second: u32,
    },
    /// The trunk was given as many INVITEs lately as it may be.
    WindowFull {
        /// How many.
        calls: u32,
        /// Within so many seconds.
        within_s: u32,
    },
    /// The trunk answered 503 lately, and was given as many INVITEs in this second as it is now.
    Throttled {
        /// How many.
        per_second: u32,
    },
    /// The trunk asked to be left alone (503 with Retry-After).
    Resting {
        /// For how long still.
        seconds: u64,
    },
    /// The trunk does not answer our OPTIONS, or not as it should.
    Down,
    /// We are to be registered at the trunk, and are not.
    Unregistered,
    /// Its name has no address yet, or none that we can reach.
    Unresolved,
    /// No listener speaks its transport.
    NoListener,
    /// So many are tried before it that its turn never comes.
    TooMany {
        /// The most that are tried.
        most: usize,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Tried => f.write_str("tried"),
            Verdict::Drawn { weight, of } => {
                write!(f, "tried; comes first in {weight} of {of} calls, by weight")
            }
            Verdict::Silent => f.write_str("tried after the others: it did not answer lately"),
            Verdict::ShorterPrefix { longest } => {
                write!(f, "not tried: prefix {longest} is longer")
            }
            Verdict::TrunkDisabled => f.write_str("not tried: the trunk is disabled"),
            Verdict::OutsideHours { hours } => write!(f, "not tried: open only {hours}"),
            Verdict::Repeated => f.write_str("not tried: a better route leads to the same trunk"),
            Verdict::Full { legs } => {
                write!(f, "skipped now: the trunk carries {legs} legs, its limit")
            }
            Verdict::RateReached { per_second } => {
                write!(f, "skipped now: {per_second} calls went there in this second, its limit")
            }
            Verdict::WindowFull { calls, within_s } => {
                write!(f, "skipped now: {calls} calls went there within {within_s} s, its limit")
            }
            Verdict::Throttled { per_second } => {
                write!(f, "skipped now: it was too busy, and is given {per_second} calls a second")
            }
            Verdict::Resting { seconds } => {
                write!(f, "skipped now: it asked to be left alone for {seconds} s more")
            }
            Verdict::Down => f.write_str("skipped now: it does not answer OPTIONS"),
            Verdict::Unregistered => f.write_str("skipped now: we are not registered there"),
            Verdict::Unresolved => f.write_str("skipped now: its name leads to no address"),
            Verdict::NoListener => f.write_str("not tried: nothing listens for its transport"),
            Verdict::TooMany { most } => write!(f, "not tried: {most} others come before it"),
        }
    }
}
