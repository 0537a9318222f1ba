//! Conferences, codes and notices of `/v1` against the program and real far ends: what is heard, word by word and tone by
//! tone, also by somebody whom a scenario leads into a conference.

use std::path::Path;
use std::time::Duration;

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, A, B, Country, PASSWORD, USER, Wish};
use e2e::merchant::{Merchant, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::sipp::Behaviour;
use e2e::sound::{self, Sound, said};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

/// What each of them speaks, and his tone. The third is led in by a scenario.
const MEMBERS: [(&str, u32); 4] =
    [("pcma", 787), ("pcmu", 653), ("opus/48000/2", 1103), ("pcma", 1451)];
const LED: usize = 2;
/// Of what somebody hears each of three equal tones is a third; so much of it at least is to be there,
const HEARD: f32 = 0.12;
/// and so much at most of his own.
const NOT_HEARD: f32 = 0.005;

/// A request to the merchants' door.
fn ask(tandem: &Tandem, key: &str, request: (&str, &str), body: Option<Value>) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let text = body.map(|body| body.to_string()).unwrap_or_default();
    let (status, answer) = http(tandem.http, request.0, request.1, &headers, &text);
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

fn user(at: usize) -> String {
    format!("8100{at}")
}

fn started(folder: &Path) -> Tandem {
    let extension = |at| {
        let number = user(at);
        format!(
            "[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let more = (0..MEMBERS.len()).map(extension).collect();
    let wish = Wish { more, record: false, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let settings = vec!["media.codecs=opus,g722,pcma,pcmu".into()];
    Tandem::start(folder, &Setup { settings, operator })
}

fn phones(folder: &Path, tandem: &Tandem) -> Vec<Baresip> {
    let one = |(at, (codec, tone)): (usize, &(&str, u32))| {
        let (own, user) = (folder.join(format!("phone-{at}")), user(at));
        std::fs::create_dir_all(&own).expect("a folder");
        let file = own.join("tone.wav");
        sound::write_soft_wav_tone(&file, *tone, 60);
        let account = Account {
            srtp: None,
            user: &user,
            password: PASSWORD,
            domain: "tandem.example",
            registrar: tandem.sip.port(),
            transport: "udp",
            at_home: true,
            authority: None,
        };
        Baresip::speaking(&own, &account, &file, codec)
    };
    let phones: Vec<Baresip> = MEMBERS.iter().enumerate().map(one).collect();
    phones.iter().for_each(Baresip::wait_registered);
    phones
}

/// The share of each tone in the last two seconds of what one of them heard.
fn shares(phone: &Baresip) -> Vec<f32> {
    let heard = wait::until("what a phone heard", || phone.heard().pop());
    let heard = Sound::decode(&heard);
    let (samples, second) = (&heard.channels[0], heard.rate as usize);
    let end = samples.len().saturating_sub(second / 2);
    let part = &samples[end.saturating_sub(2 * second)..end];
    let windows: Vec<&[f32]> = part.chunks_exact(second / 5).collect();
    let share = |(_, tone): &(&str, u32)| {
        let each = windows.iter().map(|window| sound::share(window, heard.rate, *tone as f32));
        each.sum::<f32>() / windows.len().max(1) as f32
    };
    MEMBERS.iter().map(share).collect()
}

#[test]
fn a_scenario_leads_somebody_into_a_conference_and_all_hear_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let tandem = started(folder.path());
    let mut phones = phones(folder.path(), &tandem);
    let scopes = ["calls:read", "calls:write", "conferences:read", "conferences:write"];
    let key = tandem.api_key(USER, &scopes);
    let ask = |method: &str, path: &str, body| ask(&tandem, &key, (method, path), body);
    let wanted = json!({ "to": { "number": user(0) }, "title": "weekly",
                         "participants": [{ "number": user(1), "name": "Li" }] });
    let (status, begun) = ask("POST", "/v1/conferences", Some(wanted));
    assert_eq!(status, 201, "{begun}");
    let number = begun["conference"].as_str().expect("a number").to_owned();
    let url = begun["url"].as_str().expect("an address").to_owned();
    let joined = |count: usize| {
        let (_, told) = ask("GET", &url, None);
        let all = told["participants"].as_array().expect("a list").clone();
        let there = all.iter().filter(|one| one["status"] == "joined").count();
        (there == count).then_some(told)
    };
    wait::until("two who are in", || joined(2));
    let others = json!({ "participants": [{ "number": user(3) }] });
    assert_eq!(ask("POST", &format!("{url}/invite"), Some(others)).0, 202);
    let wanted = json!({ "to": { "number": user(LED) }, "scenario": { "start": "in", "steps": {
        "in": { "do": "conference", "conference": number, "next": "end", "failed": "wrong" },
        "wrong": { "do": "gather", "collect": { "max": 1 }, "timeout_s": 60 },
        "end": { "do": "hangup" } } } });
    let (status, placed) = ask("POST", "/v1/calls", Some(wanted));
    assert_eq!(status, 201, "{placed}");
    let call = placed["url"].as_str().expect("an address");
    let told = wait::until("four who are in", || joined(4));
    let led = told["participants"].as_array().expect("a list");
    let led = led.iter().find(|one| one["number"] == user(LED)).expect("he is listed").clone();
    assert_eq!(led["call"], placed["id"], "{told}");
    assert_eq!(ask("GET", call, None).1["stage"], "conference");
    std::thread::sleep(Duration::from_secs(3));
    let who = |at: usize| Some(json!({ "number": user(at) }));
    assert_eq!(ask("POST", &format!("{url}/mute"), who(1)).0, 200);
    let (_, told) = ask("GET", &url, None);
    for one in told["participants"].as_array().expect("a list") {
        assert_eq!(one["muted"], one["number"] == user(1), "{told}");
    }
    assert_eq!(ask("POST", &format!("{url}/kick"), who(LED)).0, 200);
    assert_eq!(ask("DELETE", &url, None).0, 202);
    // His call has a record of its own, and the conference has one without him.
    let ended = |path: &str| {
        let (_, told) = ask("GET", path, None);
        (told["status"] == "ended").then_some(told)
    };
    let own = wait::until("the end of his call", || ended(call));
    assert_eq!((&own["outcome"], &own["released_by"]), (&json!("completed"), &json!("platform")));
    let legs = own["legs"].as_array().expect("a list");
    assert_eq!((legs.len(), legs[0]["seconds"].as_u64() >= Some(3)), (1, true), "{own}");
    let over = wait::until("the end of the conference", || ended(&url));
    let rest = over["participants"].as_array().expect("a list");
    assert_eq!((rest.len(), rest.iter().all(|one| one["status"] == "left")), (3, true), "{over}");

    phones.iter_mut().for_each(Baresip::stop);
    let all: Vec<Vec<f32>> = phones.iter().map(shares).collect();
    for (me, shares) in all.iter().enumerate() {
        for (other, share) in shares.iter().enumerate() {
            if other == me {
                assert!(*share < NOT_HEARD, "{me} hears himself: {all:.4?}");
            } else {
                assert!(*share > HEARD, "{me} does not hear {other}: {all:.4?}");
            }
        }
    }
    tandem.books_in_order();
}

#[test]
fn a_code_and_a_notice_are_heard_sign_by_sign_and_the_keys_stand_in_the_call() {
    let a = Behaviour::Keys { info: '7', after_ms: 4_500 };
    let b = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: None };
    let template = format!(
        "\n[[templates]]\nid = \"parcel\"\nmerchant = \"{USER}\"\n\
         parts = [{{ digits = \"4{{1}}\" }}, {{ spelled = \"{{2}}\" }}, {{ number = \"{{3}}\" }}]\n"
    );
    let country = Country::new(&Wish { more: template, ..Wish::default() }, &a, &b, 1);
    let merchant = Merchant::start();
    let scopes = ["codes:write", "notices:write", "webhooks:write"];
    let key = country.tandem.api_key(USER, &scopes);
    let ask = |path: &str, body| ask(&country.tandem, &key, ("POST", path), Some(body));
    let hook = json!({ "url": merchant.url("/hook"), "events": ["call.ended"] });
    assert_eq!(ask("/v1/webhooks", hook).0, 201);
    let ports = [&country.carrier_a, &country.carrier_b].map(|carrier| carrier.media_port);
    let capture = Capture::start(country.folder.path(), &ports);
    let code = json!({ "to": { "number": B }, "code": "40aZ", "times": 1, "reference": "code" });
    let (status, code) = ask("/v1/codes", code);
    assert_eq!(status, 201, "{code}");
    let notice = json!({ "to": { "number": A }, "template": "parcel", "values": ["0", "aZ", "5"],
                         "keys": true, "reference": "notice" });
    let (status, notice) = ask("/v1/notices", notice);
    assert_eq!(status, 201, "{notice}");
    let told = merchant.wait_for("/hook", 2);
    let told: Vec<Value> =
        told.iter().map(|one| serde_json::from_str(&one.body).expect("JSON")).collect();
    let of = |reference: &str| {
        let call = told.iter().find(|one| one["reference"] == reference).expect("its end");
        assert_eq!(call["data"]["outcome"], "completed", "{call}");
        call["data"].clone()
    };
    let captured = capture.stop();
    assert_eq!(said(&rtp_audio(&captured, ports[1], 8), "zh"), ["4", "0", "a", "z"]);
    assert_eq!(said(&rtp_audio(&captured, ports[0], 8), "zh"), ["4", "0", "a", "z", "5"]);
    let (first, second) = (of("code"), of("notice"));
    assert_eq!((&first["id"], &first["purpose"]), (&code["id"], &json!("code")));
    assert_eq!(first["price_micros"], country::B_MINUTE, "{first}");
    assert_eq!((&second["id"], &second["keys"]), (&notice["id"], &json!(["7"])), "{second}");
    assert_eq!(second["price_micros"], country::A_MINUTE, "{second}");
    country.tandem.books_in_order();
}
