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
