//! G.722 (ITU-T, 09/2012) at 64 kbit/s, mode 1: wide-band sound of 16 kHz in two sub-bands, six bits of
//! ADPCM for the lower and two for the upper.
//!
//! Integers throughout, block by block as in §6.2, so that the output is the recommendation's to the
//! bit. Modes 2 and 3, which give the lowest bits of an octet to a data channel, are not spoken: RTP
//! has no way to say them (RFC 3551 §4.5.2).

/// Samples per second of the sound.
pub const RATE: u32 = 16_000;

/// Turns sound into octets, one for each two samples.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// The transmit filter's memory, the oldest sample first.
    past: [i16; MEMORY],
    lower: Band,
    upper: Band,
}

impl Encoder {
    /// An encoder that has heard silence.
    #[must_use]
    pub const fn new() -> Encoder {
        Encoder { past: [0; MEMORY], lower: Band::LOWER, upper: Band::UPPER }
    }

    /// Codes whole pairs of samples; gives the octets written (bounded by both lengths).
    pub fn encode(&mut self, samples: &[i16], codes: &mut [u8]) -> usize {
        let mut written = 0;
        for (pair, code) in samples.chunks_exact(2).zip(codes.iter_mut()) {
            self.past.copy_within(2.., 0);
            self.past[MEMORY - 2..].copy_from_slice(pair);
            *code = self.pair();
            written += 1;
        }
        written
    }

    fn pair(&mut self) -> u8 {
        let (mut early, mut late) = (0, 0);
        for (pair, taps) in self.past.chunks_exact(2).zip(QMF) {
            early += i32::from(pair[0]) * taps.0;
            late += i32::from(pair[1]) * taps.1;
        }
        // LOWT and HIGHT: 15 bits each.
        let low = limit((late + early) >> 14);
        let high = limit((late - early) >> 14);
        let lower = self.lower.quantize_lower(low);
        let upper = self.upper.quantize_upper(high);
        self.lower.adapt_lower(lower);
        self.upper.adapt_upper(upper);
        upper << 6 | lower
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

/// Turns octets into sound, two samples for each.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The receive filter's memory: sums and differences of the bands in turn, the oldest first.
    past: [i16; MEMORY],
    lower: Band,
    upper: Band,
}

impl Decoder {
    /// A decoder that has heard silence.
    #[must_use]
    pub const fn new() -> Decoder {
        Decoder { past: [0; MEMORY], lower: Band::LOWER, upper: Band::UPPER }
    }

    /// Decodes octets; gives the samples written (bounded by both lengths).
    pub fn decode(&mut self, codes: &[u8], samples: &mut [i16]) -> usize {
        let mut written = 0;
        for (code, pair) in codes.iter().zip(samples.chunks_exact_mut(2)) {
            self.past.copy_within(2.., 0);
            let (low, high) = self.bands(*code);
            // RECA and RECB.
            self.past[MEMORY - 2] = saturate(low + high) as i16;
            self.past[MEMORY - 1] = saturate(low - high) as i16;
            self.pair(pair);
            written += 2;
        }
        written
    }

    /// The two bands that an octet stands for, 15 bits each.
    fn bands(&mut self, code: u8) -> (i32, i32) {
        let (lower, upper) = (code & 0x3f, code >> 6);
        // INVQBL, RECONS and LIMIT: all six bits are heard, four of them steer the adaptation.
        let difference = (self.lower.scale * i32::from(LOWER_6[usize::from(lower)])) >> 15;
        let low = limit(saturate(self.lower.predicted + difference));
        let high = limit(saturate(self.upper.predicted + self.upper.upper_difference(upper)));
        self.lower.adapt_lower(lower);
        self.upper.adapt_upper(upper);
        (low, high)
    }

    fn pair(&self, samples: &mut [i16]) {
        let (mut early, mut late) = (0, 0);
        for (pair, taps) in self.past.chunks_exact(2).zip(QMF) {
            late += i32::from(pair[0]) * taps.0;
            early += i32::from(pair[1]) * taps.1;
        }
        samples[0] = saturate(early >> 11) as i16;
        samples[1] = saturate(late >> 11) as i16;
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

/// The adaptive predictor and quantizer of one sub-band.
#[derive(Clone, Debug)]
struct Band {
    /// DET: the quantizer's scale factor, and NB: its logarithm.
    scale: i32,
    log_scale: i32,
    /// S and SZ: the prediction of the next sample, and the part of its zeros.
    predicted: i32,
    predicted_zeros: i32,
    /// A1, A2: coefficients of the poles.
    poles: [i32; 2],
    /// B1 … B6: coefficients of the zeros.
    zeros: [i32; ZEROS],
    /// D1 … D6: quantized differences, the newest first.
    differences: [i32; ZEROS],
    /// R1: the newest reconstructed sample; the one before it is only needed while it is used.
    reconstructed: [i32; 2],
    /// P1, P2: partially reconstructed samples.
    partial: [i32; 2],
}

impl Band {
    const LOWER: Band = Band::reset(32);
    const UPPER: Band = Band::reset(8);

    const fn reset(scale: i32) -> Band {
        Band {
            scale,
            log_scale: 0,
            predicted: 0,
            predicted_zeros: 0,
            poles: [0; 2],
            zeros: [0; ZEROS],
            differences: [0; ZEROS],
            reconstructed: [0; 2],
            partial: [0; 2],
        }
    }

    /// SUBTRA and QUANTL: six bits of the difference from what was predicted.
    fn quantize_lower(&self, sample: i32) -> u8 {
        let difference = saturate(sample - self.predicted);
        let magnitude = if difference < 0 { !difference } else { difference };
        // The decision levels rise, so the first one above is found by halving.
        let level = LEVELS.partition_point(|level| magnitude >= (level * self.scale) >> 12) as u8;
        // Table 16: codes fall as the magnitude rises; the two smallest negative ones stand apart.
        match (difference < 0, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        }
    }

    /// SUBTRA and QUANTH: two bits.
    fn quantize_upper(&self, sample: i32) -> u8 {
        let difference = saturate(sample - self.predicted);
        let magnitude = if difference < 0 { !difference } else { difference };
        let small = u8::from(magnitude < (564 * self.scale) >> 12);
        if difference < 0 { small } else { 2 + small }
    }

    /// INVQAH.
    fn upper_difference(&self, code: u8) -> i32 {
        (self.scale * UPPER_2[usize::from(code)]) >> 15
    }

    /// INVQAL, LOGSCL, SCALEL and the predictor.
    fn adapt_lower(&mut self, code: u8) {
        let rank = usize::from(code >> 2);
        let difference = (self.scale * i32::from(LOWER_4[rank])) >> 15;
        self.rescale(LOWER_WEIGHTS[rank], 18_432, 8);
        self.predict(difference);
    }

    /// INVQAH, LOGSCH, SCALEH and the predictor.
    fn adapt_upper(&mut self, code: u8) {
        let difference = self.upper_difference(code);
        // Both large codes are even.
        self.rescale(if code & 1 == 0 { 798 } else { -214 }, 22_528, 10);
        self.predict(difference);
    }

    fn rescale(&mut self, weight: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + weight).clamp(0, most);
        let shift = shift - (self.log_scale >> 11);
        let mantissa = POWERS[(self.log_scale >> 6) as usize & 31];
        let scale = if shift < 0 { mantissa << -shift } else { mantissa >> shift };
        self.scale = scale << 2;
    }

    /// Block 4: moves the coefficients towards what would have predicted better, then predicts.
    fn predict(&mut self, difference: i32) {
        // RECONS and PARREC.
        let reconstructed = saturate(self.predicted + difference);
        let partial = saturate(self.predicted_zeros + difference);
        let same = [self.partial[0], self.partial[1]].map(|past| (past < 0) == (partial < 0));
        // UPPOL2.
        let wide = saturate(self.poles[0] << 2);
        let turn = if same[0] { saturate(-wide) } else { wide };
        let turn = (turn >> 7) + if same[1] { 128 } else { -128 };
        let second = (turn + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1.
        let turn = if same[0] { 192 } else { -192 };
        let first = turn + ((self.poles[0] * 32_640) >> 15);
        let most = 15_360 - second;
        self.poles = [first.clamp(-most, most), second];
        // UPZERO.
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let turn = if (past < 0) == (difference < 0) { step } else { -step };
            *zero = saturate(turn + ((*zero * 32_640) >> 15));
        }
        // DELAYA.
        self.differences.copy_within(..ZEROS - 1, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        // FILTEP, FILTEZ and PREDIC.
        let mut of_poles = 0;
        for (pole, past) in self.poles.iter().zip(self.reconstructed) {
            of_poles += (pole * saturate(past << 1)) >> 15;
        }
        let mut of_zeros = 0;
        for (zero, past) in self.zeros.iter().zip(self.differences) {
            of_zeros += (zero * saturate(past << 1)) >> 15;
        }
        self.predicted_zeros = saturate(of_zeros);
        self.predicted = saturate(saturate(of_poles) + self.predicted_zeros);
    }
}

/// To 16 bits.
fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// To the 15 bits of a sub-band.
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

const ZEROS: usize = 6;
/// Taps of the quadrature mirror filters.
const MEMORY: usize = 24;

/// Table 11: the filters' taps in pairs, H0 with H1, H2 with H3 … H22 with H23.
const QMF: [(i32, i32); MEMORY / 2] = [
    (3, -11),
    (-11, 53),
    (12, -156),
    (32, 362),
    (-210, -805),
    (951, 3_876),
    (3_876, 951),
    (-805, -210),
    (362, 32),
    (-156, 12),
    (53, -11),
    (-11, 3),
];

/// Table 15: decision levels of the lower band.
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023,
    1_121, 1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];

/// Table 17, 4 bits: what the lower band's codes stand for where they steer.
const LOWER_4: [i16; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288,
    4_240, 2_584, 1_200, 0,
];

/// Table 17, 6 bits: what they stand for where they are heard.
const LOWER_6: [i16; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];

/// Table 20: what the upper band's codes stand for.
const UPPER_2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];

/// Tables 13 and 18: how a code of the lower band moves its scale.
const LOWER_WEIGHTS: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];

/// Table 14: 2048 × 2^(n/32).
const POWERS: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656,
    2_714, 2_774, 2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520,
    3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

#[cfg(test)]
mod tests;
