//! Requests of system 000: fields in any writing, signature over decoded values in a fixed order.

use subtle::ConstantTimeEq;

use super::answer::{Code, Format};
use super::md5_hex;
use crate::text::{Fields, Plus, decode, gb18030, unescape};

/// Longest `callbackid`.
const CALLBACKID_MAX: usize = 64;
/// Longest `realname`, characters.
const REALNAME_MAX: usize = 50;
/// Longest `email`, characters.
const EMAIL_MAX: usize = 100;
/// Longest `returnurl`, characters.
const RETURNURL_MAX: usize = 1024;
/// Longest `data`, characters.
const DATA_MAX: usize = 1024;
/// Longest telephone number as written, characters.
const NUMBER_MAX: usize = 40;

/// Hex digits as the merchant writes them: its own check of our notification compares strings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HexCase {
    /// `bd33…`
    #[default]
    Lower,
    /// `BD33…`
    Upper,
}

/// A request before its signature is checked.
#[derive(Clone, Debug)]
pub struct Request {
    fields: Fields,
}

/// A request whose signature matched: fields can be read as the signer meant them.
#[derive(Clone, Debug)]
pub struct Verified {
    fields: Fields,
    plus: Plus,
    /// How the signature was written.
    pub case: HexCase,
}

/// `biz_regist`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Regist {
    /// Name of the new user, may be empty.
    pub realname: String,
    /// Mail address of the new user, may be empty.
    pub email: String,
}

/// `biz_callback`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callback {
    /// The merchant's id of the call.
    pub callbackid: String,
    /// First leg, as sent.
    pub callback_num: String,
    /// Second leg, as sent.
    pub destination_num: String,
    /// Where the result goes.
    pub returnurl: String,
    /// The merchant's own words, returned untouched.
    pub data: Option<String>,
}

/// `biz_query` and `biz_hangup`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookup {
    /// The merchant's id of the call.
    pub callbackid: String,
}

/// The parts of each base string, in order.
pub(super) const REGIST: &[&str] = &["username"];
pub(super) const CALLBACK: &[&str] = &["username", "callbackid", "callback_num", "destination_num"];
pub(super) const LOOKUP: &[&str] = &["username", "callbackid"];

impl Request {
    /// Reads the query as it stood in the request line, and the body of a POST. The body may be a form;
    /// its fields stand behind those of the query.
    #[must_use]
    pub fn parse(query: &[u8], body: &[u8]) -> Request {
        let mut fields = Fields::parse(query);
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        fields.append(Fields::parse(body.trim_ascii()));
        Request { fields }
    }

    /// How the answer is to be written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.raw("format").map(|raw| Format::read(&decode(raw))).unwrap_or_default()
    }

    /// Who says it is asking.
    ///
    /// # Errors
    /// 1001 when it does not say.
    pub fn username(&self) -> Result<String, Code> {
        self.read("username", Plus::Blank)
            .filter(|n| !n.is_empty())
            .ok_or(Code::ParamMissing("username"))
    }

    /// Are all fields of a `biz_regist` there?
    ///
    /// # Errors
    /// 1001 with the first that is not.
    pub fn require_regist(&self) -> Result<(), Code> {
        self.require(&["username", "sign"], &["realname", "email"])
    }

    /// Are all fields of a `biz_callback` there?
    ///
    /// # Errors
    /// 1001 with the first that is not.
    pub fn require_callback(&self) -> Result<(), Code> {
        self.require(
            &["username", "callbackid", "callback_num", "destination_num", "returnurl", "sign"],
            &[],
        )
    }

    /// Are all fields of a `biz_balance` there?
    ///
    /// # Errors
    /// 1001 with the first that is not.
    pub fn require_balance(&self) -> Result<(), Code> {
        self.require(&["username", "sign"], &[])
    }

    /// Are all fields of a `biz_query` or `biz_hangup` there?
    ///
    /// # Errors
    /// 1001 with the first that is not.
    pub fn require_lookup(&self) -> Result<(), Code> {
        self.require(&["username", "callbackid", "sign"], &[])
    }

    /// Checks the signature of `biz_regist` and `biz_balance` against the keys of the merchant.
    ///
    /// # Errors
    /// 1002.
    pub fn verify_regist(self, keys: &[&str]) -> Result<Verified, Code> {
        self.verify(REGIST, keys)
    }

    /// Checks the signature of `biz_callback`.
    ///
    /// # Errors
    /// 1002.
    pub fn verify_callback(self, keys: &[&str]) -> Result<Verified, Code> {
        self.verify(CALLBACK, keys)
    }

    /// Checks the signature of `biz_query` and `biz_hangup`.
    ///
    /// # Errors
    /// 1002.
    pub fn verify_lookup(self, keys: &[&str]) -> Result<Verified, Code> {
        self.verify(LOOKUP, keys)
    }

    fn require(&self, filled: &[&'static str], present: &[&'static str]) -> Result<(), Code> {
        for name in filled {
            if self.read(name, Plus::Literal).is_none_or(|value| value.is_empty()) {
                return Err(Code::ParamMissing(name));
            }
        }
        match present.iter().find(|name| self.raw(name).is_none()) {
            Some(name) => Err(Code::ParamMissing(name)),
            None => Ok(()),
        }
    }

    /// Text is hashed as UTF-8, then as GB18030; a raw `+` is a blank, then a plus. Each key in turn, so
    /// that a key can be changed with an overlap.
    fn verify(self, order: &[&'static str], keys: &[&str]) -> Result<Verified, Code> {
        let given = self.read("sign", Plus::Blank).unwrap_or_default();
        let given = given.trim();
        let case = if given.bytes().any(|b| b.is_ascii_uppercase()) {
            HexCase::Upper
        } else {
            HexCase::Lower
        };
        let given = given.to_ascii_lowercase();
        for plus in [Plus::Blank, Plus::Literal] {
            for key in keys.iter().filter(|key| !key.is_empty()) {
                let base = self.base_string(order, plus, key);
                let equals = |sum: String| sum.as_bytes().ct_eq(given.as_bytes());
                let mut matches = equals(md5_hex(base.as_bytes()));
                if !base.is_ascii() {
                    matches |= equals(md5_hex(&gb18030(&base)));
                }
                if bool::from(matches) {
                    return Ok(Verified { fields: self.fields, plus, case });
                }
            }
        }
        Err(Code::SignError)
    }

    /// What is hashed.
    pub(super) fn base_string(&self, order: &[&'static str], plus: Plus, key: &str) -> String {
        let mut base = String::new();
        for name in order {
            let value = self.read(name, plus).unwrap_or_default();
            base.push_str(name);
            base.push('=');
            base.push_str(&value);
            base.push('&');
        }
        base.push_str("key=");
        base.push_str(key);
        base
    }

    /// A value as sent.
    pub(super) fn raw(&self, name: &str) -> Option<&[u8]> {
        raw(&self.fields, name)
    }

    /// Names as sent, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.names()
    }

    /// A value, decoded.
    pub(super) fn read(&self, name: &str, plus: Plus) -> Option<String> {
        self.raw(name).map(|value| decode(&unescape(value, plus)))
    }
}

impl Verified {
    /// The fields of `biz_regist`.
    ///
    /// # Errors
    /// 1001 for a field that cannot be used.
    pub fn regist(&self) -> Result<Regist, Code> {
        let realname = self.read("realname").unwrap_or_default();
        let email = self.read("email").unwrap_or_default().trim().to_owned();
        let bad_name =
            realname.chars().count() > REALNAME_MAX || realname.contains(char::is_control);
        if bad_name {
            return Err(Code::ParamMissing("realname"));
        }
        let bad_email = !email.is_empty()
            && (!email.contains('@')
                || email.chars().count() > EMAIL_MAX
                || email.contains(char::is_control));
        if bad_email {
            return Err(Code::ParamMissing("email"));
        }
        Ok(Regist { realname, email })
    }

    /// The fields of `biz_callback`. Whether the numbers can be dialled is for the caller to find out.
    ///
    /// # Errors
    /// 1001, 1007, 1008 or 1012 for a field that cannot be used.
    pub fn callback(&self) -> Result<Callback, Code> {
        let callbackid = self.callbackid()?;
        let callback_num = self.read("callback_num").unwrap_or_default();
        let destination_num = self.read("destination_num").unwrap_or_default();
        let returnurl = self.read("returnurl").unwrap_or_default().trim().to_owned();
        let data = self.read("data").filter(|data| !data.is_empty());
        if callback_num.chars().count() > NUMBER_MAX || callback_num.contains(char::is_control) {
            return Err(Code::CallbackNumInvalid);
        }
        if destination_num.chars().count() > NUMBER_MAX
            || destination_num.contains(char::is_control)
        {
            return Err(Code::DestinationNumInvalid);
        }
        if returnurl.chars().count() > RETURNURL_MAX {
            return Err(Code::ReturnurlInvalid);
        }
        if data.as_ref().is_some_and(|data| data.chars().count() > DATA_MAX) {
            return Err(Code::ParamMissing("data"));
        }
        Ok(Callback { callbackid, callback_num, destination_num, returnurl, data })
    }

    /// The field of `biz_query` and `biz_hangup`.
    ///
    /// # Errors
    /// 1001 when it is not an id.
    pub fn lookup(&self) -> Result<Lookup, Code> {
        Ok(Lookup { callbackid: self.callbackid()? })
    }

    fn callbackid(&self) -> Result<String, Code> {
        let id = self.read("callbackid").unwrap_or_default();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        if id.is_empty() || id.len() > CALLBACKID_MAX || !id.bytes().all(allowed) {
            return Err(Code::ParamMissing("callbackid"));
        }
        Ok(id)
    }

    fn read(&self, name: &str) -> Option<String> {
        raw(&self.fields, name).map(|value| decode(&unescape(value, self.plus)))
    }
}

/// The manual writes `callbakcid` in one place. An unescaped `returnurl` may bring fields of its own, which
/// then stand behind it: what the client writes before `returnurl` is taken from the front, what it writes
/// after it from the back.
fn raw<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    match name {
        "callbackid" => fields.first("callbackid").or_else(|| fields.first("callbakcid")),
        "data" | "sign" | "format" => fields.last(name),
        _ => fields.first(name),
    }
}
