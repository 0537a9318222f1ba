//! Whom the engine listens to, and who loses that.

use bytes::Bytes;
use facts::Binding;
use facts::ban::Ban;
use sip::endpoint::Flow;
use sip::wire::Message;

use super::Engine;
use super::register::Unproved;
use crate::abuse::Passage;
use crate::event::{Denial, Effect};

impl Engine {
    /// Whether a message is looked at any further.
    pub(super) fn listens(&mut self, flow: &Flow, bytes: &Bytes) -> bool {
        if !self.is_judged(flow) {
            return true;
        }
        let w = &mut self.world;
        let belongs = |message: &Message| w.endpoint.belongs(message);
        match w.abuse.look(w.now, flow.remote.ip().into(), bytes, belongs) {
            Passage::Passes => true,
            Passage::Dropped => false,
            Passage::Banned(ban) => {
                self.banned(Some(ban));
                false
            }
        }
    }

    /// The extension that a request comes from, as its digest proves.
    pub(super) fn prove(&mut self, request: &Message, flow: &Flow) -> Result<String, Unproved> {
        let judged = self.is_judged(flow);
        let w = &mut self.world;
        let (snapshot, now) = (w.snapshot.clone(), w.now);
        let mut withheld = None;
        let mut may_look = |user: &str| {
            let known = || w.registrar.is_from(user, flow.remote.ip());
            let withhold = || judged && !known() && !w.guesses.may_look(now.mono, user);
            !*withheld.get_or_insert_with(withhold)
        };
        let mut proved = self.register.identify(now, &snapshot, request, flow, &mut may_look);
        if let Err(Unproved { denied: Some((why @ Denial::WrongPassword, Some(user))), .. }) =
            &mut proved
        {
            if withheld == Some(true) {
                *why = Denial::Guarded;
            } else if judged {
                w.guesses.wrong(now.mono, user);
            }
        }
        proved
    }

    /// A request without credentials.
    pub(super) fn knocked(&mut self, flow: &Flow) {
        if self.is_judged(flow) {
            let w = &mut self.world;
            let ban = w.abuse.knocked(w.now, flow.remote.ip().into());
            self.banned(ban);
        }
    }

    /// Somebody was turned away.
    pub(super) fn offended(&mut self, flow: &Flow, why: Denial) {
        if self.is_judged(flow) {
            let w = &mut self.world;
            let ban = w.abuse.denied(w.now, flow.remote.ip().into(), why);
            self.banned(ban);
        }
    }

    /// The phones of the last process proved themselves to it.
    pub(super) fn remember(&mut self, bindings: &[Binding]) {
        let w = &mut self.world;
        for binding in bindings {
            w.abuse.proved(w.now, binding.remote.ip().into());
        }
    }

    fn banned(&mut self, ban: Option<Ban>) {
        self.world.effects.extend(ban.map(Effect::Banned));
    }

    /// Carriers and the allowed networks are not judged: a forged address must not take them away.
    fn is_judged(&self, flow: &Flow) -> bool {
        let (w, address) = (&self.world, flow.remote.ip());
        w.abuse.is_on() && !w.abuse.allows(address) && !self.addresses.spares(address)
    }
}
