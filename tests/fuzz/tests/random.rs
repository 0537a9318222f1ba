//! Fresh scripts for the targets that play operations, and fresh bytes for all others. Those that read what the network
//! brings first get `FUZZ_SECONDS_EACH`, the others `FUZZ_SECONDS` together (a few seconds without either). Seeds
//! are counted up from `FUZZ_FROM`, which is the same number each time unless something else is said, so that a test
//! that passed yesterday fails today for what was changed in between; `FUZZ_FROM=fresh` begins at the time of day, to
//! look for more. The seed of a failure is printed; `FUZZ_TARGET` and `FUZZ_SEED` replay one.

#![allow(clippy::print_stderr, reason = "the input of a failure")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fuzz::mutate::{Random, mutate};

/// Targets that have a time of their own, and a test each below.
const NAMED: &[&str] =
    &["datagram", "stream", "sdp", "transaction_ops", "dialog_ops", "engine_ops"];
/// Seconds for each of these.
const SECONDS_EACH: u64 = 1;
/// Seconds for all others together.
const SECONDS: u64 = 6;
/// The first seed unless another is said.
const SEED: u64 = 0x7a6d;
/// Bytes of a script at most.
const SCRIPT_MAX: usize = 600;
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}

/// A script of a seed: random bytes, or the corpus spliced and bent.
fn script(seed: u64, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random::new(seed);
    if random.below(3) == 0 {
        let length = random.below(SCRIPT_MAX);
        return (0..length).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect();
    }
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..random.below(3) {
        let other = &corpus[random.below(corpus.len())];
        let from = random.below(other.len() + 1);
        let at = random.below(bytes.len() + 1);
        bytes.truncate(at);
        bytes.extend_from_slice(&other[from..]);
    }
    mutate(&bytes, &mut random)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn wanted(name: &str) -> bool {
    std::env::var("FUZZ_TARGET").ok().is_none_or(|only| only == name)
}

/// Where the seeds begin.
fn first_seed() -> u64 {
    if std::env::var("FUZZ_FROM").is_ok_and(|from| from == "fresh") {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        return clock.map_or(1, |since| u64::try_from(since.as_micros()).unwrap_or(1));
    }
    number("FUZZ_FROM").unwrap_or(SEED)
}

/// Plays one target for a time.
fn play((name, target): &fuzz::Target, time: Duration) {
    let corpus = corpus(name);
    let started = Instant::now();
    let (mut seed, mut runs, mut longest) = (first_seed(), 0_u64, Duration::ZERO);
    loop {
        seed = number("FUZZ_SEED").unwrap_or(seed + 1);
        let bytes = script(seed, &corpus);
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        longest = longest.max(begun.elapsed());
        if outcome.is_err() {
            let kept = std::env::temp_dir().join(format!("fuzz-{name}-{seed}"));
            std::fs::write(&kept, &bytes).expect("a place to keep the input");
            panic!("{name}: seed {seed}, input in {}", kept.display());
        }
        runs += 1;
        if started.elapsed() >= time {
            break;
        }
    }
    eprintln!("{name}: {runs} runs, the longest {longest:?}");
}

fn play_named(name: &str) {
    assert!(NAMED.contains(&name), "{name} would be played twice");
    let target = fuzz::TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    if wanted(name) {
        play(target, Duration::from_secs(number("FUZZ_SECONDS_EACH").unwrap_or(SECONDS_EACH)));
    }
}

#[test]
fn fresh_scripts_break_no_rule() {
    let rest = |(name, _): &&fuzz::Target| !NAMED.contains(name) && wanted(name);
    let targets: Vec<_> = fuzz::TARGETS.iter().filter(rest).collect();
    let total = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    let count = u32::try_from(targets.len().max(1)).expect("a few targets");
    for target in targets {
        play(target, total / count);
    }
}

#[test]
fn fresh_messages_break_no_rule() {
    play_named("datagram");
}

#[test]
fn fresh_streams_break_no_rule() {
    play_named("stream");
}

#[test]
fn fresh_descriptions_break_no_rule() {
    play_named("sdp");
}

#[test]
fn fresh_transactions_break_no_rule() {
    play_named("transaction_ops");
}

#[test]
fn fresh_dialogs_break_no_rule() {
    play_named("dialog_ops");
}

#[test]
fn fresh_lives_of_the_engine_break_no_rule() {
    play_named("engine_ops");
}
