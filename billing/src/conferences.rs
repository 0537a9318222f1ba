//! Conferences by their numbers: which are under way, which are booked for later.
//!
//! A number is somebody's from the booking, or from the authorization of the call, until that call is settled: both
//! are written in the transaction that makes them so, and a crash leaves no number behind that nobody gives back.

use std::time::Duration;

use facts::ledger::Authorize;
use facts::{CallCommand, CallFacts, CallId, Dialect, MerchantId, Purpose, RequestKey, UnixMillis};

use crate::db::{Batch, Conn, Old, Row, args, json, work};
use crate::error::{Error, Result};
use crate::rows::{Booked, Booking, ConferenceEntry, ConferenceState};
use crate::store::Store;

/// How long what became of a conference can be asked for.
const OVER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Bookings that are begun in one turn at most.
const DUE_MAX: u32 = 64;
/// Bookings of one merchant that wait, at most: numbers are everybody's, and there are a million.
const BOOKED_MAX: i64 = 500;
/// How long a booking is known by the key that it was asked for with, as calls are.
const KEY_LIFE: Duration = Duration::from_secs(30 * 86_400);

const ENTRY: &str =
    "SELECT id, number, state, call_id, start_at, command, ended, created FROM conferences";

/// Whose the number is that a call wants to have.
pub(crate) enum Claim {
    /// Nobody's, or the call is no conference.
    Free,
    /// It was booked for this call.
    Booked(i64),
    /// Somebody else's.
    Taken,
}

/// Looks whether a call may have the number that it asks for.
pub(crate) async fn claim(conn: &mut Conn, command: &CallCommand) -> Result<Claim> {
    let Some(conference) = &command.conference else { return Ok(Claim::Free) };
    let sql = "SELECT id, state, merchant_id FROM conferences \
               WHERE number = $1 AND ended IS NULL";
    let Some(row) = conn.row(sql, args![&conference.number]).await? else {
        // A booking that somebody has cancelled meanwhile is not held all the same.
        return Ok(if conference.booking.is_some() { Claim::Taken } else { Claim::Free });
    };
    let id = row.int(0)?;
    let booked = row.text(1)? == "booked" && conference.booking == Some(id);
    let own = row.int(2)? == command.merchant.0;
    Ok(if booked && own { Claim::Booked(id) } else { Claim::Taken })
}

/// From now on the number is this call's.
pub(crate) fn begin(batch: &mut Batch, ask: &Authorize, claim: &Claim) {
    let command = &ask.command;
    let Some(conference) = &command.conference else { return };
    match claim {
        Claim::Booked(id) => batch.add(
            "UPDATE conferences SET state = 'live', call_id = $2 WHERE id = $1",
            args![*id, ask.call],
        ),
        Claim::Free | Claim::Taken => batch.add(
            "INSERT INTO conferences (number, merchant_id, dialect, app, state, call_id, created) \
             VALUES ($1, $2, $3, $4, 'live', $5, $6)",
            args![
                &conference.number,
                command.merchant.0,
                command.dialect.word(),
                &command.app,
                ask.call,
                ask.at
            ],
        ),
    }
}

/// The call is settled: its number is free.
pub(crate) fn end(batch: &mut Batch, facts: &CallFacts) {
    if facts.command.purpose == Purpose::Conference {
        batch.add(
            "UPDATE conferences SET state = 'over', ended = $2 \
             WHERE call_id = $1 AND ended IS NULL",
            args![facts.call, facts.ended],
        );
    }
}

/// The call is taken back as if it had never been asked for.
pub(crate) async fn abandon(conn: &mut Conn, call: CallId) -> Result<()> {
    conn.exec("DELETE FROM conferences WHERE call_id = $1 AND command IS NULL", args![call])
        .await?;
    conn.exec(
        "UPDATE conferences SET state = 'booked', call_id = NULL WHERE call_id = $1",
        args![call],
    )
    .await?;
    Ok(())
}

async fn book(
    conn: &mut Conn,
    (command, key): (&CallCommand, Option<&RequestKey>),
    (start, at): (UnixMillis, UnixMillis),
) -> Result<Booked> {
    let Some(conference) = &command.conference else { return Err(Error::Missing("conference")) };
    let merchant = command.merchant.0;
    conn.one_at_a_time(&format!("bookings of {merchant}")).await?;
    if let Some(key) = key {
        let sql = "SELECT number, fingerprint FROM conferences \
                   WHERE merchant_id = $1 AND request = $2 AND created > $3";
        if let Some(known) = conn.row(sql, args![merchant, &key.key, at - KEY_LIFE]).await? {
            let same = known.opt_text(1)?.as_ref() == Some(&key.fingerprint);
            return Ok(if same { Booked::Before(known.text(0)?) } else { Booked::OtherRequest });
        }
    }
    let sql = "SELECT COUNT(*) FROM conferences WHERE merchant_id = $1 AND state = 'booked'";
    let waiting = conn.row(sql, args![merchant]).await?.map_or(Ok(0), |row| row.int(0))?;
    if waiting >= BOOKED_MAX {
        return Ok(Booked::TooMany);
    }
    let sql = "INSERT INTO conferences (number, merchant_id, dialect, app, state, start_at, command, \
               created, request, fingerprint) \
               VALUES ($1, $2, $3, $4, 'booked', $5, $6, $7, $8, $9) \
               ON CONFLICT (number) WHERE ended IS NULL DO NOTHING RETURNING id";
    let args = args![
        &conference.number,
        command.merchant.0,
        command.dialect.word(),
        &command.app,
        start,
        json(command)?,
        at,
        key.map(|key| key.key.clone()),
        key.map(|key| key.fingerprint.clone())
    ];
    let id = conn.row(sql, args).await?.map(|row| row.int(0)).transpose()?;
    Ok(id.map_or(Booked::Taken, Booked::Now))
}

async fn due(conn: &mut Conn, now: UnixMillis) -> Result<Vec<Booking>> {
    // The first of each merchant, then their second ones: who has many that cannot be begun holds up nobody else.
    let sql = "SELECT id, start_at, command FROM (SELECT id, start_at, command, \
               ROW_NUMBER() OVER (PARTITION BY merchant_id ORDER BY start_at, id) AS turn \
               FROM conferences WHERE state = 'booked' AND start_at <= $1) AS waiting \
               ORDER BY turn, start_at, id LIMIT $2";
    let rows = conn.rows(sql, args![now, DUE_MAX]).await?;
    let booking = |row: &Row| {
        let id = row.int(0)?;
        let mut command: CallCommand = row.json(2)?;
        if let Some(conference) = &mut command.conference {
            conference.booking = Some(id);
        }
        Ok(Booking { id, start: row.instant(1)?, command })
    };
    rows.iter().map(booking).collect()
}

async fn newest(
    conn: &mut Conn,
    (dialect, app): (Dialect, &str),
    number: &str,
) -> Result<Option<ConferenceEntry>> {
    let sql =
        format!("{ENTRY} WHERE dialect = $1 AND app = $2 AND number = $3 ORDER BY id DESC LIMIT 1");
    let row = conn.row(&sql, args![dialect.word(), app, number]).await?;
    row.as_ref().map(entry).transpose()
}

fn entry(row: &Row) -> Result<ConferenceEntry> {
    Ok(ConferenceEntry {
        id: row.int(0)?,
        number: row.text(1)?,
        state: row.word(2)?,
        call: row.opt_int(3)?.map(|_| row.call(3)).transpose()?,
        start: row.opt_int(4)?.map(UnixMillis),
        command: row.opt_text(5)?.map(|_| row.json(5)).transpose()?,
        ended: row.opt_int(6)?.map(UnixMillis),
        created: row.instant(7)?,
    })
}

/// What became of conferences long ago.
pub(crate) const OLD: Old =
    Old { table: "conferences", keys: "id", which: "ended < $1", life: OVER_LIFE };

impl Store {
    /// Books a conference for later, once for each key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn book_conference(
        &self,
        command: CallCommand,
        key: Option<RequestKey>,
        (start, at): (UnixMillis, UnixMillis),
    ) -> Result<Booked> {
        self.write(work!(conn, [command, key] => {
            book(conn, (&command, (*key).as_ref()), (start, at)).await?
        }))
        .await
    }

    /// The booking that a merchant asked for under this key, and the fingerprint of the request.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn booked_before(
        &self,
        merchant: MerchantId,
        key: &str,
        now: UnixMillis,
    ) -> Result<Option<(ConferenceEntry, String)>> {
        let key = key.to_owned();
        self.read(work!(conn, [key] => {
            let sql = "SELECT id, number, state, call_id, start_at, command, ended, created, \
                       fingerprint FROM conferences \
                       WHERE merchant_id = $1 AND request = $2 AND created > $3";
            let row = conn.row(sql, args![merchant.0, key.as_str(), now - KEY_LIFE]).await?;
            let read = |row: Row| -> Result<(ConferenceEntry, String)> {
                Ok((entry(&row)?, row.opt_text(8)?.unwrap_or_default()))
            };
            row.map(read).transpose()?
        }))
        .await
    }

    /// Bookings whose time has come, of each merchant the first ones first. Each command names its booking: a call that is authorized
    /// with it takes it, once.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bookings_due(&self, now: UnixMillis) -> Result<Vec<Booking>> {
        self.read(work!(conn, [] => due(conn, now).await?)).await
    }

    /// Ends a booking that was not begun; false if it was, or is over.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_booking(
        &self,
        id: i64,
        state: ConferenceState,
        at: UnixMillis,
    ) -> Result<bool> {
        let sql = "UPDATE conferences SET state = $2, ended = $3 \
                   WHERE id = $1 AND state = 'booked'";
        self.write(work!(conn, [] => {
            conn.exec(sql, args![id, state.word(), at]).await? == 1
        }))
        .await
    }

    /// The latest conference of an app that has, or had, this number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn conference(
        &self,
        dialect: Dialect,
        app: &str,
        number: &str,
    ) -> Result<Option<ConferenceEntry>> {
        let (app, number) = (app.to_owned(), number.to_owned());
        self.read(work!(conn, [app, number] => newest(conn, (dialect, &app), &number).await?)).await
    }
}
