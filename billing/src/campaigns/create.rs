//! How campaigns come to be, and their numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use facts::UnixMillis;

use super::{Campaign, CampaignState, NewNumber};
use crate::call::KEY_LIFE;
use crate::db::{Conn, Value, args, json, tuples, word, work};
use crate::error::{Constraint, Error, Result};
use crate::once::Once;
use crate::store::Store;

/// Campaigns of one merchant that are not over, at most: each that runs is looked at twice a
/// second.
pub const OPEN_MAX: u32 = 500;
/// Numbers of one insert: five columns each, below what SQLite takes as parameters.
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

/// What became of a campaign that was to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is there, with so many numbers.
    Now(u64),
    /// It was asked for before: it is this one, with so many numbers by now.
    Before(String, u64),
    /// Something else was asked for under that name.
    OtherRequest,
}

/// What a request was before, if it was anything.
async fn known(
    conn: &mut Conn,
    company: &str,
    (request, at): (&Request, UnixMillis),
) -> Result<Option<Created>> {
    let sql = "SELECT r.fingerprint, r.campaign, COALESCE(c.total, 0) FROM campaign_requests r \
               LEFT JOIN campaigns c ON c.id = r.campaign \
               WHERE r.company = $1 AND r.request = $2 AND r.at >= $3";
    let values = args![company, &request.name, at - KEY_LIFE];
    let Some(row) = conn.row(sql, values).await? else { return Ok(None) };
    Ok(Some(match row.text(0)? == request.fingerprint {
        true => Created::Before(row.text(1)?, row.small(2)?),
        false => Created::OtherRequest,
    }))
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
    if let Some(request) = request {
        let sql = "DELETE FROM campaign_requests WHERE company = $1 AND request = $2 AND at < $3";
        let old = campaign.created - KEY_LIFE;
        conn.exec(sql, args![&campaign.company, &request.name, old]).await?;
        let sql = "INSERT INTO campaign_requests (company, request, fingerprint, campaign, at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let Request { name, fingerprint } = request;
        let values = args![&campaign.company, name, fingerprint, &campaign.id, campaign.created];
        conn.exec(sql, values).await?;
    }
    let kept = insert_numbers(conn, &campaign.id, numbers).await?;
    Ok(Created::Now(u64::try_from(kept).unwrap_or(u64::MAX)))
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

/// Adds numbers behind those that there are; how many it were. One that is there already, not
/// called yet and said to be called not before the same instant, is called once, however long it
/// was put off.
async fn insert_numbers(conn: &mut Conn, id: &str, numbers: &[NewNumber]) -> Result<usize> {
    let sql = "SELECT phone, due FROM campaign_numbers WHERE campaign = $1 AND state = 'waiting'";
    let mut there = BTreeSet::new();
    for row in conn.rows(sql, args![id]).await? {
        there.insert((row.text(0)?, row.opt_int(1)?));
    }
    let fresh: Vec<&NewNumber> = numbers
        .iter()
        .filter(|number| there.insert((number.phone.clone(), number.due.map(|due| due.0))))
        .collect();
    let sql =
        "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM campaign_numbers WHERE campaign = $1";
    let mut seq = conn.row(sql, args![id]).await?.map_or(Ok(0), |row| row.int(0))?;
    for some in fresh.chunks(ROWS) {
        let mut values: Vec<Value> = Vec::new();
        for number in some {
            seq += 1;
            values.extend(args![id, seq, &number.phone, number.due, json(&number.said)?]);
        }
        let sql = format!(
            "INSERT INTO campaign_numbers (campaign, seq, phone, due, said) VALUES {}",
            tuples(some.len(), 5)
        );
        conn.exec_once(&sql, values).await?;
    }
    let sql = "UPDATE campaigns SET total = total + $2, waiting = waiting + $2 WHERE id = $1";
    let count = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
    conn.exec(sql, args![id, count]).await?;
    Ok(fresh.len())
}

/// What a unit added when it ran before, and its commit was not heard of.
async fn added_before(
    conn: &mut Conn,
    (company, id): (&str, &str),
    once: &Once,
) -> Result<Option<(CampaignState, usize)>> {
    let sql = "SELECT fingerprint FROM campaign_requests WHERE company = $1 AND request = $2 \
               AND campaign = $3";
    let row = conn.row(sql, args![company, once.as_str(), id]).await?;
    row.map(|row| row.json(0)).transpose()
}

async fn add(
    conn: &mut Conn,
    (company, id): (&str, &str),
    numbers: &[NewNumber],
    (once, at): (&Once, UnixMillis),
) -> Result<Option<(CampaignState, usize)>> {
    if let Some(before) = added_before(conn, (company, id), once).await? {
        return Ok(Some(before));
    }
    // Who cancels it waits until the numbers are there, or is waited for.
    let lock = conn.lock("c");
    let sql = format!(
        "SELECT state, cancelled, merchant_id FROM campaigns c WHERE id = $1 AND company = $2{lock}"
    );
    let Some(row) = conn.row(&sql, args![id, company]).await? else { return Ok(None) };
    let stands: CampaignState = row.word(0)?;
    let ended = stands == CampaignState::Ended;
    if ended && row.truth(1)? {
        return Ok(Some((stands, 0)));
    }
    if ended {
        room(conn, row.int(2)?).await?;
    }
    let added = insert_numbers(conn, id, numbers).await?;
    let sql = "UPDATE campaigns SET state = 'waiting', begins = NULL, ended = NULL \
               WHERE id = $1 AND state = 'ended' AND cancelled = 0";
    conn.exec(sql, args![id]).await?;
    let told = (if ended { CampaignState::Waiting } else { stands }, added);
    let sql = "INSERT INTO campaign_requests (company, request, fingerprint, campaign, at) \
               VALUES ($1, $2, $3, $4, $5)";
    conn.exec(sql, args![company, once.as_str(), json(&told)?, id, at]).await?;
    Ok(Some(told))
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
        (company, id): (&str, &str),
        numbers: Vec<NewNumber>,
    ) -> Result<Option<(CampaignState, usize)>> {
        let (company, id, once) = (company.to_owned(), id.to_owned(), once.clone());
        self.write(work!(conn, [company, id, numbers, once] => {
            add(conn, (&company, &id), &numbers, (&once, at)).await?
        }))
        .await
    }
}
