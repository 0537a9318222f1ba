//! Everything an operator can set, read once: defaults, then a file, then the environment, then flags.
//!
//! All mistakes of all four are reported together. Each setting is one row of [`knobs::KNOBS`]; the sample
//! file in `deploy/` is checked against that table by a test.

mod knobs;
mod sounds;
mod values;
mod web;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use call::{Consent, Hearing, HoldMusic, Messages, Notice, Reinvite, Transfer};
use facts::Features;
use facts::manners::Dtmf;
use facts::media::{Codec, RecordingForm};
use facts::srtp::Protection;
use ipnet::IpNet;
use media::dictation::WordsConfig;
use sip::digest::Algorithm;

use sounds::SoundKnobs;

use crate::document::{self, Mistake, Place};
use crate::operator;
use crate::speech::Speaker;
use crate::upload::UploadKnobs;
pub(crate) use knobs::KNOBS;
pub(crate) use web::{Pace, WebKnobs};

/// The settings of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Folder of everything that is kept: database, recordings, token.
    pub(crate) data: PathBuf,
    /// Where the books are; `None`: SQLite in the data folder.
    pub(crate) database: Option<String>,
    /// Number of this process in the installation.
    pub(crate) node: u16,
    /// SIP over UDP.
    pub(crate) sip_udp: Vec<SocketAddr>,
    /// SIP over TCP.
    pub(crate) sip_tcp: Vec<SocketAddr>,
    /// SIP over TLS.
    pub(crate) sip_tls: Vec<SocketAddr>,
    /// SIP over WebSockets.
    pub(crate) sip_ws: Vec<SocketAddr>,
    /// SIP over WebSockets over TLS.
    pub(crate) sip_wss: Vec<SocketAddr>,
    /// Certificates.
    pub(crate) tls: TlsKnobs,
    /// What peers are told to send SIP to; the port of the listener when 0.
    pub(crate) sip_advertised: Option<SocketAddr>,
    /// Name in User-Agent and Server.
    pub(crate) user_agent: String,
    /// Merchants' requests, recordings, `/healthz`.
    pub(crate) http: SocketAddr,
    /// The operator's requests and metrics.
    pub(crate) admin: SocketAddr,
    /// File with the operator's token; made when absent.
    pub(crate) admin_token: Option<PathBuf>,
    /// Absolute URL below which merchants fetch recordings; `None`: the HTTP listener.
    pub(crate) public_url: Option<String>,
    /// Where RTP sockets bind.
    pub(crate) rtp_bind: Vec<IpAddr>,
    /// What peers are told to send RTP to; where it has none of a family, the address we listen on.
    pub(crate) rtp_advertised: Vec<IpAddr>,
    /// Ports of RTP and RTCP.
    pub(crate) rtp_ports: RangeInclusive<u16>,
    /// How long a port rests.
    pub(crate) rtp_quarantine: Duration,
    /// Media threads.
    pub(crate) media_workers: Option<usize>,
    /// Codecs of extensions, and of carriers without a list of their own, best first; at least one.
    pub(crate) codecs: Vec<Codec>,
    /// Folder of finished recordings; `None`: in the data folder.
    pub(crate) recordings: Option<PathBuf>,
    /// How conversations are recorded, and for how long that is kept.
    pub(crate) recording: RecordingKnobs,
    /// Folder of announcements.
    pub(crate) prompts: Option<PathBuf>,
    /// What whoever waits hears.
    pub(crate) hold_music: HoldMusic,
    /// How sounds behind addresses are kept.
    pub(crate) sounds: SoundKnobs,
    /// What is made of what carriers play before an answer.
    pub(crate) hearing: Hearing,
    /// Folder of the operator's announcements of networks; `None`: in the data folder.
    pub(crate) known: Option<PathBuf>,
    /// A program that makes words of what networks announce, and its arguments.
    pub(crate) words: Option<Vec<String>>,
    /// How many of it may run.
    pub(crate) words_at_once: usize,
    /// A program that speaks text, and its arguments.
    pub(crate) speech: Option<Vec<String>>,
    /// How many of it may run.
    pub(crate) speech_at_once: usize,
    /// SIP timers.
    pub(crate) timers: SipTimers,
    /// What is asked for within dialogs.
    pub(crate) dialog: DialogKnobs,
    /// Call handling.
    pub(crate) call: CallKnobs,
    /// Codes that extensions dial.
    pub(crate) features: FeatureKnobs,
    /// Digest algorithms offered to phones.
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) abuse: call::AbuseLimits,
    /// Addresses that merchants' URLs may lead to although they are private.
    pub(crate) callback_allow: Vec<IpNet>,
    /// Host names that merchants' URLs may name whatever their addresses are.
    pub(crate) callback_hosts: Vec<String>,
    /// Ports that merchants' URLs may name besides those of the web.
    pub(crate) callback_ports: Vec<u16>,
    /// Name servers; empty: the system's resolver.
    pub(crate) dns: Vec<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Waits before each delivery of a notification; `None`: each system's own rule.
    pub(crate) push_delays: Option<Vec<Duration>>,
    /// Limits of the HTTP doors and of the deliveries.
    pub(crate) web: WebKnobs,
    /// TCP limits.
    pub(crate) tcp: TcpKnobs,
    /// Datagrams waiting for the engine at most.
    pub(crate) queue: usize,
    /// How long writes that nobody waits for may gather before SQLite commits them.
    pub(crate) store_gather: Duration,
    /// Bindings of privacy numbers of one merchant at most.
    pub(crate) axb_bindings: u32,
    /// How long calls may go on after SIGTERM.
    pub(crate) drain_grace: Duration,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter like `info,sip=debug`.
    pub(crate) log_level: String,
    /// Log lines as JSON.
    pub(crate) log_json: bool,
}

/// RFC 3261 table 4 and its relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SipTimers {
    pub(crate) t1: Duration,
    pub(crate) t2: Duration,
    pub(crate) t4: Duration,
    pub(crate) timer_c: Duration,
}

/// Knobs of dialogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DialogKnobs {
    pub(crate) reliable: bool,
    pub(crate) session_expires: Option<Duration>,
    pub(crate) min_se: Duration,
    pub(crate) reinvite: Reinvite,
    pub(crate) phone_srtp: Protection,
    pub(crate) phone_dtmf: Dtmf,
    pub(crate) redirects: usize,
    pub(crate) transfer: Transfer,
}

/// What extensions may dial besides numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeatureKnobs {
    pub(crate) codes: Features,
    /// A parked call that nobody takes goes back after this time.
    pub(crate) park_timeout: Duration,
    /// How long messages in mailboxes are.
    pub(crate) voicemail: Messages,
}

/// How conversations are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordingKnobs {
    /// Format and channels.
    pub(crate) form: RecordingForm,
    /// What both parties are told first.
    pub(crate) notice: Notice,
    /// What they have to hear before it begins, and how they decline.
    pub(crate) consent: Consent,
    /// Recordings are removed after this time; `None`: never.
    pub(crate) keep: Option<Duration>,
    /// The keys that seal them; `None`: they lie open.
    pub(crate) keys: Option<PathBuf>,
    /// Where copies of them go.
    pub(crate) upload: UploadKnobs,
}

impl Default for RecordingKnobs {
    fn default() -> Self {
        let keep = Some(Duration::from_secs(90 * 24 * 3600));
        let (form, upload) = (RecordingForm::default(), UploadKnobs::default());
        let (notice, consent) = (Notice::None, Consent::default());
        RecordingKnobs { form, notice, consent, keep, keys: None, upload }
    }
}

/// Knobs of call handling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallKnobs {
    pub(crate) calls_max: usize,
    pub(crate) calls_reserved: usize,
    pub(crate) calls_per_second: Option<u32>,
    pub(crate) ring: Duration,
    pub(crate) silence: Option<Duration>,
    pub(crate) warning: Duration,
    pub(crate) checkpoint: Duration,
    pub(crate) nonce_life: Duration,
    pub(crate) expires_min: Duration,
    pub(crate) expires_default: Duration,
    pub(crate) expires_max: Duration,
}

/// Limits of SIP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TcpKnobs {
    pub(crate) connections_max: usize,
    pub(crate) per_address: usize,
    pub(crate) handshake: Duration,
    pub(crate) first_message: Duration,
    pub(crate) unused: Duration,
    pub(crate) idle: Duration,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) web_origins: Vec<String>,
}

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsKnobs {
    /// Our chain, our own certificate first.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Who may vouch for carriers; `None`: the authorities of the web.
    pub(crate) ca: Option<PathBuf>,
    /// Who may vouch for whoever connects; `None`: nobody is asked for a certificate.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        let any = IpAddr::from([0, 0, 0, 0]);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        Config {
            data: "data".into(),
            database: None,
            node: 0,
            sip_udp: vec![SocketAddr::new(any, 5060)],
            sip_tcp: vec![SocketAddr::new(any, 5060)],
            sip_tls: Vec::new(),
            sip_ws: Vec::new(),
            sip_wss: Vec::new(),
            tls: TlsKnobs::default(),
            sip_advertised: None,
            user_agent: format!("Tandem/{}", env!("CARGO_PKG_VERSION")),
            http: SocketAddr::new(any, 8080),
            admin: SocketAddr::new(loopback, 8081),
            admin_token: None,
            public_url: None,
            rtp_bind: vec![any],
            rtp_advertised: Vec::new(),
            rtp_ports: 20_000..=29_999,
            rtp_quarantine: Duration::from_secs(5),
            media_workers: None,
            codecs: call::EngineConfig::default().codecs,
            recordings: None,
            recording: RecordingKnobs::default(),
            prompts: None,
            hold_music: HoldMusic::default(),
            sounds: SoundKnobs::default(),
            hearing: Hearing::default(),
            known: None,
            words: None,
            words_at_once: 8,
            speech: None,
            speech_at_once: 2,
            timers: SipTimers::default(),
            dialog: DialogKnobs::default(),
            call: CallKnobs::default(),
            features: FeatureKnobs::default(),
            algorithms: vec![Algorithm::Md5],
            abuse: call::AbuseLimits::default(),
            callback_allow: Vec::new(),
            callback_hosts: Vec::new(),
            callback_ports: Vec::new(),
            dns: Vec::new(),
            trusted_proxies: Vec::new(),
            push_delays: None,
            web: WebKnobs::default(),
            tcp: TcpKnobs::default(),
            queue: 16_384,
            store_gather: Duration::from_millis(10),
            axb_bindings: 50_000,
            drain_grace: Duration::from_secs(30),
            log_level: "info".into(),
            log_json: false,
        }
    }
}

impl Default for SipTimers {
    fn default() -> Self {
        SipTimers {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(181),
        }
    }
}

impl Default for DialogKnobs {
    fn default() -> Self {
        DialogKnobs {
            reliable: true,
            session_expires: Some(Duration::from_secs(1_800)),
            min_se: Duration::from_secs(90),
            reinvite: Reinvite::Absorb,
            phone_srtp: Protection::Optional,
            phone_dtmf: Dtmf::Auto,
            redirects: 5,
            transfer: Transfer::Extensions,
        }
    }
}

impl Default for FeatureKnobs {
    fn default() -> Self {
        FeatureKnobs {
            codes: Features::default(),
            park_timeout: Duration::from_secs(120),
            voicemail: Messages::default(),
        }
    }
}

impl Default for CallKnobs {
    fn default() -> Self {
        CallKnobs {
            calls_max: 20_000,
            calls_reserved: 0,
            calls_per_second: None,
            ring: Duration::from_secs(60),
            silence: Some(Duration::from_secs(60)),
            warning: Duration::from_secs(15),
            checkpoint: Duration::from_secs(5),
            nonce_life: Duration::from_secs(300),
            expires_min: Duration::from_secs(60),
            expires_default: Duration::from_secs(300),
            expires_max: Duration::from_secs(3600),
        }
    }
}

impl Default for TcpKnobs {
    fn default() -> Self {
        TcpKnobs {
            connections_max: 10_000,
            per_address: 2_000,
            handshake: Duration::from_secs(5),
            first_message: Duration::from_secs(10),
            unused: Duration::from_secs(120),
            idle: Duration::from_secs(3600),
            keep_alive: Some(Duration::from_secs(25)),
            web_origins: Vec::new(),
        }
    }
}

/// Where settings come from besides the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file named by `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Variables of the environment that start with `TANDEM_`.
    pub(crate) environment: Vec<(String, String)>,
    /// Flags: what the operator typed, the key, the value.
    pub(crate) flags: Vec<(String, String, String)>,
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// Every mistake there is.
    pub(crate) fn load(sources: &Sources) -> Result<Config, Vec<Mistake>> {
        let mut config = Config::default();
        let mut mistakes = Vec::new();
        if let Some(path) = &sources.file {
            match std::fs::read_to_string(path) {
                Ok(text) => config.read_file(path, &text, &mut mistakes),
                Err(error) => mistakes.push(Mistake {
                    place: Place::Named(path.display().to_string()),
                    message: error.to_string(),
                }),
            }
        }
        for (name, value) in &sources.environment {
            let key = KNOBS.iter().find(|knob| variable(knob.key) == *name).map(|knob| knob.key);
            let place = Place::Named(name.clone());
            match key {
                Some(key) => config.set(key, &split(value), place, &mut mistakes),
                None => {
                    // All begin alike: what follows is compared.
                    let known: Vec<String> = KNOBS.iter().map(|knob| variable(knob.key)).collect();
                    let word = name.strip_prefix(PREFIX).unwrap_or(name);
                    let words = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
                    let message = match billing::words::near(word, words) {
                        Some(near) => format!("no such setting; did you mean {PREFIX}{near}?"),
                        None => "no such setting".into(),
                    };
                    mistakes.push(Mistake { place, message });
                }
            }
        }
        for (flag, key, value) in &sources.flags {
            config.set(key, &split(value), Place::Named(flag.clone()), &mut mistakes);
        }
        config.judge(&mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    fn read_file(&mut self, path: &Path, text: &str, mistakes: &mut Vec<Mistake>) {
        let document = match document::read(path, text) {
            Ok(document) => document,
            Err(mistake) => {
                mistakes.push(mistake);
                return;
            }
        };
        if operator::is_operators(text) && !is_configuration(text) {
            let shown = path.display();
            mistakes.push(Mistake {
                place: Place::Named(shown.to_string()),
                message: format!(
                    "is an operator's file, not a configuration: tandem apply {shown}"
                ),
            });
            return;
        }
        mistakes.extend(document.twice);
        for (key, span, values) in document::leaves(document.table.get_ref()) {
            let place = Place::Line(path.to_owned(), document.lines.at(span.start), None);
            self.set(&key, &values, place, mistakes);
        }
    }

    fn set(&mut self, key: &str, values: &[String], place: Place, mistakes: &mut Vec<Mistake>) {
        let outcome = match KNOBS.iter().find(|knob| knob.key == key) {
            Some(knob) => (knob.set)(self, values).map_err(|why| format!("{key}: {why}")),
            None => Err(unknown(key)),
        };
        if let Err(message) = outcome {
            mistakes.push(Mistake { place, message });
        }
    }

    /// What is wrong only in combination.
    fn judge(&self, mistakes: &mut Vec<Mistake>) {
        let mut wrong = |key: &str, message: &str| {
            mistakes
                .push(Mistake { place: Place::Named(key.to_owned()), message: message.to_owned() });
        };
        let secure = [&self.sip_tls, &self.sip_wss].into_iter().any(|list| !list.is_empty());
        let plain = [&self.sip_udp, &self.sip_tcp, &self.sip_ws];
        if !secure && plain.into_iter().all(Vec::is_empty) {
            wrong("sip", "at least one of sip.udp, tcp, tls, ws and wss must listen");
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            wrong("sip.tls_cert", "sip.tls_cert and sip.tls_key are given together");
        } else if secure && self.tls.cert.is_none() {
            wrong("sip.tls_cert", "sip.tls and sip.wss need sip.tls_cert and sip.tls_key");
        }
        if self.timers.t1 > self.timers.t2 {
            wrong("sip.t1", "longer than sip.t2");
        }
        if self.web.request_timeout <= self.web.body_timeout {
            // Else a body that comes too slowly is answered by the server, in nobody's language.
            wrong("http.request_timeout", "not longer than http.body_timeout");
        }
        let DialogKnobs { session_expires, min_se, .. } = self.dialog;
        if session_expires.is_some_and(|expires| expires < min_se) {
            wrong("sip.session_expires", "shorter than sip.min_se");
        }
        let CallKnobs { expires_min, expires_default, expires_max, .. } = self.call;
        if expires_min > expires_default || expires_default > expires_max {
            wrong("registrar", "expires_min, expires_default and expires_max must rise");
        }
        let addresses: Vec<SocketAddr> = [self.http, self.admin].into();
        if addresses[0] == addresses[1] && addresses[0].port() != 0 {
            wrong("admin.listen", "the same as http.listen");
        }
    }

    /// URL of the database.
    pub(crate) fn database_url(&self) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data.join("tandem.sqlite").display()))
    }

    /// The file of the books when they are SQLite in a file.
    pub(crate) fn database_file(&self) -> Option<PathBuf> {
        match &self.database {
            None => Some(self.data.join("tandem.sqlite")),
            Some(url) if url.contains(":memory:") => None,
            Some(url) => {
                let path = url.strip_prefix("sqlite:")?;
                let path = path.strip_prefix("//").unwrap_or(path);
                Some(path.split('?').next().unwrap_or(path).into())
            }
        }
    }

    /// True when the books are SQLite in a file that is not there.
    pub(crate) fn has_no_database(&self) -> bool {
        self.database_file().is_some_and(|file| !file.exists())
    }

    /// Folder of finished recordings.
    pub(crate) fn recordings_folder(&self) -> PathBuf {
        self.recordings.clone().unwrap_or_else(|| self.data.join("recordings"))
    }

    /// Folder of the announcements of networks that the operator has taught.
    pub(crate) fn known_folder(&self) -> PathBuf {
        self.known.clone().unwrap_or_else(|| self.data.join("announcements"))
    }

    /// Folder of sounds that were fetched.
    pub(crate) fn sounds_folder(&self) -> PathBuf {
        self.data.join("sounds")
    }

    /// What makes words of announcements.
    pub(crate) fn dictation(&self) -> Option<WordsConfig> {
        let (at_once, table) = (self.words_at_once, self.known_folder().join("words.tsv"));
        self.words.clone().map(|command| WordsConfig { command, at_once, table })
    }

    /// What speaks text.
    pub(crate) fn speaker(&self) -> Speaker {
        Speaker::new(self.speech.clone(), self.speech_at_once)
    }

    /// File of the operator's token.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.admin_token.clone().unwrap_or_else(|| self.data.join("admin.token"))
    }
}

/// The address peers are told when we listen on every address: the one this machine would leave by.
pub(crate) fn reachable(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    // Connecting a UDP socket sends nothing; it makes the kernel choose a source address (RFC 5737 target).
    let (from, to) = if bound.is_ipv4() {
        (SocketAddr::new(bound, 0), SocketAddr::from(([192, 0, 2, 1], 9)))
    } else {
        (SocketAddr::new(bound, 0), SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)))
    };
    UdpSocket::bind(from)
        .and_then(|socket| socket.connect(to).and_then(|()| socket.local_addr()))
        .map_or_else(
            |_| {
                if bound.is_ipv4() {
                    [127, 0, 0, 1].into()
                } else {
                    [0, 0, 0, 0, 0, 0, 0, 1].into()
                }
            },
            |address| address.ip(),
        )
}

/// What variables of ours begin with.
const PREFIX: &str = "TANDEM_";

/// `TANDEM_SIP_UDP` for `sip.udp`.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn split(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn unknown(key: &str) -> String {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let word = key.rsplit('.').next().unwrap_or(key);
    // The right word in the wrong section, then the nearest one, then the nearest word of any section.
    let near = KNOBS
        .iter()
        .find(|knob| last(knob.key) == word)
        .map(|knob| knob.key)
        .or_else(|| billing::words::near(key, KNOBS.iter().map(|knob| knob.key)))
        .or_else(|| {
            let word = billing::words::near(word, KNOBS.iter().map(|knob| last(knob.key)))?;
            KNOBS.iter().find(|knob| last(knob.key) == word).map(|knob| knob.key)
        });
    match near {
        Some(near) => format!("{key}: no such setting; did you mean {near}?"),
        None => format!("{key}: no such setting"),
    }
}

/// True for a text that has settings of ours in it.
pub(crate) fn is_configuration(text: &str) -> bool {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let known = |key: &str| KNOBS.iter().any(|knob| knob.key.split('.').next() == Some(key));
    table.get_ref().keys().any(|key| known(key.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, flags: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tandem.toml");
        std::fs::write(&path, file).unwrap();
        let flags =
            flags.iter().map(|(k, v)| (format!("--set {k}"), (*k).into(), (*v).into())).collect();
        let sources = Sources { file: Some(path), environment: Vec::new(), flags };
        Config::load(&sources).map_err(|mistakes| {
            let prefix = folder.path().display().to_string() + "/";
            mistakes.iter().map(|m| m.to_string().replace(&prefix, "")).collect()
        })
    }

    #[test]
    fn a_slow_body_is_refused_by_who_reads_it_and_not_by_the_server() {
        let knobs = Config::default().web;
        assert!(knobs.request_timeout > knobs.body_timeout);
        for (flags, good) in [
            (&[("http.request_timeout", "30s")][..], false),
            (&[("http.body_timeout", "45s")], false),
            (&[("http.body_timeout", "20s"), ("http.request_timeout", "21s")], true),
        ] {
            match load("", flags) {
                Ok(_) => assert!(good, "{flags:?}"),
                Err(told) => {
                    assert!(
                        !good && told[0].contains("not longer than http.body_timeout"),
                        "{told:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_mistakes_of_all_sources_are_reported_together() {
        let file = "data = \"x\"\n[sip]\nudp = [\"nonsense\"]\nt1 = \"9 apples\"\nport = 1\n\n[rtp]\nports = \"9-3\"\n";
        let mistakes = load(file, &[("call.max", "many")]).unwrap_err();
        for start in [
            "tandem.toml:3:",
            "tandem.toml:4:",
            "tandem.toml:5:",
            "tandem.toml:8:",
            "--set call.max:",
        ] {
            assert!(mistakes.iter().any(|m| m.starts_with(start)), "{start} in {mistakes:#?}");
        }
    }

    #[test]
    fn flags_beat_the_file_and_the_file_beats_the_defaults() {
        let file =
            "[sip]\nudp = \"127.0.0.1:5070\"\nt1 = \"250ms\"\n[rtp]\nports = \"4000-4009\"\n";
        let config = load(file, &[("sip.udp", "127.0.0.2:1,[::1]:2")]).unwrap();
        assert_eq!(config.sip_udp, ["127.0.0.2:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        assert_eq!(config.timers.t1, Duration::from_millis(250));
        assert_eq!(config.rtp_ports, 4000..=4009);
        assert_eq!(config.sip_tcp, Config::default().sip_tcp);
    }

    #[test]
    fn the_environment_is_read_and_misspellings_are_named() {
        let environment = vec![
            ("TANDEM_HTTP_LISTEN".into(), "127.0.0.1:9".into()),
            ("TANDEM_ZZZ".into(), "1".into()),
            ("TANDEM_SIP_UPD".into(), "1".into()),
        ];
        let sources = Sources { environment, ..Sources::default() };
        let mistakes = Config::load(&sources).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let expected = [
            "TANDEM_ZZZ: no such setting",
            "TANDEM_SIP_UPD: no such setting; did you mean TANDEM_SIP_UDP?",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_misspelt_setting_is_told_the_near_one() {
        for (key, near) in [
            ("sip.ports", "rtp.ports"),
            ("sip.updp", "sip.udp"),
            ("registrar.nonce_lif", "registrar.nonce_life"),
            ("http.callback_alow", "http.callback_allow"),
            ("log.levle", "log.level"),
            ("checkpoint", "call.checkpoint"),
        ] {
            assert!(unknown(key).ends_with(&format!("did you mean {near}?")), "{}", unknown(key));
        }
        assert_eq!(unknown("zzz.qqqqqqq"), "zzz.qqqqqqq: no such setting");
    }

    #[test]
    fn a_syntax_error_and_an_operators_file_are_one_mistake_each() {
        let mistakes = load("[sip\nudp = 1\nnonsense = 2\n", &[]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        assert!(mistakes[0].starts_with("tandem.toml:1:5: "), "{mistakes:#?}");
        let operators = "[[merchants]]\nname = \"x\"\n[[trunks]]\nname = \"y\"\n";
        let mistakes = load(operators, &[]).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        assert!(mistakes[0].contains("tandem apply"), "{mistakes:#?}");
        let twice = load("data = \"a\"\n[sip]\nt1 = \"1s\"\nt1 = \"2s\"\n", &[]).unwrap_err();
        assert_eq!(twice, ["tandem.toml:4:1: `t1` is given twice"]);
    }

    #[test]
    fn every_knob_prints_what_it_reads() {
        let mut config = Config::default();
        let before = config.clone();
        for knob in KNOBS {
            let shown = (knob.show)(&before);
            (knob.set)(&mut config, &shown).unwrap_or_else(|why| panic!("{}: {why}", knob.key));
        }
        assert_eq!(config, before);
    }

    #[test]
    fn the_sample_file_is_right_and_names_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/tandem.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let sources = Sources { file: Some(path.into()), ..Sources::default() };
        assert!(Config::load(&sources).is_ok(), "{:?}", Config::load(&sources));
        let uncommented: String =
            text.lines().map(|l| l.strip_prefix("#: ").unwrap_or(l).to_owned() + "\n").collect();
        let document = document::read(Path::new("sample"), &uncommented).unwrap();
        assert_eq!(document.twice, []);
        let named: Vec<String> =
            document::leaves(document.table.get_ref()).into_iter().map(|(key, _, _)| key).collect();
        for knob in KNOBS {
            assert!(named.iter().any(|key| key == knob.key), "{} is missing in {path}", knob.key);
        }
        assert_eq!(named.len(), KNOBS.len());
    }
}
