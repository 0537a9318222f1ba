//! Who is visited when more addresses are wanted than are visited at once: in the order in which they were wanted,
//! but for merchants who have many under way already.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use facts::MerchantId;

/// Visits under way at once.
pub const VISITS_MAX: usize = 32;
/// Of these, for the calls of one merchant.
pub(super) const VISITS_OF_ONE: usize = 8;
/// Whoever has waited so long without a turn waits no longer: the call has been given up.
pub(super) const WAITS_MAX: Duration = Duration::from_secs(10);

/// Visits under way, and those that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    under_way: BTreeMap<String, Option<MerchantId>>,
    line: VecDeque<Waits>,
}

/// An address that waits for its turn.
#[derive(Debug)]
struct Waits {
    url: String,
    payer: Option<MerchantId>,
    since: Instant,
}

impl Turns {
    /// An address is wanted that is not visited: true when it is its turn at once. `payer`: whose call wants it before
    /// it rings; what a live call wants is nobody's.
    pub(super) fn take(&mut self, url: &str, payer: Option<MerchantId>, now: Instant) -> bool {
        let may = self.has_room(payer);
        if may {
            self.under_way.insert(url.to_owned(), payer);
        } else {
            self.line.push_back(Waits { url: url.to_owned(), payer, since: now });
        }
        may
    }

    /// A visit is over.
    pub(super) fn over(&mut self, url: &str) {
        self.under_way.remove(url);
    }

    /// Whose turn it is now.
    pub(super) fn next(&mut self) -> Option<String> {
        let at = self.line.iter().position(|waits| self.has_room(waits.payer))?;
        let Waits { url, payer, .. } = self.line.remove(at)?;
        self.under_way.insert(url.clone(), payer);
        Some(url)
    }

    /// Who has waited too long, one after the other.
    pub(super) fn late(&mut self, now: Instant) -> Option<String> {
        let too_long = |waits: &Waits| now.saturating_duration_since(waits.since) >= WAITS_MAX;
        let late = self.line.front().is_some_and(too_long);
        late.then(|| self.line.pop_front()).flatten().map(|waits| waits.url)
    }

    fn has_room(&self, payer: Option<MerchantId>) -> bool {
        let own = || self.under_way.values().filter(|of| **of == payer).count();
        self.under_way.len() < VISITS_MAX && (payer.is_none() || own() < VISITS_OF_ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_merchant_takes_a_part_and_the_others_come_in_their_order() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (many, few) = (Some(MerchantId(1)), Some(MerchantId(2)));
        let began = (0..20).filter(|n| turns.take(&format!("a{n}"), many, now)).count();
        assert_eq!(began, VISITS_OF_ONE);
        assert!(turns.take("b", few, now) && turns.take("live", None, now));
        assert_eq!(turns.next(), None, "all others are of one who has his part");
        turns.over("a0");
        assert_eq!((turns.next().as_deref(), turns.next()), (Some("a8"), None));
        let rest = VISITS_MAX - VISITS_OF_ONE - 2;
        let rest = (0..rest + 3).filter(|n| turns.take(&format!("c{n}"), None, now)).count();
        assert_eq!(rest, VISITS_MAX - VISITS_OF_ONE - 2);
        turns.over("b");
        assert_eq!(turns.next().as_deref(), Some("c22"), "whoever may");
    }

    #[test]
    fn whoever_waited_too_long_is_let_go() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for n in 0..=VISITS_MAX {
            turns.take(&n.to_string(), None, now);
        }
        assert_eq!(turns.late(now + WAITS_MAX / 2), None);
        assert_eq!(turns.late(now + WAITS_MAX).as_deref(), Some("32"));
        assert_eq!(turns.late(now + WAITS_MAX), None);
    }
}
