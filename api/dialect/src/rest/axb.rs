//! Bindings of privacy numbers as merchants manage them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A binding to be made.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAxb {
    /// The privacy number, one of the merchant's: both call it, and are shown it.
    pub number: String,
    /// One of the two.
    pub a: String,
    /// The other.
    pub b: String,
    /// How long it holds, seconds.
    #[schemars(range(min = 60, max = 604_800))]
    pub expires_in_s: u32,
    /// A word of the merchant's own.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub reference: String,
}

/// What is to be changed of a binding.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedAxb {
    /// How long it holds from now on, seconds.
    #[schemars(range(min = 60, max = 604_800))]
    pub expires_in_s: u32,
}

/// A binding. Numbers are E.164 digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct AxbBinding {
    /// Names it.
    pub id: String,
    /// The privacy number.
    pub number: String,
    /// One of the two.
    pub a: String,
    /// The other.
    pub b: String,
    /// The merchant's own word.
    pub reference: String,
    /// `live`, `ended`, `expired`, or `lost` while its number is this merchant's no more.
    pub state: String,
    /// When it was made.
    pub created: String,
    /// From when on it is none.
    pub expires: String,
    /// When it was ended before that.
    pub ended: Option<String>,
}
