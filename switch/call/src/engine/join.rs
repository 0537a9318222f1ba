//! An INVITE that wants a place in a call that there is: by Replaces (RFC 3891), or by a code that its
//! extension dialled. Only an extension may, and only in calls of its own merchant.

use facts::settings::Extension;
use facts::{Feature, Kind, LegId, MerchantId, Refusal, SubAccountId};
use sip::endpoint::{Flow, SessionId, Standing};
use sip::wire::{Message, Replaces};

use crate::call::{Call, Phase};
use crate::event::{Denial, Place};
use crate::leg::{self, Arrival, Called, Leg, Onward};

use super::Engine;
use super::inbound::{RING, dialled};

/// There is no such dialog, or it is none that can be replaced (RFC 3891 §3).
const UNKNOWN: u16 = 481;
/// It has ended (RFC 3891 §3).
const OVER: u16 = 603;
/// It is confirmed, and only an early one was meant (RFC 3891 §3); or another change is under way.
const BUSY: u16 = 486;
/// No call rings or waits there.
const NOBODY: u16 = 404;
/// The call has as many legs as it may have.
const FULL: u16 = 503;
/// There has to be SRTP, and there cannot be (RFC 3261 §21.4.26).
const REFUSED: u16 = 488;

impl Engine {
    /// Takes an INVITE of an extension that is no new call. False: it is one.
    pub(super) fn joins(
        &mut self,
        (session, flow): (SessionId, &Flow),
        user: &str,
        request: &Message,
    ) -> bool {
        let Some(place) = self.place_for(user, request) else { return false };
        if let Err(code) = place.and_then(|place| self.seat((session, flow), user, request, place))
        {
            self.refused += 1;
            let why = match code {
                403 => Some(Denial::NotAllowed),
                NOBODY => Some(Denial::NothingToTake),
                _ => None,
            };
            if let Some(why) = why {
                self.deny(flow, "INVITE", Some(user.to_owned()), why);
            }
            match code {
                // With the cause of the row that has this status.
                NOBODY => self.refuse(session, Kind::Unallocated),
                _ => self.world.endpoint.reject(self.world.now.mono, session, code, Vec::new()),
            }
        }
        true
    }

    /// The place that an INVITE asks for, if it asks for one; or the status that says why not.
    fn place_for(&self, user: &str, request: &Message) -> Option<Result<(LegId, Place), u16>> {
        let own = self.world.snapshot.extensions.get(user)?;
        match Replaces::of_request(request) {
            Ok(None) => {}
            Ok(Some(replaces)) => return Some(self.replaced(own, &replaces)),
            Err(code) => return Some(Err(code)),
        }
        let dialled = dialled(request).ok()?;
        let (feature, rest) = self.world.config.features.read(&dialled)?;
        Some(match feature {
            Feature::Pickup => self.ringing(user, own, rest),
            Feature::Retrieve => {
                let at = if rest.is_empty() { user } else { rest };
                let parked = self.parked(at).filter(|leg| self.is_own(own, *leg));
                parked.map(|leg| (leg, Place::Parked)).ok_or(NOBODY)
            }
            // Where calls are sent to, and nobody is called.
            Feature::Park => Err(NOBODY),
            // No place in another call.
            Feature::AlwaysOn
            | Feature::AlwaysOff
            | Feature::BusyOn
            | Feature::BusyOff
            | Feature::NoAnswerOn
            | Feature::NoAnswerOff
            | Feature::DndOn
            | Feature::DndOff
            | Feature::Voicemail => return None,
        })
    }

    /// RFC 3891 §3.
    fn replaced(&self, own: &Extension, replaces: &Replaces) -> Result<(LegId, Place), u16> {
        let (session, standing) = self.world.endpoint.named(replaces).ok_or(UNKNOWN)?;
        let leg = self.world.sessions.get(&session).copied();
        let place = match standing {
            Standing::Up if replaces.early_only => Err(BUSY),
            Standing::Up => Ok(Place::Talking),
            Standing::Calling => Ok(Place::Ringing),
            Standing::Called => Err(UNKNOWN),
            Standing::Over => Err(OVER),
        };
        // Whoever may not know of a call does not learn how it stands.
        let call = leg.and_then(|leg| self.calls.get(&leg.call));
        match (leg, call.map(|call| call.command.merchant)) {
            (Some(leg), Some(merchant)) if merchant == own.merchant => {
                place.map(|place| (leg, place))
            }
            (_, Some(_)) => Err(403),
            // On record already.
            (_, None) => Err(if standing == Standing::Over { OVER } else { UNKNOWN }),
        }
    }

    /// The oldest call that rings at an extension of the merchant; at any of the same sub-account, where none
    /// is named. Walks every call.
    fn ringing(&self, user: &str, own: &Extension, at: &str) -> Result<(LegId, Place), u16> {
        let at = Some(at).filter(|at| !at.is_empty());
        let mine = |leg: &Leg| leg.is_phone() && leg.facts.number.digits() == user;
        let near = |leg: &Leg| at.is_some() || self.office(leg) == Some(own.sub_account);
        let calls = self.calls.values().filter(|call| self.is_of(call, own.merchant));
        let mut found = calls.filter_map(|call| {
            let legs = || call.legs.iter().flatten();
            // Whoever calls himself is no one to be helped.
            if legs().any(|leg| !leg.is_over() && mine(leg)) {
                return None;
            }
            legs().find(|leg| leg.rings_at(at) && near(leg)).map(|leg| leg.id)
        });
        found.next().map(|leg| (leg, Place::Ringing)).ok_or(NOBODY)
    }

    /// The sub-account of the extension on a leg.
    fn office(&self, leg: &Leg) -> Option<Option<SubAccountId>> {
        let extension = self.world.snapshot.extensions.get(leg.facts.number.digits())?;
        Some(extension.sub_account)
    }

    /// The leg by which a call was parked at an extension. Walks every call.
    pub(super) fn parked(&self, user: &str) -> Option<LegId> {
        self.calls.values().find_map(|call| {
            let (at, by) = call.parked_at()?;
            (at == user).then_some(LegId::new(call.id, by))
        })
    }

    fn is_own(&self, own: &Extension, leg: LegId) -> bool {
        self.calls.get(&leg.call).is_some_and(|call| self.is_of(call, own.merchant))
    }

    fn is_of(&self, call: &Call, merchant: MerchantId) -> bool {
        call.command.merchant == merchant && matches!(call.phase, Phase::Live)
    }

    fn seat(
        &mut self,
        (session, flow): (SessionId, &Flow),
        user: &str,
        request: &Message,
        (leg, place): (LegId, Place),
    ) -> Result<(), u16> {
        let merchant =
            self.calls.get(&leg.call).map(|call| call.command.merchant).ok_or(UNKNOWN)?;
        let merchants = &self.world.snapshot.merchants;
        let enabled = merchants.get(&merchant).filter(|merchant| merchant.enabled);
        let per_second = enabled.ok_or(403_u16)?.calls_per_second;
        self.pace(merchant, per_second).map_err(Refusal::kind).map_err(|kind| kind.row().sip)?;
        let security = leg::security(&self.world, None, flow.transport).ok_or(REFUSED)?;
        let arrival = Arrival {
            security,
            session,
            source: flow.remote.ip(),
            called: Called {
                number: facts::Number::Internal(user.to_owned()),
                as_sent: user.to_owned(),
                ring: RING,
                onward: Onward::default(),
            },
            shown: user.to_owned(),
            trunk: None,
            trunk_name: String::new(),
            offer: request.description(),
        };
        let mut seated = false;
        self.on_call(leg.call, |call, w| seated = call.admit(w, arrival, (leg.no, place)));
        if seated { Ok(()) } else { Err(FULL) }
    }
}
