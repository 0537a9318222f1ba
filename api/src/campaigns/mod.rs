//! Dials for campaigns: twice a second, as many calls of each as may start now
//! ([why so many](../../docs/decisions/0083-how-fast-a-campaign-dials.md)).
//!
//! A campaign is dialled by one process, the one with which the most of its agents are registered
//! ([`billing::campaigns`]). A call is placed before it is noted, under a key that is the same
//! whenever it is tried: a crash between the two finds the same call again.

mod pace;
mod place;

pub(crate) use place::{led, shown_to};

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use billing::Once;
use billing::campaigns::{self, Campaign, CampaignState, Found, Owner, Takers, Tally, Wishes};
use campaign::Lines;
use dialect::rest::PacingNow;
use facts::settings::Snapshot;
use facts::station::Station;
use facts::{CallId, MerchantId, Refusal, UnixMillis};
use tokio::sync::watch;

use crate::settings::View;
use crate::state::{ApiState, now};
use pace::{free, legs, lines, may_start, notices, room};

/// Between two looks.
const TICK: Duration = Duration::from_millis(500);
/// A look takes no longer, and goes on with the next campaigns in the next one: a lease has at
/// least half of its time left when a look begins.
const TURN_MAX: Duration = Duration::from_secs(5);
const _: () = assert!(TURN_MAX.as_secs() * 2 <= campaigns::LEASE.as_secs() / 2);

/// Dials until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let mut dialler = match Dialler::new(TURN_MAX) {
        Ok(dialler) => dialler,
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

/// One process, look by look.
#[derive(Debug)]
pub struct Dialler {
    me: Once,
    /// How many agents it has told the others of, by campaign, and when.
    told: BTreeMap<String, (u64, UnixMillis)>,
    /// What it dials.
    mine: BTreeSet<String>,
    /// Campaigns that nobody can read, which was said.
    damaged: BTreeSet<String>,
    /// How many campaigns have had the first place in a look.
    turn: usize,
    /// A look takes no longer.
    turn_max: Duration,
}

/// A campaign that is looked after here, and how things stand with it.
struct Open {
    campaign: Campaign,
    /// Calls of it may start. Otherwise it is being left, or nobody knows how it stands: whoever it
    /// rings has an agent and a port to come all the same.
    dials: bool,
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
    /// It becomes nobody's, or will be when no customer of it rings or waits any more: another has
    /// more of its agents.
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

/// A campaign that is looked after here: all that is known of it before anything is asked for it.
struct Kept {
    campaign: Campaign,
    tally: Tally,
    agents: BTreeSet<String>,
    stance: Stance,
}

impl Dialler {
    /// One that knows of no campaign yet, and starts no call any more when a look has taken so
    /// long.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn new(turn_max: Duration) -> billing::Result<Dialler> {
        let (told, mine, damaged) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Ok(Dialler { me: Once::fresh()?, told, mine, damaged, turn: 0, turn_max })
    }

    /// Looks at all campaigns once: keeps and takes leases, notes what has become of calls, starts
    /// as many as may start.
    ///
    /// # Errors
    /// Those of the database; what concerns one campaign alone is logged.
    pub async fn turn(&mut self, state: &ApiState) -> billing::Result<()> {
        let store = &state.0.store;
        let (at, until) = (now(), Instant::now() + self.turn_max);
        let Found { open: found, damaged } = store.open_campaigns(&self.me, at).await?;
        for (task, error) in damaged {
            if self.damaged.insert(task.clone()) {
                tracing::error!(task, error, "a campaign cannot be read and is not dialled");
            }
        }
        if found.is_empty() {
            self.told.clear();
            state.0.paces.tell(BTreeMap::new());
            return Ok(());
        }
        let view = state.0.settings.current(store).await?;
        let agents: Vec<BTreeSet<String>> = found
            .iter()
            .map(|open| agents(&open.campaign.plan.takers, open.campaign.merchant, &view))
            .collect();
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
        let ours = found.iter().filter(|open| matches!(open.owner, Owner::Me(_)));
        self.mine = ours.map(|open| open.campaign.id.clone()).collect();
        // Whoever looks long at some keeps the lease of all.
        let mut wishes = Wishes::default();
        let found = found.into_iter().zip(agents);
        let kept: Vec<Kept> =
            found.filter_map(|one| self.claim(one, &stations, &mut wishes, at)).collect();
        if !wishes.is_empty() {
            store.keep_campaigns(&self.me, wishes, at).await?;
        }
        self.told.retain(|_, (_, when)| at.since(*when) < campaigns::TOLD_LIFE);
        let mut open = self.look(state, kept, &live, (at, until)).await?;
        let room = room(state.0.calls.media_room(), &open);
        let look = Look { view: &view, stations: &stations, me: &self.me, at, until };
        state.0.paces.tell(look.paces(&open, &busy));
        // Whoever comes first in one turn comes last in the next: agents may be those of several.
        // Whoever was not reached comes first.
        self.turn = self.turn.wrapping_add(look.dial(state, &mut open, busy, room).await);
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

    /// Whether a campaign is looked after here; what is to be written down for that.
    fn claim(
        &mut self,
        (found, agents): (campaigns::Open, BTreeSet<String>),
        stations: &[Station],
        wishes: &mut Wishes,
        at: UnixMillis,
    ) -> Option<Kept> {
        let campaigns::Open { campaign, tally, owner, elsewhere } = found;
        let here = |station: &&Station| station.registered && agents.contains(&station.extension);
        let mine = stations.iter().filter(here).count() as u64;
        let told = self.told.get(&campaign.id);
        let is_old = told.is_none_or(|(count, when)| {
            *count != mine || at.since(*when) > campaigns::TOLD_LIFE / 3
        });
        // Where nobody takes the calls, all have as many.
        if is_old && campaign.plan.takers.are_agents() {
            self.told.insert(campaign.id.clone(), (mine, at));
            wishes.agents.push((campaign.id.clone(), mine));
        }
        let stance = stance(owner, mine, elsewhere);
        match (stance, owner) {
            (Stance::Elsewhere, _) => return None,
            (Stance::Take, _) => {
                wishes.take.push(campaign.id);
                return None;
            }
            (_, Owner::Me(until)) if until < at + campaigns::LEASE / 2 => {
                wishes.take.push(campaign.id.clone());
            }
            _ => {}
        }
        Some(Kept { campaign, tally, agents, stance })
    }

    /// What has become of the calls of these, and how each stands; those that are left by now are
    /// not among them. What there is no time for is noted by a later look.
    async fn look(
        &self,
        state: &ApiState,
        mut kept: Vec<Kept>,
        live: &BTreeMap<CallId, String>,
        (at, until): (UnixMillis, Instant),
    ) -> billing::Result<Vec<Open>> {
        let store = &state.0.store;
        let mut under_way = store.under_way(&self.me, at).await?;
        let half = until.checked_sub(self.turn_max / 2).unwrap_or(until);
        if let Some(first) = self.turn.checked_rem(kept.len()) {
            kept.rotate_left(first);
        }
        let (mut open, mut left) = (Vec::new(), Wishes::default());
        for Kept { campaign, mut tally, agents, stance } in kept {
            let id = &campaign.id;
            let mut dials = stance != Stance::Leave;
            let news = under_way.recorded.contains(id)
                || campaign.state == CampaignState::Running && tally.is_over();
            if news && Instant::now() < half {
                match store.note_campaign(id, at).await {
                    Ok(noted) => tally = noted,
                    // The others are none the worse for it.
                    Err(error) => {
                        tracing::warn!(%error, task = id, "a campaign is not looked after");
                        dials = false;
                    }
                }
            }
            let calls = under_way.calls.remove(id).unwrap_or_default();
            let lines = lines(calls.iter().filter_map(|call| live.get(call).map(String::as_str)));
            if stance == Stance::Leave && lines.ringing + lines.waiting == 0 {
                tracing::info!(
                    task = id,
                    "a campaign is left to a process with more of its agents"
                );
                left.leave.push(campaign.id);
                continue;
            }
            let crowded = under_way.crowded.contains(id);
            open.push(Open { campaign, dials, tally, agents, calls, lines, crowded });
        }
        if !left.is_empty() {
            store.keep_campaigns(&self.me, left, at).await?;
        }
        Ok(open)
    }
}

/// What is known when calls are started.
struct Look<'a> {
    view: &'a View,
    stations: &'a [Station],
    me: &'a Once,
    /// When it began.
    at: UnixMillis,
    /// No call is started any more then.
    until: Instant,
}

impl Look<'_> {
    /// Starts as many calls of each as may start; by how many places the next look goes on. `busy`:
    /// how many calls of each merchant are under way; `room`: how many legs have room.
    async fn dial(
        &self,
        state: &ApiState,
        open: &mut [Open],
        mut busy: BTreeMap<MerchantId, u32>,
        mut room: u64,
    ) -> usize {
        for at in 0..open.len() {
            // However slow the store is, each has its turn.
            if at > 0 && Instant::now() >= self.until {
                return at;
            }
            let start = self.start(open, at, &busy);
            // Where there was no room, a few find out whether there is some by now: a tenth of what
            // is under way.
            let own = open[at].lines.ringing + open[at].lines.waiting + open[at].lines.talking;
            let start = if open[at].crowded { start.min(1 + own / 10) } else { start };
            let legs = legs(&open[at].campaign.plan.takers);
            let start = start.min(u32::try_from(room / legs).unwrap_or(u32::MAX));
            if start == 0 {
                continue;
            }
            match self.some(state, &open[at].campaign, start).await {
                Ok(placed) => {
                    open[at].lines.ringing += placed;
                    room = room.saturating_sub(u64::from(placed) * legs);
                    *busy.entry(open[at].campaign.merchant).or_default() += placed;
                }
                Err(error) => {
                    tracing::warn!(%error, task = open[at].campaign.id, "a campaign is not dialled");
                }
            }
        }
        1
    }

    /// As many calls of one may start as its pacing and its hours say.
    fn start(&self, open: &[Open], at: usize, busy: &BTreeMap<MerchantId, u32>) -> u32 {
        let Campaign { merchant, plan, .. } = &open[at].campaign;
        if plan.own.as_ref().is_some_and(|own| !own.is_open(self.at)) {
            return 0;
        }
        if plan.takers.are_agents() {
            return may_start(open, at, self.stations);
        }
        let merchants = &self.view.merchants;
        let most = merchants.get(merchant).map_or(0, |known| known.max_calls.unwrap_or(u32::MAX));
        notices(&open[at], most, busy.get(merchant).copied().unwrap_or_default())
    }

    /// How those of `/v1` stand.
    fn paces(
        &self,
        open: &[Open],
        busy: &BTreeMap<MerchantId, u32>,
    ) -> BTreeMap<String, PacingNow> {
        let one = |(at, open_one): (usize, &Open)| {
            let own = open_one.campaign.plan.own.as_ref().filter(|_| open_one.dials)?;
            let Lines { ringing, waiting, talking } = open_one.lines;
            let now = PacingNow {
                agents_free: free(open, at, self.stations),
                ringing,
                waiting,
                talking,
                may_start: self.start(open, at, busy),
                open: own.is_open(self.at),
            };
            Some((open_one.campaign.id.clone(), now))
        };
        open.iter().enumerate().filter_map(one).collect()
    }
}

/// The extensions that take the calls: those of the merchant, since a number may have passed on to
/// somebody else.
fn agents(takers: &Takers, merchant: MerchantId, view: &View) -> BTreeSet<String> {
    own(takers, merchant, view).into_iter().collect()
}

/// The same, in their order.
fn own(takers: &Takers, merchant: MerchantId, view: &Snapshot) -> Vec<String> {
    let named: &[String] = match takers {
        Takers::Group(number) => {
            let group = view.groups.get(number).filter(|group| group.merchant == merchant);
            group.map_or(&[], |group| &group.members)
        }
        Takers::Extensions(extensions) => extensions,
        Takers::Notice(_) | Takers::Scenario(_) => &[],
    };
    let is_own = |number: &&String| {
        view.extensions.get(*number).is_some_and(|extension| extension.merchant == merchant)
    };
    named.iter().filter(is_own).cloned().collect()
}

/// What becomes of a number that was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It will be tried again: nothing was wrong with it.
    Later,
    /// It may be called at another hour; others may now.
    NotNow,
    /// No number can be called before somebody has done something.
    Pause(&'static str),
    /// It cannot be called; others may be.
    Never(&'static str),
    /// It cannot be called, and so it may be with all.
    All(&'static str),
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::TooManyCalls | Refusal::Busy | Refusal::Internal => Refused::Later,
        Refusal::OutsideHours => Refused::NotNow,
        Refusal::NoBalance => Refused::Pause("no_balance"),
        Refusal::UnknownMerchant | Refusal::Disabled => Refused::Pause("merchant_disabled"),
        Refusal::NoPrice => Refused::All("no_price"),
        Refusal::NoRoute => Refused::All("no_route"),
        Refusal::BadCaller => Refused::All("bad_caller"),
        Refusal::SameNumber => Refused::Never("same_number"),
        Refusal::KeyConflict => Refused::Never("key_conflict"),
        Refusal::Blocked => Refused::Never("blocked"),
        Refusal::TooOften => Refused::Never("too_often"),
    }
}

#[cfg(test)]
mod tests {
    use facts::settings::Extension;

    use super::*;

    /// A merchant has each of these extensions.
    pub(super) fn settings(extensions: &[(&str, i64)]) -> Snapshot {
        let mut view = Snapshot::default();
        for (number, merchant) in extensions {
            let extension = Extension {
                merchant: MerchantId(*merchant),
                sub_account: None,
                enabled: true,
                ha1_md5: String::new(),
                ha1_sha256: String::new(),
                bound_phone: None,
                max_contacts: 1,
                reach: facts::Reach::default(),
                dtmf: None,
            };
            view.extensions.insert((*number).to_owned(), extension);
        }
        view
    }

    /// A group of the first merchant.
    pub(super) fn group(strategy: facts::Strategy, members: &[&str]) -> facts::Group {
        facts::Group {
            merchant: MerchantId(1),
            name: "sales".into(),
            enabled: true,
            strategy,
            members: members.iter().map(|&member| member.to_owned()).collect(),
            ring_s: 15,
            timeout_s: 60,
            otherwise: None,
        }
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
    fn a_lease_is_kept_before_anything_is_looked_at_and_nobody_counts_agents_of_a_notice() {
        let mut dialler = Dialler::new(TURN_MAX).unwrap();
        let at = UnixMillis(1_000_000);
        let mut claim = |takers, left| {
            let plan = campaigns::Plan {
                takers,
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
                created: at,
            };
            let owner = Owner::Me(at + left);
            let open = campaigns::Open { campaign, tally: Tally::default(), owner, elsewhere: 0 };
            let mut wishes = Wishes::default();
            assert!(dialler.claim((open, BTreeSet::new()), &[], &mut wishes, at).is_some());
            (wishes.take.len(), wishes.agents.len())
        };
        let (half, nobody) = (campaigns::LEASE / 2, Takers::Notice(String::new()));
        assert_eq!(claim(nobody.clone(), half), (0, 0));
        assert_eq!(claim(nobody, half - Duration::from_millis(1)), (1, 0));
        assert_eq!(claim(Takers::Group("80100".into()), half), (0, 1));
        assert_eq!(claim(Takers::Group("80100".into()), half), (0, 0), "it was told a moment ago");
    }

    #[test]
    fn s4_9_only_extensions_and_groups_of_the_merchant_take_its_calls() {
        let mut view = settings(&[("80001", 1), ("80002", 2), ("80003", 1)]);
        let named = |numbers: &[&str]| numbers.iter().map(|&number| number.to_owned()).collect();
        let group = group(facts::Strategy::RoundRobin, &["80002", "80003", "80004"]);
        view.groups.insert("80100".into(), group);
        let own = |takers, merchant| own(&takers, MerchantId(merchant), &view);
        let extensions = Takers::Extensions(named(&["80003", "80002", "80001"]));
        assert_eq!(own(extensions.clone(), 1), ["80003", "80001"], "one is somebody else's by now");
        assert_eq!(own(extensions, 2), ["80002"]);
        assert_eq!(own(Takers::Group("80100".into()), 1), ["80003"]);
        assert!(own(Takers::Group("80100".into()), 2).is_empty());
    }

    #[test]
    fn case_69_a_number_is_lost_only_if_it_cannot_be_called() {
        assert_eq!(refused(Refusal::TooManyCalls), Refused::Later);
        assert_eq!(refused(Refusal::OutsideHours), Refused::NotNow);
        assert_eq!(refused(Refusal::NoBalance), Refused::Pause("no_balance"));
        for refusal in [Refusal::NoRoute, Refusal::NoPrice, Refusal::BadCaller] {
            assert!(matches!(refused(refusal), Refused::All(_)), "{refusal:?}");
        }
        // A list of people who want no calls is dialled to its end.
        for refusal in [Refusal::Blocked, Refusal::TooOften, Refusal::SameNumber] {
            assert!(matches!(refused(refusal), Refused::Never(_)), "{refusal:?}");
        }
    }
}
