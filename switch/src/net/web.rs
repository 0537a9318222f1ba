//! One SIP connection over a WebSocket (RFC 7118 over RFC 6455): one message in one WebSocket message, and
//! pings of ours that tell a dead browser from a quiet one.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use sip::endpoint::Flow;
use sip::wire::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::Shared;
use super::connection::{End, FAREWELL_MAX, Idle, WRITE_MAX, Waiting};
use crate::config::TcpKnobs;

/// The sub-protocol (RFC 7118 §4.1).
const SIP: &str = "sip";

/// The handshake of RFC 6455 §4.2; `None` when it fails.
pub(super) async fn accept<S>(stream: S, knobs: &TcpKnobs) -> Option<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let judge = |request: &Request, mut response: Response| match judge(
        request.headers(),
        &knobs.web_origins,
    ) {
        Ok(()) => {
            let protocol = HeaderValue::from_static(SIP);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
            Ok(response)
        }
        Err((status, why)) => {
            let mut refusal = ErrorResponse::new(Some(why.to_owned()));
            *refusal.status_mut() = status;
            Err(refusal)
        }
    };
    let accepted =
        tokio_tungstenite::accept_hdr_async_with_config(stream, judge, Some(config)).await;
    accepted.inspect_err(|error| tracing::debug!(%error, "no WebSocket")).ok()
}

/// Whether a handshake may succeed: it offers our sub-protocol (RFC 7118 §4.1), and a page that it comes
/// from is one of ours (RFC 6455 §10.2). What is no browser names no page.
fn judge(headers: &HeaderMap, origins: &[String]) -> Result<(), (StatusCode, &'static str)> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered =
        offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !offered.any(|protocol| protocol.trim().eq_ignore_ascii_case(SIP)) {
        return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol must offer sip"));
    }
    let ours = |origin: &HeaderValue| {
        let known = |ours: &String| ours.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        origins.iter().any(known)
    };
    match headers.get(header::ORIGIN) {
        Some(origin) if !origins.is_empty() && !ours(origin) => {
            Err((StatusCode::FORBIDDEN, "this Origin may not"))
        }
        _ => Ok(()),
    }
}

/// Reads and writes until either side ends it.
pub(super) async fn serve<S>(
    mut socket: WebSocketStream<S>,
    flow: Flow,
    mut waiting: Waiting,
    shared: &Shared,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stop = shared.stop.clone();
    let mut idle = Idle::new(flow);
    let mut first = Some(Instant::now() + shared.knobs.first_message);
    let pause = shared.knobs.keep_alive;
    let mut ping_at = pause.map(|pause| Instant::now() + pause);
    // A ping of ours that nothing has come after.
    let mut unanswered = false;
    let end = loop {
        let look = first.unwrap_or_else(|| idle.next_look(&shared.knobs));
        let wake = ping_at.map_or(look, |at| at.min(look));
        let out = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break End::Stopping,
            bytes = waiting.recv() => match bytes {
                Some(bytes) => written(bytes),
                None => break End::Cut,
            },
            incoming = socket.next() => {
                let Some(Ok(message)) = incoming else { break End::Closed };
                unanswered = false;
                let bytes = match message {
                    Message::Text(text) => text.into(),
                    Message::Binary(bytes) => bytes,
                    // Pongs leave by themselves with the next read or write.
                    Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                    Message::Close(_) => break End::Closed,
                };
                idle.heard();
                first = None;
                let Some(answer) = heard(flow, bytes, shared) else { continue };
                answer
            }
            () = tokio::time::sleep_until(wake) => {
                let now = Instant::now();
                if first.is_some_and(|by| by <= now) {
                    break End::TooSlow;
                }
                if ping_at.is_none_or(|at| at > now) {
                    if idle.is_over(shared) {
                        break End::Idle;
                    }
                    continue;
                }
                if unanswered {
                    break End::DoesNotRead;
                }
                unanswered = true;
                ping_at = pause.map(|pause| now + pause);
                Message::Ping(Bytes::new())
            }
        };
        match timeout(WRITE_MAX, socket.send(out)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break End::Closed,
            Err(_) => break End::DoesNotRead,
        }
    };
    // RFC 6455 §7.1.1: whoever ends it says so.
    let _ = timeout(FAREWELL_MAX, socket.close(None)).await;
    end
}

/// What came: a message for the engine, or a keep-alive (RFC 7118 §6, RFC 5626 §3.5.1), which may want an
/// answer.
fn heard(flow: Flow, bytes: Bytes, shared: &Shared) -> Option<Message> {
    match &bytes[..] {
        b"\r\n\r\n" => Some(Message::Text(Utf8Bytes::from_static("\r\n"))),
        blank if blank.iter().all(u8::is_ascii_whitespace) => None,
        _ => {
            shared.heard(flow, bytes);
            None
        }
    }
}

/// Text where it is text: browsers take nothing else for granted (RFC 7118 §4.2).
fn written(bytes: Bytes) -> Message {
    Utf8Bytes::try_from(bytes.clone()).map_or_else(|_| Message::Binary(bytes), Message::Text)
}
