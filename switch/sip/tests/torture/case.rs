//! What a torture case is.

use sip::wire::Message;

/// Which part of the stack decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layer {
    /// `Message::parse`: the bytes are no SIP message.
    Parse,
    /// `Message::verify`: a message, but no request a server may act on.
    Verify,
    /// `sip::endpoint`: a request, but one that it refuses.
    Endpoint,
}

/// What becomes of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// A new call is reported to the user of the endpoint.
    Call,
    /// A request is reported to the user of the endpoint.
    Request,
    /// Refused with this status.
    Refused(Layer, u16),
    /// Not answered and not reported: a response nobody waits for, or one that cannot be read.
    Dropped(Layer),
}

/// One section of an RFC, and a message of ours that exercises it.
pub(crate) struct Case {
    /// RFC and section.
    pub section: &'static str,
    /// What the section is about.
    pub point: &'static str,
    /// The bytes.
    pub message: Vec<u8>,
    /// What must become of them.
    pub verdict: Verdict,
    /// Why.
    pub reason: &'static str,
    /// What must be read in it, if it is a message.
    pub check: fn(&Message),
}

/// A case whose text has LF line ends and `{len}` for the length of the body.
pub(crate) fn case(
    section: &'static str,
    point: &'static str,
    text: &str,
    verdict: Verdict,
    reason: &'static str,
    check: fn(&Message),
) -> Case {
    let body = text.split_once("\n\n").map_or("", |(_, body)| body);
    let length = body.replace('\n', "\r\n").len().to_string();
    let message = text.replace("{len}", &length).replace('\n', "\r\n").into_bytes();
    Case { section, point, message, verdict, reason, check }
}

/// Nothing to look at.
pub(crate) fn nothing(_: &Message) {}
