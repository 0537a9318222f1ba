//! A long run, looked at every minute, and what is left of it when all is over.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2e::tandem::Tandem;
use load::usage;

/// Between two looks.
const MINUTE: Duration = Duration::from_secs(60);
/// How long after the last call nothing may be left: the longest timer of a transaction is 32 s (RFC 3261 §17).
const AFTERWARDS: Duration = Duration::from_secs(45);
/// What has to be zero then.
const NOTHING: [&str; 12] = [
    "tandem_calls",
    "tandem_legs",
    "tandem_leg_ports",
    "tandem_sip_transactions",
    "tandem_sip_sessions",
    "tandem_timers",
    "tandem_media_legs",
    "tandem_recordings",
    "tandem_queue_depth",
    "tandem_store_backlog",
    "tandem_facts_lost_total",
    "tandem_panics_total",
];

/// Looks until it is dropped.
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Prints resident memory and open descriptors of a process every minute.
    pub(crate) fn start(pid: u32) -> Watch {
        let (stop, stopped) = channel();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(MINUTE) {
                look(pid, begun.elapsed());
            }
        });
        Watch { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A look that failed has printed nothing.
            let _ = thread.join();
        }
    }
}

fn look(pid: u32, passed: Duration) {
    let resident = usage::resident(pid).map_or(0.0, |octets| octets as f64 / 1e6);
    println!(
        "        {:>5} s  {resident:>7.1} MB  {:>5} descriptors",
        passed.as_secs(),
        files(pid)
    );
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Waits until nothing can be left, and names what is.
pub(crate) fn afterwards(tandem: &Tandem) -> io::Result<()> {
    std::thread::sleep(AFTERWARDS);
    look(tandem.pid(), AFTERWARDS);
    let figures = tandem.metrics();
    let left: Vec<String> = NOTHING
        .iter()
        .map(|name| (name, figures.get(*name).copied().unwrap_or(f64::NAN)))
        .filter(|(_, figure)| *figure != 0.0)
        .map(|(name, figure)| format!("{name} {figure}"))
        .collect();
    if left.is_empty() {
        println!("        nothing is left: {} counters are zero", NOTHING.len());
        return Ok(());
    }
    Err(io::Error::other(left.join(", ")))
}
