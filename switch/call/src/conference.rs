//! What a call does as a conference: who is in it, who is to be rung, what is done to either.
//!
//! Each participant is one leg, asked of the ledger by itself. Whoever has left and is asked for again gets another.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use facts::conference::{
    Act, ActRefused, ConferenceView, LEGS_MAX, Participant, ParticipantView, Standing,
};
use facts::fraud::Scope;
use facts::ledger::{AddLeg, Added};
use facts::media::MediaCommand;
use facts::policy::Asking;
use facts::room::{RoomNews, RoomOrder, RoomRefusal, RoomRole};
use facts::{CallId, Failure, Kind, LegId, LegNo, Number, Origin, Refusal, RequestKey, UnixMillis};

use crate::call::{Call, Phase};
use crate::event::{Effect, Input, LegEvent, Room, ours};
use crate::flow::{Conference, Flow};
use crate::leg::{Called, Leg};
use crate::route::Target;
use crate::tie::Visitor;
use crate::timers::{Key, Timer};
use crate::world::World;

/// So long after the payer's calls of a second were used up it is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Who was asked for in a conference, and what he may do.
pub(crate) struct Roster {
    members: BTreeMap<LegNo, Member>,
    /// Who is to be rung next, as fast as the payer's rate allows.
    queue: VecDeque<LegNo>,
    /// Nobody else may be asked for.
    locked: bool,
    chimes: bool,
    /// Under which keys others were asked for, and what for; each has rung somebody, so they are as many as legs at most.
    invitations: BTreeMap<String, String>,
}

struct Member {
    name: String,
    number: Number,
    as_sent: String,
    /// How he is to be rung; `None` for whoever was rung otherwise.
    invitation: Option<Participant>,
    /// What the ledger is asked for, until it answers.
    asked: Option<Asked>,
    role: RoomRole,
    talks: bool,
    /// His scenario led him here.
    guest: Option<Guest>,
}

/// Whoever came by his own call, which is no leg of this one.
struct Guest {
    call: CallId,
    came: Option<UnixMillis>,
    left: Option<UnixMillis>,
}

/// A leg that is about to be rung.
pub(crate) struct Asked {
    pub(crate) target: Target,
    pub(crate) called: Called,
    pub(crate) shown: Option<Number>,
}

impl Member {
    fn new(invitation: Participant) -> Member {
        Member {
            name: invitation.name.clone(),
            number: invitation.party.number.clone(),
            as_sent: invitation.party.as_sent.clone(),
            invitation: Some(invitation),
            asked: None,
            role: RoomRole::default(),
            talks: false,
            guest: None,
        }
    }
}

impl Call {
    /// The program of a conference, and its orders carried out.
    pub(crate) fn start_conference(&mut self, w: &mut World) {
        let Some(asked) = self.command.conference.clone() else { return };
        let creator = Participant { name: asked.creator, party: self.command.a.clone() };
        self.roster = Some(Box::new(Roster {
            members: BTreeMap::from([(LegNo::A, Member::new(creator))]),
            queue: VecDeque::new(),
            locked: false,
            chimes: asked.chimes,
            invitations: BTreeMap::new(),
        }));
        self.legs.truncate(1);
        for participant in asked.others {
            self.enlist(participant);
        }
        let mut orders = Vec::new();
        self.plan.flow = Flow::Conference(Conference::start(&mut orders));
        self.perform(w, orders);
    }

    /// Somebody gets a leg that nobody has rung yet. `None`: there can be no more.
    fn enlist(&mut self, participant: Participant) -> Option<LegNo> {
        let no = self.next_leg()?;
        self.roster.as_mut()?.members.insert(no, Member::new(participant));
        self.legs.push(None);
        Some(no)
    }

    /// Somebody whom his scenario leads here gets a leg that nobody is on.
    ///
    /// # Errors
    /// When the conference is not open or is locked, has somebody under his number, who could not be told from him, or
    /// is full.
    pub(crate) fn let_in(&mut self, visitor: Visitor) -> Result<LegNo, Kind> {
        let conference = self.conference().filter(|conference| conference.is_open());
        let conference = conference.ok_or(Kind::NoRoute)?;
        if self.named(conference, &visitor.number).is_some() {
            return Err(Kind::Busy);
        }
        let no = self.next_leg().ok_or(Kind::Congestion)?;
        let roster = self.roster.as_mut().filter(|roster| !roster.locked);
        let roster = roster.ok_or(Kind::Forbidden)?;
        let Visitor { call, number, as_sent, .. } = visitor;
        let guest = Some(Guest { call, came: None, left: None });
        let (name, role) = (String::new(), RoomRole::default());
        let (invitation, asked) = (None, None);
        let member = Member { name, number, as_sent, invitation, asked, role, talks: false, guest };
        roster.members.insert(no, member);
        self.legs.push(None);
        Ok(no)
    }

    /// How somebody is to be rung who was not, as whoever asked wrote his number.
    pub(crate) fn wanted_as(&self, no: LegNo) -> Option<&str> {
        Some(&self.roster.as_ref()?.members.get(&no)?.as_sent)
    }

    /// True while somebody is led here by his scenario, and is not in yet.
    fn comes(&self, no: LegNo) -> bool {
        let member = self.roster.as_ref().and_then(|roster| roster.members.get(&no));
        let guest = member.and_then(|member| member.guest.as_ref());
        guest.is_some_and(|guest| guest.came.is_none() && guest.left.is_none())
    }

    /// Notes that somebody who came by his scenario is not there any more.
    pub(crate) fn left_at(&mut self, w: &World, no: LegNo) {
        let at = self.clock(w.now.mono);
        let member = self.roster.as_mut().and_then(|roster| roster.members.get_mut(&no));
        if let Some(guest) = member.and_then(|member| member.guest.as_mut()) {
            guest.left.get_or_insert(at);
        }
    }

    /// When the last one left of those who came by their scenarios.
    pub(crate) fn last_guest_left(&self) -> Option<UnixMillis> {
        let members = self.roster.iter().flat_map(|roster| roster.members.values());
        let guests = members.filter_map(|member| member.guest.as_ref());
        guests.filter(|guest| guest.came.is_some()).filter_map(|guest| guest.left).max()
    }

    /// The flow of a conference, while there is one.
    fn conference(&self) -> Option<Conference> {
        match self.plan.flow {
            Flow::Conference(conference) if matches!(self.phase, Phase::Live) => Some(conference),
            _ => None,
        }
    }

    /// Those who hear each other: the pair, or all who are in the room.
    pub(crate) fn talkers(&self) -> Vec<LegNo> {
        match self.plan.flow {
            Flow::Conference(conference) => conference.there().collect(),
            _ => self.pair.to_vec(),
        }
    }

    /// All who were not rung yet are to be; the longest that it may last has begun.
    pub(crate) fn gather(&mut self, w: &mut World) {
        self.warn_before(w, self.limit);
        let Some(roster) = &self.roster else { return };
        let others = roster.members.keys().filter(|no| **no != LegNo::A);
        let invited = others.map(|no| Input::Room(Room::Invited(*no)));
        self.inbox.extend(invited);
    }

    /// A participant is to be rung when it is his turn.
    pub(crate) fn queue(&mut self, no: LegNo) {
        if let Some(roster) = &mut self.roster {
            roster.queue.push_back(no);
        }
    }

    /// Who is to be rung next, and how.
    pub(crate) fn next_to_ring(&mut self) -> Option<(LegNo, Participant)> {
        let conference = self.conference()?;
        let roster = self.roster.as_mut()?;
        // Who was sent out meanwhile is not rung.
        while roster.queue.front().is_some_and(|no| !conference.awaits(*no)) {
            roster.queue.pop_front();
        }
        let no = *roster.queue.front()?;
        Some((no, roster.members.get(&no)?.invitation.clone()?))
    }

    /// It is somebody's turn: the ledger is asked, unless he cannot be rung at all.
    pub(crate) fn ring_next(&mut self, w: &mut World, asked: Result<Asked, Kind>) {
        let Some(roster) = &mut self.roster else { return };
        let Some(no) = roster.queue.pop_front() else { return };
        let asked = asked.and_then(|asked| {
            let number = asked.target.number();
            let scopes = Scope::all_of(&self.command);
            let asking = Asking::of(&self.command, true);
            w.may_call((Some(self.id), &scopes), [&number])
                .and_then(|()| w.may_ring((Some(self.id), &asking), [&number]))
                .map_err(Refusal::kind)?;
            w.count_leg(&scopes, LegId::new(self.id, no), &number);
            let caps = w.caps(&asking, [(no, &number)]);
            Ok((asked, number, caps))
        });
        match asked {
            Ok((asked, number, caps)) => {
                if let Some(member) = roster.members.get_mut(&no) {
                    member.asked = Some(asked);
                }
                let (leg, at) = (LegId::new(self.id, no), self.clock(w.now.mono));
                w.timers.set(Key::leg(leg, Timer::Transfer), w.now.mono + w.config.authorize);
                w.emit(Effect::AddLeg(AddLeg { leg, number, own: Vec::new(), caps, at }));
            }
            Err(kind) => self.feed(w, Input::Leg(no, LegEvent::Failed(ours(kind)))),
        }
    }

    /// Not now: the payer's calls of this second are used up.
    pub(crate) fn ring_later(&self, w: &mut World) {
        w.timers.set(Key::call(self.id, Timer::Wait), w.now.mono + AGAIN);
    }

    /// The ledger's word on a participant's leg.
    pub(crate) fn participant_added(&mut self, w: &mut World, no: LegNo, answer: Option<Added>) {
        let id = LegId::new(self.id, no);
        w.timers.cancel(Key::leg(id, Timer::Transfer));
        let awaited = self.conference().is_some_and(|conference| conference.awaits(no));
        let roster = self.roster.as_mut();
        let asked = roster.and_then(|roster| roster.members.get_mut(&no)?.asked.take());
        let Some(asked) = asked.filter(|_| awaited) else {
            // Sent out meanwhile, or given up: what is held goes back with the end of the call.
            if self.leg(no).is_none() {
                w.fraud.leave(id);
            }
            return;
        };
        let rung = match answer {
            Some(Added::Paid(paid)) => {
                let Asked { called, target, shown } = &asked;
                Leg::dial(w, id, called, target, shown.as_ref(), paid)
            }
            Some(Added::Refused(refusal)) => {
                w.fraud.leave(id);
                if refusal == Refusal::TooOften {
                    let asking = Asking::of(&self.command, true);
                    w.rung_too_often((self.id, &asking), &[asked.target.number()]);
                }
                Err(Failure::new(Origin::Billing, refusal.kind()))
            }
            None => {
                w.fraud.leave(id);
                Err(ours(Kind::Internal))
            }
        };
        match rung {
            Ok(leg) => {
                self.legs[usize::from(no.0)] = Some(leg);
                self.run(w);
            }
            Err(failure) => self.feed(w, Input::Leg(no, LegEvent::Failed(failure))),
        }
    }

    /// A leg is in the room from now on.
    pub(crate) fn enter(&mut self, w: &mut World, no: LegNo) {
        let facts = self.leg(no).map(|leg| leg.facts.clone());
        let (tied, now) = (self.is_tied(no), self.clock(w.now.mono));
        let Some(roster) = &mut self.roster else { return };
        if let Some(facts) = facts {
            // Whoever called in to take a place has no invitation.
            roster.members.entry(no).or_insert_with(|| Member {
                name: String::new(),
                number: facts.number,
                as_sent: facts.as_sent,
                invitation: None,
                asked: None,
                role: RoomRole::default(),
                talks: false,
                guest: None,
            });
        }
        let Some(member) = roster.members.get_mut(&no) else { return };
        if let Some(guest) = &mut member.guest {
            guest.came = Some(now);
        }
        let call = self.id;
        if member.role != RoomRole::default() {
            let order = RoomOrder::Role { leg: no, role: member.role };
            w.media(MediaCommand::Room { call, order });
        }
        if std::mem::take(&mut roster.chimes) {
            w.media(MediaCommand::Room { call, order: RoomOrder::Chimes { on: true } });
        }
        let recorded = self.is_recorded();
        let language = self.plan.language.clone();
        if tied {
            self.tie_hears_room(w, no);
        }
        self.with(no, |leg, _| leg.hear_room(w));
        if recorded {
            self.notice(w, no, &language);
        }
        if self.talkers().len() > 1 {
            self.meet(w);
        }
    }

    /// News from the room.
    pub(crate) fn room_news(&mut self, w: &mut World, news: RoomNews) {
        match news {
            // One of the three speaks something else from now on, or there are too many rooms.
            RoomNews::Refused { .. } if self.monitor.is_some() => {
                let failure = Failure::new(Origin::Media, Kind::NotAcceptable);
                self.unsupervise(w, Some(failure));
                self.run(w);
            }
            RoomNews::Refused { leg, why } => {
                let kind = match why {
                    RoomRefusal::Codec => Kind::NotAcceptable,
                    RoomRefusal::Full | RoomRefusal::TooManyRooms | RoomRefusal::Locked => {
                        Kind::Congestion
                    }
                };
                let failure = Failure::new(Origin::Media, kind);
                self.bar(w, leg);
                self.feed(w, Input::Room(Room::Out(leg, Some(failure))));
            }
            RoomNews::Talking { leg, talks } => {
                let roster = self.roster.as_mut();
                if let Some(member) = roster.and_then(|roster| roster.members.get_mut(&leg)) {
                    member.talks = talks;
                }
            }
            RoomNews::Joined { .. } | RoomNews::Left { .. } | RoomNews::Announced => {}
        }
    }

    /// The paid time of a leg is over: of a conference it alone goes, and so does who supervises.
    pub(crate) fn unpaid(&mut self, w: &mut World, no: LegNo) {
        let failure = Failure::new(Origin::Billing, Kind::CreditExhausted);
        if self.supervised_by(no).is_some() {
            self.unsupervise(w, Some(failure));
            return self.run(w);
        }
        let input = match self.plan.flow {
            Flow::Conference(_) => Input::Room(Room::Out(no, Some(failure))),
            _ => Input::Cut(failure),
        };
        self.feed(w, input);
    }

    /// Does what was asked for.
    pub(crate) fn act(&mut self, w: &mut World, act: Act) -> Result<(), ActRefused> {
        let conference = self.conference().filter(|conference| !conference.ending());
        let conference = conference.ok_or(ActRefused::Unknown)?;
        match act {
            Act::Invite(all, key) => self.invite(w, all, key)?,
            Act::Mute { who, muted } => {
                self.set_role(w, &who, |role| RoomRole { speaks: !muted, ..role })?;
            }
            Act::Deafen { who, deaf } => {
                self.set_role(w, &who, |role| RoomRole { hears: !deaf, ..role })?;
            }
            Act::Kick { who } => {
                let no = self.named(conference, &who).ok_or(ActRefused::NotThere)?;
                if self.comes(no) {
                    self.untied(w, no);
                } else if conference.is_open() || no == LegNo::A {
                    self.feed(w, Input::Room(Room::Out(no, None)));
                } else if let Some(roster) = &mut self.roster {
                    // Nobody has rung him yet.
                    roster.members.remove(&no);
                }
            }
            Act::Lock { locked } => {
                if let Some(roster) = &mut self.roster {
                    roster.locked = locked;
                }
            }
            Act::Close => self.feed(w, Input::Room(Room::Close)),
        }
        Ok(())
    }

    /// Whether nobody was asked for under this key before.
    pub(crate) fn is_new(&self, key: Option<&RequestKey>) -> Result<(), ActRefused> {
        let Some((roster, key)) = self.roster.as_ref().zip(key) else { return Ok(()) };
        match roster.invitations.get(&key.key) {
            None => Ok(()),
            Some(known) if *known == key.fingerprint => Err(ActRefused::Repeated),
            Some(_) => Err(ActRefused::KeyConflict),
        }
    }

    fn invite(
        &mut self,
        w: &mut World,
        all: Vec<Participant>,
        key: Option<RequestKey>,
    ) -> Result<(), ActRefused> {
        let conference = self.conference().ok_or(ActRefused::Unknown)?;
        if self.roster.as_ref().is_some_and(|roster| roster.locked) {
            return Err(ActRefused::Locked);
        }
        if self.legs.len() + all.len() > LEGS_MAX {
            return Err(ActRefused::Full);
        }
        if all.iter().any(|one| self.named(conference, &one.party.number).is_some()) {
            return Err(ActRefused::AlreadyThere);
        }
        if let Some((roster, key)) = self.roster.as_mut().zip(key.filter(|_| !all.is_empty())) {
            roster.invitations.insert(key.key, key.fingerprint);
        }
        for participant in all {
            // Before A has answered nobody else is rung.
            let no = self.enlist(participant).filter(|_| conference.is_open());
            self.inbox.extend(no.map(|no| Input::Room(Room::Invited(no))));
        }
        self.run(w);
        Ok(())
    }

    /// The leg by which somebody is in, rung, or to be, or led here by his scenario.
    fn named(&self, conference: Conference, who: &Number) -> Option<LegNo> {
        let members = &self.roster.as_ref()?.members;
        let known = members.iter().rev().filter(|(_, member)| member.number == *who);
        let mut here = known.filter(|(no, member)| {
            let waits = !conference.is_open() && self.leg(**no).is_none();
            let comes = member.guest.as_ref().is_some_and(|guest| guest.left.is_none());
            conference.awaits(**no) || conference.there().any(|leg| leg == **no) || waits || comes
        });
        here.next().map(|(no, _)| *no)
    }

    fn set_role(
        &mut self,
        w: &mut World,
        who: &Number,
        change: impl FnOnce(RoomRole) -> RoomRole,
    ) -> Result<(), ActRefused> {
        let conference = self.conference().ok_or(ActRefused::Unknown)?;
        let leg = self.named(conference, who).ok_or(ActRefused::NotThere)?;
        let roster = self.roster.as_mut().ok_or(ActRefused::Unknown)?;
        let member = roster.members.get_mut(&leg).ok_or(ActRefused::NotThere)?;
        member.role = change(member.role);
        // Who is not in yet gets it when he comes.
        if conference.there().any(|no| no == leg) {
            let order = RoomOrder::Role { leg, role: member.role };
            w.media(MediaCommand::Room { call: self.id, order });
        }
        Ok(())
    }

    /// How it stands, for whoever asked for it.
    pub(crate) fn conference_view(&self) -> Option<ConferenceView> {
        let conference = self.conference()?;
        let roster = self.roster.as_ref()?;
        let view = |(no, member): (&LegNo, &Member)| {
            let leg = self.leg(*no);
            let guest = member.guest.as_ref();
            let standing = match leg {
                None if guest.is_some_and(|guest| guest.left.is_some()) => Standing::Left,
                None if guest.is_some_and(|guest| guest.came.is_some()) => Standing::Joined,
                None if guest.is_some() => Standing::Calling,
                Some(leg) if leg.is_over() => Standing::Left,
                Some(_) if conference.there().any(|there| there == *no) => Standing::Joined,
                Some(leg) if leg.facts.alerting.or(leg.facts.progress).is_some() => {
                    Standing::Alerting
                }
                Some(_) => Standing::Calling,
                None if conference.awaits(*no) || !conference.is_open() => Standing::Waiting,
                None => Standing::Left,
            };
            ParticipantView {
                leg: *no,
                name: member.name.clone(),
                as_sent: member.as_sent.clone(),
                standing,
                muted: !member.role.speaks,
                deaf: !member.role.hears,
                talks: member.talks && standing == Standing::Joined,
                call: guest.map(|guest| guest.call),
                joined: leg.map_or(guest.and_then(|it| it.came), |leg| leg.facts.answered),
                left: leg.map_or(guest.and_then(|it| it.left), |leg| leg.facts.ended),
                failure: match leg.filter(|leg| leg.attempted) {
                    Some(leg) => leg.facts.failure,
                    None => self.unrung(*no).map(|unrung| unrung.failure),
                },
            }
        };
        let participants = roster.members.iter().map(view).collect();
        Some(ConferenceView { locked: roster.locked, participants })
    }
}
