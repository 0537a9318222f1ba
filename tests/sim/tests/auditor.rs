//! The auditor can fail: each mistake of a ledger, a shell or a network that it is there to find is
//! made once, on days that add up without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use facts::Micros;
use sim::far::Skills;
use sim::store::Fault;
use sim::{Plan, World};

/// A mild day, on which everything that is found wrong was done wrong on purpose.
fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        calls: 12,
        over: Duration::from_secs(120),
        crashes: 0,
        paid_in: Micros::units(1000),
        max_calls: None,
        stormy: false,
        dials: 4,
        drain: true,
        shaky: false,
        aimed: 0,
        skills: Skills::default(),
        watched: false,
    }
}

/// What the auditor said of the day; empty when it found nothing.
fn verdict(plan: Plan, spoil: impl FnOnce(&mut World)) -> String {
    let mut world = World::new(plan);
    spoil(&mut world);
    match catch_unwind(AssertUnwindSafe(|| world.run())) {
        Ok(()) => String::new(),
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    }
}

#[test]
fn a_day_without_a_mistake_passes() {
    for seed in 1..4 {
        assert_eq!(verdict(plan(seed), |_| {}), "");
    }
}

#[test]
fn every_mistake_of_a_ledger_is_found() {
    for (fault, words) in [
        (Fault::NoDebit, "CDRs add up"),
        (Fault::DoubleDebit, "CDRs add up"),
        (Fault::OneSided, "entries sum to zero"),
        (Fault::KeptHolds, "holds left over"),
        (Fault::NoCdr, "has no CDR"),
        (Fault::TwoRecords, "entered the outbox 2 times"),
        (Fault::OpenJournal, "journals left open"),
        (Fault::WrongSpender, "what each sub-account spent"),
        (Fault::KeptPapers, "far ends that nobody told"),
        (Fault::LongLegs, "and was up for"),
        (Fault::ShortLegs, "is billed only"),
    ] {
        let said = verdict(plan(1), |world| world.store.fault = Some(fault));
        assert!(said.contains(words), "{fault:?}: {said:?}");
    }
    let poor = Plan { paid_in: Micros(300_000), ..plan(1) };
    assert_eq!(verdict(poor, |_| {}), "", "poverty is no mistake");
    let said = verdict(poor, |world| world.store.fault = Some(Fault::Overdraft));
    assert!(said.contains("available fell to"), "{said:?}");
}

#[test]
fn every_effect_that_a_shell_forgets_is_missed() {
    for (effect, words) in [
        ("Settle", "left over in the engine"),
        ("Journal", "left before it was written down"),
        ("Notify", "nobody was told of its end"),
        ("Media(Close", "media holds"),
        ("Drained", "nobody was told that the switch is empty"),
    ] {
        let said = verdict(plan(1), |world| world.forgets = Some(effect));
        assert!(said.contains(words), "{effect}: {said:?}");
    }
}

#[test]
fn a_bye_or_cancel_that_is_never_sent_is_missed() {
    for method in ["BYE", "CANCEL"] {
        // Not every day has somebody who rings on and on, and whom only a CANCEL can stop.
        let missed = (1..=20).any(|seed| {
            verdict(plan(seed), |world| world.swallows = Some(method)).contains("outlived its call")
        });
        assert!(missed, "{method}");
    }
}

/// Every BYE of the last seconds of a process is lost, and it dies while it repeats them: the call may be
/// settled by then, and the far end is told all the same, by the next process.
#[test]
fn a_bye_that_is_lost_with_its_process_is_said_again_by_the_next() {
    let plan = |seed| Plan { crashes: 2, drain: false, ..plan(seed) };
    let mut missed = 0;
    for seed in 1..=24 {
        let deaf = |world: &mut World| world.swallows_last = Some("BYE");
        assert_eq!(verdict(plan(seed), deaf), "", "seed {seed}");
        let said = verdict(plan(seed), |world| {
            deaf(world);
            world.store.fault = Some(Fault::LostPapers);
        });
        missed += usize::from(said.contains("outlived its call"));
    }
    assert!(missed > 1, "a store that throws the papers away is found out: {missed}");
}

/// After a crash nobody is billed for longer than he talked, nor for much less than he is known to have.
#[test]
fn a_store_that_keeps_no_proof_of_life_is_found_out() {
    let plan = |seed| Plan { crashes: 2, drain: false, ..plan(seed) };
    let mut missed = 0;
    for seed in 1..=12 {
        assert_eq!(verdict(plan(seed), |_| {}), "", "seed {seed}");
        let said = verdict(plan(seed), |world| world.store.fault = Some(Fault::NoProofs));
        missed += usize::from(said.contains("is billed only"));
    }
    assert!(missed > 1, "{missed}");
}

#[test]
fn a_shell_that_says_written_too_early_is_found() {
    let said = verdict(plan(1), |world| world.lies = true);
    assert!(said.contains("left before it was written down"), "{said:?}");
}
