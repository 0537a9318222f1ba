//! Guesses at the password of one user (conformance F11): so many, spread over 500 addresses, each with the
//! challenge it was given. The last of them are the right password: whoever guesses it must hardly ever learn so.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use load::sys::Poller;
use phone::Credentials;

/// Addresses: 127.0.2.1 to 127.0.2.250, and as many of 127.0.3.
const SOURCES: usize = 500;
/// A request that is not answered within this time is given up: whoever asked is banned, or it was lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// One of so many guesses, the last ones, is right.
const RIGHT: usize = 10;

/// What came of it.
#[derive(Default)]
pub(crate) struct Told {
    /// Guesses with a wrong password, and with the right one, that were sent.
    pub(crate) wrong: u64,
    pub(crate) right: u64,
    /// Guesses that were answered by 401 or 403, and by 200.
    pub(crate) refused: u64,
    pub(crate) believed: u64,
    /// Requests that nobody answered.
    pub(crate) silent: u64,
    pub(crate) seconds: f64,
}

/// One address.
struct Source {
    socket: UdpSocket,
    cseq: u32,
    /// The guess that is under way, and since when: its challenge is awaited, or what comes of it.
    waits: Option<(Guess, Instant)>,
}

#[derive(Clone, Copy)]
struct Guess {
    no: usize,
    asked: bool,
}

/// Somebody at whose password is guessed.
pub(crate) struct Target {
    pub(crate) switch: SocketAddrV4,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Plays so many guesses; each address has one under way at a time.
pub(crate) fn play(target: &Target, guesses: usize) -> io::Result<Told> {
    let mut sources = (0..SOURCES).map(open).collect::<io::Result<Vec<_>>>()?;
    let mut poller = Poller::new()?;
    for (no, source) in sources.iter().enumerate() {
        poller.watch(&source.socket, no)?;
    }
    let begun = Instant::now();
    let (mut told, mut next) = (Told::default(), 0);
    loop {
        for source in &mut sources {
            if source.waits.is_some_and(|(_, since)| since.elapsed() > PATIENCE) {
                told.silent += 1;
                source.waits = None;
            }
            if source.waits.is_none() && next < guesses {
                let guess = Guess { no: next, asked: false };
                next += 1;
                source.ask(target, guess, "")?;
            }
        }
        if next >= guesses && sources.iter().all(|source| source.waits.is_none()) {
            break;
        }
        for _ in poller.wait(Duration::from_millis(20)) {}
        for source in &mut sources {
            source.hear(target, guesses, &mut told)?;
        }
    }
    told.seconds = begun.elapsed().as_secs_f64();
    Ok(told)
}

fn open(no: usize) -> io::Result<Source> {
    let (net, host) = (no / 250, no % 250 + 1);
    let address = Ipv4Addr::from(0x7f00_0200 + ((net as u32) << 8) + host as u32);
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    Ok(Source { socket, cseq: 0, waits: None })
}

impl Source {
    /// Sends the REGISTER of a guess, with what answers the challenge if there is one.
    fn ask(&mut self, target: &Target, guess: Guess, proof: &str) -> io::Result<()> {
        self.cseq += 1;
        let (at, cseq, user) = (self.socket.local_addr()?, self.cseq, &target.user);
        let text = format!(
            "REGISTER sip:tandem.example SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKg{no}x{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@tandem.example>;tag=g{no}\r\n\
             To: <sip:{user}@tandem.example>\r\nCall-ID: guess-{at}\r\nCSeq: {cseq} REGISTER\r\n\
             Contact: <sip:{user}@{at}>\r\nExpires: 3600\r\n{proof}Content-Length: 0\r\n\r\n",
            no = guess.no,
        );
        // A full buffer loses it, as a network would.
        let _ = self.socket.send_to(text.as_bytes(), target.switch);
        self.waits = Some((guess, Instant::now()));
        Ok(())
    }

    fn hear(&mut self, target: &Target, guesses: usize, told: &mut Told) -> io::Result<()> {
        let mut buffer = [0_u8; 2048];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let ours = line("CSeq: ").is_some_and(|cseq| cseq == format!("{} REGISTER", self.cseq));
            let Some((guess, _)) = self.waits.filter(|_| ours) else { continue };
            self.waits = None;
            let status = text.split(' ').nth(1).unwrap_or_default();
            let challenge = line("WWW-Authenticate: ").filter(|_| status == "401" && !guess.asked);
            if let Some(challenge) = challenge {
                let right = guess.no >= guesses - guesses / RIGHT;
                let password =
                    if right { target.password.clone() } else { format!("password{}", guess.no) };
                let who = Credentials { user: target.user.clone(), password };
                let proof =
                    phone::digest::answer(&[challenge], &who, "REGISTER", "sip:tandem.example", 1);
                let proof = format!("Authorization: {}\r\n", proof.unwrap_or_default());
                *if right { &mut told.right } else { &mut told.wrong } += 1;
                self.ask(target, Guess { asked: true, ..guess }, &proof)?;
            } else {
                *if status == "200" { &mut told.believed } else { &mut told.refused } += 1;
            }
        }
        Ok(())
    }
}
