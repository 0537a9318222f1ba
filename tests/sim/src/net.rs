//! A network that loses, doubles, delays and reorders, by a seeded dice.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

/// Chances in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// A datagram vanishes.
    pub loss: u32,
    /// A datagram arrives twice.
    pub duplicate: u32,
    /// A datagram takes up to 400 ms longer, and so arrives after its followers.
    pub reorder: u32,
}

impl Weather {
    /// Nothing happens to anything.
    pub const CALM: Weather = Weather { loss: 0, duplicate: 0, reorder: 0 };

    /// Something up to 30 % loss, by the dice.
    #[must_use]
    pub fn roll(dice: &mut Dice) -> Weather {
        Weather { loss: dice.below(300), duplicate: dice.below(50), reorder: dice.below(150) }
    }

    /// When the copies of one datagram arrive, counted from now. Empty when it is lost.
    #[must_use]
    pub fn deliveries(&self, dice: &mut Dice) -> Vec<Duration> {
        if dice.chance(self.loss) {
            return Vec::new();
        }
        let mut all = vec![self.delay(dice)];
        if dice.chance(self.duplicate) {
            all.push(self.delay(dice));
        }
        all
    }

    fn delay(&self, dice: &mut Dice) -> Duration {
        let base = 2 + u64::from(dice.below(20));
        let extra = if dice.chance(self.reorder) { u64::from(dice.below(400)) } else { 0 };
        Duration::from_millis(base + extra)
    }
}

/// All chance in the world comes from here.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// A fresh source for a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        use rand_core::SeedableRng;
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in `0..n`; 0 for n = 0.
    pub fn below(&mut self, n: u32) -> u32 {
        if n == 0 { 0 } else { self.0.next_u32() % n }
    }

    /// True in `thousandths` of 1000 cases.
    pub fn chance(&mut self, thousandths: u32) -> bool {
        self.below(1000) < thousandths
    }

    /// Uniform between two durations.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_millis();
        let span = u32::try_from(span).unwrap_or(u32::MAX);
        low + Duration::from_millis(u64::from(self.below(span.saturating_add(1))))
    }

    /// 32 random bytes, for an engine's seed.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
