//! Conference rooms: each on a grid of 20 ms of its own, mixed by [`audio::mix`], sent from here.
//!
//! A room belongs to a call and lives on the thread that has all legs of it. Who hears the room is a
//! member as soon as it is agreed what he speaks; what he says goes into the room's buffers when it comes,
//! and each tick sends one packet to everybody, silence too: it keeps addresses and watches alive.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use audio::codec::{Coding as Sound, OCTETS_MAX};
use audio::g711;
use audio::jitter::Stamp;
use audio::mix::{FRAME_MS, NARROW, Role, Room, TICK};
use facts::LegId;
use facts::id::{CallId, LegNo};
use facts::media::{Codec, MediaEvent, RecordingForm, Source, Tone, Voices};
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use rtp::packet::HEADER_LEN;
use rtp::srtp::TRAILER_MAX;
use rtp::{Arrival, Flow, Kind};

use super::seat::{self, Hears, Seat, Seats};
use super::{Worker, guard};
use crate::counters::Tally;
use crate::recorder::{Heard, Side};
use crate::sound::{self, Step};
use crate::translate;

/// Rooms of one worker at most.
const ROOMS_MAX: usize = 1_000;
/// Announcements that wait in one room at most, the one that is heard included.
const ANNOUNCEMENTS_MAX: usize = 16;
/// Chimes stop being added when so much waits: ten who come at once ring twice.
const CHIMES_MAX: usize = 2;
/// A room that is later by more than this skips time instead of catching up in a burst.
const LATE_MAX: Duration = Duration::from_millis(60);
/// Of those who begin or end to talk one is told in so many ticks.
const TALK_NEWS_TICKS: u32 = 5;
/// Rooms wake on a grid this fine, so that one waking serves many.
const GRID: Duration = Duration::from_millis(5);

/// The rooms of a worker.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    halls: BTreeMap<CallId, Hall>,
    /// Where the grid began.
    origin: Option<Instant>,
    /// The next tick of any.
    due: Option<Instant>,
}

/// A room, and what it has beside the mixer.
#[derive(Debug)]
struct Hall {
    room: Room,
    due: Instant,
    locked: bool,
    chimes: bool,
    taped: bool,
    /// What is announced, and who waits for the end of it.
    announcements: VecDeque<Announcement>,
    ticks: u32,
}

#[derive(Debug)]
struct Announcement {
    sound: sound::Sound,
    /// Ordered, not a chime.
    told: bool,
}

impl Rooms {
    /// When a room has to be mixed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A leg's packet arrived; what is no member's goes by.
    pub(super) fn hear(&mut self, now: Instant, leg: LegId, arrival: &Arrival, packet: &[u8]) {
        let Some(hall) = self.halls.get_mut(&leg.call) else { return };
        let header = &arrival.header;
        let stamp =
            Stamp { ssrc: header.ssrc, sequence: header.sequence, timestamp: header.timestamp };
        let no = leg.no.0;
        match arrival.kind {
            Kind::Audio(coding) => {
                let payload = packet.get(header.payload.clone()).unwrap_or_default();
                if let Some(coding) = translate::coder(coding) {
                    hall.room.push(now, no, coding, stamp, payload);
                }
            }
            Kind::Noise => hall.room.noise(now, no, stamp),
            // Told as a key; the others do not hear it.
            Kind::Event(_) => hall.room.key(now, no),
        }
    }

    /// Whether the room of a call is being recorded.
    pub(super) fn taped(&self, call: CallId) -> bool {
        self.halls.get(&call).is_some_and(|hall| hall.taped)
    }

    /// Ends the recording of a room; false if there was none.
    pub(super) fn stop_tape(&mut self, call: CallId) -> bool {
        let Some(hall) = self.halls.get_mut(&call) else { return false };
        hall.room.tape(false);
        std::mem::take(&mut hall.taped)
    }

    /// The room of a call, which is made if there is none yet.
    fn hall(&mut self, now: Instant, call: CallId) -> Option<&mut Hall> {
        if self.halls.len() >= ROOMS_MAX && !self.halls.contains_key(&call) {
            return None;
        }
        let origin = *self.origin.get_or_insert(now);
        let steps = now.saturating_duration_since(origin).as_micros() / GRID.as_micros() + 1;
        let first = origin + GRID * u32::try_from(steps).unwrap_or(0);
        if first < now {
            // The worker is as old as the grid can count: it begins anew.
            self.origin = Some(now);
        }
        let due = first.max(now);
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
        Some(self.halls.entry(call).or_insert_with(|| Hall::new(now, due)))
    }

    /// The earliest tick of all.
    fn plan(&mut self) {
        self.due = self.halls.values().map(|hall| hall.due).min();
    }
}

impl Hall {
    fn new(now: Instant, due: Instant) -> Hall {
        Hall {
            room: Room::new(now),
            due,
            locked: false,
            chimes: false,
            taped: false,
            announcements: VecDeque::new(),
            ticks: 0,
        }
    }

    /// Nobody is in, and nothing was ordered that somebody who comes would find.
    fn is_as_new(&self) -> bool {
        let ordered = self.locked || self.chimes || self.taped || !self.announcements.is_empty();
        self.room.is_empty() && !ordered
    }

    /// Whether there is room for it.
    fn announce(&mut self, source: Source, told: bool) -> bool {
        let most = if told { ANNOUNCEMENTS_MAX } else { CHIMES_MAX };
        match seat::hears(source, true).0 {
            Hears::Sound(sound) if self.announcements.len() < most => {
                self.announcements.push_back(Announcement { sound, told });
                true
            }
            _ => false,
        }
    }

    fn chime(&mut self, tone: Tone) {
        if self.chimes {
            self.announce(Source::Tone(tone), false);
        }
    }
}

impl Worker {
    /// Takes an order for a call's room.
    pub(super) fn order_room(&mut self, now: Instant, call: CallId, order: RoomOrder) {
        match order {
            RoomOrder::Role { leg, role } => self.set_role(LegId::new(call, leg), role),
            RoomOrder::Kick { leg } => self.kick(LegId::new(call, leg)),
            RoomOrder::Record { file, form } => self.record_room(now, call, file, form),
            RoomOrder::Lock { locked } => self.with_hall(now, call, |hall| hall.locked = locked),
            RoomOrder::Chimes { on } => self.with_hall(now, call, |hall| hall.chimes = on),
            RoomOrder::Announce { source } => {
                let mut taken = false;
                self.with_hall(now, call, |hall| taken = hall.announce(source, true));
                if !taken {
                    tracing::warn!(%call, "an announcement that a room cannot make, or too many");
                    self.tell_room(call, RoomNews::Announced);
                }
            }
        }
    }

    fn with_hall(&mut self, now: Instant, call: CallId, change: impl FnOnce(&mut Hall)) {
        // A room of a call without legs would be there for ever.
        if self.seats.of_call(call).next().is_none() {
            tracing::debug!(%call, "an order for the room of a call without legs");
            return;
        }
        match self.rooms.hall(now, call) {
            Some(hall) => change(hall),
            None => tracing::warn!(%call, "as many rooms as there may be"),
        }
    }

    fn tell_room(&self, call: CallId, news: RoomNews) {
        self.event(MediaEvent::Room { call, news });
    }

    fn set_role(&mut self, leg: LegId, role: RoomRole) {
        let Some(seat) = self.seats.number(leg).and_then(|number| self.seats.get(number)) else {
            tracing::debug!(%leg, "a role for a leg without a port");
            return;
        };
        seat.role = role;
        if let Some(hall) = self.rooms.halls.get_mut(&leg.call) {
            hall.room.set_role(leg.no.0, effective(seat));
        }
    }

    fn kick(&mut self, leg: LegId) {
        let Some(number) = self.seats.number(leg) else { return };
        self.turn_away(number);
        self.go_out(number);
    }

    /// A leg that was to hear the room hears nothing.
    fn turn_away(&mut self, number: usize) {
        if let Some(seat) = self.seats.get(number)
            && matches!(seat.hears, Hears::Room)
        {
            seat.hears = Hears::Nothing;
            if seat.interjection.is_none() {
                seat.give();
            }
        }
    }

    fn record_room(&mut self, now: Instant, call: CallId, file: String, form: RecordingForm) {
        if self.tapes.contains_key(&call) || self.rooms.taped(call) {
            tracing::warn!(%call, "the call is being recorded already");
            return;
        }
        let mut taped = false;
        self.with_hall(now, call, |hall| {
            hall.room.tape(true);
            (hall.taped, taped) = (true, true);
        });
        if taped {
            self.parts.recorder.start(
                call,
                file,
                RecordingForm { voices: Voices::Mixed, ..form },
                now,
            );
        } else {
            self.event(MediaEvent::RecordingFailed { call });
        }
    }

    /// A leg that is to hear the room comes in as soon as it is known what it speaks; one that is in may
    /// have agreed on something else.
    pub(super) fn enter(&mut self, now: Instant, number: usize) {
        let Some(seat) = self.seats.get(number) else { return };
        if !matches!(seat.hears, Hears::Room) || seat.leg.agreed().is_none() {
            return;
        }
        let LegId { call, no } = seat.id;
        let outcome = match seat.leg.spoken().and_then(translate::coder) {
            None => Err(RoomRefusal::Codec),
            Some(coding) => come_in(now, &mut self.rooms, seat, coding),
        };
        match outcome {
            Ok(false) => {}
            Ok(true) => self.tell_room(call, RoomNews::Joined { leg: no }),
            Err(why) => {
                tracing::info!(leg = %LegId::new(call, no), ?why, "not let into the room");
                self.turn_away(number);
                self.go_out(number);
                self.tell_room(call, RoomNews::Refused { leg: no, why });
            }
        }
    }

    /// A member that hears something else has left.
    pub(super) fn go_out(&mut self, number: usize) {
        let Some(seat) = self.seats.get(number) else { return };
        if !seat.member || matches!(seat.hears, Hears::Room) {
            return;
        }
        seat.member = false;
        let LegId { call, no } = seat.id;
        let Some(hall) = self.rooms.halls.get_mut(&call) else { return };
        if hall.room.leave(no.0) {
            hall.chime(Tone::Left);
            if hall.is_as_new() {
                self.rooms.halls.remove(&call);
                self.rooms.plan();
            }
            self.tell_room(call, RoomNews::Left { leg: no });
        }
    }

    /// The last leg of a call takes its room along.
    pub(super) fn forget_room(&mut self, now: Instant, call: CallId) {
        if self.seats.of_call(call).next().is_none() && self.rooms.halls.contains_key(&call) {
            self.stop_recording(now, call);
            self.rooms.halls.remove(&call);
            self.rooms.plan();
        }
    }

    /// Mixes every room that is due.
    pub(super) fn mix(&mut self, now: Instant) {
        for (call, hall) in &mut self.rooms.halls {
            if hall.due + LATE_MAX < now {
                skip(now, *call, hall, &mut self.seats);
            }
            while hall.due <= now {
                let (at, call) = (hall.due, *call);
                hall.due += TICK;
                hall.ticks = hall.ticks.wrapping_add(1);
                let library = &*self.parts.library;
                let over = announce(hall, library, |what| {
                    self.parts.loader.make(what.clone(), Codec::Pcma)
                });
                if over {
                    (self.parts.events)(MediaEvent::Room { call, news: RoomNews::Announced });
                }
                let (seats, tally) = (&mut self.seats, &mut self.tally);
                hall.room.tick(at, |no, coding, payload| {
                    send(now, seats, LegId::new(call, LegNo(no)), (coding, payload), tally);
                });
                if hall.taped {
                    tape(at, call, hall, &self.parts.recorder);
                }
                if hall.ticks.is_multiple_of(TALK_NEWS_TICKS)
                    && let Some(talking) = hall.room.poll_talking()
                {
                    let leg = LegNo(talking.member);
                    let news = RoomNews::Talking { leg, talks: talking.talks };
                    (self.parts.events)(MediaEvent::Room { call, news });
                }
            }
        }
        self.rooms.plan();
    }
}

/// What a member may do: on hold nobody hears him, whatever his far end plays meanwhile (RFC 3264 §8.4).
fn effective(seat: &Seat) -> Role {
    let flow = seat.leg.agreed().map(|setup| setup.flow);
    let RoomRole { speaks, hears, to } = seat.role;
    let to = to.map(|leg| leg.0);
    Role { speaks: speaks && flow == Some(Flow::SendReceive), hears, to }
}

/// Lets a leg in, or brings what is known of it up to date; true if it was not in.
fn come_in(
    now: Instant,
    rooms: &mut Rooms,
    seat: &mut Seat,
    coding: Sound,
) -> Result<bool, RoomRefusal> {
    let LegId { call, no } = seat.id;
    let hall = rooms.hall(now, call).ok_or(RoomRefusal::TooManyRooms)?;
    let fresh = !hall.room.holds(no.0);
    if fresh && hall.locked {
        return Err(RoomRefusal::Locked);
    }
    hall.room.join(no.0, coding).map_err(|_| RoomRefusal::Full)?;
    hall.room.set_role(no.0, effective(seat));
    seat.member = true;
    if fresh {
        hall.chime(Tone::Joined);
    }
    Ok(fresh)
}

/// Lays what is announced over the next tick; true when an announcement that was ordered is over.
fn announce(
    hall: &mut Hall,
    library: &sound::Library,
    make: impl FnOnce(&sound::What) -> bool,
) -> bool {
    let Some(front) = hall.announcements.front_mut() else { return false };
    let mut octets = [g711::ALAW_SILENCE; NARROW];
    match front.sound.step(library, Codec::Pcma, &mut octets, make) {
        Step::More { .. } => {
            let mut frame = [0; NARROW];
            g711::decode_alaw(&octets, &mut frame);
            hall.room.announce(&frame);
            false
        }
        Step::Later => false,
        Step::Over => hall.announcements.pop_front().is_some_and(|over| over.told),
    }
}

/// Sends a member what it hears. Who is on hold, or hears something laid over it, goes without.
fn send(
    now: Instant,
    seats: &mut Seats,
    leg: LegId,
    (coding, payload): (Sound, &[u8]),
    tally: &mut Tally,
) {
    let Some(seat) = seats.number(leg).and_then(|number| seats.get(number)) else { return };
    let opens = seat.leg.opens_at(now).is_some_and(|at| at <= now);
    if payload.is_empty() || !opens || seat.interjection.is_some() {
        return;
    }
    let Seat { leg, sockets, guard, .. } = seat;
    let mut packet = [0; HEADER_LEN + OCTETS_MAX + TRAILER_MAX];
    let len = HEADER_LEN + payload.len();
    packet[HEADER_LEN..len].copy_from_slice(payload);
    let span = coding.clock() * FRAME_MS as u32 / 1_000;
    let length = (span, payload.len());
    // Held, or agreed on something else a moment ago.
    let Ok(to) = leg.generate(now, translate::coded(coding), length, &mut packet[..len]) else {
        return;
    };
    guard::send(&sockets.rtp, guard.as_mut(), (&mut packet, len), to, tally);
}

/// Gives a tick to the recording of a room.
fn tape(at: Instant, call: CallId, hall: &Hall, recorder: &crate::recorder::Recorder) {
    let mut octets = [0; NARROW];
    g711::encode_ulaw(hall.room.mix(), &mut octets);
    let heard = Heard {
        side: Side::Left,
        arrival: at,
        timestamp: hall.ticks.wrapping_mul(NARROW as u32),
        codec: Codec::Pcmu,
        payload: &octets,
    };
    recorder.tap(call, &heard);
}

/// The room is too late to catch up: the time that it missed is a pause to all who hear it.
fn skip(now: Instant, call: CallId, hall: &mut Hall, seats: &mut Seats) {
    let late = now.saturating_duration_since(hall.due).as_micros() / TICK.as_micros();
    let steps = u32::try_from(late).unwrap_or(u32::MAX);
    tracing::debug!(%call, steps, "a room lost time");
    hall.due += TICK * steps;
    hall.ticks = hall.ticks.wrapping_add(steps);
    for number in seats.of_call(call).collect::<Vec<_>>() {
        if let Some(seat) = seats.get(number)
            && seat.member
            && seat.interjection.is_none()
        {
            seat.give();
        }
    }
}
