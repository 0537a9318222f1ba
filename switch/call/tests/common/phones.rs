//! Phones of extensions, and carriers, that call by themselves.

use call::Reply;
use facts::settings::Transport;
use facts::{Binding, UnixMillis};
use sip::endpoint::{Credentials, Flow, Invite, SessionId};
use sip::wire::{Message, NameAddr, Uri};

use super::{REALM, Sim, US, addr, s};

/// Password of every extension here.
pub const PASSWORD: &str = "right";
pub const DESK: &str = "203.0.113.5:40000";
pub const SOFT: &str = "203.0.113.6:40002";

/// These phones are registered.
pub fn bind(sim: &mut Sim, phones: &[(&str, &str)]) {
    let expires = sim.now.wall + s(3_600);
    let binding = |(user, at): &(&str, &str)| Binding {
        user: (*user).into(),
        key: (*at).into(),
        contact: format!("sip:{user}@{at}"),
        q: 1000,
        expires,
        call_id: (*at).into(),
        cseq: 1,
        transport: Transport::Udp,
        local: addr(US),
        remote: addr(at),
        path: Vec::new(),
        updated: UnixMillis(0),
    };
    sim.reply(Reply::Bindings(phones.iter().map(binding).collect()));
}

/// What the owner of an extension proves itself with.
pub fn own(user: &str) -> Option<Credentials> {
    Some(Credentials {
        realm: Some(REALM.into()),
        username: user.into(),
        password: PASSWORD.into(),
    })
}

/// An extension calls a number; its session becomes the latest of the far end.
pub fn call_from(sim: &mut Sim, name: &str, user: &str, number: &str) -> SessionId {
    let from = format!("<sip:{user}@{REALM}>");
    let to = format!("sip:{number}@{REALM}");
    invite(sim, name, (&from, &to), own(user), &[])
}

/// A far end sends an INVITE; the session becomes its latest one.
pub fn invite(
    sim: &mut Sim,
    name: &str,
    (from, to): (&str, &str),
    credentials: Option<Credentials>,
    headers: &[(&str, &str)],
) -> SessionId {
    invite_with(sim, name, (from, to), credentials, (headers, &sdp_of(name)))
}

/// The same with this description.
pub fn invite_with(
    sim: &mut Sim,
    name: &str,
    (from, to): (&str, &str),
    credentials: Option<Credentials>,
    (headers, sdp): (&[(&str, &str)], &str),
) -> SessionId {
    let now = sim.now.mono;
    let far = sim.far(name);
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    let session = far.endpoint.invite(
        now,
        Invite {
            uri: Uri::parse(to).unwrap(),
            flow: Flow::udp(far.at, addr(US)),
            from: NameAddr::parse(from.as_bytes()).unwrap(),
            to: NameAddr::new(Uri::parse(to).unwrap()),
            contact_user: "x".into(),
            headers: headers.collect(),
            sdp: sdp.to_owned().into(),
            credentials,
            route: Vec::new(),
            keep_flow: false,
            reliable: false,
            timers: None,
            edits: Vec::new(),
        },
    );
    far.invited.push((session, placeholder()));
    sim.drain();
    session
}

/// A far end that called has no INVITE of ours to show.
fn placeholder() -> Message {
    Message::parse(bytes::Bytes::from_static(
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:x>;tag=1\r\n\
          To: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 1\r\n\r\n",
    ))
    .unwrap()
}

/// The answer of a far end: PCMU only at A, PCMA first at B.
pub fn sdp_of(name: &str) -> String {
    let (ip, formats) = match name {
        "a" => ("192.0.2.1", "0 8 101"),
        "b" => ("192.0.2.2", "8 101"),
        _ => ("192.0.2.3", "8 101"),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio 30000 RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}
