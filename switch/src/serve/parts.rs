//! What each room is told at its start, made of the operator's settings.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::time::Duration;

use api::guard::GuardConfig;
use api::push::PushConfig;
use api::server::ServerConfig;
use api::{ApiConfig, Rate};
use billing::{SettleContext, StoreConfig};
use call::{EngineConfig, RegisterLimits};
use media::{Home, MediaConfig};
use sip::endpoint::{EndpointConfig, Listener, SessionTimers, Timers};

use super::StartError;
use crate::check;
use crate::config::{Config, Pace, reachable};

/// Where merchants fetch recordings.
pub(super) fn settling(config: &Config, http: SocketAddr) -> SettleContext {
    let base = config.public_url.clone().unwrap_or_else(|| {
        format!("http://{}", SocketAddr::new(reachable(http.ip()), http.port()))
    });
    SettleContext { recording_base_url: format!("{base}/recordings") }
}

pub(super) fn store(config: &Config) -> StoreConfig {
    StoreConfig {
        gather: config.store_gather,
        axb_bindings: config.axb_bindings,
        ..StoreConfig::default()
    }
}

pub(super) fn media(config: &Config) -> MediaConfig {
    MediaConfig {
        homes: config.rtp_bind.iter().map(|bind| home(config, *bind)).collect(),
        ports: config.rtp_ports.clone(),
        quarantine: config.rtp_quarantine,
        workers: config.media_workers.unwrap_or_else(|| cores().min(pairs(&config.rtp_ports))),
        recordings: config.recordings_folder(),
        keys: config.recording.keys.clone(),
        prompts: config.prompts.clone(),
        words: config.dictation(),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Pairs of ports that there are in a range.
fn pairs(ports: &RangeInclusive<u16>) -> usize {
    (ports.len() / 2).max(1)
}

fn home(config: &Config, bind: IpAddr) -> Home {
    let mut told = config.rtp_advertised.iter();
    let told = told.find(|told| told.is_ipv4() == bind.is_ipv4()).copied();
    Home { bind, advertised: told.unwrap_or_else(|| reachable(bind)) }
}

pub(super) fn engine(config: &Config, listeners: &[Listener]) -> Result<EngineConfig, StartError> {
    let timers = config.timers;
    let random = || -> Result<[u8; 32], StartError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| StartError::Io(format!("no randomness: {error}")))?;
        Ok(bytes)
    };
    let dialog = config.dialog;
    let whole = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let sip = EndpointConfig {
        listeners: listeners.to_vec(),
        timers: Timers {
            timer_c: timers.timer_c,
            ..Timers::scaled(timers.t1, timers.t2, timers.t4)
        },
        engine: u8::try_from(config.node & 0xff).unwrap_or_default(),
        seed: random()?,
        user_agent: config.user_agent.clone(),
        reliable: dialog.reliable,
        session: SessionTimers {
            expires: dialog.session_expires.map(whole),
            min_se: whole(dialog.min_se),
            ..SessionTimers::default()
        },
        ..EndpointConfig::default()
    };
    let call = config.call;
    Ok(EngineConfig {
        sip,
        node: config.node,
        secret: random()?,
        reinvite: dialog.reinvite,
        codecs: config.codecs.clone(),
        srtp: dialog.phone_srtp,
        dtmf: dialog.phone_dtmf,
        hearing: config.hearing.clone(),
        redirects: dialog.redirects,
        transfer: dialog.transfer,
        features: config.features.codes.clone(),
        park: config.features.park_timeout,
        voicemail: config.features.voicemail,
        recording: config.recording.form,
        recording_notice: config.recording.notice.clone(),
        consent: config.recording.consent.clone(),
        hold_music: config.hold_music.clone(),
        calls_max: call.calls_max,
        calls_reserved: call.calls_reserved,
        calls_per_second: call.calls_per_second,
        silence: call.silence,
        warning: call.warning,
        alive: call.checkpoint,
        register: RegisterLimits {
            expires_min: call.expires_min,
            expires_default: call.expires_default,
            expires_max: call.expires_max,
        },
        abuse: config.abuse.clone(),
        nonce_life: call.nonce_life,
        algorithms: config.algorithms.clone(),
        ..EngineConfig::default()
    })
}

/// `own`: where this process listens.
pub(crate) fn guard(config: &Config, own: &[SocketAddr]) -> GuardConfig {
    GuardConfig {
        own: own.to_vec(),
        allow_networks: config.callback_allow.clone(),
        allow_hosts: config.callback_hosts.clone(),
        allow_ports: config.callback_ports.clone(),
        connect_timeout: config.web.push_connect,
        total_timeout: config.web.push_timeout,
    }
}

/// Both listeners.
pub(super) fn server(config: &Config) -> ServerConfig {
    let web = &config.web;
    ServerConfig {
        connections: web.connections,
        connections_per_ip: web.connections_per_address,
        header_timeout: web.header_timeout,
        request_timeout: web.request_timeout,
        write_timeout: web.write_timeout,
        header_max: web.header_max,
        ..ServerConfig::default()
    }
}

pub(super) fn push(config: &Config) -> PushConfig {
    let web = &config.web;
    PushConfig {
        at_once: web.push_at_once,
        at_once_per_endpoint: web.push_per_endpoint,
        timeout: web.push_timeout,
        // A lease must outlive the send, or the row is sent twice.
        lease: PushConfig::default().lease.max(web.push_timeout * 2),
        circuit_after: web.push_circuit_after,
        circuit_pause: web.push_circuit_pause,
        delays: config.push_delays.clone(),
        ..PushConfig::default()
    }
}

pub(super) fn api(config: &Config, admin_token: String) -> ApiConfig {
    let web = &config.web;
    let rate = |pace: Option<Pace>| {
        pace.map_or(Rate::OFF, |pace| Rate { per_second: pace.per_second, burst: pace.burst })
    };
    ApiConfig {
        node: config.node,
        admin_token: Some(admin_token),
        public_url: config.public_url.clone(),
        recordings: config.recordings_folder(),
        recording_keys: config.recording.keys.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        per_ip: rate(web.address_rate),
        per_merchant: rate(web.merchant_rate),
        body_limit: web.body_max,
        body_timeout: web.body_timeout,
        place_timeout: web.place_timeout,
        ring: config.call.ring,
        ytx_validity: web.ytx_validity,
        ytx_strict_credit: web.ytx_strict,
        features: config.features.codes.clone(),
        mute: check::mute(config),
        ..ApiConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{KNOBS, Sources};

    /// Without any setting the rooms get what they default to themselves: the table of settings and the
    /// rooms' own defaults cannot drift apart.
    #[test]
    fn no_setting_means_the_rooms_own_defaults() {
        let config = Config::default();
        let (own, told) = (ApiConfig::default(), api(&config, String::new()));
        assert_eq!((told.per_ip, told.per_merchant), (own.per_ip, own.per_merchant));
        assert_eq!((told.body_limit, told.body_timeout), (own.body_limit, own.body_timeout));
        assert_eq!((told.place_timeout, told.ring), (own.place_timeout, own.ring));
        assert_eq!(told.ytx_validity, own.ytx_validity);
        assert_eq!(told.ytx_strict_credit, own.ytx_strict_credit);
        assert_eq!(format!("{:?}", server(&config)), format!("{:?}", ServerConfig::default()));
        assert_eq!(format!("{:?}", push(&config)), format!("{:?}", PushConfig::default()));
        assert_eq!(format!("{:?}", guard(&config, &[])), format!("{:?}", GuardConfig::default()));
    }

    /// Each setting, written as an operator writes it, arrives in its room.
    #[test]
    fn every_web_setting_reaches_its_room() {
        let flags = [
            ("http.connections", "11"),
            ("http.connections_per_address", "12"),
            ("http.header_timeout", "13s"),
            ("http.header_max", "14k"),
            ("http.body_timeout", "15s"),
            ("http.body_max", "16k"),
            ("http.request_timeout", "17s"),
            ("http.write_timeout", "18s"),
            ("http.place_timeout", "19s"),
            ("http.address_rate", "20/21"),
            ("http.merchant_rate", "22"),
            ("system001.validity", "23m"),
            ("system001.strict_credit", "yes"),
            ("push.timeout", "24s"),
            ("push.connect_timeout", "25s"),
            ("push.at_once", "26"),
            ("push.at_once_per_receiver", "27"),
            ("push.circuit_after", "28"),
            ("push.circuit_pause", "29s"),
        ];
        let flags = flags.map(|(key, value)| ("--set".into(), key.into(), value.into())).into();
        let config = Config::load(&Sources { flags, ..Sources::default() }).expect("no mistake");
        let s = Duration::from_secs;
        let server = server(&config);
        assert_eq!((server.connections, server.connections_per_ip), (11, 12));
        assert_eq!((server.header_timeout, server.header_max), (s(13), 14 * 1024));
        assert_eq!((server.request_timeout, server.write_timeout), (s(17), s(18)));
        let api = api(&config, String::new());
        assert_eq!((api.body_timeout, api.body_limit), (s(15), 16 * 1024));
        assert_eq!(api.place_timeout, s(19));
        assert_eq!(api.per_ip, Rate { per_second: 20, burst: 21 });
        assert_eq!(api.per_merchant, Rate { per_second: 22, burst: 22 });
        assert_eq!((api.ytx_validity, api.ytx_strict_credit), (s(23 * 60), true));
        let guard = guard(&config, &[]);
        assert_eq!((guard.total_timeout, guard.connect_timeout), (s(24), s(25)));
        let push = push(&config);
        assert_eq!((push.timeout, push.at_once, push.at_once_per_endpoint), (s(24), 26, 27));
        assert_eq!((push.circuit_after, push.circuit_pause), (28, s(29)));
    }

    #[test]
    fn a_rate_that_is_off_limits_nobody_and_a_lease_outlives_its_send() {
        let mut config = Config::default();
        config.web.address_rate = None;
        config.web.push_timeout = Duration::from_secs(90);
        assert_eq!(api(&config, String::new()).per_ip, Rate::OFF);
        let push = push(&config);
        assert!(push.lease >= 2 * push.timeout, "{push:?}");
    }

    /// What each room would be told, as text. Randomness is taken out.
    fn rooms(config: &Config) -> BTreeMap<&'static str, String> {
        let mut engine = engine(config, &[]).unwrap();
        (engine.sip.seed, engine.secret) = ([0; 32], [0; 32]);
        let http = "0.0.0.0:8080".parse().unwrap();
        BTreeMap::from([
            ("engine", format!("{engine:?}")),
            ("media", format!("{:?}", media(config))),
            ("guard", format!("{:?}", guard(config, &[]))),
            ("api", format!("{:?}", api(config, "token".into()))),
            ("settling", format!("{:?}", settling(config, http))),
            ("push", format!("{:?}", push(config))),
            ("store", format!("{:?}", store(config))),
            ("known", format!("{:?}", config.known_folder())),
            ("words", format!("{:?} {}", config.words, config.words_at_once)),
            ("speech", format!("{:?}", config.speaker())),
            ("keep", format!("{:?}", config.recording.keep)),
            ("upload", format!("{:?}", config.recording.upload)),
            ("sounds", format!("{:?}", config.sounds)),
            ("tcp", format!("{:?}", config.tcp)),
            ("tls", format!("{:?}", config.tls)),
        ])
    }

    /// Conformance §6.4: each knob, a value, the rooms that must hear of it, and what they are told. Knobs
    /// that need the running process are told apart: `switch/tests/operator.rs` turns those.
    const TURNS: &[(&str, &str, &[&str], &str)] = &[
        ("node", "7", &["engine", "api"], "node: 7"),
        ("store.gather", "25ms", &["store"], "gather: 25ms"),
        ("store.axb_bindings", "9", &["store"], "axb_bindings: 9"),
        ("sip.user_agent", "Other/1", &["engine"], "Other/1"),
        ("sip.t1", "250ms", &["engine"], "250ms"),
        ("sip.t2", "3s", &["engine"], "3s"),
        ("sip.t4", "6s", &["engine"], "6s"),
        ("sip.timer_c", "200s", &["engine"], "200s"),
        ("sip.reliable", "no", &["engine"], "reliable: false"),
        ("sip.session_expires", "20m", &["engine"], "expires: Some(1200)"),
        ("sip.min_se", "120s", &["engine"], "min_se: 120"),
        ("sip.reinvite", "relay", &["engine"], "reinvite: Relay"),
        ("sip.phone_srtp", "required", &["engine"], "srtp: Required"),
        ("sip.phone_dtmf", "info", &["engine"], "dtmf: Info"),
        ("sip.redirects", "3", &["engine"], "redirects: 3"),
        ("sip.transfer", "off", &["engine"], "transfer: Off"),
        ("sip.tcp_connections", "77", &["tcp"], "77"),
        ("sip.tcp_per_address", "78", &["tcp"], "78"),
        ("sip.handshake", "12s", &["tcp"], "12s"),
        ("sip.tcp_first_message", "11s", &["tcp"], "11s"),
        ("sip.tcp_unused", "98s", &["tcp"], "98s"),
        ("sip.keep_alive", "31s", &["tcp"], "31s"),
        ("sip.ws_origins", "https://a.example", &["tcp"], "https://a.example"),
        ("sip.tls_cert", "/tls/chain.pem", &["tls"], "/tls/chain.pem"),
        ("sip.tls_key", "/tls/key.pem", &["tls"], "/tls/key.pem"),
        ("sip.tls_ca", "/tls/ca.pem", &["tls"], "/tls/ca.pem"),
        ("sip.tls_client_ca", "/tls/clients.pem", &["tls"], "/tls/clients.pem"),
        ("sip.tcp_idle", "99s", &["tcp"], "99s"),
        ("http.public_url", "https://a.example", &["settling", "api"], "https://a.example"),
        ("http.callback_allow", "10.9.0.0/16", &["guard"], "10.9.0.0/16"),
        ("http.callback_hosts", "in.example", &["guard"], "in.example"),
        ("http.callback_ports", "9999", &["guard"], "9999"),
        ("http.trusted_proxies", "10.8.0.1", &["api"], "10.8.0.1"),
        ("push.delays", "0s,7s", &["push"], "7s"),
        ("rtp.bind", "127.0.0.9", &["media"], "127.0.0.9"),
        ("rtp.advertise", "192.0.2.7", &["media"], "192.0.2.7"),
        ("rtp.ports", "4000-4009", &["media"], "4000..=4009"),
        ("rtp.quarantine", "8s", &["media"], "8s"),
        ("rtp.workers", "3", &["media"], "workers: 3"),
        ("media.codecs", "opus,g729", &["engine"], "codecs: [Opus, G729]"),
        ("media.recordings", "/rec", &["media", "api"], "/rec"),
        ("recording.format", "wav", &["engine"], "format: Wav"),
        ("recording.channels", "apart", &["engine"], "voices: Apart"),
        ("recording.notice", "callee-busy", &["engine"], "callee-busy"),
        ("recording.consent", "ask", &["engine"], "prompt: Some(\"ask\")"),
        ("recording.decline", "#", &["engine"], "decline: Some('#')"),
        ("recording.keep", "48h", &["keep"], "172800s"),
        ("recording.s3_endpoint", "https://s3.example", &["upload"], "https://s3.example"),
        ("recording.s3_insecure", "yes", &["upload"], "insecure: true"),
        ("recording.s3_bucket", "calls-2026", &["upload"], "calls-2026"),
        ("recording.s3_region", "eu-1", &["upload"], "eu-1"),
        ("recording.s3_prefix", "pbx/", &["upload"], "pbx/"),
        ("recording.s3_credentials", "/s3", &["upload"], "Some(\"/s3\")"),
        ("recording.s3_after", "90s", &["upload"], "90s"),
        ("recording.key_file", "/keys", &["media", "api"], "Some(\"/keys\")"),
        ("media.prompts", "/say", &["media"], "/say"),
        ("media.hold_music", "waltz,acme=off", &["engine"], "Name(\"waltz\")"),
        ("media.sounds_fresh", "7s", &["sounds"], "fresh: 7s"),
        ("media.sounds_keep", "9s", &["sounds"], "keep: 9s"),
        ("media.sounds_cache", "3", &["sounds"], "cache_mib: 3"),
        ("recognition.listen", "no", &["engine"], "listens: false"),
        ("recognition.release", "certain", &["engine"], "release: Certain"),
        ("recognition.tones", "de", &["engine"], "country: \"de\""),
        ("recognition.library", "/heard", &["known"], "/heard"),
        ("recognition.words", "/bin/words", &["media", "words"], "/bin/words"),
        ("recognition.words_at_once", "3", &["words"], "None 3"),
        ("speech.program", "/bin/say,{language}", &["speech", "api"], "/bin/say"),
        ("speech.at_once", "5", &["speech"], "permits: 5"),
        ("call.max", "12", &["engine"], "calls_max: 12"),
        ("call.reserved", "5", &["engine"], "calls_reserved: 5"),
        ("call.per_second", "13", &["engine"], "Some(13)"),
        ("call.ring", "44s", &["api"], "ring: 44s"),
        ("call.silence", "45s", &["engine"], "silence: Some(45s)"),
        ("call.warning", "20s", &["engine"], "warning: 20s"),
        ("call.checkpoint", "2s", &["engine"], "alive: 2s"),
        ("features.pickup", "*9", &["engine", "api"], "\"*9\""),
        ("features.park", "#70", &["engine", "api"], "\"#70\""),
        ("features.retrieve", "off", &["engine", "api"], "Park: \"*70\", AlwaysOn"),
        ("features.forward", "*60", &["engine", "api"], "\"*60\""),
        ("features.forward_off", "*61", &["engine", "api"], "\"*61\""),
        ("features.forward_busy", "*62", &["engine", "api"], "\"*62\""),
        ("features.forward_busy_off", "*63", &["engine", "api"], "\"*63\""),
        ("features.forward_no_answer", "*64", &["engine", "api"], "\"*64\""),
        ("features.forward_no_answer_off", "*65", &["engine", "api"], "\"*65\""),
        ("features.dnd", "*66", &["engine", "api"], "\"*66\""),
        ("features.dnd_off", "*67", &["engine", "api"], "\"*67\""),
        ("features.voicemail", "*68", &["engine", "api"], "\"*68\""),
        ("features.park_timeout", "50s", &["engine"], "park: 50s"),
        ("features.voicemail_max", "51s", &["engine"], "max: 51s"),
        ("features.voicemail_min", "3s", &["engine"], "min: 3s"),
        ("registrar.nonce_life", "77s", &["engine"], "nonce_life: 77s"),
        ("registrar.algorithms", "sha-256", &["engine"], "[Sha256]"),
        ("registrar.expires_min", "61s", &["engine"], "expires_min: 61s"),
        ("registrar.expires_default", "301s", &["engine"], "expires_default: 301s"),
        ("abuse.ban_time", "99s", &["engine"], "ban_time: 99s"),
        ("abuse.points", "17", &["engine"], "points: 17"),
        ("abuse.allow", "10.7.0.0/16", &["engine"], "10.7.0.0/16"),
        ("registrar.expires_max", "3601s", &["engine"], "expires_max: 3601s"),
    ];

    #[test]
    fn every_knob_reaches_the_room_it_is_for_and_no_other() {
        let before = rooms(&Config::default());
        for (key, value, meant, told) in TURNS {
            let knob = KNOBS.iter().find(|knob| knob.key == *key).expect(key);
            let mut config = Config::default();
            let values: Vec<String> = value.split(',').map(str::to_owned).collect();
            (knob.set)(&mut config, &values).unwrap_or_else(|why| panic!("{key}: {why}"));
            for (room, text) in rooms(&config) {
                assert_eq!(text != before[room], meant.contains(&room), "{key} and {room}: {text}");
                assert!(text == before[room] || text.contains(told), "{key}: {text}");
            }
        }
    }

    #[test]
    fn no_knob_is_left_untried() {
        let (rooms, process) = (include_str!("parts.rs"), include_str!("../../tests/operator.rs"));
        for knob in KNOBS {
            let here = rooms.contains(&format!("(\"{}\", \"", knob.key));
            let there = process.contains(&format!("\"{}=", knob.key));
            assert!(here || there, "{} has no test that turns it", knob.key);
        }
    }
}
