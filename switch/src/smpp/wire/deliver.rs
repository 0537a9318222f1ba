//! What a network delivers (`deliver_sm`, SMPP 3.4 §4.6.1), read as far as it can be. Of what cannot be read the network has
//! no other copy that looks better: it would bring the same octets again until it gives up. So one optional field that is
//! not as the standard has it, a time that is none, an address that is no ASCII or a stray octet at the end cost nothing but
//! themselves; mandatory fields that are not there cost the message.

use super::{Address, ID_MAX, Message};

/// Characters of a field of text at most: of addresses 5.0 allows 64.
const FIELD_MAX: usize = 64;

/// Tags of optional fields (§5.3.2); 5.0 has the same.
const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
const USER_MESSAGE_REFERENCE: u16 = 0x0204;
const SAR_MSG_REF_NUM: u16 = 0x020c;
const SAR_TOTAL_SEGMENTS: u16 = 0x020e;
const SAR_SEGMENT_SEQNUM: u16 = 0x020f;
const MESSAGE_PAYLOAD: u16 = 0x0424;
const MESSAGE_STATE: u16 = 0x0427;
const USSD_SERVICE_OP: u16 = 0x0501;
const ITS_SESSION_INFO: u16 = 0x1383;

/// The message of a body. `None`: a mandatory field is not there.
pub(super) fn read(body: &[u8]) -> Option<Message> {
    let mut fields = Fields(body);
    let service_type = fields.text()?;
    let from = fields.address()?;
    let to = fields.address()?;
    let esm_class = fields.octet()?;
    let _protocol_id = fields.octet()?;
    let _priority_flag = fields.octet()?;
    let _schedule_delivery_time = fields.c_octets()?;
    let _validity_period = fields.c_octets()?;
    let registered = fields.octet()?;
    let _replace_if_present_flag = fields.octet()?;
    let coding = fields.octet()?;
    let _sm_default_msg_id = fields.octet()?;
    let length = fields.octet()?;
    let octets = fields.octets(length.into())?.to_vec();
    let plain = Message {
        service_type,
        from,
        to,
        esm_class,
        registered,
        coding,
        octets,
        ..Message::default()
    };
    Some(with_extras(plain, fields))
}

/// With the optional fields, each as long as it says of itself. Behind one that is longer than all there is there is
/// nothing.
fn with_extras(mut message: Message, mut fields: Fields<'_>) -> Message {
    let (mut reference, mut total, mut number) = (None, None, None);
    while let Some((tag, value)) = fields.tlv() {
        match tag {
            MESSAGE_PAYLOAD if message.octets.is_empty() => message.octets = value.to_vec(),
            SAR_MSG_REF_NUM => reference = count(value).or(reference),
            SAR_TOTAL_SEGMENTS => total = count(value).or(total),
            SAR_SEGMENT_SEQNUM => number = count(value).or(number),
            RECEIPTED_MESSAGE_ID => {
                let id = value.split(|octet| *octet == 0).next().unwrap_or_default();
                message.receipted = Some(text(id, ID_MAX)).filter(|id| !id.is_empty());
            }
            MESSAGE_STATE => message.state = count(value).or(message.state),
            USSD_SERVICE_OP => message.ussd = count(value).or(message.ussd),
            ITS_SESSION_INFO => message.session = value.try_into().ok().or(message.session),
            USER_MESSAGE_REFERENCE => {
                message.user_reference = count(value).or(message.user_reference);
            }
            _ => {}
        }
    }
    message.sar = reference.zip(total).zip(number).map(|((r, t), n)| (r, t, n));
    message
}

/// A number of as many octets as there are. `None`: it does not fit.
fn count<T: TryFrom<u32>>(value: &[u8]) -> Option<T> {
    if !(1..=4).contains(&value.len()) {
        return None;
    }
    let whole = value.iter().fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
    T::try_from(whole).ok()
}

/// Octets as a text: UTF-8, which ASCII is, else Latin 1.
fn text(octets: &[u8], most: usize) -> String {
    let kept = |chars: &mut dyn Iterator<Item = char>| {
        chars.filter(|c| !c.is_control()).take(most).collect()
    };
    match str::from_utf8(octets) {
        Ok(text) => kept(&mut text.chars()),
        Err(_) => kept(&mut octets.iter().map(|octet| char::from(*octet))),
    }
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        self.octets(1)?.first().copied()
    }

    /// Up to a zero, which must be there.
    fn c_octets(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|octet| *octet == 0)?;
        let taken = self.octets(end)?;
        self.octet()?;
        Some(taken)
    }

    fn text(&mut self) -> Option<String> {
        Some(text(self.c_octets()?, FIELD_MAX))
    }

    fn address(&mut self) -> Option<Address> {
        let (ton, npi) = (self.octet()?, self.octet()?);
        Some(Address { ton, npi, digits: self.text()? })
    }

    fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let (tag, rest) = self.0.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        self.0 = rest;
        Some((u16::from_be_bytes(*tag), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(digits: &str) -> Address {
        Address { ton: 1, npi: 1, digits: digits.into() }
    }

    /// A body with these times, this sender and these octets behind its text.
    fn body(times: (&str, &str), sender: &[u8], behind: &[u8]) -> Vec<u8> {
        let mut body = b"\0\x01\x01".to_vec();
        body.extend(sender);
        body.extend(b"\0\x00\x013000\0\x04\0\0");
        body.extend(format!("{}\0{}\0", times.0, times.1).as_bytes());
        body.extend(b"\0\0\x08\0\x02hi");
        body.extend(behind);
        body
    }

    fn tlv(tag: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [&tag.to_be_bytes(), &length.to_be_bytes(), value].concat()
    }

    #[test]
    fn smpp34_4_6_1_an_odd_field_costs_nothing_but_itself() {
        let plain = read(&body(("", ""), b"98912", &[])).unwrap();
        assert_eq!((plain.from, plain.octets.as_slice()), (from("98912"), &b"hi"[..]));
        assert_eq!((plain.to.digits.as_str(), plain.esm_class, plain.coding), ("3000", 4, 8));
        let odd = |behind: &[u8]| read(&body(("", ""), b"98912", behind)).expect("a message");
        let id = tlv(RECEIPTED_MESSAGE_ID, b"a1\0");
        let state = tlv(MESSAGE_STATE, &[2]);
        for strange in [
            // A state of two octets, an error code of one, a vendor's own, an id without its zero, none at all.
            tlv(MESSAGE_STATE, &[0, 2]),
            tlv(0x0423, &[3]),
            tlv(0x1400, &[]),
            tlv(ITS_SESSION_INFO, &[1]),
            tlv(SAR_TOTAL_SEGMENTS, &[]),
            tlv(USER_MESSAGE_REFERENCE, &[1, 2, 3, 4, 5]),
        ] {
            let message = odd(&[strange.as_slice(), &id, &state].concat());
            assert_eq!((message.receipted.as_deref(), message.state), (Some("a1"), Some(2)));
            assert_eq!((message.session, message.sar, message.user_reference), (None, None, None));
        }
        assert_eq!(odd(&tlv(RECEIPTED_MESSAGE_ID, b"a1")).receipted.as_deref(), Some("a1"));
        assert_eq!(odd(&tlv(RECEIPTED_MESSAGE_ID, b"\0")).receipted, None);
        // Behind all that can be read: a zero, half a field, one that is longer than all there is.
        for end in [&[0][..], &[0x04, 0x27, 0], &[0x04, 0x24, 0xff, 0xff, 1]] {
            let message = odd(&[&id, end].concat());
            assert_eq!((message.receipted.as_deref(), message.octets.len()), (Some("a1"), 2));
        }
        // Times as networks write them, a sender's name in Latin 1 and in UTF-8.
        for times in [("", "000002000000000R"), ("2611231230", "260101"), ("240101000000004+1", "")]
        {
            assert!(read(&body(times, b"98912", &[])).is_some(), "{times:?}");
        }
        assert_eq!(read(&body(("", ""), b"Caf\xe9", &[])).unwrap().from, from("Café"));
        assert_eq!(read(&body(("", ""), "ایران".as_bytes(), &[])).unwrap().from, from("ایران"));
    }

    #[test]
    fn smpp34_4_6_1_without_its_mandatory_fields_it_is_none() {
        let whole = body(("", ""), b"98912", &[]);
        assert!(read(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
    }
}
