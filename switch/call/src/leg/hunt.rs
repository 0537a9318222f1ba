//! A leg that rings a group: one step of members after the other, until somebody answers. Whoever is in a call,
//! is being offered one, does not want to be disturbed or has no phone is passed over, and so is whoever was
//! offered one and whose phone has not said yet that it knows of its end; what a member's phone refuses, is the
//! word of that member alone.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use facts::media::Family;
use facts::{Kind, LegId, Number};
use rand_core::RngCore;
use sip::wire::Reason;

use crate::event::LegEvent;
use crate::route::Target;
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::world::World;

use super::forks::Forks;
use super::hop::{Caller, Hop, hops};
use super::outbound::Final;
use super::{Leg, Stage};

/// How long each of the extensions of a scenario rings, and all of them together.
const AGENT_RING: Duration = Duration::from_secs(15);
const AGENTS_RING: Duration = Duration::from_secs(120);

/// Where the hunt of a leg stands.
#[derive(Clone, Debug)]
pub(super) struct Hunt {
    /// The group; `None` where extensions are rung that are none.
    group: Option<String>,
    /// Those whose turn has not come.
    steps: VecDeque<Vec<String>>,
    /// How long one step rings.
    ring: Duration,
    shown: Option<Number>,
    hidden: bool,
    /// Some member was at something else, or said that it is.
    busy: bool,
    /// Some member's phone rang, and nobody answered.
    unanswered: bool,
}

impl Hunt {
    /// The order of a call to a group or to extensions, and how long it may ring in all. `spares`: whoever let calls
    /// ring in vain comes last.
    pub(super) fn new(
        w: &mut World,
        target: &Target,
        caller: Caller<'_>,
        spares: bool,
    ) -> Result<(Hunt, Duration), Kind> {
        let settings = w.snapshot.clone();
        let (group, mut steps, ring, most) = match target {
            Target::Group(number) => {
                let group = settings.groups.get(number).filter(|group| group.enabled);
                let group = group.ok_or(Kind::Unreachable)?;
                let rng = &mut w.rng;
                let draw = |below: u64| rng.next_u64() % below.max(1);
                let steps = w.groups.steps((number, group), &w.agents, draw);
                let [ring, most] = [group.ring_s, group.timeout_s];
                let [ring, most] = [ring, most].map(|s| Duration::from_secs(s.into()));
                (Some(number.clone()), steps, ring, most)
            }
            Target::Agents(agents) => {
                let steps = agents.iter().map(|agent| vec![agent.clone()]).collect();
                (None, steps, AGENT_RING, AGENTS_RING)
            }
            Target::Contacts(_)
            | Target::Voicemail(_)
            | Target::Public(_)
            | Target::Bound { .. } => {
                return Err(Kind::Unreachable);
            }
        };
        if spares {
            let rests = |agent: &String| w.agents.rests(agent, w.now.mono);
            let last: Vec<Vec<String>> = steps
                .iter_mut()
                .map(|step: &mut Vec<String>| step.extract_if(.., |agent| rests(agent)).collect())
                .collect();
            steps.extend(last);
        }
        let hunt = Hunt {
            group,
            steps: steps.into(),
            ring,
            shown: caller.number.cloned(),
            hidden: caller.hidden,
            busy: false,
            unanswered: false,
        };
        Ok((hunt, most))
    }

    /// The phones of the next step that has any. All have to be of one family of addresses, because they share
    /// a port.
    pub(super) fn next(
        &mut self,
        w: &mut World,
        leg: LegId,
        family: Option<Family>,
    ) -> VecDeque<Hop> {
        let settings = w.snapshot.clone();
        while let Some(step) = self.steps.pop_front() {
            let mut ways = VecDeque::new();
            for member in step {
                let Some(agent) = settings.extensions.get(&member).filter(|agent| agent.enabled)
                else {
                    continue;
                };
                if agent.reach.dnd || !w.agents.is_free(&member, leg) {
                    self.busy = true;
                    continue;
                }
                if w.agents.fades(&member) {
                    continue;
                }
                let (number, hidden) = (self.shown.as_ref(), self.hidden);
                let caller = Caller { number, hidden, named: true, ..Caller::default() };
                let phones = hops(w, &Target::Contacts(member), caller).unwrap_or_default();
                ways.extend(phones);
            }
            let first = ways.front().map(|way: &Hop| Family::of(way.flow.remote.ip()));
            let family = family.or(first);
            ways.retain(|way| Some(Family::of(way.flow.remote.ip())) == family);
            if !ways.is_empty() {
                return ways;
            }
        }
        VecDeque::new()
    }

    /// Why nobody took the call: busy when all were, no answer when a phone rang in vain.
    pub(super) fn verdict(&self) -> Kind {
        match (self.unanswered, self.busy) {
            (true, _) => Kind::NoAnswer,
            (false, true) => Kind::Busy,
            (false, false) => Kind::Unreachable,
        }
    }

    /// A member's phone has refused.
    pub(super) fn refused(&mut self, answer: Final) {
        self.busy |= !answer.local && matches!(answer.code, 486 | 600 | 603);
    }

    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}

impl Leg {
    /// The extensions whose phones it rings, or that it talks with, are these now.
    pub(super) fn occupy(&mut self, w: &mut World, users: BTreeSet<Arc<str>>) {
        if self.agents.is_empty() && users.is_empty() {
            return;
        }
        let talked = self.answered_at.is_some();
        for user in self.agents.difference(&users) {
            w.agents.leave(user, self.id, w.now.mono, talked);
        }
        for user in users.difference(&self.agents) {
            w.agents.enter(user, self.id);
        }
        self.agents = users;
    }

    /// Its session was told its end: whoever is on it is free once that is over.
    pub(super) fn fade(&self, w: &mut World) {
        let Some(session) = self.session.filter(|id| w.endpoint.is_unended(*id)) else { return };
        for user in &self.agents {
            w.agents.fade(session, Arc::clone(user));
        }
    }

    /// Those whose phones still ring.
    pub(super) fn occupy_rung(&mut self, w: &mut World) {
        if let Stage::Inviting(forks) = &self.stage {
            let users = forks.users();
            self.occupy(w, users);
        }
    }

    /// Rings the next members for as long as one step lasts.
    pub(super) fn hunt_on(&mut self, w: &mut World) {
        let Some(hunt) = &self.hunt else { return };
        w.timers.set(Key::leg(self.id, Timer::Step), w.now.mono + hunt.ring);
        if let (Some(group), Stage::Inviting(forks)) = (hunt.group(), &self.stage) {
            for user in forks.users() {
                w.groups.offered(group, &user);
            }
        }
    }

    /// Takes the next members of the group; false when there are none.
    pub(super) fn next_members(&mut self, w: &mut World) -> bool {
        let family = self.hop.as_ref().map(|hop| Family::of(hop.flow.remote.ip()));
        let Some(hunt) = &mut self.hunt else { return false };
        let mut ways = hunt.next(w, self.id, family);
        let users = ways.iter().filter_map(|way| way.user.clone()).collect();
        self.occupy(w, users);
        let Some(first) = ways.pop_front() else { return false };
        self.hop = Some(Arc::new(first));
        self.hops = ways;
        true
    }

    /// Those of this step rang long enough.
    pub(crate) fn step_over(
        &mut self,
        w: &mut World,
        trace: &mut Trace,
        like: &[facts::media::Codec],
    ) -> Option<LegEvent> {
        let (Some(hunt), Stage::Inviting(forks)) = (&mut self.hunt, &mut self.stage) else {
            return None;
        };
        hunt.unanswered |= forks.rang;
        forks.unanswered(w);
        let row = Kind::NoAnswer.row();
        let reason = Reason::q850(u16::from(row.q850), row.label);
        let old = forks.cancel(w, Some(&reason));
        self.given_up.extend(&old);
        if self.next_members(w) {
            for session in &old {
                w.sessions.remove(session);
            }
            return self.invite(w, trace, like);
        }
        let kind = self.hunt.as_ref().map_or(Kind::NoAnswer, Hunt::verdict);
        Some(LegEvent::Failed(self.lost(w, trace, kind, self.origin())))
    }

    /// This one took the call: the record bears its number, and the others are free.
    pub(super) fn taken_by(&mut self, w: &mut World, user: Option<Arc<str>>) {
        w.timers.cancel(Key::leg(self.id, Timer::Step));
        if let (Some(hunt), Some(user)) = (&self.hunt, &user) {
            if let Some(group) = hunt.group() {
                w.groups.taken(group, user);
            }
            self.facts.number = Number::Internal(user.to_string());
        }
        self.occupy(w, user.into_iter().collect());
    }
}

impl Forks {
    /// They rang as long as they were to, and nobody picked up.
    pub(super) fn unanswered(&self, w: &mut World) {
        for user in self.users() {
            w.agents.missed(&user, w.now.mono);
        }
    }

    /// Extensions whose phones still ring.
    fn users(&self) -> BTreeSet<Arc<str>> {
        self.hops().filter_map(|hop| hop.user.clone()).collect()
    }
}
