//! Campaigns: numbers that are dialled for agents.

use billing::campaigns::{
    Campaign, CampaignState, NewNumber, NumberState, Plan, Said, Takers, Tally,
};
use billing::{Error, Once, Store};
use facts::{CallId, Failure, Kind, MerchantId, Origin, Outcome, Purpose};

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

pub(crate) async fn a_campaign_is_told_by_the_records_of_its_calls(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    store.create_campaign(campaign(merchant, ID), numbers(1_203)).await.unwrap();
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
    let tally = store.note_campaign(ID).await.unwrap();
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
        let tally = store.note_campaign(ID).await.unwrap();
        let expected = Tally { calling: 0, done: 2, answered: 1, joined: 1, ..expected };
        assert_eq!(tally, expected);
    }
    let listed = store.campaign_numbers(ID, 0, 4).await.unwrap();
    let states: Vec<_> = listed.iter().map(|number| (number.state, number.joined)).collect();
    use NumberState::{Done, Refused, Waiting};
    assert_eq!(states, [(Done, true), (Done, false), (Refused, false), (Waiting, false)]);
    assert_eq!(listed[2].why.as_deref(), Some("no_route"));
    // A call that is noted after its record was written is found all the same.
    granted(&store, 4, &command(4)).await;
    store.settle(facts(4, &command(4), Some((None, 5)), None), context()).await.unwrap();
    store.calling(ID, 4, CallId(4)).await.unwrap();
    assert_eq!(store.note_campaign(ID).await.unwrap().done, 3);
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
        store.note_campaign(ID).await.unwrap();
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
    let of = async |who, seconds| {
        let running = store.my_campaigns(who, at(seconds)).await.unwrap();
        running.into_iter().map(|campaign| campaign.id).collect::<Vec<_>>()
    };
    let running = async |seconds| of(&me, seconds).await;
    let state = async || store.campaign("9001", ID).await.unwrap().unwrap().0.state;
    assert!(running(9).await.is_empty());
    assert_eq!(running(10).await, [ID]);
    assert!(of(&other, 11).await.is_empty(), "one process dials it");
    assert!(running(20).await.is_empty());
    assert_eq!(state().await, CampaignState::Paused);
    let set = async |company, to| store.set_campaign(company, ID, to).await.unwrap();
    assert_eq!(set("9002", CampaignState::Running).await, None, "somebody else's");
    assert_eq!(set("9001", CampaignState::Running).await, Some(CampaignState::Paused));
    assert_eq!(running(21).await, [ID], "it pauses by itself once");
    assert_eq!(of(&other, 60).await, [ID], "whoever looked after it is gone");
    assert!(running(61).await.is_empty());
    for seq in [1, 2] {
        store.uncallable(ID, seq, "blocked").await.unwrap();
    }
    assert!(store.note_campaign(ID).await.unwrap().is_over());
    assert_eq!(state().await, CampaignState::Ended);
    assert_eq!(set("9001", CampaignState::Running).await, Some(CampaignState::Ended));
    assert_eq!(state().await, CampaignState::Ended, "what has ended stays so");
    // With more numbers it waits to be started; nothing comes twice.
    let later = NewNumber { due: Some(at(100)), ..numbers(1).remove(0) };
    let known = store.add_campaign_numbers("9001", ID, vec![later]).await.unwrap();
    assert_eq!((known, state().await), (Some(CampaignState::Waiting), CampaignState::Waiting));
    assert!(store.next_numbers(ID, at(99), 9).await.unwrap().is_empty());
    assert_eq!(store.next_numbers(ID, at(100), 9).await.unwrap()[0].seq, 3);
    assert_eq!(store.add_campaign_numbers("9002", ID, numbers(1)).await.unwrap(), None);
    // One that was cancelled stays so.
    set("9001", CampaignState::Ended).await;
    let known = store.add_campaign_numbers("9001", ID, numbers(1)).await.unwrap();
    assert_eq!((known, state().await), (Some(CampaignState::Ended), CampaignState::Ended));
    let (total, listed) = store.campaigns("9001", 0, 10).await.unwrap();
    assert_eq!((total, listed.len(), listed[0].1.total), (1, 1, 3));
    assert_eq!(store.campaigns("9001", 1, 10).await.unwrap(), (1, vec![]));
    assert_eq!(store.campaigns("9002", 0, 10).await.unwrap(), (0, vec![]));
}
