//! Addresses and numbers, printed without the formatting machinery: they stand in every message.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Appends an address as a sent-by has it: IPv6 in brackets, the port after a colon.
pub(crate) fn push_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                push_decimal(out, u32::from(octet));
            }
            out.push(b':');
            push_decimal(out, u32::from(address.port()));
        }
        // A vector takes whatever is written into it.
        IpAddr::V6(_) => drop(write!(out, "{address}")),
    }
}

/// Appends a number in decimal digits.
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        // A remainder of ten is one digit.
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number in this many hexadecimal digits, the lowest ones.
pub(crate) fn push_hex(out: &mut String, number: u64, digits: u32) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.extend((0..digits).rev().map(|place| DIGITS[(number >> (4 * place) & 15) as usize]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the standard library.
        #[test]
        fn figures_print_as_the_standard_library_prints_them(
            v4: [u8; 4], v6: [u16; 8], port: u16, number: u32, hex: u64,
        ) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                let address = SocketAddr::new(ip, port);
                let mut out = Vec::new();
                push_address(&mut out, address);
                prop_assert_eq!(out, address.to_string().into_bytes());
            }
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            prop_assert_eq!(out, number.to_string().into_bytes());
            let mut out = String::new();
            push_hex(&mut out, hex, 16);
            push_hex(&mut out, hex, 2);
            prop_assert_eq!(out, format!("{hex:016x}{:02x}", hex & 0xff));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let mut out = Vec::new();
        push_decimal(&mut out, 0);
        push_decimal(&mut out, u32::MAX);
        assert_eq!(out, b"04294967295");
    }
}
