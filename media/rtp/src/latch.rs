//! Whose packets count: source-gated, SSRC-consistent latching.
//!
//! Far ends behind a NAT send from another address than they signalled, and answers must go where
//! their packets come from (symmetric RTP, RFC 4961 §4; latching, RFC 7362 §3). The same tolerance
//! lets a stranger steal or inject sound (RFC 7362 §4). Two things are known of a far end: the
//! address that its session description names, and the address that its signalling comes from. The
//! rules, strictest first:
//!
//! * The described address and port is believed at its first packet, and displaces anything learned.
//! * Another port of the described address, or any port of the signalling's address, has to prove
//!   itself by [`LEARN_PACKETS`] packets in sequence with one SSRC. Until then its packets are not
//!   let through and nothing is sent to it. The signalling's address has [`SIGNALLING_WINDOW`] from
//!   each setup for it, because the described one is the better; it has all the time there is when
//!   the described address means nothing where the signalling comes from (a private one behind a
//!   public one): then nothing is sent to that either.
//! * Anybody else is refused.
//! * Once locked, only the locked address is heard; it may change its SSRC at will. A lock on the
//!   signalling's address gives way to the described one as soon as that one speaks.
//! * A far end that moves to another address in mid-call (a phone changing from WiFi to 4G) carries
//!   its SSRC and sequence with it, which a stranger cannot know: when the old address has gone
//!   quiet, [`LEARN_PACKETS`] packets that continue the locked stream move the lock. A setup that names the
//!   old address once more has that one believed again, as soon as it speaks.
//! * After [`RELEARN_SILENCE`] without a packet, while packets are due, another port of the locked
//!   address may prove itself, and learning is open again under the first three rules. So it is
//!   after a setup that names another address; what was still under way from the place that was
//!   left ([`UNDER_WAY`]) proves nothing then.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::packet::Header;
use crate::reception::MAX_DROPOUT;
use crate::wire::ahead16;

/// Packets in sequence by which an address that was not signalled proves itself.
pub const LEARN_PACKETS: u8 = 3;
/// How long after a setup the address that the signalling comes from may prove itself, when the
/// description names another one that could be right.
pub const SIGNALLING_WINDOW: Duration = Duration::from_secs(10);
/// How long packets from a place that a setup left may still come without saying anything.
pub const UNDER_WAY: Duration = Duration::from_millis(500);
/// How far the next packet of a candidate may be ahead.
const LEARN_GAP: i16 = 10;
/// A candidate that falls silent for this long makes room for another.
const CANDIDATE_QUIET: Duration = Duration::from_millis(200);
/// How long the locked address must be quiet before the same stream may come from another.
pub const ROAM_QUIET: Duration = Duration::from_millis(200);
/// How long the locked address must be silent before another stream may take its place.
pub const RELEARN_SILENCE: Duration = Duration::from_secs(2);

/// How well an address agrees with what is known of the far end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// The address that the signalling comes from, any port.
    Signalling,
    /// The described address, another port.
    SameHost,
    /// Carries the locked stream's SSRC and sequence.
    Continues,
    /// The described address and port.
    Described,
}

/// What signalling knows of the far end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Address and port that its session description names.
    pub described: SocketAddr,
    /// Where its signalling comes from, as the network shows it.
    pub signalling: Option<IpAddr>,
    /// It is expected to send now, so that its silence means something.
    pub due: bool,
}

/// The verdict on a packet's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The far end's.
    Heard,
    /// The far end's, and from now on we send there.
    Locked,
    /// May turn out to be the far end's; not yet let through.
    Unproven,
    /// A stranger's.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    rank: Rank,
    ssrc: u32,
    sequence: u16,
    heard: Instant,
    packets: u8,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    source: SocketAddr,
    rank: Rank,
    ssrc: u32,
    sequence: u16,
    heard: Instant,
}

/// The latch of one leg.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    described: Option<SocketAddr>,
    signalling: Option<IpAddr>,
    /// The signalling's address may still take the place of a silent described one.
    window_ends: Option<Instant>,
    lock: Option<Lock>,
    candidate: Option<Candidate>,
    /// Where the lock was before a setup moved it away, and until when that is remembered.
    left: Option<(SocketAddr, Instant)>,
    /// The far end should be sending, so that its silence means something.
    due: bool,
}

impl Latch {
    /// Offer and answer agreed, or agreed anew.
    ///
    /// An unspecified address or port 0 (hold in the old spelling, RFC 3264 §8.4) names nothing
    /// new: the lock stays.
    pub fn expect(&mut self, now: Instant, expected: &Expected) {
        let Expected { described, signalling, due } = *expected;
        self.due = due;
        if due {
            self.window_ends = Some(now + SIGNALLING_WINDOW);
        }
        if described.ip().is_unspecified() || described.port() == 0 {
            return;
        }
        self.signalling = signalling;
        let stays = |lock: &Lock| {
            if self.described == Some(described) {
                // The lock that the signalling vouched for goes where the signalling goes.
                lock.rank > Rank::Signalling || signalling == Some(lock.source.ip())
            } else {
                lock.source == described
            }
        };
        if let Some(lock) = self.lock.filter(stays) {
            // The far end may have found out its own address and tell it; or tell the one that its stream has
            // left, and go back there.
            let told = if lock.source == described { Rank::Described } else { Rank::SameHost };
            let rank = if told == Rank::Described { told } else { lock.rank.min(told) };
            self.lock = Some(Lock { rank, ..lock });
        } else {
            self.left = self.lock.take().map(|lock| (lock.source, now + UNDER_WAY));
            self.candidate = None;
        }
        self.described = Some(described);
    }

    /// Where to send: the locked address, or the described one as long as there is no lock and it
    /// can be reached at all.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.source).or(self.described.filter(|_| self.is_plausible()))
    }

    /// The locked address.
    #[must_use]
    pub fn locked(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.source)
    }

    /// Judges a packet by where it comes from.
    pub fn admit(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Admission {
        let Some(lock) = &mut self.lock else {
            return match self.rank(now, source) {
                Some(Rank::Described) => self.take(now, source, Rank::Described, header),
                Some(_) if self.left.is_some_and(|(left, end)| left == source && now < end) => {
                    Admission::Unproven
                }
                Some(rank) => self.prove(now, source, rank, header),
                None => Admission::Refused,
            };
        };
        if lock.source == source {
            lock.heard = now;
            if lock.ssrc != header.ssrc || ahead16(lock.sequence, header.sequence) > 0 {
                lock.ssrc = header.ssrc;
                lock.sequence = header.sequence;
            }
            return Admission::Heard;
        }
        let lock = *lock;
        let quiet = now.saturating_duration_since(lock.heard);
        let silent = self.due && quiet >= RELEARN_SILENCE;
        let rank = self.rank(now, source);
        if rank == Some(Rank::Described) && (lock.rank < Rank::Described || silent) {
            return self.take(now, source, Rank::Described, header);
        }
        if quiet >= ROAM_QUIET && lock.continued_by(header) {
            return self.prove(now, source, Rank::Continues, header);
        }
        if rank == Some(Rank::SameHost) && lock.rank == Rank::Signalling {
            return self.prove(now, source, Rank::SameHost, header);
        }
        if silent {
            // No more trusted than the lock it comes from.
            let neighbour = lock.rank.min(Rank::SameHost);
            let rank = if source.ip() == lock.source.ip() { Some(neighbour) } else { rank };
            if let Some(rank) = rank {
                return self.prove(now, source, rank, header);
            }
        }
        Admission::Refused
    }

    /// What speaks for an address that nothing was heard from yet.
    fn rank(&self, now: Instant, source: SocketAddr) -> Option<Rank> {
        let described = self.described?;
        let plausible = self.is_plausible();
        if source == described {
            Some(Rank::Described)
        } else if plausible && source.ip() == described.ip() {
            Some(Rank::SameHost)
        } else if self.signalling == Some(source.ip())
            && (!plausible || self.window_ends.is_some_and(|end| now < end))
        {
            Some(Rank::Signalling)
        } else {
            None
        }
    }

    /// The described address can mean the same to us as to the far end: it is no more private than
    /// the address that the signalling comes from.
    fn is_plausible(&self) -> bool {
        match (self.described, self.signalling) {
            (Some(described), Some(signalling)) => reach(described.ip()) >= reach(signalling),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn take(&mut self, now: Instant, source: SocketAddr, rank: Rank, header: &Header) -> Admission {
        self.candidate = None;
        let Header { ssrc, sequence, .. } = *header;
        self.lock = Some(Lock { source, rank, ssrc, sequence, heard: now });
        Admission::Locked
    }

    fn prove(
        &mut self,
        now: Instant,
        source: SocketAddr,
        rank: Rank,
        header: &Header,
    ) -> Admission {
        let Header { ssrc, sequence, .. } = *header;
        let fresh = Candidate { source, rank, ssrc, sequence, heard: now, packets: 1 };
        match &mut self.candidate {
            Some(known) if known.source == source && known.ssrc == ssrc => {
                let ahead = ahead16(known.sequence, sequence);
                if (1..=LEARN_GAP).contains(&ahead) {
                    *known = Candidate { packets: known.packets + 1, ..fresh };
                    if known.packets >= LEARN_PACKETS {
                        // A stream that moved is as trusted as before it moved.
                        let rank = match self.lock {
                            Some(lock) if rank == Rank::Continues => lock.rank,
                            _ => rank,
                        };
                        return self.take(now, source, rank, header);
                    }
                } else if ahead != 0 {
                    *known = fresh;
                }
            }
            Some(known)
                if rank <= known.rank
                    && now.saturating_duration_since(known.heard) < CANDIDATE_QUIET =>
            {
                return Admission::Refused;
            }
            other => *other = Some(fresh),
        }
        Admission::Unproven
    }
}

impl Lock {
    /// True for what only the locked far end can know: its SSRC and where its sequence stands.
    fn continued_by(&self, header: &Header) -> bool {
        let ahead = ahead16(self.sequence, header.sequence);
        header.ssrc == self.ssrc && ahead > 0 && ahead.cast_unsigned() < MAX_DROPOUT
    }
}

/// How far the meaning of an address reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reach {
    /// It is no machine's address.
    Nowhere,
    /// This machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
    Machine,
    /// This link (RFC 3927, RFC 4291 §2.5.6).
    Link,
    /// This network (RFC 1918, RFC 6598, RFC 4193).
    Network,
    /// Everywhere.
    World,
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            match () {
                () if a == 0 || a >= 224 => Reach::Nowhere,
                () if v4.is_loopback() => Reach::Machine,
                () if v4.is_link_local() => Reach::Link,
                () if v4.is_private() || (a == 100 && (64..128).contains(&b)) => Reach::Network,
                () => Reach::World,
            }
        }
        IpAddr::V6(v6) => match () {
            () if v6.is_unspecified() || v6.is_multicast() => Reach::Nowhere,
            () if v6.is_loopback() => Reach::Machine,
            () if v6.is_unicast_link_local() => Reach::Link,
            () if v6.is_unique_local() => Reach::Network,
            () => Reach::World,
        },
    }
}

#[cfg(test)]
mod tests;
