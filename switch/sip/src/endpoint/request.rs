//! The common part of requests that open something (RFC 3261 §8.1.1), and the user's own headers.

use super::Edit;
use crate::wire::{Draft, Method, NameAddr, Uri};

/// The headers that every request bears.
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) routes: &'a [NameAddr],
    pub(super) from: &'a NameAddr,
    pub(super) to: &'a NameAddr,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
}

impl Head<'_> {
    /// A draft with an empty Via for the sender to fill.
    pub(super) fn draft(&self) -> Draft {
        let mut draft = Draft::request(self.method, self.uri);
        draft.push("Via", "");
        for route in self.routes {
            draft.push("Route", route.to_bytes());
        }
        draft.push("Max-Forwards", "70");
        draft.push("From", self.from.to_bytes());
        draft.push("To", self.to.to_bytes());
        draft.push("Call-ID", self.call_id);
        draft.push_args("CSeq", format_args!("{} {}", self.cseq, self.method));
        draft
    }
}

/// Whose headers are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// To a message of a session, whose Contact is ours.
    Session,
    /// To a message outside of sessions.
    Outside,
}

/// Headers that belong to the transaction and the dialog, never to the user.
const OURS: [&str; 18] = [
    "Via",
    "v",
    "From",
    "f",
    "To",
    "t",
    "Call-ID",
    "i",
    "CSeq",
    "Route",
    "Record-Route",
    "Content-Length",
    "l",
    "Content-Type",
    "c",
    "RSeq",
    "RAck",
    "Authorization",
];

/// Headers that replace ours instead of standing beside them.
const REPLACE: [&str; 5] = ["Max-Forwards", "User-Agent", "Server", "Allow", "Accept"];

/// Changes headers as the user wishes; those of the transaction and the session stay.
pub(super) fn edit(draft: &mut Draft, edits: &[Edit]) {
    let ours = |name: &str| {
        let mut all = OURS.iter().chain(&["Contact", "m", "Max-Forwards"]);
        all.any(|ours| ours.eq_ignore_ascii_case(name))
    };
    for edit in edits {
        match edit {
            Edit::Add(name, value) if !ours(name) => draft.push(name, value),
            Edit::Set(name, value) if !ours(name) => draft.set(name, value),
            Edit::Remove(name) if !ours(name) => draft.remove(name),
            Edit::Add(..) | Edit::Set(..) | Edit::Remove(_) => draft,
        };
    }
}

/// Adds the user's headers.
pub(super) fn push_extra(draft: &mut Draft, headers: &[(String, Vec<u8>)], extra: Extra) {
    for (name, value) in headers {
        let among = |list: &[&str]| list.iter().any(|other| other.eq_ignore_ascii_case(name));
        if among(&OURS) || (extra == Extra::Session && among(&["Contact", "m"])) {
            continue;
        }
        if among(&REPLACE) {
            draft.set(name, value);
        } else {
            draft.push(name, value);
        }
    }
}
