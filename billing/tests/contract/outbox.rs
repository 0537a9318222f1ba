//! Promises to merchants.

use std::time::Duration;

use billing::Store;
use billing::rows::{Attempt, OutboxRow, OutboxState, Payload};
use facts::record::{LegState, StateChange};
use facts::{CallId, LegId, LegNo, MerchantId, PushKind, UnixMillis};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

async fn lease(store: &Store, now: UnixMillis) -> Vec<OutboxRow> {
    store.lease(now, 100, LEASE).await.unwrap()
}

fn attempt(now: UnixMillis, status: u16) -> Attempt {
    Attempt {
        at: now,
        request: "POST http://a.example/Call".into(),
        status: Some(status),
        answer: vec![b'x'; 5000],
        latency_ms: 12,
    }
}

fn change(call: u64, sequence: u32) -> StateChange {
    StateChange {
        leg: LegId::new(CallId(call), LegNo::A),
        sequence,
        state: if sequence == 0 { LegState::Callout } else { LegState::Alerting },
        number: HOME.into(),
        shown: "01053180002".into(),
        at: at(u64::from(sequence)),
    }
}

/// Settles a call that nobody answered, which promises its record to `endpoint`.
async fn told(store: &Store, merchant: MerchantId, call: u64, endpoint: &str) {
    let mut command = command(merchant, "70000", "70000");
    command.pushes = vec![push(PushKind::Record, endpoint)];
    granted(store, call, &command).await;
    store.settle(facts(call, &command, Some((None, 1)), None), context()).await.unwrap();
}

pub(crate) async fn a_call_keeps_its_order_and_never_blocks_another(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    for call in [1, 2] {
        granted(&store, call, &command(merchant, "70000", "70000")).await;
        store.notify(change(call, 0)).await.unwrap();
        store.notify(change(call, 1)).await.unwrap();
    }
    let first = lease(&store, at(10)).await;
    let heads: Vec<_> = first.iter().map(|row| (row.call.0, &row.payload)).collect();
    assert_eq!(heads, [(1, &Payload::State(change(1, 0))), (2, &Payload::State(change(2, 0)))]);
    assert_eq!(lease(&store, at(10)).await, []);
    // Call 1's first state cannot be delivered for now; call 2 goes on.
    store.retry(first[0].id, at(70), attempt(at(10), 500)).await.unwrap();
    store.done(first[1].id, attempt(at(10), 200)).await.unwrap();
    let next = lease(&store, at(11)).await;
    assert_eq!(next.iter().map(|row| row.call.0).collect::<Vec<_>>(), [2]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(41)));
    store.done(next[0].id, attempt(at(11), 200)).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(70)));
    let again = lease(&store, at(70)).await;
    assert_eq!(
        again.iter().map(|row| (row.id, row.attempts)).collect::<Vec<_>>(),
        [(first[0].id, 1)]
    );
    // Given up: the next state of the call is free to go.
    store.park(again[0].id, Some(attempt(at(70), 500))).await.unwrap();
    let last = lease(&store, at(71)).await;
    assert_eq!(
        last.iter().map(|row| &row.payload).collect::<Vec<_>>(),
        [&Payload::State(change(1, 1))]
    );
}

pub(crate) async fn the_bytes_are_stored_once_and_stay_the_same(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let row = lease(&store, at(10)).await.remove(0);
    assert_eq!((row.merchant, row.kind, row.body.as_deref()), (merchant, PushKind::Record, None));
    assert!(matches!(&row.payload, Payload::Record(record) if record.facts.call == CallId(1)));
    assert_eq!(row.settings_version, store.settings_version().await.unwrap());
    assert_eq!(store.store_body(row.id, b"first".to_vec()).await.unwrap(), b"first");
    assert_eq!(store.store_body(row.id, b"second".to_vec()).await.unwrap(), b"first");
    store.retry(row.id, at(20), attempt(at(10), 500)).await.unwrap();
    let row = lease(&store, at(20)).await.remove(0);
    assert_eq!(row.body.as_deref(), Some(&b"first"[..]));
    store.done(row.id, attempt(at(20), 200)).await.unwrap();
    let attempts = store.attempts(row.id).await.unwrap();
    assert_eq!(attempts.iter().map(|a| a.status).collect::<Vec<_>>(), [Some(500), Some(200)]);
    assert_eq!(attempts[0].answer.len(), 4096);
    assert_eq!(attempts[0].latency_ms, 12);
    let rows = store.outbox(Some(merchant), Some(OutboxState::Done), 0, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.id, row.attempts)).collect::<Vec<_>>(), [(row.id, 2)]);
    // The callback log reaches back ninety days.
    assert_eq!(store.purge(at(90 * 86_400)).await.unwrap(), 0);
    assert_eq!(store.purge(at(90 * 86_400 + 2)).await.unwrap(), 1);
    assert_eq!(store.attempts(row.id).await.unwrap(), []);
}

pub(crate) async fn a_lapsed_lease_gives_the_row_back(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let first = lease(&store, at(10)).await;
    assert_eq!(first[0].leased_until, at(40));
    assert_eq!(lease(&store, at(39)).await, []);
    let second = lease(&store, at(40)).await;
    assert_eq!(second[0].id, first[0].id);
    store.done(second[0].id, attempt(at(41), 200)).await.unwrap();
    // The first worker was only slow: what is delivered stays delivered.
    store.retry(first[0].id, at(50), attempt(at(45), 500)).await.unwrap();
    assert_eq!(lease(&store, at(1000)).await, []);
    assert_eq!(store.attempts(first[0].id).await.unwrap().len(), 1);
}

pub(crate) async fn a_parked_row_waits_for_redelivery(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let row = lease(&store, at(10)).await.remove(0);
    store.store_body(row.id, b"bytes".to_vec()).await.unwrap();
    assert!(!store.redeliver(row.id, at(11)).await.unwrap());
    store.park(row.id, Some(attempt(at(10), 500))).await.unwrap();
    assert_eq!(lease(&store, at(100_000)).await, []);
    assert_eq!(store.next_due().await.unwrap(), None);
    let parked = store.outbox(None, Some(OutboxState::Parked), 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert!(store.redeliver(row.id, at(200)).await.unwrap());
    let again = lease(&store, at(200)).await.remove(0);
    assert_eq!((again.id, again.body.as_deref(), again.attempts), (row.id, Some(&b"bytes"[..]), 0));
    assert_eq!(store.attempts(row.id).await.unwrap().len(), 1);
    assert!(!store.redeliver(12_345, at(1)).await.unwrap());
}

pub(crate) async fn a_crowd_at_one_server_does_not_delay_another(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    for call in 1..=20 {
        told(&store, merchant, call, &format!("http://crowd.example/cb?id={call}")).await;
    }
    told(&store, merchant, 21, "http://quiet.example/cb").await;
    let rows = store.lease(at(10), 4, LEASE).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().any(|row| row.call == CallId(21)));
    // Two workers never get the same row.
    let (a, b) = tokio::join!(store.lease(at(10), 10, LEASE), store.lease(at(10), 10, LEASE));
    let mut ids: Vec<i64> = [a.unwrap(), b.unwrap()].concat().iter().map(|row| row.id).collect();
    ids.extend(rows.iter().map(|row| row.id));
    let leased = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), leased);
}

pub(crate) async fn a_state_is_promised_once(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    granted(&store, 1, &command(merchant, "70000", "70000")).await;
    for _ in 0..3 {
        store.notify(change(1, 0)).await.unwrap();
    }
    assert_eq!(store.outbox(None, None, 0, 10).await.unwrap().len(), 1);
    let mut silent = command(merchant, "70000", "70000");
    silent.pushes.clear();
    granted(&store, 2, &silent).await;
    store.notify(change(2, 0)).await.unwrap();
    assert_eq!(store.outbox(None, None, 0, 10).await.unwrap().len(), 1);
}

pub(crate) async fn in_system_001_a_record_waits_for_the_first_try_of_earlier_states(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let command = command(merchant, "70000", "70000");
    granted(&store, 1, &command).await;
    store.notify(change(1, 0)).await.unwrap();
    store.settle(facts(1, &command, Some((None, 1)), None), context()).await.unwrap();
    // Two addresses are two streams; the record is due and waits all the same, also while the state is out.
    let first = lease(&store, at(10)).await;
    assert_eq!(first.iter().map(|row| row.kind).collect::<Vec<_>>(), [PushKind::State]);
    assert_eq!(lease(&store, at(11)).await, []);
    // One try, whatever came of it: a dead address for states does not keep the bill back.
    store.retry(first[0].id, at(600), attempt(at(11), 500)).await.unwrap();
    let then = lease(&store, at(12)).await;
    assert_eq!(then.iter().map(|row| row.kind).collect::<Vec<_>>(), [PushKind::Record]);
}
