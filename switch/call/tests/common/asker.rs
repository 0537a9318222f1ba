//! A phone that asks by hand: requests with or without a password, in a dialog or outside, and its answers to
//! ours. It hears through a far end whose own answers are kept back.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sip::digest::challenge_of;
use sip::wire::{HeaderName, Message};

use crate::common::phones::PASSWORD;
use crate::common::{REALM, Sim};

/// A phone, and the dialog of its subscription.
pub struct Asker {
    /// The far end that hears for it.
    pub name: &'static str,
    /// Its extension.
    pub user: &'static str,
    /// Its Contact.
    pub contact: String,
    /// Our tag, once it has one.
    pub to_tag: Option<String>,
    call: u32,
    cseq: u32,
}

impl Asker {
    pub fn new(sim: &mut Sim, name: &'static str, user: &'static str) -> Asker {
        sim.far(name).muted = true;
        let contact = format!("<sip:{user}@{}>", sim.fars[name].at);
        // No dialog of it is one of somebody's before it.
        let call = u32::try_from(sim.fars[name].heard.len()).unwrap();
        Asker { name, user, contact, to_tag: None, call, cseq: 0 }
    }

    /// Forgets its dialog: what it asks next is new.
    pub fn afresh(&mut self) {
        self.to_tag = None;
        self.call += 1;
    }

    /// Sends a request once, and returns what came back at once, if anything.
    pub fn ask(
        &mut self,
        sim: &mut Sim,
        (method, target): (&str, &str),
        headers: &str,
        body: &str,
    ) -> Option<Message> {
        self.cseq += 1;
        let at = sim.fars[self.name].at;
        let tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let branch = format!("z9hG4bK{}{}x{}x{}", self.name, self.user, self.call, self.cseq);
        let (name, user, contact) = (self.name, self.user, &self.contact);
        let (call, cseq) = (self.call, self.cseq);
        let before = sim.fars[self.name].heard.len();
        sim.raw(
            &at.to_string(),
            &format!(
                "{method} sip:{target}@{REALM} SIP/2.0\nVia: SIP/2.0/UDP {at};rport;branch={branch}\n\
                 Max-Forwards: 70\nFrom: <sip:{user}@{REALM}>;tag=f{user}\n\
                 To: <sip:{target}@{REALM}>{tag}\nCall-ID: {name}-{user}-{call}-{method}\n\
                 CSeq: {cseq} {method}\nContact: {contact}\n{headers}\
                 Content-Length: {}\n\n{body}",
                body.len()
            ),
        );
        let heard = &sim.fars[self.name].heard;
        heard[before..].iter().find(|message| message.status().is_some()).cloned()
    }

    /// The same with the password: the challenge is answered.
    pub fn ask_proved(
        &mut self,
        sim: &mut Sim,
        (method, target): (&str, &str),
        headers: &str,
        body: &str,
    ) -> Option<Message> {
        let challenged = self.ask(sim, (method, target), headers, body).unwrap();
        assert_eq!(challenged.status(), Some(401), "nobody is believed without a password");
        let (name, challenge) = challenge_of(&challenged, Some(REALM)).unwrap();
        let uri = format!("sip:{target}@{REALM}");
        let proof = challenge.answer(self.user, PASSWORD, method, &uri, 1, "0a4f113b").unwrap();
        let proved = format!("{}: {proof}\n{headers}", name.as_str());
        self.ask(sim, (method, target), &proved, body)
    }

    /// Subscribes, or goes on with its subscription; the status.
    pub fn subscribe(&mut self, sim: &mut Sim, event: &str, target: &str, expires: u32) -> u16 {
        self.subscribe_with(sim, event, target, &format!("Expires: {expires}\n")).status().unwrap()
    }

    pub fn subscribe_with(
        &mut self,
        sim: &mut Sim,
        event: &str,
        target: &str,
        headers: &str,
    ) -> Message {
        let headers = format!("Event: {event}\n{headers}");
        let answer = self.ask_proved(sim, ("SUBSCRIBE", target), &headers, "").unwrap();
        if answer.status() == Some(200) {
            self.to_tag = answer.to_tag().map(std::borrow::Cow::into_owned);
        }
        answer
    }

    /// All NOTIFYs that it has heard, without copies.
    pub fn notifies(&self, sim: &Sim) -> Vec<Message> {
        let mut seen = Vec::new();
        let heard = sim.fars[self.name].heard.iter();
        heard
            .filter(|message| {
                let key = message.via().ok().and_then(|via| Some(via.branch()?.to_owned()));
                let new = !seen.contains(&key);
                seen.push(key);
                new && message.is_request() && message.header(HeaderName::Event).is_some()
            })
            .cloned()
            .collect()
    }

    /// What it was told last: the state of its subscription, and the body.
    pub fn told(&self, sim: &Sim) -> (String, String) {
        let last = self.notifies(sim).pop().expect("a NOTIFY");
        let state = last.header_str(HeaderName::SubscriptionState).unwrap().to_owned();
        (state, String::from_utf8(last.body().to_vec()).unwrap())
    }

    /// Answers the latest NOTIFY.
    pub fn answer(&self, sim: &mut Sim, status: u16, headers: &str) {
        let notify = self.notifies(sim).pop().expect("a NOTIFY");
        self.reply(sim, &notify, status, headers);
    }

    /// Answers a request.
    pub fn reply(&self, sim: &mut Sim, request: &Message, status: u16, headers: &str) {
        let mut text = format!("SIP/2.0 {status} Whatever\n");
        for (name, written, value) in request.fields() {
            use HeaderName as N;
            if matches!(name, N::Via | N::From | N::To | N::CallId | N::CSeq) {
                let [written, value] = [written, value].map(String::from_utf8_lossy);
                let tag = if name == N::To && request.to_tag().is_none() { ";tag=far" } else { "" };
                text.push_str(&format!("{written}: {value}{tag}\n"));
            }
        }
        let at = sim.fars[self.name].at.to_string();
        sim.raw(&at, &format!("{text}{headers}Content-Length: 0\n\n"));
    }
}
