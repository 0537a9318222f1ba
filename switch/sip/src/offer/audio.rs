//! What an audio section of a description says.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::crypto::{self, Crypto};
use super::sdp::{Attribute, Media, SessionDescription};

/// Which way audio flows, from the side of whoever says it (RFC 3264 §5.1, §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// Out only.
    SendOnly,
    /// In only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From the two questions.
    pub const fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether media goes out.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether media comes in.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// What a side may do that wishes this, towards a peer that says `peer`: it sends only what the
    /// peer receives and receives only what the peer sends (the table of RFC 3264 §6.1).
    #[must_use]
    pub const fn towards(self, peer: Direction) -> Direction {
        Direction::of(self.sends() && peer.receives(), self.receives() && peer.sends())
    }

    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn in_attributes(attributes: &[Attribute]) -> Option<Direction> {
        const ALL: [Direction; 4] =
            [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        attributes.iter().find_map(|attribute| {
            ALL.into_iter()
                .find(|direction| attribute.name.eq_ignore_ascii_case(direction.as_str()))
        })
    }
}

/// A codec under a payload number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Codec {
    /// RTP payload number, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written (`PCMU`, `PCMA`, `opus` …).
    pub name: Cow<'static, str>,
    /// RTP clock in Hz. G722's is 8000 (RFC 3551 §4.5.2).
    pub clock: u32,
    /// Channels, 1 if not told.
    pub channels: u8,
    /// Our parameters of it, as `a=fmtp` bears them (RFC 8866 §6.15); empty for none. Those of peers are
    /// not kept: each says only what its own decoder likes (RFC 7587 §7.1), or what our answer settles
    /// (RFC 7261 §3.1).
    pub fmtp: &'static str,
}

impl Codec {
    /// A mono codec.
    pub const fn new(payload_type: u8, name: &'static str, clock: u32) -> Codec {
        Codec { payload_type, name: Cow::Borrowed(name), clock, channels: 1, fmtp: "" }
    }

    /// PCMU under its static number.
    pub const fn pcmu() -> Codec {
        Codec::new(0, "PCMU", 8000)
    }

    /// PCMA under its static number.
    pub const fn pcma() -> Codec {
        Codec::new(8, "PCMA", 8000)
    }

    /// G722 under its static number, with the clock that RFC 3551 §4.5.2 keeps for it.
    pub const fn g722() -> Codec {
        Codec::new(9, "G722", 8000)
    }

    /// G729 under its static number, without Annex B: silence then has no packets of another kind
    /// (RFC 4856 §2.1.9).
    pub const fn g729() -> Codec {
        let mut codec = Codec::new(18, "G729", 8000);
        codec.fmtp = "annexb=no";
        codec
    }

    /// Opus (RFC 7587 §7): always 48000 Hz and two channels, whatever is in it.
    pub const fn opus() -> Codec {
        let mut codec = Codec::new(111, "opus", 48_000);
        codec.channels = 2;
        codec.fmtp = "useinbandfec=1";
        codec
    }

    /// Whether both mean the same encoding, whatever their numbers.
    pub fn same_encoding(&self, other: &Codec) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock == other.clock
            // RFC 7587 §7: an Opus stream is one and two channels at once. Some leave the number out.
            && (self.channels == other.channels || self.name.eq_ignore_ascii_case("opus"))
    }

    fn is_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    fn is_noise(&self) -> bool {
        self.name.eq_ignore_ascii_case("CN")
    }

    /// The numbers that need no rtpmap (RFC 3551 §6), audio only.
    fn of_static_number(payload_type: u8) -> Option<Codec> {
        let (name, clock) = match payload_type {
            0 => ("PCMU", 8000),
            3 => ("GSM", 8000),
            4 => ("G723", 8000),
            5 => ("DVI4", 8000),
            6 => ("DVI4", 16000),
            7 => ("LPC", 8000),
            8 => ("PCMA", 8000),
            9 => ("G722", 8000),
            10 => return Some(Codec { channels: 2, ..Codec::new(10, "L16", 44100) }),
            11 => ("L16", 44100),
            12 => ("QCELP", 8000),
            13 => ("CN", 8000),
            14 => ("MPA", 90000),
            15 => ("G728", 8000),
            16 => ("DVI4", 11025),
            17 => ("DVI4", 22050),
            18 => ("G729", 8000),
            _ => return None,
        };
        Some(Codec::new(payload_type, name, clock))
    }

    /// `number name/clock[/channels]` (RFC 8866 §6.6).
    fn parse_rtpmap(value: &str) -> Option<Codec> {
        let (number, rest) = value.trim().split_once([' ', '\t'])?;
        let payload_type: u8 = number.parse().ok().filter(|&number| number < 128)?;
        let mut parts = rest.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let clock = parts.next()?.trim().parse().ok().filter(|&clock: &u32| clock > 0)?;
        // RFC 3551 §4.5.2: its clock was set to 8000 by mistake and has to stay. Whoever writes the rate
        // of its samples means the same coding.
        let clock = if name.eq_ignore_ascii_case("G722") { 8000 } else { clock };
        let channels = match parts.next() {
            Some(channels) => channels.trim().parse().ok().filter(|&channels| channels > 0)?,
            None => 1,
        };
        // What nearly everybody offers needs no memory of its own.
        let name = match COMMON.into_iter().find(|common| *common == name) {
            Some(common) => Cow::Borrowed(common),
            None => Cow::Owned(name.to_owned()),
        };
        Some(Codec { payload_type, name, clock, channels, fmtp: "" })
    }
}

/// Encoding names as they are mostly written.
const COMMON: [&str; 7] = ["PCMA", "PCMU", "telephone-event", "opus", "G722", "G729", "CN"];

/// An audio section, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audio {
    /// Where its RTP is received. The address is unspecified (`0.0.0.0`, `::`) for the old hold.
    pub addr: SocketAddr,
    /// Where its RTCP is received, unless muxed: `a=rtcp` (RFC 3605), else the next port.
    pub rtcp: Option<SocketAddr>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// The transport, e.g. `RTP/AVP`.
    pub proto: String,
    /// Codecs in order of preference, telephone-event and comfort noise apart.
    pub codecs: Vec<Codec>,
    /// telephone-event (RFC 4733): payload number and clock in Hz, each clock once.
    pub events: Vec<(u8, u32)>,
    /// The payload number of comfort noise at 8000 Hz (RFC 3389).
    pub noise: Option<u8>,
    /// `a=ptime` in milliseconds.
    pub ptime_ms: Option<u16>,
    /// The direction it says of itself, with the old hold's address taken into account.
    pub direction: Direction,
    /// Whether its side wants to be sent nothing: `sendonly`, `inactive`, or address zero.
    pub held: bool,
    /// Its keys for SRTP, best first: those of its `a=crypto` that can be obeyed.
    pub crypto: Vec<Crypto>,
    /// There is any `a=crypto`.
    pub keyed: bool,
}

impl Audio {
    /// Reads one section. `None` if it is not audio, is switched off (port 0), or has no literal
    /// address.
    pub fn read(description: &SessionDescription, media: &Media) -> Option<Audio> {
        if !media.kind.eq_ignore_ascii_case("audio") || media.port == 0 {
            return None;
        }
        let ip = description.connection_of(media)?.ip?;
        let Formats { codecs, events, noise } = formats(media);
        let said = Direction::in_attributes(&media.attributes)
            .or_else(|| Direction::in_attributes(&description.attributes))
            .unwrap_or_default();
        // RFC 3264 §8.4: address zero asks to be sent nothing, whatever the attribute says.
        let receives = said.receives() && !ip.is_unspecified();
        let direction = Direction::of(said.sends(), receives);
        let (crypto, keyed) = crypto::lines(media.attributes("crypto"));
        Some(Audio {
            addr: SocketAddr::new(ip, media.port),
            rtcp: rtcp(media, ip),
            rtcp_mux: media.has("rtcp-mux"),
            proto: media.proto.clone(),
            codecs,
            events,
            noise,
            ptime_ms: media.attributes("ptime").find_map(ptime),
            direction,
            held: !receives,
            crypto,
            keyed,
        })
    }
}

/// The formats of an m-line, told apart.
#[derive(Default)]
struct Formats {
    codecs: Vec<Codec>,
    events: Vec<(u8, u32)>,
    noise: Option<u8>,
}

fn formats(media: &Media) -> Formats {
    let maps: Vec<Codec> = media.attributes("rtpmap").filter_map(Codec::parse_rtpmap).collect();
    let mut formats = Formats::default();
    for format in &media.formats {
        let Some(number) = format.parse::<u8>().ok().filter(|&number| number < 128) else {
            continue;
        };
        let mapped = maps.iter().find(|codec| codec.payload_type == number).cloned();
        let Some(codec) = mapped.or_else(|| Codec::of_static_number(number)) else { continue };
        let Formats { codecs, events, noise } = &mut formats;
        if codec.is_event() {
            if !events.iter().any(|(_, clock)| *clock == codec.clock) {
                events.push((number, codec.clock));
            }
        } else if codec.is_noise() {
            if codec.clock == 8000 {
                noise.get_or_insert(number);
            }
        } else if !codecs.iter().any(|known| known.payload_type == number) {
            codecs.push(codec);
        }
    }
    formats
}

/// RFC 3605: `port [nettype addrtype address]`; without the attribute the port after RTP's.
fn rtcp(media: &Media, ip: std::net::IpAddr) -> Option<SocketAddr> {
    if let Some(value) = media.attributes("rtcp").next() {
        let mut parts = value.split_whitespace();
        if let Some(port) = parts.next().and_then(|port| port.parse().ok()).filter(|&port| port > 0)
        {
            let other = parts.nth(2).and_then(|address| address.parse().ok());
            return Some(SocketAddr::new(other.unwrap_or(ip), port));
        }
    }
    Some(SocketAddr::new(ip, media.port.checked_add(1)?))
}

fn ptime(value: &str) -> Option<u16> {
    let whole = value.split('.').next().unwrap_or(value);
    whole.trim().parse().ok().filter(|ms| (1..=200).contains(ms))
}
