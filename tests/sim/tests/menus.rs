//! Days of menus: subscribers of a carrier's IMS and a phone of ours that calls the code or writes to it, on a network that
//! loses, doubles and reorders, with pages that are slow or silent, and a process that dies meanwhile. The store is that of
//! sessions: what it commits survives, and a process that begins ends what the last one left.
//!
//! The store keeps a merchant's account as the real one does: whoever cannot pay is told so, and an opening of which nobody
//! heard is given back. What it holds at the end is held against what the engine told: a price for each session that was
//! over in any other way, none for the others, and no session that nobody dialled. Its page is asked one step after the other and never behind its end, its end is
//! written once; nobody is left in a dialog, and no table keeps anything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{Command, Effect, Engine, EngineConfig, Reply};
use facts::media::{MediaEvent, Source};
use facts::settings::Snapshot;
use facts::ussd::{Code, Dialled, Door, End, Language, Over, Screen, Step};
use facts::{CallId, LegId, Micros, Now, UnixMillis};
use sim::media::Media;
use sim::net::{Dice, Weather};
use sim::settings::{self, CARRIER_A, EXTENSION, PASSWORD, PHONE, REALM, SWITCH};
use sim::store::{Done, Store, Work};
use sip::endpoint::{
    Answer, Credentials, Endpoint, EndpointConfig, Event, Flow, Invite, Listener, OutOfDialog,
    RequestId, SessionId, Transport,
};
use sip::wire::{Method, NameAddr, Uri};

const WALL: UnixMillis = UnixMillis(1_767_225_600_000);
/// Sessions are begun within this time; then the sky clears, and everybody leaves.
const DAY: Duration = Duration::from_secs(150);
const REST: Duration = Duration::from_secs(700);
const PRICE: i64 = 500_000;
const BODY: &str = "application/vnd.3gpp.ussd+xml";

/// A row of the store.
#[derive(Clone, Copy)]
struct Row {
    end: Option<(End, u32)>,
    life: u32,
    /// It was not opened: nobody could pay.
    unpaid: bool,
    /// Nobody heard of its opening.
    unheard: bool,
}

enum Happening {
    Arrive {
        from: &'static str,
        to: &'static str,
        bytes: Bytes,
    },
    Reply {
        life: u32,
        reply: Box<Reply>,
    },
    Media {
        life: u32,
        event: MediaEvent,
    },
    Store {
        life: u32,
        work: Box<Work>,
    },
    /// The store opens a session: its price is taken.
    Open {
        life: u32,
        step: Box<Step>,
    },
    /// The end of a session is written down.
    Over {
        life: u32,
        over: Over,
    },
    Dial,
    Act(Who),
    Read(RequestId),
    Crash,
    Start,
    /// All who are still there leave.
    Leave,
}

/// Who does something next.
#[derive(Clone, Copy)]
enum Who {
    Ims(SessionId),
    Caller(SessionId),
    Writer,
}

struct Day {
    dice: Dice,
    weather: Weather,
    epoch: Now,
    elapsed: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    order: u64,
    engine: Option<Engine>,
    life: u32,
    ims: Endpoint,
    phone: Endpoint,
    up: Vec<(&'static str, SessionId)>,
    media: Media,
    calls: Store,
    rows: BTreeMap<CallId, Row>,
    /// What the merchant had in the morning, and has.
    had: i64,
    account: i64,
    /// INVITEs and messages by which somebody may have dialled.
    wishes: usize,
    asked: BTreeMap<CallId, u32>,
    over: BTreeMap<CallId, End>,
    last_call: Option<CallId>,
    seen: BTreeMap<String, u32>,
}

fn endpoint(at: &str, engine: u8, methods: Vec<Method>, dice: &mut Dice) -> Endpoint {
    let at = settings::address(at);
    Endpoint::new(EndpointConfig {
        listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
        engine,
        seed: dice.seed(),
        methods,
        ..EndpointConfig::default()
    })
}

fn country() -> Arc<Snapshot> {
    let mut snapshot = settings::snapshot(None);
    let code = Code {
        merchant: settings::MERCHANT,
        code: Dialled::code("6655*1").unwrap(),
        leading_star: true,
        language: Language::En,
        page: Duration::from_secs(5),
        input: Duration::from_secs(30),
        session: Duration::from_secs(90),
        price: Micros(PRICE),
    };
    snapshot.ussd.insert(code.code.clone(), Arc::new(code));
    snapshot.extensions.get_mut(EXTENSION).unwrap().bound_phone = Some("8613900000009".into());
    Arc::new(snapshot)
}

impl Day {
    fn new(seed: u64) -> Day {
        let mut dice = Dice::new(seed);
        let weather = if seed.is_multiple_of(4) { Weather::CALM } else { Weather::roll(&mut dice) };
        // Every other day the phone takes no messages.
        let methods = if seed.is_multiple_of(2) { vec![Method::Message] } else { Vec::new() };
        // Some have little.
        let had = PRICE * if seed.is_multiple_of(5) { 4 } else { 100 };
        let mut day = Day {
            ims: endpoint(CARRIER_A, 7, Vec::new(), &mut dice),
            phone: endpoint(PHONE, 8, methods, &mut dice),
            dice,
            weather,
            epoch: Now { mono: Instant::now(), wall: WALL },
            elapsed: Duration::ZERO,
            queue: BTreeMap::new(),
            order: 0,
            engine: None,
            life: 0,
            up: Vec::new(),
            media: Media::with(true),
            calls: Store::new(Micros::units(1000)),
            rows: BTreeMap::new(),
            had,
            account: had,
            wishes: 0,
            asked: BTreeMap::new(),
            over: BTreeMap::new(),
            last_call: None,
            seen: BTreeMap::new(),
        };
        let expires = WALL + Duration::from_secs(86_400);
        for binding in settings::bindings(expires) {
            day.calls.perform(Work::SaveBinding(Box::new(binding)));
        }
        day.start();
        for _ in 0..14 {
            let at = day.dice.between(Duration::ZERO, DAY);
            day.later(at, Happening::Dial);
        }
        for _ in 0..seed % 3 {
            let at = day.dice.between(Duration::from_secs(5), DAY);
            day.later(at, Happening::Crash);
        }
        day.later(DAY + Duration::from_secs(100), Happening::Leave);
        day
    }

    fn now(&self) -> Now {
        self.epoch.after(self.elapsed)
    }

    fn later(&mut self, after: Duration, what: Happening) {
        self.order += 1;
        self.queue.insert((self.elapsed + after, self.order), what);
    }

    fn within(&mut self, low_ms: u64, high_ms: u64, what: Happening) {
        let after =
            self.dice.between(Duration::from_millis(low_ms), Duration::from_millis(high_ms));
        self.later(after, what);
    }

    fn note(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    fn run(mut self) -> BTreeMap<String, u32> {
        let end = DAY + REST;
        loop {
            let mono = self.epoch.mono;
            let since = |at: Instant| at.saturating_duration_since(mono);
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let engine = self.engine.as_ref().and_then(Engine::poll_timeout).map(since);
            let fars = [&self.ims, &self.phone];
            let far = fars.iter().filter_map(|far| Some(since(far.poll_timeout()?.0))).min();
            let Some(next) = [queued, engine, far].into_iter().flatten().min() else { break };
            if next > end {
                break;
            }
            self.elapsed = self.elapsed.max(next);
            let now = self.now();
            if queued == Some(next) {
                let (_, what) = self.queue.pop_first().unwrap();
                self.happen(what);
            } else if engine == Some(next) {
                self.engine.as_mut().unwrap().handle_timeout(now);
            } else {
                self.ims.handle_timeout(now.mono);
                self.phone.handle_timeout(now.mono);
            }
            self.drain();
        }
        self.rest()
    }

    fn happen(&mut self, what: Happening) {
        let now = self.now();
        match what {
            Happening::Arrive { from, to, bytes } => {
                let flow = Flow::udp(settings::address(to), settings::address(from));
                match to {
                    SWITCH => {
                        if let Some(engine) = &mut self.engine {
                            engine.handle_message(now, flow, bytes);
                        }
                    }
                    CARRIER_A => self.ims.handle_message(now.mono, flow, bytes),
                    _ => self.phone.handle_message(now.mono, flow, bytes),
                }
            }
            Happening::Reply { life, reply } => {
                if let Some(engine) = self.engine.as_mut().filter(|_| life == self.life) {
                    engine.handle_reply(now, *reply);
                }
            }
            Happening::Media { life, event } => {
                if let Some(engine) = self.engine.as_mut().filter(|_| life == self.life) {
                    engine.handle_media(now, event);
                }
            }
            Happening::Store { life, work } => self.perform(life, *work),
            Happening::Open { life, step } => self.open(life, &step),
            Happening::Over { life, over } => self.write_end(life, over),
            Happening::Dial => self.dial(),
            Happening::Act(who) => self.act(who),
            Happening::Read(request) => {
                self.phone.respond(now.mono, request, Answer { code: 200, ..Answer::default() });
            }
            Happening::Crash => self.crash(),
            Happening::Start => self.start(),
            Happening::Leave => {
                self.weather = Weather::CALM;
                for (at, session) in std::mem::take(&mut self.up) {
                    let far = if at == CARRIER_A { &mut self.ims } else { &mut self.phone };
                    far.bye(now.mono, session, None);
                }
            }
        }
    }

    /// One transaction: the row, and the price where it can be paid. The page is asked when it is committed, and known to be.
    fn open(&mut self, life: u32, step: &Step) {
        let unpaid = self.account < PRICE;
        let unheard = !unpaid && self.dice.chance(40);
        let end = unpaid.then_some((End::Unpaid, step.number));
        let row = Row { end, life, unpaid, unheard };
        assert!(self.rows.insert(step.session, row).is_none(), "{} twice", step.session);
        if !unpaid {
            self.account -= PRICE;
        }
        if life != self.life {
            return;
        }
        let screen = match (unpaid, unheard) {
            (true, _) => Screen::Unpaid,
            (_, true) => Screen::Unavailable,
            (false, false) => return self.ask(step),
        };
        let (session, number) = (step.session, step.number);
        let reply = Box::new(Reply::Screen { session, number, screen });
        self.within(1, 50, Happening::Reply { life, reply });
    }

    /// A page: it says something soon, late, twice or never.
    fn ask(&mut self, step: &Step) {
        let screen = match self.dice.below(8) {
            0 | 1 => Screen::Last("Thanks.".into()),
            2 => Screen::Unavailable,
            3 => Screen::Menu("long ".repeat(60)),
            _ => Screen::Menu("1 or 2?".into()),
        };
        let (life, session, number) = (self.life, step.session, step.number);
        let copies = if self.dice.chance(100) { self.dice.below(3) } else { 1 };
        for _ in 0..copies {
            let reply = Box::new(Reply::Screen { session, number, screen: screen.clone() });
            self.within(20, 3_000, Happening::Reply { life, reply });
        }
    }

    fn write_end(&mut self, life: u32, over: Over) {
        let Some(row) = self.rows.get_mut(&over.session) else {
            assert!(life < self.life, "an end without its opening");
            return;
        };
        if row.unpaid {
            return;
        }
        assert!(row.end.is_none(), "{} ends twice", over.session);
        row.end = Some((over.end, over.steps));
        if row.unheard {
            self.account += PRICE;
            self.note("given back");
        }
    }

    fn dial(&mut self) {
        let now = self.now().mono;
        let (ims, code) = (self.dice.below(3), format!("sip:*6655*1%23@{REALM}"));
        let uri = Uri::parse(&code).unwrap();
        let (from, far) = match ims {
            0 => {
                let n = self.dice.below(90) + 10;
                (format!("<sip:+86138000000{n}@{CARRIER_A}>"), CARRIER_A)
            }
            _ => (format!("<sip:{EXTENSION}@{REALM}>"), PHONE),
        };
        let from = NameAddr::parse(from.as_bytes()).unwrap();
        let flow = Flow::udp(settings::address(far), settings::address(SWITCH));
        let credentials = (far == PHONE).then(|| Credentials {
            realm: Some(REALM.into()),
            username: EXTENSION.into(),
            password: PASSWORD.into(),
        });
        if ims == 2 {
            return self.write("hello");
        }
        let package = (far == CARRIER_A).then(|| ("Recv-Info".into(), b"g.3gpp.ussd".to_vec()));
        let ip = settings::address(far).ip();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\n"
        );
        let invite = Invite {
            uri: uri.clone(),
            flow,
            from,
            to: NameAddr::new(uri),
            contact_user: "x".into(),
            headers: Vec::from_iter(package),
            sdp: sdp.into(),
            credentials,
            route: Vec::new(),
            keep_flow: false,
            reliable: false,
            timers: None,
            edits: Vec::new(),
        };
        let endpoint = if far == CARRIER_A { &mut self.ims } else { &mut self.phone };
        let session = endpoint.invite(now, invite);
        self.wishes += 1;
        self.up.push((far, session));
    }

    fn write(&mut self, text: &str) {
        let uri = Uri::parse(&format!("sip:*6655*1%23@{REALM}")).unwrap();
        let from = format!("<sip:{EXTENSION}@{REALM}>");
        let request = OutOfDialog {
            method: Method::Message,
            uri: uri.clone(),
            flow: Flow::udp(settings::address(PHONE), settings::address(SWITCH)),
            from: NameAddr::parse(from.as_bytes()).unwrap(),
            to: NameAddr::new(uri),
            headers: Vec::new(),
            body: Some(("text/plain".into(), text.to_owned().into())),
            credentials: Some(Credentials {
                realm: Some(REALM.into()),
                username: EXTENSION.into(),
                password: PASSWORD.into(),
            }),
            series: None,
        };
        self.wishes += 1;
        self.phone.request(self.now().mono, request);
    }

    /// Somebody who sees a menu types, leaves, or does nothing.
    fn act(&mut self, who: Who) {
        let (now, what) = (self.now(), self.dice.below(10));
        match (who, what) {
            (_, 8..) => {}
            (Who::Ims(session), 7) => self.ims.bye(now.mono, session, None),
            (Who::Caller(session), 7) => self.phone.bye(now.mono, session, None),
            (Who::Ims(session), _) => {
                let body = "<ussd-data><ussd-string>1</ussd-string></ussd-data>";
                let body = (BODY, Bytes::from_static(body.as_bytes()));
                self.ims.info_of(now.mono, session, "g.3gpp.ussd", body);
            }
            (Who::Writer, _) => self.write("1"),
            (Who::Caller(_), _) => {
                let legs: Vec<LegId> = self.media.streams.keys().copied().collect();
                for leg in legs {
                    for digit in ['1', '#'] {
                        let life = self.life;
                        self.later(
                            Duration::ZERO,
                            Happening::Media { life, event: MediaEvent::Digit { leg, digit } },
                        );
                    }
                }
            }
        }
    }

    fn crash(&mut self) {
        if self.engine.take().is_none() {
            return;
        }
        self.note("crash");
        self.life += 1;
        self.media = Media::with(true);
        // What was handed to the store is committed up to some point, in order.
        let mut survives = true;
        for (key, what) in std::mem::take(&mut self.queue) {
            match what {
                Happening::Reply { .. } | Happening::Media { .. } => {}
                Happening::Store { life, work } => {
                    survives = survives && self.dice.chance(500);
                    if survives {
                        self.perform(life, *work);
                    }
                }
                Happening::Open { life, step } => {
                    if self.dice.chance(500) {
                        self.open(life, &step);
                    }
                }
                Happening::Over { life, over } => {
                    if self.dice.chance(500) {
                        self.write_end(life, over);
                    }
                }
                other => {
                    self.queue.insert(key, other);
                }
            }
        }
        self.within(500, 5_000, Happening::Start);
    }

    fn start(&mut self) {
        // What the last one left open is lost.
        for row in self.rows.values_mut().filter(|row| row.end.is_none()) {
            assert!(row.life < self.life);
            row.end = Some((End::Lost, 0));
        }
        let at = settings::address(SWITCH);
        let config = EngineConfig {
            sip: EndpointConfig {
                listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
                seed: self.dice.seed(),
                ..EndpointConfig::default()
            },
            secret: self.dice.seed(),
            last_call: self.last_call,
            ..EngineConfig::default()
        };
        let now = self.now();
        let mut engine = Engine::new(config, country(), now);
        let bindings = self.calls.bindings.values().cloned().collect();
        engine.handle_reply(now, Reply::Bindings(bindings));
        for open in self.calls.open_calls() {
            engine.handle_command(now, Command::Recover(Box::new(open)));
        }
        for leg in self.calls.farewells() {
            engine.handle_command(now, Command::Farewell(Box::new(leg)));
        }
        self.engine = Some(engine);
    }

    fn perform(&mut self, life: u32, work: Work) {
        let reply = match self.calls.perform(work) {
            Done::Authorized(call, answer) => Reply::Authorized { call, answer },
            Done::Abandoned(call) => Reply::AuthorizeFailed { call },
            Done::Added(leg, answer) => Reply::Added { leg, answer },
            Done::NotAdded(leg) => Reply::AddFailed { leg },
            Done::Extended(leg, step, answer) => Reply::Extended { leg, step, answer },
            Done::NotExtended(leg, step) => Reply::ExtendFailed { leg, step },
            Done::Settled(call) => Reply::Settled { call },
            Done::Journaled(leg, seq) => Reply::Journaled { leg, seq },
            Done::Nothing => return,
        };
        self.within(1, 3, Happening::Reply { life, reply: Box::new(reply) });
    }

    fn drain(&mut self) {
        while let Some(effect) = self.engine.as_mut().and_then(Engine::poll_effect) {
            self.effect(effect);
        }
        for far in [CARRIER_A, PHONE] {
            loop {
                let endpoint = if far == CARRIER_A { &mut self.ims } else { &mut self.phone };
                if let Some(event) = endpoint.poll_event() {
                    self.told(far, &event);
                } else if let Some(transmit) = endpoint.poll_transmit() {
                    self.send(far, SWITCH, &transmit.bytes);
                } else {
                    break;
                }
            }
        }
    }

    /// What a far end hears.
    fn told(&mut self, far: &'static str, event: &Event) {
        match event {
            Event::Info { session, package: Some(_), .. } => {
                self.note("shown by info");
                self.within(300, 9_000, Happening::Act(Who::Ims(*session)));
            }
            Event::Request { id, .. } => {
                self.note("shown by message");
                self.within(5, 400, Happening::Read(*id));
                self.within(1_000, 9_000, Happening::Act(Who::Writer));
            }
            Event::Answered { session, .. } if far == PHONE => {
                self.note("called");
                for _ in 0..3 {
                    self.within(2_000, 15_000, Happening::Act(Who::Caller(*session)));
                }
            }
            Event::Ended { session, .. }
            | Event::ByeDone { session }
            | Event::Failed { session, .. } => {
                self.up.retain(|(at, own)| (*at, *own) != (far, *session));
            }
            _ => {}
        }
    }

    fn effect(&mut self, effect: Effect) {
        let life = self.life;
        match effect {
            Effect::Transmit(transmit) => {
                let to = [CARRIER_A, PHONE]
                    .into_iter()
                    .find(|at| settings::address(at) == transmit.flow.remote);
                if let Some(to) = to {
                    self.send(SWITCH, to, &transmit.bytes);
                }
            }
            Effect::Media(order) => {
                if let facts::media::MediaCommand::Hear { source: Source::Url(_), .. } = &order {
                    self.note("heard");
                }
                for (after, event) in self.media.order(order, &mut self.dice) {
                    self.later(after, Happening::Media { life, event });
                }
            }
            Effect::AskPage(step) => {
                let before = self.asked.entry(step.session).or_default();
                *before += 1;
                assert_eq!(step.number, *before, "one step after the other");
                assert!(!self.over.contains_key(&step.session), "asked behind its end");
                self.last_call = self.last_call.max(Some(step.session));
                self.note(format!("by {}", step.door.word()));
                assert!(step.door != Door::Simulator);
                match step.number {
                    1 => self.within(1, 200, Happening::Open { life, step }),
                    _ => self.ask(&step),
                }
            }
            Effect::MenuOver(over) => {
                let before = self.over.insert(over.session, over.end);
                assert!(before.is_none(), "{} is over twice", over.session);
                assert_eq!(self.asked.get(&over.session), Some(&over.steps));
                self.note(format!("over {}", over.end.word()));
                // Behind its opening.
                self.within(200, 600, Happening::Over { life, over });
            }
            Effect::Resolve(question) => {
                let told = sim::names::said(&question);
                let reply = Box::new(Reply::Resolved { question, told });
                self.within(1, 20, Happening::Reply { life, reply });
            }
            other => {
                if let Some(work) = Work::of(other) {
                    if let Work::Authorize(ask) = &work {
                        self.last_call = self.last_call.max(Some(ask.call));
                    }
                    // One writer: in the order in which it was given.
                    self.later(
                        Duration::from_millis(3),
                        Happening::Store { life, work: Box::new(work) },
                    );
                }
            }
        }
    }

    fn send(&mut self, from: &'static str, to: &'static str, bytes: &Bytes) {
        for after in self.weather.deliveries(&mut self.dice) {
            self.later(after, Happening::Arrive { from, to, bytes: bytes.clone() });
        }
    }

    /// Everything has come to rest.
    fn rest(mut self) -> BTreeMap<String, u32> {
        let counts = self.engine.as_ref().unwrap().counts();
        assert_eq!((counts.menus, counts.shown, counts.calls), (0, 0, 0), "{counts:?}");
        assert_eq!((counts.ports, counts.sessions), (0, 0), "{counts:?}");
        assert_eq!((counts.transactions, counts.timers), (0, 0), "{counts:?}");
        assert!(self.up.is_empty(), "somebody is still there: {:?}", self.up);
        // What is owed is counted by what the engine told, and by what died with a process.
        let (mut owed, mut lost) = (0, 0);
        for (id, row) in &self.rows {
            let (end, steps) = row.end.expect("an end is written");
            let told = self.over.get(id).copied();
            let asked = self.asked.get(id).copied();
            let died = end == End::Lost && steps == 0;
            if row.unpaid || row.unheard {
                assert!(asked <= Some(1), "{id} goes on, and nobody paid for it");
            }
            assert!(row.unpaid || told != Some(End::Unpaid), "{id} was paid");
            match told {
                // He left before he could be told.
                Some(End::Left | End::Lost) if row.unpaid => {}
                Some(told) if !died => {
                    assert_eq!((told, asked), (end, Some(steps)), "{id}");
                    owed += if told == End::Unpaid || row.unheard { 0 } else { PRICE };
                }
                _ if row.unpaid => {}
                _ => {
                    assert!(died, "{id}: {end:?}, and {told:?} was told");
                    (owed, lost) = (owed + PRICE, lost + 1);
                }
            }
        }
        assert_eq!(self.had - self.account, owed, "each price once, and what is given back once");
        assert!(self.account >= 0 && self.rows.len() <= self.wishes, "{} wishes", self.wishes);
        assert_eq!(self.calls.open(), 0);
        sim::audit::books(&self.calls);
        for _ in 0..owed / PRICE {
            self.note("paid");
        }
        for _ in 0..lost {
            self.note("lost to a crash");
        }
        self.seen
    }
}

#[test]
fn s5_6_days_of_menus_add_up_whatever_is_lost_and_whoever_dies() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..60 {
        let day = std::panic::catch_unwind(|| Day::new(seed).run());
        let day = day.unwrap_or_else(|_| panic!("seed {seed}"));
        for (word, times) in day {
            *seen.entry(word).or_default() += times;
        }
    }
    // The days are only worth something if they are varied.
    for word in [
        "by ims",
        "by call",
        "by message",
        "shown by info",
        "shown by message",
        "heard",
        "called",
        "over said",
        "over left",
        "over silent",
        "over unavailable",
        "over lost",
        "over unpaid",
        "given back",
        "crash",
        "lost to a crash",
        "paid",
    ] {
        assert!(seen.contains_key(word), "no day had {word:?}: {seen:?}");
    }
    assert!(seen["paid"] > 400, "{seen:?}");
}
