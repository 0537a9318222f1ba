//! The operator's file as text: what stands in it, and on which line.

use std::ops::Range;
use std::path::Path;

use billing::desired::{self, Desired, NumberList};
use billing::document::{Document, KINDS};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::document::{self, Lines, Mistake};

/// The file as read.
pub(crate) struct OperatorFile {
    document: Document,
    /// Mistakes of the text itself.
    mistakes: Vec<Mistake>,
    lines: Lines,
    /// Every path of the file, e.g. `merchants[2].tariff`, and where it stands.
    places: Vec<(String, Range<usize>)>,
}

/// True for a file that has something to apply: at least one kind of object.
pub(crate) fn is_operators(text: &str) -> bool {
    let (table, _) = DeTable::parse_recoverable(text);
    table.get_ref().keys().any(|key| KINDS.contains(&&**key.get_ref()))
}

impl OperatorFile {
    /// Reads a text.
    pub(crate) fn read(path: &Path, text: &str) -> OperatorFile {
        let mut file = OperatorFile {
            document: Document::default(),
            mistakes: Vec::new(),
            lines: Lines::of(path, text),
            places: Vec::new(),
        };
        match document::read(path, text) {
            Ok(read) => {
                file.mistakes = read.twice;
                file.note_places("", read.table.get_ref());
                file.document = Document::read(table(read.table.get_ref()));
                file.read_lists(path.parent().unwrap_or(Path::new("")));
            }
            Err(mistake) => file.mistakes.push(mistake),
        }
        file
    }

    /// Puts the numbers of files that lists name in place of their names. Relative names are those of this folder.
    fn read_lists(&mut self, folder: &Path) {
        for (i, list) in self.document.desired.number_lists.iter_mut().enumerate() {
            let Some(name) = list.file.take() else { continue };
            let path = folder.join(&name);
            match std::fs::read_to_string(&path) {
                Ok(text) => list.numbers.extend(NumberList::lines(&text).map(str::to_owned)),
                Err(error) => {
                    let message = format!("cannot read {}: {error}", path.display());
                    let path = format!("number_lists[{i}].file");
                    self.document.mistakes.push(desired::Mistake { path, message });
                }
            }
        }
    }

    /// What could be understood; stand-ins where something required is missing.
    pub(crate) fn desired(&self) -> &Desired {
        &self.document.desired
    }

    /// True when the text has a mistake of form: what it says must not be done.
    pub(crate) fn is_wrong(&self) -> bool {
        !self.mistakes.is_empty() || !self.document.mistakes.is_empty()
    }

    /// The mistakes of form and those that the store found, each with its line.
    pub(crate) fn all_mistakes(&self, found: &[desired::Mistake]) -> Vec<Mistake> {
        let lined = |mistake: desired::Mistake| {
            let desired::Mistake { path, message } = mistake;
            self.lines.mistake(&self.place(&path), format!("{path}: {message}"))
        };
        let all = self.document.all_mistakes(found).into_iter().map(lined);
        self.mistakes.iter().cloned().chain(all).collect()
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
            self.note_place(&path, value.get_ref());
        }
    }

    fn note_place(&mut self, path: &str, value: &DeValue<'_>) {
        match value {
            DeValue::Table(inner) => self.note_places(path, inner),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.places.push((path.clone(), item.span()));
                    self.note_place(&path, item.get_ref());
                }
            }
            _ => {}
        }
    }
}

/// The values of a table, without where they stand.
fn table(table: &DeTable<'_>) -> Map<String, Value> {
    table.iter().map(|(key, item)| (key.get_ref().to_string(), value(item.get_ref()))).collect()
}

fn value(item: &DeValue<'_>) -> Value {
    match item {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.to_string().into(), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| number.to_string().into(), Value::Number),
        DeValue::Boolean(yes) => (*yes).into(),
        // Nothing that the operator sets is a date: as a table it is refused wherever it stands.
        DeValue::Datetime(at) => {
            Map::from_iter([("date".to_owned(), at.to_string().into())]).into()
        }
        DeValue::Array(items) => items.iter().map(|item| value(item.get_ref())).collect(),
        DeValue::Table(inner) => table(inner).into(),
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
        let outcome =
            crate::operator::apply_text(&store, (Path::new("op.toml"), text), None, true).await;
        store.close().await;
        let Err(crate::operator::Trouble::Mistakes(mut mistakes)) = outcome else {
            panic!("{outcome:?}");
        };
        mistakes.sort();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn all_that_is_wrong_with_a_template_is_told_and_what_nobody_could_hear() {
        let text = "\
[[merchants]]
name = \"test\"
tariff = \"t\"

[[tariffs]]
name = \"t\"
currency = \"CNY\"

[[templates]]
id = \"1\"
merchant = \"test\"
parts = [
  { prompt = \"code-is\" },
  { prompt = \"nobody-has-it\" },
  { digits = \"12a\" },
  { digits = \"{0}\" },
  { prompt = \"\" },
  { money = { amount = \"1.234\", currency = \"CNY\" } },
  { spelled = \"{1}\" },
]

[[templates]]
id = \"2\"
merchant = \"test\"
language = \"fa\"
keys = 99
parts = [{ date = \"2026-02-30\" }, { prompt = \"code-is\" }, { prompt = \"code is\" }]
";
        let found = checked(text).await;
        let parts: Vec<&str> = found
            .iter()
            .map(|told| told.split_once(": ").unwrap().1.split(": ").next().unwrap())
            .collect();
        let wanted = [
            "templates[0].parts[1]",
            "templates[0].parts[2]",
            "templates[0].parts[3]",
            "templates[0].parts[4]",
            "templates[0].parts[5]",
            "templates[1].keys",
            "templates[1].parts[0]",
            "templates[1].parts[2]",
        ];
        let mut sorted = parts.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, wanted, "{found:#?}");
        let says = |words: &str| found.iter().any(|told| told.contains(words));
        assert!(says("no sound of the name nobody-has-it") && says("digits, * and # are wanted"));
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
codecs = [\"g728\"]
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
            "op.toml:3: merchants[0].max_calls: takes a whole number",
            "op.toml:4: merchants[0].tariff: there is no gone",
            "op.toml:5: merchants[0].curency: no such field; did you mean currency?",
            "op.toml:6: merchants[0].language: \"xx\" is none of",
            "op.toml:7: merchants[0].allowed_ips[1]: takes text, not 5",
            "op.toml:7: merchants[0].allowed_ips[2]: \"nowhere\" is neither",
            "op.toml:8: merchants[0].credit: may not be negative",
            "op.toml:9: merchants[0].calls_per_second: 0 would let nothing through",
            "op.toml:13: trunks[0].target: ",
            "op.toml:14: trunks[0].codecs[0]: \"g728\" is none of",
            "op.toml:18: extensions[0].number: takes text, not 80000",
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

    #[tokio::test]
    async fn the_habits_of_three_carriers_are_as_the_store_wants_them() {
        let store = billing::Store::open("sqlite::memory:", billing::StoreConfig::default());
        let store = store.await.unwrap();
        store.migrate().await.unwrap();
        let text = include_str!("../../../deploy/carriers.toml");
        let path = Path::new("carriers.toml");
        let changes = crate::operator::apply_text(&store, (path, text), None, false).await.unwrap();
        assert_eq!(changes.count(desired::Act::Created), 4);
        let snapshot = store.snapshot().await.unwrap();
        let named = |name: &str| snapshot.trunks.values().find(|trunk| trunk.name == name).unwrap();
        assert!(named("gateway").options.user_phone && named("provider").options.challenge);
        let pool = named("provider").options.pool.as_ref().unwrap();
        assert_eq!(pool.numbers[2], "862155550001");
        assert!(named("reseller-retail").options.known_by.is_some());
        store.close().await;
    }

    #[tokio::test]
    async fn s6_a_list_of_numbers_is_read_from_the_file_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            "\u{feff}+86 138 0013 8000,asked not to be called\n\n# by letter\n01088888888\r\n";
        std::fs::write(folder.path().join("dnc.csv"), lines).unwrap();
        let text = "[[number_lists]]\nname = \"dnc\"\nnumbers = [\"13900139000\"]\nfile = \"dnc.csv\"\n\
                    [[policies]]\nname = \"p\"\nblock = [\"dnc\"]\n";
        let store = billing::Store::open("sqlite::memory:", billing::StoreConfig::default());
        let store = store.await.unwrap();
        store.migrate().await.unwrap();
        let path = folder.path().join("op.toml");
        crate::operator::apply_text(&store, (&path, text), None, false).await.unwrap();
        let policies = store.snapshot().await.unwrap().policies;
        for number in ["8613800138000", "861088888888", "8613900139000"] {
            assert!(policies[0].block[0].has(number), "{number}");
        }
        std::fs::write(folder.path().join("dnc.csv"), "13800138001\n").unwrap();
        let changes =
            crate::operator::apply_text(&store, (&path, text), None, false).await.unwrap();
        let line = changes.lines.iter().find(|line| line.kind == "number list").unwrap();
        assert_eq!(line.fields, ["numbers: 3 → 2"], "a list is complete");
        let gone = text.replace("dnc.csv", "gone.csv");
        let file = OperatorFile::read(&path, &gone);
        let mistakes = file.all_mistakes(&[]);
        assert!(mistakes[0].to_string().contains("op.toml:4") && file.is_wrong(), "{mistakes:?}");
        store.close().await;
    }

    #[test]
    fn the_sample_file_reads_without_a_mistake() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/operator.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let file = OperatorFile::read(Path::new(path), &text);
        assert_eq!(file.all_mistakes(&[]), []);
        let desired = file.desired();
        assert!(!desired.merchants.is_empty() && !desired.ytx_apps.is_empty());
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/menu.toml");
        let file = OperatorFile::read(Path::new(path), &std::fs::read_to_string(path).unwrap());
        assert_eq!(file.all_mistakes(&[]), []);
    }
}
