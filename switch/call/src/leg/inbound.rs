//! Somebody called us: the INVITE waits for our answer.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use facts::media::{Codec, Family};
use facts::record::LegState;
use facts::{Failure, Kind, LegId, Number, Side, TrunkId};
use sip::endpoint::{EndCause, SessionId};
use sip::offer::SessionDescription;
use sip::offer::crypto::Security;
use sip::wire::Reason;

use crate::event::LegEvent;
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use super::{Called, Leg, Port, Stage};

/// An INVITE that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) session: SessionId,
    /// Where it came from.
    pub(crate) source: IpAddr,
    /// Who calls: number of the record.
    pub(crate) called: Called,
    /// Caller id as it came.
    pub(crate) shown: String,
    /// The carrier it came by; `None` for an extension.
    pub(crate) trunk: Option<TrunkId>,
    /// Its name; empty for an extension.
    pub(crate) trunk_name: String,
    pub(crate) offer: Option<Bytes>,
    /// Whether its sound is protected.
    pub(crate) security: Security,
}

impl Leg {
    /// The leg of an INVITE that came.
    pub(crate) fn arrived(w: &mut World, trace: &mut Trace, id: LegId, arrival: Arrival) -> Leg {
        // Whoever calls us pays his own network: nothing is held for this leg and nothing limits it.
        let described = arrival.offer.as_deref().and_then(described);
        let family = described.unwrap_or(Family::of(arrival.source));
        let mut leg = Leg::new(id, &arrival.called, None, family, w);
        leg.session = Some(arrival.session);
        leg.audio.with(arrival.source);
        leg.audio.protects(arrival.security, &mut w.rng);
        leg.offered = arrival.offer;
        leg.facts.shown = arrival.shown;
        leg.facts.trunk = arrival.trunk_name;
        leg.trunk = arrival.trunk;
        let trunk = arrival.trunk.and_then(|id| w.snapshot.trunks.get(&id));
        leg.audio.asks(trunk.and_then(|trunk| trunk.options.ptime_ms));
        let phones = || w.phone_keys(leg.facts.number.digits());
        let dtmf = trunk.map_or_else(phones, |trunk| trunk.options.dtmf);
        leg.audio.takes_keys(dtmf);
        leg.takes = trunk.map_or_else(|| w.config.codecs.clone(), |trunk| taken(&trunk.codecs));
        if let Some(trunk) = leg.trunk {
            w.trunk_legs.enter(trunk, id);
            w.legs_in.enter(trunk, id);
        }
        if let (None, Number::Internal(user)) = (leg.trunk, &leg.facts.number) {
            let user = user.as_str().into();
            leg.occupy(w, [user].into());
        }
        leg.facts.invited = trace.wall(w.now.mono);
        leg.facts.sip_call_id = w.endpoint.call_id(arrival.session).unwrap_or_default().to_owned();
        w.sessions.insert(arrival.session, id);
        leg
    }

    /// The ledger granted the call: from now on the leg is on record, whatever became of it meanwhile.
    pub(crate) fn admitted(&mut self, w: &mut World, trace: &mut Trace) {
        self.attempted = true;
        self.journal(w);
        trace.notify(w, &self.facts, LegState::Callout);
        if self.is_down() {
            trace.notify(w, &self.facts, LegState::Disconnect);
        }
    }

    /// The port came. True when an inbound leg is ready for its flow; false sends it away.
    pub(crate) fn opened(&mut self, w: &mut World, local: SocketAddr) -> bool {
        w.timers.cancel(Key::leg(self.id, Timer::Open));
        if self.port != Port::Opening {
            return false;
        }
        self.port = Port::Open(local);
        matches!(self.stage, Stage::Opening)
    }

    /// True for a leg that called us.
    pub(crate) fn is_inbound(&self) -> bool {
        self.hop.is_none()
    }

    /// True while their INVITE waits for our answer and we can give one.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// Reads their offer, now that there is a port to answer with.
    pub(crate) fn wait(&mut self, w: &mut World, trace: &mut Trace) -> Option<LegEvent> {
        let Port::Open(local) = self.port else {
            return None;
        };
        self.stage = Stage::Waiting;
        let offer = self.offered.clone()?;
        match self.audio.answer_later(local, &self.takes, &offer) {
            Ok((sdp, setup)) => {
                self.offered = Some(sdp);
                w.media(setup);
                None
            }
            Err(_) => {
                let failure = Failure::new(self.origin(), Kind::NotAcceptable);
                let release = crate::event::Release { by: Side::Platform, failure: Some(failure) };
                self.release(w, trace, release);
                Some(LegEvent::Failed(failure))
            }
        }
    }

    /// 180, or 183 with our description. `offered` holds our answer by now.
    pub(crate) fn pass_on(&mut self, w: &mut World, early: bool) {
        let (Stage::Waiting, Some(session)) = (&self.stage, self.session) else {
            return;
        };
        if early {
            self.narrow(w);
        }
        let sdp = match self.offered.clone() {
            _ if !early => None,
            Some(answer) => Some(answer),
            None => self.offer_early(w, session),
        };
        w.endpoint.provisional(w.now.mono, session, if early { 183 } else { 180 }, sdp);
    }

    /// Our answer is about to leave.
    fn narrow(&mut self, w: &mut World) {
        if let Some((sdp, setup)) = self.audio.narrow() {
            self.offered = Some(sdp);
            w.media(setup);
        }
    }

    /// A late offer need not wait for the 200: a reliable answer may bear ours, and its PRACK the answer
    /// (RFC 3262 §5). Once.
    fn offer_early(&mut self, w: &World, session: SessionId) -> Option<Bytes> {
        let Port::Open(local) = self.port else { return None };
        if self.offers_early || !w.endpoint.is_reliable(session) {
            return None;
        }
        self.offers_early = true;
        Some(self.audio.offer_first(local, &self.takes))
    }

    /// 200.
    pub(crate) fn accept(&mut self, w: &mut World, trace: &mut Trace) {
        let (Stage::Waiting, Some(session), Port::Open(local)) =
            (&self.stage, self.session, self.port)
        else {
            return;
        };
        self.narrow(w);
        // A late offer: ours goes in the 200 and their answer comes in the ACK (RFC 3261 §13.3.1.4).
        let sdp = match self.offered.clone() {
            Some(answer) => answer,
            None if self.offers_early => Bytes::new(),
            None => self.audio.offer_first(local, &self.takes),
        };
        w.endpoint.accept(w.now.mono, session, sdp, Vec::new());
        if let Some(setup) = self.audio.watched(self.silence(w)) {
            w.media(setup);
        }
        if w.endpoint.waits_for_prack(session) {
            self.stand(w);
        } else {
            self.up(w, trace);
        }
    }

    /// Our 200, which waited for a PRACK, has left: only now is the leg answered (RFC 3262 §3).
    pub(crate) fn accepted(&mut self, w: &mut World, trace: &mut Trace) {
        if self.is_up() && self.facts.answered.is_none() {
            self.note_answer(w, trace);
            self.journal(w);
            trace.notify(w, &self.facts, LegState::Answer);
            self.arm(w);
        }
    }

    /// The ACK came, with an answer if our 200 bore the offer.
    pub(crate) fn acked(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        sdp: Option<Bytes>,
        joined: bool,
    ) -> Option<LegEvent> {
        if !self.is_up() {
            return None;
        }
        // RFC 3261 §13.2.1: the answer to an offer in our 200 is due in its ACK; without it there is no
        // session (RFC 3264 §4), only a bill.
        let before = self.audio.direction();
        let answered = sdp.is_some();
        let silence = self.silence(w);
        let usable = match sdp.map(|sdp| self.audio.answered(&sdp, silence)) {
            Some(setup) => setup.map(|setup| w.media(setup)).is_ok(),
            None => self.audio.is_agreed(),
        };
        if !usable {
            let failure = Failure::new(self.origin(), Kind::NotAcceptable);
            let release = crate::event::Release { by: Side::Platform, failure: Some(failure) };
            self.release(w, trace, release);
            return Some(LegEvent::Lost(failure));
        }
        if self.is_inbound() {
            self.journal(w);
        }
        // The answer to an offer that they had asked us for: what it changes, the other leg hears of.
        let now = self.audio.direction();
        let changed = answered && joined && self.relays(w) && now != before;
        changed.then(|| self.ask(now))
    }

    /// They gave up before our answer, or while our 200 waited for its row (then the leg was up here) or for
    /// a PRACK; or we gave them up, because that PRACK never came.
    pub(crate) fn cancelled(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        session: SessionId,
        (code, reason): (u16, Option<&Reason>),
    ) -> Option<LegEvent> {
        let stood = matches!(self.stage, Stage::Up) && self.facts.answered.is_none();
        if !stood && !matches!(self.stage, Stage::Opening | Stage::Waiting) {
            return self.ended(w, trace, session, (EndCause::Bye, reason));
        }
        self.session = None;
        self.said = reason.cloned();
        self.facts.sip_final = Some(code);
        if stood && code != 487 {
            return Some(LegEvent::Lost(self.lost(w, trace, Kind::LostDialog, self.origin())));
        }
        let ended = trace.wall(w.now.mono);
        let failure = Failure::new(self.origin(), Kind::Abandoned);
        self.down(w, trace, ended, self.side, Some(failure));
        Some(LegEvent::HungUp)
    }

    /// A final answer other than 2xx, with its cause (RFC 3326, RFC 6432).
    pub(super) fn refuse(&mut self, w: &mut World, session: SessionId, code: u16, reason: &Reason) {
        let headers = vec![("Reason".to_owned(), reason.to_string().into_bytes())];
        w.endpoint.reject(w.now.mono, session, code, headers);
        // Nothing more is heard of a session that was refused.
        w.sessions.remove(&session);
        self.facts.sip_final = Some(code);
    }
}

/// What is taken of a carrier that calls: what it is offered, and G.711 in any case, which we turn into
/// the rest.
fn taken(codecs: &[Codec]) -> Vec<Codec> {
    let plain = [Codec::Pcma, Codec::Pcmu].into_iter().filter(|plain| !codecs.contains(plain));
    codecs.iter().copied().chain(plain).collect()
}

/// The family of addresses that a session description wants sound from (RFC 8866 §5.7).
fn described(sdp: &[u8]) -> Option<Family> {
    let description = SessionDescription::parse(sdp).ok()?;
    let of = |media| description.connection_of(media);
    let connection = description.media.iter().find_map(of).or(description.connection.as_ref())?;
    Some(if connection.kind.eq_ignore_ascii_case("IP6") { Family::V6 } else { Family::V4 })
}
