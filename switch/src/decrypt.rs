//! `tandem decrypt FILE`: a sealed recording, opened for whoever has the key file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use media::recorder;

use crate::cli::{failed, print};
use crate::config::Config;

/// Writes what is in a sealed recording into a file that is not there yet.
pub(crate) fn decrypt(config: &Config, file: &Path, out: &Path) -> ExitCode {
    let Some(keys) = &config.recording.keys else {
        return failed("recording.key_file is not set: without the keys nobody can read it");
    };
    let written = recorder::keys_of(keys)
        .map_err(|error| format!("{}: {error}", keys.display()))
        .and_then(|keys| open(&keys, file, out));
    match written {
        Ok(octets) => {
            print(&format!("{octets} octets in {}\n", out.display()));
            ExitCode::SUCCESS
        }
        Err(why) => failed(&why),
    }
}

fn open(keys: &seal::Keys, file: &Path, out: &Path) -> Result<u64, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let reader = recorder::open(file, Some(keys)).map_err(|error| told(&error))?;
    let mut reader = reader.ok_or_else(|| told(&"it is not sealed: it can be read as it is"))?;
    let target = OpenOptions::new().write(true).create_new(true).open(out);
    let mut target = target.map_err(|error| format!("{}: {error}", out.display()))?;
    let mut octets = 0;
    loop {
        let piece = reader.read().map_err(|error| {
            // Half a recording is not to be taken for a whole one.
            let _ = std::fs::remove_file(out);
            told(&error)
        })?;
        if piece.is_empty() {
            return Ok(octets);
        }
        target.write_all(&piece).map_err(|error| format!("{}: {error}", out.display()))?;
        octets += piece.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_sealed_file_is_written_out_once_and_a_broken_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let keys = seal::Keys::parse(KEYS).unwrap();
        let mut sealed = Vec::new();
        let mut sealer = seal::Sealer::new(&keys, [1; 16], b"head", &mut sealed).unwrap();
        sealer.sound(b"and sound", &mut sealed);
        sealer.end(&mut sealed);
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.mp3"), &sealed).unwrap();
        assert_eq!(open(&keys, &path("a.mp3"), &path("out.mp3")), Ok(13));
        assert_eq!(std::fs::read(path("out.mp3")).unwrap(), b"headand sound");
        assert!(open(&keys, &path("a.mp3"), &path("out.mp3")).is_err(), "it is there already");
        let plain = open(&keys, &path("out.mp3"), &path("b.mp3")).unwrap_err();
        assert!(plain.ends_with("it is not sealed: it can be read as it is"), "{plain}");
        let at = sealed.len() - 40;
        sealed[at] ^= 1;
        std::fs::write(path("c.mp3"), &sealed).unwrap();
        assert!(open(&keys, &path("c.mp3"), &path("d.mp3")).is_err());
        assert!(!path("d.mp3").exists());
    }
}
