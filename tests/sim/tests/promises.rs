//! The store in memory keeps what the durable ones keep: the same cases (`billing/tests/promises.rs`).

#[path = "../../../billing/tests/promises/mod.rs"]
mod cases;

use cases::Books;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, OpenCall};
use facts::record::{CallFacts, StateChange};
use facts::{CallId, LegId, LegNo, MerchantId, Micros, UnixMillis};
use sim::store::{Done, Store, Work};

/// What this store charges for a started minute.
const MINUTE: Micros = Micros(100_000);

struct InMemory(Store);

impl Books for InMemory {
    fn minute(&self) -> Micros {
        MINUTE
    }

    fn merchant(&self) -> MerchantId {
        sim::settings::MERCHANT
    }

    fn authorize(&mut self, ask: Authorize) -> Authorized {
        match self.0.perform(Work::Authorize(Box::new(ask))) {
            Done::Authorized(_, answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn abandon(&mut self, call: CallId) {
        self.0.perform(Work::Abandon(call, true));
    }

    fn add_leg(&mut self, ask: AddLeg) -> Option<Added> {
        match self.0.perform(Work::AddLeg(ask)) {
            Done::Added(_, answer) => Some(answer),
            Done::NotAdded(_) => None,
            other => panic!("{other:?}"),
        }
    }

    fn extend(&mut self, ask: Extend) -> Option<Extended> {
        match self.0.perform(Work::Extend(ask)) {
            Done::Extended(_, _, answer) => Some(answer),
            Done::NotExtended(..) => None,
            other => panic!("{other:?}"),
        }
    }

    fn journal(&mut self, leg: JournalLeg) {
        self.0.perform(Work::Journal(Box::new(leg), None));
    }

    fn papers(&mut self, leg: LegId, dialog: Option<Vec<u8>>) {
        self.0.perform(Work::Papers(leg, dialog, None));
    }

    fn alive(&mut self, call: CallId, at: UnixMillis) {
        self.0.perform(Work::Alive(vec![call], at));
    }

    fn notify(&mut self, change: StateChange) {
        self.0.perform(Work::Notify(change));
    }

    fn settle(&mut self, facts: CallFacts) {
        self.0.perform(Work::Settle(Box::new(facts)));
    }

    fn balance(&mut self) -> (Micros, Micros) {
        (self.0.balance, self.0.balance - self.0.available())
    }

    fn open_calls(&mut self) -> Vec<OpenCall> {
        self.0.open_calls()
    }

    fn farewells(&mut self) -> Vec<JournalLeg> {
        self.0.farewells()
    }

    fn prices(&mut self, call: CallId) -> Vec<(LegNo, Micros)> {
        let mine = self.0.cdrs.iter().filter(|(leg, _)| leg.call == call);
        mine.map(|(leg, price)| (leg.no, *price)).collect()
    }

    fn promised(&mut self, call: CallId) -> (usize, usize) {
        let states = self.0.states.get(&call).map_or(0, Vec::len);
        let records = self.0.outbox.get(&call).copied().unwrap_or(0);
        (states, usize::try_from(records).unwrap_or(usize::MAX))
    }
}

macro_rules! in_memory {
    ($( $case:ident ),* $(,)?) => {
        $( #[test]
        fn $case() {
            cases::$case(&mut InMemory(Store::new(Micros(MINUTE.0 * 10))));
        } )*
    };
}

every_promise!(in_memory);
