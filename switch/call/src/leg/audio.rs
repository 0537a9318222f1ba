//! Offer and answer of one leg (RFC 3264), and what the media plane is told of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use facts::LegId;
use facts::media::{Codec, Direction, MediaCommand, PayloadMap, StreamSetup};
use sip::offer::{self, Agreed, LocalAudio, LocalSession, OfferError, PendingOffer};

/// The audio stream of one leg over its life.
pub(super) struct Audio {
    leg: LegId,
    session: LocalSession,
    /// Our latest offer. Kept after its first answer: an early dialog and the final answer, or two
    /// branches of a fork, answer the same one.
    pending: Option<PendingOffer>,
    local: Option<LocalAudio>,
    agreed: Option<Agreed>,
    /// What we could do before our latest offer, while that one has no answer.
    before: Option<LocalAudio>,
    /// Milliseconds of sound that the far end is asked to put into a packet.
    ptime_ms: Option<u16>,
    /// Where the signalling of the far end that is spoken with comes from.
    signalling: Option<IpAddr>,
}

impl Audio {
    pub(super) fn new(leg: LegId) -> Audio {
        // Unique per leg: eight legs a call are more than there will be.
        let id = (leg.call.0 << 3) | u64::from(leg.no.0 & 7);
        let session = LocalSession::new(id);
        let (pending, local, before) = (None, None, None);
        Audio {
            leg,
            session,
            pending,
            local,
            agreed: None,
            before,
            ptime_ms: None,
            signalling: None,
        }
    }

    /// What is agreed from now on is agreed with whom the signalling comes from there.
    pub(super) fn with(&mut self, signalling: IpAddr) -> &mut Audio {
        self.signalling = Some(signalling);
        self
    }

    /// How much sound the far end is asked to put into a packet; `None`: as usual.
    pub(super) fn asks(&mut self, ptime_ms: Option<u16>) {
        self.ptime_ms = ptime_ms;
    }

    fn ours(&self, local: SocketAddr, codecs: Vec<offer::Codec>) -> LocalAudio {
        let usual = LocalAudio::new(local, codecs);
        LocalAudio { ptime_ms: self.ptime_ms.or(usual.ptime_ms), ..usual }
    }

    /// Our offer: what both the far end's carrier takes and the other leg prefers first, then the rest
    /// of what the carrier takes (we transcode).
    pub(super) fn offer(&mut self, local: SocketAddr, takes: &[Codec], like: &[Codec]) -> Bytes {
        let codecs = ordered(takes, like).into_iter().map(named).collect();
        self.offer_of(self.ours(local, codecs))
    }

    /// Our offer again, for an INVITE or re-INVITE that bears none (RFC 3261 §14.2).
    pub(super) fn offer_again(&mut self, local: SocketAddr, takes: &[Codec]) -> Bytes {
        match self.local.clone() {
            Some(local) => self.offer_of(local),
            None => self.offer(local, takes, &[]),
        }
    }

    /// Our offer in a session that is up, for a wish of the other leg.
    pub(super) fn offer_anew(
        &mut self,
        (local, takes): (SocketAddr, &[Codec]),
        like: &[Codec],
        direction: Direction,
    ) -> Bytes {
        let before = self.local.clone();
        let codecs = ordered(takes, like);
        let mut ours = before.clone().unwrap_or_else(|| LocalAudio::new(local, Vec::new()));
        ours.codecs = codecs.into_iter().map(named).collect();
        ours.direction = said(direction);
        let sdp = self.offer_of(ours);
        self.before = before;
        sdp
    }

    /// Our latest offer was not taken: what we could do before it holds.
    pub(super) fn withdraw(&mut self) {
        if let Some(before) = self.before.take() {
            self.local = Some(before);
        }
    }

    /// What an offer of theirs would change for the other leg: what we may do then, and their codecs.
    /// `None` if it changes nothing there, or cannot be agreed on at all.
    pub(super) fn change(&self, takes: &[Codec], remote: &[u8]) -> Option<(Direction, Vec<Codec>)> {
        let ours: Vec<_> = takes.iter().copied().map(named).collect();
        let wished = offer::wished(remote, &ours)?;
        let codecs: Vec<Codec> = wished.codecs.iter().filter_map(known).collect();
        let same = self.agreed.as_ref().is_some_and(|agreed| {
            agreed.said == wished.direction && self.agreed_codecs() == codecs
        });
        (!same).then(|| (seen(wished.direction).mirrored(), codecs))
    }

    /// True when we hold the far end.
    pub(super) fn holds(&self) -> bool {
        self.local.as_ref().is_some_and(|ours| ours.direction != offer::Direction::SendRecv)
    }

    /// True while the far end holds the call: it wants to hear nothing.
    pub(super) fn is_held(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| !agreed.direction.sends())
    }

    /// What we may do now.
    pub(super) fn direction(&self) -> Direction {
        self.agreed.as_ref().map_or(Direction::SendReceive, |agreed| seen(agreed.direction))
    }

    fn offer_of(&mut self, local: LocalAudio) -> Bytes {
        self.local = Some(local.clone());
        let pending = offer::offer(&mut self.session, local);
        let sdp = pending.sdp().clone();
        if let Some(old) = self.pending.replace(pending) {
            old.withdraw();
        }
        sdp
    }

    /// Their answer to our latest offer.
    pub(super) fn answered(
        &mut self,
        sdp: &[u8],
        silence: Option<Duration>,
    ) -> Result<MediaCommand, OfferError> {
        let pending = self.pending.as_ref().ok_or(OfferError::Mismatch)?;
        let agreed = pending.answered_once(sdp)?;
        self.before = None;
        Ok(self.agree(agreed, silence))
    }

    /// Our answer to their offer; an error leaves the session as it was.
    pub(super) fn answer(
        &mut self,
        local: SocketAddr,
        takes: &[Codec],
        (remote, wish): (&[u8], Option<Direction>),
        silence: Option<Duration>,
    ) -> Result<(Bytes, MediaCommand), OfferError> {
        let mut ours = match self.local.clone() {
            Some(ours) => ours,
            None => self.ours(local, takes.iter().copied().map(named).collect()),
        };
        let own = ours.direction;
        ours.direction = wish.map_or(own, said);
        let (sdp, agreed) = offer::answer(&mut self.session, remote, &ours)?;
        // What the other leg wishes for this once is no wish of ours for good.
        self.local = Some(LocalAudio { direction: own, ..ours });
        Ok((sdp, self.agree(agreed, silence)))
    }

    /// The codecs agreed on, in the far end's order; empty before.
    pub(super) fn agreed_codecs(&self) -> Vec<Codec> {
        self.agreed.iter().flat_map(|agreed| &agreed.send).filter_map(known).collect()
    }

    /// True once an offer of either side was answered.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// What was agreed last, with the silence watch of a leg that is up.
    pub(super) fn watched(&self, silence: Option<Duration>) -> Option<MediaCommand> {
        self.agreed.as_ref().map(|agreed| setup(self.leg, self.signalling, agreed, silence))
    }

    fn agree(&mut self, agreed: Agreed, silence: Option<Duration>) -> MediaCommand {
        let command = setup(self.leg, self.signalling, &agreed, silence);
        self.agreed = Some(agreed);
        command
    }
}

fn setup(
    leg: LegId,
    signalling: Option<IpAddr>,
    agreed: &Agreed,
    silence: Option<Duration>,
) -> MediaCommand {
    let map = |codecs: &[offer::Codec], event| PayloadMap {
        audio: codecs
            .iter()
            .filter_map(|codec| Some((codec.payload_type, known(codec)?)))
            .collect(),
        event,
    };
    let direction = seen(agreed.direction);
    // Whoever holds us may fall silent, and whoever we do not listen to surely does.
    let watched = !agreed.held && agreed.direction.receives();
    MediaCommand::Setup {
        leg,
        setup: StreamSetup {
            remote: agreed.remote,
            signalling,
            remote_rtcp: agreed.remote_rtcp,
            rtcp_mux: agreed.rtcp_mux,
            send: map(&agreed.send, agreed.send_event),
            receive: map(&agreed.receive, agreed.receive_event),
            direction,
            ptime_ms: u8::try_from(agreed.ptime_ms).unwrap_or(20),
            silence: silence.filter(|_| watched),
        },
    }
}

/// Our codecs, those first that the other leg prefers.
fn ordered(takes: &[Codec], like: &[Codec]) -> Vec<Codec> {
    let mut order: Vec<Codec> =
        like.iter().filter(|codec| takes.contains(codec)).copied().collect();
    for codec in takes {
        if !order.contains(codec) {
            order.push(*codec);
        }
    }
    order
}

const fn seen(direction: offer::Direction) -> Direction {
    match direction {
        offer::Direction::SendRecv => Direction::SendReceive,
        offer::Direction::SendOnly => Direction::SendOnly,
        offer::Direction::RecvOnly => Direction::ReceiveOnly,
        offer::Direction::Inactive => Direction::Inactive,
    }
}

const fn said(direction: Direction) -> offer::Direction {
    match direction {
        Direction::SendReceive => offer::Direction::SendRecv,
        Direction::SendOnly => offer::Direction::SendOnly,
        Direction::ReceiveOnly => offer::Direction::RecvOnly,
        Direction::Inactive => offer::Direction::Inactive,
    }
}

const fn named(codec: Codec) -> offer::Codec {
    match codec {
        Codec::Pcmu => offer::Codec::pcmu(),
        Codec::Pcma => offer::Codec::pcma(),
    }
}

fn known(codec: &offer::Codec) -> Option<Codec> {
    [Codec::Pcmu, Codec::Pcma].into_iter().find(|ours| named(*ours).same_encoding(codec))
}
