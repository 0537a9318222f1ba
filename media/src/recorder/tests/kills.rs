//! What is left after a kill: playable wherever it was cut, and put right by the next start.

use super::*;

/// The unfinished file of a recording that was killed after `length_ms`.
fn killed(folder: &Path, name: &str, length_ms: u64) -> Vec<u8> {
    let (_, job) = record(folder, name, length_ms);
    // A killed process runs no destructor.
    std::mem::forget(job);
    fs::read(folder.join(format!("{name}.part"))).unwrap()
}

#[test]
fn case_14_cut_at_any_octet_it_still_plays() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = killed(folder.path(), "a.mp3", 4_000);
    let mut cuts: Vec<usize> = (bytes.len() - 2 * FRAME_BYTES..=bytes.len()).step_by(7).collect();
    cuts.extend((FRAME_BYTES * 3..bytes.len()).step_by(1_237));
    for cut in cuts {
        let (rate, sound) = channels(&bytes[..cut]).unwrap();
        assert_eq!((rate, sound.len()), (16_000, 2));
        // All whole frames behind the tag; decoders may keep or trim the delay at the front.
        let frames = cut as u64 / FRAME_BYTES as u64 - 1;
        let length = sound[0].len() as u64;
        let whole = frames * FRAME_SAMPLES;
        assert!(
            (whole.saturating_sub(1_200)..=whole).contains(&length),
            "{cut}: {length} of {whole}"
        );
    }
    let (_, sound) = channels(&bytes[..bytes.len() - 1_000]).unwrap();
    let tail = &sound[0][sound[0].len() - 8_000..];
    assert!(amplitude(tail, 700.0) > 0.22, "{}", amplitude(tail, 700.0));
}

#[test]
fn case_14_every_second_is_on_the_disk_a_second_later() {
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let mut job = Job::start(folder.path(), "a.mp3", STEREO, start, None).unwrap();
    let part = folder.path().join("a.mp3.part");
    for tenth in 0..100 {
        job.turn(start + ms(tenth * 100)).unwrap();
        let frames = fs::metadata(&part).unwrap().len() / FRAME_BYTES as u64 - 1;
        let on_disk_ms = (frames * FRAME_SAMPLES).saturating_sub(1_121) / 16;
        assert!(
            tenth * 100 - on_disk_ms.min(tenth * 100) <= 500,
            "{on_disk_ms} of {}",
            tenth * 100
        );
    }
}

#[test]
fn case_14_a_killed_recording_is_put_right_within_300_ms() {
    let folder = tempfile::tempdir().unwrap();
    let mut worst = (0.0_f64, 0.0_f64);
    for length_ms in (3_000..3_600).step_by(50) {
        let name = format!("day/{length_ms}.mp3");
        let before = killed(folder.path(), &name, length_ms);
        // The kill fell into the middle of a write.
        let part = folder.path().join(format!("{name}.part"));
        let cut = before.len() - (length_ms as usize / 50 * 31) % FRAME_BYTES;
        fs::OpenOptions::new().write(true).open(&part).unwrap().set_len(cut as u64).unwrap();
        let found = recover(folder.path(), None).unwrap();
        assert_eq!(found.recovered.len(), 1);
        let file = &found.recovered[0];
        assert_eq!(file.file, name);
        assert!(!part.exists());
        let bytes = fs::read(folder.path().join(&name)).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64);
        let (_, sound) = channels(&bytes).unwrap();
        let decoded_ms = sound[0].len() as f64 / 16.0;
        assert!((decoded_ms - file.duration_ms as f64).abs() < 2.0, "the tag tells the length");
        let off = decoded_ms - length_ms as f64;
        worst = (worst.0.min(off), worst.1.max(off));
        assert!(
            (onset(&sound[0]) - 1_000.0).abs() < 5.0 && (onset(&sound[1]) - 2_000.0).abs() < 5.0
        );
    }
    println!("off by {worst:?} ms");
    assert!(worst.0 > -150.0 && worst.1 < 150.0, "off by {worst:?} ms");
}

#[test]
fn case_14_every_form_cut_at_any_octet_has_a_head_that_is_true_and_is_put_right() {
    let folder = tempfile::tempdir().unwrap();
    for form in FORMS {
        let name = format!("{}.{}", form.voices.word(), form.format.ending());
        let (_, job) = record_as(form, folder.path(), &name, 4_000);
        std::mem::forget(job);
        let part = folder.path().join(format!("{name}.part"));
        let bytes = fs::read(&part).unwrap();
        if form.format == RecordingFormat::Wav {
            // What its head tells is there, and all but the last second or two of what is there is told.
            let told = u64::from(u32::from_le_bytes(bytes[40..44].try_into().unwrap()));
            let sound = bytes.len() as u64 - 44;
            assert!(told <= sound && sound - told <= 32_000 + 3_200, "{told} of {sound}");
            let (_, heard) = channels(&bytes).unwrap();
            assert!(
                heard[0].len() as u64 >= told / if form.voices == Voices::Mixed { 2 } else { 4 }
            );
        }
        // 100 ms of the form that takes the least room are 300 octets.
        let most = if form.format == RecordingFormat::Opus { 301 } else { 1_001 };
        for cut in [0, 1, 2, 3, 5, most] {
            fs::write(&part, &bytes[..bytes.len() - cut]).unwrap();
            let found = recover(folder.path(), None).unwrap();
            let file = &found.recovered[0];
            assert_eq!(file.file, name);
            assert!(file.duration_ms.abs_diff(4_000) < 150, "{form:?}: {}", file.duration_ms);
            let whole = folder.path().join(&name);
            let Some((rate, sound)) = played(form, &whole) else {
                fs::remove_file(whole).unwrap();
                continue;
            };
            let decoded_ms = sound[0].len() as u64 * 1_000 / u64::from(rate);
            assert!(decoded_ms.abs_diff(file.duration_ms) < 3, "{form:?}");
            assert_eq!(sound.len(), if form.voices == Voices::Mixed { 1 } else { 2 });
            fs::remove_file(folder.path().join(&name)).unwrap();
        }
    }
}

/// Keys as an operator has them: the first one seals.
pub(super) fn keys(text: &str) -> Arc<Keys> {
    Arc::new(Keys::parse(text).unwrap())
}

const KEY: &str = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn case_14_a_sealed_recording_cut_at_any_octet_is_put_right_by_who_has_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(KEY);
    for form in FORMS {
        let name = format!("{}.{}", form.voices.word(), form.format.ending());
        let (_, job) = record_sealed(form, folder.path(), &name, 4_000, &keys);
        std::mem::forget(job);
        let part = folder.path().join(format!("{name}.part"));
        let bytes = fs::read(&part).unwrap();
        assert!(seal::is_sealed(&bytes));
        for cut in [0, 1, 5, 301] {
            fs::write(&part, &bytes[..bytes.len() - cut]).unwrap();
            // Without the key nothing is lost, and nothing is guessed.
            let blind = recover(folder.path(), None).unwrap();
            assert_eq!((blind.kept.len(), blind.recovered.len(), part.exists()), (1, 0, true));
            let found = recover(folder.path(), Some(&keys)).unwrap();
            let file = &found.recovered[0];
            assert!(file.duration_ms.abs_diff(4_000) < 300, "{form:?}: {}", file.duration_ms);
            let target = folder.path().join(&name);
            let plain = whole(&target, Some(&keys), 1 << 30).unwrap().unwrap();
            assert_eq!(file.bytes, plain.len() as u64);
            fs::write(&target, &plain).unwrap();
            if let Some((rate, sound)) = played(form, &target) {
                let decoded_ms = sound[0].len() as u64 * 1_000 / u64::from(rate);
                assert!(decoded_ms.abs_diff(file.duration_ms) < 3, "{form:?}");
            }
            fs::remove_file(target).unwrap();
        }
    }
}

#[test]
fn leftovers_without_sound_are_removed_and_others_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("a/empty.mp3.part", b"");
    put("a/garbage.mp3.part", &[0x55; 300]);
    put("a/tag-only.mp3.part", &audio::mp3::Info::open_frame(audio::tape::Channels::Stereo));
    put("a/whole.mp3", b"a finished recording");
    put("note.txt", b"mine");
    let whole = killed(folder.path(), "b/c/d.mp3", 2_000);
    put("a/whole.mp3.part", &whole);
    let found = recover(folder.path(), None).unwrap();
    assert_eq!(found.removed, ["a/empty.mp3", "a/garbage.mp3", "a/tag-only.mp3"]);
    assert_eq!(found.kept, ["a/whole.mp3"]);
    assert_eq!(found.recovered.len(), 1);
    assert_eq!(found.recovered[0].file, "b/c/d.mp3");
    assert_eq!(fs::read(folder.path().join("a/whole.mp3")).unwrap(), b"a finished recording");
    assert_eq!(fs::read(folder.path().join("note.txt")).unwrap(), b"mine");
    let again = recover(folder.path(), None).unwrap();
    assert_eq!((again.recovered.len(), again.removed.len()), (0, 0));
    assert_eq!(recover(Path::new("/nowhere/at/all"), None).unwrap(), Leftovers::default());
}

#[test]
fn the_log_names_an_unfinished_file_so_that_it_is_found_and_cannot_be_fetched() {
    for (name, told) in [
        ("ab/1234567890123456789_s3cret_w.mp3", "ab/1234567890123456789_*.mp3.part"),
        ("a_b/1234567890123456789_w.opus", "a_b/1234567890123456789_*.opus.part"),
        ("1_w", "1_*.part"),
        ("ab/holiday.mp3", "ab/holiday.mp3.part"),
    ] {
        assert_eq!(leftovers::told(name), told);
    }
}

/// What `recover` does with these octets under this name: kept as they are, or removed.
fn kept(name: &str, bytes: &[u8], keys: Option<&Arc<Keys>>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join(format!("{name}.part"));
    fs::write(&part, bytes).unwrap();
    let found = recover(folder.path(), keys).unwrap();
    assert!(found.recovered.is_empty(), "{found:?}");
    assert_eq!(
        (found.kept.len(), found.removed.len()),
        if part.exists() { (1, 0) } else { (0, 1) }
    );
    part.exists() && fs::read(&part).unwrap() == bytes
}

#[test]
fn case_14_what_cannot_be_read_is_kept_and_only_what_holds_no_sound_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (keys(KEY), keys("k1 //////////////////////////////////////////8="));
    for form in FORMS {
        let name = format!("{}.{}", form.voices.word(), form.format.ending());
        let (_, job) = record_sealed(form, folder.path(), &name, 4_000, &ours);
        std::mem::forget(job);
        let sealed = fs::read(folder.path().join(format!("{name}.part"))).unwrap();
        let begin = seal::MAGIC.len() + 1 + "k1".len() + seal::SALT_BYTES;
        let head = 4 + usize::from(u16::from_be_bytes([sealed[begin + 2], sealed[begin + 3]])) + 16;
        let sound = begin + head;
        assert!(kept(&name, &sealed, Some(&other)), "{form:?}: another key of that name");
        // In the magic, the name, the salt, the first frame's head, its octets, and in the first sound.
        for at in [0, 9, 15, begin, begin + 2, begin + 3, begin + 10, sound, sound + 10] {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(kept(&name, &bent, Some(&ours)), "{form:?}: {at}");
        }
        assert!(!kept(&name, &sealed[..sound], Some(&ours)), "{form:?}: a head alone");
        assert!(!kept(&name, &sealed[..sound - 1], Some(&other)), "{form:?}: not even that");
        let name = format!("plain-{name}");
        let (_, job) = record_as(form, folder.path(), &name, 4_000);
        std::mem::forget(job);
        let mut plain = fs::read(folder.path().join(format!("{name}.part"))).unwrap();
        plain[0] ^= 1;
        assert!(kept(&name, &plain, None), "{form:?}: a bit of its head");
        assert!(!kept(&name, &[], None) && !kept(&name, &plain[..40], None), "{form:?}");
    }
    // The first frame behind the head is broken, and others follow.
    let mut bytes = killed(folder.path(), "a.mp3", 4_000);
    bytes[FRAME_BYTES] ^= 1;
    assert!(kept("a.mp3", &bytes, None));
    assert!(!kept("a.mp3", &bytes[..FRAME_BYTES + 200], None), "less than a frame");
}

/// Where the child process below records; set by the test that starts it.
const CHILD_FOLDER: &str = "TANDEM_TEST_KILLED_RECORDING";

/// The ending of what it records.
const CHILD_FORM: &str = "TANDEM_TEST_KILLED_FORM";

/// Not a test by itself: a process that records until it is killed.
#[test]
fn records_until_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let config = RecorderConfig { folder: folder.into(), threads: 1, keys: None };
    let events: Events = Arc::new(|_| {});
    let recorder = Recorder::open(&config, &events).unwrap();
    let start = Instant::now();
    let wanted = std::env::var(CHILD_FORM).unwrap_or_default();
    let form = FORMS
        .into_iter()
        .find(|form| form.voices == Voices::Stereo && form.format.ending() == wanted)
        .unwrap();
    recorder.start(CALL, format!("killed.{wanted}"), form, start);
    for n in 0..3_000_u32 {
        let packet = packet(Side::Left, n, 700.0, Instant::now());
        let (arrival, timestamp) = (packet.arrival, packet.timestamp);
        let payload = &packet.payload[..160];
        let heard = Heard { side: Side::Left, arrival, timestamp, codec: packet.codec, payload };
        recorder.tap(CALL, &heard);
        let next = start + ms(20) * (n + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn case_14_a_process_killed_in_mid_call_leaves_its_recording() {
    for form in FORMS.into_iter().filter(|form| form.voices == Voices::Stereo) {
        killed_in(form);
    }
}

fn killed_in(form: RecordingForm) {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("killed.{}", form.format.ending());
    let part = folder.path().join(format!("{name}.part"));
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recorder::tests::kills::records_until_killed", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .env(CHILD_FORM, form.format.ending())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !part.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the child never began");
        std::thread::sleep(ms(2));
    }
    let begun = Instant::now();
    std::thread::sleep(ms(1_930));
    child.kill().unwrap();
    let talked_ms = begun.elapsed().as_secs_f64() * 1_000.0;
    child.wait().unwrap();
    let found = recover(folder.path(), None).unwrap();
    assert_eq!(found.recovered.len(), 1);
    let Some((rate, sound)) = played(form, &folder.path().join(&name)) else { return };
    let per_ms = f64::from(rate) / 1_000.0;
    let off = sound[0].len() as f64 / per_ms - talked_ms;
    println!("off by {off} ms after a kill");
    assert!(off.abs() < 300.0, "{form:?}: off by {off} ms");
    let second = &sound[0][rate as usize / 2..rate as usize];
    let heard = amplitude(second, 700.0 * 16_000.0 / f64::from(rate));
    assert!(heard > 0.2, "{form:?}: {heard}");
}
