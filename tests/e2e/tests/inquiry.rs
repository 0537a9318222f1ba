//! `GetPayments` of system 003 (spec §5.4) by programs that merchants have had for years: nusoap, which the manual tells
//! users of PHP to take, and .NET's web services, each made from the description that the program gives.

use std::path::Path;
use std::process::Command;

use e2e::merchant::{Merchant, http};
use e2e::ussd::{self, MOBILE, Tries};
use serde_json::{Value, json};

/// What a program says on standard output, a line each.
fn said(folder: &Path, line: &[&str]) -> Vec<String> {
    let out = Command::new(line[0]).args(&line[1..]).current_dir(folder).output();
    let out = out.unwrap_or_else(|e| panic!("{}: {e}", line[0]));
    let [text, wrong] = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(out.status.success() && wrong.trim().is_empty(), "{line:?}: {wrong}{text}");
    text.lines().map(str::to_owned).collect()
}

fn peer(name: &str) -> String {
    format!("{}/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// nusoap's answers to queries.
fn nusoap(folder: &Path, at: &str, queries: &[&str]) -> Vec<String> {
    let (program, folder_text) = (peer("nusoap.php"), folder.display().to_string());
    said(folder, &[&["php", &program, at, &folder_text], queries].concat())
}

/// Those of .NET: its own reader of descriptions writes a class, with which the client is compiled.
fn dot_net(folder: &Path, at: &str, queries: &[&str]) -> Vec<String> {
    let compile = |out: &str, sources: &[&str]| {
        let references = ["-r:System.Web.Services", "-r:System.Xml", "-langversion:5"];
        let (out, mcs) = (format!("-out:{out}"), ["mcs", "-nologo", "-warn:0"]);
        said(folder, &[&mcs, &references, &[out.as_str()][..], sources].concat());
    };
    compile("wsdl.exe", &[&peer("wsdl.cs")]);
    let described = format!("{at}?WSDL");
    assert_eq!(said(folder, &["mono", "wsdl.exe", &described, "Soap", "service.cs"]), ["0"]);
    compile("getpayments.exe", &[&peer("getpayments.cs"), "service.cs"]);
    said(folder, &[&["mono", "getpayments.exe", at], queries].concat())
}

#[test]
fn s5_4_nusoap_and_dot_net_are_made_from_the_description_and_ask_by_every_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let merchant = Merchant::start();
    merchant.answer_next(&[(200, "9900|12|5000")]);
    let mut tandem = ussd::switch(folder.path(), &merchant.url("/menu"), "");
    let tries = Tries::of(&tandem);
    let first = tries.dial(MOBILE, "*6655*123#");
    ussd::pay(&tandem, &first.invoice());
    let _ = merchant.wait_for("/menu", 2);
    merchant.answer_next(&[(200, "9900|13|6000")]);
    let second = tries.dial("09120000002", "*6655*123*4#");
    let (status, _) = http(tandem.http, "POST", &format!("{}/cancel", second.invoice()), &[], "");
    assert_eq!(status, 303);

    let at = format!("http://{}/_services/ExternalUssdPay.asmx", tandem.http);
    // What was tried out is told to whoever names its session.
    let mine = format!("SessionID={}", first.told());
    let all = nusoap(folder.path(), &at, &[&mine]).concat();
    let paid: Value = serde_json::from_str(&all).expect("a list");
    assert_eq!(paid.as_array().map(Vec::len), Some(1), "{all}");
    let paid = &paid[0];
    let told = json!([first.told(), MOBILE, 5000, "true", "12"]);
    let names = ["SessionID", "Mobile", "Price", "Result", "YourFactorID"];
    assert_eq!(json!(names.map(|name| &paid[name])), told, "{all}");
    let field =
        |name: &str| paid[name].as_str().map_or_else(|| paid[name].to_string(), str::to_owned);
    let day = field("PayDateTime")[..10].to_owned();
    let id = field("InotiFactorID").parse::<i64>().expect("a number");

    // Queries that find what was paid, and the same by another value, which find nothing.
    let wrong = format!("&{mine}&NullResult=none");
    let fields = [
        ("CodeName", "*6655*123%23".to_owned(), None),
        ("DateFrom", day.clone(), Some("2120-01-01".to_owned())),
        ("DateTo", day, Some("1398/11/14".to_owned())),
        ("PriceFrom", "5000".to_owned(), Some("5001".to_owned())),
        ("PriceTo", "5000".to_owned(), Some("4999".to_owned())),
        (
            "Mobile",
            "+98 912 345 6789".replace('+', "%2B").replace(' ', "%20"),
            Some("09120000002".to_owned()),
        ),
        ("RefKey", field("RefKeyBank"), Some("0".to_owned())),
        ("iNotiFactorID", id.to_string(), Some((id + 1).to_string())),
        ("YourFactorID", "12".to_owned(), Some("13".to_owned())),
        ("RRN", field("RRN"), Some("1".to_owned())),
    ];
    let mut asked = Vec::new();
    for (name, good, bad) in &fields {
        asked.push((format!("{name}={good}{wrong}"), all.clone()));
        let bad = bad.iter().map(|bad| (format!("{name}={bad}{wrong}"), "none".to_owned()));
        asked.extend(bad);
    }
    let other = format!("SessionID={}", second.told());
    asked.push((format!("{other}&NullResult=none"), "none".to_owned()));
    // In place of nothing: what the merchant wants, to the letter; refusals in the document's words.
    let refused = [
        ("YourFactorID=77", "[]"),
        (
            "YourFactorID=77&NullResult=%3C%D9%87%DB%8C%DA%86%20%26%20%22none%22%3E",
            "<هیچ & \"none\">",
        ),
        ("Password=wrong", "Username Or Password Error"),
        ("CodeName=999", "CodeName Error"),
        ("YourFactorID=a%20b", "YourFactorID Error"),
        ("DateFrom=1398%2F13%2F01", "DateFrom Error"),
        ("PriceFrom=x", "PriceFrom Error"),
    ];
    asked.extend(refused.map(|(query, word)| (query.to_owned(), word.to_owned())));
    let cancelled = format!("{other}&IsAll=1");
    let last = [cancelled.as_str(), "malformed"];
    let queries: Vec<&str> = asked.iter().map(|(query, _)| query.as_str()).chain(last).collect();
    let fault = "the request is not well-formed XML";
    let by_nusoap = nusoap(folder.path(), &at, &queries);
    let by_net = dot_net(folder.path(), &at, &queries);
    for (client, answers) in [("nusoap", &by_nusoap), (".NET", &by_net)] {
        assert_eq!(answers.len(), queries.len(), "{client}: {answers:#?}");
        for ((query, word), answer) in asked.iter().zip(answers) {
            assert_eq!(answer, word, "{client}: {query}");
        }
        // Also what was cancelled.
        let list: Value = serde_json::from_str(&answers[asked.len()]).expect("a list");
        let seen = json!([list[0]["YourFactorID"], list[0]["Result"], list[0]["RRN"]]);
        assert_eq!(seen, json!(["13", "false", 0]), "{client}");
    }
    let last = asked.len() + 1;
    let told: Value =
        serde_json::from_str(by_nusoap[last].trim_start_matches("fault: ")).expect("a fault");
    assert_eq!((&told["faultcode"], &told["faultstring"]), (&json!("soap:Client"), &json!(fault)));
    assert_eq!(by_net[last], "fault: 500 soap:Client");
    tandem.terminate();
}
