//! The ledger read and proved: balances, lines, and the audit.

use facts::ledger::Balance;
use facts::{LegNo, MerchantId};

use crate::db::{Conn, args};
use crate::error::{Error, Result};
use crate::payments;
use crate::rows::{Audit, LedgerLine};
use crate::settle::currency;

/// Lines of an export page at most.
const PAGE_MAX: u32 = 10_000;

pub(crate) async fn balance(conn: &mut Conn, merchant: MerchantId) -> Result<Balance> {
    let sql = "SELECT posted, held, currency, credit FROM accounts WHERE merchant_id = $1";
    let row = conn.row(sql, args![merchant.0]).await?.ok_or(Error::Missing("merchant"))?;
    Ok(Balance {
        merchant,
        posted: row.micros(0)?,
        held: row.micros(1)?,
        currency: currency(&row.text(2)?)?,
        credit: row.micros(3)?,
    })
}

pub(crate) async fn lines(
    conn: &mut Conn,
    merchant: Option<MerchantId>,
    (after, last): (i64, i64),
    limit: u32,
) -> Result<Vec<LedgerLine>> {
    let rows = conn
        .rows(
            "SELECT e.id, t.id, t.kind, a.name, a.merchant_id, e.amount, a.currency, t.call_id, \
             t.leg_no, t.at, t.note \
             FROM entries e JOIN transfers t ON t.id = e.transfer_id \
             JOIN accounts a ON a.id = e.account_id \
             WHERE e.id > $1 AND e.id <= $4 AND (CAST($2 AS BIGINT) IS NULL OR a.merchant_id = $2) \
             ORDER BY e.id LIMIT $3",
            args![after, merchant.map(|id| id.0), limit.min(PAGE_MAX), last],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let call = row.opt_int(7)?.map(|_| row.call(7)).transpose()?;
            Ok(LedgerLine {
                id: row.int(0)?,
                transfer: row.text(1)?,
                kind: row.text(2)?,
                account: row.text(3)?,
                merchant: row.opt_int(4)?.map(MerchantId),
                amount: row.micros(5)?,
                currency: currency(&row.text(6)?)?,
                call,
                leg: row.opt_small(8)?.map(LegNo),
                at: row.instant(9)?,
                note: row.text(10)?,
            })
        })
        .collect()
}

/// Each rule of the books, as a query that finds what breaks it: a name and a figure.
const RULES: &[(&str, &str)] = &[
    (
        "entries of a transfer do not sum to zero",
        "SELECT transfer_id, CAST(SUM(amount) AS BIGINT) FROM entries \
         GROUP BY transfer_id HAVING SUM(amount) <> 0",
    ),
    (
        "a transfer mixes currencies or has fewer than two entries",
        "SELECT t.id, COUNT(e.id) FROM transfers t LEFT JOIN entries e ON e.transfer_id = t.id \
         LEFT JOIN accounts a ON a.id = e.account_id \
         GROUP BY t.id HAVING COUNT(e.id) < 2 OR COUNT(DISTINCT a.currency) <> 1",
    ),
    (
        "an entry has no account or no transfer",
        "SELECT e.transfer_id, e.id FROM entries e LEFT JOIN accounts a ON a.id = e.account_id \
         LEFT JOIN transfers t ON t.id = e.transfer_id WHERE a.id IS NULL OR t.id IS NULL",
    ),
    (
        "a hold has no account, or a call no merchant",
        "SELECT CAST(h.call_id AS TEXT), h.amount FROM holds h \
         LEFT JOIN accounts a ON a.id = h.account_id WHERE a.id IS NULL \
         UNION ALL SELECT CAST(c.id AS TEXT), c.merchant_id FROM calls c \
         LEFT JOIN merchants m ON m.id = c.merchant_id WHERE m.id IS NULL",
    ),
    (
        "a balance is not the sum of its entries",
        "SELECT a.name, CAST(a.posted - COALESCE(SUM(e.amount), 0) AS BIGINT) \
         FROM accounts a LEFT JOIN entries e ON e.account_id = a.id WHERE a.kind = 'prepaid' \
         GROUP BY a.id, a.name, a.posted HAVING a.posted <> COALESCE(SUM(e.amount), 0)",
    ),
    (
        "what is held is not the sum of the open holds",
        "SELECT a.name, CAST(a.held - COALESCE(SUM(h.amount), 0) AS BIGINT) FROM accounts a \
         LEFT JOIN holds h ON h.account_id = a.id AND h.resolved IS NULL \
         GROUP BY a.id, a.name, a.held HAVING a.held <> COALESCE(SUM(h.amount), 0)",
    ),
    (
        "an account is overdrawn",
        "SELECT name, posted - held + credit FROM accounts WHERE posted - held + credit < 0",
    ),
    (
        "a hold is open and its call is not",
        "SELECT CAST(h.call_id AS TEXT), h.amount FROM holds h \
         LEFT JOIN calls c ON c.id = h.call_id AND c.state = 'open' \
         WHERE h.resolved IS NULL AND c.id IS NULL",
    ),
    (
        "a hold is resolved and its call is open",
        "SELECT CAST(h.call_id AS TEXT), h.amount FROM holds h \
         JOIN calls c ON c.id = h.call_id AND c.state = 'open' WHERE h.resolved IS NOT NULL",
    ),
    (
        "a CDR is not what the ledger took for the leg",
        "SELECT CAST(d.call_id AS TEXT), CAST(d.price + COALESCE(x.taken, 0) AS BIGINT) \
         FROM cdrs d LEFT JOIN ( \
           SELECT t.call_id, t.leg_no, a.merchant_id, SUM(e.amount) AS taken FROM transfers t \
           JOIN entries e ON e.transfer_id = t.id \
           JOIN accounts a ON a.id = e.account_id AND a.kind = 'prepaid' \
           WHERE t.kind = 'charge' GROUP BY t.call_id, t.leg_no, a.merchant_id \
         ) x ON x.call_id = d.call_id AND x.leg_no = d.leg_no AND x.merchant_id = d.merchant_id \
         WHERE d.price + COALESCE(x.taken, 0) <> 0",
    ),
    (
        "a charge has no CDR",
        "SELECT t.id, 0 FROM transfers t LEFT JOIN cdrs d \
           ON d.call_id = t.call_id AND d.leg_no = t.leg_no \
         WHERE t.kind = 'charge' AND d.id IS NULL",
    ),
    (
        "a CDR is not what was posted of the leg's holds",
        "SELECT CAST(d.call_id AS TEXT), CAST(d.price - COALESCE(SUM(h.posted), 0) AS BIGINT) \
         FROM cdrs d LEFT JOIN holds h ON h.call_id = d.call_id AND h.leg_no = d.leg_no \
         GROUP BY d.id, d.call_id, d.price HAVING d.price <> COALESCE(SUM(h.posted), 0)",
    ),
    (
        "the price of a menu's session is not what the ledger took for it",
        "SELECT CAST(s.id AS TEXT), CAST(s.price + COALESCE(x.taken, 0) AS BIGINT) \
         FROM ussd_sessions s LEFT JOIN ( \
           SELECT t.call_id, a.merchant_id, SUM(e.amount) AS taken FROM transfers t \
           JOIN entries e ON e.transfer_id = t.id \
           JOIN accounts a ON a.id = e.account_id AND a.kind = 'prepaid' \
           WHERE t.kind IN ('menu', 'menu_back') GROUP BY t.call_id, a.merchant_id \
         ) x ON x.call_id = s.id AND x.merchant_id = s.merchant_id \
         WHERE s.price + COALESCE(x.taken, 0) <> 0 \
         UNION ALL SELECT t.id, 0 FROM transfers t LEFT JOIN ussd_sessions s ON s.id = t.call_id \
         WHERE t.kind IN ('menu', 'menu_back') AND s.id IS NULL",
    ),
    (
        "a call is settled without a record, or open with one",
        "SELECT CAST(c.id AS TEXT), COUNT(r.id) FROM calls c LEFT JOIN records r ON r.call_id = c.id \
         GROUP BY c.id, c.state \
         HAVING COUNT(r.id) <> CASE WHEN c.state = 'settled' THEN 1 ELSE 0 END",
    ),
];

/// Findings named per rule at most.
const FINDINGS_MAX: usize = 20;

pub(crate) async fn audit(conn: &mut Conn) -> Result<Audit> {
    let mut audit = Audit::default();
    for (rule, sql) in RULES.iter().chain(payments::RULES) {
        let rows = conn.rows(&format!("{sql} LIMIT {FINDINGS_MAX}"), args![]).await?;
        for row in rows {
            audit.findings.push(format!("{rule}: {} ({})", row.text(0)?, row.int(1)?));
        }
    }
    let counts = conn
        .row(
            "SELECT (SELECT COUNT(*) FROM holds WHERE resolved IS NULL), \
             (SELECT COUNT(*) FROM calls WHERE state = 'open')",
            args![],
        )
        .await?;
    if let Some(row) = counts {
        audit.open_holds = row.small(0)?;
        audit.open_calls = row.small(1)?;
    }
    Ok(audit)
}
