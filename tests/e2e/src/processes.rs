//! `kill -9` of a server that starts processes of its own.

use std::process::{Child, Command};
use std::time::Duration;

/// Sends SIGKILL to a process and to every process it started, and returns when none of them lives.
///
/// The parent goes first, so that it starts nobody any more; its children in the same breath, or they
/// would finish what they were at. A new PostgreSQL refuses to start while one of the old ones holds the
/// shared memory.
pub fn kill_whole(server: &mut Child) {
    let parent = server.id();
    let mut victims = vec![parent];
    victims.extend(children(parent));
    let pids = victims.iter().map(ToString::to_string);
    let _ = Command::new("kill").arg("-KILL").args(pids).status();
    let _ = server.wait();
    while victims.iter().any(|pid| lives(*pid)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fields of `/proc/PID/stat` behind the name in brackets: the state, the parent, …
fn stat(pid: &str) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Processes that this one started.
fn children(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|pid| stat(pid).is_some_and(|fields| fields.get(1) == Some(&parent)))
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Neither gone nor merely waiting to be buried.
fn lives(pid: u32) -> bool {
    stat(&pid.to_string()).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}
