//! A capture of loopback traffic: what really arrived at a peer's media port.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait;

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    file: PathBuf,
}

/// One captured UDP datagram.
#[derive(Debug)]
pub struct Datagram {
    /// Microseconds since the epoch.
    pub at_us: u64,
    /// Source port.
    pub from: u16,
    /// Destination port.
    pub to: u16,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Capture {
    /// Starts capturing UDP to or from any of `ports` on loopback.
    ///
    /// # Panics
    /// When dumpcap is missing or may not capture.
    #[must_use]
    pub fn start(folder: &std::path::Path, ports: &[u16]) -> Capture {
        let file = folder.join(format!("capture-{}.pcap", ports[0]));
        let filter = ports.iter().map(|p| format!("udp port {p}")).collect::<Vec<_>>().join(" or ");
        let child = Command::new("dumpcap")
            .args(["-q", "-P", "-i", "lo", "-f", &filter, "-w"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dumpcap runs");
        wait::until("dumpcap, which needs root or cap_net_raw,cap_net_admin", || {
            std::fs::metadata(&file).ok().filter(|m| m.len() >= 24)
        });
        Capture { child, file }
    }

    /// Stops and gives what was captured, in order.
    ///
    /// # Panics
    /// When the capture file is not a pcap file.
    #[must_use]
    pub fn stop(mut self) -> Vec<Datagram> {
        // The capture buffers: give the last packets a moment, then ask it to end in order.
        std::thread::sleep(Duration::from_millis(300));
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let bytes = std::fs::read(&self.file).expect("a capture file");
        assert_eq!(bytes.get(..4), Some(&0xa1b2_c3d4_u32.to_le_bytes()[..]), "pcap, little-endian");
        let mut rest = &bytes[24..];
        let mut all = Vec::new();
        while rest.len() >= 16 {
            let word = |at: usize| {
                u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]])
            };
            let (seconds, micros, length) = (word(0), word(4), word(8) as usize);
            if rest.len() < 16 + length {
                break;
            }
            let frame = &rest[16..16 + length];
            // Ethernet (14) + IPv4 header + UDP (8): loopback of Linux looks like Ethernet.
            if frame.len() > 42 && frame[12..14] == [8, 0] && frame[23] == 17 {
                let ip = 14 + usize::from(frame[14] & 15) * 4;
                let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
                all.push(Datagram {
                    at_us: u64::from(seconds) * 1_000_000 + u64::from(micros),
                    from: port(ip),
                    to: port(ip + 2),
                    payload: frame[ip + 8..].to_vec(),
                });
            }
            rest = &rest[16 + length..];
        }
        all
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The RTP payload octets of one payload type that arrived at `port`, joined in order of arrival.
#[must_use]
pub fn rtp_audio(all: &[Datagram], port: u16, payload_type: u8) -> Vec<u8> {
    all.iter()
        .filter(|d| d.to == port && d.payload.len() > 12 && d.payload[0] >> 6 == 2)
        .filter(|d| d.payload[1] & 0x7f == payload_type)
        .flat_map(|d| d.payload[12..].iter().copied())
        .collect()
}

/// An A-law stream laid out by its timestamps, anchored to the wall clock by the packets that came through
/// fastest: the moment of the first sample in milliseconds since the epoch, and the samples.
#[must_use]
pub fn timeline(all: &[Datagram], from: u16) -> (f64, Vec<f32>) {
    let packets: Vec<(u64, u32, &[u8])> = all
        .iter()
        .filter(|d| d.from == from && d.payload.len() > 12 && d.payload[0] >> 6 == 2)
        .filter(|d| d.payload[1] & 0x7f == 8)
        .map(|d| {
            let p = &d.payload;
            (d.at_us, u32::from_be_bytes([p[4], p[5], p[6], p[7]]), &p[12..])
        })
        .collect();
    let Some(base) = packets.first().map(|p| p.1) else { return (0.0, Vec::new()) };
    let mut samples = Vec::new();
    let mut anchor = u64::MAX;
    for (at_us, timestamp, payload) in packets {
        let at = timestamp.wrapping_sub(base) as usize;
        if at > 8000 * 600 {
            continue;
        }
        anchor = anchor.min(at_us - at as u64 * 125);
        if samples.len() < at + payload.len() {
            samples.resize(at + payload.len(), 0.0);
        }
        samples[at..at + payload.len()].copy_from_slice(&crate::sound::alaw(payload));
    }
    (anchor as f64 / 1000.0, samples)
}
