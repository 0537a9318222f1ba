//! Where things stand in a JSON text: on which line each path is, and which keys are given twice.

use std::collections::{BTreeMap, BTreeSet};

use billing::desired::Mistake;
use serde_json::Value;

/// The lines of a JSON text.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Line from 1 by path: `merchants[2].tariff`.
    lines: BTreeMap<String, usize>,
    /// Keys that are given twice.
    pub(super) twice: Vec<Mistake>,
}

/// Walks a text. What it does not understand ends the walk: it is for texts that a parser has read.
struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    places: Places,
}

impl Places {
    /// Of a text that is JSON.
    pub(super) fn of(text: &[u8]) -> Places {
        let mut walk = Walk { text, at: 0, line: 1, places: Places::default() };
        let _ = walk.value("");
        walk.places
    }

    /// The line of a path; of its nearest ancestor when it is not in the text.
    pub(super) fn line(&self, path: &str) -> usize {
        let mut rest = path;
        loop {
            if let Some(line) = self.lines.get(rest) {
                return *line;
            }
            match rest.rfind(['.', '[']) {
                Some(cut) => rest = &rest[..cut],
                None => return 1,
            }
        }
    }
}

impl Walk<'_> {
    fn value(&mut self, path: &str) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(path),
            b'[' => self.array(path),
            b'"' => self.string().map(drop),
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                let rest = &self.text[self.at..];
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                self.at += length;
                (length > 0).then_some(())
            }
        }
    }

    fn object(&mut self, path: &str) -> Option<()> {
        self.at += 1;
        let mut keys = BTreeSet::new();
        while self.peek()? != b'}' {
            let line = self.line;
            let key = self.string()?;
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if !keys.insert(key.clone()) {
                let message = format!("`{key}` is given twice");
                self.places.twice.push(Mistake { path: path.clone(), message });
            }
            self.places.lines.insert(path.clone(), line);
            self.take(b':')?;
            self.value(&path)?;
            self.comma()?;
        }
        self.take(b'}')
    }

    fn array(&mut self, path: &str) -> Option<()> {
        self.at += 1;
        let mut index = 0;
        while self.peek()? != b']' {
            let path = format!("{path}[{index}]");
            self.places.lines.insert(path.clone(), self.line);
            self.value(&path)?;
            self.comma()?;
            index += 1;
        }
        self.take(b']')
    }

    fn string(&mut self) -> Option<String> {
        self.peek().filter(|byte| *byte == b'"')?;
        let begin = self.at;
        self.at += 1;
        while *self.text.get(self.at)? != b'"' {
            self.at += if self.text[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        match serde_json::from_slice(self.text.get(begin..self.at)?) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    fn comma(&mut self) -> Option<()> {
        match self.peek()? {
            b',' => self.take(b','),
            _ => Some(()),
        }
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.peek().filter(|byte| *byte == wanted)?;
        self.at += 1;
        Some(())
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_path_has_its_line_and_what_is_not_there_that_of_its_owner() {
        let text = "{\n \"a\": [1,\n  {\"b\\\"}\": \"x\\\"]\", \"c\":null}\n, []],\n\n\"d\"\n:{} }";
        let places = Places::of(text.as_bytes());
        let line = |path: &str| places.line(path);
        assert_eq!([line("a"), line("a[0]"), line("a[1]"), line("a[2]")], [2, 2, 3, 4]);
        assert_eq!([line("a[1].b\"}"), line("a[1].c"), line("d")], [3, 3, 6]);
        assert_eq!([line("a[1].nix.deep"), line("d.x"), line("z")], [3, 6, 1]);
        assert_eq!(places.twice, []);
    }

    #[test]
    fn a_key_given_twice_is_told_each_time() {
        let places = Places::of(br#"{"a":{"x":1,"x":2},"b":[{"y":1,"z":0,"y":1}],"c":1}"#);
        let told: Vec<_> =
            places.twice.iter().map(|m| (m.path.as_str(), m.message.as_str())).collect();
        assert_eq!(told, [("a.x", "`x` is given twice"), ("b[0].y", "`y` is given twice")]);
    }

    proptest! {
        /// Any bytes at all: it ends, and does not panic.
        #[test]
        fn hostile_bytes_end_the_walk(text in "[\\[\\]{}:,\"\\\\a1 \n]{0,60}") {
            let _ = Places::of(text.as_bytes());
        }
    }
}
