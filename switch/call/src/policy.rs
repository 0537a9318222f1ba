//! The gate of policies, beside the one against toll fraud and in the same places: every leg that leads outside
//! passes it, however it came about. How often a number may be rung is counted by the ledger, with the hold.

use facts::fraud::limited;
use facts::ledger::Cap;
use facts::policy::{Asking, Policy, Reason, Rule, Stopped};
use facts::routing::PolicyOf;
use facts::settings::Snapshot;
use facts::{CallId, LegNo, Number, Refusal, UnixMillis, Zone};

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
        let all = self.snapshot.policies.iter();
        all.filter_map(move |policy| Some((policy, policy.digits_about(asking, number)?)))
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

    /// How often numbers may be rung, each by a leg.
    pub(crate) fn caps<'n>(
        &self,
        asking: &Asking<'_>,
        legs: impl IntoIterator<Item = (LegNo, &'n Number)>,
    ) -> Vec<Cap> {
        if self.snapshot.policies.is_empty() {
            return Vec::new();
        }
        // Calls of a sandbox ring nobody: they use up nothing that others have.
        let apart = self.snapshot.is_sandbox(asking.merchant);
        let mut caps = Vec::new();
        for (leg, number) in legs {
            let about = self.policies_of(asking, number);
            caps.extend(
                about.filter_map(|(policy, digits)| {
                    policy.cap(asking.merchant, (leg, digits), apart)
                }),
            );
        }
        caps
    }

    /// The ledger has found that one of these numbers was rung as often as it may be. Which it was it does not say: all
    /// policies that count any of them are told of, with the last number that one of them counts.
    pub(crate) fn rung_too_often(
        &mut self,
        (call, asking): (CallId, &Asking<'_>),
        numbers: &[Number],
    ) {
        let mut names: Vec<&str> = Vec::new();
        let mut counted = None;
        for number in numbers {
            let counting = self.policies_of(asking, number);
            for (policy, _) in counting.filter(|(policy, _)| !policy.rule.at_most.is_empty()) {
                counted = Some(number);
                if !names.contains(&policy.name.as_str()) {
                    names.push(&policy.name);
                }
            }
        }
        let by = (names.join(", "), Reason::TooOften);
        if let Some(number) = counted {
            self.tell_stopped(asking.stopped(by, Some(call), number));
        }
    }

    fn tell_stopped(&mut self, stopped: Stopped) {
        self.emit(Effect::Stopped(Box::new(stopped)));
    }
}
