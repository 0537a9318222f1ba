//! A third leg for a call that is up, because one of the two wants the other one to be joined with it
//! (RFC 5589 §6). It is priced, paid and put on record like the others, and takes its place in the pair when it
//! answers.

use facts::conference;
use facts::fraud::Scope;
use facts::ledger::{AddLeg, Added};
use facts::media::MediaCommand;
use facts::policy::Asking;
use facts::{Failure, LegId, LegNo, Number, Origin, Refusal, Side};

use crate::call::{Call, Phase};
use crate::divert::LEGS_MAX;
use crate::event::{Effect, Hear, Input, LegEvent, Report, ours};
use crate::flow::Talk;
use crate::leg::{Called, Leg, Onward};
use crate::route::Target;
use crate::timers::{Key, Timer};
use crate::world::World;

/// A leg that somebody wants the other one to be joined with.
pub(crate) struct Wanted {
    /// Who.
    pub(crate) by: LegNo,
    /// The extension that asks, or leads the call on: its limits count as those of the call do.
    pub(crate) asks: Option<String>,
    /// Its number.
    pub(crate) to: LegNo,
    pub(crate) target: Target,
    pub(crate) called: Called,
    pub(crate) shown: Option<Number>,
}

impl Call {
    /// The number of a leg that this one may ask for now: both talk, and no other transfer is under way.
    pub(crate) fn room_for_transfer(&self, by: LegNo) -> Option<LegNo> {
        let talk = self.plan.flow.talk().filter(|_| matches!(self.phase, Phase::Live))?;
        let both = self.pair.contains(&by)
            && self.leg(by).is_some_and(Leg::is_up)
            && self.pair.iter().all(|no| self.leg(*no).is_some_and(Leg::is_there));
        (both && talk.is_plain()).then_some(())?;
        self.next_leg()
    }

    /// The number of a leg that this call may still have.
    pub(crate) fn next_leg(&self) -> Option<LegNo> {
        let most = if self.roster.is_some() { conference::LEGS_MAX } else { LEGS_MAX };
        // Supervisors take nobody's place.
        let most = most + self.supervisors;
        let no = u8::try_from(self.legs.len()).ok()?;
        (self.legs.len() < most).then_some(LegNo(no))
    }

    /// Begins a transfer for which there is room. `told`: whoever asks wants to know what becomes of it.
    pub(crate) fn transfer(&mut self, w: &mut World, wanted: Wanted, (cseq, told): (u32, bool)) {
        let Wanted { by, to, .. } = wanted;
        if self.room_for_transfer(by) != Some(to) {
            return;
        }
        self.legs.push(None);
        self.transfer = Some(wanted);
        self.with(by, |leg, _| leg.referred(w, cseq, told));
        self.feed(w, Input::Transfer { by, to });
    }

    /// Asks for the leg, whatever it costs.
    pub(crate) fn add(&mut self, w: &mut World, to: LegNo) {
        let Some(wanted) = &self.transfer else { return };
        let number = wanted.target.number();
        let own = self.scopes_of(w, wanted.asks.as_deref());
        let mut scopes = Scope::all_of(&self.command);
        scopes.extend(own.iter().cloned());
        let asking = self.asking();
        let allowed = w
            .may_call((Some(self.id), &scopes), [&number])
            .and_then(|()| w.may_ring((Some(self.id), &asking), [&number]));
        if let Err(refusal) = allowed {
            let failure = LegEvent::Failed(ours(refusal.kind()));
            self.inbox.push_back(Input::Leg(to, failure));
            return;
        }
        w.count_leg(&scopes, LegId::new(self.id, to), &number);
        w.timers.set(Key::call(self.id, Timer::Transfer), w.now.mono + w.config.authorize);
        let at = self.clock(w.now.mono);
        let caps = w.caps(&asking, [(to, &number)]);
        w.emit(Effect::AddLeg(AddLeg { leg: LegId::new(self.id, to), number, own, caps, at }));
    }

    /// For whom somebody is rung, and for what.
    fn asking(&self) -> Asking<'_> {
        Asking::of(&self.command, !self.is_inbound())
    }

    /// One of the numbers that it was to ring was rung as often as it may be.
    pub(crate) fn rung_too_often(&self, w: &mut World) {
        let numbers: Vec<_> = self.plan.targets.iter().map(Target::number).collect();
        w.rung_too_often((self.id, &self.asking()), &numbers);
    }

    /// The limits of an extension of the payer's that the call is not under anyhow.
    pub(crate) fn scopes_of(&self, w: &World, user: Option<&str>) -> Vec<Scope> {
        let known = user.and_then(|user| Some((user, w.snapshot.extensions.get(user)?)));
        let Some((user, extension)) =
            known.filter(|(_, extension)| extension.merchant == self.command.merchant)
        else {
            return Vec::new();
        };
        let call = Scope::all_of(&self.command);
        let sub_account = extension.sub_account.map(Scope::SubAccount);
        let own = sub_account.into_iter().chain([Scope::Extension(user.to_owned())]);
        own.filter(|scope| !call.contains(scope)).collect()
    }

    /// The ledger's word on a leg that was asked for. One that comes too late changes nothing: what is held
    /// goes back when the call is settled.
    pub(crate) fn added(&mut self, w: &mut World, to: LegNo, answer: Added) {
        if self.roster.is_some() {
            return self.participant_added(w, to, Some(answer));
        }
        if self.supervised_by(to).is_some() {
            return self.supervisor_added(w, to, Some(answer));
        }
        if !self.waits_for_ledger(to) {
            self.never(w, to);
            return;
        }
        match answer {
            Added::Refused(refusal) => {
                let number = self.transfer.as_ref().map(|wanted| wanted.target.number());
                if let (Refusal::TooOften, Some(number)) = (refusal, number) {
                    w.rung_too_often((self.id, &self.asking()), &[number]);
                }
                self.not_added(w, Failure::new(Origin::Billing, refusal.kind()));
            }
            Added::Paid(paid) => {
                w.timers.cancel(Key::call(self.id, Timer::Transfer));
                let Some(wanted) = &self.transfer else { return };
                let id = LegId::new(self.id, to);
                let shown = wanted.shown.as_ref();
                match Leg::dial(w, id, &wanted.called, &wanted.target, shown, paid) {
                    Ok(mut leg) => {
                        leg.side = self.side_of(wanted.by);
                        self.legs[usize::from(to.0)] = Some(leg);
                    }
                    Err(failure) => {
                        self.inbox.push_back(Input::Leg(to, LegEvent::Failed(failure)));
                    }
                }
                self.run(w);
            }
        }
    }

    /// The leg that was asked for will not be.
    pub(crate) fn not_added(&mut self, w: &mut World, failure: Failure) {
        w.timers.cancel(Key::call(self.id, Timer::Transfer));
        if let Some(to) = self.awaited().filter(|to| self.leg(*to).is_none()) {
            self.never(w, to);
            self.feed(w, Input::Leg(to, LegEvent::Failed(failure)));
        }
    }

    /// A leg that is not there will not be: it counts for nothing.
    fn never(&self, w: &mut World, to: LegNo) {
        if self.leg(to).is_none() {
            w.fraud.leave(LegId::new(self.id, to));
        }
    }

    /// The ledger could not be asked.
    pub(crate) fn add_failed(&mut self, w: &mut World, to: LegNo) {
        if self.roster.is_some() {
            return self.participant_added(w, to, None);
        }
        if self.supervised_by(to).is_some() {
            return self.supervisor_added(w, to, None);
        }
        if self.waits_for_ledger(to) {
            self.not_added(w, ours(facts::Kind::Internal));
        } else {
            self.never(w, to);
        }
    }

    fn waits_for_ledger(&self, to: LegNo) -> bool {
        self.awaited() == Some(to) && self.leg(to).is_none()
    }

    /// The leg that a transfer under way leads to, or that the call is led on to.
    fn awaited(&self) -> Option<LegNo> {
        let led_on = self.plan.flow.rings().filter(|no| *no > LegNo::B);
        self.plan.flow.talk().and_then(Talk::awaits).or(led_on)
    }

    /// Whose place a leg has.
    pub(crate) fn side_of(&self, no: LegNo) -> Side {
        if no == self.pair[0] { Side::Caller } else { Side::Callee }
    }

    /// A leg leaves its place before another one takes it: the file goes on with whoever stays.
    pub(crate) fn vacate(&mut self, w: &mut World, old: LegNo, new: LegNo) {
        if self.is_recorded() {
            let call = self.id;
            let pair = self.pair.map(|no| if no == old { new } else { no });
            let [left, right] = pair.map(|no| LegId::new(call, no));
            w.media(MediaCommand::Retape { call, left, right });
        }
    }

    /// Notes who took whose place.
    fn succeeded(&mut self, old: LegNo, new: LegNo) {
        let new = LegId::new(self.id, new);
        self.with(old, |leg, _| leg.facts.replaced_by = Some(new));
    }

    /// One leg takes the place of another: it and the one that stays hear each other.
    pub(crate) fn replace(&mut self, w: &mut World, old: LegNo, new: LegNo) {
        self.pair = self.pair.map(|no| if no == old { new } else { no });
        self.transfer = None;
        self.heed(w);
        // Before anything of whoever comes can be kept.
        self.ask_first(w);
        w.timers.cancel(Key::call(self.id, Timer::Park));
        let [left, right] = self.pair;
        let stays = self.other(new);
        let language = self.plan.language.clone();
        // One hears a leg at a time: whoever leaves is deaf before somebody else listens.
        self.with(old, |leg, _| leg.hear(w, Hear::Nothing, &language));
        self.succeeded(old, new);
        // Who supervises him goes with him.
        self.tend_monitor(w);
        self.hear_leg(w, new, stays);
        self.hear_leg(w, stays, new);
        let like = self.like(stays);
        self.with(stays, |leg, _| leg.resume(w, &like));
        if self.is_recorded() {
            let call = self.id;
            let [left, right] = [left, right].map(|no| LegId::new(call, no));
            w.media(MediaCommand::Retape { call, left, right });
        } else if self.is_joined() {
            self.begin_unasked(w);
        }
    }

    /// Whoever asked is told how far it has come.
    pub(crate) fn report(&mut self, w: &mut World, by: LegNo, report: Report) {
        let (status, last) = match report {
            Report::Ringing => (180, false),
            Report::Answered => (200, true),
            Report::Failed(failure) => (self.refusal().unwrap_or(failure.kind.row().sip), true),
        };
        self.with(by, |leg, _| leg.tell_referrer(w, status, last));
        if last && self.plan.flow.talk().is_some_and(Talk::is_plain) {
            self.transfer = None;
        }
    }

    /// What the leg that was asked for said itself.
    fn refusal(&self) -> Option<u16> {
        let leg = self.leg(self.transfer.as_ref()?.to)?;
        leg.facts.sip_final.filter(|status| *status >= 300)
    }
}

/// Whom a transfer rings, and how.
pub(crate) fn called(number: Number, as_sent: String, onward: Onward) -> Called {
    Called { number, as_sent, ring: crate::engine::RING, onward }
}
