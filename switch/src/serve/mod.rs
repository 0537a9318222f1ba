//! The composition root: builds every room, joins them, and takes them apart again in order.

pub(crate) mod parts;

use std::fmt;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::bucket::Bucket;
use api::guard::GuardedClient;
use api::{ApiState, Counters};
use billing::{Store, StoreConfig};
use call::{Command, Engine};
use facts::command::LiveCall;
use facts::ports::Calls as _;
use media::Media;
use sip::endpoint::Listener;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle as Task;

use crate::calls::Door;
use crate::check;
use crate::config::Config;
use crate::consult::{Consults, Questions};
use crate::directory::Directory;
use crate::driver::{Driver, Gauges, Leaving};
use crate::inbox::{Fact, Inbox, Outlet, inbox};
use crate::ledger::{Ledger, Recordings};
use crate::menus::{Menus, Steps};
use crate::net::{Gate, NetCounts, Tls};
use crate::outbox::OutboxGauge;
use crate::sandbox::Sandbox;
use crate::smpp::Smpp;
use crate::texts::{Arriving, Lines, Written};
use crate::upload::{self, UploadCounts};
use crate::{
    clock, consult, dns, hearing, keep, menus, metrics, net, outbox, privacy, recovery, secrets,
    settings, smpp, sounds, texts, token,
};

/// A running switch.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) addresses: Addresses,
    /// The books.
    pub(crate) store: Store,
    hall: Hall,
    drained: watch::Receiver<bool>,
    stop: Stops,
    engine: JoinHandle<()>,
    tasks: Vec<Task<()>>,
    deliveries: Vec<Task<()>>,
    /// Keeps a second process from the same folder.
    _lock: File,
}

/// What ends whom: sockets and HTTP serve until the last call is settled, deliveries a little longer.
struct Stops {
    doors: watch::Sender<bool>,
    deliveries: watch::Sender<bool>,
}

/// Where a switch listens.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) sip: Vec<Listener>,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl fmt::Display for Addresses {
    /// The machine-readable end of the ready line: `sip=udp:…,tcp:… http=… admin=…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip={} http={} admin={}", self.listeners(), self.http, self.admin)
    }
}

impl Addresses {
    /// `udp:…,tcp:…`
    fn listeners(&self) -> String {
        let one = |listener: &Listener| format!("{}:{}", listener.transport.name(), listener.bind);
        self.sip.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Every listener that an HTTP client could reach.
    fn streams(&self) -> Vec<SocketAddr> {
        let sip = self.sip.iter().filter(|listener| listener.transport.is_reliable());
        sip.map(|listener| listener.bind).chain([self.http, self.admin]).collect()
    }
}

/// Why the switch did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A socket, a folder, a thread.
    #[error("{0}")]
    Io(String),
    /// The books.
    #[error("the store: {0}")]
    Store(#[from] billing::Error),
}

fn io_error(what: impl fmt::Display) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::Io(format!("{what}: {error}"))
}

/// Opens the store of a configuration, and its folder.
///
/// # Errors
/// When the folder cannot be made or the database not be opened.
pub(crate) async fn open_store(config: &Config) -> Result<Store, StartError> {
    make_folder(&config.data)?;
    Ok(Store::open(&config.database_url(), parts::store(config)).await?)
}

/// Opens a store that is there already and knows this program's schema; makes nothing.
///
/// # Errors
/// When there is none, when it cannot be opened, or when it has to be migrated first.
pub(crate) async fn open_kept(config: &Config) -> Result<Store, StartError> {
    if let Some(file) = config.database_file().filter(|file| !file.exists()) {
        let why = "there are no books: the file does not exist (settings data and database)";
        return Err(StartError::Io(format!("{}: {why}", file.display())));
    }
    let store = Store::open(&config.database_url(), StoreConfig::default()).await?;
    let pending = store.pending().await?;
    if pending.is_empty() {
        return Ok(store);
    }
    store.close().await;
    let names = pending.join(", ");
    Err(StartError::Io(format!(
        "the database is of an older program: run `tandem migrate` ({names})"
    )))
}

/// What is made is for its owner alone: below it lie recordings, keys and the books.
fn make_folder(folder: &Path) -> Result<(), StartError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io_error(format_args!("cannot make the folder {}", folder.display())))
}

/// What must be ours before anything runs: folder, books, sockets, token.
struct Ground {
    lock: File,
    store: Store,
    bound: net::Bound,
    http: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
    admin_token: String,
}

impl Ground {
    async fn take(config: &Config) -> Result<Ground, StartError> {
        make_folder(&config.data)?;
        let lock = lock(&config.data)?;
        let store = open_store(config).await?;
        for name in store.migrate().await? {
            tracing::info!(name, "the database was brought up to date");
        }
        let sockets = (
            net::bind(config),
            listen("http.listen", config.http).await,
            listen("admin.listen", config.admin).await,
        );
        let (bound, http, admin) = match sockets {
            (Ok(bound), Ok(http), Ok(admin)) => (bound, http, admin),
            // All that are taken at once: nobody wants to hear of them one after the other.
            (bound, http, admin) => {
                let mut why = bound.err().unwrap_or_default();
                why.extend([http.err(), admin.err()].into_iter().flatten());
                return Err(StartError::Io(why.join("\n  ")));
            }
        };
        let addresses =
            Addresses { sip: bound.listeners.clone(), http: local(&http)?, admin: local(&admin)? };
        let admin_token = token::read_or_make(&config.token_file()).map_err(StartError::Io)?;
        Ok(Ground { lock, store, bound, http, admin, addresses, admin_token })
    }
}

/// What the rooms share.
struct Hall {
    store: Store,
    inbox: Inbox,
    directory: Arc<Directory>,
    media: Arc<Media>,
    ledger: Ledger,
    gauges: Arc<Gauges>,
    net_counts: Arc<NetCounts>,
    tls: Arc<Tls>,
    sandbox: Arc<Sandbox>,
    outbox_gauge: Arc<OutboxGauge>,
    door: Arc<Door>,
    guard: GuardedClient,
    counters: Arc<Counters>,
    /// Where copies of recordings go, and how far they have come.
    bucket: Option<Bucket>,
    uploads: Arc<UploadCounts>,
    /// Questions of scenarios, on their way to merchants; taken once, by the doors.
    consults: Consults,
    questions: Mutex<Option<Questions>>,
    /// Menus of merchants' pages, and steps on their way there; these taken once, by the doors.
    menus: Menus,
    /// Lines to networks.
    smpp: Smpp,
    steps: Mutex<Option<Steps>>,
    /// What phones write to numbers of the operator's, on its way to the store; these taken once, by the doors.
    written: Written,
    arriving: Mutex<Option<Arriving>>,
    /// Wakes the push worker.
    wake: Arc<Notify>,
    doors_stop: watch::Receiver<bool>,
    deliveries_stop: watch::Receiver<bool>,
}

impl Hall {
    /// Everything that needs no answer from the store yet.
    fn build(
        config: &Config,
        ground: &Ground,
        inbox: Inbox,
        doors_stop: watch::Receiver<bool>,
        deliveries_stop: watch::Receiver<bool>,
    ) -> Result<Hall, StartError> {
        for finding in secrets::open_to_others(config).into_iter().chain(check::unspoken(config)) {
            tracing::warn!("{finding}");
        }
        let recordings = config.recordings_folder();
        make_folder(&recordings)?;
        let keys = config.recording.keys.as_deref().map(media::recorder::keys_of).transpose();
        let keys = keys.map_err(io_error("the key file of recordings"))?.map(Arc::new);
        let unfinished = recovery::recordings(&recordings, keys.as_ref());
        let bucket = config.recording.upload.bucket().map_err(StartError::Io)?;
        let events = inbox.clone();
        let guard = parts::guard(config, &ground.addresses.streams());
        let guard = dns::guarded(guard, &config.dns).map_err(StartError::Io)?;
        let remote = sounds::remote(config, guard.clone(), ground.store.clone(), Handle::current());
        let events = move |event| events.fact(Fact::Media(event));
        for mistake in check::sounds(config) {
            tracing::error!("{mistake}");
        }
        let media = Media::start_with(&parts::media(config), Some(remote), events)
            .map_err(io_error("the media plane"))?;
        let media = Arc::new(media);
        let directory: Arc<Directory> = Arc::default();
        let wake = Arc::new(Notify::new());
        let ledger = Ledger::new(
            ground.store.clone(),
            inbox.clone(),
            Arc::clone(&directory),
            Handle::current(),
            parts::settling(config, ground.addresses.http),
            Arc::clone(&wake),
            Recordings { folder: recordings, unfinished },
        );
        let smpp = Smpp::new(Handle::current(), config.node);
        let (menus, steps) =
            Menus::new(inbox.clone(), ground.store.clone(), smpp.clone(), Handle::current());
        let door = Arc::new(Door {
            inbox: inbox.clone(),
            answers: Arc::default(),
            directory: Arc::clone(&directory),
            prompts: media.prompts(),
            screens: menus.screens(),
            media: Arc::downgrade(&media),
            ready: AtomicBool::new(false),
            settings: Arc::new(Notify::new()),
            bindings: Arc::new(Notify::new()),
            place_max: config.web.place_timeout,
        });
        let (consults, questions) = Consults::new(inbox.clone());
        let (written, arriving) = Written::new(inbox.clone());
        Ok(Hall {
            store: ground.store.clone(),
            consults,
            questions: Mutex::new(Some(questions)),
            menus,
            smpp,
            steps: Mutex::new(Some(steps)),
            written,
            arriving: Mutex::new(Some(arriving)),
            inbox,
            directory,
            media,
            ledger,
            bucket,
            uploads: Arc::default(),
            gauges: Arc::default(),
            net_counts: Arc::default(),
            tls: Arc::clone(&ground.bound.tls),
            sandbox: Arc::default(),
            outbox_gauge: Arc::default(),
            door,
            guard,
            counters: Arc::default(),
            wake,
            doors_stop,
            deliveries_stop,
        })
    }

    /// Recovers what the last process left, then starts the engine and its sockets.
    async fn start_engine(
        &self,
        config: &Config,
        bound: net::Bound,
        outlet: Outlet,
    ) -> Result<(JoinHandle<()>, watch::Receiver<bool>, (u64, i64, i64)), StartError> {
        let mut snapshot = self.store.snapshot().await?;
        self.sandbox.furnish(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        let version = snapshot.version;
        self.tls.know(&snapshot);
        let mut engine = parts::engine(config, &bound.listeners)?;
        engine.last_call = self.store.last_call_id().await?;
        let engine = Engine::new(engine, snapshot, clock::now());
        // What the last process left open comes before anything new.
        recovery::bindings(&self.store, &self.inbox, &self.directory).await?;
        let bindings = privacy::begin(&self.store, &self.inbox).await?;
        let numbers = settings::numbers(&self.store, &self.inbox, 0).await?;
        let open = recovery::calls(&self.store, &self.inbox, &self.directory, config.node).await?;
        if open > 0 {
            tracing::warn!(open, "calls of the last process are ended and settled");
        }
        recovery::mailboxes(&self.store, &self.inbox).await?;
        recovery::menus(&self.store, config.node).await?;
        let farewells = recovery::farewells(&self.store, &self.inbox, config.node).await?;
        if farewells > 0 {
            tracing::warn!(
                farewells,
                "far ends of settled calls are told again that they are over"
            );
        }
        let shared = net::Shared {
            inbox: self.inbox.clone(),
            directory: Arc::clone(&self.directory),
            counts: Arc::clone(&self.net_counts),
            knobs: config.tcp.clone(),
            gate: Gate::default(),
            tls: Arc::clone(&self.tls),
            stop: self.doors_stop.clone(),
        };
        let net = bound.start(&shared, &Handle::current()).map_err(io_error("a socket"))?;
        let (drained_sender, drained) = watch::channel(false);
        let driver = Driver {
            engine,
            outlet,
            net,
            media: Arc::clone(&self.media),
            ledger: self.ledger.clone(),
            answers: Arc::clone(&self.door.answers),
            consults: self.consults.clone(),
            menus: self.menus.clone(),
            written: self.written.clone(),
            names: dns::CarrierNames::new(&config.dns, self.inbox.clone(), Handle::current())
                .map_err(StartError::Io)?,
            tls: Arc::clone(&self.tls),
            gauges: Arc::clone(&self.gauges),
            leaving: Leaving::default(),
            drained: drained_sender,
        };
        let thread = driver.start().map_err(io_error("the engine's thread"))?;
        Ok((thread, drained, (version, bindings, numbers)))
    }

    fn sources(&self) -> metrics::Sources {
        metrics::Sources {
            gauges: Arc::clone(&self.gauges),
            inbox: self.inbox.clone(),
            ledger: self.ledger.clone(),
            menus: self.menus.clone(),
            smpp: self.smpp.clone(),
            directory: Arc::clone(&self.directory),
            net: Arc::clone(&self.net_counts),
            media: Arc::clone(&self.media),
            store: self.store.clone(),
            outbox: Arc::clone(&self.outbox_gauge),
            uploads: Arc::clone(&self.uploads),
            started: Instant::now(),
        }
    }

    /// HTTP, and the watch over the settings.
    fn open_doors(
        &self,
        config: &Config,
        http: TcpListener,
        admin: TcpListener,
        admin_token: String,
        (known, bound, numbers): (u64, i64, i64),
    ) -> Vec<Task<()>> {
        let sources = self.sources();
        let links = Some(Arc::new(self.smpp.clone()) as _);
        let lines = Lines { door: Arc::clone(&self.door), links };
        let state = ApiState::new(
            self.store.clone(),
            (Arc::clone(&self.door) as _, Arc::new(lines)),
            self.guard.clone(),
            parts::api(config, admin_token),
            Arc::clone(&self.counters),
            Arc::new(move || sources.text()),
            Arc::clone(&self.wake),
        );
        let serve = |listener, router| {
            tokio::spawn(api::server::serve(
                listener,
                router,
                parts::server(config),
                Arc::clone(&self.counters),
                self.doors_stop.clone(),
            ))
        };
        let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner).take();
        let consults = questions.map(|questions| {
            let (inbox, stop) = (self.inbox.clone(), self.doors_stop.clone());
            tokio::spawn(consult::run(state.clone(), inbox, questions, stop))
        });
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner).take();
        let visits = steps.map(|steps| {
            let (menus, stop) = (self.menus.clone(), self.doors_stop.clone());
            tokio::spawn(menus::run(state.clone(), menus, steps, stop))
        });
        let arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = arriving.map(|arriving| {
            let (written, stop) = (self.written.clone(), self.doors_stop.clone());
            tokio::spawn(texts::run(state.clone(), written, arriving, stop))
        });
        let mut tasks = vec![
            serve(http, api::merchant_router(state.clone())),
            tokio::spawn(api::campaigns::run(state.clone(), self.doors_stop.clone())),
            tokio::spawn(api::bookings::run(state.clone(), self.doors_stop.clone())),
            tokio::spawn(api::payments::run(state.clone(), self.doors_stop.clone())),
            tokio::spawn(api::sms::run(state.clone(), self.doors_stop.clone())),
            tokio::spawn(smpp::run(
                self.smpp.clone(),
                (state.clone(), self.store.clone()),
                (Arc::clone(&self.door), Arc::clone(&self.tls)),
                self.doors_stop.clone(),
            )),
            serve(admin, api::operator_router(state)),
            tokio::spawn(settings::watch(
                self.store.clone(),
                self.inbox.clone(),
                (known, numbers),
                Arc::clone(&self.door.settings),
                (Arc::clone(&self.tls), Arc::clone(&self.sandbox)),
                self.doors_stop.clone(),
            )),
            tokio::spawn(privacy::follow(
                self.store.clone(),
                self.inbox.clone(),
                bound,
                Arc::clone(&self.door.bindings),
                self.doors_stop.clone(),
            )),
        ];
        tasks.extend(consults.into_iter().chain(visits).chain(kept));
        tasks
    }

    fn start_deliveries(&self, config: &Config) -> Vec<Task<()>> {
        let (lag, store) = (Arc::clone(&self.outbox_gauge), self.store.clone());
        let stop = self.deliveries_stop.clone();
        let mut tasks = vec![
            tokio::spawn(api::push::run(
                self.store.clone(),
                self.guard.clone(),
                parts::push(config),
                Arc::clone(&self.counters),
                Arc::clone(&self.wake),
                self.deliveries_stop.clone(),
            )),
            tokio::spawn(async move { lag.watch(store, stop).await }),
            tokio::spawn(settings::purge(self.store.clone(), self.deliveries_stop.clone())),
        ];
        if config.hearing.listens {
            let (media, stop) = (Arc::clone(&self.media), self.deliveries_stop.clone());
            tasks.push(tokio::spawn(hearing::watch(config.known_folder(), media, stop)));
        }
        if let Some(keep) = config.recording.keep {
            let (store, stop) = (self.store.clone(), self.deliveries_stop.clone());
            let kept = (keep, self.bucket.is_some());
            tasks.push(tokio::spawn(keep::run(store, config.recordings_folder(), kept, stop)));
        }
        if let Some(bucket) = &self.bucket {
            let (from, stop) = ((self.store.clone(), bucket.clone()), self.deliveries_stop.clone());
            let folder = (config.recordings_folder(), config.recording.upload.after);
            tasks.push(tokio::spawn(upload::run(from, folder, Arc::clone(&self.uploads), stop)));
        }
        tasks
    }
}

impl Running {
    /// Starts everything. When it returns, calls are taken.
    ///
    /// # Errors
    /// Whatever keeps it from serving.
    pub(crate) async fn start(config: &Config) -> Result<Running, StartError> {
        let ground = Ground::take(config).await?;
        let (inbox, outlet) = inbox(config.queue).map_err(io_error("the engine's queue"))?;
        let (doors, doors_stop) = watch::channel(false);
        let (deliveries_sender, deliveries_stop) = watch::channel(false);
        let hall = Hall::build(config, &ground, inbox, doors_stop, deliveries_stop)?;
        let Ground { lock, bound, http, admin, addresses, admin_token, .. } = ground;
        let (engine, drained, known) = hall.start_engine(config, bound, outlet).await?;
        let tasks = hall.open_doors(config, http, admin, admin_token, known);
        let deliveries = hall.start_deliveries(config);
        hall.door.ready.store(true, Ordering::Relaxed);
        Ok(Running {
            addresses,
            store: hall.store.clone(),
            hall,
            drained,
            stop: Stops { doors, deliveries: deliveries_sender },
            engine,
            tasks,
            deliveries,
            _lock: lock,
        })
    }

    /// The live calls, oldest first.
    pub(crate) async fn live(&self) -> Vec<LiveCall> {
        self.hall.door.live().await.unwrap_or_default()
    }

    /// Ends in order: no new calls; those there are may go on for `grace`; then everything is ended,
    /// settled, delivered once, and closed.
    pub(crate) async fn drain(mut self, grace: Duration) {
        self.hall.door.ready.store(false, Ordering::Relaxed);
        self.hall.inbox.fact(Fact::Command(Command::Drain { grace }));
        let limit = grace + AFTER_GRACE;
        if tokio::time::timeout(limit, self.drained.wait_for(|drained| *drained)).await.is_err() {
            tracing::error!("calls are left that did not end; the next start settles them");
        }
        // A BYE that got lost is sent again while its dialog lives; then nobody is left waiting for us.
        let dialogs = async {
            tokio::time::sleep(SAMPLE).await;
            while self.hall.gauges.counts().unended > 0 {
                tokio::time::sleep(SAMPLE / 10).await;
            }
        };
        if tokio::time::timeout(GOODBYE, dialogs).await.is_err() {
            tracing::warn!("some far ends did not answer their BYE");
        }
        let written = async {
            while self.hall.ledger.busy() + self.hall.menus.busy() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(FLUSH, written).await.is_err() {
            tracing::error!("the store does not take the last writes");
        }
        outbox::flush(&self.store, &self.hall.wake, FLUSH).await;
        self.stop.doors.send_replace(true);
        self.stop.deliveries.send_replace(true);
        self.hall.inbox.fact(Fact::Stop);
        for task in self.tasks.into_iter().chain(self.deliveries) {
            let _ = task.await;
        }
        let (engine, media) = (self.engine, Arc::clone(&self.hall.media));
        let joined = tokio::task::spawn_blocking(move || {
            media.stop();
            engine.join()
        });
        let _ = joined.await;
        self.store.close().await;
    }
}

/// What the BYEs after the grace time may take: 64·T1, and the settlement.
const AFTER_GRACE: Duration = Duration::from_secs(40);
/// How old the engine's figures may be.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long far ends may take to answer their BYE.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long deliveries that are due may take at the end.
const FLUSH: Duration = Duration::from_secs(12);

async fn listen(setting: &str, address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| net::not_bound(setting, address, &error))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(io_error("a listener"))
}

/// Two processes over one folder would end each other's calls.
fn lock(folder: &Path) -> Result<File, StartError> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error(path.display()))?;
    file.try_lock()
        .map_err(|_| StartError::Io(format!("another tandem serves from {}", folder.display())))?;
    Ok(file)
}

/// `tandem serve`: runs until a signal ends it. The value is the exit status.
///
/// # Errors
/// When it cannot start.
pub(crate) async fn serve(config: &Config) -> Result<u8, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(io_error("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io_error("signals"))?;
    let running = Running::start(config).await?;
    announce(config, &running.addresses);
    let Addresses { http, admin, .. } = running.addresses;
    let (version, sip) = (env!("CARGO_PKG_VERSION"), running.addresses.listeners());
    tracing::info!(version, sip, %http, %admin, "taking calls");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(grace = ?config.drain_grace, "draining; a second signal ends at once");
    tokio::select! {
        () = running.drain(config.drain_grace) => {
            tracing::info!("everything is settled and closed");
            Ok(0)
        }
        _ = terminate.recv() => Ok(cut_short()),
        _ = interrupt.recv() => Ok(cut_short()),
    }
}

/// The exit status of a process that was not left the time to drain.
fn cut_short() -> u8 {
    tracing::warn!("a second signal: ended at once; the next start ends and settles what is open");
    1
}

#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
fn announce(config: &Config, addresses: &Addresses) {
    use std::io::Write as _;
    for listener in &addresses.sip {
        let name = listener.transport.name();
        println!("sip    {name} {}, told to peers as {}", listener.bind, listener.advertised);
    }
    let ports = &config.rtp_ports;
    for home in parts::media(config).homes {
        let (bind, told) = (home.bind, home.advertised);
        println!("rtp    {bind} ports {}-{}, told to peers as {told}", ports.start(), ports.end());
    }
    println!("http   {}", addresses.http);
    println!("admin  {}, token in {}", addresses.admin, config.token_file().display());
    println!("data   {}", config.data.display());
    println!("tandem ready {addresses} pid={}", std::process::id());
    let _ = io::stdout().flush();
}
