//! What must hold whatever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Everybody who sends. Each has its own SSRC and counts its packets: nobody continues another's.
const PARTIES: [&str; 8] = [
    PHONE,
    "198.51.100.7:4002",
    "198.51.100.7:9999",
    "203.0.113.80:31000",
    "203.0.113.80:31002",
    "203.0.113.9:666",
    "192.0.2.1:4000",
    "10.1.1.1:4000",
];
/// Neither described nor signalling, in either world.
const STRANGERS: std::ops::Range<usize> = 5..8;

#[derive(Clone, Debug)]
enum Step {
    /// Packets of a party, 20 ms apart, `skip` numbers ahead.
    Speak {
        party: usize,
        packets: u8,
        skip: u16,
    },
    Wait {
        ms: u64,
    },
    Hold,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..PARTIES.len(), 1..8_u8, prop_oneof![Just(1_u16), 1..60_000_u16])
            .prop_map(|(party, packets, skip)| Step::Speak { party, packets, skip }),
        2 => (1..15_000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Hold),
        1 => Just(Step::Resume),
    ]
}

/// A world, and an account of who sent what, kept apart from the latch.
struct Played {
    world: World,
    described: &'static str,
    numbers: [u16; PARTIES.len()],
    /// Packets in sequence of each source since its last jump.
    runs: BTreeMap<usize, u8>,
}

impl Played {
    fn new(described: &'static str) -> Played {
        let world = World::behind(described, OUTSIDE);
        Played { world, described, numbers: [100; PARTIES.len()], runs: BTreeMap::new() }
    }

    fn speak(&mut self, party: usize, skip: u16) -> Admission {
        self.numbers[party] = self.numbers[party].wrapping_add(skip);
        let run = self.runs.entry(party).or_default();
        *run = if skip <= 10 { run.saturating_add(1) } else { 1 };
        self.world.packet(PARTIES[party], party as u32, self.numbers[party])
    }

    /// Plays a step and checks what is true of every packet.
    fn play(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait { ms } => self.world.wait(*ms),
            Step::Hold => self.world.expect(self.described, false),
            Step::Resume => self.world.expect(self.described, true),
            Step::Speak { party, packets, skip } => {
                for n in 0..*packets {
                    self.world.wait(20);
                    let before = self.world.latch.locked();
                    let admission = self.speak(*party, if n == 0 { *skip } else { 1 });
                    self.check(*party, before, admission)?;
                }
            }
        }
        Ok(())
    }

    fn check(
        &self,
        party: usize,
        before: Option<SocketAddr>,
        admission: Admission,
    ) -> Result<(), TestCaseError> {
        let source = at(PARTIES[party]);
        let latch = &self.world.latch;
        let through = matches!(admission, Admission::Heard | Admission::Locked);
        if STRANGERS.contains(&party) {
            prop_assert_eq!(admission, Admission::Refused, "a stranger at {}", source);
        }
        if through {
            // Let through is who is sent to, and nobody else.
            prop_assert_eq!(latch.locked(), Some(source));
            prop_assert_eq!(latch.target(), Some(source));
        } else {
            prop_assert_eq!(latch.locked(), before, "a packet that is not heard moves nothing");
        }
        if through && before != Some(source) && at(self.described) != source {
            let run = self.runs.get(&party).copied().unwrap_or_default();
            prop_assert!(run >= LEARN_PACKETS, "{} after {} in sequence", source, run);
        }
        let stands_in = before.is_none_or(|lock| lock.ip() != at(self.described).ip());
        if at(self.described) == source && stands_in {
            prop_assert!(through, "the described address speaks and is not heard");
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn rfc7362_4_nobody_is_heard_or_sent_to_without_having_earned_it(
        private: bool,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut played = Played::new(if private { INSIDE } else { PHONE });
        for step in &steps {
            played.play(step)?;
            let target = played.world.latch.target();
            let known = |ip: IpAddr| ip == at(PHONE).ip() || ip.to_string() == OUTSIDE;
            prop_assert!(target.is_none_or(|to| known(to.ip())), "sent to {:?}", target);
        }
    }

    /// Whatever went before: a far end that speaks from a place that may be its own is heard within
    /// three seconds of the last word of the others.
    #[test]
    fn rfc4961_4_the_far_end_is_heard_within_three_seconds_whatever_went_before(
        private: bool,
        steps in proptest::collection::vec(step(), 0..60),
        attacked: bool,
    ) {
        let described = if private { INSIDE } else { PHONE };
        let mut played = Played::new(described);
        for step in &steps {
            played.play(step)?;
        }
        played.world.expect(described, true);
        let phone = if private { 3 } else { 0 };
        let heard = (0..150_u16).any(|_| {
            played.world.wait(20);
            if attacked {
                for stranger in STRANGERS {
                    played.speak(stranger, 1);
                }
            }
            matches!(played.speak(phone, 1), Admission::Heard | Admission::Locked)
        });
        prop_assert!(heard);
    }
}
