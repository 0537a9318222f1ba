//! What is done to calls from outside: one of two who talk is led on, or somebody comes in who supervises them.

use facts::control::{Control, ControlRefused, Led, Mode};
use facts::{CallId, MerchantId, Number, Refusal};

use crate::call::Call;
use crate::conference::Asked;
use crate::event::Input;
use crate::leg::Onward;
use crate::route::Target;
use crate::transfer::{Wanted, called};

use super::Engine;

impl Engine {
    /// Does it, or says why not.
    pub(super) fn control(
        &mut self,
        (id, merchant): (CallId, MerchantId),
        control: Control,
    ) -> Result<(), ControlRefused> {
        let call = self.calls.get(&id).ok_or(ControlRefused::NotTalking)?;
        if call.command.merchant != merchant {
            return Err(ControlRefused::NotTalking);
        }
        if self.drain.is_some() {
            return Err(ControlRefused::Refused(Refusal::Busy));
        }
        match control {
            Control::Transfer { who, to, as_sent } => self.lead_elsewhere(id, &who, &to, as_sent),
            Control::Monitor { who, supervisor, mode } => {
                self.monitor(id, &who, (supervisor, mode))
            }
            Control::Part { supervisor, mode } => {
                let mut done = false;
                self.on_call(id, |call, w| done = call.take_part(w, &supervisor, mode));
                done.then_some(()).ok_or(ControlRefused::NotTalking)
            }
            Control::Decline { extension } => {
                let legs = self.world.agents.legs(&extension).filter(|leg| leg.call == id);
                let legs: Vec<_> = legs.map(|leg| leg.no).collect();
                let mut done = false;
                self.on_call(id, |call, w| {
                    done = legs.into_iter().any(|no| call.declined(w, no, &extension));
                });
                done.then_some(()).ok_or(ControlRefused::NotTalking)
            }
            Control::Leave { supervisor } => {
                let mut done = false;
                self.on_call(id, |call, w| done = call.dismiss(w, &supervisor));
                done.then_some(()).ok_or(ControlRefused::NotTalking)
            }
        }
    }

    /// One of the two is led on to somebody else.
    fn lead_elsewhere(
        &mut self,
        id: CallId,
        who: &Led,
        to: &Number,
        as_sent: String,
    ) -> Result<(), ControlRefused> {
        let refused = ControlRefused::Refused;
        let call = self.calls.get(&id).ok_or(ControlRefused::NotTalking)?;
        let named = |who| call.talker(who).ok_or(ControlRefused::NotTalking);
        let stays = match who {
            Led::This(who) => named(who)?,
            Led::OtherOf(who) => call.other(named(who)?),
        };
        let by = call.other(stays);
        call.next_leg().ok_or(ControlRefused::Full)?;
        let no = call.room_for_transfer(by).ok_or(ControlRefused::Pending)?;
        let payer = call.command.merchant;
        let target = self.target((to, payer)).map_err(refused)?;
        let number = target.number();
        let known = call.pair.iter().filter_map(|no| call.leg(*no));
        if known.clone().any(|leg| leg.facts.number == number) {
            return Err(refused(Refusal::SameNumber));
        }
        let led = call.leg(stays);
        let shown = led.and_then(|led| call.shown_beside(&self.world.snapshot, &target, led));
        // A caller who hides hides from the third as well.
        let hidden = call.plan.onward.hidden && stays == facts::LegNo::A;
        let onward = Onward { hidden, ..self.onward(call) };
        self.pace_of(id)?;
        self.may_ring(id, &number)?;
        let called = called(number, as_sent, onward);
        let wanted = Wanted { by, asks: None, to: no, target, called, shown };
        self.on_call(id, |call, w| {
            call.legs.push(None);
            call.transfer = Some(wanted);
            call.feed(w, Input::Transfer { by, to: no });
        });
        Ok(())
    }

    /// An extension is rung that is to supervise one of the two.
    fn monitor(
        &mut self,
        id: CallId,
        who: &Number,
        (supervisor, mode): (String, Mode),
    ) -> Result<(), ControlRefused> {
        let refused = ControlRefused::Refused;
        let call = self.calls.get(&id).ok_or(ControlRefused::NotTalking)?;
        let seat = call.talker(who).ok_or(ControlRefused::NotTalking)?;
        call.room_for_monitor()?;
        let payer = call.command.merchant;
        let w = &self.world;
        let extension = w.snapshot.extensions.get(&supervisor);
        let own = extension.filter(|own| own.merchant == payer && own.enabled);
        own.ok_or(refused(Refusal::BadCaller))?;
        if !w.registrar.registered(&supervisor) {
            return Err(ControlRefused::Offline);
        }
        if w.agents.legs(&supervisor).next().is_some() || w.agents.fades(&supervisor) {
            return Err(ControlRefused::Busy);
        }
        let number = Number::Internal(supervisor.clone());
        let target = Target::Contacts(supervisor.clone());
        let shown = call.leg(seat).map(|leg| call.known_as(leg));
        let onward = self.onward(call);
        self.pace_of(id)?;
        let called = called(number, supervisor.clone(), onward);
        let asked = Asked { target, called, shown };
        let mut done = Err(ControlRefused::NotTalking);
        self.on_call(id, |call, w| {
            done = call.supervise(w, (supervisor, seat, mode), asked);
        });
        done
    }

    fn onward(&self, call: &Call) -> Onward {
        let payer = call.command.merchant;
        let sandboxed = self.world.snapshot.is_sandbox(payer);
        let between = call.plan.between.is_some();
        let payer = Some(payer);
        Onward { payer, sandboxed, named: between, between, ..Onward::default() }
    }

    /// Whoever pays for the call may have somebody rung in this second.
    fn pace_of(&mut self, id: CallId) -> Result<(), ControlRefused> {
        let payer = self.calls.get(&id).ok_or(ControlRefused::NotTalking)?.command.merchant;
        let merchant = self.world.snapshot.merchants.get(&payer);
        let enabled = merchant.filter(|merchant| merchant.enabled);
        let per_second =
            enabled.ok_or(ControlRefused::Refused(Refusal::Disabled))?.calls_per_second;
        self.pace(payer, per_second).map_err(ControlRefused::Refused)
    }

    /// Limits and policies, before whoever asks is told that it will be done.
    fn may_ring(&mut self, id: CallId, number: &Number) -> Result<(), ControlRefused> {
        let call = self.calls.get(&id).ok_or(ControlRefused::NotTalking)?;
        let scopes = facts::fraud::Scope::all_of(&call.command);
        let asking = facts::policy::Asking::of(&call.command, !call.is_inbound());
        let w = &mut self.world;
        w.may_call((Some(id), &scopes), [number])
            .and_then(|()| w.may_ring((Some(id), &asking), [number]))
            .map_err(ControlRefused::Refused)
    }
}
