//! Campaigns: numbers that are dialled for agents.

use billing::campaigns::{
    Campaign, CampaignState, NewNumber, NumberState, Open, Owner, Plan, Said, Takers, Tally, Wishes,
};
use billing::{Error, Once, Store};
use facts::{CallCommand, CallId, Failure, Kind, MerchantId, Origin, Outcome, Purpose, UnixMillis};

use crate::support::*;

const ID: &str = "20260115093000123456";

fn campaign(merchant: MerchantId, id: &str) -> Campaign {
    Campaign {
        id: id.into(),
        merchant,
        company: "9001".into(),
        name: "winter".into(),
        plan: Plan {
            takers: Takers::Group("600".into()),
            lines_per_agent: 1_000,
            predicts: true,
            concurrent: 100,
            abandoned: 30,
            shown: vec![],
        },
        begins: None,
        pauses: None,
        state: CampaignState::Running,
        created: T0,
    }
}

fn numbers(count: u32) -> Vec<NewNumber> {
    let said = |n: u32| Said { customuuid: format!("order {n}"), ..Said::default() };
    let number = |n| NewNumber { phone: format!("138{n:08}"), due: None, said: said(n) };
    (1..=count).map(number).collect()
}

/// The campaigns that a process looks after, if it takes what it can.
async fn mine(store: &Store, me: &Once, now: UnixMillis) -> Vec<String> {
    let id = |open: Open| open.campaign.id;
    let all = store.open_campaigns(me, now).await.unwrap();
    let take = all.into_iter().map(id).collect();
    store.keep_campaigns(me, Wishes { take, ..Wishes::default() }, now).await.unwrap();
    let all = store.open_campaigns(me, now).await.unwrap();
    all.into_iter().filter(|open| matches!(open.owner, Owner::Me(_))).map(id).collect()
}

pub(crate) async fn a_number_that_waits_already_is_called_once(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let mut list = numbers(3);
    list.push(list[1].clone());
    list.push(NewNumber { due: Some(at(900)), ..list[1].clone() });
    assert_eq!(store.create_campaign(campaign(merchant, ID), list).await.unwrap(), 4);
    store.uncallable(ID, 1, "blocked").await.unwrap();
    // Whoever was called may be called again, who waits is waited for.
    let added = store.add_campaign_numbers("9001", ID, numbers(3)).await.unwrap();
    assert_eq!(added, Some((CampaignState::Running, 1)));
    let (_, tally) = store.campaign("9001", ID).await.unwrap().unwrap();
    assert_eq!((tally.total, tally.waiting, tally.refused), (5, 4, 1));
    store.postpone(ID, 2, at(50)).await.unwrap();
    let next = store.next_numbers(ID, at(49), 9).await.unwrap();
    let seqs: Vec<_> = next.iter().map(|number| number.seq).collect();
    assert_eq!(seqs, [3, 5], "one is put off, and those behind it come first");
}

/// Field case 69: a call that a restart cut off before anybody answered is called again, and counted once.
pub(crate) async fn case_69_a_call_that_a_restart_cut_off_is_no_call(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    store.create_campaign(campaign(merchant, ID), numbers(2)).await.unwrap();
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    for call in [1, 2] {
        granted(&store, call, &CallCommand { custom: call.to_string(), ..command.clone() }).await;
        store.calling(ID, call as i64, CallId(call)).await.unwrap();
    }
    // One rang, to the other one somebody had answered.
    for (call, answered) in [(1, None), (2, Some(3))] {
        let command = CallCommand { custom: call.to_string(), ..command.clone() };
        let mut cut = facts(call, &command, Some((answered, 5)), None);
        cut.outcome = Outcome::Failed(Failure::new(Origin::Us, Kind::Crash));
        store.settle(cut, context()).await.unwrap();
    }
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    assert_eq!((tally.waiting, tally.calling, tally.done), (1, 0, 1));
    assert_eq!((tally.answered, tally.joined), (1, 0), "who had answered was called");
    let listed = store.campaign_numbers(ID, 0, 2).await.unwrap();
    assert_eq!((listed[0].state, listed[0].tries), (NumberState::Waiting, 1));
    assert_eq!((listed[1].state, listed[1].why.as_deref()), (NumberState::Done, Some("crash")));
}

pub(crate) async fn case_69_a_number_that_no_carrier_has_room_for_waits(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    store.create_campaign(campaign(merchant, ID), numbers(2)).await.unwrap();
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    // The one was never rung, the other one rang, and then its network gave up.
    for (call, rang) in [(1, None), (2, Some(at(2)))] {
        let command = CallCommand { custom: call.to_string(), ..command.clone() };
        granted(&store, call, &command).await;
        store.calling(ID, call as i64, CallId(call)).await.unwrap();
        let mut full = facts(call, &command, Some((None, 5)), None);
        full.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Congestion));
        full.legs[0].progress = rang;
        store.settle(full, context()).await.unwrap();
    }
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    assert_eq!((tally.waiting, tally.calling, tally.done), (1, 0, 1));
    let listed = store.campaign_numbers(ID, 0, 2).await.unwrap();
    assert_eq!((listed[0].tries, listed[0].why.as_deref()), (1, Some("congestion")));
    assert!(store.is_crowded(ID, at(64)).await.unwrap());
    assert!(store.next_numbers(ID, at(64), 9).await.unwrap().is_empty(), "not at once");
    assert_eq!(store.next_numbers(ID, at(65), 9).await.unwrap().len(), 1);
    assert!(!store.is_crowded(ID, at(65)).await.unwrap());
}

pub(crate) async fn whoever_has_the_most_agents_may_take_a_campaign(store: Store, url: String) {
    let merchant = fill(&store, "0").await;
    store.create_campaign(campaign(merchant, ID), numbers(2)).await.unwrap();
    let (me, other) = (Once::fresh().unwrap(), Once::fresh().unwrap());
    let tell = async |who: &Once, agents, seconds| {
        let wishes = Wishes { agents: vec![(ID.into(), agents)], ..Wishes::default() };
        store.keep_campaigns(who, wishes, at(seconds)).await.unwrap();
    };
    let seen = async |who: &Once, seconds| {
        let open = store.open_campaigns(who, at(seconds)).await.unwrap().remove(0);
        (open.owner, open.elsewhere)
    };
    assert_eq!(seen(&me, 0).await, (Owner::Nobody, 0));
    assert_eq!(mine(&store, &me, at(0)).await, [ID]);
    tell(&me, 1, 0).await;
    tell(&other, 4, 1).await;
    let until = Owner::Me(at(20));
    assert_eq!((seen(&me, 2).await, seen(&other, 2).await), ((until, 4), (Owner::Other, 1)));
    assert!(mine(&store, &other, at(2)).await.is_empty(), "it is dialled by one at a time");
    let leave = Wishes { leave: vec![ID.into()], ..Wishes::default() };
    store.keep_campaigns(&other, leave.clone(), at(2)).await.unwrap();
    assert_eq!(seen(&me, 2).await.0, until, "nobody gives away what is not his");
    store.keep_campaigns(&me, leave, at(2)).await.unwrap();
    assert_eq!(seen(&other, 2).await, (Owner::Nobody, 1));
    assert_eq!(mine(&store, &other, at(3)).await, [ID]);
    // Where several processes have one database, a start takes nothing from anybody.
    store.start_campaigns().await.unwrap();
    if url.starts_with("sqlite") {
        assert_eq!(seen(&me, 4).await, (Owner::Nobody, 0), "this process had it before");
        assert_eq!(mine(&store, &other, at(4)).await, [ID]);
        tell(&other, 4, 4).await;
    } else {
        assert_eq!(seen(&me, 4).await, (Owner::Other, 4));
    }
    // Who says nothing any more has none.
    assert_eq!(seen(&me, 20).await.1, 0);
    assert_eq!(seen(&me, 25).await, (Owner::Nobody, 0));
}

pub(crate) async fn what_ended_long_ago_is_forgotten_with_its_numbers(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    for id in ["1", "2"] {
        store.create_campaign(campaign(merchant, id), numbers(3)).await.unwrap();
    }
    let end = (CampaignState::Ended, at(100));
    store.set_campaign("9001", "1", end).await.unwrap();
    let day = 86_400;
    store.purge(at(100 + 89 * day)).await.unwrap();
    assert!(store.campaign("9001", "1").await.unwrap().is_some());
    store.purge(at(101 + 90 * day)).await.unwrap();
    assert!(store.campaign("9001", "1").await.unwrap().is_none());
    assert!(store.campaign_numbers("1", 0, 9).await.unwrap().is_empty());
    let (_, tally) = store.campaign("9001", "2").await.unwrap().unwrap();
    assert_eq!((tally.total, tally.waiting), (3, 3), "one that runs stays, however old");
}

pub(crate) async fn a_campaign_is_told_by_the_records_of_its_calls(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let kept = store.create_campaign(campaign(merchant, ID), numbers(1_203)).await;
    assert_eq!(kept.unwrap(), 1_203);
    let taken = store.create_campaign(campaign(merchant, ID), numbers(1)).await;
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
    let next = store.next_numbers(ID, T0, 3).await.unwrap();
    let seqs: Vec<_> =
        next.iter().map(|next| (next.seq, next.number.said.customuuid.as_str())).collect();
    assert_eq!(seqs, [(1, "order 1"), (2, "order 2"), (3, "order 3")]);
    // Two are called: one is joined, the other does not answer; a third cannot be called.
    let command = |n: u64| {
        let mut command = command(merchant, HOME, HOME_B);
        command.purpose = Purpose::Campaign;
        command.pushes.clear();
        command.custom = n.to_string();
        command
    };
    for call in [1, 2] {
        granted(&store, call, &command(call)).await;
        store.calling(ID, call as i64, CallId(call)).await.unwrap();
    }
    store.uncallable(ID, 3, "no_route").await.unwrap();
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    let expected =
        Tally { total: 1_203, waiting: 1_200, calling: 2, refused: 1, ..Tally::default() };
    assert_eq!(tally, expected);
    assert_eq!(store.campaign_calls(ID).await.unwrap(), [CallId(1), CallId(2)]);
    let mut joined = facts(1, &command(1), Some((Some(0), 10)), Some((Some(2), 10)));
    joined.bridged = Some(at(2));
    store.settle(joined, context()).await.unwrap();
    let missed = facts(2, &command(2), Some((None, 10)), None);
    store.settle(missed, context()).await.unwrap();
    // What was noted once is noted, however often it is looked at.
    for _ in 0..2 {
        let tally = store.note_campaign(ID, at(60)).await.unwrap();
        let expected = Tally { calling: 0, done: 2, answered: 1, joined: 1, ..expected };
        assert_eq!(tally, expected);
    }
    let listed = store.campaign_numbers(ID, 0, 4).await.unwrap();
    let states: Vec<_> = listed.iter().map(|number| (number.state, number.joined)).collect();
    use NumberState::{Done, Refused, Waiting};
    assert_eq!(states, [(Done, true), (Done, false), (Refused, false), (Waiting, false)]);
    assert_eq!(listed[2].why.as_deref(), Some("no_route"));
    assert_eq!((&listed[0].why, listed[1].why.is_some()), (&None, true), "{:?}", listed[1]);
    // A call that is noted after its record was written is found all the same.
    granted(&store, 4, &command(4)).await;
    store.settle(facts(4, &command(4), Some((None, 5)), None), context()).await.unwrap();
    store.calling(ID, 4, CallId(4)).await.unwrap();
    assert_eq!(store.note_campaign(ID, at(60)).await.unwrap().done, 3);
    // One that was lost by a fault of our own is called once more, and not for ever.
    let next = async || store.next_numbers(ID, T0, 1).await.unwrap().remove(0);
    for call in 5..8 {
        let number = next().await;
        assert_eq!((number.seq, u64::from(number.tries)), (5, call - 5));
        granted(&store, call, &command(call)).await;
        store.calling(ID, 5, CallId(call)).await.unwrap();
        let mut lost = facts(call, &command(call), Some((None, 5)), None);
        let failure = Failure::new(Origin::Us, Kind::Crash);
        lost.outcome = Outcome::Failed(failure);
        store.settle(lost, context()).await.unwrap();
        store.note_campaign(ID, at(60)).await.unwrap();
    }
    assert_eq!(next().await.seq, 6);
}

pub(crate) async fn a_campaign_begins_pauses_and_ends(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let waits = Campaign {
        state: CampaignState::Waiting,
        begins: Some(at(10)),
        pauses: Some(at(20)),
        ..campaign(merchant, ID)
    };
    store.create_campaign(waits, numbers(2)).await.unwrap();
    let (me, other) = (Once::fresh().unwrap(), Once::fresh().unwrap());
    let of = async |who, seconds| mine(&store, who, at(seconds)).await;
    let running = async |seconds| of(&me, seconds).await;
    let state = async || store.campaign("9001", ID).await.unwrap().unwrap().0.state;
    assert!(running(9).await.is_empty());
    assert_eq!(running(10).await, [ID]);
    assert!(of(&other, 11).await.is_empty(), "one process dials it");
    assert!(running(20).await.is_empty());
    assert_eq!(state().await, CampaignState::Paused);
    let set = async |company, to| store.set_campaign(company, ID, (to, at(30))).await.unwrap();
    assert_eq!(set("9002", CampaignState::Running).await, None, "somebody else's");
    assert_eq!(set("9001", CampaignState::Running).await, Some(CampaignState::Paused));
    assert_eq!(running(21).await, [ID], "it pauses by itself once");
    assert_eq!(of(&other, 60).await, [ID], "whoever looked after it is gone");
    assert!(running(61).await.is_empty());
    for seq in [1, 2] {
        store.uncallable(ID, seq, "blocked").await.unwrap();
    }
    assert!(store.note_campaign(ID, at(60)).await.unwrap().is_over());
    assert_eq!(state().await, CampaignState::Ended);
    assert_eq!(set("9001", CampaignState::Running).await, Some(CampaignState::Ended));
    assert_eq!(state().await, CampaignState::Ended, "what has ended stays so");
    // With more numbers it waits to be started; nothing comes twice.
    let later = NewNumber { due: Some(at(100)), ..numbers(1).remove(0) };
    let known = store.add_campaign_numbers("9001", ID, vec![later]).await.unwrap();
    let waits = CampaignState::Waiting;
    assert_eq!((known, state().await), (Some((waits, 1)), waits));
    assert!(store.next_numbers(ID, at(99), 9).await.unwrap().is_empty());
    assert_eq!(store.next_numbers(ID, at(100), 9).await.unwrap()[0].seq, 3);
    assert_eq!(store.add_campaign_numbers("9002", ID, numbers(1)).await.unwrap(), None);
    // One that was cancelled stays so.
    set("9001", CampaignState::Ended).await;
    let known = store.add_campaign_numbers("9001", ID, numbers(1)).await.unwrap();
    let ended = CampaignState::Ended;
    assert_eq!((known, state().await), (Some((ended, 0)), ended), "and takes no more");
    let (total, listed) = store.campaigns("9001", 0, 10).await.unwrap();
    assert_eq!((total, listed.len(), listed[0].1.total), (1, 1, 3));
    assert_eq!(store.campaigns("9001", 1, 10).await.unwrap(), (1, vec![]));
    assert_eq!(store.campaigns("9002", 0, 10).await.unwrap(), (0, vec![]));
}
