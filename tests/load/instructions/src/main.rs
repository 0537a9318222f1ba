//! `instructions`: the cost of the hot operations in instructions, held to committed bounds.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the product")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use instructions::bounds::{Bounds, TOLERANCE};
use instructions::ops::{OPERATIONS, Operation, Work};
use instructions::{Meter, callgrind};

/// Counts instructions with callgrind (valgrind must be installed).
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Counts and compares with the bounds; fails when one is exceeded by more than 5 %.
    Check {
        /// One operation only.
        #[arg(long)]
        only: Option<String>,
        /// The file of bounds.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/bounds.toml"))]
        bounds: PathBuf,
        /// Does the work this many per cent more often than is counted: to see the check fail.
        #[arg(long, default_value_t = 0)]
        worse: u64,
    },
    /// Counts and writes the bounds anew.
    Write {
        /// The file of bounds.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/bounds.toml"))]
        bounds: PathBuf,
        /// One operation only; the file then holds no other.
        #[arg(long)]
        only: Option<String>,
    },
    /// Prints nanoseconds by the wall clock instead: the median of batches. A figure of this
    /// machine at this hour.
    Time {
        /// One operation only.
        #[arg(long)]
        only: Option<String>,
    },
    /// Does the work once: what the other commands run under callgrind.
    #[command(hide = true)]
    Run { operation: String, rounds: u64 },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(what: What) -> Result<bool, String> {
    match what {
        What::Check { only, bounds, worse } => {
            let text = std::fs::read_to_string(&bounds)
                .map_err(|error| format!("{}: {error}", bounds.display()))?;
            let bounds =
                Bounds::parse(&text).map_err(|error| format!("{}: {error}", bounds.display()))?;
            check(&chosen(only.as_deref())?, &bounds, worse)
        }
        What::Write { bounds, only } => {
            let mut text = String::from(
                "# Instructions of each operation under callgrind, in release; `instructions write` makes this\n\
                 # file, `instructions check` fails when a count is more than 5 % above its line.\n",
            );
            for operation in chosen(only.as_deref())? {
                let count = counted(operation, 0)?;
                println!("{:<18} {count:>9}  {}", operation.name, operation.what);
                text += &format!("{} = {count}\n", operation.name);
            }
            std::fs::write(&bounds, text).map_err(|error| error.to_string())?;
            Ok(true)
        }
        What::Time { only } => {
            for operation in chosen(only.as_deref())? {
                if let Work::Here(run) = operation.work {
                    let time = time(run, operation.rounds * 10);
                    println!("{:<18} {time:>10.1} ns  {}", operation.name, operation.what);
                }
            }
            Ok(true)
        }
        What::Run { operation, rounds } => {
            for operation in chosen(Some(&operation))? {
                if let Work::Here(run) = operation.work {
                    run(&mut Meter::new(), rounds);
                }
            }
            Ok(true)
        }
    }
}

fn check(operations: &[&Operation], bounds: &Bounds, worse: u64) -> Result<bool, String> {
    println!("{:<18} {:>9} {:>9} {:>8}", "operation", "counted", "bound", "change %");
    let mut good = true;
    for operation in operations {
        let count = counted(operation, worse)?;
        let (change, verdict) = bounds.judge(operation.name, count);
        println!(
            "{:<18} {count:>9} {:>9} {:>8}  {}",
            operation.name,
            bounds.get(operation.name).map_or("-".into(), |bound| bound.to_string()),
            change.map_or("-".into(), |change| format!("{change:+.1}")),
            verdict.as_str(),
        );
        good &= verdict.passes();
    }
    if !good {
        eprintln!(
            "instructions: a count is more than {TOLERANCE} % above its bound, or has none. Find out why; \
             when the cost is worth it, write the bound anew and say so."
        );
    }
    Ok(good)
}

fn counted(operation: &Operation, worse: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    callgrind::count(&program, operation, worse).map_err(|error| error.to_string())
}

/// Nanoseconds of one round: the median of eleven runs.
fn time(run: fn(&mut Meter, u64), rounds: u64) -> f64 {
    let mut spent: Vec<f64> = (0..11)
        .map(|_| {
            let mut meter = Meter::timing();
            run(&mut meter, rounds);
            meter.spent().as_secs_f64() * 1e9 / rounds as f64
        })
        .collect();
    spent.sort_by(f64::total_cmp);
    spent[spent.len() / 2]
}

fn chosen(only: Option<&str>) -> Result<Vec<&'static Operation>, String> {
    let all = OPERATIONS.iter();
    let found: Vec<_> = all.filter(|operation| only.is_none_or(|n| n == operation.name)).collect();
    if found.is_empty() {
        let names: Vec<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
        return Err(format!("no such operation; there are {}", names.join(", ")));
    }
    Ok(found)
}
