//! The gate of policies, beside the one against toll fraud and in the same places: every leg that leads outside
//! passes it, however it came about. How often a number may be rung is counted by the ledger, with the hold.

use facts::fraud::limited;
use facts::ledger::Cap;
use facts::policy::{Asking, Policy, Reason, Rule, Stopped};
use facts::routing::PolicyOf;
use facts::settings::Snapshot;
use facts::{CallId, Number, Refusal, UnixMillis, Zone};

use crate::event::Effect;
use crate::world::World;

/// Policies that an explanation names at most.
const TOLD_MAX: usize = 64;

/// What the policies say of a number at this moment.
pub(crate) fn explained(snapshot: &Snapshot, number: &Number, at: UnixMillis) -> Vec<PolicyOf> {
    let Some(digits) = limited(number) else { return Vec::new() };
    let concerned = snapshot.policies.iter().filter(|policy| policy.concerns(digits));
    let told = concerned.map(|policy| PolicyOf {
        policy: policy.name.clone(),
        about: about(snapshot, &policy.rule),
        says: says(policy, digits, at, &snapshot.zone),
    });
    told.take(TOLD_MAX).collect()
}

fn about(snapshot: &Snapshot, rule: &Rule) -> String {
    let named = |id| snapshot.merchants.get(id).map_or("?", |merchant| merchant.name.as_str());
    let listed = |names: Vec<&str>, what: &str| match names.len() {
        0 => None,
        _ => Some(format!("{what} {}", names.join(", "))),
    };
    let parts = [
        listed(rule.merchants.iter().map(named).collect(), "merchant"),
        listed(rule.apps.iter().map(String::as_str).collect(), "app"),
        listed(rule.services.iter().map(|service| service.word()).collect(), "service"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all calls".to_owned() } else { parts.join("; ") }
}

fn says(policy: &Policy, digits: &str, at: UnixMillis, home: &Zone) -> String {
    let now = match policy.forbids(digits, at, home) {
        Some(Reason::Listed) => "not rung: it is on a list".to_owned(),
        Some(Reason::NotListed) => "not rung: it is on no list of those that are".to_owned(),
        Some(Reason::Hours | Reason::TooOften) => "not rung at this time".to_owned(),
        None => "rung".to_owned(),
    };
    let spans = policy.rule.at_most.iter();
    let spans: Vec<String> =
        spans.map(|span| format!("{} in {} s", span.calls, span.within_s)).collect();
    let whose = if policy.rule.together { "" } else { " by each merchant" };
    match spans.len() {
        0 => now,
        _ => format!("{now}, at most {}{whose}", spans.join(", ")),
    }
}

impl World {
    /// The policies that are about somebody's calls to this number.
    fn policies_of<'w>(
        &'w self,
        asking: &'w Asking<'w>,
        number: &'w Number,
    ) -> impl Iterator<Item = (&'w Policy, &'w str)> {
        let digits = limited(number);
        let all = self.snapshot.policies.iter();
        all.filter_map(move |policy| {
            let digits = digits.filter(|digits| policy.is_about(asking, digits))?;
            Some((policy, digits))
        })
    }

    /// Whether all of these numbers may be rung now. Whoever watches is told of the first policy in the way.
    /// `call`: the one that there is already.
    pub(crate) fn may_ring<'n>(
        &mut self,
        (call, asking): (Option<CallId>, &Asking<'_>),
        numbers: impl IntoIterator<Item = &'n Number>,
    ) -> Result<(), Refusal> {
        if self.snapshot.policies.is_empty() {
            return Ok(());
        }
        let at = self.now.wall;
        for number in numbers {
            let forbidden = self.policies_of(asking, number).find_map(|(policy, digits)| {
                let reason = policy.forbids(digits, at, &self.snapshot.zone)?;
                Some((policy.name.clone(), reason))
            });
            if let Some(by) = forbidden {
                let reason = by.1;
                self.tell_stopped(asking.stopped(by, call, number));
                return Err(reason.refusal());
            }
        }
        Ok(())
    }

    /// How often a number may be rung.
    pub(crate) fn caps(&self, asking: &Asking<'_>, number: Option<&Number>) -> Vec<Cap> {
        if self.snapshot.policies.is_empty() {
            return Vec::new();
        }
        let policies = number.into_iter().flat_map(|number| self.policies_of(asking, number));
        // Calls of a sandbox ring nobody: they use up nothing that others have.
        let apart = self.snapshot.is_sandbox(asking.merchant);
        policies.filter_map(|(policy, digits)| policy.cap(asking.merchant, digits, apart)).collect()
    }

    /// The ledger has found that a number was rung as often as it may be.
    pub(crate) fn rung_too_often(
        &mut self,
        (call, asking): (CallId, &Asking<'_>),
        number: &Number,
    ) {
        let counting = self.policies_of(asking, number);
        let counting = counting.filter(|(policy, _)| !policy.rule.at_most.is_empty());
        let names: Vec<&str> = counting.map(|(policy, _)| policy.name.as_str()).collect();
        let by = (names.join(", "), Reason::TooOften);
        self.tell_stopped(asking.stopped(by, Some(call), number));
    }

    fn tell_stopped(&mut self, stopped: Stopped) {
        self.emit(Effect::Stopped(Box::new(stopped)));
    }
}
