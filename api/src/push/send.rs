//! One attempt at one row. Knows no store: what came of it goes back as a report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::rows::{Attempt, OutboxRow, Payload};
use billing::{After, Leased, Report, Writer};
use dialect::inoti::page as merchant_page;
use dialect::{
    Event, Method, Secrets, delivered, format_paid, format_push, patience_seconds, rest,
    retry_delays,
};
use facts::ports::{FetchError, Fetched};
use facts::{Dialect, LegNo, Purpose, Push};

use super::PushConfig;
use super::lanes::Verdict;
use crate::counters::{Counters, count};
use crate::guard::{GuardedClient, Outgoing};
use crate::state::now;

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of an answer that are kept.
const ANSWER_KEPT: usize = 4 * 1024;
/// The status by which a webhook says that it is no more.
const GONE: u16 = 410;
/// The longest that an answer may make us wait, seconds.
const WAIT_MAX_S: u32 = 86_400;

pub(super) struct Sender {
    pub(super) guard: GuardedClient,
    pub(super) config: PushConfig,
    pub(super) counters: Arc<Counters>,
}

/// Writes rows out as their dialects have it.
pub(super) fn writer() -> Writer {
    Arc::new(|row, key| {
        let Some(happened) = happened(row) else {
            let Payload::Paid(paid) = &row.payload else { return Err("nothing to tell".into()) };
            return Ok(format_paid(&row.endpoint, paid).into_stored());
        };
        if row.dialect == Dialect::Rest {
            let written = rest::event(happened, &row.context, row.sequence);
            return serde_json::to_vec(&written).map_err(|error| error.to_string());
        }
        let secrets = Secrets { api_key: (!key.is_empty()).then_some(key) };
        let push = Push {
            kind: row.kind,
            dialect: row.dialect,
            endpoint: row.endpoint.clone(),
            context: row.context.clone(),
        };
        format_push(&push, happened, secrets)
            .map(dialect::PushRequest::into_stored)
            .map_err(|reason| reason.to_string())
    })
}

/// What a page answers, in UTF-8 whatever it writes in; nothing of what is no text.
fn in_words(seen: Fetched) -> Fetched {
    let kind = seen.content_type.as_deref();
    let binary = merchant_page::is_binary(kind, &seen.body);
    let text = if binary { String::new() } else { merchant_page::decoded(kind, &seen.body) };
    Fetched { body: text.into_bytes(), ..seen }
}

/// What of a call a row tells.
fn happened(row: &OutboxRow) -> Option<Event<'_>> {
    Some(match &row.payload {
        Payload::State(change) => Event::State(change),
        Payload::Record(record) if record.facts.command.purpose == Purpose::Conference => {
            Event::Participant(record, u8::try_from(row.part).map_or(LegNo::A, LegNo))
        }
        Payload::Record(record) => Event::Record(record),
        Payload::Campaign(change) => Event::Campaign(change),
        Payload::Text(received) => Event::Text(received),
        Payload::Paid(_) => return None,
    })
}

impl Sender {
    /// Sends a row; says what that tells about its endpoint, and what is to be noted.
    pub(super) async fn deliver(&self, leased: Leased) -> (Verdict, Report) {
        let Leased { mut row, unwritable, secrets } = leased;
        let body = match (unwritable, row.body.take()) {
            (None, Some(body)) => body,
            (reason, _) => {
                return (Verdict::Answered, self.unwritable(&row, &reason.unwrap_or_default()));
            }
        };
        let outgoing = outgoing(&row, body, &secrets);
        let at = now();
        let started = Instant::now();
        let patience = outgoing.patience.unwrap_or(self.config.timeout);
        let answer = match row.payload {
            // A page is visited as in its menus: it may have moved.
            Payload::Paid(_) => {
                let seen = self.guard.get_within(&outgoing.url, ANSWER_MAX, patience).await;
                seen.map(in_words)
            }
            _ => {
                let sent = self.guard.send(&outgoing, ANSWER_MAX);
                tokio::time::timeout(patience, sent).await.unwrap_or(Err(FetchError::TimedOut))
            }
        };
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        count(&self.counters.push_attempts);
        let outcome = judge(&row, answer);
        let after = self.after(&row, &outcome);
        let method = if outgoing.post { Method::Post } else { Method::Get };
        let attempt = Attempt {
            at,
            request: format!("{} {}", method.word(), outgoing.url),
            status: outcome.status,
            answer: outcome.kept,
            latency_ms,
        };
        let (id, lease, webhook) = (row.id, row.lease, row.webhook);
        (outcome.verdict, Report { id, lease, after, attempt: Some(attempt), webhook })
    }

    fn unwritable(&self, row: &OutboxRow, reason: &str) -> Report {
        tracing::error!(call = %row.call, row = row.id, reason, "push cannot be written: parked");
        count(&self.counters.push_parked);
        let attempt = Attempt {
            at: now(),
            request: String::new(),
            status: None,
            answer: reason.as_bytes().to_vec(),
            latency_ms: 0,
        };
        let (id, lease) = (row.id, row.lease);
        Report { id, lease, after: After::Park, attempt: Some(attempt), webhook: None }
    }

    /// What happens next; the log says why.
    fn after(&self, row: &OutboxRow, outcome: &Outcome) -> After {
        let attempt = row.attempts + 1;
        let Some(reason) = outcome.reason.as_deref() else {
            count(&self.counters.push_delivered);
            tracing::info!(call = %row.call, row = row.id, attempt, "push delivered");
            return After::Done;
        };
        if row.webhook.is_some() && outcome.status == Some(GONE) {
            count(&self.counters.push_parked);
            tracing::warn!(call = %row.call, row = row.id, "push: the webhook is gone, nothing more goes there");
            return After::Gone;
        }
        match self.delay_after(row) {
            Some(delay) => {
                let asked = outcome.retry_after_s.filter(|_| row.webhook.is_some());
                let asked = Duration::from_secs(asked.unwrap_or_default().min(WAIT_MAX_S).into());
                let delay = delay.max(asked);
                tracing::info!(call = %row.call, row = row.id, attempt, reason, again_in = ?delay, "push failed");
                After::Retry(now() + delay)
            }
            None => {
                count(&self.counters.push_parked);
                tracing::warn!(call = %row.call, row = row.id, attempt, reason, "push failed: parked");
                After::Park
            }
        }
    }

    /// How long to wait after the attempt just made; `None` when it was the last.
    fn delay_after(&self, row: &OutboxRow) -> Option<Duration> {
        let made = usize::try_from(row.attempts).unwrap_or(usize::MAX).saturating_add(1);
        match &self.config.delays {
            Some(delays) => delays.get(made).copied(),
            None if row.dialect == Dialect::Rest => {
                let seed = row.id.cast_unsigned() ^ u64::from(row.attempts);
                rest::retry_after_ms(made, seed).map(Duration::from_millis)
            }
            None => retry_delays(row.dialect, row.kind).get(made).copied().map(Duration::from_secs),
        }
    }
}

/// The request that carries the bytes of a row.
fn outgoing(row: &OutboxRow, body: Vec<u8>, secrets: &[String]) -> Outgoing {
    let request = dialect::PushRequest::from_stored(row.dialect, &row.endpoint, body);
    let timestamp = now().seconds();
    let event = row.webhook.and_then(|_| happened(row));
    let id = match event {
        Some(event) => rest::event_id(row.call, event),
        None => format!("tandem-{}", row.id),
    };
    let mut headers = Vec::with_capacity(4);
    if row.webhook.is_some() {
        let signature = rest::webhook_signature(secrets, &id, timestamp, &request.body);
        headers.push(("webhook-signature", signature));
    }
    headers.push(("webhook-id", id));
    headers.push(("webhook-timestamp", timestamp.to_string()));
    if let Some(content_type) = request.content_type {
        headers.push(("content-type", content_type.to_owned()));
    }
    let patience = patience_seconds(row.dialect).map(Duration::from_secs);
    let post = request.method == Method::Post;
    Outgoing { post, url: request.url, headers, body: request.body, more: Vec::new(), patience }
}

/// What an answer, or its absence, means.
struct Outcome {
    /// Why it does not count as delivered; `None`: it does.
    reason: Option<String>,
    /// What it says about the endpoint.
    verdict: Verdict,
    status: Option<u16>,
    /// What is kept of the answer.
    kept: Vec<u8>,
    /// When it wants to be asked again.
    retry_after_s: Option<u32>,
}

fn judge(row: &OutboxRow, answer: Result<Fetched, FetchError>) -> Outcome {
    let fetched = match answer {
        Ok(fetched) => fetched,
        Err(error) => {
            let (verdict, words) = match error {
                FetchError::BadUrl => {
                    (Verdict::Answered, "not a URL that can be visited".to_owned())
                }
                FetchError::Refused => (Verdict::Answered, "address refused".to_owned()),
                FetchError::TooLarge => (Verdict::Answered, "the answer is too large".to_owned()),
                FetchError::TimedOut => (Verdict::Silent, "no answer in time".to_owned()),
                FetchError::Failed(words) => (Verdict::Silent, words),
            };
            let kept = words.clone().into_bytes();
            return Outcome {
                reason: Some(words),
                verdict,
                status: None,
                kept,
                retry_after_s: None,
            };
        }
    };
    let reason = failure(row, fetched.status, &fetched.body);
    let retry_after_s = fetched.retry_after_s;
    let mut kept = fetched.body;
    kept.truncate(ANSWER_KEPT);
    let status = Some(fetched.status);
    Outcome { reason, verdict: Verdict::Answered, status, kept, retry_after_s }
}

/// Why an answer is not the one that the dialect takes for success. The answer itself, which is the
/// merchant's, is not repeated.
pub(crate) fn failure(row: &OutboxRow, status: u16, answer: &[u8]) -> Option<String> {
    if delivered(row.dialect, status, answer) {
        return None;
    }
    Some(match status {
        200..300 => format!("HTTP {status} with other words than the system asks for"),
        _ => format!("HTTP {status}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_3_what_a_page_answers_is_read_by_the_charset_of_its_header() {
        let seen = |kind: Option<&str>, body: &[u8]| Fetched {
            status: 200,
            body: body.to_vec(),
            content_type: kind.map(str::to_owned),
            validators: facts::ports::Validators::default(),
            retry_after_s: None,
        };
        let text = |kind, body| String::from_utf8(in_words(seen(kind, body)).body).unwrap();
        assert_eq!(text(Some("text/plain; charset=windows-1256"), b"\xd3\xe1\xc7\xe3"), "سلام");
        assert_eq!(text(None, "سلام".as_bytes()), "سلام");
        assert_eq!(text(Some("image/png"), b"\x89PNG\0\x01\x02\x03"), "");
    }
}
