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
use super::order;
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
    loss: Expected,
}

/// What a far end loses of what it is sent, as far as its coder is to prepare for it.
///
/// Copies of packets take bits from the sound, so it is not done at the first lost packet and not given up at the first
/// good report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Expected {
    percent: u8,
    /// Good reports in a row.
    calm: u8,
}

impl Expected {
    /// A report of the far end, in 1/256 (RFC 3550 §6.4.1). True when it changes what is expected.
    fn told(&mut self, loss: u8) -> bool {
        let before = self.percent;
        let percent = (u32::from(loss) * 100 / 256) as u8;
        if percent >= PREPARE_PERCENT {
            // Between what was and what is: one bad report is no measure.
            let known = if before == 0 { percent } else { before.midpoint(percent) };
            (self.percent, self.calm) = (known.max(PREPARE_PERCENT), 0);
        } else if percent >= CALM_PERCENT {
            self.calm = 0;
        } else {
            self.calm = (self.calm + 1).min(CALM_REPORTS);
            if self.calm == CALM_REPORTS {
                self.percent = 0;
            }
        }
        self.percent != before
    }
}

/// From here on copies are sent: as [decision 0050](../../../docs/decisions/0050-opus.md) has it.
const PREPARE_PERCENT: u8 = 3;
/// Below this a report is good.
const CALM_PERCENT: u8 = 1;
/// So many in a row, some fifteen seconds, end it.
const CALM_REPORTS: u8 = 3;

#[derive(Debug)]
struct Coder {
    from: Coding,
    to: Coding,
    ptime_ms: u8,
    transcoder: Transcoder,
}

impl Coders {
    /// The far end reports what it loses: all that is coded for it prepares.
    pub(super) fn told_loss(&mut self, loss: u8) {
        if self.loss.told(loss) {
            for coder in &mut self.coders {
                coder.transcoder.expect_loss(self.loss.percent);
            }
        }
    }

    /// The one for this pair, with packets of this length or the next shorter one that there is.
    fn of(&mut self, from: Coding, to: Coding, ptime_ms: u8) -> Option<&mut Transcoder> {
        let fits = |coder: &Coder| (coder.from, coder.to) == (from, to);
        let known = self.coders.iter().position(fits);
        let at = match known {
            Some(at) if self.coders[at].ptime_ms == ptime_ms => at,
            _ if known.is_none() && self.coders.len() == CODERS_MAX => return None,
            _ => {
                let mut transcoder = transcoder(from, to, ptime_ms)?;
                transcoder.expect_loss(self.loss.percent);
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
pub(super) fn prepare(now: Instant, speaker: &mut Seat, listener: &mut Seat) {
    let Some(from) = speaker.leg.agreed().and_then(|setup| setup.receive.audio.first()) else {
        return;
    };
    let to = listener.leg.agreed().and_then(|setup| setup.send.nearest(from.1));
    let Some((_, to)) = to.filter(|to| to.1 != from.1 && !to.1.by_table(from.1)) else { return };
    listener.coders.of(from.1, to, listener.ptime_ms);
    order::prepare(now, speaker);
}

/// Takes a packet's sound and sends what comes of it.
pub(super) fn carry(
    now: Instant,
    listener: &mut Seat,
    recode: Recode,
    payload: &[u8],
    tally: &mut Tally,
) {
    let Recode { from, to, lost, fresh } = recode;
    let Seat { leg, sockets, guard, coders, ptime_ms, .. } = listener;
    let Some(coder) = coders.of(from, to, *ptime_ms) else { return };
    if fresh {
        coder.restart();
    }
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
        let Ok(to) = leg.generate(now, to, (span, octets), &mut packet[..len]) else { continue };
        guard::send(&sockets.rtp, guard.as_mut(), (&mut packet, len), to, tally);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7587_3_1_1_copies_are_sent_while_the_far_end_loses_and_end_with_three_good_reports() {
        let mut loss = Expected::default();
        let mut after = |report: u8| {
            loss.told(report);
            loss.percent
        };
        // 1 and 2 % are too little to begin with.
        assert_eq!([0, 3, 7].map(&mut after), [0, 0, 0]);
        assert_eq!(after(26), 10, "10 %");
        assert_eq!(after(13), 7, "half way to 5 %");
        // 2 % is too much to end with; so are two good reports.
        assert_eq!([7, 0, 0, 6, 0, 0].map(&mut after), [7; 6]);
        assert_eq!(after(2), 0, "the third");
        assert_eq!(after(255), 99);
        assert_eq!(after(8), 51);
    }

    #[test]
    fn rfc6716_2_1_7_what_is_told_reaches_the_coders_that_are_there_and_those_to_come() {
        let size = |coders: &mut Coders| {
            let coder = coders.of(Coding::Pcmu, Coding::Opus, 20).unwrap();
            let (mut total, mut out) = (0, [0; OCTETS_MAX]);
            for n in 0..50_u32 {
                let sound: Vec<u8> = (0..160).map(|i| ((n * 160 + i) * 37 % 251) as u8).collect();
                coder.push(&sound).unwrap();
                total += coder.pull(&mut out).unwrap().0;
            }
            (total, out)
        };
        let (mut calm, mut before, mut after) =
            (Coders::default(), Coders::default(), Coders::default());
        // The far end tells before there is a coder, and after.
        before.told_loss(51);
        let _ = size(&mut after);
        after.told_loss(51);
        let calm = size(&mut calm).1;
        assert_ne!(size(&mut before).1, calm);
        assert_ne!(size(&mut after).1, calm);
    }
}
