//! Carriers at which we register and whose health we watch. A table of small states; what they ask for
//! is sent by the engine.

mod addresses;
mod health;
mod registration;
mod throttle;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use facts::carrier::{self, HealthStatus, RegistrationStatus};
use facts::settings::{Snapshot, Transport, Trunk, TrunkCredentials};
use facts::{NextHop, TrunkId};
use sip::endpoint::RequestOutId;
use sip::wire::{Message, NameAddr, Uri};

use crate::event::CarrierChange;
pub(crate) use addresses::Addresses;
use health::Health;
pub(crate) use registration::Ask;
use registration::{Heard, Registration};
pub(crate) use throttle::Throttle;

/// First requests to many carriers are spread over this.
const SPREAD: Duration = Duration::from_secs(2);
/// Pause before a request to a carrier whose name has no address.
const UNSENT: Duration = Duration::from_secs(2);

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Purpose {
    Register,
    /// Its answer is not waited for by anybody.
    Leave,
    Probe,
}

/// A request that the engine is to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// REGISTER, or with 0 seconds the end of it.
    Register(Ask),
    /// OPTIONS.
    Probe,
}

/// A request of ours that waits for its answer.
#[derive(Debug)]
struct Asked {
    trunk: TrunkId,
    generation: u64,
    purpose: Purpose,
    contact: Option<Uri>,
    /// Where it went.
    remote: SocketAddr,
}

/// What a carrier is reached by and knows us by: when it changes, what we knew of it is void.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    target: NextHop,
    transport: Transport,
    domain: String,
    credentials: Option<TrunkCredentials>,
}

impl Place {
    fn of(trunk: &Trunk) -> Place {
        Place {
            target: trunk.target.clone(),
            transport: trunk.transport,
            domain: trunk.domain.clone(),
            credentials: trunk.credentials.clone(),
        }
    }
}

#[derive(Debug)]
struct Row {
    place: Place,
    /// Tells this row from an earlier one of the same trunk: an answer to that one is none to this.
    generation: u64,
    registration: Option<Registration>,
    health: Option<Health>,
    /// Where the last OPTIONS went.
    probed: Option<SocketAddr>,
    /// The entry of this row in the schedule.
    due: Option<Instant>,
}

impl Row {
    fn wish(&self) -> Option<&carrier::Registration> {
        self.registration.as_ref().map(|registration| &registration.wish)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Carriers {
    rows: BTreeMap<TrunkId, Row>,
    asked: BTreeMap<RequestOutId, Asked>,
    schedule: BTreeSet<(Instant, TrunkId)>,
    generations: u64,
}

impl Carriers {
    /// Makes the table true to the settings. What is gone or changed is left; the settings of before are
    /// needed to send that. `draw(n)` gives a number below `n`, evenly.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        settings: &Snapshot,
        draw: &mut impl FnMut(u64) -> u64,
    ) -> Vec<(TrunkId, Ask)> {
        let mut leave = Vec::new();
        self.rows.retain(|id, row| {
            let trunk = settings.trunks.get(id).filter(|trunk| trunk.enabled);
            let same = trunk.is_some_and(|trunk| {
                row.place == Place::of(trunk) && row.wish() == trunk.options.register.as_ref()
            });
            if !same {
                leave.extend(row.registration.take().and_then(|mut r| r.leave()).map(|a| (*id, a)));
                return false;
            }
            let probe = trunk.and_then(|trunk| trunk.options.probe.as_ref());
            if row.health.as_ref().map(|h| &h.probe) != probe {
                row.health = None;
            }
            row.registration.is_some() || row.health.is_some()
        });
        for (id, trunk) in settings.trunks.iter().filter(|(_, trunk)| trunk.enabled) {
            self.begin(now, *id, trunk, draw);
        }
        let ids: BTreeSet<TrunkId> = self.rows.keys().copied().collect();
        self.schedule.retain(|(_, id)| ids.contains(id));
        ids.into_iter().for_each(|id| self.reschedule(id));
        leave
    }

    fn begin(
        &mut self,
        now: Instant,
        id: TrunkId,
        trunk: &Trunk,
        draw: &mut impl FnMut(u64) -> u64,
    ) {
        let (register, probe) = (&trunk.options.register, &trunk.options.probe);
        if register.is_none() && probe.is_none() {
            return;
        }
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(1);
        let mut soon = || now + Duration::from_millis(draw(spread));
        let generations = &mut self.generations;
        let row = self.rows.entry(id).or_insert_with(|| {
            *generations += 1;
            let place = Place::of(trunk);
            Row {
                place,
                generation: *generations,
                registration: None,
                health: None,
                probed: None,
                due: None,
            }
        });
        if let (None, Some(wish)) = (&row.registration, register) {
            row.registration = Some(Registration::new(wish.clone(), soon()));
        }
        if let (None, Some(probe)) = (&row.health, probe) {
            row.health = Some(Health::new(probe.clone(), soon()));
        }
    }

    /// The process ends: every binding that there may be is taken away, and nothing is asked any more.
    pub(crate) fn leave(&mut self) -> Vec<(TrunkId, Ask)> {
        self.schedule.clear();
        let rows = std::mem::take(&mut self.rows);
        let left = rows.into_iter().filter_map(|(id, row)| Some((id, row.registration?.leave()?)));
        left.collect()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.schedule.first().map(|(at, _)| *at)
    }

    /// What is to be sent now, and what is to be told.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        while let Some(&(at, id)) = self.schedule.first().filter(|(at, _)| *at <= now) {
            self.schedule.remove(&(at, id));
            let Some(row) = self.rows.get_mut(&id) else { continue };
            row.due = None;
            if let Some(registration) = &mut row.registration {
                let (ask, news) = registration.handle_timeout(now);
                due.wishes.extend(ask.map(|ask| (id, Wish::Register(ask))));
                due.news.extend(news.map(|change| (id, change)));
            }
            if let Some(health) = &mut row.health {
                due.silent.extend(row.probed.filter(|_| health.is_overdue(now)));
                let (ask, news) = health.handle_timeout(now);
                due.wishes.extend(ask.then_some((id, Wish::Probe)));
                due.news.extend(news.map(|change| (id, change)));
            }
            self.reschedule(id);
        }
        due
    }

    /// A wish was sent. `contact` is ours, as it stands in a REGISTER.
    pub(crate) fn sent(
        &mut self,
        trunk: TrunkId,
        wish: &Wish,
        id: RequestOutId,
        (contact, remote): (Option<Uri>, SocketAddr),
    ) {
        let purpose = match wish {
            Wish::Register(Ask { expires: 0, .. }) => Purpose::Leave,
            Wish::Register(_) => Purpose::Register,
            Wish::Probe => Purpose::Probe,
        };
        let row = self.rows.get_mut(&trunk);
        let generation = row.map_or(0, |row| {
            row.probed = if purpose == Purpose::Probe { Some(remote) } else { row.probed };
            row.generation
        });
        self.asked.insert(id, Asked { trunk, generation, purpose, contact, remote });
    }

    /// A wish could not be sent: nobody knows where to. Later.
    pub(crate) fn unsent(&mut self, now: Instant, trunk: TrunkId, wish: &Wish) {
        let Some(row) = self.rows.get_mut(&trunk) else { return };
        match (wish, &mut row.registration, &mut row.health) {
            (Wish::Register(_), Some(registration), _) => registration.unsent(now + UNSENT),
            (Wish::Probe, _, Some(health)) => health.unsent(now + UNSENT),
            _ => {}
        }
        self.reschedule(trunk);
    }

    /// For which trunk a request of ours is, and where it went.
    pub(crate) fn asked(&self, id: RequestOutId) -> Option<(TrunkId, SocketAddr)> {
        self.asked.get(&id).map(|asked| (asked.trunk, asked.remote))
    }

    /// A final answer to a request of ours.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        answer: Answered<'_>,
        draw: &mut impl FnMut(u64) -> u64,
    ) -> Option<(TrunkId, CarrierChange)> {
        let Asked { trunk, generation, purpose, contact, .. } = self.asked.remove(&answer.id)?;
        let row = self.rows.get_mut(&trunk).filter(|row| row.generation == generation)?;
        let news = match purpose {
            Purpose::Leave => None,
            Purpose::Register => {
                let heard = Heard {
                    code: answer.code,
                    message: answer.message,
                    contact: contact.as_ref(),
                    series: answer.series,
                    elsewhere: answer.elsewhere,
                };
                row.registration.as_mut()?.answered(now, heard, draw)
            }
            Purpose::Probe => {
                let local = answer.message.is_none();
                row.health.as_mut()?.answered(now, answer.code, local)
            }
        };
        self.reschedule(trunk);
        news.map(|news| (trunk, news))
    }

    fn reschedule(&mut self, id: TrunkId) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        if let Some(at) = row.due.take() {
            self.schedule.remove(&(at, id));
        }
        let registration = row.registration.as_ref().and_then(Registration::due);
        let health = row.health.as_ref().map(Health::due);
        row.due = [registration, health].into_iter().flatten().min();
        self.schedule.extend(row.due.map(|at| (at, id)));
    }

    /// False while the carrier does not answer.
    pub(crate) fn is_up(&self, id: TrunkId) -> bool {
        let health = self.rows.get(&id).and_then(|row| row.health.as_ref());
        health.is_none_or(Health::is_up)
    }

    /// False while a registration is wanted and there is none.
    pub(crate) fn is_registered(&self, id: TrunkId) -> bool {
        let registration = self.rows.get(&id).and_then(|row| row.registration.as_ref());
        registration.is_none_or(Registration::is_registered)
    }

    /// The route set that a carrier wants for calls to it (RFC 3608).
    pub(crate) fn service_route(&self, id: TrunkId) -> Vec<NameAddr> {
        let registration = self.rows.get(&id).and_then(|row| row.registration.as_ref());
        registration.map(|it| it.service_route().to_vec()).unwrap_or_default()
    }

    /// How a carrier stands.
    pub(crate) fn status(
        &self,
        now: Instant,
        id: TrunkId,
    ) -> (Option<RegistrationStatus>, Option<HealthStatus>) {
        let row = self.rows.get(&id);
        let registration = row.and_then(|row| row.registration.as_ref());
        let health = row.and_then(|row| row.health.as_ref());
        (registration.map(|r| r.status(now)), health.map(Health::status))
    }

    /// Requests that wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.asked.len()
    }
}

/// What a moment brings.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// To be sent.
    pub(crate) wishes: Vec<(TrunkId, Wish)>,
    /// To be told.
    pub(crate) news: Vec<(TrunkId, CarrierChange)>,
    /// Servers that did not answer.
    pub(crate) silent: Vec<SocketAddr>,
}

/// A final answer to a request of ours, or that there was none.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    /// The request.
    pub(crate) id: RequestOutId,
    /// 408 and 503 without a message stand for silence and for a transport that failed.
    pub(crate) code: u16,
    pub(crate) message: Option<&'a Message>,
    /// Call-ID and CSeq of the last request of the series.
    pub(crate) series: (String, u32),
    /// There was no answer, and the carrier has a server that may give one.
    pub(crate) elsewhere: bool,
}
