use super::*;

const MS: Duration = Duration::from_millis(1);

/// A stream of 20 ms packets of 8 kHz whose payload is their number.
struct Line {
    jitter: Jitter,
    start: Instant,
}

/// What a reader got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Got {
    Frame(u16),
    Lost(u32),
}

impl Line {
    #[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
    fn new() -> Line {
        let start = Instant::now();
        Line { jitter: Jitter::new(8_000, start), start }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + MS * u32::try_from(ms).unwrap()
    }

    fn push(&mut self, ms: u64, number: u16) -> Taken {
        self.push_stamped(ms, number, u32::from(number) * 160)
    }

    fn push_stamped(&mut self, ms: u64, number: u16, timestamp: u32) -> Taken {
        let stamp = Stamp { ssrc: 1, sequence: number, timestamp };
        let now = self.at(ms);
        self.jitter.push(now, stamp, &number.to_be_bytes())
    }

    /// All that there is at a time, by the packet.
    fn next(&mut self, ms: u64) -> Vec<Got> {
        let now = self.at(ms);
        let mut all = Vec::new();
        loop {
            match self.jitter.next(now) {
                Next::Wait => return all,
                next => all.push(got(next)),
            }
        }
    }

    /// All that is due at a time.
    fn pull(&mut self, ms: u64) -> Vec<Got> {
        let now = self.at(ms);
        let mut all = Vec::new();
        loop {
            match self.jitter.pull(now) {
                Next::Wait => return all,
                next => all.push(got(next)),
            }
        }
    }
}

fn got(next: Next<'_>) -> Got {
    match next {
        Next::Frame { payload, .. } => Frame(u16::from_be_bytes([payload[0], payload[1]])),
        Next::Lost { units, .. } => Lost(units),
        Next::Wait => unreachable!("asked for before"),
    }
}

use Got::{Frame, Lost};

#[test]
fn what_is_in_order_is_handed_on_at_once_and_across_the_wrap() {
    let mut line = Line::new();
    for n in 0..200_u64 {
        let number = 65_500_u16.wrapping_add(n as u16);
        let timestamp = (u32::MAX - 5_000).wrapping_add(n as u32 * 160);
        assert_eq!(line.push_stamped(n * 20, number, timestamp), Taken::Kept);
        assert_eq!(line.next(n * 20), [Frame(number)]);
        assert_eq!(line.jitter.deadline(), None);
    }
    assert_eq!(line.jitter.figures(), Figures::default());
}

#[test]
fn a_gap_is_held_for_a_while_and_then_lost_with_what_follows_at_hand() {
    let mut line = Line::new();
    for n in 0..10 {
        line.push(u64::from(n) * 20, n);
        line.next(u64::from(n) * 20);
    }
    line.push(220, 11);
    assert_eq!(line.next(220), []);
    let hold = line.jitter.hold();
    assert!(hold <= HOLD_MAX);
    assert_eq!(line.jitter.deadline(), Some(line.at(220) + hold));
    let now = line.at(220) + hold;
    assert_eq!(line.jitter.next(now), Next::Lost { units: 160, next: Some(&11_u16.to_be_bytes()) });
    assert!(matches!(line.jitter.next(now), Next::Frame { timestamp: 1_760, .. }));
    assert_eq!(line.jitter.next(now), Next::Wait);
    // What was lost comes after all.
    assert_eq!(line.push(300, 10), Taken::Late);
    assert_eq!(line.next(300), []);
    assert_eq!((line.jitter.figures().lost, line.jitter.figures().late), (1, 1));
}

#[test]
fn what_was_overtaken_is_put_in_order_and_the_wait_follows_what_was_seen() {
    let mut line = Line::new();
    line.push(0, 0);
    line.next(0);
    line.push(20, 2);
    assert_eq!(line.next(20), []);
    assert_eq!(line.push(32, 1), Taken::Kept);
    assert_eq!(line.next(32), [Frame(1), Frame(2)]);
    assert_eq!(line.jitter.figures().reordered, 1);
    // One that comes 40 ms after its successor is too late the first time and in time the second.
    line.push(60, 4);
    assert_eq!(line.next(80), [Lost(160), Frame(4)]);
    assert_eq!(line.push(100, 3), Taken::Late);
    assert_eq!(line.jitter.hold(), MS * 50);
    line.push(110, 6);
    assert_eq!(line.next(145), []);
    line.push(150, 5);
    assert_eq!(line.next(150), [Frame(5), Frame(6)]);
    // Nothing is overtaken any more: the wait is short again after minutes.
    for n in 7..12_000_u16 {
        let ms = 160 + u64::from(n) * 20;
        line.push(ms, n);
        assert_eq!(line.next(ms), [Frame(n)], "nothing in order waits");
    }
    assert_eq!(line.jitter.hold(), HOLD_LEAST);
}

#[test]
fn copies_are_given_out_once() {
    let mut line = Line::new();
    for n in 0..50 {
        let ms = u64::from(n) * 20;
        assert_eq!(line.push(ms, n), Taken::Kept);
        assert_eq!(line.push(ms, n), Taken::Duplicate);
        assert_eq!(line.next(ms), [Frame(n)]);
        assert_eq!(line.push(ms + 1, n), Taken::Late);
        assert_eq!(line.next(ms + 1), []);
    }
}

#[test]
fn rfc3551_4_1_silence_that_was_not_sent_is_no_loss() {
    let mut line = Line::new();
    line.push_stamped(0, 0, 0);
    line.push_stamped(20, 1, 160);
    assert_eq!(line.next(20), [Frame(0), Frame(1)]);
    // Numbers go on, timestamps jump by three seconds, as the clock did.
    line.push_stamped(3_020, 2, 160 + 24_000);
    assert_eq!(line.next(3_020), [Frame(2)]);
    // With a packet lost as well, one packet is lost and not three seconds.
    line.push_stamped(6_020, 4, 160 + 48_000);
    assert_eq!(line.next(6_100), [Lost(160), Frame(4)]);
    assert_eq!(line.jitter.figures().restarts, 0);
}

#[test]
fn numbers_that_key_presses_used_up_are_no_loss() {
    let mut line = Line::new();
    line.push_stamped(0, 0, 0);
    line.push_stamped(20, 1, 160);
    line.next(20);
    // Events took the numbers 2 to 8; the sound goes on where its time line is.
    line.push_stamped(40, 9, 320);
    assert_eq!(line.next(140), [Frame(9)]);
    assert_eq!(line.jitter.figures().lost, 0);
}

#[test]
fn a_burst_of_losses_is_as_long_as_it_was() {
    let mut line = Line::new();
    for n in 0..5 {
        line.push(u64::from(n) * 20, n);
    }
    line.next(80);
    line.push(280, 14);
    let all = line.next(400);
    assert_eq!(all[..9], [Lost(160); 9]);
    assert_eq!(all[9..], [Frame(14)]);
    assert_eq!(line.jitter.figures().lost, 9);
}

#[test]
fn case_2_another_ssrc_is_heard_at_once() {
    let mut line = Line::new();
    for n in 0..20 {
        line.push(u64::from(n) * 20, n);
        line.next(u64::from(n) * 20);
    }
    for n in 0..20_u16 {
        let ms = 400 + u64::from(n) * 20;
        let stamp =
            Stamp { ssrc: 2, sequence: 40_000 + n, timestamp: 7_000_000 + u32::from(n) * 160 };
        let now = line.at(ms);
        let taken = line.jitter.push(now, stamp, &n.to_be_bytes());
        assert_eq!(taken, if n == 0 { Taken::Restarted } else { Taken::Kept });
        assert_eq!(line.next(ms), [Frame(n)]);
    }
    assert_eq!(line.jitter.figures().restarts, 1);
}

#[test]
fn case_2_another_ssrc_keeps_the_pace_of_the_clock() {
    let mut line = Line::new();
    for n in 0..100_u64 {
        let (ssrc, number) = if n < 50 { (1, n as u16) } else { (2, 500 + n as u16) };
        let timestamp = if n < 50 { n as u32 * 160 } else { 99_999 + n as u32 * 160 };
        let stamp = Stamp { ssrc, sequence: number, timestamp };
        let now = line.at(n * 20);
        line.jitter.push(now, stamp, &number.to_be_bytes());
        // 20 ms of delay: each tick after the first gives one; what waited of the old one is gone.
        assert_eq!(line.pull(n * 20 + 19).len(), usize::from(n != 0 && n != 50), "{n}");
    }
}

#[test]
fn timestamps_that_jump_are_anchored_anew() {
    let mut line = Line::new();
    let mut frames = 0;
    for n in 0..100_u64 {
        // At 30 the clock of the sender jumps by hours, at 60 back to nothing.
        let base = [0_u32, 500_000_000, 77][(n / 30).min(2) as usize];
        line.push_stamped(n * 20, n as u16, base.wrapping_add(n as u32 * 160));
        frames += line.pull(n * 20 + 19).len();
    }
    assert_eq!(frames, 99);
    assert_eq!(line.jitter.figures().lost, 0);
}

#[test]
fn numbers_from_nowhere_need_a_second_one() {
    let mut line = Line::new();
    line.push(0, 100);
    line.next(0);
    assert_eq!(line.push(20, 40_000), Taken::Refused);
    assert_eq!(line.push(20, 101), Taken::Kept);
    assert_eq!(line.next(20), [Frame(101)]);
    assert_eq!(line.push(40, 40_001), Taken::Refused, "the stream went on in between");
    assert_eq!(line.push(60, 40_002), Taken::Restarted);
    assert_eq!(line.next(60), [Frame(40_002)]);
    // An outage longer than the store: the stream is the same and goes on at once.
    assert_eq!(line.push(2_060, 40_102), Taken::Restarted);
    assert_eq!(line.next(2_060), [Frame(40_102)]);
}

#[test]
fn who_asks_first_loses_nothing_to_a_stream_that_begins_anew() {
    let stamp = |ssrc, sequence| Stamp { ssrc, sequence, timestamp: 0 };
    let mut line = Line::new();
    assert!(line.jitter.goes_on(stamp(1, 100)), "the first");
    line.push(0, 100);
    assert_eq!(line.next(0), [Frame(100)]);
    line.push(40, 102);
    assert_eq!(line.next(40), []);
    for (ssrc, sequence, goes_on) in [
        (1, 101, true),
        (1, 132, true),
        (1, 133, false),
        (1, 1, true),
        (1, 0, false),
        (2, 101, false),
    ] {
        assert_eq!(line.jitter.goes_on(stamp(ssrc, sequence)), goes_on, "{ssrc} {sequence}");
    }
    // Whoever is about to begin anew reads what waits by the longest hold first.
    assert_eq!(line.next(40 + 60), [Lost(160), Frame(102)]);
    line.push(120, 104);
    line.jitter.clear();
    assert!(line.jitter.is_empty() && line.jitter.deadline().is_none());
    assert!(!line.jitter.goes_on(stamp(1, 103)), "whatever its numbers");
    assert_eq!(line.push(140, 103), Taken::Restarted);
    assert_eq!(line.next(140), [Frame(103)]);
    assert_eq!(line.jitter.figures().discarded, 1);
}

#[test]
fn payloads_that_no_datagram_carries_are_refused() {
    let mut line = Line::new();
    let stamp = Stamp { ssrc: 1, sequence: 1, timestamp: 1 };
    let now = line.at(0);
    assert_eq!(line.jitter.push(now, stamp, &[0; PAYLOAD_MAX + 1]), Taken::Refused);
    assert_eq!(line.jitter.push(now, stamp, &[0; PAYLOAD_MAX]), Taken::Kept);
    let Next::Frame { payload, .. } = line.jitter.next(now) else { panic!("it is in order") };
    assert_eq!(payload.len(), PAYLOAD_MAX);
}

/// Plays `packets` packets by the clock with a network of the given delays (ms), and gives the figures,
/// the ticks that found nothing, and the delay at the end.
fn played(packets: u64, network: impl Fn(u64) -> u64) -> (Figures, u64, Duration, u64) {
    let mut line = Line::new();
    let mut arrivals: Vec<(u64, u64)> = (0..packets).map(|n| (n * 20 + network(n), n)).collect();
    arrivals.sort();
    let mut arrivals = arrivals.into_iter().peekable();
    let (mut starved, mut waiting, mut frames) = (0, 0, 0);
    for tick in 0..packets {
        let ms = tick * 20 + 7;
        while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= ms) {
            line.push(at, n as u16);
        }
        let all = line.pull(ms);
        frames += all.iter().filter(|got| matches!(got, Frame(_))).count() as u64;
        waiting += all.len();
        if tick > 250 && waiting == 0 {
            starved += 1;
        }
        waiting = waiting.saturating_sub(1);
        if tick % 50 == 49 {
            line.jitter.quiet();
        }
    }
    (line.jitter.figures(), starved, line.jitter.delay(), frames)
}

#[test]
fn the_delay_follows_the_jitter_and_nothing_is_late() {
    // A quiet line, then the same with packets that come up to 60 ms later than others.
    let (figures, starved, delay, _) = played(3_000, |_| 5);
    assert_eq!((figures.late, figures.lost, starved), (0, 0, 0));
    assert!(delay <= MS * 20, "{delay:?}");
    let jittery = |n: u64| 10 + n * 7_919 % 61;
    let (figures, starved, delay, frames) = played(3_000, jittery);
    assert!(figures.late + figures.lost <= 5, "{figures:?}");
    assert!(starved <= 15, "{starved} of 2750 ticks found nothing");
    assert!((MS * 50..=MS * 90).contains(&delay), "{delay:?}");
    assert!(frames + figures.discarded >= 2_980, "{frames}");
}

#[test]
fn the_delay_grows_at_once_and_falls_in_silence_alone() {
    let mut line = Line::new();
    for n in 0..100_u64 {
        line.push(n * 20, n as u16);
        line.pull(n * 20);
    }
    let before = line.jitter.delay();
    line.push(100 * 20 + 120, 100);
    assert!(line.jitter.delay() >= MS * 120);
    // What was held up comes at once, then all is as before.
    for n in 101..=106 {
        line.push(2_120, n);
    }
    line.pull(2_120);
    for n in 107..800_u64 {
        line.push(n * 20, n as u16);
        line.pull(n * 20);
    }
    assert!(line.jitter.delay() >= MS * 120, "nobody said that it was quiet");
    let mut left_out = 0;
    for n in 800..900_u64 {
        line.push(n * 20, n as u16);
        line.pull(n * 20);
        left_out += u64::from(line.jitter.quiet());
    }
    assert!(line.jitter.delay() < before + MS * 25, "{:?}", line.jitter.delay());
    assert_eq!(line.jitter.figures().discarded, left_out);
    assert!((4..=6).contains(&left_out), "{left_out}");
}

#[test]
fn no_jitter_is_given_more_than_200_ms() {
    let mut line = Line::new();
    for n in 0..2_000_u64 {
        let late = if n % 3 == 0 { 900 } else { 0 };
        line.push(n * 20 + late, n as u16);
        line.pull(n * 20 + late);
        assert!(line.jitter.delay() <= DELAY_MAX);
    }
}

#[test]
fn clocks_that_differ_by_200_ppm_do_no_harm_in_an_hour() {
    for ppm in [-200_i64, 200] {
        let mut line = Line::new();
        let (mut frames, mut waiting, mut starved, mut most) = (0_u64, 0_usize, 0_u64, 0);
        let packets = 3_600 * 50_i64;
        let mut next = 0_i64;
        for tick in 0..packets {
            let now = tick * 20_000;
            // The sender's packets leave by his own clock.
            while next * (20_000_000_000 + ppm * 20_000) / 1_000_000 <= now {
                let at = line.start + Duration::from_micros(now as u64);
                let number = next as u16;
                let timestamp = (next as u32).wrapping_mul(160);
                let stamp = Stamp { ssrc: 1, sequence: number, timestamp };
                line.jitter.push(at, stamp, &number.to_be_bytes());
                next += 1;
            }
            let at = line.start + Duration::from_micros(now as u64);
            loop {
                match line.jitter.pull(at) {
                    Next::Wait => break,
                    Next::Frame { .. } => {
                        frames += 1;
                        waiting += 1;
                    }
                    Next::Lost { .. } => panic!("nothing was lost"),
                }
            }
            most = most.max(waiting);
            starved += u64::from(waiting == 0);
            waiting = waiting.saturating_sub(1);
            // Somebody pauses every other second.
            if tick % 100 == 99 {
                line.jitter.quiet();
            }
            assert!(line.jitter.delay() <= MS * 80, "{:?} at {tick}", line.jitter.delay());
        }
        let figures = line.jitter.figures();
        // 200 ppm of an hour are 720 ms: 36 packets too many or too few.
        assert!(starved <= 60, "{ppm} ppm: {starved} ticks found nothing");
        assert!(figures.discarded <= 60, "{ppm} ppm: {figures:?}");
        assert!(frames + figures.discarded + 10 >= next as u64, "{ppm} ppm: {frames} of {next}");
        assert!(most <= 4, "{ppm} ppm: {most} waited");
        assert_eq!((figures.late, figures.lost, figures.restarts), (0, 0, 0));
    }
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in whatever order: frames leave in the order of their numbers, none twice,
        /// the accounts add up, and nothing waits for longer than it may.
        #[test]
        fn frames_leave_in_order_and_are_accounted_for(
            steps in prop::collection::vec((0_u16..40, 0_u64..70, any::<bool>()), 1..400),
        ) {
            let mut line = Line::new();
            let (mut ms, mut base, mut kept, mut given) = (0, 0_u16, 0_u64, 0_u64);
            let mut last: Option<u16> = None;
            for (step, wait, forward) in steps {
                let number = base.wrapping_add(step % 8);
                if forward {
                    base = base.wrapping_add(1 + step / 20);
                }
                ms += wait;
                if line.push(ms, number) == Taken::Kept {
                    kept += 1;
                }
                for got in line.next(ms) {
                    if let Frame(number) = got {
                        given += 1;
                        if let Some(last) = last {
                            prop_assert!((number.wrapping_sub(last) as i16) > 0);
                        }
                        last = Some(number);
                    }
                }
                if let Some(deadline) = line.jitter.deadline() {
                    prop_assert!(deadline > line.at(ms) && deadline <= line.at(ms) + HOLD_MAX);
                }
            }
            given += line.next(ms + 1_000).iter().filter(|got| matches!(got, Frame(_))).count() as u64;
            prop_assert_eq!(given, kept);
        }
    }
}
