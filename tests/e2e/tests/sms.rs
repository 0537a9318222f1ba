//! Short messages on the program itself (spec §5.5): a merchant's program sends one to a phone of another make, whose answer
//! comes in.

use std::path::Path;
use std::process::Command;

use e2e::baresip::Account;
use e2e::country::{self, USER, Wish};
use e2e::linphone::Linphone;
use e2e::sound;
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::json;

#[test]
fn s5_5_soapclient_of_php_sends_a_message_to_a_phone_that_answers_its_keyword() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let more = format!(
        r#"
[[inbound]]
number = "+861088880001"
extension = "80000"
[sms]
ways = ["phone"]
[[sms_accounts]]
username = "u"
password = "p"
merchant = "{USER}"
lines = [{{ number = "10690000", price_en = "0.10", price_fa = "0.20" }}]
[[sms_keywords]]
number = "10690000"
keyword = "YES"
merchant = "{USER}"
"#
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let mut tandem = Tandem::start(folder.path(), &Setup { settings: vec![], operator });
    let account = Account {
        srtp: None,
        user: "80000",
        password: country::PASSWORD,
        domain: "tandem.example",
        registrar: tandem.sip.port(),
        transport: "udp",
        at_home: true,
        authority: None,
    };
    let mut phone = Linphone::start(folder.path(), &account, &tone);
    wait::until("linphone to register", || {
        let bindings = tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    });
    let at = format!("http://{}/_services/iNOTISMS.asmx", tandem.http);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/sendsms.php");
    let out = Command::new("php").arg(file).args([&at, "01088880001"]).output().expect("php");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said == "1\n2\n",
        "{said}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for text in ["کد شما ۱۲۳۴ (1.1)", "کد شما ۱۲۳۴ (1.2)"] {
        wait::until("linphone to print it", || phone.log().contains(text).then_some(()));
    }
    let sent = wait::until("both to be noted", || {
        let page = tandem.admin("GET", "/admin/v1/sms");
        let all = page["items"].as_array().expect("a list").clone();
        all.iter().all(|row| row["state"] == "sent").then_some(all)
    });
    assert_eq!((&sent[0]["way"], &sent[0]["price_micros"]), (&json!("phone"), &json!(200_000)));
    assert_eq!(sent[1]["recipient"], "861088880001");
    // Whoever answers is heard, over a crash too: the phone was told when it was kept.
    phone.write_to("sip:10690000@tandem.example", "yes please");
    let inbound = |tandem: &Tandem| {
        let page = tandem.admin("GET", "/admin/v1/sms/inbound");
        page["items"].as_array().filter(|all| !all.is_empty()).map(|all| all[0].clone())
    };
    let came = wait::until("the answer to come in", || inbound(&tandem));
    tandem.kill();
    tandem.resume();
    assert_eq!(inbound(&tandem), Some(came.clone()));
    assert_eq!((&came["keyword"], &came["text"]), (&json!("yes"), &json!("yes please")));
    assert_eq!((&came["from"], &came["purpose"]), (&json!("861088880001"), &json!("forward")));
    tandem.terminate();
    tandem.books_in_order();
}
