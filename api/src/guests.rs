//! Who says a password with each request, as programs of system 003 do (spec §5.4, §5.5): it is stretched once and remembered,
//! and too many wrong ones lock their name out for a while.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::door::source;

/// Wrong passwords under one name from one address, within this time, after which it waits.
const WRONG_MAX: usize = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(600);
/// For so long.
const LOCKED: Duration = Duration::from_secs(900);
/// Names of which wrong passwords are remembered, and those whose right ones are.
const NAMES_MAX: usize = 16_384;
/// Passwords that wait to be stretched at most, and those of one address: who guesses there keeps out nobody elsewhere.
const WAITING_MAX: usize = 64;
const WAITING_OF_ONE_MAX: usize = 32;

/// What a password came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// It is that of whoever has the name.
    Right,
    Wrong,
    /// There were too many wrong ones.
    Locked,
}

/// What is remembered of those who ask.
#[derive(Debug)]
pub(crate) struct Guests {
    /// Passwords are stretched one after the other: a lock holds for all that wait behind the one that brought it.
    turn: Semaphore,
    waiting: Mutex<Waiting>,
    wrong: Mutex<BTreeMap<(IpAddr, String), Wrong>>,
    /// Hashes of passwords, each with the one that fitted: to stretch it again takes tens of milliseconds.
    right: Mutex<BTreeMap<String, [u8; 32]>>,
}

#[derive(Debug, Default)]
struct Wrong {
    at: VecDeque<Instant>,
    until: Option<Instant>,
}

impl Default for Guests {
    fn default() -> Guests {
        Guests {
            turn: Semaphore::new(1),
            waiting: Mutex::default(),
            wrong: Mutex::default(),
            right: Mutex::default(),
        }
    }
}

impl Guests {
    /// Whether a password is the one that is kept under the name, as its hash. A name that nobody has takes as long as a
    /// wrong password.
    ///
    /// # Errors
    /// When too many wait.
    pub(crate) async fn judge(
        &self,
        key: (IpAddr, String),
        hash: Option<String>,
        password: &str,
    ) -> billing::Result<Judged> {
        if self.is_locked(&key, Instant::now()) {
            return Ok(Judged::Locked);
        }
        if hash.as_ref().is_some_and(|hash| self.remembers(hash, password)) {
            return Ok(Judged::Right);
        }
        let _place = Place::take(&self.waiting, source(key.0)).ok_or(billing::Error::Busy)?;
        let Ok(_turn) = self.turn.acquire().await else { return Err(billing::Error::Closed) };
        if self.is_locked(&key, Instant::now()) {
            return Ok(Judged::Locked);
        }
        // Somebody before may have brought the same.
        if hash.as_ref().is_some_and(|hash| self.remembers(hash, password)) {
            return Ok(Judged::Right);
        }
        Ok(if stretched(hash.clone(), password).await {
            self.remember(hash, password);
            Judged::Right
        } else {
            self.wrong(key, Instant::now());
            Judged::Wrong
        })
    }

    fn is_locked(&self, key: &(IpAddr, String), now: Instant) -> bool {
        lock(&self.wrong).get(key).and_then(|wrong| wrong.until).is_some_and(|until| now < until)
    }

    fn wrong(&self, key: (IpAddr, String), now: Instant) {
        let mut table = lock(&self.wrong);
        if table.len() >= NAMES_MAX && !table.contains_key(&key) {
            let fresh = |at: &Instant| now.saturating_duration_since(*at) < WRONG_WITHIN;
            table.retain(|_, wrong| {
                wrong.until.is_some_and(|until| now < until) || wrong.at.iter().any(fresh)
            });
            if table.len() >= NAMES_MAX {
                table.pop_first();
            }
        }
        let ip = key.0;
        let wrong = table.entry(key).or_default();
        wrong.at.push_back(now);
        while wrong.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= WRONG_WITHIN)
        {
            wrong.at.pop_front();
        }
        if wrong.at.len() >= WRONG_MAX {
            wrong.at.clear();
            wrong.until = Some(now + LOCKED);
            // Not the name: it may be a number of somebody's, or a password in the wrong field.
            tracing::info!(%ip, seconds = LOCKED.as_secs(), "too many wrong passwords for one name: it is locked");
        }
    }

    fn remembers(&self, hash: &str, password: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let kept = lock(&self.right).get(hash).copied();
        kept.is_some_and(|kept| bool::from(kept.ct_eq(&digest(hash, password))))
    }

    fn remember(&self, hash: Option<String>, password: &str) {
        let Some(hash) = hash else { return };
        let mut right = lock(&self.right);
        if right.len() >= NAMES_MAX {
            right.clear();
        }
        let digest = digest(&hash, password);
        right.insert(hash, digest);
    }
}

fn digest(hash: &str, password: &str) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(format!("{hash}\n{password}").as_bytes()).into()
}

/// Whether it is the password. It is stretched once, whether there is a hash or not.
async fn stretched(hash: Option<String>, password: &str) -> bool {
    let password = password.to_owned();
    let judged =
        tokio::task::spawn_blocking(move || billing::is_password(&password, hash.as_deref()));
    judged.await.unwrap_or(false)
}

/// A place among those who wait for their turn.
struct Place<'a>(&'a Mutex<Waiting>, IpAddr);

/// How many wait, of each address.
#[derive(Debug, Default)]
struct Waiting {
    all: usize,
    of: BTreeMap<IpAddr, usize>,
}

impl Place<'_> {
    fn take(waiting: &Mutex<Waiting>, from: IpAddr) -> Option<Place<'_>> {
        let mut held = lock(waiting);
        let of = held.of.get(&from).copied().unwrap_or_default();
        if held.all >= WAITING_MAX || of >= WAITING_OF_ONE_MAX {
            return None;
        }
        held.all += 1;
        held.of.insert(from, of + 1);
        Some(Place(waiting, from))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut held = lock(self.0);
        held.all -= 1;
        match held.of.get_mut(&self.1) {
            Some(of) if *of > 1 => *of -= 1,
            _ => {
                held.of.remove(&self.1);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn s5_4_ten_wrong_passwords_in_ten_minutes_lock_for_fifteen() {
        let guests = Guests::default();
        let key = |name: &str| ("192.0.2.1".parse().unwrap(), name.to_owned());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for nth in 0..9 {
            guests.wrong(key("a"), at(nth));
        }
        assert!(!guests.is_locked(&key("a"), at(9)));
        guests.wrong(key("a"), at(599));
        assert!(guests.is_locked(&key("a"), at(599)) && !guests.is_locked(&key("b"), at(599)));
        assert!(guests.is_locked(&key("a"), at(599 + 899)));
        assert!(!guests.is_locked(&key("a"), at(599 + 900)));
        // Ten in more than ten minutes are none.
        for nth in 0..30 {
            guests.wrong(key("c"), at(nth * 67));
        }
        assert!(!guests.is_locked(&key("c"), at(30 * 67)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn s5_4_a_name_that_nobody_has_takes_as_long_and_guesses_at_once_are_counted() {
        let guests = Arc::new(Guests::default());
        let key = |name: &str| -> (IpAddr, String) { ("192.0.2.1".parse().unwrap(), name.into()) };
        // What a name that nobody has takes, and what one stretched hash does: the least of three, for the machine has
        // others to serve.
        let (mut nobody, mut hash) = (Duration::MAX, Duration::MAX);
        for nth in 0..3 {
            let start = Instant::now();
            assert!(!billing::is_password("guess", None));
            hash = hash.min(start.elapsed());
            let start = Instant::now();
            guests.judge(key(&format!("n{nth}")), None, "guess").await.unwrap();
            nobody = nobody.min(start.elapsed());
        }
        assert!(nobody > hash / 2 && hash > Duration::from_millis(1), "{nobody:?} of {hash:?}");
        let at_once = async |count: usize, name: &dyn Fn(usize) -> String| {
            let mut all = tokio::task::JoinSet::new();
            for nth in 0..count {
                let (guests, key) = (Arc::clone(&guests), key(&name(nth)));
                all.spawn(async move { guests.judge(key, None, "guess").await });
            }
            all.join_all().await
        };
        // Thirty at once: ten are stretched, and the others hear that it is too late.
        let judged = at_once(30, &|_| "a".to_owned()).await;
        let wrong = judged.iter().filter(|one| matches!(one, Ok(Judged::Wrong))).count();
        let locked = judged.iter().filter(|one| matches!(one, Ok(Judged::Locked))).count();
        assert_eq!((wrong, locked), (WRONG_MAX, 20));
        // More than may wait are told to come again.
        let judged = at_once(WAITING_MAX + 20, &|nth| format!("m{nth}")).await;
        assert!(judged.iter().any(Result::is_err));
        let left = lock(&guests.waiting);
        assert_eq!((left.all, left.of.len()), (0, 0));
    }

    #[test]
    fn s5_4_who_guesses_at_one_address_keeps_out_nobody_at_another() {
        let waiting = Mutex::default();
        let at = |octet: u8| IpAddr::from([192, 0, 2, octet]);
        let all: Vec<_> = (0..WAITING_OF_ONE_MAX).map(|_| Place::take(&waiting, at(1))).collect();
        assert!(all.iter().all(Option::is_some) && Place::take(&waiting, at(1)).is_none());
        assert!(Place::take(&waiting, at(2)).is_some());
        drop(all);
        assert!(Place::take(&waiting, at(1)).is_some());
    }
}
