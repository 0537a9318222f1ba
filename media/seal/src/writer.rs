//! Sealing what is written.

use crate::OpenError;
use crate::frame::{Cipher, FRAME_MAX, FrameHead, Kind, MAGIC};
use crate::keys::Keys;
use crate::reader::Found;

/// Octets of a file's salt: random, never used twice.
pub const SALT_BYTES: usize = 16;

/// Seals one file. What it appends goes behind what is there; only [`Sealer::head_anew`] goes elsewhere.
pub struct Sealer {
    cipher: Cipher,
    generation: u8,
    /// Frames of sound so far.
    sounds: u64,
    plain: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("plain", &self.plain).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A file that begins with this head, sealed with the newest key. Its first octets are appended to `out`.
    ///
    /// # Errors
    /// None that a key file which was read can lead to.
    pub fn new(
        keys: &Keys,
        salt: [u8; SALT_BYTES],
        head: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Sealer, OpenError> {
        let name = keys.newest();
        let mut begin = MAGIC.to_vec();
        begin.push(name.len() as u8);
        begin.extend_from_slice(name.as_bytes());
        begin.extend_from_slice(&salt);
        let mut sealer =
            Sealer { cipher: Cipher::of(keys, &begin)?, generation: 0, sounds: 0, plain: 0 };
        out.extend_from_slice(&begin);
        sealer.cipher.seal(sealer.frame(Kind::Head), 0, head, out);
        sealer.generation = 1;
        sealer.plain = head.len() as u64;
        Ok(sealer)
    }

    /// Goes on with a file that was found; `found` is as far as it goes.
    ///
    /// # Errors
    /// [`OpenError`]. [`OpenError::Broken`] also when it was taken up more often than anybody crashes.
    pub fn resume(keys: &Keys, begin: &[u8], found: &Found) -> Result<Sealer, OpenError> {
        // A frame that was cut off may have had the first generation of sound; no pair of key and nonce is used again.
        let generation = found.generation.max(1).checked_add(1).ok_or(OpenError::Broken)?;
        let cipher = Cipher::of(keys, begin)?;
        Ok(Sealer { cipher, generation, sounds: found.sounds, plain: found.plain })
    }

    /// Appends sound.
    pub fn sound(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        for part in plain.chunks(FRAME_MAX) {
            self.cipher.seal(self.frame(Kind::Sound), self.sounds, part, out);
            self.sounds += 1;
            self.plain += part.len() as u64;
        }
    }

    /// The head of a recording that is over, once, and where it goes; it is as long as the one it takes the place of.
    pub fn head_anew(&mut self, head: &[u8]) -> (u64, Vec<u8>) {
        let mut out = Vec::new();
        self.cipher.seal(self.frame(Kind::Head), 0, head, &mut out);
        (self.cipher.begin().len() as u64, out)
    }

    /// Appends the end.
    pub fn end(self, out: &mut Vec<u8>) {
        self.cipher.seal(self.frame(Kind::End), self.sounds, &self.plain.to_be_bytes(), out);
    }

    fn frame(&self, kind: Kind) -> FrameHead {
        FrameHead { kind, generation: self.generation, plain: 0 }
    }
}
