//! Names of carriers: what is asked of the DNS, and what follows from its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use facts::settings::Trunk;
use sip::endpoint::Style;
use sip::locate::Question;

use super::Engine;
use crate::carrier::Addresses;
use crate::event::{Effect, Resolved};
use crate::names::Place;

impl Engine {
    /// The settings, or what is known of names, are others than they were.
    pub(super) fn settle_names(&mut self) {
        let w = &mut self.world;
        let named = |trunk: &Trunk| {
            trunk.enabled && (trunk.target.host().is_some() || !trunk.peer_names.is_empty())
        };
        let mut questions = BTreeSet::new();
        let mut places = BTreeMap::new();
        for (id, trunk) in w.snapshot.trunks.iter().filter(|(_, trunk)| named(trunk)) {
            let place = w.names.place(trunk, &w.config.sip.listeners, &mut questions);
            places.insert(*id, place);
        }
        w.names.keep(w.now.mono, questions);
        self.addresses = Addresses::of(&w.snapshot, &places);
        let w = &mut self.world;
        if w.places != places {
            w.places = places;
            self.tell_whose_certificates();
        }
        self.settle_styles();
    }

    /// How messages to single carriers are written. Of several at one address, as any of them wants it.
    fn settle_styles(&mut self) {
        let w = &mut self.world;
        let mut styles: BTreeMap<IpAddr, Style> = BTreeMap::new();
        for (id, trunk) in &w.snapshot.trunks {
            let quirks = trunk.options.quirks;
            for address in w.addresses(*id, trunk) {
                let style = styles.entry(address.ip()).or_default();
                style.compact |= quirks.compact_headers;
                style.rport &= !quirks.no_rport;
                style.relief |= trunk.options.overload_control;
            }
        }
        w.endpoint.write_for(styles);
    }

    /// Whoever connects has to know whose certificate an address shows: that of the name that was asked
    /// for (RFC 5922 §7.2).
    fn tell_whose_certificates(&mut self) {
        let w = &mut self.world;
        let settings = &w.snapshot.trunks;
        let named = |place: &Place, trunk: &Trunk| -> Vec<(SocketAddr, String)> {
            let name = trunk.certified_name().to_owned();
            place.servers.iter().map(|server| (*server, name.clone())).collect()
        };
        let all = w.places.iter().filter_map(|(id, place)| Some(named(place, settings.get(id)?)));
        let certified = all.flatten().collect();
        w.emit(Effect::Certified(certified));
    }

    pub(super) fn names_due(&mut self) {
        let w = &mut self.world;
        for question in w.names.handle_timeout(w.now.mono) {
            w.emit(Effect::Resolve(question));
        }
    }

    /// What the DNS says. One answer leads to the next question: of a service to its hosts.
    pub(super) fn resolved(&mut self, question: &Question, told: Resolved) {
        let w = &mut self.world;
        if w.names.answered(w.now.mono, question, told) {
            self.settle_names();
        }
    }
}
