//! Campaigns of `/v1`: what is told of them, how often a number is called, requests that come again.

use std::sync::Arc;

use billing::campaigns::{
    Added, Campaign, CampaignState, Created, NewNumber, NumberState, Own, Plan, Request, Said,
    Takers, Terms, home, try_key,
};
use billing::rows::Payload;
use billing::{Once, Store};
use facts::campaign::CampaignTurn;
use facts::{
    CallCommand, CallId, Dialect, Failure, Kind, MerchantId, Origin, Outcome, Purpose, Push,
    PushKind, RequestKey, UnixMillis,
};

use crate::support::*;

const ID: &str = "177000000000000001";
const OTHER: &str = "177000000000000002";
const TERMS: Terms = Terms { reopens: false, most: 200_000 };

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
    let number = |n| {
        let phone = format!("138{n:08}");
        NewNumber { meant: format!("+86{phone}"), phone, due: None, said: Said::default() }
    };
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
    store.calling(id, seq, tries, CallId(call)).await.unwrap();
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
        store.add_under(request, at(1), (&place, id), (numbers(2, count), TERMS)).await.unwrap()
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

/// The call of a number of such a campaign.
fn tried(merchant: MerchantId, seq: i64, (call, tries): (u64, u32)) -> CallCommand {
    let key = try_key(ID, seq, tries);
    let listed = |kind| Push {
        kind,
        dialect: Dialect::Rest,
        endpoint: String::new(),
        context: String::from("{}"),
    };
    CallCommand {
        dialect: Dialect::Rest,
        purpose: Purpose::Notice,
        key: Some(RequestKey { dialect: Dialect::Rest, key, fingerprint: String::new() }),
        custom: call.to_string(),
        pushes: vec![listed(PushKind::State), listed(PushKind::Record)],
        ..command(merchant, HOME, HOME_B)
    }
}

/// Calls a number; nobody is rung, for that.
async fn in_vain(
    store: &Store,
    merchant: MerchantId,
    (seq, call, tries): (i64, u64, u32),
    failure: Failure,
) {
    let command = tried(merchant, seq, (call, tries));
    granted(store, call, &command).await;
    store.calling(ID, seq, tries, CallId(call)).await.unwrap();
    let mut over = facts(call, &command, None, None);
    over.outcome = Outcome::Failed(failure);
    assert!(over.legs.is_empty());
    store.settle(over, context()).await.unwrap();
}

pub(crate) async fn case_69_a_sound_that_cannot_be_had_pauses_a_campaign_and_spends_no_number(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    create(&store, merchant, ID, 22).await;
    let dead = Failure::new(Origin::Media, Kind::Internal);
    let stands = async || store.known_campaign(&home(merchant), ID).await.unwrap().unwrap();
    // A fault of our own is no sound that cannot be had, and says nothing of one.
    in_vain(&store, merchant, (22, 100, 0), Failure::new(Origin::Us, Kind::Internal)).await;
    for seq in 1..=19 {
        in_vain(&store, merchant, (seq, seq.unsigned_abs(), 0), dead).await;
    }
    store.note_campaign(ID, at(60)).await.unwrap();
    assert_eq!(stands().await.campaign.state, CampaignState::Running);
    // Whoever hears it shows that it can be had: it is counted from there.
    called(&store, (merchant, ID, 20), (20, 0), (Some(3), None)).await;
    store.note_campaign(ID, at(61)).await.unwrap();
    for seq in 1..=19 {
        in_vain(&store, merchant, (seq, 200 + seq.unsigned_abs(), 1), dead).await;
    }
    store.note_campaign(ID, at(62)).await.unwrap();
    assert_eq!(stands().await.campaign.state, CampaignState::Running);
    in_vain(&store, merchant, (21, 300, 0), dead).await;
    let tally = store.note_campaign(ID, at(63)).await.unwrap();
    assert_eq!((tally.waiting, tally.calling, tally.done), (21, 0, 1), "no number is spent");
    let paused = stands().await;
    assert_eq!((paused.campaign.state, paused.reason.as_str()), (CampaignState::Paused, "sound"));
    assert_eq!(
        told(&store, merchant).await,
        [(ID.into(), CampaignTurn::Paused, "sound".into(), 21)]
    );
    let listed = store.campaign_numbers(ID, 20, 2).await.unwrap();
    assert_eq!((listed[0].why.as_deref(), listed[0].not_before), (Some("sound"), Some(at(123))));
    assert_eq!((listed[1].why.as_deref(), listed[1].not_before), (None, None));
    // Somebody has seen to it: it has as many once more.
    let run = (CampaignState::Running, at(70));
    store.set_campaign(&home(merchant), ID, run).await.unwrap();
    in_vain(&store, merchant, (21, 301, 1), dead).await;
    store.note_campaign(ID, at(71)).await.unwrap();
    assert_eq!(stands().await.campaign.state, CampaignState::Running);
}

pub(crate) async fn s4_4_a_try_that_found_no_room_is_told_to_its_end_at_v1(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    create(&store, merchant, ID, 1).await;
    in_vain(&store, merchant, (1, 1, 0), Failure::new(Origin::LegA, Kind::Congestion)).await;
    assert_eq!(store.note_campaign(ID, at(60)).await.unwrap().waiting, 1, "it is called again");
    let events = store.events(merchant, 0, 9).await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(
        matches!(&events[0].payload, Payload::Record(record) if record.facts.call == CallId(1))
    );
    let listed = store.records_between((Dialect::Rest, "app1", Purpose::Notice), (T0, at(99)), 9);
    assert!(listed.await.unwrap().is_empty(), "and is in no list");
}

pub(crate) async fn one_number_in_two_spellings_is_called_once_and_so_many_are_kept_at_most(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let written = |phone: &str| NewNumber { phone: phone.into(), ..numbers(7, 1).remove(0) };
    let both = Arc::new(vec![written("+86 138 0000 0007"), written("13800000007")]);
    let made = store.create_campaign(campaign(merchant, ID), both, None).await.unwrap();
    assert_eq!(made, Created::Now(1));
    let listed = store.campaign_numbers(ID, 0, 9).await.unwrap();
    assert_eq!((listed.len(), listed[0].number.phone.as_str()), (1, "+86 138 0000 0007"));
    let place = home(merchant);
    let add = async |numbers: Vec<NewNumber>, most: u64| {
        let (request, terms) = (Request::unnamed().unwrap(), Terms { most, ..TERMS });
        store.add_under(request, at(1), (&place, ID), (numbers, terms)).await.unwrap()
    };
    let now = |count| Added::Now(CampaignState::Running, count);
    assert_eq!(add(vec![written("0086-13800000007")], 9).await, now(0));
    // More than one statement has room for, among those that wait already.
    assert_eq!(add(numbers(1, 1_200), 1_199).await, Added::Full);
    assert_eq!(store.campaign("", ID).await.unwrap(), None);
    assert_eq!(store.known_campaign(&place, ID).await.unwrap().unwrap().tally.total, 1);
    assert_eq!(add(numbers(1, 1_200), 1_200).await, now(1_199));
    assert_eq!(add(numbers(1, 1_200), 1_200).await, now(0), "they all wait already");
    assert_eq!(add(numbers(1_201, 1), 1_200).await, Added::Full);
}

pub(crate) async fn a_campaign_without_numbers_waits_for_some(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let (place, me) = (home(merchant), Once::fresh().unwrap());
    let empty = |id: &str, begins| Campaign {
        state: CampaignState::Waiting,
        begins,
        ..campaign(merchant, id)
    };
    for (id, begins) in [(ID, None), (OTHER, Some(at(10)))] {
        let made = store.create_campaign(empty(id, begins), Arc::default(), None).await.unwrap();
        assert_eq!(made, Created::Now(0));
    }
    let state = async |id| store.known_campaign(&place, id).await.unwrap().unwrap().campaign.state;
    let set = async |to| store.set_campaign(&place, ID, (to, at(5))).await.unwrap();
    for to in [CampaignState::Running, CampaignState::Paused, CampaignState::Running] {
        set(to).await;
    }
    assert!(store.open_campaigns(&me, at(11)).await.unwrap().open.is_empty());
    assert_eq!(
        (state(ID).await, state(OTHER).await),
        (CampaignState::Waiting, CampaignState::Waiting)
    );
    let add = async |id| {
        let request = Request::unnamed().unwrap();
        store.add_under(request, at(12), (&place, id), (numbers(1, 1), TERMS)).await.unwrap()
    };
    for id in [ID, OTHER] {
        assert_eq!(add(id).await, Added::Now(CampaignState::Waiting, 1));
    }
    // Its time has come; the other one is run by hand.
    let found = store.open_campaigns(&me, at(13)).await.unwrap().open;
    assert_eq!(found.iter().map(|open| open.campaign.id.as_str()).collect::<Vec<_>>(), [OTHER]);
    set(CampaignState::Running).await;
    assert_eq!(state(ID).await, CampaignState::Running);
    // One of which all numbers were called is over when it runs again.
    store.uncallable(ID, 1, "blocked").await.unwrap();
    set(CampaignState::Paused).await;
    set(CampaignState::Running).await;
    assert!(store.note_campaign(ID, at(14)).await.unwrap().is_over());
    assert_eq!(state(ID).await, CampaignState::Ended);
}

pub(crate) async fn an_event_of_a_campaign_has_an_id_of_its_own_whatever_was_forgotten(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    create(&store, merchant, ID, 1).await;
    let pause = async |seconds| store.pause_campaign(ID, "no_route", at(seconds)).await.unwrap();
    pause(1).await;
    store.set_campaign(&home(merchant), ID, (CampaignState::Running, at(2))).await.unwrap();
    // What was told ninety days ago is forgotten, campaigns that are not over are not.
    let late = at(100 * 86_400);
    store.purge(late).await.unwrap();
    assert!(store.events(merchant, 0, 9).await.unwrap().is_empty());
    store.pause_campaign(ID, "no_route", late).await.unwrap();
    let events = store.events(merchant, 0, 9).await.unwrap();
    let Payload::Campaign(change) = &events[0].payload else { panic!("{events:?}") };
    assert_eq!((events.len(), change.sequence), (1, 2));
}

pub(crate) async fn a_try_that_was_noted_is_not_noted_as_the_next_one(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    create(&store, merchant, ID, 1).await;
    in_vain(&store, merchant, (1, 1, 0), Failure::new(Origin::Us, Kind::Crash)).await;
    let waiting = store.note_campaign(ID, at(60)).await.unwrap().waiting;
    assert_eq!(waiting, 1);
    // Whoever notes the first try once more is late: the number has not been called again.
    store.calling(ID, 1, 0, CallId(1)).await.unwrap();
    let listed = store.campaign_numbers(ID, 0, 1).await.unwrap();
    assert_eq!((listed[0].state, listed[0].tries), (NumberState::Waiting, 1));
    store.calling(ID, 1, 1, CallId(2)).await.unwrap();
    let listed = store.campaign_numbers(ID, 0, 1).await.unwrap();
    assert_eq!((listed[0].state, listed[0].tries), (NumberState::Calling, 2));
}
