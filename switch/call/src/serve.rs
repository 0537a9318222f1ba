//! What is done for somebody who calls nobody, above all what an extension dials to have something done. What changes
//! what becomes of its calls is read here, the store writes it down, and the settings that it makes come by the way of
//! all settings. What is in its mailbox is in [`crate::voicemail`].

use facts::settings::Snapshot;
use facts::{Feature, Features, Kind, LeadsTo, Number, ReachSet};

use crate::call::Call;
use crate::event::{Effect, Input, Order};
use crate::flow::{Flow, Listen, Serve, Tell};
use crate::timers::{Key, Timer};
use crate::world::World;

/// What is done for somebody who calls nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// A change of what becomes of the calls of an extension.
    Reach { user: String, set: ReachSet },
    /// What the mailbox of an extension holds.
    Mailbox { user: String },
    /// He has called a number by which he reaches nobody, and hears so.
    Unreached,
}

/// What somebody asks the store for by what was dialled, if it is that.
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
        Feature::Voicemail => return Some(Ok(Service::Mailbox { user: user.to_owned() })),
        Feature::DndOn => Ok(ReachSet::Dnd(true)),
        Feature::DndOff => Ok(ReachSet::Dnd(false)),
        Feature::AlwaysOn => to().map(ReachSet::Always),
        Feature::AlwaysOff => Ok(ReachSet::Always(None)),
        Feature::BusyOn => to().map(ReachSet::Busy),
        Feature::BusyOff => Ok(ReachSet::Busy(None)),
        Feature::NoAnswerOn => to().map(ReachSet::NoAnswer),
        Feature::NoAnswerOff => Ok(ReachSet::NoAnswer(None)),
    };
    Some(set.map(|set| Service::Reach { user: user.to_owned(), set }))
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
    /// True when all that A wants is that the store writes something down.
    pub(crate) fn changes_settings(&self) -> bool {
        let wants = matches!(self.service, Some(Service::Reach { .. }));
        wants || matches!(self.plan.flow, Flow::Serve(_))
    }

    /// Asks the store.
    pub(crate) fn serve(&mut self, w: &mut World) {
        let Some(service) = self.service.clone() else { return };
        self.await_store(w);
        let call = self.id;
        w.emit(match service {
            Service::Reach { user, set } => Effect::SetReach { call, user, set },
            Service::Mailbox { user } => Effect::FetchMail { call, user },
            // The store has no part in it.
            Service::Unreached => return,
        });
    }

    /// The store has so long to answer.
    pub(crate) fn await_store(&self, w: &mut World) {
        w.timers.set(Key::call(self.id, Timer::Serve), w.now.mono + w.config.authorize);
    }

    /// The store has answered, or takes too long; only the first counts.
    pub(crate) fn served(&mut self, w: &mut World, done: bool) {
        w.timers.cancel(Key::call(self.id, Timer::Serve));
        if self.service.take().is_some() {
            self.feed(w, Input::Served(done));
        }
    }

    /// The store takes too long.
    pub(crate) fn not_served(&mut self, w: &mut World) {
        match self.service {
            Some(Service::Reach { .. }) => self.served(w, false),
            Some(Service::Mailbox { .. } | Service::Unreached) | None => self.mail_away(w),
        }
    }

    /// The program of a call by which A asks for something, and calls nobody.
    pub(crate) fn service_flow(&self, orders: &mut Vec<Order>) -> Option<Flow> {
        Some(match self.service.as_ref()? {
            Service::Reach { .. } => Flow::Serve(Serve::start(orders)),
            Service::Mailbox { .. } => Flow::Listen(Listen::start(orders)),
            Service::Unreached => Flow::Tell(Tell::start(orders)),
        })
    }
}
