//! Keys by signalling (INFO): the other one hears them as its far end takes keys.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use facts::LegNo;
use facts::media::{MediaCommand, MediaEvent};

/// B's far end says a key within its dialog.
fn info(sim: &mut Sim, cseq: u32, content_type: &str, body: &str) {
    let invite = sim.far("b").last("INVITE").clone();
    let heard = sim.far("b").last("ACK").clone();
    let tag = |line: &str| line.split("tag=").nth(1).unwrap().to_owned();
    let header = |name: sip::wire::HeaderName| heard.header_str(name).unwrap().to_owned();
    let (from, to) = (header(sip::wire::HeaderName::From), header(sip::wire::HeaderName::To));
    let (ours, theirs) = (tag(&from), tag(&to));
    let call_id = invite.call_id().unwrap().to_owned();
    let length = body.len();
    sim.raw(
        CARRIER_B,
        &format!(
            "INFO sip:x@{US} SIP/2.0\nVia: SIP/2.0/UDP {CARRIER_B};branch=z9hG4bKinfo{cseq}\n\
             Max-Forwards: 70\nFrom: <sip:b@{CARRIER_B}>;tag={theirs}\nTo: <sip:a@{US}>;tag={ours}\n\
             Call-ID: {call_id}\nCSeq: {cseq} INFO\nContent-Type: {content_type}\n\
             Content-Length: {length}\n\n{body}"
        ),
    );
}

fn pressed(sim: &Sim) -> Vec<(LegNo, char)> {
    let press = |command: &MediaCommand| match command {
        MediaCommand::Press { leg, digit } => Some((leg.no, *digit)),
        _ => None,
    };
    sim.media.iter().filter_map(press).collect()
}

#[test]
fn rfc6086_a_key_by_info_is_pressed_for_the_other_leg_and_one_by_sound_is_not() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    info(&mut sim, 101, "application/dtmf-relay", "Signal=5");
    info(&mut sim, 102, "application/dtmf", "#");
    info(&mut sim, 103, "application/dtmf", "nonsense");
    assert_eq!(pressed(&sim), [(LegNo::A, '5'), (LegNo::A, '#')]);
    // What came by RTP has passed already.
    let leg = sim.leg(LegNo::B);
    sim.media(MediaEvent::Digit { leg, digit: '7' });
    assert_eq!(pressed(&sim).len(), 2);
    sim.hang_up("a");
    sim.assert_clean();
}
