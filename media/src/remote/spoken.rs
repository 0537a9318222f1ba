//! Text that is spoken on the spot (`speech:…`): a line of its own beside the visits to addresses. A program of the
//! operator's takes its time, and what it says is for one person: it is kept in memory alone, little of it and for minutes.
//!
//! So many texts are spoken at once; of these one merchant has a part, and merchants come in turn, so that nobody's menu
//! waits behind all of somebody else's.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};

use facts::MerchantId;
use facts::ports::{FetchError, Fetched, Validators};
use facts::sound::Unplayable;

use super::decoded;
use super::shelf::Shelf;
use crate::loader::{Had, Wanted, hand_over};
use crate::prompt::Sound;

/// What was spoken is played so long without being spoken again, and then forgotten.
pub(super) const SPOKEN_FOR: Duration = Duration::from_secs(300);
/// A text that failed is not tried again for so long.
pub(super) const FAILED_FOR: Duration = Duration::from_secs(10);
/// Sounds held at most, and the octets they may take: three of the longest.
const SOUNDS_MAX: usize = 128;
const OCTETS_MAX: usize = 32 * 1024 * 1024;
/// Legs that wait for texts at most, and those that wait for texts of one merchant.
const WAITING_MAX: usize = 512;
pub(super) const WAITING_OF_ONE: usize = 128;
/// Whoever has waited so long for his turn waits no longer.
pub(super) const WAITS_MAX: Duration = Duration::from_secs(8);
/// Failures remembered at most.
const FAILED_MAX: usize = 256;

/// What is spoken, who waits for it, and whose turn it is.
#[derive(Debug)]
pub(super) struct Spoken {
    shelf: Shelf,
    /// Who waits for which text, and whose text it is.
    waiting: BTreeMap<String, (MerchantId, Vec<Wanted>)>,
    /// Legs that wait.
    all: usize,
    of: BTreeMap<MerchantId, usize>,
    line: Line,
    failed: BTreeMap<String, (Instant, Unplayable)>,
}

impl Spoken {
    /// `at_once`: texts that are spoken at a time.
    pub(super) fn new(at_once: usize) -> Spoken {
        Spoken {
            shelf: Shelf::new(SOUNDS_MAX, OCTETS_MAX),
            waiting: BTreeMap::new(),
            all: 0,
            of: BTreeMap::new(),
            line: Line::new(at_once),
            failed: BTreeMap::new(),
        }
    }

    /// Octets of the sounds that are held.
    pub(super) fn octets(&self) -> usize {
        self.shelf.octets()
    }

    /// A leg is to hear a text of a merchant's. It has it at once, or waits for it.
    pub(super) fn want(&mut self, url: &str, merchant: MerchantId, wanted: Wanted, now: Instant) {
        if let Some(sound) = self.shelf.take(url, |spoken| now < spoken + SPOKEN_FOR) {
            return hand_over(wanted, Ok(sound));
        }
        if let Some((_, why)) = self.failed.get(url).filter(|(until, _)| now < *until) {
            let why = *why;
            return hand_over(wanted, Err(why));
        }
        let own = self.of.get(&merchant).copied().unwrap_or_default();
        if self.all == WAITING_MAX || own == WAITING_OF_ONE {
            return hand_over(wanted, Err(Unplayable::Busy));
        }
        self.of.insert(merchant, own + 1);
        self.all += 1;
        match self.waiting.get_mut(url) {
            Some((_, waiting)) => waiting.push(wanted),
            None => {
                self.waiting.insert(url.to_owned(), (merchant, vec![wanted]));
                self.line.join(url, merchant, now);
            }
        }
    }

    /// What is to be spoken now. Whoever waited too long for his turn is let go.
    pub(super) fn next(&mut self, now: Instant) -> Option<String> {
        while let Some(late) = self.line.late(now) {
            self.hand_out(&late, &Err(Unplayable::Busy));
        }
        self.line.next()
    }

    /// True where it is being spoken.
    pub(super) fn is_under_way(&self, url: &str) -> bool {
        self.line.under_way.contains_key(url)
    }

    /// A text was spoken, or not. True: it was.
    pub(super) fn came(
        &mut self,
        url: &str,
        outcome: Result<Fetched, FetchError>,
        now: Instant,
    ) -> bool {
        self.line.over(url);
        let sound = match heard(outcome) {
            Ok(sound) => Ok(self.shelf.put(url, sound, Validators::default(), now)),
            Err(why) => {
                self.remember(url, why, now);
                Err(why)
            }
        };
        self.hand_out(url, &sound);
        sound.is_ok()
    }

    /// What was said minutes ago is nobody's any more.
    pub(super) fn forget(&mut self, now: Instant) {
        self.shelf.retain(|spoken| now < spoken + SPOKEN_FOR);
    }

    fn remember(&mut self, url: &str, why: Unplayable, now: Instant) {
        self.failed.retain(|_, (until, _)| now < *until);
        if self.failed.len() == FAILED_MAX {
            self.failed.pop_first();
        }
        self.failed.insert(url.to_owned(), (now + FAILED_FOR, why));
    }

    fn hand_out(&mut self, url: &str, sound: &Had) {
        let Some((merchant, waiting)) = self.waiting.remove(url) else { return };
        self.all -= waiting.len();
        if let Some(own) = self.of.get_mut(&merchant) {
            *own -= waiting.len();
            if *own == 0 {
                self.of.remove(&merchant);
            }
        }
        for wanted in waiting {
            hand_over(wanted, sound.clone());
        }
    }
}

/// What a program has said.
fn heard(outcome: Result<Fetched, FetchError>) -> Result<Sound, Unplayable> {
    match outcome {
        Ok(Fetched { status: 200, body, .. }) => decoded(&body),
        // There is no program.
        Ok(Fetched { status: 404, .. }) => Err(Unplayable::Missing),
        Ok(Fetched { .. }) => Err(Unplayable::Unreachable),
        Err(error) => {
            tracing::warn!(?error, "a text cannot be spoken");
            Err(match error {
                FetchError::BadUrl | FetchError::Refused => Unplayable::Refused,
                FetchError::TooLarge => Unplayable::TooLarge,
                FetchError::TimedOut => Unplayable::TimedOut,
                FetchError::Failed(_) => Unplayable::Unreachable,
            })
        }
    }
}

/// Who waits for his turn.
#[derive(Debug)]
struct Line {
    at_once: usize,
    of_one: usize,
    under_way: BTreeMap<String, MerchantId>,
    /// By merchant, and his in their order.
    waits: BTreeMap<MerchantId, VecDeque<(String, Instant)>>,
    /// Who had the last turn.
    last: Option<MerchantId>,
}

impl Line {
    fn new(at_once: usize) -> Line {
        let at_once = at_once.max(1);
        let (under_way, waits) = (BTreeMap::new(), BTreeMap::new());
        // Half of all, so that two slow ones do not keep out a third merchant for long.
        Line { at_once, of_one: at_once.div_ceil(2), under_way, waits, last: None }
    }

    fn join(&mut self, url: &str, merchant: MerchantId, now: Instant) {
        self.waits.entry(merchant).or_default().push_back((url.to_owned(), now));
    }

    /// The next text: of the first merchant behind the one of the last turn who has not his part already.
    fn next(&mut self) -> Option<String> {
        if self.under_way.len() >= self.at_once {
            return None;
        }
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = self.last.map_or(Bound::Unbounded, Bound::Included);
        let before = self.last.map(|_| self.waits.range((Bound::Unbounded, upto)));
        let all = self.waits.range((behind, Bound::Unbounded)).chain(before.into_iter().flatten());
        let merchant = all.map(|(merchant, _)| *merchant).find(|own| self.may(*own))?;
        let (url, _) = self.take(merchant)?;
        self.last = Some(merchant);
        self.under_way.insert(url.clone(), merchant);
        Some(url)
    }

    fn may(&self, merchant: MerchantId) -> bool {
        self.under_way.values().filter(|of| **of == merchant).count() < self.of_one
    }

    fn over(&mut self, url: &str) {
        self.under_way.remove(url);
    }

    /// Who has waited too long, one after the other.
    fn late(&mut self, now: Instant) -> Option<String> {
        let too_long = |since: &Instant| now.saturating_duration_since(*since) >= WAITS_MAX;
        let late =
            self.waits.iter().find(|(_, own)| own.front().is_some_and(|(_, at)| too_long(at)));
        let merchant = late.map(|(merchant, _)| *merchant)?;
        self.take(merchant).map(|(url, _)| url)
    }

    /// The first in a merchant's line.
    fn take(&mut self, merchant: MerchantId) -> Option<(String, Instant)> {
        let own = self.waits.get_mut(&merchant)?;
        let first = own.pop_front();
        if own.is_empty() {
            self.waits.remove(&merchant);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: MerchantId = MerchantId(1);
    const FEW: MerchantId = MerchantId(2);

    #[test]
    fn s5_6_merchants_are_spoken_for_in_turn_and_one_of_them_never_has_all_places() {
        let now = Instant::now();
        for at_once in [1, 2, 5] {
            let mut line = Line::new(at_once);
            for n in 0..20 {
                line.join(&format!("a{n}"), MANY, now);
            }
            let own: Vec<String> = std::iter::from_fn(|| line.next()).collect();
            assert_eq!(own.len(), at_once.div_ceil(2), "{own:?}");
            line.join("b0", FEW, now);
            line.join("b1", FEW, now);
            // With a place alone for all it is the other one's as soon as it is free.
            if at_once == 1 {
                line.over("a0");
            }
            assert_eq!(line.next().as_deref(), Some("b0"), "{at_once}");
            line.over("b0");
            let next = if at_once == 1 { "a1" } else { "b1" };
            assert_eq!(line.next().as_deref(), Some(next), "{at_once}");
            assert_eq!(line.late(now + WAITS_MAX / 2), None);
            let late = std::iter::from_fn(|| line.late(now + WAITS_MAX)).count();
            assert_eq!((late, line.waits.len()), (22 - own.len() - 2, 0));
        }
    }
}
