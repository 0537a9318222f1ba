//! SIP statuses and ISDN causes (ITU-T Q.850): the two tables of RFC 3398, and what whoever called is told of
//! a refusal by them.

use crate::failure::Kind;

/// The status that a cause is in SIP, where a call was not answered (RFC 3398 §7.2.4.1). Cause 16 has none: nobody
/// clears a call normally before its answer. Cause 22 is read without the diagnostic that SIP does not carry.
pub const STATUS_OF_CAUSE: [(u8, u16); 31] = [
    (1, 404),
    (2, 404),
    (3, 404),
    (17, 486),
    (18, 408),
    (19, 480),
    (20, 480),
    (21, 403),
    (22, 410),
    (23, 410),
    (26, 404),
    (27, 502),
    (28, 484),
    (29, 501),
    (31, 480),
    (34, 503),
    (38, 503),
    (41, 503),
    (42, 503),
    (47, 503),
    (55, 403),
    (57, 403),
    (58, 503),
    (65, 488),
    (70, 488),
    (79, 501),
    (87, 403),
    (88, 503),
    (102, 504),
    (111, 500),
    (127, 500),
];

/// The cause that a final status is in the ISDN (RFC 3398 §8.2.6.1).
pub const CAUSE_OF_STATUS: [(u16, u8); 34] = [
    (400, 41),
    (401, 21),
    (402, 21),
    (403, 21),
    (404, 1),
    (405, 63),
    (406, 79),
    (407, 21),
    (408, 102),
    (410, 22),
    (413, 127),
    (414, 127),
    (415, 79),
    (416, 127),
    (420, 127),
    (421, 127),
    (423, 127),
    (480, 18),
    (481, 41),
    (482, 25),
    (483, 25),
    (484, 28),
    (485, 1),
    (486, 17),
    (500, 41),
    (501, 79),
    (502, 38),
    (503, 41),
    (504, 102),
    (505, 127),
    (513, 127),
    (600, 17),
    (603, 21),
    (604, 1),
];

/// The status of a cause; `None` for one without a row.
#[must_use]
pub fn status_of(cause: u8) -> Option<u16> {
    STATUS_OF_CAUSE.iter().find(|(row, _)| *row == cause).map(|(_, status)| *status)
}

/// The cause of a final status other than 2xx. One that the table does not name is its class's (RFC 3261 §8.1.3.2);
/// `None` where neither says anything: 3xx, and 487, which we have asked for ourselves.
#[must_use]
pub fn cause_of(status: u16) -> Option<u8> {
    let row = |status: u16| CAUSE_OF_STATUS.iter().find(|(row, _)| *row == status);
    let cause = |status| row(status).map(|(_, cause)| *cause);
    match status {
        487 => None,
        // RFC 3398 §8.2.6.1 leaves these to the Warning; 65 is what they come back from.
        488 | 606 => Some(65),
        // RFC 8197 §5, RFC 8688 §3: calls that nobody wants.
        607 | 608 => Some(21),
        400..=699 => cause(status).or_else(|| cause(status / 100 * 100)),
        _ => None,
    }
}

/// What whoever called is told of a far end's refusal: a status and a cause. `kind` is what the refusal was read as.
///
/// The cause that it gave itself says more than its status (§7.2.4.1), unless both say the same. A status goes on
/// when it is about the person, the number or the network; one about our own request is the kind's.
#[must_use]
pub fn passed_on(kind: Kind, status: u16, cause: Option<u8>) -> (u16, u8) {
    let own = if goes_on(status) { status } else { kind.row().sip };
    let implied = cause_of(status);
    let status = match cause.filter(|_| cause != implied).and_then(status_of) {
        Some(status) => status,
        None => own,
    };
    (status, cause.or(implied).unwrap_or(kind.row().q850))
}

fn goes_on(status: u16) -> bool {
    matches!(
        status,
        403 | 404 | 408 | 410 | 433 | 480 | 482..=486 | 488 | 500 | 502..=504 | 580 | 600 | 603 | 604
            | 606..=608
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3398_rows_are_in_order_and_each_has_one_meaning() {
        assert!(STATUS_OF_CAUSE.is_sorted_by(|one, two| one.0 < two.0));
        assert!(CAUSE_OF_STATUS.is_sorted_by(|one, two| one.0 < two.0));
        assert_eq!(
            (status_of(16), status_of(255), cause_of(487), cause_of(302)),
            (None, None, None, None)
        );
        assert_eq!((cause_of(499), cause_of(599), cause_of(699)), (Some(41), Some(41), Some(17)));
    }

    #[test]
    fn rfc3398_7_2_4_1_a_cause_says_more_than_the_status_beside_it() {
        let told = |status, cause| passed_on(Kind::of_answer(status, cause, false), status, cause);
        assert_eq!(told(480, Some(1)), (404, 1));
        assert_eq!(told(503, Some(17)), (486, 17));
        assert_eq!(told(603, Some(21)), (603, 21), "both say the same: the status stays");
        assert_eq!(told(404, Some(16)), (404, 16), "a cause without a row changes no status");
        assert_eq!(
            (told(480, None), told(408, None), told(486, None)),
            ((480, 18), (408, 102), (486, 17))
        );
        assert_eq!(told(401, None), (403, 21), "our own credentials are nobody's business");
        assert_eq!(told(302, None).0, 480, "a redirection that led nowhere");
    }
}
