//! Conferences on a virtual clock: who is rung when, what each leg is paid for, what is done to those who are in
//! (merchant API §3.6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use std::time::Duration;

use call::{Answer, Command, Reply};
use common::phones::bind;
use common::{Sim, callback, engine_config, extension, s};
use facts::conference::{Act, ActRefused, Conference, ConferenceView, Participant, Standing};
use facts::ledger::OpenCall;
use facts::media::{MediaCommand, MediaEvent, MediaStats, Record, RecordingForm, Source, Voices};
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use facts::{
    CallCommand, CallId, Failure, Kind, LegId, LegNo, Number, Origin, Outcome, Party, Purpose,
    Refusal, RequestKey, Side,
};
use transfers::refer;

const A: LegNo = LegNo::A;

/// The far end of an extension's phone, by the place of the extension.
fn name(at: usize) -> &'static str {
    Box::leak(format!("p{at}").into_boxed_str())
}

fn user(at: usize) -> String {
    format!("{}", 81_000 + at)
}

fn participant(at: usize) -> Participant {
    let number = Number::Internal(user(at));
    let party = Party { number, as_sent: user(at), shown: None, ring: s(40) };
    Participant { name: format!("P{at}"), party }
}

fn number(at: usize) -> Number {
    Number::Internal(user(at))
}

/// One with so many participants, the creator included.
fn command(of: usize) -> CallCommand {
    CallCommand {
        a: participant(0).party,
        b: None,
        conference: Some(Box::new(Conference {
            number: "516152".into(),
            title: "weekly".into(),
            creator: "P0".into(),
            others: (1..of).map(participant).collect(),
            chimes: false,
            booking: None,
        })),
        purpose: Purpose::Conference,
        pushes: Vec::new(),
        ..callback()
    }
}

/// Extensions with a phone each.
fn world(phones: usize) -> Sim {
    world_with(phones, |_| {}, |_| {})
}

fn world_with(
    phones: usize,
    config: impl FnOnce(&mut call::EngineConfig),
    set: impl FnOnce(&mut facts::settings::Snapshot),
) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for at in 0..phones {
            snapshot.extensions.insert(user(at), extension(&user(at), "right"));
        }
        set(snapshot);
    });
    let at = |at: usize| format!("203.0.113.{}:5070", 10 + at);
    let mut known = Vec::new();
    for phone in 0..phones {
        sim.add(name(phone), &at(phone), u8::try_from(110 + phone).unwrap());
        known.push((user(phone), at(phone)));
    }
    let known: Vec<_> = known.iter().map(|(user, at)| (user.as_str(), at.as_str())).collect();
    bind(&mut sim, &known);
    sim
}

fn place(sim: &mut Sim, command: CallCommand) -> CallId {
    let token = sim.place(command);
    sim.placed(token).unwrap().call
}

/// All are in.
fn held(of: usize) -> (Sim, CallId) {
    let mut sim = world(of);
    let call = place(&mut sim, command(of));
    for at in 0..of {
        sim.pick_up(name(at));
    }
    (sim, call)
}

fn act(sim: &mut Sim, call: CallId, act: Act) -> Result<(), ActRefused> {
    let token = 10_000 + sim.answers.len() as u64;
    sim.command(Command::Confer { token, call, act: Box::new(act) });
    match &sim.answers[&token] {
        Answer::Conferred(done) => *done,
        other => panic!("{other:?}"),
    }
}

fn view(sim: &mut Sim, call: CallId) -> Option<ConferenceView> {
    let token = 10_000 + sim.answers.len() as u64;
    sim.command(Command::Conference { token, call });
    match &sim.answers[&token] {
        Answer::Conference(view) => view.as_deref().cloned(),
        other => panic!("{other:?}"),
    }
}

fn standings(sim: &mut Sim, call: CallId) -> Vec<Standing> {
    view(sim, call).unwrap().participants.iter().map(|one| one.standing).collect()
}

fn invited(sim: &Sim, of: usize) -> Vec<usize> {
    (0..of).map(|at| sim.fars[name(at)].count("INVITE")).collect()
}

fn room_orders(sim: &Sim) -> Vec<RoomOrder> {
    let orders = sim.media.iter().filter_map(|command| match command {
        MediaCommand::Room { order, .. } => Some(order.clone()),
        _ => None,
    });
    orders.collect()
}

#[test]
fn s3_6_the_creator_is_rung_first_the_others_when_it_answers_and_no_second_leg_waits() {
    let mut sim = world(4);
    let call = place(&mut sim, command(4));
    assert_eq!(invited(&sim, 4), [1, 0, 0, 0]);
    sim.ring("p0", 180, None);
    sim.advance(s(5));
    assert_eq!(invited(&sim, 4), [1, 0, 0, 0]);
    sim.pick_up("p0");
    assert_eq!(invited(&sim, 4), [1, 1, 1, 1]);
    assert_eq!(sim.hears(A), Some(&Source::Room));
    sim.ring("p2", 180, None);
    sim.pick_up("p3");
    assert_eq!(sim.hears(LegNo(3)), Some(&Source::Room), "nobody waits for anybody");
    use Standing::{Alerting, Calling, Joined, Left};
    assert_eq!(standings(&mut sim, call), [Joined, Calling, Alerting, Joined]);
    sim.refuse("p1", 486, None);
    assert_eq!(standings(&mut sim, call), [Joined, Left, Alerting, Joined]);
    sim.advance(s(40));
    assert_eq!(standings(&mut sim, call), [Joined, Left, Left, Joined]);
    sim.hang_up("p0");
    assert_eq!(standings(&mut sim, call), [Left, Left, Left, Joined]);
    assert!(!sim.far("p3").ended(), "the creator leaves: the conference goes on");
    sim.hang_up("p3");
    assert_eq!(view(&mut sim, call), None);
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Callee));
    assert!(record.bridged.is_some());
    let failures: Vec<_> =
        record.legs.iter().map(|leg| leg.failure.map(|failure| failure.kind)).collect();
    assert_eq!(failures, [None, Some(Kind::Busy), Some(Kind::NoAnswer), None]);
    sim.assert_clean();
}

#[test]
fn s3_9_each_leg_is_asked_of_the_ledger_by_itself_and_has_its_own_times() {
    let mut sim = world(3);
    place(&mut sim, command(3));
    let legs: Vec<_> = sim.authorizations[0].legs.iter().map(|quote| quote.leg).collect();
    assert_eq!(legs, [A], "the creator alone before it answers");
    assert!(sim.added.is_empty());
    sim.pick_up("p0");
    let added: Vec<_> = sim.added.iter().map(|ask| (ask.leg.no, ask.number.clone())).collect();
    assert_eq!(added, [(LegNo(1), number(1)), (LegNo(2), number(2))]);
    sim.advance(s(3));
    sim.pick_up("p1");
    sim.advance(s(4));
    sim.pick_up("p2");
    sim.advance(s(5));
    sim.hang_up("p0");
    sim.advance(s(6));
    sim.hang_up("p1");
    sim.hang_up("p2");
    let talks: Vec<_> = sim.record().legs.iter().map(facts::LegFacts::talk).collect();
    assert_eq!(talks, [s(12), s(15), s(11)]);
    sim.assert_clean();
}

#[test]
fn s3_6_an_invitation_under_a_key_rings_once_also_when_who_was_rung_is_gone() {
    let (mut sim, call) = held(2);
    let key = |of: &str| {
        let (key, fingerprint) = ("k1".to_owned(), of.to_owned());
        Some(RequestKey { dialect: facts::Dialect::Rest, key, fingerprint })
    };
    let invite = |of: &str| Act::Invite(vec![participant(1)], key(of));
    sim.hang_up("p1");
    assert_eq!(act(&mut sim, call, Act::Lock { locked: true }), Ok(()));
    assert_eq!(act(&mut sim, call, invite("x")), Err(ActRefused::Locked));
    assert_eq!(act(&mut sim, call, Act::Lock { locked: false }), Ok(()));
    assert_eq!(act(&mut sim, call, invite("x")), Ok(()), "what was refused may be asked for again");
    sim.refuse("p1", 486, None);
    assert_eq!(act(&mut sim, call, invite("x")), Err(ActRefused::Repeated));
    assert_eq!(act(&mut sim, call, invite("y")), Err(ActRefused::KeyConflict));
    assert_eq!(invited(&sim, 2), [1, 2]);
    let other = Act::Invite(vec![participant(1)], None);
    assert_eq!(act(&mut sim, call, other), Ok(()), "without a key it is another one");
    assert_eq!(invited(&sim, 2), [1, 3]);
}

#[test]
fn s3_6_who_left_may_be_asked_for_again_and_is_another_leg() {
    let (mut sim, call) = held(3);
    assert_eq!(
        act(&mut sim, call, Act::Invite(vec![participant(2)], None)),
        Err(ActRefused::AlreadyThere)
    );
    sim.advance(s(5));
    sim.hang_up("p2");
    sim.advance(s(5));
    assert_eq!(act(&mut sim, call, Act::Invite(vec![participant(2)], None)), Ok(()));
    sim.pick_up("p2");
    sim.advance(s(7));
    assert_eq!(act(&mut sim, call, Act::Close), Ok(()));
    let record = sim.record();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Platform));
    let talks: Vec<_> = record.legs.iter().map(|leg| (leg.as_sent.clone(), leg.talk())).collect();
    assert_eq!(talks, [(user(0), s(17)), (user(1), s(17)), (user(2), s(5)), (user(2), s(7))]);
    for at in 0..3 {
        assert!(sim.far(name(at)).ended());
    }
    sim.assert_clean();
}

#[test]
fn b15_more_than_thirty_two_are_in_one_conference_each_with_a_leg_of_its_own() {
    let (mut sim, call) = held(40);
    assert_eq!(standings(&mut sim, call), [Standing::Joined; 40]);
    assert_eq!(sim.added.len(), 39);
    sim.advance(s(30));
    act(&mut sim, call, Act::Close).unwrap();
    let record = sim.record();
    assert_eq!(record.legs.len(), 40);
    assert!(record.legs.iter().all(|leg| leg.talk() == s(30)));
    let ids: std::collections::BTreeSet<_> =
        record.legs.iter().map(|leg| LegId::new(call, leg.no).to_string()).collect();
    assert_eq!(ids.len(), 40, "no two legs share the id of a transfer of money");
    sim.assert_clean();
}

#[test]
fn there_is_an_end_of_legs() {
    let (mut sim, call) = held(2);
    for _ in 2..facts::conference::LEGS_MAX {
        sim.hang_up("p1");
        act(&mut sim, call, Act::Invite(vec![participant(1)], None)).unwrap();
        sim.pick_up("p1");
    }
    sim.hang_up("p1");
    assert_eq!(act(&mut sim, call, Act::Invite(vec![participant(1)], None)), Err(ActRefused::Full));
    act(&mut sim, call, Act::Close).unwrap();
    assert_eq!(sim.record().legs.len(), facts::conference::LEGS_MAX);
    sim.assert_clean();
}

#[test]
fn s3_6_mute_deafen_and_kick_reach_who_is_in_and_who_comes() {
    let mut sim = world(4);
    let call = place(&mut sim, command(3));
    sim.pick_up("p0");
    sim.pick_up("p1");
    let mute = |at, muted| Act::Mute { who: number(at), muted };
    act(&mut sim, call, mute(1, true)).unwrap();
    act(&mut sim, call, mute(2, true)).unwrap();
    act(&mut sim, call, Act::Deafen { who: number(2), deaf: true }).unwrap();
    let role = |no, speaks, hears| RoomOrder::Role {
        leg: LegNo(no),
        role: RoomRole { speaks, hears, to: None },
    };
    assert_eq!(room_orders(&sim), [role(1, false, true)]);
    sim.pick_up("p2");
    assert_eq!(room_orders(&sim)[1..], [role(2, false, false)], "what he may do waits for him");
    act(&mut sim, call, mute(1, false)).unwrap();
    assert_eq!(room_orders(&sim)[2..], [role(1, true, true)]);
    let seen = view(&mut sim, call).unwrap().participants;
    assert_eq!(seen.iter().map(|one| one.muted).collect::<Vec<_>>(), [false, false, true]);
    assert!(seen[2].deaf);
    act(&mut sim, call, Act::Kick { who: number(2) }).unwrap();
    assert!(sim.far("p2").ended());
    for gone in [2, 3] {
        let refused = act(&mut sim, call, Act::Kick { who: number(gone) });
        assert_eq!(refused, Err(ActRefused::NotThere));
        assert_eq!(act(&mut sim, call, mute(gone, true)), Err(ActRefused::NotThere));
    }
    sim.hang_up("p0");
    sim.hang_up("p1");
    assert_eq!(act(&mut sim, call, Act::Close), Err(ActRefused::Unknown));
    sim.assert_clean();
}

#[test]
fn who_is_sent_out_while_his_phone_rings_is_not_rung_on() {
    let mut sim = world(3);
    let call = place(&mut sim, command(3));
    sim.pick_up("p0");
    sim.ring("p1", 180, None);
    act(&mut sim, call, Act::Kick { who: number(1) }).unwrap();
    assert!(sim.far("p1").cancelled());
    // And one of whom the ledger has not answered yet.
    sim.ledger.answers = false;
    act(&mut sim, call, Act::Invite(vec![participant(1)], None)).unwrap();
    let leg = sim.added.last().unwrap().leg;
    act(&mut sim, call, Act::Kick { who: number(1) }).unwrap();
    let answer = facts::ledger::Added::Paid(None);
    sim.reply(Reply::Added { leg, answer });
    assert_eq!(sim.far("p1").count("INVITE"), 1);
    act(&mut sim, call, Act::Close).unwrap();
    assert_eq!(sim.record().legs.len(), 3, "who was never rung has no record");
    sim.assert_clean();
}

#[test]
fn a_locked_conference_takes_nobody_else() {
    let (mut sim, call) = held(2);
    act(&mut sim, call, Act::Lock { locked: true }).unwrap();
    assert!(view(&mut sim, call).unwrap().locked);
    assert_eq!(
        act(&mut sim, call, Act::Invite(vec![participant(5)], None)),
        Err(ActRefused::Refused(Refusal::NoRoute))
    );
    sim.hang_up("p1");
    assert_eq!(
        act(&mut sim, call, Act::Invite(vec![participant(1)], None)),
        Err(ActRefused::Locked)
    );
    act(&mut sim, call, Act::Lock { locked: false }).unwrap();
    assert_eq!(act(&mut sim, call, Act::Invite(vec![participant(1)], None)), Ok(()));
    act(&mut sim, call, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn nobody_is_rung_for_a_creator_who_does_not_come_or_is_closed_before() {
    for case in 0..4 {
        let mut sim = world(3);
        let call = place(&mut sim, command(3));
        sim.ring("p0", 180, None);
        let wanted = match case {
            0 => {
                sim.refuse("p0", 486, None);
                Failure::new(Origin::LegA, Kind::Rejected)
            }
            1 => {
                sim.advance(s(41));
                Failure::new(Origin::LegA, Kind::NoAnswer)
            }
            2 => {
                act(&mut sim, call, Act::Invite(vec![participant(1)], None)).unwrap_err();
                act(&mut sim, call, Act::Close).unwrap();
                Failure::new(Origin::Us, Kind::HungUpByUs)
            }
            _ => {
                act(&mut sim, call, Act::Kick { who: number(0) }).unwrap();
                Failure::new(Origin::Us, Kind::HungUpByUs)
            }
        };
        assert_eq!(sim.record().outcome, Outcome::Failed(wanted));
        assert_eq!(invited(&sim, 3), [1, 0, 0]);
        assert_eq!(sim.record().legs.len(), 1);
        sim.assert_clean();
    }
}

#[test]
fn somebody_asked_for_before_the_creator_answers_is_rung_with_the_others() {
    let mut sim = world(4);
    let call = place(&mut sim, command(3));
    act(&mut sim, call, Act::Invite(vec![participant(3)], None)).unwrap();
    act(&mut sim, call, Act::Kick { who: number(1) }).unwrap();
    assert_eq!(invited(&sim, 4), [1, 0, 0, 0]);
    use Standing::{Calling, Joined, Waiting};
    assert_eq!(standings(&mut sim, call), [Calling, Waiting, Waiting], "nobody rings them yet");
    sim.pick_up("p0");
    assert_eq!(invited(&sim, 4), [1, 0, 1, 1]);
    assert_eq!(standings(&mut sim, call), [Joined, Calling, Calling]);
    act(&mut sim, call, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn all_are_rung_as_fast_as_the_merchant_may_call_and_no_faster() {
    let mut sim = world_with(
        9,
        |_| {},
        |snapshot| {
            let merchant = snapshot.merchants.values_mut().next().unwrap();
            merchant.calls_per_second = Some(3);
        },
    );
    let call = place(&mut sim, command(9));
    sim.advance(s(2));
    sim.pick_up("p0");
    let rung = |sim: &Sim| invited(sim, 9)[1..].iter().sum::<usize>();
    assert_eq!(rung(&sim), 3);
    sim.advance(Duration::from_millis(900));
    assert_eq!(rung(&sim), 3);
    sim.advance(s(1));
    assert_eq!(rung(&sim), 6);
    sim.advance(s(2));
    assert_eq!(rung(&sim), 8);
    act(&mut sim, call, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn a_leg_whose_paid_time_is_over_goes_alone_and_never_past_it() {
    let mut sim = world(3);
    sim.ledger.steps = 0;
    place(&mut sim, command(3));
    sim.pick_up("p0");
    sim.advance(s(30));
    sim.pick_up("p1");
    sim.pick_up("p2");
    sim.advance(s(31));
    assert!(sim.far("p0").ended());
    assert!(!sim.far("p1").ended() && !sim.far("p2").ended());
    sim.advance(s(30));
    let record = sim.record();
    assert!(record.legs.iter().all(|leg| leg.talk() == s(60)));
    let why = Some(Failure::new(Origin::Billing, Kind::CreditExhausted));
    assert!(record.legs.iter().all(|leg| leg.failure == why));
    assert_eq!(record.outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn a_participant_without_money_is_not_rung_and_the_others_are() {
    let mut sim = world(3);
    sim.ledger.answers = true;
    let call = place(&mut sim, command(3));
    sim.ledger.refuse = Some(Refusal::NoBalance);
    sim.pick_up("p0");
    assert_eq!(invited(&sim, 3), [1, 0, 0]);
    assert_eq!(standings(&mut sim, call)[1..], [Standing::Left; 2]);
    sim.ledger.refuse = None;
    act(&mut sim, call, Act::Invite(vec![participant(1)], None)).unwrap();
    assert_eq!(invited(&sim, 3), [1, 1, 0]);
    sim.pick_up("p1");
    // The store says nothing at all of another one.
    sim.ledger.answers = false;
    act(&mut sim, call, Act::Invite(vec![participant(2)], None)).unwrap();
    sim.advance(s(3));
    assert_eq!(standings(&mut sim, call).last(), Some(&Standing::Left));
    act(&mut sim, call, Act::Close).unwrap();
    assert_eq!(sim.record().legs.len(), 2);
    sim.assert_clean();
}

#[test]
fn a_conference_ends_at_its_longest_and_says_so_before() {
    let mut sim = world(2);
    place(&mut sim, CallCommand { max_talk: Some(s(300)), ..command(2) });
    sim.pick_up("p0");
    sim.advance(s(10));
    sim.pick_up("p1");
    let beeps = |sim: &Sim| {
        let beep = |command: &&MediaCommand| matches!(command, MediaCommand::Interject { .. });
        sim.media.iter().filter(beep).count()
    };
    sim.advance(s(274));
    assert_eq!(beeps(&sim), 0);
    sim.advance(s(2));
    assert_eq!(beeps(&sim), 2);
    sim.advance(s(15));
    let record = sim.record();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::MaxDuration)));
    assert_eq!(record.legs[0].talk(), s(300));
    sim.assert_clean();
}

#[test]
fn s3_9_a_recorded_conference_is_one_file_from_the_moment_two_are_in() {
    let mut sim = world_with(3, |config| config.recording.voices = Voices::Apart, |_| {});
    let call = place(&mut sim, CallCommand { record: Record::Yes, ..command(3) });
    sim.pick_up("p0");
    assert!(room_orders(&sim).is_empty());
    sim.pick_up("p1");
    let form = RecordingForm { voices: Voices::Mixed, ..RecordingForm::default() };
    let [RoomOrder::Record { file, form: as_said }] = &room_orders(&sim)[..] else {
        panic!("{:?}", room_orders(&sim));
    };
    assert_eq!(*as_said, form);
    assert!(file.ends_with(".mp3") && file.contains(&call.to_string()));
    sim.pick_up("p2");
    sim.hang_up("p0");
    let stopped = |sim: &Sim| {
        sim.media.iter().any(|order| matches!(order, MediaCommand::StopRecording { .. }))
    };
    assert!(!stopped(&sim), "it goes on for who stays");
    act(&mut sim, call, Act::Close).unwrap();
    assert!(stopped(&sim));
    assert!(sim.record().recording.is_some());
    sim.assert_clean();
}

#[test]
fn join_and_leave_are_heard_where_it_was_so_wished() {
    let mut sim = world(2);
    let mut wished = command(2);
    wished.conference.as_mut().unwrap().chimes = true;
    let call = place(&mut sim, wished);
    sim.pick_up("p0");
    sim.pick_up("p1");
    assert_eq!(room_orders(&sim), [RoomOrder::Chimes { on: true }]);
    act(&mut sim, call, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn whom_the_room_does_not_take_goes_and_who_talks_is_known() {
    let (mut sim, call) = held(3);
    let talking = |leg| MediaEvent::Room { call, news: RoomNews::Talking { leg, talks: true } };
    sim.media(talking(LegNo(1)));
    let talks: Vec<_> =
        view(&mut sim, call).unwrap().participants.iter().map(|one| one.talks).collect();
    assert_eq!(talks, [false, true, false]);
    for (leg, why, kind) in [
        (LegNo(1), RoomRefusal::Codec, Kind::NotAcceptable),
        (LegNo(2), RoomRefusal::Full, Kind::Congestion),
    ] {
        sim.media(MediaEvent::Room { call, news: RoomNews::Refused { leg, why } });
        assert!(sim.far(name(usize::from(leg.0))).ended());
        sim.advance(s(1));
        let _ = kind;
    }
    sim.hang_up("p0");
    let kinds: Vec<_> =
        sim.record().legs.iter().map(|leg| leg.failure.map(|why| why.kind)).collect();
    assert_eq!(kinds, [None, Some(Kind::NotAcceptable), Some(Kind::Congestion)]);
    sim.assert_clean();
}

#[test]
fn a_silent_or_lost_participant_goes_alone() {
    let (mut sim, call) = held(3);
    let leg = LegId::new(call, LegNo(1));
    sim.advance(s(70));
    sim.media(MediaEvent::Silent { leg, since: s(61) });
    assert!(sim.far("p1").ended() && !sim.far("p0").ended() && !sim.far("p2").ended());
    act(&mut sim, call, Act::Close).unwrap();
    let why = sim.record().legs[1].failure.map(|why| why.kind);
    assert_eq!(why, Some(Kind::MediaSilence));
    sim.assert_clean();
}

#[test]
fn case_65_nobody_transfers_a_conference() {
    let (mut sim, call) = held(2);
    assert_eq!(refer(&mut sim, "p1", "<sip:81000@tandem.test>"), 403);
    assert_eq!(sim.engine.counts().legs, 2);
    act(&mut sim, call, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn after_a_crash_every_leg_is_settled_to_its_last_proof_of_life() {
    let (mut sim, call) = held(3);
    sim.advance(s(7));
    sim.hang_up("p2");
    sim.advance(s(11));
    let alive = sim.alive.last().unwrap().1;
    let mut legs: Vec<facts::ledger::JournalLeg> = Vec::new();
    for entry in &sim.journal {
        legs.retain(|leg| leg.leg != entry.leg);
        legs.push(entry.clone());
    }
    let before = sim.authorizations[0].command.clone();
    let placed = sim.authorizations[0].at;
    let mut next = Sim::with(|config| *config = engine_config(), |_| {});
    next.now = sim.now.after(s(5));
    let open = OpenCall { call, command: before, placed, legs, alive };
    next.command(Command::Recover(Box::new(open)));
    let record = next.record();
    assert_eq!(record.outcome, Outcome::Failed(Failure::new(Origin::Us, Kind::Crash)));
    let talks: Vec<_> = record.legs.iter().map(facts::LegFacts::talk).collect();
    let lived = alive.since(record.legs[0].answered.unwrap());
    assert_eq!(talks, [lived, lived, s(7)]);
    assert!(lived >= s(13) && lived <= s(18), "{lived:?}");
    assert!(record.bridged.is_some());
}

#[test]
fn a_conference_that_had_ended_before_the_crash_was_held() {
    let (mut sim, call) = held(3);
    sim.ledger.settles = false;
    sim.advance(s(7));
    for at in [0, 2, 1] {
        sim.hang_up(name(at));
    }
    let mut legs: Vec<facts::ledger::JournalLeg> = Vec::new();
    for entry in &sim.journal {
        legs.retain(|leg| leg.leg != entry.leg);
        legs.push(entry.clone());
    }
    let command = sim.authorizations[0].command.clone();
    let placed = sim.authorizations[0].at;
    let mut next = Sim::new();
    let open = OpenCall { call, command, placed, legs, alive: sim.now.wall };
    next.command(Command::Recover(Box::new(open)));
    assert_eq!(next.record().outcome, Outcome::Completed);
    assert_eq!(next.record().legs.len(), 3);
}

#[test]
fn media_figures_of_each_leg_are_on_record() {
    let (mut sim, call) = held(2);
    act(&mut sim, call, Act::Close).unwrap();
    let seen = |stats: &MediaStats| stats.packets_received;
    assert!(sim.record().legs.iter().all(|leg| seen(&leg.media) == 1));
    sim.assert_clean();
}
