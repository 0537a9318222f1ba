//! Silence in the place of sound, octet for octet: a payload keeps its length and the time that it takes, so that
//! whoever carries it has nothing else to change.

use super::Coding;
use crate::g711;

/// An octet of G.722 that says nothing new: whatever the decoder said before, 10 ms later it is 26 dB
/// below a key, and falls on; what comes after it has its level again after 40 ms.
const G722_NOTHING: u8 = 0xfa;
/// A frame of Opus that says that it is silent (RFC 6716 §4.3, the first symbol).
const OPUS_SILENT: [u8; 2] = [0xff, 0xfe];
/// Lengths of CELT frames in units of 48 kHz, and the configuration of each (RFC 6716 §3.1, table 2).
const OPUS_FRAMES: [(u32, u8); 4] = [(960, 31), (480, 30), (240, 29), (120, 28)];
/// Frames of a packet at most (§3.2.5: 120 ms).
const OPUS_FRAMES_MAX: u32 = 48;

/// Makes a payload silent. What is too short to hold a sound is left as it is.
pub fn hush(coding: Coding, payload: &mut [u8]) {
    match coding {
        Coding::Pcmu => payload.fill(g711::ULAW_SILENCE),
        Coding::Pcma => payload.fill(g711::ALAW_SILENCE),
        Coding::G722 => payload.fill(G722_NOTHING),
        Coding::Opus => hush_opus(payload),
    }
}

fn hush_opus(payload: &mut [u8]) {
    let span = opus_span(payload);
    let fits = |(length, _): &&(u32, u8)| span > 0 && span.is_multiple_of(*length);
    let Some((length, config)) = OPUS_FRAMES.iter().find(fits) else { return };
    let frames = span / length;
    // Code 3, frames of one length: the header, how many, and what fills it up (§3.2.5).
    let wanted = 2 + OPUS_SILENT.len() * frames as usize;
    let Some(spare) = payload.len().checked_sub(wanted) else { return };
    if frames > OPUS_FRAMES_MAX {
        return;
    }
    payload[0] = config << 3 | 3;
    payload[1] = frames as u8;
    let mut at = 2;
    if spare > 0 {
        payload[1] |= 0x40;
        // Each 255 stands for itself and 254 octets more.
        let whole = (spare - 1) / 255;
        payload[at..at + whole].fill(255);
        at += whole;
        payload[at] = ((spare - 1) % 255) as u8;
        at += 1;
    }
    let (silent, filling) = payload[at..].split_at_mut(OPUS_SILENT.len() * frames as usize);
    silent.chunks_exact_mut(2).for_each(|frame| frame.copy_from_slice(&OPUS_SILENT));
    filling.fill(0);
}

/// How long an Opus packet is at 48 kHz (RFC 6716 §3.1, §3.2); 0 for what is none.
fn opus_span(payload: &[u8]) -> u32 {
    let Some(toc) = payload.first() else { return 0 };
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => 120 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => payload.get(1).map_or(0, |count| u32::from(count & 0x3f)),
    };
    frame * frames
}

#[cfg(test)]
mod tests {
    use crate::codec::{Decoder, Encoder, OCTETS_MAX, SAMPLES_MAX};
    use crate::dtmf::{Digit, Generator, Press};

    use super::*;

    /// A key of two seconds in a coding, packet by packet.
    fn key(coding: Coding, ptime_ms: usize) -> Vec<Vec<u8>> {
        let mut samples = vec![0; 16_000];
        let press = Press { on_ms: 2_000, ..Press::usual(Digit::from_char('9').unwrap()) };
        Generator::new(press).fill(&mut samples);
        let mut encoder = Encoder::at(coding, rate(coding)).unwrap();
        let mut out = [0; OCTETS_MAX];
        let times = rate(coding) as usize / 8_000;
        let wide: Vec<i16> =
            samples.iter().flat_map(|one| std::iter::repeat_n(*one, times)).collect();
        wide.chunks_exact(ptime_ms * rate(coding) as usize / 1_000)
            .map(|frame| {
                let len = encoder.encode(frame, &mut out).unwrap();
                out[..len].to_vec()
            })
            .collect()
    }

    fn rate(coding: Coding) -> u32 {
        if coding == Coding::Opus { 8_000 } else { coding.rate() }
    }

    fn peak(samples: &[i16]) -> u16 {
        samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
    }

    #[test]
    fn case_12_what_is_hushed_falls_silent_and_takes_as_long_as_before() {
        for coding in [Coding::Pcmu, Coding::Pcma, Coding::G722, Coding::Opus] {
            for ptime_ms in [10, 20, 40, 60] {
                let mut decoder = Decoder::new(coding).unwrap();
                let mut room = vec![0; SAMPLES_MAX];
                let packets = key(coding, ptime_ms);
                for (n, packet) in packets.iter().enumerate() {
                    let mut packet = packet.clone();
                    let (len, hushed) = (packet.len(), n % 8 > 4);
                    if hushed {
                        hush(coding, &mut packet);
                    }
                    assert_eq!(packet.len(), len);
                    let samples = decoder.decode(&packet, &mut room).unwrap();
                    let per_ms = decoder.rate() as usize / 1_000;
                    assert_eq!(samples, ptime_ms * per_ms, "{coding:?}, {ptime_ms} ms");
                    let first = n % 8 == 5;
                    let after = if first { (10 * per_ms).min(samples) } else { 0 };
                    let loud = peak(&room[after..samples]);
                    if hushed {
                        // The scale of G.722 shrinks by steps.
                        let most =
                            if coding == Coding::G722 { [700, 700, 400][n % 8 - 5] } else { 200 };
                        assert!(loud < most, "{coding:?}, {ptime_ms} ms, packet {n}: {loud}");
                    } else if n % 8 == 4 {
                        // The scale of G.722 takes 40 ms to grow again.
                        assert!(loud > 5_000, "{coding:?}, {ptime_ms} ms, packet {n}: {loud}");
                    }
                }
            }
        }
    }

    #[test]
    fn rfc6716_3_2_5_whatever_the_form_of_a_packet_its_length_stays() {
        let mut decoder = Decoder::new(Coding::Opus).unwrap();
        let mut room = vec![0; SAMPLES_MAX];
        for config in 0..32_u8 {
            for (code, count) in [(0, 1), (1, 2), (2, 2), (3, 1), (3, 3), (3, 5)] {
                for len in [1, 2, 3, 4, 8, 20, 300, 800, 1_275] {
                    let mut packet = vec![0x55; len];
                    packet[0] = config << 3 | code;
                    if let (3, Some(second)) = (code, packet.get_mut(1)) {
                        *second = count;
                    }
                    let before = packet.clone();
                    let span = opus_span(&packet);
                    hush(Coding::Opus, &mut packet);
                    assert_eq!(packet.len(), len);
                    if packet == before || span > 5_760 {
                        continue;
                    }
                    assert_eq!(opus_span(&packet), span, "{before:?}");
                    let samples = decoder.decode(&packet, &mut room).unwrap();
                    assert_eq!(samples, span as usize, "{config} {code} {count} {len}");
                    assert!(peak(&room[..samples]) < 100);
                }
            }
        }
        hush(Coding::Opus, &mut []);
        hush(Coding::G722, &mut []);
    }
}
