//! Payments of menus and short messages, as the operator's file has them (system 003).

use std::collections::BTreeMap;

use facts::sms::Purpose;
use facts::ussd::Language;
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

/// By which short messages leave: in which order ways are tried, and a gateway that is asked by HTTP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// In which order: `phone` (phones that are registered here), `smpp:` and the name of a line, `http`.
    #[serde(default = "ways")]
    pub ways: Vec<String>,
    /// Where to; `{to}`, `{from}` and `{text}` are filled in, escaped. Needed by the way `http` alone.
    #[serde(default)]
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
    /// Where the answer names the message, as receipts will name it: a JSON pointer (RFC 6901).
    #[serde(default)]
    pub reference: String,
    /// Words that no text of the vendor's doors may have.
    #[serde(default)]
    pub bad_words: Vec<String>,
    /// In use.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Who may send messages by the vendor's doors (system 003).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsAccount {
    /// Login name.
    pub username: String,
    /// Name of the merchant, who pays.
    pub merchant: String,
    /// Password for SOAP; kept as it is when absent. Stored as a salted hash.
    #[serde(default)]
    pub password: Option<String>,
    /// Token for the other doors, 16 characters and more; kept as it is when absent. Stored as a digest.
    #[serde(default)]
    pub token: Option<String>,
    /// In whose name codes are sent, where the request names nobody.
    #[serde(default)]
    pub company: String,
    /// Numbers that messages come from; the first is the usual one.
    pub lines: Vec<SmsLine>,
    /// In use.
    #[serde(default = "yes")]
    pub active: bool,
}

/// A number that messages come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsLine {
    /// The number, or the name.
    pub number: String,
    /// What it is called in the list of lines.
    #[serde(default)]
    pub kind: Option<String>,
    /// Price of a part of 7 bit characters, in the merchant's currency.
    #[serde(default = "super::zero")]
    pub price_en: String,
    /// Price of a part of other characters; the same when absent.
    #[serde(default)]
    pub price_fa: Option<String>,
}

/// What is written to a number, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsKeyword {
    /// The number that is written to.
    pub number: String,
    /// The first word; empty: whatever bears none of the others.
    #[serde(default)]
    pub keyword: String,
    /// Name of the merchant.
    pub merchant: String,
    /// `signup` or `forward`.
    #[serde(default)]
    pub purpose: Purpose,
    /// Whoever signs up is a user at once; else somebody has to approve it.
    #[serde(default)]
    pub approved: bool,
    /// In which language he is answered: `fa`, `en` or `zh`.
    #[serde(default)]
    pub language: Language,
}

/// Where a gateway tells by HTTP what came in, and what became of what left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsHook {
    /// Unique name, part of its address: letters, digits, `-` and `_`.
    pub name: String,
    /// What its requests bear as `secret`, 16 characters and more; kept as it is when absent.
    #[serde(default)]
    pub secret: Option<String>,
    /// Names of its fields.
    #[serde(default)]
    pub fields: HookFields,
}

/// Names of a gateway's fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookFields {
    /// Who wrote.
    pub from: String,
    /// To which number.
    pub to: String,
    /// What.
    pub text: String,
    /// What is the same when it is told again; of a receipt, what it is of.
    pub id: String,
    /// Of a receipt: what became of it.
    pub status: String,
    /// The words of that which mean that the phone has it.
    pub delivered: Vec<String>,
    /// The words which mean that it never will.
    pub undelivered: Vec<String>,
}

impl Default for HookFields {
    fn default() -> HookFields {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        HookFields {
            from: "from".to_owned(),
            to: "to".to_owned(),
            text: "text".to_owned(),
            id: "id".to_owned(),
            status: "status".to_owned(),
            delivered: words(&["DELIVRD", "delivered"]),
            undelivered: words(&[
                "UNDELIV",
                "EXPIRED",
                "REJECTD",
                "DELETED",
                "undelivered",
                "failed",
            ]),
        }
    }
}

fn ways() -> Vec<String> {
    vec!["phone".to_owned(), "http".to_owned()]
}
