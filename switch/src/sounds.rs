//! The way of the media plane to sounds behind addresses: the guarded client, run by tokio, and what speaks text.

use api::guard::GuardedClient;
use billing::Store;
use billing::library::Address;
use facts::ports::{FetchError, Fetched, Fetcher as _, Validators};
use facts::speech::Speech;
use media::{Done, RemoteConfig, SOUND_OCTETS_MAX, Visitor};
use std::sync::Arc;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::speech::Speaker;

/// Visits addresses for the media plane: those of the world by the guarded client, those of companies' libraries in the
/// store, those that are text with the program that speaks.
struct Guarded {
    client: GuardedClient,
    store: Store,
    runtime: Handle,
    speaker: Speaker,
}

impl Visitor for Guarded {
    fn visit(&self, url: String, known: Validators, done: Done) {
        if let Some(speech) = Speech::read(&url) {
            let speaker = self.speaker.clone();
            self.runtime.spawn(async move { done.tell(speaker.say(&speech).await) });
            return;
        }
        let Some(address) = Address::read(&url) else {
            let fetched = self.client.get_unless(url, known, SOUND_OCTETS_MAX);
            self.runtime.spawn(async move { done.tell(fetched.await) });
            return;
        };
        let store = self.store.clone();
        self.runtime.spawn(async move { done.tell(kept(&store, &address, known).await) });
    }

    fn is_near(&self, url: &str) -> bool {
        Address::read(url).is_some()
    }
}

/// What lies in the library of a company. Its address has the sum of its octets: it never changes.
async fn kept(store: &Store, address: &Address, known: Validators) -> Result<Fetched, FetchError> {
    let found = |status, body| Fetched {
        status,
        body,
        content_type: None,
        validators: Validators { etag: Some(address.sum.clone()), last_modified: None },
        retry_after_s: None,
    };
    if known.etag.as_ref() == Some(&address.sum) {
        return Ok(found(304, Vec::new()));
    }
    match store.sound_octets(&address.company, &address.sum).await {
        Ok(Some(octets)) => Ok(found(200, octets)),
        Ok(None) => Ok(found(404, Vec::new())),
        Err(error) => Err(FetchError::Failed(error.to_string())),
    }
}

/// How the media plane has sounds behind addresses.
pub(crate) fn remote(
    config: &Config,
    client: GuardedClient,
    store: Store,
    runtime: Handle,
) -> RemoteConfig {
    RemoteConfig {
        visitor: Arc::new(Guarded { client, store, runtime, speaker: config.speaker() }),
        folder: Some(config.sounds_folder()),
        folder_max: config.sounds.cache_mib * 1024 * 1024,
        keep: config.sounds.keep,
        fresh: config.sounds.fresh,
        spoken_at_once: config.speech_at_once,
    }
}
