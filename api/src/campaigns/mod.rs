//! Dials for campaigns: twice a second, as many calls of each as may start now
//! ([why so many](../../docs/decisions/0083-how-fast-a-campaign-dials.md)).
//!
//! A campaign is dialled by one process, whichever took it first; another takes over when that one is gone. Only
//! agents whose phones are registered with that process are seen. A call is placed before it is noted, under a key that is the same whenever it is tried: a crash between
//! the two finds the same call again.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use billing::Once;
use billing::campaigns::{Campaign, CampaignState, Takers, Tally};
use campaign::{Agents, Lines, Pace, Permille, Seen};
use facts::station::Station;
use facts::{CallId, Refusal};
use tokio::sync::watch;

use crate::settings::View;
use crate::state::{ApiState, now};

/// Between two looks.
const TICK: Duration = Duration::from_millis(500);
/// Calls that one campaign may start at once: the next look comes soon.
const AT_ONCE: u32 = 100;

/// Dials until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let me = match Once::fresh() {
        Ok(me) => me,
        Err(error) => return tracing::error!(%error, "campaigns: none is dialled"),
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if state.0.calls.ready()
            && let Err(error) = turn(&state, &me).await
        {
            tracing::warn!(%error, "campaigns: the store failed");
        }
    }
}

/// A campaign of which calls may start, and how things stand with it.
struct Open {
    campaign: Campaign,
    tally: Tally,
    agents: BTreeSet<String>,
    lines: Lines,
}

async fn turn(state: &ApiState, me: &Once) -> billing::Result<()> {
    let store = &state.0.store;
    let campaigns = store.my_campaigns(me, now()).await?;
    if campaigns.is_empty() {
        return Ok(());
    }
    let view = state.0.settings.current(store).await?;
    // Without its word nobody knows how many agents are about to be free.
    let Ok(live) = state.0.calls.live().await else { return Ok(()) };
    let live: BTreeMap<CallId, String> =
        live.into_iter().map(|live| (live.call, live.state)).collect();
    let mut open = Vec::new();
    for campaign in campaigns {
        let tally = store.note_campaign(&campaign.id).await?;
        let calls = store.campaign_calls(&campaign.id).await?;
        let states = calls.iter().filter_map(|call| live.get(call).map(String::as_str));
        let (agents, lines) = (agents(&campaign.plan.takers, &view), lines(states));
        open.push(Open { campaign, tally, agents, lines });
    }
    let everybody: BTreeSet<&String> = open.iter().flat_map(|open| &open.agents).collect();
    let named = everybody.into_iter().cloned().collect();
    let Some(stations) = state.0.calls.stations(named).await else { return Ok(()) };
    // Whoever comes first in one turn comes last in the next: agents may be those of several.
    if let Some(first) =
        usize::try_from(now().seconds()).ok().and_then(|s| s.checked_rem(open.len()))
    {
        open.rotate_left(first);
    }
    for at in 0..open.len() {
        let start = may_start(&open, at, &stations);
        if start > 0 {
            open[at].lines.ringing += place::some(state, &view, &open[at].campaign, start).await?;
        }
    }
    Ok(())
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

/// How many calls of one of these campaigns may start. Those of others that have an agent of it in common are for
/// the same agents.
fn may_start(open: &[Open], at: usize, stations: &[Station]) -> u32 {
    let Open { campaign, tally, agents, lines } = &open[at];
    if campaign.state != CampaignState::Running || tally.waiting == 0 {
        return 0;
    }
    let free = stations
        .iter()
        .filter(|station| agents.contains(&station.extension))
        .filter(|station| station.registered && !station.talks() && !station.fades)
        .count();
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
    /// No number can be called before somebody has done something.
    Pause,
    /// It cannot be called.
    Never(&'static str),
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::TooManyCalls | Refusal::Busy | Refusal::Internal | Refusal::OutsideHours => {
            Refused::Later
        }
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
    use facts::station::{Stage, StationCall};
    use facts::{LegNo, MerchantId, UnixMillis};

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
        Open { campaign, tally: Tally { total: 9, waiting: 9, ..Tally::default() }, agents, lines }
    }

    fn station(extension: &str, registered: bool, stage: Option<Stage>) -> Station {
        let call = |stage| StationCall {
            call: CallId(1),
            leg: LegNo::B,
            stage,
            since: UnixMillis(0),
            other: String::new(),
            shown: String::new(),
        };
        let calls = stage.map(call).into_iter().collect();
        Station { extension: extension.into(), registered, calls, fades: false }
    }

    #[test]
    fn agents_are_free_while_they_are_there_and_do_not_talk() {
        let stations = [
            station("1", true, None),
            station("2", true, Some(Stage::Rings)),
            station("3", true, Some(Stage::Talks)),
            station("4", false, None),
            station("5", true, None),
        ];
        let all = open(&["1", "2", "3", "4"], Lines::default());
        assert_eq!(may_start(&[all], 0, &stations), 2, "5 is none of them");
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
    fn calls_are_counted_by_where_they_stand() {
        let states = ["dialing_a", "dialing_b", "saying", "bridged", "ending", "dialing_a"];
        let lines = lines(states.into_iter());
        assert_eq!(lines, Lines { ringing: 2, waiting: 2, talking: 1 });
    }

    #[test]
    fn case_69_a_number_is_lost_only_if_it_cannot_be_called() {
        assert_eq!(refused(Refusal::TooManyCalls), Refused::Later);
        assert_eq!(refused(Refusal::NoBalance), Refused::Pause);
        assert_eq!(refused(Refusal::NoRoute), Refused::Never("no_route"));
    }
}
