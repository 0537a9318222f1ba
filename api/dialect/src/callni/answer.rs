//! Answers of system 000: HTTP 200 always, ASCII only, in one of three writings.

/// How the client wants its answer written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// `result=success&…`
    #[default]
    Text,
    /// One object of strings.
    Json,
    /// `<response>` with one element per field.
    Xml,
}

impl Format {
    /// Reads the `format` parameter; anything unknown is text.
    #[must_use]
    pub fn read(word: &str) -> Format {
        match word.trim().to_ascii_lowercase().as_str() {
            "json" => Format::Json,
            "xml" => Format::Xml,
            _ => Format::Text,
        }
    }

    /// The Content-Type to send.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; charset=us-ascii",
            Format::Json => "application/json; charset=utf-8",
            Format::Xml => "text/xml; charset=utf-8",
        }
    }
}

/// Error codes (merchant API §2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// 1001: a required parameter is absent or cannot be used; its name is told.
    ParamMissing(&'static str),
    /// 1002: the signature does not match.
    SignError,
    /// 1003: unknown `username`.
    MerchantNotFound,
    /// 1004: not approved, or frozen.
    MerchantDisabled,
    /// 1005: the merchant has an allow-list and the client is not on it.
    IpNotAllowed,
    /// 1006: below the price of the first interval of both legs.
    BalanceNotEnough,
    /// 1007: not a number, or not one this merchant may ring first.
    CallbackNumInvalid,
    /// 1008: malformed, or no route.
    DestinationNumInvalid,
    /// 1009: a block rule.
    NumberBlocked,
    /// 1010: the id was used with other numbers.
    CallbackidConflict,
    /// 1011: concurrency or rate.
    TooManyCalls,
    /// 1012: not http(s), or an address we do not visit.
    ReturnurlInvalid,
    /// 1013: the owner of `callback_num` is disabled.
    SubaccountDisabled,
    /// 1014: `biz_query` and `biz_hangup` only: no call of this merchant bears the id.
    CallbackidNotFound,
    /// 1099: ours; safe to retry with the same id.
    SystemError,
}

impl Code {
    /// Number and words on the wire.
    #[must_use]
    pub const fn words(self) -> (u16, &'static str) {
        match self {
            Code::ParamMissing(_) => (1001, "param_missing"),
            Code::SignError => (1002, "sign_error"),
            Code::MerchantNotFound => (1003, "merchant_not_found"),
            Code::MerchantDisabled => (1004, "merchant_disabled"),
            Code::IpNotAllowed => (1005, "ip_not_allowed"),
            Code::BalanceNotEnough => (1006, "balance_not_enough"),
            Code::CallbackNumInvalid => (1007, "callback_num_invalid"),
            Code::DestinationNumInvalid => (1008, "destination_num_invalid"),
            Code::NumberBlocked => (1009, "number_blocked"),
            Code::CallbackidConflict => (1010, "callbackid_conflict"),
            Code::TooManyCalls => (1011, "too_many_calls"),
            Code::ReturnurlInvalid => (1012, "returnurl_invalid"),
            Code::SubaccountDisabled => (1013, "subaccount_disabled"),
            Code::CallbackidNotFound => (1014, "callbackid_not_found"),
            Code::SystemError => (1099, "system_error"),
        }
    }
}

/// An answer: names and values in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    fields: Vec<(&'static str, String)>,
}

impl Answer {
    /// `result=success`, to be continued.
    #[must_use]
    pub fn success() -> Answer {
        Answer { fields: vec![("result", "success".into())] }
    }

    /// `result=fail&code=N&msg=words`, with the parameter's name for 1001.
    #[must_use]
    pub fn fail(code: Code) -> Answer {
        let (number, words) = code.words();
        let answer = Answer { fields: vec![("result", "fail".into())] }
            .with("code", number.to_string())
            .with("msg", words);
        match code {
            Code::ParamMissing(name) => answer.with("param", name),
            _ => answer,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.fields.push((name, value.into()));
        self
    }

    /// The body, pure ASCII in every writing: clients read it in their system's code page.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Text => self
                .fields
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)))
                .collect::<Vec<_>>()
                .join("&"),
            Format::Json => {
                let fields: Vec<_> = self
                    .fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{}", json_ascii(value)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Format::Xml => {
                let fields: String = self
                    .fields
                    .iter()
                    .map(|(name, value)| format!("<{name}>{}</{name}>", xml_ascii(value)))
                    .collect();
                format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><response>{fields}</response>")
            }
        }
    }
}

/// A value in a text answer: only what would break the `k=v&k=v` form or leave ASCII is escaped, so that
/// ids and URLs without a query read as they are.
fn plain(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            '&' | '=' | '%' | '+' | '#' => {
                out.push_str(&crate::text::escape(c.encode_utf8(&mut [0; 4])));
            }
            c if c.is_ascii_graphic() => out.push(c),
            c => out.push_str(&crate::text::escape(c.encode_utf8(&mut [0; 4]))),
        }
        out
    })
}

fn json_ascii(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
    out
}

fn xml_ascii(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => out.push_str(&format!("&#{};", u32::from(c))),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            // XML 1.0 §2.2 has no way to write most control characters.
            c if c.is_ascii_control() => out.push('?'),
            c => out.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_writings_of_a_success() {
        let answer = Answer::success()
            .with("account", "80001")
            .with("password", "k7Qm2XwT9pRd")
            .with("number", "80001");
        assert_eq!(
            answer.write(Format::Text),
            "result=success&account=80001&password=k7Qm2XwT9pRd&number=80001"
        );
        assert_eq!(
            answer.write(Format::Json),
            r#"{"result":"success","account":"80001","password":"k7Qm2XwT9pRd","number":"80001"}"#
        );
        assert_eq!(
            answer.write(Format::Xml),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><response><result>success</result>\
             <account>80001</account><password>k7Qm2XwT9pRd</password><number>80001</number></response>"
        );
    }

    #[test]
    fn every_writing_is_ascii_whatever_the_value() {
        let answer = Answer::success().with("data", "测试&a=<b>\"\\\n\u{1}%😀");
        for format in [Format::Text, Format::Json, Format::Xml] {
            let body = answer.write(format);
            assert!(body.is_ascii(), "{body}");
            assert!(!body.contains('\n'), "{body}");
        }
        let json: serde_json::Value = serde_json::from_str(&answer.write(Format::Json)).unwrap();
        assert_eq!(json["data"], "测试&a=<b>\"\\\n\u{1}%😀");
    }

    #[test]
    fn failures_name_their_code_and_the_missing_parameter() {
        assert_eq!(
            Answer::fail(Code::ParamMissing("sign")).write(Format::Text),
            "result=fail&code=1001&msg=param_missing&param=sign"
        );
        assert_eq!(
            Answer::fail(Code::SystemError).write(Format::Json),
            r#"{"result":"fail","code":"1099","msg":"system_error"}"#
        );
    }
}
