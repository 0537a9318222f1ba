//! Ears: how strong is a frequency, and what does a decoder make of a recording.

use std::path::Path;
use std::process::Command;

/// Power of one frequency relative to the whole signal, 0 to 1 (Goertzel over the slice).
#[must_use]
pub fn share(samples: &[f32], rate: f32, frequency: f32) -> f32 {
    let total: f32 = samples.iter().map(|s| s * s).sum();
    if samples.is_empty() || total <= f32::EPSILON {
        return 0.0;
    }
    let w = std::f32::consts::TAU * frequency / rate;
    let coefficient = 2.0 * w.cos();
    let (mut s1, mut s2) = (0.0_f32, 0.0_f32);
    for sample in samples {
        let s0 = sample + coefficient * s1 - s2;
        s2 = s1;
        s1 = s0;
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    2.0 * power / (total * samples.len() as f32)
}

/// True when most of the middle of the signal is this frequency.
#[must_use]
pub fn is_tone(samples: &[f32], rate: f32, frequency: f32) -> bool {
    // Windows of a tenth of a second keep a small clock offset from smearing the bin.
    let window = (rate / 10.0) as usize;
    let windows: Vec<f32> =
        samples.chunks_exact(window).map(|w| share(w, rate, frequency)).collect();
    let good = windows.iter().filter(|s| **s > 0.8).count();
    !windows.is_empty() && good * 2 > windows.len()
}

/// A decoded recording: one vector a channel.
#[derive(Debug)]
pub struct Sound {
    /// Samples per second.
    pub rate: f32,
    /// Left, right.
    pub channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Decodes a file with ffmpeg, which honours the Info tag's delay and padding.
    ///
    /// # Panics
    /// When ffmpeg is missing or refuses the file.
    #[must_use]
    pub fn decode(file: &Path) -> Sound {
        let out = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(file)
            .args(["-f", "f32le", "-ac", "2", "-ar", "16000", "-"])
            .output()
            .expect("ffmpeg runs");
        assert!(out.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&out.stderr));
        let mut channels = vec![Vec::new(), Vec::new()];
        for (i, bytes) in out.stdout.chunks_exact(4).enumerate() {
            channels[i % 2].push(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        Sound { rate: 16_000.0, channels }
    }

    /// Length in milliseconds.
    #[must_use]
    pub fn ms(&self) -> f32 {
        self.channels[0].len() as f32 * 1000.0 / self.rate
    }
}

/// G.711 A-law octets as samples.
#[must_use]
pub fn alaw(octets: &[u8]) -> Vec<f32> {
    octets
        .iter()
        .map(|octet| {
            // G.711 §3.2, written out: invert even bits, then sign, segment, step.
            let code = octet ^ 0x55;
            let segment = i32::from((code >> 4) & 7);
            let step = i32::from(code & 15);
            let magnitude = match segment {
                0 => (step << 4) + 8,
                _ => ((step << 4) + 0x108) << (segment - 1),
            };
            let value = if code & 0x80 == 0 { -magnitude } else { magnitude };
            value as f32 / 32768.0
        })
        .collect()
}

/// G.711 µ-law octets as samples.
#[must_use]
pub fn ulaw(octets: &[u8]) -> Vec<f32> {
    octets
        .iter()
        .map(|octet| {
            let code = !octet;
            let magnitude =
                (((i32::from(code & 15) << 3) + 0x84) << i32::from((code >> 4) & 7)) - 0x84;
            let value = if code & 0x80 == 0 { magnitude } else { -magnitude };
            value as f32 / 32768.0
        })
        .collect()
}

/// Writes an A-law file of one tone, as sipp's `rtp_stream` wants it: raw octets.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_alaw_tone(file: &Path, frequency: u32, seconds: u32) {
    sox(file, &["-t", "al"], frequency, seconds, -6);
}

/// Speaks the announcements of networks that the starter library knows into a folder, as raw A-law files:
/// `<language>-<state>.al`.
///
/// # Panics
/// When espeak-ng or sox is missing or refuses.
pub fn speak_announcements(folder: &Path) {
    let speak = concat!(env!("CARGO_MANIFEST_DIR"), "/../../media/announcements/speak");
    let out = Command::new(speak).arg(folder).output().expect("the script runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let file = Path::new(line.rsplit('\t').next().unwrap_or_default());
        let out = Command::new("sox")
            .args(["-r", "8000", "-c", "1", "-b", "16", "-e", "signed-integer"])
            .arg(file)
            .args(["-t", "al"])
            .arg(file.with_extension("al"))
            .args(["pad", "0.5", "1"])
            .output()
            .expect("sox runs");
        assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
    }
}

/// Writes an A-law file of a tone that comes and goes, one period of it.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_alaw_cadence(file: &Path, frequency: u32, (on, off): (&str, &str)) {
    let out = Command::new("sox")
        .args(["-n", "-r", "8000", "-c", "1", "-t", "al"])
        .arg(file)
        .args(["synth", on, "sine", &frequency.to_string(), "gain", "-10", "pad", "0", off])
        .output()
        .expect("sox runs");
    assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
}

/// Writes an A-law file of a key (two tones, 150 ms) after two seconds, with silence for a minute behind it.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_alaw_key(file: &Path, (low, high): (u32, u32)) {
    let out = Command::new("sox")
        .args(["-n", "-r", "8000", "-c", "1", "-t", "al"])
        .arg(file)
        .args(["synth", "0.15", "sine", &low.to_string(), "synth", "0.15", "sine", "mix"])
        .args([&high.to_string(), "gain", "-6", "pad", "2", "60"])
        .output()
        .expect("sox runs");
    assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
}

/// Writes a 16-bit WAV file of one tone.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_wav_tone(file: &Path, frequency: u32, seconds: u32) {
    sox(file, &["-b", "16"], frequency, seconds, -6);
}

/// The same, so soft that eight of them together are not too loud.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_soft_wav_tone(file: &Path, frequency: u32, seconds: u32) {
    sox(file, &["-b", "16"], frequency, seconds, -24);
}

/// Writes an A-law file of one second to be played in a loop: 300 ms of a tone, then silence.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_alaw_beat(file: &Path, frequency: u32) {
    let out = Command::new("sox")
        .args(["-n", "-r", "8000", "-c", "1", "-t", "al"])
        .arg(file)
        .args(["synth", "0.3", "sine", &frequency.to_string(), "gain", "-6", "pad", "0", "0.7"])
        .output()
        .expect("sox runs");
    assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
}

/// Where sounds begin, in milliseconds: the first loud sample after 200 ms of quiet.
#[must_use]
pub fn beats(samples: &[f32], rate: f32) -> Vec<f64> {
    const LOUD: f32 = 0.1;
    let quiet = (rate / 5.0) as usize;
    let mut found = Vec::new();
    let mut silent = 0;
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() < LOUD {
            silent += 1;
            continue;
        }
        if silent >= quiet {
            found.push(at as f64 * 1000.0 / f64::from(rate));
        }
        silent = 0;
    }
    found
}

/// Tenths of a second in which a frequency is most of what is heard.
#[must_use]
pub fn tenths_of(samples: &[f32], rate: f32, frequency: f32) -> usize {
    samples
        .chunks_exact((rate / 10.0) as usize)
        .filter(|w| w.iter().any(|s| s.abs() > 0.02) && share(w, rate, frequency) > 0.7)
        .count()
}

fn sox(file: &Path, format: &[&str], frequency: u32, seconds: u32, gain: i32) {
    let out = Command::new("sox")
        .args(["-n", "-r", "8000", "-c", "1"])
        .args(format)
        .arg(file)
        .args(["synth", &seconds.to_string(), "sine", &frequency.to_string()])
        .args(["gain", &gain.to_string()])
        .output()
        .expect("sox runs");
    assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
}

/// Writes A-law octets as a 16-bit WAV file, which keeps every one of them.
///
/// # Panics
/// When sox is missing or refuses.
pub fn write_wav_of_alaw(file: &Path, octets: &[u8]) {
    let raw = file.with_extension("al");
    std::fs::write(&raw, octets).expect("a file");
    let out = Command::new("sox")
        .args(["-r", "8000", "-c", "1", "-t", "al"])
        .arg(raw)
        .args(["-b", "16", "-e", "signed-integer"])
        .arg(file)
        .output()
        .expect("sox runs");
    assert!(out.status.success(), "sox: {}", String::from_utf8_lossy(&out.stderr));
}

/// How alike a sound and the part of what was heard are that is most like it: 1 is the same but for its loudness.
/// What is missing of the sound counts as silence. Both at one rate.
#[must_use]
pub fn alike(heard: &[f32], sound: &[f32]) -> f32 {
    const PROBE: usize = 800;
    let power = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>();
    let like = |one: &[f32], other: &[f32]| {
        let product: f32 = one.iter().zip(other).map(|(x, y)| x * y).sum();
        product / (power(one) * power(other)).sqrt().max(f32::EPSILON)
    };
    // Its loudest tenth of a second shows where it is.
    let loudest = sound.chunks_exact(PROBE).enumerate();
    let Some((at, probe)) = loudest.max_by(|one, other| power(one.1).total_cmp(&power(other.1)))
    else {
        return 0.0;
    };
    let places = heard.windows(PROBE).enumerate().map(|(at, part)| (at, like(part, probe)));
    let Some((found, _)) = places.max_by(|one, other| one.1.total_cmp(&other.1)) else {
        return 0.0;
    };
    let Some(start) = found.checked_sub(at * PROBE) else { return 0.0 };
    let mut part = heard[start..heard.len().min(start + sound.len())].to_vec();
    part.resize(sound.len(), 0.0);
    like(&part, sound)
}

/// The recorded words of a language: name and A-law.
fn words(language: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/say");
    let octets = std::fs::read(folder.join(format!("{language}.al"))).expect("the words");
    let index = std::fs::read_to_string(folder.join(format!("{language}.tsv"))).expect("an index");
    let word = |line: &str| {
        let mut cells = line.split('\t');
        let name = cells.next()?.to_owned();
        let (from, count): (usize, usize) =
            (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
        Some((name, octets.get(from..from + count)?.to_vec()))
    };
    index.lines().filter_map(word).collect()
}

/// The signs that were said, in order: where each of their words is found to the octet.
///
/// # Panics
/// When the words of the language are not there.
#[must_use]
pub fn said(heard: &[u8], language: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (name, word) in words(language) {
        let sign = name.strip_prefix("letter-").unwrap_or(&name).to_owned();
        let places = heard.windows(word.len()).enumerate().filter(|(_, part)| *part == word);
        found.extend(places.map(|(at, _)| (at, sign.clone())));
    }
    found.sort();
    found.into_iter().map(|(_, sign)| sign).collect()
}

/// How loud it is, every 20 ms.
fn loudness(samples: &[f32]) -> Vec<f32> {
    let power = |frame: &[f32]| (frame.iter().map(|s| s * s).sum::<f32>() / 160.0).sqrt();
    samples.chunks_exact(160).map(power).collect()
}

/// How alike two sounds are at their best fit, by their loudness: 1 for the same.
#[must_use]
pub fn likeness(whole: &[f32], part: &[f32]) -> f32 {
    let (whole, part) = (loudness(whole), loudness(part));
    let mean = |of: &[f32]| of.iter().sum::<f32>() / of.len() as f32;
    let fit = |window: &[f32]| {
        let (a, b) = (mean(window), mean(&part));
        let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
        for (x, y) in window.iter().zip(&part) {
            let (x, y) = (x - a, y - b);
            (both, one, other) = (both + x * y, one + x * x, other + y * y);
        }
        both / (one * other).sqrt().max(f32::EPSILON)
    };
    whole.windows(part.len()).map(fit).fold(0.0, f32::max)
}

/// What espeak-ng makes of a text with a voice (`-v fa`), at 8 kHz.
///
/// # Panics
/// When espeak-ng or sox is missing.
#[must_use]
pub fn spoken(folder: &Path, voice: &[&str], text: &str) -> Vec<f32> {
    let (wav, raw) = (folder.join("own.wav"), folder.join("own.al"));
    let said = Command::new("espeak-ng").args(voice).arg("-w").arg(&wav).arg(text).status();
    assert!(said.expect("espeak-ng runs").success());
    let mut sox = Command::new("sox");
    sox.arg(&wav).args(["-r", "8000", "-c", "1", "-t", "al"]).arg(&raw);
    assert!(sox.status().expect("sox runs").success());
    alaw(&std::fs::read(raw).expect("a sound"))
}
