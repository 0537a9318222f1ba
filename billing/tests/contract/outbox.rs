//! Promises to merchants.

use std::sync::Arc;
use std::time::Duration;

use billing::rows::{Attempt, OutboxRow, OutboxState, Payload};
use billing::{After, Lease, Report, Store, Writer};
use facts::record::{LegState, StateChange};
use facts::{CallId, LegId, LegNo, MerchantId, PushKind, UnixMillis};

use crate::support::*;

const LEASE: Duration = Duration::from_secs(30);

/// Writes the merchant's key and the row's call.
fn writer() -> Writer {
    Arc::new(|row, key| Ok(format!("{key} {}", row.call).into_bytes()))
}

async fn lease_some(store: &Store, now: UnixMillis, limit: u32) -> Vec<OutboxRow> {
    let lease = Lease { now, limit, lease_for: LEASE, writer: writer() };
    let leased = store.outbox_turn(Arc::default(), Some(lease)).await.unwrap();
    leased.into_iter().map(|leased| leased.row).collect()
}

async fn lease(store: &Store, now: UnixMillis) -> Vec<OutboxRow> {
    lease_some(store, now, 100).await
}

fn result(row: &OutboxRow, after: After, attempt: Attempt) -> Report {
    Report { id: row.id, lease: row.lease, after, attempt: Some(attempt), webhook: row.webhook }
}

async fn report(store: &Store, row: &OutboxRow, after: After, attempt: Attempt) {
    let report = result(row, after, attempt);
    assert_eq!(store.outbox_turn(Arc::new(vec![report]), None).await.unwrap(), []);
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
        extension: None,
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
    report(&store, &first[0], After::Retry(at(70)), attempt(at(10), 500)).await;
    report(&store, &first[1], After::Done, attempt(at(10), 200)).await;
    let next = lease(&store, at(11)).await;
    assert_eq!(next.iter().map(|row| row.call.0).collect::<Vec<_>>(), [2]);
    assert_eq!(store.next_due().await.unwrap(), Some(at(41)));
    report(&store, &next[0], After::Done, attempt(at(11), 200)).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(70)));
    let again = lease(&store, at(70)).await;
    assert_eq!(
        again.iter().map(|row| (row.id, row.attempts)).collect::<Vec<_>>(),
        [(first[0].id, 1)]
    );
    // Given up: the next state of the call is free to go.
    report(&store, &again[0], After::Park, attempt(at(70), 500)).await;
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
    assert_eq!((row.merchant, row.kind), (merchant, PushKind::Record));
    assert!(matches!(&row.payload, Payload::Record(record) if record.facts.call == CallId(1)));
    assert_eq!(row.settings_version, store.settings_version().await.unwrap());
    // Written with the first lease, with the key of then.
    let first = row.body.clone().unwrap();
    assert_eq!(first, format!("awrlk45ghfg7 {}", row.call).into_bytes());
    let kept = store.outbox(None, None, 0, 10).await.unwrap().remove(0);
    assert_eq!((kept.body.as_ref(), kept.leased_until), (Some(&first), at(40)));
    report(&store, &row, After::Retry(at(20)), attempt(at(10), 500)).await;
    let second = Lease {
        now: at(20),
        limit: 9,
        lease_for: LEASE,
        writer: Arc::new(|_, _| panic!("it was written before")),
    };
    let row = store.outbox_turn(Arc::default(), Some(second)).await.unwrap().remove(0).row;
    assert_eq!(row.body, Some(first));
    report(&store, &row, After::Done, attempt(at(20), 200)).await;
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
    report(&store, &second[0], After::Done, attempt(at(41), 200)).await;
    // The first worker was only slow: what is delivered stays delivered.
    report(&store, &first[0], After::Retry(at(50)), attempt(at(45), 500)).await;
    assert_eq!(lease(&store, at(1000)).await, []);
    assert_eq!(store.attempts(first[0].id).await.unwrap().len(), 1);
}

pub(crate) async fn a_result_that_is_noted_again_after_a_lost_answer_is_one_attempt(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let first = lease(&store, at(10)).await.remove(0);
    for _ in 0..3 {
        report(&store, &first, After::Retry(at(20)), attempt(at(10), 500)).await;
    }
    let second = lease(&store, at(20)).await.remove(0);
    assert_eq!((second.attempts, second.lease), (1, first.lease + 1));
    // A repeat that comes late neither counts nor takes the row from whoever has it now.
    report(&store, &first, After::Retry(at(21)), attempt(at(10), 500)).await;
    assert_eq!(lease(&store, at(21)).await, []);
    report(&store, &second, After::Park, attempt(at(20), 500)).await;
    report(&store, &second, After::Park, attempt(at(20), 500)).await;
    // Delivery begins anew, the numbers of the leases do not.
    assert!(store.redeliver(second.id, at(30)).await.unwrap());
    report(&store, &second, After::Park, attempt(at(20), 500)).await;
    let third = lease(&store, at(30)).await.remove(0);
    assert_eq!((third.attempts, third.lease), (0, first.lease + 2));
    report(&store, &third, After::Done, attempt(at(30), 200)).await;
    let attempts = store.attempts(first.id).await.unwrap();
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(500), Some(200)]);
}

pub(crate) async fn a_parked_row_waits_for_redelivery(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let row = lease(&store, at(10)).await.remove(0);
    assert!(!store.redeliver(row.id, at(11)).await.unwrap());
    report(&store, &row, After::Park, attempt(at(10), 500)).await;
    assert_eq!(lease(&store, at(100_000)).await, []);
    assert_eq!(store.next_due().await.unwrap(), None);
    let parked = store.outbox(None, Some(OutboxState::Parked), 0, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert!(store.redeliver(row.id, at(200)).await.unwrap());
    let again = lease(&store, at(200)).await.remove(0);
    assert_eq!((again.id, &again.body, again.attempts), (row.id, &row.body, 0));
    assert_eq!(store.attempts(row.id).await.unwrap().len(), 1);
    assert!(!store.redeliver(12_345, at(1)).await.unwrap());
}

pub(crate) async fn what_was_parked_while_it_was_sent_stays_parked(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    // A worker is slow, its lease lapses, another has given the row up by then.
    let slow = lease(&store, at(10)).await.remove(0);
    let later = at(10) + LEASE + LEASE;
    let quick = lease(&store, later).await.remove(0);
    assert_eq!(slow.id, quick.id);
    report(&store, &quick, After::Park, attempt(later, 500)).await;
    report(&store, &slow, After::Retry(at(400)), attempt(at(10), 500)).await;
    assert_eq!(lease(&store, at(100_000)).await, [], "it is not sent again by itself");
    assert_eq!(store.outbox(None, Some(OutboxState::Parked), 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.attempts(slow.id).await.unwrap().len(), 2, "both attempts are told");
}

pub(crate) async fn a_crowd_at_one_server_does_not_delay_another(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    for call in 1..=20 {
        told(&store, merchant, call, &format!("http://crowd.example/cb?id={call}")).await;
    }
    told(&store, merchant, 21, "http://quiet.example/cb").await;
    let rows = lease_some(&store, at(10), 4).await;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().any(|row| row.call == CallId(21)));
    // Two workers never get the same row.
    let (a, b) = tokio::join!(lease_some(&store, at(10), 10), lease_some(&store, at(10), 10));
    let mut ids: Vec<i64> = [a, b].concat().iter().map(|row| row.id).collect();
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
    report(&store, &first[0], After::Retry(at(600)), attempt(at(11), 500)).await;
    let then = lease(&store, at(12)).await;
    assert_eq!(then.iter().map(|row| row.kind).collect::<Vec<_>>(), [PushKind::Record]);
}

pub(crate) async fn many_reports_and_a_lease_are_one_visit(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    for call in 1..=3 {
        told(&store, merchant, call, "http://a.example/x").await;
    }
    let rows = lease_some(&store, at(10), 2).await;
    assert_eq!(rows.len(), 2);
    let reports = vec![
        result(&rows[0], After::Done, attempt(at(11), 200)),
        result(&rows[1], After::Retry(at(12)), attempt(at(11), 500)),
        // Nobody's row changes nothing.
        Report { id: 12_345, ..result(&rows[0], After::Done, attempt(at(11), 200)) },
    ];
    let lease = Lease { now: at(12), limit: 9, lease_for: LEASE, writer: writer() };
    let leased = store.outbox_turn(Arc::new(reports), Some(lease)).await.unwrap();
    // What this very visit reported as failed is due again, behind what was never tried.
    let ids: Vec<i64> = leased.iter().map(|leased| leased.row.id).collect();
    assert_eq!(ids, [rows[1].id, rows[1].id + 1]);
    assert_eq!(leased[0].row.attempts, 1);
    let last = store.last_attempts(0, i64::MAX).await.unwrap();
    let told: Vec<_> = last.iter().map(|(id, attempt)| (*id, attempt.status)).collect();
    assert_eq!(told, [(rows[0].id, Some(200)), (rows[1].id, Some(500))]);
}

pub(crate) async fn a_row_that_cannot_be_written_is_leased_with_the_reason(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    told(&store, merchant, 1, "http://a.example/x").await;
    let writer: Writer = Arc::new(|_, _| Err("no words for it".into()));
    let lease = Lease { now: at(10), limit: 9, lease_for: LEASE, writer };
    let leased = store.outbox_turn(Arc::default(), Some(lease)).await.unwrap().remove(0);
    assert_eq!(leased.unwritable.as_deref(), Some("no words for it"));
    assert_eq!((leased.row.body, leased.row.leased_until), (None, at(40)));
}

/// An extension rang, and the process died before its end was told: settling tells it, before the record.
pub(crate) async fn case_43_settling_tells_the_end_of_extensions_that_nobody_told(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let mut command = command(merchant, "70000", "70000");
    let push = |kind, endpoint: &str| push(kind, endpoint);
    command.pushes = vec![
        push(PushKind::Extension, "http://a.example/state"),
        push(PushKind::Record, "http://a.example/cdr"),
    ];
    granted(&store, 1, &command).await;
    let state = |nth: u8, state: LegState| StateChange {
        sequence: StateChange::sequence_of(LegNo(2), nth, state),
        state,
        extension: Some(format!("8000{nth}")),
        ..change(1, 0)
    };
    for change in [
        state(0, LegState::Alerting),
        state(1, LegState::Alerting),
        state(0, LegState::Answer),
        state(1, LegState::Disconnect),
    ] {
        store.notify(change).await.unwrap();
    }
    store.settle(facts(1, &command, Some((None, 1)), None), context()).await.unwrap();
    // It may be told late: the same number, so not twice.
    store.notify(state(0, LegState::Disconnect)).await.unwrap();
    let rows = store.outbox(None, None, 0, 100).await.unwrap();
    let told = rows.iter().map(|row| match &row.payload {
        Payload::State(change) => (change.extension.clone().unwrap(), Some(change.state)),
        Payload::Record(_) | Payload::Campaign(_) | Payload::Text(_) | Payload::Paid(_) => {
            (String::new(), None)
        }
    });
    let of = |user: &str, state| (user.to_owned(), Some(state));
    let mut wanted = vec![
        of("80000", LegState::Alerting),
        of("80001", LegState::Alerting),
        of("80000", LegState::Answer),
        of("80001", LegState::Disconnect),
        of("80000", LegState::Disconnect),
        (String::new(), None),
    ];
    let mut told: Vec<_> = told.collect();
    let order = |row: &(String, Option<LegState>)| format!("{row:?}");
    assert_eq!(told.last(), wanted.last(), "the record comes last");
    told.sort_by_key(order);
    wanted.sort_by_key(order);
    assert_eq!(told, wanted);
}
