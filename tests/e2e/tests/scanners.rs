//! The scanners that everybody with port 5060 open meets, as they come (conformance F10): what they find is
//! nothing, and they are not answered for long. A guesser that calls itself a phone fares no better.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::sipp::Behaviour;

/// Runs one of the scanners from an address of its own; what it printed.
fn scan(tool: &str, from: &str, port: u16, more: &[&str]) -> String {
    let out = Command::new("timeout")
        .args(["30", tool, "-b", from, "-p", &port.to_string()])
        .args(more)
        .arg("127.0.0.1")
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}"));
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Tries passwords of one extension without any word of what it is; how many answers it got, and whether
/// it was cut off.
fn guess(country: &Country, from: &str, most: usize) -> usize {
    let socket = UdpSocket::bind((from, 0)).expect("a socket");
    socket.connect(country.tandem.sip).expect("a way");
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a time-out");
    let own = socket.local_addr().expect("an address");
    for n in 0..most {
        let request = format!(
            "REGISTER sip:sip.example.net SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKg{n};rport\r\n\
             From: <sip:80000@sip.example.net>;tag=g{n}\r\nTo: <sip:80000@sip.example.net>\r\n\
             Call-ID: guess-{n}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:80000@{own}>\r\n\
             User-Agent: Desk phone\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send(request.as_bytes()).expect("sent");
        if socket.recv(&mut [0; 4096]).is_err() {
            return n;
        }
    }
    most
}

#[test]
fn f10_scanners_find_nothing_are_banned_and_a_call_goes_through_meanwhile() {
    let party = |talk_ms| Behaviour::Answer { ring_ms: 100, tone: None, talk_ms };
    let settings = vec!["abuse.allow=127.0.0.1/32".to_owned()];
    let wish = Wish { settings, ..Wish::default() };
    let country = Country::new(&wish, &party(None), &party(Some(1000)), 1);
    let port = country.tandem.sip.port();

    let began = Instant::now();
    let map = scan("svmap", "127.0.0.7", port, &[]);
    // It does not bind where it is told to, and comes from the carriers' address, which nobody bans: every
    // extension is answered like one that is not there, so there is nothing to find.
    let war = scan("svwar", "127.0.0.8", port, &["-e80000-80020", "-m", "REGISTER"]);
    assert!(began.elapsed() < Duration::from_secs(65), "a scanner was kept busy");
    assert!(!map.contains("tandem") && !map.contains("127.0.0.1:"), "{map}");
    assert!(!war.contains("reqauth") && !war.contains("noauth"), "{war}");
    let answered = guess(&country, "127.0.0.10", 60);
    assert!((1..=20).contains(&answered), "{answered} answers");

    let bans = country.tandem.admin("GET", "/admin/v1/bans");
    let bans = bans["items"].as_array().expect("bans");
    let of = |source: &str| bans.iter().find(|ban| ban["source"] == source);
    assert_eq!(of("127.0.0.7").expect("banned")["offence"], "scanner");
    assert_eq!(of("127.0.0.10").expect("banned")["offence"], "knocking");
    let trail = country.tandem.admin("GET", "/admin/v1/audit?limit=1000");
    let noted = trail["items"].as_array().expect("a trail").iter().filter(|e| e["act"] == "ban");
    assert_eq!(noted.count(), 2, "{trail}");

    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "alive", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=alive");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
}
