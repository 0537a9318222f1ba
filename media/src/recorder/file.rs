//! The file of a recording: `<file>.part` while it grows, renamed when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use facts::media::{RecordedFile, RecordingForm};
use sha2::{Digest as _, Sha256};

use super::form::Head;

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
    head: Head,
    /// Size of the file when its head was last written.
    told: u64,
    /// A file that is in place, or was found, stays when this is dropped.
    stays: bool,
}

/// What the name of an unfinished recording ends with.
pub(super) const PART: &str = ".part";

impl PartFile<File> {
    /// Makes `<folder>/<name>.part` and the folders on the way to it.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        form: RecordingForm,
    ) -> io::Result<PartFile<File>> {
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
        PartFile::with(sink, folder, name, form)
    }
}

impl<S: Sink> PartFile<S> {
    /// Begins a file with its head.
    pub(super) fn with(
        sink: S,
        folder: &Path,
        name: &str,
        form: RecordingForm,
    ) -> io::Result<PartFile<S>> {
        let (folder, name, head) = (folder.to_owned(), name.to_owned(), Head::new(form));
        let mut file = PartFile { sink, folder, name, head, told: 0, stays: false };
        file.sink.write_all(&head.open())?;
        Ok(file)
    }

    /// A file that was found: it holds a head and what that says; the next octets go behind.
    pub(super) fn resume(sink: S, folder: &Path, name: &str, head: Head) -> PartFile<S> {
        let (folder, name) = (folder.to_owned(), name.to_owned());
        PartFile { sink, folder, name, head, told: head.file_bytes(), stays: true }
    }

    /// Appends whole units of sound. A head that tells the length is written anew after each second of it.
    pub(super) fn append(&mut self, sound: &[u8]) -> io::Result<()> {
        self.sink.write_all(sound)?;
        self.head.added(sound);
        let grown = self.head.file_bytes().saturating_sub(self.told);
        if self.head.tells_length() && grown >= TOLD_EVERY {
            self.sink.seek(SeekFrom::Start(0))?;
            self.sink.write_all(&self.head.open())?;
            self.sink.seek(SeekFrom::End(0))?;
            self.told = self.head.file_bytes();
        }
        Ok(())
    }

    /// Samples of each side that it can hold when no coder finished it.
    pub(super) fn samples_when_cut(&self) -> u64 {
        self.head.samples_when_cut()
    }

    /// Writes the head anew, syncs, renames, checks the size and takes the sum of what is there.
    pub(super) fn place(mut self, samples: u64) -> io::Result<RecordedFile> {
        self.sink.seek(SeekFrom::Start(0))?;
        self.sink.write_all(&self.head.closed(samples))?;
        self.sink.flush()?;
        self.sink.sync()?;
        let target = self.folder.join(&self.name);
        fs::rename(part_of(&target), &target)?;
        self.stays = true;
        if let Some(parent) = target.parent() {
            File::open(parent)?.sync_all()?;
        }
        let (bytes, sha256) = sum(&target)?;
        if bytes != self.head.file_bytes() {
            return Err(io::Error::other("the file in place has another size than was written"));
        }
        let duration_ms = samples * 1_000 / u64::from(audio::RATE);
        Ok(RecordedFile { file: std::mem::take(&mut self.name), duration_ms, bytes, sha256 })
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

/// Reads a file from its beginning to its end: its size, and its SHA-256 in digits of base 16.
fn sum(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut sum, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut step = vec![0; STEP];
    loop {
        let count = match file.read(&mut step) {
            Ok(0) => return Ok((bytes, hex::encode(sum.finalize()))),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.update(&step[..count]);
        bytes += count as u64;
    }
}

/// Octets read at once.
const STEP: usize = 64 * 1024;
/// How much a file grows before a head that tells its length is written anew: a second of two channels.
const TOLD_EVERY: u64 = 32_000;

/// The name of the unfinished file.
pub(super) fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(PART);
    PathBuf::from(name)
}
