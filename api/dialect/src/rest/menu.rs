//! Menus of system 003 as merchants try them out, and see what became of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A code that is dialled.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMenu {
    /// What is dialled: one of the merchant's codes, and perhaps more behind it: `*6655*123#`, `*6655*123*7#`.
    #[schemars(length(min = 2, max = 258))]
    pub dialled: String,
    /// Who dials it: a number outside.
    pub mobile: String,
}

/// What is typed into a menu.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MenuInput {
    /// The text.
    #[schemars(length(max = 182))]
    pub text: String,
}

/// What is to be seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct MenuScreen {
    /// Names the session.
    pub session: String,
    /// The text; empty when the session ended without a word.
    pub text: String,
    /// Something may be typed; else the session is over.
    pub more: bool,
    /// What was odd in the page's answer, in English, for whoever made the page: why it could not be shown, or what
    /// was shown and hardly meant to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A session of a menu, by whichever door. Numbers are E.164 digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct MenuSession {
    /// Names it.
    pub id: String,
    /// The code: `*6655*123#`.
    pub code: String,
    /// Who dialled it.
    pub mobile: String,
    /// `ims`, `message`, `call`, `smpp` or `simulator`.
    pub door: String,
    /// When it was opened.
    pub opened: String,
    /// When it was over.
    pub ended: Option<String>,
    /// How it ended: `said`, `left`, `silent`, `long`, `deep`, `unavailable`, `unpaid` or `lost`; none while it is open.
    pub outcome: Option<String>,
    /// How often the page was asked; known when it is over.
    pub steps: u32,
    /// What was taken for it.
    pub price_micros: i64,
    /// The currency of that.
    pub currency: String,
}

/// An invoice that a menu made. Amounts are whole rials.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct MenuInvoice {
    /// Names it.
    pub id: String,
    /// The session in which the page asked for it.
    pub session: String,
    /// The code that was dialled.
    pub code: String,
    /// Who is to pay: E.164 digits.
    pub mobile: String,
    /// The merchant's own id of it.
    pub factor: String,
    /// How much.
    pub rials: u64,
    /// `open`, `paid`, `cancelled`, `expired`, `refunding` or `refunded`.
    pub state: String,
    /// It was tried out: no money moved.
    pub trial: bool,
    /// Where it was paid.
    pub gateway: Option<String>,
    /// The gateway's reference of the payment.
    pub reference: Option<String>,
    /// The bank's tracking number.
    pub rrn: Option<String>,
    /// When it was made.
    pub made: String,
    /// From when on nobody may begin to pay it.
    pub expires: String,
    /// When it was paid, cancelled or given up; absent while it is open.
    pub closed: Option<String>,
}
