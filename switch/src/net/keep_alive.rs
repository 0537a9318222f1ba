//! Keeps the way to phones behind a NAT open (RFC 5626 §3.5 wants the phone to do that; many do not): four
//! bytes to every contact that is registered over UDP from another address than it names. Connections are
//! kept by their own tasks.

use std::time::Duration;

use super::Shared;
use super::udp::Socket;

/// What asks for nothing and is no message.
const PING: &[u8] = b"\r\n\r\n";
/// Pings in a row before a rest.
const BURST: usize = 64;

/// Pings every `pause`, spread over it, until the process ends.
pub(super) async fn run(sockets: Vec<Socket>, pause: Duration, shared: Shared) {
    let mut stop = shared.stop.clone();
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = ping(&sockets, pause, &shared) => {}
    }
}

async fn ping(sockets: &[Socket], pause: Duration, shared: &Shared) {
    loop {
        let contacts = shared.directory.behind_nat();
        let bursts = u32::try_from(contacts.len().div_ceil(BURST)).unwrap_or(u32::MAX);
        if bursts == 0 {
            tokio::time::sleep(pause).await;
        }
        for burst in contacts.chunks(BURST) {
            for (local, remote) in burst {
                if let Some(socket) = sockets.iter().find(|socket| socket.local == *local) {
                    // Lost like any datagram when there is no room.
                    let _ = socket.send(PING, *remote);
                }
            }
            tokio::time::sleep(pause / bursts.max(1)).await;
        }
    }
}
