//! Inbound numbers of merchants: whose each is, and the scenario that answers whoever calls it.
//!
//! A scenario is here what its merchant's surface makes of it: text that nobody here reads. Each change takes the next
//! revision, and every process reads what has changed since it last looked. What was taken back stays as a row until no
//! process can miss it.

use std::time::Duration;

use facts::{MerchantId, UnixMillis};

use crate::db::{Conn, Old, Row, args, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// How long it is known that one was taken back: no process that runs looks so seldom.
const GONE_LIFE: Duration = Duration::from_secs(7 * 86_400);

const ENTRY: &str = "SELECT number, merchant_id, scenario, changed, revision FROM number_scenarios";

const NUMBER: &str = "SELECT i.number, i.extension, g.number, i.axb, s.number FROM inbound i \
                      LEFT JOIN extensions e ON e.number = i.extension \
                      LEFT JOIN extension_groups g ON g.number = i.extension \
                      LEFT JOIN number_scenarios s ON s.number = i.number AND s.scenario <> '' \
                      AND s.merchant_id = COALESCE(e.merchant_id, g.merchant_id) \
                      WHERE COALESCE(e.merchant_id, g.merchant_id) = $1";

/// An inbound number of a merchant's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inbound {
    /// E.164 digits.
    pub number: String,
    /// The extension or the group that the operator leads it to.
    pub to: String,
    /// It is a group.
    pub group: bool,
    /// It is a privacy number: bindings say whom it reaches.
    pub axb: bool,
    /// It has a scenario.
    pub scenario: bool,
}

/// The scenario of a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// E.164 digits.
    pub number: String,
    /// Whose scenario it is.
    pub merchant: MerchantId,
    /// As its surface keeps it; empty: it was taken back.
    pub scenario: String,
    /// When it was last changed.
    pub changed: UnixMillis,
    revision: i64,
}

/// What came of a scenario that a number was to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// It has it.
    Done(Entry),
    /// The number is no inbound number of this merchant's.
    NotYours,
    /// It is a privacy number: bindings say whom it reaches.
    Privacy,
}

/// Changes since a revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// How the changed ones stand, in the order of their changes.
    pub entries: Vec<Entry>,
    /// The last revision among them, or the one asked with.
    pub revision: i64,
    /// There may be more.
    pub more: bool,
}

/// Whose an inbound number is, and whether it is a privacy number.
pub(crate) async fn owner(conn: &mut Conn, number: &str) -> Result<Option<(MerchantId, bool)>> {
    let sql = "SELECT COALESCE(e.merchant_id, g.merchant_id), i.axb FROM inbound i \
               LEFT JOIN extensions e ON e.number = i.extension \
               LEFT JOIN extension_groups g ON g.number = i.extension \
               WHERE i.number = $1";
    let Some(row) = conn.row(sql, args![number]).await? else { return Ok(None) };
    let axb = row.truth(1)?;
    Ok(row.opt_int(0)?.map(|owner| (MerchantId(owner), axb)))
}

/// Takes the next revision; whoever else wants one waits until this transaction is over.
async fn revise(conn: &mut Conn) -> Result<i64> {
    let sql = "UPDATE number_scenarios_clock SET revision = revision + 1 RETURNING revision";
    conn.row(sql, args![]).await?.ok_or(Error::Missing("number_scenarios_clock"))?.int(0)
}

async fn put(
    conn: &mut Conn,
    (merchant, number): (MerchantId, &str),
    scenario: &str,
    now: UnixMillis,
) -> Result<Put> {
    match owner(conn, number).await? {
        Some((owner, false)) if owner == merchant => {}
        Some((owner, true)) if owner == merchant => return Ok(Put::Privacy),
        _ => return Ok(Put::NotYours),
    }
    let revision = revise(conn).await?;
    let sql = "INSERT INTO number_scenarios (number, merchant_id, scenario, changed, revision) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number) DO UPDATE SET merchant_id = $2, \
               scenario = $3, changed = $4, revision = $5";
    conn.exec(sql, args![number, merchant.0, scenario, now, revision]).await?;
    let (number, scenario) = (number.to_owned(), scenario.to_owned());
    Ok(Put::Done(Entry { number, merchant, scenario, changed: now, revision }))
}

/// Takes it back, also from a number that is this merchant's no more. False: the merchant has given it none, for as long as
/// it is known; what was taken back before stays so.
async fn drop_it(
    conn: &mut Conn,
    (merchant, number): (MerchantId, &str),
    now: UnixMillis,
) -> Result<bool> {
    if one(conn, merchant, number).await?.is_none() {
        let sql = "SELECT 1 FROM number_scenarios WHERE number = $1 AND merchant_id = $2";
        return Ok(conn.row(sql, args![number, merchant.0]).await?.is_some());
    }
    let revision = revise(conn).await?;
    let sql = "UPDATE number_scenarios SET scenario = '', changed = $3, revision = $4 \
               WHERE number = $1 AND merchant_id = $2 AND scenario <> ''";
    Ok(conn.exec(sql, args![number, merchant.0, now, revision]).await? > 0)
}

async fn one(conn: &mut Conn, merchant: MerchantId, number: &str) -> Result<Option<Entry>> {
    let sql = format!("{ENTRY} WHERE number = $1 AND merchant_id = $2 AND scenario <> ''");
    conn.row(&sql, args![number, merchant.0]).await?.as_ref().map(entry).transpose()
}

fn inbound(row: &Row) -> Result<Inbound> {
    Ok(Inbound {
        number: row.text(0)?,
        to: row.text(1)?,
        group: row.opt_text(2)?.is_some(),
        axb: row.truth(3)?,
        scenario: row.opt_text(4)?.is_some(),
    })
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        number: row.text(0)?,
        merchant: MerchantId(row.int(1)?),
        scenario: row.text(2)?,
        changed: row.instant(3)?,
        revision: row.int(4)?,
    })
}

async fn changes(conn: &mut Conn, after: i64, limit: u32) -> Result<Changes> {
    let sql = format!("{ENTRY} WHERE revision > $1 ORDER BY revision LIMIT $2");
    let rows = conn.rows(&sql, args![after, limit]).await?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
    let revision = entries.last().map_or(after, |entry| entry.revision);
    Ok(Changes { more: rows.len() >= limit as usize, entries, revision })
}

/// Those that were taken back long ago.
pub(crate) const OLD: Old = Old {
    table: "number_scenarios",
    keys: "number",
    which: "scenario = '' AND changed < $1",
    life: GONE_LIFE,
};

impl Store {
    /// Gives an inbound number of a merchant's a scenario, in place of the one that it has. `scenario`: not empty.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_number_scenario(
        &self,
        merchant: MerchantId,
        (number, scenario): (&str, String),
        now: UnixMillis,
    ) -> Result<Put> {
        let number = number.to_owned();
        self.write(work!(conn, [number, scenario] => {
            put(conn, (merchant, &number), &scenario, now).await?
        }))
        .await
    }

    /// Takes the scenario of a number back, whoever's the number is now. False: the merchant has given it none; true also
    /// for a week after it was taken back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn drop_number_scenario(
        &self,
        merchant: MerchantId,
        number: &str,
        now: UnixMillis,
    ) -> Result<bool> {
        let number = number.to_owned();
        self.write(work!(conn, [number] => drop_it(conn, (merchant, &number), now).await?)).await
    }

    /// The scenario that a merchant has given a number, whoever's the number is now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn number_scenario(
        &self,
        merchant: MerchantId,
        number: &str,
    ) -> Result<Option<Entry>> {
        let number = number.to_owned();
        self.read(work!(conn, [number] => one(conn, merchant, &number).await?)).await
    }

    /// An inbound number, if it is this merchant's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn inbound_number(
        &self,
        merchant: MerchantId,
        number: &str,
    ) -> Result<Option<Inbound>> {
        let (number, sql) = (number.to_owned(), format!("{NUMBER} AND i.number = $2"));
        self.read(work!(conn, [number, sql] => {
            let row = conn.row(&sql, args![merchant.0, number.as_str()]).await?;
            row.as_ref().map(inbound).transpose()?
        }))
        .await
    }

    /// Inbound numbers of a merchant that are greater than `after`, by size.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn inbound_numbers(
        &self,
        merchant: MerchantId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>> {
        let sql = format!(
            "{NUMBER} AND CAST(i.number AS BIGINT) > $2 ORDER BY CAST(i.number AS BIGINT) LIMIT $3"
        );
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![merchant.0, after, limit]).await?;
            rows.iter().map(inbound).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Changes after a revision, so many at most. Whoever begins asks from 0 on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn number_scenario_changes(&self, after: i64, limit: u32) -> Result<Changes> {
        self.read(work!(conn, [] => changes(conn, after, limit).await?)).await
    }
}
