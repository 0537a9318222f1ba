//! Talkers in turn in a conference: what somebody hears who only listens.
//!
//! `cargo run -p audio --release --example conference TALKERS LISTENER JITTER LOSS FILE … > OUT.raw`: the codings
//! of the talkers after each other and round again (`pcma,opus`), and the listener's; packets come up to
//! `JITTER` ms later than the fastest, and `LOSS` of 100 not at all; one file for each talker, signed 16-bit
//! little-endian samples of his coding's rate, said when the one before has ended half a second ago.
//! `tests/load/quality.py` drives it.
//!
//! `conference cost MEMBERS TALKERS [CODING …]` prints what ticks cost: microseconds of one, and a share of a core for
//! 100 seats, without sockets.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measuring program")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use audio::codec::{Coding, Decoder, Encoder, OCTETS_MAX};
use audio::jitter::Stamp;
use audio::mix::{MemberNo, Room, TICK};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [cost, members, talkers, codings @ ..] if cost == "cost" => {
            let codings: Result<Vec<Coding>, String> = codings.iter().map(|n| coding(n)).collect();
            spend(members.parse()?, talkers.parse()?, &codings?)
        }
        [talkers, listener, jitter, loss, files @ ..] if !files.is_empty() => {
            let talkers: Result<Vec<Coding>, String> = talkers.split(',').map(coding).collect();
            let network = Network { jitter_ms: jitter.parse()?, loss: loss.parse()?, seed: 1 };
            hear(&talkers?, coding(listener)?, network, files)
        }
        _ => Err("TALKERS LISTENER JITTER LOSS FILE …, or cost MEMBERS TALKERS [CODING …]".into()),
    }
}

/// Between the talkers and the room.
struct Network {
    jitter_ms: u32,
    loss: u32,
    seed: u32,
}

impl Network {
    fn draw(&mut self, most: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 16) % most.max(1)
    }

    /// How late a packet comes; `None`: not at all.
    fn carry(&mut self) -> Option<Duration> {
        let lost = self.draw(100) < self.loss;
        let late = Duration::from_millis(u64::from(self.draw(self.jitter_ms + 1)));
        (!lost).then_some(late)
    }
}

struct Packet {
    no: MemberNo,
    coding: Coding,
    stamp: Stamp,
    payload: Vec<u8>,
}

fn hear(
    talkers: &[Coding],
    listener: Coding,
    mut network: Network,
    files: &[String],
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut room = Room::new(start);
    let ear = MemberNo::MAX;
    room.join(ear, listener)?;
    let mut sounds = Vec::new();
    let mut ticks = 0;
    for (n, file) in files.iter().enumerate() {
        let coding = talkers[n % talkers.len()];
        let bytes = std::fs::read(file)?;
        let sound: Vec<i16> = bytes
            .chunks_exact(2)
            .map(|octets| i16::from_le_bytes([octets[0], octets[1]]))
            .collect();
        let no = MemberNo::try_from(n)?;
        room.join(no, coding)?;
        let frames = sound.len() / (rate(coding) as usize / 50);
        sounds.push((no, coding, Encoder::at(coding, rate(coding))?, sound, ticks));
        ticks += frames + PAUSE_TICKS;
    }
    let mut decoder = Decoder::at(listener, rate(listener))?;
    let mut heard = vec![0; rate(listener) as usize / 50];
    let mut coming: BTreeMap<(Instant, MemberNo, usize), Packet> = BTreeMap::new();
    let (mut octets, mut out) = ([0; OCTETS_MAX], std::io::stdout().lock());
    for tick in 0..ticks {
        let now = start + TICK * u32::try_from(tick + 1)?;
        for (no, coding, encoder, sound, from) in &mut sounds {
            let len = rate(*coding) as usize / 50;
            let at = tick.checked_sub(*from).map_or(sound.len(), |frames| frames * len);
            let silence = vec![0; len];
            let frame = sound.get(at..at + len).unwrap_or(&silence);
            let count = encoder.encode(frame, &mut octets)?;
            let timestamp = u32::try_from(tick)? * (coding.clock() / 50);
            let stamp = Stamp { ssrc: 1, sequence: (tick & 0xffff) as u16, timestamp };
            let packet =
                Packet { no: *no, coding: *coding, stamp, payload: octets[..count].to_vec() };
            if let Some(late) = network.carry() {
                coming.insert((now + late, *no, tick), packet);
            }
        }
        let due = now + TICK / 2;
        while let Some(first) = coming.first_entry().filter(|first| first.key().0 <= due) {
            let ((at, ..), packet) = first.remove_entry();
            room.push(at, packet.no, packet.coding, packet.stamp, &packet.payload);
        }
        let mut said = Vec::new();
        room.tick(due, |no, _, payload| {
            if no == ear {
                said = payload.to_vec();
            }
        });
        let count = decoder.decode(&said, &mut heard)?;
        let bytes: Vec<u8> = heard[..count].iter().flat_map(|s| s.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Half a second.
const PAUSE_TICKS: usize = 25;

/// Ticks of a room in which the first few talk all the time and the others send silence.
fn spend(members: u8, talkers: u8, codings: &[Coding]) -> Result<(), Box<dyn Error>> {
    let codings = if codings.is_empty() { &[Coding::Pcmu] } else { codings };
    let start = Instant::now();
    let mut room = Room::new(start);
    let mut said = Vec::new();
    for no in 0..members {
        let coding = codings[usize::from(no) % codings.len()];
        room.join(no, coding)?;
        let mut encoder = Encoder::at(coding, rate(coding))?;
        let (mut octets, len) = ([0; OCTETS_MAX], rate(coding) as usize / 50);
        let mut payloads = Vec::new();
        for tick in 0..50 {
            let turn = f64::from(200 + 13 * u16::from(no)) * std::f64::consts::TAU;
            let frame: Vec<i16> = (tick * len..(tick + 1) * len)
                .map(|n| (turn * n as f64 / f64::from(rate(coding))).sin())
                .map(|x| if no < talkers { (x * 6_000.0) as i16 } else { 0 })
                .collect();
            let count = encoder.encode(&frame, &mut octets)?;
            payloads.push(octets[..count].to_vec());
        }
        said.push((coding, payloads));
    }
    let (mut spent, mut sent) = (Duration::ZERO, 0_u64);
    for tick in 0..COST_TICKS {
        let now = start + TICK * tick;
        let before = Instant::now();
        for (no, (coding, payloads)) in said.iter().enumerate() {
            let (sequence, timestamp) = ((tick & 0xffff) as u16, tick * (coding.clock() / 50));
            let stamp = Stamp { ssrc: 1, sequence, timestamp };
            let payload = &payloads[tick as usize % payloads.len()];
            room.push(now, no as MemberNo, *coding, stamp, payload);
        }
        room.tick(now + TICK / 2, |_, _, payload| sent += payload.len() as u64);
        spent += before.elapsed();
    }
    let each = spent.as_secs_f64() / f64::from(COST_TICKS);
    println!(
        "{members} members, {talkers} talk, {codings:?}: {:.0} µs a tick, {:.2} % of a core for 100 seats ({sent} octets)",
        each * 1e6,
        each / TICK.as_secs_f64() * 100.0 * 100.0 / f64::from(members)
    );
    Ok(())
}

/// Twenty seconds.
const COST_TICKS: u32 = 1_000;

/// Opus as what a telephone has of it.
fn rate(coding: Coding) -> u32 {
    coding.rate().min(16_000)
}

fn coding(name: &str) -> Result<Coding, String> {
    match name {
        "pcmu" => Ok(Coding::Pcmu),
        "pcma" => Ok(Coding::Pcma),
        "g722" => Ok(Coding::G722),
        "opus" => Ok(Coding::Opus),
        other => Err(format!("{other}: pcmu, pcma, g722 or opus")),
    }
}
