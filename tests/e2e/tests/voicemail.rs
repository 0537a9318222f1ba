//! Voice mail on the program itself: a phone leaves a message, the lamp of whoever was called comes on, and the owner
//! dials the code and hears what was left.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::pjsua::{Line, Phone};
use e2e::sound::{Sound, is_tone, tenths_of};
use e2e::tandem::{Setup, Tandem};
use e2e::wait;
use serde_json::{Value, json};

/// Calls to 80001 go to its mailbox.
fn office(folder: &Path) -> Tandem {
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n\
         [extensions.reach]\nalways = \"voicemail\"\n"
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    Tandem::start(folder, &Setup { settings: Vec::new(), operator })
}

fn calls(number: &str) -> Value {
    json!({"do": "call", "to": format!("sip:{number}@tandem.example")})
}

/// Waits until the lamp says so: messages that are new, and old ones.
fn lamp(phone: &mut Phone, new: u32, old: u32) {
    let waiting = if new > 0 { "Messages-Waiting: yes" } else { "Messages-Waiting: no" };
    loop {
        let told = phone.wait("mwi", &json!({}));
        let body = told["body"].as_str().unwrap_or_default();
        if body.contains(&format!("Voice-Message: {new}/{old} ")) {
            assert!(body.contains(waiting), "{body}");
            return;
        }
    }
}

/// Somebody calls, hears greeting and tone, and says so many seconds of 700 Hz.
fn leave(folder: &Path, tandem: &Tandem, seconds: u64) -> Sound {
    let line = Line { port: tandem.sip.port(), ..Line::default() };
    let mut caller = Phone::start(folder, &line);
    caller.order(&calls("80001"));
    caller.wait_state("CONFIRMED");
    wait::until("the message to be begun", || {
        let log = tandem.metrics();
        log.get("tandem_recordings").is_some_and(|n| *n >= 1.0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(seconds));
    caller.order(&json!({"do": "hangup"}));
    caller.wait_state("DISCONNECTED");
    caller.quit()
}

fn owner(folder: &Path, tandem: &Tandem) -> Phone {
    let more = json!({"mailbox": true});
    let port = tandem.sip.port();
    let line = Line { user: "80001", tone: 1100, port, more, ..Line::default() };
    Phone::start(folder, &line)
}

/// The messages of the mailbox, as the operator sees them.
fn kept(tandem: &Tandem) -> Vec<Value> {
    let found = tandem.admin("GET", "/admin/v1/voicemail?extension=80001");
    found["items"].as_array().expect("messages").clone()
}

/// Downloads the sound of a message.
fn sound(tandem: &Tandem, message: &Value) -> Sound {
    let token = std::fs::read_to_string(tandem.folder().join("data/admin.token"));
    let bearer = format!("Authorization: Bearer {}", token.expect("a token").trim());
    let call = message["call"].as_str().expect("a call");
    let url = format!("http://{}/admin/v1/voicemail/{call}/sound", tandem.admin);
    let file = tandem.folder().join("message.mp3");
    let mut ask = Command::new("curl");
    ask.args(["-sS", "-f", "-H", &bearer, "-o"]).arg(&file).arg(url);
    assert!(ask.status().expect("curl runs").success());
    Sound::decode(&file)
}

#[test]
fn b7_rfc3842_a_message_lights_the_lamp_and_its_owner_dials_and_hears_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let tandem = office(folder.path());
    let mut owner = owner(folder.path(), &tandem);
    lamp(&mut owner, 0, 0);
    let at_caller = leave(folder.path(), &tandem, 4);
    let spoken = at_caller.channels[0].iter().filter(|sample| sample.abs() > 0.02).count();
    assert!(spoken > 16_000, "the greeting was heard: {spoken} samples");
    lamp(&mut owner, 1, 0);
    let messages = kept(&tandem);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((&messages[0]["heard"], &messages[0]["caller"]), (&json!(false), &json!("80000")));
    let left = sound(&tandem, &messages[0]);
    assert!(is_tone(&left.channels[0], left.rate, 700.0), "the MP3 has the tone on its left");
    assert!((3_000.0..7_000.0).contains(&left.ms()), "{} ms", left.ms());

    // New: heard to its end, and the switch says that there is no more and hangs up.
    owner.order(&calls("*97"));
    owner.wait_state("CONFIRMED");
    lamp(&mut owner, 0, 1);
    owner.wait_state("DISCONNECTED");
    assert_eq!(kept(&tandem)[0]["heard"], true);
    // Heard before, and deleted in the middle by a key.
    owner.order(&calls("*97"));
    owner.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(2500));
    owner.order(&json!({"do": "keys", "digits": "7", "method": "rfc4733"}));
    lamp(&mut owner, 0, 0);
    owner.wait_state("DISCONNECTED");
    assert!(kept(&tandem).is_empty());
    let data = tandem.folder().join("data");
    let left_over =
        Command::new("find").arg(&data).args(["-name", "*.mp3"]).output().expect("find");
    assert!(left_over.stdout.is_empty(), "its file is gone with it");
    let trail = tandem.admin("GET", "/admin/v1/audit");
    let by_phone = |entry: &&Value| entry["actor"] == "extension 80001";
    let acts: Vec<&Value> =
        trail["items"].as_array().expect("entries").iter().filter(by_phone).collect();
    assert_eq!(acts.len(), 1, "{trail}");
    assert_eq!(acts[0]["act"], "delete_voicemail");
    // Empty: it says so.
    owner.order(&calls("*97"));
    owner.wait_state("CONFIRMED");
    owner.wait_state("DISCONNECTED");

    let heard = owner.quit();
    let tenths = tenths_of(&heard.channels[0], heard.rate, 700.0);
    assert!(tenths >= 35, "{tenths} tenths of what was left, in {} ms", heard.ms());
    let figures = tandem.metrics();
    let event = |word: &str| figures[&format!("tandem_voicemail_total{{event=\"{word}\"}}")];
    assert_eq!(["left", "heard", "deleted"].map(event), [1.0, 1.0, 1.0]);
    assert!(!tandem.log().contains("there is no such sound"), "every announcement is there");
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    assert_eq!(cdrs["items"].as_array().map(Vec::len), Some(4), "one leg a call: {cdrs}");
    tandem.books_in_order();
}

#[test]
fn a_kill_while_the_owner_listens_lets_the_phone_go_and_keeps_the_message_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tandem = office(folder.path());
    let _ = leave(folder.path(), &tandem, 6);
    let mut owner = owner(folder.path(), &tandem);
    lamp(&mut owner, 1, 0);
    owner.order(&calls("*97"));
    owner.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(3000));
    tandem.kill();
    tandem.resume();
    owner.wait_state("DISCONNECTED");
    assert_eq!(kept(&tandem)[0]["heard"], false);
    wait::until("the call to be settled", || {
        let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
        (cdrs["items"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    owner.order(&calls("*97"));
    owner.wait_state("CONFIRMED");
    owner.wait_state("DISCONNECTED");
    wait::until("the message to be heard", || (kept(&tandem)[0]["heard"] == true).then_some(()));
    tandem.books_in_order();
}
