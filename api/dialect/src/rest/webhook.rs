//! Webhooks as merchants manage them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::EVENTS;
use super::problem::FieldError;

/// A webhook to be made.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are pushed: `https` or `http`.
    pub url: String,
    /// Names of events; all unless given.
    #[serde(default)]
    pub events: Vec<String>,
}

/// What is to be changed of a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedWebhook {
    /// Another address.
    #[serde(default)]
    pub url: Option<String>,
    /// Other events; an empty list is all.
    #[serde(default)]
    pub events: Option<Vec<String>>,
    /// False stops it, and gives up what was not delivered; true begins anew.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// How a secret changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// How long pushes are signed with the secrets before it too, seconds: a day unless given, a week at most.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    pub overlap_s: Option<u32>,
}

/// A webhook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Webhook {
    /// Names it.
    pub id: String,
    /// Where events are pushed.
    pub url: String,
    /// Names of events; none are all.
    pub events: Vec<String>,
    /// Whether anything is pushed.
    pub enabled: bool,
    /// Why it was stopped, when we stopped it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when nothing was delivered.
    pub failing_since: Option<String>,
    /// When it was made.
    pub created: String,
    /// What pushes are signed with; told when it is made or changed, and then no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// An event on its way to a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Delivery {
    /// Names it.
    pub id: String,
    /// The event, as `webhook-id` has it.
    pub event: String,
    /// Which call; null where the event is of a campaign.
    pub call: Option<String>,
    /// `pending`, `done` or `parked`: given up.
    pub state: String,
    /// Attempts made.
    pub attempts: u32,
    /// When the event was written.
    pub created: String,
    /// What was sent, once it was.
    pub body: Option<String>,
    /// Attempts one by one, where one delivery is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<DeliveryAttempt>,
}

/// An attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct DeliveryAttempt {
    /// When.
    pub at: String,
    /// HTTP status; null when no answer came.
    pub status: Option<u16>,
    /// How long it took.
    pub latency_ms: u64,
}

/// What came of a push that was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Tested {
    /// The address took it.
    pub delivered: bool,
    /// HTTP status; null when no answer came.
    pub status: Option<u16>,
    /// How long it took.
    pub latency_ms: u64,
}

/// Names in a filter that are no events.
#[must_use]
pub fn unknown_events(events: &[String]) -> Vec<FieldError> {
    let unknown = |(nth, name): (usize, &String)| {
        let words = format!("must be one of {}", EVENTS.join(", "));
        let known = EVENTS.contains(&name.as_str());
        (!known).then(|| FieldError::new(format!("/events/{nth}"), words))
    };
    events.iter().enumerate().filter_map(unknown).collect()
}
