//! A leg that is up: its session timer, the paid time, silence, the end.

use std::time::Duration;

use facts::ledger::{Extend, Extended};
use facts::{Failure, Kind, Origin, Side};
use sip::endpoint::{EndCause, SessionId};
use sip::wire::Reason;

use crate::config::{WARNING_MAX, WARNING_MIN};
use crate::credit::{ASK_AGAIN, HOPE_AGAIN};
use crate::event::{Effect, LegEvent};
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use super::{Leg, Port, Stage};

/// The silence of a leg that never spoke is counted from its description, which follows the answer at once.
const NO_WORD: Duration = Duration::from_millis(250);

impl Leg {
    /// The session timer wants a re-INVITE: the description of before (RFC 4028 §7.4).
    pub(crate) fn refresh(&mut self, w: &mut World, session: SessionId) {
        if let (true, Port::Open(local)) = (self.session == Some(session), self.port) {
            let takes = self.takes();
            let offer = self.audio.offer_again(local, &takes);
            w.endpoint.reinvite(w.now.mono, session, offer);
        }
    }

    /// The session was refreshed: its target, where a BYE has to go, may have moved (RFC 3261 §12.2), and
    /// its numbers went on.
    pub(crate) fn refreshed(&mut self, w: &mut World, session: SessionId) {
        if self.is_up() && self.session == Some(session) {
            self.journal(w);
        }
    }

    /// The peer's BYE, or a dialog that is gone.
    pub(crate) fn ended(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        session: SessionId,
        (cause, reason): (EndCause, Option<&Reason>),
    ) -> Option<LegEvent> {
        if self.session != Some(session) {
            return None;
        }
        self.session = None;
        if self.is_over() {
            return None;
        }
        if let Some(reason) = reason.filter(|reason| reason.is_q850()) {
            self.facts.q850 = reason.cause.and_then(|cause| u8::try_from(cause).ok());
        }
        if cause == EndCause::Bye {
            self.said = reason.cloned();
            let ended = trace.wall(w.now.mono);
            self.down(w, trace, ended, self.side, None);
            return Some(LegEvent::HungUp);
        }
        let origin = self.origin();
        Some(LegEvent::Lost(self.lost(w, trace, Kind::LostDialog, origin)))
    }

    /// No RTP for too long: a lost BYE or a dead phone. Billed to the last packet.
    pub(crate) fn silent(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        since: Duration,
    ) -> Option<LegEvent> {
        let (Stage::Up, Some(session)) = (&self.stage, self.session) else {
            return None;
        };
        let row = Kind::MediaSilence.row();
        let reason = Reason::q850(u16::from(row.q850), row.label);
        w.end(session, Some(reason));
        let failure = Failure::new(Origin::Media, Kind::MediaSilence);
        // A leg that never spoke has no last word: its carrier charges until our BYE, and so do we.
        let cut = trace.wall(w.now.mono);
        let spoke = cut - since;
        let never = self.facts.answered.is_none_or(|answered| spoke <= answered + NO_WORD);
        let ended = if never { cut } else { spoke };
        self.down(w, trace, ended, Side::Platform, Some(failure));
        Some(LegEvent::Lost(failure))
    }

    /// Sets the deadlines of the paid time.
    pub(super) fn arm(&mut self, w: &mut World) {
        let Some(answered) = self.answered_at.filter(|_| self.is_up()) else {
            return;
        };
        let plan = self.credit.schedule(w.config.warning.clamp(WARNING_MIN, WARNING_MAX));
        let warn = plan.warn.filter(|_| !self.warned);
        for (timer, after) in
            [(Timer::Extend, plan.extend), (Timer::Warn, warn), (Timer::Paid, plan.cut)]
        {
            let key = Key::leg(self.id, timer);
            match after {
                Some(after) => w.timers.set(key, answered + after),
                None => w.timers.cancel(key),
            }
        }
    }

    /// Time to pay for more.
    pub(crate) fn extend(&mut self, w: &mut World, trace: &Trace) {
        if self.is_up() {
            let step = self.credit.ask();
            let at = trace.wall(w.now.mono);
            w.emit(Effect::Extend(Extend { leg: self.id, step, at }));
        }
    }

    /// The ledger answered.
    pub(crate) fn extended(&mut self, w: &mut World, step: u32, answer: Extended) {
        if self.credit.answered(step, answer) {
            let more = self.facts.paid_until != self.credit.paid();
            self.facts.paid_until = self.credit.paid();
            if self.is_up() && more {
                self.warned = false;
                self.journal(w);
            }
            self.arm(w);
            if self.is_up() && self.credit.is_hopeful() {
                w.timers.set(Key::leg(self.id, Timer::Extend), w.now.mono + HOPE_AGAIN);
            }
        }
    }

    /// The ledger could not be asked: once more, a little later; the paid time does not wait.
    pub(crate) fn extend_failed(&mut self, w: &mut World, step: u32) {
        if self.is_up() && self.credit.awaits(step) {
            w.timers.set(Key::leg(self.id, Timer::Extend), w.now.mono + ASK_AGAIN);
        }
    }

    /// The beep before the end of the paid time is due; once.
    pub(crate) fn warn(&mut self) -> bool {
        self.is_up() && !std::mem::replace(&mut self.warned, true)
    }
}
