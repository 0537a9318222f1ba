//! Packets that overtake each other, come late or not at all, before sound that is coded anew.

use facts::media::Codec;

use crate::common::*;
use crate::recode::Singer;

/// The pairs that are measured in docs/media-quality.md.
const PAIRS: [(u8, Codec); 2] = [(9, Codec::G722), (111, Codec::Opus)];
const FIRST: u16 = 65_520;

/// A far end whose network does with its packets what a test wants, and one that hears it in A-law.
struct Line {
    w: World,
    a: Singer,
    b: Singer,
    /// Its sound, 20 ms each.
    sound: Vec<Vec<u8>>,
    clock: u32,
}

impl Line {
    /// `port`: the first of a range that no other test uses. The speaker has telephone-events of its own.
    fn new(port: u16, (number, codec): (u8, Codec)) -> Line {
        let w = World::new(port, 4, |_| {});
        let (mut a, b) = (Singer::new(1, number, codec), Singer::new(2, 8, Codec::Pcma));
        let [mut ours, mut theirs] = [a.map(), b.map()];
        ours.events.push((101, codec.clock_hz()));
        theirs.events.push((96, 8_000));
        w.bridge((&a.phone, setup(&a.phone, ours)), (&b.phone, setup(&b.phone, theirs)));
        let sound = (0..80).map(|_| a.payload()).collect();
        Line { w, a, b, sound, clock: codec.clock_hz() / 50 }
    }

    /// The `n`th packet of the sound.
    fn say(&self, n: u16) {
        self.say_as(1, FIRST, n);
    }

    fn say_as(&self, ssrc: u32, first: u16, n: u16) {
        let place = (self.a.number, 5_000 + u32::from(n) * self.clock);
        let sequence = first.wrapping_add(n);
        self.a.phone.throw(ssrc, sequence, place, &self.sound[usize::from(n)]);
    }

    /// Exactly so many packets are heard, and one after the other.
    fn hear(&self, count: usize) -> Vec<Packet> {
        let heard: Vec<Packet> = (0..count).map(|_| self.b.phone.must_hear()).collect();
        assert_eq!(self.b.phone.listen(ms(150)), [], "and no more");
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        }
        heard
    }

    /// Packets put in order, and those that came too late.
    fn counts(&self) -> (u64, u64) {
        self.w.settle();
        let counts = self.w.media.counts();
        (counts.reordered, counts.late)
    }
}

fn payloads(heard: &[Packet]) -> Vec<&[u8]> {
    heard.iter().map(|packet| packet.payload.as_slice()).collect()
}

fn timestamps_run_on(heard: &[Packet]) {
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
}

#[test]
fn what_is_overtaken_is_heard_to_the_bit_as_if_it_were_not() {
    for (n, pair) in PAIRS.into_iter().enumerate() {
        let port = 27_000 + 20 * n as u16;
        let (plain, mixed) = (Line::new(port, pair), Line::new(port + 10, pair));
        // Rates that differ hold back a little: what 80 packets give is known once they were in order.
        (0..80).for_each(|n| plain.say(n));
        let expected = plain.b.phone.listen(ms(500));
        assert!(expected.len() >= 79, "{pair:?}: {}", expected.len());
        assert_eq!(plain.counts(), (0, 0));
        // The first is first; then each second one is overtaken by one, or by two.
        mixed.say(0);
        for n in (1..79).step_by(3) {
            let turned = if n % 2 == 0 { [n + 1, n, n + 2] } else { [n + 1, n + 2, n] };
            turned.into_iter().for_each(|n| mixed.say(n));
        }
        mixed.say(79);
        let heard = mixed.hear(expected.len());
        timestamps_run_on(&heard);
        assert!(payloads(&heard) == payloads(&expected), "{pair:?}");
        assert_eq!(mixed.counts(), (26, 0), "{pair:?}");
        let stats = mixed.w.close(A);
        assert_eq!((stats.packets_received, stats.packets_lost), (80, 0), "{pair:?}");
    }
}

#[test]
fn who_waits_in_vain_waits_no_longer_than_the_hold_and_what_comes_then_is_counted_and_not_heard() {
    for (n, pair) in PAIRS.into_iter().enumerate() {
        let line = Line::new(27_040 + 10 * n as u16, pair);
        (0..40).for_each(|n| line.say(n));
        let before = line.b.phone.listen(ms(300)).len();
        assert!(before >= 39, "{pair:?}: {before}");
        // Nothing comes after it: by the clock alone the missing one is made up for.
        let asked = std::time::Instant::now();
        line.say(41);
        let heard = line.hear(2);
        timestamps_run_on(&heard);
        let waited = heard[0].at - asked;
        assert!(waited >= ms(19) && waited < ms(2_000), "{pair:?}: {waited:?}");
        line.say(40);
        line.say(41);
        assert_eq!(line.b.phone.listen(ms(150)), [], "too late, and again");
        assert_eq!(line.counts(), (0, 2), "{pair:?}");
        line.say(42);
        assert_eq!(line.hear(1)[0].sequence, heard[1].sequence.wrapping_add(1), "{pair:?}");
    }
}

#[test]
fn rfc4733_2_5_keys_stay_in_order_with_the_sound_around_them() {
    let line = Line::new(27_060, (9, Codec::G722));
    let key = |n: u16, end: bool| {
        let lasted = 160 * (n - 9);
        let mut event = [5, if end { 0x8a } else { 10 }, 0, 0];
        event[2..].copy_from_slice(&lasted.to_be_bytes());
        let place = (101, 5_000 + 10 * line.clock);
        line.a.phone.throw(1, FIRST.wrapping_add(n), place, &event);
    };
    (0..9).for_each(|n| line.say(n));
    // 9 is sound, 10 to 12 are the key, from 13 on it is sound again.
    key(10, false);
    line.say(9);
    key(12, true);
    line.say(13);
    key(11, false);
    line.say(14);
    let mut kinds = Vec::new();
    let heard = line.b.phone.listen(ms(400));
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
    for packet in &heard {
        kinds.push(packet.payload_type);
    }
    let at = kinds.iter().position(|number| *number == 96).unwrap();
    assert!((9..=10).contains(&at), "{kinds:?}");
    assert_eq!(kinds[at..at + 4], [96, 96, 96, 8], "{kinds:?}");
    let keys = &heard[at..at + 3];
    assert_eq!(keys.iter().map(|p| p.marker).collect::<Vec<_>>(), [true, false, false]);
    assert!(keys.iter().all(|key| key.timestamp == keys[0].timestamp));
    assert_eq!(keys.iter().map(|p| p.payload[1] & 0x80).collect::<Vec<_>>(), [0, 0, 0x80]);
    assert_eq!(line.counts(), (2, 0));
}

#[test]
fn case_2_another_source_is_heard_at_once_behind_what_waited() {
    let line = Line::new(27_070, (9, Codec::G722));
    (0..20).for_each(|n| line.say(n));
    let before = line.b.phone.listen(ms(300)).len();
    line.say(21);
    (30..40).for_each(|n| line.say_as(7, 300, n));
    // The one that was missing, the one that waited, and ten of the other source.
    let heard = line.hear(12);
    assert!(heard.iter().all(|packet| packet.payload_type == 8), "{before}");
    assert!(heard.last().unwrap().at - heard[0].at < ms(1_000));
    assert_eq!(line.counts(), (0, 0));
}

#[test]
fn rfc3389_4_a_pause_stays_a_pause_and_what_nobody_takes_is_no_gap() {
    let line = Line::new(27_080, (9, Codec::G722));
    (0..10).for_each(|n| line.say(n));
    let before = line.b.phone.listen(ms(300)).len();
    assert!(before >= 9);
    // Comfort noise that was never agreed to, then a pause of a second in the timestamps.
    line.a.phone.throw(1, FIRST.wrapping_add(10), (13, 5_000 + 10 * line.clock), &[70]);
    let late = 5_000 + 60 * line.clock;
    line.a.phone.throw(1, FIRST.wrapping_add(11), (9, late), &line.sound[11]);
    let heard = line.hear(1);
    assert!(heard[0].marker, "a new talkspurt");
    assert_eq!(line.counts(), (0, 0));
}
