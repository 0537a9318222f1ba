//! REGISTER and OPTIONS to carriers (RFC 3261 §10.2, §11).

use facts::TrunkId;
use facts::carrier::TrunkStatus;
use facts::settings::{Snapshot, Trunk};
use rand_core::RngCore;
use sip::endpoint::{OutOfDialog, RequestOutId};
use sip::wire::{Host, Message, Method, NameAddr, Uri};

use super::Engine;
use crate::carrier::{Answered, Ask, Wish};
use crate::event::{CarrierChange, CarrierNews, Effect};
use crate::leg;

impl Engine {
    /// The settings are others than they were.
    pub(super) fn settle_carriers(&mut self, before: &Snapshot) {
        let w = &mut self.world;
        let settings = w.snapshot.clone();
        let rng = &mut w.rng;
        let mut draw = |below: u64| rng.next_u64() % below.max(1);
        let leave = w.carriers.settle(w.now.mono, &settings, &mut draw);
        self.leave_carriers(before, leave);
    }

    /// The process ends: carriers shall not send calls here any more.
    pub(super) fn unregister(&mut self) {
        let settings = self.world.snapshot.clone();
        let leave = self.world.carriers.leave();
        self.leave_carriers(&settings, leave);
    }

    fn leave_carriers(&mut self, settings: &Snapshot, leave: Vec<(TrunkId, Ask)>) {
        for (id, ask) in leave {
            if let Some(trunk) = settings.trunks.get(&id) {
                self.ask_carrier(id, trunk, &Wish::Register(ask));
            }
        }
    }

    pub(super) fn carriers_due(&mut self) {
        let due = self.world.carriers.handle_timeout(self.world.now.mono);
        let settings = self.world.snapshot.clone();
        for (id, wish) in due.wishes {
            if let Some(trunk) = settings.trunks.get(&id) {
                self.ask_carrier(id, trunk, &wish);
            }
        }
        due.news.into_iter().for_each(|(id, change)| self.carrier_news(id, change));
    }

    pub(super) fn carrier_answered(
        &mut self,
        id: RequestOutId,
        code: u16,
        message: Option<&Message>,
        series: (String, u32),
    ) {
        let w = &mut self.world;
        let rng = &mut w.rng;
        let mut draw = |below: u64| rng.next_u64() % below.max(1);
        let answer = Answered { id, code, message, series };
        if let Some((trunk, change)) = w.carriers.answered(w.now.mono, answer, &mut draw) {
            self.carrier_news(trunk, change);
        }
    }

    fn ask_carrier(&mut self, id: TrunkId, trunk: &Trunk, wish: &Wish) {
        let w = &mut self.world;
        let Some((request, contact)) = request(w, trunk, wish) else { return };
        let sent = w.endpoint.request(w.now.mono, request);
        w.carriers.sent(id, wish, sent, contact);
    }

    fn carrier_news(&mut self, id: TrunkId, change: CarrierChange) {
        if let Some(status) = self.trunk_status(id) {
            self.world.emit(Effect::Carrier(Box::new(CarrierNews { change, status })));
        }
    }

    /// Every trunk, by row id.
    pub(super) fn trunks(&self) -> Vec<TrunkStatus> {
        self.world.snapshot.trunks.keys().filter_map(|id| self.trunk_status(*id)).collect()
    }

    fn trunk_status(&self, id: TrunkId) -> Option<TrunkStatus> {
        let w = &self.world;
        let trunk = w.snapshot.trunks.get(&id)?;
        let (registration, health) = w.carriers.status(w.now.mono, id);
        Some(TrunkStatus {
            name: trunk.name.clone(),
            enabled: trunk.enabled,
            legs: w.trunk_legs.len(id),
            resting_s: w.resting(trunk.target),
            registration,
            health,
        })
    }
}

/// The request, and our Contact in it. `None`: nothing listens for the trunk's transport, or it has a
/// domain that is none.
fn request(
    w: &crate::world::World,
    trunk: &Trunk,
    wish: &Wish,
) -> Option<(OutOfDialog, Option<Uri>)> {
    let (flow, listener) = leg::way_to(w, trunk)?;
    let at = |user: Option<&str>| match trunk.domain.as_str() {
        "" => Some(Uri::at(user, trunk.target)),
        domain => Some(Uri::sip(user, Host::parse(domain)?, None)),
    };
    let mut uri = at(None)?;
    let mut request = OutOfDialog {
        method: Method::Options,
        uri: uri.clone(),
        flow,
        from: NameAddr::new(Uri::at(None, listener.advertised)),
        to: NameAddr::new(uri.clone()),
        headers: Vec::new(),
        body: None,
        credentials: leg::credentials(trunk),
        series: None,
    };
    leg::speak(&mut uri, trunk);
    request.uri = uri;
    match wish {
        Wish::Probe => {
            let user = trunk.options.probe.as_ref().map(|probe| probe.from_user.as_str());
            let user = user.filter(|user| !user.is_empty());
            request.from = NameAddr::new(Uri::at(user, listener.advertised));
            request.headers.push(("Accept".into(), b"application/sdp".to_vec()));
            Some((request, None))
        }
        Wish::Register(ask) => {
            let wanted = trunk.options.register.as_ref()?;
            let own = NameAddr::new(at(Some(&wanted.user))?);
            (request.from, request.to) = (own.clone(), own);
            request.method = Method::Register;
            request.series.clone_from(&ask.series);
            let mut contact = Uri::at(Some(wanted.contact_user()), listener.advertised);
            leg::speak(&mut contact, trunk);
            let mut value = NameAddr::new(contact.clone());
            value.params.set("expires", Some(&ask.expires.to_string()));
            request.headers.push(("Contact".into(), value.to_bytes()));
            request.headers.push(("Expires".into(), ask.expires.to_string().into_bytes()));
            Some((request, Some(contact)))
        }
    }
}
