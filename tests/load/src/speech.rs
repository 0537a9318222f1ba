//! What far ends say when it matters what they say: something like speech in a coding, protected or not.

use std::io;

use audio::codec::{Coding, Encoder, OCTETS_MAX};
use clap::ValueEnum;
use facts::media::{Codec, PayloadMap};
use facts::srtp::{SrtpKey, SrtpKeys, SrtpSuite};
use rtp::srtp::{Master, Suite};

/// Length of what is said again and again.
const SECONDS: usize = 6;
const PTIME_MS: u32 = 20;
/// Packets of a turn.
const TURN: usize = 150;

/// A coding of one side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Voice {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl Voice {
    /// As signalling names it, and its payload type (RFC 3551 §6; 111 is what browsers take for Opus).
    pub(crate) const fn agreed(self) -> (u8, Codec) {
        match self {
            Voice::Pcmu => (0, Codec::Pcmu),
            Voice::Pcma => (8, Codec::Pcma),
            Voice::G722 => (9, Codec::G722),
            Voice::Opus => (111, Codec::Opus),
        }
    }

    const fn coding(self) -> Coding {
        match self {
            Voice::Pcmu => Coding::Pcmu,
            Voice::Pcma => Coding::Pcma,
            Voice::G722 => Coding::G722,
            Voice::Opus => Coding::Opus,
        }
    }

    /// What a session description says of it besides its number.
    pub(crate) const fn rtpmap(self) -> &'static str {
        match self {
            Voice::Pcmu => "PCMU/8000",
            Voice::Pcma => "PCMA/8000",
            Voice::G722 => "G722/8000",
            Voice::Opus => "opus/48000/2",
        }
    }

    /// What is agreed with this side: one coding, and keys of its clock.
    pub(crate) fn map(self) -> PayloadMap {
        let (number, codec) = self.agreed();
        PayloadMap {
            audio: vec![(number, codec)],
            events: vec![(101, codec.clock_hz())],
            noise: None,
        }
    }
}

/// Payloads that one side says in turn, 20 ms each.
#[derive(Debug)]
pub(crate) struct Speech {
    pub(crate) payload_type: u8,
    /// Units of the RTP clock from one packet to the next.
    pub(crate) step: u32,
    pub(crate) payloads: Vec<Vec<u8>>,
    /// A frame of silence, which is sent like any other.
    silence: Vec<u8>,
    /// Of so many streams one speaks at a time.
    turns: usize,
}

impl Speech {
    /// Syllables of harmonics over a falling pitch, with pauses.
    pub(crate) fn of(voice: Voice) -> io::Result<Speech> {
        let coding = voice.coding();
        let rate = coding.rate() as usize;
        let mut turn = 0.0_f64;
        let sound: Vec<i16> = (0..SECONDS * rate)
            .map(|n| {
                let t = n as f64 / rate as f64;
                turn += (150.0 - 40.0 * (t * 0.7).fract()) / rate as f64;
                let talks = ((t / 2.0) as usize) % 3 != 2;
                let syllable = ((t * 4.0).fract() * std::f64::consts::PI).sin().powi(2);
                let wave: f64 = (1..=20_u32)
                    .map(|k| (turn * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k))
                    .sum();
                if talks { (wave * syllable * 6_000.0) as i16 } else { 0 }
            })
            .collect();
        let mut encoder = Encoder::new(coding).map_err(io::Error::other)?;
        let mut out = [0; OCTETS_MAX];
        let mut payloads = Vec::new();
        for frame in sound.chunks_exact(rate / 1_000 * PTIME_MS as usize) {
            let octets = encoder.encode(frame, &mut out).map_err(io::Error::other)?;
            payloads.push(out[..octets].to_vec());
        }
        let step = coding.clock() / 1_000 * PTIME_MS;
        let mut quiet = Encoder::new(coding).map_err(io::Error::other)?;
        let frame = vec![0; rate / 1_000 * PTIME_MS as usize];
        let octets = quiet.encode(&frame, &mut out).map_err(io::Error::other)?;
        let silence = out[..octets].to_vec();
        Ok(Speech { payload_type: voice.agreed().0, step, payloads, silence, turns: 1 })
    }

    /// The same, said by one stream of so many, three seconds at a time.
    pub(crate) fn in_turns(self, turns: usize) -> Speech {
        Speech { turns: turns.max(1), ..self }
    }

    /// What a stream says in its packet of this number. Each is somewhere else in what is said.
    pub(crate) fn payload(&self, stream: usize, number: u32) -> &[u8] {
        let number = number as usize;
        if (number / TURN + stream).is_multiple_of(self.turns) {
            &self.payloads[(number + 37 * stream) % self.payloads.len()]
        } else {
            &self.silence
        }
    }
}

/// What every leg is protected with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lock {
    Sha1,
    Gcm,
}

impl Lock {
    /// The keys are the same in all calls, which costs what different ones would, but not on both sides:
    /// nobody may pass on what he cannot have opened.
    fn bytes(self, octet: u8) -> Vec<u8> {
        vec![octet; if self == Lock::Sha1 { 30 } else { 28 }]
    }

    /// What the far ends of one side protect with.
    pub(crate) fn master(self, side: usize) -> io::Result<Master> {
        let suite = if self == Lock::Sha1 { Suite::Aes128Sha1_80 } else { Suite::Aes128Gcm };
        let master = Master::new(suite, &self.bytes(THEIRS[side]), None);
        master.ok_or_else(|| io::Error::other("no such key"))
    }

    /// What the measured side is told of the far ends of one side.
    pub(crate) fn keys(self, side: usize) -> SrtpKeys {
        let suite =
            if self == Lock::Sha1 { SrtpSuite::Aes128Sha1_80 } else { SrtpSuite::Aes128Gcm };
        SrtpKeys {
            suite,
            send: SrtpKey::new(self.bytes(OURS)),
            receive: SrtpKey::new(self.bytes(THEIRS[side])),
            mki: None,
        }
    }

    /// The same key in a session description (RFC 4568 §6.1).
    pub(crate) const fn crypto(self, side: usize) -> &'static str {
        match (self, side) {
            (Lock::Sha1, 0) => {
                "1 AES_CM_128_HMAC_SHA1_80 inline:Hx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8f"
            }
            (Lock::Sha1, _) => {
                "1 AES_CM_128_HMAC_SHA1_80 inline:PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09"
            }
            (Lock::Gcm, 0) => "1 AEAD_AES_128_GCM inline:Hx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHw==",
            (Lock::Gcm, _) => "1 AEAD_AES_128_GCM inline:PT09PT09PT09PT09PT09PT09PT09PT09PT09PQ==",
        }
    }
}

/// Every octet of the key of each side's far ends, and of the measured side's.
const THEIRS: [u8; 2] = [0x1f, 0x3d];
const OURS: u8 = 0x2e;
