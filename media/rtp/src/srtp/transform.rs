//! Session keys, and what they do to the bytes of one packet (RFC 3711 §4, RFC 7714 §§8–10).

use std::fmt;

use aes::cipher::consts::U16;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::generic_array::typenum::U12;
use aes::cipher::{BlockCipher, BlockEncrypt, BlockSizeUser, InnerIvInit, KeyInit};
use aes::cipher::{StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use aes_gcm::{AeadInPlace, AesGcm};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::Failure;
use super::key::{Master, Suite};

/// Octets of the session keys for tags (RFC 3711 §5.2).
const AUTH_LEN: usize = 20;

/// Whose keys: those of SRTP or those of SRTCP. The numbers are the first label of each (RFC 3711 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Srtp = 0,
    Srtcp = 3,
}

/// The session keys of one protocol under one master key.
pub(super) enum Transform {
    /// AES in counter mode and HMAC-SHA1.
    Counter { cipher: Block, salt: [u8; 14], mac: Hmac<Sha1>, tag_len: usize },
    /// AES in Galois/counter mode.
    Galois { cipher: Galois, salt: [u8; 12] },
}

/// AES, only ever encrypting, with keys of each length.
pub(super) enum Block {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

/// The same with tags.
#[allow(clippy::large_enum_variant, reason = "a few a leg, and each is read with every packet")]
pub(super) enum Galois {
    Aes128(AesGcm<Aes128Enc, U12>),
    Aes256(AesGcm<Aes256Enc, U12>),
}

/// Where a packet stands: what its nonce is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) ssrc: u32,
    /// 48 bits for SRTP, 31 for SRTCP.
    pub(super) index: u64,
}

impl Transform {
    /// Derives the session keys (RFC 3711 §4.3, rate 0).
    pub(super) fn derive(master: &Master, protocol: Protocol) -> Transform {
        let suite = master.suite();
        let mut key = Zeroizing::new([0_u8; 32]);
        let key = &mut key[..suite.key_len()];
        let mut auth = Zeroizing::new([0_u8; AUTH_LEN]);
        let mut salt = [0_u8; 14];
        let label = protocol as u8;
        derive(master, label, key);
        derive(master, label + 1, &mut *auth);
        derive(master, label + 2, &mut salt[..suite.salt_len()]);
        Transform::of_session(suite, protocol, key, &salt, &*auth)
    }

    /// From the session keys themselves. `salt` is as long as the suite wants it or longer.
    pub(super) fn of_session(
        suite: Suite,
        protocol: Protocol,
        key: &[u8],
        salt: &[u8; 14],
        auth: &[u8],
    ) -> Transform {
        if suite.is_gcm() {
            let mut short = [0; 12];
            short.copy_from_slice(&salt[..12]);
            return Transform::Galois { cipher: Galois::new(key), salt: short };
        }
        let mac = <Hmac<Sha1> as Mac>::new_from_slice(auth).expect("HMAC takes any length");
        let tag_len = suite.tag_len(protocol == Protocol::Srtcp);
        Transform::Counter { cipher: Block::new(key), salt: *salt, mac, tag_len }
    }

    /// Octets of a tag.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Transform::Counter { tag_len, .. } => *tag_len,
            Transform::Galois { .. } => 16,
        }
    }

    /// Protects an SRTP packet: `packet` is header, payload and room for the tag.
    pub(super) fn seal_rtp(&self, place: Place, header: usize, packet: &mut [u8]) {
        let (body, tag) = packet.split_at_mut(packet.len() - self.tag_len());
        match self {
            Transform::Counter { cipher, salt, mac, .. } => {
                cipher.apply(&counter(salt, place), &mut body[header..]);
                put_tag(mac, &[body, &roll_over(place)], tag);
            }
            Transform::Galois { cipher, salt } => {
                let (header, payload) = body.split_at_mut(header);
                cipher.seal(&rtp_nonce(salt, place), header, payload, tag);
            }
        }
    }

    /// Opens an SRTP packet: `body` is header and payload. When it is forged, nothing is written.
    pub(super) fn open_rtp(
        &self,
        place: Place,
        header: usize,
        body: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Failure> {
        match self {
            Transform::Counter { cipher, salt, mac, .. } => {
                check_tag(mac, &[body, &roll_over(place)], tag)?;
                cipher.apply(&counter(salt, place), &mut body[header..]);
                Ok(())
            }
            Transform::Galois { cipher, salt } => {
                let (header, payload) = body.split_at_mut(header);
                cipher.open(&rtp_nonce(salt, place), header, payload, tag)
            }
        }
    }

    /// Protects an SRTCP packet: `packet` is [`CONTROL_HEADER`] octets, the rest of the compound, and room
    /// for tag and index, in the order that the suite wants them. `word` is the index with the E flag.
    pub(super) fn seal_rtcp(&self, place: Place, word: [u8; 4], packet: &mut [u8]) {
        match self {
            Transform::Counter { cipher, salt, mac, .. } => {
                let (signed, tag) = packet.split_at_mut(packet.len() - self.tag_len());
                let (body, index) = signed.split_at_mut(signed.len() - 4);
                cipher.apply(&counter(salt, place), &mut body[CONTROL_HEADER..]);
                index.copy_from_slice(&word);
                put_tag(mac, &[signed], tag);
            }
            Transform::Galois { cipher, salt } => {
                let (sealed, index) = packet.split_at_mut(packet.len() - 4);
                let (body, tag) = sealed.split_at_mut(sealed.len() - 16);
                let (header, payload) = body.split_at_mut(CONTROL_HEADER);
                cipher.seal(&rtcp_nonce(salt, place), &beside(header, word), payload, tag);
                index.copy_from_slice(&word);
            }
        }
    }

    /// Opens an SRTCP packet: the first `end` octets of `packet` are the compound, and more follow. When it
    /// is forged, it is as it was.
    pub(super) fn open_rtcp(
        &self,
        place: Place,
        word: [u8; 4],
        packet: &mut [u8],
        end: usize,
        tag: &[u8],
    ) -> Result<(), Failure> {
        let encrypted = u32::from_be_bytes(word) & ENCRYPTED != 0;
        match self {
            Transform::Counter { cipher, salt, mac, .. } => {
                check_tag(mac, &[&packet[..end], &word], tag)?;
                if encrypted {
                    cipher.apply(&counter(salt, place), &mut packet[CONTROL_HEADER..end]);
                }
                Ok(())
            }
            Transform::Galois { cipher, salt } => {
                let nonce = rtcp_nonce(salt, place);
                if encrypted {
                    let (header, payload) = packet[..end].split_at_mut(CONTROL_HEADER);
                    return cipher.open(&nonce, &beside(header, word), payload, tag);
                }
                // RFC 7714 §9.3: all of it is beside the text, which is empty. What is beside the text has
                // to lie in one piece, so the index stands behind it meanwhile.
                let mut kept = word;
                packet[end..end + 4].swap_with_slice(&mut kept);
                let opened = cipher.open(&nonce, &packet[..end + 4], &mut [], tag);
                packet[end..end + 4].swap_with_slice(&mut kept);
                opened
            }
        }
    }
}

#[cfg(test)]
impl Transform {
    /// Signs an SRTCP packet that is not encrypted, as only peers do.
    pub(super) fn sign_rtcp(&self, place: Place, word: u32, packet: &mut [u8], end: usize) {
        let word = word.to_be_bytes();
        match self {
            Transform::Counter { mac, .. } => {
                packet[end..end + 4].copy_from_slice(&word);
                let (signed, tag) = packet.split_at_mut(end + 4);
                put_tag(mac, &[signed], &mut tag[..self.tag_len()]);
            }
            Transform::Galois { cipher, salt } => {
                let mut tag = [0; 16];
                packet[end..end + 4].copy_from_slice(&word);
                let nonce = rtcp_nonce(salt, place);
                cipher.seal(&nonce, &packet[..end + 4], &mut [], &mut tag);
                packet[end..end + 16].copy_from_slice(&tag);
                packet[end + 16..end + 20].copy_from_slice(&word);
            }
        }
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform").finish_non_exhaustive()
    }
}

/// The flag beside the index of an SRTCP packet that is encrypted (RFC 3711 §3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;
/// Octets of an SRTCP packet that stay clear: the head of the first report, and its SSRC.
pub(super) const CONTROL_HEADER: usize = 8;

impl Block {
    fn new(key: &[u8]) -> Block {
        match key.len() {
            16 => Block::Aes128(Aes128Enc::new(GenericArray::from_slice(key))),
            24 => Block::Aes192(Aes192Enc::new(GenericArray::from_slice(key))),
            _ => Block::Aes256(Aes256Enc::new(GenericArray::from_slice(key))),
        }
    }

    /// The keystream from this counter on, over these bytes.
    pub(super) fn apply(&self, counter: &[u8; 16], bytes: &mut [u8]) {
        match self {
            Block::Aes128(cipher) => keystream(cipher, counter, bytes),
            Block::Aes192(cipher) => keystream(cipher, counter, bytes),
            Block::Aes256(cipher) => keystream(cipher, counter, bytes),
        }
    }
}

fn keystream<C>(cipher: &C, counter: &[u8; 16], bytes: &mut [u8])
where
    C: BlockEncrypt + BlockCipher + BlockSizeUser<BlockSize = U16>,
{
    let core = CtrCore::<&C, Ctr128BE>::inner_iv_init(cipher, GenericArray::from_slice(counter));
    StreamCipherCoreWrapper::from_core(core).apply_keystream(bytes);
}

impl Galois {
    fn new(key: &[u8]) -> Galois {
        match key.len() {
            16 => Galois::Aes128(AesGcm::new(GenericArray::from_slice(key))),
            _ => Galois::Aes256(AesGcm::new(GenericArray::from_slice(key))),
        }
    }

    fn seal(&self, nonce: &[u8; 12], beside: &[u8], text: &mut [u8], tag: &mut [u8]) {
        let nonce = GenericArray::from_slice(nonce);
        let sealed = match self {
            Galois::Aes128(cipher) => cipher.encrypt_in_place_detached(nonce, beside, text),
            Galois::Aes256(cipher) => cipher.encrypt_in_place_detached(nonce, beside, text),
        };
        tag.copy_from_slice(&sealed.expect("a datagram is shorter than 2^36 octets"));
    }

    /// The tag is compared before anything is written.
    fn open(
        &self,
        nonce: &[u8; 12],
        beside: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Failure> {
        let (nonce, tag) = (GenericArray::from_slice(nonce), GenericArray::from_slice(tag));
        let opened = match self {
            Galois::Aes128(cipher) => cipher.decrypt_in_place_detached(nonce, beside, text, tag),
            Galois::Aes256(cipher) => cipher.decrypt_in_place_detached(nonce, beside, text, tag),
        };
        opened.map_err(|_| Failure::Forged)
    }
}

/// RFC 3711 §4.3.1 and §4.3.3: counter mode under the master key, from the salt with the label in its
/// eighth octet.
fn derive(master: &Master, label: u8, out: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..14].copy_from_slice(&master.salt());
    counter[7] ^= label;
    out.fill(0);
    Block::new(master.key()).apply(&counter, out);
}

/// RFC 3711 §4.1.1: salt · 2^16 ⊕ SSRC · 2^64 ⊕ index · 2^16.
fn counter(salt: &[u8; 14], place: Place) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    xor(&mut iv[4..8], &place.ssrc.to_be_bytes());
    xor(&mut iv[8..14], &place.index.to_be_bytes()[2..]);
    iv
}

/// RFC 7714 §8.1: two zero octets, SSRC, roll-over counter and sequence number, ⊕ salt.
fn rtp_nonce(salt: &[u8; 12], place: Place) -> [u8; 12] {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &place.ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &place.index.to_be_bytes()[2..]);
    nonce
}

/// RFC 7714 §9.1: two zero octets, SSRC, two zero octets, index, ⊕ salt.
fn rtcp_nonce(salt: &[u8; 12], place: Place) -> [u8; 12] {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &place.ssrc.to_be_bytes());
    xor(&mut nonce[8..12], &place.index.to_be_bytes()[4..]);
    nonce
}

/// RFC 7714 §9.2: what stays clear of an encrypted SRTCP packet, and its index.
fn beside(header: &[u8], word: [u8; 4]) -> [u8; CONTROL_HEADER + 4] {
    let mut beside = [0; CONTROL_HEADER + 4];
    beside[..CONTROL_HEADER].copy_from_slice(header);
    beside[CONTROL_HEADER..].copy_from_slice(&word);
    beside
}

fn roll_over(place: Place) -> [u8; 4] {
    let bytes = place.index.to_be_bytes();
    [bytes[2], bytes[3], bytes[4], bytes[5]]
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

fn hashed(mac: &Hmac<Sha1>, parts: &[&[u8]]) -> Hmac<Sha1> {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac
}

fn put_tag(mac: &Hmac<Sha1>, parts: &[&[u8]], tag: &mut [u8]) {
    let whole = hashed(mac, parts).finalize().into_bytes();
    tag.copy_from_slice(&whole[..tag.len()]);
}

/// In the same time wherever the tags differ.
fn check_tag(mac: &Hmac<Sha1>, parts: &[&[u8]], tag: &[u8]) -> Result<(), Failure> {
    hashed(mac, parts).verify_truncated_left(tag).map_err(|_| Failure::Forged)
}

#[cfg(test)]
mod tests;
