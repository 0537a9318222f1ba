//! The media plane as signalling sees it: ports, sources, recordings, and the events they give.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use facts::media::{MediaCommand, MediaEvent, MediaStats, RecordedFile, Source, StreamSetup};
use facts::recognition::{Announced, Recognition, Sounded};
use facts::{CallId, LegId};

use crate::net::Dice;

/// One open leg.
#[derive(Debug, Default)]
pub struct Stream {
    /// What was agreed last.
    pub setup: Option<StreamSetup>,
    /// What the leg hears.
    pub hears: Option<Source>,
    started: bool,
    silent: bool,
}

/// The model. Dies with the process.
#[derive(Debug, Default)]
pub struct Media {
    /// Open legs.
    pub streams: BTreeMap<LegId, Stream>,
    /// Ports that were made to lead to another call, by this process.
    pub links: u32,
    /// Orders to rooms: whoever supervised a call took part.
    pub rooms: u32,
    recordings: BTreeMap<CallId, (LegId, Option<LegId>, String)>,
    ports: BTreeMap<LegId, u16>,
    next: u16,
    /// It always has a port to give.
    ample: bool,
}

/// An event and how long it takes to come.
pub type Later = (Duration, MediaEvent);

const SOON: Duration = Duration::from_millis(1);

impl Media {
    /// Nothing is open; `ample`: there is always a port to give.
    #[must_use]
    pub fn with(ample: bool) -> Media {
        Media { ample, ..Media::default() }
    }

    /// Carries out an order.
    pub fn order(&mut self, command: MediaCommand, dice: &mut Dice) -> Vec<Later> {
        let mut later = Vec::new();
        match command {
            MediaCommand::Open { leg, .. } => {
                if !self.ample && dice.chance(5) {
                    later.push((SOON, MediaEvent::OpenFailed { leg }));
                } else {
                    self.next = self.next.wrapping_add(2) % 20_000;
                    let port = 20_000 + self.next;
                    assert!(self.ports.insert(leg, port).is_none(), "{leg} opened twice");
                    self.streams.insert(leg, Stream::default());
                    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port);
                    later.push((SOON, MediaEvent::Opened { leg, local }));
                }
            }
            MediaCommand::Setup { leg, setup } => {
                if let Some(stream) = self.streams.get_mut(&leg) {
                    stream.setup = Some(setup);
                    if !stream.started && dice.chance(950) {
                        stream.started = true;
                        later.push((Duration::from_millis(40), MediaEvent::Started { leg }));
                    }
                }
            }
            MediaCommand::Link { leg, .. } => {
                self.links += 1;
                if let Some(stream) = self.streams.get_mut(&leg) {
                    stream.setup = None;
                }
            }
            MediaCommand::Hear { leg, source } => {
                if let Source::Prompt(_) | Source::File(_) | Source::Say(_) | Source::Url(_) =
                    source
                {
                    later.push((Duration::from_secs(3), MediaEvent::Played { leg }));
                }
                if let Some(stream) = self.streams.get_mut(&leg) {
                    stream.hears = Some(source);
                }
            }
            MediaCommand::Fetch { leg, url, .. } => {
                let why = facts::sound::Unplayable::Unreachable;
                let sound = if dice.chance(50) { Err(why) } else { Ok(()) };
                later.push((Duration::from_millis(200), MediaEvent::Fetched { leg, url, sound }));
            }
            MediaCommand::Interject { leg, .. } => {
                let ended = facts::sound::Ended::Played;
                later.push((Duration::from_millis(300), MediaEvent::LaidOver { leg, ended }));
            }
            MediaCommand::Record { call, left, right, file, .. } => {
                self.recordings.insert(call, (left, right, file));
            }
            MediaCommand::Retape { call, left, right } => {
                if let Some((l, r, _)) = self.recordings.get_mut(&call) {
                    (*l, *r) = (left, Some(right));
                }
            }
            MediaCommand::PauseRecording { .. }
            | MediaCommand::Interruptible { .. }
            | MediaCommand::Interrupt { .. }
            | MediaCommand::Press { .. }
            | MediaCommand::StopListening { .. } => {}
            MediaCommand::Room { .. } => self.rooms += 1,
            MediaCommand::Listen { leg, turn, .. } => later.extend(recognised(leg, turn, dice)),
            MediaCommand::StopRecording { call } => later.extend(self.finish(call, dice)),
            MediaCommand::Close { leg } => {
                if self.streams.remove(&leg).is_some() {
                    self.ports.remove(&leg);
                    let stats = MediaStats { packets_received: 50, ..MediaStats::default() };
                    later.push((SOON, MediaEvent::Closed { leg, stats }));
                }
                let due: Vec<CallId> = self
                    .recordings
                    .iter()
                    .filter(|(_, (left, right, _))| *left == leg || *right == Some(leg))
                    .map(|(call, _)| *call)
                    .collect();
                for call in due {
                    later.extend(self.finish(call, dice));
                }
            }
        }
        later
    }

    fn finish(&mut self, call: CallId, dice: &mut Dice) -> Option<Later> {
        let (_, _, file) = self.recordings.remove(&call)?;
        let event = if dice.chance(50) {
            MediaEvent::RecordingFailed { call }
        } else {
            let file = RecordedFile {
                file,
                duration_ms: 1000,
                bytes: 4000,
                sha256: String::new(),
                other: None,
            };
            MediaEvent::Recorded { call, file }
        };
        Some((Duration::from_millis(30), event))
    }

    /// Legs whose far end fell silent: each is reported once.
    pub fn fallen_silent(&mut self, vanished: &BTreeSet<SocketAddr>) -> Vec<Later> {
        let mut later = Vec::new();
        for (leg, stream) in &mut self.streams {
            let Some(setup) = &stream.setup else { continue };
            let Some(limit) = setup.silence else { continue };
            if !stream.silent && vanished.contains(&setup.remote) {
                stream.silent = true;
                later.push((limit, MediaEvent::Silent { leg: *leg, since: limit }));
            }
        }
        later
    }
}

/// What a network may play before an answer: most of the time nothing that says anything.
fn recognised(leg: LegId, turn: u8, dice: &mut Dice) -> Option<Later> {
    let says = Announced::from_number(2 + u8::try_from(dice.below(19)).unwrap_or(0))?;
    let sounded = match dice.below(8) {
        0 => Sounded::Announcement { says, cause: 20 },
        1 => Sounded::Busy,
        2 => Sounded::Congestion,
        3 => Sounded::Special { cause: 31 },
        4 => Sounded::Ringing,
        _ => return None,
    };
    let certain = sounded.cause().is_some() && dice.chance(500);
    let verdict = Recognition { sounded, certain, confidence: 90, from_ms: 0, to_ms: 900 };
    Some((Duration::from_millis(900), MediaEvent::Recognised { leg, turn, verdict }))
}
