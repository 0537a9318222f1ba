//! What the kernel charged: CPU and memory of a process, idle and stolen time of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::sys;

/// CPU seconds of a process so far, user and system, all threads (`/proc/PID/stat` 14 and 15).
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    Ok(charged(&fs::read_to_string(format!("/proc/{pid}/stat"))?).1)
}

/// CPU seconds of a process and of its children that live.
pub fn family_seconds(pid: u32) -> io::Result<f64> {
    let mut seconds = cpu_seconds(pid)?;
    for child in children(pid) {
        seconds += family_seconds(child).unwrap_or(0.0);
    }
    Ok(seconds)
}

/// Resident octets of a process and of its children that live; what they share counts for each.
pub fn family_resident(pid: u32) -> io::Result<u64> {
    let mut octets = resident(pid)?;
    for child in children(pid) {
        octets += family_resident(child).unwrap_or(0);
    }
    Ok(octets)
}

fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// CPU seconds of the living threads of a process, added up by name without its trailing digits.
pub fn threads(pid: u32) -> io::Result<BTreeMap<String, f64>> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // A thread may end between the two steps.
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        let (name, seconds) = charged(&stat);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == ':');
        *threads.entry(name.to_owned()).or_insert(0.0) += seconds;
    }
    Ok(threads)
}

/// Name and CPU seconds in a line of `stat`.
fn charged(stat: &str) -> (&str, f64) {
    // The name in brackets may hold blanks.
    let (before, after) = stat.rsplit_once(')').unwrap_or(("", ""));
    let name = before.split_once('(').map_or("", |(_, name)| name);
    let field = |n: usize| -> u64 {
        after.split_whitespace().nth(n).and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    (name, (field(11) + field(12)) as f64 / sys::ticks_per_second() as f64)
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

/// Why the figures of a run are not worth their ink, if so: the machine had no idle time left, or more than
/// a twentieth of it was stolen.
#[must_use]
pub fn spoiled(idle: f64, stolen: f64) -> Option<&'static str> {
    if stolen > STOLEN_MAX {
        Some("spoiled: time was stolen")
    } else if idle < IDLE_MIN {
        Some("spoiled: no idle time")
    } else {
        None
    }
}

/// Stolen time that is still borne, per cent.
pub const STOLEN_MAX: f64 = 5.0;
/// Idle time that must be left, per cent.
pub const IDLE_MIN: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_name_may_hold_brackets_and_blanks() {
        let stat = "12 (store (writer) 1) S 1 1 1 0 -1 0 0 0 0 0 700 300 0 0 20 0 1 0 5 0 0";
        let (name, seconds) = charged(stat);
        assert_eq!(name, "store (writer) 1");
        assert!((seconds - 1000.0 / sys::ticks_per_second() as f64).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_idle_time_is_spoiled() {
        assert_eq!(spoiled(50.0, 0.1), None);
        assert!(spoiled(1.0, 0.1).is_some() && spoiled(50.0, 6.0).is_some());
    }
}
