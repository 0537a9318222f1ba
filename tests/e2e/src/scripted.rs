//! A peer that is told what to do by lines of JSON, and tells what happens by lines of JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait;

/// A running peer.
#[derive(Debug)]
pub struct Scripted {
    child: Child,
    orders: ChildStdin,
    told: Arc<Mutex<Vec<Value>>>,
    /// How many of `told` were waited for.
    read: usize,
    name: String,
    errors: PathBuf,
}

impl Scripted {
    /// Starts a peer; what it says on its error output goes to a file, and to whoever reads of a failure.
    ///
    /// # Panics
    /// When the program is missing.
    #[must_use]
    pub fn start(name: &str, mut command: Command, errors: PathBuf) -> Scripted {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("a file"))
            .spawn()
            .expect("the peer runs");
        let orders = child.stdin.take().expect("a pipe");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&told);
        std::thread::spawn(move || {
            // Libraries print a few lines of their own.
            for event in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&event) {
                    inbox.lock().expect("unpoisoned").push(event);
                }
            }
        });
        Scripted { child, orders, told, read: 0, name: name.to_owned(), errors }
    }

    /// Tells it what to do.
    ///
    /// # Panics
    /// When it is gone.
    pub fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("it listens");
    }

    /// Waits for an event that has all these facts, and that was not waited past before.
    ///
    /// # Panics
    /// When it does not come, with what came.
    pub fn wait(&mut self, event: &str, facts: &Value) -> Value {
        let started = Instant::now();
        loop {
            let told = self.told.lock().expect("unpoisoned");
            let fits = |told: &Value| {
                let same = |(key, value): (&String, &Value)| told[key] == *value;
                told["event"] == event && facts.as_object().is_some_and(|f| f.iter().all(same))
            };
            if let Some(at) = told[self.read..].iter().position(fits) {
                self.read += at + 1;
                return told[self.read - 1].clone();
            }
            let all: Vec<String> = told.iter().map(Value::to_string).collect();
            drop(told);
            let late = started.elapsed() > wait::PATIENCE / 2;
            assert!(!late, "{} did not tell of {event} {facts}:\n{}", self.name, all.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything of a kind that it told so far.
    #[must_use]
    pub fn told(&self, event: &str) -> Vec<Value> {
        let told = self.told.lock().expect("unpoisoned");
        told.iter().filter(|told| told["event"] == event).cloned().collect()
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) {
        wait::until("the peer to end", || self.child.try_wait().ok().flatten());
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            for line in errors.lines() {
                eprintln!("{}| {line}", self.name);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
