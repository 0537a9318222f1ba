//! Replaces (RFC 3891 §6.1): the dialog whose place a new one is to take, as whoever receives it knows it.

use super::{HeaderName, Message, Uri};

/// A dialog, by its id, seen from the receiver of the header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// The receiver's own tag.
    pub to_tag: String,
    /// The tag of the other end.
    pub from_tag: String,
    /// Only a dialog that is not confirmed is meant.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value. Both tags are there exactly once (§6.1).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Replaces> {
        let text = std::str::from_utf8(value).ok()?;
        // A Call-ID has no comma, and there is one value only.
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty() && !id.contains([',', ' ']))?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            let slot = match name.as_str() {
                "to-tag" => &mut to_tag,
                "from-tag" => &mut from_tag,
                "early-only" => {
                    early_only = true;
                    continue;
                }
                _ => continue,
            };
            if value.is_empty() || slot.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Replaces {
            call_id: call_id.to_owned(),
            to_tag: to_tag?,
            from_tag: from_tag?,
            early_only,
        })
    }

    /// That of a request, if it bears one.
    ///
    /// # Errors
    /// 400 for one that does not read, and for one beside Join (§3).
    pub fn of_request(request: &Message) -> Result<Option<Replaces>, u16> {
        let Some(value) = request.header(HeaderName::Replaces) else { return Ok(None) };
        let join = request.header(HeaderName::Join).is_some();
        Replaces::parse(value).filter(|_| !join).map(Some).ok_or(400)
    }

    /// That in the headers of a URI (RFC 3261 §19.1.1), as a Refer-To has it.
    ///
    /// # Errors
    /// 400 for one that does not read or is not alone.
    pub fn of_uri(uri: &Uri) -> Result<Option<Replaces>, u16> {
        let decoded =
            |part: &str| -> Vec<u8> { percent_encoding::percent_decode_str(part).collect() };
        let mut found = None;
        for header in uri.headers.as_deref().unwrap_or_default().split('&') {
            let (name, value) = header.split_once('=').unwrap_or((header, ""));
            if !decoded(name).eq_ignore_ascii_case(b"Replaces") {
                continue;
            }
            let value = Replaces::parse(&decoded(value)).ok_or(400_u16)?;
            if found.replace(value).is_some() {
                return Err(400);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3891_6_1_a_dialog_is_named_by_its_three_parts() {
        let read =
            Replaces::parse(b"98732@sip.example.com\r\n ; from-tag=r33th4x0r ; to-tag=ff87ff");
        let read = read.unwrap();
        assert_eq!((read.call_id.as_str(), read.early_only), ("98732@sip.example.com", false));
        assert_eq!((read.to_tag.as_str(), read.from_tag.as_str()), ("ff87ff", "r33th4x0r"));
        let early = Replaces::parse(b"a;to-tag=1;From-Tag=2;early-only;x=y").unwrap();
        assert!(early.early_only);
        for wrong in [
            "",
            ";to-tag=1;from-tag=2",
            "a;to-tag=1",
            "a;from-tag=2",
            "a;to-tag=;from-tag=2",
            "a;to-tag=1;to-tag=1;from-tag=2",
            "a;to-tag=1;from-tag=2;from-tag=3",
            "a, b;to-tag=1;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Replaces::parse(b"a\xff;to-tag=1;from-tag=2"), None);
    }

    #[test]
    fn rfc3261_19_1_1_the_headers_of_a_uri_are_unescaped() {
        let uri = |text: &str| Uri::parse(text).unwrap();
        let one =
            "sip:80002@tandem.test?Require=replaces&Replaces=c%401%3Bto-tag%3Dt%3Bfrom-tag%3Df";
        let read = Replaces::of_uri(&uri(one)).unwrap().unwrap();
        assert_eq!((read.call_id.as_str(), read.to_tag.as_str()), ("c@1", "t"));
        assert_eq!(Replaces::of_uri(&uri("sip:80002@tandem.test?Subject=x")), Ok(None));
        assert_eq!(Replaces::of_uri(&uri("sip:80002@tandem.test")), Ok(None));
        let two = format!("{one}&replaces=c%3Bto-tag%3Dt%3Bfrom-tag%3Df");
        assert_eq!(Replaces::of_uri(&uri(&two)), Err(400));
        assert_eq!(Replaces::of_uri(&uri("sip:80002@tandem.test?Replaces=x")), Err(400));
    }
}
