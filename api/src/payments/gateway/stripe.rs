//! Stripe Checkout: a session is created, the subscriber pays at its address, and the session is retrieved. It knows no
//! rials: the operator's file says in which currency is paid, and how many rials its smallest unit is.
//!
//! What its webhook says is a reason to ask, no more.

use billing::payments::{Attempt, Gateway as Row, Round};
use facts::ports::Promise;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Gateway, Given, Opened, Order, Payment, Trouble, Word, exchange};
use crate::guard::{GuardedClient, Outgoing};

/// Where everybody finds it.
const URL: &str = "https://api.stripe.com";
/// The version of its contract that is spoken here.
const VERSION: &str = "2024-11-20.acacia";
/// Seconds that a session lives beyond the invoice's own time: half an hour at least, by its contract.
const BEYOND_S: i64 = 31 * 60;
/// How far the instant of a webhook may be from ours, seconds.
const SKEW_S: i64 = 300;

#[derive(Clone)]
pub(super) struct Stripe {
    row: Row,
    guard: GuardedClient,
}

impl Stripe {
    pub(super) fn new(row: Row, guard: GuardedClient) -> Stripe {
        Stripe { row, guard }
    }

    async fn send(
        &self,
        (post, path): (bool, &str),
        form: &[(&str, String)],
        once: Option<String>,
    ) -> Result<(u16, Value), Trouble> {
        let base = if self.row.url.is_empty() { URL } else { &self.row.url };
        let mut headers = vec![
            ("authorization", format!("Bearer {}", self.row.secret)),
            ("stripe-version", VERSION.to_owned()),
        ];
        if post {
            headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        }
        headers.extend(once.map(|once| ("idempotency-key", once)));
        let body = written(form).into_bytes();
        let url = format!("{base}/v1/{path}");
        let request = Outgoing { post, url, headers, body, more: Vec::new(), patience: None };
        let (status, value) = exchange(&self.guard, request).await?;
        match status {
            // Our key, too many requests, its own faults: not an answer to the question.
            401 | 403 | 409 | 429 | 500.. => Err(said(status, &value)),
            _ => Ok((status, value)),
        }
    }

    async fn opened(self, order: Order) -> Result<Opened, Trouble> {
        let invoice = &order.invoice;
        let amount = invoice.rials.div_ceil(self.row.rials_per_unit.max(1));
        let currency = self.row.currency.to_lowercase();
        let expires = invoice.expires.seconds() + BEYOND_S;
        let form = [
            ("mode", "payment".to_owned()),
            ("payment_method_types[0]", "card".to_owned()),
            ("client_reference_id", invoice.id.to_string()),
            ("line_items[0][quantity]", "1".to_owned()),
            ("line_items[0][price_data][currency]", currency),
            ("line_items[0][price_data][unit_amount]", amount.to_string()),
            ("line_items[0][price_data][product_data][name]", order.title.clone()),
            // He is asked for what will be compared, wherever he is.
            ("adaptive_pricing[enabled]", "false".to_owned()),
            ("expires_at", expires.to_string()),
            ("success_url", order.back()),
            ("cancel_url", format!("{}?Status=NOK&way={}", order.back(), order.before)),
        ];
        // Each press asks under a name of its own: under one name Stripe says again what it said, also that it failed.
        // A session of which the answer was lost is shown to nobody.
        let drawn = billing::random_octets().map_err(|error| error.to_string())?;
        let once =
            format!("tandem-{}-{}-{}", invoice.token, order.before, hex::encode(&drawn[..8]));
        let (status, session) = self.send((true, "checkout/sessions"), &form, Some(once)).await?;
        let (id, url) = (session["id"].as_str(), session["url"].as_str());
        match (status, id, url) {
            (200, Some(id), Some(url)) if is_id(id) => Ok(Opened {
                reference: id.to_owned(),
                url: url.to_owned(),
                amount,
                currency: self.row.currency.to_uppercase(),
            }),
            _ => Err(said(status, &session)),
        }
    }

    async fn asked(self, attempt: Attempt) -> Result<Word, Trouble> {
        let path = format!("checkout/sessions/{}", attempt.reference);
        let (status, session) = self.send((false, &path), &[], None).await?;
        match status {
            200 => Ok(word(&session)?),
            _ => Err(said(status, &session)),
        }
    }

    async fn closed(self, attempt: Attempt) -> Result<Word, Trouble> {
        let path = format!("checkout/sessions/{}/expire", attempt.reference);
        let (status, session) = self.send((true, &path), &[], None).await?;
        // What is not open cannot be closed.
        if status == 200 { word(&session) } else { self.asked(attempt).await }
    }

    async fn given(self, round: Round) -> Result<Given, Trouble> {
        if !round.reference.is_empty() {
            let path = format!("refunds/{}", round.reference);
            let (status, refund) = self.send((false, &path), &[], None).await?;
            return match status {
                200 => stands(&refund),
                _ => Err(said(status, &refund)),
            };
        }
        let invoice = round.invoice;
        let form = [
            ("payment_intent", invoice.reference.clone().unwrap_or_default()),
            ("metadata[invoice]", invoice.id.to_string()),
        ];
        let once = format!("tandem-refund-{}-{}", invoice.token, invoice.refunds);
        let (status, refund) = self.send((true, "refunds"), &form, Some(once)).await?;
        match status {
            200 => stands(&refund),
            _ if refund["error"]["code"] == "charge_already_refunded" => Ok(Given::Done),
            _ => Ok(Given::Refused(said(status, &refund))),
        }
    }
}

/// How a refund stands: the money is gone once it says so.
fn stands(refund: &Value) -> Result<Given, Trouble> {
    let word = |name: &str| refund[name].as_str().filter(|word| is_id(word)).unwrap_or_default();
    let (id, status, reason) = (word("id"), word("status"), word("failure_reason"));
    match (status, id) {
        ("succeeded", _) => Ok(Given::Done),
        ("pending" | "requires_action", id) if !id.is_empty() => {
            Ok(Given::Begun(id.to_owned(), status.to_owned()))
        }
        ("failed" | "canceled", _) => {
            Ok(Given::Refused(format!("{status} {reason}").trim_end().to_owned()))
        }
        _ => Err(format!("a refund that is {status}")),
    }
}

fn written(form: &[(&str, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

/// What a session says.
fn word(session: &Value) -> Result<Word, Trouble> {
    let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
    let (status, paid) = (text("status"), text("payment_status"));
    let said = format!("{status}, {paid}");
    Ok(match (status.as_str(), paid.as_str()) {
        ("complete", "paid") => {
            let reference = text("payment_intent");
            if !is_id(&reference) {
                return Err("it was paid, and there is no payment_intent".to_owned());
            }
            let rrn = tracking(&reference);
            // Whoever paid in a currency of his own all the same: what was asked for stands beside it.
            let (asked, currency) = match &session["currency_conversion"] {
                Value::Null => (session, "currency"),
                conversion => (conversion, "source_currency"),
            };
            let amount = asked["amount_total"].as_u64().unwrap_or_default();
            let currency = asked[currency].as_str().unwrap_or_default().to_uppercase();
            Word::Paid(Payment { amount, currency, reference, rrn })
        }
        ("expired", _) => Word::Never(said),
        ("open" | "complete", _) => Word::NotYet(said),
        _ => return Err(format!("a session that is {said}")),
    })
}

/// Banks of cards give no tracking number: twelve digits that follow from the payment's own name.
fn tracking(reference: &str) -> String {
    let digest = Sha256::digest(reference);
    let number = digest[..8].iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{}", 100_000_000_000 + number % 900_000_000_000)
}

fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Its own words, without those that could bear a secret.
fn said(status: u16, answer: &Value) -> String {
    let error = &answer["error"];
    let word =
        |name: &str| error[name].as_str().filter(|word| is_id(word)).unwrap_or("-").to_owned();
    format!("HTTP {status} {} {}", word("type"), word("code"))
}

/// The session that a webhook's word is about, if it is signed as it has to be: `t=…,v1=…`, an HMAC of the instant and
/// the body.
pub(crate) fn hook(secret: &str, signature: &str, body: &[u8], now_s: i64) -> Option<String> {
    let part = |name: &'static str| {
        signature
            .split(',')
            .filter_map(move |part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let instant = part("t").next()?;
    if (instant.parse::<i64>().ok()? - now_s).abs() > SKEW_S || secret.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(instant.as_bytes());
    mac.update(b".");
    mac.update(body);
    let wanted = hex::encode(mac.finalize().into_bytes());
    if !part("v1").any(|given| bool::from(given.as_bytes().ct_eq(wanted.as_bytes()))) {
        return None;
    }
    let event: Value = serde_json::from_slice(body).ok()?;
    let about = event["type"].as_str()?.starts_with("checkout.session.");
    let id = event["data"]["object"]["id"].as_str()?;
    (about && is_id(id)).then(|| id.to_owned())
}

impl Gateway for Stripe {
    fn open(&self, order: Order) -> Promise<Result<Opened, Trouble>> {
        Box::pin(self.clone().opened(order))
    }

    fn ask(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        Box::pin(self.clone().asked(attempt.clone()))
    }

    fn close(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        Box::pin(self.clone().closed(attempt.clone()))
    }

    fn refund(&self, round: &Round) -> Promise<Result<Given, Trouble>> {
        Box::pin(self.clone().given(round.clone()))
    }
}
