//! The way of the media plane to sounds behind addresses: the guarded client, run by tokio.

use api::guard::GuardedClient;
use facts::ports::{Fetcher as _, Validators};
use media::{Done, RemoteConfig, SOUND_OCTETS_MAX, Visitor};
use std::sync::Arc;
use tokio::runtime::Handle;

use crate::config::Config;

/// Visits addresses for the media plane.
struct Guarded {
    client: GuardedClient,
    runtime: Handle,
}

impl Visitor for Guarded {
    fn visit(&self, url: String, known: Validators, done: Done) {
        let fetched = self.client.get_unless(url, known, SOUND_OCTETS_MAX);
        self.runtime.spawn(async move { done.tell(fetched.await) });
    }
}

/// How the media plane has sounds behind addresses.
pub(crate) fn remote(config: &Config, client: GuardedClient, runtime: Handle) -> RemoteConfig {
    RemoteConfig {
        visitor: Arc::new(Guarded { client, runtime }),
        folder: Some(config.sounds_folder()),
        folder_max: config.sounds.cache_mib * 1024 * 1024,
        keep: config.sounds.keep,
        fresh: config.sounds.fresh,
    }
}
