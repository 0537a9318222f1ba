//! Requests of ours outside of sessions: OPTIONS to a trunk, REGISTER, MESSAGE (RFC 3261 §8.1).

use std::time::Instant;

use super::auth::Auth;
use super::request::{Extra, Head, push_extra};
use super::table::{Outgoing, Outside, User};
use super::{Endpoint, Event, OutOfDialog, RequestOutId};
use crate::wire::{Message, Method};

impl Endpoint {
    pub(super) fn start_request(&mut self, now: Instant, wish: OutOfDialog) -> RequestOutId {
        self.last_outside += 1;
        let id = RequestOutId(self.last_outside);
        let (call_id, cseq) = match wish.series {
            Some((call_id, last)) => (call_id, last.saturating_add(1)),
            None => (self.ids.call_id(), 1),
        };
        self.outside.insert(id, Outside { call_id: call_id.clone(), cseq });
        let sessions_only =
            matches!(wish.method, Method::Invite | Method::Ack | Method::Cancel | Method::Bye);
        if sessions_only || self.clients.len() >= self.config.limits.client_transactions_max {
            self.drops.overload += 1;
            self.outside_settled(id, 503, None);
            return id;
        }
        let mut from = wish.from;
        let token = self.ids.token();
        from.set_tag(&self.ids.tag(token));
        let mut to = wish.to;
        to.params.remove("tag");
        let head = Head {
            method: &wish.method,
            uri: &wish.uri,
            routes: &[],
            from: &from,
            to: &to,
            call_id: &call_id,
            cseq,
        };
        let mut draft = head.draft();
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        push_extra(&mut draft, &wish.headers, Extra::Outside);
        if let Some((content_type, body)) = wish.body {
            draft.body(&content_type, body);
        }
        let out = Outgoing {
            draft,
            method: wish.method,
            flow: wish.flow,
            fallback: None,
            user: User::Outside(id),
            auth: wish.credentials.map(Auth::new),
            keep_flow: false,
        };
        self.start_client(now, out);
        id
    }

    pub(super) fn outside_settled(
        &mut self,
        id: RequestOutId,
        code: u16,
        message: Option<&Message>,
    ) {
        let Some(row) = self.outside.remove(&id) else { return };
        self.events.push_back(Event::Response {
            id,
            code,
            message: message.cloned(),
            cseq: row.cseq,
            call_id: row.call_id,
        });
    }
}
