//! What the Internet sends to port 5060: noise, oversized streams, scanners, floods of calls from strangers.
//! Afterwards the process lives and a call goes through.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http};
use e2e::sipp::Behaviour;

/// Numbers that look random and are the same in each run (xorshift).
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn options(agent: &str) -> String {
    format!(
        "OPTIONS sip:100@1.1.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK-1;rport\r\n\
         From: \"sipvicious\"<sip:100@1.1.1.1>;tag=1\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: scan-{agent}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn invite(n: u32, body: &str) -> String {
    format!(
        "INVITE sip:00442079460000@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK-i{n};rport\r\nFrom: <sip:100@1.1.1.1>;tag={n}\r\n\
         To: <sip:00442079460000@127.0.0.1>\r\nCall-ID: toll-{n}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:100@127.0.0.1:5061>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn datagrams(country: &Country) {
    let socket = UdpSocket::bind("127.0.0.2:0").expect("a socket");
    socket.connect(country.tandem.sip).expect("a way");
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let model = invite(0, "v=0\r\n").into_bytes();
    for round in 0..3000_u32 {
        let mut bytes = model.clone();
        match round % 4 {
            // Nothing but noise.
            0 => bytes = (0..noise(&mut state) % 1400).map(|_| noise(&mut state) as u8).collect(),
            // A request with damage.
            1 => {
                for _ in 0..8 {
                    let at = noise(&mut state) as usize % bytes.len();
                    bytes[at] = noise(&mut state) as u8;
                }
            }
            // A request that ends early.
            2 => bytes.truncate(noise(&mut state) as usize % bytes.len()),
            // A length that is not one.
            _ => {
                let text = String::from_utf8_lossy(&model);
                let lie = noise(&mut state).to_string();
                bytes = text.replace("Content-Length: 5", &format!("Content-Length: {lie}")).into();
            }
        }
        let _ = socket.send(&bytes);
        if round % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for agent in ["friendly-scanner", "sipvicious", "sipcli/v1.8", "VaxSIPUserAgent/3.1", "pplsip"]
    {
        let _ = socket.send(options(agent).as_bytes());
    }
    // Nothing smaller than the largest datagram there is.
    let _ = socket.send(&vec![b'A'; 65_507]);
}

fn streams(country: &Country) {
    // 64 KiB without an end of line, a header section without an end, a body that never comes.
    let endless = vec![b'x'; 65_536];
    let mut headers = b"OPTIONS sip:a@b SIP/2.0\r\n".to_vec();
    while headers.len() < 65_536 {
        headers.extend_from_slice(b"Subject: again and again and again\r\n");
    }
    let hungry = invite(1, "").replace("Content-Length: 0", "Content-Length: 4294967295");
    let negative = invite(2, "").replace("Content-Length: 0", "Content-Length: -1");
    for bytes in [endless, headers, hungry.into_bytes(), negative.into_bytes(), vec![0; 65_536]] {
        let mut stream = TcpStream::connect(country.tandem.sip).expect("a connection");
        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
        let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
        let _ = stream.write_all(&bytes);
        let _ = stream.read(&mut [0; 4096]);
    }
    // Connections that say nothing.
    let idle: Vec<_> =
        (0..50).filter_map(|_| TcpStream::connect(country.tandem.sip).ok()).collect();
    assert_eq!(idle.len(), 50);
}

/// A stranger who dials a far country is challenged or refused, and nobody is called for him.
fn toll_fraud(country: &Country) {
    let socket = UdpSocket::bind("127.0.0.2:0").expect("a socket");
    socket.connect(country.tandem.sip).expect("a way");
    let _ = socket.set_read_timeout(Some(e2e::wait::PATIENCE));
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
    socket.send(invite(99, sdp).as_bytes()).expect("sent");
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("an answer to a stranger's INVITE");
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if answer.starts_with("SIP/2.0 1") {
            continue;
        }
        let code = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(["401", "403", "404", "407"].contains(&code.as_str()), "{answer}");
        break;
    }
}

#[test]
fn noise_scanners_and_floods_do_no_harm() {
    let party = |talk_ms| Behaviour::Answer { ring_ms: 100, tone: None, talk_ms };
    let country = Country::new(&Wish::default(), &party(None), &party(Some(1000)), 1);
    let pid = country.tandem.pid();
    datagrams(&country);
    streams(&country);
    toll_fraud(&country);
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "alive", A, B, &merchant.url("/back"));
    let (_, body) = http(country.tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=alive");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", told.target);
    assert_eq!(country.tandem.pid(), pid);
    assert!(!country.tandem.log().contains("panicked"), "a thread panicked");
    let cdrs = country.tandem.admin("GET", "/admin/v1/cdrs");
    assert_eq!(cdrs["items"].as_array().map(Vec::len), Some(2), "only the merchant's call: {cdrs}");
    country.tandem.books_in_order();
}
