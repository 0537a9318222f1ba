//! Customers of a notice: they answer at once, listen, press a key, and are hung up.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use instructions::far::Request;
use load::sys::{BATCH, Batch, Poller, large_buffer};

/// Octets of a SIP message that are read.
const MESSAGE: usize = 4096;
/// Packets of a key: three while it is down, the last one three times (RFC 4733 §2.5.1.4).
const PACKETS: u8 = 6;
const PACKET: Duration = Duration::from_millis(20);
/// Timestamp units of 20 ms.
const UNITS: u16 = 160;
const EVENTS: u8 = 101;

/// The digit that a customer presses.
pub(crate) fn key_of(no: usize) -> u8 {
    u8::try_from(no % 10).unwrap_or_default()
}

/// What became of a notice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Notice {
    invited: bool,
    acknowledged: bool,
    /// Where our RTP goes to.
    to: u16,
    /// The first packet of the key left.
    pub(crate) pressed: Option<Instant>,
    /// We were hung up.
    pub(crate) ended: Option<Instant>,
    /// INVITEs and BYEs that came again.
    pub(crate) copies: u32,
}

/// All customers, behind one carrier.
pub(crate) struct FarEnds {
    sip: UdpSocket,
    at: SocketAddrV4,
    ear: UdpSocket,
    ear_port: u16,
    key: Duration,
    notices: Vec<Notice>,
    /// RTP packets heard of each source: one for each call.
    sources: HashMap<u32, u32>,
    /// The last answer to each INVITE, until it is acknowledged.
    answers: Vec<Vec<u8>>,
    due: BinaryHeap<Reverse<(Instant, usize, u8)>>,
}

/// Customers at work.
pub(crate) struct Playing {
    ending: Arc<AtomicBool>,
    up: Arc<AtomicUsize>,
    thread: JoinHandle<FarEnds>,
}

impl Playing {
    /// Notices that are up.
    pub(crate) fn up(&self) -> usize {
        self.up.load(Ordering::Acquire)
    }

    /// What became of all, and how many RTP packets each source sent, fewest first.
    pub(crate) fn end(self) -> (Vec<Notice>, Vec<u32>) {
        self.ending.store(true, Ordering::Release);
        let Ok(far_ends) = self.thread.join() else { return Default::default() };
        let mut heard: Vec<u32> = far_ends.sources.into_values().collect();
        heard.sort_unstable();
        (far_ends.notices, heard)
    }
}

impl FarEnds {
    pub(crate) fn new(calls: usize, key: Duration) -> io::Result<FarEnds> {
        let local = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let (sip, ear) = (local()?, local()?);
        large_buffer(&sip);
        large_buffer(&ear);
        let (sip_port, ear_port) = (sip.local_addr()?.port(), ear.local_addr()?.port());
        Ok(FarEnds {
            sip,
            at: SocketAddrV4::new(Ipv4Addr::LOCALHOST, sip_port),
            ear,
            ear_port,
            key,
            notices: vec![Notice::default(); calls],
            sources: HashMap::new(),
            answers: vec![Vec::new(); calls],
            due: BinaryHeap::new(),
        })
    }

    /// Where the switch sends its INVITEs to.
    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }

    /// Serves in a thread of its own until it is told to end.
    pub(crate) fn start(mut self, switch: SocketAddrV4) -> Playing {
        let (ending, up) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told, count) = (Arc::clone(&ending), Arc::clone(&up));
        let thread = std::thread::spawn(move || {
            let Ok(mut poller) = Poller::new() else { return self };
            let watched = poller.watch(&self.sip, 0).and_then(|()| poller.watch(&self.ear, 1));
            let mut signals: Batch<MESSAGE> = Batch::new();
            let mut sounds = Batch::new();
            while watched.is_ok() && !told.load(Ordering::Acquire) {
                self.turn(&mut poller, (&mut signals, &mut sounds), switch, &count);
            }
            self
        });
        Playing { ending, up, thread }
    }

    fn turn(
        &mut self,
        poller: &mut Poller,
        (signals, sounds): (&mut Batch<MESSAGE>, &mut Batch),
        switch: SocketAddrV4,
        up: &AtomicUsize,
    ) {
        let next =
            self.due.peek().map(|Reverse((at, ..))| at.saturating_duration_since(Instant::now()));
        let wait = next.unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
        let ready: Vec<usize> = poller.wait(wait).collect();
        for token in ready {
            if token == 0 {
                let read: Vec<Vec<u8>> = signals.receive(&self.sip).map(<[u8]>::to_vec).collect();
                for message in &read {
                    self.hear(message, switch, up);
                }
            } else {
                self.listen(sounds);
            }
        }
        self.press();
    }

    /// Counts what came, by its source (RFC 3550 §5.1).
    fn listen(&mut self, sounds: &mut Batch) {
        loop {
            let mut many = 0;
            for packet in sounds.receive(&self.ear) {
                many += 1;
                if let Some(source) = packet.get(8..12) {
                    let source = source.iter().fold(0, |all, octet| all << 8 | u32::from(*octet));
                    *self.sources.entry(source).or_default() += 1;
                }
            }
            if many < BATCH {
                return;
            }
        }
    }

    fn hear(&mut self, bytes: &[u8], switch: SocketAddrV4, up: &AtomicUsize) {
        let Some(request) = Request::read(bytes) else { return };
        let digits = request.user.len().saturating_sub(8);
        let no = request.user.get(digits..).and_then(|no| no.parse::<usize>().ok());
        // In a dialog the user is that of our Contact: the same eight digits.
        let Some(no) = no.filter(|no| *no < self.notices.len()) else { return };
        let now = Instant::now();
        let notice = &mut self.notices[no];
        match request.method {
            "INVITE" if notice.invited => {
                notice.copies += 1;
                let _ = self.sip.send_to(&self.answers[no], switch);
            }
            "INVITE" => {
                notice.invited = true;
                notice.to = media_port(bytes).unwrap_or_default();
                self.answer(no, &request, switch);
            }
            "ACK" if !notice.acknowledged => {
                notice.acknowledged = true;
                up.fetch_add(1, Ordering::AcqRel);
                self.due.push(Reverse((now + self.key, no, 0)));
            }
            "BYE" => {
                if notice.ended.replace(now).is_none() {
                    up.fetch_sub(1, Ordering::AcqRel);
                } else {
                    notice.copies += 1;
                }
                let mut ok = Vec::new();
                request.answer(&mut ok, "200 OK", "", "", "");
                let _ = self.sip.send_to(&ok, switch);
            }
            _ => {}
        }
    }

    /// 200 at once.
    fn answer(&mut self, no: usize, request: &Request<'_>, switch: SocketAddrV4) {
        let (at, port) = (self.at, self.ear_port);
        let contact = format!("Contact: <sip:{no:08}@{at}>\r\n");
        let sdp = format!(
            "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 8 {EVENTS}\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-15\r\na=ptime:20\r\n"
        );
        let mut ok = Vec::new();
        request.answer(&mut ok, "200 OK", &format!("far{no}"), &contact, &sdp);
        let _ = self.sip.send_to(&ok, switch);
        self.answers[no] = ok;
    }

    /// The packets of keys that are due.
    fn press(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, no, packet))) = self.due.peek().copied() {
            if at > now {
                return;
            }
            self.due.pop();
            let notice = &mut self.notices[no];
            notice.pressed.get_or_insert(now);
            let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, notice.to);
            let _ = self.ear.send_to(&event(no, packet), to);
            if packet + 1 < PACKETS {
                self.due.push(Reverse((at + PACKET, no, packet + 1)));
            }
        }
    }
}

/// A packet of a key (RFC 4733 §2.3).
fn event(no: usize, packet: u8) -> [u8; 16] {
    let source = u32::try_from(no).unwrap_or_default().wrapping_add(1).to_be_bytes();
    let stamp = 8_000_u32.to_be_bytes();
    let held = u16::from(packet.min(2) + 1) * UNITS;
    let [high, low] = held.to_be_bytes();
    let (mark, end) = (if packet == 0 { 0x80 } else { 0 }, if packet >= 3 { 0x80 } else { 0 });
    let [a, b, c, d] = stamp;
    let [e, f, g, h] = source;
    [0x80, mark | EVENTS, 0, packet + 1, a, b, c, d, e, f, g, h, key_of(no), end | 10, high, low]
}

/// The port of the first `m=audio` line.
fn media_port(bytes: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("\r\nm=audio ")?;
    rest.split(' ').next()?.parse().ok()
}
