//! What the store hands out: rows as values. Nothing here can reach the database.

use std::collections::BTreeSet;

use facts::campaign::CampaignChange;
use facts::command::{CallCommand, Dialect, PushKind};
use facts::manners::Dtmf;
use facts::media::Record;
use facts::money::{Currency, Micros};
use facts::policy::{Pattern, Rule};
use facts::record::{CallRecord, StateChange};
use facts::spoken::Codecs;
use facts::srtp::SrtpSuite;
use facts::template::Template;
use facts::time::UnixMillis;
use facts::{CallId, LegNo, MerchantId, SubAccountId, TrunkId};
use serde::{Deserialize, Serialize};

/// Whether a merchant may do business.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MerchantStatus {
    /// Applied, not decided.
    Pending,
    /// In business.
    #[default]
    Approved,
    /// Turned down; may apply again.
    Rejected,
    /// Stopped by an operator or a fraud rule.
    Frozen,
}

/// Hex case of the signatures we send to a merchant (merchant API §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HexCase {
    /// The case the merchant used in the request that created the call.
    #[default]
    Mirror,
    /// Always lower case.
    Lower,
    /// Always upper case.
    Upper,
}

/// A merchant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merchant {
    /// Row id.
    pub id: MerchantId,
    /// Login name, system 000's `username`.
    pub name: String,
    /// System 000's signing key; empty when none is set. Never printed in lists.
    #[serde(skip_serializing, default)]
    pub key: String,
    /// Whether it may do business.
    pub status: MerchantStatus,
    /// Currency of its balance.
    pub currency: Currency,
    /// Language of prompts and texts.
    pub language: String,
    /// Name of its tariff; `None` prices nothing.
    pub tariff: Option<String>,
    /// Live calls at most.
    pub max_calls: Option<u32>,
    /// New calls per second at most.
    pub calls_per_second: Option<u32>,
    /// Longest talk time, seconds.
    pub max_talk_s: u32,
    /// Caller id for legs that name none (E.164 digits).
    pub caller_id: Option<String>,
    /// Whether its calls are recorded.
    pub record: Record,
    /// Networks its requests may come from; empty means any.
    pub allowed_ips: Vec<String>,
    /// Hex case of the signatures we send.
    pub hex_case: HexCase,
    /// May leg A be a public number (merchant API §2.4 `callback_num`)?
    pub pstn_caller: bool,
}

/// A user of a merchant, who spends the merchant's balance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubAccount {
    /// Row id.
    pub id: SubAccountId,
    /// Whose.
    pub merchant: MerchantId,
    /// Account name; the internal number when made by `biz_regist`.
    pub name: String,
    /// Real name as the merchant gave it.
    pub realname: String,
    /// E-mail as the merchant gave it.
    pub email: String,
    /// May call and be called.
    pub enabled: bool,
    /// When it was made.
    pub created: UnixMillis,
}

/// A merchant's template of notices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TemplateRow {
    /// Unique within the merchant.
    pub id: String,
    /// Whose.
    pub merchant: MerchantId,
    /// What it says.
    #[serde(flatten)]
    pub template: Template,
}

/// A list of numbers, without its numbers: they may be very many.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NumberListRow {
    /// Unique name.
    pub name: String,
    /// How many numbers are on it.
    pub numbers: u64,
    /// Beginnings of numbers that are on it.
    pub prefixes: Vec<String>,
    /// Patterns of numbers that are on it.
    pub patterns: Vec<Pattern>,
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PolicyRow {
    /// Unique name.
    pub name: String,
    /// In use.
    pub enabled: bool,
    /// What it says.
    #[serde(flatten)]
    pub rule: Rule,
}

/// An internal number and who is behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extension {
    /// The internal number, which is also the SIP user name.
    pub number: String,
    /// Whose.
    pub merchant: MerchantId,
    /// The sub-account it belongs to, if any.
    pub sub_account: Option<SubAccountId>,
    /// May register and be rung: its own switch and its sub-account's.
    pub enabled: bool,
    /// Public number that rings when no contact is registered, E.164 digits.
    pub bound_phone: Option<String>,
    /// What becomes of calls to it.
    pub reach: facts::Reach,
    /// How its phones take keys; `None`: as all phones do.
    pub dtmf: Option<Dtmf>,
}

/// A group and its number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupRow {
    /// The internal number.
    pub number: String,
    /// What it is.
    #[serde(flatten)]
    pub group: facts::Group,
}

/// A message in a voice mailbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VoiceMessage {
    /// The call that left it; there is one for each call.
    pub call: CallId,
    /// The extension for which it is.
    pub mailbox: String,
    /// Whose that is.
    pub merchant: MerchantId,
    /// Who called, as it came; empty when nobody said.
    pub caller: String,
    /// When it was begun.
    pub at: UnixMillis,
    /// Length of the sound in milliseconds.
    pub duration_ms: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Path below the recordings folder.
    pub file: String,
    /// Its owner has listened to it.
    pub heard: bool,
}

/// What a voice mailbox holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailboxCount {
    /// The extension.
    pub mailbox: String,
    /// Messages that nobody has heard.
    pub new: u32,
    /// Messages that were heard and kept.
    pub old: u32,
}

/// What `biz_regist` made, or had made before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The sub-account.
    pub account: SubAccount,
    /// Its internal number.
    pub number: String,
    /// Its SIP password. `None` for an earlier account whose password was changed since.
    pub password: Option<String>,
    /// The same person had been registered within 24 hours; nothing new was made.
    pub duplicate: bool,
}

/// An account of system 001.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct YtxAccount {
    /// `accountSID`.
    pub sid: String,
    /// `authToken`.
    #[serde(skip_serializing, default)]
    pub auth_token: String,
    /// Whose.
    pub merchant: MerchantId,
    /// False answers -201.
    pub active: bool,
}

/// How the callback address of a 001 app is used (merchant API §3.8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Callback {
    /// Nothing is sent.
    Off,
    /// `Call` and `CallState` are appended to the address.
    Suffix {
        /// The address.
        url: String,
    },
    /// One address for everything, as it stands.
    Plain {
        /// The address.
        url: String,
    },
    /// Two addresses.
    Two {
        /// For CDRs.
        cdr: String,
        /// For states; `None` sends none.
        state: Option<String>,
    },
}

/// How numbers are typed in a 001 CDR push (merchant API §3.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CdrTypes {
    /// Everything a string, as in the seed.
    #[default]
    String,
    /// Amounts, durations and `fid` as numbers.
    Number,
}

/// What an unrecognised outcome is called (merchant API §3.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownAs {
    /// 未知.
    #[default]
    Unknown,
    /// 正常.
    Normal,
}

/// An app of a 001 account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct YtxApp {
    /// `appid`.
    pub appid: String,
    /// The account it belongs to.
    pub sid: String,
    /// Whose, through the account.
    pub merchant: MerchantId,
    /// Offline answers -205.
    pub online: bool,
    /// Enabled functions, e.g. `call`, `account`.
    pub functions: BTreeSet<String>,
    /// Numbers it may show (E.164 digits), the first is the default.
    pub callers: Vec<String>,
    /// Where its pushes go.
    pub callback: Callback,
    /// How numbers are typed in its CDR pushes.
    pub cdr_types: CdrTypes,
    /// What an unrecognised outcome is called.
    pub unknown_as: UnknownAs,
    /// Networks its requests may come from; empty means any.
    pub allowed_ips: Vec<String>,
    /// Whether its calls are recorded.
    pub record: Record,
    /// The language in which its codes are said; `None`: its merchant's.
    pub language: Option<String>,
    /// Whether the records of its codes tell what became of them (`stateDesc`).
    pub code_state: bool,
}

/// A company of system 002.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Company {
    /// `companycode`.
    pub companycode: String,
    /// What it is called.
    pub name: String,
    /// `appid`.
    pub appid: String,
    /// `accesskey`.
    #[serde(skip_serializing, default)]
    pub accesskey: String,
    /// Whose.
    pub merchant: MerchantId,
    /// Where CDRs go.
    pub cdr_url: Option<String>,
    /// Where extension states go.
    pub state_url: Option<String>,
    /// In use.
    pub active: bool,
    /// The language that it is answered in; `None`: its merchant's.
    pub language: Option<String>,
    /// Networks its requests may come from; empty means any.
    pub allowed_ips: Vec<String>,
    /// When its authorization ends; `None`: never.
    pub expires: Option<UnixMillis>,
    /// What it may ask for; empty means everything.
    pub modules: BTreeSet<String>,
    /// Numbers it may show (E.164 digits); any of them where none is asked for.
    pub callers: Vec<String>,
    /// Whether its calls are recorded.
    pub record: Record,
    /// A `customuuid` is taken once: the same request again is the same call.
    pub dedupe_customuuid: bool,
    /// The form of its records.
    pub cdr_version: CdrVersion,
    /// `method` of states of extensions.
    pub state_method: StateMethod,
}

/// The form of a record of system 002.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum CdrVersion {
    /// As the seed has it.
    #[default]
    #[serde(rename = "seed")]
    Seed,
    /// With the members that came in 2025; `companycode` is text.
    #[serde(rename = "2025")]
    Y2025,
}

/// What system 002 calls a call that a notice led to an extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum StateMethod {
    /// Direct dial, as the seed's own sample.
    #[default]
    #[serde(rename = "2")]
    Dial,
    /// IVR.
    #[serde(rename = "6")]
    Ivr,
}

/// A key of a merchant's system for `/v1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names it; the first part of the key itself.
    pub id: String,
    /// Whose.
    pub merchant: MerchantId,
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// SHA-256 of the key, in hex. Never printed in lists.
    #[serde(skip_serializing, default)]
    pub hash: String,
    /// What may be done with it, by the words of the surface.
    pub scopes: BTreeSet<String>,
    /// Networks it may come from; empty means any.
    pub allowed_ips: Vec<String>,
    /// Numbers that calls may show which it asks for (E.164 digits), beside the merchant's own.
    pub caller_ids: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
    /// When it lapses; `None`: never.
    pub expires: Option<UnixMillis>,
    /// When it was ended.
    pub revoked: Option<UnixMillis>,
}

impl ApiKey {
    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_good(&self, now: UnixMillis) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// The id that a key bears; `None` for what cannot be one.
    #[must_use]
    pub fn id_of(key: &str) -> Option<&str> {
        crate::keys::id_of(key)
    }

    /// What is kept of a key.
    #[must_use]
    pub fn hash_of(key: &str) -> String {
        crate::keys::hash(key)
    }
}

/// What pushes to a webhook are signed with, the newest first; also what has lapsed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(pub(crate) Vec<Secret>);

/// A secret, and how long it is signed with: `None` for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) secret: String,
    pub(crate) until: Option<i64>,
}

impl Secrets {
    /// Those that are good at `now`.
    #[must_use]
    pub fn at(&self, now: UnixMillis) -> Vec<String> {
        let good = self.0.iter().filter(|one| one.is_good(now));
        good.map(|one| one.secret.clone()).collect()
    }
}

impl Secret {
    pub(crate) fn is_good(&self, now: UnixMillis) -> bool {
        self.until.is_none_or(|until| now.0 < until)
    }
}

/// Where events of `/v1` are pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Row id.
    pub id: i64,
    /// Whose.
    pub merchant: MerchantId,
    /// Absolute URL.
    pub url: String,
    /// Names of events; none are all.
    pub events: Vec<String>,
    /// What pushes are signed with, the newest first.
    pub secrets: Secrets,
    /// In use.
    pub enabled: bool,
    /// Why it is not, where that was not asked for.
    pub reason: String,
    /// Since when nothing was delivered.
    pub failing: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
}

/// What is to be changed of a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WebhookChange {
    /// Another address.
    pub url: Option<String>,
    /// Other events; none are all.
    pub events: Option<Vec<String>>,
    /// Whether it is in use.
    pub enabled: Option<bool>,
}

/// A key that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// For whom.
    pub merchant: MerchantId,
    /// See [`ApiKey::name`].
    pub name: String,
    /// See [`ApiKey::scopes`].
    pub scopes: BTreeSet<String>,
    /// See [`ApiKey::allowed_ips`].
    pub allowed_ips: Vec<String>,
    /// See [`ApiKey::caller_ids`].
    pub caller_ids: Vec<String>,
    /// See [`ApiKey::expires`].
    pub expires: Option<UnixMillis>,
}

/// A trunk, as lists show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrunkRow {
    /// Row id.
    pub id: TrunkId,
    /// Everything else; the password is blanked.
    pub trunk: facts::settings::Trunk,
}

/// A call, open or settled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallEntry {
    /// Which call.
    pub call: CallId,
    /// What was asked for.
    pub command: CallCommand,
    /// When it was authorized.
    pub placed: UnixMillis,
    /// The record; `None` while the call is open.
    pub record: Option<CallRecord>,
}

/// Where a conference stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConferenceState {
    /// It is to be held later.
    Booked,
    /// Its call is under way.
    Live,
    /// It was held, or cancelled.
    Over,
    /// Nobody could begin it in time.
    Missed,
    /// It might not be begun.
    Refused,
}

impl ConferenceState {
    /// The word that the store uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ConferenceState::Booked => "booked",
            ConferenceState::Live => "live",
            ConferenceState::Over => "over",
            ConferenceState::Missed => "missed",
            ConferenceState::Refused => "refused",
        }
    }
}

/// A conference by its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConferenceEntry {
    /// Row id.
    pub id: i64,
    /// Its number.
    pub number: String,
    /// Where it stands.
    pub state: ConferenceState,
    /// Its call, once it was begun.
    pub call: Option<CallId>,
    /// When it is, or was, to begin, if it was booked.
    pub start: Option<UnixMillis>,
    /// What was booked.
    pub command: Option<CallCommand>,
    /// When it was over.
    pub ended: Option<UnixMillis>,
    /// When it was asked for.
    pub created: UnixMillis,
}

/// What became of a booking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Booked {
    /// It is booked, by this row id.
    Now(i64),
    /// It was booked before under the same key, by this number.
    Before(String),
    /// Something else was booked under the same key.
    OtherRequest,
    /// Its number is somebody else's.
    Taken,
    /// The merchant has as many as one may have.
    TooMany,
}

/// A booked conference whose time has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Booking {
    /// Row id.
    pub id: i64,
    /// When it was to begin.
    pub start: UnixMillis,
    /// What is to be asked of the switch.
    pub command: CallCommand,
}

/// A promise to tell, as the push worker gets it. Its lease ends at [`OutboxRow::leased_until`]; then the
/// row is anybody's again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Row id: stable, rising.
    pub id: i64,
    /// The call it is about.
    pub call: CallId,
    /// Who is told.
    pub merchant: MerchantId,
    /// What it is about.
    pub kind: PushKind,
    /// The language it is written in.
    pub dialect: Dialect,
    /// Absolute URL.
    pub endpoint: String,
    /// The dialect's own JSON from [`facts::Push::context`].
    pub context: String,
    /// The facts to be told.
    pub payload: Payload,
    /// Settings version when the event was written.
    pub settings_version: u64,
    /// The bytes to send, once they have been formatted: the same on every attempt.
    pub body: Option<Vec<u8>>,
    /// Attempts made before this one.
    pub attempts: u32,
    /// When the event was written.
    pub created: UnixMillis,
    /// End of the lease.
    pub leased_until: UnixMillis,
    /// Where the row stands.
    pub state: OutboxState,
    /// How often the row was leased, this time included: no two leases of it have one number.
    pub lease: i64,
    /// The place of the event among those of its call, from 1; 0 where a dialect does not count.
    pub sequence: u32,
    /// The webhook that is told, if it is one.
    pub webhook: Option<i64>,
    /// Tells events of one kind of a call apart: of the records of a conference, whose it is, by leg.
    pub part: u32,
}

/// What an event says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// A leg reached a state.
    State(StateChange),
    /// A call was settled.
    Record(Box<CallRecord>),
    /// A campaign ended, or was paused by the switch.
    Campaign(CampaignChange),
    /// Somebody wrote to the merchant.
    Text(facts::sms::Received),
    /// An invoice was paid.
    Paid(facts::payment::Paid),
}

/// Where an outbox row stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// To be sent, or sent and to be tried again.
    Pending,
    /// Delivered.
    Done,
    /// Given up; an operator may re-deliver.
    Parked,
}

/// One attempt to deliver, as kept for the merchant's callback log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was sent.
    pub at: UnixMillis,
    /// Method and URL as sent.
    pub request: String,
    /// HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// First 4 KiB of the answer, or the error in words.
    pub answer: Vec<u8>,
    /// Time until the answer, milliseconds.
    pub latency_ms: u64,
}

/// One line of the ledger. The lines of a transfer sum to zero.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Stable, rising.
    pub id: i64,
    /// The transfer it belongs to, e.g. `1234567890123456789A.charge.0`.
    pub transfer: String,
    /// `charge`, `top_up`, ….
    pub kind: String,
    /// Account name, e.g. `merchant:7`, `revenue:CNY`, `cash:CNY`.
    pub account: String,
    /// The merchant whose account it is, if it is one.
    pub merchant: Option<MerchantId>,
    /// Positive adds to the account.
    pub amount: Micros,
    /// Currency of the amount.
    pub currency: Currency,
    /// The call it pays for, if any.
    pub call: Option<CallId>,
    /// The leg it pays for, if any.
    pub leg: Option<LegNo>,
    /// When.
    pub at: UnixMillis,
    /// Words, e.g. a top-up's external id.
    pub note: String,
}

/// One CDR: a leg that was attempted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cdr {
    /// Stable, rising.
    pub id: i64,
    /// Which call.
    pub call: CallId,
    /// Which leg.
    pub leg: LegNo,
    /// Who pays.
    pub merchant: MerchantId,
    /// The sub-account that asked, if any.
    pub sub_account: Option<SubAccountId>,
    /// The surface it came in by.
    pub dialect: Dialect,
    /// App or company within the dialect.
    pub app: String,
    /// Whom the call was for, as sent: what a phone dialled, or the merchant's B. Empty when no call is on record.
    pub called: String,
    /// What signalling and media saw.
    pub facts: facts::record::LegFacts,
    /// The codings spoken on it; none: nothing was agreed, or it is from before they were kept.
    pub codings: Codecs,
    /// What protected its sound all the time, if anything did.
    pub srtp: Option<SrtpSuite>,
    /// Prefix of the rate that priced it.
    pub prefix: String,
    /// Started seconds of talk.
    pub seconds: u64,
    /// Seconds charged.
    pub charged_seconds: u64,
    /// The charge.
    pub price: Micros,
    /// Its currency.
    pub currency: Currency,
    /// When the call was settled.
    pub settled: UnixMillis,
}

/// A registered contact, kept so that a restart still reaches the phone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// The extension.
    pub extension: String,
    /// Tells the contacts of an extension apart.
    pub contact: String,
    /// When it lapses.
    pub expires: UnixMillis,
    /// Everything else, in the registrar's own JSON.
    pub detail: String,
}

/// What an audit of the books found. All empty means the books are in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Every finding in words.
    pub findings: Vec<String>,
    /// Holds that are neither posted nor voided.
    pub open_holds: u64,
    /// Calls that are not settled.
    pub open_calls: u64,
}

impl Audit {
    /// Nothing was found.
    #[must_use]
    pub fn in_order(&self) -> bool {
        self.findings.is_empty()
    }
}
