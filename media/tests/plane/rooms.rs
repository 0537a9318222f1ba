//! Conferences over real sockets: who hears whom, in which coding, and what the room does for it.

use std::time::Instant;

use audio::codec::{Coding, Decoder, Encoder, OCTETS_MAX, SAMPLES_MAX};
use facts::media::{
    Codec, Direction, MediaCommand, MediaEvent, PayloadMap, RecordingForm, Source, StreamSetup,
    Tone,
};
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use facts::{LegId, LegNo};

use crate::common::*;

/// A far end that is in a room.
struct Guest {
    leg: LegId,
    phone: Phone,
    number: u8,
    codec: Codec,
    hz: f64,
    encoder: Encoder,
    decoder: Decoder,
    sung: usize,
    timestamp: u32,
    heard: Vec<i16>,
    packets: Vec<Packet>,
}

/// A tone of an eighth of full scale.
const PEAK: f64 = 4_096.0;

fn coding(codec: Codec) -> Coding {
    match codec {
        Codec::Pcmu => Coding::Pcmu,
        Codec::Pcma => Coding::Pcma,
        Codec::G722 => Coding::G722,
        Codec::Opus => Coding::Opus,
        Codec::G729 => panic!("nobody sings in it"),
    }
}

impl Guest {
    fn new(w: &World, no: u8, codec: Codec) -> Guest {
        let leg = LegId::new(CALL, LegNo(no));
        let number = match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::Opus => 111,
            Codec::G729 => 18,
        };
        let phone = Phone::new(u32::from(no) + 1);
        phone.target.set(Some(w.open(leg)));
        Guest {
            leg,
            phone,
            number,
            codec,
            hz: 300.0 + 110.0 * f64::from(no % 30),
            encoder: Encoder::new(coding(codec)).unwrap(),
            decoder: Decoder::new(coding(codec)).unwrap(),
            sung: 0,
            timestamp: u32::from(no) * 99_999,
            heard: Vec::new(),
            packets: Vec::new(),
        }
    }

    fn setup(&self) -> StreamSetup {
        let map = PayloadMap { events: vec![(101, 8_000)], ..only(self.number, self.codec) };
        setup(&self.phone, map)
    }

    fn enter(&self, w: &World) {
        w.setup(self.leg, self.setup());
        w.hear(self.leg, Source::Room);
    }

    fn payload(&mut self) -> Vec<u8> {
        let rate = self.encoder.rate();
        let step = std::f64::consts::TAU * self.hz / f64::from(rate);
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

    fn lose(&mut self) {
        self.payload();
        self.phone.lose();
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_hz() / 50);
    }

    /// Takes what has come.
    fn listen(&mut self) {
        let mut out = vec![0; SAMPLES_MAX];
        self.phone.rtp.set_nonblocking(true).unwrap();
        let mut bytes = [0; 2048];
        while let Ok((len, _)) = self.phone.rtp.recv_from(&mut bytes) {
            let bytes = &bytes[..len];
            let packet = Packet {
                at: Instant::now(),
                marker: bytes[1] & 0x80 != 0,
                payload_type: bytes[1] & 0x7f,
                sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
                timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                ssrc: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
                payload: bytes[12..].to_vec(),
            };
            assert_eq!(packet.payload_type, self.number);
            let count = self.decoder.decode(&packet.payload, &mut out).unwrap();
            self.heard.extend_from_slice(&out[..count]);
            self.packets.push(packet);
        }
        self.phone.rtp.set_nonblocking(false).unwrap();
    }

    /// Amplitude of a tone in what it heard last: the middle one of twelve pieces of 50 ms, since a test
    /// that is late breaks the tones that it sings.
    fn hears(&self, hz: f64) -> f64 {
        let (rate, piece) = (self.decoder.rate(), self.decoder.rate() as usize / 20);
        let last = self.heard.len().saturating_sub(12 * piece);
        let mut all: Vec<f64> =
            self.heard[last..].chunks_exact(piece).map(|at| amplitude(at, rate, hz)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

/// Through a window, so that the tones beside it count for nothing.
fn amplitude(sound: &[i16], rate: u32, hz: f64) -> f64 {
    let (turn, count) = (std::f64::consts::TAU, sound.len().max(1) as f64);
    let (mut cos, mut sin) = (0.0, 0.0);
    for (n, sample) in sound.iter().enumerate() {
        let weight = 1.0 - (turn * n as f64 / count).cos();
        let phase = turn * hz / f64::from(rate) * n as f64;
        cos += f64::from(*sample) * weight * phase.cos();
        sin += f64::from(*sample) * weight * phase.sin();
    }
    2.0 * f64::hypot(cos, sin) / count
}

/// `ticks` of 20 ms of the clock on the wall in which those who may sing do.
fn talk(guests: &mut [Guest], ticks: u32, sings: impl Fn(u32, &Guest) -> bool) {
    let start = Instant::now();
    for tick in 0..ticks {
        for guest in guests.iter_mut() {
            if sings(tick, guest) {
                guest.sing();
            }
            guest.listen();
        }
        let next = start + ms(20) * (tick + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    std::thread::sleep(ms(30));
    guests.iter_mut().for_each(Guest::listen);
}

fn room(w: &World, order: RoomOrder) {
    w.order(MediaCommand::Room { call: CALL, order });
}

/// The news of a room so far, in order.
fn news(w: &World) -> Vec<RoomNews> {
    w.settle_into()
}

impl World {
    /// Waits until all orders were carried out; gives the news of the room that came until then.
    fn settle_into(&self) -> Vec<RoomNews> {
        let probe = LegId::new(CALL, LegNo(255));
        self.order(MediaCommand::Close { leg: probe });
        let mut news = Vec::new();
        loop {
            match self.events.recv_timeout(PATIENCE).unwrap() {
                MediaEvent::Closed { leg, .. } if leg == probe => return news,
                MediaEvent::Room { news: fresh, .. } => news.push(fresh),
                _ => {}
            }
        }
    }
}

#[test]
fn eight_members_of_four_codings_hear_each_other_and_one_behind_a_bad_network_too() {
    let w = World::new(30_000, 20, |_| {});
    let all = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    let mut guests: Vec<Guest> =
        (0..8).map(|no| Guest::new(&w, no, all[usize::from(no) % 4])).collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    let joined = |no| RoomNews::Joined { leg: LegNo(no) };
    assert_eq!(news(&w), (0..8).map(joined).collect::<Vec<_>>());
    // The first loses every 25th packet, and two in ten of the rest come with the next one.
    let start = Instant::now();
    let mut seed = 9_u32;
    let mut held = 0;
    for tick in 0..150_u32 {
        for guest in &mut guests {
            if guest.leg.no.0 != 0 {
                guest.sing();
                continue;
            }
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if tick % 25 == 24 {
                guest.lose();
            } else if (seed >> 16) % 10 < 2 && held == 0 {
                held = 1;
            } else {
                (0..=std::mem::take(&mut held)).for_each(|_| guest.sing());
            }
        }
        guests.iter_mut().for_each(Guest::listen);
        let next = start + ms(20) * (tick + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    guests.iter_mut().for_each(Guest::listen);
    for guest in &guests {
        for other in &guests {
            let heard = guest.hears(other.hz);
            if guest.leg == other.leg {
                assert!(heard < 200.0, "{} hears itself: {heard}", guest.leg);
            } else {
                assert!(heard > 1_500.0, "{} hears {}: {heard}", guest.leg, other.leg);
            }
        }
        // One stream: a packet each 20 ms, numbers and timestamps without a break.
        let lasted = start.elapsed().as_millis() as usize / 20;
        assert!(guest.packets.len().abs_diff(lasted) < 15, "{} {lasted}", guest.packets.len());
        let step = guest.codec.clock_hz() / 50;
        assert!(guest.packets[0].marker);
        for pair in guest.packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            // A machine that stood still leaves a pause, and says so.
            let ahead = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert!(ahead == step || pair[1].marker && ahead > 3 * step, "{ahead}");
        }
    }
    let stats = w.close(guests[0].leg);
    assert!((5..=7).contains(&stats.packets_lost), "{}", stats.packets_lost);
}

#[test]
fn mute_deaf_kick_lock_and_chimes() {
    let w = World::new(30_100, 20, |_| {});
    let mut guests: Vec<Guest> = (0..4).map(|no| Guest::new(&w, no, Codec::Pcmu)).collect();
    room(&w, RoomOrder::Chimes { on: true });
    guests[..3].iter().for_each(|guest| guest.enter(&w));
    talk(&mut guests, 30, |_, guest| guest.leg.no.0 == 1);
    let told = news(&w);
    let tells = |news: &[RoomNews], wanted| news.contains(&wanted);
    assert!(tells(&told, RoomNews::Talking { leg: LegNo(1), talks: true }), "{told:?}");
    let pieces = guests[0].heard.chunks_exact(320);
    let chime = pieces.map(|piece| amplitude(piece, 8_000, 880.0)).fold(0.0, f64::max);
    assert!(chime > 500.0, "two bursts of 80 ms: {chime}");
    // 0 is muted, 2 deaf.
    room(
        &w,
        RoomOrder::Role { leg: LegNo(0), role: RoomRole { speaks: false, ..RoomRole::default() } },
    );
    room(
        &w,
        RoomOrder::Role { leg: LegNo(2), role: RoomRole { hears: false, ..RoomRole::default() } },
    );
    talk(&mut guests, 35, |_, guest| guest.leg.no.0 != 3);
    assert!(guests[1].hears(guests[0].hz) < 40.0 && guests[1].hears(guests[2].hz) > 3_000.0);
    assert!(guests[0].hears(guests[1].hz) > 3_000.0 && guests[2].hears(guests[1].hz) < 40.0);
    // A locked room lets nobody in; who is in stays, and may be told to go.
    room(&w, RoomOrder::Lock { locked: true });
    guests[3].enter(&w);
    room(&w, RoomOrder::Kick { leg: LegNo(2) });
    let told = news(&w);
    let refused = RoomNews::Refused { leg: LegNo(3), why: RoomRefusal::Locked };
    assert!(tells(&told, refused) && tells(&told, RoomNews::Left { leg: LegNo(2) }), "{told:?}");
    w.hear(guests[2].leg, Source::Room);
    assert_eq!(news(&w), [RoomNews::Refused { leg: LegNo(2), why: RoomRefusal::Locked }]);
    let before = guests[2].packets.len();
    talk(&mut guests, 30, |_, guest| guest.leg.no.0 != 0);
    assert!(guests[2].packets.len() <= before + 2 && guests[3].packets.is_empty());
    assert!(guests[1].hears(guests[2].hz) < 40.0 && guests[1].hears(guests[3].hz) < 40.0);
    room(&w, RoomOrder::Lock { locked: false });
    w.hear(guests[3].leg, Source::Room);
    assert_eq!(news(&w).first(), Some(&RoomNews::Joined { leg: LegNo(3) }));
    // And out into a conversation of two: no member of the room hears him.
    w.hear(guests[3].leg, Source::Leg(guests[2].leg));
    assert_eq!(news(&w), [RoomNews::Left { leg: LegNo(3) }]);
}

#[test]
fn what_no_mixer_takes_is_refused_and_a_member_may_come_before_his_description() {
    let w = World::new(30_200, 20, |_| {});
    let mut guests = vec![Guest::new(&w, 0, Codec::Pcma), Guest::new(&w, 1, Codec::Pcma)];
    w.hear(guests[0].leg, Source::Room);
    let phone = Phone::new(77);
    let odd = LegId::new(CALL, LegNo(2));
    w.open(odd);
    w.hear(odd, Source::Room);
    assert_eq!(news(&w), [], "nobody has agreed on anything");
    w.setup(odd, setup(&phone, only(18, Codec::G729)));
    w.setup(guests[0].leg, guests[0].setup());
    guests[1].enter(&w);
    let refused = RoomNews::Refused { leg: LegNo(2), why: RoomRefusal::Codec };
    let joined = |no| RoomNews::Joined { leg: LegNo(no) };
    assert_eq!(news(&w), [refused, joined(0), joined(1)]);
    talk(&mut guests, 30, |_, guest| guest.leg.no.0 == 0);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0);
    assert!(phone.hear(ms(50)).is_none());
    // In mid-talk he goes over to G.722, and then to what cannot be mixed.
    let leg = guests[0].leg;
    w.setup(leg, setup(&guests[0].phone, only(9, Codec::G722)));
    w.settle();
    // What was sent before the change.
    while guests[0].phone.hear(ms(1)).is_some() {}
    (guests[0].number, guests[0].codec) = (9, Codec::G722);
    guests[0].encoder = Encoder::new(Coding::G722).unwrap();
    guests[0].decoder = Decoder::new(Coding::G722).unwrap();
    talk(&mut guests, 60, |_, _| true);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0 && guests[0].hears(guests[1].hz) > 3_000.0);
    w.setup(leg, setup(&guests[0].phone, only(18, Codec::G729)));
    let told = news(&w);
    let refused = RoomNews::Refused { leg: LegNo(0), why: RoomRefusal::Codec };
    assert!(told.ends_with(&[RoomNews::Left { leg: LegNo(0) }, refused]), "{told:?}");
}

#[test]
fn rfc3264_8_4_hold_music_of_a_member_is_not_heard_by_the_room() {
    let w = World::new(30_300, 20, |_| {});
    let mut guests: Vec<Guest> = (0..3).map(|no| Guest::new(&w, no, Codec::Pcma)).collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    talk(&mut guests, 30, |_, _| true);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0);
    // 0 puts the conference on hold, and its far end plays music: sendonly there, so we only receive.
    let held = StreamSetup { direction: Direction::ReceiveOnly, ..guests[0].setup() };
    w.setup(guests[0].leg, held);
    let before = guests[0].packets.len();
    talk(&mut guests, 40, |_, _| true);
    assert!(guests[1].hears(guests[0].hz) < 40.0, "{}", guests[1].hears(guests[0].hz));
    assert!(guests[1].hears(guests[2].hz) > 3_000.0, "the others go on");
    assert!(guests[0].packets.len() <= before + 3, "and nothing is sent to who does not listen");
    w.setup(guests[0].leg, guests[0].setup());
    talk(&mut guests, 30, |_, _| true);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0, "back again");
}

#[test]
fn announcements_interjections_and_keys_reach_those_who_are_meant() {
    let w = World::new(30_400, 20, |_| {});
    let mut guests: Vec<Guest> = (0..3)
        .map(|no| Guest::new(&w, no, if no == 1 { Codec::G722 } else { Codec::Pcmu }))
        .collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    talk(&mut guests, 20, |_, _| false);
    room(&w, RoomOrder::Announce { source: Source::Tone(Tone::Recorded) });
    room(&w, RoomOrder::Announce { source: Source::Room });
    talk(&mut guests, 15, |_, _| false);
    for guest in &guests {
        assert!(guest.hears(1_400.0) > 2_000.0, "{}", guest.leg);
    }
    talk(&mut guests, 15, |_, _| false);
    assert_eq!(news(&w).iter().filter(|news| **news == RoomNews::Announced).count(), 2);
    // To one alone: the others hear nothing of it, and the room comes back to him.
    w.order(MediaCommand::Interject { leg: A, source: Source::Tone(Tone::Recorded) });
    talk(&mut guests, 15, |_, guest| guest.leg.no.0 == 2);
    assert!(guests[0].hears(1_400.0) > 2_000.0 && guests[1].hears(1_400.0) < 100.0);
    talk(&mut guests, 35, |_, guest| guest.leg.no.0 == 2);
    assert!(guests[0].hears(guests[2].hz) > 3_000.0);
    // A key is told, and not heard.
    for packet in 1..=9_u16 {
        let [high, low] = (packet * 160).to_be_bytes();
        let end = if packet > 6 { 0x8a } else { 0x0a };
        guests[0].phone.say_at(101, guests[0].timestamp, &[5, end, high, low]);
        std::thread::sleep(ms(20));
    }
    let digit = w.find(PATIENCE, |event| matches!(event, MediaEvent::Digit { leg: A, .. }));
    assert_eq!(digit, Some(MediaEvent::Digit { leg: A, digit: '5' }));
    talk(&mut guests, 20, |_, _| false);
    let tail = &guests[2].heard[guests[2].heard.len() - 1_600..];
    assert!(tail.iter().all(|sample| sample.unsigned_abs() < 50), "770 and 1336 Hz, or anything");
}

#[test]
fn a_room_is_recorded_in_one_channel() {
    let w = World::new(30_500, 20, |_| {});
    let mut guests: Vec<Guest> = (0..3).map(|no| Guest::new(&w, no, Codec::Pcma)).collect();
    let (file, form) = ("r/room.wav".to_owned(), RecordingForm::default());
    let form = RecordingForm { format: facts::media::RecordingFormat::Wav, ..form };
    room(&w, RoomOrder::Record { file, form });
    guests.iter().for_each(|guest| guest.enter(&w));
    talk(&mut guests, 100, |_, _| true);
    w.order(MediaCommand::StopRecording { call: CALL });
    let recorded = w.find(PATIENCE, |event| {
        matches!(event, MediaEvent::Recorded { .. } | MediaEvent::RecordingFailed { .. })
    });
    let Some(MediaEvent::Recorded { file, .. }) = recorded else { panic!("{recorded:?}") };
    assert!((1_980..2_300).contains(&file.duration_ms), "{}", file.duration_ms);
    let bytes = std::fs::read(w.folder.path().join("recordings").join(&file.file)).unwrap();
    assert_eq!(bytes[22..24], [1, 0], "one channel");
    let sound = media::prompt::samples(&bytes).unwrap();
    let middle = &sound[8_000..12_000];
    for guest in &guests {
        let heard = amplitude(middle, 8_000, guest.hz);
        assert!(heard > 3_500.0, "{}: {heard}", guest.leg);
    }
}

#[test]
fn the_last_to_leave_takes_the_room_and_its_recording_along() {
    let w = World::new(30_600, 20, |_| {});
    let guests: Vec<Guest> = (0..2).map(|no| Guest::new(&w, no, Codec::Pcma)).collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    let (file, form) = ("r/left.mp3".to_owned(), RecordingForm::default());
    room(&w, RoomOrder::Record { file, form });
    room(&w, RoomOrder::Lock { locked: true });
    w.settle();
    std::thread::sleep(ms(200));
    w.order(MediaCommand::Close { leg: guests[0].leg });
    let over = |event: &MediaEvent| {
        matches!(event, MediaEvent::Recorded { .. } | MediaEvent::RecordingFailed { .. })
    };
    assert_eq!(w.find(ms(300), over), None, "one is still in");
    w.order(MediaCommand::Close { leg: guests[1].leg });
    assert!(matches!(w.find(PATIENCE, over), Some(MediaEvent::Recorded { .. })));
    // A call of the same name begins with a room that is not locked.
    let guest = Guest::new(&w, 0, Codec::Pcma);
    guest.enter(&w);
    assert_eq!(news(&w), [RoomNews::Joined { leg: LegNo(0) }]);
    room(&w, RoomOrder::Record { file: "r/x.mp3".to_owned(), form });
    w.close(guest.leg);
    // A room of nobody is no room.
    let form = RecordingForm::default();
    room(&w, RoomOrder::Record { file: "r/y.mp3".to_owned(), form });
    assert!(w.find(PATIENCE, |e| matches!(e, MediaEvent::RecordingFailed { .. })).is_some());
}

#[test]
fn two_hundred_members_are_each_sent_a_packet_every_20_ms() {
    let w = World::new(30_700, 220, |_| {});
    let mut guests: Vec<Guest> = (0..200).map(|no| Guest::new(&w, no, Codec::Pcmu)).collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    w.settle();
    let singers = [0, 51, 102, 153];
    let start = Instant::now();
    talk(&mut guests, 60, |_, guest| singers.contains(&guest.leg.no.0));
    let lasted = start.elapsed().as_millis() as usize / 20;
    for guest in &guests {
        let count = guest.packets.len();
        // Who has sent nothing is sent to 200 ms after he agreed.
        assert!(count.abs_diff(lasted) < 20, "{}: {count} of {lasted} packets", guest.leg);
        for singer in guests.iter().filter(|singer| singers.contains(&singer.leg.no.0)) {
            let (heard, same) = (guest.hears(singer.hz), guest.leg == singer.leg);
            assert!(if same { heard < 300.0 } else { heard > 3_000.0 }, "{}: {heard}", guest.leg);
        }
    }
}

#[test]
fn case_2_a_member_with_a_new_ssrc_and_new_numbers_is_heard_on() {
    let w = World::new(31_300, 20, |_| {});
    let mut guests: Vec<Guest> = (0..2).map(|no| Guest::new(&w, no, Codec::G722)).collect();
    guests.iter().for_each(|guest| guest.enter(&w));
    talk(&mut guests, 30, |_, guest| guest.leg.no.0 == 0);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0);
    guests[0].phone.ssrc = 0x00de_cade;
    (0..5_000).for_each(|_| guests[0].phone.lose());
    guests[0].timestamp = guests[0].timestamp.wrapping_add(1 << 31);
    talk(&mut guests, 50, |_, guest| guest.leg.no.0 == 0);
    assert!(guests[1].hears(guests[0].hz) > 3_000.0, "{}", guests[1].hears(guests[0].hz));
}

#[test]
fn s4_9_two_who_talk_are_listened_to_whispered_to_and_joined_and_talk_on() {
    let w = World::new(31_400, 20, |_| {});
    // The seat, its customer, and who supervises, in three codings.
    let all = [Codec::Pcmu, Codec::Pcma, Codec::G722];
    let mut guests: Vec<Guest> =
        (0..3).map(|no| Guest::new(&w, no, all[usize::from(no)])).collect();
    guests.iter().for_each(|guest| w.setup(guest.leg, guest.setup()));
    let [seat, customer, boss] = [0, 1, 2].map(|no| guests[no].leg);
    let bridge = || {
        w.hear(seat, Source::Leg(customer));
        w.hear(customer, Source::Leg(seat));
    };
    bridge();
    let form = RecordingForm { format: facts::media::RecordingFormat::Wav, ..<_>::default() };
    let file = "r/seat.wav".to_owned();
    w.order(MediaCommand::Record { call: CALL, left: seat, right: Some(customer), file, form });
    talk(&mut guests, 40, |_, guest| guest.leg.no.0 != 2);
    let hears = |guests: &[Guest]| {
        let heard = |at: usize, of: usize| {
            !guests[at].heard.is_empty() && guests[at].hears(guests[of].hz) > 1_500.0
        };
        [(0, 1), (1, 0), (2, 0), (2, 1), (0, 2), (1, 2)].map(|(at, of)| heard(at, of))
    };
    assert_eq!(hears(&guests), [true, true, false, false, false, false], "two alone");
    for leg in [boss, seat, customer] {
        w.hear(leg, Source::Room);
    }
    let full = RoomRole::default();
    for (role, wanted, word) in [
        (RoomRole { speaks: false, ..full }, [true, true, true, true, false, false], "listens"),
        (RoomRole { to: Some(seat.no), ..full }, [true, true, true, true, true, false], "whispers"),
        (full, [true; 6], "talks with both"),
    ] {
        room(&w, RoomOrder::Role { leg: boss.no, role });
        talk(&mut guests, 55, |_, _| true);
        assert_eq!(hears(&guests), wanted, "{word}");
    }
    bridge();
    w.close(boss);
    talk(&mut guests[..2], 55, |_, _| true);
    assert_eq!(hears(&guests)[..2], [true, true], "two alone again");
    assert!(guests[0].hears(guests[2].hz) < 60.0 && guests[1].hears(guests[2].hz) < 60.0);
    // One stream all the time: numbers without a break.
    for guest in &guests[..2] {
        assert!(guest.packets.iter().all(|packet| packet.ssrc == guest.packets[0].ssrc));
        for pair in guest.packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "{}", guest.leg);
        }
    }
    // The recording has the two all along, each on its side, and nobody else.
    w.order(MediaCommand::StopRecording { call: CALL });
    let over = |event: &MediaEvent| matches!(event, MediaEvent::Recorded { .. });
    let Some(MediaEvent::Recorded { file, .. }) = w.find(PATIENCE, over) else { panic!("a file") };
    assert!(file.duration_ms > 4_500, "{}", file.duration_ms);
    let bytes = std::fs::read(w.folder.path().join("recordings").join(&file.file)).unwrap();
    assert_eq!(bytes[22..24], [2, 0], "two channels");
    let pcm: Vec<i16> =
        bytes[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    for second in [2, 3, 4] {
        for (side, own) in [(0, 0), (1, 1)] {
            let sound: Vec<i16> = pcm.iter().skip(side).step_by(2).copied().collect();
            let sound = &sound[second * 8_000 - 4_000..second * 8_000];
            for (of, guest) in guests.iter().enumerate() {
                let level = amplitude(sound, 8_000, guest.hz);
                assert!(if of == own { level > 1_500.0 } else { level < 60.0 }, "{second} {level}");
            }
        }
    }
}
