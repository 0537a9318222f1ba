//! The operator's hand: one file says what shall be there; `tandem apply` makes it so.

mod file;

use std::path::Path;
use std::process::ExitCode;

use billing::desired::{Act, Changes};
use billing::{Store, StoreConfig};

use crate::cli::{complain, failed, print};
use crate::config::Config;
use crate::document::{self, Mistake};
use crate::{clock, serve};
pub(crate) use file::OperatorFile;

/// Applies a file, or shows what it would change. Mistakes are reported all at once, with their lines.
pub(crate) async fn apply(config: &Config, path: &Path, dry_run: bool) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(&format!("cannot read {}: {error}", path.display())),
    };
    let opened = if dry_run && config.has_no_database() {
        // Nothing is there yet, and a look must not make it.
        Store::open("sqlite::memory:", StoreConfig::default()).await.map_err(Into::into)
    } else {
        serve::open_store(config).await
    };
    let store = match opened {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let outcome = apply_text(&store, path, &text, dry_run).await;
    store.close().await;
    match outcome {
        Ok(changes) => {
            print(&difference(&changes, dry_run));
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

/// Applies the text of a file to a store whose schema is brought up to date first.
///
/// # Errors
/// All mistakes in the file, or the store's failure.
pub(crate) async fn apply_text(
    store: &Store,
    path: &Path,
    text: &str,
    dry_run: bool,
) -> Result<Changes, Trouble> {
    store.migrate().await.map_err(Trouble::Store)?;
    let file = OperatorFile::read(path, text);
    // A file with mistakes of form is looked at for mistakes of meaning all the same: nobody wants to
    // hear of them one after the other.
    let dry = dry_run || !file.mistakes.is_empty();
    let changes = store.apply(&file.desired, clock::wall(), dry).await.map_err(Trouble::Store)?;
    let mistakes = file.all_mistakes(&changes.mistakes);
    if mistakes.is_empty() { Ok(changes) } else { Err(Trouble::Mistakes(mistakes)) }
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
