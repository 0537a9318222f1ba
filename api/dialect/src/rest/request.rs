//! What a merchant asks for, read strictly, each mistake with its place.

use std::sync::LazyLock;

use facts::media::Record;
use facts::sound::Listeners;
use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::axb::{ChangedAxb, NewAxb};
use super::campaign::{NewCampaign, NewNumbers};
use super::command::{Member, NewCode, NewConference, NewMembers, NewNotice};
use super::menu::{MenuInput, NewMenu};
use super::number::NewNumberScenario;
use super::problem::{Code, FieldError, Problem};
use super::scenario::{HookAnswer, NewScenario, NewStep};
use super::sound::Sound;
use super::webhook::{ChangedWebhook, NewSecret, NewWebhook};
use super::{json, strict};

/// Longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// A call to place: `to` is rung first; when somebody answers, `connect` is rung and the two are joined, or `scenario` is
/// carried out.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCall {
    /// Who is rung first: an extension of the merchant's, or a public number.
    pub to: NewParty,
    /// Who is rung then, and joined with the first.
    #[serde(default)]
    pub connect: Option<NewParty>,
    /// What whoever answers hears and may press, in place of `connect`.
    #[serde(default)]
    pub scenario: Option<NewScenario>,
    /// Whether the conversation is recorded; the merchant's setting unless given.
    #[serde(default)]
    #[schemars(with = "Option<RecordWord>")]
    pub record: Option<Record>,
    /// Longest talk time in seconds, below the merchant's own limit.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_talk_s: Option<u32>,
    /// The merchant's own words, up to 500 characters: what is told of the call bears them.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub reference: Option<String>,
}

/// The forms of `record`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "a schema alone")]
pub(super) enum RecordWord {
    /// As the operator's settings say, or not at all.
    Truth(bool),
    /// Whose voices: `stereo`, `mono`, `a`, `b`, `apart`.
    Word(Voices),
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "a schema alone")]
pub(super) enum Voices {
    Stereo,
    Mono,
    A,
    B,
    Apart,
}

/// Somebody to ring.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewParty {
    /// An extension, or a number as it is dialled at home or with `+`.
    pub number: String,
    /// The number to show: one that the key may show.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// How long it may ring, 5 to 180 seconds; 60 unless given.
    #[serde(default)]
    #[schemars(range(min = 5, max = 180))]
    pub ring_s: Option<u16>,
}

/// A sound to be laid over what is heard in a call.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlay {
    /// What.
    pub sound: Sound,
    /// Who hears it; both unless given.
    #[serde(default)]
    pub to: Target,
    /// A key of whoever hears it ends it.
    #[serde(default)]
    pub interruptible: bool,
}

/// Who hears something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Who was rung first, or took that place.
    A,
    /// Who was rung then.
    B,
    /// Both.
    #[default]
    Both,
}

impl From<Target> for Listeners {
    fn from(target: Target) -> Listeners {
        match target {
            Target::A => Listeners::A,
            Target::B => Listeners::B,
            Target::Both => Listeners::Both,
        }
    }
}

impl NewCall {
    /// What is wrong with it that no schema says.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FieldError> {
        let one = self.connect.is_some() != self.scenario.is_some();
        let words = "a call has one of `connect` and `scenario`";
        if one { Vec::new() } else { vec![FieldError::new("", words)] }
    }
}

/// What may be the body of a request.
pub trait Body: DeserializeOwned + JsonSchema {
    /// A place in it that is judged by itself.
    const APART: Option<&'static str>;

    /// What it is judged by.
    fn schema() -> &'static Value;
}

macro_rules! bodies {
    ($( $body:ty, $apart:expr; )*) => {
        $( impl Body for $body {
            const APART: Option<&'static str> = $apart;

            fn schema() -> &'static Value {
                static SCHEMA: LazyLock<Value> = LazyLock::new(strict::schema::<$body>);
                &SCHEMA
            }
        } )*
    };
}

bodies! {
    // Steps are read one by one, so that what is wrong in them is told with what is wrong with them.
    NewCall, Some("/scenario/steps");
    NewNumberScenario, Some("/scenario/steps");
    NewPlay, None;
    NewCampaign, Some("/scenario/steps");
    NewNumbers, None;
    NewAxb, None;
    ChangedAxb, None;
    NewMenu, None;
    MenuInput, None;
    NewWebhook, None;
    ChangedWebhook, None;
    NewSecret, None;
    NewStep, None;
    // The answer of a merchant's server: what is in its steps is told where they are read.
    HookAnswer, Some("/scenario/steps");
    NewCode, None;
    NewNotice, None;
    NewConference, None;
    NewMembers, None;
    Member, None;
}

/// Reads a body.
///
/// # Errors
/// What is no JSON is a bad request; what is JSON and not this is invalid: all mistakes are told, each with its place.
pub fn parse<T: Body>(body: &[u8]) -> Result<T, Problem> {
    let (read, wrong) = parse_leniently(body)?;
    if wrong.is_empty() { Ok(read) } else { Err(Problem::invalid(wrong)) }
}

/// The same for whoever has more mistakes to find: what can be read and is out of its bounds is told beside it.
///
/// # Errors
/// As [`parse`].
pub fn parse_leniently<T: Body>(body: &[u8]) -> Result<(T, Vec<FieldError>), Problem> {
    let value = json::read(body).map_err(|words| Problem::new(Code::BadRequest, words))?;
    read(value).map_err(Problem::invalid)
}

/// Reads a value into what its schema describes, with what is out of its bounds; or tells what is wrong.
pub(super) fn read<T: Body>(value: Value) -> Result<(T, Vec<FieldError>), Vec<FieldError>> {
    let found = strict::judge(T::schema(), &value, T::APART);
    if !found.form.is_empty() {
        return Err(found.all());
    }
    // Only what is far out of its bounds can still be too much.
    match serde_json::from_value(value) {
        Ok(read) => Ok((read, found.bounds)),
        Err(_) if found.bounds.is_empty() => {
            Err(vec![FieldError::new("", "cannot be taken as it is")])
        }
        Err(_) => Err(found.bounds),
    }
}

/// One step of a pointer (RFC 6901 §3).
pub(super) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// What is kept of an `Idempotency-Key`; `None` for one that cannot be one.
#[must_use]
pub fn key_name(key: &[u8]) -> Option<String> {
    let key = key.trim_ascii();
    let good = (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len())
        && key.iter().all(|b| (0x20..0x7f).contains(b));
    good.then(|| hex::encode(Sha256::digest(key)))
}

/// What must be equal for a request to be a repeat: the operation and the body, whatever the order of its fields. What
/// is said in a call may be a code that nobody is to know: the digest is made under the `Idempotency-Key`, which is
/// kept nowhere, so that it cannot be tried out.
#[must_use]
pub fn fingerprint(key: &[u8], operation: &str, body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    // HMAC takes keys of any length.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key.trim_ascii()) else {
        return String::new();
    };
    mac.update(operation.as_bytes());
    mac.update(b"\n");
    mac.update(parsed.to_string().as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: &str) -> Problem {
        parse::<NewCall>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (body, pointer) in [
            (r#"{"to":{"number":5},"connect":{"number":"1"}}"#, "/to/number"),
            (r#"{"to":{"number":"1","caler_id":"2"}}"#, "/to/caler_id"),
            (r#"{"to":{"number":"1"},"max_talk_s":-1}"#, "/max_talk_s"),
            (r#"{"to":{"number":"1"},"record":"loud"}"#, "/record"),
            (r#"{}"#, "/to"),
            (r#"[]"#, ""),
            // What serde would take for an object by the order of its fields.
            (r#"{"to":["13800138000",null,null],"connect":{"number":"1"}}"#, "/to"),
            (r#"[{"number":"1"},{"number":"2"},null,null,null,null]"#, ""),
        ] {
            let problem = wrong(body);
            assert_eq!((problem.status, problem.errors.len()), (422, 1), "{body}");
            assert_eq!(problem.errors[0].pointer, pointer, "{body}: {problem:?}");
        }
        for body in ["", "{", "nonsense", r#"{"to":{"number":"1"}} {}"#, "\u{feff}{}"] {
            assert_eq!(wrong(body).status, 400, "{body}");
        }
        let deep = "[".repeat(200);
        assert_eq!(wrong(&format!(r#"{{"to":{deep}"#)).status, 400);
        assert_eq!(wrong(&deep).status, 400);
        let twice = wrong(r#"{"to":{"number":"1","number":"2"}}"#);
        assert_eq!((twice.status, twice.detail.contains("`number`")), (400, true), "{twice:?}");
    }

    #[test]
    fn a_call_has_somebody_to_be_joined_with_or_a_scenario_within_bounds() {
        let mistakes = |body: &str| -> Vec<String> {
            let (call, mut found) = parse_leniently::<NewCall>(body.as_bytes()).unwrap();
            found.extend(call.mistakes());
            found.into_iter().map(|error| error.pointer).collect()
        };
        assert_eq!(mistakes(r#"{"to":{"number":"1"},"connect":{"number":"2"}}"#), [""; 0]);
        assert_eq!(mistakes(r#"{"to":{"number":"1"}}"#), [""]);
        let two = r#"{"to":{"number":"1","ring_s":4},"connect":{"number":"2","ring_s":181},"max_talk_s":0}"#;
        assert_eq!(mistakes(two), ["/connect/ring_s", "/max_talk_s", "/to/ring_s"]);
    }

    #[test]
    fn a_fingerprint_knows_no_order_and_cannot_be_tried_without_the_key() {
        let (a, b) = (br#"{"a":1,"b":[1,2]}"#, br#"{ "b": [1,2], "a": 1 }"#);
        assert_eq!(fingerprint(b"k", "PlaceCall", a), fingerprint(b" k ", "PlaceCall", b));
        assert_ne!(fingerprint(b"k", "PlaceCall", a), fingerprint(b"K", "PlaceCall", a));
        assert_ne!(fingerprint(b"k", "PlaceCall", a), fingerprint(b"k", "Play", a));
        assert_ne!(fingerprint(b"k", "x", a), fingerprint(b"k", "x", br#"{"a":1,"b":[2,1]}"#));
        assert_eq!(key_name(b" k ").unwrap(), key_name(b"k").unwrap());
        for not in [&b""[..], b"  ", &[b'k'; 256], b"a\tb", &[0xff]] {
            assert_eq!(key_name(not), None);
        }
    }
}
