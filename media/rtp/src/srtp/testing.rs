//! What tests of this folder share.

use super::{Master, Mki, Suite};

pub(super) const SUITES: [Suite; 8] = [
    Suite::Aes128Sha1_80,
    Suite::Aes128Sha1_32,
    Suite::Aes192Sha1_80,
    Suite::Aes192Sha1_32,
    Suite::Aes256Sha1_80,
    Suite::Aes256Sha1_32,
    Suite::Aes128Gcm,
    Suite::Aes256Gcm,
];

/// Octets from hexadecimal digits; blanks are skipped.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A key of its own for each number.
pub(super) fn master(suite: Suite, number: u8) -> Master {
    named(suite, number, None)
}

/// The same with a name.
pub(super) fn named(suite: Suite, number: u8, mki: Option<Mki>) -> Master {
    let bytes: Vec<u8> = (0..suite.key_len() + suite.salt_len())
        .map(|at| number.wrapping_mul(31) ^ (at * 7 % 256) as u8)
        .collect();
    Master::new(suite, &bytes, mki).unwrap()
}

/// An RTP packet without its tag.
pub(super) fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The packet, protected.
pub(super) fn sealed(sender: &mut super::Sender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + super::TRAILER_MAX, 0);
    let len = sender.protect(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

/// The compound, protected.
pub(super) fn sealed_rtcp(sender: &mut super::Sender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + super::TRAILER_MAX, 0);
    let len = sender.protect_rtcp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}
