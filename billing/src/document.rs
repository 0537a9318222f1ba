//! Reads what the operator wants so that every mistake of form is found in one go.
//!
//! Serde stops at the first mistake. So each object is read by itself; what is wrong in it is noted with its
//! path and taken out or filled in, and it is read again, until nothing is wrong any more. What then is left
//! is looked at by the store, so that a value of the wrong type hides no unknown name. Where a path stands in
//! a text is the caller's knowledge.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::desired::{Desired, Mistake, Tariff};
use crate::words;

/// A document as read.
#[derive(Debug, Default)]
pub struct Document {
    /// What could be understood; stand-ins where something required is missing.
    pub desired: Desired,
    /// Mistakes of form.
    pub mistakes: Vec<Mistake>,
    /// Paths with mistakes of form: what the store says of them is not worth repeating.
    broken: Vec<String>,
    /// Where each object of a list that could be understood stands in the document's list.
    indices: BTreeMap<String, Vec<usize>>,
    /// Stand-ins so far, so that no two are the same name.
    stand_ins: usize,
}

/// Mistakes looked for in one object at most.
const MISTAKES_MAX: usize = 64;

/// The kinds of objects, as keys of the document.
pub const KINDS: [&str; 25] = [
    "settings",
    "prune",
    "tariffs",
    "merchants",
    "sub_accounts",
    "extensions",
    "groups",
    "trunks",
    "routes",
    "inbound",
    "top_ups",
    "ytx_accounts",
    "ytx_apps",
    "companies",
    "templates",
    "number_lists",
    "policies",
    "ussd_codes",
    "ussd_owners",
    "payment_gateways",
    "smpp_links",
    "sms",
    "sms_accounts",
    "sms_keywords",
    "sms_hooks",
];

/// One step of a path within an object.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Document {
    /// Reads a document's top level and everything below it.
    #[must_use]
    pub fn read(top: Map<String, Value>) -> Document {
        let mut document = Document::default();
        for (key, value) in top {
            document.kind(&key, value);
        }
        document
    }

    /// These mistakes and those that the store found, by the paths of the document.
    #[must_use]
    pub fn all_mistakes(&self, found: &[Mistake]) -> Vec<Mistake> {
        let meant = found
            .iter()
            .map(|mistake| (self.in_document(&mistake.path), &mistake.message))
            .filter(|(path, _)| !self.is_told(path))
            .map(|(path, message)| Mistake { path, message: message.clone() });
        self.mistakes.iter().cloned().chain(meant).collect()
    }

    /// True when a mistake of form says already what the store says of a path: it is about the same value
    /// or a part of it, or about an object as a whole that could not be read as a whole.
    fn is_told(&self, path: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.broken.iter().any(|broken| within(path, broken) || within(broken, path))
    }

    /// A path of the store as one of the document: the store counts only objects that could be understood.
    fn in_document(&self, path: &str) -> String {
        let (mut known, mut rest) = (String::new(), path);
        while let Some((name, tail)) = rest.split_once('[') {
            known += name;
            let Some((index, tail)) = tail.split_once(']') else { break };
            let index = index.parse().unwrap_or(0);
            let there = self.indices.get(&known).and_then(|list| list.get(index));
            known += &format!("[{}]", there.unwrap_or(&index));
            rest = tail;
        }
        known + rest
    }

    /// One key of the top level.
    fn kind(&mut self, name: &str, value: Value) {
        let desired = &mut self.desired;
        match (name, value) {
            ("prune", Value::Bool(prune)) => desired.prune = prune,
            ("prune", _) => self.wrong(name, "must be true or false"),
            ("settings", value) => self.desired.settings = self.object(name, value),
            ("tariffs", value) => self.desired.tariffs = self.tariffs(value),
            ("merchants", value) => self.desired.merchants = self.objects(name, value),
            ("sub_accounts", value) => self.desired.sub_accounts = self.objects(name, value),
            ("extensions", value) => self.desired.extensions = self.objects(name, value),
            ("groups", value) => self.desired.groups = self.objects(name, value),
            ("trunks", value) => self.desired.trunks = self.objects(name, value),
            ("routes", value) => self.desired.routes = self.objects(name, value),
            ("inbound", value) => self.desired.inbound = self.objects(name, value),
            ("top_ups", value) => self.desired.top_ups = self.objects(name, value),
            ("ytx_accounts", value) => self.desired.ytx_accounts = self.objects(name, value),
            ("ytx_apps", value) => self.desired.ytx_apps = self.objects(name, value),
            ("companies", value) => self.desired.companies = self.objects(name, value),
            ("templates", value) => self.desired.templates = self.objects(name, value),
            ("number_lists", value) => self.desired.number_lists = self.objects(name, value),
            ("policies", value) => self.desired.policies = self.objects(name, value),
            ("ussd_codes", value) => self.desired.ussd_codes = self.objects(name, value),
            ("ussd_owners", value) => self.desired.ussd_owners = self.objects(name, value),
            ("payment_gateways", value) => {
                self.desired.payment_gateways = self.objects(name, value);
            }
            ("smpp_links", value) => self.desired.smpp_links = self.objects(name, value),
            ("sms", value) => self.desired.sms = self.object(name, value),
            ("sms_accounts", value) => self.desired.sms_accounts = self.objects(name, value),
            ("sms_keywords", value) => self.desired.sms_keywords = self.objects(name, value),
            ("sms_hooks", value) => self.desired.sms_hooks = self.objects(name, value),
            _ => {
                let meant = words::meant(name, KINDS);
                self.wrong(name, format!("no such kind of object{meant}"));
            }
        }
    }

    /// Tariffs, whose rates are objects of their own.
    fn tariffs(&mut self, value: Value) -> Vec<Tariff> {
        let mut tariffs = Vec::new();
        for (index, mut item) in self.items("tariffs", value).into_iter().enumerate() {
            let path = format!("tariffs[{index}]");
            let rates = item.as_object_mut().and_then(|table| table.remove("rates"));
            let rates = rates
                .map(|rates| self.objects(&format!("{path}.rates"), rates))
                .unwrap_or_default();
            let tariff: Option<Tariff> = self.object(&path, item);
            if let Some(tariff) = tariff {
                self.indices.entry("tariffs".into()).or_default().push(index);
                tariffs.push(Tariff { rates, ..tariff });
            }
        }
        tariffs
    }

    fn objects<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Vec<T> {
        let mut objects = Vec::new();
        for (index, item) in self.items(name, value).into_iter().enumerate() {
            if let Some(object) = self.object(&format!("{name}[{index}]"), item) {
                self.indices.entry(name.to_owned()).or_default().push(index);
                objects.push(object);
            }
        }
        objects
    }

    fn items(&mut self, name: &str, value: Value) -> Vec<Value> {
        if let Value::Array(items) = value {
            return items;
        }
        self.wrong(name, format!("must be a list of {name}"));
        Vec::new()
    }

    /// One object, read again and again until everything wrong in it is known. What is wrong is taken
    /// out and what is missing is filled in, so that the rest is looked at for its meaning all the same.
    fn object<T: DeserializeOwned>(&mut self, path: &str, mut value: Value) -> Option<T> {
        if !value.is_object() {
            self.wrong(path, "must be a table");
            self.broken.push(path.to_owned());
            return None;
        }
        let mut filled = Vec::new();
        for _ in 0..MISTAKES_MAX {
            let error = match serde_path_to_error::deserialize::<_, T>(&value) {
                Ok(object) => return Some(object),
                Err(error) => error,
            };
            let message = error.inner().to_string();
            let steps = steps(error.path(), &message);
            let mended = match missing(&message) {
                Some(field) => self.fill_in(path, &mut value, (steps, field), &mut filled),
                None => self.take_out(path, &mut value, &steps, (&message, &filled)),
            };
            if !mended {
                break;
            }
        }
        self.broken.push(path.to_owned());
        None
    }

    /// Puts a stand-in where a required field is missing. False when none fits.
    fn fill_in(
        &mut self,
        path: &str,
        value: &mut Value,
        (mut steps, field): (Vec<Step>, String),
        filled: &mut Vec<Vec<Step>>,
    ) -> bool {
        let owner = written(path, &steps);
        let Some(Value::Object(table)) = at(value, &steps) else { return false };
        steps.push(Step::Key(field.clone()));
        let tries = filled.iter().filter(|known| **known == steps).count();
        self.stand_ins += 1;
        let Some(stand_in) = stand_in(tries, self.stand_ins) else { return false };
        table.insert(field.clone(), stand_in);
        let own = written(path, &steps);
        if !self.broken.contains(&own) {
            self.wrong(&owner, format!("`{field}` is missing"));
            self.broken.push(own);
        }
        filled.push(steps);
        true
    }

    /// Takes out what an error is about: a field, or one element of a list. False when that cannot be found.
    fn take_out(
        &mut self,
        path: &str,
        value: &mut Value,
        steps: &[Step],
        (message, filled): (&str, &[Vec<Step>]),
    ) -> bool {
        let own = written(path, steps);
        let told = self.broken.contains(&own);
        // A stand-in that does not fit is replaced by the next one; nobody needs to hear of it.
        if !told && !filled.iter().any(|known| known == steps) {
            self.wrong(&own, words::plain(message));
            self.broken.push(own);
        }
        let Some((last, owner)) = steps.split_last() else { return false };
        match (at(value, owner), last) {
            (Some(Value::Object(table)), Step::Key(key)) => table.remove(key).is_some(),
            // Not even a stand-in fits there: the list goes as a whole.
            (Some(list @ Value::Array(_)), Step::Index(_)) if told => {
                *list = Value::Array(Vec::new());
                true
            }
            (Some(Value::Array(items)), Step::Index(index)) => {
                self.stand_ins += 1;
                let stand_in = stand_in(0, self.stand_ins).unwrap_or_default();
                items.get_mut(*index).map(|item| *item = stand_in).is_some()
            }
            _ => false,
        }
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake { path: path.to_owned(), message: message.into() });
    }
}

/// What a required field is filled with: the first that can be read stays.
fn stand_in(tries: usize, number: usize) -> Option<Value> {
    Some(match tries {
        0 => format!("missing{number}").into(),
        1 => format!("192.0.2.1:{}", number % 60_000 + 1).into(),
        2 => 1.into(),
        3 => Value::Bool(false),
        _ => return None,
    })
}

/// Where an error is, within its object. A key that there is not is named by the message.
fn steps(path: &serde_path_to_error::Path, message: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect();
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    if let Some(key) = unknown.map(|key| Step::Key(key.to_owned()))
        && steps.last() != Some(&key)
    {
        steps.push(key);
    }
    steps
}

fn at<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn written(path: &str, steps: &[Step]) -> String {
    steps.iter().fold(path.to_owned(), |path, step| match step {
        Step::Key(key) => format!("{path}.{key}"),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

/// The field that serde misses.
fn missing(message: &str) -> Option<String> {
    let field = message.strip_prefix("missing field `")?;
    field.split('`').next().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> (Document, Vec<String>) {
        let Value::Object(top) = value else { panic!("a table") };
        let document = Document::read(top);
        let told = document.mistakes.iter().map(|m| format!("{}: {}", m.path, m.message)).collect();
        (document, told)
    }

    #[test]
    fn each_mistake_of_each_object_is_told_in_words_at_its_path() {
        let (document, told) = read(json!({
            "trunk": [],
            "prune": "yes",
            "merchants": [
                { "name": "a", "max_calls": "many", "curency": "CNY", "record": 1, "hex_case": "uper" },
                5,
                { "max_talk": -1, "allowed_ips": ["10.0.0.1", 7, null] },
            ],
            "trunks": [
                { "name": "t", "transport": "tpc", "options": {
                    "register": { "expires": 1.5 }, "probe": { "acept": [200] } } },
            ],
            "routes": { "prefix": "86" },
            "tariffs": [{ "name": "s", "rates": [{ "prefix": "*" }, { "per_minute": 0.1 }] }],
        }));
        for expected in [
            "trunk: no such kind of object; did you mean trunks?",
            "prune: must be true or false",
            "merchants[0].max_calls: takes a whole number, not the text \"many\"",
            "merchants[0].curency: no such field; did you mean currency?",
            "merchants[0].record: takes true, false or one of stereo, mono, a, b, apart, not 1",
            "merchants[0].hex_case: `uper` is none of mirror, lower, upper; did you mean upper?",
            "merchants[1]: must be a table",
            "merchants[2]: `name` is missing",
            "merchants[2].max_talk: takes a whole number from 0 up, not -1",
            "merchants[2].allowed_ips[1]: takes text, not 7",
            "merchants[2].allowed_ips[2]: takes text, not nothing",
            "trunks[0]: `target` is missing",
            "trunks[0].transport: `tpc` is none of udp, tcp, tls; did you mean tcp?",
            "trunks[0].options.register: `user` is missing",
            "trunks[0].options.register.expires: takes a whole number, not 1.5",
            "trunks[0].options.probe.acept: no such field; did you mean accept?",
            "routes: must be a list of routes",
            "tariffs[0].rates[0]: `per_minute` is missing",
            "tariffs[0].rates[1]: `prefix` is missing",
            "tariffs[0].rates[1].per_minute: takes text, not 0.1",
        ] {
            assert!(told.iter().any(|told| told == expected), "{expected}: {told:#?}");
        }
        assert_eq!(told.len(), 20, "{told:#?}");
        let desired = &document.desired;
        assert_eq!(
            (desired.merchants.len(), desired.trunks.len()),
            (2, 1),
            "what is right is read"
        );
        assert_eq!(desired.tariffs[0].rates.len(), 2);
    }

    #[test]
    fn what_the_store_says_is_told_by_the_documents_own_paths_and_not_twice() {
        let (document, _) = read(json!({
            "merchants": [5, { "name": "a", "tariff": 7 }, { "name": "b", "tariff": "gone" }],
        }));
        let of_the_store = |path: &str| Mistake { path: path.into(), message: "m".into() };
        let found = ["merchants[0].tariff", "merchants[1].tariff"].map(of_the_store);
        let all = document.all_mistakes(&found);
        let paths: Vec<&str> = all.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, ["merchants[0]", "merchants[1].tariff", "merchants[2].tariff"]);
    }

    #[test]
    fn a_document_without_mistakes_is_what_serde_reads() {
        let value = json!({
            "settings": { "realm": "r", "short_max": 5 },
            "prune": true,
            "trunks": [{ "name": "t", "target": "192.0.2.1:5060", "options": { "mtls": true } }],
            "tariffs": [{ "name": "s", "rates": [{ "prefix": "*", "per_minute": "1" }] }],
        });
        let desired: Desired = serde_json::from_value(value.clone()).unwrap();
        let (document, told) = read(value);
        assert_eq!((document.desired, told), (desired, Vec::new()));
    }
}
