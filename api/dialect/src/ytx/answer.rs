//! Answers of system 001: HTTP 200 always, status code a string, Chinese words.

use facts::{CallRecord, LegNo, Micros};

use super::push::{CdrStyle, PushContext, participant, write_cdr};

/// Status codes (merchant API §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// -1: cannot be dialled.
    NumberInvalid,
    /// -2
    ParamMissing,
    /// -3
    BadAction,
    /// -4
    BadJson,
    /// -100
    Internal,
    /// -101: a value out of range.
    BadValue,
    /// -102: not a telephone number.
    BadPhone,
    /// -104
    TooFrequent,
    /// -200
    NoAccount,
    /// -201
    AccountDisabled,
    /// -202: Authorization missing, unreadable, expired, or of another account than the path.
    BadHeader,
    /// -203
    BadSign,
    /// -204
    NoBalance,
    /// -205: the app, its environment, its function or the client's address.
    BadApp,
}

impl Code {
    /// Code and words on the wire.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Code::NumberInvalid => ("-1", "号码无效"),
            Code::ParamMissing => ("-2", "缺少必要参数"),
            Code::BadAction => ("-3", "无效action"),
            Code::BadJson => ("-4", "无效的JSON"),
            Code::Internal => ("-100", "异常错误"),
            Code::BadValue => ("-101", "参数不合法"),
            Code::BadPhone => ("-102", "电话号码不合法"),
            Code::TooFrequent => ("-104", "请求频率过高"),
            Code::NoAccount => ("-200", "无此用户"),
            Code::AccountDisabled => ("-201", "用户状态失效"),
            Code::BadHeader => ("-202", "包头验证信息错误"),
            Code::BadSign => ("-203", "AuthToken验证失败"),
            Code::NoBalance => ("-204", "账户余额不足"),
            Code::BadApp => ("-205", "应用验证失败"),
        }
    }
}

/// An accepted command.
#[must_use]
pub fn success(request_id: &str) -> String {
    body("0", "提交成功", request_id)
}

/// A refused one.
#[must_use]
pub fn failure(code: Code) -> String {
    let (code, words) = code.words();
    body(code, words, "")
}

fn body(code: &str, words: &str, request_id: &str) -> String {
    format!(r#"{{"statusCode":"{code}","statusMsg":"{words}","requestId":"{request_id}"}}"#)
}

/// The answer of `getBlance`, in the system's spelling.
#[must_use]
pub fn balance_answer(sid: &str, balance: Micros) -> String {
    let sid = serde_json::Value::from(sid);
    format!(r#"{{"AccountSID":{sid},"Blance":{}}}"#, balance.decimal(2))
}

/// The answer of a record query: typed values, times without milliseconds.
#[must_use]
pub fn cdr_answer(records: &[CallRecord], context: &PushContext) -> String {
    let rows: Vec<String> =
        records.iter().map(|record| write_cdr(record, context, CdrStyle::Query)).collect();
    format!(r#"{{"cdr":[{}]}}"#, rows.join(","))
}

/// The same of participants of conferences: each is a row of its own.
#[must_use]
pub fn participants_answer<'a>(rows: impl Iterator<Item = (&'a CallRecord, LegNo)>) -> String {
    let rows: Vec<String> =
        rows.map(|(record, leg)| participant(record, leg, CdrStyle::Query)).collect();
    format!(r#"{{"cdr":[{}]}}"#, rows.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_byte_for_byte() {
        assert_eq!(
            success("20200437755840048670965760400"),
            r#"{"statusCode":"0","statusMsg":"提交成功","requestId":"20200437755840048670965760400"}"#
        );
        assert_eq!(
            failure(Code::BadSign),
            r#"{"statusCode":"-203","statusMsg":"AuthToken验证失败","requestId":""}"#
        );
        assert_eq!(balance_answer("ab", Micros(7_080_000)), r#"{"AccountSID":"ab","Blance":7.08}"#);
        assert_eq!(cdr_answer(&[], &PushContext::default()), r#"{"cdr":[]}"#);
    }
}
