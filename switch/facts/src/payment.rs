//! What menus of merchants have paid (system 003, spec §5.3).

use serde::{Deserialize, Serialize};

/// What a merchant's page is told of an invoice that is paid: the last step's three parameters, and the payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paid {
    /// The subscriber, as the page was told him in the step that asked for the payment.
    pub mobile: String,
    /// That step's session, as the page was told it.
    pub session: String,
    /// That step's string, as the page was told it.
    pub call: String,
    /// The merchant's id of the invoice.
    pub factor: String,
    /// Ours.
    pub invoice: u64,
    /// The bank's tracking number.
    pub rrn: String,
}
