//! `tandem check`: looks for mistakes and changes nothing, not even a folder.

use std::path::Path;
use std::process::ExitCode;

use billing::Store as Books;
use billing::rows::Audit;
use billing::trail::Trail;
use call::Notice;
use facts::media::Codec;
use media::prompt::Store;

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
    let missing = sounds(config);
    if !missing.is_empty() {
        return failed(&missing.join("\n"));
    }
    print("settings: in order\n");
    for finding in secrets::open_to_others(config) {
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

/// Announcements that the settings name and nobody has. Whoever is recorded has to hear that he is, so this is a
/// mistake, though one that calls survive.
pub(crate) fn sounds(config: &Config) -> Vec<String> {
    let folder = config.prompts.as_deref();
    let (store, _) = Store::open(folder);
    let notice = match &config.recording.notice {
        Notice::Prompt(name) => Some(("recording.notice", name)),
        Notice::None | Notice::Tone => None,
    };
    let consent = config.recording.consent.prompt.as_ref().map(|name| ("recording.consent", name));
    let absent = |(_, name): &(&str, &String)| {
        ["zh", "en", "fa"].iter().all(|tongue| store.frames(name, tongue, Codec::Pcma).is_none())
    };
    let named = notice.into_iter().chain(consent).filter(absent);
    let mut missing: Vec<String> =
        named.map(|(knob, name)| format!("{knob}: there is no announcement {name:?}")).collect();
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        missing.push(format!("media.prompts: {} is no folder", folder.display()));
    }
    missing
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
}
