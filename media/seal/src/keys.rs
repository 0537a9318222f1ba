//! The operator's keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Keys by their names; the first one seals, all of them open.
///
/// A line each: the name, then 32 octets in base 64 (`openssl rand -base64 32`). Empty lines and those that begin with
/// `#` are passed over. A new key goes to the top; the old ones stay as long as there are files of theirs.
#[derive(Clone)]
pub struct Keys(Vec<(String, Zeroizing<[u8; 32]>)>);

/// Why a key file is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no key in it.
    #[error("no key in the key file")]
    Empty,
    /// More than anybody needs.
    #[error("more than {KEYS_MAX} keys in the key file")]
    TooMany,
    /// This line, counted from 1, is not a name and a key.
    #[error(
        "line {0} of the key file is not NAME KEY: a name of 1 to 32 letters, digits, - and _, and 32 octets in base 64"
    )]
    Line(usize),
    /// This line has a name that stands above.
    #[error("line {0} of the key file has a name that stands above it")]
    Twice(usize),
}

/// Keys of one file at most.
const KEYS_MAX: usize = 1_000;
/// Octets of a name at most.
pub(crate) const NAME_MAX: usize = 32;

impl Keys {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`KeyError`]. No error names a key.
    pub fn parse(text: &str) -> Result<Keys, KeyError> {
        let mut keys: Vec<(String, Zeroizing<[u8; 32]>)> = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| !name.starts_with('#')) else { continue };
            let (Some(key), None) = (words.next(), words.next()) else {
                return Err(KeyError::Line(n + 1));
            };
            let octets = Zeroizing::new(STANDARD.decode(key).map_err(|_| KeyError::Line(n + 1))?);
            let key: [u8; 32] = octets.as_slice().try_into().map_err(|_| KeyError::Line(n + 1))?;
            if !is_name(name.as_bytes()) {
                return Err(KeyError::Line(n + 1));
            }
            if keys.iter().any(|(known, _)| known == name) {
                return Err(KeyError::Twice(n + 1));
            }
            if keys.len() >= KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            keys.push((name.to_owned(), Zeroizing::new(key)));
        }
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Keys(keys)) }
    }

    /// The name of the one that seals.
    #[must_use]
    pub fn newest(&self) -> &str {
        &self.0[0].0
    }

    pub(crate) fn find(&self, name: &str) -> Option<&[u8; 32]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, key)| &**key)
    }
}

pub(crate) fn is_name(name: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_MAX && name.iter().all(fits)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
