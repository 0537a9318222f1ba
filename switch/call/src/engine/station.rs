//! What extensions are at, for those who count on them.

use facts::LegId;
use facts::station::{Stage, Station, StationCall};

use super::Engine;
use crate::leg::Leg;

impl Engine {
    /// An extension, and its calls: read off live legs and sessions, as groups do before they ring it.
    pub(super) fn station(&self, extension: String) -> Station {
        let world = &self.world;
        let calls = world.agents.legs(&extension).filter_map(|leg| self.station_call(leg));
        Station {
            registered: world.registrar.registered(&extension),
            calls: calls.collect(),
            fades: world.agents.fades(&extension),
            quiet: world.snapshot.extensions.get(&extension).is_some_and(|ext| ext.reach.dnd),
            rests: world.agents.rests(&extension, world.now.mono),
            idle_since: world
                .agents
                .last_end(&extension)
                .map(|at| world.now.wall - world.now.mono.saturating_duration_since(at)),
            extension,
        }
    }

    fn station_call(&self, id: LegId) -> Option<StationCall> {
        let call = self.calls.get(&id.call)?;
        let leg = call.leg(id.no)?;
        let seat = call.supervised_by(id.no);
        let other =
            call.leg(seat.unwrap_or_else(|| call.other(id.no))).filter(|other| !other.is_over());
        // Who calls is up before anybody has answered him, and so is who is called back first.
        let stage = match (leg.is_up(), other.map(Leg::is_up)) {
            (true, Some(true)) => Stage::Talks,
            (true, None) if !leg.is_inbound() => Stage::Talks,
            (true, Some(false)) => Stage::Dials,
            _ if leg.is_inbound() => Stage::Dials,
            _ => Stage::Rings,
        };
        let since = leg.facts.answered.filter(|_| stage == Stage::Talks);
        Some(StationCall {
            call: id.call,
            leg: id.no,
            stage,
            since: since.unwrap_or(leg.facts.invited),
            other: other.map(|other| other.facts.as_sent.clone()).unwrap_or_default(),
            other_shown: other.map(|other| other.facts.shown.clone()).unwrap_or_default(),
            shown: leg.facts.shown.clone(),
            called_in: call.is_inbound() && !leg.is_inbound(),
            supervises: seat.is_some(),
        })
    }
}
