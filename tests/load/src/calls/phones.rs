//! Both carriers' far ends: they answer by copying, B hangs up, and what is not confirmed is sent again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::RawFd;
use std::path::Path;

use instructions::far::{self, Request};

use crate::account::{Account, Stamp};
use crate::lines::{Line, MESSAGE, Over};

/// RFC 3261 T1 and T2.
const T1_NS: Stamp = 500_000_000;
const T2_NS: Stamp = 4_000_000_000;
const MS_NS: Stamp = 1_000_000;

/// The two sides' telephones.
pub(crate) struct Phones {
    lines: [Line; 2],
    addresses: [SocketAddrV4; 2],
    over: Over,
    /// Where sound is sent to; never read, what does not fit is dropped by the kernel.
    ear: UdpSocket,
    switch: SocketAddrV4,
    dialogs: [Vec<Dialog>; 2],
    due: BinaryHeap<Reverse<(Stamp, u32, u8, Act)>>,
    ring: Stamp,
    talk: Stamp,
    scratch: Vec<u8>,
    /// A calls, and nobody else tells of the end: so.
    pub(crate) calling: Option<Calling>,
}

/// How A calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Calling {
    /// The number of B's phone, through a proxy.
    Callee,
    /// One number for all calls, which leads to one phone of B's; B knows a call by who calls.
    Number(&'static str),
}

#[derive(Clone, Debug, Default)]
struct Dialog {
    /// 180 or 200, whichever was sent last; the BYE when that was sent.
    last: Vec<u8>,
    /// 200, not sent yet.
    ok: Vec<u8>,
    bye: Vec<u8>,
    wait: Stamp,
    invited: bool,
    acknowledged: bool,
    ended: bool,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Act {
    /// Pick up.
    Answer,
    /// Has the 200 been acknowledged?
    AnswerAgain,
    /// B hangs up.
    HangUp,
    /// Has the BYE been answered?
    HangUpAgain,
}

impl Phones {
    /// `vouched`: certificate and key for TLS.
    pub(crate) fn new(
        calls: u32,
        (ring_ms, talk_ms): (u64, u64),
        (over, vouched): (Over, Option<(&Path, &Path)>),
    ) -> io::Result<Phones> {
        let ((a, at_a), (b, at_b)) = (Line::open(over, vouched)?, Line::open(over, vouched)?);
        Ok(Phones {
            lines: [a, b],
            addresses: [at_a, at_b],
            over,
            ear: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            switch: at_a,
            dialogs: [0, 1].map(|_| vec![Dialog::default(); calls as usize]),
            due: BinaryHeap::new(),
            ring: ring_ms * MS_NS,
            talk: talk_ms * MS_NS,
            scratch: Vec::with_capacity(MESSAGE),
            calling: None,
        })
    }

    /// What the poller watches of each side.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [self.lines[0].descriptor(), self.lines[1].descriptor()]
    }

    pub(crate) fn port(&self, side: usize) -> u16 {
        self.addresses[side].port()
    }

    /// Where they send to.
    pub(crate) fn face(&mut self, switch: SocketAddrV4) {
        self.switch = switch;
    }

    /// When [`Phones::tick`] is due.
    pub(crate) fn next(&self) -> Option<Stamp> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    /// Reads what has come to a side, until nothing is left. `watch` is told of new connections.
    pub(crate) fn read(
        &mut self,
        side: usize,
        account: &mut Account,
        watch: &mut dyn FnMut(&RawFd) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut all = Vec::new();
        loop {
            let mut ends = Vec::new();
            all.clear();
            let more = self.lines[side].read(watch, |bytes| {
                all.extend_from_slice(bytes);
                ends.push(all.len());
            })?;
            let now = account.clock.now();
            let mut from = 0;
            for end in ends {
                self.hear(side, &all[from..end], now, account);
                from = end;
            }
            self.flush()?;
            if !more {
                return Ok(());
            }
        }
    }

    /// A calls B: by its own number, or by the one that leads there.
    pub(crate) fn call(&mut self, no: usize, account: &mut Account) -> io::Result<()> {
        let (at, port) = (self.addresses[0], self.ear.local_addr().map_or(9, |at| at.port()));
        let sdp = format!(
            "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
        );
        let to = match self.calling {
            Some(Calling::Number(number)) => number.to_owned(),
            Some(Calling::Callee) | None => format!("86139{no:08}"),
        };
        let text = format!(
            "INVITE sip:{to}@{} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKcall{no}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+86138{no:08}@127.0.0.1>;tag=near{no}\r\n\
             To: <sip:{to}@127.0.0.1>\r\nCall-ID: {no}-{}@load\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{no:08}@{at}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            self.switch,
            std::process::id(),
            sdp.len()
        );
        let now = account.clock.now();
        let call = &mut account.calls[no];
        (call.asked, call.answered[0]) = (now, now);
        let dialog =
            Dialog { last: text.into_bytes(), wait: T1_NS, invited: true, ..Dialog::default() };
        self.send(0, &dialog.last);
        self.dialogs[0][no] = dialog;
        self.plan(now + T1_NS, 0, no, Act::AnswerAgain);
        self.flush()
    }

    /// An answer to A's INVITE: what is final is acknowledged.
    fn connected(&mut self, no: usize, bytes: &[u8], now: Stamp, account: &mut Account) {
        let Some(answer) = Request::read_answer(bytes) else { return };
        if no >= account.calls.len() {
            return;
        }
        self.dialogs[0][no].acknowledged = true;
        let call = &mut account.calls[no];
        let first = call.replied == 0;
        if first {
            (call.replied, call.accepted) = (now, answer.method < "300");
        }
        if answer.method.starts_with('1') {
            return;
        }
        if !answer.method.starts_with('2') {
            if !first && std::mem::take(&mut call.accepted) {
                account.fault(format!("answer {} late", answer.method));
            } else if first && answer.method != "503" {
                account.fault(format!("answer {}", answer.method));
            }
            return self.refused(no, &answer);
        }
        let mut ack = std::mem::take(&mut self.scratch);
        ack.clear();
        let (at, branch) = (self.via(0), format!("z9hG4bKack{no}"));
        answer.acknowledge(&mut ack, &at, &branch);
        self.send(0, &ack);
        self.scratch = ack;
        let stamp = &mut account.calls[no].acknowledged[0];
        if *stamp == 0 {
            *stamp = now;
        }
    }

    /// The ACK of a refusal (RFC 3261 §17.1.1.3): the branch of the INVITE, and the To of its answer.
    fn refused(&mut self, no: usize, answer: &Request<'_>) {
        let invite = std::mem::take(&mut self.dialogs[0][no].last);
        let first = invite.split(|byte| *byte == b' ').nth(1).map(String::from_utf8_lossy);
        let ack = format!(
            "ACK {} SIP/2.0\r\n{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            first.unwrap_or_default(),
            answer.vias,
            answer.from,
            answer.to,
            answer.call_id
        );
        self.dialogs[0][no].last = invite;
        self.send(0, ack.as_bytes());
    }

    fn hear(&mut self, side: usize, bytes: &[u8], now: Stamp, account: &mut Account) {
        let Some(request) = Request::read(bytes) else {
            let branch = far::branch(bytes).and_then(|branch| branch.strip_prefix("z9hG4bKcall"));
            return match branch.and_then(|no| no.parse().ok()) {
                Some(no) => self.connected(no, bytes, now, account),
                None => self.confirmed(bytes),
            };
        };
        let caller = matches!(self.calling, Some(Calling::Number(_)));
        let party = match request.method {
            "INVITE" | "CANCEL" if caller => far::user_of(request.from),
            _ => request.user,
        };
        let digits = party.len().saturating_sub(8);
        let no = party.get(digits..).and_then(|no| no.parse::<usize>().ok());
        let Some(no) = no.filter(|no| *no < account.calls.len()) else {
            if request.method != "ACK" {
                self.say(side, &request, "200 OK");
            }
            return;
        };
        let dialog = &mut self.dialogs[side][no];
        match request.method {
            "INVITE" if dialog.invited => {
                account.copies_heard += 1;
                let last = std::mem::take(&mut dialog.last);
                self.send(side, &last);
                self.dialogs[side][no].last = last;
            }
            "INVITE" => {
                account.calls[no].invited[side] = now;
                self.invited(side, no, &request);
                if self.ring == 0 {
                    self.act(now, side, no, Act::Answer, account);
                } else {
                    self.plan(now + self.ring, side, no, Act::Answer);
                }
            }
            "ACK" => {
                if std::mem::replace(&mut dialog.acknowledged, true) {
                    return;
                }
                account.calls[no].acknowledged[side] = now;
                if side == 1 {
                    self.plan(now + self.talk, side, no, Act::HangUp);
                }
            }
            "BYE" => {
                let again = std::mem::replace(&mut dialog.ended, true);
                account.copies_heard += u64::from(again);
                if side == 0 && !again {
                    account.calls[no].ended = now;
                    if self.calling.is_some() {
                        account.tell(no, "success", now);
                    }
                } else if side == 1 && account.calls[no].hung_up == 0 && !again {
                    account.fault("B was hung up");
                }
                *dialog =
                    Dialog { ended: true, invited: true, acknowledged: true, ..Dialog::default() };
                self.say(side, &request, "200 OK");
            }
            "CANCEL" => {
                account.fault(format!("CANCEL at {}", ["A", "B"][side]));
                self.say(side, &request, "200 OK");
                let cseq = request.cseq.replace("CANCEL", "INVITE");
                let invite = Request { cseq: &cseq, ..request };
                self.say(side, &invite, "487 Request Terminated");
            }
            _ => self.say(side, &request, "200 OK"),
        }
    }

    fn invited(&mut self, side: usize, no: usize, request: &Request<'_>) {
        let address = self.addresses[side];
        let tag = format!("far{no}");
        let over = self.over.word();
        let contact = format!("Contact: <sip:{no:08}@{address};transport={over}>\r\n");
        let port = self.ear.local_addr().map_or(9, |at| at.port());
        let sdp = format!(
            "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n"
        );
        let mut dialog = Dialog { invited: true, ..Dialog::default() };
        request.answer(&mut dialog.last, "180 Ringing", &tag, &contact, "");
        request.answer(&mut dialog.ok, "200 OK", &tag, &contact, &sdp);
        if side == 1 {
            let branch = format!("z9hG4bKfar{no}");
            request.within(&mut dialog.bye, "BYE", &self.via(side), &branch, &tag);
        }
        self.send(side, &dialog.last);
        self.dialogs[side][no] = dialog;
    }

    /// An answer to our BYE.
    fn confirmed(&mut self, bytes: &[u8]) {
        let no = far::branch(bytes).and_then(|branch| branch.strip_prefix("z9hG4bKfar"));
        let Some(no) = no.and_then(|no| no.parse::<usize>().ok()) else { return };
        if bytes.starts_with(b"SIP/2.0 1") {
            return;
        }
        if let Some(dialog) = self.dialogs[1].get_mut(no) {
            *dialog =
                Dialog { ended: true, invited: true, acknowledged: true, ..Dialog::default() };
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, account: &mut Account) -> io::Result<()> {
        let now = account.clock.now();
        while let Some(Reverse((at, no, side, act))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            self.act(now, side.into(), no as usize, act, account);
        }
        self.flush()
    }

    fn act(&mut self, now: Stamp, side: usize, no: usize, act: Act, account: &mut Account) {
        let dialog = &mut self.dialogs[side][no];
        let bytes = match act {
            Act::Answer if dialog.ok.is_empty() => return,
            Act::Answer => {
                account.calls[no].answered[side] = now;
                dialog.wait = T1_NS;
                std::mem::take(&mut dialog.ok)
            }
            Act::HangUp if dialog.ended => return,
            Act::HangUp => {
                account.calls[no].hung_up = now;
                dialog.wait = T1_NS;
                std::mem::take(&mut dialog.bye)
            }
            Act::AnswerAgain if dialog.acknowledged || dialog.ended => return,
            Act::HangUpAgain if dialog.ended => return,
            Act::AnswerAgain | Act::HangUpAgain => {
                account.copies_sent += 1;
                dialog.wait = (dialog.wait * 2).min(T2_NS);
                std::mem::take(&mut dialog.last)
            }
        };
        let wait = dialog.wait;
        self.send(side, &bytes);
        self.dialogs[side][no].last = bytes;
        let again = match act {
            Act::Answer | Act::AnswerAgain => Act::AnswerAgain,
            Act::HangUp | Act::HangUpAgain => Act::HangUpAgain,
        };
        // RFC 3261 §17: on a stream nothing is said twice but a 2xx (§13.3.1.4), which no stream here loses.
        if self.over == Over::Udp {
            self.plan(now + wait, side, no, again);
        }
    }

    fn plan(&mut self, at: Stamp, side: usize, no: usize, act: Act) {
        self.due.push(Reverse((at, no as u32, side as u8, act)));
    }

    fn say(&mut self, side: usize, request: &Request<'_>, status: &str) {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        request.answer(&mut bytes, status, "far", "", "");
        self.send(side, &bytes);
        self.scratch = bytes;
    }

    fn via(&self, side: usize) -> String {
        format!("{} {}", self.over.via(), self.addresses[side])
    }

    fn send(&mut self, side: usize, bytes: &[u8]) {
        self.lines[side].push(self.switch, bytes);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.iter_mut().try_for_each(Line::flush)
    }
}
