//! What a room says to its members: coded once for all who hear the same, and for each who hears
//! something of his own.
//!
//! G.711 has no state, so whoever says nothing is sent the same octets as all others. G.722 and Opus have:
//! the far end's decoder follows one encoder. Those who listen follow the shared one. Whoever begins to
//! talk gets one of his own; in G.722 it begins as a copy of the shared one, so that the far end's decoder
//! cannot tell. Opus has no copies: each packet of 20 ms tells its levels by itself, and what it predicts from
//! the past is soon forgotten. Afterwards he is sent the common sound by his own until the two encoders have
//! given the same octets for a while, which in G.722 they do once there was a pause, or until there is a
//! pause, or at last for ten seconds of the same sound: then they hardly differ.

use super::bus::FRAME_MAX;
use super::ear::rate;
use super::talk;
use crate::codec::{Coding, Encoder, OCTETS_MAX};

/// A packet's payload.
#[derive(Clone, Debug)]
pub(super) struct Coded {
    octets: [u8; OCTETS_MAX],
    len: usize,
}

impl Coded {
    pub(super) const NONE: Coded = Coded { octets: [0; OCTETS_MAX], len: 0 };

    pub(super) fn payload(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    fn code(&mut self, encoder: &mut Encoder, frame: &[i16]) {
        self.len = encoder.encode(frame, &mut self.octets).unwrap_or(0);
    }
}

/// What those hear who say nothing, in one coding.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) coding: Coding,
    encoder: Encoder,
    coded: Coded,
}

impl Common {
    pub(super) fn new(coding: Coding) -> Option<Common> {
        let encoder = Encoder::at(coding, rate(coding)).ok()?;
        Some(Common { coding, encoder, coded: Coded::NONE })
    }

    pub(super) fn code(&mut self, full: &[i16]) {
        self.coded.code(&mut self.encoder, full);
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.coded.payload()
    }
}

/// How one member is spoken to.
#[derive(Debug)]
pub(super) struct Mouth {
    pub(super) coding: Coding,
    /// Made when he joins: a tick makes nothing.
    own: Encoder,
    /// It is his own that he is sent.
    apart: bool,
    /// Frames since he heard something of his own.
    since: u16,
    /// Frames in a row in which both gave the same.
    same: u8,
}

impl Mouth {
    pub(super) fn new(coding: Coding) -> Option<Mouth> {
        let own = Encoder::at(coding, rate(coding)).ok()?;
        Some(Mouth { coding, own, apart: false, since: 0, same: 0 })
    }

    /// He is about to hear something that nobody else hears: before the common sound is coded.
    pub(super) fn part(&mut self, common: &Common) {
        if !std::mem::replace(&mut self.apart, true) {
            self.own.follow(&common.encoder);
        }
        (self.since, self.same) = (0, 0);
    }

    /// He hears what all others hear: by his own encoder for as long as he has to.
    pub(super) fn apart(&self) -> bool {
        self.apart
    }

    /// Codes what he alone hears.
    pub(super) fn own(&mut self, frame: &[i16], out: &mut Coded) {
        out.code(&mut self.own, frame);
    }

    /// Codes what all hear, for him who has heard something else, and goes back to the shared encoder when
    /// that makes no difference.
    pub(super) fn rejoin(&mut self, full: &[i16], common: &Common, out: &mut Coded) {
        out.code(&mut self.own, full);
        self.since = self.since.saturating_add(1);
        self.same = if out.payload() == common.payload() { self.same.saturating_add(1) } else { 0 };
        let stateless = matches!(self.coding, Coding::Pcmu | Coding::Pcma);
        let unheard = self.since >= PATIENCE_FRAMES
            || self.since >= PAUSE_FRAMES && talk::power(full) <= PAUSE_POWER;
        self.apart = !(stateless || self.same >= SAME_FRAMES || unheard);
    }
}

/// Frames that two encoders have to agree on.
const SAME_FRAMES: u8 = 5;
/// Otherwise: after two seconds in a frame that is as good as silent, after ten in any.
const PAUSE_FRAMES: u16 = 100;
const PATIENCE_FRAMES: u16 = 500;
const PAUSE_POWER: u64 = 40 * 40;

const _: () = assert!(OCTETS_MAX >= FRAME_MAX / 2, "20 ms of G.722");
