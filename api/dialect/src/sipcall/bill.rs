//! `App.Sip_Cdr.GetBill` (merchant API §4.8): records of a company, page by page.

use facts::{CallRecord, Purpose, UnixMillis};

use super::answer::Answer;
use super::call::{METHOD_CALL, METHOD_DOUBLE};
use super::code::Code;
use super::fault::{Fault, Lang};
use super::json::Json;
use super::push::{self, METHOD_NOTICE, METHOD_TASK};
use super::rules::Rules;
use crate::clock;

/// Longest of the values that records are looked for by.
const VALUE_MAX: i64 = 1_024;
/// Numbers of `extnumber` at most.
const NUMBERS_MAX: usize = 200;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetBill {
    /// Calls placed from then.
    pub from: UnixMillis,
    /// Up to then, and then as well.
    pub until: UnixMillis,
    /// Those that were fetched before, or were not; `None`: all.
    pub fetched: Option<bool>,
    /// Which page, from 1.
    pub page: u32,
    /// How many on a page.
    pub per_page: u32,
    filter: Filter,
}

/// What a record has to say, beside its time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Filter {
    /// No call of a company comes in.
    incoming: bool,
    callmethod: i64,
    extensions: Vec<String>,
    destnumber: String,
    userid: String,
    memberid: String,
    chengshudu: String,
    customuuid: String,
}

impl GetBill {
    /// Reads the parameters: the framework's word, or the service's.
    ///
    /// # Errors
    /// Either.
    pub fn read(rules: Rules<'_>) -> Result<Result<GetBill, Code>, Fault> {
        let from = rules.text("starttime", (1, VALUE_MAX))?;
        let until = rules.text("endtime", (1, VALUE_MAX))?;
        let fetched = match rules.int_or("syncflag", 1, (1, 3))? {
            1 => Some(false),
            2 => Some(true),
            _ => None,
        };
        let incoming = rules.int_or("direction", 3, (1, 3))? == 1;
        let callmethod = rules.int_or("callmethod", METHOD_CALL.into(), (0, 6))?;
        let page = rules.int_or("currentpage", 1, (1, i64::from(u32::MAX)))?;
        let per_page = rules.int_or("itemsperpage", 10, (1, 1_000))?;
        let value = |name| rules.maybe(name, VALUE_MAX).map(|value| value.trim().to_owned());
        let numbers = value("extnumber")?;
        let filter = Filter {
            incoming,
            callmethod,
            extensions: numbers
                .split(',')
                .map(str::trim)
                .filter(|number| !number.is_empty())
                .take(NUMBERS_MAX)
                .map(str::to_owned)
                .collect(),
            destnumber: value("destnumber")?,
            userid: value("userid")?,
            memberid: value("memberid")?,
            chengshudu: value("chengshudu")?,
            customuuid: value("customuuid")?,
        };
        let Some(from) = clock::parse_seconds(from.trim()) else {
            return Ok(Err(Code::Bad("starttime")));
        };
        let until = clock::parse_seconds(until.trim()).filter(|until| from <= *until);
        let Some(until) = until else { return Ok(Err(Code::Bad("endtime"))) };
        let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let (page, per_page) = (small(page), small(per_page));
        Ok(Ok(GetBill { from, until, fetched, page, per_page, filter }))
    }

    /// Is this one of those that are looked for?
    #[must_use]
    pub fn wants(&self, record: &CallRecord) -> bool {
        let Filter {
            incoming,
            callmethod,
            extensions,
            destnumber,
            userid,
            memberid,
            chengshudu,
            customuuid,
        } = &self.filter;
        let echo = push::echo(record);
        let same = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        !incoming
            && [0, i64::from(push::method(record))].contains(callmethod)
            && (extensions.is_empty() || extensions.contains(&push::extension(record)))
            && same(destnumber, push::customer(record, &echo).2)
            && same(userid, &echo.userid)
            && same(memberid, push::memberid(&echo))
            && same(chengshudu, push::chengshudu(&echo))
            && same(customuuid, &echo.customuuid)
    }

    /// No call of a company comes in, nor do its extensions dial in its name (methods 1 and 2): there is none of these.
    #[must_use]
    pub fn is_of_none(&self) -> bool {
        self.filter.incoming || matches!(self.filter.callmethod, 1 | 2)
    }

    /// What the calls are for: one of these. Always told, as the books find calls by that and their time.
    #[must_use]
    pub fn purposes(&self) -> &'static [Purpose] {
        match u16::try_from(self.filter.callmethod).ok() {
            Some(METHOD_TASK) => &[Purpose::Campaign],
            Some(METHOD_NOTICE) => &[Purpose::Notice, Purpose::Code],
            Some(METHOD_CALL | METHOD_DOUBLE) => &[Purpose::Callback],
            _ => &Purpose::ALL,
        }
    }

    /// Do times, fetching, purposes and texts tell all, so that no record has to be read to know whether it is wanted?
    #[must_use]
    pub fn is_told_by_the_books(&self) -> bool {
        let Filter { incoming, extensions, .. } = &self.filter;
        !incoming && extensions.is_empty() && self.values().all(str::is_empty)
    }

    /// What stands in every record that is wanted, letter for letter.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        // As a record has what its request said of the method. Nobody else can write it there: what he writes stands there
        // with its quotes escaped once more.
        let method = match u16::try_from(self.filter.callmethod) {
            Ok(METHOD_CALL) => Some(r#"\"method\":3"#),
            Ok(METHOD_DOUBLE) => Some(r#"\"method\":4"#),
            _ => None,
        };
        let one = match &self.filter.extensions[..] {
            [one] => one,
            _ => "",
        };
        let odd = |c: char| c.is_control() || matches!(c, '"' | '\\');
        // "0" may stand for nothing.
        let told = |text: &&str| !text.is_empty() && *text != "0" && !text.contains(odd);
        self.values().chain([one]).filter(told).chain(method).collect()
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        let Filter { destnumber, userid, memberid, chengshudu, customuuid, .. } = &self.filter;
        [destnumber, userid, memberid, chengshudu, customuuid].into_iter().map(String::as_str)
    }

    /// Where the page begins among those that are wanted, and where it is over.
    #[must_use]
    pub fn window(&self) -> std::ops::Range<u64> {
        let begin = u64::from(self.page - 1) * u64::from(self.per_page);
        begin..begin + u64::from(self.per_page)
    }

    /// The answer: how many there are, and those of the page.
    #[must_use]
    pub fn answer(&self, total: u64, bills: &[CallRecord]) -> Answer {
        let result = Json::object([
            ("totalitems", total.into()),
            ("currentpage", i64::from(self.page).into()),
            ("itemsperpage", i64::from(self.per_page).into()),
            ("bills", Json::list(bills.iter().map(push::bill))),
        ]);
        Answer { desc: ("查询成功", "query succeeded"), result: Some(result) }
    }
}

/// `App.Sip_Cdr.GetRecodeFile`: where a recording can be had (merchant API §4.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recode(pub String);

impl Recode {
    /// How long an address that was told is good.
    pub const LIFE: std::time::Duration = std::time::Duration::from_secs(2 * 3600);

    /// Reads the parameter `filename`, which is the `recordfilename` of a record.
    ///
    /// # Errors
    /// What the framework says.
    pub fn read(rules: Rules<'_>) -> Result<Recode, Fault> {
        rules.text("filename", (1, VALUE_MAX)).map(|name| Recode(name.trim().to_owned()))
    }

    /// The answer: an address, and until when it is good.
    #[must_use]
    pub fn answer(address: String, until: UnixMillis, lang: Lang) -> Answer {
        let prefix = lang.pick("过期时间:", "Expiration time:");
        let result = Json::object([
            ("downurl", address.into()),
            ("expiredtime", format!("{prefix}{}", clock::seconds(until)).into()),
        ]);
        Answer { desc: ("查询成功", "query succeeded"), result: Some(result) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Params;
    use super::super::play::Echo;
    use super::*;

    fn read(query: &str) -> Result<Result<GetBill, Code>, Fault> {
        let mut params = Params::default();
        params.form(query.as_bytes());
        GetBill::read(Rules(&params))
    }

    const TIMES: &str = "starttime=2026-01-15 09:30:00&endtime=2026-01-15 10:30:00";

    #[test]
    fn s4_8_all_but_the_times_may_be_left_out() {
        let asked = read(TIMES).unwrap().unwrap();
        assert_eq!(
            (asked.from, asked.until),
            (UnixMillis(1_768_440_600_000), UnixMillis(1_768_444_200_000))
        );
        assert_eq!((asked.fetched, asked.page, asked.per_page), (Some(false), 1, 10));
        assert_eq!((asked.filter.callmethod, asked.filter.incoming), (3, false));
        let asked =
            read(&format!("{TIMES}&syncflag=3&currentpage=3&itemsperpage=7")).unwrap().unwrap();
        assert_eq!((asked.fetched, asked.window()), (None, 14..21));
    }

    #[test]
    fn s4_8_what_the_books_can_tell_without_reading_a_record() {
        let of = |more: &str| read(&format!("{TIMES}&{more}")).unwrap().unwrap();
        for (more, told) in [
            ("", true),
            ("callmethod=6&direction=2", true),
            ("callmethod=3", true),
            ("callmethod=0", true),
            ("direction=1", false),
            ("customuuid=a", false),
            ("extnumber=80000", false),
        ] {
            assert_eq!(of(more).is_told_by_the_books(), told, "{more}");
        }
        for (more, purposes) in [
            ("", &[Purpose::Callback][..]),
            ("callmethod=0", &Purpose::ALL),
            ("callmethod=5", &[Purpose::Campaign]),
            ("callmethod=6", &[Purpose::Notice, Purpose::Code]),
        ] {
            assert_eq!(of(more).purposes(), purposes, "{more}");
        }
        assert!(of("callmethod=2").is_of_none() && !of("callmethod=4").is_of_none());
        let echo = |method, userid: &str| {
            let echo = Echo { method, userid: userid.to_owned(), ..Echo::default() };
            // As a record has it: JSON in JSON.
            serde_json::to_string(&serde_json::to_string(&echo).unwrap()).unwrap()
        };
        let plain = of("");
        let [text] = plain.texts()[..] else { panic!("one text") };
        assert!(echo(3, "").contains(text) && !echo(4, "").contains(text));
        assert!(echo(4, "").contains(of("callmethod=4").texts()[0]));
        for written in [r#""method":3"#, r#"\"method\":3"#, r#"{\\"method\\":3}"#] {
            assert!(!echo(4, written).contains(text), "{written}");
        }
        let asked = of("callmethod=0&customuuid=a%22b&userid=1@g&memberid=0&extnumber=80000");
        assert_eq!(asked.texts(), ["1@g", "80000"]);
        assert_eq!(of("callmethod=0&extnumber=80000,80001").texts(), Vec::<&str>::new());
    }

    #[test]
    fn s4_8_each_parameter_that_is_wrong() {
        let fault = |query: &str| read(query).unwrap_err().msg(Lang::Zh);
        assert_eq!(fault(""), "非法请求：缺少必要参数starttime");
        assert_eq!(fault("starttime=x"), "非法请求：缺少必要参数endtime");
        for (name, value, low, bound) in [
            ("syncflag", 4, false, 3),
            ("direction", 0, true, 1),
            ("callmethod", 7, false, 6),
            ("currentpage", 0, true, 1),
            ("itemsperpage", 1001, false, 1000),
            ("itemsperpage", 0, true, 1),
        ] {
            let words = if low { "大于或等于" } else { "小于等于" };
            let wanted = format!("非法请求：{name}应该{words}{bound}, 但现在{name} = {value}");
            assert_eq!(fault(&format!("{TIMES}&{name}={value}")), wanted);
        }
        for times in
            ["starttime=x&endtime=y", "starttime=2026-01-15 09:30:00&endtime=2026-01-14 09:30:00"]
        {
            assert_eq!(read(times).unwrap().unwrap_err().number(), 1002, "{times}");
        }
    }
}
