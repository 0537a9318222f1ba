//! What an extension dials to change what becomes of its calls: the code is read here, the store writes it down,
//! and the settings that it makes come by the way of all settings.

use facts::settings::Snapshot;
use facts::{Feature, Features, Kind, LeadsTo, LegNo, Number, ReachSet};

use crate::call::Call;
use crate::event::{Effect, Input};
use crate::timers::{Key, Timer};
use crate::world::World;

/// A change that the store is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Service {
    pub(crate) user: String,
    pub(crate) set: ReachSet,
}

/// The change that somebody dialled, if it is one.
///
/// # Errors
/// When the number behind the code is none that a call can be led on to.
pub(crate) fn dialled(
    snapshot: &Snapshot,
    features: &Features,
    (user, dialled): (&str, &str),
) -> Option<Result<Service, Kind>> {
    let (feature, rest) = features.read(dialled)?;
    let to = || leads_to(snapshot, user, rest).map(Some);
    let set = match feature {
        Feature::Pickup | Feature::Park | Feature::Retrieve => return None,
        Feature::DndOn => Ok(ReachSet::Dnd(true)),
        Feature::DndOff => Ok(ReachSet::Dnd(false)),
        Feature::AlwaysOn => to().map(ReachSet::Always),
        Feature::AlwaysOff => Ok(ReachSet::Always(None)),
        Feature::BusyOn => to().map(ReachSet::Busy),
        Feature::BusyOff => Ok(ReachSet::Busy(None)),
        Feature::NoAnswerOn => to().map(ReachSet::NoAnswer),
        Feature::NoAnswerOff => Ok(ReachSet::NoAnswer(None)),
    };
    Some(set.map(|set| Service { user: user.to_owned(), set }))
}

/// An extension or a group that there is, or a public number; not the extension itself.
fn leads_to(snapshot: &Snapshot, user: &str, digits: &str) -> Result<LeadsTo, Kind> {
    if digits == user {
        return Err(Kind::InvalidNumber);
    }
    if snapshot.extensions.contains_key(digits) || snapshot.groups.contains_key(digits) {
        return Ok(LeadsTo::Internal(digits.to_owned()));
    }
    match snapshot.plan.parse(digits) {
        Ok(Number::E164(digits)) => Ok(LeadsTo::Public(digits)),
        Ok(Number::Short(_) | Number::Internal(_)) => Err(Kind::Unallocated),
        Err(_) => Err(Kind::InvalidNumber),
    }
}

impl Call {
    /// Asks the store.
    pub(crate) fn serve(&mut self, w: &mut World) {
        let Some(Service { user, set }) = self.service.clone() else { return };
        w.timers.set(Key::call(self.id, Timer::Serve), w.now.mono + w.config.authorize);
        w.emit(Effect::SetReach { call: self.id, user, set });
    }

    /// The store has answered, or takes too long; only the first counts.
    pub(crate) fn served(&mut self, w: &mut World, done: bool) {
        w.timers.cancel(Key::call(self.id, Timer::Serve));
        if self.service.take().is_some() {
            self.feed(w, Input::Served(done));
        }
    }

    /// What an inbound call does first.
    pub(crate) fn is_service(&self) -> bool {
        self.service.is_some() && self.leg(LegNo::A).is_some()
    }
}
