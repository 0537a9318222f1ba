//! The samples of `/v1`, against the program: two phones joined, the end told by a signed webhook and read back; a forged
//! event, and a wrong key said in clear words.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use e2e::country::{A, A_MINUTE, B, B_MINUTE, Country, USER, Wish};
use e2e::merchant::try_http;
use e2e::programs::{Language, Program};
use e2e::sipp::Behaviour;
use e2e::{ports, wait};
use serde_json::json;

const SCOPES: [&str; 4] = ["calls:read", "calls:write", "webhooks:write", "balance:read"];

fn variables(country: &Country, port: u16, key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("MERCHANT_URL", format!("http://{}", country.tandem.http)),
        ("MERCHANT_LISTEN", format!("127.0.0.1:{port}")),
        ("MERCHANT_HOOK", format!("http://127.0.0.1:{port}/hook")),
        ("MERCHANT_API_KEY", key.to_owned()),
        ("MERCHANT_A", A.into()),
        ("MERCHANT_B", B.into()),
    ]
}

/// The event that the switch signs counts, and one that somebody else posts with the call's own id does not.
/// `temporary`: the sample's own folder for files that come and go. Nobody else may read what it keeps there.
fn told(program: &Program, country: &Country, key: &str, temporary: &Path) {
    let port = ports::one();
    let mut variables = variables(country, port, key);
    variables.push(("TMPDIR", temporary.display().to_string()));
    let mut running = program.start(&[], &variables);
    let call = running.wait_line("asked: ");
    for kept in std::fs::read_dir(temporary).expect("the folder").flatten() {
        let mode = kept.metadata().expect("its mode").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is everybody's", kept.path().display());
    }
    let forged = json!({ "id": "evt_1_1", "type": "call.ended", "call": call, "sequence": 1, "reference": "",
        "data": { "id": call, "outcome": "completed", "price_micros": 1 } });
    let seconds = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().to_string();
    let headers = [
        ("webhook-id", "evt_1_1"),
        ("webhook-timestamp", seconds.as_str()),
        ("webhook-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    let to = ([127, 0, 0, 1], port).into();
    let said = || try_http(to, "POST", "/hook", &headers, &forged.to_string()).ok();
    let (status, _) = wait::until("a sample to listen", said);
    assert_eq!(status, 401);
    let ended = running.finish();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let price = format!("ended: completed, {} millionths", A_MINUTE + B_MINUTE);
    for line in [price.as_str(), "checked: ", "balance: "] {
        assert!(ended.said.iter().any(|said| said.starts_with(line)), "{line}: {ended:?}");
    }
    assert!(ended.complained.contains("ignored: an event that is not signed"), "{ended:?}");
}

fn all_of(language: Language) {
    let a = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: None };
    let b = Behaviour::Answer { ring_ms: 200, tone: None, talk_ms: Some(2000) };
    let country = Country::new(&Wish::default(), &a, &b, 1);
    let folder = country.folder.path().join("v1");
    std::fs::create_dir(&folder).expect("a folder");
    let program = language.build(&language.sample("v1"), &folder);
    let temporary = folder.join("temporary");
    std::fs::create_dir(&temporary).expect("a folder");
    let good = country.tandem.api_key(USER, &SCOPES);
    std::thread::scope(|scope| {
        scope.spawn(|| told(&program, &country, &good, &temporary));
        scope.spawn(|| {
            let variables = variables(&country, ports::one(), "tk_wrong");
            let ended = program.start(&[], &variables).finish();
            assert_eq!(ended.status, Some(1), "{ended:?}");
            assert!(ended.complained.contains("refused: 401 unauthorized: "), "{ended:?}");
        });
    });
    if matches!(language, Language::Php) {
        let left = std::fs::read_dir(&temporary).expect("the folder").count();
        assert_eq!(left, 0, "secrets go with the program");
    }
    country.tandem.books_in_order();
}

#[test]
fn v1_in_csharp() {
    all_of(Language::CSharp);
}

#[test]
fn v1_in_php() {
    all_of(Language::Php);
}

#[test]
fn v1_in_python() {
    all_of(Language::Python);
}

#[test]
fn v1_in_java() {
    all_of(Language::Java);
}

#[test]
fn v1_in_go() {
    all_of(Language::Go);
}
