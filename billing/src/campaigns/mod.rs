//! Campaigns: numbers that are dialled for agents, and how far each has come.
//!
//! What became of a call is read off its record, never noted beside it: a number whose call was
//! placed is `calling` until the record is there. A process that dies between the two loses
//! nothing: the same request key finds the same call again, and the record of a call that was cut
//! off is written at the next start.

mod create;
mod known;
mod owner;
mod progress;
mod tell;

use std::time::Duration;

pub use create::{Added, Created, OPEN_MAX, Request, Terms};
use facts::campaign::CampaignTurn;
pub use facts::campaign::{Tally, try_key};
use facts::hours::{Hours, Zone};
use facts::media::Record;
use facts::{CallId, MerchantId, UnixMillis};
pub use known::{Known, home};
pub use owner::{Found, LEASE, Open, Owner, TOLD_LIFE, Wishes};
pub use progress::UnderWay;
pub(crate) use progress::is_in_vain;
use serde::{Deserialize, Serialize};

use crate::call::KEY_LIFE;
use crate::db::{Conn, Row, args, word, work};
use crate::error::{Error, Result};
use crate::store::Store;

/// How long a campaign that has ended can be asked for, with its numbers.
const OVER_LIFE: Duration = Duration::from_secs(90 * 86_400);

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
    /// Nobody: a scenario of `/v1` is carried out, which the request tells as that writes it down.
    Scenario(String),
}

impl Takers {
    /// Whoever answers is led to somebody who waits for that.
    #[must_use]
    pub const fn are_agents(&self) -> bool {
        matches!(self, Takers::Group(_) | Takers::Extensions(_))
    }
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
    /// What a campaign of `/v1` says beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
}

/// What only campaigns of `/v1` say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Own {
    /// What comes back with each event: `/v1`'s own JSON, opaque here.
    pub context: String,
    /// How long a customer's phone rings, seconds.
    pub ring_s: u16,
    /// Longest talk time, seconds.
    pub max_talk_s: Option<u32>,
    /// What is recorded; the merchant's setting where it says nothing.
    pub record: Option<Record>,
    /// Calls of a number that nobody answers, at most.
    pub tries: u32,
    /// Between two of these, seconds.
    pub retry_s: u32,
    /// Calls start then alone; none: always.
    pub hours: Hours,
    /// Where these hours are read, an IANA name; empty: UTC.
    pub zone: String,
}

impl Own {
    /// Calls may start now, as far as its hours say.
    #[must_use]
    pub fn is_open(&self, now: UnixMillis) -> bool {
        let zone = Zone::named(&self.zone).unwrap_or_default();
        self.hours.always() || self.hours.open(zone.local(now))
    }
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
    /// System 002's company code, or the [`home`] of a merchant's campaigns of `/v1`.
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
    /// The word of `/v1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reference: String,
}

/// A number to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNumber {
    /// As the merchant wrote it.
    pub phone: String,
    /// The number that is meant, however it is written: by this repeats are told.
    pub meant: String,
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
    /// Until when it was put off: it could not be called at that hour, or no carrier had room.
    pub not_before: Option<UnixMillis>,
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
    /// Calls so far: more than one where the first was lost by a fault of our own, or no carrier
    /// had room for it.
    pub tries: u32,
}

const COLUMNS: &str = "id, merchant_id, company, name, plan, begins, pauses, state, created, total, \
                       waiting, calling, done, answered, joined, refused";
const NUMBER: &str = "SELECT seq, phone, due, said, state, call_id, why, answered, joined, tries, \
                      not_before, meant FROM campaign_numbers";

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
    let number = NewNumber {
        phone: row.text(1)?,
        meant: row.text(11)?,
        due: row.opt_int(2)?.map(UnixMillis),
        said: row.json(3)?,
    };
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
        not_before: row.opt_int(10)?.map(UnixMillis),
    })
}

async fn one(conn: &mut Conn, company: &str, id: &str) -> Result<Option<(Campaign, Tally)>> {
    let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE id = $1 AND company = $2");
    conn.row(&sql, args![id, company]).await?.as_ref().map(both_of).transpose()
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
    let asked = "DELETE FROM campaign_requests WHERE at < $1";
    let asked = conn.exec(asked, args![now - KEY_LIFE]).await?;
    Ok(gone + campaigns + told + asked)
}

/// Any number, for the end of an id.
///
/// # Errors
/// When the operating system has no random bytes.
pub fn draw() -> Result<u32> {
    getrandom::u32().map_err(|error| Error::Database(error.to_string()))
}

impl Store {
    /// A campaign of a company, and how its numbers stand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn campaign(&self, company: &str, id: &str) -> Result<Option<(Campaign, Tally)>> {
        let (company, id) = (company.to_owned(), id.to_owned());
        self.read(work!(conn, [company, id] => one(conn, &company, &id).await?)).await
    }

    /// How many campaigns a company has, and those of a page, the newest first, with how their
    /// numbers stand. One that cannot be read is passed over.
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
            (total, rows.iter().filter_map(|row| both_of(row).ok()).collect())
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

    /// Starts, pauses or ends a campaign. `None` when the company has no such campaign, else how it
    /// stood before; one that had ended stays so, and one that never had a number waits for some instead of running.
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
            // Its plan is not read: one that nobody can read any more can be ended.
            let known = "SELECT state FROM campaigns WHERE id = $1 AND company = $2";
            let known = conn.row(known, args![id.as_str(), company.as_str()]).await?;
            let known = known.map(|row| row.word(0)).transpose()?;
            // One that never had a number would have ended at once, and for good.
            let sql = "UPDATE campaigns SET state = CASE WHEN CAST($2 AS TEXT) = 'running' \
                       AND total = 0 THEN 'waiting' ELSE CAST($2 AS TEXT) END, \
                       ended = $3, cancelled = $4, reason = '', unheard = 0 \
                       WHERE id = $1 AND state <> 'ended'";
            let cancelled = state == CampaignState::Ended;
            if known.is_some() {
                let ended = cancelled.then_some(at);
                let values = args![id.as_str(), word(&state)?, ended, cancelled];
                if conn.exec(sql, values).await? == 1 && cancelled {
                    tell::tell(conn, &id, (CampaignTurn::Cancelled, ""), at).await?;
                }
            }
            known
        }))
        .await
    }
}
