//! What holds for every byte stream, tried over TCP.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn rfc5626_4_4_1_a_ping_is_answered_and_messages_are_cut() {
    let ground = Ground::new(|_| {});
    let mut peer = ground.dial(Transport::Tcp).await;
    peer.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    peer.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    peer.write_all(&[OPTIONS, &OPTIONS[..10]].concat()).await.unwrap();
    assert_eq!(&ground.heard().await.bytes[..], OPTIONS);
    peer.write_all(&OPTIONS[10..]).await.unwrap();
    let second = ground.heard().await;
    assert_eq!(&second.bytes[..], OPTIONS);
    // An answer goes back over the very same connection.
    assert!(ground.say(second.flow, b"hello"));
    let mut answer = [0; 5];
    peer.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
}

#[tokio::test]
async fn a_silent_or_babbling_connection_is_cut() {
    let ground = Ground::new(|config| config.tcp.first_message = Duration::from_millis(50));
    let address = ground.listening(Transport::Tcp);
    for noise in [&b""[..], b"OPTIONS sip", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(noise).await.unwrap();
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, peer.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "{noise:?} kept its connection");
    }
    let cut = || ground.shared.counts.connections_cut.load(Ordering::Relaxed);
    soon("not counted", || (cut() == 3).then_some(())).await;
    assert_eq!(ground.outlet.network.len(), 0);
}

#[tokio::test]
async fn a_far_end_that_does_not_read_loses_its_connection_and_nobody_waits() {
    let ground = Ground::new(|_| {});
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = Flow::tcp("127.0.0.1:5060".parse().unwrap(), silent.local_addr().unwrap());
    let message = Bytes::from(vec![b'x'; 1 << 20]);
    let began = std::time::Instant::now();
    let mut sent = 0;
    while sent < 10_000 && ground.connector.send(flow, message.clone()) {
        sent += 1;
        tokio::task::yield_now().await;
    }
    assert!(sent < 10_000, "the queue never filled");
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_reported_as_it_was_asked_for() {
    let ground = Ground::new(|_| {});
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flow = Flow::tcp("127.0.0.1:5060".parse().unwrap(), gone.local_addr().unwrap());
    drop(gone);
    assert!(ground.say(flow, b"x"));
    let Fact::FlowError(broken) = ground.fact().await else { panic!("another fact") };
    assert_eq!(broken, flow);
    assert_eq!(ground.connections(), 0);
}

/// RFC 5626 §4.2 lets whoever is registered keep its connection; who that is only the engine knows.
#[tokio::test]
async fn a_connection_without_traffic_is_asked_about_and_closed_when_the_engine_says_so() {
    let ground = Ground::new(|config| config.tcp.unused = Duration::from_millis(50));
    let mut peer = ground.dial(Transport::Tcp).await;
    peer.write_all(OPTIONS).await.unwrap();
    let flow = ground.heard().await.flow;
    for _ in 0..2 {
        let Fact::Idle(idle) = ground.fact().await else { panic!("another fact") };
        assert_eq!(idle, flow, "it stays, and is asked about again");
    }
    ground.connector.close(flow);
    let mut rest = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut rest)).await.unwrap().unwrap();
    let closed = soon("no report", || match ground.outlet.facts.try_recv() {
        Ok(Fact::FlowError(closed)) => Some(closed),
        _ => None,
    });
    assert_eq!(closed.await, flow);
}

#[tokio::test]
async fn no_connection_is_idle_for_longer_than_any_may_be() {
    let ground = Ground::new(|config| config.tcp.idle = Duration::from_millis(60));
    let mut peer = ground.dial(Transport::Tcp).await;
    peer.write_all(OPTIONS).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn rfc6223_a_phones_connection_is_kept_open_through_its_nat() {
    let ground = Ground::new(|config| config.tcp.keep_alive = Some(Duration::from_millis(30)));
    let mut peer = ground.dial(Transport::Tcp).await;
    peer.write_all(OPTIONS).await.unwrap();
    let mut pings = [0; 4];
    timeout(PATIENCE, peer.read_exact(&mut pings)).await.unwrap().unwrap();
    assert_eq!(&pings, b"\r\n\r\n");
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_it_may() {
    let ground = Ground::new(|config| config.tcp.per_address = 2);
    let address = ground.listening(Transport::Tcp);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(OPTIONS).await.unwrap();
        ground.heard().await;
        held.push(peer);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, third.read_to_end(&mut rest)).await.unwrap();
    drop(held.pop());
    // Its place is free again once it is gone.
    let began = std::time::Instant::now();
    loop {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let _ = peer.write_all(OPTIONS).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if ground.outlet.network.try_recv().is_ok() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the place was not given back");
    }
}
