//! How true a recording is to what each leg carried.

use super::*;

/// Something like speech: syllables of harmonics over a gliding pitch, of two who talk by turns and at once.
fn speech(pitch_hz: f64, pace_hz: f64) -> Vec<i16> {
    let mut turn = 0.0_f64;
    (0..4 * 8_000)
        .map(|n| {
            let t = f64::from(n) / 8_000.0;
            let hz = pitch_hz - 40.0 * (t * 0.7).fract();
            turn += hz / 8_000.0 * std::f64::consts::TAU;
            let wave: f64 = (1..)
                .take_while(|k| hz * f64::from(*k) < 3_300.0)
                .map(|k: u32| (turn * f64::from(k)).sin() / f64::from(k))
                .sum();
            (wave * (t * pace_hz * std::f64::consts::PI).sin().powi(2) * 6_000.0) as i16
        })
        .collect()
}

type Law = (fn(i16) -> u8, fn(u8) -> i16);

/// What of a channel is not what was carried, in dB below that. Coders move nothing in time, but filters may by a
/// part of a sample.
fn below(carried: &[f64], heard: &[f64]) -> f64 {
    let energy = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>();
    let error = energy(&mut carried.iter().zip(heard).map(|(a, b)| a - b));
    10.0 * (energy(&mut carried.iter().copied()) / error.max(1e-9)).log10()
}

#[test]
fn case_13_each_channel_of_a_recording_is_what_its_leg_carried() {
    let folder = tempfile::tempdir().unwrap();
    let said = [speech(150.0, 3.0), speech(220.0, 4.3)];
    for (form, bound_db) in [(FORMS[2], 80.0), (STEREO, 18.0), (FORMS[4], 12.0)] {
        let name = format!("call.{}", form.format.ending());
        let start = Instant::now();
        let mut job = Job::start(folder.path(), &name, form, start, None).unwrap();
        let mut carried = [Vec::new(), Vec::new()];
        for n in 0..200 {
            for (side, voice) in [Side::Left, Side::Right].into_iter().zip(&said) {
                let at = start + ms(20 * u64::from(n));
                let mut packet = packet(side, n, 1_000.0, at);
                let frame = &voice[n as usize * 160..][..160];
                let (code, linear): Law = match packet.codec {
                    Codec::Pcma => (g711::linear_to_alaw, g711::alaw_to_linear),
                    _ => (g711::linear_to_ulaw, g711::ulaw_to_linear),
                };
                for (octet, sample) in packet.payload.iter_mut().zip(frame) {
                    *octet = code(*sample);
                    carried[usize::from(side == Side::Right)].push(f64::from(linear(*octet)));
                }
                job.put(&packet).unwrap();
            }
            if n % 5 == 0 {
                job.turn(start + ms(20 * u64::from(n))).unwrap();
            }
        }
        job.finish(start + ms(4_000)).unwrap();
        let Some((rate, sound)) = played(form, &folder.path().join(&name)) else { continue };
        assert_eq!(sound.len(), 2);
        for (channel, carried) in sound.iter().zip(&carried) {
            assert!(channel.len().abs_diff(4 * rate as usize) <= rate as usize / 50, "±20 ms");
            let step = rate as usize / 8_000;
            let heard: Vec<f64> =
                channel.iter().step_by(step).map(|sample| f64::from(*sample) * 32_768.0).collect();
            let below = below(&carried[800..31_000], &heard[800..31_000]);
            assert!(below > bound_db, "{form:?}: {below} dB");
            println!("{form:?}: {below:.1} dB");
        }
    }
}
