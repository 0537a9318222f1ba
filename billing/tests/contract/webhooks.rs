//! Keys, webhooks and the list of events of our own surface.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use billing::rows::{ApiKey, Attempt, NewKey, OutboxRow, OutboxState, WebhookChange};
use billing::{After, Lease, Report, Store};
use facts::record::{LegState, StateChange};
use facts::{CallId, Dialect, LegId, LegNo, MerchantId, Push, PushKind, UnixMillis};

use crate::support::*;

/// Says which event it is.
async fn lease(store: &Store, now: UnixMillis) -> Vec<billing::Leased> {
    let writer: billing::Writer = Arc::new(|row, _| Ok(row.sequence.to_string().into_bytes()));
    let lease = Lease { now, limit: 100, lease_for: Duration::from_secs(30), writer };
    store.outbox_turn(Arc::default(), Some(lease)).await.unwrap()
}

async fn note(store: &Store, row: &OutboxRow, after: After, at: UnixMillis) {
    let attempt =
        Attempt { at, request: String::new(), status: None, answer: Vec::new(), latency_ms: 1 };
    let (id, lease, webhook) = (row.id, row.lease, row.webhook);
    let report = Report { id, lease, after, attempt: Some(attempt), webhook };
    store.outbox_turn(Arc::new(vec![report]), None).await.unwrap();
}

/// A call that promises its events: two states of A, then its end.
async fn told(store: &Store, merchant: MerchantId, call: u64) {
    let mut command = command(merchant, "70000", "70000");
    let push =
        |kind| Push { kind, dialect: Dialect::Rest, endpoint: String::new(), context: "{}".into() };
    command.pushes = vec![push(PushKind::State), push(PushKind::Record)];
    granted(store, call, &command).await;
    for (sequence, state) in [(0, LegState::Callout), (3, LegState::Disconnect)] {
        let leg = LegId::new(CallId(call), LegNo::A);
        let (number, shown) = (HOME.to_owned(), String::new());
        let change = StateChange {
            leg,
            sequence,
            state,
            number,
            shown,
            at: at(sequence.into()),
            extension: None,
        };
        store.notify(change.clone()).await.unwrap();
        // A restart tells it again.
        store.notify(change).await.unwrap();
    }
    store.settle(facts(call, &command, Some((None, 1)), None), context()).await.unwrap();
}

pub(crate) async fn events_are_listed_once_and_go_to_each_webhook_that_wants_them(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let make = async |events: &[&str]| {
        let events = events.iter().map(|name| (*name).to_owned()).collect();
        let of = ("http://a.example/".to_owned(), events, "whsec_x".to_owned());
        store.create_webhook(merchant, of, at(0)).await.unwrap()
    };
    let (all, ends) = (make(&[]).await, make(&["leg.ended", "call.ended"]).await);
    assert_eq!((all.events.len(), ends.events.len()), (0, 2));
    assert_eq!(store.last_event(merchant).await.unwrap(), 0);
    told(&store, merchant, 1).await;
    let listed = store.events(merchant, 0, 10).await.unwrap();
    let places: Vec<_> = listed.iter().map(|row| row.sequence).collect();
    assert_eq!(places, [1, 2, 3]);
    assert!(listed.iter().all(|row| row.state == OutboxState::Done && row.webhook.is_none()));
    assert_eq!(store.last_event(merchant).await.unwrap(), listed[2].id);
    assert_eq!(store.events(merchant, listed[1].id, 10).await.unwrap(), listed[2..]);
    assert!(!store.redeliver(listed[0].id, at(1)).await.unwrap(), "the list is no address");
    // In the order of the call; what failed once steps aside.
    let due = at(10);
    let first = lease(&store, due).await;
    let of = |leased: &[billing::Leased]| -> Vec<(i64, Vec<u8>)> {
        leased.iter().map(|one| (one.row.webhook.unwrap(), one.row.body.clone().unwrap())).collect()
    };
    assert_eq!(of(&first), [(all.id, b"1".to_vec()), (ends.id, b"2".to_vec())]);
    assert_eq!(first[0].secrets, ["whsec_x"]);
    note(&store, &first[0].row, After::Retry(due + Duration::from_secs(60)), due).await;
    let second = lease(&store, due).await;
    assert_eq!(of(&second), [(all.id, b"2".to_vec())]);
    let failing = store.webhook(merchant, all.id).await.unwrap().unwrap().failing;
    assert_eq!(failing, Some(due));
    note(&store, &second[0].row, After::Done, due).await;
    assert_eq!(store.webhook(merchant, all.id).await.unwrap().unwrap().failing, None);
    // An address that is gone is told nothing more, also of what was promised before.
    note(&store, &first[1].row, After::Gone, due).await;
    let gone = store.webhook(merchant, ends.id).await.unwrap().unwrap();
    assert!(!gone.enabled && gone.reason.contains("410"));
    let states: Vec<_> = store.deliveries(ends.id, 0, 10).await.unwrap();
    assert!(states.iter().all(|row| row.state == OutboxState::Parked) && states.len() == 2);
    assert_eq!(store.redeliver_parked(ends.id, Some(CallId(1)), due).await.unwrap(), 0);
    assert!(!store.redeliver(states[0].id, due).await.unwrap(), "it is stopped");
    let change = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    store.change_webhook(merchant, ends.id, change).await.unwrap();
    assert_eq!(store.redeliver_parked(ends.id, Some(CallId(1)), due).await.unwrap(), 2);
    assert!(store.remove_webhook(merchant, ends.id).await.unwrap());
    assert!(!store.remove_webhook(merchant, ends.id).await.unwrap());
}

pub(crate) async fn a_webhook_that_fails_for_five_days_is_stopped(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let of = ("http://a.example/".to_owned(), vec!["leg.dialing".to_owned()], "s1".to_owned());
    let hook = store.create_webhook(merchant, of, at(0)).await.unwrap();
    told(&store, merchant, 1).await;
    let row = lease(&store, at(10)).await.remove(0).row;
    let last = at(10) + Duration::from_secs(121 * 3600);
    note(&store, &row, After::Retry(last), at(10)).await;
    let times = (last, last + Duration::from_secs(60));
    let rotated = store.rotate_webhook(merchant, hook.id, "s2".into(), times).await.unwrap();
    assert_eq!(rotated.unwrap().secrets.at(at(0)), ["s2", "s1"]);
    let again = lease(&store, last).await.remove(0);
    assert_eq!(again.secrets, ["s2", "s1"]);
    note(&store, &again.row, After::Retry(last + Duration::from_secs(60)), last).await;
    assert!(!store.webhook(merchant, hook.id).await.unwrap().unwrap().enabled);
    let parked = store.deliveries(hook.id, 0, 10).await.unwrap();
    assert_eq!(parked[0].state, OutboxState::Parked);
    let change = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let begun = store.change_webhook(merchant, hook.id, change).await.unwrap().unwrap();
    assert!(begun.enabled && begun.reason.is_empty() && begun.failing.is_none());
    store.redeliver_parked(hook.id, None, last + Duration::from_secs(61)).await.unwrap();
    let alone = lease(&store, last + Duration::from_secs(61)).await.remove(0);
    assert_eq!(alone.secrets, ["s2"], "the old one has lapsed");
    let other = MerchantId(merchant.0 + 1);
    assert_eq!(store.webhook(other, hook.id).await.unwrap(), None);
}

pub(crate) async fn a_key_is_a_hash_and_ends_for_good(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let new = NewKey {
        merchant,
        name: "crm".into(),
        scopes: BTreeSet::from(["calls:read".to_owned()]),
        allowed_ips: Vec::new(),
        caller_ids: vec!["861053180002".into()],
        expires: Some(at(100)),
    };
    let (made, key) = store.create_api_key("a test", new.clone(), at(1)).await.unwrap();
    let version = store.settings_version().await.unwrap();
    assert_eq!(
        (ApiKey::id_of(&key), ApiKey::hash_of(&key)),
        (Some(made.id.as_str()), made.hash.clone())
    );
    assert_eq!(store.api_key(&made.id).await.unwrap(), Some(made.clone()));
    assert!(made.is_good(at(99)) && !made.is_good(at(100)));
    let ended = store.revoke_api_key("a test", &made.id, at(5)).await.unwrap().unwrap();
    assert_eq!((ended.revoked, ended.is_good(at(6))), (Some(at(5)), false));
    assert_eq!(store.revoke_api_key("a test", &made.id, at(9)).await.unwrap(), Some(ended));
    assert_eq!(store.settings_version().await.unwrap(), version + 1);
    assert_eq!(store.revoke_api_key("a test", "none", at(9)).await.unwrap(), None);
    assert_eq!(store.api_keys(Some(merchant)).await.unwrap().len(), 1);
    let nobody = NewKey { merchant: MerchantId(999), ..new };
    assert!(store.create_api_key("a test", nobody, at(1)).await.is_err());
}

pub(crate) async fn s6_a_request_that_becomes_no_call_is_known_when_it_is_repeated(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let other = MerchantId(merchant.0 + 1);
    let known = async |whose| store.repeated(whose, "7 k".into()).await.unwrap();
    assert_eq!(known(merchant).await, None);
    for (fingerprint, when) in [("f", 1), ("g", 2)] {
        store.note_repeat((merchant, "7 k".into()), fingerprint.into(), at(when)).await.unwrap();
    }
    assert_eq!(known(merchant).await.as_deref(), Some("f"), "the first one counts");
    assert_eq!(known(other).await, None, "keys are a merchant's own");
    store.purge(at(31 * 86_400)).await.unwrap();
    assert_eq!(known(merchant).await, None, "for thirty days");
}

/// Another way to PostgreSQL; nothing on SQLite, whose ids are drawn in the order of their commits.
async fn beside(url: &str) -> Option<sqlx::PgConnection> {
    use sqlx::Connection as _;
    if !url.starts_with("postgres") {
        return None;
    }
    Some(sqlx::PgConnection::connect(url).await.unwrap())
}

/// An event of a call, as another process writes it.
fn event(merchant: MerchantId, call: u64, webhook: Option<i64>) -> String {
    let webhook = webhook.map_or("NULL".to_owned(), |id| id.to_string());
    format!(
        "INSERT INTO outbox (call_id, merchant_id, push_no, sequence, kind, dialect, endpoint, origin, \
         stream, context, payload, settings_version, created, due, state, webhook_id) \
         SELECT {call}, {}, push_no, sequence, kind, dialect, '', '', '', context, payload, 1, 0, 0, \
         'done', {webhook} FROM outbox ORDER BY id LIMIT 1",
        merchant.0
    )
}

pub(crate) async fn a_stream_from_now_on_skips_no_event_whose_commit_comes_late(
    store: Store,
    url: String,
) {
    use sqlx::Executor as _;
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1).await;
    let (Some(mut late), Some(mut soon)) = (beside(&url).await, beside(&url).await) else { return };
    late.execute("BEGIN").await.unwrap();
    late.execute(event(merchant, 2, Some(7)).as_str()).await.unwrap();
    soon.execute(event(merchant, 3, Some(7)).as_str()).await.unwrap();
    let reading = tokio::spawn({
        let store = store.clone();
        async move {
            let last = store.last_event(merchant).await.unwrap();
            let (list, pushed) = (store.outbox(None, None, 0, 100), store.deliveries(7, 0, 10));
            (last, list.await.unwrap().len(), pushed.await.unwrap().len())
        }
    });
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(!reading.is_finished(), "the one who writes is waited for");
    late.execute("COMMIT").await.unwrap();
    let (last, list, pushed) = reading.await.unwrap();
    let all = store.events(merchant, 0, 10).await.unwrap();
    assert_eq!((all.last().unwrap().id, all.len()), (last, 5), "both are before now");
    assert_eq!((list, pushed), (5, 2), "the lower id came last");
    assert_eq!(store.events(merchant, last, 10).await.unwrap(), []);
}

pub(crate) async fn who_waits_for_writers_keeps_no_connection(store: Store, url: String) {
    use sqlx::Executor as _;
    let merchant = fill(&store, "0").await;
    let Some(mut writer) = beside(&url).await else { return };
    let config = billing::StoreConfig { connections: 2, ..billing::StoreConfig::default() };
    let narrow = Store::open(&url, config).await.unwrap();
    writer.execute("BEGIN; LOCK TABLE cdrs IN ROW EXCLUSIVE MODE").await.unwrap();
    let exports: Vec<_> = (0..8)
        .map(|_| {
            let store = narrow.clone();
            tokio::spawn(async move { store.cdrs(None, 0, 10).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = std::time::Instant::now();
    narrow.balance(merchant).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
    writer.execute("COMMIT").await.unwrap();
    for export in exports {
        assert_eq!(export.await.unwrap().unwrap(), []);
    }
    narrow.close().await;
}

pub(crate) async fn what_is_forgotten_goes_a_few_thousand_rows_at_a_time(
    store: Store,
    url: String,
) {
    use sqlx::Executor as _;
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1).await;
    let (Some(mut other), Some(mut holder)) = (beside(&url).await, beside(&url).await) else {
        return;
    };
    let many = "FROM generate_series(1, 5000) AS n";
    let keys = format!(
        "INSERT INTO request_repeats (merchant_id, request, fingerprint, at) SELECT 1, n::text, '', n {many}"
    );
    other.execute(keys.as_str()).await.unwrap();
    let rows = event(merchant, 0, None).replace("SELECT 0,", "SELECT 100 + n,").replace(
        "FROM outbox ORDER BY id LIMIT 1",
        "FROM (SELECT * FROM outbox ORDER BY id LIMIT 1) AS one, generate_series(1, 5000) AS n",
    );
    other.execute(rows.as_str()).await.unwrap();
    // Somebody holds the youngest of the old ones: what goes before it is gone all the same.
    holder.execute("BEGIN; SELECT 1 FROM outbox WHERE call_id = 5100 FOR UPDATE").await.unwrap();
    let purging = tokio::spawn({
        let store = store.clone();
        async move { store.purge(at(91 * 86_400)).await }
    });
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM outbox");
            let left = count.fetch_one(&mut other).await.unwrap();
            if (1..=2_000).contains(&left) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the first of them are gone while the last is waited for");
    holder.execute("COMMIT").await.unwrap();
    let gone = purging.await.unwrap().unwrap();
    assert!(gone >= 10_000, "{gone}");
    assert_eq!(store.events(merchant, 0, 10_000).await.unwrap(), []);
}
