//! What happens by the clock: sounds, reports, silence.

use std::time::{Duration, Instant};

use facts::media::MediaEvent;
use facts::sound::{Ended, Unplayable};
use rtp::packet::HEADER_LEN;
use rtp::{Refusal, Stranger};

use super::control::report;
use super::guard;
use super::keys;
use super::seat::{Hears, Seat};
use super::{CHORES, CHORES_IDLE, Worker};
use crate::counters::Tally;
use crate::loader::Loader;
use crate::poll;
use crate::sound::{Library, Step, What};
use crate::translate;

/// Sounds are sent on a grid this fine, so that one waking serves many legs.
const GRID: Duration = Duration::from_millis(5);
/// A sound that is late by more than this skips time instead of catching up in a burst.
const LATE_MAX: Duration = Duration::from_millis(60);
/// Reports are sent this far apart on average (RFC 3550 §6.2).
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What became of a seat's sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Played {
    /// Goes on.
    On,
    /// Came to its end.
    Over,
}

impl Worker {
    /// A seat may have begun to play.
    pub(super) fn note_sounding(&mut self, number: usize) {
        let sounds = self.seats.get(number).is_some_and(|seat| seat.sounds());
        if sounds && !self.sounding.contains(&number) {
            self.sounding.push(number);
            self.tick_at.get_or_insert_with(Instant::now);
        }
    }

    /// Sends what is due of all sounds.
    pub(super) fn tick(&mut self, now: Instant, buffer: &mut [u8]) {
        let grid = self.tick_at.unwrap_or(now);
        let mut at = 0;
        while let Some(number) = self.sounding.get(at).copied() {
            let Some(seat) = self.seats.get(number) else {
                self.sounding.swap_remove(at);
                continue;
            };
            let sounds = (&*self.parts.library, &*self.parts.loader);
            if seat.keys.is_pressing() {
                if keys::step(now, grid, seat, &mut self.tally) {
                    seat.keys.next(&mut seat.interjection, seat.leg.takes_events());
                    seat.give();
                }
            } else if play(now, grid, seat, sounds, buffer, &mut self.tally) == Played::Over {
                let leg = seat.id;
                let key = seat.sound().is_some_and(|sound| sound.is_key());
                let unheard = !key && seat.sound().is_some_and(|sound| !sound.has_begun());
                // What is laid over a conversation may be something that has to be heard.
                let over = seat.interjection.is_some();
                let why = Unplayable::Missing;
                if unheard {
                    tracing::warn!(%leg, "there is no such sound, or none in what this leg speaks");
                    seat.unplayable = Some(why);
                    self.tally.unplayable += 1;
                }
                end(seat);
                let ended = if unheard { Ended::Unplayable(why) } else { Ended::Played };
                // Nobody waits for the end of a key.
                match (key, over) {
                    (true, _) => {}
                    (false, true) => self.event(MediaEvent::LaidOver { leg, ended }),
                    (false, false) if unheard => self.event(MediaEvent::Unplayable { leg, why }),
                    (false, false) => self.event(MediaEvent::Played { leg }),
                }
            }
            if self.seats.get(number).is_some_and(|seat| seat.sounds()) {
                at += 1;
            } else {
                self.sounding.swap_remove(at);
            }
        }
        // The grid keeps its phase, however late this waking was.
        let late = now.saturating_duration_since(grid).as_micros() / GRID.as_micros();
        let steps = u32::try_from(late).unwrap_or(0) + 1;
        self.tick_at = (!self.sounding.is_empty()).then(|| grid + GRID * steps);
    }

    /// Reports and silence.
    pub(super) fn chores(&mut self, now: Instant) {
        self.chores_at = now + if self.seats.len() > 0 { CHORES } else { CHORES_IDLE };
        self.parts.pool.wake(now);
        let busy = self.effort.note(now, poll::thread_time());
        let legs = u32::try_from(self.seats.len()).unwrap_or(u32::MAX);
        self.parts.counters.publish_cost(busy, legs);
        for number in self.seats.numbers() {
            let interval = self.report_interval();
            let Some(seat) = self.seats.get(number) else { continue };
            if seat.report_at.is_some_and(|at| at <= now) {
                report(now, seat, false);
                seat.report_at = Some(now + interval);
            }
            let leg = seat.id;
            tell_of_strangers(seat);
            if let Some(since) = seat.leg.fell_silent(now) {
                self.event(MediaEvent::Silent { leg, since });
            }
        }
        self.publish();
    }

    /// Between half and one and a half of the average (RFC 3550 §6.3.1), so that legs opened
    /// together do not report together.
    pub(super) fn report_interval(&mut self) -> Duration {
        let thousandths = 500 + self.parts.pool.draw() % 1000;
        REPORT_INTERVAL * u32::try_from(thousandths).unwrap_or(1000) / 1000
    }
}

/// Sends the packets of a seat's sound that are due at a point of the grid.
fn play(
    now: Instant,
    grid: Instant,
    seat: &mut Seat,
    (library, loader): (&Library, &Loader),
    buffer: &mut [u8],
    tally: &mut Tally,
) -> Played {
    let opens_at = seat.leg.opens_at(now);
    let (codec, ptime) = (seat.codec(), seat.ptime());
    let (Some(opens_at), Some(codec)) = (opens_at, codec) else {
        // Not yet agreed where to, or in what; or in nothing that we can make.
        let mute = codec.is_none() && seat.leg.agreed().is_some();
        return if mute { Played::Over } else { Played::On };
    };
    if opens_at > now {
        return Played::On;
    }
    let units = ptime.as_millis() as usize * 8;
    let Some(sound) = seat.sound() else { return Played::On };
    let mut due = sound.due.unwrap_or(grid);
    if now.saturating_duration_since(due) > LATE_MAX {
        due = grid;
    }
    while due <= grid {
        let Some(sound) = seat.sound() else { return Played::On };
        let packet = &mut buffer[..HEADER_LEN + units];
        let make = |what: &What| loader.make(what.clone(), codec);
        let (octets, span) = match sound.step(library, codec, &mut packet[HEADER_LEN..], make) {
            Step::More { octets, span } => (octets, span),
            Step::Over => return Played::Over,
            Step::Later => {
                sound.due = None;
                return Played::On;
            }
        };
        due += ptime;
        sound.due = Some(due);
        let coding = translate::coding(codec);
        if octets == 0 {
            continue;
        }
        let len = HEADER_LEN + octets;
        match seat.leg.generate(now, coding, (span, octets), &mut buffer[..len]) {
            Ok(to) => {
                let Seat { sockets, guard, .. } = &mut *seat;
                guard::send(&sockets.rtp, guard.as_mut(), (&mut *buffer, len), to, tally);
            }
            // On hold the sound goes by unheard.
            Err(Refusal::Held) => {}
            Err(_) => return Played::Over,
        }
    }
    Played::On
}

/// Once a leg: sound came from where it may not come from. If it is the far end's own, this line is
/// why the call is deaf.
pub(super) fn tell_of_strangers(seat: &mut Seat) {
    let Some(Stranger { source, described, signalling, heard }) = seat.leg.met_stranger() else {
        return;
    };
    tracing::warn!(
        leg = %seat.id, %source, %described, ?signalling, heard,
        "RTP refused: it comes neither from where the far end said nor from where it signals"
    );
}

/// The sound that a seat played is over: the stream goes back to its owner.
fn end(seat: &mut Seat) {
    if seat.interjection.take().is_none() {
        seat.hears = Hears::Nothing;
    }
    seat.keys.next(&mut seat.interjection, seat.leg.takes_events());
    seat.give();
}
