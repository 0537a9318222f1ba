//! Zarinpal by its contract (version 4), with a memory: ways are opened, subscribers pay by them, and what was paid is ours
//! once it is verified.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::merchant::{Merchant, Received};
use crate::wait;

/// Our name there.
pub const ACCOUNT: &str = "1344b5d4-0048-11e8-94db-005056a205be";

/// A way that was opened.
#[derive(Debug)]
struct Way {
    rials: u64,
    paid: bool,
    taken: bool,
}

#[derive(Debug, Default)]
struct Books {
    ways: BTreeMap<String, Way>,
    /// What was answered to who verified: the way and the code, in order.
    told: Vec<(String, i64)>,
    /// Answers to who verifies are made, and not given.
    silent: bool,
}

type Shared = Arc<(Mutex<Books>, Condvar)>;

/// A running gateway.
#[derive(Debug)]
pub struct Zarinpal {
    door: Merchant,
    books: Shared,
}

impl Zarinpal {
    /// On a free loopback port.
    #[must_use]
    pub fn start() -> Zarinpal {
        let books = Shared::default();
        let mind = Arc::clone(&books);
        Zarinpal { door: Merchant::by(move |got| answer(&mind, got)), books }
    }

    /// Its lines of the operator's file.
    #[must_use]
    pub fn row(&self) -> String {
        format!(
            "\n[[payment_gateways]]\nname = \"card\"\nkind = \"zarinpal\"\naccount = \"{ACCOUNT}\"\n\
             url = \"{}\"\n",
            self.door.url("")
        )
    }

    /// The address at which a subscriber pays by a way; what stands behind it is its name.
    #[must_use]
    pub fn page(&self) -> String {
        self.door.url("/pg/StartPay/")
    }

    /// A subscriber pays by this way; the number that the bank gives it.
    ///
    /// # Panics
    /// When nobody opened it.
    #[must_use]
    pub fn pay(&self, authority: &str) -> String {
        let mut books = self.books.0.lock().expect("unpoisoned");
        books.ways.get_mut(authority).expect("a way that was opened").paid = true;
        reference(authority).to_string()
    }

    /// Whether whoever verifies hears the answer from now on.
    pub fn silent(&self, silent: bool) {
        self.books.0.lock().expect("unpoisoned").silent = silent;
        self.books.1.notify_all();
    }

    /// The codes that were answered to who verified this way, in order.
    #[must_use]
    pub fn told(&self, authority: &str) -> Vec<i64> {
        let books = self.books.0.lock().expect("unpoisoned");
        books.told.iter().filter(|(way, _)| way == authority).map(|(_, code)| *code).collect()
    }
}

/// The bank's number of a payment.
fn reference(authority: &str) -> u64 {
    201_000_000_000 + authority[1..].parse::<u64>().expect("digits")
}

fn answer((books, silence): &(Mutex<Books>, Condvar), got: &Received) -> (u16, String) {
    let asked: Value = serde_json::from_str(&got.body).expect("JSON");
    assert_eq!((got.method.as_str(), asked["merchant_id"].as_str()), ("POST", Some(ACCOUNT)));
    let rials = asked["amount"].as_u64().expect("an amount");
    let mut books = books.lock().expect("unpoisoned");
    if got.target == "/pg/v4/payment/request.json" {
        assert_eq!(asked["currency"], "IRR");
        let authority = format!("A{:035}", books.ways.len() + 1);
        books.ways.insert(authority.clone(), Way { rials, paid: false, taken: false });
        let data = json!({ "code": 100, "message": "Success", "authority": authority });
        return (200, json!({ "data": data, "errors": [] }).to_string());
    }
    assert_eq!(got.target, "/pg/v4/payment/verify.json");
    let authority = asked["authority"].as_str().expect("a way").to_owned();
    let code = match books.ways.get_mut(&authority) {
        None => -54,
        Some(way) if way.rials != rials => -50,
        Some(way) if !way.paid => -51,
        Some(way) if way.taken => 101,
        Some(way) => {
            way.taken = true;
            100
        }
    };
    books.told.push((authority.clone(), code));
    let held = silence.wait_timeout_while(books, wait::PATIENCE, |books| books.silent);
    drop(held.expect("unpoisoned"));
    let told = match code {
        100 | 101 => {
            json!({ "data": { "code": code, "ref_id": reference(&authority) }, "errors": [] })
        }
        _ => json!({ "data": [], "errors": { "code": code, "message": "no" } }),
    };
    (200, told.to_string())
}
