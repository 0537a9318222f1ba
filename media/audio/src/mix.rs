//! A conference: each member hears all others and not himself.
//!
//! A [`Room`] is asked every 20 ms. It takes a frame of each member's sound out of his jitter buffer, adds
//! up the voices of those who say something, once for each rate that somebody hears at, takes from the sum
//! what a talker said himself, and codes the result: once for all who say nothing. What G.711 says is mixed
//! for those who hear G.711 at 8 kHz without any conversion; for those who hear G.722 or Opus the same
//! voices are mixed at 16 kHz. A talker is brought to the other rate once, and only if somebody hears
//! at it. No rate of 48 kHz is mixed: our Opus codes what is below 8 kHz.
//!
//! Nothing allocates but joining, and the first packet in a coding that a member has not spoken before.
//! No sockets, no clock: a tick's instant is an argument, and the grid is the caller's.

mod bus;
mod ear;
mod mouth;
mod talk;

use std::time::{Duration, Instant};

use crate::codec::Coding;
use crate::convert::Converter;
use crate::jitter::Stamp;

use bus::{Bus, FRAME_MAX, fade};
use ear::Ear;
use mouth::{Coded, Common, Mouth};
use talk::Talk;

/// Length of a tick, and of what is sent to each member: milliseconds.
pub const FRAME_MS: usize = 20;
/// Length of a tick.
pub const TICK: Duration = Duration::from_millis(FRAME_MS as u64);
/// Members of one room at most.
pub const MEMBERS_MAX: usize = 250;
/// Samples of a frame of telephone sound, as announcements and recordings have it.
pub const NARROW: usize = crate::FRAME;

/// Names a member within his room.
pub type MemberNo = u8;

/// What a member may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Role {
    /// The others hear him.
    pub speaks: bool,
    /// He hears the others.
    pub hears: bool,
    /// Whom alone his voice is for; the others do not hear it, and [`Room::mix`] has it not.
    pub to: Option<MemberNo>,
}

impl Role {
    /// Speaks to all and hears.
    pub const FULL: Role = Role { speaks: true, hears: true, to: None };
}

/// The room has [`MEMBERS_MAX`] members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the room is full")]
pub struct Full;

/// A member began to talk, or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Talking {
    /// Who.
    pub member: MemberNo,
    /// Began.
    pub talks: bool,
}

/// A conference room.
#[derive(Debug)]
pub struct Room {
    members: Vec<Member>,
    /// Where a member stands, by number.
    index: Box<[Option<u8>; 256]>,
    narrow: Bus,
    wide: Bus,
    /// What those hear who say nothing, by coding.
    commons: Vec<Common>,
    /// Somebody listens to [`Room::mix`].
    taped: bool,
    /// Announcements, brought to the higher rate.
    announcer: Option<Converter>,
    announced: Option<[i16; NARROW]>,
    /// The last tick.
    at: Instant,
    /// What a member alone hears, and the octets of it.
    alone: [i16; FRAME_MAX],
    coded: Coded,
    /// Talkers whose news are told next: a position that goes round.
    teller: usize,
}

/// Who is in a room.
#[derive(Debug)]
struct Member {
    no: MemberNo,
    role: Role,
    /// His streams, one for each coding that he has spoken; the first is the present one.
    ears: Vec<Ear>,
    mouth: Mouth,
    talk: Talk,
    /// What was told of him.
    told: bool,
    /// What he said last was heard by the others: the next frame follows it, or fades out of it.
    heard: bool,
    /// He adds to this tick.
    adds: bool,
    /// What he says in this tick is for this one alone.
    aside: Option<MemberNo>,
    /// Somebody says something in this tick that is for him alone.
    spoken_to: bool,
    /// What he adds, at 8 and 16 kHz.
    narrow: [i16; NARROW],
    wide: [i16; FRAME_MAX],
    /// To the rate that he does not speak at.
    rises: Option<Converter>,
    falls: Option<Converter>,
    /// He heard the others in the last tick.
    heard_others: bool,
    /// A key is pressed until then: what is missing of his sound is that.
    keys_until: Option<Instant>,
}

impl Room {
    /// An empty room. `now` is any instant before the first packet's.
    #[must_use]
    pub fn new(now: Instant) -> Room {
        Room {
            members: Vec::new(),
            index: Box::new([None; 256]),
            narrow: Bus::new(NARROW_HZ),
            wide: Bus::new(WIDE_HZ),
            commons: Vec::new(),
            taped: false,
            announcer: Converter::new(NARROW_HZ, WIDE_HZ),
            announced: None,
            at: now,
            alone: [0; FRAME_MAX],
            coded: Coded::NONE,
            teller: 0,
        }
    }

    /// Somebody comes in, and hears in this coding. Whoever is in already stays as he is, but for what he
    /// hears in.
    ///
    /// # Errors
    /// [`Full`].
    pub fn join(&mut self, no: MemberNo, hears_in: Coding) -> Result<(), Full> {
        if let Some(member) = self.member(no) {
            if member.mouth.coding != hears_in
                && let Some(mouth) = Mouth::new(hears_in)
            {
                member.mouth = mouth;
                self.recount();
            }
            return Ok(());
        }
        if self.members.len() == MEMBERS_MAX {
            return Err(Full);
        }
        let mouth = Mouth::new(hears_in).ok_or(Full)?;
        self.index[usize::from(no)] = u8::try_from(self.members.len()).ok();
        self.members.push(Member {
            no,
            role: Role::FULL,
            ears: Vec::new(),
            mouth,
            talk: Talk::default(),
            told: false,
            heard: false,
            adds: false,
            aside: None,
            spoken_to: false,
            narrow: [0; NARROW],
            wide: [0; FRAME_MAX],
            rises: Converter::new(NARROW_HZ, WIDE_HZ),
            falls: Converter::new(WIDE_HZ, NARROW_HZ),
            heard_others: true,
            keys_until: None,
        });
        self.recount();
        Ok(())
    }

    /// Somebody goes; false if he was not there. What he was saying fades within the next frame.
    pub fn leave(&mut self, no: MemberNo) -> bool {
        let Some(at) = self.index[usize::from(no)].take() else { return false };
        let mut member = self.members.swap_remove(usize::from(at));
        if let Some(moved) = self.members.get(usize::from(at)) {
            self.index[usize::from(moved.no)] = Some(at);
        }
        let needs = self.needs();
        member.role.speaks = false;
        member.speak(self.at + TICK, needs);
        if member.adds && needs.narrow {
            self.narrow.part(&member.narrow);
        }
        if member.adds && needs.wide {
            self.wide.part(&member.wide);
        }
        self.recount();
        true
    }

    /// How many are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether he is in.
    #[must_use]
    pub fn holds(&self, no: MemberNo) -> bool {
        self.index[usize::from(no)].is_some()
    }

    /// What a member may do from now on.
    pub fn set_role(&mut self, no: MemberNo, role: Role) {
        if let Some(member) = self.member(no) {
            // Whoever hears him now and did not before hears him begin.
            member.heard &= member.role.to == role.to;
            member.role = role;
        }
    }

    /// How long a member's sound waits for what comes later than the rest; `None` before it came.
    #[must_use]
    pub fn delay(&self, no: MemberNo) -> Option<Duration> {
        let member = self.members.get(usize::from(self.index[usize::from(no)]?))?;
        member.ears.first().map(Ear::delay)
    }

    /// Takes a packet of a member's sound. What he sends that is no sound has nothing to do here, but for
    /// [`Room::noise`] and [`Room::key`].
    pub fn push(
        &mut self,
        now: Instant,
        no: MemberNo,
        coding: Coding,
        stamp: Stamp,
        payload: &[u8],
    ) {
        if payload.is_empty() {
            return;
        }
        if let Some(ear) = self.member(no).and_then(|member| member.ear(now, coding)) {
            ear.push(now, stamp, payload);
        }
    }

    /// Takes a packet of comfort noise (RFC 3389): the member is silent, and meant to be.
    pub fn noise(&mut self, now: Instant, no: MemberNo, stamp: Stamp) {
        if let Some(ear) = self.member(no).and_then(|member| member.ears.first_mut()) {
            ear.push(now, stamp, &[]);
        }
    }

    /// A member presses a key (RFC 4733): what is missing of his sound meanwhile is not made up.
    pub fn key(&mut self, now: Instant, no: MemberNo) {
        if let Some(member) = self.member(no) {
            member.keys_until = Some(now + KEY_LINGERS);
        }
    }

    /// Lays a frame of an announcement over the next tick. All hear it.
    pub fn announce(&mut self, frame: &[i16; NARROW]) {
        self.announced = Some(*frame);
    }

    /// Whether [`Room::mix`] is wanted.
    pub fn tape(&mut self, taped: bool) {
        self.taped = taped;
    }

    /// All voices of the last tick at 8 kHz, if they are wanted.
    #[must_use]
    pub fn mix(&self) -> &[i16] {
        self.narrow.full()
    }

    /// Mixes a frame and gives to each member what he hears: his number, the coding, the payload. `at` is
    /// 20 ms after the last.
    pub fn tick(&mut self, at: Instant, mut out: impl FnMut(MemberNo, Coding, &[u8])) {
        self.at = at;
        let needs = self.needs();
        self.narrow.clear();
        self.wide.clear();
        let mut asides = false;
        for member in &mut self.members {
            member.speak(at, needs);
            asides |= member.aside.is_some();
            if member.adds && needs.narrow {
                self.narrow.add(&member.narrow);
            }
            if member.adds && needs.wide {
                self.wide.add(&member.wide);
            }
        }
        if asides {
            self.speak_aside();
        }
        if let Some(frame) = self.announced.take() {
            self.narrow.add(&frame);
            let mut risen = [0; FRAME_MAX + 2];
            if let Some(announcer) = self.announcer.as_mut().filter(|_| needs.wide) {
                announcer.convert(&frame, &mut risen);
                self.wide.add(&risen);
            }
        }
        if needs.narrow {
            self.narrow.close();
        }
        if needs.wide {
            self.wide.close();
        }
        self.say(&mut out);
    }

    /// Notes to whom somebody speaks alone.
    fn speak_aside(&mut self) {
        for at in 0..self.members.len() {
            let to = self.members[at].aside.and_then(|to| self.index[usize::from(to)]);
            if let Some(hearer) = to.and_then(|to| self.members.get_mut(usize::from(to))) {
                hearer.spoken_to = true;
            }
        }
    }

    /// Says to each what he hears.
    fn say(&mut self, out: &mut impl FnMut(MemberNo, Coding, &[u8])) {
        let Room { members, narrow, wide, commons, alone, coded, .. } = self;
        for common in commons.iter_mut() {
            // Whoever begins to hear something else goes on from where the far end's decoder is.
            let of_it = members.iter_mut().filter(|member| member.mouth.coding == common.coding);
            for member in of_it.filter(|member| member.hears_apart()) {
                member.mouth.part(common);
            }
            let bus = if ear::rate(common.coding) == WIDE_HZ { &*wide } else { &*narrow };
            common.code(bus.full());
            for at in 0..members.len() {
                let coding = common.coding;
                if members[at].mouth.coding != coding {
                    continue;
                }
                let asides = members[at].spoken_to.then(|| asides(members, at));
                let member = &mut members[at];
                if member.hears_apart() {
                    let heard = member.own_mix((bus, asides.as_ref()), alone);
                    member.mouth.own(heard, coded);
                    out(member.no, coding, coded.payload());
                } else if member.mouth.apart() {
                    member.mouth.rejoin(bus.full(), common, coded);
                    out(member.no, coding, coded.payload());
                } else {
                    out(member.no, coding, common.payload());
                }
                member.heard_others = member.role.hears;
            }
        }
    }

    /// The next member of whom there is news. Who changes faster than news are taken is told as he is then.
    pub fn poll_talking(&mut self) -> Option<Talking> {
        let count = self.members.len();
        for step in 0..count {
            let at = (self.teller + step) % count;
            let member = &mut self.members[at];
            let talks = member.talk.talking();
            if member.told != talks {
                member.told = talks;
                self.teller = at + 1;
                return Some(Talking { member: member.no, talks });
            }
        }
        None
    }

    fn member(&mut self, no: MemberNo) -> Option<&mut Member> {
        let at = self.index[usize::from(no)]?;
        self.members.get_mut(usize::from(at))
    }

    /// At which rates somebody hears.
    fn needs(&self) -> Needs {
        let at = |hz| self.commons.iter().any(|common| ear::rate(common.coding) == hz);
        Needs { narrow: self.taped || at(NARROW_HZ), wide: at(WIDE_HZ) }
    }

    /// Makes the shared encoders that are needed, and forgets the others.
    fn recount(&mut self) {
        let Room { members, commons, .. } = self;
        commons.retain(|common| members.iter().any(|m| m.mouth.coding == common.coding));
        for member in members.iter() {
            let coding = member.mouth.coding;
            if !commons.iter().any(|common| common.coding == coding) {
                commons.extend(Common::new(coding));
            }
        }
    }
}

/// The rates that a tick is mixed at.
#[derive(Clone, Copy, Debug)]
struct Needs {
    narrow: bool,
    wide: bool,
}

impl Member {
    /// His stream in a coding. Its buffers are made with the first packet of it.
    fn ear(&mut self, now: Instant, coding: Coding) -> Option<&mut Ear> {
        match self.ears.iter().position(|ear| ear.coding() == coding) {
            Some(0) => {}
            Some(at) => {
                self.ears.swap(0, at);
                self.ears[0].again();
            }
            None => {
                self.ears.push(Ear::new(now, coding)?);
                let last = self.ears.len() - 1;
                self.ears.swap(0, last);
            }
        }
        self.ears.first_mut()
    }

    /// Hears his frame of this tick, and makes what he adds to the sums.
    fn speak(&mut self, at: Instant, needs: Needs) {
        let heard_before = std::mem::take(&mut self.heard);
        (self.adds, self.aside, self.spoken_to) = (false, None, false);
        let keys = self.keys_until.is_some_and(|until| at <= until);
        let Some(ear) = self.ears.first_mut() else { return };
        let (len, narrow) = (ear.frame_len(), ear.frame_len() == NARROW);
        let frame = if narrow { &mut self.narrow[..] } else { &mut self.wide[..len] };
        if !ear.frame(at, keys, frame) {
            self.talk.pause();
            return;
        }
        if self.role.speaks {
            self.talk.hear(frame);
        } else {
            self.talk.shut();
        }
        if self.talk.silent() {
            ear.quiet();
        }
        self.heard = self.talk.open();
        match (heard_before, self.heard) {
            (false, false) => return,
            (false, true) => fade(frame, len / OPENS_IN, true),
            (true, false) => fade(frame, len, false),
            (true, true) => {}
        }
        (self.adds, self.aside) = (self.role.to.is_none(), self.role.to);
        if let Some(rises) = self.rises.as_mut().filter(|_| narrow && needs.wide) {
            let mut risen = [0; FRAME_MAX + 2];
            rises.convert(&self.narrow, &mut risen);
            self.wide.copy_from_slice(&risen[..FRAME_MAX]);
        } else if let Some(falls) = self.falls.as_mut().filter(|_| !narrow && needs.narrow) {
            let mut fallen = [0; NARROW + 1];
            falls.convert(&self.wide, &mut fallen);
            self.narrow.copy_from_slice(&fallen[..NARROW]);
        }
    }

    /// He hears something that nobody else hears: all but himself, or nothing, or a change between them.
    fn hears_apart(&self) -> bool {
        self.adds || self.spoken_to || !self.role.hears || !self.heard_others
    }

    /// What he alone hears: all but himself, and what is said to him alone.
    fn own_mix<'a>(
        &self,
        (bus, asides): (&Bus, Option<&[i32; FRAME_MAX]>),
        alone: &'a mut [i16; FRAME_MAX],
    ) -> &'a [i16] {
        let none = [0; FRAME_MAX];
        let own = match (self.adds, ear::rate(self.mouth.coding) == WIDE_HZ) {
            (false, _) => &none[..],
            (true, true) => &self.wide[..],
            (true, false) => &self.narrow[..],
        };
        let len = bus.full().len();
        bus.without(own, asides, alone);
        let heard = &mut alone[..len];
        match (self.heard_others, self.role.hears) {
            (true, true) => {}
            (false, true) => fade(heard, len, true),
            (true, false) => fade(heard, len, false),
            (false, false) => heard.fill(0),
        }
        heard
    }
}

/// What is said to one member alone, at the rate at which he hears.
fn asides(members: &[Member], at: usize) -> [i32; FRAME_MAX] {
    let mut sum = [0; FRAME_MAX];
    let hearer = &members[at];
    let wide = ear::rate(hearer.mouth.coding) == WIDE_HZ;
    for member in members.iter().filter(|member| member.aside == Some(hearer.no)) {
        let voice = if wide { &member.wide[..] } else { &member.narrow[..] };
        for (sum, sample) in sum.iter_mut().zip(voice) {
            *sum += i32::from(*sample);
        }
    }
    sum
}

/// The rates of rooms.
const NARROW_HZ: u32 = 8_000;
const WIDE_HZ: u32 = 16_000;
/// A gate opens within a quarter of a frame, and shuts within a whole one.
const OPENS_IN: usize = 4;
/// A key is over when none of its packets came for this long: they come every 50 ms at most (RFC 4733
/// §2.5.1.2), and wait as long as sound does.
const KEY_LINGERS: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
