//! Lines to networks by SMPP: their settings, and parts of messages that came by them and wait for the others.

use std::time::Duration;

use facts::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Old, Row, args, work};
use crate::error::Result;
use crate::store::Store;

/// How long a part waits for the others.
const PART_LIFE: Duration = Duration::from_secs(86_400);
/// Parts of one link that wait at a time, at most.
const PARTS_MAX: i64 = 50_000;

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
}

/// Without its password.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Link");
        shown.field("name", &self.name).field("host", &self.host).field("port", &self.port);
        shown.finish_non_exhaustive()
    }
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
    })
}

fn part_of(row: &Row) -> Result<Part> {
    Ok(Part {
        number: row.small(0)?,
        coding: row.small(1)?,
        octets: row.opt_blob(2)?.unwrap_or_default(),
    })
}

async fn keep(conn: &mut Conn, of: &PartOf, part: &Part, now: UnixMillis) -> Result<Kept> {
    let waiting = "SELECT COUNT(*) FROM smpp_parts WHERE link = $1";
    let row = conn.row(waiting, args![&of.link]).await?;
    if row.map_or(Ok(0), |row| row.int(0))? >= PARTS_MAX {
        return Ok(Kept::Full);
    }
    // A phone uses its names again: what waits of an older message of this name is overwritten.
    let sql = "INSERT INTO smpp_parts (link, sender, recipient, reference, total, number, coding, octets, at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (link, sender, recipient, reference, total, number) \
               DO UPDATE SET coding = excluded.coding, octets = excluded.octets, at = excluded.at";
    let key = || {
        let (reference, total) = (i64::from(of.reference), i64::from(of.total));
        args![&of.link, &of.sender, &of.recipient, reference, total]
    };
    let mut values = key();
    let (number, coding) = (i64::from(part.number), i64::from(part.coding));
    values.extend(args![number, coding, part.octets.clone(), now]);
    conn.exec(sql, values).await?;
    let sql = "SELECT number, coding, octets FROM smpp_parts WHERE link = $1 AND sender = $2 \
               AND recipient = $3 AND reference = $4 AND total = $5 ORDER BY number";
    let rows = conn.rows(sql, key()).await?;
    if rows.len() < usize::from(of.total) {
        return Ok(Kept::Waits);
    }
    Ok(Kept::Whole(rows.iter().map(part_of).collect::<Result<_>>()?))
}

/// Parts of long ago, whose others never came.
pub(crate) const OLD_PARTS: Old = Old {
    table: "smpp_parts",
    keys: "link, sender, recipient, reference, total, number",
    which: "at < $1",
    life: PART_LIFE,
};

impl Store {
    /// All links, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn smpp_links(&self) -> Result<Vec<Link>> {
        let sql = "SELECT name, host, port, tls, version, system_id, password, system_type, bind, sender, \
                   sender_ton, sender_npi, alphabet, long_texts, bind_window, per_second, \
                   enquire_seconds, sms, ussd, enabled FROM smpp_links ORDER BY name";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![]).await?;
            rows.iter().map(link_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Keeps a part of a message until all are there. Those that are whole stay until
    /// [`Store::forget_parts`]: whoever reads them may fail to hand them on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn keep_part(&self, of: PartOf, part: Part, now: UnixMillis) -> Result<Kept> {
        self.write(work!(conn, [of, part] => keep(conn, &of, &part, now).await?)).await
    }

    /// Forgets the parts of a message that was handed on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_parts(&self, of: PartOf) -> Result<()> {
        let sql = "DELETE FROM smpp_parts WHERE link = $1 AND sender = $2 AND recipient = $3 \
                   AND reference = $4 AND total = $5";
        self.write(work!(conn, [of] => {
            let (reference, total) = (i64::from(of.reference), i64::from(of.total));
            let key = args![&of.link, &of.sender, &of.recipient, reference, total];
            conn.exec(sql, key).await.map(drop)?;
        }))
        .await
    }
}
