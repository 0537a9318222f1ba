//! Who watches what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use facts::{CallId, LegId, LegNo};
use sip::endpoint::SubscriptionId;

use super::line::Line;

/// Subscriptions of one extension at most: a panel of busy lamps has a few hundred.
const OF_ONE_MAX: usize = 256;
/// Subscriptions to one extension at most: each change is told to all of them in one step.
const TO_ONE_MAX: usize = 256;
/// All subscriptions at most.
pub(crate) const WATCHES_MAX: usize = 50_000;

/// What can be subscribed to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Package {
    /// The calls of an extension (RFC 4235).
    Dialog,
    /// What waits in a mailbox (RFC 3842).
    MessageSummary,
}

impl Package {
    /// All, as Allow-Events says it.
    pub(crate) const ALLOWED: &str = "dialog, message-summary";

    pub(crate) fn of(name: &str) -> Option<Package> {
        // RFC 6665 §8.2.1: names of packages are compared with regard to case.
        match name {
            "dialog" => Some(Package::Dialog),
            "message-summary" => Some(Package::MessageSummary),
            _ => None,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Package::Dialog => "application/dialog-info+xml",
            Package::MessageSummary => "application/simple-message-summary",
        }
    }
}

/// One subscription.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) package: Package,
    /// Whom it is about.
    pub(crate) target: Arc<str>,
    /// Whose it is.
    pub(crate) watcher: Arc<str>,
    /// Number of the next document (RFC 4235 §4.1).
    pub(crate) version: u32,
    /// It was not told the latest.
    pub(crate) stale: bool,
}

/// The calls that an extension is in, by leg.
pub(crate) type Lines = BTreeMap<LegId, Line>;

/// An extension of which something has changed, and the call that is over, if one is.
pub(crate) type News = (Arc<str>, Option<(LegId, Line)>);

/// All subscriptions, and what they are about.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    all: BTreeMap<SubscriptionId, Watch>,
    by_target: BTreeMap<(Package, Arc<str>), BTreeSet<SubscriptionId>>,
    by_watcher: BTreeMap<Arc<str>, usize>,
    /// The calls of every extension whose calls are watched.
    lines: BTreeMap<Arc<str>, Lines>,
    /// Extensions that have a line in a call.
    by_call: BTreeMap<CallId, BTreeSet<Arc<str>>>,
    /// Calls that changed since they were looked at.
    changed: BTreeSet<CallId>,
}

impl Watches {
    /// Whether this extension may have one more subscription, to that one.
    pub(crate) fn has_room(&self, watcher: &str, package: Package, target: &str) -> bool {
        let to_one = self.by_target.get(&(package, target.into())).map_or(0, BTreeSet::len);
        let of_one = self.by_watcher.get(watcher).copied().unwrap_or_default();
        self.all.len() < WATCHES_MAX && of_one < OF_ONE_MAX && to_one < TO_ONE_MAX
    }

    pub(crate) fn enter(&mut self, id: SubscriptionId, watch: Watch) {
        self.by_target.entry((watch.package, watch.target.clone())).or_default().insert(id);
        *self.by_watcher.entry(watch.watcher.clone()).or_default() += 1;
        self.all.insert(id, watch);
    }

    pub(crate) fn leave(&mut self, id: SubscriptionId) {
        let Some(watch) = self.all.remove(&id) else { return };
        if let Some(count) = self.by_watcher.get_mut(&watch.watcher) {
            *count -= 1;
            if *count == 0 {
                self.by_watcher.remove(&watch.watcher);
            }
        }
        let key = (watch.package, watch.target);
        let Some(ids) = self.by_target.get_mut(&key) else { return };
        ids.remove(&id);
        if ids.is_empty() {
            self.by_target.remove(&key);
            if key.0 == Package::Dialog {
                self.forget(&key.1);
            }
        }
    }

    pub(crate) fn of(&self, id: SubscriptionId) -> Option<&Watch> {
        self.all.get(&id)
    }

    pub(crate) fn of_mut(&mut self, id: SubscriptionId) -> Option<&mut Watch> {
        self.all.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SubscriptionId, &Watch)> {
        self.all.iter().map(|(id, watch)| (*id, watch))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Subscriptions to this.
    pub(crate) fn to(&self, package: Package, target: &str) -> Vec<SubscriptionId> {
        let ids = self.by_target.get(&(package, target.into()));
        ids.into_iter().flatten().copied().collect()
    }

    /// A call may have changed. Costs next to nothing when nobody watches calls.
    pub(crate) fn touch(&mut self, call: CallId) {
        if !self.lines.is_empty() {
            self.changed.insert(call);
        }
    }

    /// A call to look at.
    pub(crate) fn next_changed(&mut self) -> Option<CallId> {
        self.changed.pop_first()
    }

    /// Whether the calls of this extension are watched.
    pub(crate) fn watches_calls(&self, user: &str) -> bool {
        self.lines.contains_key(user)
    }

    pub(crate) fn lines(&self, user: &str) -> Option<&Lines> {
        self.lines.get(user)
    }

    /// The calls of an extension are watched from now on.
    pub(crate) fn begin(&mut self, user: &Arc<str>) {
        self.lines.entry(user.clone()).or_default();
    }

    /// Nobody watches the calls of an extension any more.
    fn forget(&mut self, user: &Arc<str>) {
        for leg in self.lines.remove(user).unwrap_or_default().into_keys() {
            self.part(leg.call, user);
        }
        if self.lines.is_empty() {
            self.changed.clear();
        }
    }

    /// How the watched extensions that are in a call stand now: whoever is not named is in it no more. Those
    /// for whom something has changed, with the line that is gone.
    pub(crate) fn put(&mut self, call: CallId, now: Vec<(Arc<str>, LegId, Line)>) -> Vec<News> {
        let mut news: Vec<News> = Vec::new();
        let before = self.by_call.get(&call).cloned().unwrap_or_default();
        for user in &before {
            let Some(lines) = self.lines.get_mut(user) else { continue };
            let stays = |leg: LegId| now.iter().any(|(who, at, _)| who == user && *at == leg);
            let own = lines.range(LegId::new(call, LegNo(0))..=LegId::new(call, LegNo(u8::MAX)));
            let gone: Vec<LegId> = own.map(|(leg, _)| *leg).filter(|leg| !stays(*leg)).collect();
            for leg in gone {
                news.extend(lines.remove(&leg).map(|line| (user.clone(), Some((leg, line)))));
            }
            if !now.iter().any(|(who, ..)| who == user) {
                self.part(call, user);
            }
        }
        for (user, leg, line) in now {
            let Some(lines) = self.lines.get_mut(&user) else { continue };
            if lines.get(&leg) == Some(&line) {
                continue;
            }
            lines.insert(leg, line);
            self.by_call.entry(call).or_default().insert(user.clone());
            if !news.iter().any(|(who, _)| *who == user) {
                news.push((user, None));
            }
        }
        news
    }

    fn part(&mut self, call: CallId, user: &Arc<str>) {
        if let Some(users) = self.by_call.get_mut(&call) {
            users.remove(user);
            if users.is_empty() {
                self.by_call.remove(&call);
            }
        }
    }
}
