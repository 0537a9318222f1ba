//! What words of an announcement mean, for whoever can make words of its sound.

use super::State;

/// Phrases taken at most.
pub const MAX_PHRASES: usize = 2_000;

/// Phrases and what they mean, in the order in which they are looked for.
#[derive(Clone, Debug, Default)]
pub struct Words {
    phrases: Vec<(String, State)>,
}

/// A line of a table of words that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// Why.
    pub why: &'static str,
}

impl Words {
    /// Reads a table: a state, a tab and a phrase a line; empty lines and those that begin with `#` say nothing.
    /// What stands first is looked for first.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Words, BadLine> {
        let mut phrases = Vec::new();
        for (line, row) in text.lines().enumerate() {
            let bad = |why| BadLine { line: line + 1, why };
            if row.trim().is_empty() || row.starts_with('#') {
                continue;
            }
            let (state, phrase) = row.split_once('\t').ok_or(bad("no tab"))?;
            let state = State::parse(state.trim()).ok_or(bad("no such state"))?;
            let phrase = plain(phrase);
            if phrase.is_empty() {
                return Err(bad("no phrase"));
            }
            if phrases.len() == MAX_PHRASES {
                return Err(bad("too many phrases"));
            }
            phrases.push((phrase, state));
        }
        Ok(Words { phrases })
    }

    /// These before those of another table.
    #[must_use]
    pub fn before(mut self, others: Words) -> Words {
        self.phrases.extend(others.phrases);
        self
    }

    /// What a text means: the first phrase of the table that stands in it, whatever its case, spaces and stops.
    #[must_use]
    pub fn meaning(&self, text: &str) -> Option<State> {
        let text = plain(text);
        self.phrases.iter().find(|(phrase, _)| text.contains(phrase.as_str())).map(|row| row.1)
    }
}

/// Letters and digits alone, small: recognisers part words where they like, and Chinese not at all.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_phrase_that_stands_in_a_text_says_what_it_means() {
        let words = Words::parse("# own\n\non-a-call\tanother call\nbusy\tis busy\n关机\t已关机\n")
            .unwrap();
        assert_eq!(words.meaning("The line is BUSY, on an-other call."), Some(State::OnACall));
        assert_eq!(words.meaning("it is  busy"), Some(State::Busy));
        assert_eq!(words.meaning("您拨打的电话 已 关 机"), Some(State::SwitchedOff));
        assert_eq!(words.meaning("hello, this is Anna"), None);
        let own = Words::parse("refused\tis busy").unwrap();
        assert_eq!(own.before(words).meaning("is busy"), Some(State::Refused));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [("busy is busy", 1), ("#\nbussy\tis busy", 2), ("busy\t ,.", 1)] {
            assert_eq!(Words::parse(text).unwrap_err().line, line, "{text}");
        }
        let many = "busy\tx\n".repeat(MAX_PHRASES + 1);
        assert_eq!(Words::parse(&many).unwrap_err().line, MAX_PHRASES + 1);
    }
}
