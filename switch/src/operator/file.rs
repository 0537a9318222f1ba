//! Reads the operator's file so that every mistake is found in one go.
//!
//! Serde stops at the first mistake. So each object of the file is read by itself; what is wrong in it is
//! noted with its line and taken out or filled in, and it is read again, until nothing is wrong any more.
//! What then is left is looked at by the store, so that a value of the wrong type hides no unknown name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use billing::desired::{self, Desired};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::document::{self, Lines, Mistake};

/// The file as read.
pub(crate) struct OperatorFile {
    /// What could be understood; stand-ins where something required is missing.
    pub(crate) desired: Desired,
    /// Mistakes of form.
    pub(crate) mistakes: Vec<Mistake>,
    lines: Lines,
    /// Every path of the file, e.g. `merchants[2].tariff`, and where it stands.
    places: Vec<(String, Range<usize>)>,
    /// Paths with mistakes of form: what the store says of them is not worth repeating.
    broken: Vec<String>,
    /// Where each object of a list that could be understood stands in the file's list.
    indices: BTreeMap<String, Vec<usize>>,
    /// Offsets behind the end of the text, for what does not stand in it.
    nowhere: usize,
}

/// Mistakes looked for in one object at most.
const MISTAKES_MAX: usize = 64;

/// The kinds of objects, as keys of the file.
const KINDS: [&str; 13] = [
    "settings",
    "prune",
    "tariffs",
    "merchants",
    "sub_accounts",
    "extensions",
    "trunks",
    "routes",
    "inbound",
    "top_ups",
    "ytx_accounts",
    "ytx_apps",
    "companies",
];

/// True for a file that has something to apply: at least one kind of object.
pub(crate) fn is_operators(text: &str) -> bool {
    let (table, _) = DeTable::parse_recoverable(text);
    table.get_ref().keys().any(|key| KINDS.contains(&&**key.get_ref()))
}

impl OperatorFile {
    /// Reads a text.
    pub(crate) fn read(path: &Path, text: &str) -> OperatorFile {
        let mut file = OperatorFile {
            desired: Desired::default(),
            mistakes: Vec::new(),
            lines: Lines::of(path, text),
            places: Vec::new(),
            broken: Vec::new(),
            indices: BTreeMap::new(),
            nowhere: text.len(),
        };
        let document = match document::read(path, text) {
            Ok(document) => document,
            Err(mistake) => {
                file.mistakes.push(mistake);
                return file;
            }
        };
        file.mistakes = document.twice;
        file.note_places("", document.table.get_ref());
        for (key, value) in document.table.into_inner() {
            file.kind(&key, value);
        }
        file
    }

    /// These mistakes and those that the store found, each with its line.
    pub(crate) fn all_mistakes(&self, found: &[desired::Mistake]) -> Vec<Mistake> {
        let meant = found
            .iter()
            .map(|mistake| (self.in_file(&mistake.path), &mistake.message))
            .filter(|(path, _)| !self.is_told(path))
            .map(|(path, message)| {
                self.lines.mistake(&self.place(&path), format!("{path}: {message}"))
            });
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

    /// A path of the store as a path of the file: the store counts only objects that could be understood.
    fn in_file(&self, path: &str) -> String {
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

    /// Where a path stands; its nearest ancestor when it is not in the file.
    fn place(&self, path: &str) -> Range<usize> {
        let mut rest = path;
        loop {
            if let Some((_, span)) = self.places.iter().find(|(known, _)| known == rest) {
                return span.clone();
            }
            match rest.rfind(['.', '[']) {
                Some(cut) => rest = &rest[..cut],
                None => return 0..0,
            }
        }
    }

    fn note_places(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            self.places.push((path.clone(), key.span()));
            match value.get_ref() {
                DeValue::Table(inner) => self.note_places(&path, inner),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let path = format!("{path}[{index}]");
                        self.places.push((path.clone(), item.span()));
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.note_places(&path, inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// One key of the top level.
    fn kind(&mut self, key: &Spanned<Cow<'_, str>>, value: Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        match name {
            "settings" => self.desired.settings = self.object(name, value),
            "prune" => match value.get_ref().as_bool() {
                Some(prune) => self.desired.prune = prune,
                None => self.wrong(&value.span(), "prune: must be true or false"),
            },
            "tariffs" => self.desired.tariffs = self.tariffs(value),
            "merchants" => self.desired.merchants = self.objects(name, value),
            "sub_accounts" => self.desired.sub_accounts = self.objects(name, value),
            "extensions" => self.desired.extensions = self.objects(name, value),
            "trunks" => self.desired.trunks = self.objects(name, value),
            "routes" => self.desired.routes = self.objects(name, value),
            "inbound" => self.desired.inbound = self.objects(name, value),
            "top_ups" => self.desired.top_ups = self.objects(name, value),
            "ytx_accounts" => self.desired.ytx_accounts = self.objects(name, value),
            "ytx_apps" => self.desired.ytx_apps = self.objects(name, value),
            "companies" => self.desired.companies = self.objects(name, value),
            _ => {
                let message = match document::near(name, KINDS) {
                    Some(near) => format!("{name}: no such kind of object; did you mean {near}?"),
                    None => format!("{name}: no such kind of object"),
                };
                self.wrong(&key.span(), message);
            }
        }
    }

    /// Tariffs, whose rates are objects of their own.
    fn tariffs(&mut self, value: Spanned<DeValue<'_>>) -> Vec<desired::Tariff> {
        let mut tariffs = Vec::new();
        for (index, (path, span, item)) in self.items("tariffs", value).into_iter().enumerate() {
            let mut item = item;
            let rates = match &mut item {
                DeValue::Table(table) => table.remove("rates"),
                _ => None,
            };
            let rates = match rates {
                Some(rates) => self.objects(&format!("{path}.rates"), rates),
                None => Vec::new(),
            };
            let tariff: Option<desired::Tariff> = self.object(&path, Spanned::new(span, item));
            if let Some(tariff) = tariff {
                self.indices.entry("tariffs".into()).or_default().push(index);
                tariffs.push(desired::Tariff { rates, ..tariff });
            }
        }
        tariffs
    }

    fn objects<T: DeserializeOwned>(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Vec<T> {
        let mut objects = Vec::new();
        for (index, (path, span, item)) in self.items(name, value).into_iter().enumerate() {
            if let Some(object) = self.object(&path, Spanned::new(span, item)) {
                self.indices.entry(name.to_owned()).or_default().push(index);
                objects.push(object);
            }
        }
        objects
    }

    /// The elements of an array, with their paths and spans.
    fn items<'a>(
        &mut self,
        name: &str,
        value: Spanned<DeValue<'a>>,
    ) -> Vec<(String, Range<usize>, DeValue<'a>)> {
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.wrong(&span, format!("{name}: must be a list; write [[{name}]]"));
            return Vec::new();
        };
        items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (format!("{name}[{index}]"), item.span(), item.into_inner()))
            .collect()
    }

    /// One object, read again and again until everything wrong in it is known. What is wrong is taken
    /// out and what is missing is filled in, so that the rest is looked at for its meaning all the same.
    fn object<T: DeserializeOwned>(
        &mut self,
        path: &str,
        value: Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            self.wrong(&span, format!("{path}: must be a table"));
            self.broken.push(path.to_owned());
            return None;
        };
        let mut filled = Vec::new();
        for _ in 0..MISTAKES_MAX {
            let whole = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(whole)) {
                Ok(object) => return Some(object),
                Err(error) => error,
            };
            let mended = match missing(error.message()) {
                Some(field) => self.fill_in(path, &span, &mut table, (field, &mut filled)),
                None => self.take_out(path, &mut table, &error, &filled),
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
        span: &Range<usize>,
        table: &mut DeTable<'_>,
        (field, filled): (String, &mut Vec<String>),
    ) -> bool {
        let tries = filled.iter().filter(|known| **known == field).count();
        let Some(stand_in) = STAND_INS.get(tries) else { return false };
        let own = format!("{path}.{field}");
        if !self.broken.contains(&own) {
            self.wrong(span, format!("{path}: `{field}` is missing"));
            self.broken.push(own);
        }
        let text = format!("{stand_in}{}", self.nowhere % 1000);
        let (key, value) = (self.off_the_text(), self.off_the_text());
        table.insert(
            Spanned::new(key, Cow::Owned(field.clone())),
            Spanned::new(value, DeValue::String(Cow::Owned(text))),
        );
        filled.push(field);
        true
    }

    /// Takes out what an error is about: a field, or one element of a list. False when that cannot be found.
    fn take_out(
        &mut self,
        path: &str,
        table: &mut DeTable<'_>,
        error: &toml::de::Error,
        filled: &[String],
    ) -> bool {
        let Some(at) = error.span().filter(|at| at.end > at.start) else {
            return false;
        };
        let culprit = table.iter_mut().find_map(|(key, value)| {
            let hit = covers(&key.span(), &at) || covers(&value.span(), &at);
            hit.then(|| (key.get_ref().to_string(), value))
        });
        let Some((field, value)) = culprit else {
            self.wrong(&at, format!("{path}: {}", plain(error.message())));
            return false;
        };
        let own = format!("{path}.{field}");
        if let DeValue::Array(items) = value.get_mut()
            && let Some((index, item)) =
                items.iter_mut().enumerate().find(|(_, item)| covers(&item.span(), &at))
        {
            let own = format!("{own}[{index}]");
            if self.broken.contains(&own) {
                // Not even a stand-in fits there: the list goes as a whole.
                table.remove(&*field);
                return true;
            }
            self.wrong(&at, format!("{own}: {}", plain(error.message())));
            let nowhere = self.off_the_text();
            *item = Spanned::new(nowhere, DeValue::String(Cow::Borrowed(STAND_INS[0])));
            self.broken.push(own);
            return true;
        }
        // A stand-in that does not fit is replaced by the next one; nobody needs to hear of it.
        if !filled.contains(&field) {
            self.wrong(&at, format!("{own}: {}", plain(error.message())));
            self.broken.push(own);
        }
        table.remove(&*field);
        true
    }

    /// A span that nothing in the text has.
    fn off_the_text(&mut self) -> Range<usize> {
        self.nowhere += 2;
        self.nowhere..self.nowhere + 1
    }

    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.mistakes.push(self.lines.mistake(span, message));
    }
}

/// What a required field is filled with, before a number: the first that can be read stays.
const STAND_INS: [&str; 2] = ["missing", "192.0.2.1:1"];

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer.end > outer.start
}

/// The field that serde misses.
fn missing(message: &str) -> Option<String> {
    let field = message.strip_prefix("missing field `")?;
    field.split('`').next().map(str::to_owned)
}

/// Serde's words, first line; of a field that there is not, only the nearest that there is.
fn plain(message: &str) -> String {
    let line = message.lines().next().unwrap_or(message);
    let Some(rest) = line.strip_prefix("unknown field `") else { return line.to_owned() };
    // unknown field `x`, expected one of `a`, `b`
    let mut words = rest.split('`').step_by(2);
    let word = words.next().unwrap_or_default();
    match document::near(word, words) {
        Some(near) => format!("no such field; did you mean {near}?"),
        None => "no such field".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str, of_the_store: &[(&str, &str)]) -> Vec<String> {
        let file = OperatorFile::read(Path::new("op.toml"), text);
        let found: Vec<desired::Mistake> = of_the_store
            .iter()
            .map(|(path, message)| desired::Mistake {
                path: (*path).into(),
                message: (*message).into(),
            })
            .collect();
        let mut all: Vec<Mistake> = file.all_mistakes(&found);
        all.sort();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_is_found_in_one_go_with_its_line() {
        let text = "\
[[merchants]]
name = \"test\"
max_calls = \"many\"
colour = \"red\"

[[merchants]]
key = \"k\"

[[trunks]]
name = \"t\"
target = \"no where\"

[[tariffs]]
name = \"standard\"
[[tariffs.rates]]
prefix = \"86\"
[[tariffs.rates]]
prefix = \"*\"
per_minute = \"0.1\"
initial = -5

[trunk]
x = 1
";
        let found = mistakes(text, &[("merchants[0].max_calls", "not told twice")]);
        let lines: Vec<&str> =
            found.iter().filter_map(|m| m.strip_prefix("op.toml:")?.split(':').next()).collect();
        assert_eq!(lines, ["3", "4", "6", "11", "15", "20", "22"], "{found:#?}");
        assert!(found[2].contains("merchants[1]: `name` is missing"), "{found:#?}");
        assert!(found[3].contains("e.g. 192.0.2.10:5060"), "{found:#?}");
        assert!(found[5].contains("tariffs[0].rates[1].initial"), "{found:#?}");
        assert!(found[6].contains("no such kind of object; did you mean trunks?"), "{found:#?}");
    }

    /// Reads a text and shows the store what was understood, as `tandem check` does.
    async fn checked(text: &str) -> Vec<String> {
        let store = billing::Store::open("sqlite::memory:", billing::StoreConfig::default());
        let store = store.await.unwrap();
        let outcome = crate::operator::apply_text(&store, Path::new("op.toml"), text, true).await;
        store.close().await;
        let Err(crate::operator::Trouble::Mistakes(mut mistakes)) = outcome else {
            panic!("{outcome:?}");
        };
        mistakes.sort();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_value_of_the_wrong_type_hides_nothing_else_in_its_object() {
        let text = "\
[[merchants]]
name = \"test\"
max_calls = \"many\"
tariff = \"gone\"
curency = \"CNY\"
language = \"xx\"
allowed_ips = [\"10.0.0.0/8\", 5, \"nowhere\"]
credit = \"-1\"
calls_per_second = 0

[[trunks]]
name = \"t\"
target = 5060
codecs = [\"g729\"]
user = \"u\"

[[extensions]]
number = 80000
merchant = \"nobody\"

[[extensions]]
number = \"12\"
merchant = \"test\"
max_contacts = 0
";
        let found = checked(text).await;
        for expected in [
            "op.toml:3: merchants[0].max_calls: invalid type",
            "op.toml:4: merchants[0].tariff: there is no gone",
            "op.toml:5: merchants[0].curency: no such field; did you mean currency?",
            "op.toml:6: merchants[0].language: \"xx\" is none of",
            "op.toml:7: merchants[0].allowed_ips[1]: invalid type",
            "op.toml:7: merchants[0].allowed_ips[2]: \"nowhere\" is neither",
            "op.toml:8: merchants[0].credit: may not be negative",
            "op.toml:9: merchants[0].calls_per_second: 0 would let nothing through",
            "op.toml:13: trunks[0].target: ",
            "op.toml:14: trunks[0].codecs[0]: \"g729\" is none of",
            "op.toml:18: extensions[0].number: invalid type",
            "op.toml:19: extensions[0].merchant: there is no nobody",
            "op.toml:22: extensions[1].number: an internal number",
            "op.toml:24: extensions[1].max_contacts: 0 would",
        ] {
            assert!(found.iter().any(|m| m.starts_with(expected)), "{expected}: {found:#?}");
        }
        // What was told once is not told again, and what was taken out makes no mistakes of its own.
        assert_eq!(found.iter().filter(|m| m.contains("allowed_ips[1]")).count(), 1, "{found:#?}");
        assert_eq!(
            found.iter().filter(|m| m.contains("trunks[0].target")).count(),
            1,
            "{found:#?}"
        );
        assert_eq!(found.iter().filter(|m| m.contains("extensions[0].number")).count(), 1);
    }

    #[tokio::test]
    async fn what_the_store_says_of_later_objects_keeps_its_line_when_one_could_not_be_read() {
        let text = "\
merchants = [
  5,
  { name = \"a\", tariff = \"gone\" },
]
";
        let found = checked(text).await;
        assert_eq!(found[0], "op.toml:2: merchants[0]: must be a table");
        assert!(
            found[1].starts_with("op.toml:3: merchants[1].tariff: there is no gone"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    #[tokio::test]
    async fn a_syntax_error_is_one_mistake_and_a_key_given_twice_is_another() {
        let text = "[[merchants]]\nname = \"a\"\nmax_calls = = 5\ntariff = \"x\"\n[[trunks]\n";
        let found = checked(text).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("op.toml:3:13: "), "{found:#?}");
        let text = "[[merchants]]\nname = \"a\"\nname = \"b\"\ntariff = \"x\"\n";
        let found = checked(text).await;
        assert_eq!(found[0], "op.toml:3:1: `name` is given twice");
        assert!(found[1].starts_with("op.toml:4: merchants[0].tariff"), "{found:#?}");
    }

    #[test]
    fn what_the_store_finds_gets_its_line() {
        let text = "\n[[routes]]\nprefix = \"86\"\ntrunk = \"gone\"\n[[routes]]\ntrunk = \"t\"\n";
        let found = mistakes(
            text,
            &[("routes[0].trunk", "no such trunk"), ("routes[1].priority", "too high")],
        );
        assert!(found[0].starts_with("op.toml:4: routes[0].trunk: no such trunk"), "{found:#?}");
        assert!(found[1].starts_with("op.toml:5: routes[1].priority"), "{found:#?}");
    }

    #[test]
    fn the_sample_file_reads_without_a_mistake() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/operator.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let file = OperatorFile::read(Path::new(path), &text);
        assert_eq!(file.mistakes, []);
        assert!(!file.desired.merchants.is_empty() && !file.desired.ytx_apps.is_empty());
    }
}
