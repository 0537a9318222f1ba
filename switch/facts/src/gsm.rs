//! Texts as mobile networks carry them (3GPP TS 23.038): the 7 bit alphabet, else UCS-2; how long they are, and where
//! they are cut.

/// Septets that one USSD string holds (TS 23.038 §6.1.2.3: 160 octets).
pub const USSD_SEPTETS: usize = 182;
/// UCS-2 units that one USSD string holds.
pub const USSD_UNITS: usize = 80;

/// The 7 bit default alphabet (§6.2.1), by septet; 0x1B leads to [`EXTENSION`].
const ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', 'Δ', '_',
    'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', ' ', '!', '"', '#',
    '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', '0', '1', '2', '3', '4', '5', '6',
    '7', '8', '9', ':', ';', '<', '=', '>', '?', '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I',
    'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö',
    'Ñ', 'Ü', '§', '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];
/// The extension table (§6.2.1.1): each costs two septets.
const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];
const ESCAPE: u8 = 0x1b;

fn septets_of(c: char) -> Option<([u8; 2], usize)> {
    if let Some(at) = ALPHABET.iter().position(|known| *known == c).filter(|_| c != '\u{1b}') {
        return Some(([u8::try_from(at).unwrap_or_default(), 0], 1));
    }
    let (septet, _) = EXTENSION.iter().find(|(_, known)| *known == c)?;
    Some(([ESCAPE, *septet], 2))
}

/// A text in the 7 bit alphabet, one septet an octet; `None` where it has a character of another.
#[must_use]
pub fn to_septets(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for c in text.chars() {
        let (pair, count) = septets_of(c)?;
        septets.extend_from_slice(&pair[..count]);
    }
    Some(septets)
}

/// What these septets say, one an octet. What the tables do not know is a blank (§6.2.1.1).
#[must_use]
pub fn from_septets(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut escaped = false;
    for septet in septets {
        let known = EXTENSION.iter().find(|(known, _)| known == septet).map(|(_, c)| *c);
        match (escaped, *septet) {
            (false, ESCAPE) => escaped = true,
            (false, septet) => {
                text.push(ALPHABET.get(usize::from(septet)).copied().unwrap_or(' '));
            }
            (true, septet) => {
                escaped = false;
                // A phone that does not know the extension shows the character of the main table.
                let main = ALPHABET.get(usize::from(septet)).copied();
                text.push(known.or(main).filter(|c| *c != '\u{1b}').unwrap_or(' '));
            }
        }
    }
    text
}

/// How much of a text fits in one message or on one screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// In septets, where the whole of it is of the 7 bit alphabet.
    pub septets: usize,
    /// In UCS-2 units (a character beyond the basic plane takes two), where it is not.
    pub units: usize,
}

impl Room {
    /// One USSD string.
    pub const USSD: Room = Room { septets: USSD_SEPTETS, units: USSD_UNITS };
    /// One short message (TS 23.040 §9.2.3.16).
    pub const SMS: Room = Room { septets: 160, units: 70 };
    /// One part of several, each with a header of six octets (TS 23.040 §9.2.3.24.1).
    pub const SMS_PART: Room = Room { septets: 153, units: 67 };

    /// Whether the text fits.
    #[must_use]
    pub fn holds(self, text: &str) -> bool {
        match septet_count(text) {
            Some(count) => count <= self.septets,
            None => text.encode_utf16().count() <= self.units,
        }
    }

    /// The most of the text that fits, and the rest. It is cut behind a line or a word where one ends in the
    /// second half of what fits; else between two characters. `wide`: it is UCS-2 that is counted.
    fn cut(self, text: &str, wide: bool) -> (&str, &str) {
        let room = if wide { self.units } else { self.septets };
        let (mut used, mut end, mut word) = (0, 0, None);
        let mut before = '\n';
        for (at, c) in text.char_indices() {
            if used * 2 > room && before.is_whitespace() && !c.is_whitespace() {
                word = Some(at);
            }
            // Between a letter and what belongs to it is no place to cut.
            if !joins(c) && before != '\u{200d}' {
                end = at;
            }
            let cost =
                if wide { c.len_utf16() } else { septets_of(c).map_or(1, |(_, count)| count) };
            if used + cost > room {
                let whole = if c.is_whitespace() { at } else { word.unwrap_or(end) };
                // One character with more marks than there is room for is cut all the same.
                let whole = if whole == 0 { at } else { whole };
                return (text[..whole].trim_end(), text[whole..].trim_start());
            }
            used += cost;
            before = c;
        }
        (text, "")
    }

    /// The parts of a text, none of them empty, all in the coding that its characters ask for.
    #[must_use]
    pub fn parts(self, text: &str) -> Vec<&str> {
        let wide = septet_count(text).is_none();
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (part, left) = self.cut(rest, wide);
            if !part.is_empty() {
                parts.push(part);
            }
            rest = left;
        }
        parts
    }
}

/// The messages that a network makes of a text: one where it fits, else parts with a header each (TS 23.040
/// §9.2.3.24.1). Phones put parts together as they are, so nothing between two words is left out; no character is cut.
/// `wide`: it leaves in UCS-2, whatever its characters ask for.
#[must_use]
pub fn messages(text: &str, wide: bool) -> Vec<&str> {
    let cost =
        |c: char| if wide { c.len_utf16() } else { septets_of(c).map_or(1, |(_, count)| count) };
    let room = |room: Room| if wide { room.units } else { room.septets };
    if text.chars().map(cost).sum::<usize>() <= room(Room::SMS) {
        return vec![text];
    }
    let (mut parts, mut begin, mut used) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        if used + cost(c) > room(Room::SMS_PART) {
            parts.push(&text[begin..at]);
            (begin, used) = (at, 0);
        }
        used += cost(c);
    }
    parts.push(&text[begin..]);
    parts
}

/// Marks that are written upon the character before them, and joiners.
fn joins(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// How many septets a text takes; `None` where it needs UCS-2.
#[must_use]
pub fn septet_count(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |sum, c| Some(sum + septets_of(c)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts23_038_6_2_1_every_character_of_both_tables_comes_back() {
        let all: String = ALPHABET
            .iter()
            .filter(|c| **c != '\u{1b}')
            .chain(EXTENSION.iter().map(|(_, c)| c))
            .collect();
        let septets = to_septets(&all).unwrap();
        assert_eq!(septets.len(), 127 + 2 * 10);
        assert_eq!(from_septets(&septets), all);
        assert_eq!(to_septets("@£$ è"), Some(vec![0, 1, 2, 0x20, 4]));
        assert_eq!(to_septets("[€]"), Some(vec![0x1b, 0x3c, 0x1b, 0x65, 0x1b, 0x3e]));
        assert_eq!(to_septets("کد"), None);
        // An unknown character of the extension table is that of the main one; a lone escape at the end is nothing.
        assert_eq!(from_septets(&[0x1b, 0x41, 0x1b]), "A");
    }

    #[test]
    fn ts23_038_6_1_2_3_182_septets_or_80_units_fit_on_one_screen() {
        assert!(Room::USSD.holds(&"a".repeat(182)) && !Room::USSD.holds(&"a".repeat(183)));
        assert!(Room::USSD.holds(&"€".repeat(91)) && !Room::USSD.holds(&"€".repeat(92)));
        assert!(Room::USSD.holds(&"ک".repeat(80)) && !Room::USSD.holds(&"ک".repeat(81)));
        // Beyond the basic plane: two units each.
        assert!(Room::USSD.holds(&"😀".repeat(40)) && !Room::USSD.holds(&"😀".repeat(41)));
    }

    #[test]
    fn a_text_is_cut_behind_words_and_nothing_of_it_is_lost() {
        let text = "لطفا کد ثبت نام خود را وارد نمایید ".repeat(6);
        let parts = Room::USSD.parts(text.trim());
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| Room::USSD.holds(part) && part.trim() == *part));
        assert_eq!(parts.join(" "), text.trim());
        // Without a blank: between characters.
        let text = "x".repeat(400);
        let parts = Room::USSD.parts(&text);
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [182, 182, 36]);
        // One foreign letter makes all of it UCS-2.
        let text = format!("{}ک", "a".repeat(160));
        assert_eq!(Room::USSD.parts(&text).len(), 3);
        assert!(Room::SMS.parts("").is_empty());
        assert_eq!(Room::SMS.parts("   ").len(), 1, "what fits is left alone");
    }

    #[test]
    fn ts23_040_9_2_3_24_1_parts_joined_are_the_text_and_no_character_is_cut() {
        let lengths = |text: &str| -> Vec<usize> {
            let wide = septet_count(text).is_none();
            let parts = messages(text, wide);
            assert_eq!(parts.concat(), text);
            parts.iter().map(|part| part.chars().count()).collect()
        };
        assert_eq!(lengths(""), [0]);
        assert_eq!(lengths(&"a".repeat(160)), [160]);
        assert_eq!(lengths(&"a".repeat(161)), [153, 8]);
        assert_eq!(
            lengths(&"word ".repeat(62)),
            [153, 153, 4],
            "blanks count, wherever a part ends"
        );
        assert_eq!(lengths(&"س".repeat(70)), [70]);
        assert_eq!(lengths(&"س".repeat(134)), [67, 67]);
        // The escape and what it leads to, and the halves of a pair, stay together.
        assert_eq!(lengths(&format!("{}€{}", "a".repeat(152), "a".repeat(20))), [152, 21]);
        assert_eq!(lengths(&format!("{}😀{}", "س".repeat(66), "س".repeat(10))), [66, 11]);
        // At a network without the alphabet a text of it is UCS-2.
        assert_eq!(messages(&"a".repeat(71), true).len(), 2);
    }

    #[test]
    fn marks_stay_with_their_letters_and_pairs_are_not_split() {
        // 79 letters, then one with a mark: both go over to the next part.
        let text = format!("{}بّجج", "ک".repeat(79));
        let parts = Room::USSD.parts(&text);
        assert_eq!(parts[0].chars().count(), 79);
        assert_eq!(parts[1], "بّجج");
        let text = "😀".repeat(50);
        assert_eq!(Room::USSD.parts(&text)[0].chars().count(), 40);
        // Nothing but marks: it ends all the same.
        let text = "\u{651}".repeat(200);
        assert_eq!(Room::USSD.parts(&text).len(), 3);
    }
}
