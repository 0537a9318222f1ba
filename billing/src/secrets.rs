//! Passwords: made, hashed, derived.

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Rounds of PBKDF2 for login passwords.
const ROUNDS: u32 = 100_000;
/// Length of a derived SIP password (merchant API §2.3).
const PASSWORD: usize = 12;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// 32 random bytes.
///
/// # Errors
/// When the operating system has none.
pub fn octets() -> Result<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Database(error.to_string()))?;
    Ok(bytes)
}

/// The same in hex.
pub(crate) fn random() -> Result<String> {
    octets().map(hex::encode)
}

/// MD5 and SHA-256 of `user:realm:password`, lower-case hex (RFC 7616 §3.4.2).
pub(crate) fn ha1(user: &str, realm: &str, password: &str) -> (String, String) {
    let text = format!("{user}:{realm}:{password}");
    (hex::encode(Md5::digest(&text)), hex::encode(Sha256::digest(&text)))
}

/// The SIP password of a number that `biz_regist` handed out: letters and digits drawn from an HMAC under the
/// installation's secret, so that a repeated request can be told it again without it being stored.
pub(crate) fn derived(secret: &str, number: &str, created: i64) -> String {
    let mut password = String::with_capacity(PASSWORD);
    let mut block = 0_u32;
    while password.len() < PASSWORD {
        let bytes = mac(secret.as_bytes(), format!("sip:{number}:{created}:{block}").as_bytes());
        // 248 = 4 · 62: higher bytes would favour some letters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        for byte in fair.take(PASSWORD - password.len()) {
            password.push(char::from(LETTERS[usize::from(*byte) % 62]));
        }
        block += 1;
    }
    password
}

/// The token of a company of system 002: 32 hex digits.
pub(crate) fn company_token(accesskey: &str, companycode: &str, nonce: &str) -> String {
    let bytes = mac(accesskey.as_bytes(), format!("company:{companycode}:{nonce}").as_bytes());
    hex::encode(&bytes[..16])
}

/// SHA-256 in hex.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// `pbkdf2-sha256$rounds$salt$hash` of a login password (RFC 8018 §5.2).
pub(crate) fn hashed(password: &str) -> Result<String> {
    let salt = random()?;
    Ok(format!("pbkdf2-sha256${ROUNDS}${salt}${}", stretch(password, &salt, ROUNDS)))
}

/// Whether a password is the one that was hashed.
pub(crate) fn matches(password: &str, hashed: &str) -> bool {
    let parts: Vec<&str> = hashed.split('$').collect();
    let ["pbkdf2-sha256", rounds, salt, hash] = parts[..] else { return false };
    let Ok(rounds) = rounds.parse::<u32>() else { return false };
    let again = stretch(password, salt, rounds.min(10 * ROUNDS));
    // Compare all of it, wherever the first difference lies.
    again.len() == hash.len()
        && again.bytes().zip(hash.bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// Whether a password is the one whose hash is kept; `None`: nobody has the name, which takes as long. Takes tens of
/// milliseconds, on purpose.
#[must_use]
pub fn is_password(password: &str, hashed: Option<&str>) -> bool {
    hashed.map_or_else(
        || {
            matches_nobody(password);
            false
        },
        |hashed| matches(password, hashed),
    )
}

/// Takes as long as [`matches`] does, for a name that nobody has.
pub(crate) fn matches_nobody(password: &str) {
    let salt = "0".repeat(64);
    std::hint::black_box(stretch(password, &salt, ROUNDS));
}

/// The first block of PBKDF2-HMAC-SHA256: 32 bytes are enough.
fn stretch(password: &str, salt: &str, rounds: u32) -> String {
    let mut first = salt.as_bytes().to_vec();
    first.extend(1_u32.to_be_bytes());
    // The password is taken in once, however long it is: not in each round.
    let keyed = keyed(password.as_bytes());
    let mut block = mac_by(&keyed, &first);
    let mut out = block;
    for _ in 1..rounds.max(1) {
        block = mac_by(&keyed, &block);
        for (out, byte) in out.iter_mut().zip(block) {
            *out ^= byte;
        }
    }
    hex::encode(out)
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    mac_by(&keyed(key), message)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length; an empty one stands in for the error that cannot be.
    <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| {
        <Hmac<Sha256> as Mac>::new(&hmac::digest::Key::<Hmac<Sha256>>::default())
    })
}

fn mac_by(keyed: &Hmac<Sha256>, message: &[u8]) -> [u8; 32] {
    let mut mac = keyed.clone();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7616_3_9_1_digests_of_mufasa() {
        let (md5, sha256) = ha1("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(sha256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }

    #[test]
    fn a_password_of_many_bytes_costs_what_a_short_one_does() {
        let took = |password: &str| {
            let times = (0..3).map(|_| {
                let start = std::time::Instant::now();
                stretch(password, "salt", 20_000);
                start.elapsed()
            });
            times.min()
        };
        let (short, long) = (took("p"), took(&"p".repeat(60_000)));
        assert!(long < short.map(|short| short * 5), "{long:?} against {short:?}");
    }

    #[test]
    fn pbkdf2_matches_a_published_vector() {
        // RFC 7914 §11: P="passwd", S="salt", c=1, first 32 of 64 octets.
        let wanted = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        assert_eq!(stretch("passwd", "salt", 1), wanted);
    }

    #[test]
    fn a_login_password_is_recognised_and_others_are_not() {
        let kept = hashed("correct horse").unwrap();
        assert!(matches("correct horse", &kept));
        assert!(!matches("correct hors", &kept));
        assert!(!matches("x", "nonsense"));
    }

    #[test]
    fn a_derived_password_is_twelve_letters_or_digits_and_always_the_same() {
        let password = derived("00ff", "80001", 5);
        assert_eq!(password.len(), 12);
        assert!(password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(password, derived("00ff", "80001", 5));
        assert_ne!(password, derived("00ff", "80002", 5));
    }
}
