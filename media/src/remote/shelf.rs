//! Decoded sounds that are held in memory: so many octets and so many sounds at most, and the one that nobody
//! has wanted for longest goes first. Whoever plays it keeps it until the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use facts::ports::Validators;

use crate::prompt::Sound;

/// Sounds behind addresses held at most.
const SOUNDS_MAX: usize = 512;
/// Octets they may take: an hour and a half of sound that is heard in one law.
const OCTETS_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Shelf {
    sounds: BTreeMap<String, Held>,
    sounds_max: usize,
    octets_max: usize,
    octets: usize,
    /// Rises with each sound that is wanted.
    turn: u64,
}

#[derive(Debug)]
struct Held {
    sound: Arc<Sound>,
    octets: usize,
    validators: Validators,
    /// When it was fetched, or found to be unchanged.
    fetched: Instant,
    wanted: u64,
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf::new(SOUNDS_MAX, OCTETS_MAX)
    }
}

impl Shelf {
    /// For so many sounds, and so many octets of them.
    pub(super) fn new(sounds_max: usize, octets_max: usize) -> Shelf {
        Shelf { sounds: BTreeMap::new(), sounds_max, octets_max, octets: 0, turn: 0 }
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// A sound, if `good` thinks well of when it was fetched.
    pub(super) fn take(
        &mut self,
        url: &str,
        good: impl FnOnce(Instant) -> bool,
    ) -> Option<Arc<Sound>> {
        self.turn += 1;
        let held = self.sounds.get_mut(url).filter(|held| good(held.fetched))?;
        held.wanted = self.turn;
        Some(held.sound.clone())
    }

    pub(super) fn validators(&self, url: &str) -> Option<Validators> {
        self.sounds.get(url).map(|held| held.validators.clone())
    }

    /// A sound that is still as it was.
    pub(super) fn renew(&mut self, url: &str, now: Instant) -> Option<Arc<Sound>> {
        self.sounds.get_mut(url)?.fetched = now;
        self.take(url, |_| true)
    }

    pub(super) fn put(
        &mut self,
        url: &str,
        sound: Sound,
        validators: Validators,
        fetched: Instant,
    ) -> Arc<Sound> {
        self.drop(url);
        let octets = sound.octets_most();
        let sound = Arc::new(sound);
        while self.sounds.len() >= self.sounds_max || self.octets + octets > self.octets_max {
            let oldest = self.sounds.iter().min_by_key(|(_, held)| held.wanted);
            let Some(oldest) = oldest.map(|(url, _)| url.clone()) else { break };
            self.drop(&oldest);
        }
        self.turn += 1;
        self.octets += octets;
        let held = Held { sound: sound.clone(), octets, validators, fetched, wanted: self.turn };
        self.sounds.insert(url.to_owned(), held);
        sound
    }

    /// Keeps those whose instant of fetching is good.
    pub(super) fn retain(&mut self, good: impl Fn(Instant) -> bool) {
        self.sounds.retain(|_, held| good(held.fetched));
        self.octets = self.sounds.values().map(|held| held.octets).sum();
    }

    pub(super) fn drop(&mut self, url: &str) {
        if let Some(held) = self.sounds.remove(url) {
            self.octets -= held.octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shelf_is_never_fuller_than_it_may_be_and_keeps_what_is_wanted() {
        let mut shelf = Shelf::default();
        let now = Instant::now();
        // A minute each: four codings of it are 1.9 MB.
        for n in 0..100 {
            let sound = Sound::once(&vec![0; 8_000 * 60]);
            shelf.put(&format!("http://a/{n}"), sound, Validators::default(), now);
            assert!(shelf.octets() <= OCTETS_MAX);
            assert!(shelf.take("http://a/0", |_| true).is_some(), "wanted again and again");
        }
        assert!(shelf.sounds.len() > 10);
        assert!(shelf.take("http://a/50", |_| true).is_none());
        assert!(shelf.take("http://a/99", |_| true).is_some());
        assert!(shelf.take("http://a/99", |_| false).is_none(), "not good enough");
        for n in 0..2_000 {
            let sound = Sound::once(&[0; 160]);
            shelf.put(&format!("http://b/{n}"), sound, Validators::default(), now);
            assert!(shelf.sounds.len() <= SOUNDS_MAX);
        }
        let urls: Vec<String> = shelf.sounds.keys().cloned().collect();
        for url in urls {
            shelf.drop(&url);
        }
        assert_eq!(shelf.octets(), 0);
    }
}
