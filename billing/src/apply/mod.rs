//! Bringing the store to what the operator's file says, in one transaction.
//!
//! Kind by kind, in the order in which they refer to each other: check every object, write those that differ,
//! note the difference. Mistakes are gathered to the end; one of them, or a dry run, undoes everything.

mod check;
mod companies;
mod groups;
mod kinds;
mod ledger;
mod limits;
mod menus;
mod paying;
mod policies;
mod prune;
mod rates;
mod smpp;
mod sync;
mod templates;
mod texts;

use std::collections::BTreeMap;

use facts::time::UnixMillis;

use crate::db::{Conn, Verdict, args};
use crate::desired::{Act, Change, Changes, Desired};
use crate::error::{Error, Result};
use crate::trail;
use check::Check;

/// Row ids by name, as far as the transaction has come.
type Ids = BTreeMap<String, i64>;

/// What one run carries along.
struct Run<'a> {
    conn: &'a mut Conn,
    desired: &'a Desired,
    check: Check,
    changes: Changes,
    at: UnixMillis,
    /// Settings version that this run makes, if it changes anything.
    version: i64,
    realm: String,
    time_zone: String,
    tariffs: Ids,
    merchants: Ids,
    trunks: Ids,
}

pub(crate) async fn apply(
    conn: &mut Conn,
    desired: &Desired,
    (at, actor): (UnixMillis, &str),
    dry_run: bool,
) -> Result<Verdict<Changes>> {
    // The settings row is the lock under which files are applied one after the other.
    let lock = conn.lock("settings");
    let sql = format!(
        "SELECT version, realm, country, trunk_prefix, international_prefix, short_max, \
         time_zone FROM settings{lock}"
    );
    let row = conn.row(&sql, args![]).await?.ok_or(Error::Missing("settings"))?;
    let version = row.int(0)?;
    let plan = facts::NumberPlan {
        country: row.text(2)?,
        trunk_prefix: row.text(3)?,
        international_prefix: row.text(4)?,
        short_max: row.small(5)?,
    };
    let mut run = Run {
        conn,
        desired,
        check: Check::new(desired, plan),
        changes: Changes::default(),
        at,
        version: version + 1,
        realm: row.text(1)?,
        time_zone: row.text(6)?,
        tariffs: Ids::new(),
        merchants: Ids::new(),
        trunks: Ids::new(),
    };
    run.all().await?;
    let Run { conn, check, mut changes, version: next, .. } = run;
    changes.mistakes = check.mistakes;
    let changed = changes.lines.len() != changes.count(Act::Unchanged);
    changes.version = u64::try_from(if changed { next } else { version }).unwrap_or(0);
    if dry_run || !changes.mistakes.is_empty() || !changed {
        return Ok(Verdict::Undo(changes));
    }
    conn.exec("UPDATE settings SET version = $1", args![next]).await?;
    let changed: Vec<&Change> =
        changes.lines.iter().filter(|line| line.act != Act::Unchanged).collect();
    trail::append(conn, None, (at, next), (actor, "apply"), &changed).await?;
    Ok(Verdict::Keep(changes))
}

impl Run<'_> {
    async fn all(&mut self) -> Result<()> {
        self.settings().await?;
        self.tariffs().await?;
        self.merchants().await?;
        self.sub_accounts().await?;
        self.extensions().await?;
        self.groups().await?;
        self.trunks().await?;
        self.routes().await?;
        self.inbound().await?;
        self.top_ups().await?;
        self.ytx_accounts().await?;
        self.ytx_apps().await?;
        self.companies().await?;
        self.templates().await?;
        self.number_lists().await?;
        self.policies().await?;
        self.ussd_codes().await?;
        self.ussd_owners().await?;
        self.payment_gateways().await?;
        self.smpp_links().await?;
        self.sms().await?;
        self.sms_accounts().await?;
        self.sms_keywords().await?;
        self.sms_hooks().await?;
        if self.desired.prune {
            self.prune().await?;
        }
        Ok(())
    }

    /// Names and ids of a table.
    async fn ids(&mut self, table: &str) -> Result<Ids> {
        let rows = self.conn.rows(&format!("SELECT name, id FROM {table}"), args![]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect()
    }
}
