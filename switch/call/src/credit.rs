//! The credit clock of one leg: how long its holds cover it, when to pay for more, when to beep, when
//! to cut. Pure arithmetic over the time since the leg's answer.

use std::time::Duration;

use facts::ledger::Extended;

/// Ask for more at least this long before the paid time ends.
pub(crate) const LEAD_MIN: Duration = Duration::from_secs(10);
/// Room between asking and the warning tone, for the ledger's answer.
const ANSWER_ROOM: Duration = Duration::from_secs(2);
/// Pause before the same step is asked again after the store failed.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Pause before the ledger is asked again after it had no more; until the cut.
pub(crate) const HOPE_AGAIN: Duration = Duration::from_secs(3);

/// Where the clock of one leg stands. Durations count from the leg's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Credit {
    /// Talk time paid for; `None` has no limit.
    paid: Option<Duration>,
    /// Length of the latest payment.
    chunk: Duration,
    /// Extensions asked for so far.
    step: u32,
    /// An answer is awaited.
    asking: bool,
    /// The ledger said that there is no more.
    exhausted: bool,
    /// It may say something else later: somebody may have paid in.
    hopeful: bool,
}

/// When what happens, counted from the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Schedule {
    /// Ask for the next step.
    pub(crate) extend: Option<Duration>,
    /// Beep: known to end.
    pub(crate) warn: Option<Duration>,
    /// Cut.
    pub(crate) cut: Option<Duration>,
}

impl Credit {
    /// The clock of a leg whose first hold covers `paid`.
    pub(crate) fn new(paid: Option<Duration>) -> Credit {
        Credit { paid, chunk: paid.unwrap_or_default(), ..Credit::default() }
    }

    /// Talk time covered; a leg that we cut is never billed past it.
    pub(crate) fn paid(&self) -> Option<Duration> {
        self.paid
    }

    /// The deadlines as they now stand. `warning` is how long before the cut to beep.
    pub(crate) fn schedule(&self, warning: Duration) -> Schedule {
        let Some(paid) = self.paid else {
            return Schedule::default();
        };
        let lead = LEAD_MIN.max(warning + ANSWER_ROOM).max(self.chunk / 6);
        Schedule {
            extend: (!self.asking && !self.exhausted).then(|| paid.saturating_sub(lead)),
            warn: self.exhausted.then(|| paid.saturating_sub(warning)),
            cut: Some(paid),
        }
    }

    /// The step to ask for. Repeats the same number until it was answered.
    pub(crate) fn ask(&mut self) -> u32 {
        if !self.asking {
            self.asking = true;
            self.step += 1;
        }
        self.step
    }

    /// Takes the ledger's answer to `step`; false when it answers nothing that was asked.
    pub(crate) fn answered(&mut self, step: u32, answer: Extended) -> bool {
        if !self.asking || step != self.step {
            return false;
        }
        self.asking = false;
        self.exhausted = false;
        self.hopeful = false;
        match answer {
            Extended::Paid(None) => self.paid = None,
            Extended::Paid(Some(until)) => {
                let before = self.paid.unwrap_or_default();
                if until > before {
                    self.chunk = until - before;
                    self.paid = Some(until);
                } else {
                    // A payment that buys no time is the end of the money, not a loop.
                    self.exhausted = true;
                }
            }
            Extended::Exhausted => {
                self.exhausted = true;
                self.hopeful = true;
                // Nothing was held: the next question is for the same step.
                self.step -= 1;
            }
        }
        true
    }

    /// True when the ledger had no more and may be asked once more before the cut.
    pub(crate) fn is_hopeful(&self) -> bool {
        self.hopeful && !self.asking
    }

    /// True while the answer to `step` is awaited.
    pub(crate) fn awaits(&self, step: u32) -> bool {
        self.asking && self.step == step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn asks_ahead_of_expiry_and_warns_only_when_the_money_is_out() {
        let mut credit = Credit::new(Some(s(60)));
        let plan = credit.schedule(s(10));
        assert_eq!(plan, Schedule { extend: Some(s(48)), warn: None, cut: Some(s(60)) });
        assert_eq!(credit.ask(), 1);
        assert_eq!(credit.ask(), 1, "a repeat is the same step");
        assert_eq!(credit.schedule(s(10)).extend, None);
        assert!(credit.answered(1, Extended::Paid(Some(s(120)))));
        assert_eq!(credit.schedule(s(10)).extend, Some(s(108)));
        assert_eq!(credit.ask(), 2);
        assert!(!credit.answered(1, Extended::Exhausted), "an old step says nothing");
        assert!(credit.answered(2, Extended::Exhausted));
        let plan = credit.schedule(s(10));
        assert_eq!(plan, Schedule { extend: None, warn: Some(s(110)), cut: Some(s(120)) });
    }

    #[test]
    fn money_that_comes_late_is_asked_for_again_in_the_same_step() {
        let mut credit = Credit::new(Some(s(60)));
        let step = credit.ask();
        assert!(credit.answered(step, Extended::Exhausted));
        assert!(credit.is_hopeful());
        assert_eq!(credit.ask(), step);
        assert!(!credit.is_hopeful(), "one question at a time");
        assert!(credit.answered(step, Extended::Paid(Some(s(120)))));
        assert!(!credit.is_hopeful());
        let plan = credit.schedule(s(10));
        assert_eq!(plan, Schedule { extend: Some(s(108)), warn: None, cut: Some(s(120)) });
    }

    #[test]
    fn a_leg_that_costs_nothing_has_no_clock() {
        assert_eq!(Credit::new(None).schedule(s(10)), Schedule::default());
    }

    #[test]
    fn a_payment_that_buys_nothing_ends_the_asking() {
        let mut credit = Credit::new(Some(s(6)));
        let step = credit.ask();
        assert!(credit.answered(step, Extended::Paid(Some(s(6)))));
        assert_eq!(credit.schedule(s(10)).extend, None);
        assert_eq!(credit.schedule(s(10)).cut, Some(s(6)));
    }

    proptest! {
        /// However the ledger answers: the paid time never shrinks, the next question always comes
        /// before the cut, and steps count up by one.
        #[test]
        fn the_clock_never_runs_past_what_is_paid(
            first in 1u64..200, answers in proptest::collection::vec(proptest::option::of(1u64..120), 0..40),
        ) {
            let mut credit = Credit::new(Some(s(first)));
            let mut total = s(first);
            for (i, more) in answers.iter().enumerate() {
                let plan = credit.schedule(s(15));
                prop_assert_eq!(plan.cut, Some(total));
                let Some(extend) = plan.extend else { break };
                prop_assert!(extend < total);
                let step = credit.ask();
                prop_assert_eq!(step as usize, i + 1);
                match more {
                    Some(more) => {
                        total += s(*more);
                        prop_assert!(credit.answered(step, Extended::Paid(Some(total))));
                    }
                    None => { prop_assert!(credit.answered(step, Extended::Exhausted)); }
                }
            }
        }
    }
}
