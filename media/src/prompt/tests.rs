use super::decode::samples;
use super::*;

mod kinds;

const FLAC: &[u8] = include_bytes!("samples/tone.flac");
const OGG: &[u8] = include_bytes!("samples/tone.ogg");
const MP3: &[u8] = include_bytes!("samples/tone.mp3");

/// Amplitude of one frequency at 8 kHz, as a share of full scale.
fn amplitude(samples: &[i16], hz: f64) -> f64 {
    let omega = std::f64::consts::TAU * hz / 8_000.0;
    let (mut cos, mut sin) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        cos += f64::from(*sample) * (omega * n as f64).cos();
        sin += f64::from(*sample) * (omega * n as f64).sin();
    }
    2.0 * cos.hypot(sin) / samples.len() as f64 / 32_768.0
}

/// A WAV file of 16-bit samples with its figures free to lie.
fn wav(channels: u16, rate: u32, samples: &[i16], claimed: Option<u32>) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = claimed.unwrap_or(data.len() as u32);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate.wrapping_mul(2 * u32::from(channels))).to_le_bytes());
    bytes.extend((2 * channels).to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

fn sine(hz: f64, rate: u32, count: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..count).map(|n| (16_384.0 * (step * n as f64).sin()) as i16).collect()
}

/// Half a second of 700 Hz at half of full scale, wherever it came from.
fn assert_tone(samples: &[i16], longest: usize) {
    assert!((3_990..=longest).contains(&samples.len()), "{} samples", samples.len());
    let middle = &samples[800..3_200];
    assert!((amplitude(middle, 700.0) - 0.5).abs() < 0.05, "{}", amplitude(middle, 700.0));
    for other in [350.0, 1_400.0, 2_100.0] {
        assert!(amplitude(middle, other) < 0.01, "{other} Hz");
    }
}

#[test]
fn wav_at_any_rate_and_in_stereo() {
    for rate in [8_000, 11_025, 16_000, 44_100, 48_000, 96_000] {
        let mono = sine(700.0, rate, rate as usize / 2);
        assert_tone(&samples(&wav(1, rate, &mono, None)).unwrap(), 4_001);
        let stereo: Vec<i16> = mono.iter().flat_map(|sample| [*sample, *sample]).collect();
        assert_tone(&samples(&wav(2, rate, &stereo, None)).unwrap(), 4_001);
    }
}

#[test]
fn flac_ogg_and_mp3() {
    assert_tone(&samples(FLAC).unwrap(), 4_001);
    assert_tone(&samples(OGG).unwrap(), 4_010);
    // Without a tag the encoder's own delay and padding are part of the sound.
    assert_tone(&samples(MP3).unwrap(), 4_500);
}

#[test]
fn an_id3_tag_is_passed_over() {
    let mut tagged = b"ID3\x04\0\0\0\0\x01\0".to_vec();
    tagged.resize(10 + 128, 0);
    tagged.extend(MP3);
    assert_tone(&samples(&tagged).unwrap(), 4_500);
}

#[test]
fn our_own_recordings_can_be_played_with_their_exact_length() {
    let (stereo, tone) = (audio::tape::Channels::Stereo, sine(700.0, 8_000, 4_000));
    let (mut encoder, mut body) = (audio::mp3::Encoder::new(stereo).unwrap(), Vec::new());
    encoder.encode(&tone, &tone, &mut body).unwrap();
    encoder.finish(&mut body).unwrap();
    let mut info = audio::mp3::Info::new(stereo);
    info.frames_added(&body);
    let mut file = info.frame(4_000);
    file.extend(body);
    let decoded = samples(&file).unwrap();
    assert_eq!(decoded.len(), 4_000);
    assert_tone(&decoded, 4_000);
}

#[test]
fn what_folds_is_filtered_out_before() {
    // 7300 Hz would fold to 700 Hz.
    let high = wav(1, 48_000, &sine(7_300.0, 48_000, 24_000), None);
    let decoded = samples(&high).unwrap();
    assert!(amplitude(&decoded[800..3_200], 700.0) < 0.000_3);
}

#[test]
fn bombs_are_refused_by_name() {
    let tone = sine(700.0, 8_000, 4_000);
    assert_eq!(samples(&wav(0, 8_000, &tone, None)), Err(PromptError::NoChannels));
    assert_eq!(samples(&wav(1, 1, &tone, None)), Err(PromptError::Rate(1)));
    assert_eq!(samples(&wav(1, 384_000, &tone, None)), Err(PromptError::Rate(384_000)));
    assert_eq!(samples(&wav(1, 0, &tone, None)), Err(PromptError::Rate(0)));
    assert!(matches!(
        samples(&wav(1, 8_000, &tone, Some(u32::MAX - 36))),
        Err(PromptError::Truncated(_))
    ));
    assert_eq!(samples(&vec![0; MAX_BYTES + 1]), Err(PromptError::TooLarge));
    assert_eq!(samples(&wav(1, 8_000, &vec![0; 8_000 * 301], None)), Err(PromptError::TooLong));
    // 256 MiB of ID3 tag, declared only.
    let mut tagged = b"ID3\x04\0\0\x7f\x7f\x7f\x7f".to_vec();
    tagged.extend(MP3);
    assert!(matches!(samples(&tagged), Err(PromptError::Truncated(_))));
    // FLAC at 655 350 Hz.
    let mut flac = FLAC.to_vec();
    flac[18..21].copy_from_slice(&[0x9f, 0xff, 0x60 | (FLAC[20] & 0x0f)]);
    assert_eq!(samples(&flac), Err(PromptError::Rate(655_350)));
}

#[test]
fn twenty_minutes_of_silence_in_a_megabyte_are_too_long() {
    // MPEG-2.5 layer III, 8 kbit/s, 8 kHz, mono: 72 octets for 72 ms.
    let mut frame = [0; 72];
    frame[..4].copy_from_slice(&[0xff, 0xe3, 0x18, 0xc4]);
    let bytes = frame.repeat(16_000);
    assert_eq!(samples(&bytes), Err(PromptError::TooLong));
    assert_eq!(samples(&frame.repeat(100)).unwrap().len() / 800, 72);
}

#[test]
fn a_file_cut_short_is_refused_wherever_it_was_cut() {
    let tone = wav(1, 8_000, &sine(700.0, 8_000, 4_000), None);
    for file in [tone.as_slice(), FLAC, OGG] {
        for part in [1, 3, 5, 9] {
            let cut = &file[..file.len() * part / 10];
            assert!(samples(cut).is_err(), "{:?} cut to {part} tenths", &file[..4]);
        }
    }
}

#[test]
fn no_octets_whatever_do_harm() {
    assert_eq!(samples(b""), Err(PromptError::UnknownFormat));
    assert_eq!(samples(b"hello, this is not a sound"), Err(PromptError::UnknownFormat));
    let mut state = 0x1234_5678_u32;
    for file in [FLAC, OGG, MP3] {
        for _ in 0..60 {
            let mut broken = file[..file.len().min(4_000)].to_vec();
            for _ in 0..8 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % broken.len();
                broken[at] ^= (state >> 3) as u8;
            }
            // Any verdict will do, as long as there is one.
            let _ = samples(&broken);
        }
    }
}

#[test]
fn every_shipped_announcement_is_there_in_each_language() {
    let (store, refused) = Store::open(None);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(store.len(), 42);
    let names = ["callee-busy", "callee-noanswer", "callee-unreachable", "callee-invalid"];
    let mailbox = ["voicemail-greeting", "voicemail-empty", "voicemail-end", "call-recorded"];
    for language in ["zh", "en", "fa"] {
        let recording = ["recording-consent", "call-not-recorded", "code-is"];
        let others = ["balance-low", "system-error"].into_iter().chain(mailbox).chain(recording);
        for name in names.into_iter().chain(others) {
            let frames = store.frames(name, language, Codec::Pcma).unwrap();
            let sound: Vec<i16> =
                frames.iter().flatten().map(|code| g711::alaw_to_linear(*code)).collect();
            assert!((8_000..9 * 8_000).contains(&sound.len()), "{language} {name}");
            let power: f64 = sound.iter().map(|x| f64::from(*x).powi(2)).sum();
            let level = 10.0 * (power / sound.len() as f64).log10() - 90.3;
            assert!((-24.0..-18.0).contains(&level), "{language} {name} at {level} dBFS");
            // Silence was taken off: somebody speaks within the first 150 ms.
            assert!(sound[..1_200].iter().any(|x| x.unsigned_abs() > 300), "{language} {name}");
        }
    }
}

#[test]
fn calls_share_one_copy_and_both_codings_say_the_same() {
    let (store, _) = Store::open(None);
    let one = store.frames("callee-busy", "zh", Codec::Pcmu).unwrap();
    let two = store.frames("callee-busy", "zh", Codec::Pcmu).unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    let alaw = store.frames("callee-busy", "zh", Codec::Pcma).unwrap();
    assert_eq!(one.len(), alaw.len());
    for (ulaw, alaw) in one.iter().flatten().zip(alaw.iter().flatten()) {
        let (ulaw, alaw) = (g711::ulaw_to_linear(*ulaw), g711::alaw_to_linear(*alaw));
        let step = 20.max(i32::from(ulaw).abs() / 10);
        assert!((i32::from(ulaw) - i32::from(alaw)).abs() <= step);
    }
}

#[test]
fn a_folder_of_ones_own_comes_first_and_its_bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("zh/callee-busy.wav", &wav(1, 8_000, &sine(700.0, 8_000, 4_000), None));
    put("zh/welcome.flac", FLAC);
    put("de/welcome.OGG", OGG);
    put("en/callee-busy.mp3", b"ID3 but no more");
    put("en/notes.txt", b"not looked at");
    let (store, refused) = Store::open(Some(folder.path()));
    assert_eq!(store.frames("callee-busy", "zh", Codec::Pcmu).unwrap().len(), 25);
    assert_eq!(store.frames("welcome", "zh", Codec::Pcmu).unwrap().len(), 25);
    assert!((25..=26).contains(&store.frames("welcome", "de", Codec::Pcma).unwrap().len()));
    assert_eq!(refused.len(), 1);
    assert!(refused[0].path.ends_with("en/callee-busy.mp3"));
    // The shipped one stands in for the bad one, and English for a language that lacks one.
    let english = store.frames("callee-busy", "en", Codec::Pcmu).unwrap();
    assert!(english.len() > 100);
    assert!(Arc::ptr_eq(&english, &store.frames("callee-busy", "fr", Codec::Pcmu).unwrap()));
    assert!(store.frames("welcome", "en", Codec::Pcmu).is_none());
    assert!(store.frames("nothing", "zh", Codec::Pcmu).is_none());
    let (store, refused) = Store::open(Some(Path::new("/nowhere/at/all")));
    assert!(refused.is_empty() && store.len() == 42);
}

#[test]
fn a_file_that_is_too_large_is_not_begun_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.wav");
    // A file of 1 TiB that takes no room: who read it would not be back within the hour.
    let file = fs::File::create(&path).unwrap();
    if file.set_len(1 << 40).is_err() {
        eprintln!("no such file can be made here: one of just above the limit stands for it");
        file.set_len(MAX_BYTES as u64 + 1).unwrap();
    }
    assert_eq!(read(&path), Err(PromptError::TooLarge));
    file.set_len(MAX_BYTES as u64).unwrap();
    assert_eq!(read(&path).unwrap().len(), MAX_BYTES);
    // What has no length of its own ends at the limit.
    let endless = samples(&read(Path::new("/dev/zero")).unwrap());
    assert_eq!(endless, Err(PromptError::TooLarge));
    assert!(matches!(read(folder.path()), Err(PromptError::Unreadable(_))));
}
