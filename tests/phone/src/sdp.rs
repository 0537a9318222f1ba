//! Session descriptions (RFC 8866) with one audio line, and the answer to an offer (RFC 3264 §6).

use std::net::{IpAddr, SocketAddr};

use crate::sound::Law;

/// The audio line of a description, as far as a phone cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audio {
    /// Where its author wants RTP. Port 0: refused.
    pub(crate) remote: SocketAddr,
    /// G.711 payload types in its order.
    pub(crate) laws: Vec<(u8, Law)>,
    /// telephone-event/8000, if there.
    pub(crate) event: Option<u8>,
    /// `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    pub(crate) direction: String,
}

impl Audio {
    /// Reads the first audio line.
    #[must_use]
    pub(crate) fn parse(body: &[u8]) -> Option<Audio> {
        let text = String::from_utf8_lossy(body).into_owned();
        let (mut session_ip, mut media_ip, mut port) = (None, None, None);
        let mut formats: Vec<u8> = Vec::new();
        let mut maps: Vec<(u8, String)> = Vec::new();
        let mut direction = None;
        for line in text.lines().map(str::trim_end) {
            if let Some(rest) = line.strip_prefix("m=") {
                if port.is_some() {
                    break;
                }
                let mut words = rest.split(' ');
                if words.next() == Some("audio") {
                    port = words.next().and_then(|word| word.parse::<u16>().ok());
                    formats = words.skip(1).filter_map(|word| word.parse().ok()).collect();
                }
            } else if let Some(rest) = line.strip_prefix("c=IN ") {
                let ip = rest.split(' ').nth(1).and_then(|ip| ip.parse::<IpAddr>().ok());
                if port.is_some() { media_ip = ip } else { session_ip = ip }
            } else if let Some(rest) = line.strip_prefix("a=rtpmap:") {
                if let Some((pt, name)) = rest.split_once(' ')
                    && let Ok(pt) = pt.parse()
                {
                    maps.push((pt, name.to_ascii_lowercase()));
                }
            } else if matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive") {
                direction = Some(line[2..].to_owned());
            }
        }
        let law = |pt: u8| match maps.iter().find(|(p, _)| *p == pt).map(|(_, name)| &**name) {
            Some("pcmu/8000" | "pcmu/8000/1") => Some(Law::Pcmu),
            Some("pcma/8000" | "pcma/8000/1") => Some(Law::Pcma),
            None if pt == 0 => Some(Law::Pcmu),
            None if pt == 8 => Some(Law::Pcma),
            _ => None,
        };
        let laws = formats.iter().filter_map(|pt| law(*pt).map(|law| (*pt, law))).collect();
        let event = maps
            .iter()
            .find(|(pt, name)| formats.contains(pt) && name.starts_with("telephone-event/8000"))
            .map(|(pt, _)| *pt);
        Some(Audio {
            remote: SocketAddr::new(media_ip.or(session_ip)?, port?),
            laws,
            event,
            direction: direction.unwrap_or_else(|| "sendrecv".into()),
        })
    }
}

/// Writes a description of our own audio.
#[must_use]
pub(crate) fn print(
    local: SocketAddr,
    version: u32,
    laws: &[(u8, Law)],
    event: Option<u8>,
    direction: &str,
) -> Vec<u8> {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    let mut formats: Vec<String> = laws.iter().map(|(pt, _)| pt.to_string()).collect();
    formats.extend(event.map(|pt| pt.to_string()));
    let mut text = format!(
        "v=0\r\no=phone 1 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {} RTP/AVP {}\r\n",
        local.port(),
        formats.join(" ")
    );
    for (pt, law) in laws {
        text += &format!("a=rtpmap:{pt} {}/8000\r\n", law.name());
    }
    if let Some(pt) = event {
        text += &format!("a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-15\r\n");
    }
    text += &format!("a=ptime:20\r\na={direction}\r\n");
    text.into_bytes()
}

/// The direction that answers an offered one (RFC 3264 §6.1).
#[must_use]
pub(crate) fn mirrored(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_print_we_read() {
        let local = "127.0.0.1:4000".parse().unwrap();
        let body = print(local, 3, &[(8, Law::Pcma), (0, Law::Pcmu)], Some(96), "sendonly");
        let audio = Audio::parse(&body).unwrap();
        assert_eq!(audio.remote, local);
        assert_eq!(audio.laws, [(8, Law::Pcma), (0, Law::Pcmu)]);
        assert_eq!((audio.event, &*audio.direction), (Some(96), "sendonly"));
    }

    #[test]
    fn a_media_level_address_beats_the_session_level_one() {
        let body = b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 9 RTP/AVP 8\r\nc=IN IP4 10.0.0.2\r\n";
        assert_eq!(Audio::parse(body).unwrap().remote, "10.0.0.2:9".parse().unwrap());
    }
}
