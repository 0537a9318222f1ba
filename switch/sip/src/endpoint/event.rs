//! The vocabulary between an endpoint and its user: ids, wishes and events.

use bytes::Bytes;

use super::{Credentials, Flow, SessionTimers};
use crate::wire::{Contact, Message, Method, NameAddr, Reason, Uri};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// One INVITE usage, from its first request to its last answer. Never reused.
    SessionId,
    /// A request that the user has to answer with [`Endpoint::respond`](super::Endpoint::respond).
    RequestId,
    /// A request that the user sent with [`Endpoint::request`](super::Endpoint::request).
    RequestOutId,
    /// Somebody's subscription to what the user knows (RFC 6665), until it ends. Never reused.
    SubscriptionId,
}

/// Bytes to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The way.
    pub flow: Flow,
    /// The message.
    pub bytes: Bytes,
}

/// An outgoing INVITE.
#[derive(Clone, Debug)]
pub struct Invite {
    /// Request-URI.
    pub uri: Uri,
    /// Next hop.
    pub flow: Flow,
    /// From; a tag in it is replaced by ours.
    pub from: NameAddr,
    /// To; a tag in it is removed.
    pub to: NameAddr,
    /// User part of our Contact; empty for none.
    pub contact_user: String,
    /// Further headers, in order. `Max-Forwards` replaces the default of 70 (RFC 3261 §8.1.1.6);
    /// the headers of the dialog itself (Via, From, To, Call-ID, CSeq, Contact, Route,
    /// Content-Type, Content-Length) are ignored.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The offer. Empty: the INVITE bears none and the 2xx is expected to.
    pub sdp: Bytes,
    /// What answers a challenge. Without it 401 and 407 end the session.
    pub credentials: Option<Credentials>,
    /// Pre-loaded route set, first hop first (RFC 3261 §8.1.1.1).
    pub route: Vec<NameAddr>,
    /// Send everything in the dialog over `flow`, whatever Contact or Record-Route say: the peer is
    /// a registered phone whose own address is of no use behind its NAT. Without it a Contact or
    /// Record-Route with a reachable address is followed (see [`Endpoint`](super::Endpoint)).
    pub keep_flow: bool,
    /// Say that we take reliable provisional answers (RFC 3262 §4).
    pub reliable: bool,
    /// Wishes for the session timer (RFC 4028); `None`: those of [`EndpointConfig`](super::EndpointConfig).
    pub timers: Option<SessionTimers>,
    /// Changes to the headers of the INVITE as it would leave, in order. Those of the dialog stay as they
    /// are, as with [`Invite::headers`].
    pub edits: Vec<Edit>,
}

/// A change to the headers of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// One more of this name.
    Add(String, Vec<u8>),
    /// This one in place of all of the name.
    Set(String, Vec<u8>),
    /// None of this name.
    Remove(String),
}

/// An outgoing request outside of a session.
#[derive(Clone, Debug)]
pub struct OutOfDialog {
    /// Method; not INVITE, ACK, CANCEL or BYE.
    pub method: Method,
    /// Request-URI.
    pub uri: Uri,
    /// Next hop.
    pub flow: Flow,
    /// From; a tag in it is replaced by ours.
    pub from: NameAddr,
    /// To.
    pub to: NameAddr,
    /// Further headers, in order, as in [`Invite::headers`]; Contact is allowed.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Content type and body.
    pub body: Option<(String, Bytes)>,
    /// What answers a challenge.
    pub credentials: Option<Credentials>,
    /// Call-ID and CSeq number of the last request of the same series (registrations keep one
    /// Call-ID, RFC 3261 §10.2); the request takes the next number.
    pub series: Option<(String, u32)>,
}

/// An answer to an [`Event::Request`], and the extras of a refusal.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code, 200 to 699.
    pub code: u16,
    /// Reason phrase; empty for the usual one.
    pub phrase: String,
    /// Further headers, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Content type and body.
    pub body: Option<(String, Bytes)>,
}

/// Why a session that was up is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The peer sent BYE.
    Bye,
    /// The peer never acknowledged our 2xx; we sent BYE (RFC 3261 §13.3.1.4).
    AckTimeout,
    /// The peer does not know the dialog any more: 481 (or 408) to a request of ours (§12.2.1.2).
    Rejected481,
    /// A request of ours in the dialog was not answered or could not be sent.
    TransportLost,
    /// The session timer ran out: nobody gave a sign of life. We sent BYE (RFC 4028 §10).
    Expired,
}

/// What happened. Each session has exactly one last event: `Failed`, `Cancelled`, `Ended` or
/// `ByeDone`; afterwards its id is unknown here.
#[derive(Clone, Debug)]
pub enum Event {
    /// A neighbour that was asked says how much is too much (RFC 7339).
    Relief {
        /// Which one: where our request went.
        remote: std::net::SocketAddr,
        /// What it asks for.
        relief: super::Relief,
    },
    /// A new INVITE. 100 is sent already; answer it with `provisional`, `accept` or `reject`.
    Invite {
        /// The new session.
        session: SessionId,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// 100: the next hop has our INVITE and is at it. Nothing else is known yet.
    Trying {
        /// The session.
        session: SessionId,
    },
    /// Our INVITE was challenged and goes out anew, by another transaction, or its transport failed
    /// and it goes by another (RFC 3261 §18.1.1). Only when
    /// [`EndpointConfig::careful`](super::EndpointConfig::careful): it waits.
    Again {
        /// The session.
        session: SessionId,
    },
    /// A provisional answer, 101 to 199. It never ends anything.
    Progress {
        /// The session.
        session: SessionId,
        /// Status code.
        code: u16,
        /// Session description, if it bears one; none where it only repeats what a reliable answer of
        /// the same branch said.
        sdp: Option<Bytes>,
        /// It bears an offer, because our INVITE bore none: `prack` is to answer it (RFC 3262 §5).
        owed: bool,
        /// The branch that speaks; each is an early dialog of its own. Empty without a tag.
        to_tag: String,
        /// Reason, if given (RFC 3326).
        reason: Option<Reason>,
    },
    /// Our INVITE was accepted. It is acknowledged already, or will be when a careful user lets it go; copies are acknowledged silently, and
    /// a 2xx of another branch is acknowledged and ended by BYE without a word.
    Answered {
        /// The session.
        session: SessionId,
        /// Session description.
        sdp: Option<Bytes>,
        /// The branch that answered, as in [`Event::Progress`].
        to_tag: String,
    },
    /// Our INVITE came to nothing. The session is gone.
    Failed {
        /// The session.
        session: SessionId,
        /// Status code; 408 and 503 for our own verdicts, 487 after a cancel.
        code: u16,
        /// Q.850 cause of a Reason header (RFC 3326), if any.
        q850: Option<u8>,
        /// Our own verdict: time-out or transport error, no answer from the peer.
        local: bool,
        /// We cancelled, the peer's 2xx crossed it, and we ended that dialog by ACK and BYE. A careful
        /// user is told before: this is not the last event then, the dialog is there and its ACK
        /// waits, and `bye` is to end it. It may come after the last event of an INVITE to which there
        /// was no final answer.
        crossed: bool,
        /// Retry-After in seconds.
        retry_after: Option<u32>,
        /// Contacts of a 3xx or 485.
        contacts: Vec<Contact>,
    },
    /// Our 2xx, which had to wait for the PRACK of a provisional answer (RFC 3262 §3), has left.
    Accepted {
        /// The session.
        session: SessionId,
    },
    /// The peer acknowledged our 2xx (the first ACK to each; copies are silent).
    Acked {
        /// The session.
        session: SessionId,
        /// Session description in the ACK: the answer to an offer in our 2xx.
        sdp: Option<Bytes>,
    },
    /// The peer acknowledged a provisional answer of ours that bore an offer, and answers it.
    Pracked {
        /// The session.
        session: SessionId,
        /// Its answer.
        sdp: Bytes,
    },
    /// The peer cancelled its INVITE (or ended it by BYE) before our answer left, or nobody answered it in
    /// time, or its provisional answers were not acknowledged. The session is gone.
    Cancelled {
        /// The session.
        session: SessionId,
        /// The status that was sent: 487 when the peer gave up, another for a verdict of ours.
        code: u16,
        /// Reason of the CANCEL, if given.
        reason: Option<Reason>,
    },
    /// An offer in a session that is up, or in an early dialog: a re-INVITE, an UPDATE or a PRACK, to be
    /// answered with `accept_reinvite` or `reject_reinvite`. Glare is dealt with below.
    Reinvite {
        /// The session.
        session: SessionId,
        /// The offer; `None` asks for ours.
        sdp: Option<Bytes>,
        /// Where it came from.
        flow: Flow,
        /// The branch that asks, as in [`Event::Progress`].
        branch: String,
    },
    /// Our re-INVITE or UPDATE was accepted, and acknowledged.
    ReinviteAnswered {
        /// The session.
        session: SessionId,
        /// Session description.
        sdp: Option<Bytes>,
    },
    /// Our re-INVITE or UPDATE was refused; the session stays as it was (RFC 3261 §14.1).
    ReinviteFailed {
        /// The session.
        session: SessionId,
        /// Status code.
        code: u16,
    },
    /// The session timer wants a re-INVITE: `reinvite` with the description of before (RFC 4028 §7.4).
    Refresh {
        /// The session.
        session: SessionId,
    },
    /// The session was refreshed by an UPDATE without an offer, of either side: its target may have moved, its numbers went on.
    Refreshed {
        /// The session.
        session: SessionId,
    },
    /// An INFO in the dialog: of a package that our 200 named in its Recv-Info (RFC 6086 §5.1), or one that carries a
    /// key press by signalling (`application/dtmf-relay` or `application/dtmf`). It is answered with 200 already.
    Info {
        /// The session.
        session: SessionId,
        /// The package; none of a key press.
        package: Option<String>,
        /// Content type.
        content_type: String,
        /// Body.
        body: Bytes,
    },
    /// The peer wants the other party of the call to be joined with somebody else (RFC 3515). To be
    /// answered with `respond`; [`Endpoint::notify_referrer`](super::Endpoint::notify_referrer) tells what
    /// becomes of it.
    Refer {
        /// Its id.
        id: RequestId,
        /// The session.
        session: SessionId,
        /// The request.
        request: Message,
    },
    /// A MESSAGE in the session (RFC 3428 §4), to be answered with `respond`.
    Message {
        /// Its id.
        id: RequestId,
        /// The session.
        session: SessionId,
        /// The request.
        request: Message,
    },
    /// A SUBSCRIBE (RFC 6665 §4.2.1), to be granted with
    /// [`Endpoint::subscribed`](super::Endpoint::subscribed) or
    /// [`Endpoint::resubscribed`](super::Endpoint::resubscribed), or refused with `respond`.
    Subscribe {
        /// Its id.
        id: RequestId,
        /// The subscription that it would go on with, or end by `Expires: 0`; `None` for a new one.
        subscription: Option<SubscriptionId>,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A subscriber may be told again.
    Notified {
        /// The subscription.
        subscription: SubscriptionId,
        /// It has taken what it was told last. Else it asked for a pause, or there was no room.
        delivered: bool,
    },
    /// A subscription is over: it ran out, or its subscriber is gone or does not want it any more. The last
    /// word on it, unless the user ended it.
    Unsubscribed {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// The dialog ended without a wish of ours. The session is gone.
    Ended {
        /// The session.
        session: SessionId,
        /// Why.
        cause: EndCause,
        /// The first Reason of the BYE, if given.
        reason: Option<Reason>,
    },
    /// Our BYE was answered or timed out: the last trace of the session is gone.
    ByeDone {
        /// The session.
        session: SessionId,
    },
    /// An INVITE that was given up without a final answer will have none any more. Only to a careful
    /// user, who was told the end of the session long ago.
    Gone {
        /// The session.
        session: SessionId,
    },
    /// A request outside of any dialog that the user has to answer with `respond`.
    Request {
        /// Its id.
        id: RequestId,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A final answer to a request of ours outside of sessions.
    Response {
        /// The request.
        id: RequestOutId,
        /// Status code; 408 on time-out and 503 on transport error without a message.
        code: u16,
        /// The answer.
        message: Option<Message>,
        /// CSeq number that was used last, for the next request of the series.
        cseq: u32,
        /// Call-ID of the series.
        call_id: String,
    },
}

/// How much is alive, for metrics and the leak audit: after the last call and 32 s more (plus
/// timer C for what never answers) each is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that the user knows.
    pub sessions: usize,
    /// Sessions that are over for the user and wait for copies or for the answer to their BYE.
    pub lingering: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Requests of ours outside of sessions.
    pub requests: usize,
    /// Subscriptions of others.
    pub subscriptions: usize,
    /// Timers that run.
    pub timers: usize,
    /// Rows of the indexes over all these.
    pub indexed: usize,
}

/// What was refused or dropped since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Bytes that are no message and bear nothing to answer.
    pub unreadable: u64,
    /// Responses that belong to nothing of ours.
    pub stray_responses: u64,
    /// ACKs that belong to nothing of ours.
    pub stray_acks: u64,
    /// Requests refused because a table was full.
    pub overload: u64,
    /// Requests answered below the user because they were wrong.
    pub refused: u64,
}
