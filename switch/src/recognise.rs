//! `tandem recognise FILE`: what the ear for calls hears in a recording, and when.
//! `tandem announcements …`: the operator's own announcements.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use audio::RATE;
use audio::announce::{Entry, Known, Library, Listener, Print, State, teach};
use audio::dtmf::{self, Detector};
use audio::progress::{Ear, Heard, Kind, Sound, ZONES, zone};
use clap::Subcommand;
use media::dictation::{Recogniser, WordsConfig};
use media::{announcements, prompt};

use crate::cli::{complain, failed, print};
use crate::config::Config;

/// What may be done with announcements.
#[derive(Subcommand, Debug)]
pub(crate) enum Announcements {
    /// Print what is known: the folder's own, then what ships
    List,
    /// Train one: a sound file of the announcement alone, heard from the network
    Add {
        /// Its name: letters, digits, - and _
        name: String,
        /// What it means: a number (2 to 20), a short name (switched-off) or its Chinese name (关机)
        #[arg(long)]
        state: String,
        /// A WAV, MP3, AAC, M4A, FLAC or Ogg (Vorbis, Opus) file
        file: PathBuf,
        /// Q.850 cause, if not that of the state
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=127))]
        cause: Option<u8>,
        /// Its language
        #[arg(long, default_value = "")]
        language: String,
        /// Take it although one that is known sounds the same and means the same
        #[arg(long)]
        force: bool,
    },
    /// Forget one of the folder's own
    Remove {
        /// Its name
        name: String,
    },
}

/// Lists, adds or removes.
pub(crate) fn keep(config: &Config, what: &Announcements) -> ExitCode {
    let folder = config.known_folder();
    match what {
        Announcements::List => {
            let (mine, refused) = announcements::folder(&folder);
            for error in &refused {
                complain(&error.to_string());
            }
            print(&listed(&mine, "own"));
            print(&listed(&announcements::starter(), "shipped"));
            if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Announcements::Add { name, state, file, cause, language, force } => {
            let Some(meaning) = State::parse(state) else {
                complain(&format!("no state {state:?}; there are {}", states()));
                return ExitCode::from(2);
            };
            let entry = |print| Entry {
                name: name.clone(),
                state: meaning,
                cause: cause.unwrap_or_else(|| meaning.cause()),
                language: language.clone(),
                synthetic: false,
                print,
            };
            let entry = match sample(file).map(entry) {
                Ok(entry) => entry,
                Err(why) => return failed(&why),
            };
            if let Some(why) = contradiction(&announcements::alike(&folder, &entry), &entry, *force)
            {
                return failed(&format!("{}: {why}", file.display()));
            }
            done(announcements::add(&folder, &entry).map(|path| format!("{}\n", path.display())))
        }
        Announcements::Remove { name } => {
            done(announcements::remove(&folder, name).map(|()| String::new()))
        }
    }
}

/// The print of a file that may be taught.
fn sample(file: &Path) -> Result<Print, String> {
    teach(&sound(file)?).map_err(|why| format!("{}: {why}", file.display()))
}

/// Why an announcement is not taken beside those that sound the same. One that means something else would make
/// the verdict a matter of chance; one that means the same is of no use, unless whoever teaches it knows better.
fn contradiction(alike: &[Entry], new: &Entry, force: bool) -> Option<String> {
    let same = |known: &&Entry| known.state == new.state && known.cause == new.cause;
    if let Some(known) = alike.iter().find(|known| !same(known)) {
        let (name, state, cause) = (&known.name, known.state.name(), known.cause);
        return Some(format!(
            "the same sound is known as {name}, which means {state}, cause {cause}: remove that one \
             first, or add this under its name"
        ));
    }
    let known = alike.first().filter(|_| !force)?;
    Some(format!("it is known already, as {}; --force takes it all the same", known.name))
}

fn done(outcome: Result<String, announcements::AnnouncementError>) -> ExitCode {
    match outcome {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn listed(entries: &[Entry], whose: &str) -> String {
    let mut text = String::new();
    for entry in entries {
        let seconds = entry.print.words.len() as f32 * audio::announce::STEP as f32 / RATE as f32;
        let machine = if entry.synthetic { ", spoken by a machine" } else { "" };
        let _ = writeln!(
            text,
            "{:<24} {} ({}), cause {}, {} {seconds:.1} s, {whose}{machine}",
            entry.name,
            entry.state.name(),
            entry.state.chinese(),
            entry.cause,
            entry.language,
        );
    }
    text
}

fn states() -> String {
    State::all().map(State::name).collect::<Vec<_>>().join(", ")
}

/// Listens to a file as to early media.
pub(crate) fn recognise(config: &Config, file: &Path, country: Option<&str>) -> ExitCode {
    if let Some(country) = country
        && zone(country).is_none()
    {
        let known: Vec<&str> = ZONES.iter().map(|zone| zone.country).collect();
        complain(&format!("no tones of {country:?}; there are {}", known.join(", ")));
        return ExitCode::from(2);
    }
    let samples = match sound(file) {
        Ok(samples) => samples,
        Err(why) => return failed(&why),
    };
    let (library, refused) = announcements::library(&config.known_folder());
    for error in refused {
        complain(&error.to_string());
    }
    print(&page(&samples, country, &Arc::new(library)));
    match config.dictation().map(|words| dictated(&words, &samples)).transpose() {
        Ok(text) => print(&text.unwrap_or_default()),
        Err(error) => return failed(&error.to_string()),
    }
    ExitCode::SUCCESS
}

/// What the operator's program understands of it, a line for each meaning.
fn dictated(config: &WordsConfig, samples: &[i16]) -> std::io::Result<String> {
    let (send, told) = std::sync::mpsc::channel();
    let heard = Recogniser::open(config)?.listen(move |state| {
        let _ = send.send(state);
    });
    let mut heard = heard.ok_or_else(|| std::io::Error::other("the program does not start"))?;
    heard.hear_all(samples);
    drop(heard);
    let mut text = String::new();
    for state in told {
        let (name, chinese, cause) = (state.name(), state.chinese(), state.cause());
        let _ =
            writeln!(text, "words of an announcement: {name} ({chinese}), cause {cause}, likely");
    }
    if text.is_empty() {
        text.push_str("no words of an announcement were understood\n");
    }
    Ok(text)
}

fn sound(file: &Path) -> Result<Vec<i16>, String> {
    let samples = prompt::read(file).and_then(|bytes| prompt::samples(&bytes));
    samples.map_err(|error| format!("{}: {error}", file.display()))
}

/// One line for each thing heard, in the order of their telling.
fn page(samples: &[i16], country: Option<&str>, library: &Arc<Library>) -> String {
    let mut lines: Vec<(u64, u64, String)> = Vec::new();
    Ear::new(country).hear(samples, |heard| {
        lines.push((heard.to, heard.from, tone(&heard)));
    });
    Listener::new(Arc::clone(library)).hear(samples, |known| {
        let name = library.entries().get(known.entry).map_or("", |entry| &entry.name);
        lines.push((known.to, known.from, announcement(&known, name)));
    });
    Detector::new().hear(samples, |event| {
        if let dtmf::Event::End { digit, from, to } = event {
            lines.push((to, from, format!("key {}", digit.as_char())));
        }
    });
    lines.sort();
    let seconds = |sample: u64| sample as f64 / f64::from(RATE);
    let mut page = String::new();
    for (to, from, what) in &lines {
        let _ = writeln!(page, "{:9.3} to {:9.3} s  {what}", seconds(*from), seconds(*to));
    }
    let _ = writeln!(page, "{:.3} s heard", seconds(samples.len() as u64));
    page
}

fn tone(heard: &Heard) -> String {
    match heard.sound {
        Sound::Tone(kind) => format!(
            "{} tone",
            match kind {
                Kind::Ring => "ringing",
                Kind::Busy => "busy",
                Kind::Congestion => "congestion",
                Kind::Information => "special information",
                Kind::Waiting => "call waiting",
                Kind::Record => "recording",
            }
        ),
        Sound::Sit(sit) => format!("special information, {sit:?}, cause {}", sit.cause()),
        Sound::FaxCalling => "fax calling".to_owned(),
        Sound::FaxAnswering => "fax or modem answering".to_owned(),
        Sound::Silence => "silence".to_owned(),
        Sound::Music => "music".to_owned(),
        Sound::Speech => "speech".to_owned(),
    }
}

fn announcement(known: &Known, name: &str) -> String {
    let sure = if known.certain { "certain" } else { "likely" };
    format!(
        "announcement {name}: {} ({}), cause {}, {sure}, {:.1} % of bits wrong",
        known.state.name(),
        known.state.chinese(),
        known.cause,
        f32::from(known.wrong) / 10.0
    )
}

#[cfg(test)]
mod tests {
    use audio::tape::Channels;
    use audio::tone::{Cadence, Generator};
    use audio::wav;

    use super::*;

    #[test]
    fn a_recording_is_read_out_with_its_times() {
        let mut samples = vec![0; 4_000];
        let busy = samples.len();
        samples.resize(busy + 8_000 * 4, 0);
        Generator::new(Cadence::BUSY).fill(&mut samples[busy..]);
        samples.resize(samples.len() + 8_000, 0);
        let key = dtmf::Press::usual(dtmf::Digit::from_char('7').unwrap());
        dtmf::Generator::new(key).fill(&mut samples[busy + 8_000 * 4..]);
        let told = page(&samples, Some("cn"), &Arc::new(Library::default()));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].trim_start().starts_with("0.50"), "{told}");
        assert!(lines[0].ends_with("busy tone"), "{told}");
        assert!(lines.iter().any(|line| line.ends_with("key 7")), "{told}");
        assert_eq!(lines.last(), Some(&"5.500 s heard"));
    }

    fn add(config: &Config, name: &str, state: &str, file: &Path, force: bool) -> bool {
        let what = Announcements::Add {
            name: name.into(),
            state: state.into(),
            file: file.into(),
            cause: None,
            language: "zh".into(),
            force,
        };
        keep(config, &what) == ExitCode::SUCCESS
    }

    /// A sound that ships, with silence before it: another print of the same words.
    fn later(name: &str, to: &Path) -> PathBuf {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/prompts/zh").join(name);
        let mut samples = vec![0; 1_234];
        samples.extend(sound(&path).unwrap());
        written(&to.join(name), &samples)
    }

    fn written(path: &Path, samples: &[i16]) -> PathBuf {
        let path = path.with_extension("wav");
        let mut file = wav::head(Channels::Mono, 2 * samples.len() as u64).to_vec();
        file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        std::fs::write(&path, file).unwrap();
        path
    }

    #[test]
    fn what_contradicts_what_is_known_is_not_taught() {
        let folder = tempfile::tempdir().unwrap();
        let known = folder.path().join("known");
        let config = Config { known: Some(known.clone()), ..Config::default() };
        let names = || announcements::folder(&known).0.into_iter().map(|entry| entry.name);
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/prompts/zh/callee-busy.ogg");
        assert!(add(&config, "busy-1", "busy", &path, false));
        // The same sound from elsewhere: not with another meaning, not even when that is insisted on.
        let again = later("callee-busy.ogg", folder.path());
        assert!(!add(&config, "off-1", "switched-off", &again, false));
        assert!(!add(&config, "off-1", "switched-off", &again, true));
        // With the same meaning it is of use to nobody, or to whoever insists.
        assert!(!add(&config, "busy-2", "busy", &again, false));
        assert!(add(&config, "busy-2", "busy", &again, true));
        assert_eq!(names().collect::<Vec<_>>(), ["busy-1", "busy-2"]);
        // Under its own name it is taught anew; other words are another sound.
        let other = later("callee-noanswer.ogg", folder.path());
        assert!(add(&config, "noanswer-1", "no-answer", &other, false));
        assert!(add(&config, "noanswer-1", "try-later", &other, false));
        let (all, _) = announcements::folder(&known);
        assert_eq!(all.len(), 3);
        assert_eq!(all[2].state.name(), "try-later");
        let new = Entry { cause: 16, ..all[0].clone() };
        let why = contradiction(&all[..1], &new, true).unwrap();
        assert!(why.contains("known as busy-1, which means busy, cause 17"), "{why}");
    }

    #[test]
    fn what_is_no_announcement_is_not_taught() {
        let folder = tempfile::tempdir().unwrap();
        let known = folder.path().join("known");
        let config = Config { known: Some(known.clone()), ..Config::default() };
        let mut tone = vec![0; 40_000];
        Generator::new(Cadence::CONGESTION).fill(&mut tone);
        let speech = later("voicemail-greeting.ogg", folder.path());
        let speech = sound(&speech).unwrap();
        let long: Vec<i16> = speech.iter().copied().cycle().take(61 * 8_000).collect();
        for (name, samples, why) in [
            ("silence", &vec![0; 40_000][..], "it is silence"),
            ("tone", &tone[..], "it holds tones and no words"),
            ("short", &speech[4_000..12_000], "it is 1.0 s long"),
            ("long", &long[..], "it is 61 s long"),
        ] {
            let file = written(&folder.path().join(name), samples);
            let told = sample(&file).unwrap_err();
            assert!(told.contains(why) && told.contains(name), "{told}");
            assert!(!add(&config, name, "busy", &file, true));
        }
        assert!(!known.exists(), "nothing was taught");
    }

    /// Nothing that ships is refused as a sample, unless it is too short.
    #[test]
    fn every_announcement_that_ships_could_be_taught() {
        let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/prompts");
        let mut heard = 0;
        for tongue in ["zh", "en", "fa"] {
            for file in std::fs::read_dir(prompts.join(tongue)).unwrap() {
                match sample(&file.unwrap().path()) {
                    Ok(_) => heard += 1,
                    Err(why) => assert!(why.contains("cannot be told from other sounds"), "{why}"),
                }
            }
        }
        assert!(heard >= 33, "{heard}");
    }

    #[test]
    fn the_operators_program_hears_all_of_a_recording() {
        let script = "test $(wc -c) -ge 128000 && echo the number does not exist";
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let config = WordsConfig { command, at_once: 1, table: "/no/such/table".into() };
        let told = dictated(&config, &vec![5; 64_000]).unwrap();
        assert_eq!(told, "words of an announcement: no-such-number (空号), cause 1, likely\n");
        let none = "no words of an announcement were understood\n";
        assert_eq!(dictated(&config, &[5; 8_000]).unwrap(), none);
    }
}
