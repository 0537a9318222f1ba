//! A merchant's side: signs requests with the documented formula, receives pushes, answers as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use md5::{Digest, Md5};

use crate::wait;

/// Lower-case hex MD5: the seed's `md5.toMD5`.
#[must_use]
pub fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// A request that arrived at the merchant.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Request line target: path and query.
    pub target: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Body.
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Received {
    /// The value of a header, whose name is given in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A decoded field of a form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        named(&self.body, name)
    }

    /// A decoded query parameter.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        named(query, name)
    }
}

fn named(pairs: &str, name: &str) -> Option<String> {
    pairs.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (unescape(key) == name).then(|| unescape(value))
    })
}

/// Answers still to be given: to targets that start with the prefix, a status and a body.
type Plan = Arc<Mutex<Vec<(String, u16, String)>>>;

/// What is answered to a request for which no answer was planned: a status and a body.
type Mind = Arc<dyn Fn(&Received) -> (u16, String) + Send + Sync>;

/// The merchant's web server.
#[derive(Debug)]
pub struct Merchant {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Plan,
}

impl Merchant {
    /// Listens on a free loopback port; answers `200 success` unless told otherwise.
    ///
    /// # Panics
    /// When no socket can be had.
    #[must_use]
    pub fn start() -> Merchant {
        Merchant::by(|_| (200, "success".to_owned()))
    }

    /// The same with answers of its own: a status and a body.
    ///
    /// # Panics
    /// When no socket can be had.
    #[must_use]
    pub fn by(mind: impl Fn(&Received) -> (u16, String) + Send + Sync + 'static) -> Merchant {
        let mind: Mind = Arc::new(mind);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (inbox, plan) = (Arc::clone(&received), Arc::clone(&answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inbox, plan) = (Arc::clone(&inbox), Arc::clone(&plan));
                let mind = Arc::clone(&mind);
                std::thread::spawn(move || serve(stream, &inbox, &plan, &mind));
            }
        });
        Merchant { address, received, answers }
    }

    /// The next answers, in order; after them `200 success` again.
    pub fn answer_next(&self, answers: &[(u16, &str)]) {
        self.answer_next_at("", answers);
    }

    /// The next answers to targets that start with `prefix`, in order; a blank at the end of `prefix` stands
    /// for the end of the target.
    pub fn answer_next_at(&self, prefix: &str, answers: &[(u16, &str)]) {
        let mut plan = self.answers.lock().expect("unpoisoned");
        plan.extend(
            answers.iter().map(|(code, body)| (prefix.to_owned(), *code, (*body).to_owned())),
        );
    }

    /// Everything received so far whose target starts with `path`.
    #[must_use]
    pub fn received(&self, path: &str) -> Vec<Received> {
        let inbox = self.received.lock().expect("unpoisoned");
        inbox.iter().filter(|r| r.target.starts_with(path)).cloned().collect()
    }

    /// Waits until `count` requests to `path` have arrived.
    #[must_use]
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        wait::until(&format!("{count} requests to {path}"), || {
            Some(self.received(path)).filter(|all| all.len() >= count)
        })
    }

    /// URL of a path on this server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(stream: TcpStream, inbox: &Mutex<Vec<Received>>, plan: &Plan, mind: &Mind) {
    let _ = stream.set_read_timeout(Some(wait::PATIENCE));
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return };
        let (method, target) = (method.to_owned(), target.to_owned());
        let (mut length, mut headers) = (0, Vec::new());
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or_default();
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse().unwrap_or(0);
            }
            headers.push((name, value));
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let planned = {
            let mut plan = plan.lock().expect("unpoisoned");
            let line = format!("{target} ");
            let at = plan.iter().position(|(prefix, ..)| line.starts_with(prefix.as_str()));
            at.map(|at| plan.remove(at))
        };
        let got = Received { at: Instant::now(), target, method, body, headers };
        inbox.lock().expect("unpoisoned").push(got.clone());
        let (status, text) = match planned {
            Some((_, status, text)) => (status, text),
            None => mind(&got),
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                let value = std::str::from_utf8(&hex).ok();
                out.push(value.and_then(|h| u8::from_str_radix(h, 16).ok()).unwrap_or(b'?'));
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A plain HTTP exchange: status and body.
///
/// # Panics
/// When the server cannot be reached or answers no HTTP.
#[must_use]
pub fn http(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    try_http(to, method, target, headers, body).expect("an HTTP answer")
}

/// As [`http`], with the error for those who expect one.
///
/// # Errors
/// When the server cannot be reached or answers no HTTP.
pub fn try_http(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    http_octets(to, method, target, headers, body.as_bytes())
}

/// The same with a body that is no text.
///
/// # Errors
/// When the server cannot be reached or answers no HTTP.
pub fn http_octets(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&to, wait::PATIENCE)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let broken = || std::io::Error::other("not an HTTP answer");
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok()).ok_or_else(broken)?;
    let mut body = answer[split + 4..].to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = dechunk(&body);
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok();
        let Some(size) = size.and_then(|s| usize::from_str_radix(s.trim(), 16).ok()) else { break };
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 2 + size + 2..).unwrap_or_default();
    }
    out
}

/// The target of a signed `biz_callback` request, written as the seed's C# client writes it.
#[must_use]
pub fn callback_target(
    username: &str,
    key: &str,
    callbackid: &str,
    a: &str,
    b: &str,
    returnurl: &str,
) -> String {
    let base = format!(
        "username={username}&callbackid={callbackid}&callback_num={a}&destination_num={b}&key={key}"
    );
    let sign = md5_hex(&base);
    format!(
        "/api/biz_callback?username={username}&callbackid={callbackid}&callback_num={a}\
         &destination_num={b}&returnurl={returnurl}&data=test&sign={sign}"
    )
}

/// Checks a result notification as the seed's C# page does: all fields present, signature equal.
#[must_use]
pub fn notification_is_signed(got: &Received, key: &str) -> bool {
    let names = [
        "callbackid",
        "callback_num",
        "callback_duration",
        "callback_fee",
        "destination_num",
        "destination_duration",
        "destination_fee",
        "callback_result",
    ];
    let mut base = String::new();
    for name in names {
        let Some(value) = got.query(name).filter(|v| !v.is_empty()) else { return false };
        base.push_str(&format!("{name}={value}&"));
    }
    base.push_str(&format!("key={key}"));
    got.query("sign").is_some_and(|sign| sign == md5_hex(&base))
}
