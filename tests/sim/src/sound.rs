//! The sound of many calls on a hostile network, on a virtual clock: the real [`rtp::Leg`], the real
//! [`rtp::ports::Pool`], and far ends that roam, begin anew, are held, hide behind NATs and go on talking
//! after their call, while strangers send whatever they like to any port.
//!
//! What must hold is asked at every packet:
//! * nobody hears a stranger, nor who was here before; nothing is sent to where the far end never was;
//! * who has talked from one place in one stream for [`PATIENCE`] is heard, and is sent what the other says;
//! * in what leaves, one number is one packet, and a gap upstream is the same gap downstream.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rtp::egress::Owner;
use rtp::ports::Pool;
use rtp::rtcp::{CNAME_LEN, NtpClock};
use rtp::{Flow, Identity, Leg, Verdict};

use crate::net::Dice;
use far::{Change, FarEnd};

pub mod far;

/// How long it may take until a far end that came, moved or began anew is heard.
pub const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two packets that are heard of who is settled: twenty lost in a row would be needed for more.
const HEARD_AGAIN: Duration = Duration::from_millis(500);
/// How long a stream goes on at least before something else happens to it.
const KNOWN: Duration = Duration::from_millis(400);
/// How long a far end may go on talking after its call.
const LINGER: Duration = Duration::from_secs(4);
const PTIME: Duration = Duration::from_millis(20);
/// Pairs of ports: few, so that they come again.
const PAIRS: u16 = 14;
/// Bit of the words that strangers say.
const STRANGER: u32 = 1 << 31;

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Replays exactly.
    pub seed: u64,
    /// Calls that are tried.
    pub calls: u32,
    /// Within this time.
    pub over: Duration,
    /// How long ports rest.
    pub rest: Duration,
    /// Packets lost, in thousandths.
    pub loss: u32,
    /// Bursts of strangers' packets a second.
    pub bursts: u32,
}

/// What happened, so that a test can see that something did.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Packets that far ends said in their calls.
    pub said: u64,
    /// Packets that were heard.
    pub heard: u64,
    /// Packets that were sent on.
    pub sent: u64,
    /// Packets of strangers that came to a port in use.
    pub attacks: u64,
    /// Packets of who was here before that came to a port in use again or at rest.
    pub late: u64,
    /// Calls that had ports.
    pub calls: u64,
    /// Changes of far ends.
    pub changes: BTreeMap<Change, u64>,
    /// What did not hold; empty in a good world.
    pub faults: Vec<String>,
}

#[derive(Debug)]
enum Event {
    Open(u32),
    Close(u32),
    Speak(u32, usize),
    Change(u32, usize, Change),
    Changed(u32, usize, Change),
    Arrive { port: u16, source: std::net::SocketAddr, bytes: Vec<u8> },
    Attack,
}

/// One side of a call.
struct Side {
    leg: Leg,
    port: u16,
    far: FarEnd,
    /// Words of what was sent to it, by the number that it was sent under.
    sent: BTreeMap<u16, [u32; 3]>,
    /// How far the numbers sent are from those received, in the stream of this epoch.
    offset: Option<(u32, u16)>,
}

/// The world.
pub struct World {
    plan: Plan,
    dice: Dice,
    start: Instant,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
    pool: Pool,
    calls: BTreeMap<u32, [Side; 2]>,
    /// Far ends that go on talking, and until when.
    ended: BTreeMap<(u32, usize), (FarEnd, u16, Duration)>,
    ports: BTreeMap<u16, (u32, usize)>,
    seen: Seen,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "an origin for virtual time")]
    pub fn new(plan: Plan) -> World {
        let mut dice = Dice::new(plan.seed);
        let range = 10_000..=(10_000 + 2 * PAIRS - 1);
        let mut world = World {
            plan,
            start: Instant::now(),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            count: 0,
            pool: Pool::new(&range, 0, 1, plan.rest, plan.seed),
            calls: BTreeMap::new(),
            ended: BTreeMap::new(),
            ports: BTreeMap::new(),
            seen: Seen::default(),
            dice: Dice::new(0),
        };
        for call in 0..plan.calls {
            let at = dice.between(Duration::ZERO, plan.over);
            world.push(at, Event::Open(call));
        }
        if plan.bursts > 0 {
            world.push(Duration::ZERO, Event::Attack);
        }
        world.dice = dice;
        world
    }

    /// Everything, to its end.
    #[must_use]
    pub fn run(mut self) -> Seen {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happen(event);
            if self.seen.faults.len() > 20 {
                break;
            }
        }
        self.seen
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    fn fault(&mut self, text: &str) {
        let at = self.now;
        self.seen.faults.push(format!("{at:?}: {text}"));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Open(call) => self.open(call),
            Event::Close(call) => self.close(call),
            Event::Speak(call, side) => self.speak(call, side),
            Event::Change(call, side, change) => self.change(call, side, change),
            Event::Changed(call, side, change) => self.changed(call, side, change),
            Event::Arrive { port, source, bytes } => self.arrive(port, source, bytes),
            Event::Attack => self.attack(),
        }
    }

    fn open(&mut self, call: u32) {
        let now = self.start + self.now;
        let mut ports = [0; 2];
        for (side, port) in ports.iter_mut().enumerate() {
            match self.pool.open(now, |_| Ok(())) {
                Ok((taken, ())) => *port = taken,
                // All are in use or rest: the call is refused.
                Err(_) if side == 0 => return,
                Err(_) => return self.pool.give_back(now, ports[0]),
            }
        }
        let sides = ports.map(|port| {
            let far = FarEnd::new(&mut self.dice);
            let identity = Identity {
                ssrc: self.dice.below(u32::MAX),
                sequence: self.dice.below(1 << 15) as u16,
                timestamp: self.dice.below(u32::MAX),
                cname: [b'c'; CNAME_LEN],
            };
            let mut leg = Leg::new(now, NtpClock { at: self.start, ntp: 0 }, &identity);
            leg.setup(now, far.setup());
            leg.give(Owner::Relay);
            let far = FarEnd { settled: self.now, heard: self.now, ..far };
            Side { leg, port, far, sent: BTreeMap::new(), offset: None }
        });
        self.seen.calls += 1;
        let length = self.dice.between(Duration::from_secs(3), Duration::from_secs(25));
        for (side, port) in ports.into_iter().enumerate() {
            self.ports.insert(port, (call, side));
            let first = self.dice.between(Duration::ZERO, Duration::from_millis(300));
            self.push(self.now + first, Event::Speak(call, side));
            for _ in 0..self.dice.below(5) {
                let change = Change::ALL[self.dice.below(Change::ALL.len() as u32) as usize];
                let at = self.dice.between(Duration::from_millis(500), length);
                self.push(self.now + at, Event::Change(call, side, change));
            }
        }
        self.calls.insert(call, sides);
        self.push(self.now + length, Event::Close(call));
    }

    fn close(&mut self, call: u32) {
        let Some(sides) = self.calls.remove(&call) else { return };
        for (side, Side { port, far, .. }) in sides.into_iter().enumerate() {
            self.pool.give_back(self.start + self.now, port);
            self.ports.remove(&port);
            let until = self.now + self.dice.between(Duration::ZERO, LINGER);
            self.ended.insert((call, side), (far, port, until));
        }
    }

    fn speak(&mut self, call: u32, side: usize) {
        let tag = 2 * call + side as u32;
        let (source, port, bytes) = if let Some(sides) = self.calls.get_mut(&call) {
            let Side { far, port, .. } = &mut sides[side];
            let far_said = far.talks.then(|| far.speak(tag));
            self.seen.said += u64::from(far_said.is_some());
            (far.seen, *port, far_said)
        } else {
            let Some((far, port, until)) = self.ended.get_mut(&(call, side)) else { return };
            if *until < self.now {
                self.ended.remove(&(call, side));
                return;
            }
            (far.seen, *port, Some(far.speak(tag)))
        };
        if let Some(bytes) = bytes {
            self.send(source, port, &bytes);
        }
        self.push(self.now + PTIME, Event::Speak(call, side));
        self.ask_whether_heard(call, side);
    }

    fn ask_whether_heard(&mut self, call: u32, side: usize) {
        let Some(Side { far, .. }) = self.calls.get(&call).map(|sides| &sides[side]) else {
            return;
        };
        let settled = far.talks && self.now > far.settled + PATIENCE;
        if settled && self.now > far.heard + HEARD_AGAIN {
            let text = format!("call {call} side {side} is not heard: {far:?}");
            self.fault(&text);
        }
    }

    /// On the network: lost, late, or twice.
    fn send(&mut self, source: std::net::SocketAddr, port: u16, bytes: &[u8]) {
        if self.dice.chance(self.plan.loss) {
            return;
        }
        for _ in 0..1 + u32::from(self.dice.chance(10)) {
            let delay = self.dice.between(Duration::from_millis(2), Duration::from_millis(45));
            let bytes = bytes.to_vec();
            self.push(self.now + delay, Event::Arrive { port, source, bytes });
        }
    }

    fn change(&mut self, call: u32, side: usize, change: Change) {
        let Some(sides) = self.calls.get_mut(&call) else { return };
        let Side { far, leg, .. } = &mut sides[side];
        // One thing at a time: who begins anew and moves before his new stream was heard cannot be known.
        if !far.talks || self.now < far.settled + KNOWN {
            return;
        }
        far.talks = false;
        if change == Change::Hold {
            far.flow = Flow::Inactive;
            leg.setup(self.start + self.now, far.setup());
        }
        *self.seen.changes.entry(change).or_default() += 1;
        let pause = change.pause(&mut self.dice);
        self.push(self.now + pause, Event::Changed(call, side, change));
    }

    fn changed(&mut self, call: u32, side: usize, change: Change) {
        let Some(sides) = self.calls.get_mut(&call) else { return };
        let Side { far, leg, offset, .. } = &mut sides[side];
        far.change(change, &mut self.dice);
        far.talks = true;
        far.settled = self.now;
        if matches!(change, Change::Hold | Change::Moved) {
            leg.setup(self.start + self.now, far.setup());
        }
        // Who was held heard nothing: his numbers closed up.
        *offset = None;
        sides[1 - side].offset = None;
    }

    fn attack(&mut self) {
        let gap = Duration::from_millis(1_000 / u64::from(self.plan.bursts));
        if self.now < self.plan.over {
            self.push(self.now + gap, Event::Attack);
        }
        let source = far::elsewhere(&mut self.dice);
        let in_use: Vec<u16> = self.ports.keys().copied().collect();
        let port = if in_use.is_empty() || self.dice.chance(300) {
            10_000 + 2 * self.dice.below(u32::from(PAIRS)) as u16
        } else {
            in_use[self.dice.below(in_use.len() as u32) as usize]
        };
        let (ssrc, first) = (self.dice.below(u32::MAX), self.dice.below(1 << 16) as u16);
        let step = Duration::from_millis(u64::from(self.dice.below(21)));
        for n in 0..1 + self.dice.below(8) {
            let words = [STRANGER | n, 0, n];
            let mut bytes =
                far::packet(ssrc, first.wrapping_add(n as u16), n.wrapping_mul(160), words);
            if self.dice.chance(100) {
                bytes.truncate(self.dice.below(172) as usize);
            }
            self.push(self.now + step * n, Event::Arrive { port, source, bytes });
        }
    }

    fn arrive(&mut self, port: u16, source: std::net::SocketAddr, mut bytes: Vec<u8>) {
        let words = far::words(&bytes);
        let stranger = words.is_none_or(|words| words[0] & STRANGER != 0);
        let Some((call, side)) = self.ports.get(&port).copied() else {
            self.seen.late += u64::from(!stranger);
            return;
        };
        let ours = words.is_some_and(|words| words[0] == 2 * call + side as u32);
        self.seen.attacks += u64::from(stranger);
        self.seen.late += u64::from(!stranger && !ours);
        let now = self.start + self.now;
        let Some(sides) = self.calls.get_mut(&call) else { return };
        let (before, after) = sides.split_at_mut(1);
        let (from, to) = if side == 0 {
            (&mut before[0], &mut after[0])
        } else {
            (&mut after[0], &mut before[0])
        };
        let forwarded = rtp::forward(now, &mut from.leg, Some(&mut to.leg), source, &mut bytes);
        if forwarded.arrival.is_none() {
            return;
        }
        self.seen.heard += 1;
        if !ours {
            let text = format!("port {port} of call {call} hears {source}: {words:?}");
            return self.fault(&text);
        }
        from.far.heard = self.now;
        let (Verdict::Send(departure), Some(words)) = (forwarded.verdict, words) else { return };
        self.seen.sent += 1;
        let known = to.far.places.contains(&departure.to);
        let settled = to.far.talks && self.now > to.far.settled + PATIENCE;
        let there = departure.to == to.far.seen || !settled;
        let what = number(to, words, &bytes);
        if !known || !there {
            let far = &to.far;
            let text = format!("call {call}: sent to {}, who is {far:?}", departure.to);
            self.fault(&text);
        }
        if let Some(what) = what {
            self.fault(&format!("call {call} side {side}: {what}"));
        }
    }
}

/// Whether the number that a packet leaves under is right.
fn number(to: &mut Side, words: [u32; 3], bytes: &[u8]) -> Option<String> {
    let number = u16::from_be_bytes([bytes[2], bytes[3]]);
    if let Some(other) = to.sent.insert(number, words)
        && other != words
    {
        return Some(format!("number {number} is {words:?} and was {other:?}"));
    }
    let [_, epoch, said] = words;
    let offset = number.wrapping_sub(said as u16);
    match to.offset {
        Some((known, before)) if known == epoch && before != offset => {
            to.offset = Some((epoch, offset));
            Some(format!("{words:?} left as {number}: {} off", offset.wrapping_sub(before) as i16))
        }
        _ => {
            to.offset = Some((epoch, offset));
            None
        }
    }
}
