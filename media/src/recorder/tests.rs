use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;

use audio::g711;
use audio::mp3::FRAME_SAMPLES;
use facts::media::{RecordingForm, RecordingFormat, Voices};

use super::file::{PartFile, Sink};
use super::job::Job;
use super::*;
use crate::prompt::decode::channels;

mod apart;
mod drift;
mod fidelity;
mod kills;
mod threads;

const CALL: CallId = CallId(1 << 40);
/// Octets of a frame of MP3 with two channels.
const FRAME_BYTES: usize = audio::mp3::frame_bytes(audio::tape::Channels::Stereo);
const STEREO: RecordingForm =
    RecordingForm { format: RecordingFormat::Mp3, voices: Voices::Stereo };
const FORMS: [RecordingForm; 6] = [
    STEREO,
    RecordingForm { voices: Voices::Mixed, ..STEREO },
    RecordingForm { format: RecordingFormat::Wav, voices: Voices::Stereo },
    RecordingForm { format: RecordingFormat::Wav, voices: Voices::Mixed },
    RecordingForm { format: RecordingFormat::Opus, voices: Voices::Stereo },
    RecordingForm { format: RecordingFormat::Opus, voices: Voices::Mixed },
];

/// A file as ffmpeg decodes it, at the rate of its form, without a word of complaint; `None` where it is not installed.
fn by_ffmpeg(form: RecordingForm, path: &Path) -> Option<(u32, Vec<Vec<f32>>)> {
    let rate = match form.format {
        RecordingFormat::Mp3 => 16_000,
        RecordingFormat::Wav => 8_000,
        RecordingFormat::Opus => 48_000,
    };
    let decoded = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-f", "s16le", "-"])
        .output()
        .ok()?;
    assert_eq!(String::from_utf8_lossy(&decoded.stderr), "", "{}", path.display());
    let sides = if form.voices == Voices::Stereo { 2 } else { 1 };
    let sample = |octets: &[u8]| f32::from(i16::from_le_bytes([octets[0], octets[1]])) / 32_768.0;
    let all: Vec<f32> = decoded.stdout.chunks_exact(2).map(sample).collect();
    let side = |n: usize| all.iter().skip(n).step_by(sides).copied().collect();
    Some((rate, (0..sides).map(side).collect()))
}

/// A finished file, by our own decoders; those of Opus are elsewhere.
fn played(form: RecordingForm, path: &Path) -> Option<(u32, Vec<Vec<f32>>)> {
    match form.format {
        RecordingFormat::Opus => {
            let heard = by_ffmpeg(form, path);
            if heard.is_none() {
                eprintln!("ffmpeg is not installed: nothing compared");
            }
            heard
        }
        RecordingFormat::Mp3 | RecordingFormat::Wav => {
            Some(channels(&fs::read(path).unwrap()).unwrap())
        }
    }
}

fn sine(hz: f64, from: usize, count: usize) -> impl Iterator<Item = i16> {
    let step = std::f64::consts::TAU * hz / 8_000.0;
    (from..from + count).map(move |n| (8_192.0 * (step * n as f64).sin()) as i16)
}

/// Packet `n` of a steady tone.
fn packet(side: Side, n: u32, hz: f64, arrival: Instant) -> Packet {
    let (codec, code): (_, fn(i16) -> u8) = match side {
        Side::Left => (Codec::Pcma, g711::linear_to_alaw),
        Side::Right => (Codec::Pcmu, g711::linear_to_ulaw),
    };
    let mut payload = [0; MAX_PAYLOAD];
    for (octet, sample) in payload.iter_mut().zip(sine(hz, n as usize * 160, 160)) {
        *octet = code(sample);
    }
    let timestamp = (n * 160).wrapping_add(4_000_000_000);
    Packet { call: CALL, side, codec, arrival, timestamp, length: 160, payload }
}

/// Amplitude of one frequency as a share of full scale, at 16 kHz.
fn amplitude(samples: &[f32], hz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hz / 16_000.0;
    let (mut cos, mut sin) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        cos += f64::from(*sample) * (omega * n as f64).cos();
        sin += f64::from(*sample) * (omega * n as f64).sin();
    }
    2.0 * cos.hypot(sin) / samples.len() as f64
}

/// When a channel first gets loud, milliseconds.
fn onset(samples: &[f32]) -> f64 {
    let first = samples.iter().position(|sample| sample.abs() > 0.12).unwrap_or(usize::MAX);
    first as f64 / 16.0
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A recording of `length_ms` on a clock of our own: A sings 700 Hz from 1.0 s on, B 1100 Hz from
/// 2.0 s on. `stop_at` keeps the job from being finished: as if the process had been killed there.
fn record(folder: &Path, name: &str, length_ms: u64) -> (Instant, Job) {
    record_as(STEREO, folder, name, length_ms)
}

fn record_as(form: RecordingForm, folder: &Path, name: &str, length_ms: u64) -> (Instant, Job) {
    let start = Instant::now();
    let job = Job::start(folder, name, form, start, None).unwrap();
    (start, sung(job, start, length_ms))
}

fn sung(mut job: Job, start: Instant, length_ms: u64) -> Job {
    for now in (0..=length_ms).step_by(10) {
        let at = start + ms(now);
        for (side, from, hz) in [(Side::Left, 1_000, 700.0), (Side::Right, 2_000, 1_100.0)] {
            if now >= from && now % 20 == 0 {
                job.put(&packet(side, ((now - from) / 20) as u32, hz, at)).unwrap();
            }
        }
        if now % 100 == 0 {
            job.turn(at).unwrap();
        }
    }
    job
}

fn record_sealed(
    form: RecordingForm,
    folder: &Path,
    name: &str,
    length_ms: u64,
    keys: &Arc<Keys>,
) -> (Instant, Job) {
    let start = Instant::now();
    let job = Job::start(folder, name, form, start, Some(keys)).unwrap();
    (start, sung(job, start, length_ms))
}

#[test]
fn a_sealed_recording_is_the_same_to_who_has_the_key_and_noise_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let keys = kills::keys("2026 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    for form in FORMS {
        let name = format!("{}.{}", form.voices.word(), form.format.ending());
        let (start, job) = record_sealed(form, folder.path(), &name, 2_345, &keys);
        let sealed = job.finish(start + ms(2_345)).unwrap();
        let (start, job) = record_as(form, folder.path(), &format!("plain-{name}"), 2_345);
        let plain = job.finish(start + ms(2_345)).unwrap();
        // The record tells of the sound, not of its cover.
        assert_eq!((sealed.bytes, &sealed.sha256), (plain.bytes, &plain.sha256), "{form:?}");
        let path = folder.path().join(&name);
        let stored = fs::read(&path).unwrap();
        let wanted = fs::read(folder.path().join(format!("plain-{name}"))).unwrap();
        assert_eq!(whole(&path, Some(&keys), 1 << 30).unwrap().unwrap(), wanted);
        assert!(stored.len() as u64 > sealed.bytes);
        for part in wanted[44..].chunks_exact(16).step_by(50) {
            let dull = part.iter().all(|octet| *octet == part[0]);
            assert!(dull || !stored.windows(16).any(|there| there == part), "{form:?}");
        }
        let error = whole(&path, None, 1 << 30).unwrap_err().to_string();
        assert!(error.contains("\"2026\""), "{error}");
        assert!(whole(&path, Some(&keys), 10).is_err(), "longer than is wanted");
    }
}

#[test]
fn case_13_each_leg_is_on_its_own_channel_and_in_time() {
    let folder = tempfile::tempdir().unwrap();
    for length_ms in [3_000, 7_013] {
        let name = format!("2026/11/{length_ms}.mp3");
        let (start, job) = record(folder.path(), &name, length_ms);
        let file = job.finish(start + ms(length_ms)).unwrap();
        assert_eq!((file.file.as_str(), file.duration_ms), (name.as_str(), length_ms));
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64);
        let (rate, sound) = channels(&bytes).unwrap();
        assert_eq!((rate, sound.len()), (16_000, 2));
        for channel in &sound {
            assert_eq!(channel.len() as u64, length_ms * 16, "to the sample");
        }
        let (left, right) = (&sound[0][33_600..47_000], &sound[1][33_600..47_000]);
        assert!((amplitude(left, 700.0) - 0.25).abs() < 0.02, "{}", amplitude(left, 700.0));
        assert!((amplitude(right, 1_100.0) - 0.25).abs() < 0.02, "{}", amplitude(right, 1_100.0));
        assert!(amplitude(left, 1_100.0) < 0.000_5 && amplitude(right, 700.0) < 0.000_5);
        assert!((onset(&sound[0]) - 1_000.0).abs() < 5.0, "A begins at {}", onset(&sound[0]));
        assert!((onset(&sound[1]) - 2_000.0).abs() < 5.0, "B begins at {}", onset(&sound[1]));
        assert!(sound[0][..15_000].iter().all(|sample| sample.abs() < 0.002), "silence before A");
        assert!(!folder.path().join(format!("{name}.part")).exists());
    }
}

#[test]
fn case_13_every_form_is_as_long_as_the_call_and_has_its_sum() {
    let folder = tempfile::tempdir().unwrap();
    for (n, form) in FORMS.into_iter().enumerate() {
        let name = format!("{n}.{}", form.format.ending());
        let (start, job) = record_as(form, folder.path(), &name, 3_333);
        let file = job.finish(start + ms(3_333)).unwrap();
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        assert_eq!((file.duration_ms, file.bytes), (3_333, bytes.len() as u64), "{form:?}");
        use sha2::Digest as _;
        assert_eq!(file.sha256, hex::encode(sha2::Sha256::digest(&bytes)));
        let Some((hz, sound)) = played(form, &folder.path().join(&name)) else { continue };
        assert_eq!(sound.len(), if form.voices == Voices::Mixed { 1 } else { 2 }, "{form:?}");
        for channel in &sound {
            assert_eq!(channel.len() as u64, 3_333 * u64::from(hz) / 1_000, "to the sample");
        }
        // Both sing from the third second on.
        let at = |hz_wanted: f64, channel: &[f32]| {
            let from = (2 * hz + hz / 10) as usize;
            amplitude(&channel[from..from + hz as usize], hz_wanted * 16_000.0 / f64::from(hz))
        };
        let (a, b) = (at(700.0, &sound[0]), at(1_100.0, sound.last().unwrap()));
        let off = if form.format == RecordingFormat::Opus { 0.05 } else { 0.02 };
        assert!((a - 0.25).abs() < off && (b - 0.25).abs() < off, "{form:?}: {a} {b}");
        let crossed = at(1_100.0, &sound[0]);
        let clean = if form.format == RecordingFormat::Opus { 0.005 } else { 0.001 };
        assert!(
            if form.voices == Voices::Mixed { crossed > 0.2 } else { crossed < clean },
            "{form:?}: {crossed}"
        );
        // Each begins when its side did.
        let first = |channel: &[f32]| channel.iter().position(|sample| sample.abs() > 0.12);
        let begins = first(&sound[0]).unwrap() as f64 * 1_000.0 / f64::from(hz);
        assert!((begins - 1_000.0).abs() < 5.0, "{form:?}: A begins at {begins} ms");
    }
}

#[test]
fn a_paused_recording_hears_nothing_and_keeps_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut job = Job::start(folder.path(), "a.wav", FORMS[2], start, None).unwrap();
    // Orders and packets have queues of their own: what was said before a pause may come after its order.
    job.pause(true, start + ms(1_000));
    job.pause(true, start + ms(1_100));
    job.pause(false, start + ms(2_000));
    job.pause(false, start + ms(2_100));
    for n in 0..150 {
        let at = start + ms(20 * u64::from(n));
        job.put(&packet(Side::Left, n, 700.0, at)).unwrap();
        if n % 5 == 0 {
            job.turn(at).unwrap();
        }
        if n == 120 {
            job.pause(true, start + ms(2_500));
        }
    }
    let file = job.finish(start + ms(3_000)).unwrap();
    assert_eq!(file.duration_ms, 3_000);
    let (_, sound) = channels(&fs::read(folder.path().join("a.wav")).unwrap()).unwrap();
    let loud = |ms: usize| sound[0][ms * 8..][..80].iter().any(|sample| sample.abs() > 0.1);
    let heard: Vec<usize> = (0..3_000).step_by(10).filter(|ms| loud(*ms)).collect();
    assert!((0..1_000).step_by(10).all(|ms| heard.contains(&ms)), "before");
    assert!((2_000..2_500).step_by(10).all(|ms| heard.contains(&ms)), "between");
    assert_eq!(heard.len(), 150, "and nothing else");
}

#[test]
fn more_pauses_than_are_kept_err_on_the_silent_side() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut job = Job::start(folder.path(), "a.wav", FORMS[2], start, None).unwrap();
    for n in 0..1_000 {
        job.pause(n % 2 == 0, start + ms(n));
    }
    job.pause(true, start + ms(1_000));
    job.put(&packet(Side::Left, 0, 700.0, start + ms(1_001))).unwrap();
    let file = job.finish(start + ms(2_000)).unwrap();
    let (_, sound) = channels(&fs::read(folder.path().join(file.file)).unwrap()).unwrap();
    assert!(sound[0].iter().all(|sample| *sample == 0.0));
}

#[test]
fn case_13_ffmpeg_finds_the_same_length() {
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        let name = format!("{}.{}", form.voices.word(), form.format.ending());
        let (start, job) = record_as(form, folder.path(), &name, 4_321);
        job.finish(start + ms(4_321)).unwrap();
        let Some((rate, sound)) = by_ffmpeg(form, &folder.path().join(&name)) else {
            eprintln!("ffmpeg is not installed: nothing compared");
            return;
        };
        for channel in sound {
            let per_ms = rate as usize / 1_000;
            let samples = channel.len();
            assert!(samples.abs_diff(4_321 * per_ms) <= per_ms, "{form:?}: {samples}");
        }
    }
}

#[test]
fn a_call_without_any_packet_is_silence_of_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let job = Job::start(folder.path(), "silent.mp3", STEREO, start, None).unwrap();
    let file = job.finish(start + ms(5_000)).unwrap();
    let (_, sound) = channels(&fs::read(folder.path().join(file.file)).unwrap()).unwrap();
    assert_eq!(sound[0].len(), 80_000);
    assert!(sound.iter().flatten().all(|sample| sample.abs() < 0.001));
}

#[test]
fn minutes_asleep_are_written_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut job = Job::start(folder.path(), "long.mp3", STEREO, start, None).unwrap();
    job.put(&packet(Side::Left, 0, 700.0, start)).unwrap();
    job.turn(start + ms(120_000)).unwrap();
    let file = job.finish(start + ms(120_100)).unwrap();
    assert_eq!(file.duration_ms, 120_100);
    assert!(file.bytes.abs_diff(120_100 * 10) < 2_000, "80 kbit/s: {}", file.bytes);
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "../a.mp3", "/tmp/a.mp3", "x/../../a.mp3", "."] {
        assert!(PartFile::create(folder.path(), name, STEREO, None).is_err(), "{name}");
    }
    fs::write(folder.path().join("there.mp3"), b"kept").unwrap();
    assert!(PartFile::create(folder.path(), "there.mp3", STEREO, None).is_err());
    let _first = PartFile::create(folder.path(), "twice.mp3", STEREO, None).unwrap();
    assert!(PartFile::create(folder.path(), "twice.mp3", STEREO, None).is_err());
    assert_eq!(fs::read(folder.path().join("there.mp3")).unwrap(), b"kept");
}

/// A disk with room for so many octets.
struct SmallDisk {
    room: usize,
}

impl Write for SmallDisk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = octets.len().min(self.room);
        self.room -= count;
        if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SmallDisk {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

impl Sink for SmallDisk {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_its_remains_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("a.mp3.part");
    fs::write(&part, b"some").unwrap();
    let start = Instant::now();
    let file =
        PartFile::with(SmallDisk { room: 1_000 }, folder.path(), "a.mp3", STEREO, None).unwrap();
    let mut job = Job::with(vec![file], STEREO, start).unwrap();
    assert!(job.turn(start + ms(250)).is_ok(), "the first frames fit");
    let error = job.turn(start + ms(2_000)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    drop(job);
    assert!(!part.exists());
    // The device that is always full.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = PartFile::with(full, folder.path(), "b.mp3", STEREO, None).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
