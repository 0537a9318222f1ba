//! Fresh scripts for the targets that play operations, and fresh bytes for all others, for as long as
//! `FUZZ_SECONDS` says (of all targets together; a few seconds without it). The seed of a failure is
//! printed; `FUZZ_TARGET` and `FUZZ_SEED` replay one.

#![allow(clippy::print_stderr, reason = "the input of a failure")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fuzz::mutate::{Random, mutate};

/// Seconds for all targets together.
const SECONDS: u64 = 12;
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

#[test]
fn fresh_scripts_break_no_rule() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = std::env::var("FUZZ_TARGET").ok();
    let targets: Vec<_> = fuzz::TARGETS
        .iter()
        .filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name))
        .collect();
    let total = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    let share = total / u32::try_from(targets.len()).expect("a few targets");
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let fresh = clock.map_or(1, |since| u64::try_from(since.as_micros()).unwrap_or(1));
    for (name, target) in targets {
        let corpus = corpus(name);
        let started = Instant::now();
        let (mut seed, mut runs, mut longest) = (fresh, 0_u64, Duration::ZERO);
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
            if started.elapsed() >= share {
                break;
            }
        }
        eprintln!("{name}: {runs} runs, the longest {longest:?}");
    }
}
