//! The server side: challenges, and the verdict over the credentials that come back.
//!
//! A nonce is the instant it was made, a serial number, and a MAC over both and the client's address:
//! making one costs no memory, so a flood of challenges costs none. Only a nonce that was used with a
//! *right* digest gets an entry, which holds the highest nc seen: a wrong digest with a high nc locks
//! nobody out, and nobody without a password fills the table. When the table is full the oldest entry
//! goes and every nonce as old as it counts as expired, so that forgetting never makes a replay good.
//!
//! An unknown user is treated like a known one with a wrong password: the same work, the same answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Algorithm, Authorization, Challenge, response};
use crate::wire::{HeaderName, Message, Uri};

/// How a [`Guard`] is set up.
#[derive(Clone)]
pub struct GuardConfig {
    /// The realm.
    pub realm: String,
    /// Key of the nonces. Fresh at each start: nonces from before then count as expired.
    pub secret: [u8; 32],
    /// Algorithms to offer, preferred first: one header each (RFC 8760 §2.4).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce is good for.
    pub nonce_age: Duration,
    /// Most nonces in use to remember the nc of.
    pub nonces_max: usize,
}

impl GuardConfig {
    /// SHA-256 and MD5, five minutes, 131,072 nonces: more than there are phones to register at once, or
    /// each would push out the nonce of the next.
    pub fn new(realm: &str, secret: [u8; 32]) -> GuardConfig {
        GuardConfig {
            realm: realm.to_owned(),
            secret,
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            nonce_age: Duration::from_secs(300),
            nonces_max: 131_072,
        }
    }
}

impl std::fmt::Debug for GuardConfig {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardConfig").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What the credentials of a request are worth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// They are right.
    Accepted {
        /// Whose they are.
        username: String,
    },
    /// There are none for our realm in an algorithm we offered: challenge.
    Missing,
    /// The digest is right but the nonce is too old, of an earlier run, or of another address:
    /// challenge with `stale=true`. Not an attack.
    Stale {
        /// Whose they are.
        username: String,
    },
    /// Challenge, and count it against the sender.
    Refused {
        /// Why; for counters and logs, never for the peer.
        why: Refusal,
        /// The user named, if the value could be read. Such a user need not exist.
        username: Option<String>,
    },
}

/// Why credentials are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The value does not read, or uses what was not offered.
    Malformed,
    /// Unknown user or wrong password.
    Digest,
    /// The digest is right but its nc has been seen (RFC 7616 §3.4: a replay).
    Replay,
    /// The digest is right but made for another Request-URI (RFC 7616 §3.4.6).
    Uri,
}

/// The server side of digest authentication for one realm.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    epoch: Instant,
    serial: u64,
    /// Highest nc by nonce; ordered by age because the instant leads the key.
    used: BTreeMap<Stamp, u32>,
    /// Nonces made no later than this count as expired.
    floor_ms: Option<u64>,
}

/// What a nonce says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Stamp {
    made_ms: u64,
    serial: u64,
}

const STAMP_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

impl Guard {
    /// A guard; `now` is the origin of its nonces' time.
    pub fn new(now: Instant, config: GuardConfig) -> Guard {
        Guard { config, epoch: now, serial: 0, used: BTreeMap::new(), floor_ms: None }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.config.realm
    }

    /// How many nonces are remembered.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    /// The challenge values for a client at `source`, one per algorithm; one header line each.
    pub fn challenge(&mut self, now: Instant, source: IpAddr, stale: bool) -> Vec<String> {
        self.serial += 1;
        let stamp = Stamp { made_ms: self.clock_ms(now), serial: self.serial };
        let nonce = self.nonce(stamp, source);
        let values = self.config.algorithms.iter().map(|&algorithm| {
            Challenge {
                realm: self.config.realm.clone(),
                nonce: nonce.clone(),
                opaque: None,
                algorithm,
                stale,
                qop: vec!["auth".into()],
            }
            .to_string()
        });
        values.collect()
    }

    /// Judges a request. `header` is Authorization or Proxy-Authorization; `lookup` gives the stored
    /// HA1 of a user for an algorithm, in hex.
    pub fn check(
        &mut self,
        now: Instant,
        source: IpAddr,
        request: &Message,
        header: HeaderName,
        lookup: impl FnOnce(&str, Algorithm) -> Option<String>,
    ) -> Verdict {
        let (Some(method), Some(request_uri)) = (request.method(), request.request_uri()) else {
            return Verdict::Missing;
        };
        let mut unreadable = false;
        let offered = request.lines(header).find_map(|value| match Authorization::parse(value) {
            Some(credentials) if credentials.realm == self.config.realm => Some(credentials),
            Some(_) => None,
            None => {
                unreadable |= value.get(..6).is_some_and(|s| s.eq_ignore_ascii_case(b"digest"));
                None
            }
        });
        match offered {
            Some(credentials) => {
                self.judge(now, source, &credentials, method.as_str(), request_uri, lookup)
            }
            None if unreadable => Verdict::Refused { why: Refusal::Malformed, username: None },
            None => Verdict::Missing,
        }
    }

    /// [`Guard::check`] for credentials already read.
    pub fn judge(
        &mut self,
        now: Instant,
        source: IpAddr,
        credentials: &Authorization,
        method: &str,
        request_uri: &str,
        lookup: impl FnOnce(&str, Algorithm) -> Option<String>,
    ) -> Verdict {
        let username = credentials.username.clone();
        let refused = |why| Verdict::Refused { why, username: Some(credentials.username.clone()) };
        let Some(algorithm) = credentials.algorithm else { return Verdict::Missing };
        if !self.config.algorithms.contains(&algorithm) {
            return Verdict::Missing;
        }
        let auth = |qop: &str| qop.eq_ignore_ascii_case("auth");
        if credentials.protection.as_ref().is_some_and(|protection| !auth(&protection.qop)) {
            return refused(Refusal::Malformed);
        }
        let known = lookup(&username, algorithm);
        let ha1 = known.clone().unwrap_or_else(|| self.dummy_ha1(algorithm, &username));
        let qop = credentials
            .protection
            .as_ref()
            .map(|p| (p.qop.as_str(), p.nc_text.as_str(), p.cnonce.as_str()));
        let expected = response(algorithm, &ha1, method, &credentials.uri, &credentials.nonce, qop);
        let given = credentials.response.to_ascii_lowercase();
        let right = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        if !right || known.is_none() {
            return refused(Refusal::Digest);
        }
        let Some(stamp) = self.live(now, source, &credentials.nonce) else {
            return Verdict::Stale { username };
        };
        if !same_target(&credentials.uri, request_uri) {
            return refused(Refusal::Uri);
        }
        // The digest is right: only now may it leave a trace. RFC 2069 credentials have no count, so
        // their nonce is good once.
        let nc = credentials.protection.as_ref().map_or(u32::MAX, |protection| protection.nc);
        if self.used.get(&stamp).is_some_and(|&highest| nc <= highest) {
            return refused(Refusal::Replay);
        }
        self.remember(now, stamp, nc);
        Verdict::Accepted { username }
    }

    fn clock_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    fn oldest_ms(&self, now: Instant) -> u64 {
        let age = u64::try_from(self.config.nonce_age.as_millis()).unwrap_or(u64::MAX);
        self.clock_ms(now).saturating_sub(age)
    }

    /// The stamp of a nonce that we made for this source and that has not expired.
    fn live(&self, now: Instant, source: IpAddr, nonce: &str) -> Option<Stamp> {
        let bytes = hex::decode(nonce).ok().filter(|b| b.len() == STAMP_BYTES + MAC_BYTES)?;
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let stamp = Stamp { made_ms: number(0..8), serial: number(8..16) };
        let mac = self.mac(&[b"nonce", &bytes[..STAMP_BYTES], &octets(source)]);
        if !bool::from(mac[..MAC_BYTES].ct_eq(&bytes[STAMP_BYTES..])) {
            return None;
        }
        let fresh = stamp.made_ms >= self.oldest_ms(now)
            && self.floor_ms.is_none_or(|floor| stamp.made_ms > floor);
        fresh.then_some(stamp)
    }

    fn nonce(&self, stamp: Stamp, source: IpAddr) -> String {
        let mut bytes = Vec::with_capacity(STAMP_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&stamp.made_ms.to_be_bytes());
        bytes.extend_from_slice(&stamp.serial.to_be_bytes());
        let mac = self.mac(&[b"nonce", &bytes, &octets(source)]);
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        hex::encode(bytes)
    }

    /// An HA1 that no password gives, the same each time for the same name.
    fn dummy_ha1(&self, algorithm: Algorithm, username: &str) -> String {
        let mac = hex::encode(self.mac(&[b"nobody", username.as_bytes()]));
        algorithm.hash(&[username, &self.config.realm, &mac])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.config.secret)
            .expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn remember(&mut self, now: Instant, stamp: Stamp, nc: u32) {
        let oldest = self.oldest_ms(now);
        self.used = self.used.split_off(&Stamp { made_ms: oldest, serial: 0 });
        if self.used.len() >= self.config.nonces_max
            && !self.used.contains_key(&stamp)
            && let Some((gone, _)) = self.used.pop_first()
        {
            self.floor_ms = self.floor_ms.max(Some(gone.made_ms));
        }
        if self.floor_ms.is_none_or(|floor| stamp.made_ms > floor) {
            self.used.insert(stamp, nc);
        }
    }
}

/// Whether the digest-uri means the Request-URI: the same text, or the same user at the same host.
/// Ports and parameters may differ, because phones behind proxies and phones that add `;transport`
/// write them differently in the two places; what is dialled may not.
fn same_target(digest_uri: &str, request_uri: &str) -> bool {
    if digest_uri == request_uri {
        return true;
    }
    match (Uri::parse(digest_uri), Uri::parse(request_uri)) {
        (Ok(a), Ok(b)) => a.user_text() == b.user_text() && a.host == b.host,
        _ => false,
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
