use super::*;
use crate::testing::origin;

struct World {
    latch: Latch,
    now: Instant,
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    fn new(signalled: &str) -> World {
        let mut latch = Latch::default();
        latch.expect(at(signalled), true);
        World { latch, now: origin() }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn packet(&mut self, from: &str, ssrc: u32, sequence: u16) -> Admission {
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp: 0,
            ssrc,
            payload: 12..172,
        };
        self.latch.admit(self.now, at(from), &header)
    }
}

const PHONE: &str = "198.51.100.7:4000";

#[test]
fn the_first_packet_of_the_signalled_source_wins() {
    let mut w = World::new(PHONE);
    assert_eq!(w.latch.target(), Some(at(PHONE)), "before any packet");
    assert_eq!(w.packet(PHONE, 1, 500), Admission::Locked);
    assert_eq!(w.packet(PHONE, 1, 501), Admission::Heard);
    assert_eq!(w.packet("198.51.100.7:4002", 2, 1), Admission::Refused);
}

#[test]
fn case_6_a_stranger_is_refused_before_during_and_after() {
    let mut w = World::new(PHONE);
    for n in 0..100 {
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
    }
    assert_eq!(w.latch.target(), Some(at(PHONE)));
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Locked);
    for n in 1..1000_u16 {
        w.wait(20);
        assert_eq!(w.packet(PHONE, 1, n), Admission::Heard);
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
        assert_eq!(w.packet("198.51.100.7:4001", 9, n), Admission::Refused);
    }
    // Nor after a re-INVITE that names the same address, nor in a phone's silence.
    w.latch.expect(at(PHONE), true);
    w.wait(10_000);
    for n in 0..100 {
        assert_eq!(w.packet("203.0.113.9:666", 9, n), Admission::Refused);
    }
    assert_eq!(w.latch.target(), Some(at(PHONE)));
}

#[test]
fn case_6_a_caller_who_moves_heals_within_three_seconds() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 65_500);
    // The old address falls silent; the same stream comes from elsewhere 600 ms later.
    w.wait(600);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_530), Admission::Unproven);
    assert_eq!(w.latch.target(), Some(at(PHONE)), "nothing leaks to the unproven");
    w.wait(20);
    // Meanwhile an attacker with another SSRC, and one with the SSRC but a wrong sequence.
    assert_eq!(w.packet("203.0.113.9:666", 9, 65_531), Admission::Refused);
    assert_eq!(w.packet("203.0.113.9:666", 1, 30_000), Admission::Refused);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_531), Admission::Unproven);
    w.wait(20);
    assert_eq!(w.packet("203.0.113.80:9000", 1, 65_532), Admission::Locked);
    assert_eq!(w.latch.target(), Some(at("203.0.113.80:9000")));
    assert_eq!(w.packet(PHONE, 1, 65_533), Admission::Refused, "the old place is a stranger's now");
}

#[test]
fn case_6_a_copy_of_the_stream_does_not_move_it_while_it_flows() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    for n in 1..500_u16 {
        w.wait(20);
        assert_eq!(w.packet("203.0.113.9:666", 1, n), Admission::Refused);
        assert_eq!(w.packet(PHONE, 1, n), Admission::Heard);
    }
}

#[test]
fn case_6_a_phone_that_restarts_on_another_port_heals_within_three_seconds() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    let start = w.now;
    for n in 0..200_u16 {
        w.wait(20);
        if w.packet("198.51.100.7:4010", 2, n) == Admission::Locked {
            assert!(w.now - start <= Duration::from_secs(3));
            return;
        }
    }
    panic!("never healed");
}

#[test]
fn case_6_silence_on_hold_proves_nothing() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    w.latch.expect(at(PHONE), false);
    w.wait(60_000);
    for n in 0..20 {
        assert_eq!(w.packet("198.51.100.7:4010", 2, n), Admission::Refused);
    }
}

#[test]
fn a23_rfc4961_a_phone_behind_nat_proves_itself_by_three_packets() {
    let mut w = World::new("192.168.1.5:4000");
    assert_eq!(w.packet("203.0.113.80:31000", 1, 10), Admission::Unproven);
    assert_eq!(w.packet("203.0.113.80:31000", 1, 10), Admission::Unproven, "a copy proves nothing");
    assert_eq!(w.packet("203.0.113.80:31000", 1, 11), Admission::Unproven);
    assert_eq!(w.packet("203.0.113.9:666", 9, 1), Admission::Refused, "one candidate at a time");
    assert_eq!(w.packet("203.0.113.80:31000", 1, 12), Admission::Locked);
    assert_eq!(w.packet("203.0.113.9:666", 9, 2), Admission::Refused);
}

#[test]
fn random_sprays_never_prove_themselves() {
    let mut w = World::new("192.168.1.5:4000");
    let mut n = 7_u32;
    for _ in 0..2000 {
        n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let admission = w.packet("203.0.113.9:666", n, (n >> 16) as u16);
        assert_ne!(admission, Admission::Locked);
    }
    // And once the spray pauses the phone gets its chance.
    w.wait(250);
    w.packet("203.0.113.80:31000", 1, 10);
    w.packet("203.0.113.80:31000", 1, 11);
    assert_eq!(w.packet("203.0.113.80:31000", 1, 12), Admission::Locked);
}

#[test]
fn the_signalled_source_displaces_what_was_learned() {
    let mut w = World::new(PHONE);
    for n in 0..3 {
        w.packet("198.51.100.7:9999", 9, n);
    }
    assert_eq!(w.latch.target(), Some(at("198.51.100.7:9999")));
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Locked);
    assert_eq!(w.packet("198.51.100.7:9999", 9, 4), Admission::Refused);
}

#[test]
fn case_2_a_new_ssrc_from_the_locked_source_is_heard_at_once() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    assert_eq!(w.packet(PHONE, 2, 40_000), Admission::Heard);
    w.wait(300);
    // Roaming now needs the new SSRC.
    assert_eq!(w.packet("203.0.113.80:1", 1, 1), Admission::Refused);
    assert_eq!(w.packet("203.0.113.80:1", 2, 40_001), Admission::Unproven);
}

#[test]
fn case_3_a_setup_that_names_another_address_starts_over() {
    let mut w = World::new(PHONE);
    w.packet(PHONE, 1, 0);
    for n in 1..5_u8 {
        let next = format!("198.51.100.{}:5000", 100 + n);
        w.latch.expect(at(&next), true);
        assert_eq!(w.latch.target(), Some(at(&next)));
        assert_eq!(w.packet(PHONE, 1, u16::from(n)), Admission::Refused);
        assert_eq!(w.packet(&next, u32::from(n), 0), Admission::Locked);
    }
}

#[test]
fn case_1_hold_with_an_unspecified_address_keeps_the_lock() {
    let mut w = World::new("192.168.1.5:4000");
    for n in 0..3 {
        w.packet("203.0.113.80:31000", 1, n);
    }
    for n in 1..6_u16 {
        w.latch.expect(at("0.0.0.0:4000"), false);
        w.wait(5_000);
        w.latch.expect(at("192.168.1.5:4000"), true);
        assert_eq!(w.packet("203.0.113.80:31000", 1, 250 * n), Admission::Heard);
    }
}

#[test]
fn nothing_is_heard_before_a_setup() {
    let mut w = World { latch: Latch::default(), now: origin() };
    assert_eq!(w.packet(PHONE, 1, 0), Admission::Refused);
    assert_eq!(w.latch.target(), None);
}
