//! REFER by far ends, what they are told of it, and a process that dies meanwhile.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use call::{Command, EngineConfig};
use facts::Number;
use facts::ledger::OpenCall;
use sip::wire::{HeaderName, Message};

use super::common::phones::{DESK, SOFT, bind};
use super::common::{MERCHANT, Sim, callback, engine_config, extension, sdp_of};

pub const THIRD: &str = "203.0.113.7:40004";
pub const STRANGER: &str = "203.0.113.9:5060";

/// Three phones of one merchant (desk, soft, third: 80001 to 80003), one of another (far, 90001), and the carriers.
pub fn sim_with(config: impl FnOnce(&mut EngineConfig)) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for user in ["80001", "80002", "80003"] {
            snapshot.extensions.insert(user.into(), extension(user, "right"));
        }
        let mut stranger = extension("90001", "right");
        stranger.merchant.0 = MERCHANT.0 + 1;
        snapshot.extensions.insert("90001".into(), stranger);
        let merchant = snapshot.merchants[&MERCHANT].clone();
        snapshot.merchants.insert(facts::MerchantId(MERCHANT.0 + 1), merchant);
    });
    let phones = [("desk", DESK), ("soft", SOFT), ("third", THIRD), ("far", STRANGER)];
    for (seed, (name, at)) in (170..).zip(phones) {
        sim.add(name, at, seed);
    }
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT), ("80003", THIRD), ("90001", STRANGER)]);
    sim
}

/// A subscriber of carrier A talks with the desk, by a callback that is recorded.
pub fn recorded(sim: &mut Sim) {
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal("80001".into());
    command.record = facts::media::Record::Yes;
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up_with("desk", &sdp_of("c"));
}

/// Call-ID, its own From, its To, a number.
pub type Dialog = (String, String, String, u32);

/// The dialog of a far end, from what it has heard: Call-ID, its own From, its To, and a number that is not
/// above those of the requests that its endpoint will send.
pub fn dialog(sim: &Sim, name: &str) -> Dialog {
    let far = &sim.fars[name];
    let text = |message: &Message, name: HeaderName| {
        String::from_utf8(message.header(name).unwrap().to_vec()).unwrap()
    };
    let last = |wanted: &dyn Fn(&Message) -> bool| {
        far.heard.iter().rev().find(|message| wanted(message)).cloned()
    };
    let of_invite = |message: &Message| {
        message.cseq().is_ok_and(|cseq| cseq.method == sip::wire::Method::Invite)
    };
    if let Some(answer) = last(&|message| message.status() == Some(200) && of_invite(message)) {
        let [from, to] = [HeaderName::From, HeaderName::To].map(|name| text(&answer, name));
        let number = answer.cseq().unwrap().number;
        return (answer.call_id().unwrap().to_owned(), from, to, number);
    }
    called(sim, name)
}

/// The latest dialog in which a far end was called.
pub fn called(sim: &Sim, name: &str) -> Dialog {
    let far = &sim.fars[name];
    let text = |message: &Message, name: HeaderName| {
        String::from_utf8(message.header(name).unwrap().to_vec()).unwrap()
    };
    let last = |wanted: &dyn Fn(&Message) -> bool| {
        far.heard.iter().rev().find(|message| wanted(message)).cloned()
    };
    let ack =
        last(&|message| message.is_request() && message.method() == Some(&sip::wire::Method::Ack));
    let ack = ack.expect("it is in a call");
    let [from, to] = [HeaderName::To, HeaderName::From].map(|name| text(&ack, name));
    (ack.call_id().unwrap().to_owned(), from, to, 1)
}

/// A far end refers whoever it talks with; the status it gets.
pub fn refer(sim: &mut Sim, name: &str, to: &str) -> u16 {
    refer_with(sim, name, &format!("Refer-To: {to}\n"))
}

pub fn refer_with(sim: &mut Sim, name: &str, headers: &str) -> u16 {
    let dialog = dialog(sim, name);
    refer_in(sim, name, &dialog, headers)
}

/// The same in one of its dialogs.
pub fn refer_in(sim: &mut Sim, name: &str, dialog: &Dialog, headers: &str) -> u16 {
    let (call_id, from, to, cseq) = dialog;
    let far = &sim.fars[name];
    let (at, branch) = (far.at, format!("z9hG4bKrefer{}", far.heard.len()));
    let text = format!(
        "REFER sip:x@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {at};branch={branch}\n\
         Max-Forwards: 70\nFrom: {from}\nTo: {to}\nCall-ID: {call_id}\nCSeq: {cseq} REFER\n\
         Contact: <sip:x@{at}>\n{headers}Content-Length: 0\n\n"
    );
    sim.raw(&at.to_string(), &text);
    let ours = |message: &&Message| {
        let via = message.header_str(HeaderName::Via).unwrap_or_default();
        via.contains(&format!("{branch};")) || via.ends_with(&branch)
    };
    let answer = sim.fars[name].heard.iter().rev().find(ours);
    answer.and_then(Message::status).expect("an answer to the REFER")
}

/// What a far end was told of its transfer: `100 active`, `200 terminated`.
pub fn told(sim: &Sim, name: &str) -> Vec<String> {
    let notify = |message: &&Message| {
        message.is_request() && message.method() == Some(&sip::wire::Method::Notify)
    };
    sim.fars[name]
        .heard
        .iter()
        .filter(notify)
        .map(|notify| {
            assert_eq!(notify.content_type(), Some("message/sipfrag"));
            let body = String::from_utf8(notify.body().to_vec()).unwrap();
            let code = body.strip_prefix("SIP/2.0 ").unwrap()[..3].to_owned();
            let state = notify.header_str(HeaderName::SubscriptionState).unwrap();
            format!("{code} {}", state.split(';').next().unwrap())
        })
        .collect()
}

/// The process dies and another one finds what the store has.
pub fn restart(sim: &mut Sim) {
    let settled: Vec<_> = sim.settled.iter().map(|facts| facts.call).collect();
    let asked = sim.authorizations.iter().filter(|asked| !settled.contains(&asked.call));
    let mut calls: Vec<OpenCall> = asked
        .map(|asked| OpenCall {
            call: asked.call,
            command: asked.command.clone(),
            placed: asked.at,
            legs: Vec::new(),
            alive: sim.now.wall,
        })
        .collect();
    for open in &mut calls {
        for entry in sim.journal.iter().filter(|entry| entry.leg.call == open.call) {
            open.legs.retain(|leg| leg.leg != entry.leg);
            open.legs.push(entry.clone());
        }
        for (leg, dialog) in sim.papers.iter().filter(|(leg, _)| leg.call == open.call) {
            let row = open.legs.iter_mut().find(|row| row.leg == *leg);
            row.unwrap().dialog.clone_from(dialog);
        }
    }
    let mut config = engine_config();
    config.sip.seed = [43; 32];
    sim.engine = call::Engine::new(config, Arc::new(sim.snapshot.clone()), sim.now);
    for open in calls {
        sim.command(Command::Recover(Box::new(open)));
    }
}
