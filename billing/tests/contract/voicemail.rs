//! Messages in mailboxes.

use billing::rows::MailboxCount;
use billing::{Once, Store};
use facts::record::Message;
use facts::{CallId, LeadsTo, Reach};

use crate::support::*;

/// Extensions 70000 and 70001 of one merchant.
async fn with_extensions(store: &Store) -> facts::MerchantId {
    let merchant = fill(store, "10").await;
    let mut desired = basics("0");
    let text = "[[extensions]]\nnumber = \"70001\"\nmerchant = \"test\"\npassword = \"secret\"\n";
    desired.extensions.extend(from_toml(text).extensions);
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(changes.mistakes, []);
    merchant
}

async fn leave(store: &Store, command: &facts::CallCommand, call: u64, mailbox: &str) {
    granted(store, call, command).await;
    let mut facts = facts(call, command, Some((Some(0), 10)), None);
    facts.message = Some(Message {
        mailbox: mailbox.into(),
        caller: "+8613800138000".into(),
        at: at(3),
        file: facts::media::RecordedFile {
            file: format!("ab/{call}.mp3"),
            duration_ms: 7_000,
            bytes: 70_000,
            sha256: String::new(),
            other: None,
        },
    });
    // A settlement that is told twice leaves one message.
    for _ in 0..2 {
        store.settle(facts.clone(), context()).await.unwrap();
    }
}

async fn holds(store: &Store, mailbox: &str) -> (u32, u32) {
    let MailboxCount { new, old, .. } = store.mailbox(mailbox.into()).await.unwrap();
    (new, old)
}

pub(crate) async fn a_message_comes_with_its_settlement_and_is_counted_heard_and_deleted(
    store: Store,
    _: String,
) {
    let merchant = with_extensions(&store).await;
    let command = command(merchant, HOME, HOME_B);
    assert_eq!(holds(&store, "70000").await, (0, 0));
    for (call, mailbox) in [(1, "70000"), (2, "70001"), (3, "70000"), (4, "79999")] {
        leave(&store, &command, call, mailbox).await;
    }
    assert_eq!(holds(&store, "70000").await, (2, 0));
    let count = |mailbox: &str, new, old| MailboxCount { mailbox: mailbox.into(), new, old };
    store.hear_voice_message(CallId(1)).await.unwrap();
    let all = store.mailboxes().await.unwrap();
    assert_eq!(all, [count("70000", 1, 1), count("70001", 1, 0)], "79999 is nobody");
    let of = async |mailbox: Option<&str>, after, limit| {
        let page = (CallId(after), limit);
        let rows = store.voicemail(mailbox.map(str::to_owned), Some(merchant), page).await;
        rows.unwrap().iter().map(|row| (row.call.0, row.heard)).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("70000"), 0, 10).await, [(1, true), (3, false)]);
    assert_eq!(of(None, 1, 1).await, [(2, false)]);
    let message = store.voice_message(CallId(1)).await.unwrap().unwrap();
    assert_eq!((message.mailbox.as_str(), message.file.as_str()), ("70000", "ab/1.mp3"));
    assert_eq!((message.duration_ms, message.bytes, message.at), (7_000, 70_000, at(3)));
    assert_eq!(message.merchant, merchant);
    // The record tells of the message, and that it is no recording.
    let record = store.call(CallId(1)).await.unwrap().unwrap().record.unwrap();
    assert_eq!((record.facts.message.is_some(), record.recording_url), (true, None));
    // What its owner does by phone is in the audit trail, and concerns his own mailbox.
    let before = store.trail_head().await.unwrap().entry;
    let by_phone = async |user: &str, call| {
        let once = Once::fresh().unwrap();
        store.delete_own_message(&once, at(9), user.into(), CallId(call)).await.unwrap()
    };
    assert_eq!(by_phone("70000", 2).await, None);
    assert_eq!(by_phone("70001", 2).await.map(|gone| gone.file), Some("ab/2.mp3".into()));
    assert_eq!(by_phone("70001", 2).await, None, "it is gone");
    let entries = store.trail(before, 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].actor.as_str(), entries[0].act.as_str()),
        ("extension 70001", "delete_voicemail")
    );
    assert_eq!(entries[0].changes["call"], CallId(2).to_string());
    assert!(store.check_trail(None).await.unwrap().in_order());
    let gone = store.delete_voice_message(CallId(1)).await.unwrap();
    assert_eq!(gone, Some(message));
    assert_eq!(store.delete_voice_message(CallId(1)).await.unwrap(), None);
    assert_eq!(store.voice_message(CallId(1)).await.unwrap(), None);
    assert_eq!(holds(&store, "70000").await, (1, 0));
    in_order(&store).await;
}

pub(crate) async fn a_mailbox_is_named_by_its_word_or_by_an_extension(store: Store, _: String) {
    with_extensions(&store).await;
    let mut desired = basics("0");
    let reach = |always: &str| {
        let text = format!(
            "[[extensions]]\nnumber = \"70000\"\nmerchant = \"test\"\n[extensions.reach]\nalways = \"{always}\"\n"
        );
        from_toml(&text).extensions
    };
    for (written, user) in [("voicemail", "70000"), ("voicemail:70001", "70001")] {
        desired.extensions = reach(written);
        let changes = store.apply(&desired, T0, false).await.unwrap();
        assert_eq!(changes.mistakes, [], "{written}");
        let always = Some(LeadsTo::Voicemail(user.into()));
        let kept = &store.snapshot().await.unwrap().extensions["70000"].reach;
        assert_eq!(*kept, Reach { always, ..Reach::default() });
    }
    // Another merchant's mailbox is not for its messages: one that is there, or comes in the same file.
    let mut other = desired.clone();
    let theirs = from_toml(
        "[[extensions]]\nnumber = \"70009\"\nmerchant = \"other\"\npassword = \"secret\"\n",
    );
    other.extensions = theirs.extensions;
    let all = other.extensions.clone();
    for there in [false, true] {
        other.extensions = all.clone();
        other.extensions.extend(reach("voicemail:70009"));
        if there {
            other.extensions.remove(0);
        }
        let changes = store.apply(&other, T0, false).await.unwrap();
        assert_eq!(changes.mistakes.len(), 1, "{there}: {:?}", changes.mistakes);
        assert!(changes.mistakes[0].path.ends_with("reach.always"), "{:?}", changes.mistakes);
        assert!(changes.mistakes[0].message.contains("another merchant"), "{:?}", changes.mistakes);
        other.extensions = all.clone();
        assert_eq!(store.apply(&other, T0, false).await.unwrap().mistakes, []);
    }
    let mut theirs = other.clone();
    theirs.extensions.clear();
    theirs.groups = from_toml(
        "[[groups]]\nnumber = \"70501\"\nmerchant = \"other\"\nmembers = []\notherwise = \"voicemail:70001\"\n",
    )
    .groups;
    let changes = store.apply(&theirs, T0, false).await.unwrap();
    assert!(changes.mistakes[0].message.contains("another merchant"), "{:?}", changes.mistakes);
    for wrong in ["voicemail:79999", "voicemail:", "voicemail70001", "voicemail: 70001"] {
        desired.extensions = reach(wrong);
        let changes = store.apply(&desired, T0, false).await.unwrap();
        assert_eq!(changes.mistakes.len(), 1, "{wrong}");
        assert_eq!(changes.mistakes[0].path, "extensions[0].reach.always");
    }
    let group = |otherwise: &str| {
        let text = format!(
            "[[groups]]\nnumber = \"70500\"\nmerchant = \"test\"\nmembers = []\notherwise = \"{otherwise}\"\n"
        );
        from_toml(&text).groups
    };
    desired.extensions.clear();
    desired.groups = group("voicemail:70001");
    assert_eq!(store.apply(&desired, T0, false).await.unwrap().mistakes, []);
    let kept = store.snapshot().await.unwrap().groups["70500"].otherwise.clone();
    assert_eq!(kept, Some(LeadsTo::Voicemail("70001".into())));
    desired.groups = group("voicemail");
    let changes = store.apply(&desired, T0, false).await.unwrap();
    assert_eq!(changes.mistakes.len(), 1, "a group has no mailbox of its own");
}
