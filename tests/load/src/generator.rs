//! Both far ends of every call: 50 packets a second a stream at absolute deadlines, and the
//! receiver's account by sequence number and send stamp.
//!
//! The streams' phases are spread over the 20 ms in a number of steps: the more, the
//! less arrives together, and the more often a relay has to wake. Each packet carries its stream, its number and the instant it was
//! sent in its payload; a relay may renumber headers, the payload is its sender's.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use load::sys::{Batch, DATAGRAM, Poller, go_first, large_buffer};
use rtp::srtp::{Sender, TRAILER_MAX};

use crate::speech::{Lock, Speech};

/// Sockets a side: few, because the generator's own cost counts against the cores under test.
pub(crate) const SOCKETS: usize = 8;
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Latencies are counted in steps of 5 µs up to 100 ms.
const STEP_NS: u64 = 5_000;
const STEPS: usize = 20_000;

/// Octets of what is said in a coding: a header, 20 ms of the longest, and a tag.
const CODED: usize = DATAGRAM + TRAILER_MAX;

/// What far ends say, and with it how what they hear is judged.
#[derive(Debug)]
pub(crate) enum Talk {
    /// Nothing: what they hear is made by the measured side, and has to come every 20 ms.
    Silent,
    /// Stamps, which arrive as they left: latency and order are known of each packet.
    Stamps,
    /// Something like speech, which arrives in another coding or under another key: it has to come every
    /// 20 ms, and what is lost is missing in the numbers of its headers.
    Speech([Speech; 2], Option<Lock>),
}

/// All far ends.
pub(crate) struct FarEnds {
    sockets: Arc<Vec<UdpSocket>>,
}

impl FarEnds {
    pub(crate) fn new() -> io::Result<FarEnds> {
        let mut sockets = Vec::new();
        for _ in 0..2 * SOCKETS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            large_buffer(&socket);
            sockets.push(socket);
        }
        Ok(FarEnds { sockets: Arc::new(sockets) })
    }

    /// Side A's sockets, then side B's.
    pub(crate) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Starts to send to `ports` (A B A B …) and to listen.
    pub(crate) fn start(&self, ports: &[u16], phases: u32, talk: Talk) -> io::Result<Run> {
        let shared = Arc::new(Shared::new());
        let by_stamps = matches!(talk, Talk::Stamps);
        let mut threads = Vec::new();
        let (sockets, account) = (self.sockets.clone(), shared.clone());
        threads.push(
            std::thread::Builder::new()
                .name("hear".into())
                .spawn(move || hear(&sockets, &account, by_stamps))?,
        );
        let said = match talk {
            Talk::Silent => None,
            Talk::Stamps => Some(None),
            Talk::Speech(sides, lock) => Some(Some(Lines::new(sides, lock, ports.len())?)),
        };
        if let Some(lines) = said {
            let (sockets, account, ports) = (self.sockets.clone(), shared.clone(), ports.to_vec());
            threads.push(std::thread::Builder::new().name("say".into()).spawn(move || {
                match lines {
                    None => say(&sockets, &ports, phases, &account, stamps(ports.len())),
                    Some(lines) => say(&sockets, &ports, phases, &account, lines.each()),
                }
                Ok(())
            })?);
        }
        Ok(Run { shared, threads, by_stamps })
    }
}

/// A run under way.
pub(crate) struct Run {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    by_stamps: bool,
}

struct Shared {
    ending: AtomicBool,
    /// The sender stopped; the receiver drains.
    quiet: AtomicBool,
    measuring: AtomicBool,
    sent: AtomicU64,
    unsent: AtomicU64,
    received: AtomicU64,
    /// Numbers that are missing between those of received headers.
    missing: AtomicU64,
    disordered: AtomicU64,
    late_ticks: AtomicU64,
    latency: Vec<AtomicU64>,
    epoch: Instant,
}

/// What a run counted.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) lost: u64,
    pub(crate) unsent: u64,
    pub(crate) disordered: u64,
    pub(crate) late_ticks: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

impl Run {
    /// From now on latencies count.
    pub(crate) fn measure(&self, on: bool) {
        self.shared.measuring.store(on, Ordering::Release);
    }

    /// Packets received so far.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Acquire)
    }

    /// Ends the run: the sender first, the receiver when nothing is on the way any more.
    pub(crate) fn end(self) -> Account {
        self.shared.ending.store(true, Ordering::Release);
        std::thread::sleep(Duration::from_millis(500));
        self.shared.quiet.store(true, Ordering::Release);
        for thread in self.threads {
            let _ = thread.join();
        }
        let shared = &self.shared;
        let get = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let (sent, received) = (get(&shared.sent), get(&shared.received));
        let by_count = sent.saturating_sub(received);
        Account {
            lost: if self.by_stamps { by_count } else { get(&shared.missing) },
            unsent: get(&shared.unsent),
            disordered: get(&shared.disordered),
            late_ticks: get(&shared.late_ticks),
            p50_us: shared.percentile(50),
            p99_us: shared.percentile(99),
        }
    }
}

impl Shared {
    fn new() -> Shared {
        Shared {
            ending: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            measuring: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            disordered: AtomicU64::new(0),
            late_ticks: AtomicU64::new(0),
            latency: (0..STEPS).map(|_| AtomicU64::new(0)).collect(),
            epoch: Instant::now(),
        }
    }

    fn stamp(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn count(&self, nanoseconds: u64) {
        let step = (nanoseconds / STEP_NS) as usize;
        self.latency[step.min(STEPS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    fn percentile(&self, percent: u64) -> u64 {
        let counts: Vec<u64> = self.latency.iter().map(|c| c.load(Ordering::Acquire)).collect();
        let all: u64 = counts.iter().sum();
        let mut below = 0;
        for (step, count) in counts.iter().enumerate() {
            below += count;
            if below * 100 >= all * percent && below > 0 {
                return (step as u64 + 1) * STEP_NS / 1000;
            }
        }
        0
    }
}

/// Sends every stream's packets: stream `s` from its side's socket to port `s`. `write` writes the packet of
/// this stream and number, and gives its octets.
fn say(
    sockets: &[UdpSocket],
    ports: &[u16],
    phases: u32,
    shared: &Shared,
    mut write: impl FnMut(usize, u32, u64, &mut [u8; CODED]) -> usize,
) {
    go_first();
    let mut numbers = vec![0_u32; ports.len()];
    let mut batches: Vec<Batch<CODED>> = (0..sockets.len()).map(|_| Batch::new()).collect();
    let step = PACKET_TIME / phases;
    let mut due = Instant::now();
    let mut slot = 0;
    while !shared.ending.load(Ordering::Acquire) {
        let now = Instant::now();
        if now < due {
            std::thread::sleep(due - now);
        } else if now - due > step {
            shared.late_ticks.fetch_add(1, Ordering::Relaxed);
        }
        for stream in (slot..ports.len()).step_by(phases as usize) {
            let (call, side) = (stream / 2, stream % 2);
            let socket = side * SOCKETS + call % SOCKETS;
            let batch = &mut batches[socket];
            let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[stream]);
            batch.push_with(to, |packet| write(stream, numbers[stream], shared.stamp(), packet));
            numbers[stream] += 1;
            if batch.is_full() {
                flush(batch, &sockets[socket], shared);
            }
        }
        for (batch, socket) in batches.iter_mut().zip(sockets) {
            flush(batch, socket, shared);
        }
        slot = (slot + 1) % phases as usize;
        due += step;
    }
}

/// Packets that say who sent them, which they are, and when they left.
fn stamps(_: usize) -> impl FnMut(usize, u32, u64, &mut [u8; CODED]) -> usize {
    |stream, number, stamp, packet| {
        let payload = &mut packet[HEADER..DATAGRAM];
        payload.fill(0x7f);
        payload[..4].copy_from_slice(&(stream as u32).to_be_bytes());
        payload[4..8].copy_from_slice(&number.to_be_bytes());
        payload[8..16].copy_from_slice(&stamp.to_be_bytes());
        header(packet, 0, stream, number, 160);
        DATAGRAM
    }
}

/// What each stream says, and what protects it.
struct Lines {
    sides: [Speech; 2],
    senders: Vec<Sender>,
}

impl Lines {
    fn new(sides: [Speech; 2], lock: Option<Lock>, streams: usize) -> io::Result<Lines> {
        let mut senders = Vec::new();
        if let Some(lock) = lock {
            let masters = [lock.master(0)?, lock.master(1)?];
            senders.extend((0..streams).map(|stream| Sender::new(&masters[stream % 2])));
        }
        Ok(Lines { sides, senders })
    }

    fn each(mut self) -> impl FnMut(usize, u32, u64, &mut [u8; CODED]) -> usize {
        move |stream, number, _, packet| {
            let speech = &self.sides[stream % 2];
            let payload = speech.payload(stream, number);
            let len = HEADER + payload.len();
            packet[HEADER..len].copy_from_slice(payload);
            header(packet, speech.payload_type, stream, number, speech.step);
            match self.senders.get_mut(stream) {
                Some(sender) => sender.protect(packet, len).unwrap_or(0),
                None => len,
            }
        }
    }
}

/// RFC 3550 §5.1.
const HEADER: usize = 12;

fn header(packet: &mut [u8; CODED], payload_type: u8, stream: usize, number: u32, step: u32) {
    packet[0] = 0x80;
    packet[1] = payload_type;
    packet[2..4].copy_from_slice(&((number & 0xffff) as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&number.wrapping_mul(step).to_be_bytes());
    packet[8..12].copy_from_slice(&(stream as u32 + 1).to_be_bytes());
}

fn flush(batch: &mut Batch<CODED>, socket: &UdpSocket, shared: &Shared) {
    let count = batch.len() as u64;
    if count == 0 {
        return;
    }
    let unsent = batch.send(socket) as u64;
    shared.sent.fetch_add(count - unsent, Ordering::Release);
    shared.unsent.fetch_add(unsent, Ordering::Relaxed);
}

/// Counts what arrives: by stamps, or by the numbers and the pace of its headers.
fn hear(sockets: &[UdpSocket], shared: &Shared, by_stamps: bool) -> io::Result<()> {
    go_first();
    let mut poller = Poller::new()?;
    for (token, socket) in sockets.iter().enumerate() {
        poller.watch(socket, token)?;
    }
    let mut batch: Batch<CODED> = Batch::new();
    let mut stamped = Stamped::default();
    let mut paced = Paced::default();
    while !shared.quiet.load(Ordering::Acquire) {
        let ready: Vec<usize> = poller.wait(Duration::from_millis(50)).collect();
        for token in ready {
            let packets = batch.receive(&sockets[token]);
            let now = shared.stamp();
            let measuring = shared.measuring.load(Ordering::Acquire);
            let mut count = 0;
            for packet in packets {
                count += 1;
                if by_stamps && packet.len() >= 28 {
                    stamped.note(packet, now, measuring, shared);
                } else if !by_stamps && packet.len() > HEADER {
                    paced.note(packet, now, measuring, shared);
                }
            }
            shared.received.fetch_add(count, Ordering::Release);
        }
    }
    Ok(())
}

fn word(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

/// What is known of stamped streams: the newest number of each.
#[derive(Default)]
struct Stamped(Vec<u32>);

impl Stamped {
    fn note(&mut self, packet: &[u8], now: u64, measuring: bool, shared: &Shared) {
        let (stream, number) = (word(packet, 12) as usize, word(packet, 16));
        if stream < 1 << 20 {
            if self.0.len() <= stream {
                self.0.resize(stream + 1, 0);
            }
            if number < self.0[stream] {
                shared.disordered.fetch_add(1, Ordering::Relaxed);
            }
            self.0[stream] = self.0[stream].max(number);
        }
        let stamp = (u64::from(word(packet, 20)) << 32) | u64::from(word(packet, 24));
        if measuring {
            shared.count(now.saturating_sub(stamp));
        }
    }
}

/// What is known of the others, by SSRC: when their last packet came, and its number.
#[derive(Default)]
struct Paced(HashMap<u32, (u64, u16)>);

impl Paced {
    fn note(&mut self, packet: &[u8], now: u64, measuring: bool, shared: &Shared) {
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let Some((before, last)) = self.0.insert(word(packet, 8), (now, number)) else { return };
        // RFC 3550 §A.1: half the numbers ahead is behind.
        match number.wrapping_sub(last) {
            0 | 0x8000.. => {
                shared.disordered.fetch_add(1, Ordering::Relaxed);
            }
            step => {
                shared.missing.fetch_add(u64::from(step - 1), Ordering::Relaxed);
            }
        }
        if measuring {
            shared.count(now.abs_diff(before + PACKET_TIME.as_nanos() as u64));
        }
    }
}
