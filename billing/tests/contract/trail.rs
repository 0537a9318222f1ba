//! The audit trail: who changed what, and that nobody can change that unseen (conformance F22).

use billing::Store;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::support::*;

/// Somebody with access to the database, past the store.
enum Hand {
    Pg(PgConnection),
    Lite(SqliteConnection),
}

impl Hand {
    async fn at(url: &str) -> Hand {
        if url.starts_with("postgres") {
            Hand::Pg(PgConnection::connect(url).await.unwrap())
        } else {
            Hand::Lite(SqliteConnection::connect(url).await.unwrap())
        }
    }

    /// Runs a statement with one text.
    async fn run(&mut self, sql: &str, text: &str) {
        match self {
            Hand::Pg(conn) => drop(sqlx::query(sql).bind(text).execute(conn).await.unwrap()),
            Hand::Lite(conn) => drop(sqlx::query(sql).bind(text).execute(conn).await.unwrap()),
        }
    }

    /// One text.
    async fn cell(&mut self, sql: &str) -> String {
        match self {
            Hand::Pg(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
            Hand::Lite(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
        }
    }
}

/// Six entries: four changes of settings, a call hung up, one more change.
async fn history(store: &Store) {
    store.migrate().await.unwrap();
    for max_calls in 1..=5_u32 {
        let mut desired = basics("100");
        desired.merchants[0].max_calls = Some(max_calls);
        let actor = format!("tandem apply, uid {max_calls}");
        let changes = store.apply_by(&actor, &desired, at(max_calls.into()), false).await.unwrap();
        assert_eq!(changes.mistakes, []);
        if max_calls == 4 {
            let call = json!({ "call": "1234567890123456789" });
            store.note(&once(), at(4), "admin API from 192.0.2.1", "hang_up", call).await.unwrap();
        }
    }
}

pub(crate) async fn every_change_says_who_when_and_what_it_was_before(store: Store, _: String) {
    history(&store).await;
    let entries = store.trail(0, 100).await.unwrap();
    assert_eq!(entries.len(), 6);
    assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let second = &entries[1];
    assert_eq!((second.actor.as_str(), second.act.as_str()), ("tandem apply, uid 2", "apply"));
    assert_eq!(second.at, at(2));
    // Only what changed, with both values.
    let changed = json!([{ "act": "updated", "kind": "merchant", "name": "test",
                           "fields": ["max_calls: 1 → 2"] }]);
    assert_eq!(second.changes, changed);
    assert_eq!((entries[4].act.as_str(), entries[4].version), ("hang_up", entries[3].version));
    // Nothing to change, a dry run and a mistake leave no entry.
    let mut same = basics("100");
    same.merchants[0].max_calls = Some(5);
    store.apply_by("x", &same, at(9), false).await.unwrap();
    same.merchants[0].max_calls = Some(6);
    store.apply_by("x", &same, at(9), true).await.unwrap();
    same.merchants[0].tariff = Some("gone".into());
    store.apply_by("x", &same, at(9), false).await.unwrap();
    assert_eq!(store.trail_head().await.unwrap().entry, 6);
    assert_eq!(store.trail(5, 100).await.unwrap().len(), 1, "pages go on by id");
}

pub(crate) async fn an_act_that_is_noted_again_after_a_lost_answer_is_one_entry(
    store: Store,
    _: String,
) {
    history(&store).await;
    let (lost, what) = (once(), json!({ "row": 7 }));
    let first = store.note(&lost, at(8), "admin API", "redeliver", what.clone()).await.unwrap();
    let other = store.note(&once(), at(8), "admin API", "redeliver", what.clone()).await.unwrap();
    let again = store.note(&lost, at(8), "admin API", "redeliver", what).await.unwrap();
    assert_eq!((first.entry, other.entry, &again), (7, 8, &first));
    assert_eq!(store.trail_head().await.unwrap(), other);
    assert!(store.check_trail(None).await.unwrap().in_order());
}

pub(crate) async fn every_changed_byte_of_the_trail_is_found(store: Store, url: String) {
    history(&store).await;
    let mut hand = Hand::at(&url).await;
    let whole = store.check_trail(None).await.unwrap();
    assert!(whole.in_order() && whole.entries == 6 && whole.unchained == 0, "{whole:?}");
    assert_eq!(whole.head, store.trail_head().await.unwrap());
    let entries = store.trail(0, 100).await.unwrap();
    let mut dice: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % sides
    };
    for flip in 0..100 {
        let id = entries[roll(entries.len())].id;
        let column = ["actor", "act", "changes", "hash"][roll(4)];
        let old = hand.cell(&format!("SELECT {column} FROM applies WHERE id = {id}")).await;
        // One byte, and still text: the database would refuse anything else.
        let ascii: Vec<usize> =
            old.bytes().enumerate().filter(|(_, b)| b.is_ascii()).map(|(i, _)| i).collect();
        let place = ascii[roll(ascii.len())];
        let mut bytes = old.clone().into_bytes();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        let new = String::from_utf8(bytes).unwrap();
        let update = format!("UPDATE applies SET {column} = $1 WHERE id = {id}");
        hand.run(&update, &new).await;
        let found = store.check_trail(None).await.unwrap();
        assert!(!found.in_order(), "flip {flip}: {column} of {id} from {old} to {new}");
        hand.run(&update, &old).await;
        let healed = store.check_trail(None).await.unwrap();
        assert!(healed.in_order(), "flip {flip}: {healed:?}");
    }
    for column in ["at", "version"] {
        let sql = |sign: char| {
            format!("UPDATE applies SET {column} = {column} {sign} 1 WHERE id = 3 AND '' = $1")
        };
        hand.run(&sql('+'), "").await;
        let found = store.check_trail(None).await.unwrap();
        assert_eq!(found.findings, ["entry 3 or the one before it was changed"], "{column}");
        hand.run(&sql('-'), "").await;
    }
    assert!(store.check_trail(None).await.unwrap().in_order());
}

pub(crate) async fn entries_that_are_gone_are_missed(store: Store, url: String) {
    history(&store).await;
    let mut hand = Hand::at(&url).await;
    let head = store.trail_head().await.unwrap();
    let noted = Some(head.hash.as_str());
    assert_eq!(store.check_trail(noted).await.unwrap().holds, Some(true));
    // The end is cut off: what is left is right in itself, but the hash noted elsewhere is missing.
    hand.run("DELETE FROM applies WHERE id = 6 AND '' = $1", "").await;
    assert!(store.check_trail(None).await.unwrap().in_order());
    let cut = store.check_trail(noted).await.unwrap();
    assert!(!cut.in_order() && cut.holds == Some(false), "{cut:?}");
    // A hole in the middle shows by itself.
    hand.run("DELETE FROM applies WHERE id = 3 AND '' = $1", "").await;
    let hole = store.check_trail(None).await.unwrap();
    assert!(hole.findings.contains(&"entries 3 to 3 are gone".to_owned()), "{hole:?}");
}

pub(crate) async fn the_first_chained_entry_covers_those_before_the_chain(
    store: Store,
    url: String,
) {
    store.migrate().await.unwrap();
    let mut hand = Hand::at(&url).await;
    let old =
        "INSERT INTO applies (id, at, version, changes) VALUES (1, 5, 2, $1), (2, 6, 3, '[]')";
    hand.run(old, "[]").await;
    let desired = basics("100");
    store.apply_by("x", &desired, T0, false).await.unwrap();
    let trail = store.check_trail(None).await.unwrap();
    assert!(trail.in_order(), "{trail:?}");
    assert_eq!((trail.entries, trail.unchained), (3, 2));
    hand.run("UPDATE applies SET changes = $1 WHERE id = 1", "[ ]").await;
    assert!(!store.check_trail(None).await.unwrap().in_order());
    hand.run("UPDATE applies SET changes = $1 WHERE id = 1", "[]").await;
    // Taking the hash off a later entry does not make it an old one.
    store.note(&once(), at(1), "x", "hang_up", json!({})).await.unwrap();
    hand.run("UPDATE applies SET hash = $1 WHERE id = 4", "").await;
    let blank = store.check_trail(None).await.unwrap();
    assert_eq!(blank.findings, ["entry 4 has lost its hash"]);
}
