//! Short messages: by which ways they leave, who may send some, and whose is what comes in.

use std::collections::BTreeMap;

use facts::sms::line;

use super::Run;
use super::kinds::password;
use super::sync::{Cell, Item, Show, Table, set};
use crate::db::{Value, args, json, word};
use crate::error::Result;
use crate::secrets;
use crate::sms::Line;

const SMS: Table = Table {
    kind: "sms",
    table: "sms_gateways",
    keys: &["name"],
    columns: &[
        ("url", Show::Secret),
        ("sender", Show::Plain),
        ("headers", Show::Secret),
        ("body", Show::Secret),
        ("accept", Show::Plain),
        ("enabled", Show::Truth),
        ("ways", Show::List),
        ("reference", Show::Plain),
        ("bad_words", Show::Lines),
    ],
};
/// The only one there is.
const SMS_NAME: &str = "http";

/// Ways that are tried for one message at most.
const WAYS_MAX: usize = 4;
/// Characters of a token and of a secret at least: they are not stretched.
const TOKEN_MIN: usize = 16;

const ACCOUNTS: Table = Table {
    kind: "sms account",
    table: "sms_accounts",
    keys: &["username"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("password", Show::Secret),
        ("token", Show::Secret),
        ("company", Show::Plain),
        ("lines", Show::Plain),
        ("active", Show::Truth),
    ],
};

const KEYWORDS: Table = Table {
    kind: "sms keyword",
    table: "sms_keywords",
    keys: &["number", "keyword"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("purpose", Show::Plain),
        ("approved", Show::Truth),
        ("language", Show::Plain),
    ],
};

const HOOKS: Table = Table {
    kind: "sms hook",
    table: "sms_hooks",
    keys: &["name"],
    columns: &[("secret", Show::Secret), ("fields", Show::Plain)],
};

impl Run<'_> {
    pub(super) async fn sms(&mut self) -> Result<()> {
        let Some(sms) = &self.desired.sms else { return Ok(()) };
        let before = self.check.mistakes.len();
        self.ways(&sms.ways).await?;
        // What is filled in stands where an address may have anything.
        let http = sms.ways.iter().any(|way| way == "http");
        let url = Some(sms.url.as_str()).filter(|url| !url.is_empty());
        self.check.url("sms.url", url);
        if url.is_none() && (!http || sms.ways.len() > 1) && !sms.body.is_empty() {
            self.check.wrong("sms.url", "a body needs somewhere to go");
        }
        // The usual ways are those of whoever has phones here, a gateway or not.
        if url.is_none() && http && sms.ways != ["phone", "http"] {
            self.check.wrong("sms.url", "the way http needs it");
        }
        if !sms.reference.is_empty() && !sms.reference.starts_with('/') {
            self.check.wrong("sms.reference", "a JSON pointer begins with /");
        }
        if sms.bad_words.iter().any(|word| word.trim().is_empty() || word.contains('\n')) {
            self.check.wrong("sms.bad_words", "words of one line that say something");
        }
        let place = |text: &str, name: &str| text.contains(name);
        for name in ["{to}", "{text}"] {
            if url.is_some() && !place(&sms.url, name) && !place(&sms.body, name) {
                self.check.wrong("sms.url", format!("{name} stands in neither url nor body"));
            }
        }
        let mut headers = String::new();
        for (name, value) in &sms.headers {
            let token = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if name.is_empty() || !name.chars().all(token) || value.chars().any(char::is_control) {
                self.check.wrong("sms.headers", format!("{name} is no header field of one line"));
            }
            headers += &format!("{name}: {value}\n");
        }
        if self.check.mistakes.len() != before {
            return Ok(());
        }
        let item = Item {
            name: "settings".into(),
            key: args![SMS_NAME],
            cells: vec![
                set(&sms.url),
                set(&sms.sender),
                set(headers),
                set(&sms.body),
                set(&sms.accept),
                set(sms.enabled),
                set(sms.ways.join("\n")),
                set(&sms.reference),
                set(sms.bad_words.join("\n")),
            ],
        };
        self.sync(&SMS, vec![item]).await?;
        Ok(())
    }

    async fn ways(&mut self, ways: &[String]) -> Result<()> {
        let desired = &self.desired.smpp_links;
        if ways.is_empty() || ways.len() > WAYS_MAX {
            self.check.wrong("sms.ways", format!("1 to {WAYS_MAX} ways"));
        }
        for (i, way) in ways.iter().enumerate() {
            if ways[..i].contains(way) {
                self.check.wrong(format!("sms.ways[{i}]"), format!("{way} is there twice"));
            }
            let known = matches!(way.as_str(), "phone" | "http");
            match way.strip_prefix("smpp:").filter(|name| is_name(name)) {
                Some(line) => {
                    let sql = "SELECT sms FROM smpp_links WHERE name = $1";
                    let takes = self.conn.row(sql, args![line]).await?;
                    let takes = takes.map(|row| row.truth(0)).transpose()?;
                    let why = match takes {
                        Some(true) => continue,
                        Some(false) => format!("the line {line} takes no messages (sms = false)"),
                        // One that is wrong is told of there.
                        None if desired.iter().any(|link| link.name == line) => continue,
                        None => format!("there is no line {line} in [[smpp_links]]"),
                    };
                    self.check.wrong(format!("sms.ways[{i}]"), why);
                }
                None if known => {}
                None => {
                    let why = "phone, http, or smpp: and the name of a line";
                    self.check.wrong(format!("sms.ways[{i}]"), why);
                }
            }
        }
        Ok(())
    }

    /// A secret of which the digest is kept: nothing new leaves it as it is.
    fn token(&mut self, path: &str, token: Option<&str>) -> Cell {
        if token.is_some_and(|token| token.chars().count() < TOKEN_MIN) {
            self.check.wrong(path, format!("{TOKEN_MIN} characters and more, drawn at random"));
        }
        match token {
            Some(token) => set(secrets::digest(token)),
            None => Cell::Keep(Value::from("")),
        }
    }

    pub(super) async fn sms_accounts(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut kept = BTreeMap::new();
        for row in self.conn.rows("SELECT username, password FROM sms_accounts", args![]).await? {
            kept.insert(row.text(0)?, row.text(1)?);
        }
        let mut items = Vec::new();
        for (i, account) in desired.sms_accounts.iter().enumerate() {
            let path = format!("sms_accounts[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &account.merchant);
            self.check.not_empty(&format!("{path}.password"), account.password.as_deref());
            let token = self.token(&format!("{path}.token"), account.token.as_deref());
            let there = kept.get(&account.username).cloned();
            if there.is_none() && account.password.is_none() && account.token.is_none() {
                self.check
                    .wrong(format!("{path}.token"), "a new account needs a token or a password");
            }
            let lines = self.lines(&path, &account.lines);
            let Some(merchant) = merchant.filter(|_| self.check.mistakes.len() == before) else {
                continue;
            };
            let password = match account.password.as_deref() {
                None => Cell::Keep(Value::from("")),
                given => password(given, there.filter(|hash| !hash.is_empty()))?,
            };
            items.push(Item {
                name: account.username.clone(),
                key: args![&account.username],
                cells: vec![
                    set(merchant),
                    password,
                    token,
                    set(&account.company),
                    set(json(&lines)?),
                    set(account.active),
                ],
            });
        }
        self.sync(&ACCOUNTS, items).await?;
        Ok(())
    }

    fn lines(&mut self, path: &str, wanted: &[crate::desired::SmsLine]) -> Vec<Line> {
        if wanted.is_empty() {
            self.check
                .wrong(format!("{path}.lines"), "messages come from somewhere: one line at least");
        }
        let mut lines = Vec::new();
        for (n, line) in wanted.iter().enumerate() {
            let path = format!("{path}.lines[{n}]");
            let fits =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | ' ' | '-' | '_' | '.');
            if line.number.trim().is_empty()
                || line.number.len() > 20
                || !line.number.chars().all(fits)
            {
                self.check
                    .wrong(format!("{path}.number"), "digits, or a name of letters, 20 at most");
            }
            if lines.iter().any(|known: &Line| known.number == line.number) {
                self.check
                    .wrong(format!("{path}.number"), format!("{} is there twice", line.number));
            }
            let price = self.check.amount(&format!("{path}.price_en"), &line.price_en);
            let wide = line.price_fa.as_ref().unwrap_or(&line.price_en);
            let wide = self.check.amount(&format!("{path}.price_fa"), wide);
            lines.push(Line {
                number: line.number.clone(),
                kind: line.kind.clone().unwrap_or_else(|| "service".to_owned()),
                price_en: price.unwrap_or_default(),
                price_fa: wide.unwrap_or_default(),
            });
        }
        lines
    }

    pub(super) async fn sms_keywords(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, wanted) in desired.sms_keywords.iter().enumerate() {
            let path = format!("sms_keywords[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &wanted.merchant);
            let number = line(&self.check.plan, &wanted.number);
            if number.is_none() {
                self.check.wrong(format!("{path}.number"), "not a number that is written to");
            }
            let keyword = wanted.keyword.trim().to_lowercase();
            if keyword.chars().any(char::is_whitespace) || keyword.chars().count() > 40 {
                self.check.wrong(format!("{path}.keyword"), "one word of 40 characters at most");
            }
            let (Some(merchant), Some(number)) = (merchant, number) else { continue };
            if self.check.mistakes.len() != before {
                continue;
            }
            items.push(Item {
                name: format!("{number} {keyword}"),
                key: args![number, keyword],
                cells: vec![
                    set(merchant),
                    set(wanted.purpose.word()),
                    set(wanted.approved),
                    set(word(&wanted.language)?),
                ],
            });
        }
        self.sync(&KEYWORDS, items).await?;
        Ok(())
    }

    pub(super) async fn sms_hooks(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut kept = Vec::new();
        for row in self.conn.rows("SELECT name FROM sms_hooks", args![]).await? {
            kept.push(row.text(0)?);
        }
        let mut items = Vec::new();
        for (i, hook) in desired.sms_hooks.iter().enumerate() {
            let path = format!("sms_hooks[{i}]");
            let before = self.check.mistakes.len();
            if !is_name(&hook.name) {
                self.check.wrong(format!("{path}.name"), "letters, digits, - and _");
            }
            let secret = self.token(&format!("{path}.secret"), hook.secret.as_deref());
            if hook.secret.is_none() && !kept.contains(&hook.name) {
                self.check.wrong(format!("{path}.secret"), "a new hook needs one");
            }
            if self.check.mistakes.len() != before {
                continue;
            }
            items.push(Item {
                name: hook.name.clone(),
                key: args![&hook.name],
                cells: vec![secret, set(json(&hook.fields)?)],
            });
        }
        self.sync(&HOOKS, items).await?;
        Ok(())
    }
}

/// Letters, digits, `-` and `_`.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
