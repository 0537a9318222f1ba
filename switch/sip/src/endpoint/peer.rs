//! What single peers want otherwise than others: how every message to them is written, and the session timer of
//! one session.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use super::table::Phase;
use super::{Endpoint, Flow, SessionId, Transmit};
use crate::dialog::SessionTimers;
use crate::wire::compact;

/// How messages to a peer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Header fields bear their short names (RFC 3261 §7.3.3).
    pub compact: bool,
    /// The Via of our requests asks for `rport` (RFC 3581 §3).
    pub rport: bool,
    /// The Via of our requests asks it to say how much is too much (RFC 7339 §4).
    pub relief: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { compact: false, rport: true, relief: false }
    }
}

impl Endpoint {
    /// Peers that are written to otherwise than all, by their address; the list is whole.
    pub fn write_for(&mut self, mut styles: BTreeMap<IpAddr, Style>) {
        styles.retain(|_, style| *style != Style::default());
        self.styles = styles;
    }

    pub(super) fn style(&self, flow: &Flow) -> Style {
        if self.styles.is_empty() {
            return Style::default();
        }
        self.styles.get(&flow.remote.ip()).copied().unwrap_or_default()
    }

    pub(super) fn styled(&self, transmit: Transmit) -> Transmit {
        if self.style(&transmit.flow).compact {
            return Transmit { bytes: compact(&transmit.bytes), ..transmit };
        }
        transmit
    }

    /// The session timer of a session whose INVITE has just come is this, and not everybody's. `false`: it asks for
    /// less than may be, and was refused with 422 (RFC 4028 §9); the session is gone, without an event.
    pub fn time(&mut self, now: Instant, id: SessionId, timers: SessionTimers) -> bool {
        let Some(server) = self.unanswered(id) else { return true };
        let request = self.servers.get(&server).and_then(|row| row.request()).cloned();
        let Some(request) = request else { return true };
        match timers.granted(&request) {
            Ok(granted) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.timers = Some(timers);
                    if let Phase::Ringing(ringing) = &mut session.phase {
                        ringing.granted = granted;
                    }
                }
                true
            }
            Err(min_se) => {
                let least = vec![("Min-SE".to_owned(), min_se.to_string().into_bytes())];
                self.reject(now, id, 422, least);
                false
            }
        }
    }

    /// The wishes for the session timer of a session.
    pub(super) fn timers(&self, id: SessionId) -> SessionTimers {
        let own = self.sessions.get(&id).and_then(|session| session.timers);
        own.unwrap_or(self.config.session)
    }

    /// What we say that we take in a session.
    pub(super) fn supported(&self, id: SessionId) -> &'static str {
        if self.timers(id).spoken { super::SUPPORTED } else { super::SUPPORTED_UNTIMED }
    }
}
