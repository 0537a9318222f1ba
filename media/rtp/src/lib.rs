//! RTP and RTCP (RFC 3550, 3551, 4733, 4961, 5761) without a socket or a clock.
//!
//! Bytes and instants come in, verdicts come out. A [`Leg`] holds what one leg's media needs: the
//! [`latch`](latch::Latch) that decides whose packets count, the [`reception`](reception::Reception)
//! account, the [`keys`](keys::Keys) that were pressed, and the [`egress`](egress::Egress) that owns
//! its outgoing stream. [`relay::forward`] carries a packet from one leg to another by rewriting its
//! header in place.
//!
//! Nothing here allocates, locks or formats per packet. Payloads are never looked into, except those
//! of telephone-events and the first octets of Opus, which say how long it is; converting one coding to
//! another is the caller's, by tables or by decoding and coding anew ([`Recode`]).

pub mod coding;
pub mod egress;
mod event;
mod expected;
pub mod keys;
pub mod latch;
pub mod leg;
pub mod packet;
pub mod ports;
pub mod quality;
pub mod reception;
pub mod relay;
pub mod rtcp;
pub mod srtp;
mod wire;

pub use coding::{Coding, Codings, Kind, Map};
pub use egress::Recode;
pub use leg::{
    Arrival, Departure, EVENT_LEN, Figures, Flow, Identity, Leg, Passage, Refusal, Setup, Stranger,
};
pub use packet::Header;
pub use relay::{Forwarded, Verdict, forward, onward};

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Instant;

    /// An arbitrary instant to count from.
    #[allow(clippy::disallowed_methods, reason = "an origin for virtual time, read once a test")]
    pub(crate) fn origin() -> Instant {
        Instant::now()
    }
}
