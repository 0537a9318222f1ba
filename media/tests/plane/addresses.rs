//! Sounds behind addresses, music on hold, and sounds that a key ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use audio::g711;
use facts::media::{Codec, MediaCommand, MediaEvent, Prompt, Source, Tone};
use facts::ports::{FetchError, Fetched, Validators};
use facts::sound::{Ended, Music, Say, Spoken, Unplayable};
use media::{Done, Media, MediaConfig, RemoteConfig, Visitor};

use super::common::{A, PATIENCE, Packet, Phone, World, both, ms, only, plain, setup};

/// A web of a few pages, each after a while.
struct Web {
    pages: BTreeMap<&'static str, Vec<u8>>,
    visits: Arc<AtomicUsize>,
}

impl Visitor for Web {
    fn visit(&self, url: String, _: Validators, done: Done) {
        self.visits.fetch_add(1, Ordering::SeqCst);
        let page = self.pages.get(url.as_str()).cloned();
        std::thread::spawn(move || {
            std::thread::sleep(ms(50));
            let validators = Validators::default();
            done.tell(match page {
                Some(body) => Ok(Fetched {
                    status: 200,
                    body,
                    content_type: None,
                    validators,
                    retry_after_s: None,
                }),
                None => Err(FetchError::Failed("connect".into())),
            });
        });
    }
}

/// 160 ms in eight steps of loudness, so that each frame is known again.
fn steps() -> Vec<i16> {
    (0..8 * 160).map(|n| (n / 160 + 1) * if n % 8 < 4 { 1_000 } else { -1_000 }).collect()
}

fn wav(samples: &[i16]) -> Vec<u8> {
    let mut file = audio::wav::head(audio::tape::Channels::Mono, 2 * samples.len() as u64).to_vec();
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

fn world(first: u16) -> (World, Arc<AtomicUsize>) {
    let visits = Arc::new(AtomicUsize::new(0));
    let pages = BTreeMap::from([
        ("http://a.example/steps", wav(&steps())),
        ("http://a.example/page", b"<html>".to_vec()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let config = MediaConfig { ports: first..=first + 39, ..plain(folder.path()) };
    let remote = RemoteConfig {
        visitor: Arc::new(Web { pages, visits: visits.clone() }),
        folder: Some(folder.path().join("sounds")),
        folder_max: 1_000_000,
        keep: Duration::from_secs(60),
        fresh: Duration::from_secs(60),
        spoken_at_once: 2,
    };
    let (send, events) = std::sync::mpsc::channel();
    let media = Media::start_with(&config, Some(remote), move |event| {
        let _ = send.send(event);
    });
    (World { media: media.unwrap(), events, folder }, visits)
}

fn known(w: &World) -> Phone {
    let phone = Phone::new(4);
    phone.target.set(Some(w.open(A)));
    w.setup(A, setup(&phone, only(8, Codec::Pcma)));
    phone.say(8, &[0x55; 160]);
    phone
}

fn payloads(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet.payload.clone()).collect()
}

fn url(path: &str) -> String {
    format!("http://a.example/{path}")
}

#[test]
fn case_10_what_lies_behind_an_address_is_heard_from_its_first_octet() {
    let (w, visits) = world(24_700);
    let a = known(&w);
    let said: Vec<u8> = steps().into_iter().map(g711::linear_to_alaw).collect();
    for _ in 0..2 {
        w.hear(A, Source::Url(url("steps")));
        assert!(w.find(PATIENCE, |e| *e == MediaEvent::Played { leg: A }).is_some());
        assert_eq!(payloads(&a.listen(ms(60))), said);
    }
    assert_eq!(visits.load(Ordering::SeqCst), 1);
}

#[test]
fn an_address_that_gives_no_sound_is_told_with_its_reason_and_the_leg_goes_on() {
    let (w, _) = world(24_750);
    let a = known(&w);
    for (path, why) in [("page", Unplayable::NotASound), ("gone", Unplayable::Unreachable)] {
        w.hear(A, Source::Url(url(path)));
        assert_eq!(w.next(), MediaEvent::Unplayable { leg: A, why });
    }
    w.hear(A, Source::Tone(Tone::Busy));
    a.must_hear();
    assert_eq!(w.close(A).unplayable, Some(Unplayable::Unreachable));
    assert_eq!(w.media.counts().unplayable, 2);
    let alone = World::new(24_800, 20, |_| {});
    known(&alone);
    alone.hear(A, Source::Url(url("steps")));
    let why = Unplayable::Refused;
    assert_eq!(alone.next(), MediaEvent::Unplayable { leg: A, why });
}

#[test]
fn music_goes_round_without_a_seam_and_a_tone_stands_in_until_it_is_there() {
    let (w, visits) = world(24_850);
    let a = known(&w);
    w.hear(A, Source::Music(Music::Url(url("steps"))));
    let heard = a.listen(ms(900));
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
    let said: Vec<u8> = steps().into_iter().map(g711::linear_to_alaw).collect();
    let begun = heard.iter().position(|packet| packet.payload == said[..160]).unwrap();
    let music = payloads(&heard[begun..]);
    assert!(music.len() > 3 * said.len(), "{} of {}", music.len(), said.len());
    for (at, octet) in music.iter().enumerate() {
        assert_eq!(*octet, said[at % said.len()]);
    }
    assert_eq!(visits.load(Ordering::SeqCst), 1);
    assert!(w.find(ms(1), |e| matches!(e, MediaEvent::Played { .. })).is_none());
}

#[test]
fn music_that_cannot_be_had_is_a_tone() {
    let (w, _) = world(24_900);
    let a = known(&w);
    let nothing = Prompt { name: "no-such-music".into(), language: "en".into() };
    for (music, why) in [
        (Music::Prompt(nothing), Unplayable::Missing),
        (Music::Url(url("gone")), Unplayable::Unreachable),
    ] {
        w.hear(A, Source::Music(music));
        assert_eq!(w.next(), MediaEvent::Unplayable { leg: A, why });
        for _ in 0..8 {
            a.must_hear();
        }
    }
    // An announcement that is there is heard over and over.
    let busy = Prompt { name: "voicemail-empty".into(), language: "en".into() };
    w.hear(A, Source::Music(Music::Prompt(busy)));
    assert!(w.find(ms(2_500), |e| matches!(e, MediaEvent::Played { .. })).is_none());
    a.listen(ms(1));
    assert!(a.hear(ms(100)).is_some());
}

/// A key (RFC 4733): three packets of its beginning.
fn press(phone: &Phone, key: u8) {
    for at in 1..4_u16 {
        let [high, low] = (160 * at).to_be_bytes();
        phone.say_at(101, 77, &[key, 10, high, low]);
    }
}

#[test]
fn a_key_ends_what_may_be_interrupted_within_a_packet_and_is_not_lost() {
    let w = World::new(24_950, 20, |_| {});
    let long = |language: &str| {
        let parts = vec![Spoken::Digits("123456789012345678901234567890".into())];
        Source::Say(Say { language: language.into(), parts })
    };
    let prompt = Source::Prompt(Prompt { name: "callee-busy".into(), language: "en".into() });
    for (over, source) in [(false, prompt.clone()), (false, long("zh")), (true, long("en"))] {
        let a = Phone::new(5);
        a.target.set(Some(w.open(A)));
        w.setup(A, setup(&a, both(Some(101))));
        a.say(0, &[0x55; 160]);
        w.order(match over {
            true => MediaCommand::Interject { leg: A, source },
            false => MediaCommand::Hear { leg: A, source },
        });
        w.order(MediaCommand::Interruptible { leg: A });
        for _ in 0..10 {
            a.must_hear();
        }
        press(&a, 5);
        let pressed = w.find(PATIENCE, |e| !matches!(e, MediaEvent::Started { .. }));
        assert_eq!(pressed, Some(MediaEvent::Digit { leg: A, digit: '5' }));
        let ended = Ended::Interrupted;
        let interrupted = match over {
            true => MediaEvent::LaidOver { leg: A, ended },
            false => MediaEvent::Interrupted { leg: A },
        };
        assert_eq!(w.next(), interrupted);
        // What was on its way, and no more.
        assert!(a.listen(ms(200)).len() <= 1);
        // The next key finds nothing to end.
        a.say_at(101, 9_999, &[6, 10, 0, 160]);
        assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '6' });
        assert!(w.find(ms(50), |_| true).is_none());
        w.close(A);
    }
    // What may not be interrupted goes on.
    let a = Phone::new(6);
    a.target.set(Some(w.open(A)));
    w.setup(A, setup(&a, both(Some(101))));
    w.hear(A, prompt);
    a.say(0, &[0x55; 160]);
    press(&a, 7);
    assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '7' });
    a.listen(ms(60));
    assert!(a.listen(ms(200)).len() >= 9);
}

/// A leg that hears a tone, and a clip over it that lasts for some seconds.
fn tone_and_clip(w: &World) -> (Phone, Source) {
    let a = Phone::new(7);
    a.target.set(Some(w.open(A)));
    w.setup(A, setup(&a, both(Some(101))));
    a.say(0, &[0x55; 160]);
    w.hear(A, Source::Tone(Tone::RingBack));
    let parts = vec![Spoken::Digits("1234".into())];
    (a, Source::Say(Say { language: "en".into(), parts }))
}

const PLAYED: MediaEvent = MediaEvent::LaidOver { leg: A, ended: Ended::Played };

#[test]
fn a_key_after_the_end_of_a_clip_leaves_what_was_under_it() {
    let w = World::new(25_000, 20, |_| {});
    let (a, clip) = tone_and_clip(&w);
    w.order(MediaCommand::Interject { leg: A, source: clip });
    w.order(MediaCommand::Interruptible { leg: A });
    assert_eq!(w.find(PATIENCE, |e| *e == PLAYED), Some(PLAYED));
    press(&a, 5);
    assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '5' });
    a.listen(ms(60));
    assert!(a.listen(ms(200)).len() >= 9, "the tone goes on");
    assert!(w.find(ms(1), |_| true).is_none());
}

#[test]
fn a_key_ends_no_other_clip_than_the_one_that_it_may_end() {
    let w = World::new(25_050, 20, |_| {});
    let (a, clip) = tone_and_clip(&w);
    let mut start = 0;
    // Ended by another, or never to be had: the next one is not ended by a key.
    for before in [clip.clone(), Source::File("no-such.mp3".into()), Source::Url(url("steps"))] {
        w.order(MediaCommand::Interject { leg: A, source: before });
        w.order(MediaCommand::Interruptible { leg: A });
        w.order(MediaCommand::Interject { leg: A, source: clip.clone() });
        let words = w.find(ms(300), |e| *e == PLAYED);
        assert_eq!(words, None, "it lasts");
        start += 5_000;
        a.say_at(101, start, &[5, 10, 0, 160]);
        assert_eq!(w.next(), MediaEvent::Digit { leg: A, digit: '5' });
        w.order(MediaCommand::Interrupt { leg: A, digit: '1' });
        let ended = w.find(PATIENCE, |e| matches!(e, MediaEvent::LaidOver { .. }));
        assert_eq!(ended, Some(PLAYED));
    }
    // A key by signalling ends what a key may end.
    w.order(MediaCommand::Interject { leg: A, source: clip });
    w.order(MediaCommand::Interruptible { leg: A });
    w.order(MediaCommand::Interrupt { leg: A, digit: '1' });
    let ended = w.find(PATIENCE, |e| matches!(e, MediaEvent::LaidOver { .. }));
    assert_eq!(ended, Some(MediaEvent::LaidOver { leg: A, ended: Ended::Interrupted }));
}

#[test]
fn a_clip_whose_place_is_taken_while_it_is_fetched_is_told_so() {
    let (w, _) = world(25_100);
    let _a = known(&w);
    for (word, source, ended) in [
        ("one", Source::Tone(Tone::Warning), Some(Unplayable::Displaced)),
        ("two", Source::File("no-such.mp3".into()), Some(Unplayable::Displaced)),
        ("three", Source::Silence, None),
    ] {
        let silence = source == Source::Silence;
        w.order(MediaCommand::Interject { leg: A, source: Source::Url(url(word)) });
        w.order(MediaCommand::Interject { leg: A, source });
        if let Some(why) = ended {
            let ended = Ended::Unplayable(why);
            assert_eq!(w.next(), MediaEvent::LaidOver { leg: A, ended });
            // The one in its place.
            assert!(matches!(w.next(), MediaEvent::LaidOver { leg: A, .. }));
        }
        assert!(!silence || w.find(ms(100), |_| true).is_none(), "whoever ends it knows");
    }
    assert!(w.media.counts().unplayable >= 2);
}
