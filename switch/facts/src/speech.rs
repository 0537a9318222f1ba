//! Free text that is spoken: whoever is to hear it hears what lies behind an address that bears the text itself, and whose
//! it is. A program of the operator's speaks it.

use std::fmt;

use crate::id::MerchantId;

/// A text, and the language in which it is spoken.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Speech {
    /// Whose words they are: each merchant has his part of what is spoken at a time.
    pub merchant: MerchantId,
    /// Tag (ISO 639-1): `fa`, `en` or `zh`.
    pub language: String,
    /// What is said: [`Speech::text_max`] characters at most.
    pub text: String,
}

impl Speech {
    /// Characters of a text at most, where a character is a sound or less.
    const TEXT_MAX: usize = 1_500;
    /// The same where it is a syllable: four of them are a second, and a sound has five minutes.
    const SYLLABLES_MAX: usize = 1_000;
    /// What its addresses begin with. No merchant's address does: those are of HTTP.
    pub const SCHEME: &'static str = "speech:";

    /// Of a text that may be too long: its beginning is spoken.
    #[must_use]
    pub fn new(merchant: MerchantId, language: &str, text: &str) -> Speech {
        let text = text.trim().chars().take(Speech::text_max(language)).collect();
        Speech { merchant, language: language.to_owned(), text }
    }

    /// Characters of a text in this language at most: what is said of so many fits into a sound.
    #[must_use]
    pub fn text_max(language: &str) -> usize {
        if language == "zh" { Speech::SYLLABLES_MAX } else { Speech::TEXT_MAX }
    }

    /// Reads an address; `None` for every other one.
    #[must_use]
    pub fn read(address: &str) -> Option<Speech> {
        let (merchant, rest) = address.strip_prefix(Speech::SCHEME)?.split_once(':')?;
        let (language, text) = rest.split_once(':')?;
        let merchant = MerchantId(merchant.parse().ok()?);
        let tag = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
        let fits = tag && !text.is_empty() && text.chars().count() <= Speech::text_max(language);
        fits.then(|| Speech { merchant, language: language.to_owned(), text: text.to_owned() })
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}:{}:{}", Speech::SCHEME, self.merchant.0, self.language, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_back_from_its_address_and_no_other_address_is_one() {
        let speech = Speech::new(MerchantId(7), "fa", " کد ملی: 1\n2 ");
        assert_eq!(speech.to_string(), "speech:7:fa:کد ملی: 1\n2");
        assert_eq!(Speech::read(&speech.to_string()), Some(speech));
        for (language, most) in [("en", 1_500), ("fa", 1_500), ("zh", 1_000)] {
            let long = Speech::new(MerchantId(7), language, &"请".repeat(most + 1));
            assert_eq!(long.text.chars().count(), most, "{language}");
            assert_eq!(Speech::read(&long.to_string()), Some(long.clone()));
            assert_eq!(Speech::read(&format!("{long}x")), None, "too long");
        }
        for other in [
            "http://a/b",
            "speech:",
            "speech:7:fa",
            "speech:7:fa:",
            "speech:7:FA:x",
            "speech:fa:x",
            "speech:../:fa:x",
        ] {
            assert_eq!(Speech::read(other), None, "{other}");
        }
    }
}
