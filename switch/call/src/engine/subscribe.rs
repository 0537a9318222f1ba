//! SUBSCRIBE: who may watch what, for how long (RFC 6665 §4.2.1), and who is told when something changes.

use std::time::Duration;

use facts::CallId;
use sip::endpoint::{Flow, RequestId, SubscriptionId};
use sip::wire::{HeaderName, Message, Uri};

use super::Engine;
use super::register::{Header, header};
use crate::presence::{Mail, Package, Watch};

/// Shorter subscriptions are refused with 423.
const EXPIRES_MIN: Duration = Duration::from_secs(60);
/// What a SUBSCRIBE that does not say gets (RFC 3842 §3.4, RFC 4235 §3.4).
const EXPIRES_DEFAULT: Duration = Duration::from_secs(3600);
/// Longer ones are shortened.
const EXPIRES_MAX: Duration = Duration::from_secs(7200);
/// Longest `id` of an Event, which each NOTIFY repeats.
const EVENT_ID_MAX: usize = 64;
/// Seconds after which somebody for whom there is no room may ask again.
const RETRY_AFTER: &str = "60";

/// What a SUBSCRIBE asks for.
struct Wish {
    package: Package,
    /// The value of Event for our NOTIFYs.
    event: String,
    /// Whom it is about.
    target: String,
    lasts: Duration,
}

/// A refusal.
type Refused = (u16, Vec<Header>);

fn refused(code: u16) -> Refused {
    (code, Vec::new())
}

impl Wish {
    fn read(request: &Message, user: &str) -> Result<Wish, Refused> {
        // RFC 6665 §8.2.1: one Event, with no parameter but `id` that means anything here.
        let event = request.header_str(HeaderName::Event).ok_or_else(|| refused(400))?;
        let mut parts = event.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let package = Package::of(name).ok_or_else(|| {
            let allowed = header("Allow-Events", Package::ALLOWED);
            (489, vec![allowed])
        })?;
        let id = parts.find_map(|part| part.strip_prefix("id="));
        if id.is_some_and(|id| id.len() > EVENT_ID_MAX) {
            return Err(refused(400));
        }
        if !accepts(request, package.content_type()) {
            return Err(refused(406));
        }
        let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let target = uri.and_then(|uri| uri.user_text()).filter(|user| !user.is_empty());
        let asked = request.expires().map_err(|_| refused(400))?;
        let lasts = asked.map_or(EXPIRES_DEFAULT, |seconds| Duration::from_secs(seconds.into()));
        if !lasts.is_zero() && lasts < EXPIRES_MIN {
            let least = EXPIRES_MIN.as_secs().to_string();
            return Err((423, vec![header("Min-Expires", &least)]));
        }
        Ok(Wish {
            package,
            event: id.map_or_else(|| name.to_owned(), |id| format!("{name};id={id}")),
            // Whoever names nobody asks about himself.
            target: target.unwrap_or_else(|| user.to_owned()),
            lasts: lasts.min(EXPIRES_MAX),
        })
    }
}

/// RFC 6665 §8.2.1 with RFC 3261 §20.1: no Accept takes what the package says.
fn accepts(request: &Message, content_type: &str) -> bool {
    let takes = |value: &[u8]| {
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let named = value.split(';').next().unwrap_or_default().trim();
        named == content_type || named == "*/*" || named == "application/*"
    };
    request.count(HeaderName::Accept) == 0 || request.headers(HeaderName::Accept).any(takes)
}

impl Engine {
    /// A SUBSCRIBE, new or in the dialog of a subscription.
    pub(super) fn subscribe(
        &mut self,
        id: RequestId,
        known: Option<SubscriptionId>,
        request: &Message,
        flow: Flow,
    ) {
        let granted = self
            .proved("SUBSCRIBE", request, &flow)
            .and_then(|user| self.wish(known, request, &user).map(|wish| (user, wish)));
        match granted {
            Err((code, headers)) => self.respond(id, code, headers),
            Ok((user, wish)) => self.grant((id, known), &user, wish, flow),
        }
    }

    /// What is asked for, if whoever asks may have it.
    fn wish(
        &self,
        known: Option<SubscriptionId>,
        request: &Message,
        user: &str,
    ) -> Result<Wish, Refused> {
        let w = &self.world;
        let mut wish = Wish::read(request, user)?;
        if let Some(known) = known {
            let watch = w.watches.of(known).ok_or_else(|| refused(481))?;
            // The dialog is somebody else's, or for something else.
            if *watch.watcher != *user || watch.package != wish.package {
                return Err(refused(403));
            }
            wish.target = watch.target.to_string();
        } else if self.drain.is_some() {
            return Err((503, vec![header("Retry-After", RETRY_AFTER)]));
        }
        let own = w.snapshot.extensions.get(user).ok_or_else(|| refused(403))?;
        let target = w.snapshot.extensions.get(&wish.target).ok_or_else(|| refused(404))?;
        if own.merchant != target.merchant {
            return Err(refused(403));
        }
        let room = known.is_some() || w.watches.has_room(user, wish.package, &wish.target);
        if !room && !wish.lasts.is_zero() {
            return Err((503, vec![header("Retry-After", RETRY_AFTER)]));
        }
        Ok(wish)
    }

    fn grant(
        &mut self,
        (id, known): (RequestId, Option<SubscriptionId>),
        user: &str,
        wish: Wish,
        flow: Flow,
    ) {
        let w = &mut self.world;
        let now = w.now.mono;
        let opened = match known {
            Some(known) => {
                w.endpoint.resubscribed(now, id, known, flow, wish.lasts).then_some(known)
            }
            None => w.endpoint.subscribed(now, id, flow, wish.event, wish.lasts),
        };
        let Some(subscription) = opened else { return };
        if known.is_none() {
            let target: std::sync::Arc<str> = wish.target.into();
            if wish.package == Package::Dialog {
                self.watch_calls(&target);
            }
            let watcher = user.into();
            let watch = Watch { package: wish.package, target, watcher, version: 0, stale: false };
            self.world.watches.enter(subscription, watch);
        }
        // RFC 6665 §4.2.1.4: without time it is over, and says how things stand all the same.
        if wish.lasts.is_zero() {
            self.world.tell_last(subscription, "timeout", true);
        } else {
            self.world.tell(subscription, None);
        }
    }

    /// The calls of an extension are watched from now on: those that are under way are looked for once.
    fn watch_calls(&mut self, user: &std::sync::Arc<str>) {
        let w = &mut self.world;
        if w.watches.watches_calls(user) {
            return;
        }
        w.watches.begin(user);
        for call in self.calls.values().filter(|call| call.is_live()) {
            let lines = call.lines(w);
            if !lines.is_empty() {
                w.watches.put(call.id, lines);
            }
        }
    }

    /// A subscriber may be told again.
    pub(super) fn notified(&mut self, id: SubscriptionId, delivered: bool) {
        if self.world.watches.of(id).is_some_and(|watch| watch.stale || !delivered) {
            self.world.tell(id, None);
        }
    }

    /// Those who watch calls that changed in this step are told.
    pub(super) fn tell_watchers(&mut self) {
        while let Some(call) = self.world.watches.next_changed() {
            self.tell_call(call);
        }
    }

    fn tell_call(&mut self, id: CallId) {
        let lines = self.calls.get(&id).map(|call| call.lines(&self.world)).unwrap_or_default();
        self.world.tell_lines(lines, id);
    }

    /// What a mailbox holds now.
    pub(super) fn mailbox(&mut self, user: &str, mail: Mail) {
        if self.world.mail.put(user, mail) {
            for id in self.world.watches.to(Package::MessageSummary, user) {
                self.world.tell(id, None);
            }
        }
    }

    /// Under new settings somebody may be gone, or may not watch somebody any more (RFC 6665 §4.1.3).
    pub(super) fn settle_watches(&mut self) {
        let extensions = &self.world.snapshot.extensions;
        let barred = |watch: &Watch| {
            let Some(target) = extensions.get(&*watch.target) else { return Some("noresource") };
            let own = extensions.get(&*watch.watcher).filter(|own| own.enabled);
            let may = own.is_some_and(|own| own.merchant == target.merchant);
            (!may).then_some("rejected")
        };
        let over: Vec<_> = self
            .world
            .watches
            .iter()
            .filter_map(|(id, watch)| Some((id, barred(watch)?)))
            .collect();
        for (id, reason) in over {
            self.world.tell_last(id, reason, false);
        }
    }
}
