//! How many calls of each campaign may start: what agents are free, what the merchant may have,
//! what the media plane has room for.

use billing::campaigns::{CampaignState, Takers};
use campaign::{Agents, Lines, Pace, Permille, Seen};
use facts::ports::MediaRoom;
use facts::station::Station;

use super::Open;

/// Calls that one campaign may start at once: the next look comes soon.
const AT_ONCE: u32 = 100;
/// The same of a list of notices: what is started is under way when the next look comes.
const NOTICES_AT_ONCE: u32 = 50;

/// Legs of one call: the customer's, and his agent's if there is to be one. Who presses a key that
/// a notice leads on is one of few.
pub(super) const fn legs(takers: &Takers) -> u64 {
    match takers {
        Takers::Group(_) | Takers::Extensions(_) => 2,
        Takers::Notice(_) | Takers::Scenario(_) => 1,
    }
}

/// How many more legs of campaigns the media plane has room for: a fifth of it is left to others,
/// and whoever rings or waits is to have an agent. Without a port for that he would have answered
/// for nothing.
pub(super) fn room(media: MediaRoom, open: &[Open]) -> u64 {
    let owed = |open: &Open| {
        let Lines { ringing, waiting, .. } = open.lines;
        (legs(&open.campaign.plan.takers) - 1) * u64::from(ringing + waiting)
    };
    let owed: u64 = open.iter().map(owed).sum();
    media.free.saturating_sub(media.all / 5).saturating_sub(owed)
}

/// Where the calls of a campaign stand, by the words of live calls.
pub(super) fn lines<'a>(states: impl Iterator<Item = &'a str>) -> Lines {
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

/// How many notices of a list may start: no agent waits for them, and of the calls that its
/// merchant may have at a time, of which so many are under way, a fifth is left to others.
pub(super) fn notices(open: &Open, most: u32, busy: u32) -> u32 {
    let Open { campaign, dials, tally, lines, .. } = open;
    if !dials || campaign.state != CampaignState::Running || tally.waiting == 0 {
        return 0;
    }
    let own = lines.ringing + lines.waiting + lines.talking;
    let room = (most - most / 5).saturating_sub(busy);
    room.min(campaign.plan.concurrent.saturating_sub(own)).min(NOTICES_AT_ONCE)
}

/// How many agents of one of these campaigns could take a call.
pub(super) fn free(open: &[Open], at: usize, stations: &[Station]) -> u32 {
    let agents = &open[at].agents;
    // Who is rung is free if that is for one of these customers: he waits, and is counted.
    let rung = |call| open.iter().any(|open| open.calls.contains(&call));
    let mine = stations.iter().filter(|station| agents.contains(&station.extension));
    u32::try_from(mine.filter(|station| station.is_free(rung)).count()).unwrap_or(u32::MAX)
}

/// How many calls of one of these campaigns may start. Those of others that have an agent of it in
/// common are for the same agents.
pub(super) fn may_start(open: &[Open], at: usize, stations: &[Station]) -> u32 {
    let Open { campaign, dials, tally, agents, lines, .. } = &open[at];
    if !dials || campaign.state != CampaignState::Running || tally.waiting == 0 {
        return 0;
    }
    let free = free(open, at, stations);
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
    pace.start(&seen, Agents { free }, all).min(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use billing::campaigns::{Campaign, Plan, Tally};
    use std::collections::BTreeSet;

    use facts::station::{Stage, StationCall};
    use facts::{CallId, LegNo, MerchantId, UnixMillis};

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
            own: None,
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
        let calls = vec![CallId(1)];
        Open { campaign, dials: true, tally, agents, calls, lines, crowded: false }
    }

    fn notice_list(lines: Lines) -> Open {
        let mut open = open(&[], lines);
        open.campaign.plan.takers = Takers::Notice(String::new());
        open
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
    fn case_43_a_campaign_that_is_being_left_has_its_agents_until_nobody_waits_for_them() {
        let stations = [station("1", true, None), station("2", true, None)];
        let lines = Lines { ringing: 2, ..Lines::default() };
        let left = Open { dials: false, ..open(&["1", "2"], lines) };
        let both = [open(&["1", "2"], Lines::default()), left];
        assert_eq!(may_start(&both, 0, &stations), 0, "both are for those of the other");
        assert_eq!(room(MediaRoom { free: 60, all: 100 }, &both), 60 - 20 - 2);
        let idle = Open { dials: false, ..open(&["1", "2"], Lines::default()) };
        assert_eq!(may_start(&[idle], 0, &stations), 0, "nor is anybody rung for itself");
        let list = Open { dials: false, ..notice_list(Lines::default()) };
        assert_eq!(notices(&list, 10, 0), 0);
    }

    #[test]
    fn s4_4_notices_leave_a_fifth_of_the_merchants_calls_to_others() {
        let mut all = notice_list(Lines::default());
        all.tally.waiting = 5_000;
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
    fn case_43_whoever_answers_has_a_port_for_his_agent() {
        let lines = Lines { ringing: 3, waiting: 2, talking: 7 };
        let open = [open(&["1"], lines), notice_list(lines)];
        let media = |free| MediaRoom { free, all: 100 };
        assert_eq!(room(media(60), &open), 60 - 20 - 5, "a notice owes nobody an agent");
        assert_eq!(room(media(25), &open), 0);
        assert_eq!(room(MediaRoom::default(), &open), 0, "before it runs");
    }
}
