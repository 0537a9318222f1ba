//! Libraries of announcements: the starter library that ships, and a folder of the operator's own.
//!
//! One file an announcement, `<folder>/<name>.prints`. It holds a print, from which no sound can be
//! made again. A name of the folder comes before the same name of the starter library.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use audio::announce::{BadFile, Entry, Library, MAX_ENTRIES, read, write};
use facts::recognition::Announced;

/// The announcements that ship: made by `media/announcements/make`, spoken by a machine.
const STARTER: &[u8] = include_bytes!("../announcements/starter.prints");

/// Ending of a file of the folder.
const ENDING: &str = "prints";
/// The longest name, octets.
const MAX_NAME: usize = 60;
/// The largest file that is read: 2 minutes of sound are 32 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Why an announcement of a folder is not used, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// Its name is no file name of ours.
    #[error("a name has 1 to {MAX_NAME} letters, digits, - and _, not {0:?}")]
    Name(String),
    /// The file does not hold one announcement.
    #[error("{0}: {1}")]
    File(PathBuf, BadFile),
    /// It is empty, or has several.
    #[error("{0} does not hold one announcement")]
    NotOne(PathBuf),
    /// The folder holds more than are taken.
    #[error("there are more than {MAX_ENTRIES} announcements")]
    TooMany,
    /// There is none of that name.
    #[error("the folder has no announcement {0:?}")]
    Absent(String),
    /// The file system refused it.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

macro_rules! spoken {
    ($($state:ident $name:literal),+ $(,)?) => {
        /// The sound file of an announcement, in Chinese, spoken by a machine: what a network would play.
        const fn file(announced: Announced) -> &'static [u8] {
            match announced {
                $(Announced::$state => include_bytes!(concat!("../announcements/spoken/", $name, ".ogg")),)+
            }
        }
    };
}

spoken! {
    SwitchedOff "switched-off", NoSuchNumber "no-such-number", OutOfService "out-of-service",
    OnACall "on-a-call", Refused "refused", Unreachable "unreachable", Suspended "suspended",
    Busy "busy", Misdialled "misdialled", IncomingBarred "incoming-barred", Reminder "reminder",
    ForwardingFailed "forwarding-failed", NetworkBusy "network-busy", NoAnswer "no-answer",
    InDebt "in-debt", CannotAnswer "cannot-answer", NumberChanged "number-changed",
    LineFault "line-fault", TryLater "try-later",
}

/// An announcement as a network plays it, in Chinese: samples at 8 kHz.
#[must_use]
pub fn spoken(announced: Announced) -> Vec<i16> {
    // The file is part of the program, and a test reads it.
    crate::prompt::samples(file(announced)).unwrap_or_default()
}

/// What ships.
#[must_use]
pub fn starter() -> Vec<Entry> {
    // The file is part of the program, and a test reads it.
    read(STARTER).unwrap_or_default()
}

/// What a folder holds, by name, and what of it cannot be used. A folder that is not there is empty.
#[must_use]
pub fn folder(folder: &Path) -> (Vec<Entry>, Vec<AnnouncementError>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
    paths.sort();
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        if found.len() == MAX_ENTRIES {
            refused.push(AnnouncementError::TooMany);
            break;
        }
        match one(&path) {
            Ok(entry) => found.push(entry),
            Err(error) => refused.push(error),
        }
    }
    (found, refused)
}

/// The library of a folder and what ships, and what of the folder cannot be used.
#[must_use]
pub fn library(own: &Path) -> (Library, Vec<AnnouncementError>) {
    let (mine, refused) = folder(own);
    let shipped = starter().into_iter().map(|entry| (entry.name.clone(), entry));
    let mut all: BTreeMap<String, Entry> = shipped.collect();
    all.extend(mine.into_iter().map(|entry| (entry.name.clone(), entry)));
    (Library::new(all.into_values().collect()), refused)
}

/// What is known already and sounds like this one, or has it in it: what the operator taught first, then what
/// ships. Not what has the same name, whose place it takes.
#[must_use]
pub fn alike(own: &Path, entry: &Entry) -> Vec<Entry> {
    let (mine, _) = folder(own);
    let taken = |name: &str| name == entry.name || mine.iter().any(|own| own.name == name);
    let shipped: Vec<Entry> = starter().into_iter().filter(|one| !taken(&one.name)).collect();
    let mut known: Vec<Entry> = mine.into_iter().filter(|one| one.name != entry.name).collect();
    known.extend(shipped);
    known.retain(|one| one.print.is_like(&entry.print));
    known
}

/// Writes an announcement into a folder, in place of one of the same name.
///
/// # Errors
/// When its name is none or the file system refuses.
pub fn add(folder: &Path, entry: &Entry) -> Result<PathBuf, AnnouncementError> {
    let path = place(folder, &entry.name)?;
    let refused = |error| AnnouncementError::Io(path.clone(), error);
    fs::create_dir_all(folder).map_err(refused)?;
    // Whole or not at all: somebody may be reading the folder.
    let part = path.with_extension("part");
    fs::write(&part, write(std::slice::from_ref(entry))).map_err(refused)?;
    fs::rename(&part, &path).map_err(refused)?;
    Ok(path)
}

/// Takes an announcement out of a folder.
///
/// # Errors
/// When there is none of that name or the file system refuses.
pub fn remove(folder: &Path, name: &str) -> Result<(), AnnouncementError> {
    let path = place(folder, name)?;
    fs::remove_file(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => AnnouncementError::Absent(name.to_owned()),
        _ => AnnouncementError::Io(path, error),
    })
}

fn one(path: &Path) -> Result<Entry, AnnouncementError> {
    let refused = |error| AnnouncementError::Io(path.to_owned(), error);
    let mut octets = Vec::new();
    let file = fs::File::open(path).map_err(refused)?;
    file.take(MAX_FILE).read_to_end(&mut octets).map_err(refused)?;
    let mut entries =
        read(&octets).map_err(|error| AnnouncementError::File(path.to_owned(), error))?;
    match (entries.pop(), entries.is_empty()) {
        (Some(entry), true) => Ok(entry),
        _ => Err(AnnouncementError::NotOne(path.to_owned())),
    }
}

fn place(folder: &Path, name: &str) -> Result<PathBuf, AnnouncementError> {
    let fits = |sign: char| sign.is_alphanumeric() || sign == '-' || sign == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(AnnouncementError::Name(name.to_owned()));
    }
    Ok(folder.join(name).with_extension(ENDING))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use audio::announce::{Print, State};

    use super::*;

    fn entry(name: &str) -> Entry {
        let sound: Vec<i16> = (0..24_000).map(|n| ((n * n / 7) % 9_000 - 4_500) as i16).collect();
        Entry {
            name: name.to_owned(),
            state: State::SwitchedOff,
            cause: 20,
            language: "zh".to_owned(),
            synthetic: false,
            print: Print::of(&sound),
        }
    }

    #[test]
    fn what_ships_has_every_state_in_three_languages_and_says_that_a_machine_spoke_it() {
        let shipped = read(STARTER).unwrap();
        let kinds: BTreeSet<(String, State)> =
            shipped.iter().map(|entry| (entry.language.clone(), entry.state)).collect();
        assert_eq!(kinds.len(), 3 * 19);
        assert!(shipped.iter().all(|entry| entry.synthetic && entry.print.counting() > 60));
    }

    #[test]
    fn each_state_is_spoken_and_no_two_alike() {
        let all: BTreeSet<Vec<i16>> = Announced::all().map(spoken).collect();
        assert_eq!(all.len(), 19);
        for sound in &all {
            assert!((8_000..64_000).contains(&sound.len()), "{} samples", sound.len());
            assert!(sound.iter().any(|sample| sample.abs() > 3_000));
        }
    }

    #[test]
    fn what_was_added_is_there_until_it_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("announcements");
        assert_eq!(folder(&own).0, []);
        add(&own, &entry("off_1")).unwrap();
        add(&own, &entry("zh-busy")).unwrap();
        assert_eq!(folder(&own).0, [entry("off_1"), entry("zh-busy")]);
        // One of them stands in for what ships.
        let (all, refused) = library(&own);
        assert_eq!((all.entries().len(), refused.len()), (58, 0));
        let busy = all.entries().iter().find(|entry| entry.name == "zh-busy").unwrap();
        assert_eq!(busy.state, State::SwitchedOff);
        remove(&own, "off_1").unwrap();
        assert!(matches!(remove(&own, "off_1"), Err(AnnouncementError::Absent(_))));
        assert_eq!(folder(&own).0, [entry("zh-busy")]);
    }

    /// Of one voice, and most of them differ in a few words.
    #[test]
    fn no_two_of_those_that_ship_pass_for_one_another() {
        let shipped = starter();
        for (at, one) in shipped.iter().enumerate() {
            let like = |other: &&Entry| one.print.is_like(&other.print);
            let alike: Vec<&str> =
                shipped[at..].iter().filter(like).map(|other| other.name.as_str()).collect();
            assert_eq!(alike, [one.name.as_str()]);
        }
    }

    #[test]
    fn names_lead_nowhere_else_and_bad_files_are_named() {
        let place = tempfile::tempdir().unwrap();
        for name in ["", "../x", "a/b", "a.b", "a b"] {
            assert!(matches!(add(place.path(), &entry(name)), Err(AnnouncementError::Name(_))));
            assert!(matches!(remove(place.path(), name), Err(AnnouncementError::Name(_))));
        }
        fs::write(place.path().join("bad.prints"), b"RIFF").unwrap();
        fs::write(place.path().join("none.prints"), b"announcements 1\n").unwrap();
        fs::write(place.path().join("other.txt"), b"?").unwrap();
        let (found, refused) = folder(place.path());
        assert_eq!(found, []);
        assert!(matches!(refused[..], [AnnouncementError::File(..), AnnouncementError::NotOne(_)]));
    }
}
