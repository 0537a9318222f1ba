//! The targets that read media packets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use audio::codec::{Coding as Sound, OCTETS_MAX, PACKET_MAX_MS, Transcoder};
use rtp::egress::Owner;
use rtp::leg::Passage;
use rtp::rtcp::{CNAME_LEN, NtpClock, REPORT_MAX};
use rtp::{Coding, Flow, Identity, Kind, Leg, Map, Setup, Verdict, packet, rtcp as reports};

/// An RTP packet: what is read lies inside it, and rewriting it in place changes what was asked and
/// nothing else.
pub fn rtp(bytes: &[u8]) {
    let _ = packet::is_rtcp(bytes);
    let Ok(header) = packet::Header::parse(bytes) else { return };
    assert!(header.payload.start <= header.payload.end && header.payload.end <= bytes.len());
    assert!(header.payload_type < 128);
    let mut copy = bytes.to_vec();
    let stamp = packet::Stamp {
        payload_type: header.payload_type ^ 1,
        marker: !header.marker,
        sequence: header.sequence.wrapping_add(1),
        timestamp: header.timestamp.wrapping_add(160),
        ssrc: !header.ssrc,
    };
    stamp.write(&mut copy);
    let again = packet::Header::parse(&copy).expect("a rewritten packet is a packet");
    assert_eq!(again.payload, header.payload);
    assert_eq!(copy[again.payload.clone()], bytes[header.payload.clone()]);
    assert_eq!((again.payload_type, again.marker), (stamp.payload_type, stamp.marker));
    assert_eq!((again.sequence, again.timestamp), (stamp.sequence, stamp.timestamp));
    assert_eq!(again.ssrc, stamp.ssrc);
}

/// An RTCP compound: reading it ends, with no more items than bytes.
pub fn rtcp(bytes: &[u8]) {
    let mut items = 0;
    let _ = reports::read(bytes, |_| items += 1);
    assert!(items <= bytes.len());
}

/// Two joined legs, and datagrams from anybody in any order: STUN, RTCP, key presses, noise. What is
/// sent on is a packet of the same length with the listener's identity, from who may be heard; the
/// accounts add up; and reports read back.
///
/// Each step takes two octets and a datagram: who sends (4 bits), which leg (1), which port (1),
/// how much later (2); and how long the datagram is.
pub fn relay(bytes: &[u8]) {
    let mut world = Relay::new();
    let mut rest = bytes;
    for _ in 0..STEPS_MAX {
        let [head, length, tail @ ..] = rest else { break };
        let (datagram, next) = tail.split_at(tail.len().min(usize::from(*length)));
        world.step(*head, datagram);
        rest = next;
    }
    world.end();
}

/// Steps taken of one input at most.
const STEPS_MAX: usize = 512;
/// Identities of what leaves towards each leg.
const SSRCS: [u32; 2] = [0xaaaa_0001, 0xbbbb_0002];

struct Relay {
    now: Instant,
    legs: [Leg; 2],
    /// Datagrams given to each leg on its RTP port, and on its RTCP port.
    given: [[u64; 2]; 2],
}

impl Relay {
    #[allow(clippy::disallowed_methods, reason = "an instant has no other origin")]
    fn new() -> Relay {
        let now = Instant::now();
        let clock = NtpClock { at: now, ntp: 3_900_000_000 << 32 };
        let legs = [0, 1].map(|side| {
            let identity = Identity {
                ssrc: SSRCS[side],
                sequence: 65_530,
                timestamp: u32::MAX - 100,
                cname: [b'c'; CNAME_LEN],
            };
            let mut leg = Leg::new(now, clock, &identity);
            leg.give(Owner::Relay);
            leg.setup(now, setup(side, Flow::SendReceive));
            leg
        });
        Relay { now, legs, given: [[0; 2]; 2] }
    }

    fn step(&mut self, head: u8, datagram: &[u8]) {
        let (who, side, rtcp) = (head & 0x0f, usize::from(head >> 4 & 1), head & 0x20 != 0);
        self.now += [Duration::ZERO, MS * 20, MS * 250, MS * 2_500][usize::from(head >> 6)];
        let source = source(side, who);
        if who == 15 {
            // Offer and answer again, with whatever direction the first octet says.
            let flows = [Flow::SendReceive, Flow::SendOnly, Flow::ReceiveOnly, Flow::Inactive];
            let flow = flows[usize::from(datagram.first().copied().unwrap_or_default() & 3)];
            self.legs[side].setup(self.now, setup(side, flow));
            return;
        }
        self.given[side][usize::from(rtcp)] += 1;
        let [a, b] = &mut self.legs;
        let (from, to) = if side == 0 { (a, b) } else { (b, a) };
        let mut packet = datagram.to_vec();
        sign(source, &mut packet);
        let datagram = packet.clone();
        if rtcp || (from.muxed() && packet::is_rtcp(&packet)) {
            let _ = from.receive_rtcp(self.now, source, &packet);
            return;
        }
        let before = from.figures();
        let forwarded = rtp::forward(self.now, from, Some(to), source, &mut packet);
        let after = from.figures();
        match forwarded.verdict {
            Verdict::Send(departure) => {
                assert_eq!(packet.len(), datagram.len());
                let header = packet::Header::parse(&packet).expect("what is sent on is a packet");
                assert_eq!(header.ssrc, SSRCS[1 - side], "the listener's own stream");
                assert_ne!(departure.to.ip(), STRANGER, "sound leaks to a stranger");
                let arrival = forwarded.arrival.expect("it was sent on");
                // Only a key's duration may be told in another clock.
                let same = if matches!(arrival.kind, Kind::Event(_)) { 2 } else { usize::MAX };
                let octets = |of: &[u8]| -> Vec<u8> {
                    of[header.payload.clone()].iter().copied().take(same).collect()
                };
                assert_eq!(octets(&packet), octets(&datagram));
            }
            Verdict::Line => {
                assert_eq!(packet, datagram, "it is put in order and decoded as it came");
                onward(self.now, from, (side, to), &mut packet);
            }
            Verdict::Local | Verdict::Withheld(_) => assert!(forwarded.arrival.is_some()),
            Verdict::Drop(_) => {
                assert!(forwarded.arrival.is_none());
                assert_eq!(after.packets_dropped, before.packets_dropped + 1);
            }
        }
        assert!(after.packets_refused <= after.packets_dropped);
    }

    fn end(mut self) {
        for (side, leg) in self.legs.iter_mut().enumerate() {
            let figures = leg.figures();
            let given = self.given[side];
            assert!(figures.packets_received <= given[0], "{figures:?}");
            assert!(figures.packets_dropped <= given[0] + given[1], "{figures:?}");
            // RFC 3550 A.1: a gap of 3000 or more is no loss.
            assert!(figures.packets_lost <= 3_000 * given[0], "{figures:?}");
            let mut out = [0; REPORT_MAX];
            if let Some((length, to)) = leg.report(self.now, true, &mut out) {
                assert_ne!(to.ip(), STRANGER, "a report leaks to a stranger");
                reports::read(&out[..length], |_| {}).expect("our own report");
            }
        }
    }
}

/// What belongs to sound that is coded anew, in its turn.
fn onward(now: Instant, from: &Leg, (side, to): (usize, &mut Leg), packet: &mut [u8]) {
    let mut header = [0; packet::HEADER_LEN];
    let (sent, target) = match rtp::onward(now, from, to, packet) {
        Ok((Passage::Recode(recode), payload)) => {
            assert!(payload.end <= packet.len());
            assert!(recode.from.transcodes() && recode.to.transcodes());
            assert!(recode.lost <= recode.from.clock_hz() / 10);
            let length = (recode.to.clock_hz() / 50, 80);
            let target = to.generate(now, recode.to, length, &mut header).expect("it may be");
            (header.as_slice(), target)
        }
        Ok((Passage::Send(departure), _)) => (&*packet, departure.to),
        Err(_) => return,
    };
    assert_ne!(target.ip(), STRANGER, "sound leaks to a stranger");
    let header = packet::Header::parse(sent).expect("what is sent is a packet");
    assert_eq!(header.ssrc, SSRCS[1 - side], "the listener's own stream");
}

const MS: Duration = Duration::from_millis(1);
/// Neither leg has anything to do with him, and he knows nobody's stream.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));

/// Leg A describes a public address and signals from another; leg B sits behind a NAT.
fn setup(side: usize, flow: Flow) -> Setup {
    let mut map = Map {
        audio: vec![(0, Coding::Pcmu), (8, Coding::Pcma), (96, Coding::Opus)],
        events: vec![(101, 8_000)],
        noise: Some(13),
    };
    if side == 0 {
        map.audio.extend([(9, Coding::G722), (18, Coding::G729)]);
        map.events.push((97, 48_000));
    } else {
        map.audio.remove(1);
    }
    Setup {
        remote: if side == 0 {
            ([198, 51, 100, 7], 4000).into()
        } else {
            ([10, 0, 0, 5], 4000).into()
        },
        signalling: Some(IpAddr::from([203, 0, 113, 80])),
        remote_rtcp: None,
        rtcp_mux: side == 1,
        send: map.clone(),
        receive: map,
        flow,
        silence: Some(Duration::from_secs(1)),
    }
}

fn source(side: usize, who: u8) -> SocketAddr {
    match who {
        0..=4 => setup(side, Flow::SendReceive).remote,
        5 => ([198, 51, 100, 7], 4002).into(),
        6..=9 => ([203, 0, 113, 80], 31_000 + u16::from(who & 1)).into(),
        // Somebody who may know what he continues: a phone that changed networks.
        10..=12 => ([192, 0, 2, 1], 700).into(),
        _ => (STRANGER, 666).into(),
    }
}

/// The stranger does not know the SSRC of anybody, and nobody has his.
fn sign(source: SocketAddr, packet: &mut [u8]) {
    const HIS: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];
    if let Some(ssrc) = packet.get_mut(8..12) {
        if source.ip() == STRANGER {
            ssrc.copy_from_slice(&HIS);
        } else if ssrc == HIS {
            ssrc[0] = 0;
        }
    }
}

/// A sound file: some verdict, and never more sound than five minutes of it.
pub fn sound(bytes: &[u8]) {
    if let Ok(samples) = media::prompt::samples(bytes) {
        assert!(!samples.is_empty());
        assert!(samples.len() <= 8_000 * 301, "{} samples", samples.len());
    }
}

/// Payloads of any coding into any other, with losses between them: none panics, what is refused leaves
/// the coder usable, and what comes out is whole packets and no more sound than went in.
///
/// The first octet says which codings; each step takes an octet, whether its payload was lost (a bit),
/// stands after a gap (a bit) or came; and the next says how long it is.
pub fn codec(bytes: &[u8]) {
    const CODINGS: [Sound; 4] = [Sound::Pcmu, Sound::Pcma, Sound::G722, Sound::Opus];
    let [choice, rest @ ..] = bytes else { return };
    let (from, to) = (CODINGS[usize::from(choice & 3)], CODINGS[usize::from(choice >> 2 & 3)]);
    let ptime = [10, 20, 40, 60][usize::from(choice >> 4 & 3)];
    let mut transcoder = Transcoder::new(from, to, ptime).expect("all of them have coders");
    let mut out = [0; OCTETS_MAX];
    let (mut rest, mut given, mut taken) = (rest, 0, 0);
    for _ in 0..CODEC_STEPS_MAX {
        let [kind, length, tail @ ..] = rest else { break };
        let (payload, next) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = next;
        if kind & 1 != 0 {
            let gap = from.clock() / 1_000 * u32::from(kind >> 2);
            transcoder.lost(gap, (kind & 2 != 0).then_some(payload));
            given += u64::from(kind >> 2);
        }
        // No payload is longer than what is taken.
        if transcoder.push(payload).is_ok() {
            given += PACKET_MAX_MS as u64;
        }
        while let Some((octets, units)) = transcoder.pull(&mut out) {
            assert!(octets <= OCTETS_MAX);
            assert_eq!(units, to.clock() / 1_000 * u32::from(ptime));
            taken += u64::from(ptime);
        }
        assert!(taken <= given, "{taken} ms of {given}");
    }
}

/// Packets taken of one input at most.
const CODEC_STEPS_MAX: usize = 64;
