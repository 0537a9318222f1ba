//! Texts as octets, and octets as texts: `data_coding` (SMPP 3.4 §5.2.19; 3GPP TS 23.038 §4, §5).

use billing::smpp::Alphabet;
use facts::gsm;

/// What the network's own alphabet is asked for with.
pub(super) const DEFAULT: u8 = 0x00;
/// UCS-2, the most significant octet first.
pub(super) const UCS2: u8 = 0x08;

/// How octets are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    Septets,
    Latin1,
    Utf16,
}

fn reading(coding: u8, alphabet: Alphabet) -> Reading {
    let default = match alphabet {
        Alphabet::Gsm => Reading::Septets,
        Alphabet::Latin1 => Reading::Latin1,
    };
    match coding {
        DEFAULT => default,
        // IA5, Latin 1, and octets of which nobody says what they are.
        0x01..=0x04 => Reading::Latin1,
        UCS2 => Reading::Utf16,
        // TS 23.038 §5 as USSD has it: 0x0f is the alphabet without a language, 0x11 UCS-2 behind a language.
        0x11 => Reading::Utf16,
        // §4 and §5, general groups: bits 3 and 2 are the alphabet.
        0x10 | 0x12..=0x7f => match coding & 0x0c {
            0x08 => Reading::Utf16,
            0x04 => Reading::Latin1,
            _ => Reading::Septets,
        },
        // §4: a message that waits, in UCS-2.
        0xe0..=0xef => Reading::Utf16,
        // §4: a class; bit 2 is 8 bit data.
        0xf0..=0xff if coding & 0x04 != 0 => Reading::Latin1,
        _ => Reading::Septets,
    }
}

/// What these octets say. Whatever they are, there is a text: what no table knows is a sign for that.
pub(super) fn text(octets: &[u8], coding: u8, alphabet: Alphabet) -> String {
    match reading(coding, alphabet) {
        Reading::Septets => gsm::from_septets(octets),
        Reading::Latin1 => octets.iter().map(|octet| char::from(*octet)).collect(),
        Reading::Utf16 => {
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let text = char::decode_utf16(units);
            text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
    }
}

/// In which coding a text leaves: the network's own alphabet where it has all of its characters.
pub(super) fn coding_of(text: &str, alphabet: Alphabet) -> u8 {
    let fits = match alphabet {
        Alphabet::Gsm => gsm::septet_count(text).is_some(),
        // What the network makes of it must be of the 7 bit alphabet again, and no two characters the same.
        Alphabet::Latin1 => {
            let latin = |c: char| u32::from(c) < 0x100;
            gsm::septet_count(text).is_some() && text.chars().all(latin)
        }
    };
    if fits { DEFAULT } else { UCS2 }
}

/// The octets of a text in the coding that [`coding_of`] says.
pub(super) fn octets(text: &str, coding: u8, alphabet: Alphabet) -> Vec<u8> {
    match (coding, alphabet) {
        (DEFAULT, Alphabet::Gsm) => gsm::to_septets(text).unwrap_or_default(),
        (DEFAULT, Alphabet::Latin1) => {
            text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
        }
        _ => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smpp34_5_2_19_a_text_leaves_in_the_alphabet_that_has_it() {
        for (words, alphabet, coding) in [
            ("Code: 1234 @€", Alphabet::Gsm, DEFAULT),
            ("Code: 1234 @", Alphabet::Latin1, DEFAULT),
            // Latin 1 has no €; GSM has no ç.
            ("1 €", Alphabet::Latin1, UCS2),
            ("ça", Alphabet::Latin1, UCS2),
            ("کد", Alphabet::Gsm, UCS2),
            ("验证码 😀", Alphabet::Gsm, UCS2),
        ] {
            assert_eq!(coding_of(words, alphabet), coding, "{words}");
            let octets = octets(words, coding, alphabet);
            assert_eq!(text(&octets, coding, alphabet), words);
        }
        assert_eq!(octets("@", DEFAULT, Alphabet::Gsm), [0]);
        assert_eq!(octets("@", DEFAULT, Alphabet::Latin1), [0x40]);
    }

    #[test]
    fn ts23_038_4_and_5_other_codings_are_read_for_what_they_are() {
        let gsm = |octets: &[u8], coding| text(octets, coding, Alphabet::Gsm);
        for coding in [0x00, 0x0f, 0x10, 0x40, 0xf1, 0xc0, 0xd0] {
            assert_eq!(gsm(&[0, 0x41], coding), "@A", "{coding:#x}");
        }
        for coding in [0x08, 0x11, 0x18, 0x48, 0x4b, 0xe0] {
            assert_eq!(gsm(&[0x06, 0xa9, 0x06, 0x2f], coding), "کد", "{coding:#x}");
        }
        for coding in [0x01, 0x03, 0x04, 0xf5] {
            assert_eq!(gsm(&[0x40, 0xe9], coding), "@é", "{coding:#x}");
        }
        // Half a pair, half a character: no panic, and the rest is read.
        assert_eq!(gsm(&[0xd8, 0x3d, 0x00, 0x41, 0x00], UCS2), "\u{fffd}A");
    }
}
