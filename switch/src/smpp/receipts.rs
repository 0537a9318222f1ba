//! Receipts: what became of a message that left (SMPP 3.4 §2.11, §5.2.28, appendix B). Where the far end says it in
//! fields of its own, those count; else the text, which each network writes a little differently.

use billing::smpp::Ids;
use facts::sms::Delivery;

use super::wire::Message;

/// Type of a message (§5.2.12): bits 5 to 2 of `esm_class`.
const KIND: u8 = 0x3c;
const RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;
/// Characters of a network's word that are kept.
const WORD_MAX: usize = 20;

/// What a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Somebody wrote it.
    Text,
    /// A message has come to its end.
    Receipt {
        /// How the far end called it.
        reference: String,
        delivery: Delivery,
        /// The network's word.
        word: String,
    },
    /// A receipt that says nothing final, or nothing that can be read.
    Passing,
}

/// Reads it. `text`: what it says.
pub(super) fn read(message: &Message, text: &str) -> Kind {
    match message.esm_class & KIND {
        0 if message.receipted.is_none() => return Kind::Text,
        INTERMEDIATE => return Kind::Passing,
        0 | RECEIPT => {}
        // Acknowledgements of phones: somebody has read it, which nobody asked for.
        _ => return Kind::Passing,
    }
    let written = field(text, "id");
    let reference = message.receipted.as_deref().or(written).unwrap_or_default();
    let (delivery, word) = match message.state.and_then(of_state) {
        Some((delivery, word)) => (delivery, word.to_owned()),
        None => {
            let word = field(text, "stat").unwrap_or_default().to_ascii_uppercase();
            (of_word(&word), word)
        }
    };
    match delivery {
        Some(delivery) if !reference.is_empty() => {
            let word = word.chars().take(WORD_MAX).collect();
            Kind::Receipt { reference: reference.to_owned(), delivery, word }
        }
        _ => Kind::Passing,
    }
}

/// A message's id in the one way in which it is kept, so that what a receipt names is found: where a network writes one
/// number in two ways, in decimal digits. What is no such number stays as it is.
pub(super) fn one_id(ids: Ids, in_receipt: bool, id: String) -> String {
    let radix = match (ids, in_receipt) {
        (Ids::Same, _) => return id,
        (Ids::HexThenDecimal, false) | (Ids::DecimalThenHex, true) => 16,
        (Ids::HexThenDecimal, true) | (Ids::DecimalThenHex, false) => 10,
    };
    u128::from_str_radix(id.trim(), radix).map_or(id, |number| number.to_string())
}

/// §5.2.28. `None`: it says nothing that the text might not say better.
fn of_state(state: u8) -> Option<(Option<Delivery>, &'static str)> {
    Some(match state {
        1 => (None, "ENROUTE"),
        2 => (Some(Delivery::Delivered), "DELIVRD"),
        3 => (Some(Delivery::Undelivered), "EXPIRED"),
        4 => (Some(Delivery::Undelivered), "DELETED"),
        5 => (Some(Delivery::Undelivered), "UNDELIV"),
        6 => (None, "ACCEPTD"),
        8 => (Some(Delivery::Undelivered), "REJECTD"),
        // SMPP 5.0 §4.7.15.
        9 => (Some(Delivery::Undelivered), "SKIPPED"),
        _ => return None,
    })
}

/// Appendix B, and what is written in its place.
fn of_word(word: &str) -> Option<Delivery> {
    match word {
        "DELIVRD" | "DELIVERED" => Some(Delivery::Delivered),
        "EXPIRED" | "DELETED" | "UNDELIV" | "UNDELIVERABLE" | "UNDELIVERED" | "REJECTD"
        | "REJECTED" | "FAILED" | "SKIPPED" => Some(Delivery::Undelivered),
        _ => None,
    }
}

/// `id:17 sub:001 … stat:DELIVRD err:000 text:…`: the value behind a name, in any case, blanks behind the colon or none.
/// What stands behind `text:` is what was sent, and no field of the receipt.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let end = find(text, "text").map_or(text.len(), |(start, _)| start);
    let (_, value) = find(&text[..end], name)?;
    let value = text[value..end].trim_start();
    let value = value.split(|c: char| c.is_whitespace()).next()?;
    Some(value).filter(|value| !value.is_empty())
}

/// Where `name:` begins a word, and where its value begins.
fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(colon) = text[from..].find(':').map(|at| from + at) {
        if let Some(start) = colon.checked_sub(name.len()).filter(|at| text.is_char_boundary(*at)) {
            let begins = text[..start].chars().next_back().is_none_or(char::is_whitespace);
            if begins && text[start..colon].eq_ignore_ascii_case(name) {
                return Some((start, colon + 1));
            }
        }
        from = colon + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(esm_class: u8, receipted: Option<&str>, state: Option<u8>, text: &str) -> Kind {
        let receipted = receipted.map(str::to_owned);
        read(&Message { esm_class, receipted, state, ..Message::default() }, text)
    }

    fn told(reference: &str, delivery: Delivery, word: &str) -> Kind {
        Kind::Receipt { reference: reference.into(), delivery, word: word.into() }
    }

    #[test]
    fn smpp34_appendix_b_receipts_are_read_as_networks_write_them() {
        let (yes, no) = (Delivery::Delivered, Delivery::Undelivered);
        for (text, kind) in [
            (
                "id:c449ab9744f47b6af1879e49e75e4f40 sub:001 dlvrd:001 submit date:2611230755 done \
                 date:2611230756 stat:DELIVRD err:000 text:Your code is",
                told("c449ab9744f47b6af1879e49e75e4f40", yes, "DELIVRD"),
            ),
            ("id: 17 stat: UNDELIV err: 045", told("17", no, "UNDELIV")),
            ("ID:17 SUB:001 STAT:Expired TEXT:", told("17", no, "EXPIRED")),
            ("stat:REJECTD id:0A", told("0A", no, "REJECTD")),
            // Not its end yet; words of nobody; no id.
            ("id:17 stat:ENROUTE", Kind::Passing),
            ("id:17 stat:ACCEPTD", Kind::Passing),
            ("id:17 stat:UNKNOWN", Kind::Passing),
            ("stat:DELIVRD", Kind::Passing),
            ("", Kind::Passing),
            // What was sent may look like a receipt itself, and `valid:` is no `id:`.
            ("id:17 stat:EXPIRED text:id:9 stat:DELIVRD", told("17", no, "EXPIRED")),
            ("valid:3 id:17 stat:DELIVRD", told("17", yes, "DELIVRD")),
            ("سلام: id:17 stat:DELIVRD", told("17", yes, "DELIVRD")),
        ] {
            assert_eq!(receipt(RECEIPT, None, None, text), kind, "{text}");
        }
    }

    #[test]
    fn smpp34_5_3_2_12_fields_count_before_the_text() {
        let text = "id:99 stat:DELIVRD";
        let no = Delivery::Undelivered;
        assert_eq!(receipt(RECEIPT, Some("17"), Some(5), text), told("17", no, "UNDELIV"));
        assert_eq!(receipt(RECEIPT, Some("17"), Some(1), text), Kind::Passing);
        // A state that says nothing: the text.
        let yes = Delivery::Delivered;
        assert_eq!(receipt(RECEIPT, Some("17"), Some(7), text), told("17", yes, "DELIVRD"));
        assert_eq!(receipt(RECEIPT, Some("17"), Some(2), ""), told("17", yes, "DELIVRD"));
        // Some forget to say that it is a receipt.
        assert_eq!(receipt(0, Some("17"), Some(2), ""), told("17", yes, "DELIVRD"));
    }

    #[test]
    fn smpp34_5_2_23_an_id_in_two_ways_of_writing_is_one() {
        let id = |ids, in_receipt, id: &str| one_id(ids, in_receipt, id.into());
        for (taken, receipt) in
            [("1A2B3C4D", "439041101"), ("0000000a", "10"), ("a", "0000000010"), ("10", "16")]
        {
            let there = Ids::HexThenDecimal;
            assert_eq!(id(there, false, taken), id(there, true, receipt), "{taken} {receipt}");
            let back = Ids::DecimalThenHex;
            assert_eq!(id(back, false, receipt), id(back, true, taken), "{receipt} {taken}");
        }
        // Letters where none can be, and more than a number has: as they are.
        for odd in ["id-17", "", &"9".repeat(64)] {
            assert_eq!(id(Ids::HexThenDecimal, true, odd), odd);
        }
        assert_eq!(id(Ids::Same, true, "0017"), "0017");
    }

    #[test]
    fn smpp34_5_2_12_what_is_no_receipt_is_a_text_or_of_no_use() {
        let text = "id:17 stat:DELIVRD";
        assert_eq!(receipt(0, None, None, text), Kind::Text);
        assert_eq!(receipt(0x40, None, None, text), Kind::Text);
        assert_eq!(receipt(INTERMEDIATE, Some("17"), Some(2), text), Kind::Passing);
        assert_eq!(receipt(0x08, None, None, text), Kind::Passing);
        assert_eq!(receipt(0x44, None, None, text), told("17", Delivery::Delivered, "DELIVRD"));
    }
}
