//! Campaigns: numbers that are dialled for agents, and how far each has come.
//!
//! What became of a call is read off its record, never noted beside it: a number whose call was placed is `calling`
//! until the record is there. A process that dies between the two loses nothing: the same request key finds the same
//! call again, and the record of a call that was cut off is written at the next start.

mod owner;

use std::collections::BTreeSet;
use std::time::Duration;

use facts::record::CallRecord;
use facts::{CallId, Failure, Kind, LegNo, MerchantId, Outcome, Purpose, Side, UnixMillis};
pub use owner::{LEASE, Open, Owner, TOLD_LIFE, Wishes};
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Row, Value, args, from_json, json, tuples, word, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// How long a campaign that has ended can be asked for, with its numbers.
const OVER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Calls of one number at most, of which all but the last were lost by faults of our own.
const TRIES_MAX: u32 = 3;
/// And of which there was no room for all but the last: no carrier had a line, and nobody was rung.
const CROWDED_MAX: u32 = 100;
/// So long such a number waits for room, longer each time, and at most so long.
const CROWDED: Duration = Duration::from_secs(5);
const CROWDED_LONGEST: Duration = Duration::from_secs(60);
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
    /// Nobody: a notice is played, which the request tells as the merchant's system writes it down.
    Notice(String),
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
    /// Why it cannot be called, or what its call failed by.
    pub why: Option<String>,
    /// The customer answered.
    pub answered: bool,
    /// The customer spoke with an agent.
    pub joined: bool,
    /// Calls so far: more than one where the first was lost by a fault of our own, or no carrier had room for it.
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

const COLUMNS: &str = "id, merchant_id, company, name, plan, begins, pauses, state, created, total, \
                       waiting, calling, done, answered, joined, refused";
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

fn tally_of(row: &Row) -> Result<Tally> {
    Ok(Tally {
        total: row.small(9)?,
        waiting: row.small(10)?,
        calling: row.small(11)?,
        done: row.small(12)?,
        answered: row.small(13)?,
        joined: row.small(14)?,
        refused: row.small(15)?,
    })
}

fn both_of(row: &Row) -> Result<(Campaign, Tally)> {
    Ok((campaign_of(row)?, tally_of(row)?))
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

async fn one(conn: &mut Conn, company: &str, id: &str) -> Result<Option<(Campaign, Tally)>> {
    let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE id = $1 AND company = $2");
    conn.row(&sql, args![id, company]).await?.as_ref().map(both_of).transpose()
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

/// Adds numbers behind those that there are; how many it were. One that is there already, not called yet and not
/// before the same instant, is called once.
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

async fn tally(conn: &mut Conn, id: &str) -> Result<Tally> {
    let row =
        conn.row(&format!("SELECT {COLUMNS} FROM campaigns WHERE id = $1"), args![id]).await?;
    tally_of(&row.ok_or(Error::Missing("campaign"))?)
}

/// Forgets campaigns that ended long ago, with their numbers.
pub(crate) async fn purge(conn: &mut Conn, now: UnixMillis) -> Result<u64> {
    const OLD: &str = "state = 'ended' AND calling = 0 AND ended < $1";
    let before = now - OVER_LIFE;
    let numbers = format!(
        "DELETE FROM campaign_numbers WHERE campaign IN (SELECT id FROM campaigns WHERE {OLD})"
    );
    let gone = conn.exec(&numbers, args![before]).await?;
    let campaigns = conn.exec(&format!("DELETE FROM campaigns WHERE {OLD}"), args![before]).await?;
    let told = conn.exec("DELETE FROM campaign_agents WHERE until < $1", args![now]).await?;
    Ok(gone + campaigns + told)
}

/// Any number, for the end of an id.
///
/// # Errors
/// When the operating system has no random bytes.
pub fn draw() -> Result<u32> {
    getrandom::u32().map_err(|error| Error::Database(error.to_string()))
}

/// What became of a number's call.
#[derive(Clone)]
struct Became {
    seq: i64,
    answered: bool,
    joined: bool,
    why: Option<&'static str>,
    /// Nobody answered, and that is our own fault: the number is called once more.
    lost: bool,
    /// No carrier had room for it, and nobody was rung: it waits until there is some.
    crowded: bool,
}

impl Became {
    fn of(seq: i64, record: &CallRecord) -> Became {
        let facts = &record.facts;
        let answered = facts.leg(LegNo::A).is_some_and(|leg| leg.answered.is_some());
        let joined = facts.bridged.is_some();
        let is_task = facts.command.purpose == Purpose::Campaign;
        let ours = |failure: &Failure| {
            matches!(failure.kind, Kind::Crash | Kind::Internal | Kind::Shutdown)
        };
        let why = match &facts.outcome {
            Outcome::Failed(failure) => Some(failure.kind.row().label),
            // Who is played something waits for nobody.
            Outcome::Completed if joined || !is_task => None,
            // He waited, and was the first to go.
            Outcome::Completed if facts.released_by == Side::Caller => Some("abandoned"),
            Outcome::Completed => Some("no_agent"),
        };
        // A notice has one record: it says so when it was lost, and the merchant decides.
        let lost = is_task && matches!(&facts.outcome, Outcome::Failed(failure) if ours(failure));
        let rang = facts.leg(LegNo::A).is_some_and(|leg| leg.progress.is_some());
        let crowded = !answered
            && !rang
            && matches!(&facts.outcome, Outcome::Failed(failure) if failure.kind == Kind::Congestion);
        Became { seq, answered, joined, why, lost: lost && !answered, crowded }
    }
}

/// The calls of a campaign that are on record, and not noted as such.
async fn recorded(conn: &mut Conn, id: &str) -> Result<Vec<Became>> {
    let sql = "SELECT n.seq, r.record FROM campaign_numbers n JOIN records r ON r.call_id = n.call_id \
               WHERE n.campaign = $1 AND n.state = 'calling'";
    let rows = conn.rows(sql, args![id]).await?;
    rows.iter().map(|row| Ok(Became::of(row.int(0)?, &from_json(&row.text(1)?)?))).collect()
}

/// Notes what became of a call, once.
async fn note(conn: &mut Conn, id: &str, became: &Became, now: UnixMillis) -> Result<()> {
    let Became { seq, answered, joined, why, lost, crowded } = became;
    let (answered, joined) = (*answered, *joined);
    let again = "UPDATE campaign_numbers SET state = 'waiting' WHERE campaign = $1 AND seq = $2 \
                 AND state = 'calling' AND tries < $3";
    let later = "UPDATE campaign_numbers SET state = 'waiting', why = 'congestion', \
                 due = CAST($4 AS BIGINT) + CASE WHEN tries * CAST($5 AS BIGINT) < CAST($6 AS BIGINT) \
                 THEN tries * CAST($5 AS BIGINT) ELSE CAST($6 AS BIGINT) END \
                 WHERE campaign = $1 AND seq = $2 AND state = 'calling' AND tries < $3";
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let (step, most) = (millis(CROWDED), millis(CROWDED_LONGEST));
    let waits = match (*lost, *crowded) {
        (true, _) => conn.exec(again, args![id, *seq, TRIES_MAX]).await? == 1,
        (_, true) => conn.exec(later, args![id, *seq, CROWDED_MAX, now, step, most]).await? == 1,
        _ => false,
    };
    if waits {
        let sql = "UPDATE campaigns SET calling = calling - 1, waiting = waiting + 1 WHERE id = $1";
        return conn.exec(sql, args![id]).await.map(drop);
    }
    let done = "UPDATE campaign_numbers SET state = 'done', answered = $3, joined = $4, why = $5 \
                WHERE campaign = $1 AND seq = $2 AND state = 'calling'";
    let why = why.map(str::to_owned);
    if conn.exec(done, args![id, *seq, answered, joined, why]).await? == 1 {
        let sql = "UPDATE campaigns SET calling = calling - 1, done = done + 1, \
                   answered = answered + $2, joined = joined + $3 WHERE id = $1";
        conn.exec(sql, args![id, i64::from(answered), i64::from(joined)]).await?;
    }
    Ok(())
}

impl Store {
    /// Keeps a campaign with its numbers, each once; how many these are.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its id is taken.
    pub async fn create_campaign(
        &self,
        campaign: Campaign,
        numbers: Vec<NewNumber>,
    ) -> Result<usize> {
        self.write(work!(conn, [campaign, numbers] => {
            insert(conn, &campaign).await?;
            insert_numbers(conn, &campaign.id, &numbers).await?
        }))
        .await
    }

    /// Adds numbers behind those of a campaign, but for those that wait in it; one that had ended because all its numbers
    /// were called waits again, to one that was cancelled none are added. `None` when the company has no such campaign,
    /// else how it stands and how many were added.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_campaign_numbers(
        &self,
        company: &str,
        id: &str,
        numbers: Vec<NewNumber>,
    ) -> Result<Option<(CampaignState, usize)>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.write(work!(conn, [company, id, numbers] => {
            let known = one(conn, &company, &id).await?;
            match known {
                None => None,
                Some((known, tally)) => {
                    let ended = known.state == CampaignState::Ended;
                    if ended && tally.waiting > 0 {
                        Some((known.state, 0))
                    } else {
                        let added = insert_numbers(conn, &known.id, &numbers).await?;
                        let sql = "UPDATE campaigns SET state = 'waiting', begins = NULL, \
                                   ended = NULL WHERE id = $1 AND state = 'ended'";
                        conn.exec(sql, args![id.as_str()]).await?;
                        Some((if ended { CampaignState::Waiting } else { known.state }, added))
                    }
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
        self.read(work!(conn, [company, id] => one(conn, &company, &id).await?)).await
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
            let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE company = $1 ORDER BY id DESC LIMIT $2 OFFSET $3");
            let rows = conn.rows(&sql, args![company.as_str(), limit, skip]).await?;
            (total, rows.iter().map(both_of).collect::<Result<Vec<_>>>()?)
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
        (state, at): (CampaignState, UnixMillis),
    ) -> Result<Option<CampaignState>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.write(work!(conn, [company, id] => {
            let known = one(conn, &company, &id).await?;
            let sql = "UPDATE campaigns SET state = $2, ended = $3 \
                       WHERE id = $1 AND state <> 'ended'";
            let ended = (state == CampaignState::Ended).then_some(at);
            if known.is_some() {
                conn.exec(sql, args![id.as_str(), word(&state)?, ended]).await?;
            }
            known.map(|(known, _)| known.state)
        }))
        .await
    }

    /// Notes which calls of a campaign are on record by now, and what came of them; then says how its numbers
    /// stand. One of which all numbers were called has ended.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_campaign(&self, id: &str, now: UnixMillis) -> Result<Tally> {
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
            for became in news.iter() {
                note(conn, &id, became, now).await?;
            }
            let tally = tally(conn, &id).await?;
            if tally.is_over() {
                let sql = "UPDATE campaigns SET state = 'ended', ended = $2 \
                           WHERE id = $1 AND state = 'running'";
                conn.exec(sql, args![id.as_str(), now]).await?;
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

    /// Whether numbers of a campaign wait for a carrier to have room.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_crowded(&self, id: &str, now: UnixMillis) -> Result<bool> {
        let id = id.to_owned();
        self.read(work!(conn, [id] => {
            let sql = "SELECT 1 FROM campaign_numbers WHERE campaign = $1 AND state = 'waiting' \
                       AND why = 'congestion' AND due > $2 LIMIT 1";
            conn.row(sql, args![id.as_str(), now]).await?.is_some()
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
            if conn.exec(sql, args![id.as_str(), seq, call]).await? == 1 {
                let sql = "UPDATE campaigns SET waiting = waiting - 1, calling = calling + 1 \
                           WHERE id = $1";
                conn.exec(sql, args![id.as_str()]).await?;
            }
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
            if conn.exec(sql, args![id.as_str(), seq, why.as_str()]).await? == 1 {
                let sql = "UPDATE campaigns SET waiting = waiting - 1, refused = refused + 1 \
                           WHERE id = $1";
                conn.exec(sql, args![id.as_str()]).await?;
            }
        }))
        .await
    }

    /// A number that cannot be called now is not, before then.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn postpone(&self, id: &str, seq: i64, due: UnixMillis) -> Result<()> {
        let id = id.to_owned();
        self.write(work!(conn, [id] => {
            let sql = "UPDATE campaign_numbers SET due = $3 \
                       WHERE campaign = $1 AND seq = $2 AND state = 'waiting'";
            conn.exec(sql, args![id.as_str(), seq, due]).await?;
        }))
        .await
    }
}
