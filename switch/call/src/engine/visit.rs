//! Calls that their scenarios lead into conferences: which one, and whether it lets them in.

use facts::scenario::Step;
use facts::{CallId, Kind, LegId};

use crate::call::Call;

use super::Engine;

impl Engine {
    /// A step leads into a conference.
    pub(super) fn visit(&mut self, id: CallId, step: u8) {
        if let Err(why) = self.let_in(id, step) {
            self.on_call(id, |call, w| call.not_tied(w, why));
        }
    }

    /// The conference of the same account that has this number now, in this process.
    fn host(&self, visitor: &Call, number: &str) -> Option<CallId> {
        let id = *self.conferences.get(number)?;
        let host = self.calls.get(&id)?;
        let (asks, has) = (&visitor.command, &host.command);
        let same = asks.merchant == has.merchant && asks.dialect == has.dialect;
        (same && asks.app == has.app).then_some(id)
    }

    /// Opens a port of either call, where the conference has room and nobody has locked it.
    fn let_in(&mut self, id: CallId, step: u8) -> Result<(), Kind> {
        let call = self.calls.get(&id).ok_or(Kind::Internal)?;
        let step = call.command.scenario.as_ref().and_then(|scenario| scenario.step(step));
        let Some(Step::Confer { conference, .. }) = step else { return Err(Kind::Internal) };
        let visitor = call.visitor().ok_or(Kind::NotAcceptable)?;
        let (codec, no) = (visitor.codec, call.next_leg().ok_or(Kind::Congestion)?);
        let own = LegId::new(id, no);
        let host = self.host(call, conference).ok_or(Kind::NoRoute)?;
        let hosts = self.calls.get_mut(&host).ok_or(Kind::NoRoute)?;
        let theirs = LegId::new(host, hosts.let_in(visitor)?);
        self.on_call(host, |call, w| call.open_tie(w, theirs.no, own, codec));
        self.on_call(id, |call, w| {
            call.legs.push(None);
            call.open_tie(w, own.no, theirs, codec);
        });
        Ok(())
    }

    /// The port of one end is there: when the other one is too, they speak to each other.
    pub(super) fn tie(&mut self, leg: LegId) {
        let end = |leg: LegId| self.calls.get(&leg.call)?.tie_waits(leg.no);
        let Some((to, here)) = end(leg) else { return };
        let Some((_, there)) = end(to) else { return };
        self.on_call(leg.call, |call, w| call.tied(w, leg.no, there));
        self.on_call(to.call, |call, w| call.tied(w, to.no, here));
    }
}
