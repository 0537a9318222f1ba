//! The legs of a worker, each in a seat: its sockets, its media, and what it hears.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use facts::LegId;
use facts::id::CallId;
use facts::manners::Dtmf;
use facts::media::{Codec, Source, Tone};
use facts::room::RoomRole;
use facts::sound::{Music, Unplayable};
use rtp::Leg;
use rtp::egress::Owner;

use super::guard::Guard;
use super::keys::{Keypad, Presses};
use super::listen::Ear;
use super::order::Order;
use super::recode::Coders;
use crate::loader::Wish;
use crate::recorder::Side;
use crate::socket::Pair;
use crate::sound::{Sound, What};
use crate::translate;

/// Packet time when none was agreed, and of sounds whose agreed one is out of bounds.
const PTIME_MS: u8 = 20;
/// Packet times that sounds are sent with, milliseconds.
const PTIMES_MS: std::ops::RangeInclusive<u8> = 10..=60;

/// One leg.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: LegId,
    pub(crate) port: u16,
    pub(crate) sockets: Pair,
    pub(crate) leg: Leg,
    pub(crate) hears: Hears,
    /// A short sound laid over it.
    pub(crate) interjection: Option<Sound>,
    /// What it is to hear as soon as that can be had.
    pub(crate) awaits: Option<Awaited>,
    /// What is to be laid over it then.
    pub(crate) awaits_over: Option<Awaited>,
    /// Why a sound that it was to hear could not be had.
    pub(crate) unplayable: Option<Unplayable>,
    /// Where the last sound went that it was told to hear, until it is said that a key ends it.
    pub(crate) told: Option<Layer>,
    /// The seat whose leg hears this one.
    pub(crate) listener: Option<usize>,
    /// On which side of the call's recording its voice is laid.
    pub(crate) tape: Option<Side>,
    /// When the next report is due.
    pub(crate) report_at: Option<Instant>,
    pub(crate) ptime_ms: u8,
    /// How its far end takes keys.
    pub(crate) dtmf: Dtmf,
    /// Keys that are pressed for its far end.
    pub(crate) keys: Presses,
    /// Who listens for keys in its sound, where its far end has no events.
    pub(crate) keypad: Option<Box<Keypad>>,
    /// Who listens to what its network plays.
    pub(crate) ear: Option<Box<Ear>>,
    /// What its packets are protected with, if they are.
    pub(crate) guard: Option<Box<Guard>>,
    /// What turns other codings into the one that is sent.
    pub(crate) coders: Coders,
    /// Its packets in order, where what it says is coded anew.
    pub(crate) order: Option<Box<Order>>,
    /// What it may do in the room of its call.
    pub(crate) role: RoomRole,
    /// It is in that room.
    pub(crate) member: bool,
}

/// A sound that is not there yet.
#[derive(Clone, Debug)]
pub(crate) struct Awaited {
    pub(crate) wish: Wish,
    /// Over and over.
    pub(crate) again: bool,
    /// A key ends it.
    pub(crate) by_key: bool,
}

/// Where a sound is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layer {
    /// It owns the stream.
    Under,
    /// It is laid over what owns the stream.
    Over,
}

/// The owner of a leg's outgoing stream.
#[derive(Debug)]
pub(crate) enum Hears {
    Nothing,
    Leg(LegId),
    Sound(Sound),
    /// The room of its call, once it is let in.
    Room,
}

impl Seat {
    pub(crate) fn new(id: LegId, port: u16, sockets: Pair, leg: Leg) -> Seat {
        Seat {
            id,
            port,
            sockets,
            leg,
            hears: Hears::Nothing,
            interjection: None,
            awaits: None,
            awaits_over: None,
            unplayable: None,
            told: None,
            listener: None,
            tape: None,
            report_at: None,
            ptime_ms: PTIME_MS,
            dtmf: Dtmf::Auto,
            keys: Presses::default(),
            keypad: None,
            ear: None,
            guard: None,
            coders: Coders::default(),
            order: None,
            role: RoomRole::default(),
            member: false,
        }
    }

    /// The sound that is to be played now.
    pub(crate) fn sound(&mut self) -> Option<&mut Sound> {
        match (&mut self.interjection, &mut self.hears) {
            (Some(sound), _) | (None, Hears::Sound(sound)) => Some(sound),
            (None, Hears::Nothing | Hears::Leg(_) | Hears::Room) => None,
        }
    }

    /// The same, without touching it.
    pub(crate) fn sounds(&self) -> bool {
        let plays = self.interjection.is_some() || matches!(self.hears, Hears::Sound(_));
        plays || self.keys.is_pressing()
    }

    /// Gives the outgoing stream to whoever owns it now.
    pub(crate) fn give(&mut self) {
        let owner = match (&self.interjection, &self.hears) {
            _ if self.keys.is_pressing() => Owner::Generator,
            (Some(_), _) | (None, Hears::Sound(_) | Hears::Room) => Owner::Generator,
            (None, Hears::Leg(_)) => Owner::Relay,
            (None, Hears::Nothing) => Owner::Silence,
        };
        if let Some(sound) = self.sound() {
            sound.due = None;
        }
        self.leg.give(owner);
    }

    /// Its far end gets keys beside its sound, in which they have no place then.
    pub(crate) fn takes_keys_apart(&self) -> bool {
        self.dtmf == Dtmf::Info || self.leg.takes_events()
    }

    /// Keys may be pressed into its media.
    pub(crate) fn may_press(&self) -> bool {
        match self.dtmf {
            Dtmf::Auto | Dtmf::Inband => true,
            Dtmf::Rfc4733 => self.leg.takes_events(),
            Dtmf::Info => false,
        }
    }

    /// The coding that sounds have to be in.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.leg.spoken().map(translate::codec)
    }

    /// Packet time of sounds.
    pub(crate) fn ptime(&self) -> Duration {
        let known = PTIMES_MS.contains(&self.ptime_ms) && self.codec() != Some(Codec::Opus);
        // Opus is kept in packets of the usual length.
        let ms = if known { self.ptime_ms } else { PTIME_MS };
        Duration::from_millis(u64::from(ms))
    }
}

/// Makes the owner that an order names, and what has to be had before it is heard. `once`: play through and
/// end, also what would go on.
pub(crate) fn hears(source: Source, once: bool) -> (Hears, Option<Wish>) {
    match source {
        Source::Silence => (Hears::Nothing, None),
        Source::Leg(leg) => (Hears::Leg(leg), None),
        Source::Room => (Hears::Room, None),
        Source::Tone(tone) => (Hears::Sound(Sound::new(What::Tone(tone), !once)), None),
        Source::Prompt(prompt) => (Hears::Sound(Sound::new(What::Prompt(prompt), false)), None),
        Source::File(file) => (Hears::Nothing, Some(Wish::File(file))),
        Source::Say(say) => (Hears::Nothing, Some(Wish::Say(say))),
        Source::Url(url) => (Hears::Nothing, Some(Wish::Url(url))),
        Source::Music(Music::Prompt(prompt)) => {
            (Hears::Sound(Sound::new(What::Prompt(prompt), !once)), None)
        }
        Source::Music(Music::Url(url)) => {
            let meanwhile = Sound::new(What::Tone(Tone::Hold), !once);
            (Hears::Sound(meanwhile), Some(Wish::Url(url)))
        }
    }
}

/// All seats, found by number on the way of a packet and by leg on the way of an order.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: Vec<Option<Seat>>,
    empty: Vec<usize>,
    index: BTreeMap<LegId, usize>,
}

impl Seats {
    pub(crate) fn take(&mut self, seat: Seat) -> usize {
        let id = seat.id;
        let number = match self.empty.pop() {
            Some(number) => {
                self.seats[number] = Some(seat);
                number
            }
            None => {
                self.seats.push(Some(seat));
                self.seats.len() - 1
            }
        };
        self.index.insert(id, number);
        number
    }

    /// The number that the next seat will have.
    pub(crate) fn next(&self) -> usize {
        self.empty.last().copied().unwrap_or(self.seats.len())
    }

    pub(crate) fn leave(&mut self, number: usize) -> Option<Seat> {
        let seat = self.seats.get_mut(number)?.take()?;
        self.empty.push(number);
        self.index.remove(&seat.id);
        Some(seat)
    }

    pub(crate) fn number(&self, leg: LegId) -> Option<usize> {
        self.index.get(&leg).copied()
    }

    pub(crate) fn get(&mut self, number: usize) -> Option<&mut Seat> {
        self.seats.get_mut(number)?.as_mut()
    }

    /// A seat and its listener's.
    pub(crate) fn with_listener(
        &mut self,
        number: usize,
    ) -> Option<(&mut Seat, Option<&mut Seat>)> {
        let listener = self.seats.get(number)?.as_ref()?.listener;
        let Some(listener) = listener.filter(|listener| *listener != number) else {
            return Some((self.seats.get_mut(number)?.as_mut()?, None));
        };
        let [seat, listener] = self.seats.get_disjoint_mut([number, listener]).ok()?;
        Some((seat.as_mut()?, listener.as_mut()))
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Numbers of a call's seats.
    pub(crate) fn of_call(&self, call: CallId) -> impl Iterator<Item = usize> {
        let first = LegId::new(call, facts::LegNo(0));
        let last = LegId::new(call, facts::LegNo(u8::MAX));
        self.index.range(first..=last).map(|(_, number)| *number)
    }

    /// Numbers of all seats.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.seats.len()
    }

    /// All legs.
    pub(crate) fn legs(&self) -> Vec<LegId> {
        self.index.keys().copied().collect()
    }
}
