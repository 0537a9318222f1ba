//! What is done to calls from outside: a supervisor listens, whispers, comes in; one of two who talk is led on
//! (merchant API §4.9).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/transfers.rs"]
mod transfers;

use call::{Answer, Command, EngineConfig, Reply};
use common::phones::{DESK, SOFT, bind, call_from, invite_with, own};
use common::{MERCHANT, NUMBER_A, NUMBER_B, REALM, Sim, callback, extension, s, sdp_of};
use facts::control::{Control, ControlRefused, Led, Mode};
use facts::ledger::Added;
use facts::media::{Codec, MediaCommand, MediaEvent, Source, Tone};
use facts::record::LegState;
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use facts::settings::Snapshot;
use facts::station::{Stage, StationCall};
use facts::{Kind, LegNo, MerchantId, Number, Outcome, PushKind, Refusal, Side, TrunkId};
use transfers::refer;

const C: LegNo = LegNo(2);
const BOSS: &str = "203.0.113.30:5070";

fn internal(user: &str) -> Number {
    Number::Internal(user.into())
}

fn public(digits: &str) -> Number {
    Number::E164(digits.into())
}

/// The desk (80001) talks with carrier B's subscriber; the boss (80009) and the soft phone (80002) are there.
fn talking() -> Sim {
    let mut sim = world(|_| {}, |_| {});
    call_from(&mut sim, "desk", "80001", "01088880000");
    sim.pick_up("b");
    sim.advance(s(10));
    sim
}

fn world(config: impl FnOnce(&mut EngineConfig), set: impl FnOnce(&mut Snapshot)) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for user in ["80001", "80002", "80009"] {
            snapshot.extensions.insert(user.into(), extension(user, "right"));
        }
        set(snapshot);
    });
    sim.add("desk", DESK, 170);
    sim.add("soft", SOFT, 171);
    sim.add("boss", BOSS, 172);
    bind(&mut sim, &[("80001", DESK), ("80002", SOFT), ("80009", BOSS)]);
    sim
}

fn control(sim: &mut Sim, control: Control) -> Result<(), ControlRefused> {
    control_of(sim, MERCHANT, control)
}

fn control_of(sim: &mut Sim, merchant: MerchantId, control: Control) -> Result<(), ControlRefused> {
    let call = sim.engine.live()[0].call;
    let token = 10_000 + sim.answers.len() as u64;
    sim.command(Command::Control { token, call, merchant, control: Box::new(control) });
    match &sim.answers[&token] {
        Answer::Controlled(done) => *done,
        other => panic!("{other:?}"),
    }
}

fn monitor(mode: Mode) -> Control {
    Control::Monitor { who: internal("80001"), supervisor: "80009".into(), mode }
}

fn part(mode: Mode) -> Control {
    Control::Part { supervisor: "80009".into(), mode }
}

/// The boss takes part so, and has answered.
fn supervised(mode: Mode) -> Sim {
    let mut sim = talking();
    assert_eq!(control(&mut sim, monitor(mode)), Ok(()));
    sim.pick_up_with("boss", &sdp_of("b"));
    sim
}

/// What legs may do in the room, as it was told last.
fn role(sim: &Sim, no: LegNo) -> Option<RoomRole> {
    sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Room { order: RoomOrder::Role { leg, role }, .. } if *leg == no => {
            Some(*role)
        }
        _ => None,
    })
}

fn in_the_room(sim: &Sim, legs: &[LegNo]) -> bool {
    legs.iter().all(|no| sim.hears(*no) == Some(&Source::Room))
}

/// The two hear each other, and nobody else.
fn bridged(sim: &Sim) -> bool {
    let hears = |one, two| sim.hears(one) == Some(&Source::Leg(sim.leg(two)));
    hears(LegNo::A, LegNo::B) && hears(LegNo::B, LegNo::A)
}

fn station(sim: &mut Sim, user: &str) -> Vec<StationCall> {
    sim.command(Command::Stations { token: 900, extensions: vec![user.into()] });
    let Some(Answer::Stations(mut all)) = sim.answers.remove(&900) else { panic!("an answer") };
    all.remove(0).calls
}

#[test]
fn s4_9_who_listens_hears_both_and_nobody_hears_him() {
    let mut sim = talking();
    assert_eq!(control(&mut sim, monitor(Mode::Listen)), Ok(()));
    assert!(bridged(&sim), "while he is rung nothing changes");
    assert_eq!((sim.added[0].leg, &sim.added[0].number), (sim.leg(C), &internal("80009")));
    let invite = sim.far("boss").last("INVITE").clone();
    assert_eq!(invite.from().unwrap().uri.user.as_deref(), Some("80001"), "whose call it is");
    sim.ring("boss", 180, None);
    assert!(bridged(&sim));
    sim.pick_up_with("boss", &sdp_of("b"));
    assert!(in_the_room(&sim, &[LegNo::A, LegNo::B, C]));
    assert_eq!(role(&sim, C), Some(RoomRole { speaks: false, ..RoomRole::default() }));
    assert_eq!([LegNo::A, LegNo::B].map(|no| role(&sim, no)), [None, None], "as everybody");
    assert_eq!((sim.far("desk").count("INVITE"), sim.far("b").count("INVITE")), (0, 1), "unasked");
    sim.hang_up("boss");
    assert!(bridged(&sim), "and the two talk on");
    assert_eq!(sim.engine.live()[0].state, "bridged");
    sim.advance(s(5));
    sim.hang_up("b");
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.released_by), (Outcome::Completed, Side::Callee));
    assert_eq!((record.legs.len(), record.called()), (3, LegNo::B));
    let boss = record.leg(C).unwrap();
    assert_eq!((&boss.number, boss.answered.is_some()), (&internal("80009"), true));
    sim.assert_clean();
}

#[test]
fn s4_9_who_whispers_is_heard_by_whom_he_supervises_alone_and_may_come_in() {
    let mut sim = supervised(Mode::Whisper);
    let to = Some(LegNo::A);
    assert_eq!(role(&sim, C), Some(RoomRole { to, ..RoomRole::default() }));
    // Stop whispering, then all three, then whisper again: nobody is rung for that.
    for (mode, wanted) in [
        (Mode::Listen, RoomRole { speaks: false, ..RoomRole::default() }),
        (Mode::Barge, RoomRole::default()),
        (Mode::Whisper, RoomRole { to, ..RoomRole::default() }),
    ] {
        assert_eq!(control(&mut sim, part(mode)), Ok(()));
        assert_eq!(role(&sim, C), Some(wanted), "{mode:?}");
    }
    assert_eq!((sim.far("boss").count("INVITE"), sim.added.len()), (1, 1));
    let of_another = Control::Part { supervisor: "80002".into(), mode: Mode::Barge };
    assert_eq!(control(&mut sim, of_another), Err(ControlRefused::NotTalking));
    sim.hang_up("desk");
    assert!(sim.far("boss").ended() && sim.far("b").ended(), "with the call it is over");
    sim.assert_clean();
}

#[test]
fn s4_9_who_barges_in_talks_with_both_and_leaves_when_he_is_told_to() {
    let mut sim = supervised(Mode::Barge);
    assert!(in_the_room(&sim, &[LegNo::A, LegNo::B, C]));
    assert_eq!(role(&sim, C), Some(RoomRole::default()));
    let [call] = &station(&mut sim, "80009")[..] else { panic!("one") };
    assert_eq!((call.stage, call.supervises, call.other.as_str()), (Stage::Talks, true, "80001"));
    let [call] = &station(&mut sim, "80001")[..] else { panic!("one") };
    assert_eq!((call.supervises, call.called_in), (false, false));
    let leave = || Control::Leave { supervisor: "80009".into() };
    assert_eq!(control(&mut sim, leave()), Ok(()));
    assert!(bridged(&sim) && sim.far("boss").ended());
    assert_eq!(control(&mut sim, leave()), Err(ControlRefused::NotTalking));
    // And somebody may come again.
    assert_eq!(control(&mut sim, monitor(Mode::Listen)), Ok(()));
    sim.hang_up("b");
    assert!(sim.far("boss").cancelled(), "he rings no more");
    assert_eq!(sim.record().legs.len(), 4);
    sim.assert_clean();
}

#[test]
fn s4_9_the_recording_of_the_call_goes_on_while_somebody_listens() {
    let mut sim = world(|_| {}, |_| {});
    let mut command = callback();
    command.record = facts::media::Record::Yes;
    let b = command.b.as_mut().unwrap();
    (b.number, b.as_sent) = (internal("80001"), "80001".into());
    sim.place(command);
    sim.pick_up("a");
    sim.pick_up_with("desk", &sdp_of("c"));
    let tape = |sim: &Sim| {
        let is = |command: &&MediaCommand| {
            matches!(
                command,
                MediaCommand::Record { .. }
                    | MediaCommand::Retape { .. }
                    | MediaCommand::StopRecording { .. }
                    | MediaCommand::PauseRecording { .. }
            )
        };
        sim.media.iter().filter(is).count()
    };
    assert_eq!(tape(&sim), 1);
    assert_eq!(control(&mut sim, monitor(Mode::Whisper)), Ok(()));
    sim.pick_up_with("boss", &sdp_of("b"));
    assert_eq!(role(&sim, C).and_then(|role| role.to), Some(LegNo::B), "the seat was called");
    sim.hang_up("boss");
    assert_eq!(tape(&sim), 1, "nothing was said of it");
    sim.hang_up("a");
    sim.assert_clean();
}

#[test]
fn s4_9_keys_pass_the_room() {
    let mut sim = supervised(Mode::Listen);
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Digit { leg, digit: '7' });
    let pressed = |sim: &Sim| {
        let is = |command: &MediaCommand| match command {
            MediaCommand::Press { leg, digit } => Some((leg.no, *digit)),
            _ => None,
        };
        sim.media.iter().filter_map(is).collect::<Vec<_>>()
    };
    assert_eq!(pressed(&sim), [(LegNo::B, '7')], "a room passes sound alone");
    let leg = sim.leg(C);
    sim.media(MediaEvent::Digit { leg, digit: '8' });
    assert_eq!(pressed(&sim).len(), 1, "the supervisor presses nothing for anybody");
    sim.hang_up("boss");
    let leg = sim.leg(LegNo::A);
    sim.media(MediaEvent::Digit { leg, digit: '9' });
    assert_eq!(pressed(&sim).len(), 1, "and between two it has passed already");
    sim.hang_up("desk");
    sim.assert_clean();
}

/// B's subscriber holds the call, or takes it up again.
fn holds(sim: &mut Sim, version: u32, direction: &str) {
    let now = sim.now.mono;
    let sdp = sdp_of("b").replace("o=- 1 1", &format!("o=- 1 {version}"));
    let far = sim.far("b");
    let session = far.session();
    assert!(far.endpoint.reinvite(now, session, format!("{sdp}a={direction}\r\n").into()));
    sim.drain();
}

#[test]
fn s4_9_who_is_held_waits_in_no_room_and_comes_back_to_it() {
    let mut sim = supervised(Mode::Listen);
    holds(&mut sim, 2, "sendonly");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::Hold)));
    assert!(in_the_room(&sim, &[LegNo::B, C]));
    holds(&mut sim, 3, "sendrecv");
    assert!(in_the_room(&sim, &[LegNo::A, LegNo::B, C]));
    // Who supervises comes and goes meanwhile.
    holds(&mut sim, 4, "sendonly");
    sim.hang_up("boss");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::Hold)), "he waits on");
    assert_eq!(control(&mut sim, monitor(Mode::Barge)), Ok(()));
    sim.pick_up_with("boss", &sdp_of("b"));
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Tone(Tone::Hold)));
    holds(&mut sim, 5, "sendrecv");
    assert!(in_the_room(&sim, &[LegNo::A, LegNo::B, LegNo(3)]));
    sim.hang_up("boss");
    assert!(bridged(&sim));
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn s4_9_whoever_is_supervised_takes_the_supervisor_along_when_he_leaves() {
    // The customer is led on by the seat: it is not its call any more.
    let mut sim = supervised(Mode::Listen);
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    sim.pick_up_with("soft", &sdp_of("c"));
    let (b, soft) = (sim.leg(LegNo::B), sim.leg(LegNo(3)));
    assert!(sim.far("boss").ended() && sim.far("desk").ended());
    assert_eq!(sim.hears(b.no), Some(&Source::Leg(soft)));
    assert_eq!(sim.hears(soft.no), Some(&Source::Leg(b)));
    sim.hang_up("soft");
    sim.assert_clean();
    // Led on by somebody else, the seat stays, and so does who supervises it.
    let mut sim = supervised(Mode::Listen);
    let to = Control::Transfer {
        who: Led::This(internal("80001")),
        to: internal("80002"),
        as_sent: "80002".into(),
    };
    assert_eq!(control(&mut sim, to), Ok(()));
    sim.pick_up_with("soft", &sdp_of("c"));
    assert!(sim.far("b").ended() && !sim.far("boss").ended());
    assert!(in_the_room(&sim, &[LegNo::A, C, LegNo(3)]));
    sim.hang_up("boss");
    assert_eq!(sim.hears(LegNo::A), Some(&Source::Leg(sim.leg(LegNo(3)))));
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn s4_9_the_call_goes_on_whatever_becomes_of_the_supervisor() {
    // He refuses, he does not answer, the ledger refuses, the ledger says nothing, his sound cannot be mixed.
    let mut sim = talking();
    control(&mut sim, monitor(Mode::Listen)).unwrap();
    sim.refuse("boss", 486, None);
    assert!(bridged(&sim));
    control(&mut sim, monitor(Mode::Listen)).unwrap();
    sim.ring("boss", 180, None);
    sim.advance(s(61));
    assert!(bridged(&sim) && sim.far("boss").cancelled());
    sim.ledger.answers = false;
    control(&mut sim, monitor(Mode::Listen)).unwrap();
    let leg = sim.added.last().unwrap().leg;
    sim.reply(Reply::Added { leg, answer: Added::Refused(Refusal::NoBalance) });
    assert!(bridged(&sim));
    control(&mut sim, monitor(Mode::Listen)).unwrap();
    sim.advance(s(10));
    let leg = sim.added.last().unwrap().leg;
    sim.reply(Reply::Added { leg, answer: Added::Paid(None) });
    assert_eq!(sim.far("boss").count("INVITE"), 2, "too late");
    sim.ledger.answers = true;
    control(&mut sim, monitor(Mode::Barge)).unwrap();
    sim.pick_up_with("boss", &sdp_of("b"));
    let (call, no) = (sim.leg(LegNo::B).call, LegNo::B);
    let news = RoomNews::Refused { leg: no, why: RoomRefusal::Codec };
    sim.media(MediaEvent::Room { call, news });
    assert!(bridged(&sim) && sim.far("boss").ended());
    assert_eq!(sim.engine.live()[0].state, "bridged");
    // Nobody supervises one call for ever; five were rung so far.
    for _ in 5..24 {
        assert_eq!(control(&mut sim, monitor(Mode::Listen)), Ok(()));
        sim.refuse("boss", 486, None);
    }
    assert_eq!(control(&mut sim, monitor(Mode::Listen)), Err(ControlRefused::Full));
    // That keeps nobody from leading it on.
    assert_eq!(refer(&mut sim, "desk", &format!("<sip:80002@{REALM}>")), 202);
    sim.refuse("soft", 486, None);
    sim.hang_up("desk");
    assert_eq!(sim.record().outcome, Outcome::Completed);
    sim.assert_clean();
}

#[test]
fn s4_9_who_may_not_supervise_is_told_why() {
    let mut sim = talking();
    let other = MerchantId(MERCHANT.0 + 1);
    let refused = control_of(&mut sim, other, monitor(Mode::Listen));
    assert_eq!(refused, Err(ControlRefused::NotTalking), "the call of somebody else");
    let of = |who: Number, supervisor: &str| Control::Monitor {
        who,
        supervisor: supervisor.into(),
        mode: Mode::Listen,
    };
    for (who, supervisor, why) in [
        (internal("80002"), "80009", ControlRefused::NotTalking),
        (internal("80001"), "80001", ControlRefused::Busy),
        (internal("80001"), "89999", ControlRefused::Refused(Refusal::BadCaller)),
    ] {
        assert_eq!(control(&mut sim, of(who, supervisor)), Err(why), "{supervisor}");
    }
    // The customer may be supervised as well.
    assert_eq!(control(&mut sim, of(public(NUMBER_B), "80009")), Ok(()));
    assert_eq!(control(&mut sim, of(internal("80001"), "80002")), Err(ControlRefused::Pending));
    sim.refuse("boss", 603, None);
    sim.advance(s(3_700));
    let gone = control(&mut sim, monitor(Mode::Listen));
    assert_eq!(gone, Err(ControlRefused::Offline), "its registration is over");
    sim.command(Command::Drain { grace: s(60) });
    let drains = control(&mut sim, monitor(Mode::Listen));
    assert_eq!(drains, Err(ControlRefused::Refused(Refusal::Busy)));
    assert_eq!(sim.added.len(), 1);
}

#[test]
fn case_43_a_supervisor_who_was_called_meanwhile_is_not_offered_a_second_call() {
    let mut sim = talking();
    sim.ledger.answers = false;
    control(&mut sim, monitor(Mode::Listen)).unwrap();
    sim.ledger.answers = true;
    call_from(&mut sim, "boss", "80009", &format!("138{}", &NUMBER_A[5..]));
    sim.pick_up("a");
    let leg = sim.added.last().unwrap().leg;
    sim.reply(Reply::Added { leg, answer: Added::Paid(None) });
    assert_eq!(sim.far("boss").count("INVITE"), 0);
    assert_eq!(sim.engine.live()[0].state, "bridged", "and the two talk on");
    sim.hang_up("desk");
    sim.hang_up("boss");
    sim.assert_clean();
}

#[test]
fn s4_9_what_cannot_be_mixed_cannot_be_listened_to() {
    let mut sim = world(
        |config| config.codecs = Codec::ALL.to_vec(),
        |snapshot| {
            snapshot.trunks.get_mut(&TrunkId(2)).unwrap().codecs = vec![Codec::G729];
        },
    );
    let from = format!("<sip:80001@{REALM}>");
    let to = format!("sip:01088880000@{REALM}");
    let g729 = sdp_of("b").replace("RTP/AVP 8 101", "RTP/AVP 18 101");
    let parties = (from.as_str(), to.as_str());
    invite_with(&mut sim, "desk", parties, own("80001"), (&[], &g729));
    sim.pick_up_with("b", &g729);
    assert!(bridged(&sim));
    assert_eq!(control(&mut sim, monitor(Mode::Listen)), Err(ControlRefused::Codec));
    sim.hang_up("desk");
    sim.assert_clean();
}

#[test]
fn s4_9_a_customer_is_led_on_to_somebody_else_and_the_seat_leaves() {
    let mut sim = talking();
    let to = |who, to: &str| Control::Transfer { who, to: internal(to), as_sent: to.into() };
    let seat = || Led::OtherOf(internal("80001"));
    assert_eq!(control(&mut sim, to(seat(), "80002")), Ok(()));
    assert!(bridged(&sim), "they talk until he answers");
    assert_eq!(control(&mut sim, to(seat(), "80009")), Err(ControlRefused::Pending));
    let invite = sim.far("soft").last("INVITE").clone();
    let shown = invite.from().unwrap().uri.user.clone();
    assert_eq!(shown.as_deref(), Some("01088880000"), "who is led on");
    sim.refuse("soft", 486, None);
    assert!(
        bridged(&sim) && sim.engine.live()[0].state == "bridged",
        "and go on where he does not"
    );
    assert_eq!(control(&mut sim, to(Led::This(public(NUMBER_B)), "80002")), Ok(()));
    sim.pick_up_with("soft", &sdp_of("c"));
    assert!(sim.far("desk").ended() && !sim.far("b").ended());
    let soft = sim.leg(LegNo(3));
    assert_eq!(sim.hears(LegNo::B), Some(&Source::Leg(soft)));
    sim.hang_up("b");
    let record = sim.record().clone();
    assert_eq!((record.outcome, record.legs.len()), (Outcome::Completed, 4));
    assert_eq!(record.leg(LegNo(2)).unwrap().failure.map(|f| f.kind), Some(Kind::Busy));
    sim.assert_clean();
}

#[test]
fn s4_9_who_is_rung_no_longer_is_as_if_he_had_refused() {
    let mut sim = talking();
    let decline = |extension: &str| Control::Decline { extension: extension.into() };
    assert_eq!(control(&mut sim, decline("80002")), Err(ControlRefused::NotTalking));
    assert_eq!(control(&mut sim, decline("80001")), Err(ControlRefused::NotTalking), "he talks");
    let who = Led::OtherOf(internal("80001"));
    let to = Control::Transfer { who, to: internal("80002"), as_sent: "80002".into() };
    assert_eq!(control(&mut sim, to), Ok(()));
    sim.ring("soft", 180, None);
    assert_eq!(control(&mut sim, decline("80002")), Ok(()));
    assert_eq!(sim.far("soft").count("CANCEL"), 1);
    assert!(bridged(&sim) && sim.engine.live()[0].state == "bridged", "the two talk on");
    assert_eq!(control(&mut sim, decline("80002")), Err(ControlRefused::NotTalking), "once");
    sim.refuse("soft", 487, None);
    sim.hang_up("b");
    let record = sim.record().clone();
    let leg = record.leg(LegNo(2)).unwrap();
    assert_eq!((leg.failure.map(|f| f.kind), leg.answered), (Some(Kind::Rejected), None));
    assert_eq!(record.outcome, Outcome::Completed);
    sim.assert_clean();
}

/// 80003 has no phone here, and carrier A's subscriber is bound to it.
fn bound() -> Sim {
    world(
        |_| {},
        |snapshot| {
            let mut owner = extension("80003", "right");
            owner.bound_phone = Some(NUMBER_A.into());
            snapshot.extensions.insert("80003".into(), owner);
            snapshot.routes.push(facts::settings::Route::new("86138", TrunkId(3), 1));
        },
    )
}

/// The seat at 80003 is rung, and then B; who follows extensions is told.
fn for_the_seat(sim: &mut Sim) {
    let mut command = callback();
    (command.a.number, command.a.as_sent) = (internal("80003"), "80003".into());
    command.pushes[0].kind = PushKind::Extension;
    sim.place(command);
}

#[test]
fn s4_9_a_call_on_a_bound_phone_is_that_of_its_extension() {
    use LegState::{Alerting, Answer, Disconnect};
    let states = |sim: &Sim| -> Vec<LegState> {
        let ours = sim.notes.iter().filter(|note| note.extension.as_deref() == Some("80003"));
        ours.map(|note| note.state).collect()
    };
    let stages = |sim: &mut Sim| -> Vec<Stage> {
        station(sim, "80003").iter().map(|call| call.stage).collect()
    };
    let mut sim = bound();
    for_the_seat(&mut sim);
    sim.ring("a", 180, None);
    assert_eq!((stages(&mut sim), states(&sim)), (vec![Stage::Rings], vec![Alerting]));
    sim.pick_up("a");
    assert_eq!((stages(&mut sim), states(&sim)), (vec![Stage::Dials], vec![Alerting, Answer]));
    sim.pick_up("b");
    let [call] = &station(&mut sim, "80003")[..] else { panic!("one") };
    assert_eq!((call.stage, call.other.as_str()), (Stage::Talks, "1088880000"));
    // He is listened to, and led on from, as at a phone of his own.
    let who = internal("80003");
    let listen = Control::Monitor { who, supervisor: "80009".into(), mode: Mode::Listen };
    assert_eq!(control(&mut sim, listen), Ok(()));
    sim.pick_up_with("boss", &sdp_of("b"));
    assert!(in_the_room(&sim, &[LegNo::A, LegNo::B, C]));
    sim.hang_up("boss");
    let who = Led::OtherOf(internal("80003"));
    let to = Control::Transfer { who, to: internal("80002"), as_sent: "80002".into() };
    assert_eq!(control(&mut sim, to), Ok(()));
    sim.pick_up_with("soft", &sdp_of("c"));
    assert!(sim.far("a").ended() && !sim.far("b").ended(), "the seat leaves");
    assert_eq!((stages(&mut sim), states(&sim)), (vec![], vec![Alerting, Answer, Disconnect]));
    sim.hang_up("b");
    sim.assert_clean();
}

#[test]
fn s4_9_a_bound_phone_is_rung_no_longer_and_no_other_carrier_is_asked() {
    let mut sim = bound();
    for_the_seat(&mut sim);
    sim.ring("a", 180, None);
    assert_eq!(control(&mut sim, Control::Decline { extension: "80003".into() }), Ok(()));
    assert_eq!(sim.far("a").count("CANCEL"), 1);
    sim.refuse("a", 487, None);
    assert_eq!(sim.far("c").count("INVITE"), 0);
    let rejected = facts::Failure::new(facts::Origin::LegA, Kind::Rejected);
    assert_eq!(sim.record().outcome, Outcome::Failed(rejected));
    assert_eq!(station(&mut sim, "80003").len(), 0);
    sim.assert_clean();
}

#[test]
fn s4_9_who_cannot_be_led_on_stays() {
    let mut sim = talking();
    let to = |who, to: Number| {
        let as_sent = to.digits().to_owned();
        Control::Transfer { who, to, as_sent }
    };
    let refused = ControlRefused::Refused;
    for (who, number, why) in [
        (Led::This(public(NUMBER_A)), internal("80002"), ControlRefused::NotTalking),
        (Led::OtherOf(internal("80002")), internal("80009"), ControlRefused::NotTalking),
        (Led::OtherOf(internal("80001")), internal("80001"), refused(Refusal::SameNumber)),
        (Led::OtherOf(internal("80001")), internal("89999"), refused(Refusal::NoRoute)),
    ] {
        assert_eq!(control(&mut sim, to(who, number)), Err(why));
    }
    let mut snapshot = sim.snapshot.clone();
    snapshot.merchants.get_mut(&MERCHANT).unwrap().enabled = false;
    sim.command(Command::Settings(snapshot.into()));
    let who = Led::OtherOf(internal("80001"));
    let closed = control(&mut sim, to(who, internal("80002")));
    assert_eq!(closed, Err(refused(Refusal::Disabled)));
    assert!(bridged(&sim) && sim.added.is_empty());
}

#[test]
fn s4_9_a_process_that_dies_ends_the_supervisors_leg_as_well() {
    let mut sim = supervised(Mode::Barge);
    transfers::restart(&mut sim);
    sim.advance(s(2));
    assert!(sim.far("boss").ended() && sim.far("desk").ended() && sim.far("b").ended());
    assert_eq!(sim.settled.last().unwrap().legs.len(), 3);
}
