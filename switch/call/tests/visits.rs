//! Scenarios that lead into conferences: two calls, tied by a port of each, with books of their own (merchant API §3.6).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use call::{Answer, Command};
use common::phones::bind;
use common::{Sim, callback, extension, s};
use facts::conference::{Act, ActRefused, Conference, ConferenceView, Participant, Standing};
use facts::media::{Codec, MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use facts::scenario::{Next, Say, Scenario, Step};
use facts::sound::{Clip, Listeners, Play};
use facts::{CallCommand, CallId, Dialect, LegId, LegNo, Number, Outcome, Party, Purpose, Side};

const A: LegNo = LegNo::A;
const NUMBER: &str = "516152";

fn user(at: usize) -> String {
    format!("{}", 81_000 + at)
}

fn name(at: usize) -> &'static str {
    ["p0", "p1", "p2", "p3", "p4"][at]
}

fn party(at: usize) -> Party {
    Party { number: Number::Internal(user(at)), as_sent: user(at), shown: None, ring: s(40) }
}

fn number(at: usize) -> Number {
    Number::Internal(user(at))
}

/// Five phones, of which two are to be in the conference.
fn world() -> Sim {
    world_with(|_| {})
}

fn world_with(config: impl FnOnce(&mut call::EngineConfig)) -> Sim {
    let mut sim = Sim::with(config, |snapshot| {
        for at in 0..5 {
            snapshot.extensions.insert(user(at), extension(&user(at), "right"));
        }
    });
    let at = |at: usize| format!("203.0.113.{}:5070", 10 + at);
    let known: Vec<(String, String)> = (0..5).map(|phone| (user(phone), at(phone))).collect();
    for (phone, (_, at)) in known.iter().enumerate() {
        sim.add(name(phone), at, u8::try_from(110 + phone).unwrap());
    }
    let known: Vec<_> = known.iter().map(|(user, at)| (user.as_str(), at.as_str())).collect();
    bind(&mut sim, &known);
    sim
}

fn place(sim: &mut Sim, command: CallCommand) -> CallId {
    let command = CallCommand { dialect: Dialect::Rest, pushes: Vec::new(), ..command };
    let token = sim.place(command);
    sim.placed(token).unwrap().call
}

fn asked_for(chimes: bool) -> CallCommand {
    let others = vec![Participant { name: "P1".into(), party: party(1) }];
    let (title, creator) = (String::new(), String::new());
    let number = NUMBER.into();
    let conference = Conference { number, title, creator, others, chimes, booking: None };
    let conference = Some(Box::new(conference));
    CallCommand { a: party(0), b: None, conference, purpose: Purpose::Conference, ..callback() }
}

/// Two are in.
fn held(sim: &mut Sim) -> CallId {
    let call = place(sim, asked_for(false));
    sim.pick_up(name(0));
    sim.pick_up(name(1));
    call
}

fn says(name: &str) -> Step {
    let prompt = Prompt { name: name.into(), language: "zh".into() };
    Step::Say(Say::only(vec![Clip::Prompt(prompt)], 1))
}

/// Into the conference; then, or without it, a word.
fn steps() -> Vec<Step> {
    let (next, failed) = (Next::Step(1), Next::Step(2));
    vec![Step::Confer { conference: NUMBER.into(), next, failed }, says("after"), says("failed")]
}

/// Somebody is rung, and his scenario begins.
fn led(sim: &mut Sim, at: usize, steps: Vec<Step>) -> CallId {
    let scenario = Some(Arc::new(Scenario::new(steps).unwrap()));
    let purpose = Purpose::Notice;
    let call = place(sim, CallCommand { a: party(at), b: None, scenario, purpose, ..callback() });
    sim.pick_up(name(at));
    call
}

fn hears(sim: &Sim, leg: LegId) -> Option<Source> {
    let hears = |command: &MediaCommand| match command {
        MediaCommand::Hear { leg: of, source } if *of == leg => Some(source.clone()),
        _ => None,
    };
    sim.media.iter().rev().find_map(hears)
}

fn hears_prompt(sim: &Sim, call: CallId) -> String {
    match hears(sim, LegId::new(call, A)) {
        Some(Source::Prompt(prompt)) => prompt.name,
        other => format!("{other:?}"),
    }
}

/// Both ends of a tie.
fn tie(sim: &Sim, call: CallId) -> Option<(LegId, LegId)> {
    let own = sim.media.iter().rev().find_map(|command| match command {
        MediaCommand::Hear { leg, source: Source::Leg(of) } if *of == LegId::new(call, A) => {
            Some(*leg)
        }
        _ => None,
    })?;
    // The other end is who speaks to it.
    let theirs = sim.media.iter().find_map(|command| match command {
        MediaCommand::Link { leg, to, .. } if *to == sim.local(own) => Some(*leg),
        _ => None,
    })?;
    Some((own, theirs))
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

fn stage(sim: &mut Sim, call: CallId) -> String {
    sim.command(Command::Look { token: 77, call });
    match sim.answers.remove(&77) {
        Some(Answer::Looked(Some(live))) => live.state,
        other => panic!("{other:?}"),
    }
}

/// The figures of a call, and who let go.
fn record(sim: &Sim, call: CallId) -> (usize, Outcome, Side) {
    let facts = sim.settled.iter().find(|facts| facts.call == call).unwrap();
    (facts.legs.len(), facts.outcome, facts.released_by)
}

#[test]
fn a_scenario_leads_into_a_conference_where_he_hears_and_is_heard_and_is_seen() {
    let mut sim = world();
    let conference = held(&mut sim);
    let call = led(&mut sim, 2, steps());
    let (own, theirs) = tie(&sim, call).unwrap();
    assert_eq!((own.call, theirs.call), (call, conference));
    // A hears the port, the port hears A; behind the other port he is a member of the room.
    assert_eq!(hears(&sim, LegId::new(call, A)), Some(Source::Leg(own)));
    assert_eq!(hears(&sim, theirs), Some(Source::Room));
    let spoken = sim.media.iter().filter_map(|command| match command {
        MediaCommand::Link { leg, to, codec } => Some((*leg, *to, *codec)),
        _ => None,
    });
    let spoken: Vec<_> = spoken.collect();
    let opened: Vec<LegId> = [own, theirs].into();
    assert!(spoken.iter().all(|(leg, _, codec)| opened.contains(leg) && *codec == Codec::Pcma));
    let heard: Vec<_> = spoken.iter().map(|(leg, to, _)| (*leg, *to)).collect();
    let ports = [(theirs, sim.local(own)), (own, sim.local(theirs))];
    assert!(heard.len() == 2 && ports.iter().all(|pair| heard.contains(pair)), "{heard:?}");
    assert_eq!(stage(&mut sim, call), "conference");
    let seen = view(&mut sim, conference).unwrap().participants;
    let guest = seen.last().unwrap();
    assert_eq!(
        (seen.len(), guest.as_sent.as_str(), guest.standing, guest.call, guest.leg),
        (3, "81002", Standing::Joined, Some(call), theirs.no)
    );
    assert!(guest.joined.is_some() && guest.left.is_none());
    assert_eq!(seen[0].call, None, "a leg of the conference");
    // A minute is paid by his call alone, and nothing was asked of the ledger for his being there.
    assert_eq!(sim.added.len(), 1, "{:?}", sim.added);
    sim.advance(s(60));
    sim.hang_up(name(2));
    assert_eq!(record(&sim, call), (1, Outcome::Completed, Side::Caller));
    let seen = view(&mut sim, conference).unwrap().participants;
    assert_eq!(seen[2].standing, Standing::Left);
    assert!(seen[2].left > seen[2].joined);
    let rest = seen.iter().filter(|one| one.standing == Standing::Joined).count();
    assert_eq!(rest, 2, "the others talk on");
    sim.hang_up(name(0));
    sim.hang_up(name(1));
    assert_eq!(record(&sim, conference).0, 2, "he is in no record but his own");
    sim.assert_clean();
}

#[test]
fn whoever_a_scenario_led_in_is_muted_deafened_sent_out_and_goes_on_with_the_next_step() {
    let mut sim = world();
    let conference = held(&mut sim);
    let call = led(&mut sim, 2, steps());
    let (_, theirs) = tie(&sim, call).unwrap();
    let who = || number(2);
    assert_eq!(act(&mut sim, conference, Act::Mute { who: who(), muted: true }), Ok(()));
    assert_eq!(act(&mut sim, conference, Act::Deafen { who: who(), deaf: true }), Ok(()));
    let role = RoomRole { speaks: false, hears: false, to: None };
    let order = RoomOrder::Role { leg: theirs.no, role };
    assert!(sim.media.contains(&MediaCommand::Room { call: conference, order }));
    let seen = view(&mut sim, conference).unwrap().participants[2].clone();
    assert!(seen.muted && seen.deaf);
    assert_eq!(act(&mut sim, conference, Act::Kick { who: who() }), Ok(()));
    assert_eq!(hears_prompt(&sim, call), "after");
    assert!(!sim.far(name(2)).ended(), "his call goes on");
    let leg = LegId::new(call, A);
    sim.media(MediaEvent::Played { leg });
    assert!(sim.far(name(2)).ended());
    assert_eq!(record(&sim, call), (1, Outcome::Completed, Side::Platform));
    assert_eq!(act(&mut sim, conference, Act::Kick { who: who() }), Err(ActRefused::NotThere));
    act(&mut sim, conference, Act::Close).unwrap();
    sim.assert_clean();
}

#[test]
fn a_conference_that_is_closed_leads_whoever_came_by_a_scenario_to_the_next_step() {
    let mut sim = world();
    let conference = held(&mut sim);
    let calls = [2, 3].map(|at| led(&mut sim, at, steps()));
    assert_eq!(view(&mut sim, conference).unwrap().participants.len(), 4);
    act(&mut sim, conference, Act::Close).unwrap();
    assert!(sim.far(name(0)).ended() && sim.far(name(1)).ended());
    for call in calls {
        assert_eq!(hears_prompt(&sim, call), "after");
    }
    sim.hang_up(name(2));
    // The operator ends the other one.
    sim.command(Command::HangUp { token: 9, call: calls[1] });
    sim.assert_clean();
}

#[test]
fn who_came_by_scenarios_talk_on_when_all_others_have_left_and_the_last_one_ends_it() {
    let mut sim = world();
    let conference = held(&mut sim);
    let calls = [2, 3].map(|at| led(&mut sim, at, steps()));
    sim.hang_up(name(0));
    sim.hang_up(name(1));
    assert!(view(&mut sim, conference).is_some(), "two are in");
    sim.hang_up(name(2));
    assert!(view(&mut sim, conference).is_some(), "one waits for others");
    sim.advance(s(90));
    let end = sim.now.wall;
    sim.hang_up(name(3));
    assert_eq!(view(&mut sim, conference), None);
    let facts = sim.settled.iter().find(|facts| facts.call == conference).unwrap();
    assert_eq!(facts.ended, end, "it lasted as long as somebody was in");
    assert!(facts.legs.iter().all(|leg| leg.ended < Some(end)), "and its legs for as long as they");
    assert_eq!(record(&sim, conference).1, Outcome::Completed);
    for call in calls {
        assert_eq!(record(&sim, call), (1, Outcome::Completed, Side::Caller));
    }
    sim.assert_clean();
}

#[test]
fn a_conference_that_is_not_there_locked_full_or_anothers_leads_to_the_fallback() {
    // Nobody has begun one.
    let mut sim = world();
    let call = led(&mut sim, 2, steps());
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(2));
    // It is asked for, and its creator has not answered.
    let conference = place(&mut sim, asked_for(false));
    let call = led(&mut sim, 2, steps());
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(2));
    sim.pick_up(name(0));
    sim.pick_up(name(1));
    // Locked.
    act(&mut sim, conference, Act::Lock { locked: true }).unwrap();
    let call = led(&mut sim, 2, steps());
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(2));
    act(&mut sim, conference, Act::Lock { locked: false }).unwrap();
    // Of another app of the merchant's.
    let scenario = Some(Arc::new(Scenario::new(steps()).unwrap()));
    let other = CallCommand { a: party(2), b: None, scenario, app: "other".into(), ..callback() };
    let call = place(&mut sim, other);
    sim.pick_up(name(2));
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(2));
    // Full: he has come and gone until its legs are used up.
    let away =
        vec![Step::Confer { conference: NUMBER.into(), next: Next::HangUp, failed: Next::HangUp }];
    for _ in 2..facts::conference::LEGS_MAX {
        led(&mut sim, 2, away.clone());
        assert!(!sim.far(name(2)).ended());
        sim.hang_up(name(2));
        sim.advance(s(2));
    }
    let call = led(&mut sim, 2, steps());
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(2));
    act(&mut sim, conference, Act::Close).unwrap();
    // It is over.
    let call = led(&mut sim, 3, steps());
    assert_eq!(hears_prompt(&sim, call), "failed");
    sim.hang_up(name(3));
    sim.assert_clean();
}

#[test]
fn nobody_is_led_in_under_a_number_that_is_in_or_rung_or_on_its_way() {
    let mut sim = world();
    let conference = held(&mut sim);
    let first = led(&mut sim, 2, steps());
    let second = led(&mut sim, 2, steps());
    assert_eq!(hears_prompt(&sim, second), "failed");
    assert_eq!((stage(&mut sim, first).as_str(), tie(&sim, second)), ("conference", None));
    // The one who is in is still the one who is meant.
    assert_eq!(act(&mut sim, conference, Act::Kick { who: number(2) }), Ok(()));
    assert_eq!(hears_prompt(&sim, first), "after");
    sim.command(Command::HangUp { token: 8, call: first });
    sim.command(Command::HangUp { token: 9, call: second });
    // Rung by the conference, and he has not answered.
    let asked = Participant { name: String::new(), party: party(3) };
    act(&mut sim, conference, Act::Invite(vec![asked], None)).unwrap();
    let third = led(&mut sim, 3, steps());
    assert_eq!(hears_prompt(&sim, third), "failed");
    sim.command(Command::HangUp { token: 10, call: third });
    // On his way: he is asked for no second time, and is sent away.
    sim.pick_up_without_ports(4, steps());
    let fourth = sim.authorizations.last().unwrap().call;
    let asked = vec![Participant { name: String::new(), party: party(4) }];
    let refused = act(&mut sim, conference, Act::Invite(asked, None));
    assert_eq!(refused, Err(ActRefused::AlreadyThere));
    let who = || number(4);
    assert_eq!(act(&mut sim, conference, Act::Mute { who: who(), muted: true }), Ok(()));
    assert_eq!(act(&mut sim, conference, Act::Kick { who: who() }), Ok(()));
    assert_eq!(hears_prompt(&sim, fourth), "failed");
    assert_eq!(act(&mut sim, conference, Act::Kick { who: who() }), Err(ActRefused::NotThere));
}

#[test]
fn whom_the_room_does_not_take_after_all_goes_on_as_who_did_not_come_in() {
    for why in [RoomRefusal::Full, RoomRefusal::Codec] {
        let mut sim = world();
        let conference = held(&mut sim);
        let call = led(&mut sim, 2, steps());
        let (_, theirs) = tie(&sim, call).unwrap();
        let news = RoomNews::Refused { leg: theirs.no, why };
        sim.media(MediaEvent::Room { call: conference, news });
        assert_eq!(hears_prompt(&sim, call), "failed", "{why:?}");
        let seen = view(&mut sim, conference).unwrap().participants;
        let standings = seen.iter().map(|one| one.standing).collect::<Vec<_>>();
        assert_eq!(standings, [Standing::Joined, Standing::Joined, Standing::Left]);
        sim.hang_up(name(2));
        act(&mut sim, conference, Act::Close).unwrap();
        sim.assert_clean();
    }
}

#[test]
fn steps_that_find_no_conference_and_lead_in_a_circle_come_to_an_end() {
    let mut sim = world();
    let circle =
        Step::Confer { conference: NUMBER.into(), next: Next::Step(0), failed: Next::Step(0) };
    let call = led(&mut sim, 2, vec![circle]);
    assert!(sim.far(name(2)).ended());
    assert_eq!(record(&sim, call), (1, Outcome::Completed, Side::Platform));
    sim.assert_clean();
}

#[test]
fn whoever_has_no_port_or_waits_too_long_for_one_goes_on_without_it() {
    for failed in [true, false] {
        let mut sim = world();
        let conference = held(&mut sim);
        sim.pick_up_without_ports(2, steps());
        let call = sim.authorizations.last().unwrap().call;
        let ends: Vec<LegId> = sim.media.iter().rev().take(2).filter_map(opened).collect();
        assert_eq!(ends.len(), 2, "one of each call");
        assert_eq!(view(&mut sim, conference).unwrap().participants[2].standing, Standing::Calling);
        match failed {
            true => sim.media(MediaEvent::OpenFailed { leg: ends[0] }),
            false => sim.advance(s(6)),
        }
        sim.media_answers = true;
        assert_eq!(hears_prompt(&sim, call), "failed", "failed: {failed}");
        assert_eq!(view(&mut sim, conference).unwrap().participants[2].standing, Standing::Left);
        // What comes late changes nothing.
        for leg in ends {
            let local = "198.51.100.1:40000".parse().unwrap();
            sim.media(MediaEvent::Opened { leg, local });
        }
        assert_eq!(hears_prompt(&sim, call), "failed");
        sim.hang_up(name(2));
        act(&mut sim, conference, Act::Close).unwrap();
        for leg in sim.media.iter().filter_map(closed).collect::<Vec<_>>() {
            sim.media(MediaEvent::Closed { leg, stats: facts::media::MediaStats::default() });
        }
        sim.advance(s(400));
        assert_eq!((sim.engine.counts().calls, sim.engine.counts().ports), (0, 0));
    }
}

trait Slow {
    fn pick_up_without_ports(&mut self, at: usize, steps: Vec<Step>);
}

impl Slow for Sim {
    /// Somebody answers while the media plane says nothing any more.
    fn pick_up_without_ports(&mut self, at: usize, steps: Vec<Step>) {
        let scenario = Some(Arc::new(Scenario::new(steps).unwrap()));
        place(self, CallCommand { a: party(at), b: None, scenario, ..callback() });
        self.media_answers = false;
        self.pick_up(name(at));
    }
}

fn opened(command: &MediaCommand) -> Option<LegId> {
    match command {
        MediaCommand::Open { leg, .. } => Some(*leg),
        _ => None,
    }
}

fn closed(command: &MediaCommand) -> Option<LegId> {
    match command {
        MediaCommand::Close { leg } => Some(*leg),
        _ => None,
    }
}

#[test]
fn a_recorded_conference_is_told_to_whoever_comes_by_a_scenario() {
    let mut sim = world_with(|config| config.recording_notice = call::Notice::Tone);
    let record = facts::media::Record::Yes;
    let conference = place(&mut sim, CallCommand { record, ..asked_for(false) });
    sim.pick_up(name(0));
    sim.pick_up(name(1));
    let call = led(&mut sim, 2, steps());
    let (_, theirs) = tie(&sim, call).unwrap();
    let told = |command: &&MediaCommand| {
        matches!(command, MediaCommand::Interject { leg, source: Source::Tone(Tone::Recorded) }
            if *leg == theirs)
    };
    assert_eq!(sim.media.iter().filter(told).count(), 1);
    let records = sim
        .media
        .iter()
        .filter(|command| matches!(command, MediaCommand::Record { call: of, .. } if *of == call));
    assert_eq!(records.count(), 0, "the conference has the recording");
    sim.hang_up(name(2));
    act(&mut sim, conference, Act::Close).unwrap();
    sim.assert_clean();
}

/// What was laid over what somebody hears, and what the recorder was told to keep.
fn laid(sim: &Sim, leg: LegId) -> Vec<String> {
    let laid = |command: &MediaCommand| match command {
        MediaCommand::Interject { leg: of, source: Source::Prompt(prompt) } if *of == leg => {
            Some(prompt.name.clone())
        }
        _ => None,
    };
    sim.media.iter().filter_map(laid).collect()
}

#[test]
fn whoever_came_by_a_scenario_is_asked_whether_he_minds_and_may_decline() {
    let mut sim = world_with(|config| config.consent.prompt = Some("may-we".into()));
    let record = facts::media::Record::Yes;
    let conference = place(&mut sim, CallCommand { record, ..asked_for(false) });
    sim.pick_up(name(0));
    sim.pick_up(name(1));
    let heard = |sim: &mut Sim, leg| {
        sim.media(MediaEvent::LaidOver { leg, ended: facts::sound::Ended::Played });
    };
    for no in [A, LegNo::B] {
        heard(&mut sim, LegId::new(conference, no));
    }
    let hidden = |sim: &Sim| {
        sim.media.iter().rev().find_map(|command| match command {
            MediaCommand::PauseRecording { paused, .. } => Some(*paused),
            _ => None,
        })
    };
    assert_eq!(hidden(&sim), None, "both were asked, and are recorded");
    let call = led(&mut sim, 2, steps());
    let (_, theirs) = tie(&sim, call).unwrap();
    assert_eq!((laid(&sim, theirs), hidden(&sim)), (vec!["may-we".to_owned()], Some(true)));
    heard(&mut sim, theirs);
    assert_eq!(hidden(&sim), Some(false), "he has heard it to its end");
    sim.media(MediaEvent::Digit { leg: theirs, digit: '9' });
    let stops = |command: &&MediaCommand| matches!(command, MediaCommand::StopRecording { .. });
    assert_eq!(sim.media.iter().filter(stops).count(), 1);
    assert_eq!(laid(&sim, theirs), ["may-we", "call-not-recorded"]);
    act(&mut sim, conference, Act::Close).unwrap();
    sim.hang_up(name(2));
    sim.assert_clean();
}

#[test]
fn a_port_that_goes_while_the_announcement_is_heard_there_keeps_the_warning_from_nobody() {
    let mut sim = world_with(|config| config.consent.prompt = Some("may-we".into()));
    let (record, max_talk) = (facts::media::Record::Yes, Some(s(60)));
    let conference = place(&mut sim, CallCommand { record, max_talk, ..asked_for(false) });
    let legs = [A, LegNo::B].map(|no| LegId::new(conference, no));
    for (at, leg) in legs.into_iter().enumerate() {
        sim.pick_up(name(at));
        sim.media(MediaEvent::LaidOver { leg, ended: facts::sound::Ended::Played });
    }
    for leg in legs {
        sim.media(MediaEvent::LaidOver { leg, ended: facts::sound::Ended::Played });
    }
    sim.advance(s(40));
    let call = led(&mut sim, 2, steps());
    let (_, theirs) = tie(&sim, call).unwrap();
    assert_eq!(laid(&sim, theirs), ["may-we"]);
    sim.media(MediaEvent::Closed { leg: theirs, stats: facts::media::MediaStats::default() });
    assert_eq!(hears_prompt(&sim, call), "after");
    sim.advance(s(10));
    assert_eq!(legs.map(|leg| warnings(&sim, leg)), [1, 1]);
    sim.hang_up(name(2));
    act(&mut sim, conference, Act::Close).unwrap();
    sim.advance(s(400));
    assert_eq!((sim.engine.counts().calls, sim.engine.counts().ports), (0, 0));
}

#[test]
fn rfc6086_a_key_by_info_declines_for_whoever_came_by_a_scenario() {
    let mut sim = world();
    let conference = held(&mut sim);
    let call = led(&mut sim, 2, steps());
    let (own, _) = tie(&sim, call).unwrap();
    let press = |sim: &Sim| {
        let press = |command: &&MediaCommand| matches!(command, MediaCommand::Press { .. });
        sim.media.iter().filter(press).cloned().collect::<Vec<_>>()
    };
    sim.press_by_info(name(2), '9');
    // The media plane presses it behind his own port; there it comes in as any key of his.
    assert_eq!(press(&sim), [MediaCommand::Press { leg: own, digit: '9' }]);
    // What comes by RTP, or by both ways, the media plane passes on by itself.
    let leg = LegId::new(call, A);
    sim.advance(s(5));
    sim.media(MediaEvent::Digit { leg, digit: '8' });
    sim.press_by_info(name(2), '8');
    assert_eq!(press(&sim).len(), 1);
    act(&mut sim, conference, Act::Close).unwrap();
    sim.press_by_info(name(2), '7');
    assert_eq!(press(&sim).len(), 1, "he is not in any more");
    sim.hang_up(name(2));
    sim.assert_clean();
}

#[test]
fn whoever_is_in_by_a_scenario_hears_the_warning_before_either_call_ends() {
    let mut sim = world();
    let max_talk = Some(s(120));
    let conference = place(&mut sim, CallCommand { max_talk, ..asked_for(false) });
    sim.pick_up(name(0));
    sim.pick_up(name(1));
    sim.advance(s(20));
    let scenario = Some(Arc::new(Scenario::new(steps()).unwrap()));
    let max_talk = Some(s(50));
    let short = CallCommand { a: party(2), b: None, scenario, max_talk, ..callback() };
    let short = place(&mut sim, short);
    sim.pick_up(name(2));
    let long = led(&mut sim, 3, steps());
    let (own, theirs) = tie(&sim, long).unwrap();
    // His own call is at its longest at 70 s, the conference at 120 s.
    sim.advance(s(36));
    assert_eq!(warnings(&sim, LegId::new(short, A)), 1);
    assert_eq!((warnings(&sim, LegId::new(long, A)), warnings(&sim, theirs)), (0, 0));
    sim.advance(s(50));
    assert_eq!((warnings(&sim, theirs), warnings(&sim, LegId::new(conference, A))), (1, 1));
    assert_eq!((warnings(&sim, own), warnings(&sim, LegId::new(short, A))), (0, 1));
    sim.advance(s(15));
    assert_eq!(hears_prompt(&sim, long), "after");
    sim.hang_up(name(3));
    sim.assert_clean();
}

#[test]
fn a_key_ends_what_is_played_to_whoever_came_by_a_scenario_where_it_may() {
    let mut sim = world();
    let conference = held(&mut sim);
    let call = led(&mut sim, 2, steps());
    let (_, theirs) = tie(&sim, call).unwrap();
    let prompt = Prompt { name: "news".into(), language: "zh".into() };
    let clip = Some(Clip::Prompt(prompt));
    let plays = [(clip.clone(), false, 0), (clip, true, 1), (None, true, 1)];
    for (token, (clip, interruptible, ended)) in (8..).zip(plays) {
        let play = Play { to: Listeners::Both, clip, interruptible };
        sim.command(Command::Play { token, call: conference, play: Box::new(play) });
        let ends = MediaCommand::Interruptible { leg: theirs };
        assert_eq!(sim.media.iter().filter(|command| **command == ends).count(), ended);
    }
    act(&mut sim, conference, Act::Close).unwrap();
    sim.hang_up(name(2));
    sim.assert_clean();
}

/// How often somebody heard that it will be over soon.
fn warnings(sim: &Sim, leg: LegId) -> usize {
    let source = Source::Tone(Tone::Warning);
    let warning = MediaCommand::Interject { leg, source };
    sim.media.iter().filter(|command| **command == warning).count()
}

#[test]
fn whoever_is_in_by_a_scenario_goes_when_his_call_may_last_no_longer() {
    let mut sim = world();
    let conference = held(&mut sim);
    let scenario = Some(Arc::new(Scenario::new(steps()).unwrap()));
    let max_talk = Some(s(30));
    let short = CallCommand { a: party(2), b: None, scenario, max_talk, ..callback() };
    let call = place(&mut sim, short);
    sim.pick_up(name(2));
    assert_eq!(stage(&mut sim, call), "conference");
    sim.advance(s(31));
    assert!(sim.far(name(2)).ended());
    assert_eq!(view(&mut sim, conference).unwrap().participants[2].standing, Standing::Left);
    act(&mut sim, conference, Act::Close).unwrap();
    sim.assert_clean();
}
