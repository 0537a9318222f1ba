//! The ways that a notice of system 002 goes (merchant API §4.4 to §4.6): keys of every kind, a group that is busy,
//! that refuses, that answers twice at once, and a customer who leaves whenever he likes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, A, A_MINUTE, B, B_MINUTE, Country, PASSWORD, Wish};
use e2e::merchant::Merchant;
use e2e::notice::{cdr, line, office, states, tone_at};
use e2e::pcap::{Capture, rtp_audio};
use e2e::pjsua::Phone;
use e2e::sipcall::{play, serve};
use e2e::sipp::Behaviour;
use e2e::sound::{self, Sound};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

/// What the one group leads to.
const MENU: &str = "1@extGroup-1";

fn wish(merchant: &Merchant, strategy: &str, members: &[&str]) -> Wish {
    Wish { more: office(merchant, strategy, members), ..Wish::default() }
}

/// A switch without carriers.
fn house(folder: &Path, wish: &Wish) -> Tandem {
    let operator = country::operator(wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(folder, &Setup { settings: wish.settings.clone(), operator })
}

/// Plays a sound to somebody; the name of the call.
fn plays(tandem: &Tandem, to: &str, voice: &str, more: &[(&str, &str)]) -> Value {
    let asked = [("destnumber", to), ("voicetype", "2"), ("voicefile", voice)];
    let answer = play(tandem.http, &[&asked[..], more].concat());
    assert_eq!(answer["data"]["status"], 0, "{answer}");
    answer["data"]["result"]["uuid"].clone()
}

/// Nobody rings, talks or has money held, and so much was spent.
fn nothing_is_left(tandem: &Tandem, spent: i64) {
    wait::until("the last call to be settled", || {
        let balances = tandem.admin("GET", "/admin/v1/balances");
        (balances["items"][0]["held_micros"] == 0).then_some(())
    });
    let live = tandem.admin("GET", "/admin/v1/calls");
    assert_eq!(live["items"], json!([]), "{live}");
    let balances = tandem.admin("GET", "/admin/v1/balances");
    assert_eq!(balances["items"][0]["posted_micros"], 100_000_000 - spent, "{balances}");
    tandem.books_in_order();
}

/// The word that says that nobody is free, as it ships, in English: the shortest.
fn busy_word() -> Vec<f32> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let word = Sound::decode(&here.join("../../media/prompts/en/callee-busy.ogg"));
    // Decoded at 16 kHz.
    word.channels[0].iter().copied().step_by(2).collect()
}

/// A second and a half of recorded words, as octets that are sent in and that should arrive.
fn words() -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = std::fs::read(here.join("../../media/say/en.al")).expect("the words");
    all[..12_000].to_vec()
}

/// The key comes by INFO, and a real softphone takes the call; the customer hangs up.
#[test]
fn s4_4_key_1_by_info_is_taken_by_baresip_and_both_hear_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let tandem = house(folder.path(), &wish(&merchant, "ring_all", &["80001", "80002"]));
    let tone = folder.path().join("1300.wav");
    sound::write_wav_tone(&tone, 1_300, 60);
    let account = Account {
        user: "80001",
        password: PASSWORD,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
        srtp: None,
    };
    let mut agent = Baresip::start(folder.path(), &account, &tone);
    let mut customer = Phone::start(folder.path(), &line(&tandem, "80000", 700, 100));
    agent.wait_registered();
    let voice = tone_at(folder.path(), 2);
    let more = [("userid", MENU), ("customuuid", "by-info")];
    let uuid = plays(&tandem, "80000", &voice, &more);
    customer.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(500));
    customer.order(&json!({"do": "keys", "digits": "1", "method": "info"}));
    tandem.wait_call("bridged");
    std::thread::sleep(Duration::from_millis(1_500));
    customer.order(&json!({"do": "hangup"}));
    customer.wait_state("DISCONNECTED");

    let told = cdr(&merchant, "by-info");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("80001")), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10041)));
    assert_eq!(told["uuid"], uuid, "one name for the call");
    assert_eq!(states(&merchant, &told, "80001", 3), ["ring", "answer", "hangup"]);
    let heard = customer.quit();
    let of = |hertz| sound::tenths_of(&heard.channels[0], heard.rate, hertz);
    assert!((3..=9).contains(&of(900.0)), "{} tenths of the notice: the key ended it", of(900.0));
    assert!(of(1_300.0) >= 8, "{} tenths of baresip", of(1_300.0));
    agent.stop();
    let heard = Sound::decode(&wait::until("baresip's recording", || agent.heard().pop()));
    let own = sound::tenths_of(&heard.channels[0], heard.rate, 700.0);
    assert!(own >= 8, "{own} tenths of the customer, in {} ms", heard.ms());
    nothing_is_left(&tandem, 0);
}

/// What is played is what was sent in, to the octet; then the key comes as sound, and the agent hangs up.
#[test]
fn s4_4_the_file_is_heard_as_it_was_sent_in_and_key_1_as_sound_leads_to_the_group() {
    let sounds = tempfile::tempdir().expect("a folder");
    let one = sounds.path().join("one.al");
    sound::write_alaw_key(&one, (697, 1_209));
    let file = sounds.path().join("words.wav");
    sound::write_wav_of_alaw(&file, &words());
    let voice = format!("http://{}/words.wav", serve(std::fs::read(file).expect("a sound")));
    let merchant = Merchant::start();
    let a = Behaviour::Answer { ring_ms: 100, tone: Some(one), talk_ms: None };
    let wish = wish(&merchant, "ring_all", &["80001"]);
    let mut country = Country::new(&wish, &a, &Behaviour::RingOnly, 1);
    let folder = country.folder.path().to_owned();
    let mut agent = Phone::start(&folder, &line(&country.tandem, "80001", 1_300, 300));
    let capture = Capture::start(&folder, &[country.carrier_a.media_port]);
    plays(&country.tandem, A, &voice, &[("userid", MENU), ("customuuid", "in-band")]);
    agent.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(1_200));
    agent.order(&json!({"do": "hangup"}));
    assert!(country.carrier_a.finish().success(), "the customer is let go");

    let told = cdr(&merchant, "in-band");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("80001")), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10040)));
    assert_eq!((&told["destnumber"], &told["disnumber"]), (&json!(A), &json!("02120280001")));
    assert_eq!(states(&merchant, &told, "80001", 3), ["ring", "answer", "hangup"]);
    let heard = rtp_audio(&capture.stop(), country.carrier_a.media_port, 8);
    assert!(heard.windows(words().len()).any(|part| part == words()), "every octet, in one piece");
    let (heard, sent) = (sound::alaw(&heard), sound::alaw(&words()));
    let alike = sound::alike(&heard, &sent);
    assert!(alike > 0.99, "what was heard is like the file by {alike}");
    let other = sound::alike(&heard, &sent.iter().rev().copied().collect::<Vec<_>>());
    assert!(other < 0.5, "and like another by {other}: this measures nothing");
    let of = |hertz| sound::tenths_of(&heard, 8_000.0, hertz);
    assert!(of(450.0) >= 1, "ring-back while the group rings");
    assert!(of(1_300.0) >= 6, "{} tenths of the agent", of(1_300.0));
    nothing_is_left(&country.tandem, A_MINUTE);
}

/// Two refuse, each in another way, and are not asked again; the third is rung after them, in the group's order.
#[test]
fn s4_4_whoever_rejects_is_followed_by_the_next_in_the_groups_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let members = ["80002", "80001", "80003"];
    let tandem = house(folder.path(), &wish(&merchant, "sequential", &members));
    let phone = |user, tone| Phone::start(folder.path(), &line(&tandem, user, tone, 400));
    let mut customer = phone("80000", 700);
    let [mut first, mut second, mut third] = members.map(|user| phone(user, 1_300));
    first.order(&json!({"do": "answers", "with": 486}));
    second.order(&json!({"do": "answers", "with": 603}));
    let voice = tone_at(folder.path(), 2);
    plays(&tandem, "80000", &voice, &[("userid", MENU), ("customuuid", "rejects")]);
    customer.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(200));
    customer.order(&json!({"do": "keys", "digits": "1", "method": "rfc4733"}));
    first.wait("rings", &json!({}));
    assert!(second.told("rings").is_empty() && third.told("rings").is_empty(), "one at a time");
    first.wait_state("DISCONNECTED");
    second.wait("rings", &json!({}));
    assert!(third.told("rings").is_empty(), "one at a time");
    second.wait_state("DISCONNECTED");
    third.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(600));
    third.order(&json!({"do": "hangup"}));
    customer.wait_state("DISCONNECTED");

    let told = cdr(&merchant, "rejects");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("80003")), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10040)));
    assert_eq!(states(&merchant, &told, "80002", 2), ["ring", "hangup"]);
    assert_eq!(states(&merchant, &told, "80001", 2), ["ring", "hangup"]);
    assert_eq!(states(&merchant, &told, "80003", 3), ["ring", "answer", "hangup"]);
    assert_eq!((first.told("rings").len(), second.told("rings").len()), (1, 1));
    nothing_is_left(&tandem, 0);
}

/// A group of two, one of whom talks with a colleague while the other refuses: a word says that nobody is free.
#[test]
fn s4_4_case_43_a_group_of_which_one_talks_and_one_rejects_is_busy_and_the_word_says_so() {
    let merchant = Merchant::start();
    let a = Behaviour::Keys { info: '1', after_ms: 300 };
    let mut wish = wish(&merchant, "ring_all", &["80001", "80002"]);
    // Of the company, which is the last of the file.
    wish.more += "language = \"en\"\n";
    let mut country = Country::new(&wish, &a, &Behaviour::RingOnly, 1);
    let folder = country.folder.path().to_owned();
    let phone = |user| Phone::start(&folder, &line(&country.tandem, user, 1_300, 300));
    let (mut colleague, mut talks, mut rejects) = (phone("80000"), phone("80001"), phone("80002"));
    rejects.order(&json!({"do": "answers", "with": 486}));
    talks.order(&json!({"do": "call", "to": "sip:80000@tandem.example"}));
    colleague.wait_state("CONFIRMED");
    let capture = Capture::start(&folder, &[country.carrier_a.media_port]);
    let voice = tone_at(&folder, 2);
    plays(&country.tandem, A, &voice, &[("userid", MENU), ("customuuid", "busy")]);
    assert!(country.carrier_a.finish().success(), "the customer is let go");

    let told = cdr(&merchant, "busy");
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!("")), "{told}");
    assert_eq!((&told["hangupcause"], &told["hangupdirection"]), (&json!(10001), &json!(10040)));
    assert_eq!((&told["type"], &told["callmethod"]), (&json!("callout"), &json!(6)));
    assert!(told["billsec"].as_i64().is_some_and(|s| (4..=7).contains(&s)), "{told}");
    assert_eq!(states(&merchant, &told, "80002", 2), ["ring", "hangup"]);
    assert!(states(&merchant, &told, "80001", 0).is_empty(), "who talks is not rung");
    assert!(talks.told("rings").is_empty(), "nor its phone");
    let heard = sound::alaw(&rtp_audio(&capture.stop(), country.carrier_a.media_port, 8));
    let alike = sound::alike(&heard, &busy_word());
    assert!(alike > 0.9, "the whole word is heard: like it by {alike}");
    assert!(talks.told("state").iter().all(|state| state["state"] != "DISCONNECTED"));
    talks.order(&json!({"do": "hangup"}));
    colleague.wait_state("DISCONNECTED");
    nothing_is_left(&country.tandem, A_MINUTE);
}

fn signal(tandem: &Tandem, name: &str) {
    let sent = Command::new("kill").args([name, &tandem.pid().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Both answers lie before the switch when it looks. The one whose comes first talks; the other's phone, which believed
/// that it talks as well, is let go by BYE and costs nothing.
#[test]
fn case_18_of_two_who_answer_in_one_instant_one_talks_and_the_other_is_let_go_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let rates = "{ prefix = \"internal\", per_minute = \"0.01\" },";
    let wish = Wish { rates, ..wish(&merchant, "ring_all", &["80001", "80002"]) };
    let tandem = house(folder.path(), &wish);
    let mut customer = Phone::start(folder.path(), &line(&tandem, "80000", 700, 100));
    let agent = |user, tone| Phone::start(folder.path(), &line(&tandem, user, tone, 1_000));
    let mut agents = [agent("80001", 1_300), agent("80002", 1_700)];
    let voice = tone_at(folder.path(), 2);
    plays(&tandem, "80000", &voice, &[("userid", MENU), ("customuuid", "race")]);
    customer.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(200));
    customer.order(&json!({"do": "keys", "digits": "1", "method": "rfc4733"}));
    for agent in &mut agents {
        agent.wait_state("EARLY");
    }
    signal(&tandem, "-STOP");
    for agent in &mut agents {
        agent.wait_state("CONNECTING");
    }
    signal(&tandem, "-CONT");
    let started = Instant::now();
    let over = |agent: &Phone| agent.told("state").iter().any(|s| s["state"] == "DISCONNECTED");
    let lost = wait::until("one to lose", || agents.iter().position(over));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    std::thread::sleep(Duration::from_millis(800));
    let won = 1 - lost;
    assert!(!over(&agents[won]), "one of them talks");
    agents[won].wait_state("CONFIRMED");
    tandem.wait_call("bridged");
    agents[won].order(&json!({"do": "hangup"}));
    customer.wait_state("DISCONNECTED");

    let told = cdr(&merchant, "race");
    let (winner, loser) = [("80001", "80002"), ("80002", "80001")][won];
    assert_eq!((&told["userkey"], &told["extnumber"]), (&json!("1"), &json!(winner)), "{told}");
    assert_eq!(states(&merchant, &told, winner, 3), ["ring", "answer", "hangup"]);
    assert_eq!(states(&merchant, &told, loser, 2), ["ring", "hangup"]);
    // Each copy of a 200 has its ACK (RFC 3261 §13.2.2.4), and the dialog an end.
    assert!(!agents[lost].lines("RX", "ACK ").is_empty(), "an ACK");
    assert!(!agents[lost].lines("RX", "BYE ").is_empty(), "a BYE");
    assert!(agents[won].lines("RX", "BYE ").is_empty(), "who talks ends it himself");
    let heard = customer.quit();
    let of = |at: usize| sound::tenths_of(&heard.channels[0], heard.rate, [1_300.0, 1_700.0][at]);
    assert!(of(won) >= 4 && of(lost) == 0, "{} and {} tenths", of(won), of(lost));
    // The customer's minute and that of who talked.
    nothing_is_left(&tandem, 20_000);
    assert_eq!(merchant.received("/cdr").len(), 1, "case 67: one record");
}

/// He leaves while the sound plays, while a key is waited for, and while he talks: three calls at once.
#[test]
fn s4_6_case_66_whoever_leaves_at_any_step_is_on_record_and_pays_for_what_he_had() {
    let sounds = tempfile::tempdir().expect("a folder");
    let one = sounds.path().join("one.al");
    sound::write_alaw_key(&one, (697, 1_209));
    let merchant = Merchant::start();
    let leaves = Behaviour::Answer { ring_ms: 100, tone: None, talk_ms: Some(2_500) };
    let talks = Behaviour::Answer { ring_ms: 100, tone: Some(one), talk_ms: Some(4_500) };
    let wish = wish(&merchant, "ring_all", &["80001"]);
    let mut country = Country::new(&wish, &leaves, &talks, 2);
    let (folder, tandem) = (country.folder.path().to_owned(), &country.tandem);
    let mut agent = Phone::start(&folder, &line(tandem, "80001", 1_300, 300));
    let (short, long) = (tone_at(&folder, 1), tone_at(&folder, 10));
    plays(tandem, A, &long, &[("userid", MENU), ("customuuid", "hears")]);
    plays(tandem, A, &short, &[("userid", MENU), ("customuuid", "thinks")]);
    plays(tandem, B, &short, &[("userid", MENU), ("customuuid", "talks")]);
    agent.wait_state("CONFIRMED");
    agent.wait_state("DISCONNECTED");
    assert!(country.carrier_a.finish().success(), "{}", country.carrier_a.messages());

    for (name, seconds) in [("hears", 2..=3), ("thinks", 2..=3), ("talks", 4..=5)] {
        let told = cdr(&merchant, name);
        let (key, seat) = if name == "talks" { ("1", "80001") } else { ("", "") };
        assert_eq!((&told["userkey"], &told["extnumber"]), (&json!(key), &json!(seat)), "{told}");
        assert_eq!(
            (&told["hangupcause"], &told["hangupdirection"]),
            (&json!(10001), &json!(10041)),
            "{told}"
        );
        assert!(told["billsec"].as_i64().is_some_and(|s| seconds.contains(&s)), "{told}");
        let all: &[&str] = if seat.is_empty() { &[] } else { &["ring", "answer", "hangup"] };
        assert_eq!(states(&merchant, &told, "80001", all.len()), all);
    }
    assert_eq!(agent.told("rings").len(), 1);
    nothing_is_left(&country.tandem, 2 * A_MINUTE + B_MINUTE);
}

/// Where none is asked for, any of the company's own numbers is shown, and in time each of them. That one of three
/// does not come up in sixty calls happens once in ten thousand million times.
#[test]
fn s4_4_the_shown_number_is_one_of_the_companys_own_and_not_always_the_same() {
    const OWN: [&str; 3] = ["02120280001", "02120280002", "02120280003"];
    const CALLS: u32 = 60;
    let merchant = Merchant::start();
    let mut wish = wish(&merchant, "ring_all", &["80001"]);
    wish.more = wish.more.replace("[\"02120280001\"]", &format!("{OWN:?}"));
    let a = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let country = Country::new(&wish, &a, &Behaviour::RingOnly, CALLS);
    let voice = tone_at(country.folder.path(), 1);
    let mut shown = std::collections::BTreeSet::new();
    for call in 0..CALLS {
        let name = call.to_string();
        plays(&country.tandem, A, &voice, &[("customuuid", &name)]);
        let told = cdr(&merchant, &name);
        let number = told["disnumber"].as_str().expect("a string").to_owned();
        assert!(OWN.contains(&number.as_str()), "{told}");
        assert_eq!(
            (&told["hangupcause"], &told["hangupdirection"]),
            (&json!(10006), &json!(10041))
        );
        let from = format!("From: <sip:+86{}@", &number[1..]);
        let messages = country.carrier_a.messages();
        let last = messages.lines().rfind(|line| line.starts_with("From: ")).unwrap_or_default();
        assert!(last.starts_with(&from), "{number} is told, and shown: {last}");
        shown.insert(number);
        if shown.len() == OWN.len() {
            break;
        }
    }
    assert_eq!(shown.len(), OWN.len(), "{shown:?}");
    nothing_is_left(&country.tandem, 0);
}
