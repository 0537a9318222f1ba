//! A little DNS: carrier C is a name of two servers, one of which nobody is at. On a bad day questions are
//! slow, or get no answer at all.

use std::net::IpAddr;
use std::time::Duration;

use call::Resolved;
use sip::locate::{Question, Record, RecordKind, Srv};

use crate::net::Dice;
use crate::settings::{CARRIER_C, NAME_C, address};

/// Where nobody is.
const EMPTY: [u8; 4] = [192, 0, 2, 99];
/// How long answers are good for.
const TTL: Duration = Duration::from_secs(20);

/// What is said to a question, and after how long.
pub(crate) fn answer(question: &Question, stormy: bool, dice: &mut Dice) -> (Duration, Resolved) {
    let wait = Duration::from_millis(u64::from(5 + dice.below(if stormy { 3_000 } else { 20 })));
    if stormy && dice.chance(300) {
        return (wait, Resolved::Failed);
    }
    (wait, said(question))
}

/// What there is to be said.
#[must_use]
pub fn said(question: &Question) -> Resolved {
    let srv = |priority, target: &str| {
        Record::Srv(Srv { priority, weight: 1, port: 5060, target: format!("{target}.{NAME_C}.") })
    };
    let host = |ip: IpAddr| vec![Record::Address(ip)];
    let first = question.name.strip_suffix(NAME_C).map(|head| head.trim_end_matches('.'));
    let records = match (first, question.kind) {
        (Some("_sip._udp"), RecordKind::Srv) => vec![srv(1, "empty"), srv(2, "there")],
        (Some("empty"), RecordKind::A) => host(EMPTY.into()),
        (Some("there"), RecordKind::A) => host(address(CARRIER_C).ip()),
        _ => return Resolved::Nothing { ttl: TTL },
    };
    Resolved::Found { records, ttl: TTL }
}
