//! Messages of HTTP/1.1 off a stream, for machines of merchants that must cost next to nothing: heads of which only a few
//! lines matter, and bodies as long as they say.

use std::io::{self, Read};
use std::net::TcpStream;

/// What may follow a head, in octets.
const BODY_MAX: usize = 1 << 20;

/// A stream and what was read of the next message.
#[derive(Debug)]
pub struct Link {
    /// The stream.
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    /// Its first line.
    pub first: String,
    /// Its body.
    pub body: String,
    /// Nothing follows it.
    pub close: bool,
}

impl Link {
    /// Takes a stream over.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn new(stream: TcpStream) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Link { stream, read: Vec::new() })
    }

    /// Reads what is there; false at the end of the stream.
    pub fn fill(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.read.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// The next whole message.
    pub fn message(&mut self) -> Option<Message> {
        let end = self.read.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let (mut length, mut close) = (0, false);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0).min(BODY_MAX);
            } else if name.eq_ignore_ascii_case("connection") {
                close = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let whole = end + 4 + length;
        if self.read.len() < whole {
            return None;
        }
        let body = String::from_utf8_lossy(&self.read[end + 4..whole]).into_owned();
        self.read.drain(..whole);
        Some(Message { first, body, close })
    }
}
