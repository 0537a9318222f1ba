//! Messages in: each is kept before it is taken, and one that the network brings again is the same one.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use billing::smpp::{Came, Kept, Link, Part, PartOf};
use facts::sms::Arrived;
use md5::{Digest as _, Md5};

use super::wire::{Message, status};
use super::{Behind, Smpp, coding, parts};
use crate::clock;

/// Within this time the same octets of the same sender are one message that came twice: our answer was lost, and the
/// network is back with it as soon as the link is.
const SAME: Duration = Duration::from_secs(90);
/// The same of one that could not be answered with what became of it: it may be kept, and the network is back with it when
/// it sees fit.
const SAME_UNSURE: Duration = Duration::from_secs(900);
/// Messages of which that is known, at most.
const UNSURE_MAX: usize = 10_000;
/// The same of a message in parts, which its sender's phone names.
const SAME_LONG: Duration = Duration::from_secs(600);

/// Messages that came and were not answered with what became of them, by what is the same when they come again: when they
/// came first without an answer, and when last.
#[derive(Default)]
pub(super) struct Unsure(BTreeMap<String, (Instant, Instant)>);

impl Unsure {
    /// It came, and nobody knows yet what becomes of it: how long ago one that looks so may have come and be the same. That
    /// reaches back to the first time that was not answered: what was answered before is another one.
    fn came(&mut self, once: &str, now: Instant) -> Duration {
        if self.0.len() >= UNSURE_MAX {
            self.0.retain(|_, (_, last)| now.duration_since(*last) <= SAME_UNSURE);
        }
        if self.0.len() >= UNSURE_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(once, _)| once.clone()) {
                self.0.remove(&oldest);
            }
        }
        let known = self.0.get(once).filter(|(_, last)| now.duration_since(*last) <= SAME_UNSURE);
        let first = known.map_or(now, |(first, _)| *first);
        self.0.insert(once.to_owned(), (first, now));
        SAME + now.duration_since(first)
    }

    /// What became of it is known, and answered.
    fn sure(&mut self, once: &str) {
        self.0.remove(once);
    }
}

impl Smpp {
    fn unsure(&self) -> MutexGuard<'_, Unsure> {
        self.0.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that somebody wrote, or a part of one; the status of its answer: it is kept before it is taken.
    pub(super) async fn written(&self, behind: &Behind, link: &Link, message: &Message) -> u32 {
        let (octets, piece) = parts::read(message);
        let arrived = |once: String, text: String| Arrived {
            link: link.name.clone(),
            once,
            from: self.number(&message.from).unwrap_or_else(|| message.from.digits.clone()),
            to: message.to.digits.clone(),
            text,
        };
        let Some(piece) = piece else {
            let text = coding::text(&octets, message.coding, link.alphabet);
            let once = once(&link.name, message);
            // Who waits too long for it drops this: then it stays unsure.
            let same = self.unsure().came(&once, Instant::now());
            let came = Came { same: Some(same), renewed: true, parts: None };
            let came = api::sms::came(&behind.state, arrived(once.clone(), text), came).await;
            if came.is_ok() {
                self.unsure().sure(&once);
            }
            return kept(came);
        };
        let of = PartOf {
            link: link.name.clone(),
            sender: message.from.digits.clone(),
            recipient: message.to.digits.clone(),
            reference: piece.reference,
            total: piece.total,
        };
        let part = Part { number: piece.number, coding: message.coding, octets };
        let parts = match behind.store.keep_part(of.clone(), part, clock::wall()).await {
            Ok(Kept::Waits | Kept::Again) => return status::OK,
            Ok(Kept::Whole(parts)) => parts,
            Ok(Kept::Full) => {
                tracing::warn!(link = link.name, "too many parts of messages wait for the others");
                return status::TEMPORARY;
            }
            Err(error) => return kept(Err(error)),
        };
        let parts: Vec<_> = parts.into_iter().map(|part| (part.coding, part.octets)).collect();
        let text = parts::join(&parts, link.alphabet);
        let arrived = arrived(once_of_parts(&of, &parts), text);
        let came = Came { same: Some(SAME_LONG), renewed: true, parts: Some(of) };
        kept(api::sms::came(&behind.state, arrived, came).await)
    }
}

/// A message is taken when it is kept, or was before.
pub(super) fn kept(kept: billing::Result<bool>) -> u32 {
    match kept {
        Ok(_) => status::OK,
        Err(error) => {
            tracing::warn!(%error, "what came by an SMPP link was not kept; it is to come again");
            status::TEMPORARY
        }
    }
}

/// What is the same when the link brings a message again: nothing in it names it.
fn once(link: &str, message: &Message) -> String {
    let mut sum = Md5::new();
    for field in [link, &message.from.digits, &message.to.digits] {
        sum.update(field.as_bytes());
        sum.update([0]);
    }
    sum.update(message.user_reference.map_or([0, 0, 0], |reference| {
        let [high, low] = reference.to_be_bytes();
        [1, high, low]
    }));
    sum.update([message.coding, message.esm_class]);
    sum.update(&message.octets);
    format!("smpp:{}", hex::encode(sum.finalize()))
}

/// The same of a message in parts, whichever of them came last.
fn once_of_parts(of: &PartOf, parts: &[(u8, Vec<u8>)]) -> String {
    let mut sum = Md5::new();
    for field in [&of.link, &of.sender, &of.recipient] {
        sum.update(field.as_bytes());
        sum.update([0]);
    }
    sum.update(of.reference.to_be_bytes());
    for (coding, octets) in parts {
        sum.update([*coding]);
        sum.update(octets.len().to_be_bytes());
        sum.update(octets);
    }
    format!("smpp parts:{}", hex::encode(sum.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_brings_again_is_known_and_other_words_are_not_the_same() {
        let message = |words: &str| Message { octets: words.into(), ..Message::default() };
        let known = |words: &str| once("carrier", &message(words));
        assert_eq!(known("yes"), known("yes"));
        assert_ne!(known("yes"), known("no"));
        assert_ne!(known("yes"), once("other", &message("yes")));
        let named = Message { user_reference: Some(0), ..message("yes") };
        assert_ne!(known("yes"), once("carrier", &named));
        // Of a long one all parts count, and how its sender's phone calls it.
        let of = |reference| PartOf {
            link: "carrier".into(),
            sender: "989123456789".into(),
            recipient: "3000".into(),
            reference,
            total: 2,
        };
        let parts = |last: &[u8]| [(0, b"yes".to_vec()), (0, last.to_vec())];
        let known = once_of_parts(&of(1), &parts(b"no"));
        assert_eq!(known, once_of_parts(&of(1), &parts(b"no")));
        assert_ne!(known, once_of_parts(&of(2), &parts(b"no")));
        assert_ne!(known, once_of_parts(&of(1), &parts(b"na")));
        assert_ne!(known, once_of_parts(&of(1), &[(0, b"y".to_vec()), (0, b"esno".to_vec())]));
    }

    #[test]
    fn s5_5_what_was_not_answered_for_good_is_known_for_longer() {
        let (mut unsure, now) = (Unsure::default(), Instant::now());
        let minutes = |many: u64| now + Duration::from_secs(60 * many);
        assert_eq!(unsure.came("a", now), SAME);
        // The network heard 0x64, or nothing, and comes again in its own time.
        assert_eq!(unsure.came("a", minutes(10)), SAME + Duration::from_secs(600));
        assert_eq!(unsure.came("a", minutes(20)), SAME + Duration::from_secs(1200));
        unsure.sure("a");
        assert_eq!(unsure.came("a", minutes(21)), SAME);
        assert_eq!(unsure.came("a", minutes(40)), SAME, "long ago");
        for nth in 0..UNSURE_MAX {
            unsure.came(&format!("b{nth}"), minutes(41));
        }
        assert_eq!(unsure.0.len(), UNSURE_MAX);
        assert_eq!(unsure.came("a", minutes(41)), SAME, "the oldest went");
    }
}
