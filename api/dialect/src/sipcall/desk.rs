//! Groups of extensions, who has signed in to them, extensions and numbers of a company: `App.Sip_Extgroup`,
//! `App.Sip_Queue`, `App.Sip_Sipnum`, `App.Sip_Disnum` (merchant API §4.9). A queue is a group.

use facts::UnixMillis;
use facts::station::{Stage, Station};

use super::answer::Answer;
use super::code::Code;
use super::fault::Fault;
use super::json::Json;
use super::rules::Rules;
use crate::clock;

/// Longest name of a group, bytes.
const NAME_MAX: i64 = 64;
/// Longest list of extensions, bytes.
const LIST_MAX: i64 = 4_096;
/// Longest value that is only kept.
const ECHO_MAX: i64 = 64;

/// A group that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// It may be rung.
    pub enabled: bool,
}

impl NewGroup {
    /// Reads `AddExtgroup`. `status`: 1 in use, 0 and 2 not.
    ///
    /// # Errors
    /// The framework's word; then that it is no name: one that `KEY@GROUP` cannot say is none.
    pub fn read(rules: Rules<'_>) -> Result<Result<NewGroup, Code>, Fault> {
        let name = rules.text("name", (1, NAME_MAX))?.trim();
        let enabled = rules.int_or("status", 1, (0, 2))? == 1;
        let odd = |c: char| c.is_control() || matches!(c, ';' | '@' | '"' | '\'' | ',');
        let fits = !name.is_empty() && !name.contains(odd);
        Ok(fits.then(|| NewGroup { name: name.to_owned(), enabled }).ok_or(Code::Bad("name")))
    }
}

/// The answer of `AddExtgroup`: the group has a number now, and is found by it as by its name.
#[must_use]
pub fn added(name: &str, number: &str) -> Answer {
    let result = Json::object([("queuename", name.into()), ("queuenumber", number.into())]);
    Answer { result: Some(result), ..Answer::done("添加成功", "added") }
}

/// Reads the name of a group.
///
/// # Errors
/// The framework's word.
pub fn read_group(rules: Rules<'_>) -> Result<String, Fault> {
    rules.text("name", (1, NAME_MAX)).map(|name| name.trim().to_owned())
}

/// What is looked for among the members of groups; empty: all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Name or number of a group.
    pub group: String,
    /// Extensions.
    pub extensions: Vec<String>,
}

impl Wanted {
    /// Reads `GetGroupExt`, whose group is `name`, or `GetQueueSipStatus`, whose group is `queuename`.
    ///
    /// # Errors
    /// The framework's word.
    pub fn read(rules: Rules<'_>, name: &'static str) -> Result<Wanted, Fault> {
        let group = rules.maybe(name, NAME_MAX)?.trim().to_owned();
        Ok(Wanted { group, extensions: words(rules.maybe("extnumber", LIST_MAX)?) })
    }

    /// Is this extension one of them?
    #[must_use]
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.is_empty() || self.extensions.iter().any(|one| one == extension)
    }
}

/// Somebody who signs in or out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignAsked {
    /// Who.
    pub extension: String,
    /// Name or number of the group.
    pub group: String,
    /// What the merchant says with it.
    pub crmid: String,
}

impl SignAsked {
    /// Reads `SipSignIn` and `SipSignOut`.
    ///
    /// # Errors
    /// The framework's word.
    pub fn read(rules: Rules<'_>) -> Result<SignAsked, Fault> {
        Ok(SignAsked {
            extension: rules.text("extnumber", (1, ECHO_MAX))?.trim().to_owned(),
            group: rules.text("queuename", (1, NAME_MAX))?.trim().to_owned(),
            crmid: rules.maybe("crmid", ECHO_MAX)?.to_owned(),
        })
    }
}

/// Which extensions are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sipnumbers {
    /// Those in use (1), those that are not (2); `None`: all (3).
    pub enabled: Option<bool>,
    /// These; empty: all.
    pub extensions: Vec<String>,
}

impl Sipnumbers {
    /// Reads `GetSipnumberInfo`.
    ///
    /// # Errors
    /// The framework's word.
    pub fn read(rules: Rules<'_>) -> Result<Sipnumbers, Fault> {
        let enabled = match rules.int_or("status", 3, (1, 3))? {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        };
        Ok(Sipnumbers { enabled, extensions: words(rules.maybe("extnumber", LIST_MAX)?) })
    }
}

fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A member of a group, now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member<'a> {
    /// The group's name.
    pub group: &'a str,
    /// Its place in the group, from 1; 0: it has signed out.
    pub place: u64,
    /// When it signed in or out; `None`: it is in the operator's list.
    pub signed: Option<UnixMillis>,
    /// What it is at.
    pub station: &'a Station,
}

impl Member<'_> {
    fn stage(&self) -> Option<Stage> {
        let stages = || self.station.calls.iter().map(|call| call.stage);
        stages().find(|stage| *stage == Stage::Talks).or_else(|| stages().next())
    }

    /// `status`: how its call stands.
    fn status(&self) -> &'static str {
        match self.stage() {
            Some(Stage::Talks) => "answer",
            Some(Stage::Rings | Stage::Dials) => "ring",
            None => "hangup",
        }
    }

    /// `state`: whether it can be rung.
    fn state(&self) -> &'static str {
        match self.stage() {
            // Also one whose bound phone it is.
            Some(_) => "busy",
            None if !self.station.registered => "offline",
            None => "idle",
        }
    }

    /// As a code of §4.2.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.stage() {
            Some(Stage::Talks) => Code::Talking,
            Some(Stage::Rings) => Code::Ringing,
            Some(Stage::Dials) => Code::OffHook,
            None if !self.station.registered => Code::Offline,
            None if self.place == 0 => Code::SignedOut,
            None => Code::Idle,
        }
    }

    fn since(&self) -> Json {
        self.signed.map(clock::seconds).unwrap_or_default().into()
    }
}

/// The answer of `GetGroupExt`: nothing but the list.
#[must_use]
pub fn group_members(members: &[Member<'_>]) -> Answer {
    Answer::bare(Json::list(members.iter().map(|member| {
        Json::object([
            ("name", member.group.into()),
            ("extnumber", (&member.station.extension).into()),
            ("status", member.status().into()),
            ("priority", member.place.into()),
            ("linkcount", (member.station.calls.len() as u64).into()),
            ("date", member.since()),
            ("state", member.state().into()),
        ])
    })))
}

/// The answer of `GetQueueSipStatus`.
#[must_use]
pub fn queue_status(members: &[Member<'_>]) -> Answer {
    found(members.iter().map(|member| {
        Json::object([
            ("queuename", member.group.into()),
            ("extnumber", (&member.station.extension).into()),
            ("code", member.code().number().into()),
            ("signtime", member.since()),
        ])
    }))
}

/// A group: its name, its number, how many members it has, and whether it may be rung.
pub type Queue<'a> = (&'a str, &'a str, u64, bool);

/// The answer of `GetQueueList`.
#[must_use]
pub fn queues<'a>(queues: impl Iterator<Item = Queue<'a>>) -> Answer {
    found(queues.map(|(name, number, members, enabled)| {
        Json::object([
            ("queuename", name.into()),
            ("queuenumber", number.into()),
            ("extcount", members.into()),
            ("status", u16::from(enabled).into()),
        ])
    }))
}

/// An extension: its number, its password where that can be told, whether it is in use, whether a phone of it is there, and the number
/// that it shows.
pub type Sipnumber<'a> = (&'a str, &'a str, bool, bool, &'a str);

/// The answer of `GetSipnumberInfo`.
#[must_use]
pub fn sipnumbers<'a>(numbers: impl Iterator<Item = Sipnumber<'a>>) -> Answer {
    found(numbers.map(|(number, password, enabled, registered, shown)| {
        let status = if enabled { Code::Enabled } else { Code::DisabledExtension };
        Json::object([
            ("extnumber", number.into()),
            ("password", password.into()),
            ("status", status.number().into()),
            ("register", if registered { "reg" } else { "nreg" }.into()),
            ("disnumber", shown.into()),
        ])
    }))
}

/// The answer of `GetDisnumberInfo`.
#[must_use]
pub fn disnumbers(numbers: impl Iterator<Item = String>) -> Answer {
    found(numbers.map(|number| {
        let status = Code::NumberEnabled.number();
        Json::object([("disnumber", number.into()), ("status", status.into())])
    }))
}

fn found(rows: impl Iterator<Item = Json>) -> Answer {
    Answer { desc: ("查询成功", "query succeeded"), result: Some(Json::list(rows)) }
}

#[cfg(test)]
mod tests {
    use super::super::Params;
    use super::*;

    #[test]
    fn s4_9_a_group_has_a_name_that_a_menu_can_say() {
        let read = |query: &str| {
            let mut params = Params::default();
            params.form(query.as_bytes());
            NewGroup::read(Rules(&params))
        };
        let group = |enabled| Ok(Ok(NewGroup { name: "extGroup-1".into(), enabled }));
        assert_eq!(read("name=extGroup-1"), group(true));
        assert_eq!(read("name=+extGroup-1+&status=2"), group(false));
        assert_eq!(read(""), Err(Fault::Missing("name")));
        for name in ["a@b", "a;b", "+", "a,b"] {
            assert_eq!(read(&format!("name={name}")), Ok(Err(Code::Bad("name"))), "{name}");
        }
    }
}
