//! Next hops: a target and a caller id become the addresses of an INVITE.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use facts::manners::{self, Dtmf, EarlyMedia, HeaderRule, RefreshedBy, Whose};
use facts::media::Codec;
use facts::routing::Phone;
use facts::settings::{self, Identity, Snapshot, Trunk};
use facts::srtp::Protection;
use facts::{Kind, LegId, NextHop, Number, TrunkId};
use sip::endpoint::{Credentials, Flow, Listener, Refreshes, SessionTimers, Transport};
use sip::locate::Server;
use sip::offer::crypto::Security;
use sip::wire::{Host, NameAddr, Scheme, Uri};

use super::spare;
use crate::pool::Owner;
use crate::registrar::Entry;
use crate::route::{self, Target};
use crate::world::World;

/// One way to try.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    /// The carrier; `None` for a registered contact.
    pub(crate) trunk: Option<TrunkId>,
    /// Its name; empty for a registered contact.
    pub(crate) name: String,
    /// The extension that registered it; `None` for a carrier.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) uri: Uri,
    pub(crate) flow: Flow,
    /// The proxies on the way (RFC 3327).
    pub(crate) route: Vec<NameAddr>,
    /// Other flows of the same phone, for when this one is dead (RFC 5626 §4.2).
    pub(crate) spare: Vec<Hop>,
    pub(crate) from: NameAddr,
    pub(crate) to: NameAddr,
    /// User part of our Contact.
    pub(crate) contact_user: String,
    /// Caller id as written on the wire.
    pub(crate) shown: String,
    /// It is of the carrier's pool.
    pub(crate) pooled: Option<Number>,
    pub(crate) credentials: Option<Credentials>,
    /// Codecs it takes, best first.
    pub(crate) codecs: Vec<Codec>,
    /// Who calls, beside From (RFC 3325, RFC 3323).
    pub(crate) identity: Headers,
    /// It keeps to itself what is private.
    pub(crate) trusted: bool,
    /// How headers of its INVITE are changed.
    pub(crate) edits: Vec<HeaderRule>,
    /// What becomes of its sound before the answer.
    pub(crate) early_media: EarlyMedia,
    /// Whoever calls hears of ringing after this time.
    pub(crate) fake_180: Option<Duration>,
    /// Ringing after sound is passed on.
    pub(crate) rings_on: bool,
    /// Header fields of a caller that it takes.
    pub(crate) transit: Vec<String>,
    /// It is asked for reliable provisional answers; `None`: as everybody is.
    pub(crate) reliable: Option<bool>,
    /// It says anything at all within this time; `None`: as every next hop.
    pub(crate) response: Option<Duration>,
    /// Its session timer; `None`: as everybody's.
    pub(crate) timers: Option<SessionTimers>,
    /// Milliseconds of sound that it is asked to put into a packet.
    pub(crate) ptime_ms: Option<u16>,
    /// How it takes keys.
    pub(crate) dtmf: Dtmf,
    /// Whether its sound is protected.
    pub(crate) security: Security,
}

/// Header fields of an INVITE.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Who calls, as the callee may know it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Caller<'a> {
    pub(crate) number: Option<&'a Number>,
    /// Nobody but a carrier that is trusted may know it.
    pub(crate) hidden: bool,
    /// The call says it itself.
    pub(crate) named: bool,
    /// No carrier has another one for it.
    pub(crate) between: bool,
    /// Its merchant tries things out: no carrier is to see it.
    pub(crate) sandboxed: bool,
}

/// Servers of one trunk that are tried for one leg at most.
const SERVERS_MAX: usize = 4;

/// Contacts rung at once at most; extensions may be allowed fewer.
const CONTACTS_MAX: usize = 16;

/// Every way to a target, best first; or why there is none. Carriers are tried one after the other,
/// the contacts of an extension all at once.
pub(crate) fn hops(
    w: &mut World,
    target: &Target,
    caller: Caller<'_>,
) -> Result<VecDeque<Hop>, Kind> {
    let hops: VecDeque<Hop> = match target {
        // Its members are rung step by step: see `Hunt`.
        Target::Group(_) | Target::Agents(_) | Target::Voicemail(_) => VecDeque::new(),
        Target::Contacts(user) => {
            let quiet = w.snapshot.extensions.get(user).is_some_and(|ext| ext.reach.dnd);
            if quiet {
                return Err(Kind::Busy);
            }
            let contacts = w.registrar.contacts(user);
            let limit = contacts_max(w, user);
            spare::phones(contacts.iter().take(limit).filter_map(|entry| {
                Some((entry.instance().map(str::to_owned), to_contact(w, entry, caller)?))
            }))
        }
        Target::Public(number) | Target::Bound { phone: number, .. } => {
            let snapshot = w.snapshot.clone();
            // A short code may be an emergency, wherever it is dialled.
            let trunks = match number {
                Number::E164(_) if caller.sandboxed => snapshot.sandbox.into_iter().collect(),
                _ => w.trunks(number),
            };
            let trunks = trunks.into_iter();
            let known = trunks.filter_map(|id| Some((id, snapshot.trunks.get(&id)?)));
            let mut known: Vec<_> = known.collect();
            // A person waits: whoever did not answer lately is asked when nobody else takes the call.
            known.sort_by_key(|(id, trunk)| !w.is_elsewhere(*id, trunk));
            known
                .into_iter()
                .flat_map(|(id, trunk)| to_trunk(w, id, trunk, (number, caller)))
                .map(|hop| Hop { user: target.bound_to().map(Arc::from), ..hop })
                .collect()
        }
    };
    match (hops.is_empty(), target) {
        (false, _) => Ok(hops),
        (true, Target::Public(_) | Target::Bound { .. }) => Err(Kind::NoRoute),
        (
            true,
            Target::Contacts(_) | Target::Group(_) | Target::Agents(_) | Target::Voicemail(_),
        ) => Err(Kind::Unreachable),
    }
}

/// The phones of an extension in the order of their turn, and which of them ring with a call.
pub(crate) fn judged(w: &World, user: &str) -> Vec<Phone> {
    let quiet = w.snapshot.extensions.get(user).is_some_and(|ext| ext.reach.dnd);
    let limit = contacts_max(w, user);
    let mut instances = BTreeSet::new();
    let contacts = w.registrar.contacts(user);
    let each = contacts.iter().enumerate().map(|(at, entry)| {
        let again = entry.instance().is_some_and(|instance| !instances.insert(instance.to_owned()));
        let way = to_contact(w, entry, Caller::default());
        let sips = Uri::parse(&entry.contact).is_ok_and(|uri| uri.scheme == Scheme::Sips);
        let why = match way {
            _ if quiet => "not rung: the extension does not want to be disturbed".to_owned(),
            _ if at >= limit => format!("not rung: {limit} come before it, and no more may ring"),
            _ if security(w, None, entry.flow.transport).is_none() => {
                "not rung: SRTP is required, and its way is not secure".to_owned()
            }
            None if sips => "not rung: its contact is sips, and its way is not secure".to_owned(),
            None => "not rung: nothing listens for its transport".to_owned(),
            Some(_) if again => "rung when the other flow of the same phone is dead".to_owned(),
            Some(_) => "rung".to_owned(),
        };
        Phone { contact: entry.contact.to_string(), rung: why == "rung", why }
    });
    each.collect()
}

/// How many contacts of an extension ring at once.
fn contacts_max(w: &World, user: &str) -> usize {
    let limit = w.snapshot.extensions.get(user).map_or(1, |ext| ext.max_contacts);
    usize::try_from(limit).unwrap_or(CONTACTS_MAX).clamp(1, CONTACTS_MAX)
}

/// Takes the first hop whose trunk has room now and did not ask to be left alone, and counts the leg
/// on it.
pub(crate) fn take(w: &mut World, hops: &mut VecDeque<Hop>, leg: LegId) -> Option<Hop> {
    while let Some(hop) = hops.pop_front() {
        let Some(id) = hop.trunk else {
            return Some(hop);
        };
        // The trunk has servers that take calls; this one asked to be left alone.
        if w.resting(hop.flow.remote).is_some() || w.is_spared(hop.flow.remote) {
            continue;
        }
        if w.snapshot.trunks.get(&id).is_none_or(|trunk| w.against(id, trunk).is_some()) {
            continue;
        }
        w.count_out(id);
        w.trunk_legs.enter(id, leg);
        if let Some(number) = &hop.pooled {
            let settings = w.snapshot.clone();
            let pool = settings.trunks.get(&id).and_then(|trunk| trunk.options.pool.as_ref());
            if let Some(pool) = pool {
                w.pools.enter((Owner::Trunk(id), pool), leg, number);
            }
        }
        return Some(hop);
    }
    None
}

/// What a trunk speaks.
pub(crate) fn transport(trunk: &Trunk) -> Transport {
    match trunk.transport {
        settings::Transport::Udp => Transport::Udp,
        settings::Transport::Tcp => Transport::Tcp,
        settings::Transport::Tls => Transport::Tls,
        settings::Transport::Ws => Transport::Ws,
        settings::Transport::Wss => Transport::Wss,
    }
}

/// How messages to a trunk's server go out, and who we are there. `None`: nothing listens for its
/// transport.
pub(crate) fn way_to(w: &World, server: Server) -> Option<(Flow, Listener)> {
    let Server { transport, address } = server;
    // Nobody can dial a WebSocket client (RFC 7118 §5).
    let listener = w.listener_to(transport, address).filter(|_| !transport.is_web())?;
    let flow = Flow { transport, local: listener.bind, remote: address, connection: None };
    Some((flow, listener))
}

/// Whether sound is protected towards a far end that signals this way: without a carrier, a phone. Keys are
/// told to nobody but him (RFC 4568 §7.1.1), so that without TLS there are none, unless its settings say
/// otherwise. `None`: there have to be, and there may not.
pub(crate) fn security(w: &World, trunk: Option<&Trunk>, by: Transport) -> Option<Security> {
    let options = trunk.map(|trunk| &trunk.options);
    let wish = options.map_or(w.config.srtp, |options| options.srtp);
    let told = by.is_secure() || options.is_some_and(|options| options.srtp_in_clear);
    match (wish, told) {
        (Protection::Off, _) | (Protection::Optional, false) => Some(Security::Plain),
        (Protection::Optional, true) => Some(Security::Optional),
        (Protection::Required, true) => Some(Security::Required),
        (Protection::Required, false) => None,
    }
}

/// The session timer towards a trunk; `None`: as everybody's.
pub(crate) fn timers(usual: SessionTimers, trunk: &Trunk) -> Option<SessionTimers> {
    let wish = trunk.options.session_timer;
    let echoed = trunk.options.quirks.session_expires_echo;
    if wish.is_none() && !echoed {
        return None;
    }
    let wish = wish.unwrap_or_default();
    Some(SessionTimers {
        expires: wish.expires.or(usual.expires),
        min_se: wish.min_se.unwrap_or(usual.min_se),
        refreshes: match wish.refresher {
            RefreshedBy::Open => usual.refreshes,
            RefreshedBy::Us => Refreshes::We,
            RefreshedBy::Carrier => Refreshes::They,
        },
        echoed,
        spoken: !wish.off,
    })
}

/// A URI at a trunk: of its domain, or without one of its target.
pub(crate) fn uri_of(trunk: &Trunk, user: Option<&str>) -> Option<Uri> {
    if !trunk.domain.is_empty() {
        return Some(Uri::sip(user, Host::parse(&trunk.domain)?, None));
    }
    Some(match &trunk.target {
        NextHop::Address(address) => Uri::at(user, *address),
        NextHop::Name { host, port } => Uri::sip(user, Host::parse(host)?, *port),
    })
}

/// Says in a URI by which transport it is spoken to; UDP is understood.
pub(crate) fn speak(uri: &mut Uri, transport: Transport) {
    if transport != Transport::Udp {
        uri.params.set("transport", Some(transport.as_param()));
    }
}

/// The ways to a trunk: one to each of its servers (RFC 3263 §4.3).
fn to_trunk(
    w: &mut World,
    id: TrunkId,
    trunk: &Trunk,
    (number, caller): (&Number, Caller<'_>),
) -> Vec<Hop> {
    // The nearest to the call counts: its own number, its merchant's, and only then one of the carrier's;
    // unless the carrier takes no other. A number between two who may not know each other is never another one.
    let pool = trunk.options.pool.as_ref();
    let pool = pool.filter(|_| !caller.between);
    let pool = pool.filter(|pool| pool.always || !caller.named && caller.number.is_none());
    let pooled = pool.and_then(|pool| w.pick(Owner::Trunk(id), pool, number));
    let caller = Caller { number: pooled.as_ref().or(caller.number), ..caller };
    let mut servers = w.servers(trunk);
    servers.truncate(SERVERS_MAX);
    let hops = servers.into_iter();
    hops.filter_map(|server| to_server(w, (id, trunk), server, (number, caller)))
        .map(|hop| Hop { pooled: pooled.clone(), ..hop })
        .collect()
}

fn to_server(
    w: &World,
    (id, trunk): (TrunkId, &Trunk),
    server: Server,
    (number, caller): (&Number, Caller<'_>),
) -> Option<Hop> {
    let (flow, listener) = way_to(w, server)?;
    let security = security(w, Some(trunk), flow.transport)?;
    let plan = &w.snapshot.plan;
    let write = |number: &Number, whose| {
        let written = route::write(trunk.numbers, plan, number);
        manners::rewritten(&trunk.options.rewrite, whose, written)
    };
    let called = write(number, Whose::Called);
    let written = caller.number.map(|shown| write(shown, Whose::Caller));
    let domains = [trunk.options.from_domain.as_str(), &trunk.domain];
    let domain = domains.into_iter().find(|domain| !domain.is_empty());
    let domain = domain.map(|domain| Host::parse(domain).ok_or(())).transpose().ok()?;
    // RFC 3261 §19.1.1: the user part is a telephone number.
    let phone = |mut uri: Uri| {
        if trunk.options.user_phone {
            uri.params.set("user", Some("phone"));
        }
        uri
    };
    let home = |user: &str| {
        phone(match &domain {
            Some(host) => Uri::sip(Some(user), host.clone(), None),
            None => Uri::at(Some(user), listener.advertised),
        })
    };
    let mut uri = phone(uri_of(trunk, Some(&called))?);
    let identity = identity(trunk, written.as_deref().map(home), caller.hidden);
    let shown = written.filter(|_| !caller.hidden).unwrap_or_default();
    let from = if caller.hidden { anonymous() } else { NameAddr::new(home(user_of(&shown))) };
    let to = NameAddr::new(uri.clone());
    speak(&mut uri, flow.transport);
    let known = !trunk.codecs.is_empty();
    let codecs = if known { trunk.codecs.clone() } else { w.config.codecs.clone() };
    Some(Hop {
        trunk: Some(id),
        name: trunk.name.clone(),
        user: None,
        uri,
        flow,
        route: w.carriers.service_route(id),
        spare: Vec::new(),
        from,
        to,
        contact_user: shown.clone(),
        shown,
        pooled: None,
        credentials: credentials(trunk),
        codecs,
        identity,
        trusted: trunk.options.identity == Identity::Asserted && !trunk.options.untrusted,
        edits: trunk.options.headers.clone(),
        early_media: trunk.options.early_media,
        fake_180: trunk.options.fake_180_ms.map(|ms| Duration::from_millis(ms.into())),
        rings_on: trunk.options.pass_180_after_183,
        transit: trunk.options.transit.clone(),
        reliable: trunk.options.reliable,
        response: trunk.options.response_ms.map(|ms| Duration::from_millis(ms.into())),
        timers: timers(w.config.sip.session, trunk),
        ptime_ms: trunk.options.ptime_ms,
        dtmf: trunk.options.dtmf,
        security,
    })
}

/// What a carrier is told of the caller beside From. Whoever asked for privacy is named to a carrier that
/// keeps it, with the wish (RFC 3325 §7), and to no other.
fn identity(trunk: &Trunk, caller: Option<Uri>, hidden: bool) -> Headers {
    let name = match trunk.options.identity {
        Identity::From => None,
        Identity::Asserted => Some("P-Asserted-Identity"),
        Identity::Preferred => Some("P-Preferred-Identity"),
    };
    let told = name.filter(|_| !hidden || !trunk.options.untrusted).zip(caller);
    let told = told.map(|(name, uri)| (name.to_owned(), NameAddr::new(uri).to_bytes()));
    let privacy = hidden.then(|| ("Privacy".to_owned(), b"id".to_vec()));
    told.into_iter().chain(privacy).collect()
}

/// RFC 3323 §4.1.1.3: somebody who does not want to be known.
fn anonymous() -> NameAddr {
    let host = Host::parse("anonymous.invalid");
    let uri = host.map(|host| Uri::sip(Some("anonymous"), host, None));
    uri.map(|uri| NameAddr::named("Anonymous", uri)).expect("a host name")
}

fn to_contact(w: &World, entry: &Entry, caller: Caller<'_>) -> Option<Hop> {
    let uri = Uri::parse(&entry.contact).ok()?;
    // RFC 3261 §26.2.2: a sips contact is not rung by a way that anybody can read.
    if uri.scheme == Scheme::Sips && !entry.flow.transport.is_secure() {
        return None;
    }
    let listener = w.listener_of(&entry.flow)?;
    let security = security(w, None, entry.flow.transport)?;
    let shown = caller.number.filter(|_| !caller.hidden);
    let shown = shown.map(|shown| w.snapshot.plan.national(shown)).unwrap_or_default();
    let user = &*entry.user;
    let (from, to) = match Host::parse(&w.snapshot.realm) {
        Some(host) => {
            (Uri::sip(Some(user_of(&shown)), host.clone(), None), Uri::sip(Some(user), host, None))
        }
        None => (at(&shown, listener.advertised), Uri::at(Some(user), listener.advertised)),
    };
    Some(Hop {
        trunk: None,
        name: String::new(),
        user: Some(entry.user.clone()),
        uri,
        flow: entry.flow,
        route: entry.route(),
        spare: Vec::new(),
        from: if caller.hidden { anonymous() } else { NameAddr::new(from) },
        to: NameAddr::new(to),
        contact_user: shown.clone(),
        shown,
        pooled: None,
        credentials: None,
        codecs: w.config.codecs.clone(),
        identity: Vec::new(),
        trusted: false,
        edits: Vec::new(),
        early_media: EarlyMedia::Relay,
        fake_180: None,
        rings_on: false,
        transit: Vec::new(),
        reliable: None,
        response: None,
        timers: None,
        ptime_ms: None,
        dtmf: w.phone_keys(user),
        security,
    })
}

/// What answers the challenges of a next hop of the last process: those of the carrier that has this
/// name and this address, or else of whichever has the address.
pub(crate) fn credentials_at(settings: &Snapshot, flow: &Flow, name: &str) -> Option<Credentials> {
    let at = Some(flow.remote);
    let there = |trunk: &&Trunk| trunk.target.address() == at;
    // A name may have had this address then.
    let may_be =
        |trunk: &&Trunk| trunk.name == name && (there(trunk) || trunk.target.host().is_some());
    let trunks = || settings.trunks.values();
    let trunk = trunks().find(may_be).or_else(|| trunks().find(there))?;
    credentials(trunk)
}

pub(crate) fn credentials(trunk: &Trunk) -> Option<Credentials> {
    trunk.credentials.as_ref().map(|credentials| Credentials {
        realm: Some(credentials.realm.clone()),
        username: credentials.user.clone(),
        password: credentials.password.clone(),
    })
}

fn at(shown: &str, address: SocketAddr) -> Uri {
    Uri::at(Some(user_of(shown)), address)
}

/// RFC 3261 §8.1.1.3: nobody in particular.
fn user_of(shown: &str) -> &str {
    if shown.is_empty() { "anonymous" } else { shown }
}
