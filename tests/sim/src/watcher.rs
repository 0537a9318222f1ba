//! A phone that watches the office and its mailbox (RFC 6665), and writes to it now and then (RFC 3428). It is
//! no endpoint of ours: what it does was read from the RFCs anew.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sip::digest::challenge_of;
use sip::wire::{HeaderName, Message, Method};

use crate::net::Dice;
use crate::settings::{EXTENSION, PASSWORD, REALM};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// Timer F.
const PATIENCE: Duration = Duration::from_secs(32);
/// How long it wants to watch, in seconds.
const EXPIRES: u32 = 90;

/// What it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Calls,
    Mail,
    Write,
}

/// A request that has no final answer yet.
#[derive(Debug)]
struct Open {
    bytes: Bytes,
    next: Duration,
    pause: Duration,
    until: Duration,
    /// Challenges that it answered.
    tries: u8,
}

/// One thing that it asks for, again and again.
#[derive(Debug)]
struct Ask {
    what: What,
    /// Which dialog this is: the number in its Call-ID.
    dialog: u32,
    to_tag: Option<String>,
    cseq: u32,
    open: Option<Open>,
    /// When it asks again.
    again: Duration,
}

/// The phone.
#[derive(Debug)]
pub struct Watcher {
    /// Its address.
    pub at: SocketAddr,
    switch: SocketAddr,
    dice: Dice,
    asks: Vec<Ask>,
    sends: VecDeque<Bytes>,
    /// It asks for nothing more from then on.
    stop: Duration,
    /// NOTIFYs that it took.
    pub told: u32,
}

impl Watcher {
    /// A phone at an address, until some time.
    #[must_use]
    pub fn new(at: SocketAddr, switch: SocketAddr, seed: u64, stop: Duration) -> Watcher {
        let ask = |what, again| Ask {
            what,
            dialog: 0,
            to_tag: None,
            cseq: 0,
            open: None,
            again: Duration::from_secs(again),
        };
        Watcher {
            at,
            switch,
            dice: Dice::new(seed),
            asks: vec![ask(What::Calls, 1), ask(What::Mail, 2), ask(What::Write, 20)],
            sends: VecDeque::new(),
            stop,
            told: 0,
        }
    }

    /// What it sends to the switch.
    pub fn transmit(&mut self) -> Option<Bytes> {
        self.sends.pop_front()
    }

    /// Its timers.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let due = |ask: &Ask| match &ask.open {
            Some(open) => Some(open.next.min(open.until)),
            None => Some(ask.again).filter(|again| *again < self.stop),
        };
        self.asks.iter().filter_map(due).min()
    }

    /// A timer came.
    pub fn handle_timeout(&mut self, now: Duration) {
        for at in 0..self.asks.len() {
            let (stop, ask) = (self.stop, &mut self.asks[at]);
            match &mut ask.open {
                Some(open) if open.until <= now => {
                    // RFC 3261 §8.1.3.1: as if it were a 408.
                    ask.open = None;
                    self.begin_anew(now, at, 5);
                }
                Some(open) if open.next <= now => {
                    open.pause = (open.pause * 2).min(T2);
                    open.next = now + open.pause;
                    self.sends.push_back(open.bytes.clone());
                }
                None if ask.again <= now && now < stop => self.send(now, at, 0, None),
                Some(_) | None => {}
            }
        }
    }

    /// A datagram arrived.
    pub fn handle(&mut self, now: Duration, bytes: Bytes) {
        let Ok(message) = Message::parse(bytes) else { return };
        match message.method().filter(|_| message.is_request()) {
            Some(Method::Notify) => self.notified(&message),
            Some(_) => {}
            None => self.answered(now, &message),
        }
    }

    fn begin_anew(&mut self, now: Duration, at: usize, seconds: u32) {
        let more = self.dice.below(seconds * 1000);
        let ask = &mut self.asks[at];
        ask.dialog += 1;
        ask.to_tag = None;
        ask.again = now + Duration::from_millis(1_000 + u64::from(more));
    }

    fn send(&mut self, now: Duration, at: usize, tries: u8, proof: Option<String>) {
        let (here, switch) = (self.at, self.switch);
        let ends = self.dice.chance(150);
        let ask = &mut self.asks[at];
        ask.cseq += 1;
        let (dialog, cseq) = (ask.dialog, ask.cseq);
        let (method, headers, body) = match ask.what {
            What::Calls => ("SUBSCRIBE", "Event: dialog\r\n", ""),
            What::Mail => ("SUBSCRIBE", "Event: message-summary\r\n", ""),
            What::Write => ("MESSAGE", "Content-Type: text/plain\r\n", "on my way"),
        };
        // One that is there may be ended, or gone on with.
        let expires = match (ask.what, &ask.to_tag) {
            (What::Write, _) => String::new(),
            (_, Some(_)) if ends => "Expires: 0\r\n".to_owned(),
            _ => format!("Expires: {EXPIRES}\r\n"),
        };
        let tag = ask.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let text = format!(
            "{method} sip:{EXTENSION}@{switch} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {here};rport;branch=z9hG4bKwatch{at}x{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:{EXTENSION}@{REALM}>;tag=watch{at}\r\nTo: <sip:{EXTENSION}@{REALM}>{tag}\r\n\
             Call-ID: watch-{at}-{dialog}\r\nCSeq: {cseq} {method}\r\nContact: <sip:w@{here}>\r\n\
             {headers}{expires}{}Content-Length: {}\r\n\r\n{body}",
            proof.unwrap_or_default(),
            body.len()
        );
        let bytes = Bytes::from(text);
        self.sends.push_back(bytes.clone());
        let (next, until) = (now + T1, now + PATIENCE);
        ask.open = Some(Open { bytes, next, pause: T1, until, tries });
    }

    fn answered(&mut self, now: Duration, answer: &Message) {
        let (Some(code), Ok(cseq)) = (answer.status(), answer.cseq()) else { return };
        let branch = answer.via().ok().and_then(|via| via.branch().map(str::to_owned));
        let ours = |at: &usize| branch == Some(format!("z9hG4bKwatch{at}x{}", cseq.number));
        let Some(at) = (0..self.asks.len()).find(ours) else { return };
        let ask = &mut self.asks[at];
        if code < 200 || ask.cseq != cseq.number {
            return;
        }
        let Some(open) = ask.open.take() else { return };
        match code {
            401 if open.tries < 3 => {
                let challenge = challenge_of(answer, Some(REALM));
                let method = cseq.method.as_str();
                let uri = format!("sip:{EXTENSION}@{}", self.switch);
                let proof = challenge.and_then(|(name, challenge)| {
                    let proof =
                        challenge.answer(EXTENSION, PASSWORD, method, &uri, 1, "0a4f113b")?;
                    Some(format!("{}: {proof}\r\n", name.as_str()))
                });
                self.send(now, at, open.tries + 1, proof);
            }
            200 if ask.what != What::Write => {
                let granted = answer.expires().ok().flatten().unwrap_or(0);
                if granted == 0 {
                    return self.begin_anew(now, at, 20);
                }
                ask.to_tag = answer.to_tag().map(std::borrow::Cow::into_owned);
                // Some forget to come back in time.
                let part = if self.dice.chance(200) { 1_300 } else { 600 };
                let after = Duration::from_millis(u64::from(granted) * part);
                self.asks[at].again = now + after;
            }
            _ => self.begin_anew(now, at, 40),
        }
    }

    fn notified(&mut self, notify: &Message) {
        // RFC 6665 §4.1.3: a NOTIFY of a dialog that it has, or is about to have.
        let known = self.asks.iter().enumerate().any(|(at, ask)| {
            notify.call_id() == Some(format!("watch-{at}-{}", ask.dialog).as_str())
        });
        let (code, headers) = match self.dice.below(100) {
            _ if !known => (481, ""),
            0..=89 => (200, ""),
            90..=93 => return,
            94..=96 => (503, "Retry-After: 7\r\n"),
            _ => (481, ""),
        };
        self.told += u32::from(code == 200);
        let mut text = format!("SIP/2.0 {code} Word\r\n");
        for name in [
            HeaderName::Via,
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::CSeq,
        ] {
            for value in notify.lines(name) {
                text += &format!("{}: {}\r\n", name.as_str(), String::from_utf8_lossy(value));
            }
        }
        self.sends.push_back(format!("{text}{headers}Content-Length: 0\r\n\r\n").into());
    }
}
