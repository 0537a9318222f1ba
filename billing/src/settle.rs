//! Closing a call: one transaction writes its record, a CDR for each leg that was attempted, the charges, the
//! end of every hold, and the promises to tell; and closes the journal.

use facts::command::PushKind;
use facts::money::Currency;
use facts::record::{CALL_ENDED, CallFacts, CallRecord, LegFacts};
use facts::srtp::SrtpSuite;
use facts::{Dialect, LegCharge, LegId, LegNo, Micros, Purpose, UnixMillis};
use money::{Hold, LegToSettle, Plan, Quote};

use crate::campaigns;
use crate::conferences;
use crate::db::{Batch, Conn, Value, args, from_json, json, tuples};
use crate::error::{Error, Result};
use crate::outbox;
use crate::rung;
use crate::spending::give_back;
use crate::store::SettleContext;
use crate::voicemail;

/// What is read under the locks of the call and the account.
struct Books {
    account: i64,
    revenue: i64,
    currency: Currency,
    settings_version: i64,
}

/// Settles. The second time it returns the first record and writes nothing.
pub(crate) async fn settle(
    conn: &mut Conn,
    facts: &CallFacts,
    context: &SettleContext,
) -> Result<CallRecord> {
    let lock = conn.lock("c, a");
    let sql = format!(
        "SELECT c.state, a.id, r.id, a.currency, s.version \
         FROM calls c JOIN accounts a ON a.merchant_id = c.merchant_id \
         JOIN accounts r ON r.name = 'revenue:' || a.currency CROSS JOIN settings s \
         WHERE c.id = $1{lock}"
    );
    let row = conn.row(&sql, args![facts.call]).await?.ok_or(Error::Missing("call"))?;
    if row.text(0)? == "settled" {
        return first_record(conn, facts).await;
    }
    let books = Books {
        account: row.int(1)?,
        revenue: row.int(2)?,
        currency: currency(&row.text(3)?)?,
        settings_version: row.int(4)?,
    };
    let Holds { holds, quotes, counted } = holds(conn, facts).await?;
    let legs: Vec<_> = facts
        .legs
        .iter()
        .map(|leg| LegToSettle {
            facts: leg,
            quote: quotes.iter().find(|(no, _)| *no == leg.no).map(|(_, quote)| quote),
        })
        .collect();
    let plan = money::plan(&legs, &holds, facts.ended);
    let record = CallRecord {
        facts: facts.clone(),
        charges: plan.charges.clone(),
        currency: books.currency,
        recording_url: recording_url(facts, context),
    };
    outbox::let_go(conn, &record).await?;
    let mut batch = Batch::default();
    post(&mut batch, facts, &plan, &books);
    resolve(&mut batch, facts, &plan, &books);
    uncount(&mut batch, &plan, &counted);
    rung::uncount(&mut batch, facts, holds.iter().map(|hold| hold.leg));
    insert_cdrs(&mut batch, &record)?;
    // Our own surface was told of its legs: it is told of its end as well.
    if facts.command.dialect == Dialect::Rest || !campaigns::is_in_vain(facts) {
        promise(&mut batch, &record, books.settings_version)?;
    }
    insert_record(&mut batch, &record)?;
    voicemail::insert(&mut batch, facts);
    conferences::end(&mut batch, facts);
    batch.add("UPDATE calls SET state = 'settled' WHERE id = $1", args![facts.call]);
    // What a far end may still have to be told outlives the call, until it was told.
    batch.add("DELETE FROM call_legs WHERE call_id = $1 AND dialog IS NULL", args![facts.call]);
    conn.batch(batch).await?;
    Ok(record)
}

async fn first_record(conn: &mut Conn, facts: &CallFacts) -> Result<CallRecord> {
    let sql = "SELECT record FROM records WHERE call_id = $1";
    conn.row(sql, args![facts.call]).await?.ok_or(Error::Missing("record"))?.json(0)
}

/// The call's holds, and the price each of its legs was promised.
#[derive(Default)]
struct Holds {
    holds: Vec<Hold>,
    quotes: Vec<(LegNo, Quote)>,
    /// Those that count against limits: leg, step, when they were made, whose limits.
    counted: Vec<(LegNo, u32, UnixMillis, String)>,
}

async fn holds(conn: &mut Conn, facts: &CallFacts) -> Result<Holds> {
    let rows = conn
        .rows(
            "SELECT leg_no, step, amount, until_s, quote, at, counted FROM holds \
             WHERE call_id = $1 AND resolved IS NULL ORDER BY leg_no, step",
            args![facts.call],
        )
        .await?;
    let mut found = Holds::default();
    for row in &rows {
        let (leg, step) = (LegNo(row.small(0)?), row.small(1)?);
        found.holds.push(Hold { leg, step, amount: row.micros(2)?, until_s: row.opt_small(3)? });
        if let Some(quote) = row.opt_text(4)? {
            found.quotes.push((leg, from_json(&quote)?));
        }
        if let Some(scopes) = row.opt_text(6)? {
            found.counted.push((leg, step, row.instant(5)?, scopes));
        }
    }
    Ok(found)
}

/// What was not taken of a hold was not spent.
fn uncount(batch: &mut Batch, plan: &Plan, counted: &[(LegNo, u32, UnixMillis, String)]) {
    for (leg, step, made, scopes) in counted {
        let of =
            |resolved: &&money::Resolved| resolved.hold.leg == *leg && resolved.hold.step == *step;
        if let Some(resolved) = plan.holds.iter().find(of) {
            give_back(batch, scopes, *made, resolved.hold.amount - resolved.posted);
        }
    }
}

fn recording_url(facts: &CallFacts, context: &SettleContext) -> Option<String> {
    let file = &facts.recording.as_ref()?.file;
    if context.recording_base_url.is_empty() {
        return None;
    }
    Some(format!("{}/{file}", context.recording_base_url.trim_end_matches('/')))
}

/// One transfer per charged leg, from the merchant to revenue. Its id is made of call, leg, kind and step.
fn post(batch: &mut Batch, facts: &CallFacts, plan: &Plan, books: &Books) {
    if plan.posts.is_empty() {
        return;
    }
    let mut transfers: Vec<Value> = Vec::new();
    let mut entries: Vec<Value> = Vec::new();
    for post in &plan.posts {
        let id = format!("{}.charge.0", LegId::new(facts.call, post.leg));
        transfers.extend(args![&id, "charge", facts.call, post.leg.0, facts.ended, ""]);
        entries.extend(args![&id, books.account, -post.amount]);
        entries.extend(args![&id, books.revenue, post.amount]);
    }
    let rows = plan.posts.len();
    let sql = format!(
        "INSERT INTO transfers (id, kind, call_id, leg_no, at, note) VALUES {}",
        tuples(rows, 6)
    );
    batch.add(&sql, transfers);
    let sql = format!(
        "INSERT INTO entries (transfer_id, account_id, amount) VALUES {}",
        tuples(rows * 2, 3)
    );
    batch.add(&sql, entries);
}

/// Ends every hold: what was charged is taken from each leg's holds in their order, the rest goes back.
fn resolve(batch: &mut Batch, facts: &CallFacts, plan: &Plan, books: &Books) {
    if plan.holds.is_empty() {
        return;
    }
    batch.add(
        "UPDATE accounts SET posted = posted - $2, held = held - $3 WHERE id = $1",
        args![books.account, plan.total(), plan.released()],
    );
    // Holds are taken whole up to one, which is taken in part; the later ones are voided.
    let mut legs: Vec<LegNo> = plan.holds.iter().map(|resolved| resolved.hold.leg).collect();
    legs.dedup();
    for leg in legs {
        let mine = || plan.holds.iter().filter(|resolved| resolved.hold.leg == leg);
        let part = mine().find(|resolved| resolved.posted < resolved.hold.amount);
        let (step, posted) =
            part.map_or((i64::MAX, Micros::ZERO), |r| (i64::from(r.hold.step), r.posted));
        batch.add(
            "UPDATE holds SET resolved = $3, posted = CASE WHEN step < $4 THEN amount \
             WHEN step = $4 THEN $5 ELSE 0 END \
             WHERE call_id = $1 AND leg_no = $2 AND resolved IS NULL",
            args![facts.call, leg.0, facts.ended, step, posted],
        );
    }
}

fn insert_cdrs(batch: &mut Batch, record: &CallRecord) -> Result<()> {
    let facts = &record.facts;
    if facts.legs.is_empty() {
        return Ok(());
    }
    let mut values: Vec<Value> = Vec::new();
    for leg in &facts.legs {
        let free = LegCharge {
            no: leg.no,
            prefix: String::new(),
            seconds: 0,
            charged_seconds: 0,
            price: Micros::ZERO,
        };
        let charge = record.charges.iter().find(|charge| charge.no == leg.no).unwrap_or(&free);
        values.extend(cdr(record, leg, charge)?);
    }
    let sql = format!(
        "INSERT INTO cdrs (call_id, leg_no, merchant_id, sub_account_id, dialect, app, number, trunk, \
         invited, answered, ended, sip_final, q850, seconds, prefix, charged_seconds, price, currency, \
         settled, facts, recognised, codings, srtp) VALUES {}",
        tuples(facts.legs.len(), 23)
    );
    batch.add(&sql, values);
    Ok(())
}

fn cdr(record: &CallRecord, leg: &LegFacts, charge: &LegCharge) -> Result<Vec<Value>> {
    let facts = &record.facts;
    let command = &facts.command;
    Ok(args![
        facts.call,
        leg.no.0,
        command.merchant.0,
        command.sub_account.map(|id| id.0),
        command.dialect.word(),
        &command.app,
        leg.number.to_string(),
        &leg.trunk,
        leg.invited,
        leg.answered,
        leg.ended,
        leg.sip_final,
        leg.q850,
        charge.seconds,
        &charge.prefix,
        charge.charged_seconds,
        charge.price,
        record.currency.code(),
        facts.ended,
        json(leg)?,
        leg.recognised.map(|heard| heard.verdict.sounded.word()),
        Some(leg.codings().names()).filter(|names| !names.is_empty()),
        leg.spoken.srtp.map(SrtpSuite::name),
    ])
}

fn insert_record(batch: &mut Batch, record: &CallRecord) -> Result<()> {
    let facts = &record.facts;
    batch.add(
        "INSERT INTO records (call_id, merchant_id, dialect, app, placed, settled, record, purpose) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            facts.call,
            facts.command.merchant.0,
            facts.command.dialect.word(),
            // Outside an app it is in nobody's list.
            if campaigns::is_in_vain(facts) { "" } else { &facts.command.app },
            facts.placed,
            facts.ended,
            json(record)?,
            facts.command.purpose.word(),
        ],
    );
    Ok(())
}

/// An outbox row for each record push of the command, of a conference one for each participant; it tells what the
/// record says.
fn promise(batch: &mut Batch, record: &CallRecord, settings_version: i64) -> Result<()> {
    let facts = &record.facts;
    let event = outbox::Event {
        call: facts.call,
        merchant: facts.command.merchant,
        pushes: &facts.command.pushes,
        kind: PushKind::Record,
        name: CALL_ENDED,
        sequence: 0,
        at: facts.ended,
        settings_version,
        payload: "",
    };
    // Our own surface tells each end once, and all of it.
    if facts.command.purpose != Purpose::Conference || facts.command.dialect == Dialect::Rest {
        return outbox::insert(batch, &event);
    }
    let numbers: Vec<u32> = facts.participants().iter().map(|leg| leg.0.into()).collect();
    outbox::insert_all(batch, &event, &numbers)
}

/// Reads a currency code back.
pub(crate) fn currency(code: &str) -> Result<Currency> {
    Currency::try_from(code.to_owned())
        .map_err(|detail| Error::Damaged { table: "accounts", detail: detail.into() })
}

/// The latest instant in a leg's facts: a journal write proves that the call lived then.
pub(crate) fn latest(leg: &LegFacts) -> UnixMillis {
    [leg.progress, leg.alerting, leg.answered, leg.ended]
        .into_iter()
        .flatten()
        .fold(leg.invited, std::cmp::max)
}
