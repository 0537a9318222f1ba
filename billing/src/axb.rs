//! Bindings of privacy numbers (AXB): who reaches whom by which of a merchant's numbers, and until when.
//!
//! Bindings come and go by the thousand, so they are no settings: each change takes the next revision, and every process
//! reads what has changed since it last looked. What was taken back stays as a row until no process can take it for good.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::axb::AxbBinding;
use facts::{MerchantId, UnixMillis};

use crate::db::{Conn, Old, Row, args, work};
use crate::error::{Error, Result};
use crate::numbers;
use crate::store::Store;

/// Seconds for which a binding may be asked for.
pub const SECONDS: std::ops::RangeInclusive<u32> = 60..=604_800;
/// How long one that is over can be asked for: the longest life of one. A process that missed that it was taken back knows
/// by then that it has lapsed.
const OVER_LIFE: Duration = Duration::from_secs(*SECONDS.end() as u64);

const ENTRY: &str = "SELECT id, merchant_id, number, a, b, reference, seconds, created, expires, ended, \
                     revision FROM axb_bindings";

/// What is asked for. Numbers are E.164 digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBinding {
    /// Whose.
    pub merchant: MerchantId,
    /// The number that both call and are shown.
    pub number: String,
    /// One of the two.
    pub a: String,
    /// The other.
    pub b: String,
    /// The merchant's own word for it.
    pub reference: String,
    /// How long it holds.
    pub seconds: u32,
}

/// A binding as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Row id.
    pub id: i64,
    /// What was asked for; the seconds as last changed.
    pub asked: NewBinding,
    /// When it was made.
    pub created: UnixMillis,
    /// From when on it is none.
    pub expires: UnixMillis,
    /// When it was taken back.
    pub ended: Option<UnixMillis>,
    /// The number was no privacy number of this merchant's any more when this was read.
    pub lost: bool,
    revision: i64,
}

impl Entry {
    /// Whether it leads anybody anywhere.
    #[must_use]
    pub fn holds(&self, now: UnixMillis) -> bool {
        !self.lost && self.ended.is_none() && self.expires > now
    }
}

/// Which bindings are looked for. Numbers are E.164 digits; what is not given is any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// On this number.
    pub number: Option<String>,
    /// Of this one, as either of the two.
    pub party: Option<String>,
}

/// What came of a binding that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bound {
    /// It is made.
    Now(Entry),
    /// The same one holds already.
    Before(Entry),
    /// One of the two has another binding on this number: the merchant's with this id.
    Taken(i64),
    /// The number is no privacy number of this merchant's.
    NotYours,
    /// The merchant has as many as he may: so many.
    TooMany(u32),
    /// It was asked for other seconds than [`SECONDS`].
    BadSeconds,
}

/// What came of a binding that was to hold longer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prolonged {
    /// It does.
    Now(Entry),
    /// There is none that holds, or the number is no privacy number of this merchant's any more.
    Gone,
    /// One of the two has another binding on this number meanwhile: the merchant's with this id.
    Taken(i64),
    /// It was asked for other seconds than [`SECONDS`].
    BadSeconds,
}

/// Changes of bindings since a revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// How the changed ones stand, in the order of their changes.
    pub bindings: Vec<AxbBinding>,
    /// The last revision among them, or the one asked with.
    pub revision: i64,
    /// There may be more.
    pub more: bool,
}

/// Bindings that hold, and where those after them begin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Live {
    /// In the order in which they lapse.
    pub bindings: Vec<AxbBinding>,
    /// The place of the last one; `None`: there was none.
    pub last: Option<(UnixMillis, i64)>,
}

/// Takes the next revision; whoever else wants one waits until this transaction is over.
async fn revise(conn: &mut Conn) -> Result<i64> {
    let sql = "UPDATE axb_clock SET revision = revision + 1 RETURNING revision";
    conn.row(sql, args![]).await?.ok_or(Error::Missing("axb_clock"))?.int(0)
}

/// Whether it is a privacy number of this merchant's.
async fn is_own(conn: &mut Conn, merchant: MerchantId, number: &str) -> Result<bool> {
    Ok(numbers::owner(conn, number).await? == Some((merchant, true)))
}

/// The merchant's bindings on a number that hold and have one of the two. Those of whoever had the number before lead
/// nobody anywhere.
async fn held(conn: &mut Conn, new: &NewBinding, now: UnixMillis) -> Result<Vec<Entry>> {
    let which = "number = $1 AND merchant_id = $5 AND ended IS NULL AND expires > $4";
    let sql = format!(
        "{ENTRY} WHERE {which} AND a IN ($2, $3) UNION {ENTRY} WHERE {which} AND b IN ($2, $3)"
    );
    let args = args![&new.number, &new.a, &new.b, now, new.merchant.0];
    conn.rows(&sql, args).await?.iter().map(entry).collect()
}

async fn bind(conn: &mut Conn, new: &NewBinding, most: u32, now: UnixMillis) -> Result<Bound> {
    if !SECONDS.contains(&new.seconds) {
        return Ok(Bound::BadSeconds);
    }
    // Before the clock: who may not keeps nobody waiting.
    if !is_own(conn, new.merchant, &new.number).await? {
        return Ok(Bound::NotYours);
    }
    // What is looked at below then stays so.
    let revision = revise(conn).await?;
    match held(conn, new, now).await?.as_slice() {
        [] => {}
        [one] if one.asked == *new => return Ok(Bound::Before(one.clone())),
        [one, ..] => return Ok(Bound::Taken(one.id)),
    }
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM axb_bindings \
               WHERE merchant_id = $1 AND ended IS NULL AND expires > $2 LIMIT $3) AS held";
    let row = conn.row(sql, args![new.merchant.0, now, most]).await?;
    let count = row.map_or(Ok(0), |row| row.int(0))?;
    if count >= i64::from(most) {
        return Ok(Bound::TooMany(most));
    }
    let expires = now + Duration::from_secs(new.seconds.into());
    let sql = "INSERT INTO axb_bindings (merchant_id, number, a, b, reference, seconds, created, expires, \
               revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";
    let args = args![
        new.merchant.0,
        &new.number,
        &new.a,
        &new.b,
        &new.reference,
        i64::from(new.seconds),
        now,
        expires,
        revision
    ];
    let id = conn.row(sql, args).await?.ok_or(Error::Missing("axb binding"))?.int(0)?;
    let asked = new.clone();
    Ok(Bound::Now(Entry { id, asked, created: now, expires, ended: None, lost: false, revision }))
}

/// Lets one that holds go on for so many seconds from now.
async fn prolong(
    conn: &mut Conn,
    (merchant, id): (MerchantId, i64),
    seconds: u32,
    now: UnixMillis,
) -> Result<Prolonged> {
    if !SECONDS.contains(&seconds) {
        return Ok(Prolonged::BadSeconds);
    }
    let Some(own) = one(conn, merchant, id).await?.filter(|own| own.holds(now)) else {
        return Ok(Prolonged::Gone);
    };
    let revision = revise(conn).await?;
    // By the clock of another process it may have lapsed, and one of the two be bound anew.
    let others = held(conn, &own.asked, now).await?;
    if let Some(other) = others.iter().find(|other| other.id != id) {
        return Ok(Prolonged::Taken(other.id));
    }
    let sql = "UPDATE axb_bindings SET seconds = $4, expires = $5, revision = $6 \
               WHERE id = $1 AND merchant_id = $2 AND ended IS NULL AND expires > $3";
    let expires = now + Duration::from_secs(seconds.into());
    let args = args![id, merchant.0, now, i64::from(seconds), expires, revision];
    if conn.exec(sql, args).await? == 0 {
        return Ok(Prolonged::Gone);
    }
    Ok(one(conn, merchant, id).await?.map_or(Prolonged::Gone, Prolonged::Now))
}

/// Takes one back. Of one that is over nothing changes.
async fn unbind(
    conn: &mut Conn,
    (merchant, id): (MerchantId, i64),
    now: UnixMillis,
) -> Result<Option<Entry>> {
    let own = one(conn, merchant, id).await?;
    // One that holds no more as its number has left holds again when the number comes back.
    let open = |own: &Entry| own.ended.is_none() && own.expires > now;
    if !own.as_ref().is_some_and(open) {
        return Ok(own);
    }
    let revision = revise(conn).await?;
    let sql = "UPDATE axb_bindings SET ended = $3, revision = $4 \
               WHERE id = $1 AND merchant_id = $2 AND ended IS NULL AND expires > $3";
    conn.exec(sql, args![id, merchant.0, now, revision]).await?;
    one(conn, merchant, id).await
}

async fn one(conn: &mut Conn, merchant: MerchantId, id: i64) -> Result<Option<Entry>> {
    let sql = format!("{ENTRY} WHERE id = $1 AND merchant_id = $2");
    let Some(row) = conn.row(&sql, args![id, merchant.0]).await? else { return Ok(None) };
    let mut found = entry(&row)?;
    found.lost = !is_own(conn, merchant, &found.asked.number).await?;
    Ok(Some(found))
}

async fn many(
    conn: &mut Conn,
    merchant: MerchantId,
    search: &Search,
    (after, limit): (i64, u32),
) -> Result<Vec<Entry>> {
    let (mut args, mut which) = (args![merchant.0, after, limit], String::new());
    if let Some(number) = &search.number {
        args.extend(args![number]);
        which = format!(" AND number = ${}", args.len());
    }
    if let Some(party) = &search.party {
        args.extend(args![party]);
        which = format!("{which} AND ${} IN (a, b)", args.len());
    }
    let sql = format!("{ENTRY} WHERE merchant_id = $1 AND id > $2{which} ORDER BY id LIMIT $3");
    let rows = conn.rows(&sql, args).await?;
    let mut found = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
    let mut known = BTreeMap::new();
    for entry in &mut found {
        let number = &entry.asked.number;
        if !known.contains_key(number) {
            known.insert(number.clone(), is_own(conn, merchant, number).await?);
        }
        entry.lost = known.get(number) == Some(&false);
    }
    Ok(found)
}

fn entry(row: &Row) -> Result<Entry> {
    let asked = NewBinding {
        merchant: MerchantId(row.int(1)?),
        number: row.text(2)?,
        a: row.text(3)?,
        b: row.text(4)?,
        reference: row.text(5)?,
        seconds: row.small(6)?,
    };
    Ok(Entry {
        id: row.int(0)?,
        asked,
        created: row.instant(7)?,
        expires: row.instant(8)?,
        ended: row.opt_int(9)?.map(UnixMillis),
        lost: false,
        revision: row.int(10)?,
    })
}

async fn changes(conn: &mut Conn, after: i64, limit: u32) -> Result<Changes> {
    let sql = format!("{ENTRY} WHERE revision > $1 ORDER BY revision LIMIT $2");
    let rows = conn.rows(&sql, args![after, limit]).await?;
    let mut changes = Changes { revision: after, ..Changes::default() };
    changes.more = rows.len() >= limit as usize;
    for row in &rows {
        let entry = entry(row)?;
        changes.revision = entry.revision;
        changes.bindings.push(told(entry));
    }
    Ok(changes)
}

async fn live(conn: &mut Conn, after: (UnixMillis, i64), limit: u32) -> Result<Live> {
    let sql = format!(
        "{ENTRY} WHERE (expires, id) > ($1, $2) AND ended IS NULL ORDER BY expires, id LIMIT $3"
    );
    let mut live = Live::default();
    for row in conn.rows(&sql, args![after.0, after.1, limit]).await? {
        let entry = entry(&row)?;
        live.last = Some((entry.expires, entry.id));
        live.bindings.push(told(entry));
    }
    Ok(live)
}

/// How it stands, for whoever leads calls by it.
fn told(entry: Entry) -> AxbBinding {
    let Entry { id, asked, expires, ended, .. } = entry;
    let NewBinding { merchant, number, a, b, reference, .. } = asked;
    let until = ended.is_none().then_some(expires);
    AxbBinding { id, merchant, number, a, b, reference, context: String::new(), until }
}

/// Bindings that lapsed long ago.
pub(crate) const OLD: Old =
    Old { table: "axb_bindings", keys: "id", which: "expires < $1", life: OVER_LIFE };

impl Store {
    /// Makes a binding, unless one of the two has another one on this number. The same one again is the first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bind_axb(&self, new: NewBinding, now: UnixMillis) -> Result<Bound> {
        let most = self.axb_bindings;
        self.write(work!(conn, [new] => bind(conn, &new, most, now).await?)).await
    }

    /// Lets a binding that holds go on for so many seconds from now, unless one of the two has another one by now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prolong_axb(
        &self,
        of: (MerchantId, i64),
        seconds: u32,
        now: UnixMillis,
    ) -> Result<Prolonged> {
        self.write(work!(conn, [] => prolong(conn, of, seconds, now).await?)).await
    }

    /// Takes a binding back, and says how it stands; one that is over stays as it was. None if the merchant has no such
    /// binding.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unbind_axb(
        &self,
        of: (MerchantId, i64),
        now: UnixMillis,
    ) -> Result<Option<Entry>> {
        self.write(work!(conn, [] => unbind(conn, of, now).await?)).await
    }

    /// A binding of a merchant, also one that is over.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn axb_binding(&self, of: (MerchantId, i64)) -> Result<Option<Entry>> {
        self.read(work!(conn, [] => one(conn, of.0, of.1).await?)).await
    }

    /// Bindings of a merchant with a higher id than `after`, by id, so many at most.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn axb_bindings(
        &self,
        merchant: MerchantId,
        search: Search,
        page: (i64, u32),
    ) -> Result<Vec<Entry>> {
        self.read(work!(conn, [search] => many(conn, merchant, &search, page).await?)).await
    }

    /// The revision of the last change of all. Whoever begins asks for it first, then for the bindings that hold, then
    /// for the changes since.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn axb_revision(&self) -> Result<i64> {
        self.read(work!(conn, [] => {
            let row = conn.row("SELECT revision FROM axb_clock", args![]).await?;
            row.ok_or(Error::Missing("axb_clock"))?.int(0)?
        }))
        .await
    }

    /// Bindings that were not taken back and lapse after an instant, so many at most: first that of now with the
    /// highest id, then [`Live::last`] of the page before.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn axb_live(&self, after: (UnixMillis, i64), limit: u32) -> Result<Live> {
        self.read(work!(conn, [] => live(conn, after, limit).await?)).await
    }

    /// Changes of bindings after a revision, so many at most.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn axb_changes(&self, after: i64, limit: u32) -> Result<Changes> {
        self.read(work!(conn, [] => changes(conn, after, limit).await?)).await
    }
}
