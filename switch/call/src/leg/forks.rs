//! The INVITEs of one leg that have no final answer yet: one towards a carrier, one to each
//! registered contact of an extension. All offer the same media port; the first 2xx wins.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sip::endpoint::SessionId;
use sip::wire::Reason;

use crate::world::World;

use super::hop::Hop;
use super::outbound::Final;

/// Early dialogs of one INVITE whose descriptions are remembered at most.
const BRANCHES_MAX: usize = 8;

/// One INVITE.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    pub(super) session: SessionId,
    pub(super) hop: Arc<Hop>,
    /// Some provisional answer came: somebody is there.
    heard: bool,
    /// An 18x came: the number exists and rings; no other hop is tried.
    pub(super) rang: bool,
    /// Descriptions by early dialog (RFC 3261 §13.2.2.4: the answer may come without one).
    pub(super) early: Vec<(String, Bytes)>,
    /// The early dialog of which an offer was answered since: what its answer would say is old.
    pub(super) settled: Option<String>,
    /// Its early dialogs, by their tags: one for each far end that it reached (RFC 3261 §13.2.2.4).
    branches: Vec<String>,
}

impl Fork {
    pub(super) fn new(session: SessionId, hop: Arc<Hop>) -> Fork {
        Fork {
            session,
            hop,
            heard: false,
            rang: false,
            early: Vec::new(),
            settled: None,
            branches: Vec::new(),
        }
    }

    /// Gives it up. Its phone may ring on until it has heard so.
    fn end(&self, w: &mut World, reason: Option<&Reason>) -> SessionId {
        w.end(self.session, reason.cloned());
        if let Some(user) = &self.hop.user {
            w.agents.fade(self.session, Arc::clone(user));
        }
        self.session
    }

    /// An early dialog has answered provisionally, or ends with a 199 (RFC 6228 §4).
    pub(super) fn meets(&mut self, branch: &str, ends: bool) {
        self.branches.retain(|known| known != branch);
        if !ends && !branch.is_empty() && self.branches.len() < BRANCHES_MAX {
            self.branches.push(branch.to_owned());
        }
    }

    /// Keeps the first description of an early dialog.
    pub(super) fn describe(&mut self, branch: String, sdp: Bytes) {
        let known = self.early.iter().any(|(tag, _)| *tag == branch);
        if !known && self.early.len() < BRANCHES_MAX {
            self.early.push((branch, sdp));
        }
    }
}

/// All of them, and the best refusal so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Forks {
    open: Vec<Fork>,
    /// Some 18x came.
    pub(super) rang: bool,
    /// So did sound.
    pub(super) sounded: bool,
    /// Whose description the media plane has: the early dialog that spoke first, as long as its INVITE may
    /// still be answered.
    heard: Option<(SessionId, String)>,
    /// The early dialog to which we alone listen: whoever calls does not hear it.
    overheard: bool,
    /// Those of whom nothing was heard had their time.
    overdue: bool,
    best: Option<(Final, bool)>,
}

impl Forks {
    pub(super) fn add(&mut self, fork: Fork) {
        self.overdue = false;
        self.open.push(fork);
    }

    pub(super) fn of(&mut self, session: SessionId) -> Option<&mut Fork> {
        self.open.iter_mut().find(|fork| fork.session == session)
    }

    /// Takes one out: it has its final answer.
    pub(super) fn take(&mut self, session: SessionId) -> Option<Fork> {
        let at = self.open.iter().position(|fork| fork.session == session)?;
        Some(self.open.remove(at))
    }

    /// RFC 3960 §3.1: the first that speaks is heard; what the others say is kept apart until one of
    /// them answers. True when this one is to be heard now.
    pub(super) fn speaks(&mut self, session: SessionId, branch: &str) -> bool {
        let first = self.heard.is_none();
        if first {
            self.heard = Some((session, branch.to_owned()));
        }
        first
    }

    /// Nobody hears its sound before the answer but we. True when this one is to be listened to now: the first.
    pub(super) fn is_overheard(&mut self) -> bool {
        !std::mem::replace(&mut self.overheard, true)
    }

    /// True for whoever is heard; `branch`: only if it is this early dialog of it.
    pub(super) fn hears(&self, session: SessionId, branch: Option<&str>) -> bool {
        self.heard.as_ref().is_some_and(|(heard, by)| {
            *heard == session && branch.is_none_or(|branch| branch == by)
        })
    }

    /// An offer of an early dialog was answered.
    pub(super) fn settle(&mut self, session: SessionId, branch: &str) {
        if let Some(fork) = self.of(session) {
            fork.settled = Some(branch.to_owned());
        }
    }

    /// True while an INVITE has reached several far ends: what one of them plays is no word of the others.
    pub(super) fn is_forked(&self) -> bool {
        self.open.iter().any(|fork| fork.branches.len() > 1)
    }

    /// True once somebody is heard.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Whoever was heard refused: the description of the next one that spoke meanwhile, and where
    /// its signalling comes from.
    pub(super) fn next_voice(&mut self, gone: SessionId) -> Option<(Bytes, IpAddr)> {
        if !self.hears(gone, None) {
            return None;
        }
        self.heard = None;
        let next = self.open.iter().find(|fork| !fork.early.is_empty())?;
        let (branch, sdp) = next.early.first()?;
        self.heard = Some((next.session, branch.clone()));
        Some((sdp.clone(), next.hop.flow.remote.ip()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Fork> {
        self.open.iter()
    }

    /// The ways that are open.
    pub(super) fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.open.iter().map(|fork| &*fork.hop)
    }

    /// A provisional answer came. True when one has come of all that are open.
    pub(super) fn lives(&mut self, session: SessionId) -> bool {
        if let Some(fork) = self.of(session) {
            fork.heard = true;
        }
        self.open.iter().all(|fork| fork.heard)
    }

    /// Those of whom nothing was heard had their time. True when there is nobody else.
    pub(super) fn time_is_up(&mut self) -> bool {
        self.overdue = true;
        self.is_forsaken()
    }

    /// True when nobody is left but those of whom nothing was heard in time.
    pub(super) fn is_forsaken(&self) -> bool {
        self.overdue && !self.open.is_empty() && !self.open.iter().any(|fork| fork.heard)
    }

    /// Ends one INVITE of a person, whose final answer is known beforehand.
    pub(super) fn end_one(&self, w: &mut World, user: &str) -> Option<SessionId> {
        let fork = self.open.iter().find(|fork| fork.hop.user.as_deref() == Some(user));
        fork.map(|fork| fork.end(w, None))
    }

    /// Gives up the phones of one person.
    pub(super) fn cancel_user(&mut self, w: &mut World, user: Option<&str>) -> Vec<SessionId> {
        let theirs = |fork: &mut Fork| fork.hop.user.as_deref() == user;
        let gone: Vec<Fork> = self.open.extract_if(.., theirs).collect();
        gone.iter().map(|fork| fork.end(w, None)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn sessions(&self) -> Vec<SessionId> {
        self.open.iter().map(|fork| fork.session).collect()
    }

    /// Remembers a refusal and whether its phone had rung; the best of all so far (RFC 3261 §16.7
    /// step 6).
    pub(super) fn refused(&mut self, answer: Final, rang: bool) -> (Final, bool) {
        let best = match self.best {
            Some((best, rang)) if rank(best) <= rank(answer) => (best, rang),
            _ => (answer, rang),
        };
        self.best = Some(best);
        best
    }

    /// The best refusal so far, and whether its phone had rung.
    pub(super) fn best(&self) -> Option<(Final, bool)> {
        self.best
    }

    /// Gives up all that is left.
    pub(super) fn cancel(&mut self, w: &mut World, reason: Option<&Reason>) -> Vec<SessionId> {
        self.open.drain(..).map(|fork| fork.end(w, reason)).collect()
    }
}

/// The lower the better: what says most about the person comes before what says something about one
/// of his phones, and an answer before our own verdict.
fn rank(answer: Final) -> u8 {
    match answer.code {
        _ if answer.local => 8,
        600..=699 => 0,
        486 => 1,
        403 | 415 | 484 | 488 => 2,
        480 => 3,
        408 | 430 | 481 | 487 => 6,
        400..=499 => 4,
        500..=599 => 5,
        _ => 7,
    }
}

/// RFC 3326 §2: the other phones of a person whose call was answered on one of them.
pub(super) fn elsewhere() -> Reason {
    Reason::sip(200, "Call completed elsewhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3261_16_7_the_best_refusal_is_about_the_person() {
        let answer = |code, local| Final { code, local, ..Final::default() };
        let best = |all: &[Final]| {
            let mut forks = Forks::default();
            let last = all.iter().map(|answer| forks.refused(*answer, false)).last();
            last.unwrap().0
        };
        let (busy, gone) = (answer(486, false), answer(480, false));
        let (silent, dead) = (answer(408, false), answer(408, true));
        assert_eq!(best(&[gone, busy, silent]), busy);
        assert_eq!(best(&[busy, answer(603, false)]), answer(603, false));
        assert_eq!(best(&[dead, silent]), silent);
        assert_eq!(best(&[silent, gone, dead]), gone);
        assert_eq!(best(&[answer(404, false), answer(503, false)]), answer(404, false));
        assert_eq!(best(&[dead, dead]), dead);
    }
}
