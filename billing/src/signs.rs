//! Extensions that sign in to groups and out of them, and groups that merchants make themselves.
//!
//! Who has signed in or out is a list of its own: a file of the operator that is applied again changes nothing of it.

use std::collections::BTreeMap;

use facts::group::{Group, LeadsTo, Strategy};
use facts::{MerchantId, UnixMillis};
use serde_json::{Value as Json, json};

use crate::campaigns::{Plan, Takers};
use crate::db::{Conn, args, word, work};
use crate::error::{Error, Result};
use crate::once::Once;
use crate::register::free_number;
use crate::rows::GroupRow;
use crate::secrets;
use crate::store::Store;
use crate::trail;

/// Groups of one merchant at most: each is in every snapshot of the settings.
const GROUPS_MAX: i64 = 200;
/// Seconds for which one member of a group that a merchant made rings, and all of them together.
const RING: (u32, u32) = (20, 60);

/// An extension and a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sign {
    /// The group's number.
    pub number: String,
    /// The extension.
    pub extension: String,
    /// In, or out.
    pub present: bool,
    /// What the merchant said with it.
    pub crmid: String,
    /// When.
    pub at: UnixMillis,
}

/// What became of a wish about groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// It is so, or was so before.
    Done,
    /// There is no such group, or not of this merchant.
    NoGroup,
    /// As many as may be are there already.
    Full,
    /// The name is taken, or is the number of another group.
    Taken,
    /// It is the operator's, or something leads to it.
    Needed,
}

/// The lists of members as they are by now: who has signed out is in none, who has signed in comes last.
pub(crate) async fn merge(conn: &mut Conn, groups: &mut [GroupRow]) -> Result<()> {
    let signs = all(conn).await?;
    if signs.is_empty() {
        return Ok(());
    }
    for GroupRow { number, group } in groups {
        for sign in signs.get(number.as_str()).into_iter().flatten() {
            let there = group.members.contains(&sign.extension);
            if there && !sign.present {
                group.members.retain(|member| *member != sign.extension);
            } else if sign.present && !there && group.members.len() < Group::MEMBERS_MAX {
                group.members.push(sign.extension.clone());
            }
        }
    }
    Ok(())
}

/// By group, in the order in which they signed. Not of extensions that are gone, or are somebody else's by now.
async fn all(conn: &mut Conn) -> Result<BTreeMap<String, Vec<Sign>>> {
    let sql = "SELECT s.number, s.extension, s.present, s.crmid, s.at FROM group_signs s \
               JOIN extension_groups g ON g.number = s.number \
               JOIN extensions e ON e.number = s.extension AND e.merchant_id = g.merchant_id \
               ORDER BY s.number, s.at, s.extension";
    let mut signs: BTreeMap<String, Vec<Sign>> = BTreeMap::new();
    for row in conn.rows(sql, args![]).await? {
        let sign = Sign {
            number: row.text(0)?,
            extension: row.text(1)?,
            present: row.truth(2)?,
            crmid: row.text(3)?,
            at: row.instant(4)?,
        };
        signs.entry(sign.number.clone()).or_default().push(sign);
    }
    Ok(signs)
}

/// The settings row first, as everybody who changes settings takes it; the version that comes next.
async fn next_version(conn: &mut Conn) -> Result<i64> {
    let sql = format!("SELECT version FROM settings{}", conn.lock("settings"));
    conn.row(&sql, args![]).await?.map_or(Ok(0), |row| row.int(0)).map(|version| version + 1)
}

async fn changed(
    conn: &mut Conn,
    (once, at): (&Once, UnixMillis),
    version: i64,
    (who, act): (&str, &str),
    what: &Json,
) -> Result<()> {
    conn.exec("UPDATE settings SET version = version + 1", args![]).await?;
    trail::append(conn, Some(once), (at, version), (who, act), what).await.map(drop)
}

async fn sign(conn: &mut Conn, once: &Once, who: &str, sign: &Sign) -> Result<Done> {
    let version = next_version(conn).await?;
    let mut groups = crate::objects::groups(conn).await?;
    groups.retain(|row| row.number == sign.number);
    merge(conn, &mut groups).await?;
    let Some(row) = groups.first() else { return Ok(Done::NoGroup) };
    let there = row.group.members.contains(&sign.extension);
    if sign.present && !there && row.group.members.len() >= Group::MEMBERS_MAX {
        return Ok(Done::Full);
    }
    if !sign.present && !there {
        // Who never was a member has nothing to leave.
        let sql = "SELECT 1 FROM group_signs WHERE number = $1 AND extension = $2";
        if conn.row(sql, args![&sign.number, &sign.extension]).await?.is_none() {
            return Ok(Done::Done);
        }
    }
    let sql = "INSERT INTO group_signs (number, extension, present, crmid, at) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number, extension) DO UPDATE SET \
               present = excluded.present, crmid = excluded.crmid, at = excluded.at";
    let values = args![&sign.number, &sign.extension, sign.present, &sign.crmid, sign.at];
    conn.exec(sql, values).await?;
    if there != sign.present {
        let act = if sign.present { "sign_in" } else { "sign_out" };
        let what = json!({ "group": sign.number, "extension": sign.extension });
        changed(conn, (once, sign.at), version, (who, act), &what).await?;
    }
    Ok(Done::Done)
}

async fn add(
    conn: &mut Conn,
    (once, at): (&Once, UnixMillis),
    who: &str,
    group: &Group,
) -> Result<std::result::Result<String, Done>> {
    // Under the lock of the settings row numbers are handed out one after the other.
    let version = next_version(conn).await?;
    // A group is known by its name or its number: what is a number of any group names no other one.
    let sql = "SELECT COUNT(*) FILTER (WHERE merchant_id = $1), \
               COUNT(*) FILTER (WHERE number = $2 OR (merchant_id = $1 AND name = $2)) \
               FROM extension_groups";
    let row = conn.row(sql, args![group.merchant.0, &group.name]).await?;
    let row = row.ok_or(Error::Missing("count"))?;
    if row.int(1)? > 0 {
        return Ok(Err(Done::Taken));
    }
    if row.int(0)? >= GROUPS_MAX {
        return Ok(Err(Done::Full));
    }
    let number = loop {
        let next = conn.row("SELECT next_number FROM settings", args![]).await?;
        let number = free_number(conn, next.map_or(Ok(0), |row| row.int(0))?).await?;
        let sql = "SELECT 1 FROM extension_groups WHERE merchant_id = $1 AND name = $2";
        let named = conn.row(sql, args![group.merchant.0, &number]).await?.is_some();
        if !named && number != group.name {
            break number;
        }
    };
    let sql = "INSERT INTO extension_groups (number, merchant_id, name, enabled, strategy, members, \
               ring_s, timeout_s) VALUES ($1, $2, $3, $4, $5, '[]', $6, $7)";
    let values = args![
        &number,
        group.merchant.0,
        &group.name,
        group.enabled,
        word(&group.strategy)?,
        group.ring_s,
        group.timeout_s,
    ];
    conn.exec(sql, values).await?;
    let what = json!({ "group": number, "name": group.name });
    changed(conn, (once, at), version, (who, "add_group"), &what).await?;
    Ok(Ok(number))
}

/// Do calls that another group did not take, or those of a campaign that is not over, lead to a group of a merchant?
async fn is_led_to(conn: &mut Conn, merchant: MerchantId, number: &str) -> Result<bool> {
    let mut groups = crate::objects::groups(conn).await?;
    let name = groups.iter().find(|row| row.number == number).map(|row| row.group.name.clone());
    let here = Some(LeadsTo::Internal(number.to_owned()));
    groups.retain(|row| row.number != number && row.group.otherwise == here);
    if !groups.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT plan FROM campaigns WHERE merchant_id = $1 AND state <> 'ended'";
    for row in conn.rows(sql, args![merchant.0]).await? {
        // One that nobody can read is dialled by nobody.
        let Ok(plan) = row.json::<Plan>(0) else { continue };
        let led = match plan.takers {
            Takers::Group(group) => group == number,
            Takers::Extensions(_) => false,
            // Its keys lead to groups by their names or numbers.
            Takers::Notice(request) => {
                let request: Json = serde_json::from_str(&request).unwrap_or_default();
                says(&request, &[Some(number), name.as_deref()])
            }
            Takers::Scenario(request) => {
                let request: Json = serde_json::from_str(&request).unwrap_or_default();
                says(&request, &[Some(number)])
            }
        };
        if led {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Is one of these words a value anywhere in there?
fn says(within: &Json, words: &[Option<&str>]) -> bool {
    match within {
        Json::String(value) => words.contains(&Some(value)),
        Json::Array(values) => values.iter().any(|value| says(value, words)),
        Json::Object(fields) => fields.values().any(|value| says(value, words)),
        _ => false,
    }
}

async fn remove(
    conn: &mut Conn,
    (once, at): (&Once, UnixMillis),
    who: &str,
    (merchant, name): (MerchantId, &str),
) -> Result<Done> {
    let version = next_version(conn).await?;
    let sql = "SELECT g.number, g.managed, (SELECT COUNT(*) FROM inbound i \
               WHERE i.extension = g.number) FROM extension_groups g \
               WHERE g.merchant_id = $1 AND (g.name = $2 OR g.number = $2) \
               ORDER BY CASE WHEN g.number = $2 THEN 0 ELSE 1 END, g.number";
    let Some(row) = conn.row(sql, args![merchant.0, name]).await? else {
        return Ok(Done::NoGroup);
    };
    let number = row.text(0)?;
    if row.truth(1)? || row.int(2)? > 0 || is_led_to(conn, merchant, &number).await? {
        return Ok(Done::Needed);
    }
    conn.exec("DELETE FROM group_signs WHERE number = $1", args![&number]).await?;
    conn.exec("DELETE FROM extension_groups WHERE number = $1", args![&number]).await?;
    let what = json!({ "group": number, "name": name });
    changed(conn, (once, at), version, (who, "remove_group"), &what).await?;
    Ok(Done::Done)
}

/// The passwords of a merchant's extensions that can be told: those that `biz_regist` handed out and nobody changed. All
/// others are kept as digests.
async fn passwords(conn: &mut Conn, merchant: MerchantId) -> Result<BTreeMap<String, String>> {
    let Some(row) = conn.row("SELECT realm, secret FROM settings", args![]).await? else {
        return Ok(BTreeMap::new());
    };
    let (realm, secret) = (row.text(0)?, row.text(1)?);
    let sql = "SELECT e.number, s.created, e.ha1_md5 FROM extensions e \
               JOIN sub_accounts s ON s.id = e.sub_account_id AND s.name = e.number \
               WHERE e.merchant_id = $1";
    let mut told = BTreeMap::new();
    for row in conn.rows(sql, args![merchant.0]).await? {
        let number = row.text(0)?;
        let password = secrets::derived(&secret, &number, row.int(1)?);
        if secrets::ha1(&number, &realm, &password).0 == row.text(2)? {
            told.insert(number, password);
        }
    }
    Ok(told)
}

impl Store {
    /// Signs an extension in to a group or out of it, for `who` in the audit trail.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sign(&self, once: &Once, who: &str, sign: Sign) -> Result<Done> {
        let (once, who) = (once.clone(), who.to_owned());
        self.write(work!(conn, [once, who, sign] => self::sign(conn, &once, &who, &sign).await?))
            .await
    }

    /// Who has signed in to groups or out of them, by the number of the group.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn signs(&self) -> Result<BTreeMap<String, Vec<Sign>>> {
        self.read(work!(conn, [] => all(conn).await?)).await
    }

    /// Makes a group of a merchant with the next free internal number, which is returned; or why there is none. Whoever is idle for
    /// longest is rung first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_group(
        &self,
        once: &Once,
        at: UnixMillis,
        who: &str,
        (merchant, name, enabled): (MerchantId, &str, bool),
    ) -> Result<std::result::Result<String, Done>> {
        let (once, who) = (once.clone(), who.to_owned());
        let group = Group {
            merchant,
            name: name.to_owned(),
            enabled,
            strategy: Strategy::LongestIdle,
            members: Vec::new(),
            ring_s: RING.0,
            timeout_s: RING.1,
            otherwise: None,
        };
        self.write(work!(conn, [once, who, group] =>
            add(conn, (&once, at), &who, &group).await?))
            .await
    }

    /// Removes a group that a merchant has made, by its name or number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remove_group(
        &self,
        once: &Once,
        at: UnixMillis,
        who: &str,
        (merchant, name): (MerchantId, &str),
    ) -> Result<Done> {
        let (once, who, name) = (once.clone(), who.to_owned(), name.to_owned());
        self.write(work!(conn, [once, who, name] =>
            remove(conn, (&once, at), &who, (merchant, &name)).await?))
            .await
    }

    /// The passwords of a merchant's extensions that can be told: those that `biz_regist` handed out and nobody changed.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn told_passwords(&self, merchant: MerchantId) -> Result<BTreeMap<String, String>> {
        self.read(work!(conn, [] => passwords(conn, merchant).await?)).await
    }
}
