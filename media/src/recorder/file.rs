//! The file of a recording: `<file>.part` while it grows, renamed when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use audio::mp3::Info;
use facts::media::RecordedFile;

/// What a recording is written to.
pub(super) trait Sink: Write + Seek {
    /// Everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A recording's file before it is in place. Dropped before that, it is removed, unless it was found.
pub(super) struct PartFile<S: Sink> {
    sink: S,
    folder: PathBuf,
    name: String,
    info: Info,
    /// A file that is in place, or was found, stays when this is dropped.
    stays: bool,
}

/// What the name of an unfinished recording ends with.
pub(super) const PART: &str = ".part";

impl PartFile<File> {
    /// Makes `<folder>/<name>.part` and the folders on the way to it.
    pub(super) fn create(folder: &Path, name: &str) -> io::Result<PartFile<File>> {
        let below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !below {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path below the folder"));
        }
        let target = folder.join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        if target.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let sink = OpenOptions::new().write(true).create_new(true).open(part_of(&target))?;
        PartFile::with(sink, folder, name)
    }
}

impl<S: Sink> PartFile<S> {
    /// Begins a file with room for its tag.
    pub(super) fn with(sink: S, folder: &Path, name: &str) -> io::Result<PartFile<S>> {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        let mut file = PartFile { sink, folder, name, info: Info::new(), stays: false };
        file.sink.write_all(&Info::open_frame())?;
        Ok(file)
    }

    /// A file that was found: it holds room for its tag and `info`'s frames; the next octets go behind.
    pub(super) fn resume(sink: S, folder: &Path, name: &str, info: Info) -> PartFile<S> {
        PartFile { sink, folder: folder.to_owned(), name: name.to_owned(), info, stays: true }
    }

    /// Appends whole frames.
    pub(super) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.sink.write_all(frames)?;
        self.info.frames_added(frames);
        Ok(())
    }

    /// Samples the frames can hold when no encoder finished them.
    pub(super) fn samples_when_cut(&self) -> u64 {
        self.info.samples_when_cut()
    }

    /// Writes the tag over the room kept for it, syncs, renames and checks the size.
    pub(super) fn place(mut self, samples: u64) -> io::Result<RecordedFile> {
        self.sink.seek(SeekFrom::Start(0))?;
        self.sink.write_all(&self.info.frame(samples))?;
        self.sink.flush()?;
        self.sink.sync()?;
        let target = self.folder.join(&self.name);
        fs::rename(part_of(&target), &target)?;
        self.stays = true;
        if let Some(parent) = target.parent() {
            File::open(parent)?.sync_all()?;
        }
        let bytes = fs::metadata(&target)?.len();
        if bytes != self.info.file_bytes() {
            return Err(io::Error::other("the file in place has another size than was written"));
        }
        let duration_ms = samples * 1_000 / u64::from(audio::RATE);
        Ok(RecordedFile { file: std::mem::take(&mut self.name), duration_ms, bytes })
    }
}

impl<S: Sink> Drop for PartFile<S> {
    fn drop(&mut self) {
        if !self.stays {
            // Nobody will ask for it, and on a full disk its room is needed.
            let _ = fs::remove_file(part_of(&self.folder.join(&self.name)));
        }
    }
}

/// The name of the unfinished file.
pub(super) fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(PART);
    PathBuf::from(name)
}
