//! Menus of system 003 on the program itself (spec §5.2, §7): pages as merchants have them, run by their own languages;
//! pages that do harm; sessions that a crash took. Subscribers are the door at which merchants try menus out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::country::{USER, Wish, operator};
use e2e::merchant::http;
use e2e::php::Php;
use e2e::programs::{Language, seed};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

const PROMPT: &str = "لطفا کد ثبت نام خود را وارد نمایید";
const DONE: &str = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
const NO_SERVICE: &str = "سرویس در دسترس نیست";
const SESSIONS: &str = "/v1/ussd/sessions";

/// A switch with these codes, each as `code`, `page` and more lines.
fn switch(folder: &Path, codes: &[(&str, String, &str)]) -> Tandem {
    let code = |(code, page, more): &(&str, String, &str)| {
        format!(
            "\n[[ussd_codes]]\ncode = \"{code}\"\nmerchant = \"{USER}\"\npage = \"{page}\"\n\
             price = \"0.5\"\n{more}\n"
        )
    };
    let wish = Wish { more: codes.iter().map(code).collect(), ..Wish::default() };
    let operator = operator(&wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(folder, &Setup { settings: Vec::new(), operator })
}

/// A merchant who tries his menus out.
struct Merchant {
    door: SocketAddr,
    key: String,
}

impl Merchant {
    fn of(tandem: &Tandem) -> Merchant {
        let key = tandem.api_key(USER, &["ussd:write", "ussd:read"]);
        Merchant { door: tandem.http, key }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
        ];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = http(self.door, method, path, &headers, &text);
        (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// The session, what it shows, and whether something may be typed.
    fn dial(&self, dialled: &str) -> (String, String, bool) {
        self.dial_from("+98 912 345 6789", dialled)
    }

    fn dial_from(&self, mobile: &str, dialled: &str) -> (String, String, bool) {
        let body = json!({ "dialled": dialled, "mobile": mobile });
        let (status, shown) = self.ask("POST", SESSIONS, &body);
        assert_eq!(status, 201, "{dialled}: {shown}");
        let (text, more) = screen(&shown);
        (shown["session"].as_str().expect("a session").to_owned(), text, more)
    }

    fn enter(&self, session: &str, text: &str) -> (String, bool) {
        let path = format!("{SESSIONS}/{session}/input");
        let (status, shown) = self.ask("POST", &path, &json!({ "text": text }));
        assert_eq!(status, 200, "{text}: {shown}");
        screen(&shown)
    }

    /// A session that is over.
    fn over(&self, session: &str) -> Value {
        wait::until("the end of a session", || {
            let (_, page) = self.ask("GET", &format!("{SESSIONS}?limit=500"), &Value::Null);
            let mut all = page["items"].as_array()?.iter();
            all.find(|one| one["id"] == session && !one["outcome"].is_null()).cloned()
        })
    }
}

fn screen(shown: &Value) -> (String, bool) {
    let text = shown["text"].as_str().expect("a text").to_owned();
    (text, shown["more"].as_bool().expect("whether there is more"))
}

/// The manual's page is never called; called, it misreads its second step: both are told of by the switch's own words.
#[test]
fn s7_003_the_seeds_page_in_php() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = std::fs::read_to_string(seed("inoti.php")).expect("the seed");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a page");
    };
    write("index.php", &page);
    write("called.php", &format!("{page}\nsave_regcode();\n"));
    let php = Php::start(folder.path());
    let codes =
        [("*6655*9#", php.url("index.php"), ""), ("6655*123", php.url("called.php?shop=7"), "")];
    let tandem = switch(folder.path(), &codes);
    let merchant = Merchant::of(&tandem);

    // As it stands in the manual it says nothing.
    let (session, text, more) = merchant.dial("*6655*9#");
    assert_eq!((text.as_str(), more), (NO_SERVICE, false));
    let query =
        format!("?mobile=09123456789&sessionid={}&call=*6655*9", session.parse::<u64>().unwrap());
    assert_eq!(php.asked("/index.php"), [format!("/index.php{query}")]);
    let told = merchant.over(&session);
    assert_eq!((&told["outcome"], &told["steps"]), (&json!("unavailable"), &json!(1)));
    assert_eq!((&told["door"], &told["price_micros"]), (&json!("simulator"), &json!(0)));

    // With its function called: the prompt, and nothing for what is typed then.
    let (session, text, more) = merchant.dial("*۶۶۵۵*۱۲۳#");
    assert_eq!((text.as_str(), more), (PROMPT, true));
    assert_eq!(merchant.enter(&session, "۴۷۱۱#"), (NO_SERVICE.to_owned(), false));
    let query = format!(
        "/called.php?shop=7&mobile=09123456789&sessionid={}&call=*6655*123",
        session.parse::<u64>().unwrap()
    );
    assert_eq!(php.asked("/called.php"), [query.clone(), format!("{query}*4711")]);
    let told = merchant.over(&session);
    assert_eq!((&told["outcome"], &told["steps"]), (&json!("unavailable"), &json!(2)));
    assert_eq!(tandem.log().matches("it answered nothing").count(), 2);
    // What is over is over.
    let path = format!("{SESSIONS}/{session}/input");
    let (status, told) = merchant.ask("POST", &path, &json!({ "text": "1" }));
    assert_eq!((status, &told["code"]), (404, &json!("not_live")));
    tandem.books_in_order();
}

/// The manual's other page reads what it is told as it is meant; it never says that it is done.
#[test]
fn s5_6_the_seeds_page_in_asp_net() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = e2e::ports::one();
    let program = Language::CSharp.build(&seed("inoti.cs"), folder.path());
    let mut page = program.start(&[&port.to_string()], &[]);
    page.wait_line("listening");
    let url = format!("http://127.0.0.1:{port}/myUSSD.aspx");
    let tandem = switch(folder.path(), &[("*6655*123#", url, "")]);
    let merchant = Merchant::of(&tandem);
    let (session, text, more) = merchant.dial("*6655*123#");
    assert_eq!((text.as_str(), more), (PROMPT, true));
    let query = format!(
        "/myUSSD.aspx?mobile=09123456789&sessionid={}&call=*6655*123",
        session.parse::<u64>().unwrap()
    );
    assert_eq!(page.wait_line("asked "), query);
    assert_eq!(merchant.enter(&session, "4711"), (DONE.to_owned(), true));
    assert_eq!(page.wait_line("asked "), format!("{query}*4711"));
    assert_eq!(page.wait_line("registered "), "4711");
    let (status, left) = merchant.ask("DELETE", &format!("{SESSIONS}/{session}"), &Value::Null);
    assert_eq!((status, &left["done"]), (200, &json!("leave")));
    assert_eq!(merchant.over(&session)["outcome"], "left");
    // All in one breath is one step.
    let (session, text, _) = merchant.dial("*6655*123*4712#");
    assert_eq!((page.wait_line("registered ").as_str(), text.as_str()), ("4712", DONE));
    // A crash: the session is lost with its process, and its id is nobody else's.
    let mut tandem = tandem;
    tandem.kill();
    tandem.resume();
    let merchant = Merchant { door: tandem.http, ..merchant };
    let lost = merchant.over(&session);
    assert_eq!((&lost["outcome"], &lost["price_micros"]), (&json!("lost"), &json!(0)));
    let (next, text, _) = merchant.dial("*6655*123#");
    assert!(next > session && text == PROMPT, "{next} {session}");
    tandem.books_in_order();
}

/// A server of pages that do harm.
fn harm() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: std::net::TcpStream) {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => head.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let place = head.split(['/', '?']).nth(1).unwrap_or_default();
    let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let _ = match place {
        "huge" => {
            let _ = stream.write_all(format!("{ok}\r\n").as_bytes());
            let block = [b'x'; 65_536];
            // As long as somebody listens.
            (0..16_384).try_for_each(|_| stream.write_all(&block))
        }
        "slow" => {
            let _ = stream.write_all(format!("{ok}Content-Length: 600\r\n\r\n").as_bytes());
            (0..600).try_for_each(|_| {
                std::thread::sleep(Duration::from_millis(100));
                stream.write_all(b"x")
            })
        }
        "binary" => {
            stream.write_all(&[ok.as_bytes(), b"\r\n\x89PNG\r\n\x1a\n\0\0\0\rIHDR"].concat())
        }
        "inward" => {
            let to = "http://169.254.169.254/latest/meta-data/";
            stream.write_all(
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                    .as_bytes(),
            )
        }
        "never" => {
            std::thread::sleep(Duration::from_secs(30));
            Ok(())
        }
        _ => stream.write_all(format!("{ok}Content-Length: 5\r\n\r\nhello").as_bytes()),
    };
}

/// What a page does, and the word for it in the log.
const HARMS: [(&str, &str); 5] = [
    ("huge", "more than is read"),
    ("slow", "did not answer in time"),
    ("binary", "no text"),
    ("inward", "barred"),
    ("never", "did not answer in time"),
];

#[test]
fn s5_2_pages_that_do_harm_end_with_the_switchs_own_words_and_delay_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = harm();
    let code = |at: usize| format!("*7*{at}#");
    let names: Vec<String> = (0..HARMS.len()).map(code).collect();
    let mut codes: Vec<(&str, String, &str)> = HARMS
        .iter()
        .zip(&names)
        .map(|((place, _), name)| {
            (
                name.as_str(),
                format!("http://{server}/{place}"),
                "page_seconds = 2\nlanguage = \"en\"",
            )
        })
        .collect();
    codes.push(("*8#", format!("http://{server}/well"), ""));
    let tandem = switch(folder.path(), &codes);
    let merchant = Merchant::of(&tandem);
    // A subscriber has one session at a time.
    let nth = |name: &str| format!("+9891200000{}{}", name.len(), &name[3..4]);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let tries: Vec<_> = names
            .iter()
            .map(|name| (name, scope.spawn(|| merchant.dial_from(&nth(name), name))))
            .collect();
        // While they are at it, others are served as ever.
        for other in 0..20 {
            let one = Instant::now();
            let (_, text, more) = merchant.dial_from(&format!("+98913000{other:04}"), "*8#");
            assert_eq!((text.as_str(), more), ("hello", true));
            assert!(one.elapsed() < Duration::from_millis(900), "{:?}", one.elapsed());
        }
        for (name, one) in tries {
            let (session, text, more) = one.join().expect("it is answered");
            assert_eq!((text.as_str(), more), ("The service is not available", false), "{name}");
            assert_eq!(merchant.over(&session)["outcome"], "unavailable", "{name}");
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let log = tandem.log();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("a menu's page said nothing to show")).collect();
    assert_eq!(told.len(), HARMS.len(), "{told:#?}");
    for ((_, why), name) in HARMS.iter().zip(&names) {
        let line = told.iter().find(|line| line.contains(&format!("code=\"{name}\"")));
        let line = line.unwrap_or_else(|| panic!("{name}: {told:#?}"));
        assert!(line.contains(why) && line.contains("session="), "{line}");
    }
    let metrics = wait::until("the others to wait for input", || {
        let metrics = tandem.metrics();
        (metrics["tandem_menus"] == 20.0).then_some(metrics)
    });
    assert_eq!(metrics["tandem_menus_ended_total{outcome=\"unavailable\"}"], 5.0);
    assert_eq!(metrics["tandem_menu_page_seconds_count{answer=\"shown\"}"], 20.0);
    tandem.books_in_order();
}
