//! A campaign on the real binary: some customers answer, some are busy, agents take whoever answers, and the process
//! is killed in the middle (merchant API §4.9, field case 69).

use std::time::{Duration, Instant};

use e2e::country::{Country, PASSWORD, USER, Wish};
use e2e::merchant::http;
use e2e::sipp::Behaviour;
use phone::{Account, Answer, Credentials, Phone};
use serde_json::Value;

/// Numbers that answer, and numbers that are busy.
const ANSWER: usize = 14;
const BUSY: usize = 7;
const AGENTS: [&str; 3] = ["80001", "80002", "80003"];
const COMPANY: &str = "9001";

fn wish() -> Wish {
    let agents = AGENTS.map(|number| {
        format!("[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n")
    });
    let members = AGENTS.map(|number| format!("\"{number}\"")).join(", ");
    let more = format!(
        "{}\n[[groups]]\nnumber = \"70000\"\nname = \"sales\"\nmerchant = \"{USER}\"\nstrategy = \"longest_idle\"\n\
         members = [{members}]\n\n[[companies]]\ncompanycode = \"{COMPANY}\"\nappid = \"app\"\n\
         accesskey = \"key-of-the-company\"\nmerchant = \"{USER}\"\n",
        agents.join("\n")
    );
    Wish { more, record: false, ..Wish::default() }
}

/// Asks for a service of system 002.
fn ask(country: &Country, service: &str, params: &[(&str, &str)]) -> Value {
    let mut body = format!("service=App.Sip_{service}");
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    let (_, body) = http(country.tandem.http, "POST", "/", &[], &body);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let one =
        |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// Three phones, each of which answers soon, talks for a moment and hangs up.
fn agents(country: &Country) -> Vec<Phone> {
    let behaviour = phone::Behaviour {
        answer: Answer::After(Duration::from_millis(100)),
        hang_up_after: Some(Duration::from_millis(400)),
        ..phone::Behaviour::default()
    };
    let one = |number: &str| {
        let phone = Phone::bind("127.0.0.1:0".parse().expect("an address"), behaviour.clone());
        let phone = phone.expect("a phone");
        let credentials = Credentials { user: number.to_owned(), password: PASSWORD.to_owned() };
        let account = Account {
            credentials,
            domain: "tandem.example".to_owned(),
            registrar: country.tandem.sip,
            expires: 600,
        };
        phone.register(&account).expect("registered");
        phone
    };
    AGENTS.into_iter().map(one).collect()
}

#[test]
fn case_69_a_campaign_calls_everybody_although_it_is_killed() {
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let busy = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let mut country = Country::new(&wish(), &answers, &busy, 500);
    let agents = agents(&country);
    let login = [("appid", "app"), ("accesskey", "key-of-the-company")];
    let answer = ask(&country, "Auth.Login", &login);
    let token = answer["data"]["result"]["token"].as_str().expect("a token").to_owned();
    // Every third is busy.
    let number =
        |n: usize| if n % 3 == 2 { format!("1390000{n:04}") } else { format!("1380000{n:04}") };
    let list = Value::from((0..ANSWER + BUSY).map(number).collect::<Vec<_>>()).to_string();
    let task = [
        ("token", token.as_str()),
        ("assigntype", "3"),
        ("assignagent", "sales"),
        ("telphone", &list),
        ("isscale", "auto"),
    ];
    let made = ask(&country, "Yccall.TaskCreat", &task);
    let id =
        made["data"]["result"]["taskid"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let until = |country: &Country, holds: &dyn Fn(&Value) -> bool| {
        let params = [("token", token.as_str()), ("taskid", &id), ("itemsperpage", "100")];
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let told = ask(country, "Yccall.TaskInfo", &params)["data"]["result"].clone();
            if holds(&told) {
                return told;
            }
            assert!(Instant::now() < end, "{told}\n{}", country.tandem.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let count = |told: &Value, name: &str| told[name].as_u64().expect("a count");
    until(&country, &|told| count(told, "called") >= 6 && count(told, "calling") >= 2);
    country.tandem.kill();
    country.tandem.resume();
    let told = until(&country, &|told| told["status"] == 1028);
    let all = (ANSWER + BUSY) as u64;
    assert_eq!((count(&told, "total"), count(&told, "called")), (all, all), "{told}");
    let phones = told["phones"].as_array().expect("numbers");
    assert!(phones.iter().all(|phone| phone["status"] == 1036), "{told}");
    // Whoever is busy never answers; who answers speaks with an agent, but for those whom the kill cut off.
    let answered = count(&told, "answered");
    assert!(answered <= ANSWER as u64 && answered >= ANSWER as u64 - 3, "{told}");
    assert!(count(&told, "abandoned") <= 4, "{told}");
    assert!(agents.iter().all(|agent| !agent.report().calls.is_empty()), "each agent had calls");
    country.tandem.books_in_order();
}
