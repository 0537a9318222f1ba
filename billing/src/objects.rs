//! Reading merchants and what they own.

use facts::media::Record;
use facts::settings::{NumberFormat, Transport, Trunk, TrunkCredentials};
use facts::template::Template;
use facts::{Group, MerchantId, SubAccountId, TrunkId, UnixMillis};

use crate::db::{Conn, Row, Value, args};
use crate::error::{Error, Result};
use crate::rows::{
    Company, Extension, GroupRow, Merchant, NumberListRow, PolicyRow, SubAccount, TemplateRow,
    TrunkRow, YtxAccount, YtxApp,
};
use crate::settle::currency;

const MERCHANT: &str = "SELECT m.id, m.name, m.key, m.status, m.currency, m.language, t.name, \
                        m.max_calls, m.calls_per_second, m.max_talk_s, m.caller_id, m.record, \
                        m.allowed_ips, m.hex_case, m.pstn_caller \
                        FROM merchants m LEFT JOIN tariffs t ON t.id = m.tariff_id";

pub(crate) async fn merchant_by_name(conn: &mut Conn, name: &str) -> Result<Option<Merchant>> {
    one(conn, &format!("{MERCHANT} WHERE m.name = $1"), args![name], merchant_of).await
}

pub(crate) async fn merchant(conn: &mut Conn, id: MerchantId) -> Result<Option<Merchant>> {
    one(conn, &format!("{MERCHANT} WHERE m.id = $1"), args![id.0], merchant_of).await
}

pub(crate) async fn merchants(conn: &mut Conn) -> Result<Vec<Merchant>> {
    many(conn, &format!("{MERCHANT} ORDER BY m.id"), args![], merchant_of).await
}

fn merchant_of(row: &Row) -> Result<Merchant> {
    Ok(Merchant {
        id: MerchantId(row.int(0)?),
        name: row.text(1)?,
        key: row.text(2)?,
        status: row.word(3)?,
        currency: currency(&row.text(4)?)?,
        language: row.text(5)?,
        tariff: row.opt_text(6)?,
        max_calls: row.opt_small(7)?,
        calls_per_second: row.opt_small(8)?,
        max_talk_s: row.small(9)?,
        caller_id: row.opt_text(10)?,
        record: Record::of_code(row.int(11)?),
        allowed_ips: row.json(12)?,
        hex_case: row.word(13)?,
        pstn_caller: row.truth(14)?,
    })
}

pub(crate) async fn sub_accounts(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
) -> Result<Vec<SubAccount>> {
    let sql = "SELECT id, merchant_id, name, realname, email, enabled, created FROM sub_accounts \
               WHERE CAST($1 AS BIGINT) IS NULL OR merchant_id = $1 ORDER BY id";
    many(conn, sql, args![merchant.map(|id| id.0)], sub_account_of).await
}

pub(crate) fn sub_account_of(row: &Row) -> Result<SubAccount> {
    Ok(SubAccount {
        id: SubAccountId(row.int(0)?),
        merchant: MerchantId(row.int(1)?),
        name: row.text(2)?,
        realname: row.text(3)?,
        email: row.text(4)?,
        enabled: row.truth(5)?,
        created: row.instant(6)?,
    })
}

const EXTENSION: &str = "SELECT e.number, e.merchant_id, e.sub_account_id, \
                         e.enabled * COALESCE(s.enabled, 1), e.bound_phone, e.reach, e.dtmf \
                         FROM extensions e LEFT JOIN sub_accounts s ON s.id = e.sub_account_id";

pub(crate) async fn extension(conn: &mut Conn, number: &str) -> Result<Option<Extension>> {
    one(conn, &format!("{EXTENSION} WHERE e.number = $1"), args![number], extension_of).await
}

pub(crate) async fn extensions(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
) -> Result<Vec<Extension>> {
    let sql = format!(
        "{EXTENSION} WHERE CAST($1 AS BIGINT) IS NULL OR e.merchant_id = $1 ORDER BY e.number"
    );
    many(conn, &sql, args![merchant.map(|id| id.0)], extension_of).await
}

fn extension_of(row: &Row) -> Result<Extension> {
    Ok(Extension {
        number: row.text(0)?,
        merchant: MerchantId(row.int(1)?),
        sub_account: row.opt_int(2)?.map(SubAccountId),
        enabled: row.truth(3)?,
        bound_phone: row.opt_text(4)?,
        reach: row.json(5)?,
        dtmf: row.opt_word(6)?,
    })
}

/// Groups with their numbers.
pub(crate) async fn groups(conn: &mut Conn) -> Result<Vec<GroupRow>> {
    let sql = "SELECT number, merchant_id, name, enabled, strategy, members, ring_s, timeout_s, \
               otherwise FROM extension_groups ORDER BY number";
    many(conn, sql, args![], group_of).await
}

fn group_of(row: &Row) -> Result<GroupRow> {
    let group = Group {
        merchant: MerchantId(row.int(1)?),
        name: row.text(2)?,
        enabled: row.truth(3)?,
        strategy: row.word(4)?,
        members: row.json(5)?,
        ring_s: row.small(6)?,
        timeout_s: row.small(7)?,
        otherwise: match row.opt_text(8)? {
            Some(_) => Some(row.json(8)?),
            None => None,
        },
    };
    Ok(GroupRow { number: row.text(0)?, group })
}

const TRUNK: &str = "SELECT id, name, enabled, peers, target, transport, domain, auth_user, \
                     auth_password, auth_realm, numbers, codecs, max_calls, calls_per_second, options \
                     FROM trunks ORDER BY id";

/// Trunks with their passwords.
pub(crate) async fn trunks(conn: &mut Conn) -> Result<Vec<TrunkRow>> {
    many(conn, TRUNK, args![], trunk_of).await
}

fn trunk_of(row: &Row) -> Result<TrunkRow> {
    let credentials = match (row.opt_text(7)?, row.opt_text(8)?, row.opt_text(9)?) {
        (Some(user), Some(password), Some(realm)) => {
            Some(TrunkCredentials { user, password, realm })
        }
        _ => None,
    };
    let target = row.text(4)?;
    let mut peers = Vec::new();
    let mut peer_names = Vec::new();
    for peer in row.json::<Vec<String>>(3)? {
        match peer.parse() {
            Ok(net) => peers.push(net),
            Err(_) => peer_names.push(peer),
        }
    }
    let trunk = Trunk {
        name: row.text(1)?,
        enabled: row.truth(2)?,
        peers,
        peer_names,
        target: target
            .parse()
            .map_err(|_| Error::Damaged { table: "trunks", detail: format!("target {target}") })?,
        transport: row.word::<Transport>(5)?,
        domain: row.text(6)?,
        credentials,
        numbers: row.word::<NumberFormat>(10)?,
        codecs: row.json(11)?,
        max_calls: row.opt_small(12)?,
        calls_per_second: row.opt_small(13)?,
        options: row.json(14)?,
    };
    Ok(TrunkRow { id: TrunkId(row.int(0)?), trunk })
}

const YTX_ACCOUNT: &str = "SELECT sid, auth_token, merchant_id, active FROM ytx_accounts";

pub(crate) async fn ytx_account(conn: &mut Conn, sid: &str) -> Result<Option<YtxAccount>> {
    one(conn, &format!("{YTX_ACCOUNT} WHERE sid = $1"), args![sid], ytx_account_of).await
}

pub(crate) async fn ytx_accounts(conn: &mut Conn) -> Result<Vec<YtxAccount>> {
    many(conn, &format!("{YTX_ACCOUNT} ORDER BY sid"), args![], ytx_account_of).await
}

fn ytx_account_of(row: &Row) -> Result<YtxAccount> {
    Ok(YtxAccount {
        sid: row.text(0)?,
        auth_token: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        active: row.truth(3)?,
    })
}

const YTX_APP: &str = "SELECT p.appid, p.sid, a.merchant_id, p.online, p.functions, p.callers, \
                       p.callback, p.cdr_types, p.unknown_as, p.allowed_ips, p.record, p.language, \
                       p.code_state \
                       FROM ytx_apps p JOIN ytx_accounts a ON a.sid = p.sid";

pub(crate) async fn ytx_app(conn: &mut Conn, appid: &str) -> Result<Option<YtxApp>> {
    one(conn, &format!("{YTX_APP} WHERE p.appid = $1"), args![appid], ytx_app_of).await
}

pub(crate) async fn ytx_apps(conn: &mut Conn) -> Result<Vec<YtxApp>> {
    many(conn, &format!("{YTX_APP} ORDER BY p.appid"), args![], ytx_app_of).await
}

fn ytx_app_of(row: &Row) -> Result<YtxApp> {
    Ok(YtxApp {
        appid: row.text(0)?,
        sid: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        online: row.truth(3)?,
        functions: row.json(4)?,
        callers: row.json(5)?,
        callback: row.json(6)?,
        cdr_types: row.word(7)?,
        unknown_as: row.word(8)?,
        allowed_ips: row.json(9)?,
        record: Record::of_code(row.int(10)?),
        language: row.opt_text(11)?,
        code_state: row.truth(12)?,
    })
}

/// A template of a merchant's notices.
pub(crate) async fn template(
    conn: &mut Conn,
    merchant: MerchantId,
    id: &str,
) -> Result<Option<Template>> {
    let sql = "SELECT language, parts, keys FROM templates WHERE merchant_id = $1 AND id = $2";
    one(conn, sql, args![merchant.0, id], |row| {
        Ok(Template { language: row.opt_text(0)?, parts: row.json(1)?, keys: row.small(2)? })
    })
    .await
}

/// Templates of a merchant, or all.
pub(crate) async fn templates(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
) -> Result<Vec<TemplateRow>> {
    let sql = "SELECT id, merchant_id, language, parts, keys FROM templates \
               WHERE CAST($1 AS BIGINT) IS NULL OR merchant_id = $1 ORDER BY merchant_id, id";
    many(conn, sql, args![merchant.map(|id| id.0)], |row| {
        let (language, parts) = (row.opt_text(2)?, row.json(3)?);
        let template = Template { language, parts, keys: row.small(4)? };
        Ok(TemplateRow { id: row.text(0)?, merchant: MerchantId(row.int(1)?), template })
    })
    .await
}

/// Lists of numbers. The numbers of one are lines of a text, and are counted where they are.
pub(crate) async fn number_lists(conn: &mut Conn) -> Result<Vec<NumberListRow>> {
    let sql = "SELECT name, CAST(CASE WHEN numbers = '' THEN 0 \
               ELSE length(numbers) - length(replace(numbers, CAST($1 AS TEXT), '')) + 1 END AS BIGINT), \
               prefixes, patterns FROM number_lists ORDER BY name";
    many(conn, sql, args!["\n"], |row| {
        Ok(NumberListRow {
            name: row.text(0)?,
            numbers: row.small(1)?,
            prefixes: row.json(2)?,
            patterns: row.json(3)?,
        })
    })
    .await
}

pub(crate) async fn policies(conn: &mut Conn) -> Result<Vec<PolicyRow>> {
    let sql = "SELECT name, enabled, rule FROM policies ORDER BY name";
    many(conn, sql, args![], |row| {
        Ok(PolicyRow { name: row.text(0)?, enabled: row.truth(1)?, rule: row.json(2)? })
    })
    .await
}

const COMPANY: &str = "SELECT companycode, appid, accesskey, merchant_id, cdr_url, state_url, active, \
                       name, language, allowed_ips, expires, modules, callers, record, \
                       dedupe_customuuid, cdr_version, state_method FROM companies";

pub(crate) async fn company(conn: &mut Conn, companycode: &str) -> Result<Option<Company>> {
    one(conn, &format!("{COMPANY} WHERE companycode = $1"), args![companycode], company_of).await
}

/// Two companies may have one `appid`; their keys tell them apart.
pub(crate) async fn companies_of(conn: &mut Conn, appid: &str) -> Result<Vec<Company>> {
    let sql = format!("{COMPANY} WHERE appid = $1 ORDER BY companycode");
    many(conn, &sql, args![appid], company_of).await
}

pub(crate) async fn companies(conn: &mut Conn) -> Result<Vec<Company>> {
    many(conn, &format!("{COMPANY} ORDER BY companycode"), args![], company_of).await
}

fn company_of(row: &Row) -> Result<Company> {
    Ok(Company {
        companycode: row.text(0)?,
        appid: row.text(1)?,
        accesskey: row.text(2)?,
        merchant: MerchantId(row.int(3)?),
        cdr_url: row.opt_text(4)?,
        state_url: row.opt_text(5)?,
        active: row.truth(6)?,
        name: row.text(7)?,
        language: row.opt_text(8)?,
        allowed_ips: row.json(9)?,
        expires: row.opt_int(10)?.map(UnixMillis),
        modules: row.json(11)?,
        callers: row.json(12)?,
        record: Record::of_code(row.int(13)?),
        dedupe_customuuid: row.truth(14)?,
        cdr_version: row.word(15)?,
        state_method: row.word(16)?,
    })
}

async fn one<T>(
    conn: &mut Conn,
    sql: &str,
    args: Vec<Value>,
    read: fn(&Row) -> Result<T>,
) -> Result<Option<T>> {
    conn.row(sql, args).await?.as_ref().map(read).transpose()
}

async fn many<T>(
    conn: &mut Conn,
    sql: &str,
    args: Vec<Value>,
    read: fn(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    conn.rows(sql, args).await?.iter().map(read).collect()
}
