//! How an internal number is reached: groups of extensions, and what becomes of a call that its extension does
//! not take.

use serde::{Deserialize, Serialize};

use crate::id::MerchantId;

/// Where a call is led on to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeadsTo {
    /// An extension or a group, by its internal number.
    Internal(String),
    /// A public number (E.164 digits) or a short code.
    Public(String),
    /// The voice mailbox of an extension.
    Voicemail(String),
}

impl LeadsTo {
    /// How a mailbox is written: this word alone is an extension's own one, that of another follows a colon.
    pub const VOICEMAIL: &str = "voicemail";
}

impl std::fmt::Display for LeadsTo {
    /// As the operator writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LeadsTo::Internal(number) | LeadsTo::Public(number) => f.write_str(number),
            LeadsTo::Voicemail(user) => write!(f, "{}:{user}", LeadsTo::VOICEMAIL),
        }
    }
}

/// Several extensions that answer for one number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Whose; its members are of the same merchant.
    pub merchant: MerchantId,
    /// For people.
    pub name: String,
    /// May be rung.
    pub enabled: bool,
    /// Whom it offers a call first.
    pub strategy: Strategy,
    /// Extensions, in order; at most [`Group::MEMBERS_MAX`].
    pub members: Vec<String>,
    /// Seconds for which one member rings.
    pub ring_s: u32,
    /// Seconds after which a call that nobody took is given up.
    pub timeout_s: u32,
    /// Where a call goes that nobody took; `None`: it fails.
    pub otherwise: Option<LeadsTo>,
}

impl Group {
    /// Members of one group: as many phones as one request may be forked to (RFC 5393 §5.3.3.2).
    pub const MEMBERS_MAX: usize = 60;
    /// Bounds of `ring_s` and `timeout_s`.
    pub const SECONDS: std::ops::RangeInclusive<u32> = 1..=600;
}

/// Whom a group offers a call first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All who are free, at once.
    #[default]
    RingAll,
    /// One after the other, always from the first.
    Sequential,
    /// One after the other, from the one after whoever was offered the last call.
    RoundRobin,
    /// Whoever took a call of this group longest ago; who took none yet comes first.
    LeastRecent,
    /// Whoever took the fewest calls of this group.
    FewestCalls,
    /// By lot.
    Random,
    /// Whoever ended a call of any kind longest ago; who had none yet comes first.
    LongestIdle,
}

/// What the owner of an extension wants done with calls to it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// Its phones are not rung: it is busy.
    pub dnd: bool,
    /// Where all its calls go.
    pub always: Option<LeadsTo>,
    /// Where calls go that find it busy, are rejected, or find it not to be disturbed.
    pub busy: Option<LeadsTo>,
    /// Where calls go that it does not answer within [`Reach::no_answer_s`].
    pub no_answer: Option<LeadsTo>,
    /// Seconds for which it rings before they do; `None`: [`Reach::RING_S`].
    pub no_answer_s: Option<u32>,
    /// Where calls go when none of its phones can be reached.
    pub unreachable: Option<LeadsTo>,
}

impl Reach {
    /// For how many seconds it rings, where it says nothing else.
    pub const RING_S: u32 = 20;
    /// Bounds of `no_answer_s`.
    pub const SECONDS: std::ops::RangeInclusive<u32> = 1..=300;
    /// A call is led on so often at most.
    pub const HOPS_MAX: usize = 5;
}

/// One wish that changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReachSet {
    /// [`Reach::dnd`].
    Dnd(bool),
    /// [`Reach::always`].
    Always(Option<LeadsTo>),
    /// [`Reach::busy`].
    Busy(Option<LeadsTo>),
    /// [`Reach::no_answer`].
    NoAnswer(Option<LeadsTo>),
}

impl ReachSet {
    /// Makes it so.
    pub fn apply(self, reach: &mut Reach) {
        match self {
            ReachSet::Dnd(dnd) => reach.dnd = dnd,
            ReachSet::Always(to) => reach.always = to,
            ReachSet::Busy(to) => reach.busy = to,
            ReachSet::NoAnswer(to) => reach.no_answer = to,
        }
    }
}
