//! Payments of menus (system 003, spec §5.3): invoices that pages ask for, their own pages at `/pay`, the gateways where
//! they are paid, and what is done until it is known whether they were.
//!
//! What a gateway's page says on the way back is never believed: it is the gateway itself that is asked, from here, and
//! asked again until it says something that decides. Booking is the store's, once.

pub(crate) mod gateway;
mod page;
mod visit;
mod words;

use std::time::Duration;

use billing::menus::CodeRow;
use billing::payments::{
    Attempt, Booked, Gateway as Row, GatewayKind, Invoice, Made, NewInvoice, Refund, RefundBegun,
    Verified,
};
use dialect::inoti::page as merchant_page;
use facts::Currency;
use facts::ussd::{CALL_MAX, Door, SEGMENTS_MAX, Screen, Step};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::settings::View;
use crate::state::{ApiState, now};
use gateway::{Given, Word};

pub(crate) use visit::routes;

/// Between two looks for what is under way.
const LOOK: Duration = Duration::from_secs(2);
/// How long a subscriber may take at a gateway; then it is told that he will not pay.
const AT_GATEWAY: Duration = Duration::from_secs(30 * 60);
/// Refunds that one look asks after at most.
const REFUNDS_MAX: u32 = 20;
/// Characters of our own invoice behind what a page is told at most, and of the two stars there.
const INVOICE_MAX: usize = 21;
/// Looks between two questions after refunds that are under way.
const REFUND_LOOKS: u32 = 15;

/// What a subscriber sees whose menu asked for a payment: that a link is on its way, or why none is.
pub(crate) async fn asked(
    state: &ApiState,
    view: &View,
    (step, code): (&Step, &CodeRow),
    (factor, rials): (String, u64),
) -> billing::Result<Screen> {
    let (store, words) = (&state.0.store, words::of(code.language));
    let merchant = view.merchant(store, step.merchant).await?;
    let sandbox = merchant.is_some_and(|merchant| merchant.currency == Currency::XTS);
    let trial = sandbox || step.door == Door::Simulator;
    let base = state.0.config.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    let ways = offered(&store.payment_gateways().await?, trial).len();
    let sends = trial || store.sms_gateway().await?.is_some();
    let Some(base) = base.filter(|_| ways > 0 && sends) else {
        tracing::warn!(
            code = code.code,
            "a menu wants something paid: no public_url, gateway or way for short messages"
        );
        return Ok(Screen::Last(words.unavailable.to_owned()));
    };
    // The last visit tells both invoices behind what was typed, and pages take a string only so long (spec §5.2).
    let longest = step.call(true).chars().count() + factor.len() + INVOICE_MAX;
    let segments = step.code.as_slice().len() + step.inputs.len() + 2;
    if longest > CALL_MAX || segments > SEGMENTS_MAX {
        tracing::warn!(
            code = code.code,
            "a menu wants something paid behind more than a page can be told"
        );
        return Ok(Screen::Last(words.unavailable.to_owned()));
    }
    let amount = words::amount(code.language, rials);
    let link = format!("{base}/pay/{{token}}");
    let text =
        words::filled(words.sms_link, &[("amount", &amount), ("factor", &factor), ("link", &link)]);
    let new = NewInvoice {
        merchant: step.merchant,
        code: code.code.clone(),
        page: code.page.clone(),
        language: code.language,
        session: step.session,
        step: step.number,
        subscriber: step.mobile.clone(),
        mobile: merchant_page::mobile(&view.plan, &step.mobile),
        call: step.call(code.leading_star),
        factor,
        rials,
        trial,
        token: token()?,
        text,
    };
    let made = store.make_invoice(new, now()).await?;
    state.0.sms_wake.notify_one();
    Ok(Screen::Last(match made {
        Made::Now(invoice) | Made::Again(invoice) | Made::Enough(invoice) if invoice.trial => {
            let link = format!("{base}/pay/{}", invoice.token);
            words::filled(words.trial, &[("link", &link)])
        }
        Made::Now(_) | Made::Again(_) => words::filled(words.sent, &[("amount", &amount)]),
        Made::Enough(_) => words.enough.to_owned(),
        Made::UnderWay(_) => words.under_way.to_owned(),
        Made::Paid(_) => words.paid_already.to_owned(),
    }))
}

/// 128 random bits in hex: what nobody guesses.
fn token() -> billing::Result<String> {
    Ok(hex::encode(&billing::random_octets()?[..16]))
}

/// Where an invoice may be paid. What is tried out is never paid with money; and where there is a gateway that takes
/// some, in use or not, nobody pays without.
pub(crate) fn offered(gateways: &[Row], trial: bool) -> Vec<&Row> {
    let is_test = |row: &&Row| row.kind == GatewayKind::Test;
    let real = gateways.iter().any(|row| row.kind != GatewayKind::Test);
    let fits = |row: &&Row| row.enabled && (is_test(row) == (trial || !real));
    gateways.iter().filter(fits).collect()
}

/// Asks a gateway what came of an attempt, and does what follows. `end`: nobody is to pay by it any more.
pub(crate) async fn settle(
    state: &ApiState,
    attempt: &Attempt,
    end: bool,
) -> billing::Result<Invoice> {
    let store = &state.0.store;
    let rows = store.payment_gateways().await?;
    let there = rows.into_iter().find(|row| row.name == attempt.gateway);
    let word = match there.map(|row| gateway::of(row, &state.0.guard)) {
        None => Err("the gateway is in the operator's file no more".to_owned()),
        Some(there) if end => there.close(attempt).await,
        Some(there) => there.ask(attempt).await,
    };
    let (id, invoice) = (attempt.id, attempt.invoice);
    match word {
        Ok(Word::Paid(paid)) => return book(state, attempt, paid).await,
        Ok(Word::Never(said)) => {
            tracing::info!(invoice, gateway = attempt.gateway, said, "nothing was paid");
            return store.fail_attempt(id, &said, now()).await;
        }
        Ok(Word::NotYet(said)) => store.delay_attempt(id, &said, now()).await?,
        Err(said) => {
            tracing::warn!(
                invoice,
                gateway = attempt.gateway,
                said,
                "a gateway says nothing of a payment: asked again"
            );
            store.delay_attempt(id, &said, now()).await?;
        }
    }
    store.invoice(invoice).await?.ok_or(billing::Error::Missing("invoice"))
}

async fn book(
    state: &ApiState,
    attempt: &Attempt,
    paid: gateway::Payment,
) -> billing::Result<Invoice> {
    let store = &state.0.store;
    let invoice =
        store.invoice(attempt.invoice).await?.ok_or(billing::Error::Missing("invoice"))?;
    let words = words::of(invoice.language);
    let amount = words::amount(invoice.language, invoice.rials);
    let said = [("amount", amount.as_str()), ("factor", &invoice.factor), ("rrn", &paid.rrn)];
    let text = words::filled(words.sms_paid, &said);
    let gateway::Payment { amount, currency, reference, rrn } = paid;
    let verified = Verified { amount, currency, reference, rrn, text };
    let booked = store.book_attempt(attempt.id, verified, now()).await?;
    let (id, gateway) = (invoice.id, attempt.gateway.as_str());
    Ok(match booked {
        Booked::Now(invoice) => {
            tracing::info!(invoice = id, gateway, rials = invoice.rials, "an invoice is paid");
            state.0.push_wake.notify_one();
            state.0.sms_wake.notify_one();
            invoice
        }
        Booked::Before(invoice) => invoice,
        Booked::Odd(invoice) => {
            tracing::error!(
                invoice = id,
                gateway,
                "a gateway says that something else was paid than asked for: not booked"
            );
            invoice
        }
    })
}

/// What came of a refund.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refunded {
    /// It is given back, or being given back: the state says which.
    Yes(Invoice),
    /// There is nothing to give back.
    NotPaid(Invoice),
    /// The gateway will not, in these words.
    Refused(String),
    /// It is not known yet; it is tried until it is.
    Later(String),
    /// The gateway has to be told by hand first.
    ByHand,
}

/// Gives the money of an invoice back. `by_hand`: the operator has done so at the gateway.
pub(crate) async fn refund(state: &ApiState, id: i64, by_hand: bool) -> billing::Result<Refunded> {
    let store = &state.0.store;
    let (invoice, attempt) = match store.begin_refund(id, now()).await? {
        RefundBegun::Now(invoice, attempt) => (invoice, attempt),
        RefundBegun::Before(invoice) => return Ok(Refunded::Yes(invoice)),
        RefundBegun::NotPaid(invoice) => return Ok(Refunded::NotPaid(invoice)),
    };
    if by_hand {
        return store.end_refund(id, Refund::Done, now()).await.map(Refunded::Yes);
    }
    let rows = store.payment_gateways().await?;
    let there = rows.into_iter().find(|row| row.name == attempt.gateway);
    let given = match there.map(|row| gateway::of(row, &state.0.guard)) {
        None => Ok(Given::ByHand),
        Some(there) => there.refund(&invoice).await,
    };
    match given {
        Ok(Given::Done) => store.end_refund(id, Refund::Done, now()).await.map(Refunded::Yes),
        Ok(Given::Refused(said)) => {
            store.end_refund(id, Refund::Refused, now()).await?;
            Ok(Refunded::Refused(said))
        }
        Ok(Given::ByHand) => {
            store.end_refund(id, Refund::Refused, now()).await?;
            Ok(Refunded::ByHand)
        }
        Err(said) => Ok(Refunded::Later(said)),
    }
}

/// Asks after payments and refunds that are under way, and gives up invoices that nobody pays, until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    if let Err(error) = state.0.store.hasten_attempts(now()).await {
        tracing::warn!(%error, "payments under way are asked after when their time comes");
    }
    let mut looks = 0_u32;
    loop {
        if let Err(error) = turn(&state, looks.is_multiple_of(REFUND_LOOKS)).await {
            tracing::warn!(%error, "payments under way cannot be read");
        }
        looks = looks.wrapping_add(1);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Looks once; with `refunds`, also after those.
///
/// # Errors
/// Those of the store.
pub async fn turn(state: &ApiState, refunds: bool) -> billing::Result<()> {
    let store = &state.0.store;
    let mut asked = JoinSet::new();
    for attempt in store.attempts_due(now()).await? {
        let state = state.clone();
        asked.spawn(async move {
            let end = now() > attempt.made + AT_GATEWAY;
            (attempt.invoice, settle(&state, &attempt, end).await)
        });
    }
    while let Some(done) = asked.join_next().await {
        if let Ok((invoice, Err(error))) = done {
            tracing::warn!(%error, invoice, "what came of a payment cannot be written");
        }
    }
    store.expire_invoices(now()).await?;
    if refunds {
        for invoice in store.refunds_under_way(REFUNDS_MAX).await? {
            let id = invoice.id;
            let came = match refund(state, id, false).await? {
                Refunded::Yes(_) => "given back",
                Refunded::NotPaid(_) => "there is nothing to give back",
                Refunded::Refused(_) => "refused",
                Refunded::Later(_) => "not known yet",
                Refunded::ByHand => "has to be done by hand",
            };
            tracing::info!(invoice = id, came, "a refund is asked for again");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, kind: GatewayKind, enabled: bool) -> Row {
        Row {
            name: name.into(),
            kind,
            title: name.into(),
            enabled,
            account: String::new(),
            secret: String::new(),
            hook_secret: String::new(),
            currency: "IRR".into(),
            rials_per_unit: 1,
            url: String::new(),
        }
    }

    #[test]
    fn nobody_pays_without_money_where_there_is_a_gateway_that_takes_some() {
        let names = |rows: &[Row], trial| -> Vec<String> {
            offered(rows, trial).iter().map(|row| row.name.clone()).collect()
        };
        let test = row("test", GatewayKind::Test, true);
        let card = row("card", GatewayKind::Zarinpal, true);
        let off = row("card", GatewayKind::Zarinpal, false);
        assert_eq!(names(std::slice::from_ref(&test), false), ["test"]);
        assert_eq!(names(&[test.clone(), card.clone()], false), ["card"]);
        assert!(names(&[test.clone(), off], false).is_empty());
        assert_eq!(names(&[test, card.clone()], true), ["test"]);
        assert!(names(&[card], true).is_empty());
    }
}
