//! The client half of HTTP digest (RFC 7616, RFC 8760): answers a challenge.

use md5::{Digest as _, Md5};
use sha2::Sha256;

/// Whose password it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// The Authorization value that answers the first challenge we can compute; `count` is the nonce count.
#[must_use]
pub fn answer(
    challenges: &[&str],
    credentials: &Credentials,
    method: &str,
    uri: &str,
    count: u32,
) -> Option<String> {
    challenges.iter().find_map(|challenge| one(challenge, credentials, method, uri, count))
}

fn one(challenge: &str, who: &Credentials, method: &str, uri: &str, count: u32) -> Option<String> {
    let challenge = challenge.trim();
    let rest = challenge
        .get(..7)
        .filter(|w| w.eq_ignore_ascii_case("Digest "))
        .map(|_| &challenge[7..])?;
    let algorithm = field(rest, "algorithm").unwrap_or_else(|| "MD5".into());
    let hash: fn(&str) -> String = match &*algorithm.to_ascii_uppercase() {
        "MD5" => md5_hex,
        "SHA-256" => sha256_hex,
        _ => return None,
    };
    let realm = field(rest, "realm")?;
    let nonce = field(rest, "nonce")?;
    let ha1 = hash(&format!("{}:{realm}:{}", who.user, who.password));
    let ha2 = hash(&format!("{method}:{uri}"));
    let mut value = format!(
        "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={algorithm}",
        who.user
    );
    if let Some(opaque) = field(rest, "opaque") {
        value += &format!(", opaque=\"{opaque}\"");
    }
    let with_auth =
        field(rest, "qop").is_some_and(|qop| qop.split(',').any(|q| q.trim() == "auth"));
    if with_auth {
        let (nc, cnonce) = (format!("{count:08x}"), format!("{:016x}", crate::random()));
        let response = hash(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
        value += &format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\", response=\"{response}\"");
    } else {
        value += &format!(", response=\"{}\"", hash(&format!("{ha1}:{nonce}:{ha2}")));
    }
    Some(value)
}

/// Lower-case MD5.
#[must_use]
pub fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// One `name=value` or `name="value"` of a challenge, commas inside quotes respected.
fn field(challenge: &str, name: &str) -> Option<String> {
    let mut quoted = false;
    let parts = challenge.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    for part in parts {
        if let Some((n, v)) = part.split_once('=')
            && n.trim().eq_ignore_ascii_case(name)
        {
            return Some(v.trim().trim_matches('"').to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc2617_3_5_the_classic_example_without_qop() {
        let who = Credentials { user: "Mufasa".into(), password: "Circle Of Life".into() };
        let challenge =
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let value = answer(&[challenge], &who, "GET", "/dir/index.html", 1).unwrap();
        // MD5 of HA1:nonce:HA2 with the RFC's HA1 and HA2 (RFC 2069 form).
        assert!(value.ends_with("response=\"670fd8c2df070c60b045671b8b24ff02\""), "{value}");
    }

    #[test]
    fn unknown_algorithms_are_passed_over_for_one_we_know() {
        let who = Credentials { user: "u".into(), password: "p".into() };
        let challenges = [
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\"",
            "Digest realm=\"r, still r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\"",
        ];
        let value = answer(&challenges, &who, "REGISTER", "sip:r", 10).unwrap();
        assert!(value.contains("algorithm=SHA-256") && value.contains("nc=0000000a"), "{value}");
        assert!(value.contains("realm=\"r, still r\""));
    }
}
