//! A telephone on pjsua2, scripted: `peers/phone.py` in the environment that `tests/run` makes.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::sound::{self, Sound};

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
    script: Scripted,
    log: PathBuf,
    hears: PathBuf,
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
        command
            .arg(here.join("peers/phone.py"))
            .arg(settings(line, &log, &plays, &hears).to_string());
        let script = Scripted::start(line.user, command, file("errors"));
        let mut phone = Phone { script, log, hears };
        phone.wait("ready", &json!({}));
        if line.password.is_some() {
            phone.wait("registered", &json!({"code": 200}));
        }
        phone
    }

    /// Waits for a state of its call: `EARLY`, `CONFIRMED`, `DISCONNECTED`.
    pub fn wait_state(&mut self, state: &str) -> Value {
        self.wait("state", &json!({ "state": state }))
    }

    /// Its log, with every message.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What follows the beginning of a line in the messages that it received (`RX`) or sent (`TX`).
    #[must_use]
    pub fn lines(&self, way: &str, begins: &str) -> Vec<String> {
        let (log, heading) = (self.log(), format!("{way} "));
        let (mut values, mut wanted) = (Vec::new(), false);
        for line in log.lines() {
            if line.contains(" bytes Re") && (line.contains("RX ") || line.contains("TX ")) {
                wanted = line.contains(&heading);
            } else if let Some(value) = line.strip_prefix(begins).filter(|_| wanted) {
                values.push(value.trim().to_owned());
            }
        }
        values
    }

    /// Nothing that makes the dialogs of this one is known to the other: their Call-IDs, the addresses in its
    /// Contact, the branches of what it sent, the ports of its sound.
    ///
    /// # Panics
    /// When it is, or when this one has said nothing.
    pub fn is_hidden_from(&self, other: &Phone) {
        let part = |text: &str, from: &str, to: &[char]| {
            text.split(from).nth(1).and_then(|rest| rest.split(to).next()).map(str::to_owned)
        };
        let mut secrets = self.lines("TX", "Call-ID: ");
        let contacts = self.lines("TX", "Contact: ");
        secrets.extend(contacts.iter().filter_map(|contact| part(contact, "@", &[';', '>'])));
        let vias = self.lines("TX", "Via: ");
        secrets.extend(vias.iter().filter_map(|via| part(via, "branch=", &[';'])));
        let sounds = self.lines("TX", "m=audio ");
        secrets
            .extend(sounds.iter().map(|m| format!("audio {} ", m.split(' ').next().unwrap_or(m))));
        assert!(secrets.len() >= 4 && !sounds.is_empty(), "{secrets:?}");
        let theirs = other.log();
        for secret in secrets {
            assert!(!theirs.contains(&secret), "the other one knows {secret}");
        }
    }

    /// Ends it in order, and gives what it heard as long as it was in calls.
    #[must_use]
    pub fn quit(mut self) -> Sound {
        self.order(&json!({"do": "quit"}));
        self.ended();
        Sound::decode(&self.hears)
    }
}

impl Deref for Phone {
    type Target = Scripted;

    fn deref(&self) -> &Scripted {
        &self.script
    }
}

impl DerefMut for Phone {
    fn deref_mut(&mut self) -> &mut Scripted {
        &mut self.script
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(200)..] {
                eprintln!("{line}");
            }
        }
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
