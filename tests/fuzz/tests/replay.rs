//! The corpora as ordinary tests: every file as it is, and under seeded mutations.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fuzz::mutate::{Random, mutate};

/// Mutations of each file. `FUZZ_MUTATIONS` asks for more.
const MUTATIONS: u64 = 300;
/// The same for whole sound files, of which each is decoded.
const MUTATIONS_OF_SOUNDS: u64 = 40;
/// The same for scripts of operations, each of which is a whole life.
const MUTATIONS_OF_SCRIPTS: u64 = 3;

fn replay(name: &str) {
    let target = fuzz::TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", folder.display());
    let wanted = std::env::var("FUZZ_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let usual = match name {
        "sound" | "conference" => MUTATIONS_OF_SOUNDS,
        // Each makes minutes of sound, and hears them.
        "ear" | "keypad" => MUTATIONS_OF_SCRIPTS,
        _ if name.ends_with("_ops") => MUTATIONS_OF_SCRIPTS,
        _ => MUTATIONS,
    };
    let rounds = wanted.unwrap_or(usual);
    for (number, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).expect("a readable file");
        target(&bytes);
        let mut random = Random::new(number as u64 + 1);
        for round in 0..rounds {
            let mutated = mutate(&bytes, &mut random);
            let outcome = std::panic::catch_unwind(|| target(&mutated));
            if outcome.is_err() {
                let kept = std::env::temp_dir().join(format!("fuzz-{name}-{number}-{round}"));
                std::fs::write(&kept, &mutated).expect("a place to keep the input");
                panic!("{name}: {} in round {round}, input in {}", file.display(), kept.display());
            }
        }
    }
}

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let here = [$(stringify!($name)),*];
            let targets: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.as_slice(), targets.as_slice());
        }
    };
}

replays!(
    datagram,
    stream,
    uri,
    header,
    sdp,
    digest_header,
    differential,
    endpoint,
    reoffer,
    framing,
    guard,
    transaction_ops,
    dialog_ops,
    engine_ops,
    menu_ops,
    ussd,
    rtp,
    rtcp,
    relay,
    sound,
    codec,
    conference,
    ear,
    keypad,
    callni,
    http_body,
    http_stream,
    ytx,
    number,
    stun,
    srtp_unprotect,
);

/// The targets that play operations are worth something only while their corpora lead somewhere:
/// calls that are answered, cancelled, held, lost, billed.
#[test]
fn the_corpora_of_operations_reach_deep() {
    let read = |name: &str, story: fn(&[u8]) -> BTreeSet<String>| -> BTreeSet<String> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        std::fs::read_dir(folder)
            .expect("a corpus")
            .flat_map(|entry| story(&std::fs::read(entry.expect("a file").path()).expect("bytes")))
            .collect()
    };
    let miss = |seen: &BTreeSet<String>, words: &[&str]| {
        let missing: Vec<_> = words.iter().filter(|word| !seen.contains(**word)).collect();
        assert!(missing.is_empty(), "nothing has {missing:?} in {seen:?}");
    };
    miss(
        &read("transaction_ops", |bytes| fuzz::dialog_ops::story(bytes, false)),
        &[
            "Acked",
            "Answered",
            "Ended Bye",
            "Ended AckTimeout",
            "Failed 408",
            "200 CANCEL",
            "420 INVITE",
        ],
    );
    miss(
        &read("dialog_ops", |bytes| fuzz::dialog_ops::story(bytes, true)),
        &[
            "Acked",
            "Answered",
            "ByeDone",
            "Cancelled",
            "Reinvite",
            "crossed 487",
            "Ended AckTimeout",
            "202 REFER",
        ],
    );
    miss(
        &read("menu_ops", fuzz::menu_ops::menu_story),
        &[
            "asked by ims",
            "asked by message",
            "asked by call",
            "asked by simulator",
            "over: said",
            "over: left",
            "over: silent",
            "over: lost",
            "over: unavailable",
            "over: unpaid",
            "488 INVITE",
            "200 INFO",
            "200 INVITE",
            "INFO",
            "BYE",
            "written to",
            "heard",
        ],
    );
    miss(
        &read("engine_ops", fuzz::engine_ops::engine_story),
        &[
            "Abandon",
            "Settle",
            "BYE",
            "CANCEL",
            "ACK",
            "Extend",
            "callback LegA:busy",
            "callback LegB:no_answer",
            "dialled LegA:abandoned",
            "202 REFER",
            "403 REFER",
            "AddLeg",
            "Consult",
            "SetReach",
            "Discard",
            "hunt joined",
            "hunt not joined",
            "conference of 3",
        ],
    );
    miss(
        &read("ear", fuzz::hearing::ear_story),
        &["busy-tone", "congestion-tone", "ringing-tone", "special-tone", "fax", "silence"],
    );
    miss(&read("keypad", fuzz::hearing::keypad_story), &["0", "5", "#", "D"]);
}
