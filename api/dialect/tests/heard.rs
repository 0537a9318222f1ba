//! System 001: what was heard of the called leg's network is the recognition half of `stateDesc`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sample;

use dialect::ytx::state_desc;
use facts::recognition::{Announced, Recognised, Recognition, Sounded};
use facts::{Dialect, Failure, Kind, LegNo, Origin, Outcome, UnixMillis};

use sample::{command, failed, record, talked};

fn desc(sounded: Sounded, sip: Option<u16>, q850: Option<u8>) -> String {
    let mut b = failed(LegNo::B, sip, q850, false, Kind::Unreachable);
    let verdict = Recognition { sounded, certain: false, confidence: 80, from_ms: 0, to_ms: 3_000 };
    b.recognised = Some(Recognised { verdict, at: UnixMillis(1_000) });
    let outcome = Outcome::Failed(Failure::new(Origin::LegB, Kind::Unreachable));
    let legs = vec![talked(LegNo::A, 10, 50), b];
    state_desc(&record(command(Dialect::Ytx, "1", "2"), outcome, legs).facts, false)
}

#[test]
fn each_announcement_is_told_by_its_own_name_whatever_was_signalled() {
    for says in Announced::all() {
        let told = desc(Sounded::Announcement { says, cause: 1 }, Some(486), Some(17));
        assert_eq!(told, format!("应答|{}", says.chinese()));
    }
}

#[test]
fn a_tone_is_told_before_the_status_and_what_says_nothing_is_not() {
    for (sounded, sip, q850, word) in [
        (Sounded::Busy, Some(480), Some(18), "用户正忙"),
        (Sounded::Congestion, Some(480), None, "网络忙"),
        (Sounded::Special { cause: 1 }, Some(480), Some(18), "空号"),
        (Sounded::Special { cause: 34 }, Some(480), Some(18), "网络忙"),
        (Sounded::Special { cause: 31 }, Some(480), Some(20), "关机"),
        (Sounded::Ringing, Some(487), Some(19), "无人接听"),
        (Sounded::Music, Some(404), Some(1), "空号"),
        (Sounded::Speech, Some(480), None, "无法拨通"),
        (Sounded::Fax, Some(487), Some(16), "未知"),
    ] {
        assert_eq!(desc(sounded, sip, q850), format!("应答|{word}"), "{sounded:?}");
    }
}

#[test]
fn who_answered_after_all_is_normal() {
    let mut b = talked(LegNo::B, 12, 40);
    let sounded = Sounded::Announcement { says: Announced::Reminder, cause: 19 };
    let verdict = Recognition { sounded, certain: true, confidence: 90, from_ms: 0, to_ms: 3_000 };
    b.recognised = Some(Recognised { verdict, at: UnixMillis(1_000) });
    let legs = vec![talked(LegNo::A, 10, 50), b];
    let facts = record(command(Dialect::Ytx, "1", "2"), Outcome::Completed, legs).facts;
    assert_eq!(state_desc(&facts, false), "应答|正常");
}
