//! The HTTP server against clients that are slow, large, old or hostile. Raw sockets: what is tested is bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Counters;
use api::server::{ServerConfig, serve};
use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(config: ServerConfig) -> Server {
    let router = Router::new()
        .route("/echo", get(|RawQuery(query): RawQuery| async { query.unwrap_or_default() }))
        .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/large", get(|| async { vec![b'x'; 64 * 1024 * 1024] }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                "done"
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task =
        tokio::spawn(serve(listener, router, config, Arc::new(Counters::default()), stopped));
    Server { address, stop, task }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a fresh connection and reads until the server closes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read all of a request that it refuses.
        let _ = stream.write_all(request).await;
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..read]);
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn quick() -> ServerConfig {
    ServerConfig {
        header_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_secs(2),
        drain: Duration::from_secs(2),
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn a_request_line_in_raw_gbk_reaches_the_handler_escaped() {
    let server = start(quick()).await;
    let answer = server
        .exchange(b"GET /echo?realname=\xd5\xc5 \xc8\xfd&r=http://a/?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nrealname=%D5%C5%20%C8%FD&r=http://a/?b"), "{answer}");
}

#[tokio::test]
async fn old_clients_http_1_0_no_host_no_user_agent() {
    let server = start(quick()).await;
    let answer = server.exchange(b"GET /echo?a=1 HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\na=1"),
        "{answer}"
    );
}

#[tokio::test]
async fn rfc9110_10_1_1_expect_100_continue_is_answered() {
    let server = start(quick()).await;
    let mut stream = server.connect().await;
    let head = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    assert!(read_all(&mut stream).await.ends_with("\r\n\r\n4"));
}

#[tokio::test]
async fn f18_a_head_over_16_kib_is_431() {
    let server = start(quick()).await;
    let filler = "x".repeat(17 * 1024);
    let request = format!("GET /echo HTTP/1.1\r\nHost: x\r\nX-Filler: {filler}\r\n\r\n");
    let answer = server.exchange(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let request = format!("GET /echo HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let answer = server.exchange(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn f18_slow_heads_are_closed_and_do_not_hold_up_others() {
    let server = start(quick()).await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /echo HTTP/1.1\r\nHost: x\r\nX-").await.unwrap();
        slow.push(stream);
    }
    let asked = Instant::now();
    let answer =
        server.exchange(b"GET /echo?ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    let started = Instant::now();
    for mut stream in slow {
        // One more byte does not buy more time.
        let _ = stream.write_all(b"a").await;
        let answer = read_all(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed() {
    let server = start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /echo?a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.ends_with("\r\n\r\na"), "{answer}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_408() {
    let config = ServerConfig { request_timeout: Duration::from_millis(100), ..quick() };
    let server = start(config).await;
    let answer = server.exchange(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let answer =
        server.exchange(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    let config =
        ServerConfig { connections: 1, write_timeout: Duration::from_millis(200), ..quick() };
    let server = start(config).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let answer = server.exchange(b"GET /echo?a HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\na"), "its place is free: {answer}");
    // A slow but steady reader gets all of it.
    drop(deaf);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut steady = server.connect().await;
    steady.write_all(b"GET /large HTTP/1.0\r\n\r\n").await.unwrap();
    let mut read = 0;
    let mut chunk = vec![0; 4 * 1024 * 1024];
    while let Ok(count @ 1..) = steady.read(&mut chunk).await {
        read += count;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(read > 64 * 1024 * 1024, "{read}");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_places_come_free() {
    let server = start(ServerConfig { connections: 2, ..quick() }).await;
    let (first, second) = (server.connect().await, server.connect().await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = server.connect().await;
    assert_eq!(read_all(&mut third).await, "");
    drop((first, second));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = server.exchange(b"GET /echo?a HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\na"), "{answer}");
}

#[tokio::test]
async fn f18_a_request_with_two_lengths_is_refused() {
    let server = start(quick()).await;
    let answer = server
        .exchange(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// RFC 9112 §6.1: who reads one of the two lengths sees two requests where who reads the other sees one.
#[tokio::test]
async fn f18_a_request_with_a_length_and_chunks_smuggles_none_behind_it() {
    let server = start(quick()).await;
    let (length, chunked) = ("Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n");
    let smuggled = "GET /echo?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (first, second) in [(length, chunked), (chunked, length)] {
        for more in ["", "\r\n"] {
            let request = format!(
                "POST /body HTTP/1.1\r\nHost: x\r\n{first}{second}\r\n0\r\n\r\n{more}{smuggled}"
            );
            let answer = server.exchange(request.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert!(!answer.contains("smuggled"), "{answer}");
        }
    }
    // Codings that are not told plainly.
    for coding in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        " Transfer-Encoding: chunked",
    ] {
        let request =
            format!("POST /body HTTP/1.1\r\nHost: x\r\n{coding}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = server.exchange(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{coding}: {answer}");
        assert!(!answer.contains("smuggled"), "{coding}: {answer}");
    }
    let old = format!("POST /body HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n{smuggled}");
    let answer = server.exchange(old.as_bytes()).await;
    assert!(!answer.contains("smuggled"), "{answer}");
    // Chunks alone are an ordinary body.
    let request = format!(
        "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{chunked}\r\n4\r\nbody\r\n0\r\n\r\n"
    );
    let answer = server.exchange(request.as_bytes()).await;
    assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
}

#[tokio::test]
async fn shutdown_lets_an_open_request_finish_and_takes_no_more() {
    let server = start(quick()).await;
    let mut open = server.connect().await;
    open.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.send(true).unwrap();
    assert!(read_all(&mut open).await.ends_with("\r\n\r\ndone"));
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
