//! An hour of far ends whose clocks are wrong.

use super::*;

/// A beep of 60 ms every minute by the wall clock, in a stream whose clock runs `ppm` fast.
struct Beeper {
    side: Side,
    /// Microseconds of ours that one packet lasts on a clock that is wrong.
    packet_us: f64,
    sent: u32,
}

/// Every minute of the hour.
const MINUTE_MS: u64 = 60_000;

impl Beeper {
    fn new(side: Side, ppm: f64) -> Beeper {
        Beeper { side, packet_us: 20_000.0 / (1.0 + ppm / 1e6), sent: 0 }
    }

    /// The next packet, and when it comes: up to 15 ms late, one in a hundred not at all.
    fn next(&mut self, start: Instant) -> (Instant, Option<Packet>) {
        let n = self.sent;
        self.sent += 1;
        let at_us = f64::from(n) * self.packet_us;
        let jitter_us = f64::from(n.wrapping_mul(2_654_435_761) >> 18) % 15_000.0;
        let arrival = start + Duration::from_micros((at_us + jitter_us) as u64);
        let loud = (at_us / 1_000.0) as u64 % MINUTE_MS < 60;
        let mut packet = packet(self.side, n, if loud { 700.0 } else { 0.0 }, arrival);
        packet.timestamp = n.wrapping_mul(160);
        (arrival, (n % 100 != 99 || loud).then_some(packet))
    }
}

#[test]
fn case_13_clocks_100_ppm_off_leave_both_channels_in_time_after_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let hour_ms = 3_600_000;
    let start = Instant::now();
    let wav = RecordingForm { format: RecordingFormat::Wav, voices: Voices::Stereo };
    let mut job = Job::start(folder.path(), "hour.wav", wav, start, None).unwrap();
    let mut sides = [Beeper::new(Side::Left, 100.0), Beeper::new(Side::Right, -100.0)];
    for turn in 1..=hour_ms / 100 {
        let until = start + ms(turn * 100);
        for side in &mut sides {
            while start + Duration::from_micros((f64::from(side.sent) * side.packet_us) as u64)
                < until
            {
                let (_, packet) = side.next(start);
                if let Some(packet) = packet {
                    job.put(&packet).unwrap();
                }
            }
        }
        job.turn(until).unwrap();
    }
    let file = job.finish(start + ms(hour_ms)).unwrap();
    assert_eq!(file.duration_ms, hour_ms, "as long as the call");
    let bytes = fs::read(folder.path().join("hour.wav")).unwrap();
    for (side, name) in [(0, "A, 100 ppm fast"), (1, "B, 100 ppm slow")] {
        let packet_us = sides[side].packet_us;
        let sample = |ms: u64| {
            let from = 44 + (ms as usize * 8) * 4 + side * 2;
            (0..8).any(|n| {
                let at = from + n * 4;
                i16::from_le_bytes([bytes[at], bytes[at + 1]]).unsigned_abs() > 1_000
            })
        };
        for minute in (1..60).step_by(7).chain([59]) {
            let due = minute * MINUTE_MS;
            let begins = (due - 200..due + 400).find(|ms| sample(*ms));
            let begins = begins.unwrap_or_else(|| panic!("{name}: no beep in minute {minute}"));
            // The first packet that is said in this minute, by our clock.
            let said = ((due * 1_000) as f64 / packet_us).ceil() * packet_us / 1_000.0;
            let off = begins as f64 - said;
            assert!(off.abs() <= 20.0, "{name}: {off} ms off in minute {minute}");
        }
    }
    let length = (bytes.len() - 44) as u64 / 4;
    assert_eq!(length, hour_ms * 8);
}
