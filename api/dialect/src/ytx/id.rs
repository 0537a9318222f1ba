//! Request ids: year and month, the call's 19 digits, two digits of function, two of node.

use facts::{CallId, Purpose};

use crate::clock;

/// Function id of the two-way call.
pub const FID_TWO_WAY: u8 = 4;
/// Function id of the voice code.
pub const FID_CODE: u8 = 2;
/// Function id of the notice.
pub const FID_NOTICE: u8 = 3;

/// The function by which a call was asked for.
#[must_use]
pub const fn fid(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Callback | Purpose::Campaign => FID_TWO_WAY,
        Purpose::Code => FID_CODE,
        Purpose::Notice => FID_NOTICE,
    }
}

/// What the calls of a function are asked for; `None`: it makes none.
#[must_use]
pub const fn purpose(fid: u8) -> Option<Purpose> {
    Some(match fid {
        FID_TWO_WAY => Purpose::Callback,
        FID_CODE => Purpose::Code,
        FID_NOTICE => Purpose::Notice,
        _ => return None,
    })
}

/// The id a merchant sees for a call: a pure function of the call id.
#[must_use]
pub fn request_id(call: CallId, fid: u8) -> String {
    // Bits 12 to 21 of a call id are the node that made it; the wire has room for two digits.
    let node = (call.0 >> 12) & 0x3ff;
    format!("{}{call}{fid:02}{:02}", clock::year_month(call.made_at()), node % 100)
}

/// The call behind a request id; `None` when no call of ours can bear it.
#[must_use]
pub fn call_of_request_id(text: &str) -> Option<CallId> {
    let text = text.trim();
    if text.len() != 29 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let call: CallId = text.get(6..25)?.parse().ok()?;
    let fid: u8 = text.get(25..27)?.parse().ok()?;
    (request_id(call, fid) == text).then_some(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use facts::{CallIds, UnixMillis};

    #[test]
    fn a_request_id_is_29_digits_and_leads_back_to_its_call() {
        let call = CallIds::new(7).next(UnixMillis(1_768_440_600_000));
        let id = request_id(call, FID_TWO_WAY);
        assert_eq!(id.len(), 29);
        assert!(id.starts_with("202601") && id.ends_with("0407"), "{id}");
        assert_eq!(&id[6..25], call.to_string());
        assert_eq!(call_of_request_id(&id), Some(call));
    }

    #[test]
    fn foreign_ids_lead_nowhere() {
        for text in ["", "0", "2016010000000206", "20200437755840048670965760400", &"9".repeat(29)]
        {
            let found = call_of_request_id(text);
            assert!(found.is_none() || request_id(found.unwrap(), 4) == text, "{text}");
        }
        assert_eq!(call_of_request_id("99999900000000000000000010400"), None);
    }
}
