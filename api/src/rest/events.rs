//! `GET /v1/events`: the merchant's list of events as a stream (Server-Sent Events, WHATWG HTML §9.2), or page by page.
//!
//! The stream is read from the store, so whoever comes back with `Last-Event-ID` misses nothing. What is on its way to one
//! reader is one page at most: who does not read is let go by the server, and can resume.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use billing::rows::{OutboxRow, Payload};
use bytes::Bytes;
use dialect::Event as Happened;
use dialect::rest::{Code, Event, JSON, Page, Problem, event};
use facts::MerchantId;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{Asked, Asker, Reply, ok, ours};
use crate::door::answer;
use crate::state::{ApiState, now};

/// Events told at once.
const BATCH: u32 = 100;
/// Between two looks at the list.
const POLL: Duration = Duration::from_millis(300);
/// Silence after which a comment is sent, so that nobody between us takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Streams of one merchant at once.
const STREAMS_MAX: usize = 10;
/// How soon a reader comes back, milliseconds.
const RETRY_MS: u32 = 2000;

/// Streams that are open, by merchant.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<BTreeMap<MerchantId, usize>>);

/// One of them; dropping it frees the place.
struct Seat {
    state: ApiState,
    merchant: MerchantId,
}

impl Seat {
    fn take(state: &ApiState, merchant: MerchantId) -> Option<Seat> {
        let mut open = state.0.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(merchant).or_default();
        if *count >= STREAMS_MAX {
            return None;
        }
        *count += 1;
        Some(Seat { state: state.clone(), merchant })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.state.0.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.merchant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.merchant);
            }
        }
    }
}

pub(super) async fn events(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let accept = asked.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains(JSON)) {
        return page(state, asker, asked).await;
    }
    let after = match resumed(asked)? {
        Some(after) => after,
        None => state.0.store.last_event(asker.merchant.id).await.map_err(ours)?,
    };
    let words = format!("{STREAMS_MAX} streams are open already");
    let seat = Seat::take(state, asker.merchant.id);
    let seat = seat.ok_or_else(|| Problem::new(Code::TooMany, words))?;
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(tell(seat, Arc::clone(&asker.key), after, sender));
    let mut response = answer(StatusCode::OK, "text/event-stream", Body::new(Chunks(chunks)));
    // A proxy that gathers what it passes on would keep events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a reader was: the header of one who comes back, or `after`.
fn resumed(asked: &Asked) -> Result<Option<i64>, Problem> {
    let header = asked.headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let given = header.map(str::to_owned).or_else(|| asked.text("after"));
    let Some(given) = given else { return Ok(None) };
    let words = "`Last-Event-ID` and `after` are ids of events that were told here";
    let after = given.trim().parse::<i64>().ok().filter(|after| *after >= 0);
    after.map(Some).ok_or_else(|| Problem::new(Code::BadRequest, words))
}

async fn page(state: &ApiState, asker: &Asker, asked: &Asked) -> Reply {
    let (after, limit) = (asked.after()?, asked.limit()?);
    let rows = state.0.store.events(asker.merchant.id, after, limit).await.map_err(ours)?;
    let next = rows.last().map(|row| row.id.to_string());
    let items = rows.iter().filter_map(written).collect();
    Ok(ok(StatusCode::OK, &Page { items, next }))
}

/// An entry of the list as it is told.
pub(super) fn written(row: &OutboxRow) -> Option<Event> {
    Some(event(happened(row)?, &row.context, row.sequence))
}

/// What of a call a row tells.
pub(super) fn happened(row: &OutboxRow) -> Option<Happened<'_>> {
    match &row.payload {
        Payload::State(change) => Some(Happened::State(change)),
        Payload::Record(record) => Some(Happened::Record(record)),
        Payload::Campaign(change) => Some(Happened::Campaign(change)),
        Payload::Text(received) => Some(Happened::Text(received)),
        Payload::Paid(_) => None,
    }
}

/// Tells one reader until he leaves, his key is ended, or the process is to stop.
async fn tell(
    seat: Seat,
    key: Arc<billing::rows::ApiKey>,
    mut after: i64,
    sender: mpsc::Sender<Bytes>,
) {
    let state = &seat.state;
    let store = &state.0.store;
    let mut told = Instant::now();
    let first = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    if sender.send(first).await.is_err() {
        return;
    }
    while state.0.calls.ready() && still_good(state, &key).await {
        // Whoever resumes comes with the last id, so a store that is away only ends the stream.
        let Ok(rows) = store.events(seat.merchant, after, BATCH).await else { return };
        let text = if rows.is_empty() {
            (told.elapsed() >= HEARTBEAT).then(|| ":\n\n".to_owned())
        } else {
            Some(rows.iter().map(entry).collect())
        };
        if let Some(row) = rows.last() {
            after = row.id;
        }
        if let Some(text) = text {
            told = Instant::now();
            if sender.send(Bytes::from(text)).await.is_err() {
                return;
            }
        }
        if rows.len() < BATCH as usize {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = sender.closed() => return,
            }
        }
    }
}

async fn still_good(state: &ApiState, key: &billing::rows::ApiKey) -> bool {
    let Ok(view) = state.0.settings.current(&state.0.store).await else { return false };
    let found = view.api_key(&state.0.store, &key.id).await;
    found.is_ok_and(|found| found.is_some_and(|key| key.is_good(now())))
}

/// An event on the wire. JSON has no line break in it.
fn entry(row: &OutboxRow) -> String {
    let Some(event) = written(row) else { return String::new() };
    let data = serde_json::to_string(&event).unwrap_or_default();
    let mut text = String::with_capacity(data.len() + 64);
    let _ = write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", row.id, event.r#type);
    text
}

/// What one reader is told, chunk by chunk.
struct Chunks(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
