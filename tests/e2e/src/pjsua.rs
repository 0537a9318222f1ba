//! A telephone on pjsua2, scripted: `peers/phone.py` in the environment that `tests/run` makes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::sound::{self, Sound};
use crate::wait;

/// What a telephone is to be.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Extension, and name of its files.
    pub user: &'a str,
    /// Its SIP password; `None` does not register.
    pub password: Option<&'a str>,
    /// Where requests go first: SIP port of the switch or of a proxy, on `via`.
    pub port: u16,
    /// Address of that port.
    pub via: &'a str,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// Who vouches for the switch, for `tls`: a file.
    pub authority: Option<&'a Path>,
    /// Own address.
    pub address: &'a str,
    /// Own SIP port; 0: any.
    pub own_port: u16,
    /// Frequency of what it plays into every call, in Hz.
    pub tone: u32,
    /// Namespace of the network that it lives in.
    pub namespace: Option<&'a str>,
    /// More settings of `phone.py`.
    pub more: Value,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Line {
            user: "80000",
            password: Some(crate::country::PASSWORD),
            port: 0,
            via: "127.0.0.1",
            transport: "udp",
            authority: None,
            address: "127.0.0.1",
            own_port: 0,
            tone: 700,
            namespace: None,
            more: json!({}),
        }
    }
}

/// A running telephone.
#[derive(Debug)]
pub struct Phone {
    child: Child,
    orders: ChildStdin,
    told: Arc<Mutex<Vec<Value>>>,
    /// How many of `told` were waited for.
    read: usize,
    name: String,
    log: PathBuf,
    hears: PathBuf,
    errors: PathBuf,
}

impl Phone {
    /// Starts a telephone, and waits until it is registered when it has a password.
    ///
    /// # Panics
    /// When pjsua2 is missing: `tests/run` installs it.
    #[must_use]
    pub fn start(folder: &Path, line: &Line<'_>) -> Phone {
        let file = |ending: &str| folder.join(format!("{}.{ending}", line.user));
        let (log, hears, plays) = (file("log"), file("hears.wav"), file("plays.wav"));
        let errors = file("errors");
        sound::write_wav_tone(&plays, line.tone, 60);
        let mut command = match line.namespace {
            None => Command::new(python()),
            Some(name) => {
                let mut inside = Command::new("ip");
                inside.args(["netns", "exec", name]).arg(python());
                inside
            }
        };
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = command
            .arg(here.join("peers/phone.py"))
            .arg(settings(line, &log, &plays, &hears).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("a file"))
            .spawn()
            .expect("python runs");
        let orders = child.stdin.take().expect("a pipe");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let told = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&told);
        std::thread::spawn(move || {
            // pjsua2 prints a few lines of its own before it knows of our log.
            for event in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&event) {
                    inbox.lock().expect("unpoisoned").push(event);
                }
            }
        });
        let name = line.user.to_owned();
        let mut phone = Phone { child, orders, told, read: 0, name, log, hears, errors };
        phone.wait("ready", &json!({}));
        if line.password.is_some() {
            phone.wait("registered", &json!({"code": 200}));
        }
        phone
    }

    /// Tells it what to do: one of the orders of `phone.py`.
    pub fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").expect("it listens");
    }

    /// Waits for an event that has all these facts, and that was not waited past before.
    ///
    /// # Panics
    /// When it does not come, with what came.
    pub fn wait(&mut self, event: &str, facts: &Value) -> Value {
        let what = format!("{} to tell of {event} {facts}", self.name);
        let started = std::time::Instant::now();
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
            assert!(!late, "waited for {what}:\n{}", all.join("\n"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits for a state of its call: `EARLY`, `CONFIRMED`, `DISCONNECTED`.
    pub fn wait_state(&mut self, state: &str) -> Value {
        self.wait("state", &json!({ "state": state }))
    }

    /// Everything it told, as far as it came.
    #[must_use]
    pub fn told(&self, event: &str) -> Vec<Value> {
        let told = self.told.lock().expect("unpoisoned");
        told.iter().filter(|told| told["event"] == event).cloned().collect()
    }

    /// Its log, with every message.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it in order, and gives what it heard as long as it was in calls.
    #[must_use]
    pub fn quit(mut self) -> Sound {
        self.order(&json!({"do": "quit"}));
        wait::until("pjsua2 to end", || self.child.try_wait().ok().flatten());
        Sound::decode(&self.hears)
    }

    fn tail(&self) -> String {
        let log = self.log();
        let from = log.len().saturating_sub(12_000);
        log.get(from..).unwrap_or(&log).to_owned()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
            for line in self.tail().lines().chain(errors.lines()) {
                eprintln!("{}| {line}", self.name);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(line: &Line<'_>, log: &Path, plays: &Path, hears: &Path) -> Value {
    let own = line.address;
    let mut all = json!({
        "log": log, "plays": plays, "hears": hears, "user": line.user,
        "transport": line.transport, "address": own, "port": line.own_port,
        "rtp": crate::ports::block(24),
        "id": format!("sip:{}@{own}", line.user),
    });
    if let Some(password) = line.password {
        all["password"] = json!(password);
        all["id"] = json!(format!("sip:{}@tandem.example", line.user));
        all["registrar"] = json!(format!("sip:tandem.example;transport={}", line.transport));
    }
    if line.port != 0 {
        let proxy = format!("sip:{}:{};transport={};lr", line.via, line.port, line.transport);
        all["proxies"] = json!([proxy]);
    }
    if let Some(file) = line.authority {
        all["authority"] = json!(file);
    }
    for (key, value) in line.more.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    all
}

/// The interpreter of the environment beside this test's own target folder.
fn python() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let inside = "peers/pjsua2/bin/python";
    let found = here.ancestors().map(|folder| folder.join(inside)).find(|file| file.exists());
    found.expect("target/peers/pjsua2: tests/run makes it")
}
