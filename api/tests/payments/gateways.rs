//! Gateways against servers that answer as their contracts have it, and look at every byte they are asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use billing::payments::{AttemptState, InvoiceState};
use facts::ussd::Door;
pub(crate) use hmac_sha256::sign;
use serde_json::{Value, json};

use crate::peer::{Came, Mind, Peer};
use crate::{BASE, Shop};

mod hmac_sha256 {
    use sha2::{Digest as _, Sha256};

    /// RFC 2104, for keys shorter than a block.
    pub(crate) fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
        let padded = |with: u8| -> Vec<u8> {
            (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect()
        };
        let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
        Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
    }
}

const ACCOUNT: &str = "1344b5d4-0048-11e8-94db-005056a205be";
const AUTHORITY: &str = "A0000000000000000000000000000wwOGYpd";

async fn zarinpal() -> (Shop, Peer) {
    let there = Peer::start().await;
    let row =
        json!({ "name": "card", "kind": "zarinpal", "account": ACCOUNT, "url": there.url("") });
    (Shop::new(json!([row, { "name": "try", "kind": "test" }])).await, there)
}

fn opened(authority: &str) -> String {
    format!(
        r#"{{"data":{{"code":100,"message":"Success","authority":"{authority}","fee_type":"Merchant","fee":100}},"errors":[]}}"#
    )
}

fn verified(code: u32) -> String {
    format!(
        r#"{{"data":{{"code":{code},"message":"Paid","card_hash":"1EBE3EBEBE35C7EC0F8D6EE4F2F859107A87822CA179BC9528767EA7B5489B69","card_pan":"502229******5995","ref_id":201764891234,"fee_type":"Merchant","fee":0}},"errors":[]}}"#
    )
}

fn refused(code: i32) -> String {
    format!(
        r#"{{"data":[],"errors":{{"code":{code},"message":"Session is not valid, session is not active paid try.","validations":[]}}}}"#
    )
}

fn json_body(came: &Came) -> Value {
    assert_eq!(came.header("content-type"), "application/json");
    serde_json::from_str(&came.body).unwrap()
}

#[tokio::test]
async fn s5_3_whoever_comes_back_from_a_gateway_reads_what_he_read_before() {
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("F-8", 1_000).await;
    there.answer(200, &opened(AUTHORITY));
    shop.press(&format!("/pay/{}/start", invoice.token), "gateway=card&lang=zh").await;
    let back = json_body(&there.take()[0])["callback_url"].as_str().unwrap().to_owned();
    let path = back.strip_prefix(BASE).unwrap();
    assert_eq!(path, format!("/pay/{}/back/zh", invoice.token));
    there.answer(200, &verified(100));
    let seen = shop.ask("GET", &format!("{path}?Authority={AUTHORITY}&Status=OK"), "").await;
    assert_eq!(seen.to(), Some(format!("/pay/{}?lang=zh", invoice.token)));
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    // A language that there is not is the code's.
    let seen = shop.ask("GET", &format!("/pay/{}/back/xx", invoice.token), "").await;
    assert_eq!(seen.to(), Some(format!("/pay/{}?lang=fa", invoice.token)));
}

#[tokio::test]
async fn s5_3_zarinpal_is_asked_in_rials_and_verified_from_here() {
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("F-7", 125_000).await;
    let at = format!("/pay/{}", invoice.token);
    there.answer(200, &opened(AUTHORITY));
    let going = shop.press(&format!("{at}/start"), "gateway=card").await;
    let start_pay = there.url(&format!("/pg/StartPay/{AUTHORITY}"));
    assert!(going.body.contains(&format!("0;url={start_pay}\"")), "{}", going.body);
    let came = there.take();
    assert_eq!((came.len(), came[0].method.as_str()), (1, "POST"));
    assert_eq!(came[0].target, "/pg/v4/payment/request.json");
    let wanted = json!({
        "merchant_id": ACCOUNT,
        "amount": 125_000,
        "currency": "IRR",
        "description": "شماره فاکتور F-7",
        "callback_url": format!("{BASE}/pay/{}/back/fa", invoice.token),
        "metadata": { "mobile": "09123456789", "order_id": invoice.id.to_string() },
    });
    assert_eq!(json_body(&came[0]), wanted);
    // The way back says OK; whether he has paid is asked there.
    there.say(&[(200, verified(100).as_str()), (200, verified(101).as_str())]);
    let seen = shop.back(&invoice, &format!("?Authority={AUTHORITY}&Status=OK")).await;
    assert!(seen.body.contains("201764891234"), "{}", seen.body);
    let came = there.take();
    assert_eq!(came[0].target, "/pg/v4/payment/verify.json");
    let wanted = json!({ "merchant_id": ACCOUNT, "amount": 125_000, "authority": AUTHORITY });
    assert_eq!(json_body(&came[0]), wanted);
    let held = shop.now(&invoice).await;
    assert_eq!((held.state, held.rrn.as_deref()), (InvoiceState::Paid, Some("201764891234")));
    assert_eq!(held.reference.as_deref(), Some(AUTHORITY));
    // Back again: nothing is left to ask.
    shop.back(&invoice, "?Status=OK").await;
    assert!(there.take().is_empty());
    let (status, told) =
        shop.world.admin("POST", &format!("/ussd-invoices/{}/refund", invoice.id), None).await;
    assert_eq!((status, &told["error"]["code"]), (StatusCode::CONFLICT, &json!("by_hand")));
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    let by_hand = Some(json!({ "by_hand": true }));
    let (status, _) =
        shop.world.admin("POST", &format!("/ussd-invoices/{}/refund", invoice.id), by_hand).await;
    assert_eq!((status, shop.now(&invoice).await.state), (StatusCode::OK, InvoiceState::Refunded));
    assert!(there.take().is_empty());
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_zarinpal_that_says_nothing_is_asked_again_until_it_does() {
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("1", 5000).await;
    let at = format!("/pay/{}", invoice.token);
    // It does not open: he may press again, and one that is no name of a way is none.
    for nonsense in [
        (500, "<html>"),
        (200, r#"{"data":{"code":100,"authority":"../x"}}"#),
        (422, &*refused(-9)),
    ] {
        there.say(&[nonsense]);
        let seen = shop.press(&format!("{at}/start"), "lang=en").await;
        assert!(seen.body.contains("did not answer"), "{}", seen.body);
    }
    there.answer(200, &opened(AUTHORITY));
    shop.press(&format!("{at}/start"), "").await;
    // He has paid, and the gateway is away: nothing is booked, nothing is lost.
    for away in
        [(0, ""), (503, "oops"), (200, "<html>"), (429, &*refused(-12)), (200, &*refused(-52))]
    {
        there.say(&[away]);
        let seen = shop.back(&invoice, "?Status=OK&lang=en").await;
        assert!(seen.body.contains("It is not known yet"), "{}", seen.body);
    }
    let pending = shop.world.store.pending_attempt(invoice.id).await.unwrap().unwrap();
    assert!(pending.said.contains("-52"), "{}", pending.said);
    // A process that verified and died before it booked: the next one is told 101.
    there.answer(200, &verified(101));
    let later = crate::now() + std::time::Duration::from_secs(400);
    let due = shop.world.store.attempts_due(7, later).await.unwrap();
    assert_eq!(due.len(), 1);
    shop.back(&invoice, "").await;
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    assert_eq!(shop.world.store.outbox(None, None, 0, 10).await.unwrap().len(), 1);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_who_does_not_pay_at_zarinpal_may_pay_by_another_way() {
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("1", 5000).await;
    let at = format!("/pay/{}", invoice.token);
    assert!(!shop.get(&at).await.body.contains("value=\"try\""), "nobody pays without money");
    there.answer(200, &opened(AUTHORITY));
    shop.press(&format!("{at}/start"), "gateway=try").await;
    assert!(there.take().is_empty(), "a gateway that is not offered");
    shop.press(&format!("{at}/start"), "gateway=card").await;
    there.answer(401, &refused(-51));
    // Somebody forges the way back: it is not paid, and nothing is decided.
    shop.back(&invoice, "?Status=OK").await;
    assert!(shop.world.store.pending_attempt(invoice.id).await.unwrap().is_some());
    // A page of another way that he has left says nothing of this one.
    shop.back(&invoice, "?Authority=A0000000000000000000000000000000other&Status=NOK").await;
    assert!(shop.world.store.pending_attempt(invoice.id).await.unwrap().is_some());
    let seen = shop.back(&invoice, &format!("?Authority={AUTHORITY}&Status=NOK&lang=en")).await;
    assert!(seen.body.contains("Pay</button>"), "{}", seen.body);
    let failed = shop.world.store.attempts_of(invoice.id).await.unwrap().remove(0);
    assert_eq!(failed.state, AttemptState::Failed);
    there.answer(200, &opened("A0000000000000000000000000000wwOGYpe"));
    shop.press(&format!("{at}/start"), "").await;
    there.answer(200, &verified(100));
    shop.back(&invoice, "?Status=OK").await;
    let ways: Vec<_> = shop.world.store.attempts_of(invoice.id).await.unwrap();
    let states: Vec<_> = ways.iter().map(|way| way.state).collect();
    assert_eq!(states, [AttemptState::Failed, AttemptState::Paid]);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_the_page_of_what_was_paid_without_money_says_so() {
    let words = [
        ("fa", "این پرداخت آزمایشی بود و پولی جابه‌جا نشد."),
        ("en", "This was for tests: no money moved."),
        ("zh", "这是测试，没有扣款。"),
    ];
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let is_told = async |token: &str, wanted: bool| {
        for (tag, text) in words {
            let seen = shop.get(&format!("/pay/{token}?lang={tag}")).await;
            assert_eq!(seen.body.contains(text), wanted, "{}", seen.body);
        }
    };
    // A subscriber's, where no gateway takes money; and a merchant's own try.
    let played = shop.invoice("1", 5000).await;
    shop.step(900, Door::Simulator, "9900|2|5000").await;
    let tried = shop.all().await.into_iter().find(|one| one.trial).unwrap();
    assert!(!played.trial);
    for invoice in [&played, &tried] {
        is_told(&invoice.token, false).await;
        let seen = shop.pay(invoice).await;
        assert!(seen.body.contains(words[0].1), "{}", seen.body);
        is_told(&invoice.token, true).await;
    }
    let refund = format!("/ussd-invoices/{}/refund", played.id);
    assert_eq!(shop.world.admin("POST", &refund, None).await.0, StatusCode::OK);
    assert_eq!(shop.now(&played).await.state, InvoiceState::Refunded);
    is_told(&played.token, true).await;
    // With money it is not said.
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("1", 5000).await;
    there.answer(200, &opened(AUTHORITY));
    shop.press(&format!("/pay/{}/start", invoice.token), "gateway=card").await;
    there.answer(200, &verified(100));
    let seen = shop.back(&invoice, &format!("?Authority={AUTHORITY}&Status=OK&lang=en")).await;
    assert!(seen.body.contains("Paid") && !seen.body.contains(words[1].1), "{}", seen.body);
}

#[tokio::test]
async fn s5_3_who_comes_back_from_a_way_that_is_over_reads_that_nothing_was_paid() {
    let words = [("fa", "چیزی پرداخت نشد."), ("en", "Nothing was paid."), ("zh", "没有付款。")];
    let shop = Shop::new(json!([{ "name": "try", "kind": "test" }])).await;
    let invoice = shop.invoice("1", 5000).await;
    let at = format!("/pay/{}", invoice.token);
    // An address that somebody has written says nothing that is not so.
    let by_hand = async |wanted: bool| {
        for (tag, text) in words {
            let seen = shop.get(&format!("{at}?unpaid=1&lang={tag}")).await;
            assert_eq!(seen.body.contains(text), wanted, "{}", seen.body);
        }
    };
    by_hand(false).await;
    for (tag, text) in words {
        shop.press(&format!("{at}/start"), "").await;
        by_hand(false).await;
        // Pressed twice, told twice; and he may try again.
        for _ in 0..2 {
            let seen = shop.press(&format!("{at}/test"), &format!("act=cancel&lang={tag}")).await;
            assert!(seen.body.contains(text), "{}", seen.body);
            assert!(seen.body.contains(&format!("{at}/start")), "{}", seen.body);
        }
        by_hand(true).await;
        assert!(!shop.get(&format!("{at}?lang={tag}")).await.body.contains(text));
    }
    shop.pay(&invoice).await;
    by_hand(false).await;
    let seen = shop.get(&format!("{at}?unpaid=1&failed=1&lang=en")).await;
    assert!(seen.body.contains("Paid") && !seen.body.contains("did not answer"), "{}", seen.body);
    // He left Zarinpal's page: as long as that has not said that nothing was paid, nobody says so.
    let (shop, there) = zarinpal().await;
    let invoice = shop.invoice("1", 5000).await;
    there.answer(200, &opened(AUTHORITY));
    shop.press(&format!("/pay/{}/start", invoice.token), "gateway=card").await;
    let left = format!("?Authority={AUTHORITY}&Status=NOK&lang=en");
    there.answer(503, "oops");
    let seen = shop.back(&invoice, &left).await;
    assert!(seen.body.contains("It is not known yet"), "{}", seen.body);
    assert!(!seen.body.contains(words[1].1), "{}", seen.body);
    there.answer(401, &refused(-51));
    let seen = shop.back(&invoice, &left).await;
    assert!(seen.body.contains(words[1].1), "{}", seen.body);
    // By another way he has paid another amount: it is not said that it was nothing.
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    let start = format!("/pay/{}/start", invoice.token);
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&start, "").await;
    there.answer(200, &session("complete", "paid", 9));
    shop.back(&invoice, "").await;
    there.answer(200, &session("open", "unpaid", 10).replace(SESSION, "cs_2"));
    shop.press(&start, "").await;
    there.answer(200, &session("expired", "unpaid", 10));
    let seen = shop.back(&invoice, "?Status=NOK&way=1&lang=en").await;
    assert!(seen.body.contains("Pay</button>") && !seen.body.contains(words[1].1), "{}", seen.body);
}

const SESSION: &str = "cs_test_a1YS1URlnyQCN5fUUduORoQ7Pw41PJqDWkIVQCpJPqkfIhd6tVY8XB1OLY";
const INTENT: &str = "pi_1Dpdvw2eZvKYlo2CqAh8xYHz";
const HOOK: &str = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH";

async fn stripe() -> (Shop, Peer) {
    let there = Peer::start().await;
    let row = json!({ "name": "abroad", "kind": "stripe", "secret": "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
                      "hook_secret": HOOK, "currency": "EUR", "rials_per_unit": 9_000,
                      "url": there.url("") });
    (Shop::new(json!([row])).await, there)
}

fn session(status: &str, paid: &str, amount: u64) -> String {
    let intent = if paid == "paid" { format!("\"{INTENT}\"") } else { "null".into() };
    format!(
        r#"{{"id":"{SESSION}","object":"checkout.session","amount_total":{amount},"currency":"eur","payment_intent":{intent},"payment_status":"{paid}","status":"{status}","url":"https://checkout.stripe.com/c/pay/{SESSION}"}}"#
    )
}

/// A word of its webhook, signed so long ago.
async fn told(shop: &Shop, body: &str, ago: i64, key: &str) -> StatusCode {
    let at = crate::now().seconds() - ago;
    let mark = sign(key.as_bytes(), format!("{at}.{body}").as_bytes());
    let hex = mark.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    let request = Request::post("/pay-hooks/abroad")
        .header("stripe-signature", format!("t={at},v1=00ff,v1={hex},v0=1"))
        .body(Body::from(body.to_owned()))
        .unwrap();
    shop.world.send(request).await.0
}

#[tokio::test]
async fn s5_3_stripe_is_paid_in_its_currency_and_booked_in_rials() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("F 7".replace(' ', "_").as_str(), 125_001).await;
    let at = format!("/pay/{}", invoice.token);
    there.answer(200, &session("open", "unpaid", 14));
    let going = shop.press(&format!("{at}/start"), "").await;
    assert!(going.body.contains(&format!("0;url=https://checkout.stripe.com/c/pay/{SESSION}\"")));
    let came = there.take().remove(0);
    assert_eq!((came.method.as_str(), came.target.as_str()), ("POST", "/v1/checkout/sessions"));
    assert_eq!(came.header("authorization"), "Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc");
    assert_eq!(came.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(came.header("stripe-version"), "2024-11-20.acacia");
    let expires = invoice.expires.seconds() + 1860;
    let once = came.header("idempotency-key");
    assert!(once.starts_with(&format!("tandem-{}-0-", invoice.token)), "{once}");
    let back = format!("http%3A%2F%2Fpay.example%2Fpay%2F{}%2Fback%2Ffa", invoice.token);
    // 125,001 rials are 13.9 cents: never less than was asked for.
    let wanted = format!(
        "mode=payment&payment_method_types%5B0%5D=card&client_reference_id={}&line_items%5B0%5D%5Bquantity%5D=1\
         &line_items%5B0%5D%5Bprice_data%5D%5Bcurrency%5D=eur&line_items%5B0%5D%5Bprice_data%5D%5Bunit_amount%5D=14\
         &line_items%5B0%5D%5Bprice_data%5D%5Bproduct_data%5D%5Bname%5D=\
         %D8%B4%D9%85%D8%A7%D8%B1%D9%87+%D9%81%D8%A7%DA%A9%D8%AA%D9%88%D8%B1+F_7\
         &adaptive_pricing%5Benabled%5D=false&expires_at={expires}&success_url={back}&cancel_url={back}%3FStatus%3DNOK%26way%3D0",
        invoice.id
    );
    assert_eq!(came.body, wanted);
    there.answer(200, &session("complete", "paid", 14));
    let seen = shop.back(&invoice, "").await;
    let came = there.take().remove(0);
    assert_eq!(
        (came.method.as_str(), came.target.clone()),
        ("GET", format!("/v1/checkout/sessions/{SESSION}"))
    );
    let held = shop.now(&invoice).await;
    let rrn = held.rrn.clone().unwrap();
    assert_eq!((held.state, held.reference.as_deref()), (InvoiceState::Paid, Some(INTENT)));
    assert!(rrn.len() == 12 && seen.body.contains(&rrn), "{rrn}: {}", seen.body);
    assert_eq!(shop.world.store.payments_due(shop.merchant).await.unwrap(), 125_001);
    let (_, due) = shop.world.admin("GET", "/payments-due?merchant=test", None).await;
    assert_eq!(due["items"], serde_json::json!([{ "merchant": "test", "rials": 125_001 }]));
    // The money goes back once, whatever is repeated.
    let refund = format!("/ussd-invoices/{}/refund", invoice.id);
    there.answer(503, "");
    let (status, _) = shop.world.admin("POST", &refund, None).await;
    assert_eq!(
        (status, shop.now(&invoice).await.state),
        (StatusCode::ACCEPTED, InvoiceState::Refunding)
    );
    there.answer(200, r#"{"id":"re_1","object":"refund","status":"succeeded"}"#);
    // It was not known, and is asked for again when it is time; by hand it may not go back meanwhile.
    let by_hand = Some(json!({ "by_hand": true }));
    let (status, told) = shop.world.admin("POST", &refund, by_hand).await;
    assert_eq!((status, &told["error"]["code"]), (StatusCode::CONFLICT, &json!("under_way")));
    api::payments::refund_turn(&shop.world.state).await.unwrap();
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Refunding, "not yet");
    shop.world.store.hasten_payments(7, crate::now()).await.unwrap();
    api::payments::refund_turn(&shop.world.state).await.unwrap();
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Refunded);
    let came = there.take();
    let once = format!("tandem-refund-{}-1", invoice.token);
    assert!(came.len() == 2 && came.iter().all(|one| one.header("idempotency-key") == once));
    assert_eq!(came[1].target, "/v1/refunds");
    let wanted = format!("payment_intent={INTENT}&metadata%5Binvoice%5D={}", invoice.id);
    assert_eq!(came[1].body, wanted);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_who_paid_stripe_in_a_currency_of_his_own_has_paid() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&format!("/pay/{}/start", invoice.token), "").await;
    let own = session("complete", "paid", 1_612)
        .replace("\"currency\":\"eur\"", "\"currency\":\"jpy\",\"currency_conversion\":\
            {\"amount_subtotal\":10,\"amount_total\":10,\"fx_rate\":\"161.2\",\"source_currency\":\"eur\"}");
    there.answer(200, &own);
    shop.back(&invoice, "").await;
    let held = shop.now(&invoice).await;
    assert_eq!((held.state, held.reference.as_deref()), (InvoiceState::Paid, Some(INTENT)));
    // What was asked for is what counts, in his currency or not.
    let invoice = shop.invoice("2", 90_000).await;
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&format!("/pay/{}/start", invoice.token), "").await;
    there.answer(200, &own.replace("\"amount_total\":10,", "\"amount_total\":9,"));
    shop.back(&invoice, "").await;
    assert_ne!(shop.now(&invoice).await.state, InvoiceState::Paid);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_who_presses_again_behind_a_fault_of_stripe_gets_on() {
    // Under one name it says again what it said, also that it failed.
    let kept = Arc::new(Mutex::new(BTreeMap::new()));
    let mind: Mind = Arc::new(move |came| {
        let kept = Arc::clone(&kept);
        Box::pin(async move {
            let once = came.header("idempotency-key").to_owned();
            let mut kept = kept.lock().unwrap();
            let failed = (500, r#"{"error":{"type":"api_error"}}"#.to_owned());
            let first = kept.is_empty();
            let opened = (200, session("open", "unpaid", 10));
            Some(kept.entry(once).or_insert(if first { failed } else { opened }).clone())
        })
    });
    let there = Peer::by(mind).await;
    let row = json!({ "name": "abroad", "kind": "stripe", "secret": "s", "hook_secret": HOOK, "currency": "EUR",
                      "rials_per_unit": 9_000, "url": there.url("") });
    let shop = Shop::new(json!([row])).await;
    let invoice = shop.invoice("1", 90_000).await;
    let start = format!("/pay/{}/start", invoice.token);
    let seen = shop.press(&start, "lang=en").await;
    assert!(seen.body.contains("did not answer"), "{}", seen.body);
    shop.press(&start, "").await;
    let way = shop.world.store.pending_attempt(invoice.id).await.unwrap().unwrap();
    assert_eq!((way.reference.as_str(), there.count()), (SESSION, 2));
}

#[tokio::test]
async fn s5_3_a_refund_that_stripe_has_begun_is_asked_after_until_it_decides() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&format!("/pay/{}/start", invoice.token), "").await;
    there.answer(200, &session("complete", "paid", 10));
    shop.back(&invoice, "").await;
    there.take();
    let refund = format!("/ussd-invoices/{}/refund", invoice.id);
    let due = async || shop.world.store.payments_due(shop.merchant).await.unwrap();
    let asked = async |status: &str, wanted: &str| {
        there.answer(200, &format!(r#"{{"id":"re_1","object":"refund","status":"{status}"}}"#));
        shop.world.store.hasten_payments(7, crate::now()).await.unwrap();
        api::payments::refund_turn(&shop.world.state).await.unwrap();
        let came = there.take().remove(0);
        assert_eq!(format!("{} {}", came.method, came.target), wanted);
        shop.in_order().await;
    };
    for (state, left) in [(InvoiceState::Paid, 90_000), (InvoiceState::Refunded, 0)] {
        let begun = if left > 0 { "pending" } else { "requires_action" };
        there.answer(200, &format!(r#"{{"id":"re_1","object":"refund","status":"{begun}"}}"#));
        let (status, _) = shop.world.admin("POST", &refund, None).await;
        assert_eq!((status, there.take()[0].method.as_str()), (StatusCode::ACCEPTED, "POST"));
        asked("pending", "GET /v1/refunds/re_1").await;
        assert_eq!((shop.now(&invoice).await.state, due().await), (InvoiceState::Refunding, 0));
        let word = if left > 0 { "failed" } else { "succeeded" };
        asked(word, "GET /v1/refunds/re_1").await;
        assert_eq!((shop.now(&invoice).await.state, due().await), (state, left));
    }
}

#[tokio::test]
async fn s5_3_a_page_of_stripe_that_he_left_ends_no_other_way() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    let start = format!("/pay/{}/start", invoice.token);
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&start, "").await;
    there.answer(200, &session("expired", "unpaid", 10));
    shop.back(&invoice, "?Status=NOK&way=0").await;
    assert!(shop.world.store.pending_attempt(invoice.id).await.unwrap().is_none());
    there.take();
    let second = session("open", "unpaid", 10).replace(SESSION, "cs_2");
    there.answer(200, &second);
    shop.press(&start, "").await;
    assert!(there.take()[0].body.ends_with("way%3D1"));
    // The tab of the first one is still there, and there he says that he does not want to.
    shop.back(&invoice, "?Status=NOK&way=0").await;
    let came: Vec<_> = there.take().into_iter().map(|one| (one.method, one.target)).collect();
    assert_eq!(came, [("GET".to_owned(), "/v1/checkout/sessions/cs_2".to_owned())]);
    assert!(shop.world.store.pending_attempt(invoice.id).await.unwrap().is_some());
    shop.back(&invoice, "?Status=NOK&way=1").await;
    assert_eq!(there.take()[0].target, "/v1/checkout/sessions/cs_2/expire");
}

#[tokio::test]
async fn s5_3_stripe_tells_by_itself_and_is_asked_whether_it_is_true() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&format!("/pay/{}/start", invoice.token), "").await;
    there.take();
    let event = format!(
        r#"{{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{{"object":{{"id":"{SESSION}","payment_status":"paid"}}}}}}"#
    );
    // Whoever signs wrongly, or long ago, moves nothing.
    assert_eq!(told(&shop, &event, 0, "whsec_other").await, StatusCode::BAD_REQUEST);
    assert_eq!(told(&shop, &event, 301, HOOK).await, StatusCode::BAD_REQUEST);
    assert!(there.take().is_empty());
    // What it says itself is not believed.
    assert_eq!(told(&shop, &event, 0, HOOK).await, StatusCode::OK);
    assert_eq!((there.take().len(), shop.now(&invoice).await.state), (1, InvoiceState::Open));
    there.answer(200, &session("complete", "paid", 10));
    assert_eq!(told(&shop, &event, 0, HOOK).await, StatusCode::OK);
    assert_eq!(told(&shop, &event, 0, HOOK).await, StatusCode::OK);
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    assert_eq!(shop.world.store.outbox(None, None, 0, 10).await.unwrap().len(), 1);
    let other = event.replace(SESSION, "cs_test_unknown");
    assert_eq!(told(&shop, &other, 0, HOOK).await, StatusCode::OK);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_stripe_that_tells_another_amount_books_nothing_and_a_way_that_is_left_is_closed() {
    let (shop, there) = stripe().await;
    let invoice = shop.invoice("1", 90_000).await;
    let at = format!("/pay/{}", invoice.token);
    there.answer(200, &session("open", "unpaid", 10));
    shop.press(&format!("{at}/start"), "").await;
    there.answer(200, &session("complete", "paid", 9));
    shop.back(&invoice, "").await;
    let odd = shop.world.store.attempts_of(invoice.id).await.unwrap().remove(0);
    assert_eq!(
        (odd.state, shop.now(&invoice).await.state),
        (AttemptState::Odd, InvoiceState::Open)
    );
    // Another way; he comes back without having paid, and it is closed there before anything else is begun.
    let second = SESSION.replace("a1YS", "b2ZT");
    there.answer(200, &session("open", "unpaid", 10).replace(SESSION, &second));
    shop.press(&format!("{at}/start"), "").await;
    there.take();
    there.answer(200, &session("expired", "unpaid", 10));
    shop.press(&format!("{at}/cancel"), "").await;
    let came = there.take();
    let wanted = format!("/v1/checkout/sessions/{second}/expire");
    assert_eq!((came[0].method.as_str(), came[0].target.clone()), ("POST", wanted));
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Cancelled);
    // One who paid at the last moment has paid: what is complete cannot be closed.
    let other = shop.invoice("2", 90_000).await;
    let third = SESSION.replace("a1YS", "c3AU");
    there.answer(200, &session("open", "unpaid", 10).replace(SESSION, &third));
    shop.press(&format!("/pay/{}/start", other.token), "").await;
    let no = r#"{"error":{"type":"invalid_request_error","message":"Only Checkout Sessions with a status in [\"open\"] can be expired."}}"#;
    there.say(&[(400, no), (200, &session("complete", "paid", 10))]);
    let seen = shop.press(&format!("/pay/{}/cancel", other.token), "lang=en").await;
    assert!(seen.body.contains("Paid"), "{}", seen.body);
    assert_eq!(shop.now(&other).await.state, InvoiceState::Paid);
    shop.in_order().await;
}
