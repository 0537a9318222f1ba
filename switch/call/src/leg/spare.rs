//! Several flows of one phone (RFC 5626 §4.2): one of them rings, the others stand by for when it is dead.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::timers::{Key, Timer};
use crate::world::World;

use super::forks::Fork;
use super::hop::Hop;
use super::outbound::Final;
use super::{Leg, Port, Stage};

/// The proxy that kept a flow says that it is gone (RFC 5626 §11.5).
const FLOW_FAILED: u16 = 430;

/// One way to each phone: the flows of one instance, the best first, become one with spares.
pub(super) fn phones(flows: impl Iterator<Item = (Option<String>, Hop)>) -> VecDeque<Hop> {
    let mut phones: Vec<(Option<String>, Hop)> = Vec::new();
    for (instance, hop) in flows {
        let known = phones.iter_mut().find(|(known, _)| instance.is_some() && *known == instance);
        match known {
            Some((_, first)) => first.spare.push(hop),
            None => phones.push((instance, hop)),
        }
    }
    phones.into_iter().map(|(_, hop)| hop).collect()
}

impl Leg {
    /// An INVITE to a phone came to nothing because its flow is dead: another flow of it is rung. True when
    /// there was one.
    pub(super) fn rings_elsewhere(&mut self, w: &mut World, fork: &Fork, answer: Final) -> bool {
        if fork.hop.trunk.is_some() || fork.rang {
            return false;
        }
        if answer.code == FLOW_FAILED {
            let user = fork.hop.to.uri.user_text().unwrap_or_default();
            let lost = w.registrar.lost(&user, &fork.hop.uri.to_string(), &fork.hop.flow);
            w.keep(lost.into_iter().collect());
        }
        // RFC 5626 §7: what says nothing of the phone. Our own verdicts are silence and a dead transport.
        let dead = answer.local || matches!(answer.code, 408 | FLOW_FAILED);
        dead && self.ring_spares(w, std::slice::from_ref(&fork.hop))
    }

    /// Rings the next flow of each of these phones. False when none has another.
    pub(super) fn ring_spares(&mut self, w: &mut World, dead: &[Arc<Hop>]) -> bool {
        let (Port::Open(local), Stage::Inviting(_)) = (self.port, &self.stage) else {
            return false;
        };
        let mut sessions = Vec::new();
        for hop in dead {
            let Some((next, rest)) = hop.spare.split_first() else { continue };
            let next = Hop { spare: rest.to_vec(), ..next.clone() };
            let sdp = self.audio.offer_again(local, &next.codecs);
            let session = self.send(w, &next, sdp);
            sessions.push(session);
            if let Stage::Inviting(forks) = &mut self.stage {
                forks.add(Fork::new(session, Arc::new(next)));
            }
        }
        if sessions.is_empty() {
            return false;
        }
        w.timers.set(Key::leg(self.id, Timer::Response), w.now.mono + w.config.response);
        self.journal_first(w, &sessions);
        true
    }
}
