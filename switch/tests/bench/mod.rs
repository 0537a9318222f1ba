//! The real binary on loopback, a merchant that listens, and two phones: what the end-to-end tests stand on.

pub(crate) mod names;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use phone::{Account, Behaviour, CallState, Credentials, Phone, PhoneError, Wire};

pub(crate) const KEY: &str = "awrlk45ghfg7";
pub(crate) const A: &str = "80000";
pub(crate) const B: &str = "13800138000";

/// A switch that may be killed and started again over the same folder.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) merchant: Merchant,
    pub(crate) a: Phone,
    pub(crate) b: Phone,
    extra: Vec<String>,
    process: Option<Process>,
    wire: Wire,
    rtp: u16,
    sip: u16,
}

struct Process {
    child: Child,
    sip: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Bench {
    /// Writes the books, starts the switch, registers A.
    pub(crate) fn start(extra: &[&str]) -> Bench {
        Bench::over(Wire::Udp, extra)
    }

    /// The same with phones that speak UDP or TCP.
    pub(crate) fn over(wire: Wire, extra: &[&str]) -> Bench {
        Bench::at(wire, ["127.0.0.1:0", "127.0.0.1:0"], extra)
    }

    /// The same with the phones at these addresses.
    pub(crate) fn at(wire: Wire, [a, b]: [&str; 2], extra: &[&str]) -> Bench {
        let [a, b]: [SocketAddr; 2] = [a, b].map(|text| text.parse().unwrap());
        let mut bench = Bench {
            folder: tempfile::tempdir().unwrap(),
            merchant: Merchant::open(),
            a: Phone::on(wire, a, Behaviour { tone_hz: 700, ..Behaviour::default() }).unwrap(),
            b: Phone::on(wire, b, Behaviour { tone_hz: 1100, ..Behaviour::default() }).unwrap(),
            extra: extra.iter().map(|word| (*word).to_owned()).collect(),
            process: None,
            wire,
            rtp: port_range(),
            sip: free_port(),
        };
        let applied = bench.tandem(&["apply", &bench.operator_file(&bench.operator_text())]);
        assert!(applied.status.success(), "{}", text(&applied.stderr));
        bench.serve();
        bench.register();
        bench
    }

    pub(crate) fn operator_text(&self) -> String {
        format!(
            r#"[settings]
realm = "bench.test"

[[tariffs]]
name = "standard"
rates = [
  {{ prefix = "internal", per_minute = "0.05" }},
  {{ prefix = "86138", per_minute = "0.15" }},
]

[[merchants]]
name = "test"
key = "{KEY}"
tariff = "standard"
caller_id = "861088880000"
record = true

[[top_ups]]
id = "1"
merchant = "test"
amount = "10.00"

[[extensions]]
number = "{A}"
merchant = "test"
password = "secret-80000"

[[trunks]]
name = "carrier"
target = "{}"
transport = "{}"

[[routes]]
trunk = "carrier"

[[inbound]]
number = "+861088880000"
extension = "{A}"
"#,
            self.b.address(),
            if self.wire == Wire::Tcp { "tcp" } else { "udp" }
        )
    }

    pub(crate) fn operator_file(&self, text: &str) -> String {
        let path = self.folder.path().join("operator.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs another command of the program over the same folder.
    pub(crate) fn tandem(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(words)
            .arg("--data")
            .arg(self.data())
            .output()
            .unwrap()
    }

    /// Starts the switch and waits for its ready line.
    pub(crate) fn serve(&mut self) {
        let sip = self.sip;
        let (listen, homes) = match [&self.a, &self.b].iter().any(|phone| phone.address().is_ipv6())
        {
            true => (format!("127.0.0.1:{sip},[::1]:{sip}"), "127.0.0.1,::1"),
            false => (format!("127.0.0.1:{sip}"), "127.0.0.1"),
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .arg("serve")
            .arg("--data")
            .arg(self.data())
            .args(["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--sip-udp", &listen])
            .args(["--sip-tcp", &listen])
            .args(["--rtp-ports", &format!("{}-{}", self.rtp, self.rtp + 39)])
            .args(["--set", &format!("rtp.bind={homes}")])
            .args(["--set", "http.callback_allow=127.0.0.0/8"])
            .args(["--set", &format!("http.callback_ports={}", self.merchant.address.port())])
            .args(["--set", "call.checkpoint=1s", "--log", "info"])
            .args(&self.extra)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.starts_with("tandem ready "))
            .unwrap_or_else(|| panic!("it did not start: {}", self.log()));
        // Somebody must read on, or the switch would block on a full pipe one day.
        thread::spawn(move || lines.for_each(drop));
        let word = |name: &str| -> SocketAddr {
            let value = ready.split([' ', ',', '=']).skip_while(|word| *word != name).nth(1);
            value.unwrap().trim_start_matches("udp:").parse().unwrap()
        };
        let (sip, http, admin) = (word("sip"), word("http"), word("admin"));
        assert!(ready.contains(&format!("sip=udp:{sip},")), "{ready}");
        assert!(ready.contains(&format!(",tcp:{sip}")), "{ready}");
        self.process = Some(Process { child, sip, http, admin });
    }

    pub(crate) fn register(&self) {
        self.register_as(A).unwrap();
    }

    pub(crate) fn register_as(&self, user: &str) -> Result<(), PhoneError> {
        let account = Account {
            credentials: Credentials { user: user.into(), password: format!("secret-{user}") },
            domain: "bench.test".into(),
            registrar: SocketAddr::new(self.a.address().ip(), self.sip),
            expires: 300,
        };
        self.a.register(&account)
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the switch runs")
    }

    /// Where SIP listens.
    pub(crate) fn sip(&self) -> SocketAddr {
        self.process().sip
    }

    /// Sizes of the finished recordings, and how many are unfinished.
    pub(crate) fn recordings(&self) -> (Vec<u64>, usize) {
        let (mut whole, mut unfinished) = (Vec::new(), 0);
        for folder in std::fs::read_dir(self.data().join("recordings")).unwrap().flatten() {
            for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                if file.file_name().to_string_lossy().ends_with(".mp3") {
                    whole.push(file.metadata().unwrap().len());
                } else {
                    unfinished += 1;
                }
            }
        }
        (whole, unfinished)
    }

    /// Waits until the log has these words.
    pub(crate) fn logs(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "no {words:?} in {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A callback signed by the merchant's formula; the answer's body.
    pub(crate) fn callback(&self, id: &str) -> String {
        self.callback_to(id, &self.merchant.address.to_string())
    }

    /// The same, to be told at this host.
    pub(crate) fn callback_to(&self, id: &str, host: &str) -> String {
        let base =
            format!("username=test&callbackid={id}&callback_num={A}&destination_num={B}&key={KEY}");
        let target = format!(
            "/api/biz_callback?username=test&callbackid={id}&callback_num={A}&destination_num={B}\
             &returnurl=http://{host}/done&data=x&sign={}",
            md5_hex(&base)
        );
        let (status, body) = get(self.process().http, &target, "");
        assert_eq!(status, 200);
        body
    }

    /// Places a callback that must be accepted.
    pub(crate) fn place(&self, id: &str) {
        assert_eq!(self.callback(id), format!("result=success&callbackid={id}"), "{}", self.log());
    }

    /// Where the process listens for merchants and for the operator.
    #[allow(dead_code, reason = "not every test binary asks for them")]
    pub(crate) fn doors(&self) -> [SocketAddr; 2] {
        let process = self.process();
        [process.http, process.admin]
    }

    pub(crate) fn admin(&self, target: &str) -> (u16, String) {
        let token = std::fs::read_to_string(self.data().join("admin.token")).unwrap();
        get(self.process().admin, target, &format!("Authorization: Bearer {}\r\n", token.trim()))
    }

    pub(crate) fn http(&self, target: &str) -> (u16, String) {
        get(self.process().http, target, "")
    }

    pub(crate) fn both_talk(&self) {
        for (name, phone) in [("A", &self.a), ("B", &self.b)] {
            let up = phone.wait(Duration::from_secs(30), |report| {
                report.calls.last().is_some_and(|call| call.state == CallState::Up)
            });
            assert!(up, "{name} is not up: {:?}\n{}", phone.report().calls, self.log());
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process().child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end; the exit status.
    pub(crate) fn ended(&mut self, limit: Duration) -> i32 {
        let mut process = self.process.take().unwrap();
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = process.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if Instant::now() > deadline {
                let _ = process.child.kill();
                panic!("it did not end: {}", self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, exit status 0, books in order.
    pub(crate) fn finish(mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(Duration::from_secs(60)), 0, "{}", self.log());
        let check = self.tandem(&["check", "--books"]);
        assert!(check.status.success(), "{}", text(&check.stderr));
        let said = text(&check.stdout);
        assert!(said.contains("open calls: 0") && said.contains("open holds: 0"), "{said}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// A merchant that says `success` and keeps what it was told.
pub(crate) struct Merchant {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Merchant {
    fn open() -> Merchant {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = Arc::clone(&shared);
                thread::spawn(move || answer(stream, &heard));
            }
        });
        Merchant { address, heard }
    }

    /// Every notification so far, oldest first.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The notification of one callback, its signature checked.
    pub(crate) fn notified(&self, id: &str, limit: Duration) -> Notification {
        let deadline = Instant::now() + limit;
        loop {
            let found = self
                .heard()
                .into_iter()
                .map(Notification)
                .find(|told| told.value("callbackid") == id);
            if let Some(told) = found {
                assert_eq!(told.value("sign"), md5_hex(&told.signed()), "{told:?}");
                return told;
            }
            assert!(Instant::now() < deadline, "nothing was told of {id}: {:?}", self.heard());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What the merchant was told.
#[derive(Debug)]
pub(crate) struct Notification(pub(crate) String);

impl Notification {
    pub(crate) fn value(&self, name: &str) -> String {
        let query = self.0.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }

    fn signed(&self) -> String {
        let names = [
            "callbackid",
            "callback_num",
            "callback_duration",
            "callback_fee",
            "destination_num",
            "destination_duration",
            "destination_fee",
            "callback_result",
        ];
        let pairs: Vec<String> = names.iter().map(|n| format!("{n}={}", self.value(n))).collect();
        format!("{}&key={KEY}", pairs.join("&"))
    }
}

fn answer(stream: TcpStream, heard: &Mutex<Vec<String>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        heard.lock().unwrap().push(first.split(' ').nth(1).unwrap_or_default().to_owned());
        let said = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess";
        if writer.write_all(said).is_err() {
            return;
        }
    }
}

/// One HTTP GET.
pub(crate) fn get(to: SocketAddr, target: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, body.to_owned())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// Forty RTP ports that no other test of this process uses; tests in other processes get others by chance.
fn port_range() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 400).unwrap();
    let step = NEXT.fetch_add(1, Ordering::Relaxed) % 20;
    16_000 + (process * 40 + step * 40) % 16_000
}

/// A SIP port, free for UDP and TCP, that stays the same when the switch is started again.
fn free_port() -> u16 {
    loop {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
