//! What a call costs in the endpoint: both legs of a bridged call, from INVITE to the last answer.
//! Run in release with `--ignored --nocapture`; time on shared cores is noise, so it only prints.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement")]

mod world;

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::endpoint::{Endpoint, Event, SessionId, Timers};
use sip::wire::Message;
use world::*;

/// One endpoint, its clock, and the time spent inside it.
struct Bench {
    endpoint: Endpoint,
    now: Instant,
    spent: Duration,
}

#[allow(clippy::disallowed_methods, reason = "it measures time")]
fn clock() -> Instant {
    Instant::now()
}

impl Bench {
    /// Does something in the endpoint and drains it, on the watch.
    fn on_watch<T>(
        &mut self,
        act: impl FnOnce(&mut Endpoint, Instant) -> T,
    ) -> (T, Vec<Bytes>, Vec<Event>) {
        let start = clock();
        let result = act(&mut self.endpoint, self.now);
        let mut sent = Vec::with_capacity(4);
        while let Some(transmit) = self.endpoint.poll_transmit() {
            sent.push(transmit.bytes);
        }
        let mut events = Vec::with_capacity(4);
        while let Some(event) = self.endpoint.poll_event() {
            events.push(event);
        }
        self.spent += start.elapsed();
        (result, sent, events)
    }

    fn receive(&mut self, text: String) -> (Vec<Bytes>, Vec<Event>) {
        let bytes = Bytes::from(text);
        let ((), sent, events) =
            self.on_watch(|endpoint, now| endpoint.handle_message(now, udp(), bytes));
        (sent, events)
    }

    /// Both legs up.
    fn set_up(&mut self, number: usize) -> (SessionId, SessionId, Message) {
        let (_, events) = self.receive(request("INVITE", &format!("i{number}"), "", OFFER));
        let Some(Event::Invite { session: a, .. }) = events.into_iter().next() else { panic!() };
        let wish = invite(udp());
        let (b, sent, _) = self.on_watch(|endpoint, now| endpoint.invite(now, wish));
        let out = Message::parse(sent[0].clone()).unwrap();
        self.receive(answer(&out, 100, "", "", ""));
        self.receive(answer(&out, 180, "t", "", ""));
        self.on_watch(|endpoint, now| endpoint.provisional(now, a, 180, None));
        self.receive(ok(&out, "t"));
        let sdp = Bytes::from_static(ANSWER.as_bytes());
        let ((), sent, _) = self.on_watch(|endpoint, now| endpoint.accept(now, a, sdp, Vec::new()));
        let accepted = Message::parse(sent[0].clone()).unwrap();
        self.receive(within(&accepted, "ACK", 1, &format!("a{number}"), ""));
        (a, b, accepted)
    }

    /// A hangs up, B is hung up.
    fn tear_down(&mut self, number: usize, b: SessionId, accepted: &Message) {
        self.receive(within(accepted, "BYE", 2, &format!("b{number}"), ""));
        let ((), sent, _) = self.on_watch(|endpoint, now| endpoint.bye(now, b, None));
        let bye = Message::parse(sent[0].clone()).unwrap();
        self.receive(answer(&bye, 200, "", "", ""));
    }

    fn tick(&mut self, millis: u64) {
        self.now += ms(millis);
        while self.endpoint.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.on_watch(Endpoint::handle_timeout);
        }
    }
}

/// Microseconds per bridged call while this many others are up: the median of batches, so that what
/// else the machine does counts little.
fn cost(live: usize) -> f64 {
    const BATCHES: usize = 200;
    const BATCH: usize = 25;
    let mut config = config(A, 1);
    // A call a millisecond; transactions live 0.64 s instead of 32 s, as at 20 calls a second.
    config.timers = Timers::scaled(ms(10), ms(80), ms(100));
    let mut bench = Bench { endpoint: Endpoint::new(config), now: epoch(), spent: Duration::ZERO };
    for number in 0..live {
        bench.set_up(number);
    }
    bench.tick(10_000);
    let mut costs = Vec::with_capacity(BATCHES);
    for batch in 0..BATCHES {
        bench.spent = Duration::ZERO;
        for number in 0..BATCH {
            let number = live + batch * BATCH + number;
            let (_, b, accepted) = bench.set_up(number);
            bench.tear_down(number, b, &accepted);
            bench.tick(1);
        }
        costs.push(bench.spent.as_secs_f64() * 1e6 / BATCH as f64);
    }
    costs.sort_by(f64::total_cmp);
    bench.tick(40_000);
    assert_eq!(bench.endpoint.counts().sessions, 2 * live);
    assert_eq!(bench.endpoint.counts().server_transactions, 0);
    costs[BATCHES / 2]
}

#[test]
#[ignore = "a measurement, for release builds"]
fn the_cost_of_a_bridged_call_is_flat() {
    for live in [10, 100, 1000, 2000, 4000, 10_000] {
        println!("{live:>6} calls up: {:.1} us per bridged call", cost(live));
    }
}
