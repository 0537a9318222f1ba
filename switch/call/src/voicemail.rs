//! Messages: a call that goes to a mailbox, and what is kept of it; and a call by which the owner of a mailbox
//! listens to what is in it.

use std::collections::VecDeque;

use facts::media::RecordedFile;
use facts::record::Message;
use facts::{CallId, LegId, LegNo, UnixMillis};

use crate::call::Call;
use crate::divert::Wish;
use crate::event::{Effect, Input, Kept, Mail};
use crate::flow::{Flow, Voicemail};
use crate::serve::Service;
use crate::timers::{Key, Timer};
use crate::world::World;

/// Where a call leaves a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mailbox {
    /// Of this extension.
    user: String,
    /// Since when it speaks.
    since: Option<UnixMillis>,
}

impl Mailbox {
    /// Whose.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }
}

/// What the owner of a mailbox listens to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listening {
    /// The extension.
    user: String,
    /// What comes, in this order.
    next: VecDeque<Kept>,
    /// The message that is heard, or was last.
    at: Option<Kept>,
    /// The store is asked to take away the message of this call.
    deleting: Option<CallId>,
}

impl Listening {
    /// New messages, oldest first; where there are none, those that were kept.
    fn new(user: String, kept: Vec<Kept>) -> Listening {
        let any = kept.iter().any(|kept| !kept.heard);
        let next = kept.into_iter().filter(|kept| !any || !kept.heard).collect();
        Listening { user, next, at: None, deleting: None }
    }
}

impl Call {
    /// What the mailbox holds that A wants to listen to. The first answer counts.
    pub(crate) fn mail(&mut self, w: &mut World, kept: Option<Vec<Kept>>) {
        let Some(Service::Mailbox { user }) = self.service.take_if(is_mailbox) else { return };
        w.timers.cancel(Key::call(self.id, Timer::Serve));
        let told = match kept {
            None => Mail::Away,
            Some(kept) => {
                // Nobody listens to his mailbox for longer than he may talk.
                w.timers.set(Key::call(self.id, Timer::Max), w.now.mono + self.plan.max_talk);
                let listening = Listening::new(user, kept);
                let any = !listening.next.is_empty();
                self.listening = Some(listening);
                Mail::Fetched { any }
            }
        };
        self.feed(w, Input::Mail(told));
    }

    /// The store takes too long.
    pub(crate) fn mail_away(&mut self, w: &mut World) {
        let asked = self.service.take_if(is_mailbox).is_some();
        let deleting = self.listening.as_mut().and_then(|listening| listening.deleting.take());
        if asked || deleting.is_some() {
            self.feed(w, Input::Mail(Mail::Away));
        }
    }

    /// What the store did about a message that was to go.
    pub(crate) fn mail_deleted(&mut self, w: &mut World, message: CallId, done: bool) {
        let Some(listening) = &mut self.listening else { return };
        if listening.deleting.take_if(|asked| *asked == message).is_some() {
            w.timers.cancel(Key::call(self.id, Timer::Serve));
            self.feed(w, Input::Mail(if done { Mail::Deleted } else { Mail::Away }));
        }
    }

    /// Goes on to the next message.
    pub(crate) fn next_message(&mut self) {
        let next = self.listening.as_mut().and_then(|listening| {
            listening.at = listening.next.pop_front();
            listening.at.as_ref()
        });
        let told = if next.is_some() { Mail::Another } else { Mail::NoMore };
        self.inbox.push_back(Input::Mail(told));
    }

    /// Lets A hear it.
    pub(crate) fn play_message(&mut self, w: &mut World) {
        let Some(kept) = self.listening.as_ref().and_then(|listening| listening.at.clone()) else {
            return;
        };
        self.with(LegNo::A, |leg, _| leg.play(w, kept.file, kept.length));
    }

    /// A has heard it.
    pub(crate) fn message_heard(&mut self, w: &mut World) {
        let Some(Listening { user, at: Some(kept), .. }) = &mut self.listening else { return };
        if !std::mem::replace(&mut kept.heard, true) {
            let (user, message) = (user.clone(), kept.message);
            w.emit(Effect::HearMail { call: self.id, user, message });
        }
    }

    /// A wants it gone.
    pub(crate) fn delete_message(&mut self, w: &mut World) {
        let Some(Listening { user, at: Some(kept), deleting, .. }) = &mut self.listening else {
            return;
        };
        let (user, message) = (user.clone(), kept.message);
        *deleting = Some(message);
        self.await_store(w);
        w.emit(Effect::DeleteMail { call: self.id, user, message });
    }

    /// The leg that was rung has failed, and a mailbox takes its place.
    pub(crate) fn divert_to_mailbox(&mut self, w: &mut World, wish: Wish, user: String) {
        self.plan.trail = wish.trail;
        self.enter_mailbox(w, user);
        self.run(w);
    }

    /// From now on it is with a mailbox.
    pub(crate) fn enter_mailbox(&mut self, w: &mut World, user: String) {
        self.mailbox = Some(Mailbox { user, since: None });
        let mut orders = Vec::new();
        self.plan.flow = Flow::Voicemail(Voicemail::start(&mut orders));
        self.perform(w, orders);
    }

    /// A speaks: its voice alone is kept, and nothing that it might have heard.
    pub(crate) fn tape(&mut self, w: &mut World) {
        let at = self.clock(w.now.mono);
        let Some(mailbox) = &mut self.mailbox else { return };
        mailbox.since = Some(at);
        self.record(w, (LegId::new(self.id, LegNo::A), None));
        let end = w.now.mono + w.config.voicemail.max;
        w.timers.set(Key::call(self.id, Timer::Max), end);
    }

    /// Tells a finished file of a mailbox from one of a conversation. A message too short to be one is thrown
    /// away.
    pub(crate) fn message(
        &self,
        w: &mut World,
        file: Option<RecordedFile>,
    ) -> (Option<RecordedFile>, Option<Message>) {
        let (Some(mailbox), Some(file)) = (&self.mailbox, &file) else { return (file, None) };
        if u128::from(file.duration_ms) < w.config.voicemail.min.as_millis() {
            self.discard(w, file);
            return (None, None);
        }
        let message = Message {
            mailbox: mailbox.user.clone(),
            caller: self.command.a.as_sent.clone(),
            at: mailbox.since.unwrap_or(self.placed),
            file: file.clone(),
        };
        (None, Some(message))
    }
}

fn is_mailbox(service: &mut Service) -> bool {
    matches!(service, Service::Mailbox { .. })
}
