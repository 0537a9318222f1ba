//! The vendor's doors for short messages (spec §5.5): one-time codes, lines, messages by token.
//!
//! The document names -4 to -11. What it has no number for has one of ours: see [`Refused`].

use std::collections::BTreeMap;

use facts::Micros;
use facts::gsm::septet_count;
use serde::Serialize;
use serde_json::Value;

/// Characters of a code, of a company's name and of a web site at most.
pub const CODE_MAX: usize = 6;
/// See [`CODE_MAX`].
pub const COMPANY_MAX: usize = 25;
/// See [`CODE_MAX`].
pub const SITE_MAX: usize = 25;
/// Characters of a message at most: ten parts of others than 7 bit.
pub const TEXT_MAX: usize = 670;
/// Numbers of one request at most.
pub const NUMBERS_MAX: usize = 100;

/// Why nothing is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It can be sent by nobody now: no way is set up, or the books are away. Ours.
    NotNow,
    /// A number is none, or there are none or too many. Ours.
    Number,
    /// There is nothing to send, or too much. Ours.
    Text,
    /// The line is not the asker's. Ours.
    Line,
    /// The balance does not suffice.
    Credit,
    /// A word that is not sent.
    BadWords,
    /// The account is closed, its merchant stopped, or this address may not ask; or the name or the password is wrong.
    NotYou,
    /// The code has more than six characters.
    Code,
    /// The company's name is too long.
    Company,
    /// The web site is too long.
    Site,
    /// There is no token.
    NoToken,
    /// There is none that could be read: the JSON is broken.
    Unread,
    /// Nobody has this token.
    BadToken,
}

impl Refused {
    /// The number that is answered.
    #[must_use]
    pub const fn status(self) -> i64 {
        match self {
            Refused::NotNow => 0,
            Refused::Number => -1,
            Refused::Text => -2,
            Refused::Line => -3,
            Refused::Credit => -4,
            Refused::BadWords => -5,
            Refused::NotYou => -6,
            Refused::Code => -7,
            Refused::Company => -8,
            Refused::Site => -9,
            Refused::NoToken | Refused::Unread => -10,
            Refused::BadToken => -11,
        }
    }

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Refused::NotNow => "try again later",
            Refused::Number => "a mobile number is none, or there are none or too many",
            Refused::Text => "the text is empty or too long",
            Refused::Line => "not a line of yours",
            Refused::Credit => "not enough credit",
            Refused::BadWords => "the text has words that are not sent",
            Refused::NotYou => "not authenticated",
            Refused::Code => "Code is longer than 6 characters",
            Refused::Company => "CompanyName is longer than 25 characters",
            Refused::Site => "WebSite is longer than 25 characters",
            Refused::NoToken => "Token is missing",
            Refused::Unread => "Token is missing: the body is not the JSON that it begins like",
            Refused::BadToken => "Token is wrong",
        }
    }
}

/// The answer of the doors that send.
#[must_use]
pub fn answer(came: Result<i64, Refused>) -> String {
    let (status, words) = match came {
        Ok(id) => (id, "sent"),
        Err(refused) => (refused.status(), refused.words()),
    };
    serde_json::json!({ "Result": words, "Status": status }).to_string()
}

/// Fields of a JSON object by their names in small letters: .NET reads them in any case. `None`: it is no object.
#[must_use]
pub fn object(body: &str) -> Option<BTreeMap<String, String>> {
    let body = body.trim_start_matches('\u{feff}');
    let Ok(Value::Object(fields)) = serde_json::from_str(body) else { return None };
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let fields = fields.into_iter();
    Some(fields.filter_map(|(name, value)| Some((name.to_lowercase(), text(value)?))).collect())
}

/// A one-time code that is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Otp {
    /// To whom, as it was written.
    pub mobile: String,
    /// What is sent.
    pub text: String,
}

impl Otp {
    /// Reads the fields. `company`: who is named where the request names nobody.
    ///
    /// # Errors
    /// The first field that is too long, in the order of the document's numbers; no code at all.
    pub fn read<'a>(
        field: impl Fn(&str) -> Option<&'a str>,
        company: &str,
    ) -> Result<Otp, Refused> {
        let text = |name| field(name).map(str::trim).unwrap_or_default();
        let named = Some(text("companyname")).filter(|name| !name.is_empty());
        let (code, company, site) = (text("code"), named.unwrap_or(company), text("website"));
        for (value, most, refused) in [
            (code, CODE_MAX, Refused::Code),
            (company, COMPANY_MAX, Refused::Company),
            (site, SITE_MAX, Refused::Site),
        ] {
            if value.chars().count() > most {
                return Err(refused);
            }
        }
        if code.is_empty() {
            return Err(Refused::Text);
        }
        // All of it fits into one message of 70 characters, whatever its letters are; Persian where one of them is not of
        // the 7 bit alphabet, so that what is cheap stays so.
        let plain = [company, code, site].iter().all(|field| septet_count(field).is_some());
        let label = if plain { "Code" } else { "کد" };
        let lines = [company, &format!("{label}: {code}"), site];
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        Ok(Otp { mobile: text("mobile").to_owned(), text: lines.join("\n") })
    }
}

/// Numbers of a list: commas between them, or what else people write.
///
/// # Errors
/// [`Refused::Number`] for none and for too many.
pub fn numbers(list: &str) -> Result<Vec<&str>, Refused> {
    let between = |c: char| matches!(c, ',' | ';' | '،' | '\n' | '\r' | '\t');
    let all: Vec<&str> = list.split(between).map(str::trim).filter(|n| !n.is_empty()).collect();
    if all.is_empty() || all.len() > NUMBERS_MAX {
        return Err(Refused::Number);
    }
    Ok(all)
}

/// Whether a text may be sent, as far as its words go.
///
/// # Errors
/// [`Refused::Text`] and [`Refused::BadWords`].
pub fn fit(text: &str, bad_words: &[String]) -> Result<(), Refused> {
    if text.trim().is_empty() || text.chars().count() > TEXT_MAX {
        return Err(Refused::Text);
    }
    let text = text.to_lowercase();
    let bad = |word: &String| text.contains(&word.trim().to_lowercase());
    if bad_words.iter().any(bad) { Err(Refused::BadWords) } else { Ok(()) }
}

/// A line as it is listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActiveLine {
    /// The number.
    pub line_number: String,
    /// What kind it is.
    pub line_type: String,
    /// Price of a part of 7 bit characters.
    #[serde(serialize_with = "as_amount")]
    pub price_en: Micros,
    /// Price of a part of others.
    #[serde(serialize_with = "as_amount")]
    pub price_fa: Micros,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_amount<S: serde::Serializer>(amount: &Micros, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&amount.decimal(0))
}

/// The answer of the door that lists lines.
#[must_use]
pub fn active_lines(came: Result<&[ActiveLine], Refused>) -> String {
    let (lines, status) = match came {
        Ok(lines) => (lines, 1),
        Err(refused) => (&[][..], refused.status()),
    };
    serde_json::json!({ "ObjActiveLinesOutput": lines, "Status": status }).to_string()
}

#[cfg(test)]
mod tests {
    use facts::gsm::Room;

    use super::*;

    fn otp(fields: &[(&str, &str)]) -> Result<Otp, Refused> {
        let field = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        Otp::read(field, "Acme")
    }

    #[test]
    fn s5_5_a_code_is_one_message_whoever_sends_it() {
        let read = otp(&[("code", " 123456 "), ("mobile", "09123456789"), ("website", "acme.ir")]);
        let text = "Acme\nCode: 123456\nacme.ir".to_owned();
        assert_eq!(read, Ok(Otp { mobile: "09123456789".into(), text }));
        let read = otp(&[("code", "123456"), ("companyname", "چای")]).unwrap();
        assert_eq!(read.text, "چای\nکد: 123456");
        let long = "ش".repeat(25);
        let longest =
            otp(&[("code", "123456"), ("companyname", &long), ("website", &long)]).unwrap();
        assert!(Room::SMS.holds(&longest.text), "{}", longest.text.chars().count());
    }

    #[test]
    fn s5_5_what_is_too_long_has_its_number() {
        let long = "x".repeat(26);
        for (fields, refused, status) in [
            (vec![("code", "1234567"), ("companyname", &*long)], Refused::Code, -7),
            (
                vec![("code", "1"), ("companyname", &*long), ("website", &*long)],
                Refused::Company,
                -8,
            ),
            (vec![("code", "1"), ("website", &*long)], Refused::Site, -9),
            (vec![("code", " ")], Refused::Text, -2),
        ] {
            assert_eq!(otp(&fields), Err(refused));
            assert_eq!(refused.status(), status);
        }
        let told = answer(Err(Refused::Credit));
        assert_eq!(told, r#"{"Result":"not enough credit","Status":-4}"#);
        assert_eq!(answer(Ok(17)), r#"{"Result":"sent","Status":17}"#);
    }

    #[test]
    fn s5_5_fields_are_read_in_any_case_and_as_text_or_number() {
        let fields =
            object("\u{feff}{\"Token\":\"t\",\"CODE\":12,\"Mobile\":null,\"x\":[]}").unwrap();
        assert_eq!(fields["token"], "t");
        assert_eq!((fields["code"].as_str(), fields["mobile"].as_str()), ("12", ""));
        assert_eq!((fields.len(), object("[]"), object("Token=1")), (3, None, None));
    }

    #[test]
    fn s5_5_lists_of_numbers_and_words_that_are_not_sent() {
        assert_eq!(
            numbers("09121111111, 09122222222،3"),
            Ok(vec!["09121111111", "09122222222", "3"])
        );
        assert_eq!(
            (numbers(" , "), numbers(&"1,".repeat(101))),
            (Err(Refused::Number), Err(Refused::Number))
        );
        let bad = ["Casino".to_owned()];
        assert_eq!(fit("the CASINO", &bad), Err(Refused::BadWords));
        assert_eq!((fit("hello", &bad), fit(" \n", &bad)), (Ok(()), Err(Refused::Text)));
        assert_eq!(fit(&"س".repeat(671), &[]), Err(Refused::Text));
    }

    #[test]
    fn s5_5_lines_have_the_documents_names() {
        let line = ActiveLine {
            line_number: "3000".into(),
            line_type: "service".into(),
            price_en: Micros(150_000),
            price_fa: Micros::units(1),
        };
        assert_eq!(
            active_lines(Ok(&[line])),
            r#"{"ObjActiveLinesOutput":[{"LineNumber":"3000","LineType":"service","PriceEn":"0.15","PriceFa":"1"}],"Status":1}"#
        );
        let none = active_lines(Err(Refused::BadToken));
        assert_eq!(none, r#"{"ObjActiveLinesOutput":[],"Status":-11}"#);
    }
}
