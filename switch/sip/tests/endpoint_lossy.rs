//! Two endpoints over a network that loses, doubles and reorders, driven by users who do anything
//! at any time. Whatever happened, in the end nothing is left, and each session had one last event.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::{Answer, Event, Flow, RequestId, SessionId};
use sip::wire::Reason;
use world::*;

/// Longest way through the network, in milliseconds.
const DELAY_MAX: u64 = 1500;

struct Users {
    random: ChaCha8Rng,
    /// Sessions that had no last event yet, at each end.
    open: [BTreeSet<SessionId>; 2],
    over: [BTreeSet<SessionId>; 2],
    requests: [Vec<RequestId>; 2],
    /// How often an INVITE of this Call-ID was told at each end.
    told: [BTreeMap<String, usize>; 2],
    seen: BTreeMap<&'static str, usize>,
}

impl Users {
    fn new(seed: u64) -> Users {
        Users {
            random: ChaCha8Rng::seed_from_u64(seed),
            open: Default::default(),
            over: Default::default(),
            requests: Default::default(),
            told: Default::default(),
            seen: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    /// The auditor: reads what the endpoints told and checks it against what they told before.
    fn read(&mut self, world: &mut World) {
        for end in 0..2 {
            for event in std::mem::take(&mut world.events[end]) {
                self.audit(end, &event);
            }
        }
    }

    fn audit(&mut self, end: usize, event: &Event) {
        let (session, last, kind) = match event {
            Event::Invite { session, request, .. } => {
                let told = self.told[end].entry(request.call_id().unwrap().to_owned()).or_default();
                *told += 1;
                assert_eq!(*told, 1, "a copy made a second leg");
                assert!(self.open[end].insert(*session));
                (session, false, "invite")
            }
            Event::Request { id, .. } => {
                self.requests[end].push(*id);
                return;
            }
            Event::Response { .. } | Event::Relief { .. } => return,
            Event::Failed { session, crossed: true, .. } => (session, true, "crossed"),
            Event::Failed { session, .. } => (session, true, "failed"),
            Event::Cancelled { session, .. } => (session, true, "cancelled"),
            Event::Ended { session, .. } => (session, true, "ended"),
            Event::ByeDone { session } => (session, true, "bye done"),
            Event::Trying { session } => (session, false, "trying"),
            Event::Again { .. } | Event::Gone { .. } => unreachable!("nobody here is careful"),
            Event::Progress { session, .. } => (session, false, "progress"),
            Event::Answered { session, .. } => (session, false, "answered"),
            Event::Accepted { session } => (session, false, "accepted"),
            Event::Acked { session, .. } => (session, false, "acked"),
            Event::Reinvite { session, .. } => (session, false, "reinvite"),
            Event::ReinviteAnswered { session, .. } => (session, false, "reinvite answered"),
            Event::ReinviteFailed { session, .. } => (session, false, "reinvite failed"),
            Event::Pracked { session, .. } => (session, false, "pracked"),
            Event::Refresh { session } => (session, false, "refresh"),
            Event::Refreshed { session } => (session, false, "refreshed"),
            Event::Info { session, .. } => (session, false, "info"),
            Event::Refer { session, .. } => (session, false, "refer"),
            Event::Message { session, .. } => (session, false, "message"),
            Event::Subscribe { .. } | Event::Notified { .. } | Event::Unsubscribed { .. } => {
                unreachable!("nobody here subscribes")
            }
        };
        *self.seen.entry(kind).or_default() += 1;
        assert!(!self.over[end].contains(session), "{event:?} after the last event");
        assert!(self.open[end].contains(session), "{event:?} of an unknown session");
        if last {
            self.close(end, *session);
        }
    }

    fn close(&mut self, end: usize, session: SessionId) {
        self.open[end].remove(&session);
        self.over[end].insert(session);
    }

    fn act(&mut self, world: &mut World) {
        let end = usize::from(self.below(3) == 0);
        let now = world.now;
        if self.below(5) == 0 {
            let mut wish = invite(if self.below(4) == 0 { tcp(None) } else { udp() });
            if end == 1 {
                wish.flow.local = address(B);
                wish.flow.remote = address(A);
            }
            if self.below(6) == 0 {
                wish.sdp = Bytes::new();
            }
            let session = world.ends[end].invite(now, wish);
            self.open[end].insert(session);
            return;
        }
        if self.below(40) == 0 {
            let flow = match (self.below(2), end) {
                (0, 0) => udp(),
                (0, _) => Flow::udp(address(B), address(A)),
                _ => tcp(None),
            };
            world.ends[end].handle_flow_error(now, flow);
            return;
        }
        let (endpoint, sdp) = (&mut world.ends[end], Bytes::from_static(ANSWER.as_bytes()));
        if let Some(id) = self.requests[end].pop() {
            endpoint.respond(now, id, Answer { code: 200, ..Answer::default() });
        }
        let count = self.open[end].len() as u64;
        if count == 0 {
            return;
        }
        let chosen = (self.random.next_u64() % count) as usize;
        let session = *self.open[end].iter().nth(chosen).unwrap();
        match self.random.next_u64() % 16 {
            0..=2 => endpoint.provisional(now, session, 180, None),
            3 => endpoint.provisional(now, session, 183, Some(sdp)),
            4..=7 => {
                endpoint.accept(now, session, sdp.clone(), Vec::new());
                endpoint.accept_reinvite(now, session, sdp);
            }
            8 => {
                let before = endpoint.counts().sessions;
                endpoint.reject(now, session, 486, Vec::new());
                if endpoint.counts().sessions < before {
                    self.close(end, session);
                }
            }
            9 => endpoint.cancel(now, session, Some(Reason::sip(487, "x"))),
            10 => endpoint.bye(now, session, None),
            11 | 12 => {
                endpoint.reinvite(now, session, sdp);
            }
            13 => endpoint.reject_reinvite(now, session, 488),
            _ => endpoint.acknowledge(session, sdp),
        }
    }
}

/// One life of the world. Returns how often each thing happened.
fn live(seed: u64, loss_percent: u64, steps: usize) -> BTreeMap<&'static str, usize> {
    let mut world = World::new();
    let mut users = Users::new(seed);
    let mut network = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    world.fate = Box::new(move |_, message| {
        let mut below = |bound: u64| network.next_u64() % bound;
        if message.via().is_ok_and(|via| via.transport == "TCP") {
            return vec![ms(20)];
        }
        let copies = match below(100) {
            roll if roll < loss_percent => 0,
            roll if roll >= 95 => 2,
            _ => 1,
        };
        (0..copies).map(|_| ms(below(DELAY_MAX))).collect()
    });
    for _ in 0..steps {
        users.act(&mut world);
        world.drain();
        users.read(&mut world);
        let pause = match users.below(10) {
            0 => 20_000,
            1..=4 => 2_000,
            _ => 200,
        };
        let end = world.now + ms(users.below(pause));
        while world.step(end) {
            users.read(&mut world);
        }
    }
    // Everyone hangs up, again and again: INVITEs may still be on their way.
    for _ in 0..40 {
        for end in 0..2 {
            for session in users.open[end].clone() {
                world.ends[end].bye(world.now, session, None);
            }
        }
        world.drain();
        let end = world.now + ms(20_000);
        while world.step(end) {
            users.read(&mut world);
        }
        users.read(&mut world);
    }
    assert_eq!(users.open, [BTreeSet::new(), BTreeSet::new()], "no session without an end");
    world.assert_empty();
    users.seen
}

#[test]
fn two_hundred_lives_over_a_lossy_network_leave_nothing_and_reach_every_state() {
    let mut seen = BTreeMap::new();
    for seed in 0..200 {
        for (kind, count) in live(seed, seed % 31, 40) {
            *seen.entry(kind).or_insert(0) += count;
        }
    }
    for kind in [
        "invite",
        "progress",
        "answered",
        "acked",
        "failed",
        "crossed",
        "cancelled",
        "ended",
        "bye done",
        "reinvite",
        "reinvite answered",
        "reinvite failed",
    ] {
        assert!(seen.contains_key(kind), "{kind} never happened: {seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_over_any_network_leaves_nothing(
        seed in any::<u64>(),
        loss in 0..31_u64,
        steps in 1..80_usize,
    ) {
        live(seed, loss, steps);
    }
}

#[test]
fn case_44_a_thousand_finished_calls_leave_no_memory_behind() {
    let mut world = World::new();
    for _ in 0..1000 {
        let caller = world.call();
        world.run(30);
        let callee = world.called();
        world.events = Default::default();
        world.ends[1].accept(world.now, callee, Bytes::from_static(ANSWER.as_bytes()), Vec::new());
        world.drain();
        world.run(30);
        world.ends[0].bye(world.now, caller, None);
        world.drain();
        world.run(30);
    }
    world.run(40_000);
    world.assert_empty();
}
