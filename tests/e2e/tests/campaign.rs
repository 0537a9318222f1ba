//! Campaigns on the real binary: some customers answer, some are busy, agents take whoever answers, and the process is
//! killed in the middle (merchant API §4.9, field case 69); the same over `/v1`, paused before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::country::{Country, PASSWORD, USER, Wish};
use e2e::merchant::http;
use e2e::sipp::Behaviour;
use phone::{Account, Answer, Credentials, Phone};
use serde_json::{Value, json};

const COMPANY: &str = "9001";
/// Of those who answer so many thousandths may find nobody, and by bad luck so many more.
const BOUND: (usize, usize) = (30, 3);
const PORTS: u16 = 2_000;

/// A list, and those who take its calls.
struct Campaign {
    numbers: usize,
    agents: usize,
    /// The agents are named one by one; else by their group.
    by_name: bool,
    /// The process is killed when so many were called.
    killed_at: u64,
    /// It has to be over by then.
    patience: Duration,
}

fn agent(at: usize) -> String {
    format!("{}", 80_001 + at)
}

/// Every third is busy.
fn is_busy(at: usize) -> bool {
    at % 3 == 2
}

fn number(at: usize) -> String {
    if is_busy(at) { format!("1390000{at:04}") } else { format!("1380000{at:04}") }
}

fn wish(agents: usize) -> Wish {
    let extension = |at| {
        let number = agent(at);
        format!(
            "[[extensions]]\nnumber = \"{number}\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
        )
    };
    let extensions: Vec<String> = (0..agents).map(extension).collect();
    let members: Vec<String> = (0..agents).map(|at| format!("\"{}\"", agent(at))).collect();
    let more = format!(
        "{}\n[[groups]]\nnumber = \"70000\"\nname = \"sales\"\nmerchant = \"{USER}\"\nstrategy = \"longest_idle\"\n\
         members = [{}]\n\n[[companies]]\ncompanycode = \"{COMPANY}\"\nappid = \"app\"\n\
         accesskey = \"key-of-the-company\"\nmerchant = \"{USER}\"\n",
        extensions.join("\n"),
        members.join(", ")
    );
    // A pair of ports rests after each leg.
    let rtp = e2e::ports::block(PORTS);
    let settings = vec![format!("rtp.ports={rtp}-{}", rtp + PORTS - 1)];
    Wish { more, record: false, max_calls: 200, balance: "1000", settings, ..Wish::default() }
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

/// Phones, each of which answers soon, talks for a moment and hangs up.
fn agents(country: &Country, count: usize) -> Vec<Phone> {
    let behaviour = phone::Behaviour {
        answer: Answer::After(Duration::from_millis(100)),
        hang_up_after: Some(Duration::from_millis(400)),
        ..phone::Behaviour::default()
    };
    let one = |at| {
        let phone = Phone::bind("127.0.0.1:0".parse().expect("an address"), behaviour.clone());
        let phone = phone.expect("a phone");
        let credentials = Credentials { user: agent(at), password: PASSWORD.to_owned() };
        let account = Account {
            credentials,
            domain: "tandem.example".to_owned(),
            registrar: country.tandem.sip,
            expires: 600,
        };
        phone.register(&account).expect("registered");
        phone
    };
    (0..count).map(one).collect()
}

fn count(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("{name}: {told}"))
}

/// Makes a task of these numbers; the token that it was made with, and its id.
fn make(country: &Country, numbers: Vec<String>, more: &[(&str, &str)]) -> (String, String) {
    let login = [("appid", "app"), ("accesskey", "key-of-the-company")];
    let answer = ask(country, "Auth.Login", &login);
    let token = answer["data"]["result"]["token"].as_str().expect("a token").to_owned();
    let list = Value::from(numbers).to_string();
    let task = [&[("token", token.as_str()), ("telphone", list.as_str())], more].concat();
    let made = ask(country, "Yccall.TaskCreat", &task);
    let id = made["data"]["result"]["taskid"].as_str().unwrap_or_else(|| panic!("{made}"));
    (token.clone(), id.to_owned())
}

/// Runs it, kills the process in the middle, and says what has become of its numbers.
fn killed_in_the_middle(campaign: &Campaign) -> (Country, Vec<Phone>, Value) {
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let busy = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let calls = u32::try_from(campaign.numbers * 2).expect("few");
    let mut country = Country::new(&wish(campaign.agents), &answers, &busy, calls);
    let agents = agents(&country, campaign.agents);
    let names = (0..campaign.agents).map(agent).collect::<Vec<_>>().join(",");
    let (kind, takers) = if campaign.by_name { ("1", names.as_str()) } else { ("3", "sales") };
    let task = [("assigntype", kind), ("assignagent", takers), ("isscale", "auto")];
    let (token, id) = make(&country, (0..campaign.numbers).map(number).collect(), &task);
    let end = Instant::now() + campaign.patience;
    let until = |country: &Country, rows: &str, holds: &dyn Fn(&Value) -> bool| {
        let params = [("token", token.as_str()), ("taskid", &id), ("itemsperpage", rows)];
        loop {
            let told = ask(country, "Yccall.TaskInfo", &params)["data"]["result"].clone();
            if holds(&told) {
                return told;
            }
            assert!(Instant::now() < end, "{told}\n{}", country.tandem.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let middle = campaign.killed_at;
    until(&country, "1", &|told| count(told, "called") >= middle && count(told, "calling") >= 2);
    country.tandem.kill();
    country.tandem.resume();
    until(&country, "1", &|told| told["status"] == 1028);
    let told = until(&country, "1000", &|_| true);
    (country, agents, told)
}

/// Every number has one state for good, and but for what the kill cut off before an answer one call with one CDR a leg.
fn each_was_called_once(country: &Country, told: &Value) {
    let phones = told["phones"].as_array().expect("numbers");
    assert_eq!(count(told, "total"), count(told, "called"), "{told}");
    assert_eq!(phones.len() as u64, count(told, "total"));
    assert!(phones.iter().all(|phone| phone["status"] == 1036), "{told}");
    let (mut legs, mut calls) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    let mut after = 0;
    loop {
        let page = country.tandem.admin("GET", &format!("/admin/v1/cdrs?after={after}&limit=500"));
        let rows = page["items"].as_array().expect("CDRs");
        let Some(last) = rows.last() else { break };
        after = last["id"].as_i64().expect("an id");
        for row in rows {
            let once = legs.insert((row["call"].to_string(), row["leg"].to_string()));
            assert!(once, "a second CDR of one leg: {row}");
            let facts = &row["facts"];
            let ours = matches!(facts["failure"]["kind"].as_str(), Some("crash" | "internal"));
            if row["leg"] == 0 && !(ours && facts["answered"].is_null()) {
                *calls
                    .entry(facts["as_sent"].as_str().expect("a number").to_owned())
                    .or_default() += 1;
            }
        }
    }
    for phone in phones {
        let number = phone["phone"].as_str().expect("a number");
        assert_eq!(calls.get(number), Some(&1), "{phone}");
    }
}

/// Of those who answered, as few found nobody as was promised; those whom the kill cut off are none of these.
fn few_found_nobody(told: &Value) {
    let phones = told["phones"].as_array().expect("numbers");
    let nobody = |phone: &&Value| {
        phone["answered"] == 1
            && phone["connected"] == 0
            && matches!(phone["reason"].as_str(), Some("abandoned" | "no_agent"))
    };
    let (permille, luck) = BOUND;
    let answered = usize::try_from(count(told, "answered")).expect("few");
    let found = phones.iter().filter(nobody).count();
    assert!(found <= answered * permille / 1_000 + luck, "{found} of {answered}: {told}");
}

#[test]
fn case_69_a_campaign_calls_everybody_although_it_is_killed() {
    let patience = Duration::from_secs(60);
    // No multiple of three: each of them is the first of some who answer.
    let campaign = Campaign { numbers: 21, agents: 4, by_name: true, killed_at: 6, patience };
    let (country, agents, told) = killed_in_the_middle(&campaign);
    each_was_called_once(&country, &told);
    // Whoever is busy never answers; who answers speaks with an agent, but for those whom the kill cut off.
    let answer = (0..campaign.numbers).filter(|at| !is_busy(*at)).count() as u64;
    let answered = count(&told, "answered");
    assert!(answered <= answer && answered >= answer - 3, "{told}");
    assert!(count(&told, "abandoned") <= 4, "{told}");
    for (at, phone) in told["phones"].as_array().expect("numbers").iter().enumerate() {
        assert!(!is_busy(at) || phone["reason"] == "busy", "{phone}");
    }
    assert!(agents.iter().all(|agent| !agent.report().calls.is_empty()), "each agent had calls");
    country.tandem.books_in_order();
}

/// Six pairs of ports: two customers at a time with an agent each, and what is left to others, although four agents are free.
#[test]
fn case_43_where_ports_are_few_whoever_answers_has_one_for_his_agent() {
    let mut wish = wish(4);
    let rtp = e2e::ports::block(12);
    let ports = format!("rtp.ports={rtp}-{}", rtp + 11);
    wish.settings = vec![ports, "rtp.workers=1".into(), "rtp.quarantine=100ms".into()];
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let busy = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let country = Country::new(&wish, &answers, &busy, 40);
    let _agents = agents(&country, 4);
    let numbers = (0..).filter(|at| !is_busy(*at)).map(number).take(6).collect();
    let (token, id) = make(&country, numbers, &[("assigntype", "3"), ("assignagent", "sales")]);
    let end = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let params = [("token", token.as_str()), ("taskid", &id)];
        let told = ask(&country, "Yccall.TaskInfo", &params)["data"]["result"].clone();
        if told["status"] == 1028 {
            break told;
        }
        assert!(Instant::now() < end, "{told}\n{}", country.tandem.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((count(&told, "answered"), count(&told, "connected")), (6, 6), "{told}");
    assert_eq!(count(&told, "abandoned"), 0, "{told}");
    country.tandem.books_in_order();
}

/// A request of `/v1`.
fn v1(country: &Country, key: &str, request: (&str, &str), body: Option<&Value>) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Accept", "application/json"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "winter"),
    ];
    let text = body.map(ToString::to_string).unwrap_or_default();
    let (status, answer) = http(country.tandem.http, request.0, request.1, &headers, &text);
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

/// All of a list, page by page.
fn pages(country: &Country, key: &str, path: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("{path}?after={after}&limit=20");
        let (status, page) = v1(country, key, ("GET", &path), None);
        assert_eq!(status, 200, "{page}");
        all.extend(page["items"].as_array().expect("items").iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        next.clone_into(&mut after);
    }
}

/// Calls of a campaign by their numbers, but for those that the kill cut off before an answer.
fn calls_of(country: &Country, key: &str, id: &str) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in pages(country, key, "/v1/calls") {
        assert_eq!(
            (&call["campaign"], &call["purpose"]),
            (&json!(id), &json!("campaign")),
            "{call}"
        );
        let ours = matches!(call["reason"].as_str(), Some("crash" | "internal"));
        if !(ours && call["legs"][0]["answered"].is_null()) {
            let number = call["to"]["number"].as_str().expect("a number").to_owned();
            *calls.entry(number).or_default() += 1;
        }
    }
    calls
}

#[test]
fn case_69_a_campaign_of_v1_is_paused_killed_and_resumed_and_calls_everybody_once() {
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let busy = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let mut country = Country::new(&wish(4), &answers, &busy, 100);
    let _agents = agents(&country, 4);
    let scopes = ["campaigns:read", "campaigns:write", "calls:read", "events:read"];
    let key = country.tandem.api_key(USER, &scopes);
    let numbers = 0..22;
    let target = |at| json!({ "number": number(at), "reference": format!("order {at}") });
    let wanted = json!({
        "name": "winter", "agents": { "group": "70000" }, "pacing": { "predictive": true },
        "numbers": numbers.clone().map(target).collect::<Value>(),
    });
    let (status, made) = v1(&country, &key, ("POST", "/v1/campaigns"), Some(&wanted));
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/campaigns/{id}");
    let end = Instant::now() + Duration::from_secs(60);
    let until = |country: &Country, holds: &dyn Fn(&Value) -> bool| loop {
        let (_, told) = v1(country, &key, ("GET", &path), None);
        if holds(&told) {
            return told;
        }
        assert!(Instant::now() < end, "{told}\n{}", country.tandem.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    let of = |told: &Value, name: &str| count(&told["numbers"], name);
    let turn = |country: &Country, to: &str| {
        let (status, told) = v1(country, &key, ("POST", &format!("{path}/{to}")), None);
        assert_eq!(status, 200, "{told}");
        told["state"].clone()
    };
    let now = until(&country, &|told| of(told, "done") >= 4 && of(told, "calling") >= 2);
    assert!(now["now"]["ringing"].is_u64() && now["now"]["open"] == true, "{now}");
    assert_eq!(turn(&country, "pause"), "paused");
    country.tandem.kill();
    country.tandem.resume();
    let paused = until(&country, &|told| of(told, "calling") == 0 || told["state"] != "paused");
    assert_eq!(paused["state"], "paused", "{paused}");
    assert!(of(&paused, "waiting") > 0, "{paused}");
    // Asked for again, it is the one that it was.
    let (status, again) = v1(&country, &key, ("POST", "/v1/campaigns"), Some(&wanted));
    assert_eq!((status, again), (201, made));
    assert_eq!([turn(&country, "resume"), turn(&country, "resume")], ["running", "running"]);
    let over = until(&country, &|told| told["state"] == "ended");
    assert_eq!((of(&over, "total"), of(&over, "done")), (22, 22), "{over}");
    let listed = pages(&country, &key, &format!("{path}/numbers"));
    let calls = calls_of(&country, &key, &id);
    for (at, told) in numbers.zip(&listed) {
        assert_eq!(told["reference"], format!("order {at}"));
        assert_eq!((&told["number"], &told["state"]), (&json!(number(at)), &json!("done")));
        assert_eq!(calls.get(&number(at)), Some(&1), "{told}");
        assert!(!is_busy(at) || told["reason"] == "busy", "{told}");
    }
    let events = pages(&country, &key, "/v1/events");
    let named = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!((named("campaign.ended"), named("campaign.paused")), (1, 0));
    assert!(events.iter().all(|event| event["campaign"] == id.as_str()), "each is of the campaign");
    let last = events.last().expect("events");
    assert_eq!(
        (&last["type"], &last["data"]["numbers"]),
        (&json!("campaign.ended"), &over["numbers"])
    );
    country.tandem.books_in_order();
}

/// Nobody waits for those who hear something: as many are called as may be, those outside the hours are not.
#[test]
fn a_campaign_of_v1_without_agents_is_heard_and_waits_for_its_hours() {
    let answers = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let busy = Behaviour::Refuse { rings: false, status: "486 Busy Here", header: "" };
    let country = Country::new(&wish(0), &answers, &busy, 20);
    let key = country.tandem.api_key(USER, &["campaigns:read", "campaigns:write", "calls:read"]);
    let begin = |name: &str, hours: Value| {
        let numbers: Value = (0..3).map(|at| json!({ "number": number(at) })).collect();
        let sound = json!({ "say": [{ "digits": "12" }], "language": "en" });
        let body = json!({ "name": name, "sound": sound, "hours": hours, "numbers": numbers });
        let text = body.to_string();
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let (status, made) = http(country.tandem.http, "POST", "/v1/campaigns", &headers, &text);
        assert_eq!(status, 201, "{made}");
        let made: Value = serde_json::from_str(&made).expect("JSON");
        made["url"].as_str().expect("where it is").to_owned()
    };
    let shut = begin("shut", json!(["2020-01-01/2020-01-02 00:00-24:00"]));
    let heard = begin("heard", json!(["mon-sun 00:00-24:00"]));
    let end = Instant::now() + Duration::from_secs(30);
    let over = loop {
        let (_, told) = v1(&country, &key, ("GET", &heard), None);
        if told["state"] == "ended" {
            break told;
        }
        assert!(Instant::now() < end, "{told}\n{}", country.tandem.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((count(&over["numbers"], "done"), count(&over["numbers"], "answered")), (3, 2));
    let listed = pages(&country, &key, &format!("{heard}/numbers"));
    let reasons: Vec<_> = listed.iter().map(|told| told["reason"].as_str()).collect();
    assert_eq!(reasons, [None, None, Some("busy")], "whoever heard it waited for nobody");
    assert!(pages(&country, &key, "/v1/calls").iter().all(|call| call["purpose"] == "notice"));
    let (_, told) = v1(&country, &key, ("GET", &shut), None);
    assert_eq!(
        (&told["state"], &told["now"]["open"]),
        (&json!("running"), &json!(false)),
        "{told}"
    );
    assert_eq!(count(&told["numbers"], "waiting"), 3, "{told}");
    country.tandem.books_in_order();
}

/// As long as it takes: some twenty seconds of a machine that has nothing else to do.
#[test]
fn case_69_five_hundred_numbers_are_called_once_over_a_kill_and_few_find_nobody() {
    let patience = Duration::from_secs(180);
    let campaign = Campaign { numbers: 500, agents: 20, by_name: false, killed_at: 200, patience };
    let (country, agents, told) = killed_in_the_middle(&campaign);
    each_was_called_once(&country, &told);
    few_found_nobody(&told);
    assert!(agents.iter().all(|agent| !agent.report().calls.is_empty()), "each agent had calls");
    country.tandem.books_in_order();
}
