//! What the operator's file says of short messages, as the operator looks at it again: without what opens anything.

use facts::MerchantId;
use facts::sms::Purpose;
use facts::ussd::Language;
use serde::Serialize;

use super::Line;
use crate::db::{args, work};
use crate::desired::HookFields;
use crate::error::Result;
use crate::store::Store;

/// Who may send by the vendor's doors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AccountRow {
    /// Login name.
    pub username: String,
    /// Who pays.
    pub merchant: MerchantId,
    /// Whom codes are from where the request names nobody.
    pub company: String,
    /// Numbers; the first is the usual one.
    pub lines: Vec<Line>,
    /// It may be used.
    pub active: bool,
    /// There is a password, for `SendSingleSMS`.
    pub has_password: bool,
    /// There is a token, for the other doors.
    pub has_token: bool,
}

/// Whose a message is that somebody writes to a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KeywordRow {
    /// The number.
    pub number: String,
    /// What the message begins with; empty: anything else.
    pub keyword: String,
    /// Whose it is.
    pub merchant: MerchantId,
    /// What it is for.
    pub purpose: Purpose,
    /// Who signs up need not be approved.
    pub approved: bool,
    /// Of the answers.
    pub language: Language,
}

/// Where a gateway tells what came in and what became of what left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HookRow {
    /// The last part of its path.
    pub name: String,
    /// How it names what it tells.
    pub fields: HookFields,
}

impl Store {
    /// Who may send, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_accounts(&self) -> Result<Vec<AccountRow>> {
        let sql = "SELECT username, merchant_id, company, lines, active, password <> '', token <> '' \
                   FROM sms_accounts ORDER BY username";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![]).await?;
            let row = |row: &crate::db::Row| -> Result<AccountRow> {
                Ok(AccountRow {
                    username: row.text(0)?,
                    merchant: MerchantId(row.int(1)?),
                    company: row.text(2)?,
                    lines: row.json(3)?,
                    active: row.truth(4)?,
                    has_password: row.truth(5)?,
                    has_token: row.truth(6)?,
                })
            };
            rows.iter().map(row).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Keywords, by number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_keywords(&self) -> Result<Vec<KeywordRow>> {
        let sql = "SELECT number, keyword, merchant_id, purpose, approved, language FROM sms_keywords \
                   ORDER BY number, keyword";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![]).await?;
            let row = |row: &crate::db::Row| -> Result<KeywordRow> {
                Ok(KeywordRow {
                    number: row.text(0)?,
                    keyword: row.text(1)?,
                    merchant: MerchantId(row.int(2)?),
                    purpose: row.word(3)?,
                    approved: row.truth(4)?,
                    language: row.word(5)?,
                })
            };
            rows.iter().map(row).collect::<Result<Vec<_>>>()?
        }))
        .await
    }

    /// Hooks, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sms_hooks(&self) -> Result<Vec<HookRow>> {
        let sql = "SELECT name, fields FROM sms_hooks ORDER BY name";
        self.read(work!(conn, [] => {
            let rows = conn.rows(sql, args![]).await?;
            let row = |row: &crate::db::Row| -> Result<HookRow> {
                Ok(HookRow { name: row.text(0)?, fields: row.json(1)? })
            };
            rows.iter().map(row).collect::<Result<Vec<_>>>()?
        }))
        .await
    }
}
