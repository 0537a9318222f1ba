//! What a push looks like on the wire, when it counts as delivered, and when it is sent again.
//!
//! A push is written once, by a pure function of the promise, the event and the merchant's secret; the
//! bytes are stored and every later attempt sends them again.

use facts::campaign::CampaignChange;
use facts::payment::Paid;
use facts::{CallRecord, Dialect, LegNo, Push, PushKind, StateChange};

use crate::{callni, inoti, rest, sipcall, ytx};

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A call was settled.
    Record(&'a CallRecord),
    /// A conference was settled, and this participant of it is to be told of.
    Participant(&'a CallRecord, LegNo),
    /// A leg reached a state.
    State(&'a StateChange),
    /// A campaign ended, or was paused: our own surface alone tells that.
    Campaign(&'a CampaignChange),
    /// Somebody wrote to the merchant: our own surface alone tells that.
    Text(&'a facts::sms::Received),
}

/// What a dialect signs with; looked up when the push is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Secrets<'a> {
    /// System 000: the merchant's API key.
    pub api_key: Option<&'a str>,
}

/// HTTP method of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Everything is in the URL.
    Get,
    /// JSON in the body.
    Post,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// A push, ready to be sent as often as it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushRequest {
    /// How.
    pub method: Method,
    /// Where to, with everything a GET says.
    pub url: String,
    /// Content-Type of the body; `None` for a GET.
    pub content_type: Option<&'static str>,
    /// What a POST says.
    pub body: Vec<u8>,
}

impl PushRequest {
    /// The bytes that are stored before the first send: the URL of a GET, the body of a POST.
    #[must_use]
    pub fn into_stored(self) -> Vec<u8> {
        match self.method {
            Method::Get => self.url.into_bytes(),
            Method::Post => self.body,
        }
    }

    /// The request that was stored; the inverse of [`PushRequest::into_stored`].
    #[must_use]
    pub fn from_stored(dialect: Dialect, endpoint: &str, stored: Vec<u8>) -> PushRequest {
        match dialect {
            Dialect::Callni | Dialect::Inoti => PushRequest {
                method: Method::Get,
                url: String::from_utf8_lossy(&stored).into_owned(),
                content_type: None,
                body: Vec::new(),
            },
            Dialect::Sipcall => PushRequest {
                method: Method::Post,
                url: endpoint.to_owned(),
                content_type: Some(sipcall::CONTENT_TYPE),
                body: stored,
            },
            Dialect::Ytx | Dialect::Rest => PushRequest {
                method: Method::Post,
                url: endpoint.to_owned(),
                content_type: Some(match dialect {
                    Dialect::Rest => rest::JSON,
                    _ => ytx::CONTENT_TYPE,
                }),
                body: stored,
            },
        }
    }
}

/// Why a push cannot be written. Trying again would not help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatError {
    /// The promise does not carry what its dialect needs.
    #[error("the push carries no usable context")]
    Context,
    /// The merchant has no key to sign with.
    #[error("the merchant has no API key")]
    NoKey,
    /// This dialect sends no such push.
    #[error("this dialect has no such push")]
    NotSpoken,
}

/// Writes a push.
///
/// # Errors
/// See [`FormatError`]; the push is then parked.
pub fn format_push(
    push: &Push,
    event: Event<'_>,
    secrets: Secrets<'_>,
) -> Result<PushRequest, FormatError> {
    match (push.dialect, event) {
        (Dialect::Callni, Event::Record(record)) => {
            let context: callni::NotifyContext = read(&push.context)?;
            let key = secrets.api_key.filter(|key| !key.is_empty()).ok_or(FormatError::NoKey)?;
            Ok(PushRequest {
                method: Method::Get,
                url: callni::notification_url(&push.endpoint, record, &context, key),
                content_type: None,
                body: Vec::new(),
            })
        }
        (Dialect::Ytx, event) => {
            let context: ytx::PushContext = read(&push.context)?;
            let body = match event {
                Event::Record(record) => ytx::cdr_push(record, &context),
                Event::Participant(record, leg) => ytx::participant_push(record, leg, &context),
                Event::State(change) => ytx::state_push(change),
                Event::Campaign(_) | Event::Text(_) => return Err(FormatError::NotSpoken),
            };
            Ok(PushRequest {
                method: Method::Post,
                url: push.endpoint.clone(),
                content_type: Some(ytx::CONTENT_TYPE),
                body: body.into_bytes(),
            })
        }
        (Dialect::Sipcall, event) => {
            let context: sipcall::PushContext = read(&push.context)?;
            let body = match event {
                Event::Record(record) => sipcall::cdr_push(record, &context),
                Event::Participant(..) | Event::Campaign(_) | Event::Text(_) => {
                    return Err(FormatError::NotSpoken);
                }
                Event::State(change) => {
                    sipcall::state_push(change, &context).ok_or(FormatError::NotSpoken)?
                }
            };
            Ok(PushRequest {
                method: Method::Post,
                url: push.endpoint.clone(),
                content_type: Some(sipcall::CONTENT_TYPE),
                body: body.into_bytes(),
            })
        }
        (Dialect::Callni | Dialect::Inoti | Dialect::Rest, _) => Err(FormatError::NotSpoken),
    }
}

/// Writes the push that tells of a payment: the last visit of a merchant's page.
#[must_use]
pub fn format_paid(endpoint: &str, paid: &Paid) -> PushRequest {
    PushRequest {
        method: Method::Get,
        url: inoti::page::paid_address(endpoint, paid),
        content_type: None,
        body: Vec::new(),
    }
}

fn read<T: serde::de::DeserializeOwned>(context: &str) -> Result<T, FormatError> {
    serde_json::from_str(context).map_err(|_| FormatError::Context)
}

/// Does this answer end delivery?
#[must_use]
pub fn delivered(dialect: Dialect, status: u16, body: &[u8]) -> bool {
    match dialect {
        Dialect::Callni => callni::is_delivered(status, body),
        Dialect::Sipcall => sipcall::is_taken(status, body),
        Dialect::Ytx | Dialect::Inoti | Dialect::Rest => (200..300).contains(&status),
    }
}

/// Seconds to wait before each send; the list's length is the number of sends, after which the push is
/// parked.
#[must_use]
pub const fn retry_delays(dialect: Dialect, _kind: PushKind) -> &'static [u64] {
    match dialect {
        Dialect::Callni => &callni::RETRY_SECONDS,
        Dialect::Sipcall => &sipcall::RETRY_SECONDS,
        Dialect::Inoti => &inoti::page::PAID_RETRY_SECONDS,
        Dialect::Ytx | Dialect::Rest => &ytx::RETRY_SECONDS,
    }
}

/// How long the answer to a push may take, seconds; `None`: as long as the operator lets all pushes take.
#[must_use]
pub const fn patience_seconds(dialect: Dialect) -> Option<u64> {
    match dialect {
        Dialect::Inoti => Some(inoti::page::PAID_PATIENCE_SECONDS),
        Dialect::Callni | Dialect::Ytx | Dialect::Sipcall | Dialect::Rest => None,
    }
}
