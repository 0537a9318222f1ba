//! From the vocabulary of the house to that of RTP, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use facts::manners::Dtmf;
use facts::media::{Codec, Direction, MediaStats, PayloadMap, StreamSetup};
use facts::spoken::Codecs;
use facts::srtp::{SrtpKeys, SrtpSuite};
use rtp::srtp::{Master, Mki, Suite};
use rtp::{Coding, Codings, Figures, Flow, Map, Setup};

use crate::Home;

/// RTP between two ports of ours: where the other one really listens, whatever far ends are told.
pub(crate) fn link(homes: &[Home], to: SocketAddr, codec: Codec) -> StreamSetup {
    let bind = homes.iter().find(|home| home.advertised == to.ip()).map(|home| home.bind);
    let ip = match bind.unwrap_or(to.ip()) {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let plain = [Codec::Pcma, Codec::Pcmu].into_iter().filter(|plain| *plain != codec);
    let codecs = std::iter::once(codec).chain(plain);
    let map = PayloadMap {
        audio: codecs.map(|codec| (number(codec), codec)).collect(),
        events: vec![(EVENT, codec.clock_hz())],
        noise: Some(NOISE),
    };
    StreamSetup {
        remote: SocketAddr::new(ip, to.port()),
        signalling: None,
        remote_rtcp: None,
        rtcp_mux: false,
        send: map.clone(),
        receive: map,
        direction: Direction::SendReceive,
        ptime_ms: 20,
        // The legs on which somebody is are watched.
        silence: None,
        srtp: None,
        dtmf: Dtmf::Auto,
    }
}

/// RFC 3551 §6, and for Opus any of those that are free.
const fn number(codec: Codec) -> u8 {
    match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::G729 => 18,
        Codec::Opus => 111,
    }
}

/// telephone-event between two ports of ours.
const EVENT: u8 = 101;
/// Comfort noise (RFC 3551 §6).
const NOISE: u8 = 13;

pub(crate) fn setup(setup: &StreamSetup) -> Setup {
    Setup {
        remote: setup.remote,
        signalling: setup.signalling,
        remote_rtcp: setup.remote_rtcp,
        rtcp_mux: setup.rtcp_mux,
        send: map(&setup.send),
        receive: map(&setup.receive),
        flow: match setup.direction {
            Direction::SendReceive => Flow::SendReceive,
            Direction::SendOnly => Flow::SendOnly,
            Direction::ReceiveOnly => Flow::ReceiveOnly,
            Direction::Inactive => Flow::Inactive,
        },
        silence: setup.silence,
    }
}

fn map(map: &PayloadMap) -> Map {
    let audio = map.audio.iter().map(|(pt, codec)| (*pt, coding(*codec))).collect();
    Map { audio, events: map.events.clone(), noise: map.noise }
}

pub(crate) fn coding(codec: Codec) -> Coding {
    match codec {
        Codec::Pcmu => Coding::Pcmu,
        Codec::Pcma => Coding::Pcma,
        Codec::G722 => Coding::G722,
        Codec::Opus => Coding::Opus,
        Codec::G729 => Coding::G729,
    }
}

/// What decodes it and codes it; `None` for what only passes.
pub(crate) fn coder(coding: Coding) -> Option<audio::codec::Coding> {
    Some(match coding {
        Coding::Pcmu => audio::codec::Coding::Pcmu,
        Coding::Pcma => audio::codec::Coding::Pcma,
        Coding::G722 => audio::codec::Coding::G722,
        Coding::Opus => audio::codec::Coding::Opus,
        Coding::G729 => return None,
    })
}

/// The other way.
pub(crate) fn coded(coding: audio::codec::Coding) -> Coding {
    match coding {
        audio::codec::Coding::Pcmu => Coding::Pcmu,
        audio::codec::Coding::Pcma => Coding::Pcma,
        audio::codec::Coding::G722 => Coding::G722,
        audio::codec::Coding::Opus => Coding::Opus,
    }
}

pub(crate) fn codec(coding: Coding) -> Codec {
    match coding {
        Coding::Pcmu => Codec::Pcmu,
        Coding::Pcma => Codec::Pcma,
        Coding::G722 => Codec::G722,
        Coding::Opus => Codec::Opus,
        Coding::G729 => Codec::G729,
    }
}

fn codecs(seen: Codings) -> Codecs {
    Codec::ALL.into_iter().filter(|codec| seen.has(coding(*codec))).collect()
}

pub(crate) fn stats(figures: &Figures) -> MediaStats {
    let [heard, said] = figures.codings.map(codecs);
    MediaStats {
        packets_received: figures.packets_received,
        packets_sent: figures.packets_sent,
        octets_received: figures.octets_received,
        packets_lost: figures.packets_lost,
        jitter_max_us: figures.jitter_max_us,
        packets_dropped: figures.packets_dropped,
        packets_refused: figures.packets_refused,
        round_trip_us: figures.round_trip_us,
        far_loss: figures.far_loss,
        far_packets_lost: figures.far_lost,
        far_jitter_max_us: figures.far_jitter_max_us,
        jitter_mean_us: figures.jitter_mean_us,
        packets_late: figures.packets_late,
        mos_in_x100: figures.scores_x100[0][0],
        mos_in_least_x100: figures.scores_x100[0][1],
        mos_out_x100: figures.scores_x100[1][0],
        mos_out_least_x100: figures.scores_x100[1][1],
        heard,
        said,
        ..MediaStats::default()
    }
}

/// The keys of both directions: ours, theirs. `None` if they are not as long as their suite wants them.
pub(crate) fn masters(keys: &SrtpKeys) -> Option<(Master, Master)> {
    let suite = match keys.suite {
        SrtpSuite::Aes128Sha1_80 => Suite::Aes128Sha1_80,
        SrtpSuite::Aes128Sha1_32 => Suite::Aes128Sha1_32,
        SrtpSuite::Aes192Sha1_80 => Suite::Aes192Sha1_80,
        SrtpSuite::Aes192Sha1_32 => Suite::Aes192Sha1_32,
        SrtpSuite::Aes256Sha1_80 => Suite::Aes256Sha1_80,
        SrtpSuite::Aes256Sha1_32 => Suite::Aes256Sha1_32,
        SrtpSuite::Aes128Gcm => Suite::Aes128Gcm,
        SrtpSuite::Aes256Gcm => Suite::Aes256Gcm,
    };
    let mki = keys.mki.map(|(value, len)| Mki { value, len });
    let ours = Master::new(suite, keys.send.bytes(), None)?;
    Some((ours, Master::new(suite, keys.receive.bytes(), mki)?))
}
