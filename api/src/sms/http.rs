//! The way by HTTP: the gateway of the operator's file is asked as its template says.

use std::time::Duration;

use billing::payments::SmsGateway;
use facts::ports::{FetchError, Fetched};
use facts::sms::{Sent, Text};

use crate::guard::Outgoing;
use crate::state::ApiState;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of its answer that are read.
const ANSWER_MAX: usize = 8 * 1024;

/// Sends a message whole: the gateway cuts it.
pub(super) async fn send(state: &ApiState, gateway: &SmsGateway, text: Text) -> Sent {
    if gateway.url.is_empty() {
        return Sent::NotHere;
    }
    let answer = state.0.guard.send(&written(gateway, &text), ANSWER_MAX).await;
    judged(gateway, answer)
}

/// What the gateway is asked.
fn written(gateway: &SmsGateway, sms: &Text) -> Outgoing {
    let filled = |template: &str, escape: &dyn Fn(&str) -> String| {
        // The text last: it may have braces of its own.
        let [to, from, text] = [&sms.to, &sms.from, &sms.text].map(|value| escape(value));
        template.replace("{to}", &to).replace("{from}", &from).replace("{text}", &text)
    };
    let url = filled(&gateway.url, &escaped);
    let is_json = gateway.body.trim_start().starts_with(['{', '[']);
    let body = if is_json { filled(&gateway.body, &json) } else { filled(&gateway.body, &escaped) };
    let mut headers: Vec<(&'static str, String)> = Vec::new();
    let post = !gateway.body.is_empty();
    if post {
        let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        headers.push(("content-type", kind.to_owned()));
    }
    let more = gateway.headers.lines().filter_map(|line| line.split_once(": "));
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Outgoing { post, url, headers, more, body: body.into_bytes(), patience: Some(PATIENCE) }
}

/// As a part of an address or of a form: everything but letters and digits.
fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// As the inside of a JSON text.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn judged(gateway: &SmsGateway, answer: Result<Fetched, FetchError>) -> Sent {
    let fetched = match answer {
        Ok(fetched) => fetched,
        Err(FetchError::BadUrl) => return Sent::Later("its address is none".to_owned()),
        Err(FetchError::Refused) => return Sent::Later("its address is refused".to_owned()),
        Err(FetchError::TimedOut) => return Sent::Later("no answer in time".to_owned()),
        Err(FetchError::TooLarge) => return Sent::Later("its answer is too large".to_owned()),
        Err(FetchError::Failed(why)) => return Sent::Later(why),
    };
    let said = String::from_utf8_lossy(&fetched.body);
    let words = || format!("HTTP {} {}", fetched.status, said.trim());
    match fetched.status {
        200..300 if said.contains(&gateway.accept) => {
            Sent::Taken(reference(gateway, &fetched.body))
        }
        // Not our mistake, or one that the operator may mend meanwhile.
        200..=399 | 401..=405 | 407 | 408 | 429 | 500.. => Sent::Later(words()),
        _ => Sent::Refused(words()),
    }
}

/// How the gateway calls the message, where its answer says so.
fn reference(gateway: &SmsGateway, body: &[u8]) -> Vec<String> {
    if gateway.reference.is_empty() {
        return Vec::new();
    }
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match answer.pointer(&gateway.reference) {
        Some(serde_json::Value::String(name)) => vec![name.clone()],
        Some(serde_json::Value::Number(name)) => vec![name.to_string()],
        _ => Vec::new(),
    }
}
