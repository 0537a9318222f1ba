//! A leg whose far end has left, and whose port leads to another call from then on.

use std::net::SocketAddr;

use facts::LegId;
use facts::media::{Codec, MediaCommand};
use sip::wire::Reason;

use crate::event::Release;
use crate::link::End;
use crate::trace::Trace;
use crate::world::World;

use super::{CLEARING, Leg, Port, Stage};

impl Leg {
    /// Somebody is on it, or it leads to somebody.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Linked(_))
    }

    /// Whoever is on it can leave it to others: he talks, or he called and waits for our answer, and what he
    /// and the port speak is settled.
    pub(crate) fn may_leave(&self) -> bool {
        matches!(self.stage, Stage::Up | Stage::Waiting)
    }

    /// The address of its port.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self.port {
            Port::Open(local) => Some(local),
            Port::Opening | Port::Closing | Port::Closed => None,
        }
    }

    /// The leg of another call that its port leads to.
    pub(crate) fn leads_to(&self) -> Option<LegId> {
        match self.stage {
            Stage::Linked(other) => Some(other),
            _ => None,
        }
    }

    /// Lets its far end go and gives its port to the other call. For signalling and for the bill it is over.
    pub(crate) fn link(&mut self, w: &mut World, trace: &mut Trace, other: &End, codec: Codec) {
        let release = Release { by: self.side, failure: None };
        let reason = Reason::q850(u16::from(CLEARING), "normal clearing");
        match (&self.stage, self.session) {
            // Whoever waits for our answer has no use for one any more.
            (Stage::Waiting, Some(session)) => {
                self.refuse(w, session, facts::Kind::Abandoned.row().sip, &reason);
            }
            (Stage::Up, Some(session)) => w.end(session, Some(reason)),
            _ => return,
        }
        let ended = trace.wall(w.now.mono);
        self.down(w, trace, ended, release.by, release.failure);
        self.stage = Stage::Linked(other.leg);
        w.media(MediaCommand::Link { leg: self.id, to: other.local, codec });
    }

    /// The other end of the link is gone. True if this one was there.
    pub(crate) fn unlinked(&mut self) -> bool {
        let there = matches!(self.stage, Stage::Linked(_));
        if there {
            self.stage = Stage::Down;
        }
        there
    }
}
