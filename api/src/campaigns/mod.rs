//! Dials for campaigns: twice a second, as many calls of each as may start now
//! ([why so many](../../docs/decisions/0083-how-fast-a-campaign-dials.md)).
//!
//! A campaign is dialled by one process, the one with which the most of its agents are registered
//! ([`billing::campaigns`]). A call is placed before it is noted, under a key that is the same whenever it is tried: a
//! crash between the two finds the same call again.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use billing::Once;
use billing::campaigns::{self, Campaign, CampaignState, Owner, Takers, Tally, Wishes};
use campaign::{Agents, Lines, Pace, Permille, Seen};
use facts::station::{Stage, Station};
use facts::{CallId, MerchantId, Refusal, UnixMillis};
use tokio::sync::watch;

use crate::settings::View;
use crate::state::{ApiState, now};

/// Between two looks.
const TICK: Duration = Duration::from_millis(500);
/// Calls that one campaign may start at once: the next look comes soon.
const AT_ONCE: u32 = 100;

/// The same of a list of notices: what is started is under way when the next look comes.
const NOTICES_AT_ONCE: u32 = 50;

/// Dials until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let mut dialler = match Once::fresh() {
        Ok(me) => Dialler { me, told: BTreeMap::new(), mine: BTreeSet::new() },
        Err(error) => return tracing::error!(%error, "campaigns: none is dialled"),
    };
    if let Err(error) = state.0.store.start_campaigns().await {
        tracing::warn!(%error, "campaigns go on when the lease of the last process is over");
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        if state.0.calls.ready()
            && let Err(error) = dialler.turn(&state).await
        {
            tracing::warn!(%error, "campaigns: the store failed");
        }
    }
    dialler.leave(&state).await;
}

/// One process.
struct Dialler {
    me: Once,
    /// How many agents it has told the others of, by campaign, and when.
    told: BTreeMap<String, (u64, UnixMillis)>,
    /// What it dials.
    mine: BTreeSet<String>,
}

/// A campaign of which calls may start, and how things stand with it.
struct Open {
    campaign: Campaign,
    tally: Tally,
    agents: BTreeSet<String>,
    calls: Vec<CallId>,
    lines: Lines,
    /// Carriers had no room for some of its numbers a moment ago.
    crowded: bool,
}

/// What this process does about a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stance {
    /// Dials.
    Dial,
    /// It becomes nobody's, or will be when no customer of it rings or waits any more: another has more of its agents.
    Leave,
    /// Takes it.
    Take,
    /// It is somebody else's, or is left to him.
    Elsewhere,
}

/// `mine`: of its agents so many are registered here.
fn stance(owner: Owner, mine: u64, elsewhere: u64) -> Stance {
    match owner {
        Owner::Me(_) if elsewhere > mine => Stance::Leave,
        Owner::Me(_) => Stance::Dial,
        Owner::Nobody if mine >= elsewhere => Stance::Take,
        Owner::Nobody | Owner::Other => Stance::Elsewhere,
    }
}

impl Dialler {
    async fn turn(&mut self, state: &ApiState) -> billing::Result<()> {
        let store = &state.0.store;
        let at = now();
        let found = store.open_campaigns(&self.me, at).await?;
        if found.is_empty() {
            self.told.clear();
            return Ok(());
        }
        let view = state.0.settings.current(store).await?;
        let agents: Vec<BTreeSet<String>> =
            found.iter().map(|open| agents(&open.campaign.plan.takers, &view)).collect();
        let everybody: BTreeSet<&String> = agents.iter().flatten().collect();
        let named = everybody.into_iter().cloned().collect();
        let Some(stations) = state.0.calls.stations(named).await else { return Ok(()) };
        // Without its word nobody knows how many agents are about to be free.
        let Ok(live) = state.0.calls.live().await else { return Ok(()) };
        let mut busy = BTreeMap::new();
        for call in &live {
            *busy.entry(call.merchant).or_default() += 1;
        }
        let live: BTreeMap<CallId, String> =
            live.into_iter().map(|live| (live.call, live.state)).collect();
        let (mut open, mut wishes) = (Vec::new(), Wishes::default());
        let ours = found.iter().filter(|open| matches!(open.owner, Owner::Me(_)));
        self.mine = ours.map(|open| open.campaign.id.clone()).collect();
        for (found, agents) in found.into_iter().zip(agents) {
            let id = found.campaign.id.clone();
            let one = self.look(state, (found, agents), (&stations, &live), &mut wishes, at).await;
            match one {
                Ok(one) => open.extend(one),
                // The others are none the worse for it.
                Err(error) => tracing::warn!(%error, task = id, "a campaign is not looked after"),
            }
        }
        if !wishes.is_empty() {
            store.keep_campaigns(&self.me, wishes, at).await?;
        }
        self.told.retain(|_, (_, when)| at.since(*when) < campaigns::TOLD_LIFE);
        dial(state, &view, (open, busy), &stations).await;
        Ok(())
    }

    /// Another process need not wait until the lease of this one is over.
    async fn leave(self, state: &ApiState) {
        let agents = self.told.into_keys().map(|id| (id, 0)).collect();
        let wishes = Wishes { leave: self.mine.into_iter().collect(), agents, take: Vec::new() };
        if !wishes.is_empty()
            && let Err(error) = state.0.store.keep_campaigns(&self.me, wishes, now()).await
        {
            tracing::warn!(%error, "campaigns are left when their lease is over");
        }
    }

    /// What is to be done about a campaign; it, if it is dialled here.
    async fn look(
        &mut self,
        state: &ApiState,
        (found, agents): (campaigns::Open, BTreeSet<String>),
        (stations, live): (&[Station], &BTreeMap<CallId, String>),
        wishes: &mut Wishes,
        at: UnixMillis,
    ) -> billing::Result<Option<Open>> {
        let campaigns::Open { campaign, owner, elsewhere, .. } = found;
        let (store, id) = (&state.0.store, campaign.id.clone());
        let here = |station: &&Station| station.registered && agents.contains(&station.extension);
        let mine = stations.iter().filter(here).count() as u64;
        let told = self.told.get(&id);
        if told.is_none_or(|(count, when)| {
            *count != mine || at.since(*when) > campaigns::TOLD_LIFE / 3
        }) {
            self.told.insert(id.clone(), (mine, at));
            wishes.agents.push((id.clone(), mine));
        }
        let stance = stance(owner, mine, elsewhere);
        match (stance, owner) {
            (Stance::Elsewhere, _) => return Ok(None),
            (Stance::Take, _) => {
                wishes.take.push(id);
                return Ok(None);
            }
            (_, Owner::Me(until)) if until < at + campaigns::LEASE / 2 => {
                wishes.take.push(id.clone());
            }
            _ => {}
        }
        let tally = store.note_campaign(&id, at).await?;
        let calls = store.campaign_calls(&id).await?;
        let crowded = store.is_crowded(&id, at).await?;
        let lines = lines(calls.iter().filter_map(|call| live.get(call).map(String::as_str)));
        if stance == Stance::Leave {
            if lines.ringing + lines.waiting == 0 {
                tracing::info!(
                    task = id,
                    "a campaign is left to a process with more of its agents"
                );
                wishes.leave.push(id);
            }
            return Ok(None);
        }
        Ok(Some(Open { campaign, tally, agents, calls, lines, crowded }))
    }
}

/// Starts as many calls of each as may start. `busy`: how many calls of each merchant are under way.
async fn dial(
    state: &ApiState,
    view: &View,
    (mut open, mut busy): (Vec<Open>, BTreeMap<MerchantId, u32>),
    stations: &[Station],
) {
    // Whoever comes first in one turn comes last in the next: agents may be those of several.
    if let Some(first) =
        usize::try_from(now().seconds()).ok().and_then(|s| s.checked_rem(open.len()))
    {
        open.rotate_left(first);
    }
    for at in 0..open.len() {
        let Campaign { merchant, plan, .. } = &open[at].campaign;
        let start = match &plan.takers {
            Takers::Notice(_) => {
                let most = view
                    .merchants
                    .get(merchant)
                    .map_or(0, |merchant| merchant.max_calls.unwrap_or(u32::MAX));
                notices(&open[at], most, busy.get(merchant).copied().unwrap_or_default())
            }
            _ => may_start(&open, at, stations),
        };
        // Where there was no room, a few find out whether there is some by now: a tenth of what is under way.
        let own = open[at].lines.ringing + open[at].lines.waiting + open[at].lines.talking;
        let start = if open[at].crowded { start.min(1 + own / 10) } else { start };
        if start == 0 {
            continue;
        }
        match place::some(state, view, &open[at].campaign, start).await {
            Ok(placed) => {
                open[at].lines.ringing += placed;
                *busy.entry(open[at].campaign.merchant).or_default() += placed;
            }
            Err(error) => {
                tracing::warn!(%error, task = open[at].campaign.id, "a campaign is not dialled");
            }
        }
    }
}

/// The extensions that take the calls.
fn agents(takers: &Takers, view: &View) -> BTreeSet<String> {
    match takers {
        Takers::Group(number) => view
            .groups
            .get(number)
            .map(|group| group.members.iter().cloned().collect())
            .unwrap_or_default(),
        Takers::Extensions(extensions) => extensions.iter().cloned().collect(),
        Takers::Notice(_) => BTreeSet::new(),
    }
}

/// Where the calls of a campaign stand, by the words of live calls.
fn lines<'a>(states: impl Iterator<Item = &'a str>) -> Lines {
    let mut lines = Lines::default();
    for state in states {
        match state {
            "dialing_a" | "fetching" => lines.ringing += 1,
            "bridged" | "parked" => lines.talking += 1,
            "ending" => {}
            _ => lines.waiting += 1,
        }
    }
    lines
}

/// How many notices of a list may start: no agent waits for them, and of the calls that its merchant may have at a time, of which
/// so many are under way, a fifth is left to others.
fn notices(open: &Open, most: u32, busy: u32) -> u32 {
    let Open { campaign, tally, lines, .. } = open;
    if campaign.state != CampaignState::Running || tally.waiting == 0 {
        return 0;
    }
    let own = lines.ringing + lines.waiting + lines.talking;
    let room = (most - most / 5).saturating_sub(busy);
    room.min(campaign.plan.concurrent.saturating_sub(own)).min(NOTICES_AT_ONCE)
}

/// How many calls of one of these campaigns may start. Those of others that have an agent of it in common are for
/// the same agents.
fn may_start(open: &[Open], at: usize, stations: &[Station]) -> u32 {
    let Open { campaign, tally, agents, lines, .. } = &open[at];
    if campaign.state != CampaignState::Running || tally.waiting == 0 {
        return 0;
    }
    // Who is rung is free if that is for one of these customers: he waits, and is counted.
    let rung = |call| open.iter().any(|open| open.calls.contains(&call));
    let free = |station: &&Station| {
        let rung = station.calls.iter().all(|at| at.stage == Stage::Rings && rung(at.call));
        station.registered && !station.quiet && !station.fades && !station.rests && rung
    };
    let mine = stations.iter().filter(|station| agents.contains(&station.extension));
    let free = mine.filter(free).count();
    let mut all = *lines;
    for (other, of) in open.iter().enumerate() {
        if other != at && !of.agents.is_disjoint(agents) {
            all.ringing += of.lines.ringing;
            all.waiting += of.lines.waiting;
        }
    }
    let plan = &campaign.plan;
    let pace = Pace {
        lines_per_agent: plan.lines_per_agent,
        predicts: plan.predicts,
        concurrent: plan.concurrent,
        abandoned: Permille(plan.abandoned),
    };
    let seen = Seen {
        tried: tally.done,
        answered: tally.answered,
        abandoned: tally.answered.saturating_sub(tally.joined),
    };
    let free = u32::try_from(free).unwrap_or(u32::MAX);
    pace.start(&seen, Agents { free }, all).min(AT_ONCE)
}

/// What becomes of a number that was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    /// It will be tried again: nothing was wrong with it.
    Later,
    /// It may be called at another hour; others may now.
    NotNow,
    /// No number can be called before somebody has done something.
    Pause,
    /// It cannot be called.
    Never(&'static str),
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::TooManyCalls | Refusal::Busy | Refusal::Internal => Refused::Later,
        Refusal::OutsideHours => Refused::NotNow,
        Refusal::NoBalance | Refusal::UnknownMerchant | Refusal::Disabled => Refused::Pause,
        Refusal::NoPrice => Refused::Never("no_price"),
        Refusal::NoRoute => Refused::Never("no_route"),
        Refusal::BadCaller => Refused::Never("bad_caller"),
        Refusal::SameNumber => Refused::Never("same_number"),
        Refusal::KeyConflict => Refused::Never("key_conflict"),
        Refusal::Blocked => Refused::Never("blocked"),
        Refusal::TooOften => Refused::Never("too_often"),
    }
}

#[cfg(test)]
mod tests {
    use billing::campaigns::Plan;
    use facts::LegNo;
    use facts::station::{Stage, StationCall};

    use super::*;

    fn open(agents: &[&str], lines: Lines) -> Open {
        let agents: BTreeSet<String> = agents.iter().map(|&agent| agent.to_owned()).collect();
        let plan = Plan {
            takers: Takers::Extensions(agents.iter().cloned().collect()),
            lines_per_agent: 1_000,
            predicts: false,
            concurrent: 100,
            abandoned: 30,
            shown: vec![],
        };
        let campaign = Campaign {
            id: "1".into(),
            merchant: MerchantId(1),
            company: "1".into(),
            name: String::new(),
            plan,
            begins: None,
            pauses: None,
            state: CampaignState::Running,
            created: UnixMillis(0),
        };
        let tally = Tally { total: 9, waiting: 9, ..Tally::default() };
        Open { campaign, tally, agents, calls: vec![CallId(1)], lines, crowded: false }
    }

    fn station(extension: &str, registered: bool, stage: Option<Stage>) -> Station {
        let call = |stage| StationCall {
            call: CallId(1),
            leg: LegNo::B,
            stage,
            since: UnixMillis(0),
            other: String::new(),
            shown: String::new(),
            other_shown: String::new(),
            called_in: false,
            supervises: false,
        };
        let calls = stage.map(call).into_iter().collect();
        let (fades, quiet, rests) = (false, false, false);
        Station {
            extension: extension.into(),
            registered,
            calls,
            fades,
            quiet,
            rests,
            idle_since: None,
        }
    }

    #[test]
    fn case_43_agents_are_free_who_could_pick_up_now() {
        let mut other = station("9", true, Some(Stage::Rings));
        other.calls[0].call = CallId(99);
        let stations = [
            station("1", true, None),
            station("2", true, Some(Stage::Rings)),
            station("3", true, Some(Stage::Talks)),
            station("4", false, None),
            station("5", true, None),
            station("6", true, Some(Stage::Dials)),
            Station { quiet: true, ..station("7", true, None) },
            Station { rests: true, ..station("8", true, None) },
            other,
        ];
        let all = open(&["1", "2", "3", "4", "6", "7", "8", "9"], Lines::default());
        assert_eq!(may_start(&[all], 0, &stations), 2, "1, and 2 whom a customer rings");
        let paused =
            Campaign { state: CampaignState::Paused, ..open(&["1"], Lines::default()).campaign };
        let paused = Open { campaign: paused, ..open(&["1"], Lines::default()) };
        assert_eq!(may_start(&[paused], 0, &stations), 0);
    }

    #[test]
    fn case_43_two_campaigns_ring_nobody_twice_for_one_agent() {
        let stations = [station("1", true, None), station("2", true, None)];
        let ringing = Lines { ringing: 1, ..Lines::default() };
        let both = [open(&["1", "2"], ringing), open(&["2"], Lines::default())];
        assert_eq!(may_start(&both, 0, &stations), 1);
        assert_eq!(may_start(&both, 1, &stations), 0, "who rings may be for 2");
        let apart = [open(&["1"], ringing), open(&["2"], Lines::default())];
        assert_eq!(may_start(&apart, 1, &stations), 1);
    }

    #[test]
    fn whoever_has_the_most_agents_dials() {
        let me = Owner::Me(UnixMillis(1));
        for (owner, mine, elsewhere, wanted) in [
            (Owner::Nobody, 0, 0, Stance::Take),
            (Owner::Nobody, 2, 2, Stance::Take),
            (Owner::Nobody, 1, 2, Stance::Elsewhere),
            (Owner::Other, 9, 1, Stance::Elsewhere),
            (me, 3, 3, Stance::Dial),
            (me, 0, 1, Stance::Leave),
        ] {
            assert_eq!(stance(owner, mine, elsewhere), wanted, "{owner:?} {mine} {elsewhere}");
        }
    }

    #[test]
    fn s4_4_notices_leave_a_fifth_of_the_merchants_calls_to_others() {
        let mut all = open(&[], Lines::default());
        all.tally.waiting = 5_000;
        all.campaign.plan.takers = Takers::Notice(String::new());
        all.campaign.plan.concurrent = 1_000;
        assert_eq!(notices(&all, 10, 0), 8);
        assert_eq!(notices(&all, 10, 7), 1);
        assert_eq!(notices(&all, 10, 9), 0);
        assert_eq!(notices(&all, 1, 0), 1);
        assert_eq!(notices(&all, 1_000, 0), NOTICES_AT_ONCE);
        all.lines = Lines { ringing: 990, waiting: 5, talking: 0 };
        assert_eq!(notices(&all, 10_000, 995), 5);
        all.campaign.state = CampaignState::Paused;
        assert_eq!(notices(&all, 10, 0), 0);
    }

    #[test]
    fn calls_are_counted_by_where_they_stand() {
        let states = ["dialing_a", "dialing_b", "saying", "bridged", "ending", "dialing_a"];
        let lines = lines(states.into_iter());
        assert_eq!(lines, Lines { ringing: 2, waiting: 2, talking: 1 });
    }

    #[test]
    fn case_69_a_number_is_lost_only_if_it_cannot_be_called() {
        assert_eq!(refused(Refusal::TooManyCalls), Refused::Later);
        assert_eq!(refused(Refusal::OutsideHours), Refused::NotNow);
        assert_eq!(refused(Refusal::NoBalance), Refused::Pause);
        assert_eq!(refused(Refusal::NoRoute), Refused::Never("no_route"));
    }
}
