//! The RTP packet as bytes: a checked view and rewriting by offset (RFC 3550 §5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |           synchronization source (SSRC) identifier            |
//! ```
//!
//! The only module that names `rtp_rs`, which does the checking.

use std::ops::Range;

use rtp_rs::RtpReader;
use thiserror::Error;

use crate::wire::{put_u16, put_u32};

/// Octets of a header without contributing sources and extension.
pub const HEADER_LEN: usize = 12;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not an RTP packet of version 2")]
pub struct Malformed;

/// What a packet's header says, and where its payload lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// First packet of a talkspurt, or of a key (RFC 3551 §4.1, RFC 4733 §2.3.3).
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Sampling instant of the first octet of the payload.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The payload's place in the packet: contributing sources, extension and padding excluded.
    pub payload: Range<usize>,
}

impl Header {
    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// When the version is not 2, or when contributing sources, extension or padding reach beyond
    /// the packet.
    pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        let packet = RtpReader::new(bytes).map_err(|_| Malformed)?;
        let start = packet.payload_offset();
        let payload = start..start + packet.payload().len();
        Ok(Header {
            payload_type: packet.payload_type(),
            marker: packet.mark(),
            sequence: packet.sequence_number().into(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            payload,
        })
    }
}

/// True when a datagram that came to a port shared by both is RTCP: RFC 5761 §4 sets the payload
/// types 64–95 aside, so that RTCP's 192–223 cannot be taken for a marked RTP packet.
#[must_use]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 2 && bytes[0] >> 6 == 2 && matches!(bytes[1] & 0x7f, 64..=95)
}

/// The header fields that a relay writes anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Stamp {
    /// Writes the fields over a packet's header; everything else stays as it is.
    ///
    /// `packet` holds at least [`HEADER_LEN`] octets: it was parsed, or is about to be built.
    pub fn write(self, packet: &mut [u8]) {
        packet[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        put_u16(packet, 2, self.sequence);
        put_u32(packet, 4, self.timestamp);
        put_u32(packet, 8, self.ssrc);
    }

    /// Writes a whole plain header: no padding, extension or contributing sources.
    pub fn write_new(self, packet: &mut [u8]) {
        packet[0] = 2 << 6;
        self.write(packet);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3550_5_1_padding_extension_and_sources_are_not_payload() {
        let mut bytes = vec![0b1011_0001, 0x80 | 8, 0x12, 0x34];
        bytes.extend([0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef]);
        bytes.extend([9, 9, 9, 9]); // one contributing source
        bytes.extend([0xbe, 0xde, 0, 1, 7, 7, 7, 7]); // extension of one word
        bytes.extend([1, 2, 3]); // payload
        bytes.extend([0, 2]); // two octets of padding
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.payload_type, header.marker, header.sequence), (8, true, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (160, 0xdead_beef));
        assert_eq!(&bytes[header.payload], &[1, 2, 3]);
    }

    #[test]
    fn rfc3550_a_1_headers_that_lie_are_refused() {
        assert!(Header::parse(&[]).is_err());
        assert!(Header::parse(&[0x80; 11]).is_err());
        assert!(Header::parse(&[0x40; 12]).is_err(), "version 1");
        assert!(Header::parse(&[0x8f; 40]).is_err(), "fifteen sources do not fit");
        let mut padded = [0_u8; 14];
        padded[0] = 0xa0;
        padded[13] = 3;
        assert!(Header::parse(&padded).is_err(), "more padding than payload");
        padded[13] = 0;
        assert!(Header::parse(&padded).is_err(), "padding counts itself");
    }

    #[test]
    fn a23_rfc5761_4_payload_types_64_to_95_are_rtcp() {
        for second in 0..=255_u8 {
            let expected = (64..=95).contains(&(second & 0x7f));
            assert_eq!(is_rtcp(&[0x80, second, 0, 0]), expected, "{second}");
        }
        for rtcp in 200..=207_u8 {
            assert!(is_rtcp(&[0x81, rtcp]));
        }
        assert!(!is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_was_stamped_is_read_back(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            payload_type in 0..128_u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
        ) {
            if let Ok(before) = Header::parse(&bytes) {
                let stamp = Stamp { payload_type, marker, sequence, timestamp, ssrc };
                stamp.write(&mut bytes);
                let after = Header::parse(&bytes).unwrap();
                let payload = before.payload;
                let expected = Header { payload_type, marker, sequence, timestamp, ssrc, payload };
                prop_assert_eq!(after, expected);
            }
        }
    }
}
