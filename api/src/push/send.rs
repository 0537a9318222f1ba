//! One attempt at one row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::rows::{Attempt, OutboxRow, Payload};
use dialect::{Event, Method, Secrets, delivered, format_push, retry_delays};
use facts::Push;
use facts::ports::{FetchError, Fetched};

use super::PushConfig;
use super::lanes::Verdict;
use crate::counters::{Counters, count};
use crate::guard::{GuardedClient, Outgoing};
use crate::state::now;

/// Longest time a send may take; the guard's own total is this or less.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Bytes of an answer that are kept.
const ANSWER_KEPT: usize = 4 * 1024;

pub(super) struct Sender {
    pub(super) store: billing::Store,
    pub(super) guard: GuardedClient,
    pub(super) config: PushConfig,
    pub(super) counters: Arc<Counters>,
}

impl Sender {
    /// Sends a row and writes down what came of it.
    pub(super) async fn deliver(&self, row: OutboxRow) -> Verdict {
        let outgoing = match self.prepare(&row).await {
            Ok(Some(outgoing)) => outgoing,
            Ok(None) => return Verdict::Answered,
            Err(error) => {
                self.store_failed(&error, row.id);
                return Verdict::Answered;
            }
        };
        let at = now();
        let started = Instant::now();
        let answer = tokio::time::timeout(TIMEOUT, self.guard.send(&outgoing, ANSWER_MAX)).await;
        let answer = answer.unwrap_or(Err(FetchError::TimedOut));
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        count(&self.counters.push_attempts);
        let (good, verdict, status, kept) = judge(&row, &answer);
        let method = if outgoing.post { Method::Post } else { Method::Get };
        let attempt = Attempt {
            at,
            request: format!("{} {}", method.word(), outgoing.url),
            status,
            answer: kept,
            latency_ms,
        };
        tracing::info!(call = %row.call, row = row.id, attempt = row.attempts + 1, status, good, "push");
        if let Err(error) = self.note(&row, good, attempt).await {
            // The row comes again when its lease ends: the merchant may hear it twice, never not at all.
            self.store_failed(&error, row.id);
        }
        verdict
    }

    /// The bytes to send: those stored before, or written now and stored before anything is sent. `None`
    /// when the row can never be written; it is parked with the reason.
    async fn prepare(&self, row: &OutboxRow) -> billing::Result<Option<Outgoing>> {
        let body = match &row.body {
            Some(body) => body.clone(),
            None => match self.write(row).await? {
                Ok(body) => self.store.store_body(row.id, body).await?,
                Err(reason) => {
                    tracing::error!(call = %row.call, row = row.id, %reason, "push cannot be written");
                    let attempt = Attempt {
                        at: now(),
                        request: String::new(),
                        status: None,
                        answer: reason.to_string().into_bytes(),
                        latency_ms: 0,
                    };
                    self.store.park(row.id, Some(attempt)).await?;
                    count(&self.counters.push_parked);
                    return Ok(None);
                }
            },
        };
        let request = dialect::PushRequest::from_stored(row.dialect, &row.endpoint, body);
        let mut headers = vec![
            ("webhook-id", format!("tandem-{}", row.id)),
            ("webhook-timestamp", now().seconds().to_string()),
        ];
        if let Some(content_type) = request.content_type {
            headers.push(("content-type", content_type.to_owned()));
        }
        Ok(Some(Outgoing {
            post: request.method == Method::Post,
            url: request.url,
            headers,
            body: request.body,
        }))
    }

    async fn write(
        &self,
        row: &OutboxRow,
    ) -> billing::Result<Result<Vec<u8>, dialect::FormatError>> {
        let merchant = self.store.merchant(row.merchant).await?;
        let secrets = Secrets { api_key: merchant.as_ref().map(|merchant| merchant.key.as_str()) };
        let push = Push {
            kind: row.kind,
            dialect: row.dialect,
            endpoint: row.endpoint.clone(),
            context: row.context.clone(),
        };
        let event = match &row.payload {
            Payload::State(change) => Event::State(change),
            Payload::Record(record) => Event::Record(record),
        };
        Ok(format_push(&push, event, secrets).map(dialect::PushRequest::into_stored))
    }

    async fn note(&self, row: &OutboxRow, good: bool, attempt: Attempt) -> billing::Result<()> {
        if good {
            count(&self.counters.push_delivered);
            return self.store.done(row.id, attempt).await;
        }
        match self.delay_after(row) {
            Some(delay) => self.store.retry(row.id, now() + delay, attempt).await,
            None => {
                count(&self.counters.push_parked);
                self.store.park(row.id, Some(attempt)).await
            }
        }
    }

    /// How long to wait after the attempt just made; `None` when it was the last.
    fn delay_after(&self, row: &OutboxRow) -> Option<Duration> {
        let made = usize::try_from(row.attempts).unwrap_or(usize::MAX).saturating_add(1);
        match &self.config.delays {
            Some(delays) => delays.get(made).copied(),
            None => retry_delays(row.dialect, row.kind).get(made).copied().map(Duration::from_secs),
        }
    }

    fn store_failed(&self, error: &billing::Error, row: i64) {
        count(&self.counters.push_store_errors);
        tracing::warn!(%error, row, "push: the outbox cannot be written");
    }
}

/// Delivered? What does it say about the endpoint? Status and what to keep of the answer.
fn judge(
    row: &OutboxRow,
    answer: &Result<Fetched, FetchError>,
) -> (bool, Verdict, Option<u16>, Vec<u8>) {
    match answer {
        Ok(fetched) => {
            let good = delivered(row.dialect, fetched.status, &fetched.body);
            let kept = fetched.body.iter().take(ANSWER_KEPT).copied().collect();
            (good, Verdict::Answered, Some(fetched.status), kept)
        }
        Err(error) => {
            let (verdict, words) = match error {
                FetchError::BadUrl => {
                    (Verdict::Answered, "not a URL that can be visited".to_owned())
                }
                FetchError::Refused => (Verdict::Answered, "address refused".to_owned()),
                FetchError::TooLarge => (Verdict::Answered, "the answer is too large".to_owned()),
                FetchError::TimedOut => (Verdict::Silent, "no answer in time".to_owned()),
                FetchError::Failed(words) => (Verdict::Silent, words.clone()),
            };
            (false, verdict, None, words.into_bytes())
        }
    }
}
