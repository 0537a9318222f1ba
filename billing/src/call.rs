//! Starting calls and paying for more of their time.
//!
//! Whoever touches money first locks the merchant's account row and then everything else, so two units never
//! wait for each other in a circle, and N parallel starts see each other's holds.

use std::time::Duration;

use facts::fraud::Scope;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, Paid};
use facts::{CallCommand, CallId, LegNo, MerchantId, Micros, Number, Refusal, UnixMillis};
use money::{Quote, Step};

use crate::conferences::{self, Claim};
use crate::db::{Batch, Conn, Old, Value, args, from_json, json, tuples};
use crate::error::{Error, Result};
use crate::rung;
use crate::spending::{Alerts, Room, Watched, give_back};
use crate::tariffs::Tariffs;

/// How long a request key is remembered (merchant API §2.4).
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// A merchant's prepaid account, as read under its lock.
struct Account {
    id: i64,
    available: Micros,
}

/// Whether each of these numbers has a price for a merchant.
pub(crate) async fn prices(
    conn: &mut Conn,
    tariffs: &Tariffs,
    merchant: MerchantId,
    numbers: &[Number],
) -> Result<Vec<bool>> {
    let sql = "SELECT m.tariff_id, t.version FROM merchants m \
               LEFT JOIN tariffs t ON t.id = m.tariff_id WHERE m.id = $1";
    let row = conn.row(sql, args![merchant.0]).await?.ok_or(Error::Missing("merchant"))?;
    let (tariff, version) = (row.opt_int(0)?, row.opt_int(1)?);
    let mut priced = Vec::with_capacity(numbers.len());
    for number in numbers {
        priced.push(tariffs.quote(conn, tariff, version, number).await?.is_some());
    }
    Ok(priced)
}

/// Answers [`Authorize`]: everything is checked before anything is written.
pub(crate) async fn authorize(
    conn: &mut Conn,
    (tariffs, alerts): (&Tariffs, &Alerts),
    ask: &Authorize,
) -> Result<Authorized> {
    let command = &ask.command;
    let lock = conn.lock("a");
    let sql = format!(
        "SELECT m.status, m.tariff_id, t.version, a.id, a.posted - a.held + a.credit, s.enabled, \
         c.state, c.command, m.fraud, s.fraud, x.fraud \
         FROM merchants m JOIN accounts a ON a.merchant_id = m.id \
         LEFT JOIN tariffs t ON t.id = m.tariff_id \
         LEFT JOIN sub_accounts s ON s.id = $2 AND s.merchant_id = m.id \
         LEFT JOIN extensions x ON x.number = $4 AND x.merchant_id = m.id \
         LEFT JOIN calls c ON c.id = $3 WHERE m.id = $1{lock}"
    );
    let sub_account = command.sub_account.map(|id| id.0);
    let extension = Scope::extension_of(command);
    let ids = args![command.merchant.0, sub_account, ask.call, extension];
    let Some(row) = conn.row(&sql, ids).await? else {
        return Ok(Authorized::Refused(Refusal::UnknownMerchant));
    };
    if let Some(state) = row.opt_text(6)? {
        // Our own repeat after a commit whose answer was lost. Anything else that bears this id is another
        // call, and nobody may talk on its holds.
        // What its scenario says was not written down.
        let asked = CallCommand { scenario: None, ..command.clone() };
        if state != "open" || row.json::<CallCommand>(7)? != asked {
            return Ok(Authorized::Refused(Refusal::Internal));
        }
        return Ok(Authorized::Granted { paid: paid(conn, ask).await? });
    }
    if let Some(known) = known_request(conn, ask).await? {
        return Ok(known);
    }
    let sub_account_stopped = sub_account.is_some() && row.opt_int(5)? != Some(1);
    if row.text(0)? != "approved" || sub_account_stopped {
        return Ok(Authorized::Refused(Refusal::Disabled));
    }
    let account = Account { id: row.int(3)?, available: row.micros(4)? };
    let mut legs = Vec::with_capacity(ask.legs.len());
    for leg in &ask.legs {
        match tariffs.quote(conn, row.opt_int(1)?, row.opt_int(2)?, &leg.number).await? {
            Some(quote) => legs.push((leg.leg, quote)),
            None => return Ok(Authorized::Refused(Refusal::NoPrice)),
        }
    }
    if !rung::may(conn, ask.call, &ask.caps, ask.at).await? {
        return Ok(Authorized::Refused(Refusal::TooOften));
    }
    let scopes = [
        Some(Scope::Merchant(command.merchant)),
        command.sub_account.map(Scope::SubAccount),
        extension.map(|user| Scope::Extension(user.to_owned())),
    ];
    let mut watched = Watched::read(&row, 8, scopes)?.of_call(ask.call);
    let numbers = ask.legs.iter().map(|leg| &leg.number);
    let steps = within(conn, (&mut watched, alerts), (numbers, &legs), &account, ask.at).await?;
    let steps = match steps {
        Ok(steps) => steps,
        Err(refusal) => return Ok(Authorized::Refused(refusal)),
    };
    let claim = conferences::claim(conn, command).await?;
    if matches!(claim, Claim::Taken) {
        return Ok(Authorized::Refused(Refusal::KeyConflict));
    }
    let counted = watched.count(conn, alerts, total(&steps), ask.at).await?;
    let mut batch = Batch::default();
    insert_call(&mut batch, ask)?;
    conferences::begin(&mut batch, ask, &claim);
    insert_key(&mut batch, ask);
    rung::count(&mut batch, ask.call, &ask.caps, ask.at);
    hold(&mut batch, (ask.call, ask.at), (&account, counted), &legs, &steps)?;
    conn.batch(batch).await?;
    let paid = legs.iter().zip(&steps).map(|((leg, _), step)| Paid {
        leg: *leg,
        until: step.and_then(|step| step.until_s).map(seconds),
    });
    Ok(Authorized::Granted { paid: paid.collect() })
}

/// A request that was accepted before, by its key.
async fn known_request(conn: &mut Conn, ask: &Authorize) -> Result<Option<Authorized>> {
    let Some(key) = &ask.command.key else { return Ok(None) };
    let ids = args![ask.command.merchant.0, key.dialect.word(), &key.key];
    let found = conn
        .row(
            "SELECT call_id, fingerprint, created FROM request_keys \
             WHERE merchant_id = $1 AND dialect = $2 AND request = $3",
            ids.clone(),
        )
        .await?;
    let Some(row) = found else { return Ok(None) };
    if row.instant(2)? < ask.at - KEY_LIFE {
        conn.exec(
            "DELETE FROM request_keys WHERE merchant_id = $1 AND dialect = $2 AND request = $3",
            ids,
        )
        .await?;
        return Ok(None);
    }
    let call = row.call(0)?;
    Ok(Some(if call == ask.call {
        Authorized::Granted { paid: paid(conn, ask).await? }
    } else if row.text(1)? == key.fingerprint {
        Authorized::Existing { call }
    } else {
        Authorized::Refused(Refusal::KeyConflict)
    }))
}

/// What to hold for each leg, as far as balance and limits allow.
async fn within<'n>(
    conn: &mut Conn,
    (watched, alerts): (&mut Watched, &Alerts),
    (numbers, legs): (impl Iterator<Item = &'n Number>, &[(LegNo, Option<Quote>)]),
    account: &Account,
    at: UnixMillis,
) -> Result<std::result::Result<Vec<Option<Step>>, Refusal>> {
    let quoted: Vec<_> = numbers.zip(legs.iter().map(|(_, quote)| quote.as_ref())).collect();
    let Room::For(left) = watched.room(conn, alerts, &quoted, at).await? else {
        return Ok(Err(Refusal::Blocked));
    };
    let available = left.map_or(account.available, |left| left.min(account.available));
    if let Some(steps) = affordable(legs, available) {
        return Ok(Ok(steps));
    }
    if affordable(legs, account.available).is_none() {
        return Ok(Err(Refusal::NoBalance));
    }
    let least: Vec<_> =
        legs.iter().map(|(_, quote)| quote.as_ref().map(Quote::first_interval)).collect();
    watched.reached(conn, alerts, total(&least), at).await?;
    Ok(Err(Refusal::Blocked))
}

fn total(steps: &[Option<Step>]) -> Micros {
    steps.iter().flatten().map(|step| step.amount).sum()
}

/// What to hold for each leg: a chunk of talk each if the balance allows, else the first interval each.
fn affordable(legs: &[(LegNo, Option<Quote>)], available: Micros) -> Option<Vec<Option<Step>>> {
    let within = |step: fn(&Quote) -> Step| {
        let steps: Vec<_> = legs.iter().map(|(_, quote)| quote.as_ref().map(step)).collect();
        let total: i128 = steps.iter().flatten().map(|step| i128::from(step.amount.0)).sum();
        // Legs that cost nothing may be dialled on an empty account.
        (total == 0 || total <= i128::from(available.0)).then_some(steps)
    };
    within(Quote::first_chunk).or_else(|| within(Quote::first_interval))
}

fn insert_call(batch: &mut Batch, ask: &Authorize) -> Result<()> {
    batch.add(
        "INSERT INTO calls (id, merchant_id, state, command, placed, alive) \
         VALUES ($1, $2, 'open', $3, $4, $4)",
        args![ask.call, ask.command.merchant.0, json(&ask.command)?, ask.at],
    );
    Ok(())
}

fn insert_key(batch: &mut Batch, ask: &Authorize) {
    let Some(key) = &ask.command.key else { return };
    batch.add(
        "INSERT INTO request_keys (merchant_id, dialect, request, fingerprint, call_id, created) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        args![
            ask.command.merchant.0,
            key.dialect.word(),
            &key.key,
            &key.fingerprint,
            ask.call,
            ask.at
        ],
    );
}

fn hold(
    batch: &mut Batch,
    (call, at): (CallId, UnixMillis),
    (account, counted): (&Account, Option<String>),
    legs: &[(LegNo, Option<Quote>)],
    steps: &[Option<Step>],
) -> Result<()> {
    let mut values: Vec<Value> = Vec::new();
    let mut total = Micros::ZERO;
    let mut rows = 0;
    for ((leg, quote), step) in legs.iter().zip(steps) {
        let (Some(quote), Some(step)) = (quote, step) else { continue };
        total += step.amount;
        rows += 1;
        values.extend(args![
            call,
            leg.0,
            0_u32,
            account.id,
            step.amount,
            step.until_s,
            json(quote)?,
            at,
            counted.clone()
        ]);
    }
    if rows == 0 {
        return Ok(());
    }
    raise_held(batch, account.id, total);
    let sql = format!(
        "INSERT INTO holds (call_id, leg_no, step, account_id, amount, until_s, quote, at, counted) \
         VALUES {}",
        tuples(rows, 9)
    );
    batch.add(&sql, values);
    Ok(())
}

/// The schema's own rule refuses what the balance does not cover, should we ever be wrong.
fn raise_held(batch: &mut Batch, account: i64, by: Micros) {
    if by != Micros::ZERO {
        batch.add("UPDATE accounts SET held = held + $2 WHERE id = $1", args![account, by]);
    }
}

/// What the legs of a call that was authorized before are paid for.
async fn paid(conn: &mut Conn, ask: &Authorize) -> Result<Vec<Paid>> {
    let mut paid = Vec::with_capacity(ask.legs.len());
    for leg in &ask.legs {
        let until = holds_of(conn, ask.call, leg.leg).await?.last().and_then(|hold| hold.until_s);
        paid.push(Paid { leg: leg.leg, until: until.map(seconds) });
    }
    Ok(paid)
}

struct Held {
    step: u32,
    until_s: Option<u32>,
    quote: Option<String>,
    counted: Option<String>,
}

async fn holds_of(conn: &mut Conn, call: CallId, leg: LegNo) -> Result<Vec<Held>> {
    let rows = conn
        .rows(
            "SELECT step, until_s, quote, counted FROM holds \
             WHERE call_id = $1 AND leg_no = $2 ORDER BY step",
            args![call, leg.0],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Held {
                step: row.small(0)?,
                until_s: row.opt_small(1)?,
                quote: row.opt_text(2)?,
                counted: row.opt_text(3)?,
            })
        })
        .collect()
}

/// Answers [`AddLeg`]: the merchant of the call has to be allowed to, and to have the money, as for a call.
pub(crate) async fn add_leg(
    conn: &mut Conn,
    (tariffs, alerts): (&Tariffs, &Alerts),
    ask: &AddLeg,
) -> Result<Added> {
    let lock = conn.lock("c, a");
    let sql = format!(
        "SELECT c.state, c.command, m.status, m.tariff_id, t.version, a.id, \
         a.posted - a.held + a.credit \
         FROM calls c JOIN merchants m ON m.id = c.merchant_id \
         JOIN accounts a ON a.merchant_id = c.merchant_id \
         LEFT JOIN tariffs t ON t.id = m.tariff_id WHERE c.id = $1{lock}"
    );
    let row = conn.row(&sql, args![ask.leg.call]).await?.ok_or(Error::Missing("call"))?;
    if row.text(0)? != "open" {
        return Err(Error::Missing("open call"));
    }
    if let Some(last) = holds_of(conn, ask.leg.call, ask.leg.no).await?.last() {
        return Ok(Added::Paid(last.until_s.map(seconds)));
    }
    let command: CallCommand = row.json(1)?;
    if row.text(2)? != "approved" || !may_spend(conn, &command, &ask.own).await? {
        return Ok(Added::Refused(Refusal::Disabled));
    }
    let account = Account { id: row.int(5)?, available: row.micros(6)? };
    let quote = tariffs.quote(conn, row.opt_int(3)?, row.opt_int(4)?, &ask.number).await?;
    let Some(quote) = quote else { return Ok(Added::Refused(Refusal::NoPrice)) };
    let legs = [(ask.leg.no, quote)];
    if !rung::may(conn, ask.leg.call, &ask.caps, ask.at).await? {
        return Ok(Added::Refused(Refusal::TooOften));
    }
    let mut scopes = Scope::all_of(&command);
    scopes.extend(ask.own.iter().filter(|own| !Scope::all_of(&command).contains(own)).cloned());
    let mut watched = Watched::of_scopes(conn, scopes).await?;
    watched = watched.of_call(ask.leg.call);
    let numbers = std::iter::once(&ask.number);
    let steps = within(conn, (&mut watched, alerts), (numbers, &legs), &account, ask.at).await?;
    let steps = match steps {
        Ok(steps) => steps,
        Err(refusal) => return Ok(Added::Refused(refusal)),
    };
    let counted = watched.count(conn, alerts, total(&steps), ask.at).await?;
    let mut batch = Batch::default();
    rung::count(&mut batch, ask.leg.call, &ask.caps, ask.at);
    hold(&mut batch, (ask.leg.call, ask.at), (&account, counted), &legs, &steps)?;
    conn.batch(batch).await?;
    Ok(Added::Paid(steps[0].and_then(|step| step.until_s).map(seconds)))
}

/// The sub-accounts in whose names a call and a leg of it were asked for are not stopped.
async fn may_spend(conn: &mut Conn, command: &CallCommand, own: &[Scope]) -> Result<bool> {
    let asking = own.iter().filter_map(|scope| match scope {
        Scope::SubAccount(id) => Some(*id),
        Scope::Merchant(_) | Scope::Extension(_) => None,
    });
    let sql = "SELECT enabled FROM sub_accounts WHERE id = $1 AND merchant_id = $2";
    for id in command.sub_account.into_iter().chain(asking) {
        let row = conn.row(sql, args![id.0, command.merchant.0]).await?;
        if row.map(|row| row.int(0)).transpose()? != Some(1) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Answers [`Extend`].
pub(crate) async fn extend(conn: &mut Conn, alerts: &Alerts, ask: &Extend) -> Result<Extended> {
    let lock = conn.lock("c, a");
    let sql = format!(
        "SELECT c.state, a.id, a.posted - a.held + a.credit \
         FROM calls c JOIN accounts a ON a.merchant_id = c.merchant_id WHERE c.id = $1{lock}"
    );
    let row = conn.row(&sql, args![ask.leg.call]).await?.ok_or(Error::Missing("call"))?;
    if row.text(0)? != "open" {
        return Err(Error::Missing("open call"));
    }
    let account = Account { id: row.int(1)?, available: row.micros(2)? };
    let holds = holds_of(conn, ask.leg.call, ask.leg.no).await?;
    if let Some(same) = holds.iter().find(|hold| hold.step == ask.step) {
        return Ok(Extended::Paid(same.until_s.map(seconds)));
    }
    let (Some(first), Some(last)) = (holds.first(), holds.last()) else {
        // Nothing was held: the leg is free.
        return Ok(Extended::Paid(None));
    };
    let Some(paid_s) = last.until_s else { return Ok(Extended::Paid(None)) };
    if last.step > ask.step {
        return Ok(Extended::Paid(Some(seconds(paid_s))));
    }
    let quote: Quote = from_json(first.quote.as_deref().unwrap_or_default())?;
    let mut watched = Watched::of_hold(conn, first.counted.as_deref()).await?;
    watched = watched.of_call(ask.leg.call);
    let Room::For(left) = watched.room(conn, alerts, &[], ask.at).await? else {
        return Ok(Extended::Exhausted);
    };
    let available = left.map_or(account.available, |left| left.min(account.available));
    let Some(step) = quote.extension(paid_s, available) else {
        if let Some(step) = quote.extension(paid_s, account.available) {
            watched.reached(conn, alerts, step.amount, ask.at).await?;
        }
        return Ok(Extended::Exhausted);
    };
    let counted = watched.count(conn, alerts, step.amount, ask.at).await?;
    let mut batch = Batch::default();
    raise_held(&mut batch, account.id, step.amount);
    insert_extension(&mut batch, ask, (account.id, counted), &step);
    conn.batch(batch).await?;
    Ok(Extended::Paid(step.until_s.map(seconds)))
}

fn insert_extension(
    batch: &mut Batch,
    ask: &Extend,
    (account, counted): (i64, Option<String>),
    step: &Step,
) {
    batch.add(
        "INSERT INTO holds (call_id, leg_no, step, account_id, amount, until_s, at, counted) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            ask.leg.call,
            ask.leg.no.0,
            ask.step,
            account,
            step.amount,
            step.until_s,
            ask.at,
            counted
        ],
    );
}

fn seconds(s: u32) -> Duration {
    Duration::from_secs(s.into())
}

/// The highest id in use.
pub(crate) async fn last_id(conn: &mut Conn) -> Result<Option<CallId>> {
    // Sessions of menus have ids of the same kind.
    let sql = "SELECT MAX(id) FROM (SELECT MAX(id) AS id FROM calls \
               UNION ALL SELECT MAX(id) FROM ussd_sessions) AS all_ids";
    let row = conn.row(sql, args![]).await?;
    let Some(row) = row else { return Ok(None) };
    row.opt_int(0)?.map(|_| row.call(0)).transpose()
}

/// Takes back an authorization that nobody heard of.
///
/// A commit whose answer was lost may still be in flight. It holds the merchant's account row from its first
/// statement on: with that lock in hand it is over, and a statement that begins only then sees what it did.
pub(crate) async fn abandon(conn: &mut Conn, call: CallId, merchant: MerchantId) -> Result<bool> {
    let lock = conn.lock("a");
    let sql = format!("SELECT a.id FROM accounts a WHERE a.merchant_id = $1{lock}");
    conn.row(&sql, args![merchant.0]).await?;
    let lock = conn.lock("c");
    let sql = format!(
        "SELECT a.id, (SELECT COUNT(*) FROM call_legs l WHERE l.call_id = c.id), c.command \
         FROM calls c JOIN accounts a ON a.merchant_id = c.merchant_id \
         WHERE c.id = $1 AND c.merchant_id = $2 AND c.state = 'open'{lock}"
    );
    let Some(row) = conn.row(&sql, args![call, merchant.0]).await? else { return Ok(false) };
    if row.int(1)? > 0 {
        return Ok(false);
    }
    conn.exec(
        "UPDATE accounts SET held = held - \
         (SELECT COALESCE(SUM(amount), 0) FROM holds WHERE call_id = $2) WHERE id = $1",
        args![row.int(0)?, call],
    )
    .await?;
    let sql = "SELECT counted, at, amount FROM holds WHERE call_id = $1 AND counted IS NOT NULL";
    let mut batch = Batch::default();
    for hold in conn.rows(sql, args![call]).await? {
        give_back(&mut batch, &hold.text(0)?, hold.instant(1)?, hold.micros(2)?);
    }
    conn.batch(batch).await?;
    if let Some(key) = row.json::<CallCommand>(2)?.key {
        conn.exec(
            "DELETE FROM request_keys \
             WHERE merchant_id = $1 AND dialect = $2 AND request = $3 AND call_id = $4",
            args![merchant.0, key.dialect.word(), key.key, call],
        )
        .await?;
    }
    conferences::abandon(conn, call).await?;
    for (table, column) in [("holds", "call_id"), ("rung", "call_id"), ("calls", "id")] {
        conn.exec(&format!("DELETE FROM {table} WHERE {column} = $1"), args![call]).await?;
    }
    Ok(true)
}

/// Request keys that are past their life.
pub(crate) const OLD_KEYS: Old = Old {
    table: "request_keys",
    keys: "merchant_id, dialect, request",
    which: "created < $1",
    life: KEY_LIFE,
};
