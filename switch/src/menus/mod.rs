//! Menus of system 003 between the engine, the store and the merchants' pages.
//!
//! The first step of a session opens it in the store, which takes what it costs, before its page is visited. Opening
//! and end of a session are written in this order; the end is written for as long as it takes. A session of which
//! nobody knows whether it was opened is not led to its page, and gets back what was taken for it when its end is
//! written.

mod counts;
mod screens;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::ApiState;
use billing::Store;
use billing::menus::Opened;
use call::Reply;
use facts::ussd::{Door, Over, Screen, Step};
use facts::{CallId, MerchantId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::inbox::{Fact, Inbox};
use crate::lanes::Lanes;
use crate::ledger::{UNTIL_DONE, insist};
use crate::places::{Place, Places};
use crate::smpp::Smpp;

pub(crate) use counts::MenuCounts;
pub(crate) use screens::{Next, Screens};

/// Visits under way at most; whoever comes beyond sees at once that there is no service.
const UNDER_WAY_MAX: usize = 1024;
/// Those of one merchant: a page that does not answer takes nobody else's places.
const OF_ONE_MAX: usize = 256;
/// How long the store may take to open a session. The engine waits for a page a little longer than its code says.
const OPENING: Duration = Duration::from_millis(1500);

/// Where the engine puts steps, screens and ends. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Menus(Arc<Inner>);

struct Inner {
    sender: mpsc::Sender<Waiting>,
    places: Places,
    inbox: Inbox,
    store: Store,
    /// Opening and end of each session.
    lanes: Lanes<CallId>,
    /// Sessions of which nobody knows whether they were opened, and whose they are.
    unsure: Mutex<BTreeMap<CallId, MerchantId>>,
    screens: Arc<Screens>,
    /// Where subscribers of networks see theirs.
    smpp: Smpp,
    counts: MenuCounts,
    /// Writes that are not done.
    busy: AtomicUsize,
}

/// A step that has a place.
#[derive(Debug)]
struct Waiting {
    step: Step,
    /// Of a first step: what comes of its opening.
    opening: Option<oneshot::Receiver<Opened>>,
    place: Place,
}

/// Where steps are taken from.
#[derive(Debug)]
pub(crate) struct Steps(mpsc::Receiver<Waiting>);

/// A write that is not done until this is dropped.
struct Busy(Menus);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Menus {
    pub(crate) fn new(inbox: Inbox, store: Store, smpp: Smpp, runtime: Handle) -> (Menus, Steps) {
        let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
        let menus = Menus(Arc::new(Inner {
            sender,
            places: Places::new(OF_ONE_MAX, UNDER_WAY_MAX),
            inbox,
            store,
            lanes: Lanes::new(runtime),
            unsure: Mutex::default(),
            screens: Arc::default(),
            smpp,
            counts: MenuCounts::default(),
            busy: AtomicUsize::new(0),
        }));
        (menus, Steps(receiver))
    }

    /// What whoever tries menus out is to see.
    pub(crate) fn screens(&self) -> Arc<Screens> {
        Arc::clone(&self.0.screens)
    }

    pub(crate) fn counts(&self) -> &MenuCounts {
        &self.0.counts
    }

    /// Writes that are not done.
    pub(crate) fn busy(&self) -> usize {
        self.0.busy.load(Ordering::Relaxed)
    }

    /// Asks the page of a step. Never waits.
    pub(crate) fn ask(&self, step: Step) {
        match step.door {
            Door::Simulator if step.number == 1 => {
                self.0.screens.begin(step.session, step.merchant);
            }
            Door::Smpp if step.number == 1 => self.0.smpp.begin(step.session),
            _ => {}
        }
        let (session, number, merchant) = (step.session, step.number, step.merchant.0);
        let place = self.0.places.take(step.merchant);
        let put = |place| {
            // Here, in the engine's order: the end of a session is never written before it.
            let opening = (step.number == 1).then(|| self.open(&step));
            self.0.sender.try_send(Waiting { step, opening, place }).is_ok()
        };
        if !place.is_some_and(put) {
            tracing::warn!(%session, number, merchant, "a menu's page is not visited: too many are");
            self.0.screens.note(session, "it was not asked: too many pages are being asked".into());
            self.answer((session, number), Screen::Unavailable);
        }
    }

    /// This is to be seen at a door that is not SIP's.
    pub(crate) fn show(&self, session: CallId, text: String, more: bool) {
        self.0.smpp.show(session, &text, more);
        self.0.screens.show(session, text, more);
    }

    /// A session is over: that is written for as long as it takes. Never waits.
    pub(crate) fn over(&self, over: Over) {
        self.0.counts.ended(over.end);
        self.0.screens.end(over.session);
        self.0.smpp.over(over.session, over.end);
        let (this, at) = (self.clone(), clock::wall());
        self.in_order(over.session, async move {
            let back = this.unsure().remove(&over.session);
            let close = || this.0.store.close_menu(over, back, at);
            if let Err(error) = insist(UNTIL_DONE, close).await {
                let session = over.session;
                tracing::error!(%session, %error, "the end of a menu's session was not written");
            }
        });
    }

    fn in_order(&self, session: CallId, work: impl Future<Output = ()> + Send + 'static) {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        let busy = Busy(self.clone());
        self.0.lanes.push(session, move || {
            Box::pin(async move {
                work.await;
                drop(busy);
            })
        });
    }

    fn unsure(&self) -> MutexGuard<'_, BTreeMap<CallId, MerchantId>> {
        self.0.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session in the store.
    fn open(&self, step: &Step) -> oneshot::Receiver<Opened> {
        let (sender, receiver) = oneshot::channel();
        let (this, step, at) = (self.clone(), step.clone(), clock::wall());
        let (session, merchant) = (step.session, step.merchant);
        self.in_order(session, async move {
            this.unsure().insert(session, merchant);
            match this.0.store.open_menu(step, at).await {
                // Unless whoever asked has given up.
                Ok(opened) if sender.send(opened).is_ok() => {
                    this.unsure().remove(&session);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%session, %error, "a menu's session was not opened");
                }
            }
        });
        receiver
    }

    /// What is to be seen after a step.
    async fn screen(
        &self,
        state: &ApiState,
        step: &Step,
        opening: Option<oneshot::Receiver<Opened>>,
    ) -> Screen {
        if let Some(opening) = opening {
            match opened(opening).await {
                Some(Opened::Now) => {}
                Some(Opened::Unpaid) => return Screen::Unpaid,
                Some(Opened::Gone) | None => {
                    let why = "it was not asked: the switch could not open the session";
                    self.0.screens.note(step.session, why.into());
                    return Screen::Unavailable;
                }
            }
        }
        let begun = Instant::now();
        let seen = api::menus::visit(state, step).await;
        self.0.counts.visited(&seen.screen, begun.elapsed());
        if let Some(note) = seen.note {
            self.0.screens.note(step.session, note);
        }
        seen.screen
    }

    fn answer(&self, (session, number): (CallId, u32), screen: Screen) {
        self.0.inbox.fact(Fact::Reply(Reply::Screen { session, number, screen }));
    }
}

/// What came of an opening; `None`: nobody knows.
async fn opened(mut opening: oneshot::Receiver<Opened>) -> Option<Opened> {
    match tokio::time::timeout(OPENING, &mut opening).await {
        Ok(opened) => opened.ok(),
        Err(_) => {
            // It may have come at the last moment; from here on it comes too late.
            opening.close();
            opening.try_recv().ok()
        }
    }
}

/// Visits pages, many at once, until the doors close.
pub(crate) async fn run(
    state: ApiState,
    menus: Menus,
    mut steps: Steps,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(tokio::sync::Semaphore::new(UNDER_WAY_MAX));
    loop {
        let waiting = tokio::select! {
            waiting = steps.0.recv() => waiting,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(Waiting { step, opening, place }) = waiting else { return };
        let Ok(under_way) = Arc::clone(&room).acquire_owned().await else { return };
        let (state, menus) = (state.clone(), menus.clone());
        tokio::spawn(async move {
            let of = (step.session, step.number);
            let screen = menus.screen(&state, &step, opening).await;
            menus.answer(of, screen);
            drop((place, under_way));
        });
    }
}

#[cfg(test)]
mod tests;
