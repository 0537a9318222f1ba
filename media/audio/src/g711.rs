//! G.711 (ITU-T, 11/88): A-law, µ-law, and the direct conversion between them.
//!
//! Linear samples are 16 bits, left aligned as in the ITU-T G.191 software tools: µ-law uses the upper
//! 14 bits, A-law the upper 13, and a negative sample is coded by its one's complement, so that each of
//! the two zeros has its own half of the range.
//!
//! The direct conversion follows Tables 3 and 4 of the recommendation, with the alternative of their
//! notes for codes 80 and 81 that keeps µ–A–µ and A–µ–A chains stable. It differs from "decode, then
//! encode": the tables pair code words by rank, so a call that crosses several borders does not drift.

/// The µ-law code of silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// The A-law code of silence.
pub const ALAW_SILENCE: u8 = 0xd5;

/// Decodes one µ-law octet (Table 2a/G.711).
#[must_use]
pub const fn ulaw_to_linear(code: u8) -> i16 {
    ULAW_LINEAR[code as usize]
}

/// Decodes one A-law octet (Table 1a/G.711).
#[must_use]
pub const fn alaw_to_linear(code: u8) -> i16 {
    ALAW_LINEAR[code as usize]
}

/// Codes one sample in µ-law.
#[must_use]
pub const fn linear_to_ulaw(sample: i16) -> u8 {
    let (sign, magnitude) = split(sample);
    // Bias of 33 on the 14-bit scale; the largest code covers everything above its decision value.
    let biased = (magnitude >> 2) + 33;
    let biased = if biased > 0x1fff { 0x1fff } else { biased };
    let segment = 26 - biased.leading_zeros();
    let code = (segment << 4) | ((biased >> (segment + 1)) & 0x0f);
    // Positive samples have the sign bit set; all bits are sent inverted (§3.2).
    (sign | code as u8) ^ 0x7f
}

/// Codes one sample in A-law.
#[must_use]
pub const fn linear_to_alaw(sample: i16) -> u8 {
    let (sign, magnitude) = split(sample);
    let magnitude = magnitude >> 4;
    let code = if magnitude < 16 {
        magnitude
    } else {
        let segment = 28 - magnitude.leading_zeros();
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
    };
    // Even bits are sent inverted (§3.1).
    (sign | code as u8) ^ 0x55
}

/// µ-law to A-law without going through linear samples (Table 3/G.711).
#[must_use]
pub const fn ulaw_to_alaw(code: u8) -> u8 {
    ULAW_ALAW[code as usize]
}

/// A-law to µ-law without going through linear samples (Table 4/G.711).
#[must_use]
pub const fn alaw_to_ulaw(code: u8) -> u8 {
    ALAW_ULAW[code as usize]
}

/// Converts µ-law octets to A-law where they stand.
pub fn ulaw_to_alaw_in_place(codes: &mut [u8]) {
    for code in codes {
        *code = ulaw_to_alaw(*code);
    }
}

/// Converts A-law octets to µ-law where they stand.
pub fn alaw_to_ulaw_in_place(codes: &mut [u8]) {
    for code in codes {
        *code = alaw_to_ulaw(*code);
    }
}

/// Decodes µ-law octets; returns how many samples were written (the shorter of both lengths).
pub fn decode_ulaw(codes: &[u8], samples: &mut [i16]) -> usize {
    convert(codes, samples, ulaw_to_linear)
}

/// Decodes A-law octets; returns how many samples were written (the shorter of both lengths).
pub fn decode_alaw(codes: &[u8], samples: &mut [i16]) -> usize {
    convert(codes, samples, alaw_to_linear)
}

/// Codes samples in µ-law; returns how many octets were written (the shorter of both lengths).
pub fn encode_ulaw(samples: &[i16], codes: &mut [u8]) -> usize {
    convert(samples, codes, linear_to_ulaw)
}

/// Codes samples in A-law; returns how many octets were written (the shorter of both lengths).
pub fn encode_alaw(samples: &[i16], codes: &mut [u8]) -> usize {
    convert(samples, codes, linear_to_alaw)
}

fn convert<A: Copy, B>(from: &[A], to: &mut [B], one: impl Fn(A) -> B) -> usize {
    for (from, to) in from.iter().zip(to.iter_mut()) {
        *to = one(*from);
    }
    from.len().min(to.len())
}

/// Sign bit of the code word (set for positive) and one's complement magnitude.
const fn split(sample: i16) -> (u8, u32) {
    if sample < 0 { (0, (!sample) as u32) } else { (0x80, sample as u32) }
}

const ULAW_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let rank = (code as u8 ^ 0x7f) & 0x7f;
        let magnitude = ((((rank & 0x0f) as i16) << 3) + 132) << (rank >> 4);
        table[code] = if code & 0x80 != 0 { magnitude - 132 } else { 132 - magnitude };
        code += 1;
    }
    table
};

const ALAW_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let rank = (code as u8 ^ 0x55) & 0x7f;
        let mantissa = ((rank & 0x0f) as i16) << 4;
        let magnitude = match rank >> 4 {
            0 => mantissa + 8,
            segment => (mantissa + 0x108) << (segment - 1),
        };
        table[code] = if code & 0x80 != 0 { magnitude } else { -magnitude };
        code += 1;
    }
    table
};

const ULAW_ALAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let sign = code as u8 & 0x80;
        let rank = alaw_rank((code as u8 ^ 0x7f) & 0x7f);
        table[code] = (sign | rank) ^ 0x55;
        code += 1;
    }
    table
};

const ALAW_ULAW: [u8; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let sign = code as u8 & 0x80;
        let rank = ulaw_rank((code as u8 ^ 0x55) & 0x7f);
        table[code] = (sign | rank) ^ 0x7f;
        code += 1;
    }
    table
};

/// Table 3/G.711 by rank: position of the A-law output for each µ-law output, counted from zero.
const fn alaw_rank(ulaw: u8) -> u8 {
    match ulaw {
        0..=15 => ulaw / 2,
        16..=32 => ulaw - 8,
        33..=36 => 2 * ulaw - 40,
        37..=47 => ulaw - 4,
        48..=49 => 2 * ulaw - 51,
        50..=63 => ulaw - 2,
        64..=80 => ulaw - 1,
        _ => ulaw,
    }
}

/// Table 4/G.711 by rank: position of the µ-law output for each A-law output, counted from zero.
const fn ulaw_rank(alaw: u8) -> u8 {
    match alaw {
        0..=7 => 2 * alaw + 1,
        8..=23 => alaw + 8,
        24..=31 => alaw / 2 + 20,
        32..=43 => alaw + 4,
        44..=47 => alaw / 2 + 26,
        48..=62 => alaw + 2,
        63..=79 => alaw + 1,
        _ => alaw,
    }
}

#[cfg(test)]
mod tests;
