//! The generator of menus itself, small: what it counts as right has come, and nothing else has.

use std::process::Command;

fn menu_load(arguments: &[&str]) -> Vec<Vec<String>> {
    let out = Command::new(env!("CARGO_BIN_EXE_menu-load")).args(arguments).output();
    let out = out.expect("the generator runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap_or_else(|_| panic!("no number: {cell}"))
}

#[test]
fn s5_6_menus_of_a_network_beside_pages_that_do_harm() {
    let arguments = ["--up", "24", "--harm", "25", "--think-ms", "200", "--seconds", "2"];
    let rows = menu_load(&arguments);
    let row = &rows[1];
    let [open, ended, steps, wrong, refused] = [2, 3, 4, 5, 6].map(|at| number(&row[at]));
    assert!(open > 12.0 && open <= 24.0 && ended > 5.0 && steps > 20.0, "{rows:?}");
    assert_eq!((wrong, refused), (0.0, 0.0), "{rows:?}");
    let harms = number(&row[8]);
    assert!(harms >= 4.0, "each of them was dialled: {rows:?}");
}

#[test]
fn s5_4_payments_and_questions_after_them() {
    let rows = menu_load(&["--up", "0", "--payments", "20", "--invoices", "500", "--seconds", "1"]);
    let named = |name: &str| rows.iter().find(|row| row[0] == name).expect("a row");
    let pay = named("pay");
    assert_eq!((pay[1].as_str(), pay[2].as_str()), ("20", "20"), "{rows:?}");
    let inquire = named("inquire");
    assert!(inquire[1] == inquire[2] && number(&inquire[2]) > 20.0, "{rows:?}");
    assert!(
        rows.iter().any(|row| row.starts_with(&["20".into(), "of".into(), "20".into()])),
        "{rows:?}"
    );
}
