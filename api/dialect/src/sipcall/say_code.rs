//! The page that says a code (merchant API §4.9): it asks with `appid` and `accesskey` in place of a token.

use super::auth::Login;
use super::code::Code;
use super::fault::Fault;
use super::json::Json;
use super::play::plain;
use super::rules::Rules;

/// Digits of a code.
const CODE: i64 = 4;
/// Longest number as written, bytes.
const NUMBER_MAX: i64 = 32;

/// A code that is to be said.
#[derive(Clone, PartialEq, Eq)]
pub struct CodeAsked {
    /// Who asks.
    pub login: Login,
    /// Four digits. They stand in no log.
    pub code: String,
    /// Whom to ring, as it is to come back.
    pub phone: String,
    /// The language, as it was sent; empty: the company's.
    pub language: &'static str,
}

impl CodeAsked {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The framework's word, or the service's.
    pub fn read(rules: Rules<'_>) -> Result<Result<CodeAsked, Code>, Fault> {
        let login = Login::read(rules)?;
        let code = rules.text("code", (CODE, CODE))?.to_owned();
        let phone = rules.text("phone", (1, NUMBER_MAX))?;
        let language = rules.word("nationCode", &["", "en", "id", "sp"])?;
        let digits = code.bytes().all(|byte| byte.is_ascii_digit());
        let phone = match digits {
            true => plain(phone).ok_or(Code::Bad("phone")),
            false => Err(Code::Bad("code")),
        };
        Ok(phone.map(|phone| CodeAsked { login, code, phone, language }))
    }
}

/// The answer of the page that says codes: 1 with the name that the record will bear, else 0 and why.
#[must_use]
pub fn code_page(outcome: &Result<String, String>) -> String {
    let (code, msg, data) = match outcome {
        Ok(name) => (1_u16, "successful request", Json::object([("customuuid", name.into())])),
        Err(why) => (0, why.as_str(), Json::object([])),
    };
    Json::object([("code", code.into()), ("msg", msg.into()), ("data", data)]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sipcall::params::Params;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.form(query.as_bytes());
        params
    }

    #[test]
    fn s4_9_a_code_has_four_digits() {
        let read =
            |query: &str| CodeAsked::read(Rules(&params(&format!("appid=1&accesskey=2&{query}"))));
        let asked = read("code=0123&phone=138 0000 0000&nationCode=sp").ok().and_then(Result::ok);
        let asked = asked.map(|asked| (asked.code, asked.phone, asked.language));
        assert_eq!(asked, Some(("0123".into(), "13800000000".into(), "sp")));
        for (query, ret) in [
            ("code=123&phone=1", 400),
            ("code=12345&phone=1", 400),
            ("phone=1", 400),
            ("code=1234", 400),
        ] {
            assert_eq!(read(query).err().map(|fault| fault.ret()), Some(ret), "{query}");
        }
        assert!(matches!(read("code=12a4&phone=1"), Ok(Err(Code::Bad("code")))));
        let told = code_page(&Ok("x".into()));
        assert_eq!(told, r#"{"code":1,"msg":"successful request","data":{"customuuid":"x"}}"#);
        assert_eq!(code_page(&Err("no".into())), r#"{"code":0,"msg":"no","data":{}}"#);
    }
}
