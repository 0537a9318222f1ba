//! One connection to a message centre, from the bind to its end (SMPP 3.4 §2.2): what is to be said given what came and
//! how late it is. It holds no socket and no clock.
//!
//! ```text
//!   begin: bind           the answer: OK             leave, or unbind         unbind_resp
//!  ------------> Binding ----------------> Bound ----------------> Leaving -----------------> Over
//!                   |  refused, too late     |  silent, broken        |  too late               ^
//!                   +------------------------+------------------------+------------------------+
//! ```
//!
//! Of our requests so many wait for their answers at one time (the window, §2.9); what comes beyond waits here: menus
//! first, then the rest of messages that have begun, then messages. Who is throttled goes slower and tries the same again
//! while it may wait. A request that is not answered in time is given up, and the far end asked whether it is there.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::wire::{Body, Message, Pdu, Role, Unread, Who, status};

/// How long the far end may take to answer (§7.2, `response_timer`, `session_init_timer`).
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long what is under way may take at the end.
const LEAVING_MAX: Duration = Duration::from_secs(5);
/// How long the far end is left alone that throttled us: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Messages that wait here; whoever has more holds them back.
const ROOM: usize = 64;
/// Sequence numbers at most (§3.2).
const SEQUENCE_MAX: u32 = 0x7fff_ffff;

/// How a connection is held.
#[derive(Clone, Debug)]
pub(super) struct Knobs {
    pub(super) role: Role,
    pub(super) who: Who,
    /// Requests that wait for their answers at one time, at most.
    pub(super) window: usize,
    /// Time between two messages at least.
    pub(super) spacing: Duration,
    /// After how much silence the far end is asked whether it is there.
    pub(super) enquire: Duration,
}

/// What leaves before what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rank {
    /// A screen: somebody looks at it.
    Menu,
    /// A part of a message of which others have left: no other way can carry the rest.
    Begun,
    Message,
}

/// A message of ours, and who wants to know what comes of it.
#[derive(Debug)]
pub(super) struct Job<T> {
    pub(super) message: Message,
    pub(super) rank: Rank,
    /// When nobody wants it sent any more.
    pub(super) until: Instant,
    pub(super) of: T,
}

/// What came of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// The far end has it, and calls it so.
    Taken(String),
    /// The far end refused it with this status.
    Refused(u32),
    /// It was sent, and no answer came: the far end may have it.
    Unanswered,
    /// It was not sent; the last status where it was throttled.
    Unsent(Option<u32>),
}

/// What is to be told.
#[derive(Debug)]
pub(super) enum Event<T> {
    Bound,
    Done(T, Outcome),
    /// The far end wants us to be slower.
    Throttled,
    /// Something came; its answer is [`Session::respond`].
    Delivered(u32, Box<Message>),
    Over(Why),
}

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// The bind was refused with this status.
    Refused(u32),
    /// No answer to the bind, or to the question whether it is there.
    Silent,
    /// The far end took its leave.
    Unbound,
    /// We did.
    Left,
    /// The stream ended or broke.
    Lost,
    /// The far end says that there is no bind.
    Forgotten,
    /// We did wrong.
    Broken,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Binding {
        until: Instant,
    },
    Bound,
    /// `asked`: our unbind is on its way.
    Leaving {
        until: Instant,
        asked: bool,
    },
    Over,
}

#[derive(Debug)]
enum Asked<T> {
    Enquire,
    Submit(Job<T>),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Session<T> {
    knobs: Knobs,
    state: State,
    last: u32,
    heard: Instant,
    out: VecDeque<Pdu>,
    events: VecDeque<Event<T>>,
    outstanding: BTreeMap<u32, (Instant, Asked<T>)>,
    menus: VecDeque<Job<T>>,
    begun: VecDeque<Job<T>>,
    waiting: VecDeque<Job<T>>,
    /// No message leaves before.
    not_before: Option<Instant>,
    pause: Duration,
    throttled: Option<u32>,
}

impl<T> Session<T> {
    /// The stream is open.
    pub(super) fn begin(now: Instant, knobs: Knobs) -> Session<T> {
        let mut session = Session {
            state: State::Binding { until: now + ANSWER_MAX },
            last: 0,
            heard: now,
            out: VecDeque::new(),
            events: VecDeque::new(),
            outstanding: BTreeMap::new(),
            menus: VecDeque::new(),
            begun: VecDeque::new(),
            waiting: VecDeque::new(),
            not_before: None,
            pause: PAUSE_MIN,
            throttled: None,
            knobs,
        };
        let bind = Body::Bind(session.knobs.role, Box::new(session.knobs.who.clone()));
        session.request(bind);
        session
    }

    pub(super) fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether one more message may wait here.
    pub(super) fn has_room(&self) -> bool {
        self.is_bound() && self.waiting.len() < ROOM
    }

    /// Requests that wait for their answers, and messages that wait to be sent.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.outstanding.len(), self.menus.len() + self.begun.len() + self.waiting.len())
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Pdu> {
        self.out.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Binding { until } | State::Leaving { until, .. } => Some(until),
            State::Bound => Some(self.heard + self.knobs.enquire),
            State::Over => return None,
        };
        let answers = self.outstanding.values().map(|(until, _)| *until).min();
        let first = [self.menus.front(), self.begun.front(), self.waiting.front()];
        let patience = first.into_iter().flatten().map(|job| job.until).min();
        let room = patience.is_some() && self.outstanding.len() < self.knobs.window;
        let send = self.not_before.filter(|_| room);
        // Who was asked whether he is there is asked once.
        let enquired = self.enquired();
        let state = state.filter(|_| !(self.is_bound() && enquired));
        [state, answers, patience, send].into_iter().flatten().min()
    }

    /// A message is to leave.
    pub(super) fn submit(&mut self, now: Instant, job: Job<T>) {
        if !self.is_bound() || job.until <= now {
            self.events.push_back(Event::Done(job.of, Outcome::Unsent(None)));
            return;
        }
        self.queue(job.rank).push_back(job);
        self.pump(now);
    }

    /// What came of something that was delivered.
    pub(super) fn respond(&mut self, sequence: u32, status: u32) {
        if self.state != State::Over {
            self.out.push_back(Pdu { status, sequence, body: Body::DeliverResp });
        }
    }

    /// We go: what waits stays here, what is under way is waited for.
    pub(super) fn leave(&mut self, now: Instant) {
        match self.state {
            State::Bound => {
                self.state = State::Leaving { until: now + LEAVING_MAX, asked: false };
                let begun = std::mem::take(&mut self.begun);
                for job in begun.into_iter().chain(std::mem::take(&mut self.waiting)) {
                    self.events.push_back(Event::Done(job.of, Outcome::Unsent(self.throttled)));
                }
                self.pump(now);
            }
            State::Binding { .. } => self.over(Why::Left),
            State::Leaving { .. } | State::Over => {}
        }
    }

    /// The stream ended or broke.
    pub(super) fn lost(&mut self) {
        self.over(Why::Lost);
    }

    /// Something came.
    pub(super) fn handle(&mut self, now: Instant, pdu: Pdu) {
        if self.state == State::Over {
            return;
        }
        self.heard = now;
        let Pdu { status, sequence, body } = pdu;
        match body {
            Body::BindResp(_) => self.bound(sequence, status),
            Body::SubmitResp(id) => self.answered(now, sequence, status, id),
            Body::EnquireLinkResp => {
                self.outstanding.remove(&sequence);
            }
            Body::UnbindResp => {
                // One that nobody asked for is an answer to nothing.
                if let State::Leaving { .. } = self.state {
                    self.over(Why::Left);
                }
            }
            Body::Nack => self.nacked(now, sequence, status),
            Body::EnquireLink => self.answer(sequence, status::OK, Body::EnquireLinkResp),
            Body::Unbind => {
                self.answer(sequence, status::OK, Body::UnbindResp);
                self.over(Why::Unbound);
            }
            Body::Deliver(message) => match self.state {
                // §2.2: nothing is delivered before there is a bind.
                State::Binding { .. } => self.respond(sequence, status::TEMPORARY),
                _ => self.events.push_back(Event::Delivered(sequence, message)),
            },
            // An answer to nothing; a request that we do not know (§3.3).
            Body::Other(id) if id & 0x8000_0000 == 0 && !no_answer(id) => {
                self.answer(sequence, status::BAD_COMMAND, Body::Nack);
            }
            Body::Bind(..) | Body::Submit(_) => {
                self.answer(sequence, status::BAD_COMMAND, Body::Nack);
            }
            Body::DeliverResp | Body::Other(_) => {}
        }
        self.pump(now);
    }

    /// Something came that cannot be read.
    pub(super) fn handle_unread(&mut self, now: Instant, unread: Unread) {
        const DELIVER_SM: u32 = 0x05;
        if self.state == State::Over {
            return;
        }
        self.heard = now;
        match unread.id {
            DELIVER_SM => self.respond(unread.sequence, unread.status),
            id if id & 0x8000_0000 == 0 => self.answer(unread.sequence, unread.status, Body::Nack),
            // An answer of ours: whoever asked is not told what it says.
            _ => {
                if let Some((_, Asked::Submit(job))) = self.outstanding.remove(&unread.sequence) {
                    self.events.push_back(Event::Done(job.of, Outcome::Unanswered));
                }
            }
        }
        self.pump(now);
    }

    /// A deadline has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Binding { until } if until <= now => return self.over(Why::Silent),
            State::Leaving { until, .. } if until <= now => return self.over(Why::Left),
            State::Over => return,
            _ => {}
        }
        let late = self.outstanding.iter().filter(|(_, (until, _))| *until <= now);
        let late: Vec<u32> = late.map(|(sequence, _)| *sequence).collect();
        let unanswered = !late.is_empty();
        for sequence in late {
            match self.outstanding.remove(&sequence) {
                Some((_, Asked::Enquire)) => return self.over(Why::Silent),
                Some((_, Asked::Submit(job))) => {
                    self.events.push_back(Event::Done(job.of, Outcome::Unanswered));
                }
                None => {}
            }
        }
        for queue in [&mut self.menus, &mut self.begun, &mut self.waiting] {
            while queue.front().is_some_and(|job| job.until <= now) {
                if let Some(job) = queue.pop_front() {
                    self.events.push_back(Event::Done(job.of, Outcome::Unsent(self.throttled)));
                }
            }
        }
        let silent = unanswered || self.heard + self.knobs.enquire <= now;
        if self.is_bound() && silent && !self.enquired() {
            let sequence = self.request(Body::EnquireLink);
            self.outstanding.insert(sequence, (now + ANSWER_MAX, Asked::Enquire));
        }
        self.pump(now);
    }

    fn queue(&mut self, rank: Rank) -> &mut VecDeque<Job<T>> {
        match rank {
            Rank::Menu => &mut self.menus,
            Rank::Begun => &mut self.begun,
            Rank::Message => &mut self.waiting,
        }
    }

    fn enquired(&self) -> bool {
        self.outstanding.values().any(|(_, asked)| matches!(asked, Asked::Enquire))
    }

    fn bound(&mut self, sequence: u32, status: u32) {
        match self.state {
            State::Binding { .. } if sequence == 1 => match status {
                status::OK => {
                    self.state = State::Bound;
                    self.events.push_back(Event::Bound);
                }
                status => self.over(Why::Refused(status)),
            },
            _ => {}
        }
    }

    fn answered(&mut self, now: Instant, sequence: u32, status: u32, id: String) {
        // Late, or to nothing: whoever asked was told.
        let Some((_, Asked::Submit(job))) = self.outstanding.remove(&sequence) else { return };
        match status {
            status::OK => {
                (self.pause, self.throttled) = (PAUSE_MIN, None);
                self.events.push_back(Event::Done(job.of, Outcome::Taken(id)));
            }
            // §5.1.3: come back with it.
            status::THROTTLED | status::QUEUE_FULL => {
                self.events.push_back(Event::Throttled);
                let pausing =
                    self.not_before.is_some_and(|at| at > now) && self.throttled.is_some();
                if !pausing {
                    self.not_before = Some(now + self.pause);
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
                self.throttled = Some(status);
                self.queue(job.rank).push_front(job);
            }
            // §5.1.3: it has lost our bind, and refuses whatever comes until there is another.
            status::BAD_BIND => {
                self.events.push_back(Event::Done(job.of, Outcome::Refused(status)));
                self.over(Why::Forgotten);
            }
            status => self.events.push_back(Event::Done(job.of, Outcome::Refused(status))),
        }
    }

    /// The far end did not understand a request of ours (§4.3).
    fn nacked(&mut self, now: Instant, sequence: u32, status: u32) {
        match self.outstanding.get(&sequence) {
            Some((_, Asked::Submit(_))) => {
                let status = if status == status::OK { status::SYSTEM } else { status };
                self.answered(now, sequence, status, String::new());
            }
            // Somebody is there.
            Some((_, Asked::Enquire)) => drop(self.outstanding.remove(&sequence)),
            None if matches!(self.state, State::Binding { .. }) => self.over(Why::Refused(status)),
            None => {}
        }
    }

    fn answer(&mut self, sequence: u32, status: u32, body: Body) {
        self.out.push_back(Pdu { status, sequence, body });
    }

    fn request(&mut self, body: Body) -> u32 {
        self.last = if self.last >= SEQUENCE_MAX { 1 } else { self.last + 1 };
        self.out.push_back(Pdu { status: status::OK, sequence: self.last, body });
        self.last
    }

    /// Sends what may be sent.
    fn pump(&mut self, now: Instant) {
        if !matches!(self.state, State::Bound | State::Leaving { asked: false, .. }) {
            return;
        }
        while self.outstanding.len() < self.knobs.window
            && self.not_before.is_none_or(|at| at <= now)
        {
            let menu = self.menus.pop_front();
            let next = menu.or_else(|| self.begun.pop_front());
            let Some(job) = next.or_else(|| self.waiting.pop_front()) else { break };
            // Whoever wanted it sent was told, or will be: he does not want it twice.
            if job.until <= now {
                self.events.push_back(Event::Done(job.of, Outcome::Unsent(self.throttled)));
                continue;
            }
            self.not_before = (!self.knobs.spacing.is_zero()).then(|| now + self.knobs.spacing);
            let sequence = self.request(Body::Submit(Box::new(job.message.clone())));
            self.outstanding.insert(sequence, (now + ANSWER_MAX, Asked::Submit(job)));
        }
        if let State::Leaving { until, asked: false } = self.state {
            let busy =
                self.outstanding.values().any(|(_, asked)| matches!(asked, Asked::Submit(_)));
            if !busy && self.depth().1 == 0 {
                self.request(Body::Unbind);
                self.state = State::Leaving { until, asked: true };
            }
        }
    }

    fn over(&mut self, why: Why) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        for (_, (_, asked)) in std::mem::take(&mut self.outstanding) {
            if let Asked::Submit(job) = asked {
                self.events.push_back(Event::Done(job.of, Outcome::Unanswered));
            }
        }
        let queues = [&mut self.menus, &mut self.begun, &mut self.waiting].map(std::mem::take);
        for job in queues.into_iter().flatten() {
            self.events.push_back(Event::Done(job.of, Outcome::Unsent(self.throttled)));
        }
        self.events.push_back(Event::Over(why));
    }
}

/// Requests that have no answer: `outbind`, `alert_notification` (§4.1.7, §4.12).
fn no_answer(id: u32) -> bool {
    const OUTBIND: u32 = 0x0b;
    const ALERT_NOTIFICATION: u32 = 0x102;
    matches!(id, OUTBIND | ALERT_NOTIFICATION)
}

/// How long after a loss it is tried again: twice as long each time, a minute at most, and not all at one instant.
/// `random`: drawn anew each time.
pub(super) fn backoff(failures: u32, random: u32) -> Duration {
    const FIRST_MS: u64 = 1_000;
    const LONGEST_MS: u64 = 60_000;
    let whole = FIRST_MS.saturating_mul(1 << failures.min(10)).min(LONGEST_MS);
    Duration::from_millis(whole / 2 + whole / 2 * u64::from(random) / u64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
