//! The merchant's side, as a merchant would write it: requests signed and notifications checked by the
//! formula of system 000, with nothing borrowed from the switch's own dialects.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use md5::{Digest as _, Md5};

/// The merchant of the demonstration: name and key of the vendor's sample code.
pub(super) const USER: &str = "test";
pub(super) const KEY: &str = "awrlk45ghfg7";
/// Its account and app at system 001.
pub(super) const SID: &str = "0123456789abcdef0123456789abcdef";
pub(super) const TOKEN: &str = "fedcba9876543210fedcba9876543210";
pub(super) const APP: &str = "00112233445566778899aabbccddeeff";

/// A request that the switch made to the merchant.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Path and query.
    pub(super) target: String,
    pub(super) body: String,
}

impl Received {
    /// A parameter of the query, decoded; empty when absent.
    pub(super) fn parameter(&self, name: &str) -> String {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }

    /// The text whose MD5 the notification must bear: the vendor's sample, line by line.
    pub(super) fn signed_text(&self) -> String {
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
        let pairs: Vec<String> =
            names.iter().map(|name| format!("{name}={}", self.parameter(name))).collect();
        format!("{}&key={KEY}", pairs.join("&"))
    }
}

/// Where the merchant listens, and what it hears.
pub(super) struct Merchant {
    pub(super) address: SocketAddr,
    pub(super) heard: mpsc::Receiver<Received>,
}

impl Merchant {
    /// Listens on a free port of loopback and answers everything with `success`.
    pub(super) fn open() -> io::Result<Merchant> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (sender, heard) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || {
                    let _ = hear(stream, &sender);
                });
            }
        });
        Ok(Merchant { address, heard })
    }
}

/// Reads requests of one connection until it closes.
fn hear(stream: TcpStream, sender: &mpsc::Sender<Received>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&body).into_owned();
        let _ = sender.send(Received { target, body });
        writer.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nsuccess",
        )?;
    }
}

/// `/api/biz_callback` as the vendor's sample builds it.
pub(super) fn callback_target(id: &str, a: &str, b: &str, returnurl: &str) -> String {
    let text =
        format!("username={USER}&callbackid={id}&callback_num={a}&destination_num={b}&key={KEY}");
    let sign = md5_hex(&text);
    format!(
        "/api/biz_callback?username={USER}&callbackid={id}&callback_num={a}&destination_num={b}\
         &returnurl={returnurl}&data=demo&sign={sign}"
    )
}

/// A two-way call of system 001: target, headers, body. `stamp` is `yyyyMMddHHmmss` of Beijing.
pub(super) fn two_way(stamp: &str, a: &str, b: &str) -> (String, String, String) {
    let sign = md5_hex(&format!("{SID}{TOKEN}{stamp}")).to_uppercase();
    let authorization = base64::engine::general_purpose::STANDARD.encode(format!("{SID}|{stamp}"));
    let body = serde_json::json!({
        "action": "callDailBack", "appid": APP, "src": a, "dst": b, "credit": "360",
        "customParm": "order-42",
    });
    (
        format!("/201512/sid/{SID}/call/DailbackCall.wx?Sign={sign}"),
        format!("Authorization: {authorization}\r\n"),
        body.to_string(),
    )
}

/// One HTTP request with the barest of clients: status and body.
pub(super) fn ask(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {to}\r\n{headers}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let status = String::from_utf8_lossy(&answer[..split.min(16)])
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    Ok((status, answer.split_off(split)))
}

/// Lower-case MD5.
pub(super) fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_formula_gives_the_known_signatures() {
        let target = callback_target("634567890123456789", "80000", "13800138000", "http://m/");
        assert!(target.ends_with("&sign=44cb54e642dcb812b3a373b78fc12382"), "{target}");
        let received = Received {
            target: "/n?callbackid=634567890123456789&callback_num=80000&callback_duration=65\
                     &callback_fee=0.20&destination_num=13800138000&destination_duration=60\
                     &destination_fee=0.30&callback_result=success&sign=x"
                .into(),
            body: String::new(),
        };
        assert_eq!(md5_hex(&received.signed_text()), "3be4932bb5badd513b9ea63efe20bab2");
    }

    #[test]
    fn system_001_is_asked_with_its_own_signature() {
        let (target, header, _) = two_way("20260115093000", "80000", "13800138000");
        assert!(target.ends_with("Sign=5F4338CFF23378C7753F2C822DCCD7F3"), "{target}");
        let known = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZ8MjAyNjAxMTUwOTMwMDA=";
        assert_eq!(header, format!("Authorization: {known}\r\n"));
    }
}
