//! Stripe Checkout by its contract, with a memory: sessions are opened and refunds asked for under names, and under the
//! same name the same is answered; what was paid is told by a signed word and to whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::merchant::{Merchant, Received};
use crate::wait;

/// Our key there, and the one that signs its words.
const SECRET: &str = "sk_test_contract";
const HOOK_SECRET: &str = "whsec_contract";
/// Where subscribers pay; what stands behind it is the session's name.
pub const PAGE: &str = "https://checkout.stripe.com/c/pay/";
/// Rials of a cent, as our operator has agreed.
const RIALS: u64 = 9_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    Paid,
    Expired,
}

#[derive(Debug, Default)]
struct Books {
    sessions: BTreeMap<String, (u64, State)>,
    /// Payments that were given back, in order.
    refunds: Vec<String>,
    /// What was answered under which name.
    named: BTreeMap<String, (u16, String)>,
    /// Refunds are made, and nobody hears of it.
    silent: bool,
}

type Shared = Arc<(Mutex<Books>, Condvar)>;

/// A running gateway.
#[derive(Debug)]
pub struct Stripe {
    door: Merchant,
    books: Shared,
}

impl Stripe {
    /// On a free loopback port.
    #[must_use]
    pub fn start() -> Stripe {
        let books = Shared::default();
        let mind = Arc::clone(&books);
        Stripe { door: Merchant::by(move |got| answer(&mind, got)), books }
    }

    /// Its lines of the operator's file.
    #[must_use]
    pub fn row(&self) -> String {
        format!(
            "\n[[payment_gateways]]\nname = \"abroad\"\nkind = \"stripe\"\nsecret = \"{SECRET}\"\n\
             hook_secret = \"{HOOK_SECRET}\"\ncurrency = \"EUR\"\nrials_per_unit = {RIALS}\nurl = \"{}\"\n",
            self.door.url("")
        )
    }

    /// A subscriber pays in this session; its address is where he was sent.
    ///
    /// # Panics
    /// When it is none that is open.
    pub fn pay(&self, session: &str) {
        let mut books = self.books.0.lock().expect("unpoisoned");
        let (_, state) = books.sessions.get_mut(session).expect("a session that was opened");
        assert_eq!(*state, State::Open);
        *state = State::Paid;
    }

    /// What it says by itself of a session: the signature, by its own key or another one, and the body.
    ///
    /// # Panics
    /// When the clock is before 1970.
    #[must_use]
    pub fn word(&self, session: &str, rightly: bool) -> (String, String) {
        let about = json!({ "id": session, "object": "checkout.session" });
        let event = json!({ "id": "evt_1", "type": "checkout.session.completed",
                            "data": { "object": about } });
        let body = event.to_string();
        let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let key = if rightly { HOOK_SECRET } else { "whsec_guess" };
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
        mac.update(format!("{at}.{body}").as_bytes());
        (format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes())), body)
    }

    /// Whether whoever asks for a refund hears the answer from now on.
    ///
    /// # Panics
    /// Never.
    pub fn silent(&self, silent: bool) {
        self.books.0.lock().expect("unpoisoned").silent = silent;
        self.books.1.notify_all();
    }

    /// Payments that were given back, in order.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn refunds(&self) -> Vec<String> {
        self.books.0.lock().expect("unpoisoned").refunds.clone()
    }
}

/// How the payment of a session is called.
#[must_use]
pub fn intent(session: &str) -> String {
    session.replace("cs_", "pi_")
}

fn answer((books, silence): &(Mutex<Books>, Condvar), got: &Received) -> (u16, String) {
    assert_eq!(got.header("authorization"), Some(&*format!("Bearer {SECRET}")));
    assert!(got.header("stripe-version").is_some(), "a version of the contract");
    let mut books = books.lock().expect("unpoisoned");
    let path = got.target.strip_prefix("/v1/").expect("a path of the API");
    let name = got.header("idempotency-key").map(str::to_owned);
    if let Some(before) = name.as_ref().and_then(|name| books.named.get(name)) {
        return before.clone();
    }
    let said = match (got.method.as_str(), path) {
        ("POST", "checkout/sessions") => opened(&mut books, got),
        ("POST", "refunds") => refunded(&mut books, got),
        (method, path) => {
            let rest = path.strip_prefix("checkout/sessions/").expect("a session");
            let (id, closes) = match rest.strip_suffix("/expire") {
                Some(id) => (id, true),
                None => (rest, false),
            };
            assert_eq!(method, if closes { "POST" } else { "GET" });
            let found = books.sessions.get_mut(id);
            match found {
                None => (404, error("resource_missing")),
                Some((_, state)) if closes && *state != State::Open => {
                    (400, error("checkout_session_not_open"))
                }
                Some((amount, state)) => {
                    if closes {
                        *state = State::Expired;
                    }
                    (200, session(id, *amount, *state))
                }
            }
        }
    };
    if let Some(name) = name {
        books.named.insert(name, said.clone());
    }
    if path == "refunds" {
        let held = silence.wait_timeout_while(books, wait::PATIENCE, |books| books.silent);
        drop(held.expect("unpoisoned"));
    }
    said
}

fn opened(books: &mut Books, got: &Received) -> (u16, String) {
    let field = |name: &str| got.field(name).unwrap_or_default();
    assert_eq!(
        (field("mode"), field("adaptive_pricing[enabled]")),
        ("payment".into(), "false".into())
    );
    assert_eq!(field("line_items[0][price_data][currency]"), "eur");
    assert!(got.header("idempotency-key").is_some(), "a session is opened under a name");
    let amount = field("line_items[0][price_data][unit_amount]").parse().expect("an amount");
    let id = format!("cs_test_{:024}", books.sessions.len() + 1);
    books.sessions.insert(id.clone(), (amount, State::Open));
    (200, session(&id, amount, State::Open))
}

fn refunded(books: &mut Books, got: &Received) -> (u16, String) {
    assert!(got.header("idempotency-key").is_some(), "money goes back under a name");
    let payment = got.field("payment_intent").unwrap_or_default();
    let paid =
        |(id, (_, state)): (&String, &(u64, State))| *state == State::Paid && intent(id) == payment;
    if !books.sessions.iter().any(paid) {
        return (404, error("resource_missing"));
    }
    if books.refunds.contains(&payment) {
        return (400, error("charge_already_refunded"));
    }
    books.refunds.push(payment);
    let id = format!("re_{}", books.refunds.len());
    (200, json!({ "id": id, "object": "refund", "status": "succeeded" }).to_string())
}

fn session(id: &str, amount: u64, state: State) -> String {
    let (status, paid) = match state {
        State::Open => ("open", "unpaid"),
        State::Paid => ("complete", "paid"),
        State::Expired => ("expired", "unpaid"),
    };
    let payment = if state == State::Paid { intent(id).into() } else { Value::Null };
    json!({
        "id": id, "object": "checkout.session", "amount_total": amount, "currency": "eur",
        "payment_intent": payment, "payment_status": paid, "status": status,
        "url": format!("{PAGE}{id}"),
    })
    .to_string()
}

fn error(code: &str) -> String {
    json!({ "error": { "type": "invalid_request_error", "code": code } }).to_string()
}
