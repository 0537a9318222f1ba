//! Request ids: year and month, the call's 19 digits, two digits of function, two of node. Each participant of a
//! conference has one of his own: in place of the node stands his leg.

use facts::{CallId, LegNo, Purpose};

use crate::clock;

/// Function id of the two-way call.
pub const FID_TWO_WAY: u8 = 4;
/// Function id of the voice code.
pub const FID_CODE: u8 = 2;
/// Function id of the notice.
pub const FID_NOTICE: u8 = 3;
/// Function id of the conference.
pub const FID_CONFERENCE: u8 = 5;

/// The function by which a call was asked for.
#[must_use]
pub const fn fid(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Callback | Purpose::Campaign | Purpose::Inbound => FID_TWO_WAY,
        Purpose::Code => FID_CODE,
        Purpose::Notice | Purpose::Scenario => FID_NOTICE,
        Purpose::Conference => FID_CONFERENCE,
    }
}

/// What the calls of a function are asked for; `None`: it makes none.
#[must_use]
pub const fn purpose(fid: u8) -> Option<Purpose> {
    Some(match fid {
        FID_TWO_WAY => Purpose::Callback,
        FID_CODE => Purpose::Code,
        FID_NOTICE => Purpose::Notice,
        FID_CONFERENCE => Purpose::Conference,
        _ => return None,
    })
}

/// The id a merchant sees for a call: a pure function of the call id. That of a conference is its creator's.
#[must_use]
pub fn request_id(call: CallId, fid: u8) -> String {
    if fid == FID_CONFERENCE {
        return participant_id(call, LegNo::A);
    }
    // Bits 12 to 21 of a call id are the node that made it; the wire has room for two digits.
    let node = (call.0 >> 12) & 0x3ff;
    format!("{}{call}{fid:02}{:02}", clock::year_month(call.made_at()), node % 100)
}

/// The id of a participant of a conference.
#[must_use]
pub fn participant_id(call: CallId, leg: LegNo) -> String {
    format!("{}{call}{FID_CONFERENCE:02}{:02}", clock::year_month(call.made_at()), leg.0)
}

/// The call behind a request id; `None` when no call of ours can bear it.
#[must_use]
pub fn call_of_request_id(text: &str) -> Option<CallId> {
    leg_of_request_id(text).map(|(call, _)| call)
}

/// The same, with the participant of a conference whose id it is; of other calls, A.
#[must_use]
pub fn leg_of_request_id(text: &str) -> Option<(CallId, LegNo)> {
    let text = text.trim();
    if text.len() != 29 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let call: CallId = text.get(6..25)?.parse().ok()?;
    let fid: u8 = text.get(25..27)?.parse().ok()?;
    if fid == FID_CONFERENCE {
        let leg = LegNo(text.get(27..29)?.parse().ok()?);
        return (participant_id(call, leg) == text).then_some((call, leg));
    }
    (request_id(call, fid) == text).then_some((call, LegNo::A))
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
    fn s3_9_each_participant_has_an_id_of_his_own_that_leads_back_to_his_leg() {
        let call = CallIds::new(7).next(UnixMillis(1_768_440_600_000));
        assert_eq!(request_id(call, FID_CONFERENCE), participant_id(call, LegNo::A));
        for no in [0, 1, 42, 99] {
            let id = participant_id(call, LegNo(no));
            assert_eq!(id.len(), 29);
            assert_eq!(leg_of_request_id(&id), Some((call, LegNo(no))));
        }
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
