//! Whatever comes in whatever order, and too late (spec §5.3): what is in the books is what the gateway has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing::payments::{
    AttemptState, Began, Invoice, InvoiceState, InvoicesAsked, NewAttempt, NewInvoice,
};
use facts::CallId;
use facts::ussd::{Door, Language};
use serde_json::json;
use tokio::sync::Notify;

use crate::Shop;
use crate::bank::Fuse;
use crate::crash::{Kind, Play, Town};
use crate::peer::{Mind, Peer};
use crate::world::now;

async fn play(kind: Kind) -> Play {
    let town = Arc::new(Town::new(kind).await);
    let file = town.before();
    let (shop, open) = town.start(&file, &Fuse::of(usize::MAX)).await;
    Play { town, shop, open }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    /// He pays at the gateway, if that lets him.
    Pay,
    /// The gateway sends him back: he has paid, it says.
    Back,
    /// He has not, it says; or he went back by himself.
    Left,
    /// He presses Cancel.
    Cancel,
    /// The gateway tells by itself.
    Hook,
    /// The switch asks.
    Sweep,
}

async fn happens(play: &Play, event: Event, (invoice, reference): (&Invoice, &str)) {
    let at = format!("/pay/{}", invoice.token);
    let named = if play.town.kind == Kind::Zarinpal { reference } else { "" };
    match event {
        Event::Pay => {
            play.town.bank.pay(reference);
        }
        Event::Back => {
            play.shop.get(&format!("{at}/back?Authority={named}&Status=OK")).await;
        }
        Event::Left => {
            play.shop.get(&format!("{at}/back?Authority={named}&Status=NOK")).await;
        }
        Event::Cancel => {
            play.shop.ask("POST", &format!("{at}/cancel"), "").await;
        }
        Event::Hook => play.told(reference).await,
        Event::Sweep => {
            play.begins().await;
            api::payments::turn(&play.shop.world.state).await.unwrap();
        }
    }
}

/// All orders of these.
fn orders(events: &[Event]) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (nth, first) in events.iter().enumerate() {
        let rest = [&events[..nth], &events[nth + 1..]].concat();
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

async fn in_any_order(kind: Kind, events: &[Event]) {
    let play = play(kind).await;
    let (mut after, mut booked_in_all, mut due) = (0, 0, 0);
    for (nth, order) in (1_u64..).zip(orders(events)) {
        play.dial(nth, &nth.to_string()).await;
        let asked = InvoicesAsked { after, limit: 9, ..InvoicesAsked::default() };
        let invoice = play.open.invoices(asked).await.unwrap().pop().unwrap();
        after = invoice.id;
        play.shop.ask("POST", &format!("/pay/{}/start", invoice.token), "").await;
        let way = play.open.pending_attempt(invoice.id).await.unwrap().unwrap();
        let it = (&invoice, way.reference.as_str());
        for event in order.iter().flat_map(|event| [*event, *event]) {
            happens(&play, event, it).await;
        }
        // He looks once more, and so does the switch.
        happens(&play, Event::Back, it).await;
        happens(&play, Event::Sweep, it).await;
        let held = play.open.invoice(invoice.id).await.unwrap().unwrap();
        let booked = held.state == InvoiceState::Paid;
        assert_eq!(booked, play.town.bank.has(it.1), "{order:?}: {held:?}");
        assert!(booked || held.state == InvoiceState::Cancelled, "{order:?}: {held:?}");
        let rows = play.open.outbox(None, None, booked_in_all, 9).await.unwrap();
        assert_eq!(rows.len(), usize::from(booked), "{order:?}: {rows:?}");
        booked_in_all = rows.last().map_or(booked_in_all, |row| row.id);
        due += if booked { 5000 } else { 0 };
        assert_eq!(play.open.payments_due(play.shop.merchant).await.unwrap(), due);
    }
    let told = play.open.sms(billing::sms::SmsAsked::page(0, 1000)).await.unwrap();
    let told = told.iter().filter(|sms| sms.text.contains("شناسه رهگیری")).count();
    assert_eq!(i64::try_from(told).unwrap() * 5000, due, "a message of each, and of no other");
    assert!(due > 0 && i64::try_from(play.town.bank.taken()).unwrap() * 5000 == due);
    play.shop.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_in_whatever_order_zarinpal_is_heard_of_what_it_has_is_booked() {
    use Event::{Back, Cancel, Left, Pay, Sweep};
    in_any_order(Kind::Zarinpal, &[Pay, Back, Left, Cancel, Sweep]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_in_whatever_order_stripe_is_heard_of_what_it_has_is_booked() {
    use Event::{Cancel, Hook, Left, Pay, Sweep};
    in_any_order(Kind::Stripe, &[Pay, Hook, Left, Cancel, Sweep]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_all_at_once_what_a_gateway_has_is_booked_once() {
    let play = play(Kind::Stripe).await;
    let mut due = 0;
    for nth in 1..=12_u64 {
        play.dial(nth, &nth.to_string()).await;
        let asked = InvoicesAsked { limit: 99, ..InvoicesAsked::default() };
        let invoice = play.open.invoices(asked).await.unwrap().pop().unwrap();
        play.shop.ask("POST", &format!("/pay/{}/start", invoice.token), "").await;
        let way = play.open.pending_attempt(invoice.id).await.unwrap().unwrap();
        let it = (&invoice, way.reference.as_str());
        let one = |event| happens(&play, event, it);
        tokio::join!(
            one(Event::Pay),
            one(Event::Back),
            one(Event::Hook),
            one(Event::Left),
            one(Event::Cancel),
            one(Event::Sweep),
            one(Event::Hook),
        );
        happens(&play, Event::Hook, it).await;
        happens(&play, Event::Sweep, it).await;
        let held = play.open.invoice(invoice.id).await.unwrap().unwrap();
        assert_eq!(held.state == InvoiceState::Paid, play.town.bank.has(it.1), "{held:?}");
        due += if held.state == InvoiceState::Paid { 5000 } else { 0 };
        assert_eq!(play.open.payments_due(play.shop.merchant).await.unwrap(), due);
    }
    play.shop.in_order().await;
}

/// An invoice that was made so long ago, and a way that was begun so long ago, seconds.
async fn long_ago(play: &Play, factor: &str, (made, began): (u64, u64)) -> (Invoice, String) {
    let ago = |seconds| now() - Duration::from_secs(seconds);
    let new = NewInvoice {
        merchant: play.shop.merchant,
        code: "*6655*123#".into(),
        page: play.shop.page.url("/p.php"),
        language: Language::Fa,
        session: CallId(900),
        step: 1,
        subscriber: "989123456789".into(),
        mobile: "09123456789".into(),
        call: "*6655*123*7".into(),
        factor: factor.into(),
        rials: 5000,
        trial: false,
        token: format!("{factor:0>32}"),
        text: String::new(),
    };
    play.open.make_invoice(new, ago(made)).await.unwrap();
    let invoice = play.open.invoice_by_token(&format!("{factor:0>32}")).await.unwrap().unwrap();
    let gateway = play.open.payment_gateways().await.unwrap().remove(0);
    let (reference, amount, currency) = match play.town.kind {
        Kind::Stripe => (format!("cs_{factor}"), 1, "EUR"),
        _ => (format!("A{factor:0>35}"), 5000, "IRR"),
    };
    play.town.bank.opened(&reference, amount);
    let (invoice_id, currency) = (invoice.id, currency.to_owned());
    let url = "http://gate.example".to_owned();
    let new = NewAttempt {
        invoice: invoice_id,
        gateway,
        reference: reference.clone(),
        url,
        amount,
        currency,
    };
    let begun = play.open.begin_attempt(new, ago(began)).await.unwrap();
    assert!(matches!(begun, Began::Now(_)), "{begun:?}");
    (invoice, reference)
}

async fn expires(kind: Kind) {
    let play = play(kind).await;
    let state =
        async |invoice: &Invoice| play.open.invoice(invoice.id).await.unwrap().unwrap().state;
    let is = async |it: (&Invoice, &str), wanted, taken| {
        assert_eq!((state(it.0).await, play.town.bank.has(it.1)), (wanted, taken), "{it:?}");
    };
    // Paid at 14:59, and at 15:01 by one who was at the gateway when the link lapsed.
    for (factor, times) in [("1", (899, 300)), ("2", (901, 60))] {
        let (invoice, reference) = long_ago(&play, factor, times).await;
        let it = (&invoice, reference.as_str());
        happens(&play, Event::Sweep, it).await;
        is(it, InvoiceState::Open, false).await;
        happens(&play, Event::Pay, it).await;
        happens(&play, Event::Back, it).await;
        is(it, InvoiceState::Paid, true).await;
    }
    // At 30:01, before the switch has looked: it finds him paid when it closes his way.
    let (invoice, reference) = long_ago(&play, "3", (1900, 1801)).await;
    let it = (&invoice, reference.as_str());
    happens(&play, Event::Pay, it).await;
    happens(&play, Event::Sweep, it).await;
    is(it, InvoiceState::Paid, true).await;
    // At 30:01, behind it: a session of Stripe is closed. At Zarinpal he can pay, and it is booked if he comes back.
    let (invoice, reference) = long_ago(&play, "4", (1900, 1801)).await;
    let it = (&invoice, reference.as_str());
    happens(&play, Event::Sweep, it).await;
    is(it, InvoiceState::Expired, false).await;
    assert_eq!(play.town.bank.pay(it.1), kind == Kind::Zarinpal);
    happens(&play, Event::Sweep, it).await;
    is(it, InvoiceState::Expired, false).await;
    happens(&play, Event::Hook, it).await;
    happens(&play, Event::Back, it).await;
    let wanted = if kind == Kind::Zarinpal { InvoiceState::Paid } else { InvoiceState::Expired };
    is(it, wanted, kind == Kind::Zarinpal).await;
    // The same where another one has its place by then: it is not taken.
    if kind == Kind::Zarinpal {
        let (invoice, reference) = long_ago(&play, "5", (1900, 1801)).await;
        let it = (&invoice, reference.as_str());
        happens(&play, Event::Sweep, it).await;
        let other = in_its_place(&play, &invoice).await;
        happens(&play, Event::Pay, it).await;
        happens(&play, Event::Back, it).await;
        is(it, InvoiceState::Expired, false).await;
        assert_eq!(state(&other).await, InvoiceState::Open);
    }
    play.shop.in_order().await;
}

/// Another invoice of the same factor.
async fn in_its_place(play: &Play, before: &Invoice) -> Invoice {
    let new = NewInvoice {
        merchant: before.merchant,
        code: before.code.clone(),
        page: before.page.clone(),
        language: before.language,
        session: CallId(901),
        step: 1,
        subscriber: before.subscriber.clone(),
        mobile: before.mobile.clone(),
        call: before.call.clone(),
        factor: before.factor.clone(),
        rials: 6000,
        trial: false,
        token: "f".repeat(32),
        text: String::new(),
    };
    play.open.make_invoice(new, now()).await.unwrap();
    play.open.invoice_by_token(&"f".repeat(32)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_who_pays_at_zarinpal_when_the_link_has_lapsed() {
    expires(Kind::Zarinpal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_who_pays_at_stripe_when_the_link_has_lapsed() {
    expires(Kind::Stripe).await;
}

/// Zarinpal whose first answer to a question is held until it is let go.
async fn held(first: &'static str, then: &'static str) -> (Shop, Peer, Arc<Notify>) {
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let free = Arc::clone(&go);
    let mind: Mind = Arc::new(move |came| {
        let (free, asked) = (Arc::clone(&free), Arc::clone(&asked));
        Box::pin(async move {
            if came.target.ends_with("/request.json") {
                let data = json!({ "code": 100, "authority": "A1" });
                return Some((200, json!({ "data": data, "errors": [] }).to_string()));
            }
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                return Some((200, then.to_owned()));
            }
            free.notified().await;
            Some((200, first.to_owned()))
        })
    });
    let gate = Peer::by(mind).await;
    let row = json!({ "name": "card", "kind": "zarinpal", "account": "a", "url": gate.url("") });
    (Shop::new(json!([row])).await, gate, go)
}

#[tokio::test]
async fn s5_3_who_comes_back_late_is_asked_after_until_it_is_known() {
    let (says, opened) = (Arc::new(Mutex::new(None::<&str>)), Arc::new(Mutex::new(0)));
    let word = Arc::clone(&says);
    let mind: Mind = Arc::new(move |came| {
        let (word, opened) = (Arc::clone(&word), Arc::clone(&opened));
        Box::pin(async move {
            if came.target.ends_with("/request.json") {
                *opened.lock().unwrap() += 1;
                let data =
                    json!({ "code": 100, "authority": format!("A{}", opened.lock().unwrap()) });
                return Some((200, json!({ "data": data, "errors": [] }).to_string()));
            }
            let said = *word.lock().unwrap();
            said.map(|body| (200, body.to_owned()))
        })
    });
    let gate = Peer::by(mind).await;
    let row = json!({ "name": "card", "kind": "zarinpal", "account": "a", "url": gate.url("") });
    let shop = Shop::new(json!([row])).await;
    let store = &shop.world.store;
    let lapsed = async |factor: &str| {
        let invoice = shop.invoice(factor, 5000).await;
        shop.press(&format!("/pay/{}/start", invoice.token), "").await;
        let way = store.pending_attempt(invoice.id).await.unwrap().unwrap();
        store.fail_attempt(way.id, "closed", now() + Duration::from_secs(1900)).await.unwrap();
        assert_eq!(shop.now(&invoice).await.state, InvoiceState::Expired);
        (invoice, way.reference)
    };
    let next = async || {
        store.hasten_payments(7, now()).await.unwrap();
        api::payments::turn(&shop.world.state).await.unwrap();
    };
    // Zarinpal has the money from the question on, and its answer is lost: it is asked until it is heard.
    let (invoice, reference) = lapsed("1").await;
    let seen = shop.back(&invoice, &format!("?Authority={reference}&Status=OK&lang=en")).await;
    assert!(seen.body.contains("It is not known yet"), "{}", seen.body);
    for _ in 0..2 {
        next().await;
        assert_eq!(shop.now(&invoice).await.state, InvoiceState::Open);
        shop.in_order().await;
    }
    *says.lock().unwrap() = Some(PAID);
    next().await;
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    // Whoever was about to ask died.
    let (invoice, reference) = lapsed("2").await;
    store.resume_attempt((invoice.id, &reference), 7, now()).await.unwrap().unwrap();
    next().await;
    assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
    assert_eq!(store.payments_due(shop.merchant).await.unwrap(), 10_000);
    // Whoever has not paid is told that he has not.
    let (invoice, reference) = lapsed("3").await;
    *says.lock().unwrap() = Some(UNPAID);
    shop.back(&invoice, &format!("?Authority={reference}&Status=OK")).await;
    assert!(store.pending_attempt(invoice.id).await.unwrap().is_none());
    assert_ne!(shop.now(&invoice).await.state, InvoiceState::Paid);
    shop.in_order().await;
}

/// Zarinpal that opens A1, A2 and so on, and says of each what stands here; nothing: its answer is lost.
async fn each(says: &Arc<Mutex<Vec<Option<&'static str>>>>) -> (Shop, Peer) {
    let (says, opened) = (Arc::clone(says), Arc::new(Mutex::new(0)));
    let mind: Mind = Arc::new(move |came| {
        let (says, opened) = (Arc::clone(&says), Arc::clone(&opened));
        Box::pin(async move {
            if came.target.ends_with("/request.json") {
                *opened.lock().unwrap() += 1;
                let data =
                    json!({ "code": 100, "authority": format!("A{}", opened.lock().unwrap()) });
                return Some((200, json!({ "data": data, "errors": [] }).to_string()));
            }
            let asked: serde_json::Value = serde_json::from_str(&came.body).unwrap();
            let nth: usize = asked["authority"].as_str().unwrap()[1..].parse().unwrap();
            let said = says.lock().unwrap()[nth - 1];
            said.map(|body| (200, body.to_owned()))
        })
    });
    let gate = Peer::by(mind).await;
    let row = json!({ "name": "card", "kind": "zarinpal", "account": "a", "url": gate.url("") });
    (Shop::new(json!([row])).await, gate)
}

#[tokio::test]
async fn s5_3_a_way_whose_answer_was_lost_is_not_left_when_another_one_is_booked() {
    let says = Arc::new(Mutex::new(vec![None; 4]));
    let (shop, gate) = each(&says).await;
    let store = &shop.world.store;
    let says = |nth: usize, word| says.lock().unwrap()[nth - 1] = word;
    let next = async || {
        store.hasten_payments(7, now()).await.unwrap();
        api::payments::turn(&shop.world.state).await.unwrap();
    };
    let states = async |invoice: &Invoice| {
        let ways = store.attempts_of(invoice.id).await.unwrap();
        ways.iter().map(|way| way.state).collect::<Vec<_>>()
    };
    // He leaves one way and pays by another; then by the first one too, whose tab is still open.
    let paid = async |factor: &str, (first, second): (usize, usize), word| {
        let invoice = shop.invoice(factor, 5000).await;
        let start = format!("/pay/{}/start", invoice.token);
        shop.press(&start, "").await;
        says(first, Some(UNPAID));
        shop.back(&invoice, &format!("?Authority=A{first}&Status=NOK")).await;
        shop.press(&start, "").await;
        says(second, word);
        next().await;
        says(first, Some(PAID));
        shop.back(&invoice, &format!("?Authority=A{first}&Status=OK")).await;
        assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
        invoice
    };
    // What Zarinpal said of the second one was lost: it may have the money, and is asked until it is heard.
    let invoice = paid("1", (1, 2), None).await;
    assert_eq!(states(&invoice).await, [AttemptState::Paid, AttemptState::Pending]);
    next().await;
    assert_eq!(states(&invoice).await, [AttemptState::Paid, AttemptState::Pending]);
    says(2, Some(PAID));
    next().await;
    assert_eq!(states(&invoice).await, [AttemptState::Paid, AttemptState::Odd]);
    let odd = InvoicesAsked { odd: true, limit: 9, ..InvoicesAsked::default() };
    assert_eq!(store.invoices(odd).await.unwrap().len(), 1, "the operator sees it");
    assert_eq!(store.payments_due(shop.merchant).await.unwrap(), 5000);
    shop.in_order().await;
    // It said that nothing was paid by it: it is left, and never asked again.
    gate.take();
    let invoice = paid("2", (3, 4), Some(UNPAID)).await;
    next().await;
    assert_eq!(states(&invoice).await, [AttemptState::Paid, AttemptState::Failed]);
    let asked = gate.take().into_iter().filter(|came| came.body.contains("\"A4\"")).count();
    assert_eq!(asked, 1);
    shop.in_order().await;
}

const PAID: &str = r#"{"data":{"code":100,"ref_id":201764891234},"errors":[]}"#;
const UNPAID: &str = r#"{"data":[],"errors":{"code":-51,"message":"not paid"}}"#;

/// Two questions after one way, of which the second is answered first.
async fn crossed(
    (first, held_answer): (&str, &'static str),
    (second, answer): (&str, &'static str),
    between: impl AsyncFn(&Shop, &Invoice),
) -> (Shop, Invoice) {
    let (shop, gate, go) = held(held_answer, answer).await;
    let invoice = shop.invoice("F1", 5000).await;
    shop.press(&format!("/pay/{}/start", invoice.token), "").await;
    let visit = async |what: &str| match what {
        "cancel" => shop.ask("POST", &format!("/pay/{}/cancel", invoice.token), "").await,
        _ => shop.get(&format!("/pay/{}/back?Status=OK", invoice.token)).await,
    };
    let rest = async {
        while gate.count() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        visit(second).await;
        between(&shop, &invoice).await;
        go.notify_one();
    };
    tokio::join!(visit(first), rest);
    (shop, invoice)
}

#[tokio::test]
async fn s5_3_a_question_that_finds_it_paid_and_one_that_closes_it_may_cross() {
    let due = async |shop: &Shop| shop.world.store.payments_due(shop.merchant).await.unwrap();
    let cancelled = async |shop: &Shop, invoice: &Invoice| {
        assert_eq!(shop.now(invoice).await.state, InvoiceState::Cancelled);
    };
    // He was asked after, and cancelled meanwhile: Zarinpal has the money since that question, and so it is booked.
    let (shop, invoice) = crossed(("back", PAID), ("cancel", UNPAID), cancelled).await;
    assert_eq!((shop.now(&invoice).await.state, due(&shop).await), (InvoiceState::Paid, 5000));
    shop.in_order().await;
    // Another one has taken its place: the operator is told, and the books are those of the new one.
    let replaced = async |shop: &Shop, invoice: &Invoice| {
        cancelled(shop, invoice).await;
        shop.step(800, Door::Ims, "9900|F1|6000").await;
    };
    let (shop, invoice) = crossed(("back", PAID), ("cancel", UNPAID), replaced).await;
    assert_eq!((shop.now(&invoice).await.state, due(&shop).await), (InvoiceState::Cancelled, 0));
    let way = shop.world.store.attempts_of(invoice.id).await.unwrap().remove(0);
    assert_eq!(way.state, AttemptState::Odd);
    assert!(way.said.contains("5000 IRR by A1"), "{}", way.said);
    shop.in_order().await;
    // The answer that nothing was paid comes late: it is, and stays so.
    let paid = async |shop: &Shop, invoice: &Invoice| {
        assert_eq!(shop.now(invoice).await.state, InvoiceState::Paid);
    };
    let (shop, invoice) = crossed(("cancel", UNPAID), ("back", PAID), paid).await;
    assert_eq!((shop.now(&invoice).await.state, due(&shop).await), (InvoiceState::Paid, 5000));
    assert_eq!(shop.world.store.outbox(None, None, 0, 9).await.unwrap().len(), 1);
    shop.in_order().await;
}

#[tokio::test]
async fn s5_3_the_buttons_for_tests_pay_nothing_but_what_was_begun_there_without_money() {
    let gate = Peer::start().await;
    let row = json!({ "name": "card", "kind": "zarinpal", "account": "a", "url": gate.url("") });
    let only_test = json!([{ "name": "try", "kind": "test" }]);
    let shop = Shop::new(only_test.clone()).await;
    let apply = async |gateways: serde_json::Value| {
        let file = serde_json::from_value(json!({ "prune": true, "payment_gateways": gateways }));
        let changes = shop.world.store.apply(&file.unwrap(), now(), false).await.unwrap();
        assert_eq!(changes.mistakes, []);
    };
    let played = shop.invoice("1", 5000).await;
    shop.pay(&played).await;
    let on_his_way = shop.invoice("2", 5000).await;
    shop.press(&format!("/pay/{}/start", on_his_way.token), "").await;
    // From now on there is one that takes money: nobody pays without any more, wherever he is.
    apply(json!([row, { "name": "try", "kind": "test", "enabled": false }])).await;
    let test = format!("/pay/{}/test", on_his_way.token);
    assert_eq!(shop.get(&test).await.to().unwrap(), format!("/pay/{}?lang=fa", on_his_way.token));
    shop.press(&test, "act=pay").await;
    assert_eq!(shop.now(&on_his_way).await.state, InvoiceState::Open);
    shop.press(&format!("/pay/{}/cancel", on_his_way.token), "").await;
    assert_eq!(shop.now(&on_his_way).await.state, InvoiceState::Cancelled);
    // A way that was begun at Zarinpal is not paid by buttons.
    gate.answer(200, r#"{"data":{"code":100,"authority":"A1"},"errors":[]}"#);
    let card = shop.invoice("3", 5000).await;
    shop.press(&format!("/pay/{}/start", card.token), "").await;
    gate.answer(200, UNPAID);
    shop.press(&format!("/pay/{}/test", card.token), "act=pay").await;
    let way = shop.world.store.pending_attempt(card.id).await.unwrap().unwrap();
    assert_eq!((way.rrn, shop.now(&card).await.state), (None, InvoiceState::Open));
    shop.press(&format!("/pay/{}/cancel", card.token), "").await;
    // What was played is not given back by a gateway that has its name by now.
    let mut renamed = row.clone();
    renamed["name"] = json!("try");
    apply(json!([row, renamed])).await;
    gate.take();
    let refund = format!("/ussd-invoices/{}/refund", played.id);
    let (status, told) = shop.world.admin("POST", &refund, None).await;
    assert_eq!((status.as_u16(), &told["error"]["code"]), (409, &json!("by_hand")));
    assert!(gate.take().is_empty(), "nothing was asked of it");
    assert_eq!(shop.now(&played).await.state, InvoiceState::Paid);
    // And what was paid with money is not given back by buttons.
    gate.answer(200, r#"{"data":{"code":100,"authority":"A2"},"errors":[]}"#);
    let money = shop.invoice("4", 5000).await;
    shop.press(&format!("/pay/{}/start", money.token), "gateway=card").await;
    gate.answer(200, PAID);
    shop.back(&money, "?Status=OK").await;
    assert_eq!(shop.now(&money).await.state, InvoiceState::Paid);
    apply(json!([{ "name": "card", "kind": "test" }])).await;
    let refund = format!("/ussd-invoices/{}/refund", money.id);
    let (status, _) = shop.world.admin("POST", &refund, None).await;
    assert_eq!((status.as_u16(), shop.now(&money).await.state), (409, InvoiceState::Paid));
    let (_, one) = shop.world.admin("GET", &format!("/ussd-invoices/{}", money.id), None).await;
    assert_eq!(one["given_back"][0]["state"], "refused");
    assert_eq!(one["attempts"][0]["kind"], "zarinpal");
    shop.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_refunds_that_are_slow_keep_nobody_waiting_who_has_paid() {
    let mind: Mind = Arc::new(|came| {
        Box::pin(async move {
            let session = |status: &str, paid: &str, intent: serde_json::Value| {
                json!({ "id": "cs_1", "amount_total": 1, "currency": "eur", "payment_intent": intent,
                        "payment_status": paid, "status": status, "url": "https://stripe.example/1" })
            };
            match (came.method.as_str(), came.target.as_str()) {
                (_, "/v1/refunds") => std::future::pending().await,
                ("POST", "/v1/checkout/sessions") => {
                    // A session of each invoice.
                    let id = came.body.split("client_reference_id=").nth(1).unwrap();
                    let id = format!("cs_{}", id.split('&').next().unwrap());
                    let mut opened = session("open", "unpaid", json!(null));
                    opened["id"] = json!(id);
                    Some((200, opened.to_string()))
                }
                (_, target) => {
                    let intent = target.replace("/v1/checkout/sessions/cs_", "pi_");
                    Some((200, session("complete", "paid", json!(intent)).to_string()))
                }
            }
        })
    });
    let gate = Peer::by(mind).await;
    let row = json!({ "name": "abroad", "kind": "stripe", "secret": "s", "hook_secret": "h", "currency": "EUR",
                      "rials_per_unit": 9_000, "url": gate.url("") });
    let shop = Shop::new(json!([row])).await;
    let store = &shop.world.store;
    for factor in ["1", "2", "3"] {
        let invoice = shop.invoice(factor, 5000).await;
        shop.press(&format!("/pay/{}/start", invoice.token), "").await;
        shop.back(&invoice, "").await;
        assert_eq!(shop.now(&invoice).await.state, InvoiceState::Paid);
        // Begun by a process of this number, which died.
        store.begin_refund(invoice.id, 7, now()).await.unwrap();
    }
    let waits = shop.invoice("4", 5000).await;
    shop.press(&format!("/pay/{}/start", waits.token), "").await;
    let before = gate.count();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let run = tokio::spawn(api::payments::run(shop.world.state.clone(), stopped));
    let begun = std::time::Instant::now();
    while shop.now(&waits).await.state != InvoiceState::Paid {
        assert!(begun.elapsed() < Duration::from_secs(5), "it waits behind refunds");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // All three are asked for meanwhile, once each.
    while gate.count() < before + 4 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", gate.count() - before);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stop);
    run.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_of_two_ways_that_were_paid_one_is_taken() {
    let play = play(Kind::Zarinpal).await;
    play.dial(1, "7").await;
    let invoice = play.invoice().await.unwrap();
    let start = format!("/pay/{}/start", invoice.token);
    let way = async || {
        play.shop.ask("POST", &start, "").await;
        play.open.pending_attempt(invoice.id).await.unwrap().unwrap()
    };
    // He leaves the first one, begins another, and pays by both.
    let first = way().await;
    happens(&play, Event::Left, (&invoice, &first.reference)).await;
    let second = way().await;
    assert_ne!(first.reference, second.reference);
    for way in [&first, &second] {
        assert!(play.town.bank.pay(&way.reference));
    }
    happens(&play, Event::Back, (&invoice, &first.reference)).await;
    happens(&play, Event::Back, (&invoice, &second.reference)).await;
    happens(&play, Event::Sweep, (&invoice, &second.reference)).await;
    assert_eq!(play.invoice().await.unwrap().state, InvoiceState::Paid);
    let ways = play.open.attempts_of(invoice.id).await.unwrap();
    let states: Vec<_> = ways.iter().map(|way| way.state).collect();
    assert_eq!(states, [AttemptState::Paid, AttemptState::Failed]);
    let has = |way: &billing::payments::Attempt| play.town.bank.has(&way.reference);
    assert!(has(&first) && !has(&second), "Zarinpal gives the second one back");
    assert_eq!(play.open.payments_due(play.shop.merchant).await.unwrap(), 5000);
    play.shop.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_a_session_of_stripe_is_opened_also_where_the_rate_changed_behind_a_crash() {
    let play = play(Kind::Stripe).await;
    play.dial(1, "7").await;
    let invoice = play.invoice().await.unwrap();
    // One was opened, and whoever opened it died before it was written down.
    let (town, file) = (Arc::clone(&play.town), play.town.copy_of_now(&play.open).await);
    let (shop, open) = town.start(&file, &Fuse::of(usize::MAX)).await;
    let before = Play { town, shop, open };
    before.shop.ask("POST", &format!("/pay/{}/start", invoice.token), "").await;
    let rate = json!({ "payment_gateways": [{ "name": "gate", "kind": "stripe", "secret": "s", "currency": "EUR",
        "hook_secret": crate::crash::KEY, "rials_per_unit": 1_000, "url": play.town.gate.url("") }] });
    let rate = serde_json::from_value(rate).unwrap();
    assert_eq!(play.open.apply(&rate, now(), false).await.unwrap().mistakes, []);
    play.shop.ask("POST", &format!("/pay/{}/start", invoice.token), "").await;
    let way = play.open.pending_attempt(invoice.id).await.unwrap().unwrap();
    assert_eq!((way.amount, way.reference.as_str()), (5, "cs_2"));
    happens(&play, Event::Pay, (&invoice, &way.reference)).await;
    happens(&play, Event::Hook, (&invoice, &way.reference)).await;
    assert_eq!(play.invoice().await.unwrap().state, InvoiceState::Paid);
}
