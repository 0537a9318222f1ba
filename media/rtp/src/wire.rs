//! Numbers in network byte order, at checked offsets; circles; time in timestamp units.

use std::time::Duration;

/// Reads 16 bits. The caller has checked the length.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads 32 bits. The caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes 32 bits. The caller has checked the length.
pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Writes 16 bits. The caller has checked the length.
pub(crate) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// How far `to` lies ahead of `from` on a 16-bit circle; negative when it lies behind.
pub(crate) fn ahead16(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from).cast_signed()
}

/// How far `to` lies ahead of `from` on a 32-bit circle; negative when it lies behind.
pub(crate) fn ahead32(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// A time in units of a clock.
pub(crate) fn units(time: Duration, clock_hz: u32) -> u64 {
    let clock = u64::from(clock_hz);
    time.as_secs() * clock + u64::from(time.subsec_nanos()) * clock / 1_000_000_000
}
