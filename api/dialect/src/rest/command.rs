//! Calls that are asked for by what they are for: codes, notices, conferences.

use std::time::Duration;

use facts::UnixMillis;
use facts::conference::{ConferenceView, LEGS_MAX, NAME_MAX, ParticipantView, Standing};
use facts::media::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::reason;
use super::problem::FieldError;
use super::request::{NewParty, RecordWord};
use super::{instant, read_instant};

/// How far ahead a conference may be booked.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Letters and digits of a code at most.
const CODE_MAX: usize = 16;

/// A code to be said: `to` is rung, and hears it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCode {
    /// Who is rung: a public number, or an extension of the merchant's.
    pub to: NewParty,
    /// Latin letters and digits, 1 to 16. It is kept nowhere.
    #[schemars(length(min = 1, max = 16))]
    pub code: String,
    /// How often it is said, 1 to 9; 3 unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9))]
    pub times: Option<u8>,
    /// `zh`, `en` or `fa`; the merchant's unless given.
    #[serde(default)]
    pub language: Option<String>,
    /// The merchant's own words, up to 500 characters: what is told of the call bears them.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub reference: Option<String>,
}

/// A notice to be said: a template of the operator's file, filled with values.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNotice {
    /// Who is rung: a public number, or an extension of the merchant's.
    pub to: NewParty,
    /// The template, one of the merchant's.
    #[schemars(length(min = 1, max = 100))]
    pub template: String,
    /// What stands in its places, in their order, 32 at most of 64 characters each.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub values: Vec<String>,
    /// How often it is said, 1 to 9; once unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 9))]
    pub times: Option<u8>,
    /// Keys are taken when it has been said; they stand in `keys` of the call.
    #[serde(default)]
    pub keys: bool,
    /// `zh`, `en` or `fa`, where the template names none; the merchant's unless given.
    #[serde(default)]
    pub language: Option<String>,
    /// The merchant's own words, up to 500 characters: what is told of the call bears them.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub reference: Option<String>,
}

/// A conference to begin: `to` is rung first, and when somebody answers, all others are.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConference {
    /// Who is rung first.
    pub to: NewParty,
    /// Who is rung then, 1 to 99; who is asked for later may be invited.
    #[schemars(length(min = 1, max = 99))]
    pub participants: Vec<NewMember>,
    /// The number that it is spoken of by, six digits; drawn unless given.
    #[serde(default)]
    pub conference: Option<String>,
    /// When it begins (RFC 3339, a year ahead at most); at once unless given.
    #[serde(default)]
    pub start_at: Option<String>,
    /// What it is called, up to 64 characters.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub title: Option<String>,
    /// A tone tells that somebody came or went.
    #[serde(default)]
    pub tones: bool,
    /// Whether it is recorded; the merchant's setting unless given.
    #[serde(default)]
    #[schemars(with = "Option<RecordWord>")]
    pub record: Option<Record>,
    /// Longest time in seconds, below the merchant's own limit.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_talk_s: Option<u32>,
    /// The merchant's own words, up to 500 characters: what is told of the call bears them.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub reference: Option<String>,
}

/// Somebody who is asked for in a conference.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// An extension, or a number as it is dialled at home or with `+`.
    pub number: String,
    /// His name, up to 64 characters.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub name: Option<String>,
    /// The number to show: one that the key may show.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// How long it may ring, 5 to 180 seconds; 60 unless given.
    #[serde(default)]
    #[schemars(range(min = 5, max = 180))]
    pub ring_s: Option<u16>,
}

impl NewMember {
    /// As somebody to ring.
    #[must_use]
    pub fn party(&self) -> NewParty {
        let (number, caller_id) = (self.number.clone(), self.caller_id.clone());
        NewParty { number, caller_id, ring_s: self.ring_s }
    }
}

/// Who is invited to a conference that is under way: all of them or nobody.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMembers {
    /// 1 to 99.
    #[schemars(length(min = 1, max = 99))]
    pub participants: Vec<NewMember>,
}

/// Somebody in a conference, as he was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// His number.
    pub number: String,
}

impl NewCode {
    /// What is wrong with it that no schema says.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FieldError> {
        let known = self.code.bytes().all(|sign| sign.is_ascii_alphanumeric());
        let words = format!("must be 1 to {CODE_MAX} Latin letters and digits");
        if known { Vec::new() } else { vec![FieldError::new("/code", words)] }
    }
}

/// Whether somebody may speak of a conference so: six digits.
pub fn is_conference(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|sign| sign.is_ascii_digit())
}

impl NewConference {
    /// What is wrong with it that no schema says.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FieldError> {
        let good = self.conference.as_deref().is_none_or(is_conference);
        if good { Vec::new() } else { vec![FieldError::new("/conference", "must be six digits")] }
    }

    /// When it is to begin; `None`: at once.
    ///
    /// # Errors
    /// When that is no instant, has passed, or is too far ahead.
    pub fn start(&self, now: UnixMillis) -> Result<Option<UnixMillis>, FieldError> {
        let Some(text) = &self.start_at else { return Ok(None) };
        let start = read_instant(text).filter(|at| *at > now && *at <= now + AHEAD_MAX);
        let words =
            "must be an instant to come, a year ahead at most, like 2026-11-24T09:00:00+08:00";
        start.map(Some).ok_or_else(|| FieldError::new("/start_at", words))
    }
}

// The schemas say them in figures.
const _: () = assert!(LEGS_MAX == 100 && NAME_MAX == 64 && CODE_MAX == 16);

/// A conference that was begun.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Begun {
    /// The number that it is spoken of by.
    pub conference: String,
    /// The call that it is: 19 digits; null while it is booked.
    pub id: Option<String>,
    /// `accepted`, or `booked`.
    pub status: String,
    /// When it begins, where it was booked.
    pub start_at: Option<String>,
    /// When.
    pub created: String,
    /// Where it is found.
    pub url: String,
}

/// A conference, as it stands or as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Meeting {
    /// The number that it is spoken of by.
    pub conference: String,
    /// The call that it is: 19 digits; null where it has not begun.
    pub id: Option<String>,
    /// `open` or `ended`; `booked`, `cancelled`, `missed` or `refused` where it has not begun.
    pub status: String,
    /// When it begins, or was to, where it was booked.
    pub start_at: Option<String>,
    /// What it is called.
    pub title: String,
    /// Nobody else may be asked for.
    pub locked: bool,
    /// All who were asked for.
    pub participants: Vec<Attendee>,
}

/// Somebody who was asked for in a conference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Attendee {
    /// His leg; a place of his own where `call` says that it is none.
    pub leg: String,
    /// His number, as it was sent.
    pub number: String,
    /// His name.
    pub name: String,
    /// `waiting`, `calling`, `ringing`, `joined` or `left`: also whoever did not come.
    pub status: String,
    /// The others do not hear him.
    pub muted: bool,
    /// He does not hear the others.
    pub deaf: bool,
    /// He talks at this moment.
    pub talks: bool,
    /// The call whose scenario led him here, and of whose record he is: 19 digits.
    pub call: Option<String>,
    /// When he answered, or came in.
    pub joined: Option<String>,
    /// When his leg was down, or he left.
    pub left: Option<String>,
    /// Why he did not come, or left otherwise than by hanging up: `busy`, `no_answer`, `no_route`, `blocked`, ….
    pub reason: Option<String>,
}

impl Meeting {
    /// One that is under way.
    #[must_use]
    pub fn open(number: String, id: String, title: String, view: &ConferenceView) -> Meeting {
        let locked = view.locked;
        Meeting { locked, ..Meeting::told((number, title), "open", Some(id), &view.participants) }
    }

    /// One that is over.
    #[must_use]
    pub fn over(number: String, id: String, title: String, all: &[ParticipantView]) -> Meeting {
        Meeting::told((number, title), "ended", Some(id), all)
    }

    /// One that was booked and has not begun; `status` says whether it will.
    #[must_use]
    pub fn planned(
        number: String,
        title: String,
        status: &str,
        all: &[ParticipantView],
    ) -> Meeting {
        Meeting::told((number, title), status, None, all)
    }

    fn told(
        (conference, title): (String, String),
        status: &str,
        id: Option<String>,
        all: &[ParticipantView],
    ) -> Meeting {
        let participants = all.iter().map(attendee).collect();
        let (status, start_at, locked) = (status.to_owned(), None, false);
        Meeting { conference, id, status, start_at, title, locked, participants }
    }
}

fn attendee(view: &ParticipantView) -> Attendee {
    let status = match view.standing {
        Standing::Waiting => "waiting",
        Standing::Calling => "calling",
        Standing::Alerting => "ringing",
        Standing::Joined => "joined",
        Standing::Left => "left",
    };
    Attendee {
        leg: view.leg.to_string(),
        number: view.as_sent.clone(),
        name: view.name.clone(),
        status: status.to_owned(),
        muted: view.muted,
        deaf: view.deaf,
        talks: view.talks,
        call: view.call.map(|call| call.to_string()),
        joined: view.joined.map(instant),
        left: view.left.map(instant),
        reason: view.failure.map(reason),
    }
}
