//! Campaigns: numbers that are dialled for agents, and how far each has come.
//!
//! What became of a call is read off its record, never noted beside it: a number whose call was placed is `calling`
//! until the record is there. A process that dies between the two loses nothing: the same request key finds the same
//! call again, and the record of a call that was cut off is written at the next start.

use std::time::Duration;

use facts::record::CallRecord;
use facts::{CallId, Failure, Kind, LegNo, MerchantId, Outcome, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Row, Value, args, from_json, json, tuples, word, work};
use crate::error::{Error, Result};
use crate::once::Once;
use crate::store::Store;

/// How long a process that is gone keeps a campaign from the others.
pub const LEASE: Duration = Duration::from_secs(20);
/// Calls of one number at most, of which all but the last were lost by faults of our own.
const TRIES_MAX: u32 = 3;
/// Numbers of one insert: five columns each, below what SQLite takes as parameters.
const ROWS: usize = 500;

/// Who takes the calls of a campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takers {
    /// A group, by its internal number.
    Group(String),
    /// Extensions, each in its turn.
    Extensions(Vec<String>),
}

/// How a campaign dials.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Who takes the calls.
    pub takers: Takers,
    /// Customers rung for each free agent, in thousandths.
    pub lines_per_agent: u32,
    /// The ratio is found out instead.
    pub predicts: bool,
    /// Calls at a time, at most.
    pub concurrent: u32,
    /// Of those who answer, so many thousandths may find nobody.
    pub abandoned: u16,
    /// Numbers that may be shown, E.164 digits; empty: as for other calls.
    pub shown: Vec<String>,
}

/// Where a campaign stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Not started.
    Waiting,
    /// Dials.
    Running,
    /// Does not dial; calls under way go on.
    Paused,
    /// Every number was called, or it was cancelled.
    Ended,
}

/// A campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Campaign {
    /// Its name on the wire: unique.
    pub id: String,
    /// Who pays.
    pub merchant: MerchantId,
    /// System 002's company code.
    pub company: String,
    /// What the merchant calls it.
    pub name: String,
    /// How it dials.
    pub plan: Plan,
    /// Starts by itself then.
    pub begins: Option<UnixMillis>,
    /// Pauses by itself then.
    pub pauses: Option<UnixMillis>,
    /// Where it stands.
    pub state: CampaignState,
    /// When it was made.
    pub created: UnixMillis,
}

/// What the merchant said with a number, and wants back.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    /// `userid`.
    pub userid: String,
    /// `memberid`.
    pub memberid: String,
    /// `customuuid`.
    pub customuuid: String,
    /// `ext`.
    pub ext: String,
}

/// A number to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNumber {
    /// As the merchant wrote it.
    pub phone: String,
    /// Not before.
    pub due: Option<UnixMillis>,
    /// What goes back with it.
    pub said: Said,
}

/// Where a number of a campaign stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// Not called yet.
    Waiting,
    /// Its call is under way.
    Calling,
    /// Its call is on record.
    Done,
    /// It cannot be called.
    Refused,
}

/// A number of a campaign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CampaignNumber {
    /// Its place in the list, from 1.
    pub seq: i64,
    /// What was asked for.
    pub number: NewNumber,
    /// Where it stands.
    pub state: NumberState,
    /// Its call.
    pub call: Option<CallId>,
    /// Why it cannot be called.
    pub why: Option<String>,
    /// The customer answered.
    pub answered: bool,
    /// The customer spoke with an agent.
    pub joined: bool,
    /// Calls so far: more than one where the first was lost by a fault of our own.
    pub tries: u32,
}

/// How many numbers of a campaign stand where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// All.
    pub total: u64,
    /// Not called yet.
    pub waiting: u64,
    /// Being called.
    pub calling: u64,
    /// Called.
    pub done: u64,
    /// Of these, who answered.
    pub answered: u64,
    /// Of these, who spoke with an agent.
    pub joined: u64,
    /// Cannot be called.
    pub refused: u64,
}

impl Tally {
    /// No number is waiting or being called.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.waiting == 0 && self.calling == 0
    }
}

const CAMPAIGN: &str =
    "SELECT id, merchant_id, company, name, plan, begins, pauses, state, created FROM campaigns";
const NUMBER: &str = "SELECT seq, phone, due, said, state, call_id, why, answered, joined, tries FROM campaign_numbers";

fn campaign_of(row: &Row) -> Result<Campaign> {
    Ok(Campaign {
        id: row.text(0)?,
        merchant: MerchantId(row.int(1)?),
        company: row.text(2)?,
        name: row.text(3)?,
        plan: row.json(4)?,
        begins: row.opt_int(5)?.map(UnixMillis),
        pauses: row.opt_int(6)?.map(UnixMillis),
        state: row.word(7)?,
        created: row.instant(8)?,
    })
}

fn number_of(row: &Row) -> Result<CampaignNumber> {
    let number =
        NewNumber { phone: row.text(1)?, due: row.opt_int(2)?.map(UnixMillis), said: row.json(3)? };
    let call = row.opt_int(5)?.map(|_| row.call(5)).transpose()?;
    Ok(CampaignNumber {
        seq: row.int(0)?,
        number,
        state: row.word(4)?,
        call,
        why: row.opt_text(6)?,
        answered: row.truth(7)?,
        joined: row.truth(8)?,
        tries: row.small(9)?,
    })
}

async fn one(conn: &mut Conn, company: &str, id: &str) -> Result<Option<Campaign>> {
    let sql = format!("{CAMPAIGN} WHERE id = $1 AND company = $2");
    conn.row(&sql, args![id, company]).await?.as_ref().map(campaign_of).transpose()
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

async fn insert_numbers(conn: &mut Conn, id: &str, numbers: &[NewNumber]) -> Result<()> {
    let sql =
        "SELECT CAST(COALESCE(MAX(seq), 0) AS BIGINT) FROM campaign_numbers WHERE campaign = $1";
    let mut seq = conn.row(sql, args![id]).await?.map_or(Ok(0), |row| row.int(0))?;
    for some in numbers.chunks(ROWS) {
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
    Ok(())
}

async fn tally(conn: &mut Conn, id: &str) -> Result<Tally> {
    let sql = "SELECT COUNT(*), COUNT(*) FILTER (WHERE state = 'waiting'), \
               COUNT(*) FILTER (WHERE state = 'calling'), COUNT(*) FILTER (WHERE state = 'done'), \
               COUNT(*) FILTER (WHERE answered <> 0), COUNT(*) FILTER (WHERE joined <> 0), \
               COUNT(*) FILTER (WHERE state = 'refused') FROM campaign_numbers WHERE campaign = $1";
    let row = conn.row(sql, args![id]).await?.ok_or(Error::Missing("campaign"))?;
    Ok(Tally {
        total: row.small(0)?,
        waiting: row.small(1)?,
        calling: row.small(2)?,
        done: row.small(3)?,
        answered: row.small(4)?,
        joined: row.small(5)?,
        refused: row.small(6)?,
    })
}

/// Any number, for the end of an id.
///
/// # Errors
/// When the operating system has no random bytes.
pub fn draw() -> Result<u32> {
    getrandom::u32().map_err(|error| Error::Database(error.to_string()))
}

/// Campaigns that somebody has to look after: those that have not ended, and those that were cancelled while calls of
/// them were under way.
const OPEN: &str = "campaigns.state <> 'ended' OR EXISTS (SELECT 1 FROM campaign_numbers n \
                    WHERE n.campaign = campaigns.id AND n.state = 'calling')";

/// A campaign that has not ended, as far as who looks after it goes.
struct Open {
    state: CampaignState,
    begins: Option<UnixMillis>,
    pauses: Option<UnixMillis>,
    owner: String,
    until: UnixMillis,
}

impl Open {
    /// It starts or pauses by itself now.
    fn is_due(&self, now: UnixMillis) -> bool {
        let come = |at: Option<UnixMillis>| at.is_some_and(|at| at <= now);
        match self.state {
            CampaignState::Waiting => come(self.begins),
            CampaignState::Running => come(self.pauses),
            CampaignState::Paused | CampaignState::Ended => false,
        }
    }

    /// It is ours, or nobody's.
    fn is_anybodys(&self, me: &Once, now: UnixMillis) -> bool {
        self.owner == me.as_str() || self.until <= now
    }
}

async fn open(conn: &mut Conn) -> Result<Vec<Open>> {
    let sql = format!("SELECT state, begins, pauses, owner, leased FROM campaigns WHERE {OPEN}");
    let of = |row: &Row| {
        Ok(Open {
            state: row.word(0)?,
            begins: row.opt_int(1)?.map(UnixMillis),
            pauses: row.opt_int(2)?.map(UnixMillis),
            owner: row.text(3)?,
            until: row.instant(4)?,
        })
    };
    conn.rows(&sql, args![]).await?.iter().map(of).collect()
}

/// Starts and pauses what is due, each instant once: whoever starts by hand what paused by itself is not paused
/// again. Then takes what is nobody's.
async fn turn(conn: &mut Conn, me: &Once, now: UnixMillis) -> Result<()> {
    let begin = "UPDATE campaigns SET state = 'running', begins = NULL \
                 WHERE state = 'waiting' AND begins <= $1";
    let pause = "UPDATE campaigns SET state = 'paused', pauses = NULL \
                 WHERE state = 'running' AND pauses <= $1";
    let take = format!(
        "UPDATE campaigns SET owner = $2, leased = $3 WHERE ({OPEN}) AND (owner = $2 OR leased <= $1)"
    );
    conn.exec(begin, args![now]).await?;
    conn.exec(pause, args![now]).await?;
    conn.exec(&take, args![now, me.as_str(), now + LEASE]).await?;
    Ok(())
}

/// What became of a number's call.
#[derive(Clone, Copy)]
struct Became {
    seq: i64,
    answered: bool,
    joined: bool,
    /// Nobody answered, and that is our own fault: the number is called once more.
    lost: bool,
}

/// The calls of a campaign that are on record, and not noted as such.
async fn recorded(conn: &mut Conn, id: &str) -> Result<Vec<Became>> {
    let sql = "SELECT n.seq, r.record FROM campaign_numbers n JOIN records r ON r.call_id = n.call_id \
               WHERE n.campaign = $1 AND n.state = 'calling'";
    let rows = conn.rows(sql, args![id]).await?;
    let of = |row: &Row| {
        let record: CallRecord = from_json(&row.text(1)?)?;
        let answered = record.facts.leg(LegNo::A).is_some_and(|leg| leg.answered.is_some());
        let ours = |failure: &Failure| {
            matches!(failure.kind, Kind::Crash | Kind::Internal | Kind::Shutdown)
        };
        let lost = matches!(&record.facts.outcome, Outcome::Failed(failure) if ours(failure));
        Ok(Became {
            seq: row.int(0)?,
            answered,
            joined: record.facts.bridged.is_some(),
            lost: lost && !answered,
        })
    };
    rows.iter().map(of).collect()
}

impl Store {
    /// Keeps a campaign with its numbers.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its id is taken.
    pub async fn create_campaign(&self, campaign: Campaign, numbers: Vec<NewNumber>) -> Result<()> {
        self.write(work!(conn, [campaign, numbers] => {
            insert(conn, &campaign).await?;
            insert_numbers(conn, &campaign.id, &numbers).await?;
        }))
        .await
    }

    /// Adds numbers behind those of a campaign; one that had ended because all its numbers were called waits again, to
    /// one that was cancelled none are added. `None` when the company has no such campaign, else how it stands.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_campaign_numbers(
        &self,
        company: &str,
        id: &str,
        numbers: Vec<NewNumber>,
    ) -> Result<Option<CampaignState>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.write(work!(conn, [company, id, numbers] => {
            let known = one(conn, &company, &id).await?;
            match known {
                None => None,
                Some(known) => {
                    let over = tally(conn, &known.id).await?.waiting == 0;
                    let ended = known.state == CampaignState::Ended;
                    if !ended || over {
                        insert_numbers(conn, &known.id, &numbers).await?;
                        let sql = "UPDATE campaigns SET state = 'waiting', begins = NULL \
                                   WHERE id = $1 AND state = 'ended'";
                        conn.exec(sql, args![id.as_str()]).await?;
                    }
                    Some(if ended && over { CampaignState::Waiting } else { known.state })
                }
            }
        }))
        .await
    }

    /// A campaign of a company, and how its numbers stand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign(&self, company: &str, id: &str) -> Result<Option<(Campaign, Tally)>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.read(work!(conn, [company, id] => {
            match one(conn, &company, &id).await? {
                Some(campaign) => {
                    let tally = tally(conn, &campaign.id).await?;
                    Some((campaign, tally))
                }
                None => None,
            }
        }))
        .await
    }

    /// How many campaigns a company has, and those of a page, the newest first, with how their numbers stand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaigns(
        &self,
        company: &str,
        skip: u64,
        limit: u32,
    ) -> Result<(u64, Vec<(Campaign, Tally)>)> {
        let company = company.to_owned();
        self.read(work!(conn, [company] => {
            let count = "SELECT COUNT(*) FROM campaigns WHERE company = $1";
            let total = conn.row(count, args![company.as_str()]).await?;
            let total: u64 = total.map_or(Ok(0), |row| row.small(0))?;
            let sql = format!("{CAMPAIGN} WHERE company = $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
            let rows = conn.rows(&sql, args![company.as_str(), limit, skip]).await?;
            let mut found = Vec::new();
            for row in &rows {
                let campaign = campaign_of(row)?;
                let tally = tally(conn, &campaign.id).await?;
                found.push((campaign, tally));
            }
            (total, found)
        }))
        .await
    }

    /// Numbers of a campaign, in their order, behind one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign_numbers(
        &self,
        id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<CampaignNumber>> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => {
            let sql = format!("{NUMBER} WHERE campaign = $1 AND seq > $2 ORDER BY seq LIMIT $3");
            let rows = conn.rows(&sql, args![id.as_str(), after, limit]).await?;
            rows.iter().map(number_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Starts, pauses or ends a campaign. `None` when the company has no such campaign, else how it stood before;
    /// one that had ended stays so.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_campaign(
        &self,
        company: &str,
        id: &str,
        state: CampaignState,
    ) -> Result<Option<CampaignState>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.write(work!(conn, [company, id] => {
            let known = one(conn, &company, &id).await?;
            let sql = "UPDATE campaigns SET state = $2 WHERE id = $1 AND state <> 'ended'";
            if known.is_some() {
                conn.exec(sql, args![id.as_str(), word(&state)?]).await?;
            }
            known.map(|known| known.state)
        }))
        .await
    }

    /// The campaigns that this process looks after now: those whose time has come are started or paused first, and
    /// those that nobody else looks after are taken for [`LEASE`]. One that pauses is here while calls of it are
    /// under way.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn my_campaigns(&self, me: &Once, now: UnixMillis) -> Result<Vec<Campaign>> {
        let open = {
            let found: Vec<Open> = self.read(work!(conn, [] => open(conn).await?)).await?;
            found
        };
        let soon = now + LEASE / 2;
        let changes =
            |open: &Open| open.is_due(now) || (open.is_anybodys(me, now) && open.until < soon);
        if open.iter().any(changes) {
            let me = me.clone();
            self.write::<()>(work!(conn, [me] => turn(conn, &me, now).await?)).await?;
        }
        let me = me.as_str().to_owned();
        self.read(work!(conn, [me] => {
            let sql = format!(
                "{CAMPAIGN} WHERE owner = $1 AND leased > $2 AND (state = 'running' \
                 OR EXISTS (SELECT 1 FROM campaign_numbers n WHERE n.campaign = campaigns.id \
                 AND n.state = 'calling')) ORDER BY id"
            );
            let rows = conn.rows(&sql, args![me.as_str(), now]).await?;
            rows.iter().map(campaign_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Notes which calls of a campaign are on record by now, and what came of them; then says how its numbers
    /// stand. One of which all numbers were called has ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_campaign(&self, id: &str) -> Result<Tally> {
        let id = id.to_owned();
        let (news, before) = {
            let id = id.clone();
            let found: (Vec<_>, Tally) = self
                .read(work!(conn, [id] => (recorded(conn, &id).await?, tally(conn, &id).await?)))
                .await?;
            found
        };
        if news.is_empty() && !before.is_over() {
            return Ok(before);
        }
        self.write(work!(conn, [id, news] => {
            for Became { seq, answered, joined, lost } in news.iter().copied() {
                let sql = "UPDATE campaign_numbers SET state = CASE WHEN $5 <> 0 AND tries < $6 \
                           THEN 'waiting' ELSE 'done' END, answered = $3, joined = $4 \
                           WHERE campaign = $1 AND seq = $2 AND state = 'calling'";
                let values = args![id.as_str(), seq, answered, joined, lost, TRIES_MAX];
                conn.exec(sql, values).await?;
            }
            let tally = tally(conn, &id).await?;
            if tally.is_over() {
                let sql = "UPDATE campaigns SET state = 'ended' WHERE id = $1 AND state = 'running'";
                conn.exec(sql, args![id.as_str()]).await?;
            }
            tally
        }))
        .await
    }

    /// The next numbers of a campaign that may be called.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next_numbers(
        &self,
        id: &str,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<CampaignNumber>> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => {
            let sql = format!(
                "{NUMBER} WHERE campaign = $1 AND state = 'waiting' AND (due IS NULL OR due <= $2) \
                 ORDER BY seq LIMIT $3"
            );
            let rows = conn.rows(&sql, args![id.as_str(), now, limit]).await?;
            rows.iter().map(number_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// The calls of a campaign that are under way.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign_calls(&self, id: &str) -> Result<Vec<CallId>> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => {
            let sql = "SELECT call_id FROM campaign_numbers WHERE campaign = $1 AND state = 'calling'";
            let rows = conn.rows(sql, args![id.as_str()]).await?;
            rows.iter().map(|row| row.call(0)).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Notes the call that a number became.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn calling(&self, id: &str, seq: i64, call: CallId) -> Result<()> {
        let id = id.to_owned();
        self.write(work!(conn, [id] => {
            let sql = "UPDATE campaign_numbers SET state = 'calling', call_id = $3, tries = tries + 1 \
                       WHERE campaign = $1 AND seq = $2 AND state = 'waiting'";
            conn.exec(sql, args![id.as_str(), seq, call]).await?;
        }))
        .await
    }

    /// Notes that a number cannot be called, and why.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn uncallable(&self, id: &str, seq: i64, why: &str) -> Result<()> {
        let (id, why) = (id.to_owned(), why.to_owned());
        self.write(work!(conn, [id, why] => {
            let sql = "UPDATE campaign_numbers SET state = 'refused', why = $3 \
                       WHERE campaign = $1 AND seq = $2 AND state = 'waiting'";
            conn.exec(sql, args![id.as_str(), seq, why.as_str()]).await?;
        }))
        .await
    }
}
