//! Dialogs (RFC 3261 §12): who talks to whom, in which order, and by which way.
//!
//! A [`Dialog`] is the state of §12.1 for one pair of tags. It builds requests (§12.2.1.1), keeps
//! order (§12.2.2) and its remote target, and can be written down and taken up again. It does not
//! know transactions or what the dialog is for.

mod reliable;
mod snapshot;
mod timer;

pub(crate) use reliable::{Due, FIRST_RSEQ, Receiving, Sending};
pub(crate) use snapshot::{EarlySnapshot, early_snapshot};
pub(crate) use timer::{Granted, OPTION, SessionTimer, raised};
pub use timer::{Refreshes, SessionTimers};

use crate::endpoint::Flow;
use crate::wire::{Draft, HeaderError, HeaderName, Message, Method, NameAddr, Uri};

/// Hops of a route set at most. Each becomes a Route line of every request in the dialog, beside the
/// lines that a request needs, and no call crosses so many proxies (Max-Forwards starts at 70).
const ROUTES_MAX: usize = 64;

/// The state of one dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    /// Call-ID.
    pub(crate) call_id: String,
    /// Our From (or To) value with our tag, byte by byte.
    pub(crate) local: Vec<u8>,
    /// The peer's, byte by byte.
    pub(crate) remote: Vec<u8>,
    /// Our tag.
    pub(crate) local_tag: String,
    /// The peer's tag; empty for peers of RFC 2543 (§12.1.1).
    pub(crate) remote_tag: String,
    /// The route set, first hop first.
    pub(crate) routes: Vec<NameAddr>,
    /// The remote target as it was written.
    pub(crate) target: String,
    /// Our Contact value.
    pub(crate) contact: Vec<u8>,
    /// The number of our last request.
    pub(crate) local_cseq: u32,
    /// The number of the peer's last request, once there was one.
    pub(crate) remote_cseq: Option<u32>,
    /// Where the dialog was set up.
    pub(crate) flow: Flow,
    /// The peer is only reachable over `flow`.
    pub(crate) keep_flow: bool,
}

impl Dialog {
    /// The dialog that an answer to our request opens (§12.1.2).
    pub(crate) fn opened_by_answer(
        request: &Message,
        answer: &Message,
        flow: Flow,
        keep_flow: bool,
    ) -> Result<Dialog, HeaderError> {
        // §12.1.2: the route set is the Record-Route of the answer in reverse order.
        let mut routes = route_set(answer)?;
        routes.reverse();
        let remote = value(answer, HeaderName::To)?;
        // §12.1.2 wants a Contact; an answer without one leaves us the address we called.
        let target = match answer.contact() {
            Ok(contact) => contact.uri.to_string(),
            Err(_) => request.request_uri().unwrap_or_default().to_owned(),
        };
        Ok(Dialog {
            call_id: request.call_id().unwrap_or_default().to_owned(),
            local: value(request, HeaderName::From)?,
            local_tag: tag(request, HeaderName::From)?,
            remote_tag: tag(answer, HeaderName::To)?,
            remote,
            routes,
            target,
            contact: value(request, HeaderName::Contact).unwrap_or_default(),
            local_cseq: request.cseq()?.number,
            remote_cseq: None,
            flow,
            keep_flow,
        })
    }

    /// The dialog that a request opens when we answer it with this tag (§12.1.1).
    pub(crate) fn opened_by_request(
        request: &Message,
        local_tag: &str,
        contact: Vec<u8>,
        flow: Flow,
        keep_flow: bool,
    ) -> Result<Dialog, HeaderError> {
        let mut local = value(request, HeaderName::To)?;
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        Ok(Dialog {
            call_id: request.call_id().unwrap_or_default().to_owned(),
            local,
            remote: value(request, HeaderName::From)?,
            local_tag: local_tag.to_owned(),
            remote_tag: tag(request, HeaderName::From)?,
            // §12.1.1: for the server the order is that of the request.
            routes: route_set(request)?,
            target: request.contact()?.uri.to_string(),
            contact,
            local_cseq: 0,
            remote_cseq: Some(request.cseq()?.number),
            flow,
            keep_flow,
        })
    }

    /// Whether this request of the peer belongs here (§12: Call-ID and both tags).
    pub(crate) fn owns(&self, request: &Message) -> bool {
        request.call_id() == Some(self.call_id.as_str())
            && is_tag(request, HeaderName::To, &self.local_tag)
            && is_tag(request, HeaderName::From, &self.remote_tag)
    }

    /// §12.2.2: the number of the peer's request; `false` if it is lower than one before.
    #[must_use]
    pub(crate) fn take_order(&mut self, number: u32) -> bool {
        if self.remote_cseq.is_some_and(|last| number < last) {
            return false;
        }
        self.remote_cseq = Some(number);
        true
    }

    /// The number for our next request.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// §12.2.1.2, §12.2.2: a target refresh request, or the 2xx to one, moves the remote target.
    /// Only the caller knows that the request is one (INVITE here; never INFO, OPTIONS, BYE).
    pub(crate) fn refresh_target(&mut self, message: &Message) {
        if let Ok(contact) = message.contact() {
            self.target = contact.uri.to_string();
        }
    }

    /// A request within the dialog (§12.2.1.1), with an empty Via for the sender to fill.
    pub(crate) fn draft(&self, method: &Method, cseq: u32) -> Draft {
        let strict = self.routes.first().filter(|first| !first.uri.is_loose());
        let mut draft = match strict {
            // §12.2.1.1: the first route becomes the Request-URI, stripped of what may not be there.
            Some(first) => {
                let mut uri = first.uri.clone();
                uri.headers = None;
                uri.params.remove("method");
                Draft::request(method, &uri)
            }
            None => Draft::request_to(method, &self.target),
        };
        draft.push("Via", "");
        match strict {
            Some(_) => {
                for route in &self.routes[1..] {
                    draft.push("Route", route.to_bytes());
                }
                draft.push_args("Route", format_args!("<{}>", self.target));
            }
            None => {
                for route in &self.routes {
                    draft.push("Route", route.to_bytes());
                }
            }
        }
        draft.push("Max-Forwards", "70");
        draft.push("From", &self.local);
        draft.push("To", &self.remote);
        draft.push("Call-ID", &self.call_id);
        draft.push_args("CSeq", format_args!("{cseq} {method}"));
        draft
    }

    /// The URI whose address is the next hop (§12.2.1.1, §8.1.2).
    pub(crate) fn next_hop(&self) -> Option<Uri> {
        match self.routes.first() {
            Some(first) => Some(first.uri.clone()),
            None => Uri::parse(&self.target).ok(),
        }
    }
}

fn route_set(message: &Message) -> Result<Vec<NameAddr>, HeaderError> {
    let routes = message.record_routes()?;
    match routes.len() {
        0..=ROUTES_MAX => Ok(routes),
        _ => Err(HeaderError::Malformed(HeaderName::RecordRoute)),
    }
}

/// The tag in a From or To; empty without one.
fn tag(message: &Message, name: HeaderName) -> Result<String, HeaderError> {
    message.tag(name).map(|tag| tag.unwrap_or_default().into_owned())
}

fn is_tag(message: &Message, name: HeaderName, tag: &str) -> bool {
    message.tag(name).is_ok_and(|found| found.unwrap_or_default() == tag)
}

fn value(message: &Message, name: HeaderName) -> Result<Vec<u8>, HeaderError> {
    message.header(name).map(<[u8]>::to_vec).ok_or(HeaderError::Missing(name))
}

#[cfg(test)]
mod tests;
