//! Payments of menus and short messages, as the operator's file has them (system 003).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{one_unit, yes};
use crate::payments::GatewayKind;

/// Who may ask what a merchant was paid (`GetPayments`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UssdOwner {
    /// Login name.
    pub username: String,
    /// Name of the merchant.
    pub merchant: String,
    /// Password; required for a new owner, kept as it is when absent. Stored as a salted hash.
    #[serde(default)]
    pub password: Option<String>,
    /// The merchant's ids of invoices are digits and nothing else.
    #[serde(default)]
    pub strict: bool,
    /// In use.
    #[serde(default = "yes")]
    pub active: bool,
}

/// Where invoices are paid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentGateway {
    /// Unique name: letters, digits, `-` and `_`.
    pub name: String,
    /// Which kind: `test`, `zarinpal` or `stripe`.
    pub kind: GatewayKind,
    /// What subscribers see on its button; the name when absent.
    #[serde(default)]
    pub title: Option<String>,
    /// In use.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Zarinpal: our `merchant_id`.
    #[serde(default)]
    pub account: String,
    /// Stripe: our secret key.
    #[serde(default)]
    pub secret: String,
    /// Stripe: what it signs its own words with.
    #[serde(default)]
    pub hook_secret: String,
    /// Stripe: the currency in which is paid, e.g. `EUR`.
    #[serde(default)]
    pub currency: String,
    /// Stripe: how many rials the smallest unit of that currency is.
    #[serde(default = "one_unit")]
    pub rials_per_unit: u64,
    /// Where it is, if elsewhere than everybody finds it: for tries.
    #[serde(default)]
    pub url: String,
}

/// By which short messages leave: a gateway that is asked by HTTP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Where to; `{to}`, `{from}` and `{text}` are filled in, escaped.
    pub url: String,
    /// The number or the name they come from.
    #[serde(default)]
    pub sender: String,
    /// Header fields by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body of a POST, filled in likewise, escaped as JSON or as a form; a GET when absent.
    #[serde(default)]
    pub body: String,
    /// What the answer has in it when the message was taken; any answer of success when absent.
    #[serde(default)]
    pub accept: String,
    /// In use.
    #[serde(default = "yes")]
    pub enabled: bool,
}
