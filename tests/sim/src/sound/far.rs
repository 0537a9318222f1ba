//! A far end of the sound: where it is, what it says, and what it does in mid-call.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rtp::{Coding, Flow, Map, Setup};

use crate::net::Dice;

/// Media gateways that many calls share: their addresses and ports come again.
const GATEWAYS: u32 = 3;
const GATEWAY_PORTS: u32 = 4;

/// How a far end is placed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// It sends from where it says.
    Open,
    /// A gateway, whose signalling comes from another machine.
    Gateway,
    /// It knows its own address, but not the port that its NAT gives it.
    OtherPort,
    /// It describes a private address; packets come from where its signalling comes from.
    Private,
}

/// One far end.
#[derive(Clone, Debug)]
pub struct FarEnd {
    pub(super) place: Place,
    /// What its session description says.
    pub(super) described: SocketAddr,
    /// Where its signalling comes from.
    pub(super) signalling: IpAddr,
    /// Where its packets come from, as the network shows it.
    pub(super) seen: SocketAddr,
    /// Everywhere it was or said it was.
    pub(super) places: BTreeSet<SocketAddr>,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// Packets said so far.
    pub(super) said: u32,
    /// Times that its stream began anew.
    pub(super) epoch: u32,
    pub(super) flow: Flow,
    pub(super) talks: bool,
    /// Since when it has talked from one place in one stream.
    pub(super) settled: Duration,
    /// When it was last heard.
    pub(super) heard: Duration,
}

/// What happens to it in mid-call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// It moves to another network and carries its stream with it (field case 6).
    Roam,
    /// Its stream begins anew from where it is (field case 2).
    NewSsrc,
    /// A re-INVITE names another place.
    Moved,
    /// It is held, and taken up again.
    Hold,
    /// Its NAT forgets it while it is silent: another port, another stream, and no signalling.
    Rebound,
}

impl Change {
    /// All.
    pub const ALL: [Change; 5] =
        [Change::Roam, Change::NewSsrc, Change::Moved, Change::Hold, Change::Rebound];

    /// How long it says nothing meanwhile.
    pub(super) fn pause(self, dice: &mut Dice) -> Duration {
        let (low, high) = match self {
            Change::Roam => (260, 1_500),
            Change::NewSsrc => (0, 60),
            Change::Moved => (0, 400),
            Change::Hold => (200, 4_000),
            Change::Rebound => (2_300, 4_000),
        };
        dice.between(Duration::from_millis(low), Duration::from_millis(high))
    }
}

impl FarEnd {
    pub(super) fn new(dice: &mut Dice) -> FarEnd {
        let place =
            [Place::Open, Place::Gateway, Place::OtherPort, Place::Private][dice.below(4) as usize];
        let outside = anywhere(dice);
        let mut far = FarEnd {
            place,
            described: outside,
            signalling: outside.ip(),
            seen: outside,
            places: BTreeSet::new(),
            ssrc: 0,
            sequence: 0,
            timestamp: 0,
            said: 0,
            epoch: 0,
            flow: Flow::SendReceive,
            talks: true,
            settled: Duration::ZERO,
            heard: Duration::ZERO,
        };
        match place {
            Place::Open => {}
            Place::Gateway => {
                let host = Ipv4Addr::new(192, 0, 2, 10 + dice.below(GATEWAYS) as u8);
                far.described = at(host, 20_000 + 2 * dice.below(GATEWAY_PORTS));
                far.seen = far.described;
                far.signalling = Ipv4Addr::new(192, 0, 2, 1).into();
            }
            Place::OtherPort => far.seen.set_port(other_port(far.described, dice)),
            Place::Private => {
                far.described = at(Ipv4Addr::new(10, 0, 0, 1 + dice.below(200) as u8), 4_000);
            }
        }
        far.begin_stream(dice);
        far.remember();
        far
    }

    /// Another stream from now on.
    pub(super) fn begin_stream(&mut self, dice: &mut Dice) {
        self.ssrc = dice.below(u32::MAX);
        self.sequence = dice.below(1 << 16) as u16;
        self.timestamp = dice.below(u32::MAX);
        self.epoch += 1;
    }

    fn remember(&mut self) {
        self.places.extend([self.described, self.seen]);
    }

    /// What has changed when it speaks again.
    pub(super) fn change(&mut self, change: Change, dice: &mut Dice) {
        match change {
            Change::Roam => {
                self.seen = anywhere(dice);
                // Who is known by his signalling signals from the new place too.
                if self.place == Place::Private {
                    self.signalling = self.seen.ip();
                }
            }
            Change::NewSsrc => self.begin_stream(dice),
            Change::Moved => {
                let epoch = self.epoch + 1;
                let fresh = FarEnd::new(dice);
                let places = fresh.places.union(&self.places).copied().collect();
                let (said, heard) = (self.said, self.heard);
                *self = FarEnd { places, said, heard, epoch, ..fresh };
            }
            Change::Hold => {
                self.flow = Flow::SendReceive;
                if dice.chance(500) {
                    self.begin_stream(dice);
                }
            }
            Change::Rebound => {
                self.seen.set_port(other_port(self.seen, dice));
                self.begin_stream(dice);
            }
        }
        self.remember();
    }

    /// What its setup says.
    pub(super) fn setup(&self) -> Setup {
        let map = Map { audio: vec![(8, Coding::Pcma)], events: vec![(101, 8_000)], noise: None };
        Setup {
            remote: self.described,
            signalling: Some(self.signalling),
            remote_rtcp: None,
            rtcp_mux: false,
            send: map.clone(),
            receive: map,
            flow: self.flow,
            silence: None,
        }
    }

    /// The next packet, which says who said it.
    pub(super) fn speak(&mut self, tag: u32) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.said += 1;
        packet(self.ssrc, self.sequence, self.timestamp, [tag, self.epoch, self.said])
    }
}

/// 20 ms of A-law with three words in it.
pub(super) fn packet(ssrc: u32, sequence: u16, timestamp: u32, words: [u32; 3]) -> Vec<u8> {
    let mut bytes = vec![0xd5; 172];
    bytes[0] = 0x80;
    bytes[1] = 8;
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
    bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    for (at, word) in (12..).step_by(4).zip(words) {
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// The words of a packet.
pub(super) fn words(bytes: &[u8]) -> Option<[u32; 3]> {
    let word = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
    };
    Some([word(12)?, word(16)?, word(20)?])
}

fn at(host: Ipv4Addr, port: u32) -> SocketAddr {
    SocketAddr::from((host, u16::try_from(port).unwrap_or(u16::MAX)))
}

fn anywhere(dice: &mut Dice) -> SocketAddr {
    let [b, c] = [dice.below(256) as u8, dice.below(256) as u8];
    at(Ipv4Addr::new(80, b, c, 1 + dice.below(250) as u8), 1_024 + 2 * dice.below(30_000))
}

/// A stranger's: no far end is ever there.
pub(super) fn elsewhere(dice: &mut Dice) -> SocketAddr {
    at(Ipv4Addr::new(66, 6, 6, dice.below(8) as u8), 1_024 + dice.below(60_000))
}

fn other_port(address: SocketAddr, dice: &mut Dice) -> u16 {
    let port = 1_025 + 2 * dice.below(30_000) as u16;
    if port == address.port() { port + 2 } else { port }
}
