//! A merchant of system 002: logs in and asks as that system's PHP clients do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use crate::merchant::{http, http_octets};

/// `appid`.
pub const APPID: &str = "100001";
/// `accesskey`.
pub const ACCESSKEY: &str = "aceedbd24860a861aceedbd24860a861";

/// Lines of the operator file: a company that is told at `callback`.
#[must_use]
pub fn company(merchant: &str, callback: &str) -> String {
    format!(
        r#"
[[companies]]
companycode = "2028"
appid = "{APPID}"
accesskey = "{ACCESSKEY}"
merchant = "{merchant}"
callers = ["02120280001"]
cdr_url = "{callback}cdr"
state_url = "{callback}state"
"#
    )
}

/// Asks with a form of parts, as PHP's cURL sends an array; the answer.
///
/// # Panics
/// When the answer is not HTTP 200 or no JSON.
#[must_use]
pub fn ask(door: SocketAddr, fields: &[(&str, &str)]) -> Value {
    let mark = "------------------------d74496d66958873e";
    let part = |(name, value): &(&str, &str)| {
        format!("--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!("{}--{mark}--\r\n", fields.iter().map(part).collect::<String>());
    let kind = format!("multipart/form-data; boundary={mark}");
    let (status, text) = http(door, "POST", "/", &[("Content-Type", &kind)], &body);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Logs in; the token.
///
/// # Panics
/// When the login fails.
#[must_use]
pub fn login(door: SocketAddr) -> String {
    let login = [("service", "App.Sip_Auth.Login"), ("appid", APPID), ("accesskey", ACCESSKEY)];
    let login = ask(door, &login);
    let token = login["data"]["result"]["token"].as_str();
    token.unwrap_or_else(|| panic!("{login}")).to_owned()
}

/// Logs in and has a notice played; the answer.
///
/// # Panics
/// When the login fails.
#[must_use]
pub fn play(door: SocketAddr, fields: &[(&str, &str)]) -> Value {
    let token = login(door);
    let service = [("service", "App.Sip_Call.PlayVoice"), ("token", &token), ("chengshudu", "1")];
    ask(door, &[&service[..], fields].concat())
}

/// Sends a sound in; the answer.
///
/// # Panics
/// When the switch cannot be reached or answers no JSON.
#[must_use]
pub fn upload(door: SocketAddr, token: &str, name: &str, octets: &[u8]) -> Value {
    let mark = "------------------------d74496d66958873e";
    let field = |name: &str, value: &str| {
        format!("--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head = field("service", "App.Sip_Voice.Upload") + &field("token", token);
    let file = format!(
        "--{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n--{mark}--\r\n");
    let body = [head.as_bytes(), file.as_bytes(), octets, end.as_bytes()].concat();
    let kind = format!("multipart/form-data; boundary={mark}");
    let (status, text) = http_octets(door, "POST", "/", &[("Content-Type", &kind)], &body)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Serves these octets at every path, as a sound.
///
/// # Panics
/// When no socket can be had.
#[must_use]
pub fn serve(octets: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = octets.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&octets));
        }
    });
    address
}
