//! `tandem`: the process. Command line here; everything else in the modules.

mod calls;
mod carriers;
mod check;
mod cli;
mod clock;
mod config;
mod demo;
mod directory;
mod dns;
mod document;
mod driver;
mod explain;
mod inbox;
mod lanes;
mod ledger;
mod logs;
mod metrics;
mod net;
mod operator;
mod outbox;
mod quiet;
mod recovery;
mod refusals;
mod serve;
mod settings;
mod token;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
