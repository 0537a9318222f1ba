//! Digest authentication in both roles (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! As server a [`Guard`] challenges and verifies; as client a [`Challenge`] is answered. Algorithms are
//! MD5, SHA-256 and SHA-512/256, the quality of protection is `auth`. What is hashed is the text on
//! the wire: the digest-uri is never read and printed again before it is hashed.
//!
//! Not supported: `auth-int`, the `-sess` variants, `userhash`. Challenges that insist on one of
//! those are not answered; credentials that use one are refused.

mod guard;
mod value;

use md5::Md5;
use sha2::{Sha256, Sha512_256};

pub use guard::{Guard, GuardConfig, Refusal, Verdict};
pub use value::{Authorization, Challenge};

use crate::wire::{HeaderName, Message};

/// The hash of a challenge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    /// `MD5`, which every phone speaks.
    Md5,
    /// `SHA-256` (RFC 8760).
    Sha256,
    /// `SHA-512-256` (RFC 8760).
    Sha512_256,
}

impl Algorithm {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }

    /// The algorithm of that name, in any case.
    pub fn parse(name: &str) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }

    /// The hash of the parts joined by colons, in lower-case hex: `H` of RFC 7616 §3.4.
    pub fn hash(self, parts: &[&str]) -> String {
        fn of<D: sha2::Digest>(parts: &[&str]) -> String {
            let mut hasher = D::new();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    hasher.update(b":");
                }
                hasher.update(part.as_bytes());
            }
            hex::encode(hasher.finalize())
        }
        match self {
            Algorithm::Md5 => of::<Md5>(parts),
            Algorithm::Sha256 => of::<Sha256>(parts),
            Algorithm::Sha512_256 => of::<Sha512_256>(parts),
        }
    }
}

/// `H(user:realm:password)`, what a server stores instead of the password (RFC 7616 §3.4.2).
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password])
}

/// The request-digest (RFC 7616 §3.4.1): with `qop` the form with nc and cnonce as written on the
/// wire, without it the form of RFC 2069.
pub fn response(
    algorithm: Algorithm,
    ha1: &str,
    method: &str,
    uri: &str,
    nonce: &str,
    qop: Option<(&str, &str, &str)>,
) -> String {
    let ha2 = algorithm.hash(&[method, uri]);
    match qop {
        Some((qop, nc, cnonce)) => algorithm.hash(&[ha1, nonce, nc, cnonce, qop, &ha2]),
        None => algorithm.hash(&[ha1, nonce, &ha2]),
    }
}

/// The challenge of a 401 or 407 that a client should answer, and the header that carries the answer:
/// the first one it can (RFC 8760 §2.4: the server lists the one it prefers first). With a realm, only
/// challenges of that realm count: credentials are never shown to another.
pub fn challenge_of(response: &Message, realm: Option<&str>) -> Option<(HeaderName, Challenge)> {
    const PAIRS: [(HeaderName, HeaderName); 2] = [
        (HeaderName::WwwAuthenticate, HeaderName::Authorization),
        (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
    ];
    PAIRS.into_iter().find_map(|(asks, answers)| {
        response
            .lines(asks)
            .filter_map(Challenge::parse)
            .find(|challenge| {
                challenge.qop_possible() && realm.is_none_or(|r| r == challenge.realm)
            })
            .map(|challenge| (answers, challenge))
    })
}

#[cfg(test)]
mod tests;
