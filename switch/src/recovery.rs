//! What the last process left behind: registrations, open calls, unfinished recordings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use billing::Store;
use billing::rows::MailboxCount;
use call::{Command, Reply};
use facts::media::RecordedFile;
use facts::{Binding, CallId};

use crate::clock;
use crate::directory::Directory;
use crate::inbox::{Fact, Inbox};

/// Finishes recordings that were cut off, by the call whose name they bear.
pub(crate) fn recordings(
    folder: &Path,
    keys: Option<&Arc<seal::Keys>>,
) -> BTreeMap<CallId, RecordedFile> {
    let leftovers = match media::recorder::recover(folder, keys) {
        Ok(leftovers) => leftovers,
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "unfinished recordings stay as they are");
            return BTreeMap::new();
        }
    };
    leftovers
        .recovered
        .into_iter()
        .filter_map(|file| call_of(&file.file).map(|call| (call, file)))
        .collect()
}

/// A recording bears the 19 digits of its call in its name.
pub(crate) fn call_of(file: &str) -> Option<CallId> {
    let digits = |part: &&str| part.len() == 19 && part.bytes().all(|b| b.is_ascii_digit());
    file.split(|c: char| !c.is_ascii_digit()).find(digits)?.parse().ok()
}

/// Ends sessions of menus that the last process left open: their subscribers have lost them with it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn menus(store: &Store, node: u16) -> billing::Result<()> {
    let lost = store.lose_menus(node, clock::wall()).await?;
    if lost > 0 {
        tracing::warn!(lost, "sessions of menus of the last process are over");
    }
    Ok(())
}

/// Gives the registrations of the last process to the engine and to the directory.
///
/// # Errors
/// Those of the store.
pub(crate) async fn bindings(
    store: &Store,
    inbox: &Inbox,
    directory: &Directory,
) -> billing::Result<()> {
    let rows = store.bindings(clock::wall()).await?;
    let bindings: Vec<Binding> = rows
        .iter()
        .filter_map(|row| match serde_json::from_str(&row.detail) {
            Ok(binding) => Some(binding),
            Err(error) => {
                tracing::warn!(%error, "a registration cannot be read and is forgotten");
                None
            }
        })
        .collect();
    for binding in &bindings {
        directory.keep(binding);
    }
    inbox.fact(Fact::Reply(Reply::Bindings(bindings)));
    Ok(())
}

/// Gives the calls that this node had open to the engine, oldest first: other nodes of the same database
/// may be alive. Says how many.
///
/// # Errors
/// Those of the store.
pub(crate) async fn calls(
    store: &Store,
    inbox: &Inbox,
    directory: &Directory,
    node: u16,
) -> billing::Result<usize> {
    let open = store.open_calls_of(node).await?;
    let count = open.len();
    for call in open {
        directory.call_began(call.call, call.command.dialect);
        inbox.fact(Fact::Command(Command::Recover(Box::new(call))));
    }
    Ok(count)
}

/// Gives the legs of settled calls to the engine whose far ends may still have to be told. Says how many.
///
/// # Errors
/// Those of the store.
pub(crate) async fn farewells(store: &Store, inbox: &Inbox, node: u16) -> billing::Result<usize> {
    let legs = store.farewells_of(node).await?;
    let count = legs.len();
    for leg in legs {
        inbox.fact(Fact::Command(Command::Farewell(Box::new(leg))));
    }
    Ok(count)
}

/// Tells the engine what each voice mailbox holds.
///
/// # Errors
/// Those of the store.
pub(crate) async fn mailboxes(store: &Store, inbox: &Inbox) -> billing::Result<()> {
    for MailboxCount { mailbox: user, new, old } in store.mailboxes().await? {
        inbox.fact(Fact::Command(Command::Mailbox { user, new, old }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3327_a_path_is_kept_and_what_an_older_program_wrote_has_none() {
        let old = "{\"user\":\"80001\",\"key\":\"sip:a@h\",\"contact\":\"sip:a@h\",\"q\":1000,\"expires\":1,\
                   \"call_id\":\"c\",\"cseq\":1,\"transport\":\"udp\",\"local\":\"192.0.2.1:5060\",\
                   \"remote\":\"192.0.2.2:5060\",\"updated\":0}";
        let mut binding: Binding = serde_json::from_str(old).expect("what was written");
        assert!(binding.path.is_empty());
        assert_eq!(serde_json::to_string(&binding).expect("text"), old, "and is written so again");
        binding.path = vec!["<sip:edge;lr>".into()];
        let text = serde_json::to_string(&binding).expect("text");
        assert_eq!(serde_json::from_str::<Binding>(&text).expect("what was written"), binding);
    }

    #[test]
    fn a_recording_is_known_by_the_digits_of_its_call() {
        let call = CallId(2_103_456_789_012_345_678);
        assert_eq!(call_of("20261121/2103456789012345678-ab12cd34.mp3"), Some(call));
        assert_eq!(call_of("ab/2103456789012345678.mp3"), Some(call));
        assert_eq!(call_of("12345.mp3"), None);
    }
}
