//! From one leg to another: the whole way of a packet, as one function over its bytes.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use crate::leg::{Arrival, Departure, Leg, Passage, Refusal};

/// What became of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Rewritten in place: convert the payload if so told, then send it there.
    Send(Departure),
    /// Accepted and untouched: it belongs to sound that is coded anew, so it is to be put in order with the others
    /// of its stream and then handed to [`onward`].
    Line,
    /// Accepted, and nobody listens.
    Local,
    /// Accepted, but not sent on.
    Withheld(Refusal),
    /// Not accepted.
    Drop(Refusal),
}

/// The verdict, and the arrival behind it unless the packet was dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// What became of it.
    pub verdict: Verdict,
    /// What it was.
    pub arrival: Option<Arrival>,
}

/// Carries a packet that came to `from` over to `to`, its listener.
///
/// A gap upstream stays a gap downstream; payload type, SSRC, sequence and timestamp become the
/// listener's. The payload is untouched, but for the duration of a telephone-event whose clock is not the
/// listener's.
pub fn forward(
    now: Instant,
    from: &mut Leg,
    to: Option<&mut Leg>,
    source: SocketAddr,
    packet: &mut [u8],
) -> Forwarded {
    let arrival = match from.receive(now, source, packet) {
        Ok(arrival) => arrival,
        Err(refusal) => {
            if let (Some(to), Refusal::PayloadType) = (to, refusal)
                && let Ok(header) = crate::Header::parse(packet)
            {
                to.swallow(&header);
            }
            return Forwarded { verdict: Verdict::Drop(refusal), arrival: None };
        }
    };
    let verdict = match to {
        None => Verdict::Local,
        Some(to) => match to.relay(now, &arrival, packet) {
            Ok(Some(departure)) => Verdict::Send(departure),
            Ok(None) => Verdict::Line,
            Err(refusal) => Verdict::Withheld(refusal),
        },
    };
    Forwarded { verdict, arrival: Some(arrival) }
}

/// The second half of the way of a packet that was accepted by `from` and then put in order.
///
/// # Errors
///
/// Why it goes no further. A payload type that was not agreed leaves no gap.
pub fn onward(
    now: Instant,
    from: &Leg,
    to: &mut Leg,
    packet: &mut [u8],
) -> Result<(Passage, Range<usize>), Refusal> {
    let header = crate::Header::parse(packet).map_err(|_| Refusal::Malformed)?;
    let setup = from.agreed().ok_or(Refusal::NotReady)?;
    let Some(kind) = setup.receive.kind(header.payload_type) else {
        to.swallow(&header);
        return Err(Refusal::PayloadType);
    };
    let payload = header.payload.clone();
    let arrival = Arrival { header, kind, started: false, key: None, again: false, leaks: false };
    Ok((to.onward(now, &arrival, packet)?, payload))
}
