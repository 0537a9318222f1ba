//! Numbers of merchants that carriers deliver, and the scenarios that answer whoever calls them.

use std::collections::BTreeMap;

use facts::Number;
use facts::scenario::Scenario;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scenario::NewScenario;

/// What is to answer a number.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNumberScenario {
    /// What whoever calls hears and may press. It begins when the call is answered.
    pub scenario: NewScenario,
}

/// A number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct InboundNumber {
    /// E.164 digits.
    pub number: String,
    /// Where its calls go: `extension`, `group`, `scenario`, or `privacy` for whom a binding names; `elsewhere` of one that
    /// is this merchant's no more.
    pub leads_to: String,
    /// The extension or the group that it leads to without a scenario; empty where that is another's.
    pub to: String,
}

/// The scenario of a number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct AnsweredNumber {
    /// E.164 digits.
    pub number: String,
    /// What was sent.
    #[schemars(with = "Map<String, Value>")]
    pub scenario: NewScenario,
    /// When it was last sent.
    pub changed: String,
}

/// A scenario as it is kept: what was sent, and what was looked up for it then, so that it is compiled again by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptScenario {
    /// What was sent.
    pub scenario: NewScenario,
    /// That of what names none of its own.
    pub language: String,
    /// Whom it leads to, by their places.
    pub numbers: BTreeMap<String, Number>,
    /// What is answered in its place may lead into conferences: the key that sent it may.
    pub confers: bool,
}

impl KeptScenario {
    /// As stores have it.
    #[must_use]
    pub fn written(&self) -> String {
        // Text and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`KeptScenario::written`] back.
    ///
    /// # Errors
    /// In words, what cannot be read.
    pub fn read(text: &str) -> Result<KeptScenario, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// What is carried out.
    ///
    /// # Errors
    /// In words, the first thing that cannot be.
    pub fn compile(&self) -> Result<Scenario, String> {
        match self.scenario.compile(&self.language, &self.numbers, self.confers) {
            Ok(compiled) => Ok(compiled.scenario),
            Err(found) => Err(found
                .first()
                .map_or_else(String::new, |first| format!("{}: {}", first.pointer, first.detail))),
        }
    }
}

#[cfg(test)]
mod tests {
    use facts::scenario::{Next, Step};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_compiled_again_without_a_question() {
        let scenario: NewScenario = serde_json::from_value(json!({
            "start": "desk",
            "steps": { "desk": { "do": "dial", "number": "010 8888 0000" } },
        }))
        .unwrap();
        let to = Number::E164("861088880000".into());
        let numbers = BTreeMap::from([("/scenario/steps/desk/number".to_owned(), to.clone())]);
        let kept = KeptScenario { scenario, language: "en".into(), numbers, confers: false };
        let again = KeptScenario::read(&kept.written()).unwrap();
        assert_eq!(again, kept);
        let leads = Step::Lead { to, failed: Next::HangUp };
        assert_eq!(again.compile().unwrap().steps(), [leads]);
        let lost = KeptScenario { numbers: BTreeMap::new(), ..kept };
        assert_eq!(
            lost.compile(),
            Err("/scenario/steps/desk/number: is no number that may be rung".to_owned())
        );
        assert!(KeptScenario::read("{}").is_err());
    }
}
