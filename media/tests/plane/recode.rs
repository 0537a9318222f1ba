//! Legs that speak different codings over real sockets: each hears the other in its own.

use std::time::Instant;

use audio::codec::{Coding, Decoder, Encoder, OCTETS_MAX, SAMPLES_MAX};
use facts::media::{Codec, MediaCommand, MediaEvent, PayloadMap, RecordingForm, Source, Tone};

use crate::common::*;

const HZ: f64 = 1_000.0;
/// A tone of a quarter of full scale.
const PEAK: f64 = 8_192.0;

/// A far end that sings a tone in one coding and understands what it hears.
pub(crate) struct Singer {
    pub(crate) phone: Phone,
    pub(crate) number: u8,
    codec: Codec,
    encoder: Encoder,
    decoder: Decoder,
    sung: usize,
    timestamp: u32,
}

fn coding(codec: Codec) -> Coding {
    match codec {
        Codec::Pcmu => Coding::Pcmu,
        Codec::Pcma => Coding::Pcma,
        Codec::G722 => Coding::G722,
        Codec::Opus => Coding::Opus,
        Codec::G729 => panic!("nobody sings in it"),
    }
}

impl Singer {
    pub(crate) fn new(ssrc: u32, number: u8, codec: Codec) -> Singer {
        let coding = coding(codec);
        let (encoder, decoder) = (Encoder::new(coding).unwrap(), Decoder::new(coding).unwrap());
        let phone = Phone::new(ssrc);
        Singer { phone, number, codec, encoder, decoder, sung: 0, timestamp: 77 }
    }

    pub(crate) fn map(&self) -> PayloadMap {
        only(self.number, self.codec)
    }

    /// 20 ms of the tone.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        let rate = self.encoder.rate();
        let step = std::f64::consts::TAU * HZ / f64::from(rate);
        let count = rate as usize / 50;
        let pcm: Vec<i16> = (self.sung..self.sung + count)
            .map(|n| (PEAK * (step * n as f64).sin()) as i16)
            .collect();
        self.sung += count;
        let mut out = [0; OCTETS_MAX];
        let len = self.encoder.encode(&pcm, &mut out).unwrap();
        out[..len].to_vec()
    }

    fn sing(&mut self) {
        let payload = self.payload();
        self.phone.say_at(self.number, self.timestamp, &payload);
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_hz() / 50);
    }

    /// It sang, and that was lost.
    fn sing_in_vain(&mut self) {
        self.payload();
        self.phone.lose();
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_hz() / 50);
    }

    /// Decodes what came.
    fn understand(&mut self, packets: &[Packet]) -> Vec<i16> {
        let mut sound = Vec::new();
        let mut out = vec![0; SAMPLES_MAX];
        for packet in packets {
            assert_eq!(packet.payload_type, self.number);
            let count = self.decoder.decode(&packet.payload, &mut out).unwrap();
            sound.extend_from_slice(&out[..count]);
        }
        sound
    }

    /// Amplitude of the tone in sound that it heard.
    fn amplitude(&self, sound: &[i16]) -> f64 {
        amplitude(sound, f64::from(self.decoder.rate()), HZ)
    }
}

fn amplitude(sound: &[i16], rate: f64, hz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hz / rate;
    let (mut cos, mut sin) = (0.0, 0.0);
    for (n, sample) in sound.iter().enumerate() {
        cos += f64::from(*sample) * (omega * n as f64).cos();
        sin += f64::from(*sample) * (omega * n as f64).sin();
    }
    2.0 * cos.hypot(sin) / sound.len().max(1) as f64
}

fn pair(w: &World, a: &Singer, b: &Singer, adjust: impl FnOnce(&mut facts::media::StreamSetup)) {
    let mut theirs = setup(&b.phone, b.map());
    adjust(&mut theirs);
    w.bridge((&a.phone, setup(&a.phone, a.map())), (&b.phone, theirs));
}

#[test]
fn each_coding_is_heard_in_every_other_one() {
    let all = [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722), (111, Codec::Opus)];
    let mut first = 26_300;
    for (one, a) in all {
        for (other, b) in all.into_iter().filter(|(_, codec)| *codec != a) {
            let w = World::new(first, 4, |_| {});
            first += 10;
            let (mut a, mut b) = (Singer::new(1, one, a), Singer::new(2, other, b));
            pair(&w, &a, &b, |_| {});
            let mut heard: Vec<Packet> = Vec::new();
            for n in 0..60 {
                a.sing();
                // Rates that differ hold back a little of the first packet.
                let wait = if n == 0 { ms(100) } else { PATIENCE };
                heard.extend(b.phone.hear(wait));
            }
            for pair in heard.windows(2) {
                assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
                let clock = b.codec.clock_hz() / 50;
                assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(clock));
                assert_eq!(pair[1].ssrc, pair[0].ssrc);
            }
            assert!(heard[0].marker && !heard[1].marker);
            let sound = b.understand(&heard);
            let level = b.amplitude(&sound[sound.len() / 2..]);
            let said = (a.codec, b.codec);
            assert!((level / PEAK - 1.0).abs() < 0.15, "{said:?}: {level}");
            let (of_a, of_b) = (w.close(A), w.close(B));
            assert_eq!((of_a.heard.names(), of_a.said.names()), (a.codec.name().into(), "".into()));
            assert_eq!((of_b.heard.names(), of_b.said.names()), ("".into(), b.codec.name().into()));
        }
    }
}

#[test]
fn what_is_lost_is_made_up_for_and_the_listeners_numbers_have_no_gap() {
    for (first, number, codec) in [(26_500, 9, Codec::G722), (26_510, 111, Codec::Opus)] {
        let w = World::new(first, 4, |_| {});
        let (mut a, mut b) = (Singer::new(1, number, codec), Singer::new(2, 8, Codec::Pcma));
        pair(&w, &a, &b, |_| {});
        let mut heard = Vec::new();
        for n in 0..50 {
            if n == 25 {
                a.sing_in_vain();
                continue;
            }
            a.sing();
            heard.extend(b.phone.hear(if n == 0 { ms(100) } else { PATIENCE }));
            if n == 26 {
                // The lost one comes with the one behind it.
                heard.extend(b.phone.hear(PATIENCE));
            }
        }
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "{codec:?}");
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160), "{codec:?}");
        }
        let sound = b.understand(&heard);
        for part in sound[1_600..].chunks_exact(160) {
            let power: f64 = part.iter().map(|x| f64::from(*x).powi(2)).sum();
            let level = (2.0 * power / part.len() as f64).sqrt();
            assert!(level > PEAK / 8.0, "{codec:?}: a hole, {level}");
        }
        let stats = w.close(A);
        assert_eq!((stats.packets_received, stats.packets_lost), (49, 1), "the loss stays visible");
    }
}

#[test]
fn packets_are_as_long_as_the_listener_asked() {
    for (first, ptime_ms) in [(26_520, 10_u8), (26_530, 30), (26_540, 40), (26_550, 60)] {
        let w = World::new(first, 4, |_| {});
        let (mut a, mut b) = (Singer::new(1, 9, Codec::G722), Singer::new(2, 0, Codec::Pcmu));
        pair(&w, &a, &b, |setup| setup.ptime_ms = ptime_ms);
        for _ in 0..30 {
            a.sing();
        }
        let heard = b.phone.listen(ms(300));
        let octets = usize::from(ptime_ms) * 8;
        assert!(heard.len() >= 29 * 160 / octets, "{ptime_ms}: {}", heard.len());
        assert!(heard.iter().all(|packet| packet.payload.len() == octets), "{ptime_ms}");
        for pair in heard.windows(2) {
            let span = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert_eq!(span as usize, octets, "{ptime_ms}");
        }
        let sound = b.understand(&heard);
        assert!((b.amplitude(&sound[sound.len() / 2..]) / PEAK - 1.0).abs() < 0.15, "{ptime_ms}");
    }
}

#[test]
fn case_5_whoever_goes_over_to_another_coding_in_mid_call_is_heard_on() {
    let w = World::new(26_560, 4, |_| {});
    let (mut wide, mut b) = (Singer::new(1, 9, Codec::G722), Singer::new(2, 8, Codec::Pcma));
    let mut narrow = Singer::new(1, 0, Codec::Pcmu);
    let mut map = wide.map();
    map.audio.push((0, Codec::Pcmu));
    let ours = setup(&wide.phone, map);
    w.bridge((&wide.phone, ours), (&b.phone, setup(&b.phone, b.map())));
    let mut heard = Vec::new();
    for n in 0..20 {
        wide.sing();
        heard.extend(b.phone.hear(if n == 0 { ms(100) } else { PATIENCE }));
    }
    for _ in 0..20 {
        let payload = narrow.payload();
        wide.phone.say_at(0, wide.timestamp, &payload);
        wide.timestamp = wide.timestamp.wrapping_add(160);
        heard.extend(b.phone.hear(PATIENCE));
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        assert_eq!(pair[1].payload_type, 8);
    }
    let sound = b.understand(&heard);
    assert!((b.amplitude(&sound[sound.len() - 2_400..]) / PEAK - 1.0).abs() < 0.1);
}

#[test]
fn tones_are_heard_in_wide_codings_too() {
    for (first, number, codec) in [(26_570, 9, Codec::G722), (26_580, 111, Codec::Opus)] {
        let w = World::new(first, 4, |_| {});
        let mut a = Singer::new(1, number, codec);
        a.phone.target.set(Some(w.open(A)));
        w.setup(A, setup(&a.phone, a.map()));
        a.sing();
        w.hear(A, Source::Tone(Tone::RingBack));
        let mut heard = vec![a.phone.must_hear()];
        heard.extend(a.phone.listen(ms(700)));
        assert!(heard.len() > 20, "{codec:?}: {}", heard.len());
        let clock = codec.clock_hz() / 50;
        for pair in heard.windows(2) {
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(clock), "{codec:?}");
        }
        let sound = a.understand(&heard);
        let rate = f64::from(a.decoder.rate());
        let level = amplitude(&sound[sound.len() / 3..2 * sound.len() / 3], rate, 450.0);
        assert!(level > 1_500.0, "{codec:?}: {level}");
    }
}

#[test]
fn whoever_speaks_a_wide_coding_is_recorded() {
    for (first, number, codec) in [(26_590, 9, Codec::G722), (26_600, 111, Codec::Opus)] {
        let w = World::new(first, 4, |_| {});
        let (mut a, b) = (Singer::new(1, number, codec), Singer::new(2, 8, Codec::Pcma));
        pair(&w, &a, &b, |_| {});
        let form = RecordingForm {
            format: facts::media::RecordingFormat::Wav,
            voices: facts::media::Voices::Stereo,
        };
        let file = "ab/wide.wav".to_owned();
        w.order(MediaCommand::Record { call: CALL, left: A, right: Some(B), file, form });
        w.settle();
        let start = Instant::now();
        for n in 1..=50 {
            a.sing();
            // The clock of a telephone, not of a busy machine.
            std::thread::sleep((start + ms(20) * n).saturating_duration_since(Instant::now()));
        }
        w.order(MediaCommand::StopRecording { call: CALL });
        let over = |event: &MediaEvent| matches!(event, MediaEvent::Recorded { .. });
        assert!(w.find(PATIENCE, over).is_some());
        let bytes = std::fs::read(w.folder.path().join("recordings/ab/wide.wav")).unwrap();
        let sides: Vec<i16> =
            bytes[44..].chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        let left: Vec<i16> = sides.iter().step_by(2).copied().collect();
        let right: Vec<i16> = sides.iter().skip(1).step_by(2).copied().collect();
        let middle = &left[left.len() / 4..3 * left.len() / 4];
        let level = amplitude(middle, 8_000.0, HZ);
        assert!((level / PEAK - 1.0).abs() < 0.2, "{codec:?}: {level}");
        assert!(right.iter().all(|sample| sample.abs() < 64), "{codec:?}: B was silent");
    }
}
