//! What carriers play in place of an answer, from sipp's packets to the merchant's `stateDesc`, the CDR and the CANCEL.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::country::{A, B, Country, USER, Wish};
use e2e::merchant::Merchant;
use e2e::sipp::Behaviour;
use e2e::sound;
use e2e::wait;
use e2e::ytx::{APP, account, ask};
use serde_json::{Value, json};

struct World {
    country: Country,
    merchant: Merchant,
    sounds: tempfile::TempDir,
}

/// B's carrier plays a sound of `make`; with what settings.
fn world(
    settings: &[&str],
    then: Option<(u32, &'static str)>,
    make: impl Fn(&Path) -> String,
) -> World {
    let sounds = tempfile::tempdir().expect("a folder");
    let sound = sounds.path().join(make(sounds.path()));
    let merchant = Merchant::start();
    let a = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: None };
    let wish = Wish {
        settings: settings.iter().map(|text| (*text).to_owned()).collect(),
        more: account(USER, &merchant.url("/cb/"), false),
        ..Wish::default()
    };
    let country = Country::new(&wish, &a, &Behaviour::Announces { sound, then }, 1);
    World { country, merchant, sounds }
}

/// One call; `stateDesc` of its record, and the CDR of the called leg.
fn call(world: &World) -> (String, Value) {
    let body = json!({
        "action": "callDailBack", "appid": APP, "src": A, "dst": B, "credit": "360",
        "srcclid": "01053180002", "dstclid": "01053180002",
    });
    let answer = ask(world.country.tandem.http, "call/DailbackCall.wx", &body);
    assert_eq!(answer["statusCode"], "0", "{answer}");
    let record = wait::until("the record", || {
        let all = world.merchant.received("/cb/Call");
        all.into_iter().find(|got| got.target == "/cb/Call")
    });
    let record: Value = serde_json::from_str(&record.body).expect("JSON");
    let cdrs = world.country.tandem.admin("GET", "/admin/v1/cdrs");
    let all = cdrs["items"].as_array().expect("CDRs");
    let b = all.iter().find(|cdr| cdr["leg"] == 1).expect("that of B").clone();
    (record["cdr"][0]["stateDesc"].as_str().expect("text").to_owned(), b)
}

fn announcement(name: &'static str) -> impl Fn(&Path) -> String {
    move |folder: &Path| {
        sound::speak_announcements(folder);
        format!("{name}.al")
    }
}

/// A loop of so many seconds on and off.
fn cadence(on: &'static str, off: &'static str) -> impl Fn(&Path) -> String {
    move |folder: &Path| {
        sound::write_alaw_cadence(&folder.join("tone.al"), 450, (on, off));
        "tone.al".to_owned()
    }
}

#[test]
fn an_announcement_says_more_than_the_status_behind_it() {
    let mut world =
        world(&[], Some((7_000, "480 Temporarily Unavailable")), announcement("zh-switched-off"));
    let (desc, cdr) = call(&world);
    assert_eq!(desc, "应答|关机", "{}", world.country.tandem.log());
    let facts = &cdr["facts"];
    assert_eq!((&facts["q850"], &facts["sip_final"]), (&json!(20), &json!(480)), "{cdr}");
    let heard = &facts["recognised"];
    assert_eq!((&heard["kind"], &heard["says"]), (&json!("announcement"), &json!("switched-off")));
    assert_eq!(heard["certain"], json!(true), "{heard}");
    assert!(world.country.carrier_b.finish().success(), "nothing was given up");
    world.country.tandem.books_in_order();
}

#[test]
fn a_number_that_does_not_exist_is_given_up_as_soon_as_that_is_certain() {
    let settings = ["recognition.release=certain"];
    let mut world = world(&settings, None, announcement("zh-no-such-number"));
    let begun = Instant::now();
    let (desc, cdr) = call(&world);
    // It rings for sixty seconds at most; the announcement lasts five.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(desc, "应答|空号");
    assert_eq!(cdr["facts"]["q850"], json!(1), "{cdr}");
    assert_eq!(cdr["facts"]["failure"]["kind"], json!("unallocated"), "{cdr}");
    assert!(world.country.carrier_b.finish().success(), "CANCEL came and its INVITE ended");
    let sent = world.country.carrier_b.messages();
    assert!(sent.contains("Reason: Q.850;cause=1"), "{sent}");
    world.country.tandem.books_in_order();
}

#[test]
fn a_busy_tone_is_busy_and_ends_the_attempt() {
    let settings = ["recognition.release=certain"];
    let mut world = world(&settings, None, cadence("0.35", "0.35"));
    let (desc, cdr) = call(&world);
    assert_eq!(desc, "应答|用户正忙");
    assert_eq!(cdr["facts"]["recognised"]["kind"], json!("busy"), "{cdr}");
    assert!(world.country.carrier_b.finish().success());
    world.country.tandem.books_in_order();
}

#[test]
fn ring_back_never_ends_a_call() {
    let settings = ["recognition.release=certain"];
    let then = Some((13_000, "480 Temporarily Unavailable"));
    let mut world = world(&settings, then, cadence("1", "4"));
    let (desc, cdr) = call(&world);
    assert_eq!(desc, "应答|无法拨通", "ringing is no reason");
    assert_eq!(cdr["facts"]["recognised"]["kind"], json!("ringing"), "{cdr}");
    assert!(world.country.carrier_b.finish().success(), "nobody gave it up");
}

#[test]
fn an_announcement_that_is_taught_while_calls_go_on_is_known_from_the_next_call_on() {
    let mut world = world(&[], Some((7_000, "480 Temporarily Unavailable")), |folder| {
        // In a voice that the starter library does not have.
        let spoken = folder.join("own.wav");
        let text = "The person you are calling has gone to sea and will not be back before spring";
        let out = std::process::Command::new("espeak-ng")
            .args(["-v", "en-us+f3", "-s", "165", "-w"])
            .arg(&spoken)
            .arg(text)
            .output();
        assert!(out.expect("espeak-ng runs").status.success());
        let out = std::process::Command::new("sox")
            .arg(&spoken)
            .args(["-r", "8000", "-c", "1", "-t", "al"])
            .arg(folder.join("own.al"))
            .args(["pad", "0", "1"])
            .output();
        assert!(out.expect("sox runs").status.success());
        "own.al".to_owned()
    });
    world.country.tandem.teach("own", "unreachable", &world.sounds.path().join("own.wav"));
    wait::until("the switch to read it", || {
        world.country.tandem.log().contains("announcements=58").then_some(())
    });
    let (desc, cdr) = call(&world);
    assert_eq!(desc, "应答|无法拨通", "{cdr}");
    assert_eq!(cdr["facts"]["recognised"]["says"], json!("unreachable"), "{cdr}");
    assert!(world.country.carrier_b.finish().success());
}
