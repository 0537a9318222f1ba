//! Subscribers of a mobile network who dial menus (3GPP TS 24.390): all behind one trunk, one thread, requests written by
//! hand. Each dials, reads a screen, thinks, types, and dials anew when it is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use instructions::far::Request;
use load::sys::{Batch, Poller, large_buffer};

use crate::pages::{HARMS, Pages, STEPS};

/// Octets of a SIP message that are read.
const MESSAGE: usize = 4096;
/// A screen that has not come by then never does.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before whoever was refused dials again.
const AGAIN: Duration = Duration::from_secs(1);
/// Before whoever has seen the last screen dials again: as many sessions are open as there are subscribers.
const NEXT: Duration = Duration::from_millis(20);
/// What is shown where a page says nothing to show.
const NO_SERVICE: &str = "The service is not available";

/// A screen that came, or did not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// Of a page that does harm.
    pub(crate) harm: bool,
    /// From dialling or typing to the screen.
    pub(crate) took: Duration,
    /// Of that, what the page took.
    pub(crate) own: Duration,
    /// The session ended with it.
    pub(crate) last: bool,
    /// It was the very screen that had to come.
    pub(crate) right: bool,
}

/// What became of everything.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) seen: Vec<Seen>,
    /// INVITEs that were refused.
    pub(crate) refused: u64,
    /// Requests of the switch that came again.
    pub(crate) copies: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nobody is there.
    Resting,
    /// A screen is to come.
    Waiting { since: Instant },
    /// A screen is being read.
    Reading,
}

struct Subscriber {
    state: State,
    /// Sessions so far: tells their dialogs apart.
    session: u32,
    cseq: u32,
    /// Screens of this session.
    screens: usize,
    /// To with its tag, and Contact, of the 200.
    to: String,
    contact: String,
    /// The CSeq of the switch's last request.
    heard: String,
}

/// What somebody does next, if he is still at it then: in this session, and there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Due {
    at: Instant,
    no: usize,
    session: u32,
    cseq: u32,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum What {
    /// He has waited for a screen as long as he does.
    GivesUp,
    /// He dials, or types.
    Goes,
}

/// All of them.
pub(crate) struct Network {
    sip: UdpSocket,
    at: SocketAddrV4,
    switch: SocketAddrV4,
    pages: Arc<Pages>,
    think: Duration,
    harm_every: Option<usize>,
    all: Vec<Subscriber>,
    due: BinaryHeap<Reverse<Due>>,
    open: Arc<AtomicUsize>,
    account: Account,
}

/// Subscribers at work.
pub(crate) struct Busy {
    ending: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<Account>,
}

impl Busy {
    /// Sessions that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(crate) fn end(self) -> Account {
        self.ending.store(true, Ordering::Release);
        self.thread.join().unwrap_or_default()
    }
}

/// The code that leads to the good page, or to one of those that do harm.
pub(crate) fn code(harm: Option<usize>) -> String {
    harm.map_or_else(|| "*6655*1#".to_owned(), |kind| format!("*6655*9{kind}#"))
}

impl Network {
    /// The socket by which a network is known to the switch.
    pub(crate) fn socket() -> io::Result<(UdpSocket, SocketAddrV4)> {
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        large_buffer(&sip);
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, sip.local_addr()?.port());
        Ok((sip, at))
    }

    /// So many subscribers, each of whom begins at a time of his own within `ramp`; of a hundred, `harm` dial pages that do
    /// harm.
    pub(crate) fn start(
        (sip, at): (UdpSocket, SocketAddrV4),
        switch: SocketAddrV4,
        pages: Arc<Pages>,
        (subscribers, harm): (usize, usize),
        (think, ramp): (Duration, Duration),
    ) -> Busy {
        let begin = Instant::now();
        let due = (0..subscribers).map(|no| {
            let after = ramp.mul_f64(no as f64 / subscribers.max(1) as f64);
            Reverse(Due { at: begin + after, no, session: 0, cseq: 0, what: What::Goes })
        });
        let one = || Subscriber {
            state: State::Resting,
            session: 0,
            cseq: 0,
            screens: 0,
            to: String::new(),
            contact: String::new(),
            heard: String::new(),
        };
        let open = Arc::new(AtomicUsize::new(0));
        let mut network = Network {
            sip,
            at,
            switch,
            pages,
            think,
            harm_every: (harm > 0).then(|| 100 / harm.min(100)),
            all: (0..subscribers).map(|_| one()).collect(),
            due: due.collect(),
            open: Arc::clone(&open),
            account: Account::default(),
        };
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            let Ok(mut poller) = Poller::new() else { return Account::default() };
            let watched = poller.watch(&network.sip, 0);
            let mut batch: Batch<MESSAGE> = Batch::new();
            while watched.is_ok() && !told.load(Ordering::Acquire) {
                network.turn(&mut poller, &mut batch);
            }
            network.account
        });
        Busy { ending, open, thread }
    }

    fn turn(&mut self, poller: &mut Poller, batch: &mut Batch<MESSAGE>) {
        let next =
            self.due.peek().map(|Reverse(due)| due.at.saturating_duration_since(Instant::now()));
        let wait = next.unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
        if poller.wait(wait).count() > 0 {
            let read: Vec<Vec<u8>> = batch.receive(&self.sip).map(<[u8]>::to_vec).collect();
            for message in &read {
                self.hear(message);
            }
        }
        self.act();
    }

    fn harm(&self, no: usize) -> Option<usize> {
        self.harm_every
            .filter(|every| no.is_multiple_of(*every))
            .map(|every| no / every % HARMS.len())
    }

    /// What is due: somebody dials, types, or has waited long enough.
    fn act(&mut self) {
        let now = Instant::now();
        while self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(Due { no, session, cseq, what, .. })) = self.due.pop() else { return };
            let one = &self.all[no];
            if one.session != session || one.cseq != cseq {
                continue;
            }
            match (what, one.state) {
                (What::GivesUp, State::Waiting { since }) => {
                    self.screen(no, now, since, (true, false));
                    self.all[no].session += 1;
                    self.rest(no, AGAIN);
                }
                (What::Goes, State::Resting) => self.dial(no),
                (What::Goes, State::Reading) => self.enter(no),
                _ => {}
            }
        }
    }

    fn schedule(&mut self, no: usize, after: Duration, what: What) {
        let one = &self.all[no];
        let (session, cseq) = (one.session, one.cseq);
        self.due.push(Reverse(Due { at: Instant::now() + after, no, session, cseq, what }));
    }

    fn rest(&mut self, no: usize, after: Duration) {
        let one = &mut self.all[no];
        if one.state != State::Resting {
            self.open.fetch_sub(1, Ordering::AcqRel);
        }
        one.state = State::Resting;
        self.schedule(no, after, What::Goes);
    }

    fn send(&mut self, no: usize, method: &str, uri: &str, more: &str, body: &str) {
        let (one, at) = (&self.all[no], self.at);
        let (session, cseq) = (one.session, one.cseq);
        let to = if one.to.is_empty() { format!("<{uri}>") } else { one.to.clone() };
        let message = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKm{no}x{session}x{cseq}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+98912{no:07}@home1.net>;tag=m{no}x{session}\r\nTo: {to}\r\n\
             Call-ID: m{no}x{session}@load\r\nCSeq: {cseq} {method}\r\nContact: <sip:m{no}@{at}>\r\n{more}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.sip.send_to(message.as_bytes(), self.switch);
    }

    fn dial(&mut self, no: usize) {
        let code = code(self.harm(no)).replace('#', "%23");
        let one = &mut self.all[no];
        one.session += 1;
        (one.cseq, one.screens) = (1, 0);
        one.to.clear();
        one.heard.clear();
        one.state = State::Waiting { since: Instant::now() };
        self.open.fetch_add(1, Ordering::AcqRel);
        let uri = format!("sip:{code}@home1.net;user=dialstring");
        let accepts = "Recv-Info: g.3gpp.ussd\r\n\
                       Accept: application/sdp, application/3gpp-ims+xml, application/vnd.3gpp.ussd+xml\r\n";
        self.send(no, "INVITE", &uri, accepts, "");
        self.schedule(no, PATIENCE, What::GivesUp);
    }

    fn enter(&mut self, no: usize) {
        let one = &mut self.all[no];
        one.cseq += 1;
        one.state = State::Waiting { since: Instant::now() };
        let contact = one.contact.clone();
        let kind = "Info-Package: g.3gpp.ussd\r\nContent-Disposition: Info-Package\r\n\
                    Content-Type: application/vnd.3gpp.ussd+xml\r\n";
        let body = "<?xml version=\"1.0\"?><ussd-data><language>en</language><ussd-string>1</ussd-string></ussd-data>";
        self.send(no, "INFO", &contact, kind, body);
        self.schedule(no, PATIENCE, What::GivesUp);
    }

    fn hear(&mut self, bytes: &[u8]) {
        if let Some(request) = Request::read(bytes) {
            let Some(no) = number(request.user).filter(|no| *no < self.all.len()) else { return };
            let mut ok = Vec::new();
            request.answer(&mut ok, "200 OK", "", "", "");
            let _ = self.sip.send_to(&ok, self.switch);
            let mine = format!("m{no}x{}@load", self.all[no].session);
            if request.call_id != mine {
                return;
            }
            if self.all[no].heard == request.cseq {
                self.account.copies += 1;
                return;
            }
            self.all[no].heard = request.cseq.to_owned();
            let State::Waiting { since } = self.all[no].state else {
                // Nobody types and nobody is shown anything: the switch gave a session up.
                if request.method == "BYE" {
                    self.rest(no, self.think);
                }
                return;
            };
            let text = std::str::from_utf8(bytes).ok().and_then(shown).unwrap_or_default();
            let last = request.method == "BYE";
            let right = self.is_right(no, text, last);
            self.screen(no, Instant::now(), since, (last, right));
            if last {
                // Pages that do harm end at once: nobody dials one all day.
                let harm = self.harm(no).is_some();
                self.rest(no, if harm { self.think } else { NEXT });
            } else {
                self.all[no].state = State::Reading;
                self.schedule(no, self.think, What::Goes);
            }
        } else if let Some(answer) = Request::read_answer(bytes) {
            self.answered(&answer);
        }
    }

    /// Whether this is the screen that has to come.
    fn is_right(&self, no: usize, text: &str, last: bool) -> bool {
        let step = self.all[no].screens + 1;
        match self.harm(no).map(|kind| HARMS[kind]) {
            None => text == format!("0912{no:07} {step}") && last == (step == STEPS),
            // Markup is shown as it stands.
            Some("html") => last && text.contains("1-menu"),
            Some(_) => last && text == NO_SERVICE,
        }
    }

    fn screen(&mut self, no: usize, at: Instant, since: Instant, (last, right): (bool, bool)) {
        let harm = self.harm(no).is_some();
        let own = if harm { Duration::ZERO } else { self.pages.own(no) };
        self.all[no].screens += 1;
        self.account.seen.push(Seen { at, harm, took: at - since, own, last, right });
    }

    fn answered(&mut self, answer: &Request<'_>) {
        let Some((no, session)) = answer.call_id.strip_prefix('m').and_then(|id| {
            let (no, rest) = id.split_once('x')?;
            Some((no.parse::<usize>().ok()?, rest.split('@').next()?.parse::<u32>().ok()?))
        }) else {
            return;
        };
        if no >= self.all.len()
            || self.all[no].session != session
            || !answer.cseq.ends_with("INVITE")
        {
            return;
        }
        match answer.method {
            "100" => {}
            "200" => {
                self.all[no].to = answer.to.to_owned();
                self.all[no].contact = answer.contact.to_owned();
                let cseq = std::mem::replace(&mut self.all[no].cseq, 1);
                self.send(no, "ACK", answer.contact, "", "");
                self.all[no].cseq = cseq;
            }
            _ => {
                self.account.refused += 1;
                self.all[no].to = answer.to.to_owned();
                let uri = format!(
                    "sip:{}@home1.net;user=dialstring",
                    code(self.harm(no)).replace('#', "%23")
                );
                // RFC 3261 §17.1.1.3: the ACK of a refusal is in the INVITE's own transaction.
                let (sip, switch) = (self.sip.try_clone(), self.switch);
                let ack = format!(
                    "ACK {uri} SIP/2.0\r\n{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\n\
                     Content-Length: 0\r\n\r\n",
                    answer.vias, answer.from, answer.to, answer.call_id
                );
                if let Ok(sip) = sip {
                    let _ = sip.send_to(ack.as_bytes(), switch);
                }
                self.rest(no, AGAIN);
            }
        }
    }
}

/// Of whom a request of the switch is: the user of his Contact.
fn number(user: &str) -> Option<usize> {
    user.strip_prefix('m')?.parse().ok()
}

/// The text in a body of USSD.
fn shown(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("<ussd-string>")?;
    Some(rest.split_once("</ussd-string>")?.0)
}
