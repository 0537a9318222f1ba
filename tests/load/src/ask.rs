//! Requests over a connection that stays open, and how long they waited.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When requests are due, for all connections of a run together.
#[derive(Debug)]
pub struct Pace {
    /// Requests a second; 0: as soon as a connection is free.
    pub rate: u32,
    /// When the first is due.
    pub started: Instant,
    /// When no more are.
    pub ends: Instant,
    /// How many were taken so far.
    pub asked: AtomicU64,
}

impl Pace {
    /// The next request's number and the instant it is due; nothing when the run is over.
    #[must_use]
    pub fn next(&self) -> Option<(u64, Instant)> {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        let due = match self.rate {
            0 => Instant::now(),
            rate => self.started + Duration::from_secs_f64(n as f64 / f64::from(rate)),
        };
        (due < self.ends).then_some((n, due))
    }
}

/// Shortest first.
#[must_use]
pub fn sorted(waits: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut waits: Vec<Duration> = waits.collect();
    waits.sort();
    waits
}

/// Milliseconds that this many per cent of sorted waits stay below.
#[must_use]
pub fn percentile(waits: &[Duration], share: usize) -> f64 {
    let index = (waits.len() * share / 100).min(waits.len().saturating_sub(1));
    waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
}

/// One connection to the switch.
#[derive(Debug)]
pub struct Asker(BufReader<TcpStream>);

impl Asker {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(to: SocketAddr) -> io::Result<Asker> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Asker(BufReader::new(stream)))
    }

    /// Asks by GET; the body of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn get(&mut self, target: &str) -> io::Result<String> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: load\r\n\r\n"))
    }

    /// Asks by POST of a form; the body of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn post(&mut self, target: &str, form: &str) -> io::Result<String> {
        self.ask(&format!(
            "POST {target} HTTP/1.1\r\nHost: load\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    /// Asks by POST with a key of `/v1`, JSON; the body of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn post_json(&mut self, target: &str, key: &str, json: &str) -> io::Result<String> {
        self.ask(&format!(
            "POST {target} HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer {key}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        ))
    }

    /// Asks by POST of an envelope of SOAP 1.1; the body of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn post_soap(&mut self, target: &str, envelope: &str) -> io::Result<String> {
        self.ask(&format!(
            "POST {target} HTTP/1.1\r\nHost: load\r\nContent-Type: text/xml; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{envelope}",
            envelope.len()
        ))
    }

    fn ask(&mut self, request: &str) -> io::Result<String> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
