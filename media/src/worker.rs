//! A media worker: one thread, the sockets of its calls' legs, and a loop.
//!
//! Packets are carried as they come; orders are read between batches of packets; sounds are sent on
//! a grid of absolute deadlines while any leg plays one; reports and silence are looked after ten
//! times a second. On the way of a packet there is no allocation, lock or formatting.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use facts::LegId;
use facts::id::CallId;
use facts::media::{MediaCommand, MediaEvent};
use rtp::rtcp::NtpClock;
use rtp::{Arrival, Coding, Refusal, Verdict};

use crate::Home;
use crate::counters::{Counters, Tally};
use crate::dictation::Recogniser;
use crate::loader::{Door, Had, Loader, Wish};
use crate::poll::{self, Poller, Waker};
use crate::recorder::{Heard, Recorder};
use crate::remote::Remote;
use crate::sound::Library;
use crate::translate;
use order::Waiting;
use room::Rooms;
use rtp::ports::Pool;
use seat::{Seat, Seats};

mod control;
mod guard;
pub(crate) mod keys;
pub(crate) mod listen;
mod order;
mod over;
mod play;
mod recode;
mod room;
mod seat;

/// Longest datagram read; an RTP packet of 60 ms is 492 octets, Ethernet carries 1500.
const DATAGRAM_MAX: usize = 2048;
/// Orders carried out between two batches of packets at most.
const ORDERS_MAX: usize = 64;
/// How often reports and silence are looked after.
const CHORES: Duration = Duration::from_millis(100);
/// The same while there is no leg.
const CHORES_IDLE: Duration = Duration::from_secs(1);
/// Token of the order queue's waker; sockets have small ones.
const ORDERS: u64 = u64::MAX;

/// Where events go.
pub(crate) type Events = Arc<dyn Fn(MediaEvent) + Send + Sync>;

/// What reaches a worker through its queue.
#[derive(Debug)]
pub(crate) enum Order {
    /// From signalling.
    Command(MediaCommand),
    /// What became of a sound that a leg waits for.
    Loaded { leg: LegId, wish: Wish, sound: Had },
    /// What announcements are known from now on.
    Know(Arc<audio::announce::Library>),
    /// Close everything and end.
    Stop,
}

/// The receiving end of a worker's queue, and its door bell.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) orders: Receiver<Order>,
    pub(crate) bell: Arc<Bell>,
}

/// Rung by those who put orders into a queue; rung once until it was heard.
#[derive(Debug)]
pub(crate) struct Bell {
    waker: Waker,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> std::io::Result<Bell> {
        Ok(Bell { waker: Waker::new()?, rung: AtomicBool::new(false) })
    }

    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Heard. Whoever rings from now on rings anew.
    fn hear(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) homes: Vec<Home>,
    pub(crate) pool: Pool,
    pub(crate) inbox: Inbox,
    pub(crate) events: Events,
    pub(crate) library: Arc<Library>,
    pub(crate) loader: Arc<Loader>,
    /// Where sounds behind addresses are had, if they may be.
    pub(crate) remote: Option<Arc<Remote>>,
    /// The way to this worker.
    pub(crate) own: Door,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) words: Option<Arc<Recogniser>>,
}

/// What the worker takes of a core.
#[derive(Debug, Default)]
struct Effort {
    looked: Option<(Instant, Duration)>,
    /// Thousandths of a core, an average over about a second.
    busy: u32,
}

impl Effort {
    /// `spent`: time that the thread has had on a processor so far.
    fn note(&mut self, now: Instant, spent: Duration) -> u32 {
        if let Some((then, before)) = self.looked.replace((now, spent)) {
            let since = now.saturating_duration_since(then).as_micros().max(1);
            let share = spent.saturating_sub(before).as_micros() * 1_000 / since;
            let share = u32::try_from(share).unwrap_or(u32::MAX).min(1_000);
            self.busy = (7 * self.busy + share) / 8;
        }
        self.busy
    }
}

/// The two voices of a recording.
#[derive(Clone, Copy, Debug)]
struct Tape {
    left: LegId,
    /// `None`: one voice alone.
    right: Option<LegId>,
}

/// A worker.
pub(crate) struct Worker {
    parts: Parts,
    poller: Poller,
    seats: Seats,
    /// Seats that play a sound.
    sounding: Vec<usize>,
    /// Recordings under way, and whose voices they hold.
    tapes: BTreeMap<CallId, Tape>,
    /// The rooms of its calls.
    rooms: Rooms,
    /// Packets that wait for those before them.
    waiting: Waiting,
    /// Announcements that are known again.
    known: Arc<audio::announce::Library>,
    /// Legs that are listened to.
    listened: usize,
    clock: NtpClock,
    tally: Tally,
    /// When sounds are looked after next; `None` while there are none.
    tick_at: Option<Instant>,
    chores_at: Instant,
    effort: Effort,
    stopping: bool,
}

impl Worker {
    pub(crate) fn new(parts: Parts, clock: NtpClock) -> std::io::Result<Worker> {
        let poller = Poller::new()?;
        poller.watch_waker(&parts.inbox.bell.waker, ORDERS)?;
        let worker = Worker {
            parts,
            poller,
            seats: Seats::default(),
            sounding: Vec::new(),
            tapes: BTreeMap::new(),
            rooms: Rooms::default(),
            waiting: Waiting::new(Instant::now()),
            known: Arc::default(),
            listened: 0,
            clock,
            tally: Tally::default(),
            tick_at: None,
            chores_at: Instant::now() + CHORES,
            effort: Effort::default(),
            stopping: false,
        };
        worker.publish();
        Ok(worker)
    }

    /// Until told to stop.
    pub(crate) fn run(mut self) {
        if let Err(error) = poll::go_first() {
            tracing::debug!(%error, "media threads have no precedence");
        }
        let mut buffer = [0_u8; DATAGRAM_MAX];
        while !self.stopping {
            let now = Instant::now();
            let until = self.tick_at.map_or(self.chores_at, |tick| tick.min(self.chores_at));
            let until = self.rooms.due().map_or(until, |due| due.min(until));
            let until = self.waiting.due().map_or(until, |due| due.min(until));
            let more = !self.parts.inbox.orders.is_empty();
            let timeout = if more { Duration::ZERO } else { until.saturating_duration_since(now) };
            let ready = match self.poller.wait(timeout) {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "the media poller failed");
                    std::thread::sleep(Duration::from_millis(1));
                    0
                }
            };
            let mut rung = more;
            for index in 0..ready {
                match self.poller.token(index) {
                    ORDERS => rung = true,
                    token => self.read(token, &mut buffer),
                }
            }
            if rung {
                self.parts.inbox.bell.hear();
                self.take_orders();
            }
            let now = Instant::now();
            if self.tick_at.is_some_and(|at| at <= now) {
                self.tick(now, &mut buffer);
            }
            if self.rooms.due().is_some_and(|at| at <= now) {
                self.mix(now);
            }
            if self.waiting.due().is_some_and(|at| at <= now) {
                self.release(now);
            }
            if self.chores_at <= now {
                self.chores(now);
            }
        }
        self.close_all();
    }

    /// Reads one datagram: the set is level-triggered, so what else waits is reported again.
    fn read(&mut self, token: u64, buffer: &mut [u8; DATAGRAM_MAX]) {
        let number = (token >> 1) as usize;
        let Some((seat, listener)) = self.seats.with_listener(number) else { return };
        let rtcp = token & 1 == 1;
        let socket = if rtcp { &seat.sockets.rtcp } else { &seat.sockets.rtp };
        let Ok((mut len, source)) = socket.recv_from(buffer) else { return };
        let now = Instant::now();
        let rtcp = rtcp || (seat.leg.muxed() && rtp::packet::is_rtcp(&buffer[..len]));
        if let Some(guard) = &mut seat.guard {
            match guard.open(&mut buffer[..len], rtcp, &mut self.tally) {
                Some(opened) => len = opened,
                None => return,
            }
        }
        if rtcp {
            // A refusal is in the leg's own figures.
            let _ = seat.leg.receive_rtcp(now, source, &buffer[..len]);
            if let Some(loss) = seat.leg.told_loss() {
                seat.coders.told_loss(loss);
            }
            return;
        }
        let came = (buffer.as_mut_slice(), len);
        let leg = seat.id;
        let news = carry(now, seat, listener, source, came, &mut self.tally, &self.parts.recorder);
        self.waiting.note(number, seat.order.as_mut());
        if let Some(news) = news {
            self.rooms.hear(now, leg, &news, buffer);
            self.tell(now, number, &news);
        }
    }

    /// What signalling has to know about an arrival.
    fn tell(&mut self, now: Instant, number: usize, arrival: &Arrival) {
        let Some(seat) = self.seats.get(number) else { return };
        let leg = seat.id;
        if arrival.started {
            (self.parts.events)(MediaEvent::Started { leg });
        }
        let heard = seat.keypad.as_mut().and_then(|keypad| keypad.heard());
        let heard = heard.map(|digit| (digit, seat.leg.expected(now, digit)));
        if let (Some((_, true)), Some(keypad)) = (heard, &mut seat.keypad) {
            keypad.known();
        }
        if let Some(digit) = arrival.key {
            self.pressed(number, digit, (true, arrival.again));
        }
        if let Some((digit, again)) = heard {
            self.pressed(number, digit, (false, again));
        }
    }

    fn event(&self, event: MediaEvent) {
        (self.parts.events)(event);
    }

    /// Makes the worker's figures visible.
    fn publish(&self) {
        let (resting, free) = (self.parts.pool.resting(), self.parts.pool.free());
        let held = [self.seats.len(), resting, free, self.listened];
        self.parts.counters.publish(&self.tally, held);
    }
}

/// The whole way of an RTP packet. Returns the arrival only if there is news in it.
fn carry(
    now: Instant,
    seat: &mut Seat,
    listener: Option<&mut Seat>,
    source: SocketAddr,
    (buffer, len): (&mut [u8], usize),
    tally: &mut Tally,
    recorder: &Recorder,
) -> Option<Arrival> {
    tally.received += 1;
    let packet = &mut buffer[..len];
    let mut listener = listener;
    let leg = listener.as_deref_mut().map(|listener| &mut listener.leg);
    let forwarded = rtp::forward(now, &mut seat.leg, leg, source, packet);
    // Before anybody hears it: whoever listens, the recording, a room.
    if let Some(arrival) = &forwarded.arrival
        && arrival.leaks
    {
        keys::hush(arrival, packet);
    }
    if let (Some(side), Some(arrival)) = (seat.tape, &forwarded.arrival)
        && let Some((coding, payload)) = arrival.sound()
    {
        let heard = Heard {
            side,
            arrival: now,
            timestamp: arrival.header.timestamp,
            codec: translate::codec(coding),
            payload: &packet[payload],
        };
        recorder.tap(seat.id.call, &heard);
    }
    if let (Some(ear), Some(arrival)) = (&mut seat.ear, &forwarded.arrival) {
        ear.hear(now, arrival, packet);
    }
    let mut heard = false;
    if let (Some(keypad), Some(arrival)) = (&mut seat.keypad, &forwarded.arrival) {
        let mute = seat.member || listener.as_deref().is_some_and(Seat::takes_keys_apart);
        heard = keypad.hear(arrival, packet, mute);
    }
    match forwarded.verdict {
        Verdict::Send(departure) => {
            order::clear(seat);
            if let (Some(convert), Some(arrival)) = (departure.convert, &forwarded.arrival) {
                transcode(convert, &mut packet[arrival.header.payload.clone()]);
            }
            if let Some(Seat { sockets, guard, .. }) = listener {
                guard::send(&sockets.rtp, guard.as_mut(), (buffer, len), departure.to, tally);
            }
        }
        Verdict::Drop(refusal) => {
            tally.dropped += 1;
            tally.refused += u64::from(refusal == Refusal::Source);
            if let (Refusal::PayloadType, Some(listener)) = (refusal, listener) {
                order::pass_over(now, seat, listener, packet, tally);
            }
        }
        Verdict::Line => {
            if let (Some(listener), Some(arrival)) = (listener, &forwarded.arrival) {
                order::take(now, seat, listener, (&arrival.header, packet), tally);
            }
        }
        Verdict::Local | Verdict::Withheld(_) => order::clear(seat),
    }
    let member = seat.member;
    let news = member || heard;
    forwarded.arrival.filter(|arrival| news || arrival.started || arrival.key.is_some())
}

fn transcode(convert: (Coding, Coding), payload: &mut [u8]) {
    match convert {
        (Coding::Pcmu, Coding::Pcma) => audio::g711::ulaw_to_alaw_in_place(payload),
        (Coding::Pcma, Coding::Pcmu) => audio::g711::alaw_to_ulaw_in_place(payload),
        _ => {}
    }
}
