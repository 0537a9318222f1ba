//! RTP and RTCP (RFC 3550, 3551, 4733, 4961, 5761) without a socket or a clock.
//!
//! Bytes and instants come in, verdicts come out. A [`Leg`] holds what one leg's media needs: the
//! [`latch`](latch::Latch) that decides whose packets count, the [`reception`](reception::Reception)
//! account, the [`keys`](keys::Keys) that were pressed, and the [`egress`](egress::Egress) that owns
//! its outgoing stream. [`relay::forward`] carries a packet from one leg to another by rewriting its
//! header in place.
//!
//! Nothing here allocates, locks or formats per packet. Payloads are never looked into, except those
//! of telephone-events; converting one coding to another is the caller's, by tables.

pub mod egress;
pub mod keys;
pub mod latch;
pub mod leg;
pub mod packet;
pub mod reception;
pub mod relay;
pub mod rtcp;
pub mod srtp;
mod wire;

pub use leg::{
    Arrival, Coding, Departure, Figures, Flow, Identity, Kind, Leg, Map, Refusal, Setup, Stranger,
};
pub use packet::Header;
pub use relay::{Forwarded, Verdict, forward};

/// Samples per second of every coding carried here (RFC 3551 §4.5.14), and of their
/// telephone-events (RFC 4733 §2.1: the event's clock is the audio's).
pub const CLOCK_HZ: u32 = 8000;

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Instant;

    /// An arbitrary instant to count from.
    #[allow(clippy::disallowed_methods, reason = "an origin for virtual time, read once a test")]
    pub(crate) fn origin() -> Instant {
        Instant::now()
    }
}
