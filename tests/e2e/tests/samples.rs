//! The samples that merchants copy, against the program: a call between two phones, its result taken and checked, and
//! a wrong key said in clear words. And the clients that the systems' own documents gave them, faults and all.

use e2e::country::{A, B, Country, KEY, USER, Wish};
use e2e::merchant::{Merchant, try_http};
use e2e::programs::{Ended, Language, Program, seed};
use e2e::sipp::{Behaviour, Sipp};
use e2e::tandem::{Setup, Tandem};
use e2e::{country, ports, sipcall, sound, wait, ytx};
use serde_json::{Value, json};

/// Calls of one language: a good one by each system, and one each of systems 001 and 002 whose record is forged.
const CALLS: u32 = 5;

fn answers(talk_ms: Option<u32>) -> Behaviour {
    Behaviour::Answer { ring_ms: 200, tone: None, talk_ms }
}

/// A country where B hangs up, with an app of system 001 that pushes to a port.
fn country(port: u16, base: &str, more: &str) -> Country {
    let account = ytx::account(USER, &format!("http://127.0.0.1:{port}{base}"), true);
    let wish = Wish {
        settings: vec!["push.delays=0s,1s,2s".into()],
        more: account + more,
        ..Wish::default()
    };
    Country::new(&wish, &answers(None), &answers(Some(2000)), CALLS)
}

fn variables(country: &Country, port: u16, key: &str, token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MERCHANT_URL", format!("http://{}", country.tandem.http)),
        ("MERCHANT_LISTEN", format!("127.0.0.1:{port}")),
        ("MERCHANT_USERNAME", USER.into()),
        ("MERCHANT_KEY", key.into()),
        ("MERCHANT_A", A.into()),
        ("MERCHANT_B", B.into()),
        ("MERCHANT_RETURNURL", format!("http://127.0.0.1:{port}/result?shop=7")),
        ("MERCHANT_SID", ytx::SID.into()),
        ("MERCHANT_TOKEN", token.into()),
        ("MERCHANT_APPID", ytx::APP.into()),
        ("MERCHANT_SRC", A.into()),
        ("MERCHANT_DST", B.into()),
    ]
}

/// Says something to a sample that is about to listen; its answer.
fn say(port: u16, method: &str, target: &str, body: &str) -> (u16, String) {
    let to = ([127, 0, 0, 1], port).into();
    wait::until("a sample to listen", || try_http(to, method, target, &[], body).ok())
}

fn well(ended: &Ended, lines: &[&str]) {
    assert_eq!(ended.status, Some(0), "{ended:?}");
    for line in lines {
        assert!(ended.said.iter().any(|said| said.starts_with(line)), "{line}: {ended:?}");
    }
}

/// The result is taken and checked; one that is signed with another key is not.
fn system_000(program: &Program, country: &Country) {
    let port = ports::one();
    let running = program.start(&[], &variables(country, port, KEY, ""));
    let forged = "/result?callbackid=x&callback_num=1&callback_duration=1&callback_fee=0.10&destination_num=2&\
                  destination_duration=1&destination_fee=0.10&callback_result=success&\
                  sign=00000000000000000000000000000000";
    let (_, answered) = say(port, "GET", forged, "");
    assert_ne!(answered.trim().to_ascii_lowercase(), "success");
    let ended = running.finish();
    let talked = "result: success, A ";
    well(&ended, &["asked: ", talked, "record: ended, success, recording http://", "balance: "]);
    assert!(ended.complained.contains("ignored: a result that is not signed"), "{ended:?}");
    let result = ended.said.iter().find(|said| said.starts_with(talked)).expect("above");
    assert!(result.contains(" s for 0.10, B ") && result.ends_with(" s for 0.15"), "{result}");
}

/// States and record are taken, the record is compared with what the switch says.
fn system_001(program: &Program, country: &Country, port: u16) {
    let running = program.start(&[], &variables(country, port, "", ytx::TOKEN));
    let ended = running.finish();
    let lines = ["asked: ", "record: 应答|正常, ", "checked: ", "balance: "];
    well(&ended, &lines);
    let record = ended.said.iter().find(|said| said.starts_with("record: ")).expect("above");
    assert!(record.contains(" s for 0.25, http://"), "{record}");
    let states = ended.said.iter().any(|said| *said == format!("state: {B} answer"));
    // PHP takes them in another process, whose words come on standard error.
    assert!(states || ended.complained.contains(&format!("state: {B} answer")), "{ended:?}");
}

/// A record that somebody else posts, with the right id and a call that is still on: found out.
fn forged_001(program: &Program, country: &Country) {
    let port = ports::one();
    let mut running = program.start(&[], &variables(country, port, "", ytx::TOKEN));
    let id = running.wait_line("asked: ");
    let cdr = json!({ "cdr": [{
        "requestid": id, "appid": ytx::APP, "fid": "4", "caller": A, "called": B,
        "callerstime": "", "calleretime": "", "calledstime": "", "calledetime": "",
        "tapesurl": "NoTapes", "duration": "1", "oriamount": "0.01", "customParm": "",
        "stateDesc": "应答|正常",
    }] });
    let _ = say(port, "POST", "/Call", &cdr.to_string());
    let ended = running.finish();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.complained.contains("not what the switch has"), "{ended:?}");
}

fn refused(program: &Program, country: &Country, words: &str) {
    let variables = variables(country, ports::one(), "wrong", "wrong");
    let ended = program.start(&[], &variables).finish();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.complained.contains(words), "{ended:?}");
}

fn variables_002(country: &Country, port: u16, key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MERCHANT_URL", format!("http://{}", country.tandem.http)),
        ("MERCHANT_LISTEN", format!("127.0.0.1:{port}")),
        ("MERCHANT_APPID", sipcall::APPID.into()),
        ("MERCHANT_ACCESSKEY", key.into()),
        ("MERCHANT_NUMBER", A.into()),
        ("MERCHANT_VOICEFILE", "spring.wav".into()),
    ]
}

/// A notice is played, its record is taken and compared with what the switch says.
fn system_002(program: &Program, country: &Country, port: u16) {
    let variables = variables_002(country, port, sipcall::ACCESSKEY);
    let ended = program.start(&[], &variables).finish();
    let lines = ["asked: ", "record: 10001 by 10040, ", "checked: the switch has the same record"];
    well(&ended, &lines);
}

/// A record that somebody else posts while the call is on: found out.
fn forged_002(program: &Program, country: &Country) {
    let port = ports::one();
    let variables = variables_002(country, port, sipcall::ACCESSKEY);
    let mut running = program.start(&[], &variables);
    let uuid = running.wait_line("asked: ");
    let cdr = json!({
        "answertime": "", "hangupcause": 10001, "duration": 1, "id": 1, "extnumber": "", "uuid": uuid,
        "billsec": 600, "hangupdirection": 10040, "userkey": "", "destnumber": A,
    });
    let _ = say(port, "POST", "/cdr", &cdr.to_string());
    let ended = running.finish();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.complained.contains("not what the switch has"), "{ended:?}");
}

fn refused_002(program: &Program, country: &Country) {
    let ended = program.start(&[], &variables_002(country, ports::one(), "wrong")).finish();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.complained.contains("refused: 601 appid未授权"), "{ended:?}");
}

/// Two seconds of a tone, as a company's own sound.
fn sent_in(country: &Country) {
    let file = country.folder.path().join("spring.wav");
    sound::write_wav_tone(&file, 900, 2);
    let door = country.tandem.http;
    let octets = std::fs::read(file).expect("a sound");
    let kept = sipcall::upload(door, &sipcall::login(door), "spring.wav", &octets);
    assert_eq!(kept["data"]["status"], 0, "{kept}");
}

/// All of a language, side by side.
fn all_of(language: Language) {
    let (port, port_002) = (ports::one(), ports::one());
    let company = sipcall::company(USER, &format!("http://127.0.0.1:{port_002}/"));
    let country = country(port, "/cb/", &company);
    sent_in(&country);
    let folder = |name: &str| {
        let folder = country.folder.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        folder
    };
    let callni = language.build(&language.sample("000"), &folder("000"));
    let ytx = language.build(&language.sample("001"), &folder("001"));
    let notice = language.build(&language.sample("002"), &folder("002"));
    std::thread::scope(|scope| {
        scope.spawn(|| system_000(&callni, &country));
        scope.spawn(|| system_001(&ytx, &country, port));
        scope.spawn(|| forged_001(&ytx, &country));
        scope.spawn(|| refused(&callni, &country, "refused: result=fail&code=1002&msg=sign_error"));
        scope.spawn(|| refused(&ytx, &country, "refused: -203 "));
        scope.spawn(|| system_002(&notice, &country, port_002));
        scope.spawn(|| forged_002(&notice, &country));
        scope.spawn(|| refused_002(&notice, &country));
    });
    wait::until("all calls to be over", || {
        let live = country.tandem.admin("GET", "/admin/v1/calls");
        live["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    country.tandem.books_in_order();
}

#[test]
fn samples_in_csharp() {
    all_of(Language::CSharp);
}

#[test]
fn samples_in_php() {
    all_of(Language::Php);
}

#[test]
fn samples_in_python() {
    all_of(Language::Python);
}

#[test]
fn samples_in_java() {
    all_of(Language::Java);
}

#[test]
fn samples_in_go() {
    all_of(Language::Go);
}

/// The manual's C#, whichever case its md5 helper writes. Its `returnurl` is not escaped: what stands behind the
/// first `&` of it is lost, and nothing else is.
#[test]
fn the_seed_of_system_000_in_csharp() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    let a = Sipp::start(folder, "carrier-a", &answers(None), 2);
    let b = Sipp::start(folder, "carrier-b", &answers(Some(700)), 2);
    // The manual calls back 80000: a line without a phone of its own, bound to a telephone outside.
    let line = "number = \"80000\"\n";
    let operator = country::operator(&Wish::default(), a.port, b.port)
        .replace(line, &format!("{line}bound_phone = \"{A}\"\n"));
    let tandem = Tandem::start(folder, &Setup { settings: Vec::new(), operator });
    let program = Language::CSharp.build(&seed("callni.cs"), folder);
    let switch = format!("http://{}", tandem.http);
    for case in ["lower", "upper"] {
        let case = [("MD5_CASE", case.to_owned())];
        let one_run = |arguments: &[&str]| {
            let ended = program.start(arguments, &case).finish();
            assert_eq!(ended.status, Some(0), "{ended:?}");
            ended.said.concat()
        };
        let made = one_run(&["regist", &switch, "张三", ""]);
        assert!(made.starts_with("result=success&account="), "{made}");

        let port = ports::one().to_string();
        let mut page = program.start(&["page", &port], &case);
        let _ = page.wait_line("listening");
        let returnurl = format!("http://127.0.0.1:{port}/back.aspx?shop=7&order=9");
        let placed = one_run(&["callback", &switch, B, &returnurl]);
        assert!(placed.starts_with("result=success&callbackid="), "{placed}");
        let written = page.wait_line("/back.aspx?shop=7&callbackid=");
        assert!(written.ends_with(" -> success"), "{written}");
        assert!(written.contains("&data=test") && !written.contains("order"), "{written}");
    }
    let accounts = tandem.admin("GET", "/admin/v1/sub-accounts");
    let named = accounts.to_string().contains("张三");
    assert!(named, "the name came as it was typed: {accounts}");
}

/// A merchant's Python, with the faults that were met: each of them is put up with.
#[test]
fn the_client_of_system_001_in_python() {
    let port = ports::one();
    let numbers = "cdr_types = \"number\"\n";
    let country = country(port, "/cb/ytx?", numbers);
    let program = Language::Python.build(&seed("ytx.py"), country.folder.path());
    let switch = format!("http://{}", country.tandem.http);
    let arguments = [&switch, ytx::SID, ytx::TOKEN, ytx::APP, A, B, &port.to_string()];
    let ended = program.start(&arguments, &[]).finish();
    assert_eq!((ended.status, ended.complained.as_str()), (Some(0), ""), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.said.concat()).expect("JSON");
    let states: Vec<&str> =
        told["states"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    // What comes behind the record it does not look at.
    let all = [
        "caller callout",
        "caller alerting",
        "caller answer",
        "called callout",
        "called alerting",
        "called answer",
        "called disconnect",
        "caller disconnect",
    ];
    assert!(states.len() >= 6 && all.starts_with(&states), "{told}");
    assert_eq!(told["record"], json!({ "id": told["requestId"], "cost": 0.375, "reason": "" }));
    assert_eq!(
        (&told["asked"][0]["oriamount"], &told["hourly"]),
        (&json!(0.25), &json!(1)),
        "{told}"
    );
    assert_eq!(told["asked"][0]["customParm"], "订单7");
}

/// The manual's PHP: its own token, which is too short for one, then a good one; a sound without a scheme, a menu in the
/// manual's quotes.
#[test]
fn the_seed_of_system_002_in_php() {
    let merchant = Merchant::start();
    let group = format!(
        "\n[[groups]]\nnumber = \"80100\"\nname = \"extGroup-1\"\nmerchant = \"{USER}\"\nmembers = [\"80000\"]\n"
    );
    let more = sipcall::company(USER, &merchant.url("/")) + &group;
    let wish = Wish { more, ..Wish::default() };
    let country = Country::new(&wish, &answers(None), &Behaviour::RingOnly, 1);
    let folder = country.folder.path();
    let file = folder.join("test.wav");
    sound::write_wav_tone(&file, 900, 1);
    let served = sipcall::serve(std::fs::read(file).expect("a sound"));
    let program = Language::Php.build(&seed("sipcall.php"), folder);
    let switch = format!("http://{}", country.tandem.http);
    let sound = format!("{served}/test.wav");
    let ask = |token: &str| {
        let arguments = [&switch, token, A, &sound, "\u{201d}1@extGroup-1\u{201d}", "02120280001"];
        let ended = program.start(&arguments, &[]).finish();
        assert_eq!((ended.status, ended.complained.as_str()), (Some(0), ""), "{ended:?}");
        ended.said.concat()
    };
    let short = ask("ABCDEFG");
    assert!(short.contains("\"ret\":400") && short.contains("现在token.len = 7"), "{short}");
    let said = ask(&sipcall::login(country.tandem.http));
    assert!(said.contains("\"ret\":200") && said.contains("播放命令发送成功"), "{said}");
    let told: Value = serde_json::from_str(&merchant.wait_for("/cdr", 1)[0].body).expect("JSON");
    assert_eq!((&told["customuuid"], &told["chengshudu"]), (&json!(A), &json!("1")), "{told}");
    assert_eq!((&told["disnumber"], &told["hangupcause"]), (&json!("02120280001"), &json!(10001)));
    country.tandem.books_in_order();
}
