//! The way between a far end and the switch: datagrams, or the connections that the switch makes to it.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use load::sys::{Batch, large_buffer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

/// Octets of a SIP message here at most.
pub(crate) const MESSAGE: usize = 2048;

/// What SIP is carried by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Over {
    Udp,
    Tcp,
    Tls,
}

impl Over {
    /// As in a Via.
    pub(crate) fn via(self) -> &'static str {
        match self {
            Over::Udp => "UDP",
            Over::Tcp => "TCP",
            Over::Tls => "TLS",
        }
    }

    /// As in the operator file and in a URI.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Over::Udp => "udp",
            Over::Tcp => "tcp",
            Over::Tls => "tls",
        }
    }
}

/// One side's way.
pub(crate) enum Line {
    Datagrams { socket: UdpSocket, out: Batch<MESSAGE> },
    Connections(Box<Connections>),
}

/// What the switch has connected to us by. The newest connection is spoken on.
pub(crate) struct Connections {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    open: Vec<Connection>,
    out: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    tls: Option<ServerConnection>,
    heard: Vec<u8>,
}

impl Line {
    /// A line at an address of its own, and the address. `vouched`: certificate and key, PEM, for TLS.
    pub(crate) fn open(
        over: Over,
        vouched: Option<(&Path, &Path)>,
    ) -> io::Result<(Line, SocketAddrV4)> {
        let here = (Ipv4Addr::LOCALHOST, 0);
        if over == Over::Udp {
            let socket = UdpSocket::bind(here)?;
            large_buffer(&socket);
            let at = v4(socket.local_addr()?)?;
            return Ok((Line::Datagrams { socket, out: Batch::new() }, at));
        }
        let listener = TcpListener::bind(here)?;
        listener.set_nonblocking(true)?;
        let at = v4(listener.local_addr()?)?;
        let tls = vouched.map(|(cert, key)| server(cert, key)).transpose()?;
        let open = Vec::new();
        let line = Connections { listener, tls, open, out: Vec::new() };
        Ok((Line::Connections(Box::new(line)), at))
    }

    /// Takes in what has come; each message goes to `heard`. `watch` is told of each new connection.
    pub(crate) fn read(
        &mut self,
        watch: &mut dyn FnMut(&RawFd) -> io::Result<()>,
        mut heard: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        match self {
            Line::Datagrams { socket, .. } => {
                let mut batch: Batch<MESSAGE> = Batch::new();
                let mut count = 0;
                for bytes in batch.receive(socket) {
                    count += 1;
                    heard(bytes);
                }
                Ok(count == load::sys::BATCH)
            }
            Line::Connections(line) => {
                line.accept(watch)?;
                for connection in &mut line.open {
                    connection.read()?;
                    connection.messages(&mut heard);
                }
                Ok(false)
            }
        }
    }

    /// What the poller watches first.
    pub(crate) fn descriptor(&self) -> RawFd {
        match self {
            Line::Datagrams { socket, .. } => socket.as_raw_fd(),
            Line::Connections(line) => line.listener.as_raw_fd(),
        }
    }

    /// A message for the switch; leaves with [`Line::flush`] at the latest.
    pub(crate) fn push(&mut self, to: SocketAddrV4, bytes: &[u8]) {
        match self {
            Line::Datagrams { socket, out } => {
                if out.is_full() {
                    out.send(socket);
                }
                out.push_bytes(to, bytes);
            }
            Line::Connections(line) => line.out.extend_from_slice(bytes),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Datagrams { socket, out } => {
                if !out.is_empty() {
                    out.send(socket);
                }
                Ok(())
            }
            Line::Connections(line) if line.out.is_empty() => Ok(()),
            Line::Connections(line) => {
                let out = std::mem::take(&mut line.out);
                line.open.last_mut().map_or(Ok(()), |connection| connection.write(&out))
            }
        }
    }
}

impl Connections {
    fn accept(&mut self, watch: &mut dyn FnMut(&RawFd) -> io::Result<()>) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    watch(&socket.as_raw_fd())?;
                    let tls = self.tls.clone().map(ServerConnection::new).transpose();
                    let tls = tls.map_err(io::Error::other)?;
                    self.open.push(Connection { socket, tls, heard: Vec::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Connection {
    /// Everything that has come, in clear.
    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0_u8; 65_536];
        loop {
            let read = match &mut self.tls {
                None => self.socket.read(&mut chunk),
                Some(tls) => tls.read_tls(&mut self.socket),
            };
            let read = match read {
                // The switch has gone: it does so at the end of a run.
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(tls) = &mut self.tls else {
                self.heard.extend_from_slice(&chunk[..read]);
                continue;
            };
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = self.heard.len();
            self.heard.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.heard[start..])?;
            self.send_records()?;
        }
    }

    /// Cuts messages by Content-Length (RFC 3261 §18.3); what is not whole stays.
    fn messages(&mut self, heard: &mut impl FnMut(&[u8])) {
        let mut from = 0;
        while let Some(end) = whole(&self.heard[from..]) {
            heard(&self.heard[from..from + end]);
            from += end;
        }
        self.heard.drain(..from);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => write_all(&mut self.socket, bytes),
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                self.send_records()
            }
        }
    }

    fn send_records(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes to a socket that does not wait, and waits for it.
fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where the first message ends, if it is whole. Line ends before it are keep-alives and belong to it.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let (_, length) = text.split_once("Content-Length: ")?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    (bytes.len() >= head + length).then_some(head + length)
}

fn server(cert: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let cert = CertificateDer::from_pem_file(cert).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert], key);
    Ok(Arc::new(config.map_err(io::Error::other)?))
}

fn v4(address: SocketAddr) -> io::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::other("not IPv4")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages() {
        let one = b"ACK sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n";
        let two = b"BYE sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
        let both = [&one[..], two].concat();
        assert_eq!(whole(&both), Some(one.len()));
        assert_eq!(whole(two), Some(two.len()));
        assert!((0..two.len()).all(|end| whole(&two[..end]).is_none()));
    }
}
