//! What a merchant's request asks of the switch, and what it gets back at once.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::conference::Conference;
use crate::failure::Kind;
use crate::id::{CallId, MerchantId, SubAccountId};
use crate::media::Record;
use crate::number::Number;
use crate::scenario::Scenario;

/// Which merchant language a call came in by and its results go out in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// System 000 (spec §2).
    Callni,
    /// System 001 (spec §3).
    Ytx,
    /// System 002 (spec §4).
    Sipcall,
    /// System 003 (spec §5).
    Inoti,
    /// Our own REST surface; also the operator's hand.
    Rest,
}

impl Dialect {
    /// The word that stores and metrics use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Dialect::Callni => "callni",
            Dialect::Ytx => "ytx",
            Dialect::Sipcall => "sipcall",
            Dialect::Inoti => "inoti",
            Dialect::Rest => "rest",
        }
    }
}

/// What a merchant asked a call for. Stored by its word: words never change.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Two are joined. Also whatever no merchant asked for.
    #[default]
    Callback,
    /// A code is said.
    Code,
    /// An announcement is said; keys may lead to somebody.
    Notice,
    /// A number of a campaign is rung, and led to an agent.
    Campaign,
    /// Many are joined.
    Conference,
    /// A number of the merchant's was called, and its scenario answers.
    Inbound,
    /// A scenario of the merchant's own leads it.
    Scenario,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 7] = [
        Purpose::Callback,
        Purpose::Code,
        Purpose::Notice,
        Purpose::Campaign,
        Purpose::Conference,
        Purpose::Inbound,
        Purpose::Scenario,
    ];

    /// The word that stores use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Purpose::Callback => "callback",
            Purpose::Code => "code",
            Purpose::Notice => "notice",
            Purpose::Campaign => "campaign",
            Purpose::Conference => "conference",
            Purpose::Inbound => "inbound",
            Purpose::Scenario => "scenario",
        }
    }
}

/// One side of a requested call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Party {
    /// Whom to ring.
    pub number: Number,
    /// The number exactly as the merchant wrote it: what goes back in notifications.
    pub as_sent: String,
    /// Caller id to show on this leg; `None` lets the trunk or the extension decide.
    pub shown: Option<Number>,
    /// How long this leg may ring.
    pub ring: Duration,
}

/// What a push is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// Each state of each leg, as it happens.
    State,
    /// Each extension that rings: when it does, when it has answered, when it is over; each once.
    Extension,
    /// The record of the whole call, once it is down.
    Record,
    /// What a menu of the merchant's asked for is paid.
    Payment,
}

/// A promise to tell a merchant something about a call. Kept in the outbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Push {
    /// What it is about.
    pub kind: PushKind,
    /// The language it is written in.
    pub dialect: Dialect,
    /// Absolute URL, already accepted by the address guard when the call was placed.
    pub endpoint: String,
    /// Whatever the dialect needs to write it: its own JSON, opaque to everybody else.
    pub context: String,
}

/// Makes a request safe to repeat.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RequestKey {
    /// Name space: the surface it came in by.
    pub dialect: Dialect,
    /// The merchant's own id of the request, e.g. system 000's `callbackid`.
    pub key: String,
    /// What must be equal for it to be the same request, e.g. both numbers.
    pub fingerprint: String,
}

/// A call to place: ring A, then B, and join them; or ring A, and do what a scenario says; or ring A, then all others
/// of a conference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallCommand {
    /// The surface it came in by.
    pub dialect: Dialect,
    /// Who pays.
    pub merchant: MerchantId,
    /// The sub-account that asked, if any: it spends the merchant's balance.
    pub sub_account: Option<SubAccountId>,
    /// Id of the app or company within the dialect, for records and queries; empty when there is none.
    pub app: String,
    /// Rung first.
    pub a: Party,
    /// Rung when A has answered; `None` where that is for the scenario to say, or for the conference.
    pub b: Option<Party>,
    /// What A hears and may press. Not kept with the call: no call outlives its process, and what is said may be
    /// nobody else's business.
    #[serde(skip)]
    pub scenario: Option<Arc<Scenario>>,
    /// Who else is rung for a conference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference: Option<Box<Conference>>,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// Longest time both may talk; `None` takes the merchant's limit.
    pub max_talk: Option<Duration>,
    /// Whether to record the conversation, and how.
    pub record: Record,
    /// Makes the request repeatable; `None` places a new call each time.
    pub key: Option<RequestKey>,
    /// What to tell whom.
    pub pushes: Vec<Push>,
    /// The merchant's own words, echoed in records (001 `customParm`, 000 `data`).
    pub custom: String,
}

impl CallCommand {
    /// Whom the merchant asked for beside A, as it wrote it; empty where it named nobody.
    #[must_use]
    pub fn called_as_sent(&self) -> &str {
        self.b.as_ref().map_or("", |b| &b.as_sent)
    }
}

/// The request was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The call it became, or had become before.
    pub call: CallId,
    /// True when the same request had been accepted already and no new call was started.
    pub duplicate: bool,
}

/// Why a request was not accepted. Nothing was dialled and nothing is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The merchant is unknown.
    UnknownMerchant,
    /// The merchant or the sub-account is not approved or is frozen.
    Disabled,
    /// The balance does not cover the first interval of both legs.
    NoBalance,
    /// No tariff prices the number.
    NoPrice,
    /// No route leads to the number, or nobody is behind it.
    NoRoute,
    /// Leg A's number is not one this merchant may ring.
    BadCaller,
    /// Both legs would ring the same line.
    SameNumber,
    /// Concurrency or rate limit of the merchant or of the switch.
    TooManyCalls,
    /// The same key was used before for another request.
    KeyConflict,
    /// The switch is draining or overloaded.
    Busy,
    /// A block rule, or a list of numbers.
    Blocked,
    /// The number may not be rung at this time.
    OutsideHours,
    /// The number was rung as often as it may be.
    TooOften,
    /// A fault of our own; safe to repeat with the same key.
    Internal,
}

impl Refusal {
    /// The row of the failure table that says the same.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Refusal::UnknownMerchant
            | Refusal::Disabled
            | Refusal::Blocked
            | Refusal::OutsideHours
            | Refusal::TooOften => Kind::Blocked,
            Refusal::NoBalance => Kind::NoBalance,
            Refusal::NoPrice | Refusal::NoRoute => Kind::NoRoute,
            Refusal::BadCaller | Refusal::SameNumber => Kind::InvalidNumber,
            Refusal::TooManyCalls | Refusal::Busy => Kind::Congestion,
            Refusal::KeyConflict | Refusal::Internal => Kind::Internal,
        }
    }
}

/// A live call as operators see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LiveCall {
    /// Which call.
    pub call: CallId,
    /// Who pays.
    pub merchant: MerchantId,
    /// The sub-account that asked, if any.
    pub sub_account: Option<SubAccountId>,
    /// Where it stands: `fetching`, `dialing_a`, `answered_a`, `saying`, `waiting`, `recording`, `asking`, `dialing_b`, `bridged`, `conference`, `parked`, `serving`,
    /// `voicemail`, `ending`.
    pub state: String,
    /// Who is on the side of the caller now, as sent; empty where nobody is.
    pub a: String,
    /// The same of the side of the callee: whoever took the place of the one who was called first.
    pub b: String,
    /// When it was placed, Unix milliseconds.
    pub since: crate::time::UnixMillis,
    /// When both were joined, if they are.
    pub bridged: Option<crate::time::UnixMillis>,
}
