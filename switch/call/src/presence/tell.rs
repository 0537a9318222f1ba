//! From calls and mailboxes to the documents that subscribers are sent.

use std::sync::Arc;

use bytes::Bytes;
use facts::{LegId, Number};
use sip::endpoint::SubscriptionId;
use sip::wire::{Host, Uri};

use super::line::{Line, Progress, document};
use super::mail::Mail;
use super::watch::Package;
use crate::call::Call;
use crate::leg::Leg;
use crate::world::World;

/// The party of whom nothing may be known (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

impl World {
    /// The address of record of an extension, or of a number as phones see it.
    pub(crate) fn aor(&self, user: &str) -> String {
        match Host::parse(&self.snapshot.realm) {
            Some(host) => Uri::sip(Some(user), host, None).to_string(),
            None => {
                let listener = self.config.sip.listeners.first();
                listener.map_or_else(
                    || ANONYMOUS.to_owned(),
                    |listener| Uri::at(Some(user), listener.advertised).to_string(),
                )
            }
        }
    }

    /// Sends a subscriber how things stand, or remembers that it was not told. `gone`: a call of whom it
    /// watches that has just ended.
    pub(crate) fn tell(&mut self, id: SubscriptionId, gone: Option<(LegId, &Line)>) {
        let Some(watch) = self.watches.of(id).cloned() else { return };
        let body = self.state_of(id, gone);
        let now = self.now.mono;
        let told = self.endpoint.notify(now, id, Some((watch.package.content_type(), body)));
        if let Some(watch) = self.watches.of_mut(id) {
            watch.stale = !told;
            watch.version += u32::from(told);
        }
    }

    /// Ends a subscription with the state of things, if it still may be known.
    pub(crate) fn tell_last(&mut self, id: SubscriptionId, reason: &str, state: bool) {
        let watch = self.watches.of(id).filter(|_| state).map(|watch| watch.package.content_type());
        let body = watch.map(|content_type| (content_type, self.state_of(id, None)));
        self.watches.leave(id);
        self.endpoint.end_subscription(self.now.mono, id, reason, body);
    }

    fn state_of(&self, id: SubscriptionId, gone: Option<(LegId, &Line)>) -> Bytes {
        let Some(watch) = self.watches.of(id) else { return Bytes::new() };
        let entity = self.aor(&watch.target);
        let text = match (watch.package, self.watches.lines(&watch.target)) {
            (Package::MessageSummary, _) => summary(&entity, self.mail.of(&watch.target)),
            (Package::Dialog, Some(lines)) => document(&entity, watch.version, lines, gone),
            (Package::Dialog, None) => String::new(),
        };
        Bytes::from(text)
    }

    /// A call has changed, or is gone: whoever watches somebody in it is told.
    pub(crate) fn tell_lines(&mut self, lines: Vec<(Arc<str>, LegId, Line)>, call: facts::CallId) {
        for (user, gone) in self.watches.put(call, lines) {
            for id in self.watches.to(Package::Dialog, &user) {
                self.tell(id, gone.as_ref().map(|(leg, line)| (*leg, line)));
            }
        }
    }
}

/// RFC 3842 §3.5.
fn summary(account: &str, mail: Mail) -> String {
    let waiting = if mail.new > 0 { "yes" } else { "no" };
    format!(
        "Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\n\
         Voice-Message: {}/{} (0/0)\r\n",
        mail.new, mail.old
    )
}

impl Call {
    /// The watched extensions that are in this call, and how far each is.
    pub(crate) fn lines(&self, w: &World) -> Vec<(Arc<str>, LegId, Line)> {
        let mut lines: Vec<(Arc<str>, LegId, Line)> = Vec::new();
        // Who dials a code that only changes settings talks with nobody.
        if self.changes_settings() {
            return lines;
        }
        for leg in self.legs.iter().flatten().filter(|leg| !leg.is_over()) {
            for seen in self.seen(w, leg) {
                let known = lines.iter().any(|(user, at, _)| **user == *seen.user && *at == leg.id);
                if known || !w.watches.watches_calls(&seen.user) {
                    continue;
                }
                let session = seen.session;
                let (call_id, remote_tag, local_tag) =
                    session.and_then(|id| w.endpoint.tags(id)).unwrap_or_default();
                let remote = match seen.remote.as_str() {
                    "" => ANONYMOUS.to_owned(),
                    remote => w.aor(remote),
                };
                let (progress, initiator) = (seen.progress, leg.is_inbound());
                let line = Line { progress, initiator, call_id, local_tag, remote_tag, remote };
                lines.push((seen.user.into(), leg.id, line));
            }
        }
        lines
    }

    /// The extensions whose phones are on a leg: more than one while several are rung.
    fn seen(&self, w: &World, leg: &Leg) -> Vec<Seen> {
        if !leg.is_inbound() {
            let mut phones = leg.phones();
            // Whoever came after it was rung is not who it was shown then.
            let other = self.beside(leg.id.no).filter(|other| other.id.no > leg.id.no);
            if let Some(other) = other.filter(|other| leg.is_up() && other.is_up()) {
                let remote = self.written_as(&w.snapshot, Some(other));
                phones.iter_mut().for_each(|seen| seen.remote.clone_from(&remote));
            }
            return phones;
        }
        let (Number::Internal(user), true) = (&leg.facts.number, leg.is_phone()) else {
            return Vec::new();
        };
        let other = self.beside(leg.id.no);
        let rings = other.map(|other| &other.facts);
        let rings = rings.is_some_and(|facts| facts.alerting.or(facts.progress).is_some());
        let progress = match (leg.is_up(), rings) {
            (true, _) => Progress::Confirmed,
            (false, true) => Progress::Early,
            (false, false) => Progress::Trying,
        };
        let remote = self.written_as(&w.snapshot, other);
        vec![Seen { user: user.clone(), session: leg.session(), progress, remote }]
    }
}

/// A phone of an extension on a leg.
pub(crate) struct Seen {
    pub(crate) user: String,
    pub(crate) session: Option<sip::endpoint::SessionId>,
    pub(crate) progress: Progress,
    /// The other party, as the phone sees it; empty when it may not know.
    pub(crate) remote: String,
}
