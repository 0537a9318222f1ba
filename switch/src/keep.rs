//! How long recordings are kept: those past their time are removed, messages in mailboxes stay.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use billing::Store;
use facts::media::RecordingFormat;
use tokio::sync::watch;

use crate::recovery::call_of;
use crate::upload;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(3600);
/// Files that one look removes at most; the rest waits for the next.
const FILES_MAX: usize = 100_000;

/// Removes recordings that were finished longer than `keep` ago, now and every hour, until `stop`.
pub(crate) async fn run(
    store: Store,
    folder: PathBuf,
    keep: Duration,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        match look(&store, folder.clone(), keep).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "recordings past their time were removed"),
            Err(error) => tracing::warn!(error, "old recordings could not be removed"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(store: &Store, folder: PathBuf, keep: Duration) -> Result<usize, String> {
    let Some(before) = SystemTime::now().checked_sub(keep) else { return Ok(0) };
    // Asked for first: what became a message after that is too young.
    let messages = store.message_files().await.map_err(|error| error.to_string())?;
    let removed = tokio::task::spawn_blocking(move || remove(&folder, before, &messages)).await;
    removed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Removes the recordings below a folder that were last changed before `before` and are not among `kept` (paths
/// below the folder). Only what bears the name of a recording of ours is touched; how many were removed.
fn remove(folder: &Path, before: SystemTime, kept: &BTreeSet<String>) -> io::Result<usize> {
    let mut removed = 0;
    for drawer in std::fs::read_dir(folder)? {
        let drawer = drawer?;
        if !drawer.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(drawer.path())? {
            let file = file?;
            let (outer, inner) = (drawer.file_name(), file.file_name());
            let (Some(outer), Some(inner)) = (outer.to_str(), inner.to_str()) else { continue };
            let name = format!("{outer}/{inner}");
            if !is_recording(inner) || kept.contains(&name) || removed >= FILES_MAX {
                continue;
            }
            let meta = file.metadata()?;
            if !meta.is_file() || meta.modified()? >= before {
                continue;
            }
            upload::forget(&file.path())?;
            match std::fs::remove_file(file.path()) {
                Ok(()) => removed += 1,
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(removed)
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
        assert_eq!(remove(root.path(), now - 90 * day, &kept).unwrap(), 2);
        assert!(!old.exists() && !sampled.exists());
        for path in [&young, &message, &growing, &foreign, &above] {
            assert!(path.exists(), "{}", path.display());
        }
        assert_eq!(remove(root.path(), now - 90 * day, &kept).unwrap(), 0);
    }
}
