//! `biz_regist` gives an account that a phone registers with, and that can then be called back.

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, B, KEY, USER, Wish};
use e2e::merchant::{Merchant, callback_target, http, md5_hex};
use e2e::sipp::{Behaviour, Sipp};
use e2e::sound;
use e2e::tandem::{Setup, Tandem};

#[test]
fn a_new_user_registers_and_is_called_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 60);
    let answer = Behaviour::Answer { ring_ms: 300, tone: None, talk_ms: Some(1500) };
    let mut carrier = Sipp::start(folder.path(), "carrier-b", &answer, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), carrier.port);
    let tandem = Tandem::start(folder.path(), &Setup { settings: Vec::new(), operator });
    let sign = md5_hex(&format!("username={USER}&key={KEY}"));
    let target = format!(
        "/api/biz_regist?username={USER}&realname=%E5%BC%A0%E4%B8%89&email=z%40example.com&sign={sign}"
    );
    let (status, body) = http(tandem.http, "GET", &target, &[], "");
    assert_eq!(status, 200);
    let field = |name: &str| {
        let found = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("no {name}: {body}")).to_owned()
    };
    assert_eq!(field("result"), "success");
    let (user, password, number) = (field("account"), field("password"), field("number"));
    // Asked again within a day: the same user.
    let (_, again) = http(tandem.http, "GET", &target, &[], "");
    assert!(again.contains(&format!("account={user}")) && again.contains("duplicate=1"), "{again}");

    let account = Account {
        srtp: None,
        user: &user,
        password: &password,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
    };
    let phone = Baresip::start(folder.path(), &account, &tone);
    phone.wait_registered();
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "new", &number, B, &merchant.url("/back"));
    let (_, body) = http(tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=new");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", phone.log());
    assert!(carrier.finish().success(), "{}", carrier.messages());
}

/// A wrong password is challenged again and again, and never gets in.
#[test]
fn a_wrong_password_never_registers() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), e2e::ports::one());
    let tandem = Tandem::start(folder.path(), &Setup { settings: Vec::new(), operator });
    let account = Account {
        srtp: None,
        user: "80000",
        password: "guessed",
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
    };
    let phone = Baresip::start(folder.path(), &account, &tone);
    e2e::wait::until("a second challenge", || {
        (phone.log().matches("401 Unauthorized").count() >= 2).then_some(())
    });
    let bindings = tandem.admin("GET", "/admin/v1/bindings");
    assert_eq!(bindings["items"].as_array().map(Vec::len), Some(0), "{bindings}");
}
