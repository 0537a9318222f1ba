//! How often numbers were rung, where a policy limits that. A number is counted in the transaction that allows the
//! call, so that parallel calls see each other and a restart forgets nothing; a leg that was never dialled is
//! uncounted when its call is settled. Calls that no policy counts cost no statement.

use std::fmt::Write;
use std::time::Duration;

use facts::ledger::Cap;
use facts::policy::AtMost;
use facts::record::CallFacts;
use facts::{CallId, LegNo, UnixMillis};

use crate::db::{Batch, Conn, Old, Value, args};
use crate::error::Result;

/// Whether legs of a call may be under all of these caps. Counts nothing, and keeps others from counting the same number
/// until the transaction is over.
pub(crate) async fn may(
    conn: &mut Conn,
    call: CallId,
    caps: &[Cap],
    at: UnixMillis,
) -> Result<bool> {
    if caps.is_empty() {
        return Ok(true);
    }
    let mut locks: Vec<String> =
        caps.iter().map(|cap| format!("{}/{}", cap.key, cap.number)).collect();
    // In one order for everybody, after the account's.
    locks.sort();
    for lock in &locks {
        conn.one_at_a_time(lock).await?;
    }
    for cap in caps {
        let mut sql = String::from("SELECT 0");
        let mut values: Vec<Value> = args![&cap.key, &cap.number, call, cap.leg.0];
        for span in &cap.at_most {
            values.extend(args![at.0 - i64::from(span.within_s) * 1_000]);
            let since = values.len();
            let _ = write!(
                sql,
                ", CAST(COALESCE(SUM(CASE WHEN at > ${since} THEN 1 ELSE 0 END), 0) AS BIGINT)"
            );
        }
        sql.push_str(
            " FROM rung WHERE counter = $1 AND number = $2 AND NOT (call_id = $3 AND leg_no = $4)",
        );
        let Some(row) = conn.row(&sql, values).await? else { continue };
        for (i, span) in cap.at_most.iter().enumerate() {
            if row.int(i + 1)? >= i64::from(span.calls) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Counts legs of a call that may be. A row is kept as long as any policy may look back, whatever this one says now: its
/// spans may become longer.
pub(crate) fn count(batch: &mut Batch, call: CallId, caps: &[Cap], at: UnixMillis) {
    let until = at + Duration::from_secs(AtMost::WITHIN_MAX_S.into());

    for cap in caps {
        batch.add(
            "INSERT INTO rung (counter, number, call_id, leg_no, at, until) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (counter, number, call_id, leg_no) DO NOTHING",
            args![&cap.key, &cap.number, call, cap.leg.0, at, until],
        );
    }
}

/// Takes back what was counted for legs of a call that nobody ever dialled. `held`: legs that it had holds for.
pub(crate) fn uncount(batch: &mut Batch, facts: &CallFacts, held: impl Iterator<Item = LegNo>) {
    let asked = [Some(LegNo::A), facts.command.b.is_some().then_some(LegNo::B)];
    if held.chain(asked.into_iter().flatten()).all(|no| facts.leg(no).is_some()) {
        return;
    }
    let dialled: Vec<String> = facts.legs.iter().map(|leg| leg.no.0.to_string()).collect();
    // None at all is a list too.
    let dialled = if dialled.is_empty() { "-1".to_owned() } else { dialled.join(", ") };
    let sql = format!("DELETE FROM rung WHERE call_id = $1 AND leg_no NOT IN ({dialled})");
    batch.add(&sql, args![facts.call]);
}

/// What nothing counts any more.
pub(crate) const OLD: Old = Old {
    table: "rung",
    keys: "counter, number, call_id, leg_no",
    which: "until < $1",
    life: Duration::ZERO,
};
