//! How many connections there may be: in all, and from one address. Whoever is let in holds a [`Pass`] for
//! as long as the connection lives, handshakes included.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::TcpKnobs;

/// Counts connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<Crowd>>);

#[derive(Debug, Default)]
struct Crowd {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// Gives its place back when it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    from: Option<IpAddr>,
}

impl Gate {
    /// A place for a connection from this address; `None` when there are too many.
    pub(super) fn enter(&self, from: IpAddr, knobs: &TcpKnobs) -> Option<Pass> {
        // RFC 4291 §2.5.4: whoever has one IPv6 address has its /64.
        let from = match from.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
            v4 => v4,
        };
        let mut crowd = self.crowd();
        let mine = crowd.by_address.get(&from).copied().unwrap_or_default();
        if crowd.all >= knobs.connections_max || mine >= knobs.per_address {
            return None;
        }
        crowd.all += 1;
        crowd.by_address.insert(from, mine + 1);
        Some(Pass { gate: self.clone(), from: Some(from) })
    }

    /// A place for a connection that we make.
    pub(super) fn leave(&self, knobs: &TcpKnobs) -> Option<Pass> {
        let mut crowd = self.crowd();
        if crowd.all >= knobs.connections_max {
            return None;
        }
        crowd.all += 1;
        Some(Pass { gate: self.clone(), from: None })
    }

    fn crowd(&self) -> std::sync::MutexGuard<'_, Crowd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut crowd = self.gate.crowd();
        crowd.all = crowd.all.saturating_sub(1);
        let Some(from) = self.from else { return };
        if let Some(count) = crowd.by_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                crowd.by_address.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let knobs = TcpKnobs { connections_max: 4, per_address: 2, ..Config::default().tcp };
        let gate = Gate::default();
        let enter = |from: &str| gate.enter(from.parse().unwrap(), &knobs);
        let held = (enter("192.0.2.1"), enter("192.0.2.1"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("::ffff:192.0.2.1").is_none(), "the same address in other clothes");
        let other = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(other.0.is_some() && other.1.is_some());
        assert!(enter("192.0.2.9").is_none() && gate.leave(&knobs).is_none(), "full");
        drop(held);
        assert!(enter("2001:db8::3").is_none(), "a third of the same /64");
        assert!(gate.leave(&knobs).is_some());
        let counted = || {
            let crowd = gate.crowd();
            (crowd.all, crowd.by_address.len())
        };
        assert_eq!(counted(), (2, 1));
        drop(other);
        assert_eq!(counted(), (0, 0));
    }
}
