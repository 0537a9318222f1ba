//! Payments of menus: who may ask what was paid, and where is paid.

use std::collections::BTreeMap;
use std::time::Duration;

use facts::UnixMillis;

use super::Run;
use super::kinds::password;
use super::sync::{Item, Show, Table, set};
use crate::db::{args, word};
use crate::desired::PaymentGateway;
use crate::error::Result;
use crate::payments::{Gateway, GatewayKind, gateways_to_change};

const OWNERS: Table = Table {
    kind: "ussd owner",
    table: "ussd_owners",
    keys: &["username"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("password", Show::Secret),
        ("strict", Show::Truth),
        ("active", Show::Truth),
    ],
};

const GATEWAYS: Table = Table {
    kind: "payment gateway",
    table: "payment_gateways",
    keys: &["name"],
    columns: &[
        ("kind", Show::Plain),
        ("title", Show::Plain),
        ("enabled", Show::Truth),
        ("account", Show::Secret),
        ("secret", Show::Secret),
        ("hook_secret", Show::Secret),
        ("currency", Show::Plain),
        ("rials_per_unit", Show::Plain),
        ("url", Show::Plain),
    ],
};

/// What has been under way for so long is so because its gateway cannot be asked: ways are closed after half an hour.
const STUCK: Duration = Duration::from_secs(45 * 60);

impl Run<'_> {
    pub(super) async fn ussd_owners(&mut self) -> Result<()> {
        let desired = self.desired;
        if desired.ussd_owners.is_empty() {
            return Ok(());
        }
        let mut kept = BTreeMap::new();
        for row in self.conn.rows("SELECT username, password FROM ussd_owners", args![]).await? {
            kept.insert(row.text(0)?, row.text(1)?);
        }
        let mut items = Vec::new();
        for (i, owner) in desired.ussd_owners.iter().enumerate() {
            let path = format!("ussd_owners[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &owner.merchant);
            self.check.not_empty(&format!("{path}.password"), owner.password.as_deref());
            let hash = kept.get(&owner.username).cloned();
            if hash.is_none() && owner.password.is_none() {
                self.check.wrong(format!("{path}.password"), "a new owner needs one");
            }
            let Some(merchant) = merchant.filter(|_| self.check.mistakes.len() == before) else {
                continue;
            };
            items.push(Item {
                name: owner.username.clone(),
                key: args![&owner.username],
                cells: vec![
                    set(merchant),
                    password(owner.password.as_deref(), hash)?,
                    set(owner.strict),
                    set(owner.active),
                ],
            });
        }
        self.sync(&OWNERS, items).await?;
        Ok(())
    }

    pub(super) async fn payment_gateways(&mut self) -> Result<()> {
        let desired = self.desired;
        if desired.payment_gateways.is_empty() {
            return Ok(());
        }
        let known = gateways_to_change(self.conn).await?;
        let mut items = Vec::new();
        for (i, gateway) in desired.payment_gateways.iter().enumerate() {
            let path = format!("payment_gateways[{i}]");
            if let Some(before) = known.iter().find(|known| known.name == gateway.name) {
                self.under_way(&path, before, gateway).await?;
            }
            let before = self.check.mistakes.len();
            let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if !gateway.name.chars().all(sign) {
                self.check.wrong(format!("{path}.name"), "letters, digits, - and _");
            }
            let url = Some(gateway.url.as_str()).filter(|url| !url.is_empty());
            self.check.url(&format!("{path}.url"), url);
            let needed: &[(&str, &str)] = match gateway.kind {
                GatewayKind::Test => &[],
                GatewayKind::Zarinpal => &[("account", &gateway.account)],
                GatewayKind::Stripe => &[
                    ("secret", &gateway.secret),
                    ("hook_secret", &gateway.hook_secret),
                    ("currency", &gateway.currency),
                ],
            };
            for (field, text) in needed {
                let signs = text.chars().all(|c| c.is_ascii_graphic());
                if text.is_empty() || !signs {
                    let why = "a gateway of this kind needs it, without blanks";
                    self.check.wrong(format!("{path}.{field}"), why);
                }
            }
            if gateway.kind == GatewayKind::Stripe && !gateway.currency.is_empty() {
                self.check.currency(&format!("{path}.currency"), &gateway.currency);
            }
            if !(1..=1_000_000_000_000).contains(&gateway.rials_per_unit) {
                self.check.wrong(format!("{path}.rials_per_unit"), "1 to 1000000000000 rials");
            }
            if self.check.mistakes.len() != before {
                continue;
            }
            let (currency, rials) = match gateway.kind {
                GatewayKind::Stripe => (gateway.currency.as_str(), gateway.rials_per_unit),
                GatewayKind::Test | GatewayKind::Zarinpal => ("IRR", 1),
            };
            items.push(Item {
                name: gateway.name.clone(),
                key: args![&gateway.name],
                cells: vec![
                    set(word(&gateway.kind)?),
                    set(gateway.title.as_ref().unwrap_or(&gateway.name)),
                    set(gateway.enabled),
                    set(&gateway.account),
                    set(&gateway.secret),
                    set(&gateway.hook_secret),
                    set(currency),
                    set(rials),
                    set(gateway.url.trim_end_matches('/')),
                ],
            });
        }
        self.sync(&GATEWAYS, items).await?;
        Ok(())
    }

    /// What is under way at a gateway is asked after there: what leads elsewhere waits until that is over. A key or an address
    /// may be mended under what has been under way for so long that it must be the gateway that cannot be asked.
    async fn under_way(
        &mut self,
        path: &str,
        before: &Gateway,
        after: &PaymentGateway,
    ) -> Result<()> {
        let url = after.url.trim_end_matches('/');
        let changes = [
            ("kind", before.kind != after.kind, None),
            ("account", before.account != after.account, None),
            ("secret", before.secret != after.secret, Some(STUCK)),
            ("url", before.url != url, Some(STUCK)),
        ];
        for (field, _, unless) in changes.into_iter().filter(|(_, changed, _)| *changed) {
            let since = unless.map_or(UnixMillis(i64::MIN), |stuck| self.at - stuck);
            let sql = "SELECT (SELECT COUNT(*) FROM ussd_attempts \
                       WHERE gateway = $1 AND state = 'pending' AND made > $2) \
                       + (SELECT COUNT(*) FROM ussd_refunds r \
                       JOIN ussd_attempts a ON a.invoice_id = r.invoice_id AND a.state = 'paid' \
                       WHERE a.gateway = $1 AND r.state = 'pending' AND r.made > $2)";
            let row = self.conn.row(sql, args![&before.name, since]).await?;
            let count = row.map_or(Ok(0), |row| row.int(0))?;
            if count > 0 {
                let why = format!(
                    "{count} payments or refunds are under way at {}, and would be asked after elsewhere: \
                     say enabled = false and wait until they are over, or give the other one a name of its own",
                    before.name
                );
                self.check.wrong(format!("{path}.{field}"), why);
            }
        }
        Ok(())
    }
}
