//! Somebody supervises one of two who talk: he listens to both, whispers to the one, or talks with both.
//!
//! ```text
//!   two who talk       X ◄──► Y            while he is there all three are in the room of the call,
//!                                   ►      each with his own part in it;
//!   the supervisor     S rings             when he leaves, or whom he supervises does, X ◄──► Y
//! ```
//!
//! His is one more leg of the call, which the ledger is asked for, and which has its line in the record. The program of
//! the call does not know of him: whatever it does to the two it goes on doing, and a recording is of the two.

use facts::control::{ControlRefused, Mode};
use facts::fraud::Scope;
use facts::ledger::{AddLeg, Added};
use facts::media::{Codec, MediaCommand};
use facts::policy::Asking;
use facts::room::{RoomOrder, RoomRole};
use facts::{Failure, Kind, LegId, LegNo, Number, Origin, Refusal, Side};

use crate::call::{Call, Phase};
use crate::conference::Asked;
use crate::event::{Effect, Hear, Input, LegEvent, Release, ours};
use crate::flow::Talk;
use crate::leg::Leg;
use crate::timers::{Key, Timer};
use crate::world::World;

/// Times that somebody is rung to supervise one call at most.
const SUPERVISORS_MAX: usize = 24;

/// Who supervises a call.
pub(crate) struct Monitor {
    /// His leg.
    leg: LegNo,
    /// His extension.
    user: String,
    /// Whom he supervises.
    seat: LegNo,
    mode: Mode,
    /// What the ledger is asked for, until it answers.
    asked: Option<Asked>,
    /// He has answered, and is in the room.
    there: bool,
}

impl Monitor {
    /// What he may do in the room.
    fn role(&self) -> RoomRole {
        let full = RoomRole::default();
        match self.mode {
            Mode::Listen => RoomRole { speaks: false, ..full },
            Mode::Whisper => RoomRole { to: Some(self.seat), ..full },
            Mode::Barge => full,
        }
    }
}

impl Call {
    /// Whichever of the two who talk has this number, or was written so.
    pub(crate) fn talker(&self, who: &Number) -> Option<LegNo> {
        self.plan.flow.talk().filter(|_| matches!(self.phase, Phase::Live))?;
        let is = |leg: &Leg| {
            let own = leg.facts.number == *who || leg.facts.as_sent == who.digits();
            leg.is_up() && (own || leg.is_of(who))
        };
        self.pair.into_iter().find(|no| self.leg(*no).is_some_and(is))
    }

    /// The number that the leg of a supervisor would have now.
    pub(crate) fn room_for_monitor(&self) -> Result<LegNo, ControlRefused> {
        let plain = self.plan.flow.talk().is_some_and(Talk::is_plain);
        let there = self.pair.iter().all(|no| self.leg(*no).is_some_and(Leg::is_there));
        if !plain || !there || self.monitor.is_some() {
            return Err(ControlRefused::Pending);
        }
        let mixes = |no: &LegNo| {
            let spoken = self.leg(*no).and_then(|leg| leg.codecs().first().copied());
            spoken.is_none_or(Codec::transcodes)
        };
        if !self.pair.iter().all(mixes) {
            return Err(ControlRefused::Codec);
        }
        let more = self.supervisors < SUPERVISORS_MAX;
        self.next_leg().filter(|_| more).ok_or(ControlRefused::Full)
    }

    /// Somebody is to supervise one of the two: the ledger is asked for his leg.
    pub(crate) fn supervise(
        &mut self,
        w: &mut World,
        (user, seat, mode): (String, LegNo, Mode),
        asked: Asked,
    ) -> Result<(), ControlRefused> {
        let leg = self.room_for_monitor()?;
        let number = asked.target.number();
        let own = self.scopes_of(w, Some(&user));
        let mut scopes = Scope::all_of(&self.command);
        scopes.extend(own.iter().cloned());
        let asking = Asking::of(&self.command, !self.is_inbound());
        w.may_call((Some(self.id), &scopes), [&number])
            .and_then(|()| w.may_ring((Some(self.id), &asking), [&number]))
            .map_err(ControlRefused::Refused)?;
        let id = LegId::new(self.id, leg);
        w.count_leg(&scopes, id, &number);
        w.timers.set(Key::leg(id, Timer::Transfer), w.now.mono + w.config.authorize);
        let (at, caps) = (self.clock(w.now.mono), w.caps(&asking, [(leg, &number)]));
        self.legs.push(None);
        self.supervisors += 1;
        self.monitor =
            Some(Box::new(Monitor { leg, user, seat, mode, asked: Some(asked), there: false }));
        w.emit(Effect::AddLeg(AddLeg { leg: id, number, own, caps, at }));
        Ok(())
    }

    /// Whoever supervises takes part otherwise. False when this extension does not supervise the call.
    pub(crate) fn take_part(&mut self, w: &mut World, user: &str, mode: Mode) -> bool {
        let known = self.monitor.as_mut().filter(|monitor| monitor.user == user);
        let Some(monitor) = known else { return false };
        monitor.mode = mode;
        if monitor.there {
            let order = RoomOrder::Role { leg: monitor.leg, role: monitor.role() };
            w.media(MediaCommand::Room { call: self.id, order });
        }
        true
    }

    /// Whoever supervises leaves. False when this extension does not supervise the call.
    pub(crate) fn dismiss(&mut self, w: &mut World, user: &str) -> bool {
        let his = self.monitor.as_ref().is_some_and(|monitor| monitor.user == user);
        if his {
            self.unsupervise(w, None);
            self.run(w);
        }
        his
    }

    /// Whom this leg supervises.
    pub(crate) fn supervised_by(&self, no: LegNo) -> Option<LegNo> {
        self.monitor.as_ref().filter(|monitor| monitor.leg == no).map(|monitor| monitor.seat)
    }

    /// True while the two who talk, and who supervises, hear each other in a room.
    pub(crate) fn is_mixed(&self) -> bool {
        self.monitor.as_ref().is_some_and(|monitor| monitor.there)
    }

    /// The ledger's word on the leg of a supervisor.
    pub(crate) fn supervisor_added(&mut self, w: &mut World, no: LegNo, answer: Option<Added>) {
        let id = LegId::new(self.id, no);
        w.timers.cancel(Key::leg(id, Timer::Transfer));
        let Some(asked) = self.monitor.as_mut().and_then(|monitor| monitor.asked.take()) else {
            return;
        };
        // Somebody else may have rung him meanwhile.
        let user = self.monitor.as_ref().map_or("", |monitor| &monitor.user);
        let free = w.agents.is_free(user, id) && !w.agents.fades(user);
        let rung = match answer {
            Some(Added::Paid(_)) if !free => Err(ours(Kind::Busy)),
            Some(Added::Paid(paid)) => {
                let Asked { called, target, shown } = &asked;
                Leg::dial(w, id, called, target, shown.as_ref(), paid)
            }
            Some(Added::Refused(refusal)) => {
                if refusal == Refusal::TooOften {
                    let asking = Asking::of(&self.command, !self.is_inbound());
                    w.rung_too_often((self.id, &asking), &[asked.target.number()]);
                }
                Err(Failure::new(Origin::Billing, refusal.kind()))
            }
            None => Err(ours(Kind::Internal)),
        };
        match rung {
            Ok(mut leg) => {
                leg.side = self.monitor.as_ref().map_or(leg.side, |it| self.side_of(it.seat));
                self.legs[usize::from(no.0)] = Some(leg);
            }
            Err(failure) => {
                w.fraud.leave(id);
                self.inbox.push_back(Input::Leg(no, LegEvent::Failed(failure)));
            }
        }
        self.run(w);
    }

    /// News of the supervisor's leg, which the program of the call does not hear of. False for any other.
    pub(crate) fn of_supervisor(&mut self, w: &mut World, input: Input) -> bool {
        let Input::Leg(no, event) = input else { return false };
        if self.supervised_by(no).is_none() {
            return false;
        }
        match event {
            LegEvent::Answered => self.come_in(w),
            LegEvent::HungUp => self.unsupervise(w, None),
            LegEvent::Failed(failure) | LegEvent::Lost(failure) => {
                self.unsupervise(w, Some(failure));
            }
            LegEvent::Invited
            | LegEvent::Ringing
            | LegEvent::RingsOn
            | LegEvent::EarlyMedia
            | LegEvent::Anew
            | LegEvent::PromptOver
            | LegEvent::Unplayable
            | LegEvent::Offered(_)
            | LegEvent::Holds(_)
            | LegEvent::Agreed(_)
            | LegEvent::Declined(_)
            | LegEvent::Key(_) => {}
        }
        true
    }

    /// He has answered: all three are in the room from now on.
    fn come_in(&mut self, w: &mut World) {
        let Some(monitor) = self.monitor.as_mut() else { return };
        monitor.there = true;
        let (leg, role) = (monitor.leg, monitor.role());
        w.media(MediaCommand::Room { call: self.id, order: RoomOrder::Role { leg, role } });
        self.with(leg, |leg, _| leg.hear_room(w));
        self.hear_each_other(w);
    }

    /// He is there no more: his leg goes, and the two talk with each other alone.
    pub(crate) fn unsupervise(&mut self, w: &mut World, failure: Option<Failure>) {
        let Some(monitor) = self.monitor.take() else { return };
        let id = LegId::new(self.id, monitor.leg);
        w.timers.cancel(Key::leg(id, Timer::Transfer));
        if self.leg(monitor.leg).is_none() {
            w.fraud.leave(id);
        }
        let release = Release { by: Side::Platform, failure };
        self.with(monitor.leg, |leg, trace| leg.release(w, trace, release));
        if monitor.there {
            self.hear_each_other(w);
        }
    }

    /// The two who talk hear each other; one whose other one holds the call goes on waiting.
    fn hear_each_other(&mut self, w: &mut World) {
        if !self.plan.flow.talk().is_some_and(Talk::is_plain) {
            return;
        }
        for no in self.pair {
            let other = self.other(no);
            if !self.leg(other).is_some_and(Leg::lets_wait) {
                self.hear_leg(w, no, other);
            }
        }
    }

    /// One hears another: by the room, where somebody supervises the two.
    pub(crate) fn hear_leg(&mut self, w: &mut World, no: LegNo, other: LegNo) {
        if self.is_mixed() && self.pair.contains(&no) && self.pair.contains(&other) {
            return self.with(no, |leg, _| leg.hear_room(w));
        }
        let language = self.plan.language.clone();
        self.with(no, |leg, _| leg.hear(w, Hear::Leg(other), &language));
    }

    /// Whom he supervises is not there any more, or does not talk: then he goes as well.
    pub(crate) fn tend_monitor(&mut self, w: &mut World) {
        let Some(monitor) = &self.monitor else { return };
        let seated = self.pair.contains(&monitor.seat)
            && self.leg(monitor.seat).is_some_and(Leg::is_up)
            && self.plan.flow.talk().is_some();
        if !seated || !matches!(self.phase, Phase::Live) {
            self.unsupervise(w, None);
        }
    }
}
