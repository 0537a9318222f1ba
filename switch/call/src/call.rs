//! One call: its flow, its legs, and what it waits for before it can be put on record.

mod record;
mod sounds;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use facts::command::LiveCall;
use facts::ledger::Paid;
use facts::media::{Codec, MediaEvent};
use facts::scenario::Scenario;
use facts::sound::{Ended, Unplayable};
use facts::{
    CallCommand, CallFacts, CallId, Failure, Kind, LegId, LegNo, Number, Outcome, Side, UnixMillis,
    Unrung,
};

use crate::conference::Roster;
use crate::divert::Wish;
use crate::event::{Hear, Input, LegEvent, Order, Release, ours};
use crate::flow::{Callback, Dial, Flow};
use crate::leg::{self, Arrival, Leg, Onward, Said, Way};
use crate::monitor::Monitor;
use crate::route::{Target, Trail};
use crate::seat::Seat;
use crate::serve::Service;
use crate::tape::Tape;
use crate::tie::Tie;
use crate::timers::{Key, Timer};
use crate::trace::Trace;
use crate::transfer::Wanted;
use crate::voicemail::{Listening, Mailbox};
use crate::world::World;

/// Legs of a two-party call.
pub(crate) const LEGS: [LegNo; 2] = [LegNo::A, LegNo::B];
/// Room in the last deadline beyond all that is planned.
const DEADLINE_ROOM: Duration = Duration::from_secs(120);
/// Inputs handled in one step; more than any cascade of legs can make.
const INPUTS_MAX: usize = 512;

/// How far a call has come as a whole.
pub(crate) enum Phase {
    /// The ledger is asked.
    Authorizing {
        /// Tokens of the requests that wait for the answer; the first one asked.
        waiting: Vec<u64>,
        /// The call was given up meanwhile.
        doomed: Option<Failure>,
    },
    /// The flow runs.
    Live,
    /// All legs are down; figures and recording are awaited.
    Closing,
    /// The record is being written.
    Settling { facts: Box<CallFacts>, tries: u32 },
}

/// What makes a call besides its command.
pub(crate) struct Plan {
    pub(crate) flow: Flow,
    /// What is rung for A, and for B where there is one.
    pub(crate) targets: Vec<Target>,
    pub(crate) shown: [Option<Number>; 2],
    pub(crate) language: String,
    pub(crate) max_talk: Duration,
    /// What our INVITEs bear on, of an inbound call.
    pub(crate) onward: Onward,
    /// How it came to who is rung.
    pub(crate) trail: Trail,
    /// The number of ours that a carrier called, E.164 digits.
    pub(crate) delivered: Option<String>,
    /// The privacy number by which two reach each other: whoever comes to know of one of them knows it as this.
    pub(crate) between: Option<Number>,
}

pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) command: CallCommand,
    pub(crate) phase: Phase,
    pub(crate) trace: Trace,
    pub(crate) placed: UnixMillis,
    /// A called us.
    inbound: bool,
    /// The flow of an inbound call has begun.
    started: bool,
    pub(crate) plan: Plan,
    paid: [Option<Duration>; 2],
    /// By number; A and B first.
    pub(crate) legs: Vec<Option<Leg>>,
    /// Who talk, or are to: the left and the right of a recording.
    pub(crate) pair: [LegNo; 2],
    /// The leg that a transfer leads to.
    pub(crate) transfer: Option<Wanted>,
    /// Who called in to take a place, and has no port yet.
    pub(crate) seats: Vec<Seat>,
    /// What A dialled a code for, until it is done.
    pub(crate) service: Option<Service>,
    /// What A is to hear of the menu that it has called.
    pub(crate) screen: Option<String>,
    /// Where A leaves a message.
    pub(crate) mailbox: Option<Mailbox>,
    /// What A listens to.
    pub(crate) listening: Option<Listening>,
    /// It wants to go elsewhere; the engine is asked.
    pub(crate) wish: Option<Wish>,
    pub(crate) inbox: VecDeque<Input>,
    bridged: Option<UnixMillis>,
    decided: Option<(Outcome, Side)>,
    pub(crate) tape: Tape,
    /// Room for the codecs of a leg, while the other one is told something.
    beside: Vec<Codec>,
    /// The beep before the end has sounded.
    warned: Option<Instant>,
    /// When the call has to be over, where that is known before two talk.
    pub(crate) limit: Option<Instant>,
    /// Who was to be rung, and was not.
    pub(crate) unrung: Vec<Unrung>,
    /// What A pressed where its scenario took keys.
    pub(crate) collected: Vec<String>,
    /// Addresses of sounds that are visited, for its scenario or for the one that is to take its place.
    pub(crate) fetching: BTreeSet<String>,
    /// The scenario that takes the place of its own once its sounds are there, and the question that it answers.
    pub(crate) coming: Option<(u8, Arc<Scenario>)>,
    /// Ports that lead to other calls, and are no legs.
    pub(crate) ties: BTreeMap<LegNo, Tie>,
    /// Who was asked for, where it is a conference.
    pub(crate) roster: Option<Box<Roster>>,
    /// Who supervises those who talk.
    pub(crate) monitor: Option<Box<Monitor>>,
    /// Legs of those who did, so far.
    pub(crate) supervisors: usize,
    /// How often whoever has parked it was talking when it was to go back to him.
    pub(crate) put_off: u32,
}

impl Call {
    pub(crate) fn new(
        w: &mut World,
        id: CallId,
        command: CallCommand,
        plan: Plan,
        arrival: Option<Arrival>,
    ) -> Call {
        let mut trace = Trace::new(id, w.now, &command);
        let inbound = arrival.is_some();
        let a =
            arrival.map(|arrival| Leg::arrived(w, &mut trace, LegId::new(id, LegNo::A), arrival));
        Call {
            id,
            command,
            phase: Phase::Authorizing { waiting: Vec::new(), doomed: None },
            trace,
            placed: w.now.wall,
            inbound,
            started: false,
            plan,
            paid: [None; 2],
            legs: vec![a, None],
            pair: LEGS,
            transfer: None,
            seats: Vec::new(),
            service: None,
            screen: None,
            mailbox: None,
            listening: None,
            wish: None,
            inbox: VecDeque::new(),
            bridged: None,
            decided: None,
            tape: Tape::default(),
            beside: Vec::new(),
            warned: None,
            limit: None,
            unrung: Vec::new(),
            collected: Vec::new(),
            fetching: BTreeSet::new(),
            coming: None,
            ties: BTreeMap::new(),
            roster: None,
            monitor: None,
            supervisors: 0,
            put_off: 0,
        }
    }

    /// Wall time by the clock of this call.
    pub(crate) fn clock(&self, at: Instant) -> UnixMillis {
        self.trace.wall(at)
    }

    /// True while it occupies one of its merchant's places.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Authorizing { .. } | Phase::Live)
    }

    /// True when A called us.
    pub(crate) fn is_inbound(&self) -> bool {
        self.inbound
    }

    /// True when proof of its life is due.
    pub(crate) fn is_dialled(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Closing)
    }

    /// Legs that are not down, and ports that are not given back.
    pub(crate) fn held(&self) -> (usize, usize) {
        let legs = self.legs.iter().flatten();
        (
            legs.clone().filter(|leg| !leg.is_down()).count(),
            legs.filter(|leg| !leg.is_closed()).count() + self.ties.len(),
        )
    }

    /// As operators see it.
    pub(crate) fn view(&self) -> LiveCall {
        let state = match self.phase {
            Phase::Live if self.parked_at().is_some() => "parked",
            Phase::Authorizing { .. } | Phase::Live => self.plan.flow.word(),
            Phase::Closing | Phase::Settling { .. } => "ending",
        };
        let [a, b] = self.between();
        LiveCall {
            call: self.id,
            merchant: self.command.merchant,
            sub_account: self.command.sub_account,
            state: state.to_owned(),
            a,
            b,
            since: self.placed,
            bridged: self.bridged,
        }
    }

    /// Whom it is between now, the side of the caller first: who was asked for until somebody has taken its place,
    /// nobody where who was there has left.
    fn between(&self) -> [String; 2] {
        if let Flow::Conference(_) = self.plan.flow {
            return [self.command.a.as_sent.clone(), String::new()];
        }
        let asked = [Some(&self.command.a), self.command.b.as_ref()];
        let talk = self.plan.flow.talk().filter(|_| matches!(self.phase, Phase::Live));
        std::array::from_fn(|side| {
            let no = self.pair[side];
            let leg = self.leg(no);
            let wanted = self.transfer.as_ref().filter(|wanted| no == wanted.by || no == wanted.to);
            match (leg, wanted) {
                // Rung for somebody who has left, or in place of a leg that nobody took.
                (leg, Some(wanted)) if leg.is_none_or(Leg::is_over) => {
                    wanted.called.as_sent.clone()
                }
                (Some(leg), _) if leg.leads_to().is_some() || talk.is_some() && leg.is_over() => {
                    String::new()
                }
                (Some(leg), _) => leg.facts.as_sent.clone(),
                (None, _) => asked[side].map(|party| party.as_sent.clone()).unwrap_or_default(),
            }
        })
    }

    /// From now on it may ring for so long and talk as long as it may at all.
    pub(crate) fn live_for(&self, w: &mut World, rings: Duration) {
        let deadline = w.now.mono + rings + self.plan.max_talk + DEADLINE_ROOM;
        w.timers.set(Key::call(self.id, Timer::Deadline), deadline);
    }

    /// The holds are there: begin.
    pub(crate) fn granted(&mut self, w: &mut World, paid: &[Paid]) {
        let Phase::Authorizing { doomed, .. } = &self.phase else {
            return;
        };
        let doomed = *doomed;
        w.timers.cancel(Key::call(self.id, Timer::Authorize));
        w.timers.cancel(Key::call(self.id, Timer::Unauthorized));
        self.phase = Phase::Live;
        for no in LEGS {
            let quoted = paid.iter().find(|paid| paid.leg == no);
            // A leg that was not quoted costs nothing; one that was and got no answer is covered for
            // no time at all.
            self.paid[usize::from(no.0)] = match quoted {
                Some(paid) => paid.until,
                None if no == LegNo::A && self.inbound => None,
                None => Some(Duration::ZERO),
            };
        }
        let b = self.command.b.as_ref().map_or(Duration::ZERO, |b| b.ring);
        let rings = self.command.a.ring + b;
        self.live_for(w, rings);
        self.with(LegNo::A, |leg, trace| leg.admitted(w, trace));
        match doomed {
            Some(failure) => self.inbox.push_back(Input::Cut(failure)),
            None if self.inbound => self.start_dial(w),
            None if self.command.scenario.is_some() => self.start_script(w),
            None if self.command.conference.is_some() => self.start_conference(w),
            None => {
                let mut orders = Vec::new();
                self.plan.flow = Flow::Callback(Callback::start(&mut orders));
                self.perform(w, orders);
            }
        }
        self.run(w);
    }

    /// Ends the call; while the ledger is asked, as soon as it has answered.
    pub(crate) fn cut(&mut self, w: &mut World, failure: Failure) -> bool {
        match &mut self.phase {
            Phase::Authorizing { doomed, .. } => {
                doomed.get_or_insert(failure);
                true
            }
            Phase::Live => {
                self.feed(w, Input::Cut(failure));
                true
            }
            Phase::Closing | Phase::Settling { .. } => false,
        }
    }

    /// Lets a leg digest something; what it tells goes to the flow.
    pub(crate) fn on_leg(
        &mut self,
        w: &mut World,
        no: LegNo,
        digest: impl FnOnce(&mut Leg, &mut World, &mut Trace, &[Codec]) -> Option<LegEvent>,
    ) {
        self.stand_beside(no);
        let like = std::mem::take(&mut self.beside);
        let Some(Some(leg)) = self.legs.get_mut(usize::from(no.0)) else {
            return;
        };
        let event = digest(leg, w, &mut self.trace, &like);
        leg.let_go(w, &self.trace);
        let key = match event {
            Some(LegEvent::Key(digit)) => Some(digit),
            _ => None,
        };
        self.beside = like;
        if let Some(digit) = key {
            self.declined_by_key(w, no, digit);
        }
        if let Some(event) = event {
            self.inbox.push_back(Input::Leg(no, event));
        }
        self.run(w);
    }

    /// An extension that this leg rings is rung no longer. False when it does not ring.
    pub(crate) fn declined(&mut self, w: &mut World, no: LegNo, user: &str) -> bool {
        let rings = self.leg(no).is_some_and(|leg| leg.rings(user));
        if rings {
            self.on_leg(w, no, |leg, w, trace, like| leg.refused_for(w, trace, user, like));
        }
        rings
    }

    /// The leg that this one talks with, or is to; in a conference nobody talks with one other, nor does who
    /// supervises.
    pub(crate) fn beside(&self, no: LegNo) -> Option<&Leg> {
        match self.plan.flow {
            Flow::Conference(_) => None,
            _ if self.supervised_by(no).is_some() => None,
            _ => self.leg(self.other(no)),
        }
    }

    /// The codecs of the other leg, in the order its far end prefers.
    pub(crate) fn like(&self, no: LegNo) -> Vec<Codec> {
        self.beside(no).map(Leg::codecs).unwrap_or_default()
    }

    /// The same, and the leg knows of it: what may be agreed on with its far end depends on it.
    fn stand_beside(&mut self, no: LegNo) {
        let mut like = std::mem::take(&mut self.beside);
        like.clear();
        let other = self.beside(no);
        let noise = other.is_some_and(Leg::takes_noise);
        if let Some(other) = other {
            other.codecs_into(&mut like);
        }
        if let Some(Some(leg)) = self.legs.get_mut(usize::from(no.0)) {
            leg.stands_beside(&like, noise);
        }
        self.beside = like;
    }

    /// The leg with this number, if somebody rang it or called by it.
    pub(crate) fn leg(&self, no: LegNo) -> Option<&Leg> {
        self.legs.get(usize::from(no.0)).and_then(Option::as_ref)
    }

    /// Whom a leg talks with, or is to.
    pub(crate) fn other(&self, no: LegNo) -> LegNo {
        let [one, two] = self.pair;
        match &self.transfer {
            _ if no == one => two,
            _ if no == two => one,
            Some(wanted) if wanted.by == one => two,
            _ => one,
        }
    }

    /// What the other leg's far end said of its end, where that is why this leg goes.
    fn said(&self, no: LegNo, release: Release) -> Option<Said> {
        let other = self.beside(no)?;
        let theirs = release.failure.is_none_or(|failure| failure.origin == other.origin());
        Some(other).filter(|_| theirs).and_then(Leg::said)
    }

    /// True once both were joined.
    pub(crate) fn is_joined(&self) -> bool {
        self.bridged.is_some()
    }

    /// True while this leg talks with one that is up: an offer of one concerns the other.
    pub(crate) fn is_bridged(&self, no: LegNo) -> bool {
        let heard = self.beside(no).is_some_and(Leg::is_up);
        self.bridged.is_some() && heard && matches!(self.phase, Phase::Live)
    }

    /// Whether the other leg may be offered what this one's far end offers.
    pub(crate) fn takes_offers(&self, w: &World, no: LegNo) -> bool {
        self.beside(no).is_none_or(|leg| leg.relays(w))
    }

    pub(crate) fn feed(&mut self, w: &mut World, input: Input) {
        self.inbox.push_back(input);
        self.run(w);
    }

    /// A deadline of this call or of one of its legs has come.
    pub(crate) fn expired(&mut self, w: &mut World, key: Key) {
        let no = key.leg.unwrap_or(LegNo::A);
        match key.timer {
            Timer::Open => self.on_leg(w, no, |leg, w, trace, _| leg.unheard(w, trace)),
            Timer::Ring => self.on_leg(w, no, |leg, w, trace, _| leg.unanswered(w, trace)),
            Timer::Serve => self.not_served(w),
            Timer::Step => self.on_leg(w, no, Leg::step_over),
            Timer::Response => self.on_leg(w, no, Leg::unresponsive),
            Timer::Pretend => self.on_leg(w, no, |leg, _, _, _| leg.pretend()),
            Timer::Extend => self.on_leg(w, no, |leg, w, trace, _| {
                leg.extend(w, trace);
                None
            }),
            Timer::Warn => {
                let due = self.legs.get_mut(usize::from(no.0)).and_then(Option::as_mut);
                if due.is_some_and(Leg::warn) {
                    self.beep(w);
                }
            }
            Timer::MaxWarn => self.beep(w),
            Timer::Paid => self.unpaid(w, no),
            Timer::Max => self.feed(w, Input::Cut(ours(Kind::MaxDuration))),
            Timer::Prompt => self.on_leg(w, no, |leg, w, _, _| leg.prompt_late(w)),
            Timer::Deadline => self.feed(w, Input::Cut(ours(Kind::Internal))),
            Timer::Consent => self.announced_late(w, no),
            Timer::Transfer if key.leg.is_some() => self.add_failed(w, no),
            Timer::Transfer => self.not_added(w, ours(Kind::Internal)),
            Timer::Park => self.recall(w),
            Timer::Wait => self.feed(w, Input::Waited),
            Timer::Close => self.settle(w),
            Timer::Settle => self.settle_again(w),
            Timer::Authorize | Timer::Unauthorized => {}
        }
    }

    /// News from the media plane about this call.
    pub(crate) fn media(&mut self, w: &mut World, event: MediaEvent) {
        match event {
            MediaEvent::Opened { leg, local } => {
                if !self.tie_opened(w, leg.no, local) {
                    self.opened(w, leg.no, local);
                }
            }
            MediaEvent::OpenFailed { leg } | MediaEvent::Closed { leg, .. }
                if self.tie_closed(w, leg.no) => {}
            MediaEvent::OpenFailed { leg } => self.on_leg(w, leg.no, |leg, w, trace, _| {
                leg.port_gone(None);
                leg.unheard(w, trace)
            }),
            MediaEvent::Started { leg } => self.on_leg(w, leg.no, |leg, _, _, _| leg.sounding()),
            MediaEvent::Silent { leg, since } => {
                self.on_leg(w, leg.no, |leg, w, trace, _| leg.silent(w, trace, since));
            }
            MediaEvent::Played { leg } | MediaEvent::Interrupted { leg } => {
                self.on_leg(w, leg.no, |leg, w, _, _| {
                    leg.prompt_over(w).then_some(LegEvent::PromptOver)
                });
            }
            MediaEvent::Unplayable { leg, .. } => {
                self.on_leg(w, leg.no, |leg, w, _, _| leg.not_played(w));
            }
            // No flow waits for the end of what was laid over what a leg hears.
            MediaEvent::LaidOver { leg, ended } => {
                // What it took the place of is over, not the announcement.
                if ended != Ended::Unplayable(Unplayable::Displaced) {
                    self.announced(w, leg.no, ended == Ended::Played);
                }
                self.run(w);
            }
            MediaEvent::Digit { leg, digit } => {
                let mut new = false;
                self.on_leg(w, leg.no, |leg, w, _, _| {
                    new = leg.key_is_new(w, digit, Way::Media);
                    new.then_some(LegEvent::Key(digit))
                });
                if new {
                    self.pass_key(w, leg.no, (digit, false));
                } else if self.is_tied(leg.no) {
                    self.declined_by_key(w, leg.no, digit);
                    self.run(w);
                }
            }
            MediaEvent::Fetched { url, sound, .. } => self.fetched(w, &url, sound),
            MediaEvent::Recognised { leg, turn, verdict } => {
                self.on_leg(w, leg.no, |leg, w, trace, like| {
                    leg.recognised(w, trace, (turn, verdict), like)
                });
            }
            MediaEvent::Recorded { file, .. } => {
                self.recorded(w, Some(file));
                self.close(w);
            }
            MediaEvent::RecordingFailed { .. } => {
                self.recorded(w, None);
                self.close(w);
            }
            MediaEvent::Room { news, .. } => self.room_news(w, news),
            MediaEvent::Closed { leg, stats } => self.on_leg(w, leg.no, |leg, _, _, _| {
                leg.port_gone(Some(stats));
                None
            }),
        }
    }

    fn opened(&mut self, w: &mut World, no: LegNo, local: SocketAddr) {
        let Some(Some(leg)) = self.legs.get_mut(usize::from(no.0)) else {
            return;
        };
        if !leg.opened(w, local) {
            return;
        }
        if !leg.is_inbound() {
            self.on_leg(w, no, Leg::invite);
            return;
        }
        self.on_leg(w, no, |leg, w, trace, _| leg.wait(w, trace));
        self.take_seat(no);
        self.start_dial(w);
        self.run(w);
    }

    /// An inbound call goes on when the ledger has granted it and A's offer was read.
    fn start_dial(&mut self, w: &mut World) {
        let waiting = self.legs[0].as_ref().is_some_and(Leg::is_waiting);
        if self.started || !waiting || !matches!(self.phase, Phase::Live) {
            return;
        }
        self.started = true;
        if let Some(Target::Voicemail(user)) = self.plan.targets.get(1) {
            let user = user.clone();
            return self.enter_mailbox(w, user);
        }
        if self.command.scenario.is_some() {
            return self.start_script(w);
        }
        let mut orders = Vec::new();
        self.plan.flow = match self.service_flow(&mut orders) {
            Some(flow) => flow,
            None => Flow::Dial(Dial::start(&mut orders)),
        };
        self.perform(w, orders);
    }

    /// Sends away whoever called us; the call is not to be.
    pub(crate) fn turn_away(&mut self, w: &mut World, kind: Kind) {
        let release = Release { by: Side::Platform, failure: Some(ours(kind)) };
        self.with(LegNo::A, |leg, trace| leg.release(w, trace, release));
        self.close(w);
    }

    /// Runs the flow until nothing is left to tell it.
    pub(crate) fn run(&mut self, w: &mut World) {
        for _ in 0..INPUTS_MAX {
            if self.wish.is_some() {
                return;
            }
            let Some(input) = self.inbox.pop_front() else {
                break;
            };
            if !self.of_supervisor(w, input) && !self.holds_back(w, input) {
                self.step(w, input);
            }
        }
        self.tend_ties(w);
        self.ask_first(w);
        self.tend_monitor(w);
        self.close(w);
    }

    /// Tells the flow, and does what it wants.
    pub(crate) fn step(&mut self, w: &mut World, input: Input) {
        self.note_unrung(w, input);
        let mut orders = Vec::new();
        let scenario = self.command.scenario.as_deref();
        self.plan.flow = self.plan.flow.step(scenario, input, &mut orders);
        self.perform(w, orders);
    }

    pub(crate) fn perform(&mut self, w: &mut World, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Dial(no) => self.dial(w, no),
                Order::Serve => self.serve(w),
                Order::Join => self.join(w),
                Order::Tape => self.tape(w),
                Order::Advance => self.next_message(),
                Order::Play => self.play_message(w),
                Order::Heard => self.message_heard(w),
                Order::Delete => self.delete_message(w),
                Order::Say { step, clip } => self.say_clip(w, (step, clip)),
                Order::Wait { step } => self.wait_for_key(w, step),
                Order::Fetch => self.fetch(w),
                Order::Taping(on) => self.taping(w, on),
                Order::Speak { step } => self.speak(w, step),
                Order::Spoken => self.spoken(w),
                Order::Ask { step, turn } => self.ask(w, (step, turn)),
                Order::Pause => self.pause(w),
                Order::Lead { step } => self.lead(w, step),
                Order::Limit => self.limit(w),
                Order::Confer { step } => self.confer(w, step),
                Order::Screen => self.say_screen(w),
                Order::Typing(on) => self.typing(w, on),
                Order::Wish(wish) => w.menu_wishes.push_back((self.id, wish)),
                Order::Gather => self.gather(w),
                Order::Invite(no) => self.queue(no),
                Order::Enter(no) => self.enter(w, no),
                Order::Collected { typed, secret } => self.collect(typed, secret),
                Order::Decide(outcome, by) => {
                    self.decided.get_or_insert((outcome, by));
                }
                Order::Alert(no) => self.with(no, |leg, _| leg.pass_on(w, false)),
                Order::Early(no) => {
                    self.stand_beside(no);
                    self.with(no, |leg, _| leg.pass_on(w, true));
                }
                Order::Accept(no) => {
                    self.stand_beside(no);
                    self.with(no, |leg, trace| leg.accept(w, trace));
                }
                Order::Hear(no, Hear::Leg(other)) => self.hear_leg(w, no, other),
                Order::Hear(no, what) => {
                    let language = self.plan.language.clone();
                    match self.music(w).filter(|_| what == Hear::Hold) {
                        Some(music) => self.with(no, |leg, _| leg.hear_music(w, music)),
                        None => self.with(no, |leg, _| leg.hear(w, what, &language)),
                    }
                }
                Order::Add(no) => self.add(w, no),
                Order::Replace(old, new) => self.replace(w, old, new),
                Order::Report(no, report) => self.report(w, no, report),
                Order::Offer(no, direction) => {
                    self.stand_beside(no);
                    let like = std::mem::take(&mut self.beside);
                    let mut told = None;
                    self.with(no, |leg, _| told = leg.offer(w, direction, &like));
                    self.beside = like;
                    self.inbox.extend(told.map(|event| Input::Leg(no, event)));
                }
                Order::Answer(no, direction) => {
                    let mut told = None;
                    self.stand_beside(no);
                    self.with(no, |leg, _| told = leg.answer(w, direction));
                    self.inbox.extend(told.map(|event| Input::Leg(no, event)));
                }
                Order::Vacate(old, new) => self.vacate(w, old, new),
                Order::Elsewhere(no) => self.with(no, |leg, trace| leg.elsewhere(w, trace)),
                Order::Decline(no, why) => self.with(no, |leg, _| leg.decline(w, why)),
                Order::Release(no, release) => {
                    let said = self.said(no, release);
                    self.with(no, |leg, trace| leg.release_for(w, trace, release, said));
                }
            }
        }
    }

    pub(crate) fn with(&mut self, no: LegNo, act: impl FnOnce(&mut Leg, &mut Trace)) {
        if let Some(Some(leg)) = self.legs.get_mut(usize::from(no.0)) {
            act(leg, &mut self.trace);
        }
    }

    fn dial(&mut self, w: &mut World, no: LegNo) {
        let at = usize::from(no.0);
        let party = if no == LegNo::A { Some(&self.command.a) } else { self.command.b.as_ref() };
        let (Some(party), Some(target)) = (party, self.plan.targets.get(at)) else {
            self.inbox.push_back(Input::Leg(no, LegEvent::Failed(ours(Kind::NoRoute))));
            return;
        };
        let named = self.plan.onward.named || party.shown.is_some();
        let payer = Some(self.command.merchant);
        let sandboxed = w.snapshot.is_sandbox(self.command.merchant);
        let onward = Onward { payer, sandboxed, named, ..self.plan.onward.clone() };
        let mut called = leg::called(target.number(), party, onward);
        if no == LegNo::B {
            let trail = &self.plan.trail;
            called.ring = trail.ring(called.ring);
            called.onward.history = trail.headers(&w.snapshot, &called.onward.history);
        }
        let shown = self.plan.shown[at].as_ref();
        let id = LegId::new(self.id, no);
        match Leg::dial(w, id, &called, target, shown, self.paid[at]) {
            Ok(leg) => self.legs[at] = Some(leg),
            Err(failure) => self.inbox.push_back(Input::Leg(no, LegEvent::Failed(failure))),
        }
    }

    /// Two of a conference are in: from now on they have met.
    pub(crate) fn meet(&mut self, w: &mut World) {
        self.bridged.get_or_insert(self.trace.wall(w.now.mono));
        self.joined(w);
    }

    fn join(&mut self, w: &mut World) {
        self.bridged = Some(self.trace.wall(w.now.mono));
        self.transfer = None;
        let language = self.plan.language.clone();
        let [one, two] = self.pair;
        for (no, other) in [(one, two), (two, one)] {
            self.with(no, |leg, _| leg.hear(w, Hear::Leg(other), &language));
        }
        self.joined(w);
        let end = self.limit.unwrap_or(w.now.mono + self.plan.max_talk);
        w.timers.set(Key::call(self.id, Timer::Max), end);
        self.warn_before(w, Some(end));
    }
}
