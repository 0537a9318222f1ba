//! What the kernel charged: CPU and memory of a process, idle and stolen time of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::sys;

/// CPU seconds of a process so far, user and system, all threads (`/proc/PID/stat` 14 and 15).
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold blanks.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let field = |n: usize| -> u64 {
        after.split_whitespace().nth(n).and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    Ok((field(11) + field(12)) as f64 / sys::ticks_per_second() as f64)
}

/// CPU seconds of a process so far by the names of its threads, those now alive; threads of one name together.
pub fn threads(pid: u32) -> io::Result<BTreeMap<String, f64>> {
    let mut spent = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        let Some((head, after)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
        let ticks = |n: usize| -> u64 {
            after.split_whitespace().nth(n).and_then(|field| field.parse().ok()).unwrap_or(0)
        };
        let seconds = (ticks(11) + ticks(12)) as f64 / sys::ticks_per_second() as f64;
        *spent.entry(name).or_insert(0.0) += seconds;
    }
    Ok(spent)
}

/// Resident octets of a process.
pub fn resident(pid: u32) -> io::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(pages * sys::page_octets())
}

/// Ticks of the whole machine: all, idle, stolen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    all: u64,
    idle: u64,
    stolen: u64,
}

impl Machine {
    /// The counters as they stand.
    pub fn read() -> io::Result<Machine> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or("");
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).map(|n| n.parse().unwrap_or(0)).take(8).collect();
        let at = |n: usize| ticks.get(n).copied().unwrap_or(0);
        Ok(Machine { all: ticks.iter().sum(), idle: at(3) + at(4), stolen: at(7) })
    }

    /// Per cent of the time since `before` that was idle, and that was stolen.
    pub fn since(&self, before: &Machine) -> (f64, f64) {
        let all = (self.all - before.all).max(1) as f64;
        let percent = |a: u64, b: u64| (a - b) as f64 * 100.0 / all;
        (percent(self.idle, before.idle), percent(self.stolen, before.stolen))
    }
}
