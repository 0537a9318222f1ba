//! Campaigns of 500 numbers on a virtual clock: customers who answer or do not, agents who talk.

use campaign::{Agents, Lines, Pace, Permille, Seen};

/// Draws that replay.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % n
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

/// What a customer is about to do, and when (seconds).
enum Line {
    Rings { until: u32, answers: bool },
    Waits { until: u32 },
    Talks { until: u32 },
}

#[derive(Debug)]
struct Told {
    seen: Seen,
    seconds: u32,
    /// Agents' seconds of talk.
    talked: u32,
}

/// Plays a campaign to its end. Who waits goes after 2 seconds, which is what an abandoned call is held to be.
fn play(pace: Pace, agents: u32, answer_percent: u32, mut numbers: u32, seed: u64) -> Told {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut lines: Vec<Line> = Vec::new();
    let mut told = Told { seen: Seen::default(), seconds: 0, talked: 0 };
    while numbers > 0 || !lines.is_empty() {
        let now = told.seconds;
        let mut still = Vec::new();
        for line in lines.drain(..) {
            match line {
                Line::Rings { until, answers } if until <= now => {
                    told.seen.tried += 1;
                    if answers {
                        told.seen.answered += 1;
                        still.push(Line::Waits { until: now + 2 });
                    }
                }
                Line::Talks { until } if until <= now => {}
                other => still.push(other),
            }
        }
        let talking = |lines: &[Line]| {
            lines.iter().filter(|line| matches!(line, Line::Talks { .. })).count() as u32
        };
        for at in 0..still.len() {
            if let Line::Waits { until } = still[at] {
                if talking(&still) < agents {
                    let length = 5 + dice.below(60);
                    told.talked += length;
                    still[at] = Line::Talks { until: now + length };
                } else if until <= now {
                    told.seen.abandoned += 1;
                    still[at] = Line::Talks { until: now };
                }
            }
        }
        still.retain(|line| !matches!(line, Line::Talks { until } if *until <= now));
        lines = still;
        let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count() as u32;
        let state = Lines {
            ringing: count(|line| matches!(line, Line::Rings { .. })),
            waiting: count(|line| matches!(line, Line::Waits { .. })),
            talking: talking(&lines),
        };
        let free = agents - state.talking.min(agents);
        let start = pace.start(&told.seen, Agents { free }, state).min(numbers);
        assert!(state.ringing + state.waiting + state.talking + start <= pace.concurrent);
        for _ in 0..start {
            let answers = dice.chance(answer_percent);
            let rings = if answers { 3 + dice.below(15) } else { 25 };
            lines.push(Line::Rings { until: now + rings, answers });
        }
        numbers -= start;
        told.seconds += 1;
        assert!(told.seconds < 1_000_000, "it comes to an end");
    }
    told
}

const AUTO: Pace =
    Pace { lines_per_agent: 1_000, predicts: true, concurrent: 100, abandoned: Permille(30) };

#[test]
fn five_hundred_numbers_keep_the_bound_and_every_one_is_called() {
    for answer in [10, 30, 60, 95] {
        for agents in [1, 3, 10, 25] {
            let (mut answered, mut abandoned) = (0, 0);
            for seed in 1..=20 {
                let told = play(AUTO, agents, answer, 500, seed);
                assert_eq!(told.seen.tried, 500, "{told:?}");
                answered += told.seen.answered;
                abandoned += told.seen.abandoned;
                // One campaign may have bad luck of few calls; that is a lot of the few who answer.
                let bound = told.seen.answered as f64 * 0.03 + 3.0;
                assert!(told.seen.abandoned as f64 <= bound, "{answer} {agents} {seed}: {told:?}");
            }
            assert!(
                abandoned * 1_000 <= answered * 30,
                "{answer} % {agents}: {abandoned} of {answered}"
            );
        }
    }
}

#[test]
fn agents_wait_less_than_when_one_is_rung_for_each() {
    let one = Pace { predicts: false, ..AUTO };
    for (answer, gain) in [(10, 160), (30, 130)] {
        let (plain, predicted) =
            (play(one, 10, answer, 5_000, 7), play(AUTO, 10, answer, 5_000, 7));
        assert_eq!(plain.seen.abandoned, 0, "who rings one for each agent loses nobody");
        let use_of = |told: &Told| u64::from(told.talked) * 1_000 / u64::from(told.seconds * 10);
        let (before, after) = (use_of(&plain), use_of(&predicted));
        assert!(
            after * 100 >= before * gain,
            "{answer} %: {before} and {after} thousandths of their time"
        );
    }
}
