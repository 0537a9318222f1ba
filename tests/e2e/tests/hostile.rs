//! What is done to a door on the Internet, all at one time, and how long those wait meanwhile who ask for something good.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::country::{A, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, http, md5_hex, try_http};
use e2e::sipcall::{company, play};
use e2e::sipp::Behaviour;
use serde_json::Value;

/// Connections that say what they want one byte at a time.
const SLOW: usize = 1_000;
/// Octets that may be under way in sockets beside those that were read.
const UNDER_WAY: u64 = 12 << 20;
/// A sound at most.
const SOUND_MAX: u64 = 20 << 20;

/// A server of one sound, and how much of it went out.
struct Sound {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
}

impl Sound {
    /// `head` and then `piece`, again and again, with a pause between: `times` of it.
    fn serve(head: String, piece: Vec<u8>, times: u64, pause: Duration) -> Sound {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(head.as_bytes());
                for _ in 0..times {
                    if stream.write_all(&piece).is_err() {
                        break;
                    }
                    counted.fetch_add(piece.len() as u64, Ordering::SeqCst);
                    std::thread::sleep(pause);
                }
            }
        });
        Sound { address, sent }
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

fn head(length: Option<u64>) -> String {
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n{length}Connection: close\r\n\r\n")
}

/// MPEG-2.5 layer III, 8 kbit/s, 8 kHz, mono: 72 ms of silence in 72 octets, a minute of it and a little more.
fn silence() -> Vec<u8> {
    let mut frame = [0; 72];
    frame[..4].copy_from_slice(&[0xff, 0xe3, 0x18, 0xc4]);
    frame.repeat(1_000)
}

/// Sounds that have no end, are too large, are too long; with what of each may be fetched.
fn sounds() -> Vec<(&'static str, Sound, u64)> {
    let whole = |times: u64| Some(72_000 * times);
    let at_once = Duration::ZERO;
    vec![
        ("endless.mp3", Sound::serve(head(None), silence(), u64::MAX, at_once), SOUND_MAX),
        ("10-gb.mp3", Sound::serve(head(Some(10 << 30)), silence(), u64::MAX, at_once), 0),
        ("a-day.mp3", Sound::serve(head(whole(1_200)), silence(), 1_200, at_once), 0),
        ("5-hours.mp3", Sound::serve(head(whole(250)), silence(), 250, at_once), SOUND_MAX),
        (
            "drops.mp3",
            Sound::serve(head(None), vec![0xff], u64::MAX, Duration::from_millis(50)),
            1_000,
        ),
    ]
}

/// Heads that never end, a byte at a time, until nobody listens to any of them.
fn slowly(to: SocketAddr) -> std::thread::JoinHandle<Duration> {
    let mut open: Vec<TcpStream> =
        (0..SLOW).map(|_| TcpStream::connect(to).expect("a connection")).collect();
    let began = Instant::now();
    for stream in &mut open {
        stream.set_nonblocking(true).expect("set");
        let _ = stream.write_all(b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    }
    std::thread::spawn(move || {
        while !open.is_empty() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(200));
            open.retain_mut(|stream| {
                let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
                let heard = stream.read(&mut [0; 512]);
                let goes_on =
                    heard.as_ref().is_ok_and(|read| *read > 0) || heard.as_ref().is_err_and(waits);
                goes_on && stream.write_all(b"a").is_ok()
            });
        }
        assert!(open.is_empty(), "{} are open still", open.len());
        began.elapsed()
    })
}

/// Bodies of a hundred thousand keys, of great depth, and with two lengths, one after the other.
fn bodies(to: SocketAddr, stop: &AtomicBool) -> u64 {
    let keys: String = (0..100_000).map(|n| format!("k{n}=1&")).collect();
    let deep = format!("{{\"to\":{}{}}}", "[".repeat(9_000), "]".repeat(9_000));
    let json = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let chunked = [("Transfer-Encoding", "chunked")];
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        for path in ["/", "/api/biz_callback", "/v1/calls", "/201512/sid/a/call/DailbackCall.wx"] {
            // Some are refused before they are whole, and then the rest of them meets a closed connection.
            let _ = try_http(to, "POST", path, &[], &keys);
            let _ = try_http(to, "POST", path, &json, &deep);
            let _ = try_http(to, "POST", path, &chunked, "0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
            sent += 3;
        }
    }
    sent
}

/// Good requests, one after the other; how long each took.
fn good(to: SocketAddr, bearer: &str, stop: &AtomicBool) -> Vec<Duration> {
    let sign = md5_hex(&format!("username={USER}&key={KEY}"));
    let balance = format!("/api/biz_balance?username={USER}&sign={sign}");
    let mut took = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        for (path, says) in
            [("/v1/balance", "\"held_micros\""), (balance.as_str(), "result=success")]
        {
            let asked = Instant::now();
            let (status, body) = http(to, "GET", path, &[("Authorization", bearer)], "");
            took.push(asked.elapsed());
            assert!(status == 200 && body.contains(says), "{path}: {status} {body}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    took
}

#[test]
fn f18_good_requests_are_answered_within_500_ms_beside_all_that_is_bad() {
    let merchant = Merchant::start();
    // Without limits of rate, which would shut out all that comes from one address before it costs anything.
    let settings = ["http.header_timeout=3s", "push.timeout=3s"];
    let rates = ["http.address_rate=off", "http.merchant_rate=off"];
    let settings = [settings, rates].concat().into_iter().map(str::to_owned).collect();
    let wish = Wish { more: company(USER, &merchant.url("/")), settings, ..Wish::default() };
    let answers = Behaviour::Answer { ring_ms: 0, tone: None, talk_ms: Some(200) };
    let country = Country::new(&wish, &answers, &answers, 8);
    let (door, pid) = (country.tandem.http, country.tandem.pid());
    let bearer = format!("Bearer {}", country.tandem.api_key(USER, &["balance:read"]));
    let before = memory(pid);
    let sounds = sounds();
    let stop = AtomicBool::new(false);
    let slow = slowly(door);
    let (mut took, bad, closed) = std::thread::scope(|scope| {
        let bad = scope.spawn(|| bodies(door, &stop));
        let good: Vec<_> = (0..3).map(|_| scope.spawn(|| good(door, &bearer, &stop))).collect();
        for (name, sound, _) in &sounds {
            let url = sound.url(name);
            let asked = [("destnumber", A), ("voicetype", "2"), ("voicefile", url.as_str())];
            assert_eq!(play(door, &asked)["data"]["status"], 0);
        }
        let told = merchant.wait_for("/cdr", sounds.len());
        let closed = slow.join().expect("all were closed");
        stop.store(true, Ordering::SeqCst);
        for one in told {
            let told: Value = serde_json::from_str(&one.body).expect("JSON");
            assert_eq!(
                (&told["hangupcause"], &told["billsec"]),
                (&10_020.into(), &0.into()),
                "{told}"
            );
        }
        let took: Vec<Duration> =
            good.into_iter().flat_map(|one| one.join().expect("good")).collect();
        (took, bad.join().expect("bad"), closed)
    });
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    assert!(took.len() >= 300 && bad >= 24, "{} good beside {bad} bad", took.len());
    assert!(p99 <= Duration::from_millis(500), "{p99:?} of {}", took.len());
    assert!(closed < Duration::from_secs(6), "{closed:?}");
    for (name, sound, most) in &sounds {
        let sent = sound.sent.load(Ordering::SeqCst);
        assert!(sent <= most + UNDER_WAY, "{sent} octets of {name}");
    }
    let grown = memory(pid).saturating_sub(before);
    assert!(grown < 256 << 10, "{grown} KiB more than before");
    assert_eq!(country.tandem.pid(), pid);
    assert!(!country.tandem.log().contains("panicked"), "a thread panicked");
    country.tandem.books_in_order();
}

/// The most memory that the process ever had, KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}
