//! Questions of scenarios to merchants: from the engine's thread to the doors, and their answers back.

use std::sync::Arc;
use std::time::Instant;

use api::ApiState;
use call::Reply;
use facts::scenario::{Question, Told};
use tokio::sync::{mpsc, watch};

use crate::inbox::{Fact, Inbox};
use crate::places::{Place, Places};

/// Questions under way at most; whatever is asked beyond is answered at once that there is no answer.
const UNDER_WAY_MAX: usize = 512;
/// Those of one merchant: a server that does not answer takes nobody else's places.
const OF_ONE_MAX: usize = 32;

/// A question that has a place, and when its answer is of no use any more.
#[derive(Debug)]
struct Waiting {
    question: Question,
    until: Instant,
    place: Place,
}

/// Where the engine puts them.
#[derive(Clone, Debug)]
pub(crate) struct Consults {
    sender: mpsc::Sender<Waiting>,
    places: Places,
    inbox: Inbox,
}

/// Where they are taken from.
#[derive(Debug)]
pub(crate) struct Questions(mpsc::Receiver<Waiting>);

impl Consults {
    pub(crate) fn new(inbox: Inbox) -> (Consults, Questions) {
        let (sender, receiver) = mpsc::channel(UNDER_WAY_MAX);
        (
            Consults { sender, places: Places::new(OF_ONE_MAX, UNDER_WAY_MAX), inbox },
            Questions(receiver),
        )
    }

    /// Never waits.
    pub(crate) fn put(&self, question: Question) {
        let (call, turn, merchant) = (question.call, question.turn, question.merchant.0);
        // Its time runs from here on, also while it waits to be put.
        let until = Instant::now() + question.wait;
        let place = self.places.take(question.merchant);
        let put = |place| self.sender.try_send(Waiting { question, until, place }).is_ok();
        if !place.is_some_and(put) {
            tracing::warn!(%call, merchant, "a scenario asks, and too many others do");
            answer(&self.inbox, (call, turn), None);
        }
    }
}

fn answer(inbox: &Inbox, (call, turn): (facts::CallId, u8), told: Option<Told>) {
    inbox.fact(Fact::Reply(Reply::Consulted { call, turn, told }));
}

/// Puts them to merchants, many at once, until the doors close.
pub(crate) async fn run(
    state: ApiState,
    inbox: Inbox,
    mut questions: Questions,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(tokio::sync::Semaphore::new(UNDER_WAY_MAX));
    loop {
        let waiting = tokio::select! {
            waiting = questions.0.recv() => waiting,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        let Some(Waiting { mut question, until, place }) = waiting else { return };
        let Ok(under_way) = Arc::clone(&room).acquire_owned().await else { return };
        let (state, inbox) = (state.clone(), inbox.clone());
        tokio::spawn(async move {
            let of = (question.call, question.turn);
            question.wait = until.saturating_duration_since(Instant::now());
            let told = api::scenarios::consult(&state, question).await;
            answer(&inbox, of, told);
            drop((place, under_way));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use facts::{CallId, MerchantId};

    use super::*;
    use crate::inbox::inbox;

    #[test]
    fn f17_a_server_that_does_not_answer_takes_no_places_of_other_merchants() {
        let (inbox, _outlet) = inbox(8).unwrap();
        let (consults, mut questions) = Consults::new(inbox.clone());
        let ask = |merchant| {
            consults.put(Question {
                call: CallId(1),
                merchant: MerchantId(merchant),
                turn: 1,
                context: "{}".into(),
                wait: Duration::from_secs(2),
                keys: vec![],
            });
            inbox.facts_waiting()
        };
        let begun = Instant::now();
        for _ in 0..OF_ONE_MAX {
            assert_eq!(ask(1), 0, "it waits for its answer");
        }
        assert_eq!(ask(1), 1, "one too many is answered at once");
        assert_eq!(ask(2), 1, "another merchant's is put");
        // Its time runs while it waits to be put, and its place is free once it is over.
        let first = questions.0.try_recv().unwrap();
        let left = first.until.saturating_duration_since(begun + Duration::from_secs(1));
        assert!(left >= Duration::from_secs(1) && left < Duration::from_secs(2), "{left:?}");
        drop(first);
        assert_eq!((ask(1), ask(1)), (1, 2));
    }
}
