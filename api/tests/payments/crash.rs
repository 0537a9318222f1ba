//! The windows in which a crash can come between the button and the books (spec §5.3): the program runs on a store on disk, against
//! a gateway, a page and a network that are servers, and dies after each thing that passes between it and them: before a
//! transaction, after it, before a request is heard and before its answer is. Then it is started anew until all is
//! quiet, and what is in the books is what the gateway has.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::guard::GuardedClient;
use api::push::PushConfig;
use axum::body::Body;
use axum::http::Request;
use billing::payments::{Attempt, AttemptState, Invoice, InvoiceState, InvoicesAsked};
use billing::rows::OutboxState;
use billing::{Store, StoreConfig};
use facts::ussd::{Dialled, Door, Step};
use facts::{CallId, MerchantId};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bank::{Bank, Books, Fuse, Line, hook};
use crate::peer::{Came, Peer};
use crate::world::{World, now};
use crate::{BASE, Shop};

pub(crate) const KEY: &str = "whsec_x";
/// Turns in which all has to be quiet after a crash.
const TURNS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Test,
    Zarinpal,
    Stripe,
}

/// What outlives the program: a gateway, a page, a network for messages, and the store as it was before anybody dialled.
pub(crate) struct Town {
    pub(crate) kind: Kind,
    pub(crate) bank: Bank,
    line: Line,
    pub(crate) page: Peer,
    sms: Peer,
    pub(crate) gate: Peer,
    guard: GuardedClient,
    merchant: MerchantId,
    folder: tempfile::TempDir,
}

impl Town {
    pub(crate) async fn new(kind: Kind) -> Town {
        let (bank, line) = (Bank::default(), Line::new());
        // Whoever types 7 is asked for 5000 rials under F7.
        let page = |came: &Came| {
            if came.target.contains("&RRN=") {
                return (200, "thanks".to_owned());
            }
            (200, format!("9900|F{}|5000", came.target.rsplit('*').next().unwrap_or_default()))
        };
        let page = line.serve(page).await;
        let sms = line.serve(|_| (200, "ok".to_owned())).await;
        let there = bank.clone();
        let gate = line
            .serve(move |came| match kind {
                Kind::Stripe => there.stripe(came),
                _ => there.zarinpal(came),
            })
            .await;
        let row = match kind {
            Kind::Test => json!({ "name": "gate", "kind": "test" }),
            Kind::Zarinpal => {
                json!({ "name": "gate", "kind": "zarinpal", "account": "a", "url": gate.url("") })
            }
            Kind::Stripe => {
                json!({ "name": "gate", "kind": "stripe", "secret": "s", "currency": "EUR",
                                    "hook_secret": KEY, "rials_per_unit": 9_000, "url": gate.url("") })
            }
        };
        let shop = Shop::new(json!([row])).await;
        let desired = json!({
            "ussd_codes": [{ "code": "*6655*123#", "merchant": "test", "page": page.url("/p.php"),
                             "price": "0" }],
            "sms": { "url": sms.url("/send?to={to}&text={text}") },
        });
        let desired = serde_json::from_value(desired).unwrap();
        let store = &shop.world.store;
        assert_eq!(store.apply(&desired, now(), false).await.unwrap().mistakes, []);
        store.close().await;
        let folder = tempfile::tempdir().unwrap();
        copy(&shop.world.folder.path().join("store.db"), &folder.path().join("before.db"));
        let (guard, merchant) = (shop.world.guard.clone(), shop.merchant);
        Town { kind, bank, line, page, sms, gate, guard, merchant, folder }
    }

    /// The store as it was before anybody dialled.
    pub(crate) fn before(&self) -> PathBuf {
        self.file("before.db")
    }

    /// The store as it is now, for another program that begins with it.
    pub(crate) async fn copy_of_now(&self, open: &Store) -> PathBuf {
        // Whoever is behind this unit has his in the file.
        open.hasten_payments(0, now()).await.unwrap();
        let from = self.file("before.db");
        let to = self.file("beside.db");
        copy(&from, &to);
        to
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program on a store; `fuse` sees what passes. Also the store as nobody sees it.
    pub(crate) async fn start(&self, file: &Path, fuse: &Arc<Fuse>) -> (Arc<Shop>, Store) {
        self.line.is(fuse);
        let url = format!("sqlite://{}", file.display());
        let open = Store::open(&url, StoreConfig::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let public_url = Some(BASE.to_owned());
        let store = open.clone().watched(Arc::clone(fuse) as Arc<dyn billing::Watch>);
        let change = |config| api::ApiConfig { public_url, ..config };
        let world = World::by(store, self.guard.clone(), (folder, 7), change);
        let (page, sms, merchant) = (self.page.clone(), self.sms.clone(), self.merchant);
        (Arc::new(Shop { world, page, sms, merchant }), open)
    }
}

/// A store that nobody has open.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal", "-shm"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        let _ = std::fs::remove_file(name(to));
        if end != "-shm" && name(from).exists() {
            std::fs::copy(name(from), name(to)).unwrap();
        }
    }
}

/// The subscriber, the operator and the workers of a program.
pub(crate) struct Play {
    pub(crate) town: Arc<Town>,
    pub(crate) shop: Arc<Shop>,
    /// What the play itself looks into.
    pub(crate) open: Store,
}

impl Play {
    pub(crate) async fn invoice(&self) -> Option<Invoice> {
        let asked = InvoicesAsked { limit: 9, ..InvoicesAsked::default() };
        let mut all = self.open.invoices(asked).await.unwrap();
        assert!(all.len() < 2, "one invoice, whatever was repeated: {all:?}");
        all.pop()
    }

    async fn way(&self) -> Option<Attempt> {
        self.open.pending_attempt(self.invoice().await?.id).await.unwrap()
    }

    pub(crate) async fn dial(&self, session: u64, typed: &str) {
        let step = Step {
            session: CallId(session),
            merchant: self.shop.merchant,
            door: Door::Ims,
            code: Dialled::code("6655*123").unwrap(),
            mobile: "989123456789".into(),
            inputs: vec![typed.into()],
            number: 1,
        };
        api::menus::visit(&self.shop.world.state, &step).await;
    }

    /// Presses a button on the invoice's page.
    async fn press(&self, what: &str, form: &str) {
        let Some(invoice) = self.invoice().await else { return };
        self.shop.ask("POST", &format!("/pay/{}/{what}", invoice.token), form).await;
    }

    /// Pays where he was led to, unless he has; then comes back.
    async fn pay(&self) {
        let Some(way) = self.way().await else { return };
        match self.town.kind {
            Kind::Test => self.press("test", "act=pay").await,
            _ => assert!(self.town.bank.pay(&way.reference)),
        }
    }

    /// The gateway sends him back.
    async fn back(&self, reference: &str, status: &str) {
        let Some(invoice) = self.invoice().await else { return };
        let query = match self.town.kind {
            Kind::Zarinpal => format!("?Authority={reference}&Status={status}"),
            _ if status == "NOK" => "?Status=NOK".to_owned(),
            _ => String::new(),
        };
        self.shop.ask("GET", &format!("/pay/{}/back{query}", invoice.token), "").await;
    }

    /// What Stripe tells by itself.
    pub(crate) async fn told(&self, reference: &str) {
        if self.town.kind != Kind::Stripe {
            return;
        }
        let (body, mark) = hook(reference, now().seconds(), KEY);
        let request = Request::post("/pay-hooks/gate").header("stripe-signature", mark);
        self.shop.world.send(request.body(Body::from(body)).unwrap()).await;
    }

    /// Visits are made until there is none to make, each lease being short.
    async fn push(&self) {
        let (stop, stopped) = watch::channel(false);
        let brief = Duration::from_millis(1);
        let config = PushConfig {
            delays: Some(vec![brief; 9]),
            timeout: Duration::from_millis(80),
            lease: Duration::from_millis(200),
            gather: brief,
            poll: brief * 3,
            ..PushConfig::default()
        };
        let world = &self.shop.world;
        let (guard, counters) = (world.guard.clone(), Arc::clone(&world.counters));
        let wake = Arc::clone(&world.wake);
        let worker = api::push::run(world.store.clone(), guard, config, counters, wake, stopped);
        tokio::pin!(worker);
        loop {
            tokio::select! {
                () = &mut worker => return,
                () = tokio::time::sleep(brief * 2) => {}
            }
            if self.open.next_due().await.unwrap().is_none() {
                stop.send(true).unwrap();
            }
        }
    }

    async fn workers(&self) {
        let state = &self.shop.world.state;
        api::payments::turn(state).await.unwrap();
        api::payments::refund_turn(state).await.unwrap();
        api::sms::turn(state).await.unwrap();
        self.push().await;
    }

    /// A program that begins asks at once.
    pub(crate) async fn begins(&self) {
        self.shop.world.store.hasten_payments(7, now()).await.unwrap();
    }

    async fn refund(&self) {
        let Some(invoice) = self.invoice().await else { return };
        let by_hand = (self.town.kind == Kind::Zarinpal).then(|| json!({ "by_hand": true }));
        let at = format!("/ussd-invoices/{}/refund", invoice.id);
        let (_, _): (_, Value) = self.shop.world.admin("POST", &at, by_hand).await;
    }

    /// From the first digit to the last message, with every word said twice.
    async fn pays(&self) {
        self.dial(1, "7").await;
        api::sms::turn(&self.shop.world.state).await.unwrap();
        self.press("start", "").await;
        let reference = self.way().await.map(|way| way.reference).unwrap_or_default();
        self.pay().await;
        for _ in 0..2 {
            self.back(&reference, "OK").await;
            self.told(&reference).await;
        }
        self.workers().await;
    }

    async fn cancels(&self) {
        self.dial(1, "7").await;
        self.press("start", "").await;
        let reference = self.way().await.map(|way| way.reference).unwrap_or_default();
        if self.town.kind == Kind::Test {
            self.press("test", "act=cancel").await;
        }
        self.back(&reference, "NOK").await;
        self.press("cancel", "").await;
        api::payments::turn(&self.shop.world.state).await.unwrap();
    }

    async fn is_told(&self) -> bool {
        let rows = self.open.outbox(None, None, 0, 9).await.unwrap();
        rows.iter().all(|row| row.state == OutboxState::Done)
    }

    /// After the crash: the subscriber goes on where he was, and comes back to the page or does not.
    async fn goes_on(&self, comes_back: bool) {
        self.begins().await;
        for turn in 0..TURNS {
            self.workers().await;
            let invoice = self.invoice().await;
            match (&invoice, self.way().await) {
                (None, _) => self.dial(2, "7").await,
                (Some(one), None) if one.state == InvoiceState::Open => {
                    self.press("start", "").await;
                }
                (Some(_), Some(way)) => {
                    if !self.town.bank.is_paid(&way.reference) {
                        self.pay().await;
                    }
                    if comes_back {
                        self.back(&way.reference, "OK").await;
                    } else {
                        self.begins().await;
                    }
                }
                (Some(one), None) if one.state == InvoiceState::Paid && self.is_told().await => {
                    return;
                }
                (Some(_), None) => {}
            }
            assert!(turn < TURNS - 1, "it is not quiet: {invoice:?}");
        }
    }

    /// After the crash: he still does not want to.
    async fn still_cancels(&self) {
        self.begins().await;
        self.workers().await;
        if let Some(way) = self.way().await {
            if self.town.kind == Kind::Test {
                self.press("test", "act=cancel").await;
            }
            self.back(&way.reference, "NOK").await;
        }
        self.press("cancel", "").await;
        self.workers().await;
    }

    /// After the crash: the operator looks, and asks again where nothing was begun.
    async fn still_refunds(&self) {
        self.begins().await;
        self.workers().await;
        if self.invoice().await.is_some_and(|invoice| invoice.state == InvoiceState::Paid) {
            self.refund().await;
        }
        self.workers().await;
    }

    /// One booking, its sums, one message, the page told of this number, and the gateway has what is in the books.
    async fn is_paid_once(&self) {
        let invoice = self.invoice().await.unwrap();
        assert_eq!(invoice.state, InvoiceState::Paid);
        let ways = self.open.attempts_of(invoice.id).await.unwrap();
        assert_eq!(
            ways.iter().filter(|way| way.state == AttemptState::Paid).count(),
            1,
            "{ways:?}"
        );
        let played = self.town.kind == Kind::Test;
        let due = self.open.payments_due(self.shop.merchant).await.unwrap();
        assert_eq!(due, if played { 0 } else { 5000 });
        self.shop.in_order().await;
        if !played {
            assert_eq!(self.town.bank.taken(), 1);
        }
        let rrn = invoice.rrn.unwrap();
        // One row that tells of it, beside those of the link: it left, or it is still owed, for the crash came while it was
        // leaving and its lease is not over.
        let rows = self.open.sms(billing::sms::SmsAsked::page(0, 99)).await.unwrap();
        assert_eq!(rows.len(), usize::try_from(invoice.notices).unwrap() + 1);
        let left = self.town.sms.take().iter().any(|one| one.target.contains(&rrn));
        assert!(left || rows.iter().any(|sms| sms.text.contains(&rrn)), "{rows:?}");
        let visits = self.town.page.take();
        let told: Vec<_> = visits.iter().filter(|one| one.target.contains("&RRN=")).collect();
        let wanted = format!("*F7*{}&RRN={rrn}", invoice.id);
        assert!(
            !told.is_empty() && told.iter().all(|one| one.target.ends_with(&wanted)),
            "{told:?}"
        );
        let rows = self.open.outbox(None, None, 0, 9).await.unwrap();
        assert_eq!((rows.len(), rows[0].state), (1, OutboxState::Done));
    }

    async fn is_paid_never(&self) {
        if let Some(invoice) = self.invoice().await {
            assert_eq!(invoice.state, InvoiceState::Cancelled, "{invoice:?}");
        }
        assert_eq!(self.open.payments_due(self.shop.merchant).await.unwrap(), 0);
        assert_eq!(self.town.bank.taken(), 0);
        assert!(self.open.outbox(None, None, 0, 9).await.unwrap().is_empty());
        let visits = self.town.page.take();
        assert!(visits.iter().all(|one| !one.target.contains("&RRN=")), "{visits:?}");
        self.shop.in_order().await;
    }

    async fn is_given_back_once(&self) {
        let invoice = self.invoice().await.unwrap();
        assert_eq!(invoice.state, InvoiceState::Refunded);
        let rounds = self.open.refunds_of(invoice.id).await.unwrap();
        assert_eq!((rounds.len(), invoice.refunds), (1, 1), "{rounds:?}");
        assert_eq!(self.open.payments_due(self.shop.merchant).await.unwrap(), 0);
        assert_eq!(self.town.bank.given_back(), usize::from(self.town.kind == Kind::Stripe));
        self.shop.in_order().await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Story {
    Pays,
    Cancels,
    Refunds,
}

async fn run(play: &Play, story: Story) {
    match story {
        Story::Pays => play.pays().await,
        Story::Cancels => play.cancels().await,
        Story::Refunds => {
            play.refund().await;
            api::payments::refund_turn(&play.shop.world.state).await.unwrap();
        }
    }
}

/// Dies after so many steps, and goes on; whether it came to its end before.
async fn dies(
    town: &Arc<Town>,
    story: Story,
    (before, books): (&Path, &Books),
    after: usize,
) -> bool {
    // A file of its own: whoever died may still hold the last one open.
    let file = town.file(&format!("{story:?}-{after}.db"));
    copy(before, &file);
    town.bank.knows(books.clone());
    town.page.take();
    town.sms.take();
    let fuse = Fuse::of(after);
    let (shop, open) = town.start(&file, &fuse).await;
    let (town_too, looks) = (Arc::clone(town), open.clone());
    let mut program = tokio::spawn(async move {
        run(&Play { town: town_too, shop, open: looks }, story).await;
    });
    let ended = tokio::select! {
        ended = &mut program => Some(ended),
        () = fuse.is_blown() => None,
    };
    let ended = match ended {
        Some(ended) if fuse.steps() <= after => {
            ended.unwrap();
            true
        }
        Some(_) => false,
        None => {
            program.abort();
            let _ = program.await;
            false
        }
    };
    // What was in the writer's hands is written, as it would be by a disk.
    open.close().await;
    let fuse = Fuse::of(usize::MAX);
    let (shop, open) = town.start(&file, &fuse).await;
    let play = Play { town: Arc::clone(town), shop, open };
    match story {
        Story::Pays => {
            play.goes_on(after.is_multiple_of(2)).await;
            play.is_paid_once().await;
        }
        Story::Cancels => {
            play.still_cancels().await;
            play.is_paid_never().await;
        }
        Story::Refunds => {
            play.still_refunds().await;
            play.is_given_back_once().await;
        }
    }
    play.open.close().await;
    ended
}

/// Dies after each step of a story, until it comes to its end; how many there were.
async fn every(town: &Arc<Town>, story: Story, before: &Path, books: &Books) -> usize {
    for after in 0..400 {
        if dies(town, story, (before, books), after).await {
            return after;
        }
    }
    panic!("the story has no end");
}

async fn whatever_a_crash_interrupts(kind: Kind) {
    let town = Arc::new(Town::new(kind).await);
    let (before, books) = (town.before(), Books::default());
    let steps = every(&town, Story::Pays, &before, &books).await;
    assert!(steps > 20, "{steps}");
    let cancelled = every(&town, Story::Cancels, &before, &books).await;
    assert!(cancelled > 8, "{cancelled}");
    // Money goes back from where it was paid.
    dies(&town, Story::Pays, (&before, &books), usize::MAX).await;
    let (paid, books) = (town.file("paid.db"), town.bank.books());
    copy(&town.file(&format!("{:?}-{}.db", Story::Pays, usize::MAX)), &paid);
    let given = every(&town, Story::Refunds, &paid, &books).await;
    assert!(given >= 2, "{given}");
    eprintln!("{kind:?}: {steps}, {cancelled} and {given} windows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_a_crash_in_any_window_books_once_at_the_gateway_for_tests() {
    whatever_a_crash_interrupts(Kind::Test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_a_crash_in_any_window_books_once_at_zarinpal() {
    whatever_a_crash_interrupts(Kind::Zarinpal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_3_a_crash_in_any_window_books_once_at_stripe() {
    whatever_a_crash_interrupts(Kind::Stripe).await;
}
