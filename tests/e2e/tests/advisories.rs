//! Classes of faults that were found in other switches, tried on the built program: `docs/advisories.md`.

use std::net::UdpSocket;
use std::time::Duration;

use e2e::country::{self, Wish};
use e2e::merchant::{http, try_http};
use e2e::tandem::{Setup, Tandem};

/// Sends a REGISTER in which everything bears a name; what came back, if anything did.
fn register(socket: &UdpSocket, name: &str, cseq: u32, headers: &str) -> String {
    let own = socket.local_addr().expect("bound");
    let text = format!(
        "REGISTER sip:tandem.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: \"{name}\" <sip:80000@tandem.example>;tag=a{cseq}\r\n\
         To: <sip:80000@tandem.example>\r\nCall-ID: {own}\r\nCSeq: {cseq} REGISTER\r\n\
         Contact: \"{name}\" <sip:80000@{own}>\r\nUser-Agent: {name}\r\n{headers}\
         Content-Length: 0\r\n\r\n"
    );
    socket.send(text.as_bytes()).expect("sent");
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Whoever reads the log with his eyes or with a program sees one line for each event, and nothing in it
/// that moves a cursor or passes for another line.
#[test]
fn advisory_18_what_strangers_write_makes_no_line_of_the_log() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().expect("a folder");
        let operator = country::operator(&Wish::default(), e2e::ports::one(), e2e::ports::one());
        let settings = vec![format!("log.format={format}"), "log.level=trace,sqlx=warn".to_owned()];
        let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
        // Escape sequences that clear the screen and set a title, a bell, C1, and what would be lines of their own; the
        // last ones are no messages, and dropped.
        let names = [
            "FORGED\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m",
            "8%0d%0aFORGED%1b[2J",
            "FORGED\u{7f}\u{8}\u{8}",
            "8\r\n\tFORGED",
            "8\nFORGED\u{0}",
        ];
        for (n, name) in names.into_iter().enumerate() {
            // Each from an address of its own: the same one is told of once a minute.
            let socket = UdpSocket::bind(format!("127.0.0.{}:0", n + 20)).expect("a socket");
            socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
            socket.connect(tandem.sip).expect("a way");
            let first = register(&socket, name, 1, "");
            let nonce = first.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
            let Some(nonce) = nonce else { continue };
            let proof = format!(
                "Authorization: Digest username=\"{name}\", realm=\"tandem.example\", \
                 nonce=\"{nonce}\", uri=\"sip:tandem.example\", algorithm=MD5, qop=auth, nc=00000001, \
                 cnonce=\"{name}\", response=\"{}\"\r\n",
                "0".repeat(32)
            );
            let second = register(&socket, name, 2, &proof);
            assert!(second.starts_with("SIP/2.0 4"), "{second}");
        }
        let target =
            "/api/biz_callback?username=x%0d%0aFORGED%1b[2J&callbackid=1%0aFORGED&sign=%00";
        let (status, _) = http(tandem.http, "GET", target, &[], "");
        assert!(status < 500, "{status}");
        let headers = [("User-Agent", "FORGED\u{1b}[2J"), ("X-Forwarded-For", "FORGED\u{1b}[2J")];
        let _ = try_http(tandem.http, "GET", "/healthz", &headers, "");
        std::thread::sleep(Duration::from_millis(1500));
        let log = std::fs::read(folder.path().join("tandem-1.log")).expect("a log");
        let odd: Vec<u8> = log
            .iter()
            .copied()
            .filter(|b| (*b < 0x20 && *b != b'\n' && *b != b'\t') || *b == 0x7f)
            .collect();
        let text = String::from_utf8_lossy(&log).into_owned();
        assert!(odd.is_empty(), "{odd:?} in\n{text:?}");
        assert!(!text.contains('\u{9b}'), "C1 in\n{text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{text}");
        assert!(text.contains("FORGED"), "something of it is logged:\n{text}");
    }
}
