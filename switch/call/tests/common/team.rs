//! A team: extensions 80001 to 80004 with a phone each, in one group with the number 80100. A fifth one, 80005,
//! and carrier B call them.

use call::Command;
use facts::settings::{Extension, Snapshot};
use facts::{Group, LeadsTo, Reach, ReachSet, Strategy};
use sip::endpoint::SessionId;
use sip::wire::Message;

use super::phones::{bind, call_from, invite};
use super::{CARRIER_B, MERCHANT, Sim, extension};

pub const TEAM: [(&str, &str, &str); 4] = [
    ("one", "80001", "203.0.113.11:5070"),
    ("two", "80002", "203.0.113.12:5070"),
    ("three", "80003", "203.0.113.13:5070"),
    ("four", "80004", "203.0.113.14:5070"),
];
/// Somebody of the same merchant who is in no group.
pub const CALLER: (&str, &str, &str) = ("caller", "80005", "203.0.113.15:5070");
pub const GROUP: &str = "80100";
/// The public number that leads to the group.
pub const DIRECT: &str = "861087654321";

pub fn group(strategy: Strategy, members: &[&str]) -> Group {
    Group {
        merchant: MERCHANT,
        name: "team".into(),
        enabled: true,
        strategy,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        ring_s: 10,
        timeout_s: 35,
        otherwise: None,
    }
}

pub fn internal(number: &str) -> Option<LeadsTo> {
    Some(LeadsTo::Internal(number.into()))
}

pub fn public(number: &str) -> Option<LeadsTo> {
    Some(LeadsTo::Public(number.into()))
}

/// All are registered; the first three are in the group.
pub fn team(strategy: Strategy) -> Sim {
    team_with(strategy, |_| {})
}

pub fn team_with(strategy: Strategy, set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for (_, user, _) in TEAM.into_iter().chain([CALLER]) {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            let members = ["80001", "80002", "80003"];
            snapshot.groups.insert(GROUP.into(), group(strategy, &members));
            snapshot.inbound.insert(DIRECT.into(), GROUP.into());
            set(snapshot);
        },
    );
    for (seed, (name, _, at)) in (180_u8..).zip(TEAM.into_iter().chain([CALLER])) {
        sim.add(name, at, seed);
    }
    let phones: Vec<_> = TEAM.into_iter().chain([CALLER]).map(|(_, user, at)| (user, at)).collect();
    bind(&mut sim, &phones);
    sim
}

/// An extension as it is, with wishes.
pub fn wishes(snapshot: &mut Snapshot, user: &str, reach: Reach) {
    snapshot.extensions.entry(user.into()).and_modify(|extension: &mut Extension| {
        extension.reach = reach;
    });
}

/// The settings change.
pub fn change(sim: &mut Sim, set: impl FnOnce(&mut Snapshot)) {
    let mut snapshot = sim.snapshot.clone();
    set(&mut snapshot);
    sim.snapshot = snapshot.clone();
    sim.command(Command::Settings(snapshot.into()));
}

/// 80005 dials a number.
pub fn dial(sim: &mut Sim, number: &str) -> SessionId {
    call_from(sim, CALLER.0, CALLER.1, number)
}

/// A carrier brings a call for the number that leads to the group.
pub fn from_carrier(sim: &mut Sim, headers: &[(&str, &str)]) -> SessionId {
    let from = format!("<sip:+8613800138000@{}>", CARRIER_B.split(':').next().unwrap());
    let to = format!("sip:+{DIRECT}@198.51.100.1");
    invite(sim, "b", (&from, &to), None, headers)
}

/// Whose phones have been invited so often.
pub fn invited(sim: &Sim) -> [usize; 4] {
    TEAM.map(|(name, ..)| sim.fars[name].count("INVITE"))
}

/// The last status that a caller was told.
pub fn told(sim: &Sim, name: &str) -> Option<u16> {
    let answers = sim.fars[name].heard.iter().rev();
    let mut answers = answers.filter(|message| !message.is_request());
    answers.find_map(Message::status)
}

/// The store takes up a wish, unless it is away; the settings follow.
pub fn dialled(sim: &mut Sim, user: &str, set: ReachSet) -> bool {
    if !sim.ledger.answers {
        return false;
    }
    let Some(extension) = sim.snapshot.extensions.get_mut(user) else { return false };
    set.apply(&mut extension.reach);
    let settings = Command::Settings(sim.snapshot.clone().into());
    sim.engine.handle_command(sim.now, settings);
    true
}
