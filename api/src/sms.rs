//! Short messages leave: rows of the store are taken, sent by the first of the operator's ways that takes them, and tried
//! again when none does. A crash between a way's answer and the note of it sends a message again: at least once.

mod doors;
mod hooks;
mod http;
mod inbound;

use std::time::Duration;

use billing::payments::SmsGateway;
use billing::sms::{Sms, SmsSent};
use facts::sms::{Sent, Text};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::counters::count;
use crate::state::{ApiState, now};

pub(crate) use doors::{at as door_at, serve as serve_door};
pub(crate) use inbound::REPLIES;
pub use inbound::{arrived, came, receipt};

/// Between two looks, unless somebody says that there is something.
const LOOK: Duration = Duration::from_secs(2);
/// Messages sent at once.
const AT_ONCE: u32 = 64;
/// How long a way may take: a little more than it says.
const PATIENCE: Duration = Duration::from_secs(35);
/// The same of a line to a network, which may have many parts to send.
const LINE_PATIENCE: Duration = Duration::from_secs(80);
/// How long all of them may: somebody else has the message a little later.
const ALL_WAYS: Duration = Duration::from_secs(110);
/// How long those under way are waited for at the end.
const LAST: Duration = Duration::from_secs(2);
/// Tries for which a message that has begun to leave by a line is kept from the other ways.
const BEGUN_TRIES: u32 = 4;
/// What stands in the place of words of a message.
const CUT: &str = "…";
/// Shorter words of a message than this open nothing.
const WORD_MIN: usize = 4;

pub(crate) fn routes() -> axum::Router<ApiState> {
    hooks::routes()
}

/// Sends messages until `stop` turns true. One whose way takes its time keeps no other waiting.
pub async fn run(state: ApiState, mut stop: watch::Receiver<bool>) {
    let mut sends = Sends::new();
    loop {
        if let Err(error) = begin(&state, &mut sends).await {
            tracing::warn!(%error, "short messages cannot be read");
        }
        let mut done = tokio::select! {
            Some(done) = sends.join_next() => Some(done),
            () = tokio::time::sleep(LOOK) => None,
            () = state.0.sms_wake.notified() => None,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while let Some(one) = done {
            noted(&state, one).await;
            done = sends.try_join_next();
        }
    }
    let rest = async {
        while let Some(done) = sends.join_next().await {
            noted(&state, done).await;
        }
    };
    // What is not known by then is sent again by the next process.
    let _ = tokio::time::timeout(LAST, rest).await;
}

/// Sends what is due; how many messages.
///
/// # Errors
/// Those of the store.
pub async fn turn(state: &ApiState) -> billing::Result<u32> {
    let mut sends = Sends::new();
    let begun = begin(state, &mut sends).await?;
    while let Some(done) = sends.join_next().await {
        noted(state, done).await;
    }
    Ok(begun)
}

/// Messages under way, and what comes of each.
type Sends = JoinSet<(Sms, SmsSent)>;

/// Begins to send what is due, as far as there is room; how many messages.
async fn begin(state: &ApiState, sends: &mut Sends) -> billing::Result<u32> {
    let store = &state.0.store;
    let room = AT_ONCE.saturating_sub(u32::try_from(sends.len()).unwrap_or(AT_ONCE));
    if room == 0 {
        return Ok(0);
    }
    // Also where nothing is sent. What cannot be given up now keeps nothing from leaving.
    if let Err(error) = store.lapse_sms(now()).await {
        tracing::warn!(%error, "messages that nobody wants any more were not given up");
    }
    let Some(gateway) = store.sms_gateway().await? else { return Ok(0) };
    let due = store.take_sms(now(), room).await?;
    let begun = u32::try_from(due.len()).unwrap_or(room);
    for sms in due {
        let (state, gateway) = (state.clone(), gateway.clone());
        sends.spawn(async move {
            let came = tokio::time::timeout(ALL_WAYS, send(&state, &gateway, &sms)).await;
            (sms, came.unwrap_or_else(|_| SmsSent::Later("no answer in time".to_owned())))
        });
    }
    Ok(begun)
}

/// Notes what came of one.
async fn noted(state: &ApiState, done: Result<(Sms, SmsSent), JoinError>) {
    let Ok((sms, came)) = done else { return };
    let counters = &state.0.counters;
    match &came {
        SmsSent::Taken(way, _) => {
            count(&counters.sms_sent);
            tracing::info!(sms = sms.id, parts = sms.parts, way, "short message sent");
        }
        SmsSent::Away => {
            tracing::info!(sms = sms.id, "no way leads to whom a short message is for");
        }
        SmsSent::Begun(_, why) | SmsSent::Later(why) | SmsSent::Refused(why) => {
            count(&counters.sms_failed);
            tracing::warn!(sms = sms.id, tries = sms.tries + 1, why, "short message not sent");
        }
    }
    if let Err(error) = state.0.store.note_sms((sms.id, sms.lease), came, now()).await {
        tracing::warn!(%error, sms = sms.id, "what came of a short message was not noted");
    }
}

/// By the first way that takes it. One that cannot now does not keep the others from it: whoever waits for a code would
/// rather have it twice than late. One that has sent a part of it does: it has the rest as soon as it can.
async fn send(state: &ApiState, gateway: &SmsGateway, sms: &Sms) -> SmsSent {
    let from = if sms.sender.is_empty() { &gateway.sender } else { &sms.sender };
    let (mut said, mut later) = (Vec::new(), false);
    let (begun, others): (Vec<_>, Vec<_>) = gateway.ways.iter().partition(|way| **way == sms.way);
    for way in begun.into_iter().chain(others) {
        let text = Text {
            id: sms.id,
            from: from.clone(),
            to: sms.recipient.clone(),
            text: sms.text.clone(),
            until: Some(sms.until),
        };
        let came = match way.as_str() {
            "http" => http::send(state, gateway, text).await,
            "phone" => patient(PATIENCE, Sent::Later, state.0.texts.to_phone(text)).await,
            line => {
                let name = line.strip_prefix("smpp:").unwrap_or(line).to_owned();
                patient(LINE_PATIENCE, Sent::Begun, state.0.texts.by_link(name, text)).await
            }
        };
        match came {
            Sent::Taken(references) => return SmsSent::Taken(way.clone(), references),
            Sent::NotHere => {}
            Sent::Begun(why) if sms.tries < BEGUN_TRIES => {
                let why = format!("{way}: {}", cleaned(&why, &sms.text));
                return SmsSent::Begun(way.clone(), why);
            }
            Sent::Begun(why) | Sent::Later(why) => {
                later = true;
                said.push(format!("{way}: {}", cleaned(&why, &sms.text)));
            }
            Sent::Refused(why) => said.push(format!("{way}: {}", cleaned(&why, &sms.text))),
        }
    }
    let words = said.join("; ");
    match (later, said.is_empty()) {
        (true, _) => SmsSent::Later(words),
        (false, false) => SmsSent::Refused(words),
        (false, true) => SmsSent::Away,
    }
}

/// `late`: what it is when there is no answer in time.
async fn patient(
    most: Duration,
    late: fn(String) -> Sent,
    sending: facts::ports::Promise<Sent>,
) -> Sent {
    let came = tokio::time::timeout(most, sending).await;
    came.unwrap_or_else(|_| late("no answer in time".to_owned()))
}

/// Words of a way without those of the message: gateways repeat what they were asked, and a code or a link in it opens
/// something to whoever reads the log.
fn cleaned(words: &str, text: &str) -> String {
    let is_link = |word: &&str| word.contains("://") || word.to_lowercase().contains("%3a%2f%2f");
    let kept = words.split(char::is_whitespace);
    let mut out: String =
        kept.map(|word| if is_link(&word) { CUT } else { word }).collect::<Vec<_>>().join(" ");
    let mut pieces: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|piece| piece.chars().count() >= WORD_MIN)
        .collect();
    // The longest first: one may be part of another.
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    for piece in pieces {
        out = out.replace(piece, CUT);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_words_bear_nothing_of_the_message() {
        let text = "Acme\nکد: 123456\nhttps://pay.example/pay/0123456789abcdef";
        for words in [
            "HTTP 500 cannot send 'Acme کد: 123456 https://pay.example/pay/0123456789abcdef' now",
            "HTTP 500 {\"text\":\"Acme\\nکد: 123456\\nhttps:\\/\\/pay.example\\/pay\\/0123456789abcdef\"}",
            "HTTP 400 text=Acme%0A123456%0Ahttps%3A%2F%2Fpay.example%2Fpay%2F0123456789abcdef",
        ] {
            let cleaned = cleaned(words, text);
            assert!(cleaned.starts_with("HTTP "), "{cleaned}");
            for secret in ["123456", "0123456789abcdef", "Acme", "pay.example"] {
                assert!(!cleaned.contains(secret), "{cleaned}");
            }
        }
        assert_eq!(cleaned("HTTP 402 no credit left", text), "HTTP 402 no credit left");
    }
}
