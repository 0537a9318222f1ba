//! `templateNoticeCall` of system 001: a template, its values, and who is rung (merchant API §3.3).

use serde_json::Value;

use super::answer::Code;
use super::request::Action;

/// Numbers of one request at most.
pub const NOTICE_NUMBERS_MAX: usize = 50;
/// What parts them.
const BETWEEN: char = '|';
/// Values at most, and the longest.
const VALUES_MAX: usize = 32;
const VALUE_MAX: usize = 64;
/// Longest id of a template.
const TEMPLATE_MAX: usize = 100;
/// Speeds that clients know; the recorded words have one.
const SPEEDS: std::ops::RangeInclusive<u64> = 1..=9;

/// `templateNoticeCall`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Whom to ring, as sent; each is a call of its own.
    pub dst: Vec<String>,
    /// Id of the template.
    pub template: String,
    /// Its values.
    pub values: Vec<String>,
    /// How often.
    pub times: u8,
    /// Number to show.
    pub shown: Option<String>,
    /// Keys are taken, and told with the record.
    pub keys: bool,
    /// Echoed in the records.
    pub custom: String,
}

impl Action {
    /// The values of `templateNoticeCall`.
    ///
    /// # Errors
    /// -101 or -102.
    pub fn notice(&self) -> Result<Notice, Code> {
        let template = self.word("templateId").unwrap_or_default();
        if template.chars().count() > TEMPLATE_MAX {
            return Err(Code::BadValue);
        }
        if self.number("speed")?.is_some_and(|speed| !SPEEDS.contains(&speed)) {
            return Err(Code::BadValue);
        }
        let keys = match self.word("isdtmfcallback").unwrap_or_default().as_str() {
            "1" => true,
            "" | "0" => false,
            _ => return Err(Code::BadValue),
        };
        Ok(Notice {
            dst: self.numbers()?,
            template,
            values: self.values()?,
            times: self.times()?,
            shown: self.phone("dstclid")?,
            keys,
            custom: self.custom()?,
        })
    }

    fn numbers(&self) -> Result<Vec<String>, Code> {
        let written = self.word("dst").unwrap_or_default();
        let numbers: Vec<String> =
            written.split(BETWEEN).map(|number| number.trim().to_owned()).collect();
        if numbers.len() > NOTICE_NUMBERS_MAX {
            return Err(Code::BadValue);
        }
        let phones = numbers.iter().all(|number| super::request::is_phone(number));
        if phones { Ok(numbers) } else { Err(Code::BadPhone) }
    }

    /// A list of texts or numbers; one text is a list of one, and nothing none.
    fn values(&self) -> Result<Vec<String>, Code> {
        let values = match self.field("datas") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values.iter().collect(),
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(value) => vec![value],
        };
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(Code::BadValue),
        };
        let values = values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let fits = |value: &String| value.chars().count() <= VALUE_MAX;
        let fit = values.len() <= VALUES_MAX && values.iter().all(fits);
        if fit { Ok(values) } else { Err(Code::BadValue) }
    }
}

/// The answer where several were asked for: the id of the first call that was accepted, and what became of each.
#[must_use]
pub fn notices_answer(calls: &[(String, Result<String, Code>)]) -> Option<String> {
    let first = calls.iter().find_map(|(_, outcome)| outcome.as_ref().ok())?;
    let rows: Vec<String> = calls.iter().map(|(dst, outcome)| row(dst, outcome)).collect();
    let body = super::answer::success(first);
    let open = body.strip_suffix('}').unwrap_or(&body);
    Some(format!(r#"{open},"calls":[{}]}}"#, rows.join(",")))
}

fn row(dst: &str, outcome: &Result<String, Code>) -> String {
    let (code, words, id) = match outcome {
        Ok(id) => ("0", "提交成功", id.as_str()),
        Err(code) => {
            let (code, words) = code.words();
            (code, words, "")
        }
    };
    let dst = Value::from(dst);
    format!(r#"{{"dst":{dst},"statusCode":"{code}","statusMsg":"{words}","requestId":"{id}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::super::request::{Function, parse_body};
    use super::*;

    fn read(body: &str) -> Result<Notice, Code> {
        let whole = format!(r#"{{"action":"templateNoticeCall","appid":"a",{body}}}"#);
        parse_body(Function::NoticeCall, whole.as_bytes())?.notice()
    }

    #[test]
    fn s3_3_fields_of_a_notice_and_what_is_refused() {
        let notice = read(
            r#""dst":"13800138000|010-88888888","templateId":1001,"datas":["7",42],"time":"3",
               "speed":5,"dstclid":"01053180002","isdtmfcallback":"1","customParm":"x""#,
        );
        let text = str::to_owned;
        let wanted = Notice {
            dst: vec![text("13800138000"), text("010-88888888")],
            template: text("1001"),
            values: vec![text("7"), text("42")],
            times: 3,
            shown: Some(text("01053180002")),
            keys: true,
            custom: text("x"),
        };
        assert_eq!(notice, Ok(wanted));
        let least = read(r#""dst":"13800138000","templateId":"t""#).unwrap();
        assert_eq!((least.times, least.keys, least.values.len()), (2, false, 0));
        let many = vec!["13800138000"; 51].join("|");
        for (body, code) in [
            (r#""templateId":"t""#.to_owned(), Code::ParamMissing),
            (r#""dst":"13800138000""#.to_owned(), Code::ParamMissing),
            (r#""dst":"13800138000|x","templateId":"t""#.to_owned(), Code::BadPhone),
            (r#""dst":"13800138000|","templateId":"t""#.to_owned(), Code::BadPhone),
            (format!(r#""dst":"{many}","templateId":"t""#), Code::BadValue),
            (r#""dst":"13800138000","templateId":"t","time":4"#.to_owned(), Code::BadValue),
            (r#""dst":"13800138000","templateId":"t","speed":"10""#.to_owned(), Code::BadValue),
            (r#""dst":"13800138000","templateId":"t","datas":[[]]"#.to_owned(), Code::BadValue),
            (
                r#""dst":"13800138000","templateId":"t","isdtmfcallback":"2""#.to_owned(),
                Code::BadValue,
            ),
        ] {
            assert_eq!(read(&body), Err(code), "{body}");
        }
    }

    #[test]
    fn s3_3_several_numbers_are_answered_one_by_one() {
        let text = str::to_owned;
        let calls = [
            (text("13800138000"), Err(Code::TooFrequent)),
            (text("13900139000"), Ok(text("2026"))),
        ];
        assert_eq!(
            notices_answer(&calls).unwrap(),
            concat!(
                r#"{"statusCode":"0","statusMsg":"提交成功","requestId":"2026","calls":["#,
                r#"{"dst":"13800138000","statusCode":"-104","statusMsg":"请求频率过高","requestId":""},"#,
                r#"{"dst":"13900139000","statusCode":"0","statusMsg":"提交成功","requestId":"2026"}]}"#
            )
        );
        assert_eq!(notices_answer(&calls[..1]), None);
    }
}
