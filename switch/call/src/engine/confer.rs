//! Conferences: what is done to them from outside, and the ringing of those who are asked for, as fast as their payer
//! may start calls.

use facts::conference::{Act, ActRefused, Participant};
use facts::policy::Asking;
use facts::ports::When;
use facts::{CallId, Kind, MerchantId, Number, Refusal};

use crate::conference::Asked;
use crate::leg::{Called, Onward};
use crate::route::{self, Target, Trail};

use super::Engine;

impl Engine {
    /// Does something to a conference.
    pub(super) fn confer(&mut self, id: CallId, act: Act) -> Result<(), ActRefused> {
        let call = self.calls.get(&id).ok_or(ActRefused::Unknown)?;
        if let Act::Invite(all, key) = &act {
            call.is_new(key.as_ref())?;
            if self.drain.is_some() {
                return Err(ActRefused::Refused(Refusal::Busy));
            }
            let command = call.command.clone();
            let asking = Asking::of(&command, true);
            self.may_gather(Some(id), all, &asking).map_err(ActRefused::Refused)?;
        }
        let mut done = Err(ActRefused::Unknown);
        self.on_call(id, |call, w| done = call.act(w, act));
        done
    }

    /// Whether each of these can be rung, and may be.
    pub(super) fn may_gather(
        &mut self,
        call: Option<CallId>,
        all: &[Participant],
        asking: &Asking<'_>,
    ) -> Result<(), Refusal> {
        let lead = |one: &Participant| self.leads_to(&one.party.number, asking.merchant);
        let targets: Result<Vec<_>, Kind> = all.iter().map(lead).collect();
        let targets = targets.map_err(|_| Refusal::NoRoute)?;
        let numbers: Vec<Number> = targets.iter().map(|(target, _)| target.number()).collect();
        self.world.may_ring((call, asking), &numbers)
    }

    /// What is rung for a participant. Whoever is rung for a merchant is not to be a machine of ours.
    fn leads_to(&self, number: &Number, payer: MerchantId) -> Result<(Target, Trail), Kind> {
        let mut trail = Trail::default();
        let target = self.lead(number, payer, &mut trail)?;
        match target {
            Target::Voicemail(_) => Err(Kind::Unreachable),
            target => Ok((target, trail)),
        }
    }

    /// What is rung for a number for which this merchant pays.
    pub(super) fn reached(&self, number: &Number, when: When, payer: MerchantId) -> Option<Number> {
        let target = match when {
            When::First => self.target((number, payer)).ok()?,
            When::Now => self.leads_to(number, payer).ok()?.0,
            When::Ever => {
                let leads = route::may_lead(&self.world.snapshot, (number, payer));
                return leads.then(|| number.clone());
            }
        };
        Some(target.number())
    }

    /// Asks for the legs of those whose turn it is.
    pub(super) fn gather(&mut self, id: CallId) {
        while let Some((_, participant)) =
            self.calls.get_mut(&id).and_then(crate::call::Call::next_to_ring)
        {
            let Some(asked) = self.participant(id, &participant).transpose() else {
                if let Some(call) = self.calls.get(&id) {
                    call.ring_later(&mut self.world);
                }
                return;
            };
            if let Some(call) = self.calls.get_mut(&id) {
                call.ring_next(&mut self.world, asked);
            }
        }
    }

    /// How a participant is rung; nothing where his payer has begun as many calls in this second as he may.
    fn participant(&mut self, id: CallId, who: &Participant) -> Result<Option<Asked>, Kind> {
        if self.drain.is_some() {
            return Err(Kind::Shutdown);
        }
        let call = self.calls.get(&id).ok_or(Kind::Internal)?;
        let payer = call.command.merchant;
        let snapshot = self.world.snapshot.clone();
        let merchant = snapshot.merchants.get(&payer).filter(|merchant| merchant.enabled);
        let merchant = merchant.ok_or(Kind::Blocked)?;
        let party = &who.party;
        let (target, trail) = self.leads_to(&party.number, payer)?;
        if self.pace(payer, merchant.calls_per_second).is_err() {
            return Ok(None);
        }
        let named = party.shown.is_some();
        let history = trail.headers(&snapshot, &[]);
        let sandboxed = snapshot.is_sandbox(payer);
        let payer = Some(payer);
        let onward = Onward { payer, sandboxed, named, history, ..Onward::default() };
        let called = Called {
            number: target.number(),
            as_sent: party.as_sent.clone(),
            ring: trail.ring(party.ring),
            onward,
        };
        let shown = party.shown.clone().or_else(|| merchant.shown.clone().map(Number::public));
        Ok(Some(Asked { target, called, shown }))
    }
}
