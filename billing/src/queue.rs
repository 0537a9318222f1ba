//! Writes asked for without waiting, in order, by a thread that may not wait.
//!
//! SQLite's writer does one unit after the other, so whoever queues needs no order of its own: what a call
//! asks for is done as it was asked for. Each answer is given once, on the writer's thread, after the commit
//! or when the unit was given up; an answer must be brief.

use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg};
use facts::record::{CallFacts, CallRecord, StateChange};
use facts::time::UnixMillis;
use facts::{CallId, LegId, MerchantId};

use crate::db::{Lite, Manner, Work, work};
use crate::error::Result;
use crate::rows::Binding;
use crate::spending::Alerts;
use crate::store::SettleContext;
use crate::tariffs::Tariffs;
use crate::{bindings, call, journal, outbox, settle};

/// The way to SQLite's writer for those who do not wait. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    lite: Lite,
    tariffs: Tariffs,
    alerts: Alerts,
}

impl Queue {
    pub(crate) fn new(lite: Lite, tariffs: Tariffs, alerts: Alerts) -> Queue {
        Queue { lite, tariffs, alerts }
    }

    /// [`crate::Store::authorize`]; committed at once.
    pub fn authorize(
        &self,
        ask: Authorize,
        then: impl FnOnce(Result<Authorized>) + Send + 'static,
    ) {
        let (tariffs, alerts) = (self.tariffs.clone(), self.alerts.clone());
        let work: Work<_> = work!(conn, [tariffs, alerts, ask] =>
            call::authorize(conn, (&tariffs, &alerts), &ask).await?);
        self.lite.queue(work, Manner::ADMISSION, then);
    }

    /// [`crate::Store::abandon`]; tried again for a minute while the database is away.
    pub fn abandon(
        &self,
        call: CallId,
        merchant: MerchantId,
        then: impl FnOnce(Result<bool>) + Send + 'static,
    ) {
        let work: Work<_> = work!(conn, [] => call::abandon(conn, call, merchant).await?);
        self.lite.queue(work, Manner::NOW.insisting(), then);
    }

    /// [`crate::Store::add_leg`]; committed at once.
    pub fn add_leg(&self, ask: AddLeg, then: impl FnOnce(Result<Added>) + Send + 'static) {
        let (tariffs, alerts) = (self.tariffs.clone(), self.alerts.clone());
        let work: Work<_> = work!(conn, [tariffs, alerts, ask] =>
            call::add_leg(conn, (&tariffs, &alerts), &ask).await?);
        self.lite.queue(work, Manner::NOW, then);
    }

    /// [`crate::Store::extend`]; committed at once.
    pub fn extend(&self, ask: Extend, then: impl FnOnce(Result<Extended>) + Send + 'static) {
        let alerts = self.alerts.clone();
        let work: Work<_> = work!(conn, [alerts, ask] => call::extend(conn, &alerts, &ask).await?);
        self.lite.queue(work, Manner::NOW, then);
    }

    /// [`crate::Store::settle`]; committed soon.
    pub fn settle(
        &self,
        facts: CallFacts,
        context: SettleContext,
        then: impl FnOnce(Result<CallRecord>) + Send + 'static,
    ) {
        let work: Work<_> =
            work!(conn, [facts, context] => settle::settle(conn, &facts, &context).await?);
        self.lite.queue(work, Manner::SOON, then);
    }

    /// [`crate::Store::journal`]; committed at once or soon, tried again for a minute while the database is
    /// away. Of several rows of a leg that wait, the latest is written.
    pub fn journal(
        &self,
        leg: JournalLeg,
        at_once: bool,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let manner = if at_once { Manner::NOW } else { Manner::SOON };
        let manner = manner.insisting().row_of(leg.leg);
        self.lite.queue_row(work!(conn, [leg] => journal::leg(conn, &leg).await?), manner, then);
    }

    /// [`crate::Store::papers`]; committed at once or soon, tried again for a minute while the database is away.
    pub fn papers(
        &self,
        leg: LegId,
        dialog: Option<Vec<u8>>,
        at_once: bool,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let manner = if at_once { Manner::NOW } else { Manner::SOON };
        let work: Work<_> =
            work!(conn, [dialog] => journal::papers(conn, leg, dialog.as_deref()).await?);
        self.lite.queue(work, manner.insisting(), then);
    }

    /// [`crate::Store::notify`]; committed soon, tried again until the database is back: a merchant who was
    /// promised every state is not told of some. What waits is bounded by the line.
    pub fn notify(&self, change: StateChange, then: impl FnOnce(Result<()>) + Send + 'static) {
        let work: Work<_> = work!(conn, [change] => outbox::notify(conn, &change).await?);
        self.lite.queue(work, Manner::SOON.waiting(), then);
    }

    /// [`crate::Store::alive`]; committed soon.
    pub fn alive(
        &self,
        calls: Vec<CallId>,
        at: UnixMillis,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let work: Work<_> = work!(conn, [calls] => journal::alive(conn, &calls, at).await?);
        self.lite.queue(work, Manner::SOON, then);
    }

    /// [`crate::Store::save_binding`]; committed soon.
    pub fn save_binding(&self, binding: Binding, then: impl FnOnce(Result<()>) + Send + 'static) {
        let work: Work<_> = work!(conn, [binding] => bindings::save(conn, &binding).await?);
        self.lite.queue(work, Manner::SOON.insisting(), then);
    }

    /// [`crate::Store::drop_binding`]; committed soon.
    pub fn drop_binding(
        &self,
        extension: String,
        contact: String,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let work: Work<_> = work!(conn, [extension, contact] =>
            bindings::forget(conn, &extension, &contact).await?);
        self.lite.queue(work, Manner::SOON.insisting(), then);
    }
}
