//! Where a call is led on to, at its beginning and when a leg of it has failed: one gate for both.

use facts::{CallId, Kind, MerchantId, Number, Purpose, Refusal};

use crate::divert::Wish;
use crate::engine::RING;
use crate::leg::{Called, Onward};
use crate::route::{self, Target, Trail};

use super::Engine;

impl Engine {
    /// What is rung for a number, for which this merchant pays.
    pub(super) fn lead(
        &self,
        number: &Number,
        payer: MerchantId,
        trail: &mut Trail,
    ) -> Result<Target, Kind> {
        let w = &self.world;
        let registered = |user: &str| w.registrar.registered(user);
        let target = trail.follow(&w.snapshot, registered, (number, payer))?;
        match &target {
            Target::Public(number) | Target::Bound { phone: number, .. }
                if !route::leads(&w.snapshot, (number, payer), w.now.wall) =>
            {
                Err(Kind::NoRoute)
            }
            Target::Voicemail(user) if w.mail.of(user).is_full() => Err(Kind::Unreachable),
            _ => Ok(target),
        }
    }

    /// Who is shown to whoever a call was led on to. A carrier would not believe a number that is not ours.
    pub(super) fn shown_on(
        &self,
        target: &Target,
        payer: MerchantId,
        caller: &Number,
    ) -> Option<Number> {
        match target.number() {
            Number::Internal(_) => Some(caller.clone()),
            Number::E164(_) | Number::Short(_) => {
                let merchant = self.world.snapshot.merchants.get(&payer)?;
                merchant.shown.clone().map(Number::public)
            }
        }
    }

    /// Whether a call that wants to go elsewhere may, and where.
    pub(super) fn lead_on(&mut self, id: CallId, mut wish: Wish) {
        let led = self.led_on(id, &mut wish);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let w = &mut self.world;
        match led {
            Ok((Target::Voicemail(user), ..)) => call.divert_to_mailbox(w, wish, user),
            Ok(plan) => call.divert(w, wish, plan),
            Err(kind) => call.not_diverted(w, &wish, kind),
        }
    }

    fn led_on(
        &mut self,
        id: CallId,
        wish: &mut Wish,
    ) -> Result<(Target, Called, Option<Number>), Kind> {
        if self.drain.is_some() {
            return Err(Kind::Shutdown);
        }
        let call = self.calls.get(&id).ok_or(Kind::Internal)?;
        let payer = call.command.merchant;
        let spares = call.command.purpose == Purpose::Campaign;
        let (caller, onward) = (call.command.a.number.clone(), call.plan.onward.clone());
        let ring = call.command.b.as_ref().map_or(RING, |b| RING.max(b.ring));
        let snapshot = self.world.snapshot.clone();
        let merchant = snapshot.merchants.get(&payer).filter(|merchant| merchant.enabled);
        let per_second = merchant.ok_or(Kind::Blocked)?.calls_per_second;
        let target = match &wish.among {
            // A number may have passed on to somebody else since the scenario was written.
            Some(agents) => {
                let own = |user: &&String| {
                    snapshot.extensions.get(*user).is_some_and(|agent| agent.merchant == payer)
                };
                let agents: Vec<String> = agents.iter().filter(own).cloned().collect();
                if agents.is_empty() {
                    return Err(Kind::Unreachable);
                }
                Target::Agents(agents.into())
            }
            None => self.lead(&wish.number, payer, &mut wish.trail)?,
        };
        // Whoever we rang for a merchant is not to talk to a machine of ours; and a call has one recording.
        let records = call.is_inbound() && (call.command.scenario.is_none() || call.may_record());
        if matches!(target, Target::Voicemail(_)) && !records {
            return Err(Kind::Unreachable);
        }
        self.pace(payer, per_second).map_err(Refusal::kind)?;
        let shown = self.shown_on(&target, payer, &caller);
        let history = wish.trail.headers(&snapshot, &onward.history);
        let called = Called {
            number: target.number(),
            as_sent: wish.number.digits().to_owned(),
            ring: wish.trail.ring(ring),
            onward: Onward { history, sandboxed: snapshot.is_sandbox(payer), spares, ..onward },
        };
        Ok((target, called, shown))
    }
}
