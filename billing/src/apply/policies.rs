//! Lists of numbers, and the policies that name them.

use std::collections::BTreeSet;

use facts::policy::{AtMost, NumberList, Rule};
use facts::{MerchantId, Number, Zone};

use super::sync::{Item, Show, Table, set};
use super::{Ids, Run};
use crate::db::{args, json};
use crate::desired::{Act, Policy};
use crate::error::Result;

const NUMBER_LISTS: Table = Table {
    kind: "number list",
    table: "number_lists",
    keys: &["name"],
    columns: &[("numbers", Show::Lines), ("prefixes", Show::Plain), ("patterns", Show::Plain)],
};

const POLICIES: Table = Table {
    kind: "policy",
    table: "policies",
    keys: &["name"],
    columns: &[("enabled", Show::Truth), ("rule", Show::Plain)],
};

/// Of numbers that are wrong so many are told; the rest are counted.
const TOLD_MAX: usize = 20;

impl Run<'_> {
    pub(super) async fn number_lists(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, list) in desired.number_lists.iter().enumerate() {
            let path = format!("number_lists[{i}]");
            if list.file.is_some() {
                let why = "files are read by `tandem apply`; give their numbers here";
                self.check.wrong(format!("{path}.file"), why);
            }
            if list.numbers.len() > NumberList::NUMBERS_MAX {
                let why = format!("{} numbers at most", NumberList::NUMBERS_MAX);
                self.check.wrong(format!("{path}.numbers"), why);
                continue;
            }
            for (j, prefix) in list.prefixes.iter().enumerate() {
                self.check.digits(&format!("{path}.prefixes[{j}]"), prefix);
            }
            let numbers = self.listed(&path, &list.numbers);
            let cells = vec![set(numbers), set(json(&list.prefixes)?), set(json(&list.patterns)?)];
            items.push(Item { name: list.name.clone(), key: args![&list.name], cells });
        }
        let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
        let acts = self.sync(&NUMBER_LISTS, items).await?;
        for (name, _) in names.iter().zip(acts).filter(|(_, act)| *act != Act::Unchanged) {
            let sql = "UPDATE number_lists SET revision = $2 WHERE name = $1";
            self.conn.exec(sql, args![name, crate::secrets::random()?]).await?;
        }
        Ok(())
    }

    /// Numbers as the store keeps them.
    fn listed(&mut self, path: &str, texts: &[String]) -> String {
        let mut numbers = BTreeSet::new();
        let mut wrong = 0_usize;
        for (i, text) in texts.iter().enumerate() {
            let why = match self.check.plan.parse(text) {
                Ok(Number::E164(digits)) => {
                    numbers.insert(digits);
                    continue;
                }
                Ok(Number::Short(_) | Number::Internal(_)) => {
                    "only numbers of E.164 can be on a list".to_owned()
                }
                Err(error) => error.to_string(),
            };
            wrong += 1;
            if wrong <= TOLD_MAX {
                self.check.wrong(format!("{path}.numbers[{i}]"), format!("{text:?}: {why}"));
            }
        }
        if wrong > TOLD_MAX {
            let why = format!("{} more are no numbers", wrong - TOLD_MAX);
            self.check.wrong(format!("{path}.numbers"), why);
        }
        numbers.into_iter().collect::<Vec<_>>().join("\n")
    }

    pub(super) async fn policies(&mut self) -> Result<()> {
        let desired = self.desired;
        if desired.policies.is_empty() {
            return Ok(());
        }
        let lists = self.ids("number_lists").await?;
        let mut items = Vec::new();
        for (i, policy) in desired.policies.iter().enumerate() {
            let path = format!("policies[{i}]");
            let before = self.check.mistakes.len();
            let rule = self.rule(&path, policy, &lists);
            if self.check.mistakes.len() != before {
                continue;
            }
            let cells = vec![set(policy.enabled), set(json(&rule)?)];
            items.push(Item { name: policy.name.clone(), key: args![&policy.name], cells });
        }
        self.sync(&POLICIES, items).await?;
        Ok(())
    }

    fn rule(&mut self, path: &str, policy: &Policy, lists: &Ids) -> Rule {
        let known = self.merchants.clone();
        let mut merchants = Vec::new();
        for (j, name) in policy.merchants.iter().enumerate() {
            let path = format!("{path}.merchants[{j}]");
            merchants.extend(self.check.find(&path, "merchants", name, &known).map(MerchantId));
        }
        for (key, names) in
            [("block", &policy.block), ("only", &policy.only), ("except", &policy.except)]
        {
            for (j, name) in names.iter().enumerate() {
                self.check.find(&format!("{path}.{key}[{j}]"), "number_lists", name, lists);
            }
        }
        for (j, prefix) in policy.prefixes.iter().enumerate() {
            self.check.digits(&format!("{path}.prefixes[{j}]"), prefix);
        }
        if let Some(Err(error)) = policy.time_zone.as_deref().map(Zone::named) {
            self.check.wrong(format!("{path}.time_zone"), error.to_string());
        }
        if policy.at_most.len() > Rule::AT_MOST_MAX {
            let why = format!("{} at most", Rule::AT_MOST_MAX);
            self.check.wrong(format!("{path}.at_most"), why);
        }
        for (j, span) in policy.at_most.iter().enumerate() {
            let path = format!("{path}.at_most[{j}]");
            let stop = "to forbid calls there use block";
            self.check.limit(&format!("{path}.calls"), Some(span.calls), stop);
            let longest = AtMost::WITHIN_MAX_S;
            if !(1..=longest).contains(&span.within_s) {
                self.check.wrong(format!("{path}.within_s"), format!("1 to {longest} seconds"));
            }
        }
        let rule = Rule {
            merchants,
            apps: policy.apps.clone(),
            services: policy.services.clone(),
            prefixes: policy.prefixes.clone(),
            block: policy.block.clone(),
            only: policy.only.clone(),
            except: policy.except.clone(),
            hours: policy.hours.clone(),
            closed: policy.closed.clone(),
            time_zone: policy.time_zone.clone(),
            at_most: policy.at_most.clone(),
            together: policy.together,
        };
        let says = !rule.block.is_empty() || !rule.only.is_empty() || !rule.at_most.is_empty();
        if !says && rule.hours.always() && rule.closed.always() {
            self.check.wrong(path, "it forbids nothing: block, only, hours, closed or at_most");
        }
        rule
    }
}
