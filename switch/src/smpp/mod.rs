//! Lines to networks by SMPP 3.4 and 5.0: short messages out and in, receipts, and menus (spec §5.6).
//!
//! `wire` reads and writes octets, `session` keeps one connection, `parts`, `coding` and `receipts` are what messages
//! are made of, `ussd` knows whose menu is shown where; `line` runs the connections of a link. `outbound` and `inbound`
//! join them with messages, which have rows; menus, and the links themselves, are joined with the engine here.

mod coding;
mod inbound;
mod line;
mod outbound;
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
use billing::smpp::Link;
use facts::ports::Promise;
use facts::sms::{LinkStatus, Receipt, Sent, Text};
use facts::ussd::{Act, ActRefused, Dialled, Door as MenuDoor, End};
use facts::{CallId, Number, NumberPlan};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::inbound::{Unsure, kept};
use self::line::{Given, Hears, Line};
use self::outbound::Begun;
use self::session::{Outcome, Rank};
use self::ussd::{Desk, Out, Way, Wish};
use self::wire::{Address, Message, status};
use crate::calls::Door;
use crate::net::Tls;
use crate::texts::Links;

/// Time between looks: `tandem apply` runs in another process and cannot call us.
const LOOK: Duration = Duration::from_secs(1);
/// How long a screen may wait: a subscriber waits no longer.
const SCREEN_PATIENCE: Duration = Duration::from_secs(15);
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
    /// Of this process.
    node: u16,
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
    pub(crate) fn new(runtime: Handle, node: u16) -> Smpp {
        Smpp(Arc::new(Inner {
            lines: RwLock::default(),
            desk: Mutex::default(),
            begun: Mutex::default(),
            unsure: Mutex::default(),
            behind: OnceLock::new(),
            plan: RwLock::default(),
            runtime,
            node,
        }))
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
        let wish = ussd::wish(message, text, found.is_some());
        let step = wish == Wish::Open || wish == Wish::Type && found.is_some();
        let whose = (link.name.as_str(), mobile.as_str());
        if step && self.desk().again(whose, (message, text), wish, Instant::now()) {
            return status::OK;
        }
        let done = match (wish, found) {
            (Wish::Open, _) => {
                let Some(dialled) = Dialled::parse(text).or_else(|| Dialled::code(text)) else {
                    self.desk().refused(&link.name, &mobile);
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
        if matches!(done, Err(ActRefused::Busy | ActRefused::NoCode | ActRefused::Blocked)) {
            self.desk().refused(&link.name, &mobile);
        }
        match done {
            // Typed too early, or too late: it was heard.
            Ok(_) | Err(ActRefused::NotNow | ActRefused::NoSession) => status::OK,
            Err(ActRefused::Busy) => status::TEMPORARY,
            Err(ActRefused::NoCode | ActRefused::Blocked) => status::PERMANENT,
        }
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
        match refreshed(&store, smpp.0.node, known).await {
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

async fn refreshed(
    store: &Store,
    node: u16,
    known: Option<u64>,
) -> billing::Result<Option<Settings>> {
    let version = store.settings_version().await?;
    if Some(version) == known {
        return Ok(None);
    }
    let mut links = store.smpp_links().await?;
    links.retain(|link| link.node.is_none_or(|own| own == node));
    Ok(Some((version, links, store.snapshot().await?.plan)))
}

#[cfg(test)]
mod tests;
