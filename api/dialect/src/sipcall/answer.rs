//! The envelope: HTTP 200, `ret`, and in `data` what the service says.

use facts::UnixMillis;

use super::code::Code;
use super::fault::{Fault, Lang};
use super::json::Json;

/// What a service says that did what it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// `desc`, in Chinese and English.
    pub desc: (&'static str, &'static str),
    /// `result`: what came of it, if there is anything.
    pub result: Option<Json>,
}

impl Answer {
    /// Words and nothing else.
    #[must_use]
    pub const fn done(zh: &'static str, en: &'static str) -> Answer {
        Answer { desc: (zh, en), result: None }
    }

    /// No words: `data` is what came of it, and nothing beside it.
    #[must_use]
    pub const fn bare(result: Json) -> Answer {
        Answer { desc: ("", ""), result: Some(result) }
    }
}

/// Why nothing was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The service was not even asked.
    Fault(Fault),
    /// It said no.
    Code(Code),
}

impl Stop {
    /// The same about another parameter, where it is about one.
    #[must_use]
    pub fn about(self, name: &'static str) -> Stop {
        match self {
            Stop::Code(code) => Stop::Code(code.about(name)),
            fault @ Stop::Fault(_) => fault,
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Code> for Stop {
    fn from(code: Code) -> Stop {
        Stop::Code(code)
    }
}

/// The body of an answer. `asked` and `told`: when the request came, and when it is answered.
#[must_use]
pub fn body(
    outcome: Result<Answer, Stop>,
    lang: Lang,
    (asked, told): (UnixMillis, UnixMillis),
) -> String {
    let (status, desc, more) = match outcome {
        Err(Stop::Fault(fault)) => {
            return whole(fault.ret(), Json::object([]), &fault.msg(lang));
        }
        Ok(Answer { desc: ("", ""), result: Some(result) }) => return whole(200, result, ""),
        Ok(Answer { desc: (zh, en), result }) => {
            (0_u16, lang.pick(zh, en).to_owned(), result.map(|result| ("result", result)))
        }
        Err(Stop::Code(code)) => {
            let errors = [("code", code.number().into()), ("codemsg", code.words(lang).into())];
            (1, code.told(lang), Some(("errors", Json::object(errors))))
        }
    };
    let head = [("status", status.into()), ("desc", desc.into())];
    let times = [("reqtime", asked.seconds().into()), ("rsptime", told.seconds().into())];
    whole(200, Json::object(head.into_iter().chain(more).chain(times)), "")
}

fn whole(ret: u16, data: Json, msg: &str) -> String {
    Json::object([("ret", ret.into()), ("data", data), ("msg", msg.into())]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: (UnixMillis, UnixMillis) =
        (UnixMillis(1_581_307_099_400), UnixMillis(1_581_307_100_000));

    #[test]
    fn s4_1_the_envelope_byte_for_byte() {
        let done = Answer::done("播放命令发送成功", "play command sent");
        for (outcome, zh) in [
            (
                Ok(done.clone()),
                r#"{"ret":200,"data":{"status":0,"desc":"播放命令发送成功","reqtime":1581307099,"rsptime":1581307100},"msg":""}"#,
            ),
            (
                Ok(Answer { result: Some(Json::object([])), ..done.clone() }),
                r#"{"ret":200,"data":{"status":0,"desc":"播放命令发送成功","result":{},"reqtime":1581307099,"rsptime":1581307100},"msg":""}"#,
            ),
            (
                Err(Stop::Code(Code::Failed)),
                r#"{"ret":200,"data":{"status":1,"desc":"操作失败","errors":{"code":1003,"codemsg":"操作失败"},"reqtime":1581307099,"rsptime":1581307100},"msg":""}"#,
            ),
            (
                Err(Stop::Code(Code::Bad("destnumber"))),
                r#"{"ret":200,"data":{"status":1,"desc":"数据验证错误：destnumber","errors":{"code":1002,"codemsg":"数据验证错误"},"reqtime":1581307099,"rsptime":1581307100},"msg":""}"#,
            ),
            (Ok(Answer::bare(Json::list([]))), r#"{"ret":200,"data":[],"msg":""}"#),
            (Err(Stop::Fault(Fault::Token)), r#"{"ret":600,"data":{},"msg":"token无效"}"#),
        ] {
            assert_eq!(body(outcome, Lang::Zh, TIMES), zh);
        }
        assert!(body(Ok(done), Lang::En, TIMES).contains(r#""desc":"play command sent""#));
    }
}
