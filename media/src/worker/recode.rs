//! Sound that one leg's far end speaks and the other's does not: decoded and coded anew.
//!
//! One rule for what is missing: a gap of up to a tenth of a second is filled by what the decoder makes
//! up (in Opus by the copy that the next packet brings), and the listener's numbers go on without a gap;
//! a longer one, like silence that was not sent, is a pause, after which the timestamps have gone on. What
//! comes after it was made up for is not sent.

use std::time::Instant;

use audio::codec::{OCTETS_MAX, Transcoder};
use rtp::packet::HEADER_LEN;
use rtp::srtp::TRAILER_MAX;
use rtp::{Coding, Recode};

use super::guard;
use super::seat::Seat;
use crate::counters::Tally;
use crate::translate;

/// Pairs of codings that a leg is spoken to in at most: more than there are.
const CODERS_MAX: usize = 16;

/// The coders of what a leg hears. Made once for each pair of codings, when the legs are joined or the
/// far end goes over to another one.
#[derive(Debug, Default)]
pub(crate) struct Coders {
    coders: Vec<Coder>,
}

#[derive(Debug)]
struct Coder {
    from: Coding,
    to: Coding,
    ptime_ms: u8,
    transcoder: Transcoder,
}

impl Coders {
    /// The one for this pair, with packets of this length or the next shorter one that there is.
    fn of(&mut self, from: Coding, to: Coding, ptime_ms: u8) -> Option<&mut Transcoder> {
        let fits = |coder: &Coder| (coder.from, coder.to) == (from, to);
        let known = self.coders.iter().position(fits);
        let at = match known {
            Some(at) if self.coders[at].ptime_ms == ptime_ms => at,
            _ if known.is_none() && self.coders.len() == CODERS_MAX => return None,
            _ => {
                let transcoder = transcoder(from, to, ptime_ms)?;
                let coder = Coder { from, to, ptime_ms, transcoder };
                let at = known.unwrap_or(self.coders.len());
                match self.coders.get_mut(at) {
                    Some(old) => *old = coder,
                    None => self.coders.push(coder),
                }
                at
            }
        };
        self.coders.get_mut(at).map(|coder| &mut coder.transcoder)
    }
}

fn transcoder(from: Coding, to: Coding, ptime_ms: u8) -> Option<Transcoder> {
    let (from, to) = (translate::coder(from)?, translate::coder(to)?);
    // RFC 3551 §4.2: how long a packet is, is up to us; what they asked for is a wish.
    let ptime_ms = (10..=ptime_ms).rev().find(|ms| to.packs(*ms)).unwrap_or(USUAL_MS);
    Transcoder::new(from, to, ptime_ms).ok()
}

/// RFC 3551 §4.2.
const USUAL_MS: u8 = 20;

/// Makes what will be needed when a leg is heard by another one, so that its first packet does not wait.
pub(super) fn prepare(speaker: &Seat, listener: &mut Seat) {
    let Some(from) = speaker.leg.agreed().and_then(|setup| setup.receive.audio.first()) else {
        return;
    };
    let to = listener.leg.agreed().and_then(|setup| setup.send.nearest(from.1));
    let Some((_, to)) = to.filter(|to| to.1 != from.1 && !to.1.by_table(from.1)) else { return };
    listener.coders.of(from.1, to, listener.ptime_ms);
}

/// Takes a packet's sound and sends what comes of it.
pub(super) fn carry(
    now: Instant,
    listener: &mut Seat,
    recode: Recode,
    payload: &[u8],
    tally: &mut Tally,
) {
    let Recode { from, to, lost, fresh: _ } = recode;
    let Seat { leg, sockets, guard, coders, ptime_ms, .. } = listener;
    let Some(coder) = coders.of(from, to, *ptime_ms) else { return };
    if lost > 0 {
        coder.lost(lost, Some(payload));
    }
    if coder.push(payload).is_err() {
        // What cannot be decoded is as good as lost.
        coder.lost(from.span(payload), None);
    }
    let mut packet = [0; HEADER_LEN + OCTETS_MAX + TRAILER_MAX];
    while let Some((octets, span)) = coder.pull(&mut packet[HEADER_LEN..HEADER_LEN + OCTETS_MAX]) {
        let len = HEADER_LEN + octets;
        let Ok(to) = leg.recoded(now, to, (span, octets), &mut packet[..len]) else { continue };
        guard::send(&sockets.rtp, guard.as_mut(), (&mut packet, len), to, tally);
    }
}
