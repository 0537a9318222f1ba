//! What is told of calls and campaigns as it happens: one event for each state of each leg, one when a call is over, one
//! when a campaign is over or the switch pauses it, one when somebody writes to a merchant. The list of events
//! and webhooks say the same; webhooks are signed as Standard Webhooks has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use facts::campaign::{CAMPAIGN_ENDED, CAMPAIGN_PAUSED};
use facts::record::{CALL_ENDED, DIAL_FAILED, LegState, StateChange};
use facts::sms::{Received, SMS_RECEIVED};
use facts::{CallId, Failure};
use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::call::{Call, ended, origin, reason};
use super::campaign::CampaignEvent;
use super::instant;
use crate::push::Event as Happened;

/// Names of events.
pub const EVENTS: [&str; 9] = [
    LegState::Callout.event(),
    LegState::Alerting.event(),
    LegState::Answer.event(),
    LegState::Disconnect.event(),
    DIAL_FAILED,
    CALL_ENDED,
    CAMPAIGN_ENDED,
    CAMPAIGN_PAUSED,
    SMS_RECEIVED,
];
/// What secrets of webhooks begin with.
const SECRET: &str = "whsec_";

/// Seconds before each attempt; each is drawn out or cut by a tenth at most, so that those who failed together do not
/// come together.
pub const RETRY_SECONDS: [u64; 10] =
    [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// What a promise of events keeps beside the event.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EventContext {
    /// The merchant's own words.
    pub reference: String,
    /// The campaign that it is of, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
}

/// An event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Names it; the same however often and wherever it is told.
    pub id: String,
    /// `leg.dialing`, `leg.ringing`, `leg.answered`, `leg.ended`, `dial.failed`, `call.ended`, `campaign.ended`,
    /// `campaign.paused`, `sms.received`.
    pub r#type: String,
    /// When it happened.
    pub timestamp: String,
    /// Its place among the events of the call, or of the campaign, from 1; of a short message, 1.
    pub sequence: u32,
    /// Which call; null where it is of a campaign or a short message, and of no call.
    pub call: Option<String>,
    /// Which campaign; null where it is of none.
    pub campaign: Option<String>,
    /// The merchant's own words.
    pub reference: String,
    /// What happened.
    pub data: EventData,
}

/// What an event is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EventData {
    /// `call.ended`: the whole call.
    Call(Box<Call>),
    /// `campaign.ended`, `campaign.paused`.
    Campaign(CampaignEvent),
    /// `sms.received`.
    Text(TextEvent),
    /// `dial.failed`: whom nobody rang.
    Unrung(UnrungEvent),
    /// The others: a leg.
    Leg(LegEvent),
}

/// Somebody who was to be rung in a call that goes on, and was not: no leg tells of him.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct UnrungEvent {
    /// Who, as it was sent; the number of a conference that let nobody in.
    pub number: String,
    /// Why: `no_route`, `blocked`, `congestion`, ….
    pub reason: String,
    /// Whose doing that was: `network`, `billing`, `platform`.
    pub origin: String,
}

/// Somebody wrote a short message to a number at which the merchant has a keyword.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct TextEvent {
    /// Names the message.
    pub id: String,
    /// Who wrote it.
    pub from: String,
    /// To which number.
    pub to: String,
    /// The keyword that it begins with, in small letters; empty where it bears none.
    pub keyword: String,
    /// What it says behind that.
    pub text: String,
    /// What such messages are for: `signup`, `forward`.
    pub purpose: String,
    /// The sub-account that it made, or that its writer has.
    pub account: Option<String>,
}

impl TextEvent {
    fn of(received: &Received) -> TextEvent {
        TextEvent {
            id: received.id.to_string(),
            from: received.from.clone(),
            to: received.to.clone(),
            keyword: received.keyword.clone(),
            text: received.text.clone(),
            purpose: received.purpose.word().to_owned(),
            account: received.account.clone(),
        }
    }
}

impl EventContext {
    /// As a promise keeps it.
    #[must_use]
    pub fn kept(reference: &str, campaign: Option<&str>) -> String {
        let (reference, campaign) = (reference.to_owned(), campaign.map(str::to_owned));
        // Text always has a JSON form.
        serde_json::to_string(&EventContext { reference, campaign }).unwrap_or_default()
    }
}

/// A leg that reached a state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct LegEvent {
    /// `A` was rung first, `B` then; from `C` on whoever came later.
    pub leg: String,
    /// Who is rung, as it was sent.
    pub number: String,
    /// The number that is shown.
    pub caller_id: String,
}

/// The name of an event, the same for all who are told of it.
#[must_use]
pub fn event_id(call: CallId, happened: Happened<'_>) -> String {
    match happened {
        Happened::State(change) => format!("evt_{call}_{}", change.sequence),
        Happened::Record(_) | Happened::Participant(..) => format!("evt_{call}_end"),
        Happened::Campaign(change) => format!("evt_{}_{}", change.campaign, change.sequence),
        Happened::Text(received) => format!("evt_sms_{}", received.id),
    }
}

/// An event, written out. `context`: an [`EventContext`] as JSON.
#[must_use]
pub fn event(happened: Happened<'_>, context: &str, sequence: u32) -> Event {
    let context: EventContext = serde_json::from_str(context).unwrap_or_default();
    let (call, name, at, data) = match happened {
        Happened::State(change) => {
            let data = match change.state {
                LegState::Unrung(failure) => EventData::Unrung(unrung(change, failure)),
                _ => EventData::Leg(leg(change)),
            };
            (Some(change.leg.call), change.state.event(), change.at, data)
        }
        Happened::Campaign(change) => {
            (None, change.turn.event(), change.at, EventData::Campaign(CampaignEvent::of(change)))
        }
        Happened::Text(received) => {
            (None, SMS_RECEIVED, received.at, EventData::Text(TextEvent::of(received)))
        }
        Happened::Record(record) | Happened::Participant(record, _) => {
            let data = EventData::Call(Box::new(ended(record)));
            (Some(record.facts.call), CALL_ENDED, record.facts.ended, data)
        }
    };
    Event {
        id: event_id(call.unwrap_or(CallId(0)), happened),
        r#type: name.to_owned(),
        timestamp: instant(at),
        // Those of a campaign are counted with it: rows that told some may be forgotten.
        sequence: match happened {
            Happened::Campaign(change) => change.sequence,
            _ => sequence,
        },
        call: call.map(|call| call.to_string()),
        campaign: context.campaign,
        reference: context.reference,
        data,
    }
}

fn leg(change: &StateChange) -> LegEvent {
    LegEvent {
        leg: change.leg.no.to_string(),
        number: change.number.clone(),
        caller_id: change.shown.clone(),
    }
}

fn unrung(change: &StateChange, failure: Failure) -> UnrungEvent {
    UnrungEvent {
        number: change.number.clone(),
        reason: reason(failure),
        origin: origin(failure.origin).to_owned(),
    }
}

/// A secret as merchants are told it.
#[must_use]
pub fn webhook_secret(octets: &[u8]) -> String {
    format!("{SECRET}{}", STANDARD.encode(octets))
}

/// `webhook-signature` (Standard Webhooks): one for each secret that is good.
#[must_use]
pub fn webhook_signature(secrets: &[String], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let one = |secret: &String| {
        let key = STANDARD.decode(secret.strip_prefix(SECRET)?).ok()?;
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    secrets.iter().filter_map(one).collect::<Vec<_>>().join(" ")
}

/// How long to wait before the attempt that comes after `made` of them, in milliseconds; `None` when there is none. `seed`
/// moves it by a tenth at most.
#[must_use]
pub fn retry_after_ms(made: usize, seed: u64) -> Option<u64> {
    let whole = RETRY_SECONDS.get(made)? * 1_000;
    // The seed's last digits are spread evenly (Knuth's multiplicative hash).
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Some(whole - whole / 10 + spread % (whole / 5 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_webhooks_signature_of_its_own_example() {
        // standard-webhooks: the example of the reference libraries.
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()];
        let signed = webhook_signature(
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = [secrets[0].clone(), webhook_secret(b"another")];
        let both = webhook_signature(&two, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"x");
        assert_eq!(both.split(' ').filter(|one| one.starts_with("v1,")).count(), 2);
        assert_eq!(webhook_signature(&["nonsense".to_owned()], "a", 1, b"x"), "");
    }

    #[test]
    fn attempts_come_by_the_schedule_within_a_tenth_and_not_together() {
        assert_eq!(retry_after_ms(0, 7), Some(0));
        assert_eq!(retry_after_ms(10, 7), None);
        for (made, seconds) in RETRY_SECONDS.iter().enumerate().skip(1) {
            let all: Vec<u64> = (0..200).filter_map(|seed| retry_after_ms(made, seed)).collect();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(*least >= seconds * 900 && *most <= seconds * 1_100, "{made}: {least}–{most}");
            assert!(most - least > seconds * 100, "{made}: {least}–{most}");
        }
    }
}
