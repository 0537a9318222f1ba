//! Announcements: decoded once when the store is opened, held as ready 20 ms frames of both codings,
//! shared by every call that plays them.
//!
//! A folder of the operator's own (`<folder>/<language>/<name>.wav|mp3|ogg|opus|flac|aac|m4a`) comes before the
//! announcements that ship with the program. A file that cannot be used is reported and passed over:
//! the shipped one stands in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use audio::codec::{Coding, Encoder, OCTETS_MAX};
use audio::convert::Converter;
use audio::{FRAME, RATE, g711};
use facts::media::Codec;

mod aac;
pub(crate) mod decode;
mod inspect;
mod opus;
mod shipped;
mod words;

pub use decode::{MAX_BYTES, PromptError, samples};
pub use words::Unsaid;
use words::Words;

/// A whole announcement, frame by frame of 20 ms; the last is filled up with silence. G.711 and G.722 fill
/// a frame; a packet of Opus has its length in the first octet.
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
    words: Words,
}

/// A sound in every coding: in A-law at once, in the others when it is first wanted.
#[derive(Debug)]
pub(crate) struct Sound {
    alaw: Frames,
    /// µ-law, G.722 and Opus.
    others: [OnceLock<Frames>; 3],
}

impl Sound {
    /// A sound that is there in both laws of G.711 at once.
    pub(crate) fn of(samples: &[i16]) -> Sound {
        let sound = Sound::once(samples);
        let ulaw = framed(samples, g711::linear_to_ulaw, g711::ULAW_SILENCE);
        sound.others[0].get_or_init(|| ulaw);
        sound
    }

    /// A sound of which few codings are wanted.
    pub(crate) fn once(samples: &[i16]) -> Sound {
        let alaw = framed(samples, g711::linear_to_alaw, g711::ALAW_SILENCE);
        Sound { alaw, others: Default::default() }
    }

    /// The same from what is in A-law already.
    pub(crate) fn of_alaw(octets: &[u8]) -> Sound {
        let frame = |octets: &[u8]| {
            let mut frame = [g711::ALAW_SILENCE; FRAME];
            frame[..octets.len()].copy_from_slice(octets);
            frame
        };
        Sound { alaw: octets.chunks(FRAME).map(frame).collect(), others: Default::default() }
    }

    /// The frames in A-law.
    pub(crate) fn alaw(&self) -> &Frames {
        &self.alaw
    }

    /// Octets that it takes at most, once every coding was wanted.
    pub(crate) fn octets_most(&self) -> usize {
        4 * FRAME * self.alaw.len()
    }

    /// What is there of it already.
    pub(crate) fn ready(&self, codec: Codec) -> Option<&Frames> {
        match codec {
            Codec::Pcma => Some(&self.alaw),
            Codec::Pcmu => self.others[0].get(),
            Codec::G722 => self.others[1].get(),
            Codec::Opus => self.others[2].get(),
            Codec::G729 => None,
        }
    }

    /// The frames, which are made if they are not there: that takes time.
    pub(crate) fn frames(&self, codec: Codec) -> Option<Frames> {
        if let Some(frames) = self.ready(codec) {
            return Some(frames.clone());
        }
        let place = match codec {
            Codec::Pcmu => &self.others[0],
            Codec::G722 => &self.others[1],
            Codec::Opus => &self.others[2],
            Codec::Pcma | Codec::G729 => return None,
        };
        let octets = self.alaw.as_flattened();
        let mut samples = vec![0; octets.len()];
        g711::decode_alaw(octets, &mut samples);
        let made = coded(&samples, codec)?;
        Some(place.get_or_init(|| made).clone())
    }
}

impl Store {
    /// Decodes the shipped announcements and those below `folder`; the second part of the answer names
    /// what could not be used. A folder that is not there counts as empty.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> (Store, Vec<Refused>) {
        let mut store = Store { words: Words::shipped(), ..Store::default() };
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
        self.find(name, language)?.frames(codec)
    }

    /// The announcement in a language, or in [`FALLBACK`].
    pub(crate) fn find(&self, name: &str, language: &str) -> Option<&Sound> {
        self.sound(name, language).or_else(|| self.sound(name, FALLBACK))
    }

    /// Whether there is an announcement of this name in any language.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.languages.values().any(|sounds| sounds.contains_key(name))
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
        let sounds = self.languages.entry(language.to_owned()).or_default();
        sounds.insert(name.to_owned(), Sound::of(samples));
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

/// Samples as frames of one coding; `None` for what cannot be coded.
pub(crate) fn coded(samples: &[i16], codec: Codec) -> Option<Frames> {
    match codec {
        Codec::Pcmu => Some(framed(samples, g711::linear_to_ulaw, g711::ULAW_SILENCE)),
        Codec::Pcma => Some(framed(samples, g711::linear_to_alaw, g711::ALAW_SILENCE)),
        Codec::G722 => wideband(samples),
        Codec::Opus => packets(samples),
        Codec::G729 => None,
    }
}

/// G.722, twice the samples.
fn wideband(samples: &[i16]) -> Option<Frames> {
    let mut converter = Converter::new(RATE, Coding::G722.rate())?;
    let mut encoder = Encoder::new(Coding::G722).ok()?;
    let mut wide = vec![0; converter.most(FRAME)];
    let frame = |samples: &[i16]| {
        let count = converter.convert(&filled(samples), &mut wide);
        let mut frame = [0; FRAME];
        encoder.encode(&wide[..count], &mut frame).ok().map(|_| frame)
    };
    samples.chunks(FRAME).map(frame).collect()
}

/// Opus, whose coder takes telephone sound as it is.
fn packets(samples: &[i16]) -> Option<Frames> {
    let mut encoder = Encoder::at(Coding::Opus, RATE).ok()?;
    let mut packet = [0; OCTETS_MAX];
    let frame = |samples: &[i16]| {
        let octets = encoder.encode(&filled(samples), &mut packet).ok()?;
        let mut frame = [0; FRAME];
        // One that is longer than there is room for is three times what speech takes: a pause.
        let octets = if octets < FRAME { octets } else { 0 };
        frame[0] = octets as u8;
        frame[1..=octets].copy_from_slice(&packet[..octets]);
        Some(frame)
    };
    samples.chunks(FRAME).map(frame).collect()
}

fn filled(samples: &[i16]) -> [i16; FRAME] {
    let mut frame = [0; FRAME];
    frame[..samples.len()].copy_from_slice(samples);
    frame
}

/// A sound file as it lies there. One that is too large is not begun to be read.
///
/// # Errors
/// [`PromptError::Unreadable`], [`PromptError::TooLarge`].
pub fn read(path: &Path) -> Result<Vec<u8>, PromptError> {
    let unreadable = |error: io::Error| PromptError::Unreadable(error.to_string());
    let file = fs::File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > MAX_BYTES as u64 {
        return Err(PromptError::TooLarge);
    }
    // It may grow meanwhile, or be no file. One octet more than is allowed tells one of just the right size from a
    // longer one.
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
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
const ENDINGS: [&str; 9] = ["wav", "mp3", "ogg", "oga", "opus", "flac", "aac", "m4a", "mp4"];

/// Files of the operator's own that are taken.
const MAX_FILES: usize = 1_024;

#[cfg(test)]
mod tests;
