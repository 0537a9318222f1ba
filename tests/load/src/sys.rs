//! Batched datagrams and epoll: what the standard library does not offer. The only `unsafe` here.

#![allow(unsafe_code, reason = "system calls without a safe wrapper; each states why it is sound")]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Datagrams of one batch at most.
pub const BATCH: usize = 64;
/// Octets of a datagram: an RTP header and 20 ms of G.711.
pub const DATAGRAM: usize = 172;

/// Datagrams of at most `SIZE` octets, to send in one system call, or received by one.
pub struct Batch<const SIZE: usize = DATAGRAM> {
    bytes: Vec<[u8; SIZE]>,
    addresses: Vec<libc::sockaddr_in>,
    lengths: Vec<usize>,
    filled: usize,
}

impl<const SIZE: usize> Batch<SIZE> {
    /// An empty batch.
    #[allow(clippy::new_without_default, reason = "64 buffers are no default")]
    pub fn new() -> Batch<SIZE> {
        let nowhere = raw(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        Batch {
            bytes: vec![[0; SIZE]; BATCH],
            addresses: vec![nowhere; BATCH],
            lengths: vec![0; BATCH],
            filled: 0,
        }
    }

    /// Whether another datagram would find no room.
    pub fn is_full(&self) -> bool {
        self.filled == BATCH
    }

    /// Whether nothing was filled in yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The next datagram, `SIZE` octets to be filled in.
    pub fn push(&mut self, to: SocketAddrV4) -> &mut [u8; SIZE] {
        let at = self.filled;
        self.filled += 1;
        self.addresses[at] = raw(to);
        self.lengths[at] = SIZE;
        &mut self.bytes[at]
    }

    /// The next datagram; what is longer than `SIZE` is cut off.
    pub fn push_bytes(&mut self, to: SocketAddrV4, bytes: &[u8]) {
        let length = bytes.len().min(SIZE);
        self.push(to)[..length].copy_from_slice(&bytes[..length]);
        self.lengths[self.filled - 1] = length;
    }

    /// The next datagram; `write` says how many octets of it there are.
    pub fn push_with(&mut self, to: SocketAddrV4, write: impl FnOnce(&mut [u8; SIZE]) -> usize) {
        let length = write(self.push(to)).min(SIZE);
        self.lengths[self.filled - 1] = length;
    }

    /// Datagrams filled in so far.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Sends all; returns how many the system did not take.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut vectors, mut heads) = self.heads(self.filled, true);
        let _ = &mut vectors;
        let (count, fd) = (self.filled as u32, socket.as_raw_fd());
        // SAFETY: `heads` holds `count` headers whose pointers lead into `bytes`, `addresses` and
        // `vectors`, all of which live across the call and are not moved.
        let sent = unsafe { libc::sendmmsg(fd, heads.as_mut_ptr(), count, 0) };
        let refused = self.filled - usize::try_from(sent).unwrap_or(0);
        self.filled = 0;
        refused
    }

    /// Receives what is there without waiting; the datagrams.
    pub fn receive<'a>(
        &'a mut self,
        socket: &UdpSocket,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, SIZE> {
        let (mut vectors, mut heads) = self.heads(BATCH, false);
        let _ = &mut vectors;
        let fd = socket.as_raw_fd();
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: as in `send`; the kernel writes at most SIZE octets behind each vector.
        let n = unsafe {
            libc::recvmmsg(fd, heads.as_mut_ptr(), BATCH as u32, flags, std::ptr::null_mut())
        };
        let n = usize::try_from(n).unwrap_or(0);
        for (length, head) in self.lengths.iter_mut().zip(&heads).take(n) {
            *length = head.msg_len as usize;
        }
        self.bytes.iter().zip(&self.lengths).take(n).map(|(bytes, len)| &bytes[..*len])
    }

    fn heads(&mut self, count: usize, sending: bool) -> (Vec<libc::iovec>, Vec<libc::mmsghdr>) {
        let mut vectors: Vec<libc::iovec> = self.bytes[..count]
            .iter_mut()
            .zip(&self.lengths)
            .map(|(bytes, length)| libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: if sending { *length } else { SIZE },
            })
            .collect();
        let heads = (0..count)
            .map(|i| {
                // SAFETY: all zeros is a valid msghdr: null pointers and lengths of zero.
                let mut head: libc::mmsghdr = unsafe { std::mem::zeroed() };
                head.msg_hdr.msg_name = (&raw mut self.addresses[i]).cast();
                head.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
                head.msg_hdr.msg_iov = &raw mut vectors[i];
                head.msg_hdr.msg_iovlen = 1;
                head
            })
            .collect();
        (vectors, heads)
    }
}

fn raw(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// An address as the system wants it; of IPv4 alone.
#[must_use]
pub fn address(address: std::net::SocketAddr) -> libc::sockaddr_in {
    match address {
        std::net::SocketAddr::V4(v4) => raw(v4),
        std::net::SocketAddr::V6(_) => raw(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
    }
}

/// Memory that begins with a page, zeroed; never given back.
pub struct Pages(*mut libc::c_void);

impl Pages {
    /// At least so many octets.
    pub fn new(octets: usize) -> io::Result<Pages> {
        let (flags, access) =
            (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping that no file stands behind; the result is checked.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, access, flags, -1, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Pages(start)) }
    }

    /// Its first octet.
    #[must_use]
    pub fn start(&self) -> *const u8 {
        self.0.cast()
    }
}

/// A level-triggered epoll set.
pub struct Poller {
    epoll: OwnedFd,
    ready: Vec<libc::epoll_event>,
}

impl Poller {
    /// A poller that watches nothing yet.
    pub fn new() -> io::Result<Poller> {
        // SAFETY: takes no pointer; the result is checked.
        let fd = check(unsafe { libc::epoll_create1(0) })?;
        // SAFETY: `fd` was just opened and nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poller { epoll, ready: vec![libc::epoll_event { events: 0, u64: 0 }; 256] })
    }

    /// Watches a socket for what comes; `token` names it.
    pub fn watch(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token as u64 };
        let (epoll, fd) = (self.epoll.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: the kernel only reads `event`.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// Tokens of what is ready.
    pub fn wait(&mut self, timeout: Duration) -> impl Iterator<Item = usize> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let (room, epoll) = (self.ready.len() as i32, self.epoll.as_raw_fd());
        let (ready, no_mask) = (self.ready.as_mut_ptr(), std::ptr::null::<libc::sigset_t>());
        // SAFETY: the kernel writes at most `room` events, which is the length of `ready`, and reads
        // `timeout`, which lives across the call; a null mask changes no signals. A millisecond, the unit of
        // epoll_wait, would be too coarse here.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                ready,
                room,
                &raw const timeout,
                no_mask,
                8,
            )
        };
        let n = usize::try_from(n).unwrap_or(0);
        self.ready[..n].iter().map(|event| event.u64 as usize)
    }
}

/// Asks for a large receive buffer; the system may grant less. `SO_RCVBUFFORCE` needs privilege,
/// so the plain option follows.
pub fn large_buffer(socket: &UdpSocket) {
    let size: libc::c_int = 16 << 20;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
        let (fd, len) = (socket.as_raw_fd(), size_of::<libc::c_int>() as u32);
        // SAFETY: the kernel reads one int.
        let done = unsafe {
            libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const size).cast(), len)
        };
        if done == 0 {
            return;
        }
    }
}

/// Raises the soft limit of open files to the hard one.
pub fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit, which `limit` is.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel only reads `limit`.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}

/// Lets the calling thread go before others of the machine, if the system permits it: the measured
/// thread and those that measure it run under the same conditions.
pub fn go_first() {
    // SAFETY: takes no pointer; on Linux, thread 0 is the caller.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -11) };
}

/// Clock ticks a second, the unit of `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    // SAFETY: takes no pointer.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100)
}

/// Octets of a page, the unit of `/proc/PID/statm`.
pub fn page_octets() -> u64 {
    // SAFETY: takes no pointer.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
