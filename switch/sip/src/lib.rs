//! SIP (RFC 3261 and friends): bytes and instants in, bytes and events out.
//!
//! The crate is pure: it owns no socket, clock, thread or random source. [`wire`] reads and prints
//! messages, [`offer`] is SDP and the offer/answer model, [`digest`] is authentication in both roles,
//! [`transaction`] holds the four machines of RFC 3261 §17, and [`endpoint`] joins them to sessions. [`locate`]
//! says where a request to a name goes, and [`stun`] answers who asks on the socket of SIP where he comes from;
//! [`overload`] tells who may wait when too much comes.

mod dialog;
pub mod digest;
pub mod endpoint;
pub mod locate;
pub mod offer;
pub mod overload;
pub mod stun;
pub mod transaction;
pub mod ussd;
pub mod wire;
