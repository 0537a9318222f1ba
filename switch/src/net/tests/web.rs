//! WebSockets (RFC 7118), by a real client and by bytes of the test's own.

use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::*;

async fn browser(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], "sip", "RFC 7118 §4.1");
    socket
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.expect("nothing came").and_then(Result::ok)
}

#[tokio::test]
async fn b10_rfc7118_5_1_one_message_is_one_websocket_message_both_ways() {
    let ground = Ground::new(|_| {});
    let mut socket = browser(ground.listening(Transport::Ws)).await;
    let text = std::str::from_utf8(OPTIONS).unwrap();
    for message in [Message::text(text), Message::binary(OPTIONS)] {
        socket.send(message).await.unwrap();
        let heard = ground.heard().await;
        assert_eq!((&heard.bytes[..], heard.flow.transport), (OPTIONS, Transport::Ws));
        assert!(ground.say(heard.flow, b"SIP/2.0 200 OK\r\n\r\n"));
        assert_eq!(next(&mut socket).await, Some(Message::text("SIP/2.0 200 OK\r\n\r\n")));
        assert!(ground.say(heard.flow, b"\xff"));
        assert_eq!(next(&mut socket).await, Some(Message::binary(&b"\xff"[..])));
    }
    // RFC 5626 §3.5.1 as browsers speak it.
    socket.send(Message::text("\r\n\r\n")).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::text("\r\n")));
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Pong("are you there".into())));
    assert_eq!(ground.outlet.network.len(), 0);
}

/// The status of a handshake with these headers.
async fn handshake(address: SocketAddr, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn b10_rfc7118_4_1_only_the_sub_protocol_sip_and_pages_of_ours_get_in() {
    let ground =
        Ground::new(|config| config.tcp.web_origins = vec!["https://phone.example".into()]);
    let address = ground.listening(Transport::Ws);
    for (headers, status) in [
        ("", "400"),
        ("Sec-WebSocket-Protocol: chat\r\n", "400"),
        ("Sec-WebSocket-Protocol: chat, sip\r\n", "101"),
        ("Sec-WebSocket-Protocol: sip\r\nOrigin: https://Phone.example\r\n", "101"),
        ("Sec-WebSocket-Protocol: sip\r\nOrigin: https://evil.example\r\n", "403"),
        ("Sec-WebSocket-Protocol: sip\r\nOrigin: null\r\n", "403"),
    ] {
        assert_eq!(handshake(address, headers).await, status, "{headers:?}");
    }
    let failed =
        || ground.shared.counts.handshakes_failed.of(Transport::Ws).load(Ordering::Relaxed);
    soon("not counted", || (failed() == 4).then_some(())).await;
    let open = Ground::new(|_| {});
    let any = "Sec-WebSocket-Protocol: sip\r\nOrigin: https://evil.example\r\n";
    assert_eq!(handshake(open.listening(Transport::Ws), any).await, "101");
}

/// A connection past its handshake, for bytes that no client sends.
async fn raw(address: SocketAddr) -> TcpStream {
    let socket = browser(address).await;
    socket.into_inner()
}

#[tokio::test]
async fn rfc6455_5_1_frames_that_are_not_masked_or_too_long_end_the_connection() {
    let ground = Ground::new(|_| {});
    let address = ground.listening(Transport::Ws);
    let bare = [&[0x81, OPTIONS.len() as u8][..], OPTIONS].concat();
    // 65,537 bytes are announced; the mask is that of zeros.
    let long = [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    for frame in [&bare[..], &long] {
        let mut stream = raw(address).await;
        stream.write_all(frame).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was kept");
    }
    assert_eq!(ground.outlet.network.len(), 0);
}

#[tokio::test]
async fn a_browser_that_says_nothing_or_answers_no_ping_is_let_go() {
    let silent = Ground::new(|config| config.tcp.first_message = Duration::from_millis(50));
    let mut socket = browser(silent.listening(Transport::Ws)).await;
    assert!(matches!(next(&mut socket).await, None | Some(Message::Close(_))));

    let dead = Ground::new(|config| config.tcp.keep_alive = Some(Duration::from_millis(50)));
    let mut stream = raw(dead.listening(Transport::Ws)).await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was kept").unwrap();
    assert_eq!(rest[..2], [0x89, 0], "a ping");
    let cut = || dead.shared.counts.connections_cut.load(Ordering::Relaxed);
    soon("not counted", || (cut() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_browser_that_answers_pings_stays() {
    let ground = Ground::new(|config| config.tcp.keep_alive = Some(Duration::from_millis(20)));
    let mut socket = browser(ground.listening(Transport::Ws)).await;
    for _ in 0..5 {
        assert_eq!(next(&mut socket).await, Some(Message::Ping(Bytes::new())));
    }
    socket.send(Message::binary(OPTIONS)).await.unwrap();
    ground.heard().await;
}

#[tokio::test]
async fn rfc7118_5_nobody_connects_to_a_browser() {
    let ground = Ground::new(|_| {});
    let mut socket = browser(ground.listening(Transport::Ws)).await;
    socket.send(Message::binary(OPTIONS)).await.unwrap();
    let flow = ground.heard().await.flow;
    drop(socket);
    let Fact::FlowError(gone) = ground.fact().await else { panic!("another fact") };
    assert_eq!(gone, flow);
    assert!(!ground.say(flow, b"x"));
    assert!(!ground.say(Flow { connection: None, ..flow }, b"x"));
}
