//! Recordings read back, sealed or not.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::Path;

use seal::{Keys, OpenError, Reader};

/// Reads a key file; see [`Keys`].
///
/// # Errors
/// When it cannot be read, or is none. No error names a key.
pub fn keys_of(path: &Path) -> io::Result<Keys> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path)?);
    Keys::parse(&text).map_err(io::Error::other)
}

/// Opens a sealed recording; `None` for one that is not sealed.
///
/// # Errors
/// [`OpenError`]; [`OpenError::NoKey`] for a sealed one without any keys.
pub fn open(
    path: &Path,
    keys: Option<&Keys>,
) -> Result<Option<Reader<BufReader<File>>>, OpenError> {
    let mut file = BufReader::new(File::open(path)?);
    let mut magic = Vec::new();
    file.by_ref().take(seal::MAGIC.len() as u64).read_to_end(&mut magic)?;
    if !seal::is_sealed(&magic) {
        return Ok(None);
    }
    file.rewind()?;
    let Some(keys) = keys else { return Err(OpenError::NoKey(seal::key_of(file)?)) };
    Reader::open(keys, file).map(Some)
}

/// All that is in a sealed recording of `most` octets at most; `None` for one that is not sealed.
pub(crate) fn whole(
    path: &Path,
    keys: Option<&Keys>,
    most: u64,
) -> Result<Option<Vec<u8>>, OpenError> {
    let Some(mut reader) = open(path, keys)? else { return Ok(None) };
    if reader.length() > most {
        return Err(io::Error::other("too long").into());
    }
    let mut out = Vec::new();
    loop {
        let piece = reader.read()?;
        if piece.is_empty() {
            return Ok(Some(out));
        }
        out.extend_from_slice(&piece);
    }
}
