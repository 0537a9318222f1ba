//! The operator's hand on the real binary: settings that take effect, mistakes that are told, people who
//! are turned away, the unit file's own command line, the demonstration.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]
#![allow(dead_code, reason = "the bench serves another file as well")]

mod bench;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bench::names::{NameServer, Says};
use bench::{A, Bench, text};
use phone::{Account, Credentials};

const SHORT: Duration = Duration::from_secs(20);

/// The repository.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sample(name: &str) -> String {
    home().join("deploy").join(name).display().to_string()
}

/// Runs the program in `folder`: status, standard output, standard error.
fn run(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let out: Output = command.args(words).current_dir(folder).output().unwrap();
    (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// A process that serves, until it is dropped.
struct Switch {
    child: Child,
    /// Everything it printed up to its ready line.
    said: String,
}

impl Switch {
    fn start(command: &mut Command, log: &Path) -> Switch {
        let log_file = std::fs::File::create(log).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log_file).spawn().unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            said += &format!("{line}\n");
            if line.starts_with("tandem ready ") {
                return Switch { child, said };
            }
        }
        let _ = child.wait();
        panic!("it did not start: {said}{}", std::fs::read_to_string(log).unwrap());
    }

    fn serve(settings: &[String], log: &Path) -> Switch {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.arg("serve");
        for setting in settings {
            command.args(["--set", setting]);
        }
        Switch::start(&mut command, log)
    }

    /// An address of the ready line: `http=`, `admin=`, `udp:`, `tcp:`.
    fn address(&self, name: &str) -> SocketAddr {
        let ready = self.said.lines().find(|line| line.starts_with("tandem ready ")).unwrap();
        let (_, rest) = ready.split_once(name).unwrap();
        rest.split([' ', ',']).next().unwrap().parse().unwrap()
    }

    fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it did not end");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, target: &str, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

// ---- settings ----------------------------------------------------------------------------------------

#[test]
fn every_address_that_is_taken_is_named_with_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let admin = tcp[1].local_addr().unwrap();
    let told = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .env("TANDEM_DATA", folder.path())
        .args(["serve", "--set", "http.listen=127.0.0.1:0", "--set", "rtp.bind=127.0.0.1"])
        .args(["--set", &format!("sip.udp={}", udp.local_addr().unwrap())])
        .args(["--set", &format!("sip.tcp={}", tcp[0].local_addr().unwrap())])
        .args(["--set", &format!("admin.listen={admin}")])
        .output()
        .unwrap();
    let said = text(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{said}");
    let another = "another program listens there";
    assert!(said.contains(&format!("admin.listen: cannot listen on {admin}: {another}")), "{said}");
    assert!(said.contains("sip.udp: cannot") && said.contains("sip.tcp: cannot"), "{said}");
    assert!(!said.contains("http.listen") && !said.contains("os error"), "{said}");
}

/// Conformance §6.1 and §6.4: every listener, folder and file goes where it is told; the other knobs are
/// tried where the rooms are told of them (`serve::parts`).
#[test]
fn listeners_folders_and_logs_go_where_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let settings = [
        format!("data={}", at("elsewhere").display()),
        format!("database=sqlite://{}", at("books.sqlite").display()),
        "sip.udp=127.0.0.5:0".into(),
        "sip.tcp=127.0.0.6:0".into(),
        "sip.tls=127.0.0.10:0,127.0.0.11:0".into(),
        "sip.ws=127.0.0.12:0".into(),
        "sip.wss=127.0.0.13:0".into(),
        format!("sip.tls_cert={}", at("cert.pem").display()),
        format!("sip.tls_key={}", at("key.pem").display()),
        "sip.advertise=192.0.2.44".into(),
        "sip.queue=99".into(),
        "http.listen=127.0.0.7:0".into(),
        "admin.listen=127.0.0.8:0".into(),
        format!("admin.token_file={}", at("token").display()),
        "rtp.bind=127.0.0.9".into(),
        "rtp.advertise=192.0.2.55".into(),
        "log.format=json".into(),
        "log.level=info".into(),
    ];
    let own = rcgen::generate_simple_self_signed(["sip.example.com".into()]).unwrap();
    std::fs::write(at("cert.pem"), own.cert.pem()).unwrap();
    std::fs::write(at("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let switch = Switch::serve(&settings, &at("log"));
    for (name, ip) in [
        ("udp:", "127.0.0.5"),
        ("tcp:", "127.0.0.6"),
        ("tls:", "127.0.0.10"),
        ("ws:", "127.0.0.12"),
        ("wss:", "127.0.0.13"),
        ("http=", "127.0.0.7"),
        ("admin=", "127.0.0.8"),
    ] {
        assert_eq!(switch.address(name).ip().to_string(), ip, "{}", switch.said);
    }
    assert!(switch.said.contains("told to peers as 192.0.2.44:"), "{}", switch.said);
    assert!(switch.said.contains("rtp    127.0.0.9 ports "), "{}", switch.said);
    assert!(switch.said.contains(", told to peers as 192.0.2.55\n"), "{}", switch.said);
    assert!(at("elsewhere").is_dir() && at("books.sqlite").is_file());
    assert!(!at("elsewhere/tandem.sqlite").exists() && !at("elsewhere/admin.token").exists());
    let token = std::fs::read_to_string(at("token")).unwrap();
    let (status, _) = get(switch.address("admin="), "/admin/v1/settings", token.trim());
    assert_eq!(status, 200);
    let (_, metrics) = get(switch.address("admin="), "/metrics", "");
    assert!(metrics.contains("tandem_queue_room 99\n"), "{metrics}");
    // Conformance §6.3: calls, legs, ports, tasks, panics, queue age, 503 count.
    for name in [
        "tandem_calls",
        "tandem_legs",
        "tandem_leg_ports",
        "tandem_ports_free",
        "tandem_tasks",
        "tandem_panics_total",
        "tandem_queue_age_seconds",
        "tandem_sip_503_total",
        "tandem_sip_turned_away_total{reason=\"wrong_password\"}",
        "tandem_sip_unusable_total{what=\"refused\"}",
        "tandem_sip_connections{transport=\"wss\"}",
        "tandem_sip_received_total{transport=\"tls\"}",
        "tandem_sip_handshakes_failed_total{transport=\"tls\"}",
    ] {
        assert!(metrics.contains(&format!("\n{name} ")), "{name} is not in {metrics}");
    }
    assert_eq!(switch.stop(), 0);
    let log = std::fs::read_to_string(at("log")).unwrap();
    assert!(log.contains("taking calls"), "{log}");
    assert!(log.contains("\"sip\":\"udp:127.0.0.5:"), "each listener is a field: {log}");
    for line in log.lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "no JSON: {line}");
    }

    let quiet = [
        format!("data={}", at("quiet").display()),
        "sip.udp=127.0.0.1:0".into(),
        "sip.tcp=off".into(),
        "http.listen=127.0.0.1:0".into(),
        "admin.listen=127.0.0.1:0".into(),
        "log.level=error".into(),
    ];
    let switch = Switch::serve(&quiet, &at("log2"));
    assert!(!switch.said.contains("tcp"), "off is off: {}", switch.said);
    assert_eq!(switch.stop(), 0);
    assert_eq!(std::fs::read_to_string(at("log2")).unwrap(), "", "nothing went wrong");
}

/// SIGHUP has the certificates looked at; without any it must not end the process.
#[test]
fn a_hangup_signal_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = vec![format!("data={}", folder.path().join("data").display())];
    for name in ["sip.udp", "sip.tcp", "http.listen", "admin.listen"] {
        settings.push(format!("{name}=127.0.0.1:0"));
    }
    let switch = Switch::serve(&settings, &folder.path().join("log"));
    let pid = switch.child.id().to_string();
    for _ in 0..3 {
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(get(switch.address("admin="), "/healthz", "").0, 200);
    assert_eq!(switch.stop(), 0);
}

#[test]
fn tls_without_a_certificate_that_can_be_used_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("half.pem"), "-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
    let serve = |more: &[String]| {
        let data = format!("data={}", at("data"));
        let mut words = vec!["serve", "--set", &data, "--set", "sip.tls=127.0.0.1:0"];
        for setting in more {
            words.extend(["--set", setting]);
        }
        let (status, _, error) = run(folder.path(), &words);
        assert_ne!(status, 0);
        error
    };
    assert!(serve(&[]).contains("sip.tls and sip.wss need sip.tls_cert"), "{}", serve(&[]));
    let alone = serve(&[format!("sip.tls_cert={}", at("half.pem"))]);
    assert!(alone.contains("sip.tls_cert and sip.tls_key are given together"), "{alone}");
    for name in ["half.pem", "none.pem"] {
        let both = ["cert", "key"].map(|which| format!("sip.tls_{which}={}", at(name)));
        let error = serve(&both);
        assert!(error.contains(name), "{error}");
    }
}

/// Merchants on the same machine are allowed, and the operator's door is not theirs.
#[test]
fn f17_no_merchant_leads_the_switch_to_its_own_listeners() {
    let server = NameServer::start(|_, _, _| Says::addresses(&[[127, 0, 0, 1].into()], 0));
    let servers = format!("dns.servers={}", server.address);
    let bench = Bench::start(&["--set", &servers]);
    for (at, door) in bench.doors().into_iter().enumerate() {
        for host in ["127.0.0.1", "0.0.0.0", "own.merchant.test"] {
            let (id, host) = (format!("o{at}{}", host.len()), format!("{host}:{}", door.port()));
            let refused = bench.callback_to(&id, &host);
            assert_eq!(refused, "result=fail&code=1012&msg=returnurl_invalid", "{host}");
        }
    }
    let port = bench.merchant.address.port();
    let taken = bench.callback_to("o9", &format!("own.merchant.test:{port}"));
    assert_eq!(taken, "result=success&callbackid=o9");
    bench.both_talk();
    bench.a.hang_up();
    assert_eq!(bench.merchant.notified("o9", SHORT).value("callback_result"), "success");
    bench.finish();
}

/// Merchants' hosts are looked up where the operator says: a name of an inner network is refused at once; one
/// of a network that is allowed is where the merchant is told.
#[test]
fn merchants_hosts_are_asked_of_the_name_servers_that_were_set() {
    let server = NameServer::start(|name, _, _| match name {
        "told.merchant.test" => Says::addresses(&[[127, 0, 0, 1].into()], 0),
        _ => Says::addresses(&[[10, 0, 0, 1].into()], 0),
    });
    let servers = format!("dns.servers={}", server.address);
    let bench = Bench::start(&["--set", &servers]);
    let port = bench.merchant.address.port();
    let refused = bench.callback_to("n1", &format!("inward.merchant.test:{port}"));
    assert_eq!(refused, "result=fail&code=1012&msg=returnurl_invalid");
    let taken = bench.callback_to("n2", &format!("told.merchant.test:{port}"));
    assert_eq!(taken, "result=success&callbackid=n2");
    bench.both_talk();
    bench.a.hang_up();
    assert_eq!(bench.merchant.notified("n2", SHORT).value("callback_result"), "success");
    let asked = server.asked();
    for name in ["inward.merchant.test", "told.merchant.test"] {
        assert!(asked.iter().any(|(asked, _)| asked == name), "{name} is not in {asked:?}");
    }
    bench.finish();
}

#[test]
fn the_grace_time_of_the_drain_is_the_one_that_was_set() {
    let mut bench = Bench::start(&["--set", "call.drain_grace=0s"]);
    bench.place("g1");
    bench.both_talk();
    let asked = Instant::now();
    bench.signal("TERM");
    let cut = bench.a.wait(SHORT, |report| report.calls[0].ended_by == "they hung up");
    assert!(cut && asked.elapsed() < Duration::from_secs(15), "the default would be 30 s");
    assert_eq!(bench.ended(Duration::from_secs(40)), 0, "{}", bench.log());
}

// ---- mistakes ----------------------------------------------------------------------------------------

#[test]
fn a_file_of_the_other_kind_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (configuration, operators) = (sample("tandem.toml"), sample("operator.toml"));
    let (status, out, err) = run(folder.path(), &["check", &configuration]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("a configuration, no operator's file: checked as one\n"), "{out}");
    // Really checked as one.
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "[sip]\nudp = \"x\"\nt1 = \"1s\"\n[rtp]\nprots = \"1-2\"\n").unwrap();
    let (status, _, err) = run(folder.path(), &["check", "wrong.toml"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("wrong.toml:2: ") && err.contains("did you mean rtp.ports?"), "{err}");
    std::fs::remove_file(&wrong).unwrap();
    let (status, _, err) = run(folder.path(), &["apply", &configuration]);
    assert_eq!((status, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("--config"), "{err}");
    let (status, _, err) = run(folder.path(), &["config", "--config", &operators]);
    assert_eq!((status, err.lines().count()), (2, 2), "{err}");
    assert!(err.contains("tandem apply"), "{err}");
    let (status, out, err) = run(folder.path(), &["check", &operators]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("would be created"), "{out}");
    assert!(is_empty(folder.path()), "looking makes nothing");
}

#[test]
fn a_setting_without_a_value_and_a_folder_without_books_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, err) = run(folder.path(), &["config", "--set", "sip.t1"]);
    assert_eq!(status, 2);
    assert!(err.contains("e.g. sip.t1=250ms"), "{err}");
    let (status, _, err) = run(folder.path(), &["config", "--set", "sip.t9=1s"]);
    assert_eq!(status, 2);
    assert!(err.contains("--set sip.t9: sip.t9: no such setting; did you mean sip.t"), "{err}");
    for words in [
        ["check", "--books", "--data", "nowhere"],
        ["check", "--audit", "--database", "sqlite://none.sqlite"],
    ] {
        let (status, _, err) = run(folder.path(), &words);
        assert_eq!(status, 1, "{words:?}: {err}");
        assert!(err.contains("there are no books: the file does not exist"), "{err}");
    }
    assert!(is_empty(folder.path()), "looking makes nothing");
}

#[test]
fn files_and_sounds_that_the_settings_name_and_nobody_has_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (status, out, err) = run(folder.path(), &["check"]);
    assert_eq!((status, out.as_str()), (0, "settings: in order\n"), "{err}");
    std::fs::write(folder.path().join("keys"), "2026 short\n").unwrap();
    for (setting, told) in [
        ("recording.key_file=none", "recording.key_file: none: "),
        ("recording.key_file=keys", "recording.key_file: keys: "),
        ("recording.s3_endpoint=https://s3.example", "recording.s3_credentials is not set"),
        ("recording.notice=nosuch", "recording.notice: there is no announcement \"nosuch\""),
        ("media.hold_music=waltz", "media.hold_music: there is no announcement \"waltz\""),
        ("media.hold_music=off,acme=polka", "media.hold_music of acme: there is no announcement"),
        ("recognition.library=none", "recognition.library: none is no folder"),
    ] {
        let (status, out, err) = run(folder.path(), &["check", "--set", setting]);
        assert_eq!((status, out.as_str()), (1, ""), "{setting}: {err}");
        assert!(err.starts_with(&format!("tandem: {told}")), "{setting}: {err}");
        assert_eq!(err.lines().count(), 1, "{setting}: {err}");
    }
    // All of them at once, and nothing is made.
    let both = ["check", "--set", "recording.key_file=none", "--set", "media.hold_music=waltz"];
    assert_eq!(run(folder.path(), &both).2.lines().count(), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "looking makes nothing");
}

#[test]
fn every_mistake_of_a_file_is_told_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[[merchants]]\nname = \"x\"\nmax_calls = \"many\"\ntariff = \"gone\"\nlimt = 1\n";
    std::fs::write(folder.path().join("op.toml"), file).unwrap();
    let (status, _, err) = run(folder.path(), &["check", "op.toml"]);
    assert_eq!(status, 2);
    assert!(err.starts_with("tandem: 3 mistakes; nothing was changed:\n"), "{err}");
    for place in ["op.toml:3: ", "op.toml:4: ", "op.toml:5: "] {
        assert!(err.contains(place), "{place}: {err}");
    }
    std::fs::write(folder.path().join("op.toml"), "[[merchants]\nname = \"x\"\n[[trunks]\n")
        .unwrap();
    let (status, _, err) = run(folder.path(), &["apply", "op.toml"]);
    assert_eq!((status, err.lines().count()), (2, 2), "one finding: {err}");
    assert!(err.contains("op.toml:1:"), "{err}");
}

/// Conformance F22 on the command line.
#[test]
fn what_apply_did_is_in_the_audit_trail_and_the_trail_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (status, out, err) = run(folder.path(), &["apply", &sample("operator.toml")]);
    assert_eq!(status, 0, "{err}");
    let noted = out.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(noted.len(), 64, "{out}");
    let small = "[[sub_accounts]]\nmerchant = \"test\"\nname = \"second\"\n";
    std::fs::write(folder.path().join("more.toml"), small).unwrap();
    assert_eq!(run(folder.path(), &["apply", "more.toml"]).0, 0);
    let (_, again, _) = run(folder.path(), &["apply", "more.toml"]);
    assert_eq!(again, "nothing to change\n", "and nothing in the trail");
    let (status, out, err) = run(folder.path(), &["check", "--audit", "--books", "--head", &noted]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("audit entries: 2\n") && out.contains("audit: in order\n"), "{out}");
    let other = "0".repeat(64);
    let (status, _, err) = run(folder.path(), &["check", "--audit", "--head", &other]);
    assert_eq!(status, 1);
    assert!(err.contains("--head is not in it"), "{err}");
}

// ---- who is turned away ------------------------------------------------------------------------------

#[test]
fn failed_registrations_are_logged_once_a_minute_and_counted_by_reason() {
    let bench = Bench::start(&[]);
    let try_as = |user: &str, password: &str| {
        bench.a.register(&Account {
            credentials: Credentials { user: user.into(), password: password.into() },
            domain: "bench.test".into(),
            registrar: bench.sip(),
            expires: 300,
        })
    };
    // This phone answers a challenge twice before it gives up.
    for n in 0..12 {
        assert!(try_as(A, &format!("guess-{n}")).is_err());
    }
    assert!(try_as("89999", "guess").is_err());
    let (_, metrics) = bench.admin("/metrics");
    for line in [
        "tandem_sip_turned_away_total{reason=\"wrong_password\"} 24\n",
        "tandem_sip_turned_away_total{reason=\"unknown_user\"} 2\n",
        "tandem_sip_turned_away_total{reason=\"replay\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let log = bench.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("turned away")).collect();
    assert_eq!(lines.len(), 2, "one line a minute for each address and reason: {log}");
    for part in ["source=127.0.0.1:", "method=\"REGISTER\"", "user=\"80000\"", "wrong_password"] {
        assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
    }
    assert!(!log.contains("guess"), "a password is in the log");
    // The owner is let in all the same; what he may not dial is told as well.
    bench.register();
    let sip = bench.sip();
    let own = Credentials { user: A.into(), password: format!("secret-{A}") };
    bench.a.dial(&format!("sip:12x@{sip}"), sip, A, Some(own)).unwrap();
    let refused = bench.a.wait(SHORT, |report| report.log.iter().any(|l| l.text.contains(" 484 ")));
    assert!(refused, "{:?}", bench.a.report().calls);
    let (_, metrics) = bench.admin("/metrics");
    assert!(metrics.contains("turned_away_total{reason=\"bad_number\"} 1\n"), "{metrics}");
    let log = bench.log();
    assert!(log.contains("method=\"INVITE\" user=\"80000\" reason=\"bad_number\""), "{log}");
    bench.finish();
}

// ---- deployment --------------------------------------------------------------------------------------

/// The command lines of the unit file: `ExecStartPre=`, `ExecStart=`.
fn command_line(unit: &str, key: &str) -> Vec<String> {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

const NOBODY: &str = "65534";

/// What the unit starts, on the paths that the runbook names. As root in a root folder of its own and as
/// an unprivileged user, who owns nothing but the state directory; otherwise as who we are, with the
/// paths put in place.
#[test]
fn the_units_command_lines_work_with_the_sample_configuration_and_no_privilege() {
    let unit = std::fs::read_to_string(sample("systemd/tandem.service")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for folder in ["usr/bin", "etc/tandem", "var/lib/tandem", "tmp", "log"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    let binary = env!("CARGO_BIN_EXE_tandem");
    std::fs::copy(binary, at("usr/bin/tandem")).unwrap();
    let mut configuration = std::fs::read_to_string(sample("tandem.toml")).unwrap();
    if is_root() {
        let libraries = Command::new("ldd").arg(binary).output().unwrap();
        for word in text(&libraries.stdout).split_whitespace().filter(|w| w.starts_with('/')) {
            std::fs::create_dir_all(at(word).parent().unwrap()).unwrap();
            std::fs::copy(word, at(word)).unwrap();
        }
        let owned = Command::new("chown").arg(NOBODY).arg(at("var/lib/tandem")).status();
        assert!(owned.unwrap().success());
        std::fs::set_permissions(at("etc/tandem"), PermissionsExt::from_mode(0o755)).unwrap();
    } else {
        let state = at("var/lib/tandem").display().to_string();
        configuration = configuration.replace("/var/lib/tandem", &state);
    }
    std::fs::write(at("etc/tandem/tandem.toml"), configuration).unwrap();
    let command = |key: &str| {
        let words = command_line(&unit, key);
        let mut command = if is_root() {
            let mut command = Command::new("chroot");
            command.arg(format!("--userspec={NOBODY}:{NOBODY}")).arg("--groups=");
            command.arg(root.path()).args(&words);
            command
        } else {
            let mut command = Command::new(at(&words[0]));
            command.args(words[1..].iter().map(|word| match word.starts_with('/') {
                true => at(word).display().to_string(),
                false => word.clone(),
            }));
            command
        };
        // Only ports differ from the sample: others may be using those of this machine.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for listener in ["SIP_UDP", "SIP_TCP", "HTTP_LISTEN", "ADMIN_LISTEN"] {
            command.env(format!("TANDEM_{listener}"), "127.0.0.1:0");
        }
        command
    };
    let before = command("ExecStartPre=").output().unwrap();
    assert!(before.status.success(), "{}{}", text(&before.stdout), text(&before.stderr));
    let switch = Switch::start(&mut command("ExecStart="), &at("log/log"));
    assert_eq!(get(switch.address("admin="), "/readyz", "").0, 200);
    let token = at("var/lib/tandem/admin.token").metadata().unwrap();
    assert_eq!(token.mode() & 0o777, 0o600);
    if is_root() {
        assert_eq!(token.uid().to_string(), NOBODY, "it does not run as root");
    }
    assert_eq!(switch.stop(), 0, "SIGTERM is KillSignal= and ends it in order");
}

/// Where systemd is installed it reads the unit file itself, and says how much the service is exposed.
#[test]
fn systemd_understands_every_line_of_the_unit() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for folder in ["etc/systemd/system", "usr/bin", "usr/lib/systemd/system"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    let unit = at("etc/systemd/system/tandem.service");
    std::fs::copy(sample("systemd/tandem.service"), &unit).unwrap();
    // What the unit names must be there and executable; the units it stands on belong to the system.
    std::fs::copy("/bin/true", at("usr/bin/tandem")).unwrap();
    for name in ["sysinit", "basic", "shutdown", "network-online", "multi-user"] {
        let file = at(&format!("usr/lib/systemd/system/{name}.target"));
        std::fs::write(file, "[Unit]\nDescription=of the system\n").unwrap();
    }
    let text_of = std::fs::read_to_string(&unit).unwrap();
    // What it calls its documentation is a file that the runbook has put there.
    let documentation =
        text_of.lines().find_map(|line| line.strip_prefix("Documentation=file:")).unwrap();
    let runbook = std::fs::read_to_string(sample("runbook.md")).unwrap();
    let (folder, file) = documentation.rsplit_once('/').unwrap();
    assert!(runbook.contains(&format!("Copy `{file}` to `{folder}/`")), "{documentation}");
    for key in ["ExecStartPre=/usr/bin/tandem check", "ExecStart=/usr/bin/tandem serve"] {
        assert!(text_of.contains(key), "{key}");
    }
    let analyze = |words: &[&str]| Command::new("systemd-analyze").args(words).output();
    let Ok(out) =
        analyze(&["security", "--offline=true", "--threshold=20", &unit.display().to_string()])
    else {
        // No systemd here: the command lines are still tried by the test above.
        return;
    };
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(out.status.success(), "more exposed than 2.0 of 10: {said}");
    let whole = root.path().display().to_string();
    let out =
        analyze(&["verify", &format!("--root={whole}"), "/etc/systemd/system/tandem.service"]);
    let said = text(&out.unwrap().stderr);
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("tandem.service")).collect();
    assert_eq!(about_us, Vec::<&str>::new(), "{said}");
}

// ---- the demonstration -------------------------------------------------------------------------------

/// Columns that a line takes: East Asian characters take two.
fn columns(line: &str) -> usize {
    line.chars().map(|c| if ('\u{2e80}'..='\u{ffdc}').contains(&c) { 2 } else { 1 }).sum()
}

#[test]
fn the_demonstration_fits_a_terminal_ends_in_time_and_fails_when_something_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |limit: Option<u32>| {
        let mut command = match limit {
            // So few descriptors that the media of a call cannot be opened.
            Some(files) => {
                let mut command = Command::new("sh");
                let line = format!("ulimit -n {files} && exec \"$0\" demo");
                command.args(["-c", &line, env!("CARGO_BIN_EXE_tandem")]);
                command
            }
            None => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
                command.arg("demo");
                command
            }
        };
        command.env("TMPDIR", folder.path()).output().unwrap()
    };
    let begun = Instant::now();
    let out = demo(None);
    let page = text(&out.stdout);
    assert!(out.status.success(), "{page}{}", text(&out.stderr));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    for line in page.lines() {
        assert!(columns(line) <= 100, "{} columns: {line}", columns(line));
    }
    // What it says is kept is there.
    let kept = page.lines().find_map(|line| line.trim().strip_prefix("kept in")).unwrap().trim();
    assert!(Path::new(kept).join("tandem.sqlite").is_file(), "{kept}");
    assert!(page.contains("as long as this switch runs"), "{page}");
    let fails = demo(Some(40));
    let page = text(&fails.stdout);
    assert_eq!(fails.status.code(), Some(1), "{page}");
    assert!(page.contains('✘') && !page.contains("books in order"), "{page}");
}
