//! Offer and answer of one leg (RFC 3264), and what the media plane is told of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use facts::LegId;
use facts::manners::Dtmf;
use facts::media::{Codec, Direction, MediaCommand, PayloadMap, StreamSetup};
use facts::spoken::Spoken;
use facts::srtp::{SrtpKey, SrtpKeys, SrtpSuite};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use sip::offer::crypto::{Crypto, Key, Secured, Security, Suite};
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
    /// How the far end takes keys, and where they are listened for.
    dtmf: Dtmf,
    /// Where the signalling of the far end that is spoken with comes from.
    signalling: Option<IpAddr>,
    /// Their offer, while our answer to it has not left: it may still be narrowed to what the other leg
    /// speaks.
    unsaid: Option<Bytes>,
    beside: Beside,
    /// Whether sound may, or has to be, protected.
    security: Security,
    /// Keys of ours that nobody was told yet; none where nothing is protected.
    keys: Vec<Crypto>,
    /// All that was agreed so far.
    spoken: Spoken,
}

/// What the other leg speaks, as far as is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    pub(super) codecs: Vec<Codec>,
    /// It takes comfort noise.
    pub(super) noise: bool,
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
            dtmf: Dtmf::Auto,
            signalling: None,
            unsaid: None,
            beside: Beside::default(),
            security: Security::Plain,
            keys: Vec::new(),
            spoken: Spoken::default(),
        }
    }

    /// A far end that has nothing to do with the last one is asked: what that one agreed to is not its.
    pub(super) fn begin(&mut self) {
        self.spoken = Spoken::default();
    }

    /// What was agreed so far, for the record.
    pub(super) fn spoken(&self) -> Spoken {
        self.spoken
    }

    /// Whether sound may, or has to be, protected from now on.
    pub(super) fn protects(&mut self, security: Security, rng: &mut ChaCha20Rng) {
        self.security = security;
        self.new_keys(rng);
    }

    /// Whoever is spoken with next may be told keys that nobody has.
    pub(super) fn new_keys(&mut self, rng: &mut ChaCha20Rng) {
        self.keys = if self.security == Security::Plain { Vec::new() } else { crypto(rng) };
    }

    /// Our latest offer without its keys.
    pub(super) fn keyless(&self, sdp: Bytes) -> Bytes {
        match &self.pending {
            Some(pending) if *pending.sdp() == sdp => pending.sdp_without_keys(),
            _ => sdp,
        }
    }

    /// What the other leg speaks now.
    pub(super) fn stands_beside(&mut self, codecs: &[Codec], noise: bool) {
        self.beside.codecs.clear();
        self.beside.codecs.extend_from_slice(codecs);
        self.beside.noise = noise;
    }

    /// What of these may be agreed on beside what the other leg speaks.
    pub(super) fn joinable(&self, takes: &[Codec]) -> Vec<Codec> {
        Codec::joinable(takes, &self.beside.codecs)
    }

    /// Nobody is on the other leg.
    pub(super) fn stands_alone(&self) -> bool {
        self.beside.codecs.is_empty()
    }

    /// The other leg may send what only this one could be given as it is, and it does not take it any
    /// more.
    pub(super) fn strands(&self) -> bool {
        let passes = |codec: &Codec| codec.transcodes() || self.agreed().any(|ours| ours == *codec);
        !self.beside.codecs.iter().all(passes)
    }

    /// True when comfort noise was agreed on.
    pub(super) fn takes_noise(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.send_noise.is_some())
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

    /// How the far end takes keys from now on.
    pub(super) fn takes_keys(&mut self, dtmf: Dtmf) {
        self.dtmf = dtmf;
    }

    /// The far end takes keys by INFO.
    pub(super) fn takes_info(&self) -> bool {
        self.dtmf == Dtmf::Info
    }

    /// What we can do with these codecs. A number that means one of them in this session goes on meaning
    /// it (RFC 3264 §8.3.2), and no two mean the same.
    fn ours(&self, local: SocketAddr, codecs: &[Codec]) -> LocalAudio {
        let agreed = self.agreed.as_ref();
        let mut used = 0_u128;
        let mut free = |number: u8| {
            let is_free = |number: &u8| used & (1 << number) == 0;
            let number = Some(number).filter(is_free).or_else(|| (96..128).find(is_free));
            used |= number.map_or(0, |number| 1 << number);
            number
        };
        let mut list: Vec<offer::Codec> = codecs.iter().copied().map(named).collect();
        for codec in &mut list {
            let known = agreed.iter().flat_map(|agreed| &agreed.receive);
            let known = known.into_iter().find(|known| known.same_encoding(codec));
            let number = known.map_or(codec.payload_type, |known| known.payload_type);
            codec.payload_type = free(number).unwrap_or(number);
        }
        let noise = free(NOISE);
        let mut usual = LocalAudio::new(local, list);
        if self.dtmf == Dtmf::Inband {
            usual.events.clear();
        }
        for (number, clock) in &mut usual.events {
            let known = agreed.iter().flat_map(|agreed| &agreed.receive_events);
            let known = known.into_iter().find(|(_, own)| own == clock);
            *number = free(known.map_or(*number, |(number, _)| *number)).unwrap_or(*number);
        }
        LocalAudio {
            ptime_ms: self.ptime_ms.or(usual.ptime_ms),
            noise,
            security: self.security,
            crypto: self.keys.clone(),
            ..usual
        }
    }

    /// Our offer: what both the far end's carrier takes and the other leg prefers first, then what of the
    /// rest can be turned into something that the other leg speaks. Comfort noise only if that takes it.
    pub(super) fn offer(&mut self, local: SocketAddr, takes: &[Codec], like: &[Codec]) -> Bytes {
        // Nobody else's keys: the last next hop may have had some, and taken no call.
        self.session.forget_keys();
        let codecs = ordered(takes, like);
        let mut ours = self.ours(local, &codecs);
        ours.noise = ours.noise.filter(|_| self.beside.noise);
        self.offer_of(ours)
    }

    /// Our offer to somebody who called without one.
    pub(super) fn offer_first(&mut self, local: SocketAddr, takes: &[Codec]) -> Bytes {
        let like = self.beside.codecs.clone();
        let takes = if Codec::join(takes, &like) { takes } else { &like };
        self.offer(local, takes, &like)
    }

    /// Our offer again, for an INVITE or re-INVITE that bears none (RFC 3261 §14.2).
    pub(super) fn offer_again(&mut self, local: SocketAddr, takes: &[Codec]) -> Bytes {
        let Some(before) = self.local.clone() else { return self.offer(local, takes, &[]) };
        let codecs: Vec<Codec> = before.codecs.iter().filter_map(known).collect();
        let joinable = self.joinable(&codecs);
        let kept = if joinable.is_empty() { &codecs } else { &joinable };
        let ours = self.ours(before.addr, kept);
        let noise = before.noise.and(ours.noise).filter(|_| self.beside.noise);
        self.offer_of(LocalAudio { codecs: ours.codecs, events: ours.events, noise, ..before })
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
        let fresh = self.ours(local, &codecs);
        let noise = fresh.noise.filter(|_| self.beside.noise);
        let (addr, ptime_ms) = match &before {
            Some(before) => (before.addr, before.ptime_ms),
            None => (fresh.addr, fresh.ptime_ms),
        };
        let ours = LocalAudio { addr, ptime_ms, noise, direction: said(direction), ..fresh };
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
        let mut ours = self.ours(local, takes);
        if let Some(before) = &self.local {
            (ours.addr, ours.ptime_ms) = (before.addr, before.ptime_ms);
            (ours.direction, ours.rtcp_mux) = (before.direction, before.rtcp_mux);
        }
        let own = ours.direction;
        ours.direction = wish.map_or(own, said);
        let (sdp, agreed) = offer::answer(&mut self.session, remote, &ours)?;
        // What they speak before we say so is known; what we say may wait for the other leg.
        self.unsaid = None;
        // What the other leg wishes for this once is no wish of ours for good.
        self.local = Some(LocalAudio { direction: own, ..ours });
        Ok((sdp, self.agree(agreed, silence)))
    }

    /// Our answer to the offer of an INVITE, as long as it has not left: all that we take.
    pub(super) fn answer_later(
        &mut self,
        local: SocketAddr,
        takes: &[Codec],
        remote: &Bytes,
    ) -> Result<(Bytes, MediaCommand), OfferError> {
        let answered = self.answer(local, takes, (remote, None), None);
        self.unsaid = answered.is_ok().then(|| remote.clone());
        answered
    }

    /// That answer leaves now: what both legs speak, if there is anything, or else what can be turned
    /// into what the other one speaks. `None` if that is what it says already.
    pub(super) fn narrow(&mut self) -> Option<(Bytes, MediaCommand)> {
        let remote = self.unsaid.take()?;
        let agreed = self.agreed_codecs();
        let both = agreed.iter().filter(|codec| self.beside.codecs.contains(codec)).copied();
        let both: Vec<Codec> = both.collect();
        let kept = if both.is_empty() { self.joinable(&agreed) } else { both };
        let silent = self.takes_noise() && !self.beside.noise;
        if kept == agreed && !silent || kept.is_empty() {
            return None;
        }
        let local = self.local.clone()?;
        let kept = self.ours(local.addr, &kept);
        let noise = kept.noise.filter(|_| self.beside.noise);
        let ours = LocalAudio { codecs: kept.codecs, events: kept.events, noise, ..local };
        let (sdp, agreed) = offer::answer(&mut self.session, &remote, &ours).ok()?;
        Some((sdp, self.agree(agreed, None)))
    }

    /// The codecs agreed on, in the far end's order; empty before.
    pub(super) fn agreed_codecs(&self) -> Vec<Codec> {
        self.agreed().collect()
    }

    /// The same, one after the other.
    pub(super) fn agreed(&self) -> impl Iterator<Item = Codec> {
        self.agreed.iter().flat_map(|agreed| &agreed.send).filter_map(known)
    }

    /// True once an offer of either side was answered.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// What was agreed last, with the silence watch of a leg that is up.
    pub(super) fn watched(&self, silence: Option<Duration>) -> Option<MediaCommand> {
        self.agreed.as_ref().map(|agreed| self.setup(agreed, silence))
    }

    fn agree(&mut self, agreed: Agreed, silence: Option<Duration>) -> MediaCommand {
        let command = self.setup(&agreed, silence);
        self.session.keep(&agreed);
        if let Some(codec) = agreed.send.iter().find_map(known) {
            let suite = agreed.secured.as_ref().map(|secured| suite(secured.local.suite));
            self.spoken.agree(codec, suite);
        }
        self.agreed = Some(agreed);
        command
    }

    fn setup(&self, agreed: &Agreed, silence: Option<Duration>) -> MediaCommand {
        let map = |codecs: &[offer::Codec], events: &[(u8, u32)], noise| PayloadMap {
            audio: codecs
                .iter()
                .filter_map(|codec| Some((codec.payload_type, known(codec)?)))
                .collect(),
            events: events.to_vec(),
            noise,
        };
        // What it is told by INFO it is not told as an event too.
        let told = if self.takes_info() { &[][..] } else { &agreed.send_events };
        let direction = seen(agreed.direction);
        // Whoever holds us may fall silent, and whoever we do not listen to surely does.
        let watched = !agreed.held && agreed.direction.receives();
        MediaCommand::Setup {
            leg: self.leg,
            setup: StreamSetup {
                remote: agreed.remote,
                signalling: self.signalling,
                remote_rtcp: agreed.remote_rtcp,
                rtcp_mux: agreed.rtcp_mux,
                send: map(&agreed.send, told, agreed.send_noise),
                receive: map(&agreed.receive, &agreed.receive_events, agreed.receive_noise),
                direction,
                ptime_ms: u8::try_from(agreed.ptime_ms).unwrap_or(20),
                silence: silence.filter(|_| watched),
                srtp: agreed.secured.as_ref().map(|secured| Box::new(keys(secured))),
                dtmf: self.dtmf,
            },
        }
    }
}

/// Comfort noise (RFC 3551 §6).
const NOISE: u8 = 13;
/// Suites that we would protect with, best first; others are not offered, and taken if they are all there is.
const SUITES: [Suite; 5] = [
    Suite::Aes256Gcm,
    Suite::Aes128Gcm,
    Suite::Aes256Sha1_80,
    Suite::Aes128Sha1_80,
    Suite::Aes128Sha1_32,
];

/// A key for each.
fn crypto(rng: &mut ChaCha20Rng) -> Vec<Crypto> {
    let line = |(tag, suite): (u32, Suite)| {
        let mut bytes = vec![0; suite.key_len()];
        rng.fill_bytes(&mut bytes);
        Crypto { tag, suite, key: Key::new(bytes), mki: None }
    };
    (1..).zip(SUITES).map(line).collect()
}

/// What the media plane has to know of them.
fn keys(Secured { local, remote }: &Secured) -> SrtpKeys {
    SrtpKeys {
        suite: suite(local.suite),
        send: SrtpKey::new(local.key.bytes().to_vec()),
        receive: SrtpKey::new(remote.key.bytes().to_vec()),
        mki: remote.mki,
    }
}

const fn suite(suite: Suite) -> SrtpSuite {
    match suite {
        Suite::Aes128Sha1_80 => SrtpSuite::Aes128Sha1_80,
        Suite::Aes128Sha1_32 => SrtpSuite::Aes128Sha1_32,
        Suite::Aes192Sha1_80 => SrtpSuite::Aes192Sha1_80,
        Suite::Aes192Sha1_32 => SrtpSuite::Aes192Sha1_32,
        Suite::Aes256Sha1_80 => SrtpSuite::Aes256Sha1_80,
        Suite::Aes256Sha1_32 => SrtpSuite::Aes256Sha1_32,
        Suite::Aes128Gcm => SrtpSuite::Aes128Gcm,
        Suite::Aes256Gcm => SrtpSuite::Aes256Gcm,
    }
}

/// What of our codecs can be joined with the other leg, those first that it prefers.
fn ordered(takes: &[Codec], like: &[Codec]) -> Vec<Codec> {
    let mut codecs = Codec::joinable(takes, like);
    // Stable: what it does not speak keeps our order.
    codecs.sort_by_key(|codec| like.iter().position(|liked| liked == codec).unwrap_or(like.len()));
    codecs
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
        Codec::G722 => offer::Codec::g722(),
        Codec::Opus => offer::Codec::opus(),
        Codec::G729 => offer::Codec::g729(),
    }
}

fn known(codec: &offer::Codec) -> Option<Codec> {
    Codec::ALL.into_iter().find(|ours| named(*ours).same_encoding(codec))
}
