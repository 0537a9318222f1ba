//! One call's sound: a paced sender of a tone and a receiver that counts and listens (RFC 3550, RFC 4733).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sdp::Audio;
use crate::sound::{self, Law};

/// What one call's sound looked like from this phone.
#[derive(Clone, Debug, Default)]
pub struct RtpReport {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received.
    pub received: u64,
    /// Sequence numbers that never came (RFC 3550 §6.4.1).
    pub lost: u64,
    /// Packets older than one already received, copies included.
    pub disordered: u64,
    /// How often the synchronization source changed after the first packet.
    pub source_changes: u64,
    /// Longest time between two received packets.
    pub longest_gap: Duration,
    /// When the first packet came.
    pub first: Option<Instant>,
    /// When the last packet came.
    pub last: Option<Instant>,
    /// The strongest tone of the last second heard, and its share of the power from 0 to 1.
    pub tone: Option<(u32, f64)>,
    /// Keys heard as telephone-events, one per press.
    pub keys: String,
    /// Payload type of the last audio packet received.
    pub payload_type: Option<u8>,
    /// RTCP packets received.
    pub rtcp: u64,
}

/// Sockets and threads of one call's sound. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Media {
    local: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    control: Mutex<Control>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Control {
    remote: Option<SocketAddr>,
    send: Option<(u8, Law)>,
    send_event: Option<u8>,
    receive: Vec<(u8, Law)>,
    receive_event: Option<u8>,
    sending: bool,
    tone: u32,
    /// In place of the tone: hertz and samples, over and over.
    rhythm: Vec<(u32, u64)>,
    /// In place of both.
    speech: Arc<[i16]>,
    /// The sample at which it began.
    began: Option<u64>,
    keys: VecDeque<char>,
}

#[derive(Debug, Default)]
struct Heard {
    report: RtpReport,
    sound: VecDeque<i16>,
    highest: Option<u16>,
    ssrc: Option<u32>,
    event: Option<u32>,
}

impl Control {
    /// What is sent as a sample.
    fn sample(&mut self, at: u64) -> i16 {
        if self.speech.is_empty() {
            return match self.tone_at(at) {
                0 => 0,
                hz => sound::sine(hz, at),
            };
        }
        let round = (self.speech.len() + RATE) as u64;
        let from = *self.began.get_or_insert(at);
        let nth = usize::try_from(at.saturating_sub(from) % round).unwrap_or(usize::MAX);
        self.speech.get(nth).copied().unwrap_or(0)
    }

    /// Hertz of a sample.
    fn tone_at(&self, sample: u64) -> u32 {
        let round: u64 = self.rhythm.iter().map(|(_, samples)| samples).sum();
        let Some(mut left) = sample.checked_rem(round) else { return self.tone };
        for (hz, samples) in &self.rhythm {
            if left < *samples {
                return *hz;
            }
            left -= samples;
        }
        self.tone
    }
}

impl Media {
    /// Takes a port pair on `ip` and starts listening.
    pub(crate) fn open(ip: IpAddr, tone: u32) -> io::Result<Media> {
        let (rtp, rtcp) = pair(ip)?;
        let local = rtp.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            control: Mutex::new(Control { tone, ..Control::default() }),
            heard: Mutex::new(Heard::default()),
        });
        let (send, receive, control) = (rtp.try_clone()?, Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || speak(&send, &control));
        thread::spawn(move || listen(&rtp, &rtcp, &receive));
        Ok(Media { local, shared })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends to and understands what the far description says; `laws` and `event` are our own numbers.
    pub(crate) fn agree(&self, far: &Audio, laws: &[(u8, Law)], event: Option<u8>, may_send: bool) {
        let mut control = lock(&self.shared.control);
        control.remote = (far.remote.port() != 0).then_some(far.remote);
        control.send =
            far.laws.iter().copied().find(|(_, law)| laws.iter().any(|(_, own)| own == law));
        control.send_event = far.event;
        control.receive = laws.to_vec();
        control.receive_event = event;
        control.sending = may_send && far.direction != "sendonly" && far.direction != "inactive";
    }

    /// Sends a rhythm in place of the tone: hertz and milliseconds.
    pub(crate) fn repeat(&self, rhythm: &[(u32, u32)]) {
        let samples = rhythm.iter().map(|(hz, ms)| (*hz, u64::from(*ms) * RATE as u64 / 1000));
        lock(&self.shared.control).rhythm = samples.collect();
    }

    /// Sends speech in place of tone and rhythm, from its beginning; nothing where it is empty.
    pub(crate) fn say(&self, speech: &Arc<[i16]>) {
        lock(&self.shared.control).speech = Arc::clone(speech);
    }

    pub(crate) fn press(&self, keys: &str) {
        lock(&self.shared.control).keys.extend(keys.chars());
    }

    pub(crate) fn mute(&self) {
        lock(&self.shared.control).sending = false;
    }

    pub(crate) fn report(&self) -> RtpReport {
        let heard = lock(&self.shared.heard);
        let mut report = heard.report.clone();
        let second: Vec<i16> = heard
            .sound
            .iter()
            .rev()
            .take(RATE)
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        report.tone = sound::loudest(&second);
        report
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

const RATE: usize = 8000;
/// Samples kept for the ear: ten seconds.
const SOUND_MAX: usize = 10 * RATE;
/// Samples in 20 ms.
const FRAME: u32 = 160;
/// Packets that carry a key while it is down, then copies of its end (RFC 4733 §2.5.1.4).
const KEY_PACKETS: u16 = 8;
const KEY_ENDS: u16 = 3;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An even port and the odd one above it (RFC 3550 §11).
fn pair(ip: IpAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..200 {
        let rtp = UdpSocket::bind((ip, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = UdpSocket::bind((ip, port + 1))
        {
            rtp.set_read_timeout(Some(Duration::from_millis(50)))?;
            rtcp.set_nonblocking(true)?;
            return Ok((rtp, rtcp));
        }
    }
    Err(io::Error::other("no free port pair"))
}

struct Stream {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    clock: u64,
    marker: bool,
    key: Option<(char, u16, u32)>,
}

fn speak(socket: &UdpSocket, shared: &Shared) {
    let seed = crate::random();
    let mut stream = Stream {
        sequence: (seed & 0x7fff) as u16,
        timestamp: (seed >> 16) as u32,
        ssrc: (seed >> 32) as u32,
        clock: 0,
        marker: true,
        key: None,
    };
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        due += Duration::from_millis(20);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let packet = {
            let mut control = lock(&shared.control);
            frame(&mut stream, &mut control).zip(control.remote)
        };
        stream.timestamp = stream.timestamp.wrapping_add(FRAME);
        stream.clock += u64::from(FRAME);
        if let Some((packet, remote)) = packet {
            stream.sequence = stream.sequence.wrapping_add(1);
            stream.marker = false;
            if socket.send_to(&packet, remote).is_ok() {
                lock(&shared.heard).report.sent += 1;
            }
        } else {
            stream.marker = true;
        }
    }
}

/// The next packet, if this phone speaks now: a key event first, else 20 ms of tone.
fn frame(stream: &mut Stream, control: &mut Control) -> Option<Vec<u8>> {
    if !control.sending {
        return None;
    }
    let (audio_pt, law) = control.send?;
    if stream.key.is_none() && control.send_event.is_some() {
        stream.key = control.keys.pop_front().map(|key| (key, 0, stream.timestamp));
    }
    if let (Some((key, sent, began)), Some(pt)) = (stream.key, control.send_event) {
        let end = sent >= KEY_PACKETS;
        let duration = 160 * sent.clamp(1, KEY_PACKETS);
        let mut packet = header(stream, pt, began, sent == 0);
        packet.push(u8::try_from("0123456789*#ABCD".find(key).unwrap_or(0)).unwrap_or(0));
        packet.push(if end { 0x8a } else { 0x0a });
        packet.extend_from_slice(&duration.to_be_bytes());
        stream.key = (sent + 1 < KEY_PACKETS + KEY_ENDS).then_some((key, sent + 1, began));
        return Some(packet);
    }
    let mut packet = header(stream, audio_pt, stream.timestamp, stream.marker);
    packet.extend((0..u64::from(FRAME)).map(|n| law.encode(control.sample(stream.clock + n))));
    Some(packet)
}

fn header(stream: &Stream, pt: u8, timestamp: u32, marker: bool) -> Vec<u8> {
    let mut packet = vec![0x80, pt | if marker { 0x80 } else { 0 }];
    packet.extend_from_slice(&stream.sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&stream.ssrc.to_be_bytes());
    packet
}

fn listen(rtp: &UdpSocket, rtcp: &UdpSocket, shared: &Shared) {
    let mut buffer = [0_u8; 2048];
    while !shared.stop.load(Ordering::Relaxed) {
        if let Ok((length, _)) = rtp.recv_from(&mut buffer) {
            hear(shared, &buffer[..length], Instant::now());
        }
        while rtcp.recv_from(&mut buffer).is_ok() {
            lock(&shared.heard).report.rtcp += 1;
        }
    }
}

fn hear(shared: &Shared, packet: &[u8], now: Instant) {
    let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3, ..] = *packet else { return };
    let start = 12 + 4 * usize::from(first & 0x0f);
    if first >> 6 != 2 || packet.len() < start {
        return;
    }
    let (sequence, pt) = (u16::from_be_bytes([s0, s1]), second & 0x7f);
    let (timestamp, ssrc) =
        (u32::from_be_bytes([t0, t1, t2, t3]), u32::from_be_bytes([r0, r1, r2, r3]));
    let (law, is_event) = {
        let control = lock(&shared.control);
        let law = control.receive.iter().find(|(p, _)| *p == pt).map(|(_, law)| *law);
        (law, control.receive_event == Some(pt))
    };
    let mut heard = lock(&shared.heard);
    let heard = &mut *heard;
    heard.report.received += 1;
    if let Some(last) = heard.report.last {
        heard.report.longest_gap = heard.report.longest_gap.max(now - last);
    }
    heard.report.first.get_or_insert(now);
    heard.report.last = Some(now);
    if heard.ssrc.is_some_and(|known| known != ssrc) {
        heard.report.source_changes += 1;
        heard.highest = None;
    }
    heard.ssrc = Some(ssrc);
    match heard.highest.map(|highest| sequence.wrapping_sub(highest)) {
        None => heard.highest = Some(sequence),
        Some(step @ 1..0x8000) => {
            heard.report.lost += u64::from(step - 1);
            heard.highest = Some(sequence);
        }
        Some(_) => {
            heard.report.disordered += 1;
            heard.report.lost = heard.report.lost.saturating_sub(1);
        }
    }
    let payload = &packet[start..];
    if let Some(law) = law {
        heard.report.payload_type = Some(pt);
        heard.sound.extend(payload.iter().map(|octet| law.decode(*octet)));
        let surplus = heard.sound.len().saturating_sub(SOUND_MAX);
        heard.sound.drain(..surplus);
    } else if is_event
        && heard.event != Some(timestamp)
        && let Some(code) = payload.first()
    {
        heard.event = Some(timestamp);
        let key = "0123456789*#ABCD".chars().nth(usize::from(*code)).unwrap_or('?');
        heard.report.keys.push(key);
    }
}
