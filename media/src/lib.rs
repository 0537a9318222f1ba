//! The media plane: worker threads with their own sockets, prompts, recorders.
//!
//! One handle, [`Media`], takes orders ([`MediaCommand`]) and gives news ([`MediaEvent`]); both are
//! the vocabulary of `facts`. An order never blocks its giver: it lands in the queue of the worker
//! that owns the call, and both legs of a call live on the same worker. The decisions about packets
//! are made in the pure crate `rtp`; this crate owns sockets, clocks and threads, and nothing here
//! knows what signalling, money or a merchant is.

pub mod announcements;
mod counters;
pub mod dictation;
mod loader;
pub mod poll;
pub mod prompt;
pub mod recorder;
mod remote;
mod socket;
mod sound;
mod spread;
mod translate;
mod worker;

/// What hears a leg's sound, by itself: for whoever brings the packets without a socket.
pub mod hearing {
    pub use crate::worker::keys::Keypad;
    pub use crate::worker::listen::{Ear, VERDICTS_MAX};
}

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Sender, TrySendError, bounded};
use facts::id::CallId;
use facts::media::{MediaCommand, MediaEvent};
use rtp::ports::Pool;
use rtp::rtcp::NtpClock;

use counters::Counters;
use dictation::{Recogniser, WordsConfig};
use loader::{Door, Loader};
use prompt::Store;
use recorder::{Recorder, RecorderConfig};
use remote::Remote;
pub use remote::{
    Done, FAILED_FOR, OCTETS_MAX as SOUND_OCTETS_MAX, RemoteConfig, VISITS_MAX, Visitor,
};
use sound::Library;
use spread::Spread;
use worker::{Bell, Events, Inbox, Order, Parts, Worker};

/// An address of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Home {
    /// What the RTP and RTCP sockets bind to.
    pub bind: IpAddr,
    /// What offers and answers carry; the same as `bind` unless a NAT stands between.
    pub advertised: IpAddr,
}

/// How the media plane is laid out. Read once, at start.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Our addresses, at least one: the first of the family of a leg's far end is its home, without one
    /// the first of all.
    pub homes: Vec<Home>,
    /// Ports to take pairs from: RTP on the even one, RTCP on the next (RFC 3550 §11).
    pub ports: RangeInclusive<u16>,
    /// How long a port pair rests after its leg closed, so that the next call does not inherit a
    /// stranger's packets.
    pub quarantine: Duration,
    /// Worker threads; at least one.
    pub workers: usize,
    /// Folder below which finished recordings are placed.
    pub recordings: PathBuf,
    /// The key file, if recordings are sealed; see [`seal`].
    pub keys: Option<PathBuf>,
    /// Folder of the announcements, if any: `<language>/<name>.<ending>`.
    pub prompts: Option<PathBuf>,
    /// A program that makes words of what networks announce, if any.
    pub words: Option<WordsConfig>,
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
    /// RTP packets refused since start, whatever the reason.
    pub packets_dropped: u64,
    /// Those of them that came from strangers.
    pub packets_refused: u64,
    /// RTP packets that the system did not take, since start.
    pub packets_unsent: u64,
    /// Packets, RTP and RTCP, whose SRTP tag was wrong, since start.
    pub srtp_forged: u64,
    /// Packets of SRTP that came before, or too late to tell, since start.
    pub srtp_replayed: u64,
    /// Packets that came after a later one, in time to be put in order before sound was coded anew, since start.
    pub reordered: u64,
    /// Packets that came too late for that, or again, since start.
    pub late: u64,
    /// Payload copies that a recorder could not take because its queue was full, since start.
    pub taps_lost: u64,
    /// Orders that a worker could not take because its queue was full, since start.
    pub orders_lost: u64,
    /// Legs whose network is listened to before the answer.
    pub listened: u64,
    /// Legs that were not, because too many were, since start.
    pub unheard: u64,
    /// Sounds that legs were to hear and that could not be had, since start.
    pub unplayable: u64,
    /// Sounds fetched from addresses, since start.
    pub sounds_fetched: u64,
    /// Visits that found a sound unchanged, since start.
    pub sounds_unchanged: u64,
    /// Visits that brought no sound, since start.
    pub sounds_failed: u64,
    /// Octets that fetched sounds take in memory.
    pub sounds_held: u64,
}

/// The handle of the media plane.
pub struct Media {
    workers: Vec<Handle>,
    /// Which of them has which call.
    spread: Arc<Mutex<Spread>>,
    prompts: Arc<Store>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    orders_lost: Arc<AtomicU64>,
    events: Events,
    /// Until stopped.
    recorder: Mutex<Option<Arc<Recorder>>>,
    /// The same.
    remote: Mutex<Option<Arc<Remote>>>,
}

/// The way to one worker.
#[derive(Debug)]
struct Handle {
    orders: Sender<Order>,
    bell: Arc<Bell>,
    counters: Arc<Counters>,
}

/// What all workers share.
struct Common<'a> {
    config: &'a MediaConfig,
    events: Events,
    library: Arc<Library>,
    loader: Arc<Loader>,
    remote: Option<Arc<Remote>>,
    recorder: Arc<Recorder>,
    words: Option<Arc<Recogniser>>,
}

/// Orders that a worker has not yet taken at most. Opening legs stops at half of it, so that there
/// is always room to close them.
const ORDERS_MAX: usize = 65_536;
/// Recording threads at most; fewer on a machine with fewer cores.
const RECORDERS_MAX: usize = 4;

impl Media {
    /// Starts the workers. `events` is called from their threads, and from [`Media::order`] when a
    /// leg is refused on the spot; it must not block.
    ///
    /// # Errors
    ///
    /// When the range holds no port pair, the system refuses a thread or a descriptor, or a folder
    /// cannot be made.
    pub fn start(
        config: &MediaConfig,
        events: impl Fn(MediaEvent) + Send + Sync + 'static,
    ) -> io::Result<Media> {
        Media::start_with(config, None, events)
    }

    /// The same, where sounds behind addresses can be had; without `remote` each of them is refused.
    ///
    /// # Errors
    ///
    /// As [`Media::start`].
    pub fn start_with(
        config: &MediaConfig,
        remote: Option<RemoteConfig>,
        events: impl Fn(MediaEvent) + Send + Sync + 'static,
    ) -> io::Result<Media> {
        if config.homes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address for media"));
        }
        let files = poll::raise_file_limit()?;
        tracing::debug!(files, "limit of open files");
        let count = config.workers.max(1);
        let spread = Arc::new(Mutex::new(Spread::new(count)));
        let homes = spread.clone();
        let events: Events = Arc::new(move |event| {
            if let MediaEvent::OpenFailed { leg } = event {
                homes.lock().unwrap_or_else(PoisonError::into_inner).closed(leg);
            }
            events(event);
        });
        let (prompts, refused) = Store::open(config.prompts.as_deref());
        for file in &refused {
            tracing::warn!(path = %file.path.display(), error = %file.error, "not an announcement");
        }
        let library = Arc::new(Library::new(prompts));
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let folder = config.recordings.clone();
        let keys = config.keys.as_deref().map(recorder::keys_of).transpose()?.map(Arc::new);
        let threads = threads.min(RECORDERS_MAX);
        let recorder = RecorderConfig { folder, threads, keys: keys.clone() };
        let recorder = Arc::new(Recorder::open(&recorder, &events)?);
        let loader = Arc::new(Loader::start((config.recordings.clone(), keys), library.clone())?);
        let remote = remote.map(Remote::start).transpose()?.map(Arc::new);
        let words = config.words.as_ref().map(Recogniser::open).transpose()?.map(Arc::new);
        let mut media = Media {
            workers: Vec::new(),
            spread,
            prompts: library.prompts(),
            threads: Mutex::new(Vec::new()),
            orders_lost: Arc::default(),
            events: events.clone(),
            recorder: Mutex::new(Some(recorder.clone())),
            remote: Mutex::new(remote.clone()),
        };
        let common = Common { config, events, library, loader, remote, recorder, words };
        for index in 0..count {
            media.add_worker((index, count), &common)?;
        }
        Ok(media)
    }

    /// Starts one of so many workers, with its share of the ports.
    fn add_worker(
        &mut self,
        (index, count): (usize, usize),
        common: &Common<'_>,
    ) -> io::Result<()> {
        let config = common.config;
        let seed = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let pool = Pool::new(&config.ports, index, count, config.quarantine, seed);
        if pool.free() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the range of media ports holds fewer pairs than there are workers",
            ));
        }
        let (sender, orders) = bounded(ORDERS_MAX);
        let bell = Arc::new(Bell::new()?);
        let counters = Arc::new(Counters::default());
        let lost = self.orders_lost.clone();
        let own = Door { orders: sender.clone(), bell: bell.clone(), lost };
        self.workers.push(Handle {
            orders: sender,
            bell: bell.clone(),
            counters: counters.clone(),
        });
        let parts = Parts {
            homes: config.homes.clone(),
            pool,
            inbox: Inbox { orders, bell },
            events: common.events.clone(),
            library: common.library.clone(),
            loader: common.loader.clone(),
            remote: common.remote.clone(),
            own,
            recorder: common.recorder.clone(),
            counters,
            words: common.words.clone(),
        };
        self.spawn(index, Worker::new(parts, ntp_clock())?)
    }

    fn spawn(&mut self, index: usize, worker: Worker) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(format!("media-{index}"));
        let thread = thread.spawn(move || worker.run())?;
        self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Gives an order. Never blocks. Orders for one call are carried out in the order given.
    ///
    /// An order that a worker has no room for is counted and dropped: then its thread is stuck, and
    /// so are its calls. Before it comes to that, legs are refused.
    pub fn order(&self, command: MediaCommand) {
        self.order_all([command]);
    }

    /// Gives several orders and wakes each worker that has any once.
    pub fn order_all(&self, commands: impl IntoIterator<Item = MediaCommand>) {
        for command in commands {
            self.queue(command);
        }
        for worker in &self.workers {
            if !worker.orders.is_empty() {
                worker.bell.ring();
            }
        }
    }

    fn queue(&self, command: MediaCommand) {
        let worker = self.worker(&command);
        if let MediaCommand::Open { leg, .. } = command
            && worker.orders.len() > ORDERS_MAX / 2
        {
            (self.events)(MediaEvent::OpenFailed { leg });
            return;
        }
        match worker.orders.try_send(Order::Command(command)) {
            // Disconnected: stopped.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.orders_lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The announcements and words that there are.
    #[must_use]
    pub fn prompts(&self) -> Arc<Store> {
        Arc::clone(&self.prompts)
    }

    /// From now on these announcements are known; who is listened to already is compared with the old ones.
    /// Before the first time none is.
    pub fn know(&self, announcements: audio::announce::Library) {
        let announcements = Arc::new(announcements);
        for worker in &self.workers {
            match worker.orders.try_send(Order::Know(announcements.clone())) {
                Ok(()) => worker.bell.ring(),
                Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => {
                    self.orders_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// What is held and what has been counted.
    #[must_use]
    pub fn counts(&self) -> MediaCounts {
        let mut counts = MediaCounts {
            orders_lost: self.orders_lost.load(Ordering::Relaxed),
            ..MediaCounts::default()
        };
        for worker in &self.workers {
            worker.counters.add_to(&mut counts);
        }
        if let Some(recorder) = &*self.recorder.lock().unwrap_or_else(PoisonError::into_inner) {
            let tapes = recorder.counts();
            counts.recordings = tapes.recordings;
            counts.taps_lost = tapes.taps_lost;
        }
        if let Some(remote) = &*self.remote.lock().unwrap_or_else(PoisonError::into_inner) {
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let sounds = remote.counts();
            counts.sounds_fetched = read(&sounds.fetched);
            counts.sounds_unchanged = read(&sounds.unchanged);
            counts.sounds_failed = read(&sounds.failed);
            counts.sounds_held = read(&sounds.held);
        }
        counts
    }

    /// Closes every leg (an RTCP BYE each), finishes every recording, ends the threads and waits
    /// for them. Orders given later are ignored.
    pub fn stop(&self) {
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *threads)
        };
        for worker in &self.workers {
            // A full queue is being worked off: wait for room. A dead worker has none.
            if worker.orders.send(Order::Stop).is_ok() {
                worker.bell.ring();
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a media worker panicked");
            }
        }
        // The workers' shares are gone: this is the last, and dropping it finishes the tapes.
        drop(self.remote.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// All legs of a call live on the same worker.
    fn worker(&self, command: &MediaCommand) -> &Handle {
        let mut spread = self.spread.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = |worker: usize| self.workers[worker].counters.cost();
        &self.workers[spread.worker(call_of(command), command, cost)]
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The call that an order is about.
fn call_of(command: &MediaCommand) -> CallId {
    match command {
        MediaCommand::Open { leg, .. }
        | MediaCommand::Setup { leg, .. }
        | MediaCommand::Link { leg, .. }
        | MediaCommand::Hear { leg, .. }
        | MediaCommand::Interject { leg, .. }
        | MediaCommand::Press { leg, .. }
        | MediaCommand::Interruptible { leg }
        | MediaCommand::Interrupt { leg, .. }
        | MediaCommand::Listen { leg, .. }
        | MediaCommand::Fetch { leg, .. }
        | MediaCommand::StopListening { leg }
        | MediaCommand::Close { leg } => leg.call,
        MediaCommand::Record { call, .. }
        | MediaCommand::Retape { call, .. }
        | MediaCommand::PauseRecording { call, .. }
        | MediaCommand::Room { call, .. }
        | MediaCommand::StopRecording { call } => *call,
    }
}

/// Both clocks, read together once.
fn ntp_clock() -> NtpClock {
    /// Seconds from 1900 to 1970 (RFC 868).
    const EPOCH_S: u64 = 2_208_988_800;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
    let seconds = wall.as_secs().wrapping_add(EPOCH_S);
    NtpClock { at: Instant::now(), ntp: (seconds << 32) | fraction }
}
