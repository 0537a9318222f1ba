//! What a leg's network plays before an answer: heard packet by packet, and told when it is known.
//!
//! The sound is put together by its timestamps, so that the rhythm of a tone is what the far end played and
//! not how it came: what is missing is silence of the same length, and a packet that was overtaken by the
//! next one is waited for. Nothing is taken from the packet or changed in it, and it does not matter whether
//! anybody else hears it. Memory is taken when the ear is made and when the far end goes over to another
//! coding; an ear costs about a thousandth of a core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::announce::{Known, Library, Listener};
use audio::codec::{Decoder, PACKET_MAX_MS};
use audio::convert::Converter;
use audio::progress::{self, Heard, Sit, Sound};
use facts::LegId;
use facts::media::MediaEvent;
use facts::recognition::{Announced, Recognition, Sounded};
use rtp::{Arrival, Coding};

use super::{Events, Worker};
use crate::dictation::{Dictation, Recogniser};
use crate::translate;

/// Legs that one worker listens to at most: a quarter of its core.
const EARS_MAX: usize = 256;
/// Verdicts that one ear tells at most: a call has a handful.
pub const VERDICTS_MAX: u16 = 32;
/// A packet that is too early waits for the one before it if that is not further away, milliseconds.
const OVERTAKEN_MS: u32 = 60;
/// Octets of a packet that waits; a longer one does not.
const WAITING_MAX: usize = 640;
/// Silence that is put in one go at most, milliseconds: longer pauses are none of a tone's.
const PAUSE_MAX_MS: u64 = 6_000;
/// Timestamps may run ahead of the clock by this much: packets come in bursts.
const AHEAD: Duration = Duration::from_millis(250);
/// A timestamp that is further back than this begins a stream anew, milliseconds.
const BACK_MS: u32 = 2_000;
/// Samples a millisecond of what is decoded for the ear at most (G.722).
pub(super) const WIDEST_KHZ: usize = 16;
/// A piece of a pause.
const SILENCE: [i16; 160] = [0; 160];

/// One ear: puts the packets of a stream in order, and hears them.
#[derive(Debug)]
pub struct Ear {
    line: Option<Line>,
    waiting: Waiting,
    mind: Mind,
}

/// Where the stream is.
#[derive(Clone, Copy, Debug)]
struct Line {
    ssrc: u32,
    /// The timestamp of what comes next.
    due: u32,
    /// When the last packet came.
    at: Instant,
}

/// A packet that came before the one that it follows.
#[derive(Debug)]
struct Waiting {
    timestamp: u32,
    /// None waits while 0.
    len: usize,
    octets: Box<[u8]>,
}

impl Ear {
    /// An ear on a leg, for the tones of a country and for announcements that are known; what it hears is told as
    /// [`MediaEvent::Recognised`] with this turn.
    #[must_use]
    pub fn new(
        leg: LegId,
        (country, turn): (&str, u8),
        known: Arc<Library>,
        events: Arc<dyn Fn(MediaEvent) + Send + Sync>,
    ) -> Ear {
        let mind = Mind {
            leg,
            turn,
            events,
            tones: progress::Ear::new(Some(country)),
            words: Listener::new(known),
            dictation: None,
            mouth: None,
            sound: vec![0; PACKET_MAX_MS * WIDEST_KHZ].into(),
            narrow: vec![0; PACKET_MAX_MS * WIDEST_KHZ].into(),
            told: 0,
        };
        let waiting = Waiting { timestamp: 0, len: 0, octets: vec![0; WAITING_MAX].into() };
        Ear { line: None, waiting, mind }
    }

    /// Hears a packet that was accepted.
    pub fn hear(&mut self, now: Instant, arrival: &Arrival, packet: &[u8]) {
        let Some((coding, place)) = arrival.sound() else { return };
        if !self.mind.follows(coding) {
            (self.line, self.waiting.len) = (None, 0);
        }
        if !self.mind.speaks(coding) {
            return;
        }
        let (payload, timestamp) = (&packet[place], arrival.header.timestamp);
        let fresh = Line { ssrc: arrival.header.ssrc, due: timestamp, at: now };
        let line = match self.line {
            Some(line) if line.ssrc == fresh.ssrc => line,
            _ => {
                self.waiting.len = 0;
                fresh
            }
        };
        let per_ms = coding.clock_hz() / 1_000;
        let ahead = timestamp.wrapping_sub(line.due);
        // Behind what was heard already: too late, unless the far end has begun to count anew.
        if ahead > u32::MAX / 2 {
            if line.due.wrapping_sub(timestamp) > BACK_MS * per_ms {
                (self.line, self.waiting.len) = (Some(fresh), 0);
                self.take(coding, payload);
            }
            return;
        }
        let allowed = now.saturating_duration_since(line.at) + AHEAD;
        self.line = Some(Line { at: now, ..line });
        let waits = ahead > 0 && ahead <= OVERTAKEN_MS * per_ms && payload.len() <= WAITING_MAX;
        if waits && self.waiting.len == 0 && !payload.is_empty() {
            self.waiting.octets[..payload.len()].copy_from_slice(payload);
            (self.waiting.timestamp, self.waiting.len) = (timestamp, payload.len());
            return;
        }
        // Who waited goes first where it is nearer, whatever it waited for.
        let waited = self.waiting.timestamp.wrapping_sub(line.due);
        if ahead > 0 && self.waiting.len > 0 && waited <= ahead {
            self.pause(coding, self.waiting.timestamp, allowed);
            self.take_waiting(coding);
        }
        self.pause(coding, timestamp, allowed);
        self.take(coding, payload);
        self.take_waiting(coding);
    }

    /// The packet that waited, if it is its turn; if that is over, it is gone.
    fn take_waiting(&mut self, coding: Coding) {
        let Some(line) = &mut self.line else { return };
        let Waiting { timestamp, len, octets } = &mut self.waiting;
        let ahead = timestamp.wrapping_sub(line.due);
        if *len > 0 && ahead == 0 {
            let payload = &octets[..std::mem::take(len)];
            line.due = line.due.wrapping_add(coding.span(payload));
            self.mind.take(payload);
        } else if ahead > u32::MAX / 2 {
            *len = 0;
        }
    }

    /// Silence up to a timestamp, as long as there was time for it; none where the stream is there already.
    fn pause(&mut self, coding: Coding, until: u32, allowed: Duration) {
        let Some(line) = &mut self.line else { return };
        let units = until.wrapping_sub(line.due);
        if units > u32::MAX / 2 {
            return;
        }
        line.due = until;
        let most = u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX).min(PAUSE_MAX_MS);
        let rate = u64::from(audio::RATE);
        let samples = u64::from(units) * rate / u64::from(coding.clock_hz());
        self.mind.pause(samples.min(most * rate / 1_000) as usize);
    }

    /// The next sound of the stream.
    fn take(&mut self, coding: Coding, payload: &[u8]) {
        if let Some(line) = &mut self.line {
            line.due = line.due.wrapping_add(coding.span(payload));
        }
        self.mind.take(payload);
    }
}

/// What makes something of the sound.
struct Mind {
    leg: LegId,
    turn: u8,
    events: Events,
    tones: progress::Ear,
    words: Listener,
    /// What makes words of it, if anything does.
    dictation: Option<Dictation>,
    mouth: Option<Mouth>,
    /// Room for one packet's sound, as it was decoded and at 8 kHz.
    sound: Box<[i16]>,
    narrow: Box<[i16]>,
    told: u16,
}

/// What the far end speaks now, and what makes it sound of 8 kHz.
#[derive(Debug)]
pub(super) struct Mouth {
    pub(super) coding: Coding,
    pub(super) decoder: Decoder,
    /// To 8 kHz.
    pub(super) narrows: Option<Converter>,
}

impl Mouth {
    /// `None`: nothing of ours decodes it.
    pub(super) fn of(coding: Coding) -> Option<Mouth> {
        let speaks = translate::coder(coding)?;
        // Opus is decoded at the rate of the ear.
        let narrow = Decoder::at(speaks, audio::RATE).ok();
        let decoder = narrow.or_else(|| Decoder::new(speaks).ok())?;
        let narrows = Converter::new(decoder.rate(), audio::RATE);
        Some(Mouth { coding, decoder, narrows })
    }
}

impl Mind {
    /// Whether that is what was spoken last.
    fn follows(&self, coding: Coding) -> bool {
        self.mouth.as_ref().is_some_and(|mouth| mouth.coding == coding)
    }

    /// Makes ready for a coding; whether it can be heard at all.
    fn speaks(&mut self, coding: Coding) -> bool {
        if !self.follows(coding) {
            self.mouth = Mouth::of(coding);
        }
        self.mouth.is_some()
    }

    fn take(&mut self, payload: &[u8]) {
        let Mind { mouth: Some(mouth), sound, narrow, .. } = self else { return };
        // What cannot be decoded is as good as lost: the next packet tells how long it was.
        let Ok(samples) = mouth.decoder.decode(payload, sound) else { return };
        let heard = match &mut mouth.narrows {
            None => &sound[..samples],
            Some(converter) => {
                let narrowed = converter.convert(&sound[..samples], narrow);
                &narrow[..narrowed]
            }
        };
        if let Some(dictation) = &mut self.dictation {
            dictation.hear(heard);
        }
        let listener = Telling { leg: self.leg, turn: self.turn, events: &self.events };
        listener.hear(&mut self.tones, &mut self.words, heard, &mut self.told);
    }

    fn pause(&mut self, samples: usize) {
        let listener = Telling { leg: self.leg, turn: self.turn, events: &self.events };
        let mut left = samples;
        while left > 0 {
            let part = left.min(SILENCE.len());
            if let Some(dictation) = &mut self.dictation {
                dictation.hear(&SILENCE[..part]);
            }
            listener.hear(&mut self.tones, &mut self.words, &SILENCE[..part], &mut self.told);
            left -= part;
        }
    }
}

impl std::fmt::Debug for Mind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mind").field("leg", &self.leg).finish_non_exhaustive()
    }
}

/// Who is told.
struct Telling<'a> {
    leg: LegId,
    turn: u8,
    events: &'a Events,
}

impl Telling<'_> {
    fn hear(
        &self,
        tones: &mut progress::Ear,
        words: &mut Listener,
        samples: &[i16],
        told: &mut u16,
    ) {
        tones.hear(samples, |heard| self.tell(tone(&heard), told));
        words.hear(samples, |known| self.tell(announcement(&known), told));
    }

    fn tell(&self, verdict: Option<Recognition>, told: &mut u16) {
        let Some(verdict) = verdict else { return };
        // Music and talk go by turns for as long as a coloured ring-back lasts: they leave room for words.
        let most = if verdict.cause().is_some() { VERDICTS_MAX } else { VERDICTS_MAX / 2 };
        if *told >= most {
            return;
        }
        *told += 1;
        (self.events)(MediaEvent::Recognised { leg: self.leg, turn: self.turn, verdict });
    }
}

/// A tone as signalling knows it. A rhythm was seen twice before it is told, so that busy and congestion are
/// certain; special information tones are where they say what is the matter.
fn tone(heard: &Heard) -> Option<Recognition> {
    let sounded = match heard.sound {
        Sound::Tone(progress::Kind::Ring) => Sounded::Ringing,
        Sound::Tone(progress::Kind::Busy) => Sounded::Busy,
        Sound::Tone(progress::Kind::Congestion) => Sounded::Congestion,
        Sound::Tone(progress::Kind::Information) => Sounded::Information,
        // Tones for whoever talks already.
        Sound::Tone(progress::Kind::Waiting | progress::Kind::Record) => return None,
        Sound::Sit(sit) => Sounded::Special { cause: sit.cause() },
        Sound::FaxCalling | Sound::FaxAnswering => Sounded::Fax,
        Sound::Silence => Sounded::Silence,
        Sound::Music => Sounded::Music,
        Sound::Speech => Sounded::Speech,
    };
    let certain = match heard.sound {
        Sound::Sit(sit) => sit != Sit::Unsaid,
        _ => matches!(sounded, Sounded::Busy | Sounded::Congestion),
    };
    let (from_ms, to_ms) = (millis(heard.from), millis(heard.to));
    Some(Recognition { sounded, certain, confidence: 100, from_ms, to_ms })
}

fn announcement(known: &Known) -> Option<Recognition> {
    let says = Announced::from_number(known.state.number())?;
    let wrong = known.wrong.div_ceil(10).min(100);
    Some(Recognition {
        sounded: Sounded::Announcement { says, cause: known.cause },
        certain: known.certain,
        confidence: 100 - wrong as u8,
        from_ms: millis(known.from),
        to_ms: millis(known.to),
    })
}

/// Lets a program listen for words. They never are certain: they were understood, not known again.
fn dictate(
    words: &Recogniser,
    since: Instant,
    tell: impl Fn(Recognition) + Send + 'static,
) -> Option<Dictation> {
    /// Half: another announcement that was known by its sound comes first.
    const CONFIDENCE: u8 = 50;
    words.listen(move |state| {
        let Some(says) = Announced::from_number(state.number()) else { return };
        let sounded = Sounded::Announcement { says, cause: state.cause() };
        let to_ms = u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX);
        tell(Recognition { sounded, certain: false, confidence: CONFIDENCE, from_ms: 0, to_ms });
    })
}

fn millis(samples: u64) -> u32 {
    u32::try_from(samples * 1_000 / u64::from(audio::RATE)).unwrap_or(u32::MAX)
}

impl Worker {
    /// Listens to a leg from now on.
    pub(super) fn listen(&mut self, leg: LegId, country: &str, turn: u8) {
        self.stop_hearing(leg);
        let full = self.listened >= EARS_MAX;
        let Some(number) = self.seats.number(leg) else { return };
        let Some(seat) = self.seats.get(number) else { return };
        if full {
            self.tally.unheard += 1;
            return;
        }
        let (known, events) = (self.known.clone(), self.parts.events.clone());
        let mut ear = Ear::new(leg, (country, turn), known, events);
        if let Some((_, coding)) = seat.leg.agreed().and_then(|setup| setup.receive.audio.first()) {
            ear.mind.speaks(*coding);
        }
        ear.mind.dictation = self.parts.words.as_ref().and_then(|words| {
            let events = self.parts.events.clone();
            dictate(words, Instant::now(), move |verdict| {
                events(MediaEvent::Recognised { leg, turn, verdict });
            })
        });
        seat.ear = Some(Box::new(ear));
        self.listened += 1;
    }

    /// Listens to it no more.
    pub(super) fn stop_hearing(&mut self, leg: LegId) {
        let seat = self.seats.number(leg).and_then(|number| self.seats.get(number));
        if seat.is_some_and(|seat| seat.ear.take().is_some()) {
            self.listened -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use audio::announce::State;
    use facts::recognition::COUNTRIES;

    use super::*;

    /// Two rooms that may not see each other call the same things by the same names.
    #[test]
    fn states_and_countries_are_those_of_the_ear() {
        let ears: Vec<_> = State::all().map(|one| (one.number(), one.chinese())).collect();
        let ours: Vec<_> = Announced::all().map(|one| (one.number(), one.chinese())).collect();
        assert_eq!(ears, ours);
        for (state, says) in State::all().zip(Announced::all()) {
            assert_eq!(state.name(), Sounded::Announcement { says, cause: 1 }.word());
        }
        let countries: Vec<_> = progress::ZONES.iter().map(|zone| zone.country).collect();
        assert_eq!(countries, COUNTRIES);
    }
}
