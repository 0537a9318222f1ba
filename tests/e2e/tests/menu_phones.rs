//! Menus of system 003 by foreign peers (spec §5.6): sipp as a phone of the IMS in both dialects of the body, a softphone
//! that reads and writes messages in a call to the code, and a caller who can do neither, hears the menu and presses keys.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use e2e::baresip::{Account, Baresip};
use e2e::country::{PASSWORD, USER, Wish, operator};
use e2e::merchant::http;
use e2e::pcap::{Capture, rtp_audio};
use e2e::programs::seed;
use e2e::sipp::Sipp;
use e2e::tandem::{Setup, Tandem};
use e2e::{ims, ports, sound, wait};
use serde_json::{Value, json};

const PROMPT: &str = "لطفا کد ثبت نام خود را وارد نمایید";
const DONE: &str = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
const MOBILE: &str = "+989123456789";

/// PHP's own web server with one page, which writes down what it is asked.
struct Page {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Page {
    fn start(text: &str) -> Page {
        let (port, folder) = (ports::one(), tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.path().join("menu.php"), text).expect("a page");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = Command::new("php")
            .args(["-d", "html_errors=0", "-S", &format!("127.0.0.1:{port}"), "-t"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("php-cli is installed");
        wait::until("PHP's server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
        Page { child, folder, port }
    }

    /// The manual's page, called, and mended where it misreads what it is told (§7); it says that it is done.
    fn of_the_manual() -> Page {
        let page = std::fs::read_to_string(seed("inoti.php")).expect("the seed");
        let page =
            page.replace("explode('*',$_GET['call'])", "explode('*',ltrim($_GET['call'],'*'))");
        let page = page.replace(DONE, &format!("{DONE}[end]"));
        assert!(page.contains("ltrim") && page.contains("[end]\";\n     }\n\n}"), "{page}");
        Page::start(&format!("{page}\nsave_regcode();\n"))
    }

    /// What it was asked for, in order.
    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("a log");
        let target = |line: &str| line.split_once("]: GET ").map(|(_, target)| target.to_owned());
        log.lines().filter_map(target).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A switch with the code `*6655*123#`, a session of which costs half a yuan, and extension 80000 with a number.
fn switch(folder: &Path, page: &Page, language: &str, settings: &[&str]) -> Tandem {
    let more = format!(
        "\n[[ussd_codes]]\ncode = \"*6655*123#\"\nmerchant = \"{USER}\"\nlanguage = \"{language}\"\n\
         page = \"http://127.0.0.1:{}/menu.php\"\nprice = \"0.5\"\n",
        page.port
    );
    let wish = Wish { more, record: false, ..Wish::default() };
    let operator = operator(&wish, ports::one(), ports::one())
        .replace(
            "sub_account = \"shop\"\npassword",
            "sub_account = \"shop\"\nbound_phone = \"+989123456789\"\npassword",
        )
        .replace("name = \"carrier-a\"\n", "name = \"carrier-a\"\noptions = { menus = true }\n");
    Tandem::start(
        folder,
        &Setup { settings: settings.iter().map(|s| (*s).to_owned()).collect(), operator },
    )
}

/// Sessions that are over, oldest first, when there are so many.
fn over(tandem: &Tandem, key: &str, all: usize) -> Vec<Value> {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Accept", "application/json")];
    wait::until("the sessions to end", || {
        let (status, answer) = http(tandem.http, "GET", "/v1/ussd/sessions", &headers, "");
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let items = answer["items"].as_array().expect("a list").clone();
        let done = items.iter().all(|item| !item["outcome"].is_null());
        (items.len() == all && done).then_some(items)
    })
}

/// What the merchant has left of a hundred yuan, micros.
fn balance(tandem: &Tandem) -> i64 {
    let balances = tandem.admin("GET", "/admin/v1/balances");
    balances["items"][0]["posted_micros"].as_i64().expect("micros")
}

fn query(session: &Value) -> String {
    let id: u64 = session["id"].as_str().expect("an id").parse().expect("digits");
    format!("/menu.php?mobile=09123456789&sessionid={id}&call=*6655*123")
}

#[test]
fn s5_6_ts24_390_sipp_is_the_phone_of_the_seeds_dialogue_in_both_dialects() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::of_the_manual();
    let tandem = switch(folder.path(), &page, "fa", &[]);
    let key = tandem.api_key(USER, &["ussd:read"]);
    let before = balance(&tandem);
    for (nth, old) in [(1, false), (2, true)] {
        let name = if old { "old" } else { "standard" };
        let mut phone = Sipp::start(
            folder.path(),
            name,
            &ims::dialogue(tandem.sip.port(), old, MOBILE, &[(PROMPT, true), (DONE, false)]),
            1,
        );
        assert!(phone.finish().success(), "{name}: {}", phone.messages());
        let all = over(&tandem, &key, nth);
        let told = &all[nth - 1];
        assert_eq!((&told["door"], &told["outcome"]), (&json!("ims"), &json!("said")), "{told}");
        assert_eq!((&told["steps"], &told["price_micros"]), (&json!(2), &json!(500_000)));
        let query = query(told);
        assert_eq!(page.asked()[2 * nth - 2..], [query.clone(), format!("{query}*4711")]);
    }
    assert_eq!(before - balance(&tandem), 1_000_000, "two sessions, each once");
    tandem.books_in_order();
}

#[test]
fn s5_6_rfc3428_baresip_calls_the_code_reads_messages_and_answers_by_keys_and_by_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::start(
        "<?php $parts = explode('*', ltrim($_GET['call'], '*')); $n = count($parts);\n\
         if ($n == 2) echo \"First?\"; elseif ($n == 3) echo \"Second, after $parts[2]?\";\n\
         else echo \"Thanks for $parts[3].[end]\";",
    );
    let tandem = switch(folder.path(), &page, "en", &[]);
    let key = tandem.api_key(USER, &["ussd:read"]);
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 60);
    let account = Account {
        user: "80000",
        password: PASSWORD,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
        srtp: None,
    };
    Baresip::knows(folder.path(), "\"Menu\" <sip:*6655*123%23@tandem.example>");
    let phone = Baresip::start(folder.path(), &account, &tone);
    phone.wait_registered();
    phone.types("/dial sip:*6655*123%23@tandem.example\n");
    phone.wait_printed("First?");
    phone.types("4711#");
    phone.wait_printed("Second, after 4711?");
    phone.types("/message by hand\n");
    phone.wait_printed("Thanks for by hand.");
    let all = over(&tandem, &key, 1);
    assert_eq!((&all[0]["door"], &all[0]["outcome"]), (&json!("call"), &json!("said")));
    let query = query(&all[0]);
    let asked = [query.clone(), format!("{query}*4711"), format!("{query}*4711*by%20hand")];
    assert_eq!(page.asked(), asked);
    // The call ends with its session, and cost nothing itself.
    let settled = wait::until("the call to be on record", || {
        let log = tandem.log();
        log.lines().find(|line| line.contains("call settled")).map(str::to_owned)
    });
    assert!(settled.contains("completed") && settled.contains("total=\"0.00\""), "{settled}");
    assert_eq!(100_000_000 - balance(&tandem), 500_000);
    wait::until("the call to end", || phone.log().contains("terminated").then_some(()));
    tandem.books_in_order();
}

#[test]
fn s5_6_a_caller_whose_phone_takes_no_messages_hears_the_menu_and_presses_keys() {
    const FIRST: &str = "Press one for your balance.";
    const SECOND: &str = "You have five hundred left.";
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::start(&format!(
        "<?php if ($_GET['call'] == '*6655*123') echo '{FIRST}'; else echo '{SECOND}[end]';"
    ));
    let program = "speech.program=espeak-ng,-v,{language},--stdin,--stdout";
    let tandem = switch(folder.path(), &page, "en", &[program]);
    let key = tandem.api_key(USER, &["ussd:read"]);
    let behaviour = ims::listener(tandem.sip.port(), MOBILE, &[(2_600, "1#")], None);
    let media = ports::block(4);
    let capture = Capture::start(folder.path(), &[media]);
    let mut caller = Sipp::start_at(folder.path(), "listener", &behaviour, 1, media);
    assert!(caller.finish().success(), "{}", caller.messages());
    let heard = sound::alaw(&rtp_audio(&capture.stop(), media, 8));
    let [first, second] =
        [FIRST, SECOND].map(|text| sound::spoken(folder.path(), &["-v", "en"], text));
    let other = sound::spoken(
        folder.path(),
        &["-v", "en"],
        "It rains in Tabriz, and nobody has brought an umbrella.",
    );
    let like = [&first, &second, &other].map(|part| sound::likeness(&heard, part));
    assert!(like[0] > 0.85 && like[1] > 0.85, "{like:?} of {} samples", heard.len());
    assert!(like[2] < 0.7, "{like:?}");
    let all = over(&tandem, &key, 1);
    assert_eq!((&all[0]["door"], &all[0]["outcome"]), (&json!("call"), &json!("said")));
    assert_eq!(all[0]["price_micros"], 500_000);
    let query = query(&all[0]);
    assert_eq!(page.asked(), [query.clone(), format!("{query}*1")]);
    assert_eq!(100_000_000 - balance(&tandem), 500_000);
    // What is said to one person lies in no file.
    let kept = std::fs::read_dir(folder.path().join("data/sounds")).expect("the sounds").count();
    assert_eq!(kept, 0);
    tandem.books_in_order();
}
