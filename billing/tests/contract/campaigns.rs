//! Campaigns: numbers that are dialled for agents.

use std::sync::Arc;
use std::time::Duration;

use billing::campaigns::{
    Campaign, CampaignState, Created, Found, NewNumber, NumberState, OPEN_MAX, Open, Owner, Plan,
    Request, Said, Takers, Tally, Wishes, try_key,
};
use billing::{Constraint, Error, Once, Store};
use facts::{
    CallCommand, CallId, Dialect, Failure, Kind, MerchantId, Micros, Origin, Outcome, Purpose,
    UnixMillis,
};

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
            own: None,
        },
        begins: None,
        pauses: None,
        state: CampaignState::Running,
        created: T0,
    }
}

fn numbers(count: u32) -> Vec<NewNumber> {
    let said = |n: u32| Said { customuuid: format!("order {n}"), ..Said::default() };
    let number = |n| {
        let phone = format!("138{n:08}");
        NewNumber { meant: phone.clone(), phone, due: None, said: said(n) }
    };
    (1..=count).map(number).collect()
}

async fn create(store: &Store, campaign: Campaign, numbers: Vec<NewNumber>) {
    let total = numbers.len() as u64;
    let created = store.create_campaign(campaign, Arc::new(numbers), None).await.unwrap();
    assert_eq!(created, Created::Now(total));
}

async fn add(
    store: &Store,
    whose: (&str, &str),
    numbers: Vec<NewNumber>,
) -> billing::Result<Option<(CampaignState, u64)>> {
    store.add_campaign_numbers(&once(), T0, whose, numbers).await
}

/// The campaigns that a process looks after, if it takes what it can.
async fn mine(store: &Store, me: &Once, now: UnixMillis) -> Vec<String> {
    let id = |open: Open| open.campaign.id;
    let all = store.open_campaigns(me, now).await.unwrap().open;
    let take = all.into_iter().map(id).collect();
    store.keep_campaigns(me, Wishes { take, ..Wishes::default() }, now).await.unwrap();
    let all = store.open_campaigns(me, now).await.unwrap().open;
    all.into_iter().filter(|open| matches!(open.owner, Owner::Me(_))).map(id).collect()
}

/// The places of the numbers that it may call then.
async fn next(store: &Store, me: &Once, now: UnixMillis) -> Vec<i64> {
    mine(store, me, now).await;
    let numbers = store.next_numbers(me, ID, now, 9).await.unwrap();
    numbers.iter().map(|number| number.seq).collect()
}

pub(crate) async fn a_number_that_waits_already_is_called_once(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let me = Once::fresh().unwrap();
    let mut list = numbers(3);
    list.push(list[1].clone());
    list.push(NewNumber { due: Some(at(900)), ..list[1].clone() });
    let created =
        store.create_campaign(campaign(merchant, ID), Arc::new(list), None).await.unwrap();
    assert_eq!(created, Created::Now(4));
    store.uncallable(ID, 1, "blocked").await.unwrap();
    // Whoever was called may be called again, who waits is waited for.
    let added = add(&store, ("9001", ID), numbers(3)).await.unwrap();
    assert_eq!(added, Some((CampaignState::Running, 1)));
    let (_, tally) = store.campaign("9001", ID).await.unwrap().unwrap();
    assert_eq!((tally.total, tally.waiting, tally.refused), (5, 4, 1));
    store.postpone(ID, 2, at(50)).await.unwrap();
    assert_eq!(
        next(&store, &me, at(49)).await,
        [3, 5],
        "one is put off, those behind it come first"
    );
    // It is the same number, however long it was put off.
    let added = add(&store, ("9001", ID), numbers(3)).await.unwrap();
    assert_eq!(added, Some((CampaignState::Running, 0)));
    assert_eq!(next(&store, &me, at(50)).await, [2, 3, 5]);
    // And is never called before the merchant wants it.
    store.postpone(ID, 4, at(60)).await.unwrap();
    assert_eq!(next(&store, &me, at(899)).await, [2, 3, 5]);
    assert_eq!(next(&store, &me, at(900)).await, [2, 3, 4, 5]);
}

pub(crate) async fn whoever_pauses_a_campaign_or_dials_it_elsewhere_is_obeyed_at_once(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    let (me, other) = (Once::fresh().unwrap(), Once::fresh().unwrap());
    create(&store, campaign(merchant, ID), numbers(2)).await;
    let asked =
        async |who, seconds| store.next_numbers(who, ID, at(seconds), 9).await.unwrap().len();
    assert_eq!(asked(&me, 0).await, 0, "nobody dials it yet");
    assert_eq!(mine(&store, &me, at(0)).await, [ID]);
    assert_eq!((asked(&me, 1).await, asked(&other, 1).await), (2, 0));
    for (state, may) in [(CampaignState::Paused, 0), (CampaignState::Running, 2)] {
        store.set_campaign("9001", ID, (state, at(2))).await.unwrap();
        assert_eq!(asked(&me, 2).await, may, "{state:?}");
    }
    assert_eq!(asked(&me, 20).await, 0, "its lease is over");
    store.set_campaign("9001", ID, (CampaignState::Ended, at(3))).await.unwrap();
    assert_eq!(asked(&me, 3).await, 0);
}

pub(crate) async fn a_campaign_that_was_cancelled_takes_no_numbers_whatever_still_rings(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    create(&store, campaign(merchant, ID), numbers(1)).await;
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    granted(&store, 1, &command).await;
    store.calling(ID, 1, 0, CallId(1)).await.unwrap();
    let ended = CampaignState::Ended;
    store.set_campaign("9001", ID, (ended, at(2))).await.unwrap();
    let added = add(&store, ("9001", ID), numbers(2)).await.unwrap();
    assert_eq!(added, Some((ended, 0)), "its last number still rings");
    store.settle(facts(1, &command, Some((None, 5)), None), context()).await.unwrap();
    assert!(store.note_campaign(ID, at(60)).await.unwrap().is_over());
    let added = add(&store, ("9001", ID), numbers(2)).await.unwrap();
    assert_eq!(added, Some((ended, 0)), "and now that it does not");
    assert_eq!(store.campaign("9001", ID).await.unwrap().unwrap().0.state, ended);
}

pub(crate) async fn s6_a_list_under_a_name_of_the_company_is_one_campaign(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let ask = async |id: &str, company: &str, said: &str, at: UnixMillis| {
        let campaign = Campaign { company: company.into(), created: at, ..campaign(merchant, id) };
        let request = Request { name: "order 7".into(), fingerprint: said.into() };
        store.create_campaign(campaign, Arc::new(numbers(3)), Some(request)).await.unwrap()
    };
    assert_eq!(ask("1", "9001", "spring", at(0)).await, Created::Now(3));
    assert_eq!(ask("2", "9001", "spring", at(1)).await, Created::Before("1".into(), 3));
    assert_eq!(ask("2", "9001", "autumn", at(1)).await, Created::OtherRequest);
    assert_eq!(ask("2", "9002", "spring", at(1)).await, Created::Now(3), "its own names");
    // Without a name each is one of its own; with one, many at once are one.
    create(&store, campaign(merchant, "3"), numbers(3)).await;
    let asked = ["4", "5", "6", "7"].map(|id| {
        let campaign = campaign(merchant, id);
        let request = Request { name: "order 8".into(), fingerprint: "spring".into() };
        let store = store.clone();
        tokio::spawn(async move {
            store.create_campaign(campaign, Arc::new(numbers(3)), Some(request)).await
        })
    });
    let mut made = 0;
    for one in asked {
        made += usize::from(one.await.unwrap().unwrap() == Created::Now(3));
    }
    assert_eq!(made, 1);
    assert_eq!(store.campaigns("9001", 0, 9).await.unwrap().0, 3);
    // Whoever did not hear of his commit runs again, and finds what is his.
    assert_eq!(ask("1", "9001", "spring", at(0)).await, Created::Now(3));
    // For thirty days, as calls.
    let month = 30 * 86_400;
    assert_eq!(ask("8", "9001", "autumn", at(month)).await, Created::OtherRequest);
    assert_eq!(ask("8", "9001", "autumn", at(month + 1)).await, Created::Now(3));
    assert!(store.purge(at(2 * month)).await.unwrap() > 0);
    assert_eq!(ask("9", "9002", "autumn", at(2 * month)).await, Created::Now(3));
}

pub(crate) async fn a_merchant_has_so_many_open_campaigns_at_most(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let asked = async |id: u32, state| {
        let campaign = Campaign { state, ..campaign(merchant, &format!("{id:03}")) };
        store.create_campaign(campaign, Arc::new(numbers(1)), None).await
    };
    for id in 1..OPEN_MAX {
        asked(id, CampaignState::Paused).await.unwrap();
    }
    // Two at once, and there is room for one.
    let both = tokio::join!(asked(500, CampaignState::Running), asked(501, CampaignState::Running));
    let full = |asked: &_| matches!(asked, Err(Error::Conflict(Constraint::Campaigns)));
    assert_ne!(full(&both.0), full(&both.1), "{both:?}");
    assert!(full(&asked(502, CampaignState::Waiting).await));
    // One that is over makes room, which it may want again.
    store.uncallable("001", 1, "blocked").await.unwrap();
    store.set_campaign("9001", "001", (CampaignState::Running, at(1))).await.unwrap();
    assert!(store.note_campaign("001", at(1)).await.unwrap().is_over());
    asked(503, CampaignState::Waiting).await.unwrap();
    let added = add(&store, ("9001", "001"), numbers(2)).await;
    assert!(matches!(added, Err(Error::Conflict(Constraint::Campaigns))), "{added:?}");
    assert_eq!(store.campaign("9001", "001").await.unwrap().unwrap().1.total, 1);
    // Only what runs is looked at.
    let Found { open, .. } = store.open_campaigns(&Once::fresh().unwrap(), at(2)).await.unwrap();
    assert_eq!(open.len(), 1);
}

/// Runs these statements as one transaction behind the store's back, and what is asked for before it commits.
async fn meanwhile<T: Send + 'static>(
    url: &str,
    statements: &[&str],
    asked: impl Future<Output = T> + Send + 'static,
) -> T {
    use sqlx::{Connection as _, Executor as _};
    async fn hold<D: sqlx::Database, T: Send + 'static>(
        mut other: D::Connection,
        begin: &str,
        statements: &[&str],
        asked: impl Future<Output = T> + Send + 'static,
    ) -> T
    where
        for<'a> &'a mut D::Connection: sqlx::Executor<'a, Database = D>,
    {
        other.execute(begin).await.unwrap();
        for sql in statements {
            assert_eq!(other.fetch_all(*sql).await.unwrap().len(), 1, "{sql}");
        }
        let asked = tokio::spawn(asked);
        // It comes as far as it can without knowing.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asked.is_finished(), "it waits");
        other.execute("COMMIT").await.unwrap();
        asked.await.unwrap()
    }
    if url.starts_with("sqlite") {
        let other = sqlx::SqliteConnection::connect(url).await.unwrap();
        hold::<sqlx::Sqlite, _>(other, "BEGIN IMMEDIATE", statements, asked).await
    } else {
        let other = sqlx::PgConnection::connect(url).await.unwrap();
        hold::<sqlx::Postgres, _>(other, "BEGIN", statements, asked).await
    }
}

pub(crate) async fn numbers_come_to_no_campaign_that_is_cancelled_meanwhile(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    create(&store, campaign(merchant, ID), numbers(1)).await;
    let asker = store.clone();
    let cancel = "UPDATE campaigns SET state = 'ended', ended = 7, cancelled = 1 RETURNING id";
    let asked = async move { add(&asker, ("9001", ID), numbers(3)).await };
    let added = meanwhile(&url, &[cancel], asked).await.unwrap();
    assert_eq!(added, Some((CampaignState::Ended, 0)));
    let (campaign, tally) = store.campaign("9001", ID).await.unwrap().unwrap();
    assert_eq!((campaign.state, tally.total), (CampaignState::Ended, 1));
}

pub(crate) async fn a_campaign_does_not_end_over_numbers_that_come_meanwhile(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    create(&store, campaign(merchant, ID), vec![]).await;
    let statements = [
        "INSERT INTO campaign_numbers (campaign, seq, phone, said) \
         SELECT id, 1, '13800000001', '{}' FROM campaigns RETURNING seq",
        "UPDATE campaigns SET total = 1, waiting = 1 RETURNING id",
    ];
    let noter = store.clone();
    let noted = async move { noter.note_campaign(ID, at(5)).await };
    let tally = meanwhile(&url, &statements, noted).await.unwrap();
    assert_eq!((tally.waiting, tally.is_over()), (1, false));
    let me = Once::fresh().unwrap();
    assert_eq!(next(&store, &me, at(6)).await, [1], "it is called");
    store.uncallable(ID, 1, "blocked").await.unwrap();
    assert!(store.note_campaign(ID, at(7)).await.unwrap().is_over());
    let (campaign, _) = store.campaign("9001", ID).await.unwrap().unwrap();
    assert_eq!(campaign.state, CampaignState::Ended);
}

/// A unit whose commit was not heard of runs again, and by then a number may be rung.
pub(crate) async fn numbers_that_are_added_again_under_one_name_are_called_once(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "100").await;
    create(&store, campaign(merchant, ID), vec![]).await;
    let once = once();
    let whose = ("9001", ID);
    let add = async || store.add_campaign_numbers(&once, at(1), whose, numbers(2)).await.unwrap();
    assert_eq!(add().await, Some((CampaignState::Running, 2)));
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    granted(&store, 1, &command).await;
    store.calling(ID, 1, 0, CallId(1)).await.unwrap();
    assert_eq!(add().await, Some((CampaignState::Running, 2)), "what it was");
    let (_, tally) = store.campaign("9001", ID).await.unwrap().unwrap();
    assert_eq!((tally.total, tally.waiting, tally.calling), (2, 1, 1));
    // Under another name the one that rings is called again, as the merchant wants.
    let added = self::add(&store, whose, numbers(2)).await.unwrap();
    assert_eq!(added, Some((CampaignState::Running, 1)));
}

/// Changes rows behind the store's back.
async fn spoil(url: &str, sql: &str) {
    use sqlx::{Connection as _, Executor as _};
    if url.starts_with("sqlite") {
        sqlx::SqliteConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    } else {
        sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    }
}

pub(crate) async fn a_campaign_that_nobody_can_read_stops_no_other(store: Store, url: String) {
    let merchant = fill(&store, "0").await;
    for id in ["1", "2"] {
        create(&store, campaign(merchant, id), numbers(1)).await;
    }
    spoil(&url, "UPDATE campaigns SET plan = '{\"takers\":7}' WHERE id = '1'").await;
    let me = Once::fresh().unwrap();
    assert_eq!(mine(&store, &me, at(0)).await, ["2"]);
    let Found { damaged, .. } = store.open_campaigns(&me, at(0)).await.unwrap();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert_eq!(damaged[0].0, "1");
    let (total, listed) = store.campaigns("9001", 0, 9).await.unwrap();
    assert_eq!((total, listed.len()), (2, 1));
    // Nor does it keep a group from being removed, and it can be ended.
    let removed = store.remove_group(&once(), at(1), "company", (merchant, "none")).await;
    assert_eq!(removed.unwrap(), billing::signs::Done::NoGroup);
    let end = (CampaignState::Ended, at(2));
    let stood = store.set_campaign("9001", "1", end).await.unwrap();
    assert_eq!(stood, Some(CampaignState::Running));
    assert!(store.open_campaigns(&me, at(3)).await.unwrap().damaged.is_empty());
}

/// Field case 69: a call that a restart cut off before anybody answered is called again, and counted once.
pub(crate) async fn case_69_a_call_that_a_restart_cut_off_is_no_call(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    create(&store, campaign(merchant, ID), numbers(2)).await;
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    for call in [1, 2] {
        granted(&store, call, &CallCommand { custom: call.to_string(), ..command.clone() }).await;
        store.calling(ID, call as i64, 0, CallId(call)).await.unwrap();
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
    create(&store, campaign(merchant, ID), numbers(2)).await;
    let mut command = command(merchant, HOME, HOME_B);
    command.purpose = Purpose::Campaign;
    // The one was never rung, the other one rang, and then its network gave up.
    for (call, rang) in [(1, None), (2, Some(at(2)))] {
        let command = CallCommand { custom: call.to_string(), ..command.clone() };
        granted(&store, call, &command).await;
        store.calling(ID, call as i64, 0, CallId(call)).await.unwrap();
        let mut full = facts(call, &command, Some((None, 5)), None);
        full.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Congestion));
        full.legs[0].progress = rang;
        store.settle(full, context()).await.unwrap();
    }
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    assert_eq!((tally.waiting, tally.calling, tally.done), (1, 0, 1));
    let listed = store.campaign_numbers(ID, 0, 2).await.unwrap();
    assert_eq!((listed[0].tries, listed[0].why.as_deref()), (1, Some("congestion")));
    let me = Once::fresh().unwrap();
    let crowded = async |seconds| store.under_way(&me, at(seconds)).await.unwrap().crowded;
    assert!(next(&store, &me, at(64)).await.is_empty(), "not at once");
    assert!(crowded(64).await.contains(ID));
    assert_eq!(listed[0].not_before, Some(at(65)));
    assert_eq!(next(&store, &me, at(65)).await, [1]);
    assert!(crowded(65).await.is_empty());
}

/// Nobody was rung: the merchant is told of a number once, when somebody was, or when it is not tried any more.
pub(crate) async fn s4_4_a_try_that_found_no_room_is_told_to_nobody(store: Store, _: String) {
    let merchant = fill(&store, "100").await;
    let tried = |call: u64, purpose, tries| CallCommand {
        dialect: Dialect::Sipcall,
        purpose,
        custom: call.to_string(),
        key: Some(key(&try_key(ID, 1, tries), "13800000001")),
        ..command(merchant, HOME, HOME_B)
    };
    let told = async |purpose| {
        let of = (Dialect::Sipcall, "app1", purpose);
        let listed = store.records_between(of, (T0, at(99)), 9).await.unwrap().len();
        (listed, store.outbox(None, None, 0, 9).await.unwrap().len())
    };
    create(&store, campaign(merchant, ID), numbers(1)).await;
    let full = |call: u64, command: &CallCommand| {
        let mut full = facts(call, command, None, None);
        full.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Congestion));
        full
    };
    for (call, purpose, tries) in [(1, Purpose::Campaign, 0), (2, Purpose::Notice, 98)] {
        let command = tried(call, purpose, tries);
        granted(&store, call, &command).await;
        store.calling(ID, 1, u32::try_from(call).unwrap() - 1, CallId(call)).await.unwrap();
        store.settle(full(call, &command), context()).await.unwrap();
        store.settle(full(call, &command), context()).await.unwrap();
        assert_eq!(told(purpose).await, (0, 0), "{purpose:?}");
        let tally = store.note_campaign(ID, at(60)).await.unwrap();
        assert_eq!((tally.waiting, tally.calling), (1, 0), "it waits for room");
    }
    // What was held is free again.
    assert_eq!(held(&store, merchant).await, Micros::ZERO);
    in_order(&store).await;
    // The last try is what became of it; so is one that rang.
    let last = tried(3, Purpose::Campaign, 99);
    granted(&store, 3, &last).await;
    store.settle(full(3, &last), context()).await.unwrap();
    assert_eq!(told(Purpose::Campaign).await, (1, 1));
    let rang = tried(4, Purpose::Campaign, 1);
    granted(&store, 4, &rang).await;
    let mut busy = facts(4, &rang, Some((None, 5)), None);
    busy.outcome = Outcome::Failed(Failure::new(Origin::LegA, Kind::Congestion));
    busy.legs[0].progress = Some(at(2));
    store.settle(busy, context()).await.unwrap();
    assert_eq!(told(Purpose::Campaign).await, (2, 2));
    // Calls that are no campaign's are on record whatever they found.
    let other = CallCommand { key: None, ..tried(5, Purpose::Notice, 0) };
    granted(&store, 5, &other).await;
    store.settle(full(5, &other), context()).await.unwrap();
    assert_eq!(told(Purpose::Notice).await, (1, 3));
}

pub(crate) async fn whoever_has_the_most_agents_may_take_a_campaign(store: Store, url: String) {
    let merchant = fill(&store, "0").await;
    create(&store, campaign(merchant, ID), numbers(2)).await;
    let (me, other) = (Once::fresh().unwrap(), Once::fresh().unwrap());
    let tell = async |who: &Once, agents, seconds| {
        let wishes = Wishes { agents: vec![(ID.into(), agents)], ..Wishes::default() };
        store.keep_campaigns(who, wishes, at(seconds)).await.unwrap();
    };
    let seen = async |who: &Once, seconds| {
        let open = store.open_campaigns(who, at(seconds)).await.unwrap().open.remove(0);
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
        create(&store, campaign(merchant, id), numbers(3)).await;
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
    create(&store, campaign(merchant, ID), numbers(1_203)).await;
    let taken = Campaign { created: at(1), ..campaign(merchant, ID) };
    let taken = store.create_campaign(taken, Arc::new(numbers(1)), None).await;
    assert!(matches!(taken, Err(Error::Conflict(_))), "{taken:?}");
    let me = Once::fresh().unwrap();
    assert_eq!(mine(&store, &me, T0).await, [ID]);
    let next = store.next_numbers(&me, ID, T0, 3).await.unwrap();
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
        store.calling(ID, call as i64, 0, CallId(call)).await.unwrap();
    }
    store.uncallable(ID, 3, "no_route").await.unwrap();
    let tally = store.note_campaign(ID, at(60)).await.unwrap();
    let expected =
        Tally { total: 1_203, waiting: 1_200, calling: 2, refused: 1, ..Tally::default() };
    assert_eq!(tally, expected);
    let under_way = store.under_way(&me, at(60)).await.unwrap();
    assert_eq!(under_way.calls[ID], [CallId(1), CallId(2)]);
    assert!(under_way.recorded.is_empty());
    let mut joined = facts(1, &command(1), Some((Some(0), 10)), Some((Some(2), 10)));
    joined.bridged = Some(at(2));
    store.settle(joined, context()).await.unwrap();
    let missed = facts(2, &command(2), Some((None, 10)), None);
    store.settle(missed, context()).await.unwrap();
    let under_way = store.under_way(&me, at(60)).await.unwrap();
    assert!(under_way.calls.is_empty() && under_way.recorded.contains(ID), "{under_way:?}");
    let other = Once::fresh().unwrap();
    assert_eq!(store.under_way(&other, at(60)).await.unwrap(), Default::default());
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
    store.calling(ID, 4, 0, CallId(4)).await.unwrap();
    assert_eq!(store.note_campaign(ID, at(60)).await.unwrap().done, 3);
    // One that was lost by a fault of our own is called once more, and not for ever.
    let next = async || store.next_numbers(&me, ID, T0, 1).await.unwrap().remove(0);
    for call in 5..8 {
        let number = next().await;
        assert_eq!((number.seq, u64::from(number.tries)), (5, call - 5));
        granted(&store, call, &command(call)).await;
        store.calling(ID, 5, number.tries, CallId(call)).await.unwrap();
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
    create(&store, waits, numbers(2)).await;
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
    let known = add(&store, ("9001", ID), vec![later]).await.unwrap();
    let waits = CampaignState::Waiting;
    assert_eq!((known, state().await), (Some((waits, 1)), waits));
    set("9001", CampaignState::Running).await;
    assert!(next(&store, &me, at(99)).await.is_empty());
    assert_eq!(next(&store, &me, at(100)).await, [3]);
    assert_eq!(add(&store, ("9002", ID), numbers(1)).await.unwrap(), None);
    // One that was cancelled stays so.
    set("9001", CampaignState::Ended).await;
    let known = add(&store, ("9001", ID), numbers(1)).await.unwrap();
    let ended = CampaignState::Ended;
    assert_eq!((known, state().await), (Some((ended, 0)), ended), "and takes no more");
    let (total, listed) = store.campaigns("9001", 0, 10).await.unwrap();
    assert_eq!((total, listed.len(), listed[0].1.total), (1, 1, 3));
    assert_eq!(store.campaigns("9001", 1, 10).await.unwrap(), (1, vec![]));
    assert_eq!(store.campaigns("9002", 0, 10).await.unwrap(), (0, vec![]));
}
