//! What a restart needs to know of the calls that were open.

use std::collections::BTreeMap;
use std::fmt::Write;

use facts::CallId;
use facts::ledger::{JournalLeg, OpenCall};
use facts::time::UnixMillis;
use facts::{LegId, LegNo};

use crate::db::{Conn, args, json};
use crate::error::Result;
use crate::settle::latest;

/// Calls named in one statement at most.
const CHUNK: usize = 500;

/// Writes a leg down, or writes it anew. A call that is settled has no journal any more.
pub(crate) async fn leg(conn: &mut Conn, leg: &JournalLeg) -> Result<()> {
    conn.exec(
        "INSERT INTO call_legs (call_id, leg_no, facts, dialog, written) \
         SELECT $1, $2, $3, $4, $5 FROM calls WHERE id = $1 AND state = 'open' \
         ON CONFLICT (call_id, leg_no) DO UPDATE \
         SET facts = excluded.facts, dialog = excluded.dialog, written = excluded.written",
        args![
            leg.leg.call,
            leg.leg.no.0,
            json(&leg.facts)?,
            leg.dialog.clone(),
            latest(&leg.facts)
        ],
    )
    .await?;
    Ok(())
}

/// Changes what ends a leg, and nothing else of it. The row of a settled call goes when nothing is left
/// to end; that of an open one is needed for its record.
pub(crate) async fn papers(conn: &mut Conn, leg: LegId, dialog: Option<&[u8]>) -> Result<()> {
    let over = dialog.is_none();
    conn.exec(
        "UPDATE call_legs SET dialog = $3 WHERE call_id = $1 AND leg_no = $2",
        args![leg.call, leg.no.0, dialog.map(<[u8]>::to_vec)],
    )
    .await?;
    if over {
        conn.exec(
            "DELETE FROM call_legs WHERE call_id = $1 AND leg_no = $2 AND dialog IS NULL \
             AND EXISTS (SELECT 1 FROM calls WHERE id = $1 AND state = 'settled')",
            args![leg.call, leg.no.0],
        )
        .await?;
    }
    Ok(())
}

/// Legs of settled calls whose far ends may not know that they are over, oldest first.
pub(crate) async fn farewells(conn: &mut Conn) -> Result<Vec<JournalLeg>> {
    let rows = conn
        .rows(
            "SELECT l.call_id, l.leg_no, l.facts, l.dialog \
             FROM call_legs l JOIN calls c ON c.id = l.call_id \
             WHERE c.state = 'settled' ORDER BY l.call_id, l.leg_no",
            args![],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(JournalLeg {
                leg: LegId::new(row.call(0)?, LegNo(row.small(1)?)),
                facts: row.json(2)?,
                dialog: row.opt_blob(3)?,
            })
        })
        .collect()
}

/// Proof of life of many calls.
pub(crate) async fn alive(conn: &mut Conn, calls: &[CallId], at: UnixMillis) -> Result<()> {
    for chunk in calls.chunks(CHUNK) {
        let mut sql = String::from(
            "UPDATE calls SET alive = $1 WHERE alive < $1 AND state = 'open' AND id IN (",
        );
        for (i, call) in chunk.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(sql, "{comma}{}", call.as_i64());
        }
        sql.push(')');
        conn.exec_once(&sql, args![at]).await?;
    }
    Ok(())
}

/// Calls that are authorized and not settled, oldest first.
pub(crate) async fn open_calls(conn: &mut Conn) -> Result<Vec<OpenCall>> {
    let rows = conn
        .rows(
            "SELECT id, command, placed, alive FROM calls WHERE state = 'open' ORDER BY id",
            args![],
        )
        .await?;
    let mut calls = BTreeMap::new();
    for row in &rows {
        let call = row.call(0)?;
        let (command, placed, alive) = (row.json(1)?, row.instant(2)?, row.instant(3)?);
        calls.insert(call, OpenCall { call, command, placed, legs: Vec::new(), alive });
    }
    let rows = conn
        .rows(
            "SELECT l.call_id, l.leg_no, l.facts, l.dialog, l.written \
             FROM call_legs l JOIN calls c ON c.id = l.call_id \
             WHERE c.state = 'open' ORDER BY l.call_id, l.leg_no",
            args![],
        )
        .await?;
    for row in &rows {
        let Some(open) = calls.get_mut(&row.call(0)?) else { continue };
        open.alive = open.alive.max(row.instant(4)?);
        open.legs.push(JournalLeg {
            leg: LegId::new(open.call, LegNo(row.small(1)?)),
            facts: row.json(2)?,
            dialog: row.opt_blob(3)?,
        });
    }
    Ok(calls.into_values().collect())
}
