//! Announcements as octets: the file that ships, and those of an operator's folder.
//!
//! A line of text, then one record an announcement: lengths and texts, then its words, least
//! significant octet first, with one bit each for whether it counts.

use thiserror::Error;

use super::library::{Entry, MAX_ENTRIES};
use super::print::{Print, Word};
use super::state::State;

const HEAD: &[u8] = b"announcements 1\n";
/// The longest name and language, octets.
const MAX_TEXT: usize = 120;
/// The most words of one: 2 minutes.
const MAX_WORDS: usize = 7_500;

/// Why octets are no file of announcements.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BadFile {
    /// It does not begin like one, or was made by another version.
    #[error("this is no file of announcements")]
    Head,
    /// It ends within an announcement.
    #[error("the file of announcements is cut off")]
    Short,
    /// A text is not UTF-8 or longer than may be, or a state is unknown.
    #[error("announcement {0} cannot be read")]
    Entry(usize),
    /// More than a library holds.
    #[error("more than {MAX_ENTRIES} announcements")]
    TooMany,
}

/// The octets of announcements. Names and languages longer than 120 octets, and what is longer than two
/// minutes, are cut.
#[must_use]
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    for entry in entries {
        for text in [&entry.name, &entry.language] {
            let mut end = text.len().min(MAX_TEXT);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            out.push(end as u8);
            out.extend(&text.as_bytes()[..end]);
        }
        out.extend([entry.state.number(), entry.cause, u8::from(entry.synthetic)]);
        let words = &entry.print.words[..entry.print.words.len().min(MAX_WORDS)];
        out.extend((words.len() as u16).to_le_bytes());
        for word in words {
            out.extend(word.bits.to_le_bytes());
        }
        for eight in words.chunks(8) {
            let bits = eight.iter().rev().fold(0, |bits, word| bits << 1 | u8::from(word.counts));
            out.push(bits);
        }
    }
    out
}

/// Reads announcements.
///
/// # Errors
/// What is wrong with the octets.
pub fn read(octets: &[u8]) -> Result<Vec<Entry>, BadFile> {
    let mut rest = octets.strip_prefix(HEAD).ok_or(BadFile::Head)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        if entries.len() == MAX_ENTRIES {
            return Err(BadFile::TooMany);
        }
        entries.push(entry(&mut rest, entries.len())?);
    }
    Ok(entries)
}

fn entry(rest: &mut &[u8], number: usize) -> Result<Entry, BadFile> {
    let name = text(rest, number)?;
    let language = text(rest, number)?;
    let [state, cause, synthetic] = *take(rest, 3)? else { return Err(BadFile::Short) };
    let state = State::from_number(state).ok_or(BadFile::Entry(number))?;
    let [low, high] = *take(rest, 2)? else { return Err(BadFile::Short) };
    let count = usize::from(u16::from_le_bytes([low, high]));
    if count > MAX_WORDS {
        return Err(BadFile::Entry(number));
    }
    let bits = take(rest, 4 * count)?;
    let counts = take(rest, count.div_ceil(8))?;
    let words = bits.chunks_exact(4).enumerate().map(|(at, octets)| Word {
        bits: u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]]),
        counts: counts[at / 8] >> (at % 8) & 1 == 1,
    });
    let print = Print { words: words.collect() };
    Ok(Entry { name, state, cause, language, synthetic: synthetic != 0, print })
}

fn text(rest: &mut &[u8], number: usize) -> Result<String, BadFile> {
    let [length] = *take(rest, 1)? else { return Err(BadFile::Short) };
    let octets = take(rest, usize::from(length))?;
    match std::str::from_utf8(octets) {
        Ok(text) if text.len() <= MAX_TEXT => Ok(text.to_owned()),
        _ => Err(BadFile::Entry(number)),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], BadFile> {
    let (taken, left) = rest.split_at_checked(count).ok_or(BadFile::Short)?;
    *rest = left;
    Ok(taken)
}
