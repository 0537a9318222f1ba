//! Requests of system 002.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{ACCESSKEY, World, read};

pub(crate) const LOGIN: &str = "App.Sip_Auth.Login";

/// Sends a body to an address; the answer, which is always 200 and JSON.
pub(crate) async fn ask(
    world: &World,
    target: &str,
    content_type: &str,
    body: impl Into<Vec<u8>>,
) -> Value {
    let mut request = Request::post(target);
    if !content_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let request = request.body(Body::from(body.into())).unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json;charset=utf-8");
    let (status, body) = read(response).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks for a service with parameters in a form.
pub(crate) async fn form(world: &World, service: &str, params: &[(&str, &str)]) -> Value {
    let escape = dialect::text::escape;
    let mut body = format!("service={}", escape(service));
    for (name, value) in params {
        body.push_str(&format!("&{name}={}", escape(value)));
    }
    ask(world, "/", "application/x-www-form-urlencoded", body).await
}

/// Logs a company in.
pub(crate) async fn token(world: &World, company: &str) -> String {
    let appid = format!("app{company}");
    let answer = form(world, LOGIN, &[("appid", &appid), ("accesskey", ACCESSKEY)]).await;
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(0)), "{answer}");
    answer["data"]["result"]["token"].as_str().unwrap().to_owned()
}

/// `errors.code` of a service that said no, and its words.
pub(crate) fn code(answer: &Value) -> (i64, &str) {
    assert_eq!((&answer["ret"], &answer["data"]["status"]), (&json!(200), &json!(1)), "{answer}");
    let errors = &answer["data"]["errors"];
    (errors["code"].as_i64().unwrap(), errors["codemsg"].as_str().unwrap())
}

/// A form of parts: fields, and perhaps a file with its name.
pub(crate) fn parts(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
    let mark = "----d74496d66958873e";
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--{mark}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), value.as_bytes(), b"\r\n"].concat());
    }
    if let Some((name, octets)) = file {
        let head = format!(
            "--{mark}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), octets, b"\r\n"].concat());
    }
    body.extend(format!("--{mark}--\r\n").as_bytes());
    body
}

/// A telephone's WAVE of so many samples of silence.
pub(crate) fn wave(samples: u32) -> Vec<u8> {
    let octets = samples * 2;
    let mut wave = b"RIFF".to_vec();
    wave.extend((36 + octets).to_le_bytes());
    wave.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wave.extend(8_000_u32.to_le_bytes());
    wave.extend(16_000_u32.to_le_bytes());
    wave.extend(b"\x02\0\x10\0data");
    wave.extend(octets.to_le_bytes());
    wave.resize(44 + octets as usize, 0);
    wave
}
