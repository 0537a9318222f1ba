//! The vectors of the RFCs, from session keys and from master keys.

use super::*;
use crate::srtp::Master;
use crate::srtp::testing::hex;

fn derived(suite: Suite, master: &str, label: u8, len: usize) -> Vec<u8> {
    let master = Master::new(suite, &hex(master), None).unwrap();
    let mut out = vec![0; len];
    derive(&master, label, &mut out);
    out
}

#[test]
fn b8_rfc3711_b_2_aes_cm_keystream() {
    let cipher = Block::new(&hex("2B7E151628AED2A6ABF7158809CF4F3C"));
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let start = counter(&salt, Place { ssrc: 0, index: 0 });
    let mut stream = vec![0; 1_044_512];
    cipher.apply(&start, &mut stream);
    for (block, expected) in [
        (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
        (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
        (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
        (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
        (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
        (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
    ] {
        assert_eq!(stream[16 * block..][..16], hex(expected), "block {block:x}");
    }
}

#[test]
fn b8_rfc3711_b_3_key_derivation() {
    let master = "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6";
    let of = |label, len| derived(Suite::Aes128Sha1_80, master, label, len);
    assert_eq!(of(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(of(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let auth = "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE \
                E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25 \
                6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2";
    assert_eq!(of(1, 94), hex(auth));
}

#[test]
fn b8_rfc6188_7_1_aes_256_cm_keystream() {
    let cipher =
        Block::new(&hex("57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98"));
    let mut stream = [0; 48];
    cipher.apply(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap(), &mut stream);
    let expected = "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac \
                    63c4868b7096d88421b563b8c94c9a31";
    assert_eq!(stream.to_vec(), hex(expected));
}

#[test]
fn b8_rfc6188_7_2_aes_256_key_derivation() {
    let master = "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6 \
                  3b04803de51ee7c96423ab5b78d2";
    let of = |label, len| derived(Suite::Aes256Sha1_80, master, label, len);
    let cipher = "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4";
    assert_eq!(of(0, 32), hex(cipher));
    assert_eq!(of(2, 14), hex("fa31791685ca444a9e07c6c64e93"));
    assert_eq!(of(1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
}

#[test]
fn b8_rfc6188_7_3_aes_192_cm_keystream() {
    let cipher = Block::new(&hex("eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7"));
    let mut stream = [0; 48];
    cipher.apply(&hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap(), &mut stream);
    let expected = "35096cba4610028dc1b57503804ce37c 5de986291dcce161d5165ec4568f5c9a \
                    474a40c77894bc17180202272a4c264d";
    assert_eq!(stream.to_vec(), hex(expected));
}

#[test]
fn b8_rfc6188_7_4_aes_192_key_derivation() {
    let master = "73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1 \
                  c8522f3acd4ce86d5add78edbb11";
    let of = |label, len| derived(Suite::Aes192Sha1_80, master, label, len);
    assert_eq!(of(0, 24), hex("31874736a8f1143870c26e4857d8a5b2c4a354407faadabb"));
    assert_eq!(of(2, 14), hex("2372b82d639b6d8503a47adc0a6c"));
    assert_eq!(of(1, 20), hex("355b10973cd95b9eacf4061c7e1a7151e7cfbfcb"));
}

/// RFC 7714 §16 and §17: the session salt of all examples.
const SALT: &str = "517569642070726f2071756f 0000";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn gcm(suite: Suite, protocol: Protocol) -> Transform {
    let salt = hex(SALT).try_into().unwrap();
    Transform::of_session(suite, protocol, &hex(KEY)[..suite.key_len()], &salt, &[])
}

const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 \
                   696e2070 61727465 73207472 6573";

fn rfc7714_rtp(suite: Suite, expected: &str) {
    let (transform, plain) = (gcm(suite, Protocol::Srtp), hex(RTP));
    let place = Place { ssrc: 0x5501_a0b2, index: 0xf17b };
    let mut packet = plain.clone();
    packet.extend([0; 16]);
    transform.seal_rtp(place, 12, &mut packet);
    assert_eq!(packet, hex(expected));
    let (body, tag) = packet.split_at_mut(plain.len());
    assert_eq!(transform.open_rtp(place, 12, body, tag), Ok(()));
    assert_eq!(body, plain);
}

#[test]
fn b8_rfc7714_16_1_rtp_with_aead_aes_128_gcm() {
    rfc7714_rtp(
        Suite::Aes128Gcm,
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f \
         42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
}

#[test]
fn b8_rfc7714_16_2_rtp_with_aead_aes_256_gcm() {
    rfc7714_rtp(
        Suite::Aes256Gcm,
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 \
         b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    );
}

const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef \
                    deadbeef deadbeef deadbeef deadbeef";

fn rfc7714_rtcp(suite: Suite, word: u32, expected: &str) {
    let (transform, plain) = (gcm(suite, Protocol::Srtcp), hex(RTCP));
    let place = Place { ssrc: 0x4d61_7273, index: 0x05d4 };
    let mut packet = hex(expected);
    let tag = packet[plain.len()..][..16].to_vec();
    let before = packet.clone();
    transform.open_rtcp(place, word.to_be_bytes(), &mut packet, plain.len(), &tag).unwrap();
    assert_eq!(packet[..plain.len()], plain);
    assert_eq!(packet[plain.len()..], before[plain.len()..], "the trailer is as it was");
    if word & ENCRYPTED != 0 {
        transform.seal_rtcp(place, word.to_be_bytes(), &mut packet);
        assert_eq!(packet, before);
    }
}

#[test]
fn b8_rfc7714_17_1_rtcp_with_aead_aes_128_gcm() {
    rfc7714_rtcp(
        Suite::Aes128Gcm,
        0x8000_05d4,
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 \
         730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
}

#[test]
fn b8_rfc7714_17_2_rtcp_with_aead_aes_256_gcm() {
    rfc7714_rtcp(
        Suite::Aes256Gcm,
        0x8000_05d4,
        "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 \
         110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
    );
}

/// Signed and not encrypted.
#[test]
fn b8_rfc7714_17_3_and_17_4_rtcp_that_is_only_signed() {
    for (suite, tag) in [
        (Suite::Aes128Gcm, "841dd968 3dd78ec9 2ae58790 125f62b3"),
        (Suite::Aes256Gcm, "91db4afb feee5a97 8fab4393 ed2615fe"),
    ] {
        rfc7714_rtcp(suite, 0x05d4, &format!("{RTCP} {tag} 000005d4"));
    }
}
