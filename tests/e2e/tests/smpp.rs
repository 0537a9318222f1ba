//! Lines to networks by SMPP on the program itself, against a message centre of somebody else's making (spec §5.6, §8):
//! menus, messages out and in, receipts, TLS; what a lost link and a busy network do.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::country::{USER, Wish, operator};
use e2e::merchant::http;
use e2e::php::Php;
use e2e::programs::seed;
use e2e::smsc::{MOBILE, PASSWORD, Smsc, link, sees, step};
use e2e::tandem::{Setup, Tandem, certificate};
use e2e::wait;
use serde_json::{Value, json};

const PROMPT: &str = "لطفا کد ثبت نام خود را وارد نمایید";
const DONE: &str = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
const NO_SERVICE: &str = "سرویس در دسترس نیست";

fn switch(folder: &Path, more: String, settings: Vec<String>) -> Tandem {
    let wish = Wish { more, ..Wish::default() };
    let operator = operator(&wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(folder, &Setup { settings, operator })
}

/// A message by hand: status and what is said.
fn send(tandem: &Tandem, text: &str) -> (u16, Value) {
    let body = json!({ "to": format!("+{MOBILE}"), "text": text });
    by_hand(tandem, "carrier", &body)
}

fn by_hand(tandem: &Tandem, link: &str, body: &Value) -> (u16, Value) {
    let token = std::fs::read_to_string(tandem.folder().join("data/admin.token"));
    let bearer = format!("Bearer {}", token.expect("an admin token").trim());
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let path = format!("/admin/v1/smpp/{link}/messages");
    let (status, body) = http(tandem.admin, "POST", &path, &headers, &body.to_string());
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// Waits until the link stands so.
fn stands(tandem: &Tandem, state: &str) -> Value {
    wait::until(&format!("the link to be {state}"), || {
        let links = tandem.admin("GET", "/admin/v1/smpp");
        (links["items"][0]["state"] == *state).then(|| links["items"][0].clone())
    })
}

fn outcomes(tandem: &Tandem, outcome: &str) -> u32 {
    let name = format!("tandem_menus_ended_total{{outcome=\"{outcome}\"}}");
    format!("{:.0}", tandem.metrics().get(&name).copied().unwrap_or_default()).parse().unwrap_or(0)
}

/// The dialogue of the specification against the manual's page, with the page's fault and mended.
#[test]
fn s5_6_the_dialogue_by_smpp_asks_the_seeds_page_as_every_other_door() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = std::fs::read_to_string(seed("inoti.php")).expect("the seed");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a page");
    };
    write("called.php", &format!("{page}\nsave_regcode();\n"));
    let mended = page.replace("explode('*',$_GET['call'])", "explode('*',substr($_GET['call'],1))");
    assert_ne!(mended, page);
    let mended = mended.replace("123", "124");
    write("mended.php", &format!("{mended}\nsave_regcode();\n"));
    write("bye.php", "<?php echo \"bye [end]\";");
    let php = Php::start(folder.path());
    let code = |code: &str, page: &str| {
        let url = php.url(page);
        format!("\n[[ussd_codes]]\ncode = \"{code}\"\nmerchant = \"{USER}\"\npage = \"{url}\"\n")
    };
    let mut smsc = Smsc::start(folder.path(), e2e::ports::one(), None);
    let codes = [
        code("*6655*123#", "called.php"),
        code("*6655*124#", "mended.php"),
        code("*6655*125#", "bye.php"),
    ];
    let more = link(smsc.port, "ussd = true\nversion = \"5.0\"") + &codes.concat();
    let tandem = switch(folder.path(), more, Vec::new());
    smsc.wait("bound", &json!({ "as": "transceiver", "version": 0x50 }));
    stands(&tandem, "bound");

    // As the manual has it, called: the prompt, and nothing for what is typed then.
    assert_eq!(step(&mut smsc, 1, [7, 0], "*6655*123#"), 0);
    assert_eq!(sees(&mut smsc, 7), (PROMPT.to_owned(), true));
    assert_eq!(step(&mut smsc, 18, [7, 2], "4711"), 0);
    assert_eq!(sees(&mut smsc, 7), (NO_SERVICE.to_owned(), false));
    let asked = php.asked("/called.php");
    let id = asked[0].split("sessionid=").nth(1).and_then(|rest| rest.split('&').next());
    let id = id.expect("a session id");
    let query = format!("/called.php?mobile=09123456789&sessionid={id}&call=*6655*123");
    assert_eq!(asked, [query.clone(), format!("{query}*4711")]);

    // Mended: both steps. The page never ends it: the network does, by the end bit.
    assert_eq!(step(&mut smsc, 1, [8, 0], "*6655*124#"), 0);
    assert_eq!(sees(&mut smsc, 8), (PROMPT.to_owned(), true));
    // What some networks call it: a "continue", and an indication again.
    assert_eq!(step(&mut smsc, 2, [8, 2], "4711"), 0);
    assert_eq!(sees(&mut smsc, 8), (DONE.to_owned(), true));
    assert_eq!(step(&mut smsc, 18, [8, 5], ""), 0);
    wait::until("the subscriber to have left", || (outcomes(&tandem, "left") == 1).then_some(()));
    assert_eq!(php.asked("/mended.php").len(), 2);

    // One step with all of it; the page's last word is the network's last.
    assert_eq!(step(&mut smsc, 1, [9, 0], "*6655*125*7#"), 0);
    assert_eq!(sees(&mut smsc, 9), ("bye".to_owned(), false));
    // A code that is nobody's; a word from a session that is over lets him go.
    assert_eq!(step(&mut smsc, 1, [10, 0], "*99#"), 0x65);
    assert_eq!(step(&mut smsc, 18, [9, 2], "1"), 0);
    assert_eq!(sees(&mut smsc, 9), (String::new(), false));

    // The link is lost in the middle of a session: it is over, and the next one is served as ever.
    assert_eq!(step(&mut smsc, 1, [11, 0], "*6655*123#"), 0);
    assert_eq!(sees(&mut smsc, 11), (PROMPT.to_owned(), true));
    smsc.order(&json!({ "do": "cut" }));
    wait::until("the session to be lost", || (outcomes(&tandem, "lost") == 1).then_some(()));
    smsc.wait("bound", &json!({}));
    stands(&tandem, "bound");
    assert_eq!(step(&mut smsc, 1, [11, 0], "*6655*125#"), 0);
    assert_eq!(sees(&mut smsc, 11), ("bye".to_owned(), false));
    let log = tandem.log();
    assert!(!log.contains(PASSWORD) && !log.contains("4711"), "neither secrets nor what is typed");
    tandem.books_in_order();
}

/// Texts of all lengths and scripts are put together by the far end; one that is busy gets them later; one whose cable
/// is cut is told again.
#[test]
fn s5_5_messages_leave_whole_whatever_the_network_does_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut smsc = Smsc::start(folder.path(), e2e::ports::one(), None);
    let more = link(smsc.port, "bind = \"pair\"\nwindow = 2");
    let mut tandem = switch(folder.path(), more, Vec::new());
    smsc.wait("bound", &json!({ "as": "transmitter", "version": 0x34 }));
    stands(&tandem, "bound");

    let persian = "لطفا کد ثبت نام خود را وارد نمایید و منتظر پاسخ سامانه بمانید. ".repeat(4);
    for (text, parts) in [
        ("Code 1234 @ € [x]".to_owned(), 1),
        ("a".repeat(161), 2),
        (persian.trim().to_owned(), 4),
        ("验证码".repeat(25), 2),
        (format!("{}😀", "x".repeat(66)), 1),
        ("😀".repeat(36), 2),
    ] {
        let (status, said) = send(&tandem, &text);
        assert_eq!(status, 200, "{said}");
        assert_eq!(said["references"].as_array().map(Vec::len), Some(parts), "{said}");
        let sms = smsc.wait("sms", &json!({ "to": MOBILE, "from": "3000", "by": "transmitter" }));
        assert_eq!((&sms["text"], &sms["parts"]), (&json!(text), &json!(parts)));
        assert_eq!(sms["registered"], 1);
    }

    // What is no message, and no link.
    let number = format!("+{MOBILE}");
    for (link, to, text, refused) in [
        ("carrier", "nobody", "x", 422),
        ("carrier", &number, "", 422),
        ("other", &number, "x", 404),
    ] {
        let (status, said) = by_hand(&tandem, link, &json!({ "to": to, "text": text }));
        assert_eq!(status, refused, "{said}");
    }

    // Throttled twice, then taken: later, once, and nobody is told otherwise.
    smsc.order(&json!({ "do": "statuses", "statuses": [0x58, 0x14] }));
    assert_eq!(send(&tandem, "patience").0, 200);
    smsc.wait("sms", &json!({ "text": "patience" }));
    // Refused: why, and which part.
    smsc.order(&json!({ "do": "statuses", "statuses": [0, 0x0b] }));
    let (status, said) = send(&tandem, &"b".repeat(400));
    let why = said["error"]["message"].as_str().unwrap_or_default();
    assert_eq!((status, why), (502, "part 2 of 3: ESME_RINVDSTADR (0xb); 1 have left"));

    // Cut while the answer is awaited: whoever sends is told that nobody knows.
    smsc.order(&json!({ "do": "silent", "on": true }));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&tandem, "lost"));
        smsc.wait("kept", &json!({}));
        smsc.order(&json!({ "do": "cut" }));
        let (status, said) = sending.join().expect("it is answered");
        assert_eq!((status, &said["error"]["message"]), (503, &json!("no answer")));
    });
    smsc.order(&json!({ "do": "silent", "on": false }));
    smsc.wait("bound", &json!({ "as": "transmitter" }));
    stands(&tandem, "bound");
    assert_eq!(send(&tandem, "here again").0, 200);

    // No more wait for their answers than the link may have.
    smsc.order(&json!({ "do": "slow", "ms": 40 }));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(send(&tandem, "at once").0, 200));
        }
    });
    smsc.order(&json!({ "do": "most" }));
    assert_eq!(smsc.wait("most", &json!({}))["most"], 2);
    let metrics = tandem.metrics();
    let of = |name: &str| metrics[&format!("{name}{{link=\"carrier\"}}")];
    assert_eq!((of("tandem_smpp_bound"), of("tandem_smpp_throttled_total")), (1.0, 2.0));
    assert_eq!((of("tandem_smpp_unanswered_total"), of("tandem_smpp_refused_total")), (1.0, 1.0));
    assert!(of("tandem_smpp_lost_total") >= 1.0 && of("tandem_smpp_outstanding") == 0.0);

    // It ends: both connections take their leave.
    let ended = tandem.terminate();
    assert!(ended.success());
    smsc.wait("unbound", &json!({}));
    wait::until("both to be unbound", || (smsc.told("unbound").len() == 2).then_some(()));
    let log = tandem.log();
    assert!(!log.contains(PASSWORD) && !log.contains("patience"), "neither secrets nor texts");
}

/// TLS: a certificate that somebody believed vouches for is taken, another is not. A password that changes is taken up
/// while the switch runs.
#[test]
fn rfc8446_a_link_in_tls_and_a_password_that_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path());
    let mut smsc = Smsc::start(folder.path(), e2e::ports::one(), Some((&cert, &key)));
    let file = |more: &str| {
        let wish = Wish { more: link(smsc.port, more), ..Wish::default() };
        operator(&wish, 9, 10)
    };
    let good = file("tls = true");
    let wrong = good.replace(PASSWORD, "wrong");
    let ca = format!("sip.tls_ca={}", cert.display());
    let setup = Setup { settings: vec![ca], operator: wrong };
    let tandem = Tandem::start(folder.path(), &setup);
    let refused = stands(&tandem, "refused");
    assert_eq!(refused["why"], "bind: ESME_RINVPASWD (0xe)");
    let (status, said) = send(&tandem, "x");
    let why = &said["error"]["message"];
    assert_eq!((status, why), (503, &json!("not bound: bind: ESME_RINVPASWD (0xe)")));
    // At once, although whoever was refused waits.
    let path = folder.path().join("good.toml");
    std::fs::write(&path, good).expect("a file");
    let applied = tandem.run(&["apply", &path.display().to_string()]);
    assert!(applied.0, "{}", applied.1);
    smsc.wait("bound", &json!({}));
    stands(&tandem, "bound");
    assert_eq!(send(&tandem, "in TLS").0, 200);
    smsc.wait("sms", &json!({ "text": "in TLS" }));
    // The other ways in which long texts leave; each change binds the link anew.
    let text = "Code €12 for the gate. ".repeat(12);
    let text = text.trim();
    for (way, parts) in [("sar", 2), ("payload", 1)] {
        let file = std::fs::read_to_string(&path).expect("a file");
        let more = format!("tls = true\nlong_texts = \"{way}\"\n");
        let (before, behind) = file.split_once("tls = true\n").expect("the link");
        let behind = behind.strip_prefix("long_texts = \"sar\"\n").unwrap_or(behind);
        std::fs::write(&path, format!("{before}{more}{behind}")).expect("a file");
        assert!(tandem.run(&["apply", &path.display().to_string()]).0);
        smsc.wait("unbound", &json!({}));
        smsc.wait("bound", &json!({}));
        stands(&tandem, "bound");
        let (status, said) = send(&tandem, text);
        assert_eq!(said["references"].as_array().map(Vec::len), Some(parts), "{status} {said}");
        let sms = smsc.wait("sms", &json!({ "parts": parts }));
        assert_eq!(sms["text"], text, "{way}");
    }
    // Theirs is answered.
    smsc.order(&json!({ "do": "enquire" }));
    smsc.wait("there", &json!({}));
    // One whose certificate nobody vouches for.
    let other = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(other.path());
    let mut liar = Smsc::start(other.path(), e2e::ports::one(), Some((&cert, &key)));
    let (of, to) = (format!("port = {}", smsc.port), format!("port = {}", liar.port));
    let moved = std::fs::read_to_string(&path).expect("a file").replace(&of, &to);
    std::fs::write(&path, moved).expect("a file");
    assert!(tandem.run(&["apply", &path.display().to_string()]).0);
    smsc.wait("unbound", &json!({}));
    let down = stands(&tandem, "down");
    let why = down["why"].as_str().unwrap_or_default();
    assert!(why.contains("certificate"), "{why}");
    assert!(liar.told("bound").is_empty());
    liar.order(&json!({ "do": "most" }));
}

/// A network that says nothing is asked whether it is there, and not before its time; it is, and all goes on.
#[test]
fn s5_5_a_link_on_which_nothing_is_said_is_asked_whether_somebody_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut smsc = Smsc::start(folder.path(), e2e::ports::one(), None);
    let begun = Instant::now();
    let more = link(smsc.port, "enquire_seconds = 5");
    let tandem = switch(folder.path(), more, Vec::new());
    stands(&tandem, "bound");
    smsc.wait("enquired", &json!({}));
    let took = begun.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(send(&tandem, "still here").0, 200);
    smsc.wait("sms", &json!({ "text": "still here" }));
    assert_eq!((smsc.told("bound").len(), smsc.told("closed").len()), (1, 0));
    assert_eq!(tandem.metrics()["tandem_smpp_lost_total{link=\"carrier\"}"], 0.0);
}

/// A merchant's message leaves by the link, and its receipt changes how it stands; what subscribers write comes in, whole
/// and once, and is kept before the network is told so.
#[test]
fn s5_5_receipts_and_what_subscribers_write_come_by_the_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut smsc = Smsc::start(folder.path(), e2e::ports::one(), None);
    let more = link(smsc.port, "")
        + &format!(
            r#"
[sms]
ways = ["phone", "smpp:carrier"]
[[sms_accounts]]
username = "u"
token = "0123456789abcdef"
merchant = "{USER}"
lines = [{{ number = "3000", price_en = "0.10" }}]
[[sms_keywords]]
number = "3000"
merchant = "{USER}"
"#
        );
    let mut tandem = switch(folder.path(), more, Vec::new());
    stands(&tandem, "bound");
    let send = |tandem: &Tandem, text: &str| {
        let path = "/api/SMSAPI/Send?Token=0123456789abcdef&LineNo=0&MobileNumbers=13800000001";
        let (status, said) = http(tandem.http, "GET", &format!("{path}&Message={text}"), &[], "");
        assert_eq!(status, 200, "{said}");
    };
    let becomes = |tandem: &Tandem, at: usize, state: &str| {
        wait::until(&format!("the message to be {state}"), || {
            let all = tandem.admin("GET", "/admin/v1/sms");
            (all["items"][at]["state"] == *state).then_some(())
        });
    };
    let receipt = |smsc: &mut Smsc, id: &str, stat: &str| {
        let text = format!(
            "id:{id} sub:001 dlvrd:001 submit date:2611230755 done date:2611230756 stat:{stat} \
             err:000 text:hello"
        );
        let fields = json!({
            "source_addr": "8613800000001", "destination_addr": "3000", "esm_class": 4,
        });
        smsc.deliver(&json!({ "fields": fields, "text": text, "tag": id }))
    };
    send(&tandem, "hello");
    let sms = smsc.wait("sms", &json!({ "to": "8613800000001", "from": "3000" }));
    assert_eq!((&sms["text"], &sms["coding"]), (&json!("hello"), &json!(0)));
    let validity = sms["validity"].as_i64();
    assert!(validity.is_some_and(|validity| (86_300..=86_400).contains(&validity)), "{validity:?}");
    becomes(&tandem, 0, "sent");
    assert_eq!(receipt(&mut smsc, "id1", "DELIVRD"), 0);
    becomes(&tandem, 0, "delivered");
    // One by fields alone, for a message of two parts: one that does not come through is enough.
    send(&tandem, &"b".repeat(200));
    smsc.wait("sms", &json!({ "parts": 2 }));
    becomes(&tandem, 1, "sent");
    assert_eq!(receipt(&mut smsc, "id2", "DELIVRD"), 0);
    let fields = json!({
        "source_addr": "8613800000001", "destination_addr": "3000", "esm_class": 4,
        "receipted_message_id": "id3", "message_state": 5,
    });
    assert_eq!(smsc.deliver(&json!({ "fields": fields, "text": "", "tag": "fields" })), 0);
    becomes(&tandem, 1, "undelivered");

    // A long message in parts, the last one first; a crash between two of them loses none.
    let from = |coding: u8, class: u8| {
        json!({
            "source_addr": MOBILE, "destination_addr": "3000", "data_coding": coding,
            "esm_class": class,
        })
    };
    let part = |number: u8, text: &str| {
        let udh = [5, 0, 3, 9, 3, number];
        json!({ "fields": from(8, 0x40), "text": text, "udh": udh, "tag": format!("part {number}") })
    };
    assert_eq!(smsc.deliver(&part(3, "پایان")), 0);
    assert_eq!(smsc.deliver(&part(1, "سلام، ")), 0);
    tandem.kill();
    tandem.resume();
    stands(&tandem, "bound");
    let inbound = |tandem: &Tandem| {
        let all = tandem.admin("GET", "/admin/v1/sms/inbound");
        all["items"].as_array().cloned().unwrap_or_default()
    };
    assert_eq!(inbound(&tandem).len(), 0);
    assert_eq!(smsc.deliver(&part(2, "من اینجا هستم. ")), 0);
    // Nor does one that comes again change anything.
    assert_eq!(smsc.deliver(&part(2, "من اینجا هستم. ")), 0);
    // The network did not hear that it was taken, and brings a short one again.
    let short = json!({ "fields": from(0, 0), "text": "Ja @", "tag": "short" });
    assert_eq!(smsc.deliver(&short), 0);
    assert_eq!(smsc.deliver(&short), 0);
    let came = inbound(&tandem);
    let told: Vec<(&str, &str, &str)> = came
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or_default();
            (text("text"), text("from"), text("to"))
        })
        .collect();
    assert_eq!(
        told,
        [("سلام، من اینجا هستم. پایان", MOBILE, "3000"), ("Ja @", MOBILE, "3000"),],
        "{came:?}"
    );
    tandem.books_in_order();
}
