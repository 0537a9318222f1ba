//! Real softphones as extensions: they register, are rung, answer, are heard and are hung up.

use std::time::Duration;

use e2e::baresip::{Account, Baresip};
use e2e::country::{self, B, KEY, USER, Wish};
use e2e::linphone::Linphone;
use e2e::merchant::{Merchant, callback_target, http};
use e2e::pcap::{Capture, rtp_audio};
use e2e::pjsua::{Line, Phone};
use e2e::sipp::{Behaviour, Sipp};
use e2e::sound::{self, Sound};
use e2e::tandem::{Setup, Tandem, listening};
use e2e::wait;
use serde_json::json;

/// baresip as leg A, sipp as leg B; each hears the other and both are recorded.
fn baresip_is_leg_a(transport: &str, at_home: bool) {
    baresip_protects(transport, at_home, None);
}

/// The same with SRTP: what baresip does, and what `sip.phone_srtp` says.
fn baresip_protects(transport: &str, at_home: bool, srtp: Option<(&str, &str)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (tone_a, tone_b) = (folder.path().join("700.wav"), folder.path().join("1100.al"));
    sound::write_wav_tone(&tone_a, 700, 60);
    sound::write_alaw_tone(&tone_b, 1100, 30);
    let answer = Behaviour::Answer { ring_ms: 300, tone: Some(tone_b), talk_ms: Some(5000) };
    let mut carrier = Sipp::start(folder.path(), "carrier-b", &answer, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), carrier.port);
    let (mut settings, registrar, authority) = listening(folder.path(), transport);
    settings.extend(srtp.map(|(_, ours)| format!("sip.phone_srtp={ours}")));
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let account = Account {
        srtp: srtp.map(|(theirs, _)| theirs),
        user: "80000",
        password: country::PASSWORD,
        domain: "tandem.example",
        registrar: registrar.unwrap_or(tandem.sip.port()),
        transport,
        at_home,
        authority: authority.as_deref(),
    };
    let mut phone = Baresip::start(folder.path(), &account, &tone_a);
    phone.wait_registered();
    let bindings = tandem.admin("GET", "/admin/v1/bindings");
    assert_eq!(bindings["items"].as_array().map(Vec::len), Some(1), "{bindings}");
    let merchant = Merchant::start();
    let capture = Capture::start(folder.path(), &[carrier.media_port]);
    let target = callback_target(USER, KEY, "b-1", "80000", B, &merchant.url("/back"));
    let (_, body) = http(tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=b-1");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", phone.log());
    assert_eq!(
        told.query("callback_fee").as_deref(),
        Some("0.00"),
        "an internal leg costs nothing"
    );
    assert!(carrier.finish().success(), "{}", carrier.messages());
    let at_b = sound::alaw(&rtp_audio(&capture.stop(), carrier.media_port, 8));
    assert!(
        sound::is_tone(&at_b, 8000.0, 700.0),
        "B hears baresip's 700 Hz in {} ms:\n{}",
        at_b.len() / 8,
        phone.log()
    );
    phone.stop();
    let heard = wait::until("baresip's recording", || phone.heard().pop());
    let heard = Sound::decode(&heard);
    let half = heard.channels[0].len() / 2;
    let late = &heard.channels[0][half..];
    assert!(sound::is_tone(late, heard.rate, 1100.0), "baresip hears B's 1100 Hz");
    let taped = Sound::decode(&tandem.recording());
    assert!(sound::is_tone(&taped.channels[0], taped.rate, 700.0), "left is A");
    assert!(sound::is_tone(&taped.channels[1], taped.rate, 1100.0), "right is B");
    cdrs_tell_of_the_sound(&tandem, srtp.is_some());
    assert_eq!(phone.log().contains("SRTP is Enabled"), srtp.is_some(), "{}", phone.log());
    assert!(!tandem.log().contains("RTP refused"), "its own sound was taken for a stranger's");
    tandem.books_in_order();
}

/// Both legs' CDRs: packets, losses, jitter, strangers (RFC 3550 §6.4 terms).
fn cdrs_tell_of_the_sound(tandem: &Tandem, protected: bool) {
    let cdrs = tandem.admin("GET", "/admin/v1/cdrs");
    let legs = cdrs["items"].as_array().expect("CDRs");
    assert_eq!(legs.len(), 2, "{cdrs}");
    for leg in legs {
        let media = &leg["facts"]["media"];
        let suite = leg["srtp"].as_str();
        let expected = protected && leg["leg"] == 0;
        assert_eq!(suite.is_some_and(|suite| suite.starts_with("A")), expected, "{leg}");
        assert_eq!(
            (&leg["codings"], &media["heard"]),
            (&json!(["pcma"]), &json!(["pcma"])),
            "{leg}"
        );
        let figure = |name: &str| media[name].as_u64().expect("a figure of the CDR");
        // Five seconds of talk at 50 packets a second, less what came before the latch.
        assert!((200..400).contains(&figure("packets_received")), "{media}");
        assert!((200..400).contains(&figure("packets_sent")), "{media}");
        assert!(figure("octets_received") >= 160 * 200, "{media}");
        assert!(figure("jitter_max_us") > 0, "two processes' clocks differ: {media}");
        assert_eq!((figure("packets_lost"), figure("packets_refused")), (0, 0), "{media}");
        assert_eq!((figure("srtp_forged"), figure("srtp_replayed")), (0, 0), "{media}");
    }
}

/// A phone with two addresses: it describes that of the machine's network card, and its signalling
/// and sound leave from 127.0.0.1, where the switch is. Without a card the two are one.
#[test]
fn rfc7362_baresip_that_describes_another_address_is_heard() {
    baresip_is_leg_a("udp", false);
}

#[test]
fn baresip_registers_over_udp_and_is_leg_a() {
    baresip_is_leg_a("udp", true);
}

#[test]
fn baresip_registers_over_tcp_and_is_leg_a() {
    baresip_is_leg_a("tcp", true);
}

#[test]
fn b11_baresip_registers_over_tls_and_is_leg_a() {
    baresip_is_leg_a("tls", true);
}

#[test]
fn b8_rfc4568_baresip_that_wants_srtp_or_nothing_talks_to_a_carrier_without() {
    baresip_protects("tls", true, Some(("srtp-mand", "required")));
}

#[test]
fn rfc8643_baresip_takes_the_keys_beside_plain_rtp() {
    baresip_protects("tls", true, Some(("srtp", "optional")));
}

#[test]
fn linphone_registers_and_is_leg_a() {
    linphone_is_leg_a("udp");
}

#[test]
fn linphone_registers_over_tcp_and_is_leg_a() {
    linphone_is_leg_a("tcp");
}

#[test]
fn b11_linphone_registers_over_tls_and_is_leg_a() {
    linphone_is_leg_a("tls");
}

/// Linphone's console client: registers, is rung, answers, speaks, is hung up.
fn linphone_is_leg_a(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (tone_a, tone_b) = (folder.path().join("700.wav"), folder.path().join("1100.al"));
    sound::write_wav_tone(&tone_a, 700, 60);
    sound::write_alaw_tone(&tone_b, 1100, 30);
    let answer = Behaviour::Answer { ring_ms: 300, tone: Some(tone_b), talk_ms: Some(4000) };
    let mut carrier = Sipp::start(folder.path(), "carrier-b", &answer, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), carrier.port);
    let (settings, registrar, authority) = listening(folder.path(), transport);
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let account = Account {
        srtp: None,
        user: "80000",
        password: country::PASSWORD,
        domain: "tandem.example",
        registrar: registrar.unwrap_or(tandem.sip.port()),
        transport,
        at_home: true,
        authority: authority.as_deref(),
    };
    let phone = Linphone::start(folder.path(), &account, &tone_a);
    wait::until("linphone to register", || {
        let bindings = tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    });
    let merchant = Merchant::start();
    let target = callback_target(USER, KEY, "l-1", "80000", B, &merchant.url("/back"));
    let (_, body) = http(tandem.http, "GET", &target, &[], "");
    assert_eq!(body, "result=success&callbackid=l-1");
    let told = merchant.wait_for("/back", 1).remove(0);
    assert_eq!(told.query("callback_result").as_deref(), Some("success"), "{}", phone.log());
    assert!(carrier.finish().success(), "{}", carrier.messages());
    std::thread::sleep(Duration::from_millis(500));
    let log = phone.log();
    for word in ["auto answering", "connected", "ended"] {
        assert!(log.contains(word), "{word}:\n{log}");
    }
    let taped = Sound::decode(&tandem.recording());
    assert!(sound::is_tone(&taped.channels[0], taped.rate, 700.0), "left is A:\n{}", phone.log());
    assert!(sound::is_tone(&taped.channels[1], taped.rate, 1100.0), "right is B");
    tandem.books_in_order();
}

/// An operator who offers nothing but SHA-256 (RFC 8760).
#[test]
fn rfc8760_linphone_registers_with_sha_256() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let operator = country::operator(&Wish::default(), e2e::ports::one(), e2e::ports::one());
    let settings = vec!["registrar.algorithms=sha-256".into()];
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
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
    let phone = Linphone::start(folder.path(), &account, &tone);
    wait::until("linphone to register", || {
        let bindings = tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    });
    drop(phone);
}

/// RFC 3428: it writes to a phone of another make over another transport, and is written to.
fn linphone_writes(transport: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = folder.path().join("700.wav");
    sound::write_wav_tone(&tone, 700, 1);
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"{}\"\n",
        country::PASSWORD
    );
    let wish = Wish { more, ..Wish::default() };
    let operator = country::operator(&wish, e2e::ports::one(), e2e::ports::one());
    let (settings, registrar, authority) = listening(folder.path(), transport);
    let tandem = Tandem::start(folder.path(), &Setup { settings, operator });
    let account = Account {
        srtp: None,
        user: "80000",
        password: country::PASSWORD,
        domain: "tandem.example",
        registrar: registrar.unwrap_or(tandem.sip.port()),
        transport,
        at_home: true,
        authority: authority.as_deref(),
    };
    let mut linphone = Linphone::start(folder.path(), &account, &tone);
    wait::until("linphone to register", || {
        let bindings = tandem.admin("GET", "/admin/v1/bindings");
        bindings["items"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    });
    let line = Line { user: "80001", port: tandem.sip.port(), ..Line::default() };
    let mut other = Phone::start(folder.path(), &line);
    linphone.write_to("sip:80001@tandem.example", "from linphone");
    let got = other.wait("message", &json!({"body": "from linphone"}));
    assert!(got["by"].as_str().is_some_and(|by| by.contains("80000")), "{got}");
    let to = "sip:80000@tandem.example";
    other.order(&json!({"do": "message", "to": to, "body": "to linphone"}));
    other.wait("sent", &json!({"code": 200}));
    wait::until("linphone to print it", || linphone.log().contains("to linphone").then_some(()));
}

#[test]
fn rfc3428_7_linphone_writes_and_is_written_to() {
    linphone_writes("udp");
}

#[test]
fn rfc3428_7_linphone_over_tcp_writes_and_is_written_to() {
    linphone_writes("tcp");
}

#[test]
fn rfc3428_7_linphone_over_tls_writes_and_is_written_to() {
    linphone_writes("tls");
}
