//! Money of invoices that goes back, gateways that change, and what is paid without money (merchant API §5.3).

use std::sync::Arc;

use billing::desired::Act;
use billing::payments::{
    Asked, Began, Gateway, GatewayKind, Invoice, InvoiceState, NewAttempt, NewInvoice, Refund,
    RefundBegun, RefundState, Round,
};
use billing::{Store, StoreConfig};

use crate::payments::{began, card, fill, made, paid, played, verified, wanted, way};
use crate::support::{at, from_toml, in_order};

async fn round(store: &Store, invoice: &Invoice, node: u16, s: u64) -> Round {
    match store.begin_refund(invoice.id, node, at(s)).await.unwrap() {
        RefundBegun::Now(round) => *round,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn s5_3_a_refund_is_posted_before_it_is_asked_for_and_undone_if_refused(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let open = made(&store, wanted(merchant, "F0", 5000, 1), 0).await;
    let none = store.begin_refund(open.id, 1, at(1)).await.unwrap();
    assert!(matches!(none, RefundBegun::NotPaid(_)));
    let none = store.refund_by_hand(open.id, at(1)).await.unwrap();
    assert!(matches!(none, RefundBegun::NotPaid(_)));
    let invoice = paid(&store, wanted(merchant, "F1", 5000, 2), 0).await;
    let due = async || store.payments_due(merchant).await.unwrap();
    assert_eq!(due().await, 5000);
    let first = round(&store, &invoice, 1, 5).await;
    assert_eq!((first.no, first.invoice.state), (1, InvoiceState::Refunding));
    assert_eq!((first.attempt.invoice, due().await), (invoice.id, 0));
    in_order(&store).await;
    let no = Refund::Refused("no".into());
    for _ in 0..2 {
        let held = store.end_refund((invoice.id, 1), no.clone(), at(6)).await.unwrap();
        assert_eq!((held.state, due().await), (InvoiceState::Paid, 5000));
    }
    in_order(&store).await;
    round(&store, &invoice, 1, 7).await;
    for _ in 0..2 {
        let held = store.end_refund((invoice.id, 2), Refund::Done, at(8)).await.unwrap();
        assert_eq!((held.state, held.refunds), (InvoiceState::Refunded, 2));
    }
    let again = store.begin_refund(invoice.id, 1, at(9)).await.unwrap();
    assert!(matches!(again, RefundBegun::Done(_)));
    assert_eq!(due().await, 0);
    in_order(&store).await;
    // It may be asked for anew.
    made(&store, wanted(merchant, "F1", 5000, 3), 10).await;
}

pub(crate) async fn s5_3_by_hand_and_by_the_gateway_money_goes_back_once(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = paid(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    round(&store, &invoice, 1, 5).await;
    let held = store.refund_by_hand(invoice.id, at(6)).await.unwrap();
    assert!(matches!(&held, RefundBegun::UnderWay(_)), "the gateway is being asked: {held:?}");
    let no = Refund::Refused("HTTP 400".into());
    store.end_refund((invoice.id, 1), no, at(7)).await.unwrap();
    let held = store.refund_by_hand(invoice.id, at(8)).await.unwrap();
    assert!(matches!(&held, RefundBegun::Done(held) if held.state == InvoiceState::Refunded));
    in_order(&store).await;
    // What a gateway says late of the first round ends no other.
    for how in [Refund::Done, Refund::Refused("late".into())] {
        let held = store.end_refund((invoice.id, 1), how, at(9)).await.unwrap();
        assert_eq!((held.state, held.refunds), (InvoiceState::Refunded, 2));
    }
    let rounds = store.refunds_of(invoice.id).await.unwrap();
    let told: Vec<_> = rounds.iter().map(|one| (one.no, one.by_hand, one.state)).collect();
    assert_eq!(told, [(1, false, RefundState::Refused), (2, true, RefundState::Done)]);
    assert_eq!(rounds[0].said, "HTTP 400");
    // A second round is asked for, and the first one's answer comes: nothing is decided by it.
    let other = paid(&store, wanted(merchant, "F2", 700, 2), 10).await;
    round(&store, &other, 1, 20).await;
    store.end_refund((other.id, 1), Refund::Refused("no".into()), at(21)).await.unwrap();
    round(&store, &other, 1, 22).await;
    let held = store.end_refund((other.id, 1), Refund::Done, at(23)).await.unwrap();
    assert_eq!(held.state, InvoiceState::Refunding);
    store.end_refund((other.id, 2), Refund::Done, at(24)).await.unwrap();
    in_order(&store).await;
    // Two operators at two processes, by hand and not, at once: one of them.
    let third = paid(&store, wanted(merchant, "F3", 900, 3), 30).await;
    let beside = Store::open(&url, StoreConfig::default()).await.unwrap();
    let mut all = Vec::new();
    for nth in 0..10_u16 {
        let (store, id) = (if nth % 2 == 0 { store.clone() } else { beside.clone() }, third.id);
        all.push(tokio::spawn(async move {
            if nth % 3 == 0 {
                store.refund_by_hand(id, at(40)).await.unwrap()
            } else {
                store.begin_refund(id, nth, at(40)).await.unwrap()
            }
        }));
    }
    let (mut asked, mut given) = (0, 0);
    for one in all {
        match one.await.unwrap() {
            RefundBegun::Now(_) => asked += 1,
            RefundBegun::Done(_) => given += 1,
            RefundBegun::UnderWay(_) => {}
            RefundBegun::NotPaid(held) => panic!("{held:?}"),
        }
    }
    assert!(asked <= 1 && (asked == 0) == (given > 0), "{asked} {given}");
    assert_eq!(store.refunds_of(third.id).await.unwrap().len(), 1);
    assert_eq!(store.payments_due(merchant).await.unwrap(), 0);
    beside.close().await;
    in_order(&store).await;
}

pub(crate) async fn s5_3_refunds_are_asked_after_by_one_process_at_a_time_over_a_restart_too(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = paid(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    round(&store, &invoice, 1, 100).await;
    let again = store.begin_refund(invoice.id, 2, at(159)).await.unwrap();
    assert!(matches!(again, RefundBegun::UnderWay(_)), "{again:?}");
    let beside = Store::open(&url, StoreConfig::default()).await.unwrap();
    let due = async |store: &Store, node, s| store.refunds_due(node, at(s)).await.unwrap().len();
    assert_eq!(due(&beside, 2, 159).await, 0, "it is somebody's");
    // He died; another process has it, and no third one.
    assert_eq!(due(&beside, 2, 160).await, 1);
    assert_eq!(due(&store, 1, 161).await, 0);
    store.hasten_payments(1, at(162)).await.unwrap();
    assert_eq!(due(&store, 1, 162).await, 0, "who begins takes nothing of another that lives");
    // Nothing was decided: later, and the longer the older it is.
    beside.delay_refund((invoice.id, 1), "HTTP 503", at(165)).await.unwrap();
    assert_eq!(store.refunds_of(invoice.id).await.unwrap()[0].said, "HTTP 503");
    assert_eq!((due(&store, 1, 196).await, due(&store, 1, 198).await), (0, 1));
    // It died too, and begins again under its number.
    let next = Store::open(&url, StoreConfig::default()).await.unwrap();
    next.hasten_payments(1, at(199)).await.unwrap();
    let mut found = next.refunds_due(1, at(199)).await.unwrap();
    let found = found.pop().unwrap();
    assert_eq!(
        (found.no, found.invoice.id, found.attempt.gateway.as_str()),
        (1, invoice.id, "card")
    );
    next.end_refund((invoice.id, 1), Refund::Done, at(200)).await.unwrap();
    next.delay_refund((invoice.id, 1), "late", at(201)).await.unwrap();
    assert_eq!(due(&store, 1, 999_999).await, 0);
    // Two processes that look at the same instant: each refund is one of theirs.
    let mut wanted_ids = Vec::new();
    for nth in 0..12 {
        let one = paid(&store, wanted(merchant, &format!("G{nth}"), 10, 10 + nth), 300).await;
        round(&store, &one, 9, 310).await;
        wanted_ids.push(one.id);
    }
    let (one, other) = tokio::join!(store.refunds_due(1, at(400)), beside.refunds_due(2, at(400)));
    let rest = store.refunds_due(1, at(400)).await.unwrap();
    let all = [one.unwrap(), other.unwrap(), rest].concat();
    let mut ids: Vec<i64> = all.iter().map(|round| round.invoice.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, wanted_ids);
    for store in [beside, next] {
        store.close().await;
    }
    in_order(&store).await;
}

const LATER: u64 = 46 * 60;

pub(crate) async fn s5_3_a_gateway_changes_when_nothing_is_under_way_there(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let attempt = began(&store, &invoice, "r1", 1).await;
    assert_eq!(attempt.kind, GatewayKind::Zarinpal);
    let file = |more: &str| {
        let sms = "[sms]
url = \"http://sms.example/{to}/{text}\"
";
        let text = format!(
            "[[payment_gateways]]
name = \"card\"
{more}
{sms}"
        );
        from_toml(&text)
    };
    let stripe = "kind = \"stripe\"\naccount = \"ours\"\nsecret = \"sk\"\nhook_secret = \"wh\"\ncurrency = \"EUR\"";
    let zarinpal = |more: &str| format!("kind = \"zarinpal\"\n{more}");
    let refused = async |text: &str, s: u64, paths: &[&str]| {
        let told = store.apply(&file(text), at(s), false).await.unwrap().mistakes;
        let found: Vec<&str> = told.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(found, paths, "{text}: {told:?}");
        assert!(
            told.iter().all(|one| one.message.starts_with("1 payments or refunds")),
            "{told:?}"
        );
        assert_eq!(store.payment_gateways().await.unwrap()[0], card(), "nothing half applied");
        assert!(store.sms_gateway().await.unwrap().is_none());
    };
    refused(stripe, 2, &["payment_gateways[0].kind", "payment_gateways[0].secret"]).await;
    refused(&zarinpal("account = \"other\""), 2, &["payment_gateways[0].account"]).await;
    let elsewhere = zarinpal("account = \"ours\"\nurl = \"https://sandbox.example/\"");
    refused(&elsewhere, 2, &["payment_gateways[0].url"]).await;
    // Whatever was begun long ago is so because nobody can ask: then a place may be mended, an account may not.
    refused(&zarinpal("account = \"other\""), LATER, &["payment_gateways[0].account"]).await;
    let dry = store.apply(&file(&elsewhere), at(LATER), true).await.unwrap();
    assert_eq!(dry.mistakes, []);
    // Its title is its own, and so is whether it is offered.
    let quiet = zarinpal("account = \"ours\"\nenabled = false\ntitle = \"Cards\"");
    let changes = store.apply(&file(&quiet), at(3), false).await.unwrap();
    assert_eq!((changes.mistakes.len(), changes.count(Act::Updated)), (0, 1));
    // So it is while money goes back.
    let booked = store.book_attempt(attempt.id, verified(5000), at(4)).await.unwrap();
    assert!(matches!(booked, billing::payments::Booked::Now(_)));
    round(&store, &invoice, 1, 5).await;
    let told = store.apply(&file(stripe), at(6), false).await.unwrap().mistakes;
    assert_eq!(told[0].path, "payment_gateways[0].kind");
    store.end_refund((invoice.id, 1), Refund::Refused("no".into()), at(7)).await.unwrap();
    // Who opened a way just before it changed does not get on it.
    let next = made(&store, wanted(merchant, "F2", 5000, 2), 8).await;
    assert_eq!(store.apply(&file(stripe), at(9), false).await.unwrap().mistakes, []);
    let moved = store.begin_attempt(way(&next, "r2"), at(10)).await.unwrap();
    assert!(matches!(moved, Began::Moved(held) if held.id == next.id));
    let gone =
        NewAttempt { gateway: Gateway { name: "gone".into(), ..card() }, ..way(&next, "r3") };
    assert!(matches!(store.begin_attempt(gone, at(10)).await.unwrap(), Began::Moved(_)));
    assert!(store.attempts_of(next.id).await.unwrap().is_empty());
    assert_eq!(store.attempts_of(invoice.id).await.unwrap()[0].kind, GatewayKind::Zarinpal);
    in_order(&store).await;
}

pub(crate) async fn s5_3_a_file_and_a_way_at_once_are_one_after_the_other(
    store: Store,
    url: String,
) {
    let merchant = fill(&store, "0").await;
    let beside = Store::open(&url, StoreConfig::default()).await.unwrap();
    let mut account = "ours".to_owned();
    for nth in 0..8_u32 {
        let invoice = made(&store, wanted(merchant, &format!("F{nth}"), 10, nth), 0).await;
        let opened = Gateway { account: account.clone(), ..card() };
        let new = NewAttempt { gateway: opened, ..way(&invoice, &format!("r{nth}")) };
        let next = format!("ours{nth}");
        let file = from_toml(&format!(
            "[[payment_gateways]]\nname = \"card\"\nkind = \"zarinpal\"\naccount = \"{next}\"\n"
        ));
        let file = Arc::new(file);
        let (store, beside) = (store.clone(), beside.clone());
        let applied = tokio::spawn(async move { beside.apply(&file, at(1), false).await.unwrap() });
        let begun = tokio::spawn(async move { store.begin_attempt(new, at(1)).await.unwrap() });
        let (applied, begun) = (applied.await.unwrap(), begun.await.unwrap());
        match begun {
            Began::Now(way) => {
                assert_eq!(applied.mistakes.len(), 1, "a way was begun under another account");
                end(&again(&url).await, way.id).await;
            }
            Began::Moved(_) => {
                assert_eq!(applied.mistakes, []);
                account = next;
            }
            other => panic!("{other:?}"),
        }
    }
    beside.close().await;
    in_order(&store).await;
}

async fn again(url: &str) -> Store {
    Store::open(url, StoreConfig::default()).await.unwrap()
}

async fn end(store: &Store, way: i64) {
    store.fail_attempt(way, "over", at(2)).await.unwrap();
    store.close().await;
}

pub(crate) async fn s5_3_what_is_paid_without_money_is_not_what_a_merchant_is_due(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let real = paid(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let mut tried = Vec::new();
    for (step, trial) in [(2, true), (3, false)] {
        let new = NewInvoice { trial, ..wanted(merchant, &format!("F{step}"), 70, step) };
        let invoice = made(&store, new, 0).await;
        let new = NewAttempt { gateway: played(), ..way(&invoice, &format!("r{step}")) };
        let Began::Now(attempt) = store.begin_attempt(new, at(1)).await.unwrap() else { panic!() };
        assert_eq!(attempt.kind, GatewayKind::Test);
        store.book_attempt(attempt.id, verified(70), at(2)).await.unwrap();
        tried.push(invoice.id);
    }
    assert_eq!(store.payments_due(merchant).await.unwrap(), 5000);
    in_order(&store).await;
    // A try is told to whoever asks for tries; an installation without money tells what was paid in it.
    let told = async |trials, session| {
        let asked = Asked { trials, session, ..Asked::default() };
        let found = store.payments(merchant, asked, 9).await.unwrap();
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(told(false, None).await, [real.id, tried[1]]);
    assert_eq!(told(true, Some(102)).await, [tried[0]]);
    assert_eq!(told(true, None).await, [real.id, tried[0], tried[1]]);
    // It goes back to where it came from.
    let held = store.invoice(tried[0]).await.unwrap().unwrap();
    round(&store, &held, 1, 5).await;
    in_order(&store).await;
    store.end_refund((held.id, 1), Refund::Refused("no".into()), at(6)).await.unwrap();
    in_order(&store).await;
    store.refund_by_hand(held.id, at(7)).await.unwrap();
    assert_eq!(store.payments_due(merchant).await.unwrap(), 5000);
    in_order(&store).await;
}

/// Whoever comes back late, and where he may still have paid.
pub(crate) async fn s5_3_a_way_that_was_left_may_be_asked_after_unless_it_was_cancelled_or_replaced(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let first = began(&store, &invoice, "r1", 800).await;
    let left =
        async |reference| store.resume_attempt((invoice.id, reference), 1, at(2650)).await.unwrap();
    let state = async || store.invoice(invoice.id).await.unwrap().unwrap().state;
    assert!(left("r1").await.is_none(), "it is under way");
    store.fail_attempt(first.id, "closed", at(2601)).await.unwrap();
    assert_eq!(state().await, InvoiceState::Expired);
    assert!(left("r2").await.is_none());
    let late = left("r1").await.unwrap();
    assert_eq!((late.id, late.late, state().await), (first.id, true, InvoiceState::Open));
    // From now on it is asked after, and nothing takes the invoice's place before it is known.
    assert!(left("r1").await.is_none(), "it is taken up already");
    assert!(store.attempts_due(2, at(2709)).await.unwrap().is_empty(), "another one is asking");
    assert_eq!(store.attempts_due(2, at(2710)).await.unwrap()[0].id, first.id);
    assert_eq!(store.expire_invoices(at(2710)).await.unwrap(), 0);
    let waits = store.make_invoice(wanted(merchant, "F1", 6000, 2), at(2710)).await.unwrap();
    assert!(matches!(waits, billing::payments::Made::UnderWay(_)), "{waits:?}");
    in_order(&store).await;
    store.fail_attempt(first.id, "not paid", at(2711)).await.unwrap();
    assert_eq!(state().await, InvoiceState::Expired);
    made(&store, wanted(merchant, "F1", 6000, 2), 2720).await;
    assert!(left("r1").await.is_none(), "another one is in its place");
    let other = made(&store, wanted(merchant, "F2", 5000, 3), 0).await;
    let way = began(&store, &other, "r3", 1).await;
    store.fail_attempt(way.id, "left", at(2)).await.unwrap();
    store.cancel_invoice(other.id, at(3)).await.unwrap();
    let late = store.resume_attempt((other.id, "r3"), 1, at(4)).await.unwrap();
    assert!(late.is_none(), "he does not want to");
    // Two ways, and the one that was given up turns out to be paid while he is on the other.
    let third = made(&store, wanted(merchant, "F3", 10, 4), 0).await;
    let one = began(&store, &third, "r4", 1).await;
    store.fail_attempt(one.id, "left", at(2)).await.unwrap();
    let two = began(&store, &third, "r5", 3).await;
    assert!(store.resume_attempt((third.id, "r4"), 1, at(3)).await.unwrap().is_some());
    assert_eq!(store.pending_attempt(third.id).await.unwrap().map(|way| way.id), Some(two.id));
    in_order(&store).await;
    store.book_attempt(one.id, verified(10), at(4)).await.unwrap();
    in_order(&store).await;
    assert_eq!(store.pending_attempt(third.id).await.unwrap().map(|way| way.id), Some(two.id));
    let late = store.book_attempt(two.id, verified(10), at(5)).await.unwrap();
    assert!(
        matches!(late, billing::payments::Booked::Odd(held) if held.state == InvoiceState::Paid)
    );
    assert_eq!(store.payments_due(merchant).await.unwrap(), 10);
    in_order(&store).await;
}

pub(crate) async fn s5_3_a_way_of_long_ago_is_not_taken_up_and_what_lapsed_lapsed_then(
    store: Store,
    _: String,
) {
    const DAY: u64 = 86_400;
    let merchant = fill(&store, "0").await;
    let invoice = made(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    let way = began(&store, &invoice, "r1", 800).await;
    store.fail_attempt(way.id, "closed", at(2601)).await.unwrap();
    let take =
        async |s| store.resume_attempt((invoice.id, "r1"), 1, at(s)).await.unwrap().is_some();
    let held = async || {
        let held = store.invoice(invoice.id).await.unwrap().unwrap();
        (held.state, held.closed)
    };
    assert_eq!(held().await, (InvoiceState::Expired, Some(at(2601))));
    // He may have paid, and comes back: it is asked after, and lapsed when it lapsed if he has not.
    for s in [2700, 799 + 2 * DAY] {
        assert!(take(s).await);
        assert_eq!(held().await, (InvoiceState::Open, None));
        store.fail_attempt(way.id, "not paid", at(s + 1)).await.unwrap();
        assert_eq!(held().await, (InvoiceState::Expired, Some(at(2601))));
    }
    assert!(!take(800 + 2 * DAY).await, "an address of long ago asks nothing");
    // What is paid behind that is paid then.
    assert!(take(9000).await);
    store.book_attempt(way.id, verified(5000), at(9001)).await.unwrap();
    assert_eq!(held().await, (InvoiceState::Paid, Some(at(9001))));
    in_order(&store).await;
}

pub(crate) async fn s5_3_a_question_that_takes_is_noted_until_it_is_answered(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    // Two ways, and the first one turns out to be paid.
    let nth = std::cell::Cell::new(0);
    let two = async || {
        nth.set(nth.get() + 1);
        let (n, factor) = (nth.get(), format!("F{}", nth.get()));
        let invoice = made(&store, wanted(merchant, &factor, 5000, n), 0).await;
        let first = began(&store, &invoice, &format!("{factor}a"), 1).await;
        store.fail_attempt(first.id, "left", at(2)).await.unwrap();
        (first.id, began(&store, &invoice, &format!("{factor}b"), 3).await.id)
    };
    let book = async |id| store.book_attempt(id, verified(5000), at(500)).await.unwrap();
    let ask = async |id, s| store.ask_attempt(id, true, at(s)).await.unwrap();
    let deny = async |id, asked: &_, s| store.deny_attempt(id, asked, "no", at(s)).await.unwrap();
    let spare = async |id| store.ask_attempt(id, true, at(501)).await.unwrap().spare;
    // It was never asked, or said that it has nothing: it may be left.
    let (first, second) = two().await;
    book(first).await;
    assert!(spare(second).await);
    let (first, second) = two().await;
    let asked = ask(second, 10).await;
    assert!(!asked.spare);
    deny(second, &asked, 11).await;
    book(first).await;
    assert!(spare(second).await);
    // Where to ask is not to take there is nothing to note.
    let (first, second) = two().await;
    store.ask_attempt(second, false, at(10)).await.unwrap();
    book(first).await;
    assert!(spare(second).await);
    // Its answer was lost: it is asked, until it has said that it has nothing.
    let (first, second) = two().await;
    ask(second, 10).await;
    store.delay_attempt(second, "no answer", at(11)).await.unwrap();
    book(first).await;
    assert!(!spare(second).await);
    let asked = ask(second, 600).await;
    deny(second, &asked, 601).await;
    assert!(spare(second).await);
    // Two questions on their way: what one of them was told says nothing of the other.
    let (first, second) = two().await;
    let (one, other) = (ask(second, 10).await, ask(second, 10).await);
    deny(second, &one, 11).await;
    deny(second, &other, 12).await;
    book(first).await;
    assert!(!spare(second).await);
    in_order(&store).await;
}

pub(crate) async fn s5_3_a_refund_of_which_nothing_is_known_is_told_of_once_an_hour(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0").await;
    let invoice = paid(&store, wanted(merchant, "F1", 5000, 1), 0).await;
    store.begin_refund(invoice.id, 1, at(100)).await.unwrap();
    let (mut hours, mut tries) = (0, 0);
    for s in (100..100 + 3 * 3600).step_by(60) {
        for round in store.refunds_due(1, at(s)).await.unwrap() {
            let another = store.delay_refund((round.invoice.id, 1), "HTTP 500", at(s)).await;
            (hours, tries) = (hours + u32::from(another.unwrap()), tries + 1);
        }
    }
    assert!(hours == 3 && tries > 30, "{hours} of {tries}");
    in_order(&store).await;
}

pub(crate) async fn nothing_that_pays_or_sends_is_in_what_programs_write_down(
    store: Store,
    _: String,
) {
    fill(&store, "0").await;
    let file = r#"
        [[payment_gateways]]
        name = "abroad"
        kind = "stripe"
        secret = "sk_live_1"
        hook_secret = "whsec_1"
        account = "acct_1"
        currency = "EUR"
        url = "https://gate.example/?key=pass"
        [sms]
        url = "https://sms.example/?key=k1&to={to}&text={text}"
        headers = { "X-Key" = "k2" }
        body = "k3"
        sender = "3000"
        "#;
    assert_eq!(store.apply(&from_toml(file), at(1), false).await.unwrap().mistakes, []);
    let written = format!(
        "{:?} {:?}",
        store.payment_gateways().await.unwrap(),
        store.sms_gateway().await.unwrap()
    );
    for secret in ["sk_live", "whsec", "acct_1", "pass", "k1", "k2", "k3"] {
        assert!(!written.contains(secret), "{secret}: {written}");
    }
    assert!(written.contains("abroad") && written.contains("3000"));
}
