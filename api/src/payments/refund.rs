//! Money that goes back: the gateway at which it was paid is asked, once a round, until it says something that decides.

use billing::payments::{Invoice, Refund, RefundBegun, Round};

use super::gateway::Given;
use super::there;
use crate::state::{ApiState, now};

/// What came of a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refunded {
    /// It is given back.
    Yes(Invoice),
    /// The gateway is being asked for it already.
    UnderWay(Invoice),
    /// There is nothing to give back.
    NotPaid(Invoice),
    /// The gateway will not, in these words.
    Refused(String),
    /// It is not known yet; it is tried until it is.
    Later(String),
    /// The gateway has to be told by hand first.
    ByHand,
}

impl Refunded {
    /// For the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Refunded::Yes(_) => "given back",
            Refunded::UnderWay(_) => "being asked for",
            Refunded::NotPaid(_) => "there is nothing to give back",
            Refunded::Refused(_) => "refused",
            Refunded::Later(_) => "not known yet",
            Refunded::ByHand => "has to be done by hand",
        }
    }
}

/// Gives the money of an invoice back, by the gateway.
pub(crate) async fn refund(state: &ApiState, id: i64) -> billing::Result<Refunded> {
    match state.0.store.begin_refund(id, state.0.config.node, now()).await? {
        RefundBegun::Now(round) => ask(state, &round).await,
        stands => Ok(told(stands)),
    }
}

/// Notes that the operator has given it back himself at the gateway.
pub(crate) async fn by_hand(state: &ApiState, id: i64) -> billing::Result<Refunded> {
    state.0.store.refund_by_hand(id, now()).await.map(told)
}

fn told(stands: RefundBegun) -> Refunded {
    match stands {
        RefundBegun::Done(invoice) => Refunded::Yes(invoice),
        RefundBegun::NotPaid(invoice) => Refunded::NotPaid(invoice),
        RefundBegun::UnderWay(invoice) => Refunded::UnderWay(invoice),
        RefundBegun::Now(round) => Refunded::UnderWay(round.invoice),
    }
}

/// Asks the gateway for a refund that was begun. Under one name, so often it may be asked: it gives back once.
pub(super) async fn ask(state: &ApiState, round: &Round) -> billing::Result<Refunded> {
    let (store, id) = (&state.0.store, (round.invoice.id, round.no));
    // What was paid at a gateway of another kind is not that gateway's to give back.
    let given = match there(state, &round.attempt).await? {
        Err(why) => Ok(Given::ByHand(why)),
        Ok(there) => there.refund(round).await,
    };
    match given {
        Ok(Given::Done) => store.end_refund(id, Refund::Done, now()).await.map(Refunded::Yes),
        Ok(Given::Begun(reference, said)) => {
            store.await_refund(id, (&reference, &said), now()).await?;
            Ok(Refunded::Later(said))
        }
        Ok(Given::Refused(said)) => {
            store.end_refund(id, Refund::Refused(said.clone()), now()).await?;
            Ok(Refunded::Refused(said))
        }
        Ok(Given::ByHand(why)) => {
            store.end_refund(id, Refund::Refused(why.to_owned()), now()).await?;
            Ok(Refunded::ByHand)
        }
        Err(said) => {
            if store.delay_refund(id, &said, now()).await? {
                let (invoice, gateway) = (round.invoice.id, round.attempt.gateway.as_str());
                tracing::error!(
                    invoice,
                    gateway,
                    said,
                    "a gateway has decided nothing of a refund for another hour: asked again"
                );
            }
            Ok(Refunded::Later(said))
        }
    }
}
