//! Privacy numbers (merchant API §6, AXB): whom a caller reaches by which of them.

use std::collections::BTreeMap;

use facts::axb::AxbBinding;
use facts::{MerchantId, UnixMillis};

/// Entries below which nothing is looked through.
const FEW: usize = 1_024;

/// One way of a binding.
struct Way {
    id: i64,
    merchant: MerchantId,
    to: String,
    until: UnixMillis,
}

/// The bindings that hold, both ways each: by the number called, then by who calls.
#[derive(Default)]
pub(crate) struct Axb {
    ways: BTreeMap<(String, String), Way>,
    /// As many as were left when lapsed ones were last thrown out.
    kept: usize,
}

impl Axb {
    /// Takes up how bindings stand, in the order of their changes.
    pub(crate) fn learn(&mut self, bindings: Vec<AxbBinding>, now: UnixMillis) {
        for AxbBinding { id, merchant, number, a, b, until } in bindings {
            for (from, to) in [(&a, &b), (&b, &a)] {
                let key = (number.clone(), from.clone());
                match until.filter(|until| *until > now) {
                    Some(until) => {
                        self.ways.insert(key, Way { id, merchant, to: to.clone(), until });
                    }
                    // A later binding of the same two is another one.
                    None if self.ways.get(&key).is_some_and(|way| way.id == id) => {
                        self.ways.remove(&key);
                    }
                    None => {}
                }
            }
        }
        if self.ways.len() > FEW.max(2 * self.kept) {
            self.ways.retain(|_, way| way.until > now);
            self.kept = self.ways.len();
        }
    }

    /// Whom somebody reaches at this moment by a number of a merchant's.
    pub(crate) fn leads(
        &self,
        (number, from): (&str, &str),
        merchant: MerchantId,
        now: UnixMillis,
    ) -> Option<&str> {
        let way = self.ways.get(&(number.to_owned(), from.to_owned()))?;
        (way.merchant == merchant && way.until > now).then_some(way.to.as_str())
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
                until: Some(UnixMillis(now.0 + 60_000)),
            };
            axb.learn(vec![binding], now);
            assert!(axb.ways.len() <= FEW + 2, "{}", axb.ways.len());
        }
    }
}
