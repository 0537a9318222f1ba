//! Short messages between the shell and phones (RFC 3428): what leaves for a number, and what is written to one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/asker.rs"]
mod asker;
mod common;

use asker::Asker;
use call::{Answer, Command, Reply};
use common::phones::{DESK, SOFT, bind};
use common::{Sim, extension, s};
use facts::sms::{Sent, Text};
use sip::wire::{HeaderName, Message, Method};

const HOME: &str = "203.0.113.8:40008";
const TEXT: &str = "Content-Type: text/plain;charset=utf-8\n";
const DIRECT: &str = "861088880001";
const SERVICE: &str = "10690000123456789012";

/// A desk (80001, and a number of its own), and somebody with two phones (80002).
fn sim() -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            for user in ["80001", "80002", "80003"] {
                let mut extension = extension(user, "right");
                extension.bound_phone = Some(format!("86138001{user}"));
                snapshot.extensions.insert(user.into(), extension);
            }
            for number in [DIRECT, "861088880009"] {
                snapshot.inbound.insert(number.into(), "80001".into());
            }
            snapshot.index();
            let service = facts::sms::line(&snapshot.plan, SERVICE).unwrap();
            snapshot.texts.insert(service);
        },
    );
    sim.add("desk", DESK, 180);
    sim.add("soft", SOFT, 181);
    sim.add("home", HOME, 182);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT), ("80002", HOME)]);
    sim
}

fn write(sim: &mut Sim, token: u64, to: &str, text: &str) -> Option<Sent> {
    let text = Text { id: 1, from: "3000".into(), to: to.into(), text: text.into(), until: None };
    sim.command(Command::Text { token, text: Box::new(text) });
    came(sim, token)
}

fn came(sim: &Sim, token: u64) -> Option<Sent> {
    sim.answers.get(&token).map(|answer| match answer {
        Answer::Texted(sent) => sent.clone(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn rfc3428_4_a_text_goes_to_all_phones_of_a_number_and_the_first_that_takes_it_counts() {
    let mut sim = sim();
    let [soft, home] =
        [("soft", "80002"), ("home", "80002")].map(|(name, user)| Asker::new(&mut sim, name, user));
    let text = "کد شما: ۱۲۳۴ ☎ 验证码";
    assert_eq!(write(&mut sim, 1, "80002", text), None);
    for name in ["soft", "home"] {
        let message = sim.fars[name].last("MESSAGE").clone();
        assert_eq!(message.body(), text.as_bytes(), "whole, in UTF-8");
        assert_eq!(message.header_str(HeaderName::ContentType), Some("text/plain;charset=UTF-8"));
        assert_eq!(message.from().unwrap().uri.to_string(), "sip:3000@tandem.test");
        assert_eq!(message.to().unwrap().uri.to_string(), "sip:80002@tandem.test");
        assert!(message.contact().is_err(), "RFC 3428 §9");
    }
    let [at_soft, at_home] = ["soft", "home"].map(|name| sim.fars[name].last("MESSAGE").clone());
    home.reply(&mut sim, &at_home, 415, "");
    assert_eq!(came(&sim, 1), None);
    soft.reply(&mut sim, &at_soft, 200, "");
    assert_eq!(came(&sim, 1), Some(Sent::Taken(vec![])));
    sim.assert_clean();
}

#[test]
fn rfc3428_4_a_direct_number_leads_to_its_phone_and_a_bound_one_is_somebody_elses_way() {
    let mut sim = sim();
    let desk = Asker::new(&mut sim, "desk", "80001");
    assert_eq!(write(&mut sim, 1, DIRECT, "hello"), None);
    let at_desk = sim.fars["desk"].last("MESSAGE").clone();
    desk.reply(&mut sim, &at_desk, 202, "");
    assert_eq!(came(&sim, 1), Some(Sent::Taken(vec![])));
    // Whoever registers with somebody's mobile in his settings does not read what is for that mobile.
    for (token, to) in [(2, "8613800180001"), (3, "80003"), (4, "80055"), (5, "861088880002")] {
        assert_eq!(write(&mut sim, token, to, "hello"), Some(Sent::NotHere), "{to}");
    }
    let long = "x".repeat(1_301);
    assert_eq!(write(&mut sim, 6, "80001", &long), Some(Sent::NotHere), "RFC 3428 §8");
    assert_eq!(sim.fars["desk"].count("MESSAGE"), 1);
    sim.assert_clean();
}

#[test]
fn rfc3428_7_phones_that_refuse_or_say_nothing_are_told_apart() {
    let mut sim = sim();
    let desk = Asker::new(&mut sim, "desk", "80001");
    assert_eq!(write(&mut sim, 1, "80001", "hello"), None);
    let at_desk = sim.fars["desk"].last("MESSAGE").clone();
    desk.reply(&mut sim, &at_desk, 415, "");
    assert!(matches!(came(&sim, 1), Some(Sent::Refused(why)) if why.contains("415")));
    assert_eq!(write(&mut sim, 2, "80001", "hello"), None);
    sim.advance(s(23));
    assert_eq!(came(&sim, 2), None);
    sim.advance(s(2));
    assert!(matches!(came(&sim, 2), Some(Sent::Later(why)) if why.contains("408")));
    sim.command(Command::Drain { grace: s(1) });
    assert!(matches!(write(&mut sim, 3, "80001", "hello"), Some(Sent::Later(_))));
    sim.advance(s(40));
    sim.assert_clean();
}

/// The answers to MESSAGE that a far end has had, challenges aside.
fn answers(sim: &Sim, name: &str) -> Vec<u16> {
    let ours = |message: &&Message| message.cseq().is_ok_and(|cseq| cseq.method == Method::Message);
    let heard = sim.fars[name].heard.iter().filter(ours);
    heard.filter_map(Message::status).filter(|code| *code != 401).collect()
}

#[test]
fn rfc3428_7_what_a_phone_writes_to_a_service_number_is_taken_when_it_is_kept() {
    let mut sim = sim();
    let mut desk = Asker::new(&mut sim, "desk", "80001");
    let mut soft = Asker::new(&mut sim, "soft", "80002");
    assert!(desk.ask_proved(&mut sim, ("MESSAGE", SERVICE), TEXT, "REG 张三").is_none());
    let (message, arrived) = sim.texted[0].clone();
    assert_eq!((arrived.from.as_str(), arrived.link.as_str()), (DIRECT, ""), "others reach him so");
    assert_eq!((arrived.to.as_str(), arrived.text.as_str()), (SERVICE, "REG 张三"));
    sim.reply(Reply::Texted { message, kept: true });
    assert_eq!(answers(&sim, "desk"), [202]);
    // Again, under another name; one that cannot be kept; one that nobody says anything of.
    assert!(soft.ask_proved(&mut sim, ("MESSAGE", SERVICE), TEXT, "REG").is_none());
    let (message, second) = sim.texted[1].clone();
    assert_eq!(second.from, "80002");
    assert_ne!(second.once, arrived.once);
    sim.reply(Reply::Texted { message, kept: false });
    sim.reply(Reply::Texted { message, kept: true });
    assert_eq!(answers(&sim, "soft"), [480]);
    assert!(desk.ask_proved(&mut sim, ("MESSAGE", SERVICE), TEXT, "REG").is_none());
    sim.advance(s(25));
    assert_eq!(answers(&sim, "desk").last(), Some(&480));
    let composing = "Content-Type: application/im-iscomposing+xml\n";
    let told = |answer: Option<Message>| answer.unwrap().status();
    assert_eq!(told(desk.ask_proved(&mut sim, ("MESSAGE", SERVICE), composing, "<a/>")), Some(200));
    let picture = "Content-Type: image/png\n";
    assert_eq!(told(desk.ask_proved(&mut sim, ("MESSAGE", SERVICE), picture, "x")), Some(415));
    assert_eq!(sim.texted.len(), 3);
    sim.assert_clean();
}
