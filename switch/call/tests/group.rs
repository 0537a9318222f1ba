//! Groups: each strategy rings whom it promises, nobody is offered two calls, and who takes the call is on
//! record (B6, A14, A26).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use call::{Answer, Command};
use common::team::{
    CALLER, DIRECT, GROUP, TEAM, change, dial, from_carrier, group, internal, invited, public,
    team, team_with, told, wishes,
};
use common::{CARRIER_A, NUMBER_A, Sim, callback, s};
use facts::media::{Source, Tone};
use facts::settings::Route;
use facts::station::{Stage, Station};
use facts::{Kind, LegNo, Number, Outcome, Reach, Refusal, Strategy, TrunkId};
use sip::wire::{HeaderName, Message, Method};

fn elsewhere(cancel: &Message) -> bool {
    let said = |reason: &sip::wire::Reason| {
        reason.protocol == "SIP"
            && reason.cause == Some(200)
            && reason.text.as_deref() == Some("Call completed elsewhere")
    };
    cancel.reason().iter().any(said)
}

/// Whose phone was invited last.
fn rung(sim: &Sim, before: [usize; 4]) -> Vec<&'static str> {
    let now = invited(sim);
    (0..4).filter(|at| now[*at] > before[*at]).map(|at| TEAM[at].0).collect()
}

#[test]
fn a26_ring_all_rings_all_and_those_who_lose_hear_that_it_was_completed_elsewhere() {
    let mut sim = team(Strategy::RingAll);
    dial(&mut sim, GROUP);
    assert_eq!(invited(&sim), [1, 1, 1, 0], "all members at once, and nobody else");
    for name in ["one", "two", "three"] {
        sim.ring(name, 180, None);
    }
    assert_eq!(told(&sim, "caller"), Some(180), "the caller hears it ring");
    sim.pick_up("two");
    for name in ["one", "three"] {
        assert!(sim.far(name).cancelled());
        assert!(elsewhere(sim.far(name).last("CANCEL")));
    }
    assert_eq!(told(&sim, "caller"), Some(200));
    assert_eq!(sim.engine.counts().agents, 2, "the caller and whoever took it");
    sim.advance(s(10));
    sim.hang_up("two");
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.legs.len()), (Outcome::Completed, 2));
    assert_eq!(record.leg(LegNo::B).unwrap().number, Number::Internal("80002".into()), "who");
    assert_eq!(record.leg(LegNo::B).unwrap().as_sent, GROUP, "for whom");
    sim.assert_clean();
}

/// What extensions are at: as many words as calls, none for one that is free.
fn stations(sim: &mut Sim, extensions: &[&str]) -> Vec<(bool, Vec<Stage>)> {
    let extensions = extensions.iter().map(|number| (*number).to_owned()).collect();
    sim.command(Command::Stations { token: 900, extensions });
    let Some(Answer::Stations(stations)) = sim.answers.remove(&900) else { panic!("an answer") };
    let stages = |station: &Station| station.calls.iter().map(|call| call.stage).collect();
    stations.iter().map(|station| (station.is_free(|_| false), stages(station))).collect()
}

#[test]
fn case_43_what_extensions_are_at_is_read_off_live_legs() {
    let mut sim = team(Strategy::RingAll);
    let all = [CALLER.1, "80001", "80002", "89999"];
    let free = || (true, vec![]);
    let nobody = (false, vec![]);
    assert_eq!(stations(&mut sim, &all), [free(), free(), free(), nobody.clone()]);
    dial(&mut sim, GROUP);
    let at = |stage| (false, vec![stage]);
    let (dials, rings, talks) = (at(Stage::Dials), at(Stage::Rings), at(Stage::Talks));
    assert_eq!(stations(&mut sim, &all), [dials, rings.clone(), rings, nobody.clone()]);
    sim.ring("one", 180, None);
    sim.pick_up("two");
    let [caller, one, two, _] = &stations(&mut sim, &all)[..] else { panic!("four") };
    assert_eq!((caller, two), (&talks, &talks));
    assert_eq!(one, &free(), "who lost is free as soon as his phone knows it");
    sim.hang_up("two");
    sim.advance(s(1));
    assert_eq!(stations(&mut sim, &all), [free(), free(), free(), nobody]);
    sim.assert_clean();
}

#[test]
fn case_43_who_is_called_back_first_talks_when_the_other_one_has_answered() {
    let mut sim = team(Strategy::RingAll);
    let mut command = callback();
    command.a.number = Number::Internal("80001".into());
    let token = sim.place(command);
    assert!(sim.placed(token).is_ok());
    let at = |stage| [(false, vec![stage])];
    assert_eq!(stations(&mut sim, &["80001"]), at(Stage::Rings));
    sim.ring("one", 180, None);
    sim.pick_up("one");
    assert_eq!(stations(&mut sim, &["80001"]), at(Stage::Dials), "off the hook");
    sim.pick_up("b");
    assert_eq!(stations(&mut sim, &["80001"]), at(Stage::Talks));
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn b6_sequential_asks_one_after_the_other_and_each_for_its_time() {
    let mut sim = team(Strategy::Sequential);
    dial(&mut sim, GROUP);
    assert_eq!(invited(&sim), [1, 0, 0, 0]);
    sim.ring("one", 180, None);
    sim.advance(s(9));
    assert_eq!(invited(&sim), [1, 0, 0, 0]);
    sim.advance(s(2));
    assert!(sim.far("one").cancelled() && !elsewhere(sim.far("one").last("CANCEL")));
    assert_eq!(invited(&sim), [1, 1, 0, 0], "rang in vain");
    sim.ring("two", 180, None);
    sim.refuse("two", 603, None);
    assert_eq!(invited(&sim), [1, 1, 1, 0], "a refusal is the word of one member");
    sim.ring("three", 180, None);
    sim.pick_up("three");
    sim.advance(s(1));
    sim.hang_up("caller");
    assert_eq!(sim.record().leg(LegNo::B).unwrap().number.digits(), "80003");
    sim.assert_clean();
}

#[test]
fn b6_a_silent_phone_is_passed_over() {
    let mut sim = team(Strategy::Sequential);
    sim.far("one").dead = true;
    dial(&mut sim, GROUP);
    sim.advance(s(9));
    assert_eq!(invited(&sim)[1], 1);
    sim.pick_up("two");
    sim.hang_up("two");
    assert_eq!(sim.record().leg(LegNo::B).unwrap().number.digits(), "80002");
    sim.assert_clean();
}

/// Calls one after the other, each taken by the first who is asked; whom.
fn takers(sim: &mut Sim, calls: usize) -> Vec<&'static str> {
    let mut takers = Vec::new();
    for _ in 0..calls {
        let before = invited(sim);
        dial(sim, GROUP);
        let first = rung(sim, before);
        assert_eq!(first.len(), 1, "one at a time");
        sim.pick_up(first[0]);
        sim.advance(s(1));
        sim.hang_up(first[0]);
        sim.advance(s(1));
        takers.push(first[0]);
    }
    takers
}

#[test]
fn b6_round_robin_goes_on_where_the_last_call_was_also_after_new_settings() {
    let mut sim = team(Strategy::RoundRobin);
    assert_eq!(takers(&mut sim, 2), ["one", "two"]);
    change(&mut sim, |snapshot| snapshot.groups.get_mut(GROUP).unwrap().ring_s = 12);
    assert_eq!(takers(&mut sim, 3), ["three", "one", "two"], "the memory outlives settings");
    sim.assert_clean();
}

#[test]
fn b6_the_other_strategies_ask_whom_they_promise() {
    for strategy in [Strategy::LeastRecent, Strategy::FewestCalls, Strategy::LongestIdle] {
        let mut sim = team(strategy);
        assert_eq!(takers(&mut sim, 4), ["one", "two", "three", "one"], "{strategy:?}");
        sim.assert_clean();
    }
    // A call that was not the group's makes a member less idle, and no less recent.
    for (strategy, first) in [(Strategy::LongestIdle, "two"), (Strategy::LeastRecent, "one")] {
        let mut sim = team(strategy);
        dial(&mut sim, "80001");
        sim.pick_up("one");
        sim.advance(s(1));
        sim.hang_up("one");
        sim.advance(s(1));
        assert_eq!(takers(&mut sim, 1), [first], "{strategy:?}");
    }
    let mut sim = team(Strategy::Random);
    let taken = takers(&mut sim, 30);
    for name in ["one", "two", "three"] {
        assert!(taken.contains(&name), "{taken:?}");
    }
}

#[test]
fn case_43_who_is_in_a_call_dnd_unregistered_or_being_offered_one_is_passed_over() {
    let mut sim = team_with(Strategy::RingAll, |snapshot| {
        let members = ["80001", "80002", "80003", "80004", "80009"];
        snapshot.groups.insert(GROUP.into(), group(Strategy::RingAll, &members));
        let dnd = Reach { dnd: true, ..Reach::default() };
        wishes(snapshot, "80002", dnd);
        // 80009 has no phone.
        snapshot.extensions.insert("80009".into(), common::extension("80009", "right"));
    });
    // 80001 talks.
    dial(&mut sim, "80001");
    sim.pick_up("one");
    // The first call is offered to those who are left; the second finds nobody free.
    from_carrier(&mut sim, &[]);
    assert_eq!(invited(&sim), [1, 0, 1, 1]);
    sim.ring("three", 180, None);
    common::phones::invite(
        &mut sim,
        "a",
        (&format!("<sip:+8613900139000@{CARRIER_A}>"), &format!("sip:+{DIRECT}@198.51.100.1")),
        None,
        &[],
    );
    assert_eq!(invited(&sim), [1, 0, 1, 1], "nobody is offered two calls");
    assert_eq!(told(&sim, "a"), Some(486), "all are busy");
    sim.pick_up("four");
    assert_eq!(told(&sim, "b"), Some(200));
    sim.advance(s(1));
    for name in ["four", "one"] {
        sim.hang_up(name);
    }
    sim.advance(s(1));
    assert_eq!(sim.settled.len(), 3);
    sim.assert_clean();
}

/// Offers to a phone: its INVITEs, copies not counted.
fn offers(sim: &Sim, name: &str) -> usize {
    let heard = sim.fars[name].heard.iter();
    let invites = heard.filter(|message| message.method() == Some(&Method::Invite));
    invites.filter_map(Message::call_id).collect::<BTreeSet<_>>().len()
}

/// The only member of the group, and a carrier that brings one call after the other.
fn one_agent() -> Sim {
    team_with(Strategy::Sequential, |snapshot| {
        snapshot.groups.insert(GROUP.into(), group(Strategy::Sequential, &["80001"]));
    })
}

/// The phone got the INVITE, what it says is lost: no CANCEL may follow (RFC 3261 §9.1), and while the INVITE is
/// being resent the phone is offered nothing else.
#[test]
fn case_43_rfc3261_9_1_who_was_given_up_unheard_is_offered_nothing_while_his_invite_is_resent() {
    let mut sim = one_agent();
    sim.far("one").muted = true;
    dial(&mut sim, GROUP);
    sim.advance(s(9));
    assert_eq!(told(&sim, "caller"), Some(480));
    assert_eq!(sim.far("one").count("CANCEL"), 0);
    for _ in 0..4 {
        from_carrier(&mut sim, &[]);
        assert_eq!((offers(&sim, "one"), told(&sim, "b")), (1, Some(480)), "he may still ring");
        sim.advance(s(5));
    }
    assert_eq!(sim.engine.counts().agents, 1);
    // Timer B.
    sim.advance(s(4));
    assert_eq!(sim.engine.counts().agents, 0);
    sim.far("one").muted = false;
    sim.far("one").kept.clear();
    from_carrier(&mut sim, &[]);
    assert_eq!(offers(&sim, "one"), 2);
    sim.pick_up("one");
    assert_eq!(told(&sim, "b"), Some(200));
    sim.hang_up("b");
    sim.assert_clean();
}

/// A first word comes late, and the CANCEL after it: he is free once his phone has said 487.
#[test]
fn case_43_rfc3261_9_1_a_late_first_word_draws_the_cancel_and_frees_him() {
    let mut sim = one_agent();
    sim.far("one").muted = true;
    dial(&mut sim, GROUP);
    sim.advance(s(10));
    assert_eq!(told(&sim, "caller"), Some(480));
    sim.far("one").muted = false;
    sim.ring("one", 180, None);
    assert!(sim.far("one").cancelled());
    assert_eq!(sim.engine.counts().agents, 0);
    from_carrier(&mut sim, &[]);
    assert_eq!(offers(&sim, "one"), 2);
    sim.refuse("one", 486, None);
    sim.assert_clean();
}

/// A CANCEL or a BYE that nobody answers: the phone may ring or talk until 64·T1 have passed.
#[test]
fn case_43_whose_phone_does_not_answer_cancel_or_bye_is_offered_nothing_until_they_are_given_up() {
    for talks in [false, true] {
        let mut sim = one_agent();
        dial(&mut sim, GROUP);
        sim.ring("one", 180, None);
        if talks {
            sim.pick_up("one");
        }
        sim.far("one").dead = true;
        sim.hang_up("caller");
        sim.advance(s(1));
        from_carrier(&mut sim, &[]);
        assert_eq!(told(&sim, "b"), Some(480), "talks: {talks}");
        sim.advance(s(30));
        assert_eq!(sim.engine.counts().agents, 1, "talks: {talks}");
        sim.advance(s(2));
        assert_eq!(sim.engine.counts().agents, 0, "talks: {talks}");
        sim.far("one").dead = false;
        from_carrier(&mut sim, &[]);
        assert_eq!(offers(&sim, "one"), 2, "talks: {talks}");
        sim.hang_up("b");
        sim.assert_clean();
    }
}

#[test]
fn b6_480_only_when_all_rang_in_vain_and_486_only_when_all_are_busy() {
    let mut sim = team(Strategy::RingAll);
    dial(&mut sim, GROUP);
    sim.refuse("one", 486, None);
    sim.refuse("two", 600, None);
    assert_eq!(told(&sim, "caller"), Some(100), "the third still rings");
    sim.refuse("three", 486, None);
    assert_eq!(told(&sim, "caller"), Some(486));
    let mut sim = team(Strategy::Sequential);
    dial(&mut sim, GROUP);
    sim.refuse("one", 486, None);
    sim.ring("two", 180, None);
    sim.advance(s(11));
    sim.refuse("three", 486, None);
    assert_eq!(told(&sim, "caller"), Some(480), "one of them rang");
    sim.assert_clean();
    // The time for all of them together.
    let mut sim = team_with(Strategy::Sequential, |snapshot| {
        snapshot.groups.get_mut(GROUP).unwrap().timeout_s = 15;
    });
    dial(&mut sim, GROUP);
    sim.ring("one", 180, None);
    sim.advance(s(11));
    sim.ring("two", 180, None);
    sim.advance(s(5));
    assert_eq!((invited(&sim), told(&sim, "caller")), ([1, 1, 0, 0], Some(480)));
    sim.assert_clean();
}

#[test]
fn a14_rfc5393_5_3_3_a_group_shares_the_breadth_of_the_request() {
    let mut sim = team(Strategy::RingAll);
    from_carrier(&mut sim, &[("Max-Breadth", "2")]);
    assert_eq!(invited(&sim).iter().sum::<usize>(), 2, "no more phones than it may reach");
    assert_eq!(sim.engine.counts().agents, 2, "who is not rung is free");
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn a_group_that_nobody_takes_leads_to_an_extension_a_group_or_a_number_that_the_merchant_pays() {
    // Another group, one member of which is busy with the first offer until then.
    let mut sim = team_with(Strategy::Sequential, |snapshot| {
        let mut first = group(Strategy::Sequential, &["80001"]);
        first.otherwise = internal("80200");
        snapshot.groups.insert(GROUP.into(), first);
        let mut second = group(Strategy::RingAll, &["80001", "80002"]);
        second.otherwise = public(NUMBER_A);
        snapshot.groups.insert("80200".into(), second);
        snapshot.routes = vec![Route::new("86138", TrunkId(1), 0)];
    });
    from_carrier(&mut sim, &[]);
    sim.ring("one", 180, None);
    sim.refuse("one", 486, None);
    assert_eq!(invited(&sim), [2, 1, 0, 0], "he may be asked again by the other group");
    sim.refuse("one", 486, None);
    sim.refuse("two", 486, None);
    let added: Vec<_> = sim.added.iter().map(|ask| (ask.leg.no, ask.number.clone())).collect();
    let number = Number::E164(NUMBER_A.into());
    assert_eq!(added[0], (LegNo(2), Number::Internal("80200".into())));
    assert_eq!(added[1], (LegNo(3), number.clone()), "held before it is rung");
    assert_eq!(sim.far("a").count("INVITE"), 1);
    let invite = sim.far("a").last("INVITE").clone();
    let diversion = invite.lines(HeaderName::Diversion).next().unwrap();
    let diversion = String::from_utf8_lossy(diversion).into_owned();
    assert!(diversion.ends_with("reason=user-busy;counter=1"), "{diversion}");
    sim.ring("a", 180, None);
    sim.pick_up("a");
    assert_eq!(told(&sim, "b"), Some(200));
    sim.advance(s(10));
    sim.hang_up("a");
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.legs.len()), (Outcome::Completed, 4));
    let last = record.leg(LegNo(3)).unwrap();
    assert_eq!((&last.number, last.bill_seconds()), (&number, 10));
    for no in [LegNo::B, LegNo(2)] {
        assert_eq!(record.leg(no).unwrap().bill_seconds(), 0);
    }
    sim.assert_clean();
}

#[test]
fn a_number_that_cannot_be_paid_is_not_rung_and_the_first_failure_stands() {
    let mut sim = team_with(Strategy::RingAll, |snapshot| {
        snapshot.groups.get_mut(GROUP).unwrap().otherwise = public(NUMBER_A);
    });
    from_carrier(&mut sim, &[]);
    sim.ledger.refuse = Some(Refusal::NoBalance);
    for name in ["one", "two", "three"] {
        sim.refuse(name, 486, None);
    }
    assert_eq!(sim.added.len(), 1);
    assert_eq!((sim.far("a").count("INVITE"), told(&sim, "b")), (0, Some(402)));
    let Outcome::Failed(why) = sim.record().outcome else { panic!() };
    assert_eq!(why.kind, Kind::NoBalance);
    sim.assert_clean();
}

#[test]
fn a24_a_callback_to_a_group_hears_ring_back_until_somebody_takes_it() {
    let mut sim = team(Strategy::Sequential);
    let mut command = callback();
    command.b.as_mut().unwrap().number = Number::Internal(GROUP.into());
    command.b.as_mut().unwrap().as_sent = GROUP.into();
    sim.place(command);
    sim.pick_up("a");
    sim.ring("one", 180, None);
    sim.advance(s(11));
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::RingBack)));
    sim.ring("two", 180, None);
    sim.pick_up("two");
    assert!(matches!(sim.hears(LegNo::A), Some(Source::Leg(_))));
    sim.advance(s(5));
    sim.hang_up("a");
    assert!(sim.far("two").ended());
    sim.assert_clean();
}

#[test]
fn the_caller_leaves_while_a_group_rings_and_nothing_goes_on_ringing() {
    for after in [0, 11, 21] {
        let mut sim = team(Strategy::Sequential);
        dial(&mut sim, GROUP);
        sim.ring("one", 180, None);
        sim.advance(s(after));
        sim.hang_up(CALLER.0);
        sim.advance(s(1));
        assert!(TEAM.iter().all(|(name, ..)| sim.fars[name].count("INVITE") == 0
            || sim.fars[name].cancelled()));
        assert_eq!(sim.engine.counts().agents, 0);
        sim.assert_clean();
    }
}

#[test]
fn a_disabled_group_and_one_without_members_fail_as_an_extension_does() {
    let mut sim = team(Strategy::RingAll);
    change(&mut sim, |snapshot| snapshot.groups.get_mut(GROUP).unwrap().members.clear());
    dial(&mut sim, GROUP);
    assert_eq!(told(&sim, "caller"), Some(480));
    change(&mut sim, |snapshot| snapshot.groups.get_mut(GROUP).unwrap().enabled = false);
    dial(&mut sim, GROUP);
    assert_eq!(told(&sim, "caller"), Some(404));
    sim.assert_clean();
}

/// Whoever called refers the one he talks with.
fn refer(sim: &mut Sim, name: &str, to: &str) {
    let far = &sim.fars[name];
    let answer = far.heard.iter().rev().find(|message| message.status() == Some(200)).unwrap();
    let text = |name| String::from_utf8(answer.header(name).unwrap().to_vec()).unwrap();
    let (at, from, to_tag) = (far.at, text(HeaderName::From), text(HeaderName::To));
    let (call_id, cseq) = (answer.call_id().unwrap(), answer.cseq().unwrap().number);
    let refer = format!(
        "REFER sip:x@198.51.100.1 SIP/2.0\nVia: SIP/2.0/UDP {at};branch=z9hG4bKrefer\n\
         Max-Forwards: 70\nFrom: {from}\nTo: {to_tag}\nCall-ID: {call_id}\nCSeq: {cseq} REFER\n\
         Contact: <sip:x@{at}>\nRefer-To: <sip:{to}@tandem.test>\nContent-Length: 0\n\n"
    );
    sim.raw(&at.to_string(), &refer);
}

#[test]
fn b6_a_transfer_to_a_group_rings_by_its_rule() {
    let mut sim = team_with(Strategy::Sequential, |snapshot| {
        snapshot.routes = vec![Route::new("8610", TrunkId(2), 0)];
    });
    dial(&mut sim, "01088880000");
    sim.pick_up("b");
    sim.advance(s(5));
    refer(&mut sim, "caller", GROUP);
    assert_eq!(invited(&sim), [1, 0, 0, 0]);
    sim.ring("one", 180, None);
    sim.refuse("one", 486, None);
    assert_eq!(invited(&sim), [1, 1, 0, 0]);
    sim.pick_up("two");
    assert!(sim.far("caller").ended());
    sim.advance(s(5));
    sim.hang_up("b");
    assert!(sim.far("two").ended());
    assert_eq!(sim.record().leg(LegNo(2)).unwrap().number.digits(), "80002");
    sim.assert_clean();
}
