//! Privacy numbers (merchant API §6, AXB): whom a caller reaches by which of them, and what becomes known of the two.

use std::collections::BTreeMap;
use std::sync::Arc;

use facts::axb::AxbBinding;
use facts::settings::Snapshot;
use facts::{MerchantId, Number, UnixMillis};

use crate::call::Call;
use crate::leg::Leg;
use crate::route::Target;

/// Entries below which nothing is looked through.
const FEW: usize = 1_024;

/// One way of a binding.
struct Way {
    to: String,
    of: Arc<Binding>,
}

/// What both ways of a binding have in common.
struct Binding {
    id: i64,
    until: UnixMillis,
    reference: String,
    context: String,
}

/// Whom a caller reaches.
#[derive(Clone)]
pub(crate) struct Reached {
    /// His number, E.164 digits.
    pub(crate) to: String,
    /// The merchant's own word.
    pub(crate) reference: String,
    /// What is told of the call bears this.
    pub(crate) context: String,
}

/// The bindings that hold, both ways each: by whose they are, the number called, and who calls. A number may become
/// another merchant's while those of the former one have not lapsed.
#[derive(Default)]
pub(crate) struct Axb {
    ways: BTreeMap<(MerchantId, String, String), Way>,
    /// As many as were left when lapsed ones were last thrown out.
    kept: usize,
}

impl Axb {
    /// Takes up how bindings stand, in the order of their changes.
    pub(crate) fn learn(&mut self, bindings: Vec<AxbBinding>, now: UnixMillis) {
        for AxbBinding { id, merchant, number, a, b, reference, context, until } in bindings {
            let until = until.filter(|until| *until > now);
            let of = until.map(|until| Arc::new(Binding { id, until, reference, context }));
            for (from, to) in [(&a, &b), (&b, &a)] {
                let key = (merchant, number.clone(), from.clone());
                match &of {
                    Some(of) => {
                        self.ways.insert(key, Way { to: to.clone(), of: Arc::clone(of) });
                    }
                    // A later binding of the same two is another one.
                    None if self.ways.get(&key).is_some_and(|way| way.of.id == id) => {
                        self.ways.remove(&key);
                    }
                    None => {}
                }
            }
        }
        if self.ways.len() > FEW.max(2 * self.kept) {
            self.ways.retain(|_, way| way.of.until > now);
            self.kept = self.ways.len();
        }
    }

    /// Whom somebody reaches at this moment by a number of a merchant's.
    pub(crate) fn leads(
        &self,
        (number, from): (&str, &str),
        merchant: MerchantId,
        now: UnixMillis,
    ) -> Option<Reached> {
        let way = self.ways.get(&(merchant, number.to_owned(), from.to_owned()))?;
        let Binding { reference, context, until, .. } = &*way.of;
        let (to, reference, context) = (way.to.clone(), reference.clone(), context.clone());
        (*until > now).then_some(Reached { to, reference, context })
    }
}

impl Call {
    /// The number by which whoever is on a leg is known to others than his merchant. Of two who reach each other by a
    /// privacy number it is that one, whoever has joined them meanwhile.
    pub(crate) fn known_as(&self, leg: &Leg) -> Number {
        match (&self.plan.between, &leg.facts.number) {
            (Some(between), Number::E164(_) | Number::Short(_)) => between.clone(),
            (_, number) => number.clone(),
        }
    }

    /// The same as phones are told it that watch each other.
    pub(crate) fn written_as(&self, snapshot: &Snapshot, leg: Option<&Leg>) -> String {
        match (&self.plan.between, leg.map(|leg| &leg.facts.number)) {
            (Some(between), Some(Number::E164(_) | Number::Short(_)) | None) => {
                snapshot.plan.national(between)
            }
            _ => leg.map_or(self.command.called_as_sent(), |leg| &leg.facts.as_sent).to_owned(),
        }
    }

    /// Who is shown to somebody who is joined with a leg of this call. A carrier would not believe a number that is
    /// not ours.
    pub(crate) fn shown_beside(
        &self,
        snapshot: &Snapshot,
        target: &Target,
        stays: &Leg,
    ) -> Option<Number> {
        match (target.number(), &self.plan.between) {
            (Number::Internal(_), _) => Some(self.known_as(stays)),
            (Number::E164(_) | Number::Short(_), Some(between)) => Some(between.clone()),
            (Number::E164(_) | Number::Short(_), None) => {
                let merchant = snapshot.merchants.get(&self.command.merchant)?;
                merchant.shown.clone().map(Number::public)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_that_lapsed_take_no_room_for_ever() {
        let mut axb = Axb::default();
        for id in 0..20_000_i64 {
            let now = UnixMillis(id * 1_000);
            let binding = AxbBinding {
                id,
                merchant: MerchantId(7),
                number: "861087654321".into(),
                a: format!("86138{id:08}"),
                b: format!("86139{id:08}"),
                reference: String::new(),
                context: String::new(),
                until: Some(UnixMillis(now.0 + 60_000)),
            };
            axb.learn(vec![binding], now);
            assert!(axb.ways.len() <= FEW + 2, "{}", axb.ways.len());
        }
    }
}
