//! What the SIP endpoint has to tell, and which call, menu or carrier it concerns.

use std::net::IpAddr;

use bytes::Bytes;
use sip::endpoint::{Event, RequestOutId, SessionId};

use super::Engine;
use crate::event::LegEvent;
use crate::leg::{Final, Leg, Way};
use crate::trace::Trace;
use crate::world::World;

impl Engine {
    /// News of the endpoint.
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Invite { session, request, flow } => self.invited(session, &request, flow),
            Event::Relief { remote, relief } => self.world.relieve(remote, relief),
            Event::Failed { session, code, q850, local, crossed, retry_after, contacts } => {
                let answer = Final { code, q850, local, retry_after };
                self.failed(session, (answer, crossed), &contacts);
            }
            Event::Cancelled { session, code, reason } => self.over(session, |leg, w, trace| {
                leg.cancelled(w, trace, session, (code, reason.as_ref()))
            }),
            Event::Ended { session, .. } if self.menus.has(session) => self.menu_ended(session),
            Event::Ended { session, cause, reason } => self.over(session, |leg, w, trace| {
                leg.ended(w, trace, session, (cause, reason.as_ref()))
            }),
            Event::ByeDone { session } => {
                self.world.sessions.remove(&session);
                self.world.ended(session);
            }
            Event::Gone { session } => self.world.ended(session),
            Event::Request { id, request, flow } => self.requested(id, &request, flow),
            Event::Refer { id, session, request } => self.referred(id, session, &request),
            Event::Message { id, session, request } => {
                self.messaged_within(id, session, &request);
            }
            Event::Subscribe { id, subscription, request, flow } => {
                self.subscribe(id, subscription, &request, flow);
            }
            Event::Notified { subscription, delivered } => self.notified(subscription, delivered),
            Event::Unsubscribed { subscription } => self.world.watches.leave(subscription),
            Event::Trying { session } => self.note(session, |leg, w, _| leg.tried(w, session)),
            Event::Progress { session, code, sdp, to_tag, .. } => {
                self.tell_leg(session, |leg, w, trace, _| {
                    leg.progress(w, trace, session, (code, to_tag, sdp))
                });
            }
            Event::Answered { session, sdp, to_tag } => {
                self.tell_leg(session, |leg, w, trace, like| {
                    leg.answered(w, trace, session, (sdp, &to_tag), like)
                });
            }
            Event::Again { session } => self.challenged(session),
            Event::Acked { session, .. } if self.menus.has(session) => self.menu_acked(session),
            Event::Acked { session, sdp } => self.acked(session, sdp),
            Event::Accepted { session } => self.note(session, Leg::accepted),
            Event::Reinvite { session, sdp, .. } if self.menus.has(session) => {
                self.menu_reinvited(session, sdp.as_deref());
            }
            Event::Reinvite { session, sdp, flow, branch } => {
                self.reinvited(session, (sdp, flow.remote.ip(), &branch));
            }
            Event::Pracked { session, sdp } => self.note(session, |leg, w, _| {
                leg.answered_again(w, &sdp);
            }),
            Event::Refresh { session } if self.menus.has(session) => self.menu_refresh(session),
            Event::Refresh { session } => self.note(session, |leg, w, _| leg.refresh(w, session)),
            Event::Refreshed { session } => {
                self.note(session, |leg, w, _| leg.refreshed(w, session));
            }
            Event::ReinviteAnswered { session, sdp } => {
                self.tell_leg(session, |leg, w, _, _| leg.offer_answered(w, sdp.as_ref()));
            }
            Event::Response { id, code, message, cseq, call_id } => {
                let ours = self.info_answered(id, code)
                    || self.message_answered(id, code)
                    || self.menu_answered(id, code);
                if !ours {
                    self.carrier_answered(id, code, message.as_ref(), (call_id, cseq));
                }
            }
            Event::ReinviteFailed { session, code } => {
                self.tell_leg(session, |leg, _, _, _| leg.offer_failed(code));
            }
            Event::Info { session, package: Some(_), content_type, body } => {
                self.menu_told(session, &content_type, &body);
            }
            // Old stacks of menus know of no packages.
            Event::Info { session, package: None, content_type, body } => {
                if !self.menu_told_plainly(session, &content_type, &body) {
                    self.told_by_info(session, &content_type, &body);
                }
            }
        }
    }

    /// Our 200 was acknowledged, perhaps with the answer to an offer in it.
    fn acked(&mut self, session: SessionId, sdp: Option<Bytes>) {
        self.on_session(session, false, |call, w, no| {
            let joined = call.is_bridged(no) && call.takes_offers(w, no);
            call.on_leg(w, no, |leg, w, trace, _| leg.acked(w, trace, sdp, joined));
        });
    }

    /// A session is over, by CANCEL or by BYE: its leg is told.
    fn over(
        &mut self,
        session: SessionId,
        tell: impl FnOnce(&mut Leg, &mut World, &mut Trace) -> Option<LegEvent>,
    ) {
        self.last_of(session, |leg, w, trace, _| tell(leg, w, trace));
        self.world.ended(session);
    }

    /// An INVITE of ours was challenged; it leaves again when what ends its session is written.
    fn challenged(&mut self, session: SessionId) {
        self.note(session, |leg, w, _| leg.challenged(w, session));
        if !self.world.pledges.waits(session) {
            self.world.endpoint.proceed(self.world.now.mono, session);
        }
    }

    /// A far end offers another description, or asks for one; with where it signals from.
    fn reinvited(
        &mut self,
        session: SessionId,
        (sdp, from, branch): (Option<Bytes>, IpAddr, &str),
    ) {
        if !self.world.sessions.contains_key(&session) {
            self.world.endpoint.reject_reinvite(self.world.now.mono, session, 488);
        }
        self.on_session(session, false, |call, w, no| {
            let bridged = call.is_bridged(no);
            let joined = bridged && call.takes_offers(w, no);
            call.on_leg(w, no, |leg, w, _, _| {
                leg.reinvited(w, session, (sdp, from, branch), (bridged, joined))
            });
        });
    }

    /// The answer to an INFO of ours, if it is one.
    fn info_answered(&mut self, id: RequestOutId, code: u16) -> bool {
        let Some(leg) = self.world.infos.remove(&id) else { return false };
        self.on_leg(leg, |call, w| {
            call.on_leg(w, leg.no, |leg, w, _, _| {
                leg.key_answered(w, code);
                None
            });
        });
        true
    }

    /// A key, perhaps, that goes on to whoever is on the other side.
    fn told_by_info(&mut self, session: SessionId, content_type: &str, body: &[u8]) {
        let mut key = None;
        self.tell_leg(session, |leg, w, _, _| {
            key = leg.key(session, content_type, body);
            key = key.filter(|digit| leg.key_is_new(w, *digit, Way::Info));
            if let Some(digit) = key {
                leg.key_by_info(w, digit);
            }
            key.map(LegEvent::Key)
        });
        if let Some(digit) = key {
            self.on_session(session, false, |call, w, no| call.pass_key(w, no, (digit, true)));
        }
    }

    /// An INVITE of ours came to nothing; `crossed`: or somebody picked up whom we had given up.
    fn failed(
        &mut self,
        session: SessionId,
        (answer, crossed): (Final, bool),
        contacts: &[sip::wire::Contact],
    ) {
        self.last_of(session, |leg, w, trace, like| {
            leg.failed(w, trace, (session, answer, contacts), like)
        });
        // Agreed on, and ended.
        if crossed {
            self.world.end(session, None);
        } else {
            self.world.agents.over(session);
        }
        self.world.ended(session);
    }
}
