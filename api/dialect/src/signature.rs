//! Why a signature does not match: a request as it was sent, the base strings that it may have been made over, and
//! the mistakes that are known. Neither a key nor a signature that was not given is in what comes out: whoever has
//! the right signature of a request may send it, and read-outs are copied into tickets.

mod mistakes;

use std::time::Duration;

use facts::UnixMillis;
use md5::{Digest, Md5};
use serde::Serialize;

use crate::{callni, ytx};
pub(crate) use mistakes::{Mistake, shape};

/// What stands for a key.
pub(crate) const MASK: &str = "***";
/// Shortest secret that is looked for in what is shown.
const SECRET_MIN: usize = 4;

/// A request as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Path, `/…`.
    pub path: Vec<u8>,
    /// Behind the first `?`, as sent.
    pub query: Vec<u8>,
    /// Names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Behind the headers.
    pub body: Vec<u8>,
}

impl Sent {
    /// Reads a URL, or a request line with the headers and the body that follow it. A request line may lack its
    /// method and its version, a URL its host.
    #[must_use]
    pub fn read(text: &[u8]) -> Sent {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
        let (line, mut rest) = cut_line(text);
        let mut sent = Sent::default();
        sent.target(bare(line));
        while !rest.is_empty() {
            let (line, behind) = cut_line(rest);
            rest = behind;
            if line.is_empty() {
                break;
            }
            sent.header(line);
        }
        sent.body = rest.to_vec();
        sent
    }

    /// Adds a header, `Name: value`. A line that is none is left out.
    pub fn header(&mut self, line: &[u8]) {
        if let Some(at) = line.iter().position(|b| *b == b':') {
            let name = String::from_utf8_lossy(line[..at].trim_ascii()).into_owned();
            self.headers.push((name, line[at + 1..].trim_ascii().to_vec()));
        }
    }

    /// The first value of a header.
    pub(crate) fn first(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    fn target(&mut self, target: &[u8]) {
        let behind_scheme = find(target, b"://").map(|at| &target[at + 3..]);
        let target = match behind_scheme {
            // A `://` in a query is none of the request's own.
            Some(rest) if !target[..target.len() - rest.len()].contains(&b'?') => {
                let path = rest.iter().position(|b| matches!(b, b'/' | b'?'));
                &rest[path.unwrap_or(rest.len())..]
            }
            _ => target,
        };
        // Clients keep what stands behind a `#` to themselves.
        let end = target.iter().position(|b| *b == b'#').unwrap_or(target.len());
        let target = &target[..end];
        let query = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
        self.path = target[..query].to_vec();
        self.query = target.get(query + 1..).unwrap_or_default().to_vec();
    }
}

/// A request line without method and version.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let method = line.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let line = match line.get(method) {
        Some(b' ') if method > 0 => line[method..].trim_ascii(),
        _ => line,
    };
    [&b" HTTP/1.1"[..], b" HTTP/1.0"]
        .iter()
        .find_map(|version| line.strip_suffix(*version))
        .unwrap_or(line)
}

fn cut_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
    let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
    (line, text.get(end + 1..).unwrap_or_default())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Whose secret a request is to be checked with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// The merchant of that name (system 000).
    Merchant(String),
    /// The account of that id (system 001).
    Account(String),
    /// It does not say: a result of system 000 has no field for that.
    Unsaid,
}

/// A request of a system that signs.
#[derive(Clone, Debug)]
pub struct Question {
    of: Of,
}

#[derive(Clone, Debug)]
enum Of {
    Callni(callni::Asked),
    Ytx(Box<ytx::Asked>),
}

impl Question {
    /// Knows a request by its address: `/api/biz_*` and results of system 000, `/…/sid/…` of system 001. Nothing when
    /// it is neither.
    #[must_use]
    pub fn of(sent: &Sent) -> Option<Question> {
        let callni = callni::Asked::of(sent).map(Of::Callni);
        let of = callni.or_else(|| ytx::Asked::of(sent).map(|asked| Of::Ytx(Box::new(asked))))?;
        Some(Question { of })
    }

    /// Whose secret it is to be checked with.
    #[must_use]
    pub fn who(&self) -> Who {
        match &self.of {
            Of::Callni(asked) => asked.who(),
            Of::Ytx(asked) => Who::Account(asked.sid.clone()),
        }
    }

    /// Checks it. `secrets` are the keys of the merchant or the tokens of the account, nothing when there is none of
    /// that name; `now` is when it was sent, or an instant near to it; `validity` is how far a timestamp of system
    /// 001 may be from that.
    #[must_use]
    pub fn explain(
        &self,
        secrets: Option<&[&str]>,
        now: UnixMillis,
        validity: Duration,
    ) -> Explanation {
        let known = secrets.is_some();
        let secrets: Vec<&str> =
            secrets.unwrap_or_default().iter().copied().filter(|key| !key.is_empty()).collect();
        let mut told = match &self.of {
            Of::Callni(asked) => asked.explain(&secrets),
            Of::Ytx(asked) => asked.explain(&secrets, now, validity),
        };
        told.known = known;
        if !known {
            told.advice.insert(0, "There is nobody of this name.".into());
        } else if secrets.is_empty() {
            told.advice.insert(0, "No key is set: no signature can match.".into());
        }
        told.masked(&secrets)
    }
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// `callni` (000) or `ytx` (001).
    pub system: &'static str,
    /// `biz_callback`, `DailbackCall.wx`, …; `result` is what we send to a `returnurl`.
    pub interface: String,
    /// `username` or account, as decoded.
    pub who: String,
    /// Whether there is one of that name.
    pub known: bool,
    /// Whether the signature matches.
    pub matched: bool,
    /// Fields that have to be there and are not, or are empty.
    pub missing: Vec<String>,
    /// The signature that came.
    pub given: Given,
    /// What it is made over, in order.
    pub fields: Vec<Field>,
    /// Every reading that is accepted.
    pub tries: Vec<Try>,
    /// System 001: its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// What to do, in words.
    pub advice: Vec<String>,
}

impl Explanation {
    /// Whether the door takes it: the signature matches, and of system 001 the header is of this account and of
    /// about now.
    #[must_use]
    pub fn passes(&self) -> bool {
        let good = |header: &Header| header.fresh && header.sid_is_the_path;
        self.matched && self.header.as_ref().is_none_or(good)
    }

    /// No text of it holds a secret any more: merchants do send their keys.
    fn masked(mut self, secrets: &[&str]) -> Explanation {
        let long = |secret: &&&str| secret.len() >= SECRET_MIN;
        let secrets: Vec<&str> = secrets.iter().filter(long).copied().collect();
        let mask = |text: &mut String| {
            for secret in &secrets {
                if text.contains(secret) {
                    *text = text.replace(secret, MASK);
                }
            }
        };
        // A dump of bytes says the same in another writing.
        let bytes = |dump: &mut String| {
            for secret in &secrets {
                *dump = dump.replace(&dumped(secret.as_bytes()), MASK);
            }
        };
        // Escaped or coded, what it says may hold one.
        let hide = |coded: &mut String, plain: &str| {
            if secrets.iter().any(|secret| plain.contains(secret)) {
                MASK.clone_into(coded);
            }
        };
        mask(&mut self.who);
        mask(&mut self.given.text);
        mask(&mut self.interface);
        for field in &mut self.fields {
            hide(&mut field.sent, &field.value);
            mask(&mut field.sent);
            mask(&mut field.value);
        }
        for attempt in &mut self.tries {
            mask(&mut attempt.base);
            bytes(&mut attempt.bytes);
        }
        if let Some(header) = &mut self.header {
            hide(&mut header.sent, &header.decoded);
            mask(&mut header.sent);
            mask(&mut header.decoded);
            mask(&mut header.sid);
            mask(&mut header.timestamp);
        }
        self.advice.iter_mut().for_each(mask);
        self
    }
}

/// A signature as it came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Given {
    /// As decoded, blanks around it removed.
    pub text: String,
    /// `lower`, `upper`, `mixed`, `digits` (neither), or `none`: these are not 32 hex digits.
    pub case: &'static str,
}

impl Given {
    pub(crate) fn of(text: &str) -> Given {
        let text = text.trim();
        let lower = text.bytes().any(|b| b.is_ascii_lowercase());
        let upper = text.bytes().any(|b| b.is_ascii_uppercase());
        let case = match (lower, upper) {
            _ if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) => "none",
            (true, true) => "mixed",
            (true, false) => "lower",
            (false, true) => "upper",
            (false, false) => "digits",
        };
        Given { text: text.to_owned(), case }
    }

    /// Is it the sum of these bytes?
    pub(crate) fn is_sum_of(&self, bytes: &[u8]) -> bool {
        self.text.eq_ignore_ascii_case(&hex::encode(Md5::digest(bytes)))
    }
}

/// A field that is signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// As it stood there; of bytes that are no UTF-8 what they look like in GB18030.
    pub sent: String,
    /// Decoded.
    pub value: String,
}

/// One reading of what was signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Try {
    /// What is particular about it, in words.
    pub reading: String,
    /// What is hashed, the key masked.
    pub base: String,
    /// The same in bytes, two hex digits each, the key masked.
    pub bytes: String,
    /// Its MD5 is the signature that came, in whichever case of its digits.
    pub matches: bool,
}

impl Try {
    /// `text` turns a secret into the whole; `bytes` is how that is written.
    pub(crate) fn new(
        reading: impl Into<String>,
        secrets: &[&str],
        given: &Given,
        text: impl Fn(&str) -> String,
        bytes: impl Fn(&str) -> Vec<u8>,
    ) -> Try {
        let base = text(MASK);
        let dump = dumped(&bytes(&base)).replace(&dumped(MASK.as_bytes()), MASK);
        let matches = secrets.iter().any(|key| given.is_sum_of(&bytes(&text(key))));
        Try { reading: reading.into(), base, bytes: dump, matches }
    }
}

/// The header of system 001, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Header {
    /// As it came; empty when it did not.
    pub sent: String,
    /// Behind base64; empty when it is none.
    pub decoded: String,
    /// The account in it.
    pub sid: String,
    /// Whether that is the one in the path.
    pub sid_is_the_path: bool,
    /// The timestamp in it, `yyyyMMddHHmmss`.
    pub timestamp: String,
    /// How far its clock was ahead of ours, s; behind ours when negative. Nothing when it is no date.
    pub ahead_s: Option<i64>,
    /// Whether that is near enough.
    pub fresh: bool,
}

/// Bytes, two hex digits each, blanks between them.
pub(crate) fn dumped(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests;
