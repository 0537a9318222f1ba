//! `PlayVoice` to many numbers (merchant API §4.4, `/api/yunhu`): it asks with `appid` and `accesskey` in place of a token.

use serde::{Deserialize, Serialize};

use super::auth::Login;
use super::code::Code;
use super::fault::Fault;
use super::params::Params;
use super::play::{PlayVoice, plain};
use super::rules::Rules;

/// Numbers of one request at most.
const NUMBERS_MAX: usize = 5_000;
/// Longest list of them, bytes: room for 40 each.
const LIST_MAX: i64 = 200_000;

/// A country by the name that `nationcode` has for it: its calling code (E.164), and how many digits its numbers have without
/// it and without the 0 in front.
const NATIONS: [(&str, &str, std::ops::RangeInclusive<usize>); 7] = [
    ("in", "91", 10..=10),
    ("id", "62", 9..=12),
    ("ph", "63", 10..=10),
    ("mx", "52", 10..=10),
    ("co", "57", 10..=10),
    ("tha", "66", 8..=9),
    ("vn", "84", 9..=10),
];
/// The same words, where one of them is asked for.
const WORDS: &[&str] = &["", "in", "id", "ph", "mx", "co", "tha", "vn"];

/// A notice to many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Whom to ring, as they are to come back.
    pub numbers: Vec<String>,
    /// What they hear.
    pub notice: Notice,
}

/// What each of them hears, as it is kept until all were rung.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// `nationcode`; empty: numbers are those of the plan.
    pub nation: String,
    /// All but the number.
    pub play: PlayVoice,
}

impl Batch {
    /// Is this a request for many? With a token it is one for one.
    #[must_use]
    pub fn is_meant(params: &Params) -> bool {
        params.get("token").is_none() && params.get("appid").is_some()
    }

    /// Reads the parameters, the key first.
    ///
    /// # Errors
    /// The framework's word, or the service's: one bad number and none is taken.
    #[allow(
        clippy::type_complexity,
        reason = "what the framework says, then what the service says"
    )]
    pub fn read(rules: Rules<'_>) -> Result<(Login, Result<Batch, Code>), Fault> {
        let login = Login::read(rules)?;
        let list = rules.text("destnumber", (1, LIST_MAX))?;
        let nation = rules.word("nationcode", WORDS)?.to_owned();
        let play = PlayVoice::read_rest(rules)?;
        let whole = || {
            let numbers = list.split([',', '\u{ff0c}']).map(str::trim);
            let numbers = numbers.filter(|number| !number.is_empty());
            let numbers: Option<Vec<String>> = numbers.map(plain).collect();
            let numbers = numbers.ok_or(Code::Bad("destnumber"))?;
            if !(1..=NUMBERS_MAX).contains(&numbers.len()) {
                return Err(Code::Bad("destnumber"));
            }
            Ok(Batch { numbers, notice: Notice { nation, play: play? } })
        };
        Ok((login, whole()))
    }
}

impl Notice {
    /// A number as it is dialled: with `+` and the calling code of the country that was named; else as it is.
    #[must_use]
    pub fn dialled(&self, number: &str) -> String {
        let Some((_, code, digits)) = NATIONS.iter().find(|(name, ..)| *name == self.nation) else {
            return number.to_owned();
        };
        if let Some(international) = number.strip_prefix("00") {
            return format!("+{international}");
        }
        let national = number.strip_prefix('0').unwrap_or(number);
        match national.strip_prefix(code) {
            Some(rest) if digits.contains(&rest.len()) => format!("+{national}"),
            _ => format!("+{code}{national}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.form(query.as_bytes());
        params
    }

    const BATCH: &str = "appid=1&accesskey=2&voicetype=1&voicefile=a.wav&destnumber=";

    #[test]
    fn s4_4_a_list_of_numbers_of_which_one_is_bad_is_refused() {
        let read = |more: &str| Batch::read(Rules(&params(&format!("{BATCH}{more}"))));
        let batch =
            read("138-0000-0000,+8613800000001,,&customuuid=c&waittime=30").unwrap().1.unwrap();
        assert_eq!(batch.numbers, ["13800000000", "8613800000001"]);
        assert_eq!(batch.notice.play.echo.customuuid, "c");
        assert_eq!((batch.notice.play.ring.as_secs(), batch.notice.nation.as_str()), (30, ""));
        for wrong in ["13800000000,x", ",", &"1,".repeat(NUMBERS_MAX + 1)] {
            assert_eq!(read(wrong).unwrap().1, Err(Code::Bad("destnumber")));
        }
        assert_eq!(read(&"1,".repeat(NUMBERS_MAX)).unwrap().1.unwrap().numbers.len(), NUMBERS_MAX);
        assert!(matches!(read("1&nationcode=xx"), Err(Fault::NoneOf { name: "nationcode", .. })));
        assert!(matches!(Batch::read(Rules(&params("appid=1"))), Err(Fault::Missing("accesskey"))));
        let kept = serde_json::to_string(&batch.notice).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&kept).unwrap(), batch.notice);
    }

    #[test]
    fn s4_4_numbers_of_a_country_are_dialled_with_its_code() {
        let (_, batch) = Batch::read(Rules(&params(&format!("{BATCH}1")))).unwrap();
        let mut notice = batch.unwrap().notice;
        assert_eq!(notice.dialled("13800000000"), "13800000000");
        for (nation, number, dialled) in [
            ("in", "9876543210", "+919876543210"),
            ("in", "09876543210", "+919876543210"),
            ("in", "919876543210", "+919876543210"),
            // A number that begins as the code does.
            ("in", "9198765432", "+919198765432"),
            ("id", "081234567890", "+6281234567890"),
            ("id", "6281234567890", "+6281234567890"),
            ("tha", "0812345678", "+66812345678"),
            ("vn", "00849012345678", "+849012345678"),
        ] {
            notice.nation = nation.into();
            assert_eq!(notice.dialled(number), dialled, "{nation} {number}");
        }
    }
}
