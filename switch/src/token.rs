//! The operator's token: read from its file, or made and written where only we may read it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Shorter ones are refused.
const SHORTEST: usize = 16;

/// The token in `file`; a new one when there is no file.
///
/// # Errors
/// In words: the file cannot be read or made, or what it holds is too short.
pub(crate) fn read_or_make(file: &Path) -> Result<String, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let token = text.trim();
            if token.len() < SHORTEST || !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(format!(
                    "the token in {} must be at least {SHORTEST} printable characters",
                    file.display()
                ));
            }
            Ok(token.to_owned())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(file),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}

fn make(file: &Path) -> Result<String, String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| format!("no randomness: {error}"))?;
    let token = hex::encode(bytes);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut out| writeln!(out, "{token}"))
        .map_err(|error| format!("cannot make {}: {error}", file.display()))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_made_once_and_only_we_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t");
        let token = read_or_make(&file).unwrap();
        assert_eq!(read_or_make(&file).unwrap(), token);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "short\n").unwrap();
        assert!(read_or_make(&file).is_err());
    }
}
