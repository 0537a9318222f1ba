//! Recordings: two legs of a call into one file, on threads of their own.
//!
//! The media workers only copy packets into a bounded queue ([`Recorder::tap`]); they never wait and
//! never wake anybody. The recording threads look at their queue ten times a second, lay the packets on
//! the tape, code them and append whole frames to `<file>.part`. A thread apart closes files: it
//! finishes the coding, writes the head, syncs, renames and checks the size before
//! [`MediaEvent::Recorded`] goes out, so that a slow disk delays no other recording.
//!
//! Every recording that was started gets exactly one answer after [`Recorder::stop`] or when the
//! recorder is closed: `Recorded`, or `RecordingFailed` when the file could not be made or kept (a full
//! disk, a name that leads out of the folder). A failure never reaches the call.
//!
//! What a killed process left behind is put right by [`recover`].

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use facts::id::CallId;
use facts::media::{Codec, MediaEvent, RecordingForm};
use seal::Keys;

pub use audio::tape::Side;

mod file;
mod form;
mod job;
mod leftovers;
mod opened;
mod worker;

pub use leftovers::{Leftovers, recover};
pub(crate) use opened::whole;
pub use opened::{keys_of, open};

/// How the recorder is laid out.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Folder below which recordings are placed; made when it is not there.
    pub folder: PathBuf,
    /// Recording threads; at least one. A core carries about 400 recordings.
    pub threads: usize,
    /// Seal what is written; see [`seal`]. The first key seals.
    pub keys: Option<Arc<Keys>>,
}

/// What the recorder holds and has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecorderCounts {
    /// Recordings under way, those being closed included.
    pub recordings: u64,
    /// Packets that found a full queue, since start.
    pub taps_lost: u64,
    /// Recordings in place, since start.
    pub recorded: u64,
    /// Recordings that failed, since start.
    pub failed: u64,
}

/// A received packet's audio, on its way into a recording.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Left is A, right is B.
    pub side: Side,
    /// When the packet arrived.
    pub arrival: Instant,
    /// Its RTP timestamp (RFC 3550 §5.1), in units of its coding's clock.
    pub timestamp: u32,
    /// The coding of its payload.
    pub codec: Codec,
    /// The payload.
    pub payload: &'a [u8],
}

/// The handle of the recording threads. Share it by [`Arc`].
pub struct Recorder {
    shards: Vec<Shard>,
    shared: Arc<Shared>,
    events: Events,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// Where events go.
pub type Events = Arc<dyn Fn(MediaEvent) + Send + Sync>;

impl Recorder {
    /// Starts the threads. `events` is called from them, and for a recording that a full queue refused from
    /// the thread that stops it; it must not block for long.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or the system refuses a thread.
    pub fn open(config: &RecorderConfig, events: &Events) -> io::Result<Recorder> {
        std::fs::create_dir_all(&config.folder)?;
        let shared = Arc::new(Shared::default());
        let events = Arc::clone(events);
        let mut recorder = Recorder { shards: Vec::new(), shared, events, threads: Vec::new() };
        // Made after the recorder and so dropped before it: when a thread is refused below, the closing
        // thread must see its last sender go before it is waited for.
        let (closing, to_close) = bounded(MAX_CLOSING);
        let closer =
            worker::Closer::new(to_close, recorder.events.clone(), recorder.shared.clone());
        recorder.spawn("tapes-close", move || closer.run())?;
        for number in 0..config.threads.max(1) {
            let (orders, to_do) = bounded(MAX_ORDERS);
            let (packets, heard) = bounded(MAX_PACKETS);
            let worker = worker::Worker::new(
                (config.folder.clone(), config.keys.clone()),
                to_do,
                heard,
                closing.clone(),
            );
            recorder.spawn(&format!("tapes-{number}"), move || worker.run())?;
            recorder.shards.push(Shard { orders, packets, refused: Mutex::default() });
        }
        Ok(recorder)
    }

    /// Starts a recording whose first sample is heard at `at`. `file` is the path of the finished file
    /// below the folder, `form` how it is written.
    pub fn start(&self, call: CallId, file: String, form: RecordingForm, at: Instant) {
        self.shared.recordings.fetch_add(1, Ordering::Relaxed);
        let shard = self.shard(call);
        if shard.orders.len() >= MAX_RECORDINGS {
            tracing::warn!(%call, "recording refused: the recording thread does not follow");
            shard.refused().insert(call);
            return;
        }
        self.order(call, Order::Start { call, file, form, at });
    }

    /// Gives a packet to the call's recording, if there is one. Never blocks: when the queue is full the
    /// packet is counted and forgotten.
    pub fn tap(&self, call: CallId, heard: &Heard<'_>) {
        let shard = self.shard(call);
        if heard.codec == Codec::Opus && heard.payload.len() > MAX_PAYLOAD {
            // A packet of Opus cannot be cut; those of speech are far shorter.
            self.shared.taps_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for (part, payload) in heard.payload.chunks(MAX_PAYLOAD).enumerate() {
            // The second part of a long packet is sound of a later moment.
            let after = part * MAX_PAYLOAD;
            let mut packet = Packet {
                call,
                side: heard.side,
                arrival: heard.arrival + SAMPLE * after as u32,
                timestamp: heard.timestamp.wrapping_add(after as u32),
                codec: heard.codec,
                length: payload.len() as u16,
                payload: [0; MAX_PAYLOAD],
            };
            packet.payload[..payload.len()].copy_from_slice(payload);
            if shard.packets.try_send(packet).is_err() {
                self.shared.taps_lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A recording hears nothing of what arrives from `at` on, or hears again: silence stands for it. Pausing what is
    /// not being recorded does nothing.
    pub fn pause(&self, call: CallId, paused: bool, at: Instant) {
        let shard = self.shard(call);
        if shard.orders.len() >= MAX_ORDERS / 2 {
            // The rest of the queue belongs to stops.
            tracing::error!(%call, paused, "the recording thread does not follow: nothing was changed");
            return;
        }
        self.order(call, Order::Pause { call, paused, at });
    }

    /// Ends a recording at `at`; its answer follows. Stopping what is not being recorded does nothing.
    pub fn stop(&self, call: CallId, at: Instant) {
        if self.shard(call).refused().remove(&call) {
            self.answer_refused(call);
            return;
        }
        self.order(call, Order::Stop { call, at });
    }

    /// What is held and what has been counted.
    #[must_use]
    pub fn counts(&self) -> RecorderCounts {
        RecorderCounts {
            recordings: self.shared.recordings.load(Ordering::Relaxed),
            taps_lost: self.shared.taps_lost.load(Ordering::Relaxed),
            recorded: self.shared.recorded.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        self.threads.push(thread);
        Ok(())
    }

    fn shard(&self, call: CallId) -> &Shard {
        // The low bits of a call id hardly vary: spread by multiplication.
        let spread = call.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        &self.shards[spread as usize % self.shards.len()]
    }

    fn order(&self, call: CallId, order: Order) {
        if self.shard(call).orders.try_send(order).is_err() {
            tracing::error!(%call, "the recording thread is gone, or was told to stop what it does not record");
        }
    }

    fn answer_refused(&self, call: CallId) {
        self.shared.recordings.fetch_sub(1, Ordering::Relaxed);
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        (self.events)(MediaEvent::RecordingFailed { call });
    }
}

impl Drop for Recorder {
    /// Finishes every recording and waits for the threads.
    fn drop(&mut self) {
        for shard in std::mem::take(&mut self.shards) {
            for call in std::mem::take(&mut *shard.refused()) {
                self.answer_refused(call);
            }
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a recording thread panicked");
            }
        }
    }
}

/// The way to one recording thread.
///
/// Each recording is owed its answer. So a start is refused while [`MAX_RECORDINGS`] orders wait, and a stop
/// always finds room: there is at most one for each start that waits and for each recording under way.
#[derive(Debug)]
struct Shard {
    orders: Sender<Order>,
    packets: Sender<Packet>,
    /// Recordings that were refused, until their stop: then they have failed.
    refused: Mutex<BTreeSet<CallId>>,
}

impl Shard {
    fn refused(&self) -> MutexGuard<'_, BTreeSet<CallId>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Figures that all threads count.
#[derive(Debug, Default)]
struct Shared {
    recordings: AtomicU64,
    taps_lost: AtomicU64,
    recorded: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
enum Order {
    Start { call: CallId, file: String, form: RecordingForm, at: Instant },
    Pause { call: CallId, paused: bool, at: Instant },
    Stop { call: CallId, at: Instant },
}

/// A packet in the queue: no allocation on the way.
#[derive(Clone, Copy, Debug)]
struct Packet {
    call: CallId,
    side: Side,
    codec: Codec,
    arrival: Instant,
    timestamp: u32,
    length: u16,
    payload: [u8; MAX_PAYLOAD],
}

/// Packets that may wait for one thread: 0.3 s of 500 recordings.
const MAX_PACKETS: usize = 16_384;

/// Octets of one queue entry: 40 ms. Longer packets take several.
const MAX_PAYLOAD: usize = 320;

/// One sample at 8 kHz.
const SAMPLE: Duration = Duration::from_micros(125);

/// Recordings one thread carries; more are refused.
const MAX_RECORDINGS: usize = 4_096;

/// Orders that may wait for one thread: starts, their stops, and the stops of what it records.
const MAX_ORDERS: usize = 4 * MAX_RECORDINGS;

/// Pauses of one recording that may lie within the time that packets wait.
const MAX_PAUSES: usize = 64;

/// How long a packet may have waited when it is laid on the tape.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Recordings that may wait to be closed; then the recording threads wait too.
const MAX_CLOSING: usize = 1_024;

/// How often a thread looks at its queue.
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
