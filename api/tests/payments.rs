//! Payments of menus over HTTP (spec §5.3, §5.4): from the page that asks for one to the visit that tells it of it, with
//! servers in the places of merchants, gateways and networks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

#[path = "payments/ask.rs"]
mod ask;
#[path = "payments/bank.rs"]
mod bank;
#[path = "payments/crash.rs"]
mod crash;
#[path = "payments/gateways.rs"]
mod gateways;
#[path = "payments/late.rs"]
mod late;
#[path = "payments/peer.rs"]
mod peer;
mod world;

use std::time::Duration;

use api::push::PushConfig;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use billing::payments::{Invoice, InvoiceState, InvoicesAsked};
use facts::ussd::{Dialled, Door, Screen, Step};
use facts::{CallId, MerchantId};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;

use peer::Peer;
use world::{World, client, now};

pub(crate) const BASE: &str = "http://pay.example";

/// A merchant with a code and its page, a network for messages, and these gateways.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) page: Peer,
    pub(crate) sms: Peer,
    pub(crate) merchant: MerchantId,
}

impl Shop {
    pub(crate) async fn new(gateways: Value) -> Shop {
        Shop::at(Some(format!("{BASE}/")), gateways).await
    }

    /// The same where this is what the operator says of the address, if he says something.
    pub(crate) async fn at(public_url: Option<String>, gateways: Value) -> Shop {
        let world = World::with(|config| api::ApiConfig { public_url, ..config }).await;
        let (page, sms) = (Peer::start().await, Peer::start().await);
        let desired = json!({
            "ussd_codes": [{ "code": "*6655*123#", "merchant": "test", "page": page.url("/p.php"),
                             "price": "0" }],
            "ussd_owners": [{ "username": "u", "password": "p", "merchant": "test" },
                            { "username": "strict", "password": "p", "merchant": "test",
                              "strict": true },
                            { "username": "other", "password": "p", "merchant": "poor" }],
            "payment_gateways": gateways,
            "sms": { "url": sms.url("/send"), "sender": "3000", "headers": { "X-Key": "k" },
                     "body": "{\"to\":\"{to}\",\"from\":\"{from}\",\"text\":\"{text}\"}" },
        });
        let desired = serde_json::from_value(desired).unwrap();
        let changes = world.store.apply(&desired, now(), false).await.unwrap();
        assert_eq!(changes.mistakes, []);
        let merchant = world.store.merchant_by_name("test").await.unwrap().unwrap().id;
        Shop { world, page, sms, merchant }
    }

    /// What a subscriber sees whose step has the page answer this.
    pub(crate) async fn step(&self, session: u64, door: Door, answer: &str) -> String {
        self.step_behind(session, door, &["2"], answer).await
    }

    async fn step_behind(&self, session: u64, door: Door, inputs: &[&str], answer: &str) -> String {
        match self.seen_behind(session, door, inputs, answer).await.screen {
            Screen::Last(text) => text,
            other => panic!("{other:?}"),
        }
    }

    async fn seen_behind(
        &self,
        session: u64,
        door: Door,
        inputs: &[&str],
        answer: &str,
    ) -> api::menus::Seen {
        let step = Step {
            session: CallId(session),
            merchant: self.merchant,
            door,
            code: Dialled::code("6655*123").unwrap(),
            mobile: "989123456789".into(),
            inputs: inputs.iter().map(|text| (*text).to_owned()).collect(),
            number: 1,
        };
        self.page.answer(200, answer);
        api::menus::visit(&self.world.state, &step).await
    }

    /// A new invoice of so many rials.
    pub(crate) async fn invoice(&self, factor: &str, rials: u64) -> Invoice {
        let session = 700 + u64::try_from(self.all().await.len()).unwrap();
        self.step(session, Door::Ims, &format!("9900|{factor}|{rials}")).await;
        self.all().await.pop().unwrap()
    }

    pub(crate) async fn all(&self) -> Vec<Invoice> {
        let asked = InvoicesAsked { limit: 100, ..InvoicesAsked::default() };
        self.world.store.invoices(asked).await.unwrap()
    }

    pub(crate) async fn now(&self, invoice: &Invoice) -> Invoice {
        self.world.store.invoice(invoice.id).await.unwrap().unwrap()
    }

    /// A browser's visit.
    pub(crate) async fn ask(&self, method: &str, path: &str, form: &str) -> Seen {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        let response = self.world.router.clone().oneshot(request).await.unwrap();
        let headers = response.headers().clone();
        let (status, body) = world::read(response).await;
        Seen { status, headers, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.ask("GET", path, "").await
    }

    /// Presses a button and goes where it leads, as long as that is here.
    pub(crate) async fn press(&self, path: &str, form: &str) -> Seen {
        let mut seen = self.ask("POST", path, form).await;
        for _ in 0..5 {
            let Some(next) = seen.to() else { break };
            seen = self.get(&next).await;
        }
        seen
    }

    /// Follows a way that was begun back from its gateway.
    pub(crate) async fn back(&self, invoice: &Invoice, query: &str) -> Seen {
        let mut seen = self.get(&format!("/pay/{}/back{query}", invoice.token)).await;
        while let Some(next) = seen.to() {
            seen = self.get(&next).await;
        }
        seen
    }

    /// Pays at the gateway for tests.
    pub(crate) async fn pay(&self, invoice: &Invoice) -> Seen {
        self.press(&format!("/pay/{}/start", invoice.token), "").await;
        self.press(&format!("/pay/{}/test", invoice.token), "act=pay").await
    }

    /// Messages that were sent: to whom, and what.
    pub(crate) async fn messages(&self) -> Vec<(String, String)> {
        self.sms.answer(200, "ok");
        api::sms::turn(&self.world.state).await.unwrap();
        let told = |one: peer::Came| {
            assert_eq!((one.method.as_str(), one.header("x-key")), ("POST", "k"));
            let body: Value = serde_json::from_str(&one.body).unwrap();
            assert_eq!(body["from"], "3000");
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            (text("to"), text("text"))
        };
        self.sms.take().into_iter().map(told).collect()
    }

    /// Lets the push worker run until it has nothing more to send.
    pub(crate) async fn push(&self) {
        let (stop, stopped) = watch::channel(false);
        let config = PushConfig { delays: Some(vec![Duration::ZERO; 3]), ..PushConfig::default() };
        let worker = api::push::run(
            self.world.store.clone(),
            self.world.guard.clone(),
            config,
            self.world.counters.clone(),
            self.world.wake.clone(),
            stopped,
        );
        let worker = tokio::spawn(worker);
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.world.store.next_due().await.unwrap().is_none() {
                break;
            }
        }
        stop.send(true).unwrap();
        worker.await.unwrap();
    }

    pub(crate) async fn in_order(&self) {
        let findings = self.world.store.check_books().await.unwrap().findings;
        assert_eq!(findings, Vec::<String>::new());
    }
}

/// What a browser got.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// Where it is sent.
    pub(crate) fn to(&self) -> Option<String> {
        (self.status == StatusCode::SEE_OTHER)
            .then(|| self.headers["location"].to_str().unwrap().to_owned())
    }
}

fn test_gateway() -> Value {
    json!([{ "name": "try", "kind": "test" }])
}

#[tokio::test]
async fn s5_3_the_page_is_told_once_that_it_was_paid_whatever_is_pressed_twice() {
    let shop = Shop::new(test_gateway()).await;
    let screen = shop.step(123, Door::Ims, "9900|12|5000").await;
    assert_eq!(screen, "لینک پرداخت ۵٬۰۰۰ ریال برای شما پیامک شد");
    assert_eq!(shop.page.take().len(), 1);
    let invoice = shop.all().await.remove(0);
    let link = format!("{BASE}/pay/{}", invoice.token);
    let wanted = format!("پرداخت ۵٬۰۰۰ ریال\nفاکتور 12\n{link}");
    assert_eq!(shop.messages().await, [("989123456789".to_owned(), wanted)]);
    let at = format!("/pay/{}", invoice.token);
    let seen = shop.get(&at).await;
    assert_eq!(seen.status, StatusCode::OK);
    for word in ["dir=\"rtl\"", "۵٬۰۰۰ ریال", "*6655*123#", "<bdi>12</bdi>", "<bdi>test</bdi>"]
    {
        assert!(seen.body.contains(word), "{word}: {}", seen.body);
    }
    // Pay is pressed twice, and so is the gateway's button; he goes back and presses Pay again.
    let start = format!("{at}/start");
    let (one, two) = tokio::join!(shop.ask("POST", &start, ""), shop.ask("POST", &start, ""));
    assert_eq!(
        (one.to(), two.to()),
        (Some(format!("{at}/go?lang=fa")), Some(format!("{at}/go?lang=fa")))
    );
    assert_eq!(shop.world.store.attempts_of(invoice.id).await.unwrap().len(), 1);
    let going = shop.get(&format!("{at}/go")).await.body;
    assert!(going.contains(&format!("content=\"0;url={link}/test?lang=fa\"")), "{going}");
    assert!(shop.get(&format!("{at}/test")).await.body.contains("name=\"act\" value=\"pay\""));
    let pending = shop.get(&at).await.body;
    assert!(pending.contains(&format!("{at}/back")), "{pending}");
    let test = format!("{at}/test");
    let (one, two) =
        tokio::join!(shop.press(&test, "act=pay"), shop.press(&test, "act=cancel&lang=en"));
    for seen in
        [one, two, shop.press(&format!("{at}/start"), "").await, shop.back(&invoice, "").await]
    {
        let paid = seen.body.contains("پرداخت با موفقیت انجام شد") || seen.body.contains("Paid");
        assert!(paid || shop.now(&invoice).await.state != InvoiceState::Paid, "{}", seen.body);
    }
    let held = shop.now(&invoice).await;
    if held.state == InvoiceState::Open {
        // The other button was the first one.
        shop.pay(&invoice).await;
    }
    shop.press(&format!("{at}/cancel"), "").await;
    let held = shop.now(&invoice).await;
    let rrn = held.rrn.clone().unwrap();
    assert_eq!((held.state, rrn.len()), (InvoiceState::Paid, 12));
    assert!(shop.get(&at).await.body.contains(&rrn));
    let messages = shop.messages().await;
    let wanted = format!("پرداخت ۵٬۰۰۰ ریال با موفقیت انجام شد\nفاکتور 12\nشناسه رهگیری: {rrn}");
    assert_eq!(messages, [("989123456789".to_owned(), wanted)]);
    shop.push().await;
    let told = shop.page.take();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    let wanted = format!(
        "/p.php?mobile=09123456789&sessionid=123&call=*6655*123*2*12*{}&RRN={rrn}",
        invoice.id
    );
    assert_eq!((told.method.as_str(), told.target.as_str()), ("GET", wanted.as_str()));
    // Whoever asks for the same again hears that it is paid.
    assert_eq!(shop.step(124, Door::Ims, "9900|12|5000").await, "قبلا پرداخت شده");
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_who_cancels_or_comes_too_late_pays_nothing_and_the_page_is_not_told() {
    let shop = Shop::new(test_gateway()).await;
    let first = shop.invoice("1", 1000).await;
    let at = format!("/pay/{}", first.token);
    let seen = shop.press(&format!("{at}/cancel"), "lang=en").await;
    assert!(seen.body.contains("The payment was cancelled"), "{}", seen.body);
    assert!(shop.press(&format!("{at}/start"), "").await.body.contains("پرداخت لغو شد"));
    // At the gateway he does not want to either: he may think again, until he cancels.
    let second = shop.invoice("2", 1000).await;
    let at = format!("/pay/{}", second.token);
    shop.press(&format!("{at}/start"), "").await;
    let seen = shop.press(&format!("{at}/test"), "act=cancel&lang=zh").await;
    assert!(seen.body.contains("支付</button>"), "{}", seen.body);
    assert_eq!(shop.now(&second).await.state, InvoiceState::Open);
    shop.press(&format!("{at}/start"), "").await;
    shop.press(&format!("{at}/cancel"), "").await;
    assert_eq!(shop.now(&second).await.state, InvoiceState::Cancelled);
    let late = shop.press(&format!("{at}/test"), "act=pay").await;
    assert!(late.body.contains("پرداخت لغو شد"));
    // A link that is past its time.
    let third = shop.invoice("3", 1000).await;
    let long_ago = now() - Duration::from_secs(16 * 60);
    let new = billing::payments::NewInvoice {
        merchant: shop.merchant,
        code: third.code.clone(),
        page: third.page.clone(),
        language: third.language,
        session: CallId(900),
        step: 1,
        subscriber: third.subscriber.clone(),
        mobile: third.mobile.clone(),
        call: third.call.clone(),
        factor: "4".into(),
        rials: 1000,
        trial: false,
        token: "0123456789abcdef0123456789abcdef".into(),
        text: String::new(),
    };
    shop.world.store.make_invoice(new, long_ago).await.unwrap();
    let late = "/pay/0123456789abcdef0123456789abcdef";
    for seen in [shop.get(late).await, shop.press(&format!("{late}/start"), "").await] {
        assert!(seen.body.contains("مهلت این لینک به پایان رسیده است"), "{}", seen.body);
    }
    api::payments::turn(&shop.world.state).await.unwrap();
    let state = shop.world.store.invoice_by_token(&late[5..]).await.unwrap().unwrap().state;
    assert_eq!(state, InvoiceState::Expired);
    assert_eq!(shop.now(&third).await.state, InvoiceState::Open);
    shop.page.take();
    shop.push().await;
    assert!(shop.page.take().is_empty(), "nobody paid");
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_the_same_again_sends_the_link_again_and_another_price_another_one() {
    let shop = Shop::new(test_gateway()).await;
    let sent = "لینک پرداخت ۵٬۰۰۰ ریال برای شما پیامک شد";
    for session in 1..=3 {
        assert_eq!(shop.step(session, Door::Ims, "9900|7|5000").await, sent);
    }
    let enough = "لینک پرداخت پیش‌تر برای شما پیامک شده است";
    assert_eq!(shop.step(4, Door::Ims, "9900|7|5000").await, enough);
    let messages = shop.messages().await;
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|one| *one == messages[0]), "one link: {messages:?}");
    shop.step(5, Door::Ims, "9900|7|6000").await;
    let all = shop.all().await;
    assert_eq!((all[0].state, all[1].state), (InvoiceState::Cancelled, InvoiceState::Open));
    assert_ne!(shop.messages().await[0].1, messages[0].1);
    // While he is at the gateway nothing takes its place.
    shop.press(&format!("/pay/{}/start", all[1].token), "").await;
    assert_eq!(shop.step(6, Door::Ims, "9900|7|9000").await, "پرداخت این فاکتور در حال انجام است");
    // The session that asked last is told of it.
    shop.step(7, Door::Ims, "9900|7|6000").await;
    shop.pay(&all[1]).await;
    shop.page.take();
    shop.push().await;
    assert!(shop.page.take()[0].target.contains("&sessionid=7&"));
}

#[tokio::test]
async fn s5_3_the_visit_that_tells_of_a_payment_is_repeated_until_it_is_taken() {
    let shop = Shop::new(test_gateway()).await;
    let invoice = shop.invoice("12", 5000).await;
    shop.pay(&invoice).await;
    shop.page.take();
    shop.page.answer(500, "oops");
    let page = shop.page.clone();
    let mend = tokio::spawn(async move {
        while page.count() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        page.answer(200, "thanks");
    });
    shop.push().await;
    mend.await.unwrap();
    let told = shop.page.take();
    assert!((2..=3).contains(&told.len()), "{told:?}");
    assert!(told.iter().all(|one| one.target == told[0].target), "the same bytes");
    // A page that has moved is visited where it is now, as by its menus.
    let invoice = shop.invoice("13", 5000).await;
    shop.pay(&invoice).await;
    shop.page.take();
    let place = shop.page.url("/moved?RRN=1");
    shop.page.say(&[(301, place.as_str()), (200, "thanks")]);
    shop.push().await;
    let told = shop.page.take();
    assert_eq!((told.len(), told[1].target.as_str()), (2, "/moved?RRN=1"), "{told:?}");
    assert_eq!(dialect::retry_delays(facts::Dialect::Inoti, facts::PushKind::Payment).len(), 5);
    let day: u64 =
        dialect::retry_delays(facts::Dialect::Inoti, facts::PushKind::Payment).iter().sum();
    assert_eq!(day, 86_400);
    assert_eq!(dialect::patience_seconds(facts::Dialect::Inoti), Some(15));
}

#[tokio::test]
async fn s5_3_where_nothing_can_be_paid_there_is_no_invoice() {
    let unavailable = "پرداخت در دسترس نیست";
    let shop = Shop::new(json!([])).await;
    assert_eq!(shop.step(1, Door::Ims, "9900|7|5000").await, unavailable);
    let shop = Shop::new(test_gateway()).await;
    let off =
        json!({ "sms": { "url": "http://sms.example/?to={to}&text={text}", "enabled": false } });
    let off = serde_json::from_value(off).unwrap();
    shop.world.store.apply(&off, now(), false).await.unwrap();
    assert_eq!(shop.step(1, Door::Ims, "9900|7|5000").await, unavailable);
    assert!(shop.all().await.is_empty());
    // Behind so much the last visit would be longer than pages take (spec §5.2).
    let deep = ["1"; 7];
    let seen = shop.seen_behind(3, Door::Simulator, &deep, "9900|7|5000").await;
    assert_eq!(seen.screen, Screen::Last(unavailable.into()));
    assert!(seen.note.is_some_and(|note| note.contains("10 parts")));
    assert!(shop.all().await.is_empty());
    // Who tries out his own menu needs no network: the link is on the screen, and no money moves.
    let screen = shop.step(2, Door::Simulator, "9900|7|5000").await;
    let invoice = shop.all().await.remove(0);
    assert_eq!(screen, format!("TEST {BASE}/pay/{}", invoice.token));
    let seen = shop.pay(&invoice).await;
    assert!(seen.body.contains("پرداخت با موفقیت انجام شد"), "{}", seen.body);
    assert!(shop.world.store.sms(billing::sms::SmsAsked::page(0, 10)).await.unwrap().is_empty());
    shop.page.take();
    shop.push().await;
    assert_eq!(shop.page.take().len(), 1);
}

#[tokio::test]
async fn s5_3_a_try_is_paid_where_no_gateway_takes_money_and_in_sandboxes() {
    let off = json!({ "name": "card", "kind": "zarinpal", "account": "a", "enabled": false });
    let shop = Shop::new(json!([off, { "name": "try", "kind": "test" }])).await;
    let screen = shop.step(1, Door::Simulator, "9900|7|5000").await;
    assert_eq!(screen, "اینجا پرداخت آزمایشی ممکن نیست");
    assert!(shop.all().await.is_empty());
    let file = json!({
        "tariffs": [{ "name": "play", "currency": "XTS", "rates": [] }],
        "merchants": [{ "name": "sand", "currency": "XTS", "sandbox": true, "tariff": "play" }],
        "ussd_codes": [{ "code": "*6655*9#", "merchant": "sand", "page": shop.page.url("/p.php"),
                         "price": "0" }],
    });
    let file = serde_json::from_value(file).unwrap();
    let store = &shop.world.store;
    assert_eq!(store.apply(&file, now(), false).await.unwrap().mistakes, []);
    let merchant = store.merchant_by_name("sand").await.unwrap().unwrap().id;
    let step = Step {
        session: CallId(2),
        merchant,
        door: Door::Simulator,
        code: Dialled::code("6655*9").unwrap(),
        mobile: "989123456789".into(),
        inputs: Vec::new(),
        number: 1,
    };
    api::menus::visit(&shop.world.state, &step).await;
    let invoice = shop.all().await.remove(0);
    shop.pay(&invoice).await;
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
}

#[tokio::test]
async fn s5_3_whoever_has_begun_too_often_is_told_so() {
    let shop = Shop::new(test_gateway()).await;
    let invoice = shop.invoice("1", 1000).await;
    let at = format!("/pay/{}", invoice.token);
    for nth in 0..10 {
        let seen = shop.get(&at).await;
        assert!(seen.body.contains(&format!("{at}/start")), "{nth}");
        shop.press(&format!("{at}/start"), "").await;
        shop.press(&format!("{at}/test"), "act=cancel").await;
    }
    for seen in [shop.get(&at).await, shop.press(&format!("{at}/start"), "").await] {
        assert!(!seen.body.contains(&format!("{at}/start")), "{}", seen.body);
        assert!(seen.body.contains("پرداخت در دسترس نیست"), "{}", seen.body);
    }
}

#[tokio::test]
async fn s5_3_pages_are_kept_nowhere_framed_nowhere_and_tell_nobody_where_they_were() {
    let shop = Shop::new(test_gateway()).await;
    let invoice = shop.invoice("12", 5000).await;
    let at = format!("/pay/{}", invoice.token);
    assert_eq!(invoice.token.len(), 32);
    let mut seen = vec![shop.get(&at).await, shop.ask("POST", &format!("{at}/start"), "").await];
    for what in ["/go", "/test", "/back"] {
        seen.push(shop.get(&format!("{at}{what}")).await);
    }
    seen.push(shop.get("/pay/00000000000000000000000000000000").await);
    for seen in &seen {
        let head = |name: &str| seen.headers[name].to_str().unwrap().to_owned();
        assert_eq!(head("cache-control"), "no-store");
        assert_eq!(head("referrer-policy"), "no-referrer");
        assert_eq!(
            (head("x-frame-options").as_str(), head("x-content-type-options").as_str()),
            ("DENY", "nosniff")
        );
        let policy = head("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'")
        );
        assert!(!seen.body.contains("<script"), "{}", seen.body);
    }
    assert_eq!(seen.last().unwrap().status, StatusCode::NOT_FOUND);
    for wrong in ["/pay/x", "/pay/%00", "/pay/0123456789abcdef0123456789abcdeg"] {
        assert_eq!(shop.get(wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    // A GET pays, cancels and begins nothing.
    for what in ["start", "cancel"] {
        assert_eq!(shop.get(&format!("{at}/{what}")).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    let forged = shop.ask("POST", &format!("{at}/start"), "gateway=other").await;
    assert_eq!(forged.to().unwrap(), format!("{at}/go?lang=fa"), "it is on its way already");
}

#[tokio::test]
async fn operators_list_invoices_and_give_money_back_and_merchants_see_their_own() {
    let shop = Shop::new(test_gateway()).await;
    let invoice = shop.invoice("12", 5000).await;
    let at = format!("/ussd-invoices/{}", invoice.id);
    let (status, none) = shop.world.admin("POST", &format!("{at}/refund"), None).await;
    assert_eq!((status, &none["error"]["code"]), (StatusCode::CONFLICT, &json!("not_paid")));
    shop.pay(&invoice).await;
    let (_, list) = shop.world.admin("GET", "/ussd-invoices?merchant=test&state=paid", None).await;
    assert_eq!(list["items"][0]["factor"], "12");
    assert_eq!(list["items"][0]["token"], Value::Null, "whoever has it may act");
    let (_, one) = shop.world.admin("GET", &at, None).await;
    assert_eq!((&one["rials"], &one["attempts"][0]["state"]), (&json!(5000), &json!("paid")));
    let (_, kinds) = shop.world.admin("GET", "/payment-gateways", None).await;
    assert_eq!(kinds["items"][0]["name"], "try");
    let (_, owners) = shop.world.admin("GET", "/ussd-owners", None).await;
    assert!(owners["items"][0]["password"].is_null(), "{owners}");
    let (_, due) = shop.world.admin("GET", "/payments-due", None).await;
    assert_eq!(due["items"][0]["rials"], 0, "what was paid without money is owed to nobody");
    let own = client::client(&shop.world, "test").await;
    let listed = own.get("/ussd/invoices").await.json();
    assert_eq!(listed["items"][0]["state"], "paid", "{listed}");
    assert_eq!(listed["items"][0]["rials"], 5000);
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(own.get(&format!("/ussd/invoices/{id}")).await.json()["factor"], "12");
    let other = client::client(&shop.world, "open").await;
    assert_eq!(other.get("/ussd/invoices").await.json()["items"], json!([]));
    assert_eq!(other.get(&format!("/ussd/invoices/{id}")).await.status, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        let (status, given) = shop.world.admin("POST", &format!("{at}/refund"), None).await;
        assert_eq!((status, &given["state"]), (StatusCode::OK, &json!("refunded")));
    }
    assert_eq!(shop.world.store.payments_due(shop.merchant).await.unwrap(), 0);
    let (_, trail) = shop.world.admin("GET", "/audit?limit=1000", None).await;
    assert!(trail.to_string().contains("refund"), "{trail}");
    assert_eq!(own.get(&format!("/ussd/invoices/{id}")).await.json()["state"], "refunded");
    shop.in_order().await;
}
