//! What a killed process left behind: unfinished recordings become finished ones.
//!
//! Everything up to the last whole frame or sample plays. The tail that was
//! heard but not yet written (waiting on the tape, in the encoder, for the next turn) is filled with
//! silence of its usual length: the recording keeps the length of the call. What may hold sound that cannot be read is
//! never removed: it stays, and is an error in the log.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use facts::media::{RecordedFile, RecordingForm, RecordingFormat, Voices};
use seal::{FRAME_MORE, Found, Keys, OpenError, Sealer};

use super::file::{PART, PartFile};
use super::form::Head;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leftovers {
    /// Put right and in place; those of one call's two legs are one, if both are.
    pub recovered: Vec<RecordedFile>,
    /// Held no sound and were removed, by their path below the folder.
    pub removed: Vec<String>,
    /// Could not be read or moved; they stay where they are, and the log says why.
    pub kept: Vec<String>,
}

/// Finishes the unfinished recordings below `folder`; those that are sealed with `keys`. To be called before the recorder is
/// opened.
///
/// # Errors
///
/// When the folder cannot be read. One file's trouble does not keep the others from being put right.
pub fn recover(folder: &Path, keys: Option<&Arc<Keys>>) -> io::Result<Leftovers> {
    let mut leftovers = Leftovers::default();
    let mut parts = Vec::new();
    if folder.try_exists()? {
        find(folder, 0, &mut parts)?;
    }
    parts.sort();
    for part in parts {
        let Ok(below) = part.strip_prefix(folder) else { continue };
        let Some(name) = below.to_str().and_then(|name| name.strip_suffix(PART)) else { continue };
        match finish((folder, name), &part, keys) {
            Ok(Some(file)) => leftovers.recovered.push(file),
            Ok(None) => {
                tracing::info!(
                    file = told(name),
                    "an unfinished recording without sound was removed"
                );
                leftovers.removed.push(name.to_owned());
            }
            Err(error) => {
                let bytes = fs::metadata(&part).map(|data| data.len()).unwrap_or_default();
                let file = told(name);
                tracing::error!(file, bytes, %error, "an unfinished recording cannot be put right: it is kept");
                leftovers.kept.push(name.to_owned());
            }
        }
    }
    leftovers.recovered = together(leftovers.recovered);
    Ok(leftovers)
}

/// Files of one call's two legs, sorted by name: B's goes with A's. One whose other half was finished before, or
/// held nothing, stays alone.
fn together(files: Vec<RecordedFile>) -> Vec<RecordedFile> {
    let mut all: Vec<RecordedFile> = Vec::with_capacity(files.len());
    for file in files {
        match all.last_mut() {
            Some(a) if Voices::other(&a.file).as_ref() == Some(&file.file) => {
                a.other = Some(Box::new(file));
            }
            _ => all.push(file),
        }
    }
    all
}

/// The name of an unfinished file as the log may have it, good for a shell to find it by. Who knows the word behind the
/// number of the call can fetch it once it is put right.
pub(super) fn told(name: &str) -> String {
    let drawer = name.rfind('/').map_or(0, |slash| slash + 1);
    let Some(word) = name[drawer..].find('_').map(|at| drawer + at + 1) else {
        return format!("{name}{PART}");
    };
    let ending = name[word..].rfind('.').map_or("", |dot| &name[word + dot..]);
    format!("{}*{ending}{PART}", &name[..word])
}

/// Collects the unfinished files; folders that cannot be read are passed over, links not followed.
fn find(folder: &Path, depth: usize, parts: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() && depth < MAX_DEPTH {
            if let Err(error) = find(&path, depth + 1, parts) {
                tracing::warn!(folder = %path.display(), %error, "cannot look for recordings");
            }
        } else if kind.is_file() && path.to_str().is_some_and(|path| path.ends_with(PART)) {
            parts.push(path);
        }
    }
    Ok(())
}

fn finish(
    (folder, name): (&Path, &str),
    part: &Path,
    keys: Option<&Arc<Keys>>,
) -> io::Result<Option<RecordedFile>> {
    if folder.join(name).try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut file = OpenOptions::new().read(true).write(true).open(part)?;
    let format = RecordingFormat::of_name(name).unwrap_or_default();
    let mut magic = [0; seal::MAGIC.len()];
    let length = read_full(&mut file, &mut magic)?;
    file.rewind()?;
    if seal::is_sealed(&magic[..length]) {
        return finish_sealed((folder, name), (part, file), format, keys);
    }
    let bytes = file.metadata()?.len();
    let (head, nothing) = match read_sound(format, &mut file)? {
        None => (None, bytes <= longest_head(format)),
        Some(head) if head.is_empty() => (None, bytes < (head.len() + head.unit().max(2)) as u64),
        Some(head) => (Some(head), false),
    };
    let Some(head) = head else {
        return remove(part, nothing, "what is in it is no sound of ours");
    };
    cut_behind(name, bytes, head.file_bytes());
    file.set_len(head.file_bytes())?;
    file.seek(SeekFrom::End(0))?;
    let stored = head.file_bytes();
    let mut part = PartFile::resume(file, (folder, name), head, None, stored);
    part.append(&head.lost())?;
    let samples = part.samples_when_cut();
    part.place(samples).map(Some)
}

/// The same of one that is sealed: as far as its frames open and what is in them is whole.
fn finish_sealed(
    (folder, name): (&Path, &str),
    (part, mut file): (&Path, fs::File),
    format: RecordingFormat,
    keys: Option<&Arc<Keys>>,
) -> io::Result<Option<RecordedFile>> {
    let keys = keys.ok_or_else(|| io::Error::other("it is sealed, and there is no key file"))?;
    let mut whole: Option<(Head, Found)> = None;
    let mut rest = Vec::new();
    let begin = seal::salvage(keys, io::BufReader::new(&mut file), |piece, found| {
        let Some((mut head, _)) = whole else {
            whole = Head::found(format, &piece.plain).map(|head| (head, *found));
            return whole.is_some();
        };
        // A write may have become several frames, and be whole only with the last of them.
        rest.extend_from_slice(&piece.plain);
        let fits = head.whole(&rest) == rest.len();
        if fits {
            head.added(&rest);
            whole = Some((head, *found));
            rest.clear();
        }
        rest.len() <= STEP
    })
    .map_err(io::Error::other)?;
    let bytes = file.metadata()?.len();
    let Some((head, found)) = whole.filter(|(head, _)| !head.is_empty()) else {
        let nothing = match whole {
            None => begin.len() as u64 + FRAME_MORE as u64 + longest_head(format),
            // An end may stand there; it tells a length in 8 octets.
            Some((head, found)) => found.stored + (FRAME_MORE + head.unit().max(9) - 1) as u64,
        };
        return remove(part, bytes <= nothing, &OpenError::Broken.to_string());
    };
    cut_behind(name, bytes, found.stored);
    let sealer = Sealer::resume(keys, &begin, &found).map_err(io::Error::other)?;
    file.set_len(found.stored)?;
    file.seek(SeekFrom::End(0))?;
    let seal = Some((sealer, Arc::clone(keys)));
    let mut part = PartFile::resume(file, (folder, name), head, seal, found.stored);
    part.append(&head.lost())?;
    let samples = part.samples_when_cut();
    part.place(samples).map(Some)
}

/// Removes what holds no sound: `nothing` stands behind its head. Whatever else cannot be read is kept.
fn remove(part: &Path, nothing: bool, why: &str) -> io::Result<Option<RecordedFile>> {
    if !nothing {
        return Err(io::Error::other(why.to_owned()));
    }
    fs::remove_file(part)?;
    Ok(None)
}

/// More than the end of a write behind what is whole was changed, and is lost.
fn cut_behind(name: &str, bytes: u64, whole: u64) {
    let lost = bytes.saturating_sub(whole);
    if lost > STEP as u64 {
        tracing::error!(
            file = told(name),
            lost,
            "octets of an unfinished recording cannot be read: cut off"
        );
    }
}

/// Octets of the longest head that a recording of this format has.
fn longest_head(format: RecordingFormat) -> u64 {
    let of = |voices| Head::new(RecordingForm { format, voices }).len() as u64;
    of(Voices::Mixed).max(of(Voices::Stereo))
}

/// Reads the file from its beginning in bounded steps; counts what is whole. `None`: its head is none of ours.
fn read_sound(format: RecordingFormat, file: &mut fs::File) -> io::Result<Option<Head>> {
    let mut start = [0; HEAD_MAX];
    let length = read_full(file, &mut start)?;
    let Some(mut head) = Head::found(format, &start[..length]) else { return Ok(None) };
    let mut step = vec![0; STEP / head.unit() * head.unit()];
    loop {
        // Where the last whole unit ended: not every unit is as long as the next.
        file.seek(SeekFrom::Start(head.file_bytes().max(head.len() as u64)))?;
        let length = read_full(file, &mut step)?;
        let whole = head.whole(&step[..length]);
        head.added(&step[..whole]);
        if whole == 0 {
            return Ok(Some(head));
        }
    }
}

/// Fills the buffer as far as the file goes.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Folders below the folder that are looked into.
const MAX_DEPTH: usize = 8;

/// Octets that tell whose head it is.
const HEAD_MAX: usize = audio::mp3::FRAME_BYTES_MAX;

/// Octets read at once, or a little less: no page of Ogg is longer (RFC 3533 §6).
const STEP: usize = 64 * 1024;
