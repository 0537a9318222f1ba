//! The world: a queue of happenings in virtual time, a switch that may die, and everything around it.

#![allow(clippy::print_stdout, reason = "the ladder of a failing day")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{Command, Consent, Effect, Engine, EngineConfig, Hearing, Messages, Reinvite, Reply};
use facts::media::MediaEvent;
use facts::recognition::Release;
use facts::settings::Snapshot;
use facts::{CallId, Micros, Now, Placed, Refusal, UnixMillis};
use sip::endpoint::{Credentials, EndpointConfig, Flow, Listener, SessionId, Transport};
use sip::wire::{NameAddr, Uri};

use crate::audit;
use crate::far::{Act, Dial, Far, Skills};
use crate::media::Media;
use crate::names;
use crate::net::{Dice, Weather};
use crate::settings::{self, CARRIER_A, CARRIER_B, CARRIER_C, DESK, PHONE, SWITCH, WATCHER};
use crate::store::{Store, Work};
use crate::team::{self, Offers};
use crate::watcher::Watcher;
use crate::wire::{At, Wire};

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
    /// Whether the store fails, is slow and goes away.
    pub shaky: bool,
    /// Crashes at the worst moments: just when a message left that commits somebody.
    pub aimed: u32,
    /// What the far ends can do; when they agree to offers, the switch relays them from leg to leg.
    pub skills: Skills,
    /// Whether the switch registers at its carriers and watches them.
    pub watched: bool,
}

#[derive(Debug)]
pub(crate) enum Happening {
    Arrive {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    Store {
        life: u32,
        asked: Duration,
        work: Box<Work>,
    },
    Reply {
        life: u32,
        reply: Box<Reply>,
    },
    Media {
        life: u32,
        event: MediaEvent,
    },
    Act {
        far: usize,
        session: SessionId,
        act: Act,
    },
    Place {
        n: u32,
    },
    Dial {
        n: u32,
    },
    /// Something has become of the office's mailbox.
    Mail {
        new: u32,
    },
    /// Somebody does something to a call that is up.
    Control {
        n: u32,
    },
    Drain,
    /// The switch is told to leave its carriers: nothing comes to rest that asks for ever.
    Leave,
    Away,
    Crash,
    Exit {
        life: u32,
    },
    Start,
}

/// Everything.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    /// What the network does to datagrams; a stormy plan draws it.
    pub weather: Weather,
    epoch: Now,
    pub(crate) elapsed: Duration,
    pub(crate) queue: BTreeMap<(Duration, u64), Happening>,
    order: u64,
    pub(crate) engine: Option<Engine>,
    pub(crate) life: u32,
    /// Survives the process.
    pub store: Store,
    /// Dies with the process.
    pub media: Media,
    /// Carriers and phones.
    pub fars: Vec<Far>,
    /// Who watches the office, on days on which somebody does.
    pub watcher: Option<Watcher>,
    /// What the network does to its datagrams.
    watch_dice: Dice,
    /// Until when the process has granted each subscription, by Call-ID and CSeq.
    pub granted: BTreeMap<(String, u32), Duration>,
    /// The auditor believes that subscriptions are granted for half as long; to see whether it finds one that
    /// outlives its time.
    pub doubts: bool,
    /// When each call was settled; an entry goes once its legs were seen to be down.
    pub settled_at: BTreeMap<CallId, Duration>,
    /// What was heard of carriers that are watched, and how often.
    pub news: BTreeMap<String, u32>,
    /// How often the process died.
    pub crashes: u32,
    /// How often the process ended in order.
    pub exits: u32,
    /// Units of work that the store did not do, or did without saying so.
    pub failures: u32,
    /// When the present process started.
    pub started_at: Duration,
    /// Crashes that are still to come at the worst moments.
    pub(crate) aimed: u32,
    /// Dialogs by Call-ID that the switch went on with although a store that was away had not written
    /// them down in time.
    pub unwritten: BTreeSet<String>,
    /// What was sent that commits somebody: in which life, what, Call-ID.
    pub(crate) committed: BTreeSet<(u32, &'static str, String)>,
    /// Branches of the INVITEs that were sent.
    pub(crate) branches: BTreeSet<String>,
    /// What passed by of each session.
    pub wire: Wire,
    pub(crate) offers: Offers,
    /// Up to when the store knows what each process did that died.
    pub deaths: BTreeMap<u32, Duration>,
    pub(crate) store_busy_until: Duration,
    answers: BTreeMap<u64, Result<Placed, Refusal>>,
    repeats: BTreeMap<u32, u32>,
    /// The process died while it was draining.
    drain_cut: bool,
    draining: bool,
    /// The shell says that a row is written before it is; to see whether the auditor finds it.
    pub lies: bool,
    /// The switch said that no call is left.
    pub drained: bool,
    /// Effects that the shell forgets, by the first word of their debug text; to see whether the
    /// auditor finds it.
    pub forgets: Option<&'static str>,
    /// Requests of the switch that the network never delivers, by method.
    pub swallows: Option<&'static str>,
    /// Requests of the switch that the network does not deliver in the last seconds of a process.
    pub swallows_last: Option<&'static str>,
    /// Print every message as it is sent.
    pub ladder: bool,
    /// Steps taken.
    pub steps: u64,
}

/// Wall clock at the start of every world: 2026-01-01T00:00:00Z.
const WALL: UnixMillis = UnixMillis(1_767_225_600_000);
/// After the last call the world gets this long to come to rest.
const REST: Duration = Duration::from_secs(1_500);
/// The sky clears this long after the last call was placed.
const STORM_AFTER: Duration = Duration::from_secs(60);
/// What [`World::swallows_last`] means by the last seconds.
const LAST_SECONDS: Duration = Duration::from_secs(20);
/// How often a merchant repeats a request that was refused.
const REPEATS: u32 = 2;
/// No world takes more steps: beyond it something spins.
const STEPS_MAX: u64 = 3_000_000;
/// Dialled calls from this number on, odd ones, are for the team.
const TEAM_CALLS: u32 = 10_000;
/// How often somebody does something to a call on a day on which the team works.
const CONTROLS: u32 = 24;
/// Their tokens, apart from those of calls.
const CONTROL_TOKENS: u32 = 0x8000_0000;
/// What tells the dice of the team from those of the day.
const TEAM_SEED: u64 = 0x7465_616d;

impl World {
    /// A fresh world.
    #[must_use]
    pub fn new(plan: Plan) -> World {
        let mut dice = Dice::new(plan.seed);
        let weather = if plan.stormy { Weather::roll(&mut dice) } else { Weather::CALM };
        let fars = [CARRIER_A, CARRIER_B, CARRIER_C, PHONE, DESK]
            .map(|at| Far::new(settings::address(at), dice.seed(), plan.skills))
            .into();
        // Its dice are its own, also those of its weather: the days of all others stay as they are.
        let watcher = plan.skills.watches.then(|| {
            let [at, switch] = [WATCHER, SWITCH].map(settings::address);
            Watcher::new(at, switch, plan.seed, plan.over)
        });
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
            media: Media::with(plan.skills.steady),
            fars,
            watcher,
            watch_dice: Dice::new(!plan.seed),
            granted: BTreeMap::new(),
            doubts: false,
            settled_at: BTreeMap::new(),
            news: BTreeMap::new(),
            crashes: 0,
            exits: 0,
            failures: 0,
            started_at: Duration::ZERO,
            aimed: plan.aimed,
            unwritten: BTreeSet::new(),
            committed: BTreeSet::new(),
            branches: BTreeSet::new(),
            repeats: BTreeMap::new(),
            drain_cut: false,
            draining: false,
            lies: false,
            wire: Wire::default(),
            offers: Offers::default(),
            deaths: BTreeMap::new(),
            store_busy_until: Duration::ZERO,
            answers: BTreeMap::new(),
            drained: false,
            forgets: None,
            swallows: None,
            swallows_last: None,
            ladder: std::env::var_os("SIM_LADDER").is_some(),
            steps: 0,
            dice,
        };
        let expires = WALL + Duration::from_secs(86_400);
        world.gather(expires);
        for binding in settings::bindings(expires) {
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
        for new in 0..if plan.skills.watches { 6 } else { 0 } {
            let at = world.watch_dice.between(Duration::ZERO, plan.over);
            world.later(at, Happening::Mail { new });
        }
        if plan.drain {
            world.later(plan.over, Happening::Drain);
        }
        if plan.watched {
            world.later(plan.over + STORM_AFTER, Happening::Leave);
        }
        for n in 0..plan.crashes {
            let at = world.dice.between(Duration::from_secs(1), plan.over);
            world.later(at, Happening::Crash);
            world.dial_around(at, plan.dials + n);
        }
        for _ in 0..if plan.shaky { 3 } else { 0 } {
            let at = world.dice.between(Duration::ZERO, plan.over);
            world.later(at, Happening::Away);
        }
        world
    }

    /// The agents of a day on which the team works, and who calls it. They have dice of their own.
    fn gather(&mut self, expires: UnixMillis) {
        if team::works(self.plan.seed).is_none() {
            return;
        }
        let mut dice = Dice::new(self.plan.seed ^ TEAM_SEED);
        for (_, at) in team::AGENTS {
            self.fars.push(Far::new(settings::address(at), dice.seed(), self.plan.skills));
        }
        for binding in team::registrations(expires) {
            self.store.perform(Work::SaveBinding(Box::new(binding)));
        }
        for n in 0..self.plan.dials {
            let at = dice.between(Duration::ZERO, self.plan.over);
            self.later(at, Happening::Dial { n: TEAM_CALLS + 2 * n + 1 });
        }
        for n in 0..CONTROLS {
            let at = dice.between(Duration::ZERO, self.plan.over);
            self.later(at, Happening::Control { n });
        }
    }

    /// Calls that agents were offered.
    #[must_use]
    pub fn offers(&self) -> u32 {
        self.offers.made
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

    /// Whether the switch is drained at the end of the day.
    #[must_use]
    pub fn drains(&self) -> bool {
        self.plan.drain && !self.drain_cut
    }

    /// Whether no process can know of a dialog: one went on without its store, and died.
    #[must_use]
    pub fn unknowable(&self, dialog: &str) -> bool {
        self.crashes > 0 && self.unwritten.contains(dialog)
    }

    /// Whether the process ever died.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.crashes > 0
    }

    /// Calls whose merchant was told that they were accepted.
    #[must_use]
    pub fn accepted(&self) -> BTreeSet<CallId> {
        self.answers.values().flatten().map(|placed| placed.call).collect()
    }

    fn now(&self) -> Now {
        self.epoch.after(self.elapsed)
    }

    pub(crate) fn later(&mut self, after: Duration, what: Happening) {
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
        let watcher = self.watcher.as_ref().and_then(Watcher::timeout);
        let next = fars.iter().copied().chain([queued, engine, watcher]).flatten().min();
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
        } else if watcher == Some(next) {
            let now = self.elapsed;
            if let Some(watcher) = &mut self.watcher {
                watcher.handle_timeout(now);
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
                        self.wire.pass(self.elapsed, self.life, &bytes, At::Came);
                        self.offers.pass(self.elapsed, self.life, (from, false), &bytes);
                        engine.handle_message(now, Flow::udp(to, from), bytes);
                    }
                } else if let Some(watcher) = self.watcher.as_mut().filter(|w| w.at == to) {
                    watcher.handle(self.elapsed, bytes);
                } else if let Some(far) = self.fars.iter_mut().find(|far| far.at == to) {
                    self.wire.pass(self.elapsed, self.life, &bytes, At::Told);
                    far.handle(now.mono, from, bytes, &mut self.dice);
                }
            }
            Happening::Store { life, work, .. } => self.perform(life, *work),
            Happening::Away => self.store_goes_away(),
            Happening::Exit { life } => self.exit(life),
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
            Happening::Mail { new } => {
                if let Some(engine) = self.engine.as_mut() {
                    let user = settings::EXTENSION.to_owned();
                    engine.handle_command(now, Command::Mailbox { user, new, old: 1 });
                }
            }
            Happening::Control { n } => self.control(n),
            Happening::Drain => match self.engine.as_mut() {
                Some(engine) => {
                    let grace = Duration::from_secs(20);
                    engine.handle_command(now, Command::Drain { grace });
                    self.draining = true;
                    if self.plan.aimed > 0 && self.dice.chance(400) {
                        let after = self.dice.between(Duration::ZERO, Duration::from_secs(30));
                        self.later(after, Happening::Crash);
                    }
                }
                None => self.later(Duration::from_secs(1), Happening::Drain),
            },
            Happening::Leave => {
                let snapshot = self.snapshot();
                if let Some(engine) = self.engine.as_mut() {
                    engine.handle_command(now, Command::Settings(snapshot));
                }
            }
            Happening::Crash => self.crash(),
            Happening::Start => self.start(),
        }
    }

    /// Somebody supervises those who talk, or does not any more, or has one of them led on.
    fn control(&mut self, n: u32) {
        let (now, life) = (self.now(), self.life);
        let Some(engine) = self.engine.as_mut() else { return };
        // A call that nobody takes goes back to who parked it, whatever he does by then.
        if engine.live().iter().any(|call| call.state == "parked") {
            return;
        }
        let mut talks = engine.live().into_iter().filter(|call| call.state == "bridged");
        let Some(call) = talks.next_back() else { return };
        let token = u64::from(life) << 32 | u64::from(CONTROL_TOKENS + n);
        let control = Box::new(team::control(n, &call.a));
        let (call, merchant) = (call.call, call.merchant);
        engine.handle_command(now, Command::Control { token, call, merchant, control });
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
            // Somebody is called, picked up for, or taken from where he waits.
            let code = self.plan.skills.transfers.then(|| self.dice.below(4));
            let dialled = match code {
                Some(0) => "*8".to_owned(),
                Some(1 | 2) => "*71".to_owned(),
                _ => format!("+86139{n:08}"),
            };
            let phone = if code.is_some_and(|code| code < 2) { DESK } else { PHONE };
            (phone, format!("sip:{dialled}@{}", settings::REALM), from)
        } else {
            let from = format!("<sip:+86138{n:08}@{CARRIER_A}>");
            let number = if n < TEAM_CALLS { settings::DIRECT } else { team::TEAM_DIRECT };
            (CARRIER_A, format!("sip:+{number}@{SWITCH}"), from)
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

    fn crash(&mut self) {
        if self.engine.take().is_none() {
            return;
        }
        self.crashes += 1;
        self.drain_cut |= std::mem::take(&mut self.draining);
        if self.ladder {
            println!("{:?} crash", self.elapsed);
        }
        self.life += 1;
        self.granted.clear();
        self.media = Media::default();
        // What the process had handed to its database is committed up to some point, in order.
        let mut survives = true;
        let mut known = self.elapsed;
        let mut kept = BTreeMap::new();
        for (key, what) in std::mem::take(&mut self.queue) {
            match what {
                Happening::Store { life, asked, work } => {
                    // What survives is in the file before the next process reads it.
                    survives = survives && self.dice.chance(500);
                    if survives {
                        self.perform(life, *work);
                    } else {
                        known = known.min(asked);
                    }
                }
                Happening::Reply { .. } | Happening::Media { .. } => {}
                other => {
                    kept.insert(key, other);
                }
            }
        }
        self.queue = kept;
        self.deaths.insert(self.life - 1, known);
        self.store_busy_until = self.store_busy_until.min(self.elapsed + Duration::from_secs(1));
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
            // Some days whoever is recorded is asked first.
            consent: Consent {
                prompt: self.plan.skills.agrees.then(|| "recording-consent".to_owned()),
                ..Consent::default()
            },
            voicemail: Messages { max: Duration::from_secs(20), min: Duration::from_millis(500) },
            silence: Some(Duration::from_secs(20)),
            reinvite: if self.plan.skills.agrees { Reinvite::Relay } else { Reinvite::Absorb },
            hearing: Hearing {
                release: if self.plan.skills.agrees { Release::Certain } else { Release::Never },
                ..Hearing::default()
            },
            ..EngineConfig::default()
        };
        let now = self.now();
        let mut engine = Engine::new(config, self.snapshot(), now);
        let bindings = self.store.bindings.values().cloned().collect();
        engine.handle_reply(now, Reply::Bindings(bindings));
        for open in self.store.open_calls() {
            engine.handle_command(now, Command::Recover(Box::new(open)));
        }
        for leg in self.store.farewells() {
            engine.handle_command(now, Command::Farewell(Box::new(leg)));
        }
        self.started_at = self.elapsed;
        self.engine = Some(engine);
    }

    /// The settings of this hour: in the end the switch asks its carriers for nothing any more.
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut snapshot = settings::snapshot(self.plan.max_calls);
        if let Some(strategy) = team::works(self.plan.seed) {
            team::join(&mut snapshot, strategy);
        }
        if self.plan.watched && self.elapsed < self.plan.over + STORM_AFTER {
            settings::watch(&mut snapshot);
        }
        Arc::new(snapshot)
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
        while let Some(bytes) = self.watcher.as_mut().and_then(Watcher::transmit) {
            self.send(settings::address(WATCHER), settings::address(SWITCH), &bytes);
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
        match effect {
            Effect::Transmit(transmit) => {
                self.send(transmit.flow.local, transmit.flow.remote, &transmit.bytes);
            }
            Effect::Resolve(question) => {
                let (after, told) = names::answer(&question, self.plan.stormy, &mut self.dice);
                let reply = Box::new(Reply::Resolved { question, told });
                self.later(after, Happening::Reply { life, reply });
            }
            Effect::Media(order) => {
                for (after, event) in self.media.order(order, &mut self.dice) {
                    self.later(after, Happening::Media { life, event });
                }
            }
            Effect::Answer { token, answer: call::Answer::Placed(result) } => {
                self.answers.insert(token, result);
                let n = u32::try_from(token & 0xffff_ffff).unwrap_or(0);
                let repeats = self.repeats.entry(n).or_default();
                if result == Err(Refusal::Internal) && *repeats < REPEATS {
                    *repeats += 1;
                    self.later(Duration::from_secs(4), Happening::Place { n });
                }
            }
            Effect::Carrier(news) => {
                *self.news.entry(format!("{:?}", news.change)).or_default() += 1;
            }
            Effect::Answer { .. }
            | Effect::TurnedAway(_)
            | Effect::CloseFlow(_)
            | Effect::Missed(_)
            | Effect::Consult(_)
            | Effect::AskPage(_)
            | Effect::Show { .. }
            | Effect::MenuOver(_)
            | Effect::Texted { .. }
            | Effect::Certified(_)
            | Effect::SetReach { .. }
            | Effect::FetchMail { .. }
            | Effect::HearMail { .. }
            | Effect::DeleteMail { .. }
            | Effect::Discard { .. }
            | Effect::Banned(_)
            | Effect::Fraud(_)
            | Effect::Stopped(_) => {}
            Effect::Drained => {
                self.drained = true;
                self.draining = false;
                let after = self.dice.between(Duration::from_millis(10), Duration::from_secs(6));
                self.later(after, Happening::Exit { life });
            }
            effect => {
                let work = Work::of(effect).expect("all others are for the store");
                self.hand(work);
            }
        }
    }

    fn dies_soon(&self) -> bool {
        let crash = |what: &Happening| matches!(what, Happening::Crash);
        let soon = self.elapsed + LAST_SECONDS;
        self.queue.range(..(soon, u64::MAX)).any(|(_, what)| crash(what))
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        if self.ladder {
            let text = String::from_utf8_lossy(bytes);
            let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
            let (id, cseq) = (line("Call-ID"), line("CSeq"));
            println!("{:?} {from} > {to} {} {id} {cseq}", self.elapsed, line(""));
        }
        let ours = World::is_ours(from);
        let seen = if ours { At::Left } else { At::Said };
        self.wire.pass(self.elapsed, self.life, bytes, seen);
        if ours {
            self.offers.pass(self.elapsed, self.life, (to, true), bytes);
            let text = String::from_utf8_lossy(bytes);
            self.commits(&text);
            self.grants(&text);
        }
        let last = self.swallows_last.filter(|_| self.dies_soon());
        if ours && self.swallows.or(last).is_some_and(|method| bytes.starts_with(method.as_bytes()))
        {
            return;
        }
        // Once the last call was placed the sky clears: the world must come to rest by itself.
        let weather =
            if self.elapsed > self.plan.over + STORM_AFTER { Weather::CALM } else { self.weather };
        let watched = [from, to].contains(&settings::address(WATCHER));
        let dice = if watched { &mut self.watch_dice } else { &mut self.dice };
        let deliveries = weather.deliveries(dice);
        if ours && deliveries.is_empty() {
            self.wire.pass(self.elapsed, self.life, bytes, At::Lost);
        }
        for after in deliveries {
            self.later(after, Happening::Arrive { from, to, bytes: bytes.clone() });
        }
    }
}
