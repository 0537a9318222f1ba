//! Short names of header fields (RFC 3261 §7.3.3 and the RFCs that added some), for peers that want messages small.

use bytes::Bytes;

/// Long names and their short ones, of fields that we write or hand on.
const FORMS: [(&str, u8); 16] = [
    ("Allow-Events", b'u'),
    ("Call-ID", b'i'),
    ("Contact", b'm'),
    ("Content-Encoding", b'e'),
    ("Content-Length", b'l'),
    ("Content-Type", b'c'),
    ("Event", b'o'),
    ("From", b'f'),
    ("Identity", b'y'),
    ("Refer-To", b'r'),
    ("Referred-By", b'b'),
    ("Session-Expires", b'x'),
    ("Subject", b's'),
    ("Supported", b'k'),
    ("To", b't'),
    ("Via", b'v'),
];

/// The same message with short names, where there are any. What is no message stays as it is.
pub fn compact(message: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(message.len());
    let mut rest: &[u8] = message;
    let mut first = true;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end + 1);
        if line == b"\r\n" || line == b"\n" {
            break;
        }
        let name =
            if first { None } else { memchr::memchr(b':', line).map(|at| (at, &line[..at])) };
        let short = name.and_then(|(at, name)| {
            let is = |(long, _): &&(&str, u8)| name.eq_ignore_ascii_case(long.as_bytes());
            FORMS.iter().find(is).map(|(_, short)| (at, *short))
        });
        match short {
            Some((at, short)) => {
                out.push(short);
                out.extend_from_slice(&line[at..]);
            }
            None => out.extend_from_slice(line),
        }
        (rest, first) = (after, false);
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;

    #[test]
    fn rfc3261_7_3_3_names_become_short_and_nothing_else_changes() {
        let long = Bytes::from_static(
            b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFROM: <sip:a@h>;tag=1\r\n\
              To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@h>\r\n\
              Supported: timer\r\nContent-Type: application/sdp\r\nContent-Length: 13\r\n\r\nTo: not this\n",
        );
        let short = compact(&long);
        assert_eq!(
            short,
            "INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\nf: <sip:a@h>;tag=1\r\n\
             t: <sip:b@h>\r\ni: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nm: <sip:a@h>\r\nk: timer\r\n\
             c: application/sdp\r\nl: 13\r\n\r\nTo: not this\n"
        );
        let (one, two) = (Message::parse(long).unwrap(), Message::parse(short.clone()).unwrap());
        assert_eq!(one.call_id(), two.call_id());
        assert_eq!(compact(&short), short, "short names stay");
        assert_eq!(compact(&Bytes::from_static(b"\r\n\r\n")), "\r\n\r\n", "a keep-alive");
    }
}
