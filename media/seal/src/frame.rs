//! What both sides agree on: the beginning of a file, and its frames.

use aes_gcm::aead::KeyInit as _;
use aes_gcm::{AeadInPlace as _, Aes256Gcm, Key, Nonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keys::{Keys, NAME_MAX, is_name};
use crate::{OpenError, SALT_BYTES};

/// What sealed files begin with.
pub const MAGIC: &[u8; 8] = b"TANDEMR1";
/// Plain octets of a frame at most.
pub const FRAME_MAX: usize = 16 * 1024;
/// Octets before the sealed ones of a frame.
pub(crate) const FRAME_HEAD: usize = 4;
pub(crate) const TAG: usize = 16;
/// What a frame has beside its plain octets.
pub const FRAME_MORE: usize = FRAME_HEAD + TAG;
/// Octets of the longest beginning of a file.
pub(crate) const BEGIN_MAX: usize = MAGIC.len() + 1 + NAME_MAX + SALT_BYTES;
/// Octets of the frame that ends a file.
pub(crate) const END_BYTES: usize = FRAME_HEAD + 8 + TAG;

/// Whether a file that begins like this is sealed.
#[must_use]
pub fn is_sealed(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Head = 1,
    Sound = 2,
    End = 3,
}

/// A frame's first octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHead {
    pub(crate) kind: Kind,
    pub(crate) generation: u8,
    pub(crate) plain: usize,
}

impl FrameHead {
    pub(crate) fn read(octets: &[u8]) -> Option<FrameHead> {
        let [kind, generation, high, low] = *octets.first_chunk()?;
        let kind = match kind {
            1 => Kind::Head,
            2 => Kind::Sound,
            3 => Kind::End,
            _ => return None,
        };
        let plain = usize::from(u16::from_be_bytes([high, low]));
        (plain <= FRAME_MAX).then_some(FrameHead { kind, generation, plain })
    }

    /// Octets of the whole frame.
    pub(crate) fn frame(&self) -> usize {
        FRAME_HEAD + self.plain + TAG
    }
}

/// What seals and opens the frames of one file.
pub(crate) struct Cipher {
    cipher: Aes256Gcm,
    /// The beginning of the file: part of what every tag vouches for.
    begin: Vec<u8>,
}

impl Cipher {
    /// That of the file with this beginning.
    pub(crate) fn of(keys: &Keys, octets: &[u8]) -> Result<Cipher, OpenError> {
        let name = name_of(octets)?;
        let from = MAGIC.len() + 1 + name.len();
        let salt = octets.get(from..from + SALT_BYTES).ok_or(OpenError::Broken)?;
        let key = keys.find(name).ok_or_else(|| OpenError::NoKey(name.to_owned()))?;
        let begin = octets[..from + SALT_BYTES].to_vec();
        let own = own_key(key, salt);
        let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&*own));
        Ok(Cipher { cipher, begin })
    }

    pub(crate) fn begin(&self) -> &[u8] {
        &self.begin
    }

    /// Appends a frame.
    pub(crate) fn seal(&self, head: FrameHead, number: u64, plain: &[u8], out: &mut Vec<u8>) {
        let length = plain.len().min(FRAME_MAX);
        let [high, low] = (length as u16).to_be_bytes();
        out.extend([head.kind as u8, head.generation, high, low]);
        let from = out.len();
        out.extend_from_slice(&plain[..length]);
        let nonce = nonce(head, number);
        // Only octets in excess of 64 GiB are refused.
        if let Ok(tag) = self.cipher.encrypt_in_place_detached(
            Nonce::from_slice(&nonce),
            &self.begin,
            &mut out[from..],
        ) {
            out.extend_from_slice(&tag);
        }
    }

    /// Opens the frame at the start of these octets.
    pub(crate) fn open(
        &self,
        number: u64,
        frame: &[u8],
    ) -> Result<(FrameHead, Vec<u8>), OpenError> {
        let head = FrameHead::read(frame).ok_or(OpenError::Broken)?;
        let sealed = frame.get(FRAME_HEAD..head.frame()).ok_or(OpenError::Broken)?;
        let (sealed, tag) = sealed.split_at(head.plain);
        let mut plain = sealed.to_vec();
        let nonce = nonce(head, number);
        self.cipher
            .decrypt_in_place_detached(
                Nonce::from_slice(&nonce),
                &self.begin,
                &mut plain,
                tag.into(),
            )
            .map_err(|_| OpenError::Broken)?;
        Ok((head, plain))
    }
}

/// The name of the key in the beginning of a file.
pub(crate) fn name_of(octets: &[u8]) -> Result<&str, OpenError> {
    let rest = octets.strip_prefix(MAGIC).ok_or(OpenError::NotSealed)?;
    let (length, rest) = rest.split_first().ok_or(OpenError::Broken)?;
    let name = rest.get(..usize::from(*length)).ok_or(OpenError::Broken)?;
    let name = std::str::from_utf8(name).map_err(|_| OpenError::Broken)?;
    if is_name(name.as_bytes()) { Ok(name) } else { Err(OpenError::Broken) }
}

/// A key of the file's own: HMAC-SHA256 of a name and the salt, by the operator's key.
fn own_key(key: &[u8; 32], salt: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut own = Zeroizing::new([0; 32]);
    // HMAC takes keys of any length.
    if let Ok(mut mac) = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key) {
        mac.update(b"tandem recording 1");
        mac.update(salt);
        own.copy_from_slice(&mac.finalize().into_bytes());
    }
    own
}

/// Kind, generation, and the number of the frame within its file: unique under a file's key.
fn nonce(head: FrameHead, number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    (nonce[0], nonce[1]) = (head.kind as u8, head.generation);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}
