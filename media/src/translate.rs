//! From the vocabulary of the house to that of RTP, and back.

use facts::media::{Codec, Direction, MediaStats, PayloadMap, StreamSetup};
use rtp::{Coding, Figures, Flow, Map, Setup};

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
    Map { audio, event: map.event }
}

pub(crate) fn coding(codec: Codec) -> Coding {
    match codec {
        Codec::Pcmu => Coding::Pcmu,
        Codec::Pcma => Coding::Pcma,
    }
}

pub(crate) fn codec(coding: Coding) -> Codec {
    match coding {
        Coding::Pcmu => Codec::Pcmu,
        Coding::Pcma => Codec::Pcma,
    }
}

pub(crate) fn stats(figures: &Figures) -> MediaStats {
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
    }
}
