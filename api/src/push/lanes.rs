//! Who may send next: a lane per endpoint, fair turns, and a pause for endpoints that never answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use billing::Leased;
use billing::rows::OutboxRow;
use facts::{MerchantId, UnixMillis};
use url::Url;

/// Whom a push goes to: one merchant's receiver at one authority. Two merchants on one shared host do not
/// share a lane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Endpoint(MerchantId, String);

impl Endpoint {
    fn of(row: &OutboxRow) -> Endpoint {
        let authority = Url::parse(&row.endpoint)
            .ok()
            .and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        Endpoint(row.merchant, authority.unwrap_or_default())
    }

    pub(super) fn authority(&self) -> &str {
        &self.1
    }
}

/// What a send says about the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Somebody is there, whatever was answered.
    Answered,
    /// Nobody answered.
    Silent,
}

#[derive(Default, Debug)]
struct Lane {
    waiting: VecDeque<Leased>,
    sending: usize,
    silent: u32,
    closed_until: Option<Instant>,
}

/// Rows waiting and being sent.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: BTreeMap<Endpoint, Lane>,
    /// The lane that had its turn last: the next one in order is asked first.
    last: Option<Endpoint>,
    at_once: usize,
    per_lane: usize,
    sending: usize,
    waiting: usize,
}

impl Lanes {
    pub(super) fn new(at_once: usize, per_lane: usize) -> Lanes {
        Lanes {
            lanes: BTreeMap::new(),
            last: None,
            at_once: at_once.max(1),
            per_lane: per_lane.max(1),
            sending: 0,
            waiting: 0,
        }
    }

    /// How many more rows may be taken from the outbox.
    pub(super) fn room(&self) -> usize {
        WAITING_MAX.saturating_sub(self.waiting)
    }

    /// Puts a leased row into its lane. A row of an endpoint that is left alone, or whose lane is full, is
    /// dropped: its lease ends and it comes again, without an attempt counted.
    pub(super) fn add(&mut self, leased: Leased, now: Instant) {
        let lane = self.lanes.entry(Endpoint::of(&leased.row)).or_default();
        let places = if lane.silent > 0 { WAITING_SILENT_MAX } else { WAITING_PER_LANE_MAX };
        if lane.closed_until.is_some_and(|until| now < until) || lane.waiting.len() >= places {
            return;
        }
        lane.waiting.push_back(leased);
        self.waiting += 1;
    }

    /// The next row to send, lanes taking turns. A row whose lease could end during the send is dropped.
    pub(super) fn start(
        &mut self,
        now: UnixMillis,
        send_time: Duration,
    ) -> Option<(Endpoint, Leased)> {
        if self.sending >= self.at_once {
            return None;
        }
        let after = self.last.clone();
        let from_last = self
            .lanes
            .range((
                after.as_ref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
                std::ops::Bound::Unbounded,
            ))
            .chain(self.lanes.iter());
        let ready = |lane: &Lane| {
            // An endpoint that was silent is tried with one send at a time.
            let places = if lane.silent > 0 { 1 } else { self.per_lane };
            !lane.waiting.is_empty() && lane.sending < places
        };
        let endpoint = from_last.filter(|(_, lane)| ready(lane)).map(|(e, _)| e.clone()).next()?;
        let lane = self.lanes.get_mut(&endpoint)?;
        while let Some(leased) = lane.waiting.pop_front() {
            self.waiting -= 1;
            if now + send_time < leased.row.leased_until {
                lane.sending += 1;
                self.sending += 1;
                self.last = Some(endpoint.clone());
                return Some((endpoint, leased));
            }
        }
        // The whole lane had waited too long: somebody else's turn.
        self.last = Some(endpoint);
        self.start(now, send_time)
    }

    /// A send is over. True when this closed the lane for a while.
    pub(super) fn finish(
        &mut self,
        endpoint: &Endpoint,
        verdict: Verdict,
        circuit_after: u32,
        pause: Duration,
        now: Instant,
    ) -> bool {
        self.sending = self.sending.saturating_sub(1);
        let Some(lane) = self.lanes.get_mut(endpoint) else { return false };
        lane.sending = lane.sending.saturating_sub(1);
        let mut opened = false;
        match verdict {
            Verdict::Answered => {
                lane.silent = 0;
                lane.closed_until = None;
            }
            Verdict::Silent => {
                lane.silent = lane.silent.saturating_add(1);
                opened = lane.silent >= circuit_after;
                lane.closed_until = opened.then(|| now + pause);
                let keep = if opened { 0 } else { WAITING_SILENT_MAX };
                self.waiting -= lane.waiting.len().saturating_sub(keep);
                lane.waiting.truncate(keep);
            }
        }
        if lane.waiting.is_empty() && lane.sending == 0 && lane.silent == 0 {
            self.lanes.remove(endpoint);
        }
        // Silent endpoints are remembered; those nobody writes to any more are not, once there are many.
        if self.lanes.len() > LANES_MAX {
            self.lanes.retain(|_, lane| lane.sending > 0 || !lane.waiting.is_empty());
        }
        opened
    }
}

/// Rows waiting in all lanes.
const WAITING_MAX: usize = 8192;
/// Rows waiting in one lane: a dead endpoint cannot fill the room of the others.
const WAITING_PER_LANE_MAX: usize = 256;
/// Rows waiting in the lane of an endpoint that did not answer the last time.
const WAITING_SILENT_MAX: usize = 8;
/// Lanes remembered at most.
const LANES_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use billing::rows::{OutboxState, Payload};
    use facts::command::{Dialect, PushKind};
    use facts::record::{LegState, StateChange};
    use facts::{CallId, LegId, LegNo};

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const SEND: Duration = Duration::from_secs(10);

    fn leased(id: i64, merchant: i64, url: &str) -> Leased {
        Leased { row: row(id, merchant, url), unwritable: None, secrets: Vec::new() }
    }

    fn row(id: i64, merchant: i64, url: &str) -> OutboxRow {
        let change = StateChange {
            leg: LegId::new(CallId(1), LegNo::A),
            sequence: 0,
            state: LegState::Answer,
            number: String::new(),
            shown: String::new(),
            at: NOW,
            extension: None,
        };
        OutboxRow {
            id,
            call: CallId(1),
            merchant: MerchantId(merchant),
            kind: PushKind::State,
            dialect: Dialect::Ytx,
            endpoint: url.into(),
            context: String::new(),
            payload: Payload::State(change),
            settings_version: 1,
            body: None,
            attempts: 0,
            created: NOW,
            leased_until: NOW + Duration::from_secs(60),
            state: OutboxState::Pending,
            lease: 1,
            sequence: 0,
            webhook: None,
            part: 0,
        }
    }

    fn started(lanes: &mut Lanes, now: UnixMillis) -> Vec<i64> {
        std::iter::from_fn(|| lanes.start(now, SEND)).map(|(_, leased)| leased.row.id).collect()
    }

    #[test]
    fn lanes_take_turns_and_have_few_places_each() {
        let mut lanes = Lanes::new(5, 2);
        let now = Instant::now();
        (0..10).for_each(|id| lanes.add(leased(id, 1, "http://a/x"), now));
        lanes.add(leased(20, 2, "http://a/x"), now);
        lanes.add(leased(30, 1, "http://b/x"), now);
        // Merchant 2 on the same host has a lane of its own.
        assert_eq!(started(&mut lanes, NOW), [0, 30, 20, 1]);
        assert_eq!(lanes.room(), WAITING_MAX - 8);
    }

    #[test]
    fn a_row_whose_lease_runs_out_during_the_send_is_left_to_come_again() {
        let mut lanes = Lanes::new(5, 5);
        lanes.add(leased(1, 1, "http://a/"), Instant::now());
        lanes.add(leased(2, 2, "http://b/"), Instant::now());
        let late = NOW + Duration::from_secs(50);
        assert_eq!(started(&mut lanes, late), Vec::<i64>::new());
        assert_eq!(lanes.room(), WAITING_MAX);
    }

    #[test]
    fn case_70_a_silent_endpoint_is_left_alone_then_tried_singly_until_it_answers() {
        let mut lanes = Lanes::new(9, 3);
        let now = Instant::now();
        let pause = Duration::from_secs(30);
        (0..20).for_each(|id| lanes.add(leased(id, 1, "http://a/"), now));
        assert_eq!(started(&mut lanes, NOW), [0, 1, 2]);
        let dead = Endpoint::of(&row(0, 1, "http://a/"));
        assert!(!lanes.finish(&dead, Verdict::Silent, 3, pause, now));
        assert_eq!(WAITING_MAX - lanes.room(), WAITING_SILENT_MAX);
        assert!(!lanes.finish(&dead, Verdict::Silent, 3, pause, now));
        assert!(lanes.finish(&dead, Verdict::Silent, 3, pause, now));
        // Closed: rows are not even kept.
        lanes.add(leased(21, 1, "http://a/"), now);
        assert_eq!(started(&mut lanes, NOW), Vec::<i64>::new());
        // Half open: one at a time; an answer opens it.
        let later = now + pause;
        (30..35).for_each(|id| lanes.add(leased(id, 1, "http://a/"), later));
        assert_eq!(started(&mut lanes, NOW), [30]);
        assert!(!lanes.finish(&dead, Verdict::Answered, 3, pause, later));
        assert_eq!(started(&mut lanes, NOW), [31, 32, 33]);
    }

    #[test]
    fn a_dead_endpoint_cannot_fill_the_room_of_the_others() {
        let mut lanes = Lanes::new(1, 1);
        let now = Instant::now();
        (0..10_000).for_each(|id| lanes.add(leased(id, 1, "http://a/"), now));
        assert_eq!(lanes.room(), WAITING_MAX - WAITING_PER_LANE_MAX);
    }
}
