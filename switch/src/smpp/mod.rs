//! Lines to networks by SMPP 3.4 and 5.0: short messages out and in, receipts, and menus (spec §5.6).
//!
//! `wire` reads and writes octets, `session` keeps one connection, `parts`, `coding` and `receipts` are what messages
//! are made of, `ussd` knows whose menu is shown where; `line` runs the connections of a link. Here they are joined with
//! the store, the engine and the doors.

mod coding;
mod line;
mod parts;
mod receipts;
mod session;
mod ussd;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api::ApiState;
use billing::Store;
use billing::smpp::{Came, Kept, Link, Part, PartOf};
use facts::ports::Promise;
use facts::sms::{Arrived, LinkStatus, Receipt, Sent, Text};
use facts::ussd::{Act, ActRefused, Dialled, Door as MenuDoor, End};
use facts::{CallId, Number, NumberPlan, UnixMillis};
use md5::{Digest as _, Md5};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::line::{Given, Hears, Line};
use self::session::{Outcome, Rank};
use self::ussd::{Desk, Out, Way, Wish};
use self::wire::{Address, Message, status};
use crate::calls::Door;
use crate::clock;
use crate::net::Tls;
use crate::texts::Links;

/// Time between looks: `tandem apply` runs in another process and cannot call us.
const LOOK: Duration = Duration::from_secs(1);
/// How long a message, or a part of one, may wait to be sent; its answer comes within ten seconds more.
const PATIENCE: Duration = Duration::from_secs(18);
const ANSWERED: Duration = Duration::from_secs(11);
/// How long all parts of a message may take; what has not left by then is tried again.
const WHOLE: Duration = Duration::from_secs(75);
/// A network tries for this many seconds at least: its clock may not be ours.
const VALIDITY_MIN: u32 = 60;
/// How long a screen may wait: a subscriber waits no longer.
const SCREEN_PATIENCE: Duration = Duration::from_secs(15);
/// Messages of which some parts have left and others are to follow, at most.
const BEGUN_MAX: usize = 10_000;
/// Within this time the same octets of the same sender are one message that came twice: our answer was lost, and the
/// network is back with it as soon as the link is.
const SAME: Duration = Duration::from_secs(90);
/// The same of one that could not be answered with what became of it: it may be kept, and the network is back with it when
/// it sees fit.
const SAME_UNSURE: Duration = Duration::from_secs(900);
/// Messages of which that is known, at most.
const UNSURE_MAX: usize = 10_000;
/// The same of a message in parts, which its sender's phone names.
const SAME_LONG: Duration = Duration::from_secs(600);

/// All links. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Smpp(Arc<Inner>);

struct Inner {
    lines: RwLock<BTreeMap<String, Running>>,
    desk: Mutex<Desk>,
    begun: Mutex<Begun>,
    unsure: Mutex<Unsure>,
    behind: OnceLock<Behind>,
    plan: RwLock<NumberPlan>,
    runtime: Handle,
}

/// References of the parts that have left, by link and message, and since when: of what has no row, and while the store
/// is away.
#[derive(Default)]
struct Begun {
    by_key: BTreeMap<(String, i64), (Instant, Vec<String>)>,
}

impl Begun {
    /// Where there are too many, the oldest goes.
    fn keep(&mut self, key: (String, i64), references: Vec<String>) {
        if self.by_key.len() >= BEGUN_MAX {
            let oldest = self.by_key.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.by_key.remove(&oldest);
            }
        }
        self.by_key.insert(key, (Instant::now(), references));
    }
}

/// Messages that came and were not answered with what became of them, by what is the same when they come again: when they
/// came first without an answer, and when last.
#[derive(Default)]
struct Unsure(BTreeMap<String, (Instant, Instant)>);

impl Unsure {
    /// It came, and nobody knows yet what becomes of it: how long ago one that looks so may have come and be the same. That
    /// reaches back to the first time that was not answered: what was answered before is another one.
    fn came(&mut self, once: &str, now: Instant) -> Duration {
        if self.0.len() >= UNSURE_MAX {
            self.0.retain(|_, (_, last)| now.duration_since(*last) <= SAME_UNSURE);
        }
        if self.0.len() >= UNSURE_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(once, _)| once.clone()) {
                self.0.remove(&oldest);
            }
        }
        let known = self.0.get(once).filter(|(_, last)| now.duration_since(*last) <= SAME_UNSURE);
        let first = known.map_or(now, |(first, _)| *first);
        self.0.insert(once.to_owned(), (first, now));
        SAME + now.duration_since(first)
    }

    /// What became of it is known, and answered.
    fn sure(&mut self, once: &str) {
        self.0.remove(once);
    }
}

/// What stands behind the links.
struct Behind {
    state: ApiState,
    store: Store,
    door: Arc<Door>,
}

struct Running {
    line: Arc<Line>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Smpp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smpp").finish_non_exhaustive()
    }
}

impl Smpp {
    pub(crate) fn new(runtime: Handle) -> Smpp {
        Smpp(Arc::new(Inner {
            lines: RwLock::default(),
            desk: Mutex::default(),
            begun: Mutex::default(),
            unsure: Mutex::default(),
            behind: OnceLock::new(),
            plan: RwLock::default(),
            runtime,
        }))
    }

    async fn sent(&self, link: String, text: &Text) -> Sent {
        let Some(line) = self.line(&link).filter(|line| line.settings.sms) else {
            return Sent::NotHere;
        };
        let messages = parts::cut(text, &line.settings);
        let (total, late) = (messages.len(), Instant::now() + WHOLE);
        let key = (link, text.id);
        let mut references = self.forget_begun(&key);
        match self.left(&key, total).await {
            Ok(left) if left.len() > references.len() => references = left,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "which parts of a message have left cannot be read");
                self.keep_begun(key, references);
                // Nobody knows whether it has begun.
                return Sent::Begun("the database is away".to_owned());
            }
        }
        for (at, message) in messages.into_iter().enumerate().skip(references.len()) {
            let rank = if references.is_empty() { Rank::Message } else { Rank::Begun };
            let outcome = posted(&line, (message, text.until), rank, late).await;
            let part =
                if total > 1 { format!("part {} of {total}: ", at + 1) } else { String::new() };
            let mut elsewhere = references.is_empty();
            let failed = match outcome {
                Outcome::Taken(reference) => {
                    let reference = receipts::one_id(line.settings.ids, false, reference);
                    self.note_left(&key, (at + 1, total), &reference).await;
                    references.push(reference);
                    continue;
                }
                Outcome::Refused(refused) if !passes(refused) => {
                    let left = match references.len() {
                        0 => String::new(),
                        left => format!("; {left} have left"),
                    };
                    return Sent::Refused(format!("{part}{}{left}", line::words(refused)));
                }
                Outcome::Refused(status) | Outcome::Unsent(Some(status)) => line::words(status),
                Outcome::Unanswered => "no answer".to_owned(),
                Outcome::Unsent(None) => {
                    let (bound, why) = unsent(&line);
                    // Nobody knows when a lost line is back.
                    elsewhere |= !bound;
                    why
                }
            };
            self.keep_begun(key, references);
            let why = format!("{part}{failed}");
            return if elsewhere { Sent::Later(why) } else { Sent::Begun(why) };
        }
        Sent::Taken(references)
    }

    fn keep_begun(&self, key: (String, i64), references: Vec<String>) {
        if references.is_empty() {
            return;
        }
        self.begun().keep(key, references);
    }

    fn forget_begun(&self, key: &(String, i64)) -> Vec<String> {
        self.begun().by_key.remove(key).map(|(_, references)| references).unwrap_or_default()
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsure(&self) -> MutexGuard<'_, Unsure> {
        self.0.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, for a message of several parts that has a row there: another process may try it next.
    fn noting(&self, id: i64, total: usize) -> Option<&Store> {
        self.0.behind.get().map(|behind| &behind.store).filter(|_| id > 0 && total > 1)
    }

    /// Which parts have left by what the store knows.
    async fn left(&self, (link, id): &(String, i64), total: usize) -> billing::Result<Vec<String>> {
        match self.noting(*id, total) {
            Some(store) => store.parts_left(link, *id, total).await,
            None => Ok(Vec::new()),
        }
    }

    async fn note_left(&self, (link, id): &(String, i64), part: (usize, usize), reference: &str) {
        let Some(store) = self.noting(*id, part.1) else { return };
        // It has left: a store that is away is no reason to keep the others.
        if let Err(error) = store.part_left((link, *id), part, reference, clock::wall()).await {
            tracing::warn!(%error, "that a part of a message has left was not noted");
        }
    }

    fn line(&self, name: &str) -> Option<Arc<Line>> {
        let lines = self.0.lines.read().unwrap_or_else(PoisonError::into_inner);
        lines.get(name).map(|running| Arc::clone(&running.line))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine has begun a session of this door. Never waits.
    pub(crate) fn begin(&self, session: CallId) {
        self.desk().begin(session);
    }

    /// This is to be seen, if the session is of this door. Never waits.
    pub(crate) fn show(&self, session: CallId, text: &str, more: bool) {
        let out = self.desk().show(session, text, more);
        out.into_iter().for_each(|out| self.push(out));
    }

    /// A session is over. Never waits.
    pub(crate) fn over(&self, session: CallId, end: End) {
        let out = self.desk().end(session, end);
        out.into_iter().for_each(|out| self.push(out));
    }

    /// Puts a screen on its way; a session whose screens do not come through is lost.
    fn push(&self, out: Out) {
        let Out { session, link, message } = out;
        let posted = self.line(&link);
        let posted = posted
            .and_then(|line| line.post(message, Rank::Menu, Instant::now() + SCREEN_PATIENCE));
        let this = self.clone();
        self.0.runtime.spawn(async move {
            let outcome = match posted {
                Some(outcome) => outcome.await.unwrap_or(Outcome::Unanswered),
                None => Outcome::Unsent(None),
            };
            if !matches!(outcome, Outcome::Taken(_)) {
                tracing::warn!(link, %session, ?outcome, "a menu's screen did not come through");
                this.lose(session).await;
            }
        });
    }

    async fn lose(&self, session: CallId) {
        if let Some(behind) = self.0.behind.get() {
            // It may be over by now.
            let _ = behind.door.act(Act::Lose { session }).await;
        }
    }

    /// A step of a menu; the status of its answer.
    async fn stepped(&self, behind: &Behind, link: &Link, message: &Message, text: &str) -> u32 {
        let Some(mobile) = self.number(&message.from).filter(|_| link.ussd) else {
            return status::PERMANENT;
        };
        let number = message.session.map(|[number, _]| number);
        let found = self.desk().find(&link.name, &mobile, number);
        let way = || Way::of(&link.name, link.alphabet, message);
        let done = match (ussd::wish(message, text, found.is_some()), found) {
            (Wish::Open, _) => {
                let Some(dialled) = Dialled::parse(text).or_else(|| Dialled::code(text)) else {
                    return status::PERMANENT;
                };
                let door = MenuDoor::Smpp;
                let open = Act::Open { dialled, mobile: mobile.clone(), door, only: None };
                let opened = behind.door.act(open).await;
                if let Ok(session) = opened {
                    let out = self.desk().opened(session, &mobile, way());
                    out.into_iter().for_each(|out| self.push(out));
                }
                opened
            }
            (Wish::Type, Some(session)) => {
                behind.door.act(Act::Type { session, text: text.to_owned() }).await
            }
            (Wish::Leave, Some(session)) => behind.door.act(Act::Leave { session }).await,
            (Wish::Type, None) => {
                let message = ussd::release(&link.name, link.alphabet, message);
                self.push(Out { session: CallId(0), link: link.name.clone(), message });
                return status::OK;
            }
            (Wish::Leave, None) | (Wish::Nothing, _) => return status::OK,
        };
        match done {
            // Typed too early, or too late: it was heard.
            Ok(_) | Err(ActRefused::NotNow | ActRefused::NoSession) => status::OK,
            Err(ActRefused::Busy) => status::TEMPORARY,
            Err(ActRefused::NoCode | ActRefused::Blocked) => status::PERMANENT,
        }
    }

    /// A message that somebody wrote, or a part of one; the status of its answer: it is kept before it is taken.
    async fn written(&self, behind: &Behind, link: &Link, message: &Message) -> u32 {
        let (octets, piece) = parts::read(message);
        let arrived = |once: String, text: String| Arrived {
            link: link.name.clone(),
            once,
            from: self.number(&message.from).unwrap_or_else(|| message.from.digits.clone()),
            to: message.to.digits.clone(),
            text,
        };
        let Some(piece) = piece else {
            let text = coding::text(&octets, message.coding, link.alphabet);
            let once = once(&link.name, message);
            // Who waits too long for it drops this: then it stays unsure.
            let same = self.unsure().came(&once, Instant::now());
            let came = Came { same: Some(same), renewed: true, parts: None };
            let came = api::sms::came(&behind.state, arrived(once.clone(), text), came).await;
            if came.is_ok() {
                self.unsure().sure(&once);
            }
            return kept(came);
        };
        let of = PartOf {
            link: link.name.clone(),
            sender: message.from.digits.clone(),
            recipient: message.to.digits.clone(),
            reference: piece.reference,
            total: piece.total,
        };
        let part = Part { number: piece.number, coding: message.coding, octets };
        let parts = match behind.store.keep_part(of.clone(), part, clock::wall()).await {
            Ok(Kept::Waits | Kept::Again) => return status::OK,
            Ok(Kept::Whole(parts)) => parts,
            Ok(Kept::Full) => {
                tracing::warn!(link = link.name, "too many parts of messages wait for the others");
                return status::TEMPORARY;
            }
            Err(error) => return kept(Err(error)),
        };
        let parts: Vec<_> = parts.into_iter().map(|part| (part.coding, part.octets)).collect();
        let text = parts::join(&parts, link.alphabet);
        let arrived = arrived(once_of_parts(&of, &parts), text);
        let came = Came { same: Some(SAME_LONG), renewed: true, parts: Some(of) };
        kept(api::sms::came(&behind.state, arrived, came).await)
    }

    /// E.164 digits of an address; `None`: it is none of E.164.
    fn number(&self, address: &Address) -> Option<String> {
        const INTERNATIONAL: u8 = 1;
        let bare = address.digits.trim();
        let plan = self.0.plan.read().unwrap_or_else(PoisonError::into_inner);
        let whole = match address.ton {
            INTERNATIONAL if !bare.starts_with(['+', '0']) => format!("+{bare}"),
            _ => bare.to_owned(),
        };
        match plan.parse(&whole) {
            Ok(Number::E164(digits)) => Some(digits),
            _ => None,
        }
    }

    /// Brings the links to what the settings say. Those that are as they were go on.
    fn bring(&self, links: Vec<Link>, tls: &Arc<Tls>) -> Vec<JoinHandle<()>> {
        let mut lines = self.0.lines.write().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: BTreeMap<String, Link> = links
            .into_iter()
            .filter(|link| link.enabled)
            .map(|link| (link.name.clone(), link))
            .collect();
        let gone: Vec<String> = lines
            .iter()
            .filter(|(name, running)| wanted.get(*name) != Some(&running.line.settings))
            .map(|(name, _)| name.clone())
            .collect();
        let mut gone: BTreeMap<String, JoinHandle<()>> = gone
            .into_iter()
            .filter_map(|name| lines.remove(&name).map(|running| (name, running.end())))
            .collect();
        wanted.retain(|name, _| !lines.contains_key(name));
        for (name, link) in wanted {
            let (stop, stopped) = watch::channel(false);
            let (line, outgoing) = Line::new(link);
            let hears = Arc::new(self.clone());
            let given = Given { hears, tls: Some(Arc::clone(tls)), stop: stopped };
            let (before, kept) = (gone.remove(&name), Arc::clone(&line));
            let task = self.0.runtime.spawn(async move {
                // Many centres take one bind of a name at a time.
                if let Some(before) = before {
                    let _ = before.await;
                }
                line::run(kept, outgoing, given).await;
            });
            lines.insert(name, Running { line, stop, task });
        }
        gone.into_values().collect()
    }
}

impl Running {
    /// Takes its leave; what is under way is waited for.
    fn end(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}

impl Links for Smpp {
    /// Parts that have left do not leave again when a message is tried again.
    fn send(&self, link: String, text: Text) -> Promise<Sent> {
        let this = self.clone();
        Box::pin(async move { this.sent(link, &text).await })
    }

    fn links(&self) -> Vec<LinkStatus> {
        let lines = self.0.lines.read().unwrap_or_else(PoisonError::into_inner);
        lines.values().map(|running| running.line.status()).collect()
    }
}

impl Hears for Smpp {
    fn came(&self, line: Arc<Line>, message: Message) -> Promise<u32> {
        let this = self.clone();
        Box::pin(async move {
            let Some(behind) = this.0.behind.get() else { return status::TEMPORARY };
            let link = &line.settings;
            let text = coding::text(&message.octets, message.coding, link.alphabet);
            if message.ussd.is_some() {
                return this.stepped(behind, link, &message, &text).await;
            }
            match receipts::read(&message, &text) {
                receipts::Kind::Receipt { reference, delivery, word } => {
                    let reference = receipts::one_id(link.ids, true, reference);
                    let receipt = Receipt { link: link.name.clone(), reference, delivery, word };
                    kept(api::sms::receipt(&behind.state, receipt).await)
                }
                receipts::Kind::Passing => status::OK,
                receipts::Kind::Text if !link.sms => status::PERMANENT,
                receipts::Kind::Text => this.written(behind, link, &message).await,
            }
        })
    }

    fn lost(&self, line: &Line) {
        for session in self.desk().at(&line.settings.name) {
            let this = self.clone();
            self.0.runtime.spawn(async move { this.lose(session).await });
        }
    }
}

/// What comes of a message, or of a part of one, that is to have its answer by `late`, and that nobody wants any more from
/// `dead` on.
async fn posted(
    line: &Line,
    (mut message, dead): (Message, Option<UnixMillis>),
    rank: Rank,
    late: Instant,
) -> Outcome {
    message.validity =
        dead.filter(|_| line.takes_validity()).map(|dead| validity(dead, clock::wall()));
    let told = message.validity.is_some();
    let outcome = asked(line, message.clone(), rank, late).await;
    if !told || outcome != Outcome::Refused(status::BAD_VALIDITY) {
        return outcome;
    }
    // Rather late than never.
    line.take_no_validity();
    message.validity = None;
    asked(line, message, rank, late).await
}

/// Seconds for which a network is to try.
fn validity(dead: UnixMillis, now: UnixMillis) -> u32 {
    let left = dead.0.saturating_sub(now.0).max(0) / 1_000;
    u32::try_from(left).unwrap_or(u32::MAX).max(VALIDITY_MIN)
}

async fn asked(line: &Line, message: Message, rank: Rank, late: Instant) -> Outcome {
    let until = (Instant::now() + PATIENCE).min(late - ANSWERED);
    let Some(outcome) = line.post(message, rank, until) else { return Outcome::Unsent(None) };
    let answered = tokio::time::Instant::from_std(until + ANSWERED);
    let outcome = tokio::time::timeout_at(answered, outcome).await;
    outcome.ok().and_then(Result::ok).unwrap_or(Outcome::Unanswered)
}

/// Whether the line is bound on which nothing could be sent, and why not.
fn unsent(line: &Line) -> (bool, String) {
    match line.state() {
        _ if line.sends() => (true, "too many messages wait".to_owned()),
        (_, _, why) if why.is_empty() => (false, "not bound".to_owned()),
        (_, _, why) => (false, format!("not bound: {why}")),
    }
}

/// Refusals that may pass: the far end is in trouble, has too much to do, or has lost our bind, which is made anew.
fn passes(refused: u32) -> bool {
    matches!(
        refused,
        status::SYSTEM
            | status::TEMPORARY
            | status::THROTTLED
            | status::QUEUE_FULL
            | status::BAD_BIND
    )
}

/// A message is taken when it is kept, or was before.
fn kept(kept: billing::Result<bool>) -> u32 {
    match kept {
        Ok(_) => status::OK,
        Err(error) => {
            tracing::warn!(%error, "what came by an SMPP link was not kept; it is to come again");
            status::TEMPORARY
        }
    }
}

/// What is the same when the link brings a message again: nothing in it names it.
fn once(link: &str, message: &Message) -> String {
    let mut sum = Md5::new();
    for field in [link, &message.from.digits, &message.to.digits] {
        sum.update(field.as_bytes());
        sum.update([0]);
    }
    sum.update(message.user_reference.map_or([0, 0, 0], |reference| {
        let [high, low] = reference.to_be_bytes();
        [1, high, low]
    }));
    sum.update([message.coding, message.esm_class]);
    sum.update(&message.octets);
    format!("smpp:{}", hex::encode(sum.finalize()))
}

/// The same of a message in parts, whichever of them came last.
fn once_of_parts(of: &PartOf, parts: &[(u8, Vec<u8>)]) -> String {
    let mut sum = Md5::new();
    for field in [&of.link, &of.sender, &of.recipient] {
        sum.update(field.as_bytes());
        sum.update([0]);
    }
    sum.update(of.reference.to_be_bytes());
    for (coding, octets) in parts {
        sum.update([*coding]);
        sum.update(octets.len().to_be_bytes());
        sum.update(octets);
    }
    format!("smpp parts:{}", hex::encode(sum.finalize()))
}

/// Keeps the links as the settings say, until `stop`; then each takes its leave.
pub(crate) async fn run(
    smpp: Smpp,
    (state, store): (ApiState, Store),
    (door, tls): (Arc<Door>, Arc<Tls>),
    mut stop: watch::Receiver<bool>,
) {
    let _ = smpp.0.behind.set(Behind { state, store: store.clone(), door });
    let (mut known, mut leaving) = (None, Vec::new());
    loop {
        match refreshed(&store, known).await {
            Ok(Some((version, links, plan))) => {
                *smpp.0.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
                leaving.retain(|task: &JoinHandle<()>| !task.is_finished());
                leaving.extend(smpp.bring(links, &tls));
                known = Some(version);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the SMPP links cannot be read"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    leaving.extend(smpp.bring(Vec::new(), &tls));
    for task in leaving {
        let _ = task.await;
    }
}

type Settings = (u64, Vec<Link>, NumberPlan);

async fn refreshed(store: &Store, known: Option<u64>) -> billing::Result<Option<Settings>> {
    let version = store.settings_version().await?;
    if Some(version) == known {
        return Ok(None);
    }
    let links = store.smpp_links().await?;
    Ok(Some((version, links, store.snapshot().await?.plan)))
}

#[cfg(test)]
mod tests;
