//! How long recordings are kept: those past their time are removed, messages in mailboxes stay. One that is still to
//! be copied to a storage waits for that, for a while.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use api::bucket::{STORED, beside, forget};
use billing::Store;
use facts::media::RecordingFormat;
use tokio::sync::watch;

use crate::recovery::call_of;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(3600);
/// Files that one look removes at most; the rest waits for the next.
const FILES_MAX: usize = 100_000;

/// What is still to be copied to a storage stays for so long beyond its time: a storage that is away for longer, or
/// for ever, does not fill the disk.
const COPY_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
struct Past {
    /// What was finished before.
    time: SystemTime,
    /// There is a storage: without a copy there it was finished before this.
    uncopied: Option<SystemTime>,
}

impl Past {
    fn new(now: SystemTime, keep: Duration, copied: bool) -> Option<Past> {
        let time = now.checked_sub(keep)?;
        let uncopied =
            copied.then(|| time.checked_sub(COPY_WAIT).unwrap_or(SystemTime::UNIX_EPOCH));
        Some(Past { time, uncopied })
    }
}

/// What one look did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Removed {
    files: usize,
    /// Of these had no copy, after all the waiting.
    lost: usize,
    /// Past their time, and wait for their copy.
    waiting: usize,
    /// Past their time, and cannot be removed; or drawers that cannot be looked through.
    failed: usize,
}

/// Removes recordings that were finished longer than `keep` ago, now and every hour, until `stop`. `copied`: they are
/// copied to a storage.
pub(crate) async fn run(
    store: Store,
    folder: PathBuf,
    (keep, copied): (Duration, bool),
    mut stop: watch::Receiver<bool>,
) {
    loop {
        match look(&store, folder.clone(), (keep, copied)).await {
            Ok(removed) => tell(removed),
            Err(error) => tracing::warn!(error, "old recordings could not be removed"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn tell(removed: Removed) {
    let Removed { files, lost, waiting, failed } = removed;
    if files > 0 {
        tracing::info!(files, "recordings past their time were removed");
    }
    if waiting > 0 {
        tracing::warn!(waiting, "recordings past their time are kept: they are not copied yet");
    }
    if failed > 0 {
        tracing::warn!(failed, "old recordings could not be removed");
    }
    if lost > 0 {
        tracing::error!(lost, "recordings past their time were removed without a copy");
    }
}

async fn look(
    store: &Store,
    folder: PathBuf,
    (keep, copied): (Duration, bool),
) -> Result<Removed, String> {
    let Some(past) = Past::new(SystemTime::now(), keep, copied) else {
        return Ok(Removed::default());
    };
    // Asked for first: what became a message after that is too young.
    let messages = store.message_files().await.map_err(|error| error.to_string())?;
    let removed = tokio::task::spawn_blocking(move || remove(&folder, past, &messages)).await;
    removed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Removes the recordings below a folder that were last changed long enough ago and are not among `kept` (paths
/// below the folder). Only what bears the name of a recording of ours is touched. One file's trouble does not keep the
/// others.
fn remove(folder: &Path, past: Past, kept: &BTreeSet<String>) -> io::Result<Removed> {
    let mut removed = Removed::default();
    for drawer in std::fs::read_dir(folder)? {
        let drawer = drawer?;
        if drawer.file_type()?.is_dir()
            && let Err(error) = remove_in(&drawer, past, kept, &mut removed)
        {
            tracing::warn!(%error, "a folder of recordings cannot be looked through");
            removed.failed += 1;
        }
    }
    Ok(removed)
}

fn remove_in(
    drawer: &DirEntry,
    past: Past,
    kept: &BTreeSet<String>,
    removed: &mut Removed,
) -> io::Result<()> {
    for file in std::fs::read_dir(drawer.path())? {
        let file = file?;
        let (outer, inner) = (drawer.file_name(), file.file_name());
        let (Some(outer), Some(inner)) = (outer.to_str(), inner.to_str()) else { continue };
        let name = format!("{outer}/{inner}");
        if !is_recording(inner) || kept.contains(&name) || removed.files >= FILES_MAX {
            continue;
        }
        match remove_file(&file, past, removed) {
            Ok(()) => {}
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let call = call_of(inner).map(|call| call.to_string());
                tracing::warn!(call, %error, "a recording past its time cannot be removed");
                removed.failed += 1;
            }
        }
    }
    Ok(())
}

fn remove_file(file: &DirEntry, past: Past, removed: &mut Removed) -> io::Result<()> {
    let meta = file.metadata()?;
    let changed = meta.modified()?;
    if !meta.is_file() || changed >= past.time {
        return Ok(());
    }
    let path = file.path();
    let lost = past.uncopied.is_some() && !beside(&path, STORED).exists();
    if lost && past.uncopied.is_some_and(|uncopied| changed >= uncopied) {
        removed.waiting += 1;
        return Ok(());
    }
    forget(&path)?;
    std::fs::remove_file(path)?;
    removed.files += 1;
    removed.lost += usize::from(lost);
    Ok(())
}

/// `<digits of a call>_<a word>.mp3`, or another ending of recordings.
pub(crate) fn is_recording(name: &str) -> bool {
    let stem = name.rsplit_once('.').map(|(stem, _)| stem);
    RecordingFormat::of_name(name).is_some() && stem.and_then(call_of).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_recordings_that_nobody_keeps_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let put = |name: &str, age: Duration| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(now - age).unwrap();
            path
        };
        let call = "1234567890123456789";
        let old = put(&format!("ab/{call}_word.mp3"), 91 * day);
        let sampled = put(&format!("cd/{call}_word.wav"), 91 * day);
        let young = put(&format!("ab/{call}_other.mp3"), 89 * day);
        let message = put(&format!("ef/{call}_mail.mp3"), 400 * day);
        let growing = put(&format!("ab/{call}_word.mp3.part"), 91 * day);
        let foreign = put("ab/holiday.mp3", 91 * day);
        let above = put(&format!("{call}_word.mp3"), 91 * day);
        let kept = BTreeSet::from([format!("ef/{call}_mail.mp3")]);
        let past = Past::new(now, 90 * day, false).unwrap();
        let both = Removed { files: 2, ..Removed::default() };
        assert_eq!(remove(root.path(), past, &kept).unwrap(), both);
        assert!(!old.exists() && !sampled.exists());
        for path in [&young, &message, &growing, &foreign, &above] {
            assert!(path.exists(), "{}", path.display());
        }
        assert_eq!(remove(root.path(), past, &kept).unwrap(), Removed::default());
    }

    #[test]
    fn what_is_not_copied_yet_waits_beyond_its_time_but_not_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        std::fs::create_dir(root.path().join("ab")).unwrap();
        let put = |word: &str, age: Duration| {
            let path = root.path().join(format!("ab/1234567890123456789_{word}.mp3"));
            std::fs::File::create(&path).unwrap().set_modified(now - age).unwrap();
            path
        };
        let (copied, waits, lost) =
            (put("copied", 91 * day), put("waits", 119 * day), put("lost", 121 * day));
        std::fs::write(beside(&copied, STORED), b"").unwrap();
        let past = Past::new(now, 90 * day, true).unwrap();
        let removed = remove(root.path(), past, &BTreeSet::new()).unwrap();
        assert_eq!(removed, Removed { files: 2, lost: 1, waiting: 1, failed: 0 });
        assert!(!copied.exists() && waits.exists() && !lost.exists());
        // The storage is told to forget the one that it has.
        assert!(beside(&copied, api::bucket::UNSTORED).exists());
        std::fs::write(beside(&waits, STORED), b"").unwrap();
        let removed = remove(root.path(), past, &BTreeSet::new()).unwrap();
        assert_eq!(removed, Removed { files: 1, ..Removed::default() });
    }

    #[test]
    fn one_that_cannot_be_removed_keeps_none_of_the_others() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let mut paths = Vec::new();
        for n in 0..20 {
            let path = root.path().join(format!("{}/1234567890123456789_{n}.mp3", n % 3));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(&path).unwrap().set_modified(now - 91 * day).unwrap();
            std::fs::write(beside(&path, STORED), b"").unwrap();
            paths.push(path);
        }
        // Its mark cannot be changed.
        std::fs::create_dir(beside(&paths[7], api::bucket::UNSTORED)).unwrap();
        let past = Past::new(now, 90 * day, true).unwrap();
        let removed = remove(root.path(), past, &BTreeSet::new()).unwrap();
        assert_eq!(removed, Removed { files: 19, failed: 1, ..Removed::default() });
        let left: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
        assert_eq!(left, [&paths[7]]);
    }
}
