//! Whether a carrier is there: OPTIONS at intervals, down after some failures, up after some answers.

use std::time::{Duration, Instant};

use facts::carrier::{HealthStatus, Probe};

use crate::event::CarrierChange;

#[derive(Debug)]
pub(super) struct Health {
    pub(super) probe: Probe,
    /// Believed until it fails: a start must not wait for the first answers.
    up: bool,
    streak: u8,
    /// When the one under way was sent.
    asked: Option<Instant>,
    next: Instant,
    latency: Option<Duration>,
    /// The same, smoothed.
    average: Option<Duration>,
    last: Option<u16>,
}

impl Health {
    pub(super) fn new(probe: Probe, first: Instant) -> Health {
        Health {
            probe,
            up: true,
            streak: 0,
            asked: None,
            next: first,
            latency: None,
            average: None,
            last: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    pub(super) fn due(&self) -> Instant {
        match self.asked {
            Some(at) => self.next.min(at + self.probe.timeout()),
            None => self.next,
        }
    }

    /// One under way was waited for long enough.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.asked.is_some_and(|at| at + self.probe.timeout() <= now)
    }

    /// One could not be sent, which says nothing of the carrier.
    pub(super) fn unsent(&mut self, again: Instant) {
        (self.asked, self.next) = (None, again);
    }

    /// Whether to send one now; and what is to be told.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> (bool, Option<CarrierChange>) {
        let mut news = None;
        if self.is_overdue(now) {
            self.asked = None;
            self.last = None;
            news = self.count(false);
        }
        let ask = self.next <= now;
        if ask {
            self.asked = Some(now);
            self.next = now + self.probe.every();
        }
        (ask, news)
    }

    /// An answer to the one under way. One that comes later than it is waited for changes nothing.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        code: u16,
        local: bool,
    ) -> Option<CarrierChange> {
        let asked = self.asked.take()?;
        self.last = (!local).then_some(code);
        let good = !local && self.probe.accepts(code);
        if good {
            let latency = now.saturating_duration_since(asked);
            self.latency = Some(latency);
            self.average = Some(self.average.map_or(latency, |old| (old * 7 + latency) / 8));
        }
        self.count(good)
    }

    fn count(&mut self, good: bool) -> Option<CarrierChange> {
        if good == self.up {
            self.streak = 0;
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        let enough = if self.up { self.probe.down_after } else { self.probe.up_after };
        if self.streak < enough.max(1) {
            return None;
        }
        self.up = good;
        self.streak = 0;
        Some(if good { CarrierChange::Up } else { CarrierChange::Down })
    }

    pub(super) fn status(&self) -> HealthStatus {
        HealthStatus {
            up: self.up,
            latency_ms: self.latency.map(millis),
            average_ms: self.average.map(millis),
            last_status: self.last,
            streak: self.streak,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    #[test]
    fn case_33_down_after_three_failures_up_after_two_answers_and_late_answers_change_nothing() {
        let mut now = start().mono;
        let mut health = Health::new(Probe::default(), now);
        let mut news = Vec::new();
        for round in 0..8 {
            let (ask, told) = health.handle_timeout(now);
            assert!(ask && told.is_none(), "{round}");
            match round {
                // Silence, a refusal, a transport that failed: each is a failure.
                1 => news.extend(health.answered(now, 503, false)),
                2 => news.extend(health.answered(now, 503, true)),
                4.. => news.extend(health.answered(now + Duration::from_millis(12), 200, false)),
                _ => {}
            }
            if matches!(round, 0 | 3) {
                now += Duration::from_secs(5);
                assert_eq!(health.due(), now);
                let (ask, told) = health.handle_timeout(now);
                assert!(!ask);
                news.extend(told);
                assert_eq!(health.answered(now, 200, false), None, "too late");
            }
            assert_eq!(health.is_up(), !(2..5).contains(&round), "{round}");
            now = health.due();
        }
        assert_eq!(news, [CarrierChange::Down, CarrierChange::Up]);
        let status = health.status();
        assert_eq!((status.latency_ms, status.last_status), (Some(12), Some(200)));
    }

    #[test]
    fn the_average_of_a_carriers_latency_follows_it_by_eighths() {
        let mut now = start().mono;
        let mut health = Health::new(Probe::default(), now);
        let mut seen = Vec::new();
        for millis in [80, 80, 160, 160] {
            health.handle_timeout(now);
            health.answered(now + Duration::from_millis(millis), 200, false);
            let status = health.status();
            seen.push((status.latency_ms, status.average_ms));
            now = health.due();
        }
        let seen: Vec<_> =
            seen.into_iter().map(|(one, all)| (one.unwrap(), all.unwrap())).collect();
        assert_eq!(seen, [(80, 80), (80, 80), (160, 90), (160, 98)]);
    }

    #[test]
    fn case_33_one_lost_answer_is_forgotten_with_the_next() {
        let mut now = start().mono;
        let mut health = Health::new(Probe { down_after: 2, ..Probe::default() }, now);
        for _ in 0..5 {
            health.handle_timeout(now);
            now = health.due();
            assert_eq!(health.handle_timeout(now).1, None);
            now = health.due();
            health.handle_timeout(now);
            health.answered(now, 200, false);
            now = health.due();
            assert!(health.is_up());
        }
    }
}
