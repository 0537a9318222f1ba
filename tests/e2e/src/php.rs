//! PHP's own web server, which writes down what it is asked.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{ports, wait};

/// A running server.
#[derive(Debug)]
pub struct Php {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Php {
    /// Serves the pages of a folder.
    ///
    /// # Panics
    /// When php-cli is missing.
    #[must_use]
    pub fn start(folder: &Path) -> Php {
        let (port, log) = (ports::one(), folder.join("php.log"));
        let file = std::fs::File::create(&log).expect("a log");
        let child = Command::new("php")
            .args(["-d", "html_errors=0", "-S", &format!("127.0.0.1:{port}"), "-t"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("php-cli is installed");
        let php = Php { child, log, port };
        wait::until("PHP's server", || TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        php
    }

    /// Where a page is.
    #[must_use]
    pub fn url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/{page}", self.port)
    }

    /// Targets that it was asked for, of pages that begin so.
    ///
    /// # Panics
    /// When its log is gone.
    #[must_use]
    pub fn asked(&self, page: &str) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).expect("a log");
        let target = |line: &str| line.split_once("]: GET ").map(|(_, target)| target.to_owned());
        log.lines().filter_map(target).filter(|target| target.starts_with(page)).collect()
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
