//! Which number of a pool a leg shows. Counts are of this process: a start begins them anew.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use facts::pool::{CoolDown, Pick, Pool};
use facts::settings::Snapshot;
use facts::{CallId, LegId, LegNo, MerchantId, Number, TrunkId};

const SECOND: Duration = Duration::from_secs(1);
/// A day is counted by its hours.
const HOUR: Duration = Duration::from_secs(3_600);
const HOURS: usize = 24;
/// Legs of one number in a second that are counted at most.
const COUNTED_MAX: usize = 1_000;

/// Whose pool it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Owner {
    Merchant(MerchantId),
    Trunk(TrunkId),
}

impl Owner {
    fn pool(self, settings: &Snapshot) -> Option<&Pool> {
        match self {
            Owner::Merchant(id) => settings.pools.get(&id),
            Owner::Trunk(id) => settings.trunks.get(&id)?.options.pool.as_ref(),
        }
    }
}

/// What a number was used for.
#[derive(Debug, Default)]
struct Used {
    /// Legs that show it, and whether their INVITE has left.
    live: BTreeMap<LegId, bool>,
    second: VecDeque<Instant>,
    /// The hours in which it was used, and how often; no more than a day has.
    day: VecDeque<(Instant, u32)>,
    /// Whether its last legs were answered, as far as that is counted.
    answered: VecDeque<bool>,
    /// It is not shown before.
    rests: Option<Instant>,
}

impl Used {
    fn has_room(&self, pool: &Pool, now: Instant) -> bool {
        let recent = |at: &&Instant| now.saturating_duration_since(**at) < SECOND;
        let second = self.second.iter().rev().take_while(recent).count();
        let of_day = self.day.iter().filter(|(at, _)| is_of_day(*at, now));
        let day: u32 = of_day.map(|(_, count)| *count).fold(0, u32::saturating_add);
        // Those whose INVITE is about to leave are counted already.
        let soon = self.live.values().filter(|left| !**left).count();
        let today = day.saturating_add(u32::try_from(soon).unwrap_or(u32::MAX));
        pool.max_calls.is_none_or(|most| self.live.len() < most as usize)
            && pool.calls_per_second.is_none_or(|most| second + soon < most as usize)
            && pool.calls_per_day.is_none_or(|most| today < most)
            && !self.is_resting(now)
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.rests.is_some_and(|until| until > now)
    }

    /// A leg whose INVITE had left is down.
    fn over(&mut self, answered: bool, cool_down: CoolDown, now: Instant) {
        // What was dialled before it began to rest is no news.
        if self.is_resting(now) {
            return;
        }
        self.answered.push_back(answered);
        while self.answered.len() > cool_down.of as usize {
            self.answered.pop_front();
        }
        let full = self.answered.len() == cool_down.of as usize;
        if full && cool_down.is_due(self.answered.iter().filter(|answered| **answered).count()) {
            self.answered.clear();
            self.rests = Some(now + Duration::from_secs(cool_down.rest_s.into()));
        }
    }

    /// The INVITE of a leg has left; of each leg it is counted once.
    fn count(&mut self, leg: LegId, now: Instant) {
        match self.live.get_mut(&leg) {
            Some(left) if !*left => *left = true,
            Some(_) | None => return,
        }
        let old = |at: &Instant| now.saturating_duration_since(*at) >= SECOND;
        while self.second.front().is_some_and(old) || self.second.len() >= COUNTED_MAX {
            self.second.pop_front();
        }
        self.second.push_back(now);
        match self.day.back_mut().filter(|(at, _)| now.saturating_duration_since(*at) < HOUR) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => {
                self.day.push_back((now, 1));
                while self.day.len() > HOURS + 1 {
                    self.day.pop_front();
                }
            }
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.live.is_empty()
            && !self.is_resting(now)
            && !self.day.iter().any(|(at, _)| is_of_day(*at, now))
    }
}

/// An hour that began a day ago is counted until it ended a day ago: never too little.
fn is_of_day(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < HOUR * 25
}

/// What the numbers of all pools are used for.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    used: BTreeMap<(Owner, String), Used>,
    of_leg: BTreeMap<LegId, Vec<(Owner, String)>>,
    /// The place in its pool of the number that is next.
    turns: BTreeMap<Owner, usize>,
}

impl Pools {
    /// The number to show to a callee; `None` when all are at a limit. `draw` gives any number below its
    /// argument.
    pub(crate) fn pick(
        &self,
        (owner, pool): (Owner, &Pool),
        callee: &Number,
        now: Instant,
        draw: &mut dyn FnMut(u64) -> u64,
    ) -> Option<Number> {
        let room = |number: &String| {
            let used = self.used.get(&(owner, number.clone()));
            used.is_none_or(|used| used.has_room(pool, now))
        };
        let turn = match pool.pick {
            Pick::RoundRobin => {
                self.turns.get(&owner).copied().unwrap_or(0) % pool.numbers.len().max(1)
            }
            Pick::Random | Pick::Sticky | Pick::Area => 0,
        };
        let (before, after) = pool.numbers.split_at_checked(turn)?;
        let mut free: Vec<&String> =
            after.iter().chain(before).filter(|number| room(number)).collect();
        let any = |free: &[&String], draw: &mut dyn FnMut(u64) -> u64| {
            let at = draw(u64::try_from(free.len()).unwrap_or(1));
            free.get(usize::try_from(at).unwrap_or(0)).map(|number| (*number).clone())
        };
        let picked = match pool.pick {
            Pick::Random => any(&free, draw),
            Pick::RoundRobin => free.first().map(|number| (*number).clone()),
            // The highest weight of the pair wins, so that a number that goes moves only its own.
            Pick::Sticky => {
                free.into_iter().max_by_key(|number| weight(callee.digits(), number)).cloned()
            }
            Pick::Area => {
                let shared = |number: &str| common(number, callee.digits());
                let most = free.iter().map(|number| shared(number)).max().unwrap_or(0);
                free.retain(|number| shared(number) == most);
                any(&free, draw)
            }
        };
        picked.map(Number::public)
    }

    /// A leg is to show a number of a pool.
    pub(crate) fn enter(&mut self, (owner, pool): (Owner, &Pool), leg: LegId, number: &Number) {
        let key = (owner, number.digits().to_owned());
        let place = pool.numbers.iter().position(|known| known == number.digits());
        self.turns.insert(owner, place.map_or(0, |place| place + 1));
        self.of_leg.entry(leg).or_default().push(key.clone());
        self.used.entry(key).or_default().live.insert(leg, false);
    }

    /// The INVITE of a leg has left with what it shows.
    pub(crate) fn dialled(&mut self, leg: LegId, now: Instant) {
        for key in self.of_leg.get(&leg).into_iter().flatten() {
            if let Some(used) = self.used.get_mut(key) {
                used.count(leg, now);
            }
        }
    }

    /// A leg turns to another carrier: what it showed to this one is free.
    pub(crate) fn leave_trunk(&mut self, leg: LegId) {
        let Some(keys) = self.of_leg.get_mut(&leg) else { return };
        let (left, stay) = std::mem::take(keys)
            .into_iter()
            .partition(|(owner, _)| matches!(owner, Owner::Trunk(_)));
        *keys = stay;
        if keys.is_empty() {
            self.of_leg.remove(&leg);
        }
        self.free(leg, left);
    }

    /// A leg is down; whether somebody had answered it. Leaving twice is leaving once.
    pub(crate) fn over(&mut self, leg: LegId, answered: bool, settings: &Snapshot, now: Instant) {
        for (owner, number) in self.of_leg.get(&leg).into_iter().flatten() {
            let cool_down = owner.pool(settings).and_then(|pool| pool.cool_down);
            let used = self.used.get_mut(&(*owner, number.clone()));
            if let (Some(cool_down), Some(used)) = (cool_down, used)
                && used.live.get(&leg) == Some(&true)
            {
                used.over(answered, cool_down, now);
            }
        }
        self.leave(leg);
    }

    /// A leg will never be. Leaving twice is leaving once.
    pub(crate) fn leave(&mut self, leg: LegId) {
        let keys = self.of_leg.remove(&leg).unwrap_or_default();
        self.free(leg, keys);
    }

    fn free(&mut self, leg: LegId, keys: Vec<(Owner, String)>) {
        for key in keys {
            if let Some(used) = self.used.get_mut(&key) {
                used.live.remove(&leg);
            }
        }
    }

    /// A call is gone.
    pub(crate) fn forget(&mut self, call: CallId) {
        let of_call = LegId::new(call, LegNo(0))..=LegId::new(call, LegNo(u8::MAX));
        let legs: Vec<LegId> = self.of_leg.range(of_call).map(|(leg, _)| *leg).collect();
        for leg in legs {
            self.leave(leg);
        }
    }

    /// Forgets what no pool names any more.
    pub(crate) fn prune(&mut self, settings: &Snapshot, now: Instant) {
        self.turns.retain(|owner, _| owner.pool(settings).is_some());
        self.used.retain(|(owner, number), used| {
            let named = owner.pool(settings).is_some_and(|pool| pool.numbers.contains(number));
            !used.live.is_empty() || named && !used.is_idle(now)
        });
    }

    /// Legs that show a number of a pool.
    pub(crate) fn len(&self) -> usize {
        self.of_leg.len()
    }
}

/// First digits that two numbers share.
fn common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

/// A weight of a pair of numbers that looks like chance and is always the same (FNV-1a, then a finish).
fn weight(callee: &str, number: &str) -> u64 {
    let bytes = callee.bytes().chain([b'/']).chain(number.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::start;
    use proptest::prelude::*;

    const MINE: Owner = Owner::Merchant(MerchantId(7));

    fn pool(pick: Pick, numbers: &[&str]) -> Pool {
        let numbers = numbers.iter().map(|&number| number.to_owned()).collect();
        Pool { numbers, pick, ..Pool::default() }
    }

    fn leg(call: u64) -> LegId {
        LegId::new(CallId(call), LegNo::B)
    }

    /// Picks and counts, as a leg that is dialled does.
    fn take(
        pools: &mut Pools,
        pool: &Pool,
        callee: &str,
        call: u64,
        now: Instant,
    ) -> Option<String> {
        let mut draw = |below: u64| call % below.max(1);
        let callee = Number::E164(callee.to_owned());
        let number = pools.pick((MINE, pool), &callee, now, &mut draw)?;
        pools.enter((MINE, pool), leg(call), &number);
        pools.dialled(leg(call), now);
        Some(number.digits().to_owned())
    }

    #[test]
    fn one_after_the_other_and_those_at_a_limit_are_passed_over() {
        let now = start().mono;
        let (mut pools, mut three) =
            (Pools::default(), pool(Pick::RoundRobin, &["861", "862", "863"]));
        let picked = |pools: &mut Pools, three: &Pool, call| take(pools, three, "8610", call, now);
        let first: Vec<_> = (1..=4).filter_map(|call| picked(&mut pools, &three, call)).collect();
        assert_eq!(first, ["861", "862", "863", "861"]);
        three.max_calls = Some(2);
        assert_eq!(picked(&mut pools, &three, 5).as_deref(), Some("862"));
        assert_eq!(picked(&mut pools, &three, 6).as_deref(), Some("863"));
        assert_eq!(picked(&mut pools, &three, 7), None, "all are at it");
        pools.leave(leg(2));
        pools.leave(leg(2));
        assert_eq!(picked(&mut pools, &three, 8).as_deref(), Some("862"));
        assert_eq!(picked(&mut pools, &three, 9), None);
        // A number that was taken out of the pool does not upset the turn.
        assert_eq!(
            picked(&mut pools, &pool(Pick::RoundRobin, &["864"]), 10).as_deref(),
            Some("864")
        );
    }

    #[test]
    fn the_nearest_number_is_shown_and_of_equals_any() {
        let now = start().mono;
        let near = pool(Pick::Area, &["862155550000", "861088880000", "861088880001"]);
        let mut seen = BTreeSet::new();
        for call in 0..8 {
            let number = take(&mut Pools::default(), &near, "861099990000", call, now).unwrap();
            assert!(number.starts_with("8610"), "{number}");
            seen.insert(number);
        }
        assert_eq!(seen.len(), 2);
        let shanghai = take(&mut Pools::default(), &near, "862166660000", 0, now);
        assert_eq!(shanghai.as_deref(), Some("862155550000"));
    }

    #[test]
    fn a_second_and_a_day_hold_no_more_legs_of_a_number_than_they_may() {
        let now = start().mono;
        let mut pools = Pools::default();
        let one = Pool {
            calls_per_second: Some(1),
            calls_per_day: Some(3),
            ..pool(Pick::Random, &["861"])
        };
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut free = |call, seconds| {
            let taken = take(&mut pools, &one, "8610", call, at(seconds)).is_some();
            pools.leave(leg(call));
            taken
        };
        assert_eq!(
            [free(1, 0), free(2, 0), free(3, 1), free(4, 2), free(5, 3)],
            [true, false, true, true, false]
        );
        assert!(!free(6, 86_400) && free(7, 25 * 3_600 + 10));
        let mut settings = Snapshot::default();
        settings.pools.insert(MerchantId(7), one.clone());
        pools.prune(&settings, at(25 * 3_600 + 20));
        assert_eq!(pools.used.len(), 1);
        pools.prune(&Snapshot::default(), now);
        assert!(pools.used.is_empty() && pools.turns.is_empty());
    }

    #[test]
    fn s6_a_number_that_few_answer_rests_and_begins_anew() {
        let now = start().mono;
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut pools = Pools::default();
        let cool_down = CoolDown { answered_below: 40, of: 5, rest_s: 600 };
        let both = Pool { cool_down: Some(cool_down), ..pool(Pick::Sticky, &["861", "862"]) };
        let mut settings = Snapshot::default();
        settings.pools.insert(MerchantId(7), both.clone());
        let mut call = 0;
        let mut ring = |pools: &mut Pools, answered, seconds| {
            call += 1;
            let number = take(pools, &both, "8610", call, at(seconds));
            pools.over(leg(call), answered, &settings, at(seconds));
            // Once is enough.
            pools.over(leg(call), answered, &settings, at(seconds));
            number.unwrap()
        };
        let favourite = ring(&mut pools, true, 0);
        for (answered, second) in [(true, 1), (false, 2), (false, 3), (false, 4)] {
            assert_eq!(ring(&mut pools, answered, second), favourite, "two of five are enough");
        }
        assert_eq!(ring(&mut pools, false, 5), favourite, "the sixth pushes the first out");
        for second in [6, 300, 604] {
            assert_ne!(ring(&mut pools, true, second), favourite, "it rests");
        }
        pools.prune(&settings, at(604));
        for second in 605..609 {
            assert_eq!(ring(&mut pools, false, second), favourite, "rested, and nothing is held");
        }
        // What was never dialled says nothing of it.
        pools.enter((MINE, &both), leg(99), &Number::public(favourite.clone()));
        pools.over(leg(99), false, &settings, at(609));
        assert_eq!(ring(&mut pools, false, 610), favourite);
        assert_ne!(ring(&mut pools, false, 611), favourite, "five of five");
        // Without the setting nothing rests.
        let plain = pool(Pick::Sticky, &["861", "862"]);
        settings.pools.insert(MerchantId(7), plain.clone());
        let mut pools = Pools::default();
        for call in 0..20 {
            assert_eq!(take(&mut pools, &plain, "8610", call, now).as_ref(), Some(&favourite));
            pools.over(leg(call), false, &settings, now);
        }
    }

    proptest! {
        /// The same callee sees the same number while that is in the pool, whatever becomes of the others.
        #[test]
        fn a_callee_sees_the_same_number_for_as_long_as_there_is_it(
            callee in "[1-9][0-9]{7,12}", keep in 1usize..10, call in any::<u64>(),
        ) {
            let now = start().mono;
            let ten: Vec<String> = (0..10).map(|n| format!("86105555000{n}")).collect();
            let refs: Vec<&str> = ten.iter().map(String::as_str).collect();
            let picked = take(&mut Pools::default(), &pool(Pick::Sticky, &refs), &callee, call, now).unwrap();
            let mut fewer: Vec<&str> = refs.iter().take(keep).copied().collect();
            if !fewer.contains(&picked.as_str()) {
                fewer.push(&picked);
            }
            fewer.reverse();
            let again = take(&mut Pools::default(), &pool(Pick::Sticky, &fewer), &callee, call ^ 1, now);
            prop_assert_eq!(again, Some(picked));
        }
    }
}
