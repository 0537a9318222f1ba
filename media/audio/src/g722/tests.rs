use super::*;

/// Numbers that are the same everywhere, so that outputs can be held to those of other decoders.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as i32
    }
}

/// White noise over the whole range.
fn noise(samples: usize) -> Vec<i16> {
    let mut numbers = Numbers(1);
    (0..samples).map(|_| numbers.next() as u16 as i16).collect()
}

/// Triangles that rise in pitch and swell: like sound, without rounding of sines.
fn sweep(samples: usize) -> Vec<i16> {
    let mut phase = 0_i64;
    (0..samples as i64)
        .map(|n| {
            phase = (phase + 200 + n * 24_000 / samples as i64) % 65_536;
            let triangle = (phase - 32_768).abs() - 16_384;
            let swell = (n % 8_000 - 4_000).abs();
            (triangle * swell / 4_000) as i16
        })
        .collect()
}

/// Nothing but the extremes, for longer and longer.
fn extremes(samples: usize) -> Vec<i16> {
    let mut numbers = Numbers(7);
    let mut sign = false;
    (0..samples)
        .map(|_| {
            sign ^= numbers.next() % 3 == 0;
            if sign { i16::MIN } else { i16::MAX }
        })
        .collect()
}

fn codes(octets: usize) -> Vec<u8> {
    let mut numbers = Numbers(3);
    (0..octets).map(|_| numbers.next() as u8).collect()
}

/// FNV-1a.
fn digest(octets: impl IntoIterator<Item = u8>) -> u64 {
    octets.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn encoded(samples: &[i16]) -> Vec<u8> {
    let mut codes = vec![0; samples.len() / 2];
    assert_eq!(Encoder::new().encode(samples, &mut codes), codes.len());
    codes
}

fn decoded(codes: &[u8]) -> Vec<i16> {
    let mut samples = vec![0; codes.len() * 2];
    assert_eq!(Decoder::new().decode(codes, &mut samples), samples.len());
    samples
}

const SAMPLES: usize = 64_000;

/// Where the reference's outputs can be had anew: these inputs written to files and given to the
/// ITU-T's own coder (G.191 Software Tool Library, `g722demo -enc` and `-dec -mode 1`), whose octets
/// these digests are of. ffmpeg's decoder gives the same for all of them, its encoder for all but the
/// extremes, where it leaves the limit of the sub-bands out.
#[test]
fn b21_g722_is_the_reference_coders_to_the_bit() {
    for (name, samples, codes, sound) in [
        ("noise", noise(SAMPLES), 0xe9b9_bee3_269d_309a, 0x348a_8354_7eb8_0af5),
        ("sweep", sweep(SAMPLES), 0x6074_3cc7_5410_e51b, 0xf898_47f5_0070_dbfb),
        ("extremes", extremes(SAMPLES), 0xc6f3_aa77_3aad_6f24, 0xf799_26ca_a492_f158),
    ] {
        let coded = encoded(&samples);
        assert_eq!(digest(coded.iter().copied()), codes, "{name}");
        let heard = decoded(&coded);
        assert_eq!(digest(heard.iter().flat_map(|sample| sample.to_le_bytes())), sound, "{name}");
    }
    let heard = decoded(&codes(SAMPLES));
    assert_eq!(digest(heard.iter().flat_map(|sample| sample.to_le_bytes())), 0x1629_89d6_ed06_f132);
}

#[test]
fn b21_g722_pieces_and_the_whole_give_the_same() {
    let samples = sweep(SAMPLES);
    let whole = encoded(&samples);
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new();
    let (mut coded, mut heard) = (Vec::new(), Vec::new());
    for (n, piece) in samples.chunks(160).enumerate() {
        let mut codes = vec![0; 80];
        // A buffer that is too small bounds what is taken.
        let written = encoder.encode(piece, &mut codes[..80 - n % 2 * 80]);
        let written = written + encoder.encode(&piece[2 * written..], &mut codes[written..]);
        assert_eq!(written, 80);
        let mut out = vec![0; 160];
        assert_eq!(decoder.decode(&codes, &mut out), 160);
        coded.extend(codes);
        heard.extend(out);
    }
    assert!(coded == whole);
    assert!(heard == decoded(&whole));
}

#[test]
fn b21_g722_sound_comes_through_in_both_bands() {
    for (hz, least) in [(300.0, 25.0), (1_000.0, 25.0), (3_000.0, 20.0), (5_500.0, 9.0)] {
        let step = hz / 16_000.0 * std::f64::consts::TAU;
        let samples: Vec<i16> =
            (0..16_000).map(|n| (10_000.0 * (step * f64::from(n)).sin()) as i16).collect();
        let heard = decoded(&encoded(&samples));
        // Both filters together delay by 22 samples.
        let (mut signal, mut error) = (0.0, 0.0);
        for (sent, got) in samples.iter().zip(&heard[22..]).skip(1_000) {
            signal += f64::from(*sent).powi(2);
            error += (f64::from(*sent) - f64::from(*got)).powi(2);
        }
        let ratio = 10.0 * (signal / error).log10();
        assert!(ratio > least, "{hz} Hz: {ratio} dB");
    }
}
