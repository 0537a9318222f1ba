//! SDP and offer/answer (RFC 8866, RFC 3264, RFC 6337) for one audio stream.
//!
//! Two ways lead to an agreement. [`offer`] gives a [`PendingOffer`], which the peer's answer turns
//! into an [`Agreed`]: the offer may travel in an INVITE, or in the 200 to an INVITE without SDP, whose
//! ACK then brings the answer. [`answer`] takes the peer's offer and gives our answer with the
//! [`Agreed`] at once: the offer came in an INVITE, or in the 200 to our INVITE without SDP.
//!
//! A [`LocalSession`] lives as long as the dialog. It keeps what RFC 3264 §8 wants kept: the o= id,
//! its version (one more each time the description changes, and only then), and the m-lines with their
//! places, so that later offers have as many.
//!
//! Every stream but the first acceptable audio stream is refused with port 0 and the call goes on.
//! RTP is spoken plain (`RTP/AVP`) and, as [`crypto`] says, protected; nothing here sends media or decides
//! codecs' merits.

mod audio;
pub mod crypto;
pub mod sdp;

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

pub use audio::{Audio, Codec, Direction};
pub use sdp::{SdpError, SessionDescription};

use crypto::{Crypto, Line, Profile, Secured, Security};
use sdp::Media;

/// Room for an ordinary description of ours without its o-line.
const DESCRIPTION_BYTES: usize = 256;
/// Room for the v-line and the o-line.
const ORIGIN_BYTES: usize = 96;

/// What we can do on the stream, and wish to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalAudio {
    /// Where we receive RTP; RTCP is received on the next port.
    pub addr: SocketAddr,
    /// Codecs we speak, best first, with the payload numbers of our offers.
    pub codecs: Vec<Codec>,
    /// telephone-event in our offers: payload number and clock in Hz, each clock once (RFC 4733 §2.1
    /// wants that of the audio beside it); empty if we do not speak it.
    pub events: Vec<(u8, u32)>,
    /// The payload number of comfort noise in our offers (RFC 3389); `None` if we do not take it.
    pub noise: Option<u8>,
    /// The packet time we ask for in milliseconds.
    pub ptime_ms: Option<u16>,
    /// The direction we wish.
    pub direction: Direction,
    /// Whether RTCP may share the RTP port.
    pub rtcp_mux: bool,
    /// Whether sound may, or has to be, protected.
    pub security: Security,
    /// A fresh key for each suite that we would protect with, best first, each with a tag of its own.
    pub crypto: Vec<Crypto>,
}

impl LocalAudio {
    /// Both ways, 20 ms, telephone-event for the clocks of the codecs, no comfort noise, RTCP on its own
    /// port, plain.
    pub fn new(addr: SocketAddr, codecs: Vec<Codec>) -> LocalAudio {
        LocalAudio {
            addr,
            events: events(&codecs),
            codecs,
            noise: None,
            ptime_ms: Some(20),
            direction: Direction::SendRecv,
            rtcp_mux: false,
            security: Security::Plain,
            crypto: Vec::new(),
        }
    }
}

/// telephone-event for the clocks of these codecs, in their order, under the numbers that are usual.
pub fn events(codecs: &[Codec]) -> Vec<(u8, u32)> {
    let mut events = Vec::new();
    for codec in codecs {
        for (number, clock) in EVENTS {
            if codec.clock == clock && !events.contains(&(number, clock)) {
                events.push((number, clock));
            }
        }
    }
    events
}

/// telephone-event in our offers: payload numbers and clocks.
const EVENTS: [(u8, u32); 2] = [(101, 8_000), (110, 48_000)];

/// What both sides have agreed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Where the peer receives RTP. Its address is unspecified if the peer holds with `c=0.0.0.0`;
    /// [`Agreed::direction`] then does not send.
    pub remote: SocketAddr,
    /// Where the peer receives RTCP; the same as `remote` if muxed. `None` only if RTP is on port
    /// 65535 and the peer named no other.
    pub remote_rtcp: Option<SocketAddr>,
    /// Whether RTCP shares the RTP port: both said so (RFC 5761 §5.1.1).
    pub rtcp_mux: bool,
    /// Codecs to send, best first, under the peer's payload numbers. Never empty.
    pub send: Vec<Codec>,
    /// Codecs to expect, under our payload numbers.
    pub receive: Vec<Codec>,
    /// telephone-events that both speak, under the peer's payload numbers, with their clocks in Hz.
    pub send_events: Vec<(u8, u32)>,
    /// The same under our payload numbers.
    pub receive_events: Vec<(u8, u32)>,
    /// The peer's payload number of comfort noise, if both take it.
    pub send_noise: Option<u8>,
    /// Our payload number of it.
    pub receive_noise: Option<u8>,
    /// The direction from our side.
    pub direction: Direction,
    /// Packet time to send with, in milliseconds: the peer's wish, else ours, else 20.
    pub ptime_ms: u16,
    /// Whether the peer has put us on hold (in any spelling).
    pub held: bool,
    /// The direction that the peer said of itself, the old hold's address taken into account.
    pub said: Direction,
    /// The keys, if the stream is protected.
    pub secured: Option<Secured>,
    /// Its transport, as the answer says it.
    pub profile: Profile,
}

/// Why there is no agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OfferError {
    /// The description does not read.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// No audio stream over RTP with a literal address.
    #[error("no acceptable audio stream")]
    NoAudio,
    /// No codec in common.
    #[error("no codec in common")]
    NoCodec,
    /// The answer lacks the m-line of our stream, or has another kind there.
    #[error("answer does not match the offer")]
    Mismatch,
    /// The answer refused our stream with port 0.
    #[error("stream refused")]
    Refused,
    /// There has to be SRTP, and there is no key for it, or none that fits.
    #[error("no usable key for SRTP")]
    Insecure,
}

impl OfferError {
    /// The status code that refuses the offer (RFC 3261 §21.4.26). An error in an *answer* cannot be
    /// answered: the dialog is ended.
    pub const fn status(self) -> u16 {
        match self {
            OfferError::Sdp(_) => 400,
            _ => 488,
        }
    }
}

/// Our side of a session's descriptions over its life.
#[derive(Clone)]
pub struct LocalSession {
    id: u64,
    version: u64,
    printed: Option<String>,
    slots: Vec<Slot>,
    /// The keys in use.
    secured: Option<Secured>,
    /// The transport in use.
    profile: Profile,
}

/// What stands at a place among the m-lines.
#[derive(Clone, Debug)]
enum Slot {
    Audio,
    Refused(Media),
}

impl LocalSession {
    /// A session. `id` is the o= session id: unique among ours, and below 2^63 for peers that read it
    /// as a signed number.
    pub const fn new(id: u64) -> LocalSession {
        LocalSession {
            id: id & (u64::MAX >> 1),
            version: 0,
            printed: None,
            slots: Vec::new(),
            secured: None,
            profile: Profile::Avp,
        }
    }

    /// This was agreed, and is in use: later offers bear the same key and are of the same transport.
    pub fn keep(&mut self, agreed: &Agreed) {
        self.secured.clone_from(&agreed.secured);
        self.profile = agreed.profile;
    }

    /// The version of the last description printed, from 1; 0 before the first.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The next offer is for somebody else, who has no keys of this session.
    pub fn forget_keys(&mut self) {
        (self.secured, self.profile) = (None, Profile::Avp);
    }

    /// Prints the description with this audio section in its place.
    fn print(&mut self, audio: &str, ip: IpAddr) -> Bytes {
        let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
        // All but the o-line, which says whether the rest has changed.
        let mut body = String::with_capacity(DESCRIPTION_BYTES);
        say(&mut body, format_args!("s=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n"));
        for slot in &self.slots {
            match slot {
                Slot::Audio => body.push_str(audio),
                Slot::Refused(media) => say(&mut body, format_args!("{media}")),
            }
        }
        let changed = self.printed.as_deref() != Some(&body);
        // RFC 3264 §8: one more if and only if something changed.
        self.version += u64::from(changed);
        let mut whole = String::with_capacity(body.len() + ORIGIN_BYTES);
        let (id, version) = (self.id, self.version);
        say(&mut whole, format_args!("v=0\r\no=- {id} {version} IN {kind} {ip}\r\n"));
        whole.push_str(&body);
        if changed {
            self.printed = Some(body);
        }
        Bytes::from(whole)
    }
}

impl fmt::Debug for LocalSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was printed may hold keys.
        f.debug_struct("LocalSession").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An offer of ours that waits for its answer. Give it the answer, or drop it knowingly
/// ([`PendingOffer::withdraw`]) when the request that carried it failed: the session as last agreed
/// then stands. Cloned when a forked INVITE brings one answer per branch.
#[must_use = "an offer ends with its answer or is withdrawn"]
#[derive(Clone)]
pub struct PendingOffer {
    sdp: Bytes,
    local: LocalAudio,
    place: usize,
    /// The lines that it bears.
    lines: Vec<Crypto>,
    profile: Profile,
}

impl fmt::Debug for PendingOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingOffer").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Makes an offer of one audio stream, in the place it had before; streams refused before stay
/// refused.
pub fn offer(session: &mut LocalSession, local: LocalAudio) -> PendingOffer {
    let place = match session.slots.iter().position(|slot| matches!(slot, Slot::Audio)) {
        Some(place) => place,
        None => {
            session.slots.push(Slot::Audio);
            session.slots.len() - 1
        }
    };
    let (lines, profile) = crypto::offered(&local, session.secured.as_ref(), session.profile);
    let section = Section {
        port: local.addr.port(),
        codecs: &local.codecs,
        events: &local.events,
        noise: local.noise,
        ptime_ms: local.ptime_ms,
        direction: local.direction,
        rtcp_mux: local.rtcp_mux,
        kind: "audio",
        profile,
        lines: &lines,
    };
    let sdp = session.print(&section.print(), local.addr.ip());
    PendingOffer { sdp, local, place, lines, profile }
}

impl PendingOffer {
    /// The offer to send.
    pub fn sdp(&self) -> &Bytes {
        &self.sdp
    }

    /// Takes the peer's answer.
    pub fn answered(self, answer: &[u8]) -> Result<Agreed, OfferError> {
        self.answered_once(answer)
    }

    /// [`PendingOffer::answered`] by one of several branches of a forked INVITE: the offer still
    /// stands for the others.
    pub fn answered_once(&self, answer: &[u8]) -> Result<Agreed, OfferError> {
        let description = SessionDescription::parse(answer)?;
        let media = description.media.get(self.place).ok_or(OfferError::Mismatch)?;
        if !media.kind.eq_ignore_ascii_case("audio") {
            return Err(OfferError::Mismatch);
        }
        if media.port == 0 {
            return Err(OfferError::Refused);
        }
        let remote = Audio::read(&description, media).ok_or(OfferError::NoAudio)?;
        let offered = (self.local.security, self.profile);
        let secured = crypto::answered(&self.lines, offered, &remote)?;
        let agreed = agree(&self.local, &remote, Numbers::Ours)?;
        Ok(Agreed { secured, ..agreed })
    }

    /// The offer for somebody who may not be told keys, whatever the others may: it asks for plain RTP. Not
    /// for an offer that requires SRTP.
    pub fn sdp_without_keys(&self) -> Bytes {
        crypto::without_keys(&self.sdp)
    }

    /// The offer came to nothing.
    pub fn withdraw(self) {}
}

/// Answers the peer's offer with what `local` can do. As many m-lines as the offer, in its order.
/// The session is left as it was if there is no agreement.
pub fn answer(
    session: &mut LocalSession,
    remote_offer: &[u8],
    local: &LocalAudio,
) -> Result<(Bytes, Agreed), OfferError> {
    let description = SessionDescription::parse(remote_offer)?;
    let mut failure = OfferError::NoAudio;
    let mut chosen = None;
    for (place, media) in crypto::protected_first(&description, local.security) {
        let Some(remote) = Audio::read(&description, media).filter(is_spoken) else { continue };
        let secured = crypto::chosen(local, session.secured.as_ref(), &remote);
        match secured.and_then(|keys| Ok((keys, agree(local, &remote, Numbers::Theirs)?))) {
            Ok((secured, agreed)) => {
                chosen = Some((place, media, remote, Agreed { secured, ..agreed }));
                break;
            }
            Err(error) => failure = error,
        }
    }
    let Some((place, media, remote, agreed)) = chosen else { return Err(failure) };
    session.slots = description
        .media
        .iter()
        .enumerate()
        .map(|(at, media)| if at == place { Slot::Audio } else { Slot::Refused(refused(media)) })
        .collect();
    // RFC 3264 §6.1: the answer keeps the offer's numbers and its order of preference.
    let section = Section {
        port: local.addr.port(),
        codecs: &agreed.receive,
        events: &agreed.receive_events,
        noise: agreed.receive_noise,
        ptime_ms: local.ptime_ms.and(remote.ptime_ms).or(local.ptime_ms),
        direction: agreed.direction,
        rtcp_mux: agreed.rtcp_mux,
        kind: &media.kind,
        profile: agreed.profile,
        lines: agreed.secured.as_ref().map_or(&[], Secured::line),
    };
    let sdp = session.print(&section.print(), local.addr.ip());
    Ok((sdp, agreed))
}

/// Describes a session without any sound: all media of the peer's offer are refused (RFC 3264 §6), or nothing is
/// offered (§5), as where a menu is all that is shown.
pub fn soundless(
    session: &mut LocalSession,
    remote_offer: Option<&[u8]>,
    ip: IpAddr,
) -> Result<Bytes, OfferError> {
    if let Some(offer) = remote_offer {
        let media = SessionDescription::parse(offer)?.media;
        session.slots = media.iter().map(|media| Slot::Refused(refused(media))).collect();
    }
    Ok(session.print("", ip))
}

/// Whose payload numbers stand in our description.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Ours,
    Theirs,
}

fn agree(local: &LocalAudio, remote: &Audio, numbers: Numbers) -> Result<Agreed, OfferError> {
    let (mut send, mut receive) = (Vec::new(), Vec::new());
    for theirs in &remote.codecs {
        let Some(ours) = local.codecs.iter().find(|ours| ours.same_encoding(theirs)) else {
            continue;
        };
        send.push(theirs.clone());
        receive.push(match numbers {
            Numbers::Ours => ours.clone(),
            // The parameters are those of our own decoder all the same.
            Numbers::Theirs => Codec { fmtp: ours.fmtp, ..theirs.clone() },
        });
    }
    if send.is_empty() {
        return Err(OfferError::NoCodec);
    }
    let (send_events, receive_events) = agreed_events(local, remote, &send, numbers);
    let send_noise = remote.noise.filter(|_| local.noise.is_some());
    let receive_noise = match numbers {
        Numbers::Ours => local.noise.filter(|_| send_noise.is_some()),
        Numbers::Theirs => send_noise,
    };
    let rtcp_mux = local.rtcp_mux && remote.rtcp_mux;
    Ok(Agreed {
        remote: remote.addr,
        remote_rtcp: if rtcp_mux { Some(remote.addr) } else { remote.rtcp },
        rtcp_mux,
        send,
        receive,
        send_events,
        receive_events,
        send_noise,
        receive_noise,
        direction: local.direction.towards(remote.direction),
        ptime_ms: remote.ptime_ms.or(local.ptime_ms).unwrap_or(20),
        held: remote.held,
        said: remote.direction,
        secured: None,
        profile: Profile::named(&remote.proto).unwrap_or_default(),
    })
}

/// telephone-events: payload numbers and clocks in Hz.
type Events = Vec<(u8, u32)>;

/// telephone-events that both speak: those with the clock of a codec that was agreed on (RFC 4733 §2.1).
/// Some offer Opus and events of 8000 Hz alone: rather those than none.
fn agreed_events(
    local: &LocalAudio,
    remote: &Audio,
    codecs: &[Codec],
    numbers: Numbers,
) -> (Events, Events) {
    let ours = |clock| local.events.iter().find(|(_, own)| *own == clock).copied();
    let both = || remote.events.iter().filter_map(|theirs| Some((*theirs, ours(theirs.1)?)));
    let fits = |clock| codecs.iter().any(|codec| codec.clock == clock);
    let some = both().any(|(theirs, _)| fits(theirs.1));
    let kept = both().filter(|(theirs, _)| !some || fits(theirs.1));
    kept.map(|(theirs, ours)| (theirs, if numbers == Numbers::Ours { ours } else { theirs }))
        .unzip()
}

/// The audio of an offer that could be agreed on with these codecs; `None` if nothing could.
pub fn wished(remote_offer: &[u8], codecs: &[Codec]) -> Option<Audio> {
    let description = SessionDescription::parse(remote_offer).ok()?;
    let read = |media: &Media| Audio::read(&description, media).filter(is_spoken);
    let fits = |audio: &Audio| {
        audio.codecs.iter().any(|theirs| codecs.iter().any(|ours| ours.same_encoding(theirs)))
    };
    description.media.iter().filter_map(read).find(fits)
}

fn is_spoken(audio: &Audio) -> bool {
    Profile::named(&audio.proto).is_some()
}

/// RFC 3264 §6: port 0, the rest of the line as offered; at least one format must stand there.
fn refused(media: &Media) -> Media {
    let mut formats = media.formats.clone();
    if formats.is_empty() {
        formats.push("0".into());
    }
    Media {
        port: 0,
        ports: None,
        formats,
        connection: None,
        attributes: Vec::new(),
        ..media.clone()
    }
}

/// Our audio section.
struct Section<'a> {
    port: u16,
    codecs: &'a [Codec],
    events: &'a [(u8, u32)],
    noise: Option<u8>,
    ptime_ms: Option<u16>,
    direction: Direction,
    rtcp_mux: bool,
    /// `audio`, as the peer writes it.
    kind: &'a str,
    profile: Profile,
    lines: &'a [Crypto],
}

impl Section<'_> {
    fn print(&self) -> String {
        let mut out = String::with_capacity(DESCRIPTION_BYTES);
        say(&mut out, format_args!("m={} {} {}", self.kind, self.port, self.profile.as_str()));
        let codecs = self.codecs.iter().map(|codec| codec.payload_type);
        let events = self.events.iter().map(|(number, _)| *number);
        for format in codecs.chain(self.noise).chain(events) {
            say(&mut out, format_args!(" {format}"));
        }
        out.push_str("\r\n");
        for Codec { payload_type, name, clock, channels, fmtp } in self.codecs {
            say(&mut out, format_args!("a=rtpmap:{payload_type} {name}/{clock}"));
            if *channels > 1 {
                say(&mut out, format_args!("/{channels}"));
            }
            out.push_str("\r\n");
            if !fmtp.is_empty() {
                say(&mut out, format_args!("a=fmtp:{payload_type} {fmtp}\r\n"));
            }
        }
        if let Some(noise) = self.noise {
            say(&mut out, format_args!("a=rtpmap:{noise} CN/8000\r\n"));
        }
        for (event, clock) in self.events {
            say(&mut out, format_args!("a=rtpmap:{event} telephone-event/{clock}\r\n"));
            say(&mut out, format_args!("a=fmtp:{event} 0-16\r\n"));
        }
        if let Some(ptime_ms) = self.ptime_ms {
            say(&mut out, format_args!("a=ptime:{ptime_ms}\r\n"));
        }
        say(&mut out, format_args!("a={}\r\n", self.direction.as_str()));
        if self.rtcp_mux {
            out.push_str("a=rtcp-mux\r\n");
        }
        for line in self.lines {
            say(&mut out, format_args!("a=crypto:{}\r\n", Line(line)));
        }
        out
    }
}

fn say(out: &mut String, text: fmt::Arguments<'_>) {
    // A string takes whatever is written into it.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
