use super::*;

const CODERS: [Coding; 4] = [Coding::Pcmu, Coding::Pcma, Coding::G722, Coding::Opus];
/// Those whose payloads say how long they are by their length alone.
const SAMPLED: [Coding; 3] = [Coding::Pcmu, Coding::Pcma, Coding::G722];

fn sine(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
    let step = hz / f64::from(rate) * std::f64::consts::TAU;
    (0..samples).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect()
}

/// How much of the power of `samples` is a sine of `hz`, and the RMS level.
fn purity(samples: &[i16], hz: f64, rate: u32) -> (f64, f64) {
    let step = hz / f64::from(rate) * std::f64::consts::TAU;
    let (mut cos, mut sin, mut power) = (0.0, 0.0, 1e-9);
    for (n, x) in samples.iter().enumerate() {
        let x = f64::from(*x);
        cos += x * (step * n as f64).cos();
        sin += x * (step * n as f64).sin();
        power += x * x;
    }
    let count = samples.len() as f64;
    ((cos * cos + sin * sin) * 2.0 / count / power, (power / count).sqrt())
}

fn coded(coding: Coding, pcm: &[i16], ms: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(coding).unwrap();
    let mut out = [0; OCTETS_MAX];
    pcm.chunks_exact(coding.rate() as usize / 1_000 * ms)
        .map(|frame| {
            let octets = encoder.encode(frame, &mut out).unwrap();
            out[..octets].to_vec()
        })
        .collect()
}

fn decoded<'a>(coding: Coding, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<i16> {
    let mut decoder = Decoder::new(coding).unwrap();
    let mut out = [0; SAMPLES_MAX];
    let mut pcm = Vec::new();
    for payload in payloads {
        let samples = decoder.decode(payload, &mut out).unwrap();
        pcm.extend_from_slice(&out[..samples]);
    }
    pcm
}

#[test]
fn rfc3551_4_5_2_the_clock_of_g722_stays_at_8000() {
    assert_eq!((Coding::G722.rate(), Coding::G722.clock()), (16_000, 8_000));
    assert_eq!((Coding::Pcma.rate(), Coding::Pcma.clock()), (8_000, 8_000));
    assert_eq!((Coding::Opus.rate(), Coding::Opus.clock()), (48_000, 48_000));
}

#[test]
fn a_tone_survives_each_pair_of_codings_at_each_packet_length() {
    for from in CODERS {
        let pcm = sine(1_000.0, from.rate(), from.rate() as usize);
        for to in CODERS {
            for (ptime_in, ptime_out) in
                [(20, 20), (10, 20), (20, 10), (30, 20), (20, 30), (60, 10), (10, 60), (50, 40)]
            {
                if !from.packs(ptime_in) || !to.packs(ptime_out) {
                    continue;
                }
                let mut transcoder = Transcoder::new(from, to, ptime_out).unwrap();
                let mut payloads = Vec::new();
                let mut length = 0;
                let mut out = [0; OCTETS_MAX];
                for payload in coded(from, &pcm, usize::from(ptime_in)) {
                    transcoder.push(&payload).unwrap();
                    while let Some((octets, units)) = transcoder.pull(&mut out) {
                        payloads.push(out[..octets].to_vec());
                        assert_eq!(units * 1_000, u32::from(ptime_out) * to.clock());
                        length += units;
                    }
                }
                // All that went in came out, but for what does not fill a packet.
                let whole = to.clock() * (1_000 - 1_000 % u32::from(ptime_in)) / 1_000;
                assert!(whole - length < to.clock() / 1_000 * u32::from(ptime_out));
                let heard = decoded(to, payloads.iter().map(Vec::as_slice));
                let heard = &heard[heard.len() / 4..];
                let (pure, level) = purity(heard, 1_000.0, to.rate());
                let name = format!("{from:?} {ptime_in} to {to:?} {ptime_out}");
                let least = if from == Coding::Opus || to == Coding::Opus { 0.9 } else { 0.99 };
                assert!(pure > least, "{name}: {pure}");
                // Opus codes what is heard of a wave and not the wave.
                let error = (level / 8_000.0 * 2.0_f64.sqrt() - 1.0).abs();
                let opus = from == Coding::Opus || to == Coding::Opus;
                assert!(error < if opus { 0.25 } else { 0.06 }, "{name}: {level}");
            }
        }
    }
}

#[test]
fn a_lost_packet_is_filled_and_the_time_line_is_kept() {
    for (from, to) in [(Coding::Pcma, Coding::G722), (Coding::G722, Coding::Pcmu)] {
        let pcm = sine(400.0, from.rate(), from.rate() as usize);
        let mut transcoder = Transcoder::new(from, to, 20).unwrap();
        let mut payloads = Vec::new();
        let mut out = [0; OCTETS_MAX];
        for (n, payload) in coded(from, &pcm, 20).iter().enumerate() {
            if n % 10 == 7 {
                transcoder.lost(from.clock() / 50, None);
            } else {
                transcoder.push(payload).unwrap();
            }
            while let Some((octets, _)) = transcoder.pull(&mut out) {
                payloads.push(out[..octets].to_vec());
            }
        }
        assert_eq!(payloads.len(), 50, "a packet a packet");
        let heard = decoded(to, payloads.iter().map(Vec::as_slice));
        let (pure, _) = purity(&heard[heard.len() / 8..], 400.0, to.rate());
        assert!(pure > 0.9, "{from:?} to {to:?}: {pure}");
    }
}

#[test]
fn a_long_gap_is_filled_up_to_its_bound_and_fades() {
    let mut transcoder = Transcoder::new(Coding::Pcma, Coding::Pcma, 20).unwrap();
    let mut out = [0; OCTETS_MAX];
    for payload in coded(Coding::Pcma, &sine(300.0, 8_000, 1_600), 20) {
        transcoder.push(&payload).unwrap();
        assert!(transcoder.pull(&mut out).is_some());
    }
    transcoder.lost(u32::MAX, None);
    let mut packets = 0;
    while transcoder.pull(&mut out).is_some() {
        packets += 1;
    }
    assert_eq!(packets, 10);
    assert!(out[..160].iter().all(|code| *code == g711::ALAW_SILENCE));
}

#[test]
fn what_is_no_payload_is_refused_and_the_coder_goes_on() {
    for coding in CODERS {
        let pcm = sine(500.0, coding.rate(), 48_000);
        let mut decoder = Decoder::new(coding).unwrap();
        let mut out = [0; SAMPLES_MAX];
        assert_eq!(decoder.decode(&[], &mut out), Err(CodecError::Payload));
        if SAMPLED.contains(&coding) {
            assert_eq!(decoder.decode(&[0; 1_601], &mut out), Err(CodecError::Payload));
            assert_eq!(decoder.decode(&[0; 160], &mut out[..159]), Err(CodecError::Room));
        } else {
            // RFC 6716 §3.4: more than 120 ms, no count of frames, 10 ms into less.
            assert_eq!(decoder.decode(&[0x1b, 3, 0], &mut out), Err(CodecError::Payload));
            assert_eq!(decoder.decode(&[0x03], &mut out), Err(CodecError::Payload));
            assert_eq!(decoder.decode(&[0x00, 1], &mut out[..479]), Err(CodecError::Room));
        }
        let payloads = coded(coding, &pcm, 20);
        let fresh = decoded(coding, payloads.iter().map(Vec::as_slice));
        let mut again = Vec::new();
        for payload in &payloads {
            let samples = decoder.decode(payload, &mut out).unwrap();
            again.extend_from_slice(&out[..samples]);
        }
        assert!(fresh == again, "{coding:?}: what was refused left a trace");
        let mut encoder = Encoder::new(coding).unwrap();
        let mut octets = [0; OCTETS_MAX];
        for samples in [0, 1, 79, 161, 100_000] {
            assert_eq!(encoder.encode(&vec![0; samples], &mut octets), Err(CodecError::Frame));
        }
        let frame = vec![0; coding.rate() as usize / 50];
        assert_eq!(encoder.encode(&frame, &mut octets[..159]), Err(CodecError::Room));
    }
}

#[test]
fn what_nobody_takes_is_bounded() {
    for (from, to) in [(Coding::Pcmu, Coding::G722), (Coding::Pcmu, Coding::Pcma)] {
        let mut transcoder = Transcoder::new(from, to, 20).unwrap();
        let refused = (0..100).filter(|_| transcoder.push(&[0xff; 160]).is_err()).count();
        assert!((70..80).contains(&refused), "{refused}");
        assert_eq!(transcoder.push(&[0xff; 160]), Err(CodecError::Full));
        assert!(transcoder.pull(&mut [0; 159]).is_none(), "no room");
        let mut out = [0; OCTETS_MAX];
        assert_eq!(transcoder.pull(&mut out), Some((160, 160)));
        transcoder.push(&[0xff; 160]).unwrap();
    }
}

#[test]
fn packet_lengths_are_those_of_the_coding() {
    for ptime in 0..=u8::MAX {
        let whole = (10..=60).contains(&ptime) && ptime % 10 == 0;
        assert_eq!(Coding::Pcma.packs(ptime), whole);
        assert_eq!(Coding::Opus.packs(ptime), whole && ptime != 30 && ptime != 50);
        assert_eq!(Transcoder::new(Coding::Pcmu, Coding::G722, ptime).is_ok(), whole);
        let opus = Transcoder::new(Coding::Pcmu, Coding::Opus, ptime);
        assert_eq!(opus.is_ok(), Coding::Opus.packs(ptime));
    }
}

#[test]
fn rfc7587_what_is_lost_is_rebuilt_from_the_packet_after_it() {
    // Something like speech: a pitch that glides, with syllables.
    let mut turn = 0.0_f64;
    let pcm: Vec<i16> = (0..32_000)
        .map(|n| {
            let t = f64::from(n) / 16_000.0;
            turn += (120.0 + 40.0 * (t * 3.0).sin()) / 16_000.0 * std::f64::consts::TAU;
            let wave: f64 = (1..=20_u32).map(|k| (turn * f64::from(k)).sin() / f64::from(k)).sum();
            (wave * 5_000.0 * (0.6 + 0.4 * (t * 25.0).sin())) as i16
        })
        .collect();
    let mut encoder = Encoder::at(Coding::Opus, 16_000).unwrap();
    encoder.expect_loss(10);
    let mut octets = [0; OCTETS_MAX];
    let payloads: Vec<Vec<u8>> = (pcm.chunks_exact(320))
        .map(|frame| {
            let length = encoder.encode(frame, &mut octets).unwrap();
            octets[..length].to_vec()
        })
        .collect();
    let error = |with_copy: bool| {
        let mut whole = Decoder::at(Coding::Opus, 16_000).unwrap();
        let mut gappy = Decoder::at(Coding::Opus, 16_000).unwrap();
        let (mut expected, mut got) = ([0; 320], [0; 320]);
        let mut error = 0.0;
        for (n, payload) in payloads.iter().enumerate() {
            whole.decode(payload, &mut expected).unwrap();
            if n > 20 && n % 5 == 0 && n + 1 < payloads.len() {
                let next = with_copy.then_some(payloads[n + 1].as_slice());
                assert_eq!(gappy.conceal(320, next, &mut got), 320);
                let pairs = expected.iter().zip(got);
                error += pairs.map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2)).sum::<f64>();
            } else {
                gappy.decode(payload, &mut got).unwrap();
            }
        }
        error
    };
    let (blind, copied) = (error(false), error(true));
    assert!(copied < blind / 2.0, "{copied} with copies, {blind} without");
}

#[test]
fn opus_sounds_at_each_rate_and_the_others_at_their_own() {
    for coding in CODERS {
        for rate in [0, 8_000, 16_000, 44_100, 48_000] {
            let opus = coding == Coding::Opus && [8_000, 16_000, 48_000].contains(&rate);
            let own = coding.rate() == rate;
            assert_eq!(Decoder::at(coding, rate).is_ok(), opus || own, "{coding:?} {rate}");
            assert_eq!(Encoder::at(coding, rate).is_ok(), opus || own, "{coding:?} {rate}");
        }
    }
    fn sent<T: Send>() {}
    sent::<Transcoder>();
}

#[test]
fn another_source_is_decoded_as_if_nothing_had_been_heard_before() {
    for coding in CODERS {
        let pcm = sine(700.0, coding.rate(), coding.rate() as usize / 2);
        let loud: Vec<i16> = sine(3_100.0, coding.rate(), pcm.len());
        let (before, after) = (coded(coding, &loud, 20), coded(coding, &pcm, 20));
        let alone = decoded(coding, after.iter().map(Vec::as_slice));
        let mut decoder = Decoder::new(coding).unwrap();
        let mut out = [0; SAMPLES_MAX];
        for payload in &before {
            decoder.decode(payload, &mut out).unwrap();
        }
        decoder.restart();
        let mut heard = Vec::new();
        for payload in &after {
            let count = decoder.decode(payload, &mut out).unwrap();
            heard.extend_from_slice(&out[..count]);
        }
        // But for the first 5 ms, in which one fades into the other.
        let faded = coding.rate() as usize / 200;
        assert_eq!(heard[faded..], alone[faded..], "{coding:?}");
    }
}
