//! Registered contacts (RFC 3261 §10.3). Who may register is decided before; here it is only what a
//! REGISTER does to the bindings of its address of record.
//!
//! Not supported: Path (RFC 3327), outbound's flow tokens (RFC 5626 §5; `reg-id` only makes the key),
//! GRUU, registering on behalf of somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use facts::settings::Transport;
use facts::{Binding, Now};
use sip::endpoint::Flow;
use sip::wire::{Contact, HeaderName, Message, NameAddr, Uri};

/// Bindings of all extensions at most.
pub(crate) const BINDINGS_MAX: usize = 100_000;
/// Contacts in one REGISTER at most.
const CONTACTS_MAX: usize = 16;
/// Longest Contact URI kept.
const CONTACT_BYTES_MAX: usize = 512;

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

/// A binding with what does not outlive the process.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) binding: Binding,
    /// Where requests go: the flow the REGISTER came by.
    pub(crate) flow: Flow,
    until: Instant,
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

/// All bindings.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    users: BTreeMap<String, BTreeMap<String, Entry>>,
    by_time: BTreeSet<(Instant, String, String)>,
}

impl Registrar {
    /// Takes the bindings of the last process. Those that came by a connection died with it.
    pub(crate) fn restore(&mut self, now: Now, saved: Vec<Binding>) -> Vec<Change> {
        let mut changes = Vec::new();
        for binding in saved {
            let left = binding.expires.since(now.wall);
            if binding.transport == Transport::Tcp
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
            self.put(Entry { binding, flow, until: now.mono + left });
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
        let mut entries: Vec<Entry> =
            self.users.get(user).into_iter().flat_map(BTreeMap::values).cloned().collect();
        entries.sort_by_key(|entry| {
            (std::cmp::Reverse(entry.binding.q), std::cmp::Reverse(entry.binding.updated))
        });
        entries
    }

    /// Extension, contact URI, seconds left.
    pub(crate) fn list(&self, now: Instant) -> Vec<(String, String, u64)> {
        self.users
            .values()
            .flat_map(BTreeMap::values)
            .map(|entry| {
                let left = entry.until.saturating_duration_since(now).as_secs();
                (entry.binding.user.clone(), entry.binding.contact.clone(), left)
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

    /// Drops the bindings that a dead connection carried.
    pub(crate) fn flow_died(&mut self, flow: &Flow) -> Vec<Change> {
        if flow.connection.is_none() {
            return Vec::new();
        }
        let dead: Vec<(String, String)> = self
            .users
            .values()
            .flat_map(BTreeMap::values)
            .filter(|entry| entry.flow.connection == flow.connection)
            .map(|entry| (entry.binding.user.clone(), entry.binding.key.clone()))
            .collect();
        dead.iter().filter_map(|(user, key)| self.remove(user, key)).collect()
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
            Err(code) => return Outcome::refuse(code),
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
            Ok(changes) => Outcome { code: 200, headers: self.answer(user, now.mono), changes },
            Err(code) => Outcome::refuse(code),
        }
    }

    /// §10.3 step 6: `*` removes every binding, unless the request is an old one.
    fn clear(&mut self, user: &str, asked: &Asked) -> Result<Vec<Change>, u16> {
        let entries = self.users.get(user);
        if entries.into_iter().flat_map(BTreeMap::values).any(|entry| asked.is_stale(entry)) {
            return Err(500);
        }
        let keys: Vec<String> = entries.into_iter().flat_map(BTreeMap::keys).cloned().collect();
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
    ) -> Result<Vec<(String, Option<Entry>)>, Outcome> {
        let held = self.users.get(user);
        let mut plan: Vec<(String, Option<Entry>)> = Vec::new();
        for (address, contact) in list {
            let seconds = contact.expires().or(asked.expires).map(u64::from);
            let lasts = seconds.map_or(limits.expires_default, Duration::from_secs);
            let key = key_of(address, contact);
            // The same contact under RFC 3261 §19.1.4's comparison is the same binding.
            let key = held
                .and_then(|held| held.values().find(|entry| same(entry, &key, address)))
                .map_or(key, |entry| entry.binding.key.clone());
            if held.and_then(|held| held.get(&key)).is_some_and(|entry| asked.is_stale(entry)) {
                return Err(Outcome::refuse(500));
            }
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
            let binding = Binding {
                user: user.to_owned(),
                key: key.clone(),
                contact: address.uri.to_string(),
                q: contact.q_thousandths().unwrap_or(1000),
                expires: now.wall + lasts,
                call_id: asked.call_id.clone(),
                cseq: asked.cseq,
                transport: match flow.transport {
                    sip::endpoint::Transport::Tcp => Transport::Tcp,
                    _ => Transport::Udp,
                },
                local: flow.local,
                remote: flow.remote,
                updated: now.wall,
            };
            plan.push((key, Some(Entry { binding, flow, until: now.mono + lasts })));
        }
        let mut keys: BTreeSet<&String> = held.into_iter().flat_map(BTreeMap::keys).collect();
        let held_before = keys.len();
        for (key, entry) in &plan {
            if entry.is_some() {
                keys.insert(key)
            } else {
                keys.remove(key)
            };
        }
        let grows = keys.len() > held_before;
        if grows && (keys.len() > contacts_max || self.len() >= BINDINGS_MAX) {
            return Err(Outcome::refuse(403));
        }
        Ok(plan)
    }

    fn apply(&mut self, user: &str, plan: Vec<(String, Option<Entry>)>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, entry) in plan {
            match entry {
                Some(entry) => {
                    changes.push(Change::Save(entry.binding.clone()));
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
                (
                    "Contact".to_owned(),
                    format!("<{}>;expires={left}", entry.binding.contact).into_bytes(),
                )
            })
            .collect()
    }

    fn put(&mut self, entry: Entry) {
        let user = entry.binding.user.clone();
        let key = entry.binding.key.clone();
        let until = entry.until;
        self.by_time.insert((until, user.clone(), key.clone()));
        let old = self.users.entry(user.clone()).or_default().insert(key.clone(), entry);
        if let Some(old) = old.filter(|old| old.until != until) {
            self.by_time.remove(&(old.until, user, key));
        }
    }

    fn remove(&mut self, user: &str, key: &str) -> Option<Change> {
        let entries = self.users.get_mut(user)?;
        let entry = entries.remove(key)?;
        if entries.is_empty() {
            self.users.remove(user);
        }
        self.by_time.remove(&(entry.until, user.to_owned(), key.to_owned()));
        Some(Change::Drop { user: user.to_owned(), key: key.to_owned() })
    }
}

/// What a REGISTER asks for.
struct Asked {
    contacts: Wanted,
    expires: Option<u32>,
    call_id: String,
    cseq: u32,
}

enum Wanted {
    /// No Contact: tell me what is there.
    Query,
    /// `*` with `Expires: 0`.
    All,
    Some(Vec<(NameAddr, Contact)>),
}

impl Asked {
    fn read(request: &Message) -> Result<Asked, u16> {
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
        Ok(Asked { contacts, expires, call_id, cseq })
    }

    /// §10.3 step 7: the same Call-ID with a CSeq that is not higher came late.
    fn is_stale(&self, entry: &Entry) -> bool {
        entry.binding.call_id == self.call_id && entry.binding.cseq >= self.cseq
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
    entry.binding.key == key
        || Uri::parse(&entry.binding.key).is_ok_and(|held| held.equivalent(&address.uri))
}

/// The user part of the address of record.
pub(crate) fn aor_user(request: &Message) -> Option<String> {
    request.name_addr(HeaderName::To).ok()?.uri.user_text()
}
