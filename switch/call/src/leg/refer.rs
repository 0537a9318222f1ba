//! Whoever asked for a transfer is told what becomes of it (RFC 3515 §2.4.4): the implicit subscription of
//! its REFER, one at a time.

use std::time::Duration;

use sip::endpoint::SessionId;
use sip::wire::reason_phrase;

use crate::world::World;

use super::{Leg, Stage};

/// What the subscription is good for at most: somebody rings no longer.
const EXPIRES: Duration = Duration::from_secs(180);

/// The transfers that a leg's far end has asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Referral {
    /// How many there were.
    count: u32,
    /// The value of Event for the one that is under way, if its end is to be told.
    event: Option<String>,
}

impl Leg {
    /// Its far end asked for a transfer, and wants to be told of it if `told`. A later one is told apart by
    /// the number of its request (RFC 3515 §2.4.6).
    pub(crate) fn referred(&mut self, w: &mut World, cseq: u32, told: bool) {
        self.referral.count += 1;
        let id = if self.referral.count > 1 { format!(";id={cseq}") } else { String::new() };
        self.referral.event = told.then(|| format!("refer{id}"));
        self.tell_referrer(w, 100, false);
    }

    /// The session in which it speaks, while it is up.
    pub(crate) fn speaking(&self) -> Option<SessionId> {
        self.session.filter(|_| matches!(self.stage, Stage::Up))
    }

    /// The transfer has come so far; with a final status nothing more is told of it.
    pub(crate) fn tell_referrer(&mut self, w: &mut World, status: u16, last: bool) {
        let Some(session) = self.speaking() else { return };
        let Some(event) = self.referral.event.clone() else { return };
        let state = match last {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={}", EXPIRES.as_secs()),
        };
        let line = format!("SIP/2.0 {status} {}", reason_phrase(status));
        w.endpoint.notify_referrer(w.now.mono, session, (&event, &state), &line);
        if last {
            self.referral.event = None;
        }
    }
}
