//! Invoices of menus, what becomes of them, and their money (merchant API §5.3, §5.4).

use std::sync::Arc;

use billing::payments::{
    Asked, Attempt, Began, Booked, Gateway, GatewayKind, Invoice, InvoiceState, InvoicesAsked,
    LINK_LIFE, Made, NewAttempt, NewInvoice, Verified,
};
use billing::rows::Payload;
use billing::sms::SmsSent;
use billing::{Store, StoreConfig};
use facts::ussd::Language;
use facts::{CallId, Dialect, MerchantId, PushKind, UnixMillis};

use crate::support::*;

const MOBILE: &str = "989123456789";

pub(crate) fn wanted(merchant: MerchantId, factor: &str, rials: u64, step: u32) -> NewInvoice {
    NewInvoice {
        merchant,
        code: "*6655*123#".into(),
        page: "http://shop.example/p.php?x=1".into(),
        language: Language::Fa,
        session: CallId(100 + u64::from(step)),
        step,
        subscriber: MOBILE.into(),
        mobile: "09123456789".into(),
        call: format!("*6655*123*{step}"),
        factor: factor.into(),
        rials,
        trial: false,
        token: format!("t{step}-{factor}-{}", merchant.0),
        text: "pay at http://pay.example/pay/{token}".into(),
    }
}

pub(crate) async fn made(store: &Store, new: NewInvoice, s: u64) -> Invoice {
    match store.make_invoice(new, at(s)).await.unwrap() {
        Made::Now(invoice) => invoice,
        other => panic!("{other:?}"),
    }
}

/// Zarinpal under this name, which `fill` puts into the store, and one for tests.
const GATEWAYS: &str = r#"
    [[payment_gateways]]
    name = "card"
    kind = "zarinpal"
    account = "ours"
    [[payment_gateways]]
    name = "try"
    kind = "test"
    "#;

pub(crate) async fn fill(store: &Store, balance: &str) -> MerchantId {
    let merchant = crate::support::fill(store, balance).await;
    let changes = store.apply(&from_toml(GATEWAYS), at(0), false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    merchant
}

pub(crate) fn card() -> Gateway {
    Gateway {
        name: "card".into(),
        kind: GatewayKind::Zarinpal,
        title: "card".into(),
        enabled: true,
        account: "ours".into(),
        secret: String::new(),
        hook_secret: String::new(),
        currency: "IRR".into(),
        rials_per_unit: 1,
        url: String::new(),
    }
}

/// The one for tests.
pub(crate) fn played() -> Gateway {
    let (name, title, account) = ("try".into(), "try".into(), String::new());
    Gateway { name, title, account, kind: GatewayKind::Test, ..card() }
}

pub(crate) fn way(invoice: &Invoice, reference: &str) -> NewAttempt {
    NewAttempt {
        invoice: invoice.id,
        gateway: card(),
        reference: reference.into(),
        url: format!("http://gate.example/{reference}"),
        amount: invoice.rials,
        currency: "IRR".into(),
    }
}

pub(crate) async fn began(store: &Store, invoice: &Invoice, reference: &str, s: u64) -> Attempt {
    match store.begin_attempt(way(invoice, reference), at(s)).await.unwrap() {
        Began::Now(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn verified(amount: u64) -> Verified {
    Verified {
        amount,
        currency: "IRR".into(),
        reference: "ref-7".into(),
        rrn: "123456789012".into(),
        text: "paid, 123456789012".into(),
    }
}

/// An invoice that is paid.
pub(crate) async fn paid(store: &Store, new: NewInvoice, s: u64) -> Invoice {
    let invoice = made(store, new, s).await;
    let reference = format!("r{}", invoice.id);
    let attempt = began(store, &invoice, &reference, s + 1).await;
    match store.book_attempt(attempt.id, verified(invoice.rials), at(s + 2)).await.unwrap() {
        Booked::Now(invoice) => invoice,
        other => panic!("{other:?}"),
    }
}

/// Texts of messages that are to be sent.
async fn texts(store: &Store) -> Vec<String> {
    store
        .sms(billing::sms::SmsAsked::page(0, 100))
        .await
        .unwrap()
        .into_iter()
        .map(|sms| sms.text)
        .collect()
}

pub(crate) async fn s5_3_the_same_invoice_again_is_the_same_link_three_times_at_most(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    let first = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    assert_eq!((first.state, first.notices), (InvoiceState::Open, 1));
    assert_eq!(first.expires, at(0) + LINK_LIFE);
    assert_eq!(texts(&store).await, ["pay at http://pay.example/pay/t1-F1-1"]);
    // The unit runs again after a commit whose answer was lost.
    let repeat = store.make_invoice(wanted(merchant, "F1", 5000, 1), at(1)).await.unwrap();
    assert_eq!(repeat, Made::Again(first.clone()));
    for (step, notices) in [(2, 2), (3, 3)] {
        let again = store.make_invoice(wanted(merchant, "F1", 5000, step), at(60)).await.unwrap();
        let Made::Again(again) = again else { panic!("{again:?}") };
        assert_eq!((again.id, again.notices), (first.id, notices));
        assert_eq!(again.call, format!("*6655*123*{step}"), "the step that asked last is told");
        assert_eq!(again.expires, at(60) + LINK_LIFE);
    }
    let enough = store.make_invoice(wanted(merchant, "F1", 5000, 4), at(61)).await.unwrap();
    assert!(matches!(enough, Made::Enough(held) if held.id == first.id && held.notices == 3));
    assert_eq!(texts(&store).await.len(), 3);
    // Another process sees the same one.
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let found = other.invoice_by_token("t1-F1-1").await.unwrap().unwrap();
    assert_eq!((found.id, found.session), (first.id, CallId(104)));
    other.close().await;
    in_order(&store).await;
}

pub(crate) async fn s5_3_another_price_is_another_invoice_and_a_paid_one_stays_paid(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let first = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let dearer = made(&store, wanted(merchant, "F1", 6000, 2), 1).await;
    assert_ne!(dearer.id, first.id);
    let gone = store.invoice(first.id).await.unwrap().unwrap();
    assert_eq!((gone.state, gone.closed), (InvoiceState::Cancelled, Some(at(1))));
    let began = store.begin_attempt(way(&gone, "r"), at(2)).await.unwrap();
    assert_eq!(began, Began::Closed(gone));
    // So is another subscriber's; that of another merchant, and one that is tried out, are their own.
    let else_one =
        NewInvoice { subscriber: "989120000000".into(), ..wanted(merchant, "F1", 6000, 3) };
    let theirs = made(&store, else_one.clone(), 3).await;
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    made(&store, wanted(other, "F1", 5000, 4), 3).await;
    let before = texts(&store).await.len();
    let trial = NewInvoice { trial: true, ..wanted(merchant, "F1", 1, 5) };
    made(&store, trial, 3).await;
    assert_eq!(texts(&store).await.len(), before, "who tries it out sends nobody a message");
    // While somebody pays nothing takes its place, and the link works on.
    let attempt = self::began(&store, &theirs, "r1", 4).await;
    let under_way = store.make_invoice(wanted(merchant, "F1", 7000, 6), at(5)).await.unwrap();
    assert!(matches!(under_way, Made::UnderWay(held) if held.id == theirs.id));
    let booked = store.book_attempt(attempt.id, verified(6000), at(6)).await.unwrap();
    assert!(matches!(booked, Booked::Now(_)));
    for (step, rials) in [(7, 6000), (8, 7000)] {
        let new = NewInvoice { rials, step, ..else_one.clone() };
        let again = store.make_invoice(new, at(7)).await.unwrap();
        assert!(matches!(again, Made::Paid(held) if held.id == theirs.id), "F is paid once");
    }
    in_order(&store).await;
}

pub(crate) async fn s5_3_what_is_verified_again_is_booked_once(store: Store, url: String) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let attempt = began(&store, &invoice, "r1", 1).await;
    let repeat = store.begin_attempt(way(&invoice, "r2"), at(2)).await.unwrap();
    assert_eq!(repeat, Began::Before(attempt.clone()), "one way at a time");
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    // Callback, webhook and sweep at once, in two processes.
    let mut all = Vec::new();
    for nth in 0..12 {
        let (store, id) = (if nth % 2 == 0 { store.clone() } else { other.clone() }, attempt.id);
        all.push(tokio::spawn(async move {
            store.book_attempt(id, verified(5000), at(3)).await.unwrap()
        }));
    }
    let (mut now, mut before) = (0, 0);
    for one in all {
        match one.await.unwrap() {
            Booked::Now(_) => now += 1,
            Booked::Before(_) => before += 1,
            Booked::Odd(held) => panic!("{held:?}"),
        }
    }
    assert_eq!((now, before), (1, 11));
    let held = store.invoice(invoice.id).await.unwrap().unwrap();
    assert_eq!((held.state, held.closed), (InvoiceState::Paid, Some(at(3))));
    let told = (held.gateway.as_deref(), held.reference.as_deref(), held.rrn.as_deref());
    assert_eq!(told, (Some("card"), Some("ref-7"), Some("123456789012")));
    assert_eq!(store.payments_due(merchant).await.unwrap(), 5000);
    // One visit of the page, one message.
    let rows = store.outbox(Some(merchant), None, 0, 10).await.unwrap();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.kind, row.dialect), (PushKind::Payment, Dialect::Inoti));
    assert_eq!(row.endpoint, "http://shop.example/p.php?x=1");
    let Payload::Paid(paid) = &row.payload else { panic!("{row:?}") };
    assert_eq!((paid.session.as_str(), paid.call.as_str()), ("101", "*6655*123*1"));
    assert_eq!((paid.factor.as_str(), paid.invoice), ("F1", invoice.id.cast_unsigned()));
    assert_eq!(texts(&store).await[1..], ["paid, 123456789012"]);
    // Nothing undoes it.
    store.fail_attempt(attempt.id, "no", at(4)).await.unwrap();
    store.cancel_invoice(invoice.id, at(4)).await.unwrap();
    store.expire_invoices(at(5000)).await.unwrap();
    assert_eq!(store.invoice(invoice.id).await.unwrap().unwrap(), held);
    other.close().await;
    in_order(&store).await;
}

pub(crate) async fn s5_3_parallel_ways_to_pay_one_invoice_are_one(store: Store, url: String) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let mut all = Vec::new();
    for nth in 0..10 {
        let store = if nth % 2 == 0 { store.clone() } else { other.clone() };
        let new = way(&invoice, &format!("r{nth}"));
        all.push(tokio::spawn(async move { store.begin_attempt(new, at(1)).await.unwrap() }));
        if nth == 4 {
            let (store, id) = (other.clone(), invoice.id);
            all.push(tokio::spawn(async move {
                let held = store.cancel_invoice(id, at(1)).await.unwrap();
                Began::Closed(held)
            }));
        }
    }
    let mut ways = std::collections::BTreeSet::new();
    for one in all {
        if let Began::Now(way) | Began::Before(way) = one.await.unwrap() {
            ways.insert(way.id);
        }
    }
    assert!(ways.len() <= 1, "{ways:?}");
    let held = store.invoice(invoice.id).await.unwrap().unwrap();
    let pending = store.pending_attempt(invoice.id).await.unwrap().is_some();
    assert_eq!(pending, held.state == InvoiceState::Open, "paid, or cancelled; never both");
    other.close().await;
    in_order(&store).await;
}

pub(crate) async fn s5_3_an_amount_that_differs_is_not_booked(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    for (nth, odd) in
        [verified(4999), verified(5001), Verified { currency: "USD".into(), ..verified(5000) }]
            .into_iter()
            .enumerate()
    {
        let attempt = began(&store, &invoice, &format!("r{nth}"), 1).await;
        let booked = store.book_attempt(attempt.id, odd.clone(), at(2)).await.unwrap();
        assert!(matches!(booked, Booked::Odd(_)));
        let booked = store.book_attempt(attempt.id, verified(5000), at(2)).await.unwrap();
        assert!(matches!(booked, Booked::Odd(_)), "it stays so");
    }
    made(&store, wanted(merchant, "F2", 5000, 2), 0).await;
    let held = store.invoice(invoice.id).await.unwrap().unwrap();
    assert_eq!(held.state, InvoiceState::Open);
    assert_eq!(store.payments_due(merchant).await.unwrap(), 0);
    assert!(store.outbox(Some(merchant), None, 0, 10).await.unwrap().is_empty());
    let said: Vec<_> =
        store.attempts_of(invoice.id).await.unwrap().into_iter().map(|one| one.said).collect();
    let odd = InvoicesAsked { odd: true, limit: 9, ..InvoicesAsked::default() };
    let found = store.invoices(odd).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [invoice.id]);
    assert_eq!(said[0], "another amount was paid than asked for: 4999 IRR by ref-7");
    in_order(&store).await;
}

pub(crate) async fn s5_3_a_link_lapses_but_not_under_who_is_paying(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let idle = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let busy = made(&store, wanted(merchant, "F2", 5000, 2), 0).await;
    let attempt = began(&store, &busy, "r1", 899).await;
    assert_eq!(store.expire_invoices(at(899)).await.unwrap(), 0);
    assert_eq!(store.expire_invoices(at(900)).await.unwrap(), 1);
    let idle = store.invoice(idle.id).await.unwrap().unwrap();
    assert_eq!((idle.state, idle.closed), (InvoiceState::Expired, Some(at(900))));
    let late = store.begin_attempt(way(&idle, "r2"), at(901)).await.unwrap();
    assert!(matches!(late, Began::Closed(_)));
    let held = store.cancel_invoice(busy.id, at(901)).await.unwrap();
    assert_eq!(held.state, InvoiceState::Open, "first it has to be known what came of it");
    // Asked after: by one at a time, the later the older it is.
    let ids = async |s| -> Vec<i64> {
        store.attempts_due(1, at(s)).await.unwrap().into_iter().map(|one| one.id).collect()
    };
    assert_eq!(ids(913).await, Vec::<i64>::new());
    assert_eq!(ids(914).await, [attempt.id]);
    assert_eq!(ids(915).await, Vec::<i64>::new(), "it is somebody's");
    assert_eq!(ids(975).await, [attempt.id], "who died");
    store.delay_attempt(attempt.id, "no answer", at(999)).await.unwrap();
    assert_eq!(ids(1048).await, Vec::<i64>::new());
    assert_eq!(ids(1049).await, [attempt.id]);
    let held = store.fail_attempt(attempt.id, "cancelled", at(1050)).await.unwrap();
    assert_eq!((held.state, held.closed), (InvoiceState::Expired, Some(at(1050))));
    assert!(ids(9999).await.is_empty());
    // It was paid after all: the gateway has the money, and so it is booked.
    let late = store.book_attempt(attempt.id, verified(5000), at(1060)).await.unwrap();
    assert!(matches!(&late, Booked::Now(held) if held.state == InvoiceState::Paid), "{late:?}");
    assert_eq!(store.payments_due(merchant).await.unwrap(), 5000);
    // Unless another one has taken its place: then it is noted for the operator.
    let first = made(&store, wanted(merchant, "F3", 5000, 3), 1100).await;
    let attempt = began(&store, &first, "r3", 1101).await;
    store.fail_attempt(attempt.id, "cancelled", at(1102)).await.unwrap();
    made(&store, wanted(merchant, "F3", 6000, 4), 1103).await;
    let late = store.book_attempt(attempt.id, verified(5000), at(1104)).await.unwrap();
    assert!(
        matches!(&late, Booked::Odd(held) if held.state == InvoiceState::Cancelled),
        "{late:?}"
    );
    assert_eq!(store.payments_due(merchant).await.unwrap(), 5000);
    in_order(&store).await;
}

pub(crate) async fn s5_4_each_filter_of_get_payments(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    let first = paid(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let other_code = NewInvoice { code: "*7#".into(), ..wanted(merchant, "F2", 6000, 2) };
    let second = paid(&store, other_code, 100).await;
    let open = made(&store, wanted(merchant, "F3", 7000, 3), 200).await;
    let gone = made(&store, wanted(merchant, "F4", 8000, 4), 200).await;
    store.cancel_invoice(gone.id, at(300)).await.unwrap();
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    paid(&store, wanted(other, "F1", 5000, 5), 0).await;
    let ask = async |asked: Asked| -> Vec<i64> {
        let found = store.payments(merchant, asked, 100).await.unwrap();
        found.into_iter().map(|one| one.id).collect()
    };
    let none = Asked::default;
    let both = [first.id, second.id];
    assert_eq!(ask(none()).await, both);
    assert_eq!(ask(Asked { all: true, ..none() }).await, [first.id, second.id, gone.id]);
    assert_eq!(ask(Asked { codes: vec!["*6655*123#".into()], ..none() }).await, [first.id]);
    let codes = vec!["*6655*123#".to_owned(), "*7#".to_owned()];
    assert_eq!(ask(Asked { codes, ..none() }).await, both);
    assert_eq!(ask(Asked { from: Some(at(2)), ..none() }).await, both);
    assert_eq!(ask(Asked { from: Some(at(3)), ..none() }).await, [second.id]);
    assert_eq!(ask(Asked { before: Some(at(102)), ..none() }).await, [first.id]);
    assert_eq!(ask(Asked { before: Some(at(103)), ..none() }).await, both);
    assert_eq!(ask(Asked { session: Some(101), ..none() }).await, [first.id]);
    assert_eq!(ask(Asked { rials_from: Some(5001), ..none() }).await, [second.id]);
    assert_eq!(ask(Asked { rials_to: Some(5000), ..none() }).await, [first.id]);
    assert_eq!(ask(Asked { mobile: Some("09123456789".into()), ..none() }).await, both);
    assert!(ask(Asked { mobile: Some("09120000000".into()), ..none() }).await.is_empty());
    assert_eq!(ask(Asked { reference: Some("ref-7".into()), ..none() }).await, both);
    assert_eq!(ask(Asked { invoice: Some(second.id), ..none() }).await, [second.id]);
    assert!(ask(Asked { invoice: Some(open.id), all: true, ..none() }).await.is_empty());
    assert_eq!(ask(Asked { factor: Some("F2".into()), ..none() }).await, [second.id]);
    assert_eq!(ask(Asked { rrn: Some("123456789012".into()), ..none() }).await, both);
    assert!(ask(Asked { rrn: Some("0".into()), ..none() }).await.is_empty());
    let latest = store.payments(merchant, none(), 1).await.unwrap();
    assert_eq!(latest[0].id, second.id, "the latest of too many");
    // Lists.
    let list = async |state, after, limit| -> Vec<i64> {
        let merchant = Some(merchant);
        let asked = InvoicesAsked { merchant, state, after, limit, ..InvoicesAsked::default() };
        let found = store.invoices(asked).await.unwrap();
        found.into_iter().map(|one| one.id).collect()
    };
    assert_eq!(list(None, 0, 2).await, both);
    assert_eq!(list(None, second.id, 9).await, [open.id, gone.id]);
    assert_eq!(list(Some(InvoiceState::Open), 0, 9).await, [open.id]);
    assert_eq!(store.paying_codes(merchant).await.unwrap(), ["*6655*123#", "*7#"]);
}

pub(crate) async fn s5_5_a_message_is_sent_by_one_worker_and_tried_again(store: Store, _: String) {
    let merchant = fill(&store, "0").await;
    made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let take = async |s: u64| {
        store.lapse_sms(at(s)).await.unwrap();
        store.take_sms(at(s), 10).await.unwrap()
    };
    let first = take(0).await.remove(0);
    assert_eq!((first.recipient.as_str(), first.parts), (MOBILE, 1));
    assert!(take(119).await.is_empty());
    // Who died leaves it to another, and what he says later is not heard.
    let second = take(120).await.remove(0);
    let later = || SmsSent::Later("HTTP 503".into());
    let taken = SmsSent::Taken("http".into(), vec![]);
    store.note_sms((first.id, first.lease), taken, at(121)).await.unwrap();
    store.note_sms((second.id, second.lease), later(), at(121)).await.unwrap();
    assert!(take(130).await.is_empty());
    let (mut now, mut tries) = (131, 1);
    // Less and less often; near its end, of what is left.
    for pause in [30, 120, 155, 116, 87, 66, 60, 60, 60] {
        let sms = take(now).await.remove(0);
        assert_eq!(sms.tries, tries);
        store.note_sms((sms.id, sms.lease), later(), at(now)).await.unwrap();
        assert!(take(now + pause - 1).await.is_empty());
        (now, tries) = (now + pause, tries + 1);
    }
    let last = take(now).await.remove(0);
    store.note_sms((last.id, last.lease), later(), at(now)).await.unwrap();
    // A link is worth sending as long as it pays.
    assert_eq!(
        store.sms(billing::sms::SmsAsked::page(0, 10)).await.unwrap()[0].state,
        billing::sms::SmsState::Pending
    );
    assert!(take(899).await.is_empty() && take(900).await.is_empty());
    let rows = store.sms(billing::sms::SmsAsked::page(0, 10)).await.unwrap();
    assert_eq!((rows[0].tries, rows[0].said.as_str()), (11, "HTTP 503"));
    assert_eq!(rows[0].state, billing::sms::SmsState::Failed);
    assert!(take(99_999).await.is_empty());
    let ninety_days = 90 * 86_400;
    store.purge(at(ninety_days)).await.unwrap();
    assert_eq!(store.sms(billing::sms::SmsAsked::page(0, 10)).await.unwrap().len(), 1);
    store.purge(at(ninety_days + 1)).await.unwrap();
    assert!(store.sms(billing::sms::SmsAsked::page(0, 10)).await.unwrap().is_empty());
}

pub(crate) async fn who_asks_where_is_paid_and_what_sends_links_stand_in_the_file(
    store: Store,
    _: String,
) {
    crate::support::fill(&store, "0").await;
    let file = r#"
        prune = true
        [[ussd_owners]]
        username = "0012345678"
        merchant = "test"
        password = "secret"
        strict = true
        [[payment_gateways]]
        name = "card"
        kind = "zarinpal"
        account = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
        [[payment_gateways]]
        name = "abroad"
        kind = "stripe"
        secret = "sk_test_1"
        hook_secret = "whsec_1"
        currency = "EUR"
        rials_per_unit = 9_000
        title = "Visa"
        [sms]
        url = "https://sms.example/send"
        body = '{"to":"{to}","text":"{text}"}'
        headers = { "X-Key" = "k" }
        sender = "3000"
        "#;
    let apply = async |text: &str| store.apply(&from_toml(text), at(1), false).await.unwrap();
    let changes = apply(file).await;
    assert_eq!(changes.mistakes, []);
    assert_eq!(changes.count(billing::desired::Act::Created), 4);
    assert_eq!(apply(file).await.count(billing::desired::Act::Unchanged), 4);
    let owner = store.ussd_owner("0012345678").await.unwrap().unwrap();
    let knows = |owner: &billing::payments::Owner, password: &str| {
        billing::is_password(password, Some(&owner.password))
    };
    assert!(knows(&owner, "secret") && !knows(&owner, "Secret") && owner.strict && owner.active);
    assert!(!format!("{owner:?}").contains("secret\""), "hashed");
    let gateways = store.payment_gateways().await.unwrap();
    assert_eq!((gateways[0].title.as_str(), gateways[0].rials_per_unit), ("Visa", 9_000));
    assert_eq!((gateways[1].title.as_str(), gateways[1].currency.as_str()), ("card", "IRR"));
    let told = serde_json::to_string(&gateways).unwrap();
    assert!(!told.contains("sk_test_1") && !told.contains("whsec_1"), "{told}");
    let sms = store.sms_gateway().await.unwrap().unwrap();
    assert_eq!((sms.headers.as_str(), sms.sender.as_str()), ("X-Key: k\n", "3000"));
    // Another password, nothing said of the gateway abroad, messages stopped.
    let less = r#"
        prune = true
        [[ussd_owners]]
        username = "0012345678"
        merchant = "test"
        password = "other"
        [[payment_gateways]]
        name = "card"
        kind = "test"
        [sms]
        url = "https://sms.example/send?to={to}&text={text}"
        enabled = false
        "#;
    assert_eq!(apply(less).await.mistakes, []);
    assert!(knows(&store.ussd_owner("0012345678").await.unwrap().unwrap(), "other"));
    assert_eq!(store.payment_gateways().await.unwrap().len(), 1);
    assert_eq!(store.sms_gateway().await.unwrap(), None);
    let wrong = r#"
        [[ussd_owners]]
        username = "new"
        merchant = "nobody"
        [[payment_gateways]]
        name = "a b"
        kind = "stripe"
        rials_per_unit = 0
        [sms]
        url = "ftp://x"
        "#;
    let told: Vec<String> = apply(wrong).await.mistakes.into_iter().map(|one| one.path).collect();
    for path in [
        "ussd_owners[0].merchant",
        "ussd_owners[0].password",
        "payment_gateways[0].name",
        "payment_gateways[0].secret",
        "payment_gateways[0].hook_secret",
        "payment_gateways[0].currency",
        "payment_gateways[0].rials_per_unit",
        "sms.url",
    ] {
        assert!(told.iter().any(|one| one == path), "{path}: {told:?}");
    }
}

/// Time moves between the processes that look.
pub(crate) async fn s5_3_a_process_that_dies_between_verifying_and_booking_leaves_it_to_the_next(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    began(&store, &invoice, "r1", 1).await;
    let store = Arc::new(store);
    assert_eq!(store.attempts_due(1, at(16)).await.unwrap().len(), 1);
    // It verified, and died. The next one of its number asks at once and is told the same again; one of another number,
    // which cannot know that it died, waits for the end of its minute.
    let next = Store::open(&url, StoreConfig::default()).await.unwrap();
    assert!(next.attempts_due(1, at(20)).await.unwrap().is_empty());
    next.hasten_payments(2, at(20)).await.unwrap();
    assert!(next.attempts_due(2, at(20)).await.unwrap().is_empty());
    next.hasten_payments(1, at(20)).await.unwrap();
    let due: Vec<Attempt> = next.attempts_due(1, at(20)).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].reference, "r1");
    let booked = next.book_attempt(due[0].id, verified(5000), at(76)).await.unwrap();
    assert!(matches!(booked, Booked::Now(_)));
    let nothing: Vec<Attempt> = store.attempts_due(1, UnixMillis(i64::MAX)).await.unwrap();
    assert!(nothing.is_empty());
    next.close().await;
    in_order(&store).await;
}
