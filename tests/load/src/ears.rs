//! Merchants' machines that are told what became of their calls: any number of endpoints, one thread, no library. What
//! they cost is not to be mistaken for the switch's cost.
//!
//! Each endpoint is an address of 127.1.0.0/16 of its own. What is told names its call `load-<number>`, in a query or
//! in a body.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http::{Link, Message};
use crate::sys::Poller;

/// Endpoints that keep connections open; where there are more, descriptors would run out on either side.
const KEPT: usize = 1000;
/// Addresses of one 127.1.x.0/24 that are used.
const OF_A_NET: usize = 250;

/// What was heard, by call.
#[derive(Debug)]
struct Heard {
    since: Instant,
    /// Nanoseconds since then, each call's first; 0: not yet.
    first: Vec<AtomicU64>,
    /// Digits pressed, where what is told has a `userkey`: 1 more than the digit; 0 for none.
    keys: Vec<AtomicU64>,
    calls: AtomicU64,
    again: AtomicU64,
    strange: AtomicU64,
}

/// All endpoints of a run.
#[derive(Debug)]
pub struct Ears {
    port: u16,
    /// Takes connections by the kernel alone: nobody ever answers there.
    dead: Option<TcpListener>,
    heard: Arc<Heard>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ears {
    /// `endpoints` machines that answer, one more that does not where `dead`; calls have numbers below `calls`.
    ///
    /// # Errors
    /// When sockets cannot be had.
    pub fn start(endpoints: usize, dead: bool, calls: usize) -> io::Result<Ears> {
        let first = TcpListener::bind((address(0), 0))?;
        let port = first.local_addr()?.port();
        let mut listeners = vec![first];
        for n in 1..endpoints {
            listeners.push(TcpListener::bind((address(n), port))?);
        }
        let dead = dead.then(|| TcpListener::bind((NOBODY, port))).transpose()?;
        let none = || (0..calls).map(|_| AtomicU64::new(0)).collect();
        let heard = Arc::new(Heard {
            since: Instant::now(),
            first: none(),
            keys: none(),
            calls: AtomicU64::new(0),
            again: AtomicU64::new(0),
            strange: AtomicU64::new(0),
        });
        let ending = Arc::new(AtomicBool::new(false));
        let mut room = Room::new(listeners, Arc::clone(&heard))?;
        let told = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                room.turn();
            }
        });
        Ok(Ears { port, dead, heard, ending, thread: Some(thread) })
    }

    /// Where the endpoint with this number is told.
    #[must_use]
    pub fn url(&self, endpoint: usize) -> String {
        format!("http://{}:{}/", address(endpoint), self.port)
    }

    /// Where nobody answers.
    #[must_use]
    pub fn dead(&self) -> Option<String> {
        self.dead.as_ref().map(|_| format!("http://{NOBODY}:{}/", self.port))
    }

    /// Calls that were told of.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.heard.calls.load(Ordering::Acquire)
    }

    /// What was told more than once, and what was of no call.
    #[must_use]
    pub fn oddities(&self) -> [u64; 2] {
        [&self.heard.again, &self.heard.strange].map(|count| count.load(Ordering::Acquire))
    }

    /// When a call was first told of.
    #[must_use]
    pub fn told(&self, call: usize) -> Option<Instant> {
        match self.heard.first.get(call)?.load(Ordering::Acquire) {
            0 => None,
            nanoseconds => Some(self.heard.since + Duration::from_nanos(nanoseconds)),
        }
    }

    /// The digit that was told with a call.
    #[must_use]
    pub fn key(&self, call: usize) -> Option<u64> {
        self.heard.keys.get(call)?.load(Ordering::Acquire).checked_sub(1)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 1);

fn address(endpoint: usize) -> Ipv4Addr {
    let part = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 1, part(endpoint / OF_A_NET), part(endpoint % OF_A_NET + 1))
}

struct Room {
    poller: Poller,
    listeners: Vec<TcpListener>,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    heard: Arc<Heard>,
}

impl Room {
    fn new(listeners: Vec<TcpListener>, heard: Arc<Heard>) -> io::Result<Room> {
        let poller = Poller::new()?;
        for (token, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true)?;
            poller.watch(listener, token)?;
        }
        Ok(Room { poller, listeners, links: Vec::new(), free: Vec::new(), heard })
    }

    fn turn(&mut self) {
        let ready: Vec<usize> = self.poller.wait(Duration::from_millis(100)).collect();
        for token in ready {
            match token.checked_sub(self.listeners.len()) {
                None => self.accept(token),
                Some(at) => self.hear(at),
            }
        }
    }

    fn accept(&mut self, listener: usize) {
        while let Ok((stream, _)) = self.listeners[listener].accept() {
            let Ok(link) = Link::new(stream) else { continue };
            let at = self.free.pop().unwrap_or(self.links.len());
            if at == self.links.len() {
                self.links.push(None);
            }
            if self.poller.watch(&link.stream, self.listeners.len() + at).is_ok() {
                self.links[at] = Some(link);
            }
            self.hear(at);
        }
    }

    fn hear(&mut self, at: usize) {
        let Some(link) = self.links.get_mut(at).and_then(Option::as_mut) else { return };
        let (mut open, keeps) = (link.fill(), self.listeners.len() <= KEPT);
        while let Some(request) = link.message() {
            self.heard.note(&request);
            // System 000 asks for this word, system 002 for that.
            let word = if request.first.starts_with("GET ") { "success" } else { "1" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{}Content-Length: {}\r\n\r\n{word}",
                if keeps { "" } else { "Connection: close\r\n" },
                word.len()
            );
            open &= link.stream.write_all(answer.as_bytes()).is_ok() && keeps;
        }
        if !open {
            self.links[at] = None;
            self.free.push(at);
        }
    }
}

impl Heard {
    fn note(&self, request: &Message) {
        let named = after(&request.first, "load-").or_else(|| after(&request.body, "load-"));
        let number = named.map(digits);
        let Some(call) = number.and_then(|n| usize::try_from(n).ok()) else {
            self.strange.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some(first) = self.first.get(call) else { return };
        if let Some(key) = after(&request.body, "\"userkey\":\"").filter(|k| k[0].is_ascii_digit())
        {
            self.keys[call].store(u64::from(key[0] - b'0') + 1, Ordering::Release);
        }
        let now = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        if first.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.calls.fetch_add(1, Ordering::AcqRel);
        } else {
            self.again.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What follows `word`, unless that is nothing.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a [u8]> {
    let (_, rest) = text.split_once(word)?;
    Some(rest.as_bytes()).filter(|rest| !rest.is_empty())
}

fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10) + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn what_is_told_is_known_by_its_call_and_its_key() {
        let ears = Ears::start(3, true, 10).expect("sockets");
        let tell = |endpoint: usize, text: &str| {
            let at = ears.url(endpoint);
            let at = at.trim_start_matches("http://").trim_end_matches('/');
            let mut stream = TcpStream::connect(at).expect("an endpoint");
            stream.write_all(text.as_bytes()).expect("a connection");
            let mut answer = [0; 256];
            let n = stream.read(&mut answer).expect("an answer");
            String::from_utf8_lossy(&answer[..n]).into_owned()
        };
        let answer = tell(0, "GET /?callbackid=load-7&x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(answer.ends_with("\r\n\r\nsuccess"), "{answer}");
        let body = "{\"userkey\":\"4\",\"customuuid\":\"load-2\"}";
        let post = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert!(tell(2, &post).ends_with("\r\n\r\n1"));
        tell(2, &post);
        assert_eq!((ears.calls(), ears.oddities()), (2, [1, 0]));
        assert!(ears.told(7).is_some() && ears.told(2).is_some() && ears.told(1).is_none());
        assert_eq!((ears.key(2), ears.key(7)), (Some(4), None));
        assert!(ears.dead().is_some());
    }
}
