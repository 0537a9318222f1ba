//! What the operator wants to be there: the declarative file, as typed values.
//!
//! Amounts are decimal strings (`"0.15"`), numbers are written as people write them. Reading TOML and finding
//! line numbers is the caller's work; every [`Mistake`] carries the path of what it is about.

mod changes;
mod menus;
mod paying;
mod smpp;

use facts::capacity::Capacity;
use facts::fraud::FraudLimits;
use facts::manners::Dtmf;
use facts::media::Record;
use facts::policy::{AtMost, Pattern, Service};
use facts::pool::Pool;
use facts::template::Part;
use facts::{Hours, NextHop, NumberPlan};
use serde::{Deserialize, Serialize};

pub use paying::{
    HookFields, PaymentGateway, Sms, SmsAccount, SmsHook, SmsKeyword, SmsLine, UssdOwner,
};

use crate::rows::{CdrTypes, CdrVersion, HexCase, MerchantStatus, StateMethod, UnknownAs};

pub use changes::{Act, Change, Changes, Mistake};
pub use menus::UssdCode;
pub use smpp::SmppLink;

/// The whole file. Objects that are named are created or brought up to date. What is not named stays, except:
/// a tariff's rates, and the list of routes when there is one, are taken as complete; and with `prune` every
/// kind that occurs in the file is complete.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Desired {
    /// Installation-wide settings.
    pub settings: Option<Settings>,
    /// Remove objects of a kind that occurs in this file when the file does not name them.
    pub prune: bool,
    /// Tariffs.
    pub tariffs: Vec<Tariff>,
    /// Merchants.
    pub merchants: Vec<Merchant>,
    /// Sub-accounts.
    pub sub_accounts: Vec<SubAccount>,
    /// Extensions.
    pub extensions: Vec<Extension>,
    /// Groups of extensions.
    pub groups: Vec<Group>,
    /// Trunks.
    pub trunks: Vec<Trunk>,
    /// Routes; complete when not empty.
    pub routes: Vec<Route>,
    /// Inbound numbers.
    pub inbound: Vec<Inbound>,
    /// Top-ups; each is booked once.
    pub top_ups: Vec<TopUp>,
    /// Accounts of system 001.
    pub ytx_accounts: Vec<YtxAccount>,
    /// Apps of system 001.
    pub ytx_apps: Vec<YtxApp>,
    /// Companies of system 002.
    pub companies: Vec<Company>,
    /// Templates of notices.
    pub templates: Vec<Template>,
    /// Lists of numbers that policies name.
    pub number_lists: Vec<NumberList>,
    /// Which numbers may be rung, when and how often.
    pub policies: Vec<Policy>,
    /// Codes of menus that merchants' pages say.
    pub ussd_codes: Vec<UssdCode>,
    /// Who may ask what was paid (system 003).
    pub ussd_owners: Vec<UssdOwner>,
    /// Where invoices are paid.
    pub payment_gateways: Vec<PaymentGateway>,
    /// Lines to networks by SMPP.
    pub smpp_links: Vec<SmppLink>,
    /// By which short messages leave.
    pub sms: Option<Sms>,
    /// Who may send messages by the vendor's doors.
    pub sms_accounts: Vec<SmsAccount>,
    /// What is written to which numbers, and whose it is.
    pub sms_keywords: Vec<SmsKeyword>,
    /// Where gateways tell what came in, and what became of what left.
    pub sms_hooks: Vec<SmsHook>,
}

/// Installation-wide settings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Digest realm and SIP domain.
    pub realm: String,
    /// Home country code, e.g. `86`.
    #[serde(default = "country")]
    pub country: String,
    /// What stands before a national number.
    #[serde(default = "trunk_prefix")]
    pub trunk_prefix: String,
    /// What stands before a country code.
    #[serde(default = "international_prefix")]
    pub international_prefix: String,
    /// Longest short code.
    #[serde(default = "short_max")]
    pub short_max: usize,
    /// Where the hours of routes are read: an IANA name.
    #[serde(default = "time_zone")]
    pub time_zone: String,
}

impl Settings {
    /// How numbers are read.
    #[must_use]
    pub fn plan(&self) -> NumberPlan {
        NumberPlan {
            country: self.country.clone(),
            trunk_prefix: self.trunk_prefix.clone(),
            international_prefix: self.international_prefix.clone(),
            short_max: self.short_max,
        }
    }
}

/// A price list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    /// Unique name.
    pub name: String,
    /// Currency, e.g. `CNY`.
    #[serde(default = "currency")]
    pub currency: String,
    /// Decimals a charge is rounded to, 0 to 6.
    #[serde(default = "decimals")]
    pub decimals: u8,
    /// Its rates, complete.
    #[serde(default)]
    pub rates: Vec<Rate>,
}

/// One row of a tariff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// `8613` (E.164 digits), `=8613800138000` (that number only), `short:10086`, `internal`, or `*`.
    pub prefix: String,
    /// Price of a minute.
    pub per_minute: String,
    /// Price of a minute within the first interval; the same when absent.
    #[serde(default)]
    pub first_per_minute: Option<String>,
    /// First interval, seconds.
    #[serde(default = "minute")]
    pub initial: u32,
    /// Further intervals, seconds.
    #[serde(default = "minute")]
    pub next: u32,
    /// Charged once for an answered leg.
    #[serde(default = "zero")]
    pub connect_fee: String,
    /// An answered leg costs at least this.
    #[serde(default = "zero")]
    pub minimum: String,
    /// Seconds from the answer that cost nothing.
    #[serde(default)]
    pub free_seconds: u32,
}

/// A merchant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// Login name.
    pub name: String,
    /// Signing key of system 000; without one the merchant cannot use that system.
    #[serde(default)]
    pub key: Option<String>,
    /// Login password; kept as it is when absent. Stored as a salted hash.
    #[serde(default)]
    pub password: Option<String>,
    /// Whether it may do business.
    #[serde(default)]
    pub status: MerchantStatus,
    /// Currency of its balance. Cannot be changed later.
    #[serde(default = "currency")]
    pub currency: String,
    /// `zh`, `en` or `fa`.
    #[serde(default = "language")]
    pub language: String,
    /// Name of its tariff.
    #[serde(default)]
    pub tariff: Option<String>,
    /// How far below zero the balance may go.
    #[serde(default = "zero")]
    pub credit: String,
    /// Live calls at most.
    #[serde(default)]
    pub max_calls: Option<u32>,
    /// New calls per second at most.
    #[serde(default)]
    pub calls_per_second: Option<u32>,
    /// Longest talk time, seconds.
    #[serde(default = "hour")]
    pub max_talk: u32,
    /// Caller id for legs that name none.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// Whether calls that it asks for are recorded.
    #[serde(default)]
    pub record: Record,
    /// Networks requests may come from; empty means any.
    #[serde(default)]
    pub allowed_ips: Vec<String>,
    /// Hex case of the signatures we send.
    #[serde(default)]
    pub hex_case: HexCase,
    /// May leg A be a public number?
    #[serde(default)]
    pub pstn_caller: bool,
    /// It tries things out: its calls outside go to a simulated far end. Its currency is then XTS, and nobody else's
    /// is: that is what is kept of it.
    #[serde(default)]
    pub sandbox: bool,
    /// Limits against toll fraud.
    #[serde(default)]
    pub fraud: FraudLimits,
    /// How many calls it may have.
    #[serde(default)]
    pub capacity: Capacity,
    /// Numbers that its calls show where they name none.
    #[serde(default)]
    pub pool: Option<Pool>,
}

/// A sub-account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubAccount {
    /// Name of the merchant it belongs to.
    pub merchant: String,
    /// Unique within the merchant.
    pub name: String,
    /// Real name.
    #[serde(default)]
    pub realname: String,
    /// E-mail.
    #[serde(default)]
    pub email: String,
    /// May call and be called.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Limits against toll fraud.
    #[serde(default)]
    pub fraud: FraudLimits,
    /// How many calls it may have.
    #[serde(default)]
    pub capacity: Capacity,
}

/// An internal number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// 5 to 10 digits, not starting with 0; also the SIP user name.
    pub number: String,
    /// Name of the merchant it belongs to.
    pub merchant: String,
    /// Name of the sub-account it belongs to.
    #[serde(default)]
    pub sub_account: Option<String>,
    /// SIP password; required for a new extension, kept as it is when absent.
    #[serde(default)]
    pub password: Option<String>,
    /// May register and be rung.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Public number that rings when no contact is registered.
    #[serde(default)]
    pub bound_phone: Option<String>,
    /// Contacts at most.
    #[serde(default = "contacts")]
    pub max_contacts: u32,
    /// Limits against toll fraud.
    #[serde(default)]
    pub fraud: FraudLimits,
    /// How many calls it may have.
    #[serde(default)]
    pub capacity: Capacity,
    /// What becomes of calls to it; kept as it is when absent.
    #[serde(default)]
    pub reach: Option<Reach>,
    /// How its phones take keys; as all phones do when absent.
    #[serde(default)]
    pub dtmf: Option<Dtmf>,
    /// Whether calls that it is in are recorded, whoever begins them.
    #[serde(default)]
    pub record: Record,
}

/// What becomes of calls to an extension. Where one says where they go, it names an extension, a group or a
/// public number.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// Its phones are not rung: it is busy.
    pub dnd: bool,
    /// Where all its calls go.
    pub always: Option<String>,
    /// Where calls go that find it busy, are rejected, or find it not to be disturbed.
    pub busy: Option<String>,
    /// Where calls go that it does not answer in time.
    pub no_answer: Option<String>,
    /// Seconds for which it rings before they do.
    pub no_answer_s: Option<u32>,
    /// Where calls go when none of its phones can be reached.
    pub unreachable: Option<String>,
}

/// A group of extensions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// 5 to 10 digits, not starting with 0; not the number of an extension.
    pub number: String,
    /// Name of the merchant it belongs to.
    pub merchant: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// May be rung.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whom it offers a call first.
    #[serde(default)]
    pub strategy: facts::Strategy,
    /// Numbers of extensions of the same merchant, in order.
    pub members: Vec<String>,
    /// Seconds for which a member rings.
    #[serde(default = "ring")]
    pub ring: u32,
    /// Seconds after which a call that nobody took is given up.
    #[serde(default = "minute")]
    pub timeout: u32,
    /// Where a call goes that nobody took: an extension, another group or a public number.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// Whether calls to it are recorded.
    #[serde(default)]
    pub record: Record,
}

/// A carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// Unique name.
    pub name: String,
    /// Where requests to it go: `address:port`, a name, or `name:port`.
    pub target: NextHop,
    /// `udp`, `tcp` or `tls`.
    #[serde(default = "udp", deserialize_with = "carrier_transport")]
    pub transport: facts::settings::Transport,
    /// Addresses, networks or names its requests come from; the target when empty.
    #[serde(default)]
    pub peers: Vec<String>,
    /// In use.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Domain for From and Request-URI.
    #[serde(default)]
    pub domain: String,
    /// Digest user for its challenges.
    #[serde(default)]
    pub user: Option<String>,
    /// Digest password.
    #[serde(default)]
    pub password: Option<String>,
    /// The realm they are used for.
    #[serde(default)]
    pub realm: Option<String>,
    /// How numbers are written to it.
    #[serde(default)]
    pub numbers: facts::settings::NumberFormat,
    /// Codecs, best first: `pcma`, `pcmu`.
    #[serde(default = "codecs")]
    pub codecs: Vec<String>,
    /// Legs at most.
    #[serde(default)]
    pub max_calls: Option<u32>,
    /// INVITEs per second at most.
    #[serde(default)]
    pub calls_per_second: Option<u32>,
    /// What few carriers need.
    #[serde(default)]
    pub options: facts::settings::TrunkOptions,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Digits the number starts with; empty matches everything.
    #[serde(default)]
    pub prefix: String,
    /// Name of the trunk.
    pub trunk: String,
    /// Lower is tried first.
    #[serde(default = "priority")]
    pub priority: u16,
    /// Share of the calls among routes of the same priority and cost, from 1.
    #[serde(default = "weight")]
    pub weight: u16,
    /// What a minute costs us; the cheaper route of a priority is tried first.
    #[serde(default)]
    pub cost: Option<String>,
    /// When it may be used, e.g. `["mon-fri 08:00-20:00", "sat 10:00-14:00"]`; always when empty.
    #[serde(default)]
    pub hours: Vec<String>,
}

/// An inbound number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// The public number.
    pub number: String,
    /// The extension or the group it leads to.
    pub extension: String,
    /// How many calls it may have.
    #[serde(default)]
    pub capacity: Capacity,
    /// Whether its calls are recorded.
    #[serde(default)]
    pub record: Record,
    /// Whether it is a privacy number: it rings nobody but whom a binding names.
    #[serde(default)]
    pub axb: bool,
}

/// Money received. Booked once per merchant and id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// The payer's own id, e.g. a bank reference.
    pub id: String,
    /// Name of the merchant.
    pub merchant: String,
    /// Amount in the merchant's currency.
    pub amount: String,
    /// Words for the ledger.
    #[serde(default)]
    pub note: String,
}

/// An account of system 001.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YtxAccount {
    /// `accountSID`.
    pub sid: String,
    /// `authToken`.
    pub auth_token: String,
    /// Name of the merchant.
    pub merchant: String,
    /// False answers -201.
    #[serde(default = "yes")]
    pub active: bool,
}

/// How a callback address is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackMode {
    /// `Call` and `CallState` are appended.
    #[default]
    Suffix,
    /// As it stands.
    Plain,
    /// `callback_url` for CDRs, `state_url` for states.
    Two,
}

/// An app of a 001 account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YtxApp {
    /// `appid`.
    pub appid: String,
    /// `accountSID` of its account.
    pub account: String,
    /// Offline answers -205.
    #[serde(default = "yes")]
    pub online: bool,
    /// Enabled functions.
    #[serde(default = "functions")]
    pub functions: Vec<String>,
    /// Numbers it may show; the first is the default.
    #[serde(default)]
    pub callers: Vec<String>,
    /// Where pushes go; nothing is sent without one.
    #[serde(default)]
    pub callback_url: Option<String>,
    /// Where states go in mode `two`.
    #[serde(default)]
    pub state_url: Option<String>,
    /// How the address is used.
    #[serde(default)]
    pub callback_mode: CallbackMode,
    /// How numbers are typed in CDR pushes.
    #[serde(default)]
    pub cdr_types: CdrTypes,
    /// What an unrecognised outcome is called.
    #[serde(default)]
    pub unknown_as: UnknownAs,
    /// Networks requests may come from; empty means any.
    #[serde(default)]
    pub allowed_ips: Vec<String>,
    /// Whether its calls are recorded.
    #[serde(default)]
    pub record: Record,
    /// The language in which its codes are said; its merchant's when it is not given.
    #[serde(default)]
    pub language: Option<String>,
    /// Whether the records of its codes tell what became of them.
    #[serde(default = "yes")]
    pub code_state: bool,
}

/// A company of system 002.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Company {
    /// `companycode`.
    pub companycode: String,
    /// What it is called; `companycode` when it is not given.
    #[serde(default)]
    pub name: Option<String>,
    /// `appid`.
    pub appid: String,
    /// `accesskey`.
    pub accesskey: String,
    /// Name of the merchant.
    pub merchant: String,
    /// Where CDRs go.
    #[serde(default)]
    pub cdr_url: Option<String>,
    /// Where extension states go.
    #[serde(default)]
    pub state_url: Option<String>,
    /// In use.
    #[serde(default = "yes")]
    pub active: bool,
    /// The language that it is answered in; its merchant's when it is not given.
    #[serde(default)]
    pub language: Option<String>,
    /// Networks requests may come from; empty means any.
    #[serde(default)]
    pub allowed_ips: Vec<String>,
    /// When its authorization ends, Beijing time: `yyyy-MM-dd`, which is midnight, or `yyyy-MM-dd HH:mm:ss`.
    #[serde(default)]
    pub expires: Option<String>,
    /// What it may ask for; empty means everything.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Numbers it may show; any of them where none is asked for.
    #[serde(default)]
    pub callers: Vec<String>,
    /// Whether its calls are recorded.
    #[serde(default)]
    pub record: Record,
    /// A `customuuid` is taken once: the same request again is the same call.
    #[serde(default)]
    pub dedupe_customuuid: bool,
    /// The form of its records.
    #[serde(default)]
    pub cdr_version: CdrVersion,
    /// `method` of states of extensions.
    #[serde(default)]
    pub state_method: StateMethod,
}

/// A template of notices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// `templateId` of system 001; unique within the merchant.
    pub id: String,
    /// Name of the merchant it belongs to.
    pub merchant: String,
    /// `zh`, `en` or `fa`; that of the app, or of the merchant, when absent.
    #[serde(default)]
    pub language: Option<String>,
    /// What is said, one behind the other.
    pub parts: Vec<Part>,
    /// Keys that are taken at most where a request wants them.
    #[serde(default = "one_key")]
    pub keys: u8,
}

/// Numbers that have something in common.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberList {
    /// Unique name.
    pub name: String,
    /// Public numbers.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// A text with more of them, one a line; whoever reads the file reads it too, and puts its numbers in place of it.
    #[serde(default)]
    pub file: Option<String>,
    /// First digits of E.164.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// What numbers look like: `8613?0000*`, `same:6`, `rising:6`.
    #[serde(default)]
    pub patterns: Vec<Pattern>,
}

impl NumberList {
    /// The numbers of a text: one a line; what follows a comma, a semicolon, a tab or a `#` is a remark.
    pub fn lines(text: &str) -> impl Iterator<Item = &str> {
        let text = text.trim_start_matches('\u{feff}');
        let number = |line: &'_ str| line.find([',', ';', '\t', '#']).unwrap_or(line.len());
        text.lines().map(move |line| line[..number(line)].trim()).filter(|line| !line.is_empty())
    }
}

/// Which numbers may be rung, when and how often.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Unique name: it stands in the log where a call was refused for it.
    pub name: String,
    /// In force.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Names of merchants whose calls it is about; everybody's when empty.
    #[serde(default)]
    pub merchants: Vec<String>,
    /// Apps of system 001 and companies of system 002; all when empty.
    #[serde(default)]
    pub apps: Vec<String>,
    /// What for; everything when empty.
    #[serde(default)]
    pub services: Vec<Service>,
    /// It is about numbers that begin so; about all when empty.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Names of lists: their numbers are not rung.
    #[serde(default)]
    pub block: Vec<String>,
    /// Names of lists: no other numbers are rung.
    #[serde(default)]
    pub only: Vec<String>,
    /// Names of lists: their numbers it is not about.
    #[serde(default)]
    pub except: Vec<String>,
    /// When they may be rung; always when empty.
    #[serde(default)]
    pub hours: Hours,
    /// When they may not, within those hours.
    #[serde(default)]
    pub closed: Hours,
    /// Where these are read; where those of routes are when absent.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// How often the same number may be rung.
    #[serde(default)]
    pub at_most: Vec<AtMost>,
    /// Whether the calls of all merchants to a number are counted together.
    #[serde(default)]
    pub together: bool,
}

fn one_key() -> u8 {
    1
}
fn one_unit() -> u64 {
    1
}
fn yes() -> bool {
    true
}
fn minute() -> u32 {
    60
}
fn ring() -> u32 {
    20
}
fn hour() -> u32 {
    3600
}
fn contacts() -> u32 {
    5
}
fn priority() -> u16 {
    100
}
fn weight() -> u16 {
    1
}
fn time_zone() -> String {
    "Asia/Shanghai".into()
}
fn decimals() -> u8 {
    4
}
fn short_max() -> usize {
    6
}
fn zero() -> String {
    "0".into()
}
fn currency() -> String {
    "CNY".into()
}
fn language() -> String {
    "zh".into()
}
fn country() -> String {
    "86".into()
}
fn trunk_prefix() -> String {
    "0".into()
}
fn international_prefix() -> String {
    "00".into()
}
fn udp() -> facts::settings::Transport {
    facts::settings::Transport::Udp
}
/// The words for carriers: what a phone in a browser speaks is not offered.
fn carrier_transport<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<facts::settings::Transport, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Udp,
        Tcp,
        Tls,
    }
    Ok(match Word::deserialize(from)? {
        Word::Udp => facts::settings::Transport::Udp,
        Word::Tcp => facts::settings::Transport::Tcp,
        Word::Tls => facts::settings::Transport::Tls,
    })
}
fn codecs() -> Vec<String> {
    vec!["pcma".into(), "pcmu".into()]
}
fn functions() -> Vec<String> {
    vec!["call".into(), "account".into()]
}
