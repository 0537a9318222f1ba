//! A peer to compare with: Kamailio as the plainest stateful proxy.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running Kamailio.
pub(crate) struct Kamailio {
    child: Child,
    at: SocketAddrV4,
}

impl Kamailio {
    /// Starts one that sends every INVITE to `port`.
    pub(crate) fn start(folder: &Path, port: u16) -> io::Result<Kamailio> {
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, e2e::ports::one());
        let file = folder.join("kamailio.cfg");
        std::fs::write(&file, configuration(at, port))?;
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "256", "-M", "16", "-f"])
            .arg(&file)
            .arg("-Y")
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("kamailio: {error}")))?;
        let proxy = Kamailio { child, at };
        e2e::wait::until("kamailio to listen", || UdpSocket::bind(at).is_err().then_some(()));
        std::thread::sleep(Duration::from_millis(500));
        Ok(proxy)
    }

    pub(crate) fn at(&self) -> SocketAddrV4 {
        self.at
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its children go when it is asked to end, not when it is killed.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn configuration(at: SocketAddrV4, to: u16) -> String {
    format!(
        r#"#!KAMAILIO
debug=-1
log_stderror=yes
fork=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:{at}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
modparam("rr", "enable_full_lr", 1)
request_route {{
  if (is_method("CANCEL")) {{
    if (t_check_trans()) t_relay();
    exit;
  }}
  if (has_totag()) {{
    if (loose_route()) {{
      t_relay();
      exit;
    }}
    if (is_method("ACK") && t_check_trans()) t_relay();
    exit;
  }}
  if (is_method("INVITE")) record_route();
  $du = "sip:127.0.0.1:{to}";
  t_relay();
}}
"#
    )
}
