//! Codes of menus (system 003).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use facts::ussd::{Code, Dialled};

use super::Run;
use super::sync::{Item, Show, Table, set};
use crate::db::{args, word};
use crate::error::Result;

const CODES: Table = Table {
    kind: "ussd code",
    table: "ussd_codes",
    keys: &["code"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("page", Show::Plain),
        ("language", Show::Plain),
        ("leading_star", Show::Truth),
        ("page_ms", Show::Plain),
        ("input_ms", Show::Plain),
        ("session_ms", Show::Plain),
        ("price", Show::Amount),
        ("sms_receipt", Show::Truth),
    ],
};

impl Run<'_> {
    pub(super) async fn ussd_codes(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut owners = BTreeMap::new();
        for row in self.conn.rows("SELECT code, merchant_id FROM ussd_codes", args![]).await? {
            owners.insert(row.text(0)?, row.int(1)?);
        }
        let mut items = Vec::new();
        for (i, wanted) in desired.ussd_codes.iter().enumerate() {
            let path = format!("ussd_codes[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &wanted.merchant);
            let code = Dialled::code(&wanted.code).map(|code| code.to_string());
            if code.is_none() {
                let why = "a code is digits and letters between stars, like *6655*123#";
                self.check.wrong(format!("{path}.code"), why);
            }
            let owner = code.as_ref().and_then(|code| owners.get(code));
            if owner.is_some_and(|owner| merchant.is_some_and(|merchant| merchant != *owner)) {
                self.check.wrong(format!("{path}.code"), "belongs to another merchant");
            }
            self.check.url(&format!("{path}.page"), Some(&wanted.page));
            let page = self.span(&path, "page_seconds", wanted.page_seconds, &Code::PAGE);
            let input = self.span(&path, "input_seconds", wanted.input_seconds, &Code::INPUT);
            let whole = self.span(&path, "session_seconds", wanted.session_seconds, &Code::SESSION);
            let price = self.check.amount(&format!("{path}.price"), &wanted.price);
            let (Some(merchant), Some(code)) = (merchant, code) else { continue };
            if self.check.mistakes.len() != before {
                continue;
            }
            items.push(Item {
                name: code.clone(),
                key: args![code],
                cells: vec![
                    set(merchant),
                    set(&wanted.page),
                    set(word(&wanted.language)?),
                    set(wanted.leading_star),
                    set(page),
                    set(input),
                    set(whole),
                    set(price.unwrap_or_default()),
                    set(wanted.sms_receipt),
                ],
            });
        }
        self.sync(&CODES, items).await?;
        Ok(())
    }

    /// Seconds within bounds, as milliseconds.
    fn span(
        &mut self,
        path: &str,
        key: &str,
        seconds: u32,
        bounds: &RangeInclusive<Duration>,
    ) -> u64 {
        if !bounds.contains(&Duration::from_secs(seconds.into())) {
            let (from, to) = (bounds.start().as_secs(), bounds.end().as_secs());
            self.check.wrong(format!("{path}.{key}"), format!("{from} to {to} seconds"));
        }
        u64::from(seconds) * 1000
    }
}
