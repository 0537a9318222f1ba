//! Subscriptions of others to what the user knows (RFC 6665 §4.2): the notifier's side. Each has a dialog
//! of its own. Who may subscribe, to what and for how long is the user's business, and so is what NOTIFY
//! bears; that one NOTIFY at most is under way, that a subscription ends in time, and that one whose
//! subscriber is gone ends at once, is seen to here.
//!
//! Nothing of it outlives the process: a refresh that is answered with 481 makes its sender subscribe anew
//! (RFC 6665 §4.1.2.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::client::Reply;
use super::receive::Incoming;
use super::route::is_behind_nat;
use super::table::{Outgoing, Owner, ServerId, ServerUser, User};
use super::{Endpoint, Event, Flow, RequestId, SubscriptionId};
use crate::dialog::Dialog;
use crate::wire::{Draft, HeaderName, Message, Method, RetryAfter, Scheme, Uri};

/// A subscriber that asks to be left alone is, for this long at most.
const REST_MAX: Duration = Duration::from_secs(300);
/// A NOTIFY for which there is no room is tried again then.
const CROWDED: Duration = Duration::from_secs(1);

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    dialog: Dialog,
    /// The value of Event as it was asked for, with its `id` if it has one.
    event: String,
    until: Instant,
    /// A NOTIFY has no final answer yet.
    open: bool,
    /// No NOTIFY leaves before.
    rest: Option<Instant>,
    due: Option<Instant>,
}

impl Subscription {
    pub(super) fn next_timer(&self) -> (Instant, &'static str) {
        match self.rest {
            Some(rest) if rest < self.until => (rest, "NOTIFY wait"),
            _ => (self.until, "subscription"),
        }
    }

    pub(super) fn flow(&self) -> &Flow {
        &self.dialog.flow
    }
}

impl Endpoint {
    /// A SUBSCRIBE that opens something, or renews it.
    pub(super) fn subscribe_received(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        subscription: Option<SubscriptionId>,
    ) {
        let id = self.start_server(now, incoming, ServerUser::Request);
        self.events.push_back(Event::Subscribe {
            id: RequestId(id.0),
            subscription,
            request: incoming.request.clone(),
            flow: incoming.flow,
        });
    }

    /// The subscription in whose dialog a request is.
    pub(super) fn dialog_subscription(&self, request: &Message) -> Option<SubscriptionId> {
        let id = SubscriptionId(super::ids::Ids::token_of_tag(&request.to_tag()?)?);
        self.subscriptions.get(&id).is_some_and(|row| row.dialog.owns(request)).then_some(id)
    }

    /// A request in the dialog of a subscription: only SUBSCRIBE has a meaning there.
    pub(super) fn receive_subscribed(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        incoming: &Incoming,
    ) {
        let number = incoming.request.cseq().map(|cseq| cseq.number);
        let Some(row) = self.subscriptions.get_mut(&id) else { return };
        if !number.is_ok_and(|number| row.dialog.take_order(number)) {
            return self.refuse(incoming, 500, &[]);
        }
        match incoming.method {
            Method::Subscribe => self.subscribe_received(now, incoming, Some(id)),
            _ => self.refuse(incoming, 405, &[("Allow", "SUBSCRIBE".to_owned())]),
        }
    }

    /// Grants a new subscription: 200 with our Contact and how long it lasts.
    pub(super) fn open_subscription(
        &mut self,
        now: Instant,
        request: RequestId,
        flow: Flow,
        (event, lasts): (String, Duration),
    ) -> Option<SubscriptionId> {
        if self.subscriptions.len() >= self.config.limits.subscriptions_max {
            self.drops.overload += 1;
            let after = self.retry_after();
            self.answer_plain(now, ServerId(request.0), 503, "", &[("Retry-After", after)]);
            return None;
        }
        let mut id = SubscriptionId(self.ids.token());
        while self.subscriptions.contains_key(&id) {
            id = SubscriptionId(self.ids.token());
        }
        let server = ServerId(request.0);
        let asked = self.servers.get(&server)?.asked.as_ref()?;
        let (asked, via) = (asked.request.clone(), asked.via.clone());
        let uri = asked.request_uri().and_then(|uri| Uri::parse(uri).ok()).filter(Uri::is_sip);
        let (user, scheme) = uri
            .map(|uri| (uri.user.unwrap_or_default(), uri.scheme))
            .unwrap_or((String::new(), Scheme::Sip));
        let contact = self.contact_raw(&flow, &user, &scheme);
        let keep_flow = is_behind_nat(&flow, &via);
        let tag = self.ids.tag(id.0);
        let dialog = Dialog::opened_by_request(&asked, &tag, contact, flow, keep_flow);
        let Ok(dialog) = dialog else {
            self.answer_plain(now, server, 400, &tag, &[]);
            return None;
        };
        self.grant(now, server, &dialog, lasts);
        let until = now + lasts;
        let row = Subscription { dialog, event, until, open: false, rest: None, due: None };
        self.subscriptions.insert(id, row);
        self.schedule_subscription(id);
        Some(id)
    }

    /// Grants more time; a refresh moves the target, and the way to it (RFC 6665 §4.1.2.2, §4.4.1).
    pub(super) fn renew_subscription(
        &mut self,
        now: Instant,
        (request, id): (RequestId, SubscriptionId),
        flow: Flow,
        lasts: Duration,
    ) -> bool {
        let server = ServerId(request.0);
        let asked = self.servers.get(&server).and_then(|row| row.asked.as_ref());
        let Some(asked) = asked.map(|asked| asked.request.clone()) else { return false };
        let Some(row) = self.subscriptions.get_mut(&id) else {
            // It ended while its refresh was looked at.
            self.answer_plain(now, server, 481, "", &[]);
            return false;
        };
        row.dialog.refresh_target(&asked);
        row.dialog.flow = flow;
        row.until = now + lasts;
        let dialog = row.dialog.clone();
        self.grant(now, server, &dialog, lasts);
        self.schedule_subscription(id);
        true
    }

    fn grant(&mut self, now: Instant, server: ServerId, dialog: &Dialog, lasts: Duration) {
        let Some(mut draft) = self.answer_draft(server, 200, &dialog.local_tag) else { return };
        if let Some(request) = self.servers.get(&server).and_then(|row| row.request()) {
            for value in request.lines(HeaderName::RecordRoute) {
                draft.push("Record-Route", value);
            }
        }
        draft.push("Contact", &dialog.contact);
        draft.push_args("Expires", format_args!("{}", lasts.as_secs()));
        let bytes = draft.to_bytes();
        self.answer(now, server, 200, &bytes);
    }

    /// Tells a subscriber how things stand. `false`: not now; [`Event::Notified`] follows when it may be
    /// told.
    pub(super) fn send_state(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        body: Option<(&str, Bytes)>,
    ) -> bool {
        let crowded = self.clients.len() >= self.config.limits.client_transactions_max;
        let Some(row) = self.subscriptions.get_mut(&id) else { return false };
        if row.open || row.rest.is_some() {
            return false;
        }
        if crowded {
            row.rest = Some(now + CROWDED);
            self.drops.overload += 1;
            self.schedule_subscription(id);
            return false;
        }
        row.open = true;
        let left = row.until.saturating_duration_since(now).as_secs();
        self.send_notify(now, id, &format!("active;expires={left}"), body, User::Notify(id));
        true
    }

    /// Ends a subscription, and says why (RFC 6665 §4.1.3).
    pub(super) fn close_subscription(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        reason: &str,
        body: Option<(&str, Bytes)>,
    ) {
        let state = format!("terminated;reason={reason}");
        self.send_notify(now, id, &state, body, User::Stray);
        self.drop_subscription(id);
    }

    fn send_notify(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        state: &str,
        body: Option<(&str, Bytes)>,
        user: User,
    ) {
        let Some(row) = self.subscriptions.get_mut(&id) else { return };
        let cseq = row.dialog.next_cseq();
        let (dialog, event) = (row.dialog.clone(), row.event.clone());
        let mut draft: Draft = dialog.draft(&Method::Notify, cseq);
        draft.push("Contact", &dialog.contact);
        draft.push("Event", event);
        draft.push("Subscription-State", state);
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        if let Some((content_type, body)) = body {
            draft.body(content_type, body);
        }
        let out = Outgoing {
            draft,
            method: Method::Notify,
            flow: self.hop(&dialog),
            fallback: self.fallback_hop(&dialog),
            user,
            auth: None,
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out);
    }

    /// The answer to a NOTIFY. Whoever refuses one is told no more (RFC 6665 §4.2.2, RFC 5057 §5), unless
    /// it says when it will listen again.
    pub(super) fn notify_answered(&mut self, now: Instant, id: SubscriptionId, reply: &Reply<'_>) {
        if reply.code < 200 {
            return;
        }
        let Some(row) = self.subscriptions.get_mut(&id) else { return };
        row.open = false;
        if reply.code < 300 {
            row.dialog.refresh_target(reply.message);
            self.events.push_back(Event::Notified { subscription: id, delivered: true });
            return;
        }
        match reply.message.retry_after() {
            Some(RetryAfter { seconds, .. }) => {
                row.rest = Some(now + REST_MAX.min(Duration::from_secs(seconds.into())));
                self.schedule_subscription(id);
            }
            None => self.lose_subscription(id),
        }
    }

    /// Nobody is there any more.
    pub(super) fn lose_subscription(&mut self, id: SubscriptionId) {
        if self.drop_subscription(id) {
            self.events.push_back(Event::Unsubscribed { subscription: id });
        }
    }

    /// The connection of these subscribers is gone.
    pub(super) fn lose_subscriptions_on(&mut self, flow: &Flow) {
        if flow.connection.is_none() {
            return;
        }
        let here = |row: &Subscription| row.dialog.flow.connection == flow.connection;
        let lost = self.subscriptions.iter().filter(|(_, row)| here(row)).map(|(id, _)| *id);
        for id in lost.collect::<Vec<_>>() {
            self.lose_subscription(id);
        }
    }

    fn drop_subscription(&mut self, id: SubscriptionId) -> bool {
        let Some(mut row) = self.subscriptions.remove(&id) else { return false };
        self.schedule.moved(Owner::Subscription(id), &mut row.due, None);
        true
    }

    fn schedule_subscription(&mut self, id: SubscriptionId) {
        let Some(row) = self.subscriptions.get_mut(&id) else { return };
        let (next, _) = row.next_timer();
        self.schedule.moved(Owner::Subscription(id), &mut row.due, Some(next));
    }

    /// A deadline of a subscription has come.
    pub(super) fn subscription_due(&mut self, now: Instant, id: SubscriptionId) {
        let Some(row) = self.subscriptions.get_mut(&id) else { return };
        if row.until <= now {
            self.close_subscription(now, id, "timeout", None);
            self.events.push_back(Event::Unsubscribed { subscription: id });
            return;
        }
        if row.rest.is_some_and(|rest| rest <= now) {
            row.rest = None;
            self.events.push_back(Event::Notified { subscription: id, delivered: false });
        }
        self.schedule_subscription(id);
    }
}
