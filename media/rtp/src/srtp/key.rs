//! Suites and master keys.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// What packets are protected with. The names are those of RFC 4568 §6.2, RFC 6188 §4 and RFC 7714 §14.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`.
    Aes128Sha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: SRTCP's tags are of 80 bits all the same (RFC 4568 §6.2.2).
    Aes128Sha1_32,
    /// `AES_192_CM_HMAC_SHA1_80`.
    Aes192Sha1_80,
    /// `AES_192_CM_HMAC_SHA1_32`.
    Aes192Sha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`.
    Aes256Sha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`.
    Aes256Sha1_32,
    /// `AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
}

impl Suite {
    /// Octets of the master key, and of the session keys for encryption.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Suite::Aes128Sha1_80 | Suite::Aes128Sha1_32 | Suite::Aes128Gcm => 16,
            Suite::Aes192Sha1_80 | Suite::Aes192Sha1_32 => 24,
            Suite::Aes256Sha1_80 | Suite::Aes256Sha1_32 | Suite::Aes256Gcm => 32,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    /// Octets of a packet's tag; `control`: of SRTCP's.
    #[must_use]
    pub const fn tag_len(self, control: bool) -> usize {
        match self {
            Suite::Aes128Gcm | Suite::Aes256Gcm => 16,
            Suite::Aes128Sha1_32 | Suite::Aes192Sha1_32 | Suite::Aes256Sha1_32 if !control => 4,
            _ => 10,
        }
    }

    pub(super) const fn is_gcm(self) -> bool {
        matches!(self, Suite::Aes128Gcm | Suite::Aes256Gcm)
    }
}

/// Octets of a master key and its salt at most.
pub const MASTER_MAX: usize = 46;

/// Octets of a master key identifier at most. RFC 4568 §6.1 allows 128; nobody was seen to use more
/// than four.
pub const MKI_MAX: usize = 8;

/// The name of the key, at the end of each packet (RFC 3711 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mki {
    /// Its value, a number.
    pub value: u64,
    /// Octets that it takes, 1 to [`MKI_MAX`].
    pub len: u8,
}

impl Mki {
    /// Whether these octets, [`Mki::len`] of them, name the key.
    pub(super) fn is(self, bytes: &[u8]) -> bool {
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        value == self.value
    }
}

/// A master key with its salt. Wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Master {
    #[zeroize(skip)]
    suite: Suite,
    #[zeroize(skip)]
    mki: Option<Mki>,
    bytes: [u8; MASTER_MAX],
}

impl Master {
    /// A key for this suite: `bytes` are the key and then the salt. `None` unless they are as long as the
    /// suite wants them, and the identifier as long as it may be.
    #[must_use]
    pub fn new(suite: Suite, bytes: &[u8], mki: Option<Mki>) -> Option<Master> {
        let named = mki.is_none_or(|mki| (1..=MKI_MAX).contains(&usize::from(mki.len)));
        if bytes.len() != suite.key_len() + suite.salt_len() || !named {
            return None;
        }
        let mut master = Master { suite, mki, bytes: [0; MASTER_MAX] };
        master.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(master)
    }

    /// What it protects with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Its name in the packets, if they bear one.
    #[must_use]
    pub fn mki(&self) -> Option<Mki> {
        self.mki
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_len()]
    }

    /// The salt, as long as key derivation wants it: RFC 7714 §11 pads 96 bits on the right.
    pub(super) fn salt(&self) -> [u8; 14] {
        let mut salt = [0; 14];
        let len = self.suite.salt_len();
        salt[..len].copy_from_slice(&self.bytes[self.suite.key_len()..][..len]);
        salt
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("suite", &self.suite).finish_non_exhaustive()
    }
}
