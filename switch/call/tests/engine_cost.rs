//! What a whole callback costs in the engine: request, holds granted, both legs answered, hang-up,
//! settlement. Time is measured in release builds only; allocations are the same in every build, so
//! they are bounded here.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

mod cost;

use cost::{Bench, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Microseconds per callback while this many others are up: the median of batches, so that what else
/// the machine does counts little.
fn microseconds(live: usize) -> f64 {
    const BATCHES: usize = 80;
    const BATCH: usize = 50;
    let mut bench = Bench::new();
    bench.keep_up(live);
    bench.calls(4_000, false);
    let mut costs: Vec<f64> = (0..BATCHES)
        .map(|_| bench.calls(BATCH, true).spent.as_secs_f64() * 1e6 / BATCH as f64)
        .collect();
    costs.sort_by(f64::total_cmp);
    costs[BATCHES / 2]
}

#[test]
#[ignore = "a measurement, for release builds"]
fn the_cost_of_a_whole_call_is_flat() {
    for live in [10, 100, 1000, 4000] {
        println!("{live:>6} calls up: {:.1} us per callback", microseconds(live));
    }
}

#[test]
fn a_whole_call_is_worked_off_with_a_bounded_number_of_allocations() {
    const CALLS: u64 = 50;
    let mut bench = Bench::new();
    bench.calls(50, false);
    let cost = bench.calls(CALLS as usize, true);
    let (allocations, octets) = (cost.allocations / CALLS, cost.octets / CALLS);
    // A dozen of them are the lists of codecs, keys and clocks that each description brings.
    assert!(allocations <= 620 && octets <= 80_000, "{allocations} of {octets} octets a call");
    // RFC 3261 §17: the last transaction outlives its call by 32 s; then nothing is left.
    bench.pass(std::time::Duration::from_secs(400));
    let counts = bench.engine.counts();
    let left = (counts.calls, counts.transactions, counts.sessions, counts.heard, counts.timers);
    assert_eq!(left, (0, 0, 0, 0, 0));
}
