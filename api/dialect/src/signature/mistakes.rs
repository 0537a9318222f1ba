//! Known mistakes: what else a signature may have been made over, and forms that are no MD5 in hex.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::Given;

/// Something that clients sign in place of what they should.
pub(crate) struct Mistake {
    /// In words, a whole sentence.
    pub(crate) words: String,
    /// What its sum is made over.
    pub(crate) bytes: Vec<u8>,
}

impl Mistake {
    pub(crate) fn new(words: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Mistake {
        Mistake { words: words.into(), bytes: bytes.into() }
    }

    /// The same text in the codings of Windows and with what editors leave around it.
    pub(crate) fn in_other_codings(right: &str) -> Vec<Mistake> {
        let wide =
            |swap: fn(u16) -> [u8; 2]| right.encode_utf16().flat_map(swap).collect::<Vec<_>>();
        vec![
            Mistake::new(
                "It was made over UTF-16 (Encoding.Unicode): use UTF-8.",
                wide(u16::to_le_bytes),
            ),
            Mistake::new(
                "It was made over UTF-16, high bytes first: use UTF-8.",
                wide(u16::to_be_bytes),
            ),
            Mistake::new(
                "It was made over a byte order mark and the right text: leave the mark out.",
                format!("\u{feff}{right}"),
            ),
            Mistake::new(
                "A line end was hashed behind the right text (echo writes one; printf %s does not).",
                format!("{right}\n"),
            ),
            Mistake::new("A CR and LF were hashed behind the right text.", format!("{right}\r\n")),
            Mistake::new("A blank was hashed behind the right text.", format!("{right} ")),
            Mistake::new("A `&` was hashed behind the right text.", format!("{right}&")),
        ]
    }

    /// Which of these it was.
    pub(crate) fn found(mistakes: Vec<Mistake>, given: &Given) -> Option<String> {
        mistakes.into_iter().find(|mistake| given.is_sum_of(&mistake.bytes)).map(|m| m.words)
    }
}

/// What a signature that is not 32 hex digits may be; `right` is what ought to have been hashed, in each reading.
pub(crate) fn shape(given: &Given, right: &[Vec<u8>]) -> Option<String> {
    let text = given.text.as_str();
    if given.case != "none" {
        return None;
    }
    if text.is_empty() {
        return Some("There is no signature.".into());
    }
    let sums: Vec<_> = right.iter().map(Md5::digest).collect();
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.len() == 16 && hex(text) {
        let lower = text.to_ascii_lowercase();
        let middle = sums.iter().any(|sum| hex::encode(sum)[8..24] == lower);
        let right = if middle { "the middle of the right MD5" } else { "half of an MD5" };
        return Some(format!("It is {right}: all 32 digits are asked for."));
    }
    let same = |form: String| form == text;
    if sums.iter().any(|sum| same(STANDARD.encode(sum))) {
        return Some("It is the right MD5 in base64: hex digits are asked for.".into());
    }
    if sums.iter().any(|sum| same(STANDARD.encode(hex::encode(sum)))) {
        return Some("It is the right hex digits in base64 once more: send the digits.".into());
    }
    let guess = match (text.len(), hex(text)) {
        (40, true) => ": as long as a SHA-1",
        (64, true) => ": as long as a SHA-256",
        (_, false) if text.contains('%') => ": escaped twice?",
        _ => "",
    };
    Some(format!(
        "An MD5 has 32 hex digits, and this has {} characters{guess}.",
        text.chars().count()
    ))
}
