//! The rows of the endpoint's tables. Each row that has a deadline is in the schedule once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::auth::Auth;
use super::bye::Farewell;
use super::{Flow, RequestOutId, SessionId, SubscriptionId};
use crate::dialog::{Dialog, Granted, Receiving, Sending, SessionTimer, SessionTimers};
use crate::transaction::{ClientInvite, ClientOther, Letter, ServerInvite, ServerOther, Timers};
use crate::wire::{Draft, Message, Method, Reason, Via};

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(ServerId),
    Session(SessionId),
    Subscription(SubscriptionId),
}

/// Names a client transaction (RFC 3261 §17.1.3): the token of its branch, and whether it is the
/// CANCEL that shares the branch of its INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    pub(super) token: u64,
    pub(super) cancel: bool,
}

/// Names a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServerId(pub(super) u64);

/// Who is told about a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The INVITE that opens a session.
    Invite(SessionId),
    /// A CANCEL: whatever it brings, the INVITE's own answer counts.
    Cancel,
    /// A re-INVITE.
    Reinvite(SessionId),
    /// An UPDATE.
    Update(SessionId),
    /// The PRACK of a provisional answer: the INVITE's own answers count, not what it brings.
    Prack(SessionId),
    /// The BYE that the user of a session waits for.
    Bye(SessionId),
    /// A NOTIFY of a subscription.
    Notify(SubscriptionId),
    /// A BYE or NOTIFY that nobody waits for.
    Stray,
    /// A request outside of sessions.
    Outside(RequestOutId),
}

/// One client transaction.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) machine: ClientMachine,
    pub(super) method: Method,
    pub(super) request: Bytes,
    pub(super) flow: Flow,
    /// Where to try once more after a transport error.
    pub(super) fallback: Option<Flow>,
    /// The ACK of the refusal, once there was one.
    pub(super) ack: Option<Bytes>,
    pub(super) user: User,
    pub(super) auth: Option<Auth>,
    /// An INVITE that did not leave yet: the user has to let it go.
    pub(super) held: bool,
    /// It left before, by a transport that failed: somebody may have it all the same.
    pub(super) tried: bool,
    /// When an INVITE that was cancelled is given up (RFC 3261 §9.1).
    pub(super) abandon_at: Option<Instant>,
    /// Its CANCEL has left.
    pub(super) cancelled: bool,
    pub(super) due: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInvite),
    Other(ClientOther),
}

impl Client {
    pub(super) fn next_timer(&self) -> Option<(Instant, &'static str)> {
        let machine = match &self.machine {
            ClientMachine::Invite(machine) => machine.poll_timeout(),
            ClientMachine::Other(machine) => machine.poll_timeout(),
        };
        earliest([named(machine), self.abandon_at.map(|at| (at, "cancel wait"))])
    }

    /// The request goes out now: its timers start anew (RFC 3261 §17.1.1.2, §17.1.2.2).
    pub(super) fn restart(&mut self, now: Instant, timers: &Timers) {
        let reliable = self.flow.transport.is_reliable();
        match &mut self.machine {
            ClientMachine::Invite(machine) => machine.restart(now, timers, reliable),
            ClientMachine::Other(machine) => machine.restart(now, timers, reliable),
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        match &self.machine {
            ClientMachine::Invite(machine) => machine.is_pending(),
            ClientMachine::Other(machine) => machine.is_pending(),
        }
    }
}

/// Who is told about a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerUser {
    /// The INVITE that opens a session.
    Invite(SessionId),
    /// A re-INVITE, or an UPDATE with an offer.
    Reinvite(SessionId),
    /// The endpoint's user, by `respond`.
    Request,
    /// Answered by the endpoint itself.
    Endpoint,
}

/// One server transaction.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) machine: ServerMachine,
    /// Kept until the final answer is made from it.
    pub(super) asked: Option<Box<Asked>>,
    /// Where answers go.
    pub(super) flow: Flow,
    /// The latest response.
    pub(super) response: Option<Bytes>,
    pub(super) user: ServerUser,
    /// A refusal leaves once, for whom nobody vouches.
    pub(super) once: bool,
    /// Shared with the table of keys, as is the other.
    pub(super) key: Arc<str>,
    pub(super) merge_key: Option<Arc<str>>,
    pub(super) due: Option<Instant>,
}

/// A request that waits for its final answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Message,
    /// The top Via with `received` and `rport`.
    pub(super) via: Via,
}

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInvite),
    Other(ServerOther),
}

impl Server {
    pub(super) fn next_timer(&self) -> Option<(Instant, &'static str)> {
        named(match &self.machine {
            ServerMachine::Invite(machine) => machine.poll_timeout(),
            ServerMachine::Other(machine) => machine.poll_timeout(),
        })
    }

    /// The request, until its final answer was made.
    pub(super) fn request(&self) -> Option<&Message> {
        self.asked.as_ref().map(|asked| &asked.request)
    }

    pub(super) fn is_pending(&self) -> bool {
        match &self.machine {
            ServerMachine::Invite(machine) => machine.is_pending(),
            ServerMachine::Other(machine) => machine.is_pending(),
        }
    }
}

/// One INVITE usage.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) call_id: String,
    pub(super) phase: Phase,
    /// The user has not seen a last event yet.
    pub(super) known: bool,
    /// The transaction of the INVITE that opened an outgoing session.
    pub(super) invite: Option<ClientKey>,
    /// Each ACK we sent, for copies of its 2xx. At most `Limits::forks_max`.
    pub(super) acks: Vec<AckCopy>,
    pub(super) auth: Option<Auth>,
    /// CSeq number of our last request in an early dialog; 0 without one.
    pub(super) numbers: u32,
    /// The largest Min-SE that a 422 asked for (RFC 4028 §7.3), and how many did.
    pub(super) min_se: u32,
    pub(super) raised: u8,
    /// Wishes for its session timer that are not everybody's.
    pub(super) timers: Option<SessionTimers>,
    /// Packages whose INFOs are taken in it, as our INVITE or our answer said (RFC 6086 §5.1).
    pub(super) packages: Vec<String>,
    /// Bodies that are taken in INFOs of no package, as our answer to its INVITE said (RFC 3261 §20.1).
    pub(super) bodies: Vec<String>,
    pub(super) due: Option<Instant>,
}

/// The states of a session; each holds only what it needs.
#[derive(Debug)]
pub(super) enum Phase {
    /// Our INVITE has no final answer yet.
    Calling(Calling),
    /// The peer's INVITE has no final answer yet.
    Ringing(Box<Ringing>),
    /// The dialog is confirmed (or our 2xx waits for its ACK).
    Up(Box<Up>),
    /// Our BYE is under way.
    Ending(Box<Dialog>),
    /// Over for the user; late 2xx of an outgoing INVITE are still answered.
    Over(Over),
}

#[derive(Debug)]
pub(super) struct Calling {
    pub(super) early: Vec<Early>,
    pub(super) cancel: Cancelling,
    /// Timer C, from the first provisional answer on.
    pub(super) ring_until: Option<Instant>,
    /// Timer C fired: the end is our verdict.
    pub(super) gave_up: bool,
    pub(super) keep_flow: bool,
    /// Our INVITE bore an offer, so the ACK needs no answer.
    pub(super) offered: bool,
    /// Our INVITE said that it takes reliable provisional answers.
    pub(super) reliable: bool,
    /// The offer of an UPDATE, and the tag of the branch that made it.
    pub(super) theirs: Option<(Pending, String)>,
}

/// One early dialog of an outgoing INVITE (RFC 3261 §12.1.2, §13.2.2.1).
#[derive(Debug)]
pub(super) struct Early {
    pub(super) tag: String,
    pub(super) remote_cseq: Option<u32>,
    /// From its first reliable answer on (RFC 3262 §4).
    pub(super) reliable: Option<Box<ReliableEarly>>,
}

/// An early dialog in which requests go both ways.
#[derive(Debug)]
pub(super) struct ReliableEarly {
    pub(super) dialog: Dialog,
    /// CSeq number of the INVITE.
    pub(super) invite: u32,
    pub(super) receiving: Receiving,
    /// The first offer has its answer: descriptions that follow in answers to the INVITE are repeats
    /// (RFC 6337 §3.1.1).
    pub(super) settled: bool,
    /// RSeq of an answer that bore an offer, which only the user can answer.
    pub(super) owed: Option<u32>,
    /// The peer takes UPDATE.
    pub(super) updates: bool,
}

/// An offer of the peer that waits for the user, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) server: ServerId,
    pub(super) until: Instant,
    /// It came in an UPDATE, which has no ACK.
    pub(super) update: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelling {
    No,
    /// Waits for a 1xx (RFC 3261 §9.1).
    Wanted(Option<Reason>),
    Sent,
}

#[derive(Debug)]
pub(super) struct Ringing {
    pub(super) server: ServerId,
    /// CSeq number of the INVITE.
    pub(super) invite: u32,
    pub(super) dialog: Dialog,
    /// Extension of RFC 3261 §13.3.1.1: when the provisional answer is repeated.
    pub(super) repeat_at: Option<Instant>,
    /// When a user who never answers is given up.
    pub(super) until: Instant,
    /// Status code of our latest provisional answer.
    pub(super) code: u16,
    /// Reliable provisional answers, if the caller wants or takes them (RFC 3262 §3).
    pub(super) reliable: Option<Box<Sending>>,
    /// How far the first offer and answer are.
    pub(super) first: First,
    /// The offer of an UPDATE.
    pub(super) theirs: Option<Pending>,
    /// What our 2xx will say of session timers.
    pub(super) granted: Option<Granted>,
    /// The caller takes UPDATE.
    pub(super) updates: bool,
}

/// The first offer and answer of an incoming INVITE, as far as it is settled before the 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The INVITE bore an offer, which has no reliable answer yet.
    Theirs,
    /// The INVITE bore none, and nothing was offered reliably.
    None,
    /// Our reliable answer bore an offer, whose answer is due in its PRACK.
    Ours,
    /// Settled.
    Done,
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) dialog: Dialog,
    /// We made the Call-ID (RFC 3261 §14.1 lets the owner wait longer).
    pub(super) owner: bool,
    /// Our 2xx that wait for their ACK.
    pub(super) unacked: Vec<Unacked>,
    /// Our re-INVITE.
    pub(super) ours: Option<Ours>,
    /// The peer's re-INVITE, or its UPDATE with an offer.
    pub(super) theirs: Option<Pending>,
    /// A 2xx with an offer waits for the user's answer, to go into the ACK: its CSeq number.
    pub(super) owed_ack: Option<u32>,
    /// It does not wait for an answer but for the user to let it go.
    pub(super) ack_held: bool,
    /// The user wants a BYE, which has to wait for the first ACK (RFC 3261 §15).
    pub(super) bye: Option<Farewell>,
    /// Our provisional answers that are not acknowledged yet: a 2xx that waits may have to wait for
    /// their PRACK as well (RFC 3262 §3).
    pub(super) reliable: Option<Box<Sending>>,
    /// The user has let the 2xx go; it waits for a PRACK alone.
    pub(super) let_go: bool,
    /// The 2xx had to wait for a PRACK: the user is told when it leaves.
    pub(super) waits: bool,
    pub(super) timer: Option<SessionTimer>,
    /// The peer takes UPDATE.
    pub(super) updates: bool,
}

impl Up {
    pub(super) fn new(dialog: Dialog, owner: bool) -> Up {
        Up {
            dialog,
            owner,
            unacked: Vec::new(),
            ours: None,
            theirs: None,
            owed_ack: None,
            ack_held: false,
            bye: None,
            reliable: None,
            let_go: false,
            waits: false,
            timer: None,
            updates: false,
        }
    }

    /// §14.1: no INVITE of either side is open.
    pub(super) fn may_offer(&self) -> bool {
        let open = self.ours.is_some() || self.theirs.is_some() || self.owed_ack.is_some();
        !open && self.bye.is_none() && self.unacked.is_empty()
    }

    /// The peer's INVITE, while our 2xx to it waits for the user.
    pub(super) fn held(&self) -> Option<ServerId> {
        self.unacked.iter().find_map(|wait| wait.held)
    }
}

/// A 2xx that is resent until its ACK comes (RFC 3261 §13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cseq: u32,
    pub(super) bytes: Bytes,
    pub(super) flow: Flow,
    pub(super) next: Instant,
    pub(super) interval: std::time::Duration,
    pub(super) until: Instant,
    /// Until this one is acknowledged no BYE may be sent: it opens the dialog.
    pub(super) opens: bool,
    /// It is not given to its transaction yet: the user has to let it go.
    pub(super) held: Option<ServerId>,
    /// It bears our offer, whose answer is due in the ACK.
    pub(super) offers: bool,
}

/// A re-INVITE or UPDATE of ours.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) state: OursState,
    pub(super) sdp: Bytes,
    pub(super) tries: u8,
    pub(super) update: bool,
}

impl Ours {
    /// Whether this transaction is under way for it.
    pub(super) fn is_sent(&self, key: ClientKey) -> bool {
        matches!(self.state, OursState::Sent(sent, _) if sent == key)
    }

    /// Whether it keeps the peer from offering (RFC 3261 §14.2, RFC 3311 §5.2): an UPDATE without a
    /// description does not.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, OursState::Sent(..)) && !(self.update && self.sdp.is_empty())
    }
}

#[derive(Debug)]
pub(super) enum OursState {
    /// Under way, and when it is given up.
    Sent(ClientKey, Instant),
    /// 491 came; tried again then (RFC 3261 §14.1).
    Waiting(Instant),
}

#[derive(Debug)]
pub(super) struct Over {
    pub(super) request: Bytes,
    pub(super) flow: Flow,
    pub(super) keep_flow: bool,
    /// The peer never gave its final answer: it may still come.
    pub(super) open: bool,
    pub(super) until: Instant,
}

/// An ACK of a 2xx, sent again for each copy of it (RFC 3261 §13.2.2.4).
#[derive(Debug)]
pub(super) struct AckCopy {
    pub(super) tag: String,
    pub(super) cseq: u32,
    pub(super) bytes: Bytes,
    pub(super) flow: Flow,
}

impl Session {
    pub(super) fn new(call_id: String, phase: Phase, auth: Option<Auth>) -> Session {
        Session {
            call_id,
            phase,
            known: true,
            invite: None,
            acks: Vec::new(),
            auth,
            numbers: 0,
            min_se: 0,
            raised: 0,
            timers: None,
            packages: Vec::new(),
            bodies: Vec::new(),
            due: None,
        }
    }

    /// The way of its dialog, once there is one.
    pub(super) fn flow(&self) -> Option<&Flow> {
        match &self.phase {
            Phase::Calling(_) => None,
            Phase::Ringing(ringing) => Some(&ringing.dialog.flow),
            Phase::Up(up) => Some(&up.dialog.flow),
            Phase::Ending(dialog) => Some(&dialog.flow),
            Phase::Over(over) => Some(&over.flow),
        }
    }

    pub(super) fn next_timer(&self) -> Option<(Instant, &'static str)> {
        match &self.phase {
            Phase::Calling(calling) => earliest([
                calling.ring_until.map(|at| (at, "timer C")),
                calling.theirs.as_ref().map(|(wait, _)| (wait.until, "UPDATE unanswered")),
            ]),
            Phase::Ringing(ringing) => earliest([
                ringing.repeat_at.map(|at| (at, "provisional repeat")),
                Some((ringing.until, "unanswered")),
                prack_wait(ringing.reliable.as_deref()),
                ringing.theirs.map(|wait| (wait.until, "UPDATE unanswered")),
            ]),
            Phase::Up(up) => {
                let unacked = up.unacked.iter().map(|wait| wait.next.min(wait.until)).min();
                let ours = up.ours.as_ref().map(|ours| match ours.state {
                    OursState::Sent(_, at) => (at, "offer wait"),
                    OursState::Waiting(at) => (at, "glare"),
                });
                earliest([
                    unacked.map(|at| (at, "ACK wait")),
                    ours,
                    up.theirs.map(|wait| (wait.until, "offer unanswered")),
                    prack_wait(up.reliable.as_deref()),
                    up.timer.map(|timer| (timer.poll_timeout(), "session timer")),
                ])
            }
            Phase::Ending(_) => None,
            Phase::Over(over) => Some((over.until, "linger")),
        }
    }
}

/// A request being sent.
pub(super) struct Outgoing {
    pub(super) draft: Draft,
    pub(super) method: Method,
    pub(super) flow: Flow,
    pub(super) fallback: Option<Flow>,
    pub(super) user: User,
    pub(super) auth: Option<Auth>,
    pub(super) keep_flow: bool,
}

/// A request of ours outside of sessions.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) call_id: String,
    pub(super) cseq: u32,
    /// The session whose dialog is over if nobody there knows it (RFC 3261 §12.2.1.2).
    pub(super) session: Option<SessionId>,
}

fn prack_wait(sending: Option<&Sending>) -> Option<(Instant, &'static str)> {
    sending.and_then(Sending::poll_timeout).map(|at| (at, "PRACK wait"))
}

fn named(timer: Option<(Instant, Letter)>) -> Option<(Instant, &'static str)> {
    timer.map(|(at, letter)| (at, letter.as_str()))
}

fn earliest<const N: usize>(
    timers: [Option<(Instant, &'static str)>; N],
) -> Option<(Instant, &'static str)> {
    timers.into_iter().flatten().min_by_key(|(at, _)| *at)
}
