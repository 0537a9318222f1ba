//! Numbers of merchants that a scenario answers: which they are, and who is told of their calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use facts::MerchantId;
use facts::scenario::{NumberScenario, Scenario};

/// By E.164 digits: whose scenario it is, and what it says.
#[derive(Default)]
pub(crate) struct Ivr(BTreeMap<String, (MerchantId, Arc<Scenario>)>);

/// How a caller who asks not to be known is called wherever his merchant is told of him (RFC 3323 §4.1.1.3).
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Ivr {
    /// Takes up how numbers stand, in the order of their changes. Calls under way go on as they began.
    pub(crate) fn learn(&mut self, numbers: Vec<NumberScenario>) {
        for NumberScenario { number, merchant, scenario } in numbers {
            match scenario {
                Some(scenario) => drop(self.0.insert(number, (merchant, scenario))),
                None => drop(self.0.remove(&number)),
            }
        }
    }

    /// What answers whoever calls a number that is this merchant's now.
    pub(crate) fn answers(&self, number: &str, owner: MerchantId) -> Option<&Arc<Scenario>> {
        let (merchant, scenario) = self.0.get(number)?;
        (*merchant == owner).then_some(scenario)
    }
}
