//! The little country that is simulated: one merchant with three sub-accounts, three carriers, one
//! extension with two phones.

use std::net::SocketAddr;
use std::time::Duration;

use facts::carrier::{Probe, Registration};
use facts::media::Codec;
use facts::settings::{Extension, Merchant, NumberFormat, Route, Snapshot, Transport, Trunk};
use facts::{
    Binding, CallCommand, Dialect, MerchantId, Number, NumberPlan, Party, Push, PushKind,
    RequestKey, SubAccountId, TrunkId, UnixMillis,
};
use sip::digest::{Algorithm, ha1};

/// The only merchant.
pub const MERCHANT: MerchantId = MerchantId(1);
/// Where the switch listens.
pub const SWITCH: &str = "192.0.2.1:5060";
/// The carrier behind numbers that start with 86138.
pub const CARRIER_A: &str = "192.0.2.10:5060";
/// The carrier behind numbers that start with 86139.
pub const CARRIER_B: &str = "192.0.2.11:5060";
/// The first phone registered as 80000.
pub const PHONE: &str = "192.0.2.12:5060";
/// The second one: both ring.
pub const DESK: &str = "192.0.2.13:5060";
/// The carrier to fall back to for numbers that start with 86139.
pub const CARRIER_C: &str = "192.0.2.14:5060";
/// The name that it is known by.
pub const NAME_C: &str = "c.example";
/// The extension.
pub const EXTENSION: &str = "80000";
/// Its password.
pub const PASSWORD: &str = "simulated";
/// The public number that leads to the extension, E.164 digits.
pub const DIRECT: &str = "861053180002";
/// Digest realm.
pub const REALM: &str = "sim.example";
/// The sub-account the extension belongs to.
pub const OFFICE: SubAccountId = SubAccountId(1);

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
        peer_names: vec![],
        target: target.into(),
        transport: Transport::Udp,
        domain: String::new(),
        credentials: None,
        numbers: NumberFormat::PlusE164,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        max_calls: None,
        calls_per_second: None,
        options: Default::default(),
    }
}

/// The settings.
#[must_use]
pub fn snapshot(max_calls: Option<u32>) -> Snapshot {
    let mut snapshot = Snapshot {
        version: 1,
        realm: REALM.into(),
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
            shown: Some(DIRECT.into()),
        },
    );
    snapshot.extensions.insert(
        EXTENSION.into(),
        Extension {
            merchant: MERCHANT,
            sub_account: Some(OFFICE),
            enabled: true,
            ha1_md5: ha1(Algorithm::Md5, EXTENSION, REALM, PASSWORD),
            ha1_sha256: ha1(Algorithm::Sha256, EXTENSION, REALM, PASSWORD),
            bound_phone: None,
            max_contacts: 4,
            reach: Default::default(),
            dtmf: None,
        },
    );
    snapshot.trunks.insert(TrunkId(1), trunk("a", CARRIER_A));
    snapshot.trunks.insert(TrunkId(2), trunk("b", CARRIER_B));
    let mut named = trunk("c", CARRIER_C);
    named.target = NAME_C.parse().expect("a name");
    named.peers.clear();
    named.peer_names = vec![NAME_C.into()];
    named.options.response_ms = Some(2_000);
    snapshot.trunks.insert(TrunkId(3), named);
    snapshot.inbound.insert(DIRECT.into(), EXTENSION.into());
    snapshot.routes = vec![
        Route::new("86138", TrunkId(1), 1),
        Route::new("86139", TrunkId(2), 1),
        Route::new("86139", TrunkId(3), 2),
    ];
    snapshot
}

/// The same carriers, registered at and asked after every few seconds.
pub fn watch(snapshot: &mut Snapshot) {
    for trunk in snapshot.trunks.values_mut() {
        let (user, contact_user) = ("4711".to_owned(), String::new());
        trunk.options.register = Some(Registration { user, expires: 60, contact_user });
        trunk.options.probe = Some(Probe { every: 7, timeout: 3, ..Probe::default() });
    }
}

/// The registrations of both phones, as if made long ago.
#[must_use]
pub fn bindings(expires: UnixMillis) -> [Binding; 2] {
    [PHONE, DESK].map(|at| Binding {
        user: EXTENSION.into(),
        key: format!("sip:{EXTENSION}@{at}"),
        contact: format!("sip:{EXTENSION}@{at}"),
        q: 1000,
        expires,
        call_id: format!("registration-{at}"),
        cseq: 1,
        transport: Transport::Udp,
        local: address(SWITCH),
        remote: address(at),
        path: Vec::new(),
        updated: UnixMillis(0),
    })
}

/// Where the phone is that watches the office.
pub const WATCHER: &str = "203.0.113.99:5099";

/// Who asks for the `n`th call: the merchant itself, or one of its sub-accounts.
#[must_use]
pub fn asks(n: u32) -> Option<SubAccountId> {
    (!n.is_multiple_of(4)).then(|| SubAccountId(i64::from(n % 4)))
}

/// Who asked for a call that was settled, by what it says of itself.
#[must_use]
pub fn asked(command: &CallCommand) -> Option<SubAccountId> {
    match &command.key {
        Some(key) => key.key.strip_prefix("order-").and_then(|n| n.parse().ok()).and_then(asks),
        // The team is nobody's, but whoever calls it from the extension pays for where it leads.
        None if command.a.number.digits() != EXTENSION
            && command.b.as_ref().is_some_and(|b| b.number.digits() == crate::team::TEAM) =>
        {
            None
        }
        // Every other call that came by SIP was made from or to the extension.
        None => Some(OFFICE),
    }
}

/// The `n`th call: A is the phone or a mobile of carrier A, B a mobile of carrier B.
#[must_use]
pub fn command(n: u32, a_is_phone: bool, record: bool, ring: Duration) -> CallCommand {
    let party =
        |number: Number| Party { as_sent: number.digits().to_owned(), number, shown: None, ring };
    let a = if a_is_phone {
        Number::Internal(EXTENSION.into())
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
        sub_account: asks(n),
        app: String::new(),
        key: Some(RequestKey {
            dialect: Dialect::Callni,
            key: format!("order-{n}"),
            fingerprint: format!("{}>{}", a.digits(), b.digits()),
        }),
        a: party(a),
        b: Some(party(b)),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: record.into(),
        pushes: vec![push(PushKind::State), push(PushKind::Record)],
        custom: String::new(),
    }
}
