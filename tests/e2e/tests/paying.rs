//! A menu has something paid, on the program itself (spec §5.3, §8): `kill -9` between the payment at the gateway and its
//! booking.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::country::{USER, Wish, operator};
use e2e::merchant::{Merchant, http};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn page(tandem: &Tandem, method: &str, path: &str, body: &str) -> (u16, String) {
    http(tandem.http, method, path, &[FORM], body)
}

fn ask(door: SocketAddr, key: &str, method: &str, path: &str, body: &Value) -> Value {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let (_, answer) = http(door, method, path, &headers, &text);
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

/// A switch with a menu whose page has something paid, and what a subscriber is shown.
fn paying(folder: &Path, merchant: &Merchant) -> (Tandem, String, Value) {
    merchant.answer_next(&[(200, "9900|12|5000")]);
    let more = format!(
        "\n[[ussd_codes]]\ncode = \"*6655*123#\"\nmerchant = \"{USER}\"\npage = \"{}\"\n\
         [[ussd_owners]]\nusername = \"u\"\npassword = \"p\"\nmerchant = \"{USER}\"\n\
         [[payment_gateways]]\nname = \"try\"\nkind = \"test\"\n",
        merchant.url("/menu")
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = operator(&wish, e2e::ports::one(), e2e::ports::one());
    let settings = vec!["http.public_url=http://pay.example".to_owned()];
    let tandem = Tandem::start(folder, &Setup { settings, operator });
    let key = tandem.api_key(USER, &["ussd:write", "ussd:read"]);
    let dialled = json!({ "dialled": "*6655*123#", "mobile": "+98 912 345 6789" });
    let shown = ask(tandem.http, &key, "POST", "/v1/ussd/sessions", &dialled);
    (tandem, key, shown)
}

/// The path of the invoice that is shown.
fn path_of(shown: &Value) -> String {
    let text = shown["text"].as_str().expect("a text");
    text.split_once("http://pay.example").expect(text).1.trim().to_owned()
}

/// The Python that has zeep.
fn zeep() -> PathBuf {
    let here = std::env::current_exe().expect("a program");
    let inside = "peers/zeep/bin/python";
    let found = here.ancestors().map(|folder| folder.join(inside)).find(|file| file.exists());
    found.expect("target/peers/zeep: tests/run makes it")
}

/// What a program says, a line each.
fn said(program: &Path, file: &str, args: [&str; 3]) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(file);
    let out = Command::new(program).arg(file).args(args).output().expect("a program");
    let (text, wrong) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(
        out.status.success() && wrong.trim().is_empty(),
        "{}: {wrong}{text}",
        program.display()
    );
    text.lines().map(str::to_owned).collect()
}

#[test]
fn s5_4_zeep_and_soapclient_of_php_are_made_from_the_description_and_ask() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let (mut tandem, _, shown) = paying(folder.path(), &merchant);
    let path = path_of(&shown);
    for (way, form) in [("start", ""), ("test", "act=pay")] {
        assert_eq!(page(&tandem, "POST", &format!("{path}/{way}"), form).0, 303);
    }
    assert_eq!(page(&tandem, "GET", &format!("{path}/back"), "").0, 303);
    let at = format!("http://{}/_services/ExternalUssdPay.asmx", tandem.http);
    // What was tried out is told to whoever names its session.
    let session = shown["session"].as_str().expect("a session").trim_start_matches('0');
    let query = format!(
        "/_services/ExternalUssdPay.asmx/GetPayments?Username=u&Password=p&CodeName=123&SessionID={session}"
    );
    let (_, form) = page(&tandem, "GET", &query, "");
    let told = said(&zeep(), "getpayments.py", [&at, "12", session]);
    assert!(
        told[0].contains("\"YourFactorID\":\"12\"") && form.contains("InotiFactorID"),
        "{told:?} {form}"
    );
    let payment: Value = serde_json::from_str(&told[0]).expect("a list");
    assert_eq!((&payment[0]["Price"], &payment[0]["Result"]), (&json!(5000), &json!("true")));
    assert_eq!(told[1..], ["none".to_owned(), told[0].clone()]);
    let php = said(Path::new("php"), "getpayments.php", [&at, "12", session]);
    assert_eq!(php, [told[0].clone(), told[0].clone(), "none".to_owned()]);
    tandem.terminate();
}

#[test]
fn s8_003_what_was_paid_before_a_kill_is_booked_and_told_once_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    let (mut tandem, key, shown) = paying(folder.path(), &merchant);
    let path = path_of(&shown);
    let path = path.as_str();
    assert!(page(&tandem, "GET", path, "").1.contains("۵٬۰۰۰ ریال"), "{path}");
    assert_eq!(page(&tandem, "POST", &format!("{path}/start"), "").0, 303);
    // He pays; he does not come back, and the switch loses its power.
    assert_eq!(page(&tandem, "POST", &format!("{path}/test"), "act=pay").0, 303);
    let state = |tandem: &Tandem| {
        let listed = ask(tandem.http, &key, "GET", "/v1/ussd/invoices", &Value::Null);
        listed["items"][0].clone()
    };
    assert_eq!(state(&tandem)["state"], "open");
    tandem.kill();
    tandem.resume();
    let invoice = wait::until("the invoice to be paid", || {
        Some(state(&tandem)).filter(|invoice| invoice["state"] == "paid")
    });
    let rrn = invoice["rrn"].as_str().expect("a tracking number").to_owned();
    let told = merchant.wait_for("/menu", 2);
    let session = shown["session"].as_str().expect("a session").trim_start_matches('0');
    let id = invoice["id"].as_str().expect("an id");
    let wanted =
        format!("/menu?mobile=09123456789&sessionid={session}&call=*6655*123*12*{id}&RRN={rrn}");
    assert_eq!(told[1].target, wanted);
    // Whatever comes after it, and whoever dies: it was booked and told once.
    assert!(page(&tandem, "GET", path, "").1.contains(&rrn));
    assert_eq!(page(&tandem, "GET", &format!("{path}/back"), "").0, 303);
    let query = format!(
        "/_Services/ExternalUssdPay.asmx/GetPayments?Username=u&Password=p&CodeName=123&SessionID={session}"
    );
    let (status, answer) = page(&tandem, "GET", &query, "");
    assert!(status == 200 && answer.contains(&rrn), "{status} {answer}");
    tandem.kill();
    tandem.resume();
    assert_eq!(state(&tandem)["state"], "paid");
    std::thread::sleep(std::time::Duration::from_millis(800));
    assert_eq!(merchant.received("/menu").len(), 2);
    tandem.terminate();
    tandem.books_in_order();
}
