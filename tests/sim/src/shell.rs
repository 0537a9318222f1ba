//! The shell and its store, with their bad days: work that fails, work that is done and whose answer is
//! lost, a store that is slow or away, a process that dies when it hurts most.

use std::time::Duration;

use call::Reply;
use facts::CallId;

use crate::net::Dice;
use crate::settings;
use crate::store::{Done, Work};
use crate::world::{Happening, World};

/// What the switch does without its store at most before it goes on: `EngineConfig::journal`.
pub(crate) const PATIENCE: Duration = Duration::from_millis(400);

/// What becomes of a unit of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Done,
    /// Not done, and the shell is told so.
    Failed,
    /// Done, but the shell is told that it was not.
    AnswerLost,
}

impl Fate {
    /// Only what somebody waits for may fail: the shell insists on everything else until it is written.
    fn roll(work: &Work, dice: &mut Dice) -> Fate {
        let waited = matches!(
            work,
            Work::Authorize(_) | Work::AddLeg(_) | Work::Extend(_) | Work::Settle(_)
        );
        if !waited {
            return Fate::Done;
        }
        match dice.below(1000) {
            0..=49 => Fate::Failed,
            50..=99 => Fate::AnswerLost,
            _ => Fate::Done,
        }
    }
}

impl World {
    /// Hands an effect to the store. One writer: work is done in the order it was given.
    pub(crate) fn hand(&mut self, work: Work) {
        let life = self.life;
        if self.lies
            && let Work::Journal(_, Some(seq)) | Work::Papers(_, _, Some(seq)) = &work
        {
            let leg = work.leg().expect("it has one");
            let reply = Box::new(Reply::Journaled { leg, seq: *seq });
            self.later(Duration::ZERO, Happening::Reply { life, reply });
        }
        let slow = if self.plan.shaky && self.dice.chance(5) { 300 } else { 4 };
        let took = self.dice.between(Duration::from_micros(100), Duration::from_millis(slow));
        self.store_busy_until = self.store_busy_until.max(self.elapsed) + took;
        let after = self.store_busy_until - self.elapsed;
        let asked = self.elapsed;
        self.later(after, Happening::Store { life, asked, work: Box::new(work) });
    }

    /// The store cannot be reached for a while; what was handed to it is written later, in order.
    pub(crate) fn store_goes_away(&mut self) {
        let away = match self.dice.below(3) {
            0 => self.dice.between(Duration::from_millis(100), Duration::from_millis(600)),
            1 => self.dice.between(Duration::from_secs(1), Duration::from_secs(4)),
            _ => self.dice.between(Duration::from_secs(4), Duration::from_secs(20)),
        };
        self.store_busy_until = self.store_busy_until.max(self.elapsed) + away;
    }

    /// A unit of work is due. A process that died meanwhile hears nothing of it.
    pub(crate) fn perform(&mut self, life: u32, work: Work) {
        let fate = if self.plan.shaky { Fate::roll(&work, &mut self.dice) } else { Fate::Done };
        let failure = match &work {
            Work::Authorize(ask) => Some((ask.call, ask.command.key.is_some())),
            _ => None,
        };
        let failed = match &work {
            Work::AddLeg(ask) => Some(Reply::AddFailed { leg: ask.leg }),
            Work::Extend(ask) => Some(Reply::ExtendFailed { leg: ask.leg, step: ask.step }),
            Work::Settle(facts) => Some(Reply::SettleFailed { call: facts.call }),
            _ => None,
        };
        let done = if fate == Fate::Failed { Done::Nothing } else { self.store.perform(work) };
        if let Done::Settled(call) = done {
            self.settled_at.entry(call).or_insert(self.elapsed);
        }
        if fate != Fate::Done {
            self.failures += 1;
            if let Some((call, keyed)) = failure.filter(|_| life == self.life) {
                self.authorization_failed(call, keyed);
            }
            if let Some(reply) = failed {
                self.answer(life, reply);
            }
            return;
        }
        match done {
            Done::Authorized(call, answer) => self.answer(life, Reply::Authorized { call, answer }),
            Done::Abandoned(call) => self.answer(life, Reply::AuthorizeFailed { call }),
            Done::Added(leg, answer) => self.answer(life, Reply::Added { leg, answer }),
            Done::NotAdded(leg) => self.answer(life, Reply::AddFailed { leg }),
            Done::Extended(leg, step, answer) => {
                self.answer(life, Reply::Extended { leg, step, answer });
            }
            Done::NotExtended(leg, step) => self.answer(life, Reply::ExtendFailed { leg, step }),
            Done::Journaled(leg, seq) => self.answer(life, Reply::Journaled { leg, seq }),
            Done::Settled(call) => self.answer(life, Reply::Settled { call }),
            Done::Nothing => {}
        }
    }

    /// Nobody knows whether it was committed: the shell takes it back, then says that it failed. Who has
    /// no key has nothing to repeat and is told at once.
    fn authorization_failed(&mut self, call: CallId, keyed: bool) {
        if !keyed {
            self.answer(self.life, Reply::AuthorizeFailed { call });
        }
        self.hand(Work::Abandon(call, keyed));
    }

    fn answer(&mut self, life: u32, reply: Reply) {
        let delay = self.dice.between(Duration::from_micros(200), Duration::from_millis(3));
        self.later(delay, Happening::Reply { life, reply: Box::new(reply) });
    }

    /// What the switch sends for the first time may make a far end ring or talk: the store has what ends
    /// that, or had its time. And it is the moment at which a crash hurts most.
    ///
    /// # Panics
    /// When a message left that nobody could take back after a crash.
    /// Notes until when a subscription was granted: its refreshes have numbers of their own, copies have not.
    pub(crate) fn grants(&mut self, text: &str) {
        let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let (Some(id), Some(cseq)) = (line("Call-ID:"), line("CSeq:")) else { return };
        let number = cseq.strip_suffix(" SUBSCRIBE").and_then(|number| number.parse().ok());
        let (Some(number), true) = (number, text.starts_with("SIP/2.0 200")) else { return };
        let seconds = line("Expires:").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        let seconds: u64 = if self.doubts { seconds / 2 } else { seconds };
        let until = self.elapsed + Duration::from_secs(seconds);
        self.granted.entry((id.to_owned(), number)).or_insert(until);
    }

    pub(crate) fn commits(&mut self, text: &str) {
        let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let (Some(id), Some(cseq)) = (line("Call-ID:"), line("CSeq:")) else { return };
        let branch = line("Via:").and_then(|via| via.split("branch=").nth(1)).unwrap_or_default();
        let kind = match text.split(' ').next().unwrap_or_default() {
            "INVITE" => "INVITE",
            "BYE" => "BYE",
            "CANCEL" => "CANCEL",
            // The ACK of a refusal bears the INVITE's branch; it commits nobody.
            "ACK" if !self.branches.contains(branch) => "ACK",
            "SIP/2.0" if text.starts_with("SIP/2.0 200") && cseq.ends_with("INVITE") => "200",
            _ => return,
        };
        if kind == "INVITE" {
            self.branches.insert(branch.to_owned());
        }
        let first = self.committed.insert((self.life, kind, id.to_owned()));
        if !first {
            return;
        }
        if matches!(kind, "INVITE" | "ACK" | "200") {
            let known = self.store.knows(id);
            let enough = known.up || (kind == "INVITE" && known.early);
            if !enough {
                let late = self.queue.values().any(|what| match what {
                    Happening::Store { asked, work, .. } => {
                        self.elapsed >= *asked + PATIENCE && work.names(id)
                    }
                    _ => false,
                });
                assert!(late, "{kind} of {id} left before it was written down");
                self.unwritten.insert(id.to_owned());
            }
        }
        if self.aimed > 0 && self.elapsed < self.plan.over && self.dice.chance(60) {
            self.aimed -= 1;
            let soon = if self.dice.chance(700) { 8 } else { 3_000 };
            let after = self.dice.between(Duration::ZERO, Duration::from_millis(soon));
            self.later(after, Happening::Crash);
        }
    }

    /// The process ends in order some seconds after it was empty: what it gave to the store is written,
    /// but far ends that did not answer their BYE are left to the next start.
    pub(crate) fn exit(&mut self, life: u32) {
        if life != self.life || self.engine.take().is_none() {
            return;
        }
        self.life += 1;
        self.exits += 1;
        self.media = crate::media::Media::default();
        let down = self.dice.between(Duration::from_millis(500), Duration::from_secs(20));
        self.later(down, Happening::Start);
    }

    /// An INVITE of a carrier or a phone that crosses a crash.
    pub(crate) fn dial_around(&mut self, crash: Duration, n: u32) {
        let before = self.dice.between(Duration::ZERO, Duration::from_millis(60));
        let at = crash.saturating_sub(before);
        self.later(at.saturating_sub(self.elapsed), Happening::Dial { n });
    }

    /// Whether a message is from the switch.
    pub(crate) fn is_ours(from: std::net::SocketAddr) -> bool {
        from == settings::address(settings::SWITCH)
    }
}
