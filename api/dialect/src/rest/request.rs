//! What a merchant asks for, read strictly, each mistake with its place.

use facts::media::Record;
use facts::sound::Listeners;
use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};

use super::problem::{Code, FieldError, Problem};
use super::scenario::NewScenario;
use super::sound::Sound;

/// Longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Longest `reference`.
const REFERENCE_MAX: usize = 500;
/// Bounds of `ring_s`.
const RING_S: std::ops::RangeInclusive<u16> = 5..=180;
/// Bounds of `max_talk_s`.
const TALK_S: std::ops::RangeInclusive<u32> = 1..=86_400;

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
enum RecordWord {
    /// As the operator's settings say, or not at all.
    Truth(bool),
    /// Whose voices: `stereo`, `mono`, `a`, `b`, `apart`.
    Word(Voices),
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "a schema alone")]
enum Voices {
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
    /// What is wrong with it that can be seen without looking anything up.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        if self.connect.is_some() == self.scenario.is_some() {
            found.push(FieldError::new("", "a call has one of `connect` and `scenario`"));
        }
        let parties = [("/to", Some(&self.to)), ("/connect", self.connect.as_ref())];
        for (at, party) in parties.into_iter().filter_map(|(at, party)| Some((at, party?))) {
            if party.ring_s.is_some_and(|ring| !RING_S.contains(&ring)) {
                found.push(FieldError::new(format!("{at}/ring_s"), "is 5 to 180 seconds"));
            }
        }
        if self.max_talk_s.is_some_and(|talk| !TALK_S.contains(&talk)) {
            found.push(FieldError::new("/max_talk_s", "is 1 to 86400 seconds"));
        }
        let long = |text: &String| text.chars().count() > REFERENCE_MAX;
        if self.reference.as_ref().is_some_and(long) {
            found.push(FieldError::new("/reference", "has 500 characters at most"));
        }
        found
    }
}

/// Reads a body.
///
/// # Errors
/// What is no JSON is a bad request; what is JSON and not this is invalid, and says where.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        match error.classify() {
            serde_json::error::Category::Data => {
                Problem::invalid(vec![FieldError::new(pointer, plain(&error))])
            }
            _ => Problem::new(Code::BadRequest, format!("the body is not JSON: {error}")),
        }
    })?;
    let rest = text.end().map_err(|error| format!("the body is not one JSON value: {error}"));
    rest.map_err(|words| Problem::new(Code::BadRequest, words))?;
    Ok(value)
}

/// The words of an error without the line that the pointer already tells.
pub(super) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// A path as a JSON pointer (RFC 6901).
pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            Segment::Map { key } => out.push_str(&step(key)),
            Segment::Enum { variant } => out.push_str(&step(variant)),
            Segment::Unknown => {}
        }
    }
    out
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
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
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
            (r#"{}"#, ""),
            (r#"[]"#, ""),
        ] {
            let problem = wrong(body);
            assert_eq!((problem.status, problem.errors.len()), (422, 1), "{body}");
            assert_eq!(problem.errors[0].pointer, pointer, "{body}: {problem:?}");
        }
        for body in ["", "{", "nonsense", r#"{"to":{"number":"1"}} {}"#, "\u{feff}{}"] {
            assert_eq!(wrong(body).status, 400, "{body}");
        }
        let deep = "[".repeat(200);
        assert_eq!(wrong(&format!(r#"{{"to":{deep}"#)).status, 422, "a list is no party");
        assert_eq!(wrong(&deep).status, 422);
    }

    #[test]
    fn a_call_has_somebody_to_be_joined_with_or_a_scenario_within_bounds() {
        let mistakes = |body: &str| -> Vec<String> {
            let call: NewCall = parse(body.as_bytes()).unwrap();
            call.mistakes().into_iter().map(|error| error.pointer).collect()
        };
        assert_eq!(mistakes(r#"{"to":{"number":"1"},"connect":{"number":"2"}}"#), [""; 0]);
        assert_eq!(mistakes(r#"{"to":{"number":"1"}}"#), [""]);
        let two = r#"{"to":{"number":"1","ring_s":4},"connect":{"number":"2","ring_s":181},"max_talk_s":0}"#;
        assert_eq!(mistakes(two), ["/to/ring_s", "/connect/ring_s", "/max_talk_s"]);
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
