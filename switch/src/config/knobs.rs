//! The table of settings: key, words, how to read it, how to print it.

use std::time::Duration;

use call::{Notice, Reinvite, Transfer};
use facts::Feature;
use facts::manners::Dtmf;
use facts::media::{RecordingFormat, Voices};
use facts::recognition::{COUNTRIES, Release};
use facts::srtp::Protection;
use sip::digest::Algorithm;

use super::Config;
use super::sounds::{hold_music, show_hold_music};
use super::values::{
    address, addresses, advertised, codecs, duration, name_servers, one, one_of, or_off, parsed,
    ports, positive, seconds, show_duration, threads, told,
};
use super::web::{bytes, pace, show_bytes, show_pace, show_yes, some, yes};

/// One setting.
pub(crate) struct Knob {
    /// Dotted key, as in the file.
    pub(crate) key: &'static str,
    /// What it is, in a line.
    pub(crate) help: &'static str,
    /// Reads it.
    pub(crate) set: fn(&mut Config, &[String]) -> Result<(), String>,
    /// Prints it as `set` reads it.
    pub(crate) show: fn(&Config) -> Vec<String>,
}

macro_rules! knobs {
    ($($key:literal, $help:literal, |$c:ident, $v:ident| $set:expr, |$s:ident| $show:expr;)*) => {
        /// Every setting, in the order of the sample file.
        pub(crate) const KNOBS: &[Knob] = &[$(Knob {
            key: $key,
            help: $help,
            set: |$c, $v| { $set; Ok(()) },
            show: |$s| $show,
        }),*];
    };
}

knobs! {
    "data", "folder of the database, the recordings and the admin token",
        |c, v| c.data = one(v)?.into(), |c| path(&c.data);
    "database", "sqlite://path or postgres://…; `off`: SQLite in the data folder",
        |c, v| c.database = or_off(v, database)?, |c| off(c.database.as_deref().map(|url| vec![masked(url)]));
    "node", "number of this process in the installation, 0 to 255",
        |c, v| c.node = parsed::<u8>(v, "a number from 0 to 255")?.into(), |c| text(c.node);

    "store.gather", "writes that nobody waits for gather this long in SQLite: what a crash may lose of them",
        |c, v| c.store_gather = duration(v)?, |c| show_duration(c.store_gather);
    "store.axb_bindings", "bindings of privacy numbers that one merchant may have at a time",
        |c, v| c.axb_bindings = parsed(v, "a number")?, |c| text(c.axb_bindings);

    "sip.udp", "where SIP listens over UDP",
        |c, v| c.sip_udp = addresses(v)?, |c| c.sip_udp.iter().map(ToString::to_string).collect();
    "sip.tcp", "where SIP listens over TCP",
        |c, v| c.sip_tcp = addresses(v)?, |c| c.sip_tcp.iter().map(ToString::to_string).collect();
    "sip.tls", "where SIP listens over TLS, usually 0.0.0.0:5061; needs tls_cert and tls_key",
        |c, v| c.sip_tls = addresses(v)?, |c| c.sip_tls.iter().map(ToString::to_string).collect();
    "sip.ws", "where SIP listens over WebSockets without TLS: behind a proxy that ends TLS",
        |c, v| c.sip_ws = addresses(v)?, |c| c.sip_ws.iter().map(ToString::to_string).collect();
    "sip.wss", "where SIP listens over WebSockets, for phones in browsers; needs tls_cert and tls_key",
        |c, v| c.sip_wss = addresses(v)?, |c| c.sip_wss.iter().map(ToString::to_string).collect();
    "sip.tls_cert", "file with our certificate and what vouches for it, PEM; read again when it changes",
        |c, v| c.tls.cert = or_off(v, file)?, |c| off(c.tls.cert.as_deref().map(path));
    "sip.tls_key", "file with its private key, PEM",
        |c, v| c.tls.key = or_off(v, file)?, |c| off(c.tls.key.as_deref().map(path));
    "sip.tls_ca", "file with the authorities that may vouch for carriers, PEM; `off`: those of the web",
        |c, v| c.tls.ca = or_off(v, file)?, |c| off(c.tls.ca.as_deref().map(path));
    "sip.tls_client_ca", "file with the authorities that may vouch for whoever connects; `off`: nobody is asked",
        |c, v| c.tls.client_ca = or_off(v, file)?, |c| off(c.tls.client_ca.as_deref().map(path));
    "sip.ws_origins", "pages that browsers may connect from, like https://phone.example; empty: any",
        |c, v| c.tcp.web_origins = v.to_vec(), |c| c.tcp.web_origins.clone();
    "sip.advertise", "address that peers are told, with or without a port; `off`: what we listen on",
        |c, v| c.sip_advertised = or_off(v, |v| advertised(one(v)?))?,
        |c| off(c.sip_advertised.map(|a| if a.port() == 0 { text(a.ip()) } else { text(a) }));
    "sip.user_agent", "name in User-Agent and Server",
        |c, v| c.user_agent = printable(one(v)?)?, |c| vec![c.user_agent.clone()];
    "sip.t1", "RFC 3261 T1: estimate of the round trip; timers B, F, H, J are 64 times that",
        |c, v| c.timers.t1 = positive(v)?, |c| show_duration(c.timers.t1);
    "sip.t2", "RFC 3261 T2: longest interval between copies",
        |c, v| c.timers.t2 = positive(v)?, |c| show_duration(c.timers.t2);
    "sip.t4", "RFC 3261 T4: how long a message may live in the network",
        |c, v| c.timers.t4 = positive(v)?, |c| show_duration(c.timers.t4);
    "sip.timer_c", "RFC 3261 timer C: longest ringing towards a carrier",
        |c, v| c.timers.timer_c = positive(v)?, |c| show_duration(c.timers.timer_c);
    "sip.reliable", "yes: provisional answers are asked for and sent reliably (100rel) where the far end takes it",
        |c, v| c.dialog.reliable = yes(v)?, |c| show_yes(c.dialog.reliable);
    "sip.session_expires", "a session that nobody refreshes for so long is ended; `off`: only if the far end asks",
        |c, v| c.dialog.session_expires = or_off(v, seconds)?,
        |c| off(c.dialog.session_expires.map(show_duration));
    "sip.min_se", "shorter ones are refused with 422; RFC 4028 wants no less than 90s",
        |c, v| c.dialog.min_se = seconds(v)?, |c| show_duration(c.dialog.min_se);
    "sip.reinvite", "absorb: hold and other codecs are answered here; relay: they are offered to the other leg",
        |c, v| c.dialog.reinvite = if one_of(v, &["absorb", "relay"])? == "relay" { Reinvite::Relay } else { Reinvite::Absorb },
        |c| text(if c.dialog.reinvite == Reinvite::Relay { "relay" } else { "absorb" });
    "sip.phone_srtp", "SRTP with phones that signal over TLS: off, optional, required (then no others are rung, nor heard)",
        |c, v| c.dialog.phone_srtp = match one_of(v, &["off", "optional", "required"])? {
            "off" => Protection::Off, "required" => Protection::Required, _ => Protection::Optional,
        },
        |c| text(match c.dialog.phone_srtp {
            Protection::Off => "off", Protection::Optional => "optional", Protection::Required => "required",
        });
    "sip.phone_dtmf", "how phones take keys: auto (events of RFC 4733 where agreed, else sound), rfc4733 (alone), info, inband (alone)",
        |c, v| {
            let word = one_of(v, &Dtmf::NAMES.map(|(name, _)| name))?;
            let found = Dtmf::NAMES.into_iter().find(|(name, _)| *name == word);
            c.dialog.phone_dtmf = found.map_or(Dtmf::Auto, |(_, dtmf)| dtmf);
        },
        |c| {
            let found = Dtmf::NAMES.into_iter().find(|(_, dtmf)| *dtmf == c.dialog.phone_dtmf);
            text(found.map_or("auto", |(name, _)| name))
        };
    "sip.transfer", "who may transfer calls by REFER: off, extensions, all (carriers too: whoever pays for the call pays for it)",
        |c, v| c.dialog.transfer = match one_of(v, &["off", "extensions", "all"])? {
            "off" => Transfer::Off, "all" => Transfer::All, _ => Transfer::Extensions,
        },
        |c| text(match c.dialog.transfer {
            Transfer::Off => "off", Transfer::Extensions => "extensions", Transfer::All => "all",
        });
    "sip.redirects", "targets of 3xx answers that a leg follows at most, to the same number or to phones of the merchant; 0: none",
        |c, v| c.dialog.redirects = at_least(v, 0)?, |c| text(c.dialog.redirects);
    "sip.queue", "messages that may wait for the engine; more are dropped and counted",
        |c, v| c.queue = at_least(v, 16)?, |c| text(c.queue);
    "sip.tcp_connections", "SIP connections at one time at most",
        |c, v| c.tcp.connections_max = at_least(v, 1)?, |c| text(c.tcp.connections_max);
    "sip.tcp_per_address", "the same from one address, or one IPv6 /64",
        |c, v| c.tcp.per_address = at_least(v, 1)?, |c| text(c.tcp.per_address);
    "sip.handshake", "for the TLS and WebSocket handshakes of a connection",
        |c, v| c.tcp.handshake = positive(v)?, |c| show_duration(c.tcp.handshake);
    "sip.tcp_first_message", "a new connection must bring a whole message within this time",
        |c, v| c.tcp.first_message = positive(v)?, |c| show_duration(c.tcp.first_message);
    "sip.tcp_unused", "a connection without traffic, registration and call is closed after this time",
        |c, v| c.tcp.unused = positive(v)?, |c| show_duration(c.tcp.unused);
    "sip.keep_alive", "how often phones behind a NAT and connections of phones are pinged; `off`: never",
        |c, v| c.tcp.keep_alive = or_off(v, positive)?, |c| off(c.tcp.keep_alive.map(show_duration));
    "sip.tcp_idle", "any connection without traffic is closed after this time",
        |c, v| c.tcp.idle = positive(v)?, |c| show_duration(c.tcp.idle);

    "http.listen", "merchants' requests, recordings, /healthz",
        |c, v| c.http = address(one(v)?)?, |c| text(c.http);
    "http.public_url", "absolute URL at which merchants reach http.listen; `off`: its own address",
        |c, v| c.public_url = or_off(v, url)?, |c| off(c.public_url.clone().map(|url| vec![url]));
    "http.callback_allow", "networks that merchants' URLs may lead to although they are private",
        |c, v| c.callback_allow = networks(v)?,
        |c| c.callback_allow.iter().map(ToString::to_string).collect();
    "http.callback_hosts", "host names that merchants' URLs may name whatever their addresses are",
        |c, v| c.callback_hosts = v.iter().map(|h| host(h)).collect::<Result<_, _>>()?,
        |c| c.callback_hosts.clone();
    "http.callback_ports", "ports that merchants' URLs may name besides 80, 443 and those from 1024 on that no database or the like is known by",
        |c, v| c.callback_ports = v.iter().map(|p| port(p)).collect::<Result<_, _>>()?,
        |c| c.callback_ports.iter().map(ToString::to_string).collect();
    "http.trusted_proxies", "proxies whose X-Forwarded-For is believed",
        |c, v| c.trusted_proxies = networks(v)?,
        |c| c.trusted_proxies.iter().map(ToString::to_string).collect();
    "http.connections", "HTTP connections at one time at most, each listener",
        |c, v| c.web.connections = at_least(v, 1)?, |c| text(c.web.connections);
    "http.connections_per_address", "the same from one address",
        |c, v| c.web.connections_per_address = at_least(v, 1)?,
        |c| text(c.web.connections_per_address);
    "http.header_timeout", "for a request's head to arrive, and between two requests of a connection",
        |c, v| c.web.header_timeout = positive(v)?, |c| show_duration(c.web.header_timeout);
    "http.header_max", "bytes of a request's head at most, not below 8k; more is answered 431",
        |c, v| c.web.header_max = bytes(v)?, |c| show_bytes(c.web.header_max);
    "http.body_timeout", "for a request's body to arrive",
        |c, v| c.web.body_timeout = positive(v)?, |c| show_duration(c.web.body_timeout);
    "http.body_max", "bytes of a merchant's request body at most; more is answered 413",
        |c, v| c.web.body_max = bytes(v)?, |c| show_bytes(c.web.body_max);
    "http.request_timeout", "from a request's head to the head of its answer; then 408; longer than `body_timeout`",
        |c, v| c.web.request_timeout = positive(v)?, |c| show_duration(c.web.request_timeout);
    "http.write_timeout", "a client that takes nothing of its answer for so long is let go",
        |c, v| c.web.write_timeout = positive(v)?, |c| show_duration(c.web.write_timeout);
    "http.place_timeout", "a merchant waits this long for a call to be taken, then hears of a system error",
        |c, v| c.web.place_timeout = positive(v)?, |c| show_duration(c.web.place_timeout);
    "http.address_rate", "requests from one address: a second/at once; `off`: no limit",
        |c, v| c.web.address_rate = or_off(v, pace)?, |c| off(c.web.address_rate.map(show_pace));
    "http.merchant_rate", "signed requests of one merchant: a second/at once; `off`: no limit",
        |c, v| c.web.merchant_rate = or_off(v, pace)?, |c| off(c.web.merchant_rate.map(show_pace));
    "dns.servers", "name servers for names of merchants' hosts and of carriers, with or without a port; empty: the system's",
        |c, v| c.dns = name_servers(v)?, |c| c.dns.iter().map(ToString::to_string).collect();
    "system001.validity", "system 001: how far the timestamp of a request may be from ours, either way",
        |c, v| c.web.ytx_validity = positive(v)?, |c| show_duration(c.web.ytx_validity);
    "system001.strict_credit", "system 001: yes refuses a `credit` that is not above 60; no raises it",
        |c, v| c.web.ytx_strict = yes(v)?, |c| show_yes(c.web.ytx_strict);
    "push.timeout", "for a whole delivery: look-up, connection, answer",
        |c, v| c.web.push_timeout = positive(v)?, |c| show_duration(c.web.push_timeout);
    "push.connect_timeout", "for the TCP and TLS handshakes of a delivery",
        |c, v| c.web.push_connect = positive(v)?, |c| show_duration(c.web.push_connect);
    "push.at_once", "deliveries at one time at most",
        |c, v| c.web.push_at_once = at_least(v, 1)?, |c| text(c.web.push_at_once);
    "push.at_once_per_receiver", "the same to one receiver of one merchant",
        |c, v| c.web.push_per_endpoint = at_least(v, 1)?, |c| text(c.web.push_per_endpoint);
    "push.circuit_after", "deliveries in a row without any answer after which a receiver is left alone",
        |c, v| c.web.push_circuit_after = some(v)?, |c| text(c.web.push_circuit_after);
    "push.circuit_pause", "for how long",
        |c, v| c.web.push_circuit_pause = positive(v)?, |c| show_duration(c.web.push_circuit_pause);
    "push.delays", "waits before each delivery of a notification; `off`: each system's own rule",
        |c, v| c.push_delays = or_off(v, delays)?,
        |c| off(c.push_delays.as_ref().map(|all| all.iter().copied().flat_map(show_duration).collect()));
    "admin.listen", "the operator's requests, /metrics",
        |c, v| c.admin = address(one(v)?)?, |c| text(c.admin);
    "admin.token_file", "file with the operator's token; `off`: admin.token in the data folder",
        |c, v| c.admin_token = or_off(v, |v| Ok(one(v)?.into()))?,
        |c| off(c.admin_token.as_deref().map(path));

    "rtp.bind", "address of the RTP sockets, or one of each family: 0.0.0.0, ::",
        |c, v| c.rtp_bind = some_families(v)?, |c| c.rtp_bind.iter().map(ToString::to_string).collect();
    "rtp.advertise", "address in session descriptions, or one of each family; `off`: rtp.bind",
        |c, v| c.rtp_advertised = or_off(v, advertised_families)?.unwrap_or_default(),
        |c| off(Some(c.rtp_advertised.iter().map(ToString::to_string).collect::<Vec<_>>()).filter(|list| !list.is_empty()));
    "rtp.ports", "ports of RTP and RTCP; two for each leg",
        |c, v| c.rtp_ports = ports(v)?,
        |c| text(format!("{}-{}", c.rtp_ports.start(), c.rtp_ports.end()));
    "rtp.quarantine", "how long a port rests after its leg",
        |c, v| c.rtp_quarantine = duration(v)?, |c| show_duration(c.rtp_quarantine);
    "rtp.workers", "media threads; `cores`: one for each",
        |c, v| c.media_workers = threads(v)?,
        |c| text(c.media_workers.map_or("cores".to_owned(), |n| n.to_string()));
    "media.codecs", "codecs of extensions and of carriers without a list of their own, best first: pcma, pcmu, g722, opus, g729",
        |c, v| c.codecs = codecs(v)?, |c| c.codecs.iter().map(|codec| codec.name().to_owned()).collect();
    "media.recordings", "folder of recordings; `off`: recordings in the data folder",
        |c, v| c.recordings = or_off(v, |v| Ok(one(v)?.into()))?,
        |c| off(c.recordings.as_deref().map(path));
    "media.prompts", "folder of announcements, <language>/<name>.<ending>; `off`: tones only",
        |c, v| c.prompts = or_off(v, |v| Ok(one(v)?.into()))?, |c| off(c.prompts.as_deref().map(path));
    "media.hold_music", "what somebody who waits hears: `off` is a soft tone, or the name of an announcement, or the address of a sound; `merchant=…` beside it in that merchant's calls, `+number=…` in calls to that number",
        |c, v| c.hold_music = hold_music(v)?, |c| show_hold_music(&c.hold_music);
    "media.sounds_fresh", "sounds behind addresses are played so long without asking their server again",
        |c, v| c.sounds.fresh = duration(v)?, |c| show_duration(c.sounds.fresh);
    "media.sounds_keep", "they are kept in the data folder for so long after their server was asked last",
        |c, v| c.sounds.keep = positive(v)?, |c| show_duration(c.sounds.keep);
    "media.sounds_cache", "MiB that they may take there",
        |c, v| c.sounds.cache_mib = at_least(v, 1)? as u64, |c| text(c.sounds.cache_mib);

    "recording.format", "mp3 (40 kbit/s a channel), wav (8 kHz, 16 bits) or opus (Ogg, 40 kbit/s a channel)",
        |c, v| c.recording.form.format = match one_of(v, &["mp3", "wav", "opus"])? {
            "wav" => RecordingFormat::Wav, "opus" => RecordingFormat::Opus, _ => RecordingFormat::Mp3,
        },
        |c| text(c.recording.form.format.ending());
    "recording.channels", "stereo: who calls, or was called first, left, the other right; mono: both in one; a, b: one of them alone; apart: two files",
        |c, v| {
            let word = one_of(v, &Voices::ALL.map(|(word, _)| word))?;
            c.recording.form.voices = Voices::named(word).unwrap_or_default();
        },
        |c| text(c.recording.form.voices.word());
    "recording.notice", "what both parties hear when they are recorded: `off`, `tone`, or the name of an announcement",
        |c, v| c.recording.notice = match one(v)? {
            "off" => Notice::None, "tone" => Notice::Tone, name => Notice::Prompt(name.to_owned()),
        },
        |c| text(match &c.recording.notice {
            Notice::None => "off", Notice::Tone => "tone", Notice::Prompt(name) => name.as_str(),
        });
    "recording.consent", "announcement that both parties hear to its end before they are recorded; `off`: none; `recording-consent` ships",
        |c, v| c.recording.consent.prompt = or_off(v, |v| one(v).map(str::to_owned))?,
        |c| off(c.recording.consent.prompt.as_ref().map(text));
    "recording.decline", "key by which either of them declines, then and while he is recorded: nothing is kept; `off`: none",
        |c, v| c.recording.consent.decline = or_off(v, key)?, |c| off(c.recording.consent.decline.map(text));
    "recording.keep", "recordings are removed after this time, messages in mailboxes are not; `off`: never",
        |c, v| c.recording.keep = or_off(v, positive)?, |c| off(c.recording.keep.map(show_duration));
    "recording.key_file", "file of the keys that recordings are sealed with, a line each: NAME and 32 octets in base 64; the first seals; `off`: they lie open",
        |c, v| c.recording.keys = or_off(v, |v| Ok(one(v)?.into()))?, |c| off(c.recording.keys.as_deref().map(path));
    "recording.s3_endpoint", "S3-compatible storage to which finished recordings are copied, https://host:port; `off`: none",
        |c, v| c.recording.upload.endpoint = or_off(v, |v| one(v).map(str::to_owned))?,
        |c| off(c.recording.upload.endpoint.as_ref().map(text));
    "recording.s3_insecure", "yes: that storage may be http elsewhere than on this machine: recordings cross the network as they lie here",
        |c, v| c.recording.upload.insecure = yes(v)?, |c| show_yes(c.recording.upload.insecure);
    "recording.s3_bucket", "bucket of the copies", |c, v| c.recording.upload.bucket = one(v)?.to_owned(),
        |c| text(&c.recording.upload.bucket);
    "recording.s3_region", "region that requests are signed for", |c, v| c.recording.upload.region = one(v)?.to_owned(),
        |c| text(&c.recording.upload.region);
    "recording.s3_prefix", "put before the names of copies, e.g. tandem/; `off`: nothing",
        |c, v| c.recording.upload.prefix = or_off(v, |v| one(v).map(str::to_owned))?.unwrap_or_default(),
        |c| off(Some(&c.recording.upload.prefix).filter(|prefix| !prefix.is_empty()).map(text));
    "recording.s3_credentials", "file of two lines, access key id and secret access key",
        |c, v| c.recording.upload.credentials = or_off(v, |v| Ok(one(v)?.into()))?,
        |c| off(c.recording.upload.credentials.as_deref().map(path));
    "recording.s3_after", "how old a recording is when it is copied", |c, v| c.recording.upload.after = positive(v)?,
        |c| show_duration(c.recording.upload.after);

    "recognition.listen", "yes: what carriers play before an answer is listened to, for the record",
        |c, v| c.hearing.listens = yes(v)?, |c| show_yes(c.hearing.listens);
    "recognition.release", "never; certain: an attempt is given up when an announcement or a busy tone is known for certain",
        |c, v| c.hearing.release = match one_of(v, &["never", "certain"])? {
            "certain" => Release::Certain, _ => Release::Never,
        },
        |c| text(match c.hearing.release { Release::Never => "never", Release::Certain => "certain" });
    "recognition.tones", "country whose tones carriers play that do not say (`tones` of a trunk): cn, us, de, …",
        |c, v| c.hearing.country = one_of(v, COUNTRIES)?.to_owned(), |c| text(&c.hearing.country);
    "recognition.library", "folder of announcements that are known besides those that ship; read again when it changes; `off`: announcements in the data folder",
        |c, v| c.known = or_off(v, |v| Ok(one(v)?.into()))?, |c| off(c.known.as_deref().map(path));
    "recognition.words", "a program that makes words of what carriers play, and its arguments: docs/announcements.md; `off`",
        |c, v| c.words = or_off(v, |v| Ok(v.to_vec()))?, |c| off(c.words.clone());
    "recognition.words_at_once", "how many of that program may run at a time",
        |c, v| c.words_at_once = at_least(v, 1)?.min(1_000), |c| text(c.words_at_once);

    "speech.program", "a program that speaks menus to phones that cannot be shown them, and its arguments: docs/sounds.md; `off`",
        |c, v| c.speech = or_off(v, |v| Ok(v.to_vec()))?, |c| off(c.speech.clone());
    "speech.at_once", "how many of that program may run at a time",
        |c, v| c.speech_at_once = at_least(v, 1)?.min(1_000), |c| text(c.speech_at_once);

    "call.max", "calls at one time at most",
        |c, v| c.call.calls_max = at_least(v, 1)?, |c| text(c.call.calls_max);
    "call.reserved", "of `call.max` so many are kept for calls of merchants and extensions",
        |c, v| c.call.calls_reserved = at_least(v, 0)?, |c| text(c.call.calls_reserved);
    "call.per_second", "new calls a second at most; `off`: no limit",
        |c, v| c.call.calls_per_second = or_off(v, |v| at_least(v, 1))?.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        |c| off(c.call.calls_per_second.map(text));
    "call.ring", "how long a leg rings when the merchant does not say",
        |c, v| c.call.ring = positive(v)?, |c| show_duration(c.call.ring);
    "call.silence", "a call without RTP from one side ends after this time; `off`: never",
        |c, v| c.call.silence = or_off(v, positive)?, |c| off(c.call.silence.map(show_duration));
    "call.warning", "the warning tone sounds this long before a cut, 10s to 60s",
        |c, v| c.call.warning = duration(v)?, |c| show_duration(c.call.warning);
    "call.checkpoint", "how often calls are written down as alive: what a crash may leave unbilled",
        |c, v| c.call.checkpoint = positive(v)?, |c| show_duration(c.call.checkpoint);
    "call.drain_grace", "how long calls may go on after SIGTERM",
        |c, v| c.drain_grace = duration(v)?, |c| show_duration(c.drain_grace);

    "features.pickup", "extensions dial this to take a call that rings at the extension whose number follows, or at any of the merchant's; `off`: nobody can",
        |c, v| code(c, Feature::Pickup, v)?, |c| shown(c, Feature::Pickup);
    "features.park", "a call that is transferred there waits until somebody takes it; `off`: none does",
        |c, v| code(c, Feature::Park, v)?, |c| shown(c, Feature::Park);
    "features.retrieve", "extensions dial this to take the call that the extension whose number follows has parked, or their own; `off`: nobody can",
        |c, v| code(c, Feature::Retrieve, v)?, |c| shown(c, Feature::Retrieve);
    "features.forward", "extensions dial this and a number, and all their calls go there; `off`: nobody can",
        |c, v| code(c, Feature::AlwaysOn, v)?, |c| shown(c, Feature::AlwaysOn);
    "features.forward_off", "and this, and they do not any more",
        |c, v| code(c, Feature::AlwaysOff, v)?, |c| shown(c, Feature::AlwaysOff);
    "features.forward_busy", "extensions dial this and a number, and calls that find them busy go there; `off`: nobody can",
        |c, v| code(c, Feature::BusyOn, v)?, |c| shown(c, Feature::BusyOn);
    "features.forward_busy_off", "and this, and they do not any more",
        |c, v| code(c, Feature::BusyOff, v)?, |c| shown(c, Feature::BusyOff);
    "features.forward_no_answer", "extensions dial this and a number, and calls that they do not answer go there; `off`: nobody can",
        |c, v| code(c, Feature::NoAnswerOn, v)?, |c| shown(c, Feature::NoAnswerOn);
    "features.forward_no_answer_off", "and this, and they do not any more",
        |c, v| code(c, Feature::NoAnswerOff, v)?, |c| shown(c, Feature::NoAnswerOff);
    "features.dnd", "extensions dial this and are not disturbed; `off`: nobody can",
        |c, v| code(c, Feature::DndOn, v)?, |c| shown(c, Feature::DndOn);
    "features.dnd_off", "and this, and they may be disturbed again",
        |c, v| code(c, Feature::DndOff, v)?, |c| shown(c, Feature::DndOff);
    "features.voicemail", "extensions dial this to hear what callers have left in their mailbox: 7 deletes a message, # goes on to the next; `off`: nobody can",
        |c, v| code(c, Feature::Voicemail, v)?, |c| shown(c, Feature::Voicemail);
    "features.park_timeout", "a parked call that nobody takes goes back to who parked it after this time",
        |c, v| c.features.park_timeout = positive(v)?, |c| show_duration(c.features.park_timeout);
    "features.voicemail_max", "a message in a mailbox ends after this time, 5m at most",
        |c, v| c.features.voicemail.max = message(v)?, |c| show_duration(c.features.voicemail.max);
    "features.voicemail_min", "a message shorter than this is not kept",
        |c, v| c.features.voicemail.min = duration(v)?, |c| show_duration(c.features.voicemail.min);

    "registrar.nonce_life", "how long a digest nonce is good for",
        |c, v| c.call.nonce_life = positive(v)?, |c| show_duration(c.call.nonce_life);
    "registrar.algorithms", "digest algorithms offered, preferred first: md5, sha-256; old phones fail at sha-256",
        |c, v| c.algorithms = algorithms(v)?,
        |c| c.algorithms.iter().map(|a| a.as_str().to_lowercase()).collect();
    "registrar.expires_min", "shorter registrations are refused with 423",
        |c, v| c.call.expires_min = positive(v)?, |c| show_duration(c.call.expires_min);
    "registrar.expires_default", "registrations that do not say",
        |c, v| c.call.expires_default = positive(v)?, |c| show_duration(c.call.expires_default);
    "registrar.expires_max", "longer registrations are shortened",
        |c, v| c.call.expires_max = positive(v)?, |c| show_duration(c.call.expires_max);

    "abuse.ban_time", "who knocks too often is not listened to for this long, then for twice as long each time; off: never",
        |c, v| c.abuse.ban_time = or_off(v, positive)?.unwrap_or_default(),
        |c| off(Some(c.abuse.ban_time).filter(|time| !time.is_zero()).map(show_duration));
    "abuse.points", "a request with wrong credentials is a point, one without any half; so many, less one for each 10 s, are too often",
        |c, v| c.abuse.points = u32::try_from(at_least(v, 1)?).unwrap_or(u32::MAX), |c| text(c.abuse.points);
    "abuse.allow", "networks that are never banned, besides the trunks': proxies in front of this switch belong here",
        |c, v| c.abuse.allow = networks(v)?,
        |c| c.abuse.allow.iter().map(ToString::to_string).collect();

    "log.level", "error, warn, info, debug, trace, or a filter like info,sip=debug",
        |c, v| c.log_level = filter(v)?, |c| vec![c.log_level.clone()];
    "log.format", "text or json",
        |c, v| c.log_json = one_of(v, &["text", "json"])? == "json",
        |c| text(if c.log_json { "json" } else { "text" });
}

#[expect(clippy::needless_pass_by_value, reason = "reads well as the end of a chain")]
fn text<T: ToString>(value: T) -> Vec<String> {
    vec![value.to_string()]
}

fn path(path: &std::path::Path) -> Vec<String> {
    vec![path.display().to_string()]
}

/// One key of a telephone.
fn key(values: &[String]) -> Result<char, String> {
    let key: char = parsed(values, "a key")?;
    let known = key.is_ascii_digit() || matches!(key, '*' | '#');
    known.then_some(key).ok_or_else(|| format!("`{key}` is none of 0 to 9, *, #"))
}

/// The longest message in a mailbox.
const MESSAGE_MAX: Duration = Duration::from_secs(300);

/// A feature's code.
fn code(config: &mut Config, feature: Feature, values: &[String]) -> Result<(), String> {
    let code = or_off(values, |values| one(values).map(str::to_owned))?.unwrap_or_default();
    config.features.codes.set(feature, &code)
}

/// How long a message may be: no longer than what can be played again.
fn message(values: &[String]) -> Result<Duration, String> {
    let time = positive(values)?;
    if time > MESSAGE_MAX { Err("must be 5m at most".into()) } else { Ok(time) }
}

fn shown(config: &Config, feature: Feature) -> Vec<String> {
    off(config.features.codes.code(feature).map(text))
}

/// Addresses, at most one of a family.
fn families(values: &[String]) -> Result<Vec<std::net::IpAddr>, String> {
    let parse = |value: &String| {
        value.parse::<std::net::IpAddr>().map_err(|_| format!("`{value}` is not an address"))
    };
    let list: Vec<_> = values.iter().map(parse).collect::<Result<_, _>>()?;
    match list.iter().filter(|ip| ip.is_ipv4()).count() {
        0 | 1 if list.len() <= 2 && list.iter().filter(|ip| ip.is_ipv6()).count() <= 1 => Ok(list),
        _ => Err("takes one IPv4 and one IPv6 address at most".into()),
    }
}

fn some_families(values: &[String]) -> Result<Vec<std::net::IpAddr>, String> {
    let list = families(values)?;
    if list.is_empty() { Err("is empty".into()) } else { Ok(list) }
}

/// What peers are told, one address of each family at most.
fn advertised_families(values: &[String]) -> Result<Vec<std::net::IpAddr>, String> {
    let list = families(values)?;
    list.iter().try_for_each(|ip| told(*ip).map(drop))?;
    Ok(list)
}

fn file(values: &[String]) -> Result<std::path::PathBuf, String> {
    Ok(one(values)?.into())
}

fn off(value: Option<Vec<String>>) -> Vec<String> {
    value.unwrap_or_else(|| vec!["off".into()])
}

fn at_least(values: &[String], least: usize) -> Result<usize, String> {
    let number: usize = parsed(values, "a number")?;
    if number < least {
        return Err(match least {
            1 => "0 would let nothing through".into(),
            _ => format!("must be at least {least}"),
        });
    }
    Ok(number)
}

fn host(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.len() > 253 || !text.chars().all(fits) || text.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!("`{text}` is not a host name; addresses go to http.callback_allow"));
    }
    Ok(text.to_ascii_lowercase())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("`{text}` is not a port"))
}

fn algorithms(values: &[String]) -> Result<Vec<Algorithm>, String> {
    if values.is_empty() {
        return Err("names no algorithm".into());
    }
    let read = |value: &String| {
        Algorithm::parse(value)
            .filter(|known| matches!(known, Algorithm::Md5 | Algorithm::Sha256))
            .ok_or_else(|| format!("`{value}` is neither md5 nor sha-256"))
    };
    values.iter().map(read).collect()
}

fn delays(values: &[String]) -> Result<Vec<Duration>, String> {
    if values.is_empty() {
        return Err("names no delay; the first is usually 0s".into());
    }
    values.iter().map(|value| duration(std::slice::from_ref(value))).collect()
}

/// A database URL without its password.
fn masked(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return "***".into() };
    let masks = url.password().is_some() && url.set_password(Some("***")).is_ok();
    let secret = |(name, _): &(std::borrow::Cow<'_, str>, _)| name == "password";
    if url.query_pairs().any(|pair| secret(&pair)) {
        url.set_query(Some("***"));
    } else if !masks {
        return text.to_owned();
    }
    url.into()
}

fn database(values: &[String]) -> Result<String, String> {
    let url = one(values)?;
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        Ok(url.to_owned())
    } else {
        // Not repeated: a database URL holds a password.
        Err("starts with none of sqlite:, postgres://, postgresql://".into())
    }
}

fn url(values: &[String]) -> Result<String, String> {
    let text = one(values)?;
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(format!("`{text}` is not an http or https URL")),
    }
}

fn networks(values: &[String]) -> Result<Vec<ipnet::IpNet>, String> {
    values
        .iter()
        .map(|value| {
            value
                .parse::<ipnet::IpNet>()
                .or_else(|_| value.parse::<std::net::IpAddr>().map(ipnet::IpNet::from))
                .map_err(|_| format!("`{value}` is not a network like 10.0.0.0/8"))
        })
        .collect()
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A filter arrives split at its commas. A word alone is a level: the library would take any other for the
/// name of a module, and say nothing ever after.
fn filter(values: &[String]) -> Result<String, String> {
    let text = values.join(",");
    let alone = |part: &&str| !part.contains(['=', '[', ':']);
    let words = text.split(',').map(str::trim).filter(alone);
    let known = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if let Some(word) = words.into_iter().find(|word| !known(word)) {
        let meant = billing::words::meant(word, LEVELS);
        return Err(format!("`{word}` is none of {}{meant}", LEVELS.join(", ")));
    }
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text),
        Err(_) => Err(format!("`{text}` is not a log filter")),
    }
}

fn printable(text: &str) -> Result<String, String> {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        Ok(text.to_owned())
    } else {
        Err("must be plain ASCII".into())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_log_filter_names_a_level() {
        let filter =
            |text: &str| super::filter(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        for good in
            ["info", "WARN", "off", "info,sip=debug", "call=trace", "sip::endpoint=debug,warn"]
        {
            assert_eq!(filter(good).as_deref(), Ok(good));
        }
        for (bad, word) in [("loud", "loud"), ("", ""), ("info,verbose", "verbose"), ("info,", "")]
        {
            let error = filter(bad).expect_err(bad);
            assert!(error.starts_with(&format!("`{word}` is none of off,")), "{bad}: {error}");
        }
        assert!(filter("sip=loud").is_err());
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://u:secret@db.example/t", "postgres://u:***@db.example/t"),
            ("postgres://u@db.example/t?password=secret", "postgres://u@db.example/t?***"),
            ("postgres://u@db.example/t", "postgres://u@db.example/t"),
            ("sqlite:///var/lib/tandem/t.sqlite", "sqlite:///var/lib/tandem/t.sqlite"),
        ] {
            assert_eq!(super::masked(url), shown);
        }
    }
}
