//! `App.Sip_Status`: how extensions stand (merchant API §4.9).

use super::answer::Answer;
use super::code::Code;
use super::fault::Fault;
use super::json::Json;
use super::push::call_uuid;
use super::rules::Rules;

/// Longest list, bytes.
const LIST_MAX: i64 = 4_096;
/// Extensions of one list at most.
const EXTENSIONS_MAX: usize = 200;

/// Extensions that are asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extensions(pub Vec<String>);

/// How one stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The extension.
    pub extension: String,
    /// What is said of it.
    pub code: Code,
    /// Where its phone is; empty where nobody knows.
    pub client: String,
}

impl Extensions {
    /// Reads the parameter `extnumber`, with commas between.
    ///
    /// # Errors
    /// What the framework says; then that there are too many, or none.
    pub fn read(rules: Rules<'_>) -> Result<Result<Extensions, Code>, Fault> {
        let list = rules.text("extnumber", (1, LIST_MAX))?;
        let numbers = list.split(',').map(str::trim).filter(|number| !number.is_empty());
        let numbers: Vec<String> = numbers.map(str::to_owned).collect();
        let fits = (1..=EXTENSIONS_MAX).contains(&numbers.len());
        Ok(fits.then_some(Extensions(numbers)).ok_or(Code::Bad("extnumber")))
    }
}

/// Whether extensions are registered, and from where.
#[must_use]
pub fn registered(standings: &[Standing]) -> Answer {
    found(standings.iter().map(|standing| {
        Json::object([
            ("extnumber", (&standing.extension).into()),
            ("code", standing.code.number().into()),
            ("clientip", (&standing.client).into()),
            ("serverip", "".into()),
        ])
    }))
}

/// Whether extensions are in use.
#[must_use]
pub fn valid(standings: &[Standing]) -> Answer {
    found(standings.iter().map(|standing| {
        Json::object([
            ("extnumber", (&standing.extension).into()),
            ("code", standing.code.number().into()),
        ])
    }))
}

/// What an extension is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallStatus {
    /// The extension.
    pub extension: String,
    /// What it is at, or why that cannot be said.
    pub code: Code,
    /// Its call, if it is in one.
    pub call: Option<CallOf>,
    /// For how long it has been in none, seconds.
    pub idle_s: u64,
}

/// The call of an extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOf {
    /// Which.
    pub call: facts::CallId,
    /// Whom it is with; empty while there is nobody.
    pub other: String,
    /// It was called by him.
    pub called_in: bool,
    /// The number that is shown.
    pub shown: String,
    /// For how long they have talked, seconds.
    pub talk_s: u64,
}

/// What extensions are at.
#[must_use]
pub fn calls(all: &[CallStatus]) -> Answer {
    found(all.iter().map(|one| {
        let call = one.call.as_ref();
        let own = if call.is_some() { one.extension.as_str() } else { "" };
        let other = call.map_or("", |call| &call.other);
        let (caller, callee, direction) = match call.map(|call| call.called_in) {
            Some(true) => (other, own, "callin"),
            Some(false) => (own, other, "callout"),
            None => ("", "", ""),
        };
        Json::object([
            ("extnumber", (&one.extension).into()),
            ("status", one.code.number().into()),
            ("caller", caller.into()),
            ("callee", callee.into()),
            ("disnumber", call.map_or("", |call| &call.shown).into()),
            ("direction", direction.into()),
            ("channel", call.map_or(String::new(), |call| call_uuid(call.call)).into()),
            ("idleduration", one.idle_s.into()),
            ("callduration", call.map_or(0, |call| call.talk_s).into()),
        ])
    }))
}

fn found(rows: impl Iterator<Item = Json>) -> Answer {
    Answer { desc: ("查询成功", "query succeeded"), result: Some(Json::list(rows)) }
}
