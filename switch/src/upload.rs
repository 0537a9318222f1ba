//! Finished recordings go to the operator's S3-compatible storage.
//!
//! The folder is the queue: a recording is stored when `<name>.stored` lies beside it, and is to be removed from the storage when
//! `<name>.unstored` does. So nothing is forgotten over a restart or a crash; at worst a file is sent twice, which
//! changes nothing. The file here stays until its time is over (`recording.keep`), and then its copy goes too.
//! A storage that is away costs nothing but its own tries: calls and recordings know nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use api::bucket::{Bucket, BucketConfig, BucketError, STORED, UNSTORED, beside, forget};
use billing::Store;
use facts::media::MESSAGE;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::keep::is_recording;

/// Files on their way at one time.
const PARALLEL: usize = 4;
/// Files remembered at one time; what is more is found again later.
const WAITING_MAX: usize = 100_000;
/// Files of one round.
const ROUND: usize = 1_000;
/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Waits after failures, by their number.
const PAUSES_S: [u64; 6] = [5, 15, 60, 300, 900, 3_600];

/// How recordings are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadKnobs {
    /// `https://host:port`; `None`: nowhere.
    pub(crate) endpoint: Option<String>,
    /// It may be plain `http` elsewhere than on this machine.
    pub(crate) insecure: bool,
    pub(crate) bucket: String,
    pub(crate) region: String,
    pub(crate) prefix: String,
    /// File of the credentials: a line each, id and secret.
    pub(crate) credentials: Option<PathBuf>,
    /// How old a recording is when it is sent: what a mailbox keeps is known by then.
    pub(crate) after: Duration,
}

impl Default for UploadKnobs {
    fn default() -> Self {
        UploadKnobs {
            endpoint: None,
            insecure: false,
            bucket: "recordings".into(),
            region: "us-east-1".into(),
            prefix: String::new(),
            credentials: None,
            after: Duration::from_secs(60),
        }
    }
}

impl UploadKnobs {
    /// The bucket that they speak of; `None` where nothing is to be stored.
    ///
    /// # Errors
    /// What is wrong with them; the credentials are not quoted.
    pub(crate) fn bucket(&self) -> Result<Option<Bucket>, String> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let wrong =
            |path: &Path, why: &str| format!("recording.s3_credentials: {}: {why}", path.display());
        let path = self.credentials.as_ref().ok_or("recording.s3_credentials is not set")?;
        let text = fs::read_to_string(path).map_err(|error| wrong(path, &error.to_string()))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(access), Some(secret), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(wrong(path, "not two lines, id and secret"));
        };
        let config = BucketConfig {
            endpoint: endpoint.clone(),
            insecure: self.insecure,
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            access_key: access.to_owned(),
            secret_key: secret.to_owned(),
        };
        Bucket::new(config).map(Some).map_err(|error| format!("recording.s3_endpoint: {error}"))
    }
}

/// What became of it, for metrics.
#[derive(Debug, Default)]
pub(crate) struct UploadCounts {
    pub(crate) stored: AtomicU64,
    pub(crate) removed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) waiting: AtomicU64,
    /// How long the oldest of those that wait has waited, microseconds.
    pub(crate) oldest_us: AtomicU64,
}

/// What is to be done with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Store,
    Remove,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    wish: Wish,
    since: SystemTime,
    tries: usize,
    due: Instant,
}

/// What is known of the folder.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<String, Waiting>,
    /// Drawers by when they had changed last as they were looked through; what waits in them is known.
    drawers: BTreeMap<PathBuf, SystemTime>,
}

/// Stores what is finished and removes what is over, until `stop`.
pub(crate) async fn run(
    (store, bucket): (Store, Bucket),
    (folder, after): (PathBuf, Duration),
    counts: Arc<UploadCounts>,
    mut stop: watch::Receiver<bool>,
) {
    let mut queue = Queue::default();
    let mut failures = 0_usize;
    loop {
        queue = look(&store, queue, &folder, after).await;
        let done = round(&bucket, &mut queue, &folder, &counts).await;
        queue.tell(&counts);
        failures = if done.failed > 0 && done.done == 0 { failures + 1 } else { 0 };
        let pause = match failures {
            0 if done.done == ROUND => Duration::ZERO,
            0 => LOOK.min(after),
            n => Duration::from_secs(PAUSES_S[(n - 1).min(PAUSES_S.len() - 1)]),
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Looks through the folder for what has come since. The store is asked only when there is something to be stored.
async fn look(store: &Store, mut queue: Queue, folder: &Path, after: Duration) -> Queue {
    let folder = folder.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let found = queue.find(&folder, SystemTime::now(), after);
        (queue, found)
    });
    // A panic forgets what was known; it is found again.
    let Ok((queue_back, found)) = looked.await else { return Queue::default() };
    queue = queue_back;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "recordings to be stored cannot be looked for");
            return queue;
        }
    };
    let messages = match found.asks() {
        true => store.message_files().await,
        false => Ok(BTreeSet::new()),
    };
    match messages {
        Ok(messages) => queue.take(found, &messages),
        Err(error) => {
            tracing::warn!(%error, "which recordings are messages is not known: none are stored for now");
        }
    }
    queue
}

#[derive(Clone, Copy, Debug, Default)]
struct Done {
    done: usize,
    failed: usize,
}

/// Does what is due, [`PARALLEL`] at a time; ends early when the storage does not answer.
async fn round(bucket: &Bucket, queue: &mut Queue, folder: &Path, counts: &UploadCounts) -> Done {
    let now = Instant::now();
    let due = queue.waiting.iter().filter(|(_, waiting)| waiting.due <= now);
    let mut due: Vec<(String, Wish)> =
        due.take(ROUND).map(|(name, waiting)| (name.clone(), waiting.wish)).collect();
    due.reverse();
    let (mut tasks, mut done, mut last) = (JoinSet::new(), Done::default(), None);
    loop {
        while tasks.len() < PARALLEL && done.failed < PARALLEL {
            let Some((name, wish)) = due.pop() else { break };
            tasks.spawn(carry_out(bucket.clone(), folder.to_owned(), name, wish));
        }
        let Some(Ok((name, wish, result))) = tasks.join_next().await else { break };
        match result {
            Ok(()) => {
                queue.waiting.remove(&name);
                let count = if wish == Wish::Store { &counts.stored } else { &counts.removed };
                count.fetch_add(1, Ordering::Relaxed);
                done.done += 1;
            }
            Err(BucketError::Gone) => {
                let tried = queue.waiting.remove(&name).is_some_and(|waiting| waiting.tries > 0);
                // What was tried may have come through without an answer.
                if tried && let Err(error) = fs::write(beside(&folder.join(&name), UNSTORED), b"") {
                    tracing::warn!(%error, "the copy of a removed recording may stay in the storage");
                }
            }
            Err(error) => {
                if let Some(waiting) = queue.waiting.get_mut(&name) {
                    let pause = PAUSES_S[waiting.tries.min(PAUSES_S.len() - 1)];
                    waiting.due = Instant::now() + Duration::from_secs(pause);
                    waiting.tries += 1;
                }
                counts.failed.fetch_add(1, Ordering::Relaxed);
                done.failed += 1;
                last = Some(error);
            }
        }
    }
    if let Some(error) = last {
        let waiting = queue.waiting.len();
        tracing::warn!(%error, failed = done.failed, waiting, "recordings could not be stored");
    }
    done
}

async fn carry_out(
    bucket: Bucket,
    folder: PathBuf,
    name: String,
    wish: Wish,
) -> (String, Wish, Result<(), BucketError>) {
    let path = folder.join(&name);
    let failed = |error: io::Error| BucketError::File(error.to_string());
    let result = match wish {
        Wish::Store => match bucket.put(&name, &path, clock::wall).await {
            // Removed while it was on its way: so is the copy. Asked behind the mark, as whoever removes it may be here.
            Ok(()) => {
                fs::write(beside(&path, STORED), b"").and_then(|()| stray(&path)).map_err(failed)
            }
            Err(error) => Err(error),
        },
        Wish::Remove => match bucket.delete(&name, clock::wall()).await {
            Ok(()) => fs::remove_file(beside(&path, UNSTORED)).map_err(failed),
            Err(error) => Err(error),
        },
    };
    (name, wish, result)
}

/// A mark whose recording is gone stands for a copy that is to go.
fn stray(path: &Path) -> io::Result<()> {
    if path.try_exists()? { Ok(()) } else { forget(path) }
}

/// Removes a recording and its copy; one that is not there is removed.
pub(crate) async fn remove(path: PathBuf) -> io::Result<()> {
    forget(&path)?;
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What one look found that was not known.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(String, Wish, SystemTime)>,
    /// Drawers that were read to their end and will not change unseen, by when they had changed last.
    drawers: Vec<(PathBuf, SystemTime)>,
}

impl Found {
    /// Whether it has to be known what is a message.
    fn asks(&self) -> bool {
        self.files.iter().any(|(_, wish, _)| *wish == Wish::Store)
    }
}

impl Queue {
    /// Looks through the drawers that have changed since the last time.
    fn find(&self, folder: &Path, now: SystemTime, after: Duration) -> io::Result<Found> {
        let mut found = Found::default();
        for drawer in fs::read_dir(folder)? {
            let drawer = drawer?;
            let meta = drawer.metadata()?;
            let (path, changed) = (drawer.path(), meta.modified()?);
            if !meta.is_dir() || self.drawers.get(&path) == Some(&changed) {
                continue;
            }
            // A drawer that changes in this moment may change again within the same tick of its clock.
            let settled = now.duration_since(changed).is_ok_and(|age| age > Duration::from_secs(2));
            if self.drawer(&path, (now, after), &mut found.files)? && settled {
                found.drawers.push((path, changed));
            }
            if found.files.len() >= WAITING_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// True when nothing in it has to come of age.
    fn drawer(
        &self,
        drawer: &Path,
        (now, after): (SystemTime, Duration),
        found: &mut Vec<(String, Wish, SystemTime)>,
    ) -> io::Result<bool> {
        let Some(outer) = drawer.file_name().and_then(|name| name.to_str()) else {
            return Ok(true);
        };
        let (mut names, mut stored) = (Vec::new(), BTreeSet::new());
        let mut whole = true;
        for file in fs::read_dir(drawer)? {
            let file = file?;
            let inner = file.file_name();
            let Some(inner) = inner.to_str() else { continue };
            if let Some(name) = inner.strip_suffix(STORED) {
                stored.insert(name.to_owned());
                continue;
            }
            let (name, wish) = match inner.strip_suffix(UNSTORED) {
                Some(name) => (name, Wish::Remove),
                None => (inner, Wish::Store),
            };
            if !is_recording(name) || wish == Wish::Store && is_message(name) {
                continue;
            }
            let since = file.metadata()?.modified()?;
            if wish == Wish::Store && now.duration_since(since).is_ok_and(|age| age < after) {
                whole = false;
                continue;
            }
            names.push((name.to_owned(), wish, since));
        }
        // Left where a recording was removed as its copy came to be.
        let there: BTreeSet<&str> = names.iter().map(|(inner, ..)| inner.as_str()).collect();
        for inner in stored.iter().filter(|inner| is_recording(inner)) {
            if !there.contains(inner.as_str())
                && let Err(error) = stray(&drawer.join(inner))
            {
                tracing::warn!(%error, "the mark of a copy without a recording cannot be changed");
            }
        }
        for (inner, wish, since) in names {
            let name = format!("{outer}/{inner}");
            let kept = wish == Wish::Store && stored.contains(&inner);
            // What waits to be stored may have to be removed meanwhile.
            let known = self.waiting.get(&name).is_some_and(|waiting| waiting.wish == wish);
            if !kept && !known {
                found.push((name, wish, since));
            }
        }
        Ok(whole)
    }

    /// Takes what was found, but for what is a message.
    fn take(&mut self, found: Found, messages: &BTreeSet<String>) {
        for (name, wish, since) in found.files {
            if wish == Wish::Store && messages.contains(&name) {
                continue;
            }
            if self.waiting.len() >= WAITING_MAX {
                // The rest is found when there is room.
                return;
            }
            self.waiting.insert(name, Waiting { wish, since, tries: 0, due: Instant::now() });
        }
        self.drawers.extend(found.drawers);
    }

    fn tell(&self, counts: &UploadCounts) {
        counts.waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
        let oldest = self.waiting.values().map(|waiting| waiting.since).min();
        let age = oldest.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        counts.oldest_us.store(age, Ordering::Relaxed);
    }
}

/// A message in a mailbox by its name: those that were left before names told are known to the store alone.
fn is_message(name: &str) -> bool {
    name.split_once('_').is_some_and(|(_, word)| word.starts_with(MESSAGE))
}

#[cfg(test)]
mod tests;
