//! Whether a body is what an operation takes, judged by the schema that describes it: whatever is wrong is told together,
//! each mistake with its place, in words of our own.
//!
//! It knows the words of JSON Schema (2020-12) that the schemas of our own types have, and no others; a test holds them to that.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::problem::FieldError;
use super::request::step;

/// Mistakes told at most.
const TOLD_MAX: usize = 64;

/// What was found.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// It is something else than what is taken, and cannot be read.
    pub(super) form: Vec<FieldError>,
    /// It can be read, and is out of its bounds.
    pub(super) bounds: Vec<FieldError>,
}

impl Found {
    /// All of it.
    pub(super) fn all(mut self) -> Vec<FieldError> {
        self.form.append(&mut self.bounds);
        self.form
    }
}

/// The schema of what is read into a type.
pub(super) fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).into()
}

/// Judges a value. `apart`: a place that is read by itself, and is not looked at here.
pub(super) fn judge(schema: &Value, value: &Value, apart: Option<&str>) -> Found {
    let mut judge = Judge { root: schema, apart, found: Found::default() };
    judge.value(schema, value, "");
    judge.found
}

struct Judge<'s> {
    root: &'s Value,
    apart: Option<&'s str>,
    found: Found,
}

impl<'s> Judge<'s> {
    fn form(&mut self, at: &str, words: impl Into<String>) {
        if self.found.form.len() < TOLD_MAX {
            self.found.form.push(FieldError::new(at, words));
        }
    }

    fn bounds(&mut self, at: &str, words: String) {
        if self.found.bounds.len() < TOLD_MAX {
            self.found.bounds.push(FieldError::new(at, words));
        }
    }

    /// What a schema stands for, where it only names it.
    fn named(&self, schema: &'s Value) -> &'s Value {
        let place = schema.get("$ref").and_then(Value::as_str);
        let found = place.and_then(|place| self.root.pointer(place.trim_start_matches('#')));
        found.unwrap_or(schema)
    }

    fn value(&mut self, schema: &'s Value, value: &Value, at: &str) {
        let apart = self.apart == Some(at) && !at.is_empty();
        let schema = self.named(schema);
        if apart && kinds(schema).iter().any(|kind| is(kind, value)) {
            return;
        }
        if let Some(branches) = branches(schema, "anyOf") {
            return self.any(branches, value, at);
        }
        if let Some(branches) = branches(schema, "oneOf") {
            return self.one(branches, value, at);
        }
        if let Some(words) = words(schema) {
            if !value.as_str().is_some_and(|word| words.contains(word)) {
                self.form(at, format!("must be {}", one_of(&words)));
            }
            return;
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind, value)) {
            let words: Vec<&str> = kinds.iter().filter_map(|kind| called(kind)).collect();
            return self.form(at, format!("must be {}", words.join(" or ")));
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, at),
            Value::Array(items) => self.list(schema, items, at),
            Value::Number(number) => self.number(schema, number.as_f64(), at),
            Value::String(text) => self.text(schema, text, at),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The kinds of values, also where one of them is several.
    fn flat(&self, branches: &'s [Value]) -> Vec<&'s Value> {
        let each = branches.iter().map(|branch| self.named(branch));
        let inner = |branch: &'s Value| match branch.get("anyOf").and_then(Value::as_array) {
            Some(inner) => inner.iter().map(|branch| self.named(branch)).collect(),
            None => vec![branch],
        };
        each.flat_map(inner).collect()
    }

    /// One of several kinds of values, or nothing.
    fn any(&mut self, branches: &'s [Value], value: &Value, at: &str) {
        let fits = |branch: &&&'s Value| {
            words(branch).is_some() && value.is_string()
                || kinds(branch).iter().any(|kind| is(kind, value))
                || branch.get("oneOf").is_some() && !value.is_null()
        };
        let branches = self.flat(branches);
        if let Some(branch) = branches.iter().find(fits) {
            return self.value(branch, value, at);
        }
        let told: Vec<String> = branches.into_iter().filter_map(described).collect();
        self.form(at, format!("must be {}", told.join(" or ")));
    }

    /// One of several forms: a word, what a tag says, or what the only field is called.
    fn one(&mut self, branches: &'s [Value], value: &Value, at: &str) {
        let branches: Vec<&'s Value> = branches.iter().map(|branch| self.named(branch)).collect();
        let words: Option<BTreeSet<&str>> =
            branches.iter().map(|branch| constant(branch)).collect();
        if let Some(words) = words {
            if !value.as_str().is_some_and(|word| words.contains(word)) {
                self.form(at, format!("must be {}", one_of(&words)));
            }
            return;
        }
        let Value::Object(fields) = value else {
            return self.form(at, "must be an object");
        };
        if let Some(tag) = branches.first().and_then(|branch| tag(branch)) {
            let means = |branch: &&&'s Value| {
                let known = branch.pointer(&format!("/properties{}", step(tag)));
                let given = fields.get(tag).and_then(Value::as_str);
                given.is_some() && known.and_then(constant) == given
            };
            if let Some(branch) = branches.iter().find(means) {
                return self.object(branch, fields, at);
            }
            let known = branches.iter().filter_map(|branch| {
                constant(branch.pointer(&format!("/properties{}", step(tag)))?)
            });
            let words = format!("must be {}", one_of(&known.collect()));
            return self.form(&format!("{at}{}", step(tag)), words);
        }
        let only = |branch: &&'s Value| branch["properties"].as_object()?.keys().next();
        let given = fields.keys().next().filter(|_| fields.len() == 1);
        let branch = branches.iter().find(|branch| given.is_some() && only(branch) == given);
        match branch {
            Some(branch) => self.object(branch, fields, at),
            None => {
                let known = branches.iter().filter_map(only).map(String::as_str).collect();
                self.form(at, format!("must have one field: {}", one_of(&known)));
            }
        }
    }

    fn object(&mut self, schema: &'s Value, fields: &Map<String, Value>, at: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
            self.form(&format!("{at}{}", step(name)), "is missing");
        }
        let others = schema.get("additionalProperties");
        for (name, value) in fields {
            let at = format!("{at}{}", step(name));
            match (known.and_then(|known| known.get(name)), others) {
                (Some(schema), _) => self.value(schema, value, &at),
                (None, Some(Value::Bool(false))) => self.form(&at, "is not known here"),
                (None, Some(schema)) => self.value(schema, value, &at),
                (None, None) => {}
            }
        }
    }

    fn list(&mut self, schema: &'s Value, items: &[Value], at: &str) {
        let held = Some(count(items.len()));
        if let Some(words) = out_of(schema, ["minItems", "maxItems"], held, " entries") {
            self.bounds(at, format!("must have {words}"));
        }
        if let Some(schema) = schema.get("items") {
            for (nth, item) in items.iter().enumerate() {
                self.value(schema, item, &format!("{at}/{nth}"));
            }
        }
    }

    fn number(&mut self, schema: &Value, number: Option<f64>, at: &str) {
        if let Some(words) = out_of(schema, ["minimum", "maximum"], number, "") {
            self.bounds(at, format!("must be {words}"));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, at: &str) {
        let length = Some(count(text.chars().count()));
        if let Some(words) = out_of(schema, ["minLength", "maxLength"], length, " characters") {
            self.bounds(at, format!("must have {words}"));
        }
    }
}

fn count(of: usize) -> f64 {
    u32::try_from(of).map_or(f64::INFINITY, f64::from)
}

fn branches<'s>(schema: &'s Value, word: &str) -> Option<&'s [Value]> {
    schema.get(word).and_then(Value::as_array).map(Vec::as_slice)
}

/// The word that a value has to be.
fn constant(schema: &Value) -> Option<&str> {
    schema.get("const").and_then(Value::as_str)
}

/// The words that a value may be.
fn words(schema: &Value) -> Option<BTreeSet<&str>> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let listed = listed.map(|words| words.iter().filter_map(Value::as_str).collect());
    let branches = branches(schema, "oneOf");
    let consts = || branches?.iter().map(constant).collect::<Option<BTreeSet<&str>>>();
    listed.or_else(|| constant(schema).map(|word| BTreeSet::from([word]))).or_else(consts)
}

fn one_of(words: &BTreeSet<&str>) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("one of {} and {last}", rest.join(", "))
        }
        _ => words.concat(),
    }
}

/// The field that says which of several forms an object has.
fn tag(schema: &Value) -> Option<&str> {
    let fields = schema.get("properties")?.as_object()?;
    fields.iter().find(|(_, field)| constant(field).is_some()).map(|(name, _)| name.as_str())
}

fn kinds(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}

/// A kind of values in words; nothing of what may be left out.
fn called(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "null" => return None,
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        _ => "an object",
    })
}

/// What a branch takes, in words.
fn described(schema: &Value) -> Option<String> {
    if let Some(words) = words(schema) {
        return Some(one_of(&words));
    }
    let kinds = kinds(schema);
    let told: Vec<&str> = kinds.iter().filter_map(|kind| called(kind)).collect();
    (!told.is_empty()).then(|| told.join(" or "))
}

/// The bounds that a number of something is not within, in words.
fn out_of(
    schema: &Value,
    [low, high]: [&str; 2],
    number: Option<f64>,
    what: &str,
) -> Option<String> {
    let bound = |word| schema.get(word).filter(|bound| bound.is_number());
    let (low, high) = (bound(low), bound(high));
    let number = number?;
    let within = |bound: Option<&Value>, holds: fn(f64, f64) -> bool| {
        bound.and_then(Value::as_f64).is_none_or(|bound| holds(number, bound))
    };
    if within(low, |number, low| number >= low) && within(high, |number, high| number <= high) {
        return None;
    }
    Some(match (low, high) {
        (Some(low), Some(high)) => format!("{low} to {high}{what}"),
        (Some(low), None) => format!("{low}{what} or more"),
        (_, high) => format!("{}{what} at most", high.unwrap_or(&Value::Null)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::command::{Member, NewCode, NewConference, NewMembers, NewNotice};
    use super::super::request::{Body, NewCall, NewPlay};
    use super::super::scenario::{HookAnswer, NewStep};
    use super::super::webhook::{ChangedWebhook, NewSecret, NewWebhook};
    use super::*;

    /// What a judge reads, and what changes nothing for it.
    const KNOWN: [&str; 24] = [
        "$ref",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "$defs",
        "$schema",
        "title",
        "description",
        "default",
        "format",
        "examples",
        "writeOnly",
    ];

    fn hold(schema: &Value, what: &str) {
        let Value::Object(fields) = schema else { return };
        for (word, value) in fields {
            assert!(KNOWN.contains(&word.as_str()), "{what}: {word} in {schema}");
            match word.as_str() {
                "properties" | "$defs" => {
                    value.as_object().unwrap().values().for_each(|value| hold(value, what));
                }
                "anyOf" | "oneOf" => {
                    value.as_array().unwrap().iter().for_each(|value| hold(value, what));
                }
                "items" | "additionalProperties" => hold(value, what),
                _ => {}
            }
        }
    }

    #[test]
    fn every_word_of_our_schemas_is_known_to_the_judge() {
        hold(NewCall::schema(), "NewCall");
        hold(NewStep::schema(), "NewStep");
        hold(NewPlay::schema(), "NewPlay");
        hold(HookAnswer::schema(), "HookAnswer");
        hold(NewWebhook::schema(), "NewWebhook");
        hold(ChangedWebhook::schema(), "ChangedWebhook");
        hold(NewSecret::schema(), "NewSecret");
        hold(NewCode::schema(), "NewCode");
        hold(NewNotice::schema(), "NewNotice");
        hold(NewConference::schema(), "NewConference");
        hold(NewMembers::schema(), "NewMembers");
        hold(Member::schema(), "Member");
    }

    fn told(schema: &Value, value: &Value) -> Vec<String> {
        let found = judge(schema, value, None).all();
        found.into_iter().map(|one| format!("{} {}", one.pointer, one.detail)).collect()
    }

    #[test]
    fn all_mistakes_are_told_together_in_words_of_ours() {
        let call = NewCall::schema();
        let wrong = json!({
            "to": ["13800138000"], "connect": { "number": 5, "ring_s": 1, "caler_id": "1" },
            "record": "loud", "max_talk_s": 0.5, "reference": "x".repeat(501), "extra": null,
        });
        assert_eq!(
            told(call, &wrong),
            [
                "/connect/caler_id is not known here",
                "/connect/number must be text",
                "/extra is not known here",
                "/max_talk_s must be a whole number",
                "/record must be one of `a`, `apart`, `b`, `mono` and `stereo`",
                "/to must be an object",
                "/connect/ring_s must be 5 to 180",
                "/reference must have 500 characters at most",
            ]
        );
        assert_eq!(told(call, &json!([])), [" must be an object"]);
        assert_eq!(told(call, &json!({})), ["/to is missing"]);
        assert_eq!(
            told(call, &json!({ "to": { "number": "1" }, "record": 1 })),
            ["/record must be true or false or one of `a`, `apart`, `b`, `mono` and `stereo`"]
        );
        let good =
            json!({ "to": { "number": "1", "ring_s": null }, "record": true, "connect": null });
        assert_eq!(told(call, &good), [""; 0]);
    }

    #[test]
    fn a_step_is_judged_by_what_it_does_and_a_part_by_what_it_is() {
        let step = NewStep::schema();
        assert_eq!(told(step, &json!({ "do": "hangup" })), [""; 0]);
        let say =
            json!({ "do": "say", "say": [{ "digits": 5 }, { "date": { "year": 2026 } }, {}] });
        assert_eq!(
            told(step, &say),
            [
                "/say/0/digits must be text",
                "/say/1/date/month is missing",
                "/say/1/date/day is missing",
                "/say/2 must have one field: one of `date`, `digits`, `duration`, `money`, \
                 `number`, `phone`, `prompt`, `spelled` and `time`",
            ]
        );
        let array = json!({ "do": "dial", "number": ["80010"], "extra": 1 });
        assert_eq!(told(step, &array), ["/extra is not known here", "/number must be text"]);
        let unknown = told(step, &json!({ "do": "dance" }));
        assert!(unknown[0].starts_with("/do must be one of `conference`, "), "{unknown:?}");
        assert_eq!(told(step, &json!(["play", []])), [" must be an object"]);
    }

    #[test]
    fn what_is_read_by_itself_has_to_be_what_it_is_all_the_same() {
        let call = NewCall::schema();
        let with = |steps| json!({ "to": { "number": "1" }, "scenario": { "start": "a", "steps": steps } });
        let told = |steps| {
            let found = judge(call, &with(steps), Some("/scenario/steps")).all();
            found
                .into_iter()
                .map(|one| format!("{} {}", one.pointer, one.detail))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(json!({ "a": 5 })), [""; 0], "its steps are read one by one");
        for wrong in [json!([]), json!("a"), json!(null)] {
            assert_eq!(told(wrong), ["/scenario/steps must be an object"]);
        }
    }
}
