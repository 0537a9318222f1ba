//! Groups, and what the owners of extensions want done with calls to them.

use billing::desired::Act;
use billing::{Once, Store};

use crate::objects::{apply, everything};
use crate::support::*;

/// A team of the merchant of `everything`.
fn team(number: &str, members: &[&str]) -> billing::desired::Group {
    let text =
        format!("[[groups]]\nnumber = \"{number}\"\nmerchant = \"test\"\nmembers = {members:?}\n");
    from_toml(&text).groups.remove(0)
}

pub(crate) async fn groups_and_wishes_are_kept_and_what_is_wrong_with_them_is_told(
    store: Store,
    _: String,
) {
    use facts::{LeadsTo, Reach, Strategy};
    store.migrate().await.unwrap();
    let mut desired = everything();
    let mut group = team("70500", &["70000"]);
    group.strategy = Strategy::LongestIdle;
    group.otherwise = Some("70000".into());
    desired.groups.push(group);
    desired.inbound[0].extension = "70500".into();
    let reach = |text: &str| toml::from_str::<billing::desired::Reach>(text).unwrap();
    desired.extensions[0].reach =
        Some(reach("busy = \"70500\"\nno_answer = \"13800138000\"\nno_answer_s = 15"));
    assert_eq!(apply(&store, &desired).await.mistakes, []);
    let snapshot = store.snapshot().await.unwrap();
    let kept = &snapshot.groups["70500"];
    assert_eq!((kept.strategy, kept.ring_s, kept.timeout_s), (Strategy::LongestIdle, 20, 60));
    assert_eq!(kept.members, ["70000"]);
    assert_eq!(kept.otherwise, Some(LeadsTo::Internal("70000".into())));
    assert_eq!(snapshot.inbound["861088888888"], "70500");
    let wishes = Reach {
        busy: Some(LeadsTo::Internal("70500".into())),
        no_answer: Some(LeadsTo::Public("8613800138000".into())),
        no_answer_s: Some(15),
        ..Reach::default()
    };
    assert_eq!(snapshot.extensions["70000"].reach, wishes);
    assert_eq!(store.groups().await.unwrap()[0].number, "70500");
    // A file that says nothing of them leaves them.
    desired.extensions[0].reach = None;
    assert_eq!(apply(&store, &desired).await.count(Act::Updated), 0);
    assert_eq!(store.snapshot().await.unwrap().extensions["70000"].reach, wishes);
    // What its owner dials.
    let set = facts::ReachSet::Busy(None);
    let before = store.trail_head().await.unwrap().entry;
    let once = Once::fresh().unwrap();
    // Asked again, as after an answer that was lost; and by nobody.
    for (user, done) in [("70000", true), ("70000", true), ("79999", false)] {
        assert_eq!(store.set_reach(&once, at(5), user.into(), set.clone()).await.unwrap(), done);
    }
    let entries = store.trail(before, 100).await.unwrap();
    assert_eq!(entries.len(), 1, "the audit trail tells of it once");
    let entry = &entries[0];
    assert_eq!((entry.actor.as_str(), entry.act.as_str()), ("extension 70000", "set_reach"));
    assert_eq!((entry.at, &entry.changes["extension"]), (at(5), &"70000".into()));
    assert_eq!(entry.changes["after"]["busy"], serde_json::Value::Null);
    assert_eq!(u64::try_from(entry.version).unwrap(), snapshot.version + 1);
    let dialled = store.snapshot().await.unwrap();
    assert_eq!(dialled.extensions["70000"].reach, Reach { busy: None, ..wishes });
    assert_eq!(dialled.version, snapshot.version + 1);
    // What still is needed is not pruned.
    let mut pruned = desired.clone();
    pruned.prune = true;
    pruned.groups[0] = team("70501", &["70000"]);
    let changes = apply(&store, &pruned).await;
    assert!(changes.mistakes.iter().any(|mistake| mistake.message.contains("cannot go")));
    let mut wrong = desired.clone();
    wrong.groups = vec![
        team("70000", &["70000"]),
        team("70502", &["70000", "70000", "79999"]),
        team("12", &[]),
        billing::desired::Group { ring: 0, timeout: 601, ..team("70503", &[]) },
        billing::desired::Group { otherwise: Some("70504".into()), ..team("70504", &[]) },
        billing::desired::Group { otherwise: Some("79998".into()), ..team("70505", &[]) },
        billing::desired::Group { otherwise: Some("no".into()), ..team("70506", &[]) },
    ];
    wrong.extensions[0].reach =
        Some(reach("always = \"79997\"\nbusy = \"70000\"\nno_answer_s = 0"));
    let changes = apply(&store, &wrong).await;
    let paths: Vec<&str> = changes.mistakes.iter().map(|m| m.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "extensions[0].reach.always",
            "extensions[0].reach.busy",
            "extensions[0].reach.no_answer_s",
            "groups[0].number",
            "groups[1].members[1]",
            "groups[1].members[2]",
            "groups[2].number",
            "groups[3].ring",
            "groups[3].timeout",
            "groups[4].otherwise",
            "groups[5].otherwise",
            "groups[6].otherwise",
        ],
        "{changes:?}"
    );
}
