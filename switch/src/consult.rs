//! Questions of scenarios to merchants: from the engine's thread to the doors, and their answers back.

use api::ApiState;
use call::Reply;
use facts::scenario::Question;
use tokio::sync::{mpsc, watch};

use crate::inbox::{Fact, Inbox};

/// Questions under way at most; whatever is asked beyond is answered at once that there is no answer.
const UNDER_WAY_MAX: usize = 512;

/// Where the engine puts them.
#[derive(Clone, Debug)]
pub(crate) struct Consults {
    sender: mpsc::Sender<Question>,
    inbox: Inbox,
}

/// Where they are taken from.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Question>);

impl Consults {
    pub(crate) fn new(inbox: Inbox) -> (Consults, Questions) {
        let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
        (Consults { sender, inbox }, Questions(receiver))
    }

    /// Never waits.
    pub(crate) fn put(&self, question: Question) {
        if let Err(error) = self.sender.try_send(question) {
            let (mpsc::error::TrySendError::Full(question)
            | mpsc::error::TrySendError::Closed(question)) = error;
            tracing::warn!(call = %question.call, "a scenario asks, and too many others do");
            let Question { call, turn, .. } = question;
            self.inbox.fact(Fact::Reply(Reply::Consulted { call, turn, told: None }));
        }
    }
}

/// Puts them to merchants, many at once, until the doors close.
pub(crate) async fn run(
    state: ApiState,
    inbox: Inbox,
    mut questions: Questions,
    mut stop: watch::Receiver<bool>,
) {
    let room = std::sync::Arc::new(tokio::sync::Semaphore::new(UNDER_WAY_MAX));
    loop {
        let question = tokio::select! {
            question = questions.0.recv() => question,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(question) = question else { return };
        let Ok(place) = std::sync::Arc::clone(&room).acquire_owned().await else { return };
        let (state, inbox) = (state.clone(), inbox.clone());
        tokio::spawn(async move {
            let (call, turn) = (question.call, question.turn);
            let told = api::scenarios::consult(&state, question).await;
            inbox.fact(Fact::Reply(Reply::Consulted { call, turn, told }));
            drop(place);
        });
    }
}
