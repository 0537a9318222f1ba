//! The composition root: builds every room, joins them, and takes them apart again in order.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::guard::{GuardConfig, GuardedClient};
use api::push::PushConfig;
use api::server::ServerConfig;
use api::{ApiConfig, ApiState, Counters};
use billing::{SettleContext, Store, StoreConfig};
use call::{Command, Engine, EngineConfig, RegisterLimits};
use facts::command::LiveCall;
use facts::ports::Calls as _;
use media::{Media, MediaConfig};
use sip::endpoint::{EndpointConfig, Listener, Timers, Transport};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle as Task;

use crate::calls::Door;
use crate::config::{Config, reachable};
use crate::driver::{Driver, Gauges};
use crate::inbox::{Fact, Inbox, inbox};
use crate::ledger::Ledger;
use crate::outbox::OutboxGauge;
use crate::{clock, metrics, net, outbox, recovery, settings, token};

/// A running switch.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) addresses: Addresses,
    /// The books.
    pub(crate) store: Store,
    door: Arc<Door>,
    inbox: Inbox,
    media: Arc<Media>,
    ledger: Ledger,
    gauges: Arc<Gauges>,
    outbox: Arc<Notify>,
    drained: watch::Receiver<bool>,
    stop: Stops,
    engine: JoinHandle<()>,
    tasks: Vec<Task<()>>,
    deliveries: Vec<Task<()>>,
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
        let sip: Vec<String> = self
            .sip
            .iter()
            .map(|listener| format!("{}:{}", listener.transport.as_param(), listener.bind))
            .collect();
        write!(f, "sip={} http={} admin={}", sip.join(","), self.http, self.admin)
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
    Ok(Store::open(&config.database_url(), StoreConfig::default()).await?)
}

fn make_folder(folder: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(folder)
        .map_err(io_error(format_args!("cannot make the folder {}", folder.display())))
}

impl Running {
    /// Starts everything. When it returns, calls are taken.
    ///
    /// # Errors
    /// Whatever keeps it from serving; nothing is left running.
    pub(crate) async fn start(config: &Config) -> Result<Running, StartError> {
        let store = open_store(config).await?;
        for name in store.migrate().await? {
            tracing::info!(name, "the database was brought up to date");
        }
        let bound = net::bind(config).map_err(|error| StartError::Io(error.to_string()))?;
        let http = listen("http", config.http).await?;
        let admin = listen("admin", config.admin).await?;
        let addresses =
            Addresses { sip: bound.listeners.clone(), http: local(&http)?, admin: local(&admin)? };
        let admin_token = token::read_or_make(&config.token_file()).map_err(StartError::Io)?;
        let recordings = config.recordings_folder();
        make_folder(&recordings)?;
        let leftovers = recovery::recordings(&recordings);

        let runtime = Handle::current();
        let (inbox, outlet) = inbox(config.queue);
        let directory = Arc::default();
        let (doors, doors_stop) = watch::channel(false);
        let (deliveries_sender, deliveries_stop) = watch::channel(false);
        let shared = net::Shared {
            inbox: inbox.clone(),
            directory: Arc::clone(&directory),
            counts: Arc::default(),
            knobs: config.tcp,
            stop: doors_stop.clone(),
        };
        let events = inbox.clone();
        let media =
            Media::start(&media_config(config), move |event| events.fact(Fact::Media(event)))
                .map_err(io_error("the media plane"))?;
        let media = Arc::new(media);
        let wake = Arc::new(Notify::new());
        let ledger = Ledger::new(
            store.clone(),
            inbox.clone(),
            Arc::clone(&directory),
            runtime.clone(),
            SettleContext { recording_base_url: recording_base(config, addresses.http) },
            Arc::clone(&wake),
            leftovers,
        );
        let snapshot = Arc::new(store.snapshot().await?);
        let version = snapshot.version;
        let engine = Engine::new(engine_config(config, &addresses.sip)?, snapshot, clock::now());
        let gauges: Arc<Gauges> = Arc::default();
        let (drained_sender, drained) = watch::channel(false);
        let answers = Arc::default();
        let net_counts = Arc::clone(&shared.counts);
        let settings_wake = Arc::new(Notify::new());
        let door = Arc::new(Door {
            inbox: inbox.clone(),
            answers: Arc::clone(&answers),
            directory: Arc::clone(&directory),
            ready: AtomicBool::new(false),
            settings: Arc::clone(&settings_wake),
        });

        // What the last process left open comes before anything new.
        recovery::bindings(&store, &inbox, &directory).await?;
        let open = recovery::calls(&store, &inbox, &directory).await?;
        if open > 0 {
            tracing::warn!(open, "calls of the last process are ended and settled");
        }
        let net = bound.start(&shared, &runtime).map_err(io_error("a socket"))?;
        let driver = Driver {
            engine,
            outlet,
            net,
            media: Arc::clone(&media),
            ledger: ledger.clone(),
            answers,
            gauges: Arc::clone(&gauges),
            drained: drained_sender,
        };
        let engine = driver.start().map_err(io_error("the engine's thread"))?;

        let outbox_gauge: Arc<OutboxGauge> = Arc::default();
        let sources = metrics::Sources {
            gauges: Arc::clone(&gauges),
            inbox: inbox.clone(),
            ledger: ledger.clone(),
            directory,
            net: net_counts,
            media: Arc::clone(&media),
            store: store.clone(),
            outbox: Arc::clone(&outbox_gauge),
            started: Instant::now(),
        };
        let guard = GuardedClient::new(guard_config(config)).map_err(StartError::Io)?;
        let counters = Arc::new(Counters::default());
        let state = ApiState::new(
            store.clone(),
            Arc::clone(&door) as _,
            guard.clone(),
            api_config(config, admin_token),
            Arc::clone(&counters),
            Arc::new(move || sources.text()),
            Arc::clone(&wake),
        );
        let tasks = vec![
            tokio::spawn(api::server::serve(
                http,
                api::merchant_router(state.clone()),
                ServerConfig::default(),
                Arc::clone(&counters),
                doors_stop.clone(),
            )),
            tokio::spawn(api::server::serve(
                admin,
                api::operator_router(state),
                ServerConfig::default(),
                Arc::clone(&counters),
                doors_stop.clone(),
            )),
            tokio::spawn(settings::watch(
                store.clone(),
                inbox.clone(),
                version,
                settings_wake,
                doors_stop,
            )),
        ];
        let push = PushConfig { delays: config.push_delays.clone(), ..PushConfig::default() };
        let (lag, lag_store, lag_stop) = (outbox_gauge, store.clone(), deliveries_stop.clone());
        let deliveries = vec![
            tokio::spawn(api::push::run(
                store.clone(),
                guard,
                push,
                counters,
                Arc::clone(&wake),
                deliveries_stop,
            )),
            tokio::spawn(async move { lag.watch(lag_store, lag_stop).await }),
        ];
        door.ready.store(true, Ordering::Relaxed);
        Ok(Running {
            addresses,
            store,
            door,
            inbox,
            media,
            ledger,
            gauges,
            outbox: wake,
            drained,
            stop: Stops { doors, deliveries: deliveries_sender },
            engine,
            tasks,
            deliveries,
        })
    }

    /// The live calls, oldest first.
    pub(crate) async fn live(&self) -> Vec<LiveCall> {
        self.door.live().await
    }

    /// Ends in order: no new calls; those there are may go on for `grace`; then everything is ended,
    /// settled, delivered once, and closed.
    pub(crate) async fn drain(mut self, grace: Duration) {
        self.door.ready.store(false, Ordering::Relaxed);
        self.inbox.fact(Fact::Command(Command::Drain { grace }));
        let limit = grace + AFTER_GRACE;
        if tokio::time::timeout(limit, self.drained.wait_for(|drained| *drained)).await.is_err() {
            tracing::error!("calls are left that did not end; the next start settles them");
        }
        // A BYE that got lost is sent again while its dialog lives; then nobody is left waiting for us.
        let dialogs = async {
            tokio::time::sleep(SAMPLE).await;
            while self.gauges.counts().unended > 0 {
                tokio::time::sleep(SAMPLE / 10).await;
            }
        };
        if tokio::time::timeout(GOODBYE, dialogs).await.is_err() {
            tracing::warn!("some far ends did not answer their BYE");
        }
        let written = async {
            while self.ledger.busy() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(FLUSH, written).await.is_err() {
            tracing::error!("the store does not take the last writes");
        }
        outbox::flush(&self.store, &self.outbox, FLUSH).await;
        self.stop.doors.send_replace(true);
        self.stop.deliveries.send_replace(true);
        self.inbox.fact(Fact::Stop);
        for task in self.tasks.into_iter().chain(self.deliveries) {
            let _ = task.await;
        }
        let (engine, media) = (self.engine, self.media);
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

async fn listen(what: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(io_error(format_args!("cannot listen on {what} {address}")))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(io_error("a listener"))
}

fn recording_base(config: &Config, http: SocketAddr) -> String {
    let base = config.public_url.clone().unwrap_or_else(|| {
        format!("http://{}", SocketAddr::new(reachable(http.ip()), http.port()))
    });
    format!("{base}/recordings")
}

fn media_config(config: &Config) -> MediaConfig {
    MediaConfig {
        bind: config.rtp_bind,
        advertised: config.rtp_advertised.unwrap_or_else(|| reachable(config.rtp_bind)),
        ports: config.rtp_ports.clone(),
        quarantine: config.rtp_quarantine,
        workers: config.media_workers,
        recordings: config.recordings_folder(),
        prompts: config.prompts.clone(),
    }
}

fn engine_config(config: &Config, listeners: &[Listener]) -> Result<EngineConfig, StartError> {
    let timers = config.timers;
    let random = || -> Result<[u8; 32], StartError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| StartError::Io(format!("no randomness: {error}")))?;
        Ok(bytes)
    };
    let sip = EndpointConfig {
        listeners: listeners.to_vec(),
        timers: Timers {
            timer_c: timers.timer_c,
            ..Timers::scaled(timers.t1, timers.t2, timers.t4)
        },
        engine: u8::try_from(config.node & 0xff).unwrap_or_default(),
        seed: random()?,
        user_agent: config.user_agent.clone(),
        ..EndpointConfig::default()
    };
    let call = config.call;
    Ok(EngineConfig {
        sip,
        node: config.node,
        secret: random()?,
        calls_max: call.calls_max,
        calls_per_second: call.calls_per_second,
        silence: call.silence,
        warning: call.warning,
        alive: call.checkpoint,
        register: RegisterLimits {
            expires_min: call.expires_min,
            expires_default: call.expires_default,
            expires_max: call.expires_max,
        },
        nonce_life: call.nonce_life,
        ..EngineConfig::default()
    })
}

fn guard_config(config: &Config) -> GuardConfig {
    GuardConfig {
        allow_networks: config.callback_allow.clone(),
        allow_ports: config.callback_ports.clone(),
        ..GuardConfig::default()
    }
}

fn api_config(config: &Config, admin_token: String) -> ApiConfig {
    ApiConfig {
        admin_token: Some(admin_token),
        recordings: config.recordings_folder(),
        trusted_proxies: config.trusted_proxies.clone(),
        ring: config.call.ring,
        ..ApiConfig::default()
    }
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
    tracing::info!(version = env!("CARGO_PKG_VERSION"), addresses = %running.addresses, "taking calls");
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
        _ = terminate.recv() => Ok(1),
        _ = interrupt.recv() => Ok(1),
    }
}

#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
fn announce(config: &Config, addresses: &Addresses) {
    use std::io::Write as _;
    for listener in &addresses.sip {
        let udp = listener.transport == Transport::Udp;
        println!(
            "sip    {} {}, told to peers as {}",
            if udp { "udp" } else { "tcp" },
            listener.bind,
            listener.advertised
        );
    }
    println!("rtp    {} ports {:?}", config.rtp_bind, config.rtp_ports);
    println!("http   {}", addresses.http);
    println!("admin  {}, token in {}", addresses.admin, config.token_file().display());
    println!("data   {}", config.data.display());
    println!("tandem ready {addresses} pid={}", std::process::id());
    let _ = io::stdout().flush();
}
