//! One gate for every leg that leads outside, however it came about: asked for by a merchant, dialled by a
//! phone, added by a transfer or a forward. Sums are the ledger's to watch; what can be told from the number,
//! the hour and the legs that there are is told here, before anything is asked for.

use std::collections::{BTreeMap, BTreeSet};

use facts::fraud::{Alert, Scope, limited};
use facts::settings::Snapshot;
use facts::{CallId, LegId, LegNo, Number, Refusal, UnixMillis};

use crate::event::Effect;
use crate::world::World;

/// Legs by the classes of destinations that somebody may only call so many times at once.
#[derive(Debug, Default)]
pub(crate) struct Fraud {
    /// Each as long as the leg is not down.
    live: BTreeMap<(Scope, String), BTreeSet<LegId>>,
    of_leg: BTreeMap<LegId, Vec<(Scope, String)>>,
}

impl Fraud {
    /// Every limit that one more leg to this number would break, with those to the numbers `ahead` of it.
    fn broken(
        &self,
        settings: &Snapshot,
        scopes: &[Scope],
        (ahead, number): (&[&str], &Number),
        at: UnixMillis,
    ) -> Vec<Alert> {
        let Some(digits) = limited(number) else { return Vec::new() };
        let local = settings.zone.local(at);
        let known = scopes.iter().filter_map(|scope| Some((scope, settings.fraud.get(scope)?)));
        let alerts = known.flat_map(|(scope, limits)| {
            let live = |prefix: &str| {
                let class = (scope.clone(), prefix.to_owned());
                let ahead = ahead.iter().filter(|digits| digits.starts_with(prefix)).count();
                self.live.get(&class).map_or(0, BTreeSet::len) + ahead
            };
            let broken: Vec<_> = limits.broken_by(digits, local, live).collect();
            broken.into_iter().map(|rule| limits.alert(scope, rule).about(None, Some(number)))
        });
        alerts.collect()
    }

    /// Counts a leg that was let through.
    fn enter(&mut self, settings: &Snapshot, scopes: &[Scope], leg: LegId, number: &Number) {
        let Some(digits) = limited(number) else { return };
        for scope in scopes {
            let Some(limits) = settings.fraud.get(scope) else { continue };
            for to in limits.prefixes_of(digits) {
                let class = (scope.clone(), to.prefix.clone());
                self.of_leg.entry(leg).or_default().push(class.clone());
                self.live.entry(class).or_default().insert(leg);
            }
        }
    }

    /// A leg is down, or will never be. Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, leg: LegId) {
        for class in self.of_leg.remove(&leg).into_iter().flatten() {
            if let Some(legs) = self.live.get_mut(&class) {
                legs.remove(&leg);
                if legs.is_empty() {
                    self.live.remove(&class);
                }
            }
        }
    }

    /// A call is gone, with legs that nobody ever dialled.
    pub(crate) fn forget(&mut self, call: CallId) {
        let of_call = LegId::new(call, LegNo(0))..=LegId::new(call, LegNo(u8::MAX));
        let legs: Vec<LegId> = self.of_leg.range(of_call).map(|(leg, _)| *leg).collect();
        for leg in legs {
            self.leave(leg);
        }
    }

    /// Legs that are counted.
    pub(crate) fn len(&self) -> usize {
        self.of_leg.len()
    }
}

impl World {
    /// Whether whoever is under these limits may have legs to all of these numbers. Whoever watches is told of
    /// every limit in the way. `call`: the one that there is already.
    pub(crate) fn may_call<'n>(
        &mut self,
        (call, scopes): (Option<CallId>, &[Scope]),
        numbers: impl IntoIterator<Item = &'n Number>,
    ) -> Result<(), Refusal> {
        if self.snapshot.fraud.is_empty() {
            return Ok(());
        }
        let mut allowed = Ok(());
        let mut ahead = Vec::new();
        for number in numbers {
            for alert in self.fraud.broken(&self.snapshot, scopes, (&ahead, number), self.now.wall)
            {
                if alert.blocked {
                    allowed = Err(Refusal::Blocked);
                }
                self.emit(Effect::Fraud(Box::new(Alert { call, ..alert })));
            }
            ahead.extend(limited(number));
        }
        allowed
    }

    /// Counts a leg that may be.
    pub(crate) fn count_leg(&mut self, scopes: &[Scope], leg: LegId, number: &Number) {
        if !self.snapshot.fraud.is_empty() {
            self.fraud.enter(&self.snapshot, scopes, leg, number);
        }
    }
}
