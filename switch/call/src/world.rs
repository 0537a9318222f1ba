//! What all calls share: the clocks of this step, the settings, the SIP endpoint, the deadlines, the
//! contacts and the queue of effects. One value, lent to one call at a time.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::media::MediaCommand;
use facts::routing::{Explanation, Verdict};
use facts::settings::{Snapshot, Trunk};
use facts::{LegId, Now, Number, TrunkId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::{Endpoint, Flow, Listener, SessionId, Transport};

use crate::admission::{Occupancy, Rates};
use crate::config::EngineConfig;
use crate::event::Effect;
use crate::leg;
use crate::registrar::{Change, Registrar};
use crate::route::{self, Live};
use crate::timers::Timers;

/// No next hop is left alone for longer, whatever it asks for: a mistyped number must not take a
/// carrier away for a day.
const REST_MAX: Duration = Duration::from_secs(300);
/// Next hops that are left alone at one time at most.
const RESTING_MAX: usize = 1_024;

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) config: EngineConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) endpoint: Endpoint,
    /// Which leg a SIP session belongs to, until the call is forgotten.
    pub(crate) sessions: BTreeMap<SessionId, LegId>,
    pub(crate) timers: Timers,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) registrar: Registrar,
    /// Legs by the trunk they are on.
    pub(crate) trunk_legs: Occupancy<TrunkId, LegId>,
    /// INVITEs of the last second by trunk.
    pub(crate) trunk_rates: Rates<TrunkId>,
    /// Until when a next hop wants to be left alone.
    resting: BTreeMap<SocketAddr, Instant>,
    rng: ChaCha20Rng,
}

impl World {
    pub(crate) fn new(config: EngineConfig, snapshot: Arc<Snapshot>, now: Now) -> World {
        // A stream apart from the endpoint's: the same seed must not give the same words twice.
        let mut rng = ChaCha20Rng::from_seed(config.sip.seed);
        rng.set_stream(0x0063_616c_6c00);
        World {
            now,
            endpoint: Endpoint::new(config.sip.clone()),
            config,
            snapshot,
            sessions: BTreeMap::new(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            registrar: Registrar::default(),
            trunk_legs: Occupancy::default(),
            trunk_rates: Rates::default(),
            resting: BTreeMap::new(),
            rng,
        }
    }

    /// A next hop answered 503 with Retry-After (RFC 3261 §21.5.4).
    pub(crate) fn rest(&mut self, target: SocketAddr, seconds: u32) {
        let now = self.now.mono;
        self.resting.retain(|_, until| *until > now);
        if self.resting.len() < RESTING_MAX {
            let until = now + REST_MAX.min(Duration::from_secs(seconds.into()));
            self.resting.insert(target, until);
        }
    }

    pub(crate) fn is_resting(&self, target: SocketAddr) -> bool {
        self.resting.get(&target).is_some_and(|until| *until > self.now.mono)
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.emit(Effect::Media(command));
    }

    /// The listener that speaks a transport.
    pub(crate) fn listener(&self, transport: Transport) -> Option<Listener> {
        self.config.sip.listeners.iter().find(|listener| listener.transport == transport).copied()
    }

    /// The listener a flow belongs to.
    pub(crate) fn listener_of(&self, flow: &Flow) -> Option<Listener> {
        self.config
            .sip
            .listeners
            .iter()
            .find(|listener| listener.transport == flow.transport && listener.bind == flow.local)
            .copied()
            .or_else(|| self.listener(flow.transport))
    }

    /// 128 bits that nobody can guess, as 32 hex digits.
    pub(crate) fn unguessable(&mut self) -> String {
        format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64())
    }

    /// The trunks that lead to a number now, in the order to try them.
    pub(crate) fn trunks(&mut self, number: &Number) -> Vec<TrunkId> {
        let rng = &mut self.rng;
        // Totals of weights are small beside 2^64: the tilt of a remainder does not show.
        route::trunks(&self.snapshot, number, self.now.wall, |below| rng.next_u64() % below.max(1))
    }

    /// What speaks against giving a trunk another leg at this moment.
    pub(crate) fn against(&self, id: TrunkId, trunk: &Trunk) -> Option<Verdict> {
        let now = self.now.mono;
        if self.listener(leg::transport(trunk)).is_none() {
            return Some(Verdict::NoListener);
        }
        if let Some(until) = self.resting.get(&trunk.target).filter(|until| **until > now) {
            return Some(Verdict::Resting { seconds: (*until - now).as_secs().max(1) });
        }
        if let Some(legs) = trunk.max_calls.filter(|_| !self.trunk_legs.room(id, trunk.max_calls)) {
            return Some(Verdict::Full { legs });
        }
        let rate = trunk.calls_per_second;
        let per_second = rate.filter(|_| self.trunk_rates.reached(id, rate, now))?;
        Some(Verdict::RateReached { per_second })
    }

    /// Where a number would go at this moment, and why.
    pub(crate) fn explain(&self, number: &str) -> Result<Explanation, String> {
        let live = Live {
            registered: &|user| self.registrar.registered(user),
            against: &|id, trunk| self.against(id, trunk),
        };
        route::explain(&self.snapshot, number, self.now.wall, Some(&live))
    }

    /// Carries changed bindings to the store.
    pub(crate) fn keep(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.emit(match change {
                Change::Save(binding) => Effect::SaveBinding(Box::new(binding)),
                Change::Drop { user, key } => Effect::DropBinding { user, key },
            });
        }
    }
}
