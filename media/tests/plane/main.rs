//! The media plane over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod addresses;
mod codings;
mod common;
mod keys;
mod listen;
mod order;
mod pairs;
mod protected;
mod recode;
mod relay;
mod reports;
mod rooms;
mod words;
