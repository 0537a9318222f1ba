//! Merchants' machines with pages of menus: one thread, no library. One answers after a time of its own and remembers how
//! long it took; the others do harm.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use load::http::Link;
use load::sys::Poller;

/// Pages that do harm, by their paths: more than is read, an octet at a time, markup, no text, a way inward, never a word.
pub(crate) const HARMS: [&str; 6] = ["huge", "slow", "html", "binary", "inward", "never"];
/// Screens of a good page, the last of which ends the session.
pub(crate) const STEPS: usize = 3;
/// Between two octets, or two blocks, of a page that does not end.
const DRIP: Duration = Duration::from_millis(100);
const LISTENER: usize = usize::MAX;

/// What a page told and heard.
#[derive(Debug)]
struct Told {
    /// Nanoseconds that the good page took for each subscriber's last visit.
    own: Vec<AtomicU64>,
    paid: AtomicU64,
}

/// All pages of a run.
#[derive(Debug)]
pub(crate) struct Pages {
    port: u16,
    told: Arc<Told>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    /// Pages for so many subscribers; the good one takes `own`.
    pub(crate) fn start(subscribers: usize, own: Duration) -> io::Result<Pages> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let poller = Poller::new()?;
        poller.watch(&listener, LISTENER)?;
        let told = Arc::new(Told {
            own: (0..subscribers).map(|_| AtomicU64::new(0)).collect(),
            paid: AtomicU64::new(0),
        });
        let ending = Arc::new(AtomicBool::new(false));
        let mut server = Server {
            poller,
            listener,
            links: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            own,
            told: Arc::clone(&told),
        };
        let stop = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                server.turn();
            }
        });
        Ok(Pages { port, told, ending, thread: Some(thread) })
    }

    /// Where a page is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What the good page took for a subscriber's last visit.
    pub(crate) fn own(&self, subscriber: usize) -> Duration {
        Duration::from_nanos(self.told.own[subscriber].load(Ordering::Acquire))
    }

    /// Visits that told of a payment.
    pub(crate) fn paid(&self) -> u64 {
        self.told.paid.load(Ordering::Acquire)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection, how often its place was used before, and when the visit on it began.
struct Seat {
    link: Option<Link>,
    use_no: u32,
    begun: Instant,
}

/// What is written when its time has come.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A whole answer, to this subscriber.
    Answer(Option<usize>, String),
    /// So many octets, again and again.
    Drip(usize),
}

struct Server {
    poller: Poller,
    listener: TcpListener,
    links: Vec<Seat>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Instant, usize, u32, Due)>>,
    own: Duration,
    told: Arc<Told>,
}

impl Server {
    fn turn(&mut self) {
        let now = Instant::now();
        let next = self.due.peek().map(|Reverse((at, ..))| at.saturating_duration_since(now));
        let wait = next.unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
        let ready: Vec<usize> = self.poller.wait(wait).collect();
        for token in ready {
            if token == LISTENER { self.accept() } else { self.hear(token) }
        }
        self.tell();
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let Ok(link) = Link::new(stream) else { continue };
            let at = self.free.pop().unwrap_or(self.links.len());
            if at == self.links.len() {
                self.links.push(Seat { link: None, use_no: 0, begun: Instant::now() });
            }
            let seat = &mut self.links[at];
            seat.use_no += 1;
            if self.poller.watch(&link.stream, at).is_ok() {
                seat.link = Some(link);
                self.hear(at);
            } else {
                self.free.push(at);
            }
        }
    }

    fn hear(&mut self, at: usize) {
        let seat = &mut self.links[at];
        let Some(link) = &mut seat.link else { return };
        let open = link.fill();
        let mut visits = Vec::new();
        while let Some(request) = link.message() {
            seat.begun = Instant::now();
            visits.push(request.first);
        }
        let use_no = seat.use_no;
        for first in visits {
            self.visited(at, use_no, &first);
        }
        if !open {
            self.drop_link(at);
        }
    }

    fn drop_link(&mut self, at: usize) {
        if self.links[at].link.take().is_some() {
            self.links[at].use_no += 1;
            self.free.push(at);
        }
    }

    /// Decides what a visit gets, and when.
    fn visited(&mut self, at: usize, use_no: u32, first: &str) {
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let field = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let ok = |kind: &str, text: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
        };
        let plain = |text: &str| ok("text/plain; charset=utf-8", text);
        let mut write = |after: Duration, due: Due| {
            self.due.push(Reverse((Instant::now() + after, at, use_no, due)));
        };
        let mut at_once = |text: String| write(Duration::ZERO, Due::Answer(None, text));
        match path {
            "/huge" => {
                at_once("HTTP/1.1 200 OK\r\n\r\n".to_owned());
                write(Duration::ZERO, Due::Drip(128 * 1024));
            }
            "/slow" => {
                at_once("HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n".to_owned());
                write(DRIP, Due::Drip(1));
            }
            "/html" => at_once(ok("text/html", "<html><body>1-menu[end]")),
            "/binary" => at_once(ok("image/png", "\u{1}PNG\0\0\rIHDR\0")),
            "/inward" => at_once(
                "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            ),
            "/never" => {}
            "/pay" if !field("RRN").is_empty() => {
                self.told.paid.fetch_add(1, Ordering::AcqRel);
                at_once(plain("ok"));
            }
            "/pay" => at_once(plain(&format!("9900|{}|50000", field("sessionid")))),
            _ => {
                let mobile = field("mobile");
                let step = field("call").split('*').filter(|part| !part.is_empty()).count() - 1;
                let end = if step >= STEPS { "[end]" } else { "" };
                let subscriber = mobile.get(4..).and_then(|no| no.parse().ok());
                let text = plain(&format!("{mobile} {step}{end}"));
                write(self.own, Due::Answer(subscriber, text));
            }
        }
    }

    /// Writes what is due.
    fn tell(&mut self) {
        let now = Instant::now();
        while self.due.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, at, use_no, due))) = self.due.pop() else { return };
            let seat = &mut self.links[at];
            let Some(link) = seat.link.as_mut().filter(|_| seat.use_no == use_no) else { continue };
            match due {
                Due::Answer(subscriber, text) => {
                    if let Some(own) = subscriber.and_then(|no: usize| self.told.own.get(no)) {
                        let took =
                            u64::try_from(seat.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        own.store(took, Ordering::Release);
                    }
                    if link.stream.write_all(text.as_bytes()).is_err() {
                        self.drop_link(at);
                    }
                }
                Due::Drip(octets) => match link.stream.write(&vec![b'x'; octets]) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.drop_link(at),
                    _ => self.due.push(Reverse((now + DRIP, at, use_no, Due::Drip(octets)))),
                },
            }
        }
    }
}
