//! A peer to compare with: rtpengine in user space, driven by its own control protocol (a cookie and a
//! bencoded dictionary in one datagram).

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::serve::Work;
use crate::speech::Voice;

/// A running rtpengine.
pub(crate) struct Rtpengine {
    child: Child,
    control: UdpSocket,
    asked: Cell<u64>,
}

impl Rtpengine {
    /// Starts one without its kernel module.
    pub(crate) fn start() -> io::Result<Rtpengine> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, e2e::ports::one()));
        let child = Command::new("rtpengine")
            .args(["--foreground", "--log-stderr", "--log-level=2", "--table=-1"])
            .args(["--interface=127.0.0.1", "--port-min=20000", "--port-max=31999"])
            .arg(format!("--listen-ng={at}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("rtpengine: {error}")))?;
        let control = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        control.set_read_timeout(Some(Duration::from_millis(500)))?;
        control.connect(at)?;
        let engine = Rtpengine { child, control, asked: Cell::new(0) };
        e2e::wait::until("rtpengine to answer", || {
            engine.ask("d7:command4:pinge").ok().filter(|said| said.contains("pong"))
        });
        Ok(engine)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sets up a call between two far ends; the ports that A and B send to.
    pub(crate) fn call(
        &self,
        no: usize,
        far_ends: [SocketAddr; 2],
        work: Work,
    ) -> io::Result<[u16; 2]> {
        let mut flags = Vec::new();
        if let Work::Transcode([_, b]) = work {
            // Of A's codings none reaches B, who is offered his own.
            flags.push("codec-mask-all".to_owned());
            let name = b.rtpmap().split('/').next().unwrap_or_default();
            flags.push(format!("codec-transcode-{name}"));
        }
        let offer = [
            ("call-id", format!("load{no}")),
            ("command", "offer".into()),
            ("from-tag", "a".into()),
        ];
        let to_b = self.negotiate(&offer, &flags, &described(far_ends[0], work, 0))?;
        let answer = [
            ("call-id", format!("load{no}")),
            ("command", "answer".into()),
            ("from-tag", "a".into()),
            ("to-tag", "b".into()),
        ];
        let to_a = self.negotiate(&answer, &[], &described(far_ends[1], work, 1))?;
        Ok([to_a, to_b])
    }

    fn negotiate(&self, pairs: &[(&str, String)], flags: &[String], sdp: &str) -> io::Result<u16> {
        let said = self.ask(&bencoded(pairs, flags, sdp))?;
        let port = said.split_once("m=audio ").and_then(|(_, rest)| rest.split_once(' '));
        let port = port.and_then(|(port, _)| port.parse().ok());
        port.ok_or_else(|| io::Error::other(format!("rtpengine said {said}")))
    }

    fn ask(&self, dictionary: &str) -> io::Result<String> {
        let cookie = self.asked.get() + 1;
        self.asked.set(cookie);
        self.control.send(format!("{cookie} {dictionary}").as_bytes())?;
        let mut buffer = [0; 4096];
        loop {
            let length = self.control.recv(&mut buffer)?;
            let said = String::from_utf8_lossy(&buffer[..length]);
            // What was asked before and answered late is somebody else's.
            if let Some(answer) = said.strip_prefix(&format!("{cookie} ")) {
                return Ok(answer.to_owned());
            }
        }
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a far end of one side says of itself.
fn described(far_end: SocketAddr, work: Work, side: usize) -> String {
    let voice = match work {
        Work::Transcode(voices) => voices[side],
        _ => Voice::Pcmu,
    };
    let (port, ip, number) = (far_end.port(), far_end.ip(), voice.agreed().0);
    let (profile, crypto) = match work {
        Work::Protect(lock) => ("RTP/SAVP", format!("a=crypto:{}\r\n", lock.crypto(side))),
        _ => ("RTP/AVP", String::new()),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} {profile} {number}\r\na=rtpmap:{number} {}\r\n{crypto}",
        voice.rtpmap()
    )
}

/// A bencoded dictionary: the pairs, which are in order, with `flags` and `sdp` where the order wants them.
fn bencoded(pairs: &[(&str, String)], flags: &[String], sdp: &str) -> String {
    let text = |text: &str| format!("{}:{text}", text.len());
    let mut pairs: Vec<(&str, String)> = pairs.iter().map(|(k, v)| (*k, text(v))).collect();
    pairs.push(("sdp", text(sdp)));
    if !flags.is_empty() {
        let flags: String = flags.iter().map(|flag| text(flag)).collect();
        pairs.push(("flags", format!("l{flags}e")));
    }
    pairs.sort_unstable();
    format!("d{}e", pairs.iter().map(|(k, v)| text(k) + v).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_bencoded_in_order() {
        let pairs = [("call-id", "c1".to_owned()), ("to-tag", "b".to_owned())];
        assert_eq!(bencoded(&pairs, &[], "v=0\r\n"), "d7:call-id2:c13:sdp5:v=0\r\n6:to-tag1:be");
        let flags = ["one".to_owned(), "two".to_owned()];
        assert_eq!(bencoded(&pairs[..1], &flags, ""), "d7:call-id2:c15:flagsl3:one3:twoe3:sdp0:e");
    }
}
