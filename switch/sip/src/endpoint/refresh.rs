//! Session timers of the sessions that are up (RFC 4028): what is asked and granted, the refreshes, and
//! the end of a session that nobody refreshes.

use std::time::Instant;

use super::auth::{Auth, copy_of};
use super::client::Reply;
use super::table::{Outgoing, Phase, User};
use super::{EndCause, Endpoint, Event, SessionId};
use crate::dialog::{Granted, OPTION, raised};
use crate::wire::{Draft, HeaderName, Message, Method, Reason};

/// How often the interval of one session is raised because of a 422.
const RAISES_MAX: u8 = 3;
/// Q.850 recovery on timer expiry.
const TIMER_EXPIRY: u16 = 102;

impl Endpoint {
    /// What a request of ours asks for: the same again once the session has a timer (RFC 4028 §7.4).
    pub(super) fn push_asked(&self, draft: &mut Draft, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let timers = self.timers(id);
        let asked = match &session.phase {
            Phase::Up(up) => match up.timer {
                Some(timer) => Some(timer.asked(session.min_se)),
                None => timers.asked(session.min_se),
            },
            _ => return,
        };
        push_asked(draft, asked, timers.min_se(session.min_se));
    }

    /// Our 2xx to the peer's request is out: what it granted holds from now on.
    pub(super) fn refreshed_by_peer(
        &mut self,
        now: Instant,
        id: SessionId,
        request: &Message,
        granted: Option<Granted>,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.phase {
            Phase::Up(up) => {
                up.dialog.refresh_target(request);
                up.updates |= takes_update(request);
                up.timer = granted.map(|granted| granted.start(now));
            }
            Phase::Ringing(ringing) => ringing.dialog.refresh_target(request),
            Phase::Calling(calling) => {
                let tag = request.from_tag();
                let mut all = calling.early.iter_mut();
                let early = all.find(|early| Some(early.tag.as_str()) == tag.as_deref());
                if let Some(reliable) = early.and_then(|early| early.reliable.as_mut()) {
                    reliable.dialog.refresh_target(request);
                }
            }
            Phase::Ending(_) | Phase::Over(_) => {}
        }
        self.schedule_session(id);
    }

    /// A 2xx to our request (§7.2).
    pub(super) fn refreshed_by_us(&mut self, now: Instant, id: SessionId, answer: &Message) {
        let agreed = self.timers(id).agreed(now, answer);
        let Some(up) = self.up(id) else { return };
        up.timer = agreed;
        up.updates |= takes_update(answer);
        self.schedule_session(id);
    }

    /// A deadline of the session timer has come.
    pub(super) fn timer_due(&mut self, now: Instant, id: SessionId) {
        let Some(up) = self.up(id) else { return };
        let Some(timer) = &mut up.timer else { return };
        if timer.is_over(now) {
            // §10: nobody knows whether the far end is there.
            let reason = Reason::q850(TIMER_EXPIRY, "session timer expired");
            return self.lose_dialog(now, id, EndCause::Expired, Some(reason));
        }
        if timer.take_refresh(now) {
            self.refresh(now, id);
        }
        self.schedule_session(id);
    }

    /// §7.4: by UPDATE if the peer takes it, because that touches no media; else by re-INVITE, whose
    /// description the user has.
    fn refresh(&mut self, now: Instant, id: SessionId) {
        let Some(up) = self.up(id) else { return };
        let busy = up.ours.is_some() || up.bye.is_some() || up.held().is_some();
        if busy {
            return;
        }
        if !up.updates {
            self.events.push_back(Event::Refresh { session: id });
            return;
        }
        up.dialog.next_cseq();
        let dialog = up.dialog.clone();
        self.send_update(now, id, &dialog, bytes::Bytes::new(), Some(0));
    }

    /// 405 or 501: whatever its Allow said, the peer does not take UPDATE after all.
    pub(super) fn refresh_by_reinvite(&mut self, id: SessionId) {
        let Some(up) = self.up(id) else { return };
        up.updates = false;
        self.events.push_back(Event::Refresh { session: id });
    }

    /// §7.3: 422 to a request of ours: once more, with the interval it wants. True if it went out.
    pub(super) fn retry_raised(&mut self, now: Instant, user: User, reply: &Reply<'_>) -> bool {
        let (User::Invite(id) | User::Reinvite(id) | User::Update(id)) = user else { return false };
        let Ok(request) = Message::parse(reply.request.clone()) else { return false };
        let Some(seconds) = raised(&request, reply.message) else { return false };
        let wanted = match user {
            User::Invite(_) => self.may_invite_again(id),
            _ => self.may_retry(id),
        };
        if !wanted {
            return false;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.raised >= RAISES_MAX {
            return false;
        }
        session.raised += 1;
        session.min_se = session.min_se.max(seconds);
        let Ok(cseq) = request.cseq() else { return false };
        let number = cseq.number + 1;
        // Only the request that opens the dialog may be challenged by a realm that is not known yet.
        let auth = match user {
            User::Invite(_) => session.auth.clone(),
            _ => Auth::within_dialog(session.auth.as_ref()),
        };
        let mut draft = copy_of(&request);
        // An answer to a challenge is good for one request (RFC 7616 §3.4).
        draft.remove("Authorization").remove("Proxy-Authorization");
        draft.set("CSeq", format!("{number} {}", cseq.method));
        draft.set("Min-SE", seconds.to_string());
        let refresher = request.session_expires().ok().flatten().and_then(|said| said.refresher);
        let expires = crate::wire::SessionExpires { seconds, refresher };
        draft.set("Session-Expires", expires.to_string());
        let out = Outgoing {
            draft,
            method: cseq.method,
            flow: reply.sent,
            fallback: None,
            user,
            auth: auth.clone(),
            // The way is known to work.
            keep_flow: true,
        };
        let key = self.start_client(now, out);
        self.retried(now, user, key, number, auth);
        true
    }
}

/// Session-Expires and Min-SE of a request.
pub(super) fn push_asked(
    draft: &mut Draft,
    asked: Option<crate::wire::SessionExpires>,
    min_se: Option<u32>,
) {
    let Some(asked) = asked else { return };
    draft.push_args("Session-Expires", format_args!("{asked}"));
    if let Some(min_se) = min_se {
        draft.push_args("Min-SE", format_args!("{min_se}"));
    }
}

/// Session-Expires of our 2xx, and Require if the peer is to refresh (§9).
pub(super) fn push_granted(draft: &mut Draft, granted: Granted) {
    if granted.is_required() {
        draft.push("Require", OPTION);
    }
    draft.push_args("Session-Expires", format_args!("{}", granted.expires));
}

/// Whether the sender says that it takes UPDATE.
pub(super) fn takes_update(message: &Message) -> bool {
    message.lists(HeaderName::Allow, Method::Update.as_str())
}
