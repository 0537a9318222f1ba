//! Messages out: each in parts that leave one behind the other, whichever of them fails, and by no other way once one has.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use billing::Store;
use facts::UnixMillis;
use facts::sms::{Sent, Text};

use super::line::{self, Line};
use super::session::{Outcome, Rank};
use super::wire::{Message, status};
use super::{Smpp, parts, receipts};
use crate::clock;

/// How long a message, or a part of one, may wait to be sent; its answer comes within ten seconds more.
const PATIENCE: Duration = Duration::from_secs(18);
const ANSWERED: Duration = Duration::from_secs(11);
/// How long all parts of a message may take; what has not left by then is tried again.
const WHOLE: Duration = Duration::from_secs(75);
/// A network tries for this many seconds at least: its clock may not be ours.
const VALIDITY_MIN: u32 = 60;
/// Messages of which some parts have left and others are to follow, at most.
const BEGUN_MAX: usize = 10_000;

/// References of the parts that have left, by link and message, and since when: of what has no row, and while the store
/// is away.
#[derive(Default)]
pub(super) struct Begun {
    by_key: BTreeMap<(String, i64), (Instant, Vec<String>)>,
}

impl Begun {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Where there are too many, the oldest goes.
    fn keep(&mut self, key: (String, i64), references: Vec<String>) {
        if self.by_key.len() >= BEGUN_MAX {
            let oldest = self.by_key.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.by_key.remove(&oldest);
            }
        }
        self.by_key.insert(key, (Instant::now(), references));
    }
}

impl Smpp {
    pub(super) async fn sent(&self, link: String, text: &Text) -> Sent {
        let Some(line) = self.line(&link).filter(|line| line.settings.sms) else {
            return Sent::NotHere;
        };
        let messages = parts::cut(text, &line.settings);
        let (total, late) = (messages.len(), Instant::now() + WHOLE);
        let key = (link, text.id);
        let mut references = self.forget_begun(&key);
        match self.left(&key, total).await {
            Ok(left) if left.len() > references.len() => references = left,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "which parts of a message have left cannot be read");
                self.keep_begun(key, references);
                // Nobody knows whether it has begun.
                return Sent::Begun("the database is away".to_owned());
            }
        }
        for (at, message) in messages.into_iter().enumerate().skip(references.len()) {
            let rank = if references.is_empty() { Rank::Message } else { Rank::Begun };
            let outcome = posted(&line, (message, text.until), rank, late).await;
            let part =
                if total > 1 { format!("part {} of {total}: ", at + 1) } else { String::new() };
            let mut elsewhere = references.is_empty();
            let failed = match outcome {
                Outcome::Taken(reference) => {
                    let reference = receipts::one_id(line.settings.ids, false, reference);
                    self.note_left(&key, (at + 1, total), &reference).await;
                    references.push(reference);
                    continue;
                }
                Outcome::Refused(refused) if !passes(refused) => {
                    let left = match references.len() {
                        0 => String::new(),
                        left => format!("; {left} have left"),
                    };
                    return Sent::Refused(format!("{part}{}{left}", line::words(refused)));
                }
                Outcome::Refused(status) | Outcome::Unsent(Some(status)) => line::words(status),
                Outcome::Unanswered => "no answer".to_owned(),
                Outcome::Unsent(None) => {
                    let (bound, why) = unsent(&line);
                    // Nobody knows when a lost line is back.
                    elsewhere |= !bound;
                    why
                }
            };
            self.keep_begun(key, references);
            let why = format!("{part}{failed}");
            return if elsewhere { Sent::Later(why) } else { Sent::Begun(why) };
        }
        Sent::Taken(references)
    }

    fn keep_begun(&self, key: (String, i64), references: Vec<String>) {
        if references.is_empty() {
            return;
        }
        self.begun().keep(key, references);
    }

    fn forget_begun(&self, key: &(String, i64)) -> Vec<String> {
        self.begun().by_key.remove(key).map(|(_, references)| references).unwrap_or_default()
    }

    pub(super) fn begun(&self) -> MutexGuard<'_, Begun> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, for a message of several parts that has a row there: another process may try it next.
    fn noting(&self, id: i64, total: usize) -> Option<&Store> {
        self.0.behind.get().map(|behind| &behind.store).filter(|_| id > 0 && total > 1)
    }

    /// Which parts have left by what the store knows.
    async fn left(&self, (link, id): &(String, i64), total: usize) -> billing::Result<Vec<String>> {
        match self.noting(*id, total) {
            Some(store) => store.parts_left(link, *id, total).await,
            None => Ok(Vec::new()),
        }
    }

    async fn note_left(&self, (link, id): &(String, i64), part: (usize, usize), reference: &str) {
        let Some(store) = self.noting(*id, part.1) else { return };
        // It has left: a store that is away is no reason to keep the others.
        if let Err(error) = store.part_left((link, *id), part, reference, clock::wall()).await {
            tracing::warn!(%error, "that a part of a message has left was not noted");
        }
    }
}

/// What comes of a message, or of a part of one, that is to have its answer by `late`, and that nobody wants any more from
/// `dead` on.
async fn posted(
    line: &Line,
    (mut message, dead): (Message, Option<UnixMillis>),
    rank: Rank,
    late: Instant,
) -> Outcome {
    let wanted = dead.map(|dead| validity(dead, clock::wall()));
    message.validity = wanted.filter(|wanted| line.takes_validity(*wanted));
    let told = message.validity;
    let outcome = asked(line, message.clone(), rank, late).await;
    let Some(refused) = told.filter(|_| outcome == Outcome::Refused(status::BAD_VALIDITY)) else {
        return outcome;
    };
    // Rather late than never.
    line.refuses_validity(refused);
    message.validity = None;
    asked(line, message, rank, late).await
}

/// Seconds for which a network is to try.
fn validity(dead: UnixMillis, now: UnixMillis) -> u32 {
    let left = dead.0.saturating_sub(now.0).max(0) / 1_000;
    u32::try_from(left).unwrap_or(u32::MAX).max(VALIDITY_MIN)
}

async fn asked(line: &Line, message: Message, rank: Rank, late: Instant) -> Outcome {
    let until = (Instant::now() + PATIENCE).min(late - ANSWERED);
    let Some(outcome) = line.post(message, rank, until) else { return Outcome::Unsent(None) };
    let answered = tokio::time::Instant::from_std(until + ANSWERED);
    let outcome = tokio::time::timeout_at(answered, outcome).await;
    outcome.ok().and_then(Result::ok).unwrap_or(Outcome::Unanswered)
}

/// Whether the line is bound on which nothing could be sent, and why not.
fn unsent(line: &Line) -> (bool, String) {
    match line.state() {
        _ if line.sends() => (true, "too many messages wait".to_owned()),
        (_, _, why) if why.is_empty() => (false, "not bound".to_owned()),
        (_, _, why) => (false, format!("not bound: {why}")),
    }
}

/// Refusals that may pass: the far end is in trouble, has too much to do, or has lost our bind, which is made anew.
fn passes(refused: u32) -> bool {
    matches!(
        refused,
        status::SYSTEM
            | status::TEMPORARY
            | status::THROTTLED
            | status::QUEUE_FULL
            | status::BAD_BIND
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_messages_that_have_begun_the_oldest_is_forgotten() {
        let mut begun = Begun::default();
        let key = |link: &str, id| (link.to_owned(), id);
        // By its name it would be the last.
        begun.keep(key("z", 1), vec!["old".into()]);
        for id in 1..i64::try_from(BEGUN_MAX).unwrap() + 1 {
            begun.keep(key("a", id), vec!["new".into()]);
        }
        assert_eq!(begun.by_key.len(), BEGUN_MAX);
        assert!(
            !begun.by_key.contains_key(&key("z", 1)) && begun.by_key.contains_key(&key("a", 1))
        );
    }
}
