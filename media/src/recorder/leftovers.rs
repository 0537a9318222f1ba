//! What a killed process left behind: unfinished recordings become finished ones.
//!
//! Each frame stands for itself, so everything up to the last whole frame plays. The tail that was
//! heard but not yet written (waiting on the tape, in the encoder, for the next turn) is filled with
//! silence of its usual length: the recording keeps the length of the call.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use audio::mp3::{FRAME_BYTES, FRAME_HEADER, FRAME_SAMPLES, Info, RATE, whole_frames};
use facts::media::RecordedFile;

use super::file::{PART, PartFile};

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leftovers {
    /// Put right and in place.
    pub recovered: Vec<RecordedFile>,
    /// Held no sound and were removed, by their path below the folder.
    pub removed: Vec<String>,
    /// Could not be read or moved; they stay where they are.
    pub kept: Vec<String>,
}

/// Finishes the unfinished recordings below `folder`. To be called before the recorder is opened.
///
/// # Errors
///
/// When the folder cannot be read. One file's trouble does not keep the others from being put right.
pub fn recover(folder: &Path) -> io::Result<Leftovers> {
    let mut leftovers = Leftovers::default();
    let mut parts = Vec::new();
    if folder.try_exists()? {
        find(folder, 0, &mut parts)?;
    }
    parts.sort();
    for part in parts {
        let Ok(below) = part.strip_prefix(folder) else { continue };
        let Some(name) = below.to_str().and_then(|name| name.strip_suffix(PART)) else { continue };
        match finish(folder, name, &part) {
            Ok(Some(file)) => leftovers.recovered.push(file),
            Ok(None) => leftovers.removed.push(name.to_owned()),
            Err(error) => {
                // Not its name: who knows that can fetch it.
                let bytes = fs::metadata(&part).map(|data| data.len()).unwrap_or_default();
                tracing::warn!(bytes, %error, "unfinished recording cannot be put right");
                leftovers.kept.push(name.to_owned());
            }
        }
    }
    Ok(leftovers)
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

fn finish(folder: &Path, name: &str, part: &Path) -> io::Result<Option<RecordedFile>> {
    if folder.join(name).try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut file = OpenOptions::new().read(true).write(true).open(part)?;
    let info = read_frames(&mut file)?;
    if info.frames() == 0 {
        fs::remove_file(part)?;
        return Ok(None);
    }
    file.set_len(info.file_bytes())?;
    file.seek(SeekFrom::End(0))?;
    let mut part = PartFile::resume(file, folder, name, info);
    let mut silence = [0; FRAME_BYTES];
    silence[..FRAME_HEADER.len()].copy_from_slice(&FRAME_HEADER);
    for _ in 0..LOST_FRAMES {
        part.append(&silence)?;
    }
    let samples = part.samples_when_cut();
    part.place(samples).map(Some)
}

/// Reads the file from its beginning in bounded steps; counts its whole frames.
fn read_frames(file: &mut fs::File) -> io::Result<Info> {
    let mut info = Info::new();
    let mut head = [0; FRAME_BYTES];
    if read_full(file, &mut head)? < FRAME_BYTES || !head.starts_with(&FRAME_HEADER) {
        return Ok(info);
    }
    let mut step = vec![0; FRAME_BYTES * STEP_FRAMES];
    loop {
        let length = read_full(file, &mut step)?;
        let whole = whole_frames(&step[..length]);
        info.frames_added(&step[..whole]);
        if whole < step.len() {
            return Ok(info);
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

/// Frames of silence that stand for the unwritten tail: what waits on the tape (200 ms), on average half
/// a turn (50 ms), and what LAME holds back (about 80 ms).
const LOST_FRAMES: u64 = LOST_MS * RATE as u64 / 1_000 / FRAME_SAMPLES;
const LOST_MS: u64 = 370;

/// Folders below the folder that are looked into.
const MAX_DEPTH: usize = 8;

/// Frames read at once.
const STEP_FRAMES: usize = 256;
