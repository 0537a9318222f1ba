//! A throwaway PostgreSQL: a cluster of its own in a temporary folder, on a port of its own.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::processes::kill_whole;
use crate::{ports, wait};

/// Where distributions keep the server's programs, by version.
const PLACE: &str = "/usr/lib/postgresql";

/// A cluster, up or down.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a cluster that keeps what it promised (`fsync` on) and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is missing.
    #[must_use]
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().expect("a folder");
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("chown");
        }
        let mut postgres =
            Postgres { folder, programs: programs(), port: ports::one(), user, server: None };
        let made = postgres
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"])
            .args(["-D", "data"])
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "initdb");
        postgres.boot();
        postgres
    }

    /// Starts the server, again after [`Postgres::kill`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn boot(&mut self) {
        let port = self.port.to_string();
        let sockets = format!("unix_socket_directories={}", self.folder.path().display());
        let server = self
            .command("postgres")
            .args(["-D", "data", "-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", &sockets])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres runs");
        self.server = Some(server);
        wait::until("PostgreSQL to start", || {
            let ready =
                self.command("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            ready.is_ok_and(|status| status.success()).then_some(())
        });
    }

    /// A crash: SIGKILL to the server and to every process it started.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            kill_whole(&mut server);
        }
    }

    /// Ends it for good. What a SIGKILL leaves in shared memory only the next start of the same cluster
    /// would clear.
    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status();
            let _ = server.wait();
        }
    }

    /// Where it is reached; the database `postgres` of a cluster that nobody else uses.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn programs() -> PathBuf {
    let versions = std::fs::read_dir(PLACE).expect("PostgreSQL is installed");
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed")
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres`.
fn unprivileged() -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    if uid.split_whitespace().nth(1) != Some("0") {
        return None;
    }
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
