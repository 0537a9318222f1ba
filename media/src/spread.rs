//! Which worker has which call.
//!
//! All legs of a call live on one worker. A new call goes to the worker that will be least busy with it: what its
//! legs have cost it lately, for each of those that it has now. So a conference, a recording or a leg that is
//! coded anew counts for what it costs, and many calls that come at once are shared out before any has cost
//! anything.

use std::collections::HashMap;

use facts::LegId;
use facts::id::CallId;
use facts::media::MediaCommand;

/// What a leg is taken to cost where too few are known: thousandths of a core.
const LEG: f64 = 0.5;
/// Legs by which what one costs is known.
const KNOWN: u32 = 8;

/// What a worker's legs cost when that was last looked at.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Cost {
    /// Thousandths of a core.
    pub(crate) busy: u32,
    /// Legs that it had.
    pub(crate) legs: u32,
    /// It has no port left.
    pub(crate) full: bool,
}

/// The calls that workers have.
#[derive(Debug)]
pub(crate) struct Spread {
    calls: HashMap<CallId, Home>,
    /// Legs of each worker.
    legs: Vec<u32>,
}

/// Where a call lives, and which of its legs are there: one bit each.
#[derive(Clone, Copy, Debug)]
struct Home {
    worker: usize,
    legs: [u64; 4],
}

impl Spread {
    pub(crate) fn new(workers: usize) -> Spread {
        Spread { calls: HashMap::new(), legs: vec![0; workers.max(1)] }
    }

    /// The worker that an order is for. `cost` tells what each has cost lately.
    pub(crate) fn worker(
        &mut self,
        call: CallId,
        command: &MediaCommand,
        cost: impl Fn(usize) -> Cost,
    ) -> usize {
        match command {
            MediaCommand::Open { leg, .. } => {
                let home = self.home(call, cost);
                let (word, bit) = place(*leg);
                if home.legs[word] & bit == 0 {
                    home.legs[word] |= bit;
                    let worker = home.worker;
                    self.legs[worker] += 1;
                }
            }
            // May come before the first leg.
            MediaCommand::Record { .. } => drop(self.home(call, cost)),
            MediaCommand::Close { leg } => return self.closed(*leg),
            MediaCommand::StopRecording { .. } => {
                let empty = |home: &Home| home.legs == [0; 4];
                if self.calls.get(&call).is_some_and(empty) {
                    return self.calls.remove(&call).map_or(0, |home| home.worker);
                }
            }
            _ => {}
        }
        self.known(call)
    }

    /// A leg is gone, or never came; where it was.
    pub(crate) fn closed(&mut self, leg: LegId) -> usize {
        let Some(home) = self.calls.get_mut(&leg.call) else { return self.known(leg.call) };
        let (word, bit) = place(leg);
        let worker = home.worker;
        if home.legs[word] & bit != 0 {
            home.legs[word] &= !bit;
            self.legs[worker] -= 1;
            if home.legs == [0; 4] {
                self.calls.remove(&leg.call);
            }
        }
        worker
    }

    /// Calls that live somewhere.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.calls.len()
    }

    /// Where a call lives; where nobody does, each is as good.
    fn known(&self, call: CallId) -> usize {
        self.calls.get(&call).map_or(0, |home| home.worker)
    }

    fn home(&mut self, call: CallId, cost: impl Fn(usize) -> Cost) -> &mut Home {
        let legs = &self.legs;
        self.calls.entry(call).or_insert_with(|| {
            let expected = |worker: usize| {
                let Cost { busy, legs: known, full } = cost(worker);
                let each = if known < KNOWN { LEG } else { f64::from(busy) / f64::from(known) };
                (full, each.max(LEG / 10.0) * f64::from(legs[worker]))
            };
            let least = (0..legs.len()).map(|worker| (expected(worker), worker)).min_by(|a, b| {
                let ((full, expected), (other_full, other)) = (a.0, b.0);
                full.cmp(&other_full).then(expected.total_cmp(&other))
            });
            Home { worker: least.map_or(0, |(_, worker)| worker), legs: [0; 4] }
        })
    }
}

fn place(leg: LegId) -> (usize, u64) {
    let no = leg.no.0;
    (usize::from(no >> 6), 1 << (no & 63))
}

#[cfg(test)]
mod tests {
    use facts::LegNo;
    use facts::media::{Family, RecordingForm};

    use super::*;

    fn leg(call: u64, no: u8) -> LegId {
        LegId::new(CallId(call), LegNo(no))
    }

    fn open(spread: &mut Spread, call: u64, no: u8, cost: impl Fn(usize) -> Cost) -> usize {
        let leg = leg(call, no);
        spread.worker(leg.call, &MediaCommand::Open { leg, family: Family::V4 }, cost)
    }

    fn idle(_: usize) -> Cost {
        Cost::default()
    }

    #[test]
    fn calls_that_come_at_once_are_shared_out_and_their_legs_stay_together() {
        let mut spread = Spread::new(4);
        for call in 0..400 {
            let home = open(&mut spread, call, 0, idle);
            assert_eq!(open(&mut spread, call, 1, idle), home);
            assert_eq!(open(&mut spread, call, 1, idle), home, "asked twice");
        }
        assert_eq!(spread.legs, [200; 4]);
        for call in 0..400 {
            for no in 0..2 {
                spread.worker(CallId(call), &MediaCommand::Close { leg: leg(call, no) }, idle);
            }
        }
        assert_eq!((spread.legs.as_slice(), spread.len()), ([0; 4].as_slice(), 0));
    }

    #[test]
    fn legs_that_cost_more_count_for_more() {
        let mut spread = Spread::new(2);
        for no in 0..20 {
            open(&mut spread, 1, no, idle);
        }
        // Twenty seats of a conference cost as much as two hundred relayed legs.
        let cost = |worker| match worker {
            0 => Cost { busy: 100, legs: 20, full: false },
            _ => Cost { busy: 10, legs: 20, full: false },
        };
        let homes: Vec<usize> = (2..52).map(|call| open(&mut spread, call, 0, cost)).collect();
        assert!(homes.iter().all(|home| *home == 1), "{homes:?}");
    }

    #[test]
    fn nobody_goes_where_no_port_is_left_while_others_have_some() {
        let mut spread = Spread::new(2);
        let cost = |worker| Cost { full: worker == 0, ..Cost::default() };
        assert!((0..50).all(|call| open(&mut spread, call, 0, cost) == 1));
        let cost = |_| Cost { full: true, ..Cost::default() };
        assert_eq!(open(&mut spread, 50, 0, cost), 0, "refused by whoever has least to do");
    }

    #[test]
    fn who_never_came_and_who_is_closed_twice_count_for_nothing() {
        let mut spread = Spread::new(2);
        let close = MediaCommand::Close { leg: leg(9, 0) };
        spread.worker(CallId(9), &close, idle);
        open(&mut spread, 9, 0, idle);
        spread.closed(leg(9, 1));
        spread.worker(CallId(9), &close, idle);
        spread.worker(CallId(9), &close, idle);
        assert_eq!((spread.legs.as_slice(), spread.len()), ([0, 0].as_slice(), 0));
    }

    #[test]
    fn a_recording_may_be_asked_for_before_its_legs() {
        let mut spread = Spread::new(3);
        open(&mut spread, 1, 0, idle);
        let (call, left, right) = (CallId(2), leg(2, 0), None);
        let (file, form) = ("x.mp3".to_owned(), RecordingForm::default());
        let record = MediaCommand::Record { call, left, right, file, form };
        let home = spread.worker(call, &record, idle);
        open(&mut spread, 3, 0, idle);
        assert_eq!(open(&mut spread, 2, 0, idle), home);
        spread.closed(leg(2, 0));
        let home = spread.worker(call, &record, idle);
        assert_eq!(spread.worker(call, &MediaCommand::StopRecording { call }, idle), home);
        assert_eq!(spread.len(), 2);
    }
}
