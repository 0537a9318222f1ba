//! What is said: recorded words one behind the other, from the first to the last octet.

use audio::codec::{Coding, Decoder, SAMPLES_MAX};
use audio::g711;
use facts::media::{Codec, MediaCommand, MediaEvent, Prompt, Source};
use facts::sound::{Ended, Say, Spoken, SpokenCurrency, Unplayable};

use super::common::{A, PATIENCE, Packet, Phone, World, ms, only, setup};

/// The words of a language, as they ship.
fn words(language: &str, names: &[&str]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/say/");
    let octets = std::fs::read(format!("{folder}{language}.al")).unwrap();
    let index = std::fs::read_to_string(format!("{folder}{language}.tsv")).unwrap();
    let one = |name: &&str| {
        let line = index.lines().find(|line| line.split('\t').next() == Some(name)).unwrap();
        let figures: Vec<usize> =
            line.split('\t').skip(1).map(|figure| figure.parse().unwrap()).collect();
        octets[figures[0]..figures[0] + figures[1]].to_vec()
    };
    names.iter().flat_map(one).collect()
}

fn say(language: &str, parts: &[Spoken]) -> Source {
    Source::Say(Say { language: language.into(), parts: parts.to_vec() })
}

/// A phone that speaks one coding, which is known and was heard.
fn phone(w: &World, number: u8, codec: Codec) -> Phone {
    let phone = Phone::new(u32::from(number) + 1);
    phone.target.set(Some(w.open(A)));
    w.setup(A, setup(&phone, only(number, codec)));
    phone.say(number, &[0x55; 160]);
    phone
}

/// Everything until the sound was over.
fn whole(w: &World, phone: &Phone) -> Vec<Packet> {
    assert!(w.find(PATIENCE, |e| *e == MediaEvent::Played { leg: A }).is_some());
    phone.listen(ms(60))
}

/// One packet every 20 ms, nothing missing and nothing twice.
fn assert_even(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
    }
}

fn payloads(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet.payload.clone()).collect()
}

/// The same, filled up with silence to whole packets.
fn filled(mut octets: Vec<u8>) -> Vec<u8> {
    octets.resize(octets.len().next_multiple_of(160), g711::ALAW_SILENCE);
    octets
}

#[test]
fn case_10_what_is_said_is_heard_from_its_first_octet_and_without_a_gap() {
    let w = World::new(24_000, 20, |_| {});
    let a = phone(&w, 8, Codec::Pcma);
    let (number, digits) = (Spoken::Number(10_005), Spoken::Digits("42".into()));
    w.hear(A, say("zh", &[number, digits]));
    let heard = whole(&w, &a);
    assert_even(&heard);
    let mut said = words("zh", &["1", "10000", "0", "5"]);
    said.extend([g711::ALAW_SILENCE; 8 * 150]);
    said.extend(words("zh", &["4", "2"]));
    assert_eq!(payloads(&heard), filled(said));
}

#[test]
fn case_10_words_that_are_ready_before_the_far_end_is_wait_for_it() {
    let w = World::new(24_050, 20, |_| {});
    let a = Phone::new(9);
    let home = w.open(A);
    w.hear(A, say("en", &[Spoken::Number(7)]));
    w.setup(A, setup(&a, only(8, Codec::Pcma)));
    assert!(a.hear(ms(120)).is_none(), "before 200 ms and before the far end is heard");
    a.target.set(Some(home));
    a.say(8, &[0x55; 160]);
    assert_eq!(payloads(&whole(&w, &a)), filled(words("en", &["7"])));
}

#[test]
fn an_announcement_may_stand_between_words_and_the_operators_own_words_come_first() {
    let own: Vec<i16> = (0..800).map(|n| if n % 8 < 4 { 9_000 } else { -9_000 }).collect();
    let w = World::new(24_100, 20, |config| {
        let folder = config.recordings.with_file_name("prompts");
        std::fs::create_dir_all(folder.join("zh")).unwrap();
        let mut file = audio::wav::head(audio::tape::Channels::Mono, 1_600).to_vec();
        file.extend(own.iter().flat_map(|sample| sample.to_le_bytes()));
        std::fs::write(folder.join("zh/say-4.wav"), &file).unwrap();
        std::fs::write(folder.join("zh/balance.wav"), &file).unwrap();
        config.prompts = Some(folder);
    });
    let a = phone(&w, 8, Codec::Pcma);
    let money = Spoken::Money { amount: 450, currency: SpokenCurrency::Cny };
    w.hear(A, say("zh", &[Spoken::Prompt("balance".into()), money]));
    let heard = payloads(&whole(&w, &a));
    let own: Vec<u8> = own.iter().map(|sample| g711::linear_to_alaw(*sample)).collect();
    let mut said = own.clone();
    said.extend([g711::ALAW_SILENCE; 8 * 150]);
    said.extend(own);
    said.extend(words("zh", &["yuan", "5", "jiao"]));
    assert_eq!(heard, filled(said));
}

#[test]
fn b21_words_are_heard_in_every_coding() {
    let reference: Vec<i16> = filled(words("fa", &["20", "and", "1", "hours"]))
        .into_iter()
        .map(g711::alaw_to_linear)
        .collect();
    for (number, codec, coding) in [
        (0, Codec::Pcmu, Coding::Pcmu),
        (9, Codec::G722, Coding::G722),
        (111, Codec::Opus, Coding::Opus),
    ] {
        let w = World::new(24_150 + u16::from(number), 5, |_| {});
        let a = phone(&w, number, codec);
        w.hear(A, say("fa", &[Spoken::Duration(21 * 3_600)]));
        let packets = whole(&w, &a);
        assert_eq!(packets.len(), reference.len() / 160, "{codec:?}");
        let mut decoder = Decoder::new(coding).unwrap();
        let mut samples = vec![0; SAMPLES_MAX];
        let loudness = |samples: &[i16]| {
            let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            (sum / samples.len() as f64).sqrt()
        };
        let heard: Vec<f64> = packets
            .iter()
            .map(|packet| {
                let count = decoder.decode(&packet.payload, &mut samples).unwrap();
                loudness(&samples[..count])
            })
            .collect();
        let said: Vec<f64> = reference.chunks(160).map(loudness).collect();
        let alike = correlation(&heard, &said);
        assert!(alike > 0.9, "{codec:?}: {alike}");
    }
}

/// How alike two courses of loudness are: 1 is the same.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let mean = |course: &[f64]| course.iter().sum::<f64>() / course.len() as f64;
    let (a, b) = (mean(one), mean(other));
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        one.iter().zip(other).map(|(x, y)| f(x - a, y - b)).sum()
    };
    sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
}

#[test]
fn what_cannot_be_said_is_told_with_its_reason_and_stands_in_the_figures() {
    let w = World::new(24_400, 20, |_| {});
    let a = phone(&w, 8, Codec::Pcma);
    for (parts, why) in [
        (vec![Spoken::Digits("12x".into())], Unplayable::Unsayable),
        (vec![Spoken::Number(i64::MAX)], Unplayable::Unsayable),
        (vec![Spoken::Number(999_999_999); 33], Unplayable::Unsayable),
        (vec![Spoken::Number(888_888_888_888); 30], Unplayable::Unsayable),
        (vec![Spoken::Prompt("nothing-of-that-name".into())], Unplayable::Missing),
    ] {
        w.hear(A, say("en", &parts));
        assert_eq!(w.next(), MediaEvent::Unplayable { leg: A, why });
    }
    assert!(a.hear(ms(60)).is_none());
    assert_eq!(w.close(A).unplayable, Some(Unplayable::Missing));
}

#[test]
fn an_announcement_that_nobody_has_was_not_heard_where_it_was_laid_over_something() {
    let w = World::new(24_470, 20, |_| {});
    let a = phone(&w, 8, Codec::Pcma);
    let prompt = |name: &str| Source::Prompt(Prompt { name: name.into(), language: "en".into() });
    w.order(MediaCommand::Interject { leg: A, source: prompt("nothing-of-that-name") });
    let why = Unplayable::Missing;
    let ended = Ended::Unplayable(why);
    assert_eq!(w.next(), MediaEvent::LaidOver { leg: A, ended });
    w.order(MediaCommand::Interject { leg: A, source: prompt("call-not-recorded") });
    assert!(a.hear(ms(1_000)).is_some());
    let told = w.find(ms(6_000), |e| matches!(e, MediaEvent::LaidOver { .. }));
    assert_eq!(told, Some(MediaEvent::LaidOver { leg: A, ended: Ended::Played }));
    assert_eq!(w.close(A).unplayable, Some(why));
}

#[test]
fn words_are_laid_over_what_a_leg_hears_and_silence_ends_them() {
    let w = World::new(24_450, 20, |_| {});
    let a = phone(&w, 8, Codec::Pcma);
    let busy = Source::Tone(facts::media::Tone::Busy);
    w.hear(A, busy);
    let source = say("en", &[Spoken::Digits("12345678901234567890".into())]);
    w.order(MediaCommand::Interject { leg: A, source });
    a.listen(ms(400));
    w.order(MediaCommand::Interject { leg: A, source: Source::Silence });
    w.settle();
    a.listen(ms(60));
    // The tone again, on the same stream: half of it is silence.
    let heard = a.listen(ms(1_400));
    assert_even(&heard);
    let loud = |packet: &&Packet| {
        packet.payload.iter().any(|code| g711::alaw_to_linear(*code).unsigned_abs() > 1_000)
    };
    let share = heard.iter().filter(loud).count() as f64 / heard.len() as f64;
    assert!((0.4..0.65).contains(&share), "{share}");
    let over =
        |e: &MediaEvent| matches!(e, MediaEvent::Played { .. } | MediaEvent::LaidOver { .. });
    assert!(w.find(ms(1), over).is_none());
}

#[test]
fn case_10_an_announcement_is_heard_from_its_first_octet() {
    let w = World::new(24_500, 20, |_| {});
    let a = Phone::new(3);
    let home = w.open(A);
    let prompt = Prompt { name: "callee-busy".into(), language: "en".into() };
    w.hear(A, Source::Prompt(prompt));
    w.setup(A, setup(&a, only(8, Codec::Pcma)));
    assert!(a.hear(ms(120)).is_none());
    a.target.set(Some(home));
    a.say(8, &[0x55; 160]);
    let heard = a.listen(ms(300));
    let (store, _) = media::prompt::Store::open(None);
    let frames = store.frames("callee-busy", "en", Codec::Pcma).unwrap();
    assert!(heard.len() > 10);
    assert_eq!(payloads(&heard), frames.as_flattened()[..160 * heard.len()]);
}
