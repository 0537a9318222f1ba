//! Random names: branches, tags, Call-IDs. All come from one seeded generator and bear the number
//! of the engine, so that a message can be told to belong to us before any table is asked.

use std::ops::RangeInclusive;

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};

use crate::wire::push_hex;

/// The cookie of RFC 3261 §8.1.1.7.
const COOKIE: &str = "z9hG4bK";

/// Room for the longest name, a Call-ID.
const NAME_BYTES: usize = 34;

/// The generator of an engine.
#[derive(Debug)]
pub(super) struct Ids {
    random: ChaCha12Rng,
    engine: u8,
    tag_secret: u64,
}

impl Ids {
    pub(super) fn new(seed: [u8; 32], engine: u8) -> Ids {
        let mut random = ChaCha12Rng::from_seed(seed);
        let tag_secret = random.next_u64();
        Ids { random, engine, tag_secret }
    }

    /// 64 random bits, the body of a branch or a tag.
    pub(super) fn token(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// A number of this range. The bias of the remainder is below 2^-50 for the ranges used here.
    pub(super) fn between(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let span = range.end().saturating_sub(*range.start()).saturating_add(1).max(1);
        range.start() + self.random.next_u64() % span
    }

    /// Sixteen random hexadecimal digits, for a client nonce.
    pub(super) fn nonce(&mut self) -> String {
        format!("{:016x}", self.token())
    }

    pub(super) fn call_id(&mut self) -> String {
        let (high, low) = (self.token(), self.token());
        let mut text = self.named("", high);
        push_hex(&mut text, low, 16);
        text
    }

    pub(super) fn branch(&self, token: u64) -> String {
        self.named(COOKIE, token)
    }

    pub(super) fn tag(&self, token: u64) -> String {
        self.named("", token)
    }

    /// The engine's number and a token, after a prefix.
    fn named(&self, prefix: &str, token: u64) -> String {
        let mut text = String::with_capacity(NAME_BYTES);
        text.push_str(prefix);
        push_hex(&mut text, u64::from(self.engine), 2);
        push_hex(&mut text, token, 16);
        text
    }

    /// The token of a branch that this engine made.
    pub(super) fn token_of_branch(&self, branch: &str) -> Option<u64> {
        let rest = branch.strip_prefix(COOKIE)?;
        let (engine, token) = split(rest)?;
        (engine == self.engine).then_some(token)
    }

    /// The token of a tag that one of our engines made; a resumed session may bear the number of
    /// another.
    pub(super) fn token_of_tag(tag: &str) -> Option<u64> {
        split(tag).map(|(_, token)| token)
    }

    /// The tag of an answer that leaves no state: the same request gets the same tag (RFC 3261
    /// §8.2.6.2), and nobody else can foretell it. FNV-1a over what identifies the request.
    pub(super) fn stateless_tag<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = self.tag_secret;
        for part in parts {
            for byte in part.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        }
        format!("s{:02x}{:016x}", self.engine, hash ^ self.tag_secret.rotate_left(32))
    }
}

fn split(text: &str) -> Option<(u8, u64)> {
    if text.len() != 18 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u8::from_str_radix(&text[..2], 16).ok()?, u64::from_str_radix(&text[2..], 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bear_the_engine_and_read_back() {
        let mut ids = Ids::new([7; 32], 0x2a);
        let token = ids.token();
        let branch = ids.branch(token);
        assert!(branch.starts_with("z9hG4bK2a"));
        assert_eq!(ids.token_of_branch(&branch), Some(token));
        assert_eq!(Ids::token_of_tag(&ids.tag(token)), Some(token));
        assert!(ids.call_id().starts_with("2a"));
        let other = Ids::new([7; 32], 1);
        assert_eq!(other.token_of_branch(&branch), None);
        assert_eq!(ids.token_of_branch("z9hG4bK"), None);
        assert_eq!(Ids::token_of_tag("zz00000000000000ff"), None);
    }

    #[test]
    fn ranges_are_kept() {
        let mut ids = Ids::new([1; 32], 0);
        for _ in 0..1000 {
            assert!((210..=400).contains(&ids.between(&(210..=400))));
        }
        assert_eq!(ids.between(&(3..=3)), 3);
    }

    #[test]
    fn rfc3261_8_2_6_2_a_stateless_answer_to_a_copy_bears_the_same_tag() {
        let ids = Ids::new([1; 32], 0);
        let tag = ids.stateless_tag([b"a".as_slice(), b"bc"]);
        assert_eq!(tag, ids.stateless_tag([b"a".as_slice(), b"bc"]));
        assert_ne!(tag, ids.stateless_tag([b"ab".as_slice(), b"c"]));
        assert_ne!(tag, Ids::new([2; 32], 0).stateless_tag([b"a".as_slice(), b"bc"]));
    }
}
