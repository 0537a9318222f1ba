//! A link as it runs: its connections, each a task that dials, binds, carries out what its [`Session`] says, and dials
//! again; and how it stands.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use billing::smpp::{Bind, Link, Version};
use bytes::BytesMut;
use facts::UnixMillis;
use facts::ports::Promise;
use facts::sms::{LinkState, LinkStatus};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

use super::session::{Event, Job, Knobs, Outcome, Rank, Session, Why, backoff};
use super::wire::{self, Message, Role, Who, status};
use crate::clock;
use crate::net::{Stream, Tls, dial};

/// Messages that wait for a link, beyond those that its session holds.
const WAITING_MAX: usize = 1_000;
/// What came and is not dealt with yet, of one connection; beyond it is to come again.
const IN_HAND_MAX: usize = 256;
/// How long dealing with it may take.
const DEALING_MAX: Duration = Duration::from_secs(20);
/// How long the far end may take to read.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Who was refused waits this long at least: too many tries lock accounts.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// Who wants to know what comes of a message.
pub(super) type Asker = oneshot::Sender<Outcome>;

/// What is done with what comes.
pub(super) trait Hears: Send + Sync + 'static {
    /// A message, a receipt or a step of a menu; the status of its answer.
    fn came(&self, line: Arc<Line>, message: Message) -> Promise<u32>;

    /// A connection that was bound is lost.
    fn lost(&self, line: &Line);
}

/// A link.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) settings: Link,
    standing: Mutex<BTreeMap<&'static str, Standing>>,
    pub(super) counts: Counts,
    messages: mpsc::Sender<Job<Asker>>,
    /// What is before them.
    urgent: mpsc::Sender<Job<Asker>>,
    /// Messages that are to be tried for more seconds than this say nothing of it: the network has refused some.
    validity_max: AtomicU32,
}

#[derive(Clone, Debug)]
struct Standing {
    state: LinkState,
    since: UnixMillis,
    why: String,
    depth: (usize, usize),
}

/// What went over a link.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) taken: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// Where a connection takes from what is to leave.
pub(super) struct Outgoing {
    messages: mpsc::Receiver<Job<Asker>>,
    urgent: mpsc::Receiver<Job<Asker>>,
}

impl Line {
    pub(super) fn new(settings: Link) -> (Arc<Line>, Outgoing) {
        let (messages, messages_out) = mpsc::channel(WAITING_MAX);
        let (urgent, urgent_out) = mpsc::channel(WAITING_MAX);
        let (standing, counts) = (Mutex::default(), Counts::default());
        let validity_max = AtomicU32::new(u32::MAX);
        let line = Line { settings, standing, counts, messages, urgent, validity_max };
        (Arc::new(line), Outgoing { messages: messages_out, urgent: urgent_out })
    }

    /// Puts a message on its way. Never waits; `None`: the link is not bound, or too many wait.
    pub(super) fn post(
        &self,
        message: Message,
        rank: Rank,
        until: Instant,
    ) -> Option<oneshot::Receiver<Outcome>> {
        if !self.sends() {
            return None;
        }
        let (of, outcome) = oneshot::channel();
        let queue = if rank == Rank::Message { &self.messages } else { &self.urgent };
        queue.try_send(Job { message, rank, until, of }).ok()?;
        Some(outcome)
    }

    /// Whether a message says for so many seconds that it is worth being delivered.
    pub(super) fn takes_validity(&self, seconds: u32) -> bool {
        seconds <= self.validity_max.load(Ordering::Relaxed)
    }

    /// It does not take that many: from now on half of it at most, until the line's settings change or the program begins
    /// anew. What is worth less leaves as before.
    pub(super) fn refuses_validity(&self, seconds: u32) {
        self.validity_max.fetch_min(seconds / 2, Ordering::Relaxed);
        let link = self.settings.name.as_str();
        tracing::warn!(
            link,
            seconds,
            "takes no such validity_period: longer ones than half of it are not told"
        );
    }

    /// Whether messages may leave: the other connection of two may be down.
    pub(super) fn sends(&self) -> bool {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let bound =
            |role| standing.get(name(role)).is_some_and(|one| one.state == LinkState::Bound);
        bound(Role::Transceiver) || bound(Role::Transmitter)
    }

    /// How it stands, and why.
    pub(super) fn state(&self) -> (LinkState, UnixMillis, String) {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let worst = standing.values().max_by_key(|one| (one.state, one.since));
        let worst = worst.map(|one| (one.state, one.since, one.why.clone()));
        worst.unwrap_or((LinkState::Down, UnixMillis(0), String::new()))
    }

    pub(super) fn status(&self) -> LinkStatus {
        let (state, since, why) = self.state();
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let depths = standing.values().map(|one| one.depth);
        let (outstanding, waiting) = depths.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let queued = |queue: &mpsc::Sender<_>| queue.max_capacity() - queue.capacity();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        LinkStatus {
            name: self.settings.name.clone(),
            state,
            since,
            why,
            outstanding: outstanding as u64,
            waiting: (waiting + queued(&self.messages) + queued(&self.urgent)) as u64,
            taken: read(&counts.taken),
            refused: read(&counts.refused),
            throttled: read(&counts.throttled),
            unanswered: read(&counts.unanswered),
            delivered: read(&counts.delivered),
            lost: read(&counts.lost),
        }
    }

    fn stand(&self, role: Role, state: LinkState, why: &str) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::wall();
        let one = standing.entry(name(role)).or_insert_with(|| Standing {
            state,
            since: now,
            why: String::new(),
            depth: (0, 0),
        });
        // Who tries again and again is down since the first time.
        let trying = one.state > LinkState::Binding && state == LinkState::Binding;
        if one.state != state && !trying {
            (one.state, one.since) = (state, now);
        }
        if !trying {
            why.clone_into(&mut one.why);
        }
        if state != LinkState::Bound {
            one.depth = (0, 0);
        }
    }

    fn deep(&self, role: Role, depth: (usize, usize)) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = standing.get_mut(name(role)) {
            one.depth = depth;
        }
    }

    fn knobs(&self, role: Role) -> Knobs {
        let set = &self.settings;
        let second = Duration::from_secs(1);
        Knobs {
            role,
            who: Who {
                system_id: set.system_id.clone(),
                password: set.password.clone(),
                system_type: set.system_type.clone(),
                version: match set.version {
                    Version::V34 => 0x34,
                    Version::V50 => 0x50,
                },
            },
            window: usize::try_from(set.window).unwrap_or(1).max(1),
            spacing: second.checked_div(set.per_second).unwrap_or_default(),
            enquire: Duration::from_secs(set.enquire_seconds.into()),
        }
    }

    fn count(&self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Taken(_) => &self.counts.taken,
            Outcome::Refused(_) => &self.counts.refused,
            Outcome::Unanswered => &self.counts.unanswered,
            Outcome::Unsent(_) => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Transceiver => "transceiver",
        Role::Transmitter => "transmitter",
        Role::Receiver => "receiver",
    }
}

/// What every connection of a link is given.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) hears: Arc<dyn Hears>,
    pub(super) tls: Option<Arc<Tls>>,
    /// The link is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// Keeps a link up until it is to end.
pub(super) async fn run(line: Arc<Line>, outgoing: Outgoing, given: Given) {
    match line.settings.bind {
        Bind::Transceiver => keep(line, Role::Transceiver, Some(outgoing), given).await,
        Bind::Pair => {
            let receiver = keep(Arc::clone(&line), Role::Receiver, None, given.clone());
            tokio::join!(keep(line, Role::Transmitter, Some(outgoing), given), receiver);
        }
    }
}

/// Keeps one connection up.
async fn keep(line: Arc<Line>, role: Role, mut outgoing: Option<Outgoing>, mut given: Given) {
    let mut failures = 0;
    let (link, role_name) = (line.settings.name.clone(), name(role));
    loop {
        line.stand(role, LinkState::Binding, "");
        let tls = given.tls.as_deref().filter(|_| line.settings.tls);
        let dialled = tokio::select! {
            dialled = dial(&line.settings.host, line.settings.port, tls) => dialled,
            _ = given.stop.wait_for(|stop| *stop) => break,
        };
        let (state, why, least) = match dialled {
            Ok(stream) => {
                let mut connection = Connection::new(&line, role, stream, &given);
                let over = calm(connection.serve(outgoing.as_mut(), &mut given.stop)).await;
                if over.is_none() {
                    tracing::error!(link, role = role_name, "an SMPP connection panicked");
                }
                let over = over.unwrap_or(Why::Broken);
                if connection.was_bound {
                    // Whatever makes it panic may come again at once; so may what makes them forget us.
                    let again = matches!(over, Why::Broken | Why::Forgotten);
                    failures = if again { failures } else { 0 };
                    line.counts.lost.fetch_add(1, Ordering::Relaxed);
                    given.hears.lost(&line);
                }
                match over {
                    Why::Left if *given.stop.borrow() => break,
                    Why::Left => (LinkState::Down, "it was left".to_owned(), Duration::ZERO),
                    Why::Refused(status) => {
                        (LinkState::Refused, format!("bind: {}", words(status)), REFUSED_PAUSE)
                    }
                    Why::Silent => (LinkState::Down, "no answer".to_owned(), Duration::ZERO),
                    Why::Unbound => (LinkState::Down, "they unbound".to_owned(), Duration::ZERO),
                    Why::Lost => (LinkState::Down, "connection lost".to_owned(), Duration::ZERO),
                    Why::Forgotten => (LinkState::Down, words(status::BAD_BIND), Duration::ZERO),
                    Why::Broken => (LinkState::Down, "a fault of ours".to_owned(), Duration::ZERO),
                }
            }
            Err(error) => (LinkState::Down, error.to_string(), Duration::ZERO),
        };
        if line.state().2 != why {
            tracing::warn!(link, role = role_name, why, "an SMPP link is not bound");
        }
        line.stand(role, state, &why);
        let pause = backoff(failures, random()).max(least);
        failures = failures.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = given.stop.wait_for(|stop| *stop) => break,
        }
        if let Some(outgoing) = &mut outgoing {
            outgoing.refuse();
        }
    }
    line.stand(role, LinkState::Down, "it was ended");
    if let Some(outgoing) = &mut outgoing {
        outgoing.refuse();
    }
}

impl Outgoing {
    /// What slipped in while there is no connection does not wait for one.
    fn refuse(&mut self) {
        while let Ok(job) = self.urgent.try_recv().or_else(|_| self.messages.try_recv()) {
            let _ = job.of.send(Outcome::Unsent(None));
        }
    }
}

fn random() -> u32 {
    let mut octets = [0; 4];
    // Without randomness all links try at one instant, which they survive.
    let _ = getrandom::fill(&mut octets);
    u32::from_be_bytes(octets)
}

/// Sequence numbers, and the statuses of their answers.
type Dealt = (mpsc::Sender<(u32, u32)>, mpsc::Receiver<(u32, u32)>);

/// One connection.
struct Connection<'a> {
    line: &'a Arc<Line>,
    role: Role,
    hears: Arc<dyn Hears>,
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    read: BytesMut,
    session: Session<Asker>,
    /// What came and is not dealt with, and where it is told how it was.
    in_hand: usize,
    dealt: Dealt,
    was_bound: bool,
}

impl Connection<'_> {
    fn new<'a>(line: &'a Arc<Line>, role: Role, stream: Stream, given: &Given) -> Connection<'a> {
        let (reader, writer) = tokio::io::split(stream);
        Connection {
            line,
            role,
            hears: Arc::clone(&given.hears),
            reader,
            writer,
            read: BytesMut::new(),
            session: Session::begin(Instant::now(), line.knobs(role)),
            in_hand: 0,
            dealt: mpsc::channel(IN_HAND_MAX),
            was_bound: false,
        }
    }

    /// Reads and writes until it is over.
    async fn serve(
        &mut self,
        mut outgoing: Option<&mut Outgoing>,
        stop: &mut watch::Receiver<bool>,
    ) -> Why {
        let mut leaving = false;
        loop {
            self.write().await;
            if let Some(why) = self.tell() {
                // The answer to their unbind is still to leave.
                self.write().await;
                let _ = tokio::time::timeout(WRITE_MAX, self.writer.shutdown()).await;
                return why;
            }
            self.line.deep(self.role, self.session.depth());
            let due = self.session.poll_timeout();
            let due = due.map_or_else(far, tokio::time::Instant::from_std);
            let (bound, room) = (self.session.is_bound(), self.session.has_room());
            let posted = async {
                match &mut outgoing {
                    Some(outgoing) => tokio::select! {
                        biased;
                        Some(job) = outgoing.urgent.recv(), if bound => job,
                        Some(job) = outgoing.messages.recv(), if room => job,
                        else => std::future::pending().await,
                    },
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                job = posted => self.session.submit(Instant::now(), job),
                read = self.reader.read_buf(&mut self.read) => match read {
                    Ok(octets) if octets > 0 => self.frames(),
                    _ => self.session.lost(),
                },
                Some((sequence, status)) = self.dealt.1.recv() => {
                    self.in_hand -= 1;
                    self.session.respond(sequence, status);
                }
                () = tokio::time::sleep_until(due) => self.session.handle_timeout(Instant::now()),
                _ = stop.wait_for(|stop| *stop), if !leaving => {
                    leaving = true;
                    self.session.leave(Instant::now());
                }
            }
        }
    }

    fn frames(&mut self) {
        while !self.session.is_over() {
            match wire::next(&mut self.read) {
                Ok(Some(Ok(pdu))) => self.session.handle(Instant::now(), pdu),
                Ok(Some(Err(unread))) => {
                    let link = &self.line.settings.name;
                    let (id, sequence) = (unread.id, unread.sequence);
                    tracing::warn!(link, id, sequence, "SMPP: a frame cannot be read");
                    self.session.handle_unread(Instant::now(), unread);
                }
                Ok(None) => return,
                Err(wire::Broken) => {
                    tracing::warn!(link = self.line.settings.name, "SMPP: that is none");
                    self.session.lost();
                }
            }
        }
    }

    async fn write(&mut self) {
        let mut octets = BytesMut::new();
        while let Some(pdu) = self.session.poll_transmit() {
            octets.extend_from_slice(&wire::octets(&pdu));
        }
        if octets.is_empty() {
            return;
        }
        let written = async {
            self.writer.write_all(&octets).await?;
            self.writer.flush().await
        };
        match tokio::time::timeout(WRITE_MAX, written).await {
            Ok(Ok(())) => {}
            _ => self.session.lost(),
        }
    }

    /// Tells what has become of things; why it is over, if it is.
    fn tell(&mut self) -> Option<Why> {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Bound => {
                    self.was_bound = true;
                    let (link, role) = (&self.line.settings.name, name(self.role));
                    tracing::info!(link, role, "an SMPP link is bound");
                    self.line.stand(self.role, LinkState::Bound, "");
                }
                Event::Done(asker, outcome) => {
                    self.line.count(&outcome);
                    let _ = asker.send(outcome);
                }
                Event::Throttled => {
                    self.line.counts.throttled.fetch_add(1, Ordering::Relaxed);
                }
                Event::Delivered(sequence, message) => self.deal(sequence, *message),
                Event::Over(why) => return Some(why),
            }
        }
        None
    }

    fn deal(&mut self, sequence: u32, message: Message) {
        self.line.counts.delivered.fetch_add(1, Ordering::Relaxed);
        if self.in_hand >= IN_HAND_MAX {
            self.session.respond(sequence, status::TEMPORARY);
            return;
        }
        self.in_hand += 1;
        let came = self.hears.came(Arc::clone(self.line), message);
        let dealt = self.dealt.0.clone();
        tokio::spawn(async move {
            // Whatever becomes of it, it is answered, and there is room for another.
            let came = calm(tokio::time::timeout(DEALING_MAX, came)).await;
            let came = came.and_then(Result::ok).unwrap_or(status::TEMPORARY);
            let _ = dealt.send((sequence, came)).await;
        });
    }
}

/// What comes of it; `None`: it panicked, which ends nothing but itself.
async fn calm<F: Future>(work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// A deadline that is none.
fn far() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400)
}

/// A status in words (SMPP 3.4 §5.1.3).
pub(super) fn words(status: u32) -> String {
    let name = match status {
        0x01 => "ESME_RINVMSGLEN",
        0x03 => "ESME_RINVCMDID",
        0x04 => "ESME_RINVBNDSTS",
        0x05 => "ESME_RALYBND",
        0x08 => "ESME_RSYSERR",
        0x0a => "ESME_RINVSRCADR",
        0x0b => "ESME_RINVDSTADR",
        0x0d => "ESME_RBINDFAIL",
        0x0e => "ESME_RINVPASWD",
        0x0f => "ESME_RINVSYSID",
        0x14 => "ESME_RMSGQFUL",
        0x15 => "ESME_RINVSERTYP",
        0x43 => "ESME_RINVESMCLASS",
        0x45 => "ESME_RSUBMITFAIL",
        0x48 => "ESME_RINVSRCTON",
        0x49 => "ESME_RINVSRCNPI",
        0x50 => "ESME_RINVDSTTON",
        0x51 => "ESME_RINVDSTNPI",
        0x53 => "ESME_RINVSYSTYP",
        0x58 => "ESME_RTHROTTLED",
        0x62 => "ESME_RINVEXPIRY",
        0xfe => "ESME_RDELIVERYFAILURE",
        0xff => "ESME_RUNKNOWNERR",
        _ => return format!("status {status:#x}"),
    };
    format!("{name} ({status:#x})")
}
