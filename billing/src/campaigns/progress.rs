//! What becomes of the numbers of a campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use facts::campaign::{CampaignTurn, Tally};
use facts::record::{CallFacts, CallRecord};
use facts::{CallId, Dialect, Failure, Kind, LegNo, Origin, Outcome, Purpose, Side, UnixMillis};

use super::{CampaignNumber, NUMBER, Plan, known, number_of, tally, tell};
use crate::db::{Conn, args, from_json, work};
use crate::error::Result;
use crate::once::Once;
use crate::store::Store;

/// Calls of one number at most, of which all but the last were lost by faults of our own.
const TRIES_MAX: u32 = 3;
/// And of which there was no room for all but the last: no carrier had a line, and nobody was rung.
const CROWDED_MAX: u32 = 100;
/// So long such a number waits for room, longer each time, and at most so long.
const CROWDED: Duration = Duration::from_secs(5);
const CROWDED_LONGEST: Duration = Duration::from_secs(60);

/// So long a number waits for which what was to be heard could not be had.
const UNHEARD: Duration = Duration::from_secs(60);
/// So many of them, one behind the other, pause a campaign of `/v1`.
const UNHEARD_MAX: u32 = 20;

/// No carrier had room, and nobody was rung.
fn is_crowded(facts: &CallFacts) -> bool {
    let a = facts.leg(LegNo::A);
    !a.is_some_and(|leg| leg.answered.is_some() || leg.progress.is_some())
        && matches!(&facts.outcome, Outcome::Failed(failure) if failure.kind == Kind::Congestion)
}

/// Whether a call was a campaign's that found no room, and whose number is tried again: it is in no list, and
/// nobody is told of it but `/v1`, which tells each leg and each call to its end. The last try is told as what became
/// of the number.
pub(crate) fn is_in_vain(facts: &CallFacts) -> bool {
    is_crowded(facts) && facts.command.campaign().is_some_and(|(_, tries)| tries + 1 < CROWDED_MAX)
}

/// What the campaigns of a process are at, by their ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UnderWay {
    /// Their calls that are not on record.
    pub calls: BTreeMap<String, Vec<CallId>>,
    /// Those of which calls are on record that were not noted as such.
    pub recorded: BTreeSet<String>,
    /// Those of which numbers wait for a carrier to have room.
    pub crowded: BTreeSet<String>,
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
    /// Nobody answered, who may do so another time.
    missed: bool,
    /// What was to be heard could not be had, and nobody was rung: it is its merchant's address that fails.
    unheard: bool,
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
        // A notice of system 002 has one record: it says so when it was lost, and the merchant decides.
        let again = is_task || facts.command.dialect == Dialect::Rest;
        let media = |failure: &Failure| failure.origin == Origin::Media;
        let unheard = again
            && facts.legs.is_empty()
            && matches!(&facts.outcome, Outcome::Failed(failure) if media(failure));
        let lost = again
            && !unheard
            && matches!(&facts.outcome, Outcome::Failed(failure) if ours(failure));
        let away = |failure: &Failure| {
            matches!(
                failure.kind,
                Kind::Busy | Kind::NoAnswer | Kind::Unreachable | Kind::TransportFailed
            )
        };
        let missed = matches!(&facts.outcome, Outcome::Failed(failure) if away(failure));
        let (lost, missed, crowded) = (lost && !answered, missed && !answered, is_crowded(facts));
        Became { seq, answered, joined, why, lost, crowded, missed, unheard }
    }
}

/// The calls of a campaign that are on record, and not noted as such.
async fn recorded(conn: &mut Conn, id: &str) -> Result<Vec<Became>> {
    let sql = "SELECT n.seq, r.record FROM campaign_numbers n JOIN records r ON r.call_id = n.call_id \
               WHERE n.campaign = $1 AND n.state = 'calling'";
    let rows = conn.rows(sql, args![id]).await?;
    rows.iter().map(|row| Ok(Became::of(row.int(0)?, &from_json(&row.text(1)?)?))).collect()
}

/// How often a number that nobody answers is called, and how long it waits before each time but the first.
async fn patience(conn: &mut Conn, id: &str) -> Result<Option<(u32, Duration)>> {
    let row = conn.row("SELECT plan FROM campaigns WHERE id = $1", args![id]).await?;
    let plan: Option<Plan> = row.map(|row| row.json(0)).transpose()?;
    let own = plan.and_then(|plan| plan.own);
    Ok(own.map(|own| (own.tries, Duration::from_secs(own.retry_s.into()))))
}

/// Puts a number back that is called again; false where it is not.
async fn put_back(
    conn: &mut Conn,
    (id, patience): (&str, Option<(u32, Duration)>),
    became: &Became,
    now: UnixMillis,
) -> Result<bool> {
    let Became { seq, why, lost, crowded, missed, unheard, .. } = became;
    let again = "UPDATE campaign_numbers SET state = 'waiting' WHERE campaign = $1 AND seq = $2 \
                 AND state = 'calling' AND tries < $3";
    let later = "UPDATE campaign_numbers SET state = 'waiting', why = 'congestion', \
                 not_before = CAST($4 AS BIGINT) + CASE WHEN tries * CAST($5 AS BIGINT) < CAST($6 AS BIGINT) \
                 THEN tries * CAST($5 AS BIGINT) ELSE CAST($6 AS BIGINT) END \
                 WHERE campaign = $1 AND seq = $2 AND state = 'calling' AND tries < $3";
    let away = "UPDATE campaign_numbers SET state = 'waiting', why = $3, not_before = $4, \
                missed = missed + 1 \
                WHERE campaign = $1 AND seq = $2 AND state = 'calling' AND missed + 1 < $5";
    let silent = "UPDATE campaign_numbers SET state = 'waiting', why = 'sound', not_before = $3 \
                  WHERE campaign = $1 AND seq = $2 AND state = 'calling'";
    let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    let (sql, values) = if *unheard {
        (silent, args![id, *seq, now + UNHEARD])
    } else if *lost {
        (again, args![id, *seq, TRIES_MAX])
    } else if *crowded {
        let (step, most) = (millis(CROWDED), millis(CROWDED_LONGEST));
        (later, args![id, *seq, CROWDED_MAX, now, step, most])
    } else if let Some((tries, wait)) = patience.filter(|_| *missed) {
        (away, args![id, *seq, why.map(str::to_owned), now + wait, tries])
    } else {
        return Ok(false);
    };
    Ok(conn.exec(sql, values).await? == 1)
}

/// Counts the calls for which what was to be heard could not be had: too many of them, one behind the other, pause
/// the campaign. Whoever lets it run again has as many once more.
async fn count_unheard(conn: &mut Conn, id: &str, became: &Became, now: UnixMillis) -> Result<()> {
    if !became.unheard {
        let had = "UPDATE campaigns SET unheard = 0 WHERE id = $1 AND unheard > 0";
        return match became.lost {
            // Of that nothing is known.
            true => Ok(()),
            false => conn.exec(had, args![id]).await.map(drop),
        };
    }
    let sql = "UPDATE campaigns SET unheard = unheard + 1 WHERE id = $1 AND state = 'running'";
    conn.exec(sql, args![id]).await?;
    let sql = "SELECT 1 FROM campaigns WHERE id = $1 AND unheard >= $2";
    if conn.row(sql, args![id, UNHEARD_MAX]).await?.is_some() {
        known::pause(conn, id, "sound", now).await?;
    }
    Ok(())
}

/// Notes what became of a call, once.
async fn note(
    conn: &mut Conn,
    (id, patience): (&str, Option<(u32, Duration)>),
    became: &Became,
    now: UnixMillis,
) -> Result<()> {
    if put_back(conn, (id, patience), became, now).await? {
        let sql = "UPDATE campaigns SET calling = calling - 1, waiting = waiting + 1 WHERE id = $1";
        conn.exec(sql, args![id]).await?;
        return count_unheard(conn, id, became, now).await;
    }
    let Became { seq, answered, joined, why, .. } = became;
    let done = "UPDATE campaign_numbers SET state = 'done', answered = $3, joined = $4, why = $5 \
                WHERE campaign = $1 AND seq = $2 AND state = 'calling'";
    let values = args![id, *seq, *answered, *joined, why.map(str::to_owned)];
    if conn.exec(done, values).await? == 1 {
        let sql = "UPDATE campaigns SET calling = calling - 1, done = done + 1, \
                   answered = answered + $2, joined = joined + $3 WHERE id = $1";
        conn.exec(sql, args![id, i64::from(*answered), i64::from(*joined)]).await?;
        count_unheard(conn, id, became, now).await?;
    }
    Ok(())
}

async fn under_way(conn: &mut Conn, me: &Once, now: UnixMillis) -> Result<UnderWay> {
    let mut under_way = UnderWay::default();
    let sql = "SELECT n.campaign, n.call_id, r.call_id FROM campaign_numbers n \
               LEFT JOIN records r ON r.call_id = n.call_id WHERE n.state = 'calling' \
               AND n.campaign IN (SELECT id FROM campaigns WHERE owner = $1 AND calling > 0)";
    for row in conn.rows(sql, args![me.as_str()]).await? {
        let id = row.text(0)?;
        match row.opt_int(2)? {
            Some(_) => drop(under_way.recorded.insert(id)),
            None => under_way.calls.entry(id).or_default().push(row.call(1)?),
        }
    }
    let sql = "SELECT DISTINCT campaign FROM campaign_numbers WHERE not_before > $1 \
               AND state = 'waiting' AND why = 'congestion' \
               AND campaign IN (SELECT id FROM campaigns WHERE owner = $2 AND state = 'running')";
    for row in conn.rows(sql, args![now, me.as_str()]).await? {
        under_way.crowded.insert(row.text(0)?);
    }
    Ok(under_way)
}

impl Store {
    /// Notes which calls of a campaign are on record by now, and what came of them; then says how
    /// its numbers stand. One of which all numbers were called has ended.
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
            let patience = patience(conn, &id).await?;
            for became in news.iter() {
                note(conn, (&id, patience), became, now).await?;
            }
            let counted = tally(conn, &id).await?;
            // Numbers that were added since are called.
            let sql = "UPDATE campaigns SET state = 'ended', ended = $2 \
                       WHERE id = $1 AND state = 'running' AND waiting = 0 AND calling = 0";
            match counted.is_over() {
                false => counted,
                true if conn.exec(sql, args![id.as_str(), now]).await? == 0 => {
                    tally(conn, &id).await?
                }
                true => {
                    tell::tell(conn, &id, (CampaignTurn::Ended, ""), now).await?;
                    counted
                }
            }
        }))
        .await
    }

    /// The next numbers of a campaign that may be called: none once it does not run any more, or
    /// another process dials it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn next_numbers(
        &self,
        me: &Once,
        id: &str,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<CampaignNumber>> {
        let (me, id) = (me.clone(), id.to_owned());
        self.read(work!(conn, [me, id] => {
            let sql = format!(
                "{NUMBER} WHERE campaign = $1 AND state = 'waiting' AND (due IS NULL OR due <= $2) \
                 AND (not_before IS NULL OR not_before <= $2) \
                 AND EXISTS (SELECT 1 FROM campaigns c WHERE c.id = $1 AND c.state = 'running' \
                 AND c.owner = $4 AND c.leased > $2) ORDER BY seq LIMIT $3"
            );
            let rows = conn.rows(&sql, args![id.as_str(), now, limit, me.as_str()]).await?;
            rows.iter().map(number_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// What the campaigns are at that this process dials.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn under_way(&self, me: &Once, now: UnixMillis) -> Result<UnderWay> {
        let me = me.clone();
        self.read(work!(conn, [me] => under_way(conn, &me, now).await?)).await
    }

    /// Notes the call that a number became, which was tried so often before.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn calling(&self, id: &str, seq: i64, tries: u32, call: CallId) -> Result<()> {
        let id = id.to_owned();
        self.write(work!(conn, [id] => {
            let sql = "UPDATE campaign_numbers SET state = 'calling', call_id = $3, tries = tries + 1 \
                       WHERE campaign = $1 AND seq = $2 AND tries = $4 AND state = 'waiting'";
            if conn.exec(sql, args![id.as_str(), seq, call, tries]).await? == 1 {
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
    pub async fn postpone(&self, id: &str, seq: i64, until: UnixMillis) -> Result<()> {
        let id = id.to_owned();
        self.write(work!(conn, [id] => {
            let sql = "UPDATE campaign_numbers SET not_before = $3 \
                       WHERE campaign = $1 AND seq = $2 AND state = 'waiting'";
            conn.exec(sql, args![id.as_str(), seq, until]).await?;
        }))
        .await
    }
}
