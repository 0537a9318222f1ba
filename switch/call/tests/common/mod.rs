//! A small world on a virtual clock: the engine, far ends that are real SIP endpoints, a ledger and a
//! media plane that answer at once unless told otherwise.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod commands;
pub mod ladder;
pub mod mail;
pub mod phones;
pub mod setup;
pub mod team;

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use commands::{callback, key, party};
pub use phones::sdp_of;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use setup::{REALM, engine_config, extension, snapshot, trunk};

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{
    Answer, CarrierNews, Command, Counts, Effect, Engine, EngineConfig, Reply, Resolved, TurnedAway,
};
use facts::ban::Ban;
use facts::fraud::Alert;
use facts::ledger::{AddLeg, Added, Authorize, Authorized, Extend, Extended, JournalLeg, Paid};
use facts::media::{Family, MediaCommand, MediaEvent, MediaStats, RecordedFile, Source};
use facts::record::LegState;
use facts::settings::Snapshot;
use facts::{
    Binding, CallCommand, CallFacts, CallId, LegId, LegNo, MerchantId, Now, Placed, Refusal,
    StateChange, UnixMillis,
};
use sip::endpoint::{
    Endpoint, EndpointConfig, Event, Flow, Listener, SessionId, Transmit, Transport,
};
use sip::locate::Question;
use sip::wire::Message;

pub const US: &str = "198.51.100.1:5060";
pub const US_V6: &str = "[2001:db8::1]:5060";
pub const CARRIER_A: &str = "192.0.2.1:5060";
pub const CARRIER_B: &str = "192.0.2.2:5060";
pub const CARRIER_C: &str = "192.0.2.3:5060";
pub const MERCHANT: MerchantId = MerchantId(7);
pub const NUMBER_A: &str = "8613800138000";
pub const NUMBER_B: &str = "861088880000";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[allow(clippy::disallowed_methods, reason = "a virtual clock needs one instant to count from")]
fn origin() -> Now {
    Now { mono: Instant::now(), wall: UnixMillis(1_763_700_000_000) }
}

/// A far end: a real SIP endpoint and what it has seen.
pub struct Far {
    pub endpoint: Endpoint,
    pub at: SocketAddr,
    /// Sessions it was invited to, with the offer.
    pub invited: Vec<(SessionId, Message)>,
    pub events: Vec<Event>,
    /// Requests and answers it received, raw.
    pub heard: Vec<Message>,
    /// What it sends is kept back while true.
    pub muted: bool,
    pub kept: VecDeque<Transmit>,
    /// Nothing reaches it and nothing leaves it.
    pub dead: bool,
}

impl Far {
    fn new(at: &str, seed: u8) -> Far {
        let at = addr(at);
        let listener = Listener { transport: Transport::Udp, bind: at, advertised: at };
        let config = EndpointConfig {
            listeners: vec![listener],
            engine: seed,
            seed: [seed; 32],
            ..EndpointConfig::default()
        };
        Far {
            endpoint: Endpoint::new(config),
            at,
            invited: Vec::new(),
            events: Vec::new(),
            heard: Vec::new(),
            muted: false,
            kept: VecDeque::new(),
            dead: false,
        }
    }

    /// The session of its latest INVITE.
    pub fn session(&self) -> SessionId {
        self.invited.last().expect("it was invited").0
    }

    /// How many requests of a method it has received, copies included.
    pub fn count(&self, method: &str) -> usize {
        self.heard.iter().filter(|m| method_of(m) == Some(method)).count()
    }

    /// The latest request of a method.
    pub fn last(&self, method: &str) -> &Message {
        self.heard
            .iter()
            .rev()
            .find(|m| method_of(m) == Some(method))
            .unwrap_or_else(|| panic!("no {method} at {}", self.at))
    }

    pub fn cancelled(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Cancelled { .. }))
    }

    pub fn ended(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Ended { .. }))
    }
}

fn method_of(message: &Message) -> Option<&str> {
    message.is_request().then(|| message.method().map(sip::wire::Method::as_str)).flatten()
}

/// How the ledger answers.
pub struct Ledger {
    /// First hold of each leg.
    pub first: Option<Duration>,
    /// What each extension adds; `None` says exhausted.
    pub chunk: Option<Duration>,
    /// Extensions it grants per leg before it says exhausted.
    pub steps: u32,
    /// It answers authorizations itself.
    pub answers: bool,
    /// It answers extensions itself.
    pub extends: bool,
    pub refuse: Option<Refusal>,
    /// It writes the journal; or else nobody hears of it.
    pub journals: bool,
    /// It writes records.
    pub settles: bool,
    /// It says something when it is sent a record.
    pub hears: bool,
}

pub struct Sim {
    pub now: Now,
    pub engine: Engine,
    pub snapshot: Snapshot,
    pub fars: BTreeMap<&'static str, Far>,
    pub ledger: Ledger,
    pub authorizations: Vec<Authorize>,
    pub abandoned: Vec<CallId>,
    pub extensions: Vec<Extend>,
    /// Legs asked for in calls that are open.
    pub added: Vec<AddLeg>,
    pub answers: BTreeMap<u64, Answer>,
    pub settled: Vec<CallFacts>,
    pub notes: Vec<StateChange>,
    pub journal: Vec<JournalLeg>,
    /// What ends a leg, as it was rewritten apart from the leg.
    pub papers: Vec<(LegId, Option<Vec<u8>>)>,
    pub alive: Vec<(Vec<CallId>, UnixMillis)>,
    pub media: Vec<MediaCommand>,
    pub bindings: BTreeMap<(String, String), Binding>,
    pub drained: usize,
    /// Connections that the engine wants closed.
    pub closed: Vec<Flow>,
    pub turned_away: Vec<TurnedAway>,
    pub discarded: Vec<String>,
    pub mailbox: mail::Store,
    /// How long every recording is.
    pub message_ms: u64,
    /// INVITEs to carriers that came to nothing.
    pub missed: Vec<call::Missed>,
    pub carriers: Vec<CarrierNews>,
    /// What the DNS says; of what is not in it, that there is nothing.
    pub zone: BTreeMap<Question, Resolved>,
    /// It answers.
    pub dns: bool,
    /// What it was asked.
    pub asked: Vec<Question>,
    /// Whose certificate is where.
    pub certified: Vec<(SocketAddr, String)>,
    pub bans: Vec<Ban>,
    /// Limits against toll fraud that were reached.
    pub alerts: Vec<Alert>,
    pub stopped: Vec<facts::policy::Stopped>,
    /// Questions of scenarios, which the test answers.
    pub questions: Vec<facts::scenario::Question>,
    /// What pages of menus are asked, which the test answers.
    pub pages: Vec<facts::ussd::Step>,
    /// What was shown at doors that are not SIP's, and whether something may be typed.
    pub shown: Vec<(CallId, String, bool)>,
    /// Menus that are over.
    pub overs: Vec<facts::ussd::Over>,
    /// Messages to numbers of the operator's, for the shell to keep.
    pub texted: Vec<(u64, facts::sms::Arrived)>,
    /// The media plane answers by itself.
    pub media_answers: bool,
    /// What is sent to addresses where nobody is.
    pub lost: usize,
    /// Of a hundred messages so many are lost, and as many arrive twice.
    pub loss: u64,
    dice: u64,
    port: u16,
    locals: BTreeMap<LegId, SocketAddr>,
    token: u64,
}

impl Sim {
    pub fn new() -> Sim {
        Sim::with(|_| {}, |_| {})
    }

    pub fn with(config: impl FnOnce(&mut EngineConfig), set: impl FnOnce(&mut Snapshot)) -> Sim {
        let now = origin();
        let mut snapshot = snapshot();
        set(&mut snapshot);
        let mut fars = BTreeMap::new();
        for (seed, (name, at)) in
            [("a", CARRIER_A), ("b", CARRIER_B), ("c", CARRIER_C)].into_iter().enumerate()
        {
            fars.insert(name, Far::new(at, u8::try_from(seed).unwrap() + 101));
        }
        let mut engine_config = engine_config();
        config(&mut engine_config);
        Sim {
            now,
            engine: Engine::new(engine_config, Arc::new(snapshot.clone()), now),
            snapshot,
            fars,
            ledger: Ledger {
                first: Some(s(60)),
                chunk: Some(s(60)),
                steps: u32::MAX,
                answers: true,
                extends: true,
                refuse: None,
                journals: true,
                settles: true,
                hears: true,
            },
            authorizations: Vec::new(),
            abandoned: Vec::new(),
            extensions: Vec::new(),
            added: Vec::new(),
            answers: BTreeMap::new(),
            settled: Vec::new(),
            notes: Vec::new(),
            journal: Vec::new(),
            papers: Vec::new(),
            alive: Vec::new(),
            media: Vec::new(),
            bindings: BTreeMap::new(),
            drained: 0,
            closed: Vec::new(),
            turned_away: Vec::new(),
            discarded: Vec::new(),
            mailbox: mail::Store::default(),
            message_ms: 1,
            missed: Vec::new(),
            carriers: Vec::new(),
            zone: BTreeMap::new(),
            dns: true,
            asked: Vec::new(),
            certified: Vec::new(),
            bans: Vec::new(),
            alerts: Vec::new(),
            stopped: Vec::new(),
            questions: Vec::new(),
            pages: Vec::new(),
            shown: Vec::new(),
            overs: Vec::new(),
            texted: Vec::new(),
            media_answers: true,
            lost: 0,
            loss: 0,
            dice: 0x9e37_79b9_7f4a_7c15,
            port: 20_000,
            locals: BTreeMap::new(),
            token: 0,
        }
    }

    /// Adds a far end.
    pub fn add(&mut self, name: &'static str, at: &str, seed: u8) {
        self.fars.insert(name, Far::new(at, seed));
    }

    pub fn far(&mut self, name: &str) -> &mut Far {
        self.fars.get_mut(name).unwrap()
    }

    // ---- commands

    pub fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    /// Places a call; the token to look its answer up with.
    pub fn place(&mut self, command: CallCommand) -> u64 {
        self.token += 1;
        let token = self.token;
        self.command(Command::Place { token, command: Box::new(command) });
        token
    }

    pub fn placed(&self, token: u64) -> Result<Placed, Refusal> {
        match self.answers.get(&token) {
            Some(Answer::Placed(answer)) => *answer,
            other => panic!("token {token} was answered {other:?}"),
        }
    }

    pub fn reply(&mut self, reply: Reply) {
        self.engine.handle_reply(self.now, reply);
        self.drain();
    }

    pub fn media(&mut self, event: MediaEvent) {
        self.engine.handle_media(self.now, event);
        self.drain();
    }

    // ---- far ends

    /// A provisional answer to the latest INVITE of a far end.
    pub fn ring(&mut self, name: &str, code: u16, sdp: Option<&str>) {
        let now = self.now.mono;
        let far = self.far(name);
        let session = far.session();
        let sdp = sdp.map(|sdp| Bytes::copy_from_slice(sdp.as_bytes()));
        far.endpoint.provisional(now, session, code, sdp);
        self.drain();
    }

    pub fn pick_up(&mut self, name: &str) {
        let sdp = sdp_of(name);
        self.pick_up_with(name, &sdp);
    }

    pub fn pick_up_with(&mut self, name: &str, sdp: &str) {
        let now = self.now.mono;
        let far = self.far(name);
        let session = far.session();
        far.endpoint.accept(now, session, Bytes::copy_from_slice(sdp.as_bytes()), Vec::new());
        self.drain();
    }

    pub fn refuse(&mut self, name: &str, code: u16, reason: Option<&str>) {
        let now = self.now.mono;
        let far = self.far(name);
        let session = far.session();
        let headers = reason.map(|reason| ("Reason".to_owned(), reason.as_bytes().to_vec()));
        far.endpoint.reject(now, session, code, headers.into_iter().collect());
        self.drain();
    }

    /// The port that a leg has, or had.
    pub fn local(&self, leg: LegId) -> SocketAddr {
        self.locals[&leg]
    }

    /// A far end tells a key by INFO.
    pub fn press_by_info(&mut self, name: &str, digit: char) {
        let now = self.now.mono;
        let far = self.far(name);
        let session = far.session();
        let body = Bytes::from(format!("Signal={digit}"));
        far.endpoint.info(now, session, ("application/dtmf-relay", body)).unwrap();
        self.drain();
    }

    pub fn hang_up(&mut self, name: &str) {
        let now = self.now.mono;
        let far = self.far(name);
        let session = far.session();
        far.endpoint.bye(now, session, None);
        self.drain();
    }

    /// Lets out what a muted far end has kept back.
    pub fn unmute(&mut self, name: &str) {
        self.far(name).muted = false;
        let kept = std::mem::take(&mut self.far(name).kept);
        for transmit in kept {
            self.receive(&transmit);
        }
        self.drain();
    }

    /// Bytes from somewhere.
    pub fn raw(&mut self, from: &str, text: &str) {
        let flow = Flow::udp(addr(US), addr(from));
        let bytes = Bytes::from(text.replace('\n', "\r\n"));
        self.engine.handle_message(self.now, flow, bytes);
        self.drain();
    }

    // ---- the world's turn

    /// Throws the dice of the network: how often a message arrives.
    fn copies(&mut self) -> usize {
        if self.loss == 0 {
            return 1;
        }
        // xorshift64: the same seed, the same world.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        match self.dice % 100 {
            roll if roll < self.loss => 0,
            roll if roll < 2 * self.loss => 2,
            _ => 1,
        }
    }

    pub fn seed(&mut self, seed: u64) {
        self.dice ^= seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    }

    fn receive(&mut self, transmit: &Transmit) {
        for _ in 0..self.copies() {
            self.receive_once(transmit.clone());
        }
    }

    fn receive_once(&mut self, transmit: Transmit) {
        let flow = Flow::udp(transmit.flow.remote, transmit.flow.local);
        self.engine.handle_message(self.now, flow, transmit.bytes);
    }

    pub fn drain(&mut self) {
        loop {
            let mut still = true;
            while let Some(effect) = self.engine.poll_effect() {
                still = false;
                self.perform(effect);
            }
            let names: Vec<&'static str> = self.fars.keys().copied().collect();
            for name in names {
                while let Some(event) = self.far(name).endpoint.poll_event() {
                    still = false;
                    let far = self.far(name);
                    if let Event::Invite { session, request, .. } = &event {
                        far.invited.push((*session, request.clone()));
                    }
                    far.events.push(event);
                }
                while let Some(transmit) = self.far(name).endpoint.poll_transmit() {
                    still = false;
                    let far = self.far(name);
                    if far.dead {
                        continue;
                    }
                    if far.muted {
                        far.kept.push_back(transmit);
                    } else {
                        self.receive(&transmit);
                    }
                }
            }
            if still {
                break;
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Transmit(transmit) => {
                for _ in 0..self.copies() {
                    self.deliver(transmit.clone());
                }
            }
            Effect::Authorize(authorize) => {
                if self.ledger.answers {
                    let answer = self.judge(&authorize);
                    let call = authorize.call;
                    self.engine.handle_reply(now, Reply::Authorized { call, answer });
                }
                self.authorizations.push(*authorize);
            }
            Effect::Abandon { call, .. } => self.abandoned.push(call),
            Effect::AddLeg(ask) => {
                let leg = ask.leg;
                self.added.push(ask);
                if self.ledger.answers {
                    let answer = match self.ledger.refuse {
                        Some(refusal) => Added::Refused(refusal),
                        None => Added::Paid(self.ledger.first),
                    };
                    self.engine.handle_reply(now, Reply::Added { leg, answer });
                }
            }
            Effect::Extend(extend) => {
                self.extensions.push(extend);
                if self.ledger.extends {
                    let answer = match self.ledger.chunk {
                        Some(chunk) if extend.step <= self.ledger.steps => {
                            let first = self.ledger.first.unwrap();
                            Extended::Paid(Some(first + chunk * extend.step))
                        }
                        _ => Extended::Exhausted,
                    };
                    let Extend { leg, step, .. } = extend;
                    self.engine.handle_reply(now, Reply::Extended { leg, step, answer });
                }
            }
            Effect::Journal { entry, seq } => {
                let leg = entry.leg;
                self.journal.push(*entry);
                self.written(leg, seq);
            }
            Effect::Papers { leg, dialog, seq } => {
                self.papers.push((leg, dialog));
                self.written(leg, seq);
            }
            Effect::Alive { calls, at } => self.alive.push((calls, at)),
            Effect::Notify(note) => self.notes.push(note),
            Effect::Settle(facts) => {
                let call = facts.call;
                self.settled.push(*facts);
                let reply = if self.ledger.settles {
                    Reply::Settled { call }
                } else {
                    Reply::SettleFailed { call }
                };
                if self.ledger.hears {
                    self.engine.handle_reply(now, reply);
                }
            }
            Effect::Media(command) => self.order(command),
            Effect::Answer { token, answer } => {
                assert!(self.answers.insert(token, answer).is_none(), "{token} answered twice");
            }
            Effect::SaveBinding(binding) => {
                self.bindings.insert((binding.user.clone(), binding.key.clone()), *binding);
            }
            Effect::DropBinding { user, key } => {
                self.bindings.remove(&(user, key));
            }
            Effect::TurnedAway(turned) => self.turned_away.push(*turned),
            Effect::CloseFlow(flow) => self.closed.push(flow),
            Effect::Carrier(news) => self.carriers.push(*news),
            Effect::Missed(missed) => self.missed.push(*missed),
            Effect::Banned(ban) => self.bans.push(ban),
            Effect::Fraud(alert) => self.alerts.push(*alert),
            Effect::Stopped(stopped) => self.stopped.push(*stopped),
            Effect::Consult(question) => self.questions.push(*question),
            Effect::AskPage(step) => self.pages.push(*step),
            Effect::Show { session, text, more } => self.shown.push((session, text, more)),
            Effect::MenuOver(over) => self.overs.push(over),
            Effect::Texted { message, text } => self.texted.push((message, *text)),
            Effect::Resolve(question) => self.look_up(question),
            Effect::Certified(names) => self.certified = names,
            Effect::SetReach { call, user, set } => {
                let done = team::dialled(self, &user, set);
                self.engine.handle_reply(now, Reply::ReachSet { call, done });
            }
            effect @ (Effect::FetchMail { .. }
            | Effect::HearMail { .. }
            | Effect::DeleteMail { .. }) => self.mail(effect),
            Effect::Discard { file, .. } => self.discarded.push(file),
            Effect::Drained => self.drained += 1,
        }
    }

    fn look_up(&mut self, question: Question) {
        let nothing = Resolved::Nothing { ttl: s(60) };
        let told = match self.dns {
            true => self.zone.get(&question).cloned().unwrap_or(nothing),
            false => Resolved::Failed,
        };
        self.asked.push(question.clone());
        self.engine.handle_reply(self.now, Reply::Resolved { question, told });
    }

    fn deliver(&mut self, transmit: Transmit) {
        let now = self.now.mono;
        let target = transmit.flow.remote;
        let Some(far) = self.fars.values_mut().find(|far| far.at == target) else {
            self.lost += 1;
            return;
        };
        if far.dead {
            return;
        }
        far.heard.push(Message::parse(transmit.bytes.clone()).expect("we send what parses"));
        let flow = Flow::udp(target, transmit.flow.local);
        far.endpoint.handle_message(now, flow, transmit.bytes);
    }

    pub fn judge(&self, authorize: &Authorize) -> Authorized {
        if let Some(refusal) = self.ledger.refuse {
            return Authorized::Refused(refusal);
        }
        let until = self.ledger.first;
        let paid = authorize.legs.iter().map(|quote| Paid { leg: quote.leg, until }).collect();
        Authorized::Granted { paid }
    }

    fn order(&mut self, command: MediaCommand) {
        let now = self.now;
        let answer = match &command {
            MediaCommand::Open { leg, family } => {
                self.port += 2;
                let home = match family {
                    Family::V4 => addr(US).ip(),
                    Family::V6 => addr(US_V6).ip(),
                };
                let local = SocketAddr::new(home, self.port);
                self.locals.insert(*leg, local);
                Some(MediaEvent::Opened { leg: *leg, local })
            }
            MediaCommand::Close { leg } => {
                let stats = MediaStats { packets_received: 1, ..MediaStats::default() };
                Some(MediaEvent::Closed { leg: *leg, stats })
            }
            MediaCommand::StopRecording { call } => {
                let file = RecordedFile {
                    file: "x.mp3".into(),
                    duration_ms: self.message_ms,
                    bytes: 1,
                    sha256: String::new(),
                    other: None,
                };
                Some(MediaEvent::Recorded { call: *call, file })
            }
            _ => None,
        };
        self.media.push(command);
        if let Some(answer) = answer.filter(|_| self.media_answers) {
            self.engine.handle_media(now, answer);
        }
    }

    /// The journal answers whoever waits for it.
    fn written(&mut self, leg: LegId, seq: Option<u32>) {
        if let Some(seq) = seq.filter(|_| self.ledger.journals) {
            self.engine.handle_reply(self.now, Reply::Journaled { leg, seq });
        }
    }

    /// Lets time pass; every deadline on the way is met on time.
    pub fn advance(&mut self, by: Duration) {
        let target = self.now.after(by);
        for _ in 0..1_000_000 {
            let fars = self.fars.values().filter_map(|far| Some(far.endpoint.poll_timeout()?.0));
            let next = fars.chain(self.engine.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= target.mono) else {
                break;
            };
            let step = next.saturating_duration_since(self.now.mono);
            self.now = self.now.after(step);
            let now = self.now;
            for far in self.fars.values_mut() {
                if far.endpoint.poll_timeout().is_some_and(|(at, _)| at <= now.mono) {
                    far.endpoint.handle_timeout(now.mono);
                }
            }
            if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.engine.handle_timeout(now);
            }
            self.drain();
        }
        self.now = target;
    }

    // ---- what was seen

    /// The record of the only call.
    pub fn record(&self) -> &CallFacts {
        assert_eq!(self.settled.len(), 1, "one record");
        &self.settled[0]
    }

    /// What a leg hears now.
    pub fn hears(&self, no: LegNo) -> Option<&Source> {
        self.media.iter().rev().find_map(|command| match command {
            MediaCommand::Hear { leg, source } if leg.no == no => Some(source),
            _ => None,
        })
    }

    /// The states that were told, as `A callout`.
    pub fn states(&self) -> Vec<String> {
        self.assert_numbered();
        self.notes
            .iter()
            .map(|note| {
                let state = match note.state {
                    LegState::Callout => "callout",
                    LegState::Alerting => "alerting",
                    LegState::Answer => "answer",
                    LegState::Disconnect => "disconnect",
                    LegState::Unrung(_) => "unrung",
                };
                format!("{} {state}", note.leg.no)
            })
            .collect()
    }

    /// The same state of the same leg has the same number in every life of the process, and no other
    /// state has it: a store that takes each number once loses nothing and repeats nothing.
    pub fn assert_numbered(&self) {
        let mut numbers = BTreeMap::new();
        for note in &self.notes {
            let what = (note.leg, format!("{:?}", note.state));
            let before = numbers.insert((note.leg.call, note.sequence), what.clone());
            assert!(before.is_none_or(|before| before == what), "{} twice", note.sequence);
        }
    }

    pub fn leg(&self, no: LegNo) -> LegId {
        LegId::new(self.authorizations.last().expect("a call").call, no)
    }

    /// Rings A and answers it; B is being invited.
    pub fn up_to_b(&mut self) {
        let token = self.place(callback());
        self.placed(token).expect("accepted");
        self.ring("a", 180, None);
        self.advance(s(2));
        self.pick_up("a");
    }

    /// Both are talking.
    pub fn up_to_bridge(&mut self) {
        self.up_to_b();
        self.ring("b", 180, None);
        self.advance(s(3));
        self.pick_up("b");
        assert!(self.engine.live()[0].bridged.is_some(), "bridged");
    }

    /// Some time after the last call nothing is left anywhere.
    pub fn assert_clean(&mut self) {
        self.advance(s(400));
        let counts = self.engine.counts();
        let clean = Counts {
            bindings: counts.bindings,
            refused: counts.refused,
            drops: counts.drops,
            unwritten: counts.unwritten,
            delivered: counts.delivered,
            undelivered: counts.undelivered,
            keys_told: counts.keys_told,
            keys_untold: counts.keys_untold,
            bans: counts.bans,
            dropped: counts.dropped,
            ..Counts::default()
        };
        assert_eq!(counts, clean);
        let opened = |command: &&MediaCommand| matches!(command, MediaCommand::Open { .. });
        let closed = |command: &&MediaCommand| matches!(command, MediaCommand::Close { .. });
        let (opened, closed) =
            (self.media.iter().filter(opened).count(), self.media.iter().filter(closed).count());
        assert_eq!(opened, closed, "every port is given back");
    }
}
