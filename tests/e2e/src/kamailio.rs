//! Kamailio as a proxy: the edge of a carrier, between the switch and the subscribers (`peers/kamailio.cfg`), or our
//! own, between the switch and its phones (`peers/kamailio-phones.cfg`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{processes, wait};

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    child: Child,
    log: PathBuf,
    /// SIP port, UDP and TCP.
    pub port: u16,
}

impl Kamailio {
    /// Starts it on `port`, before the switch at `switch`; numbers of 138 are at port `a`, those of 139 at `b`.
    ///
    /// # Panics
    /// When Kamailio is missing or does not take its configuration.
    #[must_use]
    pub fn start(folder: &Path, port: u16, switch: u16, [a, b]: [u16; 2]) -> Kamailio {
        let ports = [("@PORT@", port), ("@SWITCH@", switch), ("@A@", a), ("@B@", b)];
        Kamailio::run(folder, "kamailio.cfg", &ports)
    }

    /// Starts it on `port`, in front of the switch at `switch`: phones register through it.
    ///
    /// # Panics
    /// As [`Kamailio::start`].
    #[must_use]
    pub fn for_phones(folder: &Path, port: u16, switch: u16) -> Kamailio {
        let ports = [("@PORT@", port), ("@SWITCH@", switch)];
        Kamailio::run(folder, "kamailio-phones.cfg", &ports)
    }

    /// The first of the ports is its own.
    fn run(folder: &Path, template: &str, ports: &[(&str, u16)]) -> Kamailio {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(template);
        let mut text = std::fs::read_to_string(here).expect("a template");
        let port = ports[0].1;
        for (name, value) in ports {
            text = text.replace(name, &value.to_string());
        }
        let (file, log) = (folder.join("kamailio.cfg"), folder.join("kamailio.log"));
        std::fs::write(&file, text).expect("a file");
        let out = File::create(&log).expect("a log file");
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-f"])
            .arg(&file)
            .arg("-Y")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log file"))
            .stderr(out)
            .spawn()
            .expect("kamailio runs");
        let kamailio = Kamailio { child, log, port };
        wait::until("kamailio to listen", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        kamailio
    }

    /// Its log: a line for each request, `new`, `path` (to a phone by its Path) or `saw` (in a dialog, by its
    /// route), or `lost`.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How many requests of a kind went by their route, from the port of a sender over a transport.
    #[must_use]
    pub fn saw(&self, method: &str, transport: &str) -> usize {
        let mark = format!("saw {method} by {transport} ");
        self.log().lines().filter(|line| line.contains(&mark)).count()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        for _ in 0..100 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        processes::kill_whole(&mut self.child);
    }
}
