//! Messages that are longer than one: cut before they leave, and read by what each part says of itself when they come
//! (3GPP TS 23.040 §9.2.3.24; SMPP 3.4 §5.3.2.22-24).

use billing::smpp::{Alphabet, Link, LongTexts};
use facts::gsm;
use facts::sms::Text;

use super::coding;
use super::wire::{Address, Message};

/// The text has a header before it (SMPP 3.4 §5.2.12).
const UDHI: u8 = 0x40;
/// Parts of one message at most.
const PARTS_MAX: usize = 255;
/// Types of number (§5.2.5): international, alphanumeric.
const INTERNATIONAL: u8 = 1;
const ALPHANUMERIC: u8 = 5;
/// Numbering plan (§5.2.6): E.164.
const ISDN: u8 = 1;

/// The messages that a text becomes at this link. The same text has the same parts whenever it is cut, and its
/// reference follows from its row: a phone that has some of them takes the others.
pub(super) fn cut(text: &Text, link: &Link) -> Vec<Message> {
    let whole = text.text.as_str();
    let coding = coding::coding_of(whole, link.alphabet);
    let from = if text.from.is_empty() { link.sender.as_str() } else { text.from.as_str() };
    let plain = Message {
        from: sender(from, link),
        to: Address { ton: INTERNATIONAL, npi: ISDN, digits: text.to.clone() },
        registered: 1,
        coding,
        ..Message::default()
    };
    let octets = |text: &str| coding::octets(text, coding, link.alphabet);
    let parts = gsm::messages(whole, coding == coding::UCS2);
    if link.long_texts == LongTexts::Payload || parts.len() == 1 {
        return vec![Message { octets: octets(whole), ..plain }];
    }
    let (total, reference) = (parts.len().min(PARTS_MAX), text.id.unsigned_abs());
    let number = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
    let one = |(at, part): (usize, &&str)| {
        let (of, at) = (number(total), number(at + 1));
        match link.long_texts {
            LongTexts::Sar => {
                let reference = u16::try_from(reference & 0xffff).unwrap_or_default();
                Message { octets: octets(part), sar: Some((reference, of, at)), ..plain.clone() }
            }
            _ => {
                let reference = u8::try_from(reference & 0xff).unwrap_or_default();
                let mut all = vec![5, 0, 3, reference, of, at];
                all.extend(octets(part));
                Message { octets: all, esm_class: UDHI, ..plain.clone() }
            }
        }
    };
    parts.iter().take(PARTS_MAX).enumerate().map(one).collect()
}

/// A sender as networks write it: a name, a number of E.164, or a short number.
fn sender(from: &str, link: &Link) -> Address {
    let bare = from.strip_prefix('+').unwrap_or(from);
    let digits = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
    let (ton, npi) = match digits {
        false if from.is_empty() => (0, 0),
        false => (ALPHANUMERIC, 0),
        true if bare.len() > 8 => (INTERNATIONAL, ISDN),
        true => (0, ISDN),
    };
    let written = if digits { bare } else { from };
    Address {
        ton: link.sender_ton.unwrap_or(ton),
        npi: link.sender_npi.unwrap_or(npi),
        digits: written.to_owned(),
    }
}

/// What a part says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// How the sender's phone calls the message; names of different kinds are apart.
    pub(super) reference: u32,
    pub(super) total: u8,
    pub(super) number: u8,
}

/// The octets of the text itself, and which part of a message they are, where they are one of several.
pub(super) fn read(message: &Message) -> (Vec<u8>, Option<Piece>) {
    const OF_SAR: u32 = 0x2_0000;
    let (octets, piece) = match message.esm_class & UDHI {
        0 => (message.octets.clone(), None),
        _ => headed(&message.octets),
    };
    let sar = message.sar.map(|(reference, total, number)| Piece {
        reference: OF_SAR | u32::from(reference),
        total,
        number,
    });
    let several = |piece: &Piece| piece.total > 1 && (1..=piece.total).contains(&piece.number);
    (octets, piece.or(sar).filter(several))
}

/// Takes the header off (TS 23.040 §9.2.3.24). One that is longer than all there is is none.
fn headed(octets: &[u8]) -> (Vec<u8>, Option<Piece>) {
    const OF_16_BITS: u32 = 0x1_0000;
    let Some((length, rest)) = octets.split_first() else { return (Vec::new(), None) };
    let Some((mut header, text)) = rest.split_at_checked(usize::from(*length)) else {
        return (octets.to_vec(), None);
    };
    let mut piece = None;
    while let [kind, length, rest @ ..] = header {
        let Some((value, left)) = rest.split_at_checked(usize::from(*length)) else { break };
        piece = match (kind, value) {
            (0x00, [reference, total, number]) => {
                Some(Piece { reference: u32::from(*reference), total: *total, number: *number })
            }
            (0x08, [high, low, total, number]) => {
                let reference = u32::from(u16::from_be_bytes([*high, *low]));
                Some(Piece { reference: OF_16_BITS | reference, total: *total, number: *number })
            }
            _ => piece,
        };
        header = left;
    }
    (text.to_vec(), piece)
}

/// What parts in order say together. A character may be cut between two of them.
pub(super) fn join(parts: &[(u8, Vec<u8>)], alphabet: Alphabet) -> String {
    let Some((first, _)) = parts.first() else { return String::new() };
    if parts.iter().all(|(coding, _)| coding == first) {
        let octets: Vec<u8> = parts.iter().flat_map(|(_, octets)| octets).copied().collect();
        return coding::text(&octets, *first, alphabet);
    }
    parts.iter().map(|(coding, octets)| coding::text(octets, *coding, alphabet)).collect()
}

#[cfg(test)]
mod tests {
    use billing::smpp::{Bind, Ids, Version};

    use super::*;

    fn link(long_texts: LongTexts, alphabet: Alphabet) -> Link {
        Link {
            name: "carrier".into(),
            host: "smsc.example".into(),
            port: 2775,
            tls: false,
            version: Version::V34,
            system_id: "tandem".into(),
            password: String::new(),
            system_type: String::new(),
            bind: Bind::Transceiver,
            sender: "3000".into(),
            sender_ton: None,
            sender_npi: None,
            alphabet,
            long_texts,
            ids: Ids::Same,
            window: 10,
            per_second: 0,
            enquire_seconds: 30,
            sms: true,
            ussd: false,
            enabled: true,
            node: None,
        }
    }

    fn text(words: &str) -> Text {
        let (from, to, text) = (String::new(), "989123456789".into(), words.into());
        Text { id: 0x1_2345, from, to, text, until: None }
    }

    /// What a phone makes of them.
    fn shown(parts: &[Message], alphabet: Alphabet) -> String {
        let read: Vec<(u8, Vec<u8>)> =
            parts.iter().map(|part| (part.coding, read(part).0)).collect();
        join(&read, alphabet)
    }

    #[test]
    fn smpp34_4_4_a_text_that_fits_is_one_message() {
        for (words, coding) in [
            ("a".repeat(160), coding::DEFAULT),
            ("€".repeat(80), coding::DEFAULT),
            ("س".repeat(70), coding::UCS2),
            ("😀".repeat(35), coding::UCS2),
        ] {
            let parts = cut(&text(&words), &link(LongTexts::Udh, Alphabet::Gsm));
            assert_eq!(parts.len(), 1);
            assert_eq!((parts[0].coding, parts[0].esm_class, parts[0].registered), (coding, 0, 1));
            assert_eq!(shown(&parts, Alphabet::Gsm), words);
        }
        let from = |from: &str| {
            let link = link(LongTexts::Udh, Alphabet::Gsm);
            let address = cut(&Text { from: from.into(), ..text("x") }, &link)[0].from.clone();
            (address.ton, address.npi, address.digits)
        };
        assert_eq!(from(""), (0, 1, "3000".into()));
        assert_eq!(from("+982100003000"), (1, 1, "982100003000".into()));
        assert_eq!(from("iNoti"), (5, 0, "iNoti".into()));
        let set = Link {
            sender_ton: Some(3),
            sender_npi: Some(8),
            ..link(LongTexts::Udh, Alphabet::Gsm)
        };
        let address = &cut(&text("x"), &set)[0].from;
        assert_eq!((address.ton, address.npi), (3, 8));
    }

    #[test]
    fn ts23_040_9_2_3_24_1_a_long_persian_text_leaves_in_parts_that_fit_and_say_all_of_it() {
        let words = "لطفا کد ثبت نام خود را وارد نمایید و منتظر بمانید ".repeat(5);
        let words = words.trim();
        let parts = cut(&text(words), &link(LongTexts::Udh, Alphabet::Gsm));
        assert_eq!(parts.len(), 4);
        for (at, part) in parts.iter().enumerate() {
            let total = u8::try_from(parts.len()).unwrap();
            assert_eq!(part.esm_class, UDHI);
            assert_eq!(part.octets[..6], [5, 0, 3, 0x45, total, u8::try_from(at + 1).unwrap()]);
            assert!(part.octets.len() <= 140, "a part has 140 octets");
            let (_, piece) = read(part);
            let number = u8::try_from(at + 1).unwrap();
            assert_eq!(piece, Some(Piece { reference: 0x45, total, number }));
        }
        assert_eq!(shown(&parts, Alphabet::Gsm), words, "with the blanks between two parts");
        assert_eq!(
            cut(&text(words), &link(LongTexts::Udh, Alphabet::Gsm)),
            parts,
            "the same again"
        );
    }

    #[test]
    fn smpp34_5_3_2_22_parts_by_sar_or_one_payload_where_the_network_wants_that() {
        let words = "b".repeat(307);
        let parts = cut(&text(&words), &link(LongTexts::Sar, Alphabet::Gsm));
        assert_eq!(parts.iter().map(|part| part.octets.len()).collect::<Vec<_>>(), [153, 153, 1]);
        assert_eq!(parts[2].sar, Some((0x2345, 3, 3)));
        assert_eq!(parts[2].esm_class, 0);
        assert_eq!(read(&parts[1]).1, Some(Piece { reference: 0x2_2345, total: 3, number: 2 }));
        assert_eq!(shown(&parts, Alphabet::Gsm), words);
        let whole = cut(&text(&words), &link(LongTexts::Payload, Alphabet::Gsm));
        assert_eq!((whole.len(), whole[0].octets.len()), (1, 307));
        // Of GSM, but not of the network's Latin 1: UCS-2, and so many more parts.
        let parts = cut(&text(&"€".repeat(80)), &link(LongTexts::Udh, Alphabet::Latin1));
        assert_eq!((parts.len(), parts[0].coding), (2, coding::UCS2));
        assert!(parts.iter().all(|part| part.octets.len() <= 140));
    }

    #[test]
    fn ts23_040_9_2_3_24_headers_of_any_kind_are_read_and_bad_ones_are_none() {
        let read = |octets: &[u8]| {
            let message =
                Message { octets: octets.to_vec(), esm_class: UDHI, ..Message::default() };
            read(&message)
        };
        // 16 bit reference, behind a port that is of no use here.
        let (text, piece) = read(&[12, 5, 4, 0x0b, 0x84, 0, 0, 8, 4, 1, 2, 2, 1, 65]);
        assert_eq!(
            (text.as_slice(), piece),
            (&[65][..], Some(Piece { reference: 0x1_0102, total: 2, number: 1 }))
        );
        // Number 0, number beyond the last, one part of one: a message of its own.
        for header in [[5, 0, 3, 7, 2, 0], [5, 0, 3, 7, 2, 3], [5, 0, 3, 7, 1, 1]] {
            let (text, piece) = read(&[&header[..], &[66]].concat());
            assert_eq!((text.as_slice(), piece), (&[66][..], None));
        }
        // Longer than all there is; empty.
        assert_eq!(read(&[200, 1, 2]), (vec![200, 1, 2], None));
        assert_eq!(read(&[]), (vec![], None));
        assert_eq!(read(&[2, 0, 9, 67]), (vec![67], None));
    }

    #[test]
    fn a_character_that_two_parts_share_is_read_whole() {
        let pair: Vec<u8> = "😀".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let parts = [(8, pair[..2].to_vec()), (8, pair[2..].to_vec())];
        assert_eq!(join(&parts, Alphabet::Gsm), "😀");
        let mixed = [(0, vec![0]), (8, vec![0x06, 0x2f])];
        assert_eq!(join(&mixed, Alphabet::Gsm), "@د");
        assert_eq!(join(&[], Alphabet::Gsm), "");
    }
}
