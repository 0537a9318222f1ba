//! Payments of menus (system 003, spec §5.3): invoices that pages ask for, their own pages at `/pay`, the gateways where
//! they are paid, and what is done until it is known whether they were.
//!
//! What a gateway's page says on the way back is never believed: it is the gateway itself that is asked, from here, and
//! asked again until it says something that decides. Booking is the store's, once.

pub(crate) mod gateway;
mod page;
mod refund;
mod visit;
mod words;

use std::time::Duration;

use billing::menus::CodeRow;
use billing::payments::{
    Attempt, Booked, Gateway as Row, GatewayKind, Invoice, Made, NewInvoice, Verified,
};
use dialect::inoti::page as merchant_page;
use facts::Currency;
use facts::ussd::{CALL_MAX, Door, SEGMENTS_MAX, Screen, Step};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::settings::View;
use crate::state::{ApiState, now};
use gateway::Word;

pub(crate) use refund::{Refunded, by_hand, refund};
pub(crate) use visit::routes;

/// Between two looks for what is under way.
const LOOK: Duration = Duration::from_secs(2);
/// How long a subscriber may take at a gateway; then it is told that he will not pay.
const AT_GATEWAY: Duration = Duration::from_secs(30 * 60);
/// Characters of our own invoice behind what a page is told at most, and of the two stars there.
const INVOICE_MAX: usize = 21;

/// What whoever made the page hears of a payment that is asked for too deep in a menu.
const TOO_DEEP: &str = "a payment is asked for behind too much: code, inputs, its own factor and ours are 10 parts and 256 \
                        characters at most";

/// What a subscriber sees whose menu asked for a payment: that a link is on its way, or why none is; and that, in words
/// for whoever made the page.
pub(crate) async fn asked(
    state: &ApiState,
    view: &View,
    (step, code): (&Step, &CodeRow),
    (factor, rials): (String, u64),
) -> billing::Result<(Screen, Option<&'static str>)> {
    let (store, words) = (&state.0.store, words::of(code.language));
    let refused = |words: &str, why| (Screen::Last(words.to_owned()), Some(why));
    let merchant = view.merchant(store, step.merchant).await?;
    let sandbox = merchant.is_some_and(|merchant| merchant.currency == Currency::XTS);
    let trial = sandbox || step.door == Door::Simulator;
    let base = state.0.config.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    let gateways = store.payment_gateways().await?;
    // What is paid without money buys something from whoever does not look twice.
    if trial && !sandbox && !without_money(&gateways, false) {
        let why = "a try is paid only by a sandbox where there is a gateway that takes money";
        return Ok(refused(words.no_trial, why));
    }
    let ways = offered(&gateways, trial).len();
    let sends = trial || store.sms_gateway().await?.is_some();
    let Some(base) = base.filter(|_| ways > 0 && sends) else {
        let why = match base {
            None => "the switch has no http.public_url",
            Some(_) if ways == 0 && trial => "there is no payment gateway of the kind test in use",
            Some(_) if ways == 0 => "there is no payment gateway in use",
            Some(_) => "there is no [sms] in use",
        };
        return Ok(refused(words.unavailable, why));
    };
    // The last visit tells both invoices behind what was typed, and pages take a string only so long (spec §5.2).
    let longest = step.call(true).chars().count() + factor.len() + INVOICE_MAX;
    let segments = step.code.as_slice().len() + step.inputs.len() + 2;
    if longest > CALL_MAX || segments > SEGMENTS_MAX {
        return Ok(refused(words.unavailable, TOO_DEEP));
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
    let screen = Screen::Last(match made {
        Made::Now(invoice) | Made::Again(invoice) | Made::Enough(invoice) if invoice.trial => {
            let link = format!("{base}/pay/{}", invoice.token);
            words::filled(words.trial, &[("link", &link)])
        }
        Made::Now(_) | Made::Again(_) => words::filled(words.sent, &[("amount", &amount)]),
        Made::Enough(_) => words.enough.to_owned(),
        Made::UnderWay(_) => words.under_way.to_owned(),
        Made::Paid(_) => words.paid_already.to_owned(),
    });
    Ok((screen, None))
}

/// 128 random bits in hex: what nobody guesses.
fn token() -> billing::Result<String> {
    Ok(hex::encode(&billing::random_octets()?[..16]))
}

/// Where an invoice may be paid. What is tried out is never paid with money; and where there is a gateway that takes
/// some, in use or not, nobody pays without.
pub(crate) fn offered(gateways: &[Row], trial: bool) -> Vec<&Row> {
    let is_test = |row: &&Row| row.kind == GatewayKind::Test;
    let played = without_money(gateways, trial);
    gateways.iter().filter(|row| row.enabled && is_test(row) == played).collect()
}

/// Whether an invoice is paid without money: one that is tried out, or any where no gateway takes some.
pub(crate) fn without_money(gateways: &[Row], trial: bool) -> bool {
    trial || gateways.iter().all(|row| row.kind == GatewayKind::Test)
}

/// Asks a gateway what came of an attempt, and does what follows. `end`: nobody is to pay by it any more.
pub(crate) async fn settle(
    state: &ApiState,
    attempt: &Attempt,
    end: bool,
) -> billing::Result<Invoice> {
    let store = &state.0.store;
    let there = there(state, attempt).await?;
    let takes = there.as_ref().is_ok_and(|there| there.takes());
    let question = store.ask_attempt(attempt.id, takes, now()).await?;
    let word = match there {
        Err(why) => Err(why.to_owned()),
        // By another way it is paid already: what comes by this one too is nobody's.
        Ok(there) if question.spare => there.leave(attempt).await,
        Ok(there) if end => there.close(attempt).await,
        Ok(there) => there.ask(attempt).await,
    };
    let (id, invoice) = (attempt.id, attempt.invoice);
    match word {
        Ok(Word::Paid(paid)) => return book(state, attempt, paid).await,
        Ok(Word::Never(said)) => {
            tracing::info!(invoice, gateway = attempt.gateway, said, "nothing was paid");
            return store.fail_attempt(id, &said, now()).await;
        }
        Ok(Word::NotYet(said)) => store.deny_attempt(id, &question, &said, now()).await?,
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

/// The gateway at which a way was begun, or why it cannot be asked.
async fn there(
    state: &ApiState,
    attempt: &Attempt,
) -> billing::Result<Result<Box<dyn gateway::Gateway>, &'static str>> {
    let rows = state.0.store.payment_gateways().await?;
    Ok(match rows.into_iter().find(|row| row.name == attempt.gateway) {
        None => Err("the gateway is in the operator's file no more"),
        Some(row) if row.kind != attempt.kind => Err("the gateway is of another kind by now"),
        Some(row) => Ok(gateway::of(row, &state.0.guard)),
    })
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

/// Asks after payments and refunds that are under way, and gives up invoices that nobody pays, until `stop` turns true.
pub async fn run(state: ApiState, stop: watch::Receiver<bool>) {
    let node = state.0.config.node;
    if let Err(error) = state.0.store.hasten_payments(node, now()).await {
        tracing::warn!(%error, "payments under way are asked after when their time comes");
    }
    // A gateway that is slow about refunds keeps nobody waiting who has paid.
    tokio::join!(payments(&state, stop.clone()), refunds(&state, stop));
}

async fn payments(state: &ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = turn(state).await {
            tracing::warn!(%error, "payments under way cannot be read");
        }
        if over(&mut stop).await {
            return;
        }
    }
}

async fn refunds(state: &ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = refund_turn(state).await {
            tracing::warn!(%error, "refunds under way cannot be read");
        }
        if over(&mut stop).await {
            return;
        }
    }
}

/// Waits until it is time for another look; whether there is none any more.
async fn over(stop: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(LOOK, stop.wait_for(|stop| *stop)).await.is_ok()
}

/// Looks once after payments.
///
/// # Errors
/// Those of the store.
pub async fn turn(state: &ApiState) -> billing::Result<()> {
    let store = &state.0.store;
    let mut asked = JoinSet::new();
    for attempt in store.attempts_due(state.0.config.node, now()).await? {
        let state = state.clone();
        asked.spawn(async move {
            let end = attempt.late || now() > attempt.made + AT_GATEWAY;
            (attempt.invoice, settle(&state, &attempt, end).await)
        });
    }
    while let Some(done) = asked.join_next().await {
        if let Ok((invoice, Err(error))) = done {
            tracing::warn!(%error, invoice, "what came of a payment cannot be written");
        }
    }
    store.expire_invoices(now()).await.map(drop)
}

/// Looks once after refunds.
///
/// # Errors
/// Those of the store.
pub async fn refund_turn(state: &ApiState) -> billing::Result<()> {
    let mut asked = JoinSet::new();
    for round in state.0.store.refunds_due(state.0.config.node, now()).await? {
        let state = state.clone();
        asked.spawn(async move { (round.invoice.id, refund::ask(&state, &round).await) });
    }
    while let Some(done) = asked.join_next().await {
        match done {
            Ok((invoice, Ok(came))) => {
                tracing::info!(invoice, came = came.word(), "a refund was asked for again");
            }
            Ok((invoice, Err(error))) => {
                tracing::warn!(%error, invoice, "what came of a refund cannot be written");
            }
            Err(_) => {}
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
