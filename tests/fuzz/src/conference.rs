//! A conference room, and whatever members may send into it.

use std::time::{Duration, Instant};

use audio::codec::{Coding, OCTETS_MAX};
use audio::jitter::{DELAY_MAX, Stamp};
use audio::mix::{FRAME_MS, MemberNo, NARROW, Role, Room, TICK};

/// Hostile sound into a room: whatever comes, in whatever coding, order and time, each member is sent one
/// packet of 20 ms a tick, in what he hears in, and nobody else is; delays stay
/// bounded; and who talks is told once.
///
/// Each step takes an octet that says what happens (3 bits) and to whom (3 bits), one more that is its
/// argument, and, for a packet, its number, its timestamp and its length.
pub fn conference(bytes: &[u8]) {
    let mut world = World::new();
    let mut rest = bytes;
    for _ in 0..STEPS_MAX {
        let [head, argument, tail @ ..] = rest else { break };
        rest = world.step(*head, *argument, tail);
    }
    for _ in 0..3 {
        world.tick();
    }
}

/// Steps taken of one input at most.
const STEPS_MAX: usize = 256;
const CODINGS: [Coding; 4] = [Coding::Pcmu, Coding::Pcma, Coding::G722, Coding::Opus];

struct World {
    room: Room,
    now: Instant,
    /// What each of eight hears in, if he is in.
    members: [Option<Coding>; 8],
    told: [bool; 8],
}

impl World {
    #[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
    fn new() -> World {
        let now = Instant::now();
        let mut room = Room::new(now);
        room.join(0, Coding::Pcmu).expect("there is room");
        let mut members = [None; 8];
        members[0] = Some(Coding::Pcmu);
        World { room, now, members, told: [false; 8] }
    }

    fn step<'a>(&mut self, head: u8, argument: u8, rest: &'a [u8]) -> &'a [u8] {
        let (who, coding) = (usize::from(head >> 3 & 7), CODINGS[usize::from(argument & 3)]);
        let no = who as MemberNo;
        match head & 7 {
            0 => {
                assert!(self.room.join(no, coding).is_ok());
                self.members[who] = Some(coding);
            }
            1 => {
                assert_eq!(self.room.leave(no), self.members[who].take().is_some());
                self.told[who] = false;
            }
            2 => {
                let to = (argument & 4 != 0).then_some(argument >> 3 & 7);
                let role = Role { speaks: argument & 1 != 0, hears: argument & 2 != 0, to };
                self.room.set_role(no, role);
            }
            3 => self.room.key(self.now, no),
            4 => self.room.tape(argument & 1 != 0),
            5 => self.tick(),
            _ => return self.packet(no, coding, argument, rest),
        }
        rest
    }

    fn packet<'a>(
        &mut self,
        no: MemberNo,
        coding: Coding,
        argument: u8,
        rest: &'a [u8],
    ) -> &'a [u8] {
        let [number, timestamp, length, tail @ ..] = rest else { return &[] };
        let (payload, rest) = tail.split_at(tail.len().min(usize::from(*length)));
        // Near to what was, or from anywhere.
        let far = if argument & 4 != 0 { 251 } else { 1 };
        let stamp = Stamp {
            ssrc: u32::from(argument >> 6),
            sequence: u16::from(*number).wrapping_mul(far),
            timestamp: (u32::from(*timestamp) * (coding.clock() / 50))
                .wrapping_mul(u32::from(far).pow(3)),
        };
        // A little later than the last one, or a little earlier than the next tick.
        let now = self.now + Duration::from_millis(u64::from(argument >> 3 & 7));
        if argument & 0x20 != 0 && payload.len() < 3 {
            self.room.noise(now, no, stamp);
        } else {
            self.room.push(now, no, coding, stamp, payload);
        }
        rest
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.room.announce(&[1_000; NARROW]);
        let mut sent = [false; 8];
        let members = self.members;
        self.room.tick(self.now, |no, coding, payload| {
            let who = usize::from(no);
            assert_eq!(members[who], Some(coding), "in what he hears in");
            assert!(!std::mem::replace(&mut sent[who], true), "one packet a tick");
            assert!(!payload.is_empty() && payload.len() <= OCTETS_MAX);
            if coding != Coding::Opus {
                assert_eq!(payload.len(), 8 * FRAME_MS);
            }
        });
        assert_eq!(sent, members.map(|member| member.is_some()));
        for no in 0..8 {
            if let Some(delay) = self.room.delay(no) {
                assert!(delay <= DELAY_MAX, "{delay:?}");
            }
        }
        while let Some(talking) = self.room.poll_talking() {
            let told = &mut self.told[usize::from(talking.member)];
            assert_ne!(*told, talking.talks, "told once");
            *told = talking.talks;
        }
    }
}
