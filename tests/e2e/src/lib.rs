//! What the end-to-end tests share: the real binary in a folder of its own, real peers as child
//! processes, a merchant's web server, and the ears that measure what was heard.
//!
//! Everything stays on loopback. Each test takes its own folder and its own ports, so tests run side
//! by side; every child process is ended when its handle is dropped.

#![allow(clippy::print_stderr, reason = "a failing test shows what the switch logged")]

pub mod baresip;
pub mod browser;
pub mod country;
pub mod ims;
pub mod kamailio;
pub mod linphone;
pub mod merchant;
pub mod nat;
pub mod notice;
pub mod pages;
pub mod pcap;
pub mod php;
pub mod pjsua;
pub mod ports;
pub mod postgres;
pub mod processes;
pub mod programs;
pub mod scripted;
pub mod sipcall;
pub mod sipp;
pub mod smsc;
pub mod sound;
pub mod stripe;
pub mod tandem;
pub mod ussd;
pub mod wait;
pub mod ytx;
pub mod zarinpal;
