//! `tandem`: the process. Command line here; everything else in the modules.

mod alerts;
mod calls;
mod carriers;
mod check;
mod cli;
mod clock;
mod config;
mod consult;
mod decrypt;
mod demo;
mod directory;
mod dns;
mod document;
mod driver;
mod explain;
mod hearing;
mod inbox;
mod keep;
mod lanes;
mod ledger;
mod logs;
mod menus;
mod metrics;
mod net;
mod operator;
mod outbox;
mod places;
mod privacy;
mod quality;
mod quiet;
mod recognise;
mod recovery;
mod refusals;
mod sandbox;
mod secrets;
mod serve;
mod settings;
mod signature;
mod smpp;
mod sounds;
mod speech;
mod stops;
mod texts;
mod token;
mod upload;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Threads hand each other what they allocated: the system's allocator pays for that with a fifth of a call.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
