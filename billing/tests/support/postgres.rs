//! A throwaway PostgreSQL: its own cluster in a temporary folder, killed and removed at the end.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[allow(unreachable_pub, reason = "public where it lives")]
#[path = "../../../tests/e2e/src/processes.rs"]
mod processes;
use processes::kill_whole;

/// Where distributions keep the server's programs.
const PLACES: [&str; 2] = ["/usr/lib/postgresql", "/usr/local/pgsql"];

/// A running cluster.
pub(crate) struct Cluster {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    durable: bool,
    server: Option<Child>,
}

impl Cluster {
    /// Starts one; `None`, said loudly, when PostgreSQL is not installed here.
    pub(crate) fn start(durable: bool) -> Option<Cluster> {
        let Some(bin) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not installed, and CI may not skip its half of the contract"
            );
            eprintln!(
                "SKIPPED: no PostgreSQL below {PLACES:?}; its half of the contract did not run"
            );
            return None;
        };
        let folder = tempfile::Builder::new().prefix("tandem-pg-").tempdir().expect("folder");
        let port =
            TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("port").port();
        let mut cluster =
            Cluster { folder, bin, port, user: unprivileged(), durable, server: None };
        if let Some((uid, gid)) = cluster.user {
            std::os::unix::fs::chown(cluster.folder.path(), Some(uid), Some(gid)).expect("chown");
        }
        let data = cluster.folder.path().join("data");
        let status = cluster
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("initdb");
        assert!(status.success(), "initdb failed");
        cluster.boot();
        Some(cluster)
    }

    /// Starts the server, or starts it again.
    pub(crate) fn boot(&mut self) {
        let fsync = if self.durable { "fsync=on" } else { "fsync=off" };
        let folder = self.folder.path().to_owned();
        let port = self.port.to_string();
        let server = self
            .command("postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", fsync])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres");
        self.server = Some(server);
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        self.command("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .is_ok_and(|status| status.success())
    }

    /// `kill -9`, server and all.
    pub(crate) fn kill(&mut self) {
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

    /// Makes an empty database and returns its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.create(name, &[])
    }

    /// The same, in which texts are ordered as a language has it.
    #[allow(dead_code, reason = "one of the binaries asks for it")]
    pub(crate) fn database_in(&self, name: &str, language: &str) -> String {
        let locale = format!("--icu-locale={language}");
        self.create(name, &["--template=template0", "--locale-provider=icu", &locale])
    }

    fn create(&self, name: &str, more: &[&str]) -> String {
        let port = self.port.to_string();
        let status = self
            .command("createdb")
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", name])
            .args(more)
            .status()
            .expect("createdb");
        assert!(status.success(), "createdb {name} failed");
        self.url(name)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = PLACES
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
        .chain([PathBuf::from("/usr/local/pgsql/bin"), PathBuf::from("/usr/bin")])
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

/// PostgreSQL does not run as root: then as the user `postgres`.
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
