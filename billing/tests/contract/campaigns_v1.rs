//! Campaigns of `/v1`: what is told of them, how often a number is called, requests that come again.

use std::sync::Arc;

use billing::campaigns::{
    Added, Campaign, CampaignState, Created, NewNumber, NumberState, Own, Plan, Request, Said,
    Takers, home, try_key,
};
use billing::rows::Payload;
use billing::{Once, Store};
use facts::campaign::CampaignTurn;
use facts::{
    CallCommand, CallId, Dialect, Failure, Kind, MerchantId, Origin, Outcome, Purpose, RequestKey,
    UnixMillis,
};

use crate::support::*;

const ID: &str = "177000000000000001";
const OTHER: &str = "177000000000000002";

fn campaign(merchant: MerchantId, id: &str) -> Campaign {
    let own = Own {
        context: r#"{"reference":"winter"}"#.into(),
        ring_s: 30,
        max_talk_s: None,
        record: None,
        tries: 2,
        retry_s: 100,
        hours: facts::Hours::default(),
        zone: "UTC".into(),
    };
    let plan = Plan {
        takers: Takers::Scenario("{}".into()),
        lines_per_agent: 1_000,
        predicts: false,
        concurrent: 100,
        abandoned: 30,
        shown: vec![],
        own: Some(own),
    };
    Campaign {
        id: id.into(),
        merchant,
        company: home(merchant),
        name: "winter".into(),
        plan,
        begins: None,
        pauses: None,
        state: CampaignState::Running,
        created: T0,
    }
}

fn numbers(from: u32, count: u32) -> Vec<NewNumber> {
    let number = |n| NewNumber { phone: format!("138{n:08}"), due: None, said: Said::default() };
    (from..from + count).map(number).collect()
}

async fn create(store: &Store, merchant: MerchantId, id: &str, count: u32) {
    let made = store.create_campaign(campaign(merchant, id), Arc::new(numbers(1, count)), None);
    assert_eq!(made.await.unwrap(), Created::Now(count.into()));
}

/// Calls a number, which is not answered for that.
async fn called(
    store: &Store,
    (merchant, id, seq): (MerchantId, &str, i64),
    (call, tries): (u64, u32),
    (answered, failure): (Option<u64>, Option<Kind>),
) {
    let key = RequestKey {
        dialect: Dialect::Rest,
        key: try_key(id, seq, tries),
        fingerprint: String::new(),
    };
    let command = CallCommand {
        dialect: Dialect::Rest,
        purpose: Purpose::Notice,
        key: Some(key),
        custom: call.to_string(),
        ..command(merchant, HOME, HOME_B)
    };
    assert_eq!(command.campaign(), Some((id, tries)));
    granted(store, call, &command).await;
    store.calling(id, seq, CallId(call)).await.unwrap();
    let mut over = facts(call, &command, Some((answered, 5)), None);
    if let Some(kind) = failure {
        over.outcome = Outcome::Failed(Failure::new(Origin::LegA, kind));
    }
    store.settle(over, context()).await.unwrap();
}

/// What was told of a campaign, in its order.
async fn told(store: &Store, merchant: MerchantId) -> Vec<(String, CampaignTurn, String, u64)> {
    let rows = store.events(merchant, 0, 100).await.unwrap();
    let change = rows.into_iter().filter_map(|row| match row.payload {
        Payload::Campaign(change) => {
            assert_eq!(row.context, r#"{"reference":"winter"}"#);
            assert_eq!(row.sequence, change.sequence, "counted from 1");
            Some((change.campaign, change.turn, change.reason, change.tally.waiting))
        }
        _ => None,
    });
    change.collect()
}

pub(crate) async fn a_number_that_nobody_answers_is_called_as_often_as_was_said(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    create(&store, merchant, ID, 2).await;
    let me = Once::fresh().unwrap();
    called(&store, (merchant, ID, 1), (1, 0), (None, Some(Kind::NoAnswer))).await;
    // A number that is none is not called again, whoever answered neither.
    called(&store, (merchant, ID, 2), (2, 0), (None, Some(Kind::Unallocated))).await;
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    assert_eq!((tally.waiting, tally.calling, tally.done), (1, 0, 1));
    let listed = store.campaign_numbers(ID, 0, 2).await.unwrap();
    assert_eq!(
        (listed[0].state, listed[0].why.as_deref()),
        (NumberState::Waiting, Some("no_answer"))
    );
    assert_eq!((listed[0].not_before, listed[0].tries), (Some(at(160)), 1));
    let next = async |now: UnixMillis| {
        let take = vec![ID.to_owned()];
        let wishes = billing::campaigns::Wishes { take, ..Default::default() };
        store.keep_campaigns(&me, wishes, now).await.unwrap();
        store.next_numbers(&me, ID, now, 9).await.unwrap().len()
    };
    assert_eq!((next(at(159)).await, next(at(160)).await), (0, 1));
    assert!(store.under_way(&me, at(61)).await.unwrap().crowded.is_empty());
    called(&store, (merchant, ID, 1), (3, 1), (None, Some(Kind::Busy))).await;
    let tally = store.note_campaign(ID, at(200)).await.unwrap();
    assert_eq!((tally.waiting, tally.done, tally.answered), (0, 2, 0));
    let listed = store.campaign_numbers(ID, 0, 2).await.unwrap();
    assert_eq!((listed[0].state, listed[0].why.as_deref()), (NumberState::Done, Some("busy")));
    assert_eq!(told(&store, merchant).await, [(ID.into(), CampaignTurn::Ended, String::new(), 0)]);
    // A restart that cut one off before the answer is no try of the number's.
    create(&store, merchant, OTHER, 1).await;
    called(&store, (merchant, OTHER, 1), (4, 0), (None, Some(Kind::Crash))).await;
    called(&store, (merchant, OTHER, 1), (5, 1), (Some(3), None)).await;
    assert_eq!(store.note_campaign(OTHER, at(300)).await.unwrap().waiting, 1);
}

pub(crate) async fn what_becomes_of_a_campaign_is_told_once(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let events = vec!["campaign.paused".to_owned()];
    let of = ("http://a.example/".to_owned(), events, "whsec_x".to_owned());
    let hook = store.create_webhook(merchant, of, T0).await.unwrap();
    create(&store, merchant, ID, 3).await;
    for _ in 0..2 {
        store.pause_campaign(ID, "no_balance", at(5)).await.unwrap();
    }
    let known = store.known_campaign(&home(merchant), ID).await.unwrap().unwrap();
    assert_eq!(
        (known.campaign.state, known.reason.as_str()),
        (CampaignState::Paused, "no_balance")
    );
    let set = async |state, seconds| {
        store.set_campaign(&home(merchant), ID, (state, at(seconds))).await.unwrap()
    };
    assert_eq!(set(CampaignState::Running, 6).await, Some(CampaignState::Paused));
    let known = store.known_campaign(&home(merchant), ID).await.unwrap().unwrap();
    assert_eq!((known.reason.as_str(), known.ended, known.cancelled), ("", None, false));
    store.pause_campaign(ID, "no_route", at(7)).await.unwrap();
    set(CampaignState::Running, 8).await;
    for _ in 0..2 {
        set(CampaignState::Ended, 9).await;
    }
    let known = store.known_campaign(&home(merchant), ID).await.unwrap().unwrap();
    assert_eq!((known.ended, known.cancelled), (Some(at(9)), true));
    let all = [
        (ID.to_owned(), CampaignTurn::Paused, "no_balance".to_owned(), 3),
        (ID.to_owned(), CampaignTurn::Paused, "no_route".to_owned(), 3),
        (ID.to_owned(), CampaignTurn::Cancelled, String::new(), 3),
    ];
    assert_eq!(told(&store, merchant).await, all);
    let pushed = store.deliveries(hook.id, 0, 9).await.unwrap();
    assert_eq!(pushed.len(), 2, "the webhook wants those alone");
    // System 002 has events of calls, and none of lists.
    let task = Campaign { company: "9001".into(), ..campaign(merchant, "20260115093000123456") };
    let task = Campaign { plan: Plan { own: None, ..task.plan.clone() }, ..task };
    store.create_campaign(task, Arc::default(), None).await.unwrap();
    store.pause_campaign("20260115093000123456", "no_route", at(9)).await.unwrap();
    assert_eq!(told(&store, merchant).await.len(), 3);
    // Each surface has its own.
    assert_eq!(store.campaigns("9001", 0, 9).await.unwrap().0, 1);
    assert!(store.known_campaign(&home(merchant), "20260115093000123456").await.unwrap().is_none());
    let listed = store.known_campaigns(&home(merchant), None, 9).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(store.known_campaigns(&home(merchant), Some(ID), 9).await.unwrap().is_empty());
}

pub(crate) async fn numbers_that_are_added_under_a_name_are_added_once(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    create(&store, merchant, ID, 2).await;
    create(&store, merchant, OTHER, 1).await;
    let place = home(merchant);
    let add = async |name: &str, id: &str, said: &str, count: u32| {
        let request = Request { name: name.into(), fingerprint: said.into() };
        store.add_under(request, at(1), (&place, id), (numbers(2, count), false)).await.unwrap()
    };
    let running = CampaignState::Running;
    assert_eq!(add("a", ID, "x", 3).await, Added::Now(running, 2), "one waits already");
    assert_eq!(add("a", ID, "x", 3).await, Added::Before(running, 2));
    assert_eq!(add("a", ID, "y", 3).await, Added::OtherRequest);
    assert_eq!(add("a", OTHER, "x", 3).await, Added::OtherRequest);
    assert_eq!(add("b", "1", "x", 3).await, Added::Missing);
    let request = Request { name: "a".into(), fingerprint: "x".into() };
    let before = store.added_under(&request, at(2), (&place, ID)).await.unwrap();
    assert_eq!(before, Some(Added::Before(running, 2)));
    assert_eq!(store.known_campaign(&place, ID).await.unwrap().unwrap().tally.total, 4);
    // What is made under a name is told as it was, however many were added since.
    let request = Request { name: "c".into(), fingerprint: "x".into() };
    let made = Campaign { id: "177000000000000003".into(), ..campaign(merchant, ID) };
    let three = Arc::new(numbers(1, 3));
    let made = store.create_campaign(made, three, Some(request.clone())).await.unwrap();
    assert_eq!(made, Created::Now(3));
    add("d", "177000000000000003", "x", 9).await;
    let known = store.campaign_asked(&place, &request, at(2)).await.unwrap();
    assert_eq!(known, Some(Created::Before("177000000000000003".into(), 3)));
    // To what is over nothing is added.
    store.set_campaign(&place, ID, (CampaignState::Ended, at(3))).await.unwrap();
    assert_eq!(add("e", ID, "x", 9).await, Added::Now(CampaignState::Ended, 0));
}
