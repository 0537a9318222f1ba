use super::bus::limited;
use super::*;
use crate::codec::{Decoder, Encoder, OCTETS_MAX, SAMPLES_MAX};

const MS: Duration = Duration::from_millis(1);

/// A member's far end: sings a tone, and understands what it is sent.
struct Far {
    no: MemberNo,
    coding: Coding,
    hz: f64,
    peak: f64,
    encoder: Encoder,
    decoder: Decoder,
    sung: usize,
    sequence: u16,
    timestamp: u32,
    heard: Vec<i16>,
    payloads: Vec<Vec<u8>>,
}

impl Far {
    fn new(no: MemberNo, coding: Coding, hz: f64) -> Far {
        Far {
            no,
            coding,
            hz,
            peak: 4_000.0,
            encoder: Encoder::at(coding, ear::rate(coding)).unwrap(),
            decoder: Decoder::at(coding, ear::rate(coding)).unwrap(),
            sung: 0,
            sequence: 65_530,
            timestamp: u32::MAX - 1_000,
            heard: Vec::new(),
            payloads: Vec::new(),
        }
    }

    fn rate(&self) -> f64 {
        f64::from(ear::rate(self.coding))
    }

    fn packet(&mut self) -> (Stamp, Vec<u8>) {
        let step = std::f64::consts::TAU * self.hz / self.rate();
        let count = self.rate() as usize / 50;
        let pcm: Vec<i16> = (self.sung..self.sung + count)
            .map(|n| (self.peak * (step * n as f64).sin()) as i16)
            .collect();
        self.sung += count;
        self.coded(&pcm)
    }

    fn coded(&mut self, pcm: &[i16]) -> (Stamp, Vec<u8>) {
        let mut out = [0; OCTETS_MAX];
        let len = self.encoder.encode(pcm, &mut out).unwrap();
        let stamp = Stamp { ssrc: 7, sequence: self.sequence, timestamp: self.timestamp };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.coding.clock() / 50);
        (stamp, out[..len].to_vec())
    }

    fn hear(&mut self, payload: &[u8]) {
        let mut out = vec![0; SAMPLES_MAX];
        let count = self.decoder.decode(payload, &mut out).unwrap();
        self.heard.extend_from_slice(&out[..count]);
        self.payloads.push(payload.to_vec());
    }

    /// Amplitude of a tone in the last half second of what it heard.
    fn amplitude(&self, hz: f64) -> f64 {
        let sound = &self.heard[self.heard.len() - self.rate() as usize / 2..];
        let omega = std::f64::consts::TAU * hz / self.rate();
        let (mut cos, mut sin) = (0.0, 0.0);
        for (n, sample) in sound.iter().enumerate() {
            cos += f64::from(*sample) * (omega * n as f64).cos();
            sin += f64::from(*sample) * (omega * n as f64).sin();
        }
        2.0 * f64::hypot(cos, sin) / sound.len() as f64
    }

    fn steepest(&self) -> u16 {
        self.heard.windows(2).map(|w| w[1].abs_diff(w[0])).max().unwrap_or(0)
    }
}

/// A room and its far ends, ticked every 20 ms from 7 ms after they speak.
struct World {
    room: Room,
    now: Instant,
    far: Vec<Far>,
}

impl World {
    #[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
    fn new(codings: &[Coding]) -> World {
        let now = Instant::now();
        let mut world = World { room: Room::new(now), now: now + TICK, far: Vec::new() };
        for (no, coding) in codings.iter().enumerate() {
            world.join(no as MemberNo, *coding, 310.0 + 130.0 * no as f64);
        }
        world
    }

    fn join(&mut self, no: MemberNo, coding: Coding, hz: f64) {
        self.room.join(no, coding).unwrap();
        self.far.push(Far::new(no, coding, hz));
    }

    /// `ticks` of 20 ms in which all but the silent speak.
    fn run(&mut self, ticks: usize, silent: &[MemberNo]) {
        for _ in 0..ticks {
            for far in self.far.iter_mut().filter(|far| !silent.contains(&far.no)) {
                let (stamp, payload) = far.packet();
                self.room.push(self.now, far.no, far.coding, stamp, &payload);
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        let far = &mut self.far;
        self.room.tick(self.now + 7 * MS, |no, coding, payload| {
            let far = far.iter_mut().find(|far| far.no == no).unwrap();
            assert_eq!(far.coding, coding);
            far.hear(payload);
        });
        self.now += TICK;
    }

    fn far(&self, no: MemberNo) -> &Far {
        self.far.iter().find(|far| far.no == no).unwrap()
    }
}

#[test]
fn each_hears_all_others_and_not_himself_in_every_coding() {
    use Coding::{G722, Opus, Pcma, Pcmu};
    let mut world = World::new(&[Pcmu, Pcma, G722, Opus, Pcmu, G722, Opus, Pcma]);
    world.run(120, &[]);
    for far in &world.far {
        assert_eq!(far.payloads.len(), 120, "a packet a tick");
        for other in &world.far {
            let amplitude = far.amplitude(other.hz);
            // Opus is told no tone to the decibel.
            let lossy = [far.coding, other.coding].contains(&Opus);
            let least = if lossy { 2_000.0 } else { 3_400.0 };
            if other.no == far.no {
                assert!(amplitude < 160.0, "{} hears himself: {amplitude}", far.no);
            } else {
                assert!(
                    (least..5_000.0).contains(&amplitude),
                    "{} hears {}: {amplitude}",
                    far.no,
                    other.no
                );
            }
        }
    }
}

#[test]
fn one_voice_alone_passes_to_the_bit_where_all_speak_one_law() {
    let mut world = World::new(&[Coding::Pcma, Coding::Pcma, Coding::Pcma]);
    let mut said = Vec::new();
    for _ in 0..60 {
        let far = &mut world.far[0];
        let (stamp, payload) = far.packet();
        said.push(payload.clone());
        world.room.push(world.now, 0, Coding::Pcma, stamp, &payload);
        world.tick();
    }
    for hearer in [1, 2] {
        // The first is held for its delay, and faded in.
        let heard = &world.far(hearer).payloads;
        let from = heard.iter().position(|payload| *payload == said[1]).unwrap();
        assert!((2..=4).contains(&from), "{from} ticks");
        let count = 60 - from;
        assert_eq!(heard[from..], said[1..=count]);
    }
    assert!(world.far(0).payloads.iter().all(|payload| payload.iter().all(|c| c & 0x7f == 0x55)));
}

#[test]
fn sums_are_bent_and_never_wrap() {
    let sums: Vec<i32> = (-200..=200).map(|n| n * 40_000).collect();
    let mut out = vec![0; sums.len()];
    limited(&sums, &mut out);
    assert!(out.windows(2).all(|pair| pair[0] <= pair[1]), "it rises");
    assert!(out.iter().all(|sample| sample.unsigned_abs() <= 32_767));
    let fine: Vec<i32> = (0..60_000).collect();
    let mut out = vec![0; fine.len()];
    limited(&fine, &mut out);
    assert!((0..=26_000).all(|n| i32::from(out[n]) == n as i32), "as it is below the knee");
    assert!(out.windows(2).all(|pair| (0..=1).contains(&(pair[1] - pair[0]))), "without a step");
    // Eight at full scale: what leaves is loud, and no noise of wrapped sums.
    let mut world = World::new(&[Coding::Pcmu; 8]);
    world.far.iter_mut().for_each(|far| far.peak = 32_000.0);
    world.run(60, &[]);
    let top = world.far(0).heard.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(top > Some(30_000));
}

#[test]
fn a_room_hears_as_little_of_two_hundred_quiet_rooms_as_of_one() {
    let mut world = World::new(&[Coding::Pcmu; 200]);
    // Noise of −60 dBov in each.
    world.far.iter_mut().for_each(|far| far.peak = 45.0);
    world.far[9].peak = 8_000.0;
    world.run(30, &[]);
    world.run(30, &[9]);
    assert!(world.far(3).heard[..4_000].iter().any(|sample| sample.unsigned_abs() > 7_000));
    let late = &world.far(3).heard[world.far(3).heard.len() - 160..];
    assert!(late.iter().all(|sample| sample.unsigned_abs() < 16), "{late:?}");
}

#[test]
fn who_talks_is_told_once_and_a_pause_of_a_word_is_none() {
    let mut world = World::new(&[Coding::Pcmu, Coding::G722]);
    let mut news = Vec::new();
    let mut go = |world: &mut World, ticks: usize, silent: &[MemberNo]| {
        for _ in 0..ticks {
            world.run(1, silent);
            while let Some(talking) = world.room.poll_talking() {
                news.push((talking.member, talking.talks));
            }
        }
        std::mem::take(&mut news)
    };
    assert_eq!(go(&mut world, 2, &[1]), [], "a crack is none");
    assert_eq!(go(&mut world, 10, &[1]), [(0, true)]);
    assert_eq!(go(&mut world, 15, &[0, 1]), [], "300 ms");
    assert_eq!(go(&mut world, 10, &[1]), []);
    assert_eq!(go(&mut world, 50, &[0]), [(1, true), (0, false)]);
    world.room.set_role(1, Role { speaks: false, ..Role::FULL });
    assert_eq!(go(&mut world, 5, &[0]), [(1, false)], "who is muted talks to nobody");
}

#[test]
fn muted_and_deaf_are_two_things_and_neither_clicks() {
    let mut world = World::new(&[Coding::Pcmu, Coding::Pcma, Coding::G722]);
    world.run(50, &[]);
    world.room.set_role(0, Role { speaks: false, ..Role::FULL });
    world.room.set_role(2, Role { hears: false, ..Role::FULL });
    world.run(60, &[]);
    assert!(world.far(1).amplitude(310.0) < 40.0, "0 is muted");
    assert!(world.far(0).amplitude(440.0) > 3_400.0, "and hears");
    assert!(world.far(1).amplitude(570.0) > 3_400.0, "2 is heard");
    assert!(world.far(2).amplitude(440.0) < 40.0, "and deaf");
    world.room.set_role(0, Role::FULL);
    world.room.set_role(2, Role::FULL);
    world.run(60, &[]);
    assert!(world.far(1).amplitude(310.0) > 3_400.0 && world.far(2).amplitude(440.0) > 3_400.0);
    // Two tones of 4000 at 570 Hz and 440 Hz rise by no more than 3200 a sample.
    assert!(world.far(1).steepest() < 3_300, "{}", world.far(1).steepest());
}

#[test]
fn who_whispers_is_heard_by_one_alone_whatever_each_speaks() {
    for codings in [
        [Coding::Pcma, Coding::Pcma, Coding::Pcma],
        [Coding::Pcmu, Coding::G722, Coding::Pcma],
        [Coding::G722, Coding::Pcma, Coding::G722],
    ] {
        let mut world = World::new(&codings);
        world.room.tape(true);
        // 2 whispers to 1: all hear 0 and 1, and 1 alone hears 2.
        world.room.set_role(2, Role { to: Some(1), ..Role::FULL });
        world.run(60, &[]);
        assert!(world.far(1).amplitude(570.0) > 3_400.0, "{codings:?}");
        assert!(world.far(0).amplitude(570.0) < 40.0, "{codings:?}");
        assert!(world.far(2).amplitude(570.0) < 40.0, "nor himself");
        for (hearer, hz) in [(0, 440.0), (1, 310.0), (2, 310.0), (2, 440.0)] {
            assert!(world.far(hearer).amplitude(hz) > 3_400.0, "{hearer} {hz}");
        }
        assert!(world.room.mix().iter().any(|sample| *sample != 0));
        // He alone speaks: what is recorded is silent.
        world.run(30, &[0, 1]);
        assert!(world.room.mix().iter().all(|sample| sample.abs() < 50), "nor the recording");
        assert!(world.far(1).amplitude(570.0) > 3_400.0);
        // To nobody who is in, then to nobody at all, then to all.
        world.room.set_role(2, Role { to: Some(9), ..Role::FULL });
        world.run(60, &[]);
        assert!((0..3).all(|no| world.far(no).amplitude(570.0) < 40.0));
        world.room.set_role(2, Role { speaks: false, ..Role::FULL });
        world.run(60, &[]);
        assert!((0..3).all(|no| world.far(no).amplitude(570.0) < 40.0));
        world.room.set_role(2, Role::FULL);
        world.run(60, &[]);
        assert!(world.far(0).amplitude(570.0) > 3_400.0 && world.far(1).amplitude(570.0) > 3_400.0);
        assert!(world.far(2).amplitude(570.0) < 40.0 && world.room.leave(2));
    }
}

#[test]
fn who_comes_and_goes_in_mid_word_makes_no_click() {
    let mut world = World::new(&[Coding::Pcma, Coding::Pcma, Coding::G722]);
    // Down where a fall from the peak is far steeper than the tone itself.
    world.far[0].hz = 200.0;
    world.far[2].hz = 200.0;
    world.run(41, &[1]);
    assert!(world.room.leave(0) && !world.room.leave(0));
    world.far.remove(0);
    world.run(20, &[1]);
    world.join(0, Coding::Pcma, 200.0);
    world.run(37, &[1]);
    world.room.leave(2);
    world.far.pop_if(|far| far.no == 2);
    world.far.retain(|far| far.no != 2);
    world.run(20, &[1]);
    let steepest = world.far(1).steepest();
    // 200 Hz of twice 4000 rises by 1257 a sample; a cut tone falls by thousands.
    assert!(steepest < 1_500, "{steepest}");
    assert_eq!(world.room.len(), 2);
}

#[test]
fn g722_is_handed_over_as_if_he_had_had_an_encoder_of_his_own_all_along() {
    let mut world = World::new(&[Coding::G722, Coding::G722, Coding::Pcmu]);
    // 0 talks and stops; 1 talks all the time. What 2 in G.711 hears has no encoder to hand over.
    let mut shared_again = None;
    for n in 0..700 {
        let silent: &[MemberNo] = if (50..100).contains(&n) { &[2] } else { &[0, 2] };
        world.run(1, silent);
        let apart = world.room.members[0].mouth.apart();
        if n > 150 && !apart && shared_again.is_none() {
            shared_again = Some(n);
        }
    }
    let shared_again = shared_again.expect("it goes back to the shared one");
    // A tone that never pauses is the worst there is for two encoders to agree on.
    assert!((600..650).contains(&shared_again), "{shared_again}");
    // 1's tone in 0's ear: through every change of encoders as steady as it was.
    let heard = &world.far(0).heard[320 * 10..];
    let top = |frame: &[i16]| frame.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    for (n, frame) in heard.chunks_exact(320).enumerate() {
        assert!((3_700..4_300).contains(&top(frame)), "frame {n}: {}", top(frame));
    }
    let steepest = heard.windows(2).map(|w| w[1].abs_diff(w[0])).max().unwrap_or(0);
    assert!(steepest < 900, "{steepest}: 440 Hz of 4000 rises by 691 a sample");
}

#[test]
fn after_a_pause_all_who_listen_share_one_encoder() {
    for coding in [Coding::G722, Coding::Opus] {
        let mut world = World::new(&[coding, coding, Coding::Pcmu]);
        world.run(50, &[1, 2]);
        world.run(150, &[0, 1, 2]);
        world.run(120, &[0, 1]);
        assert!(world.room.members.iter().all(|member| !member.mouth.apart() || member.no == 2));
        let [zero, one] = [0, 1].map(|no| world.far(no).payloads.last().cloned());
        assert_eq!(zero, one, "{coding:?}");
    }
}

#[test]
fn loss_and_jitter_are_made_up_for_and_no_gap_is_filled_twice() {
    let mut world = World::new(&[Coding::Pcmu, Coding::Pcma]);
    let mut seed = 4_u32;
    let mut draw = |most: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % most
    };
    let mut waiting: Vec<(Instant, Stamp, Vec<u8>)> = Vec::new();
    for _ in 0..1_000 {
        let (stamp, payload) = world.far[0].packet();
        if draw(100) >= 3 {
            waiting.push((world.now + draw(40) * MS, stamp, payload));
        }
        waiting.sort_by_key(|(at, ..)| *at);
        let due = waiting.iter().take_while(|(at, ..)| *at <= world.now + 7 * MS).count();
        for (at, stamp, payload) in waiting.drain(..due) {
            world.room.push(at, 0, Coding::Pcmu, stamp, &payload);
        }
        world.tick();
    }
    let heard = &world.far(1).heard;
    assert!(world.far(1).amplitude(310.0) > 3_000.0);
    let quiet = heard[8_000..].chunks_exact(160).filter(|f| talk::power(f) < 1_000_000).count();
    assert!(quiet < 10, "{quiet} of 950 frames are not the tone");
    let delay = world.room.delay(0).unwrap();
    assert!((20 * MS..=80 * MS).contains(&delay), "{delay:?}");
    // What was said last is heard soon: nothing has piled up.
    let member = &world.room.members[0];
    assert!(member.ears.len() == 1);
    let mut late = 0;
    while talk::power(&world.far(1).heard[world.far(1).heard.len() - 160..]) > 10_000 {
        world.tick();
        late += 1;
        assert!(late < 12, "{late} ticks of sound after the last packet");
    }
}

#[test]
fn packets_of_any_length_are_heard_without_gaps() {
    for ms in [10_usize, 20, 30, 40, 60] {
        let mut world = World::new(&[Coding::Pcmu, Coding::Pcmu]);
        let mut said = 0;
        for tick in 0..150 {
            while said + ms <= (tick + 1) * 20 {
                let far = &mut world.far[0];
                let samples: Vec<i16> = (said * 8..(said + ms) * 8)
                    .map(|n| {
                        (4_000.0 * (n as f64 * 310.0 / 8_000.0 * std::f64::consts::TAU).sin())
                            as i16
                    })
                    .collect();
                let mut octets = vec![0; samples.len()];
                crate::g711::encode_ulaw(&samples, &mut octets);
                let (sequence, timestamp) = ((said / ms) as u16, (said * 8) as u32);
                let stamp = Stamp { ssrc: far.no.into(), sequence, timestamp };
                world.room.push(world.now, 0, Coding::Pcmu, stamp, &octets);
                said += ms;
            }
            world.tick();
        }
        let heard = &world.far(1).heard[160 * 12..];
        let steepest = heard.windows(2).map(|w| w[1].abs_diff(w[0])).max().unwrap_or(0);
        assert!(steepest < 1_200, "{ms} ms: {steepest}");
        assert!(world.far(1).amplitude(310.0) > 3_800.0, "{ms} ms");
    }
}

#[test]
fn after_a_pause_that_was_not_sent_nothing_is_later_than_before() {
    let mut world = World::new(&[Coding::Pcmu, Coding::Pcmu]);
    let onset = |world: &mut World| {
        let before = world.far(1).heard.len();
        world.run(15, &[1]);
        let heard = &world.far(1).heard[before..];
        heard.iter().position(|sample| sample.unsigned_abs() > 500).unwrap()
    };
    let first = onset(&mut world);
    for pause in [20, 100, 1_500] {
        world.run(pause, &[0, 1]);
        // Time went on for the speaker, and so did his timestamps.
        let far = &mut world.far[0];
        far.timestamp = far.timestamp.wrapping_add(160 * pause as u32);
        let now = onset(&mut world);
        assert!(now <= first + 160, "{now} samples after {pause} ticks of pause, {first} at first");
    }
    // A key of one second: its packets take numbers, and no sound.
    world.far[0].sequence = world.far[0].sequence.wrapping_add(23);
    world.far[0].timestamp = world.far[0].timestamp.wrapping_add(160 * 50);
    for _ in 0..50 {
        world.room.key(world.now, 0);
        world.tick();
    }
    let now = onset(&mut world);
    assert!(now <= first + 320, "{now} samples after a key, {first} at first");
}

#[test]
fn another_source_or_a_jump_goes_on_within_a_few_frames() {
    for coding in [Coding::Pcmu, Coding::G722, Coding::Opus] {
        let mut world = World::new(&[coding, Coding::Pcma]);
        world.run(50, &[1]);
        let far = &mut world.far[0];
        far.timestamp = far.timestamp.wrapping_add(1 << 30);
        far.sequence = far.sequence.wrapping_add(20_000);
        world.run(50, &[1]);
        let heard = &world.far(1).heard;
        let frames = heard[160 * 50..].chunks_exact(160);
        let missing = frames.filter(|frame| talk::power(frame) < 1_000_000).count();
        assert!(missing <= 4, "{coding:?}: {missing} frames");
        assert!(world.far(1).amplitude(310.0) > 2_500.0, "{coding:?}");
        assert_eq!(world.room.members[0].ears.len(), 1);
    }
}

#[test]
fn a_member_may_change_his_coding_and_memory_stays_bounded() {
    let mut world = World::new(&[Coding::Pcmu, Coding::Pcma]);
    for coding in [Coding::G722, Coding::Opus, Coding::Pcmu, Coding::Pcma, Coding::G722] {
        world.far[0] = Far { sequence: 500, ..Far::new(0, coding, 310.0) };
        world.room.join(0, coding).unwrap();
        world.run(60, &[1]);
        assert!(world.far(1).amplitude(310.0) > 2_500.0, "{coding:?}");
    }
    assert_eq!(world.room.members[0].ears.len(), 4);
    assert_eq!(world.room.commons.len(), 2, "G.722 and A-law");
}

#[test]
fn announcements_are_heard_by_all_and_the_tape_hears_everything() {
    let mut world = World::new(&[Coding::Pcmu, Coding::G722, Coding::Opus]);
    world.room.tape(true);
    let mut tape = Vec::new();
    for n in 0..100_usize {
        let frame = std::array::from_fn(|i| {
            let turn = (n * NARROW + i) as f64 * 900.0 / 8_000.0 * std::f64::consts::TAU;
            (4_000.0 * turn.sin()) as i16
        });
        world.room.announce(&frame);
        world.run(1, &[1, 2]);
        tape.extend_from_slice(world.room.mix());
    }
    for far in &world.far {
        assert!(far.amplitude(900.0) > 2_500.0, "{}", far.no);
    }
    let mut ear = Far::new(9, Coding::Pcmu, 0.0);
    ear.heard = tape;
    assert!(ear.amplitude(900.0) > 3_800.0 && ear.amplitude(310.0) > 3_800.0);
}

#[test]
fn a_room_has_a_named_number_of_places() {
    let mut world = World::new(&[]);
    for no in 0..MEMBERS_MAX {
        assert_eq!(world.room.join(no as MemberNo, Coding::Pcmu), Ok(()));
    }
    assert_eq!(world.room.join(u8::MAX, Coding::Pcmu), Err(Full));
    assert_eq!(world.room.join(3, Coding::Pcma), Ok(()), "who is in stays in");
    assert!(world.room.leave(7) && !world.room.holds(7) && world.room.holds(249));
    assert_eq!(world.room.join(u8::MAX, Coding::Pcmu), Ok(()));
}
