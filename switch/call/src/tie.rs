//! A call whose scenario leads into a conference of the same merchant: the two are tied by a port of each.
//!
//! ```text
//!   the conference:  P ── room ── port ◄──► port ── A   the call that is led there
//! ```
//!
//! The ports are no legs: nobody is on them, nobody pays for them, no record knows of them. Each call keeps its own
//! legs, holds, limits and record. Nobody unties them by an order: an end is kept for as long as the program of its call
//! wants it, and when one goes, the other one does.

use std::net::SocketAddr;

use facts::media::{Codec, Family, MediaCommand, Source};
use facts::{CallId, Kind, LegId, LegNo, Number};

use crate::call::{Call, Phase};
use crate::event::{Hear, Input, LegEvent, Room, Visit};
use crate::flow::Flow;
use crate::timers::{Key, Timer};
use crate::world::World;

/// The end of a tie in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tie {
    /// The other end, in the other call.
    pub(crate) to: LegId,
    /// What is spoken between the two.
    codec: Codec,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// A port was asked for.
    Opening,
    /// It is there.
    Open(SocketAddr),
    /// Both are, and speak to each other.
    Tied,
    /// The port is given back.
    Closing,
}

/// Whoever is led into a conference, as it sees him.
pub(crate) struct Visitor {
    pub(crate) call: CallId,
    pub(crate) number: Number,
    pub(crate) as_sent: String,
    pub(crate) codec: Codec,
}

impl Call {
    /// What A speaks, where that can be mixed and A may be led elsewhere.
    pub(crate) fn visitor(&self) -> Option<Visitor> {
        let visits = matches!(self.plan.flow, Flow::Script(script) if script.visits());
        let leg = self.leg(LegNo::A).filter(|leg| leg.is_up())?;
        let codec = leg.codecs().first().copied().unwrap_or(Codec::Pcma);
        let may = visits && matches!(self.phase, Phase::Live) && codec.transcodes();
        may.then(|| Visitor {
            call: self.id,
            number: leg.facts.number.clone(),
            as_sent: leg.facts.as_sent.clone(),
            codec,
        })
    }

    /// Asks for the port of an end.
    pub(crate) fn open_tie(&mut self, w: &mut World, no: LegNo, to: LegId, codec: Codec) {
        self.ties.insert(no, Tie { to, codec, stage: Stage::Opening });
        let leg = LegId::new(self.id, no);
        w.media(MediaCommand::Open { leg, family: Family::V4 });
    }

    /// Its port is there. False where the leg is no end of a tie.
    pub(crate) fn tie_opened(&mut self, w: &mut World, no: LegNo, local: SocketAddr) -> bool {
        let Some(tie) = self.ties.get_mut(&no) else { return false };
        if tie.stage == Stage::Opening {
            tie.stage = Stage::Open(local);
            w.tied.push_back(LegId::new(self.id, no));
        }
        true
    }

    /// Its port is not there, or not any more. False where the leg is no end of a tie.
    pub(crate) fn tie_closed(&mut self, w: &mut World, no: LegNo) -> bool {
        let Some(tie) = self.ties.remove(&no) else { return false };
        if tie.stage != Stage::Closing {
            w.unlinked.push_back(tie.to);
            self.left_at(w, no);
            self.tape.forget(no);
            self.parted(no);
        }
        self.run(w);
        true
    }

    /// Where the other end may speak to this one, once its port is there.
    pub(crate) fn tie_waits(&self, no: LegNo) -> Option<(LegId, SocketAddr)> {
        match self.ties.get(&no) {
            Some(Tie { to, stage: Stage::Open(local), .. }) => Some((*to, *local)),
            _ => None,
        }
    }

    /// Both ports are there: whoever is led into the conference comes in.
    pub(crate) fn tied(&mut self, w: &mut World, no: LegNo, to: SocketAddr) {
        let waits = |tie: &&mut Tie| matches!(tie.stage, Stage::Open(_));
        let Some(tie) = self.ties.get_mut(&no).filter(waits) else { return };
        tie.stage = Stage::Tied;
        let leg = LegId::new(self.id, no);
        w.media(MediaCommand::Link { leg, to, codec: tie.codec });
        let Flow::Script(_) = self.plan.flow else {
            return self.feed(w, Input::Room(Room::Came(no)));
        };
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        self.warn_before(w, self.limit);
        let a = LegId::new(self.id, LegNo::A);
        w.media(MediaCommand::Hear { leg, source: Source::Leg(a) });
        let language = self.plan.language.clone();
        self.with(LegNo::A, |leg, _| leg.hear(w, Hear::Leg(no), &language));
        self.feed(w, Input::Visit(Visit::In));
    }

    /// The other end is gone. False where the leg is no end of a tie.
    pub(crate) fn untied(&mut self, w: &mut World, no: LegNo) -> bool {
        let Some(tie) = self.ties.get(&no).copied() else { return false };
        if tie.stage != Stage::Closing {
            self.part(w, no, tie);
            self.parted(no);
            self.run(w);
        }
        true
    }

    /// The room does not take whoever is behind an end: his own call is told before the tie goes.
    pub(crate) fn bar(&self, w: &mut World, no: LegNo) {
        if let Some(tie) = self.ties.get(&no) {
            w.barred.push_back(tie.to);
        }
    }

    /// The conference that A is let into has no room for him after all.
    pub(crate) fn barred(&mut self, w: &mut World, no: LegNo) {
        if self.is_tied(no) {
            self.feed(w, Input::Visit(Visit::Refused(Kind::Congestion)));
        }
    }

    /// Gives the port of an end back.
    fn part(&mut self, w: &mut World, no: LegNo, tie: Tie) {
        self.ties.insert(no, Tie { stage: Stage::Closing, ..tie });
        w.media(MediaCommand::Close { leg: LegId::new(self.id, no) });
        w.unlinked.push_back(tie.to);
        self.left_at(w, no);
        self.tape.forget(no);
    }

    /// The program of the call is told that an end has gone.
    fn parted(&mut self, no: LegNo) {
        self.inbox.push_back(match self.plan.flow {
            Flow::Script(_) => Input::Visit(Visit::Out),
            _ => Input::Leg(no, LegEvent::HungUp),
        });
    }

    /// Gives back the ends that the program of the call does not want any more.
    pub(crate) fn tend_ties(&mut self, w: &mut World) {
        if self.ties.is_empty() {
            return;
        }
        let (flow, live) = (self.plan.flow, matches!(self.phase, Phase::Live));
        self.untie(w, |(no, tie)| match flow {
            Flow::Conference(conference) if live && conference.is_open() => {
                tie.stage == Stage::Tied && !conference.there().any(|there| there == no)
            }
            Flow::Script(script) if live => !script.visits(),
            _ => true,
        });
    }

    fn untie(&mut self, w: &mut World, which: impl Fn((LegNo, Tie)) -> bool) {
        let ends = self.ties.iter().map(|(no, tie)| (*no, *tie));
        let open = ends.filter(|(_, tie)| tie.stage != Stage::Closing);
        let gone: Vec<(LegNo, Tie)> = open.filter(|end| which(*end)).collect();
        for (no, tie) in gone {
            self.part(w, no, tie);
        }
    }

    /// The end by which A is in a conference.
    pub(crate) fn visits_by(&self, no: LegNo) -> Option<LegId> {
        let visits = no == LegNo::A && matches!(self.plan.flow, Flow::Script(_));
        let tied = |(_, tie): &(&LegNo, &Tie)| tie.stage == Stage::Tied;
        let (end, _) = self.ties.iter().find(tied).filter(|_| visits)?;
        Some(LegId::new(self.id, *end))
    }

    /// The ends behind which somebody is in this conference.
    pub(crate) fn guests(&self) -> impl Iterator<Item = LegNo> {
        let hosts = matches!(self.plan.flow, Flow::Conference(_));
        let tied = self.ties.iter().filter(move |(_, tie)| hosts && tie.stage == Stage::Tied);
        tied.map(|(no, _)| *no)
    }

    /// True where a leg of a conference is the end of a tie, and whoever is behind it is in.
    pub(crate) fn is_tied(&self, no: LegNo) -> bool {
        self.ties.get(&no).is_some_and(|tie| tie.stage == Stage::Tied)
    }

    /// Whoever is behind an end hears the room, and is heard.
    pub(crate) fn tie_hears_room(&self, w: &mut World, no: LegNo) {
        w.media(MediaCommand::Hear { leg: LegId::new(self.id, no), source: Source::Room });
    }

    /// Lays a sound over what whoever is behind an end hears. False where nobody is.
    pub(crate) fn tie_tell(
        &self,
        w: &mut World,
        no: LegNo,
        (source, interruptible): (Source, bool),
    ) -> bool {
        let tied = self.is_tied(no);
        if tied {
            let leg = LegId::new(self.id, no);
            let interruptible = interruptible && source != Source::Silence;
            w.media(MediaCommand::Interject { leg, source });
            if interruptible {
                w.media(MediaCommand::Interruptible { leg });
            }
        }
        tied
    }

    /// A has as long to come in as a port may take.
    pub(crate) fn confer(&mut self, w: &mut World, step: u8) {
        let room = w.now.mono + w.config.open;
        w.timers.set(Key::call(self.id, Timer::Wait), room);
        // Whatever was still on its way into another one is not awaited any more.
        self.untie(w, |_| true);
        w.visits.push_back((self.id, step));
    }

    /// The conference is not there, or lets him not in.
    pub(crate) fn not_tied(&mut self, w: &mut World, why: Kind) {
        w.timers.cancel(Key::call(self.id, Timer::Wait));
        self.feed(w, Input::Visit(Visit::Refused(why)));
    }
}
