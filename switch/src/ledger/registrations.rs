//! Writes that nobody waits for: registrations, and the proof that calls are alive.

use std::sync::atomic::Ordering;

use billing::Error;
use facts::{Binding, CallId, UnixMillis};

use super::{Asked, Ledger};

impl Ledger {
    pub(crate) fn alive(&self, calls: Vec<CallId>, at: UnixMillis) {
        let count = calls.len();
        let after = self.noted(move |error| {
            tracing::warn!(count, %error, "proof of life was not written");
        });
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.0.users.push(String::new(), move || {
                Box::pin(async move { after(this.0.store.alive(calls, at).await) })
            });
        };
        queue.alive(calls, at, after);
    }

    pub(crate) fn save_binding(&self, binding: Binding) {
        self.0.directory.keep(&binding);
        let row = billing::rows::Binding {
            detail: serde_json::to_string(&binding).unwrap_or_default(),
            extension: binding.user,
            contact: binding.key,
            expires: binding.expires,
        };
        let after =
            self.noted(|error| tracing::warn!(%error, "a registration was not written down"));
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.0.users.push(row.extension.clone(), move || {
                Box::pin(async move { after(this.0.store.save_binding(row).await) })
            });
        };
        queue.save_binding(row, after);
    }

    pub(crate) fn drop_binding(&self, user: String, key: String) {
        self.0.directory.forget(&user, &key);
        let after = self.noted(|error| {
            tracing::warn!(%error, "a registration was not taken out of the books");
        });
        let Some(queue) = &self.0.queue else {
            let this = self.clone();
            return self.0.users.push(user.clone(), move || {
                Box::pin(async move { after(this.0.store.drop_binding(user, key).await) })
            });
        };
        queue.drop_binding(user, key, after);
    }

    /// What follows a write that has no answer: a failure is counted and told.
    pub(super) fn noted(
        &self,
        tell: impl FnOnce(Error) + Send + 'static,
    ) -> impl FnOnce(billing::Result<()>) + Send + 'static {
        let asked = Asked::new(self);
        move |result| {
            if let Err(error) = result {
                asked.0.0.counts.failures.fetch_add(1, Ordering::Relaxed);
                tell(error);
            }
            drop(asked);
        }
    }
}
