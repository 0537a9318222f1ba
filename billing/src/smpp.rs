//! Lines to networks by SMPP: their settings, and parts of messages that came by them and wait for the others.

use std::time::Duration;

use facts::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Old, Row, Value, args, work};
use crate::error::Result;
use crate::sms;
use crate::store::Store;

/// How long parts are kept whose others do not come, and those of whole messages, by which one that comes again is known.
const PART_LIFE: Duration = Duration::from_secs(86_400);
/// So long after the last one the next part is of another message, although a phone calls it as before.
const PART_GAP: Duration = Duration::from_secs(600);
/// How long it is known which parts of a message have left: longer than anybody tries.
const LEFT_LIFE: Duration = Duration::from_secs(86_400);
/// Parts of one link that wait for others which may still come, and those of one sender, at most: then no more messages
/// begin. Whoever sends parts of nothing closes a link neither to others nor for longer than [`PART_GAP`].
const PARTS_MAX: i64 = 50_000;
const SENDER_PARTS_MAX: i64 = 500;

/// Which version of the protocol. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Version {
    /// SMPP 3.4.
    #[default]
    #[serde(rename = "3.4")]
    V34,
    /// SMPP 5.0.
    #[serde(rename = "5.0")]
    V50,
}

/// How many connections a link has. Stored by its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bind {
    /// One for both ways (`bind_transceiver`).
    #[default]
    Transceiver,
    /// One to send and one to receive (`bind_transmitter`, `bind_receiver`).
    Pair,
}

/// What `data_coding` 0 means at a network (SMPP 3.4 §5.2.19 leaves it open). Stored by its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alphabet {
    /// The 7 bit alphabet of GSM, one character an octet.
    #[default]
    Gsm,
    /// ISO 8859-1.
    Latin1,
}

/// How texts leave that are longer than one message. Stored by its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongTexts {
    /// In parts with a header in the text (3GPP TS 23.040 §9.2.3.24.1).
    #[default]
    Udh,
    /// In parts with `sar_*` (SMPP 3.4 §5.3.2.22-24).
    Sar,
    /// Whole, as `message_payload` (§5.3.2.32).
    Payload,
}

/// How a network calls a message when it takes it, and how in its receipts. Stored by its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ids {
    /// By the same letters (SMPP 3.4 §5.3.2.12).
    #[default]
    Same,
    /// By the same number: hexadecimal when it takes it, decimal in receipts.
    HexThenDecimal,
    /// The other way about.
    DecimalThenHex,
}

/// A link as it is set.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Unique name.
    pub name: String,
    /// A name or an address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first byte on.
    pub tls: bool,
    /// Which version we say we speak.
    pub version: Version,
    /// Who we are there.
    pub system_id: String,
    /// What proves it.
    #[serde(skip)]
    pub password: String,
    /// What kind of system we are.
    pub system_type: String,
    /// How many connections.
    pub bind: Bind,
    /// What messages come from that say nothing themselves.
    pub sender: String,
    /// Type of number of senders, if not by their form.
    pub sender_ton: Option<u8>,
    /// Numbering plan of senders, if not by their form.
    pub sender_npi: Option<u8>,
    /// What `data_coding` 0 means there.
    pub alphabet: Alphabet,
    /// How long texts leave.
    pub long_texts: LongTexts,
    /// How messages are called there.
    pub ids: Ids,
    /// Requests that wait for their answers at one time, at most.
    pub window: u32,
    /// Messages a second at most; 0: no limit.
    pub per_second: u32,
    /// After how many seconds of silence they are asked whether they are there.
    pub enquire_seconds: u32,
    /// It carries short messages.
    pub sms: bool,
    /// It carries menus.
    pub ussd: bool,
    /// In use.
    pub enabled: bool,
    /// Which process binds it; `None`: every one.
    pub node: Option<u16>,
}

/// Without its password.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Link");
        shown.field("name", &self.name).field("host", &self.host).field("port", &self.port);
        shown.finish_non_exhaustive()
    }
}

/// How a message came, which says whether it came before.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// Where nothing names a message: its name only says how it looks, and one that looks so after this time is another.
    pub same: Option<Duration>,
    /// That time begins anew each time that it comes.
    pub renewed: bool,
    /// It was put together of these parts: they are handed on with it.
    pub parts: Option<PartOf>,
}

/// Which message a part is of: the sender's phone names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartOf {
    /// By which link it came.
    pub link: String,
    /// Who wrote it.
    pub sender: String,
    /// To which number.
    pub recipient: String,
    /// How the sender's phone calls the message.
    pub reference: u32,
    /// Parts that there are.
    pub total: u8,
}

/// A part.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// Which, counted from 1.
    pub number: u8,
    /// How its octets are read (`data_coding`).
    pub coding: u8,
    /// Octets of the text.
    pub octets: Vec<u8>,
}

/// What came of keeping a part.
#[derive(Clone, PartialEq, Eq)]
pub enum Kept {
    /// Others are missing.
    Waits,
    /// All are there, in order.
    Whole(Vec<Part>),
    /// Its message was whole, and is handed on: it came again.
    Again,
    /// Too many wait.
    Full,
}

fn link_of(row: &Row) -> Result<Link> {
    Ok(Link {
        name: row.text(0)?,
        host: row.text(1)?,
        port: row.small(2)?,
        tls: row.truth(3)?,
        version: row.word(4)?,
        system_id: row.text(5)?,
        password: row.text(6)?,
        system_type: row.text(7)?,
        bind: row.word(8)?,
        sender: row.text(9)?,
        sender_ton: row.opt_small(10)?,
        sender_npi: row.opt_small(11)?,
        alphabet: row.word(12)?,
        long_texts: row.word(13)?,
        window: row.small(14)?,
        per_second: row.small(15)?,
        enquire_seconds: row.small(16)?,
        sms: row.truth(17)?,
        ussd: row.truth(18)?,
        enabled: row.truth(19)?,
        ids: row.word(20)?,
        node: row.opt_small(21)?,
    })
}

fn part_of(row: &Row) -> Result<Part> {
    Ok(Part {
        number: row.small(0)?,
        coding: row.small(1)?,
        octets: row.opt_blob(2)?.unwrap_or_default(),
    })
}

/// The rows of a message's parts; its values are [`PartOf::key`].
const OF: &str = "link = $1 AND sender = $2 AND recipient = $3 AND reference = $4 AND total = $5";

impl PartOf {
    fn key(&self) -> Vec<Value> {
        let (reference, total) = (i64::from(self.reference), i64::from(self.total));
        args![&self.link, &self.sender, &self.recipient, reference, total]
    }

    /// Two parts that are kept at one time do not see each other: each would wait for the other.
    async fn alone(&self, conn: &mut Conn) -> Result<()> {
        let PartOf { link, sender, recipient, reference, total } = self;
        let word = format!("smpp parts {link} {sender} {recipient} {reference} {total}");
        conn.one_at_a_time(&word).await
    }
}

/// Whether so many parts wait that no other message may begin. Counted by what an index has, and no further than it matters.
async fn full(conn: &mut Conn, of: &PartOf, now: UnixMillis) -> Result<bool> {
    let since = now - PART_GAP;
    let sender = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM smpp_parts \
                  WHERE link = $1 AND sender = $2 AND done = 0 AND at >= $3 LIMIT $4) AS waiting";
    let row = conn.row(sender, args![&of.link, &of.sender, since, SENDER_PARTS_MAX]).await?;
    if row.map_or(Ok(0), |row| row.int(0))? >= SENDER_PARTS_MAX {
        return Ok(true);
    }
    let link = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM smpp_parts \
                WHERE link = $1 AND done = 0 AND at >= $2 LIMIT $3) AS waiting";
    let row = conn.row(link, args![&of.link, since, PARTS_MAX]).await?;
    Ok(row.map_or(Ok(0), |row| row.int(0))? >= PARTS_MAX)
}

async fn keep(conn: &mut Conn, of: &PartOf, part: &Part, now: UnixMillis) -> Result<Kept> {
    let with = |more: Vec<Value>| of.key().into_iter().chain(more).collect::<Vec<_>>();
    of.alone(conn).await?;
    let sql = format!("DELETE FROM smpp_parts WHERE {OF} AND at < $6");
    conn.exec(&sql, with(args![now - PART_GAP])).await?;
    let sql =
        format!("SELECT number, coding, octets, done FROM smpp_parts WHERE {OF} ORDER BY number");
    let rows = conn.rows(&sql, of.key()).await?;
    if rows.first().map_or(Ok(false), |row| row.truth(3))? {
        let known = rows.iter().map(part_of).collect::<Result<Vec<_>>>()?;
        if known.contains(part) {
            // It is known from now on as long again.
            let sql = format!("UPDATE smpp_parts SET at = $6 WHERE {OF}");
            conn.exec(&sql, with(args![now])).await?;
            return Ok(Kept::Again);
        }
        // A phone uses its names again: this is of its next message.
        conn.exec(&format!("DELETE FROM smpp_parts WHERE {OF}"), of.key()).await?;
    }
    let begins = rows.is_empty() || rows.first().map_or(Ok(false), |row| row.truth(3))?;
    if begins && full(conn, of, now).await? {
        return Ok(Kept::Full);
    }
    let insert = "INSERT INTO smpp_parts (link, sender, recipient, reference, total, number, coding, octets, at) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                  ON CONFLICT (link, sender, recipient, reference, total, number) \
                  DO UPDATE SET coding = excluded.coding, octets = excluded.octets";
    let (number, coding) = (i64::from(part.number), i64::from(part.coding));
    conn.exec(insert, with(args![number, coding, part.octets.clone(), now])).await?;
    // The others are waited for from the last one on.
    conn.exec(&format!("UPDATE smpp_parts SET at = $6 WHERE {OF}"), with(args![now])).await?;
    let rows = conn.rows(&sql, of.key()).await?;
    if rows.len() < usize::from(of.total) {
        return Ok(Kept::Waits);
    }
    Ok(Kept::Whole(rows.iter().map(part_of).collect::<Result<_>>()?))
}

/// The parts of a message that is handed on in this transaction: one of them that comes again changes nothing.
pub(crate) async fn handed_on(conn: &mut Conn, of: &PartOf) -> Result<()> {
    of.alone(conn).await?;
    conn.exec(&format!("UPDATE smpp_parts SET done = 1 WHERE {OF}"), of.key()).await.map(drop)
}

/// Parts of long ago, whose others never came.
pub(crate) const OLD_PARTS: Old = Old {
    table: "smpp_parts",
    keys: "link, sender, recipient, reference, total, number",
    which: "at < $1",
    life: PART_LIFE,
};

/// Parts that left long ago.
pub(crate) const OLD_LEFT: Old = Old {
    table: "smpp_left",
    keys: "link, sms_id, total, number",
    which: "at < $1",
    life: LEFT_LIFE,
};

impl Store {
    /// All links, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn smpp_links(&self) -> Result<Vec<Link>> {
        let sql = "SELECT name, host, port, tls, version, system_id, password, system_type, bind, sender, \
                   sender_ton, sender_npi, alphabet, long_texts, bind_window, per_second, \
                   enquire_seconds, sms, ussd, enabled, ids, node FROM smpp_links ORDER BY name";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![]).await?;
            rows.iter().map(link_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Keeps a part of a message until all are there. Those that are whole stay until the message that they are is handed
    /// on ([`Store::sms_came`]).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep_part(&self, of: PartOf, part: Part, now: UnixMillis) -> Result<Kept> {
        self.write(work!(conn, [of, part] => keep(conn, &of, &part, now).await?)).await
    }

    /// How a network calls the parts of a message that have left, when it was cut into so many; in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn parts_left(&self, link: &str, sms: i64, total: usize) -> Result<Vec<String>> {
        let (link, total) = (link.to_owned(), i64::try_from(total).unwrap_or(i64::MAX));
        let sql = "SELECT reference FROM smpp_left WHERE link = $1 AND sms_id = $2 AND total = $3 \
                   ORDER BY number";
        self.read(work!(conn, [link] => {
            let rows = conn.rows(sql, args![link.as_str(), sms, total]).await?;
            rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Notes that a part has left: whoever tries the rest of its message does not send it again. `number` counts from 1.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn part_left(
        &self,
        (link, sms): (&str, i64),
        (number, total): (usize, usize),
        reference: &str,
        now: UnixMillis,
    ) -> Result<()> {
        let (link, reference) = (link.to_owned(), reference.to_owned());
        let count = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
        let (number, total) = (count(number), count(total));
        let sql = "INSERT INTO smpp_left (link, sms_id, total, number, reference, at) \
                   VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (link, sms_id, total, number) DO NOTHING";
        self.write(work!(conn, [link, reference] => {
            let row = args![link.as_str(), sms, total, number, reference.as_str(), now];
            if conn.exec(sql, row).await? == 1 {
                // Its receipt may be here long before all of them have left.
                sms::named(conn, (sms, link.as_str()), reference.as_str(), now).await?;
            }
        }))
        .await
    }
}
