//! Mailboxes: what they hold, what was heard, what goes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use billing::Once;
use billing::rows::MailboxCount;
use call::{Command, Kept, Reply};
use facts::CallId;

use super::{Ledger, Owed, TRIES, insist};
use crate::inbox::Fact;
use crate::{clock, upload};

/// Messages of one mailbox that its owner is given to listen to: as many as it may hold.
const MESSAGES_MAX: u32 = 100;

impl Ledger {
    /// Tells the engine what a mailbox holds, as the store has it now.
    pub(super) fn tell_mailbox(&self, user: String) {
        let this = self.clone();
        self.0.users.push(user.clone(), move || {
            Box::pin(async move {
                match insist(TRIES, || this.0.store.mailbox(user.clone())).await {
                    Ok(MailboxCount { mailbox: user, new, old }) => {
                        let told = Command::Mailbox { user, new, old };
                        this.0.inbox.fact(Fact::Command(told));
                    }
                    Err(error) => tracing::warn!(%error, "a mailbox could not be counted"),
                }
            })
        });
    }

    /// Tells the engine what a mailbox holds, whose owner listens.
    pub(crate) fn fetch_mail(&self, call: CallId, user: String) {
        let owed = Owed::new(&self.0.inbox, Reply::Mail { call, kept: None });
        let this = self.clone();
        self.in_order(call, async move {
            let page = (CallId(0), MESSAGES_MAX);
            match this.0.store.voicemail(Some(user), None, page).await {
                Ok(found) => {
                    let kept = found.into_iter().map(|row| Kept {
                        message: row.call,
                        file: row.file,
                        length: Duration::from_millis(row.duration_ms),
                        heard: row.heard,
                    });
                    owed.pay(Reply::Mail { call, kept: Some(kept.collect()) });
                }
                Err(error) => tracing::warn!(%call, %error, "a mailbox could not be read"),
            }
        });
    }

    /// A message was heard by its owner.
    pub(crate) fn hear_mail(&self, call: CallId, user: String, message: CallId) {
        let this = self.clone();
        self.in_order(call, async move {
            match insist(TRIES, || this.0.store.hear_voice_message(message)).await {
                Ok(()) => {
                    this.0.counts.mail_heard.fetch_add(1, Ordering::Relaxed);
                    this.tell_mailbox(user);
                }
                Err(error) => this.failed("note that a message was heard", &error),
            }
        });
    }

    /// Takes a message out of its mailbox: the row first, so that nothing is listed that cannot be played.
    pub(crate) fn delete_mail(&self, call: CallId, user: String, message: CallId) {
        let owed = Owed::new(&self.0.inbox, Reply::MailDeleted { call, message, done: false });
        let this = self.clone();
        self.in_order(call, async move {
            let gone = match Once::fresh() {
                Ok(once) => {
                    let at = clock::wall();
                    this.0.store.delete_own_message(&once, at, user.clone(), message).await
                }
                Err(error) => Err(error),
            };
            let gone = match gone {
                Ok(gone) => gone,
                Err(error) => return this.failed("delete a message", &error),
            };
            owed.pay(Reply::MailDeleted { call, message, done: true });
            let Some(gone) = gone else { return };
            this.0.counts.mail_deleted.fetch_add(1, Ordering::Relaxed);
            let path = this.0.recordings.folder.join(gone.file);
            if let Err(error) = upload::remove(path).await {
                tracing::warn!(%call, %error, "the file of a deleted message could not be removed");
            }
            this.tell_mailbox(user);
        });
    }
}
