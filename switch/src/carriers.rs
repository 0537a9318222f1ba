//! How the carriers stand: logged when it changes, kept for the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use call::{CarrierChange, CarrierNews, Miss, Missed};
use facts::carrier::TrunkStatus;

/// The last news of each carrier that is watched or registered at.
#[derive(Debug, Default)]
pub(crate) struct Carriers {
    last: Mutex<BTreeMap<String, TrunkStatus>>,
    /// INVITEs that came to nothing, by trunk.
    missed: Mutex<BTreeMap<String, u64>>,
}

impl Carriers {
    /// Logs a change and remembers how the carrier stands since.
    pub(crate) fn note(&self, news: CarrierNews) {
        let CarrierNews { change, status } = news;
        let trunk = status.name.as_str();
        match change {
            CarrierChange::Registered => {
                let expires = status.registration.and_then(|r| r.expires_s);
                tracing::info!(trunk, expires, "registered at the carrier");
            }
            CarrierChange::Unregistered => {
                let status = status.registration.and_then(|r| r.last_status);
                tracing::warn!(trunk, status, "not registered at the carrier");
            }
            CarrierChange::Up => {
                let latency_ms = status.health.and_then(|h| h.latency_ms);
                tracing::info!(trunk, latency_ms, "the carrier answers again");
            }
            CarrierChange::Down => {
                let status = status.health.and_then(|h| h.last_status);
                tracing::warn!(trunk, status, "the carrier is down: no calls go there");
            }
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(status.name.clone(), status);
    }

    /// Logs and counts an INVITE that came to nothing.
    pub(crate) fn missed(&self, missed: &Missed) {
        let Missed { leg, trunk, server, why } = missed;
        let (status, cause, why) = match why {
            Miss::Refused(status) => (Some(status), None, "refused"),
            Miss::Silence => (None, None, "silence"),
            Miss::NotSent => (None, None, "not sent"),
            Miss::Heard(cause) => (None, Some(cause), "heard"),
        };
        let (call, leg) = (leg.call, leg.no.0);
        tracing::info!(%call, leg, trunk, %server, why, status, cause, "no call by this carrier");
        let mut counts = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(trunk.clone()).or_default() += 1;
    }

    /// INVITEs that came to nothing, by trunk.
    pub(crate) fn misses(&self) -> BTreeMap<String, u64> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// By trunk: 1 where our registration stands.
    pub(crate) fn registered(&self) -> BTreeMap<String, u64> {
        self.read(|status| status.registration.map(|registration| registration.registered))
    }

    /// By trunk: 1 where it answers.
    pub(crate) fn up(&self) -> BTreeMap<String, u64> {
        self.read(|status| status.health.map(|health| health.up))
    }

    fn read(&self, of: impl Fn(&TrunkStatus) -> Option<bool>) -> BTreeMap<String, u64> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.iter().filter_map(|(name, status)| Some((name.clone(), of(status)?)));
        known.map(|(name, yes)| (name, u64::from(yes))).collect()
    }
}
