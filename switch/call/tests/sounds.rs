//! Sounds that are not part of a flow: music for whoever waits, and what is played into a call that is up.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use call::{Answer, Command, HoldMusic, Track};
use common::phones::invite;
use common::*;
use facts::media::{MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::settings::Extension;
use facts::sound::{Clip, Ended, Listeners, Music, Play, Say, Spoken, Unplayable};
use facts::{CallId, LegNo};

const A: LegNo = LegNo::A;
const B: LegNo = LegNo::B;

/// B offers its description in another direction.
fn hold(sim: &mut Sim, way: &str) {
    let now = sim.now.mono;
    let b = sim.far("b").session();
    let offer = format!("{}a={way}\r\n", sdp_of("b")).replace("o=- 1 1", "o=- 1 2");
    assert!(sim.far("b").endpoint.reinvite(now, b, offer.into()));
    sim.drain();
}

#[test]
fn whoever_is_held_hears_the_music_of_the_merchant_who_pays() {
    let url = "https://sounds.example/waltz.mp3";
    let prompt = Prompt { name: "waltz".into(), language: "en".into() };
    let merchant = snapshot().merchants.values().next().unwrap().name.clone();
    let own = |track| HoldMusic { of: [(merchant.clone(), track)].into(), ..HoldMusic::default() };
    let usual = |track| HoldMusic { usual: Some(track), ..HoldMusic::default() };
    let other = [("somebody-else".to_owned(), Some(Track::Name("march".into())))].into();
    for (music, heard) in [
        (usual(Track::Url(url.into())), Source::Music(Music::Url(url.into()))),
        (own(Some(Track::Name("waltz".into()))), Source::Music(Music::Prompt(prompt))),
        (HoldMusic { usual: Some(Track::Url(url.into())), ..own(None) }, Source::Tone(Tone::Hold)),
        (HoldMusic { of: other, ..HoldMusic::default() }, Source::Tone(Tone::Hold)),
    ] {
        let mut sim = Sim::with(|config| config.hold_music = music.clone(), |_| {});
        sim.up_to_bridge();
        hold(&mut sim, "sendonly");
        assert_eq!(sim.hears(A), Some(&heard), "{music:?}");
        // What cannot be had changes nothing.
        let leg = sim.leg(A);
        sim.media(MediaEvent::Unplayable { leg, why: Unplayable::Unreachable });
        hold(&mut sim, "sendrecv");
        assert_eq!(sim.hears(A), Some(&Source::Leg(sim.leg(B))));
        sim.hang_up("b");
        sim.assert_clean();
    }
}

#[test]
fn whoever_called_one_of_our_numbers_and_is_held_hears_the_music_of_that_number() {
    let did = "861088880001";
    let merchant = snapshot().merchants.values().next().unwrap().name.clone();
    let name = |name: &str| Some(Track::Name(name.into()));
    let heard = |name: &str| {
        Source::Music(Music::Prompt(Prompt { name: name.into(), language: "en".into() }))
    };
    for (at, expected) in [
        (vec![(did, name("polka")), ("861088880002", name("march"))], heard("polka")),
        (vec![("861088880002", name("march"))], heard("waltz")),
        (vec![(did, None)], Source::Tone(Tone::Hold)),
    ] {
        let at = at.into_iter().map(|(number, track)| (number.to_owned(), track)).collect();
        let of = [(merchant.clone(), name("waltz"))].into();
        let music = HoldMusic { usual: name("other"), of, at };
        let mut sim = Sim::with(
            |config| config.hold_music = music.clone(),
            |snapshot| {
                let phone = Some(NUMBER_B.to_owned());
                let desk = Extension { bound_phone: phone, ..extension("80001", "x") };
                snapshot.extensions.insert("80001".into(), desk);
                snapshot.inbound.insert(did.into(), "80001".into());
            },
        );
        let to = format!("sip:+{did}@198.51.100.1");
        invite(&mut sim, "a", ("<sip:+8613900001111@192.0.2.1>", &to), None, &[]);
        sim.pick_up("b");
        hold(&mut sim, "sendonly");
        assert_eq!(sim.hears(A), Some(&expected), "{music:?}");
        hold(&mut sim, "sendrecv");
        sim.hang_up("b");
        sim.assert_clean();
    }
}

fn laid(sim: &Sim, no: LegNo) -> Vec<Source> {
    let laid = |command: &MediaCommand| match command {
        MediaCommand::Interject { leg, source } if leg.no == no => Some(source.clone()),
        _ => None,
    };
    sim.media.iter().filter_map(laid).collect()
}

#[test]
fn what_is_played_into_a_call_is_heard_by_whom_it_is_for_and_the_conversation_goes_on() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let call = sim.leg(A).call;
    let say = Say { language: "fa".into(), parts: vec![Spoken::Duration(60)] };
    for (token, to, heard) in
        [(11, Listeners::A, [1, 0]), (12, Listeners::B, [1, 1]), (13, Listeners::Both, [2, 2])]
    {
        let clip = Some(Clip::Say(say.clone()));
        let play = Box::new(Play { to, clip, interruptible: false });
        sim.command(Command::Play { token, call, play });
        assert_eq!(sim.answers.get(&token), Some(&Answer::Played(true)));
        assert_eq!([laid(&sim, A).len(), laid(&sim, B).len()], heard);
    }
    assert_eq!(laid(&sim, A)[0], Source::Say(say));
    let leg = sim.leg(A);
    sim.media(MediaEvent::LaidOver { leg, ended: Ended::Played });
    let stop = || Box::new(Play { to: Listeners::Both, clip: None, interruptible: true });
    sim.command(Command::Play { token: 14, call, play: stop() });
    assert_eq!(laid(&sim, B).last(), Some(&Source::Silence));
    assert_eq!(sim.hears(A), Some(&Source::Leg(sim.leg(B))));
    sim.command(Command::Play { token: 15, call: CallId(1), play: stop() });
    assert_eq!(sim.answers.get(&15), Some(&Answer::Played(false)), "no such call");
    sim.hang_up("a");
    sim.command(Command::Play { token: 16, call, play: stop() });
    assert_eq!(sim.answers.get(&16), Some(&Answer::Played(false)), "it is over");
    sim.assert_clean();
}

#[test]
fn a_key_after_the_end_of_a_clip_cuts_nothing_that_is_laid_over_the_leg_later() {
    let mut sim = Sim::new();
    sim.up_to_bridge();
    let (call, leg) = (sim.leg(A).call, sim.leg(A));
    let clip = Some(Clip::Url("https://sounds.example/a.mp3".into()));
    let play = Box::new(Play { to: Listeners::A, clip, interruptible: true });
    sim.command(Command::Play { token: 18, call, play });
    sim.media(MediaEvent::LaidOver { leg, ended: Ended::Played });
    sim.media(MediaEvent::Digit { leg, digit: '1' });
    assert!(!laid(&sim, A).contains(&Source::Silence));
    sim.hang_up("a");
    sim.assert_clean();
}
