//! What happened: the facts of a call as signalling saw them, and the record that rating makes of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::CallCommand;
use crate::failure::Failure;
use crate::id::{CallId, LegId, LegNo};
use crate::media::{MediaStats, RecordedFile};
use crate::money::{Currency, Micros};
use crate::number::Number;
use crate::recognition::Recognised;
use crate::spoken::{Codecs, Spoken};
use crate::time::UnixMillis;

/// Who let go first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The person on leg A.
    Caller,
    /// The person on leg B.
    Callee,
    /// This switch: failure, limit, merchant or operator.
    Platform,
}

/// How the call as a whole came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Both parties talked and one of them hung up.
    Completed,
    /// Anything else; a call that was joined and then cut by a limit is here too.
    Failed(Failure),
}

/// What signalling and media know of one leg that was attempted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LegFacts {
    /// Which leg.
    pub no: LegNo,
    /// Whom it rang (or who rang us).
    pub number: Number,
    /// The number as the merchant wrote it.
    pub as_sent: String,
    /// Caller id shown on it, digits as put on the wire.
    pub shown: String,
    /// Name of the trunk it used; empty for an extension.
    pub trunk: String,
    /// SIP Call-ID, for finding it in a trace.
    pub sip_call_id: String,
    /// INVITE sent.
    pub invited: UnixMillis,
    /// First 18x.
    pub progress: Option<UnixMillis>,
    /// First 180.
    pub alerting: Option<UnixMillis>,
    /// 200 received.
    pub answered: Option<UnixMillis>,
    /// Down for billing: BYE received, or our decision to cut.
    pub ended: Option<UnixMillis>,
    /// Status of the final answer to our INVITE; `None` when none came.
    pub sip_final: Option<u16>,
    /// Q.850 cause, from a `Reason` header or from the table.
    pub q850: Option<u8>,
    /// Who let this leg go.
    pub released_by: Option<Side>,
    /// Why, when not by an ordinary hang-up.
    pub failure: Option<Failure>,
    /// The leg that took its place: it transferred the call, parked it, or somebody else took it. One of another call
    /// where two calls were linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<LegId>,
    /// Talk time its holds cover; a leg we cut is never billed past it. `None`: unlimited.
    pub paid_until: Option<Duration>,
    /// What its media saw.
    pub media: MediaStats,
    /// What was heard of its network before the answer, if anything was listened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognised: Option<Recognised>,
    /// What was agreed that is spoken on it, and what protected that.
    #[serde(default, skip_serializing_if = "Spoken::is_none")]
    pub spoken: Spoken,
}

impl LegFacts {
    /// Talk time from answer to end; zero when never answered.
    #[must_use]
    pub fn talk(&self) -> Duration {
        match (self.answered, self.ended) {
            (Some(answered), Some(ended)) => ended.since(answered),
            _ => Duration::ZERO,
        }
    }

    /// Talk time in started seconds: `ceil(ended - answered)` (spec §1).
    #[must_use]
    pub fn bill_seconds(&self) -> u64 {
        self.talk().as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
    }

    /// The codings spoken on it: those that its media heard and sent; where it was never asked, or saw nothing, those
    /// that were agreed.
    #[must_use]
    pub const fn codings(&self) -> Codecs {
        let seen = self.media.heard.or(self.media.said);
        if seen.is_empty() { self.spoken.agreed } else { seen }
    }

    /// True when it ended for a reason of its own before anybody answered; the failure of a leg that had
    /// answered tells how the call ended, and its last status was a 200.
    #[must_use]
    pub fn failed_to_connect(&self) -> bool {
        self.failure.is_some() && self.answered.is_none()
    }
}

/// Somebody who was to be rung in a call that went on without him, and whom nobody rang: no route led to him, something
/// forbade it, or there was no room. He has no leg.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unrung {
    /// The leg that he would have had. In a conference it is nobody else's, elsewhere it may be that of whoever was rung
    /// next.
    pub leg: LegNo,
    /// The number as the merchant wrote it; of a step that leads into a conference, that of the conference.
    pub as_sent: String,
    /// When it was tried.
    pub at: UnixMillis,
    /// Why.
    pub failure: Failure,
}

/// What a caller said to a voice mailbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The extension for which it is.
    pub mailbox: String,
    /// Who called, as it came.
    pub caller: String,
    /// When it was begun.
    pub at: UnixMillis,
    /// The sound.
    pub file: RecordedFile,
}

/// Why a call that was to be recorded was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unrecorded {
    /// One of those who talked did not want it.
    Declined,
    /// One of them could not hear what has to be announced first.
    Unannounced,
}

/// Everything known of a call when its last leg is down.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallFacts {
    /// Which call.
    pub call: CallId,
    /// What was asked for.
    pub command: CallCommand,
    /// When it was authorized.
    pub placed: UnixMillis,
    /// When both parties were joined.
    pub bridged: Option<UnixMillis>,
    /// When the last leg was down.
    pub ended: UnixMillis,
    /// How it came out.
    pub outcome: Outcome,
    /// Who let go first.
    pub released_by: Side,
    /// The legs that were attempted, by number; a leg never invited is absent.
    pub legs: Vec<LegFacts>,
    /// Who was to be rung beside them and was not, as it came about. Not known of a call whose process died.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrung: Vec<Unrung>,
    /// The recording, once closed and checked.
    pub recording: Option<RecordedFile>,
    /// Why there is none of a call that was to be recorded, where somebody had a say in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrecorded: Option<Unrecorded>,
    /// What the caller left in a mailbox, once closed and checked; it is no recording of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The extension in whose mailbox the call ended, whether or not a message was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// What A pressed where its scenario took keys, one entry for each time; a secret one is as many `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collected: Vec<String>,
}

impl CallFacts {
    /// The facts of one leg, if it was attempted.
    #[must_use]
    pub fn leg(&self, no: LegNo) -> Option<&LegFacts> {
        self.legs.iter().find(|leg| leg.no == no)
    }

    /// Whom its records tell of, where they tell of each by himself: all who were rung; A where nobody was.
    #[must_use]
    pub fn participants(&self) -> Vec<LegNo> {
        match &self.legs[..] {
            [] => vec![LegNo::A],
            legs => legs.iter().map(|leg| leg.no).collect(),
        }
    }

    /// The called leg: B, or whichever took its place because the call was led on or picked up. Those of
    /// transfers came later.
    #[must_use]
    pub fn called(&self) -> LegNo {
        let others = || self.legs.iter().filter(|leg| leg.no != LegNo::A);
        let first = others().filter(|leg| leg.answered.is_some()).min_by_key(|leg| leg.answered);
        let last = others().max_by_key(|leg| leg.no);
        first.or(last).map_or(LegNo::B, |leg| leg.no)
    }
}

/// What one leg cost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LegCharge {
    /// Which leg.
    pub no: LegNo,
    /// Prefix of the tariff row that priced it; empty when nothing was priced.
    pub prefix: String,
    /// Started seconds of talk.
    pub seconds: u64,
    /// Seconds charged, after intervals.
    pub charged_seconds: u64,
    /// The charge.
    pub price: Micros,
}

/// A settled call: the facts and what they cost.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallRecord {
    /// What happened.
    pub facts: CallFacts,
    /// One charge per attempted leg, by number.
    pub charges: Vec<LegCharge>,
    /// Currency of the charges.
    pub currency: Currency,
    /// Absolute URL of the recording; `None` when there is none.
    pub recording_url: Option<String>,
}

impl CallRecord {
    /// Sum of the charges.
    #[must_use]
    pub fn total(&self) -> Micros {
        self.charges.iter().map(|charge| charge.price).sum()
    }

    /// The charge of one leg; zero when it was not attempted.
    #[must_use]
    pub fn price(&self, no: LegNo) -> Micros {
        self.charges.iter().filter(|charge| charge.no == no).map(|charge| charge.price).sum()
    }
}

/// A state that a leg reached, for merchants who follow a call live (spec §3.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegState {
    /// INVITE sent.
    Callout,
    /// First 180 or 183.
    Alerting,
    /// Answered.
    Answer,
    /// Down.
    Disconnect,
    /// There is no leg: whoever was to be rung cannot be ([`Unrung`]). Told on our own surface alone.
    Unrung(Failure),
}

impl LegState {
    /// The name of the event that tells of it on our own surface.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            LegState::Callout => "leg.dialing",
            LegState::Alerting => "leg.ringing",
            LegState::Answer => "leg.answered",
            LegState::Disconnect => "leg.ended",
            LegState::Unrung(_) => DIAL_FAILED,
        }
    }
}

/// The name of the event that tells that somebody who was to be rung was not.
pub const DIAL_FAILED: &str = "dial.failed";
/// The name of the event that tells that a call is over.
pub const CALL_ENDED: &str = "call.ended";

/// One leg reached one state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StateChange {
    /// Which leg.
    pub leg: LegId,
    /// Names the change within its call: the same change has the same number after a restart. Rises
    /// along the life of a leg.
    pub sequence: u32,
    /// The state.
    pub state: LegState,
    /// The number being called on that leg, as the merchant wrote it.
    pub number: String,
    /// The number shown on that leg.
    pub shown: String,
    /// When.
    pub at: UnixMillis,
    /// The extension whose phones reached it, where it is told of that alone: its number is `number` then, and its
    /// state is no [`LegState::Callout`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl StateChange {
    /// Who is told.
    #[must_use]
    pub const fn kind(&self) -> crate::PushKind {
        match self.extension {
            Some(_) => crate::PushKind::Extension,
            None => crate::PushKind::State,
        }
    }

    /// The number, within its call, of a state of the extension that is the `nth` to ring for a leg.
    #[must_use]
    pub fn sequence_of(leg: LegNo, nth: u8, state: LegState) -> u32 {
        u32::from(leg.0) * 1_024 + u32::from(nth) * 4 + state.rank()
    }

    /// The number, within its call, of the word that somebody was not rung, the `nth` of these: above those of all legs.
    #[must_use]
    pub fn sequence_of_unrung(nth: usize) -> u32 {
        (u32::from(u8::MAX) + 1) * 1_024 + u32::try_from(nth).unwrap_or(u32::MAX / 2)
    }

    /// The same extension let go.
    #[must_use]
    pub fn let_go(&self, at: UnixMillis) -> StateChange {
        let sequence = self.sequence - self.sequence % 4 + LegState::Disconnect.rank();
        StateChange { sequence, state: LegState::Disconnect, at, ..self.clone() }
    }
}

impl LegState {
    /// Its place in the life of a leg.
    #[must_use]
    pub const fn rank(self) -> u32 {
        match self {
            LegState::Callout => 0,
            LegState::Alerting => 1,
            LegState::Answer => 2,
            LegState::Disconnect | LegState::Unrung(_) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Kind, Origin};

    fn leg() -> LegFacts {
        LegFacts {
            no: LegNo::B,
            number: Number::Internal("80001".into()),
            as_sent: String::new(),
            shown: String::new(),
            trunk: "carrier".into(),
            sip_call_id: String::new(),
            invited: UnixMillis(0),
            progress: None,
            alerting: None,
            answered: None,
            ended: Some(UnixMillis(5000)),
            sip_final: Some(486),
            q850: Some(17),
            released_by: Some(Side::Callee),
            failure: Some(Failure::new(Origin::LegB, Kind::Busy)),
            replaced_by: None,
            paid_until: None,
            media: MediaStats::default(),
            recognised: None,
            spoken: Default::default(),
        }
    }

    #[test]
    fn the_called_leg_is_who_took_the_call_first() {
        let facts = |legs: &[(u8, Option<i64>)]| {
            let leg = |(no, answered): &(u8, Option<i64>)| {
                let no = LegNo(*no);
                LegFacts { no, answered: answered.map(UnixMillis), ..leg() }
            };
            let party = || crate::Party {
                number: Number::Internal("80001".into()),
                as_sent: String::new(),
                shown: None,
                ring: Duration::ZERO,
            };
            let command = CallCommand {
                dialect: crate::Dialect::Rest,
                merchant: crate::MerchantId(1),
                sub_account: None,
                app: String::new(),
                a: party(),
                b: Some(party()),
                scenario: None,
                conference: None,
                purpose: Default::default(),
                max_talk: None,
                record: crate::media::Record::No,
                key: None,
                pushes: Vec::new(),
                custom: String::new(),
            };
            CallFacts {
                call: CallId(1),
                command,
                placed: UnixMillis(0),
                bridged: None,
                ended: UnixMillis(9),
                outcome: Outcome::Completed,
                released_by: Side::Caller,
                legs: legs.iter().map(leg).collect(),
                unrung: Vec::new(),
                recording: None,
                unrecorded: None,
                message: None,
                mailbox: None,
                collected: Vec::new(),
            }
        };
        let (talks, not) = (Some(5), None);
        for (legs, called) in [
            (vec![], 1),
            (vec![(0, talks)], 1),
            (vec![(0, talks), (1, talks)], 1),
            // B was busy and the call was led on, in vain or not.
            (vec![(0, talks), (1, not), (2, talks)], 2),
            (vec![(0, talks), (1, not), (2, not)], 2),
            // A transfer: whoever was called first.
            (vec![(0, talks), (1, Some(6)), (2, Some(8))], 1),
            (vec![(0, talks), (1, not), (2, Some(6)), (3, Some(8))], 2),
        ] {
            assert_eq!(facts(&legs).called(), LegNo(called), "{legs:?}");
        }
    }

    #[test]
    fn a_leg_that_was_cut_after_its_answer_did_not_fail_to_connect() {
        let mut leg = leg();
        assert!(leg.failed_to_connect());
        (leg.answered, leg.sip_final) = (Some(UnixMillis(2000)), Some(200));
        assert!(!leg.failed_to_connect());
        (leg.answered, leg.failure) = (None, None);
        assert!(!leg.failed_to_connect());
    }
}
