//! Answers to challenges of our requests (RFC 3261 §22.2, §22.3).
//!
//! A peer learns a digest of the trunk's password only if it is the trunk: the challenge must come
//! over the flow that the request took, must name the configured realm (or the one that challenged
//! the first request of the dialog), and is answered a bounded number of times. A callee that
//! challenges our BYE with the realm of a gateway gets nothing.

use std::sync::Arc;

use super::table::{Client, Outgoing};
use super::{Credentials, Endpoint, Flow};
use crate::digest;
use crate::wire::{Draft, HeaderName, Message};

/// The right to answer challenges, carried by each client transaction of a session.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    credentials: Arc<Credentials>,
    /// The realm that may ask; `None` until the first challenge if none is configured.
    realm: Option<String>,
    /// Challenges answered for this request.
    tries: u8,
}

impl Auth {
    pub(super) fn new(credentials: Credentials) -> Auth {
        let realm = credentials.realm.clone();
        Auth { credentials: Arc::new(credentials), realm, tries: 0 }
    }

    /// For a new request within the dialog: the count starts anew, the realm stays. `None` as long
    /// as no realm is known: only the request that opens a dialog may be asked by whoever answers.
    pub(super) fn within_dialog(auth: Option<&Auth>) -> Option<Auth> {
        auth.filter(|auth| auth.realm.is_some()).map(|auth| Auth { tries: 0, ..auth.clone() })
    }
}

/// What a challenge leads to.
pub(super) enum Challenged {
    /// This request goes out instead.
    Retry(Box<Outgoing>, u32),
    /// The challenge is a refusal like any other.
    Refused,
}

impl Endpoint {
    /// Builds the request that answers a 401 or 407, with the next CSeq number.
    pub(super) fn answer_challenge(
        &mut self,
        client: &Client,
        response: &Message,
        source: &Flow,
    ) -> Challenged {
        let Some(auth) = &client.auth else { return Challenged::Refused };
        if auth.tries >= self.config.limits.challenges_max || source.remote != client.flow.remote {
            return Challenged::Refused;
        }
        let Some((header, challenge)) = digest::challenge_of(response, auth.realm.as_deref())
        else {
            return Challenged::Refused;
        };
        // RFC 3261 §22.1: the same credentials refused again are not tried again, unless only the
        // nonce was too old.
        if auth.tries > 0 && !challenge.stale && client.user_is_settled(header) {
            return Challenged::Refused;
        }
        let Ok(request) = Message::parse(client.request.clone()) else {
            return Challenged::Refused;
        };
        let Ok(cseq) = request.cseq() else { return Challenged::Refused };
        let uri = request.request_uri().unwrap_or_default();
        let cnonce = self.ids.nonce();
        let Some(answer) = challenge.answer(
            &auth.credentials.username,
            &auth.credentials.password,
            client.method.as_str(),
            uri,
            1,
            &cnonce,
        ) else {
            return Challenged::Refused;
        };
        let number = cseq.number + 1;
        let mut draft = copy_of(&request);
        // §8.1.3.5: a new transaction, the same Call-ID, From and To, the next number.
        draft.set("CSeq", format!("{number} {}", client.method));
        draft.set(header.as_str(), answer);
        let auth = Auth {
            credentials: Arc::clone(&auth.credentials),
            realm: Some(challenge.realm),
            tries: auth.tries + 1,
        };
        Challenged::Retry(
            Box::new(Outgoing {
                draft,
                method: client.method.clone(),
                flow: client.flow,
                fallback: client.fallback,
                user: client.user,
                auth: Some(auth),
                // The way is known to work; it is not changed between two tries.
                keep_flow: true,
            }),
            number,
        )
    }
}

impl Client {
    /// The request already bore an answer in this header.
    fn user_is_settled(&self, header: HeaderName) -> bool {
        Message::parse(self.request.clone()).is_ok_and(|request| request.header(header).is_some())
    }
}

/// A request of ours as a draft again, all headers and the body in place.
pub(super) fn copy_of(request: &Message) -> Draft {
    let method = request.method().cloned().unwrap_or(crate::wire::Method::Options);
    let mut draft = Draft::request_to(&method, request.request_uri().unwrap_or_default());
    let mut content_type = None;
    for (name, written, value) in request.fields() {
        match name {
            HeaderName::ContentLength => {}
            HeaderName::ContentType => content_type = request.header_str(name),
            _ => {
                draft.push(&String::from_utf8_lossy(written), value);
            }
        }
    }
    if let Some(content_type) = content_type {
        draft.body(content_type, request.body_bytes());
    }
    draft
}
