//! Short messages between the store and lines of the program's own: to phones that are registered here, from phones to
//! numbers of the operator's.

use std::sync::Arc;
use std::time::Duration;

use api::ApiState;
use call::{Answer, Command, Reply};
use facts::ports::{Promise, Texts};
use facts::sms::{Arrived, LinkStatus, Sent, Text};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::calls::Door;
use crate::inbox::{Fact, Inbox};

/// The engine waits for phones a little less.
const TEXT_MAX: Duration = Duration::from_secs(30);
/// Messages of phones that are being kept at most; beyond that phones are told to try again.
const UNDER_WAY_MAX: usize = 256;
/// The store has so long: the engine answers the phone after a while without it.
const KEEPING: Duration = Duration::from_secs(20);

/// Lines to networks, by their names in the operator's file.
pub(crate) trait Links: Send + Sync + std::fmt::Debug + 'static {
    /// Sends a message; [`Sent::NotHere`] where there is no such line.
    fn send(&self, link: String, text: Text) -> Promise<Sent>;

    /// How they stand, by name.
    fn links(&self) -> Vec<LinkStatus>;
}

/// By which messages leave.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) door: Arc<Door>,
    pub(crate) links: Option<Arc<dyn Links>>,
}

impl Texts for Lines {
    fn to_phone(&self, text: Text) -> Promise<Sent> {
        let text = Box::new(text);
        let answer = self.door.asked(TEXT_MAX, move |token| Command::Text { token, text });
        Box::pin(async move {
            match answer.await {
                Some(Answer::Texted(sent)) => sent,
                _ => Sent::Later("the engine does not answer".to_owned()),
            }
        })
    }

    fn by_link(&self, link: String, text: Text) -> Promise<Sent> {
        match &self.links {
            Some(links) => links.send(link, text),
            None => Box::pin(std::future::ready(Sent::NotHere)),
        }
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.links.as_ref().map(|links| links.links()).unwrap_or_default()
    }
}

/// Where the engine puts what phones write. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    sender: mpsc::Sender<(u64, Arrived)>,
    inbox: Inbox,
}

/// Where it is taken from.
#[derive(Debug)]
pub(crate) struct Arriving(mpsc::Receiver<(u64, Arrived)>);

impl Written {
    pub(crate) fn new(inbox: Inbox) -> (Written, Arriving) {
        let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
        (Written { sender, inbox }, Arriving(receiver))
    }

    /// Never waits.
    pub(crate) fn put(&self, message: u64, text: Arrived) {
        if self.sender.try_send((message, text)).is_err() {
            tracing::warn!("a phone's message is not kept: too many are");
            self.answer(message, false);
        }
    }

    fn answer(&self, message: u64, kept: bool) {
        self.inbox.fact(Fact::Reply(Reply::Texted { message, kept }));
    }
}

/// Keeps what phones write, until the doors close.
pub(crate) async fn run(
    state: ApiState,
    written: Written,
    mut arriving: Arriving,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    loop {
        let next = tokio::select! {
            next = arriving.0.recv() => next,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some((message, text)) = next else { return };
        let Ok(under_way) = Arc::clone(&room).acquire_owned().await else { return };
        let (state, written) = (state.clone(), written.clone());
        tokio::spawn(async move {
            let keeping = tokio::time::timeout(KEEPING, api::sms::arrived(&state, text));
            let kept = match keeping.await {
                Ok(Ok(_)) => true,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a phone's message cannot be kept");
                    false
                }
                Err(_) => false,
            };
            written.answer(message, kept);
            drop(under_way);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::inbox;

    #[test]
    fn what_is_more_than_can_be_kept_is_answered_at_once() {
        let (inbox, _outlet) = inbox(8).unwrap();
        let (written, _arriving) = Written::new(inbox.clone());
        let text = Arrived {
            link: String::new(),
            once: "1".into(),
            from: "80001".into(),
            to: "3000".into(),
            text: "x".into(),
        };
        for message in 0..UNDER_WAY_MAX as u64 {
            written.put(message, text.clone());
        }
        assert_eq!(inbox.facts_waiting(), 0);
        written.put(1_000, text);
        assert_eq!(inbox.facts_waiting(), 1);
    }
}
