//! What all calls share: the clocks of this step, the settings, the SIP endpoint, the deadlines, the
//! contacts and the queue of effects. One value, lent to one call at a time.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::ledger::JournalLeg;
use facts::manners::Dtmf;
use facts::media::MediaCommand;
use facts::pool::Pool;
use facts::routing::{Explanation, Verdict};
use facts::settings::{Snapshot, Trunk};
use facts::{CallId, LegFacts, LegId, MerchantId, Now, Number, TrunkId};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sip::endpoint::{
    Endpoint, EndpointConfig, Flow, Listener, Relief, RequestOutId, SessionId, Transport,
};
use sip::locate::Server;
use sip::wire::{Method, Reason};

use crate::abuse::Abuse;
use crate::admission::{Occupancy, Rates};
use crate::axb::Axb;
use crate::capacity::{Capacities, Line};
use crate::carrier::{Carriers, Throttle};
use crate::config::EngineConfig;
use crate::event::{Effect, MenuWish};
use crate::fraud::Fraud;
use crate::group::{Agents, Groups};
use crate::guesses::Guesses;
use crate::ivr::Ivr;
use crate::leg::{self, Hop, pack};
use crate::names::{Names, Place};
use crate::pledge::{Papers, Pledge, Pledges};
use crate::pool::{Owner, Pools};
use crate::presence::{Mailboxes, Watches};
use crate::registrar::{Change, Registrar};
use crate::route::{self, Live};
use crate::timers::Timers;

/// No next hop is left alone for longer, whatever it asks for: a mistyped number must not take a
/// carrier away for a day.
const REST_MAX: Duration = Duration::from_secs(300);
/// Next hops that are left alone, or known to be silent, at one time at most.
const RESTING_MAX: usize = 1_024;
/// Legs of one sandbox at the simulated far end at most: it has a hundred for all of them.
const SANDBOX_LEGS_MAX: usize = 20;
/// An address that did not answer is tried after the others of its name for this long.
const SILENT: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) config: EngineConfig,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) endpoint: Endpoint,
    /// Which leg a SIP session belongs to, until the call is forgotten.
    pub(crate) sessions: BTreeMap<SessionId, LegId>,
    /// Sessions that are in the journal.
    pub(crate) papers: Papers,
    /// Sessions that wait for the journal.
    pub(crate) pledges: Pledges,
    /// Sessions that went on without having been written down, since the start.
    pub(crate) unwritten: u64,
    pub(crate) timers: Timers,
    pub(crate) effects: VecDeque<Effect>,
    /// Legs whose links have lost their other end.
    pub(crate) unlinked: VecDeque<LegId>,
    /// Ends of ties whose conferences have no room for whoever is led there.
    pub(crate) barred: VecDeque<LegId>,
    /// Ends of ties whose ports have come.
    pub(crate) tied: VecDeque<LegId>,
    /// Calls that a step of their scenario leads into a conference.
    pub(crate) visits: VecDeque<(CallId, u8)>,
    /// What calls want of the menus that they are for.
    pub(crate) menu_wishes: VecDeque<(CallId, MenuWish)>,
    /// Keys that were told by INFO and have no answer yet: one a leg.
    pub(crate) infos: BTreeMap<RequestOutId, LegId>,
    /// Keys by INFO since the start: those that were taken, and those that were not.
    pub(crate) keys_told: u64,
    pub(crate) keys_untold: u64,
    pub(crate) registrar: Registrar,
    /// Legs by the trunk they are on.
    pub(crate) trunk_legs: Occupancy<TrunkId, LegId>,
    /// Legs at the far end of sandboxes, and whose.
    sandbox_legs: BTreeMap<LegId, MerchantId>,
    /// Those of them that came from the trunk.
    pub(crate) legs_in: Occupancy<TrunkId, LegId>,
    /// INVITEs of the last second from each trunk.
    pub(crate) rates_in: Rates<TrunkId>,
    /// What trunks are given that are too busy.
    pub(crate) throttle: Throttle,
    /// INVITEs of the last second by trunk.
    pub(crate) trunk_rates: Rates<TrunkId>,
    /// Until when a next hop wants to be left alone.
    resting: BTreeMap<SocketAddr, Instant>,
    /// What next hops ask for that have too much, and until when.
    reliefs: BTreeMap<SocketAddr, (Relief, Instant)>,
    /// Next hops that did not answer lately, and until when others are tried first.
    silent: BTreeMap<SocketAddr, Instant>,
    /// Carriers at which we register and whose health we watch.
    pub(crate) carriers: Carriers,
    /// What the DNS says of carriers' names.
    pub(crate) names: Names,
    /// Where the carriers are that bear names.
    pub(crate) places: BTreeMap<TrunkId, Place>,
    /// What groups remember of their calls.
    pub(crate) groups: Groups,
    /// What extensions are at.
    pub(crate) agents: Agents,
    /// Who knocks too often.
    pub(crate) abuse: Abuse,
    /// Whose passwords are guessed at.
    pub(crate) guesses: Guesses,
    /// What waits in mailboxes.
    pub(crate) mail: Mailboxes,
    /// Who watches whom.
    pub(crate) watches: Watches,
    /// Numbers that legs show in turn.
    pub(crate) pools: Pools,
    /// Whom callers reach by privacy numbers.
    pub(crate) axb: Axb,
    /// Numbers that a scenario answers.
    pub(crate) ivr: Ivr,
    /// Who has room for another call.
    pub(crate) capacities: Capacities,
    /// Legs that are limited against toll fraud.
    pub(crate) fraud: Fraud,
    pub(crate) rng: ChaCha20Rng,
}

impl World {
    pub(crate) fn new(config: EngineConfig, snapshot: Arc<Snapshot>, now: Now) -> World {
        // A stream apart from the endpoint's: the same seed must not give the same words twice.
        let mut rng = ChaCha20Rng::from_seed(config.sip.seed);
        rng.set_stream(0x0063_616c_6c00);
        World {
            now,
            endpoint: Endpoint::new(EndpointConfig {
                careful: true,
                started_s: u64::try_from(now.wall.0 / 1_000).unwrap_or_default(),
                methods: vec![Method::Register, Method::Subscribe, Method::Message],
                bodies: &[sip::ussd::MEDIA_TYPE],
                ..config.sip.clone()
            }),
            abuse: Abuse::new(config.abuse.clone()),
            axb: Axb::default(),
            ivr: Ivr::default(),
            config,
            snapshot,
            sessions: BTreeMap::new(),
            papers: Papers::default(),
            pledges: Pledges::default(),
            unwritten: 0,
            timers: Timers::default(),
            effects: VecDeque::new(),
            unlinked: VecDeque::new(),
            barred: VecDeque::new(),
            tied: VecDeque::new(),
            visits: VecDeque::new(),
            menu_wishes: VecDeque::new(),
            infos: BTreeMap::new(),
            keys_told: 0,
            keys_untold: 0,
            registrar: Registrar::default(),
            trunk_legs: Occupancy::default(),
            sandbox_legs: BTreeMap::new(),
            legs_in: Occupancy::default(),
            rates_in: Rates::default(),
            throttle: Throttle::default(),
            trunk_rates: Rates::default(),
            resting: BTreeMap::new(),
            reliefs: BTreeMap::new(),
            silent: BTreeMap::new(),
            guesses: Guesses::default(),
            carriers: Carriers::default(),
            names: Names::default(),
            places: BTreeMap::new(),
            mail: Mailboxes::default(),
            watches: Watches::default(),
            groups: Groups::default(),
            agents: Agents::default(),
            fraud: Fraud::default(),
            pools: Pools::default(),
            capacities: Capacities::default(),
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

    /// A next hop says how much is too much (RFC 7339 §5.3). What was said before it and comes after it is old.
    pub(crate) fn relieve(&mut self, target: SocketAddr, relief: Relief) {
        let now = self.now.mono;
        if self.reliefs.get(&target).is_some_and(|(last, _)| last.seq >= relief.seq) {
            return;
        }
        if self.reliefs.len() >= RESTING_MAX {
            self.reliefs.retain(|_, (_, until)| *until > now);
        }
        if self.reliefs.len() < RESTING_MAX {
            self.reliefs.insert(target, (relief, now + relief.lasts));
        }
    }

    /// Whether an INVITE is one of those that a next hop shall be spared (§6.3): drawn for each.
    pub(crate) fn is_spared(&mut self, target: SocketAddr) -> bool {
        let now = self.now.mono;
        let percent = match self.reliefs.get(&target) {
            Some((relief, until)) if *until > now => u64::from(relief.percent),
            _ => return false,
        };
        self.rng.next_u64() % 100 < percent
    }

    /// Seconds for which all of these next hops still want to be left alone.
    pub(crate) fn rests(&self, addresses: &[SocketAddr]) -> Option<u64> {
        let each: Option<Vec<u64>> = addresses.iter().map(|at| self.resting(*at)).collect();
        each?.into_iter().min()
    }

    /// Seconds for which a next hop still wants to be left alone, at least 1; `None`: it does not.
    pub(crate) fn resting(&self, target: SocketAddr) -> Option<u64> {
        let until = self.resting.get(&target).filter(|until| **until > self.now.mono)?;
        Some((*until - self.now.mono).as_secs().max(1))
    }

    /// A next hop said nothing, or could not be sent to.
    pub(crate) fn fell_silent(&mut self, target: SocketAddr) {
        let now = self.now.mono;
        self.silent.retain(|_, until| *until > now);
        if self.silent.len() < RESTING_MAX {
            self.silent.insert(target, now + SILENT);
        }
    }

    /// Where requests to a trunk may go, in the order to try them (RFC 3263 §4.3): those that did not
    /// answer lately come last.
    pub(crate) fn servers(&mut self, trunk: &Trunk) -> Vec<Server> {
        if let Some(address) = trunk.target.address() {
            return vec![Server { transport: leg::transport(trunk), address }];
        }
        let rng = &mut self.rng;
        let mut draw = |below: u64| rng.next_u64() % below.max(1);
        let listeners = &self.config.sip.listeners;
        let mut servers = self.names.target(trunk, listeners, &mut draw).servers;
        servers.sort_by_key(|server| self.is_silent(server.address));
        servers
    }

    fn is_silent(&self, target: SocketAddr) -> bool {
        self.silent.get(&target).is_some_and(|until| *until > self.now.mono)
    }

    /// Whether a trunk has a server that is not known to be silent.
    pub(crate) fn is_elsewhere(&self, id: TrunkId, trunk: &Trunk) -> bool {
        self.addresses(id, trunk).into_iter().any(|address| !self.is_silent(address))
    }

    /// Where a trunk is, in no order.
    pub(crate) fn addresses(&self, id: TrunkId, trunk: &Trunk) -> Vec<SocketAddr> {
        match trunk.target.address() {
            Some(address) => vec![address],
            None => {
                let place = self.places.get(&id).into_iter();
                place.flat_map(|place| place.servers.iter().copied()).collect()
            }
        }
    }

    pub(crate) fn emit(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.emit(Effect::Media(command));
    }

    /// Writes a leg down, with what ends those of its sessions that are not over. `first` are those
    /// that wait for it.
    pub(crate) fn journal(
        &mut self,
        leg: LegId,
        facts: &LegFacts,
        sessions: &[SessionId],
        first: &[SessionId],
    ) {
        let open = self.unended(sessions);
        self.papers.write(leg, &open, facts.ended.is_some());
        let entry = JournalLeg { leg, facts: facts.clone(), dialog: self.packed(&open) };
        let seq = self.pledge(leg, first);
        self.emit(Effect::Journal { entry: Box::new(entry), seq });
    }

    fn unended(&self, sessions: &[SessionId]) -> Vec<SessionId> {
        sessions.iter().copied().filter(|id| self.endpoint.is_unended(*id)).collect()
    }

    fn packed(&self, sessions: &[SessionId]) -> Option<Vec<u8>> {
        let snapshots: Vec<_> =
            sessions.iter().filter_map(|id| self.endpoint.snapshot(*id)).collect();
        pack(&snapshots)
    }

    fn pledge(&mut self, leg: LegId, first: &[SessionId]) -> Option<u32> {
        let held: Vec<_> = first.iter().copied().filter(|id| self.endpoint.is_held(*id)).collect();
        // No longer than T1: a far end would repeat itself for it.
        let wait = self.config.journal.min(self.config.sip.timers.t1);
        let until = self.now.mono + wait;
        (!held.is_empty()).then(|| self.pledges.make(leg, &held, until))
    }

    /// Ends a session: BYE, CANCEL or a refusal. One that waits for the journal is agreed on first; one
    /// that has to be written down for that is.
    pub(crate) fn end(&mut self, session: SessionId, reason: Option<Reason>) {
        if self.pledges.end(session, reason.as_ref()) && self.endpoint.is_agreed(session) {
            return;
        }
        let leg = self.papers.leg_of(session);
        match leg.filter(|_| self.endpoint.is_held(session) && self.endpoint.is_agreed(session)) {
            Some(leg) => {
                let dialog = self.packed(&self.papers.of(leg));
                let seq = self.pledge(leg, &[session]);
                self.pledges.end(session, reason.as_ref());
                self.emit(Effect::Papers { leg, dialog, seq });
            }
            None => self.endpoint.bye(self.now.mono, session, reason),
        }
    }

    /// What waited for the journal goes on.
    pub(crate) fn proceed(&mut self, pledges: Vec<Pledge>) {
        for pledge in pledges {
            self.endpoint.proceed(self.now.mono, pledge.session);
            if let Some(reason) = pledge.end {
                self.endpoint.bye(self.now.mono, pledge.session, reason);
            }
        }
    }

    /// The same, although it was not written down.
    pub(crate) fn proceed_unwritten(&mut self, pledges: Vec<Pledge>) {
        self.unwritten += u64::try_from(pledges.len()).unwrap_or(u64::MAX);
        self.proceed(pledges);
    }

    /// A session has had an end. When it was the last one of a leg that is down, there is nothing more
    /// to end.
    pub(crate) fn ended(&mut self, session: SessionId) {
        if self.endpoint.is_unended(session) {
            return;
        }
        self.agents.over(session);
        if let Some(leg) = self.papers.close(session) {
            self.emit(Effect::Papers { leg, dialog: None, seq: None });
        }
    }

    /// Takes up the sessions of a leg of the last process, and ends them.
    pub(crate) fn hang_up(
        &mut self,
        leg: LegId,
        snapshots: &[&[u8]],
        trunk: &str,
        reason: &Reason,
    ) {
        let settings = self.snapshot.clone();
        let now = self.now.mono;
        let credentials = |flow: &Flow| leg::credentials_at(&settings, flow, trunk);
        let resumed: Vec<SessionId> = snapshots
            .iter()
            .filter_map(|bytes| self.endpoint.resume(now, bytes, credentials))
            .collect();
        // Their numbering has jumped: a third process must not begin where this one did.
        self.papers.write(leg, &resumed, true);
        if !snapshots.is_empty() {
            let dialog = self.packed(&resumed);
            self.emit(Effect::Papers { leg, dialog, seq: None });
        }
        for session in resumed {
            self.endpoint.bye(now, session, Some(reason.clone()));
        }
    }

    /// The listener that speaks a transport.
    pub(crate) fn listener(&self, transport: Transport) -> Option<Listener> {
        self.config.sip.listeners.iter().find(|listener| listener.transport == transport).copied()
    }

    /// The listener that speaks a transport, of the address family of the far end.
    pub(crate) fn listener_to(&self, transport: Transport, to: SocketAddr) -> Option<Listener> {
        let family = |listener: &&Listener| {
            listener.transport == transport && listener.bind.is_ipv4() == to.is_ipv4()
        };
        self.config.sip.listeners.iter().find(family).copied()
    }

    /// How the phones of an extension take keys.
    pub(crate) fn phone_keys(&self, user: &str) -> Dtmf {
        let own = self.snapshot.extensions.get(user);
        own.and_then(|extension| extension.dtmf).unwrap_or(self.config.dtmf)
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
        let transport = leg::transport(trunk);
        let addresses = self.addresses(id, trunk);
        let spoken = match trunk.target.address() {
            Some(target) => self.listener_to(transport, target).is_some(),
            // Addresses that nothing listens for are not even looked for.
            None => trunk.options.naptr || self.listener(transport).is_some(),
        };
        if !spoken {
            return Some(Verdict::NoListener);
        }
        if addresses.is_empty() {
            return Some(Verdict::Unresolved);
        }
        if !self.carriers.is_registered(id) {
            return Some(Verdict::Unregistered);
        }
        if !self.carriers.is_up(id) {
            return Some(Verdict::Down);
        }
        if let Some(seconds) = self.rests(&addresses) {
            return Some(Verdict::Resting { seconds });
        }
        if let Some(legs) = trunk.max_calls.filter(|_| !self.trunk_legs.room(id, trunk.max_calls)) {
            return Some(Verdict::Full { legs });
        }
        let out = self.trunk_legs.len(id) - self.legs_in.len(id);
        if let Some(legs) = trunk.options.max_calls_out.filter(|most| out >= *most as usize) {
            return Some(Verdict::Full { legs });
        }
        let room = trunk.options.capacity_out.room(self.snapshot.zone.local(self.now.wall));
        if let Some(legs) = room.max_calls.filter(|most| out >= *most as usize) {
            return Some(Verdict::Full { legs });
        }
        let within_s = room.within_s;
        let begun = room.calls.filter(|_| !self.capacities.may_start(&Line::Out(id), room, now));
        if let Some(calls) = begun {
            return Some(Verdict::WindowFull { calls, within_s });
        }
        if let Some(per_second) = self.throttle.reached(id, now).filter(|_| trunk.options.throttle)
        {
            return Some(Verdict::Throttled { per_second });
        }
        let rate = trunk.calls_per_second;
        let per_second = rate.filter(|_| !self.trunk_rates.room(id, rate, now))?;
        Some(Verdict::RateReached { per_second })
    }

    /// Whether a trunk may send another call. Counts it when it may.
    pub(crate) fn may_send(&mut self, id: TrunkId, trunk: &Trunk) -> bool {
        let (now, rate) = (self.now.mono, trunk.options.calls_per_second_in);
        let room = self.trunk_legs.room(id, trunk.max_calls)
            && self.legs_in.room(id, trunk.options.max_calls_in)
            && self.rates_in.room(id, rate, now)
            && self.has_window_in(id, trunk);
        if room {
            self.rates_in.count(id, rate, now);
            self.capacities.started(Line::In(id), Some(&trunk.options.capacity_in), now);
        }
        room
    }

    fn has_window_in(&self, id: TrunkId, trunk: &Trunk) -> bool {
        let local = self.snapshot.zone.local(self.now.wall);
        let room = trunk.options.capacity_in.room(local);
        self.legs_in.room(id, room.max_calls)
            && self.capacities.may_start(&Line::In(id), room, self.now.mono)
    }

    /// An INVITE goes to a trunk.
    pub(crate) fn count_out(&mut self, id: TrunkId) {
        let now = self.now.mono;
        let Some(trunk) = self.snapshot.trunks.get(&id) else { return };
        self.trunk_rates.count(id, trunk.calls_per_second, now);
        self.capacities.started(Line::Out(id), Some(&trunk.options.capacity_out), now);
        if trunk.options.throttle {
            self.throttle.sent(id, now);
        }
    }

    /// A number of a pool that a leg to somebody may show, if there is a pool and it has one to spare.
    pub(crate) fn pick(&mut self, owner: Owner, pool: &Pool, callee: &Number) -> Option<Number> {
        let rng = &mut self.rng;
        let mut draw = |below: u64| rng.next_u64() % below.max(1);
        self.pools.pick((owner, pool), callee, self.now.mono, &mut draw)
    }

    /// What is kept of carriers and pools that there are no more goes.
    pub(crate) fn prune(&mut self) {
        let settings = &self.snapshot;
        self.pools.prune(settings, self.now.mono);
        self.capacities.prune(settings);
        self.throttle.retain(|id| settings.trunks.contains_key(&id));
        for rates in [&mut self.trunk_rates, &mut self.rates_in] {
            rates.retain(|id| settings.trunks.contains_key(&id));
        }
    }

    /// Whether this sandbox may have another leg at the far end that all of them share.
    pub(crate) fn has_sandbox_leg(&self, merchant: Option<MerchantId>) -> bool {
        let own = self.sandbox_legs.values().filter(|whose| Some(**whose) == merchant);
        own.count() < SANDBOX_LEGS_MAX
    }

    /// A leg of a sandbox leaves; what does not go to the simulated far end is none.
    pub(crate) fn enter_sandbox(&mut self, leg: LegId, hop: &Hop, merchant: Option<MerchantId>) {
        if let Some(merchant) = merchant.filter(|_| hop.trunk.is_some())
            && hop.trunk == self.snapshot.sandbox
        {
            self.sandbox_legs.insert(leg, merchant);
        }
    }

    /// A leg is no longer on a trunk.
    pub(crate) fn leave_trunk(&mut self, id: TrunkId, leg: LegId) {
        self.sandbox_legs.remove(&leg);
        self.trunk_legs.leave(id, leg);
        self.legs_in.leave(id, leg);
    }

    /// Where a number would go at this moment, and why.
    pub(crate) fn explain(&self, number: &str) -> Result<Explanation, String> {
        let live = Live {
            registered: &|user| self.registrar.registered(user),
            phones: &|user| leg::judged(self, user),
            against: &|id, trunk| self.against(id, trunk),
            silent: &|id, trunk| !self.is_elsewhere(id, trunk),
        };
        let ivr = |number: &str, owner| self.ivr.answers(number, owner).is_some();
        let mut told = route::explain(&self.snapshot, number, self.now.wall, Some(&live))?;
        route::explain_delivered(&self.snapshot, &mut told, number, ivr);
        Ok(told)
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
