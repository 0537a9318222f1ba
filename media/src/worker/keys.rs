//! Keys: heard in the sound of who has no events, and pressed for whoever else is on the call, as that one takes
//! them.
//!
//! What passes as an event between two who both have them, and as sound between two who have none, is the relay's
//! and never touched. Of a key that is heard as sound and told as an event the sound goes on silent; of one that
//! came as an event and has to be heard, the sound takes the place of the relayed one as long as it lasts. What a
//! far end leaks of a key in its sound beside the event is silenced before anybody hears it: whoever listens, a
//! room, the recording. A key that signalling has told already is the same when it comes in the media.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use audio::codec::PACKET_MAX_MS;
use audio::dtmf::{Detector, Digit, Event};
use audio::g711;
use facts::manners::Dtmf;
use facts::media::{MediaEvent, StreamSetup};
use rtp::packet::HEADER_LEN;
use rtp::srtp::TRAILER_MAX;
use rtp::{Arrival, Coding, EVENT_LEN};

use super::listen::{Mouth, WIDEST_KHZ};
use super::seat::Seat;
use super::{Worker, guard};
use crate::counters::Tally;
use crate::sound::{Sound, What};
use crate::translate;

/// Keys that wait for one leg at most; more are not pressed.
const WAITING_MAX: usize = 32;
/// How long a key of ours lasts.
const PRESSED: Duration = Duration::from_millis(100);
/// How often its end is sent (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// Samples at 8 kHz of the longest packet that is listened to: 200 ms (RFC 3551 §4.2).
const SAMPLES_MAX: usize = PACKET_MAX_MS * 8;

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

/// Listens for keys in the sound of a far end that has no events. What is not G.711 is decoded for this alone.
#[derive(Debug)]
pub struct Keypad {
    detector: Detector,
    /// What the far end speaks, if it is not G.711: made once for each coding, whatever it changes to and fro.
    mouths: [Option<Mouth>; 2],
    /// Room for one packet's sound, as it was decoded and at 8 kHz.
    sound: Box<[i16]>,
    narrow: Box<[i16]>,
    heard: Option<char>,
    /// The key that sounds was told by signalling and passed on: what is left of it is silenced for everybody.
    again: bool,
}

impl Keypad {
    /// Makes one, or takes it away, as a setup wants it.
    pub fn set(keypad: &mut Option<Box<Keypad>>, setup: &StreamSetup) {
        let by_sound = matches!(setup.dtmf, Dtmf::Auto | Dtmf::Inband);
        if !by_sound || !setup.receive.events.is_empty() {
            *keypad = None;
        } else if keypad.is_none() {
            *keypad = Some(Box::new(Keypad {
                detector: Detector::new(),
                mouths: [None, None],
                sound: vec![0; PACKET_MAX_MS * WIDEST_KHZ].into(),
                narrow: vec![0; SAMPLES_MAX].into(),
                heard: None,
                again: false,
            }));
        }
        // What is made now does not have to be made when the first packet comes.
        let first = setup.receive.audio.first().map(|(_, codec)| translate::coding(*codec));
        if let (Some(keypad), Some(coding)) = (keypad, first) {
            keypad.speaks(coding);
        }
    }

    /// Makes ready for a coding that has to be decoded; whether it can be.
    fn speaks(&mut self, coding: Coding) -> bool {
        let Some(mouth) = self.mouth(coding) else { return false };
        if mouth.is_none() {
            *mouth = Mouth::of(coding);
        }
        mouth.is_some()
    }

    fn mouth(&mut self, coding: Coding) -> Option<&mut Option<Mouth>> {
        match coding {
            Coding::G722 => Some(&mut self.mouths[0]),
            Coding::Opus => Some(&mut self.mouths[1]),
            _ => None,
        }
    }

    /// Hears a packet that was accepted; whether a key began. `mute`: what belongs to one is made silent.
    pub fn hear(&mut self, arrival: &Arrival, packet: &mut [u8], mute: bool) -> bool {
        let Some((coding, place)) = arrival.sound() else { return false };
        let payload = &mut packet[place];
        self.again &= self.detector.pressed().is_some();
        let mute = mute || self.again;
        if self.speaks(coding) {
            return self.hear_wide(coding, payload, mute);
        }
        let Some(sound) = self.narrow.get_mut(..payload.len()) else { return false };
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

    /// The same in a coding that is decoded first; of what belongs to a key whole packets are made silent.
    fn hear_wide(&mut self, coding: Coding, payload: &mut [u8], mute: bool) -> bool {
        let Keypad { detector, mouths: [g722, opus], sound, narrow, heard, .. } = self;
        let mouth = if coding == Coding::G722 { g722 } else { opus };
        let Some(mouth) = mouth else { return false };
        // What cannot be decoded is as good as lost.
        let Ok(samples) = mouth.decoder.decode(payload, sound) else { return false };
        let sound = match &mut mouth.narrows {
            None => &mut sound[..samples],
            Some(converter) => {
                let narrowed = converter.convert(&sound[..samples], narrow);
                &mut narrow[..narrowed]
            }
        };
        let tell = |event| {
            if let Event::Begin { digit, .. } = event {
                *heard = Some(digit.as_char());
            }
        };
        if !mute {
            detector.hear(sound, tell);
        } else if detector.hear_and_mute(sound, tell) {
            silence(coding, payload);
        }
        self.heard.is_some()
    }

    /// Signalling has told the key that sounds.
    pub(super) fn known(&mut self) {
        self.again = true;
    }

    /// The key that began, told once.
    pub fn heard(&mut self) -> Option<char> {
        self.heard.take()
    }
}

/// Silences what a far end sends as sound beside an event; what nobody can silence the relay has withheld.
pub(super) fn hush(arrival: &Arrival, packet: &mut [u8]) {
    if let Some((coding, place)) = arrival.sound() {
        silence(coding, &mut packet[place]);
    }
}

fn silence(coding: Coding, payload: &mut [u8]) {
    if let Some(coding) = translate::coder(coding) {
        audio::codec::hush(coding, payload);
    }
}

impl Worker {
    /// A key came from a leg, as an event or as sound: signalling is told, and whoever listens gets it as his far
    /// end takes it, where the relay cannot pass it on. `again`: signalling told it first, and has seen to the rest.
    pub(super) fn pressed(&mut self, number: usize, digit: char, (by_event, again): (bool, bool)) {
        let Some(seat) = self.seats.get(number) else { return };
        let (leg, listener) = (seat.id, seat.listener);
        (self.parts.events)(MediaEvent::Digit { leg, digit });
        if again {
            return;
        }
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
