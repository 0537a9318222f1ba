//! `a=crypto`: the keys of SRTP in session descriptions (RFC 4568, with the suites of RFC 6188 and RFC 7714).
//!
//! Each side names the key that *it* protects with. An offer has a line for each suite that will do, best
//! first; the answer has one, with the tag and the suite of the line that it takes and a key of its own.
//! A stream is of SRTP by its transport (`RTP/SAVP`), or, where both may do without, by the lines alone
//! (`RTP/AVP` with `a=crypto`: RFC 8643). Whether a description may bear keys at all, because nobody but the
//! peer reads it, is not known here.
//!
//! Keys are never shown by `Debug`, and wiped when they are dropped. A description that was printed holds
//! them all the same: it is for the wire alone.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::audio::Audio;
use super::sdp::{Media, SessionDescription};
use super::{LocalAudio, OfferError};

/// Lines of one description that are read at most.
pub const LINES_MAX: usize = 16;
/// Octets of a master key identifier at most (RFC 4568 §6.1 allows 128).
pub const MKI_MAX: u8 = 8;
/// Packets that a key may protect, as a power of two (RFC 3711 §9.2).
const LIFE_MAX: u32 = 48;

/// A suite by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 §6.2.1).
    Aes128Sha1_80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 §6.2.2).
    Aes128Sha1_32,
    /// `AES_192_CM_HMAC_SHA1_80` (RFC 6188 §4).
    Aes192Sha1_80,
    /// `AES_192_CM_HMAC_SHA1_32`.
    Aes192Sha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`.
    Aes256Sha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`.
    Aes256Sha1_32,
    /// `AEAD_AES_128_GCM` (RFC 7714 §14.1).
    Aes128Gcm,
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
}

impl Suite {
    /// All that are known.
    pub const ALL: [Suite; 8] = [
        Suite::Aes128Sha1_80,
        Suite::Aes128Sha1_32,
        Suite::Aes192Sha1_80,
        Suite::Aes192Sha1_32,
        Suite::Aes256Sha1_80,
        Suite::Aes256Sha1_32,
        Suite::Aes128Gcm,
        Suite::Aes256Gcm,
    ];

    /// Its name in a description.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::Aes128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::Aes128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Suite::Aes192Sha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Suite::Aes192Sha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Suite::Aes256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::Aes256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::Aes128Gcm => "AEAD_AES_128_GCM",
            Suite::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Octets of a master key and its salt.
    pub const fn key_len(self) -> usize {
        match self {
            Suite::Aes128Sha1_80 | Suite::Aes128Sha1_32 => 30,
            Suite::Aes192Sha1_80 | Suite::Aes192Sha1_32 => 38,
            Suite::Aes256Sha1_80 | Suite::Aes256Sha1_32 => 46,
            Suite::Aes128Gcm => 28,
            Suite::Aes256Gcm => 44,
        }
    }

    fn named(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }
}

/// A master key and its salt. Wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key(Vec<u8>);

impl Key {
    /// These octets.
    pub fn new(bytes: Vec<u8>) -> Key {
        Key(bytes)
    }

    /// The master key, then the salt.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crypto {
    /// By which an answer names it.
    pub tag: u32,
    /// What packets are protected with.
    pub suite: Suite,
    /// By whoever says the line.
    pub key: Key,
    /// The name of the key in its packets, and how many octets it takes.
    pub mki: Option<(u64, u8)>,
}

impl Crypto {
    /// Reads a line. `None` for one that cannot be obeyed: another suite, several keys, a parameter of the
    /// session that would change the packets and is not known here (RFC 4568 §6.3).
    pub(super) fn parse(value: &str) -> Option<Crypto> {
        let mut parts = value.split_ascii_whitespace();
        let tag = parts.next().filter(|tag| tag.len() <= 9 && is_number(tag))?.parse().ok()?;
        let suite = Suite::named(parts.next()?)?;
        let (key, mki) = key_of(suite, parts.next()?)?;
        parts.all(is_harmless).then_some(Crypto { tag, suite, key, mki })
    }
}

/// As it stands after `a=crypto:`.
pub(super) struct Line<'a>(pub(super) &'a Crypto);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crypto { tag, suite, key, .. } = self.0;
        let mut text = BASE64.encode(key.bytes());
        let written = write!(f, "{tag} {} inline:{text}", suite.name());
        text.zeroize();
        written
    }
}

/// `inline:key[|lifetime][|mki:length]` (RFC 4568 §6.1).
fn key_of(suite: Suite, params: &str) -> Option<(Key, Option<(u64, u8)>)> {
    let (method, info) = params.split_once(':')?;
    // Several keys would have to be told apart by their names.
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut parts = info.split('|');
    let key = Key(BASE64.decode(parts.next()?).ok()?);
    if key.bytes().len() != suite.key_len() {
        return None;
    }
    let (mut mki, mut lifetime) = (None, None);
    for part in parts {
        match part.split_once(':') {
            Some((value, len)) if mki.is_none() => {
                let len = len.parse().ok().filter(|len| (1..=MKI_MAX).contains(len))?;
                let value: u64 = value.parse().ok().filter(|_| is_number(value))?;
                let fits = len == MKI_MAX || value >> (8 * u32::from(len)) == 0;
                mki = Some((value, len)).filter(|_| fits);
                mki?;
            }
            None if lifetime.is_none() && mki.is_none() => lifetime = Some(life(part)?),
            _ => return None,
        }
    }
    Some((key, mki))
}

/// How many packets the peer means to protect: a power of two, or a number. How many *we* protect does not
/// depend on it.
fn life(text: &str) -> Option<u64> {
    let packets = match text.strip_prefix("2^") {
        Some(power) => {
            let power = power.parse::<u32>().ok().filter(|_| is_number(power))?;
            1_u64.checked_shl(power)?
        }
        None => text.parse().ok().filter(|_| is_number(text))?,
    };
    (1..=1 << LIFE_MAX).contains(&packets).then_some(packets)
}

/// A parameter that changes nothing of the packets: a hint (WSH), or one that may be left alone
/// (RFC 4568 §6.3.7: `-` in front).
fn is_harmless(param: &str) -> bool {
    param.starts_with('-') || param.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("WSH="))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Padding is written, and not missed (RFC 4568 §6.1 wants it; not all write it).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether sound may, or has to be, protected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Security {
    /// Plain RTP alone. No description bears keys.
    #[default]
    Plain,
    /// SRTP if both do it, plain RTP if not (RFC 8643).
    Optional,
    /// SRTP or nothing.
    Required,
}

/// The transport of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// `RTP/AVP` (RFC 3551).
    #[default]
    Avp,
    /// `RTP/SAVP` (RFC 3711).
    Savp,
    /// `RTP/SAVPF` (RFC 5124); its feedback is not spoken.
    Savpf,
}

impl Profile {
    /// As it stands on the m-line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Profile::Avp => "RTP/AVP",
            Profile::Savp => "RTP/SAVP",
            Profile::Savpf => "RTP/SAVPF",
        }
    }

    /// `None` for one that is not spoken.
    pub(super) fn named(proto: &str) -> Option<Profile> {
        let all = [Profile::Avp, Profile::Savp, Profile::Savpf];
        all.into_iter().find(|profile| profile.as_str().eq_ignore_ascii_case(proto))
    }

    /// Without keys there is no such stream.
    pub(super) const fn is_secure(self) -> bool {
        matches!(self, Profile::Savp | Profile::Savpf)
    }
}

/// Both keys of a stream that is protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secured {
    /// What we protect with.
    pub local: Crypto,
    /// What the peer protects with.
    pub remote: Crypto,
}

impl Secured {
    /// What an answer of ours says.
    pub(super) fn line(&self) -> &[Crypto] {
        std::slice::from_ref(&self.local)
    }
}

/// The lines of an offer of ours, and its transport. A session that is protected goes on with the key and
/// the tag that it has, so that nobody starts its counters over.
pub(super) fn offered(
    local: &LocalAudio,
    in_use: Option<&Secured>,
    profile: Profile,
) -> (Vec<Crypto>, Profile) {
    match (local.security, in_use) {
        (Security::Plain, _) => (Vec::new(), Profile::Avp),
        (_, Some(in_use)) => (vec![in_use.local.clone()], profile),
        (Security::Optional, None) => (local.crypto.clone(), Profile::Avp),
        (Security::Required, None) => (local.crypto.clone(), Profile::Savp),
    }
}

/// A description without its lines.
pub(super) fn without_keys(sdp: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(sdp);
    let kept: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("a=crypto:")).collect();
    Bytes::from(kept)
}

/// The sections of an offer with their places in the order in which they are tried: where sound may be
/// protected, those first that can be. Some offer the same stream twice, as `RTP/SAVP` and as `RTP/AVP`.
pub(super) fn protected_first(
    description: &SessionDescription,
    security: Security,
) -> impl Iterator<Item = (usize, &Media)> {
    let keyed = move |media: &Media| security != Security::Plain && media.has("crypto");
    let places = || description.media.iter().enumerate();
    places()
        .filter(move |(_, media)| keyed(media))
        .chain(places().filter(move |(_, media)| !keyed(media)))
}

/// What an answer makes of the lines of our offer (RFC 4568 §5.1.3).
pub(super) fn answered(
    lines: &[Crypto],
    (security, offered): (Security, Profile),
    remote: &Audio,
) -> Result<Option<Secured>, OfferError> {
    let answered = Profile::named(&remote.proto).ok_or(OfferError::Mismatch)?;
    if lines.is_empty() {
        return if answered.is_secure() { Err(OfferError::Mismatch) } else { Ok(None) };
    }
    let taken = remote.crypto.first().and_then(|theirs| {
        let ours =
            lines.iter().find(|ours| ours.tag == theirs.tag && ours.suite == theirs.suite)?;
        Some(Secured { local: ours.clone(), remote: theirs.clone() })
    });
    let needed = security == Security::Required || offered.is_secure() || answered.is_secure();
    match taken {
        Some(secured) => Ok(Some(secured)),
        // Whoever means a line and gets it wrong would not hear us, nor we him.
        None if needed || remote.keyed => Err(OfferError::Insecure),
        None => Ok(None),
    }
}

/// The line of an offer that is taken, with a key of ours (RFC 4568 §5.1.2): the one in use, if it stands
/// there with the same key; else the first that will do, and then our key is a new one too.
pub(super) fn chosen(
    local: &LocalAudio,
    in_use: Option<&Secured>,
    remote: &Audio,
) -> Result<Option<Secured>, OfferError> {
    let secure = Profile::named(&remote.proto).is_some_and(Profile::is_secure);
    let same = |theirs: &&Crypto| {
        in_use.is_some_and(|in_use| {
            let Crypto { suite, key, mki, .. } = &in_use.remote;
            (*suite, key, *mki) == (theirs.suite, &theirs.key, theirs.mki)
        })
    };
    let kept =
        remote.crypto.iter().find(same).zip(in_use).map(|(theirs, in_use)| (theirs, &in_use.local));
    let fresh = || {
        remote.crypto.iter().find_map(|theirs| {
            let ours = local.crypto.iter().find(|ours| ours.suite == theirs.suite)?;
            Some((theirs, ours))
        })
    };
    let taken = kept.or_else(fresh).filter(|_| local.security != Security::Plain);
    match taken {
        Some((theirs, ours)) => {
            let local = Crypto { tag: theirs.tag, ..ours.clone() };
            Ok(Some(Secured { local, remote: theirs.clone() }))
        }
        None if secure || local.security == Security::Required => Err(OfferError::Insecure),
        None => Ok(None),
    }
}

/// Lines of a section that can be obeyed, each tag once; and whether there are any lines at all.
pub(super) fn lines<'a>(values: impl Iterator<Item = &'a str>) -> (Vec<Crypto>, bool) {
    let (mut lines, mut keyed) = (Vec::<Crypto>::new(), false);
    for value in values.take(LINES_MAX) {
        keyed = true;
        if let Some(line) = Crypto::parse(value)
            && !lines.iter().any(|known| known.tag == line.tag)
        {
            lines.push(line);
        }
    }
    (lines, keyed)
}

#[cfg(test)]
mod tests;
