//! Gateways with a memory, in place of Zarinpal and Stripe: what they are asked by their contracts changes what they know,
//! and who has whose money can be asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::peer::{Came, Mind, Peer};

/// Counts what passes between the program and the world; from some step on nothing does.
#[derive(Debug)]
pub(crate) struct Fuse {
    steps: AtomicUsize,
    most: usize,
    blown: AtomicBool,
    gone: Notify,
}

impl Fuse {
    pub(crate) fn of(most: usize) -> Arc<Fuse> {
        let (steps, blown) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Fuse { steps, most, blown, gone: Notify::new() })
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// Waits until nothing passes any more.
    pub(crate) async fn is_blown(&self) {
        let gone = self.gone.notified();
        if !self.blown.load(Ordering::SeqCst) {
            gone.await;
        }
    }

    pub(crate) fn pass(&self) -> bool {
        let passes = self.steps.fetch_add(1, Ordering::SeqCst) < self.most;
        if !passes {
            self.blown.store(true, Ordering::SeqCst);
            self.gone.notify_waiters();
            self.gone.notify_one();
        }
        passes
    }
}

impl billing::Watch for Fuse {
    fn passes(&self) -> bool {
        self.pass()
    }
}

/// The fuse of the program that runs now.
#[derive(Clone)]
pub(crate) struct Line(Arc<Mutex<Arc<Fuse>>>);

impl Line {
    pub(crate) fn new() -> Line {
        Line(Arc::new(Mutex::new(Fuse::of(usize::MAX))))
    }

    pub(crate) fn is(&self, fuse: &Arc<Fuse>) {
        *self.0.lock().unwrap() = Arc::clone(fuse);
    }

    fn fuse(&self) -> Arc<Fuse> {
        Arc::clone(&self.0.lock().unwrap())
    }

    /// A server on this line: a crash may come before it has heard a request, and before its answer is heard.
    pub(crate) async fn serve<F>(&self, says: F) -> Peer
    where
        F: Fn(&Came) -> (u16, String) + Send + Sync + 'static,
    {
        let (line, says) = (self.clone(), Arc::new(says));
        let mind: Mind = Arc::new(move |came| {
            let (fuse, says) = (line.fuse(), Arc::clone(&says));
            Box::pin(async move {
                if !fuse.pass() {
                    return None;
                }
                let answer = says(&came);
                fuse.pass().then_some(answer)
            })
        });
        Peer::by(mind).await
    }
}

/// A way that a gateway has opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    amount: u64,
    /// The subscriber has given his money.
    pub(crate) paid: bool,
    /// Nobody can pay by it any more.
    closed: bool,
    /// The money is ours. Until then it goes back by itself.
    pub(crate) taken: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Books {
    ways: BTreeMap<String, Way>,
    /// What was asked for under these names before.
    once: BTreeMap<String, (String, String)>,
    refunds: BTreeSet<String>,
}

/// What a gateway knows.
#[derive(Clone, Default)]
pub(crate) struct Bank(Arc<Mutex<Books>>);

impl Bank {
    /// A subscriber pays by this way; whether he can.
    pub(crate) fn pay(&self, reference: &str) -> bool {
        let mut books = self.0.lock().unwrap();
        let way = books.ways.get_mut(reference).expect("a way that was opened");
        if way.closed {
            return false;
        }
        way.paid = true;
        // A card's money is taken at once.
        way.taken |= reference.starts_with("cs_");
        true
    }

    /// A way that was opened some time ago.
    pub(crate) fn opened(&self, reference: &str, amount: u64) {
        let way = Way { amount, ..Way::default() };
        self.0.lock().unwrap().ways.insert(reference.to_owned(), way);
    }

    /// Whether what was paid by this one is ours.
    pub(crate) fn has(&self, reference: &str) -> bool {
        self.0.lock().unwrap().ways.get(reference).is_some_and(|way| way.taken)
    }

    /// Payments that are ours.
    pub(crate) fn taken(&self) -> usize {
        self.0.lock().unwrap().ways.values().filter(|way| way.taken).count()
    }

    /// Whether this one was opened here, and the subscriber has paid by it.
    pub(crate) fn is_paid(&self, reference: &str) -> bool {
        self.0.lock().unwrap().ways.get(reference).is_some_and(|way| way.paid)
    }

    /// Payments that were given back.
    pub(crate) fn given_back(&self) -> usize {
        self.0.lock().unwrap().refunds.len()
    }

    /// What it knows now.
    pub(crate) fn books(&self) -> Books {
        self.0.lock().unwrap().clone()
    }

    /// From now on it knows this.
    pub(crate) fn knows(&self, books: Books) {
        *self.0.lock().unwrap() = books;
    }

    /// Zarinpal, version 4.
    pub(crate) fn zarinpal(&self, came: &Came) -> (u16, String) {
        let asked: Value = serde_json::from_str(&came.body).unwrap();
        let mut books = self.0.lock().unwrap();
        let refused = |code: i32| {
            (200, json!({ "data": [], "errors": { "code": code, "message": "no" } }).to_string())
        };
        let amount = asked["amount"].as_u64().unwrap();
        if came.target.ends_with("/request.json") {
            let authority = format!("A{:035}", books.ways.len() + 1);
            books.ways.insert(authority.clone(), Way { amount, ..Way::default() });
            let data = json!({ "code": 100, "message": "Success", "authority": authority });
            return (200, json!({ "data": data, "errors": [] }).to_string());
        }
        let authority = asked["authority"].as_str().unwrap();
        let digits = format!("{}", 201_000_000_000_u64 + authority[1..].parse::<u64>().unwrap());
        match books.ways.get_mut(authority) {
            None => refused(-54),
            Some(way) if way.amount != amount => refused(-50),
            Some(way) if !way.paid => refused(-51),
            Some(way) => {
                let code = if way.taken { 101 } else { 100 };
                way.taken = true;
                let data = json!({ "code": code, "ref_id": digits.parse::<u64>().unwrap() });
                (200, json!({ "data": data, "errors": [] }).to_string())
            }
        }
    }

    /// Stripe Checkout.
    pub(crate) fn stripe(&self, came: &Came) -> (u16, String) {
        let mut books = self.0.lock().unwrap();
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(came.body.as_bytes()).into_owned().collect();
        let name = came.header("idempotency-key").to_owned();
        if let Some((asked, said)) = books.once.get(&name) {
            let same = *asked == came.body;
            return if same { (200, said.clone()) } else { (400, IDEMPOTENCY.to_owned()) };
        }
        let parts: Vec<&str> = came.target.trim_start_matches("/v1/").split('/').collect();
        let said = match parts[..] {
            ["checkout", "sessions"] => {
                let id = format!("cs_{}", books.ways.len() + 1);
                let amount = form["line_items[0][price_data][unit_amount]"].parse().unwrap();
                books.ways.insert(id.clone(), Way { amount, ..Way::default() });
                session(&id, &books.ways[&id])
            }
            ["checkout", "sessions", id] => session(id, &books.ways[id]),
            ["checkout", "sessions", id, "expire"] => {
                let way = books.ways.get_mut(id).unwrap();
                if way.paid {
                    return (400, r#"{"error":{"type":"invalid_request_error"}}"#.to_owned());
                }
                way.closed = true;
                session(id, way)
            }
            ["refunds"] => {
                let intent = form["payment_intent"].clone();
                if !books.refunds.insert(intent) {
                    let error = json!({ "error": { "code": "charge_already_refunded" } });
                    return (400, error.to_string());
                }
                json!({ "id": "re_1", "status": "succeeded" }).to_string()
            }
            _ => panic!("{came:?}"),
        };
        if !name.is_empty() {
            books.once.insert(name, (came.body.clone(), said.clone()));
        }
        (200, said)
    }
}

const IDEMPOTENCY: &str = r#"{"error":{"type":"idempotency_error"}}"#;

fn session(id: &str, way: &Way) -> String {
    let (status, paid) = match (way.paid, way.closed) {
        (true, _) => ("complete", "paid"),
        (false, true) => ("expired", "unpaid"),
        (false, false) => ("open", "unpaid"),
    };
    let intent = way.paid.then(|| id.replace("cs_", "pi_"));
    json!({ "id": id, "amount_total": way.amount, "currency": "eur", "payment_intent": intent,
            "payment_status": paid, "status": status, "url": format!("https://stripe.example/{id}") })
    .to_string()
}

/// What Stripe's webhook says of a session, and how it is signed.
pub(crate) fn hook(id: &str, at_s: i64, key: &str) -> (String, String) {
    let body = json!({ "type": "checkout.session.completed", "data": { "object": { "id": id } } });
    let body = body.to_string();
    let mark = crate::gateways::sign(key.as_bytes(), format!("{at_s}.{body}").as_bytes());
    let mut hex = String::new();
    for octet in mark {
        let _ = write!(hex, "{octet:02x}");
    }
    (body, format!("t={at_s},v1={hex}"))
}
