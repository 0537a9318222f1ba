//! SRTP and SRTCP (RFC 3711, with the suites of RFC 6188 and RFC 7714) in place, over bytes.
//!
//! A [`Sender`] protects what leaves under one master key, a [`Receiver`] opens what comes under another:
//! each direction has its own (RFC 4568 §6.1). Both know their packets by SSRC and by an index of 48 bits,
//! of which only the low 16 travel; the rest, the roll-over counter, is counted at both ends, and lives as
//! long as the key does. Where keys come from and who may be told them is not known here.
//!
//! * Nothing of a packet counts before its tag was checked: no window, counter or stream is touched by a
//!   forged one, and its bytes are as they came.
//! * No index is used twice under one key, in either direction: a packet that is sent again would give away
//!   the difference of two payloads, and with GCM the key of the tags (RFC 3711 §9.1, RFC 7714 §8.1).
//! * Session keys are derived once (key derivation rate 0) and wiped when they are dropped, but for the
//!   hashed state of HMAC keys, from which they cannot be read back.
//!
//! Nothing here allocates per packet; a stream's first packet takes its place in the table.

use crate::packet::HEADER_LEN;

mod key;
mod receiver;
mod sender;
mod stream;
mod transform;
mod window;

pub use key::{MASTER_MAX, MKI_MAX, Master, Mki, Suite};
pub use receiver::{Receiver, Tally};
pub use sender::Sender;
pub use stream::STREAMS_MAX;

/// Octets that protecting adds to a packet at most: SRTCP's index and GCM's tag.
pub const TRAILER_MAX: usize = 20;

/// Why a packet was not protected or not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// Too short, or a header that lies.
    #[error("not a packet of SRTP")]
    Malformed,
    /// The tag, or the name of the key, is not what the key makes it.
    #[error("authentication failed")]
    Forged,
    /// Opened or protected before, or too old to tell.
    #[error("replayed")]
    Replayed,
    /// [`STREAMS_MAX`] streams were heard under this key.
    #[error("too many streams under one key")]
    TooManyStreams,
    /// The key has protected all it may (RFC 3711 §9.2).
    #[error("the key is used up")]
    Exhausted,
    /// The buffer has no room for what protecting adds.
    #[error("no room for the tag")]
    NoRoom,
}

/// Octets of an RTP header with its contributing sources and extension (RFC 3550 §5.1). What follows is
/// encrypted, padding and all, so that only this much can be checked.
fn header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first().filter(|first| **first >> 6 == 2)?;
    let mut len = HEADER_LEN + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(len + 2..len + 4)?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (len <= packet.len()).then_some(len)
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
