//! Keys pressed, from telephone-events (RFC 4733 §2.3, §2.5).
//!
//! A key is a run of packets with one timestamp: a growing duration, the end sent three times. Any
//! of them may be lost, so the key counts at the first packet seen of it and never again. A key
//! longer than the duration field holds (8.19 s at 8000 Hz) goes on in segments, each with a new
//! timestamp exactly 0xFFFF later (§2.5.1.3), and is still one key.

use crate::wire::{ahead32, u16_at};

/// Octets of the payload's first event; more may follow (RFC 4733 §2.3.1) and are not read.
const EVENT_LEN: usize = 4;
/// Longest duration a packet can hold; a segment that reaches it is followed by another.
const SEGMENT: u32 = 0xffff;

/// Remembers the key under way.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    event: u8,
    timestamp: u32,
    duration: u32,
    ended: bool,
}

impl Last {
    /// True when an event that starts `ahead` later is this one's next segment (RFC 4733 §2.5.1.3),
    /// even if whole segments between were lost. Some senders close a segment a little early and
    /// start the next where it closed.
    fn goes_on(&self, event: u8, ahead: u32) -> bool {
        let early = self.duration > SEGMENT / 2 && ahead == self.duration;
        !self.ended && event == self.event && (ahead.is_multiple_of(SEGMENT) || early)
    }
}

impl Keys {
    /// Notes a telephone-event payload; the key, if this is the first packet of a press.
    pub fn note(&mut self, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<char> {
        if payload.len() < EVENT_LEN {
            return None;
        }
        let event = payload[0];
        let end = payload[1] & 0x80 != 0;
        let duration = u32::from(u16_at(payload, 2));
        if let Some(last) = &mut self.last
            && last.ssrc == ssrc
        {
            let ahead = ahead32(last.timestamp, timestamp);
            if ahead == 0 {
                last.ended |= end;
                last.duration = last.duration.max(duration);
                return None;
            }
            // A straggler of a key that is over.
            if ahead < 0 {
                return None;
            }
            if last.goes_on(event, ahead.unsigned_abs()) {
                *last = Last { timestamp, duration, ended: end, ..*last };
                return None;
            }
        }
        self.last = Some(Last { ssrc, event, timestamp, duration, ended: end });
        name(event)
    }
}

/// The name of a DTMF event (RFC 4733 §3.2, table 3); `None` for flash and other signals.
fn name(event: u8) -> Option<char> {
    Some(match event {
        0..=9 => char::from(b'0' + event),
        10 => '*',
        11 => '#',
        12..=15 => char::from(b'A' + event - 12),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packets of one press as RFC 4733 §2.5.1 has them: every 50 ms, the end three times.
    fn press(event: u8, timestamp: u32, length: u32) -> Vec<(u32, [u8; 4])> {
        let mut out = Vec::new();
        let (mut start, mut at) = (timestamp, 400);
        while at < length {
            let mut duration = at - start.wrapping_sub(timestamp);
            if duration > SEGMENT {
                out.push((start, [event, 10, 0xff, 0xff]));
                start = start.wrapping_add(SEGMENT);
                duration -= SEGMENT;
            }
            let [high, low] = (duration as u16).to_be_bytes();
            out.push((start, [event, 10, high, low]));
            at += 400;
        }
        let [high, low] = ((length - start.wrapping_sub(timestamp)) as u16).to_be_bytes();
        out.extend([(start, [event, 0x8a, high, low]); 3]);
        out
    }

    fn hear(keys: &mut Keys, packets: &[(u32, [u8; 4])]) -> String {
        packets.iter().filter_map(|(ts, payload)| keys.note(1, *ts, payload)).collect()
    }

    #[test]
    fn case_11_a_long_press_is_one_key_whatever_its_length() {
        for length in [320, 8_000, 65_535, 65_536, 80_000, 400_000] {
            // Also across the wrap of the timestamp.
            for timestamp in [160, u32::MAX - 1000] {
                let packets = press(5, timestamp, length);
                assert_eq!(hear(&mut Keys::default(), &packets), "5", "{length}");
            }
        }
    }

    #[test]
    fn case_11_lost_ends_do_not_join_or_double_keys() {
        let mut keys = Keys::default();
        let first = press(7, 1_000, 1_200);
        let second = press(7, 4_000, 1_200);
        assert_eq!(hear(&mut keys, &first[..first.len() - 3]), "7");
        assert_eq!(hear(&mut keys, &second[..second.len() - 3]), "7", "same key pressed again");
        assert_eq!(hear(&mut keys, &second[second.len() - 1..]), "");
        assert_eq!(hear(&mut keys, &first[first.len() - 1..]), "", "a straggler");
    }

    #[test]
    fn a22_rfc4733_2_5_1_2_first_and_two_middle_packets_lost_is_still_one_key() {
        let all = press(12, 500, 4_000);
        let lost = [0, 3, 4];
        let packets: Vec<_> =
            (0..all.len()).filter(|i| !lost.contains(i)).map(|i| all[i]).collect();
        assert_eq!(hear(&mut Keys::default(), &packets), "A");
    }

    #[test]
    fn a22_rfc4733_2_5_1_4_only_the_end_arrives() {
        let packets = press(11, 500, 800);
        assert_eq!(hear(&mut Keys::default(), &packets[packets.len() - 1..]), "#");
    }

    #[test]
    fn a22_rfc4733_2_5_1_3_a_segment_without_the_start_is_one_key() {
        let packets = press(3, 0, 200_000);
        assert_eq!(hear(&mut Keys::default(), &packets[packets.len() / 2..]), "3");
    }

    #[test]
    fn a22_rfc4733_3_2_sixteen_keys_and_flash_is_none() {
        let mut keys = Keys::default();
        let all: String = (0..=16_u8)
            .filter_map(|event| keys.note(1, u32::from(event) * 1000, &[event, 0x80, 1, 0]))
            .collect();
        assert_eq!(all, "0123456789*#ABCD");
    }

    #[test]
    fn a_payload_too_short_is_no_key_and_a_new_source_counts_anew() {
        let mut keys = Keys::default();
        assert_eq!(keys.note(1, 5, &[1, 0, 0]), None);
        assert_eq!(keys.note(1, 5, &[1, 0, 0, 1]), Some('1'));
        assert_eq!(keys.note(2, 5, &[1, 0, 0, 1]), Some('1'));
    }
}
