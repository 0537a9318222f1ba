//! The header values: challenges and credentials.

use std::fmt;

use super::{Algorithm, response};
use crate::wire::split_commas;

/// Most parameters of one challenge or credentials value.
const PARAMS_MAX: usize = 32;

/// A Digest challenge (WWW-Authenticate, Proxy-Authenticate).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be returned unchanged.
    pub opaque: Option<String>,
    /// The hash.
    pub algorithm: Algorithm,
    /// Whether the last answer was right but its nonce too old.
    pub stale: bool,
    /// The qualities of protection offered; empty for RFC 2069 servers.
    pub qop: Vec<String>,
}

impl Challenge {
    /// Reads a value. `None` if it is not Digest, lacks realm or nonce, or its algorithm is not ours.
    pub fn parse(value: &[u8]) -> Option<Challenge> {
        let params = digest_params(value)?;
        let algorithm = match params.get("algorithm") {
            None => Algorithm::Md5,
            Some(name) => Algorithm::parse(name)?,
        };
        let qop = params.get("qop").unwrap_or("");
        Some(Challenge {
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            opaque: params.get("opaque").map(str::to_owned),
            algorithm,
            stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            qop: qop
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
        })
    }

    fn offers_auth(&self) -> bool {
        self.qop.iter().any(|qop| qop.eq_ignore_ascii_case("auth"))
    }

    /// Whether the challenge can be answered: it offers `auth`, or no quality at all.
    pub fn qop_possible(&self) -> bool {
        self.qop.is_empty() || self.offers_auth()
    }

    /// The value of the Authorization or Proxy-Authorization header that answers it. `uri` is the
    /// Request-URI exactly as it will be sent, `nc` counts the requests with this nonce from 1,
    /// `cnonce` is fresh random text without quotes. `None` if the challenge cannot be answered.
    pub fn answer(
        &self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        nc: u32,
        cnonce: &str,
    ) -> Option<String> {
        if !self.qop_possible() {
            return None;
        }
        let ha1 = super::ha1(self.algorithm, user, &self.realm, password);
        let nc = format!("{nc:08x}");
        let qop = self.offers_auth().then_some(("auth", nc.as_str(), cnonce));
        let digest = response(self.algorithm, &ha1, method, uri, &self.nonce, qop);
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{digest}\", algorithm={}",
            quote(user),
            quote(&self.realm),
            quote(&self.nonce),
            quote(uri),
            self.algorithm.as_str(),
        );
        if qop.is_some() {
            value.push_str(&format!(", qop=auth, nc={nc}, cnonce={}", quote(cnonce)));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        Some(value)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", quote(&self.realm), quote(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        write!(f, ", algorithm={}", self.algorithm.as_str())?;
        if !self.qop.is_empty() {
            write!(f, ", qop={}", quote(&self.qop.join(",")))?;
        }
        Ok(())
    }
}

/// Digest credentials (Authorization, Proxy-Authorization).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorization {
    /// The user.
    pub username: String,
    /// The realm they are for.
    pub realm: String,
    /// The nonce answered.
    pub nonce: String,
    /// The digest-uri, the text that was hashed.
    pub uri: String,
    /// The request-digest in hex.
    pub response: String,
    /// The hash. `None` if it is one we do not know.
    pub algorithm: Option<Algorithm>,
    /// `qop`, with `nc` and `cnonce` as written; `None` for the form of RFC 2069.
    pub protection: Option<Protection>,
}

/// `qop`, `nc` and `cnonce` of credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// The quality, e.g. `auth`.
    pub qop: String,
    /// The count as text, which is hashed.
    pub nc_text: String,
    /// The count: eight hex digits (RFC 7616 §3.4), fewer are taken.
    pub nc: u32,
    /// The client's nonce.
    pub cnonce: String,
}

impl Authorization {
    /// Reads a value. `None` if it is not Digest or a required parameter is missing.
    pub fn parse(value: &[u8]) -> Option<Authorization> {
        let params = digest_params(value)?;
        let owned = |name: &str| params.get(name).map(str::to_owned);
        let algorithm = match params.get("algorithm") {
            None => Some(Algorithm::Md5),
            Some(name) => Algorithm::parse(name),
        };
        let protection = match params.get("qop") {
            None => None,
            Some(qop) => {
                let nc_text = owned("nc")?;
                let hex = |byte: u8| byte.is_ascii_hexdigit();
                if nc_text.is_empty() || !nc_text.bytes().all(hex) {
                    return None;
                }
                let nc = u32::from_str_radix(&nc_text, 16).ok()?;
                Some(Protection { qop: qop.to_owned(), nc_text, nc, cnonce: owned("cnonce")? })
            }
        };
        Some(Authorization {
            username: owned("username")?,
            realm: owned("realm")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            response: owned("response")?,
            algorithm,
            protection,
        })
    }
}

struct DigestParams(Vec<(String, String)>);

impl DigestParams {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(written, _)| written.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The parameters of a `Digest` value. A parameter that comes twice makes the value ambiguous and so
/// unreadable.
fn digest_params(value: &[u8]) -> Option<DigestParams> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, rest) = text.trim().split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return None;
    }
    let mut params = DigestParams(Vec::new());
    for part in split_commas(rest.as_bytes()) {
        let (name, value) = std::str::from_utf8(part).ok()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if params.0.len() == PARAMS_MAX || params.get(name).is_some() {
            return None;
        }
        let value = match value.strip_prefix('"') {
            Some(rest) => unquote(rest.strip_suffix('"')?),
            None => value.to_owned(),
        };
        params.0.push((name.to_owned(), value));
    }
    Some(params)
}

fn unquote(inner: &str) -> String {
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
