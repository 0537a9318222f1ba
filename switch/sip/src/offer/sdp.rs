//! SDP (RFC 8866): a tolerant reader and a printer.
//!
//! Read as peers write it: any line end, lines in any order within their section, unknown lines
//! skipped, text that is not UTF-8 replaced. Only what offer/answer needs is interpreted; attributes
//! are kept as name and value.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// Most m-lines in one description.
pub const MEDIA_MAX: usize = 64;
/// Most a-lines in one description.
pub const ATTRIBUTES_MAX: usize = 256;
/// Most formats on one m-line.
pub const FORMATS_MAX: usize = 128;

/// Why text is not a usable session description.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpError {
    /// No line of it reads as SDP.
    #[error("no session description")]
    Empty,
    /// An m-line lacks a part or its port is no port.
    #[error("malformed m-line")]
    MediaLine,
    /// More than [`MEDIA_MAX`] m-lines.
    #[error("too many m-lines")]
    TooManyMedia,
    /// More than [`ATTRIBUTES_MAX`] attributes.
    #[error("too many attributes")]
    TooManyAttributes,
    /// More than [`FORMATS_MAX`] formats on an m-line.
    #[error("too many formats")]
    TooManyFormats,
}

/// A session description.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionDescription {
    /// o=, the part after `o=` as written.
    pub origin: Option<Origin>,
    /// s=
    pub name: Option<String>,
    /// c= of the session.
    pub connection: Option<Connection>,
    /// a= of the session.
    pub attributes: Vec<Attribute>,
    /// The m-lines with what belongs to them.
    pub media: Vec<Media>,
}

/// o= (RFC 8866 §5.2). Numbers stay text: peers write longer ones than 64 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// User name, `-` for none.
    pub username: String,
    /// Session id.
    pub id: String,
    /// Version of the description.
    pub version: String,
    /// The rest: network type, address type, address.
    pub address: String,
}

/// c= (RFC 8866 §5.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// The address part as written, without TTL.
    pub address: String,
    /// The address, if it is a literal one. Names are not resolved.
    pub ip: Option<IpAddr>,
    /// `IP4` or `IP6` as written.
    pub kind: String,
}

/// a=
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// What stands before the colon.
    pub name: String,
    /// What stands after it.
    pub value: Option<String>,
}

/// An m-line and its section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// `audio`, `video`, `application` …
    pub kind: String,
    /// The port; 0 is a stream refused or switched off.
    pub port: u16,
    /// The number of ports, if written.
    pub ports: Option<u32>,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl` …
    pub proto: String,
    /// Formats as written: payload numbers for RTP.
    pub formats: Vec<String>,
    /// c= of this media.
    pub connection: Option<Connection>,
    /// a= of this media.
    pub attributes: Vec<Attribute>,
}

impl SessionDescription {
    /// Reads a description.
    pub fn parse(sdp: &[u8]) -> Result<SessionDescription, SdpError> {
        let text = match std::str::from_utf8(sdp) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(sdp),
        };
        let mut description = SessionDescription::default();
        let (mut lines, mut attributes) = (0, 0);
        for line in text.split(['\r', '\n']) {
            let Some((letter, value)) = line.split_once('=') else { continue };
            if letter.trim().len() != 1 {
                continue;
            }
            let value = value.trim();
            lines += 1;
            match letter.trim() {
                "o" => description.origin = Origin::parse(value),
                "s" => description.name = Some(value.to_owned()),
                "c" => {
                    let connection = Connection::parse(value);
                    match description.media.last_mut() {
                        // Of several c-lines of a layered stream the first counts.
                        Some(media) => media.connection = media.connection.take().or(connection),
                        None => description.connection = connection,
                    }
                }
                "m" => {
                    if description.media.len() == MEDIA_MAX {
                        return Err(SdpError::TooManyMedia);
                    }
                    description.media.push(Media::parse(value)?);
                }
                "a" => {
                    attributes += 1;
                    if attributes > ATTRIBUTES_MAX {
                        return Err(SdpError::TooManyAttributes);
                    }
                    let list = match description.media.last_mut() {
                        Some(media) => &mut media.attributes,
                        None => &mut description.attributes,
                    };
                    list.push(Attribute::parse(value));
                }
                _ => {}
            }
        }
        if lines == 0 { Err(SdpError::Empty) } else { Ok(description) }
    }

    /// The connection that holds for a media section: its own, else the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }
}

impl Origin {
    fn parse(value: &str) -> Option<Origin> {
        let mut parts = value.splitn(4, ' ').map(str::trim);
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        Some(Origin { username: next()?, id: next()?, version: next()?, address: next()? })
    }
}

impl Connection {
    /// A connection to this address.
    pub fn to(ip: IpAddr) -> Connection {
        let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
        Connection { address: ip.to_string(), ip: Some(ip), kind: kind.into() }
    }

    fn parse(value: &str) -> Option<Connection> {
        let mut parts = value.split_whitespace();
        let (_net, kind, address) = (parts.next()?, parts.next()?, parts.next()?);
        let address = address.split('/').next().filter(|address| !address.is_empty())?;
        Some(Connection {
            address: address.to_owned(),
            ip: address.parse().ok(),
            kind: kind.to_owned(),
        })
    }
}

impl Attribute {
    fn parse(value: &str) -> Attribute {
        match value.split_once(':') {
            Some((name, value)) => {
                Attribute { name: name.trim().to_owned(), value: Some(value.trim().to_owned()) }
            }
            None => Attribute { name: value.to_owned(), value: None },
        }
    }
}

impl Media {
    fn parse(value: &str) -> Result<Media, SdpError> {
        let mut parts = value.split_whitespace();
        let mut next = || parts.next().ok_or(SdpError::MediaLine);
        let (kind, ports, proto) = (next()?, next()?, next()?);
        let (port, count) = match ports.split_once('/') {
            Some((port, count)) => {
                (port, Some(count.parse::<u32>().map_err(|_| SdpError::MediaLine)?))
            }
            None => (ports, None),
        };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|_| digits).ok_or(SdpError::MediaLine)?;
        let formats: Vec<String> = parts.take(FORMATS_MAX + 1).map(str::to_owned).collect();
        if formats.len() > FORMATS_MAX {
            return Err(SdpError::TooManyFormats);
        }
        Ok(Media {
            kind: kind.to_owned(),
            port,
            ports: count,
            proto: proto.to_owned(),
            formats,
            connection: None,
            attributes: Vec::new(),
        })
    }

    /// The values of all attributes of that name (names compare with case, RFC 8866 §5.13, but
    /// peers get it wrong, so without).
    pub fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.name.eq_ignore_ascii_case(name))
            .map(|attribute| attribute.value.as_deref().unwrap_or(""))
    }

    /// Whether there is an attribute of that name.
    pub fn has(&self, name: &str) -> bool {
        self.attributes(name).next().is_some()
    }
}

impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=0\r\n")?;
        if let Some(o) = &self.origin {
            write!(f, "o={} {} {} {}\r\n", o.username, o.id, o.version, o.address)?;
        }
        write!(f, "s={}\r\n", self.name.as_deref().unwrap_or("-"))?;
        if let Some(connection) = &self.connection {
            write!(f, "{connection}")?;
        }
        f.write_str("t=0 0\r\n")?;
        for attribute in &self.attributes {
            write!(f, "{attribute}")?;
        }
        for media in &self.media {
            write!(f, "{media}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c=IN {} {}\r\n", self.kind, self.address)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "a={}:{value}\r\n", self.name),
            None => write!(f, "a={}\r\n", self.name),
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(count) = self.ports {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.proto)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        if let Some(connection) = &self.connection {
            write!(f, "{connection}")?;
        }
        for attribute in &self.attributes {
            write!(f, "{attribute}")?;
        }
        Ok(())
    }
}
