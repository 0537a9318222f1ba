//! `App.Sip_Yccall`: tasks, which dial lists of numbers for agents (merchant API §4.9).

use std::time::Duration;

use facts::UnixMillis;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::code::Code;
use super::fault::Fault;
use super::json::Json;
use super::rules::Rules;
use crate::clock;

/// Numbers of one request, at most.
pub const NUMBERS_MAX: usize = 10_000;
/// Longest `telphone`, bytes.
const LIST_MAX: i64 = 4 * 1024 * 1024;
/// Longest list of agents, or of numbers to show.
const WORDS_MAX: i64 = 4_096;
/// Longest name of a task, and of whatever is only echoed.
const ECHO_MAX: i64 = 64;
/// Calls at a time, when none is said and at most.
const CONCURRENT: (i64, i64) = (100, 1_000);
/// The most lines for an agent.
const SCALE_MAX: u32 = 10_000;
/// A `scheduledtime` may lie so far back: whoever asks has a clock of his own.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Rows of a page, at most.
const PAGE_MAX: i64 = 1_000;

/// Who takes the calls of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Agents {
    /// Extensions, by their numbers.
    Extensions(Vec<String>),
    /// A group, by its name.
    Group(String),
}

/// A number of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phone {
    /// As it is to come back: without blanks, `+` and `-`.
    pub phone: String,
    /// Not before.
    pub time: Option<UnixMillis>,
    /// `userid`, `memberid`, `customuuid`, `ext`: as sent.
    pub echo: [String; 4],
}

/// A task that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTask<'a> {
    /// Who takes the calls.
    pub agents: Agents,
    /// Whom to call, for [`phones_of`].
    pub list: &'a str,
    /// Lines for each free agent, in thousandths.
    pub scale: u32,
    /// The ratio is found out.
    pub predicts: bool,
    /// Calls at a time.
    pub concurrent: u32,
    /// Starts then.
    pub scheduled: Option<UnixMillis>,
    /// Pauses then.
    pub paused: Option<UnixMillis>,
    /// Numbers to show, as sent; none: any of the company's.
    pub disnumbers: Vec<String>,
    /// Its name.
    pub name: String,
    /// It starts at once, unless it is scheduled.
    pub starts: bool,
}

/// What `TaskSet` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// 1.
    Start,
    /// 2.
    Pause,
    /// 3.
    Cancel,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Rows of it.
    pub rows: u32,
}

impl<'a> NewTask<'a> {
    /// Reads `TaskCreat`: first what the framework says of the parameters, then what the service says; its list is not read yet.
    ///
    /// # Errors
    /// The framework's word, or the service's.
    pub fn read(rules: Rules<'a>) -> Result<Result<NewTask<'a>, Code>, Fault> {
        let kind = rules.int("assigntype", (1, 3))?;
        let agents = rules.text("assignagent", (1, WORDS_MAX))?;
        let list = rules.text("telphone", (1, LIST_MAX))?;
        let scale = rules.maybe("taskscale", ECHO_MAX)?;
        let concurrent = rules.int_or("concurrent", CONCURRENT.0, (1, CONCURRENT.1))?;
        let scheduled = rules.maybe("scheduledtime", ECHO_MAX)?;
        let paused = rules.maybe("pausedtime", ECHO_MAX)?;
        let predicts = rules.word("isscale", &["manual", "auto"])? == "auto";
        let disnumbers = words(rules.maybe("disnumber", WORDS_MAX)?);
        let name = rules.maybe("taskname", ECHO_MAX)?.to_owned();
        let starts = rules.int_or("status", 1, (0, 2))? == 1;
        let whole = || {
            Ok(NewTask {
                agents: match (kind, words(agents)) {
                    (1, extensions) if !extensions.is_empty() => Agents::Extensions(extensions),
                    (2 | 3, groups) if groups.len() == 1 => Agents::Group(groups.concat()),
                    _ => return Err(Code::Bad("assignagent")),
                },
                list,
                scale: scale_of(scale).ok_or(Code::Bad("taskscale"))?,
                predicts,
                concurrent: u32::try_from(concurrent).unwrap_or(1),
                scheduled: instant(("scheduledtime", scheduled))?,
                paused: instant(("pausedtime", paused))?,
                disnumbers,
                name,
                starts,
            })
        };
        Ok(whole())
    }
}

impl NewTask<'_> {
    /// Its instants lie ahead, and in order; `scheduledtime` may be as late as clocks differ.
    ///
    /// # Errors
    /// 1002: a task of yesterday is a mistake, and would dial at once.
    pub fn timely(self, now: UnixMillis) -> Result<Self, Code> {
        let past = self.scheduled.is_some_and(|at| at < now - LATE_MAX);
        let over = self.paused.is_some_and(|at| at <= self.scheduled.unwrap_or(now).max(now));
        match (past, over) {
            (true, _) => Err(Code::Bad("scheduledtime")),
            (false, true) => Err(Code::Bad("pausedtime")),
            (false, false) => Ok(self),
        }
    }
}

/// Reads `TaskAdd`: which task, and its further numbers, for [`phones_of`].
///
/// # Errors
/// The framework's word.
pub fn read_add<'a>(rules: Rules<'a>) -> Result<(String, &'a str), Fault> {
    let task = task_of(rules)?;
    Ok((task, rules.text("telphone", (1, LIST_MAX))?))
}

/// Reads `TaskSet`: which task, and what is to become of it.
///
/// # Errors
/// The framework's word.
pub fn read_set(rules: Rules<'_>) -> Result<(String, Turn), Fault> {
    let task = task_of(rules)?;
    let turn = match rules.int("taskstatus", (1, 3))? {
        1 => Turn::Start,
        2 => Turn::Pause,
        _ => Turn::Cancel,
    };
    Ok((task, turn))
}

/// `taskid`.
///
/// # Errors
/// The framework's word.
pub fn task_of(rules: Rules<'_>) -> Result<String, Fault> {
    rules.text("taskid", (1, ECHO_MAX)).map(str::to_owned)
}

/// `currentpage` and `itemsperpage`.
///
/// # Errors
/// The framework's word.
pub fn page_of(rules: Rules<'_>) -> Result<Page, Fault> {
    let number = rules.int_or("currentpage", 1, (1, 1_000_000))?;
    let rows = rules.int_or("itemsperpage", 10, (1, PAGE_MAX))?;
    let small = |value| u32::try_from(value).unwrap_or(1);
    Ok(Page { number: small(number), rows: small(rows) })
}

/// The id of a task that is made now. `draw`: any number.
#[must_use]
pub fn task_id(now: UnixMillis, draw: u32) -> String {
    format!("{}{:06}", clock::compact(now), draw % 1_000_000)
}

/// How a task stands, for answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// `taskid`.
    pub id: String,
    /// `taskname`.
    pub name: String,
    /// Where it stands: one of the four codes of tasks.
    pub state: Code,
    /// When it was made.
    pub created: UnixMillis,
    /// Numbers: all, not called yet, being called, called, who cannot be called.
    pub numbers: [u64; 5],
    /// Customers who answered, those who spoke with an agent, and those who waited for one in vain: of a notice nobody.
    pub answered: [u64; 3],
}

impl Told {
    /// As the services write it; `phones` where they are wanted.
    #[must_use]
    pub fn json(&self, phones: Option<Json>) -> Json {
        let [total, waiting, calling, called, failed] = self.numbers;
        let [answered, connected, abandoned] = self.answered;
        let members = [
            ("taskid", (&self.id).into()),
            ("taskname", (&self.name).into()),
            ("status", self.state.number().into()),
            ("createtime", clock::seconds(self.created).into()),
            ("total", total.into()),
            ("uncalled", waiting.into()),
            ("calling", calling.into()),
            ("called", called.into()),
            ("failed", failed.into()),
            ("answered", answered.into()),
            ("connected", connected.into()),
            ("abandoned", abandoned.into()),
        ];
        Json::object(members.into_iter().chain(phones.map(|phones| ("phones", phones))))
    }
}

/// A number as a client writes it: alone, or with what goes back with it.
enum Written {
    Number(String),
    Row(Row),
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Row {
    phone: Text,
    time: Text,
    userid: Text,
    memberid: Text,
    customuuid: Text,
    ext: Text,
}

/// Clients write numbers as strings and as numbers.
#[derive(Default)]
struct Text(String);

// By hand: what serde makes for an untagged enumeration keeps the whole value first, whatever it is.
impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Written, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Written;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or an object with one")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
                Ok(Written::Number(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Row::deserialize(MapAccessDeserializer::new(map)).map(Written::Row)
            }
        }
        from.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
        }
        from.deserialize_any(Either)
    }
}

/// Reads a list, number by number, until one is wrong or they are too many.
struct List;

impl<'de> Visitor<'de> for List {
    type Value = Vec<Phone>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Phone>, A::Error> {
        let mut phones = Vec::new();
        while let Some(written) = list.next_element::<Written>()? {
            if phones.len() == NUMBERS_MAX {
                return Err(A::Error::custom("too many"));
            }
            phones.push(phone(written).map_err(|_| A::Error::custom("no number"))?);
        }
        Ok(phones)
    }
}

/// All numbers of `telphone`, or what is wrong: then none is taken. A list of some MiB takes longer than a thread that others
/// wait for should.
///
/// # Errors
/// 1002
pub fn phones_of(text: &str) -> Result<Vec<Phone>, Code> {
    let mut from = serde_json::Deserializer::from_str(text);
    let bad = Code::Bad("telphone");
    let phones = from.deserialize_seq(List).map_err(|_| bad)?;
    from.end().map_err(|_| bad)?;
    if phones.is_empty() { Err(bad) } else { Ok(phones) }
}

fn phone(written: Written) -> Result<Phone, Code> {
    let row = match written {
        Written::Row(row) => row,
        Written::Number(number) => Row { phone: Text(number), ..Row::default() },
    };
    let echo = [row.userid, row.memberid, row.customuuid, row.ext].map(|text| text.0);
    let phone: String =
        row.phone.0.chars().filter(|c| !c.is_whitespace() && !matches!(c, '+' | '-')).collect();
    let digits = (1..=20).contains(&phone.len()) && phone.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || echo.iter().any(|text| text.len() > 256) {
        return Err(Code::Bad("telphone"));
    }
    Ok(Phone { phone, time: instant(("telphone", &row.time.0))?, echo })
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// `1:2.5` is two and a half lines for an agent; empty is `1:1`.
fn scale_of(text: &str) -> Option<u32> {
    let text = text.trim();
    if text.is_empty() {
        return Some(1_000);
    }
    let (agents, lines) = text.split_once(':')?;
    let thousandths = |text: &str| {
        let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = |text: &str| text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return None;
        }
        let part: u32 = format!("{part:0<3}").parse().ok()?;
        Some(whole.parse::<u32>().ok()? * 1_000 + part)
    };
    let (agents, lines) = (thousandths(agents)?, thousandths(lines)?);
    let scale = (lines * 1_000).checked_div(agents)?;
    (1_000..=SCALE_MAX).contains(&scale).then_some(scale)
}

fn instant((name, text): (&'static str, &str)) -> Result<Option<UnixMillis>, Code> {
    match text.trim() {
        "" => Ok(None),
        text => clock::parse_seconds(text).map(Some).ok_or(Code::Bad(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Params;
    use super::*;

    fn params(more: &[(&'static str, &str)]) -> Params {
        let mut params = Params::default();
        let base = [
            ("assigntype", "3"),
            ("assignagent", "sales"),
            ("telphone", r#"[{"phone":"13800138000","customuuid":"o1","memberid":7}]"#),
        ];
        for (name, value) in base.iter().chain(more) {
            params.set(name, (*value).to_owned());
        }
        params
    }

    const MORE: &[(&str, &str)] = &[
        ("assigntype", "1"),
        ("assignagent", "8001, 8002"),
        ("telphone", r#"["+86 138-0013-8000",{"phone":13900139000,"time":"2026-01-15 09:30:00"}]"#),
        ("taskscale", "1:2.5"),
        ("isscale", "auto"),
        ("concurrent", "7"),
        ("scheduledtime", "2026-01-15 09:30:00"),
        ("status", "0"),
    ];

    #[test]
    fn s4_9_a_task_with_what_clients_leave_out() {
        let params = [params(&[]), params(MORE)];
        let read = |params| NewTask::read(Rules(params)).unwrap().unwrap();
        let task = read(&params[0]);
        let echo = ["", "7", "o1", ""].map(str::to_owned);
        assert_eq!(
            phones_of(task.list).unwrap(),
            [Phone { phone: "13800138000".into(), time: None, echo }]
        );
        assert_eq!(task.agents, Agents::Group("sales".into()));
        assert_eq!(
            (task.scale, task.predicts, task.concurrent, task.starts),
            (1_000, false, 100, true)
        );
        let task = read(&params[1]);
        let phones = phones_of(task.list).unwrap();
        assert_eq!(task.agents, Agents::Extensions(vec!["8001".into(), "8002".into()]));
        assert_eq!(phones[0].phone, "8613800138000");
        let at = Some(UnixMillis(1_768_440_600_000));
        assert_eq!((phones[1].time, task.scheduled, task.paused), (at, at, None));
        assert_eq!(
            (task.scale, task.predicts, task.concurrent, task.starts),
            (2_500, true, 7, false)
        );
    }

    #[test]
    fn s4_9_one_bad_number_and_none_is_taken() {
        let many = format!("[{}]", vec!["\"13800138000\""; NUMBERS_MAX + 1].join(","));
        for list in [
            "x",
            "{}",
            "[]",
            r#"["1a"]"#,
            r#"[{"phone":""}]"#,
            r#"["1",{"time":"soon"}]"#,
            &many,
            r#"["1",7]"#,
            r#"[{"phone":[1]}]"#,
            r#"["1"] x"#,
        ] {
            assert_eq!(phones_of(list), Err(Code::Bad("telphone")), "{list:.40}");
        }
        let read = |more: &[(&'static str, &str)]| {
            NewTask::read(Rules(&params(more))).map(|read| read.map(drop))
        };
        for (name, value) in [
            ("assignagent", "a,b"),
            ("taskscale", "2"),
            ("taskscale", "1:0"),
            ("taskscale", "0:1"),
            ("taskscale", "1:11"),
            ("pausedtime", "tomorrow"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap(), Err(Code::Bad(name)), "{name} {value}");
        }
        let fault = |name, value| read(&[(name, value)]).unwrap_err().msg(super::super::Lang::Zh);
        assert_eq!(
            fault("assigntype", "4"),
            "非法请求：assigntype应该小于等于3, 但现在assigntype = 4"
        );
        assert_eq!(
            fault("isscale", "x"),
            "非法请求：参数isscale应该为：manual/auto，但现在isscale = x"
        );
    }

    #[test]
    fn s4_9_a_list_is_read_as_far_as_the_first_that_is_too_many() {
        // Whatever stands behind it is not even looked at: it would not be JSON.
        let many = |count: usize| vec!["\"13800138000\""; count].join(",");
        let error = |text: &str| {
            serde_json::Deserializer::from_str(text).deserialize_seq(List).unwrap_err().to_string()
        };
        let told = error(&format!("[{},what", many(NUMBERS_MAX + 1)));
        assert!(told.starts_with("too many"), "{told}");
        assert!(error("[\"1a\",what").starts_with("no number"));
        assert_eq!(phones_of(&format!("[{}]", many(NUMBERS_MAX))).unwrap().len(), NUMBERS_MAX);
        // Of an object with more than is asked for nothing is kept.
        let rest = r#"[{"phone":"138","x":[[1],{"":0}],"userid":null}]"#;
        assert_eq!(phones_of(rest).unwrap()[0].phone, "138");
    }

    #[test]
    fn s4_9_an_id_is_fourteen_digits_of_time_and_six_more() {
        assert_eq!(task_id(UnixMillis(1_768_440_600_000), 12_345_678), "20260115093000345678");
        assert_eq!(task_id(UnixMillis(1_768_440_600_000), 7), "20260115093000000007");
    }
}
