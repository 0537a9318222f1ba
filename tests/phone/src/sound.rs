//! G.711 (ITU-T G.711, RFC 3551 §4.5.14), a sine generator, and a Goertzel ear.

use std::f64::consts::TAU;

/// Samples a second.
pub const RATE: u32 = 8000;

/// A G.711 law.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// µ-law, payload type 0.
    Pcmu,
    /// A-law, payload type 8.
    Pcma,
}

impl Law {
    /// Static payload type (RFC 3551 §6).
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Law::Pcmu => 0,
            Law::Pcma => 8,
        }
    }

    /// Encoding name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Law::Pcmu => "PCMU",
            Law::Pcma => "PCMA",
        }
    }

    /// One sample to its octet.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Pcmu => mu_encode(sample),
            Law::Pcma => a_encode(sample),
        }
    }

    /// One octet to its sample.
    #[must_use]
    pub fn decode(self, octet: u8) -> i16 {
        match self {
            Law::Pcmu => mu_decode(octet),
            Law::Pcma => a_decode(octet),
        }
    }
}

fn mu_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32635) + 132;
    let exponent = (31 - magnitude.leading_zeros()).saturating_sub(7).min(7);
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (u8::try_from(exponent).unwrap_or(7) << 4) | u8::try_from(mantissa).unwrap_or(0))
}

fn mu_decode(octet: u8) -> i16 {
    let octet = !octet;
    let exponent = (octet >> 4) & 7;
    let value = (((i32::from(octet & 0x0f) << 3) + 132) << exponent) - 132;
    i16::try_from(if octet & 0x80 == 0 { value } else { -value }).unwrap_or(0)
}

fn a_encode(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = if sample >= 0 { i32::from(sample) } else { -i32::from(sample) - 1 } >> 4;
    let exponent = (32 - magnitude.leading_zeros()).saturating_sub(4).min(7);
    let octet = if exponent <= 1 {
        (u8::try_from(exponent.saturating_sub(1)).unwrap_or(0) << 4)
            | u8::try_from(magnitude & 0x1f).unwrap_or(0)
    } else {
        (u8::try_from(exponent).unwrap_or(0) << 4)
            | u8::try_from((magnitude >> (exponent - 1)) & 0x0f).unwrap_or(0)
    };
    (octet | sign) ^ 0x55
}

fn a_decode(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let exponent = (octet >> 4) & 7;
    let mantissa = i32::from(octet & 0x0f) << 4;
    let value = if exponent == 0 { mantissa + 8 } else { (mantissa + 0x108) << (exponent - 1) };
    i16::try_from(if octet & 0x80 == 0 { -value } else { value }).unwrap_or(0)
}

/// Sample number `n` of a sine; half of full scale.
#[must_use]
pub fn sine(hz: u32, n: u64) -> i16 {
    let phase = (n * u64::from(hz)) % u64::from(RATE);
    let angle = TAU * as_f64(phase) / f64::from(RATE);
    to_i16(angle.sin() * 16000.0)
}

/// The strongest tone between 200 and 3400 Hz on a grid of 10 Hz, and its share of the whole power (0 to 1).
#[must_use]
pub fn loudest(samples: &[i16]) -> Option<(u32, f64)> {
    if samples.len() < usize::try_from(RATE / 10).unwrap_or(800) {
        return None;
    }
    let power: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    if power / as_f64(samples.len() as u64) < 100.0 * 100.0 {
        return None;
    }
    (20..=340)
        .map(|step| step * 10)
        .map(|hz| (hz, share(samples, hz, power)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Goertzel: the share of the power that lies at `hz`.
fn share(samples: &[i16], hz: u32, power: f64) -> f64 {
    let coefficient = 2.0 * (TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut last, mut before) = (0.0_f64, 0.0_f64);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * last - before;
        before = last;
        last = next;
    }
    let energy = last * last + before * before - coefficient * last * before;
    2.0 * energy / (power * as_f64(samples.len() as u64))
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples stay far below 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "the amplitude is half of full scale")]
fn to_i16(value: f64) -> i16 {
    value as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_laws_keep_a_sample_within_their_step() {
        for law in [Law::Pcmu, Law::Pcma] {
            for sample in (-32000..32000).step_by(37) {
                let back = i32::from(law.decode(law.encode(sample)));
                let error = (back - i32::from(sample)).abs();
                assert!(error <= i32::from(sample).abs() / 16 + 16, "{law:?} {sample} {back}");
            }
        }
        assert_eq!(Law::Pcmu.encode(0), 0xff);
        assert_eq!(Law::Pcma.encode(0), 0xd5);
    }

    #[test]
    fn the_ear_hears_which_tone_it_is() {
        for (law, hz) in [(Law::Pcmu, 700), (Law::Pcma, 1100), (Law::Pcma, 450)] {
            let heard: Vec<i16> = (0..4000).map(|n| law.decode(law.encode(sine(hz, n)))).collect();
            let (found, share) = loudest(&heard).unwrap();
            assert_eq!(found, hz);
            assert!(share > 0.95, "{share}");
        }
        assert_eq!(loudest(&[0; 4000]), None);
    }
}
