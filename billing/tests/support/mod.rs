//! What the suites share: a store with a merchant in it, calls to make, a throwaway PostgreSQL.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

pub(crate) mod postgres;

use std::time::Duration;

use billing::desired::{self, Desired};
use billing::{Once, SettleContext, Store};
use facts::ledger::{Authorize, Authorized, Extend, Extended, LegQuote};
use facts::record::{CallFacts, LegFacts, Outcome, Side};
use facts::{
    CallCommand, CallId, Dialect, LegId, LegNo, MerchantId, Micros, Number, Party, Push, PushKind,
    RequestKey, UnixMillis,
};

/// Where the tests' time begins.
pub(crate) const T0: UnixMillis = UnixMillis(1_763_700_000_000);

pub(crate) fn micros(text: &str) -> Micros {
    text.parse().expect("an amount")
}

/// Seconds after the beginning.
pub(crate) fn at(seconds: u64) -> UnixMillis {
    T0 + Duration::from_secs(seconds)
}

pub(crate) fn from_toml(text: &str) -> Desired {
    toml::from_str(text).expect("the test's own file")
}

/// A merchant `test` with this balance, priced 1.00 a minute at home, 2.00 elsewhere, 30/6 for 8610.
pub(crate) fn basics(balance: &str) -> Desired {
    let mut desired = from_toml(
        r#"
        [settings]
        realm = "sip.example"
        [[tariffs]]
        name = "standard"
        rates = [
          { prefix = "86", per_minute = "1.00" },
          { prefix = "8610", per_minute = "0.60", initial = 30, next = 6 },
          { prefix = "44", per_minute = "2.00", connect_fee = "0.10" },
        ]
        [[merchants]]
        name = "test"
        key = "awrlk45ghfg7"
        tariff = "standard"
        [[merchants]]
        name = "other"
        tariff = "standard"
        [[sub_accounts]]
        merchant = "test"
        name = "desk"
        [[sub_accounts]]
        merchant = "test"
        name = "gone"
        enabled = false
        [[extensions]]
        number = "70000"
        merchant = "test"
        sub_account = "desk"
        password = "secret"
        "#,
    );
    if balance != "0" {
        desired.top_ups.push(desired::TopUp {
            id: "first".into(),
            merchant: "test".into(),
            amount: balance.into(),
            note: String::new(),
        });
    }
    desired
}

/// Migrates and fills a store; returns the merchant.
pub(crate) async fn fill(store: &Store, balance: &str) -> MerchantId {
    store.migrate().await.expect("migrate");
    let changes = store.apply(&basics(balance), T0, false).await.expect("apply");
    assert_eq!(changes.mistakes, []);
    store.merchant_by_name("test").await.expect("merchant").expect("there").id
}

pub(crate) const HOME: &str = "8613800138000";
pub(crate) const HOME_B: &str = "8613900139000";
pub(crate) const BEIJING: &str = "861088888888";

pub(crate) fn party(digits: &str) -> Party {
    let number = if digits.len() <= 5 {
        Number::Internal(digits.into())
    } else {
        Number::E164(digits.into())
    };
    Party { number, as_sent: digits.into(), shown: None, ring: Duration::from_secs(60) }
}

/// A call from one number to another.
pub(crate) fn command(merchant: MerchantId, a: &str, b: &str) -> CallCommand {
    CallCommand {
        dialect: Dialect::Ytx,
        merchant,
        sub_account: None,
        app: "app1".into(),
        a: party(a),
        b: Some(party(b)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::No,
        key: None,
        pushes: vec![
            push(PushKind::State, "http://a.example/CallState"),
            push(PushKind::Record, "http://a.example/Call"),
        ],
        custom: "order 7".into(),
    }
}

pub(crate) fn push(kind: PushKind, endpoint: &str) -> Push {
    Push { kind, dialect: Dialect::Ytx, endpoint: endpoint.into(), context: "{}".into() }
}

pub(crate) fn key(key: &str, fingerprint: &str) -> RequestKey {
    RequestKey { dialect: Dialect::Ytx, key: key.into(), fingerprint: fingerprint.into() }
}

pub(crate) fn authorize(call: u64, command: &CallCommand, at: UnixMillis) -> Authorize {
    let legs = vec![
        LegQuote { leg: LegNo::A, number: command.a.number.clone() },
        LegQuote { leg: LegNo::B, number: command.b.as_ref().unwrap().number.clone() },
    ];
    Authorize { call: CallId(call), command: command.clone(), legs, caps: vec![], at }
}

/// Authorizes; panics unless it is granted.
pub(crate) async fn granted(store: &Store, call: u64, command: &CallCommand) -> Vec<Option<u64>> {
    match store.authorize(authorize(call, command, T0)).await.expect("authorize") {
        Authorized::Granted { paid } => {
            paid.iter().map(|paid| paid.until.map(|until| until.as_secs())).collect()
        }
        refused => panic!("{refused:?}"),
    }
}

pub(crate) fn extend(call: u64, leg: LegNo, step: u32) -> Extend {
    Extend { leg: LegId::new(CallId(call), leg), step, at: at(30) }
}

/// Extends as often as needed to talk for so long, as signalling would; false when the money ran out.
pub(crate) async fn pay_until(
    store: &Store,
    call: u64,
    leg: LegNo,
    mut paid: u64,
    talk: u64,
) -> bool {
    let mut step = 0;
    while paid < talk {
        step += 1;
        match store.extend(extend(call, leg, step)).await.expect("extend") {
            Extended::Paid(Some(until)) => paid = until.as_secs(),
            Extended::Paid(None) => return true,
            Extended::Exhausted => return false,
        }
    }
    true
}

/// A leg that was answered at `answered` and ended at `ended`, seconds after [`T0`].
pub(crate) fn leg(no: LegNo, party: &Party, answered: Option<u64>, ended: u64) -> LegFacts {
    LegFacts {
        no,
        number: party.number.clone(),
        as_sent: party.as_sent.clone(),
        shown: "01053180002".into(),
        trunk: "carrier".into(),
        sip_call_id: format!("{no}@tandem"),
        invited: T0,
        progress: None,
        alerting: None,
        answered: answered.map(at),
        ended: Some(at(ended)),
        sip_final: answered.map(|_| 200),
        q850: Some(16),
        released_by: Some(Side::Caller),
        failure: None,
        replaced_by: None,
        paid_until: None,
        media: facts::media::MediaStats::default(),
        recognised: None,
        spoken: Default::default(),
    }
}

/// A call whose legs talked from and to these seconds.
pub(crate) fn facts(
    call: u64,
    command: &CallCommand,
    a: Option<(Option<u64>, u64)>,
    b: Option<(Option<u64>, u64)>,
) -> CallFacts {
    let mut legs = Vec::new();
    legs.extend(a.map(|(answered, ended)| leg(LegNo::A, &command.a, answered, ended)));
    legs.extend(
        b.map(|(answered, ended)| leg(LegNo::B, command.b.as_ref().unwrap(), answered, ended)),
    );
    let ended = legs.iter().filter_map(|leg| leg.ended).max().unwrap_or(T0);
    CallFacts {
        call: CallId(call),
        command: command.clone(),
        placed: T0,
        bridged: None,
        ended,
        outcome: Outcome::Completed,
        released_by: Side::Caller,
        legs,
        unrung: Vec::new(),
        recording: None,
        unrecorded: None,
        message: None,
        mailbox: None,
        collected: Vec::new(),
    }
}

pub(crate) fn context() -> SettleContext {
    SettleContext { recording_base_url: "http://rec.example/r".into() }
}

/// A name for something that is done once.
pub(crate) fn once() -> Once {
    Once::fresh().expect("random bytes")
}

/// Nothing is wrong with the books.
pub(crate) async fn in_order(store: &Store) {
    let audit = store.check_books().await.expect("audit");
    assert_eq!(audit.findings, Vec::<String>::new());
}

pub(crate) async fn posted(store: &Store, merchant: MerchantId) -> Micros {
    store.balance(merchant).await.expect("balance").posted
}

pub(crate) async fn held(store: &Store, merchant: MerchantId) -> Micros {
    store.balance(merchant).await.expect("balance").held
}
