//! From where carriers speak: an index of their addresses and networks, because every message asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use facts::TrunkId;
use facts::settings::{Snapshot, Trunk};
use ipnet::IpNet;

use crate::names::Place;

/// Values by network: a look-up costs one search for each length of prefix that occurs.
#[derive(Debug)]
struct Nets<T> {
    by_net: BTreeMap<IpNet, Vec<T>>,
    /// Family and length of the prefixes that occur.
    lengths: BTreeSet<(bool, u8)>,
}

impl<T> Default for Nets<T> {
    fn default() -> Self {
        Nets { by_net: BTreeMap::new(), lengths: BTreeSet::new() }
    }
}

impl<T> Nets<T> {
    fn insert(&mut self, net: IpNet, value: T) {
        self.lengths.insert((net.addr().is_ipv4(), net.prefix_len()));
        self.by_net.entry(net.trunc()).or_default().push(value);
    }

    /// What stands under the networks that hold this address.
    fn at(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        let fitting = self.lengths.iter().filter(move |(v4, _)| *v4 == address.is_ipv4());
        fitting
            .filter_map(move |(_, length)| IpNet::new(address, *length).ok())
            .filter_map(|net| self.by_net.get(&net.trunc()))
            .flatten()
    }
}

/// The addresses of all trunks that are on.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// Whose calls may come from where.
    peers: Nets<TrunkId>,
    /// What is not judged as a stranger is.
    spared: Nets<()>,
}

impl Addresses {
    /// `places` are those of trunks that are names.
    pub(crate) fn of(settings: &Snapshot, places: &BTreeMap<TrunkId, Place>) -> Addresses {
        let mut addresses = Addresses::default();
        for (id, trunk) in settings.trunks.iter().filter(|(_, trunk)| trunk.enabled) {
            let place = || places.get(id).into_iter();
            let targets = trunk.target.address().into_iter();
            for target in targets.chain(place().flat_map(|place| place.servers.iter().copied())) {
                addresses.spared.insert(target.ip().into(), ());
            }
            let named = place().flat_map(|place| place.peers.iter().copied()).map(IpNet::from);
            for net in trunk.peers.iter().copied().chain(named) {
                addresses.peers.insert(net, *id);
                // One that is known by its certificate may come from anywhere: that spares nobody.
                if !trunk.options.mtls {
                    addresses.spared.insert(net, ());
                }
            }
        }
        addresses
    }

    /// Whether a trunk is reached at this address, or its calls come from there and prove nothing else.
    pub(crate) fn spares(&self, address: IpAddr) -> bool {
        self.spared.at(address).next().is_some()
    }

    /// The trunks whose calls may come from this address, in their order.
    pub(crate) fn trunks<'s>(
        &self,
        settings: &'s Snapshot,
        address: IpAddr,
    ) -> impl Iterator<Item = (TrunkId, &'s Trunk)> + use<'s> {
        let ids: BTreeSet<TrunkId> = self.peers.at(address).copied().collect();
        ids.into_iter().filter_map(|id| Some((id, settings.trunks.get(&id)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::trunk;
    use facts::settings::NumberFormat;
    use proptest::prelude::*;

    fn settings(trunks: &[(&str, Vec<String>, bool, bool)]) -> Snapshot {
        let mut settings = Snapshot::default();
        for (at, (target, peers, enabled, mtls)) in (1..).zip(trunks) {
            let mut trunk = trunk("t", NumberFormat::E164);
            trunk.target = target.parse().unwrap();
            trunk.peers = peers.iter().map(|net| net.parse().unwrap()).collect();
            trunk.enabled = *enabled;
            trunk.options.mtls = *mtls;
            settings.trunks.insert(TrunkId(at), trunk);
        }
        settings
    }

    #[test]
    fn one_that_proves_itself_spares_its_target_only_and_one_that_is_off_nobody() {
        let any = || vec!["0.0.0.0/0".to_owned()];
        let settings = settings(&[
            ("192.0.2.1:5060", any(), true, true),
            ("192.0.2.2:5060", any(), false, false),
            ("[2001:db8::1]:5060", vec!["2001:db8::/32".into()], true, false),
        ]);
        let addresses = Addresses::of(&settings, &BTreeMap::new());
        let spares = |text: &str| addresses.spares(text.parse().unwrap());
        assert!(spares("192.0.2.1") && spares("2001:db8::7"));
        assert!(!spares("192.0.2.2") && !spares("203.0.113.9") && !spares("2001:db9::1"));
        let there = addresses.trunks(&settings, "203.0.113.9".parse().unwrap());
        assert_eq!(there.map(|(id, _)| id).collect::<Vec<_>>(), [TrunkId(1)]);
    }

    proptest! {
        /// The index says what a walk over all trunks says.
        #[test]
        fn the_index_finds_whom_a_walk_finds(
            trunks in proptest::collection::vec(
                (proptest::collection::vec((0u32..16, 24u8..=32), 0..4), any::<bool>(), any::<bool>()),
                0..12,
            ),
            asked in 0u32..16,
        ) {
            let ip = |host: u32| IpAddr::from((0xc000_0200 + host).to_be_bytes());
            let trunks: Vec<_> = trunks
                .into_iter()
                .map(|(nets, enabled, mtls)| {
                    let nets = nets.into_iter().map(|(host, length)| format!("{}/{length}", ip(host)));
                    ("192.0.2.3:5060", nets.collect(), enabled, mtls)
                })
                .collect();
            let settings = settings(&trunks);
            let addresses = Addresses::of(&settings, &BTreeMap::new());
            let on = || settings.trunks.iter().filter(|(_, trunk)| trunk.enabled);
            let from = |trunk: &Trunk| trunk.peers.iter().any(|net| net.contains(&ip(asked)));
            let walked: Vec<TrunkId> =
                on().filter(|(_, trunk)| from(trunk)).map(|(id, _)| *id).collect();
            let found: Vec<TrunkId> =
                addresses.trunks(&settings, ip(asked)).map(|(id, _)| id).collect();
            prop_assert_eq!(found, walked);
            let spared = on().any(|(_, trunk)| {
                trunk.target.address().map(|at| at.ip()) == Some(ip(asked)) || (!trunk.options.mtls && from(trunk))
            });
            prop_assert_eq!(addresses.spares(ip(asked)), spared);
        }
    }
}
