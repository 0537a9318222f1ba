//! Which carrier an INVITE is of. Its address makes it one, and where it says so its certificate and its
//! password; of several at one address, the one whose marks the INVITE bears. No mark alone makes a carrier.

use std::cmp::Reverse;

use facts::TrunkId;
use facts::settings::{Snapshot, Trunk};
use sip::endpoint::{Flow, Transport};
use sip::wire::{Message, Uri};

use super::Engine;
use super::register::Unproved;

impl Engine {
    /// The carrier of an INVITE, by where it comes from and what it bears.
    pub(super) fn carrier_of<'s>(
        &self,
        settings: &'s Snapshot,
        request: &Message,
        flow: &Flow,
    ) -> Option<(TrunkId, &'s Trunk)> {
        let there = self.addresses.trunks(settings, flow.remote.ip());
        there
            .filter(|(_, trunk)| self.peers.proves(trunk, flow))
            .filter_map(|(id, trunk)| Some((borne(trunk, request, flow)?, Reverse(id), trunk)))
            .max_by_key(|(marks, id, _)| (*marks, *id))
            .map(|(_, Reverse(id), trunk)| (id, trunk))
    }

    /// Whether a carrier has shown what it has to show beside its address.
    pub(super) fn prove_carrier(
        &mut self,
        trunk: &Trunk,
        request: &Message,
        flow: &Flow,
    ) -> Result<(), Unproved> {
        if !trunk.options.challenge {
            return Ok(());
        }
        let settings = self.world.snapshot.clone();
        let own = trunk.credentials.as_ref();
        self.register.identify_carrier(self.world.now, &settings, request, flow, own)
    }
}

/// How many marks of a carrier an INVITE bears; `None` when one is missing.
fn borne(trunk: &Trunk, request: &Message, flow: &Flow) -> Option<usize> {
    let Some(known) = &trunk.options.known_by else { return Some(0) };
    let host = |uri: &Uri, domain: &str| uri.host.as_str().eq_ignore_ascii_case(domain);
    let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
    let dialled = uri.as_ref().and_then(|uri| uri.number().or_else(|| uri.user_text()));
    let header = || {
        request.fields().any(|(_, name, value)| {
            name.eq_ignore_ascii_case(known.header.as_bytes())
                && (known.value.is_empty() || value == known.value.as_bytes())
        })
    };
    let from = || request.from().is_ok_and(|from| host(&from.uri, &known.from_domain));
    let to = || request.to().is_ok_and(|to| host(&to.uri, &known.to_domain));
    // The port of a connection is drawn by the system of whoever opened it.
    let port = |port| flow.transport != Transport::Udp || flow.remote.port() == port;
    let fits = known.port.is_none_or(port)
        && (known.from_domain.is_empty() || from())
        && (known.to_domain.is_empty() || to())
        && (known.uri_domain.is_empty()
            || uri.as_ref().is_some_and(|uri| host(uri, &known.uri_domain)))
        && (known.prefix.is_empty() || dialled.is_some_and(|user| user.starts_with(&known.prefix)))
        && (known.header.is_empty() || header());
    fits.then(|| known.marks())
}
