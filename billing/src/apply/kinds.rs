//! The kinds of objects: what each must be, and which columns it fills.

use std::collections::BTreeMap;

use facts::manners::Dtmf;
use facts::media::Codec;
use facts::{Hours, Micros, Number, Zone};

use super::Run;
use super::check::LANGUAGES;
use super::groups::{Internal, Whose};
use super::sync::{Cell, Item, Show, Table, set};
use crate::db::{Value, args, json, word};
use crate::desired::{Act, CallbackMode, Change, YtxApp};
use crate::error::Result;
use crate::rows::Callback;
use crate::secrets;

const MERCHANTS: Table = Table {
    kind: "merchant",
    table: "merchants",
    keys: &["name"],
    columns: &[
        ("key", Show::Secret),
        ("password", Show::Secret),
        ("status", Show::Plain),
        ("currency", Show::Plain),
        ("language", Show::Plain),
        ("tariff_id", Show::Name("tariffs")),
        ("max_calls", Show::Plain),
        ("calls_per_second", Show::Plain),
        ("max_talk_s", Show::Plain),
        ("caller_id", Show::Plain),
        ("record", Show::Record),
        ("allowed_ips", Show::Plain),
        ("hex_case", Show::Plain),
        ("pstn_caller", Show::Truth),
        ("fraud", Show::Plain),
        ("pool", Show::Plain),
        ("capacity", Show::Plain),
    ],
};

const SUB_ACCOUNTS: Table = Table {
    kind: "sub-account",
    table: "sub_accounts",
    keys: &["merchant_id", "name"],
    columns: &[
        ("realname", Show::Plain),
        ("email", Show::Plain),
        ("enabled", Show::Truth),
        ("fraud", Show::Plain),
        ("capacity", Show::Plain),
    ],
};

const EXTENSIONS: Table = Table {
    kind: "extension",
    table: "extensions",
    keys: &["number"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("sub_account_id", Show::Plain),
        ("enabled", Show::Truth),
        ("ha1_md5", Show::Secret),
        ("ha1_sha256", Show::Secret),
        ("bound_phone", Show::Plain),
        ("max_contacts", Show::Plain),
        ("fraud", Show::Plain),
        ("reach", Show::Plain),
        ("capacity", Show::Plain),
        ("dtmf", Show::Plain),
        ("record", Show::Record),
    ],
};

const TRUNKS: Table = Table {
    kind: "trunk",
    table: "trunks",
    keys: &["name"],
    columns: &[
        ("enabled", Show::Truth),
        ("peers", Show::Plain),
        ("target", Show::Plain),
        ("transport", Show::Plain),
        ("domain", Show::Plain),
        ("auth_user", Show::Plain),
        ("auth_password", Show::Secret),
        ("auth_realm", Show::Plain),
        ("numbers", Show::Plain),
        ("codecs", Show::Plain),
        ("max_calls", Show::Plain),
        ("calls_per_second", Show::Plain),
        ("options", Show::Plain),
    ],
};

const ROUTES: Table = Table {
    kind: "route",
    table: "routes",
    keys: &["prefix", "trunk_id"],
    columns: &[
        ("priority", Show::Plain),
        ("weight", Show::Plain),
        ("cost", Show::Amount),
        ("hours", Show::Plain),
    ],
};

const INBOUND: Table = Table {
    kind: "inbound",
    table: "inbound",
    keys: &["number"],
    columns: &[
        ("extension", Show::Plain),
        ("capacity", Show::Plain),
        ("record", Show::Record),
        ("axb", Show::Truth),
    ],
};

const YTX_ACCOUNTS: Table = Table {
    kind: "ytx account",
    table: "ytx_accounts",
    keys: &["sid"],
    columns: &[
        ("auth_token", Show::Secret),
        ("merchant_id", Show::Name("merchants")),
        ("active", Show::Truth),
    ],
};

const YTX_APPS: Table = Table {
    kind: "ytx app",
    table: "ytx_apps",
    keys: &["appid"],
    columns: &[
        ("sid", Show::Plain),
        ("online", Show::Truth),
        ("functions", Show::Plain),
        ("callers", Show::Plain),
        ("callback", Show::Plain),
        ("cdr_types", Show::Plain),
        ("unknown_as", Show::Plain),
        ("allowed_ips", Show::Plain),
        ("record", Show::Record),
        ("language", Show::Plain),
        ("code_state", Show::Truth),
    ],
};

impl Run<'_> {
    pub(super) async fn settings(&mut self) -> Result<()> {
        let Some(settings) = &self.desired.settings else { return Ok(()) };
        let plan = &self.check.plan;
        let wanted = settings.plan();
        let mut fields = Vec::new();
        let mut differs = |name: &str, old: &str, new: &str| {
            if old != new {
                fields.push(format!("{name}: {old} → {new}"));
            }
        };
        differs("realm", &self.realm, &settings.realm);
        differs("country", &plan.country, &wanted.country);
        differs("trunk_prefix", &plan.trunk_prefix, &wanted.trunk_prefix);
        differs("international_prefix", &plan.international_prefix, &wanted.international_prefix);
        differs("short_max", &plan.short_max.to_string(), &wanted.short_max.to_string());
        differs("time_zone", &self.time_zone, &settings.time_zone);
        if let Err(error) = Zone::named(&settings.time_zone) {
            self.check.wrong("settings.time_zone", error.to_string());
        }
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if settings.realm.is_empty() || settings.realm.contains(['"', '\\', ' ']) {
            self.check.wrong("settings.realm", "a realm is a domain name");
        }
        if wanted.country.is_empty() || !digits(&wanted.country) {
            self.check.wrong("settings.country", "a country code is digits");
        }
        if !digits(&wanted.trunk_prefix) || !digits(&wanted.international_prefix) {
            self.check.wrong("settings", "dialling prefixes are digits");
        }
        if self.realm != settings.realm {
            self.refuse_stale_digests().await?;
        }
        self.realm.clone_from(&settings.realm);
        let act = if fields.is_empty() { Act::Unchanged } else { Act::Updated };
        let name = "settings".to_owned();
        self.changes.lines.push(Change { act, kind: "installation", name, fields });
        self.conn
            .exec(
                "UPDATE settings SET realm = $1, country = $2, trunk_prefix = $3, \
                 international_prefix = $4, short_max = $5, time_zone = $6",
                args![
                    &settings.realm,
                    &wanted.country,
                    &wanted.trunk_prefix,
                    &wanted.international_prefix,
                    u64::try_from(wanted.short_max).unwrap_or(u64::MAX),
                    &settings.time_zone
                ],
            )
            .await?;
        self.check.plan = wanted;
        Ok(())
    }

    /// A digest covers the realm: extensions whose password the file does not give could not register again.
    async fn refuse_stale_digests(&mut self) -> Result<()> {
        let fresh = |number: &str| {
            let mut extensions = self.desired.extensions.iter();
            extensions.any(|x| x.number == number && x.password.is_some())
        };
        for row in self.conn.rows("SELECT number FROM extensions ORDER BY number", args![]).await? {
            let number = row.text(0)?;
            if !fresh(&number) {
                let message = format!(
                    "extension {number} has a digest of the old realm: give its password in this file"
                );
                self.check.wrong("settings.realm", message);
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn merchants(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut kept = BTreeMap::new();
        for row in self.conn.rows("SELECT name, currency, password FROM merchants", args![]).await?
        {
            kept.insert(row.text(0)?, (row.text(1)?, row.opt_text(2)?));
        }
        let mut currencies = BTreeMap::new();
        for row in self.conn.rows("SELECT name, currency FROM tariffs", args![]).await? {
            currencies.insert(row.text(0)?, row.text(1)?);
        }
        let mut items = Vec::new();
        let mut accounts = Vec::new();
        for (i, merchant) in desired.merchants.iter().enumerate() {
            let path = format!("merchants[{i}]");
            let before = self.check.mistakes.len();
            self.check.merchant(&path, merchant);
            let credit = self.check.amount(&format!("{path}.credit"), &merchant.credit);
            let caller_id =
                self.check.opt_phone(&format!("{path}.caller_id"), merchant.caller_id.as_deref());
            let nets = self.check.nets(&format!("{path}.allowed_ips"), &merchant.allowed_ips);
            let fraud = self.check.fraud(&format!("{path}.fraud"), &merchant.fraud);
            let capacity = self.check.capacity(&format!("{path}.capacity"), &merchant.capacity);
            let pool = self.check.pool(&format!("{path}.pool"), merchant.pool.as_ref());
            let tariffs = self.tariffs.clone();
            let tariff = merchant.tariff.as_deref().and_then(|name| {
                self.check.find(&format!("{path}.tariff"), "tariffs", name, &tariffs)
            });
            let priced_in = merchant.tariff.as_ref().and_then(|name| currencies.get(name));
            if priced_in.is_some_and(|currency| *currency != merchant.currency) {
                let message = format!("the tariff is not in {}", merchant.currency);
                self.check.wrong(format!("{path}.tariff"), message);
            }
            let old = kept.get(&merchant.name);
            if old.is_some_and(|(currency, _)| *currency != merchant.currency) {
                self.check.wrong(format!("{path}.currency"), "cannot be changed any more");
            }
            if self.check.mistakes.len() != before {
                continue;
            }
            let hash = old.and_then(|(_, hash)| hash.clone());
            let cells = vec![
                set(merchant.key.clone().unwrap_or_default()),
                password(merchant.password.as_deref(), hash)?,
                set(word(&merchant.status)?),
                set(&merchant.currency),
                set(&merchant.language),
                set(tariff),
                set(merchant.max_calls),
                set(merchant.calls_per_second),
                set(merchant.max_talk),
                set(caller_id),
                set(merchant.record.code()),
                set(json(&nets)?),
                set(word(&merchant.hex_case)?),
                set(merchant.pstn_caller),
                set(fraud),
                set(pool.as_ref().map(json).transpose()?.unwrap_or_default()),
                set(capacity),
            ];
            items.push(Item { name: merchant.name.clone(), key: args![&merchant.name], cells });
            accounts.push((path, merchant, credit.unwrap_or_default()));
        }
        let first = self.changes.lines.len();
        self.sync(&MERCHANTS, items).await?;
        self.merchants = self.ids("merchants").await?;
        for (i, (path, merchant, credit)) in accounts.into_iter().enumerate() {
            let Some(&id) = self.merchants.get(&merchant.name) else { continue };
            if let Some(field) = self.account(&path, id, merchant, credit).await? {
                let line = &mut self.changes.lines[first + i];
                line.fields.push(field);
                line.act = if line.act == Act::Created { Act::Created } else { Act::Updated };
            }
        }
        Ok(())
    }

    /// A merchant's id by name, with the mistake if there is none.
    pub(super) fn merchant(&mut self, path: &str, name: &str) -> Option<i64> {
        self.check.find(&format!("{path}.merchant"), "merchants", name, &self.merchants)
    }

    pub(super) async fn sub_accounts(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, sub) in desired.sub_accounts.iter().enumerate() {
            let path = format!("sub_accounts[{i}]");
            let Some(merchant) = self.merchant(&path, &sub.merchant) else { continue };
            if !sub.email.is_empty() && !sub.email.contains('@') {
                self.check.wrong(format!("{path}.email"), "not an e-mail address");
            }
            let fraud = self.check.fraud(&format!("{path}.fraud"), &sub.fraud);
            let capacity = self.check.capacity(&format!("{path}.capacity"), &sub.capacity);
            items.push(Item {
                name: format!("{}/{}", sub.merchant, sub.name),
                key: args![merchant, &sub.name],
                cells: vec![
                    set(&sub.realname),
                    set(&sub.email),
                    set(sub.enabled),
                    set(fraud),
                    set(capacity),
                ],
            });
        }
        self.sync(&SUB_ACCOUNTS, items).await?;
        Ok(())
    }

    pub(super) async fn extensions(&mut self) -> Result<()> {
        let desired = self.desired;
        let internal = self.internal().await?;
        let owners = &internal.extensions;
        let mut subs = BTreeMap::new();
        let sql = "SELECT m.name || '/' || s.name, s.id FROM sub_accounts s \
                   JOIN merchants m ON m.id = s.merchant_id";
        for row in self.conn.rows(sql, args![]).await? {
            subs.insert(row.text(0)?, row.int(1)?);
        }
        let mut items = Vec::new();
        for (i, extension) in desired.extensions.iter().enumerate() {
            let path = format!("extensions[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &extension.merchant);
            if !is_internal(&extension.number) {
                let message = "an internal number has 5 to 10 digits and does not start with 0";
                self.check.wrong(format!("{path}.number"), message);
            }
            let sub = extension.sub_account.as_ref().and_then(|name| {
                let name = format!("{}/{name}", extension.merchant);
                self.check.find(&format!("{path}.sub_account"), "sub_accounts", &name, &subs)
            });
            let owner = owners.get(&extension.number);
            if owner.is_some_and(|owner| merchant.is_some_and(|merchant| merchant != *owner)) {
                self.check.wrong(format!("{path}.number"), "belongs to another merchant");
            }
            if internal.groups.contains_key(&extension.number) {
                self.check.wrong(format!("{path}.number"), "is the number of a group");
            }
            if owner.is_none() && extension.password.is_none() {
                self.check.wrong(format!("{path}.password"), "a new extension needs a password");
            }
            let stop = "no phone could register; to stop the extension set enabled = false";
            let contacts = Some(extension.max_contacts);
            self.check.limit(&format!("{path}.max_contacts"), contacts, stop);
            // An empty password is one that every scanner tries.
            self.check.not_empty(&format!("{path}.password"), extension.password.as_deref());
            let phone = extension.bound_phone.as_deref();
            let phone = self.check.opt_phone(&format!("{path}.bound_phone"), phone);
            let fraud = self.check.fraud(&format!("{path}.fraud"), &extension.fraud);
            let capacity = self.check.capacity(&format!("{path}.capacity"), &extension.capacity);
            let reach = extension.reach.as_ref();
            let reach = reach.and_then(|reach| {
                let path = format!("{path}.reach");
                let own = Some(extension.number.as_str());
                let whose = Whose { extension: own, merchant: (&extension.merchant, merchant) };
                self.reach((&path, whose), reach, &internal)
            });
            if self.check.mistakes.len() != before {
                continue;
            }
            // Named in the file, but with a mistake of its own: that one is reported.
            let Some(merchant) = merchant else { continue };
            let digests = extension
                .password
                .as_ref()
                .map(|password| secrets::ha1(&extension.number, &self.realm, password));
            let digest = |digest: Option<String>| match digest {
                Some(digest) => set(digest),
                None => Cell::Keep("".into()),
            };
            let (md5, sha256) = digests.unzip();
            items.push(Item {
                name: extension.number.clone(),
                key: args![&extension.number],
                cells: vec![
                    set(merchant),
                    set(sub),
                    set(extension.enabled),
                    digest(md5),
                    digest(sha256),
                    set(phone),
                    set(extension.max_contacts),
                    set(fraud),
                    match reach {
                        Some(reach) => set(json(&reach)?),
                        None => Cell::Keep("{}".into()),
                    },
                    set(capacity),
                    set(extension.dtmf.map(Dtmf::name)),
                    set(extension.record.code()),
                ],
            });
        }
        self.sync(&EXTENSIONS, items).await?;
        Ok(())
    }

    pub(super) async fn trunks(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, trunk) in desired.trunks.iter().enumerate() {
            let path = format!("trunks[{i}]");
            let before = self.check.mistakes.len();
            let peers = self.check.peers(&format!("{path}.peers"), trunk);
            let mut codecs = Vec::new();
            for (n, codec) in trunk.codecs.iter().enumerate() {
                let known = codec.to_ascii_lowercase();
                let names = Codec::ALL.map(Codec::name);
                self.check.one_of(&format!("{path}.codecs[{n}]"), &known, &names);
                codecs.extend(Codec::named(&known));
            }
            if trunk.codecs.is_empty() {
                self.check.wrong(format!("{path}.codecs"), "at least one codec is needed");
            }
            let stop = "leave the line out for no limit, or stop the trunk with enabled = false";
            self.check.limit(&format!("{path}.max_calls"), trunk.max_calls, stop);
            self.check.limit(&format!("{path}.calls_per_second"), trunk.calls_per_second, stop);
            self.check.carrier_limits(&path, trunk, stop);
            let credentials = [&trunk.user, &trunk.password, &trunk.realm];
            let given = credentials.iter().filter(|part| part.is_some()).count();
            if given != 0 && given != 3 {
                let why = "user, password and realm are given together or not at all";
                self.check.wrong(&path, why);
            }
            self.check.carrier_tls(&path, trunk);
            self.check.carrier_place(&path, trunk);
            self.check.carrier_manners(&path, trunk);
            self.check.carrier_watch(&path, trunk);
            self.check.carrier_marks(&path, trunk);
            let pool =
                self.check.pool(&format!("{path}.options.pool"), trunk.options.pool.as_ref());
            let options = facts::settings::TrunkOptions { pool, ..trunk.options.clone() };
            if self.check.mistakes.len() != before {
                continue;
            }
            items.push(Item {
                name: trunk.name.clone(),
                key: args![&trunk.name],
                cells: vec![
                    set(trunk.enabled),
                    set(json(&peers)?),
                    set(trunk.target.to_string()),
                    set(word(&trunk.transport)?),
                    set(&trunk.domain),
                    set(trunk.user.clone()),
                    set(trunk.password.clone()),
                    set(trunk.realm.clone()),
                    set(word(&trunk.numbers)?),
                    set(json(&codecs)?),
                    set(trunk.max_calls),
                    set(trunk.calls_per_second),
                    set(json(&options)?),
                ],
            });
        }
        self.sync(&TRUNKS, items).await?;
        self.trunks = self.ids("trunks").await?;
        Ok(())
    }

    /// The list of routes is complete when there is one.
    pub(super) async fn routes(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, route) in desired.routes.iter().enumerate() {
            let path = format!("routes[{i}]");
            let trunk =
                self.check.find(&format!("{path}.trunk"), "trunks", &route.trunk, &self.trunks);
            if !route.prefix.bytes().all(|byte| byte.is_ascii_digit()) {
                self.check.wrong(format!("{path}.prefix"), "a prefix is digits");
            }
            if route.weight == 0 {
                self.check.wrong(format!("{path}.weight"), "a weight is at least 1");
            }
            let cost = route.cost.as_ref();
            let cost = cost.and_then(|cost| self.check.amount(&format!("{path}.cost"), cost));
            if let Err(error) = Hours::try_from(route.hours.clone()) {
                self.check.wrong(format!("{path}.hours"), error.to_string());
            }
            let Some(trunk) = trunk else { continue };
            items.push(Item {
                name: route_name(&route.prefix, &route.trunk),
                key: args![&route.prefix, trunk],
                cells: vec![
                    set(route.priority),
                    set(route.weight),
                    set(cost.map(|Micros(cost)| cost)),
                    set(json(&route.hours)?),
                ],
            });
        }
        let keys: Vec<Vec<Value>> = items.iter().map(|item| item.key.clone()).collect();
        self.sync(&ROUTES, items).await?;
        if desired.routes.is_empty() {
            return Ok(());
        }
        let sql = "SELECT r.prefix, r.trunk_id, t.name FROM routes r JOIN trunks t ON t.id = r.trunk_id \
                   ORDER BY r.prefix, t.name";
        for row in self.conn.rows(sql, args![]).await? {
            let (prefix, trunk) = (row.text(0)?, row.int(1)?);
            let key = args![&prefix, trunk];
            if !keys.contains(&key) {
                let sql = "DELETE FROM routes WHERE prefix = $1 AND trunk_id = $2";
                self.conn.exec(sql, key).await?;
                let name = route_name(&prefix, &row.text(2)?);
                let change = Change { act: Act::Removed, kind: "route", name, fields: Vec::new() };
                self.changes.lines.push(change);
            }
        }
        Ok(())
    }

    /// Whether carriers know a number, and no phone of the switch has it. What is no number at all is told elsewhere.
    fn is_outside(&self, number: &str, internal: &Internal) -> bool {
        let (own, short) = (number.trim(), self.check.plan.parse(number));
        let inside = internal.extensions.contains_key(own) || internal.groups.contains_key(own);
        let named = ["extensions", "groups"].iter().any(|kind| self.check.names_it(kind, own));
        !inside && !named && !matches!(short, Ok(Number::Short(_) | Number::Internal(_)))
    }

    pub(super) async fn inbound(&mut self) -> Result<()> {
        let desired = self.desired;
        let internal = self.internal().await?;
        let mut items = Vec::new();
        for (i, inbound) in desired.inbound.iter().enumerate() {
            let path = format!("inbound[{i}]");
            let number = self.check.phone(&format!("{path}.number"), &inbound.number);
            if inbound.axb && !self.is_outside(&inbound.number, &internal) {
                let message =
                    "a privacy number is one outside: no short code, and no extension or group";
                self.check.wrong(format!("{path}.axb"), message);
            }
            let capacity = self.check.capacity(&format!("{path}.capacity"), &inbound.capacity);
            let (to, path) = (&inbound.extension, format!("{path}.extension"));
            let group = internal.groups.contains_key(to) || self.check.names_it("groups", to);
            let known = match group {
                true => internal.groups.get(to).copied(),
                false => self.check.find(&path, "extensions", to, &internal.extensions),
            };
            let (Some(number), Some(_)) = (number, known) else { continue };
            items.push(Item {
                name: number.clone(),
                key: args![number],
                cells: vec![
                    set(&inbound.extension),
                    set(capacity),
                    set(inbound.record.code()),
                    set(inbound.axb),
                ],
            });
        }
        self.sync(&INBOUND, items).await?;
        Ok(())
    }

    pub(super) async fn ytx_accounts(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, account) in desired.ytx_accounts.iter().enumerate() {
            let path = format!("ytx_accounts[{i}]");
            let merchant = self.merchant(&path, &account.merchant);
            if account.auth_token.is_empty() {
                self.check.wrong(format!("{path}.auth_token"), "may not be empty");
            }
            let Some(merchant) = merchant else { continue };
            items.push(Item {
                name: account.sid.clone(),
                key: args![&account.sid],
                cells: vec![set(&account.auth_token), set(merchant), set(account.active)],
            });
        }
        self.sync(&YTX_ACCOUNTS, items).await?;
        Ok(())
    }

    pub(super) async fn ytx_apps(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut sids = BTreeMap::new();
        for row in self.conn.rows("SELECT sid FROM ytx_accounts", args![]).await? {
            sids.insert(row.text(0)?, 0);
        }
        let mut items = Vec::new();
        for (i, app) in desired.ytx_apps.iter().enumerate() {
            let path = format!("ytx_apps[{i}]");
            let before = self.check.mistakes.len();
            let account = format!("{path}.account");
            let known = self.check.find(&account, "ytx_accounts", &app.account, &sids);
            for (n, function) in app.functions.iter().enumerate() {
                let allowed = ["call", "account", "sms", "code", "notice", "meeting"];
                self.check.one_of(&format!("{path}.functions[{n}]"), function, &allowed);
            }
            let mut callers = Vec::new();
            for (n, caller) in app.callers.iter().enumerate() {
                callers.extend(self.check.phone(&format!("{path}.callers[{n}]"), caller));
            }
            let nets = self.check.nets(&format!("{path}.allowed_ips"), &app.allowed_ips);
            if let Some(language) = &app.language {
                self.check.one_of(&format!("{path}.language"), language, &LANGUAGES);
            }
            let callback = self.callback(&path, app);
            if self.check.mistakes.len() != before || known.is_none() {
                continue;
            }
            let mut functions = app.functions.clone();
            functions.sort();
            functions.dedup();
            items.push(Item {
                name: app.appid.clone(),
                key: args![&app.appid],
                cells: vec![
                    set(&app.account),
                    set(app.online),
                    set(json(&functions)?),
                    set(json(&callers)?),
                    set(json(&callback)?),
                    set(word(&app.cdr_types)?),
                    set(word(&app.unknown_as)?),
                    set(json(&nets)?),
                    set(app.record.code()),
                    set(app.language.clone()),
                    set(app.code_state),
                ],
            });
        }
        self.sync(&YTX_APPS, items).await?;
        Ok(())
    }

    fn callback(&mut self, path: &str, app: &YtxApp) -> Callback {
        self.check.url(&format!("{path}.callback_url"), app.callback_url.as_deref());
        self.check.url(&format!("{path}.state_url"), app.state_url.as_deref());
        if app.state_url.is_some() && app.callback_mode != CallbackMode::Two {
            let message = "is only used with callback_mode = \"two\"";
            self.check.wrong(format!("{path}.state_url"), message);
        }
        let Some(url) = app.callback_url.clone() else { return Callback::Off };
        match app.callback_mode {
            CallbackMode::Suffix => Callback::Suffix { url },
            CallbackMode::Plain => Callback::Plain { url },
            CallbackMode::Two => Callback::Two { cdr: url, state: app.state_url.clone() },
        }
    }
}

/// The hash of a login password: the one that is kept when it fits.
pub(super) fn password(password: Option<&str>, kept: Option<String>) -> Result<Cell> {
    Ok(match (password, kept) {
        (None, _) => Cell::Keep(Value::Text(None)),
        (Some(password), Some(kept)) if secrets::matches(password, &kept) => set(kept),
        (Some(password), _) => set(secrets::hashed(password)?),
    })
}

/// 5 to 10 digits, not starting with 0 (merchant API §2.1).
pub(super) fn is_internal(number: &str) -> bool {
    (5..=10).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !number.starts_with('0')
}

fn route_name(prefix: &str, trunk: &str) -> String {
    format!("{} → {trunk}", if prefix.is_empty() { "*" } else { prefix })
}
