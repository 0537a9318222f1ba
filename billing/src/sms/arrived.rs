//! Messages that somebody wrote to us: whose they are, who signs up by them, and that their merchants are told.
//!
//! Whoever signs up gets an account of the merchant's with his number bound to it, and its password by an answer that
//! reaches nobody but the phone with that number. Until somebody has approved it nothing can be done with it, unless the
//! keyword says that this is not needed.

use std::time::Duration;

use facts::sms::{Arrived, Purpose, Received, SMS_RECEIVED};
use facts::ussd::Language;
use facts::{CallId, Dialect, MerchantId, Push, PushKind, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{DAY, insert_from};
use crate::db::{Batch, Conn, Old, Row, args, json, work};
use crate::desired::HookFields;
use crate::error::{Constraint, Error, Result};
use crate::once::Once;
use crate::rows::Payload;
use crate::smpp::Came;
use crate::store::Store;
use crate::{outbox, register, secrets, smpp};

/// How long it is known what was written.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Answers to one number within [`ANSWERED`] at most: each costs something, and whoever writes may not be who he says.
const ANSWERS_MAX: i64 = 3;
const ANSWERED: Duration = Duration::from_secs(86_400);
/// Characters of a name and of a text that are kept.
const NAME_MAX: usize = 50;
const TEXT_MAX: usize = 2_000;

/// How a sign-up stands. Stored by its word: words never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundState {
    /// Somebody has to approve it.
    Pending,
    /// The account works.
    Approved,
    /// Its writer had an account.
    Again,
    /// Its writer has written too often, or there are too many accounts: nothing was made.
    Refused,
}

/// A message that came in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Inbound {
    /// Row id.
    pub id: i64,
    /// By which line it came; empty: from a phone of ours.
    pub link: String,
    /// Whose keyword it bears, if anybody's.
    pub merchant: Option<MerchantId>,
    /// Who wrote it.
    pub from: String,
    /// To which number.
    pub to: String,
    /// The keyword.
    pub keyword: String,
    /// What such messages are for; empty where it is nobody's.
    pub purpose: String,
    /// What it says, keyword and all.
    pub text: String,
    /// The account that it made or found.
    pub account: Option<String>,
    /// How its sign-up stands, if it is one.
    pub state: Option<InboundState>,
    /// When it came.
    pub at: UnixMillis,
}

/// What is to be kept, and the words for answers.
#[derive(Clone, Debug)]
pub struct NewInbound {
    /// The message; its numbers as they are kept ([`facts::sms::line`]).
    pub arrived: Arrived,
    /// Whether `from` is a number of the public network: nobody else signs up.
    pub public: bool,
    /// What whoever signs up is answered, by language.
    pub words: fn(Language) -> &'static Replies,
}

/// Answers to whoever signs up. `{account}`, `{password}` and `{merchant}` are filled in.
#[derive(Debug)]
pub struct Replies {
    /// It works.
    pub made: &'static str,
    /// Somebody has to approve it.
    pub pending: &'static str,
    /// He has it already, and its password is the one that it was made with.
    pub again: &'static str,
    /// He has it already.
    pub known: &'static str,
    /// Somebody has approved it.
    pub approved: &'static str,
}

/// Whose a message is.
struct Owner {
    merchant: MerchantId,
    name: String,
    keyword: String,
    purpose: Purpose,
    approved: bool,
    language: Language,
}

/// The first word, and what is behind it.
fn first(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

/// By the keyword that a message begins with, in any case; else by none.
async fn owner(conn: &mut Conn, number: &str, text: &str) -> Result<Option<Owner>> {
    let sql = "SELECT k.merchant_id, m.name, k.keyword, k.purpose, k.approved, k.language FROM sms_keywords k \
               JOIN merchants m ON m.id = k.merchant_id WHERE k.number = $1 AND m.status = 'approved'";
    let word = first(text).0.to_lowercase();
    let mut found: Option<Owner> = None;
    for row in conn.rows(sql, args![number]).await? {
        let keyword = row.text(2)?;
        if keyword == word || (keyword.is_empty() && found.is_none()) {
            found = Some(Owner {
                merchant: MerchantId(row.int(0)?),
                name: row.text(1)?,
                keyword,
                purpose: row.word(3)?,
                approved: row.truth(4)?,
                language: row.word(5)?,
            });
        }
        if found.as_ref().is_some_and(|owner| owner.keyword == word && !word.is_empty()) {
            break;
        }
    }
    Ok(found)
}

async fn arrive(conn: &mut Conn, new: &NewInbound, came: &Came, at: UnixMillis) -> Result<bool> {
    let arrived = &new.arrived;
    if let Some(of) = &came.parts {
        smpp::handed_on(conn, of).await?;
    }
    if let Some(same) = came.same {
        // What looks the same and came last longer ago is another one: its name is free.
        let sql = "UPDATE sms_in SET once = once || ' ' || CAST(id AS TEXT) \
                   WHERE link = $1 AND once = $2 AND seen < $3";
        conn.exec(sql, args![&arrived.link, &arrived.once, at - same]).await?;
    }
    let owner = owner(conn, &arrived.to, &arrived.text).await?;
    let text: String = arrived.text.chars().filter(|c| *c != '\0').take(TEXT_MAX).collect();
    let sql = "INSERT INTO sms_in (link, once, merchant_id, sender, number, keyword, purpose, text, at, seen) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (link, once) DO NOTHING RETURNING id";
    let row = args![
        &arrived.link,
        &arrived.once,
        owner.as_ref().map(|owner| owner.merchant.0),
        &arrived.from,
        &arrived.to,
        owner.as_ref().map_or("", |owner| owner.keyword.as_str()),
        owner.as_ref().map_or("", |owner| owner.purpose.word()),
        &text,
        at
    ];
    let Some(row) = conn.row(sql, row).await? else {
        if came.renewed {
            let sql = "UPDATE sms_in SET seen = $3 WHERE link = $1 AND once = $2 AND seen < $3";
            conn.exec(sql, args![&arrived.link, &arrived.once, at]).await?;
        }
        return Ok(false);
    };
    let id = row.int(0)?;
    let Some(owner) = owner else { return Ok(true) };
    let said = if owner.keyword.is_empty() { text.trim() } else { first(&text).1 }.to_owned();
    let account = match owner.purpose {
        Purpose::Signup if new.public => sign_up(conn, (id, &owner), (new, &said), at).await?,
        Purpose::Signup | Purpose::Forward => None,
    };
    let received = Received {
        id,
        from: arrived.from.clone(),
        to: arrived.to.clone(),
        keyword: owner.keyword,
        text: said,
        purpose: owner.purpose,
        account,
        at,
    };
    tell(conn, owner.merchant, received).await?;
    Ok(true)
}

/// Makes an account, or finds the one that its writer has, and answers him. `None`: there is none.
async fn sign_up(
    conn: &mut Conn,
    (id, owner): (i64, &Owner),
    (new, said): (&NewInbound, &str),
    at: UnixMillis,
) -> Result<Option<String>> {
    let (from, to) = (new.arrived.from.as_str(), new.arrived.to.as_str());
    // Of two that come at one time one is counted behind the other.
    conn.one_at_a_time(&format!("signup {from}")).await?;
    let sql = "SELECT COUNT(*) FROM sms_in WHERE sender = $1 AND at > $2 AND purpose = 'signup' AND id <> $3";
    let before = conn.row(sql, args![from, at - ANSWERED, id]).await?;
    if before.map_or(Ok(0), |row| row.int(0))? >= ANSWERS_MAX {
        stands(conn, id, (None, InboundState::Refused)).await?;
        return Ok(None);
    }
    let name: String = said.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    let whose = (owner.merchant, owner.approved);
    let once = Once::of(format!("sms {id}"));
    let made = match register::by_phone(conn, &once, whose, (from, &name), at).await {
        Err(Error::Conflict(Constraint::SubAccounts)) => {
            stands(conn, id, (None, InboundState::Refused)).await?;
            return Ok(None);
        }
        made => made?,
    };
    let words = (new.words)(owner.language);
    let (text, state) = match (made.duplicate, &made.password, owner.approved) {
        (true, Some(_), _) => (words.again, InboundState::Again),
        (true, None, _) => (words.known, InboundState::Again),
        (false, _, true) => (words.made, InboundState::Approved),
        (false, _, false) => (words.pending, InboundState::Pending),
    };
    let password = made.password.as_deref().unwrap_or_default();
    let text = filled(
        text,
        &[("merchant", &owner.name), ("account", &made.number), ("password", password)],
    );
    let whose = (owner.merchant, from, to);
    insert_from(conn, &format!("signup {id}"), whose, &text, (at, at + DAY)).await?;
    stands(conn, id, (Some(&made.number), state)).await?;
    Ok(Some(made.number))
}

fn filled(words: &str, values: &[(&str, &str)]) -> String {
    // What is filled in is never looked at for places.
    let mut out = String::new();
    let mut rest = words;
    while let Some((before, behind)) = rest.split_once('{') {
        out += before;
        let Some((name, behind)) = behind.split_once('}') else { break };
        out += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        rest = behind;
    }
    out + rest
}

async fn stands(
    conn: &mut Conn,
    id: i64,
    (account, state): (Option<&str>, InboundState),
) -> Result<()> {
    let sql = "UPDATE sms_in SET account = $2, state = $3 WHERE id = $1";
    conn.exec(sql, args![id, account, crate::db::word(&state)?]).await.map(drop)
}

/// The merchant is told by his list of events and his webhooks.
async fn tell(conn: &mut Conn, merchant: MerchantId, received: Received) -> Result<()> {
    let version = conn.row("SELECT version FROM settings", args![]).await?;
    let version = version.ok_or(Error::Missing("settings"))?.int(0)?;
    // Ids of calls and of campaigns have more digits: no event of theirs is in its way.
    let place = CallId(received.id.cast_unsigned());
    let at = received.at;
    let payload = json(&Payload::Text(received))?;
    let listed = Push {
        kind: PushKind::State,
        dialect: Dialect::Rest,
        endpoint: String::new(),
        context: "{\"reference\":\"\"}".to_owned(),
    };
    let event = outbox::Event {
        call: place,
        merchant,
        pushes: &[listed],
        kind: PushKind::State,
        name: SMS_RECEIVED,
        sequence: 1,
        at,
        settings_version: version,
        payload: &payload,
    };
    let mut batch = Batch::default();
    outbox::insert(&mut batch, &event)?;
    conn.batch(batch).await
}

/// Somebody approves a sign-up. `None`: there is none that waits.
async fn approve(
    conn: &mut Conn,
    id: i64,
    words: fn(Language) -> &'static Replies,
    at: UnixMillis,
) -> Result<Option<Inbound>> {
    let lock = conn.lock("i");
    let sql = format!("{INBOUND} WHERE i.id = $1 AND i.state IN ('pending', 'approved'){lock}");
    let Some(row) = conn.row(&sql, args![id]).await? else { return Ok(None) };
    let mut inbound = inbound_of(&row)?;
    let (Some(merchant), Some(account)) = (inbound.merchant, inbound.account.clone()) else {
        return Ok(None);
    };
    if inbound.state == Some(InboundState::Approved) {
        return Ok(Some(inbound));
    }
    register::approve(conn, merchant, &account).await?;
    stands(conn, id, (Some(&account), InboundState::Approved)).await?;
    let sql = "SELECT language FROM sms_keywords WHERE number = $1 AND keyword = $2";
    let row = conn.row(sql, args![&inbound.to, &inbound.keyword]).await?;
    let language = row.map(|row| row.word(0)).transpose()?.unwrap_or_default();
    let text = filled(words(language).approved, &[("account", &account)]);
    let whose = (merchant, inbound.from.as_str(), inbound.to.as_str());
    insert_from(conn, &format!("approved {id}"), whose, &text, (at, at + DAY)).await?;
    inbound.state = Some(InboundState::Approved);
    Ok(Some(inbound))
}

const INBOUND: &str = "SELECT i.id, i.link, i.merchant_id, i.sender, i.number, i.keyword, i.purpose, i.text, \
                       i.account, i.state, i.at FROM sms_in i";

fn inbound_of(row: &Row) -> Result<Inbound> {
    Ok(Inbound {
        id: row.int(0)?,
        link: row.text(1)?,
        merchant: row.opt_int(2)?.map(MerchantId),
        from: row.text(3)?,
        to: row.text(4)?,
        keyword: row.text(5)?,
        purpose: row.text(6)?,
        text: row.text(7)?,
        account: row.opt_text(8)?,
        state: if row.text(9)?.is_empty() { None } else { Some(row.word(9)?) },
        at: row.instant(10)?,
    })
}

/// Messages of long ago.
pub(crate) const OLD: Old = Old { table: "sms_in", keys: "id", which: "at < $1", life: LIFE };

/// Numbers that may be written to.
pub(crate) async fn numbers(conn: &mut Conn) -> Result<std::collections::BTreeSet<String>> {
    let rows = conn.rows("SELECT DISTINCT number FROM sms_keywords", args![]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

impl Store {
    /// Keeps a message that came in, and does what it is for; false where it was kept before.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_arrived(&self, new: NewInbound, at: UnixMillis) -> Result<bool> {
        self.sms_came(new, Came::default(), at).await
    }

    /// The same of a message that a line to a network brought.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_came(&self, new: NewInbound, came: Came, at: UnixMillis) -> Result<bool> {
        self.write(work!(conn, [new, came] => arrive(conn, &new, &came, at).await?)).await
    }

    /// Approves the account of a sign-up and tells its owner; `None` where none waits. Again, nothing more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn approve_sms(
        &self,
        id: i64,
        words: fn(Language) -> &'static Replies,
        at: UnixMillis,
    ) -> Result<Option<Inbound>> {
        self.write(work!(conn, [] => approve(conn, id, words, at).await?)).await
    }

    /// Where a gateway tells by HTTP: the names of its fields, if there is such a one and the secret is its own.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_hook(&self, name: &str, secret: &str) -> Result<Option<HookFields>> {
        let (name, given) = (name.to_owned(), secrets::digest(secret));
        self.read(work!(conn, [name, given] => {
            let sql = "SELECT secret, fields FROM sms_hooks WHERE name = $1";
            let row = conn.row(sql, args![name.as_str()]).await?;
            let kept = row.map(|row| -> Result<(String, HookFields)> { Ok((row.text(0)?, row.json(1)?)) });
            kept.transpose()?.filter(|(secret, _)| *secret == *given).map(|(_, fields)| fields)
        }))
        .await
    }

    /// Messages that came in with a higher id than `after`, by id; of one merchant, or all.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_inbound(
        &self,
        merchant: Option<MerchantId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>> {
        let sql = format!(
            "{INBOUND} WHERE i.id > $1 AND (CAST($2 AS BIGINT) IS NULL OR i.merchant_id = $2) \
             AND i.id <= $4 ORDER BY i.id LIMIT $3"
        );
        let last = self.settled("sms_in").await?;
        let merchant = merchant.map(|id| id.0);
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![after, merchant, limit, last]).await?;
            rows.iter().map(inbound_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_no_place_itself() {
        assert_eq!(filled("{a} is {b}, {c}.", &[("a", "{b}"), ("b", "x")]), "{b} is x, .");
        assert_eq!((first("REG 张 三"), first(" reg ")), (("REG", "张 三"), ("reg", "")));
    }
}
