//! One SIP connection over a byte stream, TCP or TLS (RFC 3261 §18.3): a task with a bounded queue, so that
//! a far end that does not read blocks nobody but itself.

use bytes::Bytes;
use sip::endpoint::Flow;
use sip::wire::stream::{Frame, Framer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::connection::{End, FAREWELL_MAX, Idle, Origin, WRITE_MAX, Waiting};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// The keep-alive of RFC 5626 §3.5.1 as whoever answers pings writes it: asks for nothing.
const CRLF: &[u8] = b"\r\n";

/// Reads and writes until either side ends it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    flow: Flow,
    mut waiting: Waiting,
    shared: &Shared,
    origin: Origin,
) -> End {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let end = {
        let mut stop = shared.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => End::Stopping,
            end = write(&mut writer, &mut waiting, shared, origin) => end,
            end = read(&mut reader, flow, shared) => end,
        }
    };
    // RFC 8446 §6.1: TLS says that this is all.
    let _ = timeout(FAREWELL_MAX, writer.shutdown()).await;
    end
}

async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    waiting: &mut Waiting,
    shared: &Shared,
    origin: Origin,
) -> End {
    loop {
        let next = match (shared.knobs.keep_alive, origin) {
            (Some(pause), Origin::Peer) => timeout(pause, waiting.recv()).await,
            _ => Ok(waiting.recv().await),
        };
        let bytes = match next {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return End::Cut,
            // Keeps the way through the peer's NAT open (RFC 6223 has the peer do that; not all do).
            Err(_) => Bytes::from_static(CRLF),
        };
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(WRITE_MAX, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Closed,
            Err(_) => return End::DoesNotRead,
        }
    }
}

async fn read(reader: &mut (impl AsyncRead + Unpin), flow: Flow, shared: &Shared) -> End {
    let mut framer = Framer::new();
    let mut chunk = vec![0_u8; CHUNK];
    let mut idle = Idle::new(flow);
    // A message must be whole within `first_message` of its first byte, the very first one within
    // that time of the connection.
    let mut deadline = Some(Instant::now() + shared.knobs.first_message);
    loop {
        let limit = deadline.unwrap_or_else(|| idle.next_look(&shared.knobs));
        let length = match timeout_at(limit, reader.read(&mut chunk)).await {
            Ok(Ok(0) | Err(_)) => return End::Closed,
            Ok(Ok(length)) => length,
            Err(_) if deadline.is_some() => return End::TooSlow,
            Err(_) if idle.is_over(shared) => return End::Idle,
            Err(_) => continue,
        };
        idle.heard();
        framer.push(&chunk[..length]);
        let mut whole = false;
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(bytes))) => {
                    whole = true;
                    shared.heard(flow, bytes);
                }
                Ok(Some(Frame::Ping)) => {
                    whole = true;
                    // RFC 5626 §4.4.1: a pong; when the queue is full it is not missed.
                    shared.say(flow, Bytes::from_static(CRLF));
                }
                Ok(Some(Frame::Pong)) => whole = true,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, remote = %flow.remote, "not SIP");
                    return End::NotSip;
                }
            }
        }
        if framer.pending() == 0 {
            deadline = None;
        } else if whole || deadline.is_none() {
            deadline = Some(Instant::now() + shared.knobs.first_message);
        }
    }
}
