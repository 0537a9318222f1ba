//! The target that plays a whole life of the engine: merchants who ask and change their mind, a
//! ledger that grants, refuses, fails, answers late or twice, a media plane, carriers and phones that
//! say anything at all, a stranger, new settings, and time, in any order.
//!
//! The ledger, the media plane and the country are those of the simulation, and so is its audit of
//! the books, which is asked after every operation. At the end everybody hangs up and falls silent:
//! 64 s later every table must be empty.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use call::{Answer, Command, Effect, Engine, EngineConfig, Hearing, Reply};
use facts::conference::{Conference, Participant};
use facts::media::{MediaEvent, Prompt};
use facts::recognition::Release;
use facts::scenario::{Ask, Choice, Collect, Next, NumberScenario, Say, Scenario, Step};
use facts::settings::Snapshot;
use facts::sound::{Clip, Ended, Unplayable};
use facts::{CallId, LeadsTo, Micros, Now, Number, Party, Purpose, Reach, Strategy, UnixMillis};
use sim::media::Media;
use sim::net::Dice;
use sim::settings::{self, CARRIER_A, CARRIER_B, CARRIER_C, DESK, PHONE, SWITCH};
use sim::store::{Done, Store, Work};
use sim::team;
use sip::endpoint::{EndpointConfig, Flow, Listener, Transport};
use sip::wire::{Message, Method};

use crate::peer::Peer;
use crate::script::Script;

/// Operations of one run at most.
const OPS_MAX: usize = 96;
/// Timers that may fire in one wait.
const TIMERS_MAX: usize = 20_000;
/// What the engine may want done in one step.
const EFFECTS_MAX: usize = 512;
/// Messages that people owe and send in one go.
const OBLIGED_MAX: usize = 12;
/// Somebody with no account, no contract and no trunk.
const STRANGER: &str = "203.0.113.66:5066";
/// See [`crate::dialog_ops`].
const AMPLIFIED_MAX: usize = 2;
/// Bytes that one answer may have beyond its request: status line, `received`, a To tag, and two
/// challenges.
const ANSWER_ROOM: usize = 900;
/// How a team works whose number a scenario answers.
const ANSWERS: Strategy = Strategy::RoundRobin;
/// Wall clock at the start.
const WALL: UnixMillis = UnixMillis(1_767_225_600_000);
/// A little more than 2 * 64 * T1: the last BYE may wait for an ACK that never comes.
const REST: Duration = Duration::from_millis(64_100);

/// A menu: 5 leads to the team, and to a number that nobody has when nobody is there; that leads back.
fn menu() -> Scenario {
    let prompt = Prompt { name: "callee-busy".into(), language: "en".into() };
    let menu = Say {
        choices: vec![Choice { keys: "5".into(), next: Next::Step(1) }],
        collect: Some(Collect { max: 2, secret: true, next: Next::Step(2) }),
        wait: Duration::from_secs(5),
        ..Say::only(vec![Clip::Prompt(prompt)], 2)
    };
    let lead = |to: &str, failed| Step::Lead { to: Number::Internal(to.into()), failed };
    let (team, nobody) = (lead(team::TEAM, Next::Step(2)), lead("89999", Next::Step(0)));
    Scenario::new(vec![Step::Say(menu), team, nobody]).expect("a scenario")
}

/// Where the team works so, its number asks its merchant, says something from an address, and leads to the team.
fn answered() -> NumberScenario {
    let (context, clip) = ("{}".into(), Some(Clip::Url("http://merchant.example/a.wav".into())));
    let ask = Ask { context, clip, wait: Duration::from_secs(1), fallback: Next::Step(1) };
    let to = Number::Internal(team::TEAM.into());
    let steps = vec![Step::Ask(ask), Step::Lead { to, failed: Next::Step(0) }];
    let scenario = Some(Arc::new(Scenario::new(steps).expect("a scenario")));
    let number = team::TEAM_DIRECT.to_owned();
    NumberScenario { number, merchant: settings::MERCHANT, scenario }
}

/// The customer of a campaign, for whoever of the office is free; one of those who are asked for it has left.
fn hunt() -> Scenario {
    let agents = team::AGENTS.map(|(user, _)| user).into_iter();
    let among: Vec<String> =
        agents.chain(["89999", settings::EXTENSION]).map(str::to_owned).collect();
    let failed = Next::HangUp;
    Scenario::new(vec![Step::Hunt { among: among.into(), failed }]).expect("a scenario")
}

/// Somebody outside and one of the office beside whoever begins it.
fn conference(n: u32, outside: Party) -> Conference {
    let user = team::AGENTS[0].0.to_owned();
    let inside = Party { number: Number::Internal(user.clone()), as_sent: user, ..outside.clone() };
    let participant = |party| Participant { name: String::new(), party };
    Conference {
        number: format!("{}", 516_000 + n),
        title: String::new(),
        creator: String::new(),
        others: [outside, inside].map(participant).into(),
        chimes: n.is_multiple_of(2),
        booking: None,
    }
}

/// See the module's words.
pub fn engine_ops(bytes: &[u8]) {
    engine_story(bytes);
}

/// Plays a script and tells what was seen on the way, in words: what a corpus is worth.
pub fn engine_story(bytes: &[u8]) -> BTreeSet<String> {
    Life::new(bytes).run()
}

struct Life<'a> {
    script: Script<'a>,
    epoch: Now,
    elapsed: Duration,
    engine: Engine,
    store: Store,
    media: Media,
    dice: Dice,
    /// Handed to the store and not done yet; done in this order.
    works: VecDeque<Work>,
    /// Done, and not told yet.
    replies: Vec<Reply>,
    news: Vec<MediaEvent>,
    peers: Vec<Peer>,
    /// Calls that were heard of, for hanging up.
    known: Vec<CallId>,
    accepted: Vec<CallId>,
    tokens: u64,
    answered: u64,
    /// A group, calls that are led on, mailboxes, and people who transfer.
    team: Option<Strategy>,
    /// What the extension has dialled for itself.
    reach: Reach,
    /// Bytes from the stranger, bytes to it, its datagrams.
    account: (usize, usize, usize),
    story: BTreeSet<String>,
}

impl<'a> Life<'a> {
    fn new(bytes: &'a [u8]) -> Life<'a> {
        let mut script = Script::new(bytes);
        let setup = script.byte();
        let mut dice = Dice::new(u64::from(script.byte()));
        let paid_in = if setup & 1 == 0 { Micros::units(1000) } else { Micros(700_000) };
        let max_calls = (setup & 2 != 0).then_some(2);
        let at = settings::address(SWITCH);
        let listener = Listener { transport: Transport::Udp, bind: at, advertised: at };
        let config = EngineConfig {
            sip: EndpointConfig {
                listeners: vec![listener],
                seed: dice.seed(),
                ..EndpointConfig::default()
            },
            secret: dice.seed(),
            silence: Some(Duration::from_secs(20)),
            calls_max: if setup & 4 == 0 { 20_000 } else { 3 },
            hearing: Hearing { release: Release::Certain, ..Hearing::default() },
            ..EngineConfig::default()
        };
        let epoch = Now { mono: crate::endpoint::origin(), wall: WALL };
        let team = (setup & 8 != 0).then(|| team::works(u64::from(setup >> 4) * 2)).flatten();
        let mut reach = Reach::default();
        if team.is_some() {
            let mailbox = LeadsTo::Voicemail(settings::EXTENSION.into());
            reach.no_answer = Some(mailbox.clone());
            reach.unreachable = Some(mailbox);
            reach.no_answer_s = Some(5);
        }
        let snapshot = Arc::new(country(max_calls, team, &reach));
        let mut engine = Engine::new(config, snapshot, epoch);
        let mut store = Store::new(paid_in);
        let expires = WALL + Duration::from_secs(3_600);
        let mut bindings = settings::bindings(expires).to_vec();
        if team.is_some() {
            bindings.extend(team::registrations(expires));
        }
        for binding in &bindings {
            store.perform(Work::SaveBinding(Box::new(binding.clone())));
        }
        engine.handle_reply(epoch, Reply::Bindings(bindings));
        if team == Some(ANSWERS) {
            engine.handle_command(epoch, Command::Numbers(vec![answered()]));
        }
        let agents = team::AGENTS.map(|(_, at)| at).into_iter().filter(|_| team.is_some());
        let peers = [CARRIER_A, CARRIER_B, CARRIER_C, PHONE, DESK, STRANGER]
            .into_iter()
            .chain(agents)
            .map(|text| peer(text, at, team.is_some()))
            .collect();
        Life {
            script,
            epoch,
            elapsed: Duration::ZERO,
            engine,
            store,
            media: Media::default(),
            dice,
            works: VecDeque::new(),
            replies: Vec::new(),
            news: Vec::new(),
            peers,
            known: Vec::new(),
            accepted: Vec::new(),
            tokens: 0,
            answered: 0,
            team,
            reach,
            account: (0, 0, 0),
            story: BTreeSet::new(),
        }
    }

    fn run(mut self) -> BTreeSet<String> {
        self.drain();
        for _ in 0..OPS_MAX {
            if self.script.is_over() {
                break;
            }
            self.step();
            self.drain();
            self.check();
        }
        self.end();
        self.story
    }

    fn now(&self) -> Now {
        self.epoch.after(self.elapsed)
    }

    fn step(&mut self) {
        match self.script.below(16) {
            0 => self.place(),
            1..=3 => self.work(),
            4..=6 => self.tell(),
            7 => self.sound(),
            8..=12 => self.hear(),
            13 => self.wait(),
            14 => self.command(),
            _ => {
                // The usual way things go: what is waiting is done, and people answer.
                self.settle_down();
                if self.team.is_some() {
                    self.oblige();
                }
            }
        }
    }

    fn place(&mut self) {
        let n = u32::try_from(self.script.below(6)).unwrap_or(0);
        let (phone, record) = (self.script.one_in(3), self.script.one_in(2));
        let ring = Duration::from_secs(u64::from(self.script.byte() % 40) + 5);
        let mut command = settings::command(n, phone, record, ring);
        match self.script.below(8) {
            // The same key for something else.
            7 => {
                let number = command.a.number.clone();
                command.b.iter_mut().for_each(|b| b.number = number.clone());
                if let Some(key) = &mut command.key {
                    key.fingerprint.push('!');
                }
            }
            2 => (command.b, command.scenario) = (None, Some(Arc::new(menu()))),
            4 if self.team.is_some() => {
                (command.b, command.scenario) = (None, Some(Arc::new(hunt())));
                command.purpose = Purpose::Campaign;
            }
            5 if self.team.is_some() => {
                command.conference = command.b.take().map(|b| Box::new(conference(n, b)));
                command.purpose = Purpose::Conference;
                command.pushes.clear();
            }
            _ => {}
        }
        self.tokens += 1;
        let command = Command::Place { token: self.tokens, command: Box::new(command) };
        self.engine.handle_command(self.now(), command);
    }

    /// The store does what is next, or cannot.
    fn work(&mut self) {
        let fails = self.script.one_in(6);
        let Some(work) = self.works.pop_front() else { return };
        let failed = match &work {
            Work::Authorize(ask) => Some(Reply::AuthorizeFailed { call: ask.call }),
            Work::AddLeg(ask) => Some(Reply::AddFailed { leg: ask.leg }),
            Work::Extend(ask) => Some(Reply::ExtendFailed { leg: ask.leg, step: ask.step }),
            Work::Settle(facts) => Some(Reply::SettleFailed { call: facts.call }),
            Work::Journal(entry, Some(seq)) => {
                Some(Reply::JournalFailed { leg: entry.leg, seq: *seq })
            }
            _ => None,
        };
        match failed {
            Some(reply) if fails => self.replies.push(reply),
            _ => self.perform(work),
        }
    }

    fn perform(&mut self, work: Work) {
        self.replies.push(match self.store.perform(work) {
            Done::Authorized(call, answer) => Reply::Authorized { call, answer },
            Done::Abandoned(call) => Reply::AuthorizeFailed { call },
            Done::Added(leg, answer) => Reply::Added { leg, answer },
            Done::NotAdded(leg) => Reply::AddFailed { leg },
            Done::Extended(leg, step, answer) => Reply::Extended { leg, step, answer },
            Done::NotExtended(leg, step) => Reply::ExtendFailed { leg, step },
            Done::Settled(call) => Reply::Settled { call },
            Done::Journaled(leg, seq) => Reply::Journaled { leg, seq },
            Done::Nothing => return,
        });
    }

    /// The engine is told what the store did, in any order and perhaps twice.
    fn tell(&mut self) {
        if self.replies.is_empty() {
            return self.work();
        }
        let at = self.script.below(self.replies.len());
        let reply =
            if self.script.one_in(8) { self.replies[at].clone() } else { self.replies.remove(at) };
        self.engine.handle_reply(self.now(), reply);
    }

    /// News from the media plane: its own, in any order and perhaps twice, and what may come by itself.
    fn sound(&mut self) {
        let event = if self.news.is_empty() || self.script.one_in(4) {
            let at = self.script.below(self.media.streams.len());
            let Some(leg) = self.media.streams.keys().nth(at).copied() else { return };
            match self.script.below(7) {
                0 => MediaEvent::Started { leg },
                5 => MediaEvent::LaidOver { leg, ended: Ended::Interrupted },
                3 => MediaEvent::Interrupted { leg },
                4 => MediaEvent::Unplayable { leg, why: Unplayable::TimedOut },
                1 => MediaEvent::Silent { leg, since: Duration::from_secs(20) },
                2 => MediaEvent::Digit { leg, digit: '5' },
                _ => MediaEvent::Played { leg },
            }
        } else {
            let at = self.script.below(self.news.len());
            if self.script.one_in(8) { self.news[at].clone() } else { self.news.remove(at) }
        };
        self.engine.handle_media(self.now(), event);
    }

    fn hear(&mut self) {
        let at = self.script.below(self.peers.len());
        let peer = &mut self.peers[at];
        let (from, to) = (peer.at, peer.to);
        let bytes = peer.speak(&mut self.script);
        if from == settings::address(STRANGER) {
            self.account.0 += bytes.len();
            self.account.2 += 1;
        }
        self.engine.handle_message(self.now(), Flow::udp(to, from), bytes);
    }

    /// Everybody but the stranger says what he ought to.
    fn oblige(&mut self) {
        let stranger = settings::address(STRANGER);
        for _ in 0..OBLIGED_MAX {
            let mut owing = self.peers.iter_mut().filter(|peer| peer.at != stranger);
            let said = owing.find_map(|peer| Some((peer.at, peer.to, peer.oblige()?)));
            let Some((from, to, bytes)) = said else { return };
            self.engine.handle_message(self.now(), Flow::udp(to, from), bytes);
            self.drain();
            self.settle_down();
        }
    }

    fn wait(&mut self) {
        let until = match self.script.below(4) {
            0 => self.next().unwrap_or(self.elapsed),
            1 => self.elapsed + Duration::from_millis(u64::from(self.script.pair())),
            2 => self.elapsed + Duration::from_secs(u64::from(self.script.byte())),
            _ => {
                self.elapsed += Duration::from_secs(u64::from(self.script.byte()));
                return self.engine.handle_timeout(self.now());
            }
        };
        self.wait_until(until);
    }

    fn next(&self) -> Option<Duration> {
        let mono = self.epoch.mono;
        self.engine.poll_timeout().map(|at| at.saturating_duration_since(mono))
    }

    fn wait_until(&mut self, until: Duration) {
        for _ in 0..TIMERS_MAX {
            match self.next() {
                Some(at) if at <= until => {
                    self.elapsed = self.elapsed.max(at);
                    self.engine.handle_timeout(self.now());
                    self.drain();
                    self.check();
                }
                _ => {
                    self.elapsed = self.elapsed.max(until);
                    return;
                }
            }
        }
        panic!("timers do not come to rest");
    }

    /// What the shell's clients want besides calls.
    fn command(&mut self) {
        let now = self.now();
        self.tokens += 1;
        let token = self.tokens;
        match self.script.below(8) {
            0..=2 => {
                let call = match self.known.len() {
                    0 => CallId(1),
                    count => self.known[self.script.below(count)],
                };
                self.engine.handle_command(now, Command::HangUp { token, call });
            }
            3 if self.script.one_in(2) => {
                self.tokens -= 1;
                let (new, old) = (u32::from(self.script.byte() % 3), 1);
                let user = settings::EXTENSION.to_owned();
                self.engine.handle_command(now, Command::Mailbox { user, new, old });
            }
            3 => self.engine.handle_command(now, Command::Live { token }),
            4 => {
                self.engine.handle_command(now, Command::Bindings { token });
                self.tokens += 1;
                let (token, extensions) = (self.tokens, vec![settings::EXTENSION.to_owned()]);
                self.engine.handle_command(now, Command::Stations { token, extensions });
                self.control();
            }
            5 => {
                self.tokens -= 1;
                let mut snapshot = country(None, self.team, &self.reach);
                snapshot.version = 2;
                match self.script.below(4) {
                    0 => snapshot.trunks.clear(),
                    1 => snapshot.extensions.clear(),
                    2 => snapshot.routes.clear(),
                    _ => {}
                }
                self.engine.handle_command(now, Command::Settings(Arc::new(snapshot)));
            }
            6 => {
                self.tokens -= 1;
                let at = self.peers[self.script.below(self.peers.len())].at;
                let flow = Flow::udp(settings::address(SWITCH), at);
                self.engine.handle_flow_error(now, flow);
            }
            _ => {
                self.tokens -= 1;
                if self.script.one_in(8) {
                    let grace = Duration::from_secs(u64::from(self.script.byte()));
                    self.engine.handle_command(now, Command::Drain { grace });
                }
            }
        }
    }

    /// Somebody does something to the latest call in which two talk. The script has no word in it: scripts of before
    /// mean what they meant.
    fn control(&mut self) {
        let now = self.now();
        let live = self.engine.live();
        let Some(call) = live.iter().rev().find(|call| call.state == "bridged") else { return };
        self.tokens += 1;
        let (token, call_id, merchant) = (self.tokens, call.call, call.merchant);
        let n = u32::try_from(token % 1_000).unwrap_or(0);
        let control = Box::new(team::control(n, &call.a));
        let control = Command::Control { token, call: call_id, merchant, control };
        self.engine.handle_command(now, control);
    }

    /// Store, ledger and media plane do what they were asked, as they would by themselves.
    fn settle_down(&mut self) {
        for _ in 0..EFFECTS_MAX {
            if let Some(work) = self.works.pop_front() {
                self.perform(work);
            } else if !self.replies.is_empty() {
                let reply = self.replies.remove(0);
                self.engine.handle_reply(self.now(), reply);
            } else if !self.news.is_empty() {
                let event = self.news.remove(0);
                self.engine.handle_media(self.now(), event);
            } else {
                return;
            }
            self.drain();
            self.check();
        }
        panic!("store and engine do not come to rest");
    }

    fn drain(&mut self) {
        for _ in 0..EFFECTS_MAX {
            let Some(effect) = self.engine.poll_effect() else { return };
            self.effect(effect);
        }
        panic!("one step had more than {EFFECTS_MAX} effects");
    }

    fn effect(&mut self, effect: Effect) {
        self.story.insert(word(&format!("{effect:?}")));
        let work = match effect {
            Effect::Transmit(transmit) => {
                let remote = transmit.flow.remote;
                return self.sent(remote, transmit.bytes);
            }
            Effect::Media(order) => {
                let later = self.media.order(order, &mut self.dice);
                self.news.extend(later.into_iter().map(|(_, event)| event));
                return;
            }
            Effect::Answer { answer, .. } => {
                self.answered += 1;
                if let Answer::Placed(Ok(placed)) = answer {
                    self.accepted.push(placed.call);
                }
                return;
            }
            Effect::Resolve(question) => {
                let told = sim::names::said(&question);
                let reply = Reply::Resolved { question, told };
                return self.engine.handle_reply(self.now(), reply);
            }
            Effect::SetReach { call, set, .. } => {
                // It is written down, and in the settings that follow; or the store is away.
                let done = !self.script.one_in(4);
                if done {
                    set.apply(&mut self.reach);
                    let settings = Arc::new(country(None, self.team, &self.reach));
                    self.engine.handle_command(self.now(), Command::Settings(settings));
                }
                self.replies.push(Reply::ReachSet { call, done });
                return;
            }
            Effect::TurnedAway(_)
            | Effect::CloseFlow(_)
            | Effect::Missed(_)
            | Effect::Consult(_)
            | Effect::AskPage(_)
            | Effect::Show { .. }
            | Effect::MenuOver(_)
            | Effect::Texted { .. }
            | Effect::Fraud(_)
            | Effect::Stopped(_)
            | Effect::Drained => {
                return;
            }
            other => Work::of(other),
        };
        if let Some(Work::Authorize(ask)) = &work {
            self.known.push(ask.call);
        }
        self.works.extend(work);
    }

    fn sent(&mut self, remote: SocketAddr, bytes: bytes::Bytes) {
        let length = bytes.len();
        let message = Message::parse(bytes).expect("what an engine sends is a message");
        self.story.insert(label(&message));
        if !message.is_request() {
            // A request without a CSeq is refused by an answer without one.
            let ack = message.cseq().is_ok_and(|cseq| cseq.method == Method::Ack);
            // One whose method is not the one of its CSeq is no ACK, and is told so.
            assert!(!ack || message.status() == Some(400), "an ACK was answered (RFC 3261 §17)");
        }
        if remote.ip() == settings::address(STRANGER).ip() {
            assert!(!message.is_request(), "a stranger is never called");
            self.account.1 += length;
        }
        for peer in &mut self.peers {
            if peer.at == remote {
                peer.saw(&message);
            }
        }
    }

    fn check(&mut self) {
        sim::audit::books(&self.store);
        let counts = self.engine.counts();
        assert_eq!(self.engine.adrift(), None, "a call without a deadline: {counts:?}");
        // All that a call may have: two who talk, whoever calls in or is called in, and one who supervises.
        assert!(counts.legs <= counts.calls * 9, "{counts:?}");
        assert!(counts.places <= counts.calls, "{counts:?}");
        assert!(counts.trunk_legs <= counts.legs, "{counts:?}");
        let ports = self.media.streams.len();
        assert!(ports <= counts.ports, "media holds {ports} ports, the engine knows {counts:?}");
        let (heard, told, datagrams) = self.account;
        assert!(
            told <= AMPLIFIED_MAX * heard + ANSWER_ROOM * datagrams,
            "a stranger draws {told} bytes by {heard} in {datagrams} datagrams"
        );
    }

    fn end(&mut self) {
        self.settle_down();
        let now = self.now();
        for call in self.engine.live() {
            self.tokens += 1;
            let hang_up = Command::HangUp { token: self.tokens, call: call.call };
            self.engine.handle_command(now, hang_up);
            self.drain();
        }
        // Who is gone watches nobody.
        let mut snapshot = settings::snapshot(None);
        snapshot.extensions.clear();
        self.engine.handle_command(now, Command::Settings(Arc::new(snapshot)));
        self.drain();
        let end = self.elapsed + REST;
        loop {
            self.settle_down();
            match self.next().filter(|at| *at <= end) {
                Some(at) => {
                    self.elapsed = self.elapsed.max(at);
                    self.engine.handle_timeout(self.now());
                    self.drain();
                    self.check();
                }
                None => break,
            }
        }
        let counts = self.engine.counts();
        let left = call::Counts {
            bindings: counts.bindings,
            refused: counts.refused,
            unwritten: counts.unwritten,
            delivered: counts.delivered,
            undelivered: counts.undelivered,
            keys_told: counts.keys_told,
            keys_untold: counts.keys_untold,
            // A source that knocks too often is left out for longer.
            bans: counts.bans,
            dropped: counts.dropped,
            drops: counts.drops,
            ..call::Counts::default()
        };
        assert_eq!(counts, left, "left over 64 s after everybody hung up");
        assert!(self.media.streams.is_empty(), "ports left over: {:?}", self.media.streams.keys());
        assert_eq!(self.store.holds(), 0, "holds left over");
        assert_eq!(self.store.open(), 0, "journals left open");
        assert_eq!(self.answered, self.tokens, "each question has one answer");
        for call in &self.accepted {
            assert!(self.store.records.contains_key(call), "{call} was accepted, and no record");
        }
        for facts in self.store.records.values() {
            let way = if facts.command.key.is_some() { "callback" } else { "dialled" };
            self.story.insert(format!("{way} {}", sim::audit::outcome(facts)));
            if facts.command.conference.is_some() {
                let came = facts.legs.iter().filter(|leg| leg.answered.is_some()).count();
                self.story.insert(format!("conference of {came}"));
            }
            if facts.command.purpose == Purpose::Campaign {
                let joined = if facts.bridged.is_some() { "joined" } else { "not joined" };
                self.story.insert(format!("hunt {joined}"));
            }
        }
        sim::audit::states(&self.store, false);
        sim::audit::books(&self.store);
    }
}

/// The settings: with a team, calls to the extension are led on as it wishes, and the group's to its mailbox.
fn country(max_calls: Option<u32>, team: Option<Strategy>, reach: &Reach) -> Snapshot {
    let mut snapshot = settings::snapshot(max_calls);
    if let Some(strategy) = team {
        team::join(&mut snapshot, strategy);
        if let Some(office) = snapshot.extensions.get_mut(settings::EXTENSION) {
            let busy = reach.busy.clone().or(office.reach.busy.clone());
            office.reach = Reach { busy, ..reach.clone() };
        }
        if let Some(group) = snapshot.groups.get_mut(team::TEAM) {
            group.otherwise = Some(LeadsTo::Voicemail(settings::EXTENSION.into()));
        }
    }
    snapshot
}

/// A far end; with a team, it dials what there is then, and transfers.
fn peer(text: &str, at: SocketAddr, team: bool) -> Peer {
    let mut peer = Peer::new(settings::address(text), at);
    peer.refers = team;
    let home = |user: &str| format!("sip:{user}@{}", settings::REALM);
    if text == PHONE || text == DESK {
        peer.account = Some((settings::EXTENSION, settings::REALM, settings::PASSWORD));
        peer.uris = ["+8613900000001", settings::EXTENSION].map(home).into();
        if team {
            let codes = ["80100", "80001", "*8", "*71", "*72*80001", "*73", "*92", "*93", "*78"];
            peer.uris.extend(codes.map(home));
        }
    } else if team {
        peer.uris.push(format!("sip:+{}@{at}", team::TEAM_DIRECT));
    }
    peer
}

/// The first word of a debug text.
fn word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// `INVITE`, or `200 INVITE`.
pub(crate) fn label(message: &Message) -> String {
    let method = |method: Option<&Method>| method.map_or("?".to_owned(), ToString::to_string);
    match message.status() {
        None => method(message.method()),
        Some(code) => {
            let cseq = message.cseq().ok();
            format!("{code} {}", method(cseq.as_ref().map(|cseq| &cseq.method)))
        }
    }
}
