//! Whole callbacks through the engine alone, for a profiler or an instruction count:
//!
//! ```text
//! cargo build --release -p call --example engine-cost
//! target/release/examples/engine-cost --live 100 --warm 4000 --calls 4000
//! valgrind --tool=callgrind --toggle-collect='*measured_step*' \
//!     target/release/examples/engine-cost --live 10 --warm 200 --calls 200
//! ```
//!
//! Prints the figures of the measured calls; under callgrind only the measured calls are counted, so
//! the total divided by `--calls` is the instructions of one.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the product")]

#[path = "../tests/cost/mod.rs"]
mod cost;

use cost::{Bench, Counting, held};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> std::process::ExitCode {
    let (mut live, mut warm, mut calls) = (10, 200, 200);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--live", Some(value)) => live = value,
            ("--warm", Some(value)) => warm = value,
            ("--calls", Some(value)) if value > 0 => calls = value,
            _ => {
                eprintln!("engine-cost [--live N] [--warm N] [--calls N]");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    let mut bench = Bench::new();
    let empty = held();
    bench.keep_up(live);
    bench.pass(std::time::Duration::from_secs(60));
    let per_call = (held() - empty) as f64 / 1000.0 / live.max(1) as f64;
    bench.calls(warm, false);
    let cost = bench.calls(calls, true);
    let each = |figure: f64| figure / calls as f64;
    println!(
        "live {live}, calls {calls}: {:.1} us, {:.1} allocations, {:.0} octets allocated, {:.1} \
         steps a call; {per_call:.1} kB held by a call that is up",
        each(cost.spent.as_secs_f64() * 1e6),
        each(cost.allocations as f64),
        each(cost.octets as f64),
        each(cost.steps as f64),
    );
    std::process::ExitCode::SUCCESS
}
