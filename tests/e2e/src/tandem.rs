//! The real binary in a folder of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::{merchant, ports, wait};

/// How a switch is set up. `Default` is a switch on SQLite.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Settings beyond the usual, `key=value`.
    pub settings: Vec<String>,
    /// Operator file.
    pub operator: String,
}

/// A running switch.
#[derive(Debug)]
pub struct Tandem {
    folder: PathBuf,
    flags: Vec<String>,
    child: Option<Child>,
    starts: u32,
    /// SIP over UDP and TCP.
    pub sip: SocketAddr,
    /// Merchants' door.
    pub http: SocketAddr,
    /// Operator's door.
    pub admin: SocketAddr,
}

impl Tandem {
    /// Starts a switch in `folder` and applies the operator file.
    ///
    /// # Panics
    /// When it does not come up, or refuses the file.
    #[must_use]
    pub fn start(folder: &Path, setup: &Setup) -> Tandem {
        let first = ports::block(4);
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (sip, http, admin) = (at(first), at(first + 1), at(first + 2));
        let rtp = ports::block(200);
        let mut settings = vec![
            format!("data={}", folder.join("data").display()),
            format!("sip.udp={sip}"),
            format!("sip.tcp={sip}"),
            format!("http.listen={http}"),
            format!("admin.listen={admin}"),
            "rtp.bind=127.0.0.1".to_owned(),
            format!("rtp.ports={rtp}-{}", rtp + 199),
            "http.callback_allow=127.0.0.0/8".to_owned(),
            // A disk shared with builds may keep a commit waiting for seconds.
            "http.place_timeout=8s".to_owned(),
            "log.level=debug,sqlx=warn,hyper=warn".to_owned(),
        ];
        settings.extend(setup.settings.iter().cloned());
        let flags = settings.into_iter().flat_map(|s| ["--set".to_owned(), s]).collect();
        let mut tandem =
            Tandem { folder: folder.to_owned(), flags, child: None, starts: 0, sip, http, admin };
        let file = folder.join("operator.toml");
        std::fs::write(&file, &setup.operator).expect("an operator file");
        let applied = tandem.run(&["apply", &file.display().to_string()]);
        assert!(applied.0, "apply: {}", applied.1);
        tandem.resume();
        tandem
    }

    /// Runs a command of the program with the same settings: success, and what it printed.
    ///
    /// # Panics
    /// When the binary is missing: `cargo build -p switch` makes it.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> (bool, String) {
        let out = Command::new(binary())
            .args(arguments)
            .args(&self.flags)
            .output()
            .expect("the binary runs");
        let text = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// A key of `/v1` that is good for these scopes, made as operators make them.
    ///
    /// # Panics
    /// When none is made.
    #[must_use]
    pub fn api_key(&self, user: &str, scopes: &[&str]) -> String {
        let token = std::fs::read_to_string(self.folder.join("data/admin.token"));
        let bearer = format!("Bearer {}", token.expect("an admin token").trim());
        let body = serde_json::json!({ "merchant": user, "name": "test", "scopes": scopes });
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let made =
            merchant::http(self.admin, "POST", "/admin/v1/api-keys", &headers, &body.to_string());
        assert_eq!(made.0, 201, "{}", made.1);
        let made: Value = serde_json::from_str(&made.1).expect("JSON");
        made["key"].as_str().expect("a key").to_owned()
    }

    /// Teaches it an announcement of a network from a sound file.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn teach(&self, name: &str, state: &str, file: &Path) {
        let out = Command::new(binary())
            .arg("announcements")
            .args(&self.flags)
            .args(["add", name, "--state", state])
            .arg(file)
            .output()
            .expect("the binary runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Starts the process (again) and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in ten seconds.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "already running");
        self.starts += 1;
        let log = File::create(self.log_file()).expect("a log file");
        let child = Command::new(binary())
            .arg("serve")
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        self.child = Some(child);
        wait::until("the switch to be ready", || {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                panic!("the switch ended with {status}: {}", self.log());
            }
            let answer = merchant::try_http(self.admin, "GET", "/readyz", &[], "");
            answer.ok().filter(|(status, _)| *status == 200)
        });
    }

    /// Kills the process as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end in order and waits.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        wait::until("the switch to end", || child.try_wait().ok().flatten())
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What the present process logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A request to the operator's door.
    ///
    /// # Panics
    /// When the answer is not 200 or not JSON.
    #[must_use]
    pub fn admin(&self, method: &str, target: &str) -> Value {
        let body = self.ask(method, target);
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{target}: {e}: {body}"))
    }

    /// The body of an answer of the operator's door.
    fn ask(&self, method: &str, target: &str) -> String {
        let token = std::fs::read_to_string(self.folder.join("data/admin.token"));
        let bearer = format!("Bearer {}", token.expect("an admin token").trim());
        let headers = [("Authorization", bearer.as_str())];
        let (status, body) = merchant::http(self.admin, method, target, &headers, "");
        assert_eq!(status, 200, "{method} {target}: {body}");
        body
    }

    /// The metrics, by name and labels as they are written.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let page = self.ask("GET", "/metrics");
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once(' '));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// The newest call as the operator sees it.
    ///
    /// # Panics
    /// When no leg of any call was settled yet.
    #[must_use]
    pub fn settled_call(&self) -> Value {
        let cdrs = self.admin("GET", "/admin/v1/cdrs");
        let id = cdrs["items"][0]["call"].as_str().expect("a call id");
        self.admin("GET", &format!("/admin/v1/calls/{id}"))
    }

    /// Downloads the recording that the settled call's record names.
    ///
    /// # Panics
    /// When it names none, or the door does not give it.
    #[must_use]
    pub fn recording(&self) -> PathBuf {
        let call = self.settled_call();
        let url = call["record"]["recording_url"].as_str().expect("a recording").to_owned();
        let path = url.find("/recordings/").expect("a recordings path");
        let file = self.folder.join("downloaded.mp3");
        let out = Command::new("curl")
            .args(["-sS", "-f", "-o"])
            .arg(&file)
            .arg(format!("http://{}{}", self.http, &url[path..]))
            .status()
            .expect("curl runs");
        assert!(out.success(), "download of {url}");
        file
    }

    /// Waits until a call stands where it is expected.
    pub fn wait_call(&self, state: &str) {
        wait::until(&format!("a call to be {state}"), || {
            let live = self.admin("GET", "/admin/v1/calls");
            (live["items"][0]["state"] == *state).then_some(())
        });
    }

    /// The books must be in order.
    ///
    /// # Panics
    /// When they are not, with what is wrong.
    pub fn books_in_order(&self) {
        let (books, said) = self.run(&["check", "--books"]);
        assert!(books, "{said}");
    }

    /// What the database (SQLite) itself says: the first column of all rows, a blank between them.
    ///
    /// # Panics
    /// When it cannot be asked.
    #[must_use]
    pub fn sql(&self, sql: &str) -> String {
        let program = "import sqlite3, sys\n\
             with sqlite3.connect(sys.argv[1], timeout=10) as db:\n\
             \x20   print(*[row[0] for row in db.execute(sys.argv[2])])";
        let data = self.folder.join("data/tandem.sqlite").display().to_string();
        let out =
            Command::new("python3").args(["-c", program, &data, sql]).output().expect("python3");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Folder of everything.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("tandem-{}.log", self.starts))
    }
}

impl Drop for Tandem {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            for line in tail.iter().rev() {
                eprintln!("tandem| {line}");
            }
        }
        self.kill();
    }
}

/// What the switch needs for TLS: its settings, the port, and who vouches for it. Nothing for `udp` and `tcp`.
///
/// # Panics
/// When there is no certificate to be had.
#[must_use]
pub fn listening(folder: &Path, transport: &str) -> (Vec<String>, Option<u16>, Option<PathBuf>) {
    if transport != "tls" {
        return (Vec::new(), None, None);
    }
    let (cert, key) = certificate(folder);
    let port = ports::one();
    let settings = vec![
        format!("sip.tls=127.0.0.1:{port}"),
        format!("sip.tls_cert={}", cert.display()),
        format!("sip.tls_key={}", key.display()),
    ];
    (settings, Some(port), Some(cert))
}

/// A certificate for 127.0.0.1 and tandem.example that vouches for itself, and its key: files, PEM.
///
/// # Panics
/// When there is no certificate to be had.
#[must_use]
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".into(), "tandem.example".into()]);
    let own = own.expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).expect("a file");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("a file");
    (cert, key)
}

/// The binary beside this test's own target folder.
///
/// # Panics
/// When it is missing.
#[must_use]
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let profile = here.ancestors().find(|p| p.join("tandem").is_file());
    profile.map(|p| p.join("tandem")).expect("target/<profile>/tandem: cargo build -p switch")
}
