//! Groups of extensions, and what becomes of calls to an extension.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Group, LeadsTo, Number};

use super::Run;
use super::kinds::is_internal;
use super::sync::{Item, Show, Table, set};
use crate::db::{args, json, word};
use crate::desired::Reach;
use crate::error::Result;

const GROUPS: Table = Table {
    kind: "group",
    table: "extension_groups",
    keys: &["number"],
    columns: &[
        ("merchant_id", Show::Name("merchants")),
        ("name", Show::Plain),
        ("enabled", Show::Truth),
        ("strategy", Show::Plain),
        ("members", Show::Plain),
        ("ring_s", Show::Plain),
        ("timeout_s", Show::Plain),
        ("otherwise", Show::Plain),
        ("record", Show::Record),
    ],
};

/// Internal numbers and whose they are, as far as the transaction has come.
#[derive(Default)]
pub(super) struct Internal {
    pub(super) extensions: BTreeMap<String, i64>,
    pub(super) groups: BTreeMap<String, i64>,
}

/// Who leads a call on.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    /// The extension, if it is one.
    pub(super) extension: Option<&'a str>,
    /// Name and row of its merchant; without a row that one has a mistake.
    pub(super) merchant: (&'a str, Option<i64>),
}

impl Run<'_> {
    pub(super) async fn internal(&mut self) -> Result<Internal> {
        let mut internal = Internal::default();
        for row in self.conn.rows("SELECT number, merchant_id FROM extensions", args![]).await? {
            internal.extensions.insert(row.text(0)?, row.int(1)?);
        }
        let sql = "SELECT number, merchant_id FROM extension_groups";
        for row in self.conn.rows(sql, args![]).await? {
            internal.groups.insert(row.text(0)?, row.int(1)?);
        }
        Ok(internal)
    }

    /// Where a call is led on to: an extension or a group that there is, a public number, or a mailbox.
    fn leads_to(
        &mut self,
        (path, whose): (&str, Whose<'_>),
        text: &str,
        internal: &Internal,
    ) -> Option<LeadsTo> {
        if let Some(mailbox) = text.strip_prefix(LeadsTo::VOICEMAIL) {
            return self.mailbox((path, whose), mailbox, internal);
        }
        let named = |kind, of: &BTreeMap<String, i64>| {
            of.contains_key(text) || self.check.names_it(kind, text)
        };
        if named("extensions", &internal.extensions) || named("groups", &internal.groups) {
            return Some(LeadsTo::Internal(text.to_owned()));
        }
        match self.check.plan.parse(text) {
            Ok(Number::E164(digits)) => Some(LeadsTo::Public(digits)),
            Ok(Number::Short(_) | Number::Internal(_)) => {
                let why = "no extension and no group has this number, and it is no public one";
                self.check.wrong(path, format!("{text}: {why}"));
                None
            }
            Err(error) => {
                self.check.wrong(path, format!("{text:?}: {error}"));
                None
            }
        }
    }

    /// `voicemail`, which is an extension's own mailbox, or `voicemail:` and the extension whose it is: one of the
    /// same merchant.
    fn mailbox(
        &mut self,
        (path, whose): (&str, Whose<'_>),
        rest: &str,
        internal: &Internal,
    ) -> Option<LeadsTo> {
        let user = match (rest, whose.extension) {
            ("", Some(own)) => return Some(LeadsTo::Voicemail(own.to_owned())),
            _ => rest.strip_prefix(':').unwrap_or_default(),
        };
        let named = self.desired.extensions.iter().find(|extension| extension.number == user);
        let named = named.map(|extension| extension.merchant == whose.merchant.0);
        let known = internal.extensions.get(user).map(|owner| Some(*owner) == whose.merchant.1);
        let word = LeadsTo::VOICEMAIL;
        match named.or(known) {
            Some(true) => return Some(LeadsTo::Voicemail(user.to_owned())),
            // Who is not known has a mistake of his own.
            Some(false) if whose.merchant.1.is_none() => return None,
            Some(false) => {
                let why = "belongs to another merchant, whose mailbox it would be";
                self.check.wrong(path, format!("{word}:{user}: {user} {why}"));
                return None;
            }
            None => {}
        }
        let why = format!("`{word}:` and the number of an extension that there is was expected");
        self.check.wrong(path, why);
        None
    }

    /// The wishes of an extension as they are kept; `None` with a mistake.
    pub(super) fn reach(
        &mut self,
        (path, whose): (&str, Whose<'_>),
        reach: &Reach,
        internal: &Internal,
    ) -> Option<facts::Reach> {
        let before = self.check.mistakes.len();
        let mut to = |key: &str, text: &Option<String>| {
            let path = format!("{path}.{key}");
            text.as_deref().and_then(|text| self.leads_to((&path, whose), text, internal))
        };
        let kept = facts::Reach {
            dnd: reach.dnd,
            always: to("always", &reach.always),
            busy: to("busy", &reach.busy),
            no_answer: to("no_answer", &reach.no_answer),
            no_answer_s: reach.no_answer_s,
            unreachable: to("unreachable", &reach.unreachable),
        };
        // As who dials it is told: it would not lead anywhere else.
        let wishes = [
            ("always", &kept.always),
            ("busy", &kept.busy),
            ("no_answer", &kept.no_answer),
            ("unreachable", &kept.unreachable),
        ];
        for (key, to) in wishes {
            if matches!((to, whose.extension), (Some(LeadsTo::Internal(to)), Some(own)) if to == own)
            {
                self.check.wrong(format!("{path}.{key}"), "leads to the extension itself");
            }
        }
        let span = facts::Reach::SECONDS;
        if reach.no_answer_s.is_some_and(|seconds| !span.contains(&seconds)) {
            let why = format!("{} to {} seconds", span.start(), span.end());
            self.check.wrong(format!("{path}.no_answer_s"), why);
        }
        (self.check.mistakes.len() == before).then_some(kept)
    }

    pub(super) async fn groups(&mut self) -> Result<()> {
        let desired = self.desired;
        let internal = self.internal().await?;
        let mut items = Vec::new();
        for (i, group) in desired.groups.iter().enumerate() {
            let path = format!("groups[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &group.merchant);
            if !is_internal(&group.number) {
                let message = "an internal number has 5 to 10 digits and does not start with 0";
                self.check.wrong(format!("{path}.number"), message);
            }
            if internal.extensions.contains_key(&group.number) {
                self.check.wrong(format!("{path}.number"), "is the number of an extension");
            }
            let owner = internal.groups.get(&group.number);
            if owner.is_some_and(|owner| merchant.is_some_and(|merchant| merchant != *owner)) {
                self.check.wrong(format!("{path}.number"), "belongs to another merchant");
            }
            self.members((&path, merchant), &group.members, &internal);
            let span = Group::SECONDS;
            for (key, seconds) in [("ring", group.ring), ("timeout", group.timeout)] {
                if !span.contains(&seconds) {
                    let why = format!("{} to {} seconds", span.start(), span.end());
                    self.check.wrong(format!("{path}.{key}"), why);
                }
            }
            let otherwise = group.otherwise.as_deref();
            let to = format!("{path}.otherwise");
            let whose = Whose { extension: None, merchant: (&group.merchant, merchant) };
            let otherwise = otherwise.and_then(|text| self.leads_to((&to, whose), text, &internal));
            if otherwise == Some(LeadsTo::Internal(group.number.clone())) {
                self.check.wrong(to, "leads back to the group itself");
            }
            if self.check.mistakes.len() != before {
                continue;
            }
            // Named in the file, but with a mistake of its own: that one is reported.
            let Some(merchant) = merchant else { continue };
            items.push(Item {
                name: group.number.clone(),
                key: args![&group.number],
                cells: vec![
                    set(merchant),
                    set(&group.name),
                    set(group.enabled),
                    set(word(&group.strategy)?),
                    set(json(&group.members)?),
                    set(group.ring),
                    set(group.timeout),
                    set(otherwise.map(|otherwise| json(&otherwise)).transpose()?),
                    set(group.record.code()),
                ],
            });
        }
        self.sync(&GROUPS, items).await?;
        Ok(())
    }

    /// Members are extensions of the group's merchant, each once.
    fn members(
        &mut self,
        (path, merchant): (&str, Option<i64>),
        members: &[String],
        internal: &Internal,
    ) {
        let path = format!("{path}.members");
        if members.len() > Group::MEMBERS_MAX {
            self.check.wrong(&path, format!("{} at most", Group::MEMBERS_MAX));
        }
        let mut seen = BTreeSet::new();
        for (n, member) in members.iter().enumerate() {
            let path = format!("{path}[{n}]");
            let owner = self.check.find(&path, "extensions", member, &internal.extensions);
            if owner.zip(merchant).is_some_and(|(owner, merchant)| owner != merchant) {
                self.check.wrong(&path, format!("{member} belongs to another merchant"));
            }
            if !seen.insert(member) {
                self.check.wrong(path, format!("{member} is in it twice"));
            }
        }
    }
}
