//! The corners of the acceptance figures: level, twist, noise, tuning, law, each with all sixteen keys.

use super::*;

/// Through a G.711 coder and back.
fn coded(samples: &mut [i16], alaw: bool) {
    for sample in samples {
        *sample = if alaw {
            g711::alaw_to_linear(g711::linear_to_alaw(*sample))
        } else {
            g711::ulaw_to_linear(g711::linear_to_ulaw(*sample))
        };
    }
}

/// All sixteen keys, 40 ms on and 50 ms off, in noise: what was heard of them.
fn dialled(level: f32, twist: f32, noise: f32, off_tune: f32, alaw: bool) -> String {
    let mut samples = vec![0; 333];
    for digit in Digit::all() {
        let press = Press { digit, level_dbm0: level, twist_db: twist, on_ms: 40, off_ms: 50 };
        // An odd sample each, so that the keys fall differently on the readings.
        samples.extend(pressed(press, off_tune, usize::from(digit.event()) * 7));
    }
    samples.extend([0; 800]);
    Noise::new((level.abs() * 64.0 + twist.abs() * 8.0) as u64).add(&mut samples, level - noise);
    coded(&mut samples, alaw);
    keys(&heard(&samples))
}

#[test]
fn q24_all_keys_at_all_corners_and_none_twice() {
    for level in [0.0, -13.0, -26.0] {
        for twist in [-4.0, 0.0, 8.0] {
            for (off_tune, alaw) in [(0.0, true), (0.015, true), (-0.015, false)] {
                let got = dialled(level, twist, 15.0, off_tune, alaw);
                assert_eq!(got, "0123456789*#ABCD", "{level} dBm0 twist {twist} off {off_tune}");
            }
        }
    }
}

#[test]
fn q24_frequencies_3_5_percent_off_are_refused() {
    for off_tune in [0.035, -0.035, 0.045, -0.045] {
        for twist in [-4.0, 0.0, 8.0] {
            for level in [-3.0, -26.0] {
                let got = dialled(level, twist, 30.0, off_tune, true);
                assert_eq!(got, "", "{level} dBm0 twist {twist} off {off_tune}");
            }
        }
    }
}
