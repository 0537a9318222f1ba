//! The auditor: recomputes from the outside what must hold, after every step and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use facts::record::LegState;
use facts::{CallFacts, Dialect, Failure, Kind, LegId, LegNo, Micros, PushKind};

use crate::settings;
use crate::shell::PATIENCE;
use crate::store::Store;
use crate::world::World;

/// A leg is down within this time once its flow has ended: 64·T1 for its BYE, and the longest way.
pub(crate) const DOWN_WITHIN: Duration = Duration::from_secs(33);

/// What the instants of a record are rounded by.
const CLOCK_STEP: Duration = Duration::from_millis(1);
/// A proof of life is at most this old (`EngineConfig::alive`), and dated down to its step.
const PROOF: Duration = Duration::from_millis(5_100);
/// From the last sound of a far end to the end of its leg (`EngineConfig::silence` of this world).
const SILENCE: Duration = Duration::from_secs(20);
/// From the end of a leg to its BYE, which may have to be written down first.
const IN_HAND: Duration = Duration::from_secs(1);

/// Holds after every step.
///
/// # Panics
/// When something does not add up; the message says what.
pub fn step(world: &mut World) {
    books(&world.store);
    if let Some(engine) = world.engine() {
        let counts = engine.counts();
        // Each call has one of its own: for the ledger, for its life, for its end, for its record.
        assert_eq!(engine.adrift(), None, "a call without a deadline: {counts:?}");
        // Two who talk, whom one of them is being transferred to, and who calls in: all that a call may have.
        assert!(counts.legs <= counts.calls * 8, "{counts:?}");
        let ports = world.media.streams.len();
        assert!(ports <= counts.ports, "media holds {ports} ports, the engine knows {counts:?}");
        subscriptions(world, counts.subscriptions);
    }
    legs_outlive_nothing(world);
}

/// No subscription lives for longer than it was granted for, by what was last said of it.
fn subscriptions(world: &World, standing: usize) {
    let mut last: BTreeMap<&str, (u32, Duration)> = BTreeMap::new();
    for ((id, number), until) in &world.granted {
        let newest = last.entry(id).or_insert((*number, *until));
        *newest = (*newest).max((*number, *until));
    }
    let granted = last.values().filter(|(_, until)| *until >= world.elapsed()).count();
    assert!(
        standing <= granted,
        "a subscription outlived what it was granted: {standing} stand, {granted} may"
    );
}

/// What holds of the books at any time, whoever drives the engine.
///
/// # Panics
/// When something does not add up; the message says what.
pub fn books(store: &Store) {
    ledger(store);
    records(store);
    spenders(store);
}

fn ledger(store: &Store) {
    let sum: Micros = store.entries.iter().map(|e| e.merchant + e.revenue).sum();
    assert_eq!(sum, Micros::ZERO, "entries sum to zero");
    let spent: Micros = store.entries.iter().map(|e| e.revenue).sum();
    assert_eq!(store.paid_in - spent, store.balance, "balance is what entries say");
    assert!(store.available() >= Micros::ZERO, "available fell to {}", store.available());
    let charged: Micros = store.cdrs.values().copied().sum();
    assert_eq!(charged, spent, "CDRs add up to the ledger");
}

/// What a sub-account spent is what the calls cost that were asked for in its name.
fn spenders(store: &Store) {
    let mut spent: BTreeMap<_, Micros> = BTreeMap::new();
    for (leg, price) in store.cdrs.iter().filter(|(_, price)| **price > Micros::ZERO) {
        let command = &store.records[&leg.call].command;
        let asked = settings::asked(command);
        assert_eq!(command.sub_account, asked, "{} was asked for by somebody else", leg.call);
        *spent.entry(asked).or_default() += *price;
    }
    assert_eq!(spent, store.spent, "what each sub-account spent");
}

fn records(store: &Store) {
    for (call, times) in &store.outbox {
        assert_eq!(*times, 1, "record of {call} entered the outbox {times} times");
    }
    for (call, facts) in &store.records {
        let legs: Vec<LegId> = facts.legs.iter().map(|leg| LegId::new(*call, leg.no)).collect();
        for leg in &legs {
            assert!(store.cdrs.contains_key(leg), "{leg} has no CDR");
        }
        let (first, last) = (LegId::new(*call, LegNo::A), LegId::new(*call, LegNo(u8::MAX)));
        let attempted: Vec<LegId> = store.attempted.range(first..=last).copied().collect();
        assert_eq!(attempted, legs, "the legs that were attempted are on record");
    }
}

/// States of a leg come in the order of life, each at most once.
///
/// # Panics
/// When they do not.
pub fn states(store: &Store, crashed: bool) {
    for (call, facts) in &store.records {
        if !facts.command.pushes.iter().any(|push| push.kind == PushKind::State) {
            continue;
        }
        let told = store.states.get(call).map(Vec::as_slice).unwrap_or_default();
        for leg in &facts.legs {
            let ended = (leg.no, LegState::Disconnect);
            let ended = told.iter().any(|(_, no, state)| (*no, *state) == ended);
            assert!(ended, "{call} leg {}: nobody was told of its end: {told:?}", leg.no);
        }
    }
    for (call, states) in &store.states {
        let mut by_leg: BTreeMap<LegNo, Vec<LegState>> = BTreeMap::new();
        let mut ordered = states.clone();
        ordered.sort_by_key(|(sequence, ..)| *sequence);
        // Whom nobody rang has no leg.
        ordered.retain(|(.., state)| !matches!(state, LegState::Unrung(_)));
        for (_, leg, state) in ordered {
            by_leg.entry(leg).or_default().push(state);
        }
        for (leg, states) in by_leg {
            let ranks: Vec<u32> = states.iter().map(|state| state.rank()).collect();
            assert!(ranks.windows(2).all(|w| w[0] < w[1]), "{call} leg {leg}: {states:?}");
            // A crash may swallow a state that was on its way to the store, never a leg's end.
            let first = ranks.first().copied();
            assert!(
                crashed || first == Some(0),
                "{call} leg {leg} begins with callout: {states:?}"
            );
            assert_eq!(ranks.last(), Some(&3), "{call} leg {leg} ends with disconnect: {states:?}");
        }
    }
}

/// A far end that still believes in a leg, or still rings for it, 33 s after its call was settled and the
/// process last started was never told: 64·T1 for its BYE, and the longest way. Longer only where the switch
/// may not tell it yet (`Wire::told_by`). Two excuses are left: the store was away for so long that the switch
/// went on without it, and then the process died; and a network that lost all that was to tell it.
fn legs_outlive_nothing(world: &mut World) {
    let (now, started) = (world.elapsed(), world.started_at);
    let due = |settled: Duration| now >= settled.max(started) + DOWN_WITHIN;
    if world.engine().is_none() || !world.settled_at.values().any(|settled| due(*settled)) {
        return;
    }
    let alive: BTreeSet<String> =
        world.fars.iter().flat_map(|far| [far.up(), far.ringing()].concat()).collect();
    for (call, settled) in world.settled_at.clone() {
        let Some(facts) = world.store.records.get(&call).filter(|_| due(settled)) else { continue };
        let mut over = true;
        for leg in &facts.legs {
            let dialog = &leg.sip_call_id;
            let told = now >= world.wire.told_by(dialog, settled.max(started));
            over &= told;
            assert!(
                !told
                    || !alive.contains(dialog)
                    || world.unknowable(dialog)
                    || world.wire.is_deaf(dialog)
                    || world.store.called_again(call, dialog),
                "leg {} of {call} outlived its call: settled at {settled:?}, now {now:?}",
                leg.no
            );
        }
        if over {
            world.settled_at.remove(&call);
        }
    }
}

/// Holds when the world has been quiet for long enough.
///
/// # Panics
/// When anything is left over.
pub fn rest(world: &mut World) {
    let counts = world.engine().expect("alive at the end").counts();
    let leaks = (counts.calls, counts.legs, counts.ports, counts.transactions, counts.sessions);
    assert_eq!(leaks, (0, 0, 0, 0, 0), "left over in the engine: {counts:?}");
    assert_eq!(counts.agents, 0, "extensions that are busy for ever: {counts:?}");
    let asked = (counts.subscriptions, counts.messages);
    assert_eq!(asked, (0, 0), "subscriptions or messages left over: {counts:?}");
    assert_eq!(counts.papers, 0, "papers of legs that are gone: {counts:?}");
    assert_eq!(counts.heard, 0, "sessions of legs that are gone: {counts:?}");
    assert_eq!(world.media.streams.len(), 0, "left over in the media plane");
    assert_eq!(world.store.holds(), 0, "holds left over");
    assert_eq!(world.store.open(), 0, "journals left open");
    assert_eq!(world.store.farewells().len(), 0, "far ends that nobody told");
    for far in &world.fars {
        for dialog in far.up().into_iter().chain(far.ringing()) {
            let excused = world.unknowable(&dialog) || world.wire.is_deaf(&dialog);
            assert!(excused, "{} still talks or rings in {dialog}", far.at);
        }
    }
    for call in world.accepted() {
        assert!(world.store.records.contains_key(&call), "{call} was accepted and has no record");
    }
    if world.drains() && counts.calls == 0 {
        assert!(world.drained, "nobody was told that the switch is empty");
    }
    states(&world.store, world.crashed());
    wire(world);
    step(world);
}

/// A leg is billed for no longer than the wire saw it up, and for no shorter: except for what its far end
/// said that it was silent, and after a crash for what was behind the last proof of life.
fn wire(world: &World) {
    for (call, facts) in &world.store.records {
        for leg in &facts.legs {
            let (talk, dialog) = (leg.talk(), &leg.sip_call_id);
            if world.store.called_again(*call, dialog) {
                continue;
            }
            let Some((answer, seen)) = world.wire.answered(dialog) else {
                // A caller's leg, which costs nobody anything, is up when we decide to answer; our 200 waits
                // for the journal, and a crash or a CANCEL may come before it leaves.
                let first = leg.no == LegNo::A && facts.command.dialect == Dialect::Rest;
                // Whoever called in as well.
                let caller = first || leg.no > LegNo::B && leg.paid_until.is_none();
                let decided = if caller { PATIENCE } else { Duration::ZERO };
                assert!(talk <= decided, "{call} {}: {talk:?} without an answer", leg.no);
                continue;
            };
            let over = seen.over.unwrap_or(world.elapsed());
            // A caller's leg is up when we decide to answer; our 200 waits for the journal.
            let decided = if answer.ours { PATIENCE } else { Duration::ZERO };
            let most = over.saturating_sub(answer.left) + decided;
            assert!(
                talk <= most + CLOCK_STEP,
                "{call} leg {} is billed {talk:?} and was up for {most:?}: {seen:?}",
                leg.no
            );
            let known = world.deaths.get(&answer.life).map(|known| known.saturating_sub(PROOF));
            let silent = [leg.failure, failure(facts)].into_iter().flatten();
            let silent = silent.map(|failure| failure.kind).any(|kind| kind == Kind::MediaSilence);
            let unbilled = if silent { SILENCE } else { Duration::ZERO } + IN_HAND;
            let end = known.map_or(over, |known| known.min(over)).saturating_sub(unbilled);
            // Whom we answered we may not tell that it is over before its ACK came (RFC 3261 §15).
            let told = if answer.ours { seen.acked.unwrap_or(end) } else { answer.reached };
            let least = end.saturating_sub(told);
            assert!(
                talk >= least,
                "{call} leg {} is billed only {talk:?} of {least:?} that are known: {seen:?}",
                leg.no
            );
        }
    }
}

fn failure(facts: &CallFacts) -> Option<Failure> {
    match facts.outcome {
        facts::Outcome::Completed => None,
        facts::Outcome::Failed(failure) => Some(failure),
    }
}

/// How a call came out, in a word.
#[must_use]
pub fn outcome(facts: &CallFacts) -> String {
    match facts.outcome {
        facts::Outcome::Completed => "completed".to_owned(),
        facts::Outcome::Failed(failure) => {
            format!("{:?}:{}", failure.origin, failure.kind.row().label)
        }
    }
}
