//! A store and a media plane that stop for a while, and what becomes of the calls of that time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::Reply;
use common::*;
use facts::media::{MediaCommand, MediaEvent};
use facts::{LegNo, Outcome};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

fn stall(sim: &mut Sim, stalls: bool) {
    let ledger = &mut sim.ledger;
    (ledger.answers, ledger.extends) = (!stalls, !stalls);
    (ledger.journals, ledger.hears) = (!stalls, !stalls);
}

#[test]
fn case_42_a_store_that_stalls_for_five_seconds_loses_no_call_and_no_record() {
    // The first call is up, the second one rings, the third one is asked for while nobody answers.
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let up = sim.leg(A).call;
    stall(&mut sim, true);
    sim.advance(s(1));
    assert!(sim.engine.live().iter().any(|call| call.call == up), "it goes on");
    sim.hang_up("b");
    sim.advance(ms(200));
    let late = sim.place(callback());
    sim.advance(ms(300));
    stall(&mut sim, false);
    let asked = sim.authorizations.last().unwrap().clone();
    assert_ne!(asked.call, up);
    let answer = sim.judge(&asked);
    sim.reply(Reply::Authorized { call: asked.call, answer });
    assert_eq!(sim.placed(late).unwrap().call, asked.call, "half a second is no reason to refuse");
    sim.pick_up("a");
    sim.pick_up("b");
    // A second stall, of five seconds, in the middle of it.
    stall(&mut sim, true);
    sim.advance(s(3));
    sim.hang_up("a");
    sim.advance(s(2));
    stall(&mut sim, false);
    sim.advance(s(60));
    for call in [up, asked.call] {
        let records: Vec<_> = sim.settled.iter().filter(|facts| facts.call == call).collect();
        assert!(records.iter().all(|facts| *facts == records[0]), "sent again as it was");
        assert_eq!(records[0].outcome, Outcome::Completed);
        assert_eq!(records[0].legs.len(), 2);
    }
    let talk = |no| sim.settled[0].leg(no).unwrap().talk();
    assert!(talk(A) >= s(1) && talk(B) >= s(1), "nothing of it is unbilled");
    assert_eq!(sim.engine.counts().calls, 0);
}

#[test]
fn case_39_a_hang_up_in_the_instant_in_which_recording_starts_ends_the_call() {
    for answers in [false, true] {
        let mut sim = Sim::new();
        let mut command = callback();
        command.record = facts::media::Record::Yes;
        sim.place(command);
        sim.pick_up("a");
        sim.media_answers = answers;
        // Both in one breath: the answer, and the BYE behind it.
        sim.far("b").muted = true;
        sim.pick_up("b");
        sim.hang_up("b");
        sim.unmute("b");
        sim.advance(s(1));
        let starts = sim.media.iter().filter(|c| matches!(c, MediaCommand::Record { .. })).count();
        let stops =
            sim.media.iter().filter(|c| matches!(c, MediaCommand::StopRecording { .. })).count();
        assert_eq!((starts, stops), (1, 1), "what was started is stopped");
        if !answers {
            // The recorder says after its leg is gone that it never began.
            let call = sim.leg(A).call;
            sim.media(MediaEvent::RecordingFailed { call });
        }
        sim.advance(s(30));
        assert!(sim.settled.iter().all(|facts| *facts == sim.settled[0]));
        assert_eq!(sim.settled[0].legs.len(), 2);
        assert_eq!((sim.engine.counts().calls, sim.engine.counts().legs), (0, 0));
    }
}
