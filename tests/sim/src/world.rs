//! The world: a queue of happenings in virtual time, a switch that may die, and everything around it.

#![allow(clippy::print_stdout, reason = "the ladder of a failing day")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{Command, Effect, Engine, EngineConfig, Reply};
use facts::media::MediaEvent;
use facts::{CallId, Micros, Now, Placed, Refusal, UnixMillis};
use sip::endpoint::{Credentials, EndpointConfig, Flow, Listener, SessionId, Transport};
use sip::wire::{NameAddr, Uri};

use crate::audit;
use crate::far::{Act, Dial, Far};
use crate::media::Media;
use crate::net::{Dice, Weather};
use crate::settings::{self, CARRIER_A, CARRIER_B, CARRIER_C, DESK, PHONE, SWITCH};
use crate::store::{Done, Store, Work};

/// What kind of day it is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Replays exactly.
    pub seed: u64,
    /// Calls to place.
    pub calls: u32,
    /// Over how long.
    pub over: Duration,
    /// How often the process dies meanwhile.
    pub crashes: u32,
    /// What the merchant paid in.
    pub paid_in: Micros,
    /// Calls at one time at most.
    pub max_calls: Option<u32>,
    /// Whether the network misbehaves.
    pub stormy: bool,
    /// Calls that carriers and phones make.
    pub dials: u32,
    /// Whether the switch is drained at the end.
    pub drain: bool,
}

#[derive(Debug)]
enum Happening {
    Arrive { from: SocketAddr, to: SocketAddr, bytes: Bytes },
    Store { life: u32, work: Box<Work> },
    Reply { life: u32, reply: Box<Reply> },
    Media { life: u32, event: MediaEvent },
    Act { far: usize, session: SessionId, act: Act },
    Place { n: u32 },
    Dial { n: u32 },
    Drain,
    Crash,
    Start,
}

/// Everything.
pub struct World {
    plan: Plan,
    dice: Dice,
    weather: Weather,
    epoch: Now,
    elapsed: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    order: u64,
    engine: Option<Engine>,
    life: u32,
    /// Survives the process.
    pub store: Store,
    /// Dies with the process.
    pub media: Media,
    /// Carriers and phones.
    pub fars: Vec<Far>,
    /// When each call was settled; an entry goes once its legs were seen to be down.
    pub settled_at: BTreeMap<CallId, Duration>,
    first_settled: BTreeMap<CallId, Duration>,
    crashes_at: Vec<Duration>,
    /// When the switch first accepted or acknowledged each dialog, by Call-ID.
    agreed_at: BTreeMap<String, Duration>,
    store_busy_until: Duration,
    answers: BTreeMap<u64, Result<Placed, Refusal>>,
    /// The switch said that no call is left.
    pub drained: bool,
    /// Effects that the shell forgets, by the first word of their debug text; to see whether the
    /// auditor finds it.
    pub forgets: Option<&'static str>,
    /// Requests of the switch that the network never delivers, by method.
    pub swallows: Option<&'static str>,
    /// Print every message as it is sent.
    pub ladder: bool,
    /// Steps taken.
    pub steps: u64,
}

/// Wall clock at the start of every world: 2026-01-01T00:00:00Z.
const WALL: UnixMillis = UnixMillis(1_767_225_600_000);
/// After the last call the world gets this long to come to rest.
const REST: Duration = Duration::from_secs(1_500);
/// What the switch hands to its store is written within this time.
const UNWRITTEN: Duration = Duration::from_millis(50);
/// No world takes more steps: beyond it something spins.
const STEPS_MAX: u64 = 3_000_000;

impl World {
    /// A fresh world.
    #[must_use]
    pub fn new(plan: Plan) -> World {
        let mut dice = Dice::new(plan.seed);
        let weather = if plan.stormy { Weather::roll(&mut dice) } else { Weather::CALM };
        let fars = [CARRIER_A, CARRIER_B, CARRIER_C, PHONE, DESK]
            .map(|at| Far::new(settings::address(at), dice.seed()))
            .into();
        let mut world = World {
            plan,
            weather,
            epoch: Now { mono: Instant::now(), wall: WALL },
            elapsed: Duration::ZERO,
            queue: BTreeMap::new(),
            order: 0,
            engine: None,
            life: 0,
            store: Store::new(plan.paid_in),
            media: Media::default(),
            fars,
            settled_at: BTreeMap::new(),
            first_settled: BTreeMap::new(),
            crashes_at: Vec::new(),
            agreed_at: BTreeMap::new(),
            store_busy_until: Duration::ZERO,
            answers: BTreeMap::new(),
            drained: false,
            forgets: None,
            swallows: None,
            ladder: std::env::var_os("SIM_LADDER").is_some(),
            steps: 0,
            dice,
        };
        for binding in settings::bindings(WALL + Duration::from_secs(86_400)) {
            world.store.perform(Work::SaveBinding(Box::new(binding)));
        }
        world.start();
        for n in 0..plan.calls {
            let at = world.dice.between(Duration::ZERO, plan.over);
            world.later(at, Happening::Place { n });
        }
        for n in 0..plan.dials {
            let at = world.dice.between(Duration::ZERO, plan.over);
            world.later(at, Happening::Dial { n });
        }
        if plan.drain {
            world.later(plan.over, Happening::Drain);
        }
        for _ in 0..plan.crashes {
            let at = world.dice.between(Duration::from_secs(1), plan.over);
            world.later(at, Happening::Crash);
        }
        world
    }

    /// Runs until everything came to rest, auditing each step.
    ///
    /// # Panics
    /// When an audit fails, or the world never rests. The message names the seed.
    pub fn run(&mut self) {
        let end = self.plan.over + REST;
        while self.step(end) {
            self.steps += 1;
            assert!(self.steps < STEPS_MAX, "seed {} spins", self.plan.seed);
            audit::step(self);
        }
        audit::rest(self);
    }

    /// The switch, while it lives.
    #[must_use]
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether the process died just before a call was settled, or within 33 s after it: its last
    /// messages may have been lost and nobody was there to repeat them.
    #[must_use]
    pub fn died_telling(&self, settled: Duration) -> bool {
        let (before, after) = (Duration::from_millis(250), Duration::from_secs(33));
        self.crashes_at.iter().any(|crash| *crash + before >= settled && *crash <= settled + after)
    }

    /// Whether the process died before it can have written down that this dialog was agreed on.
    #[must_use]
    pub fn died_agreeing(&self, dialog: &str) -> bool {
        let agreed = self.agreed_at.get(dialog);
        agreed.is_some_and(|at| self.crashes_at.iter().any(|c| c >= at && *c <= *at + UNWRITTEN))
    }

    /// Whether the switch is drained at the end of the day.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.plan.drain
    }

    /// Whether the process died while the end of a call of this dialog may still have had to be told.
    #[must_use]
    pub fn settled_and_crashed(&self, dialog: &str) -> bool {
        self.store
            .records
            .values()
            .filter(|facts| facts.legs.iter().any(|leg| leg.sip_call_id == dialog))
            .filter_map(|facts| self.first_settled.get(&facts.call))
            .any(|settled| self.died_telling(*settled))
    }

    /// Whether the process ever died.
    #[must_use]
    pub fn crashed(&self) -> bool {
        !self.crashes_at.is_empty()
    }

    /// Calls whose merchant was told that they were accepted.
    #[must_use]
    pub fn accepted(&self) -> BTreeSet<CallId> {
        self.answers.values().flatten().map(|placed| placed.call).collect()
    }

    fn now(&self) -> Now {
        self.epoch.after(self.elapsed)
    }

    fn later(&mut self, after: Duration, what: Happening) {
        self.order += 1;
        self.queue.insert((self.elapsed + after, self.order), what);
    }

    /// One step; false when nothing is left to happen before `end`.
    fn step(&mut self, end: Duration) -> bool {
        let mono = self.epoch.mono;
        let since = |at: Instant| at.saturating_duration_since(mono);
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let engine = self.engine.as_ref().and_then(Engine::poll_timeout).map(since);
        let fars: Vec<Option<Duration>> =
            self.fars.iter().map(|f| f.timeout().map(since)).collect();
        let next = fars.iter().copied().chain([queued, engine]).flatten().min();
        let Some(next) = next.filter(|at| *at <= end) else { return false };
        self.elapsed = self.elapsed.max(next);
        if queued == Some(next) {
            if let Some((_, what)) = self.queue.pop_first() {
                self.happen(what);
            }
        } else if engine == Some(next) {
            let now = self.now();
            if let Some(engine) = self.engine.as_mut() {
                engine.handle_timeout(now);
            }
        } else if let Some(far) = fars.iter().position(|at| *at == Some(next)) {
            let now = self.now().mono;
            self.fars[far].handle_timeout(now, &mut self.dice);
        }
        self.drain();
        true
    }

    fn happen(&mut self, what: Happening) {
        let now = self.now();
        match what {
            Happening::Arrive { from, to, bytes } => {
                if to == settings::address(SWITCH) {
                    if let Some(engine) = self.engine.as_mut() {
                        engine.handle_message(now, Flow::udp(to, from), bytes);
                    }
                } else if let Some(far) = self.fars.iter_mut().find(|far| far.at == to) {
                    far.handle(now.mono, from, bytes, &mut self.dice);
                }
            }
            Happening::Store { life, work } => self.perform(life, *work),
            Happening::Reply { life, reply } => {
                if life == self.life
                    && let Some(engine) = self.engine.as_mut()
                {
                    engine.handle_reply(now, *reply);
                }
            }
            Happening::Media { life, event } => {
                if life == self.life
                    && let Some(engine) = self.engine.as_mut()
                {
                    engine.handle_media(now, event);
                }
            }
            Happening::Act { far, session, act } => {
                self.fars[far].act(now.mono, session, act, &mut self.dice);
            }
            Happening::Place { n } => self.place(n),
            Happening::Dial { n } => self.dial(n),
            Happening::Drain => match self.engine.as_mut() {
                Some(engine) => {
                    let grace = Duration::from_secs(20);
                    engine.handle_command(now, Command::Drain { grace });
                }
                None => self.later(Duration::from_secs(1), Happening::Drain),
            },
            Happening::Crash => self.crash(),
            Happening::Start => self.start(),
        }
    }

    fn place(&mut self, n: u32) {
        let now = self.now();
        let ring = self.dice.between(Duration::from_secs(10), Duration::from_secs(40));
        let (phone, record) = (n.is_multiple_of(3), n.is_multiple_of(2));
        let Some(engine) = self.engine.as_mut() else {
            // A merchant repeats what was not answered.
            self.later(Duration::from_secs(3), Happening::Place { n });
            return;
        };
        let command = Box::new(settings::command(n, phone, record, ring));
        let token = u64::from(self.life) << 32 | u64::from(n);
        engine.handle_command(now, Command::Place { token, command });
    }

    /// A person somewhere dials: a mobile the office, or the office a mobile.
    fn dial(&mut self, n: u32) {
        let (mono, switch) = (self.now().mono, settings::address(SWITCH));
        let office = n.is_multiple_of(2);
        let (caller, uri, from) = if office {
            let from = format!("<sip:{}@{}>", settings::EXTENSION, settings::REALM);
            (PHONE, format!("sip:+86139{n:08}@{}", settings::REALM), from)
        } else {
            let from = format!("<sip:+86138{n:08}@{CARRIER_A}>");
            (CARRIER_A, format!("sip:+{}@{SWITCH}", settings::DIRECT), from)
        };
        let (Ok(uri), Some(from)) = (Uri::parse(&uri), NameAddr::parse(from.as_bytes())) else {
            unreachable!("both are written here");
        };
        let credentials = office.then(|| Credentials {
            realm: Some(settings::REALM.into()),
            username: settings::EXTENSION.into(),
            password: settings::PASSWORD.into(),
        });
        let caller = settings::address(caller);
        if let Some(far) = self.fars.iter_mut().find(|far| far.at == caller) {
            far.dial(mono, Dial { to: switch, uri, from, credentials }, &mut self.dice);
        }
    }

    fn perform(&mut self, life: u32, work: Work) {
        let done = self.store.perform(work);
        let reply = match done {
            Done::Authorized(call, answer) => Reply::Authorized { call, answer },
            Done::Abandoned(call) => Reply::AuthorizeFailed { call },
            Done::Extended(leg, step, answer) => Reply::Extended { leg, step, answer },
            Done::Settled(call) => {
                self.settled_at.entry(call).or_insert(self.elapsed);
                self.first_settled.entry(call).or_insert(self.elapsed);
                Reply::Settled { call }
            }
            Done::Journaled(leg, seq) => Reply::Journaled { leg, seq },
            Done::Nothing => return,
        };
        let delay = self.dice.between(Duration::from_micros(200), Duration::from_millis(3));
        self.later(delay, Happening::Reply { life, reply: Box::new(reply) });
    }

    fn crash(&mut self) {
        if self.engine.take().is_none() {
            return;
        }
        self.crashes_at.push(self.elapsed);
        if self.ladder {
            println!("{:?} crash", self.elapsed);
        }
        self.life += 1;
        self.media = Media::default();
        // What the process had handed to its database is committed up to some point, in order.
        let mut survives = true;
        let mut kept = BTreeMap::new();
        for (key, what) in std::mem::take(&mut self.queue) {
            match what {
                Happening::Store { .. } => {
                    survives = survives && self.dice.chance(500);
                    if survives {
                        kept.insert(key, what);
                    }
                }
                Happening::Reply { .. } | Happening::Media { .. } => {}
                other => {
                    kept.insert(key, other);
                }
            }
        }
        self.queue = kept;
        let down = self.dice.between(Duration::from_millis(500), Duration::from_secs(5));
        self.later(down, Happening::Start);
    }

    fn start(&mut self) {
        let at = settings::address(SWITCH);
        let config = EngineConfig {
            sip: EndpointConfig {
                listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
                seed: self.dice.seed(),
                ..EndpointConfig::default()
            },
            secret: self.dice.seed(),
            silence: Some(Duration::from_secs(20)),
            ..EngineConfig::default()
        };
        let now = self.now();
        let snapshot = Arc::new(settings::snapshot(self.plan.max_calls));
        let mut engine = Engine::new(config, snapshot, now);
        let bindings = self.store.bindings.values().cloned().collect();
        engine.handle_reply(now, Reply::Bindings(bindings));
        for open in self.store.open_calls() {
            engine.handle_command(now, Command::Recover(Box::new(open)));
        }
        self.engine = Some(engine);
    }

    /// Carries out everything that anybody wants, until nobody wants anything.
    fn drain(&mut self) {
        while let Some(effect) = self.engine.as_mut().and_then(Engine::poll_effect) {
            self.effect(effect);
        }
        for far in 0..self.fars.len() {
            while let Some(transmit) = self.fars[far].transmit() {
                self.send(transmit.flow.local, transmit.flow.remote, &transmit.bytes);
            }
            for (after, session, act) in std::mem::take(&mut self.fars[far].acts) {
                self.later(after, Happening::Act { far, session, act });
            }
        }
        let vanished: BTreeSet<SocketAddr> =
            self.fars.iter().flat_map(|far| far.vanished.iter().copied()).collect();
        for (after, event) in self.media.fallen_silent(&vanished) {
            let life = self.life;
            self.later(after, Happening::Media { life, event });
        }
    }

    fn effect(&mut self, effect: Effect) {
        let life = self.life;
        if self.forgets.is_some_and(|what| format!("{effect:?}").starts_with(what)) {
            return;
        }
        let work = match effect {
            Effect::Transmit(transmit) => {
                return self.send(transmit.flow.local, transmit.flow.remote, &transmit.bytes);
            }
            Effect::Media(order) => {
                for (after, event) in self.media.order(order, &mut self.dice) {
                    self.later(after, Happening::Media { life, event });
                }
                return;
            }
            Effect::Answer { token, answer } => {
                if let call::Answer::Placed(result) = answer {
                    self.answers.insert(token, result);
                }
                return;
            }
            Effect::Drained => {
                self.drained = true;
                return;
            }
            Effect::TurnedAway(_) => return,
            Effect::Authorize(ask) => Work::Authorize(ask),
            Effect::Abandon { call, .. } => Work::Abandon(call),
            Effect::Extend(ask) => Work::Extend(ask),
            Effect::Journal { entry, seq } => Work::Journal(entry, seq),
            Effect::Alive { calls, at } => Work::Alive(calls, at),
            Effect::Notify(change) => Work::Notify(change),
            Effect::Settle(facts) => Work::Settle(facts),
            Effect::SaveBinding(binding) => Work::SaveBinding(binding),
            Effect::DropBinding { user, key } => Work::DropBinding(user, key),
        };
        // One writer: work is done in the order it was given.
        let took = self.dice.between(Duration::from_micros(100), Duration::from_millis(4));
        self.store_busy_until = self.store_busy_until.max(self.elapsed) + took;
        let after = self.store_busy_until - self.elapsed;
        self.later(after, Happening::Store { life, work: Box::new(work) });
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        if self.ladder {
            let text = String::from_utf8_lossy(bytes);
            let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            let (id, cseq) = (line("Call-ID"), line("CSeq"));
            println!("{:?} {from} > {to} {} {id} {cseq}", self.elapsed, line(""));
        }
        let ours = from == settings::address(SWITCH);
        if ours && (bytes.starts_with(b"ACK ") || bytes.starts_with(b"SIP/2.0 200")) {
            let text = String::from_utf8_lossy(bytes);
            let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(cseq)) = (line("Call-ID:"), line("CSeq:"))
                && (cseq.ends_with("ACK") || cseq.ends_with("INVITE"))
            {
                self.agreed_at.entry(id.to_owned()).or_insert(self.elapsed);
            }
        }
        if ours && self.swallows.is_some_and(|method| bytes.starts_with(method.as_bytes())) {
            return;
        }
        // Once the last call was placed the sky clears: the world must come to rest by itself.
        let weather = if self.elapsed > self.plan.over { Weather::CALM } else { self.weather };
        for after in weather.deliveries(&mut self.dice) {
            self.later(after, Happening::Arrive { from, to, bytes: bytes.clone() });
        }
    }
}
