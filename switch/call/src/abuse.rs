//! Who knocks too often is not listened to for a while.
//!
//! Every source has an account of points that leaks; a request without credentials adds some, one with
//! wrong credentials more. Above a limit the source is banned: what it sends to open something is
//! dropped unread and unanswered, what belongs to a dialog of ours passes. Carriers and the allowed networks have
//! no account. A source from which somebody proved himself is given more room: a forged address must not
//! silence a phone easily (conformance F10).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use facts::ban::{Ban, Offence, Source};
use facts::{Now, UnixMillis};
use ipnet::IpNet;
use sip::wire::{HeaderName, Message};

use crate::event::Denial;

/// Sources that have an account at most, and bans at most.
const SOURCES_MAX: usize = 65_536;
/// An account leaks one point in this time.
const LEAK: Duration = Duration::from_secs(10);
/// Points are counted in thousandths.
const POINT: u64 = 1000;
/// Time between two looks through all accounts.
const SWEEP: Duration = Duration::from_secs(1);
/// So much more room has a source from which somebody proved himself.
const PROVED: u64 = 5;
/// For how long that is remembered, and the bans of a source.
const MEMORY: Duration = Duration::from_secs(86_400);
/// A ban is doubled with each that came before it, so often at most.
const DOUBLED_MAX: u32 = 6;

/// What well-known scanners call themselves.
const SCANNERS: [&str; 10] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sip-scan",
    "sipcli",
    "smap",
    "iwar",
    "vaxsipuseragent",
    "pplsip",
];

/// When somebody is banned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbuseLimits {
    /// How long the first ban of a source lasts; each that follows within a day, twice as long as the one
    /// before. Zero: nobody is banned.
    pub ban_time: Duration,
    /// Points at which a source is banned: a request with wrong credentials is one, one without any, half.
    pub points: u32,
    /// Networks that are never banned, besides those of the trunks. The machine itself by default: there a
    /// proxy in front of us would be.
    pub allow: Vec<IpNet>,
}

impl Default for AbuseLimits {
    fn default() -> Self {
        let itself = [IpAddr::from([127, 0, 0, 0]), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let allow =
            itself.into_iter().zip([8, 128]).filter_map(|(at, len)| IpNet::new(at, len).ok());
        AbuseLimits { ban_time: Duration::from_secs(600), points: 10, allow: allow.collect() }
    }
}

/// What is known of a source.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// Thousandths of points, as of `at`.
    points: u64,
    at: Instant,
    /// When somebody proved himself from there last.
    proved: Option<Instant>,
    /// Bans so far, and when the last one ended.
    bans: u32,
    free: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Banned {
    until: Instant,
    ban: Ban,
}

/// All accounts and bans.
#[derive(Debug)]
pub(crate) struct Abuse {
    limits: AbuseLimits,
    accounts: BTreeMap<Source, Account>,
    bans: BTreeMap<Source, Banned>,
    dropped: u64,
    /// When accounts were looked through last.
    swept: Option<Instant>,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Passage {
    Passes,
    Dropped,
    /// Dropped, and its sender banned for it.
    Banned(Ban),
}

impl Abuse {
    pub(crate) fn new(limits: AbuseLimits) -> Abuse {
        Abuse { limits, accounts: BTreeMap::new(), bans: BTreeMap::new(), dropped: 0, swept: None }
    }

    /// False when nobody is ever banned.
    pub(crate) fn is_on(&self) -> bool {
        !self.limits.ban_time.is_zero()
    }

    /// Whether this source has no account.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.limits.allow.iter().any(|net| net.contains(&address))
    }

    /// Looks at a message before anybody else does. Not for those who have no account. `belongs` tells
    /// whether a message belongs to what is here already.
    pub(crate) fn look(
        &mut self,
        now: Now,
        source: Source,
        bytes: &bytes::Bytes,
        belongs: impl FnOnce(&Message) -> bool,
    ) -> Passage {
        let banned = self.bans.get(&source).is_some_and(|banned| banned.until > now.mono);
        if banned {
            if Message::parse(bytes.clone()).is_ok_and(|message| belongs(&message)) {
                return Passage::Passes;
            }
            self.dropped += 1;
            if let Some(banned) = self.bans.get_mut(&source) {
                banned.ban.dropped += 1;
            }
            return Passage::Dropped;
        }
        let known = self.accounts.get(&source).is_some_and(|account| account.is_proved(now.mono));
        if known || !is_scanner(bytes) {
            return Passage::Passes;
        }
        self.dropped += 1;
        match self.ban(now, source, Offence::Scanner) {
            Some(ban) => Passage::Banned(ban),
            None => Passage::Dropped,
        }
    }

    /// Somebody without credentials asked for something.
    pub(crate) fn knocked(&mut self, now: Now, source: Source) -> Option<Ban> {
        // Every phone begins so.
        let known = self.accounts.get(&source).is_some_and(|account| account.is_proved(now.mono));
        if known { None } else { self.charge(now, source, POINT / 2) }
    }

    /// Somebody was turned away.
    pub(crate) fn denied(&mut self, now: Now, source: Source, why: Denial) -> Option<Ban> {
        let points = match why {
            Denial::UnknownUser
            | Denial::WrongPassword
            | Denial::Malformed
            | Denial::Replay
            | Denial::OtherUri
            | Denial::OtherUser => POINT,
            Denial::Stranger => 2 * POINT,
            // Done by people who proved who they are, or by a carrier.
            _ => return None,
        };
        self.charge(now, source, points)
    }

    /// Somebody proved himself.
    pub(crate) fn proved(&mut self, now: Now, source: Source) {
        if !self.is_on() || !self.has_room(now.mono, source) {
            return;
        }
        // It gives room and takes no points back: one good password must not pay for guessing others.
        let account = self.accounts.entry(source).or_insert_with(|| Account::new(now.mono));
        account.proved = Some(now.mono);
    }

    fn charge(&mut self, now: Now, source: Source, points: u64) -> Option<Ban> {
        if !self.is_on() || !self.has_room(now.mono, source) {
            return None;
        }
        let account = self.accounts.entry(source).or_insert_with(|| Account::new(now.mono));
        account.points = account.left(now.mono) + points;
        account.at = now.mono;
        let room = if account.is_proved(now.mono) { PROVED } else { 1 };
        let limit = u64::from(self.limits.points.max(1)) * POINT * room;
        if account.points < limit {
            return None;
        }
        account.points = 0;
        self.ban(now, source, Offence::Knocking)
    }

    fn ban(&mut self, now: Now, source: Source, offence: Offence) -> Option<Ban> {
        if self.bans.len() >= SOURCES_MAX {
            self.bans.retain(|_, banned| banned.until > now.mono);
        }
        if !self.is_on() || self.bans.len() >= SOURCES_MAX {
            return None;
        }
        let before = self.accounts.get(&source).map_or(0, |account| account.bans);
        let time = self.limits.ban_time * 2u32.pow(before.min(DOUBLED_MAX));
        let until = now.mono + time;
        let ban = Ban {
            source,
            offence,
            since: now.wall,
            until: UnixMillis(now.wall.0.saturating_add(millis(time))),
            times: before + 1,
            dropped: 0,
        };
        self.bans.insert(source, Banned { until, ban });
        if self.accounts.len() < SOURCES_MAX || self.accounts.contains_key(&source) {
            let account = self.accounts.entry(source).or_insert_with(|| Account::new(now.mono));
            account.bans = ban.times;
            account.free = Some(until);
        }
        Some(ban)
    }

    /// Takes a ban back; false when there is none.
    pub(crate) fn lift(&mut self, now: Instant, source: Source) -> bool {
        self.accounts.remove(&source);
        self.bans.remove(&source).is_some_and(|banned| banned.until > now)
    }

    /// The bans that hold, by source.
    pub(crate) fn list(&self, now: Instant) -> Vec<Ban> {
        self.bans.values().filter(|banned| banned.until > now).map(|banned| banned.ban).collect()
    }

    /// Messages dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether there is an account for this source, or room for one.
    fn has_room(&mut self, now: Instant, source: Source) -> bool {
        self.accounts.len() < SOURCES_MAX || self.accounts.contains_key(&source) || self.sweep(now)
    }

    /// Forgets who has nothing to be remembered for, not too often: a flood from many addresses must not
    /// make one look for each of its messages. Whether there is room now.
    fn sweep(&mut self, now: Instant) -> bool {
        if self.swept.is_some_and(|at| now.saturating_duration_since(at) < SWEEP) {
            return false;
        }
        self.swept = Some(now);
        self.accounts.retain(|_, account| account.counts(now));
        self.accounts.len() < SOURCES_MAX
    }
}

impl Account {
    fn new(at: Instant) -> Account {
        Account { points: 0, at, proved: None, bans: 0, free: None }
    }

    fn left(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_millis();
        let leaked = passed * u128::from(POINT) / LEAK.as_millis();
        self.points.saturating_sub(u64::try_from(leaked).unwrap_or(u64::MAX))
    }

    fn is_proved(&self, now: Instant) -> bool {
        self.proved.is_some_and(|at| now.saturating_duration_since(at) < MEMORY)
    }

    fn counts(&self, now: Instant) -> bool {
        let banned = self.free.is_some_and(|free| now.saturating_duration_since(free) < MEMORY);
        banned || self.is_proved(now) || self.left(now) > 0
    }
}

fn is_scanner(bytes: &bytes::Bytes) -> bool {
    let Ok(message) = Message::parse(bytes.clone()) else { return false };
    let Some(agent) = message.header_str(HeaderName::UserAgent) else { return false };
    let agent = agent.to_ascii_lowercase();
    SCANNERS.iter().any(|scanner| agent.contains(scanner))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;
    use bytes::Bytes;

    /// A look at what belongs to nothing.
    fn look(abuse: &mut Abuse, now: Now, source: Source, bytes: &Bytes) -> Passage {
        abuse.look(now, source, bytes, |_| false)
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn at(seconds: u64) -> Now {
        let begun = start();
        Now { mono: begun.mono + Duration::from_secs(seconds), wall: begun.wall }
    }

    fn request(method: &str, agent: &str, to: &str) -> Bytes {
        Bytes::from(format!(
            "{method} sip:100@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKx\r\n\
             From: <sip:100@198.51.100.1>;tag=a\r\nTo: <sip:100@198.51.100.1>{to}\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    #[test]
    fn f10_a_source_that_guesses_is_banned_within_twenty_requests_and_freed_again() {
        let start = start();
        let mut abuse = Abuse::new(AbuseLimits::default());
        let svwar = source("203.0.113.9");
        let knocks = (1..).find(|_| abuse.knocked(start, svwar).is_some()).unwrap();
        assert!(knocks <= 20, "{knocks}");
        let svcrack = source("203.0.113.10");
        let wrong = |abuse: &mut Abuse| abuse.denied(start, svcrack, Denial::WrongPassword);
        let guesses = (1..).find(|_| wrong(&mut abuse).is_some()).unwrap();
        assert!(guesses <= 10, "{guesses}");
        let invite = request("INVITE", "Zoiper", "");
        assert_eq!(look(&mut abuse, start, svwar, &invite), Passage::Dropped);
        assert_eq!(look(&mut abuse, start, source("203.0.113.11"), &invite), Passage::Passes);
        assert_eq!((abuse.list(start.mono).len(), abuse.list(start.mono)[1].dropped), (2, 0));
        let later = Now { mono: start.mono + Duration::from_secs(600), ..start };
        assert_eq!(look(&mut abuse, later, svwar, &invite), Passage::Passes);
        assert!(abuse.list(later.mono).is_empty());
    }

    #[test]
    fn f10_a_scanner_by_name_hears_nothing_from_its_first_request_on() {
        let now = start();
        for agent in ["friendly-scanner", "sipvicious 0.3", "SIPCLI/v1.8", "VaxSIPUserAgent/3.1"] {
            let mut abuse = Abuse::new(AbuseLimits::default());
            let scanner = source("203.0.113.9");
            let options = request("OPTIONS", agent, "");
            let passage = look(&mut abuse, now, scanner, &options);
            assert!(matches!(passage, Passage::Banned(ban) if ban.offence == Offence::Scanner));
            assert_eq!(look(&mut abuse, now, scanner, &options), Passage::Dropped);
        }
    }

    #[test]
    fn a_banned_source_keeps_the_dialogs_it_has() {
        let now = start();
        let mut abuse = Abuse::new(AbuseLimits::default());
        let who = source("203.0.113.9");
        look(&mut abuse, now, who, &request("OPTIONS", "sipvicious", ""));
        let ours = |message: &Message| message.to_tag().as_deref() == Some("ours");
        for (tag, passage) in
            [(";tag=ours", Passage::Passes), (";tag=b", Passage::Dropped), ("", Passage::Dropped)]
        {
            assert_eq!(abuse.look(now, who, &request("BYE", "x", tag), ours), passage, "{tag}");
        }
        let noise = Bytes::from_static(b"noise");
        assert_eq!(abuse.look(now, who, &noise, |_| true), Passage::Dropped);
    }

    #[test]
    fn points_leak_and_a_phone_that_mistypes_now_and_then_is_never_banned() {
        let mut abuse = Abuse::new(AbuseLimits::default());
        let begun = start();
        for n in 0..200u64 {
            let now = Now { mono: begun.mono + Duration::from_secs(n * 11), ..begun };
            assert!(abuse.denied(now, source("203.0.113.9"), Denial::WrongPassword).is_none());
        }
    }

    #[test]
    fn f10_an_office_whose_phones_are_known_may_all_start_at_once() {
        let now = start();
        let mut abuse = Abuse::new(AbuseLimits::default());
        let office = source("203.0.113.9");
        abuse.proved(now, office);
        for _ in 0..500 {
            assert!(abuse.knocked(now, office).is_none());
        }
        // A forged stream of wrong passwords needs more to silence it, but cannot go on for ever.
        let wrong = |abuse: &mut Abuse| abuse.denied(now, office, Denial::WrongPassword);
        let guesses = (1..).find(|_| wrong(&mut abuse).is_some()).unwrap();
        assert_eq!(guesses, 50);
    }

    #[test]
    fn one_good_password_does_not_pay_for_guessing_others() {
        let now = start();
        let mut abuse = Abuse::new(AbuseLimits::default());
        let who = source("203.0.113.9");
        let guesses = (1..).find(|_| {
            abuse.proved(now, who);
            abuse.denied(now, who, Denial::WrongPassword).is_some()
        });
        assert_eq!(guesses, Some(50));
    }

    #[test]
    fn each_ban_is_longer_and_one_that_is_taken_back_leaves_nothing() {
        let mut abuse = Abuse::new(AbuseLimits::default());
        let who = source("203.0.113.9");
        let scan = request("OPTIONS", "sipvicious", "");
        let mut now = at(0);
        let mut lengths = Vec::new();
        for _ in 0..9 {
            let Passage::Banned(ban) = look(&mut abuse, now, who, &scan) else {
                panic!("not banned")
            };
            let length = ban.until.since(ban.since);
            lengths.push(length.as_secs() / 600);
            now.mono += length;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        let Passage::Banned(_) = look(&mut abuse, now, who, &scan) else { panic!("not banned") };
        assert!(abuse.lift(now.mono, who) && !abuse.lift(now.mono, who));
        let Passage::Banned(ban) = look(&mut abuse, now, who, &scan) else { panic!("not banned") };
        assert_eq!(ban.times, 1);
    }

    #[test]
    fn without_a_ban_time_nobody_is_banned() {
        let now = start();
        let limits = AbuseLimits { ban_time: Duration::ZERO, ..AbuseLimits::default() };
        let mut abuse = Abuse::new(limits);
        for _ in 0..1000 {
            assert!(abuse.denied(now, source("203.0.113.9"), Denial::WrongPassword).is_none());
        }
        assert!(abuse.accounts.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_of_those_who_are_forgotten() {
        let mut abuse = Abuse::new(AbuseLimits::default());
        let begun = start();
        let who = |n: u32| Source::from(IpAddr::from(n.to_be_bytes()));
        for n in 0..70_000 {
            abuse.denied(begun, who(n), Denial::WrongPassword);
        }
        assert_eq!(abuse.accounts.len(), SOURCES_MAX);
        let later = Now { mono: begun.mono + Duration::from_secs(11), ..begun };
        for _ in 0..10 {
            abuse.denied(later, who(80_000), Denial::WrongPassword);
        }
        assert_eq!((abuse.accounts.len(), abuse.list(later.mono).len()), (1, 1));
    }
}
