//! One leg's media: what it accepts, what it heard, what it sends.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::coding::{Coding, Kind, Map};
use crate::egress::{Egress, Owner, Recode, Sent};
use crate::keys::Keys;
use crate::latch::{Admission, Expected, Latch};
use crate::packet::{HEADER_LEN, Header};
use crate::quality::{Scores, Way, delay};
use crate::reception::{Order, Reception};
use crate::rtcp::{self, Account, CNAME_LEN, FarStretch, NtpClock, REPORT_MAX, Report};

/// Which way audio may flow, seen from us (RFC 3264 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Both ways.
    SendReceive,
    /// We send only.
    SendOnly,
    /// We receive only.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Flow {
    /// We may send.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Flow::SendReceive | Flow::SendOnly)
    }

    /// The far end may send.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Flow::SendReceive | Flow::ReceiveOnly)
    }
}

/// What offer and answer agreed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// Where the far end says it listens for RTP.
    pub remote: SocketAddr,
    /// Where its signalling comes from: RTP may come from there too (see [`crate::latch`]).
    pub signalling: Option<IpAddr>,
    /// Where it says it listens for RTCP (RFC 3605); `None` means the next port.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// How we number what we send.
    pub send: Map,
    /// How the far end numbers what it sends.
    pub receive: Map,
    /// Which way audio may flow.
    pub flow: Flow,
    /// Report when no RTP came for this long.
    pub silence: Option<Duration>,
}

/// Why a packet goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Offer and answer have not agreed yet.
    NotReady,
    /// Not RTP, or not RTCP.
    Malformed,
    /// From a stranger.
    Source,
    /// From somebody who has not yet proved to be the far end.
    Unproven,
    /// A payload type that was not agreed.
    PayloadType,
    /// Audio does not flow this way now.
    Held,
    /// A jump in the sequence that nothing has confirmed.
    Suspect,
    /// From before the stream was fastened to the outgoing one.
    Late,
    /// The outgoing stream belongs to somebody else.
    NotOwner,
    /// The listener has not agreed to telephone-events.
    NoEvents,
    /// The listener has not agreed to comfort noise.
    NoNoise,
    /// What may be left of a key in sound that cannot be silenced in place.
    Leak,
}

/// A packet that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Its header, as it came.
    pub header: Header,
    /// What it carries.
    pub kind: Kind,
    /// The first of the leg that was accepted.
    pub started: bool,
    /// A key whose first packet this is.
    pub key: Option<char>,
    /// Sound beside an event, or shortly after one: it may hold what is left of the key.
    pub leaks: bool,
}

/// Where a packet leaves to, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    /// The far end.
    pub to: SocketAddr,
    /// Codings that a table converts the payload from and to, when the listener does not speak the
    /// speaker's.
    pub convert: Option<(Coding, Coding)>,
}

/// How a packet goes on to its listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// As it is: its header is rewritten.
    Send(Departure),
    /// Decoded and coded anew; what comes of it leaves by [`Leg::generate`].
    Recode(Recode),
}

/// What makes one leg differ from all others. All of it is random.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Synchronisation source (RFC 3550 §8.1).
    pub ssrc: u32,
    /// First sequence number.
    pub sequence: u16,
    /// First timestamp.
    pub timestamp: u32,
    /// Canonical name (RFC 7022 §4.2).
    pub cname: [u8; CNAME_LEN],
}

/// A leg's last figures (RFC 3550 §6.4 terms).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// RTP packets received and accepted.
    pub packets_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload octets received.
    pub octets_received: u64,
    /// Packets missing from the received sequence.
    pub packets_lost: u64,
    /// Largest interarrival jitter, microseconds.
    pub jitter_max_us: u32,
    /// Packets refused, whatever the reason.
    pub packets_dropped: u64,
    /// Those of them that came from strangers.
    pub packets_refused: u64,
    /// Round trip by RTCP, microseconds; 0 when never measured.
    pub round_trip_us: u32,
    /// Loss the far end reported, in 1/256.
    pub far_loss: u8,
    /// Packets that it reported lost, in all.
    pub far_lost: u64,
    /// Largest jitter that it reported, microseconds.
    pub far_jitter_max_us: u32,
    /// Mean interarrival jitter, microseconds.
    pub jitter_mean_us: u32,
    /// Packets that came too late to be played.
    pub packets_late: u64,
    /// Mean opinion scores of what we hear and of what the far end hears: mean and worst stretch, in hundredths; 0
    /// where nothing was measured.
    pub scores_x100: [[u16; 2]; 2],
}

/// For so long after the last packet of an event what comes as sound may hold its key: the end may be lost, and
/// gateways are late with the sound by what they gather.
const LEAK: Duration = Duration::from_millis(100);
/// Octets of a telephone-event (RFC 4733 §2.3).
pub const EVENT_LEN: usize = 4;
/// Its end (§2.3.3).
const END: u8 = 0x80;
/// The level of keys of ours, in −dBm0 (§2.3.5).
const KEY_VOLUME: u8 = 10;

/// How long a generator waits after the setup for the far end's first packet: before it, phones
/// and networks tend to lose the first syllable.
pub const START_GATE: Duration = Duration::from_millis(200);

/// The media of one leg.
#[derive(Clone, Debug)]
pub struct Leg {
    clock: NtpClock,
    cname: [u8; CNAME_LEN],
    setup: Option<Setup>,
    latch: Latch,
    reception: Reception,
    keys: Keys,
    /// When a packet of an event came last, until the sound is its own again.
    event_at: Option<Instant>,
    /// Source and timestamp of the event that could not be passed on while somebody else had the outgoing stream.
    missed: Option<(u32, u32)>,
    /// The outgoing stream.
    egress: Egress,
    account: Account,
    rtcp_source: Option<SocketAddr>,
    /// Packets sent when the report before the last was made (RFC 3550 §6.4).
    sent_before: [u64; 2],
    /// The first setup that lets us send.
    ready_at: Option<Instant>,
    started: bool,
    watch: Watch,
    dropped: u64,
    strangers: Strangers,
    quality: Quality,
}

/// How both directions sound.
#[derive(Clone, Copy, Debug, Default)]
struct Quality {
    /// What was heard and said last: its coding, and how long a packet is in units of its clock.
    heard: Option<(Coding, u32)>,
    said: Option<(Coding, u32)>,
    heard_scores: Scores,
    said_scores: Scores,
    far_jitter_max: Duration,
    /// Loss of a report that nobody has asked for yet, in 1/256.
    told_loss: Option<u8>,
}

/// How long a packet is.
fn length((coding, span): (Coding, u32)) -> Duration {
    Duration::from_micros(u64::from(span) * 1_000_000 / u64::from(coding.clock_hz()))
}

/// Packets from somewhere else than the far end.
#[derive(Clone, Copy, Debug, Default)]
struct Strangers {
    packets: u64,
    /// The first that sent RTP.
    first: Option<SocketAddr>,
    reported: bool,
}

/// Sound that was refused because of where it came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stranger {
    /// Where from.
    pub source: SocketAddr,
    /// Where the far end said it would be.
    pub described: SocketAddr,
    /// Where its signalling comes from.
    pub signalling: Option<IpAddr>,
    /// The far end itself was heard before.
    pub heard: bool,
}

/// Waiting for RTP.
#[derive(Clone, Copy, Debug)]
struct Watch {
    since: Instant,
    reported: bool,
}

impl Leg {
    /// A leg that knows nothing yet.
    #[must_use]
    pub fn new(now: Instant, clock: NtpClock, identity: &Identity) -> Leg {
        Leg {
            clock,
            cname: identity.cname,
            setup: None,
            latch: Latch::default(),
            reception: Reception::new(now),
            keys: Keys::default(),
            event_at: None,
            missed: None,
            egress: Egress::new(identity.ssrc, identity.sequence, identity.timestamp),
            account: Account::default(),
            rtcp_source: None,
            sent_before: [0; 2],
            ready_at: None,
            started: false,
            watch: Watch { since: now, reported: false },
            dropped: 0,
            strangers: Strangers::default(),
            quality: Quality::default(),
        }
    }

    /// Offer and answer agreed, or agreed anew.
    pub fn setup(&mut self, now: Instant, setup: Setup) {
        let Setup { remote: described, signalling, .. } = setup;
        let expected = Expected { described, signalling, due: setup.flow.receives() };
        self.latch.expect(now, &expected);
        if setup.flow.sends() {
            self.ready_at.get_or_insert(now);
        }
        let before = self.setup.as_ref().and_then(|setup| setup.silence);
        if setup.silence != before {
            self.watch = Watch { since: now, reported: false };
        }
        if self.setup.as_ref().is_none_or(|before| before.remote != setup.remote) {
            self.rtcp_source = None;
        }
        self.setup = Some(setup);
    }

    /// What was agreed last.
    #[must_use]
    pub fn agreed(&self) -> Option<&Setup> {
        self.setup.as_ref()
    }

    /// RTP and RTCP share the RTP port (RFC 5761).
    #[must_use]
    pub fn muxed(&self) -> bool {
        self.setup.as_ref().is_some_and(|setup| setup.rtcp_mux)
    }

    /// The outgoing stream.
    #[must_use]
    pub fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Gives the outgoing stream to an owner.
    pub fn give(&mut self, owner: Owner) {
        self.egress.give(owner);
    }

    /// When a generator may start: with the first RTP heard, or [`START_GATE`] after the setup.
    /// `None` while nothing can be sent at all, or it is not known where to: a far end behind a NAT
    /// has to speak first.
    #[must_use]
    pub fn opens_at(&self, now: Instant) -> Option<Instant> {
        let ready_at = self.ready_at?;
        self.latch.target()?;
        Some(if self.started { now } else { ready_at + START_GATE })
    }

    /// Takes a packet from the RTP port.
    ///
    /// # Errors
    ///
    /// Why it counts for nothing. The refusal has been counted.
    pub fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<Arrival, Refusal> {
        let arrival = self.judge(now, source, bytes);
        if arrival.is_err() {
            self.dropped += 1;
        }
        arrival
    }

    fn judge(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<Arrival, Refusal> {
        let setup = self.setup.as_ref().ok_or(Refusal::NotReady)?;
        let header = Header::parse(bytes).map_err(|_| Refusal::Malformed)?;
        match self.latch.admit(now, source, &header) {
            Admission::Heard | Admission::Locked => {}
            Admission::Unproven => return Err(Refusal::Unproven),
            Admission::Refused => {
                self.strangers.packets += 1;
                self.strangers.first.get_or_insert(source);
                return Err(Refusal::Source);
            }
        }
        self.watch = Watch { since: now, reported: false };
        let kind = setup.receive.kind(header.payload_type);
        let flow = setup.flow;
        let clock = match kind {
            Some(Kind::Audio(coding)) => Some(coding.clock_hz()),
            _ => None,
        };
        let Header { ssrc, sequence, timestamp, .. } = header;
        let octets = header.payload.len();
        if let Some(Kind::Audio(coding)) = kind {
            self.quality.heard = Some((coding, coding.span(&bytes[header.payload.clone()])));
        }
        let order = self.reception.note(now, ssrc, sequence, timestamp, octets, clock);
        if order == Order::Suspect {
            return Err(Refusal::Suspect);
        }
        let kind = kind.ok_or(Refusal::PayloadType)?;
        if !flow.receives() {
            return Err(Refusal::Held);
        }
        let started = !std::mem::replace(&mut self.started, true);
        let key = match kind {
            Kind::Event(_) => {
                self.event_at = Some(now);
                self.keys.note(ssrc, timestamp, &bytes[header.payload.clone()])
            }
            Kind::Audio(_) | Kind::Noise => None,
        };
        let leaks = matches!(kind, Kind::Audio(_)) && self.leaks(now);
        Ok(Arrival { header, kind, started, key, leaks })
    }

    /// An event is under way, or was just now.
    fn leaks(&mut self, now: Instant) -> bool {
        let Some(at) = self.event_at else { return false };
        let leaks = now.saturating_duration_since(at) < LEAK;
        if !leaks {
            self.event_at = None;
        }
        leaks
    }

    /// Rewrites another leg's packet for this one, or says how it is to be coded anew.
    ///
    /// # Errors
    ///
    /// Why it is not sent. A packet that is swallowed on purpose leaves no gap.
    pub fn relay(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<Passage, Refusal> {
        let passage = match arrival.kind {
            Kind::Audio(coding) => return self.relay_sound(now, arrival, coding, packet),
            Kind::Event(clock) => self.relay_event(now, arrival, clock, packet),
            Kind::Noise => self.relay_noise(now, arrival, packet),
        };
        if matches!(passage, Err(Refusal::NoEvents | Refusal::NoNoise | Refusal::Held)) {
            self.egress.skip(&arrival.header);
        }
        Ok(Passage::Send(Departure { to: passage?, convert: None }))
    }

    /// Whether what another leg says leaves here decoded and coded anew, or, where it is no sound, beside sound that does.
    #[must_use]
    pub fn recodes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Audio(coding) => self
                .outbound(coding)
                .is_ok_and(|(_, _, spoken)| spoken != coding && !spoken.by_table(coding)),
            Kind::Event(_) | Kind::Noise => self.egress.recodes(),
        }
    }

    fn relay_sound(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        coding: Coding,
        packet: &mut [u8],
    ) -> Result<Passage, Refusal> {
        let (to, payload_type, spoken) = match self.outbound(coding) {
            Ok(outbound) => outbound,
            Err(refusal) => {
                self.egress.skip(&arrival.header);
                return Err(refusal);
            }
        };
        let span = coding.span(&packet[arrival.header.payload.clone()]);
        if spoken != coding && !spoken.by_table(coding) {
            let recode = self.egress.line(&arrival.header, (coding, spoken), span)?;
            return Ok(Passage::Recode(recode));
        }
        let sent = Sent { payload_type, clock: coding.clock_hz(), span };
        self.egress.relay(now, &arrival.header, sent)?.write(packet);
        self.quality.said = Some((spoken, span));
        let convert = (spoken != coding).then_some((coding, spoken));
        Ok(Passage::Send(Departure { to, convert }))
    }

    fn relay_event(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        from: u32,
        packet: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, _) = self.target()?;
        let (payload_type, clock) =
            setup.send.event(self.egress.clock_hz().unwrap_or(from)).ok_or(Refusal::NoEvents)?;
        let event = (arrival.header.ssrc, arrival.header.timestamp);
        if !self.is_relayed() {
            self.missed = Some(event);
        } else if self.missed == Some(event) {
            // Its rest alone would be another key.
            self.egress.skip(&arrival.header);
            return Err(Refusal::Late);
        }
        let (_, to) = self.target()?;
        let payload = &mut packet[arrival.header.payload.clone()];
        let numbers = (payload_type, from, clock);
        self.egress.relay_event(now, &arrival.header, numbers, payload)?.write(packet);
        Ok(to)
    }

    fn relay_noise(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        packet: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, to) = self.target()?;
        let payload_type = setup.send.noise.ok_or(Refusal::NoNoise)?;
        self.egress.relay_noise(now, &arrival.header, payload_type)?.write(packet);
        Ok(to)
    }

    /// Another leg's packet is not passed on though it was not lost: its number closes up.
    pub fn swallow(&mut self, header: &Header) {
        self.egress.skip(header);
    }

    fn outbound(&self, coding: Coding) -> Result<(SocketAddr, u8, Coding), Refusal> {
        let (setup, to) = self.target()?;
        let (pt, spoken) = setup.send.nearest(coding).ok_or(Refusal::PayloadType)?;
        Ok((to, pt, spoken))
    }

    fn outbound_in(&self, coding: Coding) -> Result<(SocketAddr, u8), Refusal> {
        let (to, payload_type, spoken) = self.outbound(coding)?;
        if spoken == coding { Ok((to, payload_type)) } else { Err(Refusal::PayloadType) }
    }

    fn target(&self) -> Result<(&Setup, SocketAddr), Refusal> {
        let setup = self.setup.as_ref().ok_or(Refusal::NotReady)?;
        if !setup.flow.sends() || setup.remote.ip().is_unspecified() || setup.remote.port() == 0 {
            return Err(Refusal::Held);
        }
        Ok((setup, self.latch.target().ok_or(Refusal::NotReady)?))
    }

    /// The coding that generated sound has to be in; `None` where none is agreed that we can make.
    #[must_use]
    pub fn spoken(&self) -> Option<Coding> {
        self.setup.as_ref()?.send.turned().map(|(_, coding)| coding)
    }

    /// Writes the header of a packet of sound of our making, generated or coded anew: `span` is its length in
    /// units of its coding's clock.
    ///
    /// # Errors
    ///
    /// Why it must not be sent.
    pub fn generate(
        &mut self,
        now: Instant,
        coding: Coding,
        (span, octets): (u32, usize),
        header: &mut [u8],
    ) -> Result<SocketAddr, Refusal> {
        let (to, payload_type) = self.outbound_in(coding)?;
        let sent = Sent { payload_type, clock: coding.clock_hz(), span };
        self.egress.generate(now, sent, octets)?.write_new(header);
        self.quality.said = Some((coding, span));
        Ok(to)
    }

    /// Whether the far end takes keys as events.
    #[must_use]
    pub fn takes_events(&self) -> bool {
        self.setup.as_ref().is_some_and(|setup| !setup.send.events.is_empty())
    }

    /// What another leg says may leave here: nobody else has the outgoing stream.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.egress.owner() == Owner::Relay
    }

    /// Writes a packet of a key of ours (RFC 4733 §2.3) behind room for its header: which event, how long it has
    /// lasted, whether that is its end, and whether this is its first packet.
    ///
    /// # Errors
    ///
    /// Why it must not be sent.
    pub fn press(
        &mut self,
        now: Instant,
        (event, lasted, end): (u8, Duration, bool),
        first: bool,
        packet: &mut [u8; HEADER_LEN + EVENT_LEN],
    ) -> Result<SocketAddr, Refusal> {
        let (setup, to) = self.target()?;
        let clock = self.egress.clock_hz().or(self.spoken().map(Coding::clock_hz));
        let numbers = setup.send.event(clock.unwrap_or(8_000)).ok_or(Refusal::NoEvents)?;
        let units = (lasted.as_micros() * u128::from(numbers.1) / 1_000_000).min(0xffff) as u16;
        packet[HEADER_LEN] = event;
        packet[HEADER_LEN + 1] = if end { END | KEY_VOLUME } else { KEY_VOLUME };
        packet[HEADER_LEN + 2..].copy_from_slice(&units.to_be_bytes());
        let stamp = self.egress.press(now, numbers, (units.into(), first), EVENT_LEN)?;
        stamp.write_new(packet);
        Ok(to)
    }

    /// No RTP for as long as the setup allows; told once for each silence.
    pub fn fell_silent(&mut self, now: Instant) -> Option<Duration> {
        let limit = self.setup.as_ref()?.silence?;
        let since = now.saturating_duration_since(self.watch.since);
        if self.watch.reported || since < limit {
            return None;
        }
        self.watch.reported = true;
        Some(since)
    }

    /// RTP was refused because of where it came from; told once.
    pub fn met_stranger(&mut self) -> Option<Stranger> {
        let source = self.strangers.first.filter(|_| !self.strangers.reported)?;
        let setup = self.setup.as_ref()?;
        self.strangers.reported = true;
        let (described, signalling) = (setup.remote, setup.signalling);
        Some(Stranger { source, described, signalling, heard: self.latch.locked().is_some() })
    }

    /// Takes a packet from the RTCP port, or an RTCP packet from a shared one.
    ///
    /// # Errors
    ///
    /// Why it counts for nothing. The refusal has been counted.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let outcome = self.judge_rtcp(now, source, bytes);
        if outcome.is_err() {
            self.dropped += 1;
        }
        outcome
    }

    fn judge_rtcp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let setup = self.setup.as_ref().ok_or(Refusal::NotReady)?;
        let target = self.latch.target().ok_or(Refusal::NotReady)?;
        if source.ip() != target.ip() && setup.remote_rtcp != Some(source) {
            self.strangers.packets += 1;
            return Err(Refusal::Source);
        }
        let (ntp, ours) = (self.clock.ntp(now), self.egress.ssrc());
        let account = &mut self.account;
        let mut reporter = None;
        let mut far = None;
        rtcp::read(bytes, |item| {
            if let rtcp::Item::Sender { ssrc, .. } | rtcp::Item::Receiver { ssrc } = item {
                reporter = Some(ssrc);
            }
            far = account.note(now, ntp, ours, &item).or(far);
        })
        .map_err(|_| Refusal::Malformed)?;
        if let Some(far) = far {
            self.quality.told_loss = Some(self.account.far_loss());
            self.score_said(&far);
        }
        // Symmetric RTCP: a NAT may have moved its port too.
        if reporter.is_some() && reporter == self.reception.ssrc() {
            self.rtcp_source = Some(source);
        }
        Ok(())
    }

    /// The loss that the far end's newest report tells of, in 1/256; once.
    pub fn told_loss(&mut self) -> Option<u8> {
        self.quality.told_loss.take()
    }

    /// What the far end heard of us.
    fn score_said(&mut self, far: &FarStretch) {
        let Some(said) = self.quality.said else { return };
        let jitter = u64::from(far.jitter).saturating_mul(1_000_000) / u64::from(said.0.clock_hz());
        let jitter = Duration::from_micros(jitter);
        self.quality.far_jitter_max = self.quality.far_jitter_max.max(jitter);
        let round_trip = self.account.round_trip().unwrap_or_default();
        let loss = crate::quality::float(far.lost) / crate::quality::float(far.expected.max(1));
        let way = Way {
            coding: said.0,
            delay: delay(round_trip, length(said), jitter),
            loss,
            burst: 1.0,
        };
        self.quality.said_scores.add(far.expected, way.mos());
    }

    /// What we heard since the last time.
    fn score_heard(&mut self) {
        let stretch = self.reception.stretch();
        let Some(heard) = self.quality.heard.filter(|_| stretch.expected > 0) else { return };
        let round_trip = self.account.round_trip().unwrap_or_default();
        let loss = crate::quality::float(stretch.missed) / crate::quality::float(stretch.expected);
        let delay = delay(round_trip, length(heard), stretch.jitter);
        let way = Way { coding: heard.0, delay, loss, burst: stretch.burst };
        self.quality.heard_scores.add(stretch.expected, way.mos());
    }

    /// Writes the report that is due now, and says where it goes. `bye` ends the stream.
    ///
    /// `None` while nobody has agreed to anything, or nothing was sent nor heard.
    pub fn report(
        &mut self,
        now: Instant,
        bye: bool,
        out: &mut [u8; REPORT_MAX],
    ) -> Option<(usize, SocketAddr)> {
        self.score_heard();
        let to = self.rtcp_target()?;
        let sent = self.egress.packets();
        let sending = sent > self.sent_before[0];
        self.sent_before = [self.sent_before[1], sent];
        let sender = if sending { self.egress.sender_info(now, self.clock.ntp(now)) } else { None };
        let (last_sr, delay) = self.account.echo(now);
        let block = self.reception.report(last_sr, delay);
        // Who never sent anything does not say goodbye (RFC 3550 §6.3.7).
        if sender.is_none() && block.is_none() && !(bye && sent > 0) {
            return None;
        }
        let report = Report { ssrc: self.egress.ssrc(), sender, block, cname: &self.cname, bye };
        Some((report.write(out), to))
    }

    fn rtcp_target(&self) -> Option<SocketAddr> {
        let setup = self.setup.as_ref()?;
        let target = self.latch.target()?;
        if setup.remote.ip().is_unspecified() || setup.remote.port() == 0 {
            return None;
        }
        if setup.rtcp_mux {
            return Some(target);
        }
        if let Some(source) = self.rtcp_source {
            return Some(source);
        }
        let next = SocketAddr::new(target.ip(), target.port().checked_add(1)?);
        // What was signalled holds as long as the RTP comes from where it was signalled.
        Some(if target == setup.remote { setup.remote_rtcp.unwrap_or(next) } else { next })
    }

    /// The leg's figures so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let round_trip = self.account.round_trip().map_or(0, |time| time.as_micros());
        Figures {
            packets_received: self.reception.packets(),
            packets_sent: self.egress.packets(),
            octets_received: self.reception.octets(),
            packets_lost: self.reception.lost(),
            jitter_max_us: self.reception.jitter_max_us(),
            packets_dropped: self.dropped,
            packets_refused: self.strangers.packets,
            round_trip_us: u32::try_from(round_trip).unwrap_or(u32::MAX),
            far_loss: self.account.far_loss(),
            far_lost: self.account.far_lost(),
            far_jitter_max_us: u32::try_from(self.quality.far_jitter_max.as_micros())
                .unwrap_or(u32::MAX),
            jitter_mean_us: self.reception.jitter_mean_us(),
            packets_late: self.reception.late(),
            scores_x100: [self.quality.heard_scores, self.quality.said_scores]
                .map(|scores| [scores.mean_x100(), scores.least_x100()]),
        }
    }
}

/// The payload of an arrival, for a tap.
impl Arrival {
    /// It is sound that can be silenced in place.
    pub(crate) fn is_g711(&self) -> bool {
        matches!(self.kind, Kind::Audio(Coding::Pcmu | Coding::Pcma))
    }

    /// Coding and place of the sound; `None` for telephone-events and comfort noise.
    #[must_use]
    pub fn sound(&self) -> Option<(Coding, Range<usize>)> {
        match self.kind {
            Kind::Audio(coding) => Some((coding, self.header.payload.clone())),
            Kind::Event(_) | Kind::Noise => None,
        }
    }
}
