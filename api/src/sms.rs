//! Short messages leave: rows of the store are taken, sent by the gateway of the operator's file, and tried again when
//! it is away. A crash between the gateway's answer and the note of it sends a message again: at least once.

use std::time::Duration;

use billing::payments::SmsGateway;
use billing::sms::{Sms, SmsSent};
use facts::ports::{FetchError, Fetched};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::guard::Outgoing;
use crate::state::{ApiState, now};

/// Between two looks, unless somebody says that there is something.
const LOOK: Duration = Duration::from_secs(2);
/// Messages sent at once.
const AT_ONCE: u32 = 16;
/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of its answer that are read.
const ANSWER_MAX: usize = 8 * 1024;

/// Sends messages until `stop` turns true.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    loop {
        let sent = turn(&state).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "short messages cannot be read or noted");
            0
        });
        if sent >= AT_ONCE && !*stop.borrow() {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = state.0.sms_wake.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Sends what is due; how many messages.
///
/// # Errors
/// Those of the store.
pub async fn turn(state: &ApiState) -> billing::Result<u32> {
    let store = &state.0.store;
    let Some(gateway) = store.sms_gateway().await? else { return Ok(0) };
    let due = store.take_sms(now(), AT_ONCE).await?;
    let sent = u32::try_from(due.len()).unwrap_or(AT_ONCE);
    let mut sends = JoinSet::new();
    for sms in due {
        let (guard, gateway) = (state.0.guard.clone(), gateway.clone());
        sends.spawn(async move {
            let answer = guard.send(&written(&gateway, &sms), ANSWER_MAX).await;
            (sms, judged(&gateway, answer))
        });
    }
    while let Some(done) = sends.join_next().await {
        let Ok((sms, came)) = done else { continue };
        match &came {
            SmsSent::Taken => tracing::info!(sms = sms.id, parts = sms.parts, "short message sent"),
            SmsSent::Later(why) | SmsSent::Refused(why) => {
                tracing::warn!(sms = sms.id, tries = sms.tries + 1, why, "short message not sent");
            }
        }
        store.note_sms((sms.id, sms.lease), came, now()).await?;
    }
    Ok(sent)
}

/// What the gateway is asked.
fn written(gateway: &SmsGateway, sms: &Sms) -> Outgoing {
    let filled = |template: &str, escape: &dyn Fn(&str) -> String| {
        // The text last: it may have braces of its own.
        let [to, from, text] =
            [&sms.recipient, &gateway.sender, &sms.text].map(|value| escape(value));
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

fn judged(gateway: &SmsGateway, answer: Result<Fetched, FetchError>) -> SmsSent {
    let fetched = match answer {
        Ok(fetched) => fetched,
        Err(FetchError::BadUrl) => return SmsSent::Refused("its address is none".to_owned()),
        Err(FetchError::Refused) => return SmsSent::Later("its address is refused".to_owned()),
        Err(FetchError::TimedOut) => return SmsSent::Later("no answer in time".to_owned()),
        Err(FetchError::TooLarge) => return SmsSent::Later("its answer is too large".to_owned()),
        Err(FetchError::Failed(why)) => return SmsSent::Later(why),
    };
    let said = String::from_utf8_lossy(&fetched.body);
    let words = || format!("HTTP {} {}", fetched.status, said.trim());
    match fetched.status {
        200..300 if said.contains(&gateway.accept) => SmsSent::Taken,
        // Not our mistake, or one that the operator may mend meanwhile.
        200..300 | 401 | 403 | 408 | 429 | 500.. => SmsSent::Later(words()),
        _ => SmsSent::Refused(words()),
    }
}
