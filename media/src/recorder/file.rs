//! The file of a recording: `<file>.part` while it grows, renamed when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use facts::media::{RecordedFile, RecordingForm};
use seal::{Keys, Reader, SALT_BYTES, Sealer};
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
    /// What seals what is written, where recordings are sealed, and the keys to look at the result.
    seal: Option<(Sealer, Arc<Keys>)>,
    /// Octets in the file.
    stored: u64,
    /// Size of the sound, head included, when the head was last written.
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
        keys: Option<&Arc<Keys>>,
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
        PartFile::with(sink, folder, name, form, keys)
    }
}

impl<S: Sink> PartFile<S> {
    /// Begins a file with its head.
    pub(super) fn with(
        sink: S,
        folder: &Path,
        name: &str,
        form: RecordingForm,
        keys: Option<&Arc<Keys>>,
    ) -> io::Result<PartFile<S>> {
        let (folder, name, head) = (folder.to_owned(), name.to_owned(), Head::new(form));
        let mut out = head.open();
        let seal = match keys {
            None => None,
            Some(keys) => {
                let plain = std::mem::take(&mut out);
                let sealer =
                    Sealer::new(keys, salt()?, &plain, &mut out).map_err(io::Error::other)?;
                Some((sealer, Arc::clone(keys)))
            }
        };
        let stored = out.len() as u64;
        let mut file = PartFile { sink, folder, name, head, seal, stored, told: 0, stays: false };
        file.sink.write_all(&out)?;
        Ok(file)
    }

    /// A file that was found: it holds a head and what that says; the next octets go behind.
    pub(super) fn resume(
        sink: S,
        (folder, name): (&Path, &str),
        head: Head,
        seal: Option<(Sealer, Arc<Keys>)>,
        stored: u64,
    ) -> PartFile<S> {
        let (folder, name, told) = (folder.to_owned(), name.to_owned(), head.file_bytes());
        PartFile { sink, folder, name, head, seal, stored, told, stays: true }
    }

    /// Appends whole units of sound. A head that tells the length is written anew after each second of it.
    pub(super) fn append(&mut self, sound: &[u8]) -> io::Result<()> {
        match &mut self.seal {
            None => self.sink.write_all(sound)?,
            Some((sealer, _)) => {
                let mut sealed = Vec::new();
                sealer.sound(sound, &mut sealed);
                self.sink.write_all(&sealed)?;
                self.stored += sealed.len() as u64;
                self.head.added(sound);
                return Ok(());
            }
        }
        self.stored += sound.len() as u64;
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

    /// Writes the head anew, syncs, renames, checks the size and takes the sum of the sound that is there.
    pub(super) fn place(mut self, samples: u64) -> io::Result<RecordedFile> {
        let seal = self.seal.take();
        let keys = self.end(seal, samples)?;
        self.sink.flush()?;
        self.sink.sync()?;
        let target = self.folder.join(&self.name);
        fs::rename(part_of(&target), &target)?;
        self.stays = true;
        if let Some(parent) = target.parent() {
            File::open(parent)?.sync_all()?;
        }
        let there = fs::metadata(&target)?.len();
        let (bytes, sha256) = match keys {
            None => sum(&target)?,
            Some(keys) => sum_sealed(&target, &keys)?,
        };
        if bytes != self.head.file_bytes() || there != self.stored {
            return Err(io::Error::other("the file in place has another size than was written"));
        }
        let duration_ms = samples * 1_000 / u64::from(audio::RATE);
        let file = std::mem::take(&mut self.name);
        Ok(RecordedFile { file, duration_ms, bytes, sha256, other: None })
    }
}

impl<S: Sink> PartFile<S> {
    /// Writes the head anew, and what ends a sealed file; gives the keys that open it.
    fn end(
        &mut self,
        seal: Option<(Sealer, Arc<Keys>)>,
        samples: u64,
    ) -> io::Result<Option<Arc<Keys>>> {
        let closed = self.head.closed(samples);
        let Some((mut sealer, keys)) = seal else {
            self.sink.seek(SeekFrom::Start(0))?;
            self.sink.write_all(&closed)?;
            return Ok(None);
        };
        let (at, head) = sealer.head_anew(&closed);
        self.sink.seek(SeekFrom::Start(at))?;
        self.sink.write_all(&head)?;
        self.sink.seek(SeekFrom::End(0))?;
        let mut end = Vec::new();
        sealer.end(&mut end);
        self.sink.write_all(&end)?;
        self.stored += end.len() as u64;
        Ok(Some(keys))
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

/// The same of what is in a sealed file, which is opened to the end.
fn sum_sealed(path: &Path, keys: &Keys) -> io::Result<(u64, String)> {
    let mut reader =
        Reader::open(keys, io::BufReader::new(File::open(path)?)).map_err(io::Error::other)?;
    let (mut sum, mut bytes) = (Sha256::new(), 0);
    loop {
        let piece = reader.read().map_err(io::Error::other)?;
        if piece.is_empty() {
            return Ok((bytes, hex::encode(sum.finalize())));
        }
        bytes += piece.len() as u64;
        sum.update(&piece);
    }
}

fn salt() -> io::Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(salt)
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
