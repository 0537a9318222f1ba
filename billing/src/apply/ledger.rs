//! What the file does to the books: opening accounts, credit lines, top-ups.

use facts::Micros;

use super::Run;
use super::sync::amount;
use crate::db::args;
use crate::desired::{Act, Change, Merchant};
use crate::error::Result;

impl Run<'_> {
    /// Opens a merchant's account, and those of its currency, and sets the credit line. Returns what changed.
    pub(super) async fn account(
        &mut self,
        path: &str,
        id: i64,
        merchant: &Merchant,
        credit: Micros,
    ) -> Result<Option<String>> {
        for kind in ["revenue", "cash"] {
            self.conn
                .exec(
                    "INSERT INTO accounts (name, kind, currency, credit) VALUES ($1, $2, $3, 0) \
                     ON CONFLICT (name) DO NOTHING",
                    args![format!("{kind}:{}", merchant.currency), kind, &merchant.currency],
                )
                .await?;
        }
        let lock = self.conn.lock("accounts");
        let sql =
            format!("SELECT credit, posted - held + $2 FROM accounts WHERE merchant_id = $1{lock}");
        let Some(row) = self.conn.row(&sql, args![id, credit]).await? else {
            self.conn
                .exec(
                    "INSERT INTO accounts (name, kind, merchant_id, currency, credit) \
                     VALUES ($1, 'prepaid', $2, $3, $4)",
                    args![format!("merchant:{id}"), id, &merchant.currency, credit],
                )
                .await?;
            return Ok(None);
        };
        let before = row.micros(0)?;
        if before == credit {
            return Ok(None);
        }
        if row.int(1)? < 0 {
            self.check.wrong(format!("{path}.credit"), "the balance is already further below zero");
            return Ok(None);
        }
        let sql = "UPDATE accounts SET credit = $2 WHERE merchant_id = $1";
        self.conn.exec(sql, args![id, credit]).await?;
        Ok(Some(format!("credit: {} → {}", amount(before), amount(credit))))
    }

    /// Books each top-up once: from cash to the merchant.
    pub(super) async fn top_ups(&mut self) -> Result<()> {
        let desired = self.desired;
        for (i, top_up) in desired.top_ups.iter().enumerate() {
            let path = format!("top_ups[{i}]");
            let merchants = std::mem::take(&mut self.merchants);
            let merchant = self.check.find(
                &format!("{path}.merchant"),
                "merchants",
                &top_up.merchant,
                &merchants,
            );
            self.merchants = merchants;
            let value = self.check.amount(&format!("{path}.amount"), &top_up.amount);
            if value == Some(Micros::ZERO) {
                self.check.wrong(format!("{path}.amount"), "nothing to book");
                continue;
            }
            let (Some(merchant), Some(value)) = (merchant, value) else { continue };
            let act = self.top_up(&path, merchant, value, top_up).await?;
            let name = format!("{} for {}", top_up.id, top_up.merchant);
            let fields = match act {
                Act::Created => vec![format!("amount: {}", amount(value))],
                _ => Vec::new(),
            };
            self.changes.lines.push(Change { act, kind: "top-up", name, fields });
        }
        Ok(())
    }

    async fn top_up(
        &mut self,
        path: &str,
        merchant: i64,
        value: Micros,
        top_up: &crate::desired::TopUp,
    ) -> Result<Act> {
        let id = format!("topup.{merchant}.{}", top_up.id);
        let row = self
            .conn
            .row(
                "SELECT e.amount FROM entries e JOIN accounts a ON a.id = e.account_id \
                 WHERE e.transfer_id = $1 AND a.merchant_id = $2",
                args![&id, merchant],
            )
            .await?;
        if let Some(row) = row {
            let booked = row.micros(0)?;
            if booked != value {
                let message = format!("{} was booked with {}", top_up.id, amount(booked));
                self.check.wrong(format!("{path}.amount"), message);
            }
            return Ok(Act::Unchanged);
        }
        let note = match top_up.note.as_str() {
            "" => top_up.id.clone(),
            note => format!("{}: {note}", top_up.id),
        };
        self.conn
            .exec(
                "INSERT INTO transfers (id, kind, at, note) VALUES ($1, 'top_up', $2, $3)",
                args![&id, self.at, note],
            )
            .await?;
        self.conn
            .exec(
                "INSERT INTO entries (transfer_id, account_id, amount) \
                 SELECT $1, c.id, $3 FROM accounts c JOIN accounts a ON c.name = 'cash:' || a.currency \
                 WHERE a.merchant_id = $2 \
                 UNION ALL SELECT $1, a.id, $4 FROM accounts a WHERE a.merchant_id = $2",
                args![&id, merchant, -value, value],
            )
            .await?;
        let sql = "UPDATE accounts SET posted = posted + $2 WHERE merchant_id = $1";
        self.conn.exec(sql, args![merchant, value]).await?;
        Ok(Act::Created)
    }
}
