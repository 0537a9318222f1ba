//! Registered contacts (RFC 3261 §10.3). Who may register is decided before; here it is only what a
//! REGISTER does to the bindings of its address of record.
//!
//! Not supported: outbound's flow tokens (RFC 5626 §5, an edge proxy's business), GRUU, registering on behalf
//! of somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::settings::Transport;
use facts::{Binding, Now, UnixMillis};
use sip::endpoint::Flow;
use sip::wire::{Contact, HeaderName, Message, NameAddr, Uri};

/// Bindings of all extensions at most.
pub(crate) const BINDINGS_MAX: usize = 100_000;
/// Contacts in one REGISTER at most.
const CONTACTS_MAX: usize = 16;
/// Proxies in one Path at most, and the longest URI of one.
const PATH_MAX: usize = 8;
/// Longest Contact URI kept.
const CONTACT_BYTES_MAX: usize = 512;

/// Flow-Timer of a connection and of datagrams, in seconds (RFC 5626 §4.4): within it a NAT or a firewall on the
/// way hears something.
const STREAM_TIMER: &str = "120";
const DATAGRAM_TIMER: &str = "30";

/// How long a registration may last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterLimits {
    /// Shorter ones are refused with 423.
    pub expires_min: Duration,
    /// What a REGISTER that does not say gets.
    pub expires_default: Duration,
    /// Longer ones are shortened.
    pub expires_max: Duration,
}

impl Default for RegisterLimits {
    fn default() -> Self {
        RegisterLimits {
            expires_min: Duration::from_secs(60),
            expires_default: Duration::from_secs(300),
            expires_max: Duration::from_secs(3600),
        }
    }
}

/// A binding with what does not outlive the process. There may be [`BINDINGS_MAX`] of them: texts are
/// shared and nothing is kept twice.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The extension.
    pub(crate) user: Arc<str>,
    key: Arc<str>,
    /// Contact URI; mostly the key itself.
    pub(crate) contact: Arc<str>,
    /// Where requests go: the flow the REGISTER came by.
    pub(crate) flow: Flow,
    q: u16,
    cseq: u32,
    call_id: Box<str>,
    /// The proxies on the way, nearest to us first (RFC 3327).
    path: Box<[String]>,
    expires: UnixMillis,
    updated: UnixMillis,
    until: Instant,
}

impl Entry {
    fn new(binding: Binding, flow: Flow, until: Instant) -> Entry {
        let key: Arc<str> = binding.key.into();
        Entry {
            user: binding.user.into(),
            contact: shared(&key, binding.contact),
            key,
            flow,
            q: binding.q,
            cseq: binding.cseq,
            call_id: binding.call_id.into(),
            path: binding.path.into(),
            expires: binding.expires,
            updated: binding.updated,
            until,
        }
    }

    /// What is kept for the next process.
    fn binding(&self) -> Binding {
        Binding {
            user: self.user.to_string(),
            key: self.key.to_string(),
            contact: self.contact.to_string(),
            q: self.q,
            expires: self.expires,
            call_id: self.call_id.to_string(),
            cseq: self.cseq,
            transport: written(self.flow.transport),
            local: self.flow.local,
            remote: self.flow.remote,
            path: self.path.to_vec(),
            updated: self.updated,
        }
    }

    /// The route set of requests to it (RFC 3327 §5.3).
    pub(crate) fn route(&self) -> Vec<NameAddr> {
        self.path.iter().filter_map(|hop| NameAddr::parse(hop.as_bytes())).collect()
    }

    /// Which phone it is, where that is said and the phone may have several flows (RFC 5626 §4.2).
    pub(crate) fn instance(&self) -> Option<&str> {
        let (instance, reg_id) = self.key.rsplit_once(';')?;
        let one_of_several = reg_id.parse::<u32>().is_ok_and(|reg_id| reg_id > 0);
        (one_of_several && *self.key != *self.contact).then_some(instance)
    }
}

/// A change that must be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Save(Binding),
    Drop { user: String, key: String },
}

/// Answer to a REGISTER.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) changes: Vec<Change>,
}

impl Outcome {
    fn refuse(code: u16) -> Outcome {
        Outcome { code, headers: Vec::new(), changes: Vec::new() }
    }
}

/// What becomes of a contact: its key, and its binding unless that goes.
type Planned = (Arc<str>, Option<Entry>);

/// The extension and the key of a binding.
type Named = (Arc<str>, Arc<str>);

/// All bindings.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    /// By extension, in the order of their keys: hardly any has a second contact.
    users: BTreeMap<Arc<str>, Vec<Entry>>,
    by_time: BTreeSet<(Instant, Arc<str>, Arc<str>)>,
    /// Those that came by a connection, by its number: connections end by the hundred a second.
    by_connection: BTreeMap<u64, BTreeSet<Named>>,
}

impl Registrar {
    /// Takes the bindings of the last process. Those that came by a connection died with it.
    pub(crate) fn restore(&mut self, now: Now, saved: Vec<Binding>) -> Vec<Change> {
        let mut changes = Vec::new();
        for binding in saved {
            let left = binding.expires.since(now.wall);
            if binding.transport != Transport::Udp
                || left.is_zero()
                || self.by_time.len() >= BINDINGS_MAX
            {
                changes.push(Change::Drop { user: binding.user, key: binding.key });
                continue;
            }
            let flow = Flow {
                transport: sip::endpoint::Transport::Udp,
                local: binding.local,
                remote: binding.remote,
                connection: None,
            };
            self.put(Entry::new(binding, flow, now.mono + left));
        }
        changes
    }

    /// Number of bindings.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// True when the extension can be rung.
    pub(crate) fn registered(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// The contacts of an extension: higher q first, then the freshest.
    pub(crate) fn contacts(&self, user: &str) -> Vec<Entry> {
        let mut entries = self.held(user).to_vec();
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.q), std::cmp::Reverse(entry.updated)));
        entries
    }

    fn held(&self, user: &str) -> &[Entry] {
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    /// Extension, contact URI, seconds left.
    pub(crate) fn list(&self, now: Instant) -> Vec<(String, String, u64)> {
        self.users
            .values()
            .flatten()
            .map(|entry| {
                let left = entry.until.saturating_duration_since(now).as_secs();
                (entry.user.to_string(), entry.contact.to_string(), left)
            })
            .collect()
    }

    /// When the next binding lapses.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _, _)| *at)
    }

    /// Drops lapsed bindings.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((at, user, key)) = self.by_time.first().cloned() {
            if at > now {
                break;
            }
            changes.extend(self.remove(&user, &key));
        }
        changes
    }

    /// Whether a phone of this user has registered from this address.
    pub(crate) fn is_from(&self, user: &str, address: IpAddr) -> bool {
        self.users.get(user).is_some_and(|list| {
            list.iter().any(|entry| entry.flow.remote.ip().to_canonical() == address.to_canonical())
        })
    }

    /// Whether a contact is bound to the connection of this flow.
    pub(crate) fn is_bound(&self, flow: &Flow) -> bool {
        flow.connection.is_some_and(|connection| self.by_connection.contains_key(&connection))
    }

    /// Drops the bindings that a dead connection carried.
    pub(crate) fn flow_died(&mut self, flow: &Flow) -> Vec<Change> {
        let Some(connection) = flow.connection else { return Vec::new() };
        let dead = self.by_connection.get(&connection).cloned().unwrap_or_default();
        dead.iter().filter_map(|(user, key)| self.remove(user, key)).collect()
    }

    /// Drops a binding whose proxy says that the flow behind it is gone (RFC 5626 §11.5).
    pub(crate) fn lost(&mut self, user: &str, contact: &str, flow: &Flow) -> Option<Change> {
        let held = self.held(user).iter();
        let mut held = held.filter(|entry| *entry.contact == *contact && entry.flow == *flow);
        let key = held.next()?.key.clone();
        self.remove(user, &key)
    }

    /// Obeys an authenticated REGISTER of `user` (RFC 3261 §10.3 from step 6).
    pub(crate) fn register(
        &mut self,
        now: Now,
        limits: &RegisterLimits,
        (user, contacts_max): (&str, usize),
        flow: Flow,
        request: &Message,
    ) -> Outcome {
        let asked = match Asked::read(request) {
            Ok(asked) => asked,
            Err(outcome) => return outcome,
        };
        let changes = match &asked.contacts {
            Wanted::Query => Ok(Vec::new()),
            Wanted::All => self.clear(user, &asked),
            Wanted::Some(list) => {
                match self.plan(now, limits, (user, contacts_max), flow, &asked, list) {
                    Ok(plan) => Ok(self.apply(user, plan)),
                    Err(outcome) => return outcome,
                }
            }
        };
        match changes {
            Ok(changes) => {
                let mut headers = self.answer(user, now.mono);
                headers.extend(asked.granted(&flow));
                Outcome { code: 200, headers, changes }
            }
            Err(code) => Outcome::refuse(code),
        }
    }

    /// §10.3 step 6: `*` removes every binding, unless the request is an old one.
    fn clear(&mut self, user: &str, asked: &Asked) -> Result<Vec<Change>, u16> {
        let entries = self.held(user);
        if entries.iter().any(|entry| asked.is_stale(entry)) {
            return Err(500);
        }
        let keys: Vec<Arc<str>> = entries.iter().map(|entry| entry.key.clone()).collect();
        Ok(keys.iter().filter_map(|key| self.remove(user, key)).collect())
    }

    /// §10.3 step 7: what each contact does, or why none of them does anything (all or nothing).
    fn plan(
        &self,
        now: Now,
        limits: &RegisterLimits,
        (user, contacts_max): (&str, usize),
        flow: Flow,
        asked: &Asked,
        list: &[(NameAddr, Contact)],
    ) -> Result<Vec<Planned>, Outcome> {
        let held = self.held(user);
        let mut plan: Vec<Planned> = Vec::new();
        for (address, contact) in list {
            let seconds = contact.expires().or(asked.expires).map(u64::from);
            let lasts = seconds.map_or(limits.expires_default, Duration::from_secs);
            let key = key_of(address, contact);
            // The same contact under RFC 3261 §19.1.4's comparison is the same binding.
            let known = held.iter().find(|entry| same(entry, &key, address));
            if known.is_some_and(|entry| asked.is_stale(entry)) {
                return Err(Outcome::refuse(500));
            }
            let key = known.map_or_else(|| key.into(), |entry| entry.key.clone());
            if lasts.is_zero() {
                plan.push((key, None));
                continue;
            }
            if lasts < limits.expires_min {
                let seconds = limits.expires_min.as_secs().to_string().into_bytes();
                let mut outcome = Outcome::refuse(423);
                outcome.headers.push(("Min-Expires".into(), seconds));
                return Err(outcome);
            }
            let lasts = lasts.min(limits.expires_max);
            let entry = Entry {
                user: user.into(),
                contact: shared(&key, address.uri.to_string()),
                key: key.clone(),
                flow,
                q: contact.q_thousandths().unwrap_or(1000),
                cseq: asked.cseq,
                call_id: asked.call_id.as_str().into(),
                path: asked.path.clone().into(),
                expires: now.wall + lasts,
                updated: now.wall,
                until: now.mono + lasts,
            };
            plan.push((key, Some(entry)));
        }
        let mut keys: BTreeSet<&str> = held.iter().map(|entry| &*entry.key).collect();
        let held_before = keys.len();
        for (key, entry) in &plan {
            if entry.is_some() {
                keys.insert(key)
            } else {
                keys.remove(&**key)
            };
        }
        let grows = keys.len() > held_before;
        if grows && (keys.len() > contacts_max || self.len() >= BINDINGS_MAX) {
            return Err(Outcome::refuse(403));
        }
        Ok(plan)
    }

    fn apply(&mut self, user: &str, plan: Vec<Planned>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, entry) in plan {
            match entry {
                Some(entry) => {
                    changes.push(Change::Save(entry.binding()));
                    self.put(entry);
                }
                None => changes.extend(self.remove(user, &key)),
            }
        }
        changes
    }

    /// §10.3 step 8: every current binding with the seconds it has left.
    fn answer(&self, user: &str, now: Instant) -> Vec<(String, Vec<u8>)> {
        self.contacts(user)
            .iter()
            .map(|entry| {
                let left = entry.until.saturating_duration_since(now).as_secs();
                ("Contact".to_owned(), format!("<{}>;expires={left}", entry.contact).into_bytes())
            })
            .collect()
    }

    fn put(&mut self, entry: Entry) {
        if let Some(connection) = entry.flow.connection {
            let named = (entry.user.clone(), entry.key.clone());
            self.by_connection.entry(connection).or_default().insert(named);
        }
        let entries = self.users.entry(entry.user.clone()).or_default();
        self.by_time.insert((entry.until, entry.user.clone(), entry.key.clone()));
        match entries.binary_search_by(|held| held.key.cmp(&entry.key)) {
            Ok(place) => {
                let (until, connection) = (entry.until, entry.flow.connection);
                let old = std::mem::replace(&mut entries[place], entry);
                if old.flow.connection != connection {
                    self.untie(&old);
                }
                if old.until != until {
                    self.by_time.remove(&(old.until, old.user, old.key));
                }
            }
            Err(place) => {
                entries.reserve_exact(1);
                entries.insert(place, entry);
            }
        }
    }

    fn remove(&mut self, user: &str, key: &str) -> Option<Change> {
        let entries = self.users.get_mut(user)?;
        let place = entries.iter().position(|entry| *entry.key == *key)?;
        let entry = entries.remove(place);
        if entries.is_empty() {
            self.users.remove(user);
        }
        self.untie(&entry);
        self.by_time.remove(&(entry.until, entry.user, entry.key));
        Some(Change::Drop { user: user.to_owned(), key: key.to_owned() })
    }

    /// A binding is not reached by its connection any more.
    fn untie(&mut self, entry: &Entry) {
        let Some(connection) = entry.flow.connection else { return };
        if let Some(tied) = self.by_connection.get_mut(&connection) {
            tied.remove(&(entry.user.clone(), entry.key.clone()));
            if tied.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }
}

/// What a REGISTER asks for.
struct Asked {
    contacts: Wanted,
    expires: Option<u32>,
    call_id: String,
    cseq: u32,
    /// As it came.
    path: Vec<String>,
    /// Its flows are kept apart and used as RFC 5626 says.
    outbound: bool,
}

enum Wanted {
    /// No Contact: tell me what is there.
    Query,
    /// `*` with `Expires: 0`.
    All,
    Some(Vec<(NameAddr, Contact)>),
}

impl Asked {
    fn read(request: &Message) -> Result<Asked, Outcome> {
        let mut asked = Asked::read_contacts(request).map_err(Outcome::refuse)?;
        asked.path = path_of(request)?;
        asked.outbound = asked.is_outbound(request)?;
        Ok(asked)
    }

    /// RFC 5626 §6: whether a contact says which phone and which of its flows it is, and that flow ends here,
    /// or at a proxy that keeps it.
    fn is_outbound(&self, request: &Message) -> Result<bool, Outcome> {
        let wants = |(_, contact): &(NameAddr, Contact)| {
            contact.instance().is_some() && contact.reg_id().is_some()
        };
        let wanted = matches!(&self.contacts, Wanted::Some(list) if list.iter().any(wants));
        if !wanted || !request.lists(HeaderName::Supported, "outbound") {
            return Ok(false);
        }
        let first_hop = self.path.last().and_then(|hop| NameAddr::parse(hop.as_bytes()));
        let kept = match first_hop {
            Some(hop) => hop.uri.params.has("ob"),
            None => request.headers(HeaderName::Via).nth(1).is_none(),
        };
        if kept { Ok(true) } else { Err(Outcome::refuse(439)) }
    }

    /// What a 200 bears besides the contacts (RFC 3327 §5.3, RFC 5626 §6).
    fn granted(&self, flow: &Flow) -> Vec<(String, Vec<u8>)> {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let mut headers: Vec<_> = self.path.iter().map(|hop| header("Path", hop)).collect();
        if self.outbound {
            let alive = if flow.transport.is_reliable() { STREAM_TIMER } else { DATAGRAM_TIMER };
            headers.push(header("Require", "outbound"));
            headers.push(header("Flow-Timer", alive));
        }
        headers
    }

    fn read_contacts(request: &Message) -> Result<Asked, u16> {
        let contacts = request.contacts().map_err(|_| 400_u16)?;
        let expires = request.expires().map_err(|_| 400_u16)?;
        let call_id = request.call_id().ok_or(400_u16)?.to_owned();
        let cseq = request.cseq().map_err(|_| 400_u16)?.number;
        let star = contacts.iter().any(|contact| contact.address().is_none());
        // §10.3 step 6: `*` stands alone and with Expires 0.
        let contacts = match (star, contacts.len()) {
            (true, 1) if expires == Some(0) => Wanted::All,
            (true, _) => return Err(400),
            (false, 0) => Wanted::Query,
            (false, count) if count > CONTACTS_MAX => return Err(403),
            (false, _) => Wanted::Some(
                contacts
                    .into_iter()
                    .filter_map(|contact| Some((contact.address()?.clone(), contact)))
                    .collect(),
            ),
        };
        if let Wanted::Some(list) = &contacts {
            let usable = |address: &NameAddr| {
                address.uri.is_sip() && address.uri.to_string().len() <= CONTACT_BYTES_MAX
            };
            if !list.iter().all(|(address, _)| usable(address)) {
                return Err(400);
            }
        }
        Ok(Asked { contacts, expires, call_id, cseq, path: Vec::new(), outbound: false })
    }

    /// §10.3 step 7: the same Call-ID with a CSeq that is not higher came late.
    fn is_stale(&self, entry: &Entry) -> bool {
        *entry.call_id == *self.call_id && entry.cseq >= self.cseq
    }
}

/// The Path of a REGISTER, for whoever supports it (RFC 3327 §5.3): loose routes alone, or there would be no
/// telling where a request ends. What it names is never dialled: requests take the flow that the REGISTER
/// came by, and bear it as their Route.
fn path_of(request: &Message) -> Result<Vec<String>, Outcome> {
    let hops: Vec<&[u8]> = request.headers(HeaderName::Path).collect();
    if hops.is_empty() {
        return Ok(Vec::new());
    }
    if !request.lists(HeaderName::Supported, "path") {
        // The phone would not know where its calls go by.
        let mut outcome = Outcome::refuse(421);
        outcome.headers.push(("Require".into(), b"path".to_vec()));
        return Err(outcome);
    }
    let loose = |hop: &&[u8]| {
        let read = NameAddr::parse(hop).filter(|hop| hop.uri.is_sip() && hop.uri.is_loose());
        read.filter(|_| hop.len() <= CONTACT_BYTES_MAX).map(|hop| hop.to_bytes())
    };
    let read = hops.iter().map(|hop| String::from_utf8(loose(hop)?).ok());
    let read: Option<Vec<String>> = read.collect();
    read.filter(|hops| hops.len() <= PATH_MAX).ok_or_else(|| Outcome::refuse(400))
}

/// A contact that is its own key is kept once.
fn shared(key: &Arc<str>, contact: String) -> Arc<str> {
    if **key == *contact { key.clone() } else { contact.into() }
}

fn written(transport: sip::endpoint::Transport) -> Transport {
    match transport {
        sip::endpoint::Transport::Udp => Transport::Udp,
        sip::endpoint::Transport::Tcp => Transport::Tcp,
        sip::endpoint::Transport::Tls => Transport::Tls,
        sip::endpoint::Transport::Ws => Transport::Ws,
        sip::endpoint::Transport::Wss => Transport::Wss,
    }
}

/// RFC 5626 §6: instance and reg-id name a contact; without them its URI does.
fn key_of(address: &NameAddr, contact: &Contact) -> String {
    match contact.instance() {
        Some(instance) => format!("{instance};{}", contact.reg_id().unwrap_or(0)),
        None => address.uri.to_string(),
    }
}

fn same(entry: &Entry, key: &str, address: &NameAddr) -> bool {
    *entry.key == *key || Uri::parse(&entry.key).is_ok_and(|held| held.equivalent(&address.uri))
}

/// The user part of the address of record.
pub(crate) fn aor_user(request: &Message) -> Option<String> {
    request.name_addr(HeaderName::To).ok()?.uri.user_text()
}
