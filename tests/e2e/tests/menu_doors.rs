//! The manual's own pages of system 003 at every door by which subscribers come (spec §5.6, §7): what is seen there, and
//! what the page is asked, octet by octet.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::baresip::{Account, Baresip};
use e2e::country::{PASSWORD, USER, Wish, operator};
use e2e::ims::{self, Screens, TYPED};
use e2e::linphone::Linphone;
use e2e::pcap::{Capture, rtp_audio};
use e2e::php::Php;
use e2e::programs::{Language, Running, seed};
use e2e::sipp::Sipp;
use e2e::smsc::{self, Smsc};
use e2e::tandem::{Setup, Tandem};
use e2e::ussd::Tries;
use e2e::{ports, sound, wait};
use serde_json::{Value, json};

const PROMPT: &str = "لطفا کد ثبت نام خود را وارد نمایید";
const DONE: &str = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
const NO_SERVICE: &str = "سرویس در دسترس نیست";
const DIALLED: &str = "*6655*123#";
/// As phones write it in an address.
const URI: &str = "sip:*6655*123%23@tandem.example";
const MOBILE: &str = "+989123456789";
/// Whoever hears the menu: he takes his time, and others do not wait for him.
const LISTENER: &str = "+989121111111";

/// A page of the manual.
enum Page {
    Php(Php),
    AspNet(Running),
}

impl Page {
    /// The PHP page, and something behind it.
    fn php(folder: &Path, behind: &str) -> (Page, String) {
        let page = std::fs::read_to_string(seed("inoti.php")).expect("the seed");
        std::fs::write(folder.join("index.php"), page + behind).expect("a page");
        let php = Php::start(folder);
        let url = php.url("index.php");
        (Page::Php(php), url)
    }

    fn asp_net(folder: &Path) -> (Page, String) {
        let port = ports::one();
        let program = Language::CSharp.build(&seed("inoti.cs"), folder);
        let mut page = program.start(&[&port.to_string()], &[]);
        page.wait_line("listening");
        (Page::AspNet(page), format!("http://127.0.0.1:{port}/myUSSD.aspx"))
    }

    /// What it was asked for.
    fn asked(&mut self) -> Vec<String> {
        match self {
            Page::Php(php) => php.asked("/"),
            Page::AspNet(page) => {
                let asked = page.so_far().iter().filter_map(|line| line.strip_prefix("asked "));
                asked.map(str::to_owned).collect()
            }
        }
    }
}

/// A switch with the code, and all doors to it.
fn switch(folder: &Path, page: &str, more: &str) -> Tandem {
    let more = format!(
        "\n[[ussd_codes]]\ncode = \"{DIALLED}\"\nmerchant = \"{USER}\"\nlanguage = \"fa\"\n\
         page = \"{page}\"\n{more}"
    );
    let wish = Wish { more, record: false, ..Wish::default() };
    let operator = operator(&wish, ports::one(), ports::one())
        .replace(
            "sub_account = \"shop\"\npassword",
            &format!("sub_account = \"shop\"\nbound_phone = \"{MOBILE}\"\npassword"),
        )
        .replace("name = \"carrier-a\"\n", "name = \"carrier-a\"\noptions = { menus = true }\n");
    // Faster than people like it: nobody of them waits for it.
    let program = "speech.program=espeak-ng,-v,{language},-s,450,--stdin,--stdout";
    let settings = vec![program.to_owned()];
    Tandem::start(folder, &Setup { settings, operator })
}

fn account(tandem: &Tandem) -> Account<'static> {
    Account {
        user: "80000",
        password: PASSWORD,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
        srtp: None,
    }
}

/// A phone of the IMS in both dialects.
fn ims(folder: &Path, tandem: &Tandem, screens: Screens<'_>) {
    for (name, old) in [("standard", false), ("old", true)] {
        let dialogue = ims::dialogue(tandem.sip.port(), old, MOBILE, screens);
        let mut phone = Sipp::start(folder, name, &dialogue, 1);
        assert!(phone.finish().success(), "{name}: {}", phone.messages());
    }
}

/// A phone of ours writes messages, and then calls, reads messages and presses keys.
fn softphone(folder: &Path, tandem: &Tandem, screens: Screens<'_>) {
    let tone = folder.join("700.wav");
    sound::write_wav_tone(&tone, 700, 60);
    Baresip::knows(folder, &format!("\"Menu\" <{URI}>"));
    let phone = Baresip::start(folder, &account(tandem), &tone);
    phone.wait_registered();
    let (dial, hang_up) = (format!("/dial {URI}\n"), "/hangup\n");
    let (write, press) = (format!("/message {TYPED}\n"), format!("{TYPED}#"));
    for (begin, answer, leave) in [("/message hello\n", &write, ""), (&dial, &press, hang_up)] {
        let mut mark = phone.log().len();
        for (nth, (text, _)) in screens.iter().enumerate() {
            phone.types(if nth == 0 { begin } else { answer });
            phone.wait_printed_after(mark, text);
            mark = phone.log().len();
        }
        if screens.iter().all(|(_, more)| *more) {
            phone.types(leave);
        }
    }
    // Each once, and nothing but the text, in its colour.
    let log = phone.log();
    let read = log.lines().filter(|line| !line.is_ascii());
    let read: Vec<_> = read.map(|line| line.trim_end_matches("\u{1b}[;m")).collect();
    let texts: Vec<_> = screens.iter().map(|(text, _)| *text).collect();
    assert_eq!(read, [texts.clone(), texts].concat());
}

/// A network's gateway. Whoever could still type leaves.
fn network(smsc: &mut Smsc, screens: Screens<'_>) {
    for (nth, (text, more)) in (0..).zip(screens) {
        let (op, typed) = if nth == 0 { (1, DIALLED) } else { (18, TYPED) };
        assert_eq!(smsc::step(smsc, op, [7, 2 * nth], typed), 0);
        assert_eq!(smsc::sees(smsc, 7), ((*text).to_owned(), *more));
    }
    if screens.iter().all(|(_, more)| *more) {
        assert_eq!(smsc::step(smsc, 18, [7, 5], ""), 0);
    }
}

/// The merchant himself.
fn simulator(tries: &Tries, screens: Screens<'_>) {
    let mut seen = tries.dial(MOBILE, DIALLED);
    for (nth, (text, more)) in screens.iter().enumerate() {
        if nth > 0 {
            seen = tries.enter(&seen.session, TYPED);
        }
        assert_eq!((seen.text.as_str(), seen.more), (*text, *more));
    }
    if seen.more {
        let _ = tries.ask("DELETE", &format!("/v1/ussd/sessions/{}", seen.session), &Value::Null);
    }
}

/// The doors in the order in which the same subscriber comes by them.
const DOORS: [&str; 6] = ["ims", "ims", "message", "call", "smpp", "simulator"];

/// The dialogue of spec §5.6 with a page that shows this, at every door.
fn at_every_door(folder: &Path, (mut page, url): (Page, String), screens: Screens<'_>) {
    let mut smsc = Smsc::start(folder, ports::one(), None);
    let tandem = switch(folder, &url, &smsc::link(smsc.port, "ussd = true"));
    let tries = Tries::of(&tandem);
    smsc.wait("bound", &json!({}));

    // Whoever hears it comes by a carrier, while the others are at it.
    let waits = screens.iter().all(|(_, more)| *more);
    let (listens, media) = (3_000, ports::block(4));
    let keys = format!("{TYPED}#");
    let keys: Vec<_> = screens[1..].iter().map(|_| (listens, keys.as_str())).collect();
    let heard = ims::listener(tandem.sip.port(), LISTENER, &keys, waits.then_some(listens));
    let capture = Capture::start(folder, &[media]);
    let mut listener = Sipp::start_at(folder, "listener", &heard, 1, media);

    ims(folder, &tandem, screens);
    softphone(folder, &tandem, screens);
    network(&mut smsc, screens);
    simulator(&tries, screens);
    assert!(listener.finish().success(), "{}", listener.messages());
    let heard = sound::alaw(&rtp_audio(&capture.stop(), media, 8));
    for text in [PROMPT, DONE, NO_SERVICE] {
        let shown = screens.iter().any(|(screen, _)| *screen == text);
        let like =
            sound::likeness(&heard, &sound::spoken(folder, &["-v", "fa", "-s", "450"], text));
        assert_eq!(like > 0.8, shown, "{text}: {like} of {} samples", heard.len());
    }

    // What the page was asked for: the same at every door, and nothing else.
    let sessions = wait::until("all sessions to end", || {
        let listed = tries.ask("GET", "/v1/ussd/sessions", &Value::Null);
        let all = listed["items"].as_array().expect("a list").clone();
        let over = all.iter().all(|one| !one["outcome"].is_null());
        (over && all.len() == DOORS.len() + 1).then_some(all)
    });
    let (by_ear, by_eye): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|one| {
        one["mobile"].as_str().is_some_and(|mobile| LISTENER.ends_with(&mobile[1..]))
    });
    let doors: Vec<_> = by_eye.iter().map(|one| one["door"].as_str().expect("a door")).collect();
    assert_eq!((doors.as_slice(), &by_ear[0]["door"]), (DOORS.as_slice(), &json!("call")));
    let (asked, path) = (page.asked(), url.split_at(url.rfind('/').expect("a path")).1);
    assert_eq!(asked.len(), (DOORS.len() + 1) * screens.len(), "{asked:#?}");
    let outcome = if waits { "left" } else { "unavailable" };
    for one in by_eye.iter().chain(&by_ear) {
        assert_eq!((&one["outcome"], &one["steps"]), (&json!(outcome), &json!(screens.len())));
        let mobile = if one["id"] == by_ear[0]["id"] { "09121111111" } else { "09123456789" };
        let id: u64 = one["id"].as_str().expect("an id").parse().expect("digits");
        let first = format!("{path}?mobile={mobile}&sessionid={id}&call=*6655*123");
        let expected = [first.clone(), format!("{first}*4711")];
        let its = asked.iter().filter(|target| target.contains(&format!("sessionid={id}&")));
        assert_eq!(its.collect::<Vec<_>>(), expected[..screens.len()].iter().collect::<Vec<_>>());
    }
    tandem.books_in_order();
}

/// As it is printed its function is never called: nothing is said, and everybody is told so.
#[test]
fn s7_003_the_php_page_as_printed_at_every_door() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::php(folder.path(), "");
    at_every_door(folder.path(), page, &[(NO_SERVICE, false)]);
}

/// One line more calls it: the prompt, and nothing for what is typed then, for it counts as if no star stood before it.
#[test]
fn s7_003_the_php_page_called_at_every_door() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::php(folder.path(), "\nsave_regcode();\n");
    at_every_door(folder.path(), page, &[(PROMPT, true), (NO_SERVICE, false)]);
}

/// It never says that it is done: whoever has read it leaves.
#[test]
fn s7_003_the_asp_net_page_at_every_door() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = Page::asp_net(folder.path());
    at_every_door(folder.path(), page, &[(PROMPT, true), (DONE, true)]);
}

/// A page that is asked and never answers: whoever waits reads so in his language when its time is over, in the request
/// that ends the session, and in either dialect of it.
#[test]
fn s5_2_by_the_ims_a_page_that_never_answers_ends_in_the_codes_own_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let page = format!("http://{}/menu", listener.local_addr().expect("bound"));
    let visits = Arc::new(Mutex::new(Vec::new()));
    let visited = Arc::clone(&visits);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            // Kept open.
            visited.lock().expect("unpoisoned").push((stream, line));
        }
    });
    let tandem = switch(folder.path(), &page, "page_seconds = 1\n");
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ussd-data>";
    let standard =
        format!("<language>fa</language><ussd-string>{NO_SERVICE}</ussd-string></ussd-data>");
    let old = format!(
        "<language value=\"fa\"/><ussd-string value=\"{NO_SERVICE}\"/><anyExt><message-type>\
         processUnstructuredSSRequest_Response</message-type></anyExt></ussd-data>"
    );
    for (name, is_old, wanted) in [("standard", false, standard), ("old", true, old)] {
        let began = Instant::now();
        let screens = [(NO_SERVICE, false)];
        let dialogue = ims::dialogue(tandem.sip.port(), is_old, MOBILE, &screens);
        let mut phone = Sipp::start(folder.path(), name, &dialogue, 1);
        assert!(phone.finish().success(), "{name}: {}", phone.messages());
        let took = began.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{took:?}");
        // To the octet.
        let messages = phone.messages().replace("\r\n", "\n");
        let (_, bye) = messages.split_once("\nBYE ").expect(&messages);
        let (fields, behind) = bye.split_once("\n\n").expect("a body");
        let body = format!("{head}{wanted}");
        assert!(behind.starts_with(&format!("{body}\n")), "{behind}");
        let length = format!("\nContent-Length: {}\n", body.len());
        assert!(format!("{fields}\n").contains(&length), "{length} {fields}");
    }
    let listed = Tries::of(&tandem).ask("GET", "/v1/ussd/sessions", &Value::Null);
    let sessions = listed["items"].as_array().expect("a list");
    let visits: Vec<_> =
        visits.lock().expect("unpoisoned").drain(..).map(|(_, line)| line).collect();
    assert_eq!((sessions.len(), visits.len()), (2, 2));
    for (one, line) in sessions.iter().zip(visits) {
        assert_eq!((&one["door"], &one["outcome"]), (&json!("ims"), &json!("unavailable")));
        let id: u64 = one["id"].as_str().expect("an id").parse().expect("digits");
        let wanted =
            format!("GET /menu?mobile=09123456789&sessionid={id}&call=*6655*123 HTTP/1.1\r\n");
        assert_eq!(line, wanted);
    }
    assert_eq!(tandem.log().matches("did not answer in time").count(), 2);
    tandem.books_in_order();
}

/// Another make of phone, which calls nobody.
#[test]
fn s5_6_rfc3428_linphone_dials_a_code_and_types_by_messages_outside_a_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let (page, url) = Page::php(folder.path(), "\nsave_regcode();\n");
    let tandem = switch(folder.path(), &url, "");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let mut phone = Linphone::start(folder.path(), &account(&tandem), &tone);
    wait::until("linphone to register", || {
        let bindings = tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    });
    let prints = |phone: &Linphone, text: &str| {
        let printed = wait::within(wait::PATIENCE / 4, || phone.log().contains(text).then_some(()));
        assert!(printed.is_some(), "{text}: {}\n{}", phone.log(), tandem.log());
    };
    phone.write_to(URI, "hello");
    prints(&phone, PROMPT);
    phone.write_to(URI, TYPED);
    prints(&phone, NO_SERVICE);
    let mut page = page;
    let listed = Tries::of(&tandem).ask("GET", "/v1/ussd/sessions", &Value::Null);
    let session = &listed["items"][0];
    assert_eq!((&session["door"], &session["steps"]), (&json!("message"), &json!(2)));
    let id: u64 = session["id"].as_str().expect("an id").parse().expect("digits");
    let first = format!("/index.php?mobile=09123456789&sessionid={id}&call=*6655*123");
    assert_eq!(page.asked(), [first.clone(), format!("{first}*4711")]);
    tandem.books_in_order();
}
