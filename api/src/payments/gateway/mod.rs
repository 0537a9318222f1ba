//! Gateways: what is asked of each, and what it may say.

mod stripe;
mod test;
mod zarinpal;

use std::time::Duration;

use billing::payments::{Attempt, Gateway as Row, GatewayKind, Invoice, Round};
use facts::ports::{FetchError, Promise};
use facts::ussd::Language;
use serde_json::Value;

use crate::guard::{GuardedClient, Outgoing};

pub(crate) use stripe::hook;

/// How long a gateway may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;

/// What is to be paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    /// The invoice.
    pub(crate) invoice: Invoice,
    /// How often somebody was about to pay it before.
    pub(crate) before: usize,
    /// What it is called.
    pub(crate) title: String,
    /// Address of the invoice's page.
    pub(crate) page: String,
    /// In which he reads it.
    pub(crate) language: Language,
}

impl Order {
    /// Where he comes back to. Without a query: gateways write one themselves.
    fn back(&self) -> String {
        format!("{}/back/{}", self.page, self.language.tag())
    }
}

/// A way that a gateway has opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// By which the gateway knows it.
    pub(crate) reference: String,
    /// Where the subscriber pays.
    pub(crate) url: String,
    /// How much, in the gateway's own unit.
    pub(crate) amount: u64,
    /// Of which currency.
    pub(crate) currency: String,
}

/// A payment, as the gateway tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Payment {
    /// How much, in its own unit.
    pub(crate) amount: u64,
    /// Of which currency.
    pub(crate) currency: String,
    /// Its own reference.
    pub(crate) reference: String,
    /// The bank's tracking number: digits.
    pub(crate) rrn: String,
}

/// What a gateway says of a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// It was paid.
    Paid(Payment),
    /// It may still be.
    NotYet(String),
    /// It was not, and will not be.
    Never(String),
}

/// What a gateway says to a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// It is done.
    Done,
    /// It was begun: by which the gateway knows it, and how it stands there.
    Begun(String, String),
    /// It will not be done.
    Refused(String),
    /// It cannot be asked for from here, for this reason.
    ByHand(&'static str),
}

/// Why nothing is known: it is tried again.
pub(crate) type Trouble = String;

/// A gateway.
pub(crate) trait Gateway: Send + Sync {
    /// Opens a way by which an invoice may be paid. Nobody pays by one that is not used.
    fn open(&self, order: Order) -> Promise<Result<Opened, Trouble>>;
    /// Whether what was paid is ours from the question on, and not before.
    fn takes(&self) -> bool {
        false
    }
    /// What came of it.
    fn ask(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>>;
    /// Closes it as far as the gateway lets us, if it was not paid by then.
    fn close(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>>;
    /// The same of one that is not needed any more: what the gateway does not have yet is not taken.
    fn leave(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        self.close(attempt)
    }
    /// Gives back what was paid, once, however often it is asked for under one count of the invoice's; what became of it
    /// where it was begun before.
    fn refund(&self, round: &Round) -> Promise<Result<Given, Trouble>>;
}

/// The gateway of a row of the operator's file.
pub(crate) fn of(row: Row, guard: &GuardedClient) -> Box<dyn Gateway> {
    match row.kind {
        GatewayKind::Test => Box::new(test::Test),
        GatewayKind::Zarinpal => Box::new(zarinpal::Zarinpal::new(row, guard.clone())),
        GatewayKind::Stripe => Box::new(stripe::Stripe::new(row, guard.clone())),
    }
}

/// A request to a gateway: status and JSON of its answer. What it says is JSON, or it is nothing.
async fn exchange(guard: &GuardedClient, mut request: Outgoing) -> Result<(u16, Value), Trouble> {
    request.patience = Some(PATIENCE);
    let answer = guard.send(&request, ANSWER_MAX).await.map_err(|error| match error {
        FetchError::TimedOut => "no answer in time".to_owned(),
        FetchError::Refused => "its address is refused".to_owned(),
        FetchError::BadUrl => "its address is none".to_owned(),
        FetchError::TooLarge => "its answer is too large".to_owned(),
        FetchError::Failed(why) => why,
    })?;
    let value = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("HTTP {} without JSON", answer.status))?;
    Ok((answer.status, value))
}
