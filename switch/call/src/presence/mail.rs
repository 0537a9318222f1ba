//! What waits in mailboxes, as far as somebody told us. Who keeps the messages tells the counts anew after
//! each start.

use std::collections::BTreeMap;

/// Mailboxes that hold anything, at most.
const MAILBOXES_MAX: usize = 100_000;

/// Messages that one mailbox holds at most: then it takes no more.
const MESSAGES_MAX: u32 = 100;

/// What a mailbox holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mail {
    /// Messages that nobody has heard.
    pub(crate) new: u32,
    /// Messages that were heard and kept.
    pub(crate) old: u32,
}

impl Mail {
    /// True when there is no room for another message.
    pub(crate) fn is_full(self) -> bool {
        self.new.saturating_add(self.old) >= MESSAGES_MAX
    }
}

/// All that hold anything, by extension.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    held: BTreeMap<String, Mail>,
}

impl Mailboxes {
    /// What the mailbox of an extension holds now. True when that is another thing than before; false as well
    /// when there is no room to remember it.
    pub(crate) fn put(&mut self, user: &str, mail: Mail) -> bool {
        if self.of(user) == mail {
            return false;
        }
        if mail == Mail::default() {
            return self.held.remove(user).is_some();
        }
        if self.held.len() >= MAILBOXES_MAX && !self.held.contains_key(user) {
            return false;
        }
        self.held.insert(user.to_owned(), mail);
        true
    }

    /// What the mailbox of an extension holds; nothing, unless somebody told.
    pub(crate) fn of(&self, user: &str) -> Mail {
        self.held.get(user).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3842_3_only_a_change_is_news_and_an_empty_mailbox_takes_no_room() {
        let mut boxes = Mailboxes::default();
        let one = Mail { new: 1, old: 0 };
        assert!(boxes.put("80001", one) && !boxes.put("80001", one));
        assert!(boxes.put("80001", Mail { new: 0, old: 1 }));
        assert_eq!((boxes.of("80001").old, boxes.of("80002")), (1, Mail::default()));
        assert!(!boxes.put("80002", Mail::default()));
        assert!(boxes.put("80001", Mail::default()) && boxes.held.is_empty());
    }
}
