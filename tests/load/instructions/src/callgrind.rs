//! Runs this program under callgrind and reads what it counted.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ops::{Operation, Work};

/// The function that is counted, as callgrind spells it; see [`crate::meter`].
const COUNTED: &str = "*instructions::meter::measured*";

/// Instructions of each round of an operation, by a run under callgrind of `program`, which is this one. The
/// work is done `worse` per cent more often than is counted.
///
/// # Errors
/// When valgrind is not there, the run fails, or nothing was counted.
pub fn count(program: &Path, operation: &Operation, worse: u64) -> io::Result<u64> {
    let rounds = operation.rounds + operation.rounds * worse / 100;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    match operation.work {
        Work::Here(_) => command
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(program)
            .args(["run", operation.name]),
        Work::There { program: beside, arguments, counted } => command
            .arg(format!("--toggle-collect={counted}"))
            .arg(program.with_file_name(beside))
            .args(arguments),
    };
    let output = command
        .arg(rounds.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{}: {said}", operation.name)));
    }
    let text = std::fs::read_to_string(&file)?;
    let all = totals(&text).ok_or_else(|| io::Error::other("callgrind wrote no totals"))?;
    if all == 0 {
        return Err(io::Error::other(format!("{}: nothing was counted", operation.name)));
    }
    Ok(all / operation.rounds)
}

/// The instructions of a callgrind profile: the first figure behind `totals:` (or, from older versions,
/// `summary:`), whose meaning the line `events: Ir …` gives.
#[must_use]
pub fn totals(profile: &str) -> Option<u64> {
    let value = |key: &str| profile.lines().find_map(|line| line.strip_prefix(key));
    let events = value("events:")?;
    let column = events.split_whitespace().position(|event| event == "Ir")?;
    let figures = value("totals:").or_else(|| value("summary:"))?;
    figures.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_of_a_profile() {
        let profile = "version: 1\npositions: line\nevents: Ir\nsummary: 9\n\nfn=(1) x\n5 12\n\ntotals: 1234\n";
        assert_eq!(totals(profile), Some(1234));
        assert_eq!(totals("events: Dr Ir\nsummary: 5 77\n"), Some(77));
        assert_eq!(totals("events: Ir\n"), None);
        assert_eq!(totals("totals: 5\n"), None);
    }
}
