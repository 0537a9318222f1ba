//! One leg alone, and each leg in a file of its own.

use super::*;

const FORMATS: [RecordingFormat; 3] = RecordingFormat::ALL;

/// How loud the tones of A and of B are in the only channel of a file, from the third second on.
fn tones(form: RecordingForm, path: &Path, length_ms: u64) -> Option<(f64, f64)> {
    let (hz, sound) = played(form, path)?;
    assert_eq!(sound.len(), 1, "{form:?}");
    assert_eq!(sound[0].len() as u64, length_ms * u64::from(hz) / 1_000, "{form:?}: to the sample");
    let from = (2 * hz + hz / 10) as usize;
    let second = &sound[0][from..from + hz as usize];
    let at = |wanted: f64| amplitude(second, wanted * 16_000.0 / f64::from(hz));
    Some((at(700.0), at(1_100.0)))
}

#[test]
fn case_13_one_leg_alone_is_one_channel_as_long_as_the_call() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        for voices in [Voices::A, Voices::B] {
            let form = RecordingForm { format, voices };
            let name = format!("1_{}.{}", voices.word(), format.ending());
            let (start, job) = record_as(form, folder.path(), &name, 3_333);
            let file = job.finish(start + ms(3_333)).unwrap();
            assert_eq!((file.duration_ms, &file.other), (3_333, &None));
            let Some((a, b)) = tones(form, &folder.path().join(&name), 3_333) else { continue };
            let (heard, not) = if voices == Voices::A { (a, b) } else { (b, a) };
            assert!((heard - 0.25).abs() < 0.05 && not < 0.005, "{form:?}: {a} {b}");
        }
    }
}

#[test]
fn case_13_two_files_are_equally_long_and_each_has_its_voice_and_its_sum() {
    let folder = tempfile::tempdir().unwrap();
    let keys = kills::keys("k AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    for format in FORMATS {
        let form = RecordingForm { format, voices: Voices::Apart };
        let name = format!("ab/1_x-a.{}", format.ending());
        let (start, job) = record_as(form, folder.path(), &name, 3_333);
        let a = job.finish(start + ms(3_333)).unwrap();
        let b = a.other.clone().expect("B has a file");
        assert_eq!((&a.file, &b.file), (&name, &Voices::other(&name).unwrap()));
        for (file, own) in [(&a, 0), (&b, 1)] {
            use sha2::Digest as _;
            let path = folder.path().join(&file.file);
            let bytes = fs::read(&path).unwrap();
            assert_eq!((file.duration_ms, file.bytes), (3_333, bytes.len() as u64));
            assert_eq!(file.sha256, hex::encode(sha2::Sha256::digest(&bytes)));
            let Some((left, right)) = tones(form, &path, 3_333) else { continue };
            let (heard, not) = if own == 0 { (left, right) } else { (right, left) };
            assert!((heard - 0.25).abs() < 0.05 && not < 0.005, "{form:?}: {left} {right}");
        }
        // The same sealed.
        let name = format!("ab/2_x-a.{}", format.ending());
        let (start, job) = record_sealed(form, folder.path(), &name, 3_333, &keys);
        let sealed = job.finish(start + ms(3_333)).unwrap();
        for (plain, sealed) in a.all().zip(sealed.all()) {
            assert_eq!((plain.bytes, &plain.sha256), (sealed.bytes, &sealed.sha256), "{form:?}");
            assert!(seal::is_sealed(&fs::read(folder.path().join(&sealed.file)).unwrap()));
        }
    }
}

#[test]
fn case_14_two_files_of_a_killed_process_are_put_right_and_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    for format in FORMATS {
        let form = RecordingForm { format, voices: Voices::Apart };
        let name = format!("ab/3_x-a.{}", format.ending());
        let (_, job) = record_as(form, folder.path(), &name, 4_000);
        std::mem::forget(job);
        let found = recover(folder.path(), None).unwrap();
        let [a] = &found.recovered[..] else { panic!("{found:?}") };
        assert_eq!(a.file, name);
        let b = a.other.as_ref().expect("B's goes with it");
        assert!(a.duration_ms.abs_diff(4_000) < 150 && b.duration_ms == a.duration_ms, "{a:?}");
    }
}

#[test]
fn case_16_a_second_file_that_cannot_be_made_leaves_no_first_one() {
    let folder = tempfile::tempdir().unwrap();
    let form = RecordingForm { format: RecordingFormat::Wav, voices: Voices::Apart };
    fs::write(folder.path().join("1_x-b.wav"), b"taken").unwrap();
    assert!(Job::start(folder.path(), "1_x-a.wav", form, Instant::now(), None).is_err());
    assert!(!folder.path().join("1_x-a.wav.part").exists());
    assert!(Job::start(folder.path(), "1_x.wav", form, Instant::now(), None).is_err());
    assert!(!folder.path().join("1_x.wav.part").exists());
}

#[test]
fn case_13_two_files_of_clocks_100_ppm_off_stay_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let form = RecordingForm { format: RecordingFormat::Wav, voices: Voices::Apart };
    let (start, length_ms) = (Instant::now(), 600_000_u64);
    let mut job = Job::start(folder.path(), "1_l-a.wav", form, start, None).unwrap();
    // A's clock is 100 ppm fast, B's as slow; both are loud in the last second.
    for turn in 1..=length_ms / 100 {
        for n in (turn - 1) * 5..turn * 5 {
            for (side, ppm) in [(Side::Left, 100.0), (Side::Right, -100.0)] {
                let at_us = n as f64 * 20_000.0;
                let loud = at_us >= 599_000_000.0;
                let hz = if loud { 700.0 } else { 0.0 };
                let arrival = start + Duration::from_micros(at_us as u64);
                let mut packet = packet(side, n as u32, hz, arrival);
                // What its own clock says of this moment.
                packet.timestamp = (at_us / 125.0 * (1.0 + ppm / 1e6)) as u32;
                job.put(&packet).unwrap();
            }
        }
        job.turn(start + ms(turn * 100)).unwrap();
    }
    let a = job.finish(start + ms(length_ms)).unwrap();
    for file in a.all() {
        assert_eq!(file.duration_ms, length_ms);
        let bytes = fs::read(folder.path().join(&file.file)).unwrap();
        let loud = |at: usize| {
            i16::from_le_bytes([bytes[44 + 2 * at], bytes[45 + 2 * at]]).unsigned_abs() > 1_000
        };
        let begins = (0..length_ms as usize * 8).find(|at| loud(*at)).unwrap() as f64 / 8.0;
        assert!((begins - 599_000.0).abs() <= 20.0, "{}: {begins} ms", file.file);
    }
}
