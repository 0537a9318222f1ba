//! The store's promises, in memory: it survives the process, every unit of work is atomic, and every
//! unit may be repeated.
//!
//! The arithmetic here is deliberately naive (started minutes at a flat price): it is the oracle
//! against which the engine's use of holds is judged, not a second rating engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use call::Effect;
use facts::ledger::{
    AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, OpenCall, Paid,
};
use facts::record::LegState;
use facts::{
    Binding, CallFacts, CallId, LegFacts, LegId, LegNo, Micros, Number, Refusal, RequestKey,
    StateChange, SubAccountId, UnixMillis,
};

use crate::rung::Rung;

/// Price of one started minute of a public leg.
const MINUTE_PRICE: Micros = Micros(100_000);
/// What a hold covers.
const MINUTE: Duration = Duration::from_secs(60);

/// Work that the engine sends to the store.
#[derive(Clone, Debug)]
pub enum Work {
    /// See [`call::Effect::Authorize`].
    Authorize(Box<Authorize>),
    /// See [`call::Effect::Abandon`]; whether anybody waits for it.
    Abandon(CallId, bool),
    /// See [`call::Effect::AddLeg`].
    AddLeg(AddLeg),
    /// See [`call::Effect::Extend`].
    Extend(Extend),
    /// See [`call::Effect::Journal`].
    Journal(Box<JournalLeg>, Option<u32>),
    /// See [`call::Effect::Papers`].
    Papers(LegId, Option<Vec<u8>>, Option<u32>),
    /// See [`call::Effect::Alive`].
    Alive(Vec<CallId>, UnixMillis),
    /// See [`call::Effect::Notify`].
    Notify(StateChange),
    /// See [`call::Effect::Settle`].
    Settle(Box<CallFacts>),
    /// See [`call::Effect::SaveBinding`].
    SaveBinding(Box<Binding>),
    /// See [`call::Effect::DropBinding`].
    DropBinding(String, String),
}

/// What a unit of work gives back.
#[derive(Clone, Debug)]
pub enum Done {
    /// To `Authorize`.
    Authorized(CallId, Authorized),
    /// To `Abandon`.
    Abandoned(CallId),
    /// To `AddLeg`.
    Added(LegId, Added),
    /// To `AddLeg` of a call that is not open.
    NotAdded(LegId),
    /// To `Extend`.
    Extended(LegId, u32, Extended),
    /// To `Extend` of a call that is not open.
    NotExtended(LegId, u32),
    /// To `Journal` with a number.
    Journaled(LegId, u32),
    /// To `Settle`.
    Settled(CallId),
    /// To everything else.
    Nothing,
}

impl Work {
    /// What an effect asks of the store, if it does.
    #[must_use]
    pub fn of(effect: Effect) -> Option<Work> {
        Some(match effect {
            Effect::Authorize(ask) => Work::Authorize(ask),
            Effect::Abandon { call, .. } => Work::Abandon(call, true),
            Effect::AddLeg(ask) => Work::AddLeg(ask),
            Effect::Extend(ask) => Work::Extend(ask),
            Effect::Journal { entry, seq } => Work::Journal(entry, seq),
            Effect::Papers { leg, dialog, seq } => Work::Papers(leg, dialog, seq),
            Effect::Alive { calls, at } => Work::Alive(calls, at),
            Effect::Notify(change) => Work::Notify(change),
            Effect::Settle(facts) => Work::Settle(facts),
            Effect::SaveBinding(binding) => Work::SaveBinding(binding),
            Effect::DropBinding { user, key } => Work::DropBinding(user, key),
            _ => return None,
        })
    }

    /// The leg that is written down.
    #[must_use]
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Work::Journal(entry, _) => Some(entry.leg),
            Work::Papers(leg, ..) => Some(*leg),
            _ => None,
        }
    }

    /// Whether it writes down a session with this Call-ID.
    #[must_use]
    pub fn names(&self, call_id: &str) -> bool {
        let dialog = match self {
            Work::Journal(entry, _) => entry.dialog.as_deref(),
            Work::Papers(_, dialog, _) => dialog.as_deref(),
            _ => None,
        };
        dialog.is_some_and(|dialog| !snapshots(dialog, call_id).is_empty())
    }
}

/// What is written down of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// An INVITE of ours: enough for a CANCEL.
    pub early: bool,
    /// A dialog: enough for a BYE.
    pub up: bool,
}

/// The format that snapshots of INVITEs without an answer begin with; those of dialogs have others.
const EARLY: u8 = 2;

/// The formats of the snapshots that bear a Call-ID, in what a journal keeps of a leg.
fn snapshots(mut dialog: &[u8], call_id: &str) -> Vec<u8> {
    let mut formats = Vec::new();
    while let Some((length, rest)) = dialog.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((snapshot, rest)) = rest.split_at_checked(length) else { break };
        if snapshot.windows(call_id.len()).any(|window| window == call_id.as_bytes()) {
            formats.extend(snapshot.first());
        }
        dialog = rest;
    }
    formats
}

/// One ledger line. `amount` moves from the merchant to revenue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// On the merchant's side.
    pub merchant: Micros,
    /// On the revenue side.
    pub revenue: Micros,
}

/// A mistake that a ledger could make, to see whether the auditor finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A settled call is not debited.
    NoDebit,
    /// A settled call is debited twice.
    DoubleDebit,
    /// Money leaves the merchant and arrives nowhere.
    OneSided,
    /// Holds stay after the call was settled.
    KeptHolds,
    /// Holds are given out beyond the balance.
    Overdraft,
    /// The second leg has no CDR.
    NoCdr,
    /// The record is put into the outbox twice.
    TwoRecords,
    /// A settled call stays open in the journal.
    OpenJournal,
    /// The money is spent in somebody else's name.
    WrongSpender,
    /// What a far end may still have to be told goes with its call.
    LostPapers,
    /// What a far end had to be told stays for ever.
    KeptPapers,
    /// The record has every leg talk two seconds longer.
    LongLegs,
    /// The record has every leg talk ten seconds less.
    ShortLegs,
    /// Proofs of life are not kept.
    NoProofs,
}

#[derive(Debug)]
struct Hold {
    leg: LegId,
    amount: Micros,
    /// How long the leg may talk with this hold and those before it.
    until: Duration,
}

#[derive(Debug)]
struct Journaled {
    command: facts::CallCommand,
    placed: UnixMillis,
    alive: UnixMillis,
    legs: BTreeMap<LegNo, JournalLeg>,
}

/// Everything that survives a crash.
#[derive(Debug)]
pub struct Store {
    /// Prepaid balance of the only merchant, as posted.
    pub balance: Micros,
    /// What was paid in at the start.
    pub paid_in: Micros,
    /// Every posting.
    pub entries: Vec<Entry>,
    holds: BTreeMap<(LegId, u32), Hold>,
    open: BTreeMap<CallId, Journaled>,
    /// Legs of settled calls whose far ends may not know that they are over.
    farewells: BTreeMap<LegId, JournalLeg>,
    /// One record per settled call.
    pub records: BTreeMap<CallId, CallFacts>,
    /// One CDR per leg attempted.
    pub cdrs: BTreeMap<LegId, Micros>,
    /// How often each record was pushed into the outbox.
    pub outbox: BTreeMap<CallId, u32>,
    /// State pushes by call, in order.
    pub states: BTreeMap<CallId, Vec<(u32, LegNo, LegState)>>,
    keys: BTreeMap<RequestKey, CallId>,
    /// Legs that were priced; whoever calls us pays his own network.
    quoted: BTreeSet<LegId>,
    rung: Rung,
    /// What each sub-account spent of the balance; `None` is the merchant itself.
    pub spent: BTreeMap<Option<SubAccountId>, Micros>,
    /// What this store does wrong.
    pub fault: Option<Fault>,
    /// Legs whose INVITE was journaled.
    pub attempted: BTreeSet<LegId>,
    /// Registered contacts.
    pub bindings: BTreeMap<(String, String), Binding>,
}

impl Store {
    /// A store in which the merchant has paid in this much.
    #[must_use]
    pub fn new(balance: Micros) -> Store {
        Store {
            balance,
            paid_in: balance,
            entries: Vec::new(),
            holds: BTreeMap::new(),
            open: BTreeMap::new(),
            farewells: BTreeMap::new(),
            records: BTreeMap::new(),
            cdrs: BTreeMap::new(),
            outbox: BTreeMap::new(),
            states: BTreeMap::new(),
            keys: BTreeMap::new(),
            quoted: BTreeSet::new(),
            rung: Rung::default(),
            spent: BTreeMap::new(),
            fault: None,
            attempted: BTreeSet::new(),
            bindings: BTreeMap::new(),
        }
    }

    /// What is not spoken for.
    #[must_use]
    pub fn available(&self) -> Micros {
        self.balance - self.holds.values().map(|hold| hold.amount).sum()
    }

    /// Number of open holds.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.holds.len()
    }

    /// Calls whose journal is open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Whether another call has a leg with this Call-ID: a caller whose INVITE was not answered before
    /// a crash sends it again, and the next process takes it for a new one.
    #[must_use]
    pub fn called_again(&self, call: CallId, dialog: &str) -> bool {
        let open =
            self.open.iter().flat_map(|(id, j)| j.legs.values().map(|leg| (*id, &leg.facts)));
        let closed =
            self.records.iter().flat_map(|(id, facts)| facts.legs.iter().map(|l| (*id, l)));
        open.chain(closed).any(|(id, leg)| id != call && leg.sip_call_id == dialog)
    }

    /// What is written down now of sessions with this Call-ID.
    #[must_use]
    pub fn knows(&self, call_id: &str) -> Known {
        let legs = self.open.values().flat_map(|open| open.legs.values());
        let mut known = Known::default();
        for leg in legs.chain(self.farewells.values()) {
            for format in snapshots(leg.dialog.as_deref().unwrap_or_default(), call_id) {
                known.early |= format == EARLY;
                known.up |= format != EARLY;
            }
        }
        known
    }

    /// Legs of settled calls that a restarted process has to end.
    #[must_use]
    pub fn farewells(&self) -> Vec<JournalLeg> {
        self.farewells.values().cloned().collect()
    }

    /// What a restarted process has to end.
    #[must_use]
    pub fn open_calls(&self) -> Vec<OpenCall> {
        self.open
            .iter()
            .map(|(call, j)| OpenCall {
                call: *call,
                command: j.command.clone(),
                placed: j.placed,
                legs: j.legs.values().cloned().collect(),
                alive: j.legs.values().map(|leg| latest(&leg.facts)).fold(j.alive, Ord::max),
            })
            .collect()
    }

    /// Does one unit of work, whole.
    pub fn perform(&mut self, work: Work) -> Done {
        match work {
            Work::Authorize(ask) => {
                let call = ask.call;
                Done::Authorized(call, self.authorize(*ask))
            }
            Work::Abandon(call, waited) => {
                self.abandon(call);
                if waited { Done::Abandoned(call) } else { Done::Nothing }
            }
            Work::AddLeg(ask) => {
                let leg = ask.leg;
                self.add_leg(&ask).map_or(Done::NotAdded(leg), |answer| Done::Added(leg, answer))
            }
            Work::Extend(ask) => match self.extend(ask) {
                Some(answer) => Done::Extended(ask.leg, ask.step, answer),
                None => Done::NotExtended(ask.leg, ask.step),
            },
            Work::Journal(entry, seq) => {
                let leg = entry.leg;
                self.journal(*entry);
                seq.map_or(Done::Nothing, |seq| Done::Journaled(leg, seq))
            }
            Work::Papers(leg, dialog, seq) => {
                self.papers(leg, dialog);
                seq.map_or(Done::Nothing, |seq| Done::Journaled(leg, seq))
            }
            Work::Alive(..) if self.fault == Some(Fault::NoProofs) => Done::Nothing,
            Work::Alive(calls, at) => {
                for call in calls {
                    if let Some(journaled) = self.open.get_mut(&call) {
                        journaled.alive = journaled.alive.max(at);
                    }
                }
                Done::Nothing
            }
            Work::Notify(change) => {
                let states = self.states.entry(change.leg.call).or_default();
                if !states.iter().any(|(sequence, ..)| *sequence == change.sequence) {
                    states.push((change.sequence, change.leg.no, change.state));
                }
                Done::Nothing
            }
            Work::Settle(facts) => {
                let call = facts.call;
                self.settle(*facts);
                Done::Settled(call)
            }
            Work::SaveBinding(binding) => {
                self.bindings.insert((binding.user.clone(), binding.key.clone()), *binding);
                Done::Nothing
            }
            Work::DropBinding(user, key) => {
                self.bindings.remove(&(user, key));
                Done::Nothing
            }
        }
    }

    fn authorize(&mut self, ask: Authorize) -> Authorized {
        let mine = |open: &Journaled| open.command == ask.command;
        if self.records.contains_key(&ask.call) {
            return Authorized::Refused(Refusal::Internal);
        }
        if let Some(open) = self.open.get(&ask.call) {
            // A repeat, or somebody else's id.
            return if mine(open) {
                let paid = |leg| Paid { leg, until: self.paid(LegId::new(ask.call, leg)) };
                Authorized::Granted { paid: ask.legs.iter().map(|quote| paid(quote.leg)).collect() }
            } else {
                Authorized::Refused(Refusal::Internal)
            };
        }
        if let Some(key) = &ask.command.key
            && let Some((used, call)) = self.keys.iter().find(|(used, _)| used.key == key.key)
        {
            if used.fingerprint != key.fingerprint {
                return Authorized::Refused(Refusal::KeyConflict);
            }
            return Authorized::Existing { call: *call };
        }
        if !self.rung.may(ask.call, &ask.caps, ask.at) {
            return Authorized::Refused(Refusal::TooOften);
        }
        let needed: Micros = ask.legs.iter().map(|leg| price(&leg.number)).sum();
        if needed > self.available() && self.fault != Some(Fault::Overdraft) {
            return Authorized::Refused(Refusal::NoBalance);
        }
        self.rung.count(ask.call, &ask.caps, ask.at);
        let mut paid = Vec::new();
        for quote in &ask.legs {
            let amount = price(&quote.number);
            let until = (amount > Micros::ZERO).then_some(MINUTE);
            self.quoted.insert(LegId::new(ask.call, quote.leg));
            if amount > Micros::ZERO {
                let leg = LegId::new(ask.call, quote.leg);
                self.holds.insert((leg, 0), Hold { leg, amount, until: MINUTE });
            }
            paid.push(Paid { leg: quote.leg, until });
        }
        if let Some(key) = &ask.command.key {
            self.keys.insert(key.clone(), ask.call);
        }
        let journaled = Journaled {
            command: ask.command,
            placed: ask.at,
            alive: ask.at,
            legs: BTreeMap::new(),
        };
        self.open.insert(ask.call, journaled);
        Authorized::Granted { paid }
    }

    /// `None`: there is no such open call.
    fn add_leg(&mut self, ask: &AddLeg) -> Option<Added> {
        self.open.get(&ask.leg.call)?;
        if !self.rung.may(ask.leg.call, &ask.caps, ask.at) {
            return Some(Added::Refused(Refusal::TooOften));
        }
        if let Some(paid) = self.paid(ask.leg) {
            return Some(Added::Paid(Some(paid)));
        }
        let amount = price(&ask.number);
        if amount > self.available() {
            return Some(Added::Refused(Refusal::NoBalance));
        }
        self.quoted.insert(ask.leg);
        self.rung.count(ask.leg.call, &ask.caps, ask.at);
        if amount == Micros::ZERO {
            return Some(Added::Paid(None));
        }
        self.holds.insert((ask.leg, 0), Hold { leg: ask.leg, amount, until: MINUTE });
        Some(Added::Paid(Some(MINUTE)))
    }

    /// As if the call had never been asked for; one that was dialled or is on record stays.
    fn abandon(&mut self, call: CallId) {
        if self.open.get(&call).is_none_or(|open| !open.legs.is_empty()) {
            return;
        }
        self.holds.retain(|_, hold| hold.leg.call != call);
        self.open.remove(&call);
        self.keys.retain(|_, used| *used != call);
        self.quoted.retain(|leg| leg.call != call);
        self.rung.keep(call, &[]);
    }

    /// How long a leg may talk; `None` when nothing is held for it: it is free.
    fn paid(&self, leg: LegId) -> Option<Duration> {
        self.holds.range((leg, 0)..=(leg, u32::MAX)).next_back().map(|(_, hold)| hold.until)
    }

    /// `None`: there is no such open call.
    fn extend(&mut self, ask: Extend) -> Option<Extended> {
        self.open.get(&ask.leg.call)?;
        if let Some(hold) = self.holds.get(&(ask.leg, ask.step)) {
            return Some(Extended::Paid(Some(hold.until)));
        }
        let Some(paid) = self.paid(ask.leg) else { return Some(Extended::Paid(None)) };
        if MINUTE_PRICE > self.available() {
            return Some(Extended::Exhausted);
        }
        let hold = Hold { leg: ask.leg, amount: MINUTE_PRICE, until: paid + MINUTE };
        self.holds.insert((ask.leg, ask.step), hold);
        Some(Extended::Paid(Some(paid + MINUTE)))
    }

    fn journal(&mut self, leg: JournalLeg) {
        let Some(open) = self.open.get_mut(&leg.leg.call) else { return };
        self.attempted.insert(leg.leg);
        open.legs.insert(leg.leg.no, leg);
    }

    fn papers(&mut self, leg: LegId, dialog: Option<Vec<u8>>) {
        let open = self.open.get_mut(&leg.call).and_then(|open| open.legs.get_mut(&leg.no));
        if let Some(row) = open.or_else(|| self.farewells.get_mut(&leg)) {
            row.dialog = dialog;
        }
        if self.fault != Some(Fault::KeptPapers) {
            self.farewells.retain(|_, row| row.dialog.is_some());
        }
    }

    fn settle(&mut self, facts: CallFacts) {
        if self.records.contains_key(&facts.call) {
            return;
        }
        let dialled: Vec<LegNo> = facts.legs.iter().map(|leg| leg.no).collect();
        self.rung.keep(facts.call, &dialled);
        for leg in &facts.legs {
            let id = LegId::new(facts.call, leg.no);
            let held: Micros =
                self.holds.values().filter(|hold| hold.leg == id).map(|hold| hold.amount).sum();
            let price = if self.quoted.contains(&id) { charge(leg) } else { Micros::ZERO };
            assert!(price <= held, "leg {id} costs {price} but holds {held}: {leg:?}");
            if price > Micros::ZERO {
                self.debit(facts.command.sub_account, price);
            }
            if leg.no != LegNo::B || self.fault != Some(Fault::NoCdr) {
                assert!(self.cdrs.insert(id, price).is_none(), "two CDRs for {id}");
            }
        }
        if self.fault != Some(Fault::KeptHolds) {
            self.holds.retain(|_, hold| hold.leg.call != facts.call);
        }
        if self.fault != Some(Fault::OpenJournal)
            && let Some(open) = self.open.remove(&facts.call)
            && self.fault != Some(Fault::LostPapers)
        {
            let owed = open.legs.into_values().filter(|leg| leg.dialog.is_some());
            self.farewells.extend(owed.map(|leg| (leg.leg, leg)));
        }
        let copies = if self.fault == Some(Fault::TwoRecords) { 2 } else { 1 };
        *self.outbox.entry(facts.call).or_default() += copies;
        let facts = self.misread(facts);
        self.records.insert(facts.call, facts);
    }

    /// What the record makes of the facts, when it has a fault.
    fn misread(&self, mut facts: CallFacts) -> CallFacts {
        let answered = facts.legs.iter_mut().filter(|leg| leg.answered.is_some());
        for ended in answered.filter_map(|leg| leg.ended.as_mut()) {
            match self.fault {
                Some(Fault::LongLegs) => *ended = *ended + Duration::from_secs(2),
                Some(Fault::ShortLegs) => *ended = *ended - Duration::from_secs(10),
                _ => {}
            }
        }
        facts
    }

    fn debit(&mut self, by: Option<SubAccountId>, price: Micros) {
        let times = match self.fault {
            Some(Fault::NoDebit) => 0,
            Some(Fault::DoubleDebit) => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.balance -= price;
            let revenue = if self.fault == Some(Fault::OneSided) { Micros::ZERO } else { price };
            self.entries.push(Entry { merchant: -price, revenue });
            let by = by.filter(|_| self.fault != Some(Fault::WrongSpender));
            *self.spent.entry(by).or_default() += price;
        }
    }
}

/// The latest instant in a leg's facts: whoever wrote it lived then.
fn latest(leg: &LegFacts) -> UnixMillis {
    let instants = [leg.progress, leg.alerting, leg.answered, leg.ended];
    instants.into_iter().flatten().fold(leg.invited, Ord::max)
}

fn charge(leg: &LegFacts) -> Micros {
    if matches!(leg.number, Number::Internal(_)) || leg.answered.is_none() {
        return Micros::ZERO;
    }
    let minutes = i64::try_from(leg.bill_seconds().div_ceil(60)).unwrap_or(i64::MAX);
    Micros(MINUTE_PRICE.0 * minutes)
}

/// What the first minute of a leg costs.
fn price(number: &Number) -> Micros {
    match number {
        Number::Internal(_) => Micros::ZERO,
        Number::E164(_) | Number::Short(_) => MINUTE_PRICE,
    }
}
