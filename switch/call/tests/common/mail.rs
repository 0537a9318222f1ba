//! Who keeps the messages of mailboxes: answers at once unless it is away.

use call::{Command, Effect, Kept, Reply};
use facts::CallId;

use super::{Sim, s};

/// The mailbox of one extension.
#[derive(Default)]
pub struct Store {
    /// What it holds, oldest first.
    pub kept: Vec<Kept>,
    /// It answers nothing.
    pub away: bool,
    /// It fails at whatever is asked.
    pub fails: bool,
    /// Messages that were heard, as it was told.
    pub heard: Vec<u64>,
    /// Messages that were to go, as it was told.
    pub deleted: Vec<u64>,
}

/// A message of ten seconds that a call has left.
pub fn kept(call: u64, heard: bool) -> Kept {
    Kept { message: CallId(call), file: format!("ab/{call}.mp3"), length: s(10), heard }
}

impl Sim {
    pub fn mail(&mut self, effect: Effect) {
        let store = &mut self.mailbox;
        let (reply, user) = match effect {
            Effect::FetchMail { call, user } => {
                let kept = (!store.fails).then(|| store.kept.clone());
                (Some(Reply::Mail { call, kept }), user)
            }
            Effect::HearMail { user, message, .. } => {
                store.heard.push(message.0);
                let found = store.kept.iter_mut().find(|kept| kept.message == message);
                found.into_iter().for_each(|kept| kept.heard = true);
                (None, user)
            }
            Effect::DeleteMail { call, user, message } => {
                store.deleted.push(message.0);
                let done = !store.fails;
                store.kept.retain(|kept| !done || kept.message != message);
                (Some(Reply::MailDeleted { call, message, done }), user)
            }
            _ => return,
        };
        let old = store.kept.iter().filter(|kept| kept.heard).count() as u32;
        let new = store.kept.len() as u32 - old;
        if store.away {
            return;
        }
        let now = self.now;
        self.engine.handle_command(now, Command::Mailbox { user, new, old });
        if let Some(reply) = reply {
            self.engine.handle_reply(now, reply);
        }
    }
}
