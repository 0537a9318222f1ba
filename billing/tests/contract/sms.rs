//! Short messages: what they cost, receipts, and what comes in (merchant API §4.1 of system 000, §5.3, §5.5).

use std::time::Duration;

use billing::desired::Act;
use billing::rows::{Attempt, Payload};
use billing::sms::{
    Account, InboundState, Line, NewInbound, PartState, Replies, Sale, Sms, SmsSent, SmsState, Sold,
};
use billing::{After, Lease, Once, Report, Store, StoreConfig, Writer};
use facts::sms::{Arrived, Delivery, Purpose, Receipt};
use facts::ussd::Language;
use facts::{MerchantId, Micros, Number, UnixMillis};

use crate::support::*;

const MOBILE: &str = "8613800138000";

const WORDS: Replies = Replies {
    made: "{merchant} made {account} {password}",
    pending: "{merchant} pending {account} {password}",
    again: "{merchant} again {account} {password}",
    known: "{merchant} known {account}",
    approved: "approved {account}",
};

pub(crate) fn words(_: Language) -> &'static Replies {
    &WORDS
}

fn line(number: &str, en: &str, fa: &str) -> Line {
    Line {
        number: number.into(),
        kind: "service".into(),
        price_en: micros(en),
        price_fa: micros(fa),
    }
}

pub(crate) fn sale(merchant: MerchantId, to: &[&str], text: &str) -> Sale {
    let recipients = to.iter().map(|to| (*to).to_owned()).collect();
    let (line, text) = (line("3000", "0.10", "0.25"), text.into());
    Sale { merchant, line, recipients, text, life: billing::sms::DAY }
}

pub(crate) async fn sold(store: &Store, sale: Sale, s: u64) -> Sold {
    store.sell_sms(Once::fresh().unwrap(), sale, at(s)).await.unwrap()
}

/// As the worker does.
async fn taken(store: &Store, now: UnixMillis, limit: u32) -> Vec<Sms> {
    store.lapse_sms(now).await.unwrap();
    store.take_sms(now, limit).await.unwrap()
}

async fn balance(store: &Store, merchant: MerchantId) -> Micros {
    audited(store).await;
    store.balance(merchant).await.unwrap().posted
}

async fn audited(store: &Store) {
    let audit = store.check_books().await.unwrap();
    assert_eq!(audit.findings, [""; 0]);
}

async fn all(store: &Store) -> Vec<Sms> {
    store.sms(billing::sms::SmsAsked::page(0, 100)).await.unwrap()
}

pub(crate) async fn s5_5_a_message_is_paid_with_its_row_and_given_back_when_nobody_takes_it(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1.00").await;
    // Two messages of two parts of 7 bit; a repeat whose answer was lost sells nothing more.
    let once = Once::fresh().unwrap();
    let text = "a".repeat(161);
    let two = sale(merchant, &["8613800138000", "8613800138001"], &text);
    let first = store.sell_sms(once.clone(), two.clone(), at(1)).await.unwrap();
    assert_eq!(store.sell_sms(once, two, at(2)).await.unwrap(), first);
    assert_eq!(balance(&store, merchant).await, micros("0.60"));
    // One part of others.
    let Sold::Now(ids) = sold(&store, sale(merchant, &[MOBILE], "سلام"), 3).await else {
        panic!()
    };
    assert_eq!(balance(&store, merchant).await, micros("0.35"));
    let rows = all(&store).await;
    let told = |row: &Sms| (row.sender.clone(), row.parts, row.price, row.state);
    let one = ("3000".to_owned(), 2, micros("0.20"), SmsState::Pending);
    assert_eq!(
        rows.iter().map(told).collect::<Vec<_>>(),
        [one.clone(), one, ("3000".to_owned(), 1, micros("0.25"), SmsState::Pending)]
    );
    // All or nothing: 0.40 is asked for, 0.35 is there.
    let many = sale(merchant, &["8613800138000", "8613800138001"], &text);
    assert_eq!(sold(&store, many, 4).await, Sold::Poor);
    assert_eq!((balance(&store, merchant).await, all(&store).await.len()), (micros("0.35"), 3));
    // What no way takes is given back, once.
    let taken = store.take_sms(at(5), 10).await.unwrap();
    let last = taken.iter().find(|sms| sms.id == ids[0]).unwrap();
    for _ in 0..2 {
        let refused = SmsSent::Refused("no such number".into());
        store.note_sms((last.id, last.lease), refused, at(6)).await.unwrap();
    }
    assert_eq!(balance(&store, merchant).await, micros("0.60"));
    let row = all(&store).await.pop().unwrap();
    assert_eq!((row.state, row.price), (SmsState::Failed, Micros::ZERO));
    // What is taken stays paid.
    let lease = (taken[0].id, taken[0].lease);
    store.note_sms(lease, SmsSent::Taken("http".into(), vec![]), at(6)).await.unwrap();
    assert_eq!(balance(&store, merchant).await, micros("0.60"));
}

pub(crate) async fn s5_5_of_many_at_once_as_many_are_sold_as_can_be_paid_for(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "0.35").await;
    let sells = (0..8).map(|_| {
        let (store, sale) = (store.clone(), sale(merchant, &[MOBILE], "hello"));
        tokio::spawn(async move { sold(&store, sale, 1).await })
    });
    let mut done = 0;
    for sell in sells.collect::<Vec<_>>() {
        done += u32::from(matches!(sell.await.unwrap(), Sold::Now(_)));
    }
    assert_eq!((done, all(&store).await.len()), (3, 3));
    assert_eq!(balance(&store, merchant).await, micros("0.05"));
    // Whoever is stopped sends nothing; nobody knows a merchant that is none.
    let mut desired = basics("0");
    desired.merchants.truncate(1);
    desired.merchants[0].status = billing::rows::MerchantStatus::Frozen;
    desired.sub_accounts.clear();
    desired.extensions.clear();
    store.apply(&desired, at(2), false).await.unwrap();
    assert_eq!(sold(&store, sale(merchant, &[MOBILE], "hello"), 3).await, Sold::Gone);
    assert_eq!(sold(&store, sale(MerchantId(999), &[MOBILE], "hello"), 3).await, Sold::Gone);
}

fn receipt(link: &str, reference: &str, delivery: Delivery) -> Receipt {
    let word = if delivery == Delivery::Delivered { "DELIVRD" } else { "EXPIRED" };
    Receipt { link: link.into(), reference: reference.into(), delivery, word: word.into() }
}

pub(crate) async fn a_receipt_is_of_its_part_whichever_comes_first(store: Store, _: String) {
    let merchant = fill(&store, "1").await;
    sold(&store, sale(merchant, &["8613800138000", "8613800138001"], "hello"), 1).await;
    let taken = store.take_sms(at(2), 10).await.unwrap();
    let tell = async |reference: &str, delivery: Delivery, s: u64| {
        store.sms_receipt(receipt("mci", reference, delivery), at(s)).await.unwrap()
    };
    let state = async |nth: usize| all(&store).await[nth].state;
    // One that is faster than we note what was taken.
    assert!(tell("b", Delivery::Delivered, 3).await);
    let parts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let way = || "smpp:mci".to_owned();
    let note = async |nth: usize, names: &[&str]| {
        let of = (taken[nth].id, taken[nth].lease);
        store.note_sms(of, SmsSent::Taken(way(), parts(names)), at(4)).await.unwrap();
    };
    note(0, &["a", "b"]).await;
    note(1, &["c", ""]).await;
    assert_eq!((state(0).await, state(1).await), (SmsState::Sent, SmsState::Sent));
    assert!(tell("a", Delivery::Delivered, 5).await);
    assert!(!tell("a", Delivery::Delivered, 6).await, "again");
    assert!(!tell("a", Delivery::Undelivered, 6).await, "a phone that has it has it");
    assert_eq!(state(0).await, SmsState::Delivered);
    assert!(tell("c", Delivery::Undelivered, 7).await);
    assert_eq!(state(1).await, SmsState::Undelivered);
    assert!(tell("c", Delivery::Delivered, 8).await, "it was found after all");
    assert_eq!(state(1).await, SmsState::Delivered);
    // Another line calls its parts the same.
    assert!(
        store.sms_receipt(receipt("irancell", "a", Delivery::Undelivered), at(9)).await.unwrap()
    );
    assert_eq!(state(0).await, SmsState::Delivered);
    let rows = all(&store).await;
    let listed = store.sms_parts((rows[0].id, rows[1].id)).await.unwrap();
    let told = |part: &billing::sms::Part| (part.reference.clone(), part.state, part.word.clone());
    let one = |name: &str| (name.to_owned(), PartState::Delivered, "DELIVRD".to_owned());
    assert_eq!(listed.iter().map(told).collect::<Vec<_>>(), [one("a"), one("b"), one("c")]);
    assert_eq!((rows[0].way.as_str(), rows[0].text.as_str()), ("smpp:mci", ""));
    // The network begins anew: the name is another message's.
    sold(&store, sale(merchant, &[MOBILE], "hello"), 10).await;
    let third = store.take_sms(at(11), 10).await.unwrap().remove(0);
    let again = SmsSent::Taken(way(), parts(&["a"]));
    store.note_sms((third.id, third.lease), again, at(12)).await.unwrap();
    assert_eq!(state(2).await, SmsState::Sent);
    // All of it is forgotten after ninety days.
    store.purge(at(91 * 86_400)).await.unwrap();
    assert!(all(&store).await.is_empty());
    assert!(store.sms_parts((0, i64::MAX)).await.unwrap().is_empty());
}

pub(crate) async fn receipts_of_two_parts_at_once_are_both_counted(store: Store, _: String) {
    let merchant = fill(&store, "10").await;
    for nth in 0..12 {
        sold(&store, sale(merchant, &[MOBILE], "hello"), 1).await;
        let sms = store.take_sms(at(2), 10).await.unwrap().remove(0);
        let names = [format!("a{nth}"), format!("b{nth}")];
        let taken = SmsSent::Taken("smpp:mci".into(), names.to_vec());
        store.note_sms((sms.id, sms.lease), taken, at(3)).await.unwrap();
        let [one, two] = names.map(|name| {
            let store = store.clone();
            let came = receipt("mci", &name, Delivery::Delivered);
            tokio::spawn(async move { store.sms_receipt(came, at(4)).await.unwrap() })
        });
        assert!(one.await.unwrap() && two.await.unwrap());
    }
    let rows = all(&store).await;
    assert!(rows.iter().all(|sms| sms.state == SmsState::Delivered), "{rows:?}");
}

pub(crate) async fn s5_5_what_nobody_wants_any_more_is_given_up_and_not_paid(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1").await;
    let code = Sale {
        life: Duration::from_secs(600),
        ..sale(merchant, &["8613800138000"], "code 123456")
    };
    sold(&store, code, 0).await;
    sold(&store, sale(merchant, &["8613800138001"], "hello"), 0).await;
    assert_eq!(balance(&store, merchant).await, micros("0.80"));
    let mut s = 0;
    // All night no way leads there: nobody was asked, and nothing is lost.
    while s < 86_399 {
        for sms in taken(&store, at(s), 10).await {
            assert!((sms.tries, s < 600) == (0, true) || sms.text == "hello", "{sms:?} at {s}");
            store.note_sms((sms.id, sms.lease), SmsSent::Away, at(s)).await.unwrap();
        }
        s += if s < 660 { 60 } else { 21_600 };
    }
    let rows = all(&store).await;
    assert_eq!((rows[0].state, rows[0].text.as_str()), (SmsState::Failed, ""));
    assert_eq!((rows[1].state, rows[1].tries), (SmsState::Pending, 0));
    assert_eq!(balance(&store, merchant).await, micros("0.90"), "the code is not paid");
    assert!(taken(&store, at(86_400), 10).await.is_empty());
    assert_eq!(balance(&store, merchant).await, micros("1"));
    // A gateway that is away is asked less and less often, and never given up before the day is over.
    sold(&store, sale(merchant, &[MOBILE], "hello"), 100_000).await;
    let mut tries = 0;
    for s in (100_000..186_400).step_by(600) {
        for sms in taken(&store, at(s), 10).await {
            tries += 1;
            let later = SmsSent::Later("HTTP 503".into());
            store.note_sms((sms.id, sms.lease), later, at(s)).await.unwrap();
        }
    }
    assert!((70..150).contains(&tries), "{tries}");
    taken(&store, at(186_400), 10).await;
    let last = all(&store).await.pop().unwrap();
    assert_eq!((last.state, last.said.as_str()), (SmsState::Failed, "HTTP 503"));
    assert_eq!(balance(&store, merchant).await, micros("1"));
}

pub(crate) async fn s5_5_a_code_does_not_stand_behind_mail_to_a_whole_town(
    store: Store,
    _: String,
) {
    let merchant = fill(&store, "1").await;
    let free = Line { price_en: Micros::ZERO, ..sale(merchant, &[], "").line };
    let mail = async |many: usize, s: u64| {
        let recipients = (0..many).map(|nth| format!("86138{s:03}{nth:05}")).collect();
        let line = free.clone();
        sold(&store, Sale { line, recipients, ..sale(merchant, &[], "hello") }, s).await
    };
    let Sold::Now(ids) = mail(9_999, 1).await else { panic!() };
    assert_eq!(ids.len(), 9_999);
    let code = Sale { life: Duration::from_secs(600), ..sale(merchant, &[MOBILE], "code 123456") };
    let Sold::Now(code) = sold(&store, code, 2).await else { panic!() };
    let first = store.take_sms(at(3), 1).await.unwrap();
    assert_eq!(first.iter().map(|sms| sms.id).collect::<Vec<_>>(), code);
    // So many of one merchant wait, and none beyond.
    assert_eq!(mail(1, 4).await, Sold::Full);
    // A code is tried near its end too, however often it was before.
    let mut tries = Vec::new();
    store
        .note_sms((first[0].id, first[0].lease), SmsSent::Later("busy".into()), at(3))
        .await
        .unwrap();
    for s in (5..602).step_by(5) {
        for sms in store.take_sms(at(s), 1).await.unwrap() {
            if sms.id == code[0] {
                tries.push(s);
            }
            store
                .note_sms((sms.id, sms.lease), SmsSent::Later("busy".into()), at(s))
                .await
                .unwrap();
        }
    }
    assert!(tries.len() < 15 && tries.last().is_some_and(|last| *last > 520), "{tries:?}");
    // Where nothing is sent at all, what is over is given up all the same, and paid back.
    assert_eq!(balance(&store, merchant).await, micros("0.90"));
    store.lapse_sms(at(602)).await.unwrap();
    assert_eq!(balance(&store, merchant).await, micros("1"));
}

pub(crate) async fn s4_1_whoever_signs_up_with_a_sandbox_is_sent_nothing(store: Store, _: String) {
    fill(&store, "1").await;
    let file = r#"
        [[tariffs]]
        name = "play"
        currency = "XTS"
        rates = []
        [[merchants]]
        name = "sand"
        currency = "XTS"
        sandbox = true
        tariff = "play"
        [[sms_keywords]]
        number = "3000"
        keyword = "REG"
        merchant = "sand"
        purpose = "signup"
        "#;
    assert_eq!(store.apply(&from_toml(file), at(1), false).await.unwrap().mistakes, []);
    assert!(write(&store, "1", MOBILE, "REG", 10).await);
    let inbound = store.sms_inbound(None, 0, 10).await.unwrap().remove(0);
    store.approve_sms(inbound.id, words, at(11)).await.unwrap().unwrap();
    let rows = all(&store).await;
    assert_eq!(rows.len(), 2);
    for sms in rows {
        let stands = (sms.state, sms.way.as_str(), sms.text.as_str());
        assert_eq!(stands, (SmsState::Sent, "sandbox", ""));
    }
    assert!(store.take_sms(at(12), 10).await.unwrap().is_empty());
}

pub(crate) async fn what_a_message_says_is_forgotten_once_nobody_sends_it(store: Store, _: String) {
    let merchant = fill(&store, "1").await;
    sold(&store, sale(merchant, &["8613800138000", "8613800138001"], "code 123456"), 1).await;
    let taken = store.take_sms(at(2), 10).await.unwrap();
    assert!(taken.iter().all(|sms| sms.text == "code 123456"));
    let of = |nth: usize| (taken[nth].id, taken[nth].lease);
    store.note_sms(of(0), SmsSent::Later("busy".into()), at(3)).await.unwrap();
    store.note_sms(of(1), SmsSent::Refused("never".into()), at(3)).await.unwrap();
    let texts: Vec<_> = all(&store).await.into_iter().map(|sms| sms.text).collect();
    assert_eq!(texts, ["code 123456", ""]);
    let again = store.take_sms(at(60), 10).await.unwrap().remove(0);
    let done = SmsSent::Taken("phone".into(), vec![]);
    store.note_sms((again.id, again.lease), done, at(61)).await.unwrap();
    assert!(all(&store).await.iter().all(|sms| sms.text.is_empty()));
}

/// A merchant with numbers to be written to.
async fn written_to(store: &Store, approved: bool) -> MerchantId {
    let merchant = fill(store, "1").await;
    let file = format!(
        r#"
        [[sms_keywords]]
        number = "3000"
        keyword = "REG"
        merchant = "test"
        purpose = "signup"
        approved = {approved}
        language = "en"
        [[sms_keywords]]
        number = "3000"
        merchant = "other"
        [[sms_keywords]]
        number = "3000"
        keyword = "رای"
        merchant = "test"
        "#
    );
    let changes = store.apply(&from_toml(&file), at(1), false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    merchant
}

async fn write(store: &Store, once: &str, from: &str, text: &str, s: u64) -> bool {
    let arrived = Arrived {
        link: "mci".into(),
        once: once.into(),
        from: from.into(),
        to: "3000".into(),
        text: text.into(),
    };
    let new = NewInbound { arrived, public: true, words };
    store.sms_arrived(new, at(s)).await.unwrap()
}

pub(crate) async fn s4_1_who_signs_up_by_text_has_an_account_once_and_its_password_by_answer(
    store: Store,
    _: String,
) {
    let merchant = written_to(&store, false).await;
    assert!(write(&store, "1", MOBILE, " reg 张三 ", 10).await);
    assert!(!write(&store, "1", MOBILE, " reg 张三 ", 11).await, "the line brings it again");
    let inbound = store.sms_inbound(Some(merchant), 0, 10).await.unwrap();
    let account = inbound[0].account.clone().unwrap();
    assert_eq!((inbound.len(), inbound[0].state), (1, Some(InboundState::Pending)));
    let sms = all(&store).await.pop().unwrap();
    assert_eq!((sms.recipient.as_str(), sms.sender.as_str()), (MOBILE, "3000"));
    let password = sms.text.strip_prefix(&format!("test pending {account} ")).unwrap().to_owned();
    assert_eq!(password.len(), 12, "{}", sms.text);
    // Nothing can be done with it yet.
    let extension = async || store.snapshot().await.unwrap().extensions[&account].clone();
    let before = extension().await;
    assert!(!before.enabled);
    assert_eq!(before.bound_phone.as_deref(), Some(MOBILE));
    let done = store.approve_sms(inbound[0].id, words, at(12)).await.unwrap().unwrap();
    assert_eq!(done.state, Some(InboundState::Approved));
    assert!(store.approve_sms(inbound[0].id, words, at(13)).await.unwrap().is_some());
    assert!(extension().await.enabled);
    assert!(store.approve_sms(999, words, at(13)).await.unwrap().is_none());
    let texts = async || all(&store).await.into_iter().map(|sms| sms.text).collect::<Vec<_>>();
    assert_eq!(texts().await[1..], [format!("approved {account}")]);
    // Again: the same account, told again; then no more for a day.
    for nth in 2..=5 {
        assert!(write(&store, &nth.to_string(), MOBILE, "REG", 20 + nth).await);
    }
    let again = format!("test again {account} {password}");
    assert_eq!(texts().await[2..], [again.clone(), again]);
    let states: Vec<_> = store
        .sms_inbound(Some(merchant), 0, 10)
        .await
        .unwrap()
        .iter()
        .map(|row| row.state)
        .collect();
    let (again, refused) = (Some(InboundState::Again), Some(InboundState::Refused));
    assert_eq!(states[1..], [again, again, refused, refused]);
    // Somebody else has one of his own. The merchant heard of all of them.
    assert!(write(&store, "6", "8613800138001", "REG", 30).await);
    let events = store.events(merchant, 0, 100).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|row| match &row.payload {
            Payload::Text(text) => (text.purpose, text.account.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told.len(), 6);
    assert_eq!(told[0], (Purpose::Signup, Some(account.clone())));
    assert_eq!(told[3], (Purpose::Signup, None), "too often");
    assert!(told[5].1.is_some() && told[5].1.as_ref() != Some(&account));
    audited(&store).await;
}

pub(crate) async fn s4_1_of_sign_ups_that_come_at_one_time_three_are_answered(
    store: Store,
    url: String,
) {
    let merchant = written_to(&store, false).await;
    let other = Store::open(&url, StoreConfig::default()).await.unwrap();
    let mut come = Vec::new();
    for nth in 0..10_u64 {
        let store = if nth % 2 == 0 { store.clone() } else { other.clone() };
        come.push(tokio::spawn(
            async move { write(&store, &nth.to_string(), MOBILE, "REG", 10).await },
        ));
    }
    for one in come {
        assert!(one.await.unwrap());
    }
    let states = store.sms_inbound(Some(merchant), 0, 99).await.unwrap();
    let refused = states.iter().filter(|row| row.state == Some(InboundState::Refused)).count();
    assert_eq!((states.len(), refused, all(&store).await.len()), (10, 7, 3));
    other.close().await;
    audited(&store).await;
}

pub(crate) async fn what_is_written_belongs_to_whose_keyword_it_bears(store: Store, _: String) {
    let merchant = written_to(&store, true).await;
    assert!(store.snapshot().await.unwrap().texts.contains("3000"));
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    for (nth, text) in ["رای ۲", "hello there", "REGISTER"].into_iter().enumerate() {
        assert!(write(&store, &nth.to_string(), MOBILE, text, 10).await);
    }
    let elsewhere = Arrived {
        link: "mci".into(),
        once: "x".into(),
        from: MOBILE.into(),
        to: "4000".into(),
        text: "hello".into(),
    };
    let new = NewInbound { arrived: elsewhere, public: true, words };
    assert!(store.sms_arrived(new, at(11)).await.unwrap());
    let rows = store.sms_inbound(None, 0, 10).await.unwrap();
    let whose: Vec<_> = rows.iter().map(|row| (row.merchant, row.keyword.as_str())).collect();
    assert_eq!(whose, [(Some(merchant), "رای"), (Some(other), ""), (Some(other), ""), (None, "")]);
    let events = store.events(merchant, 0, 100).await.unwrap();
    let Payload::Text(text) = &events[0].payload else { panic!() };
    assert_eq!((text.text.as_str(), text.purpose, events.len()), ("۲", Purpose::Forward, 1));
    assert_eq!(store.events(other, 0, 100).await.unwrap().len(), 2);
    assert!(all(&store).await.is_empty(), "nobody is answered who does not sign up");
    // Where nobody has to approve it, it works at once; who writes by another number than a telephone's has none.
    assert!(write(&store, "r", MOBILE, "reg", 12).await);
    let row = store.sms_inbound(Some(merchant), 0, 10).await.unwrap().pop().unwrap();
    assert_eq!(row.state, Some(InboundState::Approved));
    let made = store.snapshot().await.unwrap().extensions[row.account.as_ref().unwrap()].clone();
    assert!(made.enabled && all(&store).await[0].text.starts_with("test made "));
    let own = Arrived {
        link: String::new(),
        once: "own".into(),
        from: "80001".into(),
        to: "3000".into(),
        text: "reg".into(),
    };
    assert!(
        store.sms_arrived(NewInbound { arrived: own, public: false, words }, at(13)).await.unwrap()
    );
    assert_eq!(all(&store).await.len(), 1);
    store.purge(at(91 * 86_400)).await.unwrap();
    assert!(store.sms_inbound(None, 0, 10).await.unwrap().is_empty());
}

pub(crate) async fn s5_3_what_the_page_answers_is_sent_once_where_its_code_says_so(
    store: Store,
    _: String,
) {
    use billing::payments::NewInvoice;

    use super::payments::{began, fill, made, verified};
    const PAID: &str = "paid, 123456789012";
    let merchant = fill(&store, "0").await;
    for (nth, on) in [(1_u64, false), (2, true)] {
        let file = format!(
            "[[ussd_codes]]\ncode = \"*6655*123#\"\nmerchant = \"test\"\n\
             page = \"http://shop.example/p.php\"\nsms_receipt = {on}"
        );
        assert_eq!(store.apply(&from_toml(&file), at(nth), false).await.unwrap().mistakes, []);
        let new = NewInvoice {
            merchant,
            code: "*6655*123#".into(),
            page: "http://shop.example/p.php".into(),
            language: Language::Fa,
            session: facts::CallId(nth),
            step: 1,
            subscriber: "989123456789".into(),
            mobile: "09123456789".into(),
            call: "*6655*123".into(),
            factor: format!("F{nth}"),
            rials: 5_000,
            trial: false,
            token: format!("t{nth}"),
            text: "link".into(),
        };
        let invoice = made(&store, new, 10 * nth).await;
        let attempt = began(&store, &invoice, &format!("r{nth}"), 10 * nth + 1).await;
        store.book_attempt(attempt.id, verified(5_000), at(10 * nth + 2)).await.unwrap();
        // The visit fails, then is taken; it is told again by hand, and taken again.
        let mut s = 10 * nth + 3;
        for (after, answer) in [
            (After::Retry(at(s)), "try later"),
            (After::Done, "\u{feff}ثبت شد [END]\r\n"),
            (After::Done, "ثبت شد دوباره"),
        ] {
            let writer: Writer = std::sync::Arc::new(|_, _| Ok(b"GET".to_vec()));
            let lease = Lease { now: at(s), limit: 9, lease_for: Duration::from_secs(60), writer };
            let leased = store.outbox_turn(vec![].into(), Some(lease)).await.unwrap();
            let row = &leased[0].row;
            let attempt = Attempt {
                at: at(s),
                request: "GET".into(),
                status: Some(200),
                answer: answer.as_bytes().to_vec(),
                latency_ms: 1,
            };
            let report = Report {
                id: row.id,
                lease: row.lease,
                after,
                attempt: Some(attempt),
                webhook: None,
            };
            store.outbox_turn(vec![report].into(), None).await.unwrap();
            store.redeliver(row.id, at(s + 1)).await.unwrap();
            s += 2;
        }
        let texts: Vec<_> = all(&store).await.into_iter().map(|sms| sms.text).collect();
        let wanted: &[&str] = match on {
            false => &["link", PAID],
            true => &["link", PAID, "link", PAID, "ثبت شد"],
        };
        assert_eq!(texts, wanted);
    }
}

pub(crate) async fn s5_5_who_sends_and_what_comes_in_stand_in_the_file(store: Store, _: String) {
    fill(&store, "0").await;
    let file = r#"
        prune = true
        [[smpp_links]]
        name = "mci"
        host = "smsc.example"
        system_id = "tandem"
        [sms]
        ways = ["phone", "smpp:mci", "http"]
        url = "https://sms.example/send?to={to}&text={text}"
        reference = "/id"
        bad_words = ["casino"]
        [[sms_accounts]]
        username = "shop"
        merchant = "test"
        password = "secret"
        token = "0123456789abcdef"
        company = "Acme"
        lines = [{ number = "3000", price_en = "0.10", price_fa = "0.20" }, { number = "Acme" }]
        [[sms_accounts]]
        username = "bare"
        merchant = "test"
        token = "fedcba9876543210"
        lines = [{ number = "3001" }]
        [[sms_keywords]]
        number = "+86 138 0013 8000"
        keyword = "Reg"
        merchant = "test"
        [[sms_hooks]]
        name = "gate"
        secret = "0123456789abcdef"
        fields = { from = "sender" }
        "#;
    let apply = async |text: &str| store.apply(&from_toml(text), at(1), false).await.unwrap();
    let changes = apply(file).await;
    assert_eq!((changes.mistakes.clone(), changes.count(Act::Created)), (vec![], 6));
    assert_eq!(apply(file).await.count(Act::Unchanged), 6);
    let gateway = store.sms_gateway().await.unwrap().unwrap();
    assert_eq!(gateway.ways, ["phone", "smpp:mci", "http"]);
    assert_eq!((gateway.reference.as_str(), gateway.bad_words), ("/id", vec!["casino".to_owned()]));
    let by_token = store.sms_account_by_token("0123456789abcdef").await.unwrap().unwrap();
    let Account { lines, company, password, .. } = by_token.clone();
    assert_eq!((lines[0].price_fa, lines[1].price_en), (micros("0.20"), Micros::ZERO));
    assert!(company == "Acme" && !password.contains("secret"));
    assert_eq!(store.sms_account("shop").await.unwrap().unwrap(), by_token);
    assert_eq!(store.sms_account_by_token("0123456789abcdeF").await.unwrap(), None);
    assert_eq!(store.sms_account("bare").await.unwrap().unwrap().password, "");
    let number = Number::E164("8613800138000".into());
    assert!(store.snapshot().await.unwrap().texts.contains(number.digits()));
    let hook = store.sms_hook("gate", "0123456789abcdef").await.unwrap().unwrap();
    assert_eq!((hook.from.as_str(), hook.text.as_str()), ("sender", "text"));
    assert_eq!(store.sms_hook("gate", "0123456789abcdeF").await.unwrap(), None);
    assert_eq!(store.sms_hook("none", "0123456789abcdef").await.unwrap(), None);
    // Without its secrets it keeps them; what is not named any more goes.
    let less = r#"
        prune = true
        [sms]
        ways = ["phone"]
        [[sms_accounts]]
        username = "shop"
        merchant = "test"
        lines = [{ number = "3000" }]
        "#;
    assert_eq!(apply(less).await.mistakes, []);
    assert!(store.sms_account_by_token("0123456789abcdef").await.unwrap().is_some());
    assert!(store.sms_account("bare").await.unwrap().is_none());
    let wrong = r#"
        [sms]
        ways = ["smpp:none", "http", "http", "pigeon"]
        url = "https://sms.example/"
        reference = "id"
        [[sms_accounts]]
        username = "new"
        merchant = "test"
        token = "short"
        lines = []
        [[sms_keywords]]
        number = "Acme"
        keyword = "two words"
        merchant = "test"
        [[sms_hooks]]
        name = "a b"
        "#;
    let mut places: Vec<String> =
        apply(wrong).await.mistakes.into_iter().map(|mistake| mistake.path).collect();
    places.sort();
    places.dedup();
    assert_eq!(
        places,
        [
            "sms.reference",
            "sms.url",
            "sms.ways[0]",
            "sms.ways[2]",
            "sms.ways[3]",
            "sms_accounts[0].lines",
            "sms_accounts[0].token",
            "sms_hooks[0].name",
            "sms_hooks[0].secret",
            "sms_keywords[0].keyword",
            "sms_keywords[0].number",
        ]
    );
}
