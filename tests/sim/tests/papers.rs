//! The papers keep step with the sources: every test that a table of `docs/` names is there, and every
//! promise and field case that must be shown is shown by a test that bears its id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Promises on the wire that must be shown.
const PROMISES: &[u32] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 26];
/// The same of what carriers, phones and features ask for.
const FEATURES: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 18, 20, 21];
/// Field cases that must be shown.
const CASES: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
    51, 52, 53, 54, 55, 62, 63, 64, 65, 66, 67, 68, 69, 70,
];
/// Classes of advisories that must be shown.
const CLASSES: &[u32] = &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 22];
/// Events of `/v1`.
const EVENTS: &[&str] = &[
    "leg.dialing",
    "leg.ringing",
    "leg.answered",
    "leg.ended",
    "dial.failed",
    "call.ended",
    "campaign.ended",
    "campaign.paused",
    "sms.received",
];
/// A name of so many words and more is that of a test.
const WORDS: usize = 5;
/// Lines between the attribute that makes a test and its name at most.
const NEAR: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|written| written == ending) {
            found.push(path);
        }
    }
}

/// Names of all tests, and where they are.
fn tests() -> BTreeMap<String, PathBuf> {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    let mut tests = BTreeMap::new();
    for path in sources {
        let text = std::fs::read_to_string(&path).expect("a source");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let name = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("async ");
            let name = name.strip_prefix("fn ");
            let Some((name, _)) = name.and_then(|name| name.split_once('(')) else { continue };
            let near = &lines[at.saturating_sub(NEAR)..at];
            // Nothing but attributes and comments between the mark and the name.
            let mark =
                near.iter().rposition(|line| line.starts_with("#[") && line.contains("test"));
            let own = mark.is_some_and(|mark| near[mark..].iter().all(|line| *line != "}"));
            // A contract that every store passes is a function of a test folder.
            let shared = line.contains("async fn ") || line.contains("(books: &mut dyn Books)");
            let shared = shared && path.iter().any(|part| part == "tests");
            if own || shared {
                tests.insert(name.to_owned(), path.clone());
            }
        }
    }
    assert!(tests.len() > 500, "{} tests", tests.len());
    tests
}

fn ticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of a table: first cell, names in the last one.
fn rows(file: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(root().join(file)).expect(file);
    let all = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let names = ticked(cells.last()?).map(str::to_owned).collect();
        Some(((*cells.first()?).to_owned(), names))
    });
    let mut rows = BTreeMap::new();
    for (id, names) in all {
        let number = id.ends_with(|c: char| c.is_ascii_digit());
        let before = rows.insert(id.clone(), names);
        assert!(before.is_none() || !number, "{file} has two rows {id}");
    }
    rows
}

fn bears(name: &str, mark: &str) -> bool {
    format!("_{name}").contains(&format!("_{mark}_"))
}

fn check(file: &str, required: &[u32], prefix: &str, marks: &[&str]) {
    let (tests, rows) = (tests(), rows(file));
    for number in required {
        let id = format!("{prefix}{number}");
        let names = rows.get(&id).unwrap_or_else(|| panic!("{file} has no row {id}"));
        let shows = |name: &String| {
            let mut marks = marks.iter().map(|mark| format!("{mark}{number}"));
            marks.any(|mark| bears(name, &mark))
        };
        assert!(names.iter().any(shows), "{file} {id}: no test bears {marks:?}");
    }
    for (id, names) in &rows {
        for name in names.iter().filter(|_| id.starts_with(char::is_alphanumeric)) {
            assert!(tests.contains_key(name) || id == "Id", "{file} {id}: there is no test {name}");
        }
    }
}

#[test]
fn every_promise_is_shown_by_tests_that_are_there() {
    check("docs/rfc/README.md", PROMISES, "A", &["a"]);
    check("docs/rfc/README.md", FEATURES, "B", &["b"]);
}

#[test]
fn every_field_case_is_shown_by_tests_that_are_there() {
    check("docs/field-cases.md", CASES, "", &["case_"]);
}

#[test]
fn every_class_of_advisories_is_shown_by_tests_that_are_there() {
    check("docs/advisories.md", CLASSES, "", &["advisory_", "class_"]);
}

/// Names of tests in running text, with or without a star at their end.
#[test]
fn no_paper_names_a_test_that_is_gone() {
    let (tests, mut papers) = (tests(), Vec::new());
    files(&root().join("docs"), "md", &mut papers);
    let (mut named, mut gone) = (0, Vec::new());
    for path in papers {
        let text = std::fs::read_to_string(&path).expect("a paper");
        let marked = |word: &&str| {
            let numbered = |mark: &str| {
                word.strip_prefix(mark)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            let plain =
                |c: char| c == '_' || c == '*' || c.is_ascii_lowercase() || c.is_ascii_digit();
            let marks = ["rfc", "case_", "a", "b", "class_", "advisory_", "f"];
            // A sentence; names of counters begin with that of the program.
            let told = word.matches('_').count() > WORDS && !word.starts_with("tandem_");
            word.contains('_')
                && word.chars().all(plain)
                && (told || marks.iter().any(|mark| numbered(mark)))
        };
        for word in ticked(&text).filter(marked) {
            let stem = format!("_{}", word.trim_end_matches('*'));
            let found = tests.keys().any(|name| {
                name == word || (word.ends_with('*') && format!("_{name}").contains(&stem))
            });
            if !found {
                gone.push(format!("{}: {word}", path.display()));
            }
            named += 1;
        }
    }
    assert!(gone.is_empty(), "there are no such tests: {gone:#?}");
    assert!(named > 100, "{named} names");
}

#[test]
fn every_page_on_a_standard_names_a_test() {
    let tests = tests();
    let mut pages = Vec::new();
    files(&root().join("docs/rfc"), "md", &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        let shown = ticked(&text).any(|word| {
            let stem = format!("_{}", word.trim_end_matches('*'));
            stem.len() > 6 && tests.keys().any(|name| format!("_{name}").contains(&stem))
        });
        let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
        let other = name == "5627" || !name.starts_with(|c: char| c.is_ascii_digit());
        assert!(shown || other, "{name}: nothing shows it");
    }
}

/// What the last cell of a row names has to be there, and each row names something.
fn all_shown(file: &str, tests: &BTreeMap<String, PathBuf>) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(root().join(file)).expect(file);
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        if last == "test" {
            continue;
        }
        let names: Vec<String> = ticked(last).map(str::to_owned).collect();
        assert!(!names.is_empty(), "{file} {first}: nothing shows it");
        for name in &names {
            assert!(tests.contains_key(name), "{file} {first}: there is no test {name}");
        }
        for id in ticked(first).chain((!first.contains('`')).then_some(first)) {
            rows.insert(id.to_owned(), names.clone());
        }
    }
    rows
}

#[test]
fn every_parameter_code_and_field_of_system_000_is_shown_by_tests_that_are_there() {
    let rows = all_shown("docs/merchants/000.md", &tests());
    for code in (1001..=1014).chain([1099]) {
        assert!(rows.contains_key(&code.to_string()), "code {code}");
    }
    for name in "username sign realname email callbackid callback_num destination_num returnurl data \
                 format account password number duplicate balance state callback_duration callback_fee \
                 destination_duration destination_fee callback_result success caller_noanswer caller_busy \
                 caller_reject caller_unreachable callee_noanswer callee_busy callee_reject callee_invalid \
                 callee_unreachable caller_hangup balance_not_enough timeout blocked system_error"
        .split_whitespace()
    {
        assert!(rows.contains_key(name), "{name}");
    }
}

/// Operations and problems stand in the sources as they are told.
#[test]
fn every_operation_problem_and_event_of_v1_is_shown_by_tests_that_are_there() {
    let rows = all_shown("docs/merchants/v1.md", &tests());
    let source = |name: &str| {
        let path = root().join("api/dialect/src/rest").join(name);
        std::fs::read_to_string(path).expect(name)
    };
    let quoted = |name: &str, many: usize| -> Vec<Vec<String>> {
        let of = |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
        let text = source(name);
        let listed = text.lines().filter(|line| line.ends_with("\";") && line.contains(" = "));
        listed.map(of).filter(|words: &Vec<String>| words.len() == many).collect()
    };
    let operations = quoted("op.rs", 3);
    let problems = quoted("problem.rs", 2);
    assert!(operations.len() > 50 && problems.len() > 25, "{operations:?} {problems:?}");
    let length = format!("EVENTS: [&str; {}]", EVENTS.len());
    assert!(source("event.rs").contains(&length), "other events than {EVENTS:?}");
    let mut told: Vec<String> = operations.iter().map(|op| op[..2].join(" ")).collect();
    told.extend(problems.iter().map(|problem| problem[0].clone()));
    told.extend(EVENTS.iter().map(|event| (*event).to_owned()));
    for one in &told {
        assert!(rows.contains_key(one), "docs/merchants/v1.md has no row {one}");
    }
    assert_eq!(rows.len(), told.len(), "rows of what there is not: {:#?}", rows.keys());
}

#[test]
fn every_oddity_of_the_merchants_interfaces_is_shown_by_tests_that_are_there() {
    assert!(all_shown("docs/merchants/oddities.md", &tests()).len() > 30);
}
