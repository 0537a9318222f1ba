//! Announcements that are known on calls: what ships and the operator's folder, read at the start and again
//! whenever the folder has changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use media::{Media, announcements};
use tokio::sync::watch;

/// Time between looks at the folder.
const LOOK: Duration = Duration::from_secs(3);

/// Names, sizes and times of what lies in a folder: what differs when any of it was changed.
type Seen = BTreeMap<OsString, (u64, Option<SystemTime>)>;

/// Tells the media plane now, and after each change, until `stop`.
pub(crate) async fn watch(folder: PathBuf, media: Arc<Media>, mut stop: watch::Receiver<bool>) {
    let mut known = None;
    loop {
        let (folder, media, before) = (folder.clone(), media.clone(), known.take());
        let looked = tokio::task::spawn_blocking(move || {
            let seen = look(&folder);
            if before.as_ref() != Some(&seen) {
                tell(&folder, &media);
            }
            seen
        });
        known = looked.await.ok();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn tell(folder: &Path, media: &Media) {
    let (library, refused) = announcements::library(folder);
    for error in &refused {
        tracing::warn!(%error, "an announcement is not known");
    }
    tracing::info!(announcements = library.entries().len(), "announcements are known");
    media.know(library);
}

/// A folder that is not there holds nothing.
fn look(folder: &Path) -> Seen {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let seen = files.filter_map(|file| {
        let about = file.metadata().ok()?;
        Some((file.file_name(), (about.len(), about.modified().ok())))
    });
    seen.take(2 * audio::announce::MAX_ENTRIES).collect()
}
