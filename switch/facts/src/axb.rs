//! Privacy numbers (merchant API §6, AXB): two people reach each other by a number of ours, and neither learns the
//! other's.

use crate::id::MerchantId;
use crate::time::UnixMillis;

/// How a binding stands: who calls `number` from `a` is joined to `b`, and the other way round. All numbers are E.164
/// digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AxbBinding {
    /// By row id.
    pub id: i64,
    /// Whose, and who pays.
    pub merchant: MerchantId,
    /// The number that both call and are shown.
    pub number: String,
    /// One of the two.
    pub a: String,
    /// The other.
    pub b: String,
    /// The merchant's own word for it.
    pub reference: String,
    /// The [`crate::Push::context`] of what is told of its calls; empty until somebody who knows that language has
    /// written it.
    pub context: String,
    /// From when on it is none; `None`: it was taken back.
    pub until: Option<UnixMillis>,
}
