//! Linphone's console client as a registered extension, on a machine without a sound card.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::baresip::Account;

/// A running linphonec.
#[derive(Debug)]
pub struct Linphone {
    child: Child,
    /// It ends when its console closes.
    console: ChildStdin,
    log: PathBuf,
}

impl Linphone {
    /// Starts a softphone that registers, answers at once and speaks with the voice of a WAV file.
    ///
    /// # Panics
    /// When linphonec is missing.
    #[must_use]
    pub fn start(parent: &Path, account: &Account<'_>, voice: &Path) -> Linphone {
        let folder = parent.join("linphone");
        // It does not make the folder of its database itself.
        std::fs::create_dir_all(folder.join(".local/share/linphone")).expect("a folder");
        let settings = folder.join("rc");
        std::fs::write(&settings, config(account)).expect("settings");
        let log = folder.join("log");
        let out = File::create(&log).expect("a log file");
        let mut child = Command::new("stdbuf")
            .args(["-oL", "-eL", "linphonec", "-a", "-S", "-c"])
            .arg(&settings)
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone().expect("a log file"))
            .stderr(out)
            .spawn()
            .expect("linphonec runs");
        let mut console = child.stdin.take().expect("a console");
        // Asked before the call: a file for a microphone.
        writeln!(console, "soundcard use files\nplay {}", voice.display()).expect("it listens");
        Linphone { child, console, log }
    }

    /// Writes to somebody.
    ///
    /// # Panics
    /// When it is gone.
    pub fn write_to(&mut self, uri: &str, body: &str) {
        writeln!(self.console, "chat {uri} {body}").expect("it listens");
    }

    /// Everything it printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(account: &Account<'_>) -> String {
    let rtp = crate::ports::block(4);
    // 0: none; -1: whatever is free.
    let tls = if account.transport == "tls" { -1 } else { 0 };
    let authority = account.authority.map(|file| {
        format!("root_ca={}\nverify_server_certs=1\nverify_server_cn=0\n", file.display())
    });
    let authority = authority.unwrap_or_default();
    format!(
        "[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port={tls}\nbind_address=127.0.0.1\n\
         guess_hostname=0\ndefault_proxy=0\n{authority}\
         [rtp]\naudio_rtp_port={rtp}\n\
         [auth_info_0]\nusername={u}\npasswd={p}\nrealm={d}\ndomain={d}\n\
         [proxy_0]\nreg_proxy=<sip:127.0.0.1:{r};transport={t}>\nreg_identity=sip:{u}@{d}\n\
         reg_route=<sip:127.0.0.1:{r};transport={t};lr>\n\
         reg_expires=60\nreg_sendregister=1\npublish=0\n",
        u = account.user,
        p = account.password,
        d = account.domain,
        r = account.registrar,
        t = account.transport,
    )
}
