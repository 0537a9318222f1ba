//! Sounds that lie behind an address: visited by whoever starts the media plane, judged by what they decode to,
//! kept decoded while they are wanted and as octets on disk for longer.
//!
//! A thread of its own owns all of it, so that a stranger's file delays no announcement of ours. One visit
//! serves everybody who waits for that address. What failed is not asked for again for a while. An address
//! that cannot be reached any more is heard as it was, as long as what it gave is kept. Text that is spoken has a line of its
//! own ([`spoken`]): nothing of it is kept on disk, and no slow program takes a visit's place.

mod disk;
mod shelf;
mod spoken;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use facts::MerchantId;
use facts::ports::{FetchError, Fetched, Validators};
use facts::sound::Unplayable;
use facts::speech::Speech;

use crate::loader::{Had, Wanted, Wish, hand_over};
use crate::prompt::{self, PromptError};
use disk::Disk;
use shelf::Shelf;
use spoken::Spoken;
use turns::Turns;
pub use turns::VISITS_MAX;

/// Whoever visits addresses. It answers in its own time, on a thread of its own.
pub trait Visitor: Send + Sync + 'static {
    /// Gets an address unless it is still what `known` says (RFC 9110 §13.1). Must not block.
    fn visit(&self, url: String, known: Validators, done: Done);

    /// Whether what failed there may be asked for again at once: it is in this house, and may be there a moment later.
    fn is_near(&self, _url: &str) -> bool {
        false
    }
}

/// Where the outcome of a visit goes. Dropped without one, the visit has failed.
#[derive(Debug)]
pub struct Done {
    url: String,
    to: Sender<Came>,
    told: bool,
}

impl Done {
    /// The visit is over.
    pub fn tell(mut self, outcome: Result<Fetched, FetchError>) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Result<Fetched, FetchError>) {
        self.told = true;
        // There is room for every visit under way; nobody there means that we are stopping.
        let _ = self.to.try_send(Came { url: std::mem::take(&mut self.url), outcome });
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if !self.told {
            self.send(Err(FetchError::Failed("given up".into())));
        }
    }
}

/// The outcome of a visit.
#[derive(Debug)]
struct Came {
    url: String,
    outcome: Result<Fetched, FetchError>,
}

/// How sounds behind addresses are had and kept.
#[derive(Clone)]
pub struct RemoteConfig {
    /// Whoever visits addresses.
    pub visitor: Arc<dyn Visitor>,
    /// Folder that they are kept in; `None`: in memory alone.
    pub folder: Option<PathBuf>,
    /// Octets that the folder may hold.
    pub folder_max: u64,
    /// How long a file in it is kept after it was last fetched or found unchanged.
    pub keep: Duration,
    /// For how long what was fetched is played without asking again.
    pub fresh: Duration,
    /// Texts that are spoken at a time, beside all visits.
    pub spoken_at_once: usize,
}

impl std::fmt::Debug for RemoteConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RemoteConfig { folder, folder_max, keep, fresh, spoken_at_once, .. } = self;
        let mut shown = f.debug_struct("RemoteConfig");
        shown.field("folder", folder).field("folder_max", folder_max);
        shown.field("keep", keep).field("fresh", fresh).field("spoken_at_once", spoken_at_once);
        shown.finish_non_exhaustive()
    }
}

/// Octets of a sound behind an address at most: those of any other sound file.
pub const OCTETS_MAX: usize = prompt::MAX_BYTES;
/// Legs that wait for a visit at most.
const WAITING_MAX: usize = 1_024;
/// Of these, legs that hear nothing yet: the rest is for calls that are up.
const AHEAD_MAX: usize = 768;
/// Of those, the legs of one merchant.
const AHEAD_OF_ONE: usize = 512;
/// For how long an address that failed is not visited again.
pub const FAILED_FOR: Duration = Duration::from_secs(30);
/// Failed addresses remembered at most.
const FAILED_MAX: usize = 1_024;
/// Longest address.
const URL_MAX: usize = 8_192;

/// Figures of the thread, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Sounds fetched.
    pub(crate) fetched: AtomicU64,
    /// Visits that found nothing new.
    pub(crate) unchanged: AtomicU64,
    /// Visits that brought no sound.
    pub(crate) failed: AtomicU64,
    /// Octets of decoded sounds that are held.
    pub(crate) held: AtomicU64,
}

/// The handle of the thread. Dropped, it ends it.
#[derive(Debug)]
pub(crate) struct Remote {
    doors: Option<Doors>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

/// The ways in: those who ask ahead take no place of a call that is up.
#[derive(Debug)]
struct Doors {
    live: Sender<Wanted>,
    ahead: Sender<Wanted>,
}

impl Remote {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses one, or the folder.
    pub(crate) fn start(config: RemoteConfig) -> std::io::Result<Remote> {
        let disk = match &config.folder {
            Some(folder) => Some(Disk::open(folder, config.folder_max, config.keep)?),
            None => None,
        };
        let (live, wanted) = bounded(WAITING_MAX);
        let (ahead, wanted_ahead) = bounded(WAITING_MAX);
        let (told, came) = bounded(VISITS_MAX + config.spoken_at_once.max(1));
        let counts = Arc::new(Counts::default());
        let desk = Desk {
            visitor: config.visitor,
            fresh: config.fresh,
            disk,
            shelf: Shelf::default(),
            spoken: Spoken::new(config.spoken_at_once),
            waiting: BTreeMap::new(),
            waiters: Waiters::default(),
            turns: Turns::default(),
            failed: BTreeMap::new(),
            told,
            counts: counts.clone(),
        };
        let thread = std::thread::Builder::new().name("visits".into());
        let thread = thread.spawn(move || desk.run((&wanted, &wanted_ahead), &came))?;
        let doors = Some(Doors { live, ahead });
        Ok(Remote { doors, thread: Some(thread), counts })
    }

    /// Asks for a sound; false when too many wait already.
    pub(crate) fn ask(&self, wanted: Wanted) -> bool {
        let Some(Doors { live, ahead }) = &self.doors else { return false };
        let door = if payer(&wanted.wish).is_some() { ahead } else { live };
        match door.try_send(wanted) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.doors = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that fetches sounds panicked");
        }
    }
}

/// What the thread holds.
struct Desk {
    visitor: Arc<dyn Visitor>,
    fresh: Duration,
    disk: Option<Disk>,
    shelf: Shelf,
    spoken: Spoken,
    /// Who waits for which visit.
    waiting: BTreeMap<String, Vec<Wanted>>,
    waiters: Waiters,
    turns: Turns,
    /// Addresses that failed, until when they are not visited, and why.
    failed: BTreeMap<String, (Instant, Unplayable)>,
    told: Sender<Came>,
    counts: Arc<Counts>,
}

impl Desk {
    fn run(mut self, (live, ahead): (&Receiver<Wanted>, &Receiver<Wanted>), came: &Receiver<Came>) {
        loop {
            select! {
                recv(live) -> wanted => match wanted {
                    Ok(wanted) => self.want(wanted),
                    Err(_) => return,
                },
                recv(ahead) -> wanted => match wanted {
                    Ok(wanted) => self.want(wanted),
                    Err(_) => return,
                },
                recv(came) -> came => if let Ok(Came { url, outcome }) = came {
                    match self.spoken.is_under_way(&url) {
                        true => self.was_spoken(&url, outcome),
                        false => self.came(&url, outcome),
                    }
                },
                // Nobody wants anything: what was spoken is forgotten all the same.
                default(spoken::SPOKEN_FOR) => {}
            }
            self.spoken.forget(Instant::now());
            let held = self.shelf.octets() + self.spoken.octets();
            self.counts.held.store(held as u64, Ordering::Relaxed);
        }
    }

    fn want(&mut self, wanted: Wanted) {
        let now = Instant::now();
        let payer = payer(&wanted.wish);
        let (Wish::Url(url) | Wish::Ahead(url, _)) = &wanted.wish else { return };
        if url.len() > URL_MAX {
            return hand_over(wanted, Err(Unplayable::Refused));
        }
        if let Some(Speech { merchant, .. }) = Speech::read(url) {
            let url = url.clone();
            self.spoken.want(&url, merchant, wanted, now);
            return self.speak();
        }
        if let Some(sound) = self.shelf.take(url, |fetched| now < fetched + self.fresh) {
            return hand_over(wanted, Ok(sound));
        }
        if let Some((until, why)) = self.failed.get(url) {
            let why = *why;
            if now < *until {
                let sound = self.shelf.take(url, |_| true).ok_or(why);
                return hand_over(wanted, sound);
            }
            self.failed.remove(url);
        }
        if !self.waiters.take(payer) {
            return hand_over(wanted, Err(Unplayable::Busy));
        }
        let url = url.clone();
        if let Some(waiting) = self.waiting.get_mut(&url) {
            return waiting.push(wanted);
        }
        self.waiting.insert(url.clone(), vec![wanted]);
        if self.turns.take(&url, payer, now) {
            self.begin(url);
        }
    }

    /// Has spoken whatever may be now.
    fn speak(&mut self) {
        while let Some(url) = self.spoken.next(Instant::now()) {
            self.visit(url, Validators::default());
        }
    }

    fn was_spoken(&mut self, url: &str, outcome: Result<Fetched, FetchError>) {
        let spoken = self.spoken.came(url, outcome, Instant::now());
        let count = if spoken { &self.counts.fetched } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.speak();
    }

    fn begin(&mut self, url: String) {
        let known = self.known(&url);
        self.visit(url, known);
    }

    /// A visit is over: others have their turn, and whoever waited too long for it has had it.
    fn go_on(&mut self, url: &str) {
        self.turns.over(url);
        while let Some(late) = self.turns.late(Instant::now()) {
            let sound = self.shelf.take(&late, |_| true).ok_or(Unplayable::Busy);
            self.hand_out(&late, &sound);
        }
        while let Some(url) = self.turns.next() {
            self.begin(url);
        }
    }

    /// Gives a sound to all who wait for it.
    fn hand_out(&mut self, url: &str, sound: &Had) {
        let waiting = self.waiting.remove(url).unwrap_or_default();
        for wanted in waiting {
            self.waiters.give(payer(&wanted.wish));
            hand_over(wanted, sound.clone());
        }
    }

    fn visit(&self, url: String, known: Validators) {
        let done = Done { url: url.clone(), to: self.told.clone(), told: false };
        self.visitor.visit(url, known, done);
    }

    /// What we have of an address, as its server called it.
    fn known(&mut self, url: &str) -> Validators {
        match (self.shelf.validators(url), &mut self.disk) {
            (Some(known), _) => known,
            (None, Some(disk)) => disk.validators(url).unwrap_or_default(),
            (None, None) => Validators::default(),
        }
    }

    fn came(&mut self, url: &str, outcome: Result<Fetched, FetchError>) {
        let sound = match outcome {
            Ok(Fetched { status: 200, body, validators, .. }) => {
                self.fetched(url, &body, validators)
            }
            Ok(Fetched { status: 304, .. }) => match self.unchanged(url) {
                Some(sound) => Ok(sound),
                // What we had of it is damaged: all of it is asked for, once, as nothing is left to be unchanged.
                None if self.forget(url) => {
                    return self.visit(url.to_owned(), Validators::default());
                }
                None => Err(Unplayable::Unreachable),
            },
            Ok(Fetched { status: 404 | 410, .. }) => {
                self.forget(url);
                Err(Unplayable::Missing)
            }
            Ok(Fetched { status, .. }) => {
                tracing::warn!(status, "a sound was not given");
                self.as_it_was(url, Unplayable::Unreachable)
            }
            Err(error) => {
                tracing::warn!(?error, "a sound cannot be fetched");
                match error {
                    FetchError::BadUrl | FetchError::Refused => Err(Unplayable::Refused),
                    FetchError::TooLarge => Err(Unplayable::TooLarge),
                    FetchError::TimedOut => self.as_it_was(url, Unplayable::TimedOut),
                    FetchError::Failed(_) => self.as_it_was(url, Unplayable::Unreachable),
                }
            }
        };
        if let Err(why) = sound {
            self.remember(url, why);
        }
        self.hand_out(url, &sound);
        self.go_on(url);
    }

    /// The first octets tell what it is, whatever its server calls it.
    fn fetched(&mut self, url: &str, body: &[u8], validators: Validators) -> Had {
        self.forget(url);
        let sound = decoded(body)?;
        self.counts.fetched.fetch_add(1, Ordering::Relaxed);
        if let Some(disk) = &mut self.disk {
            disk.put(url, body, &validators);
        }
        Ok(self.shelf.put(url, sound, validators, Instant::now()))
    }

    /// What we have is still what there is.
    fn unchanged(&mut self, url: &str) -> Option<Arc<prompt::Sound>> {
        let now = Instant::now();
        let sound = self.shelf.renew(url, now).or_else(|| self.read(url, now))?;
        self.counts.unchanged.fetch_add(1, Ordering::Relaxed);
        if let Some(disk) = &mut self.disk {
            disk.touch(url);
        }
        Some(sound)
    }

    /// The server is not there, or not well: what it gave before is heard until it is.
    fn as_it_was(&mut self, url: &str, why: Unplayable) -> Had {
        let old = self.shelf.take(url, |_| true);
        // It is not fresh: asked for again once the failure is forgotten.
        let stale = Instant::now().checked_sub(self.fresh).unwrap_or_else(Instant::now);
        let old = old.or_else(|| self.read(url, stale));
        if old.is_some() {
            self.remember(url, why);
        }
        old.ok_or(why)
    }

    /// What lies on disk, decoded.
    fn read(&mut self, url: &str, fetched: Instant) -> Option<Arc<prompt::Sound>> {
        let (body, validators) = self.disk.as_mut()?.get(url)?;
        let sound = decoded(&body).ok()?;
        Some(self.shelf.put(url, sound, validators, fetched))
    }

    /// True when a file of it was removed.
    fn forget(&mut self, url: &str) -> bool {
        self.shelf.drop(url);
        self.disk.as_mut().is_some_and(|disk| disk.drop(url))
    }

    fn remember(&mut self, url: &str, why: Unplayable) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        if self.visitor.is_near(url) {
            return;
        }
        let now = Instant::now();
        self.failed.retain(|_, (until, _)| now < *until);
        if self.failed.len() == FAILED_MAX {
            self.failed.pop_first();
        }
        self.failed.insert(url.to_owned(), (now + FAILED_FOR, why));
    }
}

/// Who pays for the call of a leg that hears nothing yet.
fn payer(wish: &Wish) -> Option<MerchantId> {
    match wish {
        Wish::Ahead(_, payer) => Some(*payer),
        Wish::Url(_) | Wish::File(_) | Wish::Say(_) => None,
    }
}

/// Legs that wait for visits.
#[derive(Debug, Default)]
struct Waiters {
    all: usize,
    ahead: usize,
    of: BTreeMap<MerchantId, usize>,
}

impl Waiters {
    /// A place; false when there is none for whoever pays.
    fn take(&mut self, payer: Option<MerchantId>) -> bool {
        if self.all == WAITING_MAX {
            return false;
        }
        if let Some(payer) = payer {
            let own = self.of.entry(payer).or_default();
            if self.ahead == AHEAD_MAX || *own == AHEAD_OF_ONE {
                return false;
            }
            *own += 1;
            self.ahead += 1;
        }
        self.all += 1;
        true
    }

    /// A place is free.
    fn give(&mut self, payer: Option<MerchantId>) {
        self.all -= 1;
        let Some(payer) = payer else { return };
        self.ahead -= 1;
        if let Some(own) = self.of.get_mut(&payer) {
            *own -= 1;
            if *own == 0 {
                self.of.remove(&payer);
            }
        }
    }
}

fn decoded(body: &[u8]) -> Result<prompt::Sound, Unplayable> {
    match prompt::samples(body) {
        Ok(samples) => Ok(prompt::Sound::once(&samples)),
        Err(error) => {
            tracing::warn!(%error, "what was fetched cannot be played");
            Err(match error {
                PromptError::TooLarge => Unplayable::TooLarge,
                _ => Unplayable::NotASound,
            })
        }
    }
}
