//! STUN on the socket of SIP (RFC 5626 §3.5.2): a phone asks where it comes from, and keeps its way through
//! a NAT open by it. Binding requests alone are answered (RFC 5389 §7.3.1), without any state. Nothing else of
//! STUN is here: no client, no passwords, no ICE.

use std::net::{IpAddr, SocketAddr};

/// RFC 5389 §6.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Length of the header.
const HEADER: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Below this an attribute must be understood (RFC 5389 §15).
const OPTIONAL: u16 = 0x8000;
/// Attributes that may be in a request and change nothing here: there are no passwords (RFC 5626 §8).
const KNOWN: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];
/// Attributes looked at; more make it no request.
const ATTRIBUTES_MAX: usize = 16;

/// How much longer than what it answers an answer is at most: a forged source must not draw much.
pub const LONGER_MAX: usize = 32;

/// The answer to a datagram that is a Binding request; `None` for any other.
#[must_use]
pub fn answer(datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_first_chunk::<HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || header[4..8] != COOKIE || length != attributes.len() {
        return None;
    }
    let unknown = unknown(attributes)?;
    if unknown.is_empty() {
        return Some(message(
            BINDING_SUCCESS,
            header,
            &[(XOR_MAPPED_ADDRESS, mapped(from, header))],
        ));
    }
    // RFC 5389 §7.3.1: 420 names what is not understood.
    let code = [&[0, 0, 4, 20][..], b"Unknown Attribute"].concat();
    let list = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    Some(message(BINDING_ERROR, header, &[(ERROR_CODE, code), (UNKNOWN_ATTRIBUTES, list)]))
}

/// The attributes that would have to be understood and are not; `None` when they do not read.
fn unknown(mut rest: &[u8]) -> Option<Vec<u16>> {
    let mut unknown = Vec::new();
    for _ in 0..=ATTRIBUTES_MAX {
        if rest.is_empty() {
            return Some(unknown);
        }
        let (head, after) = rest.split_first_chunk::<4>()?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        rest = after.get(length.next_multiple_of(4)..)?;
        if kind < OPTIONAL && !KNOWN.contains(&kind) {
            unknown.push(kind);
        }
    }
    None
}

/// RFC 5389 §15.2.
fn mapped(from: SocketAddr, header: &[u8; HEADER]) -> Vec<u8> {
    // The cookie and the transaction stand together: what addresses are mixed with.
    let mask = &header[4..];
    let port = from.port().to_be_bytes();
    let (family, address) = match from.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mixed = |bytes: &[u8]| bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect::<Vec<u8>>();
    [&[0, family][..], &mixed(&port), &mixed(&address)].concat()
}

fn message(kind: [u8; 2], request: &[u8; HEADER], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&kind[..], &length, &request[4..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction of RFC 5769 §2.
    const TRANSACTION: [u8; 12] =
        [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&BINDING_REQUEST[..], &length, &COOKIE, &TRANSACTION, attributes].concat()
    }

    #[test]
    fn rfc5769_2_2_an_ipv4_address_is_mixed_as_in_the_vector() {
        let answer = answer(&request(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        let attribute = [0x00, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(answer, [&[1, 1, 0, 12][..], &COOKIE, &TRANSACTION, &attribute].concat());
    }

    #[test]
    fn rfc5769_2_3_an_ipv6_address_is_mixed_as_in_the_vector() {
        let from = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        let answer = answer(&request(&[]), from).unwrap();
        let attribute = [
            0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3,
            0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(answer[20..], attribute);
    }

    #[test]
    fn rfc5389_7_3_1_what_must_be_understood_and_is_not_is_named() {
        let from = "192.0.2.1:1".parse().unwrap();
        let odd = answer(&request(&[0x00, 0x24, 0, 4, 1, 2, 3, 4]), from).unwrap();
        assert_eq!(odd[..2], BINDING_ERROR);
        assert_eq!(odd[20..28], [0, 9, 0, 21, 0, 0, 4, 20]);
        assert_eq!(odd[odd.len() - 8..], [0x00, 0x0a, 0, 2, 0x00, 0x24, 0, 0]);
        let fine = answer(&request(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]), from).unwrap();
        assert_eq!(fine[..2], BINDING_SUCCESS);
    }

    #[test]
    fn what_is_no_binding_request_is_left_to_sip() {
        let from = "192.0.2.1:1".parse().unwrap();
        let whole = request(&[]);
        let mut old = whole.clone();
        old[4] = 0;
        let mut response = whole.clone();
        response[0] = 1;
        for noise in [
            &whole[..19],
            &[&whole[..], b"x"].concat(),
            &request(&[0, 0x24, 0, 9, 1]),
            &old,
            &response,
            b"OPTIONS sip:a@b SIP/2.0\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert_eq!(answer(noise, from), None, "{noise:?}");
        }
    }
}
