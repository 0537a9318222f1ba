//! The fences between the rooms, read from what cargo resolves and from the sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may name whom; `switch`, and what exists for tests alone, may name everybody.
const ARROWS: &[(&str, &[&str])] = &[
    ("facts", &[]),
    ("sip", &[]),
    ("call", &["facts", "sip"]),
    ("rtp", &[]),
    ("audio", &[]),
    ("seal", &[]),
    ("media", &["rtp", "audio", "seal", "facts"]),
    ("money", &["facts"]),
    ("billing", &["money", "facts"]),
    ("dialect", &["facts"]),
    ("campaign", &[]),
    ("api", &["dialect", "billing", "campaign", "seal", "facts"]),
    ("phone", &[]),
    ("sim", &["facts", "sip", "call", "rtp", "audio", "money", "dialect"]),
];

/// Rooms without sockets, clocks, threads, databases.
const PURE: &[&str] =
    &["facts", "sip", "call", "rtp", "audio", "seal", "money", "dialect", "campaign"];

/// What a pure room may not reach by any way.
const BANNED: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "axum",
    "hyper",
    "reqwest",
    "sqlx",
    "sqlx-core",
    "dashmap",
    "crossbeam-channel",
    "crossbeam-utils",
    "parking_lot",
    "getrandom",
    "rand",
];

/// rsip depends on uuid, which depends on getrandom; nothing of ours calls either.
const EXCUSED: &[(&str, &str)] = &[("sip", "getrandom"), ("call", "getrandom")];

/// Crates of others that are named in one place only: name in sources, and where.
const PLACES: &[(&str, &[&str])] = &[
    ("rsip", &["switch/sip/src/wire", "switch/sip/tests"]),
    ("rtp_rs", &["media/rtp/src/packet"]),
    ("aes", &["media/rtp/src/srtp"]),
    ("aes_gcm", &["media/rtp/src/srtp", "media/seal/src/frame.rs"]),
    ("ctr", &["media/rtp/src/srtp"]),
    ("sqlx", &["billing/src/db", "billing/src/error.rs", "billing/tests"]),
    ("rusqlite", &["billing/src/db", "billing/src/error.rs"]),
    ("dashmap", &["switch/src/directory.rs"]),
    ("hickory_resolver", &["switch/src/dns.rs", "switch/src/dns"]),
    ("axum", &["api/src", "api/tests"]),
    ("symphonia", &["media/src/prompt"]),
    ("opus_rs", &["media/audio/src/codec/opus.rs"]),
    ("rusmpp", &["switch/src/smpp/wire.rs"]),
    ("rustls", &["switch/src/net", "tests/load/src/calls/lines.rs"]),
    ("tokio_rustls", &["switch/src/net"]),
    ("webpki", &["switch/src/net/tls.rs"]),
    ("webpki_roots", &["switch/src/net/tls.rs"]),
    ("tokio_tungstenite", &["switch/src/net/web.rs", "switch/src/net/tests/web.rs"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Normal dependencies by package id: those that end in the program.
fn graph(metadata: &Value) -> (BTreeMap<String, String>, BTreeMap<String, Vec<String>>) {
    let names = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]).to_owned(), text(&package["name"]).to_owned()))
        .collect();
    let edges = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let normal = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()))
                .map(|dep| text(&dep["pkg"]).to_owned())
                .collect();
            (text(&node["id"]).to_owned(), normal)
        })
        .collect();
    (names, edges)
}

fn id_of(names: &BTreeMap<String, String>, room: &str) -> String {
    let found = names.iter().find(|(id, name)| *name == room && id.starts_with("path+"));
    found.unwrap_or_else(|| panic!("no room {room}")).0.clone()
}

#[test]
fn rooms_name_only_whom_they_may() {
    let metadata = metadata();
    let (names, edges) = graph(&metadata);
    let rooms: BTreeSet<&str> = list(&metadata["workspace_members"])
        .iter()
        .filter_map(|id| names.get(text(id)).map(String::as_str))
        .collect();
    assert!(rooms.len() >= ARROWS.len(), "{rooms:?}");
    for (room, allowed) in ARROWS {
        let of_ours: BTreeSet<&str> = edges[&id_of(&names, room)]
            .iter()
            .map(|id| names[id].as_str())
            .filter(|name| rooms.contains(name))
            .collect();
        for name in &of_ours {
            assert!(allowed.contains(name), "{room} may not name {name}");
        }
    }
    for room in &rooms {
        let names_switch = edges[&id_of(&names, room)].iter().any(|id| names[id] == "switch");
        assert!(!names_switch, "{room} may not name switch");
    }
}

#[test]
fn pure_rooms_reach_no_clock_socket_thread_or_database() {
    let (names, edges) = graph(&metadata());
    for room in PURE {
        let mut todo = vec![id_of(&names, room)];
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if seen.insert(id.clone()) {
                let name = names[&id].as_str();
                assert!(
                    !BANNED.contains(&name) || EXCUSED.contains(&(*room, name)),
                    "{room} reaches {name}"
                );
                todo.extend(edges[&id].iter().cloned());
            }
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// True when a line of code, not of comment, uses the crate.
fn names(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let uses = [format!("{name}::"), format!("use {name};"), format!("extern crate {name}")];
    uses.iter().any(|using| {
        code.match_indices(using.as_str()).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '"')
        })
    })
}

#[test]
fn foreign_crates_are_named_in_their_one_place() {
    let root = root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 100, "the sources were not found");
    let mut strays = Vec::new();
    for file in files {
        let below =
            file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        if below.starts_with("tests/") || below.ends_with("fences.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source");
        for (name, places) in PLACES {
            let allowed = places.iter().any(|place| below.starts_with(place));
            if !allowed && text.lines().any(|line| names(line, name)) {
                strays.push(format!("{below} names {name}"));
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn every_pure_room_bans_clocks_and_random_order_by_lint() {
    for (room, folder) in [
        ("facts", "switch/facts"),
        ("sip", "switch/sip"),
        ("call", "switch/call"),
        ("rtp", "media/rtp"),
        ("audio", "media/audio"),
        ("seal", "media/seal"),
        ("money", "billing/money"),
        ("dialect", "api/dialect"),
    ] {
        let path = root().join(folder).join("clippy.toml");
        let text = std::fs::read_to_string(&path).expect("a clippy.toml");
        for ban in ["Instant::now", "SystemTime::now", "HashMap"] {
            assert!(text.contains(ban), "{room} does not ban {ban}");
        }
    }
}

#[test]
fn a_name_is_found_in_code_and_not_in_comments() {
    assert!(names("use rsip::Method;", "rsip"));
    assert!(names("    let x = rsip::Uri::try_from(t);", "rsip"));
    assert!(!names("// rsip::Uri is slow", "rsip"));
    assert!(!names("let x = crate_rsip::y;", "rsip"));
}
