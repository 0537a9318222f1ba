//! baresip as a registered extension: a real softphone that plays a tone and keeps what it hears.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::wait;

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    child: Child,
    log: PathBuf,
    folder: PathBuf,
    console: u16,
}

/// Whom to register as, and where.
#[derive(Debug)]
pub struct Account<'a> {
    /// Extension.
    pub user: &'a str,
    /// SIP password.
    pub password: &'a str,
    /// Digest realm and domain.
    pub domain: &'a str,
    /// SIP port of the registrar on 127.0.0.1.
    pub registrar: u16,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// Describes 127.0.0.1. Otherwise it describes the address of the machine's network card,
    /// while its signalling and its sound leave from 127.0.0.1 all the same.
    pub at_home: bool,
    /// Who vouches for the registrar, for `tls`: a file.
    pub authority: Option<&'a Path>,
    /// `srtp`: keys beside plain RTP; `srtp-mand`: SRTP or nothing.
    pub srtp: Option<&'a str>,
}

impl Baresip {
    /// Starts a softphone that registers, answers at once and plays `tone` (WAV, 8 kHz).
    ///
    /// # Panics
    /// When baresip is missing.
    #[must_use]
    pub fn start(parent: &Path, account: &Account<'_>, tone: &Path) -> Baresip {
        Baresip::speaking(parent, account, tone, "pcma,pcmu")
    }

    /// The same that speaks these codings, as baresip names them.
    ///
    /// # Panics
    /// When baresip is missing.
    #[must_use]
    pub fn speaking(parent: &Path, account: &Account<'_>, tone: &Path, codecs: &str) -> Baresip {
        let folder = parent.join("baresip");
        std::fs::create_dir_all(folder.join("heard")).expect("a folder");
        let port = crate::ports::one();
        let rtp = crate::ports::block(10);
        let console = crate::ports::one();
        std::fs::write(folder.join("config"), config((port, rtp, console), account, &folder, tone))
            .expect("config");
        let line = format!(
            "<sip:{u}:{p}@{d};transport={t}>;auth_user={u};auth_pass={p};answermode=auto;regint=60;\
             outbound=\"sip:127.0.0.1:{r};transport={t}\";audio_codecs={codecs}{srtp}\n",
            srtp = account.srtp.map(|wish| format!(";mediaenc={wish}")).unwrap_or_default(),
            u = account.user,
            p = account.password,
            d = account.domain,
            t = account.transport,
            r = account.registrar,
        );
        std::fs::write(folder.join("accounts"), line).expect("accounts");
        if !folder.join("contacts").exists() {
            std::fs::write(folder.join("contacts"), "").expect("contacts");
        }
        let log = folder.join("log");
        let out = File::create(&log).expect("a log file");
        // Line by line: baresip leaves its output in a buffer when that is a file, and we read along.
        let child = Command::new("stdbuf")
            .args(["-oL", "-eL", "baresip", "-s", "-f"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log file"))
            .stderr(out)
            .spawn()
            .expect("baresip runs");
        Baresip { child, log, folder, console }
    }

    /// Somebody whom it may write to.
    ///
    /// # Panics
    /// When there is no such folder.
    pub fn knows(parent: &Path, contact: &str) {
        let folder = parent.join("baresip");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("contacts"), format!("{contact}\n")).expect("contacts");
    }

    /// Types on its console: a command that begins with `/` and ends with a line break, or keys.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn types(&self, text: &str) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        for key in text.chars() {
            let mut octets = [0; 4];
            let octets = key.encode_utf8(&mut octets).as_bytes();
            socket.send_to(octets, ("127.0.0.1", self.console)).expect("its console");
            std::thread::sleep(Duration::from_millis(if text.starts_with('/') { 2 } else { 120 }));
        }
    }

    /// Waits until it has printed this.
    ///
    /// # Panics
    /// When it does not, with what it printed.
    pub fn wait_printed(&self, text: &str) {
        let deadline = Instant::now() + wait::PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "baresip did not print {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same behind what it had printed when its [`Baresip::log`] was so long.
    ///
    /// # Panics
    /// When it does not, with what it printed.
    pub fn wait_printed_after(&self, mark: usize, text: &str) {
        let shown = wait::within(wait::PATIENCE / 4, || {
            self.log().get(mark..).is_some_and(|log| log.contains(text)).then_some(())
        });
        assert!(shown.is_some(), "baresip did not print {text:?} after {mark}:\n{}", self.log());
    }

    /// Everything it printed.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it says that its registration was accepted.
    ///
    /// # Panics
    /// When it does not, with what it printed.
    pub fn wait_registered(&self) {
        let deadline = Instant::now() + wait::PATIENCE;
        while !self.log().contains("200 OK") {
            assert!(Instant::now() < deadline, "baresip did not register:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The WAV files of what it heard (`sndfile` module: decoded side).
    #[must_use]
    pub fn heard(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("heard")) else { return Vec::new() };
        entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.to_string_lossy().contains("-dec"))
            .collect()
    }

    /// Ends it in order, so that it closes its files.
    pub fn stop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        wait::until("baresip to end", || self.child.try_wait().ok().flatten());
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(
    (port, rtp, console): (u16, u16, u16),
    account: &Account<'_>,
    folder: &Path,
    tone: &Path,
) -> String {
    let interface = if account.at_home { "net_interface 127.0.0.1\n" } else { "" };
    let authority = account.authority.map(|file| format!("sip_cafile {}\n", file.display()));
    let authority = authority.unwrap_or_default();
    format!(
        "poll_method epoll\n{interface}{authority}sip_listen 127.0.0.1:{port}\nsip_trans_def udp\n\
         call_local_timeout 120\ncall_max_calls 4\n\
         audio_player aubridge,sink\naudio_source aufile,{tone}\naudio_alert aubridge,alert\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         audio_txmode thread\n\
         rtp_tos 184\nrtp_ports {rtp}-{last}\nrtp_bandwidth 512-1024\nrtcp_mux no\n\
         jitter_buffer_delay 2-10\nrtp_stats no\nrtp_timeout 0\n\
         module_path /usr/lib/baresip/modules\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule srtp.so\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
         module contact.so\nmodule cons.so\ncons_listen 127.0.0.1:{console}\n\
         snd_path {folder}/heard\n",
        last = rtp + 8,
        tone = tone.display(),
        folder = folder.display(),
    )
}
