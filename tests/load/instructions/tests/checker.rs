//! The check itself, by real runs under callgrind: what is no worse passes, what is worse does not.

use std::path::Path;
use std::process::Command;

fn instructions(arguments: &[&str], bounds: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_instructions"))
        .args(arguments)
        .arg("--bounds")
        .arg(bounds)
        .output()
        .expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_tenth_more_work_fails_and_the_same_work_passes() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = folder.path().join("bounds.toml");
    let (written, said) = instructions(&["write", "--only", "settle_call"], &bounds);
    assert!(written, "{said}");
    let (same, said) = instructions(&["check", "--only", "settle_call"], &bounds);
    assert!(same && said.contains("kept"), "{said}");
    let worse = ["check", "--only", "settle_call", "--worse", "10"];
    let (passed, said) = instructions(&worse, &bounds);
    assert!(!passed && said.contains("EXCEEDED"), "{said}");
    let (passed, said) = instructions(&["check", "--only", "relay_forward"], &bounds);
    assert!(!passed && said.contains("NO BOUND"), "a new operation needs a bound: {said}");
}
