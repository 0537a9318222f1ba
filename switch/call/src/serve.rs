//! What is done for somebody who calls nobody, above all what an extension dials to have something done. What changes
//! what becomes of its calls is read here, the store writes it down, and the settings that it makes come by the way of
//! all settings. What is in its mailbox is in [`crate::voicemail`].

use std::time::Duration;

use facts::media::Source;
use facts::settings::Snapshot;
use facts::speech::Speech;
use facts::ussd::{self, Dialled};
use facts::{Feature, Features, Kind, LeadsTo, LegNo, Number, ReachSet};

use crate::call::Call;
use crate::event::{Effect, Input, MenuWish, Order};
use crate::flow::{Flow, Listen, Menu, Serve, Tell};
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
    /// He has called the code of a menu.
    Menu {
        /// His extension, where he has one.
        user: Option<String>,
        /// What he has dialled.
        dialled: Dialled,
        /// Who he is: E.164 digits.
        mobile: String,
    },
}

/// No key for so long: what was typed is handed on.
const TYPING: Duration = Duration::from_secs(4);

/// The code of a menu that this begins with, if it does.
pub(crate) fn menu(snapshot: &Snapshot, dialled: &str) -> Option<Dialled> {
    let dialled = Dialled::parse(dialled)?;
    ussd::longest(&snapshot.ussd, &dialled)?;
    Some(dialled)
}

/// The menu that an extension calls, if it does.
///
/// # Errors
/// Its number is not known: pages are told who asks.
fn menu_of(snapshot: &Snapshot, (user, dialled): (&str, &str)) -> Option<Result<Service, Kind>> {
    let dialled = menu(snapshot, dialled)?;
    let own = snapshot.extensions.get(user).and_then(|own| own.bound_phone.clone());
    let mobile = match own.map(Number::public) {
        Some(Number::E164(digits)) => digits,
        _ => return Some(Err(Kind::Forbidden)),
    };
    Some(Ok(Service::Menu { user: Some(user.to_owned()), dialled, mobile }))
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
    let Some((feature, rest)) = features.read(dialled) else {
        return menu_of(snapshot, (user, dialled));
    };
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
        if matches!(service, Service::Reach { .. } | Service::Mailbox { .. }) {
            self.await_store(w);
        }
        let call = self.id;
        w.emit(match service {
            Service::Reach { user, set } => Effect::SetReach { call, user, set },
            Service::Mailbox { user } => Effect::FetchMail { call, user },
            Service::Menu { .. } => return w.menu_wishes.push_back((call, MenuWish::Open)),
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
            Some(Service::Mailbox { .. } | Service::Unreached | Service::Menu { .. }) | None => {
                self.mail_away(w);
            }
        }
    }

    /// The program of a call by which A asks for something, and calls nobody.
    pub(crate) fn service_flow(&self, orders: &mut Vec<Order>) -> Option<Flow> {
        Some(match self.service.as_ref()? {
            Service::Reach { .. } => Flow::Serve(Serve::start(orders)),
            Service::Mailbox { .. } => Flow::Listen(Listen::start(orders)),
            Service::Unreached => Flow::Tell(Tell::start(orders)),
            Service::Menu { .. } => Flow::Menu(Menu::start(orders)),
        })
    }

    /// A hears what there is to see of its menu, in the menu's language.
    pub(crate) fn say_screen(&mut self, w: &mut World) {
        // Whose menu it is, whoever's call this is.
        let menu = match &self.service {
            Some(Service::Menu { dialled, .. }) => ussd::longest(&w.snapshot.ussd, dialled),
            _ => None,
        };
        let merchant = menu.map_or(self.command.merchant, |code| code.merchant);
        let text = self.screen.take().unwrap_or_default();
        let speech = Speech::new(merchant, &self.plan.language, &text);
        self.with(LegNo::A, |leg, _| leg.hear_once(w, Source::Url(speech.to_string())));
    }

    /// Keys of A are waited for, or not any more.
    pub(crate) fn typing(&self, w: &mut World, on: bool) {
        let key = Key::call(self.id, Timer::Wait);
        match on {
            true => w.timers.set(key, w.now.mono + TYPING),
            false => w.timers.cancel(key),
        }
    }
}
