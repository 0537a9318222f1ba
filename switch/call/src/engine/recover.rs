//! Calls that were open when the last process died: end what can be ended, put them on record.

use facts::ledger::{JournalLeg, OpenCall};
use facts::record::LegState;
use facts::{
    CallCommand, CallFacts, Failure, Kind, LegFacts, LegNo, Origin, Outcome, Purpose, Side,
    UnixMillis,
};
use sip::wire::Reason;

use crate::call::{Call, Plan};
use crate::flow::{Callback, Flow, side};
use crate::leg::{Onward, unpack};
use crate::route::Trail;
use crate::trace::Trace;

use super::Engine;

impl Engine {
    /// Ends one call of the last process. Its legs that were up are billed to the last proof of life.
    pub(super) fn recover(&mut self, open: OpenCall) {
        if self.calls.contains_key(&open.call) {
            return;
        }
        let crash = Failure::new(Origin::Us, Kind::Crash);
        let trace = Trace::new(open.call, self.world.now, &open.command);
        let cut_short = open.legs.is_empty() || open.legs.iter().any(|l| l.facts.ended.is_none());
        let mut legs = Vec::new();
        for leg in open.legs {
            self.farewell(&leg);
            let mut facts = leg.facts;
            if facts.ended.is_none() {
                facts.ended = Some(last_life(&facts, open.alive));
                facts.released_by = Some(Side::Platform);
                facts.failure = Some(crash);
                facts.q850 = facts.q850.or(Some(Kind::Crash.row().q850));
            }
            // Perhaps told before the crash, perhaps not: the store takes it once.
            trace.notify(&mut self.world, &facts, LegState::Disconnect);
            legs.push(facts);
        }
        legs.sort_by_key(|leg| leg.no);
        let (outcome, released_by) = if cut_short {
            (Outcome::Failed(crash), Side::Platform)
        } else {
            how_it_went(&legs, &open.command)
        };
        let facts = CallFacts {
            call: open.call,
            placed: open.placed,
            bridged: bridged(&legs),
            ended: legs.iter().filter_map(|leg| leg.ended).max().unwrap_or(open.alive),
            outcome,
            released_by,
            legs,
            unrung: Vec::new(),
            recording: None,
            unrecorded: None,
            message: None,
            mailbox: None,
            collected: Vec::new(),
            command: open.command,
        };
        let plan = Plan {
            flow: Flow::Callback(Callback::DialingA),
            // Nobody is rung any more.
            targets: Vec::new(),
            shown: [None, None],
            language: String::new(),
            max_talk: std::time::Duration::ZERO,
            onward: Onward::default(),
            trail: Trail::default(),
            delivered: None,
            between: None,
        };
        if let Some(key) = &facts.command.key {
            let key = (facts.command.merchant, key.dialect, key.key.clone());
            self.keys.insert(key, facts.call);
        }
        let call = Call::closed(&mut self.world, facts, plan);
        self.calls.insert(call.id, call);
    }

    /// The far end may still be talking or ringing: BYE or CANCEL, in the sessions as they were
    /// written down. A session that we had let go is told again, because our word may have died with
    /// us; one whose person hung up is not in the papers any more.
    pub(super) fn farewell(&mut self, leg: &JournalLeg) {
        let row = Kind::Crash.row();
        let reason = Reason::q850(u16::from(row.q850), row.label);
        if let Some(dialog) = &leg.dialog {
            self.world.hang_up(leg.leg, &unpack(dialog), &leg.facts.trunk, &reason);
        }
    }
}

/// The last instant at which a leg is known to have lived; never before its answer, never past what
/// was paid.
fn last_life(facts: &LegFacts, alive: UnixMillis) -> UnixMillis {
    let Some(answered) = facts.answered else {
        return alive.max(facts.invited);
    };
    let ended = alive.max(answered);
    facts.paid_until.map_or(ended, |paid| ended.min(answered + paid))
}

fn bridged(legs: &[LegFacts]) -> Option<UnixMillis> {
    // Whoever picked up for B had the call first.
    let a = legs.iter().find(|leg| leg.no == LegNo::A)?.answered?;
    let first =
        legs.iter().filter(|leg| leg.no != LegNo::A).filter_map(|leg| leg.answered).min()?;
    Some(a.max(first))
}

/// The same of a conference: it was held if its creator came, whatever became of the others.
fn how_it_was_held(legs: &[LegFacts]) -> (Outcome, Side) {
    let last = legs.iter().max_by_key(|leg| leg.ended);
    let by = last.and_then(|leg| leg.released_by).unwrap_or(Side::Platform);
    let creator = legs.iter().find(|leg| leg.no == LegNo::A);
    match creator.filter(|leg| leg.answered.is_none()) {
        Some(leg) => {
            let abandoned = Failure::new(Origin::LegA, Kind::Abandoned);
            (Outcome::Failed(leg.failure.unwrap_or(abandoned)), by)
        }
        None => (Outcome::Completed, by),
    }
}

/// Every leg was down before the crash: only the record was missing.
fn how_it_went(legs: &[LegFacts], command: &CallCommand) -> (Outcome, Side) {
    let first = legs.iter().min_by_key(|leg| leg.ended);
    let by = first.and_then(|leg| leg.released_by).unwrap_or(Side::Platform);
    if command.purpose == Purpose::Conference {
        return how_it_was_held(legs);
    }
    // B's failure is why the call failed even when A was let go for it; A's comes first otherwise.
    // A transfer that failed is no end of the call, nor is a B whose place somebody has taken.
    let joined = bridged(legs).is_some();
    let counts = |leg: &&LegFacts| !joined && leg.no <= LegNo::B || leg.answered.is_some();
    if let Some(failure) = legs.iter().rev().filter(counts).find_map(|leg| leg.failure) {
        return (Outcome::Failed(failure), by);
    }
    // Where nobody was to be joined with A, it is enough that A was there.
    let heard = command.b.is_none() && first.is_some_and(|leg| leg.answered.is_some());
    if joined || heard {
        return (Outcome::Completed, by);
    }
    let origin = if by == side(LegNo::A) { Origin::LegA } else { Origin::LegB };
    (Outcome::Failed(Failure::new(origin, Kind::Abandoned)), by)
}
