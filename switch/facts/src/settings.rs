//! What the operator configured, as the engine reads it: one immutable, versioned snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::capacity::{Capacity, Holder};
use crate::carrier::{Probe, Registration};
use crate::fraud::{FraudLimits, Scope};
use crate::group::{Group, Reach};
use crate::hours::{Hours, Zone};
use crate::id::{MerchantId, SubAccountId, TrunkId};
use crate::manners::{
    AnswerRule, Dtmf, EarlyMedia, HeaderRule, KnownBy, Quirks, Reinvite, Rewrite, SessionTimer,
};
use crate::media::{Codec, Record};
use crate::money::Micros;
use crate::next_hop::NextHop;
use crate::number::NumberPlan;
use crate::policy::Policy;
use crate::pool::Pool;
use crate::srtp::Protection;
use crate::ussd::{Code, Dialled};

/// Everything the engine needs to know to admit, route and place calls. Swapped whole, between steps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Rises with every change in the store.
    pub version: u64,
    /// Digest realm and domain of the extensions.
    pub realm: String,
    /// How numbers are written at home.
    pub plan: NumberPlan,
    /// Where the hours of routes are read.
    pub zone: Zone,
    /// By row id.
    pub merchants: BTreeMap<MerchantId, Merchant>,
    /// By user name, which is also the internal number.
    pub extensions: BTreeMap<String, Extension>,
    /// By internal number, which no extension has.
    pub groups: BTreeMap<String, Group>,
    /// By row id.
    pub trunks: BTreeMap<TrunkId, Trunk>,
    /// Longest prefix wins, then as [`Route`] says.
    pub routes: Vec<Route>,
    /// Inbound numbers (E.164 digits) and the extension or group each leads to.
    pub inbound: BTreeMap<String, String>,
    /// The other way round, by [`Snapshot::index`]: of the numbers that lead to somebody, the first.
    pub direct: BTreeMap<String, String>,
    /// Those of them by which two people reach each other (AXB): who calls one is joined to whom a binding names, and
    /// to nobody else.
    pub axb: BTreeSet<String>,
    /// Menus that pages of merchants say, by what is dialled for them.
    pub ussd: BTreeMap<Dialled, Arc<Code>>,
    /// Numbers that short messages may be written to, by their digits.
    pub texts: BTreeSet<String>,
    /// Limits against toll fraud, of those who have any.
    pub fraud: BTreeMap<Scope, FraudLimits>,
    /// How many calls somebody may have, of those who are limited so.
    pub capacity: BTreeMap<Holder, Capacity>,
    /// Numbers that calls of merchants show that name none.
    pub pools: BTreeMap<MerchantId, Pool>,
    /// Extensions, groups and inbound numbers whose calls are recorded.
    pub recorded: BTreeMap<Recorded, Record>,
    /// Which numbers may be rung, when and how often; by name.
    pub policies: Vec<Policy>,
    /// Merchants that try things out: no call of theirs goes to a carrier.
    pub sandboxes: BTreeSet<MerchantId>,
    /// The trunk that leads to the far end that is simulated for them; nothing while there is none, and then their calls
    /// outside fail.
    pub sandbox: Option<TrunkId>,
}

impl Snapshot {
    /// Whether a merchant's calls outside go to the simulated far end and nowhere else.
    #[must_use]
    pub fn is_sandbox(&self, merchant: MerchantId) -> bool {
        self.sandboxes.contains(&merchant)
    }

    /// Makes what is found by `inbound` read the other way round; to be called when that is whole.
    pub fn index(&mut self) {
        let turned = |(number, to): (&String, &String)| (to.clone(), number.clone());
        // Of several the last one counts: so the first does.
        self.direct = self.inbound.iter().rev().map(turned).collect();
    }

    /// Whose an inbound number is (E.164 digits): the merchant of the extension or the group that it leads to.
    #[must_use]
    pub fn inbound_owner(&self, number: &str) -> Option<MerchantId> {
        let to = self.inbound.get(number)?;
        let extension = self.extensions.get(to).map(|extension| extension.merchant);
        extension.or_else(|| self.groups.get(to).map(|group| group.merchant))
    }
}

/// Whose calls are recorded, whoever began them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Recorded {
    /// An extension or a group, by its number.
    Internal(String),
    /// An inbound number, E.164 digits.
    Inbound(String),
}

/// A merchant's limits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Merchant {
    /// Login name, system 000's `username`.
    pub name: String,
    /// Approved and not frozen.
    pub enabled: bool,
    /// Live calls at most; `None` is unlimited.
    pub max_calls: Option<u32>,
    /// New calls per second at most; `None` is unlimited.
    pub calls_per_second: Option<u32>,
    /// Longest talk time.
    pub max_talk: Duration,
    /// Language of the prompts its parties hear.
    pub language: String,
    /// Caller id for legs that name none (E.164 digits).
    pub shown: Option<String>,
}

/// An extension: somebody who registers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extension {
    /// Whose.
    pub merchant: MerchantId,
    /// The sub-account it is, if any.
    pub sub_account: Option<SubAccountId>,
    /// May register and be rung.
    pub enabled: bool,
    /// MD5(user:realm:password), lower-case hex (RFC 7616 §3.4.2).
    pub ha1_md5: String,
    /// SHA-256 of the same.
    pub ha1_sha256: String,
    /// Public number that rings when no contact is registered (spec §2.4), E.164 digits.
    pub bound_phone: Option<String>,
    /// Contacts at most.
    pub max_contacts: u32,
    /// What becomes of calls to it.
    pub reach: Reach,
    /// How its phones take keys; `None`: as all phones do.
    #[serde(default)]
    pub dtmf: Option<Dtmf>,
}

/// A carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trunk {
    /// Unique name.
    pub name: String,
    /// In use.
    pub enabled: bool,
    /// Addresses that its requests come from.
    pub peers: Vec<IpNet>,
    /// Names whose addresses its requests come from.
    pub peer_names: Vec<String>,
    /// Where requests to it go.
    pub target: NextHop,
    /// `udp`, `tcp` or `tls`.
    pub transport: Transport,
    /// Domain for From and Request-URI; empty uses the addresses.
    pub domain: String,
    /// Digest user and password for its challenges; `None` when it knows us by address.
    pub credentials: Option<TrunkCredentials>,
    /// How numbers are written to it.
    pub numbers: NumberFormat,
    /// Codecs offered, best first.
    pub codecs: Vec<Codec>,
    /// Legs at most; `None` is unlimited.
    pub max_calls: Option<u32>,
    /// INVITEs per second at most; `None` is unlimited.
    pub calls_per_second: Option<u32>,
    /// What few carriers need.
    #[serde(default)]
    pub options: TrunkOptions,
}

/// Settings of a trunk that most leave as they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkOptions {
    /// Who its TLS certificate must be for (RFC 5922 §7.2): a domain, without wildcard. Empty: its
    /// `domain`, or without one the name or address of its target.
    pub tls_peer_name: String,
    /// Calls are taken from it only over TLS with a certificate for that name. Its `peers` may then be
    /// any address.
    pub mtls: bool,
    /// We register there; calls go there only while we are.
    pub register: Option<Registration>,
    /// We watch whether it is there; calls go there only while it is.
    pub probe: Option<Probe>,
    /// How it is told who calls, beside From (RFC 3325).
    pub identity: Identity,
    /// What it says of callers beside From is not believed: identities that it asserts, diversions. What
    /// others keep private is not told to it.
    pub untrusted: bool,
    /// Whoever calls a code of a menu (`*6655*123#`) by it is led to that menu, where it asserts his number.
    pub menus: bool,
    /// The transport is what the name of its target offers (RFC 3263 §4.1); `transport` is preferred
    /// where the name does not say, and with `tls` nothing else is used.
    pub naptr: bool,
    /// Milliseconds within which an address of it says anything at all to an INVITE, or the next one is
    /// tried. `None`: as for every next hop.
    pub response_ms: Option<u32>,
    /// How numbers are written to it and read from it.
    pub rewrite: Vec<Rewrite>,
    /// How headers of INVITEs to it are changed, in order.
    pub headers: Vec<HeaderRule>,
    /// What its answers mean. The first that names a status counts.
    pub answers: Vec<AnswerRule>,
    /// What becomes of the sound that it sends before the answer.
    pub early_media: EarlyMedia,
    /// It is asked for reliable provisional answers (RFC 3262); `None`: as everybody is.
    pub reliable: Option<bool>,
    /// Legs of calls that it sends at most; `None` is as many as `max_calls`.
    pub max_calls_in: Option<u32>,
    /// Legs of calls that go there at most; `None` is as many as `max_calls`.
    pub max_calls_out: Option<u32>,
    /// INVITEs per second from it at most; `None` is unlimited.
    pub calls_per_second_in: Option<u32>,
    /// How many calls it may send, by the clock and over a while, beside the limits above.
    pub capacity_in: Capacity,
    /// How many may go there.
    pub capacity_out: Capacity,
    /// By what it is told from other carriers at the same addresses.
    pub known_by: Option<KnownBy>,
    /// Its INVITEs have to answer a challenge of our realm with its `user` and `password`.
    pub challenge: bool,
    /// Milliseconds after which whoever calls hears of ringing although it has said nothing of it.
    pub fake_180_ms: Option<u32>,
    /// Ringing that comes after sound is passed on; or else the sound goes on and nothing is said.
    pub pass_180_after_183: bool,
    /// What becomes of its offers, and of offers for it, in calls that are up; `None`: as everywhere.
    pub reinvite: Option<Reinvite>,
    /// It may transfer calls by REFER; `None`: as everywhere.
    pub transfer: Option<bool>,
    /// Header fields of a caller's INVITE that go on: from it to whoever is rung, and from whoever calls to
    /// it. Between two carriers both have to name one.
    pub transit: Vec<String>,
    /// URIs of numbers bear `user=phone` (RFC 3261 §19.1.1).
    pub user_phone: bool,
    /// Domain of From and of asserted identities, where that is another than `domain`.
    pub from_domain: String,
    /// Numbers that it is shown: in place of the call's own where it takes no others, else where the call
    /// and its merchant have none.
    pub pool: Option<Pool>,
    /// The session timer; `None`: as everywhere.
    pub session_timer: Option<SessionTimer>,
    /// Seconds without sound after which a leg on it is given up; `None`: as everywhere.
    pub rtp_timeout_s: Option<u32>,
    /// Milliseconds of sound that it is asked to put into a packet; `None`: 20.
    pub ptime_ms: Option<u16>,
    /// How keys reach it, and how they are taken from it.
    pub dtmf: Dtmf,
    /// Whether its sound is protected by SRTP, with keys in the descriptions (RFC 4568).
    pub srtp: Protection,
    /// Keys may be told to it over any transport, not over TLS alone.
    pub srtp_in_clear: bool,
    /// Whose tones it plays before an answer (ISO 3166, one of [`COUNTRIES`](crate::recognition::COUNTRIES)).
    /// Empty: as everywhere.
    pub tones: String,
    /// What it does otherwise than the standards say.
    pub quirks: Quirks,
    /// It is asked to say how much is too much (RFC 7339), and what it says is obeyed.
    pub overload_control: bool,
    /// Each 503 halves what it is given in a second, which then grows back by steps.
    pub throttle: bool,
}

/// How a caller is named to a carrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// In From alone. Whoever wants privacy is anonymous to the carrier as well.
    #[default]
    From,
    /// P-Asserted-Identity (RFC 3325 §9.1): it takes our word, and keeps private what it is asked to.
    Asserted,
    /// P-Preferred-Identity (RFC 3325 §9.2): it asserts who we are itself.
    Preferred,
}

impl TrunkOptions {
    /// Bounds of `response_ms`.
    pub const RESPONSE_MS: std::ops::RangeInclusive<u32> = 200..=32_000;
    /// Bounds of `fake_180_ms`.
    pub const FAKE_180_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
    /// Bounds of `rtp_timeout_s`.
    pub const RTP_TIMEOUT_S: std::ops::RangeInclusive<u32> = 5..=7_200;
    /// What `ptime_ms` may be.
    pub const PTIME_MS: [u16; 6] = [10, 20, 30, 40, 50, 60];
}

impl Trunk {
    /// The domain that its certificate must be for; empty when its address is.
    #[must_use]
    pub fn certified_name(&self) -> &str {
        let names = [self.options.tls_peer_name.as_str(), &self.domain];
        let said = names.into_iter().find(|name| !name.is_empty());
        // RFC 3263 §4.2, RFC 5922 §7.2: never what the DNS says instead of the name.
        said.or(self.target.host()).unwrap_or_default()
    }
}

/// Digest user and password towards a trunk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrunkCredentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// The only realm they are used for.
    pub realm: String,
}

/// Signalling transport.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 3261 §18 over UDP.
    Udp,
    /// RFC 3261 §18 over TCP.
    Tcp,
    /// The same over TLS (RFC 3261 §26.2.1).
    Tls,
    /// RFC 7118: a phone in a browser. No trunk has it.
    Ws,
    /// The same over TLS.
    Wss,
}

/// How a carrier wants numbers written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `+8613800138000`.
    #[default]
    PlusE164,
    /// `8613800138000`.
    E164,
    /// As dialled at home: `13800138000`, `01088888888`, `0044…`.
    National,
}

/// A route: numbers that start with `prefix` go to `trunk`. Among those of the longest prefix that are open and
/// whose trunk is in use, the lower priority is tried first, then the cheaper, then as the weights are drawn.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// E.164 digits or short code digits; empty matches everything.
    pub prefix: String,
    /// Where to.
    pub trunk: TrunkId,
    /// Lower is tried first among equal prefixes.
    pub priority: u16,
    /// Share of the calls among routes of the same priority and cost; at least 1.
    pub weight: u16,
    /// What a minute costs us, where that is known. A route of unknown cost comes after those of known cost.
    pub cost: Option<Micros>,
    /// When it may be used, by the clock of [`Snapshot::zone`].
    pub hours: Hours,
}

impl Route {
    /// A route that is always open, of weight 1 and unknown cost.
    #[must_use]
    pub fn new(prefix: &str, trunk: TrunkId, priority: u16) -> Route {
        let hours = Hours::default();
        Route { prefix: prefix.to_owned(), trunk, priority, weight: 1, cost: None, hours }
    }
}
