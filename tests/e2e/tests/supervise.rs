//! A call of an extension on the program itself, and a supervisor who listens, whispers, comes in and leaves (merchant
//! API §4.9): who hears whom, what is told, what is on record.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::merchant::Merchant;
use e2e::pjsua::{Line, Phone};
use e2e::sipcall::{ACCESSKEY, APPID, ask, company};
use e2e::sound::Sound;
use e2e::tandem::{Setup, Tandem};
use serde_json::{Value, json};

const CUSTOMER: (&str, u32) = ("80000", 700);
const SEAT: (&str, u32) = ("80001", 1_300);
const BOSS: (&str, u32) = ("80002", 1_900);

/// Logs in; asks for services from then on.
fn door(http: SocketAddr) -> impl Fn(&str, &[(&str, &str)]) -> Value {
    let login = [("service", "App.Sip_Auth.Login"), ("appid", APPID), ("accesskey", ACCESSKEY)];
    let token = ask(http, &login)["data"]["result"]["token"].as_str().expect("a token").to_owned();
    move |service: &str, params: &[(&str, &str)]| {
        let service = format!("App.Sip_{service}");
        let known = [("service", service.as_str()), ("token", token.as_str())];
        ask(http, &[&known[..], params].concat())["data"].clone()
    }
}

/// Tenths of a second in which a tone is among what was heard.
fn tenths(heard: &Sound, hz: u32) -> usize {
    let turn = std::f32::consts::TAU * hz as f32 / heard.rate;
    let level = |sound: &[f32]| {
        let (mut cos, mut sin) = (0.0, 0.0);
        for (n, sample) in sound.iter().enumerate() {
            cos += sample * (turn * n as f32).cos();
            sin += sample * (turn * n as f32).sin();
        }
        2.0 * f32::hypot(cos, sin) / sound.len() as f32
    };
    heard.channels[0].chunks_exact((heard.rate / 10.0) as usize).filter(|w| level(w) > 0.02).count()
}

#[test]
fn s4_9_a_supervisor_listens_whispers_comes_in_and_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let seat = |(number, _): (&str, u32)| {
        format!(
            "\n[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let more = [seat(SEAT), seat(BOSS), company(USER, &merchant.url("/"))].concat();
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let tandem = Tandem::start(folder.path(), &Setup { settings: Vec::new(), operator });
    let mut phones = [CUSTOMER, SEAT, BOSS].map(|(user, tone)| {
        let (port, more) = (tandem.sip.port(), json!({ "ring_ms": 100 }));
        Phone::start(folder.path(), &Line { user, tone, port, more, ..Line::default() })
    });
    let door = door(tandem.http);
    let made = door("Call.MakeCall", &[("extnumber", SEAT.0), ("destnumber", CUSTOMER.0)]);
    assert_eq!(made["desc"], "呼叫命令发送成功", "{made}");
    phones[1].wait_state("CONFIRMED");
    phones[0].wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(500));
    let spy = |kind: &str| {
        let both = [("extnumber", BOSS.0), ("destnumber", SEAT.0), ("monitortype", kind)];
        let done = door("Call.SpyCall", &both);
        assert_eq!(done["status"], 0, "{done}");
    };
    spy("1");
    phones[2].wait_state("CONFIRMED");
    for kind in ["2", "4", "3"] {
        std::thread::sleep(Duration::from_millis(800));
        spy(kind);
    }
    let at = door("Status.GetSipCallStatus", &[("extnumber", "80001,80002")]);
    let [one, two] = [0, 1].map(|nth| at["result"][nth].clone());
    assert_eq!((&one["status"], &two["status"]), (&json!(1204), &json!(1204)), "{at}");
    assert_eq!((&one["channel"], &one["callee"]), (&made["result"]["uuid"], &json!(CUSTOMER.0)));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(door("Call.HangupCall", &[("extnumber", BOSS.0)])["status"], 0);
    phones[2].wait_state("DISCONNECTED");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(door("Call.HangupCall", &[("extnumber", SEAT.0)])["status"], 0);
    phones[0].wait_state("DISCONNECTED");
    phones[1].wait_state("DISCONNECTED");

    let told: Value = serde_json::from_str(&merchant.wait_for("/cdr", 1)[0].body).expect("JSON");
    assert_eq!((&told["callmethod"], &told["extnumber"]), (&json!(3), &json!(SEAT.0)), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10007), &json!(10040)));
    assert_eq!((&told["destnumber"], &told["uuid"]), (&json!(CUSTOMER.0), &made["result"]["uuid"]));
    let states: Vec<Value> = merchant
        .received("/state")
        .iter()
        .map(|state| serde_json::from_str(&state.body).expect("JSON"))
        .collect();
    let of = |user: &str| {
        let mine = states.iter().filter(|state| state["extnumber"] == user);
        mine.map(|state| (state["status"].as_str(), state["isbleg"].as_str())).collect::<Vec<_>>()
    };
    let all = |bleg| ["ring", "answer", "hangup"].map(|word| (Some(word), Some(bleg)));
    assert_eq!(of(SEAT.0), all("false"), "the seat");
    assert_eq!(of(CUSTOMER.0), all("true"), "and who is its customer here");
    let [customer, seat, boss] = phones.map(Phone::quit);
    let counts = [&customer, &seat, &boss]
        .map(|heard| [CUSTOMER, SEAT, BOSS].map(|(_, hz)| tenths(heard, hz)));
    let [at_customer, at_seat, at_boss] = counts;
    assert!((4..=12).contains(&at_customer[2]), "he is heard when he comes in: {counts:?}");
    assert!((12..=22).contains(&at_seat[2]), "and when he whispers, by the seat alone: {counts:?}");
    assert!(at_customer[1] >= 28 && at_seat[0] >= 28, "the two all the time: {counts:?}");
    assert!(at_boss[0] >= 20 && at_boss[1] >= 20 && at_boss[2] <= 2, "he hears both: {counts:?}");
    tandem.books_in_order();
}
