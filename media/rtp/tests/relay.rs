//! Two legs and the packets between them, on a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtp::egress::{Owner, Recode};
use rtp::leg::Passage;
use rtp::packet::Stamp;
use rtp::rtcp::{CNAME_LEN, Item, NtpClock, REPORT_MAX, read};
use rtp::{
    Coding, Departure, Flow, Header, Identity, Leg, Map, Refusal, Setup, Verdict, forward, onward,
};

const A: &str = "198.51.100.1:4000";
const B: &str = "203.0.113.2:5000";
const STRANGER: &str = "192.0.2.66:666";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[allow(clippy::disallowed_methods, reason = "an origin for virtual time, read once a test")]
fn origin() -> Instant {
    Instant::now()
}

fn map(audio: &[(u8, Coding)], event: Option<u8>) -> Map {
    let events = event.map(|number| (number, 8_000)).into_iter().collect();
    Map { audio: audio.to_vec(), events, noise: None }
}

fn setup(remote: &str, map: Map) -> Setup {
    Setup {
        remote: at(remote),
        signalling: None,
        remote_rtcp: None,
        rtcp_mux: false,
        send: map.clone(),
        receive: map,
        flow: Flow::SendReceive,
        silence: None,
    }
}

struct World {
    now: Instant,
    a: Leg,
    b: Leg,
}

impl World {
    fn new(a: Setup, b: Setup) -> World {
        let now = origin();
        let clock = NtpClock { at: now, ntp: 3_900_000_000 << 32 };
        let leg = |ssrc, sequence| {
            let cname = [b'c'; CNAME_LEN];
            let mut leg =
                Leg::new(now, clock, &Identity { ssrc, sequence, timestamp: 1_000, cname });
            leg.give(Owner::Relay);
            leg
        };
        let (mut leg_a, mut leg_b) = (leg(0xa, 100), leg(0xb, 200));
        leg_a.setup(now, a);
        leg_b.setup(now, b);
        World { now, a: leg_a, b: leg_b }
    }

    /// A packet from the far end of A, carried to B.
    fn carry(&mut self, packet: &mut [u8]) -> rtp::Forwarded {
        forward(self.now, &mut self.a, Some(&mut self.b), at(A), packet)
    }
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 12];
    Stamp { payload_type, marker: false, sequence, timestamp, ssrc: 77 }.write_new(&mut out);
    out.extend_from_slice(payload);
    out
}

fn pcmu() -> Map {
    map(&[(0, Coding::Pcmu), (8, Coding::Pcma)], Some(101))
}

#[test]
fn a_packet_is_rewritten_in_place_and_its_payload_untouched() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    let mut bytes = packet(0, 9_000, 5, &[0x55; 160]);
    let forwarded = w.carry(&mut bytes);
    assert_eq!(forwarded.verdict, Verdict::Send(Departure { to: at(B), convert: None }));
    assert!(forwarded.arrival.unwrap().started);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!((header.ssrc, header.sequence, header.timestamp), (0xb, 200, 1_000));
    assert!(header.marker);
    assert_eq!(&bytes[12..], &[0x55; 160]);
    let mut bytes = packet(0, 9_002, 325, &[0x55; 160]);
    let forwarded = w.carry(&mut bytes);
    assert!(!forwarded.arrival.unwrap().started);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!((header.sequence, header.timestamp, header.marker), (202, 1_320, false));
    assert_eq!(w.a.figures().packets_lost, 1);
}

#[test]
fn rfc3264_5_1_payload_numbers_are_each_legs_own() {
    let a = setup(A, map(&[(96, Coding::Pcma)], Some(97)));
    let b = setup(B, map(&[(0, Coding::Pcmu), (8, Coding::Pcma)], Some(101)));
    let mut w = World::new(a, b);
    let mut bytes = packet(96, 1, 0, &[1; 160]);
    let forwarded = w.carry(&mut bytes);
    assert_eq!(forwarded.verdict, Verdict::Send(Departure { to: at(B), convert: None }));
    assert_eq!(bytes[1] & 0x7f, 8, "passes as A-law: B speaks both");
    let mut bytes = packet(97, 2, 160, &[5, 10, 0, 160]);
    let forwarded = w.carry(&mut bytes);
    assert_eq!(bytes[1] & 0x7f, 101);
    assert_eq!(forwarded.arrival.unwrap().key, Some('5'));
    assert_eq!(&bytes[12..], &[5, 10, 0, 160]);
}

#[test]
fn a_listener_of_the_other_law_is_told_to_convert() {
    let b = setup(B, map(&[(8, Coding::Pcma)], None));
    let mut w = World::new(setup(A, pcmu()), b);
    let mut bytes = packet(0, 1, 0, &[1; 160]);
    let convert = Some((Coding::Pcmu, Coding::Pcma));
    let expected = Verdict::Send(Departure { to: at(B), convert });
    assert_eq!(w.carry(&mut bytes).verdict, expected);
    assert_eq!(bytes[1] & 0x7f, 8);
}

#[test]
fn a22_keys_for_a_listener_without_events_leave_no_gap() {
    let mut w = World::new(setup(A, pcmu()), setup(B, map(&[(0, Coding::Pcmu)], None)));
    w.carry(&mut packet(0, 1, 0, &[1; 160]));
    for n in 2..5 {
        let forwarded = w.carry(&mut packet(101, n, 160, &[5, 10, 0, 160]));
        assert_eq!(forwarded.verdict, Verdict::Withheld(Refusal::NoEvents));
        assert_eq!(forwarded.arrival.unwrap().key, (n == 2).then_some('5'));
    }
    // Comfort noise that nobody agreed to neither.
    let forwarded = w.carry(&mut packet(13, 5, 160, &[40]));
    assert_eq!(forwarded.verdict, Verdict::Drop(Refusal::PayloadType));
    let mut bytes = packet(0, 6, 800, &[1; 160]);
    w.carry(&mut bytes);
    assert_eq!(Header::parse(&bytes).unwrap().sequence, 201);
    assert_eq!(w.a.figures().packets_lost, 0);
}

#[test]
fn case_6_a_stranger_is_neither_heard_nor_sent_to() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    for n in 0..1000 {
        if n == 500 {
            w.carry(&mut packet(0, 1, 0, &[1; 160]));
        }
        let mut bytes = packet(0, n, 0, &[1; 160]);
        let forwarded = forward(w.now, &mut w.a, Some(&mut w.b), at(STRANGER), &mut bytes);
        assert_eq!(forwarded.verdict, Verdict::Drop(Refusal::Source));
    }
    assert_eq!(w.a.figures().packets_dropped, 1000);
    assert_eq!(w.a.figures().packets_refused, 1000);
    let met = w.a.met_stranger().unwrap();
    assert_eq!((met.source, met.described, met.heard), (at(STRANGER), at(A), true));
    assert_eq!(w.a.met_stranger(), None, "told once");
    assert_eq!(w.b.met_stranger(), None);
    // What B says goes to A alone.
    let mut bytes = packet(0, 1, 0, &[1; 160]);
    let forwarded = forward(w.now, &mut w.b, Some(&mut w.a), at(B), &mut bytes);
    assert_eq!(forwarded.verdict, Verdict::Send(Departure { to: at(A), convert: None }));
}

#[test]
fn rfc3264_8_4_hold_stops_each_way_on_its_own() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    let held = |remote: &str, flow| Setup { flow, ..setup(remote, pcmu()) };
    w.carry(&mut packet(0, 1, 0, &[1; 160]));
    for cycle in 0..5_u16 {
        // B holds: it neither wants A's sound nor sends any.
        w.b.setup(w.now, held(B, Flow::Inactive));
        let n = 2 + 3 * cycle;
        let verdict = w.carry(&mut packet(0, n, 160, &[1; 160])).verdict;
        assert_eq!(verdict, Verdict::Withheld(Refusal::Held));
        w.a.setup(w.now, held(A, Flow::SendOnly));
        let verdict = w.carry(&mut packet(0, n + 1, 160, &[1; 160])).verdict;
        assert_eq!(verdict, Verdict::Drop(Refusal::Held));
        w.a.setup(w.now, held(A, Flow::SendReceive));
        w.b.setup(w.now, held(B, Flow::SendReceive));
        let verdict = w.carry(&mut packet(0, n + 2, 160, &[1; 160])).verdict;
        assert!(matches!(verdict, Verdict::Send(_)), "case 1: sound is back at once");
    }
    let old_hold = Setup { remote: at("0.0.0.0:5000"), ..held(B, Flow::SendReceive) };
    w.b.setup(w.now, old_hold);
    let verdict = w.carry(&mut packet(0, 99, 160, &[1; 160])).verdict;
    assert_eq!(verdict, Verdict::Withheld(Refusal::Held));
}

#[test]
fn nothing_passes_before_the_setup_and_nobody_listening_is_local() {
    let now = origin();
    let clock = NtpClock { at: now, ntp: 0 };
    let identity = Identity { ssrc: 1, sequence: 0, timestamp: 0, cname: [0; CNAME_LEN] };
    let mut leg = Leg::new(now, clock, &identity);
    let mut bytes = packet(0, 1, 0, &[1; 160]);
    let verdict = forward(now, &mut leg, None, at(A), &mut bytes).verdict;
    assert_eq!(verdict, Verdict::Drop(Refusal::NotReady));
    assert_eq!(leg.opens_at(now), None);
    leg.setup(now, setup(A, pcmu()));
    assert_eq!(leg.opens_at(now), Some(now + ms(200)), "case 10: first RTP or 200 ms");
    let forwarded = forward(now, &mut leg, None, at(A), &mut bytes);
    assert_eq!(forwarded.verdict, Verdict::Local);
    assert_eq!(leg.opens_at(now), Some(now), "case 10: first RTP or 200 ms");
}

#[test]
fn silence_is_told_once_and_again_after_sound() {
    let limit = Setup { silence: Some(ms(10_000)), ..setup(A, pcmu()) };
    let mut w = World::new(limit, setup(B, pcmu()));
    w.now += ms(9_999);
    assert_eq!(w.a.fell_silent(w.now), None);
    w.now += ms(1);
    assert_eq!(w.a.fell_silent(w.now), Some(ms(10_000)));
    w.now += ms(60_000);
    assert_eq!(w.a.fell_silent(w.now), None);
    w.carry(&mut packet(0, 1, 0, &[1; 160]));
    w.now += ms(10_500);
    // A stranger's packets are no sign of life.
    forward(w.now, &mut w.a, None, at(STRANGER), &mut packet(0, 1, 0, &[1; 160]));
    assert_eq!(w.a.fell_silent(w.now), Some(ms(10_500)));
    // On hold there is nothing to wait for; the wait starts over afterwards.
    w.a.setup(w.now, Setup { flow: Flow::SendOnly, ..setup(A, pcmu()) });
    w.now += ms(60_000);
    assert_eq!(w.a.fell_silent(w.now), None);
    w.a.setup(w.now, Setup { silence: Some(ms(10_000)), ..setup(A, pcmu()) });
    w.now += ms(5_000);
    assert_eq!(w.a.fell_silent(w.now), None);
}

fn items(bytes: &[u8]) -> Vec<Item> {
    let mut out = Vec::new();
    read(bytes, |item| out.push(item)).unwrap();
    out
}

#[test]
fn a21_rfc3550_6_4_each_leg_reports_for_itself() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    let mut out = [0; REPORT_MAX];
    assert_eq!(w.a.report(w.now, false, &mut out), None, "nothing to say yet");
    for n in 0..50_u16 {
        w.now += ms(20);
        if n % 5 != 4 {
            w.carry(&mut packet(0, n, u32::from(n) * 160, &[1; 160]));
        }
    }
    // To A: what we hear of it, and that we sent it nothing.
    let (len, to) = w.a.report(w.now, false, &mut out).unwrap();
    assert_eq!(to, at("198.51.100.1:4001"));
    let said = items(&out[..len]);
    assert_eq!(said[0], Item::Receiver { ssrc: 0xa });
    let Item::Block { block, .. } = said[1] else { panic!("{said:?}") };
    assert_eq!((block.ssrc, block.cumulative_lost), (77, 9));
    // To B: what we sent, in our own numbers.
    let (len, to) = w.b.report(w.now, false, &mut out).unwrap();
    assert_eq!(to, at("203.0.113.2:5001"));
    let said = items(&out[..len]);
    let Item::Sender { ssrc: 0xb, info } = said[0] else { panic!("{said:?}") };
    assert_eq!((info.packets, info.octets), (40, 6_400));
    // After two intervals of silence we are no sender any more, but we still say goodbye.
    w.b.report(w.now, false, &mut out);
    assert_eq!(w.b.report(w.now, false, &mut out), None);
    let (len, _) = w.b.report(w.now, true, &mut out).unwrap();
    assert_eq!(items(&out[..len])[0], Item::Receiver { ssrc: 0xb });
    assert_eq!(items(&out[..len]).last(), Some(&Item::Bye { ssrc: 0xb }));
}

#[test]
fn rfc3550_6_4_1_reports_from_the_far_end_give_round_trip_and_loss() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    w.carry(&mut packet(0, 1, 0, &[1; 160]));
    let mut out = [0; REPORT_MAX];
    let (len, _) = w.b.report(w.now, false, &mut out).unwrap();
    let said = items(&out[..len]);
    let Item::Sender { info, .. } = said[0] else { panic!() };
    let mut reply = [0; REPORT_MAX];
    let block = rtp::rtcp::ReportBlock {
        ssrc: 0xb,
        fraction_lost: 26,
        cumulative_lost: 1,
        highest_sequence: 0,
        jitter: 0,
        last_sr: ((info.ntp >> 16) & 0xffff_ffff) as u32,
        delay_since_sr: 65_536,
    };
    let cname = [b'f'; CNAME_LEN];
    let report =
        rtp::rtcp::Report { ssrc: 3, sender: None, block: Some(block), cname: &cname, bye: false };
    let len = report.write(&mut reply);
    w.now += ms(1_080);
    let from_stranger = w.b.receive_rtcp(w.now, at(STRANGER), &reply[..len]);
    assert_eq!(from_stranger, Err(Refusal::Source));
    w.b.receive_rtcp(w.now, at("203.0.113.2:5001"), &reply[..len]).unwrap();
    let figures = w.b.figures();
    assert_eq!(figures.far_loss, 26);
    assert!((79_900..=80_100).contains(&figures.round_trip_us), "{}", figures.round_trip_us);
    let short = w.b.receive_rtcp(w.now, at("203.0.113.2:5001"), &reply[..7]);
    assert_eq!(short, Err(Refusal::Malformed));
}

#[test]
fn a23_rfc3605_and_5761_say_where_reports_go() {
    let mut out = [0; REPORT_MAX];
    let mut target = |setup: Setup| {
        let mut w = World::new(setup, Setup { ..crate::setup(B, pcmu()) });
        w.carry(&mut packet(0, 1, 0, &[1; 160]));
        w.a.report(w.now, false, &mut out).unwrap().1
    };
    assert_eq!(target(setup(A, pcmu())), at("198.51.100.1:4001"));
    let elsewhere = Some(at("198.51.100.1:7777"));
    assert_eq!(
        target(Setup { remote_rtcp: elsewhere, ..setup(A, pcmu()) }),
        at("198.51.100.1:7777")
    );
    assert_eq!(target(Setup { rtcp_mux: true, ..setup(A, pcmu()) }), at(A));
}

#[test]
fn rfc3550_a21_generated_and_relayed_sound_share_one_stream() {
    let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
    w.b.give(Owner::Generator);
    let mut header = [0; 12];
    let to = w.b.generate(w.now, Coding::Pcmu, (160, 160), &mut header).unwrap();
    assert_eq!(to, at(B));
    let first = Header::parse(&header).unwrap();
    assert_eq!((first.sequence, first.marker, first.payload_type), (200, true, 0));
    let verdict = w.carry(&mut packet(0, 1, 0, &[1; 160])).verdict;
    assert_eq!(verdict, Verdict::Withheld(Refusal::NotOwner));
    w.now += ms(20);
    w.b.give(Owner::Relay);
    let mut bytes = packet(0, 2, 160, &[1; 160]);
    w.carry(&mut bytes);
    let second = Header::parse(&bytes).unwrap();
    assert_eq!((second.ssrc, second.sequence), (first.ssrc, 201));
    assert_eq!(second.timestamp, first.timestamp + 160);
    assert!(second.marker);
}

proptest! {
    /// Whatever the network did upstream, downstream is the same with other numbers.
    #[test]
    fn loss_copies_and_order_pass_through(
        first: u16,
        clock: u32,
        fates in proptest::collection::vec((0..10_u8, 0..20_u16), 1..300),
    ) {
        let mut w = World::new(setup(A, pcmu()), setup(B, pcmu()));
        let mut line: Vec<u16> = Vec::new();
        for (n, (fate, delay)) in (0_u16..).zip(fates) {
            match fate {
                0 => {}
                1 => line.extend([n, n]),
                2 => line.insert(line.len().saturating_sub(usize::from(delay)), n),
                _ => line.push(n),
            }
        }
        let mut seam = None;
        for n in line {
            w.now += ms(20);
            let timestamp = clock.wrapping_add(u32::from(n) * 160);
            let mut bytes = packet(0, first.wrapping_add(n), timestamp, &[1; 160]);
            let verdict = w.carry(&mut bytes).verdict;
            let header = Header::parse(&bytes).unwrap();
            match (seam, verdict) {
                (None, Verdict::Send(_)) => {
                    seam = Some((n, header.sequence.wrapping_sub(n)));
                }
                // Only what is older than the first ever sent is held back.
                (Some((start, _)), Verdict::Withheld(Refusal::Late)) => prop_assert!(n < start),
                (Some((_, offset)), Verdict::Send(_)) => {
                    prop_assert_eq!(header.sequence, offset.wrapping_add(n));
                    let ahead = u32::from(header.sequence.wrapping_sub(200)) * 160;
                    prop_assert_eq!(header.timestamp, 1_000 + ahead);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// No sequence of datagrams, whoever sends them, does harm.
    #[test]
    fn arbitrary_datagrams_do_no_harm(
        datagrams in proptest::collection::vec(
            (0..3_u8, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..60),
    ) {
        let mut w = World::new(
            Setup { rtcp_mux: true, ..setup(A, pcmu()) },
            setup("192.168.1.1:5000", pcmu()),
        );
        for (source, rtcp, mut bytes) in datagrams {
            w.now += ms(7);
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | (*first & 0x3f);
            }
            let source = at([A, B, STRANGER][usize::from(source)]);
            if rtcp {
                let _ = w.a.receive_rtcp(w.now, source, &bytes);
                let _ = w.b.receive_rtcp(w.now, source, &bytes);
            } else {
                forward(w.now, &mut w.a, Some(&mut w.b), source, &mut bytes.clone());
                forward(w.now, &mut w.b, Some(&mut w.a), source, &mut bytes);
            }
            let mut out = [0; REPORT_MAX];
            if let Some((len, _)) = w.a.report(w.now, false, &mut out) {
                items(&out[..len]);
            }
        }
    }
}

#[test]
fn sound_that_is_coded_anew_goes_on_in_two_steps_and_all_else_of_its_stream_with_it() {
    let opus = map(&[(111, Coding::Opus)], Some(97));
    let mut w = World::new(setup(A, pcmu()), setup(B, opus));
    // Before any sound a key is relayed at once.
    assert!(matches!(w.carry(&mut packet(101, 9, 0, &[1, 10, 0, 0])).verdict, Verdict::Send(_)));
    let mut sound = packet(0, 10, 160, &[0x55; 160]);
    let before = sound.clone();
    assert_eq!(w.carry(&mut sound).verdict, Verdict::Line);
    assert_eq!(sound, before, "untouched");
    let (passage, payload) = onward(w.now, &w.a, &mut w.b, &mut sound).unwrap();
    assert_eq!(payload, 12..172);
    let recode = Recode { from: Coding::Pcmu, to: Coding::Opus, lost: 0, fresh: true };
    assert_eq!(passage, Passage::Recode(recode));
    // From now on keys wait for their turn too, and leave in the listener's numbers.
    let mut key = packet(101, 11, 320, &[2, 10, 0, 0]);
    assert_eq!(w.carry(&mut key).verdict, Verdict::Line);
    let (passage, _) = onward(w.now, &w.a, &mut w.b, &mut key).unwrap();
    assert_eq!(passage, Passage::Send(Departure { to: at(B), convert: None }));
    assert_eq!(Header::parse(&key).unwrap().payload_type, 97);
    // What nobody agreed to is no gap: nothing is made up for it.
    let mut strange = packet(13, 12, 320, &[70]);
    assert_eq!(w.carry(&mut strange).verdict, Verdict::Drop(Refusal::PayloadType));
    assert_eq!(onward(w.now, &w.a, &mut w.b, &mut strange), Err(Refusal::PayloadType));
    let mut sound = packet(0, 13, 320, &[0x55; 160]);
    assert_eq!(w.carry(&mut sound).verdict, Verdict::Line);
    let (passage, _) = onward(w.now, &w.a, &mut w.b, &mut sound).unwrap();
    assert_eq!(passage, Passage::Recode(Recode { fresh: false, ..recode }));
    assert_eq!(onward(w.now, &w.a, &mut w.b, &mut [0; 5]), Err(Refusal::Malformed));
}
