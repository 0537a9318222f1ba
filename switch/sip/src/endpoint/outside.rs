//! Requests of ours outside of sessions: OPTIONS to a trunk, REGISTER, MESSAGE (RFC 3261 §8.1); and MESSAGE
//! in a session (RFC 3428 §4), which has nothing to do with it but the way; and INFO (RFC 6086), which does.

use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::receive::Incoming;
use super::request::{Extra, Head, push_extra};
use super::table::{Outgoing, Outside, Phase, ServerUser, User};
use super::{EndCause, Endpoint, Event, OutOfDialog, RequestId, RequestOutId, SessionId};
use crate::wire::{Message, Method, NameAddr};

impl Endpoint {
    pub(super) fn start_request(
        &mut self,
        now: Instant,
        wish: OutOfDialog,
        routes: &[NameAddr],
    ) -> RequestOutId {
        self.last_outside += 1;
        let id = RequestOutId(self.last_outside);
        let (call_id, cseq) = match wish.series {
            Some((call_id, last)) => (call_id, last.saturating_add(1)),
            None => (self.ids.call_id(), 1),
        };
        self.outside.insert(id, Outside { call_id: call_id.clone(), cseq, session: None });
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
            routes,
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

    /// A MESSAGE in a session, for the user to answer.
    pub(super) fn message_received(
        &mut self,
        now: Instant,
        session: SessionId,
        incoming: &Incoming,
    ) {
        let id = self.start_server(now, incoming, ServerUser::Request);
        let (id, request) = (RequestId(id.0), incoming.request.clone());
        self.events.push_back(Event::Message { id, session, request });
    }

    /// A MESSAGE of ours in a session.
    pub(super) fn start_message(
        &mut self,
        now: Instant,
        session: SessionId,
        headers: &[(String, Vec<u8>)],
        (content_type, body): (&str, Bytes),
    ) -> Option<RequestOutId> {
        self.start_within(now, (session, None), Method::Message, headers, (content_type, body))
    }

    /// An INFO of ours in a session.
    pub(super) fn start_info(
        &mut self,
        now: Instant,
        session: SessionId,
        package: Option<&str>,
        body: (&str, Bytes),
    ) -> Option<RequestOutId> {
        // RFC 6086 §4.2.1, §8: the body is what the package says.
        let of_package = |name: &str| {
            let disposition = ("Content-Disposition".to_owned(), b"Info-Package".to_vec());
            vec![("Info-Package".to_owned(), name.as_bytes().to_vec()), disposition]
        };
        let headers = package.map(of_package).unwrap_or_default();
        self.start_within(now, (session, Some(session)), Method::Info, &headers, body)
    }

    /// `hangs`: the session that is over where its dialog is not known.
    fn start_within(
        &mut self,
        now: Instant,
        (session, hangs): (SessionId, Option<SessionId>),
        method: Method,
        headers: &[(String, Vec<u8>)],
        (content_type, body): (&str, Bytes),
    ) -> Option<RequestOutId> {
        let up = self.up(session).filter(|up| up.bye.is_none() && up.held().is_none())?;
        let cseq = up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        self.last_outside += 1;
        let id = RequestOutId(self.last_outside);
        let row = Outside { call_id: dialog.call_id.clone(), cseq, session: hangs };
        self.outside.insert(id, row);
        let mut draft = dialog.draft(&method, cseq);
        if !self.config.user_agent.is_empty() {
            draft.push("User-Agent", &self.config.user_agent);
        }
        push_extra(&mut draft, headers, Extra::Session);
        draft.body(content_type, body);
        let auth = self.sessions.get(&session).and_then(|row| row.auth.clone());
        let out = Outgoing {
            draft,
            method,
            flow: self.hop(&dialog),
            fallback: self.fallback_hop(&dialog),
            user: User::Outside(id),
            auth: Auth::within_dialog(auth.as_ref()),
            keep_flow: dialog.keep_flow,
        };
        self.start_client(now, out);
        Some(id)
    }

    /// Call-ID, our tag and the peer's of a session.
    pub(super) fn session_tags(&self, id: SessionId) -> Option<(String, String, String)> {
        let row = self.sessions.get(&id)?;
        let (local, remote) = match &row.phase {
            Phase::Up(up) => (up.dialog.local_tag.clone(), up.dialog.remote_tag.clone()),
            Phase::Ending(dialog) => (dialog.local_tag.clone(), dialog.remote_tag.clone()),
            Phase::Ringing(ringing) => {
                (ringing.dialog.local_tag.clone(), ringing.dialog.remote_tag.clone())
            }
            Phase::Calling(calling) => {
                let first = calling.early.first().map(|early| early.tag.clone());
                (self.ids.tag(id.0), first.unwrap_or_default())
            }
            Phase::Over(_) => return None,
        };
        Some((row.call_id.clone(), local, remote))
    }

    /// RFC 3261 §12.2.1.2: a request in a session found nobody who knows its dialog, or nobody at all.
    pub(super) fn doubt_dialog(&mut self, now: Instant, id: RequestOutId, code: u16) {
        let session = self.outside.get(&id).and_then(|row| row.session);
        if let (Some(session), 408 | 481) = (session, code) {
            self.lose_dialog(now, session, EndCause::Rejected481, None);
        }
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
