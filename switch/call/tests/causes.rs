//! What whoever called is told of a refusal: RFC 3398's tables, row by row, on the wire.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::ladder::office;
use common::phones::call_from;
use facts::isdn::{CAUSE_OF_STATUS, STATUS_OF_CAUSE};
use facts::{Kind, LegNo};

/// A phone calls B, whose carrier refuses: the status and the cause that the phone is told, and the cause on record.
fn told(status: u16, reason: Option<&str>) -> (u16, u16, Option<u8>) {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", "01088886666");
    assert_eq!(sim.far("b").count("INVITE"), 1, "{status}");
    sim.refuse("b", status, reason);
    let answers = sim.fars["alice"].heard.iter().filter(|message| message.status() >= Some(300));
    let last = answers.last().unwrap().clone();
    let cause = last.reason().first().and_then(|reason| reason.cause);
    let told = (last.status().unwrap(), cause.unwrap(), sim.record().leg(LegNo::B).unwrap().q850);
    sim.assert_clean();
    told
}

#[test]
fn a26_rfc3398_8_2_6_1_each_status_of_a_carrier_is_told_with_the_cause_of_its_row() {
    for (status, cause) in CAUSE_OF_STATUS {
        let (said, reason, record) = told(status, None);
        assert_eq!((reason, record), (cause.into(), Some(cause)), "{status}");
        let expected = match status {
            // About our own request, or our account: nothing that whoever called could mend.
            401 | 402 | 407 => 403,
            400 | 405 | 406 | 413..=423 | 481 | 501 | 505 | 513 => {
                Kind::of_answer(status, None, false).row().sip
            }
            about_the_callee => about_the_callee,
        };
        assert_eq!(said, expected, "{status}");
    }
}

#[test]
fn a26_rfc3398_7_2_4_1_each_cause_of_a_carrier_is_told_with_the_status_of_its_row() {
    for (cause, status) in STATUS_OF_CAUSE {
        // 606 implies a cause of its own, which counts for less than the one that is said.
        let said = told(606, Some(&format!("Q.850;cause={cause}")));
        let expected = if cause == 65 { 606 } else { status };
        assert_eq!(said, (expected, cause.into(), Some(cause)), "{cause}");
    }
    let none = told(404, Some("Q.850;cause=16"));
    assert_eq!(none, (404, 16, Some(16)), "a cause without a row changes no status");
}

#[test]
fn a26_480_408_and_486_are_kept_apart_whether_the_phone_rang_or_not() {
    for rings in [false, true] {
        for (status, cause) in [(480, 18), (408, 102), (486, 17)] {
            let mut sim = office();
            call_from(&mut sim, "alice", "80001", "01088886666");
            if rings {
                sim.ring("b", 180, None);
            }
            sim.refuse("b", status, None);
            let heard = &sim.fars["alice"].heard;
            let last = heard.iter().rfind(|message| message.status() >= Some(300)).unwrap();
            assert_eq!((last.status(), last.reason()[0].cause), (Some(status), Some(cause)));
        }
    }
}

#[test]
fn a26_rfc6432_what_we_refuse_ourselves_bears_the_cause_of_its_row() {
    let mut sim = office();
    call_from(&mut sim, "alice", "80001", "0044123456789");
    let heard = &sim.fars["alice"].heard;
    let last = heard.iter().rfind(|message| message.status() >= Some(300)).unwrap();
    let row = Kind::NoRoute.row();
    assert_eq!((last.status(), last.reason()[0].cause), (Some(row.sip), Some(row.q850.into())));
}
