//! The system calls that the standard library does not offer: epoll, eventfd, the limit of open
//! files. The only module of the crate with `unsafe` in it.

#![allow(unsafe_code, reason = "system calls without a safe wrapper; each states why it is sound")]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Sockets reported ready by one [`Poller::wait`] at most; the rest are reported by the next.
pub(crate) const READY_MAX: usize = 256;

/// A level-triggered epoll set.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
    /// `epoll_pwait2` has not been refused yet.
    fine: bool,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Poller> {
        // SAFETY: takes no pointer; the result is checked.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just opened and nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poller {
            epoll,
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; READY_MAX],
            fine: true,
        })
    }

    /// Watches a descriptor for bytes to read. Closing the descriptor ends the watch.
    ///
    /// # Errors
    /// When the descriptor cannot be watched.
    pub fn watch(&self, fd: &impl AsRawFd, token: u64) -> io::Result<()> {
        self.add(fd.as_raw_fd(), libc::EPOLLIN as u32, token)
    }

    /// Watches a waker: each [`Waker::wake`] is reported once, and nothing has to be read for it.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn watch_waker(&self, waker: &Waker, token: u64) -> io::Result<()> {
        self.add(waker.0.as_raw_fd(), (libc::EPOLLIN | libc::EPOLLET) as u32, token)
    }

    fn add(&self, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        let epoll: RawFd = self.epoll.as_raw_fd();
        // SAFETY: `event` lives across the call, which only reads it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits until something is ready or the time is over. Returns how many are ready;
    /// [`Poller::token`] names them.
    ///
    /// # Errors
    /// What the system says; being interrupted is none.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let result = if self.fine { self.wait_fine(timeout) } else { self.wait_coarse(timeout) };
        match result {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            // Before Linux 5.11 there is no epoll_pwait2; a sandbox may forbid it.
            Err(error) if self.fine && error.raw_os_error().is_some_and(unknown) => {
                self.fine = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// To the nanosecond: sounds are paced by it.
    fn wait_fine(&mut self, timeout: Duration) -> io::Result<usize> {
        let time = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let (epoll, room) = (self.epoll.as_raw_fd(), READY_MAX as libc::c_int);
        let mask: *const libc::sigset_t = std::ptr::null();
        // SAFETY: the kernel writes at most `room` events, which is the length of `ready`, and only
        // reads `time`; no signal mask is given.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                self.ready.as_mut_ptr(),
                room,
                &raw const time,
                mask,
                0_usize,
            )
        };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    /// Rounded up to a millisecond.
    fn wait_coarse(&mut self, timeout: Duration) -> io::Result<usize> {
        let ms = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let (epoll, room) = (self.epoll.as_raw_fd(), READY_MAX as libc::c_int);
        // SAFETY: as above.
        let n = unsafe { libc::epoll_wait(epoll, self.ready.as_mut_ptr(), room, ms) };
        usize::try_from(n).map_err(|_| io::Error::last_os_error())
    }

    /// The token of a ready descriptor, counted from 0.
    #[must_use]
    pub fn token(&self, index: usize) -> u64 {
        self.ready[index].u64
    }
}

/// Wakes a [`Poller`] from another thread.
#[derive(Debug)]
pub struct Waker(File);

impl Waker {
    /// One to be watched by a [`Poller`].
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: takes no pointer; the result is checked.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `fd` was just opened and nobody else owns it.
        Ok(Waker(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Ends a wait. The counter behind it is never read: at one a nanosecond it takes centuries to fill.
    pub fn wake(&self) {
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }
}

/// Raises the soft limit of open files to the hard one; returns what it is now.
pub(crate) fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel only reads `limit`.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    }
    Ok(limit.rlim_cur)
}

/// Writing to it says `WouldBlock` from now on where it would wait.
pub(crate) fn never_waits(descriptor: &impl AsRawFd) -> io::Result<()> {
    let fd = descriptor.as_raw_fd();
    // SAFETY: neither call takes a pointer; the results are checked.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// Lets the calling thread go before others of the machine, if the system permits it
/// (`CAP_SYS_NICE`, `RLIMIT_NICE`): voice that is late is lost, and a message that is late is sent again.
///
/// # Errors
/// When the system does not permit it.
pub fn go_first() -> io::Result<()> {
    // SAFETY: takes no pointer; on Linux, thread 0 is the caller.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })?;
    Ok(())
}

/// Time that the calling thread has spent on a processor.
pub(crate) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which `time` is.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The nice value of threads that carry voice or signalling: that of audio servers.
const NICE: libc::c_int = -11;

/// The system does not know, or does not permit, a call.
fn unknown(error: i32) -> bool {
    matches!(error, libc::ENOSYS | libc::EPERM)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_waker_and_a_socket_wake_and_fall_quiet() {
        let mut poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        poller.watch_waker(&waker, 7).unwrap();
        poller.watch(&socket, 8).unwrap();
        assert_eq!(poller.wait(Duration::ZERO).unwrap(), 0);
        waker.wake();
        waker.wake();
        assert_eq!(poller.wait(Duration::from_secs(5)).unwrap(), 1);
        assert_eq!(poller.token(0), 7);
        assert_eq!(poller.wait(Duration::ZERO).unwrap(), 0, "told once");
        waker.wake();
        assert_eq!(poller.wait(Duration::from_secs(5)).unwrap(), 1, "and told anew");
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(poller.wait(Duration::from_secs(5)).unwrap(), 1);
        assert_eq!(poller.token(0), 8);
        drop(socket);
        let start = Instant::now();
        assert_eq!(poller.wait(Duration::from_micros(1500)).unwrap(), 0);
        assert!(start.elapsed() >= Duration::from_micros(1500));
        let start = Instant::now();
        assert_eq!(poller.wait_coarse(Duration::from_micros(1500)).unwrap(), 0);
        assert!(start.elapsed() >= Duration::from_micros(1500));
    }
}
