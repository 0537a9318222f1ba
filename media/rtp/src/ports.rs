//! Port pairs: taken at random, rested after use (RFC 3550 §11: RTP on the even port, RTCP on the
//! next).
//!
//! Random order, because a stranger who can guess the next port can be there first. Rest, because
//! the far end of a finished call may go on sending for a while, and must not be heard by the next.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Pairs tried for one leg at most, when others on this machine sit on ours.
pub const TRIES_MAX: usize = 32;

/// The pairs of one worker. A pair is named by its even port.
#[derive(Debug)]
pub struct Pool {
    free: Vec<u16>,
    resting: VecDeque<(Instant, u16)>,
    rest: Duration,
    random: u64,
}

impl Pool {
    /// The share of worker `index` among `of` in a range of ports.
    #[must_use]
    pub fn new(
        range: &RangeInclusive<u16>,
        index: usize,
        of: usize,
        rest: Duration,
        seed: u64,
    ) -> Pool {
        let first = u32::from(*range.start()).next_multiple_of(2);
        let last = u32::from(*range.end());
        let even = (first..last).step_by(2).skip(index).step_by(of.max(1));
        let free = even.filter_map(|port| u16::try_from(port).ok()).collect();
        Pool { free, resting: VecDeque::new(), rest, random: seed | 1 }
    }

    /// Takes a pair and opens it.
    ///
    /// # Errors
    ///
    /// When no pair is free, or `open` failed for [`TRIES_MAX`] of them. A pair that could not be
    /// opened rests and is not lost.
    pub fn open<T>(
        &mut self,
        now: Instant,
        mut open: impl FnMut(u16) -> io::Result<T>,
    ) -> io::Result<(u16, T)> {
        self.wake(now);
        let mut failed = io::Error::other("no port pair is free");
        for _ in 0..TRIES_MAX.min(self.free.len()) {
            let pick = (self.draw() % self.free.len() as u64) as usize;
            let port = self.free.swap_remove(pick);
            match open(port) {
                Ok(opened) => return Ok((port, opened)),
                Err(error) => {
                    self.give_back(now, port);
                    let taken = error.kind() == io::ErrorKind::AddrInUse;
                    failed = error;
                    if !taken {
                        break;
                    }
                }
            }
        }
        Err(failed)
    }

    /// Gives a pair back; it rests first.
    pub fn give_back(&mut self, now: Instant, port: u16) {
        self.resting.push_back((now + self.rest, port));
    }

    /// Pairs that can be taken.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Pairs at rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    /// Ends the rest of those whose time has come.
    pub fn wake(&mut self, now: Instant) {
        while let Some((until, port)) = self.resting.front().copied()
            && until <= now
        {
            self.resting.pop_front();
            self.free.push(port);
        }
    }

    /// Something at random: xorshift64* (Vigna 2016).
    pub fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::origin;

    const REST: Duration = Duration::from_secs(5);

    fn pool() -> Pool {
        Pool::new(&(10_001..=10_100), 0, 1, REST, 42)
    }

    fn taken() -> io::Error {
        io::Error::from(io::ErrorKind::AddrInUse)
    }

    #[test]
    fn pairs_are_even_whole_and_shared_out_once() {
        let all = pool();
        assert_eq!(all.free(), 49, "10002 to 10098; 10100 has no odd port");
        let mut seen = BTreeSet::new();
        for worker in 0..3 {
            for port in Pool::new(&(10_001..=10_100), worker, 3, REST, 1).free {
                assert!(port % 2 == 0 && seen.insert(port));
            }
        }
        assert_eq!(seen.len(), 49);
        assert_eq!(Pool::new(&(65_534..=65_535), 0, 1, REST, 1).free(), 1);
    }

    #[test]
    fn case_7_a_pair_rests_before_it_is_used_again() {
        let (mut pool, mut now) = (pool(), origin());
        for _ in 0..1000 {
            let (port, ()) = pool.open(now, |_| Ok(())).unwrap();
            pool.give_back(now, port);
            for _ in 0..30 {
                let (other, ()) = pool.open(now, |_| Ok(())).unwrap();
                assert_ne!(other, port);
                pool.give_back(now, other);
            }
            now += REST;
        }
    }

    #[test]
    fn case_7_when_all_rest_none_is_given() {
        let (mut pool, now) = (pool(), origin());
        while let Ok((port, ())) = pool.open(now, |_| Ok(())) {
            pool.give_back(now, port);
        }
        assert_eq!((pool.free(), pool.resting()), (0, 49));
        assert!(pool.open(now + REST - Duration::from_millis(1), |_| Ok(())).is_err());
        assert!(pool.open(now + REST, |_| Ok(())).is_ok());
    }

    #[test]
    fn case_8_a_million_failed_set_ups_leak_nothing() {
        let (mut pool, mut now) = (pool(), origin());
        let mut sockets = 0_i64;
        for n in 0..1_000_000_u32 {
            now += Duration::from_millis(1);
            let opened = pool.open(now, |_| {
                sockets += 1;
                // The odd port is somebody else's, or the system has no more descriptors.
                sockets -= 1;
                Err::<(), _>(if n % 3 == 0 { io::Error::other("EMFILE") } else { taken() })
            });
            assert!(opened.is_err());
            assert_eq!(pool.free() + pool.resting(), 49);
        }
        now += REST;
        pool.wake(now);
        assert_eq!((pool.free(), pool.resting(), sockets), (49, 0, 0));
    }

    #[test]
    fn a_port_that_somebody_else_sits_on_is_passed_over() {
        let (mut pool, now) = (pool(), origin());
        let mut tries = 0;
        let (port, ()) = pool
            .open(now, |_| {
                tries += 1;
                if tries < 5 { Err(taken()) } else { Ok(()) }
            })
            .unwrap();
        assert_eq!((tries, pool.free(), pool.resting()), (5, 44, 4));
        assert!(!pool.resting.iter().any(|(_, resting)| *resting == port));
    }

    #[test]
    fn the_order_is_random() {
        let (mut pool, now) = (pool(), origin());
        let ports: Vec<u16> = (0..40).map(|_| pool.open(now, |_| Ok(())).unwrap().0).collect();
        let rising = ports.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((8..=32).contains(&rising), "{ports:?}");
    }
}
