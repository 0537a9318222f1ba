//! What a member says, as one frame a tick: out of the jitter buffer, decoded, its gaps filled.
//!
//! A frame is there at each tick, whatever the network does. What is not there in time is made up, which
//! fades to silence, and counts for what is later said to be lost: no gap is filled twice. A pause
//! that the far end does not send is silence, and costs nothing.

use std::time::{Duration, Instant};

use super::FRAME_MS;
use super::bus::fade;
use crate::codec::{Coding, Decoder, PACKET_MAX_MS, SAMPLES_MAX};
use crate::jitter::{Jitter, Next, Stamp, Taken};
use crate::plc::AUDIBLE_MS;

/// The stream of one member in one coding.
#[derive(Debug)]
pub(super) struct Ear {
    coding: Coding,
    jitter: Jitter,
    decoder: Decoder,
    /// Sound that was decoded and not heard yet: `waiting` samples.
    queue: Box<[i16]>,
    waiting: usize,
    /// Samples made up since the last that were received.
    made_up: usize,
    /// Nothing is heard, and what is not there is not missed.
    silent: bool,
    /// Something may wait in the jitter buffer.
    expects: bool,
    /// What comes next is another source's.
    fresh: bool,
}

/// Rate at which a coding is heard in a room: Opus has all that rooms mix at 16 kHz.
pub(super) const fn rate(coding: Coding) -> u32 {
    match coding {
        Coding::Pcmu | Coding::Pcma => 8_000,
        Coding::G722 | Coding::Opus => 16_000,
    }
}

impl Ear {
    /// `None` only where a coding has no coder at the rate of rooms: all have.
    pub(super) fn new(now: Instant, coding: Coding) -> Option<Ear> {
        let decoder = Decoder::at(coding, rate(coding)).ok()?;
        let per_ms = rate(coding) as usize / 1_000;
        // A frame less a sample, a gap and a packet, each of the longest; no decoder needs more room.
        let samples = (FRAME_MS + 2 * PACKET_MAX_MS) * per_ms;
        Some(Ear {
            coding,
            jitter: Jitter::new(coding.clock(), now),
            decoder,
            queue: vec![0; samples].into(),
            waiting: 0,
            made_up: 0,
            silent: true,
            expects: false,
            fresh: false,
        })
    }

    pub(super) fn coding(&self) -> Coding {
        self.coding
    }

    /// Samples of a frame.
    pub(super) fn frame_len(&self) -> usize {
        rate(self.coding) as usize * FRAME_MS / 1_000
    }

    /// How long what comes in time waits.
    pub(super) fn delay(&self) -> Duration {
        self.jitter.delay()
    }

    pub(super) fn push(&mut self, now: Instant, stamp: Stamp, payload: &[u8]) -> Taken {
        let taken = self.jitter.push(now, stamp, payload);
        self.expects |= matches!(taken, Taken::Kept | Taken::Restarted);
        self.fresh |= taken == Taken::Restarted;
        taken
    }

    /// The far end speaks in this coding again after it spoke in another.
    pub(super) fn again(&mut self) {
        self.jitter.begin_anew();
        (self.waiting, self.silent) = (0, true);
    }

    /// The frame of a tick; false when it is silence and nothing was written. `keys`: the far end presses
    /// one, and what is missing is its sound.
    pub(super) fn frame(&mut self, at: Instant, keys: bool, out: &mut [i16]) -> bool {
        let need = self.frame_len().min(out.len());
        if self.expects || self.waiting > 0 {
            self.fill(at, need, keys);
        }
        if self.waiting < need {
            if self.silent && self.waiting == 0 {
                self.made_up = self.made_up.saturating_add(need);
                return false;
            }
            self.make_up(need - self.waiting, keys);
        }
        out[..need].copy_from_slice(&self.queue[..need]);
        self.queue.copy_within(need..self.waiting, 0);
        self.waiting -= need;
        true
    }

    /// That was silence: a delay that is longer than it has to be may fall.
    pub(super) fn quiet(&mut self) {
        self.jitter.quiet();
    }

    /// Takes what is due until there is a frame. Each step takes a packet or fills a gap of one, so there
    /// are no more than the buffer has places for.
    fn fill(&mut self, at: Instant, need: usize, keys: bool) {
        let per_ms = rate(self.coding) as usize / 1_000;
        let clock = u64::from(self.coding.clock());
        while self.waiting < need {
            let ahead = Duration::from_micros((self.waiting * 1_000 / per_ms) as u64);
            let room = &mut self.queue[self.waiting..];
            match self.jitter.pull(at + ahead) {
                Next::Frame { payload: [], .. } => {
                    // Comfort noise: from here on silence is sent for what it is.
                    (self.silent, self.made_up) = (true, 0);
                }
                Next::Frame { payload, .. } => {
                    if std::mem::take(&mut self.fresh) {
                        self.decoder.restart();
                    }
                    let longest = room.len().min(SAMPLES_MAX);
                    if let Ok(samples) = self.decoder.decode(payload, &mut room[..longest]) {
                        self.waiting += samples;
                        (self.silent, self.made_up) = (false, 0);
                    }
                }
                Next::Lost { units, next } => {
                    let samples = u64::from(units) * u64::from(rate(self.coding)) / clock;
                    let samples = (samples as usize).min(PACKET_MAX_MS * per_ms);
                    // As much of it as a tick could not wait for has been heard.
                    let missing = samples.saturating_sub(self.made_up);
                    self.made_up = self.made_up.saturating_sub(samples);
                    let room = &mut room[..missing.min(samples)];
                    conceal(&mut self.decoder, self.silent, keys, next, room);
                    self.waiting += room.len();
                }
                Next::Wait => {
                    self.expects = !self.silent || !self.jitter.is_empty();
                    return;
                }
            }
        }
    }

    /// Nothing is due: what is missing of a frame is made up, and so is silence once that has faded.
    fn make_up(&mut self, missing: usize, keys: bool) {
        let room = &mut self.queue[self.waiting..self.waiting + missing];
        let audible = AUDIBLE_MS * rate(self.coding) as usize / 1_000;
        conceal(&mut self.decoder, self.silent, keys, None, room);
        self.made_up = self.made_up.saturating_add(missing);
        self.waiting += missing;
        self.silent |= keys || self.made_up >= audible;
    }
}

/// What may be heard in place of what is missing: nothing of what was silent, and hardly anything of a
/// key's sound.
fn conceal(decoder: &mut Decoder, silent: bool, keys: bool, next: Option<&[u8]>, room: &mut [i16]) {
    if silent {
        room.fill(0);
        return;
    }
    decoder.conceal(room.len(), next, room);
    if keys {
        fade(room, room.len() / 4, false);
    }
}
