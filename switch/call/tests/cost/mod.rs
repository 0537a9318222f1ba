//! Whole callbacks through the engine alone: no socket, no store, no media plane, a virtual clock.
//!
//! The far ends are text, made outside of what is measured: each leg is answered by 100, 180 and 200
//! as a carrier writes them, A hangs up. [`measured_step`] is the one function whose cost counts: it
//! hands the engine one input and drains what follows. It is never inlined, so that callgrind can be
//! told to count it alone (`--toggle-collect='*measured_step*'`).

#![allow(unsafe_code, reason = "a global allocator that counts can only be written with unsafe")]
#![allow(dead_code, unreachable_pub, reason = "the test and the command each use a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use call::{Command, Effect, Engine, EngineConfig, Reply};
use facts::ledger::{Authorized, Extended, Paid};
use facts::media::{Codec, MediaCommand, MediaEvent, MediaStats, RecordedFile};
use facts::settings::{Merchant, NumberFormat, Route, Snapshot, Transport as Way, Trunk};
use facts::{
    CallCommand, CallId, Dialect, MerchantId, Now, Number, Party, Push, PushKind, RequestKey,
    TrunkId, UnixMillis,
};
use sip::endpoint::{EndpointConfig, Flow, Listener, Transport};

const US: &str = "198.51.100.1:5060";
const CARRIER_A: &str = "192.0.2.1:5060";
const CARRIER_B: &str = "192.0.2.2:5060";
const MERCHANT: MerchantId = MerchantId(7);
/// Time between two calls: a hundred a second, so that some three thousand wait for copies (timer M).
pub const PACE: Duration = Duration::from_millis(10);

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, which counts while it is told to.
pub struct Counting;

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.get() {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
            OCTETS.set(OCTETS.get() + layout.size() as u64);
        }
        HELD.set(HELD.get() + layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if COUNTING.get() {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
            OCTETS.set(OCTETS.get() + size as u64);
        }
        HELD.set(HELD.get() + size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Octets that this thread holds.
pub fn held() -> i64 {
    HELD.get()
}

/// What the engine is handed.
pub enum Input {
    Message(Flow, Bytes),
    Reply(Reply),
    Media(MediaEvent),
    Command(Command),
    Timeout,
}

fn step(engine: &mut Engine, now: Now, input: Input, effects: &mut VecDeque<Effect>) {
    match input {
        Input::Message(flow, bytes) => engine.handle_message(now, flow, bytes),
        Input::Reply(reply) => engine.handle_reply(now, reply),
        Input::Media(event) => engine.handle_media(now, event),
        Input::Command(command) => engine.handle_command(now, command),
        Input::Timeout => engine.handle_timeout(now),
    }
    while let Some(effect) = engine.poll_effect() {
        effects.push_back(effect);
    }
}

/// One input and all its effects: the engine's whole work on it. Time and allocations are counted.
#[inline(never)]
#[allow(clippy::disallowed_methods, reason = "it measures time")]
pub fn measured_step(
    engine: &mut Engine,
    now: Now,
    input: Input,
    effects: &mut VecDeque<Effect>,
) -> Duration {
    let start = Instant::now();
    COUNTING.set(true);
    step(engine, now, input, effects);
    COUNTING.set(false);
    start.elapsed()
}

/// What calls cost in the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub spent: Duration,
    pub allocations: u64,
    pub octets: u64,
    pub steps: u64,
}

/// The engine and the world around it.
pub struct Bench {
    pub engine: Engine,
    now: Now,
    inputs: VecDeque<Input>,
    effects: VecDeque<Effect>,
    /// The INVITE that each leg's far end received, by its port: what it answers is made of it.
    dialogs: BTreeMap<(CallId, u8), Dialog>,
    /// Which leg a Call-ID belongs to, for a bench that plays both ends.
    last: Option<CallId>,
    legs: u8,
    measured: bool,
    pub cost: Cost,
    port: u16,
    branch: u64,
    placed: u64,
    pub settled: u64,
    pub transmits: u64,
    /// Calls that are set up now stay: they cost nothing and are not extended.
    free: bool,
}

struct Dialog {
    from: String,
    to: String,
    call_id: String,
    flow: Flow,
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a virtual clock needs one instant to count from")]
fn origin() -> Now {
    Now { mono: Instant::now(), wall: UnixMillis(1_763_700_000_000) }
}

impl Bench {
    pub fn new() -> Bench {
        let at = addr(US);
        let config = EngineConfig {
            sip: EndpointConfig {
                listeners: vec![Listener { transport: Transport::Udp, bind: at, advertised: at }],
                engine: 1,
                seed: [42; 32],
                ..EndpointConfig::default()
            },
            // Nobody sends sound here.
            silence: Some(Duration::from_secs(86_400)),
            ..EngineConfig::default()
        };
        let now = origin();
        Bench {
            engine: Engine::new(config, Arc::new(snapshot()), now),
            now,
            inputs: VecDeque::with_capacity(64),
            effects: VecDeque::with_capacity(64),
            dialogs: BTreeMap::new(),
            last: None,
            legs: 0,
            measured: false,
            cost: Cost::default(),
            port: 20_000,
            branch: 0,
            placed: 0,
            settled: 0,
            transmits: 0,
            free: false,
        }
    }

    /// This many callbacks are set up and stay up.
    pub fn keep_up(&mut self, calls: usize) {
        self.free = true;
        for _ in 0..calls {
            let call = self.set_up();
            self.pass(PACE);
            self.dialogs.remove(&(call, 0));
            self.dialogs.remove(&(call, 1));
        }
        self.free = false;
    }

    /// One callback after the other, from the request to the settlement, each at its pace.
    pub fn calls(&mut self, calls: usize, measured: bool) -> Cost {
        let before = self.settled;
        self.cost = Cost::default();
        ALLOCATIONS.set(0);
        OCTETS.set(0);
        self.measured = measured;
        for _ in 0..calls {
            let call = self.set_up();
            self.hang_up(call);
            self.pass(PACE);
        }
        self.measured = false;
        self.cost.allocations = ALLOCATIONS.get();
        self.cost.octets = OCTETS.get();
        assert_eq!(self.settled - before, calls as u64, "every call was settled");
        self.cost
    }

    fn set_up(&mut self) -> CallId {
        self.placed += 1;
        self.legs = 0;
        let command = Box::new(callback(self.placed));
        self.feed(Input::Command(Command::Place { token: self.placed, command }));
        let call = self.last.expect("the ledger was asked");
        assert_eq!(self.legs, 2, "both legs were invited");
        call
    }

    /// A's far end hangs up; B's answers the BYE that follows.
    fn hang_up(&mut self, call: CallId) {
        let a = self.dialogs.remove(&(call, 0)).expect("A is up");
        self.branch += 1;
        let bye = format!(
            "BYE sip:861088889999@{US} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {CARRIER_A};branch=z9hG4bK-bye-{:016x};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 2 BYE\r\n\
             Reason: Q.850;cause=16;text=\"normal call clearing\"\r\n\
             User-Agent: carrier-sbc/7.4\r\nContent-Length: 0\r\n\r\n",
            self.branch, a.to, a.from, a.call_id,
        );
        self.feed(Input::Message(a.flow, Bytes::from(bye)));
        self.dialogs.remove(&(call, 1));
    }

    /// Lets time pass; every deadline on the way is met on time.
    pub fn pass(&mut self, by: Duration) {
        let end = self.now.after(by);
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end.mono) {
            self.now = self.now.after(due.saturating_duration_since(self.now.mono));
            self.feed(Input::Timeout);
        }
        self.now = end;
    }

    fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            if self.measured {
                let (engine, effects) = (&mut self.engine, &mut self.effects);
                self.cost.spent += measured_step(engine, self.now, input, effects);
                self.cost.steps += 1;
            } else {
                step(&mut self.engine, self.now, input, &mut self.effects);
            }
            while let Some(effect) = self.effects.pop_front() {
                self.perform(effect);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Transmit(transmit) => {
                self.transmits += 1;
                self.far_end(Flow { ..transmit.flow }, &transmit.bytes);
            }
            Effect::Authorize(ask) => {
                let until = (!self.free).then_some(Duration::from_secs(60));
                let paid = ask.legs.iter().map(|quote| Paid { leg: quote.leg, until }).collect();
                self.last = Some(ask.call);
                let answer = Authorized::Granted { paid };
                self.inputs.push_back(Input::Reply(Reply::Authorized { call: ask.call, answer }));
            }
            Effect::Extend(ask) => {
                let answer = Extended::Paid(Some(Duration::from_secs(60) * (ask.step + 1)));
                let reply = Reply::Extended { leg: ask.leg, step: ask.step, answer };
                self.inputs.push_back(Input::Reply(reply));
            }
            Effect::Settle(facts) => {
                self.settled += 1;
                self.inputs.push_back(Input::Reply(Reply::Settled { call: facts.call }));
            }
            Effect::Media(order) => self.media(&order),
            Effect::Journal { entry, seq: Some(seq) } => {
                let reply = Reply::Journaled { leg: entry.leg, seq };
                self.inputs.push_back(Input::Reply(reply));
            }
            Effect::Papers { leg, seq: Some(seq), .. } => {
                self.inputs.push_back(Input::Reply(Reply::Journaled { leg, seq }));
            }
            Effect::Abandon { .. }
            | Effect::Journal { seq: None, .. }
            | Effect::Papers { seq: None, .. }
            | Effect::Alive { .. }
            | Effect::Notify(_)
            | Effect::TurnedAway(_)
            | Effect::Carrier(_)
            | Effect::Missed(_)
            | Effect::Consult(_)
            | Effect::Banned(_)
            | Effect::Fraud(_)
            | Effect::Stopped(_)
            | Effect::Resolve(_)
            | Effect::Certified(_)
            | Effect::SetReach { .. }
            | Effect::FetchMail { .. }
            | Effect::HearMail { .. }
            | Effect::DeleteMail { .. }
            | Effect::Discard { .. }
            | Effect::Answer { .. }
            | Effect::SaveBinding(_)
            | Effect::DropBinding { .. }
            | Effect::CloseFlow(_)
            | Effect::AddLeg(_)
            | Effect::AskPage(_)
            | Effect::Show { .. }
            | Effect::MenuOver(_)
            | Effect::Texted { .. }
            | Effect::Drained => {}
        }
    }

    fn media(&mut self, order: &MediaCommand) {
        let event = match order {
            MediaCommand::Open { leg, .. } => {
                self.port = if self.port > 60_000 { 20_000 } else { self.port + 2 };
                let local = SocketAddr::new(addr(US).ip(), self.port);
                MediaEvent::Opened { leg: *leg, local }
            }
            MediaCommand::Close { leg } => {
                let stats = MediaStats { packets_received: 1, ..MediaStats::default() };
                MediaEvent::Closed { leg: *leg, stats }
            }
            MediaCommand::StopRecording { call } => {
                let file = RecordedFile {
                    file: "x.mp3".into(),
                    duration_ms: 1,
                    bytes: 1,
                    sha256: String::new(),
                    other: None,
                };
                MediaEvent::Recorded { call: *call, file }
            }
            _ => return,
        };
        self.inputs.push_back(Input::Media(event));
    }

    /// What a carrier's gateway does: 100, 180, 200 to an INVITE, 200 to a BYE, nothing else.
    fn far_end(&mut self, flow: Flow, bytes: &Bytes) {
        let text = std::str::from_utf8(bytes).unwrap();
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        if text.starts_with("SIP/2.0") || text.starts_with("ACK") {
            return;
        }
        let (via, from, to) = (line("Via: "), line("From: "), line("To: "));
        let (call_id, cseq) = (line("Call-ID: "), line("CSeq: "));
        let head = |status: &str, tag: &str| {
            format!(
                "SIP/2.0 {status}\r\nVia: {via};received=198.51.100.1\r\nFrom: {from}\r\n\
                 To: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\
                 Server: carrier-sbc/7.4\r\n"
            )
        };
        let mut say = |text: String| {
            self.inputs.push_back(Input::Message(flow, Bytes::from(text)));
        };
        if text.starts_with("BYE") {
            return say(head("200 OK", "") + "Content-Length: 0\r\n\r\n");
        }
        assert!(text.starts_with("INVITE"), "{text}");
        let tag = format!(";tag=far-{:012x}", self.branch);
        self.branch += 1;
        let peer = flow.remote;
        let own = format!(
            "Contact: <sip:gateway@{peer};transport=udp>\r\n\
             Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK\r\nSupported: timer\r\n"
        );
        let ip = peer.ip();
        let sdp = format!(
            "v=0\r\no=- 20518 20518 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio 40376 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
        say(head("100 Trying", "") + "Content-Length: 0\r\n\r\n");
        say(head("180 Ringing", &tag) + &own + "Content-Length: 0\r\n\r\n");
        let length = sdp.len();
        say(head("200 OK", &tag)
            + &own
            + &format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"));
        let dialog = Dialog {
            from: from.to_owned(),
            to: format!("{to}{tag}"),
            call_id: call_id.to_owned(),
            flow,
        };
        self.dialogs.insert((self.last.expect("a call"), self.legs), dialog);
        self.legs += 1;
    }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot { version: 1, realm: "tandem.test".into(), ..Snapshot::default() };
    snapshot.merchants.insert(
        MERCHANT,
        Merchant {
            name: "acme".into(),
            enabled: true,
            max_calls: Some(100_000),
            calls_per_second: None,
            max_talk: Duration::from_secs(7_200),
            language: "en".into(),
            shown: Some("861088889999".into()),
        },
    );
    for (id, name, at) in [(1, "alpha", CARRIER_A), (2, "beta", CARRIER_B)] {
        let trunk = Trunk {
            name: name.into(),
            enabled: true,
            peers: vec![ipnet::IpNet::from(addr(at).ip())],
            peer_names: vec![],
            target: addr(at).into(),
            transport: Way::Udp,
            domain: String::new(),
            credentials: None,
            numbers: NumberFormat::PlusE164,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            max_calls: None,
            calls_per_second: None,
            options: Default::default(),
        };
        snapshot.trunks.insert(TrunkId(id), trunk);
    }
    let route = |prefix, trunk| Route::new(prefix, TrunkId(trunk), 0);
    snapshot.routes = vec![route("86138", 1), route("8610", 2)];
    snapshot
}

fn party(number: &str) -> Party {
    Party {
        number: Number::E164(number.into()),
        as_sent: number[2..].into(),
        shown: None,
        ring: Duration::from_secs(60),
    }
}

fn callback(number: u64) -> CallCommand {
    CallCommand {
        dialect: Dialect::Callni,
        merchant: MERCHANT,
        sub_account: None,
        app: String::new(),
        a: party("8613800138000"),
        b: Some(party("861088880000")),
        scenario: None,
        conference: None,
        purpose: Default::default(),
        max_talk: None,
        record: facts::media::Record::Yes,
        key: Some(RequestKey {
            dialect: Dialect::Callni,
            key: format!("request-{number}"),
            fingerprint: "0123456789abcdef".into(),
        }),
        pushes: vec![Push {
            kind: PushKind::Record,
            dialect: Dialect::Callni,
            endpoint: "http://merchant.example/done".into(),
            context: String::new(),
        }],
        custom: String::new(),
    }
}
