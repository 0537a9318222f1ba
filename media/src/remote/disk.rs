//! What was fetched, as octets in a folder, for the time after a restart and for what memory has no room for.
//!
//! A file is named by the digest of its address, which may hold a secret. Its first line says how its server
//! called what it gave; the rest is that. It is written beside and moved into place, so that a file is whole
//! or not there. What has not been asked for again for longest goes first when the folder is full.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use facts::ports::Validators;
use sha2::{Digest, Sha256};

/// Files at most.
const FILES_MAX: usize = 4_096;
/// Octets of the first line at most.
const HEAD_MAX: usize = 4_096;
/// What the names of whole files end with.
const ENDING: &str = "sound";
/// What the names of files that are being written end with.
const PART: &str = "part";

#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    octets_max: u64,
    keep: Duration,
}

impl Disk {
    /// Opens the folder, which is made if it is not there, and removes from it what is too old or too much.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(folder: &Path, octets_max: u64, keep: Duration) -> io::Result<Disk> {
        fs::create_dir_all(folder)?;
        let disk = Disk { folder: folder.to_owned(), octets_max, keep };
        disk.sweep(0);
        Ok(disk)
    }

    /// How the server called what we have of an address.
    pub(super) fn validators(&mut self, url: &str) -> Option<Validators> {
        let mut head = Vec::new();
        let file = File::open(self.path(url)).ok()?;
        file.take(HEAD_MAX as u64).read_to_end(&mut head).ok()?;
        Some(split(&head)?.0)
    }

    /// What we have of an address.
    pub(super) fn get(&mut self, url: &str) -> Option<(Vec<u8>, Validators)> {
        let mut bytes = Vec::new();
        let file = File::open(self.path(url)).ok()?;
        file.take((HEAD_MAX + super::OCTETS_MAX) as u64).read_to_end(&mut bytes).ok()?;
        let (validators, head) = split(&bytes)?;
        Some((bytes.split_off(head), validators))
    }

    /// Keeps what was fetched. What cannot be written is not kept.
    pub(super) fn put(&mut self, url: &str, body: &[u8], validators: &Validators) {
        let Some(head) = line(validators) else { return };
        self.sweep(head.len() as u64 + body.len() as u64);
        let path = self.path(url);
        let part = path.with_extension(PART);
        let written = write(&part, &head, body).and_then(|()| fs::rename(&part, &path));
        if let Err(error) = written {
            tracing::warn!(%error, "what was fetched cannot be kept");
            let _ = fs::remove_file(&part);
        }
    }

    /// It is still what there is: kept for as long as if it were new.
    pub(super) fn touch(&mut self, url: &str) {
        if let Ok(file) = File::options().append(true).open(self.path(url)) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// True when there was something.
    pub(super) fn drop(&mut self, url: &str) -> bool {
        fs::remove_file(self.path(url)).is_ok()
    }

    fn path(&self, url: &str) -> PathBuf {
        let digest = Sha256::digest(url.as_bytes());
        self.folder.join(hex::encode(digest)).with_extension(ENDING)
    }

    /// Makes room for so many octets, and removes what is too old.
    fn sweep(&self, more: u64) {
        let now = SystemTime::now();
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            let Ok(meta) = entry.metadata() else { continue };
            match ending {
                Some(ENDING) => {}
                // Left by a process that died.
                Some(PART) => {
                    let _ = fs::remove_file(&path);
                    continue;
                }
                _ => continue,
            }
            let written = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let old = now.duration_since(written).is_ok_and(|age| age > self.keep);
            if old {
                let _ = fs::remove_file(&path);
            } else {
                kept.push((written, meta.len(), path));
            }
        }
        kept.sort();
        let mut octets: u64 = kept.iter().map(|(_, octets, _)| octets).sum();
        let mut files = kept.len();
        for (_, length, path) in kept {
            if octets + more <= self.octets_max && files < FILES_MAX {
                break;
            }
            let _ = fs::remove_file(&path);
            octets -= length;
            files -= 1;
        }
    }
}

fn write(path: &Path, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(head)?;
    file.write_all(body)?;
    // The name must not reach the disk before what it names.
    file.sync_all()
}

/// The first line: the entity tag, a tab, and when it was last modified.
fn line(validators: &Validators) -> Option<Vec<u8>> {
    let Validators { etag, last_modified } = validators;
    let cell = |text: &Option<String>| text.clone().unwrap_or_default();
    let line = format!("{}\t{}\n", cell(etag), cell(last_modified));
    let whole = line.len() <= HEAD_MAX && line.matches(['\t', '\n', '\r']).count() == 2;
    whole.then(|| line.into_bytes())
}

/// What the first line says, and where the rest begins.
fn split(bytes: &[u8]) -> Option<(Validators, usize)> {
    let end = bytes.iter().take(HEAD_MAX).position(|octet| *octet == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let (etag, last_modified) = line.split_once('\t')?;
    let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let validators = Validators { etag: cell(etag), last_modified: cell(last_modified) };
    Some((validators, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(etag: &str) -> Validators {
        Validators { etag: Some(etag.to_owned()), last_modified: None }
    }

    fn age(disk: &Disk, url: &str, seconds: u64) {
        let file = File::options().append(true).open(disk.path(url)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_no_address_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Disk::open(folder.path(), 1_000, Duration::from_secs(60)).unwrap();
        let (url, body) = ("https://a/b?token=secret", b"\n\tbody\n".as_slice());
        open().put(url, body, &tagged("\"1\""));
        assert_eq!(open().get(url), Some((body.to_vec(), tagged("\"1\""))));
        assert_eq!(open().validators(url), Some(tagged("\"1\"")));
        assert_eq!(open().get("https://a/b"), None);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert!(!path.to_str().unwrap().contains("secret"));
            assert!(!fs::read(path).unwrap().windows(6).any(|word| word == b"secret"));
        }
        // A server whose words would break the line is not kept.
        open().put(url, body, &tagged("a\nb"));
        assert_eq!(open().validators(url), Some(tagged("\"1\"")));
    }

    #[test]
    fn the_folder_is_never_fuller_than_it_may_be_and_the_oldest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(folder.path(), 1_000, Duration::from_secs(60)).unwrap();
        for n in 0..20_u64 {
            let url = format!("http://a/{n}");
            disk.put(&url, &[0; 190], &Validators::default());
            age(&disk, &url, 40 - n);
            let held: u64 = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .sum();
            assert!(held <= 1_000, "{held}");
        }
        assert!(disk.get("http://a/19").is_some() && disk.get("http://a/16").is_some());
        assert!(disk.get("http://a/14").is_none());
        // What is still what there is is as good as new.
        age(&disk, "http://a/19", 61);
        age(&disk, "http://a/18", 61);
        disk.touch("http://a/19");
        fs::write(folder.path().join("left.part"), b"half").unwrap();
        fs::write(folder.path().join("notes.txt"), b"not ours").unwrap();
        let mut disk = Disk::open(folder.path(), 1_000, Duration::from_secs(60)).unwrap();
        assert!(disk.get("http://a/19").is_some() && disk.get("http://a/18").is_none());
        assert!(!folder.path().join("left.part").exists());
        assert!(folder.path().join("notes.txt").exists());
        disk.drop("http://a/19");
        assert!(disk.get("http://a/19").is_none());
    }
}
