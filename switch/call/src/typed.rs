//! Keys that somebody presses for a scenario.

use facts::scenario::Say;

/// Keys that were pressed one behind the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Typed {
    keys: [u8; Say::KEYS_MAX],
    len: u8,
}

impl Typed {
    /// One key more; what does not fit is as if it had not been pressed.
    pub(crate) fn and(mut self, key: char) -> Typed {
        if let (Some(free), Ok(key)) = (self.keys.get_mut(usize::from(self.len)), u8::try_from(key))
        {
            *free = key;
            self.len += 1;
        }
        self
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// None yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// They are these.
    pub(crate) fn is(&self, keys: &str) -> bool {
        self.bytes() == keys.as_bytes()
    }

    /// These begin with them, and go on.
    pub(crate) fn begins(&self, keys: &str) -> bool {
        keys.len() > self.len() && keys.as_bytes().starts_with(self.bytes())
    }

    fn bytes(&self) -> &[u8] {
        &self.keys[..self.len()]
    }
}

impl std::fmt::Display for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|key| write!(f, "{}", char::from(*key)))
    }
}
