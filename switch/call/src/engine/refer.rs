//! REFER in a call: somebody wants the other one to be joined with a third (RFC 3515, RFC 5589). The new leg
//! is dialled as if whoever asks had dialled it, and paid by whoever pays for the call.

use facts::{Kind, LegId, Number, Refusal};
use sip::endpoint::{self, RequestId, SessionId};
use sip::wire::{HeaderName, Message, NameAddr};

use crate::config::Transfer;
use crate::leg::Onward;
use crate::transfer::{Wanted, called};

use super::Engine;
use super::inbound::{callee, dialled_in};
use super::register::{Header, header};

/// Another transfer, or an end, is under way (RFC 3261 §21.4.27).
const PENDING: u16 = 491;

/// What a REFER asks for.
struct Asked {
    to: NameAddr,
    cseq: u32,
    /// NOTIFYs are wanted (RFC 4488 §4 knows who wants none).
    told: bool,
}

impl Asked {
    fn read(request: &Message) -> Result<Asked, u16> {
        // RFC 3515 §2.4.2: exactly one Refer-To.
        let to = request.name_addr(HeaderName::ReferTo).map_err(|_| 400_u16)?;
        let method = to.uri.params.get("method").unwrap_or("INVITE");
        if !method.eq_ignore_ascii_case("INVITE") {
            return Err(488);
        }
        // RFC 5589 §7: to take the place of a call that stands. It is not done; ringing anew would be another
        // call than was asked for, and a second one to pay.
        let mut headers = to.uri.headers.as_deref().unwrap_or_default().split('&');
        let named = |header: &str, name: &str| {
            header.split('=').next().is_some_and(|found| found.eq_ignore_ascii_case(name))
        };
        if headers.any(|header| named(header, "Replaces")) {
            return Err(488);
        }
        let cseq = request.cseq().map_err(|_| 400_u16)?.number;
        let quiet = request.header_str(HeaderName::ReferSub).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false")
        });
        Ok(Asked { to, cseq, told: !quiet })
    }
}

impl Engine {
    /// A REFER in a session.
    pub(super) fn referred(&mut self, id: RequestId, session: SessionId, request: &Message) {
        let begun = Asked::read(request).and_then(|asked| {
            let (leg, wanted) = self.wanted(session, &asked)?;
            Ok((leg, wanted, (asked.cseq, asked.told)))
        });
        let (code, headers) = match &begun {
            Ok((.., (_, told))) => (202, self.referral_headers(session, *told)),
            Err(code) => (*code, Vec::new()),
        };
        let answer = endpoint::Answer { code, headers, ..endpoint::Answer::default() };
        self.world.endpoint.respond(self.world.now.mono, id, answer);
        if let Ok((leg, wanted, told)) = begun {
            self.on_call(leg.call, |call, w| call.transfer(w, wanted, told));
        }
    }

    fn referral_headers(&self, session: SessionId, told: bool) -> Vec<Header> {
        let contact = self.world.endpoint.contact_of_session(session);
        let contact = contact.map(|contact| ("Contact".to_owned(), contact));
        let quiet = (!told).then(|| header("Refer-Sub", "false"));
        contact.into_iter().chain(quiet).collect()
    }

    /// The leg that is to be rung, if whoever asks may ask for it; or the status that says why not.
    fn wanted(&mut self, session: SessionId, asked: &Asked) -> Result<(LegId, Wanted), u16> {
        let status = |kind: Kind| kind.row().sip;
        let leg = *self.world.sessions.get(&session).ok_or(481_u16)?;
        let call = self.calls.get(&leg.call).ok_or(481_u16)?;
        let asking = call.leg(leg.no).ok_or(481_u16)?;
        let may = match self.world.config.transfer {
            Transfer::Off => false,
            Transfer::Extensions => asking.is_phone(),
            Transfer::All => true,
        };
        let snapshot = self.world.snapshot.clone();
        let merchant = snapshot.merchants.get(&call.command.merchant).ok_or(403_u16)?;
        // Whoever transfers pays: a phone of somebody else would spend this merchant's money.
        let owner = match &asking.facts.number {
            Number::Internal(user) if asking.is_phone() => Some(snapshot.extensions.get(user)),
            _ => None,
        };
        let own = owner.is_none_or(|owner| {
            owner.is_some_and(|owner| owner.enabled && owner.merchant == call.command.merchant)
        });
        if !may || !own {
            return Err(403);
        }
        if !merchant.enabled {
            return Err(403);
        }
        if self.drain.is_some() {
            return Err(status(Kind::Shutdown));
        }
        let _room = call.room_for_transfer(leg.no).ok_or(PENDING)?;
        let dialled = dialled_in(&asked.to.uri).map_err(status)?;
        let number = callee(&snapshot, &dialled).map_err(status)?;
        let stays = call.leg(call.other(leg.no)).ok_or(PENDING)?;
        let target = self.target(&number).map_err(Refusal::kind).map_err(status)?;
        // What is rung decides: an extension whose bound phone rings is reached over a carrier.
        let shown = match target.number() {
            Number::Internal(_) => Some(stays.facts.number.clone()),
            Number::E164(_) | Number::Short(_) => {
                let bound = owner.flatten().and_then(|owner| owner.bound_phone.clone());
                merchant.shown.clone().or(bound).map(Number::public)
            }
        };
        // A caller who hides hides from the third as well.
        let hidden = call.plan.onward.hidden && call.other(leg.no) == facts::LegNo::A;
        let onward = Onward { hidden, ..Onward::default() };
        let (id, per_second) = (call.command.merchant, merchant.calls_per_second);
        self.pace(id, per_second).map_err(Refusal::kind).map_err(status)?;
        let called = called(target.number(), dialled, onward);
        Ok((leg, Wanted { by: leg.no, target, called, shown }))
    }
}
