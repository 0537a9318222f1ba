//! Free text that is spoken: whoever is to hear it hears what lies behind an address that bears the text itself, so that
//! it is had, kept and bounded as any sound behind an address. A program of the operator's speaks it.

use std::fmt;

/// A text, and the language in which it is spoken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Speech {
    /// Tag (ISO 639-1): `fa`, `en` or `zh`.
    pub language: String,
    /// What is said: [`Speech::TEXT_MAX`] characters at most.
    pub text: String,
}

impl Speech {
    /// Characters of a text at most.
    pub const TEXT_MAX: usize = 1_500;
    /// What its addresses begin with. No merchant's address does: those are of HTTP.
    pub const SCHEME: &'static str = "speech:";

    /// Of a text that may be too long: its beginning is spoken.
    #[must_use]
    pub fn new(language: &str, text: &str) -> Speech {
        let text = text.trim().chars().take(Speech::TEXT_MAX).collect();
        Speech { language: language.to_owned(), text }
    }

    /// Reads an address; `None` for every other one.
    #[must_use]
    pub fn read(address: &str) -> Option<Speech> {
        let (language, text) = address.strip_prefix(Speech::SCHEME)?.split_once(':')?;
        let tag = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
        let fits = tag && !text.is_empty() && text.chars().count() <= Speech::TEXT_MAX;
        fits.then(|| Speech { language: language.to_owned(), text: text.to_owned() })
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}", Speech::SCHEME, self.language, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_back_from_its_address_and_no_other_address_is_one() {
        let speech = Speech::new("fa", " کد ملی: 1\n2 ");
        assert_eq!(speech.to_string(), "speech:fa:کد ملی: 1\n2");
        assert_eq!(Speech::read(&speech.to_string()), Some(speech));
        let long = Speech::new("en", &"x".repeat(Speech::TEXT_MAX + 1));
        assert_eq!(long.text.len(), Speech::TEXT_MAX);
        assert_eq!(Speech::read(&long.to_string()), Some(long.clone()));
        for other in
            ["http://a/b", "speech:", "speech:fa", "speech:fa:", "speech:FA:x", "speech:../:x"]
        {
            assert_eq!(Speech::read(other), None, "{other}");
        }
        assert_eq!(Speech::read(&format!("{long}x")), None, "too long");
    }
}
