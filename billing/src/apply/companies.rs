//! Companies of system 002.

use std::collections::{BTreeMap, BTreeSet};

use facts::UnixMillis;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use super::Run;
use super::check::LANGUAGES;
use super::sync::{Item, Show, Table, set};
use crate::db::{args, json, word};
use crate::error::Result;

/// What a company may be let ask for: the groups of services of system 002, by their names.
const MODULES: [&str; 9] =
    ["call", "cdr", "disnum", "extgroup", "queue", "sipnum", "status", "voice", "yccall"];

const COMPANIES: Table = Table {
    kind: "company",
    table: "companies",
    keys: &["companycode"],
    columns: &[
        ("appid", Show::Plain),
        ("accesskey", Show::Secret),
        ("merchant_id", Show::Name("merchants")),
        ("cdr_url", Show::Plain),
        ("state_url", Show::Plain),
        ("active", Show::Truth),
        ("name", Show::Plain),
        ("language", Show::Plain),
        ("allowed_ips", Show::Plain),
        ("expires", Show::Plain),
        ("modules", Show::Plain),
        ("callers", Show::Plain),
        ("record", Show::Record),
        ("dedupe_customuuid", Show::Truth),
        ("cdr_version", Show::Plain),
        ("state_method", Show::Plain),
    ],
};

impl Run<'_> {
    pub(super) async fn companies(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        let mut logins = self.logins().await?;
        for (i, company) in desired.companies.iter().enumerate() {
            let path = format!("companies[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &company.merchant);
            self.check.not_empty(&format!("{path}.accesskey"), Some(&company.accesskey));
            self.check.not_empty(&format!("{path}.appid"), Some(&company.appid));
            let login = (company.appid.clone(), company.accesskey.clone());
            let whose = logins.entry(login).or_insert_with(|| company.companycode.clone());
            if *whose != company.companycode {
                let why = format!("company {whose} has this appid and accesskey: it would log in");
                self.check.wrong(format!("{path}.accesskey"), why);
            }
            self.check.url(&format!("{path}.cdr_url"), company.cdr_url.as_deref());
            self.check.url(&format!("{path}.state_url"), company.state_url.as_deref());
            if let Some(language) = &company.language {
                self.check.one_of(&format!("{path}.language"), language, &LANGUAGES);
            }
            let nets = self.check.nets(&format!("{path}.allowed_ips"), &company.allowed_ips);
            for (n, module) in company.modules.iter().enumerate() {
                self.check.one_of(&format!("{path}.modules[{n}]"), module, &MODULES);
            }
            let mut callers = Vec::new();
            for (n, caller) in company.callers.iter().enumerate() {
                callers.extend(self.check.phone(&format!("{path}.callers[{n}]"), caller));
            }
            let expires = company.expires.as_deref().map(instant);
            if expires == Some(None) {
                let why = "a day or an instant: 2030-12-31, or 2030-12-31 23:59:59";
                self.check.wrong(format!("{path}.expires"), why);
            }
            let Some(merchant) = merchant.filter(|_| self.check.mistakes.len() == before) else {
                continue;
            };
            let mut modules = company.modules.clone();
            modules.sort();
            modules.dedup();
            items.push(Item {
                name: company.companycode.clone(),
                key: args![&company.companycode],
                cells: vec![
                    set(&company.appid),
                    set(&company.accesskey),
                    set(merchant),
                    set(company.cdr_url.clone()),
                    set(company.state_url.clone()),
                    set(company.active),
                    set(company.name.as_ref().unwrap_or(&company.companycode)),
                    set(company.language.clone()),
                    set(json(&nets)?),
                    set(expires.flatten()),
                    set(json(&modules)?),
                    set(json(&callers)?),
                    set(company.record.code()),
                    set(company.dedupe_customuuid),
                    set(word(&company.cdr_version)?),
                    set(word(&company.state_method)?),
                ],
            });
        }
        self.sync(&COMPANIES, items).await?;
        Ok(())
    }

    /// Who logs in with which `appid` and `accesskey`, of those whom the file leaves as they are.
    async fn logins(&mut self) -> Result<BTreeMap<(String, String), String>> {
        let mut logins = BTreeMap::new();
        let named: BTreeSet<&String> =
            self.desired.companies.iter().map(|company| &company.companycode).collect();
        if named.is_empty() {
            return Ok(logins);
        }
        let sql =
            "SELECT appid, accesskey, companycode, managed FROM companies ORDER BY companycode";
        for row in self.conn.rows(sql, args![]).await? {
            let whose = row.text(2)?;
            let goes = self.desired.prune && row.truth(3)?;
            if !goes && !named.contains(&whose) {
                logins.entry((row.text(0)?, row.text(1)?)).or_insert(whose);
            }
        }
        Ok(logins)
    }
}

/// An instant as system 002 writes it: China Standard Time, which has no summer.
fn instant(text: &str) -> Option<UnixMillis> {
    let day = || Date::strptime("%Y-%m-%d", text).ok().map(|day| day.at(0, 0, 0, 0));
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok().or_else(day)?;
    let zone = TimeZone::fixed(Offset::constant(8));
    let at = zone.to_timestamp(civil).ok()?;
    Some(UnixMillis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_ends_at_an_instant_of_beijing() {
        assert_eq!(instant("2026-01-15 09:30:00"), Some(UnixMillis(1_768_440_600_000)));
        assert_eq!(instant("2026-01-15"), Some(UnixMillis(1_768_406_400_000)));
        for wrong in ["", "2026-02-30", "2026-01-15 25:00:00", "15.1.2026"] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }
}
