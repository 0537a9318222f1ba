//! REGISTER and OPTIONS to carriers (RFC 3261 §10.2, §11).

use facts::TrunkId;
use facts::carrier::TrunkStatus;
use facts::settings::{Snapshot, Trunk};
use rand_core::RngCore;
use sip::endpoint::{OutOfDialog, RequestOutId};
use sip::locate::Server;
use sip::wire::{Message, Method, NameAddr, Uri};

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
        due.silent.into_iter().for_each(|server| self.world.fell_silent(server));
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
        let settings = w.snapshot.clone();
        let mut elsewhere = false;
        if let Some((trunk, remote)) = w.carriers.asked(id).filter(|_| message.is_none()) {
            w.fell_silent(remote);
            elsewhere = settings.trunks.get(&trunk).is_some_and(|t| w.is_elsewhere(trunk, t));
        }
        let rng = &mut w.rng;
        let mut draw = |below: u64| rng.next_u64() % below.max(1);
        let answer = Answered { id, code, message, series, elsewhere };
        if let Some((trunk, change)) = w.carriers.answered(w.now.mono, answer, &mut draw) {
            self.carrier_news(trunk, change);
        }
    }

    fn ask_carrier(&mut self, id: TrunkId, trunk: &Trunk, wish: &Wish) {
        let w = &mut self.world;
        // RFC 3263 §4.3: the first that is not known to be silent.
        let server = w.servers(trunk).first().copied();
        let asked = server.and_then(|server| request(w, trunk, server, wish));
        let Some((request, contact)) = asked else {
            w.carriers.unsent(w.now.mono, id, wish);
            return;
        };
        let remote = request.flow.remote;
        let sent = w.endpoint.request(w.now.mono, request);
        w.carriers.sent(id, wish, sent, (contact, remote));
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
        let addresses = w.addresses(id, trunk);
        let (registration, health) = w.carriers.status(w.now.mono, id);
        Some(TrunkStatus {
            name: trunk.name.clone(),
            enabled: trunk.enabled,
            legs: w.trunk_legs.len(id),
            resting_s: w.rests(&addresses),
            addresses,
            registration,
            health,
        })
    }
}

/// The request, and our Contact in it. `None`: nothing listens for the server's transport, or the trunk
/// has a domain that is none.
fn request(
    w: &crate::world::World,
    trunk: &Trunk,
    server: Server,
    wish: &Wish,
) -> Option<(OutOfDialog, Option<Uri>)> {
    let (flow, listener) = leg::way_to(w, server)?;
    let at = |user: Option<&str>| leg::uri_of(trunk, user);
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
    leg::speak(&mut uri, flow.transport);
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
            leg::speak(&mut contact, flow.transport);
            let mut value = NameAddr::new(contact.clone());
            value.params.set("expires", Some(&ask.expires.to_string()));
            request.headers.push(("Contact".into(), value.to_bytes()));
            request.headers.push(("Expires".into(), ask.expires.to_string().into_bytes()));
            Some((request, Some(contact)))
        }
    }
}
