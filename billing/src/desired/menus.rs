//! Codes of menus (system 003).

use facts::ussd::Language;
use serde::{Deserialize, Serialize};

/// A code that subscribers dial, and the page that says its menu.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UssdCode {
    /// What is dialled: `*6655*123#`.
    pub code: String,
    /// Name of the merchant it belongs to, who pays.
    pub merchant: String,
    /// Where the page is.
    pub page: String,
    /// In which language the switch speaks where the page does not: `fa`, `en` or `zh`.
    #[serde(default)]
    pub language: Language,
    /// Whether what the page is told begins with a star.
    #[serde(default = "super::yes")]
    pub leading_star: bool,
    /// Seconds that the page may take.
    #[serde(default = "page")]
    pub page_seconds: u32,
    /// Seconds that a subscriber may take to type.
    #[serde(default = "super::minute")]
    pub input_seconds: u32,
    /// Seconds that a session may last.
    #[serde(default = "session")]
    pub session_seconds: u32,
    /// Whether what the page answers to the visit that tells it of a payment is sent to the subscriber by SMS.
    #[serde(default)]
    pub sms_receipt: bool,
    /// Price of a session.
    #[serde(default = "super::zero")]
    pub price: String,
}

fn page() -> u32 {
    8
}
fn session() -> u32 {
    180
}
