//! What was paid, for those who ask: the merchant's programs, the merchant, the operator. And with whom.

use facts::{MerchantId, UnixMillis};

use super::{Gateway, INVOICE, Invoice, InvoiceState, Owner, SmsGateway, invoice_of};
use crate::db::{Conn, Row, Value, args, word, work};
use crate::error::Result;
use crate::store::Store;

/// Rows of a list at most.
const LIST_MAX: u32 = 1000;

/// What `GetPayments` asks for (merchant API §5.4). What is `None` is not looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Of these codes, as `*6655*123#`; of all when there are none.
    pub codes: Vec<String>,
    /// Also of what was not paid.
    pub all: bool,
    /// Also of what the merchant has tried out.
    pub trials: bool,
    /// Closed at this instant or later.
    pub from: Option<UnixMillis>,
    /// Closed before this instant.
    pub before: Option<UnixMillis>,
    /// Of this session, as the page was told it.
    pub session: Option<i64>,
    /// Rials at least.
    pub rials_from: Option<u64>,
    /// Rials at most.
    pub rials_to: Option<u64>,
    /// Of this subscriber, as the page was told him.
    pub mobile: Option<String>,
    /// With this reference of the gateway.
    pub reference: Option<String>,
    /// Ours.
    pub invoice: Option<i64>,
    /// The merchant's.
    pub factor: Option<String>,
    /// With this tracking number.
    pub rrn: Option<String>,
}

/// A list of invoices: whose, how they stand, behind which.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InvoicesAsked {
    /// Of this merchant.
    pub merchant: Option<MerchantId>,
    /// In this state.
    pub state: Option<InvoiceState>,
    /// Those alone of which a gateway said something that does not fit.
    pub odd: bool,
    /// With a higher id.
    pub after: i64,
    /// Rows at most.
    pub limit: u32,
}

/// The statement that finds them, and its parameters.
fn written(merchant: MerchantId, asked: &Asked, most: u32) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = args![merchant.0];
    let mut sql = format!("{INVOICE} WHERE i.merchant_id = $1 AND i.state ");
    sql += if asked.all { "<> 'open'" } else { "= 'paid'" };
    if !asked.trials {
        sql += " AND i.trial = 0";
    }
    let mut and = |what: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            sql += &format!(" AND i.{what} ${}", values.len());
        }
    };
    and("closed >=", asked.from.map(Value::from));
    and("closed <", asked.before.map(Value::from));
    and("session =", asked.session.map(Value::from));
    and("rials >=", asked.rials_from.map(Value::from));
    and("rials <=", asked.rials_to.map(Value::from));
    and("mobile =", asked.mobile.as_ref().map(Value::from));
    and("reference =", asked.reference.as_ref().map(Value::from));
    and("id =", asked.invoice.map(Value::from));
    and("factor =", asked.factor.as_ref().map(Value::from));
    and("rrn =", asked.rrn.as_ref().map(Value::from));
    let mut places = Vec::with_capacity(asked.codes.len());
    for code in &asked.codes {
        values.push(code.into());
        places.push(format!("${}", values.len()));
    }
    if !places.is_empty() {
        sql += &format!(" AND i.code IN ({})", places.join(", "));
    }
    values.push(most.into());
    sql += &format!(" ORDER BY i.id DESC LIMIT ${}", values.len());
    (sql, values)
}

/// The latest of those that fit, in the order in which they were made.
async fn payments(
    conn: &mut Conn,
    merchant: MerchantId,
    asked: &Asked,
    most: u32,
) -> Result<Vec<Invoice>> {
    let (sql, values) = written(merchant, asked, most);
    let mut found: Vec<Invoice> =
        conn.rows(&sql, values).await?.iter().map(invoice_of).collect::<Result<_>>()?;
    found.reverse();
    Ok(found)
}

fn owner_of(row: &Row) -> Result<Owner> {
    Ok(Owner {
        username: row.text(0)?,
        password: row.text(1)?,
        merchant: MerchantId(row.int(2)?),
        strict: row.truth(3)?,
        active: row.truth(4)?,
    })
}

fn gateway_of(row: &Row) -> Result<Gateway> {
    Ok(Gateway {
        name: row.text(0)?,
        kind: row.word(1)?,
        title: row.text(2)?,
        enabled: row.truth(3)?,
        account: row.text(4)?,
        secret: row.text(5)?,
        hook_secret: row.text(6)?,
        currency: row.text(7)?,
        rials_per_unit: row.small(8)?,
        url: row.text(9)?,
    })
}

/// Codes of a merchant. Of his invoices one of each code is looked at, and no other.
const CODES: &str = "WITH RECURSIVE paid (code) AS ( \
     SELECT MIN(i.code) FROM ussd_invoices i WHERE i.merchant_id = $1 \
     UNION ALL \
     SELECT (SELECT MIN(i.code) FROM ussd_invoices i WHERE i.merchant_id = $1 AND i.code > paid.code) \
     FROM paid WHERE paid.code IS NOT NULL) \
     SELECT code FROM paid WHERE code IS NOT NULL \
     UNION SELECT code FROM ussd_codes WHERE merchant_id = $1 ORDER BY 1";

const GATEWAY: &str = "SELECT name, kind, title, enabled, account, secret, hook_secret, currency, \
                       rials_per_unit, url FROM payment_gateways";

/// A gateway, which nobody changes before the end of this transaction.
pub(super) async fn gateway(conn: &mut Conn, name: &str) -> Result<Option<Gateway>> {
    let lock = if conn.is_pg() { " FOR SHARE" } else { "" };
    let sql = format!("{GATEWAY} WHERE name = $1{lock}");
    conn.row(&sql, args![name]).await?.as_ref().map(gateway_of).transpose()
}

/// All gateways, which nobody else changes, and at which nobody begins a way, before the end of this transaction.
pub(crate) async fn gateways_to_change(conn: &mut Conn) -> Result<Vec<Gateway>> {
    let sql = format!("{GATEWAY} ORDER BY name{}", conn.lock("payment_gateways"));
    conn.rows(&sql, args![]).await?.iter().map(gateway_of).collect()
}

const OWNER: &str = "SELECT username, password, merchant_id, strict, active FROM ussd_owners";

/// A list that is kept a line each.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

impl Store {
    /// What `GetPayments` tells a merchant: the latest of those that fit, so many at most, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn payments(
        &self,
        merchant: MerchantId,
        asked: Asked,
        most: u32,
    ) -> Result<Vec<Invoice>> {
        self.read(work!(conn, [asked] => payments(conn, merchant, &asked, most).await?)).await
    }

    /// Invoices by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn invoices(&self, asked: InvoicesAsked) -> Result<Vec<Invoice>> {
        let odd = if asked.odd {
            " AND i.id IN (SELECT a.invoice_id FROM ussd_attempts a WHERE a.state = 'odd')"
        } else {
            ""
        };
        let sql = format!(
            "{INVOICE} WHERE i.id > $1 AND (CAST($2 AS BIGINT) IS NULL OR i.merchant_id = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR i.state = $3) AND i.id <= $5{odd} ORDER BY i.id LIMIT $4"
        );
        let last = self.settled("ussd_invoices").await?;
        let state = asked.state.map(|state| word(&state)).transpose()?;
        let merchant = asked.merchant.map(|id| id.0);
        self.read(work!(conn, [sql, state] => {
            let limit = asked.limit.min(LIST_MAX);
            let args = args![asked.after, merchant, state.as_deref(), limit, last];
            let rows = conn.rows(&sql, args).await?;
            rows.iter().map(invoice_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Codes that are a merchant's, and those by which it was paid, as `*6655*123#`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn paying_codes(&self, merchant: MerchantId) -> Result<Vec<String>> {
        self.read(work!(conn, [] => {
            let rows = conn.rows(CODES, args![merchant.0]).await?;
            rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Who may ask what was paid, by login name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ussd_owner(&self, username: &str) -> Result<Option<Owner>> {
        let (sql, username) = (format!("{OWNER} WHERE username = $1"), username.to_owned());
        self.read(work!(conn, [sql, username] => {
            let row = conn.row(&sql, args![username.as_str()]).await?;
            row.as_ref().map(owner_of).transpose()?
        }))
        .await
    }

    /// All who may.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ussd_owners(&self) -> Result<Vec<Owner>> {
        let sql = format!("{OWNER} ORDER BY username");
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![]).await?;
            rows.iter().map(owner_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Where invoices are paid, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn payment_gateways(&self) -> Result<Vec<Gateway>> {
        let sql = format!("{GATEWAY} ORDER BY name");
        self.read(work!(conn, [sql] => {
            let rows = conn.rows(&sql, args![]).await?;
            rows.iter().map(gateway_of).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// By which short messages leave, if by any.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_gateway(&self) -> Result<Option<SmsGateway>> {
        let sql = "SELECT url, sender, headers, body, accept, ways, reference, bad_words FROM sms_gateways \
                   WHERE enabled = 1 ORDER BY name";
        self.read(work!(conn, [] => {
            let row = conn.row(sql, args![]).await?;
            row.map(|row| -> Result<SmsGateway> {
                Ok(SmsGateway {
                    url: row.text(0)?,
                    sender: row.text(1)?,
                    headers: row.text(2)?,
                    body: row.text(3)?,
                    accept: row.text(4)?,
                    ways: lines(&row.text(5)?),
                    reference: row.text(6)?,
                    bad_words: lines(&row.text(7)?),
                })
            })
            .transpose()?
        }))
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::StoreConfig;

    /// How SQLite finds the rows of a statement.
    async fn plan(store: &Store, sql: &str, values: Vec<Value>) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let steps: Vec<String> = store
            .read(work!(conn, [sql, values] => {
                let rows = conn.rows(&sql, (*values).clone()).await?;
                rows.iter().map(|row| row.text(3)).collect::<Result<Vec<_>>>()?
            }))
            .await
            .unwrap();
        steps.join("\n")
    }

    #[tokio::test]
    async fn s5_4_no_filter_reads_all_invoices_of_a_merchant() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/plan.db", folder.path().display());
        let store = Store::open(&url, StoreConfig::default()).await.unwrap();
        store.migrate().await.unwrap();
        let none = Asked::default;
        let text = || Some("7".to_owned());
        for all in [false, true] {
            for (asked, found) in [
                (Asked { session: Some(7), ..none() }, "by_session (merchant_id=? AND session=?)"),
                (Asked { factor: text(), ..none() }, "by_factor (merchant_id=? AND factor=?)"),
                (Asked { rrn: text(), ..none() }, "by_rrn (merchant_id=? AND rrn=?)"),
                (
                    Asked { reference: text(), ..none() },
                    "by_reference (merchant_id=? AND reference=?)",
                ),
                (Asked { mobile: text(), ..none() }, "by_mobile (merchant_id=? AND mobile=?)"),
                (Asked { invoice: Some(7), ..none() }, "PRIMARY KEY (rowid=?)"),
                (
                    Asked { codes: vec!["*1#".into()], ..none() },
                    "by_code (merchant_id=? AND code=?)",
                ),
                (Asked { rials_from: Some(7), rials_to: Some(7), ..none() }, "by_rials"),
                (
                    Asked { from: Some(UnixMillis(1)), before: Some(UnixMillis(2)), ..none() },
                    "by_closed",
                ),
                // As programs ask who verify what a page was told.
                (
                    Asked { session: Some(7), factor: text(), rrn: text(), ..none() },
                    "merchant_id=? AND",
                ),
            ] {
                let (sql, values) = written(MerchantId(1), &Asked { all, ..asked }, 1000);
                let plan = plan(&store, &sql, values).await;
                assert!(plan.contains(found) && !plan.contains("SCAN"), "{found}:\n{plan}");
            }
        }
        // Of all that was paid the latest come first, and no more than are told are read.
        let (sql, values) = written(MerchantId(1), &none(), 1000);
        let latest = plan(&store, &sql, values).await;
        assert!(latest.contains("ussd_invoices_paid (merchant_id=?)"), "{latest}");
        assert!(!latest.contains("TEMP B-TREE"), "{latest}");
        let codes = plan(&store, CODES, args![1_i64]).await;
        assert!(codes.contains("by_code (merchant_id=? AND code>?)"), "{codes}");
        assert!(!codes.contains("SCAN i"), "{codes}");
        store.close().await;
    }
}
