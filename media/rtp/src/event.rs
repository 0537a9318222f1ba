//! Telephone-events on their way to a stream with another clock (RFC 4733 §2.1): the duration is told
//! in units of the listener's clock, and the timestamp is where its own stream stands.

use crate::wire::{ahead32, put_u16, u16_at};

/// Octets of an event.
const EVENT_LEN: usize = 4;
/// Longest duration that a packet can hold: what lasts longer goes on in segments, each so much later
/// (RFC 4733 §2.5.1.3).
const SEGMENT: u64 = 0xffff;

/// The press under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Press {
    ssrc: u32,
    event: u8,
    /// Timestamp of its first segment.
    first: u32,
    /// Timestamp and duration of its newest one.
    newest: u32,
    duration: u32,
    ended: bool,
    /// Where it starts in the listener's stream.
    start: u32,
}

/// Where an event's packet goes in the listener's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    pub(crate) timestamp: u32,
    /// The first that is sent of its press.
    pub(crate) first: bool,
}

/// Writes an event for another clock over a payload. `start`: where the listener's stream is now. `None`
/// for what is too short to be one, and for a straggler of an older press.
pub(crate) fn place(
    press: &mut Option<Press>,
    (ssrc, timestamp): (u32, u32),
    (from, to): (u32, u32),
    start: u32,
    payload: &mut [u8],
) -> Option<Placed> {
    if payload.len() < EVENT_LEN {
        return None;
    }
    let (event, end) = (payload[0], payload[1] & 0x80 != 0);
    let duration = u32::from(u16_at(payload, 2));
    let known = press.filter(|press| press.ssrc == ssrc);
    let (now, first) = match known {
        Some(known) if ahead32(known.newest, timestamp) < 0 => {
            // An older segment of the same press may still come; anything else is over.
            if ahead32(known.first, timestamp) < 0 {
                return None;
            }
            (known, false)
        }
        Some(known) if known.goes_on(event, timestamp) => {
            let duration =
                if timestamp == known.newest { duration.max(known.duration) } else { duration };
            (Press { newest: timestamp, duration, ended: known.ended | end, ..known }, false)
        }
        _ => {
            let newest = timestamp;
            (Press { ssrc, event, first: timestamp, newest, duration, ended: end, start }, true)
        }
    };
    *press = Some(now);
    let lasted = u64::from(timestamp.wrapping_sub(now.first)) + u64::from(duration);
    let lasts = lasted * u64::from(to) / u64::from(from.max(1));
    let before = lasts.saturating_sub(1) / SEGMENT * SEGMENT;
    put_u16(payload, 2, (lasts - before) as u16);
    // A press of days would wrap, like everything with a timestamp.
    Some(Placed { timestamp: now.start.wrapping_add((before & u64::from(u32::MAX)) as u32), first })
}

impl Press {
    /// The same timestamp, or the next segment of what has not ended.
    fn goes_on(&self, event: u8, timestamp: u32) -> bool {
        let ahead = timestamp.wrapping_sub(self.newest);
        let early = self.duration > (SEGMENT / 2) as u32 && ahead == self.duration;
        let next = early || u64::from(ahead).is_multiple_of(SEGMENT);
        ahead == 0 || event == self.event && !self.ended && next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(
        press: &mut Option<Press>,
        timestamp: u32,
        duration: u16,
        end: bool,
        clocks: (u32, u32),
        start: u32,
    ) -> Option<(u32, u16, bool)> {
        let [high, low] = duration.to_be_bytes();
        let mut payload = [5, if end { 0x8a } else { 10 }, high, low];
        let placed = place(press, (7, timestamp), clocks, start, &mut payload)?;
        assert_eq!(payload[..2], [5, if end { 0x8a } else { 10 }], "event and volume stay");
        Some((placed.timestamp, u16_at(&payload, 2), placed.first))
    }

    #[test]
    fn rfc4733_2_1_durations_follow_the_clock_and_one_press_keeps_one_timestamp() {
        let mut press = None;
        for n in 1..=4_u16 {
            let placed =
                one(&mut press, 960, n * 160, n == 4, (8_000, 48_000), 5_000 + u32::from(n));
            assert_eq!(placed, Some((5_001, n * 960, n == 1)));
        }
        // The end, twice more; then the next press; then a straggler.
        assert_eq!(
            one(&mut press, 960, 640, true, (8_000, 48_000), 9),
            Some((5_001, 3_840, false))
        );
        assert_eq!(
            one(&mut press, 4_960, 160, false, (8_000, 48_000), 30_000),
            Some((30_000, 960, true))
        );
        assert_eq!(one(&mut press, 960, 640, true, (8_000, 48_000), 9), None);
        // The other way round.
        let mut press = None;
        assert_eq!(one(&mut press, 1, 4_800, true, (48_000, 8_000), 77), Some((77, 800, true)));
    }

    #[test]
    fn rfc4733_2_5_1_3_what_lasts_too_long_for_the_faster_clock_goes_on_in_segments() {
        let mut press = None;
        let mut seen = Vec::new();
        for n in 1..=20_u16 {
            let (timestamp, duration, first) =
                one(&mut press, 0, n * 800, n == 20, (8_000, 48_000), 100).unwrap();
            assert_eq!(first, n == 1);
            assert_eq!((timestamp - 100) % 0xffff, 0);
            assert_eq!(timestamp - 100 + u32::from(duration), u32::from(n) * 4_800);
            seen.push(timestamp);
        }
        seen.dedup();
        assert_eq!(seen, [100, 100 + 0xffff], "2 s at 48 kHz are two segments");
        // And segments of the faster clock are one press of the slower.
        let mut press = None;
        let placed = one(&mut press, 0, 0xffff, false, (48_000, 8_000), 50);
        assert_eq!(placed, Some((50, 10_922, true)));
        let placed = one(&mut press, 0xffff, 4_801, true, (48_000, 8_000), 999);
        assert_eq!(placed, Some((50, 11_722, false)));
    }

    #[test]
    fn a_payload_too_short_is_no_event() {
        assert_eq!(place(&mut None, (1, 2), (8_000, 48_000), 3, &mut [5, 10, 0]), None);
    }
}
