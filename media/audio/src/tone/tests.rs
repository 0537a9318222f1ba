use super::*;
use crate::g711;

/// Power of one frequency in a stretch of samples, as the level of a sine in dBm0 (Goertzel).
fn level(samples: &[i16], hz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hz / f64::from(RATE);
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + 2.0 * omega.cos() * one - two;
        two = one;
        one = next;
    }
    let power = one * one + two * two - 2.0 * omega.cos() * one * two;
    let amplitude = 2.0 * power.max(1e-9).sqrt() / samples.len() as f64;
    20.0 * (amplitude / 32_767.0).log10() + f64::from(FULL_SCALE_DBM0)
}

fn seconds(cadence: Cadence, seconds: usize) -> Vec<i16> {
    let mut generator = Generator::new(cadence);
    (0..seconds * 50).flat_map(|_| generator.frame()).collect()
}

/// Lengths of the stretches of sound and silence in milliseconds, found by a window of 2.5 ms.
fn rhythm(samples: &[i16]) -> Vec<(bool, usize)> {
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for window in samples.chunks(20) {
        let loud = window.iter().any(|sample| sample.unsigned_abs() > 100);
        match runs.last_mut() {
            Some((was, count)) if *was == loud => *count += 1,
            _ => runs.push((loud, 1)),
        }
    }
    runs.into_iter().map(|(loud, count)| (loud, count * 5 / 2)).collect()
}

#[test]
fn the_network_tones_are_450_hz_at_minus_13_dbm0() {
    for cadence in [Cadence::RING_BACK, Cadence::BUSY, Cadence::CONGESTION] {
        let samples = seconds(cadence, 1);
        let burst = &samples[EDGE as usize..cadence.on_ms as usize * 8 - EDGE as usize];
        let whole = &burst[..burst.len() / 160 * 160];
        assert!((level(whole, 450.0) + 13.0).abs() < 0.1, "{}", level(whole, 450.0));
        for other in [400.0, 500.0, 900.0, 1_350.0] {
            assert!(level(whole, other) < -50.0, "{other} Hz: {}", level(whole, other));
        }
    }
}

#[test]
fn the_rhythms_are_those_of_the_network() {
    let near = |length: usize, expected: usize| length.abs_diff(expected) <= 5;
    for (cadence, on, off) in [
        (Cadence::RING_BACK, 1_000, 4_000),
        (Cadence::BUSY, 350, 350),
        (Cadence::CONGESTION, 700, 700),
    ] {
        let runs = rhythm(&seconds(cadence, 15));
        assert!(runs[0].0, "a tone begins with sound");
        assert!(runs.len() >= 5);
        for (loud, length) in &runs[..runs.len() - 1] {
            assert!(near(*length, if *loud { on } else { off }), "{cadence:?}: {loud} {length} ms");
        }
    }
}

#[test]
fn the_warning_is_one_short_high_beep() {
    let mut generator = Generator::new(Cadence::WARNING);
    let mut samples = Vec::new();
    while !generator.is_over() {
        samples.extend(generator.frame());
        assert!(samples.len() < 8_000, "the beep ends");
    }
    assert_eq!(samples.len(), 1_600);
    assert!((level(&samples[80..1_520], 1_400.0) + 16.0).abs() < 0.2);
    assert!(generator.frame().iter().all(|sample| *sample == 0), "silence when it is over");
    let twice = rhythm(&seconds(Cadence { off_ms: 100, ..Cadence::WARNING }.times(2), 1));
    assert_eq!(twice.iter().filter(|(loud, _)| *loud).count(), 2);
}

#[test]
fn no_edge_clicks() {
    // The steepest step of a steady sine of this level, and a little more for its envelope.
    for cadence in [Cadence::RING_BACK, Cadence::BUSY, Cadence::CONGESTION, Cadence::WARNING] {
        let peak = 32_767.0 * 10_f32.powf((cadence.level_dbm0 - FULL_SCALE_DBM0) / 20.0);
        let steepest = peak * std::f32::consts::TAU * cadence.partials[0] / RATE as f32 * 1.05;
        let samples = seconds(cadence, 6);
        let step =
            samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max();
        assert!(step.unwrap_or(0) as f32 <= steepest, "{cadence:?}: {step:?} > {steepest}");
        let on = cadence.on_ms as usize * 8;
        assert!(samples[0].abs() < 200 && samples[on - 1].abs() < 200);
    }
}

#[test]
fn the_level_survives_both_codings() {
    let samples = seconds(Cadence::RING_BACK, 1);
    let mut codes = vec![0; samples.len()];
    let mut back = vec![0; samples.len()];
    g711::encode_alaw(&samples, &mut codes);
    g711::decode_alaw(&codes, &mut back);
    assert!((level(&back[160..7_840], 450.0) + 13.0).abs() < 0.2);
    g711::encode_ulaw(&samples, &mut codes);
    g711::decode_ulaw(&codes, &mut back);
    assert!((level(&back[160..7_840], 450.0) + 13.0).abs() < 0.2);
}
