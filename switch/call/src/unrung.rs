//! Who was to be rung in a call that goes on without him, and is not: no leg tells of him, so the call does.

use facts::{Failure, LegNo, Unrung};

use crate::call::{Call, Phase};
use crate::event::{Input, LegEvent};
use crate::flow::Flow;
use crate::world::World;

impl Call {
    /// Notes it where an input says so, before the program hears of it: afterwards nobody knows who it was.
    pub(crate) fn note_unrung(&mut self, w: &mut World, input: Input) {
        let Some((leg, as_sent, failure)) = self.not_rung(input) else { return };
        let unrung = Unrung { leg, as_sent, at: self.clock(w.now.mono), failure };
        self.trace.unrung(w, self.unrung.len(), &unrung);
        self.unrung.push(unrung);
    }

    /// What is known of somebody who had this leg, and whom nobody rang.
    pub(crate) fn unrung(&self, no: LegNo) -> Option<&Unrung> {
        self.unrung.iter().find(|unrung| unrung.leg == no)
    }

    fn not_rung(&self, input: Input) -> Option<(LegNo, String, Failure)> {
        if !matches!(self.phase, Phase::Live) {
            return None;
        }
        let failed = match input {
            Input::Leg(no, LegEvent::Failed(failure)) => Some((no, failure)),
            _ => None,
        };
        let failed = failed.filter(|(no, _)| self.leg(*no).is_none_or(|leg| !leg.attempted));
        match self.plan.flow {
            // Without its creator there is none, and what became of him is what became of the call.
            Flow::Conference(conference) => {
                let (no, failure) = failed.filter(|(no, _)| *no != LegNo::A)?;
                let as_sent = self.wanted_as(no).filter(|_| conference.awaits(no))?;
                Some((no, as_sent.to_owned(), failure))
            }
            Flow::Script(script) => {
                let next = u8::try_from(self.legs.len()).map(LegNo);
                if let (Some(failure), Ok(next)) = (script.in_vain(input), next) {
                    let scenario = self.command.scenario.as_deref()?;
                    return Some((next, script.leads_to(scenario).to_owned(), failure));
                }
                let (no, failure) = failed.filter(|(no, _)| script.rings() == Some(*no))?;
                let wanted = self.transfer.as_ref().filter(|wanted| wanted.to == no)?;
                Some((no, wanted.called.as_sent.clone(), failure))
            }
            _ => None,
        }
    }
}
