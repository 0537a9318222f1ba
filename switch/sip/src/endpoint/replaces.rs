//! Which session a Replaces names (RFC 3891 §3), and how it stands.

use super::table::Phase;
use super::{Endpoint, Flow, SessionId};
use crate::dialog::Dialog;
use crate::wire::Replaces;

/// How the dialog stands that a Replaces names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Confirmed.
    Up,
    /// Early, of an INVITE of ours.
    Calling,
    /// Early, of theirs: such a one cannot be replaced (§3).
    Called,
    /// It has ended.
    Over,
}

impl Endpoint {
    /// The session that this names, by its Call-ID and both tags. The receiver's tag is ours.
    pub fn named(&self, replaces: &Replaces) -> Option<(SessionId, Standing)> {
        let id = self.session_by_tag(&replaces.to_tag)?;
        let is = |dialog: &Dialog| {
            dialog.call_id == replaces.call_id
                && dialog.local_tag == replaces.to_tag
                && same(&dialog.remote_tag, &replaces.from_tag)
        };
        let standing = match &self.sessions.get(&id)?.phase {
            Phase::Up(up) if is(&up.dialog) => match up.bye {
                Some(_) => Standing::Over,
                None => Standing::Up,
            },
            Phase::Ending(dialog) if is(dialog) => Standing::Over,
            Phase::Ringing(ringing) if is(&ringing.dialog) => Standing::Called,
            Phase::Calling(calling) => {
                let ours = self.session_call_id(id) == Some(replaces.call_id.as_str())
                    && replaces.to_tag == self.ids.tag(id.0);
                let early = calling.early.iter().any(|early| same(&early.tag, &replaces.from_tag));
                (ours && early).then_some(Standing::Calling)?
            }
            _ => return None,
        };
        Some((id, standing))
    }

    /// How the other end of a session that is up would be told of it (RFC 3891 §6.1): its tag is the one of
    /// the receiver.
    pub fn name_of(&self, session: SessionId) -> Option<Replaces> {
        let Phase::Up(up) = &self.sessions.get(&session)?.phase else { return None };
        Some(Replaces {
            call_id: up.dialog.call_id.clone(),
            to_tag: up.dialog.remote_tag.clone(),
            from_tag: up.dialog.local_tag.clone(),
            early_only: false,
        })
    }

    /// The way of a session that is up.
    pub fn flow_of(&self, session: SessionId) -> Option<Flow> {
        match &self.sessions.get(&session)?.phase {
            Phase::Up(up) => Some(up.dialog.flow),
            Phase::Calling(_) | Phase::Ringing(_) | Phase::Ending(_) | Phase::Over(_) => None,
        }
    }
}

/// §6.1: a tag of 0 is that of a peer that has none.
fn same(tag: &str, named: &str) -> bool {
    tag == named || tag.is_empty() && named == "0"
}
