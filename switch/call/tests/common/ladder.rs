//! Flows of the RFCs, read as one end sees them.

use sip::endpoint::{Credentials, Event, Flow, OutOfDialog};
use sip::wire::{HeaderName, Message, Method, NameAddr, Uri};

use super::phones::bind;
use super::{REALM, Sim, US, addr, extension};

pub const ALICE: &str = "203.0.113.5:40000";
pub const BOB: &str = "203.0.113.6:40002";
pub const CAROL: &str = "203.0.113.7:40004";

/// Alice (80001), Bob (80002) and Carol (80003), phones of one merchant, registered, and the carriers.
pub fn office() -> Sim {
    office_with(|_| {})
}

pub fn office_with(set: impl FnOnce(&mut facts::settings::Snapshot)) -> Sim {
    let mut sim = Sim::with(
        |config| {
            config.reinvite = call::Reinvite::Relay;
            // The flows are older than their readers' 100rel: no PRACK in any of them.
            config.sip.reliable = false;
        },
        |snapshot| {
            for user in ["80001", "80002", "80003"] {
                snapshot.extensions.insert(user.into(), extension(user, "right"));
            }
            set(snapshot);
        },
    );
    for (seed, (name, at)) in [("alice", ALICE), ("bob", BOB), ("carol", CAROL)].iter().enumerate()
    {
        sim.add(name, at, u8::try_from(seed).unwrap() + 180);
    }
    bind(&mut sim, &[("80001", ALICE), ("80002", BOB), ("80003", CAROL)]);
    sim
}

/// What a far end received, in order: requests by their method, answers as `180 INVITE`. Without 100, which is
/// of one hop and means nothing.
pub fn ladder(sim: &Sim, name: &str) -> Vec<String> {
    let label = |message: &Message| {
        let method = message.cseq().expect("it has one").method.as_str().to_owned();
        message.status().map_or(method.clone(), |code| format!("{code} {method}"))
    };
    said(sim, name).into_iter().map(label).collect()
}

/// The latest message of a far end's ladder that reads like this.
pub fn latest(sim: &Sim, name: &str, what: &str) -> Message {
    let at = ladder(sim, name).iter().rposition(|label| label == what);
    said(sim, name)[at.unwrap_or_else(|| panic!("no {what} at {name}"))].clone()
}

fn said<'a>(sim: &'a Sim, name: &str) -> Vec<&'a Message> {
    sim.fars[name].heard.iter().filter(|message| message.status() != Some(100)).collect()
}

/// A far end that called acknowledges the latest answer with a description of its own, or cancels.
pub fn gives_up(sim: &mut Sim, name: &str) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let session = far.session();
    far.endpoint.cancel(now, session, None);
    sim.drain();
}

/// A REGISTER leaves, with a digest when it is asked for; `series`: Call-ID and number of the one before.
pub fn asks_registration(
    sim: &mut Sim,
    name: &str,
    (user, password): (&str, &str),
    (contacts, expires): (&[&str], Option<&str>),
    series: Option<(&str, u32)>,
) {
    let now = sim.now.mono;
    let far = sim.far(name);
    let aor = NameAddr::new(Uri::parse(&format!("sip:{user}@{REALM}")).unwrap());
    let contacts = contacts.iter().map(|contact| ("Contact", *contact));
    let headers = contacts.chain(expires.map(|expires| ("Expires", expires)));
    let request = OutOfDialog {
        method: Method::Register,
        uri: Uri::parse(&format!("sip:{REALM}")).unwrap(),
        flow: Flow::udp(far.at, addr(US)),
        from: aor.clone(),
        to: aor,
        headers: headers.map(|(name, value)| (name.to_owned(), value.into())).collect(),
        body: None,
        credentials: Some(Credentials {
            realm: Some(REALM.into()),
            username: user.into(),
            password: password.into(),
        }),
        series: series.map(|(id, cseq)| (id.to_owned(), cseq)),
    };
    far.endpoint.request(now, request);
    sim.drain();
}

/// A REGISTER; the final status, and the contacts in the answer.
pub fn registers(
    sim: &mut Sim,
    name: &str,
    (user, password): (&str, &str),
    contacts: &[&str],
    expires: &str,
) -> (u16, Vec<String>) {
    let expires = Some(expires).filter(|expires| !expires.is_empty());
    asks_registration(sim, name, (user, password), (contacts, expires), None);
    let told = sim.far(name).events.iter().rev().find_map(|event| match event {
        Event::Response { code, message, .. } => Some((*code, message.clone())),
        _ => None,
    });
    let (code, message) = told.expect("a final answer");
    let listed = message.iter().flat_map(|m| m.headers(HeaderName::Contact).collect::<Vec<_>>());
    (code, listed.map(|c| String::from_utf8(c.to_vec()).unwrap()).collect())
}

/// An answer to the INVITE that a far end received last, written by hand.
pub fn answers(sim: &mut Sim, name: &str, status: &str, headers: &str, sdp: &str) {
    let invite = latest(sim, name, "INVITE");
    let at = sim.fars[name].at;
    let of = |name: HeaderName| String::from_utf8(invite.header(name).unwrap().to_vec()).unwrap();
    let via = of(HeaderName::Via);
    let [from, to, id, cseq] =
        [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq].map(of);
    let body = sdp.replace("\r\n", "\n");
    let length = sdp.len();
    let text = format!(
        "SIP/2.0 {status}\nVia: {via}\nFrom: {from}\nTo: {to};tag=hand\nCall-ID: {id}\nCSeq: {cseq}\n\
         {headers}Contact: <sip:hand@{at}>\nContent-Type: application/sdp\nContent-Length: {length}\n\n{body}"
    );
    sim.raw(&at.to_string(), &text);
}

/// Every call of the engine is over and forgotten.
pub fn nobody_talks(sim: &Sim) -> bool {
    sim.engine.live().is_empty()
}
