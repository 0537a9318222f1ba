//! A gateway of two buttons: nothing is paid, and all is as if it were (spec §5.3).

use billing::payments::{Attempt, Round};
use facts::ports::Promise;

use super::{Gateway, Given, Opened, Order, Payment, Trouble, Word};

pub(super) struct Test;

/// Which button was pressed.
fn pressed(attempt: &Attempt) -> Word {
    match attempt.rrn.as_deref() {
        None => Word::NotYet("no button was pressed".to_owned()),
        Some("") => Word::Never("cancelled".to_owned()),
        Some(rrn) => Word::Paid(Payment {
            amount: attempt.amount,
            currency: attempt.currency.clone(),
            reference: attempt.reference.clone(),
            rrn: rrn.to_owned(),
        }),
    }
}

impl Gateway for Test {
    fn open(&self, order: Order) -> Promise<Result<Opened, Trouble>> {
        Box::pin(async move {
            let octets = billing::random_octets().map_err(|error| error.to_string())?;
            Ok(Opened {
                reference: hex::encode(&octets[..16]),
                url: format!("{}/test", order.page),
                amount: order.invoice.rials,
                currency: "IRR".to_owned(),
            })
        })
    }

    fn ask(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        let word = pressed(attempt);
        Box::pin(async move { Ok(word) })
    }

    fn close(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        let word = match pressed(attempt) {
            Word::NotYet(said) => Word::Never(said),
            word => word,
        };
        Box::pin(async move { Ok(word) })
    }

    fn refund(&self, _: &Round) -> Promise<Result<Given, Trouble>> {
        Box::pin(async { Ok(Given::Done) })
    }
}
