//! From a request to a call: idempotency, limits, targets, the ledger's word.

use std::time::Duration;

use facts::capacity::Holder;
use facts::fraud::Scope;
use facts::ledger::{Authorize, Authorized, LegQuote, OpenCall};
use facts::policy::Asking;
use facts::settings::Merchant;
use facts::{
    CallCommand, CallId, Kind, LegId, LegNo, MerchantId, Number, Placed, Refusal, UnixMillis,
};

use crate::call::{Call, LEGS, Phase, Plan};
use crate::event::{Answer, Effect, ours};
use crate::flow::{Callback, Flow};
use crate::leg::{Arrival, Onward};
use crate::route::{self, Target, Trail};
use crate::timers::{Key, Timer};
use crate::world::World;

use super::Engine;

/// Requests that may wait for one answer of the ledger.
const WAITING_MAX: usize = 32;
/// The ledger has this long to say anything at all; then the call no longer waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// For so long no call is taken after the ports had run out.
const NO_PORTS: Duration = Duration::from_secs(1);
/// Calls that were let go without the ledger's answer and are remembered at most. What a later answer
/// says of older ones is settled by the next process, from the journal.
const UNANSWERED_MAX: usize = 1_024;

/// What is left of a call of which the ledger said nothing in time.
pub(super) struct Unanswered {
    call: CallId,
    command: CallCommand,
    placed: UnixMillis,
}

impl Engine {
    /// A callback. The answer comes when the holds are committed.
    pub(super) fn place(&mut self, token: u64, command: CallCommand) {
        if self.same_request(token, &command) {
            return;
        }
        let plan = self.admit(command.merchant).and_then(|()| self.plan(&command));
        let plan = plan.and_then(|plan| {
            let numbers: Vec<Number> = plan.targets.iter().map(Target::number).collect();
            self.world.may_call((None, &Scope::all_of(&command)), &numbers)?;
            let asking = Asking::of(&command, true);
            self.world.may_ring((None, &asking), &numbers)?;
            if let Some(conference) = &command.conference {
                self.may_gather(None, &conference.others, &asking)?;
            }
            self.holders(&command, None).map(|holders| (plan, holders))
        });
        match plan {
            Ok((plan, holders)) => {
                let priced = &LEGS[..plan.targets.len()];
                let id = self.begin(command, plan, None, priced);
                self.hold(id, holders);
                if let Some(Call { phase: Phase::Authorizing { waiting, .. }, .. }) =
                    self.calls.get_mut(&id)
                {
                    waiting.push(token);
                }
            }
            Err(refusal) => {
                self.refused += 1;
                self.answer(token, Answer::Placed(Err(refusal)));
            }
        }
    }

    /// Answers a request whose key a live call bears, without starting another one.
    fn same_request(&mut self, token: u64, command: &CallCommand) -> bool {
        let Some(key) = &command.key else {
            return false;
        };
        let held = (command.merchant, key.dialect, key.key.clone());
        let Some(call) = self.keys.get(&held).and_then(|id| self.calls.get_mut(id)) else {
            return false;
        };
        let answer = match &mut call.phase {
            _ if call.command.key.as_ref() != Some(key) => Err(Refusal::KeyConflict),
            // Given up, and not yet known to be out of the ledger.
            Phase::Authorizing { doomed: Some(_), .. } => Err(Refusal::Busy),
            Phase::Authorizing { waiting, .. } if waiting.len() < WAITING_MAX => {
                waiting.push(token);
                return true;
            }
            Phase::Authorizing { .. } => Err(Refusal::Busy),
            Phase::Live | Phase::Closing | Phase::Settling { .. } => {
                Ok(Placed { call: call.id, duplicate: true })
            }
        };
        self.answer(token, Answer::Placed(answer));
        true
    }

    /// Whether this merchant may start a call now. Counts it when it may.
    pub(super) fn admit(&mut self, id: MerchantId) -> Result<(), Refusal> {
        let config = &self.world.config;
        if self.drain.is_some() || self.calls.len() >= config.calls_max || self.is_strained() {
            return Err(Refusal::Busy);
        }
        let merchant = self.world.snapshot.merchants.get(&id).ok_or(Refusal::UnknownMerchant)?;
        if !merchant.enabled {
            return Err(Refusal::Disabled);
        }
        let Merchant { max_calls, calls_per_second, .. } = *merchant;
        if !self.places.room(id, max_calls) {
            return Err(Refusal::TooManyCalls);
        }
        self.pace(id, calls_per_second)
    }

    /// Whose places a call takes, if they all have one.
    pub(super) fn holders(
        &self,
        command: &CallCommand,
        delivered: Option<&str>,
    ) -> Result<Vec<Holder>, Refusal> {
        let w = &self.world;
        if w.snapshot.capacity.is_empty() {
            return Ok(Vec::new());
        }
        let holders = Holder::all_of(command, delivered);
        let local = w.snapshot.zone.local(w.now.wall);
        let room = w.capacities.room(&w.snapshot, &holders, (w.now.mono, local));
        if room { Ok(holders) } else { Err(Refusal::TooManyCalls) }
    }

    /// A call takes them.
    pub(super) fn hold(&mut self, id: CallId, holders: Vec<Holder>) {
        let World { capacities, snapshot, now, .. } = &mut self.world;
        // It may be over already: what never began holds nothing.
        if self.calls.contains_key(&id) {
            capacities.enter(snapshot, (id, holders), now.mono);
        }
    }

    /// Whether another call would only wait for what does not come: the ledger is behind, or there were no
    /// ports a moment ago. The calls under way have what is left.
    pub(super) fn is_strained(&self) -> bool {
        let w = &self.world;
        let behind = self.backlog.is_behind(w.now.mono, w.config.backlog);
        behind || self.no_ports_until.is_some_and(|until| until > w.now.mono)
    }

    /// The media plane had no port for a leg.
    pub(super) fn out_of_ports(&mut self) {
        self.no_ports_until = Some(self.world.now.mono + NO_PORTS);
    }

    /// Whether this merchant may ring somebody in this second. Counts it when it may.
    pub(super) fn pace(&mut self, id: MerchantId, per_second: Option<u32>) -> Result<(), Refusal> {
        let now = self.world.now.mono;
        let all = self.world.config.calls_per_second;
        if !self.merchant_rates.room(id, per_second, now) || !self.rate.room((), all, now) {
            return Err(Refusal::TooManyCalls);
        }
        self.merchant_rates.count(id, per_second, now);
        self.rate.count((), all, now);
        Ok(())
    }

    fn plan(&self, command: &CallCommand) -> Result<Plan, Refusal> {
        let snapshot = &self.world.snapshot;
        let merchant = snapshot.merchants.get(&command.merchant).ok_or(Refusal::UnknownMerchant)?;
        if let Number::Internal(user) = &command.a.number {
            let owner = snapshot.extensions.get(user).filter(|e| e.merchant == command.merchant);
            if !owner.ok_or(Refusal::BadCaller)?.enabled {
                return Err(Refusal::Disabled);
            }
        }
        let mut trail = Trail::default();
        let mut targets = vec![self.target((&command.a.number, command.merchant))?];
        if let Some(b) = &command.b {
            let b = self.lead(&b.number, command.merchant, &mut trail);
            // Whoever we rang for a merchant is not to talk to a machine of ours.
            let b = b.ok().filter(|target| !matches!(target, Target::Voicemail(_)));
            targets.push(b.ok_or(Refusal::NoRoute)?);
        } else if let Some(conference) = &command.conference {
            // The creator is one of its legs.
            if conference.others.len() >= facts::conference::LEGS_MAX {
                return Err(Refusal::TooManyCalls);
            }
        } else if command.scenario.is_none() {
            return Err(Refusal::NoRoute);
        }
        if let [a, b] = &targets[..]
            && a.is_line_of(b)
        {
            // Its line would be engaged by the very call that rings it.
            return Err(Refusal::SameNumber);
        }
        let b_shown = command.b.as_ref().and_then(|b| b.shown.clone());
        let default = merchant.shown.clone().map(Number::public);
        Ok(Plan {
            flow: Flow::Callback(Callback::DialingA),
            targets,
            shown: [command.a.shown.clone().or(default.clone()), b_shown.or(default)],
            language: merchant.language.clone(),
            max_talk: command.max_talk.map_or(merchant.max_talk, |max| max.min(merchant.max_talk)),
            onward: Onward::default(),
            trail,
            delivered: None,
            between: None,
        })
    }

    /// Where a number leads for which this merchant pays, if anywhere.
    pub(super) fn target(&self, (number, payer): (&Number, MerchantId)) -> Result<Target, Refusal> {
        let w = &self.world;
        let target =
            route::target(&w.snapshot, |user| w.registrar.registered(user), (number, payer))
                .ok_or(Refusal::NoRoute)?;
        match target.public() {
            Some(number) if !route::leads(&w.snapshot, (number, payer), w.now.wall) => {
                Err(Refusal::NoRoute)
            }
            _ => Ok(target),
        }
    }

    /// Enters a call into the tables and asks the ledger for the legs that cost.
    pub(super) fn begin(
        &mut self,
        command: CallCommand,
        plan: Plan,
        arrival: Option<Arrival>,
        priced: &[LegNo],
    ) -> CallId {
        let w = &mut self.world;
        let id = self.ids.next(w.now.wall);
        let quote = |leg: &LegNo| {
            let target = plan.targets.get(usize::from(leg.0))?;
            Some(LegQuote { leg: *leg, number: target.number() })
        };
        let quotes: Vec<LegQuote> = priced.iter().filter_map(quote).collect();
        let scopes = Scope::all_of(&command);
        for quote in &quotes {
            w.count_leg(&scopes, LegId::new(id, quote.leg), &quote.number);
        }
        let asking = Asking::of(&command, arrival.is_none());
        let caps = w.caps(&asking, quotes.iter().map(|quote| (quote.leg, &quote.number)));
        let at = w.now.wall;
        let authorize = Authorize { call: id, command: command.clone(), legs: quotes, caps, at };
        if let Some(key) = &command.key {
            self.keys.insert((command.merchant, key.dialect, key.key.clone()), id);
        }
        self.places.enter(command.merchant, id);
        self.calls.insert(id, Call::new(w, id, command, plan, arrival));
        self.backlog.asked(w.now.mono, id);
        w.timers.set(Key::call(id, Timer::Authorize), w.now.mono + w.config.authorize);
        w.timers.set(Key::call(id, Timer::Unauthorized), w.now.mono + ANSWER_MAX);
        w.emit(Effect::Authorize(Box::new(authorize)));
        id
    }

    /// The ledger's word.
    pub(super) fn authorized(&mut self, id: CallId, answer: Authorized) {
        self.backlog.answered(self.world.now.mono, id);
        if self.answered_after_all(id, &answer) {
            return;
        }
        match answer {
            Authorized::Granted { .. } if self.is_given_up(id) => {
                if let Some(call) = self.calls.get(&id) {
                    let merchant = call.command.merchant;
                    self.world.emit(Effect::Abandon { call: id, merchant });
                }
            }
            Authorized::Granted { paid } => {
                self.tell(id, |first| Ok(Placed { call: id, duplicate: !first }));
                let command = self.calls.get(&id).map(|call| &call.command);
                if let Some(conference) = command.and_then(|command| command.conference.as_ref()) {
                    self.conferences.insert(conference.number.clone(), id);
                }
                self.on_call(id, |call, w| call.granted(w, &paid));
            }
            Authorized::Existing { call } => {
                self.tell(id, |_| Ok(Placed { call, duplicate: true }));
                self.turn_away(id, Kind::Internal);
            }
            Authorized::Refused(refusal) => {
                self.refused += 1;
                self.tell(id, |_| Err(refusal));
                if refusal == Refusal::TooOften {
                    self.on_call(id, |call, w| call.rung_too_often(w));
                }
                self.turn_away(id, refusal.kind());
            }
        }
    }

    /// The ledger could not be asked.
    pub(super) fn authorize_failed(&mut self, id: CallId) {
        self.backlog.answered(self.world.now.mono, id);
        self.refused += 1;
        self.tell(id, |_| Err(Refusal::Internal));
        self.turn_away(id, Kind::Congestion);
    }

    /// A callback whose merchant was told already that it is not to be.
    fn is_given_up(&self, id: CallId) -> bool {
        self.calls.get(&id).is_some_and(|call| {
            matches!(&call.phase, Phase::Authorizing { waiting, doomed: Some(_) }
                if waiting.is_empty() && !call.is_inbound())
        })
    }

    /// The ledger takes too long for whoever asks. Should it grant the call after all, a callback is taken
    /// back, so that a repeat of the request is a call of its own and not the echo of one that never was;
    /// until then the repeat is told to wait. An inbound call is told to come later, and put on record.
    pub(super) fn authorize_late(&mut self, id: CallId) {
        self.tell(id, |_| Err(Refusal::Internal));
        self.on_call(id, |call, w| {
            call.cut(w, ours(Kind::Congestion));
        });
    }

    /// The ledger says nothing: the call gives back its key and its place.
    pub(super) fn authorize_never(&mut self, id: CallId) {
        if let Some(Call { phase: Phase::Authorizing { .. }, command, placed, .. }) =
            self.calls.get(&id)
        {
            if self.unanswered.len() == UNANSWERED_MAX {
                self.unanswered.pop_front();
            }
            let left = Unanswered { call: id, command: command.clone(), placed: *placed };
            self.unanswered.push_back(left);
            self.authorize_failed(id);
        }
    }

    /// An answer to a call that was let go meanwhile. What it holds is given back by a record.
    fn answered_after_all(&mut self, id: CallId, answer: &Authorized) -> bool {
        let Some(at) = self.unanswered.iter().position(|left| left.call == id) else {
            return false;
        };
        let left = self.unanswered.remove(at);
        if let (Some(Unanswered { call, command, placed }), Authorized::Granted { .. }) =
            (left, answer)
        {
            self.recover(OpenCall { call, command, placed, legs: Vec::new(), alive: placed });
        }
        true
    }

    /// Answers everybody who waits for the ledger; the first one is told apart.
    fn tell(&mut self, id: CallId, answer: impl Fn(bool) -> Result<Placed, Refusal>) {
        let Some(Call { phase: Phase::Authorizing { waiting, .. }, .. }) = self.calls.get_mut(&id)
        else {
            return;
        };
        for (at, token) in std::mem::take(waiting).into_iter().enumerate() {
            self.answer(token, Answer::Placed(answer(at == 0)));
        }
    }

    /// Forgets a call that never began. An inbound INVITE is refused with the row's status.
    fn turn_away(&mut self, id: CallId, kind: Kind) {
        let authorizing = |call: &Call| matches!(call.phase, Phase::Authorizing { .. });
        if !self.calls.get(&id).is_some_and(authorizing) {
            return;
        }
        self.on_call(id, |call, w| call.turn_away(w, kind));
        self.forget(id);
    }
}
