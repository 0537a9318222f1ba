//! Messages: a call that goes to a mailbox, and what is kept of it.

use facts::media::RecordedFile;
use facts::record::Message;
use facts::{LegId, LegNo, UnixMillis};

use crate::call::Call;
use crate::divert::Wish;
use crate::event::Effect;
use crate::flow::{Flow, Voicemail};
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

impl Call {
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
            w.emit(Effect::Discard { call: self.id, file: file.file.clone() });
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
