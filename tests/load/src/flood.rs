//! Registrations of nobody (conformance F9): so many a second from so many addresses, half of them with a
//! digest that somebody made up, while phones register beside them.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses at most: 127.0.1.1 to 127.0.1.250.
pub(crate) const SOURCES_MAX: u8 = 250;
/// Between two bursts.
const STEP: Duration = Duration::from_millis(1);

/// A flood that goes on until it is asked for.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Told>>,
}

/// What came of it.
pub(crate) struct Told {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) seconds: f64,
}

impl Flood {
    pub(crate) fn start(switch: SocketAddrV4, rate: u32, sources: u8) -> io::Result<Flood> {
        let open = |no: u8| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, no), 0))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let sockets: Vec<_> =
            (1..=sources.clamp(1, SOURCES_MAX)).map(open).collect::<io::Result<_>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || pour(&sockets, switch, rate, &stopped));
        Ok(Flood { stop, thread })
    }

    pub(crate) fn end(self) -> io::Result<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the flood panicked"))?
    }
}

fn pour(
    sockets: &[UdpSocket],
    switch: SocketAddrV4,
    rate: u32,
    stopped: &AtomicBool,
) -> io::Result<Told> {
    let begun = Instant::now();
    let (mut sent, mut answered) = (0_u64, 0);
    let mut buffer = [0_u8; 2048];
    while !stopped.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_secs_f64() * f64::from(rate);
        while (sent as f64) < due {
            let socket = &sockets[sent as usize % sockets.len()];
            let text = request(sent, &socket.local_addr()?.to_string());
            // A full buffer loses it, as a network would.
            let _ = socket.send_to(text.as_bytes(), switch);
            sent += 1;
        }
        for socket in sockets {
            while socket.recv_from(&mut buffer).is_ok() {
                answered += 1;
            }
        }
        std::thread::sleep(STEP);
    }
    Ok(Told { sent, answered, seconds: begun.elapsed().as_secs_f64() })
}

fn request(no: u64, at: &str) -> String {
    let user = 1_000_000 + no % 100_000;
    let made_up = format!(
        "Authorization: Digest username=\"{user}\", realm=\"tandem.example\", nonce=\"{no:032x}\", \
         uri=\"sip:tandem.example\", response=\"{no:032x}\", algorithm=MD5, cnonce=\"c\", qop=auth, \
         nc=00000001\r\n"
    );
    let proof = if no.is_multiple_of(2) { "" } else { made_up.as_str() };
    format!(
        "REGISTER sip:tandem.example SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKbad{no};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@tandem.example>;tag=f{no}\r\n\
         To: <sip:{user}@tandem.example>\r\nCall-ID: bad-{no}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:{user}@{at}>\r\nExpires: 3600\r\n{proof}Content-Length: 0\r\n\r\n"
    )
}
