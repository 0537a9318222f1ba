//! Menus of merchants' pages, and subscribers by hand: phones of the IMS in the network of a carrier, and phones of ours.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use call::Reply;
use facts::Micros;
use facts::settings::Snapshot;
use facts::ussd::{Code, Dialled, End, Language, Over, Screen};
use sip::ussd::{MEDIA_TYPE, UssdData};
use sip::wire::Message;

use crate::asker::Asker;
use crate::common::phones::{DESK, SOFT, bind};
use crate::common::{CARRIER_A, MERCHANT, Sim, extension, s};

pub const MOBILE: &str = "989121234567";
pub const PROMPT: &str = "لطفا کد ثبت نام خود را وارد نمایید";
pub const DONE: &str = "کد ثبت نام شما با موفقیت در سیستم ثبت شد";
pub const AWAY: &str = "سرویس در دسترس نیست";

pub fn code(text: &str) -> (Dialled, Arc<Code>) {
    let code = Code {
        merchant: MERCHANT,
        code: Dialled::code(text).unwrap(),
        leading_star: true,
        language: Language::Fa,
        page: s(8),
        input: s(60),
        session: s(180),
        price: Micros::ZERO,
    };
    (code.code.clone(), Arc::new(code))
}

pub fn sim_with(set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |_| {},
        |snapshot| {
            snapshot.ussd.extend([code("6655*123"), code("6655*7"), code("7")]);
            for user in ["80001", "80002"] {
                let phone = Some("989351112233".to_owned()).filter(|_| user == "80001");
                let extension =
                    facts::settings::Extension { bound_phone: phone, ..extension(user, "right") };
                snapshot.extensions.insert(user.into(), extension);
            }
            set(snapshot);
        },
    );
    sim.far("a").muted = true;
    sim
}

pub fn sim() -> Sim {
    sim_with(|_| {})
}

pub fn xml(text: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><ussd-data><language>fa</language><ussd-string>{text}</ussd-string></ussd-data>"
    )
}

/// A subscriber's phone in the network of a carrier, by hand.
pub struct Phone {
    pub call: u32,
    pub cseq: u32,
    pub tag: String,
}

impl Phone {
    /// Dials with these headers and this body; what came back besides the 100.
    pub fn dial(
        sim: &mut Sim,
        call: u32,
        uri: &str,
        headers: &str,
        body: &str,
    ) -> (Phone, Message) {
        let phone = Phone { call, cseq: 1, tag: String::new() };
        phone.send(sim, ("INVITE", 1, uri), headers, body);
        let answer = sim.fars["a"].heard.iter().rev().find(|m| m.status().is_some_and(|c| c > 100));
        let answer = answer.unwrap().clone();
        let tag = answer.to_tag().map(std::borrow::Cow::into_owned).unwrap_or_default();
        (Phone { tag, ..phone }, answer)
    }

    pub fn send(
        &self,
        sim: &mut Sim,
        (method, cseq, uri): (&str, u32, &str),
        headers: &str,
        body: &str,
    ) {
        let (call, tag) = (self.call, &self.tag);
        let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        let length = body.replace('\n', "\r\n").len();
        sim.raw(
            CARRIER_A,
            &format!(
                "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bKp{call}x{cseq}{method}\n\
                 Max-Forwards: 70\nFrom: <sip:+{MOBILE}@home1.net>;tag=p{call}\n\
                 To: <sip:*6655*123%23@home1.net>{tag}\nCall-ID: menu-{call}\nCSeq: {cseq} {method}\n\
                 Contact: <sip:ue@{CARRIER_A}>\n{headers}Content-Length: {length}\n\n{body}"
            ),
        );
    }

    pub fn within(&mut self, sim: &mut Sim, method: &str, headers: &str, body: &str) {
        if method != "ACK" {
            self.cseq += 1;
        }
        self.send(sim, (method, self.cseq, "sip:x@192.0.2.100"), headers, body);
    }

    pub fn types(&mut self, sim: &mut Sim, text: &str) {
        let headers = format!(
            "Info-Package: g.3gpp.ussd\nContent-Disposition: Info-Package\nContent-Type: {MEDIA_TYPE}\n"
        );
        self.within(sim, "INFO", &headers, &xml(text));
    }
}

/// As TS 24.390 has it: a description without media beside the menu's body.
pub fn dial(sim: &mut Sim, call: u32, text: &str) -> (Phone, Message) {
    let body = format!(
        "--b\nContent-Type: application/sdp\n\nv=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n\
         m=audio 0 RTP/AVP 8\n\n--b\nContent-Type: {MEDIA_TYPE}\nContent-Disposition: render;handling=optional\n\n{}\n--b--\n",
        xml(text)
    );
    let headers = format!(
        "Recv-Info: g.3gpp.ussd\nAccept: application/sdp, application/3gpp-ims+xml, {MEDIA_TYPE}\n\
         Content-Type: multipart/mixed;boundary=b\n"
    );
    let uri = "sip:*6655*123%23;phone-context=home1.net@home1.net;user=dialstring";
    Phone::dial(sim, call, uri, &headers, &body)
}

/// Dialled, accepted and acknowledged.
pub fn up(sim: &mut Sim, call: u32) -> Phone {
    let (mut phone, ok) = dial(sim, call, "*6655*123#");
    assert_eq!(ok.status(), Some(200));
    phone.within(sim, "ACK", "", "");
    phone
}

pub fn calls(sim: &Sim) -> Vec<String> {
    sim.pages.iter().map(|step| step.call(true)).collect()
}

pub fn say(sim: &mut Sim, screen: Screen) {
    let step = sim.pages.last().unwrap();
    let (session, number) = (step.session, step.number);
    sim.reply(Reply::Screen { session, number, screen });
}

pub fn menu(text: &str) -> Screen {
    Screen::Menu(text.into())
}

pub fn last(text: &str) -> Screen {
    Screen::Last(text.into())
}

pub fn reply(sim: &mut Sim, request: &Message, status: u16) {
    Asker::new(sim, "a", "ue").reply(sim, request, status, "");
}

/// What the latest request of a method shows.
pub fn shown(sim: &Sim, method: &str) -> UssdData {
    let request = sim.fars["a"].last(method);
    assert_eq!(request.content_type(), Some(MEDIA_TYPE));
    UssdData::parse(request.body()).unwrap()
}

/// Answers the latest INFO of ours.
pub fn take(sim: &mut Sim) {
    let info = sim.fars["a"].last("INFO").clone();
    reply(sim, &info, 200);
}

pub fn over(sim: &Sim) -> (End, u32) {
    let [Over { end, steps, .. }] = sim.overs[..] else { panic!("{:?}", sim.overs) };
    (end, steps)
}

/// A desk phone of 80001, whose number is known, and a soft phone of 80002, whose is not.
pub fn office() -> (Sim, Asker, Asker) {
    let mut sim = sim();
    sim.add("desk", DESK, 180);
    sim.add("soft", SOFT, 181);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT)]);
    let [desk, soft] =
        [("desk", "80001"), ("soft", "80002")].map(|(name, user)| Asker::new(&mut sim, name, user));
    (sim, desk, soft)
}

pub const TEXT: &str = "Content-Type: text/plain;charset=utf-8\n";

pub fn writes(sim: &mut Sim, phone: &mut Asker, text: &str) -> u16 {
    writes_to(sim, phone, "*6655*123%23", text)
}

/// The same to another code.
pub fn writes_to(sim: &mut Sim, phone: &mut Asker, code: &str, text: &str) -> u16 {
    let answer = phone.ask_proved(sim, ("MESSAGE", code), TEXT, text);
    answer.and_then(|answer| answer.status()).unwrap()
}

pub fn read(sim: &mut Sim, phone: &Asker, status: u16) -> String {
    let message = sim.fars[phone.name].last("MESSAGE").clone();
    phone.reply(sim, &message, status, "");
    String::from_utf8(message.body().to_vec()).unwrap()
}
