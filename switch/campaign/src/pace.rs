//! How many calls may start now.

use crate::chance::{beyond, upper};

/// Parts of a thousand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Permille(pub u16);

/// How a campaign dials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Customers rung for each free agent, in thousandths: `1:1` is 1000, `1:2.5` is 2500. At least one is rung
    /// for a free agent, whatever this says.
    pub lines_per_agent: u32,
    /// The ratio is found out, and `lines_per_agent` does not count.
    pub predicts: bool,
    /// Calls of the campaign at a time, at most.
    pub concurrent: u32,
    /// Of those who answer, so many may find nobody.
    pub abandoned: Permille,
}

/// What has become of the calls of a campaign so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Customers who were rung and answered, or will not any more.
    pub tried: u64,
    /// Of these, who answered.
    pub answered: u64,
    /// Of these, who were not joined with an agent: they gave up, or nobody was there.
    pub abandoned: u64,
}

/// Those who take the calls, now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Agents {
    /// Could be talking to somebody and are not; who is being rung is free.
    pub free: u32,
}

/// The calls of a campaign, now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lines {
    /// Customers who are rung.
    pub ringing: u32,
    /// Customers who have answered and wait for an agent.
    pub waiting: u32,
    /// Customers who talk.
    pub talking: u32,
}

impl Pace {
    /// Most customers that are rung for a free agent, however few answer.
    pub const PER_AGENT_MAX: u32 = 10;
    /// Of the bound, so much is planned for: chance does the rest.
    const PLANNED: f64 = 0.6;

    /// How many calls may start.
    ///
    /// As many customers as there are free agents may always be rung. Beyond that, never more than the ratio says or
    /// (where it is found out) than [`Pace::PER_AGENT_MAX`] for an agent, and only while those who are expected to
    /// answer beyond the agents keep what was abandoned within the bound: after bad luck none is rung beyond the
    /// agents until the rate has come down.
    #[must_use]
    pub fn start(&self, seen: &Seen, agents: Agents, lines: Lines) -> u32 {
        let places = agents.free.saturating_sub(lines.waiting);
        let most = self.most(places);
        let rate = upper(seen.answered, seen.tried);
        let room = |rung: u32| {
            let bound = f64::from(self.abandoned.0) / 1_000.0 * Self::PLANNED;
            let answered = seen.answered as f64 + f64::from(rung) * rate;
            seen.abandoned as f64 + beyond(rung, rate, places) <= bound * answered
        };
        // What is expected to be abandoned grows faster with each call than what it may be: the last that
        // is good is found by halves.
        let (mut good, mut bad) = (places, most + 1);
        while good + 1 < bad {
            let middle = good.midpoint(bad);
            if room(middle) { good = middle } else { bad = middle }
        }
        let free_lines =
            self.concurrent.saturating_sub(lines.ringing + lines.waiting + lines.talking);
        good.saturating_sub(lines.ringing).min(free_lines)
    }

    /// Customers rung at a time for so many agents, at most.
    fn most(&self, places: u32) -> u32 {
        let ratio = if self.predicts { Self::PER_AGENT_MAX * 1_000 } else { self.lines_per_agent };
        let most = u64::from(places) * u64::from(ratio) / 1_000;
        u32::try_from(most).unwrap_or(u32::MAX - 1).max(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREDICTS: Pace =
        Pace { lines_per_agent: 1_000, predicts: true, concurrent: 100, abandoned: Permille(30) };
    const KNOWN: Seen = Seen { tried: 1_000, answered: 300, abandoned: 2 };

    fn free(free: u32) -> Agents {
        Agents { free }
    }

    #[test]
    fn nobody_is_rung_for_nobody() {
        assert_eq!(PREDICTS.start(&KNOWN, free(0), Lines::default()), 0);
        let waiting = Lines { waiting: 3, ..Lines::default() };
        assert_eq!(PREDICTS.start(&KNOWN, free(3), waiting), 0, "who waits has an agent first");
    }

    #[test]
    fn one_to_one_while_nothing_is_known() {
        assert_eq!(PREDICTS.start(&Seen::default(), free(4), Lines::default()), 4);
        let ringing = Lines { ringing: 3, ..Lines::default() };
        assert_eq!(PREDICTS.start(&Seen::default(), free(4), ringing), 1);
    }

    #[test]
    fn more_are_rung_where_few_answer() {
        let few = Seen { tried: 1_000, answered: 100, abandoned: 0 };
        let many = Seen { tried: 1_000, answered: 900, abandoned: 0 };
        let rung = |seen| PREDICTS.start(&seen, free(5), Lines::default());
        assert!(
            rung(few) > rung(KNOWN) && rung(KNOWN) > rung(many),
            "{} {} {}",
            rung(few),
            rung(KNOWN),
            rung(many)
        );
        assert!(rung(many) >= 5);
        assert!(rung(few) <= 50, "ten for an agent at most");
    }

    #[test]
    fn after_bad_luck_it_is_one_to_one() {
        let bad = Seen { abandoned: 9, ..KNOWN };
        assert_eq!(PREDICTS.start(&bad, free(5), Lines::default()), 5);
    }

    #[test]
    fn a_ratio_is_kept_and_so_is_the_bound() {
        let fixed = Pace { predicts: false, lines_per_agent: 1_500, ..PREDICTS };
        let few = Seen { tried: 1_000, answered: 50, abandoned: 0 };
        assert_eq!(fixed.start(&few, free(4), Lines::default()), 6);
        assert_eq!(fixed.start(&Seen { abandoned: 9, ..few }, free(4), Lines::default()), 4);
        let less = Pace { lines_per_agent: 100, ..fixed };
        assert_eq!(less.start(&few, free(4), Lines::default()), 4, "one for an agent at least");
    }

    #[test]
    fn no_more_calls_than_are_allowed_at_a_time() {
        let narrow = Pace { concurrent: 10, ..PREDICTS };
        let busy = Lines { ringing: 2, waiting: 0, talking: 6 };
        assert_eq!(narrow.start(&Seen::default(), free(9), busy), 2);
        let full = Lines { talking: 12, ..busy };
        assert_eq!(narrow.start(&Seen::default(), free(9), full), 0);
    }
}
