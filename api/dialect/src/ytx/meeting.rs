//! `TeleMeeting.wx` and `MeetingQuery.wx`: conferences as system 001 asks for them, and the answers.

use std::time::Duration;

use facts::UnixMillis;
use facts::conference::{LEGS_MAX, NAME_MAX, ParticipantView, Standing};
use serde_json::Value;

use super::answer::Code;
use super::push::{object, text};
use super::request::{Action, is_phone};
use crate::clock;

/// Digits of a `confid`.
const CONFID_LEN: usize = 6;
/// A `booktime` may lie so far back: whoever asks has a clock of his own.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Nobody books for later than this.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);

/// `createMeeting`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateMeeting {
    /// What it is called.
    pub title: String,
    /// Rung first, as sent.
    pub creator: String,
    /// The others: name and number as sent.
    pub parties: Vec<Invited>,
    /// Number to show to the creator.
    pub creator_shown: Option<String>,
    /// Number to show to the others.
    pub shown: Option<String>,
    /// The id that is wished.
    pub confid: Option<String>,
    /// When it is to begin, if not now.
    pub at: Option<UnixMillis>,
    /// A tone tells who comes and goes.
    pub tones: bool,
    /// Echoed in the records.
    pub custom: String,
}

/// Somebody who is to be rung.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invited {
    /// His name.
    pub name: String,
    /// His number, as sent.
    pub phone: String,
}

impl Action {
    /// The values of `createMeeting`.
    ///
    /// # Errors
    /// -101 or -102.
    pub fn create_meeting(&self, now: UnixMillis) -> Result<CreateMeeting, Code> {
        let shown = self.phone("shownumber")?;
        let confid = self.word("confid").filter(|confid| !confid.is_empty());
        if confid.as_ref().is_some_and(|confid| !is_confid(confid)) {
            return Err(Code::BadValue);
        }
        Ok(CreateMeeting {
            title: self.name("meetingname")?,
            creator: self.phone("creator")?.ok_or(Code::BadPhone)?,
            parties: self.parties()?,
            creator_shown: self.phone("srcclid")?.or_else(|| shown.clone()),
            shown: self.phone("dstclid")?.or(shown),
            confid,
            at: self.booked_for(now)?,
            tones: self.flag("tones")?,
            custom: self.custom()?,
        })
    }

    /// Those whom `inviteMeeting` asks for.
    ///
    /// # Errors
    /// -101 or -102.
    pub fn invited(&self) -> Result<Vec<Invited>, Code> {
        let parties = self.parties()?;
        if parties.is_empty() { Err(Code::BadValue) } else { Ok(parties) }
    }

    /// The `confid` of whichever request is about a conference that there is.
    ///
    /// # Errors
    /// -101 where there can be none.
    pub fn confid(&self) -> Result<String, Code> {
        self.word("confid").filter(|confid| is_confid(confid)).ok_or(Code::BadValue)
    }

    /// Whom `muteMeeting`, `unmuteMeeting` and `kickMeeting` mean.
    ///
    /// # Errors
    /// -102.
    pub fn member(&self) -> Result<String, Code> {
        self.phone("phone")?.ok_or(Code::BadPhone)
    }

    /// `[{"name", "phone"}]`, or the same written as a text.
    fn parties(&self) -> Result<Vec<Invited>, Code> {
        let written;
        let list = match self.field("parties") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
            Some(Value::String(text)) => {
                written = serde_json::from_str::<Vec<Value>>(text).map_err(|_| Code::BadValue)?;
                &written
            }
            Some(_) => return Err(Code::BadValue),
        };
        // The creator is one of them.
        if list.len() >= LEGS_MAX {
            return Err(Code::BadValue);
        }
        list.iter().map(party).collect()
    }

    fn name(&self, field: &str) -> Result<String, Code> {
        named(self.word(field).unwrap_or_default())
    }

    fn flag(&self, field: &str) -> Result<bool, Code> {
        match self.number(field)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(Code::BadValue),
        }
    }

    fn booked_for(&self, now: UnixMillis) -> Result<Option<UnixMillis>, Code> {
        let time = self.word("booktime").unwrap_or_default();
        // Who names an instant does not mean now, whether he says or not that it is a booking; who says that it is none
        // has to make up his mind.
        match self.number("bookmeeting")? {
            None | Some(0) if time.is_empty() => return Ok(None),
            None | Some(1) => {}
            Some(_) => return Err(Code::BadValue),
        }
        let at = clock::parse_seconds(&time).ok_or(Code::BadValue)?;
        if at < now - LATE_MAX || at > now + AHEAD_MAX { Err(Code::BadValue) } else { Ok(Some(at)) }
    }
}

fn party(value: &Value) -> Result<Invited, Code> {
    let Value::Object(fields) = value else { return Err(Code::BadValue) };
    let word = |field: &str| match fields.get(field) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let phone = word("phone");
    if !is_phone(&phone) {
        return Err(Code::BadPhone);
    }
    Ok(Invited { name: named(word("name"))?, phone })
}

fn named(name: String) -> Result<String, Code> {
    if name.chars().count() > NAME_MAX { Err(Code::BadValue) } else { Ok(name) }
}

fn is_confid(text: &str) -> bool {
    text.len() == CONFID_LEN && text.bytes().all(|b| b.is_ascii_digit())
}

/// The answer of a conference that was created.
#[must_use]
pub fn created(request_id: &str, confid: &str) -> String {
    object(&[
        ("statusCode", text("0")),
        ("statusMsg", text("提交成功")),
        ("requestId", text(request_id)),
        ("confid", text(confid)),
    ])
}

/// The answer of `queryMeeting`. `state`: `on`, `booked`, `off`, `missed` or `refused`.
#[must_use]
pub fn meeting_answer(confid: &str, state: &str, parties: &[ParticipantView]) -> String {
    let rows: Vec<String> = parties.iter().map(row).collect();
    object(&[
        ("statusCode", text("0")),
        ("statusMsg", text("查询成功")),
        ("confid", text(confid)),
        ("state", text(state)),
        ("parties", format!("[{}]", rows.join(","))),
    ])
}

fn row(one: &ParticipantView) -> String {
    let state = match one.standing {
        Standing::Waiting => "waiting",
        Standing::Calling => "calling",
        Standing::Alerting => "alerting",
        Standing::Joined if one.muted => "muted",
        Standing::Joined => "joined",
        Standing::Left => "left",
    };
    let time = |at: Option<UnixMillis>| text(&at.map(clock::seconds).unwrap_or_default());
    object(&[
        ("name", text(&one.name)),
        ("phone", text(&one.as_sent)),
        ("state", text(state)),
        ("stime", time(one.joined)),
        ("etime", time(one.left)),
    ])
}

#[cfg(test)]
mod tests {
    use facts::LegNo;

    use super::*;

    #[test]
    fn s3_6_answers_byte_for_byte() {
        assert_eq!(
            created("20200437755840048670965760500", "516152"),
            r#"{"statusCode":"0","statusMsg":"提交成功","requestId":"20200437755840048670965760500","confid":"516152"}"#
        );
        let one = |standing, muted| ParticipantView {
            leg: LegNo::A,
            name: "Li \"x\"".into(),
            as_sent: "13810603954".into(),
            standing,
            muted,
            deaf: false,
            talks: true,
            call: None,
            joined: Some(UnixMillis(1_768_440_600_000)),
            left: None,
            failure: None,
        };
        let answer = meeting_answer("516152", "on", &[one(Standing::Joined, true)]);
        assert_eq!(
            answer,
            r#"{"statusCode":"0","statusMsg":"查询成功","confid":"516152","state":"on","parties":[{"name":"Li \"x\"","phone":"13810603954","state":"muted","stime":"2026-01-15 09:30:00","etime":""}]}"#
        );
        for (standing, word) in [
            (Standing::Waiting, "waiting"),
            (Standing::Calling, "calling"),
            (Standing::Alerting, "alerting"),
            (Standing::Joined, "joined"),
            (Standing::Left, "left"),
        ] {
            let answer = meeting_answer("516152", "off", &[one(standing, false)]);
            assert!(answer.contains(&format!(r#""state":"{word}""#)), "{answer}");
        }
    }
}
