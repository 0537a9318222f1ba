//! Our own surface, `/v1`: JSON in and out, problems by RFC 9457, one table of operations.
//!
//! Instants are RFC 3339 in UTC with milliseconds, money is integers of 1e-6 of a currency unit, call ids are 19 digits of
//! text. What is not known in a request is refused: a field that is misspelt is found at once.

mod axb;
mod call;
mod campaign;
mod command;
mod event;
mod json;
mod menu;
mod number;
mod op;
mod openapi;
mod problem;
mod request;
mod scenario;
mod sound;
mod strict;
mod webhook;

pub use axb::{AxbBinding, ChangedAxb, NewAxb};
pub use call::{
    Accepted, Balance, Call, Leg, Page, Party, Recording, Unrung, balance, ended, open,
};
pub use campaign::{
    Campaign, CampaignEvent, CampaignMade, CampaignNumber, NewAgents, NewCampaign, NewNumbers,
    NewTarget, NumbersAdded, Pacing, PacingNow, Script,
};
pub use command::{
    Attendee, Begun, Meeting, Member, NewCode, NewConference, NewMember, NewMembers, NewNotice,
    is_conference,
};
pub use event::{
    EVENTS, Event, EventContext, EventData, LegEvent, RETRY_SECONDS, UnrungEvent, event, event_id,
    retry_after_ms, webhook_secret, webhook_signature,
};
pub use menu::{MenuInput, MenuInvoice, MenuScreen, MenuSession, NewMenu};
pub use number::{AnsweredNumber, InboundNumber, KeptScenario, NewNumberScenario};
pub use op::{Op, Scope};
pub use openapi::{openapi, reference};
pub use problem::{Code, FieldError, Problem};
pub use request::{
    Body, IDEMPOTENCY_KEY_MAX, NewCall, NewParty, NewPlay, Target, fingerprint, key_name, parse,
    parse_leniently,
};
pub use scenario::{Compiled, HookAnswer, HookContext, NewScenario};
pub use sound::{Part, Sound};
pub use webhook::{
    ChangedWebhook, Delivery, DeliveryAttempt, NewSecret, NewWebhook, Tested, Webhook,
    unknown_events,
};

use facts::UnixMillis;

/// Media type of answers.
pub const JSON: &str = "application/json";
/// Media type of problems (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An instant as RFC 3339 has it, UTC, milliseconds always: `2026-11-22T18:40:00.123Z`.
#[must_use]
pub fn instant(at: UnixMillis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// An instant as a request writes it (RFC 3339), with any offset.
#[must_use]
pub fn read_instant(text: &str) -> Option<UnixMillis> {
    text.parse::<jiff::Timestamp>().ok().map(|at| UnixMillis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_always_have_three_decimals() {
        assert_eq!(instant(UnixMillis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(UnixMillis(1_795_376_400_120)), "2026-11-22T19:40:00.120Z");
    }
}
