//! Reads the operator's file so that every mistake is found in one go.
//!
//! Serde stops at the first mistake. So each object of the file is read by itself; what is wrong in it is
//! noted with its line and taken out or filled in, and it is read again, until nothing is wrong any more.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use billing::desired::{self, Desired};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::document::{self, Lines, Mistake};

/// The file as read.
pub(crate) struct OperatorFile {
    /// What could be understood.
    pub(crate) desired: Desired,
    /// Mistakes of form.
    pub(crate) mistakes: Vec<Mistake>,
    lines: Lines,
    /// Every path of the file, e.g. `merchants[2].tariff`, and where it stands.
    places: Vec<(String, Range<usize>)>,
    /// Paths of objects with mistakes of form: what the store says of them is not worth repeating.
    broken: Vec<String>,
}

/// Mistakes looked for in one object at most.
const MISTAKES_MAX: usize = 64;

impl OperatorFile {
    /// Reads a text.
    pub(crate) fn read(path: &Path, text: &str) -> OperatorFile {
        let (table, lines, mistakes) = document::read(path, text);
        let mut file = OperatorFile {
            desired: Desired::default(),
            mistakes,
            lines,
            places: Vec::new(),
            broken: Vec::new(),
        };
        file.note_places("", table.get_ref());
        for (key, value) in table.into_inner() {
            file.kind(&key, value);
        }
        file
    }

    /// These mistakes and those that the store found, each with its line.
    pub(crate) fn all_mistakes(&self, found: &[desired::Mistake]) -> Vec<Mistake> {
        let told = |path: &str| self.broken.iter().any(|broken| path.starts_with(&**broken));
        let meant = found.iter().filter(|mistake| !told(&mistake.path)).map(|mistake| {
            self.lines.mistake(
                &self.place(&mistake.path),
                format!("{}: {}", mistake.path, mistake.message),
            )
        });
        self.mistakes.iter().cloned().chain(meant).collect()
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
            _ => self.wrong(&key.span(), format!("{name}: no such kind of object")),
        }
    }

    /// Tariffs, whose rates are objects of their own.
    fn tariffs(&mut self, value: Spanned<DeValue<'_>>) -> Vec<desired::Tariff> {
        let mut tariffs = Vec::new();
        for (path, span, item) in self.items("tariffs", value) {
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
            tariffs.extend(tariff.map(|tariff| desired::Tariff { rates, ..tariff }));
        }
        tariffs
    }

    fn objects<T: DeserializeOwned>(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Vec<T> {
        let items = self.items(name, value);
        items
            .into_iter()
            .filter_map(|(path, span, item)| self.object(&path, Spanned::new(span, item)))
            .collect()
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

    /// One object, read again and again until everything wrong in it is known.
    fn object<T: DeserializeOwned>(
        &mut self,
        path: &str,
        value: Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            self.wrong(&span, format!("{path}: must be a table"));
            return None;
        };
        let (mut filled, mut removed) = (Vec::new(), Vec::new());
        for _ in 0..MISTAKES_MAX {
            let whole = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(whole)) {
                Ok(object) => return Some(object),
                Err(error) => error,
            };
            if !self.broken.iter().any(|known| known == path) {
                self.broken.push(path.to_owned());
            }
            if let Some(field) = missing(error.message()) {
                if filled.contains(&field) {
                    return None;
                }
                if !removed.contains(&field) {
                    self.wrong(&span, format!("{path}: `{field}` is missing"));
                }
                table.insert(
                    Spanned::new(0..0, Cow::Owned(field.clone())),
                    Spanned::new(0..0, DeValue::String(Cow::Borrowed(""))),
                );
                filled.push(field);
                continue;
            }
            let at = error.span().filter(|at| at.end > at.start)?;
            let culprit = table.iter().find_map(|(key, value)| {
                (covers(&key.span(), &at) || covers(&value.span(), &at))
                    .then(|| key.get_ref().to_string())
            });
            let Some(culprit) = culprit else {
                self.wrong(&at, format!("{path}: {}", plain(error.message())));
                return None;
            };
            self.wrong(&at, format!("{path}.{culprit}: {}", plain(error.message())));
            table.remove(&*culprit);
            removed.push(culprit);
        }
        None
    }

    fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.mistakes.push(self.lines.mistake(span, message));
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer.end > outer.start
}

/// The field that serde misses.
fn missing(message: &str) -> Option<String> {
    let field = message.strip_prefix("missing field `")?;
    field.split('`').next().map(str::to_owned)
}

/// Serde's words, first line.
fn plain(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
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
target = \"nowhere\"

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
        let found = mistakes(text, &[("merchants[0].tariff", "not told: the object is broken")]);
        let lines: Vec<&str> =
            found.iter().filter_map(|m| m.strip_prefix("op.toml:")?.split(':').next()).collect();
        assert_eq!(lines, ["3", "4", "6", "11", "15", "20", "22"], "{found:#?}");
        assert!(found[2].contains("merchants[1]: `name` is missing"), "{found:#?}");
        assert!(found[3].contains("e.g. 192.0.2.10:5060"), "{found:#?}");
        assert!(found[5].contains("tariffs[0].rates[1].initial"), "{found:#?}");
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
