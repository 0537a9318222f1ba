//! Keys: heard in the sound of who has no events, and pressed for whoever else is on the call, as that one takes
//! them.
//!
//! What passes as an event between two who both have them, and as sound between two who have none, is the relay's
//! and never touched. Of a key that is heard as sound and told as an event the sound goes on silent; of one that
//! came as an event and has to be heard, the sound takes the place of the relayed one as long as it lasts. What a
//! far end leaks of a key in its sound beside the event is silenced on its way to whoever listens.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use audio::dtmf::{Detector, Digit, Event};
use audio::g711;
use facts::manners::Dtmf;
use facts::media::{MediaEvent, StreamSetup};
use rtp::packet::HEADER_LEN;
use rtp::srtp::TRAILER_MAX;
use rtp::{Arrival, Coding, EVENT_LEN};

use super::seat::Seat;
use super::{Worker, guard};
use crate::counters::Tally;
use crate::sound::{Sound, What};

/// Keys that wait for one leg at most; more are not pressed.
const WAITING_MAX: usize = 32;
/// How long a key of ours lasts.
const PRESSED: Duration = Duration::from_millis(100);
/// How often its end is sent (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// Samples of the longest packet of G.711 that is listened to: 200 ms (RFC 3551 §4.2).
const SAMPLES_MAX: usize = 1_600;

/// Keys that are pressed for a far end.
#[derive(Debug, Default)]
pub(crate) struct Presses {
    /// The one that is told as an event.
    now: Option<Pressing>,
    waiting: VecDeque<Digit>,
}

/// A key on its way, as an event.
#[derive(Clone, Copy, Debug)]
struct Pressing {
    digit: Digit,
    lasted: Duration,
    ends: u8,
    due: Option<Instant>,
}

impl Presses {
    /// A key is being told as an event: nothing else may leave.
    pub(crate) fn is_pressing(&self) -> bool {
        self.now.is_some()
    }

    /// Goes on to the key that waits. As sound it does not while something else is laid over what the leg hears; an
    /// event makes that pause for as long as it lasts.
    pub(crate) fn next(&mut self, interjection: &mut Option<Sound>, events: bool) {
        if self.now.is_some() || (interjection.is_some() && !events) {
            return;
        }
        let Some(digit) = self.waiting.pop_front() else { return };
        if events {
            self.now = Some(Pressing { digit, lasted: Duration::ZERO, ends: 0, due: None });
        } else {
            *interjection = Some(Sound::new(What::Key(digit), false));
        }
    }
}

/// Sends what is due of the key that is told as an event; true when that is over.
pub(super) fn step(now: Instant, grid: Instant, seat: &mut Seat, tally: &mut Tally) -> bool {
    let ptime = seat.ptime();
    let Some(pressing) = &mut seat.keys.now else { return true };
    if pressing.due.is_some_and(|due| due > grid) {
        return false;
    }
    let first = pressing.due.is_none();
    pressing.due = Some(pressing.due.unwrap_or(grid).max(grid) + ptime);
    pressing.lasted = (pressing.lasted + ptime).min(PRESSED);
    let end = pressing.lasted == PRESSED;
    pressing.ends += u8::from(end);
    let over = pressing.ends >= ENDS;
    let event = (pressing.digit.event(), pressing.lasted, end);
    let mut packet = [0; HEADER_LEN + EVENT_LEN + TRAILER_MAX];
    let len = HEADER_LEN + EVENT_LEN;
    let sent = match packet.first_chunk_mut() {
        Some(whole) => seat.leg.press(now, event, first, whole),
        None => return true,
    };
    match sent {
        Ok(to) => {
            let Seat { sockets, guard, .. } = &mut *seat;
            guard::send(&sockets.rtp, guard.as_mut(), (&mut packet, len), to, tally);
        }
        // On hold, or its far end takes no events any more: unheard.
        Err(_) => {
            seat.keys.now = None;
            return true;
        }
    }
    if over {
        seat.keys.now = None;
    }
    over
}

/// Listens for keys in the sound of a far end that has no events. In G.711, where they survive.
#[derive(Debug)]
pub(crate) struct Keypad {
    detector: Detector,
    /// Room for one packet's sound.
    sound: Box<[i16]>,
    heard: Option<char>,
}

impl Keypad {
    /// Makes one, or takes it away, as a setup wants it.
    pub(super) fn set(keypad: &mut Option<Box<Keypad>>, setup: &StreamSetup) {
        let by_sound = matches!(setup.dtmf, Dtmf::Auto | Dtmf::Inband);
        if !by_sound || !setup.receive.events.is_empty() {
            *keypad = None;
        } else if keypad.is_none() {
            let sound = vec![0; SAMPLES_MAX].into();
            *keypad = Some(Box::new(Keypad { detector: Detector::new(), sound, heard: None }));
        }
    }

    /// Hears a packet that was accepted; whether a key began. `mute`: what belongs to one is made silent.
    pub(super) fn hear(&mut self, arrival: &Arrival, packet: &mut [u8], mute: bool) -> bool {
        let Some((coding, place)) = arrival.sound() else { return false };
        let payload = &mut packet[place];
        let Some(sound) = self.sound.get_mut(..payload.len()) else { return false };
        let silence = match coding {
            Coding::Pcmu => {
                g711::decode_ulaw(payload, sound);
                g711::ULAW_SILENCE
            }
            Coding::Pcma => {
                g711::decode_alaw(payload, sound);
                g711::ALAW_SILENCE
            }
            Coding::G722 | Coding::Opus | Coding::G729 => return false,
        };
        let heard = &mut self.heard;
        let tell = |event| {
            if let Event::Begin { digit, .. } = event {
                *heard = Some(digit.as_char());
            }
        };
        if mute {
            self.detector.hear_and_mute(sound, tell);
            // Only what was silenced is coded anew: all else passes as it came, silence with its sign.
            let quiet = |octet: u8| silence == g711::ULAW_SILENCE && octet & 0x7f == 0x7f;
            let pairs = payload.iter_mut().zip(&*sound);
            let muted = pairs.filter(|(octet, sample)| **sample == 0 && !quiet(**octet));
            muted.for_each(|(octet, _)| *octet = silence);
        } else {
            self.detector.hear(sound, tell);
        }
        self.heard.is_some()
    }

    /// The key that began, told once.
    pub(super) fn heard(&mut self) -> Option<char> {
        self.heard.take()
    }
}

/// Silences what a far end sends as sound beside an event, in G.711; in other codings the relay has withheld it.
pub(super) fn hush(arrival: &Arrival, packet: &mut [u8]) {
    let Some((coding, place)) = arrival.sound() else { return };
    match coding {
        Coding::Pcmu => packet[place].fill(g711::ULAW_SILENCE),
        Coding::Pcma => packet[place].fill(g711::ALAW_SILENCE),
        Coding::G722 | Coding::Opus | Coding::G729 => {}
    }
}

impl Worker {
    /// A key came from a leg, as an event or as sound: signalling is told, and whoever listens gets it as his far
    /// end takes it, where the relay cannot pass it on.
    pub(super) fn pressed(&mut self, number: usize, digit: char, by_event: bool) {
        let Some(seat) = self.seats.get(number) else { return };
        let (leg, listener) = (seat.id, seat.listener);
        (self.parts.events)(MediaEvent::Digit { leg, digit });
        self.interrupt(number);
        let Some(listener) = listener else { return };
        let Some(seat) = self.seats.get(listener) else { return };
        // What is laid over the listener's stream keeps the relay from passing anything on.
        if seat.leg.takes_events() != by_event || !seat.leg.is_relayed() {
            self.press(listener, digit);
        }
    }

    /// Presses a key for a leg's far end, after those that wait.
    pub(super) fn press(&mut self, number: usize, digit: char) {
        let Some(digit) = Digit::from_char(digit) else { return };
        let Some(seat) = self.seats.get(number) else { return };
        if seat.leg.agreed().is_none()
            || !seat.may_press()
            || seat.keys.waiting.len() >= WAITING_MAX
        {
            tracing::debug!(leg = %seat.id, "a key is not passed on");
            return;
        }
        seat.keys.waiting.push_back(digit);
        let events = seat.leg.takes_events();
        let begins = !seat.keys.is_pressing() && (events || seat.interjection.is_none());
        if begins {
            seat.keys.next(&mut seat.interjection, events);
            seat.give();
        }
        self.note_sounding(number);
    }
}
