//! A privacy number X by which a subscriber of carrier A and one of carrier B reach each other.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use call::{Command, EngineConfig};
use facts::axb::AxbBinding;
use facts::settings::Snapshot;
use facts::{MerchantId, UnixMillis};
use sip::endpoint::SessionId;

use super::common::phones::invite;
use super::common::{MERCHANT, NUMBER_A, NUMBER_B, Sim, extension, s};

/// What is told of calls by the binding bears this.
pub const CONTEXT: &str = r#"{"reference":"order 7"}"#;
pub const X: &str = "861087654321";

/// X is a privacy number of the merchant's; carrier A has the mobiles, carrier B Beijing. The two are bound for ten
/// minutes.
pub fn bound(config: impl FnOnce(&mut EngineConfig), set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for user in ["80001", "80002", "80003"] {
            snapshot.extensions.insert(user.into(), extension(user, "right"));
        }
        snapshot.inbound.insert(X.into(), "80001".into());
        snapshot.axb.insert(X.into());
        set(snapshot);
    });
    let until = sim.now.wall + s(600);
    learn(&mut sim, MERCHANT, Some(until));
    sim
}

pub fn learn(sim: &mut Sim, merchant: MerchantId, until: Option<UnixMillis>) {
    let [number, a, b] = [X, NUMBER_A, NUMBER_B].map(str::to_owned);
    let (reference, context) = ("order 7".to_owned(), CONTEXT.to_owned());
    let bound = AxbBinding { id: 1, merchant, number, a, b, reference, context, until };
    sim.command(Command::Axb(vec![bound]));
}

/// Somebody calls X by a carrier.
pub fn calls(sim: &mut Sim, carrier: &str, from: &str, headers: &[(&str, &str)]) -> SessionId {
    let from = format!("<sip:+{from}@192.0.2.1>");
    invite(sim, carrier, (&from, &format!("sip:+{X}@198.51.100.1")), None, headers)
}

/// Nothing that a far end was sent has a number in it, however it is written.
pub fn nowhere(sim: &Sim, name: &str, number: &str) {
    for message in &sim.fars[name].heard {
        let text = String::from_utf8_lossy(message.bytes());
        assert!(!text.contains(&number[4..]), "{name} learns {number}: {text}");
    }
}
