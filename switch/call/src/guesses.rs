//! Guesses at one user's password from many addresses (conformance F11): no source is guilty enough to be
//! banned, so the user is guarded instead.
//!
//! Wrong passwords fill an account of the user that leaks. While it is full, a password that comes from where
//! the user has no phone is looked at only now and then; for the rest of the time it is as good as wrong, and
//! nobody can tell. Phones that are registered renew and call from where they are as ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Wrong passwords after which a user is guarded.
const WRONG_MAX: u32 = 20;
/// One of them is forgotten in this time.
const LEAK: Duration = Duration::from_secs(60);
/// While a user is guarded, one password from elsewhere is looked at in this time.
const PAUSE: Duration = Duration::from_secs(10);
/// Time between two looks through all accounts.
const SWEEP: Duration = Duration::from_secs(1);
/// Users that have an account at most.
const USERS_MAX: usize = 65_536;

/// The accounts.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    users: BTreeMap<String, Account>,
    /// When accounts were looked through last.
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Account {
    /// Wrong passwords as of `at`.
    wrong: u32,
    at: Instant,
    /// When a password from elsewhere was looked at last.
    looked: Option<Instant>,
}

impl Guesses {
    /// Somebody named this user, who is there, with a wrong password.
    pub(crate) fn wrong(&mut self, now: Instant, user: &str) {
        if let Some(account) = self.users.get_mut(user) {
            account.leak(now);
            // No more than full: it must empty as soon as it is over.
            account.wrong = (account.wrong + 1).min(2 * WRONG_MAX);
            return;
        }
        if self.users.len() >= USERS_MAX && self.may_sweep(now) {
            self.users.retain(|_, account| {
                account.leak(now);
                account.wrong > 0
            });
        }
        if self.users.len() < USERS_MAX {
            let account = Account { wrong: 1, at: now, looked: None };
            self.users.insert(user.to_owned(), account);
        }
    }

    /// Not too often: a flood must not make one look for each of its messages.
    fn may_sweep(&mut self, now: Instant) -> bool {
        let rested = |at: Instant| now.saturating_duration_since(at) >= SWEEP;
        let may = self.swept.is_none_or(rested);
        if may {
            self.swept = Some(now);
        }
        may
    }

    /// Whether a password for this user from where no phone of his is may be looked at now.
    pub(crate) fn may_look(&mut self, now: Instant, user: &str) -> bool {
        let Some(account) = self.users.get_mut(user) else { return true };
        account.leak(now);
        if account.wrong < WRONG_MAX {
            return true;
        }
        let rested = |at: Instant| now.saturating_duration_since(at) >= PAUSE;
        let may = account.looked.is_none_or(rested);
        if may {
            account.looked = Some(now);
        }
        may
    }
}

impl Account {
    fn leak(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs() / LEAK.as_secs();
        let forgotten = u32::try_from(passed).unwrap_or(u32::MAX);
        if forgotten > 0 {
            self.wrong = self.wrong.saturating_sub(forgotten);
            self.at += LEAK * forgotten.min(2 * WRONG_MAX);
            if self.wrong == 0 {
                self.at = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::start;

    #[test]
    fn f11_after_twenty_wrong_passwords_one_is_looked_at_every_ten_seconds() {
        let begun = start().mono;
        let mut guesses = Guesses::default();
        for _ in 0..WRONG_MAX {
            assert!(guesses.may_look(begun, "80001"));
            guesses.wrong(begun, "80001");
        }
        let looks = |guesses: &mut Guesses, seconds: std::ops::Range<u64>| {
            let at = seconds.map(|second| begun + Duration::from_secs(second));
            let mut looks = 0;
            for now in at {
                if guesses.may_look(now, "80001") {
                    looks += 1;
                    guesses.wrong(now, "80001");
                }
            }
            looks
        };
        // Ten thousand guesses at four a second, say: not one in forty is looked at.
        assert_eq!(looks(&mut guesses, 0..2_500), 250);
        assert!(guesses.may_look(begun, "80002"), "others are not touched");
        let hour = begun + Duration::from_secs(2_500 + 3_600);
        assert!((0..5).all(|_| guesses.may_look(hour, "80001")), "it is forgotten");
    }

    #[test]
    fn the_table_is_bounded() {
        let begun = start().mono;
        let mut guesses = Guesses::default();
        for n in 0..70_000 {
            guesses.wrong(begun, &n.to_string());
        }
        assert_eq!(guesses.users.len(), USERS_MAX);
        guesses.wrong(begun + Duration::from_secs(61), "new");
        assert_eq!(guesses.users.len(), 1);
    }
}
