//! A name server on loopback that answers as a test wants it to: one question, UDP (RFC 1035 §4).

#![allow(dead_code, reason = "not every test that stands on the bench asks for names")]
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Types of records.
pub(crate) mod kinds {
    /// An IPv4 address (RFC 1035 §3.2.2).
    pub(crate) const A: u16 = 1;
    /// An IPv6 address (RFC 3596 §2.1).
    pub(crate) const AAAA: u16 = 28;
    /// A service (RFC 2782).
    pub(crate) const SRV: u16 = 33;
    /// The services of a domain (RFC 3403 §4).
    pub(crate) const NAPTR: u16 = 35;
}

pub(crate) use kinds::{A, AAAA};

/// What it says to a question.
pub(crate) enum Says {
    /// These of the asked type, good for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// Data of records of the asked type, good for so many seconds.
    Data(Vec<Vec<u8>>, u32),
    /// SERVFAIL.
    Failure,
    /// NXDOMAIN.
    NoSuchName,
    /// No answer at all.
    Nothing,
}

impl Says {
    pub(crate) fn addresses(addresses: &[IpAddr], ttl: u32) -> Says {
        Says::Addresses(addresses.to_vec(), ttl)
    }

    /// Priority, weight, port and host of each (RFC 2782).
    pub(crate) fn srv(records: &[(u16, u16, u16, &str)], ttl: u32) -> Says {
        let data = |(priority, weight, port, host): &(u16, u16, u16, &str)| {
            let mut data =
                [priority.to_be_bytes(), weight.to_be_bytes(), port.to_be_bytes()].concat();
            data.extend(name(host));
            data
        };
        Says::Data(records.iter().map(data).collect(), ttl)
    }

    /// One record of order and preference, with the flag `s` (RFC 3403 §4.1).
    pub(crate) fn naptr(
        (order, preference): (u16, u16),
        service: &str,
        replacement: &str,
        ttl: u32,
    ) -> Says {
        let mut data = [order.to_be_bytes(), preference.to_be_bytes()].concat();
        for text in ["s", service, ""] {
            data.push(u8::try_from(text.len()).unwrap());
            data.extend(text.as_bytes());
        }
        data.extend(name(replacement));
        Says::Data(vec![data], ttl)
    }
}

/// A name in labels (RFC 1035 §3.1).
fn name(text: &str) -> Vec<u8> {
    let mut labels = Vec::new();
    for label in text.split('.') {
        labels.push(u8::try_from(label.len()).unwrap());
        labels.extend(label.as_bytes());
    }
    labels.push(0);
    labels
}

/// Answers until it is dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// `says` is given the name in lower case, the type, and how often exactly that was asked before.
    pub(crate) fn start(says: impl Fn(&str, u16, usize) -> Says + Send + 'static) -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let query = &buffer[..length];
                let Some((name, kind, question_end)) = question(query) else { continue };
                let nth = {
                    let mut log: std::sync::MutexGuard<'_, Vec<(String, u16)>> =
                        log.lock().unwrap();
                    let nth = log.iter().filter(|(n, k)| *n == name && *k == kind).count();
                    log.push((name.clone(), kind));
                    nth
                };
                if let Some(answer) = answer(&query[..question_end], kind, &says(&name, kind, nth))
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        NameServer { address, asked, stop, thread: Some(thread) }
    }

    /// Every question so far: name and type.
    pub(crate) fn asked(&self) -> Vec<(String, u16)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Name, type and end of the only question (RFC 1035 §4.1.2).
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 4))
}

/// The head, the question again, and the answers (RFC 1035 §4.1.1, §4.1.3).
fn answer(asked: &[u8], kind: u16, says: &Says) -> Option<Vec<u8>> {
    let octets = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (code, records, ttl) = match says {
        Says::Nothing => return None,
        Says::NoSuchName => (3_u8, Vec::new(), 0),
        Says::Failure => (2, Vec::new(), 0),
        Says::Data(records, ttl) => (0, records.clone(), *ttl),
        Says::Addresses(addresses, ttl) => {
            let fits = |ip: &&IpAddr| ip.is_ipv4() == (kind == A) && matches!(kind, A | AAAA);
            (0, addresses.iter().filter(fits).map(octets).collect(), *ttl)
        }
    };
    let count = u16::try_from(records.len()).ok()?;
    let mut answer = asked[..2].to_vec();
    // Answer, recursion desired and available; one question.
    answer.extend([0x81, 0x80 | code, 0, 1]);
    answer.extend(count.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(&asked[12..]);
    for bytes in records {
        // The name is where the question has it.
        answer.extend([0xc0, 0x0c]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
        answer.extend(bytes);
    }
    Some(answer)
}
