//! 3xx to an INVITE of ours (RFC 3261 §8.1.3.4): followed as far as it leads nowhere that costs more or
//! belongs to somebody else. A stranger who answers for a number must not choose what is dialled.
//!
//! | who redirects | followed to | not followed to |
//! |---|---|---|
//! | a carrier | the same carrier and the same number, e.g. with a routing number in it | another number (nobody has paid for it), another host |
//! | a phone | another extension of the same merchant, its registered phones | numbers, other hosts, other merchants |

use std::collections::VecDeque;
use std::sync::Arc;

use sip::wire::{Contact, Scheme, Uri};

use crate::capacity::Line;
use crate::route::{self, Target};
use crate::timers::{Key, Timer};
use crate::world::World;

use super::forks::Fork;
use super::hop::{Caller, Hop, hops};
use super::{Leg, Port, Stage};

/// URIs that a leg remembers to have tried at most: more than it can ring and follow.
const TRIED_MAX: usize = 64;

/// Where a leg was sent already, and where it may still go.
#[derive(Clone, Debug, Default)]
pub(super) struct Redirects {
    followed: usize,
    tried: Vec<String>,
    /// Targets of a 3xx that wait for those preferred to them, best first.
    waiting: VecDeque<(u16, Hop)>,
}

impl Redirects {
    pub(super) fn tried(&mut self, uri: &Uri) {
        if self.tried.len() < TRIED_MAX {
            self.tried.push(uri.to_string());
        }
    }

    /// §8.1.3.4: no URI twice, and not without end.
    fn follow(&mut self, uri: &Uri, max: usize) -> bool {
        let text = uri.to_string();
        if self.followed >= max || self.tried.contains(&text) {
            return false;
        }
        self.followed += 1;
        self.tried.push(text);
        true
    }

    /// The targets to ring next: a carrier one by one, phones of equal preference at once.
    fn next(&mut self) -> Vec<Hop> {
        let Some((q, first)) = self.waiting.pop_front() else { return Vec::new() };
        let mut ways = vec![first];
        while ways[0].trunk.is_none()
            && let Some((_, way)) = self.waiting.pop_front_if(|(next, _)| *next == q)
        {
            ways.push(way);
        }
        ways
    }
}

impl Leg {
    /// Notes where a 3xx leads: the targets are rung, by [`Leg::follow`], in the order of their `q`.
    pub(super) fn redirected(&mut self, w: &mut World, from: &Hop, contacts: &[Contact]) {
        let mut targets: Vec<(u16, &Uri)> = contacts
            .iter()
            .filter_map(|contact| {
                let q = contact.q_thousandths().unwrap_or(1000);
                Some((q, &contact.address()?.uri))
            })
            .collect();
        targets.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
        for (q, uri) in targets {
            let leads: Vec<Hop> = match from.trunk {
                Some(_) => self.same_carrier(w, from, uri).into_iter().collect(),
                None => other_phones(w, from, uri),
            };
            for hop in leads {
                if self.redirects.follow(&hop.uri, w.config.redirects) {
                    self.redirects.waiting.push_back((q, hop));
                }
            }
        }
    }

    /// Rings the next targets of a 3xx. False when there are none, or when they are of a carrier that has
    /// no room.
    pub(super) fn follow(&mut self, w: &mut World) -> bool {
        let (Port::Open(local), Stage::Inviting(_)) = (self.port, &self.stage) else {
            return false;
        };
        let ways = self.redirects.next();
        let Some(first) = ways.first() else { return false };
        if !has_rate(w, first) {
            self.redirects.waiting.clear();
            return false;
        }
        let sdp = self.audio.offer_again(local, &first.codecs);
        let mut sessions = Vec::new();
        for hop in ways {
            let session = self.send(w, &hop, sdp.clone());
            sessions.push(session);
            if let Stage::Inviting(forks) = &mut self.stage {
                forks.add(Fork::new(session, Arc::new(hop)));
            }
        }
        let response = self.hop.as_ref().and_then(|hop| hop.response).unwrap_or(w.config.response);
        self.occupy_rung(w);
        w.timers.set(Key::leg(self.id, Timer::Response), w.now.mono + response);
        self.journal_first(w, &sessions);
        true
    }

    /// The same number at the same carrier.
    fn same_carrier(&self, w: &World, from: &Hop, uri: &Uri) -> Option<Hop> {
        let trunk = w.snapshot.trunks.get(&from.trunk?)?;
        let secure = uri.transport() == Some("tls") || uri.scheme == Scheme::Sips;
        let port = uri.port.unwrap_or(if secure { SECURE_PORT } else { DEFAULT_PORT });
        let there = from.flow.remote;
        let by_address = uri.host.ip() == Some(there.ip()) && port == there.port();
        let domain = Some(trunk.domain.as_str()).filter(|domain| !domain.is_empty());
        let mut names = domain.into_iter().chain(trunk.target.host());
        let by_name = names.any(|name| uri.host.as_str().eq_ignore_ascii_case(name));
        let number = route::read(trunk, &w.snapshot.plan, &uri.user_text()?)?;
        let same = (by_address || by_name) && number == self.facts.number;
        same.then(|| Hop { uri: requested(uri), ..from.clone() })
    }
}

/// Each INVITE counts against what a carrier takes in a second.
fn has_rate(w: &mut World, hop: &Hop) -> bool {
    let Some(id) = hop.trunk else { return true };
    let settings = w.snapshot.clone();
    let Some(trunk) = settings.trunks.get(&id) else { return false };
    let window = trunk.options.capacity_out.room(settings.zone.local(w.now.wall));
    let room = w.trunk_rates.room(id, trunk.calls_per_second, w.now.mono)
        && w.capacities.may_start(&Line::Out(id), window, w.now.mono);
    if room {
        w.count_out(id);
    }
    room
}

/// The phones of another extension of the same merchant.
fn other_phones(w: &mut World, from: &Hop, uri: &Uri) -> Vec<Hop> {
    let settings = w.snapshot.clone();
    let ours = w.config.sip.listeners.iter().any(|listener| {
        uri.host.ip().is_some_and(|ip| ip == listener.advertised.ip() || ip == listener.bind.ip())
    });
    if !ours && !uri.host.as_str().eq_ignore_ascii_case(&settings.realm) {
        return Vec::new();
    }
    let owner = |uri: &Uri| uri.user_text().and_then(|user| settings.extensions.get(&user));
    let Some(user) = uri.user_text() else { return Vec::new() };
    let allowed = match (owner(&from.to.uri), owner(uri)) {
        (Some(from), Some(to)) => to.enabled && from.merchant == to.merchant,
        _ => false,
    };
    if !allowed {
        return Vec::new();
    }
    let ways = hops(w, &Target::Contacts(user), Caller::default()).unwrap_or_default();
    // Who calls is shown as before.
    let shown = |hop: Hop| Hop {
        from: from.from.clone(),
        contact_user: from.contact_user.clone(),
        shown: from.shown.clone(),
        ..hop
    };
    ways.into_iter().map(shown).collect()
}

/// §19.1.5: a Contact becomes a Request-URI without headers and method.
fn requested(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    uri.headers = None;
    uri.params.remove("method");
    uri
}

/// The port of a URI without one (§19.1.2), and over TLS.
const DEFAULT_PORT: u16 = 5060;
const SECURE_PORT: u16 = 5061;
