//! What the switch of the tests is set up with: a merchant, three carriers, two routes.

use call::EngineConfig;
use facts::TrunkId;
use facts::media::Codec;
use facts::settings::{
    Extension, Merchant, NumberFormat, Route, Snapshot, Transport as TrunkTransport, Trunk,
};
use sip::endpoint::{EndpointConfig, Listener, Transport};

use super::{CARRIER_A, CARRIER_B, CARRIER_C, MERCHANT, US, addr, s};

pub fn engine_config() -> EngineConfig {
    let at = addr(US);
    EngineConfig {
        sip: EndpointConfig {
            listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
            engine: 1,
            seed: [42; 32],
            ..EndpointConfig::default()
        },
        ..EngineConfig::default()
    }
}

pub fn trunk(name: &str, at: &str) -> Trunk {
    Trunk {
        name: name.into(),
        enabled: true,
        peers: vec![ipnet::IpNet::from(addr(at).ip())],
        peer_names: vec![],
        target: addr(at).into(),
        transport: TrunkTransport::Udp,
        domain: String::new(),
        credentials: None,
        numbers: NumberFormat::PlusE164,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        max_calls: None,
        calls_per_second: None,
        options: Default::default(),
    }
}

pub fn extension(user: &str, password: &str) -> Extension {
    use sip::digest::{Algorithm, ha1};
    Extension {
        merchant: MERCHANT,
        sub_account: None,
        enabled: true,
        ha1_md5: ha1(Algorithm::Md5, user, REALM, password),
        ha1_sha256: ha1(Algorithm::Sha256, user, REALM, password),
        bound_phone: None,
        max_contacts: 2,
        reach: Default::default(),
        dtmf: None,
    }
}

pub const REALM: &str = "tandem.test";

pub fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot { version: 1, realm: REALM.into(), ..Snapshot::default() };
    snapshot.merchants.insert(
        MERCHANT,
        Merchant {
            name: "acme".into(),
            enabled: true,
            max_calls: None,
            calls_per_second: None,
            max_talk: s(7_200),
            language: "en".into(),
            shown: Some("861088889999".into()),
        },
    );
    snapshot.trunks.insert(TrunkId(1), trunk("alpha", CARRIER_A));
    snapshot.trunks.insert(TrunkId(2), trunk("beta", CARRIER_B));
    snapshot.trunks.insert(TrunkId(3), trunk("gamma", CARRIER_C));
    let route = |prefix, trunk| Route::new(prefix, TrunkId(trunk), 0);
    snapshot.routes = vec![route("86138", 1), route("8610", 2)];
    snapshot
}
