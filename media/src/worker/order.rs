//! Packets of sound that is coded anew, put in order before it is decoded.
//!
//! What is in order goes on at once, and costs no delay. What came after a gap waits, for as long as packets of this
//! stream have been seen to overtake each other ([`Jitter::next`], 10 to 60 ms), and leaves when the missing one comes
//! or on the next point of a grid of 5 ms behind its deadline. Whole packets wait, key presses and comfort noise among
//! them, so that all of a stream stays in one order; what is lost and what is a pause says the listener's own account
//! ([`rtp::egress::Egress::line`]), which sees the packets in order.
//!
//! Sound that is only relayed never comes here.

use std::time::{Duration, Instant};

use audio::jitter::{HOLD_MAX, Jitter, Next, PAYLOAD_MAX, Stamp, Taken};
use rtp::Header;
use rtp::leg::Passage;
use rtp::srtp::TRAILER_MAX;

use super::seat::{Seat, Seats};
use super::{Worker, guard, recode, transcode};
use crate::counters::Tally;

/// Those who wait wake on a grid this fine, so that one waking serves many.
const GRID: Duration = Duration::from_millis(5);
/// Units a second that the buffer counts in. It is asked for order alone, to which this does not matter.
const CLOCK: u32 = 8_000;

/// The packets that a leg's far end sent, in order.
#[derive(Debug)]
pub(crate) struct Order {
    jitter: Jitter,
    /// Something was put in since it was cleared.
    used: bool,
    /// It is among those that wait.
    listed: bool,
}

impl Order {
    fn new(now: Instant) -> Order {
        Order { jitter: Jitter::new(CLOCK, now), used: false, listed: false }
    }

    /// The stream goes another way from here on.
    fn clear(&mut self) {
        if std::mem::take(&mut self.used) {
            self.jitter.clear();
        }
    }
}

/// The seats of which something waits.
#[derive(Debug)]
pub(super) struct Waiting {
    seats: Vec<usize>,
    /// When they are looked after next.
    at: Option<Instant>,
    /// Where the grid began.
    origin: Instant,
}

impl Waiting {
    pub(super) fn new(origin: Instant) -> Waiting {
        Waiting { seats: Vec::new(), at: None, origin }
    }

    /// When something has to leave.
    pub(super) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// The packet just taken may have to wait, or may have been waited for.
    pub(super) fn note(&mut self, number: usize, order: Option<&mut Box<Order>>) {
        let Some(order) = order else { return };
        let Some(deadline) = order.jitter.deadline() else { return };
        if !std::mem::replace(&mut order.listed, true) {
            self.seats.push(number);
        }
        self.plan(deadline);
    }

    fn plan(&mut self, deadline: Instant) {
        let steps = (deadline.saturating_duration_since(self.origin).as_nanos())
            .div_ceil(GRID.as_nanos())
            .min(u128::from(u32::MAX)) as u32;
        // Past what the grid counts it is not coarser than the deadlines themselves.
        let at = (self.origin + GRID * steps).max(deadline);
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

impl Worker {
    /// Passes on what has waited long enough.
    pub(super) fn release(&mut self, now: Instant) {
        self.waiting.at = None;
        let mut at = 0;
        while let Some(number) = self.waiting.seats.get(at).copied() {
            match release(now, &mut self.seats, number, &mut self.tally) {
                Some(deadline) => {
                    self.waiting.plan(deadline);
                    at += 1;
                }
                None => {
                    self.waiting.seats.swap_remove(at);
                }
            }
        }
    }
}

/// When the next packet of a seat's stream has waited long enough.
fn release(now: Instant, seats: &mut Seats, number: usize, tally: &mut Tally) -> Option<Instant> {
    let (seat, listener) = seats.with_listener(number)?;
    match listener {
        Some(listener) => drain((now, now), seat, listener, tally),
        None => clear(seat),
    }
    let order = seat.order.as_mut()?;
    let deadline = order.jitter.deadline();
    order.listed = deadline.is_some();
    deadline
}

/// Memory is taken before the first packet comes.
pub(super) fn prepare(now: Instant, seat: &mut Seat) {
    seat.order.get_or_insert_with(|| Box::new(Order::new(now)));
}

/// What the seat's far end says goes another way now.
pub(super) fn clear(seat: &mut Seat) {
    if let Some(order) = &mut seat.order {
        order.clear();
    }
}

/// Takes a packet, and passes on whatever is in order by then.
pub(super) fn take(
    now: Instant,
    seat: &mut Seat,
    listener: &mut Seat,
    (header, packet): (&Header, &mut [u8]),
    tally: &mut Tally,
) {
    let stamp = Stamp { ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp };
    prepare(now, seat);
    let Some(order) = &mut seat.order else { return };
    if packet.len() > PAYLOAD_MAX {
        // No network carries it in one piece; it is not kept, and the numbers go on behind it.
        return;
    }
    if !order.jitter.goes_on(stamp) {
        // Another source, or numbers that the leg's account has seen confirmed: what waits goes first.
        drain((now, now + HOLD_MAX), seat, listener, tally);
    }
    let Some(order) = &mut seat.order else { return };
    if !order.jitter.goes_on(stamp) {
        order.jitter.begin_anew();
    }
    order.used = true;
    let before = order.jitter.figures().reordered;
    let taken = order.jitter.push(now, stamp, packet);
    tally.reordered += order.jitter.figures().reordered - before;
    match taken {
        Taken::Late => tally.late += 1,
        Taken::Kept | Taken::Restarted => drain((now, now), seat, listener, tally),
        Taken::Duplicate | Taken::Refused => {}
    }
}

/// A packet that nobody has agreed to, beside sound that is coded anew: its number is no gap.
pub(super) fn pass_over(
    now: Instant,
    seat: &mut Seat,
    listener: &mut Seat,
    packet: &mut [u8],
    tally: &mut Tally,
) {
    if seat.order.as_ref().is_some_and(|order| order.used)
        && let Ok(header) = Header::parse(packet)
    {
        take(now, seat, listener, (&header, packet), tally);
    }
}

/// Passes on what is in order, and what will have waited long enough at `by`.
fn drain((now, by): (Instant, Instant), seat: &mut Seat, listener: &mut Seat, tally: &mut Tally) {
    let mut buffer = [0; PAYLOAD_MAX + TRAILER_MAX];
    while let Some(order) = &mut seat.order {
        let len = match order.jitter.next(by) {
            Next::Frame { payload, .. } => {
                buffer[..payload.len()].copy_from_slice(payload);
                payload.len()
            }
            Next::Lost { .. } => continue,
            Next::Wait => return,
        };
        pass(now, seat, listener, (&mut buffer, len), tally);
    }
}

/// One packet, in its turn.
fn pass(
    now: Instant,
    seat: &Seat,
    listener: &mut Seat,
    (buffer, len): (&mut [u8], usize),
    tally: &mut Tally,
) {
    let packet = &mut buffer[..len];
    match rtp::onward(now, &seat.leg, &mut listener.leg, packet) {
        Ok((Passage::Recode(how), payload)) => {
            recode::carry(now, listener, how, &packet[payload], tally);
        }
        Ok((Passage::Send(departure), payload)) => {
            if let Some(convert) = departure.convert {
                transcode(convert, &mut packet[payload]);
            }
            let Seat { sockets, guard, .. } = listener;
            guard::send(&sockets.rtp, guard.as_mut(), (buffer, len), departure.to, tally);
        }
        // On hold, of another owner, nothing that it takes: as if it were relayed.
        Err(_) => {}
    }
}
