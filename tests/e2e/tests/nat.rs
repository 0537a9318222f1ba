//! A phone behind a NAT that knows nothing of it: its Contact and its description name 192.168.77.2.

use std::time::Duration;

use e2e::country::{self, PASSWORD, USER, Wish};
use e2e::nat::Nat;
use e2e::pjsua::{Line, Phone};
use e2e::sound::tenths_of;
use e2e::tandem::{Setup, Tandem};
use serde_json::json;

struct Town {
    tandem: Tandem,
    /// Extension 80000, behind the NAT, plays 700 Hz.
    home: Phone,
    /// Extension 80001, outside, plays 1100 Hz.
    office: Phone,
    nat: Nat,
    _folder: tempfile::TempDir,
}

/// With a router that forgets whoever says nothing for so many seconds. `None` where networks cannot be made.
fn town(settings: &[&str], forgets_after: u32) -> Option<Town> {
    let nat = Nat::start()?;
    nat.forgets_after(forgets_after);
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    let more = format!(
        "\n[[extensions]]\nnumber = \"80001\"\nmerchant = \"{USER}\"\npassword = \"{PASSWORD}\"\n"
    );
    let operator =
        country::operator(&Wish { more, ..Wish::default() }, e2e::ports::one(), e2e::ports::one());
    let port = e2e::ports::one();
    let mut all =
        vec![format!("sip.udp={}:{port}", nat.outside()), format!("rtp.bind={}", nat.outside())];
    all.extend(settings.iter().map(|s| (*s).to_owned()));
    let tandem = Tandem::start(folder, &Setup { settings: all, operator });
    // It keeps nothing open by itself.
    let more = json!({"keep_alive_s": 0, "port": 5060});
    let line = Line { port, via: nat.outside(), address: "192.168.77.2", more, ..Line::default() };
    let home = Phone::start(folder, &Line { namespace: Some(nat.home()), ..line.clone() });
    let bindings = tandem.admin("GET", "/admin/v1/bindings").to_string();
    let received = format!("received={}", nat.public());
    assert!(bindings.contains("192.168.77.2") && home.log().contains(&received), "{bindings}");
    let line = Line { user: "80001", address: nat.outside(), tone: 1100, more: json!({}), ..line };
    let office = Phone::start(folder, &line);
    Some(Town { tandem, home, office, nat, _folder: temporary })
}

/// Sound both ways: what each phone heard of the other in all.
fn heard(town: Town, tenths_min: usize) {
    let Town { tandem, home, office, nat, _folder } = town;
    for (phone, frequency) in [(home, 1100.0), (office, 700.0)] {
        let heard = phone.quit();
        let tenths = tenths_of(&heard.channels[0], heard.rate, frequency);
        assert!(tenths >= tenths_min, "{tenths} tenths of {frequency} Hz in {} ms", heard.ms());
    }
    tandem.books_in_order();
    drop(nat);
}

/// RFC 3581, RFC 4961: it is rung, and calls, by the way it came; RFC 6223: pings of ours keep that way
/// open although the router forgets in five seconds.
#[test]
fn rfc3581_a_phone_behind_a_nat_is_kept_open_rung_and_heard_both_ways() {
    let Some(mut town) = town(&["sip.keep_alive=2s"], 5) else { return };
    std::thread::sleep(Duration::from_secs(12));
    town.office.order(&json!({"do": "call", "to": "sip:80000@tandem.example"}));
    town.home.wait("rings", &json!({}));
    town.home.wait_state("CONFIRMED");
    town.office.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(2500));
    town.office.order(&json!({"do": "hangup"}));
    town.home.wait_state("DISCONNECTED");
    town.home.order(&json!({"do": "call", "to": "sip:80001@tandem.example"}));
    town.home.wait_state("CONFIRMED");
    town.office.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(2500));
    town.office.order(&json!({"do": "hangup"}));
    town.home.wait_state("DISCONNECTED");
    heard(town, 40);
}

/// The router forgets everything in the middle of a call, and gives other ports.
#[test]
fn rfc4961_a_nat_that_rebinds_in_mid_call_heals() {
    let Some(mut town) = town(&[], 60) else { return };
    town.home.order(&json!({"do": "call", "to": "sip:80001@tandem.example"}));
    town.home.wait_state("CONFIRMED");
    town.office.wait_state("CONFIRMED");
    std::thread::sleep(Duration::from_millis(2000));
    town.nat.rebind();
    std::thread::sleep(Duration::from_millis(7000));
    town.home.order(&json!({"do": "hangup"}));
    town.office.wait_state("DISCONNECTED");
    town.home.wait_state("DISCONNECTED");
    // The answer to its BYE says by which port that came: not 5060, which the router kept before.
    let log = town.home.log();
    let ports = log.split("rport=").skip(1).filter_map(|rest| rest.split([';', '\r', '\n']).next());
    let moved = ports.filter_map(|port| port.parse::<u16>().ok()).any(|port| port >= 40_000);
    assert!(moved, "{log}");
    // Two seconds before, and of the seven after at least four.
    heard(town, 60);
}
