//! Keys of SRTP, as signalling tells them to the media plane.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Whether the sound of a far end is protected by SRTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Never: plain RTP alone.
    #[default]
    Off,
    /// If the far end does it too (RFC 8643); else plain RTP.
    Optional,
    /// Always: who does not do it has no call.
    Required,
}

/// What packets are protected with (RFC 4568 §6.2, RFC 6188, RFC 7714). Stored by its registered name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SrtpSuite {
    /// AES_CM_128_HMAC_SHA1_80.
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    Aes128Sha1_80,
    /// AES_CM_128_HMAC_SHA1_32.
    #[serde(rename = "AES_CM_128_HMAC_SHA1_32")]
    Aes128Sha1_32,
    /// AES_192_CM_HMAC_SHA1_80.
    #[serde(rename = "AES_192_CM_HMAC_SHA1_80")]
    Aes192Sha1_80,
    /// AES_192_CM_HMAC_SHA1_32.
    #[serde(rename = "AES_192_CM_HMAC_SHA1_32")]
    Aes192Sha1_32,
    /// AES_256_CM_HMAC_SHA1_80.
    #[serde(rename = "AES_256_CM_HMAC_SHA1_80")]
    Aes256Sha1_80,
    /// AES_256_CM_HMAC_SHA1_32.
    #[serde(rename = "AES_256_CM_HMAC_SHA1_32")]
    Aes256Sha1_32,
    /// AEAD_AES_128_GCM.
    #[serde(rename = "AEAD_AES_128_GCM")]
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    #[serde(rename = "AEAD_AES_256_GCM")]
    Aes256Gcm,
}

impl SrtpSuite {
    /// All there are.
    pub const ALL: [SrtpSuite; 8] = [
        SrtpSuite::Aes128Sha1_80,
        SrtpSuite::Aes128Sha1_32,
        SrtpSuite::Aes192Sha1_80,
        SrtpSuite::Aes192Sha1_32,
        SrtpSuite::Aes256Sha1_80,
        SrtpSuite::Aes256Sha1_32,
        SrtpSuite::Aes128Gcm,
        SrtpSuite::Aes256Gcm,
    ];

    /// Its registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            SrtpSuite::Aes128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            SrtpSuite::Aes128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            SrtpSuite::Aes192Sha1_80 => "AES_192_CM_HMAC_SHA1_80",
            SrtpSuite::Aes192Sha1_32 => "AES_192_CM_HMAC_SHA1_32",
            SrtpSuite::Aes256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            SrtpSuite::Aes256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            SrtpSuite::Aes128Gcm => "AEAD_AES_128_GCM",
            SrtpSuite::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }
}

/// A master key and its salt. Wiped when dropped, and never shown: not in a log, a record or a journal.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SrtpKey(Vec<u8>);

impl SrtpKey {
    /// The key and then the salt, as long as the suite wants them.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> SrtpKey {
        SrtpKey(bytes)
    }

    /// The same.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SrtpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKey").finish_non_exhaustive()
    }
}

/// What a leg's sound is protected with, each way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SrtpKeys {
    /// The suite of both ways.
    pub suite: SrtpSuite,
    /// What we protect with.
    pub send: SrtpKey,
    /// What the far end protects with.
    pub receive: SrtpKey,
    /// The name of the far end's key in its packets, and how many octets it takes (RFC 3711 §3.1).
    pub mki: Option<(u64, u8)>,
}
