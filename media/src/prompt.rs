//! Announcements: decoded once when the store is opened, held as ready 20 ms frames of both codings,
//! shared by every call that plays them.
//!
//! A folder of the operator's own (`<folder>/<language>/<name>.wav|mp3|ogg|flac`) comes before the
//! announcements that ship with the program. A file that cannot be used is reported and passed over:
//! the shipped one stands in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audio::{FRAME, g711};
use facts::media::Codec;

pub(crate) mod decode;
mod inspect;
mod shipped;

pub use decode::{PromptError, samples};

/// A whole announcement, frame by frame; the last is filled up with silence.
pub type Frames = Arc<[[u8; FRAME]]>;

/// A file in the operator's folder that cannot be played.
#[derive(Debug)]
pub struct Refused {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: PromptError,
}

/// Every announcement there is. Reading it takes no lock.
#[derive(Debug, Default)]
pub struct Store {
    /// By language, then by name.
    languages: BTreeMap<String, BTreeMap<String, Sound>>,
}

#[derive(Debug)]
struct Sound {
    ulaw: Frames,
    alaw: Frames,
}

impl Store {
    /// Decodes the shipped announcements and those below `folder`; the second part of the answer names
    /// what could not be used. A folder that is not there counts as empty.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> (Store, Vec<Refused>) {
        let mut store = Store::default();
        let mut refused = Vec::new();
        for (language, name, bytes) in shipped::FILES {
            match samples(bytes) {
                Ok(samples) => store.add(language, name, &samples),
                Err(error) => refused.push(Refused { path: Path::new(language).join(name), error }),
            }
        }
        if let Some(folder) = folder {
            store.add_folder(folder, &mut refused);
        }
        (store, refused)
    }

    /// The frames of an announcement in a language or, when that language lacks it, in
    /// [`FALLBACK`]. `None` when there is no such announcement.
    #[must_use]
    pub fn frames(&self, name: &str, language: &str, codec: Codec) -> Option<Frames> {
        let sound = self.sound(name, language).or_else(|| self.sound(name, FALLBACK))?;
        Some(match codec {
            Codec::Pcmu => sound.ulaw.clone(),
            _ => sound.alaw.clone(),
        })
    }

    /// How many announcements there are, each language counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.languages.values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sound(&self, name: &str, language: &str) -> Option<&Sound> {
        self.languages.get(language)?.get(name)
    }

    fn add(&mut self, language: &str, name: &str, samples: &[i16]) {
        let sound = Sound { ulaw: coded(samples, Codec::Pcmu), alaw: coded(samples, Codec::Pcma) };
        self.languages.entry(language.to_owned()).or_default().insert(name.to_owned(), sound);
    }

    fn add_folder(&mut self, folder: &Path, refused: &mut Vec<Refused>) {
        let mut loaded = 0;
        for language in entries(folder).into_iter().filter(|path| path.is_dir()) {
            for path in entries(&language) {
                let Some((language, name)) = named(&language, &path) else { continue };
                if loaded == MAX_FILES {
                    refused.push(Refused { path, error: PromptError::TooMany });
                    return;
                }
                loaded += 1;
                match read(&path).and_then(|bytes| samples(&bytes)) {
                    Ok(samples) => self.add(language, name, &samples),
                    Err(error) => refused.push(Refused { path, error }),
                }
            }
        }
    }
}

/// What a folder holds, in the order of names; what cannot be read holds nothing.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Language and name of a file that has one of the known endings.
fn named<'a>(language: &'a Path, path: &'a Path) -> Option<(&'a str, &'a str)> {
    let ending = path.extension()?.to_str()?;
    let known = ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    let names = (language.file_name()?.to_str()?, path.file_stem()?.to_str()?);
    known.then_some(names)
}

/// The samples of what a caller has left at 8 kHz: the left channel of a recording of ours, the right one is
/// silent.
///
/// # Errors
/// As [`samples`].
pub(crate) fn message(path: &Path) -> Result<Vec<i16>, PromptError> {
    read(path).and_then(|bytes| decode::message(&bytes))
}

/// Samples as frames of one coding.
pub(crate) fn coded(samples: &[i16], codec: Codec) -> Frames {
    match codec {
        Codec::Pcmu => framed(samples, g711::linear_to_ulaw, g711::ULAW_SILENCE),
        _ => framed(samples, g711::linear_to_alaw, g711::ALAW_SILENCE),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PromptError> {
    let unreadable = |error: io::Error| PromptError::Unreadable(error.to_string());
    let file = fs::File::open(path).map_err(unreadable)?;
    // One octet more than is allowed tells a file of just the right size from a longer one.
    let mut bytes = Vec::new();
    file.take(decode::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn framed(samples: &[i16], code: impl Fn(i16) -> u8, silence: u8) -> Frames {
    let frame = |samples: &[i16]| {
        let mut frame = [silence; FRAME];
        for (to, from) in frame.iter_mut().zip(samples) {
            *to = code(*from);
        }
        frame
    };
    samples.chunks(FRAME).map(frame).collect()
}

/// The language that stands in for one that lacks an announcement.
pub const FALLBACK: &str = "en";

/// File endings that are looked at.
const ENDINGS: [&str; 4] = ["wav", "mp3", "ogg", "flac"];

/// Files of the operator's own that are taken.
const MAX_FILES: usize = 1_024;

#[cfg(test)]
mod tests;
