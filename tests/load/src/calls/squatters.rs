//! Connections that nobody needs (conformance F12), held open beside the calls: a third says nothing, a third says
//! one octet a second, a third begins a TLS handshake and does not end it.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses that they come from: 127.0.1.1 and on.
const SOURCES: usize = 250;
/// The first octets of a TLS record with a handshake of 512 octets that never come.
const HALF: [u8; 5] = [0x16, 0x03, 0x01, 0x02, 0x00];
/// An octet of each that dribbles in this time.
const DRIBBLE: Duration = Duration::from_secs(1);

/// Connections that stay for as long as they may.
pub(crate) struct Squatters {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Left>,
}

/// How many there were, and how many were still open at the end.
pub(crate) struct Left {
    pub(crate) opened: usize,
    pub(crate) refused: usize,
    pub(crate) open: usize,
    pub(crate) seconds: f64,
}

impl Squatters {
    /// Opens `count` connections by turns to these doors; the last one speaks TLS if there are two.
    pub(crate) fn start(count: usize, doors: Vec<SocketAddr>) -> Squatters {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || squat(count, &doors, &stopped));
        Squatters { stop, thread }
    }

    pub(crate) fn end(self) -> io::Result<Left> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the squatters panicked"))
    }
}

fn squat(count: usize, doors: &[SocketAddr], stopped: &AtomicBool) -> Left {
    let begun = Instant::now();
    let mut open = Vec::new();
    let mut refused = 0;
    for no in 0..count {
        let source = Ipv4Addr::new(127, 0, 1, u8::try_from(no % SOURCES + 1).unwrap_or(1));
        match connect(source, doors[no % doors.len()]) {
            Ok(mut socket) => {
                if no % 3 == 2 && socket.write_all(&HALF).is_err() {
                    refused += 1;
                }
                open.push((no, socket));
            }
            Err(_) => refused += 1,
        }
        if stopped.load(Ordering::Relaxed) {
            break;
        }
    }
    let opened = open.len();
    while !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(DRIBBLE);
        open.retain_mut(|(no, socket)| {
            let said = *no % 3 != 1 || socket.write_all(b"I").is_ok();
            said && !is_closed(socket)
        });
    }
    Left { opened, refused, open: open.len(), seconds: begun.elapsed().as_secs_f64() }
}

fn is_closed(socket: &mut TcpStream) -> bool {
    let mut buffer = [0_u8; 256];
    match socket.read(&mut buffer) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// A connection from an address of ours, which the standard library cannot choose.
fn connect(source: Ipv4Addr, door: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&door.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
