//! SRTP around the relay: what comes is opened before anything looks at it, what leaves is protected last.

use std::net::{SocketAddr, UdpSocket};

use facts::media::MediaStats;
use facts::srtp::SrtpKeys;
use rtp::srtp::{Failure, Receiver, Sender, Tally as Refused};

use crate::counters::Tally;
use crate::translate;

/// Both directions of a leg whose sound is protected.
#[derive(Debug)]
pub(crate) struct Guard {
    sender: Sender,
    receiver: Receiver,
}

impl Guard {
    /// What guards a leg after a setup: with the keys that it had, what it had (RFC 3711 §3.3.1: the
    /// counters go on). False when the keys are none; then nothing goes either way.
    pub(crate) fn set(guard: &mut Option<Box<Guard>>, keys: Option<&SrtpKeys>) -> bool {
        let Some(keys) = keys else {
            *guard = None;
            return true;
        };
        let Some((ours, theirs)) = translate::masters(keys) else { return false };
        match guard {
            Some(guard) => {
                guard.sender.rekey(&ours);
                guard.receiver.rekey(&theirs);
            }
            None => {
                let (sender, receiver) = (Sender::new(&ours), Receiver::new(&theirs));
                *guard = Some(Box::new(Guard { sender, receiver }));
            }
        }
        true
    }

    /// Opens what came; returns its length then. `None`: it goes no further, and was counted.
    pub(crate) fn open(
        &mut self,
        packet: &mut [u8],
        control: bool,
        tally: &mut Tally,
    ) -> Option<usize> {
        let opened =
            if control { self.receiver.open_rtcp(packet) } else { self.receiver.open(packet) };
        match opened {
            Ok(len) => return Some(len),
            Err(Failure::Replayed) => tally.replayed += 1,
            Err(_) => tally.forged += 1,
        }
        None
    }

    /// Protects the report in the first `len` octets.
    pub(crate) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        self.sender.protect_rtcp(buffer, len).ok()
    }

    /// What was refused is among what was dropped.
    pub(crate) fn account(guard: Option<&Guard>, stats: &mut MediaStats) {
        let Refused { forged, replayed } =
            guard.map(|guard| guard.receiver.tally()).unwrap_or_default();
        (stats.srtp_forged, stats.srtp_replayed) = (forged, replayed);
        stats.packets_dropped += forged + replayed;
    }
}

/// Sends the RTP packet in the first `len` octets of a buffer, protected if its leg is.
pub(crate) fn send(
    socket: &UdpSocket,
    guard: Option<&mut Box<Guard>>,
    (buffer, len): (&mut [u8], usize),
    to: SocketAddr,
    tally: &mut Tally,
) {
    let len = match guard {
        None => len,
        Some(guard) => match guard.sender.protect(buffer, len) {
            Ok(len) => len,
            // The number was used: upstream said it twice, and once is enough.
            Err(Failure::Replayed) => return,
            Err(_) => {
                tally.unsent += 1;
                return;
            }
        },
    };
    match socket.send_to(&buffer[..len], to) {
        Ok(_) => tally.sent += 1,
        Err(_) => tally.unsent += 1,
    }
}
