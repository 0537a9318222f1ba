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

/// Sockets a side: few, because the generator's own cost counts against the cores under test.
pub(crate) const SOCKETS: usize = 8;
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Latencies are counted in steps of 5 µs up to 100 ms.
const STEP_NS: u64 = 5_000;
const STEPS: usize = 20_000;

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

    /// Starts to send to `ports` (A B A B …) and to listen. `silent`: listen only.
    pub(crate) fn start(&self, ports: &[u16], phases: u32, silent: bool) -> io::Result<Run> {
        let shared = Arc::new(Shared::new());
        let mut threads = Vec::new();
        let (sockets, account) = (self.sockets.clone(), shared.clone());
        threads.push(
            std::thread::Builder::new()
                .name("hear".into())
                .spawn(move || hear(&sockets, &account, silent))?,
        );
        if !silent {
            let (sockets, account, ports) = (self.sockets.clone(), shared.clone(), ports.to_vec());
            threads.push(std::thread::Builder::new().name("say".into()).spawn(move || {
                say(&sockets, &ports, phases, &account);
                Ok(())
            })?);
        }
        Ok(Run { shared, threads })
    }
}

/// A run under way.
pub(crate) struct Run {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

struct Shared {
    ending: AtomicBool,
    /// The sender stopped; the receiver drains.
    quiet: AtomicBool,
    measuring: AtomicBool,
    sent: AtomicU64,
    unsent: AtomicU64,
    received: AtomicU64,
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
        Account {
            lost: sent.saturating_sub(received),
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

/// Sends every stream's packets: stream `s` from its side's socket to port `s`.
fn say(sockets: &[UdpSocket], ports: &[u16], phases: u32, shared: &Shared) {
    go_first();
    let mut template = [0x7f_u8; DATAGRAM];
    template[0] = 0x80;
    template[1] = 0;
    let mut numbers = vec![0_u32; ports.len()];
    let mut batches: Vec<Batch> = (0..sockets.len()).map(|_| Batch::new()).collect();
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
            let packet = batch.push(SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[stream]));
            fill(packet, &template, stream as u32, numbers[stream]);
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

fn fill(packet: &mut [u8; DATAGRAM], template: &[u8; DATAGRAM], stream: u32, number: u32) {
    packet.copy_from_slice(template);
    packet[2..4].copy_from_slice(&((number & 0xffff) as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&number.wrapping_mul(160).to_be_bytes());
    packet[8..12].copy_from_slice(&(stream + 1).to_be_bytes());
    packet[12..16].copy_from_slice(&stream.to_be_bytes());
    packet[16..20].copy_from_slice(&number.to_be_bytes());
}

fn flush(batch: &mut Batch, socket: &UdpSocket, shared: &Shared) {
    let stamp = shared.stamp().to_be_bytes();
    let mut count = 0;
    for packet in batch.each_mut() {
        packet[20..28].copy_from_slice(&stamp);
        count += 1;
    }
    if count == 0 {
        return;
    }
    let unsent = batch.send(socket) as u64;
    shared.sent.fetch_add(count - unsent, Ordering::Release);
    shared.unsent.fetch_add(unsent, Ordering::Relaxed);
}

/// Counts what arrives, by stream and number. `paced`: nobody sends, so what arrives was made by
/// the measured side, and what counts is how far from 20 ms after its predecessor.
fn hear(sockets: &[UdpSocket], shared: &Shared, paced: bool) -> io::Result<()> {
    go_first();
    let mut poller = Poller::new()?;
    for (token, socket) in sockets.iter().enumerate() {
        poller.watch(socket, token)?;
    }
    let mut batch: Batch = Batch::new();
    let mut newest: Vec<u32> = Vec::new();
    let mut last: HashMap<[u8; 4], u64> = HashMap::new();
    while !shared.quiet.load(Ordering::Acquire) {
        let ready: Vec<usize> = poller.wait(Duration::from_millis(50)).collect();
        for token in ready {
            let packets = batch.receive(&sockets[token]);
            let now = shared.stamp();
            let measuring = shared.measuring.load(Ordering::Acquire);
            let mut count = 0;
            for packet in packets {
                count += 1;
                if packet.len() < 28 {
                    continue;
                }
                if paced {
                    let ssrc = [packet[8], packet[9], packet[10], packet[11]];
                    if let Some(before) = last.insert(ssrc, now)
                        && measuring
                    {
                        shared.count(now.abs_diff(before + PACKET_TIME.as_nanos() as u64));
                    }
                    continue;
                }
                let word = |at: usize| {
                    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
                };
                let (stream, number) = (word(12) as usize, word(16));
                if stream < 1 << 20 {
                    if newest.len() <= stream {
                        newest.resize(stream + 1, 0);
                    }
                    if number < newest[stream] {
                        shared.disordered.fetch_add(1, Ordering::Relaxed);
                    }
                    newest[stream] = newest[stream].max(number);
                }
                let stamp = (u64::from(word(20)) << 32) | u64::from(word(24));
                if measuring {
                    shared.count(now.saturating_sub(stamp));
                }
            }
            shared.received.fetch_add(count, Ordering::Release);
        }
    }
    Ok(())
}
