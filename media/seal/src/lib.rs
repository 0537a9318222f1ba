//! Recordings at rest that only who has the key can read.
//!
//! A sealed file grows as the recording does: what is appended is sealed at once, in frames of their own, so that a
//! process that is killed leaves everything up to its last write. AES-256-GCM; each file has a key of its own, made of
//! the operator's and a random salt, and each frame a number of its own, so no pair of key and nonce is ever used twice.
//!
//! ```text
//! "TANDEMR1" | length of the key's id | id | salt, 16 octets
//! frame: kind | generation | length of the plain octets, 16 bits | sealed octets | tag, 16 octets
//! ```
//!
//! Frames are the head (which is written anew when the recording ends), sound, and the end, which tells the length: a
//! file that was cut, or whose frames were changed, taken out, swapped or taken from another file, does not open. A recording
//! that is taken up again after a crash writes frames of the next generation.
//!
//! Pure: octets in, octets out; the salt is an argument. Files belong to whoever has them.

mod frame;
mod keys;
mod reader;
mod writer;

pub use frame::{FRAME_MAX, FRAME_MORE, MAGIC, is_sealed};
pub use keys::{KeyError, Keys};
pub use reader::{Found, Piece, Reader, key_of, salvage};
pub use writer::{SALT_BYTES, Sealer};

/// Why a sealed file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not begin as sealed files do.
    #[error("not a sealed recording")]
    NotSealed,
    /// The key is not among those that are known: without it nobody can read the file.
    #[error("sealed with the key \"{0}\", which is not in the key file")]
    NoKey(String),
    /// A frame is not what was written: changed, cut, swapped, or sealed with another key of the same name.
    #[error("the recording was changed or cut, or its key is another one of the same name")]
    Broken,
    /// The recording was never finished.
    #[error("the recording has no end: it was never finished, or it was cut")]
    Unfinished,
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
