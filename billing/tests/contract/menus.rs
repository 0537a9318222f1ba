//! Menus of system 003: codes, and what their sessions cost (spec §5.1, §5.2).

use std::time::Duration;

use billing::Store;
use billing::desired::{Act, UssdCode};
use billing::menus::Opened;
use facts::ussd::{Dialled, Door, End, Language, Over, Step};
use facts::{CallId, MerchantId, Micros};

use crate::support::*;

const CODE: &str = "*6655*123#";

fn codes(text: &str) -> Vec<UssdCode> {
    from_toml(text).ussd_codes
}

/// A merchant with this balance, whose code costs this for a session.
async fn filled(store: &Store, balance: &str, price: &str) -> MerchantId {
    let merchant = fill(store, balance).await;
    let mut desired = basics("0");
    desired.ussd_codes = codes(&format!(
        "[[ussd_codes]]\ncode = \"6655*123\"\nmerchant = \"test\"\n\
         page = \"https://m.example/index.php\"\nprice = \"{price}\""
    ));
    let changes = store.apply(&desired, at(1), false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    merchant
}

/// Ids of this process (number 3) and of another.
fn id(nth: u64) -> CallId {
    CallId((1000 << 22) | (3 << 12) | nth)
}

fn step(merchant: MerchantId, nth: u64, door: Door) -> Step {
    Step {
        session: id(nth),
        merchant,
        door,
        code: Dialled::code(CODE).unwrap(),
        mobile: "989123456789".into(),
        inputs: vec![],
        number: 1,
    }
}

fn over(nth: u64, end: End, steps: u32) -> Over {
    Over { session: id(nth), end, steps }
}

async fn balance(store: &Store, merchant: MerchantId) -> Micros {
    let balance = store.balance(merchant).await.unwrap();
    assert_eq!(balance.held, Micros::ZERO);
    let audit = store.check_books().await.unwrap();
    assert_eq!(audit.findings, [""; 0]);
    balance.posted
}

pub(crate) async fn s5_1_codes_are_applied_taken_away_and_in_the_snapshot(store: Store, _: String) {
    fill(&store, "0").await;
    let mut desired = basics("0");
    desired.ussd_codes = codes(
        r#"
        [[ussd_codes]]
        code = "*6655*123#"
        merchant = "test"
        page = "https://m.example/index.php?a=1"
        leading_star = false
        language = "en"
        price = "150.5"
        [[ussd_codes]]
        code = "700"
        merchant = "other"
        page = "http://m.example/"
        page_seconds = 15
        input_seconds = 600
        session_seconds = 1800
        "#,
    );
    let changes = store.apply(&desired, at(1), false).await.unwrap();
    assert_eq!((changes.mistakes.len(), changes.count(Act::Created)), (0, 2));
    let snapshot = store.snapshot().await.unwrap();
    let known = |code: &str| snapshot.ussd[&Dialled::code(code).unwrap()].clone();
    let first = known(CODE);
    assert_eq!((first.leading_star, first.language), (false, Language::En));
    assert_eq!(first.price, micros("150.5"));
    let s = Duration::from_secs;
    assert_eq!((first.page, first.input, first.session), (s(8), s(60), s(180)));
    let second = known("*700#");
    assert_eq!((second.leading_star, second.language), (true, Language::Fa));
    assert_eq!((second.page, second.input, second.session), (s(15), s(600), s(1800)));
    assert_ne!(first.merchant, second.merchant);
    // The same again changes nothing, however the code is written; another page does.
    desired.ussd_codes[0].code = "6655*123".into();
    let again = store.apply(&desired, at(2), false).await.unwrap();
    assert_eq!((again.mistakes.len(), again.count(Act::Unchanged)), (0, again.lines.len()));
    desired.ussd_codes[0].page = "https://m.example/other.php".into();
    let moved = store.apply(&desired, at(3), false).await.unwrap();
    let line = moved.lines.iter().find(|line| line.act == Act::Updated).unwrap();
    assert_eq!((line.kind, line.name.as_str()), ("ussd code", CODE));
    assert_eq!(
        line.fields,
        ["page: https://m.example/index.php?a=1 → https://m.example/other.php"]
    );
    let rows = store.ussd_codes(Some(second.merchant)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.code.as_str()).collect::<Vec<_>>(), ["*700#"]);
    let row = store.ussd_code(&first.code).await.unwrap().unwrap();
    assert_eq!(row.page, "https://m.example/other.php");
    // What the file no longer names goes.
    desired.ussd_codes.truncate(1);
    desired.prune = true;
    let gone = store.apply(&desired, at(4), false).await.unwrap();
    assert!(gone.lines.iter().any(|line| line.act == Act::Removed && line.name == "*700#"));
    assert_eq!(store.snapshot().await.unwrap().ussd.len(), 1);
    assert!(store.ussd_code(&second.code).await.unwrap().is_none());
}

pub(crate) async fn s5_1_every_mistake_of_a_code_is_told(store: Store, _: String) {
    filled(&store, "0", "1").await;
    let mut desired = basics("0");
    desired.ussd_codes = codes(
        r#"
        [[ussd_codes]]
        code = "*66 55#"
        merchant = "test"
        page = "ftp://m.example/"
        [[ussd_codes]]
        code = "6655*123"
        merchant = "other"
        page = "https://m.example/"
        price = "-1"
        [[ussd_codes]]
        code = "*6655*123#"
        merchant = "nobody"
        page = "m.example"
        page_seconds = 16
        input_seconds = 9
        session_seconds = 1801
        "#,
    );
    let changes = store.apply(&desired, at(2), false).await.unwrap();
    let mut told: Vec<_> = changes.mistakes.iter().map(|wrong| wrong.path.as_str()).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "ussd_codes[0].code",
            "ussd_codes[0].page",
            "ussd_codes[1].code",
            "ussd_codes[1].price",
            "ussd_codes[2].code",
            "ussd_codes[2].input_seconds",
            "ussd_codes[2].merchant",
            "ussd_codes[2].page",
            "ussd_codes[2].page_seconds",
            "ussd_codes[2].session_seconds",
        ]
    );
    let words = |path: &str| {
        let mut all = changes.mistakes.iter();
        all.find(|wrong| wrong.path == path).map(|wrong| wrong.message.as_str()).unwrap()
    };
    assert_eq!(words("ussd_codes[1].code"), "belongs to another merchant");
    assert_eq!(words("ussd_codes[2].code"), "*6655*123# is in the file twice");
}

pub(crate) async fn s5_2_a_session_costs_its_price_once_and_tries_cost_nothing(
    store: Store,
    _: String,
) {
    let merchant = filled(&store, "10", "0.75").await;
    let open = async |nth, door| store.open_menu(step(merchant, nth, door), at(10)).await.unwrap();
    assert_eq!(open(1, Door::Ims).await, Opened::Now);
    assert_eq!(balance(&store, merchant).await, micros("9.25"));
    // After a commit whose answer was lost the unit is run again.
    assert_eq!(open(1, Door::Ims).await, Opened::Now);
    assert_eq!(open(2, Door::Simulator).await, Opened::Now);
    assert_eq!(balance(&store, merchant).await, micros("9.25"));
    assert!(store.close_menu(over(1, End::Said, 3), None, at(20)).await.unwrap());
    assert!(!store.close_menu(over(1, End::Lost, 9), None, at(21)).await.unwrap(), "once");
    assert!(store.close_menu(over(2, End::Unavailable, 1), None, at(22)).await.unwrap());
    assert!(!store.close_menu(over(77, End::Said, 1), None, at(22)).await.unwrap());
    let listed = store.menus(merchant, 0, 10).await.unwrap();
    let told: Vec<_> =
        listed.iter().map(|one| (one.id, one.outcome, one.steps, one.price)).collect();
    assert_eq!(
        told,
        [
            (id(1), Some(End::Said), 3, micros("0.75")),
            (id(2), Some(End::Unavailable), 1, Micros::ZERO),
        ]
    );
    let first = &listed[0];
    assert_eq!((first.opened, first.ended, first.door), (at(10), Some(at(20)), Door::Ims));
    assert_eq!((first.code.as_str(), first.mobile.as_str()), (CODE, "989123456789"));
    assert_eq!(first.currency.code(), "CNY");
    let page = store.menus(merchant, id(1).as_i64(), 10).await.unwrap();
    assert_eq!(page.iter().map(|one| one.id).collect::<Vec<_>>(), [id(2)]);
    assert!(store.menus(MerchantId(99), 0, 10).await.unwrap().is_empty());
    // In the export the session is named, and what was dialled.
    let lines = store.ledger(Some(merchant), 0, 100).await.unwrap();
    let line = lines.iter().find(|line| line.kind == "menu").unwrap();
    assert_eq!((line.call, line.note.as_str(), line.amount), (Some(id(1)), CODE, micros("-0.75")));
    assert_eq!(balance(&store, merchant).await, micros("9.25"));
    // Ids of new processes begin above it.
    assert_eq!(store.last_call_id().await.unwrap(), Some(id(2)));
}

pub(crate) async fn s5_2_whoever_cannot_pay_is_told_so_before_the_page_is_asked(
    store: Store,
    _: String,
) {
    let merchant = filled(&store, "1", "0.75").await;
    let open = async |nth, door| store.open_menu(step(merchant, nth, door), at(10)).await.unwrap();
    assert_eq!(open(1, Door::Message).await, Opened::Now);
    assert_eq!(open(2, Door::Message).await, Opened::Unpaid);
    assert_eq!(open(2, Door::Message).await, Opened::Unpaid, "as the first time");
    assert_eq!(open(3, Door::Simulator).await, Opened::Now, "a try costs nothing");
    assert_eq!(balance(&store, merchant).await, micros("0.25"));
    let listed = store.menus(merchant, id(1).as_i64(), 1).await.unwrap();
    assert_eq!((listed[0].outcome, listed[0].ended), (Some(End::Unpaid), Some(at(10))));
    // A line of credit is money as well.
    let mut desired = basics("0");
    desired.merchants[0].credit = "0.5".into();
    store.apply(&desired, at(11), false).await.unwrap();
    assert_eq!(open(4, Door::Message).await, Opened::Now);
    assert_eq!(balance(&store, merchant).await, micros("-0.5"));
    // A code that is gone, or another's, and a merchant who is stopped.
    let other = store.merchant_by_name("other").await.unwrap().unwrap().id;
    let strange = store.open_menu(step(other, 5, Door::Ims), at(12)).await.unwrap();
    assert_eq!(strange, Opened::Gone);
    desired.merchants[0].status = billing::rows::MerchantStatus::Frozen;
    store.apply(&desired, at(13), false).await.unwrap();
    assert_eq!(open(6, Door::Simulator).await, Opened::Gone);
    assert_eq!(store.menus(merchant, id(4).as_i64(), 10).await.unwrap(), []);
}

pub(crate) async fn s5_2_of_many_at_once_as_many_are_opened_as_can_be_paid_for(
    store: Store,
    _: String,
) {
    let merchant = filled(&store, "3", "1").await;
    let tries = (1..=8).map(|nth| {
        let store = store.clone();
        tokio::spawn(async move {
            store.open_menu(step(merchant, nth, Door::Ims), at(10)).await.unwrap()
        })
    });
    let mut opened = 0;
    for one in tries.collect::<Vec<_>>() {
        opened += u32::from(one.await.unwrap() == Opened::Now);
    }
    assert_eq!((opened, balance(&store, merchant).await), (3, Micros::ZERO));
    let listed = store.menus(merchant, 0, 100).await.unwrap();
    let paid: Micros = listed.iter().map(|one| one.price).sum();
    assert_eq!((listed.len(), paid), (8, micros("3")));
}

pub(crate) async fn s5_2_what_nobody_was_told_is_given_back_and_what_a_process_left_is_lost(
    store: Store,
    _: String,
) {
    let merchant = filled(&store, "10", "1").await;
    for nth in 1..=4 {
        let opened = store.open_menu(step(merchant, nth, Door::Ims), at(10)).await.unwrap();
        assert_eq!(opened, Opened::Now);
    }
    let foreign =
        Step { session: CallId((1000 << 22) | (4 << 12)), ..step(merchant, 0, Door::Ims) };
    assert_eq!(store.open_menu(foreign.clone(), at(10)).await.unwrap(), Opened::Now);
    assert_eq!(balance(&store, merchant).await, micros("5"));
    // Its opening was not heard of: the page was not visited.
    let back = Some(merchant);
    assert!(store.close_menu(over(1, End::Unavailable, 1), back, at(11)).await.unwrap());
    assert!(!store.close_menu(over(1, End::Unavailable, 1), back, at(12)).await.unwrap(), "once");
    assert!(!store.close_menu(over(9, End::Unavailable, 1), back, at(12)).await.unwrap());
    assert_eq!(balance(&store, merchant).await, micros("6"));
    assert!(store.close_menu(over(2, End::Left, 2), None, at(13)).await.unwrap());
    // A crash: the next process of the same number ends what is open, and takes nothing back.
    assert_eq!(store.lose_menus(3, at(20)).await.unwrap(), 2);
    assert_eq!(store.lose_menus(3, at(21)).await.unwrap(), 0);
    assert_eq!(balance(&store, merchant).await, micros("6"));
    let listed = store.menus(merchant, 0, 100).await.unwrap();
    let told: Vec<_> = listed.iter().map(|one| (one.outcome, one.ended, one.price.0)).collect();
    let lost = (Some(End::Lost), Some(at(20)), 1_000_000);
    assert_eq!(
        told,
        [
            (Some(End::Unavailable), Some(at(11)), 0),
            (Some(End::Left), Some(at(13)), 1_000_000),
            lost,
            lost,
            (None, None, 1_000_000),
        ],
        "another process's goes on"
    );
}
