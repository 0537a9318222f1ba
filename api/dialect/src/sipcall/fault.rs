//! What the framework refuses, before the service is asked: `ret` and `msg`, word for word.

/// The language of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lang {
    /// Chinese: also where it is not known whose the request is.
    #[default]
    Zh,
    /// English, for every other language.
    En,
}

impl Lang {
    /// That of an account whose prompts are in `language`.
    #[must_use]
    pub fn of(language: &str) -> Lang {
        if language == "zh" { Lang::Zh } else { Lang::En }
    }

    /// The text in this language.
    #[must_use]
    pub const fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }
}

/// Why a request was not handed to a service (merchant API §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A parameter is not there.
    Missing(&'static str),
    /// A value, or a length, is below what it may be. The name of a length ends in `.len`.
    Below {
        /// Of what.
        name: String,
        /// The least.
        min: i64,
        /// What it is.
        value: i64,
    },
    /// The same, above.
    Above {
        /// Of what.
        name: String,
        /// The most.
        max: i64,
        /// What it is.
        value: i64,
    },
    /// None of the words that it may be.
    NoneOf {
        /// Of what.
        name: &'static str,
        /// The words.
        range: &'static [&'static str],
        /// What it is.
        value: String,
    },
    /// No parameter can be read as a file.
    NoFile(&'static str),
    /// The name of the service has empty parts.
    IllegalService(String),
    /// There is no such service.
    NoService(String),
    /// More than this address, or this account, may ask.
    TooFrequent,
    /// More than a request may be.
    TooLarge,
    /// It did not come whole in time.
    BrokeOff,
    /// Ours.
    Server,
    /// 600: clients log in again and ask once more.
    Token,
    /// 601
    AppId,
    /// 602
    Expired,
    /// 603
    Module,
    /// 604
    Address,
}

impl Fault {
    /// The number.
    #[must_use]
    pub const fn ret(&self) -> u16 {
        match self {
            Fault::Missing(_)
            | Fault::Below { .. }
            | Fault::Above { .. }
            | Fault::NoneOf { .. }
            | Fault::NoFile(_)
            | Fault::IllegalService(_)
            | Fault::TooFrequent
            | Fault::TooLarge
            | Fault::BrokeOff => 400,
            Fault::NoService(_) => 404,
            Fault::Server => 500,
            Fault::Token => 600,
            Fault::AppId => 601,
            Fault::Expired => 602,
            Fault::Module => 603,
            Fault::Address => 604,
        }
    }

    /// The words.
    #[must_use]
    pub fn msg(&self, lang: Lang) -> String {
        let bad = |zh: String, en: String| match lang {
            Lang::Zh => format!("非法请求：{zh}"),
            Lang::En => format!("Bad Request: {en}"),
        };
        match self {
            Fault::Missing(name) => {
                bad(format!("缺少必要参数{name}"), format!("{name} require, but miss"))
            }
            Fault::Below { name, min, value } => bad(
                format!("{name}应该大于或等于{min}, 但现在{name} = {value}"),
                format!("{name} should >= {min}, but now {name} = {value}"),
            ),
            Fault::Above { name, max, value } => bad(
                format!("{name}应该小于等于{max}, 但现在{name} = {value}"),
                format!("{name} should <= {max}, but now {name} = {value}"),
            ),
            Fault::NoneOf { name, range, value } => {
                let range = range.join("/");
                bad(
                    format!("参数{name}应该为：{range}，但现在{name} = {value}"),
                    format!("{name} should be in {range}, but now {name} = {value}"),
                )
            }
            Fault::NoFile(name) => {
                bad(format!("缺少上传文件：{name}"), format!("miss upload file: {name}"))
            }
            Fault::IllegalService(service) => {
                bad(format!("非法服务：{service}"), format!("service ({service}) illegal"))
            }
            Fault::NoService(service) => {
                bad(format!("接口服务{service}不存在"), format!("no such service as {service}"))
            }
            Fault::TooFrequent => bad("请求过于频繁".into(), "too many requests".into()),
            Fault::TooLarge => bad("请求内容过大".into(), "the request is too large".into()),
            Fault::BrokeOff => {
                bad("请求内容不完整".into(), "the request did not come whole".into())
            }
            Fault::Server => lang
                .pick("服务器运行错误: 系统繁忙", "Interal Server Error: system busy")
                .to_owned(),
            Fault::Token => lang.pick("token无效", "invalid token").to_owned(),
            Fault::AppId => lang.pick("appid未授权", "appid not authorized").to_owned(),
            Fault::Expired => {
                lang.pick("appid授权已到期", "appid authorization expired").to_owned()
            }
            Fault::Module => lang.pick("模块未授权", "module not authorized").to_owned(),
            Fault::Address => lang.pick("非法IP访问", "illegal IP").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_1_each_ret_and_its_words_in_both_languages() {
        let below = Fault::Below { name: "destnumber.len".into(), min: 1, value: 0 };
        let above = Fault::Above { name: "voicetype".into(), max: 2, value: 3 };
        let none = Fault::NoneOf { name: "x", range: &["a", "b"], value: "c".into() };
        let foo = Fault::NoService("App.Sip_Call.Foo".into());
        for (fault, ret, zh, en) in [
            (
                Fault::Missing("destnumber"),
                400,
                "非法请求：缺少必要参数destnumber",
                "Bad Request: destnumber require, but miss",
            ),
            (
                below,
                400,
                "非法请求：destnumber.len应该大于或等于1, 但现在destnumber.len = 0",
                "Bad Request: destnumber.len should >= 1, but now destnumber.len = 0",
            ),
            (
                above,
                400,
                "非法请求：voicetype应该小于等于2, 但现在voicetype = 3",
                "Bad Request: voicetype should <= 2, but now voicetype = 3",
            ),
            (
                none,
                400,
                "非法请求：参数x应该为：a/b，但现在x = c",
                "Bad Request: x should be in a/b, but now x = c",
            ),
            (
                Fault::NoFile("file"),
                400,
                "非法请求：缺少上传文件：file",
                "Bad Request: miss upload file: file",
            ),
            (
                Fault::IllegalService("App..X".into()),
                400,
                "非法请求：非法服务：App..X",
                "Bad Request: service (App..X) illegal",
            ),
            (Fault::TooFrequent, 400, "非法请求：请求过于频繁", "Bad Request: too many requests"),
            (
                Fault::TooLarge,
                400,
                "非法请求：请求内容过大",
                "Bad Request: the request is too large",
            ),
            (
                Fault::BrokeOff,
                400,
                "非法请求：请求内容不完整",
                "Bad Request: the request did not come whole",
            ),
            (
                foo,
                404,
                "非法请求：接口服务App.Sip_Call.Foo不存在",
                "Bad Request: no such service as App.Sip_Call.Foo",
            ),
            (Fault::Server, 500, "服务器运行错误: 系统繁忙", "Interal Server Error: system busy"),
            (Fault::Token, 600, "token无效", "invalid token"),
            (Fault::AppId, 601, "appid未授权", "appid not authorized"),
            (Fault::Expired, 602, "appid授权已到期", "appid authorization expired"),
            (Fault::Module, 603, "模块未授权", "module not authorized"),
            (Fault::Address, 604, "非法IP访问", "illegal IP"),
        ] {
            assert_eq!(fault.ret(), ret, "{fault:?}");
            assert_eq!((fault.msg(Lang::Zh).as_str(), fault.msg(Lang::En).as_str()), (zh, en));
        }
        assert_eq!(
            (Lang::of("zh"), Lang::of("en"), Lang::of("fa")),
            (Lang::Zh, Lang::En, Lang::En)
        );
    }
}
