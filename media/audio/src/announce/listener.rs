//! Follows a stream and says which announcement of a library it is.
//!
//! Each word that comes is looked up by halves; where the half second before fits as well, the place
//! is followed. What is followed is judged by the share of wrong bits over the last three seconds,
//! against the best of every other meaning: announcements of one voice begin and end alike, and only
//! what differs tells them apart.

use std::sync::Arc;

use super::library::Library;
use super::print::{Printer, STEP, Word};
use super::state::State;

/// Words of one judgement: 3 s.
const JUDGED: usize = 188;
/// Words remembered.
const MEMORY: usize = 256;
/// Words that must fit before a place is followed: half a second.
const FITS: usize = 32;
/// The most places that are followed.
const MAX_TRACKS: usize = 24;
/// Words between two judgements: 128 ms.
const TURN: u64 = 8;
/// Judgements without a fit until a place is given up: 1 s.
const PATIENCE: u8 = 8;

/// The share of wrong bits up to which half a second fits, and three seconds are reported or certain.
/// Another sound has a half; the same one 0.05 to 0.25 in noise of 10 dB.
const FOLLOW: f32 = 0.36;
const REPORT: f32 = 0.30;
const CERTAIN: f32 = 0.27;
/// How much better than any other meaning it must be.
const BETTER: f32 = 0.05;
const FAR_BETTER: f32 = 0.07;
/// The share of an announcement that must have been heard for certainty: a stranger may end as one of
/// the library does.
const WHOLE: f32 = 0.6;

/// An announcement that was known again. Samples are counted from the first that the listener had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its number in the library's entries.
    pub entry: usize,
    /// What it means.
    pub state: State,
    /// Its cause of ITU-T Q.850.
    pub cause: u8,
    /// The sample at which it began, or would have: zero if it was under way.
    pub from: u64,
    /// The first sample after what was heard when it was told.
    pub to: u64,
    /// Wrong bits in a thousand.
    pub wrong: u16,
    /// Whether a call may be ended for it.
    pub certain: bool,
}

/// A place of the library that the stream follows.
#[derive(Clone, Copy, Debug)]
struct Track {
    entry: u16,
    /// The stream's word at which the announcement's first one was, or would have been.
    origin: i64,
    /// Words of it that fitted, of those that count.
    fitted: u32,
    misses: u8,
    wrong: f32,
    counted: usize,
}

/// Listens to one direction of one call, 8 kHz.
#[derive(Clone, Debug)]
pub struct Listener {
    library: Arc<Library>,
    printer: Printer,
    words: Box<[Word; MEMORY]>,
    /// Words heard.
    heard: u64,
    tracks: Vec<Track>,
    reported: Option<(State, bool)>,
}

impl Listener {
    /// A listener that knows a library.
    #[must_use]
    pub fn new(library: Arc<Library>) -> Listener {
        Listener {
            library,
            printer: Printer::new(),
            words: Box::new([Word::default(); MEMORY]),
            heard: 0,
            tracks: Vec::with_capacity(MAX_TRACKS),
            reported: None,
        }
    }

    /// Hears samples, as many as there are, and tells what was known again: each meaning once, and
    /// once more when it is certain.
    pub fn hear(&mut self, samples: &[i16], mut tell: impl FnMut(Known)) {
        for sample in samples {
            if let Some(word) = self.printer.take(*sample) {
                self.word(word);
                if self.heard.is_multiple_of(TURN) {
                    self.judge(&mut tell);
                }
            }
        }
    }

    fn word(&mut self, word: Word) {
        self.words[self.heard as usize % MEMORY] = word;
        self.heard += 1;
        if !word.counts || self.heard < FITS as u64 {
            return;
        }
        let library = Arc::clone(&self.library);
        for (entry, at) in library.places(word.bits) {
            let origin = self.heard as i64 - 1 - at as i64;
            let followed = |track: &Track| {
                usize::from(track.entry) == entry && (track.origin - origin).abs() <= 1
            };
            if self.tracks.iter().any(followed) {
                continue;
            }
            let (wrong, counted) = self.compare(entry, origin, FITS);
            if counted < FITS / 2 || wrong > FOLLOW {
                continue;
            }
            let track =
                Track { entry: entry as u16, origin, fitted: 0, misses: 0, wrong, counted: 0 };
            if self.tracks.len() < MAX_TRACKS {
                self.tracks.push(track);
            } else if let Some(worst) = self.worst(wrong) {
                self.tracks[worst] = track;
            }
        }
    }

    /// The followed place that fits worst, if worse than another.
    fn worst(&self, than: f32) -> Option<usize> {
        let all = self.tracks.iter().enumerate();
        let worst = all.max_by(|(_, a), (_, b)| a.wrong.total_cmp(&b.wrong))?;
        (worst.1.wrong > than).then_some(worst.0)
    }

    /// The share of wrong bits over the last words, and how many counted on the announcement's side.
    fn compare(&self, entry: usize, origin: i64, last: usize) -> (f32, usize) {
        let words = &self.library.entries()[entry].print.words;
        let last = (last as u64).min(self.heard);
        let (mut wrong, mut counted) = (0, 0);
        for at in self.heard - last..self.heard {
            let Ok(place) = usize::try_from(at as i64 - origin) else { continue };
            let Some(word) = words.get(place).filter(|word| word.counts) else { continue };
            wrong += (word.bits ^ self.words[at as usize % MEMORY].bits).count_ones();
            counted += 1;
        }
        (wrong as f32 / (32 * counted.max(1)) as f32, counted)
    }

    fn judge(&mut self, tell: &mut impl FnMut(Known)) {
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            let (lately, counted) =
                self.compare(usize::from(track.entry), track.origin, TURN as usize);
            if counted > 0 && lately <= FOLLOW + 0.06 {
                track.fitted += counted as u32;
            }
            (track.wrong, track.counted) =
                self.compare(usize::from(track.entry), track.origin, JUDGED);
            let (half, recent) = self.compare(usize::from(track.entry), track.origin, FITS);
            let over = self.heard as i64 - track.origin
                > self.library.entries()[usize::from(track.entry)].print.words.len() as i64;
            track.misses = match (recent >= FITS / 2, half <= FOLLOW + 0.04, over) {
                (_, _, true) | (true, false, _) => track.misses.saturating_add(1),
                (true, true, _) => 0,
                (false, ..) => track.misses,
            };
        }
        self.decide(&tracks, tell);
        tracks.retain(|track| track.misses < PATIENCE);
        self.tracks = tracks;
    }

    fn decide(&mut self, tracks: &[Track], tell: &mut impl FnMut(Known)) {
        let state = |track: &Track| self.library.entries()[usize::from(track.entry)].state;
        let ripe = |track: &&Track| track.counted >= self.enough(track) && track.misses < 3;
        let Some(best) = tracks.iter().filter(ripe).min_by(|a, b| a.wrong.total_cmp(&b.wrong))
        else {
            return;
        };
        let meaning = state(best);
        let rival = tracks
            .iter()
            .filter(|track| state(track) != meaning && track.counted * 2 > best.counted)
            .map(|track| track.wrong)
            .fold(0.5, f32::min);
        let lead = rival - best.wrong;
        if best.wrong > REPORT || lead < BETTER {
            return;
        }
        let entry = &self.library.entries()[usize::from(best.entry)];
        let share = best.fitted as f32 / entry.print.counting().max(1) as f32;
        let certain = best.wrong <= CERTAIN && lead >= FAR_BETTER && share >= WHOLE;
        let before = self.reported;
        if before == Some((meaning, true)) || before == Some((meaning, certain)) {
            return;
        }
        self.reported = Some((meaning, certain));
        tell(Known {
            entry: usize::from(best.entry),
            state: meaning,
            cause: entry.cause,
            from: u64::try_from(best.origin).unwrap_or(0) * STEP as u64,
            to: self.heard * STEP as u64,
            wrong: (best.wrong * 1_000.0) as u16,
            certain,
        });
    }

    /// How many words must have counted: three seconds with their pauses, or four fifths of an
    /// announcement that is shorter.
    fn enough(&self, track: &Track) -> usize {
        let whole = self.library.entries()[usize::from(track.entry)].print.counting();
        (JUDGED * 3 / 5).min(whole * 4 / 5).max(FITS)
    }
}
