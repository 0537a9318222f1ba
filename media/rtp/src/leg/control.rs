//! A leg's RTCP: what the far end reports, what we report, and how both ways sound by it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Leg, Refusal};
use crate::coding::Coding;
use crate::quality::{Way, delay};
use crate::rtcp::{self, FarStretch, REPORT_MAX, Report};

/// How long a packet is.
fn length((coding, span): (Coding, u32)) -> Duration {
    Duration::from_micros(u64::from(span) * 1_000_000 / u64::from(coding.clock_hz()))
}

impl Leg {
    /// Takes a packet from the RTCP port, or an RTCP packet from a shared one.
    ///
    /// # Errors
    ///
    /// Why it counts for nothing. The refusal has been counted.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let outcome = self.judge_rtcp(now, source, bytes);
        if outcome.is_err() {
            self.dropped += 1;
        }
        outcome
    }

    fn judge_rtcp(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let setup = self.setup.as_ref().ok_or(Refusal::NotReady)?;
        let target = self.latch.target().ok_or(Refusal::NotReady)?;
        if source.ip() != target.ip() && setup.remote_rtcp != Some(source) {
            self.strangers.packets += 1;
            return Err(Refusal::Source);
        }
        let (ntp, ours) = (self.clock.ntp(now), self.egress.ssrc());
        let account = &mut self.account;
        let mut reporter = None;
        let mut far = None;
        rtcp::read(bytes, |item| {
            if let rtcp::Item::Sender { ssrc, .. } | rtcp::Item::Receiver { ssrc } = item {
                reporter = Some(ssrc);
            }
            far = account.note(now, ntp, ours, &item).or(far);
        })
        .map_err(|_| Refusal::Malformed)?;
        if let Some(far) = far {
            self.quality.told_loss = Some(self.account.far_loss());
            self.score_said(&far);
        }
        // Symmetric RTCP: a NAT may have moved its port too.
        if reporter.is_some() && reporter == self.reception.ssrc() {
            self.rtcp_source = Some(source);
        }
        Ok(())
    }

    /// The loss that the far end's newest report tells of, in 1/256; once.
    pub fn told_loss(&mut self) -> Option<u8> {
        self.quality.told_loss.take()
    }

    /// What the far end heard of us.
    fn score_said(&mut self, far: &FarStretch) {
        let Some(said) = self.quality.said else { return };
        let jitter = u64::from(far.jitter).saturating_mul(1_000_000) / u64::from(said.0.clock_hz());
        let jitter = Duration::from_micros(jitter);
        self.quality.far_jitter_max = self.quality.far_jitter_max.max(jitter);
        let round_trip = self.account.round_trip().unwrap_or_default();
        let loss = crate::quality::float(far.lost) / crate::quality::float(far.expected.max(1));
        let way = Way {
            coding: said.0,
            delay: delay(round_trip, length(said), jitter),
            loss,
            burst: 1.0,
        };
        self.quality.said_scores.add(far.expected, way.mos());
    }

    /// What we heard since the last time.
    fn score_heard(&mut self) {
        let stretch = self.reception.stretch();
        let Some(heard) = self.quality.heard.filter(|_| stretch.expected > 0) else { return };
        let round_trip = self.account.round_trip().unwrap_or_default();
        let loss = crate::quality::float(stretch.missed) / crate::quality::float(stretch.expected);
        let delay = delay(round_trip, length(heard), stretch.jitter);
        let way = Way { coding: heard.0, delay, loss, burst: stretch.burst };
        self.quality.heard_scores.add(stretch.expected, way.mos());
    }

    /// Writes the report that is due now, and says where it goes. `bye` ends the stream.
    ///
    /// `None` while nobody has agreed to anything, or nothing was sent nor heard.
    pub fn report(
        &mut self,
        now: Instant,
        bye: bool,
        out: &mut [u8; REPORT_MAX],
    ) -> Option<(usize, SocketAddr)> {
        self.score_heard();
        let to = self.rtcp_target()?;
        let sent = self.egress.packets();
        let sending = sent > self.sent_before[0];
        self.sent_before = [self.sent_before[1], sent];
        let sender = if sending { self.egress.sender_info(now, self.clock.ntp(now)) } else { None };
        let (last_sr, delay) = self.account.echo(now);
        let block = self.reception.report(last_sr, delay);
        // Who never sent anything does not say goodbye (RFC 3550 §6.3.7).
        if sender.is_none() && block.is_none() && !(bye && sent > 0) {
            return None;
        }
        let report = Report { ssrc: self.egress.ssrc(), sender, block, cname: &self.cname, bye };
        Some((report.write(out), to))
    }

    fn rtcp_target(&self) -> Option<SocketAddr> {
        let setup = self.setup.as_ref()?;
        let target = self.latch.target()?;
        if setup.remote.ip().is_unspecified() || setup.remote.port() == 0 {
            return None;
        }
        if setup.rtcp_mux {
            return Some(target);
        }
        if let Some(source) = self.rtcp_source {
            return Some(source);
        }
        let next = SocketAddr::new(target.ip(), target.port().checked_add(1)?);
        // What was signalled holds as long as the RTP comes from where it was signalled.
        Some(if target == setup.remote { setup.remote_rtcp.unwrap_or(next) } else { next })
    }
}
