//! What a server must find in a request before it acts on it (RFC 3261 §8.1.1, §8.2, §16.3).

use super::name_addr::RawNameAddr;
use super::scan::trim;
use super::uri::{RawScheme, RawUri};
use super::via::RawVia;
use super::{HeaderError, HeaderName, Message};

/// Why a request is refused before anybody looks at what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A header is missing or does not read: 400.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A header that may stand once stands twice: 400.
    #[error("more than one {}", .0.as_str())]
    Repeated(HeaderName),
    /// CSeq names another method than the request line: 400 (RFC 3261 §8.1.1.5).
    #[error("CSeq method differs")]
    MethodMismatch,
    /// The Request-URI is of a scheme we do not serve: 416 (RFC 3261 §8.2.2.1).
    #[error("unsupported URI scheme")]
    Scheme,
    /// The Request-URI does not read, or has headers in it (RFC 3261 §19.1.1): 400.
    #[error("malformed Request-URI")]
    RequestUri,
}

impl Fault {
    /// The status code that answers it.
    pub const fn status(self) -> u16 {
        match self {
            Fault::Scheme => 416,
            _ => 400,
        }
    }
}

impl Message {
    /// Checks a request: the mandatory headers are there, once, and read; CSeq agrees with the
    /// request line; the Request-URI reads and is of a scheme we serve (sip, sips, tel).
    ///
    /// Not checked, because it is not malformed: Max-Forwards may be absent (RFC 3261 §16.3 takes
    /// that as no limit), From may lack a tag (RFC 2543 peers), a branch may lack the cookie
    /// ([`Via::has_cookie`](super::Via::has_cookie)). Headers that no processing needs may be broken
    /// (RFC 3261 §8.2: such are ignored).
    pub fn verify(&self) -> Result<(), Fault> {
        for (name, ..) in self.fields() {
            if name.is_single() && name != HeaderName::ContentLength && self.count(name) > 1 {
                return Err(Fault::Repeated(name));
            }
        }
        let address = |value: &[u8]| RawNameAddr::parse(value).is_some();
        let contact = |value: &[u8]| trim(value) == b"*" || address(value);
        self.check_first(HeaderName::Via, |value| RawVia::parse(value).is_some())?;
        self.check(HeaderName::Via, |value| RawVia::parse(value).is_some())?;
        self.check_first(HeaderName::From, address)?;
        self.check_first(HeaderName::To, address)?;
        if self.header(HeaderName::CallId).is_none() {
            return Err(HeaderError::Missing(HeaderName::CallId).into());
        }
        self.call_id().ok_or(HeaderError::Malformed(HeaderName::CallId))?;
        let cseq = self.cseq()?;
        if self.method().is_some_and(|method| *method != cseq.method) {
            return Err(Fault::MethodMismatch);
        }
        self.max_forwards()?;
        self.check(HeaderName::Contact, contact)?;
        self.check(HeaderName::Route, address)?;
        self.check(HeaderName::RecordRoute, address)?;
        self.verify_uri()
    }

    fn verify_uri(&self) -> Result<(), Fault> {
        let Some(text) = self.request_uri() else { return Ok(()) };
        let uri = RawUri::parse(text).map_err(|_| Fault::RequestUri)?;
        if let RawScheme::Other(_) = uri.scheme {
            return Err(Fault::Scheme);
        }
        if uri.headers.is_some() {
            return Err(Fault::RequestUri);
        }
        Ok(())
    }
}
