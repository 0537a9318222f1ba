//! An extension listens to its mailbox: what is played in which order, what the keys do, what the store is told,
//! and what becomes of it when somebody leaves, dies or is not there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::Reply;
use common::mail::kept;
use common::team::{CALLER, dial, team, told};
use common::{Sim, s};
use facts::media::{MediaEvent, Source, Tone};
use facts::sound::Unplayable;
use facts::{CallId, Kind, LegNo, Outcome, Side, Strategy};

/// The code that extensions dial.
const CODE: &str = "*97";

/// 80005, whose mailbox holds these.
fn sim(messages: &[(u64, bool)]) -> Sim {
    let mut sim = team(Strategy::RingAll);
    sim.mailbox.kept = messages.iter().map(|(call, heard)| kept(*call, *heard)).collect();
    sim
}

trait Listens {
    fn over(&mut self);
    fn press(&mut self, digit: char);
    fn begins(&mut self, call: u64);
    fn says(&mut self, name: &str);
}

impl Listens for Sim {
    /// What it hears has come to its end.
    fn over(&mut self) {
        let leg = self.leg(LegNo::A);
        self.media(MediaEvent::Played { leg });
    }

    fn press(&mut self, digit: char) {
        let leg = self.leg(LegNo::A);
        self.media(MediaEvent::Digit { leg, digit });
    }

    /// A tone, and then this message.
    fn begins(&mut self, call: u64) {
        assert_eq!(self.hears(LegNo::A), Some(&Source::Tone(Tone::Warning)), "before {call}");
        self.advance(s(1));
        assert_eq!(self.hears(LegNo::A), Some(&Source::File(format!("ab/{call}.mp3"))));
    }

    fn says(&mut self, name: &str) {
        let heard = self.hears(LegNo::A);
        let same = matches!(heard, Some(Source::Prompt(prompt)) if prompt.name == name);
        assert!(same, "{name}: {heard:?}");
    }
}

fn outcome(sim: &Sim) -> Result<Side, Kind> {
    match sim.record().outcome {
        Outcome::Completed => Ok(sim.record().released_by),
        Outcome::Failed(failure) => Err(failure.kind),
    }
}

#[test]
fn new_messages_are_heard_one_after_another_and_the_call_costs_nothing() {
    let mut sim = sim(&[(11, true), (12, false), (13, false)]);
    dial(&mut sim, CODE);
    assert_eq!(told(&sim, CALLER.0), Some(200));
    assert_eq!(sim.authorizations[0].legs, [], "nothing is held");
    assert_eq!(common::team::invited(&sim), [0; 4]);
    sim.begins(12);
    assert_eq!(sim.mailbox.heard, [], "not yet");
    sim.over();
    assert_eq!(sim.mailbox.heard, [12]);
    sim.begins(13);
    sim.over();
    sim.says("voicemail-end");
    assert!(!sim.far(CALLER.0).ended());
    sim.over();
    assert!(sim.far(CALLER.0).ended());
    assert_eq!((outcome(&sim), sim.record().legs.len()), (Ok(Side::Platform), 1));
    assert_eq!((sim.mailbox.heard.as_slice(), sim.mailbox.deleted.len()), (&[12, 13][..], 0));
    sim.assert_clean();
}

#[test]
fn rfc3515_2_4_2_nobody_can_be_joined_with_a_mailbox_and_asking_again_is_no_use() {
    let mut sim = sim(&[(11, false)]);
    dial(&mut sim, CODE);
    let to = format!("<sip:80001@{}>", common::REALM);
    assert_eq!(transfers::refer(&mut sim, CALLER.0, &to), 403);
    assert!(sim.turned_away.iter().any(|turned| turned.why == call::Denial::NotAllowed));
    assert_eq!(common::team::invited(&sim), [0; 4]);
    sim.begins(11);
}

#[test]
fn where_none_is_new_those_that_were_kept_are_heard_again() {
    let mut sim = sim(&[(11, true), (12, true)]);
    dial(&mut sim, CODE);
    sim.begins(11);
    sim.over();
    sim.begins(12);
    assert_eq!(sim.mailbox.heard, [], "no news");
    sim.hang_up(CALLER.0);
    assert_eq!(outcome(&sim), Ok(Side::Caller));
    sim.assert_clean();
}

#[test]
fn seven_deletes_and_the_hash_goes_on() {
    let mut sim = sim(&[(11, false), (12, false), (13, false)]);
    dial(&mut sim, CODE);
    sim.press('7');
    assert_eq!(sim.mailbox.deleted, [], "nothing is heard yet that could go");
    sim.begins(11);
    sim.press('1');
    sim.press('7');
    assert_eq!(sim.mailbox.deleted, [11]);
    sim.begins(12);
    sim.press('#');
    assert_eq!(sim.mailbox.heard, [12], "who goes on has heard it");
    sim.begins(13);
    sim.press('7');
    sim.says("voicemail-end");
    sim.hang_up(CALLER.0);
    assert_eq!(sim.mailbox.deleted, [11, 13]);
    assert_eq!(outcome(&sim), Ok(Side::Caller));
    sim.assert_clean();
}

#[test]
fn who_hangs_up_has_heard_what_was_over_and_no_more() {
    let mut sim = sim(&[(11, false), (12, false)]);
    dial(&mut sim, CODE);
    sim.begins(11);
    sim.over();
    sim.begins(12);
    sim.advance(s(5));
    sim.hang_up(CALLER.0);
    assert_eq!(sim.mailbox.heard, [11], "the other one stays new");
    assert_eq!(outcome(&sim), Ok(Side::Caller));
    sim.assert_clean();
}

#[test]
fn an_empty_mailbox_says_so() {
    let mut sim = sim(&[]);
    dial(&mut sim, CODE);
    assert_eq!(told(&sim, CALLER.0), Some(200));
    sim.says("voicemail-empty");
    sim.press('7');
    sim.over();
    assert!(sim.far(CALLER.0).ended());
    assert_eq!(outcome(&sim), Ok(Side::Platform));
    assert_eq!(sim.mailbox.deleted, []);
    sim.assert_clean();
}

#[test]
fn a_broken_file_stays_new_is_gone_on_from_and_can_be_deleted() {
    let mut sim = sim(&[(11, false), (12, false), (13, false)]);
    dial(&mut sim, CODE);
    sim.begins(11);
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Unplayable { leg, why: Unplayable::NotASound });
    sim.says("system-error");
    sim.over();
    sim.begins(12);
    sim.media(MediaEvent::Unplayable { leg, why: Unplayable::NotASound });
    sim.press('7');
    assert_eq!(sim.mailbox.deleted, [12]);
    sim.begins(13);
    // The media plane says nothing at all: ten seconds of sound, and what it takes to read them.
    sim.advance(s(21));
    sim.says("system-error");
    assert_eq!(sim.mailbox.heard, [], "nobody has heard any of them");
    sim.hang_up(CALLER.0);
    sim.assert_clean();
}

#[test]
fn a_store_that_is_away_promises_nothing() {
    for fails in [true, false] {
        let mut refused = sim(&[(11, false)]);
        (refused.mailbox.fails, refused.mailbox.away) = (fails, !fails);
        dial(&mut refused, CODE);
        refused.advance(s(3));
        assert_eq!(told(&refused, CALLER.0), Some(500), "{fails}");
        assert_eq!(outcome(&refused), Err(Kind::Internal));
        refused.assert_clean();
        let mut later = sim(&[(11, false), (12, false)]);
        dial(&mut later, CODE);
        later.begins(11);
        (later.mailbox.fails, later.mailbox.away) = (fails, !fails);
        later.press('7');
        later.advance(s(2));
        later.says("system-error");
        later.over();
        later.begins(12);
        // An answer that comes too late is no answer to anything else.
        let call = later.leg(LegNo::A).call;
        later.reply(Reply::MailDeleted { call, message: CallId(11), done: true });
        assert_eq!(later.hears(LegNo::A), Some(&Source::File("ab/12.mp3".into())));
        later.reply(Reply::Mail { call, kept: Some(vec![kept(11, false)]) });
        assert_eq!(later.hears(LegNo::A), Some(&Source::File("ab/12.mp3".into())));
        later.hang_up(CALLER.0);
        later.assert_clean();
    }
}

#[test]
fn two_phones_listen_to_one_mailbox_and_what_one_deletes_the_other_passes_over() {
    let mut sim = sim(&[(11, false), (12, false)]);
    dial(&mut sim, CODE);
    let first = sim.leg(LegNo::A);
    dial(&mut sim, CODE);
    let second = sim.leg(LegNo::A);
    assert_ne!(first.call, second.call);
    sim.advance(s(1));
    sim.media(MediaEvent::Digit { leg: first, digit: '7' });
    // Its file is gone.
    sim.media(MediaEvent::Unplayable { leg: second, why: Unplayable::Missing });
    sim.says("system-error");
    // Gone is gone: it may be deleted again.
    sim.media(MediaEvent::Digit { leg: second, digit: '7' });
    assert_eq!(sim.mailbox.deleted, [11, 11]);
    sim.begins(12);
    assert_eq!(sim.mailbox.kept.len(), 1);
    sim.hang_up(CALLER.0);
    sim.advance(s(600));
}

#[test]
fn a_carrier_and_a_stranger_reach_no_mailbox_by_the_code() {
    let mut sim = sim(&[(11, false)]);
    let from = format!("<sip:+8613800138000@{}>", common::CARRIER_B.split(':').next().unwrap());
    common::phones::invite(&mut sim, "b", (&from, "sip:*97@198.51.100.1"), None, &[]);
    assert!(told(&sim, "b").is_some_and(|status| status >= 400), "{:?}", told(&sim, "b"));
    assert!(sim.mailbox.heard.is_empty() && sim.settled.is_empty());
    sim.assert_clean();
}

#[test]
fn the_phone_that_falls_silent_or_a_limit_ends_it() {
    for end in ["silence", "time", "operator"] {
        let mut sim = sim(&[(11, false)]);
        dial(&mut sim, CODE);
        sim.begins(11);
        let leg = sim.leg(LegNo::A);
        match end {
            "silence" => sim.media(MediaEvent::Silent { leg, since: s(60) }),
            "operator" => sim.command(call::Command::HangUp { token: 1, call: leg.call }),
            _ => {
                // Whoever pauses for ever at what cannot be played.
                for _ in 0..4_000 {
                    sim.advance(s(1));
                }
            }
        }
        assert!(sim.far(CALLER.0).ended(), "{end}");
        assert_eq!(sim.mailbox.heard, [], "{end}");
        sim.assert_clean();
    }
}

/// What the store knows of the call is one leg, which costs nobody anything.
#[test]
fn a_crash_in_the_middle_lets_the_phone_go_and_keeps_what_was_heard() {
    let mut sim = sim(&[(11, false), (12, false)]);
    dial(&mut sim, CODE);
    sim.begins(11);
    sim.over();
    sim.begins(12);
    let call = sim.authorizations[0].call;
    let mut last = std::collections::BTreeMap::new();
    for entry in sim.journal.iter().filter(|entry| entry.leg.call == call) {
        last.insert(entry.leg, entry.clone());
    }
    let open = facts::ledger::OpenCall {
        call,
        command: sim.authorizations[0].command.clone(),
        placed: sim.now.wall,
        legs: last.into_values().collect(),
        alive: sim.now.wall,
    };
    let snapshot = std::sync::Arc::new(sim.snapshot.clone());
    sim.engine = call::Engine::new(common::engine_config(), snapshot, sim.now);
    sim.command(call::Command::Recover(Box::new(open)));
    sim.advance(s(2));
    assert!(sim.far(CALLER.0).ended(), "a BYE by the papers");
    assert_eq!(outcome(&sim), Err(Kind::Crash));
    assert_eq!(sim.mailbox.heard, [11]);
    assert_eq!(sim.settled.len(), 1);
}
