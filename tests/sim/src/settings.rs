//! The little country that is simulated: one merchant, two carriers, one extension.

use std::net::SocketAddr;
use std::time::Duration;

use facts::media::Codec;
use facts::settings::{Extension, Merchant, NumberFormat, Route, Snapshot, Transport, Trunk};
use facts::{
    Binding, CallCommand, Dialect, MerchantId, Number, NumberPlan, Party, Push, PushKind,
    RequestKey, TrunkId, UnixMillis,
};

/// The only merchant.
pub const MERCHANT: MerchantId = MerchantId(1);
/// Where the switch listens.
pub const SWITCH: &str = "192.0.2.1:5060";
/// The carrier behind numbers that start with 86138.
pub const CARRIER_A: &str = "192.0.2.10:5060";
/// The carrier behind numbers that start with 86139.
pub const CARRIER_B: &str = "192.0.2.11:5060";
/// The phone registered as 80000.
pub const PHONE: &str = "192.0.2.12:5060";

/// Parses one of the constants above.
///
/// # Panics
/// When the text is no address.
#[must_use]
pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn trunk(name: &str, at: &str) -> Trunk {
    let target = address(at);
    Trunk {
        name: name.into(),
        enabled: true,
        peers: vec![target.ip().into()],
        target,
        transport: Transport::Udp,
        domain: String::new(),
        credentials: None,
        numbers: NumberFormat::PlusE164,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        max_calls: None,
        calls_per_second: None,
    }
}

/// The settings.
#[must_use]
pub fn snapshot(max_calls: Option<u32>) -> Snapshot {
    let mut snapshot = Snapshot {
        version: 1,
        realm: "sim.example".into(),
        plan: NumberPlan::default(),
        ..Snapshot::default()
    };
    snapshot.merchants.insert(
        MERCHANT,
        Merchant {
            name: "test".into(),
            enabled: true,
            max_calls,
            calls_per_second: None,
            max_talk: Duration::from_secs(600),
            language: "zh".into(),
            shown: Some("861053180002".into()),
        },
    );
    snapshot.extensions.insert(
        "80000".into(),
        Extension {
            merchant: MERCHANT,
            sub_account: None,
            enabled: true,
            ha1_md5: String::new(),
            ha1_sha256: String::new(),
            bound_phone: None,
            max_contacts: 4,
        },
    );
    snapshot.trunks.insert(TrunkId(1), trunk("a", CARRIER_A));
    snapshot.trunks.insert(TrunkId(2), trunk("b", CARRIER_B));
    snapshot.routes = vec![
        Route { prefix: "86138".into(), trunk: TrunkId(1), priority: 1 },
        Route { prefix: "86139".into(), trunk: TrunkId(2), priority: 1 },
    ];
    snapshot
}

/// The phone's registration, as if made long ago.
#[must_use]
pub fn binding(expires: UnixMillis) -> Binding {
    Binding {
        user: "80000".into(),
        key: "sip:80000@192.0.2.12".into(),
        contact: "sip:80000@192.0.2.12:5060".into(),
        q: 1000,
        expires,
        call_id: "registration".into(),
        cseq: 1,
        transport: Transport::Udp,
        local: address(SWITCH),
        remote: address(PHONE),
        updated: UnixMillis(0),
    }
}

/// The `n`th call: A is the phone or a mobile of carrier A, B a mobile of carrier B.
#[must_use]
pub fn command(n: u32, a_is_phone: bool, record: bool, ring: Duration) -> CallCommand {
    let party =
        |number: Number| Party { as_sent: number.digits().to_owned(), number, shown: None, ring };
    let a = if a_is_phone {
        Number::Internal("80000".into())
    } else {
        Number::E164(format!("86138{n:08}"))
    };
    let b = Number::E164(format!("86139{n:08}"));
    let push = |kind| Push {
        kind,
        dialect: Dialect::Callni,
        endpoint: "http://merchant.example/back".into(),
        context: String::new(),
    };
    CallCommand {
        dialect: Dialect::Callni,
        merchant: MERCHANT,
        sub_account: None,
        app: String::new(),
        key: Some(RequestKey {
            dialect: Dialect::Callni,
            key: format!("order-{n}"),
            fingerprint: format!("{}>{}", a.digits(), b.digits()),
        }),
        a: party(a),
        b: party(b),
        max_talk: None,
        record,
        pushes: vec![push(PushKind::State), push(PushKind::Record)],
        custom: String::new(),
    }
}
