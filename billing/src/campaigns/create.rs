//! How campaigns come to be, and their numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use facts::UnixMillis;

use super::{Campaign, CampaignState, NewNumber};
use crate::call::KEY_LIFE;
use crate::db::{Conn, Row, Value, args, from_json, json, tuples, word, work};
use crate::error::{Constraint, Error, Result};
use crate::once::Once;
use crate::store::Store;

/// Campaigns of one merchant that are not over, at most: each that runs is looked at twice a
/// second.
pub const OPEN_MAX: u32 = 500;
/// Numbers of one statement: six columns each, below what SQLite takes as parameters.
const ROWS: usize = 500;

/// A request to which a company gives a name of its own: the same again is the same campaign, for
/// thirty days.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The name.
    pub name: String,
    /// What a repeat says as well.
    pub fingerprint: String,
}

impl Request {
    /// One to which nobody gave a name: no repeat of it is known as one.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn unnamed() -> Result<Request> {
        Ok(Request { name: Once::fresh()?.as_str().to_owned(), fingerprint: String::new() })
    }
}

/// What became of a campaign that was to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is there, with so many numbers.
    Now(u64),
    /// It was asked for before: it is this one, and had so many numbers.
    Before(String, u64),
    /// Something else was asked for under that name.
    OtherRequest,
}

/// How a campaign stood, and how many numbers were kept: what was answered to a request.
type Answered = (CampaignState, u64);

fn told_of(row: &Row, column: usize) -> Result<Option<Answered>> {
    row.opt_text(column)?.map(|told| from_json(&told)).transpose()
}

/// What was made of a request is known when it comes again.
async fn remember(
    conn: &mut Conn,
    (company, id): (&str, &str),
    (request, at): (&Request, UnixMillis),
    answered: Answered,
) -> Result<()> {
    let Request { name, fingerprint } = request;
    let old = "DELETE FROM campaign_requests WHERE company = $1 AND request = $2 AND at < $3";
    conn.exec(old, args![company, name, at - KEY_LIFE]).await?;
    let sql = "INSERT INTO campaign_requests (company, request, fingerprint, campaign, at, told) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    conn.exec(sql, args![company, name, fingerprint, id, at, json(&answered)?]).await.map(drop)
}

/// What a request was before, if it was anything.
async fn known(
    conn: &mut Conn,
    company: &str,
    (request, at): (&Request, UnixMillis),
) -> Result<Option<Created>> {
    let sql = "SELECT r.fingerprint, r.campaign, COALESCE(c.total, 0), r.told FROM campaign_requests r \
               LEFT JOIN campaigns c ON c.id = r.campaign \
               WHERE r.company = $1 AND r.request = $2 AND r.at >= $3";
    let values = args![company, &request.name, at - KEY_LIFE];
    let Some(row) = conn.row(sql, values).await? else { return Ok(None) };
    if row.text(0)? != request.fingerprint {
        return Ok(Some(Created::OtherRequest));
    }
    let told = told_of(&row, 3)?.map_or_else(|| row.small(2), |(_, kept)| Ok(kept))?;
    Ok(Some(Created::Before(row.text(1)?, told)))
}

/// Whether there is room for one more open campaign of a merchant.
async fn room(conn: &mut Conn, merchant: i64) -> Result<()> {
    conn.one_at_a_time(&format!("campaigns of {merchant}")).await?;
    let sql = "SELECT COUNT(*) FROM campaigns WHERE merchant_id = $1 AND state <> 'ended'";
    let open = conn.row(sql, args![merchant]).await?.map_or(Ok(0), |row| row.int(0))?;
    if open >= i64::from(OPEN_MAX) {
        return Err(Error::Conflict(Constraint::Campaigns));
    }
    Ok(())
}

async fn create(
    conn: &mut Conn,
    campaign: &Campaign,
    numbers: &[NewNumber],
    request: Option<&Request>,
) -> Result<Created> {
    // The unit runs again when its commit was not heard of: what it finds then is its own.
    let sql = "SELECT total FROM campaigns WHERE id = $1 AND company = $2 AND created = $3";
    if let Some(mine) =
        conn.row(sql, args![&campaign.id, &campaign.company, campaign.created]).await?
    {
        return Ok(Created::Now(mine.small(0)?));
    }
    if let Some(request) = request
        && let Some(known) = known(conn, &campaign.company, (request, campaign.created)).await?
    {
        return Ok(known);
    }
    room(conn, campaign.merchant.0).await?;
    insert(conn, campaign).await?;
    let kept = insert_numbers(conn, &campaign.id, (numbers, u64::MAX)).await?.unwrap_or_default();
    if let Some(request) = request {
        let Campaign { company, id, state, created, .. } = campaign;
        remember(conn, (company, id), (request, *created), (*state, kept)).await?;
    }
    Ok(Created::Now(kept))
}

async fn insert(conn: &mut Conn, campaign: &Campaign) -> Result<()> {
    let sql = "INSERT INTO campaigns \
               (id, merchant_id, company, name, plan, begins, pauses, state, created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = args![
        &campaign.id,
        campaign.merchant.0,
        &campaign.company,
        &campaign.name,
        json(&campaign.plan)?,
        campaign.begins,
        campaign.pauses,
        word(&campaign.state)?,
        campaign.created,
    ];
    conn.exec(sql, values).await.map(drop)
}

/// Those of some numbers that a campaign has not, each once: one that waits already, said to be called not before the
/// same instant, is called once, however it is written and however long it was put off.
async fn fresh<'a>(
    conn: &mut Conn,
    id: &str,
    numbers: &'a [NewNumber],
) -> Result<Vec<&'a NewNumber>> {
    let mut there = BTreeSet::new();
    for some in numbers.chunks(ROWS) {
        let sql = format!(
            "SELECT meant, due FROM campaign_numbers WHERE meant IN {} AND campaign = ${} \
             AND state = 'waiting'",
            tuples(1, some.len()),
            some.len() + 1
        );
        let mut values: Vec<Value> = Vec::with_capacity(some.len() + 1);
        for number in some {
            values.extend(args![&number.meant]);
        }
        values.extend(args![id]);
        for row in conn.rows(&sql, values).await? {
            there.insert((row.text(0)?, row.opt_int(1)?));
        }
    }
    let is_new =
        |number: &&NewNumber| there.insert((number.meant.clone(), number.due.map(|due| due.0)));
    Ok(numbers.iter().filter(is_new).collect())
}

/// Adds numbers behind those that there are, but for those that wait already; how many it were. `None`: it would have
/// more than so many, and none is added.
async fn insert_numbers(
    conn: &mut Conn,
    id: &str,
    (numbers, most): (&[NewNumber], u64),
) -> Result<Option<u64>> {
    let fresh = fresh(conn, id, numbers).await?;
    let known = conn.row("SELECT total FROM campaigns WHERE id = $1", args![id]).await?;
    let known: u64 = known.map_or(Ok(0), |row| row.small(0))?;
    if known + fresh.len() as u64 > most {
        return Ok(None);
    }
    let sql =
        "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM campaign_numbers WHERE campaign = $1";
    let mut seq = conn.row(sql, args![id]).await?.map_or(Ok(0), |row| row.int(0))?;
    for some in fresh.chunks(ROWS) {
        let mut values: Vec<Value> = Vec::new();
        for number in some {
            seq += 1;
            let NewNumber { phone, meant, due, said } = number;
            values.extend(args![id, seq, phone, meant, *due, json(said)?]);
        }
        let sql = format!(
            "INSERT INTO campaign_numbers (campaign, seq, phone, meant, due, said) VALUES {}",
            tuples(some.len(), 6)
        );
        conn.exec_once(&sql, values).await?;
    }
    let sql = "UPDATE campaigns SET total = total + $2, waiting = waiting + $2 WHERE id = $1";
    let count = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
    conn.exec(sql, args![id, count]).await?;
    Ok(Some(fresh.len() as u64))
}

/// How numbers are added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// A campaign that has ended because all its numbers were called waits again.
    pub reopens: bool,
    /// So many numbers it may have at most.
    pub most: u64,
}

/// What became of numbers that were to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// The campaign stands so, and so many were added: none to one that is over for good.
    Now(CampaignState, u64),
    /// They were added before: it stood so then, and so many it were.
    Before(CampaignState, u64),
    /// It would have had more numbers than it may have: none was added.
    Full,
    /// There is no such campaign.
    Missing,
    /// Something else was asked for under that name.
    OtherRequest,
}

/// What a request added before, or a unit whose commit was not heard of.
async fn added_before(
    conn: &mut Conn,
    (company, id): (&str, &str),
    (request, at): (&Request, UnixMillis),
) -> Result<Option<Added>> {
    let sql = "SELECT fingerprint, campaign, told FROM campaign_requests \
               WHERE company = $1 AND request = $2 AND at >= $3";
    let row = conn.row(sql, args![company, &request.name, at - KEY_LIFE]).await?;
    let Some(row) = row else { return Ok(None) };
    let told = told_of(&row, 2)?.filter(|_| row.text(1).is_ok_and(|known| known == id));
    let same = row.text(0)? == request.fingerprint;
    Ok(Some(match told.filter(|_| same) {
        Some((stood, added)) => Added::Before(stood, added),
        None => Added::OtherRequest,
    }))
}

async fn add(
    conn: &mut Conn,
    (company, id): (&str, &str),
    numbers: &[NewNumber],
    (request, at, terms): (&Request, UnixMillis, Terms),
) -> Result<Added> {
    if let Some(before) = added_before(conn, (company, id), (request, at)).await? {
        return Ok(before);
    }
    // Who cancels it waits until the numbers are there, or is waited for.
    let lock = conn.lock("c");
    let sql = format!(
        "SELECT state, cancelled, merchant_id FROM campaigns c WHERE id = $1 AND company = $2{lock}"
    );
    let Some(row) = conn.row(&sql, args![id, company]).await? else { return Ok(Added::Missing) };
    let stands: CampaignState = row.word(0)?;
    let ended = stands == CampaignState::Ended;
    if ended && (!terms.reopens || row.truth(1)?) {
        return Ok(Added::Now(stands, 0));
    }
    if ended {
        room(conn, row.int(2)?).await?;
    }
    let added = insert_numbers(conn, id, (numbers, terms.most)).await?;
    let Some(added) = added else { return Ok(Added::Full) };
    let sql = "UPDATE campaigns SET state = 'waiting', begins = NULL, ended = NULL \
               WHERE id = $1 AND state = 'ended' AND cancelled = 0";
    conn.exec(sql, args![id]).await?;
    let stands = if ended { CampaignState::Waiting } else { stands };
    remember(conn, (company, id), (request, at), (stands, added)).await?;
    Ok(Added::Now(stands, added))
}

impl Store {
    /// Keeps a campaign with its numbers, each once. Under a name of the company's own it is made
    /// once.
    ///
    /// # Errors
    /// [`Error::Conflict`]: [`Constraint::Campaigns`] when its merchant has [`OPEN_MAX`] that are not over, any other
    /// when its id is taken.
    pub async fn create_campaign(
        &self,
        campaign: Campaign,
        numbers: Arc<Vec<NewNumber>>,
        request: Option<Request>,
    ) -> Result<Created> {
        self.write(work!(conn, [campaign, numbers, request] => {
            create(conn, &campaign, &numbers, request.as_ref().as_ref()).await?
        }))
        .await
    }

    /// What a request of a company was before, if it was anything.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign_asked(
        &self,
        company: &str,
        request: &Request,
        at: UnixMillis,
    ) -> Result<Option<Created>> {
        let (company, request) = (company.to_owned(), request.clone());
        self.read(work!(conn, [company, request] => known(conn, &company, (&request, at)).await?))
            .await
    }

    /// Adds numbers behind those of a campaign, but for those that wait in it; one that had ended
    /// because all its numbers were called waits again, to one that was cancelled none are added.
    /// `None` when the company has no such campaign, else how it stands and how many were added.
    /// Under the same `once` they are added once.
    ///
    /// # Errors
    /// [`Constraint::Campaigns`] when one would wait again of a merchant that has [`OPEN_MAX`] that are not over.
    pub async fn add_campaign_numbers(
        &self,
        once: &Once,
        at: UnixMillis,
        whose: (&str, &str),
        numbers: Vec<NewNumber>,
    ) -> Result<Option<(CampaignState, u64)>> {
        let request = Request { name: once.as_str().to_owned(), fingerprint: String::new() };
        let terms = Terms { reopens: true, most: u64::MAX };
        match self.add_under(request, at, whose, (numbers, terms)).await? {
            Added::Now(stands, added) | Added::Before(stands, added) => Ok(Some((stands, added))),
            Added::Full | Added::Missing | Added::OtherRequest => Ok(None),
        }
    }

    /// The same under a name of the company's own, and on these terms: how many numbers there are is read in the
    /// transaction that adds some.
    ///
    /// # Errors
    /// As [`Store::add_campaign_numbers`].
    pub async fn add_under(
        &self,
        request: Request,
        at: UnixMillis,
        (company, id): (&str, &str),
        (numbers, terms): (Vec<NewNumber>, Terms),
    ) -> Result<Added> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.write(work!(conn, [company, id, numbers, request] => {
            add(conn, (&company, &id), &numbers, (&request, at, terms)).await?
        }))
        .await
    }

    /// What a request to add numbers became before, if it was one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn added_under(
        &self,
        request: &Request,
        at: UnixMillis,
        (company, id): (&str, &str),
    ) -> Result<Option<Added>> {
        let (company, id, request) = (company.to_owned(), id.to_owned(), request.clone());
        self.read(work!(conn, [company, id, request] => {
            added_before(conn, (&company, &id), (&request, at)).await?
        }))
        .await
    }
}
