//! Request bodies of system 001: JSON with any content type, numbers as strings or numbers.

use std::time::Duration;

use facts::{CallId, LegNo, UnixMillis};
use serde_json::{Map, Value};

use super::answer::Code;
use super::id::{call_of_request_id, leg_of_request_id};
use crate::clock;

/// Shortest talk limit that a merchant may set; shorter ones are raised to it.
pub const CREDIT_MIN: Duration = Duration::from_secs(60);
/// Ring time of a leg when none is given.
pub const RING_DEFAULT: Duration = Duration::from_secs(60);
/// Longest `credit` taken at its word: a day.
const CREDIT_MAX: u64 = 86_400;
/// Longest `customParm`, characters.
const CUSTOM_MAX: usize = 128;
/// Longest code.
const CODE_MAX: usize = 19;
/// How often a code is said when the request does not tell.
const TIMES_DEFAULT: u8 = 2;
/// Longest telephone number as written, characters.
const NUMBER_MAX: usize = 40;
/// Longest `requestId` accepted.
const REQUEST_ID_MAX: usize = 64;
/// Records of one page at most.
const PAGE_MAX: u32 = 1000;

/// What a URL asks for, by its last part; spelling and capitals as the system has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// `call/DailbackCall.wx`
    DailbackCall,
    /// `call/CallCdr.wx`
    CallCdr,
    /// `account/getBlance.wx`
    GetBlance,
    /// `call/CodeCallOut.wx`
    CodeCallOut,
    /// `call/NoticeCall.wx`
    NoticeCall,
    /// `call/TeleMeeting.wx`
    TeleMeeting,
    /// `call/MeetingQuery.wx`
    MeetingQuery,
}

impl Function {
    /// Reads the path's `{func}/{name}`; capitals do not matter.
    #[must_use]
    pub fn read(func: &str, name: &str) -> Option<Function> {
        let path = format!("{func}/{name}").to_ascii_lowercase();
        Some(match path.as_str() {
            "call/dailbackcall.wx" => Function::DailbackCall,
            "call/callcdr.wx" => Function::CallCdr,
            "account/getblance.wx" => Function::GetBlance,
            "call/codecallout.wx" => Function::CodeCallOut,
            "call/noticecall.wx" => Function::NoticeCall,
            "call/telemeeting.wx" => Function::TeleMeeting,
            "call/meetingquery.wx" => Function::MeetingQuery,
            _ => return None,
        })
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Function::DailbackCall => "DailbackCall",
            Function::CallCdr => "CallCdr",
            Function::GetBlance => "getBlance",
            Function::CodeCallOut => "CodeCallOut",
            Function::NoticeCall => "NoticeCall",
            Function::TeleMeeting => "TeleMeeting",
            Function::MeetingQuery => "MeetingQuery",
        }
    }

    /// The actions that it knows.
    const fn actions(self) -> &'static [&'static str] {
        match self {
            Function::DailbackCall => &["callDailBack", "hangupCall"],
            Function::CallCdr => &["getCdrByResId", "getCdrByTime"],
            Function::GetBlance => &["queryBlance"],
            Function::CodeCallOut => &["callOutCode"],
            Function::NoticeCall => &["templateNoticeCall"],
            Function::TeleMeeting => &[
                "createMeeting",
                "inviteMeeting",
                "muteMeeting",
                "unmuteMeeting",
                "kickMeeting",
                "closeMeeting",
            ],
            Function::MeetingQuery => &["queryMeeting"],
        }
    }
}

/// A request that is whole: action known, required fields there. Values are not looked at yet, because
/// the app is checked before them.
#[derive(Clone, Debug)]
pub struct Action {
    /// The word of the `action` field.
    pub name: &'static str,
    /// The app it comes from.
    pub appid: String,
    fields: Map<String, Value>,
}

/// `callDailBack`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DailBack {
    /// First leg, as sent.
    pub src: String,
    /// Second leg, as sent.
    pub dst: String,
    /// Longest talk time.
    pub credit: Option<Duration>,
    /// Echoed in the record.
    pub custom: String,
    /// Number to show to `src`.
    pub src_shown: Option<String>,
    /// Number to show to `dst`.
    pub dst_shown: Option<String>,
    /// How long `src` may ring.
    pub src_ring: Duration,
    /// How long `dst` may ring.
    pub dst_ring: Duration,
}

/// `callOutCode`.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeOut {
    /// Whom to ring, as sent.
    pub dst: String,
    /// What to say: letters and digits. It stands in no log.
    pub code: String,
    /// How often.
    pub times: u8,
    /// Number to show.
    pub shown: Option<String>,
    /// Echoed in the record.
    pub custom: String,
}

impl std::fmt::Debug for CodeOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CodeOut { dst, times, .. } = self;
        f.debug_struct("CodeOut").field("dst", dst).field("times", times).finish_non_exhaustive()
    }
}

/// `hangupCall`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HangUp {
    /// Which call.
    pub call: CallId,
}

/// Which records `getCdrByResId` wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CdrPage {
    /// Exactly this one; `None` when no call of ours can bear the id. The leg tells participants of a conference apart.
    One(Option<(CallId, LegNo)>),
    /// Up to `limit` records after this one, or from the first.
    After(Option<(CallId, LegNo)>, u32),
    /// All of an hour: first instant, and first instant after it.
    Hour(UnixMillis, UnixMillis),
    /// Nothing can match: an id that no call of ours can bear.
    Nothing,
}

/// A record query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// Function id.
    pub fid: u8,
    /// Which.
    pub page: CdrPage,
}

/// Reads a body: JSON (-4), action (-3), required fields (-2), in that order.
///
/// # Errors
/// The code to answer with.
pub fn parse_body(function: Function, body: &[u8]) -> Result<Action, Code> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(Code::BadJson);
    };
    let given = fields.get("action").and_then(Value::as_str).unwrap_or_default();
    let name = function.actions().iter().find(|name| **name == given).ok_or(Code::BadAction)?;
    let required: &[&str] = match *name {
        "callDailBack" => &["appid", "src", "dst"],
        "hangupCall" => &["appid", "requestId"],
        "getCdrByResId" => &["appid", "fid", "lastresid"],
        "getCdrByTime" => &["appid", "fid", "pdate", "ptime"],
        "callOutCode" => &["appid", "dst", "code"],
        "templateNoticeCall" => &["appid", "dst", "templateId"],
        "createMeeting" => &["appid", "creator"],
        "muteMeeting" | "unmuteMeeting" | "kickMeeting" => &["appid", "confid", "phone"],
        "inviteMeeting" | "closeMeeting" | "queryMeeting" => &["appid", "confid"],
        _ => &["appid"],
    };
    let action = Action { name, appid: String::new(), fields };
    if required.iter().any(|field| action.word(field).is_none_or(|word| word.is_empty())) {
        return Err(Code::ParamMissing);
    }
    let appid = action.word("appid").unwrap_or_default();
    Ok(Action { appid, ..action })
}

impl Action {
    /// The values of `callDailBack`. `strict` refuses a `credit` that is not above 60 instead of raising it.
    ///
    /// # Errors
    /// -101 or -102.
    pub fn dail_back(&self, strict: bool) -> Result<DailBack, Code> {
        let credit = match self.number("credit")? {
            None => None,
            Some(0..=60) if strict => return Err(Code::BadValue),
            Some(seconds) => Some(Duration::from_secs(seconds.min(CREDIT_MAX)).max(CREDIT_MIN)),
        };
        let custom = self.custom()?;
        Ok(DailBack {
            src: self.phone("src")?.ok_or(Code::BadPhone)?,
            dst: self.phone("dst")?.ok_or(Code::BadPhone)?,
            credit,
            custom,
            src_shown: self.phone("srcclid")?,
            dst_shown: self.phone("dstclid")?,
            src_ring: self.ring("srctimeout")?,
            dst_ring: self.ring("dsttimeout")?,
        })
    }

    /// The values of `callOutCode`.
    ///
    /// # Errors
    /// -101 or -102.
    pub fn code_out(&self) -> Result<CodeOut, Code> {
        let code = self.word("code").unwrap_or_default();
        if code.len() > CODE_MAX || !code.bytes().all(|sign| sign.is_ascii_alphanumeric()) {
            return Err(Code::BadValue);
        }
        let times = self.times()?;
        Ok(CodeOut {
            dst: self.phone("dst")?.ok_or(Code::BadPhone)?,
            code,
            times,
            shown: self.phone("dstclid")?,
            custom: self.custom()?,
        })
    }

    /// How often something is said.
    pub(super) fn times(&self) -> Result<u8, Code> {
        match self.number("time")? {
            None => Ok(TIMES_DEFAULT),
            Some(times @ 1..=3) => u8::try_from(times).map_err(|_| Code::BadValue),
            Some(_) => Err(Code::BadValue),
        }
    }

    pub(super) fn custom(&self) -> Result<String, Code> {
        let custom = self.word("customParm").unwrap_or_default();
        if custom.chars().count() > CUSTOM_MAX { Err(Code::BadValue) } else { Ok(custom) }
    }

    /// The value of `hangupCall`.
    ///
    /// # Errors
    /// -101 when it is no id of ours.
    pub fn hang_up(&self) -> Result<HangUp, Code> {
        let id = self.word("requestId").unwrap_or_default();
        call_of_request_id(&id).map(|call| HangUp { call }).ok_or(Code::BadValue)
    }

    /// The values of `getCdrByResId` and `getCdrByTime`.
    ///
    /// # Errors
    /// -101.
    pub fn query(&self) -> Result<Query, Code> {
        let fid =
            self.number("fid")?.and_then(|fid| u8::try_from(fid).ok()).ok_or(Code::BadValue)?;
        let page = if self.name == "getCdrByTime" {
            let day = self.word("pdate").unwrap_or_default();
            let hour = self.word("ptime").unwrap_or_default();
            let (from, to) = clock::hour_of(&day, &hour).ok_or(Code::BadValue)?;
            CdrPage::Hour(from, to)
        } else {
            let last = self.word("lastresid").unwrap_or_default();
            if last.len() > REQUEST_ID_MAX {
                return Err(Code::BadValue);
            }
            let call = leg_of_request_id(&last);
            match (self.number("limit")?.unwrap_or(u64::from(PAGE_MAX)), call) {
                (0, call) => CdrPage::One(call),
                (limit, None) if last == "0" => CdrPage::After(None, page(limit)),
                (_, None) => CdrPage::Nothing,
                (limit, call) => CdrPage::After(call, page(limit)),
            }
        };
        Ok(Query { fid, page })
    }

    /// A field as it came.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// A text, or a number written as one.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A whole number, or a text that is one; empty counts as absent.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Code> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => match self.word(name) {
                Some(word) if word.is_empty() => Ok(None),
                Some(word) => word.parse().map(Some).map_err(|_| Code::BadValue),
                None => Err(Code::BadValue),
            },
        }
    }

    /// A telephone number as written; empty counts as absent.
    pub(super) fn phone(&self, name: &str) -> Result<Option<String>, Code> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => match self.word(name) {
                Some(word) if word.is_empty() => Ok(None),
                Some(word) if is_phone(&word) => Ok(Some(word)),
                _ => Err(Code::BadPhone),
            },
        }
    }

    fn ring(&self, name: &str) -> Result<Duration, Code> {
        match self.number(name)? {
            None => Ok(RING_DEFAULT),
            Some(seconds @ 10..=120) => Ok(Duration::from_secs(seconds)),
            Some(_) => Err(Code::BadValue),
        }
    }
}

fn page(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(PAGE_MAX).min(PAGE_MAX)
}

/// Digits with the usual separators, and at most one leading plus.
pub(super) fn is_phone(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let rest = word.strip_prefix('+').unwrap_or(word);
    (3..=20).contains(&digits)
        && word.len() <= NUMBER_MAX
        && rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'(' | b')'))
}
