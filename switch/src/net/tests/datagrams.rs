//! UDP: what is no SIP on the socket of SIP.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::Ordering;

use facts::settings::Transport as Way;
use facts::{Binding, UnixMillis};
use sip::endpoint::Transmit;

use super::super::Net;
use super::super::keep_alive;
use super::super::udp::{DATAGRAM_MAX, Socket};
use super::*;

fn phone() -> (UdpSocket, SocketAddr) {
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = phone.local_addr().unwrap();
    (phone, address)
}

#[test]
fn rfc5626_3_5_2_stun_is_answered_where_sip_is_spoken() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let mut ground = Ground::new(|_| {});
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (phone, address) = phone();
    let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    phone.send_to(&request, socket.local).unwrap();
    phone.send_to(OPTIONS, socket.local).unwrap();
    let mut buffer = vec![0; DATAGRAM_MAX];
    let began = std::time::Instant::now();
    let heard = loop {
        socket.read(&mut buffer, &ground.shared.counts, &mut ground.outlet);
        if let Some(heard) = ground.outlet.next_message() {
            break heard;
        }
        assert!(began.elapsed() < PATIENCE);
    };
    assert_eq!(&heard.bytes[..], OPTIONS, "the engine hears SIP alone");
    let mut answer = [0; 100];
    let length = phone.recv(&mut answer).unwrap();
    let port = u16::from_be_bytes([answer[26], answer[27]]) ^ 0x2112;
    assert_eq!((length, &answer[..2], port), (32, &[1, 1][..], address.port()));
    assert_eq!(ground.shared.counts.stun.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_behind_a_nat_are_pinged_and_others_are_not() {
    let ground = Ground::new(|_| {});
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (behind, open) = (phone(), phone());
    for (name, remote, contact, transport) in [
        ("behind", behind.1, "sip:1@192.168.1.5:5060".to_owned(), Way::Udp),
        ("open", open.1, format!("sip:1@{}", open.1), Way::Udp),
        ("tcp", open.1, "sip:1@192.168.1.5:5060".to_owned(), Way::Tcp),
    ] {
        ground.shared.directory.keep(&Binding {
            user: name.into(),
            key: contact.clone(),
            contact,
            q: 1000,
            expires: UnixMillis(i64::MAX),
            call_id: String::new(),
            cseq: 1,
            transport,
            local: socket.local,
            remote,
            path: Vec::new(),
            updated: UnixMillis(0),
        });
    }
    let pause = Duration::from_millis(20);
    let task = tokio::spawn(keep_alive::run(vec![socket], pause, ground.shared.clone()));
    let pings = tokio::task::spawn_blocking(move || {
        let mut ping = [0; 10];
        (0..3)
            .map(|_| behind.0.recv(&mut ping).map(|length| ping[..length].to_vec()).unwrap())
            .collect()
    });
    let pings: Vec<Vec<u8>> = pings.await.unwrap();
    assert_eq!(pings, [b"\r\n\r\n"; 3]);
    open.0.set_nonblocking(true).unwrap();
    assert!(open.0.recv(&mut [0; 10]).is_err(), "what is reached anyway is left alone");
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_logged_with_its_reason_once_a_minute_and_comes_back() {
    let ground = Ground::new(|_| {});
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let local = socket.local;
    let counts = Arc::clone(&ground.shared.counts);
    let net = Net { udp: vec![socket], buffer: Vec::new(), connector: ground.connector, counts };
    let transmit = |local: SocketAddr, remote: &str| {
        let flow = Flow::udp(local, remote.parse().unwrap());
        (flow, net.transmit(Transmit { flow, bytes: Bytes::from_static(OPTIONS) }))
    };
    // Loopback cannot reach another network, and there is no listener of the other family.
    for (from, remote, reason) in [
        (local, "192.0.2.1:5060", io::ErrorKind::InvalidInput),
        ("[::1]:5060".parse().unwrap(), "[2001:db8::1]:5060", io::ErrorKind::AddrNotAvailable),
    ] {
        let (flow, sent) = transmit(from, remote);
        assert_eq!(sent, Err(flow));
        let again = net.counts.unsent(&flow, &reason.into());
        assert_eq!(again, None, "{remote}: it has its line");
    }
    assert_eq!(net.counts.failed.load(Ordering::Relaxed), 2);
    let other = Flow::udp(local, "192.0.2.9:5060".parse().unwrap());
    assert_eq!(net.counts.unsent(&other, &io::ErrorKind::InvalidInput.into()), Some(0));
}
