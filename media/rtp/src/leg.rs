//! One leg's media: what it accepts, what it heard, what it sends.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::coding::{Coding, Codings, Kind, Map};
use crate::egress::{Egress, Owner};
use crate::expected::Expected as Told;
use crate::keys::Keys;
use crate::latch::{Admission, Expected, Latch};
use crate::packet::Header;
use crate::quality::Scores;
use crate::reception::{Order, Reception};
use crate::rtcp::{Account, CNAME_LEN, NtpClock};

pub use self::outgoing::{Departure, EVENT_LEN, Passage};

mod control;
mod outgoing;

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
    /// Signalling has told that key already: it is nothing new.
    pub again: bool,
    /// Sound beside an event, or shortly after one: it may hold what is left of the key.
    pub leaks: bool,
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
    /// The codings that were heard, and those that were said.
    pub codings: [Codings; 2],
}

/// For so long after the last packet of an event what comes as sound may hold its key: the end may be lost, and
/// gateways are late with the sound by what they gather.
const LEAK: Duration = Duration::from_millis(100);
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
    /// Keys that signalling has told.
    told: Told,
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
    /// All that was.
    codings: [Codings; 2],
    heard_scores: Scores,
    said_scores: Scores,
    far_jitter_max: Duration,
    /// Loss of a report that nobody has asked for yet, in 1/256.
    told_loss: Option<u8>,
}

impl Quality {
    fn hear(&mut self, coding: Coding, span: u32) {
        self.heard = Some((coding, span));
        self.codings[0].add(coding);
    }

    fn say(&mut self, coding: Coding, span: u32) {
        self.said = Some((coding, span));
        self.codings[1].add(coding);
    }
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
            told: Told::default(),
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
            self.quality.hear(coding, coding.span(&bytes[header.payload.clone()]));
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
        let again = key.is_some_and(|key| self.told.take(now, key));
        let leaks = matches!(kind, Kind::Audio(_)) && self.leaks(now);
        Ok(Arrival { header, kind, started, key, again, leaks })
    }

    /// Signalling has told a key of the far end: its media may bear it too.
    pub fn expects(&mut self, now: Instant, key: char) {
        self.told.add(now, key);
    }

    /// A key was heard in the sound: true if signalling has told it already.
    pub fn expected(&mut self, now: Instant, key: char) -> bool {
        self.told.take(now, key)
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
            codings: self.quality.codings,
        }
    }
}

/// The payload of an arrival, for a tap.
impl Arrival {
    /// Coding and place of the sound; `None` for telephone-events and comfort noise.
    #[must_use]
    pub fn sound(&self) -> Option<(Coding, Range<usize>)> {
        match self.kind {
            Kind::Audio(coding) => Some((coding, self.header.payload.clone())),
            Kind::Event(_) | Kind::Noise => None,
        }
    }
}
