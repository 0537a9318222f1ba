//! The engine's own thread: reads the UDP sockets, takes what else came in, hands it over with the clocks'
//! reading, carries out effects.
//!
//! It decides nothing. Each turn has a budget; a step that panics is counted and the next one goes on.
//!
//! What a turn orders of the media plane is handed over at its end, so that a worker is woken once for it, and
//! messages leave after that: a far end that answers at once finds its sockets told of it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use call::{Counts, Effect, Engine};
use crossbeam_channel::TryRecvError;
use facts::media::MediaCommand;
use media::Media;
use media::poll::{self, Poller};
use sip::endpoint::Transmit;
use tokio::sync::watch;

use crate::calls::Answers;
use crate::carriers::Carriers;
use crate::clock;
use crate::consult::Consults;
use crate::dns::CarrierNames;
use crate::inbox::{Datagram, Fact, Outlet};
use crate::ledger::Ledger;
use crate::menus::Menus;
use crate::net::{Net, Tls};
use crate::refusals::Refusals;
use crate::stops::Stops;
use crate::texts::Written;

/// Messages and facts handled before timers and the other queue get their turn.
const BUDGET: usize = 128;
/// Messages of one kind are looked at for no longer before the others have their turn and the sockets are read: the
/// kernel may keep no more than a few hundred of them.
const TURN: Duration = Duration::from_millis(2);
/// The token of the inbox's waker among the sockets, which count from 0.
const RUNG: u64 = u64::MAX;
/// The pause after a wait that the system refused.
const REFUSED: Duration = Duration::from_millis(5);
/// The longest sleep: figures for metrics are at most this old.
const NAP: Duration = Duration::from_millis(500);
/// Effects carried out after one input at most; more means that the engine feeds itself.
const EFFECTS_MAX: usize = 100_000;

/// What the thread works with.
pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) outlet: Outlet,
    pub(crate) net: Net,
    pub(crate) media: Arc<Media>,
    pub(crate) ledger: Ledger,
    pub(crate) answers: Arc<Answers>,
    /// Questions of scenarios.
    pub(crate) consults: Consults,
    /// Menus of merchants' pages.
    pub(crate) menus: Menus,
    pub(crate) written: Written,
    /// Names of carriers.
    pub(crate) names: CarrierNames,
    /// Whose certificate is where.
    pub(crate) tls: Arc<Tls>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) leaving: Leaving,
    /// Turns true on [`Effect::Drained`].
    pub(crate) drained: watch::Sender<bool>,
}

/// What a turn gathers and its end hands over.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    orders: Vec<MediaCommand>,
    messages: Vec<Transmit>,
}

/// What the thread tells metrics.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    counts: Mutex<Counts>,
    /// Steps that panicked.
    pub(crate) panics: AtomicU64,
    /// Messages of the network handled.
    pub(crate) messages: AtomicU64,
    /// Final 503 responses sent.
    pub(crate) unavailable: AtomicU64,
    /// How long the last message had waited, microseconds.
    pub(crate) queue_age_us: AtomicU64,
    /// Who was turned away.
    pub(crate) refusals: Refusals,
    /// Legs that policies did not let be.
    pub(crate) stops: Stops,
    /// How the carriers stand.
    pub(crate) carriers: Carriers,
    /// Effects under way at most in one step.
    pub(crate) effects_most: AtomicUsize,
}

impl Gauges {
    /// The engine's figures, at most half a second old.
    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver {
    /// Starts the thread. It ends on [`Fact::Stop`].
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(mut self) -> io::Result<JoinHandle<()>> {
        let mut poller = Poller::new()?;
        poller.watch_waker(self.outlet.waker(), RUNG)?;
        self.net.watch(&poller)?;
        Builder::new().name("engine".into()).spawn(move || {
            // As the media threads do, or a relay that takes all cores would keep its timers waiting.
            if let Err(error) = poll::go_first() {
                tracing::debug!(%error, "the engine has no precedence");
            }
            let mut sampled = Instant::now();
            loop {
                let goes_on = self.turn(&mut poller);
                self.hand_over();
                if !goes_on {
                    break;
                }
                if sampled.elapsed() >= NAP / 2 {
                    sampled = Instant::now();
                    self.sample();
                }
            }
        })
    }

    /// One turn; false when it is time to end.
    fn turn(&mut self, poller: &mut Poller) -> bool {
        self.listen(poller);
        for _ in 0..BUDGET {
            match self.outlet.facts.try_recv() {
                Ok(Fact::Stop) | Err(TryRecvError::Disconnected) => return false,
                Ok(fact) => self.fact(fact),
                Err(TryRecvError::Empty) => break,
            }
        }
        // By turns, and the sockets are read again before they run over.
        let begun = Instant::now();
        while let Some(Datagram { flow, bytes, .. }) = self.outlet.next_excess() {
            self.step(|engine| engine.handle_excess(clock::now(), flow, bytes));
            if begun.elapsed() > TURN {
                break;
            }
        }
        let begun = Instant::now();
        for _ in 0..BUDGET {
            match self.outlet.next_message() {
                Some(datagram) => self.datagram(datagram),
                None => break,
            }
            if begun.elapsed() > TURN {
                break;
            }
        }
        if self.engine.poll_timeout().is_some_and(|due| due <= Instant::now()) {
            self.step(|engine| engine.handle_timeout(clock::now()));
        }
        true
    }

    /// Waits until there is something to do, and reads the sockets that are ready.
    fn listen(&mut self, poller: &mut Poller) {
        let wait = if self.outlet.may_sleep() {
            let due = self.engine.poll_timeout();
            due.map_or(NAP, |due| due.saturating_duration_since(Instant::now()).min(NAP))
        } else {
            Duration::ZERO
        };
        let ready = poller.wait(wait);
        self.outlet.awake();
        let ready = ready.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot wait for the network");
            std::thread::sleep(REFUSED);
            0
        });
        for index in 0..ready {
            // A ring says no more than that something waits.
            let place = poller.token(index);
            if place != RUNG {
                self.net.read(place, &mut self.outlet);
            }
        }
        self.outlet.gather();
    }

    fn fact(&mut self, fact: Fact) {
        self.step(|engine| match fact {
            Fact::FlowError(flow) => engine.handle_flow_error(clock::now(), flow),
            Fact::Peer { flow, names } => engine.handle_peer(clock::now(), flow, names),
            Fact::Idle(flow) => engine.handle_idle(clock::now(), flow),
            Fact::Reply(reply) => engine.handle_reply(clock::now(), reply),
            Fact::Media(event) => engine.handle_media(clock::now(), event),
            Fact::Command(command) => engine.handle_command(clock::now(), command),
            Fact::Stop => {}
        });
    }

    fn datagram(&mut self, datagram: Datagram) {
        let age = u64::try_from(datagram.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.gauges.queue_age_us.store(age, Ordering::Relaxed);
        self.gauges.messages.fetch_add(1, Ordering::Relaxed);
        self.step(|engine| engine.handle_message(clock::now(), datagram.flow, datagram.bytes));
    }

    /// One step of the engine and everything that follows from it.
    fn step(&mut self, input: impl FnOnce(&mut Engine)) {
        self.guarded(input);
        let mut done = 0;
        while done < EFFECTS_MAX {
            let engine = &mut self.engine;
            match catch_unwind(AssertUnwindSafe(|| engine.poll_effect())) {
                Ok(Some(effect)) => self.perform(effect),
                Ok(None) => break,
                Err(_) => {
                    self.gauges.panics.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
            done += 1;
        }
        self.gauges.effects_most.fetch_max(done, Ordering::Relaxed);
    }

    /// Hands something to the engine; a panic is counted and ends here.
    fn guarded(&mut self, input: impl FnOnce(&mut Engine)) {
        let engine = &mut self.engine;
        if catch_unwind(AssertUnwindSafe(|| input(engine))).is_err() {
            self.gauges.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a step of the engine panicked; the next one goes on");
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Transmit(transmit) => self.leaving.messages.push(transmit),
            Effect::Authorize(ask) => self.ledger.authorize(*ask),
            Effect::Abandon { call, merchant } => self.ledger.take_back(call, merchant),
            Effect::AddLeg(ask) => self.ledger.add_leg(ask),
            Effect::SetReach { call, user, set } => self.ledger.set_reach(call, user, set),
            Effect::FetchMail { call, user } => self.ledger.fetch_mail(call, user),
            Effect::HearMail { call, user, message } => self.ledger.hear_mail(call, user, message),
            Effect::DeleteMail { call, user, message } => {
                self.ledger.delete_mail(call, user, message);
            }
            Effect::Discard { call, file } => self.ledger.discard(call, &file),
            Effect::Extend(ask) => self.ledger.extend(ask),
            Effect::Journal { entry, seq } => self.ledger.journal(*entry, seq),
            Effect::Papers { leg, dialog, seq } => self.ledger.papers(leg, dialog, seq),
            Effect::Alive { calls, at } => self.ledger.alive(calls, at),
            Effect::Notify(change) => {
                tracing::debug!(call = %change.leg.call, leg = %change.leg.no, state = ?change.state);
                self.ledger.notify(change);
            }
            Effect::Settle(facts) => self.ledger.settle(*facts),
            Effect::Media(command) => self.leaving.orders.push(command),
            Effect::Answer { token, answer } => self.answers.give(token, answer),
            Effect::SaveBinding(binding) => self.ledger.save_binding(*binding),
            Effect::DropBinding { user, key } => self.ledger.drop_binding(user, key),
            Effect::TurnedAway(turned) => self.gauges.refusals.note(Instant::now(), &turned),
            Effect::CloseFlow(flow) => {
                // Not before what was said over it.
                self.hand_over();
                self.net.close(flow);
            }
            Effect::Consult(question) => self.consults.put(*question),
            Effect::AskPage(step) => self.menus.ask(*step),
            Effect::Show { session, text, more } => self.menus.show(session, text, more),
            Effect::MenuOver(over) => self.menus.over(over),
            Effect::Texted { message, text } => self.written.put(message, *text),
            Effect::Resolve(question) => self.names.resolve(question),
            Effect::Certified(names) => self.tls.locate(names),
            Effect::Banned(ban) => self.ledger.banned(ban),
            Effect::Fraud(alert) => self.ledger.alert(*alert),
            Effect::Stopped(stopped) => self.gauges.stops.note(Instant::now(), &stopped),
            Effect::Carrier(news) => self.gauges.carriers.note(*news),
            Effect::Missed(missed) => self.gauges.carriers.missed(&missed),
            Effect::Drained => {
                self.drained.send_replace(true);
            }
        }
    }

    /// Gives the media plane its orders, then sends. What fails to leave may be followed by more of both.
    fn hand_over(&mut self) {
        loop {
            self.media.order_all(self.leaving.orders.drain(..));
            if self.leaving.messages.is_empty() {
                return;
            }
            for transmit in std::mem::take(&mut self.leaving.messages) {
                if transmit.bytes.starts_with(b"SIP/2.0 503 ") {
                    self.gauges.unavailable.fetch_add(1, Ordering::Relaxed);
                }
                if let Err(flow) = self.net.transmit(transmit) {
                    self.step(|engine| engine.handle_flow_error(clock::now(), flow));
                }
            }
        }
    }

    fn sample(&self) {
        let counts = self.engine.counts();
        *self.gauges.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}
