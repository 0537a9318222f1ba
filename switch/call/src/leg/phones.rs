//! Which extensions' phones are on a leg, for those who watch them and for messages between them.

use facts::Number;
use sip::endpoint::SessionId;

use super::hop::Hop;
use super::{Leg, Stage};
use crate::presence::{Progress, Seen};

impl Leg {
    /// The phones that are rung, or the one that has answered. Several of one extension come one after the
    /// other, those that ring first.
    pub(crate) fn phones(&self) -> Vec<Seen> {
        let seen = |hop: &Hop, session, progress| {
            let user = hop.to.uri.user_text().filter(|_| hop.trunk.is_none())?;
            Some(Seen { user, session: Some(session), progress, remote: hop.shown.clone() })
        };
        match (&self.stage, &self.hop, self.session) {
            (Stage::Inviting(forks), ..) => {
                let forks = || forks.iter();
                let rang = forks().filter(|fork| fork.rang).map(|fork| (fork, Progress::Early));
                let rest = forks().filter(|fork| !fork.rang).map(|fork| (fork, Progress::Trying));
                rang.chain(rest)
                    .filter_map(|(fork, how)| seen(&fork.hop, fork.session, how))
                    .collect()
            }
            (Stage::Up, Some(hop), Some(session)) => {
                seen(hop, session, Progress::Confirmed).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The extension whose phone talks on this leg.
    pub(crate) fn phone(&self) -> Option<String> {
        match &self.facts.number {
            Number::Internal(user) if self.is_inbound() && self.is_phone() => Some(user.clone()),
            _ => self.phones().pop().filter(|_| self.is_up()).map(|seen| seen.user),
        }
    }

    /// True when it rings this extension, or talks with it: by a phone of it, or by the one that is bound to it.
    pub(crate) fn is_of(&self, who: &Number) -> bool {
        matches!(who, Number::Internal(user) if self.agents.iter().any(|one| **one == **user))
    }

    /// The session that called us, or that has answered.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }
}
