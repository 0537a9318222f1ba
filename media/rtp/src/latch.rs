//! Whose packets count: source-gated, SSRC-consistent latching.
//!
//! Far ends behind a NAT send from another address than they signalled, and answers must go where
//! their packets come from (symmetric RTP, RFC 4961). The same tolerance lets a stranger steal or
//! inject sound. The rules here, strictest first:
//!
//! * The signalled address and port is believed at its first packet, and displaces anything learned.
//! * Another port of the signalled address, or any address when the signalled one is private and so
//!   cannot be where packets come from, has to prove itself by [`LEARN_PACKETS`] packets in
//!   sequence with one SSRC. Until then its packets are not let through and nothing is sent to it.
//! * Anybody else is refused.
//! * Once locked, only the locked address is heard; it may change its SSRC at will.
//! * A far end that moves to another address in mid-call (a phone changing from WiFi to 4G) carries
//!   its SSRC and sequence with it, which a stranger cannot know: when the old address has gone
//!   quiet, [`LEARN_PACKETS`] packets that continue the locked stream move the lock.
//! * After [`RELEARN_SILENCE`] without a packet, while packets are due, learning starts over under
//!   the first three rules. So it does after a setup that names another address.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::packet::Header;
use crate::reception::MAX_DROPOUT;
use crate::wire::ahead16;

/// Packets in sequence by which an address that was not signalled proves itself.
pub const LEARN_PACKETS: u8 = 3;
/// How far the next packet of a candidate may be ahead.
const LEARN_GAP: i16 = 10;
/// A candidate that falls silent for this long makes room for another.
const CANDIDATE_QUIET: Duration = Duration::from_millis(200);
/// How long the locked address must be quiet before the same stream may come from another.
pub const ROAM_QUIET: Duration = Duration::from_millis(200);
/// How long the locked address must be silent before another stream may take its place.
pub const RELEARN_SILENCE: Duration = Duration::from_secs(2);

/// How well an address agrees with what was signalled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    /// Any address, because the signalled one is private.
    BehindNat,
    /// The signalled address, another port.
    SameHost,
    /// Carries the locked stream's SSRC and sequence.
    Continues,
    /// The signalled address and port.
    Signalled,
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
    signalled: Option<SocketAddr>,
    lock: Option<Lock>,
    candidate: Option<Candidate>,
    /// The far end should be sending, so that its silence means something.
    due: bool,
}

impl Latch {
    /// Offer and answer named an address. `due` tells whether the far end is expected to send.
    ///
    /// An unspecified address or port 0 (hold in the old spelling, RFC 3264 §8.4) names nothing
    /// new: the lock stays.
    pub fn expect(&mut self, signalled: SocketAddr, due: bool) {
        self.due = due;
        if signalled.ip().is_unspecified() || signalled.port() == 0 {
            return;
        }
        if self.signalled == Some(signalled) {
            return;
        }
        self.signalled = Some(signalled);
        self.candidate = None;
        self.lock = match self.lock {
            // The far end found out its own address and tells it.
            Some(lock) if lock.source == signalled => Some(Lock { rank: Rank::Signalled, ..lock }),
            _ => None,
        };
    }

    /// Where to send: the locked address, or the signalled one as long as there is no lock.
    #[must_use]
    pub fn target(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.source).or(self.signalled)
    }

    /// The locked address.
    #[must_use]
    pub fn locked(&self) -> Option<SocketAddr> {
        self.lock.map(|lock| lock.source)
    }

    /// Judges a packet by where it comes from.
    pub fn admit(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Admission {
        let Some(lock) = &mut self.lock else {
            return match self.rank(source) {
                Some(Rank::Signalled) => self.take(now, source, Rank::Signalled, header),
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
        if self.signalled == Some(source)
            && (lock.rank < Rank::Signalled || (self.due && quiet >= RELEARN_SILENCE))
        {
            return self.take(now, source, Rank::Signalled, header);
        }
        if quiet >= ROAM_QUIET && lock.continued_by(header) {
            return self.prove(now, source, Rank::Continues, header);
        }
        if self.due && quiet >= RELEARN_SILENCE {
            let same_host = source.ip() == lock.source.ip();
            let rank = if same_host { Some(Rank::SameHost) } else { self.rank(source) };
            if let Some(rank) = rank {
                return self.prove(now, source, rank, header);
            }
        }
        Admission::Refused
    }

    fn rank(&self, source: SocketAddr) -> Option<Rank> {
        let signalled = self.signalled?;
        if source == signalled {
            Some(Rank::Signalled)
        } else if source.ip() == signalled.ip() {
            Some(Rank::SameHost)
        } else if is_private(signalled.ip()) {
            Some(Rank::BehindNat)
        } else {
            None
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

/// Addresses that mean nothing outside their own network (RFC 1918, 6598, 3927, 4193, 4291).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
