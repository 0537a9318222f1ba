//! `App.Sip_Call.PlayVoice` (merchant API §4.4): rings a number, plays a sound, and leads to a group by a key or
//! without one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::call::Customer;
use super::code::Code;
use super::fault::Fault;
use super::rules::Rules;

/// Longest telephone number as written, bytes.
pub(super) const NUMBER_MAX: i64 = 32;
/// Longest `voicefile`.
const FILE_MAX: i64 = 1_024;
/// Longest `userid`.
pub(super) const USERID_MAX: i64 = 256;
/// Longest value that is only echoed.
pub(super) const ECHO_MAX: i64 = 64;
/// Bounds of `waittime`, seconds; what is beyond them is taken as the nearest.
const WAIT: (i64, i64) = (10, 120);
/// Ring time when none is given, seconds.
const WAIT_DEFAULT: i64 = 60;
/// The longest `conntime`, seconds.
const TALK_MAX: i64 = 3_600;
/// The most entries of `userid`.
const ENTRIES_MAX: usize = 16;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlayVoice {
    /// Whom to ring, as it is to come back: without blanks, `+` and `-`.
    pub destnumber: String,
    /// What is played.
    pub voice: Voice,
    /// Where keys lead.
    pub menu: Menu,
    /// A key is noted, though it leads nowhere.
    pub collect: bool,
    /// The number to show; `None`: any of the company's.
    pub disnumber: Option<String>,
    /// How long it may ring.
    pub ring: Duration,
    /// How long it may last from the answer.
    pub talk: Duration,
    /// What comes back as it was sent.
    pub echo: Echo,
}

/// A sound.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Voice {
    /// A stored one: its name without the ending.
    Stored(String),
    /// What lies behind an address.
    Url(String),
}

/// Where keys lead.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Menu {
    /// Keys, one behind the other, and the name of a group.
    pub keys: Vec<(String, String)>,
    /// The group for whoever presses nothing.
    pub none: Option<String>,
}

/// What a merchant gets back with the record, as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Echo {
    /// `customuuid`.
    pub customuuid: String,
    /// `chengshudu`, also `ext`; empty where neither was given.
    pub chengshudu: String,
    /// `userid`.
    pub userid: String,
    /// `memberid`, where a task has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memberid: String,
    /// `taskid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub taskid: String,
    /// `callmethod`, where a service says it; 0: as the purpose of the call says.
    #[serde(skip_serializing_if = "is_zero")]
    pub method: u16,
    /// The extension that a call was placed for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub extnumber: String,
    /// Which of the two is the customer.
    #[serde(skip_serializing_if = "Customer::is_first")]
    pub customer: Customer,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl PlayVoice {
    /// What makes two requests the same: all that was said but how long it may ring. Digested, it
    /// is kept beside the request's own name.
    #[must_use]
    pub fn said(&self) -> String {
        let said = PlayVoice { ring: Duration::ZERO, ..self.clone() };
        serde_json::to_string(&said).unwrap_or_default()
    }

    /// Reads the parameters: first what the framework says of them, in the order of the system's own table, then what
    /// the service says.
    ///
    /// # Errors
    /// The framework's word, or the service's.
    pub fn read(rules: Rules<'_>) -> Result<Result<PlayVoice, Code>, Fault> {
        let number = rules.text("destnumber", (1, NUMBER_MAX))?;
        let rest = PlayVoice::read_rest(rules)?;
        let whole = || {
            let destnumber = plain(number).ok_or(Code::Bad("destnumber"))?;
            Ok(PlayVoice { destnumber, ..rest? })
        };
        Ok(whole())
    }

    /// Reads all but the number, which is empty then.
    ///
    /// # Errors
    /// The framework's word, or the service's.
    pub(super) fn read_rest(rules: Rules<'_>) -> Result<Result<PlayVoice, Code>, Fault> {
        let kind = rules.int("voicetype", (1, 2))?;
        let file = rules.text("voicefile", (1, FILE_MAX))?;
        let chengshudu = rules.maybe("chengshudu", ECHO_MAX)?;
        let userid = rules.maybe("userid", USERID_MAX)?;
        let disnumber = rules.maybe("disnumber", NUMBER_MAX)?;
        let customuuid = rules.maybe("customuuid", ECHO_MAX)?;
        let ext = rules.maybe("ext", ECHO_MAX)?;
        let wait = rules.int_or("waittime", WAIT_DEFAULT, (0, i64::MAX))?;
        let talk = rules.int_or("conntime", 0, (0, i64::MAX))?;
        let collect = rules.int_or("userkey", 0, (0, 1))? == 1;
        let echo = Echo {
            customuuid: customuuid.to_owned(),
            chengshudu: if ext.is_empty() { chengshudu } else { ext }.to_owned(),
            userid: userid.to_owned(),
            ..Echo::default()
        };
        let wait = if wait == 0 { WAIT_DEFAULT } else { wait.clamp(WAIT.0, WAIT.1) };
        let talk = if talk == 0 { TALK_MAX } else { talk.min(TALK_MAX) };
        let whole = || {
            Ok(PlayVoice {
                destnumber: String::new(),
                voice: match kind {
                    1 => Voice::Stored(stored(file).ok_or(Code::NoFile)?),
                    _ => remote(file).ok_or(Code::Bad("voicefile"))?,
                },
                menu: Menu::parse(userid).ok_or(Code::Bad("userid"))?,
                collect,
                disnumber: match plain(disnumber) {
                    _ if disnumber.trim().is_empty() => None,
                    Some(number) => Some(number),
                    None => return Err(Code::ForeignNumber),
                },
                ring: Duration::from_secs(wait.unsigned_abs()),
                talk: Duration::from_secs(talk.unsigned_abs()),
                echo,
            })
        };
        Ok(whole())
    }
}

/// A number without blanks, `+` and `-`; `None` where something else than digits is left.
pub(super) fn plain(written: &str) -> Option<String> {
    let digits: String =
        written.chars().filter(|c| !c.is_whitespace() && !matches!(c, '+' | '-')).collect();
    let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(digits)
}

/// The name of a stored sound: letters of any script, digits, `_`, `-` and single points, with the ending of a kind of
/// sound or without.
pub(super) fn stored(file: &str) -> Option<String> {
    let file = file.trim();
    let known = |ending: &&str| ["wav", "mp3"].iter().any(|kind| ending.eq_ignore_ascii_case(kind));
    let name = match file.rsplit_once('.') {
        Some((name, ending)) if known(&ending) => name,
        _ => file,
    };
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let clean = !name.is_empty() && name.chars().all(fits) && !name.starts_with('.');
    (clean && !name.contains("..")).then(|| name.to_owned())
}

/// An address; `http` where it names no scheme, as in the system's own sample. `None` where it names another scheme than the
/// two of the web.
fn remote(url: &str) -> Option<Voice> {
    let url = url.trim();
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    let web = |scheme: &str| ["http", "https"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
    match scheme {
        None => Some(Voice::Url(format!("http://{url}"))),
        Some(scheme) => web(scheme).then(|| Voice::Url(url.to_owned())),
    }
}

impl Menu {
    /// Reads `KEY@GROUP`, several with `;` between: keys are digits, `*` and `#`; none, or `T`, is whoever presses
    /// nothing. Quotes around it that a word processor made are dropped. Empty: no menu.
    #[must_use]
    pub fn parse(text: &str) -> Option<Menu> {
        let quotes = ['"', '\'', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
        let text = text.trim_matches(|c: char| c.is_whitespace() || quotes.contains(&c));
        let mut menu = Menu::default();
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        for (nth, entry) in entries.enumerate() {
            let (keys, group) = entry.split_once('@')?;
            let (keys, group) = (keys.trim(), group.trim().to_owned());
            if group.is_empty() || nth == ENTRIES_MAX {
                return None;
            }
            if keys.is_empty() || keys.eq_ignore_ascii_case("t") {
                if menu.none.replace(group).is_some() {
                    return None;
                }
                continue;
            }
            let fits = |key: u8| key.is_ascii_digit() || matches!(key, b'*' | b'#');
            let twice = menu.keys.iter().any(|(known, _)| known == keys);
            if keys.len() > KEYS_MAX || twice || !keys.bytes().all(fits) {
                return None;
            }
            menu.keys.push((keys.to_owned(), group));
        }
        Some(menu)
    }

    /// The groups that it names.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(_, group)| group.as_str()).chain(self.none.as_deref())
    }
}

/// The most keys of one entry.
const KEYS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Params;
    use super::*;

    fn read(query: &str) -> Result<Result<PlayVoice, Code>, Fault> {
        let mut params = Params::default();
        params.form(query.as_bytes());
        PlayVoice::read(Rules(&params))
    }

    const SEED: &str = "voicetype=2&destnumber=13333333333&voicefile=wwww.baidu.com/test.mp3&chengshudu=1\
        &userid=1@extGroup-1&disnumber=13333333333&customuuid=13333333333";

    #[test]
    fn s4_4_the_seeds_own_request() {
        let asked = read(SEED).unwrap().unwrap();
        assert_eq!(asked.destnumber, "13333333333");
        assert_eq!(asked.voice, Voice::Url("http://wwww.baidu.com/test.mp3".into()));
        let keys = vec![("1".to_owned(), "extGroup-1".to_owned())];
        assert_eq!(asked.menu, Menu { keys, none: None });
        assert_eq!(asked.disnumber.as_deref(), Some("13333333333"));
        assert_eq!((asked.ring.as_secs(), asked.talk.as_secs(), asked.collect), (60, 3600, false));
        let echo = &asked.echo;
        assert_eq!(
            (&*echo.customuuid, &*echo.chengshudu, &*echo.userid),
            ("13333333333", "1", "1@extGroup-1")
        );
    }

    #[test]
    fn s4_4_each_parameter_that_is_wrong_is_told_in_the_order_of_the_table() {
        let fault = |query: &str| read(query).unwrap_err().msg(super::super::Lang::Zh);
        assert_eq!(fault(""), "非法请求：缺少必要参数destnumber");
        let empty = "非法请求：destnumber.len应该大于或等于1, 但现在destnumber.len = 0";
        assert_eq!(fault("destnumber="), empty);
        assert_eq!(fault("destnumber=1"), "非法请求：缺少必要参数voicetype");
        let three = "非法请求：voicetype应该小于等于2, 但现在voicetype = 3";
        assert_eq!(fault("destnumber=1&voicetype=3"), three);
        let none = "非法请求：voicetype应该大于或等于1, 但现在voicetype = 0";
        assert_eq!(fault("destnumber=1&voicetype=abc"), none);
        assert_eq!(fault("destnumber=1&voicetype=1"), "非法请求：缺少必要参数voicefile");
        let more = |more: &str| fault(&format!("destnumber=1&voicetype=1&voicefile=a&{more}"));
        for (name, max) in [
            ("chengshudu", 64),
            ("userid", 256),
            ("disnumber", 32),
            ("customuuid", 64),
            ("ext", 64),
        ] {
            let long = "x".repeat(max + 1);
            let wanted =
                format!("非法请求：{name}.len应该小于等于{max}, 但现在{name}.len = {}", max + 1);
            assert_eq!(more(&format!("{name}={long}")), wanted);
        }
        assert_eq!(more("userkey=2"), "非法请求：userkey应该小于等于1, 但现在userkey = 2");
        assert_eq!(more("waittime=-1"), "非法请求：waittime应该大于或等于0, 但现在waittime = -1");
    }

    #[test]
    fn s4_4_numbers_lose_their_marks_and_nothing_else_passes() {
        let with = |number: &str| {
            let number = crate::text::escape(number);
            read(&format!("destnumber={number}&voicetype=1&voicefile=a.wav")).unwrap()
        };
        assert_eq!(with("+86 133-3333 3333").unwrap().destnumber, "8613333333333");
        for wrong in ["1a", "+", "133,134", "１３３"] {
            assert_eq!(with(wrong).unwrap_err().number(), 1002, "{wrong}");
        }
    }

    #[test]
    fn s4_4_names_of_files_lead_out_of_no_folder() {
        let stored = |name: &str| stored(name);
        for name in ["a.wav", "a.MP3", "a"] {
            assert_eq!(stored(name), Some("a".into()));
        }
        assert_eq!(stored("通知-1.v2.wav"), Some("通知-1.v2".into()));
        for wrong in
            ["", ".wav", "../a.wav", "a/b", "a\\b.wav", "a..b", "/etc/passwd", ".hidden", "a\0"]
        {
            assert_eq!(stored(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn s4_4_an_address_without_a_scheme_is_http() {
        for (given, url) in [
            ("a.example/x.mp3", "http://a.example/x.mp3"),
            ("https://a.example/x.mp3", "https://a.example/x.mp3"),
            ("a.example/x?u=http://b", "http://a.example/x?u=http://b"),
            ("HTTP://a.example/x", "HTTP://a.example/x"),
        ] {
            assert_eq!(remote(given), Some(Voice::Url(url.into())), "{given}");
        }
        for other in ["ftp://a.example/x", "file:///etc/passwd", "rtsp://a.example/x"] {
            assert_eq!(remote(other), None, "{other}");
        }
    }

    #[test]
    fn s4_4_key_at_group() {
        let menu = |keys: &[(&str, &str)], none: Option<&str>| {
            let keys = keys.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            Some(Menu { keys, none: none.map(str::to_owned) })
        };
        assert_eq!(Menu::parse(""), menu(&[], None));
        assert_eq!(Menu::parse("1@extGroup-1"), menu(&[("1", "extGroup-1")], None));
        // As the document prints it.
        assert_eq!(Menu::parse("\u{201d}1@extGroup-1\u{201d}"), menu(&[("1", "extGroup-1")], None));
        assert_eq!(Menu::parse("1@a; *#@b ;T@c"), menu(&[("1", "a"), ("*#", "b")], Some("c")));
        assert_eq!(Menu::parse("@a"), menu(&[], Some("a")));
        for wrong in ["1", "1@", "x@a", "1@a;1@b", "@a;T@b"] {
            assert_eq!(Menu::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn s4_4_times_are_brought_within_their_bounds() {
        let times = |more: &str| {
            let asked = read(&format!("{SEED}&{more}")).unwrap().unwrap();
            (asked.ring.as_secs(), asked.talk.as_secs())
        };
        assert_eq!(times("waittime=5&conntime=20"), (10, 20));
        assert_eq!(times("waittime=500&conntime=9999"), (120, 3600));
        assert_eq!(times("waittime=0&conntime=0"), (60, 3600));
        assert_eq!(times("waittime=45"), (45, 3600));
    }

    proptest! {
        #[test]
        fn any_userid_is_a_menu_or_none(text in ".{0,60}") { let _ = Menu::parse(&text); }

        #[test]
        fn no_name_of_a_file_has_a_slash(text in ".{0,60}") {
            if let Some(name) = stored(&text) {
                prop_assert!(!name.contains(['/', '\\', '\0']) && !name.contains(".."));
            }
        }
    }
}
