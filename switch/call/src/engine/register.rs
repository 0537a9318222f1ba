//! Who may register or call, and requests outside of dialogs (RFC 3261 §10, §11, §22).

use std::time::Duration;

use facts::Now;
use facts::settings::{Snapshot, TrunkCredentials};
use sip::digest::{Algorithm, Guard, GuardConfig, Refusal, Verdict, ha1};
use sip::endpoint::{self, Flow, RequestId};
use sip::wire::{HeaderName, Message, Method};

use crate::config::EngineConfig;
use crate::event::{Denial, Effect, TurnedAway};
use crate::presence::Package;
use crate::registrar::aor_user;

use super::Engine;

/// Methods that have a use here, for Allow.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, PRACK, UPDATE, REFER, \
                                REGISTER, SUBSCRIBE, MESSAGE";

/// The keeper of the realm's nonces. Made anew when the realm changes.
pub(super) struct Desk {
    secret: [u8; 32],
    nonce_life: Duration,
    algorithms: Vec<Algorithm>,
    guard: Option<Guard>,
}

/// A header of an answer.
pub(super) type Header = (String, Vec<u8>);

/// The status that a request is refused with, and what its answer bears.
pub(super) type Refused = (u16, Vec<Header>);

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

    /// The extension that a request comes from, or what it has to answer and why. An unknown user is
    /// treated like a known one with a wrong password, and so is one whose password `may_look` says not to
    /// look at.
    pub(super) fn identify(
        &mut self,
        now: Now,
        snapshot: &Snapshot,
        request: &Message,
        flow: &Flow,
        may_look: &mut dyn FnMut(&str) -> bool,
    ) -> Result<String, Unproved> {
        self.judge(now, snapshot, (request, flow), |user, algorithm| {
            let extension = snapshot.extensions.get(user).filter(|e| e.enabled)?;
            if !may_look(user) {
                return None;
            }
            match algorithm {
                Algorithm::Md5 => Some(extension.ha1_md5.clone()),
                Algorithm::Sha256 => Some(extension.ha1_sha256.clone()),
                _ => None,
            }
        })
    }

    /// Whether a request bears a carrier's own user and password, or what it has to answer.
    pub(super) fn identify_carrier(
        &mut self,
        now: Now,
        snapshot: &Snapshot,
        request: &Message,
        flow: &Flow,
        own: Option<&TrunkCredentials>,
    ) -> Result<(), Unproved> {
        let lookup = |user: &str, algorithm: Algorithm| {
            let own = own.filter(|own| own.user == user)?;
            Some(ha1(algorithm, user, &snapshot.realm, &own.password))
        };
        self.judge(now, snapshot, (request, flow), lookup).map(|_| ())
    }

    fn judge(
        &mut self,
        now: Now,
        snapshot: &Snapshot,
        (request, flow): (&Message, &Flow),
        lookup: impl FnOnce(&str, Algorithm) -> Option<String>,
    ) -> Result<String, Unproved> {
        let realm = snapshot.realm.as_str();
        if self.guard.as_ref().is_none_or(|guard| guard.realm() != realm) {
            let mut config = GuardConfig::new(realm, self.secret);
            config.nonce_age = self.nonce_life;
            config.algorithms.clone_from(&self.algorithms);
            self.guard = Some(Guard::new(now.mono, config));
        }
        let Some(guard) = &mut self.guard else {
            return Err(Unproved::default());
        };
        let source = flow.remote.ip();
        let verdict = guard.check(now.mono, source, request, HeaderName::Authorization, lookup);
        let (stale, denied) = match verdict {
            Verdict::Accepted { username } => return Ok(username),
            Verdict::Stale { .. } => (true, None),
            Verdict::Missing => (false, None),
            Verdict::Refused { why, username } => {
                (false, Some((denial(snapshot, why, username.as_deref()), username)))
            }
        };
        let challenges = guard.challenge(now.mono, source, stale);
        let challenges = challenges
            .into_iter()
            .map(|value| ("WWW-Authenticate".to_owned(), value.into_bytes()))
            .collect();
        Err(Unproved { challenges, denied })
    }
}

/// A request whose sender is not known yet.
#[derive(Default)]
pub(super) struct Unproved {
    /// What it has to answer.
    pub(super) challenges: Vec<Header>,
    /// Why its credentials are refused, and the user they name; `None` when it had none, or old ones.
    pub(super) denied: Option<(Denial, Option<String>)>,
}

fn denial(snapshot: &Snapshot, why: Refusal, user: Option<&str>) -> Denial {
    match why {
        Refusal::Malformed => Denial::Malformed,
        Refusal::Replay => Denial::Replay,
        Refusal::Uri => Denial::OtherUri,
        Refusal::Digest => match user.and_then(|user| snapshot.extensions.get(user)) {
            None => Denial::UnknownUser,
            Some(extension) if !extension.enabled => Denial::Disabled,
            Some(_) => Denial::WrongPassword,
        },
    }
}

impl Engine {
    /// A request outside of any dialog.
    pub(super) fn requested(&mut self, id: RequestId, request: &Message, flow: Flow) {
        if request.method() == Some(&Method::Message) {
            return self.messaged(id, request, &flow);
        }
        let (code, headers) = match request.method() {
            Some(Method::Register) => self.registered(request, flow),
            // RFC 3261 §11.2: answered as an INVITE would be.
            Some(Method::Options) if self.drain.is_some() => (503, Vec::new()),
            Some(Method::Options) => {
                let told = [
                    ("Allow", ALLOW),
                    ("Accept", SDP),
                    ("Supported", endpoint::SUPPORTED),
                    ("Allow-Events", Package::ALLOWED),
                ];
                (200, told.map(|(name, value)| header(name, value)).to_vec())
            }
            _ => (405, vec![header("Allow", ALLOW)]),
        };
        if request.method() != Some(&Method::Register) {
            self.knocked(&flow);
        }
        self.respond(id, code, headers);
    }

    /// The extension that a request comes from, or what it is answered: the challenges.
    pub(super) fn proved(
        &mut self,
        method: &'static str,
        request: &Message,
        flow: &Flow,
    ) -> Result<String, Refused> {
        match self.prove(request, flow) {
            Ok(user) => {
                let w = &mut self.world;
                w.abuse.proved(w.now, flow.remote.ip().into());
                Ok(user)
            }
            Err(Unproved { challenges, denied }) => {
                match denied {
                    Some((why, user)) => self.deny(flow, method, user, why),
                    None => self.knocked(flow),
                }
                Err((401, challenges))
            }
        }
    }

    fn registered(&mut self, request: &Message, flow: Flow) -> (u16, Vec<Header>) {
        let snapshot = self.world.snapshot.clone();
        let user = match self.prove(request, &flow) {
            Ok(user) => user,
            Err(Unproved { challenges, denied }) => {
                match denied {
                    Some((why, user)) => self.deny(&flow, "REGISTER", user, why),
                    None => self.knocked(&flow),
                }
                return (401, challenges);
            }
        };
        // RFC 3261 §10.3 steps 4 and 5: everybody registers for himself alone.
        if aor_user(request).as_deref() != Some(user.as_str()) {
            self.deny(&flow, "REGISTER", Some(user), Denial::OtherUser);
            return (403, Vec::new());
        }
        let Some(extension) = snapshot.extensions.get(&user) else {
            self.deny(&flow, "REGISTER", Some(user), Denial::UnknownUser);
            return (404, Vec::new());
        };
        let w = &mut self.world;
        let contacts_max = extension.max_contacts as usize;
        let limits = w.config.register;
        let outcome =
            w.registrar.register(w.now, &limits, (user.as_str(), contacts_max), flow, request);
        w.keep(outcome.changes);
        w.abuse.proved(w.now, flow.remote.ip().into());
        let why = match outcome.code {
            200 => None,
            403 => Some(Denial::TooManyContacts),
            423 => Some(Denial::TooBrief),
            _ => Some(Denial::BadRegistration),
        };
        if let Some(why) = why {
            self.deny(&flow, "REGISTER", Some(user), why);
        }
        (outcome.code, outcome.headers)
    }

    /// Tells the shell that somebody was not let in.
    pub(super) fn deny(
        &mut self,
        flow: &Flow,
        method: &'static str,
        user: Option<String>,
        why: Denial,
    ) {
        let source = flow.remote;
        self.offended(flow, why);
        self.world.emit(Effect::TurnedAway(Box::new(TurnedAway { source, method, user, why })));
    }
}

const SDP: &str = "application/sdp";

pub(super) fn header(name: &str, value: &str) -> Header {
    (name.to_owned(), value.as_bytes().to_vec())
}
