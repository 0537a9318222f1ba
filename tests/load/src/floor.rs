//! The least a relay in user space can do, in three ways of asking the kernel: two sockets a call, and what
//! comes to the one leaves by the other as it is.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use load::sys::{self, Batch, Pages};
use std::os::fd::AsRawFd;

/// How packets are read and sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// epoll, one `recvfrom` and one `sendto` a packet.
    Single,
    /// epoll, `recvmmsg` and `sendmmsg` of what waits at one socket.
    Batched,
    /// io_uring: receives that stay armed, sends given to the kernel with the next wait.
    Ring,
}

/// Sockets of one relay, and where what leaves by each goes.
pub(crate) type Sockets = Vec<(UdpSocket, SocketAddr)>;

/// Carries packets for ever.
pub(crate) fn carry(way: Way, sockets: &Sockets) -> io::Result<()> {
    sys::go_first();
    match way {
        Way::Single => single(sockets),
        Way::Batched => batched(sockets),
        Way::Ring => ring(sockets),
    }
}

fn poller(sockets: &Sockets) -> io::Result<sys::Poller> {
    let poller = sys::Poller::new()?;
    for (token, (socket, _)) in sockets.iter().enumerate() {
        poller.watch(socket, token)?;
    }
    Ok(poller)
}

fn single(sockets: &Sockets) -> io::Result<()> {
    let mut poller = poller(sockets)?;
    let mut buffer = [0; 2048];
    loop {
        for token in poller.wait(Duration::from_secs(1)) {
            let Ok((len, _)) = sockets[token].0.recv_from(&mut buffer) else { continue };
            let (out, to) = &sockets[token ^ 1];
            let _ = out.send_to(&buffer[..len], to);
        }
    }
}

fn batched(sockets: &Sockets) -> io::Result<()> {
    let mut poller = poller(sockets)?;
    let (mut came, mut leaves): (Batch<256>, Batch<256>) = (Batch::new(), Batch::new());
    loop {
        for token in poller.wait(Duration::from_secs(1)) {
            let (out, to) = &sockets[token ^ 1];
            let SocketAddr::V4(to) = to else { continue };
            for packet in came.receive(&sockets[token].0) {
                leaves.push_bytes(*to, packet);
            }
            if !leaves.is_empty() {
                leaves.send(out);
            }
        }
    }
}

/// Buffers that the kernel may fill; a power of two.
const BUFFERS: u16 = 1024;
const BUFFER: usize = 256;
/// Bit of a completion's name: a send, of the buffer that the rest names.
const SENT: u64 = 1 << 32;

fn ring(sockets: &Sockets) -> io::Result<()> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(16 * u32::from(BUFFERS))
        .build(4096)?;
    let mut pool = Buffers::register(&ring)?;
    for token in 0..sockets.len() {
        push(&mut ring, &arm(sockets, token))?;
    }
    let addresses: Vec<libc::sockaddr_in> =
        sockets.iter().map(|(_, to)| sys::address(*to)).collect();
    let mut done: Vec<cqueue::Entry> = Vec::new();
    loop {
        ring.submit_and_wait(1)?;
        done.extend(ring.completion());
        for entry in done.drain(..) {
            let name = entry.user_data();
            if name & SENT != 0 {
                pool.give_back((name & 0xffff) as u16);
                continue;
            }
            let token = name as usize;
            if let Some(buffer) = cqueue::buffer_select(entry.flags()) {
                let (out, _) = &sockets[token ^ 1];
                let packet = pool.of(buffer);
                let len = u32::try_from(entry.result()).unwrap_or(0);
                let send = opcode::Send::new(Fd(out.as_raw_fd()), packet, len)
                    .dest_addr((&raw const addresses[token ^ 1]).cast())
                    .dest_addr_len(size_of::<libc::sockaddr_in>() as u32)
                    .build()
                    .user_data(SENT | u64::from(buffer));
                push(&mut ring, &send)?;
            }
            if !cqueue::more(entry.flags()) {
                push(&mut ring, &arm(sockets, token))?;
            }
        }
    }
}

fn arm(sockets: &Sockets, token: usize) -> squeue::Entry {
    let fd = Fd(sockets[token].0.as_raw_fd());
    opcode::RecvMulti::new(fd, 0).build().user_data(token as u64)
}

#[allow(unsafe_code, reason = "what an entry points to has to outlive it")]
fn push(ring: &mut IoUring, entry: &squeue::Entry) -> io::Result<()> {
    loop {
        // SAFETY: entries name sockets, addresses and buffers of `ring`, which never returns while the kernel
        // may use them.
        if unsafe { ring.submission().push(entry) }.is_ok() {
            return Ok(());
        }
        ring.submit()?;
    }
}

/// Buffers that the kernel picks from: a ring of their descriptions, and their octets.
struct Buffers {
    entries: Pages,
    octets: Pages,
    tail: u16,
}

impl Buffers {
    fn register(ring: &IoUring) -> io::Result<Buffers> {
        let entries = Pages::new(usize::from(BUFFERS) * size_of::<BufRingEntry>())?;
        let octets = Pages::new(usize::from(BUFFERS) * BUFFER)?;
        let mut buffers = Buffers { entries, octets, tail: 0 };
        let at = buffers.entries.start() as u64;
        #[allow(unsafe_code, reason = "the kernel is told where the ring of buffers lies")]
        // SAFETY: the pages live as long as the ring, which is never left, and hold BUFFERS entries.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(at, BUFFERS, 0, 0)?;
        }
        for buffer in 0..BUFFERS {
            buffers.give_back(buffer);
        }
        Ok(buffers)
    }

    fn of(&self, buffer: u16) -> *const u8 {
        self.octets.start().wrapping_add(usize::from(buffer) * BUFFER)
    }

    #[allow(unsafe_code, reason = "the ring of buffers is shared with the kernel")]
    fn give_back(&mut self, buffer: u16) {
        let ring: *mut BufRingEntry = self.entries.start().cast_mut().cast();
        let at = usize::from(self.tail % BUFFERS);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `at` is below BUFFERS, which is how many entries the pages hold; they are zeroed or were written
        // here, and only this thread writes them. The tail lies in the first entry and is read by the kernel.
        unsafe {
            let entry = &mut *ring.add(at);
            entry.set_addr(self.of(buffer) as u64);
            entry.set_len(BUFFER as u32);
            entry.set_bid(buffer);
            let tail: *const std::sync::atomic::AtomicU16 = BufRingEntry::tail(ring).cast();
            (*tail).store(self.tail, std::sync::atomic::Ordering::Release);
        }
    }
}
