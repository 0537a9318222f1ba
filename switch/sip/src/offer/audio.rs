//! What an audio section of a description says.

use std::borrow::Cow;
use std::net::SocketAddr;

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
}

impl Codec {
    /// A mono codec.
    pub const fn new(payload_type: u8, name: &'static str, clock: u32) -> Codec {
        Codec { payload_type, name: Cow::Borrowed(name), clock, channels: 1 }
    }

    /// PCMU under its static number.
    pub const fn pcmu() -> Codec {
        Codec::new(0, "PCMU", 8000)
    }

    /// PCMA under its static number.
    pub const fn pcma() -> Codec {
        Codec::new(8, "PCMA", 8000)
    }

    /// Whether both mean the same encoding, whatever their numbers.
    pub fn same_encoding(&self, other: &Codec) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock == other.clock
            && self.channels == other.channels
    }

    fn is_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
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
        let channels = match parts.next() {
            Some(channels) => channels.trim().parse().ok().filter(|&channels| channels > 0)?,
            None => 1,
        };
        // What nearly everybody offers needs no memory of its own.
        let name = match COMMON.into_iter().find(|common| *common == name) {
            Some(common) => Cow::Borrowed(common),
            None => Cow::Owned(name.to_owned()),
        };
        Some(Codec { payload_type, name, clock, channels })
    }
}

/// Encoding names as they are mostly written.
const COMMON: [&str; 5] = ["PCMA", "PCMU", "telephone-event", "G729", "G722"];

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
    /// Codecs in order of preference, telephone-event apart.
    pub codecs: Vec<Codec>,
    /// The payload number of telephone-event at 8000 Hz.
    pub event: Option<u8>,
    /// `a=ptime` in milliseconds.
    pub ptime_ms: Option<u16>,
    /// The direction it says of itself, with the old hold's address taken into account.
    pub direction: Direction,
    /// Whether its side wants to be sent nothing: `sendonly`, `inactive`, or address zero.
    pub held: bool,
}

impl Audio {
    /// Reads one section. `None` if it is not audio, is switched off (port 0), or has no literal
    /// address.
    pub fn read(description: &SessionDescription, media: &Media) -> Option<Audio> {
        if !media.kind.eq_ignore_ascii_case("audio") || media.port == 0 {
            return None;
        }
        let ip = description.connection_of(media)?.ip?;
        let (codecs, event) = codecs(media);
        let said = Direction::in_attributes(&media.attributes)
            .or_else(|| Direction::in_attributes(&description.attributes))
            .unwrap_or_default();
        // RFC 3264 §8.4: address zero asks to be sent nothing, whatever the attribute says.
        let receives = said.receives() && !ip.is_unspecified();
        let direction = Direction::of(said.sends(), receives);
        Some(Audio {
            addr: SocketAddr::new(ip, media.port),
            rtcp: rtcp(media, ip),
            rtcp_mux: media.has("rtcp-mux"),
            proto: media.proto.clone(),
            codecs,
            event,
            ptime_ms: media.attributes("ptime").find_map(ptime),
            direction,
            held: !receives,
        })
    }
}

fn codecs(media: &Media) -> (Vec<Codec>, Option<u8>) {
    let maps: Vec<Codec> = media.attributes("rtpmap").filter_map(Codec::parse_rtpmap).collect();
    let (mut codecs, mut event) = (Vec::<Codec>::new(), None);
    for format in &media.formats {
        let Some(number) = format.parse::<u8>().ok().filter(|&number| number < 128) else {
            continue;
        };
        let mapped = maps.iter().find(|codec| codec.payload_type == number).cloned();
        let Some(codec) = mapped.or_else(|| Codec::of_static_number(number)) else { continue };
        if codec.is_event() {
            if codec.clock == 8000 {
                event = event.or(Some(number));
            }
        } else if !codecs.iter().any(|known| known.payload_type == number) {
            codecs.push(codec);
        }
    }
    (codecs, event)
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
