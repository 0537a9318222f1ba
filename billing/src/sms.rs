//! Short messages. A row is written in the transaction that makes true what it says; a worker leases rows that are due,
//! sends them by the first way that takes them and reports, as that of the outbox does. What networks tell of parts that
//! they took is noted by their names.

mod arrived;
mod listed;
mod parts;
mod sale;

use std::time::Duration;

use facts::gsm::{self, Room};
use facts::{Currency, MerchantId, Micros, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::db::{Conn, Old, Row, args, word, work};
use crate::error::Result;
use crate::store::Store;

pub use arrived::{Inbound, InboundState, NewInbound, Replies};
pub use listed::{AccountRow, HookRow, KeywordRow};
pub use parts::{Part, PartState};
pub use sale::{Account, Line, Sale, Sold};

pub(crate) use arrived::{OLD as OLD_IN, numbers};
pub(crate) use parts::{OLD as OLD_PARTS, named};

/// How long a message is the worker's: longer than all ways together may take.
const LEASE: Duration = Duration::from_secs(120);
/// Before each further try, the last for ever. Whoever waits for a link does not wait for long.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(300),
    Duration::from_secs(900),
];
/// The same where no way leads there: nobody was asked.
const PAUSE: Duration = Duration::from_secs(60);
/// Of the time that is left a pause takes no more than this part, so that there is a try near its end; but a minute.
const PART_OF_REST: u32 = 4;
/// Messages given up in one transaction.
const LAPSE_AT_ONCE: u32 = 50;
/// How long most messages are worth sending; links and codes less.
pub const DAY: Duration = Duration::from_secs(86_400);
/// How long it is known that one was sent.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Characters of a way's words that are kept.
const SAID_MAX: usize = 300;
/// State, way and text of a message of a merchant who tries things out.
const SANDBOX: (&str, &str, &str) = ("sent", "sandbox", "");
/// The mark of a last screen (merchant API §5.2).
const END: &str = "[end]";
/// Characters of what a page has sent to a subscriber: five parts of UCS-2.
const RECEIPT_MAX: usize = 5 * Room::SMS_PART.units;

const SMS: &str = "SELECT id, merchant_id, sender, recipient, text, parts, state, way, price, tries, lease, made, \
                   said, until FROM sms";

/// How a message stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsState {
    /// To be sent, or to be tried again.
    Pending,
    /// Somebody has taken it.
    Sent,
    /// The phone has all parts of it.
    Delivered,
    /// Some part of it will never reach the phone.
    Undelivered,
    /// It was given up.
    Failed,
}

/// Which messages are listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmsAsked {
    /// Of whose subscribers; all when absent.
    pub merchant: Option<MerchantId>,
    /// In this state; all when absent.
    pub state: Option<SmsState>,
    /// Those behind this row.
    pub after: i64,
    /// So many at most.
    pub limit: u32,
}

impl SmsAsked {
    /// Of all messages.
    #[must_use]
    pub fn page(after: i64, limit: u32) -> SmsAsked {
        SmsAsked { merchant: None, state: None, after, limit }
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sms {
    /// Row id.
    pub id: i64,
    /// Of whose subscriber.
    pub merchant: MerchantId,
    /// What it comes from; empty: what the operator's file says.
    pub sender: String,
    /// To whom: E.164 digits.
    pub recipient: String,
    /// What it says. It may bear a link that pays. Empty once nobody sends it any more.
    #[serde(skip)]
    pub text: String,
    /// Messages that mobile networks make of it.
    pub parts: u32,
    /// How it stands.
    pub state: SmsState,
    /// By which way it left, or has begun to; empty until then.
    pub way: String,
    /// What the merchant paid for it.
    #[serde(rename = "price_micros")]
    pub price: Micros,
    /// How often it was tried.
    pub tries: u32,
    /// Counts those who had it.
    #[serde(skip)]
    pub lease: i64,
    /// When it was written.
    pub made: UnixMillis,
    /// What the way said last.
    pub said: String,
    /// From when on nobody wants it any more: it is given up.
    pub until: UnixMillis,
}

/// What came of a try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SmsSent {
    /// By this way it left, and these are its parts where the far end names them.
    Taken(String, Vec<String>),
    /// A part of it has left by this way, where the rest is to follow; and why it could not now.
    Begun(String, String),
    /// Not now, in these words.
    Later(String),
    /// Nobody was asked: no way leads there now. This was no try.
    Away,
    /// Never, in these words.
    Refused(String),
}

/// How many messages mobile networks make of a text.
#[must_use]
pub fn parts(text: &str) -> u32 {
    let wide = gsm::septet_count(text).is_none();
    u32::try_from(gsm::messages(text, wide).len()).unwrap_or(u32::MAX)
}

/// Writes a message that is worth sending until then, unless that was told already.
pub(crate) async fn insert(
    conn: &mut Conn,
    once: &str,
    (merchant, recipient): (MerchantId, &str),
    text: &str,
    (now, until): (UnixMillis, UnixMillis),
) -> Result<()> {
    insert_from(conn, once, (merchant, recipient, ""), text, (now, until)).await
}

/// The same from this number. Whoever tries things out writes to nobody.
async fn insert_from(
    conn: &mut Conn,
    once: &str,
    (merchant, recipient, sender): (MerchantId, &str, &str),
    text: &str,
    (now, until): (UnixMillis, UnixMillis),
) -> Result<()> {
    let sql = "SELECT 1 FROM accounts WHERE merchant_id = $1 AND currency = $2";
    let sandbox = conn.row(sql, args![merchant.0, Currency::XTS.code()]).await?.is_some();
    let (state, way, kept) = if sandbox { SANDBOX } else { ("pending", "", text) };
    let sql = "INSERT INTO sms (merchant_id, once, sender, recipient, text, parts, state, way, due, made, until) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10) ON CONFLICT (once) DO NOTHING";
    let whose = args![merchant.0, once, sender, recipient, kept, parts(text), state, way];
    let args = whose.into_iter().chain(args![now, until]).collect();
    conn.exec(sql, args).await.map(drop)
}

/// What a page wants to be sent to a subscriber, out of what it answered: without the mark of a last screen, no longer
/// than so many parts; `None` for nothing, and for what is meant for browsers.
pub(crate) fn receipt_text(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_start_matches('\u{feff}').trim();
    let cut = text.len().checked_sub(END.len()).filter(|at| text.is_char_boundary(*at));
    let marked = cut.filter(|at| text[*at..].eq_ignore_ascii_case(END));
    let text = marked.map_or(text, |at| text[..at].trim_end());
    let shown = |c: &char| !c.is_control() || *c == '\n';
    let text: String = text.chars().filter(shown).take(RECEIPT_MAX).collect();
    (!text.is_empty() && !text.starts_with('<')).then_some(text)
}

/// Whether a message was written under this name.
pub(crate) async fn is_told(conn: &mut Conn, once: &str) -> Result<bool> {
    Ok(conn.row("SELECT 1 FROM sms WHERE once = $1", args![once]).await?.is_some())
}

fn sms_of(row: &Row) -> Result<Sms> {
    Ok(Sms {
        id: row.int(0)?,
        merchant: MerchantId(row.int(1)?),
        sender: row.text(2)?,
        recipient: row.text(3)?,
        text: row.text(4)?,
        parts: row.small(5)?,
        state: row.word(6)?,
        way: row.text(7)?,
        price: row.micros(8)?,
        tries: row.small(9)?,
        lease: row.int(10)?,
        made: row.instant(11)?,
        said: row.text(12)?,
        until: row.instant(13)?,
    })
}

async fn take(conn: &mut Conn, now: UnixMillis, limit: u32) -> Result<Vec<Sms>> {
    // A code or a link does not stand behind somebody's mail to a whole town.
    let which = "until > $1 AND due <= $1";
    let mut taken = Vec::new();
    for mut sms in pending(conn, which, (now, limit)).await? {
        sms.lease += 1;
        let sql = "UPDATE sms SET due = $2, lease = $3 WHERE id = $1";
        conn.exec(sql, args![sms.id, now + LEASE, sms.lease]).await?;
        taken.push(sms);
    }
    Ok(taken)
}

/// Messages that wait and of which this is so, for this transaction alone: what ends first stands first.
async fn pending(
    conn: &mut Conn,
    which: &str,
    (now, limit): (UnixMillis, u32),
) -> Result<Vec<Sms>> {
    let lock = if conn.is_pg() { " FOR UPDATE SKIP LOCKED" } else { "" };
    let sql =
        format!("{SMS} WHERE state = 'pending' AND {which} ORDER BY until, id LIMIT $2{lock}");
    conn.rows(&sql, args![now, limit]).await?.iter().map(sms_of).collect()
}

/// Gives up what nobody wants any more and nobody is sending now.
async fn lapse(conn: &mut Conn, now: UnixMillis) -> Result<()> {
    let mut over = pending(conn, "until <= $1 AND due <= $1", (now, LAPSE_AT_ONCE)).await?;
    // Accounts are locked in one order, whoever does it.
    over.sort_by_key(|sms| (sms.merchant.0, sms.id));
    for sms in over {
        give_up(conn, &sms, now).await?;
    }
    Ok(())
}

/// Nobody wants it any more, and nobody took it: who paid for it has it back.
async fn give_up(conn: &mut Conn, sms: &Sms, now: UnixMillis) -> Result<()> {
    let said = if sms.said.is_empty() { "it could not be sent in time" } else { &sms.said };
    let sql =
        "UPDATE sms SET state = 'failed', said = $2, text = '', lease = lease + 1 WHERE id = $1";
    conn.exec(sql, args![sms.id, said]).await?;
    sale::give_back(conn, sms.id, (sms.merchant, sms.price), now).await
}

async fn note(
    conn: &mut Conn,
    (id, lease): (i64, i64),
    came: &SmsSent,
    now: UnixMillis,
) -> Result<()> {
    let lock = conn.lock("s");
    let sql = format!(
        "SELECT s.tries, s.merchant_id, s.price, s.until FROM sms s \
         WHERE s.id = $1 AND s.lease = $2 AND s.state = 'pending'{lock}"
    );
    let Some(row) = conn.row(&sql, args![id, lease]).await? else { return Ok(()) };
    let tries: u32 = row.small(0)?;
    let pause = PAUSES[usize::try_from(tries).unwrap_or(usize::MAX).min(PAUSES.len() - 1)];
    let until = row.instant(3)?;
    let rest = Duration::from_millis(until.0.saturating_sub(now.0).try_into().unwrap_or(0));
    let pause = pause.min(PAUSE.max(rest / PART_OF_REST));
    let (state, due, said, way, tried) = match came {
        SmsSent::Taken(way, _) => ("sent", now, "", way.as_str(), true),
        SmsSent::Begun(way, said) => {
            ("pending", until.min(now + pause), said.as_str(), way.as_str(), true)
        }
        SmsSent::Later(said) => ("pending", until.min(now + pause), said.as_str(), "", true),
        SmsSent::Away => ("pending", until.min(now + PAUSE), "no way leads there now", "", false),
        SmsSent::Refused(said) => ("failed", now, said.as_str(), "", true),
    };
    let said: String = said.chars().take(SAID_MAX).collect();
    // What it says is not needed any more: a link in it pays, a code in it opens.
    let sql = "UPDATE sms SET state = $3, due = $4, said = $5, way = CASE WHEN $6 = '' THEN way ELSE $6 END, tries = tries + $7, lease = lease + 1, \
               text = CASE WHEN $3 = 'pending' THEN text ELSE '' END WHERE id = $1 AND lease = $2";
    conn.exec(sql, args![id, lease, state, due, said, way, tried]).await?;
    if let SmsSent::Taken(way, references) = came {
        parts::forget(conn, (id, way), references).await?;
        parts::name(conn, (id, way), references, now).await?;
    }
    if state == "failed" {
        // Nobody took it: who paid for it has it back.
        sale::give_back(conn, id, (MerchantId(row.int(1)?), row.micros(2)?), now).await?;
    }
    Ok(())
}

/// Messages of long ago.
pub(crate) const OLD: Old =
    Old { table: "sms", keys: "id", which: "made < $1 AND state <> 'pending'", life: LIFE };

impl Store {
    /// Messages that are due, for a few minutes the caller's. What nobody wants any more is not among them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_sms(&self, now: UnixMillis, limit: u32) -> Result<Vec<Sms>> {
        self.write(work!(conn, [] => take(conn, now, limit).await?)).await
    }

    /// Gives up what nobody wants any more, so many at a time.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lapse_sms(&self, now: UnixMillis) -> Result<()> {
        self.write(work!(conn, [] => lapse(conn, now).await?)).await
    }

    /// Notes what came of a message that was taken with this lease; again, nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_sms(&self, of: (i64, i64), came: SmsSent, now: UnixMillis) -> Result<()> {
        self.write(work!(conn, [came] => note(conn, of, &came, now).await?)).await
    }

    /// Messages with a higher id than `after`, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms(&self, asked: SmsAsked) -> Result<Vec<Sms>> {
        let sql = format!(
            "{SMS} WHERE id > $1 AND id <= $3 AND (CAST($4 AS BIGINT) IS NULL OR merchant_id = $4) \
             AND (CAST($5 AS TEXT) IS NULL OR state = $5) ORDER BY id LIMIT $2"
        );
        let last = self.settled("sms").await?;
        let SmsAsked { merchant, state, after, limit } = asked;
        let (merchant, state) =
            (merchant.map(|id| id.0), state.map(|state| word(&state)).transpose()?);
        self.read(work!(conn, [sql, state] => {
            let state = (*state).as_deref();
            let rows = conn.rows(&sql, args![after, limit, last, merchant, state]).await?;
            rows.iter().map(sms_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_3_of_a_pages_answer_the_text_is_sent_and_no_mark_of_it() {
        let text = |answer: &str| receipt_text(answer.as_bytes());
        assert_eq!(
            text("\u{feff}\r\nسفارش شما ثبت شد [END]\r\n").as_deref(),
            Some("سفارش شما ثبت شد")
        );
        assert_eq!(text("a\r\nb\u{7}").as_deref(), Some("a\nb"));
        assert_eq!([text(""), text(" \r\n"), text("[end]")], [None, None, None]);
        assert_eq!(text("ثبت").as_deref(), Some("ثبت"));
        assert_eq!(text(&"س".repeat(2_000)).map(|text| parts(&text)), Some(5));
        assert!(receipt_text(b"\xff\xfe").is_some());
        assert_eq!([text("<html>thanks"), text("\u{feff}\r\n <br>")], [None, None]);
    }

    #[test]
    fn s5_5_a_text_is_so_many_messages_as_networks_make_of_it() {
        for (text, wanted) in [
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("س".repeat(70), 1),
            ("س".repeat(71), 2),
            ("中".repeat(134), 2),
            ("中".repeat(135), 3),
            // Parts of 153 septets, of which a € takes two and is not split; an emoji takes two units.
            ("a".repeat(153 * 4), 4),
            ("a".repeat(153 * 4 + 1), 5),
            (format!("{}€{}", "a".repeat(152), "a".repeat(7)), 2),
            (format!("{}€", "a".repeat(158)), 1),
            (format!("{}€", "a".repeat(159)), 2),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
            ("😀".repeat(66), 2),
            ("😀".repeat(67), 3),
            (format!("{}😀", "س".repeat(69)), 2),
            (format!("{}验", "a".repeat(69)), 1),
            (format!("{}验", "a".repeat(70)), 2),
            (String::new(), 1),
        ] {
            assert_eq!(parts(&text), wanted, "{} of {}", text.chars().count(), text.len());
        }
    }
}
