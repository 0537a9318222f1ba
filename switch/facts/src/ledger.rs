//! The questions signalling asks of the ledger, and the answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{CallCommand, Refusal};
use crate::fraud::Scope;
use crate::id::{CallId, LegId, LegNo, MerchantId};
use crate::number::Number;
use crate::policy::AtMost;
use crate::record::{CallFacts, LegFacts};
use crate::time::UnixMillis;

/// May this call be started? One transaction answers: idempotency row, first hold of every leg, journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authorize {
    /// The call.
    pub call: CallId,
    /// What was asked for.
    pub command: CallCommand,
    /// Every leg that may be dialled, with the number that is priced.
    pub legs: Vec<LegQuote>,
    /// How often the number that is called, the last of the legs', may be; with each it is counted once.
    pub caps: Vec<Cap>,
    /// When it was asked.
    pub at: UnixMillis,
}

/// How often a number may be rung. Counted with the call's holds, and uncounted if it was never dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cap {
    /// The leg that rings it.
    pub leg: LegNo,
    /// What counts together.
    pub key: String,
    /// The number, digits of E.164 or a short code.
    pub number: String,
    /// So often, within so long.
    pub at_most: Vec<AtMost>,
}

/// A leg to be priced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LegQuote {
    /// Which leg.
    pub leg: LegNo,
    /// The number that decides the price.
    pub number: Number,
}

/// Time of one leg that is covered by its holds, counted from that leg's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paid {
    /// Which leg.
    pub leg: LegNo,
    /// Talk time paid for in total so far. `None`: the leg costs nothing and has no limit.
    pub until: Option<Duration>,
}

/// Answer to [`Authorize`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authorized {
    /// Holds and journal are committed.
    Granted {
        /// Paid time of each leg asked for.
        paid: Vec<Paid>,
    },
    /// The same request key had started this call before.
    Existing {
        /// That call.
        call: CallId,
    },
    /// Not allowed; nothing was written.
    Refused(Refusal),
}

/// May a call that is open have one more leg? One transaction answers: the leg's first hold. Whoever pays for
/// the call pays for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddLeg {
    /// The leg. A repeat is answered as the first time.
    pub leg: LegId,
    /// The number that decides the price.
    pub number: Number,
    /// Limits of whoever asks for it, beside those that the call is under: the extension that transfers or leads
    /// the call on, and its sub-account.
    pub own: Vec<Scope>,
    /// How often the number may be rung.
    pub caps: Vec<Cap>,
    /// When it was asked.
    pub at: UnixMillis,
}

/// Answer to [`AddLeg`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// The leg is paid until this much talk time; `None`: it costs nothing and has no limit.
    Paid(Option<Duration>),
    /// Not allowed; nothing was written.
    Refused(Refusal),
}

/// Pay for more time of one leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extend {
    /// Which leg.
    pub leg: LegId,
    /// Counts the extensions of this leg from 1: makes a repeat harmless.
    pub step: u32,
    /// When it was asked.
    pub at: UnixMillis,
}

/// Answer to [`Extend`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extended {
    /// The leg is now paid until this much talk time in total.
    Paid(Option<Duration>),
    /// The balance covers no further interval: cut at the paid limit.
    Exhausted,
}

/// A leg's state, written down so that a restart can end and bill it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JournalLeg {
    /// Which leg.
    pub leg: LegId,
    /// Everything known of it so far.
    pub facts: LegFacts,
    /// What a BYE needs after a restart: the signalling layer's own bytes, opaque to everybody else.
    pub dialog: Option<Vec<u8>>,
}

/// A call that was open when the last process died.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenCall {
    /// Which call.
    pub call: CallId,
    /// What was asked for.
    pub command: CallCommand,
    /// When it was authorized.
    pub placed: UnixMillis,
    /// Its legs as last journaled, by number. Empty when nothing had been dialled.
    pub legs: Vec<JournalLeg>,
    /// Last proof of life: the latest of the checkpoints and the journal writes.
    pub alive: UnixMillis,
}

/// What settling needs beyond the facts of the call: nothing. Named so that the effect reads well.
pub type Settle = CallFacts;

/// Balance of a merchant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Whose.
    pub merchant: MerchantId,
    /// Posted balance.
    pub posted: crate::money::Micros,
    /// Held for calls under way.
    pub held: crate::money::Micros,
    /// How far below zero it may go.
    pub credit: crate::money::Micros,
    /// Its currency.
    pub currency: crate::money::Currency,
}

impl Balance {
    /// What can still be spent.
    #[must_use]
    pub fn available(&self) -> crate::money::Micros {
        self.posted + self.credit - self.held
    }
}
