//! The merchant: asks over a few connections that stay open, and hears notifications. One thread, no
//! library: what it costs is not to be mistaken for the switch's cost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use load::http::Link;

use crate::account::Account;

/// A token of the poller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Listener,
    Asking(usize),
    Told(usize),
}

/// What a new stream is to be watched as.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(&TcpStream, Token) -> io::Result<()>;

/// The merchant's machine.
pub(crate) struct Web {
    door: SocketAddr,
    listener: TcpListener,
    asking: Vec<(Link, Option<usize>)>,
    idle: Vec<usize>,
    waiting: VecDeque<usize>,
    told: Vec<Option<Link>>,
    free: Vec<usize>,
    /// Request lines by call.
    pub(crate) targets: Vec<String>,
    pub(crate) connections_heard: u64,
}

impl Web {
    pub(crate) fn new() -> io::Result<Web> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Web {
            door: listener.local_addr()?,
            listener,
            asking: Vec::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            told: Vec::new(),
            free: Vec::new(),
            targets: Vec::new(),
            connections_heard: 0,
        })
    }

    /// Where notifications are heard.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.listener.local_addr().map_or(0, |a| a.port()))
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Opens the connections that requests go over.
    pub(crate) fn connect(
        &mut self,
        door: SocketAddr,
        n: usize,
        watch: Watch<'_>,
    ) -> io::Result<()> {
        self.door = door;
        for at in 0..n {
            let link = Link::new(TcpStream::connect(door)?)?;
            watch(&link.stream, Token::Asking(at))?;
            self.asking.push((link, None));
            self.idle.push(at);
        }
        Ok(())
    }

    /// Asks for a call, when a connection is free.
    pub(crate) fn ask(&mut self, no: usize, account: &mut Account) {
        self.waiting.push_back(no);
        self.write(account);
    }

    fn write(&mut self, account: &mut Account) {
        while !self.waiting.is_empty() {
            let Some(at) = self.idle.pop() else { return };
            let Some(no) = self.waiting.pop_front() else { return };
            let (link, busy) = &mut self.asking[at];
            *busy = Some(no);
            account.calls[no].asked = account.clock.now();
            let request = format!("GET {} HTTP/1.1\r\nHost: load\r\n\r\n", self.targets[no]);
            if link.stream.write_all(request.as_bytes()).is_err() {
                account.fault("request not written");
            }
        }
    }

    pub(crate) fn ready(&mut self, token: Token, account: &mut Account, watch: Watch<'_>) {
        match token {
            Token::Listener => {
                while let Ok((stream, _)) = self.listener.accept() {
                    let Ok(link) = Link::new(stream) else { continue };
                    self.connections_heard += 1;
                    let at = self.free.pop().unwrap_or(self.told.len());
                    if at == self.told.len() {
                        self.told.push(None);
                    }
                    if watch(&link.stream, Token::Told(at)).is_ok() {
                        self.told[at] = Some(link);
                    }
                    self.hear(at, account);
                }
            }
            Token::Told(at) => self.hear(at, account),
            Token::Asking(at) => self.reply(at, account, watch),
        }
    }

    fn reply(&mut self, at: usize, account: &mut Account, watch: Watch<'_>) {
        let Some((link, busy)) = self.asking.get_mut(at) else { return };
        let open = link.fill();
        while let Some(message) = link.message() {
            let Some(no) = busy.take() else { continue };
            let now = account.clock.now();
            let call = &mut account.calls[no];
            call.replied = now;
            call.accepted = message.body.starts_with("result=success");
            if !call.accepted {
                let status = message.first.split_once(' ').map_or("", |(_, status)| status);
                let said: String = message.body.chars().take(60).collect();
                account.fault(format!("HTTP {status}: {said}"));
            }
            self.idle.push(at);
        }
        if !open {
            if let Some(no) = busy.take() {
                account.fault("connection closed under a request");
                account.calls[no].replied = account.clock.now();
            }
            self.idle.retain(|idle| *idle != at);
            let again = TcpStream::connect(self.door).and_then(Link::new);
            match again.and_then(|link| watch(&link.stream, Token::Asking(at)).map(|()| link)) {
                Ok(link) => {
                    self.asking[at] = (link, None);
                    self.idle.push(at);
                }
                Err(_) => account.fault("no new connection"),
            }
        }
        self.write(account);
    }

    fn hear(&mut self, at: usize, account: &mut Account) {
        let Some(link) = self.told.get_mut(at).and_then(Option::as_mut) else { return };
        let open = link.fill();
        let mut close = !open;
        while let Some(message) = link.message() {
            let now = account.clock.now();
            let field = |name: &str| {
                let mut pairs = message.first.split(['?', '&', ' ']);
                pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            };
            let no = field("callbackid").and_then(|id| id.strip_prefix("load-")?.parse().ok());
            match (no, field("callback_result")) {
                (Some(no), Some(word)) => account.tell(no, word, now),
                _ => account.fault("a notification of nothing"),
            }
            let answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
                Content-Length: 7\r\n\r\nsuccess";
            close |= link.stream.write_all(answer).is_err() || message.close;
        }
        if close {
            self.told[at] = None;
            self.free.push(at);
        }
    }
}
