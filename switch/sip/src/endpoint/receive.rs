//! A message comes in: what is it, to whom does it belong, and may it pass (RFC 3261 §8.2, §12.2.2).
//!
//! Refusals made here keep no state (§8.2.7): a copy of the request draws the same answer with the
//! same tag, an ACK of it is dropped, and a flood leaves nothing behind.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::early::RELIABLE;
use super::route::reply_flow;
use super::server::{merge_key, server_key};
use super::table::{ClientKey, Phase, ServerUser};
use super::{Endpoint, Event, Flow, RequestId, SessionId};
use crate::dialog::OPTION;
use crate::wire::{HeaderName, Message, Method, ParseFault, Part, Via};

/// Server transactions beyond the maximum that only requests within dialogs may take: who is in a
/// call comes first (RFC 6357 §3).
const IN_DIALOG_RESERVE: usize = 8;

/// What a REGISTER may require of a registrar (RFC 3327 §4, RFC 5626 §4.2.1); whether it is done for this one is
/// the user's to say.
const REGISTRAR: [&str; 2] = ["path", "outbound"];

/// RFC 4488 §4: a REFER that wants no NOTIFY.
const SILENT: &str = "norefersub";
/// RFC 3891 §6.2.
const REPLACES: &str = "replaces";

/// A request on its way in.
pub(super) struct Incoming {
    pub(super) request: Message,
    pub(super) method: Method,
    pub(super) flow: Flow,
    /// The top Via, stamped with where it came from.
    pub(super) via: Via,
    /// Where answers go.
    pub(super) reply: Flow,
    pub(super) key: Arc<str>,
}

impl Incoming {
    fn new(flow: Flow, request: Message) -> Option<Incoming> {
        let method = request.method()?.clone();
        let mut via = request.via().ok()?;
        let key = server_key(&request, &via, &method);
        let reply = reply_flow(&flow, &via);
        // §18.2.1, RFC 3581 §4.
        via.stamp(flow.remote.ip(), flow.remote.port());
        Some(Incoming { request, method, flow, via, reply, key })
    }
}

impl Endpoint {
    pub(super) fn receive(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        match Message::parse(bytes) {
            Ok(message) if message.is_request() => self.receive_request(now, flow, message),
            Ok(message) => self.handle_response(now, flow, &message),
            Err(error) => {
                if error.fault == ParseFault::Empty {
                    return;
                }
                let incoming =
                    error.answerable().cloned().and_then(|part| Incoming::new(flow, part));
                match incoming {
                    Some(incoming) => self.refuse(&incoming, error.fault.status(), &[]),
                    None => self.drops.unreadable += 1,
                }
            }
        }
    }

    /// A message for which there is no time: a request is refused with 503 and a wait (RFC 3261 §21.5.4), a copy
    /// of one that is being served is served. Keeps nothing.
    pub(super) fn excuse_from(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        let Ok(request) = Message::parse(bytes) else { return };
        let Some(mut incoming) = Incoming::new(flow, request) else { return };
        self.say_load(now, &mut incoming);
        if let Some(&id) = self.server_keys.get(&incoming.key) {
            return self.server_matched(now, id, &incoming);
        }
        if incoming.method == Method::Ack {
            return self.ack_received(now, &incoming);
        }
        self.drops.overload += 1;
        self.load.came(now);
        self.load.turned_away();
        let after = self.retry_after();
        self.refuse(&incoming, 503, &[("Retry-After", after)]);
    }

    fn receive_request(&mut self, now: Instant, flow: Flow, request: Message) {
        let Some(mut incoming) = Incoming::new(flow, request) else {
            self.drops.unreadable += 1;
            return;
        };
        self.say_load(now, &mut incoming);
        // §17.2.3: copies first, and cheaply.
        if let Some(&id) = self.server_keys.get(&incoming.key) {
            return self.server_matched(now, id, &incoming);
        }
        if let Err(fault) = incoming.request.verify() {
            return self.refuse(&incoming, fault.status(), &[]);
        }
        match incoming.method {
            Method::Ack => return self.ack_received(now, &incoming),
            Method::Cancel => return self.cancel_received(now, &incoming),
            _ => {}
        }
        let in_dialog = incoming.request.to_tag().is_some();
        if let Some((code, headers)) = self.head_fault(&incoming) {
            return self.refuse(&incoming, code, &headers);
        }
        if !in_dialog {
            self.load.came(now);
        }
        if self.is_full(in_dialog) {
            self.drops.overload += 1;
            self.load.turned_away();
            let after = self.retry_after();
            return self.refuse(&incoming, 503, &[("Retry-After", after)]);
        }
        if in_dialog {
            self.receive_within(now, &incoming);
        } else {
            self.receive_outside(now, &incoming);
        }
    }

    /// §8.2.1 and §8.2.2.3: the method and the extensions asked for.
    fn head_fault(&self, incoming: &Incoming) -> Option<(u16, Headers)> {
        let request = &incoming.request;
        if !self.knows(&incoming.method) {
            // §8.2.1: 405 for what we know and do not do here; §21.5.2: 501 for what nobody knows.
            let code = if matches!(incoming.method, Method::Other(_)) { 501 } else { 405 };
            return Some((code, vec![("Allow", self.allow())]));
        }
        // §8.2.2.3.
        let required: Vec<String> = request
            .headers(HeaderName::Require)
            .filter(|token| {
                let registers = incoming.method == Method::Register;
                let more = REGISTRAR.iter().filter(|_| registers);
                let mut known = [RELIABLE, OPTION, SILENT, REPLACES].iter().chain(more);
                known.all(|known| !token.eq_ignore_ascii_case(known.as_bytes()))
            })
            .map(|token| String::from_utf8_lossy(token).into_owned())
            .collect();
        if !required.is_empty() {
            return Some((420, vec![("Unsupported", required.join(", "))]));
        }
        None
    }

    /// A request without a To tag.
    fn receive_outside(&mut self, now: Instant, incoming: &Incoming) {
        let request = &incoming.request;
        // §8.2.2.2: the same request by another path.
        if let Some(key) = merge_key(request)
            && self.merged.contains_key(&key)
        {
            return self.refuse(incoming, 482, &[]);
        }
        match incoming.method {
            Method::Invite => {
                if let Some((code, headers)) = invite_fault(request, self.config.bodies) {
                    return self.refuse(incoming, code, &headers);
                }
                if self.is_loop(request) {
                    return self.refuse(incoming, 482, &[]);
                }
                if self.sessions.len() >= self.config.limits.sessions_max {
                    self.drops.overload += 1;
                    let after = self.retry_after();
                    return self.refuse(incoming, 503, &[("Retry-After", after)]);
                }
                self.new_invite(now, incoming);
            }
            // §15.1.2, RFC 6086 §4.2.1, RFC 3262 §3, RFC 3311 §5.2: these live in dialogs only.
            Method::Bye | Method::Info | Method::Prack | Method::Update => {
                self.refuse(incoming, 481, &[]);
            }
            // RFC 3515 §2.4.2: whoever is in no call of ours has nobody to be transferred.
            Method::Refer => self.refuse(incoming, 403, &[]),
            Method::Subscribe => self.subscribe_received(now, incoming, None),
            _ => self.ask_user(now, incoming),
        }
    }

    /// RFC 5393 §4.2: an INVITE of ours has come back as it left. With another Request-URI it is a
    /// spiral, which is fine (RFC 3261 §16.3 step 4). Our Via leads to the transaction, so no hash of
    /// the request is needed in it.
    fn is_loop(&self, request: &Message) -> bool {
        request.raw_vias().any(|via| {
            let token = via.branch().and_then(|branch| self.ids.token_of_branch(&branch));
            let Some(token) = token.filter(|_| self.is_ours(via)) else { return false };
            let client = self.clients.get(&ClientKey { token, cancel: false });
            let left = client.and_then(|client| Message::parse(client.request.clone()).ok());
            left.is_some_and(|left| left.request_uri() == request.request_uri())
        })
    }

    fn ask_user(&mut self, now: Instant, incoming: &Incoming) {
        let id = self.start_server(now, incoming, ServerUser::Request);
        self.events.push_back(Event::Request {
            id: RequestId(id.0),
            request: incoming.request.clone(),
            flow: incoming.flow,
        });
    }

    /// A request with a To tag (§12.2.2).
    fn receive_within(&mut self, now: Instant, incoming: &Incoming) {
        let Some(session) = self.dialog_session(&incoming.request) else {
            return match self.dialog_subscription(&incoming.request) {
                Some(id) => self.receive_subscribed(now, id, incoming),
                None => self.refuse(incoming, 481, &[]),
            };
        };
        if !self.take_order(session, &incoming.request) {
            return self.refuse(incoming, 500, &[]);
        }
        match incoming.method {
            Method::Bye => self.bye_received(now, session, incoming),
            Method::Invite => self.reinvite_received(now, session, incoming),
            Method::Prack => self.prack_received(now, session, incoming),
            Method::Update => self.update_received(now, session, incoming),
            Method::Options => {
                let headers = [
                    ("Allow", self.allow()),
                    ("Accept", super::ACCEPTED.to_owned()),
                    ("Supported", super::SUPPORTED.to_owned()),
                ];
                self.answer_within(now, incoming, 200, &headers);
            }
            Method::Info => self.info_received(now, session, incoming),
            Method::Message => self.message_received(now, session, incoming),
            Method::Refer => self.refer_received(now, session, incoming),
            _ => {
                let method = incoming.method.as_str();
                // RFC 3261 §8.2.1: what may be asked outside of a dialog is not allowed within this one.
                let allow = self.allow();
                let within = allow.split(", ").filter(|name| *name != method);
                let within = within.collect::<Vec<_>>().join(", ");
                self.refuse(incoming, 405, &[("Allow", within)]);
            }
        }
    }

    fn take_order(&mut self, id: SessionId, request: &Message) -> bool {
        let Ok(cseq) = request.cseq() else { return false };
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        match &mut session.phase {
            Phase::Up(up) => up.dialog.take_order(cseq.number),
            Phase::Ending(dialog) => dialog.take_order(cseq.number),
            Phase::Ringing(ringing) => ringing.dialog.take_order(cseq.number),
            Phase::Calling(calling) => {
                let tag = request.from_tag();
                let tag = tag.as_deref();
                let early = calling.early.iter_mut().find(|early| Some(early.tag.as_str()) == tag);
                early.is_none_or(|early| {
                    let fits = early.remote_cseq.is_none_or(|last| cseq.number >= last);
                    if fits {
                        early.remote_cseq = Some(cseq.number);
                    }
                    fits
                })
            }
            Phase::Over(_) => true,
        }
    }

    /// INFO (RFC 6086): of packages that are taken in the session, and of key presses in the two legacy types and
    /// of bodies that our answer named in its Accept, the user is told.
    fn info_received(&mut self, now: Instant, session: SessionId, incoming: &Incoming) {
        const KEYS: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];
        let request = &incoming.request;
        if let Some(package) = request.header_str(HeaderName::InfoPackage) {
            let package = package.split(';').next().unwrap_or(package).trim().to_owned();
            let taken = self.sessions.get(&session).map(|row| row.packages.as_slice());
            let taken = taken.unwrap_or_default();
            if !taken.iter().any(|known| known.eq_ignore_ascii_case(&package)) {
                // RFC 6086 §4.2.2: 469 and the packages that are taken.
                let taken = taken.join(", ");
                return self.answer_within(now, incoming, 469, &[("Recv-Info", taken)]);
            }
            self.answer_within(now, incoming, 200, &[]);
            return self.tell_info(session, Some(package), request);
        }
        if request.body().is_empty() {
            return self.answer_within(now, incoming, 200, &[]);
        }
        let own = self.sessions.get(&session).map(|row| row.bodies.as_slice()).unwrap_or_default();
        let is_key = KEYS.iter().any(|media_type| request.has_body_of(media_type));
        if !is_key && !own.iter().any(|media_type| request.has_body_of(media_type)) {
            return self.answer_within(now, incoming, 415, &[("Accept", KEYS.join(", "))]);
        }
        self.answer_within(now, incoming, 200, &[]);
        self.tell_info(session, None, request);
    }

    fn tell_info(&mut self, session: SessionId, package: Option<String>, request: &Message) {
        self.events.push_back(Event::Info {
            session,
            package,
            content_type: request.content_type().unwrap_or_default().to_ascii_lowercase(),
            body: request.body_bytes(),
        });
    }

    /// Answers without keeping state. An ACK is never answered (§17: it has no transaction).
    pub(super) fn refuse(&mut self, incoming: &Incoming, code: u16, headers: &[(&str, String)]) {
        if incoming.method == Method::Ack {
            self.drops.stray_acks += 1;
            return;
        }
        self.drops.refused += 1;
        let mut draft = self.reply_draft(&incoming.request, &incoming.via, code);
        draft.tag_to(&self.stateless_tag(&incoming.key, &incoming.request));
        for (name, value) in headers {
            draft.push(name, value);
        }
        let bytes = draft.to_bytes();
        self.transmit(incoming.reply, bytes);
    }

    /// §8.2.7: the same tag for each copy of a request, without remembering it.
    pub(super) fn stateless_tag(&self, key: &str, request: &Message) -> String {
        let part = |name| request.header(name).unwrap_or_default();
        self.ids.stateless_tag([
            key.as_bytes(),
            part(HeaderName::From),
            part(HeaderName::CallId),
            part(HeaderName::CSeq),
        ])
    }

    fn knows(&self, method: &Method) -> bool {
        matches!(
            method,
            Method::Invite
                | Method::Bye
                | Method::Options
                | Method::Info
                | Method::Cancel
                | Method::Prack
                | Method::Update
                | Method::Refer
        ) || self.config.methods.contains(method)
    }

    pub(super) fn is_full(&self, in_dialog: bool) -> bool {
        let max = self.config.limits.server_transactions_max;
        let reserve = if in_dialog { max / IN_DIALOG_RESERVE } else { 0 };
        self.servers.len() >= max + reserve
    }

    /// Overload is answered with a random wait, so that not all come back at once.
    pub(super) fn retry_after(&mut self) -> String {
        let limits = &self.config.limits;
        let range = u64::from(limits.retry_after_min)..=u64::from(limits.retry_after_max);
        self.ids.between(&range).to_string()
    }
}

type Headers = Vec<(&'static str, String)>;

/// What a new INVITE must bear (§8.1.1.8, §8.2.3, §16.3).
fn invite_fault(request: &Message, bodies: &[&str]) -> Option<(u16, Headers)> {
    if request.contact().is_err() {
        return Some((400, Vec::new()));
    }
    // §16.3: with no hop left it cannot be passed on to the other leg.
    if request.max_forwards().ok().flatten() == Some(0) {
        return Some((483, Vec::new()));
    }
    // RFC 5393 §5.3.3.1: it may not even be passed on once.
    if request.number(HeaderName::MaxBreadth).ok().flatten() == Some(0) {
        return Some((440, Vec::new()));
    }
    // §20.1: an Accept without our only type leaves nothing to answer with.
    let accepts = |value: &[u8]| {
        let value = String::from_utf8_lossy(value);
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(media_type.as_str(), "application/sdp" | "application/*" | "*/*")
            || bodies.contains(&media_type.as_str())
    };
    if request.count(HeaderName::Accept) > 0 && !request.headers(HeaderName::Accept).any(accepts) {
        return Some((406, Vec::new()));
    }
    body_fault(request, bodies)
}

/// §8.2.3: a body that has to be understood and cannot be. `bodies`: what is understood besides a description.
pub(super) fn body_fault(request: &Message, bodies: &[&str]) -> Option<(u16, Headers)> {
    if request.body().is_empty() {
        return None;
    }
    let optional = request.header_str(HeaderName::ContentDisposition).is_some_and(|value| {
        let value = value.to_ascii_lowercase();
        value.split(';').any(|part| part.trim().replace(' ', "") == "handling=optional")
    });
    if optional {
        return None;
    }
    let encoded = request
        .headers(HeaderName::ContentEncoding)
        .any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Some((415, vec![("Accept-Encoding", "identity".to_owned())]));
    }
    let read = |media_type: &&str| request.has_body_of(media_type);
    if request.has_body_of("application/sdp") || bodies.iter().any(read) {
        return None;
    }
    let understood = request.parts().is_some_and(|parts| {
        let known =
            |part: &Part| part.is_description() || bodies.contains(&part.media_type.as_str());
        let alternative = request
            .content_type()
            .is_some_and(|media_type| media_type.eq_ignore_ascii_case("multipart/alternative"));
        // RFC 2046 §5.1.4: of alternatives one is enough; RFC 5621 §8.2: of others each that is not optional.
        match alternative {
            true => parts.iter().any(known),
            false => parts.iter().all(|part| part.optional || known(part)),
        }
    });
    let accepted = || [&[super::ACCEPTED][..], bodies].concat().join(", ");
    (!understood).then(|| (415, vec![("Accept", accepted())]))
}
