//! Offers in a session that is there already, both ways: hold, another address, other codecs (RFC 3264
//! §8), by re-INVITE or UPDATE, also before the answer; answered here or by the other leg, as
//! [`Reinvite`](crate::Reinvite) says.
//!
//! ```text
//!   A: offer ──► Offered ─► flow ─► Order::Offer ──► B: re-INVITE ──2xx──► Agreed ─► flow ─► Order::Answer ──► A: 2xx
//!                                                        └─ refused, busy ──► Declined ─► Order::Decline ──► A: 488, 491
//! ```

use std::net::IpAddr;

use bytes::Bytes;
use facts::manners;
use facts::media::{Codec, Direction};
use sip::endpoint::SessionId;
use sip::offer::OfferError;

use crate::config::Reinvite;
use crate::event::{Decline, LegEvent};
use crate::world::World;

use super::{Leg, Port, Stage};

/// RFC 3261 §21.4.26: not acceptable here.
const REFUSED: u16 = 488;
/// RFC 3261 §21.4.27: another offer is under way.
const PENDING: u16 = 491;

/// What this leg asks the other one for.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// Their offer, which waits for its answer; `None` when nothing waits: it is agreed on here already.
    offer: Option<Bytes>,
    codecs: Vec<Codec>,
}

/// What this leg has to do with the other one's sound.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    asking: Option<Asking>,
    /// Our offer for the other leg is under way.
    offering: bool,
    /// Its far end holds the call, and the other one hears that it waits.
    holds: bool,
}

impl Change {
    /// The codecs that its far end asks for.
    pub(super) fn codecs(&self) -> Option<&[Codec]> {
        self.asking.as_ref().map(|asking| asking.codecs.as_slice())
    }
}

impl Leg {
    /// An offer of theirs. `bridged`: the other leg talks with this one; `joined`: and may be offered the
    /// same.
    pub(crate) fn reinvited(
        &mut self,
        w: &mut World,
        session: SessionId,
        (sdp, source, branch): (Option<Bytes>, IpAddr, &str),
        (bridged, joined): (bool, bool),
    ) -> Option<LegEvent> {
        let (true, Port::Open(local)) = (self.speaks_by(session, Some(branch)), self.port) else {
            w.endpoint.reject_reinvite(w.now.mono, session, REFUSED);
            return None;
        };
        // A phone that changed networks tells so from where it is now.
        self.audio.with(source);
        let Some(offer) = sdp else {
            // RFC 3261 §14.2: they want ours; their answer comes in the ACK.
            let takes = self.takes();
            let offer = self.audio.offer_again(local, &takes);
            w.endpoint.accept_reinvite(w.now.mono, session, offer);
            self.refreshed(w, session);
            return None;
        };
        if joined
            && self.is_up()
            && self.relays(w)
            && let Some((direction, codecs)) = self.audio.change(&self.takes(), &offer)
        {
            self.change.asking = Some(Asking { offer: Some(offer), codecs });
            return Some(LegEvent::Offered(direction));
        }
        self.answer_offer(w, (session, branch), &offer, None);
        // It has given up what alone could be passed on to it: the other one must too.
        if bridged && self.is_up() && self.audio.strands() {
            let direction = self.audio.direction();
            return Some(self.ask(direction));
        }
        self.holds()
    }

    /// RFC 5359 §2.3: whom its far end holds is not asked, but hears that it waits, and when that is over.
    fn holds(&mut self) -> Option<LegEvent> {
        let holds = self.audio.is_held() && self.is_up();
        (std::mem::replace(&mut self.change.holds, holds) != holds)
            .then_some(LegEvent::Holds(holds))
    }

    /// RFC 3261 §14.2: a refusal leaves the session as it was.
    fn answer_offer(
        &mut self,
        w: &mut World,
        (session, branch): (SessionId, &str),
        offer: &[u8],
        wish: Option<Direction>,
    ) {
        let Port::Open(local) = self.port else { return };
        let takes = self.takes();
        let silence = self.silence(w).filter(|_| self.is_up());
        self.audio.new_keys(&mut w.rng);
        let joinable = self.audio.joinable(&takes);
        let answered = match self.audio.answer(local, &joinable, (offer, wish), silence) {
            // While it stands alone there is nothing that it has to be joined with.
            Err(OfferError::NoCodec) if self.audio.stands_alone() => {
                self.audio.answer(local, &takes, (offer, wish), silence)
            }
            answered => answered,
        };
        match answered {
            Ok((answer, setup)) => {
                w.endpoint.accept_reinvite(w.now.mono, session, answer);
                self.refreshed(w, session);
                if let Stage::Inviting(forks) = &mut self.stage {
                    forks.settle(session, branch);
                }
                w.media(setup);
            }
            Err(error) => w.endpoint.reject_reinvite(w.now.mono, session, error.status()),
        }
    }

    /// The other leg has answered what this one asks. If its far end has meanwhile taken the offer back, or
    /// waited for too long, this leg is as it was (RFC 3261 §14.1), and so must the other one be again.
    pub(crate) fn answer(&mut self, w: &mut World, wish: Direction) -> Option<LegEvent> {
        let (true, Some(session)) = (self.is_up(), self.session) else { return None };
        match self.change.asking.take() {
            Some(Asking { offer: None, .. }) => return None,
            Some(Asking { offer: Some(offer), .. }) if w.endpoint.is_asked(session) => {
                self.answer_offer(w, (session, ""), &offer, Some(wish));
                // The other leg was asked: it knows.
                return if self.change.holds && !self.audio.is_held() {
                    self.holds()
                } else {
                    None
                };
            }
            _ => {}
        }
        let now = self.audio.direction();
        (wish != now).then(|| self.ask(now))
    }

    /// Asks the other leg to go with what is agreed on here.
    pub(super) fn ask(&mut self, direction: Direction) -> LegEvent {
        let codecs = self.audio.agreed_codecs();
        self.change.asking = Some(Asking { offer: None, codecs });
        LegEvent::Offered(direction)
    }

    /// The other leg did not take what this one asks: both stay as they were.
    pub(crate) fn decline(&mut self, w: &mut World, why: Decline) {
        let asked = self.change.asking.take().and_then(|asking| asking.offer).and(self.session);
        if let Some(session) = asked {
            let code = match why {
                Decline::Pending => PENDING,
                Decline::Refused => REFUSED,
            };
            w.endpoint.reject_reinvite(w.now.mono, session, code);
        }
    }

    /// Offers what the other leg asks. §14.1 holds across both: while an offer of this leg's own far end
    /// is open, whoever asks is told to come again.
    pub(crate) fn offer(
        &mut self,
        w: &mut World,
        direction: Direction,
        like: &[Codec],
    ) -> Option<LegEvent> {
        let (true, Some(session), Port::Open(local)) = (self.is_up(), self.session, self.port)
        else {
            return Some(LegEvent::Declined(Decline::Refused));
        };
        if !w.endpoint.may_reinvite(session) {
            return Some(LegEvent::Declined(Decline::Pending));
        }
        let takes = self.takes();
        let offer = self.audio.offer_anew((local, &takes), like, direction);
        self.change.offering = w.endpoint.reinvite(w.now.mono, session, offer);
        None
    }

    /// True while the other leg hears that it waits, because this one's far end holds the call.
    pub(crate) fn lets_wait(&self) -> bool {
        self.change.holds
    }

    /// Somebody new is on the other leg: a hold that the old one had asked for ends.
    pub(crate) fn resume(&mut self, w: &mut World, like: &[Codec]) {
        if self.audio.holds() {
            // Refused or too early: the far end stays held until it offers itself.
            self.offer(w, Direction::SendReceive, like);
        }
    }

    /// Their answer to an offer of ours in a session that is there already.
    pub(crate) fn offer_answered(
        &mut self,
        w: &mut World,
        sdp: Option<&Bytes>,
    ) -> Option<LegEvent> {
        if let Some(session) = self.session {
            self.refreshed(w, session);
        }
        let taken = sdp.is_some_and(|sdp| self.answered_again(w, sdp));
        if !std::mem::take(&mut self.change.offering) {
            return None;
        }
        if taken {
            return Some(LegEvent::Agreed(self.audio.direction()));
        }
        self.audio.withdraw();
        Some(LegEvent::Declined(Decline::Refused))
    }

    /// An offer of ours was refused; the session stays as it was (RFC 3261 §14.1).
    pub(crate) fn offer_failed(&mut self, code: u16) -> Option<LegEvent> {
        if !std::mem::take(&mut self.change.offering) {
            return None;
        }
        self.audio.withdraw();
        let why = if code == PENDING { Decline::Pending } else { Decline::Refused };
        Some(LegEvent::Declined(why))
    }

    /// RFC 3264 §8: an answer that cannot be used leaves the session as it was. True if it can.
    pub(crate) fn answered_again(&mut self, w: &mut World, sdp: &Bytes) -> bool {
        let silence = self.silence(w).filter(|_| self.is_up());
        self.audio.answered(sdp, silence).map(|setup| w.media(setup)).is_ok()
    }

    /// A key by signalling (`application/dtmf-relay`, `application/dtmf`).
    pub(crate) fn key(&self, session: SessionId, content_type: &str, body: &[u8]) -> Option<char> {
        if !self.speaks_by(session, None) {
            return None;
        }
        super::keys::key(content_type, body)
    }

    /// Whether offers of this leg's far end concern the other one.
    pub(crate) fn relays(&self, w: &World) -> bool {
        let trunk = self.trunk().and_then(|id| w.snapshot.trunks.get(&id));
        match trunk.and_then(|trunk| trunk.options.reinvite) {
            Some(own) => own == manners::Reinvite::Relay,
            None => w.config.reinvite == Reinvite::Relay,
        }
    }

    /// The session that this leg's sound belongs to: the one that is up or waits, or whoever is heard.
    fn speaks_by(&self, session: SessionId, branch: Option<&str>) -> bool {
        match &self.stage {
            Stage::Inviting(forks) => forks.hears(session, branch),
            _ => self.session == Some(session),
        }
    }

    /// The codecs that may be agreed on, best first.
    pub(super) fn takes(&self) -> Vec<Codec> {
        self.hop.as_ref().map_or_else(|| self.takes.clone(), |hop| hop.codecs.clone())
    }
}
