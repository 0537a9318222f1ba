//! The operator's hand: one file says what shall be there; `tandem apply` makes it so.

mod file;

use std::path::Path;
use std::process::ExitCode;

use api::guard::GuardedClient;
use billing::desired::{Act, Changes, Desired};
use billing::{Store, StoreConfig};
use facts::sound::Clip;

use crate::cli::{complain, failed, print};
use crate::config::Config;
use crate::document::{self, Mistake};
use crate::{check, clock, serve};
pub(crate) use file::{OperatorFile, is_operators};

/// Applies a file, or shows what it would change. Mistakes are reported all at once, with their lines.
pub(crate) async fn apply(config: &Config, path: &Path, dry_run: bool) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(&format!("cannot read {}: {error}", path.display())),
    };
    let opened = if dry_run && config.has_no_database() {
        // Nothing is there yet, and a look must not make it.
        Store::open("sqlite::memory:", StoreConfig::default()).await.map_err(Into::into)
    } else if dry_run {
        serve::open_kept(config).await
    } else {
        serve::open_store(config).await
    };
    let store = match opened {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let prompts = config.prompts.as_deref();
    let file = OperatorFile::read(path, &text);
    let outcome = apply_file(&store, &file, prompts, dry_run).await;
    let head = store.trail_head().await.unwrap_or_default();
    store.close().await;
    match outcome {
        Ok(changes) => {
            print(&difference(&changes, dry_run));
            for warning in warnings(config, &file) {
                complain(&format!("warning: {warning}"));
            }
            if !dry_run && changes.count(Act::Unchanged) != changes.lines.len() {
                print(&format!("audit entry {}, head {}\n", head.entry, head.hash));
            }
            ExitCode::SUCCESS
        }
        Err(Trouble::Mistakes(mistakes)) => {
            let count = mistakes.len();
            let plural = if count == 1 { "mistake" } else { "mistakes" };
            complain(&format!(
                "{count} {plural}; nothing was changed:\n{}",
                document::listed(&mistakes)
            ));
            ExitCode::from(2)
        }
        Err(Trouble::Store(error)) => failed(&error.to_string()),
    }
}

/// Why a file was not applied.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The file is wrong.
    Mistakes(Vec<Mistake>),
    /// The store failed.
    Store(billing::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Mistakes(mistakes) => f.write_str(&document::listed(mistakes)),
            Trouble::Store(error) => error.fmt(f),
        }
    }
}

/// Applies the text of a file to a store whose schema is brought up to date first. `prompts`: the folder of the operator's
/// announcements.
///
/// # Errors
/// All mistakes in the file, or the store's failure.
pub(crate) async fn apply_text(
    store: &Store,
    (path, text): (&Path, &str),
    prompts: Option<&Path>,
    dry_run: bool,
) -> Result<Changes, Trouble> {
    apply_file(store, &OperatorFile::read(path, text), prompts, dry_run).await
}

async fn apply_file(
    store: &Store,
    file: &OperatorFile,
    prompts: Option<&Path>,
    dry_run: bool,
) -> Result<Changes, Trouble> {
    store.migrate().await.map_err(Trouble::Store)?;
    // A file with mistakes of form is looked at for mistakes of meaning all the same: nobody wants to
    // hear of them one after the other.
    let unspeakable = unspeakable(file.desired(), prompts);
    let dry = dry_run || file.is_wrong() || !unspeakable.is_empty();
    let applied = store.apply_by(&actor(), file.desired(), clock::wall(), dry).await;
    let changes = applied.map_err(Trouble::Store)?;
    let found: Vec<_> = changes.mistakes.iter().cloned().chain(unspeakable).collect();
    let mistakes = file.all_mistakes(&found);
    if mistakes.is_empty() { Ok(changes) } else { Err(Trouble::Mistakes(mistakes)) }
}

/// What of it nobody could hear. The announcements are read only for files that have templates.
fn unspeakable(desired: &Desired, prompts: Option<&Path>) -> Vec<billing::desired::Mistake> {
    if desired.templates.is_empty() {
        return Vec::new();
    }
    let (sounds, _) = media::prompt::Store::open(prompts);
    let playable = |clip: &Clip| sounds.playable(clip).map_err(|why| why.to_string());
    billing::speech::unspeakable(desired, playable)
}

/// What is no mistake and perhaps not meant, by the settings that this program was started with.
fn warnings(config: &Config, file: &OperatorFile) -> Vec<Mistake> {
    // Where there is no client `serve` says why.
    let guard = GuardedClient::new(serve::parts::guard(config, &[])).ok();
    let (features, mute) = (&config.features.codes, check::mute(config));
    let told = api::warnings::warnings(file.desired(), guard.as_ref(), features, mute.as_deref());
    file.all_mistakes(&told)
}

/// Who runs this program, for the audit trail: the system's word, and sudo's when it was used.
fn actor() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let uid = std::fs::metadata("/proc/self").map_or("?".to_owned(), |own| own.uid().to_string());
    match std::env::var("SUDO_USER") {
        Ok(user) => format!("tandem apply, uid {uid}, sudo by {}", user.escape_default()),
        Err(_) => format!("tandem apply, uid {uid}"),
    }
}

/// The difference, for people.
pub(crate) fn difference(changes: &Changes, dry_run: bool) -> String {
    let mut text = String::new();
    for line in changes.lines.iter().filter(|line| line.act != Act::Unchanged) {
        text += &format!("{line}\n");
    }
    let (made, changed, removed) =
        (changes.count(Act::Created), changes.count(Act::Updated), changes.count(Act::Removed));
    if made + changed + removed == 0 {
        text += "nothing to change\n";
    } else {
        let would = if dry_run { "would be " } else { "" };
        text += &format!("{would}created {made}, updated {changed}, removed {removed}\n");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Config, Desired, OperatorFile, warnings};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use billing::desired;
    use serde::de::DeserializeOwned;

    /// The keys that a kind of object takes: what its reader says when it is given none of them.
    fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
        let Err(error) = toml::from_str::<T>("\"?\" = 1") else { panic!("it takes any key") };
        let error = error.message().to_owned();
        let known = error.split_once("expected ").unwrap().1;
        known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The keys in the first column of each section's table, by heading.
    fn page() -> BTreeMap<String, BTreeSet<String>> {
        let mut sections: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut heading = String::new();
        for line in include_str!("../../../docs/operator-file.md").lines() {
            if let Some(words) = line.strip_prefix('#') {
                heading = words.trim_matches(['#', ' ', '`', '[', ']']).to_owned();
            } else if let Some(row) = line.strip_prefix("| `") {
                let first = row.split('|').next().unwrap_or_default();
                let keys = first.split([' ', '`']).filter(|word| !word.is_empty());
                sections.entry(heading.clone()).or_default().extend(keys.map(str::to_owned));
            }
        }
        sections
    }

    #[test]
    fn s5_6_codes_that_features_hide_from_phones_are_told_and_menus_that_nothing_says() {
        let codes = ["*97#", "*8123*5#", "72*5", "*6655*123#", "*970#", "*97*1#"];
        let code = |code: &&str| {
            format!("[[ussd_codes]]\ncode = \"{code}\"\nmerchant = \"a\"\npage = \"http://a/\"\n")
        };
        let text: String = codes.iter().map(code).collect();
        let file = OperatorFile::read(Path::new("operator.toml"), &text);
        let mut config = Config { speech: Some(vec!["/bin/cat".into()]), ..Config::default() };
        let told = |config: &Config, file: &OperatorFile| -> Vec<String> {
            let told = warnings(config, file);
            told.iter().map(ToString::to_string).filter(|told| !told.contains(".page")).collect()
        };
        let words = ["*97# without its # is", "*8123*5# is", "*72*5# is"];
        let hidden = told(&config, &file);
        assert_eq!(hidden.len(), words.len(), "{hidden:#?}");
        for ((line, word), feature) in
            hidden.iter().zip(words).zip(["voicemail", "pickup", "forward"])
        {
            let whole = format!("{word} what extensions dial for features.{feature}:");
            assert!(line.contains(&whole) && line.contains("operator.toml"), "{line}");
        }
        config.features.codes = facts::Features::off();
        assert_eq!(told(&config, &file), [""; 0]);
        for (speech, why) in [
            (None, "speech.program is off"),
            (
                Some(vec!["espeak-nng".into(), "--stdin".into()]),
                "there is no program \"espeak-nng\"",
            ),
        ] {
            config.speech = speech;
            let silent = told(&config, &file);
            assert!(silent.len() == 1 && silent[0].contains(why), "{silent:?}");
            let nothing = OperatorFile::read(Path::new("operator.toml"), "");
            assert_eq!(told(&config, &nothing), [""; 0]);
        }
    }

    #[test]
    fn every_key_of_the_operators_file_is_on_its_page_and_no_other() {
        let kinds = BTreeMap::from([
            ("Top level", keys::<Desired>()),
            ("settings", keys::<desired::Settings>()),
            ("tariffs", keys::<desired::Tariff>()),
            ("tariffs.rates", keys::<desired::Rate>()),
            ("merchants", keys::<desired::Merchant>()),
            ("merchants.fraud", keys::<facts::fraud::FraudLimits>()),
            ("merchants.pool", keys::<facts::pool::Pool>()),
            ("merchants.capacity", keys::<facts::capacity::Capacity>()),
            ("sub_accounts", keys::<desired::SubAccount>()),
            ("extensions", keys::<desired::Extension>()),
            ("extensions.reach", keys::<desired::Reach>()),
            ("groups", keys::<desired::Group>()),
            ("trunks", keys::<desired::Trunk>()),
            ("trunks.options", keys::<facts::settings::TrunkOptions>()),
            ("trunks.options.session_timer", keys::<facts::manners::SessionTimer>()),
            ("trunks.options.quirks", keys::<facts::manners::Quirks>()),
            ("trunks.options.known_by", keys::<facts::manners::KnownBy>()),
            ("trunks.options.register", keys::<facts::carrier::Registration>()),
            ("trunks.options.probe", keys::<facts::carrier::Probe>()),
            ("trunks.options.rewrite", keys::<facts::manners::Rewrite>()),
            ("trunks.options.headers", keys::<facts::manners::HeaderRule>()),
            ("trunks.options.answers", keys::<facts::manners::AnswerRule>()),
            ("routes", keys::<desired::Route>()),
            ("inbound", keys::<desired::Inbound>()),
            ("top_ups", keys::<desired::TopUp>()),
            ("ytx_accounts", keys::<desired::YtxAccount>()),
            ("ytx_apps", keys::<desired::YtxApp>()),
            ("companies", keys::<desired::Company>()),
            ("templates", keys::<desired::Template>()),
            ("number_lists", keys::<desired::NumberList>()),
            ("policies", keys::<desired::Policy>()),
            ("ussd_codes", keys::<desired::UssdCode>()),
            ("ussd_owners", keys::<desired::UssdOwner>()),
            ("payment_gateways", keys::<desired::PaymentGateway>()),
            ("smpp_links", keys::<desired::SmppLink>()),
            ("sms", keys::<desired::Sms>()),
            ("sms_accounts", keys::<desired::SmsAccount>()),
            ("sms_keywords", keys::<desired::SmsKeyword>()),
            ("sms_hooks", keys::<desired::SmsHook>()),
        ]);
        let page = page();
        assert_eq!(page.keys().collect::<Vec<_>>(), kinds.keys().collect::<Vec<_>>());
        for (kind, keys) in &kinds {
            assert!(
                !keys.is_empty() && page[*kind] == *keys,
                "{kind}: {keys:?}, {:?}",
                page[*kind]
            );
        }
        // Every kind of the file has a section of its own.
        let lists = kinds["Top level"].iter().filter(|kind| *kind != "prune");
        assert!(lists.into_iter().all(|kind| kinds.contains_key(kind.as_str())));
    }
}
