//! What every handler can reach, and the knobs of the doors.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use facts::ports::{Calls, Texts};
use facts::{CallCommand, Features, MerchantId, Placed, Refusal, RequestKey, UnixMillis};
use ipnet::IpNet;
use tokio::sync::Notify;

use crate::counters::Counters;
use crate::guard::GuardedClient;
use crate::limits::{Buckets, Rate};
use crate::settings::Settings;

/// Knobs of the doors.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Number of this process in the installation.
    pub node: u16,
    /// Bearer token of `/admin/v1`; `None` closes that door.
    pub admin_token: Option<String>,
    /// Where merchants reach this switch, for the samples they take; `None`: as whoever asks has reached it.
    pub public_url: Option<String>,
    /// Folder of the finished recordings.
    pub recordings: PathBuf,
    /// The key file of sealed recordings, if there is one: it is read when one is asked for.
    pub recording_keys: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests from one address.
    pub per_ip: Rate,
    /// Signed requests of one merchant.
    pub per_merchant: Rate,
    /// Wrong operator's tokens from one address; then that address waits, whatever it brings.
    pub wrong_tokens: Rate,
    /// Largest body of a merchant's request, bytes.
    pub body_limit: usize,
    /// Largest body of an operator's request, bytes.
    pub admin_body_limit: usize,
    /// For reading a request's body.
    pub body_timeout: Duration,
    /// How long placing a call may take before the system error is answered.
    pub place_timeout: Duration,
    /// System 000: how long each leg may ring.
    pub ring: Duration,
    /// System 001: how far a request's timestamp may be from ours.
    pub ytx_validity: Duration,
    /// System 001: refuse a `credit` that is not above 60 instead of raising it.
    pub ytx_strict_credit: bool,
    /// What extensions dial for features, which menus of the same codes are warned of.
    pub features: Features,
    /// Why nothing speaks what menus say; `None`: something does.
    pub mute: Option<String>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        ApiConfig {
            node: 0,
            admin_token: None,
            public_url: None,
            recordings: PathBuf::from("recordings"),
            recording_keys: None,
            trusted_proxies: Vec::new(),
            per_ip: Rate { per_second: 1000, burst: 2000 },
            per_merchant: Rate { per_second: 500, burst: 1000 },
            wrong_tokens: Rate { per_second: 1, burst: 10 },
            body_limit: 64 * 1024,
            admin_body_limit: 8 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            place_timeout: Duration::from_secs(2),
            ring: Duration::from_secs(60),
            ytx_validity: dialect::ytx::VALIDITY_DEFAULT,
            ytx_strict_credit: false,
            features: Features::default(),
            mute: None,
        }
    }
}

/// New users of one merchant: each is a row for ever and a change of the settings.
const REGISTRATIONS: Rate = Rate { per_second: 1, burst: 20 };

/// Wrong keys of system 002 and of `/v1` under one name from one address; then whoever brings more of it waits.
const WRONG_KEYS: Rate = Rate { per_second: 1, burst: 30 };

/// Produces the process's Prometheus text.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: billing::Store,
    pub(crate) calls: Arc<dyn Calls>,
    pub(crate) texts: Arc<dyn Texts>,
    pub(crate) guard: GuardedClient,
    pub(crate) config: ApiConfig,
    pub(crate) counters: Arc<Counters>,
    pub(crate) metrics: MetricsText,
    pub(crate) push_wake: Arc<Notify>,
    /// Wakes whoever sends short messages.
    pub(crate) sms_wake: Notify,
    pub(crate) settings: Settings,
    pub(crate) per_ip: Buckets<IpAddr>,
    pub(crate) per_merchant: Buckets<MerchantId>,
    pub(crate) registrations: Buckets<MerchantId>,
    pub(crate) wrong_tokens: Buckets<IpAddr>,
    pub(crate) wrong_keys: Buckets<(IpAddr, String)>,
    /// Logins of system 002, of which good ones give back what they took.
    pub(crate) logins: Buckets<(IpAddr, String)>,
    pub(crate) streams: crate::rest::Streams,
    pub(crate) paces: crate::rest::Paces,
    pub(crate) room: crate::sipcall::Room,
    /// Who asks what was paid.
    pub(crate) guests: crate::guests::Guests,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

impl ApiState {
    /// Joins the doors with what stands behind them. `metrics` gives the rest of the process's metrics;
    /// `push_wake` wakes the push worker after a re-delivery. `calls` and `texts` are the switch.
    #[must_use]
    pub fn new(
        store: billing::Store,
        (calls, texts): (Arc<dyn Calls>, Arc<dyn Texts>),
        guard: GuardedClient,
        config: ApiConfig,
        counters: Arc<Counters>,
        metrics: MetricsText,
        push_wake: Arc<Notify>,
    ) -> ApiState {
        let per_ip = Buckets::new(config.per_ip);
        let per_merchant = Buckets::new(config.per_merchant);
        let wrong_tokens = Buckets::new(config.wrong_tokens);
        ApiState(Arc::new(Inner {
            store,
            calls,
            texts,
            guard,
            config,
            counters,
            metrics,
            push_wake,
            sms_wake: Notify::new(),
            guests: crate::guests::Guests::default(),
            settings: Settings::default(),
            per_ip,
            per_merchant,
            registrations: Buckets::new(REGISTRATIONS),
            wrong_tokens,
            wrong_keys: Buckets::new(WRONG_KEYS),
            logins: Buckets::new(WRONG_KEYS),
            streams: crate::rest::Streams::default(),
            paces: crate::rest::Paces::default(),
            room: crate::sipcall::Room::default(),
        }))
    }

    /// Places a call; our own faults and a late answer are [`Refusal::Internal`]. The switch knows a repeated
    /// request by its key when it places it. When it refuses to, the books are asked whether the request was
    /// placed before: a repeat is answered as the first, whatever has become of policies, limits and numbers.
    pub(crate) async fn place(&self, command: CallCommand) -> Result<Placed, Refusal> {
        let asked = command.key.clone().map(|key| (command.merchant, key));
        let patience = self.0.config.place_timeout;
        let answer = tokio::time::timeout(patience, self.0.calls.place(command)).await;
        match (answer.unwrap_or(Err(Refusal::Internal)), asked) {
            // Ours: a request under way that the ledger is about to take back must not be found in the books.
            (Err(told @ (Refusal::KeyConflict | Refusal::Busy | Refusal::Internal)), _) => {
                Err(told)
            }
            (Err(refusal), Some((merchant, key))) => {
                self.earlier(merchant, &key).await?.ok_or(refusal)
            }
            (answer, _) => answer,
        }
    }

    /// The call that a request became before, if it did; other numbers under its key are a conflict.
    pub(crate) async fn earlier(
        &self,
        merchant: MerchantId,
        key: &RequestKey,
    ) -> Result<Option<Placed>, Refusal> {
        let found = self.0.store.call_by_key(merchant, key.dialect, &key.key).await;
        let found = found.map_err(|error| {
            tracing::warn!(%error, "whether a request was placed before cannot be told");
            Refusal::Internal
        })?;
        let Some(entry) = found else { return Ok(None) };
        let same = entry.command.key.is_some_and(|known| known.fingerprint == key.fingerprint);
        if same {
            Ok(Some(Placed { call: entry.call, duplicate: true }))
        } else {
            Err(Refusal::KeyConflict)
        }
    }
}

/// The wall clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
