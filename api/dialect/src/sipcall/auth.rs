//! `App.Sip_Auth.Login` and `Logout` (merchant API §4.3), and the token that all other services want.

use std::time::Duration;

use facts::UnixMillis;

use super::answer::Answer;
use super::fault::Fault;
use super::json::Json;
use super::rules::Rules;
use crate::clock;

/// What a request that needs a token shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token(pub String);

/// `App.Sip_Auth.Login`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// `appid`.
    pub appid: String,
    /// `accesskey`. It stands in no log.
    pub accesskey: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("appid", &self.appid).finish_non_exhaustive()
    }
}

impl Token {
    /// How long one lives.
    pub const LIFE: Duration = Duration::from_secs(12 * 3600);
    /// How long one is, characters.
    const LENGTH: i64 = 32;

    /// Could this be one?
    #[must_use]
    pub fn may_be(text: &str) -> bool {
        i64::try_from(text.len()) == Ok(Token::LENGTH)
    }

    /// Reads the parameter `token`, the first that is read.
    ///
    /// # Errors
    /// When it is not there, or is no token by its length.
    pub fn read(rules: Rules<'_>) -> Result<Token, Fault> {
        rules.text("token", (Token::LENGTH, Token::LENGTH)).map(|token| Token(token.to_owned()))
    }
}

impl Login {
    /// Longest `appid` and `accesskey`.
    const MAX: i64 = 255;

    /// Reads the parameters.
    ///
    /// # Errors
    /// What the framework says.
    pub fn read(rules: Rules<'_>) -> Result<Login, Fault> {
        Ok(Login {
            appid: rules.text("appid", (1, Login::MAX))?.to_owned(),
            accesskey: rules.text("accesskey", (1, Login::MAX))?.to_owned(),
        })
    }
}

/// The answer of a login. `modules` and `allowed` are empty where there is no limit.
#[must_use]
pub fn logged_in(
    (companycode, name): (&str, &str),
    token: &str,
    expires: Option<UnixMillis>,
    modules: &str,
    allowed: &str,
) -> Answer {
    // What never ends ends, on paper, then.
    let expires = expires.map_or_else(|| "2099-12-31 23:59:59".to_owned(), clock::seconds);
    let result = Json::object([
        ("companycode", companycode.into()),
        ("companyname", name.into()),
        ("token", token.into()),
        ("authtime", expires.into()),
        ("authmodel", modules.into()),
        ("ipwhite", allowed.into()),
    ]);
    Answer { desc: ("授权成功", "authorization succeeded"), result: Some(result) }
}
