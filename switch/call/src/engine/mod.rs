//! All calls. The engine owns the tables and hands each fact to the call it concerns; what a fact
//! means is decided in flows and legs.

mod abuse;
mod carriers;
mod confer;
mod control;
mod flows;
mod identity;
mod inbound;
mod join;
mod lead;
mod menu;
mod menu_call;
mod menu_text;
mod message;
mod names;
mod place;
mod recover;
mod refer;
mod register;
mod station;
mod subscribe;
mod texts;
mod told;
mod ussi;
mod visit;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use facts::command::LiveCall;
use facts::media::{Codec, MediaEvent};
use facts::ports::When;
use facts::settings::Snapshot;
use facts::{CallId, CallIds, Dialect, Kind, LegId, LegNo, MerchantId, Now, Number, UnixMillis};
use sip::endpoint::{Flow, SessionId};

pub(crate) use inbound::RING;

use crate::admission::{Occupancy, Rates};
use crate::backlog::Backlog;
use crate::call::Call;
use crate::carrier::Addresses;
use crate::config::EngineConfig;
use crate::event::{Answer, Command, Counts, Effect, LegEvent, MenuWish, Reply, ours};
use crate::leg::Leg;
use crate::presence::Mail;
use crate::timers::Timer;
use crate::trace::Trace;
use crate::world::World;

/// Deadlines handled in one step; the rest is due at once again.
const DEADLINES_MAX: usize = 1_000;

/// Proof of life is dated down to this step, so that calls begun at any time share one entry.
const ALIVE_STEP_MS: i64 = 100;

/// Every live call, registration and SIP dialog of a process.
///
/// After each `handle_*` drain [`Engine::poll_effect`], then ask [`Engine::poll_timeout`].
pub struct Engine {
    world: World,
    calls: BTreeMap<CallId, Call>,
    ids: CallIds,
    /// The call that each request key is at.
    keys: BTreeMap<(MerchantId, Dialect, String), CallId>,
    /// The conference that each number is spoken of by.
    conferences: BTreeMap<String, CallId>,
    /// Live calls by merchant: what limits are read off.
    places: Occupancy<MerchantId, CallId>,
    /// Calls of strangers who hear that they reach nobody by a merchant's number. They take none of its places.
    tellings: Occupancy<MerchantId, CallId>,
    merchant_rates: Rates<MerchantId>,
    rate: Rates<()>,
    register: register::Desk,
    /// Who the far ends of connections have proved to be.
    peers: flows::Peers,
    /// From where carriers speak.
    addresses: Addresses,
    alive_at: Option<Instant>,
    /// Calls let go before the ledger had answered, oldest first, for when it answers after all.
    unanswered: VecDeque<place::Unanswered>,
    drain: Option<Drain>,
    /// Calls that wait for the ledger.
    backlog: Backlog,
    /// No calls are taken until then, for want of ports.
    no_ports_until: Option<Instant>,
    refused: u64,
    /// Messages under way.
    messages: message::Relays,
    /// Menus on show.
    menus: menu::Desk,
}

/// Draining was asked for.
struct Drain {
    /// When the calls that are left are ended.
    deadline: Instant,
    cut: bool,
    told: bool,
}

impl Engine {
    /// An engine without any state.
    #[must_use]
    pub fn new(config: EngineConfig, snapshot: Arc<Snapshot>, now: Now) -> Engine {
        let mut engine = Engine {
            ids: CallIds::new(config.node).after(config.last_call.unwrap_or(CallId(0))),
            register: register::Desk::new(&config),
            world: World::new(config, snapshot, now),
            calls: BTreeMap::new(),
            keys: BTreeMap::new(),
            conferences: BTreeMap::new(),
            places: Occupancy::default(),
            tellings: Occupancy::default(),
            merchant_rates: Rates::default(),
            rate: Rates::default(),
            peers: flows::Peers::default(),
            addresses: Addresses::default(),
            alive_at: None,
            unanswered: VecDeque::new(),
            drain: None,
            backlog: Backlog::default(),
            no_ports_until: None,
            refused: 0,
            messages: message::Relays::default(),
            menus: menu::Desk::default(),
        };
        engine.settle_names();
        engine.settle_groups();
        engine.settle_carriers(&Snapshot::default());
        engine
    }

    /// One datagram, or one message cut from a stream.
    pub fn handle_message(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        self.world.now = now;
        if !self.listens(&flow, &bytes) {
            return;
        }
        self.world.endpoint.handle_message(now.mono, flow, bytes);
        self.pump();
    }

    /// A message that would open something, and for which there is no time: it is told to come later. Who
    /// is banned is not.
    pub fn handle_excess(&mut self, now: Now, flow: Flow, bytes: Bytes) {
        self.world.now = now;
        if self.listens(&flow, &bytes) {
            self.world.endpoint.excuse(now.mono, flow, bytes);
            self.pump();
        }
    }

    /// A message could not be sent over this flow, or its connection is gone.
    pub fn handle_flow_error(&mut self, now: Now, flow: Flow) {
        self.world.now = now;
        let changes = self.world.registrar.flow_died(&flow);
        self.world.keep(changes);
        self.peers.forget(&flow);
        self.world.endpoint.handle_flow_error(now.mono, flow);
        self.pump();
    }

    /// The outcome of an effect.
    pub fn handle_reply(&mut self, now: Now, reply: Reply) {
        self.world.now = now;
        match reply {
            Reply::Authorized { call, answer } => self.authorized(call, answer),
            Reply::AuthorizeFailed { call } => {
                self.backlog.failed(now.mono, call);
                self.authorize_failed(call);
            }
            Reply::Added { leg, answer } => {
                self.on_call(leg.call, |call, w| call.added(w, leg.no, answer));
            }
            Reply::AddFailed { leg } => {
                self.on_call(leg.call, |call, w| call.add_failed(w, leg.no));
            }
            Reply::Extended { leg, step, answer } => self.on_leg(leg, |call, w| {
                call.on_leg(w, leg.no, |leg, w, _, _| {
                    leg.extended(w, step, answer);
                    None
                });
            }),
            Reply::ExtendFailed { leg, step } => self.on_leg(leg, |call, w| {
                call.on_leg(w, leg.no, |leg, w, _, _| {
                    leg.extend_failed(w, step);
                    None
                });
            }),
            Reply::Journaled { leg, seq } => {
                let pledges = self.world.pledges.kept(leg, seq);
                self.world.proceed(pledges);
            }
            Reply::JournalFailed { leg, seq } => {
                let pledges = self.world.pledges.kept(leg, seq);
                self.world.proceed_unwritten(pledges);
            }
            Reply::ReachSet { call, done } => self.on_call(call, |call, w| call.served(w, done)),
            Reply::Mail { call, kept } => self.on_call(call, |call, w| call.mail(w, kept)),
            Reply::MailDeleted { call, message, done } => {
                self.on_call(call, |call, w| call.mail_deleted(w, message, done));
            }
            Reply::Consulted { call, turn, told } => {
                self.on_call(call, |call, w| call.told(w, turn, told));
            }
            Reply::Screen { session, number, screen } => self.screen(session, number, screen),
            Reply::Texted { message, kept } => self.texted(message, kept),
            Reply::Settled { call } => self.forget(call),
            Reply::SettleFailed { call } => self.on_call(call, Call::settle_failed),
            Reply::Resolved { question, told } => self.resolved(&question, told),
            Reply::Bindings(saved) => {
                self.remember(&saved);
                let changes = self.world.registrar.restore(now, saved);
                self.world.keep(changes);
            }
        }
        self.pump();
    }

    /// News from the media plane.
    pub fn handle_media(&mut self, now: Now, event: MediaEvent) {
        self.world.now = now;
        let id = match &event {
            MediaEvent::Opened { leg, .. }
            | MediaEvent::OpenFailed { leg }
            | MediaEvent::Started { leg }
            | MediaEvent::Silent { leg, .. }
            | MediaEvent::Digit { leg, .. }
            | MediaEvent::Fetched { leg, .. }
            | MediaEvent::Recognised { leg, .. }
            | MediaEvent::Played { leg }
            | MediaEvent::Interrupted { leg }
            | MediaEvent::Unplayable { leg, .. }
            | MediaEvent::LaidOver { leg, .. }
            | MediaEvent::Closed { leg, .. } => leg.call,
            MediaEvent::Recorded { call, .. }
            | MediaEvent::RecordingFailed { call }
            | MediaEvent::Room { call, .. } => *call,
        };
        if matches!(event, MediaEvent::OpenFailed { .. }) {
            self.out_of_ports();
        }
        self.on_call(id, |call, w| call.media(w, event));
        self.pump();
    }

    /// A wish of the shell's clients.
    pub fn handle_command(&mut self, now: Now, command: Command) {
        self.world.now = now;
        match command {
            Command::Place { token, command } => self.place(token, *command),
            Command::HangUp { token, call } => {
                let mut live = false;
                self.on_call(call, |call, w| live = call.cut(w, ours(Kind::HungUpByUs)));
                self.answer(token, Answer::HungUp(live));
            }
            Command::PauseRecording { token, call, paused } => {
                let mut recorded = false;
                self.on_call(call, |call, w| recorded = call.pause_recording(w, paused));
                self.answer(token, Answer::Paused(recorded));
            }
            Command::Play { token, call, play } => {
                let mut heard = false;
                self.on_call(call, |call, w| heard = call.play(w, *play));
                self.answer(token, Answer::Played(heard));
            }
            Command::Confer { token, call, act } => {
                let done = self.confer(call, *act);
                self.answer(token, Answer::Conferred(done));
            }
            Command::Control { token, call, merchant, control } => {
                let done = self.control((call, merchant), *control);
                self.answer(token, Answer::Controlled(done));
            }
            Command::Conference { token, call } => {
                let view = self.calls.get(&call).and_then(Call::conference_view).map(Box::new);
                self.answer(token, Answer::Conference(view));
            }
            Command::Live { token } => self.answer(token, Answer::Live(self.live())),
            Command::Look { token, call } => {
                let live = self.calls.get(&call).filter(|call| shows(call)).map(Call::view);
                self.answer(token, Answer::Looked(live.map(Box::new)));
            }
            Command::Menu { token, act } => self.menu(token, *act),
            Command::Text { token, text } => self.text(token, &text),
            Command::Bindings { token } => {
                let list = self.world.registrar.list(now.mono);
                self.answer(token, Answer::Bindings(list));
            }
            Command::Stations { token, extensions } => {
                let stations = extensions.into_iter().map(|number| self.station(number)).collect();
                self.answer(token, Answer::Stations(stations));
            }
            Command::Explain { token, number } => {
                let explained = self.world.explain(&number);
                self.answer(token, Answer::Explained(Box::new(explained)));
            }
            Command::Reaches { token, payer, numbers } => {
                let rung = |(number, when): &(Number, When)| self.reached(number, *when, payer);
                let rung = numbers.iter().map(rung).collect();
                self.answer(token, Answer::Reaches(rung));
            }
            Command::Bans { token } => {
                let bans = self.world.abuse.list(now.mono);
                self.answer(token, Answer::Bans(bans));
            }
            Command::Lift { token, address } => {
                let lifted = self.world.abuse.lift(now.mono, address.into());
                self.answer(token, Answer::Lifted(lifted));
            }
            Command::Trunks { token } => self.answer(token, Answer::Trunks(self.trunks())),
            Command::Axb(bindings) => self.world.axb.learn(bindings, now.wall),
            Command::Numbers(numbers) => self.world.ivr.learn(numbers),
            Command::Settings(snapshot) => {
                let before = std::mem::replace(&mut self.world.snapshot, snapshot);
                // First: where those are that are left is only known by what was asked so far.
                if self.drain.is_none() {
                    self.settle_carriers(&before);
                }
                self.settle_names();
                self.settle_watches();
                self.settle_groups();
                self.merchant_rates.retain(|id| self.world.snapshot.merchants.contains_key(&id));
                self.world.prune();
            }
            Command::Drain { grace } => {
                self.unregister();
                let deadline = now.mono + grace;
                match &mut self.drain {
                    Some(drain) => drain.deadline = drain.deadline.min(deadline),
                    None => self.drain = Some(Drain { deadline, cut: false, told: false }),
                }
            }
            Command::Recover(open) => self.recover(*open),
            Command::Farewell(leg) => self.farewell(&leg),
            Command::Mailbox { user, new, old } => {
                self.mailbox(&user, Mail { new, old });
            }
        }
        self.pump();
    }

    /// The instant of [`Engine::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.world.now = now;
        self.world.endpoint.handle_timeout(now.mono);
        self.pump();
        for _ in 0..DEADLINES_MAX {
            let Some(key) = self.world.timers.pop(now.mono) else {
                break;
            };
            match key.timer {
                Timer::Authorize => self.authorize_late(key.call),
                Timer::Unauthorized => self.authorize_never(key.call),
                _ => self.on_call(key.call, |call, w| call.expired(w, key)),
            }
        }
        self.names_due();
        self.messages_due();
        self.menus_due();
        self.carriers_due();
        let overdue = self.world.pledges.overdue(now.mono);
        self.world.proceed_unwritten(overdue);
        let changes = self.world.registrar.expire(now.mono);
        self.world.keep(changes);
        if self.alive_at.is_some_and(|at| at <= now.mono) {
            self.alive_at = None;
            self.prove_life();
        }
        self.pump();
    }

    /// Tells the store which calls live, each by its own clock: what a crash leaves is billed to this
    /// instant, which must not move with a wall clock that is set meanwhile. Calls whose clocks agree
    /// go together, which are all unless it was set.
    fn prove_life(&mut self) {
        let mut alive: BTreeMap<UnixMillis, Vec<CallId>> = BTreeMap::new();
        for call in self.calls.values().filter(|call| call.is_dialled()) {
            let at = call.clock(self.world.now.mono).0;
            alive.entry(UnixMillis(at - at % ALIVE_STEP_MS)).or_default().push(call.id);
        }
        for (at, calls) in alive {
            self.world.emit(Effect::Alive { calls, at });
        }
    }

    /// When [`Engine::handle_timeout`] is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drain = self.drain.as_ref().filter(|drain| !drain.cut).map(|drain| drain.deadline);
        [
            self.world.endpoint.poll_timeout().map(|(at, _)| at),
            self.world.timers.next(),
            self.world.pledges.next(),
            self.world.registrar.next(),
            self.world.carriers.next(),
            self.world.names.next(),
            self.messages.next(),
            self.menus.next(),
            self.alive_at,
            drain,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.world
            .effects
            .pop_front()
            .or_else(|| self.world.endpoint.poll_transmit().map(Effect::Transmit))
    }

    /// The live calls, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<LiveCall> {
        self.calls.values().filter(|call| shows(call)).map(Call::view).collect()
    }

    /// A call that no deadline of its own would ever end: none, unless something is wrong. Walks every call.
    #[must_use]
    pub fn adrift(&self) -> Option<CallId> {
        self.calls.keys().copied().find(|call| !self.world.timers.has(*call))
    }

    /// Sizes of the tables.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let sip = self.world.endpoint.counts();
        let (legs, ports) = self
            .calls
            .values()
            .map(Call::held)
            .fold((0, 0), |(legs, ports), (l, p)| (legs + l, ports + p));
        Counts {
            calls: self.calls.len(),
            legs,
            ports,
            places: self.places.total() + self.world.capacities.total(),
            agents: self.world.agents.total(),
            trunk_legs: self.world.trunk_legs.total(),
            watched: self.world.fraud.len() + self.world.pools.len(),
            transactions: sip.client_transactions + sip.server_transactions,
            sessions: sip.sessions + sip.lingering,
            unended: sip.sessions,
            papers: self.world.papers.len(),
            heard: self.world.sessions.len(),
            bindings: self.world.registrar.len(),
            timers: self.world.timers.len(),
            // Kept in two tables, which agree.
            subscriptions: sip.subscriptions.max(self.world.watches.len()),
            messages: self.messages.len(),
            menus: self.menus.len(),
            shown: self.menus.shown(),
            delivered: self.messages.delivered,
            undelivered: self.messages.undelivered,
            keys_told: self.world.keys_told,
            keys_untold: self.world.keys_untold,
            asked: self.world.carriers.open() + self.world.infos.len(),
            bans: self.world.abuse.list(self.world.now.mono).len(),
            dropped: self.world.abuse.dropped(),
            drops: self.world.endpoint.drops(),
            refused: self.refused,
            unwritten: self.world.unwritten,
        }
    }

    /// Digests what the endpoint has to tell, then looks after the calls as a whole.
    fn pump(&mut self) {
        while let Some(event) = self.world.endpoint.poll_event() {
            self.event(event);
        }
        self.tell_watchers();
        let now = self.world.now;
        if self.alive_at.is_none() && !self.calls.is_empty() {
            self.alive_at = Some(now.mono + self.world.config.alive);
        }
        let Some(drain) = &mut self.drain else {
            return;
        };
        let idle = self.calls.is_empty() && self.menus.len() == 0;
        if idle && !std::mem::replace(&mut drain.told, true) {
            self.world.emit(Effect::Drained);
        }
        let Some(drain) = &mut self.drain else {
            return;
        };
        if drain.deadline <= now.mono && !std::mem::replace(&mut drain.cut, true) {
            self.cut_menus();
            let ids: Vec<CallId> = self.calls.keys().copied().collect();
            for id in ids {
                self.on_call(id, |call, w| {
                    call.cut(w, ours(Kind::Shutdown));
                });
            }
            self.pump();
        }
    }

    /// The last that the leg of a session hears of it.
    fn last_of(
        &mut self,
        session: SessionId,
        act: impl FnOnce(&mut Leg, &mut World, &mut Trace, &[Codec]) -> Option<LegEvent>,
    ) {
        self.on_session(session, true, |call, w, no| call.on_leg(w, no, act));
    }

    /// Tells the leg of a session, and its flow what the leg makes of it.
    fn tell_leg(
        &mut self,
        session: SessionId,
        act: impl FnOnce(&mut Leg, &mut World, &mut Trace, &[Codec]) -> Option<LegEvent>,
    ) {
        self.on_session(session, false, |call, w, no| call.on_leg(w, no, act));
    }

    /// Tells the leg of a session what is no news to its flow.
    fn note(&mut self, session: SessionId, act: impl FnOnce(&mut Leg, &mut World, &mut Trace)) {
        self.tell_leg(session, |leg, w, trace, _| {
            act(leg, w, trace);
            None
        });
    }

    fn on_session(
        &mut self,
        session: SessionId,
        last: bool,
        act: impl FnOnce(&mut Call, &mut World, LegNo),
    ) {
        let leg = if last {
            self.world.sessions.remove(&session)
        } else {
            self.world.sessions.get(&session).copied()
        };
        if let Some(leg) = leg {
            self.on_call(leg.call, |call, w| act(call, w, leg.no));
        }
    }

    fn on_leg(&mut self, leg: LegId, act: impl FnOnce(&mut Call, &mut World)) {
        self.on_call(leg.call, act);
    }

    /// Lends the world to a call, then keeps the table of places true to it.
    fn on_call(&mut self, id: CallId, act: impl FnOnce(&mut Call, &mut World)) {
        self.lend(id, act);
        // Whoever hears of it may have a link of his own: each end goes once.
        loop {
            if let Some(leg) = self.world.barred.pop_front() {
                self.lend(leg.call, |call, w| call.barred(w, leg.no));
            } else if let Some(leg) = self.world.unlinked.pop_front() {
                self.lend(leg.call, |call, w| call.unlinked(w, leg.no));
            } else if let Some(leg) = self.world.tied.pop_front() {
                self.tie(leg);
            } else if let Some((call, step)) = self.world.visits.pop_front() {
                self.visit(call, step);
            } else if let Some((call, wish)) = self.world.menu_wishes.pop_front() {
                self.menu_wished(call, wish);
            } else {
                break;
            }
        }
    }

    fn lend(&mut self, id: CallId, act: impl FnOnce(&mut Call, &mut World)) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        act(call, &mut self.world);
        // Whom it is led on to may not be had either, and lead to somebody else.
        while let Some(wish) = self.calls.get_mut(&id).and_then(|call| call.wish.take()) {
            self.lead_on(id, wish);
        }
        self.gather(id);
        self.menu_hung_up(id);
        self.world.watches.touch(id);
        if let Some(call) = self.calls.get(&id).filter(|call| !call.is_live()) {
            self.places.leave(call.command.merchant, id);
            self.tellings.leave(call.command.merchant, id);
            self.world.capacities.leave(id);
        }
    }

    fn forget(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        // Whoever called a code and was not let in by the ledger in time has not come to his menu.
        if self.menus.callers.contains_key(&id) {
            self.menu_wished(id, MenuWish::Gone);
        }
        self.world.timers.cancel_call(id);
        self.world.fraud.forget(id);
        self.world.pools.forget(id);
        self.places.leave(call.command.merchant, id);
        self.tellings.leave(call.command.merchant, id);
        self.world.capacities.leave(id);
        if let Some(key) = &call.command.key {
            let key = (call.command.merchant, key.dialect, key.key.clone());
            if self.keys.get(&key) == Some(&id) {
                self.keys.remove(&key);
            }
        }
        if let Some(conference) = &call.command.conference
            && self.conferences.get(&conference.number) == Some(&id)
        {
            self.conferences.remove(&conference.number);
        }
    }

    /// Takes up who is in which group.
    fn settle_groups(&mut self) {
        let World { groups, agents, snapshot, .. } = &mut self.world;
        groups.settle(snapshot);
        agents.settle(snapshot);
    }

    fn answer(&mut self, token: u64, answer: Answer) {
        self.world.emit(Effect::Answer { token, answer });
    }
}

/// A call that is listed as live.
fn shows(call: &Call) -> bool {
    call.is_live() || call.is_dialled()
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{open_call, start};

    #[test]
    fn a_call_whose_last_deadline_is_gone_is_adrift() {
        let now = start();
        let mut engine = Engine::new(EngineConfig::default(), Arc::default(), now);
        for call in [1, 2] {
            engine.handle_command(now, Command::Recover(Box::new(open_call(CallId(call)))));
        }
        assert_eq!((engine.counts().calls, engine.adrift()), (2, None));
        // The other one has deadlines enough for both.
        engine.world.timers.set(crate::timers::Key::call(CallId(1), Timer::Deadline), now.mono);
        engine.world.timers.cancel_call(CallId(2));
        assert_eq!(engine.adrift(), Some(CallId(2)));
        assert!(engine.counts().timers >= engine.counts().calls);
    }
}
