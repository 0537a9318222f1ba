//! Zarinpal, version 4 of its REST contract: a way is opened (`request.json`), the subscriber pays at `StartPay`, and
//! what came of it is verified (`verify.json`). What was paid is ours once it is verified; what is not, Zarinpal gives back.
//!
//! Amounts are rials, and said to be (`currency`). Refunds need another key than payments: they are made by hand.

use billing::payments::{Attempt, Gateway as Row, Round};
use facts::ports::Promise;
use serde_json::{Value, json};

use super::{Gateway, Given, Opened, Order, Payment, Trouble, Word, exchange};
use crate::guard::{GuardedClient, Outgoing};

/// Where everybody finds it.
const URL: &str = "https://payment.zarinpal.com";
/// Characters of an authority at most: it is part of an address.
const AUTHORITY_MAX: usize = 64;
const CURRENCY: &str = "IRR";

#[derive(Clone)]
pub(super) struct Zarinpal {
    row: Row,
    guard: GuardedClient,
}

impl Zarinpal {
    pub(super) fn new(row: Row, guard: GuardedClient) -> Zarinpal {
        Zarinpal { row, guard }
    }

    fn base(&self) -> &str {
        if self.row.url.is_empty() { URL } else { &self.row.url }
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Value, Trouble> {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        let request = Outgoing {
            post: true,
            url: format!("{}/pg/v4/payment/{what}.json", self.base()),
            headers,
            body: body.to_string().into_bytes(),
            more: Vec::new(),
            patience: None,
        };
        // Its codes say more than the status.
        exchange(&self.guard, request).await.map(|(_, value)| value)
    }

    async fn opened(self, order: Order) -> Result<Opened, Trouble> {
        let invoice = &order.invoice;
        let body = json!({
            "merchant_id": self.row.account,
            "amount": invoice.rials,
            "currency": CURRENCY,
            "description": order.title,
            "callback_url": order.back(),
            "metadata": { "mobile": invoice.mobile, "order_id": invoice.id.to_string() },
        });
        let answer = self.post("request", &body).await?;
        let authority = answer["data"]["authority"].as_str().unwrap_or_default();
        let fits = (1..=AUTHORITY_MAX).contains(&authority.len())
            && authority.bytes().all(|b| b.is_ascii_alphanumeric());
        if answer["data"]["code"] != 100 || !fits {
            return Err(said(&answer));
        }
        Ok(Opened {
            reference: authority.to_owned(),
            url: format!("{}/pg/StartPay/{authority}", self.base()),
            amount: invoice.rials,
            currency: CURRENCY.to_owned(),
        })
    }

    async fn verified(self, attempt: Attempt) -> Result<Word, Trouble> {
        let body = json!({
            "merchant_id": self.row.account,
            "amount": attempt.amount,
            "authority": attempt.reference,
        });
        let answer = self.post("verify", &body).await?;
        let data = &answer["data"];
        // 101: it was verified before.
        if data["code"] == 100 || data["code"] == 101 {
            let rrn = data["ref_id"].as_u64().map(|id| id.to_string());
            let rrn = rrn.or_else(|| data["ref_id"].as_str().map(str::to_owned));
            let digits = |rrn: &String| !rrn.is_empty() && rrn.bytes().all(|b| b.is_ascii_digit());
            let rrn = rrn.filter(digits).ok_or("it was paid, and there is no ref_id")?;
            return Ok(Word::Paid(Payment {
                amount: attempt.amount,
                currency: CURRENCY.to_owned(),
                reference: attempt.reference,
                rrn,
            }));
        }
        match answer["errors"]["code"].as_i64() {
            // It is not paid.
            Some(-51) => Ok(Word::NotYet(said(&answer))),
            // Another amount, another merchant, no such way.
            Some(-50 | -53 | -54 | -55) => Ok(Word::Never(said(&answer))),
            _ => Err(said(&answer)),
        }
    }
}

/// Its own words.
fn said(answer: &Value) -> String {
    let error = &answer["errors"];
    let words = error["message"].as_str().unwrap_or("no message");
    let words: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("code {}: {words}", error["code"].as_i64().unwrap_or_default())
}

impl Gateway for Zarinpal {
    fn open(&self, order: Order) -> Promise<Result<Opened, Trouble>> {
        Box::pin(self.clone().opened(order))
    }

    fn takes(&self) -> bool {
        true
    }

    fn ask(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        Box::pin(self.clone().verified(attempt.clone()))
    }

    fn close(&self, attempt: &Attempt) -> Promise<Result<Word, Trouble>> {
        let asked = self.clone().verified(attempt.clone());
        Box::pin(async move {
            // It knows no closing: whoever has its page open may pay still. The sweep verifies no more, so that
            // Zarinpal gives it back, unless a question that is under way now finds it paid, or he comes back here.
            Ok(match asked.await? {
                Word::NotYet(said) => Word::Never(said),
                word => word,
            })
        })
    }

    fn leave(&self, _: &Attempt) -> Promise<Result<Word, Trouble>> {
        // To ask would be to take.
        Box::pin(async { Ok(Word::Never("not verified: it was paid by another way".to_owned())) })
    }

    fn refund(&self, _: &Round) -> Promise<Result<Given, Trouble>> {
        Box::pin(async { Ok(Given::ByHand("refunds of Zarinpal are made there")) })
    }
}
