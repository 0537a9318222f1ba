//! Everything the engine reads, as one value of one version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use facts::capacity::Holder;
use facts::fraud::Scope;
use facts::media::Record;
use facts::policy::{NumberList, Policy, Rule};
use facts::settings::{Extension, Merchant, Recorded, Route, Snapshot};
use facts::{Currency, MerchantId, Micros, NumberPlan, Reach, SubAccountId, TrunkId, Zone};

use crate::db::{Conn, Row, args};
use crate::error::{Error, Result};
use crate::rows::MerchantStatus;
use crate::{menus, objects, signs, sms};

pub(crate) async fn version(conn: &mut Conn) -> Result<u64> {
    let row = conn.row("SELECT version FROM settings", args![]).await?;
    row.ok_or(Error::Missing("settings"))?.small(0)
}

/// Reads the snapshot; the caller sees to it that all statements see one state.
pub(crate) async fn snapshot(conn: &mut Conn, lists: &Lists) -> Result<Snapshot> {
    let sql = "SELECT version, realm, country, trunk_prefix, international_prefix, short_max, \
               time_zone FROM settings";
    let row = conn.row(sql, args![]).await?.ok_or(Error::Missing("settings"))?;
    let mut snapshot = Snapshot {
        version: row.small(0)?,
        realm: row.text(1)?,
        plan: NumberPlan {
            country: row.text(2)?,
            trunk_prefix: row.text(3)?,
            international_prefix: row.text(4)?,
            short_max: row.small(5)?,
        },
        zone: Zone::named(&row.text(6)?)
            .map_err(|error| Error::Damaged { table: "settings", detail: error.to_string() })?,
        ..Snapshot::default()
    };
    for merchant in objects::merchants(conn).await? {
        if merchant.currency == Currency::XTS {
            snapshot.sandboxes.insert(merchant.id);
        }
        let value = Merchant {
            name: merchant.name,
            enabled: merchant.status == MerchantStatus::Approved,
            max_calls: merchant.max_calls,
            calls_per_second: merchant.calls_per_second,
            max_talk: Duration::from_secs(merchant.max_talk_s.into()),
            language: merchant.language,
            shown: merchant.caller_id,
        };
        snapshot.merchants.insert(merchant.id, value);
    }
    snapshot.extensions = extensions(conn).await?;
    let mut groups = objects::groups(conn).await?;
    signs::merge(conn, &mut groups).await?;
    snapshot.groups = groups.into_iter().map(|row| (row.number, row.group)).collect();
    snapshot.trunks =
        objects::trunks(conn).await?.into_iter().map(|row| (row.id, row.trunk)).collect();
    let sql = "SELECT prefix, trunk_id, priority, weight, cost, hours FROM routes ORDER BY 1, 3, 2";
    for row in conn.rows(sql, args![]).await? {
        snapshot.routes.push(Route {
            prefix: row.text(0)?,
            trunk: TrunkId(row.int(1)?),
            priority: row.small(2)?,
            weight: row.small(3)?,
            cost: row.opt_int(4)?.map(Micros),
            hours: row.json(5)?,
        });
    }
    guarded(conn, &mut snapshot).await?;
    for row in conn.rows("SELECT number, extension, axb FROM inbound", args![]).await? {
        if row.truth(2)? {
            snapshot.axb.insert(row.text(0)?);
        }
        snapshot.inbound.insert(row.text(0)?, row.text(1)?);
    }
    snapshot.index();
    limited(conn, &mut snapshot).await?;
    recorded(conn, &mut snapshot).await?;
    snapshot.policies = policies(conn, lists).await?;
    snapshot.ussd = menus::codes(conn).await?;
    snapshot.texts = sms::numbers(conn).await?;
    Ok(snapshot)
}

/// Lists of numbers, each read when it is new or has changed: they are long, and most changes of the settings are none
/// of theirs. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
}

/// A list and the revision it is of.
type Kept = (String, Arc<NumberList>);

impl Lists {
    async fn read(&self, conn: &mut Conn) -> Result<BTreeMap<String, Arc<NumberList>>> {
        let mut now = BTreeMap::new();
        for row in conn.rows("SELECT name, revision FROM number_lists", args![]).await? {
            let (name, revision) = (row.text(0)?, row.text(1)?);
            let known = {
                let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.get(&name).filter(|(at, _)| *at == revision && !revision.is_empty()).cloned()
            };
            let kept = match known {
                Some(known) => known,
                None => (revision, Arc::new(list(conn, &name).await?)),
            };
            now.insert(name, kept);
        }
        let lists = now.iter().map(|(name, (_, list))| (name.clone(), Arc::clone(list))).collect();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(lists)
    }
}

async fn list(conn: &mut Conn, name: &str) -> Result<NumberList> {
    let sql = "SELECT numbers, prefixes, patterns FROM number_lists WHERE name = $1";
    let row = conn.row(sql, args![name]).await?.ok_or(Error::Missing("number list"))?;
    Ok(NumberList::new(row.text(0)?.lines(), row.json(1)?, row.json(2)?))
}

/// Policies that are in force, with the lists that they name.
async fn policies(conn: &mut Conn, lists: &Lists) -> Result<Vec<Policy>> {
    let sql = "SELECT id, name, rule FROM policies WHERE enabled = 1 ORDER BY name";
    let rows = conn.rows(sql, args![]).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lists = lists.read(conn).await?;
    let named = |names: &[String]| -> Result<Vec<Arc<NumberList>>> {
        let list = |name: &String| lists.get(name).cloned().ok_or(Error::Missing("number list"));
        names.iter().map(list).collect()
    };
    let mut policies = Vec::with_capacity(rows.len());
    for row in &rows {
        let rule: Rule = row.json(2)?;
        let zone = rule.time_zone.as_deref().map(Zone::named).transpose();
        let zone =
            zone.map_err(|error| Error::Damaged { table: "policies", detail: error.to_string() })?;
        policies.push(Policy {
            id: row.int(0)?,
            name: row.text(1)?,
            zone,
            block: named(&rule.block)?,
            only: named(&rule.only)?,
            except: named(&rule.except)?,
            rule,
        });
    }
    Ok(policies)
}

/// Whose calls are recorded.
async fn recorded(conn: &mut Conn, snapshot: &mut Snapshot) -> Result<()> {
    let all = &mut snapshot.recorded;
    let sql = "SELECT number, record FROM extensions WHERE record <> 0 \
               UNION ALL SELECT number, record FROM extension_groups WHERE record <> 0";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Recorded::Internal(row.text(0)?), Record::of_code(row.int(1)?));
    }
    let sql = "SELECT number, record FROM inbound WHERE record <> 0";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Recorded::Inbound(row.text(0)?), Record::of_code(row.int(1)?));
    }
    Ok(())
}

/// How many calls they may have who are limited so.
async fn limited(conn: &mut Conn, snapshot: &mut Snapshot) -> Result<()> {
    let all = &mut snapshot.capacity;
    let sql = "SELECT id, capacity FROM merchants WHERE capacity <> '{}'";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Holder::Of(Scope::Merchant(MerchantId(row.int(0)?))), row.json(1)?);
    }
    let sql = "SELECT id, capacity FROM sub_accounts WHERE capacity <> '{}'";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Holder::Of(Scope::SubAccount(SubAccountId(row.int(0)?))), row.json(1)?);
    }
    let sql = "SELECT number, capacity FROM extensions WHERE capacity <> '{}'";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Holder::Of(Scope::Extension(row.text(0)?)), row.json(1)?);
    }
    let sql = "SELECT number, capacity FROM inbound WHERE capacity <> '{}'";
    for row in conn.rows(sql, args![]).await? {
        all.insert(Holder::Number(row.text(0)?), row.json(1)?);
    }
    Ok(())
}

/// Limits against toll fraud, and pools of numbers, of those who have any.
async fn guarded(conn: &mut Conn, snapshot: &mut Snapshot) -> Result<()> {
    let sql = "SELECT id, fraud, pool FROM merchants WHERE fraud <> '{}' OR pool <> ''";
    for row in conn.rows(sql, args![]).await? {
        let id = MerchantId(row.int(0)?);
        if row.text(1)? != "{}" {
            snapshot.fraud.insert(Scope::Merchant(id), row.json(1)?);
        }
        if !row.text(2)?.is_empty() {
            snapshot.pools.insert(id, row.json(2)?);
        }
    }
    for row in conn.rows("SELECT id, fraud FROM sub_accounts WHERE fraud <> '{}'", args![]).await? {
        snapshot.fraud.insert(Scope::SubAccount(SubAccountId(row.int(0)?)), row.json(1)?);
    }
    let sql = "SELECT number, fraud FROM extensions WHERE fraud <> '{}'";
    for row in conn.rows(sql, args![]).await? {
        snapshot.fraud.insert(Scope::Extension(row.text(0)?), row.json(1)?);
    }
    Ok(())
}

/// The wishes of an extension; most have none.
fn reach(row: &Row) -> Result<Reach> {
    match row.text(8)?.as_str() {
        "{}" => Ok(Reach::default()),
        _ => row.json(8),
    }
}

/// Extensions read at one time: a row takes several times what is kept of it.
const PAGE: i64 = 2_000;

async fn extensions(conn: &mut Conn) -> Result<BTreeMap<String, Extension>> {
    let mut extensions = BTreeMap::new();
    let mut after = String::new();
    loop {
        // Numbers are not empty, so all come after the empty one.
        let rows = conn
            .rows(
                "SELECT e.number, e.merchant_id, e.sub_account_id, \
                 e.enabled * COALESCE(s.enabled, 1), \
                 e.ha1_md5, e.ha1_sha256, e.bound_phone, e.max_contacts, e.reach, e.dtmf \
                 FROM extensions e LEFT JOIN sub_accounts s ON s.id = e.sub_account_id \
                 WHERE e.number > $1 ORDER BY e.number LIMIT $2",
                args![&after, PAGE],
            )
            .await?;
        for row in &rows {
            after = row.text(0)?;
            let extension = Extension {
                merchant: MerchantId(row.int(1)?),
                sub_account: row.opt_int(2)?.map(SubAccountId),
                enabled: row.truth(3)?,
                ha1_md5: row.text(4)?,
                ha1_sha256: row.text(5)?,
                bound_phone: row.opt_text(6)?,
                max_contacts: row.small(7)?,
                reach: reach(row)?,
                dtmf: row.opt_word(9)?,
            };
            extensions.insert(after.clone(), extension);
        }
        if rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            return Ok(extensions);
        }
    }
}
