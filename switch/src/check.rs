//! `tandem check`: looks for mistakes and changes nothing, not even a folder.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use billing::Store as Books;
use billing::rows::Audit;
use billing::trail::Trail;
use call::{Notice, Track};
use media::prompt::Store;
use media::{announcements, recorder};

use crate::cli::{failed, print};
use crate::config::Config;
use crate::{operator, secrets, serve};

/// What is looked at besides the settings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// An operator's file.
    pub(crate) file: Option<&'a Path>,
    /// The ledger.
    pub(crate) books: bool,
    /// The audit trail.
    pub(crate) audit: bool,
    /// A hash that must be in the audit trail.
    pub(crate) head: Option<&'a str>,
}

/// Checks what was asked for; the configuration itself is right when we are here.
pub(crate) async fn check(config: &Config, wanted: Wanted<'_>) -> ExitCode {
    let mut missing = sounds(config);
    missing.extend(files(config));
    if !missing.is_empty() {
        return failed(&missing.join("\n"));
    }
    print("settings: in order\n");
    let passed = passed_over(config).into_iter().chain(copies(config)).chain(unspoken(config));
    for finding in secrets::open_to_others(config).into_iter().chain(passed) {
        print(&format!("warning: {finding}\n"));
    }
    if let Some(file) = wanted.file {
        let status = operator::apply(config, file, true).await;
        if status != ExitCode::SUCCESS {
            return status;
        }
    }
    if !wanted.books && !wanted.audit {
        return ExitCode::SUCCESS;
    }
    let store = match serve::open_kept(config).await {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let found = look(&store, wanted).await;
    store.close().await;
    match found {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => failed(&findings.join("\n")),
        Err(error) => failed(&format!("the store cannot be read: {error}")),
    }
}

/// Sounds that the settings name and nobody has. Whoever is recorded has to hear that he is, so this is a
/// mistake, though one that calls survive.
pub(crate) fn sounds(config: &Config) -> Vec<String> {
    let folder = config.prompts.as_deref();
    let (store, _) = Store::open(folder);
    let mut missing: Vec<String> = named(config)
        .into_iter()
        .filter(|(_, name)| !store.has(name))
        .map(|(knob, name)| format!("{knob}: there is no announcement {name:?}"))
        .collect();
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        missing.push(format!("media.prompts: {} is no folder", folder.display()));
    }
    if let Some(folder) = config.known.as_deref().filter(|folder| !folder.is_dir()) {
        missing.push(format!("recognition.library: {} is no folder", folder.display()));
    }
    missing
}

/// The announcements that settings name, each with its setting and, where it is for one alone, for whom.
fn named(config: &Config) -> Vec<(String, &str)> {
    let mut named = Vec::new();
    if let Notice::Prompt(name) = &config.recording.notice {
        named.push(("recording.notice".to_owned(), name.as_str()));
    }
    if let Some(name) = &config.recording.consent.prompt {
        named.push(("recording.consent".to_owned(), name));
    }
    let music = &config.hold_music;
    if let Some(Track::Name(name)) = &music.usual {
        named.push(("media.hold_music".to_owned(), name));
    }
    let merchants = music.of.iter().map(|(name, track)| (name.clone(), track));
    let numbers = music.at.iter().map(|(digits, track)| (format!("+{digits}"), track));
    for (whose, track) in merchants.chain(numbers) {
        if let Some(Track::Name(name)) = track {
            named.push((format!("media.hold_music of {whose}"), name));
        }
    }
    named
}

/// Files that the process would not start without: the keys of recordings, and what opens their storage.
fn files(config: &Config) -> Vec<String> {
    let keys = config.recording.keys.as_deref();
    let keys = keys.and_then(|path| Some((path, recorder::keys_of(path).err()?)));
    let keys = keys.map(|(path, error)| format!("recording.key_file: {}: {error}", path.display()));
    keys.into_iter().chain(config.recording.upload.bucket().err()).collect()
}

/// Files in the folders of sounds that cannot be used: what ships stands in for them, or they are not known.
fn passed_over(config: &Config) -> Vec<String> {
    let (_, refused) = Store::open(config.prompts.as_deref());
    let prompts = refused.into_iter();
    let prompts =
        prompts.map(|file| format!("media.prompts: {}: {}", file.path.display(), file.error));
    let (_, refused) = announcements::folder(&config.known_folder());
    prompts.chain(refused.iter().map(|error| format!("recognition.library: {error}"))).collect()
}

/// A program that is to speak and that nobody could start from here.
pub(crate) fn unspoken(config: &Config) -> Option<String> {
    let program = config.speech.as_ref()?.first()?;
    let found = is_program(program, std::env::var_os("PATH").as_deref());
    (!found).then(|| format!("speech.program: there is no program {program:?}"))
}

/// Why nothing speaks what menus say; `None`: something does.
pub(crate) fn mute(config: &Config) -> Option<String> {
    match config.speech {
        Some(_) => unspoken(config),
        None => Some("speech.program is off".to_owned()),
    }
}

/// Whether there is a program of this name in the folders of `path`, or at the place that it names.
fn is_program(name: &str, path: Option<&OsStr>) -> bool {
    let runs = |file: &Path| {
        std::fs::metadata(file)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return runs(Path::new(name));
    }
    path.is_some_and(|path| std::env::split_paths(path).any(|folder| runs(&folder.join(name))))
}

/// Copies of recordings that whoever is on the way to the storage can hear.
fn copies(config: &Config) -> Option<String> {
    let upload = &config.recording.upload;
    let plain = upload.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"));
    let open = plain && upload.insecure && config.recording.keys.is_none();
    open.then(|| {
        "recording.s3_insecure: recordings cross the network in the clear, neither sealed \
         (recording.key_file) nor by https"
            .into()
    })
}

/// Looks at all that was asked for, so that one finding does not hide another.
async fn look(store: &Books, wanted: Wanted<'_>) -> billing::Result<Vec<String>> {
    let mut findings = Vec::new();
    if wanted.books {
        findings.extend(books(&store.check_books().await?));
    }
    if wanted.audit {
        findings.extend(trail(&store.check_trail(wanted.head).await?));
    }
    Ok(findings)
}

fn books(audit: &Audit) -> Option<String> {
    print(&format!("open calls: {}\nopen holds: {}\n", audit.open_calls, audit.open_holds));
    if audit.in_order() {
        print("books: in order\n");
        return None;
    }
    Some(listed("the books are not in order", &audit.findings))
}

fn trail(trail: &Trail) -> Option<String> {
    print(&format!("audit entries: {}\naudit head: {}\n", trail.entries, trail.head.hash));
    if trail.unchained > 0 {
        print(&format!("audit entries from before the chain: {}\n", trail.unchained));
    }
    if trail.in_order() {
        print("audit: in order\n");
        return None;
    }
    let mut findings = trail.findings.clone();
    if trail.holds == Some(false) {
        findings.push(
            "the hash given with --head is not in it: its end was cut off or it was made anew"
                .into(),
        );
    }
    Some(listed("the audit trail is not in order", &findings))
}

fn listed(what: &str, findings: &[String]) -> String {
    let findings: String = findings.iter().map(|finding| format!("  {finding}\n")).collect();
    format!("{what}:\n{findings}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_that_nobody_has_are_named() {
        let mut config = Config::default();
        config.recording.notice = Notice::Prompt("call-recorded".into());
        config.recording.consent.prompt = Some("recording-consent".into());
        assert_eq!(sounds(&config), Vec::<String>::new(), "these ship");
        config.recording.notice = Notice::Prompt("nosuch".into());
        config.recording.consent.prompt = Some("neither".into());
        config.prompts = Some("/no/such/folder".into());
        let missing = sounds(&config);
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert!(missing[0].contains("recording.notice") && missing[0].contains("nosuch"));
    }

    #[test]
    fn music_that_nobody_has_is_named_with_whose_it_is() {
        let mut config = Config::default();
        let name = |name: &str| Some(Track::Name(name.into()));
        config.hold_music.usual = name("callee-busy");
        config.hold_music.of.insert("acme".into(), name("voicemail-end"));
        config.hold_music.of.insert("far".into(), Some(Track::Url("https://a.example/".into())));
        config.hold_music.of.insert("quiet".into(), None);
        assert_eq!(sounds(&config), Vec::<String>::new());
        config.hold_music.usual = name("waltz");
        config.hold_music.of.insert("acme".into(), name("polka"));
        config.hold_music.at.insert("861087654321".into(), name("march"));
        let missing = [
            "media.hold_music: there is no announcement \"waltz\"",
            "media.hold_music of acme: there is no announcement \"polka\"",
            "media.hold_music of +861087654321: there is no announcement \"march\"",
        ];
        assert_eq!(sounds(&config), missing);
    }

    #[test]
    fn a_library_that_is_not_there_is_named_and_what_is_no_sound_in_a_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data: folder.path().join("data"), ..Config::default() };
        assert_eq!(
            sounds(&config),
            Vec::<String>::new(),
            "the usual one is made when it is wanted"
        );
        config.known = Some(folder.path().join("known"));
        let missing = sounds(&config);
        assert!(missing[0].starts_with("recognition.library: /"), "{missing:?}");
        assert!(missing[0].ends_with("/known is no folder") && missing.len() == 1, "{missing:?}");
        std::fs::create_dir(folder.path().join("known")).unwrap();
        std::fs::write(folder.path().join("known/off.prints"), "nothing").unwrap();
        std::fs::create_dir_all(folder.path().join("say/zh")).unwrap();
        std::fs::write(folder.path().join("say/zh/welcome.wav"), "nothing").unwrap();
        config.prompts = Some(folder.path().join("say"));
        assert_eq!(sounds(&config), Vec::<String>::new());
        let found = passed_over(&config);
        assert!(found[0].starts_with("media.prompts: ") && found[0].contains("zh/welcome.wav: "));
        assert!(found[1].starts_with("recognition.library: ") && found[1].contains("off.prints"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_program_that_speaks_and_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("say");
        let (named, path) = (file.to_str().unwrap(), Some(folder.path().as_os_str()));
        assert!(!is_program("say", path) && !is_program(named, path));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
        mode(0o644).unwrap();
        assert!(!is_program("say", path) && !is_program(named, None));
        mode(0o755).unwrap();
        assert!(is_program("say", path) && is_program(named, None) && !is_program("say", None));
        let mut config = Config::default();
        assert_eq!(unspoken(&config), None);
        config.speech = Some(vec![named.to_owned(), "{language}".to_owned()]);
        assert_eq!(unspoken(&config), None);
        std::fs::remove_file(&file).unwrap();
        assert!(unspoken(&config).is_some_and(|told| told.starts_with("speech.program: ")));
    }

    #[test]
    fn files_without_which_the_process_does_not_start_are_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut config = Config::default();
        assert_eq!(files(&config), Vec::<String>::new());
        let told = |config: &Config, start: &str, why: &str| {
            let found = files(config);
            assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
            assert!(found[0].contains(why), "{found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        };
        config.recording.keys = Some(at("keys"));
        told(&config, "recording.key_file: /", "No such file");
        std::fs::write(at("keys"), "2026 hunter2\n").unwrap();
        told(&config, "recording.key_file: /", "keys: ");
        std::fs::write(at("keys"), format!("2026 {}=\n", "A".repeat(43))).unwrap();
        assert_eq!(files(&config), Vec::<String>::new());
        config.recording.upload.endpoint = Some("https://s3.example".into());
        config.recording.upload.bucket = "calls-2026".into();
        told(&config, "recording.s3_credentials is not set", "");
        config.recording.upload.credentials = Some(at("s3"));
        told(&config, "recording.s3_credentials: /", "No such file");
        std::fs::write(at("s3"), "hunter2\n").unwrap();
        told(&config, "recording.s3_credentials: /", "not two lines");
        std::fs::write(at("s3"), "id\nhunter2\n").unwrap();
        assert_eq!(files(&config), Vec::<String>::new());
    }
}
