//! A far end that knows just enough to be dangerous: it writes requests and answers from templates,
//! fills in what it has seen (tags, branches, Call-IDs), and then bends them as its script says.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::digest::challenge_of;
use sip::wire::{HeaderName, Message, Method};

use crate::mutate::{Random, mutate};
use crate::script::Script;

/// Requests of the other side, and own ones, that a peer remembers; older ones go first.
const REMEMBERED_MAX: usize = 24;

/// A request of our own, and the dialog that it may have become.
#[derive(Clone, Debug)]
struct Own {
    method: &'static str,
    uri: String,
    from: String,
    call_id: String,
    branch: String,
    tag: String,
    cseq: u32,
    to_tag: Option<String>,
    /// The last answer that asked for a password.
    challenge: Option<Message>,
    /// RAck of the last answer that wants a PRACK.
    rack: String,
    /// A 2xx came that was not acknowledged.
    agreed: bool,
    /// As it was sent.
    bytes: Bytes,
}

/// A peer at an address.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is.
    pub at: SocketAddr,
    /// Whom it talks to.
    pub to: SocketAddr,
    /// User, realm and password, when it has them.
    pub account: Option<(&'static str, &'static str, &'static str)>,
    /// Request-URIs that it calls.
    pub uris: Vec<String>,
    /// It knows REFER and Replaces.
    pub refers: bool,
    own: Vec<Own>,
    asked: Vec<Message>,
    /// Those of them that it has not answered as it should.
    due: Vec<Message>,
    made: u32,
}

const STATUSES: [u16; 24] = [
    180, 200, 100, 183, 200, 486, 180, 200, 183, 200, 401, 407, 404, 481, 491, 503, 603, 302, 408,
    487, 500, 199, 699, 202,
];
const METHODS: [&str; 10] =
    ["BYE", "INVITE", "INFO", "SUBSCRIBE", "BYE", "INVITE", "MESSAGE", "UPDATE", "CANCEL", "PRACK"];
/// The same of a peer that transfers.
const TRANSFERS: [&str; 10] =
    ["REFER", "INVITE", "REFER", "SUBSCRIBE", "BYE", "REFER", "MESSAGE", "UPDATE", "INFO", "PRACK"];
/// Whom it wants others joined with: numbers, extensions, groups, codes, nothing that reads.
const TARGETS: [&str; 8] = [
    "sip:+8613900000001@sim.example",
    "sip:80000@sim.example",
    "sip:80100@sim.example",
    "sip:*70@sim.example",
    "sip:80001@sim.example;method=BYE",
    "sip:+8613800000001@sim.example",
    "tel:x",
    "sip:",
];
/// What a SUBSCRIBE bears besides, as long as it is of use to nobody after a minute.
const WATCHES: &str = "Event: dialog\r\nExpires: 60\r\n";
const OUTSIDE: [&str; 6] = ["PUBLISH", "REGISTER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "FOO"];

impl Peer {
    /// A peer that has seen nothing yet.
    pub fn new(at: SocketAddr, to: SocketAddr) -> Peer {
        let uris = vec![format!("sip:+861053180002@{to}"), format!("sip:80000@{to}")];
        Peer {
            at,
            to,
            account: None,
            uris,
            refers: false,
            own: Vec::new(),
            asked: Vec::new(),
            due: Vec::new(),
            made: 0,
        }
    }

    /// Something was sent to it.
    pub fn saw(&mut self, message: &Message) {
        if message.is_request() {
            if message.method() != Some(&Method::Ack) {
                keep(&mut self.asked, message.clone());
                keep(&mut self.due, message.clone());
            }
            return;
        }
        let Some(own) = self.own.iter_mut().rev().find(|own| {
            message.call_id() == Some(own.call_id.as_str())
                && message.from().is_ok_and(|from| from.tag() == Some(own.tag.as_str()))
        }) else {
            return;
        };
        own.agreed |= own.method == "INVITE" && message.status() == Some(200);
        if matches!(message.status(), Some(401 | 407)) {
            own.challenge = Some(message.clone());
        }
        if let Ok(to) = message.to()
            && let Some(tag) = to.tag()
            && message.status().is_some_and(|code| code > 100)
        {
            own.to_tag = Some(tag.to_owned());
        }
        if let (Some(rseq), Ok(cseq)) = (message.reliable(), message.cseq()) {
            own.rack = format!("RAck: {rseq} {cseq}\r\n");
        }
    }

    /// What it says next.
    pub fn speak(&mut self, script: &mut Script<'_>) -> Bytes {
        let honest = match script.below(16) {
            0..=2 => self.call(script),
            3..=8 => self.answer(script),
            9 | 10 => self.within(script),
            11 => self.ack(script),
            12 => self.cancel(script),
            13 => self.again(script),
            14 => self.outside(script),
            15 if self.refers => return self.plain(script),
            _ => {
                let count = usize::from(script.byte());
                Bytes::copy_from_slice(script.bytes(count))
            }
        };
        if script.one_in(4) {
            let mut random = Random::new(u64::from(script.pair()));
            return mutate(&honest, &mut random).into();
        }
        honest
    }

    /// What it ought to say now: its password, an ACK, an answer. `None` when it owes nothing.
    pub fn oblige(&mut self) -> Option<Bytes> {
        self.prove().or_else(|| self.acknowledge()).or_else(|| self.agree())
    }

    /// Its last request that was challenged, with its password.
    fn prove(&mut self) -> Option<Bytes> {
        let (n, at) = (self.number(), self.at);
        let (user, _, password) = self.account?;
        let own = self.own.iter_mut().rev().find(|own| own.challenge.is_some())?;
        let (header, challenge) = challenge_of(&own.challenge.take()?, None)?;
        let value = challenge.answer(user, password, own.method, &own.uri, 1, "cn")?;
        let branch = format!("z9hG4bK{n}p{}", at.port());
        let old = format!("CSeq: {} ", own.cseq);
        let proof = format!("{}: {value}\r\nCSeq: {} ", header.as_str(), own.cseq + 1);
        let text = String::from_utf8_lossy(&own.bytes).replace(&own.branch, &branch);
        own.bytes = text.replacen(&old, &proof, 1).into();
        (own.branch, own.cseq, own.to_tag) = (branch, own.cseq + 1, None);
        Some(own.bytes.clone())
    }

    fn acknowledge(&mut self) -> Option<Bytes> {
        let (n, at) = (self.number(), self.at);
        let own = self.own.iter_mut().rev().find(|own| own.agreed)?;
        own.agreed = false;
        let tag = own.to_tag.as_deref().unwrap_or("none");
        let text = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{n}k\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={}\r\nTo: <{uri}>;tag={tag}\r\n\
             Call-ID: {}\r\nCSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
            own.from,
            own.tag,
            own.call_id,
            own.cseq,
            uri = own.uri,
        );
        Some(text.into())
    }

    /// 200 to what it was asked last.
    fn agree(&mut self) -> Option<Bytes> {
        let (request, at) = (self.due.pop()?, self.at);
        let line =
            |name| String::from_utf8_lossy(request.header(name).unwrap_or_default()).into_owned();
        let (via, to) = (line(HeaderName::Via), line(HeaderName::To));
        let tag = if to.contains(";tag=") { "" } else { ";tag=far0" };
        let sdp = match request.method() {
            Some(Method::Invite | Method::Update) => description(at, 30_000, ("8", "sendrecv")),
            _ => String::new(),
        };
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContact: <sip:far@{at}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            line(HeaderName::From),
            line(HeaderName::CallId),
            line(HeaderName::CSeq),
            sdp.len(),
        );
        Some(text.into())
    }

    /// What nobody finds fault with: a REFER in its latest call, or a call.
    fn plain(&mut self, script: &mut Script<'_>) -> Bytes {
        let (n, at) = (self.number(), self.at);
        let stands = |own: &&Own| own.method == "INVITE" && own.to_tag.is_some() && !own.agreed;
        let standing = self.own.iter().rev().find(stands).cloned();
        let (own, method) = match standing.filter(|_| script.one_in(2)) {
            Some(own) => (own, "REFER"),
            None => (self.fresh(script), "INVITE"),
        };
        let cseq = own.cseq + u32::from(method == "REFER") * n;
        let (more, sdp) = match method {
            "REFER" => (self.refer_to(script), String::new()),
            _ => (String::new(), description(at, 30_000, ("8", "sendrecv"))),
        };
        let tag = own.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let branch = if method == "REFER" { format!("z9hG4bK{n}r") } else { own.branch.clone() };
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch={branch}\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={}\r\nTo: <{}>{tag}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:far@{at}>\r\n{more}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            own.uri,
            own.from,
            own.tag,
            own.uri,
            own.call_id,
            sdp.len(),
        );
        let bytes = Bytes::from(text);
        if method == "INVITE" {
            keep(&mut self.own, Own { bytes: bytes.clone(), ..own });
        }
        bytes
    }

    /// A call that it has not made yet.
    fn fresh(&mut self, script: &mut Script<'_>) -> Own {
        let n = self.number();
        let uri = self.uris[script.below(self.uris.len())].clone();
        let from = match self.account {
            Some((user, realm, _)) => format!("<sip:{user}@{realm}>"),
            None => format!("\"far\" <sip:+8613800000000@{}>", self.at),
        };
        Own {
            method: "INVITE",
            uri,
            from,
            call_id: format!("p{n}@{}", self.at.ip()),
            branch: format!("z9hG4bK{n}x{}", self.at.port()),
            tag: format!("t{n}"),
            cseq: 1,
            to_tag: None,
            challenge: None,
            rack: String::new(),
            agreed: false,
            bytes: Bytes::new(),
        }
    }

    fn number(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn sdp(&self, script: &mut Script<'_>) -> Vec<u8> {
        let direction = script.pick(&["sendrecv", "sendonly", "inactive", "recvonly"]);
        let codec = script.pick(&["8", "0", "0 8 101", "8 101", "97", "18"]);
        let port = script.pick(&[30_000_u16, 30_002, 0, 65_535, 9]);
        let version = format!("o=p {} {} ", script.below(3), script.below(3));
        let text = description(self.at, port, (codec, direction)).replacen("o=p 0 0 ", &version, 1);
        if !script.one_in(4) {
            return text.into_bytes();
        }
        let mut random = Random::new(u64::from(script.pair()));
        mutate(text.as_bytes(), &mut random)
    }

    /// A body or none, with its header lines.
    fn body(&self, script: &mut Script<'_>) -> Vec<u8> {
        match script.below(4) {
            0..=2 => {
                let sdp = self.sdp(script);
                let mut text = format!(
                    "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
                    sdp.len()
                )
                .into_bytes();
                text.extend_from_slice(&sdp);
                text
            }
            _ => b"Content-Length: 0\r\n\r\n".to_vec(),
        }
    }

    fn route(&self, script: &mut Script<'_>, name: &str) -> String {
        let at = self.at;
        match script.below(8) {
            0 => format!("{name}: <sip:{at};lr>\r\n"),
            1 => format!("{name}: <sip:{at}>, <sip:192.0.2.77;lr>\r\n"),
            2 => {
                let one = format!("<sip:{at};lr>");
                let count = script.below(200);
                format!("{name}: {}\r\n", vec![one; count.max(1)].join(","))
            }
            _ => String::new(),
        }
    }

    fn extra(&self, script: &mut Script<'_>) -> &'static str {
        match script.below(16) {
            0 => "Require: x-dance\r\n",
            1 => "Max-Forwards: 0\r\n",
            2 => "Session-Expires: 90\r\nSupported: timer\r\n",
            3 => "Retry-After: 30\r\n",
            4 => "Reason: Q.850;cause=17;text=\"busy\"\r\n",
            5 => "Accept: text/plain\r\n",
            6 => "Content-Disposition: session;handling=optional\r\n",
            7 => "Content-Encoding: gzip\r\n",
            8 => "Supported: 100rel, timer\r\nAllow: INVITE, UPDATE\r\n",
            9 => "Session-Expires: 300;refresher=uac\r\nSupported: timer\r\n",
            11 => "Require: 100rel\r\nRSeq: 7\r\nMin-SE: 3600\r\nAllow: UPDATE\r\n",
            12 => "Session-Expires: 90;refresher=uac\r\nAllow: INVITE, UPDATE\r\n",
            _ => "Max-Forwards: 70\r\n",
        }
    }

    fn contact(&self, script: &mut Script<'_>) -> String {
        match script.below(8) {
            0 => String::new(),
            1 => "Contact: <sip:x@127.0.0.1>\r\n".to_owned(),
            2 => "Contact: <sip:far.example;transport=tcp>\r\n".to_owned(),
            3 => "Contact: *\r\n".to_owned(),
            _ => format!("Contact: <sip:far@{}>\r\n", self.at),
        }
    }

    fn via(&self, script: &mut Script<'_>, branch: &str) -> String {
        let rport = script.pick(&[";rport", "", ";rport=1"]);
        match script.below(8) {
            0 => format!("Via: SIP/2.0/UDP 10.0.0.9:5099{rport};branch={branch}\r\n"),
            1 => format!("Via: SIP/2.0/TCP {}{rport};branch={branch}\r\n", self.at),
            _ => format!("Via: SIP/2.0/UDP {}{rport};branch={branch}\r\n", self.at),
        }
    }

    /// A new INVITE; as an account, from a carrier, or from nobody.
    fn call(&mut self, script: &mut Script<'_>) -> Bytes {
        let uri = self.uris[script.below(self.uris.len())].clone();
        let from = match self.account {
            Some((user, realm, _)) if !script.one_in(8) => format!("<sip:{user}@{realm}>"),
            _ => format!("\"far\" <sip:+8613800000000@{}>", self.at),
        };
        self.send_new(script, "INVITE", uri, from)
    }

    fn outside(&mut self, script: &mut Script<'_>) -> Bytes {
        let method = script.pick(&OUTSIDE);
        let uri = match self.account {
            Some((user, realm, _)) if matches!(method, "SUBSCRIBE" | "MESSAGE") => {
                format!("sip:{user}@{realm}")
            }
            _ => format!("sip:{}", self.to),
        };
        let from = match self.account {
            Some((user, realm, _)) => format!("<sip:{user}@{realm}>"),
            None => format!("<sip:x@{}>", self.at),
        };
        self.send_new(script, method, uri, from)
    }

    fn send_new(
        &mut self,
        script: &mut Script<'_>,
        method: &'static str,
        uri: String,
        from: String,
    ) -> Bytes {
        let n = self.number();
        let cookie = if script.one_in(16) { "old" } else { "z9hG4bK" };
        let own = Own {
            method,
            uri,
            from,
            call_id: format!("c{n}@{}", self.at.ip()),
            branch: format!("{cookie}{n}x{}", self.at.port()),
            tag: format!("t{n}"),
            cseq: 1,
            to_tag: None,
            challenge: None,
            rack: String::new(),
            agreed: false,
            bytes: Bytes::new(),
        };
        self.send_own(script, own, "")
    }

    fn send_own(&mut self, script: &mut Script<'_>, mut own: Own, credentials: &str) -> Bytes {
        let to = if own.method == "REGISTER" { own.from.clone() } else { format!("<{}>", own.uri) };
        let mut text = format!("{} {} SIP/2.0\r\n", own.method, own.uri);
        text += &self.via(script, &own.branch);
        text += &self.route(script, "Record-Route");
        text += &format!(
            "From: {};tag={}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n",
            own.from, own.tag, own.call_id, own.cseq, own.method
        );
        text += &self.contact(script);
        text += self.extra(script);
        text += credentials;
        if self.refers && own.method == "INVITE" && script.one_in(4) {
            let early = script.pick(&["", ";early-only", ";to-tag=x"]);
            text += &format!("Require: replaces\r\nReplaces: {}{early}\r\n", self.named(script));
        }
        if own.method == "SUBSCRIBE" {
            text += WATCHES;
        }
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body(script));
        own.bytes = bytes.into();
        let bytes = own.bytes.clone();
        keep(&mut self.own, own);
        bytes
    }

    /// The last request once more as it was, or with the password that was asked for.
    fn again(&mut self, script: &mut Script<'_>) -> Bytes {
        let Some(mut own) = self.some_own(script) else { return Bytes::new() };
        if let (Some(challenge), Some((user, _, password))) = (own.challenge.take(), self.account)
            && let Some((header, challenge)) = challenge_of(&challenge, None)
            && let Some(value) = challenge.answer(user, password, own.method, &own.uri, 1, "cn")
        {
            let n = self.number();
            own.branch = format!("z9hG4bK{n}a{}", self.at.port());
            own.cseq += 1;
            own.to_tag = None;
            return self.send_own(script, own, &format!("{}: {value}\r\n", header.as_str()));
        }
        own.bytes
    }

    /// A dialog of its own, as Replaces names it to the other side.
    fn named(&self, script: &mut Script<'_>) -> String {
        if let Some(own) = self.some_own(script).filter(|_| script.one_in(2)) {
            let theirs = own.to_tag.as_deref().unwrap_or("none");
            return format!("{};to-tag={theirs};from-tag={}", own.call_id, own.tag);
        }
        let Some(request) = self.some_asked(script) else { return "nothing".to_owned() };
        let theirs = request.from_tag().unwrap_or_default();
        let call_id = request.call_id().unwrap_or_default();
        format!("{call_id};to-tag={theirs};from-tag=far{}", script.below(3))
    }

    /// Whom a REFER names, and what it says besides.
    fn refer_to(&self, script: &mut Script<'_>) -> String {
        let to = script.pick(&TARGETS);
        let mut text = match script.below(3) {
            0 => {
                let named = self.named(script).replace(';', "%3B").replace('=', "%3D");
                format!("Refer-To: <{to}?Replaces={named}>\r\n")
            }
            _ => format!("Refer-To: <{to}>\r\n"),
        };
        text += script.pick(&[
            "",
            "Refer-Sub: false\r\n",
            "Referred-By: <sip:80000@sim.example>;cid=\"1@x\"\r\n",
            "Refer-To: <sip:80001@sim.example>\r\n",
        ]);
        text
    }

    fn some_own(&self, script: &mut Script<'_>) -> Option<Own> {
        // The youngest first: dialogs that live are among them.
        let back = script.below(self.own.len());
        self.own.iter().rev().nth(back).cloned()
    }

    fn some_asked(&self, script: &mut Script<'_>) -> Option<Message> {
        let back = script.below(self.asked.len());
        self.asked.iter().rev().nth(back).cloned()
    }

    fn ack(&mut self, script: &mut Script<'_>) -> Bytes {
        let Some(own) = self.some_own(script) else { return Bytes::new() };
        let n = self.number();
        // Of a refusal by the same branch, of a 2xx by another (RFC 3261 §17.1.1.3, §13.2.2.4).
        let branch = if script.one_in(2) { own.branch.clone() } else { format!("z9hG4bKack{n}") };
        let cseq = own.cseq.wrapping_sub(u32::from(script.one_in(8)));
        let tag = own.to_tag.as_deref().unwrap_or("none");
        let mut text = format!("ACK {} SIP/2.0\r\n", own.uri);
        text += &self.via(script, &branch);
        text += &format!(
            "From: {};tag={}\r\nTo: <{}>;tag={tag}\r\nCall-ID: {}\r\nCSeq: {cseq} ACK\r\n",
            own.from, own.tag, own.uri, own.call_id
        );
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body(script));
        bytes.into()
    }

    fn cancel(&mut self, script: &mut Script<'_>) -> Bytes {
        let Some(own) = self.some_own(script) else { return Bytes::new() };
        let line = |name: &str| {
            let text = String::from_utf8_lossy(&own.bytes).into_owned();
            text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
        };
        format!(
            "CANCEL {} SIP/2.0\r\n{}\r\n{}\r\n{}\r\nCall-ID: {}\r\nCSeq: {} CANCEL\r\n{}\
             Content-Length: 0\r\n\r\n",
            own.uri,
            line("Via:"),
            line("From:"),
            line("To:"),
            own.call_id,
            own.cseq,
            self.extra(script),
        )
        .into()
    }

    /// A request in a dialog: one that we opened, or one that the other side opened and we answered.
    fn within(&mut self, script: &mut Script<'_>) -> Bytes {
        let n = self.number();
        let method = script.pick(if self.refers { &TRANSFERS } else { &METHODS });
        let branch = format!("z9hG4bKw{n}");
        let via = self.via(script, &branch);
        let (uri, from, to, call_id, cseq, rack) = if script.one_in(2) {
            let Some(request) = self.some_asked(script) else { return Bytes::new() };
            let value = |name| {
                String::from_utf8_lossy(request.header(name).unwrap_or_default()).into_owned()
            };
            let mut from = value(HeaderName::To);
            if !from.contains(";tag=") {
                from += &format!(";tag=far{}", script.below(3));
            }
            let call_id = value(HeaderName::CallId);
            (format!("sip:{}", self.to), from, value(HeaderName::From), call_id, n, String::new())
        } else {
            let back = script.below(self.own.len());
            let lower = script.one_in(8);
            let Some(own) = self.own.iter_mut().rev().nth(back) else { return Bytes::new() };
            let cseq = if lower {
                own.cseq.saturating_sub(1)
            } else {
                own.cseq += 1;
                own.cseq
            };
            let to = format!("<{}>;tag={}", own.uri, own.to_tag.as_deref().unwrap_or("none"));
            let from = format!("{};tag={}", own.from, own.tag);
            (own.uri.clone(), from, to, own.call_id.clone(), cseq, own.rack.clone())
        };
        let mut text = format!("{method} {uri} SIP/2.0\r\n{via}");
        text += &self.route(script, "Record-Route");
        text += &format!("From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n");
        text += &format!("CSeq: {cseq} {method}\r\n");
        if method == "PRACK" {
            text += &rack;
        }
        if method == "REFER" {
            text += &self.refer_to(script);
        }
        if method == "SUBSCRIBE" {
            text += WATCHES;
        }
        text += &self.contact(script);
        text += self.extra(script);
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body(script));
        bytes.into()
    }

    /// An answer to a request of the other side.
    fn answer(&mut self, script: &mut Script<'_>) -> Bytes {
        let Some(request) = self.some_asked(script) else { return Bytes::new() };
        let code = script.pick(&STATUSES);
        let mut text = format!("SIP/2.0 {code} Word\r\n");
        let line =
            |name| String::from_utf8_lossy(request.header(name).unwrap_or_default()).into_owned();
        for via in request.lines(HeaderName::Via) {
            text += &format!("Via: {}\r\n", String::from_utf8_lossy(via));
        }
        text += &self.route(script, "Record-Route");
        let to = line(HeaderName::To);
        let tag = match to.contains(";tag=") {
            true => String::new(),
            false => format!(";tag=far{}", script.below(3)),
        };
        let cseq = match script.below(16) {
            0 => "7 INVITE".to_owned(),
            1 => "1 INVITE".to_owned(),
            _ => line(HeaderName::CSeq),
        };
        text += &format!(
            "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {cseq}\r\n",
            line(HeaderName::From),
            line(HeaderName::CallId),
        );
        text += &self.contact(script);
        text += self.extra(script);
        if matches!(code, 401 | 407) {
            let name = if code == 401 { "WWW" } else { "Proxy" };
            let realm = script.pick(&["carrier", "other"]);
            let stale = script.pick(&["false", "true"]);
            text += &format!(
                "{name}-Authenticate: Digest realm=\"{realm}\", nonce=\"n{code}\", \
                 algorithm=MD5, stale={stale}, qop=\"auth\"\r\n"
            );
        }
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body(script));
        bytes.into()
    }
}

fn description(at: SocketAddr, port: u16, (codec, direction): (&str, &str)) -> String {
    let ip = at.ip();
    format!(
        "v=0\r\no=p 0 0 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {codec}\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

fn keep<T>(list: &mut Vec<T>, one: T) {
    if list.len() == REMEMBERED_MAX {
        list.remove(0);
    }
    list.push(one);
}
