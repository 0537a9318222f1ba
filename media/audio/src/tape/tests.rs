use proptest::prelude::*;

use super::*;

const PACKET: Duration = Duration::from_millis(20);

/// A tape and what came off it.
struct Deck {
    start: Instant,
    tape: Tape,
    left: Vec<i16>,
    right: Vec<i16>,
}

impl Deck {
    fn new() -> Deck {
        // Far from the clock's zero, so that subtracting the horizon never fails.
        let start = origin();
        Deck { start, tape: Tape::new(start), left: Vec::new(), right: Vec::new() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn put(&mut self, side: Side, arrival: Instant, timestamp: u32, samples: &[i16]) {
        while self.tape.render(arrival, &mut self.left, &mut self.right) > 0 {}
        self.tape.put(side, Stamp { arrival, timestamp }, samples);
    }

    fn finish(&mut self, ms: u64) {
        let end = self.at(ms);
        while self.tape.finish(end, &mut self.left, &mut self.right) > 0 {}
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an instant can only be made by reading a clock; its value is not looked at"
)]
fn origin() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

/// Packet `n` of a voice in which every sample tells its place.
fn voice(n: u32) -> Vec<i16> {
    (0..160).map(|at| 1_000 + ((n * 160 + at) % 20_000) as i16).collect()
}

/// Pseudo-random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn packets_in_time_come_out_as_they_went_in() {
    let mut deck = Deck::new();
    for n in 0..100 {
        let at = deck.at(u64::from(n) * 20);
        deck.put(Side::Left, at, 4_000_000_000_u32.wrapping_add(n * 160), &voice(n));
    }
    deck.finish(2_000);
    let expected: Vec<i16> = (0..100).flat_map(voice).collect();
    assert_eq!(deck.left, expected);
    assert_eq!(deck.right, vec![0; 16_000]);
    assert_eq!(deck.tape.counts()[0], Counts { placed: 100, late: 0, anchored: 1, corrected: 0 });
}

#[test]
fn timestamps_wrap_round_without_a_trace() {
    let mut deck = Deck::new();
    for n in 0..200 {
        let at = deck.at(u64::from(n) * 20);
        deck.put(Side::Right, at, (u32::MAX - 1_000).wrapping_add(n * 160), &voice(n));
    }
    deck.finish(4_000);
    assert_eq!(deck.right, (0..200).flat_map(voice).collect::<Vec<_>>());
}

#[test]
fn case_16_lost_packets_leave_silence_of_their_own_length() {
    let mut deck = Deck::new();
    let lost = |n: u32| (10..25).contains(&n) || n % 7 == 3;
    for n in (0..100).filter(|n| !lost(*n)) {
        let at = deck.at(u64::from(n) * 20);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(2_500);
    assert_eq!(deck.left.len(), 20_000);
    for n in 0..100 {
        let place = &deck.left[n as usize * 160..][..160];
        assert!(if lost(n) { place == [0; 160] } else { place == voice(n) }, "packet {n}");
    }
    assert!(deck.left[16_000..].iter().all(|sample| *sample == 0));
}

#[test]
fn case_16_a_pause_of_the_sender_keeps_its_length() {
    // Silence suppression: no packets, the timestamp runs on (RFC 3551 §4.1).
    let mut deck = Deck::new();
    for n in (0..50).chain(300..350) {
        let at = deck.at(u64::from(n) * 20);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(7_000);
    assert_eq!(deck.left[..8_000], (0..50).flat_map(voice).collect::<Vec<_>>());
    assert!(deck.left[8_000..48_000].iter().all(|sample| *sample == 0));
    assert_eq!(deck.left[48_000..], (300..350).flat_map(voice).collect::<Vec<_>>());
}

#[test]
fn jitter_reordering_and_copies_leave_no_trace() {
    let mut deck = Deck::new();
    let mut dice = Dice(7);
    let mut arrivals = Vec::new();
    for n in 0..1_000_u32 {
        for _ in 0..=dice.below(2) {
            // One in three packets is fast, the others up to 150 ms late.
            let late = if dice.below(3) == 0 { 0 } else { dice.below(150) };
            arrivals.push((u64::from(n) * 20 + late, n));
        }
    }
    arrivals.sort_unstable();
    for (ms, n) in arrivals {
        let at = deck.at(ms);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(20_000);
    let [left, _] = deck.tape.counts();
    assert_eq!((left.late, left.anchored), (0, 1));
    // The first packets may have been slow: then all is shifted to the fastest of them.
    let expected: Vec<i16> = (0..1_000).flat_map(voice).collect();
    assert_eq!(deck.left[3_200..], expected[3_200..]);
}

#[test]
fn a_slow_first_packet_does_not_delay_the_rest() {
    let mut deck = Deck::new();
    for n in 0..100_u32 {
        let late = if n == 0 { 45 } else { 0 };
        let at = deck.at(100 + u64::from(n) * 20 + late);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(2_100);
    assert_eq!(deck.left[800 + 320..], (2..100).flat_map(voice).collect::<Vec<_>>());
}

/// An hour of a sender whose clock is off by `ppm`, with jitter; a click at each full minute of wall
/// clock. Returns how far (ms) the worst click is off its place.
fn worst_after_an_hour(ppm: f64, background: i16) -> f64 {
    let mut deck = Deck::new();
    let mut dice = Dice(3);
    let (mut clicks, mut heard): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut base = 0;
    let mut note = |deck: &mut Deck, base: &mut usize| {
        let mut at = 0;
        while let Some(found) = deck.left[at..].iter().position(|sample| *sample > 15_000) {
            heard.push((*base + at + found) as f64 / 8.0);
            at += found + 160;
            if at >= deck.left.len() {
                break;
            }
        }
        *base += deck.left.len();
        deck.left.clear();
        deck.right.clear();
    };
    for n in 0..180_000_u32 {
        let captured_ms = f64::from(n) * 20.0 * (1.0 + ppm * 1e-6);
        if captured_ms > 3_599_700.0 {
            break;
        }
        let mut samples = [background; 160];
        if n % 3_000 == 1_500 {
            clicks.push(captured_ms);
            samples[..8].fill(20_000);
        }
        let late = dice.below(40_000);
        let arrival = deck.start + Duration::from_micros((captured_ms * 1_000.0) as u64 + late);
        deck.put(Side::Left, arrival, n.wrapping_mul(160), &samples);
        if n % 3_000 == 0 {
            note(&mut deck, &mut base);
        }
    }
    deck.finish(3_600_000);
    note(&mut deck, &mut base);
    assert_eq!(base, 3_600 * 8_000, "the tape is as long as the call");
    assert_eq!(heard.len(), clicks.len(), "each click is heard once");
    heard.iter().zip(&clicks).map(|(at, click)| (at - click).abs()).fold(0.0, f64::max)
}

#[test]
fn case_13_an_hour_of_a_fast_clock_drifts_less_than_20_ms() {
    let worst = worst_after_an_hour(-200.0, 1_000);
    assert!(worst < 10.0, "{worst} ms off");
}

#[test]
fn case_13_an_hour_of_a_slow_clock_drifts_less_than_20_ms() {
    let worst = worst_after_an_hour(200.0, 0);
    assert!(worst < 10.0, "{worst} ms off");
}

#[test]
fn case_13_both_channels_are_as_long_as_the_call() {
    for ms in [600, 601, 799, 1_234, 61_007] {
        let mut deck = Deck::new();
        for n in 0..30 {
            let at = deck.at(u64::from(n) * 20);
            deck.put(Side::Left, at, n * 160, &voice(n));
        }
        deck.finish(ms);
        assert_eq!(deck.left.len() as u64, ms * 8);
        assert_eq!(deck.left.len(), deck.right.len());
    }
}

#[test]
fn a_correction_in_speech_neither_clicks_nor_tears() {
    // 500 ppm on a steady value: a hole of zeros would be heard.
    let mut deck = Deck::new();
    for n in 0..3_000_u32 {
        let arrival = deck.start + PACKET.mul_f64(f64::from(n) * 1.000_5);
        deck.put(Side::Left, arrival, n * 160, &[5_000; 160]);
    }
    deck.finish(60_000);
    assert!(deck.left[..479_000].iter().all(|sample| *sample == 5_000));
    assert!(deck.tape.counts()[0].corrected > 150);
}

#[test]
fn a_jump_of_the_timestamp_starts_anew_at_the_arrival() {
    let mut deck = Deck::new();
    for n in 0..150_u32 {
        let base = match n {
            0..50 => 1_000,
            50..100 => 3_000_000_000,
            _ => 77_u32.wrapping_sub(40_000),
        };
        let at = deck.at(u64::from(n) * 20);
        deck.put(Side::Left, at, base + n * 160, &voice(n));
    }
    deck.finish(3_000);
    assert_eq!(deck.left, (0..150).flat_map(voice).collect::<Vec<_>>());
    assert_eq!(deck.tape.counts()[0].anchored, 3);
}

#[test]
fn a_sender_whose_clock_stood_still_is_found_again() {
    let mut deck = Deck::new();
    for n in 0..200_u32 {
        // A second without packets, after which the timestamp goes on as if nothing had been.
        let pause = if n >= 100 { 1_000 } else { 0 };
        let at = deck.at(u64::from(n) * 20 + pause);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(5_000);
    assert!(deck.left[16_000..24_000].iter().all(|sample| *sample == 0));
    // At most 80 ms are lost until the tape is sure.
    let after: Vec<i16> = (104..200).flat_map(voice).collect();
    assert_eq!(deck.left[24_000 + 4 * 160..], after);
}

#[test]
fn a_burst_after_a_stall_moves_nothing() {
    let mut deck = Deck::new();
    for n in 0..200_u32 {
        // Packets 100 to 124 all come at once, half a second after the first was due.
        let ms = if (100..125).contains(&n) { 2_500 } else { u64::from(n) * 20 };
        let at = deck.at(ms);
        deck.put(Side::Left, at, n * 160, &voice(n));
    }
    deck.finish(4_000);
    assert_eq!(deck.left[..16_000], (0..100).flat_map(voice).collect::<Vec<_>>());
    // What came within the horizon is there, and everything behind it is where it belongs.
    assert_eq!(deck.left[18_400..], (115..200).flat_map(voice).collect::<Vec<_>>());
    assert_eq!(deck.tape.counts()[0].anchored, 1);
}

#[test]
fn an_hour_without_packets_comes_off_in_steps() {
    let mut deck = Deck::new();
    let now = deck.at(3_600_000);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let count = deck.tape.render(now, &mut left, &mut right);
    assert_eq!((count, left.len(), right.len()), (MAX_STEP, MAX_STEP, MAX_STEP));
}

proptest! {
    #[test]
    fn whatever_arrives_the_length_is_that_of_the_call(
        packets in prop::collection::vec((0_u64..5_000, any::<u32>(), 0_usize..400), 0..80),
        ms in 0_u64..6_000,
    ) {
        let mut deck = Deck::new();
        let mut packets = packets;
        packets.sort_unstable();
        let mut latest = 0;
        for (at, timestamp, length) in packets {
            latest = at;
            let arrival = deck.at(at);
            deck.put(Side::Right, arrival, timestamp, &vec![9_000; length]);
        }
        deck.finish(ms);
        let horizon = latest.saturating_sub(200);
        prop_assert_eq!(deck.left.len() as u64, ms.max(horizon) * 8);
        prop_assert_eq!(deck.left.len(), deck.right.len());
        prop_assert!(deck.left.iter().all(|sample| *sample == 0));
    }
}
