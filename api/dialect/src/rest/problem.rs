//! What went wrong, as RFC 9457 has it: `type`, `title`, `status`, `detail`, and beside these a `code` for programs and
//! `errors` that point into the request.

use schemars::JsonSchema;
use serde::Serialize;

/// A place in a request, and what is wrong there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901), e.g. `/to/number`.
    pub pointer: String,
    /// In words.
    pub detail: String,
}

impl FieldError {
    /// Joins a place and words.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: pointer.into(), detail: detail.into() }
    }
}

macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $status:literal $word:literal, $title:literal; )*) => {
        /// What kind of problem it is. Words never change.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Code { $( $(#[$doc])* $name ),* }

        impl Code {
            /// All.
            pub const ALL: &'static [Code] = &[$( Code::$name ),*];

            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Code::$name => $status ),* }
            }

            /// The word for programs.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Code::$name => $word ),* }
            }

            /// The same for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $( Code::$name => $title ),* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or a query or a path cannot be read.
    BadRequest = 400 "bad_request", "The request cannot be read";
    /// No key, or none that is good.
    Unauthorized = 401 "unauthorized", "A key is required";
    /// The first interval of the legs is not covered.
    NoBalance = 402 "balance_too_low", "The balance does not cover the call";
    /// The key is not good for this.
    Scope = 403 "scope_missing", "The key is not good for this";
    /// The merchant is not in business.
    MerchantDisabled = 403 "merchant_disabled", "The merchant is not approved, or stopped";
    /// Not from there.
    AddressNotAllowed = 403 "address_not_allowed", "The key may not be used from this address";
    /// A rule against fraud, or a block list.
    Blocked = 403 "blocked", "A rule of the operator's forbids the call";
    /// Not at this time.
    OutsideHours = 403 "outside_hours", "A number may not be rung at this time";
    /// Nothing there, or nothing of this merchant's.
    NotFound = 404 "not_found", "There is no such thing";
    /// The call is over, or nobody there can hear.
    NotLive = 404 "not_live", "It is not live";
    /// Nobody of this number is in the conference.
    NotThere = 404 "not_there", "Nobody of this number is in the conference";
    /// The call is not being recorded.
    NotRecorded = 404 "not_recorded", "The call is not being recorded";
    /// The path is there, the method is not.
    MethodNotAllowed = 405 "method_not_allowed", "The method is not allowed here";
    /// The body did not come in time.
    RequestTimeout = 408 "request_timeout", "The request came too slowly";
    /// The `Idempotency-Key` was used with another body.
    KeyReused = 409 "idempotency_key_reused", "The idempotency key was used for another request";
    /// The number is another conference's.
    ConferenceTaken = 409 "conference_taken", "The number is another conference's";
    /// One of the two has another binding on the number.
    BindingTaken = 409 "binding_taken", "Somebody has another binding on the number";
    /// Bindings say whom the number reaches.
    PrivacyNumber = 409 "privacy_number", "The number is a privacy number";
    /// All its numbers were called, or it was cancelled.
    CampaignEnded = 409 "campaign_ended", "The campaign is over";
    /// Somebody is there already, or nobody else may come.
    NotInvited = 409 "not_invited", "Somebody cannot be invited";
    /// There are as many as there may be.
    Full = 409 "full", "There are as many as there may be";
    /// What was typed goes nowhere: its page is being asked.
    MenuBusy = 409 "menu_busy", "The page of the menu is being asked";
    /// Nothing is pushed to it.
    WebhookDisabled = 409 "webhook_disabled", "The webhook is disabled";
    /// The body is larger than is read.
    TooLarge = 413 "too_large", "The body is too large";
    /// The body is something else than JSON.
    MediaType = 415 "unsupported_media_type", "The body has to be application/json";
    /// The body is JSON and says what cannot be.
    Invalid = 422 "invalid", "The request is not valid";
    /// No route, no price, or nobody behind the number.
    Unreachable = 422 "number_unreachable", "A number cannot be called";
    /// Requests or calls come too often, or there are too many.
    TooMany = 429 "too_many_requests", "Too many requests or calls";
    /// The number was rung as often as it may be.
    TooOften = 429 "number_too_often", "A number was rung as often as it may be";
    /// The head is larger than is read.
    HeadTooLarge = 431 "head_too_large", "The header fields are too large";
    /// A fault of ours.
    Internal = 500 "internal", "A fault of our own";
    /// Starting, draining or overloaded.
    Busy = 503 "busy", "Not now";
    /// It took too long.
    Timeout = 504 "timeout", "The request took too long";
}

impl Code {
    /// Whether the same request may be sent again as it is, and after how many seconds.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Code::TooMany => Some(1),
            Code::Busy => Some(5),
            _ => None,
        }
    }
}

/// A problem (RFC 9457 §3.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// Where the kind of problem is explained, relative to this host.
    pub r#type: String,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, for programs.
    pub code: &'static str,
    /// What it was this time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Places in the request that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with words of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            r#type: format!("/v1/docs#{}", code.word()),
            title: code.title(),
            status: code.status(),
            code: code.word(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Places that are wrong.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Problem {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => one.detail.clone(),
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} mistakes; nothing was done", many.len()),
        };
        Problem { errors, ..Problem::new(Code::Invalid, detail) }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> String {
        // Text and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9457_3_1_members_and_no_word_twice() {
        let problem = Problem::invalid(vec![FieldError::new("/to/number", "is no number")]);
        assert_eq!(
            problem.body(),
            r#"{"type":"/v1/docs#invalid","title":"The request is not valid","status":422,"code":"invalid","detail":"/to/number: is no number","errors":[{"pointer":"/to/number","detail":"is no number"}]}"#
        );
        for (at, code) in Code::ALL.iter().enumerate() {
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert!(!Code::ALL[..at].iter().any(|other| other.word() == code.word()), "{code:?}");
        }
    }
}
