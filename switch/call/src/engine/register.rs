//! Who may register or call, and requests outside of dialogs (RFC 3261 §10, §11, §22).

use std::time::Duration;

use facts::Now;
use facts::settings::Snapshot;
use sip::digest::{Algorithm, Guard, GuardConfig, Verdict};
use sip::endpoint::{self, Flow, RequestId};
use sip::wire::{HeaderName, Message, Method};

use crate::config::EngineConfig;
use crate::registrar::aor_user;

use super::Engine;

/// Methods that have a use here, for Allow.
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, REGISTER";

/// The keeper of the realm's nonces. Made anew when the realm changes.
pub(super) struct Desk {
    secret: [u8; 32],
    nonce_life: Duration,
    algorithms: Vec<Algorithm>,
    guard: Option<Guard>,
}

/// A header of an answer.
pub(super) type Header = (String, Vec<u8>);

impl Desk {
    pub(super) fn new(config: &EngineConfig) -> Desk {
        let EngineConfig { secret, nonce_life, algorithms, .. } = config;
        Desk {
            secret: *secret,
            nonce_life: *nonce_life,
            algorithms: algorithms.clone(),
            guard: None,
        }
    }

    /// The extension that a request comes from, or the challenges that it has to answer. An unknown
    /// user is treated like a known one with a wrong password.
    pub(super) fn identify(
        &mut self,
        now: Now,
        snapshot: &Snapshot,
        request: &Message,
        flow: &Flow,
    ) -> Result<String, Vec<Header>> {
        let realm = snapshot.realm.as_str();
        if self.guard.as_ref().is_none_or(|guard| guard.realm() != realm) {
            let mut config = GuardConfig::new(realm, self.secret);
            config.nonce_age = self.nonce_life;
            config.algorithms.clone_from(&self.algorithms);
            self.guard = Some(Guard::new(now.mono, config));
        }
        let Some(guard) = &mut self.guard else {
            return Err(Vec::new());
        };
        let source = flow.remote.ip();
        let verdict =
            guard.check(now.mono, source, request, HeaderName::Authorization, |user, algorithm| {
                let extension = snapshot.extensions.get(user).filter(|e| e.enabled)?;
                match algorithm {
                    Algorithm::Md5 => Some(extension.ha1_md5.clone()),
                    Algorithm::Sha256 => Some(extension.ha1_sha256.clone()),
                    _ => None,
                }
            });
        let stale = match verdict {
            Verdict::Accepted { username } => return Ok(username),
            Verdict::Stale { .. } => true,
            Verdict::Missing | Verdict::Refused { .. } => false,
        };
        let challenges = guard.challenge(now.mono, source, stale);
        Err(challenges
            .into_iter()
            .map(|value| ("WWW-Authenticate".to_owned(), value.into_bytes()))
            .collect())
    }
}

impl Engine {
    /// A request outside of any dialog.
    pub(super) fn requested(&mut self, id: RequestId, request: &Message, flow: Flow) {
        let (code, headers) = match request.method() {
            Some(Method::Register) => self.registered(request, flow),
            // RFC 3261 §11.2: answered as an INVITE would be.
            Some(Method::Options) if self.drain.is_some() => (503, Vec::new()),
            Some(Method::Options) => (200, vec![header("Allow", ALLOW), header("Accept", SDP)]),
            _ => (405, vec![header("Allow", ALLOW)]),
        };
        let answer = endpoint::Answer { code, headers, ..endpoint::Answer::default() };
        self.world.endpoint.respond(self.world.now.mono, id, answer);
    }

    fn registered(&mut self, request: &Message, flow: Flow) -> (u16, Vec<Header>) {
        let w = &mut self.world;
        let snapshot = w.snapshot.clone();
        let user = match self.register.identify(w.now, &snapshot, request, &flow) {
            Ok(user) => user,
            Err(challenges) => return (401, challenges),
        };
        // RFC 3261 §10.3 steps 4 and 5: everybody registers for himself alone.
        if aor_user(request).as_deref() != Some(user.as_str()) {
            return (403, Vec::new());
        }
        let Some(extension) = snapshot.extensions.get(&user) else {
            return (404, Vec::new());
        };
        let contacts_max = extension.max_contacts as usize;
        let limits = w.config.register;
        let outcome =
            w.registrar.register(w.now, &limits, (user.as_str(), contacts_max), flow, request);
        w.keep(outcome.changes);
        (outcome.code, outcome.headers)
    }
}

const SDP: &str = "application/sdp";

fn header(name: &str, value: &str) -> Header {
    (name.to_owned(), value.as_bytes().to_vec())
}
