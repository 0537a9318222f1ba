//! Taking away what the file no longer names: only kinds that occur in it, only what a file had made.
//!
//! Merchants and sub-accounts have a history: they are stopped, not deleted.

use std::collections::BTreeSet;

use facts::policy::Rule;

use super::Run;
use crate::db::args;
use crate::desired::{Act, Change};
use crate::error::Result;

/// How rows of a kind go.
struct Kind {
    section: &'static str,
    kind: &'static str,
    /// Name and key of each managed row that is still in force.
    list: &'static str,
    /// Takes one away by its key.
    remove: &'static str,
    /// Finds who still needs it; empty when nobody can.
    needed: &'static str,
}

/// What names a line as a way of messages: ways stand a line each.
pub(super) const WAYS_OF: &str = "SELECT 'sms.ways' FROM sms_gateways \
                                  WHERE '\n' || ways || '\n' LIKE '%\nsmpp:' || replace($1, '_', '!_') || '\n%' \
                                  ESCAPE '!'";

const KINDS: [Kind; 20] = [
    Kind {
        section: "ussd_owners",
        kind: "ussd owner",
        list: "SELECT username, username FROM ussd_owners WHERE managed = 1",
        remove: "DELETE FROM ussd_owners WHERE username = $1",
        needed: "",
    },
    Kind {
        section: "payment_gateways",
        kind: "payment gateway",
        list: "SELECT name, name FROM payment_gateways WHERE managed = 1",
        remove: "DELETE FROM payment_gateways WHERE name = $1",
        // What is under way there is asked after, and what was paid may have to be given back.
        needed: "SELECT 'invoice ' || a.invoice_id FROM ussd_attempts a \
                 JOIN ussd_invoices i ON i.id = a.invoice_id \
                 WHERE a.gateway = $1 AND (a.state = 'pending' OR i.state = 'refunding')",
    },
    Kind {
        section: "smpp_links",
        kind: "smpp link",
        list: "SELECT name, name FROM smpp_links WHERE managed = 1",
        remove: "DELETE FROM smpp_links WHERE name = $1",
        needed: WAYS_OF,
    },
    Kind {
        section: "inbound",
        kind: "inbound",
        list: "SELECT number, number FROM inbound WHERE managed = 1",
        remove: "DELETE FROM inbound WHERE number = $1",
        needed: "",
    },
    Kind {
        section: "groups",
        kind: "group",
        list: "SELECT number, number FROM extension_groups WHERE managed = 1",
        remove: "DELETE FROM extension_groups WHERE number = $1",
        needed: "SELECT 'inbound ' || number FROM inbound WHERE extension = $1",
    },
    Kind {
        section: "trunks",
        kind: "trunk",
        list: "SELECT name, name FROM trunks WHERE managed = 1",
        remove: "DELETE FROM trunks WHERE name = $1",
        needed: "SELECT 'route ' || r.prefix FROM routes r JOIN trunks t ON t.id = r.trunk_id \
                 WHERE t.name = $1",
    },
    Kind {
        section: "templates",
        kind: "template",
        list: "SELECT m.name || '/' || t.id, m.name || '/' || t.id FROM templates t \
               JOIN merchants m ON m.id = t.merchant_id WHERE t.managed = 1",
        remove: "DELETE FROM templates WHERE EXISTS (SELECT 1 FROM merchants m \
                 WHERE m.id = templates.merchant_id AND m.name || '/' || templates.id = $1)",
        needed: "",
    },
    Kind {
        section: "policies",
        kind: "policy",
        list: "SELECT name, name FROM policies WHERE managed = 1",
        remove: "DELETE FROM policies WHERE name = $1",
        needed: "",
    },
    Kind {
        section: "number_lists",
        kind: "number list",
        list: "SELECT name, name FROM number_lists WHERE managed = 1",
        remove: "DELETE FROM number_lists WHERE name = $1",
        // Rules are JSON: they are read, see `needs`.
        needed: "",
    },
    Kind {
        section: "ussd_codes",
        kind: "ussd code",
        list: "SELECT code, code FROM ussd_codes WHERE managed = 1",
        remove: "DELETE FROM ussd_codes WHERE code = $1",
        needed: "",
    },
    Kind {
        section: "sms_accounts",
        kind: "sms account",
        list: "SELECT username, username FROM sms_accounts WHERE managed = 1",
        remove: "DELETE FROM sms_accounts WHERE username = $1",
        needed: "",
    },
    Kind {
        section: "sms_keywords",
        kind: "sms keyword",
        list: "SELECT number || ' ' || keyword, number || ' ' || keyword FROM sms_keywords WHERE managed = 1",
        remove: "DELETE FROM sms_keywords WHERE number || ' ' || keyword = $1",
        needed: "",
    },
    Kind {
        section: "sms_hooks",
        kind: "sms hook",
        list: "SELECT name, name FROM sms_hooks WHERE managed = 1",
        remove: "DELETE FROM sms_hooks WHERE name = $1",
        needed: "",
    },
    Kind {
        section: "companies",
        kind: "company",
        list: "SELECT companycode, companycode FROM companies WHERE managed = 1",
        remove: "DELETE FROM companies WHERE companycode = $1",
        needed: "",
    },
    Kind {
        section: "ytx_apps",
        kind: "ytx app",
        list: "SELECT appid, appid FROM ytx_apps WHERE managed = 1",
        remove: "DELETE FROM ytx_apps WHERE appid = $1",
        needed: "",
    },
    Kind {
        section: "ytx_accounts",
        kind: "ytx account",
        list: "SELECT sid, sid FROM ytx_accounts WHERE managed = 1",
        remove: "DELETE FROM ytx_accounts WHERE sid = $1",
        needed: "SELECT 'ytx app ' || appid FROM ytx_apps WHERE sid = $1",
    },
    Kind {
        section: "extensions",
        kind: "extension",
        list: "SELECT number, number FROM extensions WHERE managed = 1",
        remove: "DELETE FROM extensions WHERE number = $1",
        needed: "SELECT 'inbound ' || number FROM inbound WHERE extension = $1 UNION ALL \
                 SELECT 'group ' || number FROM extension_groups \
                 WHERE members LIKE '%\"' || $1 || '\"%'",
    },
    Kind {
        section: "sub_accounts",
        kind: "sub-account",
        list: "SELECT m.name || '/' || s.name, CAST(s.id AS TEXT) FROM sub_accounts s \
               JOIN merchants m ON m.id = s.merchant_id WHERE s.managed = 1 AND s.enabled = 1",
        remove: "UPDATE sub_accounts SET enabled = 0 WHERE CAST(id AS TEXT) = $1",
        needed: "",
    },
    Kind {
        section: "merchants",
        kind: "merchant",
        list: "SELECT name, name FROM merchants WHERE managed = 1 AND status = 'approved'",
        remove: "UPDATE merchants SET status = 'frozen' WHERE name = $1",
        needed: "",
    },
    Kind {
        section: "tariffs",
        kind: "tariff",
        list: "SELECT name, name FROM tariffs WHERE managed = 1",
        remove: "DELETE FROM tariffs WHERE name = $1",
        needed: "SELECT 'merchant ' || m.name FROM merchants m JOIN tariffs t ON t.id = m.tariff_id \
                 WHERE t.name = $1",
    },
];

impl Run<'_> {
    pub(super) async fn prune(&mut self) -> Result<()> {
        let present = self.present();
        for kind in KINDS.iter().filter(|kind| present.contains(kind.section)) {
            for row in self.conn.rows(kind.list, args![]).await? {
                let (name, key) = (row.text(0)?, row.text(1)?);
                if !self.check.names_it(kind.section, &name) {
                    self.remove(kind, name, &key).await?;
                }
            }
        }
        Ok(())
    }

    async fn remove(&mut self, kind: &Kind, name: String, key: &str) -> Result<()> {
        if let Some(who) = self.needs(kind, key).await? {
            let message = format!("{} {name} cannot go: {who} needs it", kind.kind);
            self.check.wrong("prune", message);
            return Ok(());
        }
        if kind.section == "tariffs" {
            let sql =
                "DELETE FROM rates WHERE tariff_id = (SELECT id FROM tariffs WHERE name = $1)";
            self.conn.exec(sql, args![key]).await?;
        }
        self.conn.exec(kind.remove, args![key]).await?;
        let fields = match kind.section {
            "merchants" => vec!["frozen: it has a history".into()],
            "sub_accounts" => vec!["disabled: it has a history".into()],
            _ => Vec::new(),
        };
        self.changes.lines.push(Change { act: Act::Removed, kind: kind.kind, name, fields });
        Ok(())
    }

    /// Who still needs it, if anybody does.
    async fn needs(&mut self, kind: &Kind, key: &str) -> Result<Option<String>> {
        if kind.section == "number_lists" {
            for row in self.conn.rows("SELECT name, rule FROM policies", args![]).await? {
                let Rule { block, only, except, .. } = row.json(1)?;
                if [block, only, except].iter().flatten().any(|list| list == key) {
                    return Ok(Some(format!("policy {}", row.text(0)?)));
                }
            }
            return Ok(None);
        }
        if kind.needed.is_empty() {
            return Ok(None);
        }
        let row = self.conn.row(kind.needed, args![key]).await?;
        row.map(|row| row.text(0)).transpose()
    }

    fn present(&self) -> BTreeSet<&'static str> {
        let d = self.desired;
        [
            ("inbound", d.inbound.is_empty()),
            ("groups", d.groups.is_empty()),
            ("trunks", d.trunks.is_empty()),
            ("companies", d.companies.is_empty()),
            ("templates", d.templates.is_empty()),
            ("policies", d.policies.is_empty()),
            ("number_lists", d.number_lists.is_empty()),
            ("ussd_codes", d.ussd_codes.is_empty()),
            ("ytx_apps", d.ytx_apps.is_empty()),
            ("ytx_accounts", d.ytx_accounts.is_empty()),
            ("extensions", d.extensions.is_empty()),
            ("sub_accounts", d.sub_accounts.is_empty()),
            ("merchants", d.merchants.is_empty()),
            ("tariffs", d.tariffs.is_empty()),
            ("ussd_owners", d.ussd_owners.is_empty()),
            ("payment_gateways", d.payment_gateways.is_empty()),
            ("smpp_links", d.smpp_links.is_empty()),
            ("sms_accounts", d.sms_accounts.is_empty()),
            ("sms_keywords", d.sms_keywords.is_empty()),
            ("sms_hooks", d.sms_hooks.is_empty()),
        ]
        .into_iter()
        .filter(|(_, empty)| !empty)
        .map(|(section, _)| section)
        .collect()
    }
}
