//! Lines to networks by SMPP.

use std::net::Ipv6Addr;

use super::sync::{Item, Show, Table, set};
use super::{Run, prune};
use crate::db::{args, word};
use crate::desired::SmppLink;
use crate::error::Result;

const LINKS: Table = Table {
    kind: "smpp link",
    table: "smpp_links",
    keys: &["name"],
    columns: &[
        ("host", Show::Plain),
        ("port", Show::Plain),
        ("tls", Show::Truth),
        ("version", Show::Plain),
        ("system_id", Show::Plain),
        ("password", Show::Secret),
        ("system_type", Show::Plain),
        ("bind", Show::Plain),
        ("sender", Show::Plain),
        ("sender_ton", Show::Plain),
        ("sender_npi", Show::Plain),
        ("alphabet", Show::Plain),
        ("long_texts", Show::Plain),
        ("ids", Show::Plain),
        ("bind_window", Show::Plain),
        ("per_second", Show::Plain),
        ("enquire_seconds", Show::Plain),
        ("sms", Show::Truth),
        ("ussd", Show::Truth),
        ("enabled", Show::Truth),
        ("node", Show::Plain),
    ],
};

/// Characters of `system_id`, `password`, `system_type` and an address at most (SMPP 3.4 §4.1.1, §4.4.1).
const SYSTEM_ID_MAX: usize = 15;
const PASSWORD_MAX: usize = 8;
const SYSTEM_TYPE_MAX: usize = 12;
const ADDRESS_MAX: usize = 20;

impl Run<'_> {
    pub(super) async fn smpp_links(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, link) in desired.smpp_links.iter().enumerate() {
            let before = self.check.mistakes.len();
            self.smpp_link(&format!("smpp_links[{i}]"), link);
            // A file that has [sms] is looked at there.
            if !link.sms && desired.sms.is_none() && self.is_way(&link.name).await? {
                let why = "messages leave by it: sms.ways names it";
                self.check.wrong(format!("smpp_links[{i}].sms"), why);
            }
            if self.check.mistakes.len() != before {
                continue;
            }
            items.push(Item {
                name: link.name.clone(),
                key: args![&link.name],
                cells: vec![
                    set(&link.host),
                    set(link.port),
                    set(link.tls),
                    set(word(&link.version)?),
                    set(&link.system_id),
                    set(&link.password),
                    set(&link.system_type),
                    set(word(&link.bind)?),
                    set(&link.sender),
                    set(link.sender_ton),
                    set(link.sender_npi),
                    set(word(&link.alphabet)?),
                    set(word(&link.long_texts)?),
                    set(word(&link.ids)?),
                    set(link.window),
                    set(link.per_second),
                    set(link.enquire_seconds),
                    set(link.sms),
                    set(link.ussd),
                    set(link.enabled),
                    set(link.node),
                ],
            });
        }
        self.sync(&LINKS, items).await?;
        Ok(())
    }

    /// Whether messages leave by a line, as the store has it.
    async fn is_way(&mut self, line: &str) -> Result<bool> {
        Ok(self.conn.row(prune::WAYS_OF, args![line]).await?.is_some())
    }

    fn smpp_link(&mut self, path: &str, link: &SmppLink) {
        let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !link.name.chars().all(sign) {
            self.check.wrong(format!("{path}.name"), "letters, digits, - and _");
        }
        if matches!(link.name.as_str(), "phone" | "http") {
            self.check.wrong(format!("{path}.name"), "that is another way of messages");
        }
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_address = link.host.parse::<Ipv6Addr>().is_ok();
        if !is_address && (link.host.is_empty() || !link.host.chars().all(host)) {
            let why = "a name or an address, with nothing around it; the port is a key of its own";
            self.check.wrong(format!("{path}.host"), why);
        }
        if link.port == 0 {
            self.check.wrong(format!("{path}.port"), "1 to 65535");
        }
        let texts = [
            ("system_id", &link.system_id, SYSTEM_ID_MAX),
            ("password", &link.password, PASSWORD_MAX),
            ("system_type", &link.system_type, SYSTEM_TYPE_MAX),
            ("sender", &link.sender, ADDRESS_MAX),
        ];
        for (field, text, most) in texts {
            if text.len() > most || text.chars().any(|c| !c.is_ascii_graphic() && c != ' ') {
                let why = format!("{most} ASCII characters at most");
                self.check.wrong(format!("{path}.{field}"), why);
            }
        }
        if link.system_id.is_empty() {
            self.check.wrong(format!("{path}.system_id"), "may not be empty");
        }
        // A process that takes a message looks for the line among its own.
        if link.node.is_some() && link.sms {
            let why = "every process binds a line that carries short messages: leave node out, or say sms = false";
            self.check.wrong(format!("{path}.node"), why);
        }
        if link.enabled && !link.sms && !link.ussd {
            let why = "it carries neither messages nor menus: ussd = true, or sms = true";
            self.check.wrong(format!("{path}.sms"), why);
        }
        if !(1..=1000).contains(&link.window) {
            self.check.wrong(format!("{path}.window"), "1 to 1000 requests");
        }
        if link.per_second > 10_000 {
            self.check.wrong(format!("{path}.per_second"), "10000 at most; 0: no limit");
        }
        if !(5..=3600).contains(&link.enquire_seconds) {
            self.check.wrong(format!("{path}.enquire_seconds"), "5 to 3600 seconds");
        }
        // §5.2.5, §5.2.6.
        let kinds = [("sender_ton", link.sender_ton, 6), ("sender_npi", link.sender_npi, 18)];
        for (field, value, most) in kinds {
            if value.is_some_and(|value| value > most) {
                self.check.wrong(format!("{path}.{field}"), format!("0 to {most}"));
            }
        }
    }
}
