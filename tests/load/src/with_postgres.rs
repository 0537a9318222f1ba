//! `with-postgres COMMAND…`: runs a command while a throwaway PostgreSQL runs beside it; `{url}` in an
//! argument becomes its address. The cluster keeps what it promised (`fsync` on) and is gone afterwards.

#![allow(clippy::print_stderr, reason = "the command line speaks here")]

use std::process::{Command, ExitCode};

use e2e::postgres::Postgres;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("with-postgres COMMAND [ARGUMENT with {{url}}]…");
        return ExitCode::FAILURE;
    };
    let server = Postgres::start();
    let url = server.url();
    let status = Command::new(&program).args(arguments.map(|a| a.replace("{url}", &url))).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
