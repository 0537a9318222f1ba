//! A peer to compare with: rtpengine in user space, driven by its own control protocol (a cookie and a
//! bencoded dictionary in one datagram).

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
    pub(crate) fn call(&self, no: usize, far_ends: [SocketAddr; 2]) -> io::Result<[u16; 2]> {
        let offer = [
            ("call-id", format!("load{no}")),
            ("command", "offer".into()),
            ("from-tag", "a".into()),
        ];
        let to_b = self.negotiate(&offer, far_ends[0])?;
        let answer = [
            ("call-id", format!("load{no}")),
            ("command", "answer".into()),
            ("from-tag", "a".into()),
            ("to-tag", "b".into()),
        ];
        let to_a = self.negotiate(&answer, far_ends[1])?;
        Ok([to_a, to_b])
    }

    fn negotiate(&self, pairs: &[(&str, String)], far_end: SocketAddr) -> io::Result<u16> {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
            far_end.port(),
            ip = far_end.ip()
        );
        let said = self.ask(&bencoded(pairs, &sdp))?;
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

/// A bencoded dictionary: the pairs, which are in order, with `sdp` where the order wants it.
fn bencoded(pairs: &[(&str, String)], sdp: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
    pairs.push(("sdp", sdp));
    pairs.sort_unstable();
    let each = pairs.iter().map(|(k, v)| format!("{}:{k}{}:{v}", k.len(), v.len()));
    format!("d{}e", each.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_bencoded_in_order() {
        let pairs = [("call-id", "c1".to_owned()), ("to-tag", "b".to_owned())];
        assert_eq!(bencoded(&pairs, "v=0\r\n"), "d7:call-id2:c13:sdp5:v=0\r\n6:to-tag1:be");
    }
}
